# SPDX-License-Identifier: Apache-2.0
"""How the surface of an elastic half space, or of a layer bonded to a rigid base, moves under loads on rectangles.

For E = 1 Pa: displacements scale with 1/E. The half space has closed forms (Love 1929; Cerruti's solution as in Johnson
1985, equations 3.7, integrated over the rectangle). A layer of thickness h responds exactly to a load of wave number k
(Navier's equations with u = 0 at the base); its response to a rectangle is that of the half space plus the difference
of the two, which decays like exp(-2 k h), so that it is smooth on the scale of h, and comes from a Hankel transform.
The half space alone would be wrong for a gel: at nu = 1/2 a press moves its surface nowhere along itself, whereas a
bonded layer is squeezed out from under the load.

Signs: z points out of the gel; a pressure p > 0 makes an indentation w = -u_z > 0; a traction q acts on the gel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["half_space", "influence_tables", "layer_compliance", "layer_indentation", "surface_influence"]

# Thicknesses beyond which a load is not felt: the response falls like exp(-0.739 r / h) or faster, to 2e-8.
REACH = 24.0
LARGEST_WAVE = 20.0  # k h at which layer and half space agree to rounding (the difference falls like exp(-2 k h))
TABLE_STEP = 1.0 / 64.0  # of the table of smooth parts, in thicknesses: cubic interpolation is exact to 1e-8


def layer_compliance(wave: np.ndarray, poisson: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Surface displacement of a bonded layer under a traction that varies as exp(i k s), times mu k over the traction.

    From Navier's equations with u = 0 at the base, solved for the two motions that don't mix: in the plane of s and
    the normal, and across it.

    Args:
        wave: k h.
        poisson: nu.

    Returns:
        Along s under shear along s; across s under shear across s; and along s under pressure, where u = -i times
        this times the pressure. With mu the shear modulus.
    """
    x, kappa = np.asarray(wave, dtype=np.float64), 3.0 - 4.0 * poisson
    s = np.exp(-2.0 * x)  # hyperbolic functions are multiplied by this, lest they overflow
    sinh, cosh, square = 0.5 * (1.0 - s * s), 0.5 * (1.0 + s * s), 0.25 * (1.0 - s) ** 2
    below = kappa * cosh + (2.0 * x * x + 5.0 - 12.0 * poisson + 8.0 * poisson**2) * s
    along = (1.0 - poisson) * (kappa * sinh + 2.0 * x * s) / below
    across = (1.0 - s) / (1.0 + s)
    squeezed = (x * x * s - kappa * (1.0 - 2.0 * poisson) * square) / below
    return along, across, squeezed


def layer_indentation(wave: np.ndarray, poisson: float) -> np.ndarray:
    """Indentation of a bonded layer by a pressure that varies as exp(i k s), times mu k over the pressure.

    Hannah 1951, as in Johnson 1985, section 5.8.

    Args:
        wave: k h.
        poisson: nu.
    """
    x, kappa = np.asarray(wave, dtype=np.float64), 3.0 - 4.0 * poisson
    s = np.exp(-2.0 * x)  # hyperbolic functions are multiplied by this, lest they overflow
    above = kappa * (1.0 - s * s) - 4.0 * x * s
    below = kappa * (1.0 + s * s) + (1.0 + kappa**2 + 4.0 * x * x) * s
    return (1.0 - poisson) * above / below


def _corners(function, x: np.ndarray, y: np.ndarray, a: float, b: float) -> np.ndarray:
    """A double integral over the rectangle of half sides a, b about the source, seen from (x, y)."""
    return function(x + a, y + b) - function(x + a, y - b) - function(x - a, y + b) + function(x - a, y - b)


