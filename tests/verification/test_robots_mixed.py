# SPDX-License-Identifier: Apache-2.0
"""Links of robots in liquids and under gels: what they feel is what the others lose, and what their joints hold."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Sphere
from simenv.physics.mpm.contact import AT_NODES
from simenv.physics.mpm.materials import Liquid
from simenv.physics.rotation import rotate
from simenv.robots import Inertial, Joint, JointDrive, Link, Tree
from simenv.sensors.tactile import ElasticLayerGel, WinklerGel, flat_grid
from simenv.world import Control, Scene, World
from tests.verification.cases.base import hydrostatic_ratio, node_wall
from tests.verification.test_mixed import flying, of_particles
from tests.verification.worlds import lattice

DOUBLE, G = torch.float64, 9.81


def ball(mass: float, radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Inertial:
    """What a ball weighs."""
    moment = 0.4 * mass * radius**2
    return Inertial(mass, centre, ((moment, 0.0, 0.0), (0.0, moment, 0.0), (0.0, 0.0, moment)))


# --------------------------------------------------------------------------------------------------------- wading

SWING = Joint("swing", "revolute", axis=(0.0, 1.0, 0.0), damping=0.05)
ARM = Tree(
    "arm",
    (
        Link("upper", None, SWING, ball(2.0, 0.05, (0.0, 0.0, 0.05))),
        Link("lower", "upper", Joint("bend", "revolute", (0.0, 0.0, 0.1), axis=(1.0, 0.0, 0.0)), ball(1.5, 0.05)),
        Link("tip", "lower", Joint("flange", "fixed", (0.0, 0.02, 0.04), (0.1, 0.2, 0.0, 0.9746794344808963))),
    ),
)  # fmt: skip
RAFT = Tree(
    "raft",
    (
        Link("upper", None, Joint("float", "free"), ball(3.0, 0.06, (0.005, 0.0, 0.01))),
        Link("lower", "upper", Joint("neck", "ball", (0.0, 0.0, 0.1), damping=0.01), ball(1.5, 0.05)),
        Link("tip", "lower", Joint("flange", "fixed", (0.0, 0.02, 0.04), (0.1, 0.2, 0.0, 0.9746794344808963))),
    ),
)  # fmt: skip
BUOY = Tree("buoy", (Link("upper", None, Joint("float", "free"), ball(3.0, 0.06)),))
WADERS = {"fixed base": ARM, "floating": RAFT}


def waded(tree: Tree, ticks: int, particle_substeps: int | None = None) -> World:
    """A block of liquid without gravity flies at a robot's links."""
    scene = flying("liquid", ticks, particle_substeps)
    drive = JointDrive(0.0 if tree.links[0].joint.kind == "free" else 30.0, 0.1)
    scene.add_robot("robot", tree, (0.28, 0.24, 0.16), (0.1, 0.05, 0.2, 0.97), drive=drive)
    scene.add_collider("shin", Box((0.025, 0.03, 0.03)), "robot/upper", (0.0, 0.0, 0.04), friction=0.4)
    if len(tree.links) > 1:
        scene.add_collider("foot", Sphere(0.03), "robot/lower", (0.0, 0.01, 0.02), friction=0.2, width=0.01)
        scene.add_collider("toe", Sphere(0.02), "robot/tip", (-0.01, 0.0, 0.0), stick=True)
    return World(scene, 1, dtype=DOUBLE)


