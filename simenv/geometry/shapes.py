# SPDX-License-Identifier: Apache-2.0
"""Collision shapes, in metres and in their own frame, with NumPy reference distances.

Distances are negative inside the solid. `simenv.geometry.distance` holds the same shapes as Warp functions for kernels.
"""

import math
import os
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    import trimesh
    from numpy.typing import ArrayLike

    from simenv.geometry.mesh_sdf import SdfGrid

__all__ = [
    "Box",
    "Capsule",
    "Cup",
    "Cylinder",
    "MeshShape",
    "Plane",
    "Shape",
    "Sphere",
    "surface_of_revolution",
]


def surface_of_revolution(profile: "ArrayLike", segments: int = 96) -> "trimesh.Trimesh":
    """Revolve a profile about the z axis into a closed mesh.

    Args:
        profile: (m, 2) radius and height [m], m >= 3, first and last on the axis (radius 0), the others off it, ordered
            so that the solid lies on the left (bottom of the axis first, then outwards and up).
        segments: number of facets around the axis.

    Returns:
        A watertight mesh with outward normals.

    Raises:
        ValueError: the profile's ends aren't on the axis, or another point is.
    """
    import trimesh

    profile = np.asarray(profile, dtype=np.float64)
    radius = profile[:, 0]
    if len(profile) < 3 or radius[0] != 0.0 or radius[-1] != 0.0 or np.any(radius[1:-1] <= 0.0):
        raise ValueError(
            f"a profile needs at least 3 points, radius 0 at both ends and positive radii between, not {radius}"
        )
    rings = profile[1:-1]
    angle = 2.0 * np.pi * np.arange(segments) / segments
    around = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    ring = np.concatenate(
        [rings[:, None, :1] * around[None], np.broadcast_to(rings[:, None, 1:], (len(rings), segments, 1))], axis=-1
    )
    ends = np.array([[0.0, 0.0, profile[0, 1]], [0.0, 0.0, profile[-1, 1]]])
    here = np.arange(segments)
    following = (here + 1) % segments
    bottom, top = len(rings) * segments, len(rings) * segments + 1
    last = (len(rings) - 1) * segments
    faces = [np.stack([np.full(segments, bottom), following, here], axis=-1)]
    for i in range(len(rings) - 1):
        low, high = i * segments, (i + 1) * segments
        faces.append(np.stack([low + here, low + following, high + following], axis=-1))
        faces.append(np.stack([low + here, high + following, high + here], axis=-1))
    faces.append(np.stack([last + here, last + following, np.full(segments, top)], axis=-1))
    vertices = np.concatenate([ring.reshape(-1, 3), ends])
    return trimesh.Trimesh(vertices, np.concatenate(faces), process=False)


class Shape:
    """A solid that other things collide with. Lengths are in metres, points in the shape's own frame."""

    _may_be_zero: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Check and normalise the numbers of an analytic shape.

        Raises:
            ValueError: a length isn't finite or isn't positive.
        """
        for field in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, field.name)
            numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
            vector = isinstance(field.default, tuple) or field.name == "half_extents"
            size = 3 if vector else 1
            if numbers.shape != (size,):
                raise ValueError(f"{type(self).__name__}.{field.name} needs {size} number(s), not {value!r}")
            positive = np.all(numbers > 0.0) or (field.name in self._may_be_zero and np.all(numbers >= 0.0))
            if not np.all(np.isfinite(numbers)) or not (positive or field.name == "normal"):
                raise ValueError(f"{type(self).__name__}.{field.name} must be positive and finite [m], not {value!r}")
            object.__setattr__(self, field.name, tuple(numbers.tolist()) if vector else float(numbers[0]))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest corner of the axis-aligned bounding box, (3,) each [m]."""
        raise NotImplementedError

    def signed_distance(self, points: np.ndarray) -> np.ndarray:
        """Return the signed distances [m] of `points` (n, 3) [m] as (n,) float64."""
        raise NotImplementedError

    def to_mesh(self) -> "trimesh.Trimesh":
        """Return a closed mesh of the shape [m], for rendering."""
        raise NotImplementedError

    def volume(self) -> float:
        """Return the volume of the solid [m^3]."""
        raise NotImplementedError


