# SPDX-License-Identifier: Apache-2.0
"""Ranges of physical parameters: their distribution, who draws together, and who draws at all."""

import math

import numpy as np
import pytest
import torch

from simenv.envs import EpisodeRandom, Range, make_vector_env
from simenv.envs.randomisation import randomisation_table
from simenv.envs.registration import task_class
from simenv.envs.task import draw_episode
from tests.envs.splash_task import Splash

N = 20000


def random(dtype: torch.dtype = torch.float64) -> EpisodeRandom:
    seeds = torch.arange(N)
    return EpisodeRandom(seeds, torch.zeros_like(seeds), dtype=dtype)


@pytest.mark.parametrize(
    ("drawn_from", "low", "high", "middle"),
    [
        (Range(2.0, 4.0), 2.0, 4.0, 3.0),
        (Range(0.5, 1.5, of=8.0), 4.0, 12.0, 8.0),
        (Range(1.0, 100.0, log=True), 1.0, 100.0, 10.0),  # half of the values lie below the geometric mean
        (Range(0.25, 4.0, of=3.0, log=True), 0.75, 12.0, 3.0),
        (Range(2.0, 8.0, of=0.5, log=True), 1.0, 4.0, 2.0),
    ],
)
def test_distribution(drawn_from: Range, low: float, high: float, middle: float) -> None:
    value = drawn_from.draw(random(), "a.b").numpy()
    assert low * (1 - 1e-12) <= value.min() < low + 1e-3 * (high - low)
    assert high - 2e-3 * (high - low) < value.max() <= high * (1 + 1e-12)
    below = (value < middle).mean()
    assert abs(below - 0.5) < 4 * 0.5 / math.sqrt(N)
    even = np.log(value) if drawn_from.log else value
    quarter = np.quantile(even, 0.25)
    ends = np.log([low, high]) if drawn_from.log else np.array([low, high])
    assert abs(quarter - (0.75 * ends[0] + 0.25 * ends[1])) < 0.015 * (ends[1] - ends[0])


@pytest.mark.parametrize("log", [False, True])
def test_numbers_of_one_parameter_share_a_factor(log: bool) -> None:
    several, alone = Range(0.5, 2.0, of=(3.0, 0.0, 8.0), log=log), Range(0.5, 2.0, log=log)
    drawn, factor = several.draw(random(), "a.b"), alone.draw(random(), "a.b")
    assert drawn.shape == (N, 3)
    torch.testing.assert_close(drawn, factor[:, None] * torch.tensor([3.0, 0.0, 8.0], dtype=torch.float64))
    assert str(several).startswith("0.5 to 2 times 3, 0, 8")


def test_a_stream_is_one_draw_and_names_are_streams() -> None:
    same = [Range(0.0, 1.0, stream="s").draw(random(), name) for name in ("a.x", "b.x")]
    other = [Range(0.0, 1.0).draw(random(), name) for name in ("a.x", "b.x")]
    assert torch.equal(*same) and not torch.equal(*other)
    assert torch.equal(other[0], random().uniform("a.x", 0.0, 1.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 2.0, "high": 1.0}, "low at most high"),
        ({"low": 0.0, "high": math.inf}, "must be finite"),
        ({"low": 0.5, "high": 1.0, "of": math.nan}, "must be finite"),
        ({"low": 0.5, "high": 1.0, "of": (1.0, math.inf)}, "must be finite"),
        ({"low": 0.0, "high": 1.0, "log": True}, "low must be above 0"),
    ],
)
def test_impossible_ranges_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Range(**arguments)


def test_only_randomize_draws_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Splash, "randomisation", lambda self: {"liquid.density": Range(0.5, 2.0, of=1e3)})
    plain, drawn = Splash(), Splash(randomize=True)
    assert "liquid.density" not in draw_episode(plain, random())
    both = draw_episode(drawn, random())
    assert all(torch.equal(value, both[name]) for name, value in plain.sample(random()).items())
    env = make_vector_env(Splash.task_id, 64, device="cpu", output="torch", randomize=True)
    env.reset(seed=0)
    assert len(set(env.parameters["liquid.density"].tolist())) == 64
    assert torch.equal(
        env.parameters["liquid.density"], draw_episode(drawn, random(torch.float32))["liquid.density"][:64]
    )
    env.close()
    monkeypatch.setattr(Splash, "randomisation", lambda self: {"liquid.densty": Range(0.5, 2.0)})
    with pytest.raises(ValueError, match=r"'liquid\.densty', which is not a world parameter"):
        make_vector_env(Splash.task_id, 1, device="cpu", randomize=True)
    make_vector_env(Splash.task_id, 1, device="cpu").close()


def test_the_table_says_what_is_drawn_together() -> None:
    lines = randomisation_table(task_class("SimEnv/SoftGrasp-v0")().randomisation())
    assert lines[2:] == [
        "| `foam.youngs_modulus` | 1.2e+04 to 3e+04 Pa |",
        "| `left_pad.friction`, `right_pad.friction` | 0.5 to 1 |",
    ]
    viscosity = randomisation_table(task_class("SimEnv/LatteArt-v0")(milk_viscosity=0.04).randomisation())[-1]
    assert viscosity == "| `milk.viscosity` | 0.5 to 2 times 0.04 Pa s, log-uniform |"
