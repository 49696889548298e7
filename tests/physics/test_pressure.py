# SPDX-License-Identifier: Apache-2.0
"""The pressure equation on staggered grids: solutions against SciPy's direct solver, iterations, sealed pockets."""

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.sparse
import scipy.sparse.linalg
import torch
import warp as wp

from simenv import _warp
from simenv.physics.launch.slots import Memory
from simenv.physics.pressure.levels import Grid
from simenv.physics.pressure.solve import Accuracy, PressureSolver

REAL = {torch.float32: wp.float32, torch.float64: wp.float64}
CLOSED = (False, False, False)


class Problem:
    """A grid with weights, a shift and a right-hand side, all zero at first."""

    def __init__(
        self, shape, periodic=CLOSED, worlds=1, dtype=torch.float64, tolerance=1e-12, iterations=30, roomy=0.0
    ):  # fmt: skip
        _warp.start()
        self.grid, self.memory = Grid(shape, periodic), Memory(worlds, dtype, torch.device("cpu"))
        real = REAL[dtype]
        self.b, self.p = (self.memory.slot(real, *shape, differentiable=False) for _ in range(2))
        self.scale = self.memory.slot(real, differentiable=False)
        self.solver = PressureSolver(self.grid, Accuracy(tolerance, iterations), self.memory, roomy)
        self.asked = self.memory.slot(real, *shape)  # whose adjoint is a right-hand side
        self.memory.allocate(True)
        levels = self.solver.levels
        self.faces = [wp.to_torch(levels.weight(axis).array) for axis in range(3)]
        self.shift, self.inverse = wp.to_torch(levels.shift.array), wp.to_torch(levels.inverse.array)

    def weights(self, values):
        """Set the weights of all faces, a tensor for each axis, but those of walls, which stay zero."""
        for axis, (slot, value) in enumerate(zip(self.faces, values, strict=True)):
            slot.copy_(value)
            if not self.grid.periodic[axis]:
                slot.narrow(axis + 1, 0, 1).zero_()
                slot.narrow(axis + 1, slot.shape[axis + 1] - 1, 1).zero_()

    def run(self, launches):
        for launch in launches:
            launch.forward(self.memory.wp_device)

    def solve(self):
        self.run([*self.solver.build(), *self.solver.solve(self.b, self.scale, self.p)])

    def solve_adjoint(self, asked):
        self.asked.adjoint.copy_(asked)
        self.run([*self.solver.build(), *self.solver.solve(self.asked, self.scale, self.p, adjoint=True)])

    def matrix(self, world):
        """A of a world, and the number of each cell."""
        number = np.arange(math.prod(self.grid.shape)).reshape(self.grid.shape)
        a = scipy.sparse.lil_matrix((number.size, number.size))
        a.setdiag(self.shift[world].numpy().ravel())
        for axis, slot in enumerate(self.faces):
            weight = slot[world].double().numpy()
            for at in np.ndindex(*weight.shape):
                if weight[at] > 0.0:
                    below, here = list(at), list(at)
                    below[axis] = (at[axis] - 1) % self.grid.shape[axis]
                    here[axis] = at[axis] % self.grid.shape[axis]
                    i, j = number[tuple(here)], number[tuple(below)]
                    for row, column, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
                        a[row, column] += sign * weight[at]
        return a.tocsr(), number


def samples(problem, seed):
    """Weights between 0.1 and 1, a third of them none."""
    generator = torch.Generator().manual_seed(seed)
    values = []
    for slot in problem.faces:
        weight = 0.1 + 0.9 * torch.rand(slot.shape, generator=generator, dtype=torch.float64)
        values.append(torch.where(torch.rand(slot.shape, generator=generator) < 0.33, 0.0, weight))
    return values, generator


