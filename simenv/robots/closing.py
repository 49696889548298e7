# SPDX-License-Identifier: Apache-2.0
"""Robots whose links are held together in loops: how far these are open, and postures and rates that close them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch

from simenv.errors import AssetError
from simenv.physics import exact
from simenv.physics.bodies.tree import Loop, Tree
from simenv.physics.rotation import quaternion_multiply, rotate
from simenv.robots.placed import posture_of
from simenv.robots.robot import Robot

__all__ = ["CLOSED", "close", "closed", "loop_gaps", "loop_jacobian"]

CLOSED = 1e-9  # [m, rad], what a loop may be open by at the start
STEPS = 60  # of Newton's method
FAR = 0.3  # [rad, m], the longest of them
TRIES = 8  # starts


def loop_gaps(robot: Robot, q: torch.Tensor) -> torch.Tensor:
    """How far loops are open, (N, loops, 6): the point on the first link less that on the second, world axes [m], and
    of welds the turn that is too much [rad], else zero; at positions (N, ny).

    Raises:
        ValueError: a tensor has the wrong shape, dtype or device.
    """
    rows = []
    for loop in robot.tree.loops:
        a, b = _pose(robot, q, loop.a), _pose(robot, q, loop.b)
        apart = a[:, :3] + rotate(a[:, 3:], _row(a, loop.position)) - b[:, :3] - rotate(b[:, 3:], _row(a, loop.at))
        askew = torch.zeros_like(apart)
        if loop.turn is not None:
            off = quaternion_multiply(quaternion_multiply(a[:, 3:], _row(a, loop.turn)), _back(b[:, 3:]))
            askew = 2.0 * torch.where(off[:, 3:] < 0.0, -off[:, :3], off[:, :3])
        rows.append(torch.cat([apart, askew], -1))
    return torch.stack(rows, 1) if rows else q.new_zeros((robot.num_worlds, 0, 6))


def loop_jacobian(robot: Robot, q: torch.Tensor) -> torch.Tensor:
    """What `loop_gaps` change per rate, where they are closed, (N, loops, 6, nu)."""
    rows = []
    for loop in robot.tree.loops:
        total = q.new_zeros((robot.num_worlds, 6, len(robot.joints)))
        for link, place, sign in ((loop.a, loop.position, 1.0), (loop.b, loop.at, -1.0)):
            if link is None:
                continue
            moved, pose = robot.jacobian(q, link), _pose(robot, q, link)
            arm = rotate(pose[:, 3:], _row(q, place)).unsqueeze(-1).expand(-1, -1, len(robot.joints))
            speed = moved[:, :3] + torch.linalg.cross(moved[:, 3:], arm, dim=1)
            total = total + sign * torch.cat([speed, moved[:, 3:] if loop.turn is not None else 0 * speed], 1)
        rows.append(total)
    return torch.stack(rows, 1)


def close(
    robot: Robot, q: torch.Tensor, qd: torch.Tensor | None = None, keep: Iterable[str] = ()
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Positions (N, ny) that close all loops, found by Newton's method from where they are, and rates (N, nu) that keep
    them closed, the nearest in the sense of least squares; zero, if none are given.

    Args:
        robot: it.
        q: positions (N, ny).
        qd: rates (N, nu).
        keep: rates, by name, whose positions stay as they are.

    Raises:
        ValueError: a name is unknown, or loops of a world stay open.
    """
    names, q = list(keep), q.detach()
    unknown = [name for name in names if name not in robot.joints]
    if unknown:
        raise ValueError(f"close: {', '.join(unknown)} is none of the joints {', '.join(robot.joints)}")
    free = torch.tensor([name not in names for name in robot.joints], device=q.device)
    allowed = max(CLOSED, 1e3 * torch.finfo(q.dtype).eps)
    found = _searched(robot, q, free)
    left = loop_gaps(robot, found).abs().amax(-1)
    for number in range(1, TRIES):  # beside where it is: Newton's method does not leave a dead centre
        shut = (left <= allowed).all(1)
        if bool(shut.all()):
            break
        way = torch.cos(number * (1.0 + torch.arange(len(robot.joints), dtype=q.dtype, device=q.device)))
        tried = _searched(robot, robot.integrate(q, (FAR * way * free).expand(len(q), -1), 1.0), free)
        open_by = loop_gaps(robot, tried).abs().amax(-1)
        better = ~shut & (open_by.amax(1) < left.amax(1))
        found, left = torch.where(better[:, None], tried, found), torch.where(better[:, None], open_by, left)
    if not bool((left <= allowed).all()):
        raise ValueError(_still_open(robot.tree, left, names))
    if qd is None:
        return found, torch.zeros_like(q[:, : len(robot.joints)])
    jacobian = loop_jacobian(robot, found).flatten(1, 2)
    return found, qd - _solved(jacobian, exact.matmul(jacobian, qd.unsqueeze(-1))[..., 0])


