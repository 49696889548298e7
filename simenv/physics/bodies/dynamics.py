# SPDX-License-Identifier: Apache-2.0
"""Kinematics and dynamics of trees of joints as differentiable torch functions of N worlds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import warp as wp

from simenv.physics.bodies.kernels_aba import aba_kernels
from simenv.physics.bodies.kernels_tree import tree_kernels
from simenv.physics.bodies.kernels_tree_reverse import tree_adjoint_kernels
from simenv.physics.bodies.table import Table
from simenv.physics.bridge import as_array
from simenv.physics.device import stream_scope, warp_device
from simenv.physics.direct import warp_real
from simenv.physics.launch.capture import launch

__all__ = ["Dynamics"]


class Dynamics:
    """A tree of L links, nq positions and nv rates, for any number of worlds.

    Args:
        table: of the tree; device, dtype: of the tensors.

    Attributes:
        links, positions, rates: L, nq, nv.
    """

    def __init__(self, table: Table, device: torch.device, dtype: torch.dtype):
        self.device, self.dtype = device, dtype
        self.links, self.positions, self.rates = len(table), table.positions, int(table.v_start[-1])
        self.real = warp_real(dtype)
        self.tree, self.aba = tree_kernels(self.real), aba_kernels(self.real)
        self.back = tree_adjoint_kernels(self.real)
        with stream_scope(device):
            self.trees = self._trees(table)

    def _trees(self, table: Table) -> Any:
        trees, k, where = self.tree.Trees(), self.tree, warp_device(self.device)
        numbers = {"first": [0, len(table)], "parent": table.parent, "kind": table.kind}
        numbers |= {"q_start": table.q_start, "v_start": table.v_start}
        for name, values in numbers.items():
            setattr(trees, name, wp.array(np.asarray(values, dtype=np.int32), dtype=int, device=where))
        kinds = {"place": k.vec3, "turn": k.quat, "axis": k.vec3}
        for name, kind in kinds.items():
            setattr(trees, name, wp.array(getattr(table, name), dtype=kind, device=where))
        return trees

    def new(self, worlds: int, *shape: int) -> torch.Tensor:
        """A tensor (N, *shape) to write to."""
        return torch.empty((worlds, *shape), dtype=self.dtype, device=self.device)

    def vectors(self, worlds: int) -> wp.array:
        """Work space: a vector for every link, (N, L)."""
        return wp.from_torch(self.new(worlds, self.links, 3), dtype=self.tree.vec3)

    def struct(
        self, kind: Any, worlds: int, sizes: dict[str, tuple[int, type]], kept: dict[str, torch.Tensor] | None = None
    ) -> Any:
        """A struct of work space; `sizes` has the rows and the Warp type of its fields that are not links' vectors, and
        `kept` gets the tensors of them all.
        """
        made = kind()
        for name in kind.vars:
            rows, dtype = sizes.get(name, (self.links, self.tree.vec3))
            tensor = self.new(worlds, rows, *getattr(dtype, "_shape_", ()))
            if kept is not None:
                kept[name] = tensor
            setattr(made, name, wp.from_torch(tensor, dtype=dtype))
        return made

    def motion(self, worlds: int, kept: dict[str, torch.Tensor] | None = None) -> Any:
        """A `Motion`; `kept` gets its tensors."""
        k, nv = self.tree, self.rates
        sizes = {"turn": (self.links, k.quat), "axis_spin": (nv, k.vec3), "axis_speed": (nv, k.vec3)}
        return self.struct(k.Motion, worlds, sizes, kept)

    def articulated(self, worlds: int) -> Any:
        """An `Articulated`."""
        k, nv = self.tree, self.rates
        sizes: dict[str, tuple[int, type]] = dict.fromkeys(("about", "mixed", "heavy"), (self.links, k.mat33))
        return self.struct(self.aba.Articulated, worlds, sizes | {"rest": (nv, self.real)})

    def factor(self, worlds: int) -> Any:
        """A `Factor`."""
        k, nv = self.tree, self.rates
        sizes: dict[str, tuple[int, type]] = dict.fromkeys(("pull_moment", "pull_force"), (nv, k.vec3))
        return self.struct(self.aba.Factor, worlds, sizes | {"inverse": (nv, self.real)})

    def run(self, kernel: wp.Kernel, worlds: int, *arguments: Any) -> None:
        """Launch a kernel for all worlds; tensors become arrays of the kernels' vectors where they are named so."""
        where = warp_device(self.device)
        with stream_scope(self.device):
            launch(kernel, (worlds, 1), [self.trees, *arguments], device=where)

    def array(self, tensor: torch.Tensor, kind: type | None = None) -> wp.array:
        """A tensor as a Warp array of scalars, or of a vector type."""
        return as_array(tensor.contiguous(), self.real if kind is None else kind)

    # ----------------------------------------------------------------------------------------------- as functions

    def kinematics(self, q: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Poses (N, L, 7) [m, xyzw] and twists (N, L, 6) [m/s, rad/s] of the links' frames, world axes, at positions
        (N, nq) and rates (N, nv).
        """
        place, turn, velocity, omega = _Kinematics.apply(self, q, v)
        return torch.cat([place, turn], -1), torch.cat([velocity, omega], -1)

    def inverse(
        self, q: torch.Tensor, v: torch.Tensor, acceleration: torch.Tensor, gravity: torch.Tensor,
        wrench: torch.Tensor, inertial: torch.Tensor, easing: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """Joint torques (N, nv) of a motion.

        Args:
            q: positions (N, nq).
            v: rates (N, nv).
            acceleration: their derivatives (N, nv).
            gravity: (N, 3) [m/s^2].
            wrench: force [N] on each link and torque [N m] about its frame's origin, world axes, (N, L, 6).
            inertial: (N, L, 10), `table.inertial_vector`.
            easing: what adds to the diagonal of the joint-space inertia, (N, nv).
        """
        return _Inverse.apply(self, q, v, acceleration, gravity, wrench[..., :3], wrench[..., 3:], inertial, easing)

    def forward(
        self, q: torch.Tensor, v: torch.Tensor, tau: torch.Tensor, gravity: torch.Tensor, wrench: torch.Tensor,
        inertial: torch.Tensor, easing: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """Derivatives of the rates (N, nv) under joint torques (N, nv); otherwise as `inverse`."""
        return _Forward.apply(self, q, v, tau, gravity, wrench[..., :3], wrench[..., 3:], inertial, easing)


class _Kinematics(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, d: Dynamics, q: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, ...]:
        kept: dict[str, torch.Tensor] = {}
        worlds, motion = len(q), d.motion(len(q), kept)
        d.run(d.tree.kinematics, worlds, d.array(q), d.array(v), motion)
        place, turn, omega, reach, speed = (kept[name] for name in ("place", "turn", "spin", "reach", "speed"))
        ctx.dynamics, ctx.motion = d, motion
        ctx.save_for_backward(q, v)
        return place.clone(), turn.clone(), speed + torch.linalg.cross(omega, reach), omega.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (q, v), d = ctx.saved_tensors, ctx.dynamics
        worlds, k = len(q), ctx.dynamics.tree
        swept = d.struct(d.back.Swept, worlds, {})
        q_adj, v_adj = torch.empty_like(q), torch.empty_like(v)
        given = [d.array(g, kind) for g, kind in zip(grads, (k.vec3, k.quat, k.vec3, k.vec3), strict=True)]
        d.run(
            d.back.kinematics_adjoint, worlds, d.array(q), d.array(v), *given, ctx.motion, swept, d.array(q_adj),
            d.array(v_adj),
        )  # fmt: skip
        return None, q_adj, v_adj


def _adjoints(
    d: Dynamics, sign: float, motion: Any, values: tuple[torch.Tensor, ...], acceleration: torch.Tensor,
    rates: torch.Tensor,
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """`sign` times the derivatives of rates . ID: of q, v, acceleration, gravity, force, torque, inertial, easing."""
    q, v, gravity, force, torque, inertial, easing = values
    worlds, k = len(q), d.tree
    out = [torch.empty_like(each, memory_format=torch.contiguous_format) for each in (q, v, v)]
    out.append(d.new(worlds, 1, 3))
    out += [torch.empty_like(e, memory_format=torch.contiguous_format) for e in (force, torque, inertial, easing)]
    kinds = (None, None, None, k.vec3, k.vec3, k.vec3, None, None)
    d.run(
        d.back.dynamics_adjoint, worlds, sign, d.array(q), d.array(v), d.array(acceleration), d.array(rates),
        d.array(gravity, k.vec3), d.array(force, k.vec3), d.array(torque, k.vec3), d.array(inertial), d.array(easing),
        motion, d.struct(d.back.Swept, worlds, {}),
        *(d.array(each, kind) for each, kind in zip(out, kinds, strict=True)),
    )  # fmt: skip
    out[3] = out[3][:, 0]
    return tuple(out)


class _Inverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, d: Dynamics, *values: torch.Tensor) -> torch.Tensor:
        q, v, acceleration, gravity, force, torque, inertial, easing = values
        worlds, k, motion = len(q), d.tree, d.motion(len(q))
        tau = torch.empty_like(v, memory_format=torch.contiguous_format)
        work = [d.vectors(worlds) for _ in range(4)]
        d.run(
            k.inverse_dynamics, worlds, d.array(q), d.array(v), d.array(acceleration), d.array(gravity, k.vec3),
            d.array(force, k.vec3), d.array(torque, k.vec3), d.array(inertial), d.array(easing), motion, *work,
            d.array(tau),
        )  # fmt: skip
        ctx.dynamics, ctx.motion = d, motion
        ctx.save_for_backward(*values)
        return tau

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q, v, acceleration, *rest = ctx.saved_tensors
        return None, *_adjoints(ctx.dynamics, 1.0, ctx.motion, (q, v, *rest), acceleration, grads[0])


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, d: Dynamics, *values: torch.Tensor) -> torch.Tensor:
        q, v, tau, gravity, force, torque, inertial, easing = values
        worlds, k, motion = len(q), d.tree, d.motion(len(q))
        acceleration = torch.empty_like(v, memory_format=torch.contiguous_format)
        factor = d.factor(worlds)
        d.run(
            d.aba.forward_dynamics, worlds, d.array(q), d.array(v), d.array(tau), d.array(easing),
            d.array(gravity, k.vec3), d.array(force, k.vec3), d.array(torque, k.vec3), d.array(inertial), motion,
            d.articulated(worlds), factor, d.array(acceleration),
        )  # fmt: skip
        ctx.dynamics, ctx.motion, ctx.factor = d, motion, factor
        ctx.save_for_backward(*values, acceleration)
        return acceleration

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q, v, _, *rest, acceleration = ctx.saved_tensors
        d, worlds = ctx.dynamics, len(q)
        rates = torch.empty_like(v, memory_format=torch.contiguous_format)
        solved = [d.array(grads[0]), ctx.motion, ctx.factor, d.articulated(worlds), d.array(rates)]
        d.run(d.aba.solve, worlds, *solved)
        q_adj, v_adj, _, *others = _adjoints(d, -1.0, ctx.motion, (q, v, *rest), acceleration, rates)
        return None, q_adj, v_adj, rates, *others
