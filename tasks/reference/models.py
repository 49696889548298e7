# SPDX-License-Identifier: Apache-2.0
"""The robots of the reference tasks: cart and pole, hopper, ant, by their published lengths, densities and joints."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simenv.geometry import Box, Capsule, Shape, Sphere
from simenv.geometry.mass import mass_properties
from simenv.robots import Fitted, Inertial, Joint, Link, Tree
from simenv.robots.poses import matrix

__all__ = ["LEGS", "SIDES", "ant", "cart_pole", "hopper"]

Vector = tuple[float, float, float]
UPRIGHT = (0.0, 0.0, 0.0, 1.0)
LEGS = ("front_left", "front_right", "back_left", "back_right")
SIDES = (1, -1, -1, 1), (1, 1, -1, -1)  # on which side of x and y they are, as the published file has it
BODY, LIMB, DARK = (0.80, 0.60, 0.40, 1.0), (0.72, 0.50, 0.32, 1.0), (0.35, 0.37, 0.42, 1.0)


def cart_pole() -> Tree:
    """A cart of 1 kg that slides along x, and a uniform thin rod of 0.1 kg and 1 m that stands on it and turns about y
    (Barto, Sutton and Anderson 1983).
    """
    mass, half = 0.1, 0.5
    across = mass * half**2 / 3.0
    rod = Inertial(mass, (0.0, 0.0, half), ((across, 0.0, 0.0), (0.0, across, 0.0), (0.0, 0.0, 0.0)))
    slide = Joint("slide", "prismatic", axis=(1.0, 0.0, 0.0))
    hinge = Joint("hinge", "revolute", axis=(0.0, 1.0, 0.0))
    cart = Fitted(Box((0.2, 0.12, 0.1)), color=DARK)
    pole = Fitted(Capsule(0.03, half - 0.03), (0.0, 0.0, half), color=BODY)
    return Tree(
        "cart_pole", (Link("cart", None, slide, Inertial(1.0), (cart,)), Link("pole", "cart", hinge, rod, (pole,)))
    )


def hopper() -> Tree:
    """A leg of four capsules of 1000 kg/m^3 that moves in the x-z plane (Erez, Tassa and Todorov 2011; Gymnasium)."""

    def turns(name: str, height: float, lower: float, upper: float) -> Joint:
        return _motor(f"{name}_joint", (0.0, 0.0, height), (0.0, -1.0, 0.0), lower, upper)

    def slides(name: str, axis: Vector, parent: str | None) -> Link:
        return Link(name, parent, Joint(f"root_{name}", "prismatic", axis=axis), hollow=True)

    def limb(name: str, parent: str, joint: Joint, start: Vector, end: Vector, radius: float) -> Link:
        return _limb(name, parent, joint, start, end, radius, 1000.0, LIMB)

    root = Joint("root_angle", "revolute", axis=(0.0, 1.0, 0.0))
    links = (
        slides("x", (1.0, 0.0, 0.0), None),
        slides("z", (0.0, 0.0, 1.0), "x"),
        _limb("torso", "z", root, (0.0, 0.0, -0.2), (0.0, 0.0, 0.2), 0.05, 1000.0, BODY),
        limb("thigh", "torso", turns("thigh", -0.2, -150.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, -0.45), 0.05),
        limb("leg", "thigh", turns("leg", -0.45, -150.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, -0.5), 0.04),
        limb("foot", "leg", turns("foot", -0.5, -45.0, 45.0), (-0.13, 0.0, 0.0), (0.26, 0.0, 0.0), 0.06),
    )
    return Tree("hopper", links, {"root_z": 1.25, "thigh_joint": 0.0, "leg_joint": 0.0})


def ant() -> Tree:
    """A ball with four legs of two joints, of 5 kg/m^3 (Schulman et al. 2015; Gymnasium). It stands in the posture that
    the published file names, ankles bent by 1 rad.
    """
    density = 5.0
    ball = Sphere(0.25)
    torso = Link(
        "torso", None, Joint("root", "free"), _solid(ball, density), (Fitted(ball, color=BODY),), (Fitted(ball),)
    )  # fmt: skip
    links, bent = [torso], {}
    for leg, x, y, sign in zip(LEGS, *SIDES, (1, -1, -1, 1), strict=True):
        zero, near = (0.0, 0.0, 0.0), (0.2 * x, 0.2 * y, 0.0)
        # feet of opposite legs bend about the same axis, and so with opposite signs
        axis = (-math.copysign(math.sqrt(0.5), x * y), math.sqrt(0.5), 0.0)
        hip = _motor(f"{leg}_hip", near, (0.0, 0.0, 1.0), -30.0, 30.0)
        ankle = _motor(f"{leg}_ankle", near, axis, *sorted((30.0 * sign, 70.0 * sign)))
        links += [
            _limb(f"{leg}_side", "torso", Joint(f"{leg}_mount"), zero, near, 0.08, density, BODY),
            _limb(f"{leg}_leg", "torso", hip, zero, near, 0.08, density, LIMB),
            _limb(f"{leg}_foot", f"{leg}_leg", ankle, zero, (0.4 * x, 0.4 * y, 0.0), 0.08, density, LIMB),
        ]
        bent[f"{leg}_ankle"] = float(sign)
    return Tree("ant", tuple(links), {"root": (0.0, 0.0, 0.75, *UPRIGHT), **bent})


def _motor(name: str, position: Vector, axis: Vector, lower: float, upper: float) -> Joint:
    """A hinge with the published damping and inertia of motors, and limits [degrees]."""
    limits = math.radians(lower), math.radians(upper)
    return Joint(name, "revolute", position, UPRIGHT, axis, *limits, damping=1.0, armature=1.0)


def _limb(
    name: str, parent: str, joint: Joint, start: Vector, end: Vector, radius: float, density: float,
    color: tuple[float, float, float, float],
) -> Link:  # fmt: skip
    """A link that is a solid capsule between the centres of its ends, in the link's frame [m]."""
    a, b = np.array(start), np.array(end)
    length = float(np.linalg.norm(b - a))
    x, y, z = (b - a) / length
    # the shortest turn of z to it; for what points down half a turn about x
    turn = np.array([-y, x, 0.0, 1.0 + z]) if z > -1.0 + 1e-12 else np.array([1.0, 0.0, 0.0, 0.0])
    turn /= np.linalg.norm(turn)
    middle, quaternion = tuple((0.5 * (a + b)).tolist()), tuple(turn.tolist())
    capsule = Capsule(radius, 0.5 * length)
    inertial = _solid(capsule, density, middle, quaternion)
    look = Fitted(capsule, middle, quaternion, color)
    return Link(name, parent, joint, inertial, (look,), (Fitted(capsule, middle, quaternion),))


def _solid(
    shape: Shape, density: float, centre: Sequence[float] = (0.0, 0.0, 0.0), turn: Sequence[float] = UPRIGHT
) -> Inertial:
    """What a shape of a density [kg/m^3] weighs, at a place and with a turn (xyzw) in the link's frame."""
    solid, axes = mass_properties(shape), matrix(np.asarray(turn))
    inertia = density * axes @ np.diag(solid.moments) @ axes.T
    rows = tuple(tuple(row) for row in (0.5 * (inertia + inertia.T)).tolist())
    return Inertial(density * solid.volume, tuple(centre), rows)  # type: ignore[arg-type]
