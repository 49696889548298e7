# SPDX-License-Identifier: Apache-2.0
"""Short runs of small worlds, with their gradients, by which a device is compared with another, or with an emulation
of one: everything that the two must agree on, as named arrays.
"""

from __future__ import annotations

from collections.abc import Callable

import gymnasium as gym
import numpy as np
import torch

import simenv.envs  # noqa: F401  registers the tasks
from simenv.world import Scene
from tests.gradients.scenes import Problem, press_scene
from tests.gradients.test_contact_variants import boundary_scene, cup_scene, skin_scene
from tests.gradients.test_floating import splash_scene

WORLDS = 3
Result = dict[str, np.ndarray]


def _adaptive(scene: Scene) -> Scene:
    """Near the limit of one substep, so that some worlds choose one and some two."""
    scene.substep_dt, scene.max_substeps = 5.7e-4, 2
    return scene


def _sparse(scene: Scene) -> Scene:
    scene.grid = "sparse"
    return scene


PARTICLES: dict[str, Callable[[], Scene]] = {
    "families": lambda: _adaptive(press_scene("every_family", substeps=1)),
    "sparse": lambda: _sparse(press_scene("liquid")),
    "periodic": lambda: boundary_scene(("periodic", "periodic", "slip")),
    "rigid": splash_scene,
    "cup": cup_scene,
    "skin": skin_scene,
    "sand": lambda: press_scene("cohesive_sand"),
}
TOUCH = {
    "BallRoll": ("SimEnv/BallRoll-v0", {}),
    "PegInsertion": ("SimEnv/PegInsertion-v0", {}),
    "BallRoll-elastic": ("SimEnv/BallRoll-v0", {"gel": "elastic"}),
    "SoftGrasp": ("SimEnv/SoftGrasp-v0", {}),
}
QUICK = ("sparse", "BallRoll")


def run(name: str, device: str = "cpu", dtype: torch.dtype = torch.float64) -> Result:
    """A case on a device: states and returns of all worlds, and the gradient with respect to everything."""
    found = _particles(name, device, dtype) if name in PARTICLES else _touch(name, device, dtype)
    return {key: value.detach().cpu().numpy() for key, value in found.items()}


def _particles(name: str, device: str, dtype: torch.dtype, steps: int = 2) -> dict[str, torch.Tensor]:
    problem = Problem(PARTICLES[name](), WORLDS, dtype, steps, device=device)
    for key, leaf in problem.leaves.items():  # worlds differ, in what keeps them sound
        if key in ("twist", "v") or key.endswith((".viscosity", ".friction", ".density")):
            scale = torch.linspace(1.0, 1.6 if key in ("twist", "v") else 1.1, WORLDS, dtype=dtype, device=device)
            problem.leaves[key] = leaf * scale.view(-1, *[1] * (leaf.dim() - 1))
    leaves = {key: value.clone().requires_grad_() for key, value in problem.leaves.items()}
    returns = problem.returns(leaves)
    grads = torch.autograd.grad(returns.sum(), list(leaves.values()))
    problem.world.close()
    found = {key: value for key, value in problem.last.items() if value.numel()}
    return found | {"returns": returns} | {f"gradient of {k}": g for k, g in zip(leaves, grads, strict=True)}


def _touch(name: str, device: str, dtype: torch.dtype, steps: int = 3) -> dict[str, torch.Tensor]:
    task, options = TOUCH[name]
    env = gym.make_vec(
        task, num_envs=WORLDS, output="torch", device=device, dtype=str(dtype).removeprefix("torch."),
        differentiable=True, autoreset_mode="disabled", **options,
    ).unwrapped  # fmt: skip
    env.reset(seed=3)
    random = torch.Generator().manual_seed(4)
    actions = torch.rand(steps, WORLDS, *env.single_action_space.shape, generator=random, dtype=torch.float64)
    actions = (0.6 * actions - 0.4).to(device, dtype).requires_grad_()
    out = env.rollout(actions, observe=False)
    found = {key: value for key, value in env.state.items() if value.numel()}
    (gradient,) = torch.autograd.grad(out.returns.sum(), actions)
    env.close()
    return {**found, "returns": out.returns, "gradient": gradient.transpose(0, 1)}


def difference(one: Result, other: Result) -> dict[str, float]:
    """Largest difference of each array, relative to its largest number; infinite where booleans or integers differ."""
    assert one.keys() == other.keys()
    found = {}
    for key, value in one.items():
        if value.dtype.kind == "f":
            found[key] = float(np.abs(value - other[key]).max() / max(np.abs(value).max(), 1e-30))
        else:
            found[key] = 0.0 if np.array_equal(value, other[key]) else np.inf
    return found
