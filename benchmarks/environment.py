# SPDX-License-Identifier: Apache-2.0
"""Measurements of a whole environment, each in a process of its own; prints one JSON line.

python environment.py DEVICE first ID forward|gradient    seconds to the first step (and gradient), peak memory
python environment.py DEVICE throughput ID ROUNDS N...    env-steps/s for each number of worlds, with 1 and 2 threads
python environment.py DEVICE gradient ID ROUNDS STEPS     gradient env-steps/s of two worlds, with 1 and 2 threads
python environment.py DEVICE memory ID STEPS              peak memory of a gradient rollout of one world

On CUDA there is one thread, and memory is that of the device.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from protocol import claim_stdout

ANSWERS = claim_stdout()

import json  # noqa: E402
import resource  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

START = time.perf_counter()

import simenv  # noqa: E402  before torch: it sets how torch's threads wait

# isort: split
import gymnasium as gym  # noqa: E402
import torch  # noqa: E402

import simenv.envs  # noqa: E402
from simenv.physics.device import on_cuda, resolve_device, synchronize  # noqa: E402

IMPORT_S = time.perf_counter() - START
DEVICE = resolve_device(sys.argv[1] if __name__ == "__main__" else "cpu")
THREADS = (1,) if on_cuda(DEVICE) else (1, 2)
torch.set_num_threads(1)  # the threads that count are simenv's; torch only holds rewards and actions here


def make(id: str, worlds: int, differentiable: bool) -> Any:
    """The environment, reset."""
    options = {"differentiable": True, "autoreset_mode": "disabled"} if differentiable else {}
    env = gym.make_vec(id, num_envs=worlds, output="torch", device=DEVICE, **options)
    env.reset(seed=0)
    return env


def actions_for(env: Any, steps: int) -> torch.Tensor:
    """Small random actions, (steps, worlds, actions)."""
    generator = torch.Generator().manual_seed(0)
    actions = torch.rand(steps, env.num_envs, *env.single_action_space.shape, generator=generator)
    return (0.2 * actions - 0.1).to(DEVICE)


def gradient(env: Any, steps: int, checkpoint: bool = False) -> None:
    """One differentiated rollout."""
    env.unwrapped.detach_state()
    env.reset(seed=0)
    actions = actions_for(env, steps).requires_grad_()
    env.unwrapped.rollout(actions, checkpoint=checkpoint).returns.sum().backward()
    if actions.grad is None or not torch.isfinite(actions.grad).all():
        raise RuntimeError("the gradient is missing or not finite")


def first(id: str, mode: str) -> dict:
    """From an empty process to the first result."""
    start = time.perf_counter()
    env = make(id, 1, mode == "gradient")
    if mode == "gradient":
        gradient(env, 1)
    else:
        env.step(actions_for(env, 1)[0])
    synchronize(DEVICE)
    return {"seconds": IMPORT_S + time.perf_counter() - start, "peak_mb": peak()}


def throughput(id: str, rounds: str, *worlds: str) -> dict:
    """Rounds over all configurations; each measures enough steps for some tenths of a second."""
    cases = [(int(n), threads) for n in worlds for threads in THREADS]
    envs = {int(n): make(id, int(n), False) for n in worlds}
    rates: dict[str, list[float]] = {f"{n}x{threads}": [] for n, threads in cases}
    for round_index in range(-1, int(rounds)):  # the first round warms up
        for n, threads in cases:
            simenv.set_num_threads(threads)
            steps = max(2, 16 // n)
            actions = actions_for(envs[n], steps)
            envs[n].reset(seed=0)
            start = time.perf_counter()
            for action in actions:
                envs[n].step(action)
            synchronize(DEVICE)
            if round_index >= 0:
                rates[f"{n}x{threads}"].append(n * steps / (time.perf_counter() - start))
    return {"rates": rates, "peak_mb": peak()}


def gradient_rate(id: str, rounds: str, steps: str) -> dict:
    """Env-steps per second of forward and backward together, two worlds."""
    env, count = make(id, 2, True), int(steps)
    rates: dict[str, list[float]] = {f"2x{threads}": [] for threads in THREADS}
    for round_index in range(-1, int(rounds)):
        for threads in THREADS:
            simenv.set_num_threads(threads)
            start = time.perf_counter()
            gradient(env, count)
            synchronize(DEVICE)
            if round_index >= 0:
                rates[f"2x{threads}"].append(2 * count / (time.perf_counter() - start))
    return {"rates": rates, "peak_mb": peak()}


def memory(id: str, steps: str) -> dict:
    """Peak memory of the process, and what the rollout added to it."""
    env = make(id, 1, True)
    before = peak()
    gradient(env, int(steps), checkpoint=True)
    return {"peak_mb": peak(), "before_mb": before}


def peak() -> float:
    """Peak memory of the device, or on the CPU of this process [MB]."""
    if on_cuda(DEVICE):
        return torch.cuda.max_memory_allocated(DEVICE) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    jobs: dict[str, Callable[..., dict]] = {
        "first": first,
        "throughput": throughput,
        "gradient": gradient_rate,
        "memory": memory,
    }
    ANSWERS.write(json.dumps(jobs[sys.argv[2]](*sys.argv[3:])) + "\n")
