# SPDX-License-Identifier: Apache-2.0
"""Every observation mode of every task keeps the contracts of Gymnasium and Stable-Baselines3, and is the union of its
blocks.
"""

import functools
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import simenv
from simenv.envs.registration import task_class
from simenv.envs.spaces import observation_space

MODES = {task: task_class(task).observation_modes for task in simenv.list_tasks() if task.startswith("SimEnv/")}
MODES = {task: modes for task, modes in MODES.items() if len(modes) > 1}
assert {"SimEnv/PegInsertion-v0", "SimEnv/BallRoll-v0"} <= set(MODES)


def checked(task: str, mode: str) -> None:
    sb3 = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if "force_field" in mode:  # Stable-Baselines3 takes every array of three axes for an image; a field is none
            for message in (
                "It seems that your observation.*field",
                "The minimal resolution",
                "Your observation.*field",
            ):
                warnings.filterwarnings("ignore", message=message)
        env = gym.make(task, device="cpu", observation_mode=mode).unwrapped
        sb3.check_env(env, skip_render_check=True)
        check_env(env, skip_render_check=True)
        env.close()


@functools.cache
def few(task: str) -> tuple[str, ...]:
    """The mode with most blocks, and each block; the latter of one of the tasks that share them."""
    whole, observe = max(MODES[task], key=lambda mode: mode.count("+")), task_class(task).observe
    first = next(other for other in MODES if task_class(other).observe is observe)
    return (*(mode for mode in MODES[task] if "+" not in mode and task == first), whole)


@pytest.mark.parametrize(("task", "mode"), [(task, mode) for task in MODES for mode in few(task)])
def test_blocks_pass_both_checkers(task: str, mode: str) -> None:
    checked(task, mode)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "mode"), [(task, m) for task in MODES for m in MODES[task] if m not in few(task)])
def test_all_other_modes_pass_both_checkers(task: str, mode: str) -> None:
    checked(task, mode)


@pytest.mark.parametrize("task", MODES)
def test_each_mode_observes_its_blocks_and_nothing_else(task: str) -> None:
    env = gym.make_vec(task, num_envs=1, device="cpu").unwrapped
    env.reset(seed=0)
    seen = {}
    for mode in MODES[task]:
        env.task.observation_mode = mode
        seen[mode] = env.observe()
        space = observation_space(env._batch.observe(), env.task.observation_limits)
        for name, value in seen[mode].items():
            image = name == "image" or name.endswith(("_image", "_camera"))
            assert (value.dtype == np.uint8 and value.ndim == 4 and value.shape[-1] == 3) == image
            if image:
                assert space[name].low.min() == 0 and space[name].high.max() == 255
                assert min(space[name].shape[:2]) >= 36  # what Stable-Baselines3's networks need
    env.close()
    for mode, observation in seen.items():
        union = {}
        for block in mode.split("+"):
            union |= seen[block]
        assert observation.keys() == union.keys()
        assert all(np.array_equal(observation[name], union[name]) for name in union)


def test_blocks_may_be_named_in_any_order_and_a_wrong_one_is_named() -> None:
    task = "SimEnv/PegInsertion-v0"
    env = gym.make_vec(task, device="cpu", observation_mode="force_field+reduced").unwrapped
    assert env.task.observation_mode == "reduced+force_field"
    env.close()
    views = {"actor": "force_field+reduced", "critic": "privileged"}
    env = gym.make_vec(task, device="cpu", observation_mode=views).unwrapped
    assert set(env.single_observation_space) == {
        "actor/state", "actor/left_field", "actor/right_field", "critic/state",
    }  # fmt: skip
    env.close()
    with pytest.raises(ValueError, match=r"='reduced\+tactile_imge' is not one of .*mean reduced\+tactile_image"):
        gym.make_vec(task, device="cpu", observation_mode="reduced+tactile_imge")
    with pytest.raises(ValueError, match=r"='reduced\+privileged' is not one of"):
        gym.make_vec(task, device="cpu", observation_mode="reduced+privileged")
