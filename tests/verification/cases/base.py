# SPDX-License-Identifier: Apache-2.0
"""What a verification case is, and how the cases put walls where they say that walls are.

A wall of the engine holds grid nodes. With quadratic B-splines the first node that is free, one cell in front of the
last one that is held, still has half a cell of its support behind that one: the discrete momentum balance is that of
material which ends, at rest, half a cell *behind* the last held node. (Put into the weak form, the traction at any
other place leaves a boundary term p w(0) with w(0) = 1/8 for this node, which nothing balances.) The cases therefore
place the surface of a wall collider half a cell in front of the wall that they mean: `node_wall`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from simenv.geometry.shapes import Plane
from simenv.physics.mpm.contact import AT_NODES
from simenv.world import Scene

GRAVITY = 9.81  # [m/s^2]
HALF = np.sqrt(0.5)
UP, DOWN, RIGHT, LEFT = (0.0, 0.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0), (0.0, HALF, 0.0, HALF), (0.0, -HALF, 0.0, HALF)


@dataclass(frozen=True)
class Outcome:
    """What one run of a case measured.

    Attributes:
        errors: relative error of every quantity that the case has a limit for.
        curves: for the picture, label -> (x, y); a label that starts with "reference" is drawn as such.
        values: other numbers worth showing, with their unit in the name.
    """

    errors: dict[str, float]
    curves: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A comparison of the engine with a closed form or a measurement.

    Attributes:
        key: name of its files; title: of its section.
        equation: what is compared, Markdown; setup: the parameters, Markdown.
        source: author, year, equation.
        run: takes the resolution (`unit`) and returns the outcome.
        resolutions: three, coarse to fine; quick: the one of the default test run.
        limits: largest absolute error of every quantity in `Outcome.errors`.
        axes: labels of the picture of `Outcome.curves`.
        misses: quantity -> why it misses its limit at the finest resolution, and what was tried.
        slow: whether even the quick run is left to `make test-all`.
    """

    key: str
    title: str
    equation: str
    setup: str
    source: str
    run: Callable[[int], Outcome]
    resolutions: tuple[int, ...]
    quick: int
    unit: str
    limits: dict[str, float]
    axes: tuple[str, str] = ("", "")
    misses: dict[str, str] = field(default_factory=dict)
    slow: bool = False


def node_wall(scene: Scene, name: str, wall, quaternion=UP, body: str | None = None, stick: bool = False) -> None:
    """Add a plane wall through the point `wall` [m], which must lie in the middle between two grid nodes, so that what
    touches it comes to rest there: the plane that holds nodes stands half a cell in front of it.

    Args:
        scene: gets the collider.
        name: of the collider.
        wall: a point on the wall; relative to the body, if there is one.
        quaternion: turns the normal (0, 0, 1) of the wall, which points into the material.
        body: that carries it.
        stick: whether it holds all components of the velocity.
    """
    x, y, z, w = quaternion
    normal = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
    # a thousandth of a cell more, so that rounding does not decide whether the node is held
    position = np.asarray(wall, dtype=float) + (0.5 + 1e-3) * scene.dx * normal
    scene.add_collider(name, Plane(), body, tuple(position), quaternion, stick=stick, levels=AT_NODES)


def step_count(duration: float, longest: float, substep: float) -> tuple[int, int]:
    """Control steps and substeps in each, so that control steps take at most `longest` and substeps `substep` [s]."""
    steps = int(np.ceil(duration / longest - 1e-9))
    return steps, int(np.ceil(duration / steps / substep - 1e-9))


def hydrostatic_ratio(head: np.ndarray, density: float, bulk: float) -> np.ndarray:
    """Volume ratio J at which p = K (1/J - 1) is rho g `head`."""
    return 1 / (1 + density * GRAVITY * np.maximum(head, 0.0) / bulk)


def fitted_frequency(times: np.ndarray, values: np.ndarray, guess: float) -> float:
    """Frequency [1/s] of a damped cosine with offset, by least squares."""
    from scipy.optimize import curve_fit

    def model(t, amplitude, phase, omega, rate, offset):
        return amplitude * np.exp(-rate * t) * np.cos(omega * t + phase) + offset

    scale = np.abs(values).max()
    start = (1.0, -np.pi / 2, 2 * np.pi * guess, 0.0, 0.0)
    found, _ = curve_fit(model, times, values / scale, start)
    return float(found[2] / (2 * np.pi))
