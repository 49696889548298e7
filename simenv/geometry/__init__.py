# SPDX-License-Identifier: Apache-2.0
"""Signed-distance shapes, mesh distance grids, sampling, and polar/SVD factorisations with exact adjoints.

The Warp functions stay in their modules (`distance`, `svd`), and `mesh_sdf` in the module of its name. Names that need
Warp are imported when first used.
"""

from typing import TYPE_CHECKING, Any

from simenv.geometry.sampling import cavity_volume, fill, fill_cavity
from simenv.geometry.shapes import Box, Capsule, Cup, Cylinder, MeshShape, Plane, Shape, Sphere

if TYPE_CHECKING:
    from simenv.geometry.mesh_sdf import SdfGrid, load_mesh

__all__ = [
    "Box",
    "Capsule",
    "Cup",
    "Cylinder",
    "MeshShape",
    "Plane",
    "SdfGrid",
    "Shape",
    "Sphere",
    "cavity_volume",
    "fill",
    "fill_cavity",
    "load_mesh",
]


def __getattr__(name: str) -> Any:
    if name in ("SdfGrid", "load_mesh"):
        from simenv.geometry import mesh_sdf as module

        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
