# SPDX-License-Identifier: Apache-2.0
"""What gel models ask about an object: penetration of each taxel, how it slides, and the wrench of a force field."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import warp as wp

from simenv.geometry.shapes import Shape
from simenv.physics.bridge import Operation, PackedShape, constant_array, warp_real
from simenv.physics.device import resolve_device
from simenv.physics.gels.grid import TaxelGrid
from simenv.physics.gels.kernels_contact import contact_kernels

__all__ = ["INVALID", "SATURATED", "UNCONVERGED", "Contact", "Motion", "TactileReading", "TactileState"]

SATURATED = 1  # an object is deeper in the gel than the search starts: depths are cut there
UNCONVERGED = 2  # a contact solve ended at its last iteration
INVALID = 4  # a pose, or a number of the gel, is NaN or infinite: the forces mean nothing


@dataclass(frozen=True)
class Motion:
    """The object seen from the sensor: now, at the state before, and its velocity; rotations are (N, 3, 3)."""

    rotation: torch.Tensor
    position: torch.Tensor
    before_rotation: torch.Tensor
    before_position: torch.Tensor
    velocity: torch.Tensor
    omega: torch.Tensor


@dataclass(frozen=True)
class TactileState:
    """What a sensor remembers from one reading to the next.

    Attributes:
        stick: (N, P, 2) tangential displacement of the gel that friction holds [m], along the taxels' tangents.
        rotation, position: of the object in the sensor's frame at the last reading, (N, 3, 3) and (N, 3) [m].
        valid: (N,) bool, false for a world that has had no reading since its reset.
    """

    stick: torch.Tensor
    rotation: torch.Tensor
    position: torch.Tensor
    valid: torch.Tensor

    def reset(self, rows: torch.Tensor) -> TactileState:
        """Forget the worlds of the mask `rows` (N,) bool; the others keep everything, gradients included."""
        if rows.shape != self.valid.shape or rows.dtype != torch.bool:
            raise ValueError(
                f"rows must be a bool tensor {tuple(self.valid.shape)}, not {rows.dtype} {tuple(rows.shape)}"
            )
        zero = self.stick.new_zeros(())
        return replace(self, stick=torch.where(rows[:, None, None], zero, self.stick), valid=self.valid & ~rows)

    def detach(self) -> TactileState:
        """The same state without its history of gradients."""
        return TactileState(self.stick.detach(), self.rotation.detach(), self.position.detach(), self.valid)


@dataclass(frozen=True)
class TactileReading:
    """A force field.

    Attributes:
        normal: (N, P) force on each taxel that presses into the gel [N]; unit-less in TacSL's law.
        shear: (N, P, 2) force on each taxel along its tangents [N].
        depth: (N, P) depth of the object below the undeformed gel [m], negative where they don't meet.
        wrench: (N, 6) force [N] on the gel and its moment [N m] about the sensor's origin, in the sensor's frame: the
            sum of the field, whose forces act where the object is, `depth` below the undeformed gel along its normal.
            The object receives the opposite.
        pressure, traction: (N, P) and (N, P, 2), normal and shear per area [Pa]; `None` in TacSL's law.
        status: (N,) int32 bit mask of `SATURATED`, `UNCONVERGED` and `INVALID`; 0 is good.
    """

    normal: torch.Tensor
    shear: torch.Tensor
    depth: torch.Tensor
    wrench: torch.Tensor
    pressure: torch.Tensor | None
    traction: torch.Tensor | None
    status: torch.Tensor

    def field(self) -> torch.Tensor:
        """Normal and shear together, (N, P, 3): shear along x, shear along y, normal, as TacSL's policies read them."""
        return torch.cat([self.shear, self.normal[..., None]], -1)


