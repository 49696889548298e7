# SPDX-License-Identifier: Apache-2.0
"""Rigid bodies in touch against closed forms: stiff contact, friction, free motion, drives, and gels that push back."""

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Plane, Sphere
from simenv.physics import status as bits
from simenv.physics.gels.solve import Accuracy
from simenv.sensors.tactile import ElasticLayerGel, TacSLGel, WinklerGel, flat_grid
from simenv.world import ContactLaw, Control, Scene

DOUBLE = torch.float64
G = 9.81


def run(world, state, steps, goal=None, effort=None):
    """States after each step."""
    states = []
    for _ in range(steps):
        control = Control(goal=world.zero_control(state).goal if goal is None else goal, effort=effort)
        state = world.step(state, control)
        states.append(state)
    assert (state.status == 0).all()
    return states


def ball_on_table(height=0.01, dt=1e-3, substeps=1, **contact):
    """A steel ball of 10 mm above a table; point 0 is its only contact."""
    scene = Scene(substep_dt=dt, substeps=substeps, contact=ContactLaw(**contact))
    scene.add_body("table", Plane(), position=(0.0, 0.0, 0.0), motion="fixed")
    scene.add_body("ball", Sphere(0.01), 7800.0, (0.0, 0.0, height), motion="free")
    scene.add_points("ball", "table", np.zeros((1, 3)), radius=0.01)
    return scene.make_world(1, dtype=DOUBLE)


def energy(world, state, stiffness):
    """Kinetic, gravitational and spring energy of the ball [J]."""
    mass = float(world.parameters["ball.mass"])
    z, v = float(state.body_q[0, 1, 2]), state.body_twist[0, 1, :3]
    return 0.5 * mass * float(v @ v) + mass * G * z + 0.5 * stiffness * max(0.01 - z, 0.0) ** 2


@pytest.mark.parametrize("stiffness", [1e3, 1e5])
def test_a_ball_at_rest_sinks_in_by_its_weight_over_the_stiffness(stiffness):
    """k d = m g."""
    world = ball_on_table(stiffness=stiffness, damping=20.0)
    last = run(world, world.initial_state(), 2000)[-1]
    mass = float(world.parameters["ball.mass"])
    assert 0.01 - float(last.body_q[0, 1, 2]) == pytest.approx(mass * G / stiffness, rel=1e-6)
    assert float(last.push[0, 1, 2]) == pytest.approx(mass * G, rel=1e-9)


@pytest.mark.parametrize("stiffness", [1e3, 1e5, 1e7])
@pytest.mark.parametrize("damping", [0.0, 10.0])
def test_stiff_contact_is_stable_at_a_sixtieth_of_a_second_and_makes_no_energy(stiffness, damping):
    """Implicit impulses: with dt = 1/60 s, dt^2 k / m reaches 85 000, where an explicit spring would explode."""
    world = ball_on_table(height=0.03, dt=1.0 / 60.0, stiffness=stiffness, damping=damping)
    state = world.initial_state()
    before = energy(world, state, stiffness)
    energies = [energy(world, s, stiffness) for s in run(world, state, 300)]
    # semi-implicit Euler exchanges m g^2 dt^2 / 2 with a free fall in flight, and no more
    slack = float(world.parameters["ball.mass"]) * (G / 60.0) ** 2 / 2
    assert max(energies) <= before + slack
    assert energies[-1] < 0.5 * before


def test_overdamped_contact_has_no_overshoot():
    """c > 2 sqrt(k m): the ball, set down at the surface, sinks to rest and never comes up again."""
    world = ball_on_table(stiffness=1e4, damping=60.0)
    mass = float(world.parameters["ball.mass"])
    assert 60.0 > 2 * np.sqrt(1e4 * mass)
    heights = np.array([float(s.body_q[0, 1, 2]) for s in run(world, world.initial_state(), 200)])
    assert np.all(np.diff(heights) <= 1e-12)
    assert heights[-1] == pytest.approx(0.01 - mass * G / 1e4, rel=1e-6)


