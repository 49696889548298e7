# SPDX-License-Identifier: Apache-2.0
"""N copies of a robot as differentiable torch functions: kinematics, inertia, and dynamics both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from simenv.physics import checks, exact
from simenv.physics.bodies.dynamics import Dynamics
from simenv.physics.bodies.table import KIND_NUMBERS, Frame, table
from simenv.physics.bodies.tree import Tree
from simenv.physics.constants import constant
from simenv.physics.device import resolve_device
from simenv.physics.rotation import quaternion_from_rotation_vector, quaternion_multiply, rotate

__all__ = ["Robot"]

GRAVITY = (0.0, 0.0, -9.81)
Wrenches = Mapping[str, torch.Tensor]


class Robot:
    """N copies of a robot, by itself: what its links weigh and how they move, differentiable with respect to all that a
    method is given and to `inertial`, `armature`, `damping` and `gravity`.

    Positions (N, ny) and rates (N, nu) are those of the joints that follow no other, in the order of `joints`; kinds of
    joints (`simenv.physics.bodies.tree.KINDS`) have one or more numbers each. What follows a joint moves with it, and
    its inertia and torque count there.

    Args:
        tree: the robot, from `simenv.robots.load`.
        num_worlds: N.
        device: torch device; dtype: ``torch.float32``, or ``torch.float64`` for verification.
        gravity: [m/s^2].

    Attributes:
        tree, table: what it is made of.
        joints: names of the rates, in order; links: names of all links of the file.
        inertial: (N, L, 10) of the moving links `table.links`: mass [kg], mass times centre [kg m], inertia about the
            frame's origin [kg m^2] (`simenv.physics.bodies.table.inertial_vector`).
        armature: of the motors, (N, nv) [kg m^2 or kg]; gravity: (N, 3) [m/s^2].
            Replace these with tensors of yours to vary them, or to have their gradient.
        posture: positions (N, ny) of the tree's posture.
    """

    def __init__(
        self, tree: Tree, num_worlds: int = 1, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32,
        gravity: tuple[float, ...] = GRAVITY,
    ):  # fmt: skip
        checks.whole("Robot", num_worlds=num_worlds)
        checks.precision("Robot", dtype)
        self.tree, self.table, self.num_worlds = tree, table(tree), num_worlds
        self.device, self.dtype = resolve_device(device), dtype
        self._dynamics = Dynamics(self.table, self.device, dtype)
        self.links = tuple(self.table.frames)
        self.joints = tuple(self.table.rates[index] for index in self.table.lead_rates)
        self._follows = len(self.joints) < len(self.table.rates)
        self._gear, self._rate_gear = self._tensor(self.table.gear), self._tensor(self.table.rate_gear)
        self._offset = self._tensor(self.table.gear_offset)
        self.posture = self._each(self.table.posture[self.table.lead_positions])
        self.inertial, self.armature = self._each(self.table.inertial), self._each(self.table.armature)
        self.gravity = self._each(gravity)

    def _tensor(self, values: Any) -> torch.Tensor:
        return constant(values, self.dtype, self.device)

    def _each(self, values: Any) -> torch.Tensor:
        row = self._tensor(values)
        return row.expand(self.num_worlds, *row.shape).clone()

    # --------------------------------------------------------------------------------------------- what is given

    def _check(self, name: str, value: torch.Tensor, size: int) -> torch.Tensor:
        wanted = (self.num_worlds, size)
        if not isinstance(value, torch.Tensor) or tuple(value.shape) != wanted:
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(
                f"{name} is {shape}; {self.num_worlds} robots {self.tree.name!r} with the joints "
                f"{', '.join(self.joints)} need {wanted}"
            )
        if value.dtype != self.dtype:
            raise ValueError(f"{name} is {value.dtype}, the robot {self.dtype}; convert it")
        return value

    def _positions(self, q: torch.Tensor) -> torch.Tensor:
        q = self._check("q", q, self._gear.shape[1])
        return exact.matmul(q.unsqueeze(1), self._gear.T)[:, 0] + self._offset if self._follows else q

    def _rates(self, name: str, v: torch.Tensor | None) -> torch.Tensor:
        if v is None:
            return torch.zeros((self.num_worlds, len(self.table.rates)), dtype=self.dtype, device=self.device)
        v = self._check(name, v, len(self.joints))
        return exact.matmul(v.unsqueeze(1), self._rate_gear.T)[:, 0] if self._follows else v

    def _led(self, tau: torch.Tensor) -> torch.Tensor:
        """Torques (N, nv) of all rates as those of the ones that follow none."""
        return exact.matmul(tau.unsqueeze(1), self._rate_gear)[:, 0] if self._follows else tau

    def _frame(self, link: str) -> Frame:
        if link not in self.table.frames:
            raise KeyError(f"robot {self.tree.name!r} has no link {link!r}; it has {', '.join(self.links)}")
        return self.table.frames[link]

    def _wrench(self, q: torch.Tensor, wrench: Wrenches | None) -> torch.Tensor:
        """Forces and torques (N, L, 6) on the moving links from those on named ones, at all positions (N, nq)."""
        rows = [q.new_zeros((self.num_worlds, 6)) for _ in self.table.links]
        turns: torch.Tensor | None = None
        for link, push in (wrench or {}).items():
            frame, push = self._frame(link), self._check(f"wrench[{link!r}]", push, 6)
            if frame.link < 0:
                continue  # the world bears it
            if frame.position.any():
                if turns is None:
                    turns = self._dynamics.kinematics(q, self._rates("v", None))[0][..., 3:]
                arm = rotate(turns[:, frame.link], self._tensor(frame.position).expand(self.num_worlds, 3))
                push = torch.cat([push[:, :3], push[:, 3:] + torch.linalg.cross(arm, push[:, :3])], -1)
            rows[frame.link] = rows[frame.link] + push
        return torch.stack(rows, 1)

    # ------------------------------------------------------------------------------------------------- kinematics

    def _place(self, poses: torch.Tensor, frame: Frame) -> torch.Tensor:
        place = self._tensor(frame.position).expand(self.num_worlds, 3)
        turn = self._tensor(frame.quaternion).expand(self.num_worlds, 4)
        if frame.link < 0:
            return torch.cat([place, turn], -1)
        x, r = poses[:, frame.link, :3], poses[:, frame.link, 3:]
        return torch.cat([x + rotate(r, place), quaternion_multiply(r, turn)], -1)

    def link_poses(self, q: torch.Tensor) -> torch.Tensor:
        """World poses [m, quaternion xyzw] of all `links`, (N, links, 7), at positions (N, ny).

        Raises:
            ValueError: a tensor has the wrong shape or dtype (all methods).
        """
        poses, _ = self._dynamics.kinematics(self._positions(q), self._rates("v", None))
        return torch.stack([self._place(poses, frame) for frame in self.table.frames.values()], 1)

    def pose(self, q: torch.Tensor, link: str) -> torch.Tensor:
        """World pose (N, 7) of a link.

        Raises:
            KeyError: there is no such link (all methods that name one).
        """
        frame = self._frame(link)
        return self._place(self._dynamics.kinematics(self._positions(q), self._rates("v", None))[0], frame)

    def twist(self, q: torch.Tensor, v: torch.Tensor, link: str) -> torch.Tensor:
        """Velocity [m/s] of a link's origin and its angular velocity [rad/s], world axes, (N, 6)."""
        frame = self._frame(link)
        poses, twists = self._dynamics.kinematics(self._positions(q), self._rates("v", v))
        if frame.link < 0:
            return torch.zeros_like(twists[:, 0])
        arm = rotate(poses[:, frame.link, 3:], self._tensor(frame.position).expand(self.num_worlds, 3))
        speed, omega = twists[:, frame.link, :3], twists[:, frame.link, 3:]
        return torch.cat([speed + torch.linalg.cross(omega, arm), omega], -1)

    def jacobian(self, q: torch.Tensor, link: str) -> torch.Tensor:
        """What `twist` is per rate, (N, 6, nu)."""
        frame = self._frame(link)
        units = torch.eye(len(self.joints), dtype=self.dtype, device=self.device)
        columns = [self.twist(q, row.expand(self.num_worlds, -1), link) for row in units]
        if frame.link < 0:
            return q.new_zeros((self.num_worlds, 6, len(self.joints)))
        return torch.stack(columns, -1)

    def integrate(self, q: torch.Tensor, v: torch.Tensor, dt: float) -> torch.Tensor:
        """Positions (N, ny) after a time [s] at constant rates (N, nu)."""
        self._check("q", q, self._gear.shape[1]), self._check("v", v, len(self.joints))
        parts, a, k = [], 0, 0
        leading = [index for index, name in enumerate(self.table.joints) if self._leads(index)]
        for index in leading:
            kind = int(self.table.kind[index])
            nq = int(self.table.q_start[index + 1] - self.table.q_start[index])
            nv = int(self.table.v_start[index + 1] - self.table.v_start[index])
            here, rate = q[:, a : a + nq], v[:, k : k + nv]
            if kind == KIND_NUMBERS["ball"]:
                parts.append(_unit(quaternion_multiply(here, quaternion_from_rotation_vector(rate * dt))))
            elif kind == KIND_NUMBERS["free"]:
                turn = quaternion_multiply(quaternion_from_rotation_vector(rate[:, 3:] * dt), here[:, 3:])
                parts += [here[:, :3] + rate[:, :3] * dt, _unit(turn)]
            else:
                parts.append(here + rate * dt)
            a, k = a + nq, k + nv
        return torch.cat(parts, -1)

    def _leads(self, index: int) -> bool:
        return int(self.table.v_start[index]) in self.table.lead_rates

    # --------------------------------------------------------------------------------------------------- dynamics

    def inverse_dynamics(
        self, q: torch.Tensor, v: torch.Tensor, acceleration: torch.Tensor, wrench: Wrenches | None = None
    ) -> torch.Tensor:
        """Torques (N, nu) [N m or N] that a motion takes.

        Args:
            q, v, acceleration: positions (N, ny), rates (N, nu), and these per second.
            wrench: what pushes links, by name: force [N] and torque [N m] about the link's origin, world axes, (N, 6).
        """
        q = self._positions(q)
        push = self._wrench(q, wrench)
        rates = self._rates("v", v), self._rates("acceleration", acceleration)
        tau = self._dynamics.inverse(q, *rates, self.gravity, push, self.inertial, self.armature)
        return self._led(tau)

    def bias(self, q: torch.Tensor, v: torch.Tensor, wrench: Wrenches | None = None) -> torch.Tensor:
        """Weight, Coriolis and centrifugal torques (N, nu): what moves without acceleration."""
        return self.inverse_dynamics(q, v, torch.zeros_like(v), wrench)

    def mass_matrix(self, q: torch.Tensor) -> torch.Tensor:
        """Joint-space inertia (N, nu, nu)."""
        q = self._positions(q)
        still, nothing = torch.zeros_like(self.gravity), self._wrench(q, None)
        columns = []
        for column in self._rate_gear.T:
            rate = column.expand(self.num_worlds, -1)
            rest = torch.zeros_like(rate)
            tau = self._dynamics.inverse(q, rest, rate, still, nothing, self.inertial, self.armature)
            columns.append(self._led(tau))
        return torch.stack(columns, -1)

    def forward_dynamics(
        self, q: torch.Tensor, v: torch.Tensor, tau: torch.Tensor, wrench: Wrenches | None = None,
        easing: torch.Tensor | None = None,
    ) -> torch.Tensor:  # fmt: skip
        """Derivatives of the rates (N, nu) under torques (N, nu); otherwise as `inverse_dynamics`.

        Args:
            easing: added to the diagonal of the joint-space inertia, (N, nu), as by what is taken implicitly: over a
                step dt a damping d adds dt d, and a spring k dt^2 k.
        """
        self._check("tau", tau, len(self.joints))
        if self._follows:
            matrix = self.mass_matrix(q)
            if easing is not None:
                matrix = matrix + torch.diag_embed(self._check("easing", easing, len(self.joints)))
            left = (tau - self.bias(q, v, wrench)).unsqueeze(-1)
            return torch.cholesky_solve(left, torch.linalg.cholesky(matrix))[..., 0]
        weight = self.armature if easing is None else self.armature + self._check("easing", easing, len(self.joints))
        push = self._wrench(q, wrench)
        return self._dynamics.forward(
            self._check("q", q, self._gear.shape[1]), self._check("v", v, len(self.joints)), tau, self.gravity, push,
            self.inertial, weight,
        )  # fmt: skip

    def energy(self, q: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Kinetic energy, armature's included, and potential energy in gravity, zero at the world's origin, (N,) [J]."""
        momenta = exact.matmul(self.mass_matrix(q), v.unsqueeze(-1))[..., 0]
        poses, _ = self._dynamics.kinematics(self._positions(q), self._rates("v", None))
        mass, first = self.inertial[..., 0], self.inertial[..., 1:4]
        moment = exact.total(mass[..., None] * poses[..., :3] + rotate(poses[..., 3:], first), 1)
        return 0.5 * exact.dot(v, momenta), -exact.dot(self.gravity, moment)


def _unit(q: torch.Tensor) -> torch.Tensor:
    return q / exact.norm(q, keepdim=True)
