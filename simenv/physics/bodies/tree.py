# SPDX-License-Identifier: Apache-2.0
"""A tree of joints as a file says it: links, the joint that holds each to the link before it, and what they weigh.

A link's frame is its joint's, after the joint's motion. `simenv.physics.bodies.table` makes of a tree what kernels
read.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from simenv.errors import AssetError
from simenv.geometry.shapes import Shape

__all__ = ["KINDS", "Fitted", "Inertial", "Joint", "Kind", "Link", "Mimic", "Tree", "impossible", "is_possible"]

INF = float("inf")
UPRIGHT = (0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Kind:
    """A kind of joint.

    Attributes:
        positions: how many numbers say where it is: an angle [rad] or a length [m]; ``planar`` two lengths along the
            plane's axes and an angle; ``ball`` a quaternion xyzw; ``free`` a pose in the world [m, xyzw].
        rates: how many say how fast: their derivatives; of a ball the angular velocity in the link's axes [rad/s];
            free: the velocity of the link's origin [m/s] and its angular velocity [rad/s], world axes.
    """

    positions: int
    rates: int


KINDS = {
    "fixed": Kind(0, 0), "revolute": Kind(1, 1), "prismatic": Kind(1, 1), "planar": Kind(3, 3), "ball": Kind(4, 3),
    "free": Kind(7, 6),
}  # fmt: skip


@dataclass(frozen=True)
class Mimic:
    """A joint that follows another: its position is ``ratio`` times that of the joint ``leader``, plus ``offset``."""

    leader: str
    ratio: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Joint:
    """What holds a link to the one before it.

    Attributes:
        name: of the joint.
        kind: one of `KINDS`.
        position, quaternion: of its frame in that of the link before it, or in the world [m, xyzw].
        axis: that it turns about or slides along, or normal of its plane, in its frame; a unit vector.
        lower, upper: limits of its position [rad or m].
        effort: largest torque or force of its motor [N m or N]; speed: largest rate [rad/s or m/s].
        damping: viscous friction [N m s/rad or N s/m]; friction: dry friction [N m or N].
        armature: inertia of the motor as felt at the joint [kg m^2 or kg].
        mimic: the joint that it follows, or None.
    """

    name: str
    kind: str = "fixed"
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quaternion: tuple[float, float, float, float] = UPRIGHT
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    lower: float = -INF
    upper: float = INF
    effort: float = INF
    speed: float = INF
    damping: float = 0.0
    friction: float = 0.0
    armature: float = 0.0
    mimic: Mimic | None = None


@dataclass(frozen=True)
class Loop:
    """Two links that are held together beside their joints, at a point as by a ball, or as one, welded.

    Attributes:
        name: of it, for messages.
        a: name of a link; b: of another, None for the world.
        position: of the point in the frame of `a` [m]; at: in that of `b`, or in the world.
        turn: quaternion xyzw of the frame of `b` (or of the world) in that of `a`, which a weld keeps; None is a ball.
    """

    name: str
    a: str
    b: str | None
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Inertial:
    """What a link weighs.

    Attributes:
        mass: [kg].
        centre: of mass, in the link's frame [m].
        inertia: about the centre of mass, axes of the link's frame, (3, 3) rows [kg m^2].
    """

    mass: float
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    inertia: tuple[tuple[float, float, float], ...] = ((0.0, 0.0, 0.0),) * 3


@dataclass(frozen=True)
class Fitted:
    """A shape on a link, with its pose in the link's frame [m, xyzw]; `color` RGBA where it is drawn, None where it
    collides. Shapes of one robot touch where bits of the `kind` of either are among those that the other `meets`, as
    MJCF's contype and conaffinity; one without any touches nothing.
    """

    shape: Shape
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quaternion: tuple[float, float, float, float] = UPRIGHT
    color: tuple[float, float, float, float] | None = None
    kind: int = 1
    meets: int = 1


@dataclass(frozen=True)
class Link:
    """A rigid part.

    Attributes:
        name: of the link.
        parent: name of the link before it; None for one that its joint holds to the world.
        joint: that holds it.
        inertial: what it weighs; None if nothing.
        looks: shapes that are drawn; collisions: shapes that touch.
        hollow: whether it is but a place between two joints of one body, which need not weigh anything.
    """

    name: str
    parent: str | None
    joint: Joint
    inertial: Inertial | None = None
    looks: tuple[Fitted, ...] = ()
    collisions: tuple[Fitted, ...] = ()
    hollow: bool = False


def is_possible(moments: np.ndarray) -> bool:
    """Whether a body can have principal moments of inertia (3,), in rising order [kg m^2], within rounding."""
    return bool(moments[0] >= -1e-9 * moments[2] and moments[0] + moments[1] >= (1.0 - 1e-6) * moments[2])


def impossible(moments: np.ndarray) -> str:
    """What an error says of moments that no body has."""
    return (
        f"no body has principal moments of inertia {moments.tolist()} kg m^2: none may be negative, nor larger than "
        "the sum of the others; mend the file, or load it with repair=True"
    )


@dataclass(frozen=True)
class Tree:
    """Links and joints of a robot, or of a free body.

    Attributes:
        name: of the robot, for messages.
        links: every link after the one that carries it.
        posture: position of joints by name, where the robot starts and to which free motion returns; joints that are
            not named are in the middle of their limits, or at zero without.
        loops: what holds links together beside their joints.
        apart: pairs of links that never touch; folds: whether others but neighbours do, unless it is said.

    Raises:
        AssetError: a name comes twice or is unknown, a link stands before what carries it, or numbers of a joint, an
            inertial or a loop cannot be.
    """

    name: str
    links: tuple[Link, ...]
    posture: dict[str, Any] = field(default_factory=dict)
    loops: tuple[Loop, ...] = ()
    apart: frozenset[frozenset[str]] = frozenset()
    folds: bool = False

    def __post_init__(self) -> None:
        seen: set[str] = set()
        joints: dict[str, Joint] = {}
        for link in self.links:
            if link.name in seen or link.joint.name in joints:
                raise AssetError(f"{self._what(link)}: the name of the link or of its joint comes twice; rename one")
            if link.parent is not None and link.parent not in seen:
                raise AssetError(f"{self._what(link)}: it hangs on {link.parent!r}, which is no link before it")
            self._check_joint(link)
            seen.add(link.name)
            joints[link.joint.name] = link.joint
        for link in self.links:
            self._check_mimic(link, joints)
        for loop in self.loops:
            self._check_loop(loop, seen)
        self._check_masses()

    def _check_loop(self, loop: Loop, known: set[str]) -> None:
        what = f"robot {self.name!r}, loop {loop.name!r}"
        for link in (loop.a, loop.b):
            if link is not None and link not in known:
                raise AssetError(
                    f"{what}: it holds {link!r}, which is no link; it has {', '.join(e.name for e in self.links)}"
                )
        if loop.a == loop.b or [each.name for each in self.loops].count(loop.name) > 1:
            raise AssetError(f"{what}: it holds a link to itself, or its name comes twice; rename one, or take it out")
        turn = (0.0, 0.0, 0.0, 1.0) if loop.turn is None else loop.turn
        if not np.isfinite([*loop.position, *loop.at, *turn]).all() or abs(np.linalg.norm(turn) - 1.0) > 1e-6:
            raise AssetError(f"{what}: places must be finite numbers, and the turn a quaternion xyzw of length one")

    def _what(self, link: Link) -> str:
        return f"robot {self.name!r}, link {link.name!r} on joint {link.joint.name!r}"

    def _check_joint(self, link: Link) -> None:
        joint = link.joint
        if joint.kind not in KINDS:
            raise AssetError(f"{self._what(link)}: a joint is {', '.join(KINDS)}, not {joint.kind!r}")
        numbers = np.array([*joint.position, *joint.quaternion, *joint.axis, joint.damping, joint.friction])
        if not np.isfinite(numbers).all() or not np.isfinite(joint.armature):
            raise AssetError(f"{self._what(link)}: numbers of the joint are not finite")
        if abs(np.linalg.norm(joint.axis) - 1.0) > 1e-6 or abs(np.linalg.norm(joint.quaternion) - 1.0) > 1e-6:
            raise AssetError(f"{self._what(link)}: axis {joint.axis} and quaternion must have length one")
        if not joint.lower <= joint.upper:
            raise AssetError(f"{self._what(link)}: the lower limit {joint.lower} lies above the upper {joint.upper}")
        for what in ("damping", "friction", "armature", "effort", "speed"):
            if not getattr(joint, what) >= 0.0:
                raise AssetError(f"{self._what(link)}: {what} is {getattr(joint, what)}; it must not be negative")
        if joint.kind == "free" and (
            link.parent is not None or link is not self.links[0] or any(joint.position) or joint.quaternion != UPRIGHT
        ):
            raise AssetError(
                f"{self._what(link)}: only the first link can be free, and its joint stands at the origin of the world"
            )

    def _check_mimic(self, link: Link, joints: dict[str, Joint]) -> None:
        mimic = link.joint.mimic
        if mimic is None:
            return
        leader = joints.get(mimic.leader)
        fits = leader is not None and leader.mimic is None and KINDS[leader.kind].rates == 1
        if not fits or KINDS[link.joint.kind].rates != 1:
            kind = "no joint" if leader is None else leader.kind if leader.mimic is None else "a follower itself"
            raise AssetError(
                f"{self._what(link)}: it is {link.joint.kind} and follows {mimic.leader!r}, which is {kind}; both must "
                "turn or slide, and the leader follow none"
            )

    def _check_masses(self) -> None:
        carried = {link.name: 0.0 if link.inertial is None else link.inertial.mass for link in self.links}
        for link in reversed(self.links):
            what = self._what(link)
            if link.inertial is not None:
                self._check_inertial(what, link.inertial)
            if link.joint.kind != "fixed" and not link.hollow and not carried[link.name] > 0.0:
                raise AssetError(f"{what}: the joint moves a link without mass; give it an inertial, or fix the joint")
            if link.joint.kind == "fixed" and link.parent is not None:
                carried[link.parent] += carried[link.name]

    @staticmethod
    def _check_inertial(what: str, inertial: Inertial) -> None:
        inertia = np.asarray(inertial.inertia, dtype=np.float64)
        if inertia.shape != (3, 3) or not np.isfinite([inertial.mass, *inertial.centre, *inertia.ravel()]).all():
            raise AssetError(f"{what}: mass, centre and inertia (3, 3) must be finite numbers, not {inertial}")
        if inertial.mass < 0.0:
            raise AssetError(f"{what}: the mass is {inertial.mass} kg; it must not be negative")
        if np.abs(inertia - inertia.T).max() > 1e-9 * max(np.abs(inertia).max(), 1e-300):
            raise AssetError(f"{what}: the inertia {inertia.tolist()} kg m^2 must be symmetric")
        moments = np.linalg.eigvalsh(inertia)
        if not is_possible(moments):
            raise AssetError(f"{what}: {impossible(moments)}")

    @property
    def joints(self) -> tuple[Joint, ...]:
        """Those that move, in order."""
        return tuple(link.joint for link in self.links if link.joint.kind != "fixed")

    def link(self, name: str) -> Link:
        """A link by name.

        Raises:
            AssetError: there is none.
        """
        for link in self.links:
            if link.name == name:
                return link
        raise AssetError(f"robot {self.name!r} has no link {name!r}; it has {', '.join(e.name for e in self.links)}")

    def with_posture(self, posture: dict[str, Any]) -> Tree:
        """The same tree with another posture, position by joint.

        Raises:
            AssetError: a joint is unknown or follows another, or its position does not fit it or leaves its limits.
        """
        joints = {joint.name: joint for joint in self.joints}
        for name, value in posture.items():
            if name not in joints:
                raise AssetError(f"robot {self.name!r} has no joint {name!r} that moves; it has {', '.join(joints)}")
            self._check_position(joints[name], value)
        return replace(self, posture={**self.posture, **posture})

    @staticmethod
    def _check_position(joint: Joint, value: Any) -> None:
        if joint.mimic is not None:
            raise AssetError(f"posture: {joint.name} follows {joint.mimic.leader}; give that one's position")
        try:
            values = np.atleast_1d(np.asarray(value, dtype=np.float64))
        except (TypeError, ValueError):
            values = np.empty(0)
        count = KINDS[joint.kind].positions
        if values.shape != (count,) or not np.isfinite(values).all():
            raise AssetError(f"posture: {joint.name} = {value}; a {joint.kind} joint needs {count} finite number(s)")
        if joint.kind in ("ball", "free") and abs(np.linalg.norm(values[-4:]) - 1.0) > 1e-6:
            raise AssetError(f"posture: {joint.name} = {value} must end in a quaternion xyzw of length one")
        if not all(joint.lower <= each <= joint.upper for each in values):
            raise AssetError(
                f"posture: {joint.name} = {value} must lie within its limits, {joint.lower:.4f} to {joint.upper:.4f}"
            )
