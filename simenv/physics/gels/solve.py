# SPDX-License-Identifier: Apache-2.0
"""Contact pressures and tractions of an elastic surface, for many worlds, with exact derivatives.

Normal problem: p >= 0, K p >= depth, p (K p - depth) = 0, by the conjugate gradients of Polonsky and Keer 1999 with
prescribed depth. Tangential problem: the traction q of least energy 1/2 q K q - q b over |q| <= limit per taxel, whose
optimality is Coulomb's law for one increment (sticking where |q| < limit, slipping along q elsewhere), by accelerated
projected gradients (Beck and Teboulle 2009; restarts after O'Donoghue and Candes 2015).

Derivatives come from the implicit function theorem: taxels keep their regime for a small change, so that a linear
system with the same matrix, restricted to the contact, gives them. At a change of regime they are those of one side.

Every world stops at its own accuracy and is then left alone, so that it does not depend on the others. On the CPU
worlds are shared among threads and a loop ends when all have stopped (small grids: in a kernel, each when it has); on
CUDA it runs to its last iteration, for it may not ask the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import warp as wp

from simenv import _threads
from simenv.physics import exact
from simenv.physics.bridge import as_array, warp_real
from simenv.physics.device import on_cuda
from simenv.physics.gels.convolution import Response
from simenv.physics.gels.kernels_solve import solve_kernels
from simenv.physics.launch.capture import launch, load

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
    return exact.total(x.flatten(1))


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
    return not on_cuda(done.device) and bool(done.all())


def _in_parts(
    solve: Callable[..., tuple[torch.Tensor, ...]], responses: tuple[Response, ...], *tensors: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """`solve(*responses, *tensors)` on the CPU's threads: each Fourier-transformed world alone, others in shards."""
    tensors = tuple(t.detach() for t in tensors)
    worlds, threads = tensors[0].shape[0], _threads.get_num_threads()
    size = 1 if not responses[0].convolution.direct else -(-worlds // threads)
    if on_cuda(tensors[0].device) or size >= worlds:
        return solve(*responses, *tensors)
    if responses[0].convolution.direct:  # once, before all threads ask for them
        kernels = responses[0].convolution.kernel, solve_kernels(warp_real(tensors[0].dtype)).pressure
        load(kernels, wp.get_device("cpu"))

    def part(first: int) -> tuple[torch.Tensor, ...]:
        rows = slice(first, first + size)
        with torch.no_grad():
            return solve(*(r.of_worlds(rows) for r in responses), *(t[rows] for t in tensors))

    calls = [partial(part, first) for first in range(0, worlds, size)]
    parts = _threads.run_together(_threads.shared_pool("simenv-solve", threads), calls)
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def _restricted_solve(response: Response, project, diagonal: torch.Tensor, right: torch.Tensor, tolerance: float,
                      iterations: int) -> torch.Tensor:  # fmt: skip
    """Conjugate gradients for (P K P + D) x = P right on the range of the projection P."""
    x = torch.zeros_like(right)
    residual = project(right)
    way = residual
    size = _sum(residual * residual)
    goal = size * tolerance**2
    done = size <= goal
    for _ in range(iterations):
        image = project(response.apply(way)) + diagonal * way
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


def _fused(response: Response) -> bool:
    """Whether a kernel solves each world on its own: on the CPU, for grids summed directly."""
    return response.convolution.direct and not on_cuda(response.table.device)


def _launch(name: str, accuracy: Accuracy, responses: tuple[Response, ...], inputs: list[torch.Tensor],
            results: list[torch.Tensor], iterations: int) -> None:  # fmt: skip
    """Run a kernel of `kernels_solve`; tensors with an axis more than (N, P) hold vectors."""
    real = warp_real(inputs[0].dtype)
    kernels = solve_kernels(real)

    def array(t: torch.Tensor) -> wp.array:
        return as_array(t, wp.int32 if t.dtype == torch.int32 else real if t.dim() < 3 else kernels.vec2)

    tables = [as_array(r.flat_table(), real) for r in responses]
    launch(
        getattr(kernels, name),
        dim=inputs[0].shape[0],
        inputs=[responses[0].convolution.columns, accuracy.tolerance, iterations, *tables, *map(array, inputs)],
        outputs=[array(t) for t in results],
        device=wp.get_device("cpu"),
    )


def _pressure_fused(response: Response, depth: torch.Tensor, accuracy: Accuracy) -> tuple[torch.Tensor, torch.Tensor]:
    touched, done = torch.zeros_like(depth, dtype=torch.int32), depth.new_zeros(len(depth), dtype=torch.int32)
    gap, way, p = (torch.zeros_like(depth, memory_format=torch.contiguous_format) for _ in range(3))
    _launch("pressure", accuracy, (response,), [depth], [touched, gap, way, p, done], accuracy.pressure_iterations)
    return p, done.bool()


def _traction_fused(
    response: Response, bound: Response, target: torch.Tensor, limit: torch.Tensor, accuracy: Accuracy
) -> tuple[torch.Tensor, torch.Tensor]:
    touched, done = torch.zeros_like(limit, dtype=torch.int32), limit.new_zeros(len(limit), dtype=torch.int32)
    new, ahead, q = (torch.zeros_like(target, memory_format=torch.contiguous_format) for _ in range(3))
    results = [touched, new, ahead, q, done]
    _launch("traction", accuracy, (response, bound), [target, limit], results, accuracy.traction_iterations)
    return q, done.bool()


def _pressure(response: Response, depth: torch.Tensor, accuracy: Accuracy) -> tuple[torch.Tensor, torch.Tensor]:
    scale = _peak(depth.clamp(min=0.0))
    reach = response.apply((depth > 0).to(depth.dtype)[..., None])[..., 0]
    p = depth.clamp(min=0.0) / _wide(_peak(reach).clamp(min=torch.finfo(depth.dtype).tiny), depth)
    way = torch.zeros_like(p)
    before = torch.ones_like(scale)
    keep = torch.zeros_like(scale)
    done = scale <= 0
    for _ in range(accuracy.pressure_iterations):
        gap = response.apply(p[..., None])[..., 0] - depth
        contact = p > 0
        inside = torch.where(contact, gap, 0.0)
        error = torch.maximum(_peak(inside.abs()), _peak(torch.where(contact, 0.0, -gap)))
        done = done | (error <= accuracy.tolerance * scale)
        if _all(done):
            break
        size = _sum(inside * inside)
        way = torch.where(contact, inside + _wide(keep * _ratio(size, before), p) * way, 0.0)
        image = torch.where(contact, response.apply(way[..., None])[..., 0], 0.0)
        step = _wide(_ratio(_sum(inside * way), _sum(image * way)), p)
        new = torch.where(contact, (p - step * way).clamp(min=0.0), 0.0)
        joining = (new <= 0) & (gap < 0)
        new = torch.where(joining, p - step * gap, new)
        before = size
        keep = 1.0 - joining.any(1).to(p.dtype)
        p = torch.where(_wide(done, p), p, new)
    return p, done


class _Pressure(torch.autograd.Function):
    """The solution for depths, given; its derivative."""

    @staticmethod
    def forward(ctx: Any, response: Response, accuracy: Accuracy, pressure: torch.Tensor, depth: torch.Tensor):
        ctx.response, ctx.accuracy = response, accuracy
        ctx.save_for_backward(pressure)
        return pressure.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor):
        accuracy = ctx.accuracy

        def solve(response: Response, p: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor]:
            contact = (p > 0)[..., None]
            x = _restricted_solve(
                response,
                lambda x: torch.where(contact, x, 0.0),
                torch.zeros_like(g[..., None]),
                g[..., None],
                accuracy.tolerance,
                accuracy.pressure_iterations,
            )
            return (x[..., 0],)

        return None, None, None, *_in_parts(solve, (ctx.response,), *ctx.saved_tensors, grad)


