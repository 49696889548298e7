# SPDX-License-Identifier: Apache-2.0
"""Where a liquid's window keeps what belongs to cells, and to their lower corners and faces; steps between them."""

import warp as wp

__all__ = ["cell", "corner", "step"]


@wp.func
def cell(n: wp.vec3i, i: int, j: int, k: int) -> int:
    """Place of cell i, j, k in a window of n cells."""
    return (i * n[1] + j) * n[2] + k


@wp.func
def corner(n: wp.vec3i, i: int, j: int, k: int) -> int:
    """Place of its lower corner, and of what is kept there, in one that has those of the upper sides too."""
    return (i * (n[1] + 1) + j) * (n[2] + 1) + k


@wp.func
def step(axis: int) -> wp.vec3i:
    """To the next one along an axis."""
    return wp.vec3i(int(axis == 0), int(axis == 1), int(axis == 2))
