# SPDX-License-Identifier: Apache-2.0
"""Particles, bodies and gels that push each other: what one loses another gains, and a hand carries what it holds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Cup, Sphere
from simenv.physics import status
from simenv.physics.mpm.exchange_limits import exchange_limits
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.physics.rotation import quaternion_to_matrix
from simenv.sensors.tactile import ElasticLayerGel, WinklerGel, flat_grid
from simenv.world import Control, Scene, World
from tests.verification.worlds import angular_momentum, lattice, momentum

DOUBLE = torch.float64
LIMIT = 1e-12  # of the momentum exchanged
DX, DT, TICKS = 0.02, 2.0e-4, 8
RATES = {"equal": None, "four substeps a tick": 4 * TICKS, "four ticks a substep": TICKS // 4}
MATERIALS = {"liquid": Liquid(1000.0, 4.0e4, 0.5), "elastic": Elastic(900.0, 3.0e4, 0.3)}


def of_particles(world, state):
    """Linear [kg m/s] and angular momentum about the world's origin [kg m^2/s] of the particles, (N, 3)."""
    mass = torch.zeros_like(world.volume)
    for group in world.scene.particles.values():
        mass[:, group.span] = world.parameters[f"{group.material}.density"][:, None] * world.volume[:, group.span]
    return momentum(state, mass), angular_momentum(state, mass, world.scene.dx)


def of_body(world, state, name):
    """The same of a body that moves by itself."""
    body, mass = world.bodies[name], world.parameters[f"{name}.mass"][:, None]
    omega, centre = body.twist(state)[:, 3:], body.centre(state)
    arm = centre - body.pose(state)[:, :3]
    push = mass * (body.twist(state)[:, :3] + torch.linalg.cross(omega, arm))
    turn = quaternion_to_matrix(body.pose(state)[:, 3:])
    inertia = turn @ torch.diag(torch.tensor(body.spec.inertia)) @ turn.transpose(-1, -2)
    spin = mass * (inertia @ omega[..., None])[..., 0]
    return push, spin + torch.linalg.cross(centre, push)


def every(world, state):
    """Momenta of the particles, if there are any, and of every body that moves by itself, by name."""
    moving = [name for name, body in world.bodies.items() if body.spec.motion in ("free", "hand")]
    found = {name: of_body(world, state, name) for name in moving}
    return found | ({"particles": of_particles(world, state)} if world.particles else {})


def balance(world, steps, state=None, control=None):
    """Errors of linear and angular momentum over `steps`, relative to what was exchanged, and the last state.

    The impulse of hands' drives counts as given from outside. Its moment is known where a tick is a control step, and
    of a drive that only turns.
    """
    state = world.initial_state() if state is None else state
    first = every(world, state)
    outside = [torch.zeros(world.num_worlds, 3, dtype=DOUBLE) for _ in range(2)]
    most = [0.0, 0.0]
    for _ in range(steps):
        before = state
        state = world.step(state, control or Control())
        for name in world.hand_names:
            force, torque = world.bodies[name].drive(state).split(3, -1)
            outside[0] += world.dt * force
            arm = world.bodies[name].centre(before)
            outside[1] += world.dt * (torque + torch.linalg.cross(arm, force))
        now = every(world, state)
        for kind in range(2):
            gains = [float((now[name][kind] - first[name][kind]).norm(dim=-1).min()) for name in now]
            most[kind] = max(most[kind], *gains)
    assert (state.status == 0).all()
    last = every(world, state)
    errors = []
    for kind in range(2):
        gain = sum(last[name][kind] - first[name][kind] for name in last)
        errors.append(float((gain - outside[kind]).norm(dim=-1).max()) / most[kind])
    print(
        f"\nmeasured: exchanged {most[0]:.3f} kg m/s, {most[1]:.4f} kg m^2/s; off by {errors[0]:.1e}, {errors[1]:.1e}"
    )
    return errors, most, state


def flying(material, substeps=TICKS, particle_substeps=None, dt=DT):
    """A scene without gravity in which a block of a material flies along x through the middle."""
    scene = Scene((0.5,) * 3, DX, dt, substeps, gravity=(0.0, 0.0, 0.0), particle_substeps=particle_substeps)
    scene.add_material("m", MATERIALS[material])
    points = lattice((0.14, 0.21, 0.2), (0.22, 0.29, 0.28), 0.01) + 0.0013
    scene.add_particles("block", "m", points, 1.0e-6, (1.0, 0.05, -0.1))
    return scene


