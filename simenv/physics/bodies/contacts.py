# SPDX-License-Identifier: Apache-2.0
"""Which bodies of a scene may touch, at which points, and by which law: the fixed slots of rigid contact."""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simenv.geometry.shapes import Box, Capsule, Cylinder, Plane, Shape, Sphere
from simenv.physics import checks
from simenv.physics.bodies.kernels_boxes import BOX_POINTS
from simenv.physics.bodies.kernels_rods import BOX_EDGES

__all__ = ["Geom", "RigidContact", "Slots", "slots"]

Vector = tuple[float, ...]
ROUND = 0.05  # radius of balls in the corners of boxes that meet others, over the least half extent
RIM = 12  # points of the rim of a cylinder
MOST = 96  # points of a mesh, or of a capsule


@dataclass(frozen=True)
class RigidContact:
    """The law of contact of two rigid bodies (`simenv.physics.bodies.kernels_law`).

    Attributes:
        stiffness: of each point [N/m]; it is taken as at most what makes a contact last for a tick, which the default
            does: near rigid.
        relaxation: damping over stiffness [s], Kelvin and Voigt's, of contact that rests; None is ten ticks.
        dissipation: of Hunt and Crossley [s/m]; no body leaves a contact faster than one over it, by default 1 cm/s.
        friction: Coulomb's coefficient.
        shear: stiffness along the surface, with which friction holds, over that along the normal.
        restitution: speed with which what meets leaves, over that with which it came; what leaves slower than about ten
            ticks times 1 m/s^2 is damped as what rests.
        rolling: resistance to rolling [m], a moment over the normal force; spinning: to turning about the normal.
        sigma: how much friction yields: what sticks creeps at sigma dt over the body's inertia times the force.
        width: how far from the surface contact begins, which is smeared over twice that [m].
    """

    stiffness: float = 1e12
    relaxation: float | None = None
    dissipation: float = 100.0
    friction: float = 0.5
    shear: float = 1.0
    restitution: float = 0.0
    rolling: float = 0.0
    spinning: float = 0.0
    sigma: float = 0.0
    width: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: one is negative, not finite, a stiffness is zero, or a restitution above one.
        """
        checks.numbers("RigidContact", True, stiffness=self.stiffness, shear=self.shear)
        checks.numbers("RigidContact", dissipation=self.dissipation, friction=self.friction)
        checks.numbers("RigidContact", restitution=self.restitution, rolling=self.rolling, spinning=self.spinning)
        checks.numbers("RigidContact", sigma=self.sigma, width=self.width)
        if self.restitution > 1.0:
            raise ValueError(
                f"RigidContact: restitution={self.restitution} must be at most 1, with which nothing is lost"
            )
        if self.relaxation is not None:
            checks.numbers("RigidContact", relaxation=self.relaxation)

    def numbers(self, dt: float) -> dict[str, float]:
        """Its ten numbers, in the order of the kernels; `dt`: of a tick [s]."""
        relaxation = 10.0 * dt if self.relaxation is None else self.relaxation
        return {
            "stiffness": self.stiffness, "relaxation": relaxation, "dissipation": self.dissipation,
            "friction": self.friction, "shear": self.shear, "restitution": self.restitution, "rolling": self.rolling,
            "spinning": self.spinning, "sigma": self.sigma, "width": self.width,
        }  # fmt: skip


@dataclass(frozen=True)
class Geom:
    """A shape on a body, at a place [m] and quaternion xyzw in its frame. Those of one robot touch where bits of the
    `kind` of either are among those that the other `meets`.
    """

    body: str
    shape: Shape
    position: Vector = (0.0, 0.0, 0.0)
    quaternion: Vector = (0.0, 0.0, 0.0, 1.0)
    kind: int = 1
    meets: int = 1

    def ball(self) -> tuple[np.ndarray, float]:
        """Centre in the body's frame (3,) [m] and radius [m] of a ball about it."""
        if isinstance(self.shape, Plane):
            return np.zeros(3), math.inf
        low, high = self.shape.bounds()
        return self.place(0.5 * (low + high)[None])[0], 0.5 * float(np.linalg.norm(high - low))

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 3) of the shape's frame in the body's."""
        vector, w = np.array(self.quaternion[:3]), self.quaternion[3]
        twice = 2.0 * np.cross(vector, points)
        return points + w * twice + np.cross(vector, twice) + np.array(self.position)


@dataclass(frozen=True)
class Slots:
    """C slots of P pairs of shapes (kernels_collide.Contacts).

    Attributes:
        a, b: names of the bodies of each slot; offset, radius: point on a (C, 3), and of the ball about it (C,).
        shape: number of the shape on b (C,) in `shapes`; place, turn: of it there.
        pair: of each slot (C,); pairs: bodies of each; balls: centre and radius on both, of each.
        law: number in `laws` of each slot, (C,).
        rim: radius of a circle about the offset, of which the lowest point counts, 0 for none; axis: of it, in a's
        frame. own: number of the shape on a of two whose points have a closed form, -1 of a point; own_turn: of it
        there, at the offset. laws: by name of their parameters.
    """

    a: list[str] = field(default_factory=list)
    b: list[str] = field(default_factory=list)
    offset: list[np.ndarray] = field(default_factory=list)
    radius: list[float] = field(default_factory=list)
    shape: list[int] = field(default_factory=list)
    place: list[Vector] = field(default_factory=list)
    turn: list[Vector] = field(default_factory=list)
    pair: list[int] = field(default_factory=list)
    law: list[int] = field(default_factory=list)
    rim: list[float] = field(default_factory=list)
    axis: list[Vector] = field(default_factory=list)
    own: list[int] = field(default_factory=list)
    own_turn: list[Vector] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    balls: list[tuple[np.ndarray, float, np.ndarray, float]] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    laws: dict[str, RigidContact] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.a)

    def number(self, shape: Shape) -> int:
        """Of a shape, which is added where it is new."""
        if shape not in self.shapes:
            self.shapes.append(shape)
        return self.shapes.index(shape)

    def add(
        self, points: Geom, target: Geom, offset: np.ndarray, radius: float, law: int, rim: float = 0.0,
        whole: bool = False,
    ) -> None:  # fmt: skip
        """Add a slot of the next pair: a point (3,) [m] on the body of one shape, or a ball or a circle about it, on
        another; or one of those that have a closed form of the `whole` shapes.
        """
        self.own.append(self.number(points.shape) if whole else -1)
        self.own_turn.append(points.quaternion)
        self.rim.append(rim)
        self.axis.append(
            tuple((points.place(np.array([[0.0, 0.0, 1.0]])) - points.place(np.zeros((1, 3))))[0].tolist())
        )
        self.a.append(points.body)
        self.b.append(target.body)
        self.offset.append(offset)
        self.radius.append(radius)
        self.shape.append(self.number(target.shape))
        self.place.append(target.position)
        self.turn.append(target.quaternion)
        self.pair.append(len(self.pairs))
        self.law.append(law)

    def close(self, points: Geom, target: Geom) -> None:
        """End a pair, whose slots have been added."""
        self.pairs.append((points.body, target.body))
        self.balls.append((*points.ball(), *target.ball()))


def slots(
    geoms: Sequence[Geom], moving: Iterable[str], groups: Mapping[str, str], folding: Container[frozenset[str]],
    passing: Iterable[frozenset[str]],
    usual: RigidContact, special: Mapping[frozenset[str], RigidContact],
) -> Slots:  # fmt: skip
    """The slots of all pairs of shapes that may touch.

    Args:
        geoms: shapes of the scene.
        moving: bodies that contact moves; of a pair at least one must be.
        groups: of bodies that do not touch each other, such as the links of a robot.
        folding: pairs of a group that do.
        passing: pairs of bodies, or of groups, that may pass through each other.
        usual: law of contact.
        special: laws of pairs of bodies or groups.
    """
    found = Slots(laws={"rigid": usual, **{"|".join(sorted(pair)): law for pair, law in special.items()}})
    names, moved, free = list(found.laws), set(moving), set(passing)
    # those of a shape that comes later come later, so that what is added to a scene changes no slot
    for one, other in ((geoms[i], geoms[j]) for j in range(len(geoms)) for i in range(j)):
        group = groups.get(one.body, one.body), groups.get(other.body, other.body)
        kinds = [frozenset(each) for each in itertools.product((one.body, group[0]), (other.body, group[1]))]
        apart = group[0] == group[1] and (
            frozenset((one.body, other.body)) not in folding or not (one.kind & other.meets or other.kind & one.meets)
        )
        if apart or not {one.body, other.body} & moved or any(kind in free for kind in kinds):
            continue
        law = next((names.index("|".join(sorted(kind))) for kind in kinds if kind in special), 0)
        if not isinstance(one.shape, Capsule) and isinstance(other.shape, Capsule):
            one, other = other, one
        count = _closed(one.shape, other.shape)
        if count:
            for _ in range(count):
                found.add(one, other, np.array(one.position), 0.0, law, whole=True)
            found.close(one, other)
        for points, target in ((one, other), (other, one)):
            if isinstance(points.shape, Box) and isinstance(target.shape, Box):
                continue
            offsets, radius = sampled(points.shape, target.shape)
            if not len(offsets):
                continue
            for offset in points.place(offsets):
                found.add(points, target, offset, radius, law)
            if isinstance(points.shape, Cylinder) and isinstance(target.shape, Plane):  # which rolls
                ends = np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]]) * points.shape.half_height
                for centre in points.place(ends):
                    found.add(points, target, centre, 0.0, law, points.shape.radius)
            found.close(points, target)
    return found


def _closed(shape: Shape, target: Shape) -> int:
    """How many points of two shapes have a closed form beside those of `sampled`."""
    if isinstance(shape, Box) and isinstance(target, Box):
        return BOX_POINTS
    if isinstance(shape, Capsule) and isinstance(target, Capsule | Box):
        return 1 if isinstance(target, Capsule) else BOX_EDGES
    return 0


def sampled(shape: Shape, target: Shape) -> tuple[np.ndarray, float]:
    """Points (n, 3) of a shape, and the radius of balls about them, that stand for it in the distance of another; none
    where the other's points in its distance do. Balls lie inside of edges and corners, where distances have no normal.
    """
    none = np.zeros((0, 3))
    if isinstance(shape, Sphere):
        return np.zeros((1, 3)), shape.radius
    if isinstance(shape, Plane) or isinstance(target, Sphere):
        return none, 0.0
    if isinstance(shape, Capsule):
        apart = math.ceil(4.0 * shape.half_height / shape.radius) + 1  # half a radius or less: it sinks by 3 % of it
        count = 2 if isinstance(target, Plane | Box | Capsule) else min(max(2, apart), MOST)
        heights = np.linspace(-shape.half_height, shape.half_height, count)
        return np.stack([0.0 * heights, 0.0 * heights, heights], -1), shape.radius
    if isinstance(target, Capsule) and not isinstance(shape, Box):
        return none, 0.0
    if isinstance(shape, Box):
        return _of_box(np.array(shape.half_extents), target)
    if isinstance(shape, Cylinder):
        inset = 0.0 if isinstance(target, Plane) else ROUND * min(shape.radius, shape.half_height)
        angle = np.linspace(0.0, 2.0 * np.pi, RIM, endpoint=False)
        circle = (shape.radius - inset) * np.stack([np.cos(angle), np.sin(angle)], -1)
        heights = (shape.half_height - inset) * np.array([-1.0, 1.0])
        return np.concatenate([np.concatenate([circle, np.full((RIM, 1), z)], -1) for z in heights]), inset
    return _of_mesh(shape, target)


def _of_box(half: np.ndarray, target: Shape) -> tuple[np.ndarray, float]:
    """Corners; against cylinders, cups and meshes points of edges too, no farther apart than the other is thick."""
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    if isinstance(target, Plane | Capsule):
        return corners * half, 0.0
    low, high = target.bounds()
    thick = 0.5 * float((high - low).min())
    radius = ROUND * float(half.min())
    inner, points = half - radius, [corners * (half - radius)]
    for axis in range(3):
        count = min(max(math.ceil(2.0 * inner[axis] / thick), 2), RIM)
        along = np.linspace(-1.0, 1.0, count + 1)[1:-1]
        for a, b in itertools.product((-1.0, 1.0), repeat=2):
            edge = np.insert(np.tile([a, b], (len(along), 1)), axis, along, 1)
            points.append(edge * inner)
    return np.concatenate(points), radius


def _of_mesh(shape: Shape, target: Shape) -> tuple[np.ndarray, float]:
    """Corners and points of the triangles, as far from each other as can be, a little inside."""
    mesh = shape.to_mesh()
    inset = 0.0 if isinstance(target, Plane) else 0.2 * ROUND * float(mesh.extents.min())
    points = np.concatenate(
        [mesh.vertices - inset * mesh.vertex_normals, mesh.triangles_center - inset * mesh.face_normals]
    )
    chosen = [0]
    far = np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < min(MOST, len(points)) and far.max() > 0.0:
        chosen.append(int(far.argmax()))
        far = np.minimum(far, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return points[chosen], inset
