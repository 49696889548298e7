# SPDX-License-Identifier: Apache-2.0
"""Transcendental functions and sums, number by number: every result takes the same instructions, wherever it lies.

They compute in double precision, so that single precision is the correctly rounded result but for one case in millions.
Arguments are addresses of contiguous memory, whose Warp arrays are made here: making them in Python takes longer than
the work.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["exact_kernels"]


@built_once
def exact_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `exp`, `log`, `sigmoid` of n numbers, `sincos` of n, whose results are n sines and then n
        cosines, `atan2` of two times n, and `total`, sums of `count` numbers that are `inner` apart.
        `simenv.physics.exact` has their derivatives, so no adjoint is generated.
    """
    options = {"module": f"simenv_exact_{real.__name__}", "enable_backward": False}
    wide = wp.float64

    @wp.kernel(**options)
    def exp(n: int, x_in: wp.uint64, y_out: wp.uint64):
        i = wp.tid()
        x, y = wp.array(ptr=x_in, shape=(n,), dtype=real), wp.array(ptr=y_out, shape=(n,), dtype=real)
        y[i] = real(wp.exp(wide(x[i])))

    @wp.kernel(**options)
    def log(n: int, x_in: wp.uint64, y_out: wp.uint64):
        i = wp.tid()
        x, y = wp.array(ptr=x_in, shape=(n,), dtype=real), wp.array(ptr=y_out, shape=(n,), dtype=real)
        y[i] = real(wp.log(wide(x[i])))

    @wp.kernel(**options)
    def sigmoid(n: int, x_in: wp.uint64, y_out: wp.uint64):
        i = wp.tid()
        x, y = wp.array(ptr=x_in, shape=(n,), dtype=real), wp.array(ptr=y_out, shape=(n,), dtype=real)
        value = wide(x[i])
        small = wp.exp(-wp.abs(value))  # never overflows
        y[i] = real(wp.where(value < wide(0.0), small, wide(1.0)) / (wide(1.0) + small))

    @wp.kernel(**options)
    def sincos(n: int, x_in: wp.uint64, y_out: wp.uint64):
        i = wp.tid()
        x, y = wp.array(ptr=x_in, shape=(n,), dtype=real), wp.array(ptr=y_out, shape=(2 * n,), dtype=real)
        value = wide(x[i])
        y[i] = real(wp.sin(value))
        y[n + i] = real(wp.cos(value))

    @wp.kernel(**options)
    def atan2(n: int, y_in: wp.uint64, x_in: wp.uint64, angle_out: wp.uint64):
        i = wp.tid()
        y, x = wp.array(ptr=y_in, shape=(n,), dtype=real), wp.array(ptr=x_in, shape=(n,), dtype=real)
        angle = wp.array(ptr=angle_out, shape=(n,), dtype=real)
        angle[i] = real(wp.atan2(wide(y[i]), wide(x[i])))

    @wp.kernel(**options)
    def total(n: int, count: int, inner: int, x_in: wp.uint64, y_out: wp.uint64):
        i = wp.tid()
        x, y = wp.array(ptr=x_in, shape=(n * count,), dtype=real), wp.array(ptr=y_out, shape=(n,), dtype=real)
        first = (i // inner) * count * inner + i % inner
        result, lost = wide(0.0), wide(0.0)
        for k in range(count):  # with what rounding loses carried along (Kahan 1965)
            term = wide(x[first + k * inner]) - lost
            longer = result + term
            lost = (longer - result) - term
            result = longer
        y[i] = real(result)

    return SimpleNamespace(exp=exp, log=log, sigmoid=sigmoid, sincos=sincos, atan2=atan2, total=total)
