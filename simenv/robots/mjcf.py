# SPDX-License-Identifier: Apache-2.0
"""MJCF and USD into a `Tree`, read by Newton's importers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simenv import _warp
from simenv._exclusive import one_at_a_time
from simenv.errors import AssetError
from simenv.physics.bodies.tree import INF, Inertial, Joint, Link, Mimic, Tree
from simenv.robots.document import Document, led, planted, repaired
from simenv.robots.mjcf_checks import expand, look_over, text_for_newton
from simenv.robots.mjcf_contact import excluded, keep_masks
from simenv.robots.mjcf_loops import loop_elements, looped
from simenv.robots.mjcf_shapes import shapes_of
from simenv.robots.mjcf_text import JointText, bodies, mimics, rows_of, total_mass, turns
from simenv.robots.poses import HERE, Pose
from simenv.robots.snap import Snap

if TYPE_CHECKING:
    import newton

__all__ = ["read_with_newton"]

NEAR = 1e-5  # that poses of bodies are off, which Newton computes from those in the world
NO_LIMIT = 1e6  # what Newton has where a file says none; 1e10 of positions


def read_with_newton(file: Path, document: Document | None, base: str = "fixed", repair: bool = False) -> Tree:
    """A tree of an MJCF or USD file.

    Newton's numbers are in single precision; those that an MJCF has written are read again from its text, included
    files too. What Newton computes, such as masses of shapes, has seven digits. A link has its body's frame and name.
    Where a body's joint stands elsewhere, there is one more link before it, ``"<body>@<joint>"``, which moves, and the
    body is fixed to it; where a body has several joints, there is one such link, which weighs nothing, for each but the
    last. Positions count from where the file has the bodies: MuJoCo's less ``ref``.

    Left out are: options, gravity among them; keyframes; actuators, but for the torque that they can give where it is
    limited; limits of balls; shapes in the world; and, with a warning, springs of joints, tendons, compensation of
    gravity, and shapes that are no box, ball, cylinder, capsule or mesh.

    Args:
        file: it.
        document: its XML, if it is an MJCF.
        base: what holds a body to the world to which the file gives no joint.
        repair: raise impossible principal moments of inertia to possible ones, with a warning.

    Returns:
        The tree.

    Raises:
        AssetError: something in the file cannot be used.
    """
    text, followers, loops = None, {}, []
    if document is not None:
        expand(document)
        look_over(document)
        followers, loops = mimics(document), loop_elements(document)
        text = text_for_newton(document, repair)
    folders = [file.parent] if document is None else document.folders
    tree = _Reader(_parse(file, text, folders), file, document, followers, repair).tree(base)
    if document is None:
        return tree
    apart = excluded(document, [link.name for link in tree.links])
    return replace(looped(tree, loops, document), apart=apart, folds=True)


@one_at_a_time
def _parse(file: Path, text: str | None, folders: list[Path]) -> newton.ModelBuilder:
    import newton

    def beside(_: str | None, name: str) -> str:
        """MuJoCo looks beside the outermost file; those included may have their own folders."""
        tried = [os.path.abspath(folder / name) for folder in folders]
        return next((path for path in tried if os.path.isfile(path)), tried[0])

    _warp.start()
    builder = newton.ModelBuilder()
    keep_masks(builder)
    try:
        if text is not None:
            builder.add_mjcf(text, enable_self_collisions=False, path_resolver=beside)
        else:
            builder.add_usd(str(file), enable_self_collisions=False)
    except ImportError as error:
        raise AssetError(
            f"robot {file.name!r} cannot be read: {error}; USD files need `pip install usd-core newton-usd-schemas`"
        ) from error
    except Exception as error:  # whatever a parser finds wrong
        raise AssetError(f"robot {file.name!r} cannot be read: {error}") from error
    return builder


class _Reader:
    def __init__(
        self, builder: newton.ModelBuilder, file: Path, document: Document | None, followers: dict[str, Mimic],
        repair: bool,
    ):  # fmt: skip
        self.builder, self.file, self.document, self.repair = builder, file, document, repair
        self.followers, self.springs = followers, []
        self.snap = Snap(None) if document is None else Snap(document.root, turns(document))
        self.text = {} if document is None else bodies(document)
        named = [] if document is None else [each for each in document.root.iter() if each.get("name")]
        self.spelled = {each.get("name", "").replace("-", "_"): each.get("name", "") for each in named}
        self.where = {
            each.get("name", ""): document.where(each)
            for each in named if document is not None and each.tag in ("joint", "freejoint")
        }  # fmt: skip
        self.where |= {name: document.where(body.element) for name, body in self.text.items() if document is not None}
        self.bodies = self._names(builder.body_label)
        self.joints = self._names(builder.joint_label)
        self.shapes = shapes_of(builder, self.snap, self.bodies, file.name)
        self.inertials = self._inertials()

    def _names(self, labels: list[str]) -> list[str]:
        """What the file calls them; Newton puts the names of what they are in before it, and writes _ for -."""
        short = [label.rsplit("/", 1)[-1] for label in labels]
        return [
            self.spelled.get(name, name) if short.count(name) == 1 else label
            for name, label in zip(short, labels, strict=True)
        ]

    def _refusal(self, joint: int, why: str) -> AssetError:
        name, body = self.joints[joint], self.bodies[self.builder.joint_child[joint]]
        place = self.where.get(name) or self.where.get(body) or str(self.file)
        return AssetError(f"{place}: joint {name!r} of body {body!r}: {why}")

    def _pose(self, transform: Any) -> Pose:
        values = np.array(transform, dtype=np.float64)
        return Pose(self.snap.place(values[:3]), self.snap.quaternion(values[3:]))

    # ------------------------------------------------------------------------------------------------ the whole

    def tree(self, base: str) -> Tree:
        builder = self.builder
        links: list[Link] = []
        posture: dict[str, Any] = {}
        followers = self._mimics()
        held = []
        for joint, child in enumerate(builder.joint_child):
            if child in builder.joint_child[:joint]:
                raise self._refusal(joint, "another joint carries that body already; loops of links cannot be read")
            made, back = self._joints(joint, followers)
            if builder.joint_parent[joint] < 0:
                held.append(joint)
                made[0] = self._based(joint, made[0], base, len(held), posture)
            links += self._links(joint, made, back)
        if not links:
            raise AssetError(f"robot {self.file.name!r} has no bodies; it must be the file of a robot")
        links.sort(key=lambda link: link.joint.kind != "free")
        if self.springs:
            names = ", ".join(self.springs)
            warnings.warn(f"{self.file.name}: springs of joints are left out: {names}", stacklevel=2)
        name = None if self.document is None else self.document.root.get("model")
        return planted(name or self.file.stem, links, posture, self.where, self.file)

    def _based(self, index: int, joint: Joint, base: str, count: int, posture: dict[str, Any]) -> Joint:
        """What holds a body to the world."""
        if joint.kind == "free":
            if count > 1:
                raise self._refusal(index, "a robot has one free body; put other things in files of their own")
            start = self.builder.joint_q_start[index]
            pose = _plain(self.builder.joint_X_p[index]) @ _plain(self.builder.joint_q[start : start + 7])
            place, quaternion = self._written(self.builder.joint_child[index], pose).tuples()
            posture[joint.name] = (*place, *quaternion)
        elif joint.kind == "fixed":
            name = f"{self.bodies[self.builder.joint_child[index]]}_base"
            if base == "free" and count == 1:
                posture[name] = (*joint.position, *joint.quaternion)
                return Joint(name, "free")
            return Joint(name, base if count == 1 else "fixed", joint.position, joint.quaternion)
        if base != "fixed" and not (base == "free" and joint.kind == "free"):
            raise self._refusal(index, f"base={base!r}, but this {joint.kind} joint holds the robot; use base='fixed'")
        return joint

    def _links(self, index: int, joints: list[Joint], back: Pose) -> list[Link]:
        """The link of a body, after one for each joint but the last, and for that too where it stands elsewhere
        (``back``, in the body's frame).
        """
        parent = self.builder.joint_parent[index]
        carrier = None if parent < 0 else self.bodies[parent]
        child = self.builder.joint_child[index]
        name, out = self.bodies[child], []
        if not back.is_here:
            joints = [*joints, Joint(f"{name}@{joints[-1].name}", "fixed", *back.inverse().tuples())]
        for joint in joints[:-1]:
            out.append(Link(f"{name}@{joint.name}", carrier, joint, hollow=joint is not joints[-2] or back.is_here))
            carrier = out[-1].name
        return [*out, Link(name, carrier, joints[-1], self.inertials[child], *self.shapes.get(child, ((), ())))]

    # ------------------------------------------------------------------------------------------------- joints

    def _joints(self, index: int, mimics: dict[str, Mimic]) -> tuple[list[Joint], Pose]:
        """Joints between a body and what holds it, each placed in what moves with the one before it, and the pose of
        the last one in the body's frame.
        """
        from newton import JointType

        builder, name, child = self.builder, self.joints[index], self.builder.joint_child[index]
        start, (lengths, angles) = builder.joint_qd_start[index], builder.joint_dof_dim[index]
        kind = JointType(builder.joint_type[index])
        back, text = self._pose(builder.joint_X_c[index]), self.text.get(self.bodies[child])
        body = _plain(builder.joint_X_p[index]) @ _plain(builder.joint_X_c[index]).inverse()
        body = self._written(child, body)
        if kind == JointType.FREE:
            return [Joint(name, "free", **(text.joints[0].numbers if text is not None and text.joints else {}))], HERE
        if kind == JointType.BALL and lengths + angles == 3:
            return [Joint(name, "ball", *(body @ back).tuples(), **self._numbers(name, slice(start, start + 3)))], back
        if kind not in (JointType.REVOLUTE, JointType.PRISMATIC, JointType.D6, JointType.FIXED):
            raise self._refusal(
                index, f"a {kind.name.lower()} cannot be read; use joints that turn or slide, or a ball"
            )
        written = [] if text is None else [joint.kind for joint in text.joints]
        if text is not None and (written.count("slide"), written.count("hinge")) != (lengths, angles):
            raise self._refusal(
                index, f"Newton makes {lengths} slides and {angles} hinges of the joints {', '.join(written)} of its "
                "body; write their types at the joints"
            )  # fmt: skip
        if lengths + angles == 0:
            return [Joint(name, "fixed", *(body @ back).tuples())], back
        out: list[Joint] = []
        ahead = body
        for each, row, at in self._rows(index, () if text is None else text.joints, back):
            place, back = (ahead @ at).tuples(), at
            axis = tuple((self.snap.direction(builder.joint_axis[row]) + 0.0).tolist())
            lower, upper = self._limits(row)
            sort = "prismatic" if row < start + lengths else "revolute"
            numbers = self._numbers(each, slice(row, row + 1))
            out.append(Joint(each, sort, *place, axis, lower, upper, mimic=mimics.get(each), **numbers))
            ahead = back.inverse()
        return out, back

    def _rows(self, index: int, text: tuple[JointText, ...], back: Pose) -> Iterator[tuple[str, int, Pose]]:
        """Name, number of the rate, and pose in the body's frame of each joint that turns or slides, in order. Newton
        makes one of all joints of a body, those that slide first, where the first one stands.
        """
        start, (lengths, angles) = self.builder.joint_qd_start[index], self.builder.joint_dof_dim[index]
        count = lengths + angles
        if count == 1:
            yield self.joints[index], start, back
        elif not text:
            yield from ((f"{self.joints[index]}:{k}", start + k, back) for k in range(count))
        slides, hinges = start, start + lengths
        for joint in text if count > 1 else ():
            slide = joint.kind == "slide"
            yield joint.name, slides if slide else hinges, Pose.of(joint.place)
            slides, hinges = slides + slide, hinges + (not slide)

    def _limits(self, row: int) -> tuple[float, ...]:
        return tuple(
            self.snap.number(limit[row]) if abs(limit[row]) < 1e9 else INF * float(np.sign(limit[row]))
            for limit in (self.builder.joint_limit_lower, self.builder.joint_limit_upper)
        )

    def _written(self, body: int, found: Pose) -> Pose:
        """The pose that a file gives a body, in what holds it, where Newton's is near."""
        text = self.text.get(self.bodies[body])
        if text is not None:
            apart, size = text.pose.inverse() @ found, 1.0 + np.abs(found.place).max()
            if max(np.abs(apart.place).max() / size, np.abs(apart.quaternion[:3]).max()) <= NEAR:
                return text.pose
        return Pose(self.snap.place(found.place), self.snap.quaternion(found.quaternion))

    def _numbers(self, name: str, rows: slice) -> dict[str, Any]:
        """Effort, speed, damping, friction and armature of a joint, which are alike for all of its rates."""
        builder, row = self.builder, rows.start
        if any(builder.joint_stiffness[rows]):
            self.springs.append(name)
        out = {
            "effort": min(self._efforts()[rows]), "speed": builder.joint_velocity_limit[row],
            "damping": builder.joint_damping[row], "friction": builder.joint_friction[row],
            "armature": builder.joint_armature[row],
        }  # fmt: skip
        out = {name: self.snap.number(value) for name, value in out.items()}
        return out | {name: INF for name in ("effort", "speed") if out[name] >= NO_LIMIT}

    def _efforts(self) -> list[float]:
        """Largest torque or force of each rate: of its joint, or the sum of those of its actuators, if that is less."""
        own = [float(value) for value in self.builder.joint_effort_limit]
        given = {
            key.removeprefix("mujoco:actuator_"): attribute.values
            for key, attribute in self.builder.custom_attributes.items() if key.startswith("mujoco:actuator_")
        }  # fmt: skip
        sums: dict[int, float] = {}
        for i, row in enumerate(given.get("trnid") or []):
            if given["trntype"][i] == 0:  # a joint's
                sums[int(row[0])] = sums.get(int(row[0]), 0.0) + _strength({key: v[i] for key, v in given.items() if v})
        return [min(value, sums.get(row, INF)) for row, value in enumerate(own)]

    def _mimics(self) -> dict[str, Mimic]:
        """Of joints that follow another. Newton has those of a USD file at the joints or in a list."""
        builder, joints, number = self.builder, self.joints, self.snap.number
        found = self.followers
        if self.document is None:
            pairs = enumerate(zip(builder.joint_mimic_joint, builder.joint_mimic_coeffs, strict=True))
            rows = [(joint, leader, *coefficients) for joint, (leader, coefficients) in pairs if leader >= 0]
            rows += [
                (joint, *(values[i] for values in (
                    builder.constraint_mimic_joint1, builder.constraint_mimic_coef0, builder.constraint_mimic_coef1,
                )))
                for i, joint in enumerate(builder.constraint_mimic_joint0) if builder.constraint_mimic_enabled[i]
            ]  # fmt: skip
            found = {joints[a]: Mimic(joints[b], number(ratio), number(offset)) for a, b, offset, ratio in rows}
        try:
            return led(found)
        except AssetError as error:
            raise AssetError(f"{self.file}: {error}") from error

    # ------------------------------------------------------------------------------------------------- links

    def _inertials(self) -> list[Inertial | None]:
        """Of all bodies, which together weigh what the text says, if it says that."""
        found = [self._inertial(body) for body in range(len(self.bodies))]
        wanted = None if self.document is None else total_mass(self.document)
        weight = sum(each.mass for each in found if each is not None)
        if wanted is None or not weight > 0.0:
            return found
        part = wanted / weight
        return [
            None
            if each is None
            else replace(each, mass=part * each.mass, inertia=rows_of(part * np.array(each.inertia)))
            for each in found
        ]

    def _inertial(self, body: int) -> Inertial | None:
        builder, number = self.builder, self.snap.number
        mass, inertia = number(builder.body_mass[body]), np.array(builder.body_inertia[body], dtype=np.float64)
        if not mass > 0.0 and not inertia.any():
            return None
        rows = np.array([number(value) for value in inertia.ravel()]).reshape(3, 3)
        centre = tuple((self.snap.place(builder.body_com[body]) + 0.0).tolist())
        inertial = Inertial(mass, centre, rows_of(rows))
        name = self.bodies[body]
        text = self.text.get(name)
        if text is not None and text.inertial is not None and _alike(text.inertial, inertial):
            inertial = text.inertial
        return repaired(inertial, self.where.get(name, f"{self.file}, body {name!r}")) if self.repair else inertial


def _alike(a: Inertial, b: Inertial) -> bool:
    """Whether two inertials are the same but for the rounding of single precision."""
    pairs = ((a.mass, b.mass), (a.centre, b.centre), (a.inertia, b.inertia))
    return all(np.allclose(one, other, rtol=0.0, atol=1e-5 * np.abs(one).max() + 1e-12) for one, other in pairs)


def _plain(transform: Any) -> Pose:
    values = np.array(transform, dtype=np.float64)
    return Pose.of(values[:3], values[3:])


def _strength(actuator: dict[str, Any]) -> float:
    """Largest torque or force of a MuJoCo actuator at its joint, infinite if it has no limit."""
    gear, limits = abs(float(actuator["gear"][0])), []
    low, high = (float(value) for value in actuator["forcerange"])
    if actuator["forcelimited"] == 1 or (actuator["forcelimited"] == 2 and (low or high)):
        limits.append(max(abs(low), abs(high)))
    low, high = (float(value) for value in actuator["ctrlrange"])
    bounded = actuator["ctrllimited"] == 1 or (actuator["ctrllimited"] == 2 and (low or high))
    if bounded and not any(actuator["biasprm"]):  # a motor: its force is its gain times its control
        limits.append(abs(float(actuator["gainprm"][0])) * max(abs(low), abs(high)))
    return gear * min(limits, default=INF)
