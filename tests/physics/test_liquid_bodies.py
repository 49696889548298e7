# SPDX-License-Identifier: Apache-2.0
"""Bodies that an incompressible liquid moves: derivatives, momentum, independence of worlds, and what is refused."""

from functools import cache

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Cup, Sphere
from simenv.physics.mpm.materials import Liquid
from simenv.physics.rotation import quaternion_to_matrix
from simenv.world import Scene, State
from tests.physics.test_liquid_solids import DX, H, block, noise

DOUBLE = torch.float64
BALL, STONE, TOOL = (0.0313, 0.0387, 0.0433), (0.0813, 0.041, 0.042), (0.06, 0.012, 0.07)


def scene_of(ticks=2, density=300.0):
    """A ball with a knob and a stone of other density in a pool, where a tool moves as told."""
    x = block((0, 0, 0), (0.11, 0.08, 0.05))
    x = x + 0.3 * H * (np.random.default_rng(0).random(x.shape) - 0.5)
    away = [np.linalg.norm(x - np.array(each), axis=1) for each in (BALL, STONE, TOOL)]
    x = x[(away[0] > 0.019) & (away[1] > 0.0135) & (away[2] > 0.0135)]
    scene = Scene(size=(0.11, 0.08, 0.10), dx=DX, substep_dt=0.005, substeps=ticks)
    scene.add_material("water", Liquid(1000.0, viscosity=1.0, incompressible=True))
    scene.add_particles("water", "water", x, H**3)
    scene.add_body(
        "ball", Sphere(0.018), density, BALL, (0.1, 0.2, 0.05, 0.97), "free", velocity=(0.2, 0.1, -0.6),
        angular_velocity=(2.0, -3.0, 4.0), friction=0.2,
    )  # fmt: skip
    scene.add_collider("knob", Sphere(0.012), "ball", (0.008, 0.006, -0.012), friction=0.3)
    scene.add_body("stone", Sphere(0.0125), 3000.0, STONE, motion="free", velocity=(-0.2, 0.0, 0.1), friction=0.2)
    scene.add_body("hand", position=TOOL, motion="given")
    scene.add_collider("tool", Sphere(0.0125), "hand")
    return scene


STATES = {"x": 1e-7, "v": 1e-5, "C": 1e-4, "body_q": 1e-8, "body_twist": 1e-6, "owed": 1e-7}
PARAMETERS = {
    "ball.mass": 1e-7, "stone.mass": 1e-6, "knob.friction": 1e-5, "gravity": 1e-4, "water.density": 1e-2,
    "water.viscosity": 1e-4,
}  # fmt: skip
FACTORS = {"x": 1.0, "v": 0.1, "C": 0.001, "body_q": 10.0, "body_twist": 1.0, "owed": 1.0, "wrench": 0.3}


@cache
def problem():
    """What is differentiated, and the return of two control steps while the ball rises and the stone sinks."""
    world = scene_of().make_world(1, dtype=DOUBLE)
    start, random = world.initial_state(), torch.Generator().manual_seed(1)
    told = {"hand": torch.tensor([[0.1, 0.2, -0.3, 1.0, 0.0, 0.5]], dtype=DOUBLE)}
    for _ in range(2):
        start = world.step(start, world.control(twist=told))
    weights = {name: noise(start[name], random) for name in FACTORS}
    base = {name: start[name].clone() for name in STATES} | {n: world.parameters[n].clone() for n in PARAMETERS}

    def value(leaves):
        for name in PARAMETERS:
            world.parameters[name] = leaves[name]
        state = start.replace(**{name: leaves[name] for name in STATES})
        for _ in range(2):
            state = world.step(state, world.control(twist={"hand": leaves["twist"]}))
        assert int(state.status) == 0
        return sum(FACTORS[name] * (state[name] * weight).sum() for name, weight in weights.items())

    base["twist"] = told["hand"]
    leaves = {name: each.clone().requires_grad_() for name, each in base.items()}
    found = torch.autograd.grad(value(leaves), list(leaves.values()))
    return base, value, dict(zip(leaves, found, strict=True)), random


