# SPDX-License-Identifier: Apache-2.0
"""Rigid bodies whose pushers answer to how they move (`Frames.response`): what they carry along, what contact makes of
it, and that what one gets the other gives.
"""

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Plane, Sphere
from simenv.world import Scene, World
from tests.world.answering import held

G = 9.81


def _ball(density: float = 1000.0, **more) -> Scene:
    scene = Scene(substep_dt=1e-3, substeps=10)
    more = {"velocity": (0.3, -0.1, 0.2), "angular_velocity": (1.0, 2.0, 3.0)} | more
    scene.add_body("ball", Sphere(0.05), density, (0.1, 0.2, 0.3), motion="free", coupling="rigid", **more)
    return scene


def _run(scene: Scene, steps: int = 1, dtype=torch.float64):
    world = World(scene, 1, dtype=dtype)
    state = world.initial_state()
    for _ in range(steps):
        state = world.step(state, world.zero_control())
    assert state.status.item() == 0
    return world, state


def _spd(seed: int, size: float) -> np.ndarray:
    half = np.random.default_rng(seed).normal(size=(6, 6))
    return size * half @ half.T


def test_what_is_carried_along_has_inertia_and_no_weight() -> None:
    world, state = _run(
        held(_ball(velocity=(0.0, 0.0, 0.0), angular_velocity=(0.0, 0.0, 0.0)), ["ball"], 2.0, hold=False)
    )
    mass, time = world.parameters["ball.mass"].item(), 0.01
    fall = G * mass / (mass + 2.0)
    twist, pose = world.bodies["ball"].twist(state)[0], world.bodies["ball"].pose(state)[0]
    assert twist[2].item() == pytest.approx(-fall * time, rel=1e-13)
    assert pose[2].item() == pytest.approx(0.3 - 0.5 * fall * time**2, rel=1e-13)
    # what acts is what keeps it from falling freely
    assert world.bodies["ball"].wrench(state)[0, 2].item() == pytest.approx(mass * (G - fall), rel=1e-12)


def test_a_response_couples_force_and_turning_about_the_place_of_the_push() -> None:
    # (M + K) (V' - V) = dt g in one tick, M of a ball
    response, told = _spd(1, 0.3), np.array([1.0, -2.0, 0.5, 0.02, 0.03, -0.01])
    scene = held(_ball(angular_velocity=(0.0, 0.0, 0.0)), ["ball"], response, told=told, hold=False)
    scene.substeps, scene.gravity = 1, (0.0, 0.0, 0.0)
    world, state = _run(scene)
    mass = world.parameters["ball.mass"].item()
    inertia = np.diag([mass] * 3 + [0.4 * mass * 0.05**2] * 3)
    # the place is where the ball was, half a tick's way behind its centre midway
    behind = -0.5e-3 * np.array([0.3, -0.1, 0.2])
    shift = np.eye(6)
    shift[:3, 3:] = -np.array([[0, -behind[2], behind[1]], [behind[2], 0, -behind[0]], [-behind[1], behind[0], 0]])
    gained = np.linalg.solve(inertia + shift.T @ response @ shift, 1e-3 * shift.T @ told)
    assert world.bodies["ball"].twist(state)[0].numpy() == pytest.approx(
        np.array([0.3, -0.1, 0.2, 0, 0, 0]) + gained, rel=1e-13, abs=1e-15
    )


@pytest.mark.parametrize("hold", [True, False])
@pytest.mark.parametrize("gravity", [0.0, G])
def test_what_a_body_gets_its_pusher_gives(hold, gravity) -> None:
    """Momentum, and without weight, whose arm is that of the middles of ticks, its moment about the world's origin."""
    scene = _ball()
    scene.gravity = (0.0, 0.0, -gravity)
    told = (0.4, 0.1, -0.3, 0.01, 0.02, 0.03)
    world, state = _run(held(scene, ["ball"], _spd(2, 0.5), told=told, mass=0.7, hold=hold), 20)
    ball, mass = world.bodies["ball"], world.parameters["ball.mass"].item()

    def momentum(state):
        at, twist = ball.pose(state)[0, :3], ball.twist(state)[0]
        turning = torch.linalg.cross(at, mass * twist[:3]) + 0.4 * mass * 0.05**2 * twist[3:]
        return torch.cat([mass * twist[:3], turning])

    gained, gave = momentum(state) - momentum(world.initial_state()), state.pusher_gave[0, 0]
    assert gave[:3].abs().max().item() > 1e-2
    gained[2] += mass * gravity * 0.2
    off = (gained - gave)[: 3 if gravity else 6]
    assert off.abs().max().item() < 1e-13
    assert (0.7 * state.pusher_twist[0, 0, :3] + gave[:3]).abs().max().item() < 1e-13