@pytest.mark.parametrize(
    ("shape", "periodic", "roomy"),
    [
        ((8, 8, 8), CLOSED, 2.0), ((9, 5, 12), CLOSED, 0.0), ((12, 1, 7), CLOSED, 0.0),
        ((6, 8, 5), (True, True, False), 0.0),
    ],
)  # fmt: skip
def test_solutions_are_those_of_a_direct_solver(shape, periodic, roomy):
    """With any weights, cells that nothing joins, sealed pockets and cells of held pressure beside each other."""
    problem = Problem(shape, periodic, worlds=2, iterations=80, roomy=roomy)
    values, generator = samples(problem, 1)
    problem.weights(values)
    held = torch.rand(problem.shift.shape, generator=generator, dtype=torch.float64)
    problem.shift.copy_(torch.where(held < 0.03, 1.0, 0.0))
    problem.b.tensor.copy_(torch.randn(problem.b.size, generator=generator, dtype=torch.float64))
    right = problem.b.tensor.clone()
    problem.solve()
    assert problem.solver.done.tensor.tolist() == [1, 1]
    for world in range(2):
        a, number = problem.matrix(world)
        joined = scipy.sparse.csgraph.connected_components(a, directed=False)[1]
        b, shift = right[world].numpy().ravel().copy(), problem.shift[world].numpy().ravel()
        expected = np.zeros(number.size)
        for component in range(joined.max() + 1):
            cells = np.flatnonzero(joined == component)
            if a[cells].nnz == 0 or a.diagonal()[cells].sum() == 0.0:
                continue  # no equation
            if shift[cells].sum() == 0.0:  # sealed: the mean is free, and zero
                some = cells[a.diagonal()[cells] >= roomy]  # which bear the sum, if there are any
                some = some if len(some) else cells
                b[some] -= b[cells].sum() / len(some)
                dense = a[cells][:, cells].toarray()
                expected[cells] = np.linalg.lstsq(dense, b[cells], rcond=None)[0]
                expected[cells] -= expected[cells].mean()
            else:
                expected[cells] = scipy.sparse.linalg.spsolve(a[cells][:, cells].tocsc(), b[cells])
        found = problem.p.tensor[world].numpy().ravel()
        np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max())


def test_the_adjoint_is_the_transpose_where_roomy_cells_bear_a_pockets_sum():
    problem = Problem((8, 6, 8), iterations=80, roomy=2.0)
    values, generator = samples(problem, 1)
    problem.weights(values)
    right, asked = torch.randn(2, 1, 8, 6, 8, generator=generator, dtype=torch.float64)
    problem.b.tensor.copy_(right)
    problem.solve()
    equations = problem.solver.pockets.tensor.view(1, 8, 6, 8) >= 0
    assert 0 < (problem.inverse <= 0.5)[equations].sum() < equations.sum()
    forward = (asked * problem.p.tensor).sum()
    problem.solve_adjoint(asked)
    torch.testing.assert_close((right * problem.p.tensor).sum(), forward, rtol=1e-10, atol=0.0)


def ball(x, y, z):
    return torch.sqrt((x - 0.5) ** 2 + (y - 0.5) ** 2 + (z - 0.4) ** 2) - 0.18


def pillars(x, y, z):
    near = [torch.sqrt((x - a) ** 2 + (y - b) ** 2) - 0.07 for a in (0.2, 0.5, 0.8) for b in (0.2, 0.5, 0.8)]
    return torch.stack(near).amin(0)


def wall_with_door(x, y, z):
    door = ((y - 0.5).abs() < 0.15) & (z < 0.5)
    return torch.where(((x - 0.5).abs() < 0.04) & ~door, -1.0, 1.0)