def exchanged(world: World, steps: int) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    """Momentum and angular momentum, about the world's origin, that the liquid had in the beginning, those at the end,
    and impulses and their moments on the links over all control steps, (3,) each; forces act where the links' frames
    are at the start of each; what links have yet to get counts.
    """
    state = world.initial_state()
    first = [each[0] for each in of_particles(world, state)]
    felt, most = [torch.zeros(3, dtype=DOUBLE) for _ in range(2)], {}
    for _ in range(steps):
        before, state = state, world.step(state, Control())
        for link in world.robots["robot"].links:
            body = world.bodies[f"robot/{link}"]
            force, torque = body.wrench(state)[0].split(3)
            felt[0] = felt[0] + world.dt * force
            felt[1] = felt[1] + world.dt * (torque + torch.linalg.cross(body.pose(before)[0, :3], force))
            most[link] = max(most.get(link, 0.0), float(force.norm()))
    assert (state.status == 0).all()
    assert min(most.values()) > 0.1, "all links must have met the liquid"
    for link in world.robots["robot"].links if "owed" in state else ():
        body = world.bodies[f"robot/{link}"]
        push, turn = state.owed[0, body.index].split(3)
        felt = [felt[0] + push, felt[1] + turn + torch.linalg.cross(body.pose(state)[0, :3], push)]
    return first, [each[0] for each in of_particles(world, state)], felt


@pytest.mark.parametrize("rate", [None, 4], ids=["equal", "four substeps a tick"])
@pytest.mark.parametrize("name", WADERS)
def test_links_feel_what_a_liquid_loses(name, rate):
    first, last, felt = exchanged(waded(WADERS[name], 1, rate), 400)
    errors = [float((b - a + f).norm() / (b - a).norm()) for a, b, f in zip(first, last, felt, strict=True)]
    print(f"\nmeasured: {float(felt[0].norm()):.3f} kg m/s, {float(felt[1].norm()):.4f} kg m^2/s; off by {errors}")
    assert float(felt[0].norm()) > 0.1 and float(felt[1].norm()) > 0.01
    assert max(errors) < 1e-12


@pytest.mark.parametrize("name", WADERS)
def test_impulses_are_exact_over_several_ticks(name):
    """The mean moment over ticks is about frames that move, so that only the impulse can be summed from outside."""
    first, last, felt = exchanged(waded(WADERS[name], 8), 50)
    assert float((last[0] - first[0] + felt[0]).norm()) < 1e-12 * float(felt[0].norm())


@pytest.mark.parametrize("rate", [None, 32, 2], ids=["equal", "four substeps a tick", "four ticks a substep"])
def test_a_floating_ball_gains_what_a_liquid_loses(rate):
    """Without gyroscopic forces a leapfrog kicks by the impulse itself, at the place where it was felt: momentum and
    angular momentum of both together stay, to rounding.
    """
    world, mass = waded(BUOY, 8, rate), 3.0
    inertia = BUOY.links[0].inertial.inertia[0][0]

    def both(state) -> list[torch.Tensor]:
        push, turn = mass * state.joint_qd[0, :3], inertia * state.joint_qd[0, 3:]
        if "owed" in state:  # what the ball has yet to get
            more = state.owed[0, world.bodies["robot/upper"].index]
            push, turn = push + more[:3], turn + more[3:]
        return [push, turn + torch.linalg.cross(state.joint_q[0, :3], push)]

    state = world.initial_state()
    start, first = both(state), [each[0] for each in of_particles(world, state)]
    for _ in range(50):
        state = world.step(state, Control())
    assert (state.status == 0).all()
    gained = [b - a for a, b in zip(start, both(state), strict=True)]
    lost = [b[0] - a for a, b in zip(first, of_particles(world, state), strict=True)]
    errors = [float((a + b).norm() / a.norm()) for a, b in zip(gained, lost, strict=True)]
    print(f"\nmeasured: {float(gained[0].norm()):.3f} kg m/s, {float(gained[1].norm()):.4f} kg m^2/s; off by {errors}")
    assert float(gained[0].norm()) > 0.1 and max(errors) < 1e-12


# -------------------------------------------------------------------------------------------------------- buoyancy

RADIUS, DEPTH, WIDE = 0.04, 0.16, 0.24  # of the ball, of the pool, its side [m]


