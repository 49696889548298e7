# SPDX-License-Identifier: Apache-2.0
"""Gradients of a task of touch over many seeds and horizons against central differences, kinks told apart.

Run ``python -m tests.gradients.touch_sweep SimEnv/BoltOnNut-v0 20`` for the table of `docs/gradients.md`.

Touch and friction are continuous, but for a body's edge that passes a taxel's normal, and bend where a taxel or a
contact point begins to touch, or to slip. Differences over a bend or a jump are no derivative. So the contact pattern
of every substep is noted in both runs of a difference: which taxels touch, which slip, which points touch. A case (a
seed, a world, a horizon) counts as regular if some step width leaves the pattern of taxels as it is.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import torch

import simenv
from simenv.world.touch_solver import TouchSolver

DOUBLE = torch.float64
WIDTHS = (1e-6, 1e-7, 1e-8)


@dataclass(frozen=True)
class Case:
    """One directional derivative.

    Attributes:
        seed, world, steps: of the episode, of the batch, of the horizon.
        exact: derivative of the return.
        error: relative to it, the least over the widths in whose two runs no taxel changed between touch and none; NaN
            if it did in all.
        anyway: the least over all widths.
        kinked: whether at the width of `error` a taxel's slip or a contact point changed.
    """

    seed: int
    world: int
    steps: int
    exact: float
    error: float
    anyway: float
    kinked: bool

    @property
    def regular(self) -> bool:
        """Whether no taxel switches."""
        return not np.isnan(self.error)


@contextmanager
def patterns():
    """Notes (touch, slip and points, as bools) of every control step that a world takes on one thread."""
    noted: list[tuple[np.ndarray, np.ndarray]] = []
    forward = TouchSolver.forward

    def noting(self, inputs):
        out = forward(self, inputs)
        touch, bent = [], []
        for gel in self._gels:
            mu = gel.inputs["mu"].tensor[:, None]
            for field, depth, _ in gel.readings:
                touch.append(depth.tensor > 0.0)
                bent.append(field.tensor[..., :2].norm(dim=-1) > (1.0 - 1e-9) * mu * field.tensor[..., 2])
        bent += [(held.tensor != 0.0).any(-1) for held in self._held[1:]]
        noted.append(tuple(torch.cat(each, 1).numpy().copy() for each in (touch, bent)))
        return out

    TouchSolver.forward = noting
    try:
        yield noted
    finally:
        TouchSolver.forward = forward


def sweep(task: str, seed: int, horizons: tuple[int, ...], worlds: int = 2, **options) -> list[Case]:
    """Cases of one seed: each world and horizon, random actions of half the range along a random direction."""
    env = gym.make_vec(
        task, num_envs=worlds, output="torch", dtype="float64", device="cpu", differentiable=True,
        autoreset_mode="disabled", **options,
    )  # fmt: skip
    core = env.unwrapped
    env.reset(seed=seed)
    state = core.get_state()
    shape = (max(horizons), worlds, *env.single_action_space.shape)
    actions = 0.5 * (2 * torch.rand(shape, generator=torch.Generator().manual_seed(seed + 100), dtype=DOUBLE) - 1)
    way = torch.randn(shape, generator=torch.Generator().manual_seed(seed + 7), dtype=DOUBLE)

    def sums(given):
        core.set_state(state)
        return core.rollout(given, observe=False).rewards.cumsum(0)

    leaf = actions.clone().requires_grad_()
    returns = sums(leaf)
    exact = {
        steps: (torch.autograd.grad(returns[steps - 1].sum(), leaf, retain_graph=True)[0] * way).sum((0, 2)).numpy()
        for steps in horizons
    }
    runs = {}
    with torch.no_grad():
        for width in WIDTHS:
            pair = []
            for sign in (1.0, -1.0):
                with patterns() as noted:
                    pair.append((sums(actions + sign * width * way).numpy(), noted))
            (ahead, after), (behind, before) = pair
            changed = [
                np.array([(a[kind] != b[kind]).any(1) for a, b in zip(after, before, strict=True)]) for kind in (0, 1)
            ]
            changed = [np.logical_or.accumulate(each) for each in changed]  # (steps, worlds)
            runs[width] = (ahead - behind) / (2 * width), *changed
    env.close()
    cases = []
    for steps in horizons:
        for world in range(worlds):
            truth = exact[steps][world]
            found = [
                (abs(slope[steps - 1, world] / truth - 1.0), touch[steps - 1, world], bent[steps - 1, world])
                for slope, touch, bent in runs.values()
            ]
            regular = min(((e, k) for e, t, k in found if not t), default=(np.nan, False))
            cases.append(Case(seed, world, steps, truth, regular[0], min(found)[0], bool(regular[1])))
    return cases


def summary(cases: list[Case]) -> str:
    """A row of numbers: worst regular errors, and how many cases are not regular."""
    good = [case for case in cases if case.regular]
    smooth = [case.error for case in good if not case.kinked]
    bent = [case.error for case in good if case.kinked]
    rest = [case.anyway for case in cases if not case.regular]

    def worst(errors):
        return f"{len(errors)}, worst {max(errors):.1e}, median {np.median(errors):.1e}" if errors else "none"

    return (
        f"{len(cases)} cases; no taxel switches: {worst([c.error for c in good])} (no slip changes: {worst(smooth)}; "
        f"some do: {worst(bent)}); taxels switch at every width: {worst(rest)}"
    )


def main(task: str, seeds: str = "20", horizons: str = "1,2,3,5,8,12,16,25,50,100,150,200") -> None:
    """Print the cases that are off and the summary."""
    simenv.set_num_threads(1)
    cases: list[Case] = []
    for seed in range(int(seeds)):
        new = sweep(task, seed, tuple(int(part) for part in horizons.split(",")))
        for case in new:
            if not case.error <= 1e-5:
                print(case, flush=True)
        cases += new
        print(f"seed {seed}: {summary(new)}", flush=True)
    print(f"\n{task}: {summary(cases)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
