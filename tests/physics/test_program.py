# SPDX-License-Identifier: Apache-2.0
"""The order in which steppers of a program take their turns, and the responses of pushers in the table of frames."""

import pytest
import torch

from simenv.physics.frames import Frames
from simenv.physics.launch.slots import Memory
from simenv.physics.program import Program
from simenv.physics.solver import Desk, Stepper


class Said(Stepper):
    """A stepper that writes down when it is asked."""

    def __init__(self, name: str, heard: list):
        self._name, self._heard = name, heard

    def _say(self, what: str, tick: int) -> list:
        self._heard.append((what, self._name, tick))
        return []

    def forward(self, tick, keep):
        return self._say("forward", tick)

    def finish(self, tick, keep):
        return self._say("finish", tick)

    def unfinish(self, tick):
        return self._say("unfinish", tick)

    def backward(self, tick):
        return self._say("backward", tick)


def _desk(ticks: int) -> Desk:
    cpu = torch.device("cpu")
    return Desk(1, cpu, torch.float64, ticks, 1e-3, 1, 1, Memory(1, torch.float64, cpu), None)


def test_all_finish_after_all_have_stepped_and_the_reverse_is_opposite() -> None:
    heard: list = []
    program = Program({name: Said(name, heard) for name in "ab"}, _desk(2))
    program._phases((0, 0), "forward")
    forward = [(what, name, tick) for tick in range(2) for what in ("forward", "finish") for name in "ab"]
    assert heard == forward
    heard.clear()
    program._phases((0, 0), "backward")
    opposite = {"forward": "backward", "finish": "unfinish"}
    assert heard == [(opposite[what], name, tick) for what, name, tick in reversed(forward)]


def test_responses_are_zero_at_the_start_of_a_tick_where_asked_for() -> None:
    desk = _desk(2)
    plain, frames = (Frames(desk.memory, 3, [], 2) for _ in range(2))
    frames.answer([2])
    frames.answer([0, 2])
    assert frames.answering == [0, 2]
    [[commands]], [[without]] = frames.forward(0, False), plain.forward(0, False)
    assert len(commands) == len(without) + 1
    response = frames.response(frames.scratch(0, False))
    desk.memory.allocate()
    response.tensor.fill_(1.0)
    for command in commands:
        command()
    assert response.tensor.sum((-1, -2)).tolist() == [[0.0, 36.0, 0.0]]  # nobody reads the row between


def test_who_asks_too_late_is_told() -> None:
    frames = Frames(_desk(1).memory, 3, [], 1)
    frames.answer([1, 2])
    assert frames.settle_answers([0, 1]) == [1]
    with pytest.raises(RuntimeError, match="let the pusher come before"):
        frames.answer([0])
