# SPDX-License-Identifier: Apache-2.0
"""Bodies that an incompressible liquid moves: balls rise and sink, boxes float and stand, and nothing enters them."""

from functools import lru_cache

import numpy as np
import pytest

from simenv.geometry.shapes import Box, Cup, Plane, Shape, Sphere
from simenv.physics.mpm.materials import Liquid
from simenv.physics.rotation import quaternion_to_matrix
from simenv.world import Scene, State, World
from tests.verification.worlds import lattice

DX, DT, TICKS = 0.01, 0.005, 4
RADIUS = 0.03  # of the balls [m]
HALF = 0.02  # of the boxes that stand [m]


def _tank(width: float, height: float, points: np.ndarray) -> Scene:
    scene = Scene((width, width, height), DX, DT, TICKS)
    scene.add_material("water", Liquid(1000.0, viscosity=0.001, incompressible=True))
    scene.add_particles("water", "water", points, (0.5 * DX) ** 3)
    return scene


def _around(shape: Shape, place: tuple[float, float, float], width: float, level: float) -> np.ndarray:
    """Water up to a level [m] beside a body."""
    points = lattice((0.0, 0.0, 0.0), (width, width, level), 0.5 * DX)
    return points[shape.signed_distance(points - np.array(place)) > 0.0]


def _deepest(world: World, state: State, shape: Shape) -> float:
    """How far particles are inside the body [m], at most."""
    pose = world.bodies["body"].pose(state)[0].double()
    local = (state.x[0].double() - pose[:3]) @ quaternion_to_matrix(pose[3:])
    return -float(shape.signed_distance(local.numpy()).min())


def _step(world: World, state: State) -> State:
    state = world.step(state, world.zero_control())
    assert state.status.item() == 0, world.parameters.explain(state.status, 0)
    return state


DENSITIES = [200.0, *(pytest.param(each, marks=pytest.mark.slow) for each in (5.0, 2500.0, 7800.0))]


@pytest.mark.parametrize("density", DENSITIES)
def test_a_ball_rises_or_sinks(density) -> None:
    """Its speed after 160 ms is that of added mass, rho V / 2, and of a drag of C_D = 0.47 (White 2016, Fluid
    Mechanics, section 7.6), within 15 %, in a tank 8 radii wide; and at first, before there is a wake, within 3 %.
    """
    width, height = 0.24, 0.3
    start = height * (0.35 if density < 1000.0 else 0.65)
    place = (0.5 * width + 0.0013, 0.5 * width - 0.0017, start + 0.0021)  # off nodes
    scene = _tank(width, height, _around(Sphere(RADIUS), place, width, height - 0.04))
    scene.add_body("body", Sphere(RADIUS), density, place, motion="free")
    world = World(scene, 1)
    state, theory = world.initial_state(), 0.0
    for step in range(8):
        state = _step(world, state)
        for _ in range(200):
            drag = 0.47 * 0.375 / RADIUS * 1000.0 * abs(theory) * theory
            theory += 1e-4 * ((1000.0 - density) * 9.81 - drag) / (density + 500.0)
        speed = world.bodies["body"].twist(state)[0, 2].item()
        assert _deepest(world, state, Sphere(RADIUS)) < 0.5 * DX
        assert speed == pytest.approx(theory, rel=0.03 if step == 0 else 0.25)
    print(f"\nmeasured {density} kg/m^3: {speed:.3f} m/s, theory {theory:.3f}")
    assert speed == pytest.approx(theory, rel=0.15)


@pytest.mark.slow
def test_a_ball_that_weighs_next_to_nothing_floats() -> None:
    """Of 5 kg/m^3: it rises, is thrown out, falls back and lies on the surface; no water gets into it. At rest the
    water carries its weight.
    """
    width, level, place, shape = 0.16, 0.1, (0.08, 0.08, 0.06), Sphere(RADIUS)
    scene = _tank(width, 0.2, _around(shape, place, width, level))
    scene.add_walls()
    scene.add_body("body", shape, 5.0, place, motion="free")
    world = World(scene, 1)
    ball, weight = world.bodies["body"], 9.81 * world.parameters["body.mass"].item()
    state, seen = world.initial_state(), []
    for _ in range(250):
        state = _step(world, state)
        assert _deepest(world, state, shape) < 0.5 * DX
        seen.append((ball.pose(state)[0, 2].item(), ball.wrench(state)[0, 2].item() / weight,
                     ball.twist(state)[0, :3].norm().item()))  # fmt: skip
    heights, forces, speeds = np.array(seen).T
    top = level - 4.0 / 3.0 * np.pi * RADIUS**3 / width**2  # of the water without the ball
    assert heights.max() - RADIUS > top  # it left the water
    assert heights[-75:].mean() - RADIUS == pytest.approx(top, abs=0.5 * DX)  # its draft is an eighth of a cell
    assert forces[-75:].mean() == pytest.approx(1.0, abs=0.1)
    assert speeds[-75:].max() < 0.15


STACKS = [(2, 1500.0, 0.10), *(pytest.param(5, each, 0.24, marks=pytest.mark.slow) for each in (900.0, 2000.0))]


