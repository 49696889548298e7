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
from simenv.agents.parameters import initial_points
from simenv.agents.problem import Problem
from simenv.agents.random_search import RandomConfig
from simenv.agents.result import Code
from simenv.agents.trajectory import GradientConfig, GradientSearch

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


# --- non-finite worlds


def test_one_bad_world_is_counted_skipped_and_leaves_the_others_alone(analytic_env):
    config = GradientConfig(iterations=5, screen=1, stop_on_success=False)
    good = trajectory.optimize(analytic_env(3), config)
    bad = trajectory.optimize(analytic_env(3, bad_worlds=[2]), config)
    assert bad.nonfinite.tolist() == [0, 0, 5]
    assert bad.history[0].nonfinite == 1
    search = GradientSearch(Problem(analytic_env(3, bad_worlds=[2]), config), config)
    state = search.start()
    after = search.step(state).state
    reference = GradientSearch(Problem(analytic_env(3), config), config)
    expected = reference.step(reference.start()).state
    assert torch.equal(after["points"][:2], expected["points"][:2])
    assert torch.equal(after["points"][2], state["points"][2])
    assert all(torch.isfinite(value).all() for name, value in after.items() if name != "reference")
    assert good.best_return == max(good.best_return, bad.best_return)


def test_a_world_goes_halfway_back_to_its_last_finite_gradient(analytic_env):
    env = analytic_env(2, bad_worlds=[1], bad_calls={2})
    config = GradientConfig(stop_on_success=False, screen=1)
    search = GradientSearch(Problem(env, config), config)
    first = search.start()
    second = search.step(first).state
    third = search.step(second).state
    torch.testing.assert_close(third["points"][1], (first["points"][1] + second["points"][1]) / 2)
    fourth = search.step(third)
    assert not fourth.nonfinite.any()


def test_a_gradient_that_the_environment_zeroed_is_not_used(analytic_env):
    """simenv's environments replace a non-finite adjoint by zeros and count it; zeros in part of a gradient are no
    gradient.
    """

    class Isolating(analytic_env):
        broken_gradients = torch.zeros(2, dtype=torch.int64)

        def rollout(self, actions):
            self.broken_gradients = self.broken_gradients + torch.tensor([0, 1])
            return super().rollout(actions)

    config = GradientConfig(iterations=4, stop_on_success=False)
    search = GradientSearch(Problem(Isolating(2), config), config)
    state = search.start()
    iteration = search.step(state)
    assert iteration.nonfinite.tolist() == [False, True]
    assert torch.equal(iteration.state["points"][1], state["points"][1])
    assert not torch.equal(iteration.state["points"][0], state["points"][0])


@pytest.mark.parametrize("method", METHODS)
def test_diverged(analytic_env, method):
    class Broken(analytic_env):
        def rollout(self, actions):
            out = super().rollout(actions)
            out.returns = out.returns * torch.nan
            return out

    optimize, config = METHODS[method]
    result = optimize(Broken(2), config(diverged_patience=3))
    assert result.code is Code.DIVERGED
    assert len(result.history) == 3 and math.isnan(result.best_return) and not result.success


def test_a_world_with_a_simulation_status_cannot_win(analytic_env):
    class Failing(analytic_env):
        def rollout(self, actions):
            out = super().rollout(actions)
            out.returns = torch.tensor([-5.0, 1e6, -4.0], dtype=self.dtype)
            out.sim_status = torch.tensor([0, 4, 0])
            return out

    result = random_search.optimize(Failing(3), RandomConfig(iterations=1))
    assert result.best_return == pytest.approx(-4.0, abs=1e-9)
    assert result.nonfinite.tolist() == [0, 1, 0]


# --- starts


def test_starts_are_the_best_of_the_screened_motions(analytic_env):
    env = analytic_env(4)
    config = GradientConfig(screen=5)
    search = GradientSearch(Problem(env, config), config)
    starts = search.start()["points"]
    candidates = initial_points(search.problem.table, 20, 0, 1.0)
    returns = search.problem.evaluate(candidates).returns
    assert search.problem.simulated_steps == env.simulated == 2 * 20 * 30  # the screening, and the line above
    assert torch.equal(starts[0], candidates[0])
    best = returns[1:].argsort(descending=True)[:3] + 1
    assert torch.equal(starts[1:], candidates[best])


