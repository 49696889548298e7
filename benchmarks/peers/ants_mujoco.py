# SPDX-License-Identifier: Apache-2.0
"""MuJoCo's C engine on the same ants, one thread: Gymnasium's file with Euler's method and contact at the surface. It
shares no code with simenv; see ../protocol.py for how it is asked.
"""

from robots_mujoco import ANSWERS, FULL, Server  # which claims stdout before it imports what prints

# isort: split
import mujoco
import numpy as np
from mujoco import rollout
from protocol import serve


class Ants(Server):
    """One model, and data for each world."""

    def setup(self, request: dict) -> dict:
        """Read the robot; answer with versions."""
        self.model = mujoco.MjModel.from_xml_path(request["file"])
        self.model.opt.timestep = request["dt"]
        self.model.opt.integrator = mujoco.mjtIntegrator.mjINT_EULER
        self.model.geom_margin[:] = 0.0
        self.worlds = [mujoco.MjData(self.model) for _ in range(request["worlds"])]
        self.ticks = request["ticks"]
        self.rollout = rollout.Rollout(nthread=0)
        return {"mujoco": mujoco.__version__, "numpy": np.__version__}

    def _set(self, data: mujoco.MjData, q: list[float], v: list[float], tau: list[float]) -> None:
        """Quaternions come with x first, and rates in world axes; MuJoCo turns the torso about its own."""
        mujoco.mj_resetData(self.model, data)
        data.qpos[:], data.qvel[:], data.qfrc_applied[:] = q, v, tau
        data.qpos[3:7] = np.array(q)[[6, 3, 4, 5]]
        data.qvel[3:6] = self._turn(data).T @ data.qvel[3:6]
        mujoco.mj_forward(self.model, data)  # whose accelerations the solver starts from

    def _turn(self, data: mujoco.MjData) -> np.ndarray:
        matrix = np.zeros(9)
        mujoco.mju_quat2Mat(matrix, data.qpos[3:7])
        return matrix.reshape(3, 3)

    def accelerations(self, request: dict) -> dict:
        """Of a step in the air from rest, world axes, (N, 14)."""
        data, found = mujoco.MjData(self.model), []
        for start in zip(request["q"], request["v"], request["tau"], strict=True):
            self._set(data, *start)
            turn = self._turn(data)
            mujoco.mj_step(self.model, data)
            rates = data.qvel / self.model.opt.timestep
            rates[3:6] = turn @ rates[3:6]
            found.append(rates.tolist())
        return {"float64": found}

    def start(self, request: dict) -> dict:
        """Keep where the worlds start, (N, 15) and (N, 14); answer how many points touch there, on average."""
        self.first = {"q": request["q"], "v": request["v"]}
        self._place({"tau": np.zeros((len(self.worlds), self.model.nv))})
        return {"contacts": float(np.mean([data.ncon for data in self.worlds]))}

    def _place(self, request: dict) -> None:
        super()._place({**self.first, "tau": request["tau"]})

    def batch(self, request: dict) -> dict:
        """Processor time of a step of a world [us], by `mujoco.rollout`, whose loop is in C."""
        self._place(request)
        states = np.zeros((len(self.worlds), mujoco.mj_stateSize(self.model, FULL)))
        for row, data in zip(states, self.worlds, strict=True):
            mujoco.mj_getState(self.model, data, row, FULL)
        warm = np.array([data.qacc_warmstart for data in self.worlds])
        torque = np.repeat(np.array(request["tau"])[:, None], self.ticks, 1)
        spec, data = int(mujoco.mjtState.mjSTATE_QFRC_APPLIED), self.worlds[0]

        def run() -> None:
            self.rollout.rollout(
                self.model, data, states, torque, control_spec=spec, nstep=self.ticks, initial_warmstart=warm
            )

        return self._microseconds(run)


if __name__ == "__main__":
    serve(Ants(), ANSWERS)
