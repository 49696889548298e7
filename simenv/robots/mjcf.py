# SPDX-License-Identifier: Apache-2.0
"""MJCF and USD into a `Tree`, read by Newton's importers."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simenv import _warp
from simenv._exclusive import one_at_a_time
from simenv.errors import AssetError
from simenv.geometry.shapes import Box, Capsule, Cylinder, Shape, Sphere
from simenv.physics.bodies.tree import INF, Fitted, Inertial, Joint, Link, Mimic, Tree
from simenv.robots.document import Document, led, planted, repaired
from simenv.robots.meshes import stored_mesh
from simenv.robots.mjcf_text import inertials, mended, places, refuse_loops, turns
from simenv.robots.poses import HERE, Pose, quaternion_of
from simenv.robots.snap import Snap

if TYPE_CHECKING:
    import newton

__all__ = ["read_with_newton"]

NEAR = 1e-5  # that poses of bodies are off, which Newton computes from those in the world
NO_LIMIT = 1e6  # what Newton has where a file says none; 1e10 of positions


def read_with_newton(file: Path, document: Document | None, base: str = "fixed", repair: bool = False) -> Tree:
    """A tree of an MJCF or USD file.

    Newton's numbers are in single precision; those that an MJCF has written are read again from its text (`Snap`). What
    Newton computes, such as masses of shapes, has seven digits. A link has its body's frame and name. Where a body's
    joint stands elsewhere, there is one more link before it, ``"<body>@<joint>"``, which moves, and the body is fixed
    to it. Two joints that slide and one that turns about the third axis make a ``planar`` one.

    Left out are: actuators, but for the torque that they can give where it is limited; springs of joints, with a
    warning; limits of balls and of planar joints; shapes in the world; and, with a warning, shapes that are no box,
    ball, cylinder, capsule or mesh.

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
    text = None
    if document is not None:
        refuse_loops(document)
        text = mended(document, repair)
    return _Reader(_parse(file, text), file, document, repair).tree(base)


@one_at_a_time
def _parse(file: Path, text: str | None) -> newton.ModelBuilder:
    import newton

    def beside(folder: str | None, name: str) -> str:
        return os.path.abspath(os.path.join(folder or file.parent, name))

    _warp.start()
    builder = newton.ModelBuilder()
    try:
        if text is not None:
            builder.add_mjcf(text, enable_self_collisions=False, path_resolver=beside)
        elif file.suffix.lower() in (".xml", ".mjcf"):
            builder.add_mjcf(str(file), enable_self_collisions=False)
        else:
            builder.add_usd(str(file), enable_self_collisions=False)
    except ImportError as error:
        raise AssetError(
            f"robot {file.name!r} cannot be read: {error}; USD files need a package, `pip install usd-core`"
        ) from error
    except Exception as error:  # whatever a parser finds wrong
        raise AssetError(f"robot {file.name!r} cannot be read: {error}") from error
    return builder


