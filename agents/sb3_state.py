# SPDX-License-Identifier: Apache-2.0
"""The whole state of a Stable-Baselines3 training run as named arrays and JSON, and back.

Between two iterations the future depends on: weights and optimisers, counters, the replay buffer (SAC), the generators
of torch, NumPy (Stable-Baselines3 draws from the global ones) and the action space, running statistics, the last
observation, and the worlds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from simenv.physics.device import on_cuda

BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
COUNTERS = ("num_timesteps", "_episode_num", "_n_updates")


def capture(model: Any, statistics: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays and JSON values of a model between two iterations.

    Args:
        model: PPO or SAC.
        statistics: Its VecNormalize, or None.
    """
    arrays: dict[str, Any] = {}
    meta: dict[str, Any] = {"groups": {}, "counters": {name: int(getattr(model, name)) for name in COUNTERS}}
    for name, values in model.get_parameters().items():
        if name.endswith("optimizer"):
            for index, entry in values["state"].items():
                arrays |= {f"optimizer|{name}|{index}|{key}": torch.as_tensor(value) for key, value in entry.items()}
            meta["groups"][name] = values["param_groups"]
        else:
            arrays |= {f"weights|{name}|{key}": value for key, value in values.items()}
    if hasattr(model, "log_ent_coef"):
        arrays["log_ent_coef"] = model.log_ent_coef
    arrays |= {"last_obs": model._last_obs, "last_episode_starts": np.asarray(model._last_episode_starts)}
    arrays |= _capture_buffer(model, meta) | _capture_random(model, meta) | _capture_worlds(model)
    if statistics is not None:
        for name in ("obs_rms", "ret_rms"):
            rms = getattr(statistics, name)
            arrays |= {f"normalize|{name}|mean": rms.mean, f"normalize|{name}|var": rms.var}
            arrays[f"normalize|{name}|count"] = np.float64(rms.count)
        arrays["normalize|returns"] = statistics.returns
        arrays["normalize|old_obs"], arrays["normalize|old_reward"] = statistics.old_obs, statistics.old_reward
        if getattr(model, "_last_original_obs", None) is not None:
            arrays["last_original_obs"] = model._last_original_obs
    meta["episodes"] = [{k: float(v) for k, v in row.items()} for row in model.ep_info_buffer]
    meta["successes"] = [bool(value) for value in model.ep_success_buffer]
    return arrays, meta


def restore(model: Any, statistics: Any, arrays: dict[str, torch.Tensor], meta: dict[str, Any]) -> None:
    """Inverse of `capture`, into a freshly made model.

    Args:
        model: PPO or SAC, made with the same options.
        statistics: Its VecNormalize, or None.
        arrays: From the checkpoint.
        meta: From the checkpoint.
    """
    parameters: dict[str, Any] = {}
    for name in model.get_parameters():
        if name.endswith("optimizer"):
            state: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in _under(arrays, f"optimizer|{name}|").items():
                index, field = key.split("|")
                state.setdefault(int(index), {})[field] = value
            parameters[name] = {"state": state, "param_groups": meta["groups"][name]}
        else:
            parameters[name] = _under(arrays, f"weights|{name}|")
    model.set_parameters(parameters, exact_match=True, device=model.device)
    if "log_ent_coef" in arrays:
        model.log_ent_coef.data.copy_(arrays["log_ent_coef"])
    for name, value in meta["counters"].items():
        setattr(model, name, value)
    # The buffers of episode statistics are made by the first `learn`, so make them here.
    model._setup_learn(0, None, reset_num_timesteps=True)
    model.num_timesteps, model._episode_num = meta["counters"]["num_timesteps"], meta["counters"]["_episode_num"]
    model.ep_info_buffer.extend(meta["episodes"])
    model.ep_success_buffer.extend(meta["successes"])
    _restore_buffer(model, arrays, meta)
    if statistics is not None:
        for name in ("obs_rms", "ret_rms"):
            rms, part = getattr(statistics, name), _under(arrays, f"normalize|{name}|")
            rms.mean, rms.var, rms.count = part["mean"].numpy(), part["var"].numpy(), float(part["count"])
        statistics.returns = arrays["normalize|returns"].numpy()
        statistics.old_obs, statistics.old_reward = (
            arrays["normalize|old_obs"].numpy(),
            arrays["normalize|old_reward"].numpy(),
        )
    if _restore_worlds(model, arrays):
        model._last_obs = arrays["last_obs"].numpy()
        model._last_episode_starts = arrays["last_episode_starts"].numpy()
        if "last_original_obs" in arrays:
            model._last_original_obs = arrays["last_original_obs"].numpy()
    _restore_random(model, arrays, meta)  # last: nothing may draw in between


