# SPDX-License-Identifier: Apache-2.0
"""Worlds of bodies and gels refuse what does not fit; one with numbers not finite or out of range stops alone."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Plane, Sphere
from simenv.physics import status
from simenv.physics.bodies.model import Gripper
from simenv.sensors.tactile import TacSLGel, WinklerGel, flat_grid
from simenv.world import ContactLaw, Control, Scene

BAD = 1
GEL = WinklerGel(1e7, 5e6, 0.8)
NAN = math.nan


def scene(**changes):
    result = Scene(**({"substep_dt": 1e-3, "substeps": 3} | changes))
    result.add_body("table", Plane(), motion="fixed")
    result.add_body("ball", Sphere(0.015), 2500.0, (0.0, 0.0, 0.015), motion="free")
    result.add_points("ball", "table", np.zeros((1, 3)), 0.015)
    result.add_body("pad", position=(0.0, 0.0, 0.0298), quaternion=(1.0, 0.0, 0.0, 0.0), motion="hand")
    return result


def pressed():
    result = scene()
    result.add_gel("gel", "pad", "ball", flat_grid(8, 8, 0.02, 0.02), GEL)
    return result


def gel(**changes):
    arguments = {"on": "pad", "touches": "ball", "grid": flat_grid(4, 4, 0.02, 0.02), "gel": GEL} | changes
    scene().add_gel("gel", **arguments)


def points(**changes):
    scene().add_points(**({"body": "ball", "against": "table", "offsets": np.zeros((1, 3))} | changes))


REFUSED = {
    "gravity": lambda: scene(gravity=(NAN, 0.0, 0.0)),
    "substeps": lambda: scene(substeps=1.5),
    "friction": lambda: scene(contact=ContactLaw(friction=math.inf)),
    "mass of the gripper": lambda: scene(gripper=Gripper(mass=0.0)),
    "density": lambda: scene().add_body("b", Sphere(0.01), math.inf, motion="free"),
    "position": lambda: scene().add_body("b", Sphere(0.01), 1000.0, (0.0, NAN, 0.1), motion="free"),
    "quaternion": lambda: scene().add_body("b", Sphere(0.01), quaternion=(0.0, 0.0, 0.0, 0.0), motion="fixed"),
    "mass of a hand": lambda: scene().add_body("h", motion="hand", mass=0.0),
    "inertia": lambda: scene().add_body("h", motion="hand", inertia=NAN),
    "gains": lambda: scene().add_body("h", motion="hand", gains=(600.0, 50.0, -1.0, 1.0)),
    "touches a hand": lambda: gel(touches="pad"),
    "place of a gel": lambda: gel(position=(NAN, 0.0, 0.0)),
    "slide": lambda: gel(slide=(0.0, 0.0)),
    "offsets": lambda: points(offsets=np.full((1, 3), NAN)),
    "share": lambda: points(share=0.0),
    "radius": lambda: points(radius=-1.0),
    "points of the table": lambda: points(body="table"),
    "unknown body": lambda: points(against="floor"),
    "number of worlds": lambda: scene().make_world(0),
    "precision": lambda: scene().make_world(1, dtype=torch.float16),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_scene_refuses_what_it_cannot_be(name):
    with pytest.raises(ValueError, match=r"must|no shape|stands still|moves otherwise|no body|no rotation|use torch"):
        REFUSED[name]()


def test_a_scene_refuses_a_gel_that_has_no_dynamics():
    with pytest.raises(TypeError, match="not TacSLGel"):
        gel(gel=TacSLGel())


@pytest.fixture(scope="module")
def world():
    made = pressed().make_world(3, dtype=torch.float64)
    yield made
    made.close()


def test_a_step_refuses_tensors_that_do_not_fit(world):
    state = world.initial_state()
    goal = world.zero_control(state).goal
    wrong = [goal.float(), goal[:1], goal[:, 0], goal.repeat(1, 2, 1), goal[..., :6], goal.numpy()]
    for value in wrong:
        with pytest.raises(ValueError, match=r"control\.goal"):
            world.step(state, Control(goal=value))
    for effort in (torch.zeros(1, dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64), 1.0):
        with pytest.raises(ValueError, match=r"control\.effort"):
            world.step(state, Control(goal=goal, effort=effort))
    with pytest.raises(ValueError, match=r"state\.stick"):
        world.step(state.replace(stick=state.stick[:, :3]), Control(goal=goal))


def play(world, spoilt=None, value=0.0):
    """The last state after three steps in which the ball is pressed, and the gradients; one world may be spoilt."""
    state = world.initial_state()
    goal = world.zero_control(state).goal - torch.tensor([0.0, 0.0, 1e-4, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    leaves = {"goal": goal, "twist": state.body_twist.clone()}
    leaves |= {name: good.clone() for name, good in world.parameters.items()}
    if spoilt is not None:
        leaves[spoilt].view(3, -1)[BAD, {"goal": 2, "twist": 8}.get(spoilt, 0)] = value  # the ball's speed upwards
    kept = dict(world.parameters.items())
    for name, leaf in leaves.items():
        leaf.requires_grad_()
        if name in kept:
            world.parameters[name] = leaf
    state = state.replace(body_twist=leaves["twist"])
    for _ in range(3):
        state = world.step(state, Control(goal=leaves["goal"]))
    for name, good in kept.items():
        world.parameters[name] = good
    loss = 1e3 * state.body_q.square().sum() + state.field.square().sum() + state.push.square().sum()
    return state, dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))


CASES = [
    ("gel.k_n", NAN), ("gel.mu", NAN), ("gel.k_t", -1e6), ("contact.stiffness", NAN), ("contact.friction", math.inf),
    ("ball.mass", -1.0), ("pad.stiffness", NAN), ("gravity", NAN), ("goal", NAN), ("twist", 1e9),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_bad_world_stops_alone_and_has_no_gradient(world, name, value):
    state, grads = play(world, name, value)
    good, good_grads = play(world)
    expected = {"goal": status.NONFINITE, "twist": status.TOO_FAST}.get(name, status.BAD_PARAMETER)
    assert good.status.tolist() == [0, 0, 0] and float(good.field[..., 2].detach().sum()) > 0
    assert state.status[[0, 2]].tolist() == [0, 0] and int(state.status[BAD]) & expected, state.status
    for field in ("body_q", "body_twist", "field", "push", "stick"):
        assert torch.equal(getattr(state, field)[[0, 2]], getattr(good, field)[[0, 2]]), field
    assert torch.equal(state.body_q[BAD], world.initial_state().body_q[BAD])
    for leaf, grad in grads.items():
        assert torch.equal(grad[[0, 2]], good_grads[leaf][[0, 2]]), f"the gradient of {leaf} of a neighbour has changed"
        assert float(grad[BAD].abs().max()) == 0, f"a failed world has a gradient for {leaf}"
