# SPDX-License-Identifier: Apache-2.0
"""Gradients of a task of touch over many seeds and horizons against central differences, kinks told apart.

Run ``python -m tests.gradients.touch_sweep SimEnv/BoltOnNut-v0 20`` for the table of `docs/gradients.md`.

The return bends where a taxel begins to touch or to slip, or meets another face of the object, and where a contact
point begins to touch; it jumps where an edge passes a taxel's normal. Differences over a bend or a jump are no
derivative. So the pattern of every tick is noted in both runs of a difference. A case (a seed, a world, a horizon)
counts as regular if some step width leaves the touching taxels as they are, and as smooth if it leaves all as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import gymnasium as gym
import numpy as np
import torch
import warp as wp

import simenv
from simenv.geometry.distance import pack_shapes
from simenv.physics.program import Program
from simenv.physics.solver import Solver
from tests.geometry.test_entry import entries

DOUBLE = torch.float64
WIDTHS = (1e-7, 1e-6, 3e-7, 3e-8, 1e-8)  # wide ones meet bends, narrow ones drown in rounding
ENOUGH = 1e-5  # at this error of all cases no other width is tried
PAIR = 2  # worlds of a seed
HORIZONS = (1, 2, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True)
class Case:
    """One directional derivative, and its least errors, relative to it, over the widths tried.

    Attributes:
        seed, world, steps: of the episode, of the batch, of the horizon.
        exact: derivative of the return.
        smooth: over the widths at which nothing changed; infinite if there is none.
        regular: over those at which no taxel changed between touch and none; infinite if there is none.
        anyway: over all.
    """

    seed: int
    world: int
    steps: int
    exact: float
    smooth: float
    regular: float
    anyway: float


@contextmanager
def patterns():
    """Notes of every control step, by world: touch, slip and points (bools), faces that taxels meet."""
    noted: list[tuple[np.ndarray, ...]] = []
    forward, together, threads = Program.forward, Solver.together, simenv.get_num_threads()

    def noting(self, inputs, keep, pool=None):
        forward(self, inputs, True, pool)  # which keeps every tick
        noted.append(pattern(self))

    simenv.set_num_threads(1)  # so that one program has all worlds
    Solver.together = 1024
    Program.forward = noting
    try:
        yield noted
    finally:
        Program.forward, Solver.together = forward, together
        simenv.set_num_threads(threads)


def pattern(program: Program) -> tuple[np.ndarray, ...]:
    """What the taxels and points of a program's worlds did in the ticks of its last step, (N, ticks x each)."""
    touch, bent, faces = [], [], []
    ticks, bodies = range(program.desk.ticks), program.steppers["bodies"]
    for gel in program.steppers["gels"].gels:
        faces.append(normals_met(gel, ticks))
        mu = gel.inputs["mu"].tensor[:, None]
        for tick in ticks:
            field = gel.state(tick + 1)["field"].tensor
            touch.append(gel.work(tick)["depth"].tensor > 0.0)
            bent.append(field[..., :2].norm(dim=-1) > (1.0 - 1e-9) * mu * field[..., 2])
    if len(bodies.model.pairs):
        bent += [(bodies.held(tick + 1).tensor != 0.0).any(-1) for tick in ticks]
    return *(torch.cat(each, 1).numpy().copy() for each in (touch, bent)), np.concatenate(faces, 1)


def normals_met(gel, ticks: range) -> np.ndarray:
    """Unit normals of the faces that the taxels of a gel meet in all ticks, (N, ticks x taxels, 3)."""
    contact, grid, states = gel.contact, gel.contact.grid, [gel.state(tick + 1) for tick in ticks]
    rotation, place = (torch.stack([s[name].tensor for s in states], 1).numpy() for name in ("rotation", "offset"))
    x = (grid.points - place[:, :, None]) @ rotation  # (N, K, P, 3), in the object's frame
    axis = grid.frames[:, :, 2] @ rotation
    packed = pack_shapes([contact.packed.shape], wp.float64)
    g, t = entries(packed, x.reshape(-1, 3), axis.reshape(-1, 3), first=-contact.max_depth, last=contact.reach)
    met = np.where((t < 0.0)[:, None], g, 0.0)  # those beyond the gel do not matter
    return met.reshape(len(x), -1, 3).astype(np.float16)


