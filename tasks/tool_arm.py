# SPDX-License-Identifier: Apache-2.0
"""A robot in a task, one link of which an impedance pulls: what tasks with ``robot=`` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from simenv.envs.constants import constant
from simenv.robots import JointDrive, ToolDrive

if TYPE_CHECKING:
    from simenv.physics.bodies.tree import Tree
    from simenv.world import Scene, State, World

__all__ = ["NAME", "ToolArm"]

NAME = "arm"


class ToolArm:
    """A robot whose motors carry its weight, and pull a link to a goal.

    Args:
        tree: of the robot.
        link: that is pulled.
        drive: what pulls it.
        position, quaternion: of its base [m, xyzw].

    Attributes:
        hand: name of the body that is the link.
    """

    def __init__(
        self, tree: Tree, link: str, drive: ToolDrive, position: Sequence[float] = (0.0, 0.0, 0.0),
        quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
    ) -> None:  # fmt: skip
        self.tree, self.link, self.hand = tree, link, f"{NAME}/{link}"
        self._drive, self._base = drive, (tuple(position), tuple(quaternion))

    def add(self, scene: Scene, posture: Mapping[str, Any] | None = None) -> None:
        """Add it to a scene, its joints at a posture by name, or as the robot has them."""
        tools = {self.link: self._drive}
        drive = JointDrive(gravity_compensation=True)
        scene.add_robot(NAME, self.tree, *self._base, drive=drive, tools=tools, posture=posture)

    def reached(self, world: World, pose: torch.Tensor) -> torch.Tensor:
        """Positions (N, ny) of its joints with the link at poses (N, 7), or as near as it gets."""
        return world.robots[NAME].model.reach(pose, self.link)

    def positions(self, world: World, state: State, joints: Sequence[str]) -> torch.Tensor:
        """Positions (N, n) of joints that turn or slide, by name."""
        robot = world.robots[NAME]
        made = robot.spec.table
        at = {name: int(made.q_start[i]) + robot.span_q.start for i, name in enumerate(made.joints)}
        columns = constant(tuple(at[name] for name in joints), torch.int64, state.joint_q.device)
        return state.joint_q.index_select(1, columns)

    def placed(
        self, world: World, state: State, positions: torch.Tensor, named: Mapping[str, torch.Tensor] | None = None
    ) -> State:
        """The state with its joints at positions (N, ny), but for those that are named, (N,) [rad or m]."""
        model = world.robots[NAME].model
        chosen = dict(zip(model.joints, positions.unbind(-1), strict=True)) | dict(named or {})
        return world.robots[NAME].place(state, torch.stack(list(chosen.values()), -1))
