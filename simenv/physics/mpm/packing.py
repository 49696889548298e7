# SPDX-License-Identifier: Apache-2.0
"""How densely a liquid's particles are packed, and what the volume ratio J makes of it, with the exact adjoint.

J follows from the velocity gradient at a particle, and its error adds up: with eight particles in a cell the divergence
that they see differs from that of the flow which carries them. Liquid that is agitated packs ever more densely while J
stays at 1; one that has hit a wall is held some way off it by a J that took the gap for compression. So every node
compares its density with that at rest, and on a wall of the domain with that two cells further in,

    theta = 2^n m / (rho dx^3),   n: number of the domain's walls on which the node lies
    gap = theta_in - theta        on a wall, where it is positive, else 0
    e = (theta - 1) (f(theta) + inside (1 - f(theta))) - gap^2 / (gap + WALL_ONSET)

in its fourth component, which is gathered with the velocity, E = sum w e. Beside a wall m is that of the liquid and of
its mirror image, and a node beyond it has what its image has. f is 1 where the node is too dense, and fades out where
it is too thin: at a free surface nodes are not full, which says nothing. `inside` tells that no surface is near: it
goes from 0 to 1 as the emptiest of the node's six neighbours goes from LOW to HIGH, and is 0 on walls. With
x = E - (1 / J - 1), s = 1 - J, r = -E - LEAST

    J <- J (1 - RATE x^2 / (x + SCATTER))           if x > 0: packed more densely than J says, so it gives way
    J <- J + FILL soft(r) s^2 / (s + PRESSED)       if r > 0 and J < 1: pressed although there is room

and soft(x) = x^2 / (x + ONSET), so that all of it has a continuous derivative. There is never a tension that pulls
particles together, which would make clumps of them. A pool at rest keeps its pressure: it is what momentum balances.
Where in their cells particles are, velocities of the grid can hardly change; `placing.py` does.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.svd import scalar_types, svd_functions

RATE = 0.025
"""Share of an excess density that J takes up in a substep."""

FILL = 0.5
"""Share of its compression that a particle loses in a substep where there is room, times the room."""

SCATTER = 0.1
"""Excess densities below this, about that by which they scatter, matter less and less."""

ONSET = 0.01
"""Room below this matters less and less."""

WALL_ONSET = 0.05
"""The same of gaps."""

LOW, HIGH = 0.4, 0.8
"""Beside a node below LOW a surface may be; a flat one that leaves HIGH of a node fills the next to 1 %."""

NOISE = 0.03
"""A node that lacks more than this may be at a free surface."""

LEAST = 0.01
"""Room below this is noise: more than what a node without a gap may lack, 16 NOISE / (25 sqrt(5))."""

PRESSED = 0.01
"""Compressions below this matter less and less, such as those near the surface of a pool."""


@built_once
def packing_functions(real: type) -> SimpleNamespace:
    """Build the Warp functions for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        A namespace of Warp functions:

        * ``excess(theta, inside, gap) -> e`` and ``excess_slopes(theta, inside, gap)``, its derivatives, of a node
        * ``fullness(theta)``, whose product over neighbours is `inside`, and ``fullness_slope(theta)``
        * ``soft(x, width)`` and ``soft_slope(x, width)``
        * ``pack(J, E) -> J_new`` and ``pack_adjoint(J, E, adj_J_new) -> (adj_J, adj_E)`` of a particle

    Raises:
        ValueError: if ``real`` is not a supported type.
    """
    scalar_types(real)
    rate, fill, onset, wall_onset = (wp.constant(real(value)) for value in (RATE, FILL, ONSET, WALL_ONSET))
    scatter = wp.constant(real(SCATTER))
    noise, pressed, least = (wp.constant(real(value)) for value in (NOISE, PRESSED, LEAST))
    low, span = wp.constant(real(LOW)), wp.constant(real(HIGH - LOW))
    zero, one, two = wp.constant(real(0.0)), wp.constant(real(1.0)), wp.constant(real(2.0))

    @wp.func
    def soft(x: real, width: real) -> real:
        return x * x / (x + width)

    @wp.func
    def soft_slope(x: real, width: real) -> real:
        return x * (x + two * width) / ((x + width) * (x + width))

    @wp.func
    def fullness(theta: real) -> real:
        y = wp.clamp((theta - low) / span, zero, one)
        return y * y * (real(3.0) - two * y)

    @wp.func
    def fullness_slope(theta: real) -> real:
        y = wp.clamp((theta - low) / span, zero, one)
        return real(6.0) * y * (one - y) / span

    @wp.func
    def fade(x: real):
        # f and the derivative of x f
        f = one
        slope = one
        if x <= -noise:
            f = zero
            slope = zero
        elif x < zero:
            y = x * x / (noise * noise)
            f = (one - y) * (one - y)
            slope = (one - y) * (one - real(5.0) * y)
        return f, slope

    @wp.func
    def excess(theta: real, inside: real, gap: real) -> real:
        x = theta - one
        f, _slope = fade(x)
        e = x * (f + inside * (one - f))
        if gap > zero:
            e = e - soft(gap, wall_onset)
        return e

    @wp.func
    def excess_slopes(theta: real, inside: real, gap: real):
        # by theta, inside and gap
        x = theta - one
        f, slope = fade(x)
        by_gap = zero
        if gap > zero:
            by_gap = -soft_slope(gap, wall_onset)
        return slope + inside * (one - slope), x * (one - f), by_gap

    @wp.func
    def pack(J: real, E: real) -> real:
        x = E - (one / J - one)
        if x > zero:
            return J * (one - rate * soft(x, scatter))
        room = -E - least
        if room > zero and J < one:
            return J + fill * soft(room, onset) * soft(one - J, pressed)
        return J

    @wp.func
    def pack_adjoint(J: real, E: real, adj_J_new: real):
        x = E - (one / J - one)
        if x > zero:
            adj_x = -adj_J_new * J * rate * soft_slope(x, scatter)
            return adj_J_new * (one - rate * soft(x, scatter)) + adj_x / (J * J), adj_x
        room = -E - least
        if room > zero and J < one:
            kept = one - fill * soft(room, onset) * soft_slope(one - J, pressed)
            return adj_J_new * kept, -adj_J_new * fill * soft_slope(room, onset) * soft(one - J, pressed)
        return adj_J_new, zero

    return SimpleNamespace(
        excess=excess, excess_slopes=excess_slopes, fullness=fullness, fullness_slope=fullness_slope, pack=pack,
        pack_adjoint=pack_adjoint, soft=soft, soft_slope=soft_slope,
    )  # fmt: skip


@built_once
def growth_functions(real: type, packs: bool) -> SimpleNamespace:
    """What the volume ratio is multiplied by in a substep.

    Args:
        real: ``wp.float32`` or ``wp.float64``.
        packs: that of the map that carries particles, which a ratio must follow that is compared with a density; else
            its linear part.

    Returns:
        A namespace of Warp functions of dt times the velocity gradient, ``growth(step)`` and, its derivative,
        ``growth_slope(step)``.
    """
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)
    cofactor = svd_functions(real).cofactor

    @wp.func
    def mapped(step: mat33) -> real:
        return wp.determinant(wp.identity(n=3, dtype=real) + step)

    @wp.func
    def mapped_slope(step: mat33) -> mat33:
        return cofactor(wp.identity(n=3, dtype=real) + step)

    @wp.func
    def linear(step: mat33) -> real:
        return real(1.0) + wp.trace(step)

    @wp.func
    def linear_slope(step: mat33) -> mat33:
        return wp.identity(n=3, dtype=real)

    if packs:
        return SimpleNamespace(growth=mapped, growth_slope=mapped_slope)
    return SimpleNamespace(growth=linear, growth_slope=linear_slope)