def differ(kind: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether the notes of a step differ, by world (N,); a face by its normal, which turns a little with the object."""
    if kind < 2:
        return (a != b).any(1)
    return (np.abs(a - b) > 1e-2).any((1, 2))


def start(task: str, seeds: Sequence[int], steps: int, **options):
    """An environment with `PAIR` worlds for each seed, its first state, random actions of half the range, and the
    direction of the derivative; each seed's rows are those of a batch of its own.
    """
    make = {"output": "torch", "dtype": "float64", "device": "cpu", "differentiable": True} | options
    alone = gym.make_vec(task, num_envs=PAIR, autoreset_mode="disabled", **make)
    env = gym.make_vec(task, num_envs=PAIR * len(seeds), autoreset_mode="disabled", **make)
    states, actions, ways = [], [], []
    for seed in seeds:
        alone.reset(seed=seed)
        states.append(alone.unwrapped.get_state())
        shape = (steps, PAIR, *env.single_action_space.shape)
        random = [torch.Generator().manual_seed(seed + offset) for offset in (100, 7)]
        actions.append(torch.rand(shape, generator=random[0], dtype=DOUBLE) - 0.5)
        ways.append(torch.randn(shape, generator=random[1], dtype=DOUBLE))
    alone.close()
    env.reset(seed=0)
    state = {name: torch.cat([one[name] for one in states]) for name in states[0]}
    return env, state, torch.cat(actions, 1), torch.cat(ways, 1)


def sweep(task: str, seeds: Sequence[int], horizons: Sequence[int], report=None, **options) -> list[Case]:
    """Cases of all seeds, their worlds, and horizons; `report` is told of the progress."""
    env, state, actions, way = start(task, seeds, max(horizons), **options)
    core = env.unwrapped

    def rewards(given):
        core.set_state(state)
        return core.rollout(given, observe=False).rewards

    leaf = actions.clone().requires_grad_()
    returns = rewards(leaf).cumsum(0)
    exact = {
        steps: (torch.autograd.grad(returns[steps - 1].sum(), leaf, retain_graph=True)[0] * way).sum((0, 2)).numpy()
        for steps in horizons
    }
    cases: list[Case] = []
    runs: list[tuple[np.ndarray, ...]] = []
    with torch.no_grad():
        for width in WIDTHS:
            pair = []
            for sign in (1.0, -1.0):
                with patterns() as noted:
                    pair.append((rewards(actions + sign * width * way).numpy(), noted))
            (ahead, after), (behind, before) = pair
            touch, bent, faces = (
                np.logical_or.accumulate([differ(k, a[k], b[k]) for a, b in zip(after, before, strict=True)])
                for k in range(3)
            )  # (steps, worlds)
            runs.append(((ahead - behind).cumsum(0) / (2 * width), touch, bent | faces))
            cases = [judged(seeds[w // PAIR], w, n, exact[n][w], runs) for n in horizons for w in range(len(way[0]))]
            if report is not None:
                report(f"down to a width of {width:g}: {summary(cases)}")
            if max(case.smooth for case in cases) <= ENOUGH:
                break
    env.close()
    return cases


def judged(seed: int, world: int, steps: int, exact: float, runs: list[tuple[np.ndarray, ...]]) -> Case:
    """A case of a row from the slopes of all widths and whether taxels, or anything else, changed in them."""
    found = [
        (abs(slope[steps - 1, world] / exact - 1.0), touch[steps - 1, world], bent[steps - 1, world])
        for slope, touch, bent in runs
    ]
    smooth = min((e for e, touch, bent in found if not (touch or bent)), default=np.inf)
    regular = min((e for e, touch, _ in found if not touch), default=np.inf)
    return Case(seed, world % PAIR, steps, float(exact), smooth, regular, min(e for e, *_ in found))


def summary(cases: list[Case]) -> str:
    """Worst and median errors where no taxel switches, and how many cases are left."""
    parts = [f"{len(cases)} cases"]
    kinds = {
        "no taxel switches": [case.regular for case in cases if np.isfinite(case.regular)],
        "of these, nothing else does": [case.smooth for case in cases if np.isfinite(case.smooth)],
        "taxels switch at every width": [case.anyway for case in cases if not np.isfinite(case.regular)],
    }
    for name, errors in kinds.items():
        measured = f", worst {max(errors):.1e}, median {np.median(errors):.1e}" if errors else ""
        parts.append(f"{name}: {len(errors)}{measured}")
    return "; ".join(parts)


def main(task: str, seeds: str = "20") -> None:
    """Print the cases that are off and the summary."""
    cases = sweep(task, range(int(seeds)), HORIZONS, partial(print, flush=True))
    for case in cases:
        if not case.smooth <= 1e-5:
            print(case)
    print(f"{task}: {summary(cases)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
