# SPDX-License-Identifier: Apache-2.0
"""N copies of a robot arm as torch tensors: kinematics, inertia, inverse kinematics, and motion under impedance."""

from __future__ import annotations

import torch

from simenv.physics.bodies.arm import ArmLaunches
from simenv.physics.bodies.chain import Chain, Drive
from simenv.physics.bodies.tree import Tree
from simenv.physics.constants import constant
from simenv.physics.device import resolve_device, stream_scope, warp_device
from simenv.physics.launch.slots import Launch, Memory
from simenv.robots.chains import named_chain
from simenv.robots.inverse import InverseKinematics

__all__ = ["Arm"]

GRAVITY = (0.0, 0.0, -9.81)


class Arm:
    """N copies of a robot arm. Nothing here is differentiable, and nothing waits for the device.

    Args:
        chain: the arm, from `simenv.robots.chain`, or a robot from `simenv.robots.load` with a link ``tool``.
        num_worlds: N.
        device: torch device; dtype: ``torch.float32``, or ``torch.float64`` for verification.
        drive: how it moves beside its impedance.
        gravity: [m/s^2].
    """

    def __init__(
        self, chain: Chain | Tree, num_worlds: int = 1, device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32, drive: Drive | None = None, gravity: tuple[float, ...] = GRAVITY,
    ):  # fmt: skip
        self.device, self.dtype = resolve_device(device), dtype
        self.chain, self.num_worlds = named_chain(chain), num_worlds
        self._memory = Memory(num_worlds, dtype, self.device)
        with stream_scope(self.device):
            self._launches = ArmLaunches(self.chain, drive or Drive(), 0, self._memory)
        k, slot = self._launches.kernels, self._memory.slot
        kinds = (k.vec3, k.quat, k.vec3, k.vec3)
        self._tool, self._after = ([slot(kind, 1) for kind in kinds] for _ in "ab")
        self._inputs = {"gravity": slot(k.vec3), "gains": slot(k.vec4, 1), "goal": slot(k.vec3, 1)}
        self._inputs |= {"goal_turn": slot(k.quat, 1), "force": slot(k.vec3, 1), "torque": slot(k.vec3, 1)}
        self._motion = self._launches.motion(self._tool)
        self._inertia = self._launches.inertia(self._tool, self._inputs["gravity"])
        self._memory.allocate()
        self._inputs["gravity"].tensor.copy_(constant(gravity, dtype, self.device))
        self._step: tuple[float, list] | None = None
        self._inverse: InverseKinematics | None = None

    def __len__(self) -> int:
        return len(self.chain)

    def _launch(self, *launches: Launch) -> None:
        where = warp_device(self.device)
        with stream_scope(self.device):
            for launch in launches:
                launch.forward(where)

    def _move_to(self, q: torch.Tensor, qd: torch.Tensor | None = None, inertia: bool = False) -> None:
        wanted = (self.num_worlds, len(self.chain))
        for name, value in (("q", q), ("qd", q if qd is None else qd)):
            if tuple(value.shape) != wanted:
                raise ValueError(
                    f"{name} has shape {tuple(value.shape)}; {self.num_worlds} arms with the joints "
                    f"{', '.join(self.chain.joints)} need {wanted}"
                )
        self._launches.positions[0].tensor.copy_(q.detach())
        speeds = self._launches.speeds[0].tensor
        speeds.zero_() if qd is None else speeds.copy_(qd.detach())
        self._launch(self._motion, *([self._inertia] if inertia else []))

    def tool_pose(self, q: torch.Tensor) -> torch.Tensor:
        """World pose (N, 7) [m, xyzw] of the tool at joint positions (N, n).

        Raises:
            ValueError: the joint positions have the wrong shape (all methods).
        """
        self._move_to(q)
        return torch.cat([slot.tensor[:, 0] for slot in self._tool[:2]], -1)

    def tool_twist(self, q: torch.Tensor, qd: torch.Tensor) -> torch.Tensor:
        """Velocity and angular velocity of the tool, world axes (N, 6) [m/s, rad/s]."""
        self._move_to(q, qd)
        return torch.cat([slot.tensor[:, 0] for slot in self._tool[2:]], -1)

    def link_poses(self, q: torch.Tensor) -> torch.Tensor:
        """World poses (N, n, 7) of the links' frames."""
        self._move_to(q)
        return torch.cat([slot.tensor for slot in self._launches.links[:2]], -1)

    def jacobian(self, q: torch.Tensor) -> torch.Tensor:
        """Geometric Jacobian of the tool (N, 6, n): velocity, then angular velocity, world axes."""
        self._move_to(q, inertia=True)
        return self._launches.jacobian.tensor.clone()

    def mass_matrix(self, q: torch.Tensor) -> torch.Tensor:
        """Joint-space inertia (N, n, n)."""
        self._move_to(q, inertia=True)
        return self._launches.matrix.tensor.clone()

    def bias(self, q: torch.Tensor, qd: torch.Tensor) -> torch.Tensor:
        """Weight, Coriolis and centrifugal torques (N, n): what motors give to move without acceleration."""
        self._move_to(q, qd, inertia=True)
        return self._launches.bias.tensor.clone()

    def reach(self, pose: torch.Tensor) -> torch.Tensor:
        """Joint positions (N, n) that bring the tool to poses (N, 7) [m, xyzw], or as near as Newton's solver finds,
        from the chain's posture. Compare `tool_pose` of the answer with what you asked for.
        """
        if self._inverse is None:
            self._inverse = InverseKinematics(self.chain, self.num_worlds, self.device)
        return self._inverse.solve(pose).to(self.dtype)

    def step(
        self, q: torch.Tensor, qd: torch.Tensor, dt: float, goal: torch.Tensor | None = None,
        gains: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0), wrench: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """Move all arms by one time step.

        Args:
            q: joint positions (N, n) [rad or m].
            qd: their rates (N, n).
            dt: [s]; gains are sampled, so that dt times damping over inertia must stay below 2.
            goal: pose that the impedance pulls to (N, 7) [m, xyzw]; None with gains of zero.
            gains: stiffness [N/m], turning stiffness [N m/rad], damping [N s/m], turning damping [N m s/rad].
            wrench: force [N] on the tool and torque [N m] about its origin, world axes (N, 6).

        Returns:
            Joint positions and rates after the step.
        """
        if self._step is None or self._step[0] != dt:
            inputs = self._inputs
            pushed = [inputs["force"], inputs["torque"]]
            self._step = (dt, self._launches.step(dt, inputs, self._tool, pushed, self._after))
            self._memory.allocate()
        self._move_to(q, qd)
        self._inputs["gains"].tensor.copy_(constant(gains, self.dtype, self.device))
        at = torch.cat([slot.tensor[:, 0] for slot in self._tool[:2]], -1) if goal is None else goal
        push = torch.zeros_like(at[:, :6]) if wrench is None else wrench
        values = (at[:, :3], at[:, 3:], push[:, :3], push[:, 3:])
        for name, value in zip(("goal", "goal_turn", "force", "torque"), values, strict=True):
            self._inputs[name].tensor[:, 0].copy_(value)
        self._launch(*self._step[1])
        return self._launches.positions[1].tensor.clone(), self._launches.speeds[1].tensor.clone()
