# SPDX-License-Identifier: Apache-2.0
"""Recording of graphs: what other threads launch meanwhile stays out, and nothing is left of one that fails."""

import functools
import os
import signal
import threading
import time

import pytest
import torch
import warp as wp

from simenv import _exclusive, _recording, _warp
from simenv._exclusive import EXCLUSIVE, built_once
from simenv.physics.launch import capture
from simenv.physics.launch.programs import meeting_kernel

CPU = torch.device("cpu")


def counter() -> tuple[torch.Tensor, functools.partial]:
    """A number, and the launch that adds one to it (lanes' meeting, at which nobody is awaited)."""
    _warp.start()
    count = torch.zeros(1, dtype=torch.int32)
    array, device = wp.from_torch(count), wp.device_from_torch(CPU)
    return count, functools.partial(capture.launch, meeting_kernel(), 1, [0], [array], device=device)


def recorded(*commands) -> object:
    return capture.record([meeting_kernel()], lambda: [command() for command in commands], wp.device_from_torch(CPU))


def runs_on_another_thread(call) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(30.0)
    assert not thread.is_alive()


def works_as_ever() -> bool:
    """Whether a new graph holds what is launched in it, and nothing else, and runs when it is asked to."""
    count, add = counter()
    graph = recorded(add, add)
    nothing_yet = int(count) == 0
    wp.capture_launch(graph)
    twice = int(count) == 2
    add()  # outside any graph
    return nothing_yet and twice and int(count) == 3 and not wp.get_device("cpu").is_capturing


def test_launches_of_other_threads_do_not_land_in_a_recording():
    mine, add = counter()
    theirs, add_theirs = counter()
    recording = []

    def launch_theirs():
        recording.append(wp.get_device("cpu").is_capturing)  # what Warp asks before it launches
        add_theirs()

    graph = recorded(add, functools.partial(runs_on_another_thread, launch_theirs), add)
    assert recording == [False]
    assert (int(mine), int(theirs)) == (0, 1)  # theirs ran at once
    wp.capture_launch(graph)
    assert (int(mine), int(theirs)) == (2, 1)


def test_recordings_of_two_threads_wait_for_each_other():
    begun, order = threading.Event(), []

    def first():
        begun.set()
        time.sleep(0.2)
        order.append("first")

    def second():
        begun.wait(10.0)
        recorded(lambda: order.append("second"), counter()[1])

    thread = threading.Thread(target=second)
    thread.start()
    recorded(first, counter()[1])
    thread.join(30.0)
    assert order == ["first", "second"]
    assert works_as_ever()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_a_recording_that_fails(error):
    def fail():
        raise error("in the middle")

    with pytest.raises(error, match="in the middle"):
        recorded(counter()[1], fail, counter()[1])
    assert works_as_ever()


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", ["capture_begin", "capture_end"])
def test_nothing_is_left_of_a_recording_interrupted_where_it_begins_or_ends(monkeypatch, name, place):
    real, armed = getattr(wp, name), [True]

    def interrupted(*args, **kwargs):
        if place == "after":
            real(*args, **kwargs)
        if armed and armed.pop():
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(wp, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        recorded(counter()[1])
    monkeypatch.undo()
    assert works_as_ever()


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_waits_for_the_end_of_a_recording():
    add = counter()[1]
    ended = []

    def last():
        time.sleep(0.2)
        ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        recorded(add, functools.partial(signal.raise_signal, signal.SIGINT), last)
    assert ended
    assert works_as_ever()


def test_a_module_whose_loading_is_interrupted_is_loaded_when_it_is_next_asked_for(monkeypatch):
    loads = []

    def load(module, device):
        loads.append(module)
        if len(loads) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(wp, "load_module", load)
    monkeypatch.setattr(capture, "_loaded", set())
    kernels, device = [meeting_kernel()], wp.device_from_torch(CPU)
    with pytest.raises(KeyboardInterrupt):
        capture.load(kernels, device)
    for _ in range(2):
        capture.load(kernels, device)
    assert loads == [kernels[0].module] * 2


def test_kernels_are_defined_once_when_two_threads_ask():
    defined, both = [], threading.Barrier(2, timeout=30.0)

    @built_once
    def define(real, sparse=False):
        time.sleep(0.1)
        defined.append((real, sparse))
        return object()

    got = []

    def ask():
        both.wait()
        got.append(define(float, sparse=True))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    assert defined == [(float, True)]
    assert got[0] is got[1]
    assert define(float) is not got[0]


def test_a_process_is_not_forked_while_another_thread_builds():
    # else the child, without that thread, would wait for the lock for ever
    building = threading.Event()

    def build():
        with EXCLUSIVE:
            building.set()
            time.sleep(0.3)

    thread = threading.Thread(target=build)
    thread.start()
    building.wait(10.0)
    child = os.fork()
    if child == 0:  # no pytest from here on
        os._exit(0 if EXCLUSIVE.acquire(timeout=5.0) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join(10.0)
    with EXCLUSIVE:  # and the parent's is free again
        pass


def test_warp_without_the_notes_that_are_made_each_threads_own_is_refused(monkeypatch):
    _warp.start()
    held = len(_exclusive._held_across_forks)
    monkeypatch.setattr(_recording, "_NOTES", ("_recording_of_tomorrow",))
    with pytest.raises(RuntimeError, match=r"Warp .* has no _recording_of_tomorrow, .*constraints\.txt"):
        _recording.separate_threads()
    assert len(_exclusive._held_across_forks) == held