def _points(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points must have the shape (n, 3), not {points.shape}")
    return points


def _box_distance(q: np.ndarray) -> np.ndarray:
    """Distance to a box from the signed distances (n, k) to its pairs of faces."""
    return np.linalg.norm(np.maximum(q, 0.0), axis=-1) + np.minimum(q.max(axis=-1), 0.0)


def _half_plane(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points = _points(points)
    return np.hypot(points[:, 0], points[:, 1]), points[:, 2]


@dataclass(frozen=True)
class Plane(Shape):
    """The half space below the plane through the origin with the given outward normal (any length but zero)."""

    normal: tuple[float, float, float] = (0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        """Check the normal. Raises ValueError if it's zero or not finite."""
        super().__post_init__()
        if math.hypot(*self.normal) == 0.0:
            raise ValueError("Plane.normal is zero and has no direction; give a vector such as (0, 0, 1)")

    @property
    def unit_normal(self) -> tuple[float, float, float]:
        """The normal with length 1."""
        size = math.hypot(*self.normal)
        x, y, z = self.normal
        return (x / size, y / size, z / size)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return infinite bounds, but for the plane itself where it is perpendicular to an axis."""
        n = np.array(self.unit_normal)
        alone = np.abs(n) == 1.0
        return np.where(alone & (n < 0.0), 0.0, -np.inf), np.where(alone & (n > 0.0), 0.0, np.inf)

    def signed_distance(self, points: np.ndarray) -> np.ndarray:
        """Return the signed distances [m] of `points` (n, 3) [m] as (n,) float64."""
        return _points(points) @ np.array(self.unit_normal)

    def to_mesh(self, extent: float = 2.0, thickness: float = 0.01) -> "trimesh.Trimesh":
        """Return a square slab of the given side and thickness [m] whose top lies in the plane."""
        import trimesh

        slab = trimesh.creation.box((extent, extent, thickness))
        slab.apply_translation((0.0, 0.0, -thickness / 2))
        slab.apply_transform(trimesh.geometry.align_vectors((0.0, 0.0, 1.0), self.unit_normal))
        return slab

    def volume(self) -> float:
        """Return infinity."""
        return math.inf


@dataclass(frozen=True)
class Box(Shape):
    """A box about the origin with the given half side lengths [m]."""

    half_extents: tuple[float, float, float]

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest corner, (3,) each [m]."""
        return -np.array(self.half_extents), np.array(self.half_extents)

    def signed_distance(self, points: np.ndarray) -> np.ndarray:
        """Return the signed distances [m] of `points` (n, 3) [m] as (n,) float64."""
        return _box_distance(np.abs(_points(points)) - np.array(self.half_extents))

    def to_mesh(self) -> "trimesh.Trimesh":
        """Return a closed mesh of the shape [m]."""
        import trimesh

        return trimesh.creation.box(2.0 * np.array(self.half_extents))

    def volume(self) -> float:
        """Return the volume of the solid [m^3]."""
        return 8.0 * math.prod(self.half_extents)


@dataclass(frozen=True)
class Sphere(Shape):
    """A ball about the origin."""

    radius: float

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest corner of the bounding box, (3,) each [m]."""
        return np.full(3, -self.radius), np.full(3, self.radius)

    def signed_distance(self, points: np.ndarray) -> np.ndarray:
        """Return the signed distances [m] of `points` (n, 3) [m] as (n,) float64."""
        return np.linalg.norm(_points(points), axis=-1) - self.radius

    def to_mesh(self) -> "trimesh.Trimesh":
        """Return a closed mesh of the shape [m]."""
        import trimesh

        return trimesh.creation.icosphere(subdivisions=4, radius=self.radius)

    def volume(self) -> float:
        """Return the volume of the solid [m^3]."""
        return 4.0 / 3.0 * math.pi * self.radius**3


@dataclass(frozen=True)
class Cylinder(Shape):
    """A cylinder about the z axis, from z = -half_height to half_height [m]."""

    radius: float
    half_height: float

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest corner of the bounding box, (3,) each [m]."""
        high = np.array([self.radius, self.radius, self.half_height])
        return -high, high

    def signed_distance(self, points: np.ndarray) -> np.ndarray:
        """Return the signed distances [m] of `points` (n, 3) [m] as (n,) float64."""
        rho, z = _half_plane(points)
        return _box_distance(np.stack([rho - self.radius, np.abs(z) - self.half_height], axis=-1))

    def to_mesh(self) -> "trimesh.Trimesh":
        """Return a closed mesh of the shape [m]."""
        r, h = self.radius, self.half_height
        return surface_of_revolution([(0.0, -h), (r, -h), (r, h), (0.0, h)])

    def volume(self) -> float:
        """Return the volume of the solid [m^3]."""
        return 2.0 * math.pi * self.radius**2 * self.half_height


@dataclass(frozen=True)
class Capsule(Shape):
    """A cylinder about the z axis from z = -half_height to half_height [m], with a half ball on either end."""

    radius: float
    half_height: float
    _may_be_zero: ClassVar[tuple[str, ...]] = ("half_height",)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest corner of the bounding box, (3,) each [m]."""
        high = np.array([self.radius, self.radius, self.half_height + self.radius])
        return -high, high

    def signed_distance(self, points: np.ndarray) -> np.ndarray:
        """Return the signed distances [m] of `points` (n, 3) [m] as (n,) float64."""
        rho, z = _half_plane(points)
        return np.hypot(rho, np.maximum(np.abs(z) - self.half_height, 0.0)) - self.radius

    def to_mesh(self) -> "trimesh.Trimesh":
        """Return a closed mesh of the shape [m]."""
        angle = np.linspace(0.0, np.pi / 2, 25)
        cap = np.stack([self.radius * np.sin(angle), self.half_height + self.radius * np.cos(angle)], axis=-1)
        cap[0, 0] = 0.0
        if self.half_height == 0.0:
            return surface_of_revolution(np.concatenate([cap * (1.0, -1.0), cap[-2::-1]]))
        return surface_of_revolution(np.concatenate([cap * (1.0, -1.0), cap[::-1]]))

    def volume(self) -> float:
        """Return the volume of the solid [m^3]."""
        return math.pi * self.radius**2 * (2.0 * self.half_height + 4.0 / 3.0 * self.radius)


@dataclass(frozen=True)
class Cup(Shape):
    """An open-top vessel of revolution about the z axis, its outside bottom face at z = 0.

    The cavity has the radius `inner_radius` and reaches from z = `base` to z = `height`; `wall` is the thickness of the
    wall [m].

    Raises:
        ValueError: a length isn't positive, or the base is as high as the cup.
    """

    inner_radius: float
    height: float
    wall: float
    base: float

    def __post_init__(self) -> None:
        """Check the lengths."""
        super().__post_init__()
        if self.base >= self.height:
            raise ValueError(
                f"Cup.base = {self.base} m leaves no cavity below height = {self.height} m; make it thinner"
            )

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest corner of the bounding box, (3,) each [m]."""
        radius = self.inner_radius + self.wall
        return np.array([-radius, -radius, 0.0]), np.array([radius, radius, self.height])

    def _outline(self) -> np.ndarray:
        inner, outer = self.inner_radius, self.inner_radius + self.wall
        top, base = self.height, self.base
        return np.array([(0.0, 0.0), (outer, 0.0), (outer, top), (inner, top), (inner, base), (0.0, base)])

    def signed_distance(self, points: np.ndarray) -> np.ndarray:
        """Return the signed distances [m] of `points` (n, 3) [m] as (n,) float64."""
        rho, z = _half_plane(points)
        p = np.stack([rho, z], axis=-1)
        outline = self._outline()
        distance = np.full(len(p), np.inf)
        for start, end in pairwise(outline):
            along = np.clip((p - start) @ (end - start) / np.sum((end - start) ** 2), 0.0, 1.0)
            distance = np.minimum(distance, np.linalg.norm(p - start - along[:, None] * (end - start), axis=-1))
        outside = (rho > self.inner_radius + self.wall) | (z < 0.0) | (z > self.height)
        cavity = (rho < self.inner_radius) & (z > self.base)
        return np.where(outside | cavity, distance, -distance)

    def to_mesh(self) -> "trimesh.Trimesh":
        """Return a closed mesh of the shape [m]."""
        return surface_of_revolution(self._outline())

    def volume(self) -> float:
        """Return the volume of the solid, without the cavity [m^3]."""
        outer = self.inner_radius + self.wall
        return math.pi * (outer**2 * self.height - self.inner_radius**2 * (self.height - self.base))


@dataclass(frozen=True)
class MeshShape(Shape):
    """A closed triangle mesh from a file, multiplied by `scale` to be in metres (0.001 for files in millimetres).

    The file is read and checked when the shape is first used; every method raises `AssetError` where it can't be used.
    """

    file: str
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Check the scale. Raises ValueError if it isn't positive and finite."""
        object.__setattr__(self, "file", os.fspath(self.file))
        if not (math.isfinite(self.scale) and self.scale > 0.0):
            raise ValueError(f"MeshShape.scale must be positive and finite, not {self.scale!r}")
        object.__setattr__(self, "scale", float(self.scale))

    @property
    def _mesh(self) -> "trimesh.Trimesh":
        from simenv.geometry.mesh_sdf import load_mesh

        if "_loaded" not in vars(self):  # not `cached_property`, whose lock another thread may want in the other order
            object.__setattr__(self, "_loaded", load_mesh(self.file, self.scale))
        return vars(self)["_loaded"]

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest corner of the bounding box, (3,) each [m]."""
        low, high = self._mesh.bounds
        return np.array(low), np.array(high)

    def signed_distance(self, points: np.ndarray) -> np.ndarray:
        """Return the signed distances [m] of `points` (n, 3) [m] as (n,) float64, in single precision."""
        from simenv.geometry.mesh_sdf import signed_distance

        return signed_distance(self._mesh, _points(points))

    def sdf(self, spacing: float | None = None) -> "SdfGrid":
        """Return the distance volume with the given spacing [m] (`None`: a 96th of the longest side)."""
        from simenv.geometry.mesh_sdf import cached_grid

        return cached_grid(self._mesh, spacing)

    @property
    def spacing(self) -> float:
        """Of the distance volume, unless another is asked for [m]."""
        from simenv.geometry.mesh_sdf import CELLS

        return float(self._mesh.extents.max()) / CELLS

    def to_mesh(self) -> "trimesh.Trimesh":
        """Return a copy of the mesh [m]."""
        return self._mesh.copy()

    def volume(self) -> float:
        """Return the volume of the solid [m^3]."""
        return float(self._mesh.volume)