def test_a_response_of_zero_changes_no_bit() -> None:
    ends = []
    for answers in (True, False):
        scene = _ball(velocity=(0.3, 0.0, -1.0))
        scene.add_body("floor", Plane(), motion="fixed", position=(0.0, 0.0, 0.245))
        told = (0.1, 0.2, 0.3, 0.01, 0.0, 0.0)
        ends.append(_run(held(scene, ["ball"], 0.0, told=told, answers=answers), 8)[1])
    assert ends[0].contact_impulse.abs().max().item() > 0.0
    for name in ("body_q", "body_twist", "contact_impulse", "link_wrench", "pusher_gave"):
        assert torch.equal(ends[0][name], ends[1][name]), name


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_a_light_ball_that_carries_much_stands(weight) -> None:
    # 0.1 g with a hundred times its mass, and pressed down by five hundred times its weight
    scene = Scene(substep_dt=1e-3, substeps=10)
    scene.add_body("floor", Plane(), motion="fixed")
    density = 1e-4 / (4.0 / 3.0 * np.pi * 0.01**3)
    scene.add_body("ball", Sphere(0.01), density, (0.0, 0.0, 0.0105), motion="free", coupling="rigid")
    world, state = _run(held(scene, ["ball"], 1e-2, told=(0.0, 0.0, -weight, 0.0, 0.0, 0.0), hold=False), 100)
    twist, height = world.bodies["ball"].twist(state)[0], world.bodies["ball"].pose(state)[0, 2].item()
    push = state.contact_impulse[0].sum(0).numpy() / 1e-3
    assert twist.abs().max().item() < 1e-6
    assert push == pytest.approx(np.array([0.0, 0.0, 1e-4 * G + weight]), rel=1e-5, abs=1e-7)
    # the spring of contact, which is that of a body that carries nothing, holds it
    sinks = (1e-4 * G + weight) / world.robot_solver.touching.stiffest(1e-3)[0]
    assert height == pytest.approx(0.01 - sinks, abs=1e-3 * sinks)


def test_boxes_that_carry_much_stand_on_each_other() -> None:
    scene = Scene(substep_dt=1e-3, substeps=10)
    scene.add_body("floor", Plane(), motion="fixed")
    for n, density in enumerate((100.0, 20.0)):
        scene.add_body(f"box {n}", Box((0.02, 0.02, 0.02)), density, (0.0, 0.0, 0.0201 + 0.0402 * n), motion="free",
                       coupling="rigid")  # fmt: skip
    mass = np.array([100.0, 20.0]) * 0.04**3
    response = np.diag([1.0] * 3 + [1e-4] * 3)
    world, state = _run(held(scene, ["box 0", "box 1"], response, hold=False), 100)
    for n in range(2):
        pose, twist = world.bodies[f"box {n}"].pose(state)[0], world.bodies[f"box {n}"].twist(state)[0]
        assert twist.abs().max().item() < 1e-5
        assert pose[2].item() == pytest.approx(0.02 + 0.04 * n, abs=2e-5)
        assert pose[:2].abs().max().item() < 1e-6
    below = world.robot_solver.touch(state, "box 0", "floor")[0, 2].item()
    between = world.robot_solver.touch(state, "box 1", "box 0")[0, 2].item()
    assert below == pytest.approx(mass.sum() * G, rel=1e-4)
    assert between == pytest.approx(mass[1] * G, rel=1e-4)


def test_a_hand_cannot_answer() -> None:
    scene = _ball()
    scene.add_body("hand", motion="hand", mass=1.0)
    world = World(held(scene, ["ball", "hand"], 1.0), 1)
    with pytest.raises(ValueError, match=r"bodies number \[1\] .* cannot; use coupling='rigid'"):
        world.step(world.initial_state(), world.zero_control())
