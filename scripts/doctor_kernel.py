# SPDX-License-Identifier: Apache-2.0
"""The kernel that ``simenv doctor`` compiles; Warp needs the source in a module of its own."""

import warp as wp

wp.set_module_options({"enable_backward": False})


@wp.kernel
def square(values_in: wp.array(dtype=wp.float32), values_out: wp.array(dtype=wp.float32)):
    """values_out[i] = values_in[i]^2."""
    i = wp.tid()
    values_out[i] = values_in[i] * values_in[i]
