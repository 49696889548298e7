# SPDX-License-Identifier: Apache-2.0
"""The robot that holds the peg of the peg tasks: a tree whose tool an impedance pulls, and two fingers that its motor
closes.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from simenv.geometry.shapes import Capsule
from simenv.physics.bodies.tree import Fitted, Tree
from simenv.robots import ToolDrive
from simenv.robots.fingers import Fingers, fingers_of
from simenv.tasks.tool_arm import NAME, ToolArm

if TYPE_CHECKING:
    from simenv.world import Control, State, World

GRIPPER = 80.0  # damping of both fingers together, as the hand's alone have [N s/m]
# towards a posture, of the joints that the tool's goal leaves free [N m/rad], [N m s/rad]
POSTURE = {"posture_stiffness": 10.0, "posture_damping": 6.0}
RIDGE, RIDGES = 0.003, 5  # radius of the ridges of a bare finger's pad, across it [m], and how many
ACROSS = (0.0, math.sqrt(0.5), 0.0, math.sqrt(0.5))  # turns z along x


class PegArm(ToolArm):
    """A robot that holds a peg, at the world's origin.

    Args:
        robot: as the argument of the tasks.
        gains: of its tool: [N/m], [N m/rad], [N s/m], [N m s/rad].
        pad: width and height of bare fingers' pads [m], which rigid contact feels; None for fingers that gels are on.

    Attributes:
        hand: name of the body between its fingers; fingers: what the file has.
    """

    def __init__(
        self, robot: Any, gains: tuple[float, float, float, float], pad: tuple[float, float] | None = None
    ) -> None:  # fmt: skip
        self.fingers = fingers_of(robot, GRIPPER)
        tree = self.fingers.tree if pad is None else bare(self.fingers, *pad)
        super().__init__(tree, self.fingers.tool, ToolDrive(gains[:2], gains[2:], **POSTURE))

    def finger(self, side: int) -> str:
        """The body that is a finger."""
        return f"{NAME}/{self.fingers.links[side]}"

    def with_fingers(self, world: World, state: State, positions: torch.Tensor, half: torch.Tensor) -> State:
        """The state with its joints at positions (N, ny) and the fingers half open by (N,) [m]."""
        return self.placed(world, state, positions, {self.fingers.joints[0]: half})

    def control(self, world: World, goal: torch.Tensor, effort: torch.Tensor) -> Control:
        """The tool's goal (N, 7), and the force that opens each finger (N,) [N]."""
        robot = world.robots[NAME]
        forces = dict.fromkeys(robot.joints, torch.zeros_like(effort)) | {self.fingers.joints[0]: 2.0 * effort}
        return world.control(goal={self.hand: goal}, torques={NAME: torch.stack(list(forces.values()), -1)})


def bare(fingers: Fingers, width: float, height: float) -> Tree:
    """The robot with ridged pads on its fingers, and no other part that touches. Ridges lie across what is held, so
    that it may be anywhere between them, and lean, and has a point on each.
    """
    heights = np.linspace(RIDGE - height / 2, height / 2 - RIDGE, RIDGES)
    pads = {}
    for side, name in enumerate(fingers.links):
        inside = RIDGE if side == 0 else -RIDGE
        places = [fingers.on(side, (0.0, inside, z), ACROSS) for z in heights.tolist()]
        pads[name] = tuple(Fitted(Capsule(RIDGE, width / 2 - RIDGE), *place) for place in places)
    tree = fingers.tree
    links = tuple(replace(link, collisions=pads.get(link.name, ())) for link in tree.links)
    return Tree(tree.name, links, tree.posture, tree.loops)