class Contact:
    """Queries of one object by the taxels of one grid.

    Args:
        grid: the taxels.
        shape: the object.
        dtype, device: of all tensors.
        max_depth: depth below the undeformed gel at which the search for the object starts [m].
        reach: height above it at which the search ends [m].
        spacing: of a mesh's distance volume [m].
    """

    def __init__(
        self,
        grid: TaxelGrid,
        shape: Shape,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        max_depth: float = 4.0e-3,
        reach: float = 4.0e-3,
        spacing: float | None = None,
    ):
        self.device = resolve_device(device)
        for name, value in (("max_depth", max_depth), ("reach", reach)):
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{name} must be positive and finite [m], not {value!r}")
        self.grid, self.dtype = grid, dtype
        self.max_depth, self.reach = float(max_depth), float(reach)
        self.kernels = contact_kernels(warp_real(dtype))
        self.packed = PackedShape(shape, dtype, self.device, spacing)
        k = self.kernels
        self.points, self.frames = self._taxels(grid)
        self.areas = self._constant(grid.areas, k.real)
        self.area = torch.as_tensor(grid.areas, dtype=dtype).to(self.device)
        self._columns = self.at(grid)
        self._tacsl, self._springs, self._wrench = self._operations()

    def _constant(self, values: np.ndarray, kind: type):
        return constant_array(np.ascontiguousarray(values), kind, self.dtype, self.device)

    def _taxels(self, grid: TaxelGrid) -> tuple[wp.array, wp.array]:
        return self._constant(grid.points, self.kernels.vec3), self._constant(grid.frames, self.kernels.mat33)

    def at(self, grid: TaxelGrid) -> Operation:
        """The kernel behind `columns` for other taxels, such as the pixels of a camera."""
        k, count = self.kernels, grid.count
        pose = [k.mat33, k.vec3]
        return Operation(
            k.columns,
            [*self.packed.arguments, *self._taxels(grid), self.max_depth, self.reach],
            [*pose, *pose, k.vec3, k.vec3],
            [(k.real, (count,)), (k.vec2, (count,)), (k.real, (count,))],
            count,
        )

    def _operations(self) -> tuple[Operation, ...]:
        k, count = self.kernels, self.grid.count
        real, vec2, vec3, mat33 = k.real, k.vec2, k.vec3, k.mat33
        taxels = [self.points, self.frames]
        pose = [mat33, vec3]
        tacsl = Operation(
            k.tacsl,
            [*self.packed.arguments, *taxels],
            [*pose, vec3, vec3, real, real, real, real],
            [(vec3, (count,)), (real, (count,))],
            count,
        )
        springs = Operation(
            k.springs,
            [self.areas],
            [real, real, vec2, vec2, real, real, real, real],
            [(vec3, (count,)), (vec2, (count,))],
            count,
        )
        wrench = Operation(k.wrench, taxels, [vec3, real], [(vec3, (2,))], count)
        return tacsl, springs, wrench

    def columns(self, motion: Motion) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Depth (N, P) [m], slide since the state before (N, P, 2) [m], and sinking speed (N, P) [m/s]."""
        m = motion
        return self._columns(m.rotation, m.position, m.before_rotation, m.before_position, m.velocity, m.omega)

    def tacsl(self, motion: Motion, k_n, k_t, mu, damping) -> tuple[torch.Tensor, torch.Tensor]:
        """TacSL's force (N, P, 3), shear and normal along the taxel's axes, and depth (N, P) [m]."""
        return self._tacsl(motion.rotation, motion.position, motion.velocity, motion.omega, k_n, k_t, mu, damping)

    def springs(self, depth, rate, slide, stick, k_n, k_t, mu, damping) -> tuple[torch.Tensor, torch.Tensor]:
        """Force (N, P, 3) [N] of independent springs with friction, and the new stick displacement (N, P, 2) [m]."""
        return self._springs(depth, rate, slide, stick, k_n, k_t, mu, damping)

    def wrench(self, force: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
        """Force and moment (N, 6) about the sensor's origin of a field (N, P, 3)."""
        return self._wrench(force, depth)[0].flatten(1)

    def saturated(self, depth: torch.Tensor) -> torch.Tensor:
        """Status bits (N,) of depths (N, P) that the search cut."""
        return (depth >= self.max_depth).any(-1).to(torch.int32) * SATURATED

    @property
    def operations(self) -> tuple[Operation, Operation, Operation]:
        """The kernels behind `columns`, `springs` and `wrench`, for those who schedule launches themselves."""
        return self._columns, self._springs, self._wrench
