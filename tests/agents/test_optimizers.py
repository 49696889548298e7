# SPDX-License-Identifier: Apache-2.0
"""The optimisers against closed forms, their cost meter, and why they stop."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from simenv.agents import cma_es, random_search, trajectory
from simenv.agents.cma_es import CmaConfig
from simenv.agents.random_search import RandomConfig
from simenv.agents.result import Code
from simenv.agents.trajectory import GradientConfig

METHODS = {
    "gradient": (trajectory.optimize, GradientConfig),
    "cma": (cma_es.optimize, CmaConfig),
    "random": (random_search.optimize, RandomConfig),
}


def test_gradient_reaches_the_lqr_optimum(analytic_env):
    """With one free action per step the problem is convex and its optimum is the Riccati solution."""
    env = analytic_env(4)
    config = GradientConfig(seed=2, knots=0, iterations=400, learning_rate=0.1, final_rate=0.01, stop_on_success=False)
    result = trajectory.optimize(env, config)
    optimum = env.lqr_return(2.0)
    assert result.best_return <= optimum + 1e-9  # nothing can beat it
    assert result.best_return == pytest.approx(optimum, rel=1e-3)
    assert result.actions.shape == (30, 1)


def test_cma_reaches_the_lqr_optimum(analytic_env):
    pytest.importorskip("cma")
    env = analytic_env(8, steps=10)
    result = cma_es.optimize(env, CmaConfig(seed=2, knots=0, iterations=400, sigma=0.3, stop_on_success=False))
    optimum = env.lqr_return(2.0)
    assert result.best_return <= optimum + 1e-9
    assert result.best_return == pytest.approx(optimum, rel=1e-3)


def test_random_search_has_the_expected_order_statistics(linear_env):
    """The best of n uniform draws on [-1, 1] has mean (n - 1) / (n + 1) and variance 4 n / ((n + 1)^2 (n + 2))."""
    n, runs = 24, 60
    best = []
    for seed in range(runs):
        env = linear_env(8, steps=1, limit=1.0)
        best.append(random_search.optimize(env, RandomConfig(seed=seed, iterations=3)).best_return)
    deviation = math.sqrt(4 * n / ((n + 1) ** 2 * (n + 2)) / runs)
    assert np.mean(best) == pytest.approx((n - 1) / (n + 1), abs=4 * deviation)


def test_knots_cost_little_on_a_smooth_problem(analytic_env):
    env = analytic_env(2, effort=0.3)
    smooth = trajectory.optimize(env, GradientConfig(iterations=200, learning_rate=0.1, stop_on_success=False))
    assert env.lqr_return(1.0) * 1.02 < smooth.best_return <= env.lqr_return(1.0)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_charged_for_each_forward_step_of_each_world(analytic_env, method):
    optimize, config = METHODS[method]
    env = analytic_env(6)
    extra = {"screen": 1} if method == "gradient" else {"population": 8}  # 8 candidates on 6 worlds: two rollouts of 6
    result = optimize(env, config(iterations=3, stop_on_success=False, **extra))
    assert result.code is Code.MAX_ITERATIONS
    assert result.simulated_steps == env.simulated == 3 * 30 * 6 * (1 if method == "gradient" else 2)
    assert result.gradient_steps == (3 * 30 * 6 if method == "gradient" else 0)
    assert [r.simulated_steps for r in result.history] == [result.simulated_steps // 3 * (i + 1) for i in range(3)]


@pytest.mark.parametrize("method", METHODS)
def test_runs_are_deterministic_and_seeded(analytic_env, method):
    optimize, config = METHODS[method]
    options = config(seed=3, iterations=5, stop_on_success=False)
    first, second = optimize(analytic_env(4), options), optimize(analytic_env(4), options)
    assert np.array_equal(first.actions, second.actions)
    assert [r.row()[:-1] for r in first.history] == [r.row()[:-1] for r in second.history]
    other = optimize(analytic_env(4), dataclasses.replace(options, seed=4))
    assert not np.array_equal(first.actions, other.actions)


def test_reported_return_is_that_of_the_reported_actions(analytic_env):
    env = analytic_env(3)
    for optimize, config in METHODS.values():
        result = optimize(env, config(iterations=20, stop_on_success=False))
        env.reset(seed=[0] * 3)
        again = env.rollout(torch.from_numpy(result.actions)[:, None].expand(-1, 3, -1).contiguous())
        assert float(again.returns[0]) == pytest.approx(result.best_return, rel=1e-12)
        assert bool(again.success[0]) == result.success


def test_same_episode_gives_every_world_the_same_seed(analytic_env):
    env = analytic_env(3)
    trajectory.optimize(env, GradientConfig(seed=5, iterations=1, screen=1))
    assert env.seeds == [[5, 5, 5]]
    env = analytic_env(3)
    trajectory.optimize(env, GradientConfig(seed=5, iterations=1, same_episode=False, screen=1))
    assert env.seeds == [[5, 6, 7]]


# --- why a run stops


def test_success(analytic_env):
    config = GradientConfig(knots=0, iterations=400, learning_rate=0.1, success_patience=7)
    result = trajectory.optimize(analytic_env(4), config)
    assert result.code is Code.SUCCESS and result.success
    first = next(r.iteration for r in result.history if r.success)
    assert len(result.history) == first + 7 < 400


def test_success_outranks_a_higher_return(analytic_env):
    """Actions that succeed are kept although others return more."""

    class Contrary(analytic_env):
        def rollout(self, actions):
            out = super().rollout(actions)
            out.success = out.returns < out.returns.median()
            return out

    result = random_search.optimize(Contrary(5), RandomConfig(iterations=1, stop_on_success=False))
    assert result.success
    assert result.best_return < result.history[0].return_best


def test_max_simulated_steps(analytic_env):
    config = GradientConfig(max_simulated_steps=500, screen=1, stop_on_success=False)
    result = trajectory.optimize(analytic_env(4), config)
    assert result.code is Code.MAX_SIMULATED_STEPS
    assert result.simulated_steps == 600  # the iteration of 120 that crosses 500 is the last


def test_stalled(linear_env):
    """The best of 64 draws is near 0.97 and the limit is 1, so that no later one improves it by half."""
    config = RandomConfig(iterations=1000, patience=5, tolerance=0.5)
    result = random_search.optimize(linear_env(64, steps=1, limit=1.0), config)
    assert result.code is Code.STALLED
    assert len(result.history) == 6  # the first improved on nothing


def test_converged(analytic_env):
    config = GradientConfig(
        knots=0, iterations=600, learning_rate=0.1, final_rate=1e-6, stop_on_success=False, step_tolerance=1e-4
    )
    result = trajectory.optimize(analytic_env(1, steps=8), config)
    assert result.code is Code.CONVERGED
    assert len(result.history) < 600


def test_cma_converges(analytic_env):
    pytest.importorskip("cma")
    config = CmaConfig(knots=0, iterations=500, stop_on_success=False, move_tolerance=1e-3)
    assert cma_es.optimize(analytic_env(8, steps=4), config).code is Code.CONVERGED


def test_interrupted_by_the_callback(analytic_env):
    seen = []

    def stop_at_three(record, metrics):
        seen.append(record.iteration)
        return record.iteration == 3

    result = trajectory.optimize(analytic_env(2), GradientConfig(stop_on_success=False), stop_at_three)
    assert result.code is Code.INTERRUPTED and seen == [1, 2, 3]


def test_every_code_has_a_message_and_a_remedy():
    for code in Code:
        assert code.message and code.remedy and code.name in str(code)
    assert len({code.message for code in Code}) == len(Code)


# --- interface


def test_a_factory_makes_and_closes_its_environment(analytic_env):
    made = []

    def factory(num_envs):
        made.append(analytic_env(num_envs))
        return made[-1]

    trajectory.optimize(factory, GradientConfig(starts=5, iterations=1))
    assert made[0].num_envs == 5 and made[0].closed


def test_wrong_environments_are_refused(analytic_env):
    with pytest.raises(TypeError, match="no rollout"):
        random_search.optimize(type("Env", (), {"reset": None, "num_envs": 2})())
    env = analytic_env(2)
    env.output = "numpy"
    with pytest.raises(ValueError, match="output='torch'"):
        random_search.optimize(env)
    env = analytic_env(2)
    env.differentiable = False
    with pytest.raises(ValueError, match="differentiable=True"):
        trajectory.optimize(env)


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (GradientConfig, {"learning_rate": 0.0}),
        (GradientConfig, {"beta2": 1.0}),
        (GradientConfig, {"train_window": 0}),
        (CmaConfig, {"sigma": -1.0}),
        (CmaConfig, {"population": 2}),
        (RandomConfig, {"scale": 2.0}),
        (RandomConfig, {"iterations": -1}),
    ],
)
def test_impossible_options_are_refused(config, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        config(**options)


def test_start_from_a_file(analytic_env, tmp_path):
    env = analytic_env(1)
    wanted = np.linspace(-3, 3, 30)[:, None]
    np.save(tmp_path / "a.npy", wanted)
    config = GradientConfig(initial_actions=str(tmp_path / "a.npy"), iterations=1, stop_on_success=False)
    result = trajectory.optimize(env, config)
    np.testing.assert_allclose(result.actions, wanted, atol=1e-9)  # a straight line is a spline
    np.save(tmp_path / "a.npy", wanted[:-1])
    with pytest.raises(ValueError, match=r"\(29, 1\)"):
        trajectory.optimize(env, config)


def test_result_is_saved_as_npy_and_json(analytic_env, tmp_path):
    result = trajectory.optimize(analytic_env(2), GradientConfig(iterations=2, stop_on_success=False))
    result.save(tmp_path / "out")
    assert np.array_equal(np.load(tmp_path / "out/best_actions.npy", allow_pickle=False), result.actions)
    summary = json.loads((tmp_path / "out/result.json").read_text())
    assert summary["code"] == "MAX_ITERATIONS" and summary["best_return"] == result.best_return
