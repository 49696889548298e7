# SPDX-License-Identifier: Apache-2.0
"""Between the frames of bodies' shapes, which a state holds, and their centres of mass, which are integrated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from simenv.physics.rotation import rotate

__all__ = ["Centres"]


class Centres:
    """Centres of mass of B bodies in the frames of their shapes.

    Args:
        centres: (B, 3) [m]; device, dtype: of the tensors.
    """

    def __init__(self, centres: Sequence[np.ndarray], device: torch.device, dtype: torch.dtype):
        values = np.reshape(np.asarray(centres, dtype=np.float64), (-1, 3))
        self._centres = torch.as_tensor(values, dtype=dtype, device=device)
        self._apart = bool(values.any())  # else nothing is to be done, and no number changes

    def of_frames(
        self, position: torch.Tensor, quaternion: torch.Tensor, velocity: torch.Tensor, omega: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Places and velocities (N, B, 3) of the centres of mass, from those of the frames and unit quaternions."""
        return self._moved(1.0, position, quaternion, velocity, omega)

    def frames_of(
        self, position: torch.Tensor, quaternion: torch.Tensor, velocity: torch.Tensor, omega: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Places and velocities (N, B, 3) of the frames, from those of the centres of mass."""
        return self._moved(-1.0, position, quaternion, velocity, omega)

    def _moved(
        self, sign: float, position: torch.Tensor, quaternion: torch.Tensor, velocity: torch.Tensor, omega: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self._apart:
            return position, velocity
        arm = sign * rotate(quaternion, self._centres)
        return position + arm, velocity + torch.linalg.cross(omega, arm.expand_as(omega))
