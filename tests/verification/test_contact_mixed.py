# SPDX-License-Identifier: Apache-2.0
"""Rigid contact of robots, beside liquids and gels, in batches and in single precision."""

import math

import pytest
import torch

from simenv.geometry import fill
from simenv.geometry.shapes import Box, Capsule, Sphere
from simenv.physics.bodies.contacts import RigidContact
from simenv.physics.mpm.materials import Liquid
from simenv.robots import Fitted, Inertial, Joint, JointDrive, Link, Tree, load
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.world import Scene
from tests.robots.test_contact_scene_gradients import gripper
from tests.verification.test_contact import world_of
from tests.verification.test_contact_scenes import LAWS, floor, lasting, on_a, rigid
from tests.verification.worlds import angular_momentum, momentum

DOUBLE, G = torch.float64, 9.81


# -------------------------------------------------------------------------------------------------------------- robots


def lever() -> Tree:
    """A link that turns about y, with a capsule from its joint to 0.4 m."""
    moment = ((1e-3, 0.0, 0.0), (0.0, 1e-3, 0.0), (0.0, 0.0, 1e-3))
    link = Link(
        "bar", None, Joint("turn", "revolute", axis=(0.0, 1.0, 0.0)), Inertial(1.0, (0.0, 0.0, 0.2), moment), (),
        (Fitted(Capsule(0.03, 0.2), (0.0, 0.0, 0.2)),),
    )  # fmt: skip
    return Tree("lever", (link,))


def test_two_robots_lean_on_each_other():
    """Bars of 0.4 m whose joints are 0.2 m apart meet with their tips: 0.2 - 0.8 sin(q) = 0.06, where each 1 N m is
    held by 1 / (0.4 cos(q)) N.
    """

    def build(scene):
        for name, x in (("left", -0.1), ("right", 0.1)):
            scene.add_robot(name, lever(), (x, 0.0, 0.0), drive=JointDrive(0.0, 0.1))

    world = world_of(build, gravity=(0.0, 0.0, 0.0))
    torque = torch.tensor([[1.0, -1.0]], dtype=DOUBLE)
    state = lasting(world, 4.0, joint_torque=torque)
    q = math.asin(0.14 / 0.8)
    assert state.joint_q[0].tolist() == pytest.approx([q, -q], abs=1e-6)
    assert float(on_a(world, state, "left/bar", "right/bar")[0]) == pytest.approx(-1.0 / (0.4 * math.cos(q)), rel=1e-5)


@pytest.mark.parametrize("speed", [1.0, 10.0, 20.0])
def test_a_bat_hits_a_ball(speed):
    """Undamped: a link of inertia I about its joint, of the mass M = I / L^2 at its tip, gives a ball of mass m that
    rests the speed 2 M v / (M + m), and energy stays. The link's frame stands still: only turning brings its tip near.
    """
    radius, length, turning = 0.01, 0.5, ((1e-4, 0.0, 0.0), (0.0, 1e-4, 0.0), (0.0, 0.0, 1e-4))
    joint = Joint("turn", "revolute", axis=(0.0, 0.0, 1.0))
    tip = Fitted(Sphere(radius), (length, 0.0, 0.0))
    bat = Tree("bat", (Link("bat", None, joint, Inertial(1.0, (length, 0.0, 0.0), turning), (), (tip,)),))

    def build(scene):
        scene.add_robot("bat", bat, drive=JointDrive())
        rigid(scene, "ball", Sphere(radius), 1000.0, (length * math.cos(0.1), length * math.sin(0.1), 0.0))

    law = RigidContact(relaxation=0.0, dissipation=0.0, friction=0.0)
    world = world_of(build, ticks=1, gravity=(0.0, 0.0, 0.0), rigid=law)
    state, rate = world.initial_state(), torch.full((1, 1), speed / length, dtype=DOUBLE)
    state = world.robots["bat"].place(state, torch.zeros_like(rate), rate)
    state = lasting(world, round(300.0 / speed) * 1e-3, state)
    inertia, mass = length**2 + 1e-4, 1000.0 * 4 / 3 * math.pi * radius**3
    at_tip, got = inertia / length**2, float(world.bodies["ball"].twist(state)[0, :3].norm())
    energy = 0.5 * inertia * float(state.joint_qd[0, 0]) ** 2 + 0.5 * mass * got**2
    assert got == pytest.approx(2 * at_tip * speed / (at_tip + mass), rel=1e-3)
    assert energy == pytest.approx(0.5 * inertia * (speed / length) ** 2, rel=2e-5)