def pool(cells: int) -> tuple[World, torch.Tensor]:
    """A ball of twice water's density hangs on a prismatic joint in the middle of a pool of a viscous liquid at rest;
    and the liquid's volume ratios.

    The ball holds all components of what is at nodes half a cell outside of it, as walls of `node_wall` do.
    """
    dx = RADIUS / cells
    bulk = 1000.0 * 64 * G * DEPTH  # sound at 8 sqrt(g h)
    ticks = math.ceil(0.02 / (0.3 * dx / math.sqrt(bulk / 1000.0)))
    floor = 1.5 * dx
    scene = Scene((WIDE, WIDE, dx * math.ceil((floor + 1.3 * DEPTH) / dx)), dx, 0.02 / ticks, ticks,
                  boundary=("slip", "slip", "separate"))  # fmt: skip
    scene.add_material("liquid", Liquid(1000.0, bulk, 20.0))
    points = lattice((0.0, 0.0, floor), (WIDE, WIDE, floor + DEPTH), dx / 2)
    middle = np.array([WIDE / 2, WIDE / 2, floor + DEPTH / 2])
    points = points[np.linalg.norm(points - middle, axis=1) > RADIUS]
    scene.add_particles("pool", "liquid", points, (dx / 2) ** 3)
    node_wall(scene, "floor", (0.0, 0.0, floor))
    mass = 2000.0 * 4 / 3 * math.pi * RADIUS**3
    tree = Tree("lift", (Link("ball", None, Joint("lift", "prismatic", damping=20.0), ball(mass, RADIUS)),))
    scene.add_robot("arm", tree, tuple(middle), drive=JointDrive(2e3, 50.0))
    scene.add_collider("ball", Sphere(RADIUS + 0.5 * dx), "arm/ball", stick=True, levels=AT_NODES)
    ratio = hydrostatic_ratio(floor + DEPTH - points[:, 2], 1000.0, bulk)
    return World(scene, 1), torch.as_tensor(ratio).float()[None]


@pytest.mark.parametrize("cells", [4, pytest.param(5, marks=pytest.mark.slow)])
def test_a_joint_holds_the_weight_of_a_ball_in_a_pool_less_its_buoyancy(cells):
    """F = rho g V, Archimedes. Where a surface acts is known to a tenth of a cell, which is 3 / 40 of V at 4 cells.

    Measured at 4, 5, 6 and 8 cells a radius: 1.001, 0.996, 0.988 and 0.994 of it; in a pool that is 4 instead of 6
    radii wide 0.97 to 0.98, at any of these.
    """
    world, ratio = pool(cells)
    state, target = world.initial_state().replace(J=ratio), torch.zeros(1, 1)
    drives, wrenches = [], []
    for step in range(40):
        state = world.step(state, world.control(joints={"arm": target}))
        if step >= 25:
            drives.append(2e3 * float(target - state.joint_q))
            wrenches.append(float(world.bodies["arm/ball"].wrench(state)[0, 2]))
    assert (state.status == 0).all()
    volume = 4 / 3 * math.pi * RADIUS**3
    weight, lift = 2000.0 * volume * G, 1000.0 * volume * G
    found = weight - np.array(drives)
    share, spread, felt = found.mean() / lift, np.ptp(found) / lift, np.mean(wrenches) / lift
    print(f"\nmeasured, {cells} cells: {share:.4f} of rho g V, spread {spread:.4f}; wrench {felt:.4f}")
    assert np.mean(wrenches) == pytest.approx(found.mean(), abs=2e-3 * lift)  # what still moves takes the rest
    assert found.mean() == pytest.approx(lift, rel=0.02)


# ------------------------------------------------------------------------------------------------------------ gels

GELS = {"springs": WinklerGel(2e7, 1e7, 0.7), "elastic": ElasticLayerGel(6e4, 0.7, 0.45, 3e-3)}
DOWN, UP = (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)


def moment_about(world: World, state, gel: str, place: torch.Tensor) -> torch.Tensor:
    """Moment of a gel's own reading about a place [N m], (3,), world axes."""
    view = world.gels[gel]
    pose, wrench = view.pose(state), view.wrench(state)
    force, torque = rotate(pose[:, 3:], wrench[:, :3])[0], rotate(pose[:, 3:], wrench[:, 3:])[0]
    return torque + torch.linalg.cross(pose[0, :3] - place, force)


