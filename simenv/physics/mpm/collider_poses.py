# SPDX-License-Identifier: Apache-2.0
"""Where the colliders of particles are: over a control step on bodies that move as told, and in a state on all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from simenv.physics.given import GivenMotion
from simenv.physics.mpm.parts import Collider
from simenv.physics.parts import Body
from simenv.physics.rotation import quaternion_multiply, quaternion_to_matrix, rotate
from simenv.physics.solver import Tensors

__all__ = ["ColliderPoses"]


class ColliderPoses:
    """The colliders of N worlds.

    Args:
        colliders, bodies: of the scene, by name; num_worlds: N; device, dtype: of the tensors.
    """

    def __init__(
        self, colliders: Mapping[str, Collider], bodies: Mapping[str, Body], num_worlds: int, device: torch.device,
        dtype: torch.dtype,
    ):  # fmt: skip
        self._worlds = num_worlds
        names = list(bodies)
        self._told = [name for name, body in bodies.items() if body.is_told]
        self._carrier = [self._told.index(c.body) if c.body in self._told else -1 for c in colliders.values()]
        self._moving = [bool(c.body) and c.body not in self._told for c in colliders.values()]
        self._collider_body = [names.index(c.body) if c.body else -1 for c in colliders.values()]
        local = [(*c.position, *c.quaternion) for c in colliders.values()]
        self._local = torch.as_tensor(np.reshape(local, (-1, 7)), dtype=dtype, device=device)
        self._axes = quaternion_to_matrix(self._local[:, 3:])
        self._still = torch.zeros((), dtype=dtype, device=device)

    def motion(self, told: GivenMotion) -> Tensors:
        """Pose and velocity of the colliders at every substep; the stepper places those on moving frames."""
        p, q, linear, angular = told.position, told.quaternion, told.velocity, told.omega
        N, K = len(linear), p.shape[1]
        position, rotation, velocity, omega = [], [], [], []
        for index, body in enumerate(self._carrier):
            local_p, local_q = self._local[index, :3], self._local[index, 3:]
            if body < 0:
                position.append(local_p.expand(N, K, 3))
                rotation.append(self._axes[index].expand(N, K, 3, 3))
                velocity.append(self._still.expand(N, K, 3))
                omega.append(velocity[-1])
                continue
            arm = rotate(q[:, :, body], local_p)
            w = angular[:, None, body].expand(N, K, 3)
            position.append(p[:, :, body] + arm)
            rotation.append(quaternion_to_matrix(quaternion_multiply(q[:, :, body], local_q)))
            velocity.append(linear[:, None, body] + torch.linalg.cross(w, arm))
            omega.append(w)
        motion = {"position": position, "rotation": rotation, "velocity": velocity, "omega": omega}
        if not position:
            none = linear.new_zeros((N, K, 0, 3))
            return {name: none if name != "rotation" else none.unsqueeze(-1) for name in motion}
        return {name: torch.stack(values, 2) for name, values in motion.items()}

    def poses(self, state: Any) -> torch.Tensor:
        """World poses of all [m, quaternion xyzw], (N, Cl, 7)."""
        poses = []
        for index, body in enumerate(self._collider_body):
            local = self._local[index].expand(self._worlds, 7)
            if body < 0:
                poses.append(local)
                continue
            q = state.body_q[:, body]
            position = q[:, :3] + rotate(q[:, 3:], local[:, :3])
            poses.append(torch.cat([position, quaternion_multiply(q[:, 3:], local[:, 3:])], -1))
        return torch.stack(poses, 1) if poses else state.body_q.new_zeros((self._worlds, 0, 7))
