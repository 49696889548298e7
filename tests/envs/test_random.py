# SPDX-License-Identifier: Apache-2.0
"""EpisodeRandom: published integers, statistics, and independence of what must not matter."""

import pytest
import torch
from scipy import stats

from simenv.envs.random import EpisodeRandom, name_key, splitmix64, to_int64


def draw(seeds: range | list[int], episode: int = 0, dtype: torch.dtype = torch.float64) -> EpisodeRandom:
    seed = torch.tensor(list(seeds))
    return EpisodeRandom(seed, torch.full_like(seed, episode), dtype=dtype)


def test_splitmix64_gives_the_published_outputs() -> None:
    # Outputs for seed 1234567 as published with the task "Pseudo-random numbers/Splitmix64" of Rosetta Code, and for
    # seed 0 those that the reference C program of Vigna prints.
    published = {
        1234567: [
            6457827717110365317,
            3203168211198807973,
            9817491932198370423,
            4593380528125082431,
            16408922859458223821,
        ],
        0: [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC],
    }
    for seed, expected in published.items():
        words = splitmix64(torch.tensor([seed]), len(expected))[0]
        assert [int(word) % 2**64 for word in words] == expected


def test_to_int64_keeps_the_bits() -> None:
    assert to_int64(2**64 - 1) == -1
    assert to_int64(2**63) == -(2**63)
    assert to_int64(5) == 5
    assert to_int64(-1) == -1


def test_names_have_the_same_key_in_every_process() -> None:
    assert name_key("goal") == to_int64(int.from_bytes(bytes.fromhex(BLAKE2B_GOAL), "little"))


BLAKE2B_GOAL = "a5845833828cbeb4"  # `printf goal | b2sum -l 64`


def test_uniform_has_the_moments_and_the_distribution() -> None:
    sample = draw([3]).uniform("u", 2.0, 5.0, shape=(200_000,))[0]
    assert sample.min() >= 2.0
    assert sample.max() < 5.0
    assert float(sample.mean()) == pytest.approx(3.5, abs=4 * (9 / 12 / 200_000) ** 0.5)
    assert float(sample.var()) == pytest.approx(9 / 12, rel=0.01)
    assert stats.kstest(sample.numpy(), stats.uniform(2.0, 3.0).cdf).pvalue > 1e-3


def test_normal_has_the_moments_and_the_distribution() -> None:
    sample = draw([3]).normal("n", -1.0, 2.0, shape=(200_000,))[0]
    assert stats.kstest(sample.numpy(), stats.norm(-1.0, 2.0).cdf).pvalue > 1e-3
    assert float(sample.mean()) == pytest.approx(-1.0, abs=4 * 2.0 / 200_000**0.5)
    assert float(sample.std()) == pytest.approx(2.0, rel=0.01)


def test_integers_are_uniform_on_the_half_open_range() -> None:
    sample = draw([3]).integers("i", -2, 3, shape=(50_000,))[0]
    counts = torch.bincount(sample + 2, minlength=5)
    assert sample.dtype == torch.int64
    assert counts.numel() == 5
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("neighbour", ["seed", "episode", "name"])
def test_neighbouring_streams_are_independent(neighbour: str) -> None:
    # One number per stream, streams that differ by 1 in seed or episode, or by a letter in the name.
    count = 4000
    seeds = torch.arange(count)
    zeros = torch.zeros_like(seeds)
    if neighbour == "name":
        random = draw([7])
        a = torch.cat([random.uniform(f"name{k}") for k in range(count)])
    else:
        a = (
            EpisodeRandom(seeds, zeros, dtype=torch.float64)
            if neighbour == "seed"
            else EpisodeRandom(zeros, seeds, dtype=torch.float64)
        )
        a = a.uniform("u")
    assert stats.kstest(a.numpy(), "uniform").pvalue > 1e-3
    correlation = torch.corrcoef(torch.stack([a[:-1], a[1:]]))[0, 1]
    assert abs(float(correlation)) < 4 / count**0.5


def test_a_world_draws_the_same_whatever_the_batch() -> None:
    many, one = draw(range(10, 20)), draw([14])
    for function in (
        lambda r: r.uniform("a", shape=(3,)),
        lambda r: r.normal("b", shape=(2, 2)),
        lambda r: r.integers("c", 0, 9),
    ):
        assert torch.equal(function(many)[4], function(one)[0])


def test_draws_depend_on_seed_episode_and_name_and_on_nothing_else() -> None:
    random = draw([5])
    first = random.uniform("a")
    random.uniform("b", shape=(7,))
    assert torch.equal(random.uniform("a"), first)
    for other in (draw([6]).uniform("a"), draw([5], episode=1).uniform("a"), random.uniform("b")):
        assert not torch.equal(first, other)


def test_bounds_broadcast_and_dtype_is_kept() -> None:
    sample = draw(range(1000), dtype=torch.float32).uniform("p", (0.0, 10.0), (1.0, 20.0), shape=(2,))
    assert sample.shape == (1000, 2)
    assert sample.dtype == torch.float32
    assert 0.0 <= float(sample[:, 0].min()) < float(sample[:, 0].max()) <= 1.0
    assert 10.0 <= float(sample[:, 1].min()) < float(sample[:, 1].max()) <= 20.0


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"'p': a bound of shape .3,. does not broadcast"):
        draw([1]).uniform("p", (0.0, 0.0, 0.0), 1.0, shape=(2,))
    with pytest.raises(ValueError, match=r"integers\('i', low=3, high=3\)"):
        draw([1]).integers("i", 3, 3)
    with pytest.raises(ValueError, match="same N"):
        EpisodeRandom(torch.zeros(2, dtype=torch.int64), torch.zeros(3, dtype=torch.int64))
