# SPDX-License-Identifier: Apache-2.0
"""The memory of an MPM solver: torch tensors and, over the same memory, the arrays and structs that kernels read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
import warp as wp

from simenv.physics.launch.memory import require_memory
from simenv.physics.mpm.contact import AT_WALL, PRESS, RECOVERY, SINK, SLACK
from simenv.physics.mpm.grid import grid_struct
from simenv.physics.mpm.kernels_grid import BOUNDARIES
from simenv.physics.mpm.model import PAD, MPMModel
from simenv.physics.mpm.shape_table import ShapeTable
from simenv.physics.mpm.skin import skin_functions

Shapes = dict[str, tuple[str, tuple[int, ...]]]  # key -> (field whose type the array has, its shape)
STATE_FIELDS = ("x", "v", "C", "F", "J")
MOTION_FIELDS = {"position": (3,), "rotation": (3, 3), "velocity": (3,), "omega": (3,)}  # of a collider in a substep
LATE_FIELDS = ("velocity", "omega")  # of them, those that are others once bodies have moved


def state_shapes(model: MPMModel) -> dict[str, tuple[int, ...]]:
    """Shapes of a world's particle state, in the order of `STATE_FIELDS`."""
    P = model.particle_count
    return {"x": (P, 3), "v": (P, 3), "C": (P, 3, 3), "F": (P if model.keeps_F else 1, 3, 3), "J": (P,)}


@dataclass(frozen=True)
class Types:
    """Warp dtype of each array, by field."""

    vec3: type
    vec4: type
    vec8: type
    vec16: type
    mat33: type
    real: type

    def of(self, name: str) -> type:
        """The dtype of the arrays of a field."""
        if name in (
            "x",
            "v",
            "gravity",
            "position",
            "velocity",
            "omega",
            "force",
            "torque",
            "forces",
            "torques",
            "touch",
        ):
            return self.vec3
        if name in ("C", "F", "rotation"):
            return self.mat33
        return {"parameters": self.vec8, "grid": self.vec4, "sums": self.vec16}.get(name, self.real)


