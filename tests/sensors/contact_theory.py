# SPDX-License-Identifier: Apache-2.0
"""Closed forms and integral equations of contact mechanics, computed without the code under test."""

import math

import numpy as np


def hannah(alpha, nu):
    """Response of a bonded layer over that of a half space at wave number alpha / h (Johnson 1985, section 5.8)."""
    kappa = 3 - 4 * nu
    small = np.minimum(alpha, 300.0)
    bottom = 2 * kappa * np.cosh(2 * small) + 1 + kappa**2 + 4 * small**2
    return (2 * kappa * np.sinh(2 * small) - 4 * small) / bottom


def sphere_on_layer(a, radius, thickness, modulus, nu, order=60):
    """Depth [m] and force [N] of a rigid paraboloid whose contact has the radius `a` on a bonded layer.

    The dual integral equations of Lebedev and Ufliand (1958) as a Fredholm equation of the second kind:
    phi(t) - int_0^a phi(s) 2/pi int_0^inf (1 - L(k h)) cos(k t) cos(k s) dk ds = E*/pi (d - t^2 / R), phi(a) = 0,
    F = 2 pi int_0^a phi dt; solved by Nystrom's method on Gauss points.
    """
    nodes, weights = np.polynomial.legendre.leggauss(order)
    t, w = 0.5 * a * (nodes + 1), 0.5 * a * weights
    waves, dk = np.polynomial.legendre.leggauss(400)
    k, dk = 15.0 * (waves + 1) / thickness, 15.0 * dk / thickness
    rest = (1 - hannah(k * thickness, nu)) * dk * 2 / math.pi

    def kernel(x):
        return (np.cos(np.outer(x, k)) * rest) @ np.cos(np.outer(k, t)) * w

    star = modulus / (1 - nu**2) / math.pi
    right = star * np.stack([np.ones_like(t), t**2 / radius], -1)
    phi = np.linalg.solve(np.eye(order) - kernel(t), right)
    edge = star * np.array([1.0, a * a / radius]) + (kernel(np.array([a])) @ phi)[0]
    depth = edge[1] / edge[0]
    return depth, 2 * math.pi * float(w @ (phi[:, 0] * depth - phi[:, 1]))


def dimitriadis(chi, nu):
    """Stiffening of a bonded layer to third order in chi = sqrt(R d) / h (Dimitriadis et al. 2002, equation 10)."""
    a = -(1.2876 - 1.4678 * nu + 1.3442 * nu**2) / (1 - nu)
    b = (0.6387 - 1.0277 * nu + 1.5164 * nu**2) / (1 - nu)
    third = a**3 + 4 * math.pi**2 / 15 * b
    return 1 - 2 * a / math.pi * chi + 4 * a**2 / math.pi**2 * chi**2 - 8 / math.pi**3 * third * chi**3


def twist(c, a, peak, mu, shear_modulus):
    """Angle and torque of a Hertz contact that sticks within r < c (Lubkin 1951), by quadrature.

    u_theta = int psi(s) s / (G r sqrt(r^2 - s^2)) ds gives psi = 4 G beta t / pi where it sticks and
    psi = 2/pi t int_t^a mu p / sqrt(r^2 - t^2) dr where it slips; both agree at c; T = 4 pi int psi t dt.
    """
    x, w = np.polynomial.legendre.leggauss(80)
    angle, dangle = 0.25 * math.pi * (x + 1), 0.25 * math.pi * w

    def pull(t):  # int_t^a mu p / sqrt(r^2 - t^2) dr with r^2 = t^2 + (a^2 - t^2) sin^2
        span = a * a - t * t
        r = np.sqrt(t[:, None] ** 2 + span[:, None] * np.sin(angle) ** 2)
        return mu * peak / a * ((span[:, None] * np.cos(angle) ** 2 / r) @ dangle)

    beta = 0.5 * float(pull(np.array([c]))[0]) / shear_modulus
    t, dt = c + 0.5 * (a - c) * (x + 1), 0.5 * (a - c) * w
    inner = 4 * shear_modulus * beta / math.pi * c**3 / 3
    return beta, 4 * math.pi * (inner + float(dt @ (2 / math.pi * t * t * pull(t))))


def mindlin_loss(amplitude, full, limit):
    """Work lost in a cycle of displacement between +- amplitude (Mindlin and Deresiewicz 1953; Johnson 1985, 7.47).

    Args:
        amplitude: of the displacement [m], below `full`.
        full: displacement at which everything slips [m].
        limit: mu P [N].
    """
    top = 1 - (1 - amplitude / full) ** 1.5
    load = np.linspace(top, -top, 20001)
    way = full * (2 * (1 - 0.5 * (top - load)) ** (2 / 3) - (1 - top) ** (2 / 3) - 1)
    return 2 * limit * abs(np.trapezoid(load, way))


def layer_transfer(alpha, poisson):
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
    a = np.asarray(alpha, dtype=float)
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
