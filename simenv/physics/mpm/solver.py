# SPDX-License-Identifier: Apache-2.0
"""MLS-MPM stepper: the launches of one control step of K substeps, forward and in reverse.

References: Hu et al. 2018 (MLS-MPM), Jiang et al. 2015 (APIC). The reverse sweep is written by hand
(kernels_adjoint.py). Within a control step the particle states and the grid's momentum of each substep are kept; the
grid's velocity is recomputed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace

import torch
import warp as wp

from simenv.physics.device import on_cuda, warp_device
from simenv.physics.frames import Frames
from simenv.physics.launch.programs import Phase
from simenv.physics.launch.slots import Array
from simenv.physics.mpm.answers import Answers
from simenv.physics.mpm.buffers import MOTION_FIELDS, STATE_FIELDS, Types
from simenv.physics.mpm.columns import DENSITY
from simenv.physics.mpm.contact import AT_PARTICLES, AT_WALL, ON_PATH, contact_functions
from simenv.physics.mpm.exchange import Exchange
from simenv.physics.mpm.kernels_adjoint import adjoint_kernels
from simenv.physics.mpm.kernels_contact import contact_kernels
from simenv.physics.mpm.kernels_grid import grid_kernels
from simenv.physics.mpm.kernels_packing import packing_kernels
from simenv.physics.mpm.kernels_restoring import restoring_kernels
from simenv.physics.mpm.kernels_transfer import transfer_kernels
from simenv.physics.mpm.model import MPMModel
from simenv.physics.mpm.ordering import SORT_FROM, Ordering
from simenv.physics.mpm.stencil import stencil_functions
from simenv.physics.mpm.storage import BlockStorage, DenseStorage, Workspace, check_size
from simenv.physics.mpm.substeps import Substeps
from simenv.physics.solver import Stepper, Tensors, of_chosen

INPUT_FIELDS = ("volume", "parameters", "gravity", "position", "rotation", "velocity", "omega", "friction")


class MPMStepper(Substeps, Stepper):
    """Steps `worlds` copies of a model by one control step at a time, and differentiates it.

    On the CPU give one world to a solver and use several solvers in a thread pool; a single large world can be cut into
    `lanes` that run on different threads (the result depends on `lanes`, never on the number of threads). Particles
    that take no part in a control step are left out of it there. On CUDA one solver holds all worlds and each control
    step is one captured graph.

    Args:
        model: the scene.
        worlds: number of worlds S.
        device: torch device.
        dtype: ``torch.float32`` or ``torch.float64``.
        lanes: private scatter grids of the single world; 1 on CUDA, in periodic domains, with skins or colliders
            on moving frames, and on a sparse grid.
        ticks: of a control step, of which each has several substeps, or each substep several ticks; None for the
            model's substeps.
        frames: the table of frames, for colliders that are on moving ones.
    """

    def __init__(
        self, model: MPMModel, worlds: int, device: torch.device, dtype: torch.dtype, lanes: int = 1,
        ticks: int | None = None, frames: Frames | None = None,
    ):  # fmt: skip
        if lanes > 1 and (worlds > 1 or on_cuda(device) or not model.allows_lanes):
            raise ValueError(
                f"lanes = {lanes} needs one world on the CPU, on a dense grid that is not periodic, without "
                "skins and colliders on moving frames; use lanes=1"
            )
        if not on_cuda(device) and worlds > 1:
            raise ValueError(f"a CPU solver holds one world, not {worlds}; use one solver for each thread")
        check_size(model, worlds, lanes)
        self.model, self.worlds, self.device, self.dtype, self.lanes = model, worlds, device, dtype, lanes
        self.wp_device = warp_device(device)
        real = wp.float32 if dtype == torch.float32 else wp.float64
        st = stencil_functions(real)
        self._types = Types(st.vec3, st.vec4, st.vec8, st.vec16, st.mat33, real)
        self._kernels(real)
        self._grid = self._make_grid(real)
        self._arrays: dict[str, wp.array] = {}
        self.tensors: dict[str, torch.Tensor] = {}
        self._states: list[dict[str, torch.Tensor]] = []
        self._momentum: list[torch.Tensor] = []
        self._launched = self._count = model.particle_count
        self.ticks = model.substeps if ticks is None else ticks
        if max(self.ticks, model.substeps) % min(self.ticks, model.substeps):
            raise ValueError(
                f"{model.substeps} substeps of the particles in {self.ticks} ticks; one must divide the other"
            )
        self._require(False, 4 * sum(BlockStorage.sizes(model, worlds).values()) if model.is_sparse else 0)
        self._allocate_inputs()
        lent = self._workspace(real)
        sparse = model.is_sparse
        self._store = BlockStorage(lent, device) if sparse else DenseStorage(lent, device, lanes, self._transfer)
        self._sorts = not on_cuda(device)
        self._ordering: Ordering | None = None
        self._material = self.tensors["material"].clone()
        self._exchange = Exchange(model, frames, self) if model.moves_frames and frames is not None else None
        self._answers = Answers(model, frames, self) if model.responds and frames is not None else None
        if self._answers and self.ticks != model.substeps:
            raise ValueError(f"bodies answer in ticks of one substep, not {model.substeps} substeps in {self.ticks}")

    def _workspace(self, real: type) -> Workspace:
        return Workspace(
            self.model, self.worlds, real, self.wp_device, self._grid, self.tensors, self._arrays, self._new,
            self._launch,
        )  # fmt: skip

    def _kernels(self, real: type) -> None:
        model, batched = self.model, on_cuda(self.device)
        kinds, secured, sparse = (model.has_solids, model.has_liquids), model.acts_at(AT_PARTICLES), model.is_sparse
        yields, packs = model.has_yielding, model.packs
        paths = (model.acts_at(ON_PATH), model.acts_at(AT_WALL), packs)
        self._transfer = transfer_kernels(real, batched, *kinds, model.is_periodic, secured, yields, sparse, *paths)
        self._adjoint = adjoint_kernels(real, batched, *kinds, secured, yields, sparse, *paths)
        self._contact = contact_kernels(real) if model.acts_at(AT_WALL) else SimpleNamespace()
        self._gridk = grid_kernels(real, sparse, packs)
        self._packing = packing_kernels(real, sparse) if packs else SimpleNamespace()
        self._restoring = restoring_kernels(real, sparse) if model.restore else SimpleNamespace()
        self._structs = contact_functions(real)

    # ---------------------------------------------------------------- as a stepper

    def _substeps(self, tick: int) -> range:
        """The substeps that a tick takes; where a substep lasts several ticks, the first of these takes it."""
        K, T = self.model.substeps, self.ticks
        return (
            range(tick * K // T, (tick + 1) * K // T) if K >= T else range(-(-tick * K // T), -(-(tick + 1) * K // T))
        )

    # what other steppers see of it

    def substeps_of(self, tick: int) -> range:
        """Numbers of the substeps that it takes in a tick; none where a longer one goes on."""
        return self._substeps(tick)

    def state_of(self, name: str, number: int) -> Array:
        """One of `STATE_FIELDS` at the start of a substep, in its own order, flat; with its adjoint, if it has one."""
        self._state(number)
        return Array(self._arrays[f"{name}@{number}"], self._arrays.get(f"adj_{name}"))

    def marks(self) -> list[wp.array]:
        """Of particles: materials (P,), and whether each takes part (S P,)."""
        return [self._arrays["material"], self._arrays["active"]]

    def volumes(self) -> Array:
        """Initial volumes of particles (S P,) [m^3]."""
        return Array(self._arrays["volume"])

    def variant(self, inputs: Mapping[str, torch.Tensor]) -> int:
        """Number of particles that are launched; what takes no part is left out."""
        self._held_now = self._held(inputs.get("active"))
        return self._held_now[1]

    def choose(self, variant: int) -> None:
        """Launch this many particles from now on."""
        self._launched = variant

    def require(self, gradient: bool) -> None:
        """Raise OutOfMemoryError if what a step still lacks does not fit; with a gradient allocate its adjoints."""
        self._require(gradient)
        if gradient:
            self._allocate_adjoint()

    def forward(self, tick: int, keep: bool) -> list[Phase]:
        """The substeps of a tick, between the placing of colliders on moving frames and the gathering of wrenches;
        where bodies answer, to the grid and no farther.
        """
        phases: list[Phase] = []
        for k in self._substeps(tick):
            phases += self._exchange.place(tick, k, keep) if self._exchange else []
            substep = self._forward_phases(k, *self._numbers(k, keep))
            if self._answers:
                first, last, momentum = self._numbers(k, keep)
                press = self._answers.press(k, first, last)
                phases += [substep[0], *press, *self._answers.ask(tick, keep, momentum)]
            else:
                phases += substep
        return phases + (self._exchange.gather(tick, keep) if self._exchange else [])

    def finish(self, tick: int, keep: bool) -> list[Phase]:
        """The rest of a tick where bodies answer, once these have moved."""
        if not self._answers:
            return []
        names = ("force0", "torque0", "late_force0", "late_torque0")
        momentum, wrench = self._momentum_of(tick, keep), [self._wrench_of(name, tick) for name in names]
        gather = self._forward_phases(tick, *self._numbers(tick, keep))[2]
        return [
            *self._answers.settle(tick, keep, momentum, wrench),
            *self._spread_velocity(),
            gather,
            *self._answers.owe(tick, keep),
        ]

    def unfinish(self, tick: int) -> list[Phase]:
        """The adjoint of `finish`."""
        if not self._answers:
            return []
        momentum, unused = self._momentum_grid(tick), 2 * [self._arrays[f"unused_{n}"] for n in ("force", "torque")]
        find, scatter, _, _ = self._backward_phases(tick, self._state(tick), momentum)
        again = self._answers.settle(tick, True, momentum, unused)
        owed, given = self._answers.unowe(tick), self._answers.unsettle(tick, momentum)
        press, clear = self._answers.press(tick, tick, tick + 1), self._answers.clear()
        return [*owed, find, *press, *again, *self._spread_velocity(), scatter, clear, *given]

    def backward(self, tick: int) -> list[Phase]:
        """The adjoint of `forward`."""
        phases = self._exchange.gather(tick, True, reverse=True) if self._exchange else []
        for k in reversed(self._substeps(tick)):
            substep = self._backward_phases(k, self._state(k), self._momentum_grid(k))
            if self._answers:
                spread = [self._periodic(self._gridk.spread_periodic, self._arrays["adj_grid"])]
                asked = self._answers.unask(tick, self._momentum_grid(k))
                phases += [*asked, spread, *self._answers.unpress(k), substep[3]]
            else:
                phases += substep
            phases += self._exchange.place(tick, k, True, reverse=True) if self._exchange else []
        return phases

    def _spread_velocity(self) -> list[Phase]:
        return [[self._periodic(self._gridk.spread_periodic, self._arrays["grid_velocity"])]]

    def _numbers(self, k: int, keep: bool) -> tuple[int, int, wp.array]:
        """Numbers of the states that a substep starts from and leaves, and its momentum."""
        return (k, k + 1, self._momentum_of(k, keep)) if keep else (0, 0, self._momentum_of(k, keep))

    def _momentum_of(self, k: int, keep: bool) -> wp.array:
        return self._momentum_grid(k if keep else 0)

    def kernels(self, backward: bool) -> Iterator[wp.Kernel]:
        """All that the launches run."""
        groups = [self._transfer, self._gridk, self._packing, self._restoring, self._contact, self._store.kernels]
        groups += [each.kernels for each in (self._exchange, self._answers) if each]
        groups += [self._answers.brace] if self._answers else []
        for kernels in [*groups, self._adjoint] if backward else groups:
            yield from (kernel for kernel in vars(kernels).values() if isinstance(kernel, wp.Kernel))

    def _held(self, active: torch.Tensor | None) -> tuple[Ordering | None, int]:
        """What a step with `active` (S, P) holds, None if it is everything, and the particles that it launches."""
        total = self.model.particle_count
        if active is None or on_cuda(self.device) or int(active.count_nonzero()) == total:
            return None, total
        held = Ordering.of_active(active[0])
        return held, held.rounded(total)

    # ---------------------------------------------------------------- use

    def load(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """Copy in the entering state (`STATE_FIELDS`), ``active`` (S, P), `INPUT_FIELDS` and ``scale``, after
        `variant` has seen them.

        ``F`` is needed with solids, ``J`` with liquids, both with materials of yielding.py; colliders' inputs only if
        there are colliders.
        """
        self._state(0)
        self._order(inputs["x"])
        for name, target in self._states[0].items():
            if name in inputs and inputs[name].shape[1] == target.shape[1]:
                self._sort(inputs[name], target)
        if self._answers:
            self._answers.load(inputs["owed"])
        self._sort(inputs["active"], self.tensors["active"])
        if "variant" in inputs:
            self._shapes.choose(inputs["variant"])
        for name in (*INPUT_FIELDS, "scale"):
            if inputs.get(name) is not None and inputs[name].numel():
                if name == "volume":
                    self._sort(inputs[name], self.tensors[name])
                else:
                    self.tensors[name].copy_(self._rows(name, inputs[name]))

    def _rows(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """Those of a tensor of the world's that this stepper has: motion has an axis of as many substeps as can be."""
        return tensor[:, : self.model.substeps] if name in MOTION_FIELDS else tensor

    def _order(self, x: torch.Tensor) -> None:
        """Decide where a step holds the particles, at `x` (S, P, 3), that `variant` found to take part."""
        model = self.model
        held, self._count = self._held_now
        if self._sorts and (model.particle_count if held is None else len(held)) >= SORT_FROM:
            points = x[0] if held is None else x[0, held.forward]
            order = Ordering.by_row(points.to(self.dtype), model.origin, model.dx, model.shape)
            held = order if held is None else held.then(order)
        if held is not None:
            held.take(self._material[None], self.tensors["material"][None])
            self.tensors["active"].zero_()  # beyond what is held as well
        elif self._ordering is not None:
            self.tensors["material"].copy_(self._material)
        self._ordering = held

    def _is_ordered(self, value: torch.Tensor) -> bool:
        return self._ordering is not None and value.shape[1] == self.model.particle_count

    def _sort(self, value: torch.Tensor, target: torch.Tensor) -> None:
        """Copy `value` (S, P, ...), in the world's order, to `target`, in the solver's."""
        if self._is_ordered(value):
            self._ordering.take(value, target)
        else:
            target.copy_(value)

    def store(self, name: str, value: torch.Tensor, target: torch.Tensor, chosen: torch.Tensor | None = None) -> None:
        """Copy a result, or an adjoint, in the stepper's order, to `target` (S, ...), in the world's; what took no part
        in the step keeps what the target has.
        """
        target = self._rows(name, target)
        if target.shape != value.shape:
            return  # a field of no materials, which this stepper keeps for one particle
        value = of_chosen(value, target, chosen)
        if name in STATE_FIELDS and self._is_ordered(value):
            self._ordering.put(value, target)
        else:
            target.copy_(value)

    def begin(self) -> None:
        """Zero what a control step adds up."""
        self.tensors["status"].zero_()
        self._store.begin()
        self.tensors["touch"].zero_()
        for lane in range(self.lanes):
            self.tensors[f"force{lane}"].zero_()
            self.tensors[f"torque{lane}"].zero_()
        if self.model.moves_frames:
            self.tensors["forces"].zero_()
            self.tensors["torques"].zero_()
        if self.model.responds:
            self.tensors["late_forces"].zero_()
            self.tensors["late_torques"].zero_()

    def results(self, keep: bool) -> Tensors:
        """The leaving state, ``force`` [N], ``torque`` [N m] and ``touch`` [N] (means over the substeps) and ``status``
        (S,); some are views, so copy what must outlive the next step.
        """
        last = self.model.substeps if keep else 0
        out = dict(self._states[last])
        for name in ("force", "torque"):
            out[name] = self._wrench_total(name) / self.model.substeps
        out["touch"] = self.tensors["touch"][:, : self.model.taxel_count] / self.model.substeps
        out["status"] = self.tensors["status"]
        return out | ({"owed": self._answers.result(keep)} if self._answers else {})

    def _wrench_total(self, name: str) -> torch.Tensor:
        if self._exchange:
            return self._exchange.total(self.tensors[f"{name}s"])
        return self._lane_total(name)

    def _lane_total(self, name: str) -> torch.Tensor:
        total = self.tensors[f"{name}0"]
        for lane in range(1, self.lanes):
            total = total + self.tensors[f"{name}{lane}"]
        return total

    def seed(self, adjoints: Mapping[str, torch.Tensor]) -> None:
        """Adjoints of `results`."""
        self._cleared.zero_()
        for name in STATE_FIELDS:
            value = adjoints.get(name)
            if value is not None and value.shape[1] == self.tensors[f"adj_{name}"].shape[1]:
                self._sort(value, self.tensors[f"adj_{name}"])
        if self._answers and "owed" in adjoints:
            self._answers.seed(adjoints["owed"])
        for name in ("force", "torque", "touch"):
            value = adjoints.get(name)
            if value is not None and value.numel():
                every = name != "touch" and self.model.moves_frames  # of each substep, to which its tick's will add
                self.tensors[f"adj_{name}s" if every else f"adj_{name}"].copy_(value / self.model.substeps)

    def adjoints(self) -> Tensors:
        """Adjoints of the entering state, for `store`, and of the inputs, after the reverse sweep."""
        out = {name: self.tensors[f"adj_{name}"] for name in STATE_FIELDS}
        per_particle = self.tensors["adj_parameters"][:, : self._count]
        material = self.tensors["material"][: self._count].long()
        zeros = torch.zeros_like(self.tensors["parameters"])
        out["parameters"] = zeros.index_add(1, material, per_particle)
        if self.model.packs:
            out["parameters"][:, 0, DENSITY] += self._lane_total("adj_density")
        for name in ("gravity", "position", "rotation", "velocity", "omega", "friction"):
            out[name] = self._lane_total(f"adj_{name}")
        return out | ({"owed": self._answers.adjoint()} if self._answers else {})
