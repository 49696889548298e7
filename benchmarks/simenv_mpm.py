# SPDX-License-Identifier: Apache-2.0
"""simenv's MLS-MPM solver on the benchmark's liquid; see protocol.py for how it is asked."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from protocol import claim_stdout, serve, timed

ANSWERS = claim_stdout()

import time  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from functools import partial  # noqa: E402

import simenv  # noqa: E402  before torch: it sets how torch's threads wait

# isort: split
import numpy as np  # noqa: E402
import torch  # noqa: E402
import warp as wp  # noqa: E402

from simenv.physics.device import on_cuda, resolve_device, synchronize  # noqa: E402
from simenv.physics.launch.slots import Memory  # noqa: E402
from simenv.physics.mpm.columns import DENSITY, LAME_LAMBDA  # noqa: E402
from simenv.physics.mpm.kernels_transfer import LIQUID  # noqa: E402
from simenv.physics.mpm.model import PAD, MPMModel  # noqa: E402
from simenv.physics.mpm.solver import MPMStepper  # noqa: E402
from simenv.physics.program import Program  # noqa: E402
from simenv.physics.solver import Desk, Tensors  # noqa: E402


class Server:
    """One program for each order of the particles."""

    def setup(self, request: dict) -> dict:
        """Take the scene, the device and the number of threads; answer with versions."""
        self.config, self.threads = request["config"], request["threads"]
        self.device = resolve_device(request.get("device", "cpu"))
        self.wait = partial(synchronize, self.device)
        self.lanes = 1 if on_cuda(self.device) else self.threads
        torch.set_num_threads(self.threads)
        wp.config.log_level = wp.LOG_ERROR
        self.pool = ThreadPoolExecutor(self.lanes) if self.lanes > 1 else None
        self.programs: dict[str, tuple[Program, Tensors]] = {}
        return {
            "simenv": simenv.__version__,
            "warp": wp.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": sys.version.split()[0],
        }

    def build(self, request: dict) -> dict:
        """Compile and record ``program`` ("forward" or "gradient") for the particles of ``order``."""
        c, order = self.config, request["order"]
        if order not in self.programs:
            data = np.load(request["particles"])
            worlds, new = c["worlds"], {"device": self.device}
            x, v = (torch.from_numpy(data[f"{name}_{order}"]).repeat(worlds, 1, 1).to(self.device) for name in "xv")
            count, dx = x.shape[1], 1.0 / c["grid"]
            # the solver adds PAD nodes on each side to its domain: together they are the cube of grid^3 nodes at i dx
            size, origin = (1.0 - (2 * PAD + 1) * dx,) * 3, (PAD * dx,) * 3
            material = np.zeros(count, dtype=np.int32)
            model = MPMModel(size, dx, c["dt"], c["substeps"], material, (LIQUID,), origin=origin)
            if model.shape != (c["grid"],) * 3:
                raise ValueError(f"grid {model.shape}; it should have {c['grid']} nodes along each axis")
            parameters = torch.zeros(worlds, 1, 8, **new)
            parameters[..., DENSITY], parameters[..., LAME_LAMBDA] = c["density"], c["bulk_modulus"]
            volume = torch.full((worlds, count), c["volume"], **new)
            gravity = torch.tensor([[0.0, 0.0, -c["gravity"]]], **new).repeat(worlds, 1)
            one = torch.ones(worlds, count, **new)
            inputs = {"x": x, "v": v, "C": torch.zeros(worlds, count, 3, 3, **new), "J": one, "active": one}
            inputs |= {"volume": volume, "parameters": parameters, "gravity": gravity}
            self.programs[order] = self._program(model, worlds), inputs
        start = time.perf_counter()
        self.programs[order][0].prepare(request["program"] == "gradient")
        self._run(request)
        return {"first_s": time.perf_counter() - start}

    def _program(self, model: MPMModel, worlds: int) -> Program:
        memory = Memory(worlds, torch.float32, self.device)
        desk = Desk(worlds, self.device, torch.float32, model.substeps, model.dt, self.lanes, 1, memory, None)
        return Program({"particles": MPMStepper(model, worlds, self.device, torch.float32, lanes=self.lanes)}, desk)

    def _run(self, request: dict) -> None:
        # loading sorts the particles, and results are put back in order: both are part of every control step
        program, inputs = self.programs[request["order"]]
        gradient = request["program"] == "gradient"
        program.forward({"particles": inputs}, gradient, self.pool)
        v = self._in_order(program, program.results())["v"]
        if gradient:
            program.backward({"particles": {"v": v / v.shape[1]}}, self.pool)
            self._in_order(program, program.adjoints())
        self.wait()

    def _in_order(self, program: Program, values: dict[str, Tensors]) -> Tensors:
        """Copies of results, or adjoints, in the order in which the particles were given."""
        out = {}
        for name, value in values["particles"].items():
            out[name] = torch.zeros_like(value)
            program.steppers["particles"].store(name, value, out[name])
        return out

    def run(self, request: dict) -> dict:
        """Times of ``repeats`` rollouts."""
        return timed(lambda: self._run(request), self.wait, request["repeats"], self.config["substeps"])

    def check(self, request: dict) -> dict:
        """Moments of the state after the last rollout, and of the gradient."""
        program, _ = self.programs[request["order"]]
        result = self._in_order(program, program.results())
        x, v, J = (result[name][0].double() for name in ("x", "v", "J"))
        out = {"mean_x": x.mean(0).tolist(), "mean_v": v.mean(0).tolist()}
        out["J"] = [J.mean().item(), J.min().item(), J.max().item()]
        if int(result["status"][0]) != 0:
            raise RuntimeError(f"status {int(result['status'][0])}")
        if request["program"] == "gradient":
            g = self._in_order(program, program.adjoints())["v"][0].double()
            out["gradient_v0"] = [*g.sum(0).tolist(), g.norm().item()]
        return out


if __name__ == "__main__":
    serve(Server(), ANSWERS)
