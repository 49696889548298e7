# SPDX-License-Identifier: Apache-2.0
"""Discs that roll, tops and a pendulum on a turntable, in a world: modes and steady motions against closed forms.

A tick takes Coriolis' and gyroscopic forces at the rates before it, which changes a motion of frequency w by about
w dt / 2 of itself, and contact acts where a body is in the middle of a tick. Sources: Routh 1905, part II (rolling
discs); Goldstein, Classical Mechanics (tops); McDonald and McDonald 2000 (a disc that spins down); Olsson 1978
(Foucault's pendulum).
"""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Cylinder, Plane
from simenv.physics.bodies.contacts import RigidContact
from simenv.physics.rotation import quaternion_multiply
from simenv.robots import Fitted, Inertial, Joint, JointDrive, Link, Tree
from simenv.world import Scene
from tests.robots.test_closed_forms import top

DOUBLE, G = torch.float64, 9.81


def axis_of(quaternion):
    """Where the z axis of a body points, (3,)."""
    x, y, z, w = quaternion.tolist()
    return np.array([2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)])


def modes(signal, step, count=2):
    """Prony's method: complex rates s of a sum of `count` exponentials exp(s t), sorted by their imaginary parts."""
    rows = np.stack([signal[i : len(signal) - count + i] for i in range(count)], 1)
    roots = np.roots([1.0, *(-np.linalg.lstsq(rows, signal[count:], rcond=None)[0][::-1])])
    return sorted(np.log(roots.astype(complex)) / step, key=lambda s: s.imag)


def followed(world, state, seconds, look):
    """What `look` sees of the state at the end of every control step."""
    seen = []
    for _ in range(round(seconds / world.dt)):
        state = world.step(state, world.zero_control())
        seen.append(look(state))
    assert (state.status == 0).all()
    return np.array(seen)


# --------------------------------------------------------------------------------------------------------------- discs


def on_a_floor(radius, half, across, axial, position, quaternion, dt, mass=0.4):
    """A cylinder that floats over a plane, with moments of its own."""
    inertia = ((across, 0.0, 0.0), (0.0, across, 0.0), (0.0, 0.0, axial))
    shape = (Fitted(Cylinder(radius, half)),)
    link = Link("disc", None, Joint("free", "free"), Inertial(mass, (0.0, 0.0, 0.0), inertia), collisions=shape)
    scene = Scene(substep_dt=dt, substeps=10)
    scene.add_robot("disc", Tree("disc", (link,)), position, quaternion, drive=JointDrive())
    scene.add_body("floor", Plane(), motion="fixed")
    scene.set_contact("disc", "floor", RigidContact(friction=1.0))
    return scene.make_world(1, dtype=DOUBLE)


@pytest.mark.parametrize("share", [0.8, 1.25])
@pytest.mark.parametrize("hoop", [False, True], ids=["disc", "hoop"])
def test_a_disc_rolls_upright_iff_it_is_fast_enough(hoop, share):
    """Of radius a, moments A across and C about its axle, at the rate w: the lean obeys
    (A + m a^2) x'' = (m g a - C (C + m a^2) w^2 / A) x + constant, unstable below v^2 = g a / 3 (hoop g a / 4).
    """
    radius, mass, lean = 0.05, 0.4, 1e-3
    across = (0.5 if hoop else 0.25) * mass * radius**2
    axial, about = 2 * across, mass * radius**2
    critical = G * radius * (0.25 if hoop else 1 / 3)
    rate = share * math.sqrt(critical) / radius
    squared = (mass * G * radius - axial * (axial + about) * rate**2 / across) / (across + about)
    world = on_a_floor(
        radius, 1e-6, across, axial, (0.0, 0.0, radius), (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)), 5e-4
    )
    state, disc = world.initial_state(), world.robots["disc"]
    q = disc.positions(state)
    leaning = torch.tensor([[math.sin(lean / 2), 0.0, 0.0, math.cos(lean / 2)]], dtype=DOUBLE)
    place = torch.tensor([[0.0, -radius * math.sin(lean), radius * math.cos(lean)]], dtype=DOUBLE)
    q = torch.cat([place, quaternion_multiply(leaning, q[:, 3:])], 1)
    v = torch.tensor([[rate * radius, 0.0, 0.0, 0.0, rate, 0.0]], dtype=DOUBLE)
    x = followed(world, disc.place(state, q, v), 0.6, lambda s: math.asin(axis_of(disc.positions(s)[0, 3:])[2]))
    rows = np.stack([x[1:-1], np.ones(len(x) - 2)], 1)
    cosine = np.linalg.lstsq(rows, x[2:] + x[:-2], rcond=None)[0][0] / 2  # of what grows, of what swings
    found = (math.acosh(cosine) if cosine > 1.0 else 1j * math.acos(cosine)) ** 2 / world.dt**2
    print(f"\nmeasured: rate of the lean, squared, {found.real:.2f}, wanted {squared:.2f}")
    assert (found.real > 0) == (share < 1.0)
    assert found.real == pytest.approx(squared, abs=0.02 * mass * G * radius / (across + about))