def rested(world: World, control: Control, steps: int):
    """The state when nothing moves any more."""
    state = world.initial_state()
    for _ in range(steps):
        state = world.step(state, control)
    assert (state.status == 0).all()
    assert float(state.body_twist.abs().max()) < 1e-8 and float(state.joint_qd.abs().max()) < 1e-8
    return state


@pytest.mark.parametrize("law", GELS)
def test_a_joint_holds_what_a_gel_presses_on_a_body_that_stands(law):
    """k (q* - q) + weight's moment + moment of the gel's force about the joint = 0, at rest."""
    scene = Scene(substep_dt=2e-4, substeps=50)
    scene.add_body("bump", Sphere(0.02), motion="fixed", position=(0.2, 0.005, 0.0))
    mass, centre, stiffness, height = 0.4, 0.15, 40.0, 0.03
    hinge = Joint("hinge", "revolute", axis=(0.0, 1.0, 0.0), damping=0.5)
    tree = Tree("lever", (Link("lever", None, hinge, ball(mass, 0.03, (centre, 0.0, 0.0))),))
    scene.add_robot("arm", tree, (0.0, 0.0, height), drive=JointDrive(stiffness, 2.0))
    # its surface begins 0.2 mm above the bump
    grid = flat_grid(12, 12, 0.02, 0.02)
    scene.add_gel("gel", "arm/lever", "bump", grid, GELS[law], (0.2, 0.0, 0.0202 - height), DOWN)
    world = World(scene, 1, dtype=DOUBLE)
    target = torch.tensor([[0.03]], dtype=DOUBLE)
    state = rested(world, world.control(joints={"arm": target}), 150)
    q = float(state.joint_q)
    drive = stiffness * (0.03 - q)
    weight = mass * G * centre * math.cos(q)  # about y, by which the lever sinks
    reading = float(moment_about(world, state, "gel", torch.tensor([0.0, 0.0, height], dtype=DOUBLE))[1])
    felt = float(world.bodies["arm/lever"].wrench(state)[0, 4])  # about the frame's origin, where the joint is
    left = drive + weight + reading
    print(f"\nmeasured: drive {drive:.6f}, weight {weight:.6f}, gel {reading:.6f} N m; left {left:.1e}")
    assert reading < -0.2
    assert felt == pytest.approx(reading, rel=1e-7)
    assert abs(left) < 1e-7 * abs(reading)


@pytest.mark.parametrize("law", GELS)
def test_a_joint_holds_a_ball_that_lies_on_its_gel(law):
    """k (q* - q) = (weight of the link and of the ball), and the gel bears the ball, at rest."""
    scene = Scene(substep_dt=2e-4, substeps=50)
    mass, stiffness = 0.4, 500.0
    slide = Joint("lift", "prismatic", damping=2.0)
    tree = Tree("palm", (Link("palm", None, slide, ball(mass, 0.03, (0.01, 0.0, -0.01))),))
    scene.add_robot("arm", tree, drive=JointDrive(stiffness, 20.0))
    scene.add_body("ball", Sphere(0.02), 3000.0, (0.0, 0.0, 0.02), motion="free")
    scene.add_gel("gel", "arm/palm", "ball", flat_grid(12, 12, 0.02, 0.02), GELS[law])
    world = World(scene, 1, dtype=DOUBLE)
    state = rested(world, world.control(joints={"arm": torch.zeros(1, 1, dtype=DOUBLE)}), 400)
    heavy = float(world.parameters["ball.mass"]) * G
    drive = -stiffness * float(state.joint_q)
    borne = world.gels["gel"].force(state)[0]
    felt = world.bodies["arm/palm"].wrench(state)[0, :3]
    print(f"\nmeasured: drive {drive:.6f} N of {mass * G + heavy:.6f} N; gel {borne.tolist()}")
    assert drive == pytest.approx(mass * G + heavy, rel=1e-7)
    assert float(borne[2]) == pytest.approx(-heavy, rel=1e-7)
    torch.testing.assert_close(felt, borne, rtol=1e-7, atol=1e-7 * heavy)
