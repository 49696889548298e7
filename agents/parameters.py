# SPDX-License-Identifier: Apache-2.0
"""Open-loop actions as a few numbers: B-spline control points over time, in units of half the action range.

A table of T actions has far more freedom than a smooth motion needs. Clamped B-splines (C. de Boor, *A Practical Guide
to Splines*, 1978) describe it by K control points ("knots" here, as robot learning calls them) per action dimension.
Their basis functions are non-negative and sum to one, so actions stay inside the box that the control points stay
inside: clipping the control points is enough. Each one acts on a short stretch of time only, which lets an expanding
horizon freeze the past.
"""

from __future__ import annotations

import numpy as np
import torch


def spline_basis(steps: int, knots: int, degree: int = 3) -> np.ndarray:
    """Values of the clamped uniform B-spline basis at equally spaced steps.

    Args:
        steps: Number of control steps T, at least 1.
        knots: Number of control points K, 1 <= K <= T. K == T means one free value per step (the identity, no
            smoothing).
        degree: Polynomial degree, lowered to K - 1 if there are too few control points.

    Returns:
        (T, K) float64, rows non-negative with sum 1; the first and last rows select the first and last control point.

    Raises:
        ValueError: If `steps` or `knots` is out of range.
    """
    if steps < 1 or not 1 <= knots <= steps:
        raise ValueError(f"knots = {knots} for {steps} steps: it must lie between 1 and the number of steps")
    if knots == steps:
        return np.eye(steps)
    degree = min(degree, knots - 1)
    inner = np.linspace(0.0, 1.0, knots - degree + 1)
    grid = np.concatenate([np.zeros(degree), inner, np.ones(degree)])
    time = np.linspace(0.0, 1.0, steps) if steps > 1 else np.zeros(1)
    # Degree 0: which interval holds each time; the last interval is closed on the right.
    span = np.minimum(np.searchsorted(grid, time, side="right") - 1, knots - 1)
    basis = np.zeros((steps, len(grid) - 1))
    basis[np.arange(steps), span] = 1.0
    for p in range(1, degree + 1):  # Cox-de Boor recursion, 0/0 read as 0
        columns = basis.shape[1] - 1
        rise, fall = grid[p : p + columns] - grid[:columns], grid[p + 1 : p + 1 + columns] - grid[1 : columns + 1]
        left = np.divide(time[:, None] - grid[:columns], rise, out=np.zeros((steps, columns)), where=rise > 0)
        right = np.divide(
            grid[p + 1 : p + 1 + columns] - time[:, None], fall, out=np.zeros((steps, columns)), where=fall > 0
        )
        basis = left * basis[:, :-1] + right * basis[:, 1:]
    return basis


class ActionTable:
    """Maps control points to action tables, and says which control points act on which steps.

    Args:
        low: (A,) lower action limits, finite.
        high: (A,) upper action limits, finite, each above `low`.
        steps: Control steps T.
        knots: Control points K; None for about one per five steps (at least 4), 0 for one per step.

    Raises:
        ValueError: If a limit is not finite or a range is empty.
    """

    def __init__(self, low: np.ndarray, high: np.ndarray, steps: int, knots: int | None) -> None:
        low, high = np.asarray(low, np.float64).reshape(-1), np.asarray(high, np.float64).reshape(-1)
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (high > low).all()):
            raise ValueError(f"action limits {low} .. {high} must be finite with low < high; rescale the action space")
        if knots is None:
            knots = min(steps, max(4, round(steps / 5)))
        self.basis = torch.from_numpy(spline_basis(steps, knots or steps))
        self.steps, self.knots, self.size = steps, knots or steps, low.size
        self.low, self.high = torch.from_numpy(low), torch.from_numpy(high)
        self.middle, self.half = (self.low + self.high) / 2, (self.high - self.low) / 2

    def actions(self, points: torch.Tensor) -> torch.Tensor:
        """Action tables of control points.

        Args:
            points: (N, K, A) control points in [-1, 1]: -1 is the lower action limit, +1 the upper one.

        Returns:
            (T, N, A) actions in the action space's units, inside its limits to the last bit. Rounding can push a value
            past a limit; it is put back with derivative one, so that a control point on its limit keeps its gradient.
        """
        table = self.middle + self.half * torch.einsum("tk,nka->tna", self.basis, points)
        return table + (table.clamp(self.low, self.high) - table).detach()

    def points(self, actions: torch.Tensor) -> torch.Tensor:
        """Least-squares control points (..., K, A), clipped to [-1, 1], of action tables (..., T, A)."""
        scaled = (actions.to(torch.float64) - self.middle) / self.half
        return (torch.linalg.pinv(self.basis) @ scaled).clamp(-1.0, 1.0)

    def free(self, start: int, stop: int) -> torch.Tensor:
        """Which control points act on steps `start` .. `stop` - 1 and on none before `start`, bool (K,)."""
        used = self.basis.abs() > 0
        return used[start:stop].any(0) & ~used[:start].any(0)


def initial_points(
    table: ActionTable, count: int, seed: int, scale: float, base: torch.Tensor | None = None
) -> torch.Tensor:
    """Starting control points of `count` candidates, the same for every method, N and device.

    Candidate 0 is `base`; after it, candidates alternate between a constant motion (one random action held all the
    time, plus `base`) and independent random control points (plus `base`). Candidate i depends on `seed` and i only.

    Args:
        table: The parameterisation.
        count: Number of candidates N.
        seed: Seed of the draws.
        scale: Half-width of the uniform draws, in half action ranges.
        base: (K, A) control points of candidate 0; None for the action nearest to zero.

    Returns:
        (N, K, A) float64 in [-1, 1].
    """
    if base is None:
        base = (
            (torch.zeros(table.size, dtype=torch.float64).clamp(table.low, table.high) - table.middle) / table.half
        ).expand(table.knots, -1)
    points = base.to(torch.float64).repeat(count, 1, 1)
    for i in range(1, count):
        random = np.random.default_rng([seed, i])
        shape = (1, table.size) if i % 2 else (table.knots, table.size)
        points[i] += torch.from_numpy(random.uniform(-scale, scale, shape))
    return points.clamp(-1.0, 1.0)