@pytest.mark.parametrize("dt", [1e-3, 5e-3])
def test_a_quadruped_lands_and_stands(dt):
    """Dropped 0.1 m onto its feet, its joints held by springs: after 5 s the floor bears its weight at four feet."""

    def build(scene):
        floor(scene)
        scene.add_robot("dog", load("quadruped"), (0.0, 0.0, 0.1), drive=JointDrive(400.0, 20.0))

    world = world_of(build, dt, round(0.02 / dt))
    target = world.robot_solver.commands.standing(world.initial_state())
    state = lasting(world, 5.0, joint_target=target)
    links = world.robots["dog"].links
    borne = {link: float(on_a(world, state, f"dog/{link}", "floor")[2]) for link in links}
    feet = {link: force for link, force in borne.items() if force > 0.0}
    weight = G * float(world.parameters["dog.mass"].sum())
    speed = float(state.body_twist.abs().max())
    print(f"\nmeasured: {feet} N of {weight:.2f} N, {speed:.1e} m/s or rad/s")
    assert len(feet) == 4 and sum(feet.values()) == pytest.approx(weight, rel=1e-4)
    assert float(state.body_q[0, 1, 2]) > 0.3 and speed < 1e-3


# ------------------------------------------------------------------------------------------------- beside other solvers


def test_liquid_and_rigid_bodies_keep_their_momentum():
    """Two balls meet each other, and a drop: what all have together stays, to rounding, with the impulses that
    particles owe the balls.
    """
    scene = Scene((0.4, 0.3, 0.3), 0.02, 2e-4, 8, gravity=(0.0, 0.0, 0.0))
    scene.add_material("water", Liquid(1000.0, 4e4, 0.5))
    scene.add_particles("drop", "water", fill(Box((0.03,) * 3), 0.01) + (0.2, 0.15, 0.15), volume=1e-6)
    radius, density = 0.03, 4000.0
    mass = density * 4 / 3 * math.pi * radius**3
    spin = {"angular_velocity": (1.0, 2.0, 3.0)}
    rigid(scene, "one", Sphere(radius), density, (0.265, 0.15, 0.15), velocity=(-1.0, 0.0, 0.0), **spin)
    rigid(scene, "two", Sphere(radius), density, (0.327, 0.16, 0.16), velocity=(-2.5, 0.0, 0.0))
    world = scene.make_world(1, dtype=DOUBLE)

    def parts(state):
        water = torch.full_like(world.volume, 1000.0) * world.volume
        found = [(momentum(state, water)[0], angular_momentum(state, water, scene.dx)[0])]
        for i in range(2):
            omega, owed = state.body_twist[0, i, 3:], state.owed[0, i]
            push = mass * state.body_twist[0, i, :3] + owed[:3]
            spin = 0.4 * mass * radius**2 * omega + owed[3:]
            found.append((push, spin + torch.linalg.cross(state.body_q[0, i, :3], push)))
        return found

    state = start = world.initial_state()
    met = 0.0
    for _ in range(24):
        state = world.step(state, world.zero_control())
        met = max(met, float(state.contact_impulse.abs().max()))
    assert (state.status == 0).all() and met > 0.0
    before, after = parts(start), parts(state)
    assert float((after[0][0] - before[0][0]).norm()) > 0.02, "the drop must have been hit"
    for kind in range(2):
        lost = sum(each[kind] for each in after) - sum(each[kind] for each in before)
        size = sum(float(each[kind].norm()) for each in before)
        assert float(lost.norm()) < 1e-12 * size


