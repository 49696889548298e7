# SPDX-License-Identifier: Apache-2.0
"""Peak memory of a gradient rollout, as what the rollout adds to the process; see protocol.py for how it is asked.

`World.step` keeps the state that enters a control step and simulates the step again in the backward pass, which is
torch's usual graph (``keep``); ``checkpoint`` lets torch also drop those inside segments of sqrt(T) steps. Measure in a
process of its own, with kernels compiled before.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from protocol import claim_stdout, serve

ANSWERS = claim_stdout()

import resource  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

import simenv  # noqa: E402  before torch: it sets how torch's threads wait

# isort: split
import numpy as np  # noqa: E402
import torch  # noqa: E402
import warp as wp  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402
from worlds import small_scene  # noqa: E402

from simenv.physics.device import on_cuda, resolve_device  # noqa: E402
from simenv.physics.mpm.materials import Liquid  # noqa: E402
from simenv.physics.mpm.model import PAD  # noqa: E402
from simenv.world import Control, Scene, State, World  # noqa: E402


def liquid_scene(config: dict, particles: str) -> Scene:
    """The liquid of the comparison with the peers, `config["substeps"]` of them in a control step."""
    dx, data = 1.0 / config["grid"], np.load(particles)
    extent = 1.0 - (2 * PAD + 1) * dx
    scene = Scene((extent,) * 3, dx, config["dt"], config["substeps"], origin=(PAD * dx,) * 3)
    scene.add_material("liquid", Liquid(density=config["density"], bulk_modulus=config["bulk_modulus"]))
    scene.add_particles("liquid", "liquid", data["x_unsorted"], config["volume"], data["v_unsorted"])
    return scene


def peak_mb(device: torch.device) -> float:
    """Peak memory of the device, or on the CPU of this process."""
    if on_cuda(device):
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Server:
    """One rollout."""

    def setup(self, request: dict) -> dict:
        """Take the device; answer with versions."""
        self.device = resolve_device(request.get("device", "cpu"))
        wp.config.log_level = wp.LOG_ERROR
        simenv.set_num_threads(request["threads"])
        torch.set_num_threads(request["threads"])
        return {"simenv": simenv.__version__, "warp": wp.__version__, "torch": torch.__version__}

    def run(self, request: dict) -> dict:
        """A rollout of ``steps`` control steps of ``scene`` ("small" or "liquid"), ``keep`` or ``checkpoint``."""
        small, steps = request["scene"] == "small", request["steps"]
        scene = small_scene() if small else liquid_scene(request["config"], request["particles"])
        world = World(scene, 1, self.device)
        start = world.initial_state()
        v = start.v.clone().requires_grad_()
        generator = torch.Generator().manual_seed(0)
        twists = torch.zeros(steps, 1, len(world.body_names), 6)
        twists[..., :3] = 0.2 * (2 * torch.rand(twists[..., :3].shape, generator=generator) - 1)
        twists = twists.to(self.device).requires_grad_()
        before, clock = peak_mb(self.device), time.perf_counter()

        def advance(state: State, part: torch.Tensor) -> State:
            for twist in part:
                state = world.step(state, Control(twist))
            return state

        state = start.replace(v=v)
        length = max(1, round(steps**0.5)) if request["mode"] == "checkpoint" else steps
        for part in twists.split(length):
            if request["mode"] == "checkpoint":
                state = checkpoint(advance, state, part, use_reentrant=False)
            else:
                state = advance(state, part)
        if int(state.status[0]) != 0:
            raise RuntimeError(f"status {int(state.status[0])}")
        (0.5 * state.v.square().sum(-1).mean()).backward()
        if v.grad is None or not torch.isfinite(v.grad).all():
            raise RuntimeError("the gradient is missing or not finite")
        answer: dict[str, Any] = {"added_mb": peak_mb(self.device) - before, "seconds": time.perf_counter() - clock}
        x, u, J, g = (tensor[0].detach().double() for tensor in (state.x, state.v, state.J, v.grad))
        answer |= {"mean_x": x.mean(0).tolist(), "mean_v": u.mean(0).tolist()}
        answer["J"] = [J.mean().item(), J.min().item(), J.max().item()]
        return {**answer, "gradient_v0": [*g.sum(0).tolist(), g.norm().item()]}


if __name__ == "__main__":
    serve(Server(), ANSWERS)
