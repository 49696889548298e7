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

__all__ = ["expand", "look_over", "text_for_newton"]

OTHERS = ("tendon", "flex", "flexvert", "flexstrain")
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
    known = {"main", *(each.get("class", "main") for each in root.iter("default"))}
    for element in root.iter():
        if element.tag in COPIES:
            raise document.refusal(element, "copies of parts cannot be read; let MuJoCo save the model, and load that")
        if element.get("shellinertia") == "true":
            raise document.refusal(element, "the mass of a shell cannot be read; give the body an inertial")
        for name in ("class", "childclass"):
            if element.tag != "default" and element.get(name, "main") not in known:
                raise document.refusal(element, f"{name}={element.get(name)!r} is none of {', '.join(sorted(known))}")
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
        if element.tag in OTHERS:
            raise document.refusal(element, "tendons and flexes cannot be read; take it out, or set active='false'")
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


def text_for_newton(document: Document, repair: bool) -> str:
    """The file's text without what Newton would refuse without a name, warn of, or overlook: with impossible inertia
    repaired, compilers in one, the outermost class without its name, and without options and equalities.

    Args:
        document: the file; its elements are changed.
        repair: whether to repair.

    Raises:
        AssetError: there is impossible inertia that should not be repaired, or a mass is negative; with its line.
    """
    root = document.root
    for body in root.iter("body"):
        _mend(document, body, repair)
    _unname(root)
    compiler = ET.Element("compiler")
    for each in root.findall("compiler"):
        compiler.attrib |= each.attrib  # the last one wins
    for tag in ("compiler", "option", "equality"):
        for each in root.findall(tag):
            root.remove(each)
    root.insert(0, compiler)
    document.note(compiler, root)
    return ET.tostring(root, encoding="unicode")


def _unname(root: ET.Element) -> None:
    """Call the outermost class as Newton calls it, which gives what has no class nothing of one that has a name."""
    named = {"main", *(each.attrib.pop("class", "main") for each in root.findall("default"))}
    for element in root.iter():
        for name in ("class", "childclass"):
            if element.tag != "default" and element.get(name) in named:
                element.set(name, "__all__")


def _mend(document: Document, body: ET.Element, repair: bool) -> None:
    """Look at a body's inertial, and repair its inertia."""
    element = body.find("inertial")
    if element is None:
        return
    mass = document.number(element, "mass", 0.0)
    if mass < 0.0:
        raise document.refusal(body, f"its mass is {mass} kg; it must not be negative")
    found = Inertial(1.0, inertia=rows_of(inertia_in(document, element)))
    moments = np.linalg.eigvalsh(found.inertia)
    if is_possible(moments):
        return
    if not repair:
        raise document.refusal(body, impossible(moments))
    turn = matrix((turn_of(document, element) or HERE).quaternion)
    rows = rows_of(turn @ np.array(repaired(found, document.where(body)).inertia) @ turn.T)
    for name in ("diaginertia", *ORIENTATIONS):
        element.attrib.pop(name, None)
    places = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    element.set("fullinertia", " ".join(repr(rows[i][j]) for i, j in places))
