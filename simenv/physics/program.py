# SPDX-License-Identifier: Apache-2.0
"""The program of a control step: ticks of all steppers of a desk, forward and in reverse, as recorded graphs.

In each tick steppers take their turns: given frames are published, every soft solver steps against the frames and adds
the wrench that it exerted, and at last the bodies sum these and move; then, in the same order, those finish that
wait for how bodies have moved. The reverse sweep runs the ticks backwards, and the steppers of a tick in the opposite
order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial

import torch
import warp as wp

from simenv.physics.launch.memory import require_memory
from simenv.physics.launch.programs import Phase, Programs
from simenv.physics.solver import Desk, Solver, Stepper, Tensors

__all__ = ["Program"]


class Program:
    """The steppers of a desk.

    Args:
        steppers: by name of their solver, in the order in which they take their turns.
        desk: what they work with.
    """

    def __init__(self, steppers: Mapping[str, Stepper], desk: Desk):
        self.steppers, self.desk = dict(steppers), desk
        self._recorded: dict[tuple[int, ...], Programs] = {}
        self._variant: tuple[int, ...] = ()
        self._kept = False

    @classmethod
    def of(cls, solvers: Mapping[str, Solver], desk: Desk) -> Program:
        """The steppers of solvers, in their order; the first may be the table of frames, which the others use."""
        steppers: dict[str, Stepper] = {}
        for name, solver in solvers.items():
            steppers[name] = solver.open(desk)
            if name == "frames":
                desk = replace(desk, frames=steppers[name])
        for each in steppers.values():
            each.meet(steppers)
        return cls(steppers, desk)

    def _phases(self, variant: tuple[int, ...], name: str) -> list[Phase]:
        """The phases of "forward", of "keep", which leaves what "backward" needs, or of "backward"."""
        keep, steppers = name != "forward", list(self.steppers.values())
        for each, number in zip(steppers, variant, strict=True):
            each.choose(number)
            each.require(keep)  # before the first array of a program, and of the reverse sweep that will follow
        phases: list[Phase] = []
        if name == "backward":
            for tick in reversed(range(self.desk.ticks)):
                phases += [phase for each in reversed(steppers) for phase in each.unfinish(tick)]
                phases += [phase for each in reversed(steppers) for phase in each.backward(tick)]
            phases += [phase for each in reversed(steppers) for phase in each.leave()]
        else:
            phases += [phase for each in steppers for phase in each.enter(keep)]
            for tick in range(self.desk.ticks):
                phases += [phase for each in steppers for phase in each.forward(tick, keep)]
                phases += [phase for each in steppers for phase in each.finish(tick, keep)]
        self._allocate(keep)
        return phases

    def _allocate(self, keep: bool) -> None:
        desk, memory = self.desk, self.desk.memory
        what = "the gradient of a control step" if keep else "a control step"
        remedies = ["no gradient", "fewer substeps in a control step"] if keep else ["fewer taxels"]
        require_memory(what, desk.worlds, memory.missing(keep), desk.device, remedies)
        memory.allocate(keep)

    def _kernels(self, name: str) -> Iterator[wp.Kernel]:
        for each in self.steppers.values():
            yield from each.kernels(name == "backward")

    def _programs(self, variant: tuple[int, ...]) -> Programs:
        if variant not in self._recorded:
            build = partial(self._phases, variant)
            desk = self.desk
            self._recorded[variant] = Programs(build, self._kernels, desk.lanes, desk.device, desk.memory.wp_device)
        return self._recorded[variant]

    def _variant_of(self, inputs: Mapping[str, Tensors]) -> tuple[int, ...]:
        return tuple(each.variant(inputs.get(name, {})) for name, each in self.steppers.items())

    def phases(self, name: str, inputs: Mapping[str, Tensors] | None = None) -> list[Phase]:
        """The phases of a program, for those who look at its launches."""
        return list(self._programs(self._variant_of(inputs or {})).phases(name))

    def prepare(
        self, gradient: bool, side_by_side: bool = False, inputs: Mapping[str, Tensors] | None = None
    ) -> None:  # fmt: skip
        """Compile kernels, allocate buffers and record launches, so that the first step does not.

        Args:
            gradient: for a step with a reverse sweep, or for one without.
            side_by_side: whether lanes will run on threads of their own.
            inputs: by stepper, of a step that will be taken; None for one in which everything takes part.
        """
        programs = self._programs(self._variant_of(inputs or {}))
        for name in ("keep", "backward") if gradient else ("forward",):
            programs.prepare(name, side_by_side)

    def forward(self, inputs: Mapping[str, Tensors], keep: bool, pool: Executor | None = None) -> None:
        """One control step.

        Args:
            inputs: what each stepper starts from; copied.
            keep: what `backward` needs.
            pool: runs the lanes side by side.
        """
        self._variant, self._kept = self._variant_of(inputs), keep
        programs = self._programs(self._variant)
        name = "keep" if keep else "forward"
        programs.phases(name)  # which gives the arrays their memory
        for stepper, each in self.steppers.items():
            each.load(inputs.get(stepper, {}))
            each.begin()
        programs.run(name, pool)

    def backward(self, adjoints: Mapping[str, Mapping[str, torch.Tensor]], pool: Executor | None = None) -> None:
        """The reverse sweep of the last `forward` that kept what it needs.

        Args:
            adjoints: of the results, by stepper; what is not given is zero.
            pool: runs the lanes side by side.
        """
        programs = self._programs(self._variant)
        programs.phases("backward")
        self.desk.memory.clear_adjoints()
        for stepper, each in self.steppers.items():
            each.seed(adjoints.get(stepper, {}))
        programs.run("backward", pool)

    def results(self) -> dict[str, Tensors]:
        """What the last step ended with, by stepper; views."""
        return {name: each.results(self._kept) for name, each in self.steppers.items()}

    def adjoints(self) -> dict[str, Tensors]:
        """Adjoints of what the last step started from, by stepper, after `backward`; views."""
        return {name: each.adjoints() for name, each in self.steppers.items()}
