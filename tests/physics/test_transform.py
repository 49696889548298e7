# SPDX-License-Identifier: Apache-2.0
"""Pressure of a box that nothing stands in, at once: against a direct solver, and in projections."""

import math

import numpy as np
import pytest
import torch
import warp as wp

from simenv import _warp
from simenv.physics.gas.kernels_walls import OPEN, PERIODIC, WALL
from simenv.physics.gas.projection import Projection
from simenv.physics.launch.slots import Memory
from simenv.physics.pressure.levels import Grid
from simenv.physics.pressure.solve import Accuracy
from simenv.physics.pressure.transform import TransformSolver

REAL = {torch.float32: wp.float32, torch.float64: wp.float64}
CASES = [  # shape, periodic axes, sides where p is zero half a cell beyond
    ((6, 5, 7), (False, False, False), (0, 0, 0, 0, 0, 0)),
    ((9, 8, 13), (False, True, False), (1, 0, 0, 0, 0, 1)),
    ((2, 12, 1), (True, False, False), (0, 0, 0, 1, 0, 0)),
    ((10, 1, 9), (True, False, False), (0, 0, 0, 0, 0, 0)),
    ((16, 10, 8), (True, True, True), (0, 0, 0, 0, 0, 0)),
]


def solved(shape, periodic, held, dtype, b):
    """The solution of a right-hand side (N, nx, ny, nz), and which worlds have one."""
    _warp.start()
    memory = Memory(len(b), dtype, torch.device("cpu"))
    right, p = (memory.slot(REAL[dtype], *shape, differentiable=False) for _ in range(2))
    solver = TransformSolver(Grid(shape, periodic), held, 1e-6, memory)
    launches = solver.solve(right, memory.slot(REAL[dtype], differentiable=False), p)
    memory.allocate()
    right.tensor.copy_(b)
    for launch in launches:
        launch.forward(memory.wp_device)
    return p.tensor.clone(), solver.done.tensor.tolist()


def matrix(shape, periodic, held):
    """The equation, face by face."""
    number = np.arange(math.prod(shape)).reshape(shape)
    a = np.zeros((number.size, number.size))
    for axis, count in enumerate(shape):
        lines = np.moveaxis(number, axis, 0)
        for at in range(count if periodic[axis] else count - 1):
            for one, other in zip(lines[at].ravel(), lines[(at + 1) % count].ravel(), strict=True):
                a[one, one] += 1.0
                a[other, other] += 1.0
                a[one, other] -= 1.0
                a[other, one] -= 1.0
        for end, side in ((0, 2 * axis), (-1, 2 * axis + 1)):
            for one in lines[end].ravel() if held[side] else ():
                a[one, one] += 2.0
    return a


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("shape", "periodic", "held"), CASES)
def test_solutions_are_those_of_a_direct_solver(shape, periodic, held, dtype):
    b = torch.randn((2, *shape), dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    found, done = solved(shape, periodic, held, dtype, b)
    assert done == [1, 1]
    a = matrix(shape, periodic, held)
    for world in range(2):
        right = b[world].to(dtype).double().numpy().ravel()
        expected = np.linalg.lstsq(a, right if any(held) else right - right.mean(), rcond=None)[0]
        # float32 only rounds what goes in and what comes out
        close = 1e-13 * np.linalg.cond(a, 2) if any(held) and dtype == torch.float64 else 1e-11
        close = close if dtype == torch.float64 else 2.0 * torch.finfo(dtype).eps
        assert np.abs(found[world].double().numpy().ravel() - expected).max() <= close * np.abs(expected).max()


def test_worlds_are_independent_and_numbers_that_are_not_finite_are_told():
    b = torch.randn((3, 8, 6, 4), generator=torch.Generator().manual_seed(4))
    alone, _ = solved((8, 6, 4), (False,) * 3, (0,) * 6, torch.float32, b[2:])
    b[1, 3, 3, 3] = math.nan
    found, done = solved((8, 6, 4), (False,) * 3, (0,) * 6, torch.float32, b)
    assert done == [1, 0, 1]
    assert torch.equal(found[2], alone[0])


@pytest.mark.parametrize(
    "kinds", [(WALL,) * 6, (WALL, OPEN, WALL, WALL, OPEN, WALL), (PERIODIC, PERIODIC, *(WALL,) * 4)]
)
def test_projections_with_and_without_iterations_agree(kinds):
    _warp.start()
    shape, periodic = (12, 8, 10), (kinds[0] == PERIODIC, False, False)
    after = []
    for obstructed in (False, True):
        memory = Memory(1, torch.float64, torch.device("cpu"))
        grid = Grid(shape, periodic)
        p = Projection(grid, kinds, Accuracy(1e-13, 60), 1e9, memory, obstructed)
        before, ends = ([memory.slot(wp.float64, *grid.faces(axis)) for axis in range(3)] for _ in range(2))
        b, phi = (memory.slot(wp.float64, *shape) for _ in range(2))
        launches = [*p.prepare(), *p.project(before, ends, b, phi), *p.see_spilled(ends, b)]
        memory.allocate()
        p.reset()
        generator = torch.Generator().manual_seed(5)
        for slot in before:
            slot.tensor.copy_(torch.randn(slot.tensor.shape, generator=generator, dtype=torch.float64))
        for axis, slot in enumerate(before):  # closed walls
            for end, side in ((0, 2 * axis), (slot.tensor.shape[axis + 1] - 1, 2 * axis + 1)):
                if kinds[side] == WALL:
                    slot.tensor.narrow(axis + 1, end, 1).zero_()
        for launch in launches:
            launch.forward(memory.wp_device)
        assert not p.failed.tensor.any()
        assert p.spilled.tensor.item() < 1e-11
        after.append([slot.tensor.clone() for slot in ends])
    for one, other in zip(*after, strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=0.0)


def test_a_projection_that_ends_too_early_says_so():
    _warp.start()
    memory, grid = Memory(1, torch.float64, torch.device("cpu")), Grid((12, 8, 10))
    p = Projection(grid, (WALL,) * 6, Accuracy(1e-14, 1), 1e9, memory, obstructed=True)
    before, ends = ([memory.slot(wp.float64, *grid.faces(axis)) for axis in range(3)] for _ in range(2))
    launches = p.project(before, ends, *(memory.slot(wp.float64, 12, 8, 10) for _ in range(2)))
    memory.allocate()
    p.reset()
    before[0].tensor[:, 1:-1].normal_(generator=torch.Generator().manual_seed(6))
    for launch in [*p.prepare(), *launches]:
        launch.forward(memory.wp_device)
    assert p.failed.tensor.tolist() == [1]
