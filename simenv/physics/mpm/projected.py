# SPDX-License-Identifier: Apache-2.0
"""Rigid bodies of a solver: their buffers, and the launches that couple them to the grid, forward and in reverse."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import warp as wp

from simenv.physics.mpm.kernels_projected import projected_kernels
from simenv.physics.mpm.kernels_projected_grid import projected_grid_kernels
from simenv.physics.mpm.kernels_projected_grid_adjoint import projected_grid_adjoint_kernels
from simenv.physics.mpm.model import MPMModel
from simenv.physics.mpm.projected_struct import projected_struct
from simenv.physics.mpm.stencil import stencil_functions

PROJECTED_FIELDS = ("projected_position", "projected_quaternion", "projected_velocity", "projected_spin")
_TYPES = {
    "projected_position": ("x", 3),
    "projected_quaternion": ("grid", 4),
    "projected_velocity": ("v", 3),
    "projected_spin": ("v", 3),
}
_BLOCK = 64  # members whose sums one thread makes

Commands = list[Callable[[], None]]
Shapes = dict[str, tuple[str, tuple[int, ...]]]  # key -> (field whose type the array has, its shape)


@dataclass(frozen=True)
class Workspace:
    """What a solver lends: its arrays and tensors by name, its grid, and how to make more.

    Attributes:
        model: the scene; worlds: number of worlds S; real: Warp's scalar type; device: Warp's device; grid: the struct
            of grid constants; tensors, arrays: torch tensors, and the Warp arrays that share their memory; new: makes
            one of each, ``new(key, type's name, *shape)``; launch: records ``launch(kernel, dim, inputs, outputs)``.
    """

    model: MPMModel
    worlds: int
    real: type
    device: object
    grid: Any
    tensors: dict[str, torch.Tensor]
    arrays: dict[str, wp.array]
    new: Callable[..., torch.Tensor]
    launch: Callable[..., Callable[[], None]]


class ProjectedBodies:
    """The rigid bodies of all worlds of a solver.

    A body's state is ``projected_position`` of the centre of mass [m], ``projected_quaternion`` (x, y, z, w),
    ``projected_velocity`` [m/s] and ``projected_spin``, the angular momentum per unit density [m^5/s], all in the
    world. The particles of a body are placed by it: what they hold when a step begins is not used.

    Args:
        solver: what the solver lends; it has one lane.
    """

    def __init__(self, solver: Workspace):
        self._solver, self._specs = solver, solver.model.projected
        real = solver.real
        self._motion, self._onto_grid = projected_kernels(real), projected_grid_kernels(real)
        self._from_grid = projected_grid_adjoint_kernels(real)
        self._sizes = {"S": solver.worlds, "R": len(self._specs)}
        self._sizes["members"] = sum(len(spec.rest) for spec in self._specs)
        self._bodies = self._make_bodies(real)
        S, R, n = solver.worlds, len(self._specs), self._bodies.box
        self._blocks = S * self._bodies.blocks
        self._rows = S * R * n * n
        for name in ("linear", "angular"):
            solver.new(f"projected_{name}", "v", self._blocks, 3)
            solver.new(f"projected_grid_{name}", "v", S, R, 3)
        solver.new("projected_mass", "J", S * R * n**3)
        solver.new("projected_before", "v", S * R * n**3, 3)
        solver.new("projected_adj_mass", "J", S * R * n**3)
        solver.new("projected_adj_body_mass", "J", S * R * n**3)
        for name, count in (("rows", self._rows), ("planes", S * R * n), ("sums", S * R), ("motion", S * R)):
            solver.new(f"projected_{name}", "sums", count, 16)
        solver.new("projected_adj_sums", "sums", S * R, 16)

    def _make_bodies(self, real: type):
        solver, specs, model = self._solver, self._specs, self._solver.model
        struct = projected_struct(real)()
        counts = [len(spec.rest) for spec in specs]
        reach = [float(np.linalg.norm(spec.rest, axis=1).max()) for spec in specs]
        blocks = [math.ceil(count / _BLOCK) for count in counts]
        starts = np.concatenate([[0], np.cumsum(counts)])
        first = [int(starts[b]) + _BLOCK * block for b in range(len(specs)) for block in range(blocks[b])]
        struct.count, struct.particles, struct.members = len(specs), model.particle_count, int(starts[-1])
        struct.blocks, struct.box = len(first), math.ceil(2 * max(reach) / model.dx) + 4
        st = stencil_functions(real)
        vec3, mat33 = st.vec3, st.mat33

        def array(values, dtype) -> wp.array:
            return wp.array(np.asarray(values), dtype=dtype, device=solver.device)

        members = np.concatenate([np.arange(spec.start, spec.start + len(spec.rest)) for spec in specs])
        struct.member = array(members.astype(np.int32), wp.int32)
        struct.owner = array(np.repeat(np.arange(len(specs)), counts).astype(np.int32), wp.int32)
        struct.rest = array(np.concatenate([spec.rest for spec in specs]), vec3)
        struct.block_first = array(np.array([*first, starts[-1]], dtype=np.int32), wp.int32)
        struct.body_block = array(np.concatenate([[0], np.cumsum(blocks)]).astype(np.int32), wp.int32)
        struct.volume = array([spec.volume for spec in specs], real)
        struct.axes = array(np.stack([spec.axes for spec in specs]), mat33)
        struct.moments = array(np.stack([spec.moments for spec in specs]), vec3)
        struct.reach = array(reach, real)
        return struct

    def kernels(self, backward: bool) -> tuple:
        """Namespaces of the kernels that a program uses."""
        return (self._motion, self._onto_grid, *((self._from_grid,) if backward else ()))

    def state_shapes(self, index: int) -> Shapes:
        """Arrays of the bodies after `index` substeps: key -> (field whose type it has, shape)."""
        S, R = self._sizes["S"], self._sizes["R"]
        shapes: Shapes = {f"{name}@{index}": (kind, (S, R, size)) for name, (kind, size) in _TYPES.items()}
        shapes |= {f"projected_rotation@{index}": ("F", (S, R, 3, 3)), f"projected_omega@{index}": ("v", (S, R, 3))}
        return {**shapes, f"projected_gathered@{index}": ("v", (S, self._sizes["members"], 3))}

    def adjoint_shapes(self) -> Shapes:
        """Arrays of the reverse sweep, likewise."""
        S, R = self._sizes["S"], self._sizes["R"]
        shapes: Shapes = {f"adj_{name}": (kind, (S, R, size)) for name, (kind, size) in _TYPES.items()}
        shapes |= {f"projected_adj_{name}": ("v", (self._blocks, 3)) for name in ("position", "linear", "omega")}
        return {**shapes, "projected_adj_rotation": ("F", (self._blocks, 3, 3))}

    def state(self, index: int) -> dict[str, wp.array]:
        """Warp arrays of the bodies after `index` substeps; allocated when first asked for."""
        solver = self._solver
        if f"projected_position@{index}" not in solver.tensors:
            for key, (kind, shape) in self.state_shapes(index).items():
                solver.new(key, kind, *shape)
        names = (*PROJECTED_FIELDS, "projected_rotation", "projected_omega", "projected_gathered")
        return {name.removeprefix("projected_"): solver.arrays[f"{name}@{index}"] for name in names}

    def tensor(self, name: str, index: int) -> torch.Tensor:
        """The tensor of one of `PROJECTED_FIELDS` after `index` substeps."""
        self.state(index)
        return self._solver.tensors[f"{name}@{index}"]

    # ---------------------------------------------------------------- forward

    def _launch(self, kernel, dim: int, inputs: list, outputs: list) -> Callable[[], None]:
        return self._solver.launch(kernel, dim, inputs, outputs)

    def _place(self, bodies: dict, particles: dict) -> Callable[[], None]:
        inputs = [self._bodies, *(bodies[n] for n in ("position", "rotation", "velocity", "omega"))]
        dim = self._sizes["S"] * self._sizes["members"]
        return self._launch(self._motion.place, dim, inputs, [particles[n] for n in ("x", "v", "C")])

    def enter(self, particles: dict) -> Commands:
        """Place the particles of the entering state."""
        bodies, dim = self.state(0), self._sizes["S"] * self._sizes["R"]
        inputs = [self._bodies, bodies["quaternion"], bodies["spin"]]
        start = self._launch(self._motion.enter, dim, inputs, [bodies["rotation"], bodies["omega"]])
        return [start, self._place(bodies, particles)]

    def _fold(self) -> Commands:
        a, n, count = self._solver.arrays, self._bodies.box, self._sizes["S"] * self._sizes["R"]
        return [self._launch(self._onto_grid.fold, count * n, [n, a["projected_rows"]], [a["projected_planes"]])]

    def _sum(self, target: str) -> Commands:
        a, n, count = self._solver.arrays, self._bodies.box, self._sizes["S"] * self._sizes["R"]
        return [*self._fold(), self._launch(self._onto_grid.fold, count, [n, a["projected_planes"]], [a[target]])]

    def _mass_head(self, index: int, particles: dict) -> list:
        a, model = self._solver.arrays, self._solver.model
        head = [self._bodies, self._solver.grid, a["material"], a["parameters"], a["volume"], len(model.kinds)]
        return [*head, self.state(index)["position"], particles["x"]]

    def project(self, index: int, particles: dict, momentum: wp.array) -> Commands:
        """Make the grid's velocity rigid where the bodies are, in substep `index`'s bodies."""
        a, k, grid = self._solver.arrays, self._onto_grid, self._solver.grid
        position, velocity, omega = (self.state(index)[n] for n in ("position", "velocity", "omega"))
        mass = a["projected_mass"]
        head, motion = (
            [self._bodies, grid, position, mass, momentum],
            [a["projected_grid_linear"], a["projected_grid_angular"]],
        )
        members, count = self._sizes["S"] * self._sizes["members"], self._sizes["S"] * self._sizes["R"]
        sums = [a["projected_before"], a["projected_rows"]]
        return [
            self._launch(k.clear, self._rows * self._bodies.box, [], [mass, a["projected_adj_body_mass"]]),
            self._launch(k.scatter_mass, members, self._mass_head(index, particles), [mass]),
            self._launch(k.moments, self._rows, [*head, a["grid_velocity"], velocity, omega], sums),
            *self._sum("projected_sums"),
            self._launch(k.solve, count, [grid, a["projected_sums"]], motion),
            self._launch(k.project, self._rows, [*head, velocity, omega, *motion], [a["grid_velocity"]]),
        ]

    def move(self, before: int, after: int, gathered: dict) -> Commands:
        """Move the bodies by what their particles have `gathered`, and place these."""
        a, solver = self._solver.arrays, self._solver
        old, new = self.state(before), self.state(after)
        motion = [old[n] for n in ("position", "rotation", "velocity", "omega")]
        sums = [a["projected_linear"], a["projected_angular"]]
        inputs = [self._bodies, solver.grid, a["volume"], *motion, gathered["v"], gathered["C"]]
        gain = self._launch(self._motion.gain, self._blocks, inputs, [old["gathered"], *sums])
        inputs = [self._bodies, solver.model.dt, *(old[n] for n in ("position", "quaternion", "velocity", "spin"))]
        outputs = [new[n] for n in ("position", "quaternion", "velocity", "spin", "rotation", "omega")]
        dim = self._sizes["S"] * self._sizes["R"]
        return [gain, self._launch(self._motion.advance, dim, [*inputs, *sums], outputs), self._place(new, gathered)]

    # ---------------------------------------------------------------- reverse

    def _body_adjoints(self) -> list[wp.array]:
        return [self._solver.arrays[f"adj_{name}"] for name in PROJECTED_FIELDS]

    def place_adjoint(self, index: int, gains: bool) -> Commands:
        """Move the particles' adjoints after `index` substeps to the bodies; with `gains`, those that substep
        `index` had from the placed motion as well.
        """
        a, solver, bodies = self._solver.arrays, self._solver, self.state(index)
        motion = [bodies[n] for n in ("position", "rotation", "velocity", "omega", "gathered")]
        inputs = [self._bodies, solver.grid, a["volume"], int(gains), *motion]
        inputs += [a["adj_projected_velocity"], a["adj_projected_spin"]]
        blocks = [a[f"projected_adj_{n}"] for n in ("position", "linear", "omega", "rotation")]
        outputs = [a["adj_x"], a["adj_v"], a["adj_C"], *blocks]
        collect = [self._bodies, bodies["quaternion"], bodies["spin"], *blocks]
        dim = self._sizes["S"] * self._sizes["R"]
        return [
            self._launch(self._motion.place_adjoint, self._blocks, inputs, outputs),
            self._launch(self._motion.collect_adjoint, dim, collect, self._body_adjoints()),
        ]

    def move_adjoint(self, index: int) -> Commands:
        """Adjoint of `move` from substep `index` to the next: leaves the adjoints of what the particles gathered."""
        a, solver = self._solver.arrays, self._solver
        old, new = self.state(index), self.state(index + 1)
        position, *rest = self._body_adjoints()
        inputs = [self._bodies, solver.model.dt, old["quaternion"], new["spin"], position]
        dim = self._sizes["S"] * self._sizes["R"]
        advance = self._launch(self._motion.advance_adjoint, dim, inputs, rest)
        inputs = [self._bodies, solver.grid, a["volume"], *(old[n] for n in ("position", "rotation", "gathered"))]
        inputs += [a["adj_projected_velocity"], a["adj_projected_spin"]]
        members = self._sizes["S"] * self._sizes["members"]
        gain = self._launch(self._motion.gain_adjoint, members, inputs, [a["adj_v"], a["adj_C"]])
        return [*self.place_adjoint(index + 1, index + 1 < solver.model.substeps), advance, gain]

    def project_adjoint(self, index: int, momentum: wp.array) -> Commands:
        """Adjoint of `project`: replaces the adjoint of the grid's velocity."""
        a, k, grid = self._solver.arrays, self._from_grid, self._solver.grid
        head = [self._bodies, grid, self.state(index)["position"], a["projected_mass"], momentum]
        motion, count = [a["projected_grid_linear"], a["projected_grid_angular"]], self._sizes["S"] * self._sizes["R"]
        solve = [grid, a["projected_sums"], *motion, a["projected_motion"]]
        outputs = [a["adj_grid"], a["projected_adj_mass"], a["projected_adj_body_mass"]]
        return [
            self._launch(k.motion_adjoint, self._rows, [*head, a["adj_grid"]], [a["projected_rows"]]),
            *self._sum("projected_motion"),
            self._launch(k.solve_adjoint, count, solve, [a["projected_adj_sums"]]),
            self._launch(
                k.project_adjoint, self._rows, [*head, a["projected_before"], *motion, a["projected_adj_sums"]], outputs
            ),
        ]

    def mass_adjoint(self, index: int) -> Commands:
        """Add the adjoint of the nodes' masses, after that of the grid update."""
        a = self._solver.arrays
        inputs = [
            self._bodies,
            self._solver.grid,
            self.state(index)["position"],
            a["projected_mass"],
            a["projected_adj_mass"],
        ]
        return [self._launch(self._from_grid.add_mass_adjoint, self._rows, inputs, [a["adj_grid"]])]

    def scatter_adjoint(self, index: int, particles: dict) -> Commands:
        """Add the adjoint of the bodies' masses at the nodes, after that of P2G."""
        a = self._solver.arrays
        inputs = [*self._mass_head(index, particles), a["projected_adj_body_mass"]]
        members = self._sizes["S"] * self._sizes["members"]
        kernel = self._from_grid.scatter_mass_adjoint
        return [self._launch(kernel, members, inputs, [a["adj_x"], a["adj_parameters"]])]
