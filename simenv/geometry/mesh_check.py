# SPDX-License-Identifier: Apache-2.0
"""Reading of mesh files, and the checks of what makes a mesh a solid: closed, wound one way, not crossing itself.

A signed distance only means something for such a mesh, so that nothing is repaired here: what is wrong is named with
its place and its remedy, and left to the modelling program.
"""

import os
import re
from pathlib import Path

import numpy as np
import trimesh

from simenv.errors import AssetError
from simenv.geometry.mesh_intersection import self_intersections

__all__ = ["EXTENSIONS", "MAX_FACES", "MAX_SIZE", "MIN_SIZE", "check_mesh", "load_mesh"]

EXTENSIONS = (".stl", ".obj", ".ply", ".off")
MAX_FACES = 2_000_000
MAX_SIZE = 100.0  # longest side [m]; more is a file in millimetres rather than a vessel of that size
MIN_SIZE = 1e-4  # longest side [m]
_BYTES_PER_FACE = 400  # generous for text formats
_STL_HEADER = 84  # bytes before the first face of a binary STL file


def load_mesh(file: str | os.PathLike, scale: float = 1.0) -> trimesh.Trimesh:
    """Read and check a closed triangle mesh.

    Args:
        file: an .stl, .obj, .ply or .off file.
        scale: factor that brings the file's lengths to metres (0.001 for a file in millimetres).

    Returns:
        The mesh [m], corners merged and faces without area dropped, wound so that normals point outwards.

    Raises:
        AssetError: the file is missing, unreadable or of unknown format, or the mesh isn't a solid (see `check_mesh`).
    """
    path = Path(file)
    if not path.is_file():
        what = "is a folder; name the file in it" if path.is_dir() else "does not exist or is no file; check the path"
        raise AssetError(f"mesh file {path} {what}, relative to {Path.cwd()}")
    kind = path.suffix.lower()
    if kind not in EXTENSIONS:
        known = ", ".join(EXTENSIONS)
        raise AssetError(f"mesh file {path} has the unknown extension {kind!r}; convert it to one of {known}")
    size = path.stat().st_size
    limit = MAX_FACES * _BYTES_PER_FACE
    if size > limit:
        raise AssetError(
            f"mesh file {path} has {size} bytes, more than {MAX_FACES} faces need ({limit} bytes); decimate it"
        )
    _check_counts(path, kind, size)
    try:
        options = {"skip_materials": True} if kind == ".obj" else {}
        loaded = trimesh.load_mesh(str(path), file_type=kind[1:], process=False, **options)
        vertices = np.array(loaded.vertices, dtype=np.float64)
        faces = np.array(loaded.faces, dtype=np.int64)
    except MemoryError:
        raise
    except Exception as error:  # a parser may fail on garbage in any way; all of them mean the same to the caller
        raise AssetError(
            f"mesh file {path} can't be read as {kind[1:].upper()} ({type(error).__name__}: {error}); "
            "it is truncated or damaged, export it again"
        ) from error
    return _checked(vertices * scale if np.isfinite(scale) else vertices, faces, f"mesh file {path}", scale)


def check_mesh(mesh: trimesh.Trimesh, name: str = "mesh") -> trimesh.Trimesh:
    """Check that a mesh [m] bounds a solid, and return it with corners merged and faces without area dropped.

    Args:
        mesh: vertices in metres.
        name: what error messages call it.

    Returns:
        A new mesh.

    Raises:
        AssetError: no faces or more than `MAX_FACES`, vertices that aren't finite, indices out of range, a longest side
            outside `MIN_SIZE` to `MAX_SIZE`, open edges, edges of more than two faces, inconsistent winding, a solid
            turned inside out, or faces that pass through one another.
    """
    return _checked(np.array(mesh.vertices, dtype=np.float64), np.array(mesh.faces, dtype=np.int64), name, 1.0)