def fractions(grid, solid, samples=4):
    """Open share of each face by samples, those below 0.02 closed."""
    n, values = max(grid.shape), []
    for axis in range(3):
        axes = [torch.arange(c, dtype=torch.float64) + 0.5 * (a != axis) for a, c in enumerate(grid.faces(axis))]
        mesh = torch.meshgrid(*axes, indexing="ij")
        across = [a for a in range(3) if a != axis]
        open_share = torch.zeros_like(mesh[0])
        for u in range(samples):
            for v in range(samples):
                at = list(mesh)
                for a, s in zip(across, (u, v), strict=True):
                    at[a] = mesh[a] + (s + 0.5) / samples - 0.5
                open_share += (solid(*(each / n for each in at)) > 0.0) / samples**2
        values.append(torch.where(open_share < 0.02, 0.0, open_share))
    return values


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("solid", [None, ball, pillars, wall_with_door])
@pytest.mark.parametrize("n", [32, pytest.param(64, marks=pytest.mark.slow)])
def test_six_iterations_whatever_the_obstacle(n, solid, dtype):
    """To 1e-6 of the largest right-hand side, of a random velocity (gas.md section 2.2: 4 to 6)."""
    problem = Problem((n, n, n), dtype=dtype, tolerance=1e-6, iterations=8)
    ones = [torch.ones(problem.grid.faces(axis), dtype=torch.float64) for axis in range(3)]
    problem.weights(ones if solid is None else fractions(problem.grid, solid))
    generator = torch.Generator().manual_seed(0)
    for axis, slot in enumerate(problem.faces):
        flow = slot * torch.randn(slot.shape, generator=generator, dtype=torch.float64).to(dtype)
        problem.b.tensor.sub_(flow.diff(dim=axis + 1))
    right, most = problem.b.tensor.double().clone(), problem.b.tensor.abs().max().item()
    problem.solve()
    assert problem.solver.done.tensor.item() == 1 and problem.solver.spent.tensor.item() <= 6
    p = problem.p.tensor.double()
    for axis, slot in enumerate(problem.faces):  # the residual itself, not what the iteration believes of it
        flux = torch.zeros(slot.shape, dtype=torch.float64)
        flux.narrow(axis + 1, 1, n - 1).copy_(p.diff(dim=axis + 1))
        right += (slot.double() * flux).diff(dim=axis + 1)
    eps = torch.finfo(dtype).eps
    assert right.abs().max() <= (1e-6 + 8 * eps * p.abs().max().item() / most) * most


def test_pockets_are_the_connected_components():
    """Of a random labyrinth near the threshold at which paths become long, and a spiral corridor."""
    problem = Problem((24, 24, 24), worlds=2)
    generator = torch.Generator().manual_seed(3)
    rock = torch.rand((24, 24, 24), generator=generator) < 0.66
    spiral = torch.ones((24, 24), dtype=torch.bool)
    x, y, way, turns = 0, 0, (0, 1), 0
    spiral[0, 0] = False
    while turns < 2:  # a corridor with walls of one cell between its turns
        ahead, beyond = (x + way[0], y + way[1]), (x + 2 * way[0], y + 2 * way[1])
        solid_ahead = all(0 <= c < 24 for c in ahead) and bool(spiral[ahead])
        if solid_ahead and (not all(0 <= c < 24 for c in beyond) or spiral[beyond]):
            (x, y), turns = ahead, 0
            spiral[x, y] = False
        else:
            way, turns = (way[1], -way[0]), turns + 1
    solid = torch.stack([rock, spiral[:, None, :].expand(24, 24, 24) | (torch.arange(24) % 2 == 1)[None, :, None]])
    for axis, slot in enumerate(problem.faces):
        free = (~solid).double()
        both = free.narrow(axis + 1, 0, 23) * free.narrow(axis + 1, 1, 23)
        slot.narrow(axis + 1, 1, 23).copy_(both)
    problem.run(problem.solver.build())
    pockets = problem.solver.pockets.tensor.unflatten(1, (24, 24, 24))
    for world in range(2):
        found = pockets[world].numpy()
        expected, _ = scipy.ndimage.label(~solid[world].numpy())
        alone = problem.inverse[world].numpy() == 0.0
        assert (found[alone] == -1).all()
        pairs = {(int(a), int(b)) for a, b in zip(found[~alone], expected[~alone], strict=True)}
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) > 5


def test_a_periodic_axis_needs_two_colours():
    with pytest.raises(ValueError, match="periodic axis y has 5 cells; give it an even number"):
        Grid((4, 5, 4), (False, True, False))
