# SPDX-License-Identifier: Apache-2.0
"""Surface compliance of an elastic half space and of a layer bonded to a rigid base.

Displacements under uniform pressure and shear on rectangles, for E = 1 Pa: they scale with 1/E. The half space has
closed forms (Love 1929; Cerruti's solution as in Johnson 1985, equations 3.7, integrated over the rectangle). A layer
adds a smooth part, the difference of the two in wave numbers, which decays like exp(-2 k h) and is summed by
quadrature.

Signs: z points out of the gel; a pressure p > 0 makes an indentation w = -u_z > 0; a traction q acts on the gel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["half_space", "influence_tables", "layer_transfer"]

WAVES = 600  # quadrature points over wave numbers
LARGEST = 24.0  # in 1/h: exp(-2 * 24) is far below rounding
RADII = 6000  # of the radial table of the smooth part
REACH = 24.0  # in h: farther away a layer does not move


def layer_transfer(alpha: np.ndarray, poisson: float) -> dict[str, np.ndarray]:
    """Response of a bonded layer to waves of pressure and traction, relative to a half space with nu = 0.

    Plane strain waves exp(i k x) solve Navier's equations with u_x = i f(z), u_z = g(z), f and g linear in z times
    exp(+-k z); the four numbers follow from u = 0 at the base and the load at the surface. Antiplane ones give tanh.

    Args:
        alpha: k h, (n,) positive; thickness h.
        poisson: nu in (-1, 0.5].

    Returns:
        Arrays (n,): `zz` with w = zz 2 p / (E k), `ll` with u = ll 2 q / (E k) for traction along the wave, `ss` the
        same across it, and `lz` with u = i lz 2 p / (E k) along the wave.
    """
    a = np.asarray(alpha, dtype=np.float64)
    kappa = 3.0 - 4.0 * poisson
    decay = np.exp(-a)  # of exp(k z) at the base, and of exp(-k (z + h)) at the surface
    # unknowns (a1, a2, a3, a4) in units of 1/k: f = (a1 + a2 z) e^{kz} + (a3 + a4 z) e^{-k(z+h)}, z in units of 1/k,
    # g = (a1 - kappa a2 + a2 z) e^{kz} + (-a3 - kappa a4 - a4 z) e^{-k(z+h)}
    one = np.ones_like(a)
    base_f = np.stack([decay, -a * decay, one, -a], -1)
    base_g = np.stack([decay, (-kappa - a) * decay, -one, -kappa + a], -1)
    # f' + k g, and g' + nu / (1 - 2 nu) (g' - k f), at z = 0, divided by k
    shear = np.stack([2 * one, (1 - kappa) * one, -2 * decay, (1 - kappa) * decay], -1)
    press = np.stack(
        [one, (1 - kappa - 2 * poisson) * one, decay, (kappa - 1 + 2 * poisson) * decay],
        -1,
    )
    system = np.stack([base_f, base_g, shear, press], -2)
    modulus = 1.0 / (2.0 * (1.0 + poisson))  # G for E = 1
    loads = np.zeros((len(a), 4, 2))
    loads[:, 3, 0] = -1.0 / (2.0 * modulus)  # unit pressure: sigma_zz = 2 G press = -1
    loads[:, 2, 1] = 1.0 / modulus  # unit traction: G shear = 1
    x = np.linalg.solve(system, loads)
    f = x[:, 0] + x[:, 2] * decay[:, None]
    g = x[:, 0] - kappa * x[:, 1] - (x[:, 2] + kappa * x[:, 3]) * decay[:, None]
    return {
        "zz": -0.5 * g[:, 0],
        "ll": 0.5 * f[:, 1],
        "ss": 0.5 * np.tanh(a) / modulus,
        "lz": 0.5 * f[:, 0],
    }


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


def _smooth_part(radii: np.ndarray, thickness: float, poisson: np.ndarray) -> dict[str, np.ndarray]:
    """Layer minus half space by point loads, for E = 1: isotropic parts over radius, (M, radii) [m/Pa per m^2]."""
    import torch

    nodes, weights = np.polynomial.legendre.leggauss(WAVES)
    k = 0.5 * LARGEST / thickness * (nodes + 1.0)
    dk = 0.5 * LARGEST / thickness * weights
    argument = torch.as_tensor(radii[:, None] * k[None])
    j0 = torch.special.bessel_j0(argument).numpy()
    j1 = torch.special.bessel_j1(argument).numpy()
    small = argument.numpy() < 1e-8
    j2 = np.where(small, 0.0, 2.0 * j1 / np.where(small, 1.0, argument.numpy()) - j0)
    parts: dict[str, list[np.ndarray]] = {"zz": [], "even": [], "turning": [], "outwards": []}
    for nu in poisson:
        layer = layer_transfer(k * thickness, nu)
        flat = {"zz": 1 - nu**2, "ll": 1 - nu**2, "ss": 1 + nu, "lz": 0.5 * (1 - 2 * nu) * (1 + nu)}
        # the measure k dk / (2 pi) cancels the 1/k of the responses 2 / k
        rest = {name: (layer[name] - flat[name]) * dk / math.pi for name in flat}
        parts["zz"].append(j0 @ rest["zz"])
        parts["even"].append(j0 @ (0.5 * (rest["ll"] + rest["ss"])))
        parts["turning"].append(-(j2 @ (0.5 * (rest["ll"] - rest["ss"]))))
        parts["outwards"].append(-(j1 @ rest["lz"]))
    return {name: np.stack(values) for name, values in parts.items()}


def _add_layer(
    tables: dict[str, np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    spacing: tuple[float, float],
    thickness: float,
    poisson: np.ndarray,
) -> None:
    """Turn tables of a half space into those of a layer: add the smooth part, averaged over the loaded rectangle."""
    far = REACH * thickness  # the layer's own response has decayed by exp(-pi/2 REACH)
    radii = np.linspace(0.0, min(1.5 * math.hypot(x.max() + spacing[0], y.max() + spacing[1]), far), RADII)
    smooth = _smooth_part(radii, thickness, poisson)
    order = max(3, math.ceil(4.0 * max(spacing) / thickness))
    nodes, weights = np.polynomial.legendre.leggauss(order)
    total = {name: np.zeros_like(table) for name, table in tables.items()}
    for p, wp in zip(nodes, weights, strict=True):
        for q, wq in zip(nodes, weights, strict=True):
            u, v = x + 0.5 * p * spacing[0], y + 0.5 * q * spacing[1]
            r = np.hypot(u, v)
            unit = np.where(r > 0, r, 1.0)
            cosine, sine = u / unit, v / unit
            double = cosine**2 - sine**2
            for m in range(len(poisson)):
                part = {name: 0.25 * wp * wq * np.interp(r, radii, values[m]) for name, values in smooth.items()}
                total["zz"][m] += part["zz"]
                total["xx"][m] += part["even"] + part["turning"] * double
                total["yy"][m] += part["even"] - part["turning"] * double
                total["xy"][m] += part["turning"] * 2.0 * cosine * sine
                total["xz"][m] += part["outwards"] * cosine
                total["yz"][m] += part["outwards"] * sine
    near = np.hypot(x, y) < far - math.hypot(*spacing)
    for name, table in tables.items():
        tables[name] = np.where(near, table + spacing[0] * spacing[1] * total[name], 0.0)


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
    each = [half_space(x, y, spacing, nu) for nu in poisson]
    tables = {name: np.stack([one[name] for one in each]) for name in each[0]}
    if thickness is not None:
        _add_layer(tables, x, y, spacing, thickness, np.asarray(poisson))
    return tables
