# SPDX-License-Identifier: Apache-2.0
"""Analytic environments with the batched rollout interface, so that the optimisers are tested against closed forms."""

import types

import gymnasium
import numpy as np
import pytest
import torch


class AnalyticEnv:
    """N copies of a double integrator with a quadratic cost: the optimum is the finite-horizon LQR solution.

    ``v += dt a; x += dt v`` (after the update of v); reward of a step = ``-(x^2 + 0.1 v^2 + r a^2) dt`` of the state
    after it.
    Success: \\|x\\| < 0.1 m and \\|v\\| < 0.1 m/s at the end of the rollout.
    """

    differentiable = True
    dtype, device = torch.float64, torch.device("cpu")

    def __init__(self, num_envs, steps=30, limit=20.0, dt=0.1, effort=1e-2, bad_worlds=(), bad_calls=None):
        self.num_envs, self.max_episode_steps, self.dt, self.effort = num_envs, steps, dt, effort
        self.single_action_space = gymnasium.spaces.Box(-limit, limit, (1,), np.float64)
        self.bad_worlds, self.bad_calls = list(bad_worlds), bad_calls
        self.calls, self.simulated, self.interrupt_at, self.closed, self.seeds = 0, 0, None, False, []
        self.x = self.v = None

    @property
    def unwrapped(self):
        return self

    def reset(self, seed=None):
        seeds = seed if isinstance(seed, list) else [seed + i for i in range(self.num_envs)]
        self.seeds.append(seeds)
        self.x = torch.tensor([1.0 + 0.5 * (s % 7) for s in seeds], dtype=self.dtype)
        self.v = torch.zeros(self.num_envs, dtype=self.dtype)

    def close(self):
        self.closed = True

    def rollout(self, actions):
        self.calls += 1
        if self.interrupt_at == self.calls:
            raise KeyboardInterrupt
        assert actions.shape[1:] == (self.num_envs, 1) and actions.dtype == self.dtype
        limit = float(self.single_action_space.high[0])
        assert (actions.abs() <= limit).all(), "actions outside the action space"
        self.simulated += actions.shape[0] * self.num_envs
        rewards = []
        for a in actions[..., 0]:
            self.v = self.v + self.dt * a
            self.x = self.x + self.dt * self.v
            rewards.append(-(self.x**2 + 0.1 * self.v**2 + self.effort * a**2) * self.dt)
        returns = torch.stack(rewards).sum(0)
        if self.bad_worlds and (self.bad_calls is None or self.calls in self.bad_calls):
            # sqrt at zero: the value is finite, its derivative is not
            zero = (actions - actions.detach())[:, self.bad_worlds].sum((0, 2))
            returns = returns.index_add(0, torch.tensor(self.bad_worlds), torch.sqrt(zero**2))
        success = (self.x.abs() < 0.1) & (self.v.abs() < 0.1)
        terminated = torch.zeros(len(actions), self.num_envs, dtype=torch.bool)
        return types.SimpleNamespace(returns=returns, success=success.detach(), terminated=terminated)

    def lqr_return(self, x0):
        """Best possible return from rest at `x0` [m], by the backward Riccati recursion (Kwakernaak and Sivan, 1972,
        ch. 6).
        """
        dt = self.dt
        a, b = np.array([[1, dt], [0, 1.0]]), np.array([[dt * dt], [dt]])
        q, r = np.diag([1.0, 0.1]) * dt, np.array([[self.effort * dt]])
        p = np.zeros((2, 2))
        for _ in range(self.max_episode_steps):
            m = q + p  # cost of the state a step leads to
            gain = np.linalg.solve(r + b.T @ m @ b, b.T @ m @ a)
            p = a.T @ m @ a - a.T @ m @ b @ gain
        s = np.array([x0, 0.0])
        return -float(s @ p @ s)


class LinearEnv(AnalyticEnv):
    """Return = the mean action, so that the best of n uniform draws has known order statistics."""

    def rollout(self, actions):
        self.calls += 1
        self.simulated += actions.shape[0] * self.num_envs
        returns = actions.mean((0, 2))
        done = torch.zeros(len(actions), self.num_envs, dtype=torch.bool)
        return types.SimpleNamespace(returns=returns, success=returns > 1e9, terminated=done)


@pytest.fixture
def analytic_env():
    return AnalyticEnv


@pytest.fixture
def linear_env():
    return LinearEnv
