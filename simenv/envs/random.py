# SPDX-License-Identifier: Apache-2.0
"""Counter-based random numbers for episodes, computed on the device without asking the host anything.

A draw is a pure function of ``(seed, episode, name, element)``. Three things follow: world ``i`` draws the same numbers
whatever the number of worlds, a masked reset needs no generator state besides two integers per world, and saving those
integers saves the whole random state. The integer mixer is SplitMix64 (Steele, Lea, Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014), written in wrapping int64 arithmetic because torch has few operations on
uint64.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch

from simenv.envs.constants import constant
from simenv.physics import exact
from simenv.physics.device import resolve_device

_WORD = 1 << 64


def to_int64(value: int) -> int:
    """The signed 64-bit integer with the same bits as ``value`` modulo 2**64.

    Args:
        value: Any Python integer.

    Returns:
        An integer in ``[-2**63, 2**63)``.
    """
    value %= _WORD
    return value - _WORD if value >= _WORD // 2 else value


_GOLDEN = to_int64(0x9E3779B97F4A7C15)  # 2**64 divided by the golden ratio, odd: the Weyl increment of SplitMix64
_MIX_1 = to_int64(0xBF58476D1CE4E5B9)
_MIX_2 = to_int64(0x94D049BB133111EB)


def _shift_right(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical right shift: torch's ``>>`` on int64 repeats the sign bit, so the upper bits are masked away."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def mix64(x: torch.Tensor) -> torch.Tensor:
    """SplitMix64's output function, a bijection of 64-bit words.

    Args:
        x: (...) int64 words.

    Returns:
        (...) int64 words.
    """
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)


def splitmix64(state: torch.Tensor, count: int) -> torch.Tensor:
    """The first ``count`` outputs of SplitMix64 started from each state.

    Args:
        state: (...) int64 start states.
        count: Number of outputs.

    Returns:
        (..., count) int64 words.
    """
    steps = torch.arange(1, count + 1, dtype=torch.int64, device=state.device)
    return mix64(state.unsqueeze(-1) + steps * _GOLDEN)


def name_key(name: str) -> int:
    """A 64-bit integer for a name, the same in every process (Python's own ``hash`` is salted per process).

    Args:
        name: Any text.

    Returns:
        An integer in ``[-2**63, 2**63)``.
    """
    return to_int64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))


class EpisodeRandom:
    """The random numbers of one episode in each of N worlds.

    The same name always gives the same numbers within an episode, so give each quantity a name of its own.

    Args:
        seed: (N,) int64 seed of each world.
        episode: (N,) int64 number of each world's episode, 0 after a seeded reset.
        device: Where the numbers are wanted; the device of ``seed`` when None.
        dtype: Floating dtype of ``uniform`` and ``normal``.
    """

    def __init__(
        self,
        seed: torch.Tensor,
        episode: torch.Tensor,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if seed.shape != episode.shape or seed.dim() != 1:
            raise ValueError(
                f"seed has shape {tuple(seed.shape)} and episode {tuple(episode.shape)}; both must be (N,) with the "
                "same N."
            )
        self.device = resolve_device(device) if device is not None else seed.device
        self.dtype = dtype
        seed = seed.to(self.device, torch.int64)
        episode = episode.to(self.device, torch.int64)
        # Two rounds, so that neighbouring seeds and neighbouring episodes land far apart in the 2**64 states.
        self._stream = mix64(mix64(seed + _GOLDEN) ^ (episode + 1) * _MIX_2)

    @property
    def num_worlds(self) -> int:
        """Number of worlds N."""
        return self._stream.shape[0]

    def bits(self, name: str, count: int) -> torch.Tensor:
        """Raw 64-bit words.

        Args:
            name: Name of the quantity.
            count: Words per world.

        Returns:
            (N, count) int64.
        """
        return splitmix64(mix64(self._stream ^ name_key(name)), count)

    def uniform(
        self,
        name: str,
        low: float | Sequence[float] | torch.Tensor = 0.0,
        high: float | Sequence[float] | torch.Tensor = 1.0,
        shape: Sequence[int] = (),
    ) -> torch.Tensor:
        """Uniform numbers in ``[low, high)``, up to rounding to ``dtype``.

        Args:
            name: Name of the quantity.
            low: Lower bound, broadcast against ``shape`` (or (N, *shape)).
            high: Upper bound, broadcast likewise.
            shape: Shape per world.

        Returns:
            (N, *shape) in ``dtype``.
        """
        unit = self._unit(name, math.prod(shape)).reshape(self.num_worlds, *shape)
        low_, high_ = self._number(low, name, shape), self._number(high, name, shape)
        return (low_ + (high_ - low_) * unit).to(self.dtype)

    def normal(
        self,
        name: str,
        mean: float | Sequence[float] | torch.Tensor = 0.0,
        std: float | Sequence[float] | torch.Tensor = 1.0,
        shape: Sequence[int] = (),
    ) -> torch.Tensor:
        """Normal numbers by the Box-Muller transform (Box and Muller, 1958).

        Args:
            name: Name of the quantity.
            mean: Mean, broadcast against ``shape``.
            std: Standard deviation, broadcast likewise.
            shape: Shape per world.

        Returns:
            (N, *shape) in ``dtype``.
        """
        count = math.prod(shape)
        unit = self._unit(name, 2 * count).reshape(self.num_worlds, 2, count)
        radius = torch.sqrt(-2.0 * exact.log(1.0 - unit[:, 0]))  # 1 - u is exact, in (0, 1]: its logarithm is finite
        _, cosine = exact.sincos(2.0 * math.pi * unit[:, 1])
        standard = (radius * cosine).reshape(self.num_worlds, *shape)
        return (self._number(mean, name, shape) + self._number(std, name, shape) * standard).to(self.dtype)

    def integers(self, name: str, low: int, high: int, shape: Sequence[int] = ()) -> torch.Tensor:
        """Integers in ``[low, high)``.

        Args:
            name: Name of the quantity.
            low: Smallest value.
            high: One more than the largest value.
            shape: Shape per world.

        Returns:
            (N, *shape) int64.

        Raises:
            ValueError: If the range is empty or too wide for 53 random bits.
        """
        if not 0 < high - low <= 2**53:
            raise ValueError(f"integers({name!r}, low={low}, high={high}): high - low must be between 1 and 2**53.")
        unit = self._unit(name, math.prod(shape)).reshape(self.num_worlds, *shape)
        return low + torch.floor(unit * (high - low)).to(torch.int64)

    def _unit(self, name: str, count: int) -> torch.Tensor:
        """(N, count) float64 in [0, 1): the upper 53 bits of each word, one for each double of that grid."""
        return _shift_right(self.bits(name, count), 11).to(torch.float64) * 2.0**-53

    def _number(self, value: float | Sequence[float] | torch.Tensor, name: str, shape: Sequence[int]) -> torch.Tensor:
        number = constant(value, torch.float64, self.device)
        try:
            return number.broadcast_to(self.num_worlds, *shape)
        except RuntimeError as error:
            raise ValueError(
                f"{name!r}: a bound of shape {tuple(number.shape)} does not broadcast to ({self.num_worlds}, "
                f"*{tuple(shape)}); give one number, or one for each of the requested shape."
            ) from error
