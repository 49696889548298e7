# SPDX-License-Identifier: Apache-2.0
"""Least squares with few unknowns and many residuals, from one residual vector and one reverse sweep a step.

Gauss and Newton's method needs the Jacobian of the residuals; a reverse sweep gives only the gradient ``J^T r``. The
Jacobian is therefore approximated by a matrix A that is corrected with every evaluation,

    by the secant    A += (r' - r - A p) p^T / (p^T p)             after a step p (Broyden 1965),
    by the sweep     A += r (g - A^T r)^T / (r^T r)                (Schlenkrich, Griewank and Walther 2010),

so that A p is the change that was seen, and A^T r is the gradient, exactly: where the method stops, the gradient
vanishes. It starts from the smallest matrix that has this gradient. Steps stay within a trust region (Levenberg 1944,
Marquardt 1963) and the unit box. When two steps in a row fail, and before the method says that it is done, A is probed:
one short step along every coordinate, without sweeps.
"""

from __future__ import annotations

import numpy as np

PROBE = 1e-3  # length of a probing step
FLAT = 1e-6  # share of the loss below which a predicted decrease counts as none
PATIENCE = 2  # failures in a row after which A is probed
GROW, SHRINK, GOOD, POOR = 2.0, 0.35, 0.7, 0.1  # of the trust region, by actual over predicted decrease


class GaussNewton:
    """One start of the method, by ask and tell. All vectors are float64.

    Args:
        point: (n,) start in the unit box.
        radius: First radius of the trust region.
        tolerance: Smallest step.

    Attributes:
        point: (n,) the best point; loss: ``|r|^2`` there, +inf before the first one that was finite.
        done: "" while it goes on; "converged", "stalled" (no shorter step lowers the loss), or "failed" (nothing was
            finite at the start).
    """

    def __init__(self, point: np.ndarray, radius: float, tolerance: float):
        self.point, self.radius, self.tolerance = np.array(point, dtype=float), radius, tolerance
        self.loss, self.done, self._begun = np.inf, "", False
        self._r, self._g, self._A = np.zeros(0), np.zeros_like(self.point), np.zeros((0, len(self.point)))
        self._trial, self._step = self.point, np.zeros_like(self.point)
        self._predicted = 0.0
        self._probing = -1  # the coordinate along which A is being probed
        self._probed = False  # whether A was probed at this point
        self._failures: list[float] = []  # lengths of the steps that failed in a row

    def ask(self) -> np.ndarray:
        """The point to evaluate next; the best one when it is done."""
        if not self._begun or self.done:
            return self.point
        if self._probing < 0:
            step = self._bounded_step()
            predicted = self.loss - float(((self._r + self._A @ step) ** 2).sum())
            flat = predicted < FLAT * self.loss
            small = flat or np.abs(step).max() < self.tolerance
            if not self._probed and (small or len(self._failures) >= PATIENCE):
                self._probing = 0
            elif small:
                self.done = "converged" if flat or self.radius > self.tolerance else "stalled"
                return self.point
            else:
                self._step, self._predicted = step, predicted
        if self._probing >= 0:
            self._step = np.zeros_like(self.point)
            self._step[self._probing] = PROBE if self.point[self._probing] < 0.5 else -PROBE
        self._trial = self.point + self._step
        return self._trial

    def tell(self, r: np.ndarray, failed: bool) -> bool:
        """Take the residuals (m,) at the point asked for; returns whether the gradient there is wanted."""
        if self.done:
            return False
        loss = np.inf if failed else float(r @ r)
        if not self._begun:
            if failed:
                self.done = "failed"
                return False
            self._r, self.loss = r, loss
            return True
        if self._probing >= 0:
            return self._take_probe(r, failed)
        length = float(np.linalg.norm(self._step))
        if not failed:
            self._A += np.outer(r - self._r - self._A @ self._step, self._step) / length**2
        ratio = (self.loss - loss) / max(self._predicted, 1e-300)
        if ratio < POOR:
            self.radius = SHRINK * length
        elif ratio > GOOD:
            self.radius = max(self.radius, GROW * length)
        if not loss < self.loss:
            self._failures.append(length)
            self._align()
            return False
        self.point, self.loss, self._r = self._trial, loss, r
        self._probed, self._failures = self._probed and length < PROBE, []
        return True

    def _take_probe(self, r: np.ndarray, failed: bool) -> bool:
        """One column of A; after the last one, the trust region is again what it was before the failures."""
        if not failed:
            self._A[:, self._probing] = (r - self._r) / self._step[self._probing]
        self._probing += 1
        if self._probing == len(self.point):
            self._probing, self._probed = -1, True
            self.radius = max([self.radius, PROBE, *self._failures])
            self._failures = []
            self._align()
        return False

    def sweep(self, gradient: np.ndarray) -> None:
        """Take the gradient (n,) of ``|r|^2 / 2`` at the best point."""
        if not np.isfinite(gradient).all():
            self.done = "stalled" if self._begun else "failed"
            return
        self._g = gradient
        if not self._begun:
            self._A, self._begun = np.zeros((len(self._r), len(self.point))), True
        self._align()

    def _align(self) -> None:
        square = float(self._r @ self._r)
        if square == 0.0:
            self.done = "converged"
            return
        self._A += np.outer(self._r, self._g - self._A.T @ self._r) / square

    def _bounded_step(self) -> np.ndarray:
        """The step of the trust region; coordinates that it would take out of the box are held on its face, one after
        the other.
        """
        free = ~(((self.point <= 0.0) & (self._g > 0.0)) | ((self.point >= 1.0) & (self._g < 0.0)))
        held = np.zeros_like(self.point)
        while free.any():
            gradient = self._g + self._A.T @ (self._A @ held)
            step = held.copy()
            step[free] = damped_step(self._A[:, free], gradient[free], self.radius)
            out = free & ((self.point + step < 0.0) | (self.point + step > 1.0))
            if not out.any():
                return step
            beyond = np.where(out, np.maximum(-(self.point + step), self.point + step - 1.0), -np.inf)
            worst = int(np.argmax(beyond))
            held[worst] = float(np.clip(self.point[worst] + step[worst], 0.0, 1.0) - self.point[worst])
            free[worst] = False
        return held


def damped_step(A: np.ndarray, gradient: np.ndarray, radius: float) -> np.ndarray:
    """Minimises ``g^T p + |A p|^2 / 2`` over ``|p| <= radius``: ``(A^T A + lambda I) p = -g``, by bisection.

    Args:
        A: (m, n).
        gradient: (n,) g.
        radius: Largest length.
    """
    curvature, basis = np.linalg.eigh(A.T @ A)
    curvature = np.maximum(curvature, 0.0)
    along = basis.T @ gradient
    largest = max(float(curvature[-1]), 1e-300)

    def step(damping: float) -> np.ndarray:
        return -along / (curvature + damping)

    low, high = 1e-9 * largest, 1e-9 * largest
    if np.linalg.norm(step(low)) <= radius:
        return basis @ step(low)
    while np.linalg.norm(step(high)) > radius:
        high *= 10.0
    for _ in range(60):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if np.linalg.norm(step(middle)) > radius else (low, middle)
    return basis @ step(high)