@pytest.mark.parametrize(("slope", "slides"), [(0.95, False), (1.05, True)])
def test_a_block_on_an_incline_slips_above_the_friction_angle_only(slope, slides):
    """tan(angle) against mu = 0.4; it slips with a = g (sin - mu cos)."""
    angle = np.arctan(0.4 * slope)
    gravity = (G * np.sin(angle), 0.0, -G * np.cos(angle))
    scene = Scene(substep_dt=1e-3, substeps=10, gravity=gravity, contact=ContactLaw(friction=0.4, damping=5.0))
    scene.add_body("table", Plane(), position=(0.0, 0.0, 0.0), motion="fixed")
    scene.add_body("block", Box((0.04, 0.04, 0.01)), 1000.0, (0.0, 0.0, 0.01), motion="free")
    corners = np.array([(x, y, -0.01) for x in (-0.04, 0.04) for y in (-0.04, 0.04)])
    scene.add_points("block", "table", corners, share=2.0)
    world = scene.make_world(1, dtype=DOUBLE)
    states = run(world, world.initial_state(), 60)
    speed = [float(s.body_twist[0, 1, 0]) for s in states]
    if slides:
        expected = G * (np.sin(angle) - 0.4 * np.cos(angle))
        assert (speed[-1] - speed[20]) / (39 * 0.01) == pytest.approx(expected, rel=0.01)
    else:
        assert abs(speed[-1]) < 1e-6
        assert float(states[-1].push[0, 1, 0]) == pytest.approx(
            -float(world.parameters["block.mass"]) * G * np.sin(angle), rel=1e-4
        )


def test_a_torque_free_top_keeps_its_angular_momentum_and_its_energy():
    """Euler's equations about all three axes: L is exact; the step is of first order, so that the energy drifts with dt
    and the drift halves when dt is halved.
    """
    drifts = []
    for dt in (1e-3, 5e-4):
        scene = Scene(substep_dt=dt, substeps=round(0.05 / dt), gravity=(0.0, 0.0, 0.0))
        scene.add_body("top", Box((0.05, 0.03, 0.01)), 500.0, (0.0, 0.0, 0.0), motion="free")
        world = scene.make_world(1, dtype=DOUBLE)
        state = world.initial_state()
        spin = torch.tensor([3.0, 1.0, 2.0], dtype=DOUBLE)
        state = state.replace(body_twist=torch.cat([torch.zeros(3, dtype=DOUBLE), spin]).view(1, 1, 6))
        moments = torch.as_tensor(world.body_solver.model.inertia[0])

        def momentum(state, moments=moments):
            q = state.body_q[0, 0, 3:].numpy()
            x, y, z, w = q
            turn = torch.tensor([
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ], dtype=DOUBLE)  # fmt: skip
            omega = state.body_twist[0, 0, 3:]
            spin = turn @ (moments * (turn.T @ omega))
            return spin, 0.5 * float(omega @ spin)

        first, start = momentum(state)
        last, end = momentum(run(world, state, 20)[-1])
        torch.testing.assert_close(last, first, rtol=1e-10, atol=0.0)
        drifts.append(abs(end / start - 1))
    assert drifts[0] < 5e-3
    assert drifts[1] == pytest.approx(0.5 * drifts[0], rel=0.1)