@pytest.mark.parametrize(("half", "lean", "dt"), [(5e-4, 0.3, 1e-4), (6.35e-3, 0.3, 4e-5), (6.35e-3, 0.6, 4e-5)])
def test_eulers_disc_turns_as_it_leans(half, lean, dt):
    """A cylinder of radius r and half height c whose centre rests while it leans by a and its edge goes round at W.
    With the moments I across and J about its axis, per mass, W^2 sin a (I r cos a - J c sin a) =
    g r (r cos a - c sin a): of a thin one W^2 = 4 g / (r sin a). It turns about the line from the centre to where it
    touches, at W sin a / r times that way.
    """
    r, c = 0.0375, half
    across, axial = (3 * r**2 + 4 * c**2) / 12, r**2 / 2
    arm = across * r * math.cos(lean) - axial * c * math.sin(lean)
    wanted = math.sqrt(G * r * (r * math.cos(lean) - c * math.sin(lean)) / (math.sin(lean) * arm))
    down = np.array([math.cos(lean), 0.0, -math.sin(lean)])
    touches = r * down - c * np.array([math.sin(lean), 0.0, math.cos(lean)])
    start = (0.0, 0.0, -touches[2]), (0.0, math.sin(lean / 2), 0.0, math.cos(lean / 2))
    world = on_a_floor(r, c, 0.4 * across, 0.4 * axial, *start, dt)
    disc = world.robots["disc"]
    v = torch.as_tensor([[0.0, 0.0, 0.0, *(-wanted * math.sin(lean) / r * touches)]])
    state = world.initial_state()
    state = disc.place(state, disc.positions(state), v)
    seen = followed(world, state, 0.3, lambda s: [*axis_of(disc.positions(s)[0, 3:]), *disc.positions(s)[0, :3]])
    angle = np.unwrap(np.arctan2(seen[:, 1], seen[:, 0]))
    found = np.polyfit(world.dt * np.arange(len(seen)), angle, 1)[0]
    leans = np.arccos(seen[:, 2])
    print(f"\nmeasured: {found:.3f} rad/s, wanted {wanted:.3f}; leans by {leans.min():.4f} to {leans.max():.4f}")
    if half < 1e-3:
        assert wanted == pytest.approx(math.sqrt(4 * G / (r * math.sin(lean))), rel=0.01)
    assert found == pytest.approx(wanted, rel=0.01)
    assert np.abs(leans - lean).max() < 0.01 * lean and np.abs(seen[:, 3:5]).max() < 0.01 * r


# ---------------------------------------------------------------------------------------------------------------- tops


@pytest.mark.parametrize("share", [0.9, 1.1, 2.5])
def test_a_sleeping_top_wakes_iff_it_is_slow(share):
    """Upright it is stable iff I3^2 w^2 > 4 I1 m g l. How far it leans, as a complex number, has the two modes
    exp(i x t) with I1 x^2 - I3 w x + m g l = 0: a slow precession and the nutation, which is I3 w / I1 of a fast one.
    Ticks take I3 w as if it were off by some (w dt)^2 of it, which moves the modes by I3 w x / (2 I1 x - I3 w) as much.
    """
    tree, mgl = top().tree, 0.5 * G * 0.08
    I3, I1 = 0.5 * 0.05**2 / 2, 0.5 * (3 * 0.05**2 + 0.01**2) / 12 + 0.5 * 0.08**2
    spin, dt = share * math.sqrt(4 * I1 * mgl) / I3, 1e-4
    scene = Scene(substep_dt=dt, substeps=20, midpoint=True)
    scene.add_robot("top", tree, drive=JointDrive())
    world = scene.make_world(1, dtype=DOUBLE)
    state, robot = world.initial_state(), world.robots["top"]
    lean = 1e-5
    q = torch.tensor([[0.0, math.sin(lean / 2), 0.0, math.cos(lean / 2)]], dtype=DOUBLE)
    state = robot.place(state, q, torch.tensor([[3e-5, 0.0, spin]], dtype=DOUBLE))
    seen = followed(world, state, 0.5, lambda s: complex(*axis_of(robot.positions(s)[0])[:2]))
    found = modes(seen, world.dt)
    root = np.sqrt(complex((I3 * spin) ** 2 - 4 * I1 * mgl))
    wanted = sorted((1j * (I3 * spin + sign * root) / (2 * I1) for sign in (-1, 1)), key=lambda s: s.imag)
    if share < 1.0:  # two of one frequency, one that grows and one that fades
        found, wanted = (sorted(each, key=lambda s: s.real) for each in (found, wanted))
    print(f"\nmeasured: modes {np.array(found)}, wanted {np.array(wanted)} 1/s")
    assert (found[-1].real > 0.5) == (share < 1.0)
    sensitivity = max(abs(x) for x in wanted) * I3 * spin / abs(root)
    assert np.abs(np.array(found) - np.array(wanted)).max() < (spin * dt) ** 2 * sensitivity


