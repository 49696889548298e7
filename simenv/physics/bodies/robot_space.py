# SPDX-License-Identifier: Apache-2.0
"""What the kernels of robots work in, and do not keep from launch to launch."""

from __future__ import annotations

from typing import Any

import warp as wp

from simenv.physics.bodies.kernels_rows import padded

__all__ = ["WorkSpace", "by_address"]

# fields by their length, where that is not the number of links
RATES = (
    "axis_spin", "axis_speed", "rest", "acceleration", "rates", "v", "easing", "g", "d", "pull", "soft", "active",
    "start", "lead", "low", "high", "inverse", "weight", "least", "most", "row", "taken", "taken_step",
    "load",
)  # fmt: skip
OF_CONTACTS = (
    "law", "gap", "normal", "held", "group", "arm", "count", "given", "was", "now", "step", "bound", "push",
    "given_spin", "spun", "step_spin", "press",
)  # fmt: skip
OF_LOOPS = ("loop_apart", "loop_askew", "loop_given", "loop_given_spin", "loop_pull", "loop_twist")
KEPT = ("sizes",)  # read by another launch than the one that wrote it


def by_address(struct: Any, device: Any) -> wp.array:
    """An array of one struct: by value, its dozens of arrays would be copied in every call of a function."""
    made = wp.array([struct], dtype=struct._cls, device=device)
    made.of = struct  # whose arrays these are
    return made


class WorkSpace:
    """Makes structs of arrays (N, ...).

    Where one thread has all worlds, one after the other, each is as long as one world and all worlds write to it, which
    keeps it in the processor's caches.

    Args:
        worlds: N; together: whether one thread has them all.
        links, positions, rates: of all trees, L, nq and nv.
        room: how many contacts may act; width: of a group of them, in columns of its Jacobian. loops: each a group.
        device: Warp's.
    """

    def __init__(
        self, worlds: int, together: bool, links: int, positions: int, rates: int, room: int, width: int, loops: int,
        device: Any,
    ):  # fmt: skip
        self._worlds, self._together, self._links, self._device = worlds, together, links, device
        wide = padded(rates)
        self._sizes = {**dict.fromkeys(RATES, wide), **dict.fromkeys(("a", "h"), rates * wide), "q": positions}
        self._sizes |= dict.fromkeys(("column", "jacobian"), (room + loops) * width)
        self._sizes |= {**dict.fromkeys(OF_CONTACTS, room), "sizes": 5, "count": room + loops}
        self._sizes |= dict.fromkeys(OF_LOOPS, loops)

    def make(self, struct: Any, kept: bool = False, **sizes: int) -> Any:
        """A struct; `sizes` are lengths of fields that differ from those of the same name in others. One that is
        `kept` from launch to launch has each world's own.
        """
        made, sizes = struct(), self._sizes | sizes
        for name, var in struct.vars.items():
            inner = (sizes.get(name, self._links), *((10,) if var.type.ndim == 3 else ()))
            setattr(made, name, self._array(inner, var.type.dtype, self._together and not kept and name not in KEPT))
        return made

    def _array(self, inner: tuple[int, ...], dtype: Any, shared: bool) -> wp.array:
        if not shared:
            return wp.zeros((self._worlds, *inner), dtype=dtype, device=self._device)
        one = wp.zeros((1, *inner), dtype=dtype, device=self._device)
        shape, strides = (self._worlds, *inner), (0, *one.strides[1:])
        made = wp.array(ptr=one.ptr, shape=shape, strides=strides, dtype=dtype, device=self._device)
        made.of = one  # whose memory it is
        return made
