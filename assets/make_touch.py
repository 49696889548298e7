# SPDX-License-Identifier: Apache-2.0
"""Generate the meshes of the touch tasks in assets/meshes: `python assets/make_touch.py [folder]`.

The slab: its top is a sum of waves, z = sum a_i cos(k_i . x + p_i) [m], smooth and without a period inside the slab;
its foot is flat. The origin is the middle of the mean top. The bolt: the outline of an M16 socket head cap screw
without thread and socket (nominal diameters 16 and 24 mm, head 16 mm high, as in ISO 4762), revolved about the z axis;
the origin is the tip.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simenv.geometry.shapes import surface_of_revolution

if TYPE_CHECKING:
    import trimesh

SIDE, THICK = 0.18, 0.03  # [m]
CELLS = 48
WAVES = (  # amplitude [m], wave vector [rad/m], phase [rad]
    (0.0030, (75.0, 20.0), 0.4),
    (0.0025, (-30.0, 85.0), 1.9),
    (0.0015, (110.0, -60.0), 4.0),
)

BOLT = (
    (0.0, 0.0),
    (0.0070, 0.0),
    (0.0080, 0.001),
    (0.0080, 0.030),
    (0.012, 0.030),
    (0.012, 0.046),
    (0.0, 0.046),
)  # [m]


def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height of the top [m] at x, y [m]."""
    return np.asarray(sum(a * np.cos(k[0] * x + k[1] * y + p) for a, k, p in WAVES))


def slab() -> "trimesh.Trimesh":
    """The bumpy slab.

    Raises:
        ValueError: it is not closed.
    """
    import trimesh

    axis = np.linspace(-SIDE / 2, SIDE / 2, CELLS + 1)
    x, y = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    count, row = len(x), CELLS + 1
    vertices = np.concatenate([np.stack([x, y, height(x, y)], 1), np.stack([x, y, np.full(count, -THICK)], 1)])
    i, j = (a.ravel() for a in np.meshgrid(np.arange(CELLS), np.arange(CELLS), indexing="ij"))
    a, b, c, d = i * row + j, (i + 1) * row + j, (i + 1) * row + j + 1, i * row + j + 1
    top = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    ring = np.concatenate([
        np.arange(CELLS) * row, CELLS * row + np.arange(CELLS), np.arange(CELLS, 0, -1) * row + CELLS,
        np.arange(CELLS, 0, -1),
    ])  # fmt: skip
    after = np.roll(ring, -1)
    sides = np.concatenate(
        [np.stack([ring, ring + count, after + count], 1), np.stack([ring, after + count, after], 1)]
    )
    mesh = trimesh.Trimesh(vertices, np.concatenate([top, top[:, ::-1] + count, *sides]), process=False)
    if not mesh.is_watertight or mesh.volume < 0:
        raise ValueError(f"the slab is not closed, or inside out: volume {mesh.volume} m^3")
    return mesh


def main(folder: Path) -> None:
    """Write all meshes as binary STL."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, mesh in {"bumps": slab(), "bolt": surface_of_revolution(BOLT, 64)}.items():
        mesh.export(folder / f"{name}.stl")
        print(f"{name}.stl: {len(mesh.faces)} faces, {mesh.volume * 1e6:.1f} cm^3")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "meshes")