def test_a_hand_follows_the_equation_of_its_impedance():
    """m x'' + c x' + k x = 0 from x(0) = 1 cm, m = 1 kg, k = 600 N/m, c = 50 N s/m: two real roots."""
    scene = Scene(substep_dt=2e-4, substeps=50)
    scene.add_body("hand", position=(0.01, 0.0, 0.0), motion="hand")
    world = scene.make_world(1, dtype=DOUBLE)
    goal = torch.tensor([[[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]], dtype=DOUBLE)
    path = np.array([float(s.body_q[0, 0, 0]) for s in run(world, world.initial_state(), 20, goal)])
    t = 0.01 * np.arange(1, 21)
    root = np.sqrt(25.0**2 - 600.0)
    slow, fast = -25.0 + root, -25.0 - root
    exact = 0.01 * (fast * np.exp(slow * t) - slow * np.exp(fast * t)) / (fast - slow)
    assert np.abs(path - exact).max() < 0.01 * 25.0 * 2e-4 * 3  # first order in dt: c dt / m of the distance


@pytest.mark.parametrize("axis", range(3))
def test_a_hand_turns_to_its_goal_as_its_impedance_says(axis):
    """I a'' + c a' + k a = 0 of a small angle, at the gains of TacSL (I = 0.01, c = 1.41, k = 50), just underdamped."""
    scene, turn = Scene(substep_dt=2e-5, substeps=50), 0.02
    start = [0.0, 0.0, 0.0, np.cos(turn / 2)]
    start[axis] = np.sin(turn / 2)
    scene.add_body("hand", position=(0.0, 0.0, 0.0), quaternion=start, motion="hand")
    world = scene.make_world(1, dtype=DOUBLE)
    goal = torch.tensor([[[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]], dtype=DOUBLE)
    path = [2 * np.arcsin(float(s.body_q[0, 0, 3 + axis])) for s in run(world, world.initial_state(), 40, goal)]
    t, half = 1e-3 * np.arange(1, 41), 1.41 / (2 * 0.01)
    omega = np.sqrt(50.0 / 0.01 - half**2)
    exact = turn * np.exp(-half * t) * (np.cos(omega * t) + half / omega * np.sin(omega * t))
    # first order in dt: c dt / I = 0.3 % of the angle; 2 sin(a / 2) for a: 2e-5 of it
    assert np.abs(np.array(path) - exact).max() < 0.003 * turn
    assert path[-1] < 0.25 * turn


SPRINGS, ELASTIC = WinklerGel(1e8, 5e7, 0.9), ElasticLayerGel(1e5, 0.9, 0.45, 3e-3)


def rolling(gel=SPRINGS, dtype=DOUBLE, worlds=1):
    """A ball of 20 mm on a table under a hand with a gel that looks down."""
    scene = Scene(substep_dt=5e-4, substeps=32, contact=ContactLaw(2e4, shear_stiffness=1e4, friction=0.8))
    scene.add_body("table", Plane(), position=(0.0, 0.0, 0.0), motion="fixed")
    scene.add_body("hand", position=(0.0, 0.0, 0.0196), quaternion=(1.0, 0.0, 0.0, 0.0), motion="hand")
    scene.add_body("ball", Sphere(0.01), 2500.0, (0.0, 0.0, 0.01), motion="free")
    scene.add_points("ball", "table", np.zeros((1, 3)), radius=0.01)
    scene.add_gel("pad", "hand", "ball", flat_grid(20, 20, 0.02, 0.02), gel)
    return scene.make_world(worlds, dtype=dtype)


@pytest.mark.parametrize("gel", [SPRINGS, ELASTIC])
def test_a_ball_between_table_and_pad_rolls_half_as_far_as_the_pad(gel):
    """Rolling without slip on both sides: the centre moves half as far as the pad, and turns by x / R."""
    world = rolling(gel)
    goal = world.initial_state().body_q[:, [1]].clone()
    state = run(world, world.initial_state(), 30, goal)[-1]
    start = state.body_q[0, :, 0].clone()
    for _ in range(60):
        goal[..., 0] += 1e-4
        state = world.step(state, Control(goal=goal))
    for _ in range(30):
        state = world.step(state, Control(goal=goal))
    moved = state.body_q[0, :, 0] - start
    angle = 2 * torch.atan2(state.body_q[0, 2, 4], state.body_q[0, 2, 6])
    assert float(moved[2] / moved[1]) == pytest.approx(0.5, abs=0.01)
    # the arm at which it rolls is R less the depth of the contact, about 2 % of R
    assert float(moved[2] / angle) == pytest.approx(0.01, rel=0.03)


@pytest.mark.parametrize("gel", [SPRINGS, ELASTIC])
def test_the_field_is_the_force_that_the_bodies_feel(gel):
    """At rest: the pad's reading, the table's push and the weight balance, to 1e-6; and the same sensor, asked beside
    the dynamics at the same poses, reads the same field.
    """
    world = rolling(gel)
    start = world.initial_state()
    state = run(world, start, 120, start.body_q[:, [1]])[-1]
    weight = float(world.parameters["ball.mass"]) * G
    force = float(state.gel_wrench[0, 0, 2])  # along the gel's outward normal: down on the world, as the hand is turned
    assert float(state.push[0, 2, 2]) == pytest.approx(weight - force, rel=1e-6)
    assert float(state.field[0, :, 2].sum()) == pytest.approx(-force, rel=1e-12)
    again = world.touch_anew(state)
    torch.testing.assert_close(again.field[..., 2], state.field[..., 2], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(again.gel_wrench[..., 2], state.gel_wrench[..., 2], rtol=1e-6, atol=1e-9)


def test_a_held_gripper_carries_a_block_by_friction_and_drops_it_when_it_lets_go():
    """Two fingers press with P each: friction holds m g < 2 mu P, and the shear that the gels read is the weight."""
    scene = Scene(substep_dt=5e-4, substeps=32)
    scene.add_body("hand", position=(0.0, 0.0, 0.0), motion="hand")
    scene.add_body("block", Box((0.02, 0.01, 0.02)), 2000.0, (0.0, 0.0, 0.0), motion="free")
    gel, grid, half = WinklerGel(1e8, 5e7, 0.6), flat_grid(8, 8, 0.02, 0.02), np.sqrt(0.5)
    turned = {"left": (1.0, (half, 0.0, 0.0, half)), "right": (-1.0, (-half, 0.0, 0.0, half))}
    for name, (side, quaternion) in turned.items():
        scene.add_gel(name, "hand", "block", grid, gel, quaternion=quaternion, slide=(0.0, side, 0.0))
    world = scene.make_world(1, dtype=DOUBLE)
    start = world.initial_state()
    start = world.touch_anew(start.replace(grip=torch.tensor([[0.01, 0.0]], dtype=DOUBLE)))
    weight = float(world.parameters["block.mass"]) * G
    squeeze = torch.full((1,), -weight, dtype=DOUBLE)  # 2 mu P = 1.2 m g
    held = run(world, start, 60, start.body_q[:, [0]], squeeze)[-1]
    assert float(held.body_twist.abs().max()) < 1e-5
    normal = [float(held.field[0, world.gels[name].taxels, 2].sum()) for name in turned]
    assert normal == pytest.approx([weight, weight], rel=1e-4)
    shear = sum(float(held.gel_wrench[0, g, 1]) * side for g, side in ((0, 1.0), (1, -1.0)))
    assert abs(shear) == pytest.approx(weight, rel=1e-4)
    dropped = run(world, held, 30, start.body_q[:, [0]], -squeeze)[-1]
    assert float(dropped.body_q[0, 1, 2]) < -0.3
    assert float(dropped.field.abs().max()) == 0.0


def ball_on_gel(height, lead):
    """A glass ball of 10 mm on an elastic half space, friction-free, its contact nine taxels wide."""
    gel = ElasticLayerGel(1e5, 0.0, 0.48)
    scene = Scene(substep_dt=5e-4, substeps=4, lead=lead)
    scene.add_body("base", Plane(), position=(0.0, 0.0, 0.0), motion="fixed")
    scene.add_body("ball", Sphere(0.01), 2500.0, (0.0, 0.0, height), motion="free")
    scene.add_gel("gel", "base", "ball", flat_grid(20, 20, 0.008, 0.008), gel)
    world = scene.make_world(1, dtype=DOUBLE)
    weight = float(world.parameters["ball.mass"]) * G
    depth = (0.75 * weight / (gel.contact_modulus * np.sqrt(0.01))) ** (2 / 3)
    return world, gel, depth


def test_a_ball_sinks_into_an_elastic_gel_by_the_depth_of_hertz():
    """m g = 4/3 E* sqrt(R) d^1.5 (Johnson 1985, section 4.2); a contact nine taxels wide has Hertz' force to 1 %."""
    world, _, depth = ball_on_gel(0.01, lead=2e-2)
    state = run(world, world.initial_state(), 400)[-1]
    sunk = 0.01 - float(state.body_q[0, 1, 2])
    print(f"\nmeasured depth {1e3 * sunk:.4f} mm, Hertz {1e3 * depth:.4f}")
    assert sunk == pytest.approx(depth, rel=0.01)
    assert float(state.body_twist.abs().max()) < 1e-6


def test_a_ball_on_an_elastic_gel_swings_at_the_frequency_of_its_contact():
    """About rest, dF/dd = 2 E* sqrt(R d) (Hertz): omega^2 = 2 E* sqrt(R d) / m, from the period of ten swings."""
    world, gel, depth = ball_on_gel(0.01, lead=0.0)
    mass = float(world.parameters["ball.mass"])
    start = world.initial_state()
    pose = start.body_q.clone()
    pose[:, 1, 2] = 0.01 - 1.05 * depth
    states = run(world, start.replace(body_q=pose), 170)
    z = np.array([float(s.body_q[0, 1, 2]) for s in states]) - 0.01 + depth
    z -= z.mean()
    up = np.flatnonzero((z[:-1] < 0) & (z[1:] >= 0))
    crossings = up + z[up] / (z[up] - z[up + 1])
    period = float(np.diff(crossings).mean()) * world.dt
    expected = 2 * np.pi * np.sqrt(mass / (2 * gel.contact_modulus * np.sqrt(0.01 * depth)))
    print(f"\nmeasured period {1e3 * period:.3f} ms, Hertz {1e3 * expected:.3f}, {len(crossings)} crossings")
    assert len(crossings) >= 10
    assert period == pytest.approx(expected, rel=0.02)


def test_gels_that_cannot_push_bodies_are_refused():
    scene = Scene(substep_dt=1e-3, substeps=4)
    scene.add_body("hand", position=(0.0, 0.0, 0.1), motion="hand")
    scene.add_body("ball", Sphere(0.01), 2500.0, (0.0, 0.0, 0.05), motion="free")
    with pytest.raises(TypeError, match="in newtons, WinklerGel or ElasticLayerGel, not TacSLGel"):
        scene.add_gel("gel", "hand", "ball", flat_grid(4, 4, 0.01, 0.01), TacSLGel())
    with pytest.raises(ValueError, match="at most 576 taxels, this one 25 x 24"):
        scene.add_gel("gel", "hand", "ball", flat_grid(25, 24, 0.01, 0.01), ELASTIC)
    with pytest.raises(ValueError, match="set it to 0 and use the scene's lead"):
        scene.add_gel("gel", "hand", "ball", flat_grid(4, 4, 0.01, 0.01), WinklerGel(1e8, 5e7, damping=1.0))


def test_an_elastic_gel_whose_solve_does_not_end_stops_its_world():
    scene = Scene(substep_dt=1e-3, substeps=4)
    scene.add_body("base", Plane(), position=(0.0, 0.0, 0.0), motion="fixed")
    scene.add_body("ball", Sphere(0.01), 2500.0, (0.0, 0.0, 0.0098), motion="free")
    hasty = ElasticLayerGel(1e5, 0.5, 0.45, accuracy=Accuracy(1e-12, pressure_iterations=2))
    scene.add_gel("gel", "base", "ball", flat_grid(12, 12, 0.008, 0.008), hasty)
    world = scene.make_world(1, dtype=DOUBLE)
    start = world.initial_state()
    state = world.step(start, world.zero_control(start))
    assert state.status.tolist() == [bits.UNCONVERGED]
    assert torch.equal(state.body_q, start.body_q)
