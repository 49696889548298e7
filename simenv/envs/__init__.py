# SPDX-License-Identifier: Apache-2.0
"""Tasks as Gymnasium environments: batched, single, NumPy, torch and Stable-Baselines3."""

from simenv.envs.arguments import Argument
from simenv.envs.checker import check_vector_env
from simenv.envs.random import EpisodeRandom
from simenv.envs.randomisation import Range
from simenv.envs.registration import make_env, make_vector_env, register_task
from simenv.envs.rollout import Rollout
from simenv.envs.single import SimEnv
from simenv.envs.task import Task
from simenv.envs.vector_env import SimVectorEnv

__all__ = [
    "Argument",
    "EpisodeRandom",
    "Range",
    "Rollout",
    "SimEnv",
    "SimVectorEnv",
    "Task",
    "check_vector_env",
    "make_env",
    "make_vector_env",
    "register_task",
]
