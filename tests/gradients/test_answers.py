# SPDX-License-Identifier: Apache-2.0
"""Derivatives of worlds whose bodies' pushers answer to how they move, against a fourth-order stencil in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Capsule, Plane
from simenv.physics.bodies.forest import JointDrive
from simenv.physics.bodies.tools import ToolDrive
from simenv.physics.bodies.tree import Fitted, Inertial, Joint, Link, Tree
from simenv.world import Scene, World
from tests.world.answering import held

STEPS, TICKS = 2, 3
STENCIL = ((1.0, 8.0 / 12.0), (-1.0, -8.0 / 12.0), (2.0, -1.0 / 12.0), (-2.0, 1.0 / 12.0))
EPSILONS = (1e-2, 1e-3, 1e-4)
FIELDS = ("body_q", "body_twist", "joint_q", "joint_qd", "anchor", "pusher_twist", "pusher_gave")
SIZES = {"body_q": 0.01, "anchor": 1e-5}


def _responses(count: int, size: float) -> np.ndarray:
    half = np.random.default_rng(5).normal(size=(count, 6, 6))
    return size * (np.eye(6) + 0.2 * half @ half.swapaxes(1, 2))


def _box(height: float, down: float, **more) -> Scene:
    scene = Scene(substep_dt=1e-3, substeps=TICKS, **more)
    turn = (0.1, 0.05, 0.3, 0.94)
    scene.add_body(
        "box", Box((0.03, 0.02, 0.04)), 500.0, (0.1, 0.2, height), turn, motion="free", coupling="rigid",
        velocity=(0.3, -0.2, down), angular_velocity=(3.0, 2.0, -4.0),
    )  # fmt: skip
    return scene


def free() -> Scene:
    return held(_box(0.3, 0.0), ["box"], _responses(1, 0.1), told=(1.0, 2.0, -1.0, 0.1, 0.2, -0.1))


def midpoint() -> Scene:
    return held(_box(0.3, 0.0, midpoint=True), ["box"], _responses(1, 1e-4), told=(1.0, 2.0, -1.0, 0.1, 0.2, -0.1))


def stacked() -> Scene:
    """Two boxes, a floor, friction."""
    scene = _box(0.04, -0.4)
    scene.add_body("under", Box((0.1, 0.1, 0.02)), 300.0, (0.1, 0.2, -0.02), motion="free", coupling="rigid")
    scene.add_body("floor", Plane(), position=(0.0, 0.0, -0.0399), motion="fixed")
    return held(scene, ["box", "under"], _responses(2, 0.02), told=(1.0, 2.0, -1.0, 0.1, 0.2, -0.1))


def _arm(scene: Scene, **more) -> Scene:
    """Three links, a ball joint among them, whose middles and tip answer."""
    links, parent = [], None
    for name, kind in (("upper", "revolute"), ("middle", "ball"), ("lower", "revolute")):
        joint = Joint(f"{name} joint", kind, (0.0, 0.0, 0.0 if parent is None else -0.1), axis=(0.0, 1.0, 0.0))
        bar = Fitted(Capsule(0.01, 0.04), (0.0, 0.0, -0.05))
        inertial = Inertial(0.1, (0.01, 0.0, -0.05), ((1e-4, 0.0, 0.0), (0.0, 1.5e-4, 0.0), (0.0, 0.0, 8e-5)))
        links.append(Link(name, parent, joint, inertial, (bar,)))
        parent = name
    scene.add_robot("arm", Tree("arm", tuple(links)), (0.0, 0.0, 0.3), **more)
    return held(scene, ["arm/middle", "arm/lower"], _responses(2, 0.02), told=(0.1, 0.2, -0.1, 0.01, 0.02, -0.01))


def arm() -> Scene:
    return _arm(Scene(substep_dt=1e-3, substeps=TICKS), drive=JointDrive(0.3, 0.02))


def pulled() -> Scene:
    tools = {"lower": ToolDrive((60.0, 5.0), (10.0, 0.5))}
    return _arm(Scene(substep_dt=1e-3, substeps=TICKS), tools=tools)


SCENES: dict[str, tuple[Callable[[], Scene], float]] = {
    "free": (free, 1e-7), "midpoint": (midpoint, 1e-7), "stacked": (stacked, 1e-5), "arm": (arm, 1e-7),
    "pulled": (pulled, 1e-7),
}  # fmt: skip


def _end(world: World, start, leaves: dict[str, torch.Tensor], rng_seed: int = 4) -> torch.Tensor:
    """A return (N,) of all fields after some steps."""
    rng = torch.Generator().manual_seed(rng_seed)
    for name in world.parameters:
        if name in leaves:
            world.parameters[name] = leaves[name]
    changed = {name: leaves[name] for name in FIELDS if name in leaves}
    state, total = start.replace(**changed), 0.0
    for _ in range(STEPS):
        state = world.step(state, world.zero_control(start))
        for name in FIELDS:
            if name in state:
                weight = torch.randn(state[name].shape[1:], generator=rng, dtype=torch.float64)
                total = total + (state[name] * weight / SIZES.get(name, 1.0)).flatten(1).sum(1)
    assert (state.status == 0).all()
    if "contact_impulse" in state:
        assert (state.contact_impulse != 0.0).any()
    return total


@pytest.mark.parametrize("name", SCENES)
def test_derivatives_agree_with_differences(name) -> None:
    """Of states and pushers after two steps by states, responses, wrenches and masses."""
    build, limit = SCENES[name]
    one = World(build(), 1, dtype=torch.float64)
    start = one.initial_state()
    rng = np.random.default_rng(7)
    if "joint_q" in start:
        start = start.replace(joint_qd=torch.as_tensor(rng.normal(size=start.joint_qd.shape)))
    start = one.step(start.replace(pusher_twist=torch.as_tensor(rng.normal(size=start.pusher_twist.shape))),
                     one.zero_control(start))  # fmt: skip
    placed = ("body_q", "body_twist") if "joint_q" in start else ()  # by joints
    leaves = {each: start[each].clone() for each in FIELDS if each in start and each not in (*placed, "pusher_gave")}
    kinds = ("pusher.", ".mass", ".friction" if "anchor" in start else ".stiffness")
    leaves |= {n: v.clone() for n, v in one.parameters.items() if any(kind in n for kind in kinds) and v.any()}
    grown = {field: value.clone().requires_grad_() for field, value in leaves.items()}
    total = _end(one, start, grown)
    slopes = dict(zip(grown, torch.autograd.grad(total.sum(), list(grown.values())), strict=True))
    ways = {}
    for leaf, value in leaves.items():
        size = SIZES.get(leaf, 0.1) if "." not in leaf else float(value.abs().max())
        way = torch.as_tensor(rng.normal(size=tuple(value.shape)))
        ways[leaf] = size * (way if way.numel() > 1 else way.sign())
    cases = [(leaf, epsilon, at) for leaf in leaves for epsilon in EPSILONS for at, _ in STENCIL]
    many = World(build(), len(cases), dtype=torch.float64)
    begin = type(start)({k: v.repeat(len(cases), *[1] * (v.dim() - 1)) for k, v in start.items()})
    moved = {leaf: value.repeat(len(cases), *[1] * (value.dim() - 1)) for leaf, value in leaves.items()}
    for row, (leaf, epsilon, at) in enumerate(cases):
        moved[leaf][row] += at * epsilon * ways[leaf][0]
    with torch.no_grad():
        values = _end(many, begin, moved).view(len(leaves), len(EPSILONS), len(STENCIL))
    weight = torch.tensor([share for _, share in STENCIL], dtype=torch.float64)
    found = (values * weight).sum(-1) / torch.tensor(EPSILONS, dtype=torch.float64)
    wrong = {}
    for row, (leaf, slope) in enumerate(slopes.items()):
        parts = slope * ways[leaf]
        error, size = float((found[row] - parts.sum()).abs().min()), float(parts.norm())
        assert size > 0.0, leaf
        if not error <= limit * size:
            wrong[leaf] = f"{error / size:.1e}, {float(parts.sum())} against {found[row].tolist()}"
    assert not wrong, "\n".join(f"{leaf}: {text}" for leaf, text in wrong.items())
