# SPDX-License-Identifier: Apache-2.0
"""How the surface of an elastic layer moves along itself under forces spread over rectangles, in closed form but for
one smooth integral.

The layer has thickness h, is bonded to a rigid base and wide. Its response to a traction of wave number k is exact
(Navier's equations with u = 0 at the base); the response to a rectangle is that of a half space, known in closed form
(Boussinesq and Cerruti; Johnson, Contact Mechanics, 1985, sections 3.2 to 3.6), plus the difference of layer and half
space, which is smooth on the scale of h and comes from a Hankel transform. The half space alone would be wrong for a
gel: at nu = 1/2 a press moves its surface nowhere, whereas a bonded layer is squeezed out from under the load.
"""

from __future__ import annotations

import math

import numpy as np
import torch

__all__ = ["layer_compliance", "surface_influence"]

REACH = (
    24.0  # thicknesses beyond which a load is not felt: the response falls like exp(-0.739 r / h) or faster, to 2e-8
)
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


def _smooth_table(poisson: float, largest: float) -> np.ndarray:
    """Difference of layer and half space at multiples of `TABLE_STEP` up to `largest` thicknesses: (3, K), integrals
    over k h with J0, J2 and J1, to be divided by 2 pi mu h.
    """
    at = np.arange(-1, math.ceil(largest / TABLE_STEP) + 4) * TABLE_STEP
    nodes, weights = np.polynomial.legendre.leggauss(200 + math.ceil(LARGEST_WAVE * largest))
    x, weights = 0.5 * LARGEST_WAVE * (nodes + 1.0), 0.5 * LARGEST_WAVE * weights
    along, across, squeezed = layer_compliance(x, poisson)
    along, across, squeezed = along - (1.0 - poisson), across - 1.0, squeezed + 0.5 * (1.0 - 2.0 * poisson)
    z = torch.as_tensor(at[:, None] * x)  # torch's Bessel functions are good to 4e-7, their integrals here to 3e-9
    j0, j1 = torch.special.bessel_j0(z).numpy(), torch.special.bessel_j1(z).numpy()
    safe = np.where(z == 0.0, 1.0, z.numpy())
    j2 = np.where(z == 0.0, 0.0, 2.0 * j1 / safe - j0)
    return np.stack(
        [j0 @ (weights * 0.5 * (along + across)), j2 @ (weights * 0.5 * (along - across)), j1 @ (weights * squeezed)]
    )


def _interpolate(table: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Columns of the table at `ratio` thicknesses, by cubics through four neighbours: (3, ...)."""
    place = ratio / TABLE_STEP
    first = np.floor(place).astype(np.int64)
    t = place - first  # the table starts one step before zero
    weights = (
        -t * (t - 1.0) * (t - 2.0) / 6.0,
        (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
        -(t + 1.0) * t * (t - 2.0) / 2.0,
        (t + 1.0) * t * (t - 1.0) / 6.0,
    )
    result = weights[0] * table[:, first]
    for i in range(1, 4):
        result += weights[i] * table[:, first + i]
    return result


def _times_asinh(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The integral a asinh(b / |a|), and its limit 0 at a = 0."""
    return a * np.arcsinh(b / np.where(a == 0.0, 1.0, np.abs(a)))


def _half_space(x: np.ndarray, y: np.ndarray, size: tuple[float, float], poisson: float) -> np.ndarray:
    """2 pi mu times the displacement at (x, y) from a rectangle's middle, under unit force spread over it: (..., 2, 3).

    Integrals of Cerruti's and Boussinesq's point solutions over the rectangle (antiderivatives at its corners).
    """
    total = np.zeros((5, *x.shape))
    for sx, sy in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
        a, b = x + 0.5 * sx * size[0], y + 0.5 * sy * size[1]
        a_part, b_part, r2 = _times_asinh(a, b), _times_asinh(b, a), a * a + b * b
        log = 0.5 * np.log(np.where(r2 == 0.0, 1.0, r2))
        turn, other = np.arctan2(b * np.sign(a), np.abs(a)), np.arctan2(a * np.sign(b), np.abs(b))
        # of x^2/r^3, y^2/r^3, x y/r^3, x/r^2, y/r^2
        total += sx * sy * np.stack([b_part, a_part, -np.sqrt(r2), b * log + a * turn, a * log + b * other])
    xx, yy, xy, x1, y1 = total / (size[0] * size[1])
    inward = -0.5 * (1.0 - 2.0 * poisson)
    rows = [
        np.stack([xx + (1.0 - poisson) * yy, poisson * xy, inward * x1], -1),
        np.stack([poisson * xy, yy + (1.0 - poisson) * xx, inward * y1], -1),
    ]
    return np.stack(rows, -2)


def _smooth(x: np.ndarray, y: np.ndarray, table: np.ndarray, thickness: float) -> np.ndarray:
    """2 pi mu times the difference of layer and half space at (x, y) from a point load: (..., 2, 3)."""
    r = np.hypot(x, y)
    even, twice, once = _interpolate(table, r / thickness) / thickness
    safe = np.where(r == 0.0, 1.0, r)
    c, s = x / safe, y / safe
    rows = [
        np.stack([even - twice * (c * c - s * s), -2.0 * twice * c * s, once * c], -1),
        np.stack([-2.0 * twice * c * s, even + twice * (c * c - s * s), once * s], -1),
    ]
    return np.stack(rows, -2)


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
    diagonal = 0.5 * math.hypot(*size)
    table = _smooth_table(poisson, REACH + 2.0 * diagonal / thickness)
    count = [max(3, math.ceil(3.0 * side / thickness)) for side in size]
    (gx, wx), (gy, wy) = (np.polynomial.legendre.leggauss(n) for n in count)
    offsets = np.stack([np.repeat(gx, count[1]) * 0.5 * size[0], np.tile(gy, count[0]) * 0.5 * size[1]], -1)
    weights = np.repeat(wx, count[1]) * np.tile(wy, count[0]) / 4.0
    result = np.zeros((len(points), len(patches), 2, 3))
    for m, point in enumerate(points):
        apart = point - patches
        near = np.hypot(apart[:, 0], apart[:, 1]) <= REACH * thickness + diagonal
        x, y = apart[near, 0], apart[near, 1]
        spread = _smooth(x[:, None] - offsets[:, 0], y[:, None] - offsets[:, 1], table, thickness)
        result[m, near] = _half_space(x, y, size, poisson) + np.einsum("g,pgij->pij", weights, spread)
    return result * (1.0 + poisson) / math.pi  # 1 / (2 pi mu) with mu = E / (2 (1 + nu))
