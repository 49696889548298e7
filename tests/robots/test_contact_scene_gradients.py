# SPDX-License-Identifier: Apache-2.0
"""Derivatives through contact of whole scenes, and by laws of single pairs, against central differences in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Cup, Plane, Sphere
from simenv.physics.bodies.contacts import RigidContact
from simenv.robots import Fitted, Inertial, Joint, JointDrive, Link, Tree
from simenv.world import Scene
from simenv.world.state import Control

DOUBLE, G = torch.float64, 9.81
EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
SCALES = {
    "body_q": 1e-3, "body_twist": 0.1, "anchor": 1e-6, "joint_q": 1e-3, "joint_qd": 0.1, "joint_target": 1e-2,
    "joint_torque": 0.1, "twist": 0.1,
    "closing": 0.01, "box|gripper.width": 1e-4, "cup|ball.width": 1e-4,
}  # fmt: skip
LAWS = {
    "compliant": RigidContact(2e4, 1e-2, 0.5, 0.5, rolling=1e-3, spinning=1e-3),
    "near rigid": RigidContact(friction=0.5, rolling=1e-3, spinning=1e-3),
    "whole": RigidContact(2e4, 1e-2, 0.5, 0.5, 0.8, 0.2, 1e-3, 5e-4, 0.3, 2e-4),
}


def gripper(half: float) -> Tree:
    """A palm that goes up and down, and two fingers that slide towards each other along x, pads on a box of this half
    width.
    """
    small, large = (((m, 0.0, 0.0), (0.0, m, 0.0), (0.0, 0.0, m)) for m in (1e-5, 1e-3))
    links = [Link("palm", None, Joint("lift", "prismatic"), Inertial(0.5, (0.0, 0.0, 0.0), large))]
    for name, side in (("left", 1.0), ("right", -1.0)):
        joint = Joint(name, "prismatic", (side * half, 0.0, -0.05), axis=(1.0, 0.0, 0.0))
        pad = Fitted(Box((0.005, 0.012, 0.022)), (side * 0.005, 0.0, 0.0))
        links.append(Link(name, "palm", joint, Inertial(0.05, (side * 0.005, 0.0, 0.0), small), (), (pad,)))
    return Tree("gripper", tuple(links), {"lift": 0.0, "left": 0.0, "right": 0.0})


def gripping(scene: Scene, law: RigidContact) -> dict[str, torch.Tensor]:
    """Two fingers hold a box of 64 g by friction and lift it, with twice the force that it takes."""
    scene.add_robot("gripper", gripper(0.0198), (0.0, 0.0, 0.3), drive=JointDrive((1e3, 0.0, 0.0), (60.0, 1.0, 1.0)))
    scene.add_body("box", Box((0.02,) * 3), 1000.0, (0.0, 0.001, 0.252), motion="free", coupling="rigid")
    scene.set_contact("gripper", "box", law)
    force = 2.0 * 0.064 * G / (2.0 * law.friction)
    return {
        "joint_torque": torch.tensor([[0.0, -force, force]], dtype=DOUBLE),
        "joint_target": torch.tensor([[0.01, 0.0, 0.0]], dtype=DOUBLE),
    }


def gutter(scene: Scene, law: RigidContact) -> dict[str, torch.Tensor]:
    """A ball rolls inside a cup that lies on its side."""
    scene.gravity = (-G, 0.0, 0.0)
    scene.add_body("cup", Cup(0.1, 0.4, 0.02, 0.02), position=(0.0, 0.0, -0.2), motion="fixed")
    at = 0.08 * np.array([-np.cos(0.4), np.sin(0.4)])
    scene.add_body(
        "ball", Sphere(0.0201), 2000.0, (*at, 0.01), motion="free", coupling="rigid", velocity=(0.0, 0.0, 0.1),
        angular_velocity=(1.0, 2.0, 0.5),
    )  # fmt: skip
    scene.set_contact("cup", "ball", law)
    return {}


def pushing(scene: Scene, law: RigidContact) -> dict[str, torch.Tensor]:
    """A bar, moved as told, pushes a box along a floor off its middle, and turns it."""
    scene.add_body("floor", Plane(), motion="fixed")
    scene.add_body("bar", Sphere(0.03), position=(-0.0799, 0.01, 0.02), motion="given")
    scene.add_body("box", Box((0.05, 0.04, 0.02)), 800.0, (0.0, 0.0, 0.0199), motion="free", coupling="rigid")
    scene.set_contact("bar", "box", replace(law, restitution=0.0))  # or it would be thrown off
    scene.set_contact("floor", "box", replace(law, friction=0.3))
    return {"twist": torch.tensor([[[0.3, 0.05, 0.0, 0.0, 0.0, 0.5]]], dtype=DOUBLE)}


CASES = {"gripping": gripping, "gutter": gutter, "pushing": pushing}


@pytest.mark.parametrize("kind", LAWS)
@pytest.mark.parametrize("name", CASES)
def test_derivatives_of_scenes_agree_with_differences(name, kind):
    """1e-5 of the size along a random direction, at the best of four widths, by every field, control and parameter,
    those of the laws of single pairs among them.
    """
    scene = Scene(substep_dt=1e-3, substeps=10)
    told = CASES[name](scene, LAWS[kind])
    world = scene.make_world(1, dtype=DOUBLE)
    start = world.initial_state()
    for _ in range(3):
        start = world.step(start, replace(Control(), **told))
    assert float(start.contact_impulse.norm()) > 0.0
    fields = [n for n in ("body_q", "body_twist", "anchor", "joint_q", "joint_qd", "closing") if n in start]
    leaves = {n: start[n].clone() for n in fields} | dict(told) | {n: v.clone() for n, v in world.parameters.items()}
    assert sum("|" in leaf for leaf in leaves) >= 5
    rng, weights = np.random.default_rng(7), {}

    def end(values):
        for parameter in world.parameters:
            world.parameters[parameter] = values[parameter]
        state = start.replace(**{n: values[n] for n in fields})
        for _ in range(5):
            state = world.step(state, replace(Control(), **{n: values[n] for n in told}))
        assert (state.status == 0).all()
        total = 0.0
        for field, value in state.items():
            if value.is_floating_point() and field != "time":
                weights.setdefault(field, torch.as_tensor(rng.normal(size=tuple(value.shape))))
                total = total + (weights[field] * value).sum()
        return total

    with torch.no_grad():
        floor = 2e-9 * max(abs(float(end(leaves))), 1.0)  # rounding of the differences at their best width
    grown = {n: v.clone().requires_grad_() for n, v in leaves.items()}
    slopes = dict(zip(grown, torch.autograd.grad(end(grown), list(grown.values()), allow_unused=True), strict=True))
    wrong, moved = {}, set()
    with torch.no_grad():
        for leaf, value in leaves.items():
            scale = SCALES.get(leaf, float(value.abs().max()) or 0.1)
            way = scale * torch.as_tensor(rng.normal(size=tuple(value.shape)))
            slope = torch.zeros_like(value) if slopes[leaf] is None else slopes[leaf]
            exact, size = float((slope * way).sum()), float((slope * way).norm())
            moved |= {leaf} if size > floor else set()
            found = []
            for epsilon in EPSILONS:
                ends = [float(end({**leaves, leaf: value + sign * epsilon * way})) for sign in (1.0, -1.0)]
                found.append((ends[0] - ends[1]) / (2.0 * epsilon))
            error = min(abs(each - exact) for each in found)
            if not error <= max(1e-5 * size, floor):
                wrong[leaf] = f"{error / max(size, 1e-30):.1e} of {size:.1e}: {exact} against {found}"
    assert not wrong, "\n".join(f"{leaf}: {text}" for leaf, text in wrong.items())
    assert set(told) <= moved
    assert {leaf.split(".")[0] for leaf in moved if "|" in leaf} == {"|".join(sorted(pair)) for pair in scene.laws}
