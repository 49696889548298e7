# SPDX-License-Identifier: Apache-2.0
"""A rigid ball on an elastic layer bonded to a rigid base: force, contact radius, stiffness against sliding.

With the surface's response to a wave number k a factor 1 - g(k h) that of a half space, the mixed problem

    int_0^inf A(k) (1 - g(k h)) J0(k r) dk = u(r) in r < a,    int_0^inf k A(k) J0(k r) dk = 0 in r > a,

whose pressure is E* / 2 times the second integral, becomes by A(k) = int_0^a phi(t) cos(k t) dt and Abel's inversion an
equation of the second kind on a smooth kernel,

    phi(t) = (2 / pi) (U(t) + int_0^a phi(s) M(t, s) ds),    M(t, s) = int_0^inf g(k h) cos(k t) cos(k s) dk,

with U = d - t / 2 log((R + t) / (R - t)) for a ball in the depth d, and the force pi E* int_0^a phi dt (Lebedev,
Ufliand 1958, for the layer; Sneddon 1965 for the ball). The pressure ends smoothly where phi(a) = 0. Pushed sideways
without slip, the circle moves as a whole: U is constant, and the response the mean of those along and across the wave,
which is exact for a half space (Mindlin 1949).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simenv.physics.gels.compliance import LARGEST_WAVE, layer_compliance, layer_indentation

__all__ = ["BallContact", "ball_on_layer"]

RADII, WAVES = 48, 240  # Gauss-Legendre points
WIDEST = 10.0  # sqrt(R d) / h that these resolve
HALVINGS = 36  # of the bracket of the contact radius


@dataclass(frozen=True)
class BallContact:
    """A ball pressed into a layer.

    Attributes:
        force: [N].
        radius: of the contact circle [m].
        sideways: force per displacement along the surface, without slip [N/m].
    """

    force: float
    radius: float
    sideways: float


def _solve(a: float, thickness: float, excess, *loads) -> list[tuple[float, float]]:
    """The integral of phi, and its value at a, for some U(t) on the radius a.

    Args:
        a: [m].
        thickness: [m].
        excess: g(k h), which vanishes for large k h.
        loads: functions U(t).
    """
    t, w = np.polynomial.legendre.leggauss(RADII)
    t, w = 0.5 * a * (t + 1.0), 0.5 * a * w
    x, v = np.polynomial.legendre.leggauss(WAVES)
    k, v = 0.5 * LARGEST_WAVE * (x + 1.0) / thickness, 0.5 * LARGEST_WAVE * v / thickness
    waves = np.cos(np.outer(np.append(t, a), k))
    kernel = (2.0 / np.pi) * (waves * (v * excess(k * thickness))) @ waves[:-1].T * w
    phi = np.linalg.solve(np.eye(RADII) - kernel[:-1], (2.0 / np.pi) * np.stack([load(t) for load in loads], -1))
    edge = (2.0 / np.pi) * np.array([float(load(np.array(a))) for load in loads]) + kernel[-1] @ phi
    return [(float(w @ phi[:, i]), float(edge[i])) for i in range(len(loads))]


def ball_on_layer(modulus: float, poisson: float, thickness: float, radius: float, depth: float) -> BallContact:
    """The contact of a rigid ball, frictionless in the normal direction.

    Args:
        modulus: Young's modulus E [Pa].
        poisson: nu, from 0 to 0.5.
        thickness: h of the layer [m].
        radius: R of the ball [m].
        depth: d of its lowest point below the surface at rest [m].

    Raises:
        ValueError: a number is out of range, or the contact is too wide for the layer.
    """
    if not 0.0 <= poisson <= 0.5:
        raise ValueError(f"poisson = {poisson!r} must lie in [0, 0.5]; rubber has about 0.48")
    if not (modulus > 0.0 and radius > 0.0 and 0.0 < depth < min(radius, thickness)):
        raise ValueError(
            f"modulus = {modulus!r} Pa and radius = {radius!r} m must be positive, and depth = {depth!r} m between 0 "
            f"and the radius and thickness = {thickness!r} m; press less deeply, or make the gel thicker"
        )
    if not np.sqrt(radius * depth) <= WIDEST * thickness:
        raise ValueError(
            f"sqrt(radius * depth) = {np.sqrt(radius * depth):.3g} m is more than {WIDEST} times the thickness "
            f"{thickness!r} m; such a contact is a wide flat load: leave radius and depth out"
        )
    shear = modulus / (2.0 * (1.0 + poisson))

    def pressed(x: np.ndarray) -> np.ndarray:
        return 1.0 - layer_indentation(x, poisson) / (1.0 - poisson)

    def pushed(x: np.ndarray) -> np.ndarray:
        along, across, _ = layer_compliance(x, poisson)
        return 1.0 - (along + across) / (2.0 - poisson)

    def at(a: float) -> tuple[float, float]:
        (flat, flat_edge), (curved, curved_edge) = _solve(
            a, thickness, pressed, lambda t: np.ones_like(t), lambda t: -t * np.arctanh(t / radius)
        )
        needed = -curved_edge / flat_edge  # the depth at which the pressure ends at a
        return needed, np.pi * 2.0 * shear / (1.0 - poisson) * (needed * flat + curved)

    # an incompressible thin layer, which flows aside, has the widest contact, a = 2 sqrt(R d)
    low, high = 0.0, min(radius, 2.05 * np.sqrt(radius * depth))
    for _ in range(HALVINGS):
        a = 0.5 * (low + high)
        low, high = (a, high) if at(a)[0] < depth else (low, a)
    ((stuck, _),) = _solve(a, thickness, pushed, lambda t: np.ones_like(t))
    return BallContact(float(at(a)[1]), float(a), float(np.pi * 4.0 * shear / (2.0 - poisson) * stuck))
