# SPDX-License-Identifier: Apache-2.0
"""Force fields per second of a tactile sensor; prints one JSON line.

python tactile_fields.py DEVICE GEL GRID THREADS SECONDS N...     GEL: tacsl, winkler, elastic; GRID: 10x10, 100x100

Every step is a reading of every world: poses move, contact is found, forces and wrench are computed, the state of
friction is handed on; the device is synchronised before and after each round. Worlds differ in where they are touched.
It ends with the first number of worlds that needs more than `SLOWEST` seconds a reading, or more memory than there is.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from protocol import claim_stdout

ANSWERS = claim_stdout()

import json  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import simenv  # noqa: E402  before torch: it sets how torch's threads wait

# isort: split
import torch  # noqa: E402

from simenv.geometry import Sphere  # noqa: E402
from simenv.physics.device import resolve_device, synchronize  # noqa: E402
from simenv.physics.gels.grid import GRIDS  # noqa: E402
from simenv.sensors.tactile import ElasticLayerGel, TacSLGel, TactileField, WinklerGel, flat_grid  # noqa: E402

SLOWEST = 10.0  # seconds a reading
ROUNDS = 3
SIDE, RADIUS, DEPTH, SLIDE = 0.02, 0.006, 0.001, 2e-5  # gel, sphere, press and slide a step [m]
THICKNESS = 0.004
GELS: dict[str, TacSLGel | WinklerGel | ElasticLayerGel] = {
    "tacsl": TacSLGel(),
    "winkler": WinklerGel.from_layer(1e5, 0.48, THICKNESS),
    "elastic": ElasticLayerGel(1e5, 0.8, 0.48, THICKNESS),
}


def stepper(field: TactileField, worlds: int, device: torch.device) -> Callable[[], None]:
    """One step: the object slides on, and all sensors are read."""
    generator = torch.Generator().manual_seed(0)
    offsets = 0.004 * (torch.rand(worlds, 2, generator=generator) - 0.5)
    still = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]).repeat(worlds, 1)
    ball = still.clone()
    ball[:, :2] = offsets
    ball[:, 2] = RADIUS - DEPTH
    ball, still = ball.to(device), still.to(device)
    twist = torch.tensor([SLIDE * 60, 0.0, 0.0, 0.0, 0.0, 0.0]).repeat(worlds, 1).to(device)  # TacSL's shear needs it
    move = torch.tensor([SLIDE, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).to(device)
    memory: dict[str, Any] = {"state": field.initial_state(worlds), "count": 0}

    def step() -> None:
        memory["count"] += 1
        pose = ball + (memory["count"] % 20) * move
        reading, memory["state"] = field.measure(pose, still, memory["state"], twist)
        memory["reading"] = reading

    step.memory = memory  # type: ignore[attr-defined]
    return step


def rates(step: Callable[[], None], worlds: int, seconds: float, device: torch.device) -> list[float]:
    """Fields per second of rounds of at least `seconds`, after a warm-up; one number if a reading is too slow."""

    def timed(count: int) -> float:
        synchronize(device)
        start = time.perf_counter()
        for _ in range(count):
            step()
        synchronize(device)
        return time.perf_counter() - start

    first = timed(2) / 2
    count = max(1, int(seconds / first))
    if first > SLOWEST:
        return [worlds / first]
    return [count * worlds / timed(count) for _ in range(ROUNDS)]


def main(device_name: str, gel: str, grid: str, threads: str, seconds: str, *worlds: str) -> dict:
    """Rates by the number of worlds, and why it ended."""
    device = resolve_device(device_name)
    simenv.set_num_threads(int(threads))
    torch.set_num_threads(1)  # the threads that count are those over worlds
    field = TactileField(flat_grid(*GRIDS[grid], SIDE, SIDE), GELS[gel], Sphere(RADIUS), torch.float32, device)
    found: dict[str, list[float]] = {}
    ended, before, slowest = "", 0, 0.0
    for n in map(int, worlds):
        if before and slowest * n / before > SLOWEST:
            ended = f"N = {n} would take {slowest * n / before:.0f} s a reading"
            break
        try:
            with torch.no_grad():
                step = stepper(field, n, device)
                found[str(n)] = rates(step, n, float(seconds), device)
        except (MemoryError, torch.OutOfMemoryError) as error:
            ended = f"N = {n} needs more memory than there is ({type(error).__name__})"
            break
        reading = step.memory["reading"]  # type: ignore[attr-defined]
        if not bool((reading.normal.sum(1) > 0).all()) or bool(reading.status.any()):
            raise RuntimeError(f"{gel} {grid} N = {n}: no contact, or status {reading.status.unique().tolist()}")
        before, slowest = n, n / min(found[str(n)])
    return {"rates": found, "ended": ended}


if __name__ == "__main__":
    ANSWERS.write(json.dumps(main(*sys.argv[1:])) + "\n")
