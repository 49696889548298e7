# SPDX-License-Identifier: Apache-2.0
"""Trained policies without pickle: weights, spaces and observation statistics as safetensors, the architecture as JSON.

Stable-Baselines3's own ``model.save`` pickles inside a zip, so that opening a policy from a stranger can run code. Here
a policy is a checkpoint like any other (`simenv.agents.checkpoint`), and `load_policy` rebuilds the network from a
short description.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from simenv._extras import missing
from simenv.agents.checkpoint import CheckpointError, has_checkpoint, load_checkpoint, save_checkpoint
from simenv.agents.networks import Actor
from simenv.envs.spaces import map_tensors
from simenv.envs.views import select_view
from simenv.physics.device import resolve_device

__all__ = ["Policy", "TorchPolicy", "load_policy", "save_policy"]

ALGORITHMS = ("ppo", "sac")


def flat_space(space: gymnasium.spaces.Space) -> tuple[gymnasium.spaces.Box, tuple[str, ...]]:
    """The observation space as one vector, and the names of the parts that make it up in order (none if it is a
    vector).

    Raises:
        TypeError: If the space is neither a vector nor a flat dictionary of arrays.
    """
    if isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1:
        return space, ()
    parts = dict(space.spaces) if isinstance(space, gymnasium.spaces.Dict) else {}
    if not parts or not all(isinstance(part, gymnasium.spaces.Box) for part in parts.values()):
        raise TypeError(
            f"observations {space} are neither a vector nor a dictionary of arrays; use another observation_mode"
        )
    low, high = (np.concatenate([getattr(p, side).ravel() for p in parts.values()]) for side in ("low", "high"))
    return gymnasium.spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32), tuple(parts)


def flatten(observation: Any, names: tuple[str, ...], batched: bool = True) -> np.ndarray:
    """Observations as vectors (N, O), or (O,) if not `batched`; a dictionary's parts are joined in the order of
    `names`.
    """

    def host(value: Any) -> np.ndarray:
        return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)

    if not names:
        return host(observation)
    parts = [host(observation[name]) for name in names]
    parts = [part.reshape(len(part), -1) if batched else part.reshape(-1) for part in parts]
    return np.concatenate(parts, axis=-1).astype(np.float32)


class Policy:
    """A feedback policy: observations in, actions out.

    Args:
        network: A Stable-Baselines3 policy.
        mean: (O,) running mean of the observations, or None for no normalisation.
        variance: (O,) running variance.
        clip: Limit of a normalised observation.
        names: Parts of a dictionary observation in the order of the network's inputs; empty for vectors.
    """

    def __init__(
        self,
        network: Any,
        mean: np.ndarray | None,
        variance: np.ndarray | None,
        clip: float,
        names: tuple[str, ...] = (),
    ) -> None:
        self.network, self.mean, self.variance, self.clip, self.names = network, mean, variance, clip, names

    def __call__(self, observation: Any, deterministic: bool = True) -> np.ndarray:
        """Actions (N, A), inside the action space.

        Args:
            observation: (N, O) array or tensor, or a dictionary of (N, ...) ones, as the environment returns it.
            deterministic: The mean action; False draws from the policy's distribution.
        """
        observation = flatten(observation, self.names)
        if self.mean is not None:
            scaled = (observation - self.mean) / np.sqrt(self.variance + 1e-8)  # type: ignore[operator]
            observation = np.clip(scaled, -self.clip, self.clip).astype(np.float32)
        return self.network.predict(observation, deterministic=deterministic)[0]


class TorchPolicy:
    """A feedback policy of the agents on torch tensors.

    Args:
        actor: The network.
        keys: Observations it reads; none for the view "actor" (`simenv.envs.views`), or all where there are no views.
        mode: Observation mode it was trained on, if known.
    """

    def __init__(self, actor: Actor, keys: tuple[str, ...], mode: str | None) -> None:
        self.actor, self.keys, self.mode = actor, keys, mode

    def act(self, observation: Any, view: str = "actor", deterministic: bool = True) -> torch.Tensor:
        """Actions (N, A), inside the action space.

        Args:
            observation: (N, ...) tensor or dict of them, as the environment returns it.
            view: The view to read, where there are views.
            deterministic: The mean action; False draws from the policy's distribution.
        """
        with torch.no_grad():
            policy = self.actor(select_view(observation, view, self.keys))
            return self.actor.to_actions(policy.mean if deterministic else policy.sample())

    def __call__(self, observation: Any, deterministic: bool = True) -> np.ndarray:
        """As `act`, from NumPy to NumPy."""
        device = self.actor.low.device
        return (
            self.act(map_tensors(lambda v: torch.as_tensor(v, device=device), observation), "actor", deterministic)
            .cpu()
            .numpy()
        )


def save_actor(directory: str | Path, learner: Any) -> None:
    """Writes the actor of a learner of `simenv.agents.training`; only the newest stays."""
    actor = learner.actor
    arrays = {f"policy.{name}": value for name, value in actor.state_dict().items()}
    modes = learner.env.unwrapped.task.observation_mode
    meta: dict[str, Any] = {"kind": "policy", "library": "torch", "algorithm": learner.name, "method": learner.name}
    meta |= {"shapes": {name: list(shape) for name, shape in actor.trunk.shapes.items()}}
    meta |= {"hidden": list(learner.config.hidden), "keys": list(learner.config.actor_keys)}
    meta |= {"mode": modes if isinstance(modes, str) else modes["actor"]}
    save_checkpoint(directory, learner.timesteps, arrays, meta, keep=1)


def _load_actor(arrays: dict[str, torch.Tensor], meta: dict[str, Any], source: Path, device: Any) -> TorchPolicy:
    weights = {name.removeprefix("policy."): value for name, value in arrays.items() if name.startswith("policy.")}
    shapes = {name: tuple(shape) for name, shape in meta["shapes"].items()}
    actor = Actor(shapes, meta["hidden"], weights["low"], weights["high"])
    _fill(actor, weights, source, meta["hidden"])
    return TorchPolicy(actor.to(device).requires_grad_(False), tuple(meta["keys"]), meta["mode"])


def _fill(network: torch.nn.Module, weights: dict[str, torch.Tensor], source: Path, widths: Any) -> None:
    if not all(torch.isfinite(value).all() for value in weights.values()):
        raise CheckpointError(f"{source} holds non-finite weights: that training diverged; use another run")
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{source}: the weights do not fit the architecture {widths} ({error})") from error


def save_policy(
    directory: str | Path, model: Any, algorithm: str, net_arch: tuple[int, ...], statistics: Any, step: int
) -> None:
    """Writes a model's policy.

    Args:
        directory: Where to; only the newest stays.
        model: A Stable-Baselines3 PPO or SAC.
        algorithm: "ppo" or "sac".
        net_arch: Hidden layer widths.
        statistics: Its VecNormalize, or None.
        step: Control steps it was trained for.
    """
    arrays: dict[str, Any] = {f"policy.{name}": value for name, value in model.policy.state_dict().items()}
    for name in ("observation", "action"):
        space = getattr(model, f"{name}_space")
        arrays |= {f"{name}.low": space.low, f"{name}.high": space.high}
    clip = 0.0
    if statistics is not None:
        arrays |= {"normalize.mean": statistics.obs_rms.mean, "normalize.variance": statistics.obs_rms.var}
        clip = float(statistics.clip_obs)
    names = [str(name) for name in getattr(model.get_env(), "names", ())]
    meta: dict[str, Any] = {"names": names, "clip": clip, "net_arch": list(net_arch)}
    meta |= {"kind": "policy", "method": algorithm, "algorithm": algorithm}
    save_checkpoint(directory, step, arrays, meta, keep=1)


def load_policy(directory: str | Path, device: str | torch.device = "cpu") -> Policy | TorchPolicy:
    """Rebuilds a policy.

    Args:
        directory: What `save_policy` or `save_actor` wrote, or the folder of a training run that holds it as
            ``policy``.
        device: Where the network runs.

    Raises:
        CheckpointError: If it is missing, damaged, or not a policy.
        DeviceError: If the device is not there.
        ImportError: If Stable-Baselines3 is not installed.
    """
    device, directory = resolve_device(device), Path(directory)
    source = directory / "policy" if has_checkpoint(directory / "policy") else directory
    arrays, meta, _ = load_checkpoint(source, resuming=False)
    if meta.get("kind") == "policy" and meta.get("library") == "torch":
        return _load_actor(arrays, meta, source, device)
    if meta.get("kind") != "policy" or meta.get("algorithm") not in ALGORITHMS:
        raise CheckpointError(
            f"{source} holds no policy (kind {meta.get('kind')!r}); name the folder of a `simenv train` run"
        )
    try:
        from stable_baselines3.ppo.policies import MlpPolicy as PPOPolicy
        from stable_baselines3.sac.policies import MlpPolicy as SACPolicy
    except ImportError as error:
        raise missing("stable-baselines3", "rl", "a policy of Stable-Baselines3") from error
    spaces = [_space(arrays[f"{name}.low"], arrays[f"{name}.high"]) for name in ("observation", "action")]
    kind = PPOPolicy if meta["algorithm"] == "ppo" else SACPolicy
    network = kind(*spaces, lambda _: 0.0, net_arch=[int(width) for width in meta["net_arch"]])
    weights = {name.removeprefix("policy."): value for name, value in arrays.items() if name.startswith("policy.")}
    _fill(network, weights, source, meta["net_arch"])
    network.to(device).set_training_mode(False)
    mean, variance = (
        arrays[f"normalize.{n}"].numpy() if f"normalize.{n}" in arrays else None for n in ("mean", "variance")
    )
    return Policy(network, mean, variance, float(meta["clip"]), tuple(meta["names"]))


def _space(low: torch.Tensor, high: torch.Tensor) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(low.numpy(), high.numpy(), dtype=low.numpy().dtype)
