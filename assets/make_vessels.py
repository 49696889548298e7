# SPDX-License-Identifier: Apache-2.0
"""Generate the vessel meshes in assets/meshes: `python assets/make_vessels.py [folder]`.

Each vessel is a profile (radius, height) [m] revolved about the z axis; the origin is the middle of the outside bottom.
Corners are rounded by arcs. The files are the same on every machine up to the rounding of sine and cosine.
"""

import sys
from pathlib import Path

import numpy as np

from simenv.geometry.shapes import surface_of_revolution

# corners of the profile: (radius [m], height [m], radius of the rounding [m])
VESSELS = {
    # drinking glass: inside radius 35 mm at the floor and 39 mm at the rim, 96 mm deep; wall 6 mm, base 10 mm
    "glass": [
        (0.0, 0.0, 0.0),
        (0.041, 0.0, 0.003),
        (0.045, 0.106, 0.0029),
        (0.039, 0.106, 0.0029),
        (0.035, 0.010, 0.006),
        (0.0, 0.010, 0.0),
    ],
    # container to pour into: inside radius 65 mm at the rim, 60 mm deep; wall 8 mm, base 10 mm
    "bowl": [
        (0.0, 0.0, 0.0),
        (0.055, 0.0, 0.006),
        (0.073, 0.070, 0.0039),
        (0.065, 0.070, 0.0039),
        (0.047, 0.010, 0.020),
        (0.0, 0.010, 0.0),
    ],
    # wide coffee cup: inside radius 55 mm at the rim, 42 mm deep; wall 6 mm, base 8 mm
    "cup": [
        (0.0, 0.0, 0.0),
        (0.038, 0.0, 0.004),
        (0.061, 0.050, 0.0026),
        (0.055, 0.050, 0.0026),
        (0.034, 0.008, 0.018),
        (0.0, 0.008, 0.0),
    ],
}
SEGMENTS = 128
ARC = 6  # lines of one rounded corner


def rounded(corners: list[tuple[float, float, float]]) -> np.ndarray:
    """Replace each corner (radius, height, rounding) [m] by the arc that touches both its sides, (m, 2) [m]."""
    points = []
    for i, (radius, height, rounding) in enumerate(corners):
        corner = np.array([radius, height])
        if rounding == 0.0:
            points.append(corner)
            continue
        to_last = np.array(corners[i - 1][:2]) - corner
        to_next = np.array(corners[i + 1][:2]) - corner
        to_last /= np.linalg.norm(to_last)
        to_next /= np.linalg.norm(to_next)
        half = 0.5 * np.arccos(np.clip(to_last @ to_next, -1.0, 1.0))
        middle = to_last + to_next
        centre = corner + middle / np.linalg.norm(middle) * rounding / np.sin(half)
        start = corner + to_last * rounding / np.tan(half) - centre
        end = corner + to_next * rounding / np.tan(half) - centre
        turn = np.pi - 2.0 * half
        for t in np.linspace(0.0, 1.0, ARC + 1):  # spherical interpolation between both touching points
            points.append(centre + (np.sin((1.0 - t) * turn) * start + np.sin(t * turn) * end) / np.sin(turn))
    return np.array(points)


def main(folder: Path) -> None:
    """Write all vessels as binary STL."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, corners in VESSELS.items():
        mesh = surface_of_revolution(rounded(corners), SEGMENTS)
        mesh.export(folder / f"{name}.stl")
        print(f"{name}.stl: {len(mesh.faces)} faces, {mesh.volume * 1e6:.1f} cm^3")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "meshes")
