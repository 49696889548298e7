# SPDX-License-Identifier: Apache-2.0
"""Rigid contact against closed forms of mechanics, and its derivatives. Sources: Goldstein, Classical Mechanics;
Schwager and Poeschel 2007; Hunt and Crossley 1975.
"""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Plane, Sphere
from simenv.physics.bodies.contacts import RigidContact
from simenv.world import Scene

DOUBLE = torch.float64
G = 9.81


def world_of(build, dt=1e-3, ticks=10, worlds=1, **options):
    scene = Scene(substep_dt=dt, substeps=ticks, **options)
    build(scene)
    return scene.make_world(worlds, dtype=DOUBLE)


def run(world, seconds, state=None, each=None):
    state, control = world.initial_state() if state is None else state, world.zero_control()
    for _ in range(round(seconds / world.dt)):
        state = world.step(state, control)
        if each is not None:
            each(state)
    assert (state.status == 0).all()
    return state


def tilted(degrees):
    """Quaternion of a plane whose normal leans towards +x: what lies on it slides to +x."""
    half = math.radians(degrees) / 2
    return (0.0, math.sin(half), 0.0, math.cos(half))


def on_slope(scene, shape, degrees, height, friction, speed=0.0, density=1000.0, law=None):
    """A body that touches a slope with its lowest point, its axes those of the slope."""
    turn, a = tilted(degrees), math.radians(degrees)
    scene.add_body("slope", Plane(), quaternion=turn, motion="fixed")
    normal, down = np.array([math.sin(a), 0.0, math.cos(a)]), np.array([math.cos(a), 0.0, -math.sin(a)])
    scene.add_body(
        "body", shape, density, tuple(height * normal), turn, "free", coupling="rigid", velocity=tuple(speed * down)
    )
    scene.set_contact("slope", "body", law or RigidContact(friction=friction))
    return down


def along(world, state, down):
    return float(world.bodies["body"].pose(state)[0, :3] @ torch.as_tensor(down))


def speed(world, state, down):
    return float(world.bodies["body"].twist(state)[0, :3] @ torch.as_tensor(down))


# ------------------------------------------------------------------------------------------------------------ bounce


def bouncer(dt, ticks, worlds=1, law=None, height=0.3, gravity=-G):
    law = law or RigidContact(1e4, 0.0, 0.0, 0.0)

    def build(scene):
        scene.add_body("floor", Plane(), motion="fixed")
        density = 1.0 / (4 / 3 * math.pi * 0.05**3)
        scene.add_body("body", Sphere(0.05), density, (0.0, 0.0, 0.05 + height), motion="free", coupling="rigid")
        scene.set_contact("floor", "body", law)

    return world_of(build, dt, ticks, worlds, gravity=(0.0, 0.0, gravity))


@pytest.mark.parametrize("dt", [1e-3, 1e-4])
def test_an_undamped_ball_comes_back(dt):
    """k = 1e4 N/m, 1 kg, dropped 0.3 m: the energy of the bounce is that of the fall at any tick (the old contact kept
    0.43 of the speed at 1 ms).
    """
    world = bouncer(dt, 1)
    heights = []
    run(world, 0.75, each=lambda s: heights.append(float(s.body_q[0, 1, 2])))
    touched = int(np.argmin(heights))
    assert max(heights[touched:]) - 0.05 == pytest.approx(0.3, rel=2e-3)


@pytest.mark.parametrize("dt", [1e-3, 1e-4])
def test_slope_of_a_bounce(dt):
    """Height after a bounce over the height of the fall: the derivative in every world is near the mean slope."""
    first = torch.linspace(0.28, 0.32, 41, dtype=DOUBLE)
    world = bouncer(dt, 10 if dt > 5e-4 else 100, 41)
    start = world.initial_state()
    pose = start.body_q.clone()
    pose[:, 1, 2] = 0.05 + first
    pose.requires_grad_()
    end = run(world, 0.35, start.replace(body_q=pose))
    height = end.body_q[:, 1, 2]
    (slope,) = torch.autograd.grad(height.sum(), pose)
    mean = np.polyfit(first.numpy(), height.detach().numpy(), 1)[0]
    found = slope[:, 1, 2].numpy()
    print(f"\nmeasured: mean slope {mean:.4f}, of worlds {found.min():.4f} to {found.max():.4f}")
    local = np.gradient(height.detach().numpy(), first.numpy())
    assert np.abs(found - local)[1:-1].max() < 0.1 * abs(mean)
    assert (np.sign(found) == np.sign(mean)).all() and np.abs(found.mean() / mean - 1.0) < 0.1


