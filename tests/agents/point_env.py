# SPDX-License-Identifier: Apache-2.0
"""A small analytic VecEnv for the learning algorithms."""

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv


class PointEnv(VecEnv):
    """N points on a line, x += 0.2 a, reward -x^2, ten steps; its state can be read and set like a simenv world."""

    def __init__(self, num_envs, stateful=True):
        box = gymnasium.spaces.Box
        super().__init__(num_envs, box(-10, 10, (2,), np.float32), box(-1, 1, (1,), np.float32))
        self.random, self.x, self.age = np.random.default_rng(0), np.zeros(num_envs), np.zeros(num_envs, np.int64)
        if not stateful:
            self.get_state = self.set_state = None
        self.closed = False

    def _obs(self):
        return np.stack([self.x, self.age / 10], 1).astype(np.float32)

    def _start(self, mask):
        # Counter-based, so that the state above decides the next episodes.
        self.x = np.where(mask, np.sin(100 * self.x + 1 + np.arange(self.num_envs)), self.x)
        self.age = np.where(mask, 0, self.age)

    def reset(self):
        self.x[:] = 0
        self._start(np.ones(self.num_envs, bool))
        return self._obs()

    def step_async(self, actions):
        self.actions = actions

    def step_wait(self):
        self.x, self.age = self.x + 0.2 * self.actions[:, 0], self.age + 1
        reward, done, last = -(self.x**2), self.age >= 10, self._obs()
        infos = [
            {
                "terminal_observation": o,
                "TimeLimit.truncated": True,
                "episode": {"r": float(r), "l": 10, "t": 0.0},
                "is_success": s,
            }
            if d
            else {}
            for d, o, r, s in zip(done, last, reward, np.abs(self.x) < 0.2, strict=True)
        ]
        self._start(done)
        return self._obs(), reward.astype(np.float32), done, infos

    def get_state(self):
        return {"x": torch.from_numpy(self.x.copy()), "age": torch.from_numpy(self.age.copy())}

    def set_state(self, state):
        self.x, self.age = state["x"].numpy().copy(), state["age"].numpy().copy()

    def close(self):
        self.closed = True

    def get_attr(self, name, indices=None):
        value = getattr(self, name)
        if value is None:
            raise AttributeError(name)
        return [value]

    def set_attr(self, name, value, indices=None):
        setattr(self, name, value)

    def env_method(self, name, *args, indices=None, **kwargs):
        return [getattr(self, name)(*args, **kwargs)]

    def env_is_wrapped(self, wrapper, indices=None):
        return [True] * self.num_envs


class DictPointEnv(PointEnv):
    """The same with observations in a dictionary, one part a matrix."""

    def __init__(self, num_envs):
        super().__init__(num_envs)
        box = gymnasium.spaces.Box
        parts = {"where": box(-10, 10, (1, 1), np.float32), "age": box(-10, 10, (1,), np.float32)}
        self.observation_space = gymnasium.spaces.Dict(parts)

    def _split(self, obs):
        return {"where": obs[..., :1, None], "age": obs[..., 1:]}

    def reset(self):
        return self._split(super().reset())

    def step_wait(self):
        obs, reward, done, infos = super().step_wait()
        for info in infos:
            if info:
                info["terminal_observation"] = self._split(info["terminal_observation"])
        return self._split(obs), reward, done, infos
