# SPDX-License-Identifier: Apache-2.0
"""MLS-MPM solver: buffers, launch programs and their execution, forward and in reverse, for one control step of K
substeps.

References: Hu et al. 2018 (MLS-MPM), Jiang et al. 2015 (APIC). The reverse sweep is written by hand
(kernels_adjoint.py). Within a control step the particle states and the grid's momentum of each substep are kept; the
grid's velocity is recomputed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
import warp as wp

from simenv.geometry.distance import distance_functions, pack_shapes
from simenv.physics.mpm.contact import AT_PARTICLES, AT_WALL, PRESS, RECOVERY, contact_functions
from simenv.physics.mpm.kernels_adjoint import adjoint_kernels
from simenv.physics.mpm.kernels_contact import contact_kernels
from simenv.physics.mpm.kernels_grid import BOUNDARIES, grid_kernels
from simenv.physics.mpm.kernels_transfer import grid_struct, transfer_kernels
from simenv.physics.mpm.model import PAD, MPMModel
from simenv.physics.mpm.stencil import stencil_functions

STATE_FIELDS = ("x", "v", "C", "F", "J")
INPUT_FIELDS = ("volume", "parameters", "gravity", "position", "rotation", "velocity", "omega", "friction")
_FAR = 1e9  # stands for an infinite bound [m]
_BLOCK = 256  # particles of one thread of the bounds kernel

Phase = list[list[Callable[[], None]]]  # phase[lane] = launches of that lane; lanes wait for each other after a phase


@dataclass(frozen=True)
class _Types:
    """Warp dtype of each array, by field."""

    vec3: type
    vec4: type
    vec8: type
    mat33: type
    real: type

    def of(self, name: str) -> type:
        if name in ("x", "v", "gravity", "position", "velocity", "omega", "force", "torque"):
            return self.vec3
        if name in ("C", "F", "rotation"):
            return self.mat33
        return {"parameters": self.vec8, "grid": self.vec4}.get(name, self.real)


class MPMSolver:
    """Steps `worlds` copies of a model by one control step at a time, and differentiates it.

    On the CPU give one world to a solver and use several solvers in a thread pool; a single large world can be cut into
    `lanes` that run on different threads (the result depends on `lanes`, never on the number of threads). On CUDA one
    solver holds all worlds and each control step is one captured graph.

    Args:
        model: the scene.
        worlds: number of worlds S.
        device: torch device.
        dtype: ``torch.float32`` or ``torch.float64``.
        lanes: private scatter grids of the single world; 1 on CUDA and in periodic domains.
    """

    def __init__(self, model: MPMModel, worlds: int, device: torch.device, dtype: torch.dtype, lanes: int = 1):
        if lanes > 1 and (worlds > 1 or device.type == "cuda" or model.is_periodic):
            raise ValueError(
                f"lanes = {lanes} needs one world on the CPU in a domain that is not periodic; use lanes=1"
            )
        if device.type != "cuda" and worlds > 1:
            raise ValueError(f"a CPU solver holds one world, not {worlds}; use one solver for each thread")
        self.model, self.worlds, self.device, self.dtype, self.lanes = model, worlds, device, dtype, lanes
        wp.init()
        self.wp_device = wp.device_from_torch(device)
        real = wp.float32 if dtype == torch.float32 else wp.float64
        st = stencil_functions(real)
        self._types = _Types(st.vec3, st.vec4, st.vec8, st.mat33, real)
        self._kernels(real)
        self._grid = self._make_grid(real)
        self._chunk = model.shape[2] if device.type != "cuda" else 1
        self._arrays: dict[str, wp.array] = {}
        self.tensors: dict[str, torch.Tensor] = {}
        self._states: list[dict[str, torch.Tensor]] = []
        self._momentum: list[torch.Tensor] = []
        self._programs: dict[str, list[Phase]] = {}
        self._graphs: dict[str, object] = {}
        self._allocate_inputs()

    def _kernels(self, real: type) -> None:
        model, batched = self.model, self.device.type == "cuda"
        kinds, secured = (model.has_solids, model.has_liquids), model.acts_at(AT_PARTICLES)
        self._transfer = transfer_kernels(real, batched, *kinds, model.is_periodic, secured, model.has_yielding)
        self._adjoint = adjoint_kernels(real, batched, *kinds, secured, model.has_yielding)
        self._contact = contact_kernels(real) if model.acts_at(AT_WALL) else SimpleNamespace()
        self._gridk = grid_kernels(real)
        self._structs = contact_functions(real)

    def _make_grid(self, real: type):
        model = self.model
        grid = grid_struct(real).Grid()
        grid.nx, grid.ny, grid.nz = model.shape
        grid.cells, grid.pad = model.cells, PAD
        grid.boundary_x, grid.boundary_y, grid.boundary_z = (BOUNDARIES[name] for name in model.boundary)
        grid.dx, grid.inv_dx, grid.dt = model.dx, 1.0 / model.dx, model.dt
        grid.origin = self._types.vec3(*(o - PAD * model.dx for o in model.origin))
        return grid

    # ---------------------------------------------------------------- buffers

    def _new(self, key: str, name: str, *shape: int) -> torch.Tensor:
        """A torch tensor and, under the same key, the Warp array that shares its memory (flat but for vector
        components).
        """
        tensor = torch.zeros(shape, dtype=self.dtype, device=self.device)
        self.tensors[key] = tensor
        self._wrap(key, name, tensor)
        return tensor

    def _wrap(self, key: str, name: str, tensor: torch.Tensor) -> None:
        dtype = self._types.of(name)
        inner = {self._types.vec3: (3,), self._types.vec4: (4,), self._types.vec8: (8,), self._types.mat33: (3, 3)}
        self._arrays[key] = wp.from_torch(tensor.view(-1, *inner.get(dtype, ())), dtype=dtype)

    def _new_int(self, key: str, *shape: int) -> torch.Tensor:
        self.tensors[key] = torch.zeros(shape, dtype=torch.int32, device=self.device)
        self._arrays[key] = wp.from_torch(self.tensors[key].view(-1), dtype=wp.int32)
        return self.tensors[key]

    def _allocate_inputs(self) -> None:
        model, S = self.model, self.worlds
        K, P, M, B, L = model.substeps, model.particle_count, len(model.kinds), len(model.colliders), self.lanes
        self._new_int("material", P).copy_(torch.as_tensor(np.asarray(model.material, dtype=np.int32)))
        self._new_int("kind", M).copy_(torch.tensor(model.kinds, dtype=torch.int32))
        self._new_int("active", S, P)
        self._new_int("status", S)
        self._new_int("bounds", K, L, 6)
        extent = torch.tensor([*model.shape, 0, 0, 0], dtype=torch.int32, device=self.device)
        full = torch.tensor([0, 0, 0, *(n - 1 for n in model.shape)], dtype=torch.int32, device=self.device)
        self._track_bounds = self.device.type != "cuda" and not model.is_periodic
        self._no_bounds = extent if self._track_bounds else full
        self._new("volume", "volume", S, P)
        self._new("parameters", "parameters", S, M, 8)
        self._new("gravity", "gravity", S, 3)
        for name, inner in (("position", (3,)), ("rotation", (3, 3)), ("velocity", (3,)), ("omega", (3,))):
            self._new(name, name, S, K, max(B, 1), *inner)
        for name in ("friction", "scale"):
            self._new(name, name, S, max(B, 1))
        for lane in range(L):
            self._new(f"force{lane}", "force", S, max(B, 1), 3)
            self._new(f"torque{lane}", "torque", S, max(B, 1), 3)
        self._new("grid_velocity", "grid", S, model.cells, 4)
        if model.acts_at(AT_WALL):
            self._new("pushed", "v", S, P, 3)
        if L > 1:
            self._new("lanes", "grid", L, model.cells, 4)
        self._colliders = self._make_colliders()

    def _make_colliders(self):
        specs, types = self.model.colliders, self._types
        struct = self._structs.Colliders()
        struct.count, struct.substeps = len(specs), self.model.substeps
        struct.recovery_rate, struct.press_rate = RECOVERY / self.model.dt, PRESS / self.model.dt
        shapes, values = pack_shapes([spec.shape for spec in specs], types.real)
        bounds = [np.clip(np.stack(spec.shape.bounds()), -_FAR, _FAR) for spec in specs] or [np.zeros((2, 3))]
        bounds = np.stack(bounds)
        Shape = distance_functions(types.real).Shape
        dev = self.wp_device
        struct.shape = wp.array(shapes or [Shape()], dtype=Shape, device=dev)
        struct.sdf_values = wp.array(values, dtype=types.real, device=dev)
        struct.lower = wp.array(bounds[:, 0], dtype=types.vec3, device=dev)
        struct.upper = wp.array(bounds[:, 1], dtype=types.vec3, device=dev)
        struct.width = wp.array([spec.width for spec in specs] or [0.0], dtype=types.real, device=dev)
        struct.sticky = wp.array([int(spec.sticky) for spec in specs] or [0], dtype=wp.int32, device=dev)
        struct.levels = wp.array([spec.levels for spec in specs] or [0], dtype=wp.int32, device=dev)
        for name in ("scale", "friction", "position", "rotation", "velocity", "omega"):
            setattr(struct, name, self._arrays[name])
        return struct

    def _state(self, index: int) -> dict[str, wp.array]:
        """Warp arrays of the `index`-th particle state; allocated when first asked for."""
        while len(self._states) <= index:
            k, (S, P) = len(self._states), (self.worlds, self.model.particle_count)
            solid = P if self.model.keeps_F else 1
            state = {"x": (S, P, 3), "v": (S, P, 3), "C": (S, P, 3, 3), "F": (S, solid, 3, 3), "J": (S, P)}
            self._states.append({name: self._new(f"{name}@{k}", name, *shape) for name, shape in state.items()})
        return {name: self._arrays[f"{name}@{index}"] for name in STATE_FIELDS}

    def _momentum_grid(self, index: int) -> wp.array:
        while len(self._momentum) <= index:
            k = len(self._momentum)
            tensor = torch.empty((self.worlds, self.model.cells, 4), dtype=self.dtype, device=self.device)
            self._momentum.append(tensor)
            self._wrap(f"momentum@{k}", "grid", tensor)
        return self._arrays[f"momentum@{index}"]

    def _allocate_adjoint(self) -> None:
        if "adj_x" in self.tensors:
            return
        model, S, L = self.model, self.worlds, self.lanes
        K, P, B = model.substeps, model.particle_count, max(len(model.colliders), 1)
        solid = P if model.keeps_F else 1
        for name, shape in (("x", (P, 3)), ("v", (P, 3)), ("C", (P, 3, 3)), ("F", (solid, 3, 3)), ("J", (P,))):
            self._new(f"adj_{name}", name, S, *shape)
        self._new("adj_parameters", "parameters", S, P, 8)
        self._new("adj_grid", "grid", max(L, S), model.cells, 4)
        self._new("adj_force", "force", S, B, 3)
        self._new("adj_torque", "torque", S, B, 3)
        self._new("unused_force", "force", S, B, 3)
        self._new("unused_torque", "torque", S, B, 3)
        self._adjoints = []
        for lane in range(L):
            struct = self._structs.ColliderAdjoints()
            for name, inner in (("position", (3,)), ("rotation", (3, 3)), ("velocity", (3,)), ("omega", (3,))):
                self._new(f"adj_{name}{lane}", name, S, K, B, *inner)
            self._new(f"adj_friction{lane}", "friction", S, B)
            self._new(f"adj_gravity{lane}", "gravity", S, 3)
            for name in ("position", "rotation", "velocity", "omega", "friction"):
                setattr(struct, name, self._arrays[f"adj_{name}{lane}"])
            struct.force, struct.torque = self._arrays["adj_force"], self._arrays["adj_torque"]
            self._adjoints.append(struct)

    # ---------------------------------------------------------------- programs

    def _launch(self, kernel, dim: int, inputs: list, outputs: Sequence = ()) -> Callable[[], None]:
        if dim == 0:
            return lambda: None
        return wp.launch(
            kernel, dim=dim, inputs=inputs, outputs=list(outputs), device=self.wp_device, record_cmd=True
        ).launch

    def _span(self, lane: int, total: int) -> tuple[int, int]:
        """(start, count) of a lane's share of `total` items."""
        start = lane * total // self.lanes
        return start, (lane + 1) * total // self.lanes - start

    def _particles(self, lane: int) -> tuple[int, int]:
        start, count = self._span(lane, self.model.particle_count)
        return start, count * self.worlds

    def _rows(self, lane: int) -> tuple[int, int]:
        """First row of a lane, and the number of threads for its rows."""
        nx, ny, nz = self.model.shape
        start, count = self._span(lane, self.worlds * nx * ny)
        return start, count * -(-nz // self._chunk)

    def _clear(self, bounds: wp.array, lane: int, values: wp.array) -> Callable[[], None]:
        nx, ny, nz = self.model.shape
        dim = self.worlds * nx * ny * -(-nz // self._chunk)
        return self._launch(self._transfer.clear, dim, [self._grid, bounds, lane, self._chunk], [values])

    def _bounds(self, k: int) -> wp.array:
        return self._arrays["bounds"][k * self.lanes * 6 : (k + 1) * self.lanes * 6]

    def _periodic(self, kernel, values: wp.array) -> list[Callable[[], None]]:
        if not self.model.is_periodic:
            return []
        return [self._launch(kernel, self.worlds * self.model.cells, [self._grid, values])]

    def _update(self, k: int, lane: int, source: wp.array, summed: int, target: wp.array, force: str, torque: str):
        a, (first, dim) = self._arrays, self._rows(lane)
        head = [self._grid, self._colliders, a["gravity"], self._bounds(k), self.lanes, summed, self._chunk, first, k]
        return self._launch(
            self._gridk.grid_update, dim, [*head, source], [target, a["grid_velocity"], a[force], a[torque]]
        )

    def _push(self, k: int, lane: int, state: dict, force: str, torque: str) -> tuple[list[Callable[[], None]], list]:
        """The launch that lets shells push the particles, if there are shells, and the state that then scatters."""
        if not self.model.acts_at(AT_WALL):
            return [], [state[name] for name in STATE_FIELDS]
        start, dim = self._particles(lane)
        a = self._arrays
        outputs = [a["pushed"], a[force], a[torque]]
        launch = self._launch(self._contact.push, dim, [*self._push_head(k, start), state["x"], state["v"]], outputs)
        return [launch], [a["pushed"] if name == "v" else state[name] for name in STATE_FIELDS]

    def _push_head(self, k: int, start: int) -> list:
        a, model = self._arrays, self.model
        head = [self._colliders, self.model.dt, a["material"], a["parameters"], a["volume"], a["active"]]
        return [*head, start, model.particle_count, len(model.kinds), k]

    def _forward_phases(self, k: int, before: dict, after: dict, momentum: wp.array) -> list[Phase]:
        a, M, P = self._arrays, len(self.model.kinds), self.model.particle_count
        source = a["lanes"] if self.lanes > 1 else momentum
        scatter: Phase = []
        update: Phase = []
        gather: Phase = []
        for lane in range(self.lanes):
            start, dim = self._particles(lane)
            commands = []
            if self._track_bounds:
                commands.append(self._launch(
                    self._transfer.bounds, -(-dim // _BLOCK),
                    [self._grid, a["active"], before["x"], start, dim, _BLOCK, lane], [self._bounds(k)],
                ))  # fmt: skip
            commands.append(self._clear(self._bounds(k), lane, source))
            force, torque = f"force{lane}", f"torque{lane}"
            push, entering = self._push(k, lane, before, force, torque)
            commands += push
            head = [self._grid, a["material"], a["kind"], a["parameters"], a["volume"], a["active"], start, P, M, lane]
            outputs = [after["F"], after["J"], source, a["status"]]
            commands.append(self._launch(self._transfer.p2g, dim, [*head, *entering], outputs))
            scatter.append(commands + self._periodic(self._gridk.fold_periodic, source))
            commands = [self._update(k, lane, source, self.lanes, momentum, force, torque)]
            update.append(commands + self._periodic(self._gridk.spread_periodic, a["grid_velocity"]))
            head = [self._grid, self._colliders, a["material"], a["parameters"], a["volume"], a["active"]]
            head += [start, P, M, k]
            inputs = [before["x"], before["v"], before["C"], a["grid_velocity"]]
            outputs = [after["x"], after["v"], after["C"], a[force], a[torque], a["status"]]
            gather.append([self._launch(self._transfer.g2p, dim, [*head, *inputs], outputs)])
        return [scatter, update, gather]

    def _backward_phases(self, k: int, state: dict, momentum: wp.array) -> list[Phase]:
        a, M, P = self._arrays, len(self.model.kinds), self.model.particle_count
        update: Phase = []
        scatter: Phase = []
        reverse: Phase = []
        gather: Phase = []
        for lane in range(self.lanes):
            start, dim = self._particles(lane)
            first, rows = self._rows(lane)
            commands = [self._update(k, lane, momentum, 1, momentum, "unused_force", "unused_torque")]
            update.append(commands + self._periodic(self._gridk.spread_periodic, a["grid_velocity"]))
            head = [self._grid, self._colliders, a["material"], a["parameters"], a["volume"], a["active"]]
            head += [start, P, M, lane, k]
            inputs = [state["x"], a["grid_velocity"], a["adj_x"], a["adj_v"], a["adj_C"], self._adjoints[lane]]
            outputs = [a["adj_x"], a["adj_grid"], a["adj_parameters"]]
            commands = [self._clear(self._bounds(k), lane, a["adj_grid"])]
            commands.append(self._launch(self._adjoint.g2p_adjoint, dim, [*head, *inputs], outputs))
            scatter.append(commands + self._periodic(self._gridk.fold_periodic, a["adj_grid"]))
            head = [self._grid, self._colliders, a["gravity"], self._bounds(k), self.lanes, self._chunk, first, k]
            commands = [self._launch(
                self._gridk.grid_update_adjoint, rows, [*head, momentum, a["adj_grid"], self._adjoints[lane]],
                [a["adj_grid"], a[f"adj_gravity{lane}"]],
            )]  # fmt: skip
            reverse.append(commands + self._periodic(self._gridk.spread_periodic, a["adj_grid"]))
            push, entering = self._push(k, lane, state, "unused_force", "unused_torque")
            head = [self._grid, a["material"], a["kind"], a["parameters"], a["volume"], a["active"], start, P, M]
            inputs = [*entering, a["adj_grid"]]
            outputs = [a[f"adj_{n}"] for n in STATE_FIELDS] + [a["adj_parameters"]]
            commands = [*push, self._launch(self._adjoint.p2g_adjoint, dim, [*head, *inputs], outputs)]
            if push:
                inputs = [*self._push_head(k, start), state["x"], state["v"], self._adjoints[lane]]
                outputs = [a["adj_x"], a["adj_v"], a["adj_parameters"]]
                commands.append(self._launch(self._contact.push_adjoint, dim, inputs, outputs))
            gather.append(commands)
        return [update, scatter, reverse, gather]

    def _program(self, name: str) -> list[Phase]:
        if name not in self._programs:
            K, keep = self.model.substeps, name != "forward"
            phases: list[Phase] = []
            if name == "backward":
                self._allocate_adjoint()
                for k in reversed(range(K)):
                    phases += self._backward_phases(k, self._state(k), self._momentum_grid(k))
            else:
                for k in range(K):
                    before, after = (k, k + 1) if keep else (0, 0)
                    momentum = self._momentum_grid(k if keep else 0)
                    phases += self._forward_phases(k, self._state(before), self._state(after), momentum)
            self._programs[name] = phases
        return self._programs[name]

    def prepare(self, gradient: bool) -> None:
        """Compile kernels, allocate buffers and record launches, so that the first step does not."""
        for name in ("keep", "backward") if gradient else ("forward",):
            self._graph(name) if self.lanes == 1 else self._program(name)

    def _graph(self, name: str):
        if name not in self._graphs:
            for kernels in (self._transfer, self._gridk, self._contact) + (
                (self._adjoint,) if name == "backward" else ()
            ):
                for kernel in vars(kernels).values():
                    if isinstance(kernel, wp.Kernel):
                        wp.load_module(kernel.module, device=self.wp_device)
            program = self._program(name)
            with wp.ScopedCapture(device=self.wp_device) as capture:
                for phase in program:
                    for command in phase[0]:
                        command()
            self._graphs[name] = capture.graph
        return self._graphs[name]

    def _execute(self, name: str, pool: Executor | None) -> None:
        if self.lanes == 1:
            graph = self._graph(name)
            if self.device.type == "cuda":
                stream = wp.stream_from_torch(torch.cuda.current_stream(self.device))
                wp.capture_launch(graph, stream=stream)
            else:
                wp.capture_launch(graph)
            return
        program = self._program(name)
        if pool is None:
            for phase in program:
                for lane in phase:
                    for command in lane:
                        command()
            return
        barrier = threading.Barrier(self.lanes)

        def run(lane: int) -> None:
            try:
                for phase in program:
                    for command in phase[lane]:
                        command()
                    barrier.wait()
            except BaseException:
                barrier.abort()
                raise

        for future in [pool.submit(run, lane) for lane in range(self.lanes)]:
            future.result()

    # ---------------------------------------------------------------- use

    def load(self, state: Mapping[str, torch.Tensor], active: torch.Tensor, inputs: Mapping[str, torch.Tensor]) -> None:
        """Copy in the entering state (`STATE_FIELDS`), `active` (S, P) and the inputs (`INPUT_FIELDS` and ``scale``).

        ``F`` is needed with solids, ``J`` with liquids, both with materials of yielding.py; colliders' inputs only if
        there are colliders.
        """
        self._state(0)
        for name, target in self._states[0].items():
            if name in state and state[name].shape[1] == target.shape[1]:
                target.copy_(state[name])
        self.tensors["active"].copy_(active)
        for name in (*INPUT_FIELDS, "scale"):
            if inputs.get(name) is not None and inputs[name].numel():
                self.tensors[name].copy_(inputs[name])

    def forward(self, keep: bool, pool: Executor | None = None) -> None:
        """Run K substeps. `keep` the states and grids for `backward`. `pool` runs the lanes side by side."""
        self.tensors["status"].zero_()
        self.tensors["bounds"].copy_(self._no_bounds.expand_as(self.tensors["bounds"]))
        for lane in range(self.lanes):
            self.tensors[f"force{lane}"].zero_()
            self.tensors[f"torque{lane}"].zero_()
        self._last = self.model.substeps if keep else 0
        self._execute("keep" if keep else "forward", pool)

    def result(self) -> dict[str, torch.Tensor]:
        """Views of the leaving state, of ``force`` [N] and ``torque`` [N m] (means over the substeps) and ``status``
        (S,).
        """
        out = dict(self._states[self._last])
        for name in ("force", "torque"):
            out[name] = self._lane_total(name) / self.model.substeps
        out["status"] = self.tensors["status"]
        return out

    def _lane_total(self, name: str) -> torch.Tensor:
        total = self.tensors[f"{name}0"]
        for lane in range(1, self.lanes):
            total = total + self.tensors[f"{name}{lane}"]
        return total

    def backward(self, adjoints: Mapping[str, torch.Tensor | None], pool: Executor | None = None) -> None:
        """Reverse sweep of the last ``forward(keep=True)``; `adjoints` of the results (None counts as zero)."""
        self._allocate_adjoint()
        for name, tensor in self.tensors.items():
            if name.startswith("adj_") and name != "adj_grid":
                tensor.zero_()
        for name in STATE_FIELDS:
            value = adjoints.get(name)
            if value is not None and value.shape[1] == self.tensors[f"adj_{name}"].shape[1]:
                self.tensors[f"adj_{name}"].copy_(value)
        for name in ("force", "torque"):
            value = adjoints.get(name)
            if value is not None and value.numel():
                self.tensors[f"adj_{name}"].copy_(value / self.model.substeps)
        self._execute("backward", pool)

    def gradients(self) -> dict[str, torch.Tensor]:
        """Adjoints of the entering state (`STATE_FIELDS`) and of the inputs, after `backward`."""
        out = {name: self.tensors[f"adj_{name}"] for name in STATE_FIELDS}
        per_particle = self.tensors["adj_parameters"]
        material = self.tensors["material"].long()
        zeros = torch.zeros_like(self.tensors["parameters"])
        out["parameters"] = zeros.index_add(1, material, per_particle)
        for name in ("gravity", "position", "rotation", "velocity", "omega", "friction"):
            out[name] = self._lane_total(f"adj_{name}")
        return out
