# SPDX-License-Identifier: Apache-2.0
"""The robots of a scene as kernels read them: their trees side by side, and the frames of the table that lie on
links.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simenv.physics.bodies.table import Frame, Table, positions_of_rates, table
from simenv.physics.bodies.tools import ToolDrive, ToolMount, ToolSet, tool_mounts, tool_set
from simenv.physics.bodies.tree import Inertial, Joint, Link, Tree

__all__ = ["Forest", "JointDrive", "RobotMount", "forest"]


@dataclass(frozen=True)
class JointDrive:
    """What pulls joints to where they are told: torque of stiffness times what is missing of their position, and
    damping times what is missing of their rate. Both are taken implicitly, so that none is too high.

    Attributes:
        stiffness: [N m/rad or N/m], of all joints that turn or slide, or one number for each rate.
        damping: [N m s/rad or N s/m].
        integrate: whether ``joint_rate`` moves the targets, which the state keeps as ``joint_aim``, of all or of each.
        kinematic: whether joints move as told, whatever that takes, and are at their targets when a step ends.
        delay: how long commands take to get to the motors [s], whole ticks, of all or of each.
        gravity_compensation: whether motors carry the weight of the robot's links, wherever these are.
    """

    stiffness: float | Sequence[float] = 0.0
    damping: float | Sequence[float] = 0.0
    integrate: bool | Sequence[bool] = False
    kinematic: bool | Sequence[bool] = False
    delay: float | Sequence[float] = 0.0
    gravity_compensation: bool = False


@dataclass(frozen=True)
class RobotMount:
    """A robot of a scene, or a free body, which is a tree of one link.

    Attributes:
        name: of it.
        tree: what it is made of, where it stands; table: of it.
        bodies: name of the body of the scene that each of its links is.
        stiffness, damping, delay: of the drive of each rate, (nv,); integrates, is_told: what it does with targets.
        tools: impedances of its links; compensated: whether motors carry its weight.
        is_robot: whether it has joints of its own in the state; a free body is where the table of frames has it.
        folding: pairs of its links that touch each other.
    """

    name: str
    tree: Tree
    table: Table
    bodies: Mapping[str, str]
    stiffness: np.ndarray
    damping: np.ndarray
    integrates: np.ndarray
    is_told: np.ndarray
    delay: np.ndarray
    tools: tuple[ToolMount, ...] = ()
    compensated: bool = False
    is_robot: bool = True
    folding: frozenset[frozenset[str]] = frozenset()

    @staticmethod
    def of(name: str, tree: Tree, drive: JointDrive, tools: Mapping[str, ToolDrive] | None = None) -> RobotMount:
        """A robot with the drive's numbers for each of its rates.

        Raises:
            ValueError: there are as many as neither one nor rates, some are negative or not finite, or are of joints
                that no motor moves; or an impedance is of no link.
        """
        made = table(tree)
        position = positions_of_rates(made)
        held = (position >= 0) & np.isin(np.arange(len(made.rates)), made.lead_rates)
        found = []
        for what in ("stiffness", "damping", "delay", "integrate", "kinematic"):
            given = getattr(drive, what)
            values = np.asarray(given, dtype=np.float64)
            if values.shape not in ((), (len(made.rates),)) or not (np.isfinite(values) & (values >= 0.0)).all():
                raise ValueError(
                    f"robot {name!r}: {what} = {given!r} of the drive must be one number or {len(made.rates)}, "
                    f"finite and not negative, for the rates {', '.join(made.rates)}"
                )
            if what in ("integrate", "kinematic") and (values[~held].any() if values.shape else False):
                bad = [each for each, yes in zip(made.rates, (values > 0) & ~held, strict=True) if yes]
                raise ValueError(
                    f"robot {name!r}: {what} of the drive names {', '.join(bad)}, which no motor moves; leave it False"
                )
            found.append(np.where(held, values, 0.0) if values.shape == () else values)
        stiffness, damping, delay, integrates, is_told = found
        bodies = {link: f"{name}/{link}" for link in made.frames}
        return RobotMount(
            name, tree, made, bodies, stiffness, damping, integrates > 0, is_told > 0, delay,
            tool_mounts(name, made, position, tools or {}), drive.gravity_compensation,
        )  # fmt: skip

    @staticmethod
    def of_body(name: str, inertial: Inertial) -> RobotMount:
        """A free body of the scene."""
        tree = Tree(name, (Link("body", None, Joint(name, "free"), inertial),))
        made = table(tree)
        none, no = np.zeros(6), np.zeros(6, dtype=bool)
        return RobotMount(name, tree, made, {"body": name}, none, none, no, no, none, is_robot=False)


@dataclass(frozen=True)
class Forest:
    """T trees: L links, nq positions, nv rates in all, and R frames of the table on links.

    Attributes:
        first: first link of each tree, and after the last L, (T + 1,).
        parent, kind, place, turn, axis, q_start, v_start, inertial: as `Table`'s, of all.
        position: of `positions_of_rates`, (nv,); lower, upper: limits of these, (nv,).
        rows: number in the table of frames of each frame, (R,); on: its link, (R,); frame_place, frame_turn: in it.
        own: row of every link's own frame, (L,).
        integrates, is_told, delay: of the drives of rates, as `RobotMount`'s; tools: impedances of links.
    """

    first: np.ndarray
    parent: np.ndarray
    kind: np.ndarray
    place: np.ndarray
    turn: np.ndarray
    axis: np.ndarray
    q_start: np.ndarray
    v_start: np.ndarray
    inertial: np.ndarray
    position: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    effort: np.ndarray
    speed: np.ndarray
    follower: np.ndarray
    leader: np.ndarray
    ratio: np.ndarray
    offset: np.ndarray
    rows: np.ndarray
    on: np.ndarray
    frame_place: np.ndarray
    frame_turn: np.ndarray
    own: np.ndarray
    integrates: np.ndarray
    is_told: np.ndarray
    delay: np.ndarray
    tools: ToolSet

    @property
    def positions(self) -> int:
        """nq."""
        return int(self.q_start[-1])

    @property
    def rates(self) -> int:
        """nv."""
        return int(self.v_start[-1])

    def __len__(self) -> int:
        return len(self.parent)


def forest(mounts: Sequence[RobotMount], bodies: Mapping[str, Any]) -> Forest:
    """The robots of a scene.

    Args:
        mounts: them.
        bodies: all of the scene, in the order of the table of frames.
    """
    tables = [mount.table for mount in mounts]
    links = np.cumsum([0, *map(len, tables)])
    q = np.cumsum([0, *(each.positions for each in tables)])
    v = np.cumsum([0, *(int(each.v_start[-1]) for each in tables)])
    numbers = {name: row for row, name in enumerate(bodies)}
    rows: list[tuple[int, int, Frame]] = []
    own = np.zeros(links[-1], dtype=np.int64)
    for mount, start in zip(mounts, links[:-1], strict=True):
        for name, frame in mount.table.frames.items():
            if frame.link >= 0:
                rows.append((numbers[mount.bodies[name]], frame.link + int(start), frame))
        for i, name in enumerate(mount.table.links):
            own[start + i] = numbers[mount.bodies[name]]

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(each, name) for each in tables])

    def counted(name: str, starts: np.ndarray) -> np.ndarray:
        parts = [getattr(each, name)[:-1] + start for each, start in zip(tables, starts, strict=False)]
        return np.concatenate([*parts, starts[-1:]])

    parents = [np.where(each.parent >= 0, each.parent + start, -1) for each, start in zip(tables, links, strict=False)]
    held = [positions_of_rates(each) for each in tables]
    position = [np.where(each >= 0, each + start, -1) for each, start in zip(held, q, strict=False)]
    follower, leader, ratio, offset = following(tables, v)
    q_start, v_start = counted("q_start", q), counted("v_start", v)

    def driven(name: str) -> np.ndarray:
        return np.concatenate([getattr(each, name) for each in mounts])

    return Forest(
        links, np.concatenate(parents), joined("kind"), joined("place"), joined("turn"), joined("axis"),
        q_start, v_start, joined("inertial"), np.concatenate(position), joined("lower"),
        joined("upper"), joined("effort"), joined("speed"), follower, leader, ratio, offset,
        np.array([row for row, _, _ in rows]), np.array([link for _, link, _ in rows]),
        np.array([frame.position for _, _, frame in rows]), np.array([frame.quaternion for _, _, frame in rows]), own,
        driven("integrates"), driven("is_told"), driven("delay"), tool_set(mounts, links, v_start),
    )  # fmt: skip


def following(tables: Sequence[Table], starts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rates of joints that follow others, and of these, ratios and offsets of their positions, (F,) each."""
    rows = []
    for made, start in zip(tables, starts, strict=False):
        for rate in np.setdiff1d(np.arange(len(made.rates)), made.lead_rates):
            (column,) = np.flatnonzero(made.rate_gear[rate])
            position = positions_of_rates(made)[rate]
            pair = (start + rate, start + made.lead_rates[column])
            rows.append((*pair, made.rate_gear[rate, column], made.gear_offset[position]))
    values = np.reshape(rows, (-1, 4))
    return values[:, 0].astype(int), values[:, 1].astype(int), values[:, 2], values[:, 3]


def longest_path(forest: Forest) -> int:
    """The most rates of joints that carry one link."""
    counts = np.diff(forest.v_start)
    total = np.zeros(len(forest), dtype=np.int64)
    for i, up in enumerate(forest.parent):
        total[i] = counts[i] + (total[up] if up >= 0 else 0)
    return int(total.max())