def struck(shape, density, **kwargs):
    """A free body that turns, its collider rough, in the way of the block."""
    scene = flying(**kwargs)
    scene.add_body(
        "body", shape, density, (0.27, 0.24, 0.22), (0.1, 0.3, 0.2, 0.9), "free", coupling="contact",
        velocity=(-0.3, 0.1, 0.05), angular_velocity=(2.0, -3.0, 4.0),
    )  # fmt: skip
    scene.add_collider("knob", Sphere(0.025), "body", (0.0, 0.02, 0.045), friction=0.4)
    return World(scene, 1, dtype=DOUBLE)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("material", MATERIALS)
def test_a_free_body_takes_what_particles_give(material, rate):
    world = struck(Box((0.035, 0.03, 0.03)), 4000.0, material=material, particle_substeps=RATES[rate])
    start = world.initial_state()
    errors, most, state = balance(world, 40, start)
    assert most[0] > 0.1, "they must have met, or nothing is tested"
    assert max(errors) <= LIMIT
    assert float((state.body_twist - start.body_twist)[..., 3:].norm()) > 0.3


def test_a_body_whose_centre_of_mass_is_not_its_frame_takes_what_particles_give():
    world = struck(Cup(0.04, 0.07, 0.012, 0.02), 12000.0, material="liquid")
    assert world.bodies["body"].spec.centre[2] > 0.01
    errors, most, _ = balance(world, 40)
    assert most[0] > 0.1
    assert max(errors) <= LIMIT


def test_wrenches_of_a_step_are_the_change_of_a_bodys_momentum():
    world = struck(Box((0.035, 0.03, 0.03)), 4000.0, material="liquid")
    body, state, worst, most = world.bodies["body"], world.initial_state(), 0.0, 0.0
    for _ in range(40):
        before, state = state, world.step(state, Control())
        (push, _), (earlier, _) = of_body(world, state, "body"), of_body(world, before, "body")
        gain, force = push - earlier, body.wrench(state)[:, :3]
        # colliders of the body report what it received, each about its own frame
        torch.testing.assert_close(state.wrench[..., :3].sum(1), force, rtol=1e-12, atol=1e-12)
        worst = max(worst, float((gain - world.dt * force).norm()))
        most = max(most, float(gain.norm()))
    print(f"\nmeasured: {worst:.1e} of {most:.1e} kg m/s in a step")
    assert most > 0.01
    assert worst <= 1e-12 * most


def hand_in_the_way(gains, **kwargs):
    """A hand with a ball that is not at its centre of mass, in the way of the block."""
    scene = flying(**kwargs)
    scene.add_body("hand", position=(0.28, 0.24, 0.22), motion="hand", mass=1.0, inertia=2e-3, gains=gains)
    scene.add_collider("ball", Sphere(0.03), "hand", (-0.02, 0.015, 0.0), friction=0.4)
    return World(scene, 1, dtype=DOUBLE)


@pytest.mark.parametrize("rate", ["equal", "four substeps a tick"])
@pytest.mark.parametrize("material", MATERIALS)
def test_a_hand_gives_what_its_drive_and_particles_give(material, rate):
    inner = None if rate == "equal" else 4
    world = hand_in_the_way((600.0, 5.0, 50.0, 0.1), material=material, substeps=1, particle_substeps=inner, dt=4 * DT)
    goal = world.zero_control(world.initial_state()).goal + torch.tensor([-0.02, 0.0, 0.01, 0.0, 0.1, 0.0, 0.0])
    errors, most, state = balance(world, 80, control=Control(goal=goal))
    assert most[0] > 0.05
    assert float(state.wrench.norm()) > 0.1
    assert max(errors) <= LIMIT


@pytest.mark.parametrize(("gains", "kind"), [((600.0, 5.0, 50.0, 0.1), 0), ((0.0, 5.0, 0.0, 0.1), 1)])
@pytest.mark.parametrize("rate", RATES)
def test_a_hand_balances_at_every_rate(rate, gains, kind):
    # over several ticks the moment of a force that moves is not that of its mean: angular momentum without a force
    world = hand_in_the_way(gains, material="liquid", particle_substeps=RATES[rate])
    goal = world.zero_control(world.initial_state()).goal + torch.tensor([-0.02, 0.0, 0.01, 0.0, 0.1, 0.0, 0.0])
    errors, most, _ = balance(world, 40, control=Control(goal=goal))
    assert most[kind] > (0.05, 0.003)[kind]
    assert errors[kind] <= LIMIT


GELS = {"springs": WinklerGel(2e7, 1e7, 0.7), "elastic": ElasticLayerGel(6e4, 0.7, 0.45, 3e-3)}


