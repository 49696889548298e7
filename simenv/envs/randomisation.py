# SPDX-License-Identifier: Apache-2.0
"""`Range`: from where a physical parameter is drawn for an episode."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from simenv.envs.random import EpisodeRandom
from simenv.physics import exact
from simenv.physics.constants import constant


@dataclasses.dataclass(frozen=True)
class Range:
    """From where a physical parameter is drawn, uniformly in the number or in its logarithm.

    Args:
        low: Smallest value, or factor of ``of``.
        high: Largest value, or factor.
        unit: Of the parameter.
        of: The value that ``low`` and ``high`` are factors of, or the values of a parameter that has several, which
            share a factor; None if they are values themselves.
        log: Whether the logarithm is uniform.
        stream: Name of the random numbers; None takes the parameter's name. Parameters of one stream are drawn
            together.

    Raises:
        ValueError: If a number is not finite, the range is empty, or a logarithm does not exist.
    """

    low: float
    high: float
    unit: str = ""
    of: float | Sequence[float] | None = None
    log: bool = False
    stream: str | None = None

    def __post_init__(self) -> None:
        numbers = [self.low, self.high, *np.atleast_1d([] if self.of is None else self.of).tolist()]
        if not all(math.isfinite(number) for number in numbers) or self.low > self.high:
            raise ValueError(f"{self}: the numbers must be finite, and low at most high.")
        if self.log and self.low <= 0.0:
            raise ValueError(f"{self}: low must be above 0 where the logarithm is uniform; use log=False.")

    def draw(self, random: EpisodeRandom, name: str) -> torch.Tensor:
        """Draw the parameter.

        Args:
            random: Source of random numbers.
            name: Name of the parameter.

        Returns:
            (N,) values, or (N, n) of a parameter that has n.
        """
        stream = self.stream or name
        if self.log:  # about the middle, so that factors 1/f and f are drawn as exp(u log f), u from -1 to 1
            middle = math.sqrt(self.low * self.high)
            wide = exact.exp(math.log(math.sqrt(self.high / self.low)) * random.uniform(stream, -1.0, 1.0))
            return self._times(middle, wide)
        return self._times(1.0, random.uniform(stream, self.low, self.high))

    def _times(self, middle: float, factor: torch.Tensor) -> torch.Tensor:
        if self.of is None or isinstance(self.of, float | int):
            return middle * (1.0 if self.of is None else self.of) * factor
        return factor[:, None] * constant(tuple(middle * each for each in self.of), factor.dtype, factor.device)

    def __str__(self) -> str:
        of = self.of if isinstance(self.of, Sequence) else () if self.of is None else (self.of,)
        times = f" times {', '.join(f'{each:.4g}' for each in of)}" if of else ""
        return f"{self.low:.4g} to {self.high:.4g}{times} {self.unit}".rstrip() + (", log-uniform" * self.log)


def randomisation_table(ranges: Mapping[str, Range]) -> list[str]:
    """Markdown lines of a table of ranges, in which parameters that are drawn together share a row."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name, each in ranges.items():
        rows.setdefault((each.stream or name, str(each)), []).append(name)
    lines = ["| Parameter | Drawn from |", "|---|---|"]
    for (_, text), names in rows.items():
        lines.append(f"| {', '.join(f'`{name}`' for name in names)} | {text} |")
    return lines