def test_fingers_with_gels_hold_a_box_that_stands_on_a_floor():
    """Gels between robot and box, rigid contact between box and floor: each gel bears its motor's force, and the floor
    the weight less what the gels lift.
    """
    scene = Scene(substep_dt=2e-4, substeps=10)
    scene.add_robot("gripper", gripper(0.0202), (0.0, 0.0, 0.08), drive=JointDrive((1e4, 0.0, 0.0), (200.0, 1.0, 1.0)))
    rigid(scene, "box", Box((0.02,) * 3), 1000.0, (0.0, 0.0, 0.02))
    floor(scene)
    for name, side in (("left", 1.0), ("right", -1.0)):
        turn = (0.0, -side * math.sqrt(0.5), 0.0, math.sqrt(0.5))
        taxels, gel = flat_grid(8, 8, 0.01, 0.02), WinklerGel(1e7, 5e6, 0.5)
        scene.add_gel(f"{name} gel", f"gripper/{name}", "box", taxels, gel, quaternion=turn)
        scene.let_pass(f"gripper/{name}", "floor", "they stay above it")
    scene.let_pass("gripper", "box", "the gels feel it")
    scene.let_pass("gripper/left", "gripper/right", "the box is between them")
    world = scene.make_world(1, dtype=DOUBLE)
    torque = torch.tensor([[0.0, -1.0, 1.0]], dtype=DOUBLE)
    state = lasting(world, 0.6, joint_torque=torque, joint_target=torch.zeros_like(torque))
    forces = [world.gels[f"{name} gel"].force(state)[0] for name in ("left", "right")]
    weight = 1000.0 * 0.04**3 * G
    assert [float(force[0]) for force in forces] == pytest.approx([1.0, -1.0], rel=1e-6)
    lifted = -sum(float(force[2]) for force in forces)
    assert float(on_a(world, state, "box", "floor")[2]) + lifted == pytest.approx(weight, rel=1e-6)


# ------------------------------------------------------------------------------------------------- worlds and precision


def scattered(dtype, worlds):
    scene = Scene(substep_dt=1e-3, substeps=10, rigid=LAWS["soft"])
    floor(scene)
    spin = {"angular_velocity": (1.0, 2.0, 3.0)}
    rigid(scene, "box", Box((0.05, 0.04, 0.03)), 1000.0, (0.0, 0.0, 0.1), velocity=(0.5, 0.0, 0.0), **spin)
    rigid(scene, "ball", Sphere(0.04), 1000.0, (0.02, 0.02, 0.25))
    scene.add_robot("gripper", gripper(0.02), (0.3, 0.0, 0.3), drive=JointDrive((1e4, 100.0, 100.0), (200.0, 1.0, 1.0)))
    return scene.make_world(worlds, dtype=dtype)


@pytest.mark.parametrize("dtype", [DOUBLE, torch.float32], ids=str)
def test_a_world_among_64_is_what_it_is_alone(dtype):
    """Bit for bit, beside one that is not a number."""
    world, alone = scattered(dtype, 64), scattered(dtype, 1)
    start = world.initial_state()
    twist = start.body_twist.clone()
    twist[:, 1:3] += torch.rand((64, 2, 6), generator=torch.Generator().manual_seed(0), dtype=DOUBLE).to(dtype)
    twist[7] = math.nan
    state = start.replace(body_twist=twist)
    for _ in range(60):
        state = world.step(state, world.zero_control())
    assert ((state.status != 0).nonzero().flatten() == 7).all() and state.status[7] != 0
    for i in (0, 6, 8, 63):
        single = alone.initial_state().replace(body_twist=twist[i : i + 1])
        for _ in range(60):
            single = alone.step(single, alone.zero_control())
        assert all(torch.equal(single[name][0], state[name][i]) for name in state)


def test_single_precision_falls_and_rests_where_double_does():
    """A box that tumbles and a ball that falls on it, over two seconds, rest included: within 1 mm, as each of three or
    four impacts multiplies by ten or twenty what rounding began with, 6e-8.
    """
    ends = []
    for dtype in (DOUBLE, torch.float32):
        world = scattered(dtype, 1)
        ends.append(lasting(world, 2.0).body_q.double())
    assert float((ends[0] - ends[1]).abs().max()) < 1e-3
