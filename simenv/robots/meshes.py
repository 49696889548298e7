# SPDX-License-Identifier: Apache-2.0
"""Mesh files that a robot names: where they are, and shapes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import trimesh

from simenv._files import replacing
from simenv.errors import AssetError
from simenv.geometry.mesh_sdf import cache_folder
from simenv.geometry.shapes import MeshShape

__all__ = ["Packages", "find_mesh", "mesh_shape", "stored_mesh"]

Packages = Mapping[str, str | PathLike[str]]


def find_mesh(name: str, robot: Path, packages: Packages | None) -> Path:
    """The file that a robot calls ``name``.

    Args:
        name: ``package://NAME/rest`` or ``model://NAME/rest``, whose folder NAME is that of `packages`, or looked for
            in all folders from the robot's file upwards; or a path, relative to the robot's file.
        robot: its file.
        packages: folders by name.

    Raises:
        AssetError: there is none; the message says where it was looked for.
    """
    scheme, _, rest = name.rpartition("://")
    if scheme in ("package", "model"):
        package, _, inside = rest.partition("/")
        tried = [Path(packages[package]) / inside] if packages and package in packages else []
        for folder in robot.resolve().parents:
            tried += [folder / inside] if folder.name == package else []
            tried += [folder / package / inside] if (folder / package).is_dir() else []
        remedy = f"name the folder of the package, packages={{{package!r}: FOLDER}}"
    elif scheme in ("", "file"):
        tried, remedy = [robot.resolve().parent / rest], "put it there, or change the path"
    else:
        raise AssetError(f"mesh {name!r} is not a file of this machine; download it, and give its path")
    for file in tried:
        if file.is_file():
            return file
    looked = ", ".join(map(str, tried)) or f"folders upwards of {robot.resolve().parent}"
    raise AssetError(f"there is no mesh {name!r}; looked for {looked}; {remedy}")


def mesh_shape(file: Path, scale: Sequence[float]) -> MeshShape:
    """A shape of a mesh file, whose lengths are multiplied by ``scale`` (3,) to be in metres. One that differs by
    direction, or mirrors, needs a scaled copy of the file, which is kept in the cache.

    Raises:
        AssetError: a scale is zero, or a file that must be copied cannot be read.
    """
    x, y, z = scale
    if x == y == z and x > 0.0:
        return MeshShape(str(file), x)
    if not all(scale):
        raise AssetError(f"mesh {file}: scale {tuple(scale)} must not be zero")
    try:
        mesh = trimesh.load_mesh(str(file), process=False)
        vertices, faces = np.asarray(mesh.vertices) * scale, np.asarray(mesh.faces)
    except Exception as error:  # whatever a parser finds wrong
        raise AssetError(f"mesh {file} cannot be read: {error}; convert it to .stl or .obj") from error
    return stored_mesh(vertices, faces if x * y * z > 0.0 else faces[:, ::-1])


def stored_mesh(vertices: np.ndarray, faces: np.ndarray) -> MeshShape:
    """A shape of a mesh that no file holds: corners (n, 3) [m], triangles (m, 3); stored in single precision in the
    folder of `simenv.geometry.mesh_sdf.cache_folder`, under a name made of its content.
    """
    content = trimesh.Trimesh(vertices, faces, process=False).export(file_type="stl")
    folder = cache_folder() / "meshes"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{hashlib.sha256(content).hexdigest()[:40]}.stl"
    if not file.is_file():
        with replacing(file) as temporary:
            temporary.write_bytes(content)
    return MeshShape(str(file))
