# SPDX-License-Identifier: Apache-2.0
"""`SimEnv`: one world behind Gymnasium's single-environment interface, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from simenv.envs.task import Task
from simenv.envs.vector_env import SimVectorEnv

if TYPE_CHECKING:
    from simenv.world import State, World


class SimEnv(gymnasium.Env):
    """One world of a task. Usually made by ``gymnasium.make(id)``, which adds the time limit.

    ``info`` holds the measures of the batched environment as Python numbers or arrays, ``reward_terms``, and
    ``sim_status_message``: what went wrong in the simulation and what to do, or an empty string.

    Args:
        task: The task, constructed.
        device: As in `SimVectorEnv`.
        dtype: As in `SimVectorEnv`.
        render_mode: None or ``"rgb_array"``.
        render_size: Width and height of a frame [pixel].
        on_bad_action: As in `SimVectorEnv`.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012  (as Gymnasium declares it)

    def __init__(
        self,
        task: Task,
        *,
        device: str | torch.device | None = None,
        dtype: str = "float32",
        render_mode: str | None = None,
        render_size: Sequence[int] = (320, 240),
        on_bad_action: str = "raise",
    ) -> None:
        self.vector = SimVectorEnv(
            task,
            1,
            device=device,
            dtype=dtype,
            autoreset_mode=AutoresetMode.DISABLED,
            render_mode=render_mode,
            render_size=render_size,
            on_bad_action=on_bad_action,
        )
        self.metadata = {name: value for name, value in self.vector.metadata.items() if name != "autoreset_mode"}
        self.render_mode = render_mode
        self.action_space = self.vector.single_action_space
        self.observation_space = self.vector.single_observation_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: Start the sequence of episodes that belongs to this seed; None goes on to the next episode; with the
                first reset, and the first after `np_random` was set, it draws a seed from there.
            options: None or empty.

        Returns:
            Observation and info.
        """
        observation, info = self.vector.reset(seed=seed, options=options)
        return _first(observation), self._info(info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One control step.

        Args:
            action: (A,).

        Returns:
            Observation, reward, terminated, truncated (always False: the time limit is ``gymnasium.make``'s wrapper),
            info.

        Raises:
            ActionError: If the action has the wrong shape or dtype, is not finite or out of range; nothing has changed
                then.
            ResetNeeded: Before the first reset and after the episode has terminated.
        """
        row = action.unsqueeze(0) if isinstance(action, torch.Tensor) else [action]
        observation, reward, terminated, truncated, info = self.vector.step(row)
        return _first(observation), float(reward[0]), bool(terminated[0]), bool(truncated[0]), self._info(info)

    def render(self) -> np.ndarray | None:
        """(H, W, 3) uint8 picture of the world, or None without a render mode."""
        frames = self.vector.render()
        return None if frames is None else frames[0]

    def close(self) -> None:
        """Release the world. May be called again."""
        self.vector.close()

    def get_state(self) -> dict[str, torch.Tensor]:
        """As `SimVectorEnv.get_state`, with N = 1."""
        return self.vector.get_state()

    def set_state(self, state: dict[str, torch.Tensor]) -> None:
        """As `SimVectorEnv.set_state`, with N = 1."""
        self.vector.set_state(state)

    @property
    def np_random(self) -> np.random.Generator:
        """The generator from which a `reset` without a seed draws one; see `SimVectorEnv.np_random`."""
        return self.vector.np_random

    @np_random.setter
    def np_random(self, value: np.random.Generator) -> None:
        self.vector.np_random = value

    @property
    def np_random_seed(self) -> int:
        """The seed of `np_random`; -1 if a generator was set."""
        return self.vector.np_random_seed

    @property
    def _np_random(self) -> np.random.Generator | None:  # Gymnasium's checker looks here
        return self.vector._np_random

    @property
    def task(self) -> Task:
        """The task."""
        return self.vector.task

    @property
    def world(self) -> World:
        """The world, N = 1."""
        return self.vector.world

    @property
    def state(self) -> State:
        """The present state, N = 1."""
        return self.vector.state

    @property
    def episode(self) -> dict[str, torch.Tensor]:
        """What the task drew for the present episode, N = 1."""
        return self.vector.episode

    @property
    def parameters(self) -> Any:
        """Physical parameters by name, (1, ...) tensors."""
        return self.vector.parameters

    def _info(self, vector_info: dict[str, Any]) -> dict[str, Any]:
        info = _first({name: value for name, value in vector_info.items() if not name.startswith("_")})
        bits = info["sim_status"]
        info["sim_status_message"] = self.vector.world.parameters.explain(bits) if bits else ""
        return info


def _first(data: Any) -> Any:
    """Row 0 of every array; numbers become Python numbers, masks are left out."""
    if isinstance(data, dict):
        return {name: _first(value) for name, value in data.items() if not name.startswith("_")}
    row = data[0]
    return row.item() if np.ndim(row) == 0 else row
