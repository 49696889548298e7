# SPDX-License-Identifier: Apache-2.0
"""Export a recording to Minari, Farama's format of offline reinforcement-learning data sets."""

import copy
from typing import Any

import gymnasium as gym
import numpy as np

from simenv._extras import missing
from simenv.rollouts.episode import Episode
from simenv.rollouts.errors import RolloutError
from simenv.rollouts.reader import Recording

__all__ = ["export_minari"]


def export_minari(recording: Recording, dataset_id: str, **metadata: Any) -> Any:
    """Write the episodes of a recording as a local Minari data set. Needs the extra ``data``.

    Minari keeps observations, actions, rewards, ends and, as infos, the reward terms. States, parameters and
    checksums stay in the recording.

    Args:
        recording: Its episodes must have observations. Unfinished ones are exported as truncated at their last step.
        dataset_id: Minari's id, for example "simenv/pouring/random-v0"; it must not exist yet.
        **metadata: ``author``, ``algorithm_name``, ``description`` ... of ``minari.create_dataset_from_buffers``.

    Returns:
        The ``minari.MinariDataset``.

    Raises:
        RolloutError: A damaged episode, one without observations, or one of another environment.
        gymnasium.error.Error: The environment cannot be made here.
        ImportError: Minari is not installed.
    """
    try:
        import minari
        from minari.data_collector.episode_buffer import EpisodeBuffer
    except ImportError as error:
        raise missing("minari", "data", "the export to Minari") from error

    first = recording[0]
    spec = _spec(first)
    env = spec.make()  # the data set has the very spaces that the environment recovered from it will have
    observation_space, action_space = env.observation_space, env.action_space
    env.close()
    buffers = []
    for index, episode in enumerate(recording):
        if episode.environment != first.environment:
            raise RolloutError(f"{recording.files[index]}: recorded with another environment than the first episode")
        if not episode.observations:
            raise RolloutError(f"{recording.files[index]}: holds no observations; record with observations=True")
        truncations = episode.truncated.copy()
        truncations[-1] |= not (episode.terminated[-1] or truncations[-1])
        buffers.append(
            EpisodeBuffer(
                id=index,
                seed=episode.summary["seed"],
                observations=_plain(episode.observations),
                actions=episode.actions.astype(action_space.dtype),  # callers may give any numbers
                rewards=episode.rewards,
                terminations=episode.terminated,
                truncations=truncations,
                infos={f"reward_terms.{name}": _with_first(value) for name, value in episode.reward_terms.items()},
            )
        )
    return minari.create_dataset_from_buffers(
        dataset_id,
        buffers,
        env=spec,
        action_space=action_space,
        observation_space=observation_space,
        **metadata,
    )


def _plain(observations: dict[str, np.ndarray]) -> Any:
    """An array, or the dict of them that the environment observed."""
    return observations["observation"] if observations.keys() == {"observation"} else observations


def _with_first(value: np.ndarray) -> np.ndarray:
    """(T,) -> (T+1,): Minari stores the info of the reset too, in which no reward was earned."""
    return np.concatenate([np.zeros(1, value.dtype), value])


def _spec(episode: Episode) -> gym.envs.registration.EnvSpec:
    environment = episode.environment
    spec = copy.deepcopy(gym.spec(environment["id"]))  # Gymnasium gives its registry's own
    spec.kwargs = {**spec.kwargs, **environment["kwargs"], "dtype": environment["dtype"]}
    spec.max_episode_steps = environment["max_episode_steps"]
    return spec
