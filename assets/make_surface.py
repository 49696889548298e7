# SPDX-License-Identifier: Apache-2.0
"""Generate the bumpy slab in assets/meshes: `python assets/make_surface.py [folder]`.

Its top is a sum of waves, z = sum a_i cos(k_i . x + p_i) [m], smooth and without a period inside the slab; its foot is
flat. The origin is the middle of the mean top.
"""

import sys
from pathlib import Path

import numpy as np

SIDE, THICK = 0.18, 0.03  # [m]
CELLS = 48
WAVES = (  # amplitude [m], wave vector [rad/m], phase [rad]
    (0.0030, (75.0, 20.0), 0.4),
    (0.0025, (-30.0, 85.0), 1.9),
    (0.0015, (110.0, -60.0), 4.0),
)


def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height of the top [m] at x, y [m]."""
    return np.asarray(sum(a * np.cos(k[0] * x + k[1] * y + p) for a, k, p in WAVES))


def main(folder: Path) -> None:
    """Write the slab as binary STL."""
    import trimesh

    folder.mkdir(parents=True, exist_ok=True)
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
    sides = np.concatenate([np.stack([ring, ring + count, after + count], 1), np.stack([ring, after + count, after], 1)])
    mesh = trimesh.Trimesh(vertices, np.concatenate([top, top[:, ::-1] + count, sides]), process=False)
    if not mesh.is_watertight or mesh.volume < 0:
        raise ValueError(f"the slab is not closed, or inside out: volume {mesh.volume} m^3")
    mesh.export(folder / "bumps.stl")
    print(f"bumps.stl: {len(mesh.faces)} faces, {mesh.volume * 1e6:.1f} cm^3")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "meshes")