def test_linear_damping_gives_its_restitution():
    """e = exp(-pi zeta / sqrt(1 - zeta^2)) where the spring may pull; one that does not ends when its force is zero:
    e = exp(-zeta / sqrt(1 - zeta^2) (pi - atan(2 zeta sqrt(1 - zeta^2) / (1 - 2 zeta^2)))) (Schwager, Poeschel 2007).
    """
    k, zeta, v0 = 1e4, 0.2, 2.0
    c = 2.0 * zeta * math.sqrt(k)
    world = bouncer(1e-4, 1, law=RigidContact(k, c / k, 0.0, 0.0), height=0.002, gravity=0.0)
    start = world.initial_state()
    twist = start.body_twist.clone()
    twist[:, 1, 2] = -v0
    speeds = []
    run(world, 0.06, start.replace(body_twist=twist), lambda s: speeds.append(float(s.body_twist[0, 1, 2])))
    root = math.sqrt(1.0 - zeta**2)
    expected = math.exp(-zeta / root * (math.pi - math.atan2(2 * zeta * root, 1 - 2 * zeta**2)))
    assert max(speeds) / v0 == pytest.approx(expected, rel=0.01)


def test_hunt_and_crossley_s_restitution():
    """e = 1 - 2/3 d v0 for small d v0."""
    d, v0 = 0.05, 0.5
    world = bouncer(1e-4, 1, law=RigidContact(1e4, 0.0, d, 0.0), height=1e-4, gravity=0.0)
    start = world.initial_state()
    twist = start.body_twist.clone()
    twist[:, 1, 2] = -v0
    speeds = []
    run(world, 0.06, start.replace(body_twist=twist), lambda s: speeds.append(float(s.body_twist[0, 1, 2])))
    assert 1.0 - max(speeds) / v0 == pytest.approx(2 / 3 * d * v0, rel=0.05)


# ------------------------------------------------------------------------------------------------------------ friction


def test_a_ball_rolls_down_a_slope():
    """a = 5/7 g sin(a) while tan(a) < 7/2 mu."""
    holder = []
    world = world_of(lambda s: holder.append(on_slope(s, Sphere(0.05), 20.0, 0.05, 0.5)))
    state = run(world, 0.5)
    assert speed(world, state, holder[0]) == pytest.approx(5 / 7 * G * math.sin(math.radians(20)) * 0.5, rel=5e-3)


def test_a_ball_slips_on_a_steep_slope():
    """Where tan(a) > 7/2 mu it slips: a = g (sin(a) - mu cos(a))."""
    holder, mu, a = [], 0.1, math.radians(30)
    world = world_of(lambda s: holder.append(on_slope(s, Sphere(0.05), 30.0, 0.05, mu)))
    state = run(world, 0.5)
    expected = G * (math.sin(a) - mu * math.cos(a)) * 0.5
    assert speed(world, state, holder[0]) == pytest.approx(expected, rel=5e-3)


def test_a_bowling_ball_begins_to_roll():
    """After t = 2 v0 / (7 mu g), at x = 12 v0^2 / (49 mu g), it rolls with 5/7 v0; mu 0.3, v0 2: 0.1942 s, 0.3329 m."""
    holder, mu, v0 = [], 0.3, 2.0
    world = world_of(lambda s: holder.append(on_slope(s, Sphere(0.1), 0.0, 0.1, mu, v0)), ticks=1)
    rows = []
    run(world, 0.4, each=lambda s: rows.append((along(world, s, holder[0]), *s.body_twist[0, 1, [0, 4]].tolist())))
    x, v, omega = np.array(rows).T
    rolls = int(np.argmax(v - 0.1 * omega < 1e-6))
    assert v[-1] == pytest.approx(5 / 7 * v0, rel=5e-3)
    assert (rolls + 1) * 1e-3 == pytest.approx(2 * v0 / (7 * mu * G), abs=2e-3)
    assert x[rolls] == pytest.approx(12 * v0**2 / (49 * mu * G), rel=1e-2)


