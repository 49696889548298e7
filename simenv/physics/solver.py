# SPDX-License-Identifier: Apache-2.0
"""What a solver of the one world is: what it declares, and what its steppers launch.

A world is a table of frames plus solvers, run by one program of ticks. A `Solver` says which fields of the state it
owns, which parameters and readings it has, and turns a state into the inputs of a control step and back, in torch. A
`Stepper` is its memory for a few worlds and gives the launches of every tick, forward and in reverse. State, recorder,
replay, identification, renderer, gradient tests and docs are made from the declarations: a new solver needs no edit
there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import warp as wp

from simenv.physics.launch.programs import Phase
from simenv.physics.status import Status, declare

__all__ = ["Choice", "Desk", "Field", "Parameter", "Solver", "Step", "Stepper", "Tensors", "of_chosen"]

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Field:
    """A tensor (N, *shape) of the state, or a reading made of it.

    Attributes:
        shape: of one world.
        unit: of its numbers; empty where a task decides.
        about: what it is.
        start: its value in the scene as built, a number or an array of `shape`.
        dtype: None is the world's own; else `torch.bool`, `torch.int32` or `torch.int64`.
        differentiable: whether a step has a derivative with respect to it; False for counters, masks, and what a step
            only reports or starts a search from.
        compared: whether identification compares it with a recording unless it is told what to compare.
        drawn: whether pictures depend on it.
        mask: name of the field, (N, P) bool, that says which of its P rows take part; None if all do.
    """

    shape: tuple[int, ...]
    unit: str
    about: str
    start: float | np.ndarray = 0.0
    dtype: torch.dtype | None = None
    differentiable: bool = True
    compared: bool = False
    drawn: bool = False
    mask: str | None = None

    def initial(self, worlds: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Its tensor (N, *shape) in the scene as built."""
        start = torch.as_tensor(np.array(self.start), dtype=self.dtype or dtype, device=device)
        return start.expand(worlds, *self.shape).clone()


@dataclass(frozen=True)
class Parameter:
    """A physical parameter, a tensor (N,) or (N, n).

    Attributes:
        default: the scene's number, or n numbers.
        unit: of it.
        lower, upper: bounds that its value must lie between, exclusive. The default lets through a hair below zero, so
            that central differences at zero are possible.
        differentiable: whether a step has a derivative with respect to it.
    """

    default: float | tuple[float, ...]
    unit: str
    lower: float = -1e-2
    upper: float = math.inf
    differentiable: bool = True


@dataclass(frozen=True)
class Choice:
    """How many ticks the worlds take in a control step.

    Attributes:
        index: which of the counts that `Solver.need` chooses among, (N,) int64; None is the first in all worlds.
        times: start of every tick [s], (T,) or with an index (N, T).
        counts: the counts there are.
    """

    index: torch.Tensor | None
    times: torch.Tensor
    counts: Sequence[int]


@dataclass(frozen=True)
class Step:
    """One control step, as torch sees it.

    Attributes:
        state, control: that it starts from.
        told: motion of the bodies that move as told, at the start of every tick.
        told_substeps: the same at the start of every substep of the particles.
    """

    state: Any
    control: Any
    told: Any
    told_substeps: Any


@dataclass(frozen=True)
class Desk:
    """What a stepper is given to work with.

    Attributes:
        worlds: how many it steps; ticks: of a control step; dt: of a tick [s]; lanes: that run side by side.
        finer: by how much ticks are more than the scene says, a power of two.
        memory: makes slots; frames: the table of frames, None in a world where nobody but the given ones moves.
    """

    worlds: int
    device: torch.device
    dtype: torch.dtype
    ticks: int
    dt: float
    lanes: int
    finer: int
    memory: Any
    frames: Any


