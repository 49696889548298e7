# SPDX-License-Identifier: Apache-2.0
"""The rsl_rl bridge."""

import warnings
from typing import Any

import pytest
import torch

from simenv.envs import make_vector_env
from tests.agents import goal_task
from tests.envs.splash_task import Splash

pytest.importorskip("rsl_rl")

from rsl_rl.runners import OnPolicyRunner

from simenv.envs.rsl_rl import RslRlVecEnv, make_rsl_rl_env

PPO = {
    "num_steps_per_env": goal_task.STEPS, "save_interval": 1000,
    "obs_groups": {"actor": ["state"], "critic": ["state"]},
    "actor": {
        "class_name": "MLPModel", "hidden_dims": [32, 32], "activation": "elu",
        "distribution_cfg": {"class_name": "GaussianDistribution", "init_std": 0.5},
    },
    "critic": {"class_name": "MLPModel", "hidden_dims": [32, 32], "activation": "elu"},
    "algorithm": {
        "class_name": "PPO", "learning_rate": 3e-3, "num_learning_epochs": 5, "num_mini_batches": 4, "gamma": 0.9,
        "lam": 0.95, "entropy_coef": 0.0, "desired_kl": 0.02, "schedule": "adaptive",
    },
}  # fmt: skip


def make(num_envs: int = 3, **kwargs: Any) -> RslRlVecEnv:
    return make_rsl_rl_env(Splash.task_id, num_envs, **{"device": "cpu", "max_episode_steps": 3, **kwargs})


def test_a_time_limit_is_a_time_out_and_the_next_episode_is_seen() -> None:
    env = make(observe_dict=True)
    plain = make_vector_env(
        Splash.task_id, 3, device="cpu", max_episode_steps=3, observe_dict=True, output="torch",
        autoreset_mode="same_step", on_bad_action="clip",
    )  # fmt: skip
    plain.set_state(env.env.get_state())
    for step in range(1, 4):
        actions = torch.full((3, 2), 5.0)  # out of range: clipped
        groups, reward, done, extras = env.step(actions)
        seen, expected, _, truncated, _ = plain.step(actions)
        assert torch.equal(reward, expected)
        for name, value in seen.items():
            assert torch.equal(groups[name], value.flatten(1))
        assert done.tolist() == [int(step == 3)] * 3 == truncated.int().tolist()
        assert torch.equal(extras["time_outs"], truncated)
    assert "log" in extras
    assert env.episode_length_buf.tolist() == [0, 0, 0]


def test_a_failure_is_no_time_out() -> None:
    env = make(floor=1.0)  # the blob is below one metre from the start
    *_, done, extras = env.step(torch.zeros(3, 2))
    assert done.all()
    assert not extras["time_outs"].any()


def test_a_failure_in_the_last_step_is_no_time_out() -> None:
    """Both flags fall together: the value of what follows must not be counted."""
    env = make(floor=1.0, max_episode_steps=1)
    *_, done, extras = env.step(torch.zeros(3, 2))
    assert done.all() and not extras["time_outs"].any()


def test_the_runner_may_spread_the_time_limits() -> None:
    env = make()
    env.episode_length_buf = torch.tensor([0, 1, 2])
    assert env.step(torch.zeros(3, 2))[2].tolist() == [0, 0, 1]
    assert env.step(torch.zeros(3, 2))[2].tolist() == [0, 1, 0]


def test_images_have_channels_first() -> None:
    env = make_rsl_rl_env(goal_task.Goal.task_id, 2, device="cpu", observation_mode="image")
    (image,) = (value for value in env.get_observations().values() if value.dim() == 4)
    seen = env.env.observe()["image"]
    assert torch.equal(image, seen.permute(0, 3, 1, 2).float() / 255.0)
    assert float(image.max()) > 0.0


def test_other_options_are_refused() -> None:
    with pytest.raises(TypeError, match="make_rsl_rl_env sets output itself"):
        make(output="numpy")
    with pytest.raises(ValueError, match="make_rsl_rl_env, which sets them"):
        RslRlVecEnv(make_vector_env(Splash.task_id, 1, device="cpu"))
    with pytest.raises(ValueError, match="rsl_rl needs a time limit"):
        make(max_episode_steps=None)


def test_ppo_of_rsl_rl_learns_and_leaves_the_environment_usable() -> None:
    """Towards the optimum of `goal_task.Line`, -0.025 m on average; who cannot see the goal gets -0.8 m at best."""
    torch.manual_seed(0)
    env = make_rsl_rl_env(goal_task.Goal.task_id, 64, device="cpu", observation_mode="privileged")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner = OnPolicyRunner(env, PPO, log_dir=None, device="cpu")
        runner.learn(40, init_at_random_ep_len=True)
    policy = runner.get_inference_policy()
    env.env.reset(seed=5)  # tensors of the runner's inference mode would not allow that
    groups, total = env._groups(env.env.observe()), 0.0
    for _ in range(goal_task.STEPS):
        with torch.no_grad():
            groups, reward, _, extras = env.step(policy(groups))
        total += float(reward.mean())
    print(f"\nmeasured return {total:.3f} m")
    assert extras["time_outs"].all()
    assert total > -0.1
    env.close()