def _check_counts(path: Path, kind: str, size: int) -> None:
    """Compare the counts that a header promises with the file's length, before a parser allocates for them."""
    with path.open("rb") as stream:
        head = stream.read(4096)
    if size == 0:
        raise AssetError(f"mesh file {path} is empty; export it again")
    if kind == ".stl" and not head.lstrip().startswith(b"solid"):
        if size < _STL_HEADER:
            raise AssetError(
                f"mesh file {path} has {size} bytes, and the header of an STL file alone has {_STL_HEADER}; it is "
                "truncated or no STL file, export it again"
            )
        promised = int.from_bytes(head[80:84], "little")
        if _STL_HEADER + 50 * promised != size:
            raise AssetError(
                f"mesh file {path} has {size} bytes, but its header promises {promised} faces "
                f"({_STL_HEADER + 50 * promised} bytes); it is truncated or no STL file, export it again"
            )
    if kind == ".ply" and not (head.startswith(b"ply") and (b"end_header" in head or size > len(head))):
        raise AssetError(
            f"mesh file {path} has {size} bytes, and no PLY header from 'ply' to 'end_header' in them; it is truncated "
            "or no PLY file, export it again"
        )
    if kind in (".ply", ".off"):
        # every element takes at least two bytes in any encoding, so that larger counts are a lie
        pattern = rb"element\s+\w+\s+(\d+)" if kind == ".ply" else rb"(?m)^\s*(?:OFF\s+)?(\d+)\s+\d+\s+\d+\s*$"
        for count in re.findall(pattern, head):
            if len(count) > 12 or 2 * int(count) > size:
                raise AssetError(
                    f"mesh file {path} has {size} bytes, but its header promises {count[:20].decode()} elements; "
                    "it is truncated or damaged, export it again"
                )


def _checked(vertices: np.ndarray, faces: np.ndarray, name: str, scale: float) -> trimesh.Trimesh:
    if not (np.isfinite(scale) and scale > 0.0):
        raise AssetError(f"{name}: scale = {scale!r} must be positive and finite")
    _check_arrays(vertices, faces, name)
    _check_size(vertices[np.unique(faces)], name, scale)
    vertices, faces = _merge(vertices, faces)
    _check_edges(vertices, faces, name)
    _check_volume(vertices, faces, name)
    count, first, second = self_intersections(vertices, faces)
    if count:
        where = vertices[faces[first]].mean(axis=0)
        raise AssetError(
            f"{name} passes through itself: {count} pair(s) of faces intersect, the first are {first} and {second} "
            f"near {_place(where)}; unite the parts (boolean union) or remodel that place"
        )
    _check_parts(vertices, faces, name)
    return trimesh.Trimesh(vertices, faces, process=False)


def _check_arrays(vertices: np.ndarray, faces: np.ndarray, name: str) -> None:
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3 or len(faces) == 0:
        raise AssetError(
            f"{name} holds no triangles; export a closed triangle mesh, and if it did hold some, it is truncated"
        )
    if len(faces) > MAX_FACES:
        raise AssetError(f"{name} has {len(faces)} faces, the limit is {MAX_FACES}; decimate it")
    bad = ~np.isfinite(vertices).all(axis=-1)
    if bad.any():
        first = int(np.argmax(bad))
        raise AssetError(
            f"{name} has {int(bad.sum())} vertices that aren't finite, the first is {first} = {vertices[first]}; "
            "export it again"
        )
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise AssetError(
            f"{name} has face indices from {faces.min()} to {faces.max()}, allowed are 0 to {len(vertices) - 1}; "
            "the file is damaged, export it again"
        )


def _check_size(vertices: np.ndarray, name: str, scale: float) -> None:
    longest = float(np.ptp(vertices, axis=0).max())
    far = float(np.abs(vertices).max())
    if longest > MAX_SIZE:
        millimetres = longest <= 1000.0 * MAX_SIZE
        hint = f"if the file is in millimetres, use scale={0.001 * scale:g}" if millimetres else "scale it down"
        raise AssetError(f"{name} is {longest:g} m long, the limit is {MAX_SIZE:g} m; {hint}")
    if longest < MIN_SIZE:
        raise AssetError(
            f"{name} is {longest:g} m long, the limit is {MIN_SIZE:g} m; choose a larger scale than {scale:g}"
        )
    if far > 1e4 * longest:  # single-precision queries would lose the shape
        raise AssetError(
            f"{name} lies {far:g} m from its origin, more than 10^4 times its length of {longest:g} m; "
            "move it to the origin"
        )


