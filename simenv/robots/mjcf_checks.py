# SPDX-License-Identifier: Apache-2.0
"""What is done with the text of an MJCF before Newton reads it, so that messages have lines: files that it includes,
what it must not hold, and impossible inertia.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from simenv.physics.bodies.tree import Inertial, impossible, is_possible
from simenv.robots.document import Document, repaired
from simenv.robots.mjcf_text import ORIENTATIONS, bodies, inertia_in, polynomial, rows_of, turn_of
from simenv.robots.poses import HERE, matrix

__all__ = ["expand", "look_over", "mended"]

LOOPS = ("connect", "weld", "tendon", "flex", "flexvert", "flexstrain")
COPIES = ("replicate", "attach", "composite", "flexcomp")


def expand(document: Document) -> None:
    """Put what a document includes in the place of ``include``.

    Raises:
        AssetError: a file is not there, cannot be read, or includes itself.
    """

    def inside(parent: ET.Element, folder: Path, above: tuple[Path, ...]) -> None:
        for index, child in reversed(list(enumerate(parent))):
            if child.tag != "include":
                inside(child, folder, above)
                continue
            file = folder / document.attribute(child, "file")
            if not file.is_file():
                raise document.refusal(child, f"there is no file {file}; put it there, or change the path")
            if file.resolve() in above:
                raise document.refusal(child, f"{file} includes itself; take that out")
            part = Document(file)
            document.adopt(part)
            inside(part.root, file.parent, (*above, file.resolve()))
            parent[index : index + 1] = list(part.root)

    inside(document.root, document.file.parent, (document.file.resolve(),))


def look_over(document: Document) -> None:
    """Look for what cannot be read, or would be read as something else; warn of what is left out.

    Raises:
        AssetError: there is some; with its line.
    """
    root = document.root
    for element in root.iter():
        if element.tag in COPIES:
            raise document.refusal(element, "copies of parts cannot be read; let MuJoCo save the model, and load that")
        if element.get("shellinertia") == "true":
            raise document.refusal(element, "the mass of a shell cannot be read; give the body an inertial")
    for compiler in root.iter("compiler"):
        if document.number(compiler, "settotalmass", -1.0) > 0.0:
            raise document.refusal(compiler, "settotalmass cannot be read; scale the masses, and take it out")
    for frame in root.iter("frame"):
        for child in frame:
            if child.tag in ("joint", "freejoint", "inertial"):
                raise document.refusal(child, "it stands in a frame; put it into the body, where the frame has it")
    for body in bodies(document).values():
        kinds = [joint.kind for joint in body.joints]
        if len(kinds) > 1 and not set(kinds) <= {"hinge", "slide"}:
            raise document.refusal(
                body.element, f"it has joints {', '.join(kinds)}; a ball or a free joint must be the only one of a body"
            )
    for element in root.findall("./equality/*"):
        if element.get("active", "true") == "false":
            continue
        if element.tag in LOOPS:
            raise document.refusal(element, "loops of links cannot be read; take it out, or set active='false'")
        if element.tag == "joint" and (not element.get("joint2") or any(polynomial(document, element)[2:])):
            what = repr(element.get("joint1"))
            raise document.refusal(
                element, f"{what} can only follow a joint2 linearly, polycoef='OFFSET RATIO 0 0 0'; or fix it"
            )
    left = ["tendons"] if any(len(each) for each in root.findall("tendon")) else []
    lifted = [each for each in root.iter("body") if document.number(each, "gravcomp", 0.0)]
    left += [f"gravcomp of {', '.join(repr(each.get('name', 'a body')) for each in lifted)}"] if lifted else []
    if left:
        warnings.warn(f"{document.file.name}: left out are {' and '.join(left)}", stacklevel=2)


def mended(document: Document, repair: bool) -> str | None:
    """The file's text without what Newton would refuse without a name, or warn of: with impossible inertia repaired,
    and without equalities of joints that share a body with others.

    Args:
        document: the file; its elements are changed.
        repair: whether to repair.

    Returns:
        The text, or None if it is the file's.

    Raises:
        AssetError: something is, and should not be, or a mass is negative; with its line.
    """
    shared = {joint.name for body in bodies(document).values() if len(body.joints) > 1 for joint in body.joints}
    changed = False
    for equality in document.root.findall("equality"):
        for follower in equality.findall("joint"):
            if shared & {follower.get("joint1"), follower.get("joint2")}:
                equality.remove(follower)
                changed = True
    for body in document.root.iter("body"):
        element = body.find("inertial")
        if element is None:
            continue
        mass = document.number(element, "mass", 0.0)
        if mass < 0.0:
            raise document.refusal(body, f"its mass is {mass} kg; it must not be negative")
        found = Inertial(1.0, inertia=rows_of(inertia_in(document, element)))
        moments = np.linalg.eigvalsh(found.inertia)
        if is_possible(moments):
            continue
        if not repair:
            raise document.refusal(body, impossible(moments))
        turn = matrix((turn_of(document, element) or HERE).quaternion)
        rows = rows_of(turn @ np.array(repaired(found, document.where(body)).inertia) @ turn.T)
        for name in ("diaginertia", *ORIENTATIONS):
            element.attrib.pop(name, None)
        places = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
        element.set("fullinertia", " ".join(repr(rows[i][j]) for i, j in places))
        changed = True
    return ET.tostring(document.root, encoding="unicode") if changed else None
