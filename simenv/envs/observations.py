# SPDX-License-Identifier: Apache-2.0
"""What tasks commonly observe. Batched and differentiable; nothing here waits for the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from simenv.envs.constants import constant

if TYPE_CHECKING:
    from simenv.world import State

__all__ = ["density_grid", "keypoints"]


def keypoints(state: State, particles: slice, count: int) -> torch.Tensor:
    """Positions and velocities of an evenly spaced subset of particles.

    Args:
        state: The state.
        particles: The group, from ``world.particle_groups``.
        count: Number of particles K to take, first and last included.

    Returns:
        (N, K, 6): position [m] and velocity [m/s]; zeros for particles that are not active yet.

    Raises:
        ValueError: If the group has fewer particles than asked for.
    """
    size = particles.stop - particles.start
    if not 1 <= count <= size:
        raise ValueError(f"count={count} keypoints of a group of {size} particles; ask for between 1 and {size}.")
    step = (size - 1) / max(count - 1, 1)
    rows = [particles.start + round(k * step) for k in range(count)]
    index = constant(rows, torch.int64, state.x.device)
    both = torch.cat([state.x[:, index], state.v[:, index]], dim=-1)
    return torch.where(state.active[:, index].unsqueeze(-1), both, torch.zeros_like(both))


def density_grid(
    state: State,
    particles: slice,
    mass: float | torch.Tensor,
    shape: Sequence[int],
    low: Sequence[float],
    high: Sequence[float],
) -> torch.Tensor:
    """Mass density on a regular grid of nodes, by quadratic B-splines (Steffen, Kirby and Berzins, 2008, eq. 18).

    The first and last node of each axis lie on ``low`` and ``high``. Inside, the total mass is preserved exactly: the
    sum of the densities times the cell volume is the particles' mass. Mass that falls beyond the outermost nodes is
    dropped.

    Args:
        state: The state.
        particles: The group, from ``world.particle_groups``.
        mass: Mass of a particle [kg]: a number, or a tensor that broadcasts to (N, K).
        shape: Nodes per axis (nx, ny, nz), at least 2 each.
        low: Position of the first node [m].
        high: Position of the last node [m].

    Returns:
        (N, nx, ny, nz) [kg/m^3].

    Raises:
        ValueError: If an axis has fewer than 2 nodes or no extent.
    """
    if min(shape) < 2 or any(b <= a for a, b in zip(low, high, strict=True)):
        raise ValueError(
            f"density_grid needs at least 2 nodes per axis and low < high, got shape={shape}, low={low}, high={high}."
        )
    x = state.x[:, particles]
    spacing = tuple((b - a) / (count - 1) for a, b, count in zip(low, high, shape, strict=True))
    mass = torch.where(state.active[:, particles], constant(mass, x.dtype, x.device), 0.0)
    grid = _Density.apply(x, mass.expand(x.shape[:2]), tuple(shape), tuple(low), spacing)
    return grid / math.prod(spacing)


class _Density(torch.autograd.Function):
    """Amounts (N, K) at places (N, K, 3) [m], shared out to the nodes of a grid."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, amount: torch.Tensor, shape: tuple[int, ...], low: tuple[float, ...],
        spacing: tuple[float, ...],
    ) -> torch.Tensor:  # fmt: skip
        from simenv.envs.kernels_measures import measures_kernels  # importing environments does not load Warp
        from simenv.physics.direct import launch_on, warp_real

        kernels = measures_kernels(warp_real(x.dtype))
        ctx.kernels, (worlds, particles) = kernels, amount.shape
        ctx.numbers = [particles, *shape, kernels.vec3(*low), kernels.vec3(*spacing), worlds]
        ctx.save_for_backward(x, amount)
        grid = x.new_zeros((worlds, *shape))
        launch_on(kernels.density, amount.numel(), ctx.numbers, [x, amount], [grid])
        return grid

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        from simenv.physics.direct import launch_on

        x, amount = ctx.saved_tensors
        adjoints = [torch.empty_like(each, memory_format=torch.contiguous_format) for each in (x, amount)]
        launch_on(ctx.kernels.density_adjoint, amount.numel(), ctx.numbers, [x, amount, grads[0]], adjoints)
        return *adjoints, None, None, None
