# SPDX-License-Identifier: Apache-2.0
"""`SimVectorEnv`: N worlds of one task behind Gymnasium's vector interface, in NumPy or torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import torch
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from simenv.envs import rollout as rollouts
from simenv.envs.actions import ActionChecker, isolate_rows
from simenv.envs.batch import Batch, Outcome
from simenv.envs.identity import IdentifiedVectorEnv
from simenv.envs.options import BAD_ACTION_MODES, DTYPES, OUTPUTS, check_render_mode, choose, frame_size, whole
from simenv.envs.options import autoreset_mode as parse_mode
from simenv.envs.resets import reset_mask
from simenv.envs.spaces import action_space, map_tensors, observation_space, to_numpy, with_masks
from simenv.envs.task import Task
from simenv.envs.views import observation_limits
from simenv.physics.device import resolve_device, surely

if TYPE_CHECKING:
    from simenv.world import State, World


class SimVectorEnv(IdentifiedVectorEnv):
    """A batch of worlds. Usually made by ``gymnasium.make_vec(id, num_envs=N, ...)``.

    ``step`` never waits for the device with ``output="torch"``: actions are checked on the device (see
    ``on_bad_action``), resets are masked, and in SAME_STEP mode ``info["final_obs"]`` and ``info["final_info"]`` are
    always there, valid where ``info["_final_obs"]`` says so. With ``output="numpy"`` they are there only when a world
    is done.

    In every mode ``info`` describes the step just taken. Stepping a world that is done and not reset (DISABLED) raises
    with ``output="numpy"``; with ``output="torch"`` the world stays as it is, keeps its flags and earns 0.

    Args:
        task: The task, constructed.
        num_envs: Number of worlds N.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; None takes CUDA where there is one.
        output: ``"numpy"`` or ``"torch"``: what is returned.
        dtype: ``"float32"``, or ``"float64"`` for verification.
        autoreset_mode: ``"next_step"``, ``"same_step"``, ``"disabled"``, or an `AutoresetMode`.
        max_episode_steps: Control steps after which an episode is truncated; None for no limit.
        render_mode: None or ``"rgb_array"``.
        render_size: Width and height of a frame [pixel].
        differentiable: Keep observations and rewards on the graph of the actions; needs ``output="torch"``.
        on_bad_action: What happens to an action out of range. ``"raise"``: `ActionError` (NumPy), or the world ends
            alone with the BAD_ACTION status (torch). ``"clip"``: it is clipped. Non-finite actions are never accepted.
        copy: Whether returned arrays are independent of the environment's memory; None means True for NumPy, False for
            torch.
        stagger: Start the first episodes at random times, so that time limits do not strike all worlds in the same
            step.

    Raises:
        ValueError: For an option out of range.
        DeviceError: If the device does not exist.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012  (as Gymnasium declares it)
    # Here already, since Gymnasium before 1.4 also closes what was never made, when wrong options are refused.
    _batch: Batch | None = None
    _renderer: Any = None

    def __init__(
        self,
        task: Task,
        num_envs: int = 1,
        *,
        device: str | torch.device | None = None,
        output: str = "numpy",
        dtype: str = "float32",
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        render_size: Sequence[int] = (320, 240),
        differentiable: bool = False,
        on_bad_action: str = "raise",
        copy: bool | None = None,
        stagger: bool = False,
    ) -> None:
        self.num_envs = num_envs = whole("num_envs", num_envs)
        if max_episode_steps is not None:
            max_episode_steps = whole("max_episode_steps", max_episode_steps, "; None means no limit")
        for name, value in (("differentiable", differentiable), ("copy", copy), ("stagger", stagger)):
            choose(name, value, (False, True, None) if name == "copy" else (False, True))
        if stagger and max_episode_steps is None:
            raise ValueError("stagger=True spreads the time limits of the worlds and needs max_episode_steps.")
        self.output = choose("output", output, OUTPUTS)
        self._host = output == "numpy"
        if differentiable and self._host:
            raise ValueError("differentiable=True needs output='torch': NumPy arrays carry no gradient.")
        torch_dtype = DTYPES[choose("dtype", dtype, DTYPES)]
        torch_device = resolve_device(device)
        self.render_mode = check_render_mode(render_mode, self.metadata["render_modes"])
        self.render_size = frame_size(render_size)
        self.max_episode_steps = max_episode_steps
        self.differentiable = differentiable
        self.autoreset_mode = parse_mode(autoreset_mode)
        self._copy = self._host if copy is None else copy
        self._stagger = stagger
        self._needs_reset = True

        low, high = (torch.tensor(side, dtype=torch_dtype, device=torch_device) for side in task.action_limits)
        mode = choose("on_bad_action", on_bad_action, BAD_ACTION_MODES)
        if max_episode_steps is not None:
            task.max_episode_steps = max_episode_steps
        checker = ActionChecker(low, high, task.action_names, num_envs, mode)
        world: World = task.build().make_world(num_envs, device=torch_device, dtype=torch_dtype)
        self._batch = Batch(task, world, checker, max_episode_steps)
        self._nobody = torch.zeros(num_envs, dtype=torch.bool, device=torch_device)
        self._broken_gradients = torch.zeros(num_envs, dtype=torch.int64, device=torch_device)
        # An instance's own dict: the class's is shared by all environments.
        self.metadata = {
            **type(self).metadata,
            "render_fps": round(1.0 / world.dt),
            "autoreset_mode": self.autoreset_mode,
        }

        self._batch.begin(~self._nobody)  # the spaces are those of a real observation
        self.single_action_space = action_space(task.action_limits, torch_dtype)
        self.single_observation_space = observation_space(self._batch.observe(), observation_limits(task))
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)

    # ---------------------------------------------------------------------------------------------- Gymnasium

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start new episodes in all worlds, or in those of ``options["reset_mask"]``.

        Args:
            seed: World i gets ``seed + i``, or ``seed[i]`` from a list, and its first episode. None goes on to the next
                episode; with the first reset, and the first after `np_random` was set, it draws a seed from there.
            options: ``{"reset_mask": (N,) bool array or tensor}`` resets only the worlds that are True; it is not
                modified.

        Returns:
            Observations of all worlds (unchanged where not reset), and info.

        Raises:
            TypeError: If the mask is not a boolean array or tensor, or there are unknown options.
            ValueError: If the mask or the list of seeds has the wrong length, or nothing is to be reset.
        """
        batch = self._open()
        super().reset(seed=int(seed) if isinstance(seed, (int, np.integer)) else None)
        mask = reset_mask(options, self._nobody)
        if self._needs_reset and not bool(mask.all()):
            raise ResetNeeded("The first reset() must reset all worlds; leave out options['reset_mask'].")
        values, seeded = self._reset_seeds(seed, mask)
        batch.begin_seeded(mask, values, seeded, self._stagger, everywhere=not options)
        self._needs_reset = False
        with self._grad():
            observation = batch.observe()
        info = batch.judge()
        del info["terminated"]
        return self._give(observation), with_masks(self._give_info(info), self._give_info(mask))

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One control step of all worlds.

        Args:
            actions: (N, A) array or tensor.

        Returns:
            Observations, rewards (N,), terminated (N,), truncated (N,), info.

        Raises:
            ActionError: If the shape or dtype is wrong; with NumPy output also for values (see ``on_bad_action``).
                Nothing has changed then.
            ResetNeeded: Before the first reset, or for a done world in DISABLED mode with NumPy output.
        """
        batch = self._ready()
        action = batch.actions.to_tensor(actions)
        frozen = self._nobody if self.autoreset_mode is AutoresetMode.SAME_STEP else batch.done
        if self._host:
            self._check_on_host(action, frozen)
        with batch.all_or_nothing(), self._grad():
            if self.differentiable and action.requires_grad:
                action = isolate_rows(action, self._broken_gradients)
            if self.autoreset_mode is AutoresetMode.NEXT_STEP:
                self._begin_next(frozen)
            outcome = batch.advance(action, frozen)
            info = dict(outcome.info)
            if self.differentiable:
                info["grad_nonfinite"] = self._broken_gradients.clone()
            observation = outcome.observation
            finals: dict[str, Any] = {}
            if self.autoreset_mode is AutoresetMode.SAME_STEP:
                observation, finals = self._reset_done(outcome, info)
        return (
            self._give(observation),
            self._give(outcome.reward),
            self._give_info(outcome.terminated),
            self._give_info(outcome.truncated),
            {**with_masks(self._give_info(info), self._give_info(~self._nobody)), **finals},
        )

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Pictures of all worlds.

        Returns:
            N arrays (H, W, 3) uint8; None (with Gymnasium's warning) without a render mode.
        """
        batch = self._ready()
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render() was called on an environment made without render_mode='rgb_array'; no frame."
            )
            return None
        if self._renderer is None:
            from simenv.envs.frames import TaskRenderer  # only those who render pay for it

            self._renderer = TaskRenderer(batch.task, batch.world, *self.render_size)
        return tuple(self._renderer.render(batch.state, batch.episode))

    def close_extras(self, **kwargs: Any) -> None:
        """Release the worlds and the renderer."""
        if self._batch is not None:
            self._batch.world.close()
        self._batch = None
        self._renderer = None

    # ------------------------------------------------------------------------------------- beyond Gymnasium

    def rollout(
        self, actions: Any, keep_states: bool = False, observe: bool = True, checkpoint: bool = False
    ) -> rollouts.Rollout:
        """Run a sequence of actions from the present state, without resets.

        A world whose episode ends stays as it is and earns 0 from then on. With ``differentiable=True`` the result is
        on the graph of the actions, the parameters and the present state; call `detach_state` to start a new graph.

        Args:
            actions: (T, N, A).
            keep_states: Whether to return the states too.
            observe: Whether to compute observations; an optimiser of returns can spare them.
            checkpoint: Whether to save memory by simulating segments of about sqrt(T) steps again in the backward pass.

        Raises:
            ActionError: As in `step`.
            ResetNeeded: Before the first reset.
            ValueError: If autoreset is not disabled: a rollout must not cross a reset.
        """
        batch = self._ready()
        if self.autoreset_mode is not AutoresetMode.DISABLED:
            raise ValueError(
                f"rollout() must not cross a reset, but autoreset_mode is {self.autoreset_mode.name}; "
                "make the environment with autoreset_mode='disabled'."
            )
        steps = len(actions) if hasattr(actions, "__len__") else 0
        action = batch.actions.to_tensor(actions, leading=(steps,))
        if self._host:
            for each in action:
                batch.actions.require_usable(each, self._nobody)
        with batch.all_or_nothing(), self._grad():
            if self.differentiable and action.requires_grad:
                action = torch.stack([isolate_rows(each, self._broken_gradients) for each in action])
            result = rollouts.run(batch, action, keep_states, observe, checkpoint)
        if not self._host:
            return result
        fields = {name: value for name, value in vars(result).items() if name != "states" and value is not None}
        fields.setdefault("observations", None)
        return rollouts.Rollout(**to_numpy(fields), states=result.states)

    def observe(self) -> Any:
        """Observations of the present state, as `step` returns them."""
        batch = self._ready()
        with self._grad():
            return self._give(batch.observe())

    def get_state(self) -> dict[str, torch.Tensor]:
        """Everything that decides the future: world state, parameters, episode, random counters, clock and flags.

        Returns:
            (N, ...) tensors by name, copies without a graph.
        """
        return self._open().get_state()

    def set_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore what `get_state` returned, exactly. Counts as a reset.

        Args:
            state: The tensors by name; one that requires a gradient stays on its graph.

        Raises:
            ValueError: If names, shapes or dtypes do not fit this environment.
        """
        self._open().set_state(dict(state))
        self._needs_reset, self._undrawn = False, self._nobody

    def detach_state(self) -> None:
        """Cut the graph at the present state: what follows has no gradient with respect to what came before."""
        batch = self._ready()
        batch.state = batch.require_state().detach()

    @property
    def world(self) -> World:
        """The worlds."""
        return self._open().world

    @property
    def task(self) -> Task:
        """The task."""
        return self._open().task

    @property
    def parameters(self) -> Any:
        """Physical parameters by name, (N, ...) tensors; assign to change them."""
        return self._open().world.parameters

    @property
    def action_checker(self) -> ActionChecker:
        """Validation of actions."""
        return self._open().actions

    @property
    def state(self) -> State:
        """The present state of the worlds."""
        return self._ready().require_state()

    @property
    def episode(self) -> dict[str, torch.Tensor]:
        """What the task drew for the present episode of each world."""
        return self._ready().episode

    @property
    def done(self) -> torch.Tensor:
        """(N,) bool: worlds whose episode has ended and that have not been reset."""
        return self._ready().done

    # ------------------------------------------------------------------------------------------------ inside

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_renderer": None}  # a copy makes its own when asked

    def _open(self) -> Batch:
        if self._batch is None:
            raise ClosedEnvironmentError("The environment is closed; make a new one.")
        return self._batch

    def _ready(self) -> Batch:
        batch = self._open()
        if self._needs_reset:
            raise ResetNeeded("Call reset() before the first step, rollout, render or look at the state.")
        return batch

    def _grad(self) -> Any:
        return nullcontext() if self.differentiable else torch.no_grad()

    def _check_on_host(self, action: torch.Tensor, frozen: torch.Tensor) -> None:
        if self.autoreset_mode is AutoresetMode.DISABLED and bool(frozen.any()):
            worlds = frozen.nonzero().flatten().tolist()
            raise ResetNeeded(
                f"Worlds {worlds} are done and autoreset is disabled; call "
                "reset(options={'reset_mask': terminated | truncated}) before the next step."
            )
        self._batch.actions.require_usable(action, frozen)

    def _begin_next(self, mask: torch.Tensor) -> None:
        """Masked resets; skipped when nobody needs one, as far as the host can tell without waiting."""
        if not (surely(~mask) or (self._host and not bool(mask.any()))):
            self._batch.begin_next(mask)

    def _reset_done(self, outcome: Outcome, info: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """SAME_STEP: the observation after resets, and the true last observation and info of the worlds that were
        done.
        """
        done = outcome.terminated | outcome.truncated
        if self._host and not bool(done.any()):
            return outcome.observation, {}
        self._batch.begin_next(done)
        mask = self._give_info(done)
        finals = {"final_obs": self._give(outcome.observation), "final_info": with_masks(self._give_info(info), mask)}
        return self._batch.observe(), {**finals, "_final_obs": mask.copy() if self._host else mask, "_final_info": mask}

    def _give(self, data: Any) -> Any:
        """Convert to the caller's kind of array."""
        if self._host:
            return to_numpy(data, self._copy)
        return map_tensors(torch.clone, data) if self._copy else data

    def _give_info(self, data: Any) -> Any:
        """Like `_give`, always a copy: flags and measures are small, and the environment reads some of them again."""
        return to_numpy(data) if self._host else map_tensors(torch.clone, data)
