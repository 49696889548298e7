# SPDX-License-Identifier: Apache-2.0
"""Newton's Featherstone on the same Panda, one thread, recorded as a graph: no contact, no limits, no drives. Its
gradient is that of Warp's tape. It shares no code with simenv; see ../protocol.py for how it is asked.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from protocol import claim_stdout, serve

ANSWERS = claim_stdout()

import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import newton  # noqa: E402
import numpy as np  # noqa: E402
import warp as wp  # noqa: E402
from newton.solvers import SolverFeatherstone  # noqa: E402


class Pandas:
    """Worlds of a robot, and states of all steps if they have a gradient."""

    def __init__(self, request: dict, worlds: int, ticks: int, gradient: bool):
        one = newton.ModelBuilder()
        one.add_urdf(request["file"], floating=False, enable_self_collisions=False)
        rates = len(one.joint_qd)
        one.joint_target_ke, one.joint_target_kd = [0.0] * rates, [0.0] * rates
        one.joint_limit_ke, one.joint_limit_kd = [0.0] * rates, [0.0] * rates
        one.joint_armature, one.joint_friction = [0.0] * rates, [0.0] * rates
        many = newton.ModelBuilder()
        many.replicate(one, worlds)
        self.model = many.finalize(device="cpu", requires_grad=gradient)
        self.solver = SolverFeatherstone(self.model, angular_damping=0.0)
        self.states = [self.model.state() for _ in range(ticks + 1 if gradient else 2)]
        self.control, self.dt, self.ticks, self.gradient = self.model.control(), request["dt"], ticks, gradient
        self.control.joint_f.requires_grad = gradient
        self.worlds = worlds

    def place(self, request: dict) -> None:
        """Positions, rates and torques of all worlds."""
        for name, array in (
            ("q", self.states[0].joint_q), ("v", self.states[0].joint_qd), ("tau", self.control.joint_f),
        ):  # fmt: skip
            array.assign(np.array(request[name], dtype=np.float32)[: self.worlds].ravel())

    def run(self) -> None:
        """All steps."""
        for tick in range(self.ticks):
            now, after = (tick, tick + 1) if self.gradient else (tick % 2, (tick + 1) % 2)
            self.solver.step(self.states[now], self.states[after], self.control, None, self.dt)


class Server:
    """Worlds that step, and fewer that have a gradient."""

    def setup(self, request: dict) -> dict:
        """Read the robot; answer with versions."""
        wp.config.log_level = wp.LOG_ERROR
        self.request, self.ticks = request, request["ticks"]
        self.stepping = Pandas(request, request["worlds"], self.ticks, False)
        self.graph = self._recorded(self.stepping.run)
        self.taped: Pandas | None = None
        return {"newton": newton.__version__, "warp": wp.__version__}

    def _recorded(self, run: Callable[[], None]) -> wp.Graph:
        run()  # which compiles
        with wp.ScopedCapture(device="cpu") as capture:
            run()
        return capture.graph

    def accelerations(self, request: dict) -> dict:
        """Of the joints, (N, 9)."""
        pandas = Pandas(self.request, len(request["q"]), 1, False)
        pandas.place(request)
        before = pandas.states[0].joint_qd.numpy().copy()
        pandas.run()
        found = (pandas.states[1].joint_qd.numpy() - before) / pandas.dt
        return {"float32": found.reshape(len(request["q"]), -1).tolist()}

    def _microseconds(self, pandas: Pandas, run: Callable[[], None]) -> dict:
        start, cpu = time.perf_counter(), time.process_time()
        run()
        cpu, seconds = time.process_time() - cpu, time.perf_counter() - start
        return {"us": 1e6 * cpu / pandas.worlds / self.ticks, "cpu_per_wall": cpu / seconds}

    def forward(self, request: dict) -> dict:
        """Processor time of a step of a world [us]."""
        self.stepping.place(request)
        return self._microseconds(self.stepping, lambda: wp.capture_launch(self.graph))

    def gradient(self, request: dict) -> dict:
        """The same with the gradient by positions, rates and torques, in fewer worlds: it takes long."""
        if self.taped is None:
            self.taped = Pandas(self.request, request["taped"], self.ticks, True)
            self._differentiate(self.taped)  # which compiles
        taped = self.taped
        taped.place(request)
        return self._microseconds(taped, lambda: self._differentiate(taped))

    def _differentiate(self, pandas: Pandas) -> None:
        with wp.Tape() as tape:
            pandas.run()
        ends = (pandas.states[-1].joint_q, pandas.states[-1].joint_qd)
        tape.backward(grads={end: wp.ones_like(end, requires_grad=False) for end in ends})
        tape.zero()


if __name__ == "__main__":
    serve(Server(), ANSWERS)
