# SPDX-License-Identifier: Apache-2.0
"""How particles and moving frames act on each other: frames place their colliders, and take what these receive.

Where a tick has several substeps, a frame moves on at its twist between them, and takes the mean of their wrenches;
where a substep lasts several ticks, it takes the same force, at the same point, in each of them. Either way the
impulses are equal and opposite, and so are their moments.

What a collider receives that no frame feels is added up over all substeps, in the same order as in a world without
moving frames, so that these change no bit of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import warp as wp

from simenv.physics import exact
from simenv.physics.direct import warp_real
from simenv.physics.frames import Frames
from simenv.physics.launch.programs import Phase
from simenv.physics.launch.slots import Array, Launch, Slot
from simenv.physics.mpm.kernels_exchange import exchange_kernels
from simenv.physics.mpm.model import MPMModel

if TYPE_CHECKING:
    from simenv.physics.mpm.solver import MPMStepper

__all__ = ["Exchange"]

MOTION = ("position", "rotation", "velocity", "omega")


class Exchange:
    """The launches between a stepper of particles and the table of frames.

    Args:
        model: with colliders on moving frames; frames: the table; stepper: of the particles.
    """

    def __init__(self, model: MPMModel, frames: Frames, stepper: MPMStepper):
        self._model, self._frames, self._stepper = model, frames, stepper
        self.kernels = k = exchange_kernels(warp_real(frames.memory.dtype))
        device = frames.memory.wp_device
        mounted = [c for c, mount in enumerate(model.mounts) if mount >= 0]
        local = np.array([model.local[c] for c in mounted], dtype=np.float64)

        def array(values: np.ndarray | Sequence[int], kind: type) -> wp.array:
            return wp.array(np.ascontiguousarray(values), dtype=kind, device=device)

        self._count, self._told = len(mounted), [c for c, mount in enumerate(model.mounts) if mount < 0]
        told = [[mount < 0] for mount in model.mounts]
        self._is_told = torch.tensor(told, dtype=torch.bool, device=frames.memory.device)
        self._told_rows = array(np.array(self._told, dtype=np.int32), int)
        self._rows = [array(mounted, int), array([model.mounts[c] for c in mounted], int)]
        direct = [c for c in mounted if not (model.responds and model.answers[c])]  # which do not answer
        self._direct = [array(direct, int), array([model.mounts[c] for c in direct], int)]
        self._local = [array(local[:, :3], k.vec3), array(local[:, 3:], k.quat)]

    def _array(self, name: str) -> Array:
        arrays = self._stepper._arrays
        return Array(arrays[name], arrays.get(f"adj_{name}0"))

    def _wrench(self, name: str, k: int) -> Array:
        stepper = self._stepper
        adjoint = stepper._wrench_of(f"adj_{name}", k) if f"adj_{name}s" in stepper.tensors else None
        return Array(stepper._wrench_of(f"{name}0", k), adjoint)

    def place(self, tick: int, k: int, keep: bool, reverse: bool = False) -> list[Phase]:
        """Colliders of substep k are where their frames are in this tick; what others received is carried on."""
        model, frames, worlds = self._model, self._frames, self._frames.memory.worlds
        inner = max(model.substeps // frames.ticks, 1)
        ahead = (k % inner) * model.dt if inner > 1 else 0.0
        fixed = [k, model.substeps, len(model.colliders), ahead, *self._rows, *self._local]
        pose = frames.pose(frames.before(tick, keep))
        launch = Launch(self.kernels.place_colliders, (worlds, self._count), fixed, pose, [*map(self._array, MOTION)])
        launches = [launch]
        if k > 0 and self._told:
            fixed = [len(model.colliders), self._told_rows]
            before, now = ([self._wrench(name, each) for name in ("force", "torque")] for each in (k - 1, k))
            dim = (worlds, len(self._told))
            launches.append(Launch(self.kernels.carry, dim, fixed, before, now, differentiable=False))
        return [frames.phase(launches, reverse)]

    def total(self, each: torch.Tensor) -> torch.Tensor:
        """Sum over a control step (N, Cl, 3) of forces or torques, of what it left in each substep (K, N, Cl, 3)."""
        felt = exact.total(each.movedim(0, -1))
        if not self._told:
            return felt
        return torch.where(self._is_told, each[-1], felt)

    def gather(self, tick: int, keep: bool, reverse: bool = False) -> list[Phase]:
        """Frames that do not answer take what their colliders received: of the tick's substeps, or of the one that it
        lies in.
        """
        if not len(self._direct[0]):
            return []
        model, frames, worlds = self._model, self._frames, self._frames.memory.worlds
        K, T = model.substeps, frames.ticks
        inner = max(K // T, 1)
        substeps = range(tick * inner, (tick + 1) * inner) if K >= T else [tick * K // T]
        place = frames.pose(frames.before(tick, keep))[0]
        launches = []
        for k in substeps:
            fixed = [k, K, len(model.colliders), 1.0 / inner, *self._direct]
            inputs: list[Slot | Array] = [
                self._array("position"),
                self._wrench("force", k),
                self._wrench("torque", k),
                place,
            ]
            wrench = frames.wrench(frames.scratch(tick, keep))
            launches.append(Launch(self.kernels.gather_wrenches, (worlds,), fixed, inputs, wrench))
        return [frames.phase(launches, reverse)]
