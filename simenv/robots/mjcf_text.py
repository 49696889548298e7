# SPDX-License-Identifier: Apache-2.0
"""What the text of an MJCF says itself, in double precision, of what Newton rounds or joins together: bodies and the
joints of each, and joints that follow others. Attributes are as MuJoCo's reference defines them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from simenv.physics.bodies.tree import Inertial, Mimic
from simenv.robots.document import Document
from simenv.robots.poses import HERE, Pose, matrix, quaternion_of

__all__ = [
    "Body",
    "JointText",
    "bodies",
    "inertia_in",
    "mimics",
    "polynomial",
    "rows_of",
    "total_mass",
    "turn_of",
    "turns",
]

ORIENTATIONS = ("quat", "axisangle", "euler", "xyaxes", "zaxis")
Classes = dict[str, dict[str, dict[str, str]]]


@dataclass(frozen=True)
class JointText:
    """A joint of a body.

    Attributes:
        name: of it, or what Newton calls it.
        kind: ``hinge``, ``slide``, ``ball`` or ``free``.
        place: in the body's frame [m], (3,).
        numbers: its damping, friction and armature, by the names that `Joint` has.
    """

    name: str
    kind: str
    place: np.ndarray
    numbers: dict[str, Any]


@dataclass(frozen=True)
class Body:
    """A body.

    Attributes:
        element: of it.
        pose: in what holds it.
        inertial: of its text, if it has one.
        joints: in their order.
    """

    element: ET.Element
    pose: Pose
    inertial: Inertial | None
    joints: tuple[JointText, ...]


def bodies(document: Document) -> dict[str, Body]:
    """All bodies by name, or by what Newton calls those that have none."""
    classes, out = _classes(document.root), {}
    count = 0

    def walk(parent: ET.Element, childclass: str, pose: Pose) -> None:
        nonlocal count
        for element in parent.findall("body"):
            name = element.get("name") or f"body_{count}"
            count += 1
            own = element.get("childclass") or childclass
            joints = (_joint(document, each, name, i, own, classes) for i, each in enumerate(_joints(element)))
            out[name] = Body(element, pose @ _pose(document, element), _inertial(document, element), tuple(joints))
            walk(element, own, HERE)
        for frame in parent.findall("frame"):
            walk(frame, frame.get("childclass") or childclass, pose @ _pose(document, frame))

    for world in document.root.findall("worldbody"):
        walk(world, "main", HERE)
    return out


def _joints(body: ET.Element) -> list[ET.Element]:
    return [each for each in body if each.tag in ("joint", "freejoint")]


def _joint(
    document: Document, element: ET.Element, body: str, index: int, childclass: str, classes: Classes
) -> JointText:  # fmt: skip
    free = element.tag == "freejoint"
    name = element.get("name") or (f"{body}_freejoint" if free else f"{body}_joint_{index}")
    full = ET.Element("joint", {} if free else _defaults(classes, element.get("class") or childclass, "joint"))
    full.attrib |= element.attrib
    document.note(full, element)
    numbers = {
        ours: document.number(full, theirs, 0.0)
        for ours, theirs in (("damping", "damping"), ("friction", "frictionloss"), ("armature", "armature"))
    }
    place = np.array(document.numbers(full, "pos", (0.0, 0.0, 0.0)))
    return JointText(name, "free" if free else full.get("type", "hinge"), place, numbers)


def _classes(root: ET.Element) -> Classes:
    """Attributes by class and tag, those of the classes around it included."""
    out: Classes = {}

    def walk(element: ET.Element, around: dict[str, dict[str, str]], name: str) -> None:
        own = {tag: dict(attributes) for tag, attributes in around.items()}
        for child in element:
            if child.tag != "default":
                own[child.tag] = own.get(child.tag, {}) | child.attrib
        out[name] = own
        for child in element.findall("default"):
            walk(child, own, child.get("class", ""))

    for element in root.findall("default"):
        name = element.get("class", "main")
        walk(element, out.get("main", {}), name)
        out["main"] = out["__all__"] = out[name]  # the latter is Newton's name
    return out


def _defaults(classes: Classes, name: str, tag: str) -> dict[str, str]:
    return {key: value for key, value in classes.get(name, {}).get(tag, {}).items() if key != "class"}


def _pose(document: Document, element: ET.Element) -> Pose:
    turn = turn_of(document, element) or HERE
    return Pose.of(document.numbers(element, "pos", (0.0, 0.0, 0.0)), turn.quaternion)


def _inertial(document: Document, body: ET.Element) -> Inertial | None:
    """In the body's axes."""
    element = body.find("inertial")
    if element is None:
        return None
    pose, about = _pose(document, element), inertia_in(document, element)
    if element.get("fullinertia") is None:
        about = matrix(pose.quaternion) @ about @ matrix(pose.quaternion).T
    return Inertial(document.number(element, "mass", 0.0), pose.tuples()[0], rows_of(about))


