# SPDX-License-Identifier: Apache-2.0
"""LatteArt: the target, the rest state, a scripted motion against random ones, and gradients."""

import gymnasium as gym
import numpy as np
import pytest
import torch

import simenv  # noqa: F401  (registers the tasks)
from simenv.tasks.fluids.latte_art import PATTERNS, POUR, SPEED, LatteArt
from simenv.world import Control
from tests.tasks.latte_by_hand import measured

MASS = 980.0 * np.pi * 0.0033**2 * 0.2 * 2.0  # of all milk: density x area x speed x 2 s [kg]
CELL = 0.007**2  # area of a node of the areal density [m^2]


def make(worlds: int, **kwargs):
    return gym.make_vec(
        LatteArt.task_id, num_envs=worlds, device="cpu", output="torch", autoreset_mode="disabled", **kwargs
    )


def follow(observation: dict[str, torch.Tensor]) -> torch.Tensor:
    """The action (N, 3) that keeps the spout on the curve, low, from its start to its end while the milk lasts."""
    spout, curve = observation["spout"][:, :3], observation["curve"].unflatten(-1, (-1, 2))
    along = (observation["amount"][:, 0] + POUR["count"] / POUR["capacity"]) * (curve.shape[1] - 1)
    index, row = along.long().clamp(max=curve.shape[1] - 2), torch.arange(len(along))
    goal = torch.lerp(curve[row, index], curve[row, index + 1], (along - index).clamp(max=1.0)[:, None])
    away = torch.cat([goal, torch.full_like(goal[:, :1], 0.04)], -1) - spout
    return (away / 0.02 / away.new_tensor(SPEED)).clamp(-1.0, 1.0)


def play(env, observation, random_from: int):
    """Worlds below `random_from` follow the curve, the others act at random; returns, their terms and the last info."""
    generator = torch.Generator().manual_seed(0)
    returns, terms = 0.0, {}
    for _ in range(120):
        action = follow(observation)
        action[random_from:] = 2 * torch.rand(action[random_from:].shape, generator=generator) - 1
        observation, reward, _, _, info = env.step(action)
        assert not info["sim_status"].any()
        returns = returns + reward
        for name in ("match", "spilled"):
            terms[name] = terms.get(name, 0.0) + info["reward_terms"][name]
    return returns, terms, info


def test_target_holds_all_the_milk_and_differs_between_episodes() -> None:
    env = make(4)
    first = env.reset(seed=0)[0]
    second = env.reset()[0]
    for observation in (first, second):
        torch.testing.assert_close(observation["target"].sum(1) * CELL, torch.full((4,), MASS), rtol=1e-4, atol=0.0)
        assert bool((observation["milk"] == 0).all())
        start = observation["curve"][:, :2] - observation["spout"][:, :2]
        assert bool((start.abs() <= 0.0081).all())
    assert bool(((first["target"] - second["target"]).abs().amax(1) > 1.0).all())
    env.close()


def test_patterns_are_even_and_unknown_ones_are_named() -> None:
    for curve in PATTERNS.values():
        steps = np.linalg.norm(np.diff(curve, axis=0), axis=1)
        assert steps.max() < 1.01 * np.median(steps)
        assert (steps < 0.95 * np.median(steps)).sum() <= 2  # across a corner the chord is shorter than the way
        assert np.abs(curve).max() <= 1.15
    with pytest.raises(ValueError, match="pattern='star' is not one of 'line', 'arc', 'ring', 'wave', 'heart'"):
        LatteArt(pattern="star")


def test_randomize_draws_viscosities_within_a_factor_of_two() -> None:
    env = make(8, randomize=True, pattern="ring")
    env.reset(seed=0)
    for name, middle in (("coffee.viscosity", 0.02), ("milk.viscosity", 0.05)):
        ratio = env.parameters[name] / middle
        assert 0.5 <= float(ratio.min()) < float(ratio.max()) <= 2.0
    env.close()


def test_coffee_rests_in_the_cup() -> None:
    env = make(1)
    env.reset(seed=0)
    world, state, coffee = env.world, env.state, env.world.particle_groups["coffee"]
    before = state.x[:, coffee, 2].mean()
    shut = Control(world.zero_control().twist, torch.zeros(1, 1, dtype=torch.bool))
    with torch.no_grad():
        for _ in range(50):
            state = world.step(state, shut)
    assert not state.status.any()
    assert not state.emitted.any()
    x = state.x[:, coffee]
    radius = (x[..., :2] - 0.076).norm(dim=-1)
    assert float(radius.max()) < 0.045
    assert 0.008 < float(x[..., 2].min())
    assert float(x[..., 2].max()) < 0.030
    assert abs(float(x[..., 2].mean() - before)) < 4e-4  # of 20 mm
    assert float(state.v[:, coffee].norm(dim=-1).mean()) < 0.01
    env.close()


def test_following_the_curve_beats_random_actions() -> None:
    env = make(2, pattern="arc")
    returns, terms, info = play(env, env.reset(seed=[3, 3])[0], 1)
    assert float(returns[0]) > float(returns[1]) + 0.7
    assert bool(info["success"][0]) and not bool(info["success"][1])
    assert float(info["iou"][0]) > 0.6
    assert float(info["spilled"].max()) == 0.0
    # Terms telescope: without milk the overlap is 0, so the gains add up to the last one.
    assert float(terms["match"][0]) == pytest.approx(4.0 * measured(env, env.state)["match"], abs=1e-4)
    assert int(env.state.emitted.min()) == POUR["capacity"]
    # The milk floats: nearly all of it is seen.
    assert float(env.observe()["milk"][0].sum()) * CELL > 0.8 * MASS
    env.close()


@pytest.mark.slow
@pytest.mark.parametrize("pattern", list(PATTERNS))
def test_every_pattern_can_be_drawn(pattern: str) -> None:
    env = make(4, pattern=pattern)
    returns, _, info = play(env, env.reset(seed=[1, 2, 1, 2])[0], 2)
    assert float(returns[:2].min()) > float(returns[2:].max())
    assert float(info["iou"][:2].min()) > 0.4
    assert float(info["iou"][:2].mean()) > float(info["iou"][2:].mean()) + 0.2
    env.close()


def test_gradient_agrees_with_central_differences_while_milk_lands() -> None:
    env = make(1, dtype="float64", differentiable=True, pattern="wave")
    observation = env.reset(seed=0)[0]
    with torch.no_grad():
        for _ in range(12):
            observation = env.step(follow(observation))[0]
    env.detach_state()
    start = env.get_state()
    generator = torch.Generator().manual_seed(1)
    middle, direction = (torch.randn(6, 1, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    actions = 0.2 * middle

    def objective(x: torch.Tensor) -> torch.Tensor:
        env.set_state(start)
        return env.rollout(x, observe=False).returns.sum()

    leaf = actions.clone().requires_grad_()
    objective(leaf).backward()
    exact = float((leaf.grad * direction).sum())
    with torch.no_grad():
        differences = [
            float(objective(actions + h * direction) - objective(actions - h * direction)) / (2 * h)
            for h in (1e-5, 1e-6, 1e-7)
        ]
    effort = -0.002 * float((actions * direction).sum())
    assert abs(exact - effort) > 1e-3  # the milk matters, not only the effort
    assert min(abs(exact - each) for each in differences) <= 1e-5 * abs(exact), (exact, differences)
    env.close()