class Stepper:
    """A solver's memory and launches for the worlds of a desk. Phases are of the desk's lanes."""

    def meet(self, steppers: Mapping[str, Stepper]) -> None:
        """Know the steppers of the other solvers, by name, once there are all."""

    def variant(self, inputs: Mapping[str, torch.Tensor]) -> int:
        """Which of its programs a control step from these inputs runs, such as one that leaves out idle particles."""
        return 0

    def choose(self, variant: int) -> None:
        """Make the phases of this variant from now on."""

    def load(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """Copy in what a control step starts from."""
        raise NotImplementedError

    def begin(self) -> None:
        """Forget the control step before, outside the graph."""

    def require(self, gradient: bool) -> None:
        """Raise OutOfMemoryError if what it still lacks beside the desk's memory does not fit."""

    def enter(self, keep: bool) -> list[Phase]:
        """Phases before the first tick."""
        return []

    def forward(self, tick: int, keep: bool) -> list[Phase]:
        """Phases of a tick; `keep` what the reverse sweep reads."""
        raise NotImplementedError

    def finish(self, tick: int, keep: bool) -> list[Phase]:
        """Phases of a tick after all steppers' `forward`: what a pusher does once it knows what its response has left
        of its wrench (`Frames.response`).
        """
        return []

    def unfinish(self, tick: int) -> list[Phase]:
        """Phases of the reverse sweep of a tick before all steppers' `backward`: the adjoint of `finish`."""
        return []

    def backward(self, tick: int) -> list[Phase]:
        """Phases of the reverse sweep of a tick."""
        raise NotImplementedError

    def leave(self) -> list[Phase]:
        """Phases that end the reverse sweep: the adjoint of `enter`."""
        return []

    def kernels(self, backward: bool) -> Iterable[wp.Kernel]:
        """What its launches run, to be loaded before they are recorded."""
        raise NotImplementedError

    def results(self, keep: bool) -> Tensors:
        """What a control step ends with, as views."""
        raise NotImplementedError

    def seed(self, adjoints: Mapping[str, torch.Tensor]) -> None:
        """Copy in the adjoints of the results; those that are not given are zero."""
        raise NotImplementedError

    def adjoints(self) -> Tensors:
        """Adjoints of the inputs, after the reverse sweep, as views."""
        raise NotImplementedError

    def store(
        self, name: str, value: torch.Tensor, target: torch.Tensor, chosen: torch.Tensor | None = None
    ) -> None:  # fmt: skip
        """Copy a result, or an adjoint, to its rows of a tensor of the world; of the `chosen` worlds only, if given."""
        target.copy_(of_chosen(value, target, chosen))


def of_chosen(value: torch.Tensor, target: torch.Tensor, chosen: torch.Tensor | None) -> torch.Tensor:
    """A value in the chosen worlds (N,), and what the target has in the others; None chooses all."""
    return value if chosen is None else torch.where(chosen.view(-1, *[1] * (value.dim() - 1)), value, target)


class Solver:
    """What a scene's parts of one kind become in a world. Subclasses declare, and make steppers.

    Attributes:
        name: of the solver; it prefixes its inputs and results.
        one_world: whether a stepper on the CPU holds one world only; together: how many it holds else, about as many as
            fit in the caches of a core.
        fields: of the state that it owns, by name; controls: what `Control` has for it, by name.
        parameters: by name.
        status: bits of the status that it alone sets, beside those of `simenv.physics.status`.
    """

    name: str
    one_world: bool = False
    together: int = 32
    status: ClassVar[Mapping[int, Status]] = {}

    def __init_subclass__(cls) -> None:
        declare(cls.status)

    def __init__(self) -> None:
        self.fields: dict[str, Field] = {}
        self.controls: dict[str, Field] = {}
        self.parameters: dict[str, Parameter] = {}

    def starts_from(self) -> Sequence[str]:
        """Fields in which a number that is not finite stops a world before the step; not those that launches check."""
        return ()

    def beside(self, state: Any) -> Tensors:
        """What limits depend on beside parameters, (N,) by name."""
        return {}

    def pack(self, values: Mapping[str, torch.Tensor]) -> Tensors:
        """What the kernels read of the parameters; kept while these do not change."""
        return {}

    def before(self, step: Step, packed: Tensors) -> Tensors:
        """The inputs of a stepper."""
        raise NotImplementedError

    def after(self, state: Any, inputs: Tensors, out: Tensors) -> Tensors:
        """Fields of the state at the end of a control step, from the stepper's inputs and results."""
        raise NotImplementedError

    def frames_after(self, out: Tensors) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
        """Rows (R,) of the table of frames that it moved, their poses (N, R, 7) and twists (N, R, 6); None for none."""
        return None

    def faults(self, out: Tensors) -> torch.Tensor | None:
        """Status bits (N,) int32 of what its stepper left; None if it sees none."""
        return out.get("status")

    def results(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """Shape of one world and dtype (None: the world's) of what its steppers end with, by name."""
        raise NotImplementedError

    def blank(self, inputs: Tensors, worlds: int) -> Tensors:
        """Tensors (N, ...) for the results of a step."""
        like = next(value for value in inputs.values() if value.is_floating_point())
        return {
            name: torch.empty((worlds, *shape), dtype=dtype or like.dtype, device=like.device)
            for name, (shape, dtype) in self.results().items()
        }

    def blank_adjoints(self, inputs: Tensors, adjoints: Tensors) -> Tensors:
        """Tensors for the adjoints of the inputs of a step."""
        return {name: torch.zeros_like(value) for name, value in inputs.items() if value.is_floating_point()}

    def open(self, desk: Desk) -> Stepper:
        """A stepper."""
        raise NotImplementedError