def inertia_in(document: Document, element: ET.Element) -> np.ndarray:
    """Of an inertial, (3, 3), in its own axes [kg m^2]."""
    xx, yy, zz = document.numbers(element, "diaginertia", (0.0, 0.0, 0.0))
    xx, yy, zz, xy, xz, yz = document.numbers(element, "fullinertia", (xx, yy, zz, 0.0, 0.0, 0.0))
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def rows_of(about: np.ndarray) -> tuple[tuple[float, float, float], ...]:
    """A matrix (3, 3), made symmetric, as `Inertial` has it."""
    return tuple(map(tuple, (0.5 * (about + about.T)).tolist()))


# ------------------------------------------------------------------------------------------------------------- turns


def turns(document: Document) -> list[np.ndarray]:
    """Quaternions wxyz of all that the text turns otherwise than by a quaternion."""
    found = (turn_of(document, each) for each in document.root.iter() if each.get("quat") is None)
    return [np.roll(each.quaternion, 1) for each in found if each is not None]


def turn_of(document: Document, element: ET.Element) -> Pose | None:
    """The turn of an element, if it has one."""

    def numbers(name: str, count: int) -> np.ndarray:
        return np.array(document.numbers(element, name, [0.0] * count))

    if element.get("quat") is not None:
        quaternion = numbers("quat", 4)
        return Pose.of(quaternion=np.roll(quaternion, -1)) if quaternion.any() else None
    if element.get("axisangle") is not None:
        *axis, angle = numbers("axisangle", 4)
        return _about(np.array(axis), angle * _unit(document)) if any(axis) else None
    if element.get("euler") is not None:
        return _by_angles(numbers("euler", 3) * _unit(document), _compiler(document, "eulerseq", "xyz"))
    if element.get("xyaxes") is not None:
        x, y = numbers("xyaxes", 6).reshape(2, 3)
        z = np.cross(x, y)
        axes = np.stack([x, np.cross(z, x), z], 1)
        lengths = np.linalg.norm(axes, axis=0)
        return Pose.of(quaternion=quaternion_of(axes / lengths)) if lengths.all() else None
    if element.get("zaxis") is not None:  # by the smallest turn of z
        x, y, z = numbers("zaxis", 3)
        across = np.array([-y, x, 0.0])
        return _about(across, np.arctan2(np.hypot(x, y), z)) if across.any() else None
    return None


def _compiler(document: Document, name: str, default: str) -> str:
    return [default, *(each.get(name, "") for each in document.root.findall("compiler") if each.get(name))][-1]


def _unit(document: Document) -> float:
    """[rad] of the text's angles."""
    return 1.0 if _compiler(document, "angle", "degree") == "radian" else np.pi / 180.0


def _about(axis: np.ndarray, angle: float) -> Pose:
    return Pose.of(quaternion=[*(np.sin(0.5 * angle) * axis / np.linalg.norm(axis)), np.cos(0.5 * angle)])


def _by_angles(angles: np.ndarray, sequence: str) -> Pose | None:
    """Turns one after the other about axes that turn along, x, y and z, or that do not, X, Y and Z."""
    if len(sequence) != 3 or not set(sequence.lower()) <= set("xyz"):
        return None
    pose = HERE
    for name, angle in zip(sequence, angles, strict=True):
        step = _about(np.eye(3)["xyz".index(name.lower())], angle)
        pose = pose @ step if name.islower() else step @ pose
    return pose


# -------------------------------------------------------------------------------------------------- following joints


def polynomial(document: Document, element: ET.Element) -> list[float]:
    """Coefficients of an equality of joints, as many as are written; offset and ratio are there.

    Raises:
        AssetError: they are no numbers; with the line.
    """
    written = (element.get("polycoef") or "0 1").split()
    values = document.numbers(element, "polycoef", [0.0, 1.0, 0.0, 0.0, 0.0][: max(len(written), 1)])
    return [*values, *[0.0, 1.0][len(values) :]]


def total_mass(document: Document) -> float | None:
    """What all bodies together shall weigh [kg], if the text says that."""
    found = [document.number(each, "settotalmass", -1.0) for each in document.root.findall("compiler")]
    return next((value for value in reversed(found) if value > 0.0), None)


def mimics(document: Document) -> dict[str, Mimic]:
    """Of joints that follow another, by the equalities that hold."""
    out: dict[str, Any] = {}
    for element in document.root.findall("./equality/joint"):
        if element.get("active", "true") == "true":
            offset, ratio = polynomial(document, element)[:2]
            out[document.attribute(element, "joint1")] = Mimic(document.attribute(element, "joint2"), ratio, offset)
    return out
