# SPDX-License-Identifier: Apache-2.0
"""Launch programs: what a solver launches in a control step, recorded once and run as graphs.

The lanes of one large world run on threads of their own and wait for each other after every phase, seven times a
substep with its gradient. They do so inside their graphs, by counting arrivals in memory (`meet`): a barrier of
Python's threads costs 100 to 300 microseconds, this one less than one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import partial

import torch
import warp as wp

from simenv._exclusive import built_once
from simenv._threads import run_together
from simenv.physics.device import launch_graph
from simenv.physics.launch.capture import load, record

Phase = list[list[Callable[[], None]]]  # phase[lane] = launches of that lane; lanes wait for each other after a phase

_ALL = 2**30  # arrivals, more than any phase waits for

# Who waits longer than a few microseconds lets others run: they may need this core to arrive.
_MEET = """
#if !defined(__CUDACC__)
    __atomic_fetch_add(&arrived.data[0], 1, __ATOMIC_ACQ_REL);
    for (int turns = 0; __atomic_load_n(&arrived.data[0], __ATOMIC_ACQUIRE) < goal; ++turns) {
#if defined(__linux__)
        int sched_yield_(void) __asm__("sched_yield");
        if (turns > 2000) sched_yield_();
#endif
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
#endif
"""


@built_once
def meeting_kernel() -> wp.Kernel:
    """The kernel in which lanes wait until all of them have arrived; one thread in each lane's graph."""

    @wp.func_native(_MEET)
    def wait(arrived: wp.array(dtype=wp.int32), goal: int): ...

    @wp.kernel(module="simenv_lanes", enable_backward=False)
    def meet(goal: int, arrived_inout: wp.array(dtype=wp.int32)):
        """Arrive, and wait until `goal` lanes have arrived since the count was zero."""
        wait(arrived_inout, goal)

    return meet


class Programs:
    """Records programs when first asked for, and runs them.

    Args:
        build: makes the phases of the program of a name.
        kernels: gives all kernels of the program of a name; they are loaded before it is recorded.
        lanes: of every phase.
        device: torch device; wp_device: the same for Warp.
    """

    def __init__(
        self,
        build: Callable[[str], Sequence[Phase]],
        kernels: Callable[[str], Iterable[wp.Kernel]],
        lanes: int,
        device: torch.device,
        wp_device: wp.Device,
    ):
        self._build, self._kernels, self._lanes = build, kernels, lanes
        self._device, self._wp_device = device, wp_device
        self._phases: dict[str, Sequence[Phase]] = {}
        self._graphs: dict[tuple[str, bool], list[object]] = {}
        self._arrived = torch.zeros(1, dtype=torch.int32)

    def phases(self, name: str) -> Sequence[Phase]:
        """The phases of a program."""
        if name not in self._phases:
            self._phases[name] = self._build(name)
        return self._phases[name]

    def prepare(self, name: str, side_by_side: bool) -> None:
        """Compile and record, so that the first run does not."""
        self._recorded(name, side_by_side and self._lanes > 1)

    def run(self, name: str, pool: Executor | None) -> None:
        """Run a program; `pool`, with a thread for every lane, runs lanes side by side."""
        side_by_side = self._lanes > 1 and pool is not None
        graphs = self._recorded(name, side_by_side)
        if not side_by_side:
            launch_graph(graphs[0], self._device)
        else:
            self._arrived.zero_()
            launches = [partial(launch_graph, graph, self._device) for graph in graphs]
            run_together(pool, launches, abandon=lambda: self._arrived.fill_(_ALL))

    def _recorded(self, name: str, side_by_side: bool) -> list[object]:
        """A graph for each lane, or one in which lanes take turns."""
        if (name, side_by_side) not in self._graphs:
            load(self._kernels(name), self._wp_device)
            phases = self.phases(name)
            lanes = range(self._lanes)
            groups = [[lane] for lane in lanes] if side_by_side else [list(lanes)]
            self._graphs[name, side_by_side] = [self._record(phases, group) for group in groups]
        return self._graphs[name, side_by_side]

    def _record(self, phases: Sequence[Phase], lanes: list[int]) -> object:
        """The graph of some lanes, which meet the others, if there are others, after every phase."""
        arrived = wp.from_torch(self._arrived)
        meets = [meeting_kernel()] if len(lanes) < self._lanes else []

        def commands() -> None:
            for number, phase in enumerate(phases, 1):
                for lane in lanes:
                    for command in phase[lane]:
                        command()
                for meet in meets:
                    wp.launch(meet, 1, [number * self._lanes], [arrived], device=self._wp_device)

        return record(meets, commands, self._wp_device)
