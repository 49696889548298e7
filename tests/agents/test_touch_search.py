# SPDX-License-Identifier: Apache-2.0
"""Optimising the tasks of touch that promise gradients, against CMA-ES at equal simulated steps and equal start."""

import gymnasium as gym
import pytest

import simenv  # noqa: F401  registers the tasks
from simenv.agents import cma_es, trajectory
from simenv.agents.cma_es import CmaConfig
from simenv.agents.trajectory import GradientConfig

CASES = {"SurfaceFollow": (8, 0.05), "BallRoll": (24, 0.08), "SoftGrasp": (10, 0.05)}  # iterations, learning rate


def search(task, optimize, config, **options):
    env = gym.make_vec(
        f"SimEnv/{task}-v0", num_envs=2, output="torch", device="cpu", autoreset_mode="disabled", **options
    ).unwrapped
    try:
        return optimize(env, config)
    finally:
        env.close()


def by_gradient(task, seed, iterations, rate, **changes):
    common = {"seed": seed, "init_scale": 0.1, "stop_on_success": False, **changes}
    config = GradientConfig(iterations=iterations, learning_rate=rate, screen=1, **common)
    return search(task, trajectory.optimize, config, differentiable=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("task", CASES)
def test_gradients_succeed_and_beat_cma_es_at_equal_steps(task, seed):
    pytest.importorskip("cma")
    gradient = by_gradient(task, seed, *CASES[task])
    budget = CmaConfig(
        iterations=10**6, max_simulated_steps=gradient.simulated_steps, population=8, seed=seed, init_scale=0.1,
        stop_on_success=False,
    )  # fmt: skip
    cma = search(task, cma_es.optimize, budget)
    print(f"\nmeasured {task} seed {seed}: gradient {gradient.best_return:.3f} in {gradient.simulated_steps} steps, "
          f"CMA-ES {cma.best_return:.3f} in {cma.simulated_steps}, success {cma.success}")  # fmt: skip
    assert gradient.success
    assert gradient.best_return > gradient.history[0].best_return + 0.2  # it was learnt
    assert gradient.best_return > cma.best_return


def test_a_few_gradient_steps_follow_the_surface():
    """On an episode that no other test uses; the first motion fails it."""
    result = by_gradient("SurfaceFollow", 7, 4, 0.05)
    assert not result.history[0].success
    assert result.success
    assert result.history[-1].best_return > result.history[0].best_return + 0.5
