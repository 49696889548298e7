# SPDX-License-Identifier: Apache-2.0
"""A tree of joints as kernels read it: its moving links, in order, with what is fixed to them made part of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simenv.errors import AssetError
from simenv.physics.bodies.tree import KINDS, Inertial, Joint, Tree

__all__ = ["KIND_NUMBERS", "Frame", "Table", "inertial_vector", "positions_of_rates", "table"]

KIND_NUMBERS = {"revolute": 0, "prismatic": 1, "planar": 2, "ball": 3, "free": 4}


@dataclass(frozen=True)
class Frame:
    """Where a link of the file is: on which moving link (-1: on the world), and its pose in that link's frame, or in
    the world [m, xyzw].
    """

    link: int
    position: np.ndarray
    quaternion: np.ndarray


@dataclass(frozen=True)
class Table:
    """The L moving links of a tree, each after its parent, their nq positions and nv rates.

    Attributes:
        links, joints: names of the moving links and of their joints.
        rates: name of every rate: of its joint, with ``.0``, ``.1`` ... where that has several.
        parent: number of the moving link that carries each, -1 for the world, (L,) int.
        kind: `KIND_NUMBERS` of the joints, (L,) int.
        place, turn: of the joint's frame in that of the parent (or in the world), (L, 3) [m] and (L, 4) xyzw.
        axis: in the joint's frame, (L, 3).
        q_start, v_start: first position and rate of each, and after the last their numbers, (L + 1,) int.
        inertial: (L, 10), see `inertial_vector`.
        lower, upper: limits of the rates' positions, infinite for balls and free joints, (nv,) [rad or m].
        effort, speed, damping, friction, armature: of each rate, (nv,).
        frames: of every link of the file, by name.
        posture: positions (nq,).
        lead_positions, lead_rates: numbers of those of joints that follow none, (ny,) and (nu,) int.
        gear, gear_offset: positions of all joints from these, q = gear @ y + gear_offset, (nq, ny) and (nq,).
        rate_gear: v = rate_gear @ u, (nv, nu).
    """

    links: tuple[str, ...]
    joints: tuple[str, ...]
    rates: tuple[str, ...]
    parent: np.ndarray
    kind: np.ndarray
    place: np.ndarray
    turn: np.ndarray
    axis: np.ndarray
    q_start: np.ndarray
    v_start: np.ndarray
    inertial: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    effort: np.ndarray
    speed: np.ndarray
    damping: np.ndarray
    friction: np.ndarray
    armature: np.ndarray
    frames: Mapping[str, Frame]
    posture: np.ndarray
    lead_positions: np.ndarray
    lead_rates: np.ndarray
    gear: np.ndarray
    gear_offset: np.ndarray
    rate_gear: np.ndarray

    @property
    def positions(self) -> int:
        """nq."""
        return int(self.q_start[-1])

    def __len__(self) -> int:
        return len(self.links)


def positions_of_rates(made: Table) -> np.ndarray:
    """Number of the position whose derivative each rate is, (nv,) int; -1 for those of balls and free joints."""
    out = np.full(int(made.v_start[-1]), -1)
    for i in range(len(made)):
        q, v = int(made.q_start[i]), int(made.v_start[i])
        count = int(made.v_start[i + 1]) - v
        if int(made.q_start[i + 1]) - q == count:
            out[v : v + count] = np.arange(q, q + count)
    return out


def inertial_vector(mass: float, centre: Any, inertia: Any) -> np.ndarray:
    """The ten numbers that dynamics is linear in: mass, mass times centre (3), and the inertia about the origin of the
    frame, xx, yy, zz, xy, xz, yz, from mass [kg], centre (3,) [m] and inertia about it (3, 3) [kg m^2].
    """
    c = np.asarray(centre, dtype=np.float64)
    about = np.asarray(inertia, dtype=np.float64) + mass * (c @ c * np.eye(3) - np.outer(c, c))
    pairs = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    return np.array([mass, *(mass * c), *(about[pair] for pair in pairs)])


def _matrix(q: np.ndarray) -> np.ndarray:
    x, y, z, w = q / np.linalg.norm(q)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    return np.array([*vector, a[3] * b[3] - a[:3] @ b[:3]])


def _moved(inertial: Inertial, frame: Frame) -> np.ndarray:
    """The ten numbers of a link in the frame of the moving link that it is part of."""
    turn = _matrix(frame.quaternion)
    centre = frame.position + turn @ np.asarray(inertial.centre, dtype=np.float64)
    return inertial_vector(inertial.mass, centre, turn @ np.asarray(inertial.inertia, dtype=np.float64) @ turn.T)


def _rest(joint: Joint, given: Any) -> np.ndarray:
    """Positions of a joint at the start."""
    count = KINDS[joint.kind].positions
    if given is not None:
        values = np.atleast_1d(np.asarray(given, dtype=np.float64))
        if values.shape != (count,) or not np.isfinite(values).all():
            raise AssetError(f"posture: {joint.name} is {given}; a {joint.kind} joint needs {count} finite numbers")
        return values
    if joint.kind in ("ball", "free"):
        return np.array([0.0] * (count - 1) + [1.0])
    bounded = np.isfinite(joint.lower) and np.isfinite(joint.upper)
    return np.full(count, 0.5 * (joint.lower + joint.upper) if bounded else min(max(joint.lower, 0.0), joint.upper))


def _is_singular(joint: Joint, ten: np.ndarray) -> bool:
    """Whether nothing resists some motion of a joint that carries no other: of a point in its axis, for instance."""
    if joint.armature > 0.0 or joint.kind == "prismatic":
        return False
    xx, yy, zz, xy, xz, yz = ten[4:]
    about = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    if joint.kind in ("planar", "free"):  # the rest of the motion is a choice of the point that the turn is about
        centre = ten[1:4] / ten[0]
        about = about - ten[0] * (centre @ centre * np.eye(3) - np.outer(centre, centre))
    axis = np.asarray(joint.axis)
    least = axis @ about @ axis if joint.kind in ("revolute", "planar") else np.linalg.eigvalsh(about)[0]
    size = max(np.trace(about), ten[1:4] @ ten[1:4] / ten[0])
    return bool(least <= 1e-12 * size)


def _gears(joints: list[Joint], q_start: np.ndarray, v_start: np.ndarray) -> tuple[np.ndarray, ...]:
    """Which positions and rates follow none, and the maps from these to all."""
    nq, nv = int(q_start[-1]), int(v_start[-1])
    number = {joint.name: index for index, joint in enumerate(joints)}
    gear, offset, rates = np.eye(nq), np.zeros(nq), np.eye(nv)
    leads_q, leads_v = np.ones(nq, dtype=bool), np.ones(nv, dtype=bool)
    for index, joint in enumerate(joints):
        if joint.mimic is not None:
            leader, q, v = number[joint.mimic.leader], int(q_start[index]), int(v_start[index])
            gear[q], rates[v] = 0.0, 0.0
            gear[q, q_start[leader]] = rates[v, v_start[leader]] = joint.mimic.ratio
            offset[q] = joint.mimic.offset
            leads_q[q] = leads_v[v] = False
    return leads_q.nonzero()[0], leads_v.nonzero()[0], gear[:, leads_q], offset, rates[:, leads_v]


def table(tree: Tree) -> Table:
    """The moving links of a tree.

    Raises:
        AssetError: nothing moves in the tree, its posture does not fit it, or a joint at a tip moves a link without
            inertia, so that no acceleration follows from a torque.
    """
    frames: dict[str, Frame] = {}
    moving, parents, places, turns, inertials = [], [], [], [], []
    world = Frame(-1, np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))
    for link in tree.links:
        on = world if link.parent is None else frames[link.parent]
        turn = np.asarray(link.joint.quaternion, dtype=np.float64)
        place = on.position + _matrix(on.quaternion) @ np.asarray(link.joint.position, dtype=np.float64)
        here = Frame(on.link, place, _product(on.quaternion, turn / np.linalg.norm(turn)))
        if link.joint.kind != "fixed":
            parents.append(on.link)
            places.append(here.position)
            turns.append(here.quaternion)
            here = Frame(len(moving), world.position, world.quaternion)
            moving.append(link)
            inertials.append(np.zeros(10))
        frames[link.name] = here
        if link.inertial is not None and here.link >= 0:
            inertials[here.link] += _moved(link.inertial, here)
    if not moving:
        raise AssetError(f"robot {tree.name!r} has no joint that moves")
    for number, link in enumerate(moving):
        if number not in parents and _is_singular(link.joint, inertials[number]):
            raise AssetError(
                f"robot {tree.name!r}, link {link.name!r} on joint {link.joint.name!r}: the joint moves a mass of "
                f"{inertials[number][0]:g} kg without inertia against its motion; give it an inertia, or an armature"
            )
    joints = [link.joint for link in moving]
    q_start = np.cumsum([0, *(KINDS[joint.kind].positions for joint in joints)])
    v_start = np.cumsum([0, *(KINDS[joint.kind].rates for joint in joints)])

    def each(name: str) -> np.ndarray:
        return np.concatenate([np.full(KINDS[joint.kind].rates, getattr(joint, name)) for joint in joints])

    single = np.array([KINDS[joint.kind].positions == 1 for joint in joints for _ in range(KINDS[joint.kind].rates)])
    names = [
        joint.name if KINDS[joint.kind].rates == 1 else f"{joint.name}.{k}"
        for joint in joints
        for k in range(KINDS[joint.kind].rates)
    ]
    rest = np.concatenate([_rest(joint, tree.posture.get(joint.name)) for joint in joints])
    gears = _gears(joints, q_start, v_start)
    return Table(
        tuple(link.name for link in moving), tuple(joint.name for joint in joints), tuple(names),
        np.array(parents), np.array([KIND_NUMBERS[joint.kind] for joint in joints]), np.array(places), np.array(turns),
        np.array([joint.axis for joint in joints]), q_start, v_start, np.array(inertials),
        np.where(single, each("lower"), -np.inf), np.where(single, each("upper"), np.inf), each("effort"),
        each("speed"), each("damping"), each("friction"), each("armature"), frames,
        gears[2] @ rest[gears[0]] + gears[3], *gears,
    )  # fmt: skip
