# SPDX-License-Identifier: Apache-2.0
"""Meshes that come with simenv; sources.toml says where each one comes from and under which licence."""

from importlib import resources
from pathlib import Path

from simenv.errors import AssetError

__all__ = ["path"]


def path(name: str) -> Path:
    """Return the path of an asset.

    Args:
        name: path relative to the assets folder, such as "meshes/glass.stl"; the "meshes/" may be left out.

    Raises:
        AssetError: there is no such asset.
    """
    folder = Path(str(resources.files(__name__)))
    for candidate in (folder / name, folder / "meshes" / name):
        if candidate.is_file():
            return candidate
    known = ", ".join(sorted(p.name for p in (folder / "meshes").iterdir()))
    raise AssetError(f"there is no asset {name!r}; known meshes are {known}")
