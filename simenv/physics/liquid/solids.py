# SPDX-License-Identifier: Apache-2.0
"""The launches of colliders in an incompressible liquid: what they leave open of the grid, what particles do that meet
them, and what they feel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import warp as wp

from simenv.geometry.shapes import Cup
from simenv.physics.launch.slots import Flat, Launch, Memory, Slot
from simenv.physics.liquid.kernels_measure import measure_kernels
from simenv.physics.liquid.kernels_meet import meet_kernels
from simenv.physics.liquid.kernels_press import press_kernels
from simenv.physics.liquid.kernels_solids import solid_kernels
from simenv.physics.mpm.contact import AT_WALL
from simenv.physics.mpm.model import ColliderSpec
from simenv.physics.mpm.shape_table import ShapeTable
from simenv.physics.pressure.levels import View, plain

__all__ = ["Solids"]

THICK = 0.3  # of a cell that a shell is thickened by on both sides, where it closes faces
SPACING = 0.25  # of a cell, the least between the values of a mesh that shares are made of
MARGIN = 0.05  # of a cell that particles stay away from walls
WIDTH = 0.25  # of a cell, at least, over which what sticks holds particles


def thickening(spec: ColliderSpec, dx: float) -> float:
    """By how much a shell is thickened on both sides [m], so that somewhere in it faces of cells lie: a mesh may be
    thin, a cup is not.
    """
    is_thin = (spec.levels or 0) & AT_WALL and not all(isinstance(each, Cup) for each in spec.shapes)
    return THICK * dx if is_thin else 0.0


class Solids:
    """The colliders of some worlds.

    Args:
        specs: at least one; box: of cells, `kernels_window.Box`; ticks: of a control step; dt: of a tick [s].
        memory: makes slots; real, vec3, mat33: Warp's types.

    Attributes:
        inputs: by name: poses and twists of all ticks, friction and scale; motion: names of the former.
        thick: what each is thickened by [m].
        force, torque: sums over ticks, of each collider (N, Cl, 3), about their origins.
    """

    def __init__(
        self, specs: Sequence[ColliderSpec], box: Any, ticks: int, dt: float, memory: Memory, real: type, vec3: type,
        mat33: type,
    ):  # fmt: skip
        self.count, self._ticks, self._dt, self._box, self._memory = len(specs), ticks, dt, box, memory
        self._solid, self._meet = solid_kernels(real), meet_kernels(real)
        self._measure, self._press = measure_kernels(real), press_kernels(real)
        slot, every = memory.slot, ticks * self.count
        self.inputs: dict[str, Slot] = {
            "position": slot(vec3, every), "rotation": slot(mat33, every), "velocity": slot(vec3, every),
            "omega": slot(vec3, every), "friction": slot(real, self.count), "scale": slot(real, self.count),
        }  # fmt: skip
        self.force, self.torque = slot(vec3, self.count), slot(vec3, self.count)
        device = memory.wp_device
        dx = box.dx
        self._shapes = ShapeTable(specs, memory.worlds, real, vec3, device)
        self._coarse = ShapeTable(specs, memory.worlds, real, vec3, device, SPACING * dx)
        thick = [thickening(spec, dx) for spec in specs]
        self._is_thin = all(each > 0.0 for each in thick)  # then distances at corners are good enough
        self.thick = wp.array(thick, dtype=real, device=device)
        self._widths = [max(spec.width, WIDTH * dx) for spec in specs]
        self._sticky = [int(spec.sticky) for spec in specs]
        self._motion = [Flat(self.inputs[name]) for name in ("position", "velocity", "omega")]
        self.motion = ("position", "rotation", "velocity", "omega")

    @property
    def array(self) -> Any:
        """The struct of `contact_functions` that kernels read, once slots have memory."""
        made, shapes = self._measure.Colliders(), self._coarse
        made.count, made.substeps = self.count, self._ticks
        made.shape, made.sdf_values, made.lower, made.upper = shapes.shape, shapes.values, shapes.lower, shapes.upper
        for name, each in self.inputs.items():
            setattr(made, name, Flat(each).array)
        return made

    @property
    def adjoint_array(self) -> Any:
        """The adjoints of poses."""
        made = self._measure.ColliderAdjoints()
        for name in ("position", "rotation"):
            setattr(made, name, Flat(self.inputs[name]).adjoint_array)
        return made

    def cut(self, tick: int, lanes: Any, corners: tuple[int, ...], w: Mapping[str, Any]) -> list[Any]:
        """What the colliders leave open in a tick's window."""
        k, window, measured = self._measure, w["window"], [w["phi"], w["owner"]]
        points = (corners[0], 2 * corners[1] - 1, *corners[2:])
        head, made = [self._box, tick], []
        given: list[Any] = [window, self]
        if self._is_thin:
            rough, ends = [w["phi0"], w["owner0"]], [2, self.thick, lanes]
            made.append(Launch(k.measure, corners, [*head, *ends], given, rough, k.unmeasure))
            made.append(Launch(k.between, corners, [lanes], [window, *rough], measured))
        else:
            ends = [1, self.thick, lanes]
            made.append(Launch(k.measure, points, [*head, *ends], given, measured, k.unmeasure))
        constants = [self._box, self.count, self._ticks, tick, self.thick, lanes]
        outputs = [w[name] for name in ("open", "solid", "held", "can", "free")]
        return [*made, Launch(self._solid.cut, corners, constants, [window, *measured, *self._motion], outputs)]

    def narrow(self, kind: str, dim: tuple[int, ...], w: Mapping[str, Any], inputs: str, outputs: str) -> Launch:
        """A launch of `relieve`, `shade`, `flux` or `bind` between things by name."""
        given, made = ([w[name] for name in names.split()] for names in (inputs, outputs))
        return Launch(getattr(self._solid, kind), dim[:2], [], [w["window"], *given], made)

    def look(self, lanes: Any, cells: tuple[int, ...], w: Mapping[str, Any]) -> list[Launch]:
        """What fills the emptiest cell around each, ``least``."""
        names, made = ("sight", "least0", "least1", "least"), []
        for axis in range(3):
            inputs = [w["window"], w["open"], w[names[axis]]]
            made.append(Launch(self._solid.look, cells, [axis, lanes], inputs, [w[names[axis + 1]]]))
        return made

    def press(
        self, tick: int, cells: tuple[int, ...], given: Mapping[str, Slot], w: Mapping[str, Any], felt: Sequence[Slot]
    ) -> Launch:  # fmt: skip
        """What the pressure does to colliders, which is added to forces and torques."""
        constants = [self._box, self._box.dx**3 / self._dt, self._dt, self.count, self._ticks, tick, self.thick]
        names = [w[name] for name in ("window", "phi", "owner")]
        inputs = [*names, given["density"], given["gravity"], w["open"], w["p"], w["pushed"], self._motion[0]]
        return Launch(self._press.press, cells[:2], constants, inputs, felt)

    @property
    def motion_of(self) -> list[Flat]:
        """Velocities and angular velocities of all ticks, in one line."""
        return self._motion[1:]

    def meet(
        self, tick: int, given: Mapping[str, Slot], before: Slot, w: Mapping[str, Any], after: Mapping[str, Slot],
        motion: Sequence[Flat], felt: Sequence[Slot],
    ) -> list[Launch]:  # fmt: skip
        """Particles meet one collider after the other; what they have is ``x0`` and ``v0`` of the work. `motion` is as
        `motion_of`; to `felt`, forces and torques, what colliders feel is added.
        """
        k, shapes, coarse, made = self._meet, self._shapes, self._coarse, []
        every = (self._memory.worlds, before.size[1])
        position, (velocity, omega) = self._motion[0], motion
        turn, active = Flat(self.inputs["rotation"]), given["active"]
        for c in range(self.count):
            last = c == self.count - 1
            x, v = w[f"x{c}"], w[f"v{c}"]
            ends = [after["x"], after["v"]] if last else [w[f"x{c + 1}"], w[f"v{c + 1}"]]
            margin = MARGIN * self._box.dx
            fine, rough = [shapes.shape, shapes.values], [coarse.shape, coarse.values]
            head = [c, self.count, self._ticks, tick, self._dt, margin]
            moving = [position, turn, velocity, omega]
            width, sticky, found = (
                self._widths[c],
                self._sticky[c],
                [w[f"{name}{c}"] for name in ("plane", "near", "touches")],
            )
            table = [*head, width * sticky, *fine, shapes.lower, shapes.upper, *rough]
            made.append(plain(k.look, every, table, [active, before, x, *moving, self.inputs["scale"]], found))
            known = [View(partial(getattr, each, "tensor"), each.kind) for each in found]
            given_of = [given[name] for name in ("volume", "density", "viscosity")]
            inputs = [*known, *given_of, before, x, v, *moving, self.inputs["friction"], self.inputs["scale"]]
            constants = [*head, width, sticky, *fine, self._box]
            made.append(Launch(k.meet, every, constants, inputs, [*ends, *felt]))
        return made
