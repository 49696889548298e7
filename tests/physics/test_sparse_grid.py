# SPDX-License-Identifier: Apache-2.0
"""The sparse grid: equal to the dense one, memory, overflow, and a flight through a box that no dense grid fits."""

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint

import simenv
from simenv import _threads
from simenv.geometry.shapes import Cup, Sphere
from simenv.physics import status
from simenv.physics.mpm.blocks import BLOCK, BLOCK_NODES, BlockLayout, touched_blocks
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.physics.mpm.model import PAD
from simenv.world import Control, Scene, World
from tests.gradients.scenes import Problem, central_differences, direction, plateau, press_scene
from tests.verification.worlds import lattice

DX = 0.02
SUMS = ("wrench", "twist", "body_q", "ball.friction", "floor.friction", "gravity")  # over nodes, in another order


def pour_scene(grid, blocks=None, boundary=("outflow", "slip", "separate")):
    """Liquid and a soft block slosh in a moving cup, over its rim and onto a ball; some of it leaves the domain."""
    scene = Scene((0.3, 0.22, 0.26), DX, 4.0e-4, 10, boundary=boundary, grid=grid, blocks=blocks)
    scene.add_material("water", Liquid(1000.0, 4.0e4, 0.2))
    scene.add_material("gel", Elastic(900.0, 3.0e4, 0.3))
    scene.add_particles("w", "water", lattice((0.08, 0.07, 0.10), (0.16, 0.15, 0.17), DX / 2), (DX / 2) ** 3)
    scene.add_particles("g", "gel", lattice((0.10, 0.09, 0.19), (0.14, 0.13, 0.22), DX / 2), (DX / 2) ** 3)
    scene.add_body("hand", position=(0.12, 0.11, 0.08), quaternion=(0.0, 0.1, 0.0, 1.0))
    scene.add_collider("cup", Cup(0.06, 0.09, 0.01, 0.01), "hand", width=0.005, friction=0.2)
    scene.add_collider("ball", Sphere(0.04), position=(0.24, 0.11, 0.02), friction=0.3, width=0.02)
    return scene


def pour(world, steps, state=None):
    state = state or world.initial_state()
    twist = torch.zeros(world.num_worlds, 1, 6, dtype=world.dtype)
    twist[..., 0], twist[..., 4] = 0.3, 4.0
    with torch.no_grad():
        for _ in range(steps):
            state = world.step(state, Control(twist))
    return state


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_dense_grid_bit_for_bit(dtype):
    # Per node the same numbers are added in the same order. A collider's wrench is a sum over nodes, in the order of
    # the storage: n terms of mixed sign differ by at most n eps times the sum of their sizes (Higham 2002, eq. 4.4).
    dense, sparse = (pour(World(pour_scene(grid), 1, dtype=dtype), 60) for grid in ("dense", "sparse"))
    assert (dense.status == 0).all()
    assert not dense.active.all() and dense.active.float().mean() > 0.5
    assert dense.wrench.abs().amax((0, 2)).min() > 0.01
    for name, value in dense.items():
        if name == "wrench":
            bound = 1e4 * torch.finfo(dtype).eps * float(value.abs().max())
            assert (value - sparse.wrench).abs().max() < bound
        else:
            assert torch.equal(value, sparse[name]), name


@pytest.mark.parametrize("material", ["two_materials", "sand"])
def test_gradients_equal_those_of_the_dense_grid(material):
    results = []
    for grid in ("dense", "sparse"):
        scene = press_scene(material)
        scene.grid = grid
        results.append(Problem(scene, steps=5).gradients())
    # As compilers fuse multiply-adds of the reverse sweep in their own way, and as sums over nodes have another order,
    # they differ by rounding: 2^-53 for each of some 1000 operations in each of 25 substeps is 3e-12.
    for name, value in results[0].items():
        error = float((value - results[1][name]).abs().max() / value.abs().max().clamp(min=1e-300))
        print(f"measured {name}: {error:.1e}")
        assert error < (1e-9 if name in SUMS else 3e-12), name


def test_gradients_against_central_differences():
    def problem(worlds):
        scene = press_scene("two_materials")
        scene.grid = "sparse"
        return Problem(scene, worlds, steps=8)

    names = ("twist", "x", "a.bulk_modulus", "b.youngs_modulus", "body_q", "gravity")
    one = problem(1)
    grads = one.gradients()
    slopes = central_differences(problem, names, seed=4)
    for name in names:
        exact = float((grads[name][0] * direction(name, one.leaves[name][0], 4)).sum())
        numeric = plateau(slopes[name])
        assert abs(numeric) > 1e-9
        assert exact == pytest.approx(numeric, rel=1e-5), name


