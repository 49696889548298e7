# SPDX-License-Identifier: Apache-2.0
"""Loops of links and tied bodies against plane trigonometry, equations of one coordinate, and balances of momentum."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Plane, Sphere
from simenv.physics.bodies.contacts import RigidContact
from simenv.robots import Fitted, JointDrive, Robot, loop_gaps
from simenv.world import Scene
from tests.robots.linkages import SIDES, angles, four_bar, freudenstein, parallelogram

DOUBLE, G = torch.float64, 9.81


def world_of(tree, dt, drive=None, dtype=DOUBLE, ticks=10):
    scene = Scene(substep_dt=dt, substeps=ticks)
    scene.add_robot("linkage", tree, drive=drive or JointDrive())
    return scene.make_world(1, dtype=dtype)


def run(world, seconds, each=None, state=None, torque=None):
    state = world.initial_state() if state is None else state
    control = world.zero_control() if torque is None else replace(world.zero_control(), joint_torque=torque)
    for _ in range(round(seconds / world.dt)):
        state = world.step(state, control)
        if each is not None:
            each(state)
    assert (state.status == 0).all()
    return state


def coefficients(crank, branch, masses=(0.5, 1.0, 0.8), sides=SIDES):
    """Inertia and potential energy of the four-bar as a function of its crank's angle alone: kinetic energy is half
    the inertia times the square of the crank's rate.
    """
    _, a, b, c = sides

    def at(t):
        coupler, rocker = angles(t, branch)
        middle = np.array([a * np.cos(t) + 0.5 * b * np.cos(coupler), a * np.sin(t) + 0.5 * b * np.sin(coupler)])
        heights = 0.5 * a * np.sin(t), middle[1], 0.5 * c * np.sin(rocker)
        return coupler, rocker, middle, sum(m * G * z for m, z in zip(masses, heights, strict=True))

    h = 1e-6
    before, after = at(crank - h), at(crank + h)
    coupler, rocker = (np.angle(np.exp(1j * (after[i] - before[i]))) / (2 * h) for i in (0, 1))
    middle = (after[2] - before[2]) / (2 * h)
    inertia = masses[0] * a**2 / 3 + masses[1] * (middle @ middle + b**2 / 12 * coupler**2)
    return inertia + masses[2] * c**2 / 3 * rocker**2, at(crank)[3]


def swung(crank, branch, seconds, steps=4000):
    """The crank's angle after a time, from rest: Lagrange's equation of the one coordinate, by Runge and Kutta."""

    def rate(x):
        h = 1e-4
        low, high = coefficients(x[0] - h, branch), coefficients(x[0] + h, branch)
        inertia = coefficients(x[0], branch)[0]
        force = -(high[1] - low[1]) / (2 * h) - 0.5 * (high[0] - low[0]) / (2 * h) * x[1] ** 2
        return np.array([x[1], force / inertia])

    x, dt = np.array([crank, 0.0]), seconds / steps
    for _ in range(steps):
        k1 = rate(x)
        k2 = rate(x + 0.5 * dt * k1)
        k3 = rate(x + 0.5 * dt * k2)
        k4 = rate(x + dt * k3)
        x = x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return x


def test_a_four_bar_moves_as_its_one_coordinate_does():
    """Against Lagrange's equation of the crank's angle after 0.4 s from rest, in which it swings by more than a
    radian. Coriolis' and the loop's forces of a tick are of first order: half the error with half the tick.
    """
    errors = []
    for dt in (2e-4, 1e-4):
        world = world_of(four_bar(0.7), dt, ticks=100)
        start = world.initial_state()
        branch = min((-1.0, 1.0), key=lambda s: abs(np.sin(angles(0.7, s)[1] - float(start.joint_q[0, 2]))))
        wanted = swung(0.7, branch, 0.4)
        state = run(world, 0.4)
        errors.append(float(state.joint_q[0, 0]) - wanted[0])
        print(f"\nmeasured at {dt} s: crank {float(state.joint_q[0, 0]):.6f}, wanted {wanted[0]:.6f}")
        assert abs(wanted[0] - 0.7) > 1.0
    assert abs(errors[1]) < 2e-3 and errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)


def test_a_four_bar_stays_closed_by_freudensteins_equation():
    """A motor turns the crank round and round for 3 s: no drift. What is open is what a tick turns: half r w^2 dt^2
    of the longest link, 1e-6 m at 0.1 ms and 10 rad/s.
    """
    world = world_of(four_bar(0.7, damping=0.2), 1e-4, ticks=100)
    model, torque = Robot(four_bar(0.7), 1, dtype=DOUBLE), torch.tensor([[2.0, 0.0, 0.0]], dtype=DOUBLE)
    gaps, left, turns = [], [], []

    def each(state):
        gaps.append(float(loop_gaps(model, state.joint_q).abs().max()))
        left.append(abs(freudenstein(float(state.joint_q[0, 0]), float(state.joint_q[0, 2]))))
        turns.append(float(state.joint_q[0, 0]))

    state = run(world, 3.0, each, torque=torque)
    fastest = np.abs(np.diff(turns)).max() / world.dt
    half = len(gaps) // 2
    print(f"\nmeasured: {turns[-1] / 6.283:.1f} turns, up to {fastest:.1f} rad/s; open by {max(gaps):.1e} m")
    assert turns[-1] > 4 * math.pi
    assert max(gaps) < 1e-6 and max(left) < 2e-5
    assert max(gaps[half:]) < 1.2 * max(gaps[:half]) + 1e-9
    assert (state.status == 0).all()


def test_a_parallelogram_swings_with_its_period_and_stays_one():
    """Both cranks turn alike, and the bar goes along: w^2 = g (m + M) / (l (2 m / 3 + M)), longer by a^2 / 16 with an
    amplitude a.
    """
    m, over, length, amplitude = 0.3, 1.2, 0.4, 0.1
    world = world_of(parallelogram(length, 0.25, (m, over), amplitude), 1e-3)
    left, times = [], []

    def each(state):
        q = state.joint_q[0]
        assert abs(float(q[0] - q[2])) < 1e-6 and abs(float(q[0] + q[1])) < 1e-6
        left.append(float(q[0]) + math.pi / 2)
        times.append(float(state.time[0]))

    run(world, 6.0, each)
    x, t = np.array(left), np.array(times)
    down = np.flatnonzero((x[:-1] > 0.0) & (x[1:] <= 0.0))
    crossings = t[down] + x[down] / (x[down] - x[down + 1]) * (t[1] - t[0])
    period = np.diff(crossings).mean()
    wanted = 2 * math.pi * math.sqrt(length * (2 * m / 3 + over) / (G * (m + over))) * (1 + amplitude**2 / 16)
    print(f"\nmeasured: period {period:.6f} s, wanted {wanted:.6f}")
    assert period == pytest.approx(wanted, rel=1e-4)


@pytest.mark.slow
def test_a_parallelogram_swings_for_minutes_and_stays_one():
    """300 s at 1 ms, 240 swings without friction: it neither opens nor loses its energy, beside what swings within a
    turn, and its cranks stay parallel.
    """
    world = world_of(parallelogram(0.4, 0.25, (0.3, 1.2), 0.1), 1e-3, ticks=250)
    model = Robot(parallelogram(0.4, 0.25, (0.3, 1.2), 0.1), 1, dtype=DOUBLE)
    open_by, askew, energies = [], [], []

    def each(state):
        open_by.append(float(loop_gaps(model, state.joint_q).abs().max()))
        askew.append(abs(float(state.joint_q[0, 0] - state.joint_q[0, 2])))
        energies.append(float(sum(model.energy(state.joint_q, state.joint_qd))))

    run(world, 300.0, each)
    minute = len(open_by) // 5
    swing, height = 1.5 * 0.4 * G * (1 - math.cos(0.1)), np.array(energies)
    drift = height[-minute:].mean() - height[:minute].mean()
    print(f"\nmeasured: open by {max(open_by):.1e} m, askew by {max(askew):.1e} rad, energy {drift / swing:.1e} of it")
    assert max(open_by) < 1e-6 and max(askew) < 1e-6
    assert max(open_by[-minute:]) < 1.01 * max(open_by[:minute])
    assert abs(drift) < 1e-4 * swing


@pytest.mark.slow
def test_a_four_bar_that_goes_round_for_minutes_stays_closed():
    """300 s at 1 ms, driven against friction, hundreds of turns: by Freudenstein's equation, and no more open at the
    end than at the beginning. What is open is what a tick turns, half r w^2 dt^2.
    """
    world = world_of(four_bar(0.7, damping=0.2), 1e-3, ticks=50)
    model, torque = Robot(four_bar(0.7), 1, dtype=DOUBLE), torch.tensor([[2.0, 0.0, 0.0]], dtype=DOUBLE)
    gaps, left, turns = [], [], [0.7]

    def each(state):
        gaps.append(float(loop_gaps(model, state.joint_q).abs().max()))
        left.append(abs(freudenstein(float(state.joint_q[0, 0]), float(state.joint_q[0, 2]))))
        turns.append(float(state.joint_q[0, 0]))

    run(world, 300.0, each, torque=torque)
    minute, fastest = len(gaps) // 5, np.abs(np.diff(turns)).max() / world.dt
    print(f"\nmeasured: {turns[-1] / 6.283:.0f} turns, up to {fastest:.1f} rad/s; open by {max(gaps):.1e} m")
    assert turns[-1] > 100 * 2 * math.pi
    assert max(gaps) < 0.5 * 0.35 * (2 * fastest * 1e-3) ** 2 and max(left) < 20 * max(gaps)
    assert max(gaps[-minute:]) < 1.05 * max(gaps[:minute])


def ring(worlds=1, dt=1e-3, weld=False):
    """Four balls, tied in a ring that floats."""
    scene = Scene(substep_dt=dt, substeps=10, gravity=(0.0, 0.0, 0.0))
    corners = [(0.1, 0.0, 0.0), (0.0, 0.12, 0.02), (-0.1, 0.0, 0.0), (0.0, -0.1, -0.03)]
    speeds = [(0.3, 0.1, 0.0), (-0.2, 0.5, 0.4), (0.1, -0.7, 0.2), (0.0, 0.2, -0.5)]
    for i, (at, speed) in enumerate(zip(corners, speeds, strict=True)):
        scene.add_body(
            f"b{i}", Sphere(0.02 + 0.005 * i), 2000.0, at, motion="free", coupling="rigid", velocity=speed,
            angular_velocity=(1.0 + i, -2.0, 0.5 * i),
        )  # fmt: skip
    for i in range(4):
        point = 0.5 * (np.array(corners[i]) + np.array(corners[(i + 1) % 4]))
        scene.tie(f"t{i}", f"b{i}", f"b{(i + 1) % 4}", tuple(point), weld=weld and i == 0)
    scene.let_pass("b0", "b2", "the ring keeps them apart")
    scene.let_pass("b1", "b3", "the ring keeps them apart")
    return scene.make_world(worlds, dtype=DOUBLE)


@pytest.mark.parametrize("weld", [False, True])
def test_a_ring_that_floats_keeps_its_momenta(weld):
    """Linear and angular, to rounding, for two seconds; balls have no gyroscopic torques."""
    world = ring(weld=weld)
    masses = torch.stack([world.parameters[f"b{i}.mass"][0] for i in range(4)])
    inertia = 0.4 * masses * torch.tensor([0.02 + 0.005 * i for i in range(4)], dtype=DOUBLE) ** 2

    def momenta(state):
        x, v, w = state.body_q[0, :, :3], state.body_twist[0, :, :3], state.body_twist[0, :, 3:]
        p = (masses[:, None] * v).sum(0)
        return torch.cat([p, (torch.linalg.cross(x, masses[:, None] * v) + inertia[:, None] * w).sum(0)])

    before = momenta(world.initial_state())
    after = momenta(run(world, 2.0))
    size = float((masses[:, None] * world.initial_state().body_twist[0, :, :3]).norm())
    print(f"\nmeasured: {float((after - before).abs().max()) / size:.1e}")
    assert float((after - before).abs().max()) < 1e-12 * max(size, 1.0)


def test_what_is_welded_is_one_body():
    """Two balls welded beside each other, one of them on a pivot in the world, swing as the pendulum that they are:
    w^2 = g m d / I.
    """
    scene = Scene(substep_dt=1e-3, substeps=10)
    scene.add_body("pivot", Sphere(0.005), position=(0.0, 0.0, 1.0), motion="fixed")
    r, amplitude = 0.04, 0.1
    density = 1.0 / (4 / 3 * math.pi * r**3)
    way = np.array([math.sin(amplitude), 0.0, -math.cos(amplitude)])
    for name, far in (("near", 0.2), ("end", 0.3)):
        at = np.array([0.0, 0.0, 1.0]) + far * way
        scene.add_body(name, Sphere(r), density, tuple(at), motion="free", coupling="rigid")
    scene.tie("hang", "near", "pivot", (0.0, 0.0, 1.0))
    scene.tie("weld", "near", "end", tuple(np.array([0.0, 0.0, 1.0]) + 0.25 * way), weld=True)
    scene.let_pass("end", "pivot", "they never meet")
    world = scene.make_world(1, dtype=DOUBLE)
    angle, times, rows = [], [], [list(scene.bodies).index(name) for name in ("near", "end")]

    def each(state):
        near, end = (state.body_q[0, row, :3] for row in rows)
        assert abs(float((end - near).norm()) - 0.1) < 2e-6
        angle.append(math.atan2(float(end[0]), 1.0 - float(end[2])))
        times.append(float(state.time[0]))

    run(world, 5.0, each)
    x, t = np.array(angle), np.array(times)
    down = np.flatnonzero((x[:-1] > 0.0) & (x[1:] <= 0.0))
    crossings = t[down] + x[down] / (x[down] - x[down + 1]) * (t[1] - t[0])
    about = 2 * 0.4 * r**2 + 0.2**2 + 0.3**2
    wanted = 2 * math.pi * math.sqrt(about / (G * 0.5)) * (1 + amplitude**2 / 16)
    print(f"\nmeasured: period {np.diff(crossings).mean():.6f} s, wanted {wanted:.6f}")
    assert np.diff(crossings).mean() == pytest.approx(wanted, rel=2e-4)


def test_a_loop_bears_a_load_as_a_spring_of_its_stiffness():
    """A ball that is tied to what stands still hangs lower by W dt^2 e / (40 pi^2), with how easily it yields e = 1 / m
    at its centre.
    """
    for dt in (1e-3, 5e-3):
        scene = Scene(substep_dt=dt, substeps=10)
        scene.add_body("pivot", Sphere(0.005), position=(0.0, 0.0, 1.0), motion="fixed")
        scene.add_body("ball", Sphere(0.04), 1000.0, (0.0, 0.0, 1.0), motion="free", coupling="rigid")
        scene.tie("hang", "ball", "pivot", (0.0, 0.0, 1.0))
        state = run(scene.make_world(1, dtype=DOUBLE), 1.0)
        assert 1.0 - float(state.body_q[0, 1, 2]) == pytest.approx(G * dt**2 / (40 * math.pi**2), rel=1e-6)


def test_loops_and_contact_in_one():
    """A parallelogram whose bar lies on a smooth floor at its middle presses with its own weight and one crank's, by
    virtual work, and its cranks stay parallel.
    """
    tree = parallelogram(0.3, 0.25, (0.3, 1.2), -0.4)
    over = replace(tree.links[1], collisions=(Fitted(Sphere(0.01), (0.125, 0.0, 0.0)),))
    scene = Scene(substep_dt=1e-3, substeps=10, rigid=RigidContact(friction=0.0))
    scene.add_robot("p", replace(tree, links=(tree.links[0], over, tree.links[2])), drive=JointDrive(0.0, 0.05))
    scene.add_body("floor", Plane(), position=(0.0, 0.0, -0.29), motion="fixed")
    world = scene.make_world(1, dtype=DOUBLE)
    state = run(world, 3.0)
    q = state.joint_q[0]
    print(f"\nmeasured: cranks {float(q[0] - q[2]):.1e} rad apart, rates {state.joint_qd.abs().max():.1e}")
    assert abs(float(q[0] - q[2])) < 1e-6
    assert float(world.bodies["p/bar"].contact_force(state)[0, 2]) == pytest.approx((1.2 + 0.3) * G, rel=1e-6)
    # the bar's ball touches at a height of -0.28: sin of the cranks' angle is -0.28 / 0.3
    assert float(torch.sin(q[0])) == pytest.approx(-0.28 / 0.3, abs=1e-5)


def test_float32_is_near_float64():
    states = [run(world_of(four_bar(0.7), 1e-3, dtype=dtype), 0.3) for dtype in (DOUBLE, torch.float32)]
    assert float((states[0].joint_q - states[1].joint_q.double()).abs().max()) < 1e-3


def test_a_world_alone_and_beside_others():
    """Bit for bit, beside one whose crank starts elsewhere."""
    scene = Scene(substep_dt=1e-3, substeps=10)
    scene.add_robot("linkage", four_bar(0.7), drive=JointDrive())
    one, many = scene.make_world(1, dtype=DOUBLE), scene.make_world(3, dtype=DOUBLE)
    start = many.initial_state()
    q = start.joint_q.clone()
    q[1, 0] += 0.4
    q, _ = many.robots["linkage"].close(q, keep=["j2"])
    q[0] = one.initial_state().joint_q[0]
    ends = [run(many, 0.2, state=many.robots["linkage"].place(start, q)), run(one, 0.2)]
    assert torch.equal(ends[0].joint_q[0], ends[1].joint_q[0])
    assert float((ends[0].joint_q[1] - ends[0].joint_q[0]).abs().max()) > 0.1
