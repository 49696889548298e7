# SPDX-License-Identifier: Apache-2.0
"""Contact pressures and tractions of an elastic surface, for many worlds, with exact derivatives.

Normal problem: p >= 0, K p >= depth, p (K p - depth) = 0, by the conjugate gradients of Polonsky and Keer 1999 with
prescribed depth. Tangential problem: the traction q of least energy 1/2 q K q - q b over |q| <= limit per taxel, whose
optimality is Coulomb's law for one increment (sticking where |q| < limit, slipping along q elsewhere), by accelerated
projected gradients (Beck and Teboulle 2009; restarts after O'Donoghue and Candes 2015).

Derivatives come from the implicit function theorem: taxels keep their regime for a small change, so that a linear
system with the same matrix, restricted to the contact, gives them. At a change of regime they are those of one side.

Every world stops at its own accuracy and is then left alone, so that it does not depend on the others. On the CPU the
loop ends when all have stopped; on CUDA it runs to its last iteration, for it may not ask the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from simenv.sensors.tactile.convolution import Convolution

__all__ = ["Accuracy", "solve_pressure", "solve_traction"]


@dataclass(frozen=True)
class Accuracy:
    """When to stop: relative error of displacements, and the largest numbers of iterations."""

    tolerance: float
    pressure_iterations: int = 400
    traction_iterations: int = 3000

    @classmethod
    def of(cls, dtype: torch.dtype) -> Accuracy:
        """The usual accuracy of a scalar type."""
        return cls(1e-12) if dtype == torch.float64 else cls(2e-6, 200, 1000)


def _sum(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1).sum(1)


def _peak(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1).amax(1)


def _ratio(top: torch.Tensor, bottom: torch.Tensor) -> torch.Tensor:
    """top / bottom, 0 where bottom is not positive."""
    good = bottom > 0
    return torch.where(good, top / torch.where(good, bottom, 1.0), 0.0)


def _wide(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return x.view(-1, *[1] * (like.dim() - 1))


def _all(done: torch.Tensor) -> bool:
    # only the CPU is asked
    return done.device.type == "cpu" and bool(done.all())


def _by_world(convolution: Convolution, worlds: int, device: torch.device) -> bool:
    """Whether worlds are solved one after the other: where they are transformed one at a time anyway."""
    return worlds > 1 and device.type == "cpu" and not convolution.direct


def _restricted_solve(convolution: Convolution, project, diagonal: torch.Tensor, right: torch.Tensor, tolerance: float,
                      iterations: int) -> torch.Tensor:  # fmt: skip
    """Conjugate gradients for (P K P + D) x = P right on the range of the projection P."""
    x = torch.zeros_like(right)
    residual = project(right)
    way = residual
    size = _sum(residual * residual)
    goal = size * tolerance**2
    done = size <= goal
    for _ in range(iterations):
        image = project(convolution.apply(way)) + diagonal * way
        step = torch.where(done, 0.0, _ratio(size, _sum(way * image)))
        x = x + _wide(step, x) * way
        residual = residual - _wide(step, x) * image
        now = _sum(residual * residual)
        way = torch.where(_wide(done, x), way, residual + _wide(_ratio(now, size), x) * way)
        size = torch.where(done, size, now)
        done = done | (size <= goal)
        if _all(done):
            break
    return x


def _pressure(convolution: Convolution, depth: torch.Tensor, accuracy: Accuracy) -> tuple[torch.Tensor, torch.Tensor]:
    scale = _peak(depth.clamp(min=0.0))
    reach = convolution.apply((depth > 0).to(depth.dtype)[..., None])[..., 0]
    p = depth.clamp(min=0.0) / _wide(_peak(reach).clamp(min=torch.finfo(depth.dtype).tiny), depth)
    way = torch.zeros_like(p)
    before = torch.ones_like(scale)
    keep = torch.zeros_like(scale)
    done = scale <= 0
    for _ in range(accuracy.pressure_iterations):
        gap = convolution.apply(p[..., None])[..., 0] - depth
        contact = p > 0
        inside = torch.where(contact, gap, 0.0)
        error = torch.maximum(_peak(inside.abs()), _peak(torch.where(contact, 0.0, -gap)))
        done = done | (error <= accuracy.tolerance * scale)
        if _all(done):
            break
        size = _sum(inside * inside)
        way = torch.where(contact, inside + _wide(keep * _ratio(size, before), p) * way, 0.0)
        image = torch.where(contact, convolution.apply(way[..., None])[..., 0], 0.0)
        step = _wide(_ratio(_sum(inside * way), _sum(image * way)), p)
        new = torch.where(contact, (p - step * way).clamp(min=0.0), 0.0)
        joining = (new <= 0) & (gap < 0)
        new = torch.where(joining, p - step * gap, new)
        before = size
        keep = 1.0 - joining.any(1).to(p.dtype)
        p = torch.where(_wide(done, p), p, new)
    return p, done


class _Pressure(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, convolution: Convolution, accuracy: Accuracy, depth: torch.Tensor):
        if _by_world(convolution, depth.shape[0], depth.device):
            solved = [_pressure(convolution, row[None], accuracy) for row in depth]
            p, done = (torch.cat(parts) for parts in zip(*solved, strict=True))
        else:
            p, done = _pressure(convolution, depth, accuracy)
        ctx.convolution, ctx.accuracy = convolution, accuracy
        ctx.save_for_backward(p)
        ctx.mark_non_differentiable(done)
        return p, done

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor, _: Any):
        (pressure,) = ctx.saved_tensors
        convolution, accuracy = ctx.convolution, ctx.accuracy

        def solve(p: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
            contact = (p > 0)[..., None]
            zero = torch.zeros_like(g[..., None])
            return _restricted_solve(
                convolution,
                lambda x: torch.where(contact, x, 0.0),
                zero,
                g[..., None],
                accuracy.tolerance,
                accuracy.pressure_iterations,
            )[..., 0]

        if _by_world(convolution, grad.shape[0], grad.device):
            return None, None, torch.cat([solve(p[None], g[None]) for p, g in zip(pressure, grad, strict=True)])
        return None, None, solve(pressure, grad)


def _clip(q: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    """The nearest point of the disc |q| <= limit."""
    square = q[..., 0] * q[..., 0] + q[..., 1] * q[..., 1]
    inside = square <= limit * limit
    return torch.where(inside, 1.0, limit / torch.where(inside, 1.0, square).sqrt())[..., None] * q


def _traction(
    convolution: Convolution, bound: Convolution, target: torch.Tensor, limit: torch.Tensor, accuracy: Accuracy
) -> tuple[torch.Tensor, torch.Tensor]:
    contact = limit > 0
    mask = contact.to(target.dtype)[..., None].expand_as(target)
    # the largest sum of a row bounds the largest eigenvalue of the part in contact
    stiffest = _peak(bound.apply(mask.contiguous())).clamp(min=torch.finfo(target.dtype).tiny)
    scale = _peak((target * mask).abs())
    q = torch.zeros_like(target)
    y = q
    momentum = torch.ones_like(scale)
    done = scale <= 0
    for _ in range(accuracy.traction_iterations):
        new = _clip(y + (target - convolution.apply(y)) / _wide(stiffest, y), limit)
        moved = new - y
        error = _peak(moved.abs()) * stiffest
        restart = _sum(moved * (new - q)) < 0
        grown = 0.5 * (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt())
        share = torch.where(restart, 0.0, (momentum - 1.0) / grown)
        following = new + _wide(share, q) * (new - q)
        frozen = _wide(done, q)
        q, y = torch.where(frozen, q, new), torch.where(frozen, y, following)
        momentum = torch.where(restart, 1.0, grown)
        done = done | (error <= accuracy.tolerance * scale)
        if _all(done):
            break
    return q, done


class _Traction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        convolution: Convolution,
        bound: Convolution,
        accuracy: Accuracy,
        target: torch.Tensor,
        limit: torch.Tensor,
    ):
        if _by_world(convolution, target.shape[0], target.device):
            rows = zip(target, limit, strict=True)
            solved = [_traction(convolution, bound, t[None], m[None], accuracy) for t, m in rows]
            q, done = (torch.cat(parts) for parts in zip(*solved, strict=True))
        else:
            q, done = _traction(convolution, bound, target, limit, accuracy)
        ctx.convolution, ctx.accuracy = convolution, accuracy
        ctx.save_for_backward(q, target, limit)
        ctx.mark_non_differentiable(done)
        return q, done

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor, _: Any):
        saved, convolution, accuracy = ctx.saved_tensors, ctx.convolution, ctx.accuracy
        if _by_world(convolution, grad.shape[0], grad.device):
            rows = [
                _traction_adjoint(convolution, accuracy, *(t[None] for t in row))
                for row in zip(*saved, grad, strict=True)
            ]
            adjoints = [torch.cat(parts) for parts in zip(*rows, strict=True)]
        else:
            adjoints = _traction_adjoint(convolution, accuracy, *saved, grad)
        return None, None, None, *adjoints


def _traction_adjoint(
    convolution: Convolution,
    accuracy: Accuracy,
    q: torch.Tensor,
    target: torch.Tensor,
    limit: torch.Tensor,
    grad: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Adjoints of target and limit.

    A slipping taxel has q = limit e. Its e turns with the slip b - K q = s e, so that the component of dq across e obeys
    (K dq - db) + (s / limit) dq = 0 there, while dq along e is d(limit).
    """
    slack = 1e-4 if q.dtype == torch.float32 else 1e-9
    square = q[..., 0] * q[..., 0] + q[..., 1] * q[..., 1]
    slipping = ((limit > 0) & (square >= limit * limit * (1.0 - slack)))[..., None]
    sticking = ((limit > 0)[..., None]) & ~slipping
    size = torch.where(slipping[..., 0], square, 1.0).sqrt()[..., None]
    along = torch.where(slipping, q / size, 0.0)
    across = torch.stack([-along[..., 1], along[..., 0]], -1)
    slip = target - convolution.apply(q)
    amount = (slip[..., 0] * along[..., 0] + slip[..., 1] * along[..., 1]).clamp(min=0.0)[..., None]
    diagonal = torch.where(slipping, amount / size, 0.0)

    def project(x: torch.Tensor) -> torch.Tensor:
        part = (x[..., 0] * across[..., 0] + x[..., 1] * across[..., 1])[..., None]
        return torch.where(sticking, x, part * across)

    iterations = accuracy.traction_iterations
    y = _restricted_solve(convolution, project, diagonal, grad, accuracy.tolerance, iterations)
    rest = (grad - convolution.apply(y)) * along
    return y, rest[..., 0] + rest[..., 1]


def solve_pressure(
    convolution: Convolution, depth: torch.Tensor, accuracy: Accuracy
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pressures that push a surface back to a rigid object.

    Args:
        convolution: indentation by pressure, symmetric and positive definite [m/Pa].
        depth: (N, P) of the object below the undeformed surface [m], negative where it is above.
        accuracy: when to stop.

    Returns:
        Pressure (N, P) [Pa], and whether it is accurate (N,) bool.
    """
    return _Pressure.apply(convolution, accuracy, depth)


def solve_traction(
    convolution: Convolution, bound: Convolution, target: torch.Tensor, limit: torch.Tensor, accuracy: Accuracy
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tractions under Coulomb's law for one increment.

    Args:
        convolution: tangential displacement by traction, symmetric and positive definite [m/Pa].
        bound: the same with the absolute values of its table.
        target: (N, P, 2) displacement at which the surface would stick everywhere [m].
        limit: (N, P) mu p [Pa].
        accuracy: when to stop.

    Returns:
        Traction on the surface (N, P, 2) [Pa], and whether it is accurate (N,) bool.
    """
    return _Traction.apply(convolution, bound, accuracy, target, limit)