def test_screening_compares_within_an_episode_only(analytic_env):
    config = GradientConfig(screen=6, same_episode=False)
    search = GradientSearch(Problem(analytic_env(3), config), config)
    starts = search.start()["points"]
    candidates = initial_points(search.problem.table, 18, 0, 1.0)
    returns = search.problem.evaluate(candidates).returns.reshape(6, 3)
    for world in (1, 2):
        assert torch.equal(starts[world], candidates[int(returns[:, world].argmax()) * 3 + world])


# --- expanding horizon and frozen steps


def test_horizon_expands_to_the_full_length(analytic_env):
    config = GradientConfig(
        iterations=60,
        screen=1,
        horizon_start=10,
        horizon_growth=10,
        growth_limit=8,
        growth_patience=3,
        stop_on_success=False,
    )
    result = trajectory.optimize(analytic_env(3), config)
    horizons = [r.horizon for r in result.history]
    assert horizons == sorted(horizons) and set(horizons) == {10, 20, 30}
    assert max(horizons.count(10), horizons.count(20)) <= 8
    assert result.simulated_steps == 3 * sum(horizons)


def test_result_covers_the_full_horizon_even_if_the_run_did_not(analytic_env):
    env = analytic_env(3)
    config = GradientConfig(iterations=2, horizon_start=10, screen=1, stop_on_success=False)
    result = trajectory.optimize(env, config)
    assert result.history[-1].horizon == 10 and result.actions.shape == (30, 1)
    env.reset(seed=[0] * 3)
    again = env.rollout(torch.from_numpy(result.actions)[:, None].expand(-1, 3, -1).contiguous())
    assert result.best_return == pytest.approx(float(again.returns[0]))
    assert result.simulated_steps == 2 * 10 * 3 + 30 * 3


@pytest.mark.parametrize("knots", [0, 12])
def test_frozen_steps_have_no_gradient_and_never_move(analytic_env, knots):
    config = GradientConfig(knots=knots, train_window=10, horizon_start=20, horizon_growth=10, growth_limit=4)
    env = analytic_env(2)
    search = GradientSearch(Problem(env, config), config)
    state, table = search.start(), search.problem.table
    acting = (table.basis[:10] > 0).any(0)  # control points that act on the frozen steps 0..9
    _, _, gradient = search.gradient(state["points"], 20)
    assert (gradient[:, acting] == 0).all()
    unused = ~(table.basis[:20] > 0).any(0)  # act only beyond the horizon
    assert unused.any() and (gradient[:, unused] == 0).all()
    assert (gradient[:, ~acting & ~unused] != 0).any()
    for _ in range(4):
        state = search.step(state).state
    assert int(state["horizon"]) == 30
    before = table.actions(state["points"])[:20].clone()
    for _ in range(5):
        state = search.step(state).state  # momentum from before the growth must not move them either
    assert torch.equal(table.actions(state["points"])[:20], before)
    assert search.problem.gradient_steps == (1 + 4 + 5) * 10 * 2


def test_gradient_of_the_window_equals_the_untruncated_one(analytic_env):
    """The frozen prefix changes no return and no gradient of the steps after it."""
    full = GradientSearch(Problem(analytic_env(2), GradientConfig(knots=0)), GradientConfig(knots=0))
    config = GradientConfig(knots=0, train_window=10)
    cut = GradientSearch(Problem(analytic_env(2), config), config)
    points = full.start()["points"]
    r1, s1, g1 = full.gradient(points, 30)
    r2, s2, g2 = cut.gradient(points, 30)
    torch.testing.assert_close(r1, r2)
    torch.testing.assert_close(g1[:, 20:], g2[:, 20:])
    assert torch.equal(s1, s2) and (g2[:, :20] == 0).all()


def test_clipping_limits_each_world_by_itself(analytic_env):
    config = GradientConfig(knots=0, clip_norm=1e-3, beta1=0.0, beta2=0.0)
    search = GradientSearch(Problem(analytic_env(2), config), config)
    state = search.start()
    gradient = torch.ones(2, 30, 1, dtype=torch.float64)
    gradient[1] *= 1e-6
    update, _, norm = search._adam(state, gradient, torch.tensor([True, True]))
    assert norm[0] == pytest.approx(math.sqrt(30))
    assert update["mean"][0].norm() == pytest.approx(1e-3)
    assert update["mean"][1].norm() == pytest.approx(1e-6 * math.sqrt(30))


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