def pressed(carrier, law, grid=False):
    """A body with a gel on a skew face flies onto a turning ball; with a grid, liquid flies by on the other side."""
    scene = flying("liquid") if grid else Scene(substep_dt=DT, substeps=TICKS, gravity=(0.0, 0.0, 0.0))
    near = (0.27, 0.24, 0.22)
    if carrier == "hand":
        scene.add_body("pad", None, None, near, (0.1, 0.0, 0.05, 0.99), "hand", mass=0.5, gains=(0.0, 2.0, 0.0, 0.02))
    else:
        how = {"coupling": "contact", "velocity": (0.3, 0.0, 0.05), "angular_velocity": (1.0, 2.0, 0.0)}
        scene.add_body("pad", Box((0.01, 0.02, 0.02)), 9000.0, near, (0.1, 0.0, 0.05, 0.99), "free", **how)
    ball = {"coupling": "contact", "velocity": (-0.8, 0.02, 0.0), "angular_velocity": (0.0, 9.0, 5.0)}
    scene.add_body("ball", Sphere(0.02), 9000.0, np.add(near, (0.0325, 0.004, 0.001)), motion="free", **ball)
    if carrier == "hand" and grid:
        scene.add_collider("back", Box((0.01, 0.02, 0.02)), "pad", friction=0.3)
    half, grid = np.sqrt(0.5), flat_grid(12, 12, 0.02, 0.02)
    scene.add_gel("gel", "pad", "ball", grid, GELS[law], (0.01, 0.0, 0.0), (0.0, half, 0.0, half))
    return World(scene, 1, dtype=DOUBLE)


@pytest.mark.parametrize("law", GELS)
@pytest.mark.parametrize("carrier", ["free", "hand"])
def test_bodies_that_a_gel_parts_balance(carrier, law):
    world = pressed(carrier, law)
    errors, most, _ = balance(world, 12)
    assert most[0] > 0.05 and most[1] > 1e-3
    assert max(errors) <= LIMIT


@pytest.mark.parametrize("law", GELS)
@pytest.mark.parametrize("carrier", ["free", "hand"])
def test_particles_bodies_and_gels_balance_together(carrier, law):
    world = pressed(carrier, law, grid=True)
    state = world.initial_state()
    errors, most, state = balance(world, 40, state)
    assert most[0] > 0.05
    assert max(errors) <= LIMIT
    moved = every(world, state)["particles"][0] - every(world, world.initial_state())["particles"][0]
    assert float(moved.norm()) > 0.01, "the liquid must have met them"


def pushed(motion, scale=1.0):
    """A ball moves and turns through liquid, on a body that moves as told or a hand `scale` times as heavy and stiff as
    1 kg and 10 kN/m; the world, its state, and a function of the time that gives the control.
    """
    speed, spin = torch.tensor([1.0, 0.1, 0.0], dtype=DOUBLE), torch.tensor([0.0, 3.0, 0.0], dtype=DOUBLE)
    twist = torch.cat([speed, spin]).view(1, 1, 6)
    scene = Scene((0.4, 0.3, 0.3), 0.02, 4.0e-4, 1, gravity=(0.0, 0.0, 0.0))
    scene.add_material("liquid", Liquid(1000.0, 4.0e4, 1.0))
    points = lattice((0.14, 0.09, 0.09), (0.26, 0.21, 0.21), 0.01)
    points = points[np.linalg.norm(points - (0.11, 0.15, 0.15), axis=1) > 0.041]
    scene.add_particles("p", "liquid", points, 1.0e-6)
    start = (0.11, 0.15, 0.15)
    rate, inertia = 100.0, 1e-2  # of the impedance [1/s]; critically damped
    gains = (rate**2, inertia * rate**2, 2 * rate, 2 * inertia * rate)
    hand = {"mass": scale, "inertia": inertia * scale, "gains": tuple(scale * each for each in gains)}
    scene.add_body("tool", position=start, motion=motion, **(hand if motion == "hand" else {}))
    scene.add_collider("ball", Sphere(0.04), "tool", (0.0, 0.0, 0.01), friction=0.3, width=0.02)
    world = World(scene, 1, dtype=DOUBLE)
    state = world.initial_state()
    if motion == "given":
        return world, state, lambda time: Control(twist)

    def control(time):
        # so far ahead that stiffness and damping balance at this speed
        place = torch.tensor(start, dtype=DOUBLE) + (time + 2 / rate) * speed
        angle = 3.0 * time + 2 * np.arcsin(3.0 / rate)
        turn = torch.tensor([0.0, np.sin(angle / 2), 0.0, np.cos(angle / 2)], dtype=DOUBLE)
        return Control(goal=torch.cat([place, turn]).view(1, 1, 7))

    return world, state.replace(body_twist=twist.clone()), control


