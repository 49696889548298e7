# SPDX-License-Identifier: Apache-2.0
"""The robot that holds the peg of the peg tasks: a tree whose tool an impedance pulls, and two fingers that its motor
closes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from simenv.robots import JointDrive, ToolDrive
from simenv.robots.fingers import Fingers, fingers_of

if TYPE_CHECKING:
    from simenv.world import Control, Scene, State, World

NAME = "arm"
GRIPPER = 80.0  # damping of both fingers together, as the hand's alone have [N s/m]
# towards a posture, of the joints that the tool's goal leaves free [N m/rad], [N m s/rad]
POSTURE = {"posture_stiffness": 10.0, "posture_damping": 6.0}


class PegArm:
    """A robot that holds a peg.

    Args:
        robot: as the argument of the tasks.
        gains: of its tool: [N/m], [N m/rad], [N s/m], [N m s/rad].

    Attributes:
        hand: name of the body between its fingers; fingers: what the file has.
    """

    def __init__(self, robot: Any, gains: tuple[float, float, float, float]):
        self.fingers: Fingers = fingers_of(robot, GRIPPER)
        self.hand = f"{NAME}/{self.fingers.tool}"
        self._gains = gains

    def add(self, scene: Scene) -> None:
        """Add it to a scene, at the world's origin."""
        drive = ToolDrive(self._gains[:2], self._gains[2:], **POSTURE)
        tools = {self.fingers.tool: drive}
        scene.add_robot(NAME, self.fingers.tree, drive=JointDrive(gravity_compensation=True), tools=tools)

    def finger(self, side: int) -> str:
        """The body that is a finger."""
        return f"{NAME}/{self.fingers.links[side]}"

    def columns(self, world: World) -> tuple[list[int], list[int]]:
        """Positions of the arm's joints, and of the fingers, in the state's ``joint_q``."""
        robot = world.robots[NAME]
        made = robot.spec.table
        at = {name: int(made.q_start[i]) + robot.span_q.start for i, name in enumerate(made.joints)}
        return [at[name] for name in self.fingers.arm], [at[name] for name in self.fingers.joints]

    def reached(self, world: World, pose: torch.Tensor) -> torch.Tensor:
        """Positions (N, ny) of its joints with the tool at poses (N, 7), or as near as it gets."""
        return world.robots[NAME].model.reach(pose, self.fingers.tool)

    def placed(self, world: World, state: State, positions: torch.Tensor, half: torch.Tensor) -> State:
        """The state with its joints at positions (N, ny) and the fingers half open by (N,) [m]."""
        model = world.robots[NAME].model
        named = dict(zip(model.joints, positions.unbind(-1), strict=True)) | {self.fingers.joints[0]: half}
        return world.robots[NAME].place(state, torch.stack(list(named.values()), -1))

    def control(self, world: World, goal: torch.Tensor, effort: torch.Tensor) -> Control:
        """The tool's goal (N, 7), and the force that opens each finger (N,) [N]."""
        robot = world.robots[NAME]
        forces = dict.fromkeys(robot.joints, torch.zeros_like(effort)) | {self.fingers.joints[0]: 2.0 * effort}
        return world.control(goal={self.hand: goal}, torques={NAME: torch.stack(list(forces.values()), -1)})
