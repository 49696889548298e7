# SPDX-License-Identifier: Apache-2.0
"""What tasks measure, written again in NumPy from their docstrings, for one world at a time."""

import gymnasium as gym
import numpy as np
import torch

import simenv  # noqa: F401  registers the tasks


def make(task_id: str, worlds: int = 1, **options):
    """Worlds in double precision, reset."""
    env = gym.make_vec(
        task_id, num_envs=worlds, output="torch", device="cpu", dtype="float64", autoreset_mode="disabled", **options
    ).unwrapped
    env.reset(seed=5)
    return env


def scattered(env, low, high, seed: int = 0):
    """The state with particles anywhere in a box [m], velocities, two thirds of them active, and forces and motion."""
    random, state = np.random.default_rng(seed), env.state

    def noise(like: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(random.normal(size=tuple(like.shape)))

    x = torch.as_tensor(random.uniform(low, high, tuple(state.x.shape)))
    active = torch.as_tensor(random.uniform(size=tuple(state.active.shape)) < 2 / 3)
    body_q = state.body_q + 0.01 * noise(state.body_q)
    return state.replace(
        x=x, v=noise(state.v), active=active, wrench=noise(state.wrench), body_q=body_q,
        body_twist=noise(state.body_twist), **({"F": state.F + 0.05 * noise(state.F)} if "F" in state else {}),
    )  # fmt: skip


def row(tensor: torch.Tensor, world: int = 0) -> np.ndarray:
    """One world's numbers."""
    return tensor[world].detach().numpy()


def observed(env, state, world: int = 0) -> dict[str, np.ndarray]:
    """One world's observations of a state."""
    return {name: row(value, world) for name, value in env.task.observe(env.world, state, env.episode).items()}


def rewarded(env, before, action, after, world: int = 0) -> dict[str, float]:
    """One world's terms of the reward."""
    terms = env.task.reward(env.world, before, torch.as_tensor(action), after, env.episode)
    return {name: float(value[world]) for name, value in terms.items()}


def judged(env, state, world: int = 0) -> dict[str, float]:
    """One world's measures."""
    return {name: value[world].item() for name, value in env.task.evaluate(env.world, state, env.episode).items()}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def bspline(u: np.ndarray) -> np.ndarray:
    """The quadratic B-spline about 0, of unit integral."""
    u = np.abs(u)
    return np.where(u < 0.5, 0.75 - u**2, np.where(u < 1.5, 0.5 * (1.5 - u) ** 2, 0.0))


def density(x: np.ndarray, mass: np.ndarray, shape, low, high) -> np.ndarray:
    """Mass density on nodes, of particles (K, 3): each node sums all particles."""
    weights, cell = [], 1.0
    for axis, count in enumerate(shape):
        nodes, step = np.linspace(low[axis], high[axis], count, retstep=True)
        weights.append(bspline((x[:, axis, None] - nodes) / step))
        cell *= step
    return np.einsum("p,pi,pj,pk->ijk", mass, *weights) / cell


def hull_distance(points: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Largest distance of points (K, 3) to planes that touch a vessel: in 16 directions around at each of three slopes
    (level, 0.35 and 0.8 rad downwards), and the level of its rim.
    """
    normals = [(0.0, 0.0, 1.0)]
    for down in (0.0, 0.35, 0.8):
        for k in range(16):
            around = k * np.pi / 8
            normals.append((np.cos(around) * np.cos(down), np.sin(around) * np.cos(down), -np.sin(down)))
    distance = np.full(len(points), -np.inf)
    for normal in np.array(normals):
        distance = np.maximum(distance, points @ normal - max(vertices @ normal))
    return distance


def keypoints(state, first: int, last: int, count: int) -> np.ndarray:
    """Position and velocity of evenly spaced particles, zeros for those that are not active."""
    x, v, active = (row(t) for t in (state.x, state.v, state.active))
    rows = []
    for index in np.round(np.linspace(first, last - 1, count)).astype(int):
        rows.append(np.concatenate([x[index], v[index]]) * active[index])
    return np.concatenate(rows)
