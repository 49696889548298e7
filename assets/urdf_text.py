# SPDX-License-Identifier: Apache-2.0
"""A URDF from numbers: what the scripts that write our own robots have in common.

Numbers are written with as many digits as they have. A link weighs as its source says; where the source says how much
but not how it is spread, the mass is spread evenly over the link's shapes, where these overlap several times.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent / "robots"
HALF_PI = float(np.pi / 2)
WHITE, GREY, DARK = "0.93 0.94 0.95 1", "0.62 0.65 0.68 1", "0.25 0.27 0.30 1"
BLUE, ORANGE, YELLOW = "0.18 0.48 0.72 1", "0.93 0.47 0.16 1", "0.93 0.74 0.20 1"
Vector = Sequence[float]


def text(*numbers: float) -> str:
    """Numbers as an attribute: the shortest that are read back as the same."""
    return " ".join(repr(float(n) + 0.0).removesuffix(".0") for n in numbers)


def turn(rpy: Vector) -> np.ndarray:
    """Rotation matrix of a URDF's angles: about x, then y, then z."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(rpy), np.sin(rpy)
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


@dataclass(frozen=True)
class Part:
    """A shape on a link, that is drawn and collides.

    Attributes:
        kind, size: ``"box"`` of three lengths, ``"sphere"`` of a radius, ``"cylinder"`` or ``"capsule"`` of a radius
            and a length along z, of a capsule without its ends [m].
        place, rpy: in the link's frame [m], [rad].
        color: red, green, blue and opacity.
        weighs: whether the link's mass is spread over it too.
    """

    kind: str
    size: tuple[float, ...]
    place: tuple[float, ...]
    rpy: tuple[float, ...] = (0.0, 0.0, 0.0)
    color: str = WHITE
    weighs: bool = True

    def volume(self) -> float:
        """In m^3."""
        if self.kind == "box":
            return float(np.prod(self.size))
        radius, length = (*self.size, 0.0)[:2]
        ball = 4.0 / 3.0 * np.pi * radius**3
        return float((ball if self.kind != "cylinder" else 0.0) + np.pi * radius**2 * length)

    def moments(self) -> np.ndarray:
        """About its centre and axes, per mass (3,) [m^2]."""
        if self.kind == "box":
            squares = np.square(self.size) / 12.0
            return np.asarray(squares.sum() - squares)
        r, h = (*self.size, 0.0)[:2]
        if self.kind == "cylinder":
            return np.array([(3 * r**2 + h**2) / 12, (3 * r**2 + h**2) / 12, r**2 / 2])
        # two half balls of 3/8 r each beyond their flat faces, and the cylinder between
        ends, middle = 4.0 / 3.0 * r, h
        across = ends * (0.4 * r**2 + h**2 / 4 + 3.0 / 8.0 * h * r) + middle * (r**2 / 4 + h**2 / 12)
        along = ends * 0.4 * r**2 + middle * r**2 / 2
        return np.array([across, across, along]) / (ends + middle)


def box(size: Vector, place: Vector, color: str = WHITE, weighs: bool = True) -> Part:
    """A box along the link's axes."""
    return Part("box", tuple(size), tuple(place), color=color, weighs=weighs)


def ball(radius: float, place: Vector, color: str = WHITE, weighs: bool = True) -> Part:
    """A ball."""
    return Part("sphere", (radius,), tuple(place), color=color, weighs=weighs)


def capsule(start: Vector, end: Vector, radius: float, color: str = WHITE, weighs: bool = True) -> Part:
    """A capsule; the middles of its ends are given."""
    return _between("capsule", start, end, radius, color, weighs)


def cylinder(start: Vector, end: Vector, radius: float, color: str = WHITE, weighs: bool = True) -> Part:
    """A cylinder between two points."""
    return _between("cylinder", start, end, radius, color, weighs)


def _between(kind: str, start: Vector, end: Vector, radius: float, color: str, weighs: bool) -> Part:
    a, b = np.asarray(start, float), np.asarray(end, float)
    x, y, z = b - a
    rpy = (0.0, float(np.arctan2(np.hypot(x, y), z)), float(np.arctan2(y, x)))
    length = float(np.round(np.linalg.norm(b - a), 9))
    return Part(kind, (radius, length), tuple(np.round((a + b) / 2, 9).tolist()), rpy, color, weighs)


