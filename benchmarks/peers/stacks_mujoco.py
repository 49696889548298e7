# SPDX-License-Identifier: Apache-2.0
"""MuJoCo's C engine on the same stacks of cubes, one thread, with its own settings. It shares no code with simenv; see
../protocol.py for how it is asked.
"""

from robots_mujoco import ANSWERS, FULL, Server  # which claims stdout before it imports what prints

# isort: split
import mujoco
import numpy as np
from mujoco import rollout
from protocol import serve

CUBE = '<body pos="0 0 {z}"><freejoint/><geom type="box" size="0.05 0.05 0.05" density="1000"/></body>'


class Stacks(Server):
    """One model, and data for each world."""

    def setup(self, request: dict) -> dict:
        """Make the cubes; answer with versions."""
        cubes = "".join(CUBE.format(z=0.05 + 0.1 * i) for i in range(5))
        floor = '<geom type="plane" size="1 1 0.1"/>'
        self.model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{floor}{cubes}</worldbody></mujoco>")
        self.model.opt.timestep = request["dt"]
        self.worlds = [mujoco.MjData(self.model) for _ in range(request["worlds"])]
        self.ticks = request["ticks"]
        self.rollout = rollout.Rollout(nthread=0)
        return {"mujoco": mujoco.__version__, "numpy": np.__version__}

    def settle(self, request: dict) -> dict:
        """Let the cubes stand for some control steps; answer how many points touch in a world, and by how much the top
        one is low [m].
        """
        data = mujoco.MjData(self.model)
        mujoco.mj_forward(self.model, data)
        self.first = {"put": self._kept(data)}
        mujoco.mj_step(self.model, data, request["steps"] * self.ticks)
        self.first["settled"] = self._kept(data)
        return {"contacts": data.ncon, "low": 0.45 - float(data.qpos[30])}

    def _kept(self, data: mujoco.MjData) -> tuple[np.ndarray, ...]:
        return data.qpos.copy(), data.qvel.copy(), data.qacc_warmstart.copy()

    def _place(self, request: dict) -> None:
        q, v, warm = self.first[request["state"]]
        for data in self.worlds:
            mujoco.mj_resetData(self.model, data)
            data.qpos[:], data.qvel[:], data.qacc_warmstart[:] = q, v, warm

    def batch(self, request: dict) -> dict:
        """Processor time of a step of a world [us], by `mujoco.rollout`, whose loop is in C."""
        self._place(request)
        states = np.zeros((len(self.worlds), mujoco.mj_stateSize(self.model, FULL)))
        for row, data in zip(states, self.worlds, strict=True):
            mujoco.mj_getState(self.model, data, row, FULL)
        warm = np.array([data.qacc_warmstart for data in self.worlds])
        data = self.worlds[0]
        return self._microseconds(
            lambda: self.rollout.rollout(self.model, data, states, nstep=self.ticks, initial_warmstart=warm)
        )


if __name__ == "__main__":
    serve(Stacks(), ANSWERS)
