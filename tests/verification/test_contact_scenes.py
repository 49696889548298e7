# SPDX-License-Identifier: Apache-2.0
"""Rigid contact in whole scenes: stacks, collisions, grasps, pegs, belts.

Where contact is near rigid each point is a spring of 4 pi^2 / (dt^2 e), e being how easily its bodies yield, 2 / m for
each free one (simenv.physics.bodies.touching): what lies on n points sinks by W dt^2 e / (4 pi^2 n).
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from simenv.geometry.shapes import Box, Cup, Cylinder, MeshShape, Plane, Sphere
from simenv.physics.bodies.contacts import RigidContact
from simenv.robots import JointDrive
from simenv.world import Scene
from tests.robots.test_contact_scene_gradients import gripper
from tests.verification.test_contact import run, world_of

DOUBLE, G = torch.float64, 9.81
LAWS = {"near rigid": RigidContact(friction=0.4), "soft": RigidContact(2e4, 2e-3, 0.5, 0.4)}


def rigid(scene, name, shape, density, position, quaternion=(0.0, 0.0, 0.0, 1.0), **motion):
    scene.add_body(name, shape, density, position, quaternion, "free", coupling="rigid", **motion)


def floor(scene):
    scene.add_body("floor", Plane(), motion="fixed")


def about_z(degrees):
    return (0.0, 0.0, math.sin(math.radians(degrees) / 2), math.cos(math.radians(degrees) / 2))


def place(world, state, name):
    return world.bodies[name].pose(state)[0, :3]


def on_a(world, state, a, b):
    """Mean force of contact in the last tick on the first body of the pair, from the second [N], (3,)."""
    slots, total = world.robot_solver.touching.slots, torch.zeros(3, dtype=state.contact_impulse.dtype)
    for i, pair in enumerate(zip(slots.a, slots.b, strict=True)):
        if set(pair) == {a, b}:
            total = total + state.contact_impulse[0, i] * (1.0 if pair[0] == a else -1.0)
    return total / world.scene.substep_dt


def lasting(world, seconds, state=None, **told):
    """The state after so long, under the same control."""
    state, control = world.initial_state() if state is None else state, replace(world.zero_control(), **told)
    for _ in range(round(seconds / world.dt)):
        state = world.step(state, control)
    assert (state.status == 0).all()
    return state


# ------------------------------------------------------------------------------------------------------------ stacks


@pytest.mark.parametrize("dtype", [DOUBLE, torch.float32], ids=str)
def test_five_cubes_stand_for_a_minute(dtype):
    """5 ms, 60 s. A cube on a plane has four points, one on another sixteen, corners and middles of edges of both: the
    i-th sinks by (5 - i) g dt^2 / (4 pi^2) times 2/4, or 4/16, more than that under it.
    """
    scene = Scene(substep_dt=5e-3, substeps=20)
    floor(scene)
    for i in range(5):
        rigid(scene, f"cube{i}", Box((0.05,) * 3), 1000.0, (0.0, 0.0, 0.05 + 0.1 * i))
    world = scene.make_world(1, dtype=dtype)
    state = lasting(world, 60.0)
    unit = G * 5e-3**2 / (4 * math.pi**2)
    expected = np.cumsum([(5 - i) * (0.5 if i == 0 else 0.25) * unit for i in range(5)])
    moved = (world.initial_state().body_q - state.body_q)[0, 1:, :3].double().numpy()
    print(f"\nmeasured: {1e3 * moved[:, 2]} mm down, {1e3 * np.abs(moved[:, :2]).max():.1e} mm aside")
    assert np.abs(moved).max() < 2e-4
    assert np.abs(moved[:, 2] - expected).max() < (1e-11 if dtype == DOUBLE else 5e-7)
    assert np.abs(moved[:, :2]).max() < (1e-11 if dtype == DOUBLE else 5e-7)


@pytest.mark.parametrize("dt", [1e-3, 5e-3])
@pytest.mark.parametrize("heavy", ["above", "below"])
def test_a_thousand_times_the_mass(heavy, dt):
    """Stands, and sinks in proportion to what is above: heavy on light by 0.16 mm at 1 ms, 3.9 mm at 5 ms."""
    low, high = (1e5, 100.0) if heavy == "below" else (100.0, 1e5)

    def build(scene):
        floor(scene)
        rigid(scene, "low", Box((0.05,) * 3), low, (0.0, 0.0, 0.05))
        rigid(scene, "high", Box((0.05,) * 3), high, (0.0, 0.0, 0.15))

    world = world_of(build, dt, 20)
    state = run(world, 20.0)
    unit = G * dt**2 / (4 * math.pi**2)
    first = (low + high) / low * unit * 2 / 4
    second = first + high * (2 / low + 2 / high) * unit / 16
    found = 0.05 - float(place(world, state, "low")[2]), 0.15 - float(place(world, state, "high")[2])
    assert found == pytest.approx((first, second), rel=1e-6)
    assert float(state.body_twist.abs().max()) < 1e-12


def test_bricks_planks_and_crossed_blocks_stand():
    """Bodies that overlap by parts of their faces: what is above lies flat, within what points give."""

    def build(scene):
        floor(scene)
        for i, x in enumerate((-0.1025, 0.1025)):
            rigid(scene, f"brick{i}", Box((0.1, 0.05, 0.03)), 2000.0, (x, 0.0, 0.03))
            scene.add_body(f"horse{i}", Box((0.02, 0.1, 0.05)), position=(2.0 * x, 0.5, 0.05), motion="fixed")
        rigid(scene, "on two", Box((0.1, 0.05, 0.03)), 2000.0, (0.0, 0.0, 0.09))
        rigid(scene, "plank", Box((0.3, 0.05, 0.01)), 600.0, (0.0, 0.5, 0.11))
        for i in range(4):
            where, turn = (0.0, 1.0, 0.03 + 0.06 * i), about_z(90 * (i % 2))
            rigid(scene, f"crossed{i}", Box((0.1, 0.05, 0.03)), 2000.0, where, turn)

    world = world_of(build, max_contacts=512)
    state = run(world, 3.0)
    off = (state.body_q - world.initial_state().body_q)[0, :, :3]
    assert float(off.abs().max()) < 5e-6
    assert float(state.body_twist.abs().max()) < 1e-9


def test_a_pile_comes_to_rest():
    """Ten boxes of random sizes, dropped one above the other: at rest after six seconds, their weight on the floor."""
    rng = np.random.default_rng(0)

    def build(scene):
        floor(scene)
        for i in range(10):
            turn, shape = rng.normal(size=4), Box(tuple(rng.uniform(0.03, 0.06, 3)))
            where = (*rng.uniform(-0.06, 0.06, 2), 0.1 + 0.12 * i)
            rigid(scene, f"box{i}", shape, 800.0, where, tuple(turn / np.linalg.norm(turn)))

    world = world_of(build, max_contacts=512, rigid=LAWS["soft"])
    state = run(world, 6.0)
    weight = G * sum(float(world.parameters[f"box{i}.mass"]) for i in range(10))
    held = sum(float(on_a(world, state, f"box{i}", "floor")[2]) for i in range(10))
    assert float(state.body_twist.abs().max()) < 1e-6
    assert held == pytest.approx(weight, rel=1e-6)
    assert float(state.body_q[0, 1:, 2].min()) > 0.029


# ----------------------------------------------------------------------------------------------------------- collisions


def test_boxes_tumble_into_a_heap_near_rigid():
    # rates are found in every tick of every world, though edges slide and stick on each other
    scene, worlds = Scene(substep_dt=1e-3, substeps=10), 32
    floor(scene)
    for i in range(5):
        rigid(scene, f"box {i}", Box((0.05, 0.05, 0.05)), 500.0, (0.02 * (i % 3), 0.015 * (i % 2), 0.1 + 0.2 * i))
    world = scene.make_world(worlds, dtype=DOUBLE)
    state, noise = world.initial_state(), torch.Generator().manual_seed(3)
    for i in range(5):
        turn = torch.nn.functional.normalize(torch.randn(worlds, 4, generator=noise, dtype=DOUBLE))
        state = world.bodies[f"box {i}"].place(state, torch.cat([world.bodies[f"box {i}"].pose(state)[:, :3], turn], 1))
    state = lasting(world, 1.5, state)
    heights = torch.stack([world.bodies[f"box {i}"].pose(state)[:, 2] for i in range(5)])
    assert heights.min() > 0.05 - 1e-4  # none is in the floor, and none has been thrown up
    assert heights.max() < 0.9


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_two_balls_keep_their_momentum(law):
    """Off centre, with spin and friction: linear and angular momentum about the origin."""
    radius, densities = 0.05, (800.0, 1500.0)
    spins = {"angular_velocity": (3.0, -2.0, 5.0)}, {"angular_velocity": (-1.0, 4.0, 2.0)}

    def build(scene):
        one, two = (-0.06, 0.01, 0.0), (0.05, -0.01, 0.013)
        rigid(scene, "one", Sphere(radius), densities[0], one, velocity=(1.0, 0.1, 0.0), **spins[0])
        rigid(scene, "two", Sphere(radius), densities[1], two, velocity=(-0.6, 0.1, 0.0), **spins[1])

    world = world_of(build, ticks=1, gravity=(0.0, 0.0, 0.0), rigid=law)
    masses = [density * 4 / 3 * math.pi * radius**3 for density in densities]

    def total(state):
        x, twist = state.body_q[0, :, :3], state.body_twist[0]
        push = [m * twist[i, :3] for i, m in enumerate(masses)]
        turn = [0.4 * m * radius**2 * twist[i, 3:] + torch.linalg.cross(x[i], push[i]) for i, m in enumerate(masses)]
        return sum(push), sum(turn)

    start = world.initial_state()
    end = run(world, 0.2, start)
    assert float((end.body_twist - start.body_twist).abs().max()) > 0.3, "they must have met"
    for a, b in zip(total(start), total(end), strict=True):
        assert float((a - b).abs().max()) < 1e-12 * max(float(a.norm()), 1e-3)


@pytest.mark.parametrize("speed", [1.0, 5.0, 10.0, 20.0])
@pytest.mark.parametrize("thick", [0.001, 0.02])
def test_a_fast_ball_does_not_pass_a_thin_wall(speed, thick):
    """1 ms, a ball of 20 mm: as fast as it is wide in a tick. What is met is seen twice a tick's way ahead. It comes
    out of the wall at most at 1 cm/s, one over the dissipation of the law.
    """

    def build(scene):
        scene.add_body("wall", Box((thick / 2, 0.5, 0.5)), motion="fixed")
        rigid(scene, "ball", Sphere(0.01), 1000.0, (-0.1037, 0.0, 0.0), velocity=(speed, 0.0, 0.0))

    world = world_of(build, ticks=1, gravity=(0.0, 0.0, 0.0))
    state = run(world, 0.2 / speed + 2.0)
    assert float(place(world, state, "ball")[0]) < -0.01
    assert -0.0101 < float(world.bodies["ball"].twist(state)[0, 0]) < 0.0


def test_a_ball_swings_in_a_gutter():
    """It rolls inside a cylinder, here a cup on its side: omega^2 = 5 g / (7 (R - r)), for swings of a to 1 - a^2 / 16
    (Routh, Dynamics of a System of Rigid Bodies). The friction that this takes, 2/7 of the weight's part, holds.
    """
    inner, radius, angle = 0.1, 0.02, 0.05

    def build(scene):
        scene.add_body("cup", Cup(inner, 0.4, 0.02, 0.02), position=(0.0, 0.0, -0.2), motion="fixed")
        at = (inner - radius) * np.array([-math.cos(angle), math.sin(angle)])
        rigid(scene, "ball", Sphere(radius), 2000.0, (*at, 0.01))

    world = world_of(build, ticks=1, gravity=(-G, 0.0, 0.0))
    heights = []
    run(world, 2.5, each=lambda s: heights.append(float(s.body_q[0, 1, 1])))
    y = np.array(heights)
    crossed = np.flatnonzero(y[:-1] * y[1:] < 0)
    times = 1e-3 * (crossed + y[crossed] / (y[crossed] - y[crossed + 1]))
    period = 2 * float(np.diff(times).mean())
    expected = 2 * math.pi * math.sqrt(7 * (inner - radius) / (5 * G)) * (1 + angle**2 / 16)
    print(f"\nmeasured: period {period:.5f} s of {expected:.5f} s; last swing {np.abs(y[-700:]).max() / y.max():.5f}")
    assert period == pytest.approx(expected, rel=1e-3)
    assert np.abs(y[-700:]).max() == pytest.approx(y.max(), rel=1e-2)


@pytest.mark.parametrize(("share", "falls"), [(0.7, True), (1.4, False)])
def test_a_wheel_stays_upright_where_it_is_fast_enough(tmp_path, share, falls):
    """A wheel of radius a rolls upright iff v^2 > A m g a^3 / (C (C + m a^2)), moments C about its axle and A across
    (Routh 1905, part II, 244; of a disc g a / 3). This one is two flat cones on one rim, C = 0.3 m a^2 and A = C / 2: a
    rim of 62 points, which takes a fifth of the speed in 0.6 s.
    """
    radius, count = 0.05, 62
    angle = np.linspace(0.0, 2 * np.pi, count, endpoint=False)
    rim = radius * np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
    faces = [(i, (i + 1) % count, count) for i in range(count)] + [
        ((i + 1) % count, i, count + 1) for i in range(count)
    ]
    trimesh.Trimesh([*rim, (0.0, 0.0, 0.004), (0.0, 0.0, -0.004)], faces).export(tmp_path / "wheel.stl")
    speed = share * math.sqrt(G * radius * 0.15 / (0.3 * 1.3))
    moving = {"velocity": (speed, 0.0, 0.0), "angular_velocity": (0.02, speed / radius, 0.0)}

    def build(scene):
        floor(scene)
        upright = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))
        rigid(scene, "wheel", MeshShape(tmp_path / "wheel.stl"), 1000.0, (0.0, 0.0, radius), upright, **moving)

    world = world_of(build, 5e-4, 10)
    leans = []
    run(world, 0.6, each=lambda s: leans.append(abs(1 - 2 * float((s.body_q[0, 1, 3:5] ** 2).sum()))))
    print(f"\nmeasured: leans by {max(leans[:20]):.1e} rad in 0.1 s, {max(leans):.1e} in 0.6 s")
    assert (max(leans) > 30 * max(leans[:20])) == falls and (max(leans) < 5 * max(leans[:20])) == (not falls)


# -------------------------------------------------------------------------------------------------- grasps, pegs, belts

FRICTION, HALF = 0.5, 0.02


def held_box(share, dt=1e-3, ticks=10, dtype=DOUBLE):
    """Two fingers press on a box with `share` of the force that its weight takes, and the control."""
    scene = Scene(substep_dt=dt, substeps=ticks, rigid=RigidContact(friction=FRICTION))
    scene.add_robot("gripper", gripper(HALF), (0.0, 0.0, 0.3), drive=JointDrive((1e4, 0.0, 0.0), (200.0, 1.0, 1.0)))
    rigid(scene, "box", Box((HALF,) * 3), 1000.0, (0.0, 0.0, 0.25))
    force = share * 1000.0 * (2 * HALF) ** 3 * G / (2 * FRICTION)
    torque = torch.tensor([[0.0, -force, force]], dtype=dtype)
    return scene.make_world(1, dtype=dtype), {"joint_torque": torque, "joint_target": torch.zeros_like(torque)}


def hangs(world, state):
    """Height of the box over the palm [m]."""
    return float(place(world, state, "box")[2] - place(world, state, "gripper/palm")[2])


@pytest.mark.parametrize(("dt", "dtype"), [(1e-3, DOUBLE), (5e-3, DOUBLE), (1e-3, torch.float32)], ids=str)
def test_a_grasp_holds_for_half_a_minute(dt, dtype):
    """With 1.2 times the force that it takes the box does not drift (MuJoCo's issue 239 and many more)."""
    world, told = held_box(1.2, dt, round(0.02 / dt), dtype)
    state = lasting(world, 1.0, **told)
    first = hangs(world, state)
    state = lasting(world, 30.0, state, **told)
    assert abs(hangs(world, state) - first) / 30.0 < (1e-12 if dtype == DOUBLE else 1e-9)
    assert float(world.bodies["box"].twist(state).abs().max()) < (1e-9 if dtype == DOUBLE else 1e-6)


def test_a_weak_grasp_lets_go():
    """With 0.8 of it the box slides down between the fingers at 0.2 g."""
    world, told = held_box(0.8)
    state = lasting(world, 0.05, **told)  # the fingers close at first
    first = float(world.bodies["box"].twist(state)[0, 2])
    state = lasting(world, 0.06, state, **told)
    assert float(world.bodies["box"].twist(state)[0, 2]) - first == pytest.approx(-0.2 * G * 0.06, rel=1e-3)


def test_a_grasp_lifts_and_lowers():
    """1.2 times the force bears 0.2 g up: at 0.13 g nothing slips."""
    world, told = held_box(1.2, ticks=1)
    state = lasting(world, 0.5, **told)
    first, highest = place(world, state, "box") - place(world, state, "gripper/palm"), 0.0
    told["joint_rate"] = torch.zeros_like(told["joint_target"])
    for step in range(2000):
        angle = 8.0 * 1e-3 * step
        told["joint_target"][0, 0] = 0.02 * (1 - math.cos(angle))
        told["joint_rate"][0, 0] = 0.16 * math.sin(angle)
        state = lasting(world, 1e-3, state, **told)
        highest = max(highest, float(place(world, state, "gripper/palm")[2]))
    assert highest > 0.3 + 0.038
    assert float((place(world, state, "box") - place(world, state, "gripper/palm") - first).abs().max()) < 1e-6


@pytest.mark.parametrize(("aside", "lean"), [(0.0, 0.0), (3e-4, 0.0), (1e-4, 0.3), (-2e-4, 0.5)])
def test_a_peg_falls_into_its_hole(aside, lean):
    """0.5 mm of clearance, up to 0.3 mm aside and 0.5 degrees askew: it stands on the bottom, upright, inside."""
    half = math.radians(lean) / 2

    def build(scene):
        scene.add_body("hole", Cup(0.0105, 0.04, 0.01, 0.005), motion="fixed")
        turn = (0.0, math.sin(half), 0.0, math.cos(half))
        rigid(scene, "peg", Cylinder(0.01, 0.03), 2700.0, (aside, 0.0, 0.073), turn)

    world = world_of(build)
    state = run(world, 2.0)
    x, y, z = place(world, state, "peg").tolist()
    assert z == pytest.approx(0.035, abs=2e-6)
    assert math.hypot(x, y) < 5.1e-4
    assert float(state.body_q[0, 1, 3:5].norm()) < 1e-5 and float(state.body_twist.abs().max()) < 1e-6


def test_a_belt_takes_a_box_along():
    """A given plane moves at u: the box has mu g t, until after u / (mu g) it goes along, u^2 / (2 mu g) behind."""
    u, mu = 0.5, 0.5

    def build(scene):
        scene.add_body("belt", Plane(), motion="given")
        rigid(scene, "box", Box((0.05, 0.04, 0.03)), 500.0, (0.0, 0.0, 0.03))

    world = world_of(build, rigid=RigidContact(friction=mu))
    twist = torch.tensor([[[u, 0.0, 0.0, 0.0, 0.0, 0.0]]], dtype=DOUBLE)
    half = lasting(world, 0.05, twist=twist)
    assert float(world.bodies["box"].twist(half)[0, 0]) == pytest.approx(mu * G * 0.05, rel=1e-5)
    state = lasting(world, 1.0, twist=twist)
    assert float(world.bodies["box"].twist(state)[0, 0]) == pytest.approx(u, rel=1e-9)
    assert float(place(world, state, "box")[0]) == pytest.approx(u - u**2 / (2 * mu * G), abs=u * 1e-3 / 2)


def test_a_pusher_feels_the_friction_under_a_box():
    """It moves on as told, the box before it at the same speed, and the force between them is mu m g."""
    mu = 0.3

    def build(scene):
        floor(scene)
        scene.add_body("pusher", Box((0.01, 0.1, 0.02)), position=(-0.0601, 0.0, 0.03), motion="given")
        rigid(scene, "box", Box((0.05, 0.04, 0.03)), 500.0, (0.0, 0.0, 0.03))
        scene.set_contact("pusher", "box", RigidContact(friction=0.0))

    world = world_of(build, rigid=RigidContact(friction=mu))
    twist = torch.tensor([[[0.05, 0.0, 0.0, 0.0, 0.0, 0.0]]], dtype=DOUBLE)
    state = lasting(world, 3.0, twist=twist)
    force = on_a(world, state, "box", "pusher")
    weight = 500.0 * 8 * 0.05 * 0.04 * 0.03 * G
    assert float(world.bodies["box"].twist(state)[0, 0]) == pytest.approx(0.05, rel=1e-9)
    assert float(force[0]) == pytest.approx(mu * weight, rel=1e-6) and float(force[1:].abs().max()) < 1e-6
    assert float(on_a(world, state, "box", "floor")[2]) == pytest.approx(weight, rel=1e-6)