def drop_scene(cells, blocks=None, grid="sparse", velocity=(0.0, 0.0, 0.0), gravity=-9.81, start=None, most=None):
    """A cube of liquid, eight cells wide, in a cubic box of `cells`^3."""
    side = cells * DX
    scene = Scene((side,) * 3, DX, 5.0e-4, 20, (0.0, 0.0, gravity), grid=grid, blocks=blocks, max_substeps=most)
    scene.add_material("water", Liquid(1000.0, 2.0e4))
    corner = np.full(3, 0.5 * side) if start is None else np.asarray(start)
    points = lattice(corner, corner + 8 * DX, DX / 2)
    scene.add_particles("p", "water", points, (DX / 2) ** 3, velocity)
    return scene


def grid_bytes(world):
    """Bytes of the grids and of the table of a program."""
    stepper = world.engine.program().steppers["particles"]
    table = sum(t.nbytes for name, t in stepper.tensors.items() if name.startswith("blocks_"))
    grids = sum(t.nbytes for name, t in stepper.tensors.items() if name in ("grid_velocity", "adj_grid"))
    return grids + sum(t.nbytes for t in stepper._momentum), table


@pytest.mark.parametrize("gradient", [False, True])
def test_memory_follows_the_material(gradient):
    sizes = []
    for cells in (64, 512, 1024):
        world = World(drop_scene(cells), 1)
        state = world.initial_state()
        v = state.v.clone().requires_grad_(gradient)
        state = world.step(state.replace(v=v), world.zero_control())
        if gradient:
            state.x.sum().backward()
        assert (state.status == 0).all()
        sizes.append(grid_bytes(world))
        grids = 2 + 20 if gradient else 2  # velocity, momentum; with gradients that of every substep, and an adjoint
        assert sizes[-1][0] == grids * (world.particles.model.blocks + 2) * BLOCK_NODES * 16
        nodes = cells + 1 + 2 * PAD
        assert sizes[-1][1] < (nodes / BLOCK + 32) ** 2 * (nodes / BLOCK + 64) * 2.5 / 8 + 10_000  # 2.25 bits a block
    assert sizes[0][0] == sizes[1][0] == sizes[2][0]
    dense = grids * 1031**3 * 16
    print(f"\nmeasured: 1024^3 cells: {sum(sizes[2]) / 2**20:.1f} MiB, dense {dense / 2**30:.1f} GiB")
    assert sum(sizes[2]) < 1e-3 * dense


def flight(steps, cells, speed):
    """The drop crosses the box diagonally without gravity: it has to arrive where it aims, undeformed."""
    start = (1.0, 1.0, 1.0)
    world = World(drop_scene(cells, velocity=(speed,) * 3, gravity=0.0, start=start), 1, dtype=torch.float64)
    state = world.initial_state()
    x = state.x.clone()
    with torch.no_grad():
        for _ in range(steps):
            state = world.step(state, world.zero_control())
    assert (state.status == 0).all()
    path = speed * steps * world.dt
    assert start[0] + path > 0.6 * cells * DX
    # free flight keeps every velocity, and sums of positions round off: P steps of eps |x| each
    bound = steps * world.substeps * 2.0**-52 * cells * DX * 100
    assert (state.x - x - path).abs().max() < bound
    stepper = world.engine.program().steppers["particles"]
    assert int(stepper.tensors["blocks_count"]) <= stepper.model.blocks


def test_a_flight_through_a_box_that_no_dense_grid_fits():
    flight(60, 1000, 20.0)


@pytest.mark.slow
def test_a_long_flight_through_a_box_of_two_thousand_cells():
    flight(200, 2000, 15.0)


def test_a_fall_onto_the_floor_equals_that_in_a_small_box():
    # far from the walls the size of the box does not matter, until a splash has amplified rounding
    states = []
    for cells, corner in ((64, 16), (1024, 512)):
        scene = drop_scene(cells, blocks=1000, start=(corner * DX, corner * DX, 4 * DX))
        world = World(scene, 1, dtype=torch.float64)
        state = world.initial_state()
        with torch.no_grad():
            for _ in range(15):  # it lands after 0.128 s, in step 13
                state = world.step(state, world.zero_control())
        assert (state.status == 0).all()
        states.append((state.x - corner * DX * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64), state.v))
    (x, v), (other_x, other_v) = states
    assert 0.0 < x[..., 2].amin() < 0.01  # without the floor it would be at -0.025 m
    assert (x - other_x).abs().max() < 1e-10 and (v - other_v).abs().max() < 1e-8


