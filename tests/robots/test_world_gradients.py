# SPDX-License-Identifier: Apache-2.0
"""Robots in a world: gradients of control steps with respect to everything declared, against central differences."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from simenv.physics.bodies.forest import JointDrive
from simenv.world import Scene
from simenv.world.state import Control
from tests.robots.differences import slopes
from tests.robots.random_trees import tree_of

STEPS = 5  # of ten ticks each


def scene_of(*trees, midpoint: bool = False) -> Scene:
    scene = Scene(substep_dt=1e-3, substeps=10, gravity=(0.3, -0.2, -9.81), midpoint=midpoint)
    for number, tree in enumerate(trees):
        place = (0.4 * number, 0.1, 0.2)
        scene.add_robot(f"robot{number}", tree, place, (0.1, 0.2, -0.1, 0.96), drive=JointDrive(3.0, 0.2))
    return scene


def leaves_of(world, seed: int) -> dict[str, torch.Tensor]:
    """State, control and parameters, away from where the scene has them."""
    rng = np.random.default_rng(seed)
    state = world.initial_state()

    def near(value: torch.Tensor, size: float) -> torch.Tensor:
        return value + size * torch.as_tensor(rng.normal(size=tuple(value.shape)))

    leaves = {"joint_q": near(state.joint_q, 0.1), "joint_qd": near(state.joint_qd, 0.5)}
    for name in ("joint_target", "joint_rate", "joint_torque"):
        leaves[name] = near(torch.zeros_like(state.joint_qd), 0.3)
    for name, value in world.parameters.items():
        leaves[name] = value.clone() * torch.as_tensor(1.0 + 0.1 * rng.random(tuple(value.shape)))
        if name.endswith((".viscous", ".armature")):
            leaves[name] = leaves[name] + 0.05
    return leaves


def end_of(world, leaves: dict[str, torch.Tensor]) -> torch.Tensor:
    """Numbers of the state after steps."""
    for name in world.parameters:
        world.parameters[name] = leaves[name]
    state = world.initial_state().replace(joint_q=leaves["joint_q"], joint_qd=leaves["joint_qd"])
    names = ("joint_target", "joint_rate", "joint_torque")
    control = replace(Control(), **{name: leaves[name] for name in names})
    for _ in range(STEPS):
        state = world.step(state, control)
    assert (state.status == 0).all()
    return torch.cat([state.joint_q, state.joint_qd, state.body_q.flatten(1), state.body_twist.flatten(1)], 1)


@pytest.mark.parametrize("midpoint", [False, True])
@pytest.mark.parametrize(
    "kinds",
    [(("revolute", "prismatic", "revolute"),), (("free", "ball", "revolute"), ("planar", "revolute"))],
    ids=["a chain", "a floating and a mobile robot"],
)
def test_gradient_of_fifty_ticks_with_respect_to_everything_declared(kinds, midpoint):
    """To 1e-7 in float64 without contact; differences are of fourth order, and exact to about 1e-10."""
    trees = (tree_of(*each, seed=3 + n) for n, each in enumerate(kinds))
    world = scene_of(*trees, midpoint=midpoint).make_world(1, dtype=torch.float64)
    for name, found, slope, size in slopes(leaves_of(world, 1), partial(end_of, world), 1e-3):
        assert abs(found - slope) < 1e-7 * size, (name, found, slope)