class Buffers:
    """What `MPMStepper` allocates, once: inputs at the start, states and adjoints when first asked for.

    Attributes:
        tensors: all tensors by name; ``"x@3"`` is the position at the start of substep 3, ``"force1"`` the force that
            lane 1 collects.
    """

    model: MPMModel
    worlds: int
    lanes: int
    device: torch.device
    dtype: torch.dtype
    tensors: dict[str, torch.Tensor]
    wp_device: wp.Device
    _types: Types
    _structs: SimpleNamespace
    _arrays: dict[str, wp.array]
    _states: list[dict[str, torch.Tensor]]
    _momentum: list[torch.Tensor]
    _cleared: torch.Tensor  # all adjoints but the grid's, of which a reverse sweep starts with zeros

    def _make_grid(self, real: type):
        model = self.model
        grid = grid_struct(real).Grid()
        grid.nx, grid.ny, grid.nz = model.shape
        grid.cells, grid.pad = model.cells, PAD
        grid.boundary_x, grid.boundary_y, grid.boundary_z = (BOUNDARIES[name] for name in model.boundary)
        grid.is_open = int("outflow" in model.boundary)
        grid.dx, grid.inv_dx, grid.dt = model.dx, 1.0 / model.dx, model.dt
        grid.origin = self._types.vec3(*(o - PAD * model.dx for o in model.origin))
        return grid

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
        inner[self._types.vec16] = (16,)
        self._arrays[key] = wp.from_torch(tensor.view(-1, *inner.get(dtype, ())), dtype=dtype)

    def _new_int(self, key: str, *shape: int) -> torch.Tensor:
        self.tensors[key] = torch.zeros(shape, dtype=torch.int32, device=self.device)
        self._arrays[key] = wp.from_torch(self.tensors[key].view(-1), dtype=wp.int32)
        return self.tensors[key]

    # ------------------------------------------------- what there is: key -> (field whose type it has, shape)

    def _input_shapes(self) -> Shapes:
        model, S = self.model, self.worlds
        K, P, M, B, L = model.substeps, model.particle_count, len(model.kinds), len(model.colliders), self.lanes
        shapes: Shapes = {"volume": ("volume", (S, P)), "parameters": ("parameters", (S, M, 8))}
        shapes["gravity"] = ("gravity", (S, 3))
        shapes |= {name: (name, (S, K, max(B, 1), *inner)) for name, inner in MOTION_FIELDS.items()}
        shapes |= {name: (name, (S, max(B, 1))) for name in ("friction", "scale")}
        for lane in range(L):
            shapes |= {f"{name}{lane}": (name, (S, max(B, 1), 3)) for name in ("force", "torque")}
        if model.moves_frames:
            shapes |= {name: (name, (K, S, B, 3)) for name in ("forces", "torques")}
        if model.responds:  # after bodies have moved
            shapes |= {f"late_{name}": (name, (K, S, B, 3)) for name in ("forces", "torques")}
            shapes |= {f"late_{name}": (name, (S, K, B, 3)) for name in LATE_FIELDS}
            shapes |= dict.fromkeys(("pressure", "solid"), ("grid", (S, model.cells, 4)))
        shapes["touch"] = ("touch", (S, max(model.taxel_count, 1), 3))
        shapes["grid_velocity"] = ("grid", (S, model.cells, 4))
        if model.restore:
            shapes |= dict.fromkeys(("bend", "restored"), ("grid", (S, model.cells, 4)))
        if model.acts_at(AT_WALL):
            shapes["pushed"] = ("v", (S, P, 3))
        if L > 1:
            shapes["lanes"] = ("grid", (L, model.cells, 4))
        return shapes

    def _state_shapes(self, index: int) -> Shapes:
        fields = state_shapes(self.model).items()
        return {f"{name}@{index}": (name, (self.worlds, *shape)) for name, shape in fields}

    def _momentum_shape(self, index: int) -> Shapes:
        return {f"momentum@{index}": ("grid", (self.worlds, self.model.cells, 4))}

    def _adjoint_shapes(self) -> Shapes:
        model, S, L = self.model, self.worlds, self.lanes
        K, P, B = model.substeps, model.particle_count, max(len(model.colliders), 1)
        shapes: Shapes = {f"adj_{name}": (name, (S, *shape)) for name, shape in state_shapes(model).items()}
        shapes["adj_parameters"] = ("parameters", (S, P, 8))
        shapes["adj_grid"] = ("grid", (max(L, S), model.cells, 4))
        for name in ("force", "torque"):
            shapes |= {f"{kind}_{name}": (name, (S, B, 3)) for kind in ("adj", "unused")}
        if model.moves_frames:
            shapes |= {f"adj_{name}": (name, (K, S, B, 3)) for name in ("forces", "torques")}
        if model.responds:
            shapes |= {f"adj_late_{name}": (name, (K, S, B, 3)) for name in ("forces", "torques")}
            shapes |= {f"adj_late_{name}": (name, (S, K, B, 3)) for name in LATE_FIELDS}
            shapes |= {f"adj_{name}": ("grid", (S, model.cells, 4)) for name in ("pressure", "solid")}
        if model.packs:
            shapes["packed"] = ("grid", (S, model.cells, 4))
        shapes["adj_touch"] = ("touch", (S, max(model.taxel_count, 1), 3))
        for lane in range(L):
            shapes |= {f"adj_{name}{lane}": (name, (S, K, B, *inner)) for name, inner in MOTION_FIELDS.items()}
            shapes |= {f"adj_friction{lane}": ("friction", (S, B)), f"adj_gravity{lane}": ("gravity", (S, 3))}
            shapes[f"adj_density{lane}"] = ("density", (S,))
        return shapes

    def bytes_needed(self, gradient: bool) -> int:
        """Bytes of the floating-point arrays that a control step, or its gradient, still lacks."""
        keep = self.model.substeps if gradient else 0
        shapes = self._input_shapes()
        for k in range(keep + 1):
            shapes |= self._state_shapes(k)
            shapes |= self._momentum_shape(k) if k < max(keep, 1) else {}
        if gradient:
            shapes |= self._adjoint_shapes()
        missing = (shape for key, (_, shape) in shapes.items() if key not in self._arrays)
        return self.dtype.itemsize * sum(map(math.prod, missing))

    def _require(self, gradient: bool, more: int = 0) -> None:
        """Raise OutOfMemoryError if what a step still lacks, and `more` bytes, do not fit."""
        remedies = [] if self.model.is_sparse else ["grid='sparse'"]
        remedies += ["no gradient", "fewer substeps in a control step"] if gradient else ["a coarser dx"]
        what = "the gradient of a control step" if gradient else "a control step"
        require_memory(what, self.worlds, self.bytes_needed(gradient) + more, self.device, remedies)

    # ------------------------------------------------------------------------------------------ making it

    def _allocate(self, shapes: Shapes) -> None:
        for key, (name, shape) in shapes.items():
            self._new(key, name, *shape)

    def _allocate_inputs(self) -> None:
        model, S, P, M = self.model, self.worlds, self.model.particle_count, len(self.model.kinds)
        self._new_int("material", P).copy_(torch.as_tensor(np.asarray(model.material, dtype=np.int32)))
        self._new_int("kind", M).copy_(torch.tensor(model.kinds, dtype=torch.int32))
        self._new_int("active", S, P)
        self._new_int("status", S)
        self._allocate(self._input_shapes())
        self._colliders = self._make_colliders()
        self._colliders_late = self._make_colliders(late=True) if model.responds else self._colliders

    def _make_colliders(self, late: bool = False):
        specs, types = self.model.colliders, self._types
        struct = self._structs.Colliders()
        struct.count, struct.substeps = len(specs), self.model.substeps
        struct.recovery_rate, struct.press_rate = RECOVERY / self.model.dt, PRESS / self.model.dt
        struct.sink, struct.slack = SINK * self.model.dx, SLACK * self.model.dx
        dev = self.wp_device
        if not late:
            self._shapes = ShapeTable(specs, self.worlds, types.real, types.vec3, dev)
        table = self._shapes
        struct.shape, struct.lower, struct.upper, struct.sdf_values = (
            table.shape,
            table.lower,
            table.upper,
            table.values,
        )
        struct.width = wp.array([spec.width for spec in specs] or [0.0], dtype=types.real, device=dev)
        struct.sticky = wp.array([int(spec.sticky) for spec in specs] or [0], dtype=wp.int32, device=dev)
        struct.levels = wp.array([spec.levels for spec in specs] or [0], dtype=wp.int32, device=dev)
        for name in ("scale", "friction", "position", "rotation", "velocity", "omega"):
            setattr(struct, name, self._arrays[f"late_{name}" if late and name in LATE_FIELDS else name])
        struct.skins = self._make_skins()
        return struct

    def _make_skins(self):
        skins = [spec.skin for spec in self.model.colliders] or [None]
        counts = [skin.count if skin else 0 for skin in skins]
        first = [start if count else -1 for start, count in zip(np.cumsum([0, *counts]), counts, strict=False)]
        struct, dev, nowhere = skin_functions(self._types.real).Skins(), self.wp_device, np.zeros(3)
        struct.taxels = self.model.taxel_count
        struct.first = wp.array(first, dtype=wp.int32, device=dev)
        struct.rows = wp.array([skin.rows if skin else 0 for skin in skins], dtype=wp.int32, device=dev)
        struct.columns = wp.array([skin.columns if skin else 0 for skin in skins], dtype=wp.int32, device=dev)
        for name, values in (
            ("corner", [skin.corner if skin else nowhere for skin in skins]),
            ("u", [skin.covectors[0] if skin else nowhere for skin in skins]),
            ("v", [skin.covectors[1] if skin else nowhere for skin in skins]),
        ):
            setattr(struct, name, wp.array(np.stack(values), dtype=self._types.vec3, device=dev))
        struct.touch = self._arrays["touch"]
        return struct

    def _state(self, index: int) -> dict[str, wp.array]:
        """Warp arrays of the `index`-th particle state; allocated when first asked for."""
        while len(self._states) <= index:
            shapes = self._state_shapes(len(self._states))
            self._allocate(shapes)
            self._states.append({name: self.tensors[key] for name, key in zip(STATE_FIELDS, shapes, strict=True)})
        return {name: self._arrays[f"{name}@{index}"] for name in STATE_FIELDS}

    def _momentum_grid(self, index: int) -> wp.array:
        while len(self._momentum) <= index:
            ((key, (name, shape)),) = self._momentum_shape(len(self._momentum)).items()
            tensor = torch.empty(shape, dtype=self.dtype, device=self.device)
            self._momentum.append(tensor)
            self._wrap(key, name, tensor)
        return self._arrays[f"momentum@{index}"]

    def _allocate_adjoint(self) -> None:
        if "adj_x" in self.tensors:
            return
        shapes = self._adjoint_shapes()
        name, shape = shapes.pop("adj_grid")  # which every substep of the reverse sweep zeroes
        self._new("adj_grid", name, *shape)
        self._cleared = torch.zeros(sum(math.prod(s) for _, s in shapes.values()), dtype=self.dtype, device=self.device)
        start = 0
        for key, (name, shape) in shapes.items():
            end = start + math.prod(shape)
            self.tensors[key] = self._cleared[start:end].view(shape)
            self._wrap(key, name, self.tensors[key])
            start = end
        self._adjoints = [self._adjoint_struct(lane, 0) for lane in range(self.lanes)]
        if self.model.moves_frames:  # one lane, and the wrench of each substep has an adjoint of its own
            self._adjoints = [self._adjoint_struct(0, k) for k in range(self.model.substeps)]
        if self.model.responds:
            self._adjoints_late = [self._adjoint_struct(0, k, "late_") for k in range(self.model.substeps)]

    def _adjoint_struct(self, lane: int, k: int, late: str = ""):
        struct = self._structs.ColliderAdjoints()
        for name in (*MOTION_FIELDS, "friction"):
            setattr(struct, name, self._arrays[f"adj_{name}{lane}"])
        for name in LATE_FIELDS if late else ():
            setattr(struct, name, self._arrays[f"adj_{late}{name}"])
        struct.touch = self._arrays["adj_touch"]
        for name in ("force", "torque"):
            setattr(struct, name, self._wrench_of(f"adj_{late}{name}", k))
        return struct

    def _wrench_of(self, name: str, k: int) -> wp.array:
        """The array of a collider's force or torque, or of its adjoint, in substep k; the same in all of them where no
        frame listens.
        """
        if not self.model.moves_frames:
            return self._arrays[name]
        return wp.from_torch(self.tensors[f"{name.removesuffix('0')}s"][k].view(-1, 3), dtype=self._types.vec3)