def test_a_sliding_block_stops_and_where_depends_on_friction():
    """x = v0^2 / (2 mu g), dx/dmu = -v0^2 / (2 mu^2 g)."""
    holder, mu, v0 = [], 0.4, 1.5
    half = (0.1, 0.1, 0.02)
    world = world_of(lambda s: holder.append(on_slope(s, Box(half), 0.0, 0.02, mu, v0)))
    name = "body|slope.friction"
    friction = world.parameters[name].clone().requires_grad_()
    world.parameters[name] = friction
    state = run(world, 0.6)
    x = world.bodies["body"].pose(state)[0, 0]
    (slope,) = torch.autograd.grad(x, friction)
    assert float(x) == pytest.approx(v0**2 / (2 * mu * G), rel=5e-3)
    assert float(slope) == pytest.approx(-(v0**2) / (2 * mu**2 * G), rel=1e-2)


@pytest.mark.parametrize("degrees", [26.4, 26.75])
def test_a_block_slides_where_the_slope_is_steeper_than_friction(degrees):
    """tan(a) > mu = 0.5: 26.565 degrees."""
    holder = []
    world = world_of(lambda s: holder.append(on_slope(s, Box((0.1, 0.1, 0.02)), degrees, 0.02, 0.5)), dt=2e-3)
    moved = along(world, run(world, 1.0), holder[0])
    a = math.radians(degrees)
    expected = max(0.5 * G * (math.sin(a) - 0.5 * math.cos(a)), 0.0)
    assert moved == pytest.approx(expected, abs=1e-4 + 0.02 * expected)


@pytest.mark.parametrize(("degrees", "tips"), [(26.4, False), (26.7, True)])
def test_a_block_tips_over_its_edge(degrees, tips):
    """tan(a) > b / h = 0.5, with more friction than that."""
    holder = []
    world = world_of(lambda s: holder.append(on_slope(s, Box((0.05, 0.05, 0.1)), degrees, 0.1, 2.0)))
    state = run(world, 3.0)
    leaned = 2 * math.degrees(math.asin(min(1.0, float(state.body_q[0, 1, 3:6].norm()))))
    assert (leaned > degrees + 20.0) == tips


@pytest.mark.parametrize("degrees", [20.0, 26.0])
def test_a_held_block_does_not_creep(degrees):
    """A cube of 0.1 m, mu 0.5, 2 ms: 0 with anchors (MuJoCo 0.98 and 1.64 mm/s, Drake's SAP 5 and 8.5 um/s)."""
    holder = []
    world = world_of(lambda s: holder.append(on_slope(s, Box((0.05,) * 3), degrees, 0.05, 0.5)), dt=2e-3)
    state = run(world, 2.0)
    first = along(world, state, holder[0])
    state = run(world, 10.0, state)
    assert abs(along(world, state, holder[0]) - first) / 10.0 < 1e-12


# ---------------------------------------------------------------------------------------------------------- many bodies


def stack(scene, count=5, gap=0.0):
    scene.add_body("floor", Plane(), motion="fixed")
    for i in range(count):
        z = 0.05 + i * (0.1 + gap)
        scene.add_body(f"cube{i}", Box((0.05,) * 3), 1000.0, (0.0, 0.0, z), motion="free", coupling="rigid")


def test_five_stacked_cubes_stand():
    """5 ms; within 0.2 mm of where they are put."""
    world = world_of(stack, dt=5e-3, ticks=20)
    state = run(world, 10.0)
    weights = [world.bodies[f"cube{i}"].contact_force(state, f"cube{i - 1}" if i else "floor")[0, 2] for i in range(5)]
    np.testing.assert_allclose(weights, [(5 - i) * G for i in range(5)], rtol=1e-9)
    assert float(world.bodies["cube2"].contact_force(state)[0, 2]) == pytest.approx(G, rel=1e-8)
    off = state.body_q[0, 1:, :3] - world.initial_state().body_q[0, 1:, :3]
    assert float(off.abs().max()) < 2e-4
    assert float(state.body_twist.abs().max()) < 1e-9
