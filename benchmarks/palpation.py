# SPDX-License-Identifier: Apache-2.0
"""Find hard balls in soft blocks from recordings of touch, by gradients through the simulation.

``python -m benchmarks.palpation`` draws episodes of SimEnv/Palpate-v0, plays the task's spiral of presses, keeps what
the taxels read, with noise and without, and identifies the ball's place and stiffness from that alone. It writes a
table as Markdown and JSON; stopped, it goes on where it was. One case takes about a minute on one core.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
import tyro

from simenv.rollouts import Identification, IdentifyConfig, Observed, identify
from simenv.rollouts.residuals import record_world
from simenv.tasks.tactile import palpate

TASK = "SimEnv/Palpate-v0"
TOUCH = "skin_field"  # the field of the state that taxels read [N]
FINEST = 1e-3  # deviation that counts as one where there is no noise [N]
ENOUGH = 1.1  # times the noise: deviation at which what was found explains what was read
REST = 5e-5  # the same where there is no noise [N]
WAYS = (0.5, 0.15, 0.85, 0.35, 0.65)  # of the starts, from deep and stiff to shallow and soft
LUMP = palpate.LUMP
FACTOR = palpate.STIFFNESS[1] / palpate.STIFFNESS[0]
TOP = palpate.HEIGHT - palpate.MIDDLE  # height of the middle of the ball's range [m]
LIMITS = {
    f"{LUMP}.x": (-palpate.ASIDE, palpate.ASIDE),
    f"{LUMP}.y": (-palpate.ASIDE, palpate.ASIDE),
    f"{LUMP}.z": (TOP - palpate.SPREAD, TOP + palpate.SPREAD),
    f"{LUMP}.stiffness": palpate.STIFFNESS,
}  # what is known of the ball beforehand: the ranges from which the task draws


@dataclasses.dataclass
class Palpation:
    """Find hard balls in soft blocks from recordings of touch, by gradients through the simulation."""

    cases: int = 20
    """How many balls; case i is the episode that seed `first` + i draws."""
    first: int = 1000
    """Seed of the first."""
    noise: tuple[float, ...] = (0.001, 0.0)
    """Standard deviations of the noise of every taxel, axis and control step [N]; each is a condition."""
    starts: int = 3
    """Searches at most, until one explains what was read: all from where touch was hardest, and from the middle of the
    ranges of depth and stiffness, or to one side of it."""
    iterations: int = 30
    """Iterations of the search at most."""
    finger: Literal["round", "gel"] = "round"
    """What presses: a hard round tip with taxels, or a flat gel."""
    out: Path = Path("benchmarks/results")
    """Folder of palpation_cpu.json and palpation_cpu.md; with a gel palpation_gel_cpu."""

    def run(self) -> None:
        """Measure what is missing, and write the table after every case."""
        path = self.out / ("palpation_cpu.json" if self.finger == "round" else f"palpation_{self.finger}_cpu.json")
        rows = json.loads(path.read_text())["rows"] if path.exists() else []
        for noise in self.noise:
            for seed in range(self.first, self.first + self.cases):
                if any(row["seed"] == seed and row["noise"] == noise for row in rows):
                    continue
                rows.append(measure(seed, noise, self.starts, self.iterations, self.finger))
                print(json.dumps(rows[-1]), flush=True)
                path.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
                path.with_suffix(".md").write_text(table(rows))


class Bench:
    """Worlds of the task, in which a ball is felt by the spiral of presses.

    Args:
        worlds: how many; seed: of the episode, of which all worlds have a copy; dtype: of its numbers.
        finger: of the task.
    """

    def __init__(self, worlds: int, seed: int, dtype: str = "float32", finger: str = "round"):
        self.env = gym.make_vec(
            TASK, num_envs=worlds, finger=finger, output="torch", device="cpu", dtype=dtype, autoreset_mode="disabled"
        ).unwrapped
        self.env.reset(seed=seed)
        self.world, self.start = self.env.world, self.env.state
        self.steps = self.env.task.max_episode_steps
        moves = self.env.task.nominal_actions(self.steps)
        self.moves = torch.as_tensor(moves, dtype=self.world.dtype)

    def drive(self, state: Any, step: int) -> Any:
        """The control of a step."""
        action = self.moves[step].expand(self.world.num_worlds, -1)
        return self.env.task.control(self.world, state, action, self.env.episode)

    def feel(self, **numbers: float) -> np.ndarray:
        """What the taxels read in the first world (T, taxels, 3) [N], with some of the ball's numbers changed."""
        before = {name: self.world.parameters[f"{LUMP}.{name}"] for name in numbers}
        for name, value in numbers.items():
            self.world.parameters[f"{LUMP}.{name}"] = value
        seen = record_world(self.world, self.drive, [TOUCH], range(1, self.steps + 1), self.start).values[TOUCH]
        for name, tensor in before.items():
            self.world.parameters[f"{LUMP}.{name}"] = tensor
        return seen

    def places(self) -> np.ndarray:
        """Where the finger is after each step, x and y (T, 2) [m]."""
        speed = palpate.SPEED * palpate.STEP
        return np.cumsum(self.moves[:, :2].numpy() * speed, 0)


