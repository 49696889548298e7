# SPDX-License-Identifier: Apache-2.0
"""Worlds of an ant on a floor, on one thread: control steps, their gradients, and what the time of a tick goes into.
See ants.py for what is measured, protocol.py for how it is asked.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from robots_program import ANSWERS, DTYPES, Server  # which claims stdout before it imports what prints

# isort: split
import numpy as np
import torch
from protocol import serve

from simenv.geometry import Plane
from simenv.robots import JointDrive
from simenv.tasks.reference import models
from simenv.tasks.reference.ant import GROUND
from simenv.world import Control, Scene, State, World

WARM = 40  # control steps before the worlds are as they are measured


def ants(worlds: int, ticks: int, dtype: torch.dtype, dt: float) -> World:
    """Worlds of the ant of `SimEnv/Ant-v0`."""
    scene = Scene(substep_dt=dt, substeps=ticks, rigid=GROUND)
    scene.add_body("ground", Plane(), motion="fixed")
    scene.add_robot("ant", models.ant(), drive=JointDrive())
    return World(scene, worlds, dtype=dtype)


class Ants(Server):
    """The same worlds in both precisions, where motors that are told noise have brought them."""

    make = staticmethod(ants)

    def settle(self, request: dict) -> dict:
        """Move the worlds from the posture for a while by noise of a size [N m]; answer where they are and how many
        points touch. Positions (N, 15) have the quaternion's x first; rates (N, 14) are in world axes.
        """
        rng, world = np.random.default_rng(request["seed"]), self.worlds["float64"]
        state = world.initial_state()
        for _ in range(WARM):
            noise = request["size"] * rng.uniform(-1.0, 1.0, (world.num_worlds, 8))
            state = world.step(state, Control(joint_torque=torch.tensor(np.pad(noise, ((0, 0), (6, 0))))))
        self._check(state)
        self.warm = {name: cast(state, dtype) for name, dtype in DTYPES.items()}
        touching = (state.contact_impulse.abs().amax(-1) > 0.0).sum(1).double().mean()
        return {"q": state.joint_q.tolist(), "v": state.joint_qd.tolist(), "contacts": float(touching)}

    def _half_a_tick_before(self, state: State) -> State:
        return state  # it is at rest

    def _start(self, request: dict, world: World) -> tuple[State, Control]:
        """The worlds as they are measured, or (N, 15) positions and (N, 14) rates in the air; and torques (N, 14)."""
        tau = torch.tensor(request["tau"], dtype=world.dtype)
        if "q" not in request:
            name = next(name for name, dtype in DTYPES.items() if dtype == world.dtype)
            return self.warm[name].detach(), Control(joint_torque=tau)
        q, v = (torch.tensor(request[name], dtype=world.dtype) for name in ("q", "v"))
        return world.robots["ant"].place(world.initial_state(), q, v), Control(joint_torque=tau)


def cast(state: State, dtype: torch.dtype) -> State:
    """The same state in a precision."""
    real = {name: value.to(dtype) for name, value in state.items() if value.is_floating_point()}
    return state.replace(**real)


if __name__ == "__main__":
    serve(Ants(), ANSWERS)
