# SPDX-License-Identifier: Apache-2.0
"""Liquids, soft bodies and grains of a world, as a solver: what they declare, and what torch does before and after the
launches of a control step: emitters, the motion of colliders, collectors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from simenv.physics import exact
from simenv.physics.device import on_cuda
from simenv.physics.limits import Limit, material_limits
from simenv.physics.mpm.buffers import STATE_FIELDS
from simenv.physics.mpm.collider_poses import ColliderPoses
from simenv.physics.mpm.emitters import Emitters
from simenv.physics.mpm.inclusions import Inclusions, inclusion_limits, inclusion_parameters
from simenv.physics.mpm.material import PARAMETER_COUNT, Material
from simenv.physics.mpm.model import PAD, MPMModel
from simenv.physics.mpm.pace import Pace
from simenv.physics.mpm.parts import Collector, Collider, Emitter, Inclusion, Particles
from simenv.physics.mpm.solver import INPUT_FIELDS, MPMStepper
from simenv.physics.parts import Body
from simenv.physics.solver import Choice, Desk, Field, Parameter, Solver, Step, Tensors

__all__ = ["ParticleParts", "ParticleSolver"]

PARTICLES_PER_LANE = 50_000
MAX_LANES = 8
# Bounds of a material's numbers and a collider's, by name; others must not be negative.
_SLACK = 1e-2
_BOUNDS = {
    "density": (0.0, np.inf), "scale": (0.0, np.inf), "exponent": (0.0, np.inf),
    "poisson_ratio": (-_SLACK, 0.5), "friction_angle": (0.0, np.pi / 2), "critical_compression": (-_SLACK, 1.0),
}  # fmt: skip

_UNITS = {
    "density": "kg/m^3", "viscosity": "Pa s", "consistency": "Pa s^n", "exponent": "1", "poisson_ratio": "1",
    "friction_angle": "rad", "cohesion": "Pa", "dilation_limit": "1", "critical_compression": "1",
    "critical_stretch": "1", "hardening": "1", "hardening_limit": "1", "bulk_modulus": "Pa", "shear_modulus": "Pa",
    "youngs_modulus": "Pa", "yield_stress": "Pa", "surface_tension": "N/m",
}  # fmt: skip


@dataclass(frozen=True)
class ParticleParts:
    """What a scene gives the particles.

    Attributes:
        model: as the stepper sees it; groups: of particles; materials, colliders, emitters, collectors: by name.
        bodies: of the scene, in the order of the table of frames.
        counts: numbers of substeps of a control step that can be chosen.
        inclusions: by name; rigid: names of the bodies that touch (coupling="rigid").
    """

    model: MPMModel
    groups: Mapping[str, Particles]
    materials: Mapping[str, Material]
    colliders: Mapping[str, Collider]
    emitters: Mapping[str, Emitter]
    collectors: Mapping[str, Collector]
    bodies: Mapping[str, Body]
    counts: Sequence[int]
    inclusions: Mapping[str, Inclusion]
    rigid: Collection[str] = ()


def material_parameters(name: str, material: Material) -> dict[str, Parameter]:
    """The parameters ``"<name>.<field>"`` of a material."""
    found = {}
    for each in material.parameter_names():
        bounds = _BOUNDS.get(each, (-_SLACK, np.inf))
        found[f"{name}.{each}"] = Parameter(getattr(material, each), _UNITS[each], *bounds)
    return found


class ParticleSolver(Solver):
    """The particles of N worlds.

    Args:
        parts: of the scene; num_worlds: N; device, dtype: of the tensors.

    Attributes:
        count: particles P of a world; groups: slice of the particle axis of every group.
        volume: initial volume of every particle [m^3], (N, P).
        pace: chooses the number of substeps; colliders: where these are.
        skins: of every collider with one: its taxels, rows and columns, and the skin's axes in the collider's frame.
    """

    name = "particles"

    def __init__(self, parts: ParticleParts, num_worlds: int, device: torch.device, dtype: torch.dtype):
        super().__init__()
        self.parts, self.model = parts, parts.model
        self._worlds, self._device, self._dtype = num_worlds, device, dtype
        self.one_world = not on_cuda(device)
        self.count = parts.model.particle_count
        self.groups = {name: group.span for name, group in parts.groups.items()}
        self.pace = Pace(parts, device, dtype)
        every = parts.groups.values()
        self.volume = self._each(np.concatenate([np.full(len(group.positions), group.volume) for group in every]))
        self.colliders = ColliderPoses(parts.colliders, parts.bodies, num_worlds, device, dtype)
        self._inclusions = Inclusions(parts.inclusions, parts.groups, list(parts.materials), device, dtype)
        self._emitters = Emitters(parts.emitters, parts.bodies, self.groups, num_worlds, device, dtype)
        traps = parts.collectors.values()
        self._traps = [(self._tensor(np.asarray(c.lower)), self._tensor(np.asarray(c.upper))) for c in traps]
        self._open = self._open_walls()
        self.skins = self._make_skins()
        self._declare()

    def _tensor(self, value: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(value), dtype=self._dtype, device=self._device)

    def _each(self, value: np.ndarray) -> torch.Tensor:
        tensor = self._tensor(value)
        return tensor.expand(self._worlds, *tensor.shape).clone()

    # ------------------------------------------------------------------------------------------------ declarations

    def _declare(self) -> None:
        parts, P, groups = self.parts, self.count, self.parts.groups.values()
        deformed, swollen = P if self.model.keeps_F else 0, P if self.model.keeps_J else 0
        self.fields = {
            "x": Field((P, 3), "m", "positions of the particles", np.concatenate([g.positions for g in groups]),
                       compared=True, drawn=True, mask="active"),
            "v": Field((P, 3), "m/s", "velocities of the particles", np.concatenate([g.velocity for g in groups]),
                       mask="active"),
            "C": Field((P, 3, 3), "1/s", "velocity gradients of the particles (APIC)", mask="active"),
            "F": Field((deformed, 3, 3), "1", "elastic deformation gradients; none where all are Newtonian liquids",
                       np.broadcast_to(np.eye(3), (deformed, 3, 3)), mask="active" if deformed else None),
            "J": Field((swollen,), "1", "volume ratios of liquids, plastic ones of sand and snow; none without", 1.0,
                       mask="active" if swollen else None),
            "active": Field((P,), "1", "which particles take part",
                            np.concatenate([np.full(len(g.positions), g.active) for g in groups]), torch.bool, False,
                            drawn=True),
            "wrench": Field((len(parts.colliders), 6), "N, N m", "force on each collider and torque about its origin, "
                            "mean over the last control step, world axes", differentiable=False),
            "emitted": Field((len(parts.emitters),), "1", "particles that each emitter has let out", 0, torch.int64,
                             False),
        }  # fmt: skip
        if len(self.pace.counts) > 1:
            about = "how many substeps the last control step took"
            self.fields["substeps"] = Field((), "1", about, 0, torch.int32, False)
        if self.skins:
            about = (
                "force of material on each taxel of the skins, mean over the last control step, axes of the collider"
            )
            self.fields["skin_field"] = Field((self.model.taxel_count, 3), "N", about, differentiable=False)
        if self.model.responds:
            about = "impulses of particles that bodies get in the next tick, and moments about their centres of mass"
            self.fields["owed"] = Field((len(parts.bodies), 6), "N s, N m s", about)
        if parts.emitters:
            about = "which emitters are open; all, if it is not given"
            self.controls["emit"] = Field((len(parts.emitters),), "1", about, 1.0, torch.bool, False)
        for name, material in parts.materials.items():
            self.parameters |= material_parameters(name, material)
        for name, inclusion in parts.inclusions.items():
            self.parameters |= inclusion_parameters(name, inclusion)
        for name, collider in parts.colliders.items():
            self.parameters[f"{name}.friction"] = Parameter(collider.friction, "1")
            if collider.spec.variants:
                most = len(collider.spec.variants) - 0.5
                self.parameters[f"{name}.variant"] = Parameter(0.0, "1", -0.5, most, differentiable=False)
            self.parameters[f"{name}.scale"] = Parameter(collider.scale, "1", 0.0, differentiable=False)

    def limits(self, dt: float) -> list[Limit]:
        """What a substep [s] bears of the numbers of materials and inclusions."""
        parts, dx = self.parts, self.model.dx
        limits = [limit for pair in parts.materials.items() for limit in material_limits(*pair, dt, dx)]
        return limits + inclusion_limits(parts.inclusions, parts.groups, parts.materials, dt, dx)

    def _open_walls(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Lower and upper corner (3,) [m] beyond which particles are gone, infinite along axes that are not open."""
        if "outflow" not in self.model.boundary:
            return None
        limits = []
        for corner, infinity in zip(self.domain(), (-np.inf, np.inf), strict=True):
            limits.append(self._tensor(np.where([b == "outflow" for b in self.model.boundary], corner, infinity)))
        return limits[0], limits[1]

    def domain(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of the region that particles can reach [m]."""
        lower = np.asarray(self.model.origin, dtype=np.float64)
        return lower, lower + self.model.dx * (np.asarray(self.model.shape) - 1 - 2 * PAD)

    def _make_skins(self) -> dict[str, tuple[slice, tuple[int, int], torch.Tensor]]:
        skins, start = {}, 0
        for name, collider in self.parts.colliders.items():
            skin = collider.spec.skin
            if skin is None:
                continue
            x, y = skin.along / np.linalg.norm(skin.along, axis=1, keepdims=True)
            axes = self._tensor(np.stack([x, y, np.cross(x, y)], 1))
            skins[name] = slice(start, start + skin.count), (skin.rows, skin.columns), axes
            start += skin.count
        return skins

    # --------------------------------------------------------------------------------------------- a control step

    def pack(self, values: Mapping[str, torch.Tensor]) -> Tensors:
        """``parameters`` (N, M, 8) of materials, and of particles of groups with inclusions, ``gravity`` (N, 3),
        ``friction`` and ``scale`` (N, Cl).
        """
        inputs = {"gravity": values["gravity"], "parameters": self._material_vectors(values)}
        for kind in ("friction", "scale"):
            columns = [values[f"{name}.{kind}"] for name in self.parts.colliders]
            nothing = values["gravity"][:, :0]
            inputs[kind] = torch.stack(columns, 1) if columns else nothing
        if any(collider.spec.variants for collider in self.parts.colliders.values()):
            zero = torch.zeros_like(values["gravity"][:, 0])
            chosen = [values.get(f"{name}.variant", zero) for name in self.parts.colliders]
            inputs["variant"] = torch.stack(chosen, 1).round().to(torch.int32)
        return inputs

    def _material_vectors(self, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        vectors = []
        for name, material in self.parts.materials.items():
            own = {parameter: values[f"{name}.{parameter}"] for parameter in material.parameter_names()}
            columns = material.kernel_parameters(own)
            columns += [torch.zeros_like(columns[0])] * (PARAMETER_COUNT - len(columns))
            vectors.append(torch.stack(columns, 1))
        return self._inclusions.rows(values, torch.stack(vectors, 1))

    def choose(self, parameters: Any, state: Any, twist: torch.Tensor) -> tuple[Choice, Tensors]:
        """How many ticks each world needs, and the state's new fields."""
        counts, times = self.pace.counts, self.pace.times
        if len(counts) == 1:
            return Choice(None, times[0], counts), {}
        index, count = self.pace.choose(parameters, state.v, state.active, twist)
        return Choice(index, times[index], counts), {"substeps": count}

    def enter(self, state: Any, control: Any) -> Any:
        """The state with what the emitters let out."""
        return self._emitters.let_out(state, control)

    def before(self, step: Step, packed: Tensors) -> Tensors:
        """The inputs of a stepper."""
        state = step.state
        inputs = {**packed, **self.colliders.motion(step.told_substeps), "volume": self.volume}
        inputs |= {name: state[name] for name in STATE_FIELDS}
        inputs |= {"active": state.active.to(torch.int32)}
        if self.model.responds:
            inputs["owed"] = state.owed
        return inputs

    def after(self, state: Any, inputs: Tensors, out: Tensors) -> Tensors:
        """Fields of the state at the end."""
        fields = {name: out[name] for name in STATE_FIELDS}
        fields["active"] = self._collect(state.active, out["x"])
        fields["wrench"] = torch.cat([out["force"], out["torque"]], -1)
        fields["emitted"] = state.emitted
        if self.model.responds:
            fields["owed"] = out["owed"]
        if self.skins:
            fields["skin_field"] = out["touch"]
        return fields

    def blank(self, inputs: Tensors, worlds: int) -> Tensors:
        """Tensors for the results; what takes no part leaves as it came."""
        idle, new = self._any_idle(inputs["active"]), inputs["x"].new_empty
        out = {name: inputs[name].clone() if idle else torch.empty_like(inputs[name]) for name in STATE_FIELDS}
        out |= {name: new((worlds, len(self.parts.colliders), 3)) for name in ("force", "torque")}
        out["touch"] = new((worlds, self.model.taxel_count, 3))
        out["status"] = new((worlds,), dtype=torch.int32)
        if self.model.responds:
            out["owed"] = torch.empty_like(inputs["owed"])
        return out

    def blank_adjoints(self, inputs: Tensors, adjoints: Tensors) -> Tensors:
        """Tensors for the adjoints of the inputs."""
        names = (*STATE_FIELDS, *INPUT_FIELDS, *(["owed"] if self.model.responds else []))
        out = {name: torch.zeros_like(inputs[name]) for name in names}
        if self._any_idle(inputs["active"]):
            out |= {name: adjoints[name].clone() for name in STATE_FIELDS if adjoints.get(name) is not None}
        return out

    def _any_idle(self, active: torch.Tensor) -> bool:
        """Whether any particle takes no part, so that steppers leave it out; on CUDA they do not."""
        return not on_cuda(self._device) and int(active.count_nonzero()) < active.numel()

    def _collect(self, active: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Which particles stay active after the collectors have taken theirs, and the open walls."""
        if self._open:
            active = active & ((x >= self._open[0]) & (x <= self._open[1])).all(-1)
        for lower, upper in self._traps:
            active = active & ~((x > lower) & (x < upper)).all(-1)
        return active

    def skin(self, state: Any, collider: str) -> torch.Tensor:
        """Force on each taxel of a collider's skin, mean over the last control step [N], (N, rows, columns, 3)."""
        if collider not in self.skins:
            raise KeyError(f"collider {collider!r} has no skin; those with one: {', '.join(self.skins) or 'none'}")
        span, shape, axes = self.skins[collider]
        return exact.matmul(state.skin_field[:, span], axes).unflatten(1, shape)

    @property
    def lanes(self) -> int:
        """Parts of a large world that can run side by side on the CPU."""
        if on_cuda(self._device) or not self.model.allows_lanes:
            return 1
        return min(max(self.count // PARTICLES_PER_LANE, 1), MAX_LANES)

    def open(self, desk: Desk) -> MPMStepper:
        """A stepper for the worlds of a desk."""
        model, count = self.model, self.model.substeps * desk.finer
        model = replace(model, dt=model.dt * (model.substeps / count), substeps=count)
        return MPMStepper(model, desk.worlds, desk.device, desk.dtype, desk.lanes, desk.ticks, desk.frames)
