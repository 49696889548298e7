# SPDX-License-Identifier: Apache-2.0
"""Bodies that answer: the launches between nodes of the grid and frames whose motion the nodes' contact depends on.

A tick with such bodies has one substep. Before bodies move, `probe` says what contact would do to them if they kept
their motion, and how that changes with it; frames take the sums. Once they have moved, `settle` gives the nodes their
velocities (response.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import warp as wp

from simenv.physics.device import on_cuda
from simenv.physics.direct import warp_real
from simenv.physics.frames import Frames
from simenv.physics.launch.programs import Phase
from simenv.physics.launch.slots import Array, Launch, Slot
from simenv.physics.mpm.answering import filling
from simenv.physics.mpm.contact import ON_PATH
from simenv.physics.mpm.kernels_brace import brace_kernels
from simenv.physics.mpm.kernels_exchange import exchange_kernels
from simenv.physics.mpm.kernels_response import response_kernels
from simenv.physics.mpm.model import MPMModel

if TYPE_CHECKING:
    from simenv.physics.mpm.solver import MPMStepper

__all__ = ["Answers"]


@dataclass(frozen=True)
class _Adjoint:
    """The adjoint of a slot, where a launch has a slot."""

    slot: Slot

    @property
    def array(self) -> wp.array:
        """Of the adjoint."""
        return self.slot.adjoint_array


class Answers:
    """The launches of the colliders that answer.

    Args:
        model: which has some; frames: the table; stepper: of the particles.
    """

    def __init__(self, model: MPMModel, frames: Frames, stepper: MPMStepper):
        self._model, self._frames, self._stepper = model, frames, stepper
        real = warp_real(frames.memory.dtype)
        self.kernels, self._exchange = response_kernels(real), exchange_kernels(real)
        self.brace = brace_kernels(real, on_cuda(frames.memory.device))
        device = frames.memory.wp_device
        rows = [c for c, answers in enumerate(model.answers) if answers]
        mounts = [model.mounts[c] for c in rows]
        frames.answer(mounts)
        self._rows = [wp.array(np.asarray(each, dtype=np.int32), dtype=int, device=device) for each in (rows, mounts)]
        self._is_answering = wp.array(np.asarray(model.answers, dtype=np.int32), dtype=wp.int32, device=device)
        carried = np.where(model.answers, model.mounts, -1).astype(np.int32)
        self._mounts = wp.array(carried, dtype=int, device=device)
        self._carriers = wp.array(np.asarray(model.mounts, dtype=np.int32), dtype=int, device=device)
        self._filling = self._fill([c for c in rows if (model.colliders[c].levels or 0) & ON_PATH], real)
        self._probes: list[list[Slot]] = []
        self._changes: list[list[Slot]] = []
        self._owed: list[list[Slot]] = []

    def _fill(self, rows: list[int], real: type) -> list[wp.array]:
        """Points of the outer layer of the bodies, by whose colliders, where in these, and of which volume [m^3]; none
        of what acts at nodes alone, whose surface lies elsewhere.
        """
        owner, points, volumes = [np.zeros(0, np.int32)], [np.zeros((0, 3))], [np.zeros(0)]
        for c in rows:
            found = filling(self._model.colliders[c].shape, self._model.dx)
            owner.append(np.full(len(found[0]), c, dtype=np.int32))
            points.append(found[0])
            volumes.append(found[1])
        device, vec3 = self._frames.memory.wp_device, self._exchange.vec3
        every = [(np.concatenate(owner), int), (np.concatenate(points), vec3), (np.concatenate(volumes), real)]
        return [wp.array(np.ascontiguousarray(values), dtype=kind, device=device) for values, kind in every]

    def _probe(self, number: int) -> list[Slot]:
        """Forces, torques and responses (N, Cl) about the colliders' origins."""
        slot, count, k = self._frames.memory.slot, len(self._model.colliders), self._exchange
        while len(self._probes) <= number:
            self._probes.append([slot(kind, count) for kind in (k.vec3, k.vec3, self.kernels.mat66)])
        return self._probes[number]

    def _change(self, number: int) -> list[Slot]:
        """What the tick changes velocities and angular velocities of the colliders' origins by, (N, Cl)."""
        slot, count = self._frames.memory.slot, len(self._model.colliders)
        while len(self._changes) <= number:
            self._changes.append([slot(self._exchange.vec3, count) for _ in range(2)])
        return self._changes[number]

    def owed(self, number: int) -> list[Slot]:
        """Impulses [N s] and their moments [N m s] (N, B) about the frames that these get in the coming tick."""
        slot = self._frames.memory.slot
        while len(self._owed) <= number:
            self._owed.append([slot(self._exchange.vec3, self._frames.count) for _ in range(2)])
        return self._owed[number]

    def _nodes(
        self, kernel: wp.Kernel, k: int, inputs: Sequence[Any], outputs: Sequence[Any], late: bool = False
    ) -> Launch:
        stepper, store = self._stepper, self._stepper._store
        colliders = [stepper._colliders, *([stepper._colliders_late] if late else [])]
        fixed = [stepper._grid, *colliders, self._is_answering, stepper._arrays["gravity"], store.bounds(k)]
        fixed += [store.chunk, store.parts, k]
        return Launch(kernel, (store.threads(0),), fixed, inputs, outputs, differentiable=False)

    def _gathered(self, tick: int, keep: bool) -> list[Launch]:
        frames = self._frames
        number, k = frames.scratch(tick, keep), self._substep(tick)
        fixed = [k, self._model.substeps, len(self._model.colliders), *self._rows]
        inputs: list[Slot | Array] = [self._array("position"), *self._probe(number)]
        inputs += [frames.pose(frames.before(tick, keep))[0]]
        wrench, worlds = frames.wrench(number), frames.memory.worlds
        owed = self.owed(frames.before(tick, keep))
        return [
            Launch(self._exchange.gather_answers, (worlds,), fixed, inputs, [*wrench, frames.response(number)]),
            Launch(self._exchange.pay, (worlds, frames.count), [self._model.dt], owed, wrench),
        ]

    def _array(self, name: str, lane: str = "0") -> Array:
        arrays = self._stepper._arrays
        return Array(arrays[name], arrays.get(f"adj_{name}{lane}"))

    def _momenta(self, momentum: wp.array) -> list[Array]:
        return [Array(momentum), self._plain("pressure"), self._plain("solid")]

    def _report(self, k: int) -> list[Array]:
        return [Array(self._stepper._wrench_of(f"{name}0", k)) for name in ("force", "torque")]

    def _substep(self, tick: int) -> int:
        return tick  # there are as many of these as of those

    def _press(self, kernel: wp.Kernel, k: int, state: int, inputs: Sequence[Any], outputs: Sequence[Any]) -> Launch:
        stepper, model = self._stepper, self._model
        a, P = stepper._arrays, model.particle_count
        head = [stepper._grid, stepper._colliders, self._is_answering]
        head += [a[name] for name in ("material", "kind", "parameters", "volume", "active")]
        given = [Array(stepper._state(state)["x"]), *inputs]
        launched = stepper._particles(0)[1]
        return Launch(kernel, (launched,), [*head, P, len(model.kinds), k], given, outputs, differentiable=False)

    def _points(self, kernel: wp.Kernel, k: int, inputs: Sequence[Any], outputs: Sequence[Any]) -> list[Launch]:
        if not len(self._filling[0]):
            return []
        stepper, dim = self._stepper, (self._frames.memory.worlds, len(self._filling[0]))
        fixed = [stepper._grid, stepper._colliders, k, *self._filling]
        return [Launch(kernel, dim, fixed, inputs, outputs, differentiable=False)]

    def _every(self, kernel: wp.Kernel, inputs: Sequence[Any], outputs: Sequence[Any]) -> Launch:
        stepper = self._stepper
        dim = (self._frames.memory.worlds * self._model.cells,)
        return Launch(kernel, dim, [stepper._grid], inputs, outputs, differentiable=False)

    def press(self, k: int, first: int, last: int) -> list[Phase]:
        """What walls give to nodes, once particles are on the grid."""
        stepper, pressure, solid = self._stepper, *(self._plain(name) for name in ("pressure", "solid"))
        J, b = Array(stepper._state(last)["J"]), self.brace
        fold = stepper._gridk.fold_periodic
        launches = [self._press(b.press, k, first, [J], [pressure]), *self._points(b.fill, k, [], [solid])]
        return [
            self._zero(),
            self._frames.phase(launches),
            [[each for name in (pressure, solid) for each in stepper._periodic(fold, name.array)]],
            self._frames.phase([self._every(b.mean, [solid], [pressure])]),
            [
                [
                    each
                    for name in (pressure, solid)
                    for each in stepper._periodic(stepper._gridk.spread_periodic, name.array)
                ]
            ],
        ]

    def _plain(self, name: str) -> Array:
        return Array(self._stepper._arrays[name])

    def _zero(self, prefix: str = "") -> Phase:
        both = [self._plain(f"{prefix}{name}") for name in ("pressure", "solid")]
        dim = (self._frames.memory.worlds * self._model.cells,)
        return self._frames.phase([Launch(self.brace.wipe, dim, [], [], both, differentiable=False)])

    def unpress(self, k: int) -> list[Phase]:
        """The adjoint of `press`, which adds."""
        stepper, b = self._stepper, self.brace
        adj_pressure, adj_solid = (self._plain(f"adj_{name}") for name in ("pressure", "solid"))
        inputs = [Array(stepper._state(k + 1)["J"]), adj_pressure]
        out = [self._plain(f"adj_{name}") for name in ("x", "J", "parameters")]
        mean = self._every(b.mean_adjoint, [self._plain("solid"), self._plain("pressure")], [adj_pressure, adj_solid])
        launches = [
            self._press(b.press_adjoint, k, k, inputs, out),
            *self._points(b.fill_adjoint, k, [adj_solid, Array(stepper._adjoint_of(0, k))], []),
        ]
        fold, spread = stepper._gridk.fold_periodic, stepper._gridk.spread_periodic
        both = (adj_pressure.array, adj_solid.array)
        return [
            [[each for grid in both for each in stepper._periodic(fold, grid)]],
            self._frames.phase([mean]),
            [[each for grid in both for each in stepper._periodic(spread, grid)]],
            self._frames.phase(launches),
        ]

    def clear(self) -> Phase:
        """Zero the adjoints of what walls give."""
        return self._zero("adj_")

    def ask(self, tick: int, keep: bool, momentum: wp.array) -> list[Phase]:
        """Before bodies move: what contact does to them, and how that answers."""
        frames = self._frames
        probe, k = self._probe(frames.scratch(tick, keep)), self._substep(tick)
        dim = (frames.memory.worlds, len(self._model.colliders))
        launches = [
            Launch(self.kernels.still, dim, [], [], probe, differentiable=False),
            self._nodes(self.kernels.probe, k, self._momenta(momentum), probe),
            *self._points(self.brace.react, k, [self._plain("pressure")], [*probe[:2], *self._report(k)]),
            *self._gathered(tick, keep),
        ]
        return [frames.phase(launches)]

    def unask(self, tick: int, momentum: wp.array) -> list[Phase]:
        """The adjoint of `ask`, which adds to that of the momentum."""
        frames, arrays, k = self._frames, self._stepper._arrays, self._substep(tick)
        probe = self._probe(frames.scratch(tick, True))
        inputs = [*self._momenta(momentum), *map(_Adjoint, probe), Array(self._stepper._adjoint_of(0, k))]
        out = [Array(arrays[name]) for name in ("adj_grid", "adj_gravity0", "adj_pressure", "adj_solid")]
        given = [self._plain("pressure"), *map(_Adjoint, probe[:2]), Array(self._stepper._adjoint_of(0, k))]
        launches = [
            self._nodes(self.kernels.probe_adjoint, k, inputs, out),
            *self._points(self.brace.react_adjoint, k, given, [self._plain("adj_pressure")]),
        ]
        return [frames.phase(self._gathered(tick, True), True), frames.phase(launches)]

    def _spread(self, tick: int, keep: bool) -> Launch:
        frames = self._frames
        number, k = frames.scratch(tick, keep), self._substep(tick)
        fixed = [k, self._model.substeps, len(self._model.colliders), self._mounts]
        inputs: list[Slot | Array] = [*(self._array(name) for name in ("position", "velocity", "omega"))]
        inputs += [frames.pose(frames.before(tick, keep))[0], *frames.change(number)]
        late = [self._array("late_velocity", ""), self._array("late_omega", "")]
        dim = (frames.memory.worlds, len(self._model.colliders))
        return Launch(self._exchange.spread_change, dim, fixed, inputs, [*self._change(number), *late])

    def _owing(self, tick: int, keep: bool) -> Launch:
        frames, stepper, k = self._frames, self._stepper, self._substep(tick)
        adjoint = "adj_forces" in stepper.tensors

        def wrench(late: str) -> list[Array]:
            names = [f"{late}{name}" for name in ("force", "torque")]
            both = [
                (stepper._wrench_of(f"{n}0", k), stepper._wrench_of(f"adj_{n}", k) if adjoint else None) for n in names
            ]
            return [Array(*each) for each in both]

        fixed = [k, self._model.substeps, self._model.dt, self._carriers]
        after = frames.after(tick, keep)
        inputs: list[Slot | Array] = [self._array("position"), *wrench("late_"), frames.pose(after)[0]]
        out: list[Slot | Array] = [*self.owed(after), *wrench("")]
        return Launch(self._exchange.owe, (frames.memory.worlds,), fixed, inputs, out)

    def owe(self, tick: int, keep: bool) -> list[Phase]:
        """After particles have moved: what bodies get for it in the next tick, those that do not answer for what nodes
        gave them too.
        """
        return [self._frames.phase([self._owing(tick, keep)])]

    def unowe(self, tick: int) -> list[Phase]:
        """The adjoint of `owe`."""
        return [self._frames.phase([self._owing(tick, True)], True)]

    def settle(self, tick: int, keep: bool, momentum: wp.array, wrench: Sequence[wp.array]) -> list[Phase]:
        """Once bodies have moved: the velocities of the nodes, and what colliders there received, those that answer,
        then the others, force and torque.
        """
        frames, arrays = self._frames, self._stepper._arrays
        change, out = self._change(frames.scratch(tick, keep)), [arrays["grid_velocity"], *wrench]
        inputs = [*self._momenta(momentum), *change]
        launch = self._nodes(self.kernels.settle, self._substep(tick), inputs, [Array(each) for each in out], True)
        return [frames.phase([self._spread(tick, keep), launch])]

    def unsettle(self, tick: int, momentum: wp.array) -> list[Phase]:
        """The adjoint of `settle`, which replaces that of the nodes' velocities by that of their momenta."""
        frames, arrays, k = self._frames, self._stepper._arrays, self._substep(tick)
        change = self._change(frames.scratch(tick, True))
        adjoints = [self._stepper._adjoint_of(0, k), self._stepper._adjoints_late[k]]
        inputs = [*self._momenta(momentum), *change, *map(Array, adjoints)]
        out = [Array(arrays["adj_grid"]), Array(arrays["adj_gravity0"]), *map(_Adjoint, change)]
        out += [Array(arrays["adj_pressure"]), Array(arrays["adj_solid"])]
        launch = self._nodes(self.kernels.settle_adjoint, k, inputs, out, True)
        return [frames.phase([launch]), frames.phase([self._spread(tick, True)], True)]

    # ------------------------------------------------------------------------------------------------- numbers

    def load(self, owed: torch.Tensor) -> None:
        """What bodies are owed as a control step begins, (N, B, 6)."""
        for slot, value in zip(self.owed(0), owed.split(3, -1), strict=True):
            slot.tensor.copy_(value)

    def result(self, keep: bool) -> torch.Tensor:
        """The same as it ends."""
        last = self.owed(self._frames.before(self._frames.ticks, keep))
        return torch.cat([slot.tensor for slot in last], -1)

    def seed(self, owed: torch.Tensor) -> None:
        """Adjoint of `result`."""
        for slot, value in zip(self.owed(self._frames.ticks), owed.split(3, -1), strict=True):
            slot.adjoint.copy_(value)

    def adjoint(self) -> torch.Tensor:
        """Adjoint of what was loaded."""
        return torch.cat([slot.adjoint for slot in self.owed(0)], -1)