def above(touch: np.ndarray, plain: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Where the ball is, x and y [m], as far as forces tell: the middle of places where they are larger than without.

    Args:
        touch: What was read (T, taxels, 3) [N].
        plain: The same on a block without a ball.
        places: Of the finger (T, 2) [m].
    """
    more = np.linalg.norm(touch.sum(1), axis=1) - np.linalg.norm(plain.sum(1), axis=1)
    weight = np.maximum(more, 0.0) ** 2
    return (weight[:, None] * places).sum(0) / weight.sum()


def search(model: Bench, touch: np.ndarray, scale: float, point: np.ndarray, way: float, most: int) -> Identification:
    """One search by gradients.

    Args:
        model: One world.
        touch: What was read (T, taxels, 3) [N].
        scale: Deviation that counts as one [N].
        point: Where to start, x and y [m].
        way: Where to start between deep and stiff, 0, and shallow and soft, 1.
        most: Iterations.
    """
    numbers = (*point, TOP + palpate.SPREAD * (2.0 * way - 1.0), palpate.STIFFNESS[1] / FACTOR**way)
    first = dict(zip(LIMITS, numbers, strict=True))
    observed = Observed({TOUCH: touch}, np.arange(1, len(touch) + 1), {TOUCH: scale})
    config = IdentifyConfig(iterations=most, tolerance=1e-3)
    return identify(model.world, model.drive, observed, LIMITS, initial=first, start=model.start, config=config)


def measure(seed: int, noise: float, starts: int, iterations: int, finger: str = "round") -> dict[str, Any]:
    """Record one ball, find it, and say by how much that is off.

    Args:
        seed: Of the episode, and of the noise.
        noise: Its standard deviation [N].
        starts: Searches at most.
        iterations: Of each at most.
        finger: Of the task.
    """
    began = time.perf_counter()
    real = Bench(1, seed, finger=finger)
    truth = {name: float(real.world.parameters[name][0]) for name in LIMITS}
    touch = real.feel()
    touch = touch + noise * np.random.default_rng(seed).normal(size=touch.shape)
    point = above(touch, real.feel(stiffness=1.0), real.places())
    model, tried = Bench(1, seed + 1, finger=finger), []  # another ball, of which nothing is used
    for way in WAYS[:starts]:
        tried.append(search(model, touch, noise or FINEST, point, way, iterations))
        if tried[-1].deviations[TOUCH] <= max(ENOUGH * noise, REST):
            break
    best = min(tried, key=lambda result: result.loss)
    distance = math.dist(*([values[f"{LUMP}.{axis}"] for axis in "xyz"] for values in (best.values, truth)))
    stiffness = best.values[f"{LUMP}.stiffness"] / truth[f"{LUMP}.stiffness"] - 1.0
    return {
        "seed": seed, "noise": noise, "truth": truth, "guess": point.tolist(), "found": best.values,
        "place_error": distance, "stiffness_error": stiffness,
        "success": distance <= palpate.NEAR and abs(stiffness) <= palpate.ALIKE, "code": best.code.name,
        "deviations": [result.deviations[TOUCH] for result in tried],
        "rollouts": sum(result.rollouts for result in tried), "seconds": time.perf_counter() - began,
    }  # fmt: skip


def table(rows: list[Mapping[str, Any]]) -> str:
    """The results as Markdown."""
    lines = [
        "# Hard balls found by touch", "",
        "Written by `python -m benchmarks.palpation`; see docs/identification.md.", "",
        "| noise of a taxel | found | error of the place: median, largest | of the stiffness | searches | rollouts |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for noise in dict.fromkeys(row["noise"] for row in rows):
        own = [row for row in rows if row["noise"] == noise]
        place = 1e3 * np.array([row["place_error"] for row in own])
        off = 100 * np.abs([row["stiffness_error"] for row in own])
        lines.append(
            f"| {1e3 * noise:g} mN | {sum(row['success'] for row in own)} of {len(own)} | "
            f"{np.median(place):.2g} mm, {place.max():.2g} mm | {np.median(off):.2g} %, {off.max():.2g} % | "
            f"{sum(len(row['deviations']) for row in own)} | {np.median([row['rollouts'] for row in own]):.0f} |"
        )
    lines += ["", "| seed | noise | x, y, depth [mm] | stiffness | place error | stiffness error | ended | seconds |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for row in rows:
        x, y, z = (1e3 * row["truth"][f"{LUMP}.{axis}"] for axis in "xyz")
        lines.append(
            f"| {row['seed']} | {1e3 * row['noise']:g} mN | {x:.1f}, {y:.1f}, {1e3 * palpate.HEIGHT - z:.1f} | "
            f"{row['truth'][f'{LUMP}.stiffness']:.2f} | {1e3 * row['place_error']:.2g} mm | "
            f"{100 * row['stiffness_error']:+.2g} % | {row['code']} | {row['seconds']:.0f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    tyro.cli(Palpation).run()