def _asinh_ratio(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y asinh(x / |y|), 0 at y = 0."""
    size = np.abs(y)
    return np.where(size > 0, y * np.arcsinh(x / np.where(size > 0, size, 1.0)), 0.0)


def half_space(x: np.ndarray, y: np.ndarray, sides: tuple[float, float], poisson: float) -> dict[str, np.ndarray]:
    """Displacements of a half space at (x, y) by unit loads on a rectangle about the origin, for E = 1 [m/Pa].

    Args:
        x: coordinates [m].
        y: coordinates of the same shape [m].
        sides: of the rectangle along x and y [m].
        poisson: nu.

    Returns:
        `zz`, `xx`, `yy`, `xy` (displacement along the first axis by a load along the second), and `xz`, `yz`:
        tangential displacement by pressure, which points inwards for nu < 1/2.
    """
    a, b = 0.5 * sides[0], 0.5 * sides[1]
    shear = 1.0 / (2.0 * (1.0 + poisson))
    xx = _corners(_asinh_ratio, x, y, a, b)  # of X^2 / rho^3
    yy = _corners(lambda p, q: _asinh_ratio(q, p), x, y, a, b)
    xy = _corners(lambda p, q: -np.hypot(p, q), x, y, a, b)
    inverse = xx + yy  # of 1 / rho

    def outward(p: np.ndarray, q: np.ndarray) -> np.ndarray:  # of X / rho^2
        square = np.where(p * p + q * q > 0, p * p + q * q, 1.0)
        return 0.5 * q * np.log(square) + p * np.arctan(q / np.where(p == 0, 1e-300, p))

    inwards = -(1.0 - 2.0 * poisson) / (4.0 * math.pi * shear)
    return {
        "zz": (1.0 - poisson**2) / math.pi * inverse,
        "xx": ((1.0 - poisson) * inverse + poisson * xx) / (2.0 * math.pi * shear),
        "yy": ((1.0 - poisson) * inverse + poisson * yy) / (2.0 * math.pi * shear),
        "xy": poisson * xy / (2.0 * math.pi * shear),
        "xz": inwards * _corners(outward, x, y, a, b),
        "yz": inwards * _corners(lambda p, q: outward(q, p), x, y, a, b),
    }


def _smooth_table(poisson: Sequence[float], largest: float) -> np.ndarray:
    """Difference of layer and half space under point loads at multiples of `TABLE_STEP` up to `largest` thicknesses.

    Returns:
        (4, M, K), to be divided by h: indentation by pressure, the even and the turning part of sideways motion by
        traction, and motion away from a pressure.
    """
    import torch

    at = np.arange(-1, math.ceil(largest / TABLE_STEP) + 4) * TABLE_STEP
    nodes, weights = np.polynomial.legendre.leggauss(200 + math.ceil(LARGEST_WAVE * largest))
    x, weights = 0.5 * LARGEST_WAVE * (nodes + 1.0), 0.5 * LARGEST_WAVE * weights
    z = torch.as_tensor(at[:, None] * x)  # torch's Bessel functions are good to 4e-7, their integrals here to 3e-9
    j0, j1 = torch.special.bessel_j0(z).numpy(), torch.special.bessel_j1(z).numpy()
    safe = np.where(z == 0.0, 1.0, z.numpy())
    j2 = np.where(z == 0.0, 0.0, 2.0 * j1 / safe - j0)
    table = []
    for nu in poisson:
        along, across, squeezed = layer_compliance(x, nu)
        along, across, squeezed = along - (1.0 - nu), across - 1.0, squeezed + 0.5 * (1.0 - 2.0 * nu)
        pressed = layer_indentation(x, nu) - (1.0 - nu)
        w = weights * (1.0 + nu) / math.pi  # 1 / (2 pi mu) with mu = E / (2 (1 + nu))
        table.append([j0 @ (w * pressed), j0 @ (0.5 * w * (along + across)), -j2 @ (0.5 * w * (along - across)),
                      j1 @ (w * squeezed)])  # fmt: skip
    return np.asarray(table).transpose(1, 0, 2)


def _interpolate(table: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Columns of a table (..., K) at `ratio` thicknesses, by cubics through four neighbours."""
    place = ratio / TABLE_STEP
    first = np.floor(place).astype(np.int64)
    t = place - first  # the table starts one step before zero
    weights = (
        -t * (t - 1.0) * (t - 2.0) / 6.0,
        (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
        -(t + 1.0) * t * (t - 2.0) / 2.0,
        (t + 1.0) * t * (t - 1.0) / 6.0,
    )
    result = weights[0] * table[..., first]
    for i in range(1, 4):
        result += weights[i] * table[..., first + i]
    return result


def _patch_response(
    x: np.ndarray, y: np.ndarray, sides: tuple[float, float], poisson: Sequence[float], thickness: float | None
) -> dict[str, np.ndarray]:
    """What `half_space` gives, for M values of nu and perhaps a layer: arrays (M, ...)."""
    each = [half_space(x, y, sides, nu) for nu in poisson]
    result = {name: np.stack([one[name] for one in each]) for name in each[0]}
    if thickness is None:
        return result
    diagonal, distance = 0.5 * math.hypot(*sides), np.hypot(x, y)
    near = distance <= REACH * thickness + diagonal
    table = _smooth_table(poisson, (float(distance[near].max()) + diagonal) / thickness if near.any() else 1.0)
    (gx, wx), (gy, wy) = (np.polynomial.legendre.leggauss(max(3, math.ceil(3.0 * s / thickness))) for s in sides)
    u, v, sums = x[near], y[near], dict.fromkeys(result, 0.0)
    for px, weight_x in zip(0.5 * sides[0] * gx, wx, strict=True):
        for py, weight_y in zip(0.5 * sides[1] * gy, wy, strict=True):
            dx, dy = u - px, v - py
            r = np.hypot(dx, dy)
            share = 0.25 * weight_x * weight_y * sides[0] * sides[1] / thickness
            pressed, even, turning, away = share * _interpolate(table, r / thickness)
            safe = np.where(r == 0.0, 1.0, r)
            c, s = dx / safe, dy / safe
            double = turning * (c * c - s * s)
            parts = {"zz": pressed, "xx": even + double, "yy": even - double, "xy": 2.0 * turning * c * s,
                     "xz": away * c, "yz": away * s}  # fmt: skip
            sums = {name: sums[name] + part for name, part in parts.items()}
    for name, values in result.items():
        values[:, ~near] = 0.0
        values[:, near] += sums[name]
    return result


def influence_tables(
    rows: int, columns: int, spacing: tuple[float, float], poisson: Sequence[float], thickness: float | None
) -> dict[str, np.ndarray]:
    """Displacements of taxels by unit loads on taxels, over their difference of indices, for E = 1 [m/Pa].

    Args:
        rows: of the grid.
        columns: of the grid.
        spacing: along x and y [m].
        poisson: M values of nu in (-1, 0.5].
        thickness: of a bonded layer [m], or `None` for a half space.

    Returns:
        Arrays (M, 2 rows - 1, 2 columns - 1) under the names of `half_space`; the middle is a taxel on itself.
    """
    x, y = np.meshgrid(np.arange(1 - columns, columns) * spacing[0], np.arange(1 - rows, rows) * spacing[1])
    return _patch_response(x, y, spacing, poisson, thickness)


def surface_influence(
    points: np.ndarray, patches: np.ndarray, size: tuple[float, float], poisson: float, thickness: float
) -> np.ndarray:
    """Displacement along the surface at `points` per force spread over rectangles, for Young's modulus 1 Pa.

    Args:
        points: (M, 2) [m].
        patches: (P, 2) middles of equal rectangles [m].
        size: sides of a rectangle along x and y [m].
        poisson: nu, in (-1, 0.5].
        thickness: h of the layer [m].

    Returns:
        (M, P, 2, 3) float64 [1/m, times Pa]: along x and y, under a force along x, along y, and pressing inwards.
    """
    apart = points[:, None] - patches
    r = {name: t[0] for name, t in _patch_response(apart[..., 0], apart[..., 1], size, [poisson], thickness).items()}
    rows = [np.stack([r["xx"], r["xy"], r["xz"]], -1), np.stack([r["xy"], r["yy"], r["yz"]], -1)]
    return np.stack(rows, -2) / (size[0] * size[1])