class _Reader:
    def __init__(self, builder: newton.ModelBuilder, file: Path, document: Document | None, repair: bool):
        self.builder, self.file, self.document, self.repair = builder, file, document, repair
        self.snap = Snap(None) if document is None else Snap(document.root, turns(document))
        self.inertials = {} if document is None else inertials(document)
        self.places = {} if document is None else places(document)
        named = [] if document is None else [each for each in document.root.iter() if each.get("name")]
        self.spelled = {each.get("name", "").replace("-", "_"): each.get("name", "") for each in named}
        self.where = {
            each.get("name", ""): document.where(each)
            for each in named if document is not None and each.tag in ("body", "joint", "freejoint")
        }  # fmt: skip
        self.bodies = self._names(builder.body_label)
        self.joints = self._names(builder.joint_label)
        self.shapes = self._shapes()

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
        mimics = self._mimics()
        held = []
        for joint, child in enumerate(builder.joint_child):
            if child in builder.joint_child[:joint]:
                raise self._refusal(joint, "another joint carries that body already; loops of links cannot be read")
            made, back = self._joint(joint, mimics.get(self.joints[joint]))
            if builder.joint_parent[joint] < 0:
                held.append(joint)
                made = self._based(joint, made, base, len(held), posture)
            links += self._links(joint, made, back)
        if not links:
            raise AssetError(f"robot {self.file.name!r} has no bodies; it must be the file of a robot")
        links.sort(key=lambda link: link.joint.kind != "free")
        self._warn_of_springs()
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

    def _links(self, index: int, joint: Joint, back: Pose) -> list[Link]:
        """The link of a body, after one for its joint where that stands elsewhere (``back``, in the body's frame)."""
        parent = self.builder.joint_parent[index]
        carrier = None if parent < 0 else self.bodies[parent]
        child = self.builder.joint_child[index]
        name = self.bodies[child]
        content = (self._inertial(child), *self.shapes.get(child, ((), ())))
        if back.is_here:
            return [Link(name, carrier, joint, *content)]
        between = f"{name}@{joint.name}"
        return [
            Link(between, carrier, joint),
            Link(name, between, Joint(between, "fixed", *back.inverse().tuples()), *content),
        ]

    # ------------------------------------------------------------------------------------------------- joints

    def _joint(self, index: int, mimic: Mimic | None) -> tuple[Joint, Pose]:
        """A joint, and its frame in that of the body that it moves."""
        from newton import JointType

        builder, name = self.builder, self.joints[index]
        start, (lengths, angles) = builder.joint_qd_start[index], builder.joint_dof_dim[index]
        kind = JointType(builder.joint_type[index])
        back = self._pose(builder.joint_X_c[index])
        body = _plain(builder.joint_X_p[index]) @ _plain(builder.joint_X_c[index]).inverse()
        place = self._written(builder.joint_child[index], body) @ back
        if kind == JointType.FREE:
            return Joint(name, "free"), HERE
        if kind == JointType.FIXED or (kind == JointType.D6 and lengths + angles == 0):
            return Joint(name, "fixed", *place.tuples()), back
        rows = slice(start, start + lengths + angles)
        numbers = self._numbers(index, rows)
        if kind == JointType.BALL:
            return Joint(name, "ball", *place.tuples(), **numbers), back
        axes = np.array([self.snap.direction(axis) for axis in builder.joint_axis[rows]])
        if kind == JointType.D6 and (lengths, angles) == (2, 1):
            turn = self._plane(index, axes)
            return Joint(name, "planar", *(place @ turn).tuples(), **numbers), back @ turn
        if kind not in (JointType.REVOLUTE, JointType.PRISMATIC, JointType.D6) or lengths + angles != 1:
            raise self._refusal(
                index, f"a {kind.name.lower()} of {lengths} lengths and {angles} angles cannot be read; put one "
                "joint on each body, with a mass, or use a ball, or two slides and a hinge normal to both"
            )  # fmt: skip
        lower, upper = (
            self.snap.number(limit[start]) if abs(limit[start]) < 1e9 else INF * float(np.sign(limit[start]))
            for limit in (builder.joint_limit_lower, builder.joint_limit_upper)
        )
        axis = tuple((axes[0] + 0.0).tolist())
        sort = "prismatic" if lengths else "revolute"
        return Joint(name, sort, *place.tuples(), axis, lower, upper, mimic=mimic, **numbers), back

    def _written(self, body: int, found: Pose) -> Pose:
        """The pose that a file gives a body, in what holds it, where Newton's is near."""
        written = self.places.get(self.bodies[body])
        if written is not None:
            apart, size = written.inverse() @ found, 1.0 + np.abs(found.place).max()
            if max(np.abs(apart.place).max() / size, np.abs(apart.quaternion[:3]).max()) <= NEAR:
                return written
        return Pose(self.snap.place(found.place), self.snap.quaternion(found.quaternion))

    def _numbers(self, index: int, rows: slice) -> dict[str, Any]:
        """Effort, speed, damping, friction and armature of a joint, alike for all of its rates."""
        builder = self.builder
        out: dict[str, Any] = {}
        efforts = self._efforts()
        for name, values in {
            "effort": [efforts[row] for row in range(rows.start, rows.stop)],
            "speed": builder.joint_velocity_limit[rows], "damping": builder.joint_damping[rows],
            "friction": builder.joint_friction[rows], "armature": builder.joint_armature[rows],
        }.items():  # fmt: skip
            if len(set(map(float, values))) > 1:
                raise self._refusal(index, f"its {name} differs by direction, {list(map(float, values))}; make it one")
            value = self.snap.number(values[0])
            out[name] = INF if name in ("effort", "speed") and value >= NO_LIMIT else value
        return out

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

    def _plane(self, index: int, axes: np.ndarray) -> Pose:
        """The frame of a plane, x and y along the two that slide, in the joint's."""
        if self.document is not None:
            body = self.bodies[self.builder.joint_child[index]]
            found = [each for each in self.document.root.iter("body") if each.get("name") == body]
            kinds = [joint.get("type", "hinge") for each in found for joint in each.findall("joint")]
            if found and kinds != ["slide", "slide", "hinge"]:
                raise self._refusal(index, f"its joints are {kinds}; give their types in the order slide, slide, hinge")
        if np.abs(axes @ axes.T - np.eye(3)).max() > 1e-6 or np.linalg.det(axes) < 0.0:
            raise self._refusal(index, "its axes must be at right angles, the third the first's cross the second's")
        return HERE if np.array_equal(axes, np.eye(3)) else Pose.of(quaternion=quaternion_of(axes.T))

    def _mimics(self) -> dict[str, Mimic]:
        """Of joints that follow another. Newton has those of a URDF at their joints, those of an MJCF in a list."""
        builder, joints = self.builder, self.joints
        number = self.snap.number
        found = {
            joints[joint]: Mimic(joints[leader], number(coefficients[1]), number(coefficients[0]))
            for joint, (leader, coefficients) in enumerate(
                zip(builder.joint_mimic_joint, builder.joint_mimic_coeffs, strict=True)
            )
            if leader >= 0
        }
        for i, joint in enumerate(builder.constraint_mimic_joint0):
            if builder.constraint_mimic_enabled[i]:
                leader = joints[builder.constraint_mimic_joint1[i]]
                ratio, offset = builder.constraint_mimic_coef1[i], builder.constraint_mimic_coef0[i]
                found[joints[joint]] = Mimic(leader, number(ratio), number(offset))
        try:
            return led(found)
        except AssetError as error:
            raise AssetError(f"{self.file}: {error}") from error

    def _warn_of_springs(self) -> None:
        builder = self.builder
        ends = [*builder.joint_qd_start[1:], builder.joint_dof_count]
        stiff = [
            name for name, start, end in zip(self.joints, builder.joint_qd_start, ends, strict=True)
            if any(builder.joint_stiffness[start:end])
        ]  # fmt: skip
        if stiff:
            warnings.warn(f"{self.file.name}: springs of joints are left out: {', '.join(stiff)}", stacklevel=2)

    # ------------------------------------------------------------------------------------------------- links

    def _inertial(self, body: int) -> Inertial | None:
        builder, number = self.builder, self.snap.number
        mass, inertia = number(builder.body_mass[body]), np.array(builder.body_inertia[body], dtype=np.float64)
        if not mass > 0.0 and not inertia.any():
            return None
        rows = np.array([number(value) for value in inertia.ravel()]).reshape(3, 3)
        centre = tuple((self.snap.place(builder.body_com[body]) + 0.0).tolist())
        inertial = Inertial(mass, centre, tuple(map(tuple, (0.5 * (rows + rows.T)).tolist())))
        name = self.bodies[body]
        written = self.inertials.get(name)
        if written is not None and _alike(written, inertial):
            inertial = written
        return repaired(inertial, self.where.get(name, f"{self.file}, body {name!r}")) if self.repair else inertial

    def _shapes(self) -> dict[int, tuple[tuple[Fitted, ...], tuple[Fitted, ...]]]:
        """What is drawn and what collides, of each body."""
        from newton import ShapeFlags

        builder = self.builder
        out: dict[int, tuple[tuple[Fitted, ...], tuple[Fitted, ...]]] = {}
        for i, body in enumerate(builder.shape_body):
            flags = builder.shape_flags[i]
            if body < 0 or flags & ShapeFlags.SITE:
                continue
            shape = self._shape(i)
            if shape is None:
                continue
            place, quaternion = self._pose(builder.shape_transform[i]).tuples()
            red, green, blue = (self.snap.number(value) for value in builder.shape_color[i])
            opacity = builder.shape_opacity[i]
            looks, collisions = out.get(body, ((), ()))
            if flags & ShapeFlags.VISIBLE:
                color = (red, green, blue, 1.0 if opacity is None else self.snap.number(opacity))
                looks = (*looks, Fitted(shape, place, quaternion, color))
            if flags & ShapeFlags.COLLIDE_SHAPES:
                collisions = (*collisions, Fitted(shape, place, quaternion))
            out[body] = (looks, collisions)
        return out

    def _shape(self, i: int) -> Shape | None:
        from newton import GeoType

        kind = self.builder.shape_type[i]
        x, y, z = (self.snap.number(value) for value in self.builder.shape_scale[i])
        if kind == GeoType.BOX:
            return Box((x, y, z))
        if kind == GeoType.SPHERE:
            return Sphere(x)
        if kind in (GeoType.CAPSULE, GeoType.CYLINDER):
            return (Capsule if kind == GeoType.CAPSULE else Cylinder)(x, y)
        if kind in (GeoType.MESH, GeoType.CONVEX_MESH):
            mesh = self.builder.shape_source[i]
            return stored_mesh(np.asarray(mesh.vertices) * (x, y, z), np.asarray(mesh.indices).reshape(-1, 3))
        body = self.bodies[self.builder.shape_body[i]]
        warnings.warn(f"{self.file.name}: a {GeoType(kind).name.lower()} of body {body!r} is left out", stacklevel=2)
        return None


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
