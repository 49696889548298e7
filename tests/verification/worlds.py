# SPDX-License-Identifier: Apache-2.0
"""What several verification tests need: lattices of particles, and conserved quantities of a state."""

import numpy as np
import torch


def lattice(lower, upper, spacing: float) -> np.ndarray:
    """(n, 3) positions, cell-centred, that fill a box [m]."""
    lower, upper = np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)
    counts = np.round((upper - lower) / spacing).astype(int)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in counts], indexing="ij"), -1).reshape(-1, 3)
    return lower + (index + 0.5) * spacing


def masses(world, density: torch.Tensor) -> torch.Tensor:
    """(N, P) particle masses [kg] in float64."""
    return (world.volume * density[:, None]).double()


def momentum(state, mass: torch.Tensor) -> torch.Tensor:
    """(N, 3) linear momentum [kg m/s]."""
    return (mass[..., None] * state.v.double()).sum(1)


def angular_momentum(state, mass: torch.Tensor, dx: float) -> torch.Tensor:
    """(N, 3) angular momentum about the origin, with the spin that APIC's affine velocities carry [kg m^2/s]."""
    C = state.C.double()
    spin = torch.stack([C[..., 2, 1] - C[..., 1, 2], C[..., 0, 2] - C[..., 2, 0], C[..., 1, 0] - C[..., 0, 1]], -1)
    orbit = torch.linalg.cross(state.x.double(), state.v.double())
    return (mass[..., None] * (orbit + 0.25 * dx**2 * spin)).sum(1)