def test_overflow_stops_the_world_with_a_remedy():
    start = World(pour_scene("sparse"), 2).initial_state()
    x = start.x.clone()
    x[1, :, 0] += DX * (torch.arange(x.shape[1]) % 6)  # spread along x: more blocks
    needed, more = (touched_blocks(x[n].double().numpy(), -PAD * DX * np.ones(3), DX) for n in (0, 1))
    assert needed + 4 < more
    world = World(pour_scene("sparse", blocks=needed + 4), 2)
    state = pour(world, 1, start.replace(x=x))
    assert state.status[0] == 0
    assert state.status[1] & status.BLOCKS_FULL  # and perhaps others: after it, what the step computes is void
    assert torch.equal(state.x[1], x[1]) and torch.equal(state.v[1], start.v[1])
    assert "raise the scene's blocks" in status.describe(int(state.status[1]))
    # after a reset it is itself again: nothing of the overflow is left in the table
    fresh = pour(world, 2)
    assert (fresh.status == 0).all()
    assert torch.equal(fresh.x[0], fresh.x[1])
    assert torch.equal(fresh.x[:1], pour(World(pour_scene("sparse", blocks=400), 1), 2).x)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_world_does_not_depend_on_its_neighbours_or_threads(monkeypatch, threads):
    monkeypatch.setattr(_threads, "_num_threads", None)
    simenv.set_num_threads(threads)
    world = World(pour_scene("sparse"), 4)
    start = world.initial_state()
    v = start.v + torch.linspace(-0.5, 0.5, 4)[:, None, None]
    together = pour(world, 8, start.replace(v=v))
    for index in range(4):
        one = World(pour_scene("sparse"), 1)
        alone = pour(one, 8, one.initial_state().replace(v=v[index : index + 1]))
        for name, value in alone.items():
            assert torch.equal(value[0], together[name][index]), name


def test_with_adaptive_substeps_and_a_checkpoint():
    def gradient(grid):
        scene = drop_scene(32, grid=grid, most=40)
        scene.add_collider("ball", Sphere(0.05), position=(0.4, 0.4, 0.28), width=DX)
        world = World(scene, 2, dtype=torch.float64)
        world.parameters["water.bulk_modulus"] = torch.tensor([2.0e4, 5.0e5], dtype=torch.float64)
        state = world.initial_state()
        v = state.v.clone().requires_grad_()
        state = state.replace(v=v)

        def run(state, steps):
            for _ in range(steps):
                state = world.step(state, world.zero_control())
            return state

        for _ in range(2):
            state = checkpoint(run, state, 2, use_reentrant=False)
        (state.x.square().sum() + state.v.square().sum()).backward()
        return state, v.grad

    (dense, dense_grad), (sparse, sparse_grad) = gradient("dense"), gradient("sparse")
    assert dense.substeps.tolist() == sparse.substeps.tolist() == [20, 40]
    assert torch.equal(dense.x, sparse.x)
    assert (dense_grad - sparse_grad).abs().max() < 1e-10 * dense_grad.abs().max()


def test_layout_and_marks():
    layout = BlockLayout.of((9, 4, 200))
    assert (layout.columns, layout.row_words, layout.words) == ((3, 1), 2, 6)
    assert touched_blocks(np.array([[0.5, 0.5, 0.5]]), np.zeros(3), 1.0) == 1
    assert touched_blocks(np.array([[3.0, 3.0, 3.0]]), np.zeros(3), 1.0) == 8
    assert touched_blocks(np.array([[3.0, 1.6, 1.6], [3.1, 1.6, 1.6]]), np.zeros(3), 1.0) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": "tree"}, r"grid = 'tree'; use 'dense' or 'sparse'"),
        ({"blocks": 100}, r"blocks = 100 with grid = 'dense'; it is the capacity of a sparse grid"),
        ({"grid": "sparse", "blocks": 0}, r"blocks = 0 with grid = 'sparse'.*at least 1"),
        (
            {"grid": "sparse", "boundary": "periodic"},
            r"a sparse grid cannot have a periodic boundary; use grid='dense'",
        ),
        ({"grid": "sparse", "blocks": 2**26}, r"1 worlds have 4294967424 nodes, the limit is 2147483647; use at most"),
        ({"size": (26.0,) * 3}, r"the limit is 2147483647; use a coarser dx, a smaller box, .* or grid='sparse'"),
    ],
)
def test_what_it_cannot_do_is_named(changes, message):
    def build():
        scene = Scene(**{"size": (0.4,) * 3, "dx": DX, "substep_dt": 5.0e-4, "substeps": 2, **changes})
        scene.add_material("water", Liquid(1000.0, 2.0e4))
        scene.add_particles("p", "water", np.full((1, 3), 0.2), 1e-6)
        World(scene, 1).engine.program()

    with pytest.raises(ValueError, match=message):
        build()