def path(motion, scale=1.0):
    """Poses and wrenches of the ball in every step, (T, 7) and (T, 6)."""
    world, state, control = pushed(motion, scale)
    poses, wrenches = [], []
    for step in range(150):
        state = world.step(state, control(step * world.dt))
        poses.append(state.body_q[0, 0])
        wrenches.append(state.wrench[0, 0])
    assert (state.status == 0).all()
    return torch.stack(poses), torch.stack(wrenches)


def test_a_heavy_stiff_hand_feels_what_a_given_body_does():
    place, wrench = path("given")
    off = {}
    for scale in (1e3, 1e5, 1e7):
        poses, wrenches = path("hand", scale)
        off[scale] = (float((poses - place).abs().max()), float((wrenches - wrench).abs().max()))
    most = float(wrench.abs().max())
    print(f"\nmeasured, mass [kg]: motion [m], wrench of {most:.1f} N off: {off}")
    assert most > 5.0
    for scale, (motion, force) in off.items():
        assert motion < 0.05 / scale  # which gives way less, the heavier it is
        assert force < 1e4 * motion  # [N/m]; liquid of 40 kPa in cells of 2 cm: 0.8 kN/m for every cell in touch


def test_a_hand_that_pours_carries_what_is_left_in_its_cup():
    dx, radius, height, wall, place = 0.01, 0.04, 0.08, 0.004, np.array([0.12, 0.1, 0.16])
    scene = Scene((0.3, 0.2, 0.28), dx, 8.0e-4, 25)
    scene.add_material("m", Liquid(1000.0, 2.5e4, 0.05))
    points = lattice((-radius, -radius, wall + dx / 4), (radius, radius, 0.06), dx / 2)
    points = points[np.hypot(points[:, 0], points[:, 1]) < radius - dx / 4]
    scene.add_particles("p", "m", points + place, (dx / 2) ** 3)
    scene.add_body("cup", Cup(radius, height, wall, wall), position=place, motion="hand", mass=0.5)
    scene.add_collector("drain", (0.0, 0.0, 0.0), (0.3, 0.2, 0.05))
    world = World(scene, 1)
    state, weights, forces, tilt = world.initial_state(), [], [], 0.0
    cup, goal, each = world.bodies["cup"], world.zero_control(state).goal, 1000.0 * (dx / 2) ** 3 * 9.81
    # degrees, control steps of 20 ms, whether it has calmed down at the end of these
    for degrees, steps, calm in ((0, 60, 1), (50, 90, 1), (75, 50, 0), (0, 80, 1), (95, 50, 0), (0, 80, 1)):
        drives = []
        for step in range(steps):
            angle = np.radians(tilt + (degrees - tilt) * min((step + 1) / 40, 1.0))
            goal[..., 4], goal[..., 6] = np.sin(angle / 2), np.cos(angle / 2)
            state = world.step(state, Control(goal=goal))
            drives.append(float(cup.drive(state)[0, 2]))
        tilt = degrees
        if calm:
            pose = cup.pose(state)[0]
            local = (state.x[0] - pose[:3]) @ quaternion_to_matrix(pose[3:])
            inside = (local[:, :2].norm(dim=1) < radius + wall) & (local[:, 2] > 0) & (local[:, 2] < height)
            left = int((inside & state.active[0]).sum())
            weights.append(each * left)
            forces.append(np.mean(drives[-30:]))
            elsewhere = int(state.active.sum()) - left
            print(f"\nmeasured at {degrees} degrees: hand {forces[-1]:.4f} N, left {weights[-1]:.4f} N, "
                  f"{elsewhere} particles on the way; spread {np.ptp(drives[-30:]):.4f} N")  # fmt: skip
    assert (state.status == 0).all()
    assert weights[0] == pytest.approx(each * len(points), rel=1e-3)
    assert weights[2] < 0.8 * weights[1] and 0.0 < weights[3] < 0.8 * weights[2], "it must have poured"
    assert forces == pytest.approx(weights, rel=0.01)


