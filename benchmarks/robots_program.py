# SPDX-License-Identifier: Apache-2.0
"""Worlds of one Panda without contact and limits, on one thread: control steps, their gradients, and what the time of a
tick goes into. See robots.py for what is measured, protocol.py for how it is asked.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from protocol import claim_stdout, serve, spent

ANSWERS = claim_stdout()

import math  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import replace  # noqa: E402
from functools import partial  # noqa: E402

import simenv  # noqa: E402  before torch: it sets how torch's threads wait

# isort: split
import torch  # noqa: E402
import warp as wp  # noqa: E402

from simenv.physics.bodies.robot_stepper import RobotStepper  # noqa: E402
from simenv.physics.device import launch_graph  # noqa: E402
from simenv.physics.launch.capture import record  # noqa: E402
from simenv.robots import Joint, JointDrive, Tree, load  # noqa: E402
from simenv.world import Control, Scene, State, World  # noqa: E402

DTYPES = {"float32": torch.float32, "float64": torch.float64}
PASSES = 200  # of a launch that is timed by itself


def unbounded(joint: Joint) -> Joint:
    """A joint that turns as far and as fast as it is pushed, by a motor as strong as it is told."""
    return replace(joint, lower=-math.inf, upper=math.inf, effort=math.inf, speed=math.inf)


def pandas(worlds: int, ticks: int, dtype: torch.dtype, dt: float) -> World:
    """Worlds of a Panda without limits, whose drives have no gains, which are taken along all the same."""
    tree, scene = load("panda"), Scene(substep_dt=dt, substeps=ticks)
    links = (replace(link, joint=unbounded(link.joint)) for link in tree.links)
    scene.add_robot("arm", Tree("panda", tuple(links), tree.posture), drive=JointDrive())
    return World(scene, worlds, dtype=dtype)


class Server:
    """The same worlds in both precisions."""

    make: Callable[[int, int, torch.dtype, float], World] = staticmethod(pandas)

    def setup(self, request: dict) -> dict:
        """Make the worlds; answer with versions."""
        simenv.set_num_threads(1)
        wp.config.log_level = wp.LOG_ERROR
        self.ticks, self.dt = request["ticks"], request["dt"]
        self.worlds = {name: self.make(request["worlds"], self.ticks, dtype, self.dt) for name, dtype in DTYPES.items()}
        return {"simenv": simenv.__version__, "warp": wp.__version__, "torch": torch.__version__}

    def _start(self, request: dict, world: World) -> tuple[State, Control]:
        """Where the joints are (N, 9), their rates, and torques of motors."""
        q, v, tau = (torch.tensor(request[name], dtype=world.dtype) for name in ("q", "v", "tau"))
        return world.initial_state().replace(joint_q=q, joint_qd=v), Control(joint_torque=tau)

    def _half_a_tick_before(self, state: State) -> State:
        return state.replace(joint_q=state.joint_q - 0.5 * self.dt * state.joint_qd)

    def accelerations(self, request: dict) -> dict:
        """Of the joints, (N, 9) by precision: those in the middle of a tick."""
        found = {}
        for name, dtype in DTYPES.items():
            world = self.make(len(request["q"]), 1, dtype, self.dt)
            state, control = self._start(request, world)
            state = self._half_a_tick_before(state)
            found[name] = ((world.step(state, control).joint_qd - state.joint_qd) / self.dt).tolist()
        return found

    def _microseconds(self, world: World, run: Callable[[], None]) -> dict:
        return spent(run, world.num_worlds * self.ticks)

    def forward(self, request: dict) -> dict:
        """Processor time of a tick of a world [us], in a control step."""
        world = self.worlds[request["dtype"]]
        state, control = self._start(request, world)
        return self._microseconds(world, lambda: self._check(world.step(state, control)))

    def gradient(self, request: dict) -> dict:
        """The same with a gradient, of robots by positions, rates and torques."""
        world = self.worlds[request["dtype"]]
        state, control = self._start(request, world)
        leaves = self._leaves(state, control)

        def run() -> None:
            end = world.step(state, control)
            self._check(end)
            torch.autograd.grad(self._total(end), leaves)

        return self._microseconds(world, run)

    def _leaves(self, state: State, control: Control) -> list[torch.Tensor]:
        return [state.joint_q.requires_grad_(), state.joint_qd.requires_grad_(), control.joint_torque.requires_grad_()]

    def _total(self, end: State) -> torch.Tensor:
        return end.joint_q.sum() + end.joint_qd.sum()

    def _check(self, state: State) -> None:
        if bool(state.status.any()):
            raise RuntimeError(f"status {state.status.tolist()}")

    def parts(self, request: dict) -> dict:
        """Processor time of each launch of a tick of a world [us], forward and in reverse: medians of passes in which
        it runs by itself, on worlds in its caches.
        """
        world = self.worlds[request["dtype"]]
        self.gradient(request)  # so that its memory is there
        program = world.engine.program()
        stepper, frames = program.steppers["robots"], program.desk.frames
        assert isinstance(stepper, RobotStepper)
        worlds, device = stepper.desk.worlds, stepper.desk.memory.wp_device
        found: dict[str, list[float]] = {}
        for launch in (*stepper._tick(0, True), frames.clear(*frames.wrench(0))):
            each = [self._alone(partial(launch.forward, device), worlds, device)]
            if launch.differentiable:
                each.append(self._alone(partial(launch.backward, device), worlds, device))
            name = launch.kernel.key.rpartition("locals__")[2]
            earlier = found.get(name, [0.0, 0.0])
            found[name] = [a + b for a, b in zip(earlier, [*each, 0.0], strict=False)]
        return {"parts": found}

    def _alone(self, run: Callable[[], None], worlds: int, device: wp.Device) -> float:
        def passes() -> None:
            for _ in range(PASSES):
                run()

        graph, times = record([], passes, device), []
        for _ in range(6):
            start = time.process_time()
            launch_graph(graph, torch.device("cpu"))
            times.append(time.process_time() - start)
        return 1e6 * sorted(times[1:])[2] / PASSES / worlds


if __name__ == "__main__":
    serve(Server(), ANSWERS)
