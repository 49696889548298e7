# SPDX-License-Identifier: Apache-2.0
"""MuJoCo's C engine on the same Panda, one thread: no contact, no limits, no solver of constraints, Euler's method. It
shares no code with simenv; see ../protocol.py for how it is asked.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from protocol import claim_stdout, serve, spent

ANSWERS = claim_stdout()

from collections.abc import Callable  # noqa: E402

import mujoco  # noqa: E402
import numpy as np  # noqa: E402
from mujoco import rollout  # noqa: E402

FULL = mujoco.mjtState.mjSTATE_FULLPHYSICS
OFF = ("mjDSBL_CONSTRAINT", "mjDSBL_CONTACT", "mjDSBL_EQUALITY", "mjDSBL_LIMIT", "mjDSBL_FRICTIONLOSS")


class Server:
    """One model, and data for each world."""

    def setup(self, request: dict) -> dict:
        """Read the robot; answer with versions."""
        self.model = mujoco.MjModel.from_xml_path(request["file"])
        self.model.opt.timestep = request["dt"]
        for name in OFF:
            self.model.opt.disableflags |= int(getattr(mujoco.mjtDisableBit, name))
        self.worlds = [mujoco.MjData(self.model) for _ in range(request["worlds"])]
        self.ticks = request["ticks"]
        self.rollout = rollout.Rollout(nthread=0)
        return {"mujoco": mujoco.__version__, "numpy": np.__version__}

    def _set(self, data: mujoco.MjData, q: list[float], v: list[float], tau: list[float]) -> None:
        mujoco.mj_resetData(self.model, data)
        data.qpos[:], data.qvel[:], data.qfrc_applied[:] = q, v, tau

    def _place(self, request: dict) -> None:
        for data, *start in zip(self.worlds, request["q"], request["v"], request["tau"], strict=True):
            self._set(data, *start)

    def accelerations(self, request: dict) -> dict:
        """Of the joints, (N, 9)."""
        data, found = mujoco.MjData(self.model), []
        for start in zip(request["q"], request["v"], request["tau"], strict=True):
            self._set(data, *start)
            mujoco.mj_forward(self.model, data)
            found.append(data.qacc.tolist())
        return {"float64": found}

    def _microseconds(self, run: Callable[[], None]) -> dict:
        return spent(run, len(self.worlds) * self.ticks)

    def loop(self, request: dict) -> dict:
        """Processor time of a step of a world [us]: all steps of a world, then those of the next."""
        self._place(request)

        def run() -> None:
            for data in self.worlds:
                mujoco.mj_step(self.model, data, self.ticks)

        return self._microseconds(run)

    def batch(self, request: dict) -> dict:
        """The same by `mujoco.rollout`, whose loop is in C and whose worlds share one data."""
        self._place(request)
        states = np.zeros((len(self.worlds), mujoco.mj_stateSize(self.model, FULL)))
        for row, data in zip(states, self.worlds, strict=True):
            mujoco.mj_getState(self.model, data, row, FULL)
        data = self.worlds[0]
        return self._microseconds(lambda: self.rollout.rollout(self.model, data, states, nstep=self.ticks))


if __name__ == "__main__":
    serve(Server(), ANSWERS)