@pytest.mark.parametrize(("name", "step"), [*STATES.items(), *PARAMETERS.items(), ("twist", 1e-6)])
def test_gradients_agree_with_central_differences(name, step):
    """Of state and wrench, by the state with poses and twists of bodies, by masses, friction, gravity, density and
    viscosity, and by how the tool moves: to 1e-5.
    """
    base, value, gradients, random = problem()
    way = noise(base[name], random)
    if name == "body_q":
        way[..., 3:] = 0.0  # of a unit quaternion only turns are meant
    way = way / way.norm()
    found, errors = float((gradients[name] * way).sum()), []
    for epsilon in (step, 0.1 * step):
        ends = [value({**base, name: base[name] + sign * epsilon * way}) for sign in (1.0, -1.0)]
        slope = float(ends[0] - ends[1]) / (2 * epsilon)
        errors.append(abs(found - slope) / abs(slope))
    assert min(errors) <= 1e-5, (name, found, slope)


@pytest.mark.parametrize("density", [5.0, 3000.0])
def test_what_bodies_get_is_what_colliders_felt_but_for_what_is_on_its_way(density):
    """To 1e-12 of what they exchange, with its moment about the world's origin, of a ball with a knob."""
    scene = scene_of(1, density)
    scene.gravity = (0.0, 0.0, 0.0)
    world = scene.make_world(1, dtype=DOUBLE)
    state, ball = world.initial_state(), world.bodies["ball"]
    told = {"hand": torch.tensor([[0.1, 0.2, -0.3, 1.0, 0.0, 0.5]], dtype=DOUBLE)}
    link = scene.touching["ball"].tree.links[0].inertial
    own = torch.tensor(link.inertia, dtype=DOUBLE)

    def momentum(state):
        pose, twist, owed = ball.pose(state)[0], ball.twist(state)[0], state.owed[0, 0]
        turn, push = quaternion_to_matrix(pose[3:]), link.mass * twist[:3] + owed[:3]
        return push, turn @ own @ turn.T @ twist[3:] + owed[3:] + torch.linalg.cross(pose[:3], push)

    exchanged = [0.0, 0.0]
    for _ in range(8):
        before, gains = momentum(state), [torch.zeros(3, dtype=DOUBLE), torch.zeros(3, dtype=DOUBLE)]
        places = [world.colliders[name].pose(state)[0, :3] for name in ("ball", "knob")]
        state = world.step(state, world.control(twist=told))
        assert int(state.status) == 0
        for row, place in enumerate(places):
            force, torque = (world.dt * each for each in state.wrench[0, row].split(3))
            gains[0], gains[1] = gains[0] + force, gains[1] + torque + torch.linalg.cross(place, force)
        for kind, (was, now, gain) in enumerate(zip(before, momentum(state), gains, strict=True)):
            exchanged[kind] += gain.norm().item()
            assert (now - was - gain).norm().item() < 1e-12 * exchanged[kind]
    assert exchanged[0] > 1e-4 and exchanged[1] > 1e-6


def test_worlds_are_what_each_is_alone():
    """To the last bit, with bodies of different mass."""
    scene = scene_of()
    batch, alone = scene.make_world(2), scene.make_world(1)
    masses = torch.tensor([0.002, 0.02])
    batch.parameters["ball.mass"] = masses
    both = batch.initial_state()
    for _ in range(3):
        both = batch.step(both, batch.zero_control())
    assert not both.status.any()
    for row in range(2):
        alone.parameters["ball.mass"] = masses[row : row + 1]
        one = State({name: each[row : row + 1] for name, each in batch.initial_state().items()})
        for _ in range(3):
            one = alone.step(one, alone.zero_control())
        for name in ("x", "v", "C", "wrench", "body_q", "body_twist", "owed"):
            assert torch.equal(both[name][row], one[name][0]), name


def test_what_cannot_answer_is_refused():
    for motion, coupling in (("hand", "rigid"), ("free", "contact")):
        scene = scene_of()
        scene.add_body("held", Sphere(0.01), 500.0, (0.06, 0.03, 0.09), motion=motion, coupling=coupling)
        scene.let_pass("held", "ball", "they never meet")
        scene.let_pass("held", "stone", "they never meet")
        with pytest.raises(ValueError, match=r"without colliders on hands and bodies with coupling='contact' \(held\)"):
            scene.make_world(1)
    scene = scene_of()
    scene.add_body("cup", Cup(0.01, 0.03, 0.004, 0.01), 2500.0, (0.06, 0.05, 0.06), motion="free")
    with pytest.raises(ValueError, match=r"'cup': its wall is 0.004 m thick, .* dx = 0.01 m"):
        scene.make_world(1)
