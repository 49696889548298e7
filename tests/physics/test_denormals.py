# SPDX-License-Identifier: Apache-2.0
"""Between `Flush`'s launches numbers too small for single precision are zero, and after them as before."""

import platform

import numpy as np
import pytest
import torch
import warp as wp

from simenv import _warp
from simenv.physics.launch.capture import launch, load, record
from simenv.physics.launch.denormals import Flush

TINY = np.float32(1e-40)


@wp.kernel(enable_backward=False)
def halve(x_in: wp.array(dtype=wp.float32), x_out: wp.array(dtype=wp.float32)):
    i = wp.tid()
    x_out[i] = 0.5 * x_in[i]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors are as fast with them")
def test_they_are_zero_between_and_are_there_after():
    _warp.start()
    device = wp.get_device("cpu")
    x = wp.array(np.array([TINY, 1.0], dtype=np.float32), device=device)
    inside, after = (wp.zeros(2, dtype=wp.float32, device=device) for _ in range(2))
    flush = Flush(torch.float32, device)

    def half(out):
        return lambda: launch(halve, 2, [x], [out], device=device)

    load([halve, *flush.kernels], device)
    commands = [*flush([half(inside)]), half(after)]
    graph = record([halve, *flush.kernels], lambda: [command() for command in commands], device)
    for _ in range(2):
        wp.capture_launch(graph)
        assert inside.numpy().tolist() == [0.0, 0.5]
        assert after.numpy().tolist() == [float(np.float32(0.5) * TINY), 0.5]
    assert np.float32(0.5) * TINY > 0.0  # nor is the thread of the caller other than before


def test_double_precision_is_left_alone():
    flush = Flush(torch.float64, wp.get_device("cpu"))
    assert flush.kernels == () and flush([print]) == [print]
