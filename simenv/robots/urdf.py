# SPDX-License-Identifier: Apache-2.0
"""URDF into a `Tree`, in double precision: every number is what the file says."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from simenv.errors import AssetError
from simenv.geometry.shapes import Box, Capsule, Cylinder, Shape, Sphere
from simenv.physics.bodies.tree import INF, Fitted, Inertial, Joint, Link, Mimic, Tree
from simenv.robots.document import Document, led, planted, repaired
from simenv.robots.meshes import Packages, find_mesh, mesh_shape
from simenv.robots.poses import Pose, matrix

__all__ = ["GREY", "read_urdf"]

KINDS = {
    "fixed": "fixed", "revolute": "revolute", "continuous": "revolute", "prismatic": "prismatic", "planar": "planar",
    "floating": "free",
}  # fmt: skip
MOMENTS = ("xx", "yy", "zz", "xy", "xz", "yz")
GREY = (0.7, 0.7, 0.72, 1.0)
Color = tuple[float, float, float, float]


def read_urdf(
    document: Document, base: str = "fixed", packages: Packages | None = None, repair: bool = False
) -> Tree:  # fmt: skip
    """A tree of a URDF file.

    The link that nothing carries is the root; what holds it to the world is called after it, ``"<root>_base"``. A root
    without mass, such as ``base_link``, is moved with what is fixed to it, and the pose of a free base is that of the
    root's frame. A ``floating`` joint may only hang on the root, which then stands in the world: where it is empty and
    carries nothing else, it is left out. The joint's origin is where the robot starts.

    Limits: without ``lower`` and ``upper`` a joint has none; where one of the two is missing, it is 0. An effort or a
    velocity of 0, as exporters write where they know none, is no limit. Transmissions, calibration and safety
    controllers are left out.

    Args:
        document: the file.
        base: ``"fixed"``, ``"free"``, or ``"planar"``, along x and y of the world and about z.
        packages: folders of ``package://NAME``; else they are looked for in the folders above the file.
        repair: raise impossible principal moments of inertia to possible ones, with a warning.

    Returns:
        The tree.

    Raises:
        AssetError: something in the file cannot be used; with its line.
    """
    return _Reader(document, packages, repair).tree(base)


class _Reader:
    def __init__(self, document: Document, packages: Packages | None, repair: bool):
        self.document, self.packages, self.repair = document, packages, repair
        root = document.root
        if root.tag != "robot":
            raise document.refusal(root, "a URDF starts with <robot>")
        for element in root.iter():
            if element.tag.startswith("xacro:"):
                raise document.refusal(element, "this is a template; make a URDF of it with `xacro FILE > robot.urdf`")
        self.colors = {
            material.get("name"): document.numbers(color, "rgba", GREY)
            for material in root.iter("material")
            for color in material.findall("color")
        }
        self.links = self._named("link")
        self.joints = self._named("joint")
        self.above = self._carriers()
        self.mimics = self._mimics()

    def _named(self, tag: str) -> dict[str, ET.Element]:
        out: dict[str, ET.Element] = {}
        for element in self.document.root.findall(tag):
            name = self.document.attribute(element, "name")
            if name in out:
                line = self.document.line(out[name])
                raise self.document.refusal(element, f"line {line} has a {tag} of that name already; rename one")
            out[name] = element
        return out

    def _carriers(self) -> dict[str, ET.Element]:
        """The joint that carries each link."""
        above: dict[str, ET.Element] = {}
        for joint in self.joints.values():
            for end in ("parent", "child"):
                link = self._end(joint, end)
                if link not in self.links:
                    raise self.document.refusal(joint, f"its {end} is {link!r}, which is no link of the file")
            if link in above:
                raise self.document.refusal(
                    joint, f"it carries {link!r}, as {above[link].get('name')!r} does; loops of links cannot be read"
                )
            above[link] = joint
        return above

    def _end(self, joint: ET.Element, end: str) -> str:
        return self.document.attribute(self.document.child(joint, end), "link")

    # ------------------------------------------------------------------------------------------------ the whole

    def tree(self, base: str) -> Tree:
        document = self.document
        roots = [name for name in self.links if name not in self.above]
        if len(roots) != 1:
            named = ", ".join(map(repr, roots)) or "none"
            raise document.refusal(document.root, f"one link must hang on no other; these do: {named}")
        root, posture = roots[0], {}
        links = [self._link(name) for name in self.links]
        floating = [joint for joint in self.joints.values() if joint.get("type") == "floating"]
        if floating:
            links, posture = self._afloat(links, root, floating, base)
        elif base != "fixed":
            links = [_held(link, Joint(f"{root}_base", base)) if link.name == root else link for link in links]
        where = {name: document.where(element) for name, element in (*self.joints.items(), *self.links.items())}
        return planted(document.root.get("name") or document.file.stem, links, posture, where, document.file)

    def _afloat(
        self, links: list[Link], root: str, floating: list[ET.Element], base: str
    ) -> tuple[list[Link], dict[str, Any]]:
        """Links of a robot whose file says that it floats, that one first, and where it starts."""
        joint = floating[0]
        if len(floating) > 1 or self._end(joint, "parent") != root:
            raise self.document.refusal(
                floating[-1], f"a floating joint must be the only one, and hang on the root {root!r}; change its type"
            )
        if base == "planar":
            raise self.document.refusal(joint, "base='planar', but the file lets the robot float; use base='free'")
        child = self._end(joint, "child")
        first = next(link for link in links if link.name == child)
        rest = [link for link in links if link is not first]
        stays = next(link for link in rest if link.name == root)
        if not (stays.inertial or stays.looks or stays.collisions or any(link.parent == root for link in rest)):
            rest.remove(stays)
        place, quaternion = self._origin(joint).tuples()
        name = first.joint.name
        return [_held(first, Joint(name, "free")), *rest], {name: (*place, *quaternion)}

    def _link(self, name: str) -> Link:
        element, carrier = self.links[name], self.above.get(name)
        if carrier is None:
            joint, parent = Joint(f"{name}_base"), None
        else:
            joint, parent = self._joint(carrier), self._end(carrier, "parent")
        looks, collisions = ([self._fitted(each) for each in element.findall(t)] for t in ("visual", "collision"))
        return Link(name, parent, joint, self._inertial(element), tuple(looks), tuple(collisions))

    def _origin(self, element: ET.Element) -> Pose:
        origin = element.find("origin")
        place, angles = (self.document.numbers(origin, each, (0.0, 0.0, 0.0)) for each in ("xyz", "rpy"))
        return Pose.rpy(place, angles)

    # ------------------------------------------------------------------------------------------------- joints

    def _joint(self, element: ET.Element) -> Joint:
        document, name = self.document, self.document.attribute(element, "name")
        kind = element.get("type")
        if kind not in KINDS:
            raise document.refusal(
                element, f"a joint is {', '.join(KINDS)}, not {kind!r}; a ball is three revolute joints, or MJCF's"
            )
        limit, dynamics = element.find("limit"), element.find("dynamics")
        effort, speed = (document.number(limit, each, 0.0) or INF for each in ("effort", "velocity"))
        given = limit is not None and ("lower" in limit.attrib or "upper" in limit.attrib)
        lower, upper = -INF, INF
        if given and kind in ("revolute", "prismatic"):
            lower, upper = (document.number(limit, each, 0.0) for each in ("lower", "upper"))
        place, quaternion = self._origin(element).tuples()
        return Joint(
            name, KINDS[kind], place, quaternion, self._axis(element), lower, upper, effort, speed,
            document.number(dynamics, "damping", 0.0), document.number(dynamics, "friction", 0.0),
            mimic=self.mimics.get(name),
        )  # fmt: skip

    def _axis(self, element: ET.Element) -> tuple[float, float, float]:
        found = element.find("axis")
        axis = np.array(self.document.numbers(found, "xyz", (1.0, 0.0, 0.0)))
        length = np.linalg.norm(axis)
        if found is not None and not length > 0.0:
            raise self.document.refusal(found, "xyz is zero and has no direction; give it one, such as '0 0 1'")
        return tuple((axis / length + 0.0).tolist())

    def _mimics(self) -> dict[str, Mimic]:
        """Of the joints that follow another."""
        read = {}
        for name, joint in self.joints.items():
            mimic = joint.find("mimic")
            if mimic is not None:
                ratio, offset = (self.document.number(mimic, *each) for each in (("multiplier", 1.0), ("offset", 0.0)))
                read[name] = Mimic(self.document.attribute(mimic, "joint"), ratio, offset)
        try:
            return led(read)
        except AssetError as error:
            raise AssetError(f"{self.document.file}: {error}") from error

    # ------------------------------------------------------------------------------------------------- links

    def _inertial(self, link: ET.Element) -> Inertial | None:
        element = link.find("inertial")
        if element is None:
            return None
        document, name = self.document, link.get("name")
        for tag, missing in (("mass", "its mass"), ("inertia", "its inertia")):
            if element.find(tag) is None:
                raise document.refusal(element, f"link {name!r}: it has no <{tag}>; give {missing}, or no inertial")
        mass = document.child(element, "mass")
        document.attribute(mass, "value")
        inertia = document.child(element, "inertia")
        xx, yy, zz, xy, xz, yz = (document.number(inertia, f"i{each}", 0.0) for each in MOMENTS)
        pose = self._origin(element)
        turn = matrix(pose.quaternion)
        about = turn @ np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) @ turn.T
        rows = tuple(map(tuple, (0.5 * (about + about.T)).tolist()))
        inertial = Inertial(document.number(mass, "value", 0.0), pose.tuples()[0], rows)
        return repaired(inertial, document.where(link)) if self.repair else inertial

    def _fitted(self, element: ET.Element) -> Fitted:
        """A visual or a collision."""
        place, quaternion = self._origin(element).tuples()
        color: Any = None
        if element.tag == "visual":
            material = element.find("material")
            color = GREY if material is None else self._color(material)
        return Fitted(self._shape(self.document.child(element, "geometry")), place, quaternion, color)

    def _color(self, material: ET.Element) -> Color:
        own = material.find("color")
        found = self.colors.get(material.get("name"), GREY) if own is None else self.document.numbers(own, "rgba", GREY)
        return found  # type: ignore[return-value]

    def _shape(self, geometry: ET.Element) -> Shape:
        document = self.document
        if len(geometry) != 1:
            raise document.refusal(geometry, f"it holds {len(geometry)} shapes; give it one")
        (element,) = geometry
        size = {name: document.number(element, name, 0.0) for name in ("radius", "length", "height")}
        half = 0.5 * (size["length"] or size["height"])  # of a capsule: of the part between its half balls
        try:
            if element.tag == "box":
                x, y, z = document.numbers(element, "size", (0.0, 0.0, 0.0))
                return Box((0.5 * x, 0.5 * y, 0.5 * z))
            if element.tag == "sphere":
                return Sphere(size["radius"])
            if element.tag == "cylinder":
                return Cylinder(size["radius"], half)
            if element.tag == "capsule":
                return Capsule(size["radius"], half)
            if element.tag == "mesh":
                file = find_mesh(document.attribute(element, "filename"), document.file, self.packages)
                return mesh_shape(file, document.numbers(element, "scale", (1.0, 1.0, 1.0)))
        except ValueError as error:
            raise document.refusal(element, str(error)) from error
        raise document.refusal(element, "a shape is box, sphere, cylinder, capsule or mesh")


def _held(link: Link, joint: Joint) -> Link:
    """The same link, held to the world by another joint."""
    return Link(link.name, None, joint, link.inertial, link.looks, link.collisions)
