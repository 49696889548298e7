# SPDX-License-Identifier: Apache-2.0
"""The launches of a liquid's surface tension: from what fills cells to what it adds to the velocities of faces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import warp as wp

from simenv.physics.launch.slots import Launch
from simenv.physics.liquid.kernels_tension import tension_kernels

__all__ = ["PASSES", "Tension"]

PASSES = 2  # of smoothing along the three axes, before curvature is measured
RETURNING = 0.03  # of the speed of waves as long as a cell, at which what has left the surface returns to it


class Tension:
    """Surface tension of a liquid in some worlds.

    Args:
        real: Warp's type; cells: along the axes of the box; lanes, corners: of launches over cells and faces.
        dt: of a tick [s]; dx: of cells [m]; reach: faces beyond the surface.
    """

    def __init__(
        self, real: type, cells: tuple[int, int, int], lanes: Any, corners: tuple[int, ...], dt: float, dx: float,
        reach: int,
    ):  # fmt: skip
        self._kernels, self._cells, self._lanes = tension_kernels(real), wp.vec3i(*cells), lanes
        self._dim, self._corners = (corners[0], corners[1] - 1, *corners[2:]), corners
        self._factor, self._dx, self._reach = dt / dx**2, dx, reach

    @property
    def cells(self) -> list[str]:
        """Names of what a tick works in, of cells."""
        return [*(f"soft{each}" for each in range(3 * PASSES)), "level", "bent", "bent_near"]

    @property
    def faces(self) -> list[str]:
        """Names of what it works in, of faces."""
        drifts = [f"{name}{each + 1}" for each in range(self._reach) for name in ("reached", "drift", "spare")]
        return ["normal", "pull", "pulled", "shoved", "homed", *drifts]

    def _soften(self, w: Mapping[str, Any]) -> list[Launch]:
        """Launches that smooth what fills cells."""
        made, before = [], w["fill"]
        for each in range(3 * PASSES):
            constants, after = [each % 3, self._cells, self._lanes], w[f"soft{each}"]
            made.append(Launch(self._kernels.soften, self._dim, constants, [w["window"], before], [after]))
            before = after
        return made

    def pull(self, w: Mapping[str, Any], tension: Any) -> list[Launch]:
        """What the jump of pressure does to the velocities of faces; `tension` is that over the density [m^3/s^2]."""
        k, window, lanes = self._kernels, w["window"], self._lanes
        soft = w[f"soft{3 * PASSES - 1}"]
        given = [w[name] for name in ("fill", "bent_near", "steep", "star")]
        return [
            *self._soften(w),
            Launch(k.level, self._dim[:2], [], [window, soft], [w["level"]]),
            Launch(k.lean, self._corners, [self._cells, lanes], [window, w["level"]], [w["normal"]]),
            Launch(k.bend, self._dim, [lanes], [window, w["normal"]], [w["bent"]]),
            Launch(
                k.near, self._dim, [self._cells, lanes], [window, w["fill"], w["level"], w["bent"]], [w["bent_near"]]
            ),
            Launch(
                k.pull, self._corners, [lanes, self._factor], [window, tension, *given], [w["pull"], w["pulled"]]
            ),
        ]  # fmt: skip

    def cling(self, extend: wp.Kernel, w: Mapping[str, Any], tension: Any) -> list[Launch]:
        """What faces beyond the surface change by, so that particles stay at it; `extend` continues a velocity."""
        window, made = w["window"], []
        for each in range(self._reach):
            given = [w[f"ripe{each}"], w["star" if each == 0 else f"drift{each}"], w[f"room{each}"]]
            outputs = [w[f"{name}{each + 1}"] for name in ("reached", "drift", "spare")]
            made.append(Launch(extend, self._corners, [self._lanes], [window, *given], outputs))
        names = ("level", "ripe0", "star", f"reached{self._reach}", f"drift{self._reach}", f"change{self._reach}")
        inputs = [window, tension, *(w[name] for name in names)]
        constants = [self._cells, self._lanes, RETURNING**2 / self._dx]
        return [*made, Launch(self._kernels.cling, self._corners, constants, inputs, [w["homed"]])]

    def gain(self, w: Mapping[str, Any]) -> Launch:
        """What pressures and the jump change faces by."""
        inputs = [w["window"], w["shoved"], w["pull"]]
        return Launch(self._kernels.gain, self._corners[:2], [], inputs, [w["change0"]])
