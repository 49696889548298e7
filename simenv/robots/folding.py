# SPDX-License-Identifier: Apache-2.0
"""Which links of one robot touch each other."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator

import numpy as np

from simenv.geometry.shapes import Capsule, Shape
from simenv.physics.bodies.contacts import sampled
from simenv.physics.bodies.table import Table
from simenv.physics.bodies.tree import Fitted, Link, Tree
from simenv.robots.placed import start_poses
from simenv.robots.poses import Pose

__all__ = ["folding_pairs"]

ALONG = 33  # balls along a capsule


def folding_pairs(tree: Tree, made: Table, name: str) -> frozenset[frozenset[str]]:
    """Pairs of links that may touch: all that move against each other, but for neighbours, those that the file excludes
    and, with a warning, those that overlap where the robot starts.

    Args:
        tree: the robot.
        made: its table.
        name: of it, for the warning.
    """
    part = {link.name: made.frames[link.name].link for link in tree.links}
    above = {link.name: link for link in tree.links}
    poses = start_poses(tree, made)

    def carrier(link: Link) -> int:
        # the part that carries that of a link, past those that are but places between joints
        number, each = part[link.name], link
        while each.parent is not None:
            each = above[each.parent]
            if part[each.name] != number and not each.hollow:
                return part[each.name]
        return -1

    found, through = set(), []
    solid = [link for link in tree.links if any(each.kind or each.meets for each in link.collisions)]
    for a, b in itertools.combinations(solid, 2):
        pair = frozenset((a.name, b.name))
        numbers = part[a.name], part[b.name]
        held = numbers[0] == numbers[1] or carrier(a) == numbers[1] or carrier(b) == numbers[0]
        if held or pair in tree.apart or not any(True for _ in _meeting(a, b)):
            continue
        deepest = min(_gap(one, other, poses[a.name], poses[b.name]) for one, other in _meeting(a, b))
        if deepest < 0.0:
            through.append(f"{a.name} and {b.name} by {-1e3 * deepest:.2g} mm")
        else:
            found.add(pair)
    if through:
        warnings.warn(
            f"robot {name!r}: links overlap where it starts and pass through each other: {'; '.join(through)}; mend "
            "their shapes, start in another posture, or exclude them in the file", stacklevel=4,
        )  # fmt: skip
    return frozenset(found)


def _meeting(a: Link, b: Link) -> Iterator[tuple[Fitted, Fitted]]:
    for one, other in itertools.product(a.collisions, b.collisions):
        if one.kind & other.meets or other.kind & one.meets:
            yield one, other


def _gap(one: Fitted, other: Fitted, at: Pose, by: Pose) -> float:
    """How far two shapes are apart [m], by points of each in the distance of the other; at most a step of these."""
    places = [each @ Pose.of(fitted.position, fitted.quaternion) for each, fitted in ((at, one), (by, other))]
    least = np.inf
    for first, second, there in ((one, other, places[1].inverse() @ places[0]),
                                 (other, one, places[0].inverse() @ places[1])):  # fmt: skip
        offsets, radius = _balls(first.shape, second.shape)
        if len(offsets):
            points = np.array([there.point(each) for each in offsets])
            least = min(least, float(second.shape.signed_distance(points).min()) - radius)
    return least


def _balls(shape: Shape, target: Shape) -> tuple[np.ndarray, float]:
    """As `sampled`, and of capsules balls all along."""
    if isinstance(shape, Capsule):
        heights = np.linspace(-shape.half_height, shape.half_height, ALONG)
        return np.stack([0.0 * heights, 0.0 * heights, heights], -1), shape.radius
    return sampled(shape, target)
