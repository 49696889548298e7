# SPDX-License-Identifier: Apache-2.0
"""What every search shares, whether for actions or for parameters: result codes with a remedy, and CMA-ES by ask and
tell.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from simenv._extras import missing


class ResultCode(enum.Enum):
    """Base of the codes that say why a search stopped. Each member holds ``message`` (what happened) and ``remedy``
    (what to do about it).
    """

    def __init__(self, message: str, remedy: str) -> None:
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.name}: {self.message}. Remedy: {self.remedy}."


def cma_strategy(
    first: np.ndarray, sigma: float, low: float, high: float, seed: int, population: int | None = None, **options: Any
) -> Any:
    """A ``cma.CMAEvolutionStrategy`` that is silent and has random numbers of its own (N. Hansen, *The CMA evolution
    strategy: a tutorial*, arXiv:1604.00772).

    Args:
        first: (n,) where it starts.
        sigma: First standard deviation.
        low: Lower bound of every component.
        high: Upper bound.
        seed: Of its draws; NumPy's global generator stays untouched.
        population: Candidates per generation; None for 4 + 3 ln(n).
        **options: Others of the package.

    Raises:
        ImportError: If `cma` is not installed.
    """
    try:
        import cma
    except ImportError as error:
        raise missing("cma", "search", "CMA-ES") from error
    chosen = {
        "bounds": [low, high],
        "randn": np.random.RandomState(seed % 2**32).randn,
        "seed": np.nan,
        "verbose": -9,
        "verb_log": 0,
        "maxiter": np.inf,
        **({"popsize": population} if population else {}),
        **options,
    }
    return cma.CMAEvolutionStrategy(first, sigma, chosen)


def rank_last(losses: np.ndarray) -> np.ndarray:
    """Losses with each non-finite one a little worse than the worst finite one. CMA-ES uses ranks, so the amount does
    not matter.
    """
    finite = np.isfinite(losses)
    if not finite.any():
        return np.zeros_like(losses)
    worst, spread = losses[finite].max(), np.ptp(losses[finite])
    return np.where(finite, losses, worst + max(spread, 1e-6 * abs(worst), 1e-12))
