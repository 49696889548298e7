# SPDX-License-Identifier: Apache-2.0
"""An XML file that knows the line of each of its elements, and what the readers of robots do alike."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.parsers import expat

import numpy as np

from simenv.errors import AssetError
from simenv.physics.bodies.table import table
from simenv.physics.bodies.tree import Inertial, Link, Mimic, Tree, is_possible

__all__ = ["BASES", "Document", "led", "planted", "repaired"]

BASES = ("fixed", "free", "planar")


class Document:
    """A parsed XML file.

    Attributes:
        file: where it is; root: its element.

    Raises:
        AssetError: the file is no XML.
    """

    root: ET.Element

    def __init__(self, file: Path):
        self.file = file
        self._lines: dict[ET.Element, tuple[Path, int]] = {}
        parser, builder = expat.ParserCreate(), ET.TreeBuilder()

        def start(tag: str, attributes: dict[str, str]) -> None:
            self._lines[builder.start(tag, attributes)] = (file, parser.CurrentLineNumber)

        parser.StartElementHandler, parser.EndElementHandler = start, builder.end
        try:
            parser.Parse(file.read_bytes(), True)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise AssetError(f"robot {file.name!r} cannot be read: {error}; it must be well-formed XML") from error
        self.root = builder.close()

    def line(self, element: ET.Element) -> int:
        """The line of an element's start, from 1."""
        return self._lines[element][1]

    @property
    def folders(self) -> list[Path]:
        """Of its file, and of those whose elements it knows."""
        return list(dict.fromkeys(file.parent for file in (self.file, *(each for each, _ in self._lines.values()))))

    def adopt(self, other: Document) -> None:
        """Know the files and lines of another document's elements too."""
        self._lines.update(other._lines)

    def note(self, element: ET.Element, like: ET.Element) -> None:
        """Say that an element stands where another does."""
        self._lines[element] = self._lines[like]

    def where(self, element: ET.Element) -> str:
        """File, line and name of an element, for messages."""
        name, (file, line) = element.get("name"), self._lines[element]
        return f"{file}, line {line}, {element.tag}" + (f" {name!r}" if name else "")

    def refusal(self, element: ET.Element, why: str) -> AssetError:
        """An error about an element."""
        return AssetError(f"{self.where(element)}: {why}")

    def attribute(self, element: ET.Element, name: str) -> str:
        """An attribute that must be there.

        Raises:
            AssetError: it is not.
        """
        value = element.get(name)
        if not value:
            raise self.refusal(element, f"it has no {name}=...; give it one")
        return value

    def child(self, element: ET.Element, tag: str) -> ET.Element:
        """The first element of a kind in another, which must be there.

        Raises:
            AssetError: it is not.
        """
        found = element.find(tag)
        if found is None:
            raise self.refusal(element, f"it has no <{tag}>; give it one")
        return found

    def numbers(self, element: ET.Element | None, name: str, default: Iterable[float]) -> tuple[float, ...]:
        """Numbers of an attribute, as many as the default has, which stands for an attribute that is not there.

        Raises:
            AssetError: it holds something else.
        """
        standard = tuple(default)
        text = None if element is None else element.get(name)
        if element is None or text is None or not text.strip():
            return standard
        try:
            values = tuple(float(each) for each in text.split())
        except ValueError:
            values = ()
        if len(values) != len(standard) or not np.isfinite(values).all():
            raise self.refusal(element, f"{name}={text!r} must be {len(standard)} finite number(s)")
        return values

    def number(self, element: ET.Element | None, name: str, default: float) -> float:
        """One number of an attribute; see `numbers`."""
        return self.numbers(element, name, (default,))[0]


def led(mimics: Mapping[str, Mimic]) -> dict[str, Mimic]:
    """Joints that follow a joint that itself follows another, made to follow the last one.

    Raises:
        AssetError: joints follow each other in a circle.
    """
    out = {}
    for name, mimic in mimics.items():
        seen = [name]
        while mimic.leader in mimics:
            seen.append(mimic.leader)
            if mimic.leader in seen[:-1]:
                raise AssetError(f"joints {' > '.join(seen)} follow each other in a circle; let one follow none")
            above = mimics[mimic.leader]
            mimic = Mimic(above.leader, mimic.ratio * above.ratio, mimic.ratio * above.offset + mimic.offset)
        out[name] = mimic
    return out


def repaired(inertial: Inertial, what: str) -> Inertial:
    """An inertial whose principal moments a body can have, and a warning where they were not so.

    A body's moments are sums of two of the three integrals of mass times squared distance along its principal axes;
    negative ones of these are raised to zero, which is the nearest possible body, and lowers no moment.

    Args:
        inertial: of a link.
        what: that is, for the warning.

    Returns:
        The same, or one with a possible inertia.
    """
    moments, axes = np.linalg.eigh(np.asarray(inertial.inertia, dtype=np.float64))
    if is_possible(moments):
        return inertial
    spread = np.maximum(0.5 * moments.sum() - moments, 0.0)
    raised = spread.sum() - spread
    warnings.warn(
        f"{what}: principal moments of inertia {moments.tolist()} kg m^2, which no body has, are raised to "
        f"{raised.tolist()}", stacklevel=2,
    )  # fmt: skip
    inertia = (axes * raised) @ axes.T
    return replace(inertial, inertia=tuple(map(tuple, (0.5 * (inertia + inertia.T)).tolist())))


def planted(
    name: str, links: Iterable[Link], posture: dict[str, Any], where: Mapping[str, str], file: Path
) -> Tree:  # fmt: skip
    """A tree of links in any order: what a link carries follows it, branch by branch, in the order that they are in.

    Args:
        name: of the robot.
        links: of it.
        posture: position of joints by name.
        where: of each link or joint that the file names, where it stands, for messages.
        file: that it is from.

    Raises:
        AssetError: some hang on each other in a circle, or `Tree` refuses them; with the place in the file.
    """
    carried: dict[str | None, list[Link]] = {}
    for link in links:
        carried.setdefault(link.parent, []).append(link)
    order: list[Link] = []
    ahead = carried.pop(None, [])[::-1]
    while ahead:
        order.append(ahead.pop())
        ahead += carried.pop(order[-1].name, [])[::-1]
    if carried:
        lost = [link.name for each in carried.values() for link in each]
        raise AssetError(
            f"{file}: links {', '.join(map(repr, lost))} hang on each other in a circle; loops cannot be read"
        )
    try:
        tree = Tree(name, tuple(order), posture)
        if tree.joints:
            table(tree)  # which looks at masses of parts that move as one
        return tree
    except AssetError as error:
        match = re.match(r"robot .*?, link '(.*?)' on joint '(.*?)': ", str(error))
        places = [where[each] for each in match.groups() if each in where] if match else []
        raise AssetError(f"{'; '.join(places) or file}: {error}") from error