def _clip(q: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    """The nearest point of the disc |q| <= limit."""
    square = q[..., 0] * q[..., 0] + q[..., 1] * q[..., 1]
    inside = square <= limit * limit
    return torch.where(inside, 1.0, limit / torch.where(inside, 1.0, square).sqrt())[..., None] * q


def _traction(
    response: Response, bound: Response, target: torch.Tensor, limit: torch.Tensor, accuracy: Accuracy
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
        new = _clip(y + (target - response.apply(y)) / _wide(stiffest, y), limit)
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
    """The solution for targets and limits, given; its derivative."""

    @staticmethod
    def forward(
        ctx: Any,
        response: Response,
        accuracy: Accuracy,
        traction: torch.Tensor,
        slip: torch.Tensor,
        target: torch.Tensor,
        limit: torch.Tensor,
    ):
        ctx.response, ctx.accuracy = response, accuracy
        ctx.save_for_backward(traction, slip, limit)
        return traction.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor):
        accuracy = ctx.accuracy

        def solve(response: Response, *rest: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return _traction_adjoint(response, accuracy, *rest)

        return None, None, None, None, *_in_parts(solve, (ctx.response,), *ctx.saved_tensors, grad)


def _traction_adjoint(
    response: Response,
    accuracy: Accuracy,
    q: torch.Tensor,
    slip: torch.Tensor,
    limit: torch.Tensor,
    grad: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Adjoints of target and limit.

    A slipping taxel has q = limit e. Its e turns with the slip b - K q = s e, so that the part of dq across e obeys
    (K dq - db) + (s / limit) dq = 0 there, while dq along e is d(limit).
    """
    slack = 1e-4 if q.dtype == torch.float32 else 1e-9
    square = q[..., 0] * q[..., 0] + q[..., 1] * q[..., 1]
    slipping = ((limit > 0) & (square >= limit * limit * (1.0 - slack)))[..., None]
    sticking = ((limit > 0)[..., None]) & ~slipping
    size = torch.where(slipping[..., 0], square, 1.0).sqrt()[..., None]
    along = torch.where(slipping, q / size, 0.0)
    across = torch.stack([-along[..., 1], along[..., 0]], -1)
    amount = (slip[..., 0] * along[..., 0] + slip[..., 1] * along[..., 1]).clamp(min=0.0)[..., None]
    diagonal = torch.where(slipping, amount / size, 0.0)

    def project(x: torch.Tensor) -> torch.Tensor:
        part = (x[..., 0] * across[..., 0] + x[..., 1] * across[..., 1])[..., None]
        return torch.where(sticking, x, part * across)

    y = _restricted_solve(response, project, diagonal, grad, accuracy.tolerance, accuracy.traction_iterations)
    rest = (grad - response.apply(y)) * along
    return y, rest[..., 0] + rest[..., 1]


def solve_pressure(response: Response, depth: torch.Tensor, accuracy: Accuracy) -> tuple[torch.Tensor, torch.Tensor]:
    """Pressures that push a surface back to a rigid object.

    Args:
        response: indentation by pressure, symmetric and positive definite [m/Pa].
        depth: (N, P) of the object below the undeformed surface [m], negative where it is above.
        accuracy: when to stop.

    Returns:
        Pressure (N, P) [Pa], and whether it is accurate (N,) bool.
    """
    method = _pressure_fused if _fused(response) else _pressure
    pressure, done = _in_parts(lambda r, d: method(r, d, accuracy), (response,), depth)
    # at fixed pressures, a stiffer response counts as a smaller depth
    felt = depth - response(pressure[..., None])[..., 0] if response.varies else depth
    return _Pressure.apply(response, accuracy, pressure, felt), done


def solve_traction(
    response: Response, bound: Response, target: torch.Tensor, limit: torch.Tensor, accuracy: Accuracy
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tractions under Coulomb's law for one increment.

    Args:
        response: tangential displacement by traction, symmetric and positive definite [m/Pa].
        bound: the same with absolute values, or larger.
        target: (N, P, 2) displacement at which the surface would stick everywhere [m].
        limit: (N, P) mu p [Pa].
        accuracy: when to stop.

    Returns:
        Traction on the surface (N, P, 2) [Pa], and whether it is accurate (N,) bool.
    """
    method = _traction_fused if _fused(response) else _traction
    traction, done = _in_parts(lambda r, b, t, m: method(r, b, t, m, accuracy), (response, bound), target, limit)
    felt = target - response(traction) if response.varies else target
    slip = target.detach() - response.apply(traction)
    return _Traction.apply(response, accuracy, traction, slip, felt, limit), done