def sunk(shape, sticky, worlds=1):
    """A free body in water without gravity; a box has its faces just outside of nodes."""
    dx, side = 0.01, 0.1
    scene = Scene((side,) * 3, dx, 6.0e-4, 5, gravity=(0.0, 0.0, 0.0), boundary="slip")
    scene.add_material("water", Liquid(1000.0, 4.0e4, 0.01))
    points = lattice((0, 0, 0), (side,) * 3, dx / 2)
    place = np.full(3, 0.05 if isinstance(shape, Box) else 0.0513)
    local = points - place
    if isinstance(shape, Cup):  # which is full
        r, z = np.hypot(local[:, 0], local[:, 1]), local[:, 2]
        outside = (r > 0.024) | (z < 0.0) | (z > 0.03) | (r < 0.02) & (z > 0.004)
    else:
        away = np.abs(local) / shape.bounds()[1]
        outside = (np.linalg.norm(away, axis=1) if isinstance(shape, Sphere) else away.max(1)) > 1.0
    scene.add_particles("water", "water", points[outside], (dx / 2) ** 3)
    scene.add_body("body", shape, 1e4, place, motion="free", coupling="contact", velocity=(0.012, 0.01, 0.008))
    scene.colliders["body"] = replace(
        scene.colliders["body"], spec=replace(scene.colliders["body"].spec, sticky=sticky, width=0.002)
    )
    return World(scene, worlds)


# shape, whether it holds all components of the velocity, and a share of the least mass that is unstable, if one is
BODIES = {
    "ball": (Sphere(0.02), False, 0.025),
    "sticky ball": (Sphere(0.02), True, 0.15),
    "sticky box": (Box((0.0205,) * 3), True, 0.4),
    "cup": (Cup(0.02, 0.03, 0.004, 0.004), False, None),
}


def least(world):
    """The least mass of the body that is let through [kg]."""
    with pytest.raises(ValueError, match=r"parameter 'body.mass' = 0.0001; body 'body' at dx = 0.01 m bears at least"):
        world.parameters["body.mass"] = 1e-4
    (limit,) = (each for each in world.parameters._limits if each.bit == status.LIGHT_BODY)
    return limit.bound({**world.parameters._built, "body.mass": 1e-4}, "body.mass", 1e3)


@pytest.mark.parametrize("name", BODIES)
def test_what_is_let_through_is_stable_and_much_lighter_bodies_are_not(name, monkeypatch):
    shape, sticky, share = BODIES[name]
    mass = least(sunk(shape, sticky))
    monkeypatch.setattr("simenv.world.world.exchange_limits", lambda parts, eases: [])
    world = sunk(shape, sticky, 2)
    world.parameters["body.mass"] = torch.tensor([1.0, share or 1.0]) * mass
    state, speeds = world.initial_state(), []
    for _ in range(40):
        state = world.step(state, Control())
        speeds.append(state.body_twist[:, 0, :3].norm(dim=-1))
    print(f"\nmeasured {name}: at least {1e3 * mass:.1f} g, fastest {torch.stack(speeds).amax(0).tolist()} m/s")
    assert state.status[0] == 0
    assert float(speeds[-1][0]) < 0.02
    if share:
        assert int(state.status[1]) != 0 or float(torch.stack(speeds)[:, 1].max()) > 0.03


def test_a_light_body_is_refused_when_the_scene_is_built_and_stops_its_world_later():
    scene = flying("liquid")
    scene.add_body("body", Sphere(0.03), 100.0, (0.3, 0.24, 0.22), motion="free", coupling="contact")
    with pytest.raises(ValueError, match=r"'body.mass' = 0.0113\d*; body 'body' at dx = 0.02 m bears at least"):
        World(scene, 1)
    scene = flying("liquid")
    scene.add_body("hand", position=(0.3, 0.24, 0.22), motion="hand", gains=(1.0, 0.1, 0.1, 0.001))
    scene.add_collider("ball", Sphere(0.03), "hand")
    world = World(scene, 2)
    world.parameters["hand.mass"] = torch.tensor([0.01, 1.0])
    after = world.step(world.initial_state(), Control())
    assert after.status.tolist() == [status.LIGHT_BODY, 0]


def test_a_collider_far_from_the_centre_of_mass_needs_a_heavier_hand():
    limits = []
    for arm in (0.0, 0.15):
        scene = flying("liquid")
        scene.add_body("hand", position=(0.3, 0.24, 0.22), motion="hand", mass=10.0, inertia=1e-2)
        scene.add_collider("ball", Sphere(0.03), "hand", (0.0, 0.0, arm))
        (limit,) = exchange_limits(scene.particle_parts(), {})
        limits.append(limit.load({"hand.mass": 10.0, "m.density": 1000.0}))
    # pushed at the distance a from its centre, a body of mass m and moment I gives way as one of m / (1 + m a^2 / I)
    assert limits[1] / limits[0] == pytest.approx(1 + 10.0 * 0.15**2 / 1e-2, rel=0.05)
