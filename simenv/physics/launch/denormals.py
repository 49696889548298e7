# SPDX-License-Identifier: Apache-2.0
"""Launches between which numbers too small for single precision are zero.

What comes to rest decays: below 1e-38 a number in single precision has fewer digits, and an operation with it takes a
hundred times as long on x86. Robots that stand took a seventh more time for these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace

import torch
import warp as wp

from simenv._exclusive import built_once
from simenv.physics.launch.capture import launch

__all__ = ["Flush", "flush_kernels"]

# bits 15 and 6 of the control register: results, and operands, that are so small count as zero
_BEGIN = """
#if !defined(__CUDACC__) && defined(__x86_64__)
    kept.data[0] = (int)__builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr((unsigned)kept.data[0] | 0x8040u);
#endif
"""
_END = """
#if !defined(__CUDACC__) && defined(__x86_64__)
    __builtin_ia32_ldmxcsr((unsigned)kept.data[0]);
#endif
"""


@built_once
def flush_kernels() -> SimpleNamespace:
    """The kernels `begin` and `end`, of one thread, of which the first keeps what the second sets again."""
    forward = {"module": "simenv_denormals", "enable_backward": False}

    @wp.func_native(_BEGIN)
    def flush(kept: wp.array(dtype=wp.int32)): ...

    @wp.func_native(_END)
    def restore(kept: wp.array(dtype=wp.int32)): ...

    @wp.kernel(**forward)
    def begin(kept_out: wp.array(dtype=wp.int32)):
        flush(kept_out)

    @wp.kernel(**forward)
    def end(kept_in: wp.array(dtype=wp.int32)):
        restore(kept_in)

    return SimpleNamespace(begin=begin, end=end)


class Flush:
    """Puts launches that one thread runs between such as make these numbers zero, where that helps: in single precision
    on a CPU.

    Args:
        dtype: of the numbers; device: Warp's.

    Attributes:
        kernels: what it launches.
    """

    def __init__(self, dtype: torch.dtype, device: wp.Device):
        self._device, self._helps = device, dtype == torch.float32 and device.is_cpu
        both = flush_kernels()
        self.kernels = (both.begin, both.end) if self._helps else ()
        self._kept = wp.zeros(1, dtype=wp.int32, device=device) if self._helps else None

    def __call__(self, commands: Sequence[Callable[[], None]]) -> list[Callable[[], None]]:
        """The commands, and those around them."""
        if not self._helps:
            return list(commands)
        begin, end = (partial(launch, kernel, 1, [self._kept], device=self._device) for kernel in self.kernels)
        return [begin, *commands, end]
