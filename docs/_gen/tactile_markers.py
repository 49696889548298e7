# SPDX-License-Identifier: Apache-2.0
"""Draws docs/images/tactile_markers.png: how a press, a slide and a turn move the markers of one gel.

python docs/_gen/tactile_markers.py [FILE]
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simenv.geometry import Sphere
from simenv.sensors.tactile import MarkerField, TactileField, WinklerGel, flat_grid, marker_grid

MODULUS, POISSON, THICKNESS = 1.0e5, 0.48, 2.0e-3  # of the one gel [Pa], 1, [m]
RADIUS, DEPTH, SIDE, FACTOR = 8.0e-3, 6.0e-4, 16.0e-3, 8.0
SLIDE, TURN = 2.0e-4, 0.15  # [m], [rad]
PANELS = (("press", 0.0, 0.0), ("press, then slide along x", SLIDE, 0.0), ("press, then turn", 0.0, TURN))


def moved(slide: float, turn: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Markers at rest, their displacement [m], and the radius of the contact [m]."""
    grid = flat_grid(64, 64, SIDE, SIDE)
    gel = WinklerGel(4.0e7, MODULUS / (2.0 * (1.0 + POISSON) * THICKNESS), mu=1.0)
    sensor = TactileField(grid, gel, Sphere(RADIUS), torch.float64)
    points = marker_grid(11, 11, 1.3e-3)
    markers = MarkerField(grid, points, MODULUS, POISSON, THICKNESS, torch.float64)
    rest = torch.tensor([[0, 0, 0, 0, 0, 0, 1.0]], dtype=torch.float64)
    state = None
    for share in np.linspace(0.0, 1.0, 6):
        angle = 0.5 * share * turn
        pose = [share * slide, 0.0, RADIUS - DEPTH, 0.0, 0.0, np.sin(angle), np.cos(angle)]
        reading, state = sensor.measure(torch.tensor([pose], dtype=torch.float64), rest, state)
    area = float((reading.normal > 0).sum()) * grid.areas[0]
    return points, markers.displacement(reading)[0].numpy(), np.sqrt(area / np.pi)


def main() -> None:
    """Draw and write the picture."""
    root = Path(__file__).resolve().parents[1]
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else root / "images" / "tactile_markers.png"
    figure = Figure(figsize=(11.4, 4.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    circle = np.linspace(0.0, 2.0 * np.pi, 100)
    for axes, (title, slide, turn) in zip(figure.subplots(1, 3, sharey=True), PANELS, strict=True):
        points, motion, contact = moved(slide, turn)
        x, y = 1e3 * points.T
        axes.fill(1e3 * (slide + contact * np.cos(circle)), 1e3 * contact * np.sin(circle), color="#56B4E9", alpha=0.25)
        axes.scatter(x, y, s=9, facecolors="none", edgecolors="0.6", linewidths=0.7)
        arrows = {"angles": "xy", "scale_units": "xy", "scale": 1.0, "width": 0.005, "color": "#D55E00"}
        axes.quiver(x, y, *(1e3 * FACTOR * motion.T), **arrows)
        largest = 1e6 * np.linalg.norm(motion, axis=-1).max()
        axes.set_title(f"{title}\n(largest {largest:.0f} µm, drawn x{FACTOR:.0f})", fontsize=10)
        axes.set(aspect="equal", xlabel="x [mm]")
    figure.axes[0].set_ylabel("y [mm]")
    figure.savefig(path)


if __name__ == "__main__":
    main()
