# SPDX-License-Identifier: Apache-2.0
"""The launches of one substep of the particles, forward and in reverse, by phases between which lanes wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import warp as wp

from simenv.physics.launch.capture import launch
from simenv.physics.launch.programs import Phase
from simenv.physics.mpm.buffers import STATE_FIELDS, Buffers
from simenv.physics.mpm.contact import AT_WALL
from simenv.physics.mpm.storage import BlockStorage, DenseStorage, share


class Substeps(Buffers):
    """Makes the phases; `MPMStepper` owns what they work with."""

    _launched: int
    _grid: Any
    _store: DenseStorage | BlockStorage
    _transfer: SimpleNamespace
    _adjoint: SimpleNamespace
    _contact: SimpleNamespace
    _gridk: SimpleNamespace
    _packing: SimpleNamespace
    _restoring: SimpleNamespace

    def _launch(self, kernel, dim: int, inputs: list, outputs: Sequence = ()) -> Callable[[], None]:
        if dim == 0:
            return lambda: None
        return launch(kernel, dim, inputs, list(outputs), device=self.wp_device, record_cmd=True).launch

    def _particles(self, lane: int) -> tuple[int, int]:
        """First particle of a lane, and their number in all worlds, in the program that is being built."""
        start, count = share(lane, self.lanes, self._launched)
        return start, count * self.worlds

    def _periodic(self, kernel, values: wp.array) -> list[Callable[[], None]]:
        if not self.model.is_periodic:
            return []
        return [self._launch(kernel, self.worlds * self.model.cells, [self._grid, values])]

    def _update(
        self, k: int, lane: int, source: wp.array, summed: int, target: wp.array, wrench: Sequence[wp.array]
    ) -> Callable[[], None]:
        a, store = self._arrays, self._store
        head = [self._grid, self._colliders, a["gravity"], a["parameters"], store.bounds(k), self.lanes, summed, lane]
        inputs = [*head, store.chunk, store.parts, k, source]
        outputs = [target, a["grid_velocity"], *wrench]
        return self._launch(self._gridk.grid_update, store.threads(lane), inputs, outputs)

    def _add_lanes(self, k: int, lane: int, source: wp.array, momentum: wp.array) -> Callable[[], None]:
        store = self._store
        inputs = [self._grid, store.bounds(k), self.lanes, lane, store.chunk, store.parts, source]
        return self._launch(self._restoring.add_lanes, store.threads(lane), inputs, [momentum])

    def _restore(self, k: int, lane: int, momentum: wp.array) -> list[list[Callable[[], None]]]:
        """What `kernels_restoring.py` does to the momentum of substep k, in two phases, into the array ``restored``."""
        a, store, share = self._arrays, self._store, self.model.restore
        head = [self._grid, store.bounds(k), self.lanes, lane, store.chunk, store.parts]
        threads = store.threads(lane)
        bend = self._launch(self._restoring.bend, threads, [*head, momentum], [a["bend"]])
        inputs = [*head, share, momentum, a["bend"]]
        return [[bend], [self._launch(self._restoring.give, threads, inputs, [a["restored"]])]]

    def _restore_adjoint(self, k: int, lane: int, momentum: wp.array) -> list[list[Callable[[], None]]]:
        """The adjoint of `_restore`, on ``adj_grid``, in two phases."""
        a, store, share = self._arrays, self._store, self.model.restore
        head = [self._grid, store.bounds(k), self.lanes, lane, store.chunk, store.parts]
        threads = store.threads(lane)
        inputs = [*head, share, a["bend"], a["adj_grid"]]
        give = self._launch(self._restoring.give_adjoint, threads, inputs, [a["restored"]])  # no longer needed
        inputs = [*head, momentum, a["bend"], a["restored"]]
        return [[give], [self._launch(self._restoring.bend_adjoint, threads, inputs, [a["adj_grid"]])]]

    def _push(
        self, k: int, lane: int, state: dict, wrench: Sequence[wp.array]
    ) -> tuple[list[Callable[[], None]], list]:
        """The launch that lets shells push the particles, if there are shells, and the state that then scatters."""
        if not self.model.acts_at(AT_WALL):
            return [], [state[name] for name in STATE_FIELDS]
        start, dim = self._particles(lane)
        a = self._arrays
        outputs = [a["pushed"], *wrench]
        launch = self._launch(self._contact.push, dim, [*self._push_head(k, start), state["x"], state["v"]], outputs)
        return [launch], [a["pushed"] if name == "v" else state[name] for name in STATE_FIELDS]

    def _push_head(self, k: int, start: int) -> list:
        a, model = self._arrays, self.model
        head = [self._colliders, self.model.dt, a["material"], a["parameters"], a["volume"], a["active"]]
        return [*head, start, model.particle_count, len(model.kinds), k]

    def _forward_phases(self, k: int, first: int, last: int, momentum: wp.array) -> list[Phase]:
        """Substep k, from state number `first` to `last`: to the grid, on it, and back."""
        a, M, P = self._arrays, len(self.model.kinds), self.model.particle_count
        before, after = self._state(first), self._state(last)
        source = a["lanes"] if self.lanes > 1 else momentum
        scatter: Phase = []
        total: Phase = []
        restoring: list[list] = []
        update: Phase = []
        gather: Phase = []
        for lane in range(self.lanes):
            start, dim = self._particles(lane)
            commands = [*self._store.find(k, lane, before["x"], start, dim), self._store.clear(k, lane, source)]
            wrench = [self._wrench_of(f"{name}{lane}", k) for name in ("force", "torque")]
            push, entering = self._push(k, lane, before, wrench)
            commands += push
            head = [self._grid, a["material"], a["kind"], a["parameters"], a["volume"], a["active"], start, P, M, lane]
            outputs = [after["F"], after["J"], source, a["status"]]
            commands.append(self._launch(self._transfer.p2g, dim, [*head, *entering], outputs))
            scatter.append(commands + self._periodic(self._gridk.fold_periodic, source))
            if self.model.restore:
                total.append([self._add_lanes(k, lane, source, momentum)] if self.lanes > 1 else [])
                restoring.append(self._restore(k, lane, momentum))
                commands = [self._update(k, lane, a["restored"], 1, momentum, wrench)]
            else:
                commands = [self._update(k, lane, source, self.lanes, momentum, wrench)]
            update.append(commands + self._periodic(self._gridk.spread_periodic, a["grid_velocity"]))
            if self.model.responds:
                wrench = [self._wrench_of(f"late_{name}{lane}", k) for name in ("force", "torque")]
            head = [self._grid, self._colliders_late, a["material"], a["parameters"], a["volume"], a["active"]]
            head += [start, P, M, k]
            inputs = [before["x"], before["v"], before["C"], a["grid_velocity"]]
            outputs = [after["x"], after["v"], after["C"], after["J"], *wrench, a["status"]]
            commands = [self._launch(self._transfer.g2p, dim, [*head, *inputs], outputs)]
            gather.append(commands)
        if self.model.restore:
            return [scatter, total, *map(list, zip(*restoring, strict=True)), update, gather]
        return [scatter, update, gather]

    def _backward_phases(self, k: int, state: dict, momentum: wp.array) -> list[Phase]:
        """The adjoint of `_forward_phases`: the grid's velocity again, back to the grid, on it, to the particles."""
        a, M, P = self._arrays, len(self.model.kinds), self.model.particle_count
        unused = [a["unused_force"], a["unused_torque"]]
        restores = bool(self.model.restore)
        met = self._arrays["restored"] if restores else momentum  # what forces act on
        restoring: list[list] = []
        restoring_back: list[list] = []
        update: Phase = []
        scatter: Phase = []
        packing: Phase = []
        collecting: Phase = []
        reverse: Phase = []
        gather: Phase = []
        for lane in range(self.lanes):
            start, dim = self._particles(lane)
            commands = self._store.find_again(k, lane, state["x"], start, dim)
            if restores:
                (bend, give), back = self._restore(k, lane, momentum), self._restore_adjoint(k, lane, momentum)
                restoring.append([[*commands, *bend], give])
                restoring_back.append(back)
                commands = []
            if not self.model.responds:  # else `Answers` makes the velocity
                commands += [self._update(k, lane, met, 1, momentum, unused)]
            update.append(commands + self._periodic(self._gridk.spread_periodic, a["grid_velocity"]))
            head = [self._grid, self._colliders_late, a["material"], a["parameters"], a["volume"], a["active"]]
            head += [start, P, M, lane, k]
            inputs = [state["x"], state["C"], state["J"], self._state(k + 1)["v"], a["grid_velocity"]]
            late = self._adjoints_late[k] if self.model.responds else self._adjoint_of(lane, k)
            inputs += [a["adj_x"], a["adj_v"], a["adj_C"], late]
            outputs = [a["adj_x"], a["adj_grid"], a["adj_J"], a["adj_parameters"]]
            commands = [self._store.clear(k, lane, a["adj_grid"])]
            commands.append(self._launch(self._adjoint.g2p_adjoint, dim, [*head, *inputs], outputs))
            scatter.append(commands + self._periodic(self._gridk.fold_periodic, a["adj_grid"]))
            store = self._store
            where = [store.bounds(k), self.lanes, lane, store.chunk, store.parts, k, met, a["adj_grid"]]
            if self.model.packs:  # what they leave takes the place of the velocities, which are no longer needed
                threads, (bounds, *rest) = store.threads(lane), where
                inputs = [self._grid, self._colliders, a["parameters"], *where]
                packing.append([self._launch(self._packing.scatter, threads, inputs, [a["packed"]])])
                inputs = [self._grid, a["parameters"], bounds, *rest[:4], met, a["packed"]]
                collecting.append([self._launch(self._packing.gather, threads, inputs, [a["grid_velocity"]])])
            head = [self._grid, self._colliders, a["gravity"]]
            inputs = [*head, *where, a["grid_velocity"], self._adjoint_of(lane, k)]
            outputs = [a["adj_grid"], a[f"adj_gravity{lane}"], a[f"adj_density{lane}"]]
            commands = [self._launch(self._gridk.grid_update_adjoint, store.threads(lane), inputs, outputs)]
            spread = self._periodic(self._gridk.spread_periodic, a["adj_grid"])
            if restores:
                restoring_back[-1][-1] = restoring_back[-1][-1] + spread
                spread = []
            reverse.append(commands + spread)
            push, entering = self._push(k, lane, state, unused)
            head = [self._grid, a["material"], a["kind"], a["parameters"], a["volume"], a["active"], start, P, M]
            inputs = [*entering, a["adj_grid"]]
            outputs = [a[f"adj_{n}"] for n in STATE_FIELDS] + [a["adj_parameters"]]
            commands = [*push, self._launch(self._adjoint.p2g_adjoint, dim, [*head, *inputs], outputs)]
            if push:
                inputs = [*self._push_head(k, start), state["x"], state["v"], self._adjoint_of(lane, k)]
                outputs = [a["adj_x"], a["adj_v"], a["adj_parameters"]]
                commands.append(self._launch(self._contact.push_adjoint, dim, inputs, outputs))
            gather.append(commands)
        before, after = (list(map(list, zip(*each, strict=True))) for each in (restoring, restoring_back))
        return [*before, update, scatter, *([packing, collecting] if packing else []), reverse, *after, gather]

    def _adjoint_of(self, lane: int, k: int):
        return self._adjoints[k if self.model.moves_frames else lane]