def _under(arrays: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _capture_buffer(model: Any, meta: dict[str, Any]) -> dict[str, Any]:
    buffer = getattr(model, "replay_buffer", None)
    if buffer is None:
        return {}
    meta["replay"] = {"pos": int(buffer.pos), "full": bool(buffer.full)}
    used = buffer.buffer_size if buffer.full else buffer.pos
    return {f"replay|{name}": getattr(buffer, name)[:used] for name in BUFFER}


def _restore_buffer(model: Any, arrays: dict[str, torch.Tensor], meta: dict[str, Any]) -> None:
    if "replay" not in meta:
        return
    buffer = model.replay_buffer
    for name in BUFFER:
        values = arrays[f"replay|{name}"].numpy()
        getattr(buffer, name)[: len(values)] = values
    buffer.pos, buffer.full = meta["replay"]["pos"], meta["replay"]["full"]


def _capture_random(model: Any, meta: dict[str, Any]) -> dict[str, Any]:
    keys: Any
    _, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002  (the one Stable-Baselines3 uses)
    meta["numpy"] = {"position": int(position), "has_gauss": int(has_gauss), "gauss": float(gauss)}
    meta["action_space"] = model.action_space.np_random.bit_generator.state
    arrays = {"random|torch": torch.get_rng_state(), "random|numpy": keys.astype(np.int64)}
    if on_cuda(model.device):
        arrays["random|cuda"] = torch.cuda.get_rng_state(model.device)
    return arrays


def _restore_random(model: Any, arrays: dict[str, torch.Tensor], meta: dict[str, Any]) -> None:
    keys, state = arrays["random|numpy"].numpy().astype(np.uint32), meta["numpy"]
    np.random.set_state(("MT19937", keys, state["position"], state["has_gauss"], state["gauss"]))  # noqa: NPY002
    model.action_space.np_random.bit_generator.state = meta["action_space"]
    torch.set_rng_state(arrays["random|torch"])
    if on_cuda(model.device) and "random|cuda" in arrays:
        torch.cuda.set_rng_state(arrays["random|cuda"], model.device)


def _base(model: Any) -> Any:
    env = model.get_env()
    while hasattr(env, "venv"):
        env = env.venv
    return env


def _capture_worlds(model: Any) -> dict[str, Any]:
    """The state of all worlds, if the environment can tell it, and the bridge's running episode statistics."""
    env = _base(model)
    if not env.has_attr("get_state"):
        return {}
    arrays = {f"worlds|{name}": value for name, value in env.env_method("get_state", indices=0)[0].items()}
    return arrays | {f"bridge|{name}": value for name, value in getattr(env, "_sums", {}).items()}


def _restore_worlds(model: Any, arrays: dict[str, torch.Tensor]) -> bool:
    """Puts the worlds back; False if the environment cannot, so that fresh episodes start instead."""
    env, state = _base(model), _under(arrays, "worlds|")
    if not state or not env.has_attr("set_state"):
        return False
    current = env.env_method("get_state", indices=0)[0]
    moved = {name: value.to(current[name].device) for name, value in state.items()}
    env.env_method("set_state", moved, indices=0)
    if hasattr(env, "_sums"):
        env._sums = {name: value.numpy() for name, value in _under(arrays, "bridge|").items()}
    return True
