# SPDX-License-Identifier: Apache-2.0
"""Work that threads share: nothing goes on behind the back of a caller who has been told that it failed."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import gymnasium as gym
import numpy as np
import pytest
import torch
import warp as wp

import simenv
from simenv._threads import Workers, run_apart, run_together, shared_pool
from simenv.physics.launch.programs import Programs
from tests.envs.splash_task import Splash


def test_all_calls_have_ended_when_one_has_failed():
    ended = []

    def fail():
        raise ArithmeticError("this one")

    def last():
        time.sleep(0.2)
        ended.append(True)

    with ThreadPoolExecutor(2) as pool, pytest.raises(ArithmeticError, match="this one"):
        try:
            run_together(pool, [fail, last])
        finally:
            assert ended == [True]


def test_calls_that_wait_for_one_that_cannot_start_are_let_go():
    pool, together = ThreadPoolExecutor(2), threading.Event()

    def calls():
        yield lambda: together.wait(timeout=60.0)
        pool.shutdown(wait=False)
        yield lambda: together.set()

    with pytest.raises(RuntimeError, match="after shutdown"):
        run_together(pool, calls(), abandon=together.set)
    assert together.is_set()


def test_lanes_that_others_will_not_meet_end():
    # three phases without launches on two lanes, the pool of which closes after the first lane has started
    class OneMore(ThreadPoolExecutor):
        def submit(self, call, *arguments):
            future = super().submit(call, *arguments)
            self.shutdown(wait=False)
            return future

    programs = Programs(lambda name: [[[], []]] * 3, lambda name: (), 2, torch.device("cpu"), wp.get_device("cpu"))
    with pytest.raises(RuntimeError, match="after shutdown"):
        programs.run("nothing", OneMore(2))
    with ThreadPoolExecutor(2) as pool:
        programs.run("nothing", pool)  # and nothing is left of it
    assert int(programs._arrived) == 6


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.parametrize("times", [1, 2])
def test_the_user_is_heard_when_all_calls_have_ended(times):
    ended = []

    def interrupt():
        for _ in range(times):
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)

    def last():
        time.sleep(0.4)
        ended.append(True)

    with ThreadPoolExecutor(2) as pool, pytest.raises(KeyboardInterrupt):
        try:
            run_together(pool, [interrupt, last])
        finally:
            assert ended == [True]


def test_a_call_apart_gives_back_what_it_returns_or_raises():
    assert run_apart(lambda: threading.current_thread() is not threading.main_thread())
    with pytest.raises(ZeroDivisionError):
        run_apart(lambda: 1 // 0)


def in_child(check) -> bool:
    """Whether a check passes in a forked child, within 20 s."""
    child = os.fork()
    if child == 0:  # no pytest from here on
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20)
        os._exit(0 if check() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_pools_are_made_anew_in_a_forked_child_and_for_another_number():
    workers = Workers()
    assert workers.pool(1) is None
    pools = [workers.pool(2), workers.pool(2), workers.pool(3), shared_pool("test", 2)]
    assert pools[0] is pools[1]
    assert pools[2] is not pools[0]
    assert shared_pool("test", 3) is not pools[3]
    assert shared_pool("test", 2) is pools[3]  # which others may be using
    for pool in pools[2:]:
        run_together(pool, [threading.get_ident] * 3)

    def check():
        anew = [workers.pool(3), shared_pool("test", 2)]
        answers = [run_together(pool, [lambda: 1, lambda: 2]) for pool in anew]
        workers.close()
        return answers == [[1, 2]] * 2 and not {*anew} & {*pools}

    assert in_child(check)
    workers.close()


def test_torch_computes_with_one_thread_in_a_forked_child():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert in_child(lambda: torch.get_num_threads() == 1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.fixture
def two_threads():
    simenv.set_num_threads(2)
    yield
    simenv._threads._num_threads = None


@pytest.mark.parametrize("task_id", [Splash.task_id, "SimEnv/BallRoll-v0"])
@pytest.mark.parametrize("worlds", [1, 2])
def test_an_interrupted_step_has_not_happened(task_id, worlds, two_threads, monkeypatch):
    # the second step is interrupted in the middle of its second graph, on whatever thread that runs
    def play(interrupt: bool):
        env = gym.make_vec(task_id, num_envs=worlds, device="cpu")
        env.reset(seed=0)
        action = 0.3 * env.action_space.high
        env.step(action)
        if interrupt:
            launches = []

            def launch(graph, **kwargs):
                launches.append(graph)
                if len(launches) == worlds:
                    raise KeyboardInterrupt
                real(graph, **kwargs)

            with monkeypatch.context() as patch:
                real = wp.capture_launch
                patch.setattr(wp, "capture_launch", launch)
                with pytest.raises(KeyboardInterrupt):
                    env.step(action)
        results = env.step(action)
        env.close()
        return results

    plain, interrupted = play(False), play(True)
    assert all(np.array_equal(a, b) for a, b in zip(interrupted[1:4], plain[1:4], strict=True))
    assert np.array_equal(interrupted[4]["elapsed_steps"], plain[4]["elapsed_steps"])


@pytest.mark.parametrize("place", ["initial_state", "evaluate"])
def test_what_is_interrupted_between_has_not_happened(place, monkeypatch):
    # a reset with its seed drawn and no state yet; a step, or the start of the next episode, with half of its outcome
    envs = [gym.make_vec(Splash.task_id, num_envs=2, device="cpu", max_episode_steps=2) for _ in range(2)]
    action = 0.3 * envs[0].action_space.high
    for env in envs:
        env.reset(seed=0)
        env.step(action)

    def fail(*arguments):
        raise KeyboardInterrupt

    def same(use):
        results = [use(env) for env in envs]
        assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))

    def interrupt(use):
        with monkeypatch.context() as patch:
            patch.setattr(envs[1].unwrapped.task, place, fail)
            with pytest.raises(KeyboardInterrupt):
                use(envs[1])

    if place == "evaluate":
        for _ in range(3):  # the second ends the episode, the third begins the next
            interrupt(lambda env: env.step(action))
            same(lambda env: env.step(action)[:4])
    else:
        interrupt(lambda env: env.reset(seed=9))
    same(lambda env: env.step(action)[:4])
    same(lambda env: [env.reset()[0]])


@pytest.mark.parametrize("task_id", [Splash.task_id, "SimEnv/BallRoll-v0"])
def test_a_gradient_interrupted_while_its_buffers_are_made_is_right_when_asked_again(task_id, monkeypatch):
    options = {"output": "torch", "dtype": "float64", "differentiable": True, "autoreset_mode": "disabled"}
    env = gym.make_vec(task_id, num_envs=1, device="cpu", **options)
    env.reset(seed=1)
    state = env.unwrapped.get_state()

    def gradient() -> torch.Tensor:
        env.unwrapped.set_state(state)
        actions = torch.full((1, 1, *env.single_action_space.shape), 0.05, dtype=torch.float64, requires_grad=True)
        returns = env.unwrapped.rollout(actions).returns.sum()
        forward.append(len(wrapped))
        returns.backward()
        return actions.grad

    forward, wrapped, real = [], [], wp.from_torch

    def interrupted(tensor, *args, **kwargs):
        wrapped.append(tensor)
        if len(wrapped) == stop:
            raise KeyboardInterrupt
        return real(tensor, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(wp, "from_torch", interrupted)
        env.unwrapped.world.close()  # buffers are to be made again
        stop = 0
        wanted = gradient()
        env.unwrapped.world.close()
        stop, wrapped[:] = (forward[0] + len(wrapped)) // 2, []  # in the middle of those for the adjoints
        with pytest.raises(KeyboardInterrupt):
            gradient()
    assert torch.equal(gradient(), wanted)
