# SPDX-License-Identifier: Apache-2.0
"""The launches of what motors do beside the drives of their joints, pull links to goals and carry weight, and what
drives are told in every tick.

With a gradient each tick keeps where links are, what pulls them and what motors make of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simenv.physics.bodies.forest import Forest
from simenv.physics.bodies.kernels_tool_torques import tool_torque_kernels
from simenv.physics.bodies.kernels_tools import tool_kernels
from simenv.physics.launch.slots import Launch, Slot
from simenv.physics.solver import Desk

__all__ = ["Orders", "ToolLaunches", "ToolSlots", "commands_of"]

JOINTS, GOALS = "a joint's drive", "an impedance"  # what may be late
TIMES = 1e5, 1e3  # what holds a joint that moves as told, over its inertia, in double and single precision


@dataclass(frozen=True)
class ToolSlots:
    """The slots of a tick.

    Attributes:
        at: pose and motion of links; columns: the motion that one of every motor's rate gives them; pull: force, torque
            and how much less these are per acceleration; weight, motors: torques that carry it, and in all;
            hard: what motors add to inertia.
    """

    at: list[Slot]
    columns: list[Slot]
    pull: list[Slot]
    weight: Slot
    motors: Slot
    hard: Slot


class ToolLaunches:
    """What motors do beside the drives of their joints.

    Args:
        forest: the trees; desk: what to work with; real: Warp's scalar type.
        array: makes a Warp array of values and a dtype; space: makes work space of a struct, given sizes.
    """

    def __init__(
        self, forest: Forest, desk: Desk, real: Any, array: Callable[[Any, Any], Any],
        space: Callable[..., Any],
    ):  # fmt: skip
        self.set, self._forest, self._desk = forest.tools, forest, desk
        self._kernels, self._torques = tool_kernels(real), tool_torque_kernels(real)
        k, count, motors, slot = self._kernels, len(self.set), len(self.set.motor), desk.memory.slot
        self.struct = k.Tools()
        kinds = {"place": k.vec3, "turn": k.quat, "path_ratio": real, "ratio_of": real}
        for name in k.Tools.vars:
            setattr(self.struct, name, array(getattr(self.set, name), kinds.get(name, int)))
        self._position, self._array = array(forest.position, int), array
        self._late = commands_of(self.set.delay, desk.dt, desk.ticks, GOALS)[0]
        self._back: dict[tuple[int, ...], Any] = {}
        self.inputs: dict[str, Slot] = {}
        if count:
            told = count * (1 + commands_of(self.set.delay, desk.dt, desk.ticks, GOALS)[1])
            self.inputs = {"goal": slot(k.vec3, told), "goal_turn": slot(k.quat, told)}
            self.inputs |= {name: slot(real, 6 * count) for name in ("tool_stiffness", "tool_damping")}
            named = ("posture", "posture_stiffness", "posture_damping")
            self.inputs |= {name: slot(real, motors) for name in named}
        most = int(np.diff(self.set.first).max()) if count else 1
        squares = dict.fromkeys(("null", "slope", "wide"), most * most)
        self._work = space(
            self._torques.Nulled, **squares, inverse=6 * most, gram=36, missing=most, moving=most, pull=most, back=most
        )
        self._ticks: list[ToolSlots] = []

    def slots(self, number: int) -> ToolSlots:
        """Of a tick."""
        k, slot, forest, count, motors = (
            self._kernels, self._desk.memory.slot, self._forest, len(self.set), len(self.set.motor),
        )  # fmt: skip
        rates = forest.rates if self.set.works else 0
        while len(self._ticks) <= number:
            self._ticks.append(ToolSlots(
                [slot(kind, count) for kind in (k.vec3, k.quat, k.vec3, k.vec3)],
                [slot(k.vec3, motors) for _ in range(2)],
                [slot(kind, count) for kind in (k.vec3, k.vec3, k.mat33, k.mat33)],
                slot(k.real, rates), slot(k.real, forest.rates),
                slot(k.real, self.set.size),
            ))  # fmt: skip
        return self._ticks[number]

    def launches(
        self, tick: int, number: int, trees: Any, joints: tuple[Slot, Slot], given: Mapping[str, Slot], work: Any
    ) -> list[Launch]:  # fmt: skip
        """Torques of motors in a tick.

        Args:
            tick: of the step.
            number: of its slots.
            trees: the struct.
            joints: positions midway and rates.
            given: ``gravity`` and ``inertial``.
            work: space of `Motion`, `Swept` and `Spare`.
        """
        if not self.set.works:
            return []
        k, t, desk, now, inputs = self._kernels, self._torques, self._desk, self.slots(number), self.inputs
        here, one, found = [trees, self.struct], (desk.worlds,), []
        if self.set.borne.any():
            weigh = [joints[0], given["gravity"], given["inertial"]]
            out = [now.weight] if len(self.set) else [now.motors]
            found.append(Launch(k.weigh, one, here, weigh, out, k.weigh_adjoint, work))
        if not len(self.set):
            return found
        pulled = [*now.at, *(inputs[name] for name in ("goal", "goal_turn", "tool_stiffness", "tool_damping"))]
        posture = [inputs[name] for name in ("posture", "posture_stiffness", "posture_damping")]
        told = [*joints, now.weight, *now.columns, *now.pull, *posture]
        return [
            *found,
            Launch(k.reach, one, here, joints, [*now.at, *now.columns], k.reach_adjoint, work),
            Launch(k.pull_tool, (desk.worlds, len(self.set)), [desk.dt, self._before(tick)], pulled, now.pull),
            Launch(
                t.torques, one, [*here, desk.dt, self._position], told, [now.motors, now.hard], t.torques_adjoint,
                [self._work],
            ),
        ]  # fmt: skip

    def _before(self, tick: int) -> Any:
        """By how many steps the goal of each in a tick is that of a step before."""
        back = tuple(steps_back(tick, self._late, self._desk.ticks).tolist())
        if back not in self._back:
            self._back[back] = self._array(list(back), int)
        return self._back[back]


class Orders:
    """What drives are told in every tick: by which of the commands, and how far their targets have moved.

    Args:
        forest: the trees; desk: of the steps; eases: how easily each rate yields, (nv,).
        kernels: of `drive_kernels`; array: makes a Warp array of values and a dtype.

    Raises:
        ValueError: a delay is no whole number of ticks, or a joint moves as told in a step of one tick.
    """

    def __init__(self, forest: Forest, desk: Desk, eases: np.ndarray, kernels: Any, array: Any):
        self._forest, self._desk, self._kernels, self._array = forest, desk, kernels, array
        self._late = commands_of(forest.delay, desk.dt, desk.ticks)[0]
        if forest.is_told.any() and desk.ticks < 2:
            raise ValueError("kinematic joints need at least 2 ticks in a control step; give the scene substeps=2")
        times = TIMES[0] if kernels.real.__name__ == "float64" else TIMES[1]
        self._hold = array(np.where(forest.is_told, times / eases, 0.0), kernels.real)
        self._made: dict[tuple, Any] = {}

    def told(self, tick: int) -> Any:
        """The struct of a tick."""
        ticks, forest, late = self._desk.ticks, self._forest, self._late
        back = steps_back(tick, late, ticks)
        passed = np.where(forest.is_told, ticks, tick - late + back * ticks + 1)
        since = np.where(forest.integrates, passed * self._desk.dt, 0.0)
        key = (*back, *since)
        if key not in self._made:
            made = self._kernels.Told()
            made.back, made.since = self._array(back, int), self._array(since, self._kernels.real)
            made.hold = self._hold
            self._made[key] = made
        return self._made[key]

    def left(self, tick: int) -> float:
        """Time from the middle of a tick to the end of its step [s]."""
        return (self._desk.ticks - tick - 0.5) * self._desk.dt


def steps_back(tick: int, late: np.ndarray, ticks: int) -> np.ndarray:
    """By how many steps what commands that are late by some ticks say in a tick is that of a step before."""
    return np.maximum(-((tick - late) // ticks), 0)


def commands_of(delay: np.ndarray, dt: float, ticks: int, whose: str = JOINTS) -> tuple[np.ndarray, int]:
    """Ticks that each rate's commands are late, (nv,) int, and how many commands of steps before matter.

    Args:
        delay: [s], (nv,).
        dt: of a tick [s].
        ticks: of a step.
        whose: the commands are, for messages.

    Raises:
        ValueError: a delay is no whole number of ticks.
    """
    late = np.round(delay / dt)
    worst = int(np.argmax(np.abs(late - delay / dt))) if len(delay) else 0
    if len(delay) and abs(late[worst] - delay[worst] / dt) > 1e-6:
        raise ValueError(
            f"a delay of {delay[worst]:g} s of {whose} is {delay[worst] / dt:.3f} ticks of {dt:g} s; give a "
            "whole number of them"
        )
    return late.astype(int), math.ceil(late.max() / ticks) if len(late) else 0