def _merge(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merge equal corners, drop faces that collapse by this, and drop unused vertices.

    Corners first count as equal when bit-identical. Exporters that compute a shared corner twice round it differently,
    so that where edges stay open a grid of 10^-6 of the longest side decides.
    """
    merged = _merge_by(vertices, faces, vertices + 0.0)
    if _open_edges(merged[1]).any():
        step = np.ptp(vertices, axis=0).max() * 1e-6
        coarse = _merge_by(vertices, faces, np.round(vertices / step))
        if len(coarse[1]) and not _open_edges(coarse[1]).any():
            return coarse
    return merged


def _merge_by(vertices: np.ndarray, faces: np.ndarray, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    faces = inverse.reshape(-1)[faces]
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    used, faces = np.unique(faces, return_inverse=True)
    return vertices[first[used]], faces.reshape(-1, 3)


def _edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the directed edges (3 f, 2), and for each of them how many faces share it in any direction."""
    directed = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    low, high = directed.min(axis=1), directed.max(axis=1)
    _, inverse, counts = np.unique(low * (faces.max(initial=0) + 1) + high, return_inverse=True, return_counts=True)
    return directed, counts[inverse.reshape(-1)]


def _open_edges(faces: np.ndarray) -> np.ndarray:
    return _edges(faces)[1] == 1


def _place(point: np.ndarray) -> str:
    return "(" + ", ".join(f"{c:.4g}" for c in point) + ") m"


def _check_edges(vertices: np.ndarray, faces: np.ndarray, name: str) -> None:
    if len(faces) == 0:
        raise AssetError(f"{name} has only faces without area; export a closed triangle mesh")
    directed, counts = _edges(faces)
    middle = vertices[directed].mean(axis=1)
    hole = counts == 1
    if hole.any():
        low, high = middle[hole].min(axis=0), middle[hole].max(axis=0)
        raise AssetError(
            f"{name} is not watertight: {int(hole.sum())} open edges between {_place(low)} and {_place(high)}, the "
            f"first at {_place(middle[hole][0])}; close the holes (fill them, or give an open surface a thickness)"
        )
    many = counts > 2
    if many.any():
        edges = len(np.unique(np.sort(directed[many], axis=1), axis=0))
        raise AssetError(
            f"{name} has {edges} edges shared by more than two faces, the first at {_place(middle[many][0])}; "
            "remove doubled faces and unite touching parts (boolean union)"
        )
    size = faces.max() + 1
    _, first, repeats = np.unique(directed[:, 0] * size + directed[:, 1], return_index=True, return_counts=True)
    if (repeats > 1).any():
        where = middle[first[repeats > 1][0]]
        raise AssetError(
            f"{name} is wound inconsistently: at {int((repeats > 1).sum())} edges the two faces turn opposite ways, "
            f"the first at {_place(where)}; recompute the normals outwards and export again"
        )


def _components(faces: np.ndarray) -> np.ndarray:
    """Return for each face the lowest vertex of its connected part."""
    label = np.arange(faces.max() + 1)
    while True:
        lowest = label[faces].min(axis=1)
        before = label.copy()
        for corner in range(3):
            np.minimum.at(label, before[faces[:, corner]], lowest)
            np.minimum.at(label, faces[:, corner], lowest)
        label = label[label]
        if np.array_equal(label, before):
            return label[faces[:, 0]]


def _winding_number(triangles: np.ndarray, point: np.ndarray) -> float:
    """How often a mesh (f, 3, 3) winds around a point: solid angles of van Oosterom and Strackee (1983, eq. 8)."""
    a, b, c = np.moveaxis(triangles - point, 1, 0)
    la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
    triple = np.einsum("ij,ij->i", a, np.cross(b, c))
    ab, bc, ca = (np.einsum("ij,ij->i", u, v) for u, v in ((a, b), (b, c), (c, a)))
    below = la * lb * lc + lc * ab + la * bc + lb * ca
    return float(np.arctan2(triple, below).sum() / (2.0 * np.pi))


def _check_volume(vertices: np.ndarray, faces: np.ndarray, name: str) -> None:
    a, b, c = np.moveaxis(vertices[faces] - vertices[0], 1, 0)
    volume = float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)
    if volume <= 0.0:
        raise AssetError(
            f"{name} is inside out: its volume is {volume:.3g} m^3 and must be positive; flip the normals outwards and "
            "export again"
        )


def _check_parts(vertices: np.ndarray, faces: np.ndarray, name: str) -> None:
    """Look on both sides of one face of each connected part: inside it must wind once around, outside not at all."""
    triangles = vertices[faces]
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    areas = np.linalg.norm(normals, axis=-1)
    part_of = _components(faces)
    for part in np.unique(part_of):
        members = np.flatnonzero(part_of == part)
        face = members[np.argmax(areas[members])]
        step = normals[face] / max(areas[face], np.finfo(float).tiny) * 1e-4 * np.sqrt(areas[face])
        centre = triangles[face].mean(axis=0)
        inside, outside = _winding_number(triangles, centre - step), _winding_number(triangles, centre + step)
        if abs(inside - 1.0) > 0.01 or abs(outside) > 0.01:
            raise AssetError(
                f"{name}: the part with {len(members)} faces at {_place(centre)} is inside out or lies within another "
                f"part: the surface winds {inside:.2f} times around a point behind the face and {outside:.2f} times "
                "around one before it, where 1 and 0 are needed; flip its normals or unite the parts (boolean union)"
            )
