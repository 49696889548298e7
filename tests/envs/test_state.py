# SPDX-License-Identifier: Apache-2.0
"""Saving and restoring, determinism, and independence of worlds."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from tests.envs.splash_task import Splash


def make(worlds: int = 3, **kwargs: Any) -> Any:
    return gym.make_vec(Splash.task_id, num_envs=worlds, **{"device": "cpu", "output": "torch", **kwargs})


def play(env: Any, steps: int, seed: int, rows: slice = slice(None)) -> list[torch.Tensor]:
    """Everything a caller sees of some random steps, with actions that do not depend on the number of worlds."""
    generator = torch.Generator().manual_seed(seed)
    seen = []
    for _ in range(steps):
        actions = 2 * torch.rand(8, 2, generator=generator) - 1
        observation, reward, terminated, truncated, info = env.step(
            actions[: env.num_envs] if rows == slice(None) else actions[rows]
        )
        seen += [observation.clone(), reward, terminated, truncated, info["success"], info["distance"]]
    return seen


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("mode", ["next_step", "same_step"])
def test_restored_state_repeats_the_future_bit_for_bit(mode: str) -> None:
    # Six steps cross two resets, so the random counters, the clock and the episode's parameters all matter.
    env = make(max_episode_steps=4, autoreset_mode=mode)
    env.reset(seed=3)
    play(env, 3, seed=0)
    saved = env.get_state()
    expected = play(env, 6, seed=1)
    assert not same(expected, play(env, 6, seed=1))
    env.set_state(saved)
    assert same(play(env, 6, seed=1), expected)
    other = make(max_episode_steps=4, autoreset_mode=mode)  # never reset: the state says it all
    other.set_state(saved)
    assert torch.equal(other.parameters["liquid.viscosity"], saved["parameter.liquid.viscosity"])
    assert same(play(other, 6, seed=1), expected)


def test_saved_state_is_a_copy_and_holds_what_decides_the_future() -> None:
    env = make()
    env.reset(seed=3)
    saved = env.get_state()
    assert {
        "state.x",
        "state.v",
        "episode.goal",
        "parameter.liquid.viscosity",
        "rng.seed",
        "rng.episode",
        "elapsed_steps",
    } <= set(saved)
    assert all(value.shape[0] == 3 and not value.requires_grad for value in saved.values())
    before = {name: value.clone() for name, value in saved.items()}
    play(env, 2, seed=0)
    assert all(torch.equal(before[name], value) for name, value in saved.items())
    env.set_state(saved)
    assert all(torch.equal(before[name], value) for name, value in env.get_state().items())


def test_set_state_refuses_what_does_not_fit() -> None:
    env = make()
    env.reset(seed=0)
    saved = env.get_state()
    with pytest.raises(ValueError, match=r"lacks \['rng.seed'\] and has unknown \['rng.sed'\]"):
        env.set_state({"rng.sed" if name == "rng.seed" else name: value for name, value in saved.items()})
    with pytest.raises(ValueError, match=r"episode.goal has shape \(2, 2\).*needs \(3, 2\)"):
        env.set_state({**saved, "episode.goal": saved["episode.goal"][:2]})
    with pytest.raises(ValueError, match=r"state\.v has .*float64.*needs .*float32"):
        env.set_state({**saved, "state.v": saved["state.v"].double()})
    assert all(torch.equal(saved[name], value) for name, value in env.get_state().items())


def test_same_seed_same_numbers_bit_for_bit() -> None:
    one, two = make(), make()
    one.reset(seed=9)
    two.reset(seed=9)
    assert same(play(one, 5, seed=0), play(two, 5, seed=0))


def test_world_i_of_many_is_the_single_world() -> None:
    many = make(worlds=4, max_episode_steps=3)
    many.reset(seed=20)
    seen = play(many, 5, seed=0)
    for i in (0, 2):
        one = make(worlds=1, max_episode_steps=3)
        one.reset(seed=20 + i)
        alone = play(one, 5, seed=0, rows=slice(i, i + 1))
        assert same([tensor[i : i + 1] for tensor in seen], alone)


def test_single_environment_is_the_vector_environment_of_one() -> None:
    single, vector = gym.make(Splash.task_id, device="cpu"), make(worlds=1, output="numpy")
    assert np.array_equal(single.reset(seed=4)[0], vector.reset(seed=4)[0][0])
    action = np.array([0.3, -0.7], dtype=np.float32)
    for _ in range(3):
        a, b = single.step(action), vector.step(action[None])
        assert np.array_equal(a[0], b[0][0])
        assert a[1] == b[1][0]


def test_episode_parameters_are_set_and_follow_the_mask() -> None:
    env = make()
    env.reset(seed=0)
    before = env.parameters["liquid.viscosity"].clone()
    assert torch.equal(before, env.episode["liquid.viscosity"])
    assert ((before >= 0.01) & (before <= 0.5)).all()
    assert len(before.unique()) == 3
    env.parameters["liquid.viscosity"] = torch.full((3,), 0.25)
    env.reset(options={"reset_mask": np.array([True, False, False])})
    after = env.parameters["liquid.viscosity"]
    assert after[1:].tolist() == [0.25, 0.25]  # what the caller assigned stays where nothing was reset
    assert after[0] not in (before[0], 0.25)
    assert torch.equal(env.episode["liquid.viscosity"], after)


def test_the_physics_uses_the_parameter_assigned_last() -> None:
    # Two assignments without a step between them: the memory of the first is free when the second is made.
    env = make()
    env.reset(seed=0)
    shear = torch.stack([state := env.state.x[..., 1], 0 * state, 0 * state], dim=-1)
    start, still = env.state.replace(v=10 * shear), env.world.zero_control()

    def speed(viscosity: float) -> float:
        env.parameters["liquid.viscosity"] = torch.full((3,), viscosity)
        return float(env.world.step(start, still).v.square().sum())

    thin, thick = speed(0.0), speed(5.0)
    assert thick < thin
    for _ in range(10):
        env.parameters["liquid.viscosity"] = torch.full((3,), 1.0)
        assert speed(0.0) == thin
        env.parameters["liquid.viscosity"] = torch.full((3,), 1.0)
        assert speed(5.0) == thick
