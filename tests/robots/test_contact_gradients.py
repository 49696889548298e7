# SPDX-License-Identifier: Apache-2.0
"""Derivatives through rigid contact, joint limits and dry friction, against central differences, away from kinks."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Capsule, Plane, Sphere
from simenv.physics.bodies.contacts import RigidContact
from simenv.physics.bodies.forest import JointDrive
from simenv.physics.bodies.tree import Fitted, Inertial, Joint, Link, Mimic, Tree
from simenv.world import Scene
from simenv.world.state import Control

SOFT = RigidContact(2e4, 2e-3, 0.5, 0.4)
ALL = RigidContact(2e4, 2e-3, 0.5, 0.4, 0.8, 0.6, 2e-3, 1e-3, 0.3, 4e-4)  # every number of the law does something
LAWS = {"compliant": SOFT, "near rigid": RigidContact(friction=0.4, rolling=1e-3, spinning=1e-3), "whole": ALL}


def rolling(scene: Scene) -> None:
    """A ball that slips, then rolls."""
    scene.add_body("floor", Plane(), quaternion=(0.0, 0.05, 0.0, 0.9987), motion="fixed")
    scene.add_body(
        "ball", Sphere(0.05), 1000.0, (0.0, 0.0, 0.0502), motion="free", coupling="rigid", velocity=(0.8, 0.3, -0.1),
        angular_velocity=(1.0, 2.0, 3.0),
    )  # fmt: skip


def sliding(scene: Scene) -> None:
    """A box that slides and turns on four corners."""
    scene.add_body("floor", Plane(), motion="fixed")
    scene.add_body(
        "box", Box((0.05, 0.04, 0.02)), 1000.0, (0.0, 0.0, 0.0199), motion="free", coupling="rigid",
        velocity=(1.5, 0.4, 0.0), angular_velocity=(0.0, 0.0, 2.0),
    )  # fmt: skip


def sticking(scene: Scene) -> None:
    """A box that a slope holds."""
    scene.add_body("floor", Plane(), quaternion=(0.0, 0.1, 0.02, 0.99479), motion="fixed")
    scene.add_body(
        "box", Box((0.05, 0.04, 0.03)), 1000.0, (0.00597, -0.0012, 0.02937), (0.0, 0.1, 0.02, 0.99479), "free",
        coupling="rigid",
    )  # fmt: skip


def collision(scene: Scene) -> None:
    """Two balls of different mass that meet off centre on a floor."""
    scene.add_body("floor", Plane(), motion="fixed")
    for name, x, y, v, density in (("one", -0.06, 0.01, 1.0, 800.0), ("two", 0.05, -0.01, -0.6, 1500.0)):
        scene.add_body(
            name, Sphere(0.05), density, (x, y, 0.0499), motion="free", coupling="rigid", velocity=(v, 0.1, 0.0)
        )


def pressing(scene: Scene) -> None:
    """An arm with dry friction and a joint at its limit presses its tip onto a box on a floor."""
    moment = ((2e-4, 0.0, 0.0), (0.0, 2.5e-4, 0.0), (0.0, 0.0, 1e-4))
    shoulder = Joint("shoulder", "revolute", axis=(0.0, 1.0, 0.0), damping=0.02, friction=0.05, armature=2e-3)
    elbow = Joint(
        "elbow", "revolute", (0.2, 0.0, 0.0), axis=(0.0, 1.0, 0.0), upper=0.5, damping=0.02, armature=2e-3,
        friction=0.01,
    )  # fmt: skip
    tip = Fitted(Capsule(0.02, 0.03), (0.15, 0.0, 0.0), (0.0, 0.7071067811865476, 0.0, 0.7071067811865476))
    upper = Link("upper", None, shoulder, Inertial(0.6, (0.1, 0.0, 0.01), moment))
    lower = Link("lower", "upper", elbow, Inertial(0.4, (0.1, 0.01, 0.0), moment), (), (tip,))
    tree = Tree("arm", (upper, lower), {"shoulder": 0.05, "elbow": 0.5002})
    scene.add_robot("arm", tree, (0.0, 0.0, 0.245), drive=JointDrive((30.0, 1.0), (1.0, 0.02)))
    scene.add_body("floor", Plane(), motion="fixed")
    scene.add_body("box", Box((0.1, 0.1, 0.05)), 500.0, (0.33, 0.0, 0.0499), motion="free", coupling="rigid")


def driven(scene: Scene) -> None:
    """An arm whose motors give all they can or hold a speed, with a finger that follows another onto a box."""
    moment = ((2e-4, 0.0, 0.0), (0.0, 2.5e-4, 0.0), (0.0, 0.0, 1e-4))
    lift = Joint("lift", "prismatic", friction=0.5, damping=0.3, effort=9.0, armature=0.01)
    swing = Joint("swing", "revolute", (0.1, 0.0, 0.0), friction=0.003, damping=0.01, speed=0.4, armature=1e-3)
    left = Joint("left", "prismatic", (0.1, 0.04, 0.0), axis=(0.0, -1.0, 0.0), friction=0.05, armature=0.01)
    right = Joint(
        "right", "prismatic", (0.1, -0.04, 0.0), axis=(0.0, 1.0, 0.0), friction=0.05, armature=0.01,
        mimic=Mimic("left", 0.9, 0.001),
    )  # fmt: skip
    tip = (Fitted(Sphere(0.01)),)
    tree = Tree("arm", (
        Link("boom", None, lift, Inertial(0.6, (0.05, 0.0, 0.01), moment)),
        Link("palm", "boom", swing, Inertial(0.4, (0.05, 0.01, 0.0), moment)),
        Link("one", "palm", left, Inertial(0.1, (0.0, 0.0, 0.0), moment), (), tip),
        Link("two", "palm", right, Inertial(0.1, (0.0, 0.0, 0.0), moment), (), tip),
    ), {"left": 0.01})  # fmt: skip
    gains = (2000.0, 20.0, 400.0, 0.0), (20.0, 0.3, 5.0, 0.0)
    scene.add_robot("arm", tree, (0.0, 0.0, 0.08), drive=JointDrive(*gains))
    scene.add_body("floor", Plane(), motion="fixed")
    scene.add_body("box", Box((0.02, 0.0195, 0.08)), 300.0, (0.2, 0.0, 0.0799), motion="free", coupling="rigid")


CASES = {"rolling": rolling, "sliding": sliding, "sticking": sticking, "collision": collision, "pressing": pressing}
CASES["driven"] = driven
CONTROLS = ("joint_target", "joint_rate", "joint_torque")
EPSILONS = (1e-3, 1e-4, 1e-5, 3e-6, 1e-6, 1e-7, 1e-8, 1e-9)


EACH = [(name, kind, False) for name in CASES for kind in LAWS]
EACH += [("driven", "compliant", True), ("pressing", "whole", True)]


@pytest.mark.parametrize(("name", "kind", "midpoint"), EACH)
def test_derivatives_agree_with_differences(name, kind, midpoint):
    """1e-5 of the size of the derivative along a random direction, at the best of some widths, or two of them: wide
    ones cross kinks, narrow ones drown in rounding.
    """
    scene = Scene(substep_dt=1e-3, substeps=10, rigid=LAWS[kind], midpoint=midpoint)
    CASES[name](scene)
    world = scene.make_world(1, dtype=torch.float64)
    start, control = world.initial_state(), world.zero_control()
    for _ in range(10 if kind == "near rigid" else 3):
        start = world.step(start, control)
    assert float(start.contact_impulse.norm()) > 0.0 or name == "collision"
    fields = ["body_q", "body_twist", "anchor", *(n for n in ("joint_q", "joint_qd") if n in start), "closing"]
    leaves = {n: start[n].clone() for n in fields} | {n: v.clone() for n, v in world.parameters.items()}
    if "joint_q" in start:
        at = start.joint_q
        leaves |= {"joint_target": at + 0.1, "joint_rate": torch.zeros_like(at), "joint_torque": 0.1 + 0.0 * at}
    scales = {"body_q": 1e-2, "body_twist": 0.1, "anchor": 1e-5, "joint_q": 1e-2, "joint_qd": 0.1, "joint_target": 0.1}
    scales |= {"closing": 0.01, "rigid.width": 1e-5, "rigid.rolling": 1e-5, "rigid.spinning": 1e-5}
    scales["rigid.relaxation"] = 1e-4
    rng = np.random.default_rng(4)
    weights: dict[str, torch.Tensor] = {}

    def end(values):
        for parameter in world.parameters:
            world.parameters[parameter] = values[parameter]
        state = start.replace(**{n: values[n] for n in fields})
        told = replace(Control(), **{n: values[n] for n in CONTROLS if n in values})
        for _ in range(5):
            state = world.step(state, told)
        assert (state.status == 0).all()
        total = 0.0
        for field, value in state.items():
            if value.is_floating_point() and field != "time":
                drawn = np.random.default_rng(9) if field == "closing" else rng
                weights.setdefault(field, torch.as_tensor(drawn.normal(size=tuple(value.shape))))
                total = total + (weights[field] * value).sum()
        return total

    with torch.no_grad():
        floor = 1e-8 * max(abs(float(end(leaves))), 1.0)  # rates to 1e-13, over a width of 1e-5
    grown = {n: v.clone().requires_grad_() for n, v in leaves.items()}
    slopes = dict(zip(grown, torch.autograd.grad(end(grown), list(grown.values()), allow_unused=True), strict=True))
    wrong = {}
    with torch.no_grad():
        for leaf, value in leaves.items():
            scale = scales.get(leaf, float(value.abs().max()) or 0.1)
            way = scale * torch.as_tensor(rng.normal(size=tuple(value.shape)))
            if leaf == "body_q":
                way[:, 0] = 0.0 if name != "rolling" else way[:, 0]
            slope = torch.zeros_like(value) if slopes[leaf] is None else slopes[leaf]
            exact, size = float((slope * way).sum()), float((slope * way).norm())
            found = []
            for epsilon in EPSILONS:
                ends = [float(end({**leaves, leaf: value + sign * epsilon * way})) for sign in (1.0, -1.0)]
                found.append((ends[0] - ends[1]) / (2.0 * epsilon))
            # and without what is in proportion to the width, as of contact that is C1, or to its square
            pairs = list(zip(itertools.pairwise(EPSILONS), itertools.pairwise(found), strict=True))
            for power in (1, 2):
                ratios = [(broad / slim) ** power for (broad, slim), _ in pairs]
                found += [(r * narrow - wide) / (r - 1.0) for r, (_, (wide, narrow)) in zip(ratios, pairs, strict=True)]
            error = min(abs(each - exact) for each in found)
            if not error <= max(1e-5 * size, floor):
                wrong[leaf] = f"{error / max(size, 1e-30):.1e} of {size:.1e}: {exact} against {found}"
    assert not wrong, "\n".join(f"{leaf}: {text}" for leaf, text in wrong.items())
