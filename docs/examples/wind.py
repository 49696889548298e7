# SPDX-License-Identifier: Apache-2.0
"""A solver in one file: wind that drags on all free bodies. CONTRIBUTING explains it, tests/docs/test_wind.py runs it.

The wind's velocity u follows a set one with a time constant, and pushes a body of velocity v with drag (u - v).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import warp as wp

from simenv.physics.direct import warp_real
from simenv.physics.launch.programs import Phase
from simenv.physics.launch.slots import Launch, Slot
from simenv.physics.solver import Desk, Field, Parameter, Solver, Step, Stepper, Tensors

LAG = 0.1  # in which the wind follows what is set [s]


@cache
def wind_kernels(real: type) -> SimpleNamespace:
    """The kernels `blow` and `follow` for one scalar type; their adjoints are generated."""
    vec3 = wp.types.vector(length=3, dtype=real)
    options = {"module": f"simenv_wind_{real.__name__}", "enable_backward": True}

    @wp.kernel(**options)
    def blow(
        rows: wp.array(dtype=int),
        drag_in: wp.array(dtype=real),
        wind_in: wp.array(dtype=vec3),
        velocity_in: wp.array2d(dtype=vec3),
        force_inout: wp.array2d(dtype=vec3),
    ):
        w, i = wp.tid()
        b = rows[i]
        wp.atomic_add(force_inout, w, b, drag_in[w] * (wind_in[w] - velocity_in[w, b]))

    @wp.kernel(**options)
    def follow(
        share: real, speed_in: wp.array(dtype=vec3), wind_in: wp.array(dtype=vec3), wind_out: wp.array(dtype=vec3)
    ):
        w = wp.tid()
        wind_out[w] = wind_in[w] + share * (speed_in[w] - wind_in[w])

    return SimpleNamespace(blow=blow, follow=follow, real=real, vec3=vec3)


class WindStepper(Stepper):
    """The wind of some worlds. With a gradient each tick keeps the velocity that it starts from.

    Args:
        free: rows of the bodies in the table of frames; desk: what to work with.
    """

    def __init__(self, free: Sequence[int], desk: Desk):
        self.desk, self.frames, self._free = desk, desk.frames, len(free)
        self._kernels = k = wind_kernels(warp_real(desk.dtype))
        self._rows = wp.array(np.array(free, dtype=np.int32), dtype=int, device=desk.memory.wp_device)
        self._inputs = {"speed": desk.memory.slot(k.vec3), "drag": desk.memory.slot(k.real)}
        self._velocities: list[Slot] = []

    def _velocity(self, number: int) -> Slot:
        """The wind (N, 3), numbered as the poses of the table of frames."""
        while len(self._velocities) <= number:
            self._velocities.append(self.desk.memory.slot(self._kernels.vec3))
        return self._velocities[number]

    def _tick(self, tick: int, keep: bool) -> list[Launch]:
        k, frames, worlds = self._kernels, self.frames, self.desk.worlds
        before, after = frames.before(tick, keep), frames.after(tick, keep)
        force, _ = frames.wrench(frames.scratch(tick, keep))
        _, _, velocity, _ = frames.pose(before)
        wind, speed, drag = self._velocity(before), self._inputs["speed"], self._inputs["drag"]
        return [
            Launch(k.blow, (worlds, self._free), [self._rows], [drag, wind, velocity], [force]),
            Launch(k.follow, (worlds,), [self.desk.dt / LAG], [speed, wind], [self._velocity(after)]),
        ]

    def forward(self, tick: int, keep: bool) -> list[Phase]:
        """The wind blows, and changes."""
        return [self.frames.phase(self._tick(tick, keep))]

    def backward(self, tick: int) -> list[Phase]:
        """The adjoint of `forward`."""
        return [self.frames.phase(self._tick(tick, True), reverse=True)]

    def kernels(self, backward: bool) -> Iterable[wp.Kernel]:
        """Those of the launches."""
        return [self._kernels.blow, self._kernels.follow]

    def _entries(self) -> dict[str, Slot]:
        return {**self._inputs, "velocity": self._velocity(0)}

    def load(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """``speed``, ``drag`` and ``velocity``."""
        for name, slot in self._entries().items():
            slot.tensor.copy_(inputs[name])

    def results(self, keep: bool) -> Tensors:
        """The ``velocity`` at the end."""
        return {"velocity": self._velocity(self.frames.before(self.desk.ticks, keep)).tensor}

    def seed(self, adjoints: Mapping[str, torch.Tensor]) -> None:
        """The adjoint of the velocity at the end."""
        if "velocity" in adjoints:
            self._velocity(self.desk.ticks).adjoint.copy_(adjoints["velocity"])

    def adjoints(self) -> Tensors:
        """Adjoints of what was loaded."""
        return {name: slot.adjoint for name, slot in self._entries().items()}


class Wind(Solver):
    """The wind of N worlds.

    Args:
        free: rows of the free bodies; speed: of the wind that is set [m/s]; drag: on each of them [N s/m].
    """

    name = "wind"

    def __init__(self, free: Sequence[int], speed: tuple[float, float, float], drag: float):
        super().__init__()
        self.free = free
        self.fields = {"wind_velocity": Field((3,), "m/s", "velocity of the wind, world axes", compared=True)}
        self.parameters = {
            "wind.speed": Parameter(speed, "m/s", lower=-math.inf),
            "wind.drag": Parameter(drag, "N s/m"),
        }

    def starts_from(self) -> Sequence[str]:
        """A wind that is not finite stops its world before the step."""
        return ("wind_velocity",)

    def pack(self, values: Mapping[str, torch.Tensor]) -> Tensors:
        """``speed`` (N, 3) and ``drag`` (N,)."""
        return {"speed": values["wind.speed"], "drag": values["wind.drag"]}

    def before(self, step: Step, packed: Tensors) -> Tensors:
        """The inputs of a stepper."""
        return {**packed, "velocity": step.state.wind_velocity}

    def results(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """The velocity at the end."""
        return {"velocity": ((3,), None)}

    def after(self, state: Any, inputs: Tensors, out: Tensors) -> Tensors:
        """The field of the state."""
        return {"wind_velocity": out["velocity"]}

    def open(self, desk: Desk) -> Stepper:
        """A stepper for the worlds of a desk."""
        return WindStepper(self.free, desk)
