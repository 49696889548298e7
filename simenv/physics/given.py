# SPDX-License-Identifier: Apache-2.0
"""Motion of frames that move as told: at a constant twist over a control step, in closed form."""

from __future__ import annotations

import torch

from simenv.physics import exact
from simenv.physics.rotation import quaternion_from_rotation_vector, quaternion_multiply

__all__ = ["GivenMotion"]


class GivenMotion:
    """Where G frames are at some times of a control step; differentiable.

    Args:
        pose: at its start [m, quaternion xyzw, counted by its direction], (N, G, 7).
        twist: velocity [m/s] and angular velocity [rad/s], world axes, (N, G, 6).
        times: (K,) or (N, K) [s].
        dt: duration of the control step [s].
        still: whether all twists are zero, which is then not asked of their numbers.

    Attributes:
        position, quaternion: (N, K, G, 3) [m] and (N, K, G, 4) xyzw.
        velocity, omega: (N, G, 3) [m/s] and [rad/s].
        end: pose at the end of the step, (N, G, 7); twist: as given.
    """

    def __init__(self, pose: torch.Tensor, twist: torch.Tensor, times: torch.Tensor, dt: float, still: bool = False):
        self.twist = twist
        self.velocity, self.omega = linear, angular = twist[..., :3], twist[..., 3:]
        if not pose.shape[1]:
            self.position, self.quaternion = (pose.new_zeros((len(pose), times.shape[-1], 0, n)) for n in (3, 4))
            self.end = pose
            return
        pose = torch.cat([pose[..., :3], pose[..., 3:] / exact.norm(pose[..., 3:], keepdim=True)], -1)
        if still:
            every = pose.unsqueeze(1).expand(-1, times.shape[-1], -1, -1)
            self.position, self.quaternion = every[..., :3], every[..., 3:]
            last = pose[..., 3:] / exact.norm(pose[..., 3:], keepdim=True)  # as below, to the last bit
            self.end = torch.cat([pose[..., :3], last], -1)
            return
        times = times.view(-1, times.shape[-1], 1, 1)
        turn = quaternion_from_rotation_vector(angular.unsqueeze(1) * times)
        self.quaternion = quaternion_multiply(turn, pose[:, None, :, 3:])
        self.position = pose[:, None, :, :3] + linear.unsqueeze(1) * times
        last = quaternion_multiply(quaternion_from_rotation_vector(angular * dt), pose[..., 3:])
        last = last / exact.norm(last, keepdim=True)
        self.end = torch.cat([pose[..., :3] + linear * dt, last], -1)
