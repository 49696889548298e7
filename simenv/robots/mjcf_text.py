# SPDX-License-Identifier: Apache-2.0
"""What the text of an MJCF says itself: what it must not hold, looked for before Newton reads it, so that messages have
lines; and numbers that Newton makes of several of the text's, in double precision.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np

from simenv.physics.bodies.tree import Inertial, impossible, is_possible
from simenv.robots.document import Document, repaired
from simenv.robots.poses import HERE, Pose, matrix, quaternion_of

__all__ = ["inertials", "mended", "places", "refuse_loops", "turns"]

LOOPS = ("connect", "weld", "tendon", "flex", "flexvert", "flexstrain")


def refuse_loops(document: Document) -> None:
    """Look for equality constraints that are no joint that follows another.

    Raises:
        AssetError: there is one; with its line.
    """
    for element in document.root.findall("./equality/*"):
        if element.get("active", "true") == "false":
            continue
        if element.tag in LOOPS:
            raise document.refusal(element, "loops of links cannot be read; take it out, or set active='false'")
        coefficients = [float(each) for each in element.get("polycoef", "0 1").split()]
        if element.tag == "joint" and (not element.get("joint2") or any(coefficients[2:])):
            what = repr(element.get("joint1"))
            raise document.refusal(
                element, f"{what} can only follow a joint2 linearly, polycoef='OFFSET RATIO 0 0 0'; or fix it"
            )


def mended(document: Document, repair: bool) -> str | None:
    """The file's text with impossible inertia repaired, where there is some, which Newton would refuse without a name.

    Args:
        document: the file; its elements are changed.
        repair: whether to repair.

    Returns:
        The text, or None if nothing is to be repaired.

    Raises:
        AssetError: something is, and should not be; with its line.
    """
    changed = False
    for body in document.root.iter("body"):
        element = body.find("inertial")
        if element is None:
            continue
        inertial = Inertial(1.0, inertia=_rows(_inertia(document, element)))
        moments = np.linalg.eigvalsh(inertial.inertia)
        if is_possible(moments):
            continue
        if not repair:
            raise document.refusal(body, impossible(moments))
        rows = repaired(inertial, document.where(body)).inertia
        element.attrib.pop("diaginertia", None)
        places = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
        element.set("fullinertia", " ".join(repr(rows[i][j]) for i, j in places))
        changed = True
    return ET.tostring(document.root, encoding="unicode") if changed else None


def _inertia(document: Document, element: ET.Element) -> np.ndarray:
    """Of an inertial, (3, 3), in its own axes."""
    xx, yy, zz = document.numbers(element, "diaginertia", (0.0, 0.0, 0.0))
    xx, yy, zz, xy, xz, yz = document.numbers(element, "fullinertia", (xx, yy, zz, 0.0, 0.0, 0.0))
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def _rows(matrix: np.ndarray) -> tuple[tuple[float, float, float], ...]:
    return tuple(map(tuple, (0.5 * (matrix + matrix.T)).tolist()))


def inertials(document: Document) -> dict[str, Inertial]:
    """Inertials of bodies by name, in the bodies' axes."""
    out = {}
    for body in document.root.iter("body"):
        element, name = body.find("inertial"), body.get("name")
        if element is not None and name:
            turn = _turn(document, element) or HERE
            about = _inertia(document, element)
            if element.get("fullinertia") is None:
                about = matrix(turn.quaternion) @ about @ matrix(turn.quaternion).T
            place = document.numbers(element, "pos", (0.0, 0.0, 0.0))
            out[name] = Inertial(document.number(element, "mass", 0.0), place, _rows(about))  # type: ignore[arg-type]
    return out


def places(document: Document) -> dict[str, Pose]:
    """Poses of bodies by name, in what holds them."""
    out = {}
    for body in document.root.iter("body"):
        if name := body.get("name"):
            turn = _turn(document, body) or HERE
            out[name] = Pose.of(document.numbers(body, "pos", (0.0, 0.0, 0.0)), turn.quaternion)
    return out


def turns(document: Document) -> list[np.ndarray]:
    """Quaternions wxyz of all that the text turns otherwise than by a quaternion."""
    found = (_turn(document, each) for each in document.root.iter() if each.get("quat") is None)
    return [np.roll(each.quaternion, 1) for each in found if each is not None]


def _turn(document: Document, element: ET.Element) -> Pose | None:
    """The turn of an element, if it has one; as MuJoCo's reference defines its attributes."""

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
    return next((each.get(name, "") for each in document.root.iter("compiler") if each.get(name)), default)


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
