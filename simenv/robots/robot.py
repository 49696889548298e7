# SPDX-License-Identifier: Apache-2.0
"""N copies of a robot as differentiable torch functions: kinematics, inertia, and dynamics both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from simenv.physics import checks, exact
from simenv.physics.bodies.dynamics import Dynamics
from simenv.physics.bodies.table import Frame, table
from simenv.physics.bodies.tree import KINDS, Tree
from simenv.physics.constants import constant
from simenv.physics.device import resolve_device
from simenv.physics.rotation import quaternion_from_rotation_vector, quaternion_multiply, rotate
from simenv.robots.inverse_kinematics import find

__all__ = ["Robot"]

GRAVITY = (0.0, 0.0, -9.81)
Wrenches = Mapping[str, torch.Tensor]


class Robot:
    """N copies of a robot, by itself: what its links weigh and how they move. All of it is differentiable once, with
    respect to what a method is given and to `inertial`, `armature` and `gravity`.

    Positions (N, ny) and rates (N, nu) are those of the joints that follow no other, in the order of `joints`; kinds of
    joints (`simenv.physics.bodies.tree.KINDS`) have one or more numbers each. What follows a joint moves with it, and
    its inertia and torque count there. Motors, damping, friction and limits of joints are not in the dynamics: give
    what they do as torques, or as `easing`.

    Args:
        tree: the robot, from `simenv.robots.load`.
        num_worlds: N.
        device: torch device.
        dtype: ``torch.float32``, or ``torch.float64`` for verification.
        gravity: [m/s^2].

    Attributes:
        tree, table: what it is made of.
        joints: names of the rates, in order; of a joint of several ``NAME.0``, ``NAME.1`` ...
        links: names of all links of the file.
        inertial: (N, L, 10) of the moving links `table.links`, with what is fixed to them: mass [kg], mass times centre
            [kg m], inertia about the frame's origin [kg m^2] (`simenv.physics.bodies.table.inertial_vector`).
        armature: of the motors of all rates `table.rates`, (N, nv) [kg m^2 or kg]; gravity: (N, 3) [m/s^2].
            Replace these with tensors of yours to vary them, or to have their gradient.
        posture: positions (N, ny) of the tree's posture.

    Raises:
        AssetError: nothing moves in the tree.
        ValueError: an argument is out of range.
    """

    def __init__(
        self, tree: Tree, num_worlds: int = 1, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32,
        gravity: tuple[float, ...] = GRAVITY,
    ):  # fmt: skip
        checks.whole("Robot", num_worlds=num_worlds)
        checks.precision("Robot", dtype)
        self.device, self.dtype = resolve_device(device), dtype
        self.tree, self.table, self.num_worlds = tree, table(tree), num_worlds
        self._dynamics = Dynamics(self.table, self.device, dtype)
        self.links = tuple(self.table.frames)
        self.joints = tuple(self.table.rates[index] for index in self.table.lead_rates)
        self._follows = len(self.joints) < len(self.table.rates)
        self._gear, self._rate_gear = self._tensor(self.table.gear), self._tensor(self.table.rate_gear)
        self._offset = self._tensor(self.table.gear_offset)
        self.posture = self._each(self.table.posture[self.table.lead_positions])
        self.inertial, self.armature = self._each(self.table.inertial), self._each(self.table.armature)
        self.gravity = self._each(checks.vector("Robot: gravity", gravity))

    def _tensor(self, values: Any) -> torch.Tensor:
        return constant(values, self.dtype, self.device)

    def _each(self, values: Any) -> torch.Tensor:
        row = self._tensor(values)
        return row.expand(self.num_worlds, *row.shape).clone()

    # --------------------------------------------------------------------------------------------- what is given

    def _check(self, name: str, value: torch.Tensor, *shape: int) -> torch.Tensor:
        wanted = (self.num_worlds, *shape)
        if not isinstance(value, torch.Tensor) or tuple(value.shape) != wanted:
            found = tuple(value.shape) if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
            raise ValueError(
                f"{name} is {found}; {self.num_worlds} robots {self.tree.name!r} with the joints "
                f"{', '.join(self.joints)} need a tensor {wanted}"
            )
        if value.dtype != self.dtype or value.device.type != self.device.type:
            raise ValueError(
                f"{name} is {value.dtype} on {value.device}, the robot {self.dtype} on {self.device}; convert it, or "
                "make the robot so"
            )
        return value

    def _weights(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Inertial numbers and armature, which users may have replaced."""
        inertial = self._check("inertial", self.inertial, len(self.table), 10)
        return inertial, self._check("armature", self.armature, len(self.table.rates))

    def _positions(self, q: torch.Tensor) -> torch.Tensor:
        q = self._check("q", q, self._gear.shape[1])
        return exact.matmul(q.unsqueeze(1), self._gear.T)[:, 0] + self._offset if self._follows else q

    def _rates(self, name: str, rates: torch.Tensor) -> torch.Tensor:
        rates = self._check(name, rates, len(self.joints))
        return exact.matmul(rates.unsqueeze(1), self._rate_gear.T)[:, 0] if self._follows else rates

    def all_positions(self, q: torch.Tensor) -> torch.Tensor:
        """Positions (N, nq) of all joints, those that follow others too, of those that follow none (N, ny)."""
        return self._positions(q)

    def all_rates(self, qd: torch.Tensor) -> torch.Tensor:
        """Rates (N, nv) of all joints, of those of joints that follow none (N, nu)."""
        return self._rates("qd", qd)

    def reach(self, pose: torch.Tensor, link: str, start: torch.Tensor | None = None) -> torch.Tensor:
        """Positions (N, ny) of joints that turn or slide, within their limits, that bring a link to poses (N, 7) [m,
        xyzw] or as near as is found; others stay. Differentiable in the poses.

        Args:
            pose: the poses.
            link: name of the link.
            start: positions (N, ny) to search from; None is the posture.
        """
        return find(self, self._check("pose", pose, 7), link, self.posture if start is None else start)

    def _poses(self, q: torch.Tensor) -> torch.Tensor:
        """Of the moving links (N, L, 7), at all positions (N, nq)."""
        return self._dynamics.kinematics(q, q.new_zeros((self.num_worlds, len(self.table.rates))))[0]

    def _per_rate(self, value: torch.Tensor) -> torch.Tensor:
        """A value (N, ...) once for each rate that follows none, (N nu, ...): as worlds, they are one launch."""
        return value.repeat_interleave(len(self.joints), 0)

    def _units(self) -> torch.Tensor:
        """Rates (N nu, nv) where one that follows none is 1."""
        each = self._rate_gear.T
        return each.expand(self.num_worlds, *each.shape).reshape(-1, each.shape[-1])

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
                    turns = self._poses(q)[..., 3:]
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
            ValueError: a tensor has the wrong shape, dtype or device (all methods).
        """
        poses = self._poses(self._positions(q))
        return torch.stack([self._place(poses, frame) for frame in self.table.frames.values()], 1)

    def pose(self, q: torch.Tensor, link: str) -> torch.Tensor:
        """World pose (N, 7) of a link.

        Raises:
            KeyError: there is no such link (all methods that name one).
        """
        frame = self._frame(link)
        return self._place(self._poses(self._positions(q)), frame)

    def twist(self, q: torch.Tensor, qd: torch.Tensor, link: str) -> torch.Tensor:
        """Velocity [m/s] of a link's origin and its angular velocity [rad/s], world axes, (N, 6)."""
        frame = self._frame(link)
        return self._twist(*self._dynamics.kinematics(self._positions(q), self._rates("qd", qd)), frame)

    def _twist(self, poses: torch.Tensor, twists: torch.Tensor, frame: Frame) -> torch.Tensor:
        if frame.link < 0:
            return torch.zeros_like(twists[:, 0])
        place = self._tensor(frame.position).expand(len(poses), 3)
        arm = rotate(poses[:, frame.link, 3:], place)
        speed, omega = twists[:, frame.link, :3], twists[:, frame.link, 3:]
        return torch.cat([speed + torch.linalg.cross(omega, arm), omega], -1)

    def jacobian(self, q: torch.Tensor, link: str) -> torch.Tensor:
        """What `twist` is per rate, (N, 6, nu)."""
        frame = self._frame(link)
        moved = self._dynamics.kinematics(self._per_rate(self._positions(q)), self._units())
        return self._twist(*moved, frame).unflatten(0, (self.num_worlds, -1)).mT

    def integrate(self, q: torch.Tensor, qd: torch.Tensor, dt: float) -> torch.Tensor:
        """Positions (N, ny) after a time [s] at constant rates (N, nu)."""
        self._check("q", q, self._gear.shape[1])
        self._check("qd", qd, len(self.joints))
        parts, a, k = [], 0, 0
        for joint in self.tree.joints:
            if joint.mimic is not None:
                continue
            kind = KINDS[joint.kind]
            here, rate = q[:, a : a + kind.positions], qd[:, k : k + kind.rates]
            if joint.kind == "ball":
                parts.append(_unit(quaternion_multiply(here, quaternion_from_rotation_vector(rate * dt))))
            elif joint.kind == "free":
                turn = quaternion_multiply(quaternion_from_rotation_vector(rate[:, 3:] * dt), here[:, 3:])
                parts += [here[:, :3] + rate[:, :3] * dt, _unit(turn)]
            else:
                parts.append(here + rate * dt)
            a, k = a + kind.positions, k + kind.rates
        return torch.cat(parts, -1)

    # --------------------------------------------------------------------------------------------------- dynamics

    def inverse_dynamics(
        self, q: torch.Tensor, qd: torch.Tensor, qdd: torch.Tensor, wrench: Wrenches | None = None
    ) -> torch.Tensor:
        """Torques (N, nu) [N m or N] that a motion takes.

        Args:
            q: positions (N, ny).
            qd: rates (N, nu).
            qdd: their derivatives (N, nu).
            wrench: what pushes links, by name: force [N] and torque [N m] about the link's origin, world axes, (N, 6).
        """
        q = self._positions(q)
        rates = self._rates("qd", qd), self._rates("qdd", qdd)
        push = self._wrench(q, wrench)
        gravity = self._check("gravity", self.gravity, 3)
        return self._led(self._dynamics.inverse(q, *rates, gravity, push, *self._weights()))

    def bias(self, q: torch.Tensor, qd: torch.Tensor, wrench: Wrenches | None = None) -> torch.Tensor:
        """Weight, Coriolis and centrifugal torques (N, nu): what moves without acceleration."""
        return self.inverse_dynamics(q, qd, torch.zeros_like(qd), wrench)

    def mass_matrix(self, q: torch.Tensor) -> torch.Tensor:
        """Joint-space inertia (N, nu, nu)."""
        q, units = self._per_rate(self._positions(q)), self._units()
        still, nothing = q.new_zeros((len(q), 3)), q.new_zeros((len(q), len(self.table), 6))
        weights = [self._per_rate(each) for each in self._weights()]
        tau = self._dynamics.inverse(q, torch.zeros_like(units), units, still, nothing, *weights)
        return self._led(tau).unflatten(0, (self.num_worlds, -1)).mT

    def forward_dynamics(
        self, q: torch.Tensor, qd: torch.Tensor, tau: torch.Tensor, wrench: Wrenches | None = None,
        easing: torch.Tensor | None = None,
    ) -> torch.Tensor:  # fmt: skip
        """Derivatives of the rates (N, nu) under torques.

        Where the joint-space inertia is singular, they are not finite. Of a robot with loops it raises ValueError;
        inertia and inverse dynamics of one are those of the tree with its loops open.

        Args:
            q: positions (N, ny).
            qd: rates (N, nu).
            tau: torques (N, nu) [N m or N].
            wrench: as of `inverse_dynamics`.
            easing: added to the diagonal of the joint-space inertia, (N, nu), as by what is taken implicitly: over a
                step dt a damping d adds dt d, and a spring k dt^2 k.
        """
        if self.tree.loops:
            names = ", ".join(loop.name for loop in self.tree.loops)
            raise ValueError(
                f"forward_dynamics: robot {self.tree.name!r} has the loops {names}, of whose forces a Robot knows "
                "nothing; step it in a Scene, or take the loops out of its Tree"
            )
        self._check("tau", tau, len(self.joints))
        if easing is not None:
            self._check("easing", easing, len(self.joints))
        if self._follows:
            matrix, left = self.mass_matrix(q), tau - self.bias(q, qd, wrench)
            return _solved(matrix if easing is None else matrix + torch.diag_embed(easing), left)
        q, qd = self._positions(q), self._rates("qd", qd)
        inertial, armature = self._weights()
        weight = armature if easing is None else armature + easing
        gravity, push = self._check("gravity", self.gravity, 3), self._wrench(q, wrench)
        return self._dynamics.forward(q, qd, tau, gravity, push, inertial, weight)

    def energy(self, q: torch.Tensor, qd: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Kinetic energy, that of motors included, and potential energy, zero at the world's origin, (N,) [J]."""
        self._check("qd", qd, len(self.joints))
        momenta = exact.matmul(self.mass_matrix(q), qd.unsqueeze(-1))[..., 0]
        poses = self._poses(self._positions(q))
        inertial, _ = self._weights()
        mass, first = inertial[..., 0], inertial[..., 1:4]
        moment = exact.total(mass[..., None] * poses[..., :3] + rotate(poses[..., 3:], first), 1)
        return 0.5 * exact.dot(qd, momenta), -exact.dot(self.gravity, moment)


def _unit(q: torch.Tensor) -> torch.Tensor:
    return q / exact.norm(q, keepdim=True)


def _solved(matrix: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Solutions (N, n) for symmetric positive matrices (N, n, n), not finite where one is none, which others do not
    feel.
    """
    factor, info = torch.linalg.cholesky_ex(matrix)
    x = torch.cholesky_solve(right.unsqueeze(-1), factor)[..., 0]
    return torch.where((info == 0)[:, None], x, torch.full_like(x, torch.nan))
