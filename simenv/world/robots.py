# SPDX-License-Identifier: Apache-2.0
"""Robots of a world by name: where their joints are, and where they go."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch

from simenv.world.bodies import ByName

if TYPE_CHECKING:
    from simenv.physics.bodies.forest import RobotMount
    from simenv.robots.robot import Robot
    from simenv.world.state import State
    from simenv.world.world import World

__all__ = ["RobotView", "robots_of"]


class RobotView:
    """One robot in all worlds that its joints move, with a `JointDrive`.

    Attributes:
        spec: what the scene says about it; joints: names of its rates, in order; links: names of its links, which are
            the bodies ``"<name>/<link>"``.
        span: where its rates are in the controls and in ``joint_qd``; span_q: its positions in ``joint_q``.
    """

    def __init__(self, world: World, spec: RobotMount):
        self._world, self.spec = world, spec
        self.joints, self.links = spec.table.rates, tuple(spec.table.frames)
        self.span_q, self.span = world.robot_solver.spans[spec.name]

    @cached_property
    def model(self) -> Robot:
        """It by itself, for kinematics and dynamics as torch functions, with parameters and gravity of the scene."""
        from simenv.robots.robot import Robot

        world = self._world
        return Robot(self.spec.tree, world.num_worlds, world.device, world.dtype, world.scene.gravity)

    def positions(self, state: State) -> torch.Tensor:
        """Of its joints, (N, nq) [rad or m]."""
        return state.joint_q[:, self.span_q]

    def rates(self, state: State) -> torch.Tensor:
        """Of its joints, (N, nv) [rad/s or m/s]."""
        return state.joint_qd[:, self.span]

    def place(self, state: State, positions: torch.Tensor, rates: torch.Tensor | None = None) -> State:
        """The state with its joints, of those that follow no other, at positions (N, ny), at rest or with rates (N,
        nu), and its links where these put them.

        Raises:
            ValueError: a tensor has the wrong shape or dtype.
        """
        model, poses, twists = self.model, state.body_q.clone(), state.body_twist.clone()
        placed = model.link_poses(positions)  # which also checks what is given
        joint_q, joint_qd = state.joint_q.clone(), state.joint_qd.clone()
        for i, link in enumerate(self.links):
            body = self._world.bodies[f"{self.spec.name}/{link}"]
            if body.spec.motion == "link":
                poses[:, body.index] = placed[:, i]
                twists[:, body.index] = 0.0 if rates is None else model.twist(positions, rates, link)
        joint_q[:, self.span_q] = model.all_positions(positions)
        joint_qd[:, self.span] = 0.0 if rates is None else model.all_rates(rates)
        state = state.replace(joint_q=joint_q, joint_qd=joint_qd, body_q=poses, body_twist=twists)
        state = self._world.robot_solver.commands.placed(state, self.span)
        for link in self.links:
            state = self._world.robot_solver.let_go(state, f"{self.spec.name}/{link}")
        return state


def robots_of(world: World) -> ByName[RobotView]:
    """The robots of a world."""
    return ByName("robot", {name: RobotView(world, spec) for name, spec in world.scene.robots.items()})
