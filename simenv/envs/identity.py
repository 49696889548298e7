# SPDX-License-Identifier: Apache-2.0
"""What Gymnasium's base class knows of an environment: its specification, and its random generator."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import VectorEnv

from simenv.envs.resets import world_seeds


class IdentifiedVectorEnv(VectorEnv):
    """Base of `SimVectorEnv`: a specification with the true time limit, and seeds drawn from ``np_random``."""

    max_episode_steps: int | None
    _spec: EnvSpec | None = None
    # (N,) bool: worlds whose next reset without a seed draws one from np_random; None for all
    _undrawn: torch.Tensor | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """What Gymnasium made the environment from, with the time limit that it has, not the one that is registered."""
        return self._spec

    @spec.setter
    def spec(self, value: EnvSpec | None) -> None:
        self._spec = copy(value)
        if self._spec is not None:
            self._spec.max_episode_steps = self.max_episode_steps

    @property
    def np_random(self) -> np.random.Generator:
        """The generator from which worlds without a seed of their own draw one, each with its next `reset`.

        Raises:
            TypeError: When set to something else than a `numpy.random.Generator`.
        """
        return super().np_random

    @np_random.setter
    def np_random(self, value: np.random.Generator) -> None:
        if not isinstance(value, np.random.Generator):
            raise TypeError(f"np_random is a {type(value).__name__}; give a generator, numpy.random.default_rng(seed).")
        self._np_random, self._np_random_seed = value, -1  # -1: unknown, as Gymnasium has it
        self._undrawn = None

    def _reset_seeds(self, seed: int | Sequence[int | None] | None, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Seeds of the worlds that a reset applies to.

        Args:
            seed: As given to `reset`.
            mask: (N,) bool, the worlds that are reset.

        Returns:
            (N,) int64 seeds, and (N,) bool whether a world of the mask begins with one.
        """
        values, seeded = world_seeds(seed, mask)
        undrawn = torch.ones_like(mask) if self._undrawn is None else self._undrawn
        draw = mask & ~seeded & undrawn
        if bool(draw.any()):
            drawn, _ = world_seeds(int(self.np_random.integers(2**62)), mask)
            values, seeded = torch.where(draw, drawn, values), seeded | draw
        self._undrawn = undrawn & ~mask
        return values, mask & seeded
