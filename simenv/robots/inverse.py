# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics of a chain, by Newton's Levenberg-Marquardt solver."""

from __future__ import annotations

import numpy as np
import torch
import warp as wp

from simenv import _warp
from simenv._exclusive import EXCLUSIVE, one_at_a_time
from simenv.physics.bodies.chain import Chain
from simenv.physics.device import stream_scope, warp_device

__all__ = ["InverseKinematics", "newton_model"]


def newton_model(chain: Chain, device: torch.device):
    """The chain as an articulation of a Newton model, one world.

    Args:
        chain: the arm.
        device: torch device.

    Returns:
        The `newton.Model`; its bodies are the links, in order.
    """
    import newton

    _warp.start()
    builder = newton.ModelBuilder()
    joints = []
    for i, name in enumerate(chain.joints):
        link = builder.add_link(
            mass=float(chain.mass[i]), com=wp.vec3(*chain.centres[i]), inertia=wp.mat33(*chain.inertia[i].ravel()),
            lock_inertia=True,
        )  # fmt: skip
        add = builder.add_joint_prismatic if chain.sliding[i] else builder.add_joint_revolute
        limits = np.nan_to_num(np.array([chain.lower[i], chain.upper[i]]), posinf=1e6, neginf=-1e6)
        joints.append(add(
            parent=i - 1, child=link, parent_xform=wp.transform(wp.vec3(*chain.places[i]), wp.quat(*chain.turns[i])),
            axis=wp.vec3(*chain.axes[i]), limit_lower=float(limits[0]), limit_upper=float(limits[1]),
            armature=float(chain.armature[i]), label=name,
        ))  # fmt: skip
    builder.add_articulation(joints)
    return builder.finalize(str(warp_device(device)))


class InverseKinematics:
    """Finds joint positions that put the tool of N arms at N poses; in single precision.

    Args:
        chain: the arm.
        worlds: N.
        device: torch device.
        iterations: of the solver.
    """

    @one_at_a_time  # Newton's
    def __init__(self, chain: Chain, worlds: int, device: torch.device, iterations: int = 40):
        from newton import ik

        self.iterations = iterations
        with stream_scope(device):  # which the launches below are on
            model = newton_model(chain, device)
        self._start = torch.as_tensor(chain.posture, dtype=torch.float32, device=device).expand(worlds, -1)
        zero = torch.zeros((worlds, 4), dtype=torch.float32, device=device)
        self._position, self._rotation = zero[:, :3].clone(), zero.clone()
        self._found = torch.zeros((worlds, len(chain)), dtype=torch.float32, device=device)
        objectives = [
            ik.IKObjectivePosition(
                len(chain) - 1, wp.vec3(*chain.tool_place), wp.from_torch(self._position, dtype=wp.vec3)
            ),
            ik.IKObjectiveRotation(
                len(chain) - 1, wp.quat(*chain.tool_turn), wp.from_torch(self._rotation, dtype=wp.vec4)
            ),
            ik.IKObjectiveJointLimit(model.joint_limit_lower, model.joint_limit_upper, weight=1.0),
        ]
        self._solver = ik.IKSolver(model, worlds, objectives, jacobian_mode=ik.IKJacobianType.ANALYTIC)
        self._limits = [
            torch.as_tensor(limit, dtype=torch.float32, device=device) for limit in (chain.lower, chain.upper)
        ]

    def solve(self, pose: torch.Tensor) -> torch.Tensor:
        """Joint positions (N, n), within the limits, that bring the tool to poses (N, 7) [m, xyzw] or near, from the
        chain's posture.
        """
        self._position.copy_(pose[:, :3])
        self._rotation.copy_(pose[:, 3:])
        self._found.copy_(self._start)
        found = wp.from_torch(self._found)
        with EXCLUSIVE, stream_scope(self._found.device):  # Newton's solver is not safe among threads
            self._solver.step(found, found, iterations=self.iterations)
        return self._found.clamp(*self._limits)
