# SPDX-License-Identifier: Apache-2.0
"""Linkages in the plane of x and z, whose angles are from x towards z, and their positions by plane trigonometry."""

import numpy as np

from simenv.robots import Inertial, Joint, Link, Loop, Tree

AXIS = (0.0, -1.0, 0.0)
SIDES = (0.4, 0.1, 0.35, 0.3)  # ground, crank, coupler, rocker [m]: Grashof's, the crank goes round


def bar(length, mass=1.0):
    """A thin bar along x, from its joint."""
    about = mass * length**2 / 12
    return Inertial(mass, (0.5 * length, 0.0, 0.0), ((1e-4 * mass, 0, 0), (0, about, 0), (0, 0, about)))


def four_bar(crank=0.7, sides=SIDES, masses=(0.5, 1.0, 0.8), damping=0.0):
    """Crank and coupler hang on each other, the rocker on the ground, and coupler and rocker meet."""
    ground, a, b, c = sides
    links = (
        Link("crank", None, Joint("j2", "revolute", axis=AXIS, damping=damping), bar(a, masses[0])),
        Link("coupler", "crank", Joint("j3", "revolute", (a, 0.0, 0.0), axis=AXIS), bar(b, masses[1])),
        Link("rocker", None, Joint("j4", "revolute", (ground, 0.0, 0.0), axis=AXIS), bar(c, masses[2])),
    )
    posture = {} if crank is None else {"j2": crank}
    return Tree("four-bar", links, posture, (Loop("tip", "coupler", "rocker", (b, 0.0, 0.0), (c, 0.0, 0.0)),))


def freudenstein(crank, rocker, sides=SIDES):
    """What Freudenstein's equation leaves, [1]."""
    d, a, b, c = sides
    k1, k2, k3 = d / a, d / c, (a**2 - b**2 + c**2 + d**2) / (2 * a * c)
    return k1 * np.cos(rocker) - k2 * np.cos(crank) + k3 - np.cos(crank - rocker)


def angles(crank, branch, sides=SIDES):
    """Angles of coupler and rocker against x, by the two circles that meet at the tip."""
    d, a, b, c = sides
    x, z = a * np.cos(crank) - d, a * np.sin(crank)  # crank's tip, from the foot of the rocker
    far = np.hypot(x, z)
    rocker = np.arctan2(z, x) + branch * np.arccos((far**2 + c**2 - b**2) / (2 * far * c))
    return np.arctan2(c * np.sin(rocker) - z, c * np.cos(rocker) - x), rocker


def parallelogram(length, width, masses, angle):
    """Two equal cranks that hang on the ground and a bar between them."""
    crank, over = bar(length, masses[0]), bar(width, masses[1])
    links = (
        Link("left", None, Joint("left", "revolute", axis=AXIS), crank),
        Link("bar", "left", Joint("bar", "revolute", (length, 0.0, 0.0), axis=AXIS), over),
        Link("right", None, Joint("right", "revolute", (width, 0.0, 0.0), axis=AXIS), crank),
    )
    hang = -np.pi / 2 + angle
    posture = {"left": hang, "bar": -hang, "right": hang}
    loop = Loop("corner", "bar", "right", (width, 0.0, 0.0), (length, 0.0, 0.0))
    return Tree("parallelogram", links, posture, (loop,))