# --------------------------------------------------------------------------------------------------------- a turntable


def foucault(length, rate, swing, rest, dt=1e-3):
    """A point on a light rod that hangs on two crossed hinges on a turntable that turns as told, and the state in which
    it has been drawn aside by an angle, at rest on the table or in the world.
    """
    heavy = Inertial(1.0, (0.0, 0.0, 0.0), ((0.1, 0.0, 0.0), (0.0, 0.1, 0.0), (0.0, 0.0, 0.1)))
    point = Inertial(1.0, (0.0, 0.0, -length), ((0.0,) * 3,) * 3)
    links = (
        Link("table", None, Joint("turn", "revolute", axis=(0.0, 0.0, 1.0)), heavy),
        Link("fork", "table", Joint("x", "revolute", axis=(1.0, 0.0, 0.0)), hollow=True),
        Link("bob", "fork", Joint("y", "revolute", axis=(0.0, 1.0, 0.0)), point),
    )
    scene = Scene(substep_dt=dt, substeps=20)
    scene.add_robot("table", Tree("table", links), drive=JointDrive(kinematic=[True, False, False]))
    world = scene.make_world(1, dtype=DOUBLE)
    q = torch.tensor([[0.0, 0.0, -swing]], dtype=DOUBLE)
    back = torch.tensor([[1.0, 0.0 if rest else -math.tan(swing), 0.0]], dtype=DOUBLE)
    return world, world.robots["table"].place(world.initial_state(), q, rate * back)


def on_the_table(world, state, length):
    """Where the bob is, in axes that turn with the table, (2,) [m]."""
    _, x, y = world.robots["table"].positions(state)[0]
    return torch.stack([-length * torch.sin(y), length * torch.cos(y) * torch.sin(x)])


@pytest.mark.parametrize(("swing", "rest"), [(0.1, False), (0.2, True)])
def test_foucaults_pendulum_turns_against_its_table(swing, rest):
    """Seen from a table that turns at W, a pendulum that is at rest in the world swings in a plane that turns at -W.
    Drawn aside with the table, it goes round an ellipse of half axes a and b = a W / w0, which by itself turns at
    3/8 a b / l^2 w0 (1.5 % of W here).
    """
    length, rate, seconds = 0.5, 0.3, 20.0
    world, state = foucault(length, rate, swing, rest)
    seen, times = [], []
    for i in range(round(seconds / world.dt)):
        target = torch.tensor([[rate * (i + 1) * world.dt, 0.0, 0.0]], dtype=DOUBLE)
        state = world.step(state, world.control(joints={"table": target}))
        seen.append(on_the_table(world, state, length).numpy())
        times.append((i + 1) * world.dt)
    assert (state.status == 0).all()
    natural = math.sqrt(G / length) * (1 - swing**2 / 16)
    round_once, angles, middles = round(2 * math.pi / natural / world.dt), [], []
    for first in range(0, len(seen) - round_once, 10):
        window = np.array(seen[first : first + round_once])
        long = np.linalg.eigh(window.T @ window)[1][:, 1]  # the ellipse's longer axis
        angles.append(math.atan2(long[1], long[0]))
        middles.append(np.mean(times[first : first + round_once]))
    found = np.polyfit(middles, np.unwrap(2 * np.array(angles)) / 2, 1)[0]
    a = math.sin(swing)
    wanted = -rate + (3 / 8 * a * (a * rate / natural) * natural if rest else 0.0)
    print(f"\nmeasured: {found:.5f} rad/s, wanted {wanted:.5f}")
    assert found == pytest.approx(wanted, rel=3e-3)


def test_how_foucaults_pendulum_turns_depends_on_its_table():
    """The place r of a pendulum at rest in the world, seen from the table after a time t, changes with the table's rate
    W by dr/dW = - t z x r, whatever it does there.
    """
    length, seconds = 0.5, 2.0
    rate = torch.tensor(0.3, dtype=DOUBLE, requires_grad=True)
    world, state = foucault(length, rate, 0.1, False)
    steps = round(seconds / world.dt)
    for i in range(steps):
        target = torch.nn.functional.pad((rate * (i + 1) * world.dt).reshape(1, 1), (0, 2))
        state = world.step(state, world.control(joints={"table": target}))
    place = on_the_table(world, state, length)
    slopes = torch.stack([torch.autograd.grad(each, rate, retain_graph=True)[0] for each in place])
    x, y = place.tolist()
    print(f"\nmeasured: {slopes.tolist()}, wanted {[seconds * y, -seconds * x]}")
    # of first order: half a tick of the pendulum's motion
    np.testing.assert_allclose(slopes, [seconds * y, -seconds * x], atol=2e-3 * seconds * math.hypot(x, y))
