# SPDX-License-Identifier: Apache-2.0
"""PPO and SAC on an analytic VecEnv: learning, exact resumption, and policies rebuilt without pickle."""

import dataclasses
import os
import signal

import gymnasium
import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")

from simenv.agents import sb3
from simenv.agents.checkpoint import CheckpointError, load_checkpoint
from simenv.agents.policy import load_policy
from simenv.agents.result import Code
from simenv.agents.sb3 import PPOConfig, SACConfig
from tests.agents.point_env import DictPointEnv, PointEnv

PPO = PPOConfig(timesteps=6 * 4 * 16, rollout_steps=16, batch_size=32, epochs=2, net_arch=(16,))
SAC = SACConfig(
    timesteps=6 * 4 * 8, rollout_steps=8, batch_size=16, learning_starts=20, net_arch=(16,), buffer_size=120
)
CONFIGS = {
    "ppo": PPO,
    "sac": SAC,
    "ppo-plain": dataclasses.replace(PPO, normalize=False),
    "sac-scaled": dataclasses.replace(SAC, normalize=True),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_resumed_training_equals_uninterrupted_training(name, tmp_path):
    config = CONFIGS[name]
    whole = sb3.train(PointEnv(4), config)
    config = dataclasses.replace(config, checkpoint_dir=str(tmp_path), resume=True)
    half = sb3.train(PointEnv(4), config, lambda steps, metrics: steps >= config.timesteps // 2)
    assert half.code is Code.INTERRUPTED and half.timesteps == config.timesteps // 2
    torch.manual_seed(99)  # other use of the global generators in between
    np.random.seed(99)  # noqa: NPY002
    resumed = sb3.train(PointEnv(4), config)
    assert (
        resumed.code is whole.code is Code.MAX_SIMULATED_STEPS
        and resumed.timesteps == whole.timesteps == config.timesteps
    )
    first, second = whole.model.get_parameters(), resumed.model.get_parameters()
    assert first["policy"].keys() == second["policy"].keys()
    for key, value in first["policy"].items():
        assert torch.equal(value, second["policy"][key]), key
    assert whole.episode_return == resumed.episode_return and whole.success_rate == resumed.success_rate


def test_ppo_learns_to_go_to_the_origin():
    config = PPOConfig(timesteps=16_000, rollout_steps=50, batch_size=100, epochs=5, learning_rate=3e-3, net_arch=(32,))
    seen = []
    result = sb3.train(PointEnv(8), config, lambda steps, metrics: seen.append(metrics["rollout/ep_rew_mean"]))
    assert result.success_rate > 0.9
    assert seen[-1] > 0.2 * seen[0]  # returns are negative: the last cost is under a fifth of the first
    assert result.timesteps == 16_000


@pytest.mark.parametrize("name", CONFIGS)
def test_policy_is_rebuilt_from_its_folder(name, tmp_path):
    config = dataclasses.replace(CONFIGS[name], checkpoint_dir=str(tmp_path))
    model = sb3.train(PointEnv(4), config).model
    observation = np.random.default_rng(1).normal(size=(7, 2)).astype(np.float32)
    env = model.get_env()
    expected = model.predict(
        env.normalize_obs(observation) if hasattr(env, "normalize_obs") else observation, deterministic=True
    )[0]
    policy = load_policy(tmp_path)
    np.testing.assert_array_equal(policy(observation), expected)
    np.testing.assert_array_equal(policy(torch.from_numpy(observation)), expected)
    assert policy(observation).shape == (7, 1)


def test_nothing_is_pickled(tmp_path):
    sb3.train(PointEnv(2), dataclasses.replace(SAC, checkpoint_dir=str(tmp_path)))
    names = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert names == {"last", "state.json", "state.safetensors"}


def test_an_optimiser_checkpoint_is_not_a_policy(tmp_path):
    from simenv.agents.checkpoint import save_checkpoint

    save_checkpoint(tmp_path, 1, {"best_points": torch.zeros(3, 2)}, {"method": "cma"})
    with pytest.raises(CheckpointError, match="holds no policy"):
        load_policy(tmp_path)


def test_other_options_are_refused(tmp_path):
    config = dataclasses.replace(PPO, checkpoint_dir=str(tmp_path), resume=True)
    sb3.train(PointEnv(2), config)
    with pytest.raises(CheckpointError, match=r"gamma: 0.99 there, 0.9 now"):
        sb3.train(PointEnv(2), dataclasses.replace(config, gamma=0.9))
    with pytest.raises(CheckpointError, match="worlds: 2 there, 3 now"):
        sb3.train(PointEnv(3), config)


def test_environments_without_state_start_fresh_episodes_on_resume(tmp_path):
    config = dataclasses.replace(PPO, checkpoint_dir=str(tmp_path), resume=True)
    sb3.train(PointEnv(4, stateful=False), config, lambda steps, metrics: True)
    result = sb3.train(PointEnv(4, stateful=False), config)
    assert result.timesteps == config.timesteps


def test_ctrl_c_finishes_the_iteration_and_saves(tmp_path):
    class Interrupting(PointEnv):
        steps = 0

        def step_wait(self):
            self.steps += 1
            if self.steps == 20:  # in the second iteration of 16 steps
                os.kill(os.getpid(), signal.SIGINT)
            return super().step_wait()

    before = signal.getsignal(signal.SIGINT)
    result = sb3.train(Interrupting(4), dataclasses.replace(PPO, checkpoint_dir=str(tmp_path)))
    assert result.code is Code.INTERRUPTED
    assert load_checkpoint(tmp_path)[2] == result.timesteps == 2 * 16 * 4
    assert signal.getsignal(signal.SIGINT) is before


def test_divergence_is_reported_and_not_saved(tmp_path):
    config = dataclasses.replace(PPO, checkpoint_dir=str(tmp_path), checkpoint_every=1)

    class Bad(PointEnv):
        def step_wait(self):
            obs, reward, done, infos = super().step_wait()
            self.count = getattr(self, "count", 0) + 1
            return obs, reward * (np.nan if self.count > 20 else 1.0), done, infos

    result = sb3.train(Bad(4), dataclasses.replace(config, normalize=False))
    assert result.code is Code.DIVERGED
    assert load_checkpoint(tmp_path)[2] == 16 * 4


def test_dictionary_observations_train_like_vectors(tmp_path):
    """Dictionaries are joined in gymnasium's order of names (age, where), for training, resumption and the policy."""

    class Swapped(PointEnv):  # the vector in that order
        def _obs(self):
            return super()._obs()[:, ::-1]

    config = dataclasses.replace(PPO, checkpoint_dir=str(tmp_path), resume=True)
    vector = sb3.train(Swapped(4), PPO)
    sb3.train(DictPointEnv(4), config, lambda steps, metrics: steps >= 128)
    parts = sb3.train(DictPointEnv(4), config)
    for key, value in vector.model.policy.state_dict().items():
        assert torch.equal(value, parts.model.policy.state_dict()[key]), key
    obs = np.random.default_rng(2).normal(size=(5, 2)).astype(np.float32)
    env = vector.model.get_env()
    expected = vector.model.predict(env.normalize_obs(obs), deterministic=True)[0]
    np.testing.assert_array_equal(load_policy(tmp_path)({"where": obs[:, 1:, None], "age": obs[:, :1]}), expected)


def test_other_observations_are_refused():
    env = PointEnv(2)
    env.observation_space = gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8)
    with pytest.raises(TypeError, match="observation_mode"):
        sb3.train(env, PPO)


def test_a_factory_makes_and_closes_its_environment():
    made = []

    def factory(num_envs):
        made.append(PointEnv(num_envs))
        return made[-1]

    sb3.train(factory, dataclasses.replace(PPO, num_envs=3, timesteps=48))
    assert made[0].num_envs == 3 and made[0].closed
