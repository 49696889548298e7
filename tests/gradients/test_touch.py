# SPDX-License-Identifier: Apache-2.0
"""Gradients through rigid bodies in touch: central differences in float64 along random directions."""

from functools import cache

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Cup, Cylinder
from simenv.sensors.tactile import ElasticLayerGel, WinklerGel, flat_grid
from simenv.world import ContactLaw, Control, Scene

DOUBLE = torch.float64
STEPS, WORLDS = 10, 2
GELS = {"springs": WinklerGel(8e7, 4e7, 0.7), "elastic": ElasticLayerGel(6e4, 0.7, 0.45, 3e-3)}


def scene(gel):
    """A peg held by two sliding gels, its foot against the floor of a cup: every kernel has something to do."""
    result = Scene(substep_dt=1e-3, substeps=8, contact=ContactLaw(friction=0.4, damping=2.0))
    result.add_body("socket", Cup(0.009, 0.02, 0.01, 0.005), position=(0.0, 0.0, -0.0052), motion="fixed")
    result.add_body("hand", position=(0.0, 0.0, 0.03), motion="hand")
    result.add_body("peg", Cylinder(0.008, 0.02), 4000.0, (0.0, 0.0, 0.02), motion="free")
    angle = np.linspace(0.0, 2 * np.pi, 6, endpoint=False)
    rim = np.stack([0.008 * np.cos(angle), 0.008 * np.sin(angle), np.full(6, -0.02)], -1)
    result.add_points("peg", "socket", rim, share=2.0)
    half = np.sqrt(0.5)
    for name, side, turn in (("left", 1.0, half), ("right", -1.0, -half)):
        result.add_gel(
            name, "hand", "peg", flat_grid(6, 5, 0.016, 0.02), gel,
            quaternion=(turn, 0.0, 0.0, half), slide=(0.0, side, 0.0),
        )  # fmt: skip
    return result


@cache
def setting(law):
    world = scene(GELS[law]).make_world(WORLDS, dtype=DOUBLE)
    random = torch.Generator().manual_seed(3)
    start = world.initial_state()
    start = start.replace(grip=torch.tensor([[0.0078, 0.0]], dtype=DOUBLE).repeat(WORLDS, 1))
    start = world.touch_anew(start)
    twist = start.body_twist.clone()
    twist[:, 1] = 0.3 * torch.randn(WORLDS, 6, generator=random, dtype=DOUBLE)
    start = start.replace(body_twist=twist)
    goal = start.body_q[:, [1]].repeat(1, STEPS, 1).transpose(0, 1).unsqueeze(2).clone()
    goal[..., :3] += 2e-3 * torch.randn(STEPS, WORLDS, 1, 3, generator=random, dtype=DOUBLE)
    goal[..., 2] -= 1e-3
    return world, start, goal


def objective(world, start, goal, fields):
    """A smooth function of the path and of what the sensors read."""
    given = {name: value for name, value in fields.items() if name in world.parameters}
    kept = {name: world.parameters[name] for name in given}
    for name, value in given.items():
        world.parameters[name] = value
    state = start.replace(**{name: value for name, value in fields.items() if name in start})
    goal = fields.get("goal", goal)
    effort = fields.get("effort", torch.full((WORLDS,), -6.0, dtype=DOUBLE))
    total = 0.0
    for step in goal:
        state = world.step(state, Control(goal=step, effort=effort))
        moved = state.body_q[:, 2, :3] - torch.tensor([0.0, 0.0, 0.02], dtype=DOUBLE)
        total = total + 1e4 * (moved**2).sum() + (state.body_q[:, 2, 3:6] ** 2).sum()
        total = total + state.field[..., :2].square().sum() + 0.01 * state.gel_wrench.sum() + 0.01 * state.push.sum()
    for name, value in kept.items():
        world.parameters[name] = value
    assert (state.status == 0).all()
    return total


CASES = [
    *(("springs", name, scale) for name, scale in (
        ("goal", 1e-3), ("effort", 1.0), ("body_twist", 1e-2), ("grip", 1e-4),
        ("left.k_n", 1e7), ("right.k_t", 1e7), ("left.mu", 0.1), ("hand.stiffness", 100.0),
        ("hand.turning_damping", 0.1), ("peg.mass", 1e-3), ("contact.stiffness", 1e3), ("contact.friction", 0.1),
        ("gravity", 1.0),
    )),
    *(("elastic", name, scale) for name, scale in (
        ("goal", 1e-3), ("effort", 1.0), ("body_twist", 1e-2), ("grip", 1e-4), ("stick", 1e-6),
        ("left.modulus", 1e4), ("right.mu", 0.1), ("peg.mass", 1e-3),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("law", "name", "scale"), CASES, ids=["-".join(case[:2]) for case in CASES])
def test_gradients_agree_with_central_differences(law, name, scale):
    """Relative error at most 1e-5, by the best of four step lengths: friction and touch bend the function."""
    world, start, goal = setting(law)
    value = {"goal": goal, "effort": torch.full((WORLDS,), -6.0, dtype=DOUBLE)}.get(name)
    if value is None:
        value = world.parameters[name] if name in world.parameters else getattr(start, name)
    way = scale * torch.randn(value.shape, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    leaf = value.clone().requires_grad_()

    def function(x):
        return objective(world, start, goal, {name: x})

    function(leaf).backward()
    exact = float((leaf.grad * way).sum())
    assert exact != 0.0
    with torch.no_grad():
        errors = [
            abs(float(function(value + h * way) - function(value - h * way)) / (2 * h) - exact) / abs(exact)
            for h in (1e-3, 1e-4, 1e-5, 1e-6)
        ]
    print(f"\nmeasured {law} {name}: {min(errors):.1e}")
    assert min(errors) <= 1e-5, errors


@pytest.mark.parametrize("law", GELS)
def test_gradients_do_not_leak_between_worlds(law):
    world, start, goal = setting(law)
    leaf = goal.clone().requires_grad_()
    state = start
    for step in leaf:
        state = world.step(state, Control(goal=step))
    state.body_q[0].square().sum().backward()
    assert float(leaf.grad[:, 0].abs().max()) > 0
    assert float(leaf.grad[:, 1].abs().max()) == 0
