# SPDX-License-Identifier: Apache-2.0
"""The optimisers on the real engine: a small soft-body task, its cost, its gradients, and exact resumption."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch

from simenv.agents import cma_es, random_search, trajectory
from simenv.agents.cma_es import CmaConfig
from simenv.agents.problem import Problem
from simenv.agents.random_search import RandomConfig
from simenv.agents.result import Code
from simenv.agents.trajectory import GradientConfig, GradientSearch
from tests.agents.push_task import Push


def make(worlds=3, **kwargs):
    options = {"output": "torch", "dtype": "float64", "autoreset_mode": "disabled", "device": "cpu"}
    return gym.make_vec(Push.task_id, num_envs=worlds, **{"differentiable": True, **options, **kwargs})


def test_search_gradient_matches_finite_differences():
    """d(return)/d(control points) of each world, through parameterisation and engine, in float64."""
    config = GradientConfig(seed=3, knots=4)
    search = GradientSearch(Problem(make(2), config), config)
    points = search.start()["points"] * 0.5 + 0.2
    _, _, gradient = search.gradient(points, 12)
    step = 1e-6
    for direction in (0, 2):
        offset = torch.zeros_like(points)
        offset[:, direction] = step
        ahead, behind = (search.problem.evaluate(points + sign * offset).returns for sign in (1, -1))
        np.testing.assert_allclose(gradient[:, direction, 0], (ahead - behind) / (2 * step), rtol=2e-4, atol=1e-7)


def test_window_gradient_equals_the_full_one_on_free_steps():
    full, cut = GradientConfig(seed=3, knots=0), GradientConfig(seed=3, knots=0, train_window=5)
    search, window = (GradientSearch(Problem(make(2), config), config) for config in (full, cut))
    points = search.start()["points"] + 0.3
    first, second = search.gradient(points, 12), window.gradient(points, 12)
    torch.testing.assert_close(first[0], second[0])
    torch.testing.assert_close(first[2][:, 7:], second[2][:, 7:])
    assert (second[2][:, :7] == 0).all() and torch.equal(first[1], second[1])


def test_gradient_search_succeeds_and_beats_random_search():
    """Stopping at the first success, it succeeds; without stopping, it finds more than chance does for the same steps.

    The reverse sweeps are charged at as much as the forward steps.
    """
    result = trajectory.optimize(make(), GradientConfig(iterations=60))
    assert result.code is Code.SUCCESS and result.success
    config = GradientConfig(iterations=40, knots=0, stop_on_success=False)
    result = trajectory.optimize(make(), config)
    budget = result.simulated_steps + result.gradient_steps
    config = RandomConfig(iterations=10**6, knots=0, max_simulated_steps=budget, stop_on_success=False)
    chance = random_search.optimize(make(differentiable=False), config)
    assert budget <= chance.simulated_steps < budget + 3 * 12
    best = [max(r.return_best for r in run.history) for run in (result, chance)]
    assert best[0] > best[1] + 0.1


def test_reported_actions_give_the_reported_return_in_a_single_environment():
    """What is found in a batch holds in the environment a user makes with gym.make."""
    result = trajectory.optimize(make(), GradientConfig(seed=5, iterations=4, stop_on_success=False))
    env = gym.make(Push.task_id, device="cpu", dtype="float64")
    env.reset(seed=5)
    total, info = 0.0, {}
    for action in result.actions:
        _, reward, _, _, info = env.step(action)
        total += float(reward)
    assert total == pytest.approx(result.best_return, rel=1e-9)
    assert bool(info["success"]) == result.success


@pytest.mark.parametrize("method", ["gradient", "cma"])
def test_resume_on_the_engine_is_exact(tmp_path, method):
    if method == "gradient":
        optimize, config = trajectory.optimize, GradientConfig(iterations=4, horizon_start=6, growth_limit=2)
    else:
        optimize, config = cma_es.optimize, CmaConfig(iterations=4, population=4)
    config = dataclasses.replace(config, stop_on_success=False)
    options = {"dtype": "float32", "differentiable": method == "gradient"}
    whole = optimize(make(**options), config)
    config = dataclasses.replace(config, checkpoint_dir=str(tmp_path), resume=True)
    optimize(make(**options), config, lambda record, metrics: record.iteration == 2)
    again = optimize(make(**options), config)
    assert np.array_equal(whole.actions, again.actions) and whole.best_return == again.best_return
    assert [r.row()[:-1] for r in whole.history] == [r.row()[:-1] for r in again.history]


def test_a_world_that_explodes_is_counted_and_does_not_stop_the_others():
    env = make(explode_above=0.6)
    config = GradientConfig(iterations=3, init_scale=0.0, knots=0, stop_on_success=False)
    search = GradientSearch(Problem(env, config), config)
    state = search.start()
    state["points"][:] = 0.5
    state["points"][1] = 0.9  # its first step drives the plate through the block
    iteration = search.step(state)
    assert iteration.nonfinite.tolist() == [False, True, False]
    assert torch.isnan(iteration.returns).tolist() == [False, True, False]
    assert torch.isfinite(iteration.state["points"]).all()
    assert (iteration.state["points"][[0, 2]] != state["points"][[0, 2]]).any()


def test_policies_train_and_resume_exactly_on_the_engine(tmp_path):
    pytest.importorskip("stable_baselines3")
    from simenv.agents import sb3
    from simenv.envs.sb3 import make_sb3_env

    config = sb3.PPOConfig(timesteps=4 * 20, rollout_steps=5, batch_size=10, epochs=2, net_arch=(8,))

    def factory(num_envs):
        return make_sb3_env(Push.task_id, num_envs, device="cpu")

    config = dataclasses.replace(config, num_envs=4)
    whole = sb3.train(factory, config)
    config = dataclasses.replace(config, checkpoint_dir=str(tmp_path), resume=True)
    sb3.train(factory, config, lambda steps, metrics: steps >= 40)
    again = sb3.train(factory, config)
    for key, value in whole.model.policy.state_dict().items():
        assert torch.equal(value, again.model.policy.state_dict()[key]), key
    assert whole.episode_return == again.episode_return