@pytest.mark.parametrize(("count", "density", "level"), STACKS)
def test_boxes_stand_on_each_other_under_water(count, density, level) -> None:
    """For half a second: none sinks into what it stands on by more than 0.05 mm, moves by 0.2 mm or tilts by 1 mrad.
    As no water is below them, those that are lighter than it stand too.
    """
    width, height = 0.10, 2.0 * HALF * count
    points = lattice((0.0, 0.0, 0.0), (width, width, level), 0.5 * DX)
    beside = (np.abs(points[:, :2] - 0.5 * width) > HALF).any(1) | (points[:, 2] > height)
    scene = _tank(width, level + 0.04, points[beside])
    scene.add_body("floor", Plane(), motion="fixed")
    for n in range(count):
        place = (0.5 * width, 0.5 * width, HALF * (2 * n + 1))
        scene.add_body(f"box {n}", Box((HALF,) * 3), density, place, motion="free")
    world = World(scene, 1)
    state = start = world.initial_state()
    for _ in range(25):
        state = _step(world, state)
    rows = [world.bodies[f"box {n}"].index for n in range(count)]
    pose, before = state.body_q[0, rows], start.body_q[0, rows]
    assert (pose[1:, 2] - pose[:-1, 2]).min().item() > 2.0 * HALF - 5e-5
    assert (pose[:, :3] - before[:, :3]).abs().max().item() < 2e-4
    assert pose[:, 3:6].abs().max().item() < 5e-4
    assert max((HALF - (state.x[0] - each[:3]).abs()).amin(-1).max().item() for each in pose) < 0.5 * DX


ENTERED = {  # shape, kg/m^3, where, level of the water [m]
    "a box below it": (Box((0.04, 0.04, 0.025)), 3000.0, (0.06, 0.06, 0.025), 0.1),
    "a cup of a cell": (Cup(0.025, 0.06, 0.01, 0.01), 3000.0, (0.06, 0.06, 0.0), 0.05),
    "a ball afloat": (Sphere(0.03), 500.0, (0.06, 0.06, 0.07), 0.07),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTERED)
def test_no_water_enters(name) -> None:
    """For 10 s none is deeper than a hundredth of a cell in a body on the floor of a pool, or afloat."""
    shape, density, place, level = ENTERED[name]
    scene = _tank(0.12, 0.16, _around(shape, place, 0.12, level))
    scene.add_walls()
    scene.add_body("body", shape, density, place, motion="free")
    world = World(scene, 1)
    state, deepest = world.initial_state(), 0.0
    for _ in range(500):
        state = _step(world, state)
        deepest = max(deepest, _deepest(world, state, shape))
    print(f"\nmeasured, {name}: {1e3 * deepest:.3f} mm inside at most")
    assert deepest < 0.01 * DX


TALL, SIDE, WIDTH, LEVEL = 0.04, 0.06, 0.12, 0.07
PLACES = {"at nodes": (0.0, 0.0), "off nodes": (0.0037, -0.0021)}  # [m], from the middle of the tank


@lru_cache
def _draft(density: float, place: str) -> tuple[float, float]:
    """Draft of a box, flat enough to float upright, over Archimedes', by the volume of water about it, and the force on
    it over its weight. Means over the second of two seconds, through its heave.
    """
    bottom, shape = LEVEL - density / 1000.0 * TALL, Box((0.5 * SIDE, 0.5 * SIDE, 0.5 * TALL))
    x, y = (0.5 * WIDTH + each for each in PLACES[place])
    at = (x, y, bottom + 0.5 * TALL)
    points = _around(shape, at, WIDTH, LEVEL)
    scene = _tank(WIDTH, 0.16, points)
    scene.add_walls()
    scene.add_body("body", shape, density, at, motion="free")
    world = World(scene, 1)
    state, seen = world.initial_state(), []
    for _ in range(100):
        state = _step(world, state)
        seen.append((world.bodies["body"].pose(state)[0, 2].item(), world.bodies["body"].wrench(state)[0, 2].item()))
        assert _deepest(world, state, shape) < 0.5 * DX
    height, force = np.mean(seen[50:], 0)
    beside = len(points) * (0.5 * DX) ** 3 - WIDTH**2 * (height - 0.5 * TALL)
    draft = beside / (WIDTH**2 - SIDE**2) / (density / 1000.0 * TALL)
    print(f"\nmeasured {density} kg/m^3, {place}: {draft:.4f} of the draft")
    return draft, force / (9.81 * world.parameters["body.mass"].item())


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("density", [300.0, 500.0, 700.0])
def test_a_box_keeps_its_draft_and_is_borne(density, place) -> None:
    """Within 5 % of Archimedes', and 1 % of its weight."""
    draft, force = _draft(density, place)
    assert force == pytest.approx(1.0, abs=0.01)
    assert draft == pytest.approx(1.0, abs=0.05)


DEEP = pytest.mark.xfail(reason="measured up to 1.046: a face feels pressure with an error of a part of a cell")


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("density", [300.0, pytest.param(500.0, marks=DEEP), pytest.param(700.0, marks=DEEP)])
def test_the_draft_is_that_of_archimedes(density, place) -> None:
    assert _draft(density, place)[0] == pytest.approx(1.0, abs=0.03)
