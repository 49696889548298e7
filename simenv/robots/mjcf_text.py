# SPDX-License-Identifier: Apache-2.0
"""What the text of an MJCF must not hold, looked for before Newton reads it, so that messages have lines."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np

from simenv.physics.bodies.tree import Inertial, impossible, is_possible
from simenv.robots.document import Document, repaired

__all__ = ["mended", "refuse_loops"]

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
        xx, yy, zz = document.numbers(element, "diaginertia", (0.0, 0.0, 0.0))
        xx, yy, zz, xy, xz, yz = document.numbers(element, "fullinertia", (xx, yy, zz, 0.0, 0.0, 0.0))
        inertial = Inertial(1.0, inertia=((xx, xy, xz), (xy, yy, yz), (xz, yz, zz)))
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
