# SPDX-License-Identifier: Apache-2.0
"""How easily a robot's tool yields, which limits what may press on it."""

from __future__ import annotations

import torch

from simenv.robots.arm import Arm

__all__ = ["arm_ease"]


def arm_ease(arm: Arm | None, dt: float) -> tuple[float, float]:
    """Inverse mass and inverse inertia of an arm's tool in the direction in which it yields most, at the posture.

    Raises:
        ValueError: a substep [s] is too long for the damping of the joints.
    """
    if arm is None:
        return 0.0, 0.0
    posture = torch.as_tensor(arm.chain.posture, dtype=arm.dtype, device=arm.device).expand(arm.num_worlds, -1)
    inverse = torch.linalg.inv(arm.mass_matrix(posture)[0].double())
    jacobian = arm.jacobian(posture)[0].double()
    root = torch.as_tensor(arm.chain.damping, dtype=torch.float64, device=arm.device).sqrt()
    load = 0.5 * dt * float(torch.linalg.eigvalsh(root[:, None] * inverse * root).max())
    if load > 1.0:
        raise ValueError(
            f"the damping of the arm's joints, {arm.chain.damping.tolist()} N m s, needs a substep of at most "
            f"{dt / load:.2e} s beside its inertia, not {dt:.2e} s; shorten it or lower the damping"
        )
    task = jacobian @ inverse @ jacobian.T
    return tuple(float(torch.linalg.eigvalsh(block).max()) for block in (task[:3, :3], task[3:, 3:]))  # type: ignore[return-value]