def spread(mass: float, parts: Iterable[Part]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Centre [m] and inertia about it, xx, yy, zz, xy, xz, yz [kg m^2], of a mass [kg] spread evenly over shapes, to
    seven digits.
    """
    heavy = [part for part in parts if part.weighs]
    volumes = np.array([part.volume() for part in heavy])
    masses, places = mass * volumes / volumes.sum(), np.array([part.place for part in heavy])
    centre = masses @ places / mass
    about = np.zeros((3, 3))
    for part, m, place in zip(heavy, masses, places, strict=True):
        r, arm = turn(part.rpy), place - centre
        about += m * (r @ np.diag(part.moments()) @ r.T + arm @ arm * np.eye(3) - np.outer(arm, arm))
    six = [about[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    six = [0.0 if abs(each) < 1e-12 * six[0] else float(f"{each:.7g}") for each in six]
    return tuple(np.round(centre, 7).tolist()), tuple(six)


class Urdf:
    """A robot that is being written.

    Args:
        name: of the robot.
    """

    def __init__(self, name: str):
        # of version 1.2, the first with capsules
        self.root = ET.Element("robot", name=name, version="1.2")

    def link(
        self, name: str, parts: Sequence[Part] = (), mass: float = 0.0, centre: Vector | None = None,
        inertia: Vector | None = None,
    ) -> None:  # fmt: skip
        """Add a link; where `centre` [m] or `inertia` (6,) [kg m^2] is None, they follow from the shapes."""
        link = ET.SubElement(self.root, "link", name=name)
        if mass:
            own = spread(mass, parts) if centre is None or inertia is None else ((), ())
            self._inertial(link, mass, centre or own[0], inertia or own[1])
        for tag in ("visual", "collision"):
            for part in parts:
                self._shape(ET.SubElement(link, tag), part)

    @staticmethod
    def _inertial(link: ET.Element, mass: float, centre: Vector, inertia: Vector) -> None:
        inertial = ET.SubElement(link, "inertial")
        ET.SubElement(inertial, "origin", xyz=text(*centre), rpy="0 0 0")
        ET.SubElement(inertial, "mass", value=text(mass))
        names = ("ixx", "iyy", "izz", "ixy", "ixz", "iyz")
        ET.SubElement(inertial, "inertia", {n: text(m) for n, m in zip(names, inertia, strict=True)})

    @staticmethod
    def _shape(element: ET.Element, part: Part) -> None:
        ET.SubElement(element, "origin", xyz=text(*part.place), rpy=text(*part.rpy))
        if part.kind == "box":
            size = {"size": text(*part.size)}
        else:
            size = dict(zip(("radius", "length"), map(text, part.size), strict=False))
        if part.kind == "capsule":
            size["height"] = size["length"]  # Newton's name for it
        ET.SubElement(ET.SubElement(element, "geometry"), part.kind, size)
        if element.tag == "visual":
            material = ET.SubElement(element, "material", name=f"c{part.color.replace(' ', '_')}")
            ET.SubElement(material, "color", rgba=part.color)

    def joint(
        self, name: str, kind: str, parent: str, child: str, place: Vector = (0.0, 0.0, 0.0),
        rpy: Vector = (0.0, 0.0, 0.0), axis: Vector | None = None, limits: tuple[float, float] | None = None,
        effort: float = 0.0, speed: float = 0.0, damping: float = 0.0, friction: float = 0.0,
        follows: tuple[str, float] | None = None,
    ) -> None:  # fmt: skip
        """Add a joint. An effort or a speed of 0 is none that is known; `follows` is another joint and the ratio."""
        joint = ET.SubElement(self.root, "joint", name=name, type=kind)
        ET.SubElement(joint, "origin", xyz=text(*place), rpy=text(*rpy))
        ET.SubElement(joint, "parent", link=parent)
        ET.SubElement(joint, "child", link=child)
        if axis is None:
            return
        ET.SubElement(joint, "axis", xyz=text(*axis))
        ends = {} if limits is None else {"lower": text(limits[0]), "upper": text(limits[1])}
        ET.SubElement(joint, "limit", {**ends, "effort": text(effort), "velocity": text(speed)})
        if damping or friction:
            ET.SubElement(joint, "dynamics", damping=text(damping), friction=text(friction))
        if follows is not None:
            ET.SubElement(joint, "mimic", joint=follows[0], multiplier=text(follows[1]), offset="0")

    def text(self, script: str) -> str:
        """The file, with the script that names its sources."""
        ET.indent(self.root)
        note = f"<!-- SPDX-License-Identifier: Apache-2.0. Made by assets/{script}, which names its sources. -->"
        return f'<?xml version="1.0"?>\n{note}\n{ET.tostring(self.root, encoding="unicode")}\n'


def write(files: dict[str, str]) -> None:
    """Write robots of these names."""
    for name, content in files.items():
        path = FOLDER / f"{name}.urdf"
        path.write_text(content, encoding="utf-8")
        print(path)
