# SPDX-License-Identifier: Apache-2.0
"""What is tried in a process of its own, with torch's threads as users have them, by `test_processes.py`.

Run one with ``python -m tests.contract.processes NAME [ID ...]``; it prints nothing and returns 0, or says what failed.
"""

import faulthandler
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch

import simenv
from tests.envs.splash_task import Splash

LIMIT = 90.0  # [s] after which whoever does not answer hangs


def expect(fact: bool, words: str) -> None:
    if not fact:
        raise SystemExit(words)


def play(env: Any, steps: int = 3, seed: int = 0) -> list[float]:
    """Rewards of some steps."""
    env.reset(seed=seed)
    action = 0.3 * env.action_space.high
    return [float(np.sum(env.step(action)[1])) for _ in range(steps)]


def differentiate(task_id: str, worlds: int = 2, **options: Any) -> bytes:
    """The gradient of two steps, bit for bit."""
    env = gym.make_vec(
        task_id, num_envs=worlds, device="cpu", output="torch", dtype="float64", differentiable=True,
        autoreset_mode="disabled", **options,
    )  # fmt: skip
    env.reset(seed=1)
    high = torch.as_tensor(env.single_action_space.high)
    actions = (0.1 * high).expand(2, worlds, -1).clone().requires_grad_()
    env.unwrapped.rollout(actions).returns.sum().backward()
    env.close()
    return actions.grad.numpy().tobytes()


def _answer(answers: Any, jobs: list[Callable[[], Any]]) -> None:
    answers.put([job() for job in jobs])


def fork(ids: list[str]) -> None:
    """A forked child steps the parent's worlds and its own, differentiates, and computes with torch; so do
    Gymnasium's workers. The parent has done all of it before, and can afterwards.
    """
    torch.set_num_threads(2)
    simenv.set_num_threads(2)
    for task_id in ids:
        single = partial(gym.make, task_id, device="cpu", max_episode_steps=5)
        parents = gym.make_vec(task_id, num_envs=2, device="cpu")
        jobs: list[Callable[[], Any]] = [
            partial(play, parents),
            lambda task_id=task_id: play(gym.make_vec(task_id, num_envs=2, device="cpu")),
            partial(differentiate, task_id),
            lambda: float(torch.arange(1_000_000.0).sin().abs().amax()),  # large enough for all of torch's threads
        ]
        wanted = [job() for job in jobs]
        alone = [play(single(), seed=seed) for seed in (0, 1)]
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        child = context.Process(target=_answer, args=(answers, jobs), daemon=True)
        child.start()
        try:
            expect(answers.get(timeout=LIMIT) == wanted, f"{task_id}: a forked child computes something else")
        finally:
            child.kill()
        expect([job() for job in jobs] == wanted, f"{task_id}: the parent computes something else after a fork")
        envs = gym.vector.AsyncVectorEnv([single, single])
        envs.reset_async(seed=[0, 1])
        envs.reset_wait(timeout=LIMIT)
        for k in range(3):
            envs.step_async(0.3 * envs.action_space.high)
            rewards = envs.step_wait(timeout=LIMIT)[1]
            expect([float(r) for r in rewards] == [row[k] for row in alone], f"{task_id}: workers' step {k} differs")
        envs.close()


def first_fork(ids: list[str]) -> None:
    """Gymnasium's workers, in a process that has done nothing before; torch's threads as it finds them."""
    for task_id in ids:
        single = partial(gym.make, task_id, device="cpu", max_episode_steps=5)
        envs = gym.vector.AsyncVectorEnv([single, single])
        envs.reset_async(seed=0)
        envs.reset_wait(timeout=LIMIT)
        envs.step_async(0.3 * envs.action_space.high)
        rewards = envs.step_wait(timeout=LIMIT)[1]
        envs.close()
        expect(float(rewards[0]) == play(single(), 1)[0], f"{task_id}: a worker's reward differs")


def users(ids: list[str]) -> None:
    """Two threads make, step, render, differentiate, reset and close environments of their own at once, from cold and
    then warm: the numbers are those of one after the other.
    """
    simenv.set_num_threads(2)

    def use(task_id: str, views: bool) -> list[Any]:
        modes = {"observation_mode": "force_field+tactile_image+wrist_camera"} if "Peg" in task_id else {}
        env = gym.make(task_id, device="cpu", render_mode="rgb_array" if views else None, render_size=(40, 30), **modes)
        rewards = play(env)
        observation = env.reset()[0]
        observation = observation if isinstance(observation, dict) else {"": observation}
        picture = env.render().tobytes() if views else b""
        seen = [*rewards, *(value.tobytes() for value in observation.values()), picture]
        env.close()
        many = gym.make_vec(task_id, num_envs=3, device="cpu")
        seen += play(many)
        many.close()
        return [*seen, differentiate(task_id)]

    def at_once(jobs: list[Callable[[], Any]]) -> list[Any]:
        start, results = threading.Barrier(len(jobs), timeout=LIMIT), [None] * len(jobs)

        def run(k: int) -> None:
            start.wait()
            results[k] = jobs[k]()

        threads = [threading.Thread(target=run, args=(k,), daemon=True) for k in range(len(jobs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(3 * LIMIT)
            expect(not thread.is_alive(), f"{ids}: a thread hangs")
        return results

    pairs = [(task_id, other) for task_id in ids for other in {task_id, ids[0]}]
    cold = [at_once([partial(use, one, True), partial(use, two, True)]) for one, two in pairs]
    again = pairs[1:] and pairs
    warm = [at_once([partial(use, one, True), partial(use, two, True)]) for one, two in again] or cold
    alone = {task_id: use(task_id, True) for task_id in ids}
    for (one, two), *runs in zip(pairs, cold, warm, strict=True):
        expect(all(run == [alone[one], alone[two]] for run in runs), f"{one} beside {two}: other numbers than alone")


def interrupts(ids: list[str]) -> None:
    """The user interrupts again and again, at any place of building, recording and stepping; afterwards everything
    works, an environment that was interrupted included.
    """
    simenv.set_num_threads(2)
    for task_id in ids:
        make = partial(gym.make_vec, task_id, num_envs=2, device="cpu")
        wanted, count = None, 0
        kept = None
        for delay in np.geomspace(2e-4, 0.5, 25):  # [s]
            signal.signal(signal.SIGALRM, signal.default_int_handler)
            try:
                signal.setitimer(signal.ITIMER_REAL, delay)
                kept = make()
                differentiate(task_id)
                kept.reset(seed=0)
                for _ in range(1000):
                    kept.step(0.3 * kept.action_space.high)
            except KeyboardInterrupt:
                count += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0.0)
            numbers = play(make()), differentiate(task_id)
            wanted = wanted or numbers
            expect(numbers == wanted, f"{task_id}: other numbers after an interrupt after {delay:.2g} s")
            expect(kept is None or play(kept) == wanted[0], f"{task_id}: an interrupted environment goes on wrongly")
        expect(count > 15, f"{task_id}: only {count} of 25 were interrupted")


if __name__ == "__main__":
    faulthandler.enable()
    faulthandler.dump_traceback_later(20 * LIMIT, exit=True)
    name, *chosen = sys.argv[1:]
    {"fork": fork, "first_fork": first_fork, "users": users, "interrupts": interrupts}[name](chosen or [Splash.task_id])
