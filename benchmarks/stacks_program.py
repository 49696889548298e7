# SPDX-License-Identifier: Apache-2.0
"""Worlds of five cubes on each other, on one thread: control steps, their gradients, and what the time of a tick goes
into. See stacks.py for what is measured, protocol.py for how it is asked.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from robots_program import ANSWERS, DTYPES, Server  # which claims stdout before it imports what prints

# isort: split
import torch
from protocol import serve

from simenv.geometry import Box, Plane
from simenv.world import Control, Scene, State, World


def stacks(worlds: int, ticks: int, dtype: torch.dtype, dt: float) -> World:
    """Worlds of five cubes of 0.1 m and 1 kg, near rigid as by default."""
    scene = Scene(substep_dt=dt, substeps=ticks)
    scene.add_body("ground", Plane(), motion="fixed")
    for i in range(5):
        place = (0.0, 0.0, 0.05 + 0.1 * i)
        scene.add_body(f"cube {i}", Box((0.05, 0.05, 0.05)), 1000.0, place, motion="free", coupling="rigid")
    return World(scene, worlds, dtype=dtype)


class Stacks(Server):
    """The same worlds in both precisions, as they are put and as they stand a while later."""

    make = staticmethod(stacks)

    def settle(self, request: dict) -> dict:
        """Let the cubes stand for some control steps; answer how many points touch in a world, and by how much the top
        one is low [m].
        """
        self.states: dict[str, dict[str, State]] = {"put": {}, "settled": {}}
        for name, world in self.worlds.items():
            state = world.initial_state()
            self.states["put"][name] = state
            with torch.no_grad():
                for _ in range(request["steps"]):
                    state = world.step(state, Control())
            self._check(state)
            self.states["settled"][name] = state
        touching = (state.contact_impulse.abs().amax(-1) > 0.0).sum(1).double().mean()
        low = 0.45 - world.bodies["cube 4"].pose(state)[:, 2].mean()
        return {"contacts": float(touching), "low": float(low)}

    def _start(self, request: dict, world: World) -> tuple[State, Control]:
        """Where the cubes are, as they were put or as they stand."""
        name = next(name for name, dtype in DTYPES.items() if dtype == world.dtype)
        return self.states[request["state"]][name].detach(), Control()

    def _leaves(self, state: State, control: Control) -> list[torch.Tensor]:
        return [state.body_q.requires_grad_(), state.body_twist.requires_grad_()]

    def _total(self, end: State) -> torch.Tensor:
        return end.body_q.sum() + end.body_twist.sum()


if __name__ == "__main__":
    serve(Stacks(), ANSWERS)
