# SPDX-License-Identifier: Apache-2.0
"""Work that threads share: nothing goes on behind the back of a caller who has been told that it failed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from simenv._threads import run_together
from simenv.physics.mpm.programs import Programs


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
    import warp as wp

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
