# SPDX-License-Identifier: Apache-2.0
"""The robot that holds the glass of `Pouring-v0`: the glass is a link of it, fixed between its fingers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from simenv.geometry.mass import mass_properties
from simenv.geometry.shapes import Shape
from simenv.physics.bodies.tree import Inertial, Joint, Link, Tree
from simenv.robots import Robot, ToolDrive, reach
from simenv.robots.fingers import fingers_of
from simenv.robots.placed import placed
from simenv.robots.poses import Pose
from simenv.tasks.tool_arm import ToolArm

LINK = "glass"
TURNED = (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5))  # of the base, whose x axis is along the world's y
# of the tool in the frame of the glass, its z along y: its y, along which fingers open, along x or against it
WAYS = ((-0.5, -0.5, -0.5, 0.5), (-0.5, 0.5, 0.5, 0.5))
DRIVE = ToolDrive((2000.0, 100.0), (150.0, 4.0), posture_stiffness=10.0, posture_damping=6.0)
TIGHT = 1e-3  # by which the glass may miss its places [m], [rad]


class GlassArm(ToolArm):
    """A robot whose gripper holds a glass from the side, its fingers on both sides of it along x.

    Args:
        robot: a name, a file, or ``"FILE#TOOL"``, with two fingers that slide.
        base: where it stands, facing y [m].
        glass: its shape, which is upright where its frame is; density: of it [kg/m^3].
        grip, half: height of the fingers above its foot, and its radius there [m].
        hand: where the grip is at the start [m]; tilts: range of its turn about y [rad].

    Raises:
        AssetError: the robot cannot be used.
        ValueError: it does not reach the glass at the start, upright and at both ends of the tilts.

    Attributes:
        posture: joints by name that hold the glass upright at the start; joints: those between base and glass.
    """

    def __init__(
        self, robot: Any, base: Sequence[float], glass: Shape, density: float, grip: float, half: float,
        hand: Sequence[float], tilts: Sequence[float],
    ) -> None:  # fmt: skip
        fingers = fingers_of(robot)
        clasping, off, found = fingers.clasping(half), math.inf, None
        for way in WAYS:
            tree = _with_glass(clasping, fingers.tool, way, glass, density, grip)
            posture, error = _held(placed(tree, base, TURNED), hand, tilts, fingers.arm)
            if error < off:
                found, off = (tree, posture), error
        if found is None or off > TIGHT:
            raise ValueError(
                f"robot {fingers.tree.name!r} with its base at {tuple(base)} m, facing y, does not bring a glass to "
                f"{tuple(hand)} m and tilt it from {tilts[0]} to {tilts[1]} rad about y: it misses by {off:.2g} m or "
                "rad; place its base elsewhere, or take another robot"
            )
        super().__init__(found[0], LINK, DRIVE, base, TURNED)
        self.posture, self.joints = found[1], fingers.arm


def _with_glass(
    tree: Tree, tool: str, way: tuple[float, ...], glass: Shape, density: float, grip: float
) -> Tree:  # fmt: skip
    """The robot with the glass on its tool, turned by `way`."""
    made = mass_properties(glass)
    centre = tuple((made.centre - np.array([0.0, 0.0, grip])).tolist())
    inertia = density * (made.axes * made.moments) @ made.axes.T
    weight = Inertial(density * made.volume, centre, tuple(map(tuple, inertia.tolist())))
    joint = Joint(LINK, "fixed", quaternion=tuple(Pose.of(quaternion=way).inverse().quaternion.tolist()))
    return Tree(tree.name, (*tree.links, Link(LINK, tool, joint, weight)), tree.posture, tree.loops)


def _held(
    tree: Tree, hand: Sequence[float], tilts: Sequence[float], joints: Sequence[str], steps: int = 40
) -> tuple[dict[str, float], float]:  # fmt: skip
    """Joints by name that hold the glass upright, and by how much it misses that and both tilts [m or rad], which it
    goes to little by little.
    """
    robot = Robot(tree, num_worlds=2, dtype=torch.float64)
    ends, start = torch.tensor([tilts[0], tilts[1]], dtype=torch.float64), torch.zeros(2, dtype=torch.float64)

    def pose(tilt: torch.Tensor) -> torch.Tensor:
        zero = torch.zeros_like(tilt)
        place = [zero + at for at in hand]
        return torch.stack([*place, zero, (0.5 * tilt).sin(), zero, (0.5 * tilt).cos()], -1)

    def missed(q: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
        here = robot.pose(q, LINK)
        turn = 2.0 * (here[:, 3:] * goal[:, 3:]).sum(-1).abs().clamp(max=1.0).acos()
        return torch.maximum((here[:, :3] - goal[:, :3]).norm(dim=-1), turn).max()

    q = upright = robot.reach(pose(start), LINK)
    for step in range(steps):
        q = reach(robot, q, LINK, pose((step + 1) / steps * ends), joints=joints, iterations=2)
    off = torch.maximum(missed(upright, pose(start)), missed(q, pose(ends)))
    return dict(zip(robot.joints, upright[0].tolist(), strict=True)), float(off)