def _searched(robot: Robot, q: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
    """Positions that Newton's method finds from others, moving rates that are free (nu,) bool."""
    for _ in range(STEPS):
        gaps = loop_gaps(robot, q).flatten(1)
        if float(gaps.abs().max()) <= 16.0 * torch.finfo(q.dtype).eps:
            break
        step = -_solved(loop_jacobian(robot, q).flatten(1, 2) * free, gaps)
        longest = step.abs().amax(1, keepdim=True)
        q = robot.integrate(q, step * (FAR / longest.clamp(min=FAR)), 1.0)
    return q


def closed(tree: Tree) -> Tree:
    """The tree in a posture that closes its loops: joints that its posture names stay, others are found. A posture that
    closes them stays as it is.

    Raises:
        AssetError: there is none.
    """
    if not tree.loops:
        return tree
    robot = Robot(tree, 1, dtype=torch.float64)
    if bool((loop_gaps(robot, robot.posture).abs() <= CLOSED).all()):
        return tree
    keep = [name for name in robot.joints if name.split(".")[0] in tree.posture]
    try:
        q, _ = close(robot, robot.posture, keep=keep)
    except ValueError as error:
        raise AssetError(str(error)) from None
    posture = {**posture_of(robot.table, q[0].numpy()), **tree.posture}
    for joint in tree.joints:
        if joint.name in posture and joint.kind in ("revolute", "prismatic"):
            value = float(np.atleast_1d(posture[joint.name])[0])
            if not joint.lower - 1e-9 <= value <= joint.upper + 1e-9:
                raise AssetError(
                    f"robot {tree.name!r}: its loops close where {joint.name} is {value:.4f}, outside of its limits "
                    f"{joint.lower:.4f} to {joint.upper:.4f}; give a posture from which they close elsewhere"
                )
    return replace(tree, posture=posture)


def _still_open(tree: Tree, left: torch.Tensor, keep: Sequence[str]) -> str:
    world, loop = divmod(int(left.argmax()), left.shape[1])
    held = f" with {', '.join(keep)} held" if keep else ""
    return (
        f"robot {tree.name!r}: loop {tree.loops[loop].name!r} stays open by {float(left.max()):.2e} m or rad in world "
        f"{world}{held}; give positions from which it can be closed, or hold fewer joints"
    )


def _pose(robot: Robot, q: torch.Tensor, link: str | None) -> torch.Tensor:
    if link is not None:
        return robot.pose(q, link)
    return _row(q, (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0))


def _row(like: torch.Tensor, values: Sequence[float]) -> torch.Tensor:
    return like.new_tensor(values).expand(len(like), -1)


def _back(q: torch.Tensor) -> torch.Tensor:
    return q * q.new_tensor((-1.0, -1.0, -1.0, 1.0))


def _solved(matrix: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The shortest x (N, n) of least squares of matrices (N, m, n), rows (N, m): directions that move nothing, as at
    dead centres, are left out.
    """
    cut = 1e-7 if matrix.dtype == torch.float64 else 1e-4
    return exact.matmul(torch.linalg.pinv(matrix, rtol=cut), right.unsqueeze(-1))[..., 0]


def anchored(name: str, a: str, b: str | None, position: np.ndarray, at: np.ndarray, turn: np.ndarray | None) -> Loop:
    """A loop of arrays."""
    quaternion = None if turn is None else tuple((turn / np.linalg.norm(turn)).tolist())
    return Loop(name, a, b, tuple(position.tolist()), tuple(at.tolist()), quaternion)
