# SPDX-License-Identifier: Apache-2.0
"""The launches that move N copies of a robot arm whose tool is one of a world's bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import warp as wp

from simenv.physics.bodies.chain import Chain, Drive
from simenv.physics.bodies.kernels_arm import arm_kernels
from simenv.physics.device import warp_device
from simenv.physics.launch.slots import Launch, Memory, Slot

__all__ = ["ArmLaunches"]


class ArmLaunches:
    """Constants, work space and launches of an arm.

    Args:
        chain: the arm; drive: how it moves beside its impedance.
        hand: index of the body that is its tool.
        memory: makes the arrays.
    """

    def __init__(self, chain: Chain, drive: Drive, hand: int, memory: Memory):
        self.chain, self.drive, self.hand, self._memory = chain, drive, hand, memory
        real = wp.float32 if memory.dtype == torch.float32 else wp.float64
        self.kernels = k = arm_kernels(real)
        device, n, slot = warp_device(memory.device), len(chain), memory.slot

        def array(values: np.ndarray, kind: type) -> wp.array:
            return wp.array(np.ascontiguousarray(values), dtype=kind, device=device)

        self._sliding = array(chain.sliding.astype(np.int32), int)
        self._axes, self._centres = array(chain.axes, k.vec3), array(chain.centres, k.vec3)
        self._places, self._turns = array(chain.places, k.vec3), array(chain.turns, k.quat)
        self._mass, self._inertia = array(chain.mass, real), array(chain.inertia, k.mat33)
        self._armature, self._damping = array(chain.armature, real), array(chain.damping, real)
        self._lower, self._upper = array(chain.lower, real), array(chain.upper, real)
        self._posture, self._effort = array(chain.posture, real), array(chain.effort, real)
        # of the links: place, turn, joint axis, centre, angular velocity, acceleration without joint accelerations
        self.links = [slot(kind, n) for kind in (k.vec3, k.quat, *[k.vec3] * 5)]
        self.matrix, self.bias, self.jacobian = slot(real, n, n), slot(real, n), slot(real, 6, n)
        self._factor, self._easing, self.torque = slot(real, n, n), slot(real, 6, n), slot(real, n)
        self._task, self._task_factor = slot(real, 6, 6), slot(real, 6, 6)
        self._wrench, self._work = slot(real, 1, 6), slot(real, 1, n)
        self.positions: list[Slot] = []
        self.speeds: list[Slot] = []

    def joints(self, number: int) -> tuple[Slot, Slot]:
        """Positions and rates number `number`; made when first asked for."""
        while len(self.positions) <= number:
            self.positions.append(self._memory.slot(self.kernels.real, len(self.chain)))
            self.speeds.append(self._memory.slot(self.kernels.real, len(self.chain)))
        return self.positions[number], self.speeds[number]

    def motion(self, body: Sequence[Slot], number: int = 0) -> Launch:
        """Links and tool at joint positions number `number`; writes the tool's row of the bodies."""
        k, chain = self.kernels, self.chain
        constants = [self.hand, self._places, self._turns, self._axes, self._sliding, self._centres]
        constants += [k.vec3(*chain.tool_place), k.quat(*chain.tool_turn)]
        outputs = [*self.links, *body]
        return Launch(k.arm_motion, (self._memory.worlds,), constants, list(self.joints(number)), outputs)

    def inertia(self, body: Sequence[Slot], gravity: Slot) -> Launch:
        """Inertia matrix, bias forces and the tool's Jacobian, after `motion`."""
        constants = [self.hand, self._sliding, self._mass, self._inertia, self._armature]
        outputs = [self.matrix, self.bias, self.jacobian]
        n = len(self.chain)
        inputs = [gravity, body[0], *self.links]
        return Launch(self.kernels.arm_inertia, (self._memory.worlds, n, n), constants, inputs, outputs)

    def step(
        self, dt: float, inputs: Mapping[str, Slot], body: Sequence[Slot], wrench: Sequence[Slot],
        after: Sequence[Slot], numbers: tuple[int, int] = (0, 1),
    ) -> list[Launch]:  # fmt: skip
        """Launches of one step, after `motion`.

        Args:
            dt: its duration [s].
            inputs: ``"gravity"``, ``"gains"``, ``"goal"`` and ``"goal_turn"`` of all bodies.
            body: the bodies before: places, quaternions, velocities, angular velocities.
            wrench: forces [N] and torques [N m] on all bodies.
            after: the bodies after; the hand's row is written.
            numbers: of the joint positions before and after.
        """
        k, one = self.kernels, (self._memory.worlds,)
        q, qd = self.joints(numbers[0])
        pull = [self.hand, self.drive.rate, float(self.drive.compensate), self._posture, self._effort]
        control = [inputs[name] for name in ("gains", "goal", "goal_turn")]
        dynamics = [self.matrix, self.bias, self.jacobian]
        work = [self._factor, self._easing, self._task, self._task_factor, self._wrench, self.torque]
        ends = [self.hand, dt, self._lower, self._upper, self._damping]
        pushed = [*wrench, q, qd, self.bias, self.jacobian, self._factor, self.torque]
        return [
            self.inertia(body, inputs["gravity"]),
            Launch(k.arm_drive, one, pull, [*control, *body, q, qd, *dynamics], work),
            Launch(k.arm_advance, one, ends, pushed, [self._work, *self.joints(numbers[1])]),
            self.motion(after, numbers[1]),
        ]
