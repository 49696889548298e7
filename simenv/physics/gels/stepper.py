# SPDX-License-Identifier: Apache-2.0
"""The launches of all gels of a world in a tick.

With a gradient each tick keeps the stick displacements, the poses seen, the force fields and what led to them; without,
two sets take turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import warp as wp

from simenv.physics.gels.launches import ElasticLaunches, Touching, gel_launches
from simenv.physics.gels.model import GelMount
from simenv.physics.launch.programs import Phase
from simenv.physics.launch.slots import Slot
from simenv.physics.solver import Desk, Stepper, Tensors

__all__ = ["GelsStepper"]


class GelsStepper(Stepper):
    """Steps the gels against the frames.

    Args:
        mounts: where they sit; sensors: their taxels, laws and objects; lead: how far ahead they see [s]; desk: what to
            work with.
    """

    def __init__(self, mounts: Sequence[GelMount], sensors: Sequence[Touching], lead: float, desk: Desk):
        self.frames = desk.frames
        self.gels = [gel_launches(m, s, lead, desk.frames) for m, s in zip(mounts, sensors, strict=True)]

    def begin(self) -> None:
        """Forget the solves that failed."""
        for gel in self.gels:
            if isinstance(gel, ElasticLaunches):
                gel.failed.tensor.zero_()

    def forward(self, tick: int, keep: bool) -> list[Phase]:
        """Each gel sees, answers and pushes."""
        return [self.frames.phase([launch for gel in self.gels for launch in gel.tick(tick, keep)])]

    def backward(self, tick: int) -> list[Phase]:
        """The adjoint of `forward`."""
        return [self.frames.phase([launch for gel in self.gels for launch in gel.tick(tick, True)], True)]

    def kernels(self, backward: bool) -> Iterable[wp.Kernel]:
        """Those of the launches."""
        for gel in self.gels:
            for launch in gel.tick(0, True):
                yield from launch.kernels()

    def _named(self, each: Sequence[Mapping[str, Slot]]) -> dict[str, Slot]:
        return {f"{name}{g}": slot for g, slots in enumerate(each) for name, slot in slots.items()}

    def load(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """``stick0``, ``rotation0``, ``offset0`` and the law's numbers of gel 0, and so on."""
        for name, slot in self._named([gel.entries() for gel in self.gels]).items():
            slot.tensor.copy_(inputs[name])

    def results(self, keep: bool) -> Tensors:
        """``stick0``, ``rotation0``, ``offset0``, ``field0``, ``depth0`` and ``total0`` of gel 0, and so on."""
        return {name: slot.tensor for name, slot in self._named([gel.results(keep) for gel in self.gels]).items()}

    def seed(self, adjoints: Mapping[str, torch.Tensor]) -> None:
        """Adjoints of the results."""
        for name, slot in self._named([gel.results(True) for gel in self.gels]).items():
            if name in adjoints and not name.startswith("failed"):
                slot.adjoint.copy_(adjoints[name])

    def adjoints(self) -> Tensors:
        """Adjoints of what was loaded."""
        return {name: slot.adjoint for name, slot in self._named([gel.entries() for gel in self.gels]).items()}
