# SPDX-License-Identifier: Apache-2.0
"""The gradient method's own mechanisms: non-finite worlds, starts, going back, expanding horizon, frozen steps,
clipping.
"""

import math

import numpy as np
import pytest
import torch

from simenv.agents import cma_es, random_search, trajectory
from simenv.agents.cma_es import CmaConfig, CmaSearch
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
    assert all(torch.isfinite(value).all() for name, value in after.items() if name not in ("reference", "top"))
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


def test_a_world_that_fell_behind_goes_back_to_its_best_with_half_the_step(analytic_env):
    """The gradient points downhill here (a sign error in it), so that each iteration is worse than the first."""

    class Misleading(analytic_env):
        def rollout(self, actions):
            out = super().rollout(actions)
            out.returns = 2 * out.returns.detach() - out.returns  # the same value, minus the gradient
            return out

    config = GradientConfig(screen=1, backtrack=3, fall=0.0, schedule="constant", stop_on_success=False)
    search = GradientSearch(Problem(Misleading(2), config), config)
    first = state = search.start()
    _, _, gradient = search.gradient(first["points"], 30)
    for _ in range(3):
        state = search.step(state).state
        assert (state["rate"] == 1).all()
    state = search.step(state).state
    assert state["rate"].tolist() == [0.5, 0.5]
    # Adam's first step is the rate times the gradient's sign.
    expected = (first["points"] + 0.05 * gradient.sign()).clamp(-1, 1)
    torch.testing.assert_close(state["points"], expected)


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


@pytest.mark.parametrize("search", [GradientSearch, CmaSearch])
def test_searches_start_from_the_tasks_nominal_actions(analytic_env, search, tmp_path):
    """A task may know a motion that nearly works; a file of actions outranks it."""

    class Task:
        def nominal_actions(self, steps):
            return np.full((steps, 1), 2.0)

    class Knowing(analytic_env):
        task = Task()

        def rollout(self, actions, observe=True):
            return super().rollout(actions)

    def first(**options):
        env = Knowing(4)
        config = (GradientConfig if search is GradientSearch else CmaConfig)(**options)
        made = search(Problem(env, config), config)
        points = made.start()["points"][0] if search is GradientSearch else torch.from_numpy(made.strategy.x0[:, None])
        return made.problem.table.actions(points[None])[:, 0]

    torch.testing.assert_close(first(), torch.full((30, 1), 2.0, dtype=torch.float64))
    np.save(tmp_path / "a.npy", np.full((30, 1), -3.0))
    torch.testing.assert_close(first(initial_actions=str(tmp_path / "a.npy")), torch.full((30, 1), -3.0).double())


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


def test_a_world_that_ends_on_the_frozen_steps_gains_nothing_after_them(analytic_env, monkeypatch):
    config = GradientConfig(knots=0, train_window=10, screen=1)
    search = GradientSearch(Problem(analytic_env(2), config), config)
    rollout, parts = search.problem.rollout, []

    def ends_early(actions):
        returns, success, _ = rollout(actions)
        parts.append(returns)
        return returns, torch.full_like(success, len(parts) == 1), torch.tensor([False, len(parts) == 1])

    monkeypatch.setattr(search.problem, "rollout", ends_early)
    returns, success, gradient = search.gradient(search.start()["points"], 30)
    before, after = parts[-2:]
    torch.testing.assert_close(returns, torch.stack([before[0] + after[0], before[1]]))
    assert (gradient[0, 20:] != 0).all() and (gradient[1] == 0).all()
    assert success.tolist() == [False, True]


def test_clipping_limits_each_world_by_itself(analytic_env):
    config = GradientConfig(knots=0, clip_norm=1e-3, beta1=0.0, beta2=0.0)
    search = GradientSearch(Problem(analytic_env(2), config), config)
    state = search.start()
    gradient = torch.ones(2, 30, 1, dtype=torch.float64)
    gradient[1] *= 1e-6
    update, _ = search._adam(state, gradient, torch.tensor([True, True]))
    assert update["mean"][0].norm() == pytest.approx(1e-3)
    assert update["mean"][1].norm() == pytest.approx(1e-6 * math.sqrt(30))
