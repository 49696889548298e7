# SPDX-License-Identifier: Apache-2.0
"""rewarped's Transport (FluidMove) on the CPU: liquid in a box that an action moves, 2880 particles, 48^3 grid,
40 substeps of 5e-4 s in a step.

Runs in its own environment, without simenv; see ../protocol.py for how it is asked. An env-step is its `step`, reward
and observation included, which are small against the 40 substeps. Warp 1.3 runs on one thread of the CPU.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from protocol import claim_stdout, serve

ANSWERS = claim_stdout()

import time  # noqa: E402
from importlib.metadata import version  # noqa: E402

try:
    import torch
    import warp as wp
    from rewarped.envs.softgym.transport import Transport
except ImportError as error:
    raise SystemExit(
        f"{error}: rewarped runs in its own environment; `pip install torch==2.13.0 rewarped==1.3.3 gym==0.23.1 "
        "tensorboard` there and name its Python in SIMENV_BENCH_REWARPED_PYTHON"
    ) from error


class Server:
    """One environment for each number of worlds, with and without gradients."""

    def setup(self, request: dict) -> dict:
        """Take the device; answer with versions."""
        self.device = request.get("device", "cpu")
        torch.set_num_threads(1)
        self.environments: dict[tuple[int, bool], Transport] = {}
        return {"rewarped": version("rewarped"), "rewarped's warp": wp.config.version}

    def run(self, request: dict) -> dict:
        """Env-steps per second of ``worlds`` worlds for ``steps`` steps."""
        count, steps, gradient = request["worlds"], request["steps"], request["gradient"]
        if (count, gradient) not in self.environments:
            env = Transport(num_envs=count, device=self.device, no_grad=not gradient, randomize=False)
            env.reset()
            self.environments[count, gradient] = env
        env = self.environments[count, gradient]
        generator = torch.Generator().manual_seed(0)
        actions = (2 * torch.rand(steps, count, env.num_actions, generator=generator) - 1).to(self.device)
        actions.requires_grad_(gradient)
        if gradient:
            env.clear_grad()
            env.initialize_trajectory()
        start = time.perf_counter()
        total = torch.zeros((), device=self.device)
        for action in actions:
            _, reward, _, _ = env.step(action)
            total = total + reward.sum()
        if gradient:
            total.backward()
            if actions.grad is None:
                raise RuntimeError("the gradient is missing")
        if self.device == "cuda":
            torch.cuda.synchronize()
        return {"rate": count * steps / (time.perf_counter() - start)}


if __name__ == "__main__":
    serve(Server(), ANSWERS)
