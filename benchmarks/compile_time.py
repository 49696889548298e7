# SPDX-License-Identifier: Apache-2.0
"""Seconds to the first step of a pouring world when no kernel is compiled yet; prints JSON.

    python benchmarks/compile_time.py [--device cpu]

A fresh process with an empty kernel cache takes one control step (``forward``); another one takes it and differentiates
it (``gradient``). ``import`` is the time to load the libraries, ``build`` that to make the scene, with the distance
fields of its meshes, and ``compile`` what the first step takes longer than the second.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile

LIMITS = {"forward": 60.0, "gradient": 120.0}  # [s]

CHILD = """
import json, sys, time
start = time.perf_counter()
import torch
import warp as wp
wp.config.log_level = wp.LOG_ERROR
from simenv.tasks.fluids.pouring import Pouring
from simenv.world import Control, World
loaded = time.perf_counter()
mode, device = sys.argv[1:]
world = World(Pouring().build(), 1, device)
built = time.perf_counter()
def step():
    begin = time.perf_counter()
    state = world.initial_state()
    twist = world.zero_control().twist.requires_grad_(mode == "gradient")
    state = world.step(state, Control(twist))
    if mode == "gradient":
        state.x.sum().backward()
    float(state.x.sum())
    return time.perf_counter() - begin
first, second = step(), step()
print(json.dumps({"import": loaded - start, "build": built - loaded, "first_step": first, "second_step": second}))
"""


def measure(mode: str, device: str) -> dict[str, float]:
    """Times of a fresh process with an empty kernel cache [s]."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "WARP_CACHE_PATH": cache}
        command = [sys.executable, "-c", CHILD, mode, device]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(result.stderr)
    times = json.loads(result.stdout.splitlines()[-1])
    times["compile"] = times["first_step"] - times["second_step"]
    return {name: round(seconds, 2) for name, seconds in times.items()}


def main() -> None:
    """Measure both modes and print them with the machine's name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    device = parser.parse_args().device
    results = {"device": device, "machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    for mode, limit in LIMITS.items():
        times = measure(mode, device)
        results[mode] = {**times, "limit": limit, "within_limit": times["build"] + times["first_step"] <= limit}
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
