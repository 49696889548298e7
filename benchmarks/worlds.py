# SPDX-License-Identifier: Apache-2.0
"""Many small worlds: liquid in a vessel that an action moves, of the size of rewarped's Transport (FluidMove).

2880 particles on a 48^3 grid, 40 substeps of 5e-4 s in each step. An env-step here is `World.step` on its own: no
observation, no reward. See protocol.py for how it is asked.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from protocol import claim_stdout, serve

ANSWERS = claim_stdout()

import time  # noqa: E402

import simenv  # noqa: E402  before torch: it sets how torch's threads wait

# isort: split
import numpy as np  # noqa: E402
import torch  # noqa: E402
import warp as wp  # noqa: E402

from simenv.geometry.shapes import Cup  # noqa: E402
from simenv.physics.device import resolve_device, synchronize  # noqa: E402
from simenv.physics.mpm.materials import Liquid  # noqa: E402
from simenv.physics.mpm.model import PAD  # noqa: E402
from simenv.world import Control, Scene, World  # noqa: E402

PARTICLES, GRID, SUBSTEPS, DT = 2880, 48, 40, 5e-4
RADIUS = 0.1  # of the vessel's inside [m]


def small_scene(waiting: int = 0) -> Scene:
    """The vessel, filled to about its radius, under a spout in which particles wait, if any."""
    dx = 1.0 / GRID
    extent = (GRID - 1 - 2 * PAD) * dx
    scene = Scene(size=(extent,) * 3, dx=dx, substep_dt=DT, substeps=SUBSTEPS)
    scene.add_material("liquid", Liquid(density=1000.0, bulk_modulus=1e5))
    centre, bottom = extent / 2, 0.1
    scene.add_body("vessel", position=(centre, centre, bottom))
    scene.add_collider("vessel", Cup(RADIUS, 0.25, 0.05, 0.05), body="vessel", width=dx / 4)
    volume = (dx / 2) ** 3
    random = np.random.default_rng(0)
    radius, angle = 0.9 * RADIUS * np.sqrt(random.random(PARTICLES)), 2 * np.pi * random.random(PARTICLES)
    height = 0.02 + random.random(PARTICLES) * PARTICLES * volume / (np.pi * (0.9 * RADIUS) ** 2)
    x = np.stack([centre + radius * np.cos(angle), centre + radius * np.sin(angle), bottom + 0.05 + height], 1)
    scene.add_particles("liquid", "liquid", x, volume)
    if waiting:
        scene.add_body("spout", position=(0.2, 0.2, 0.6))
        scene.add_emitter("spout", "spout", "liquid", waiting, radius=0.02, speed=0.5, count=SUBSTEPS)
    model = scene.mpm_model()
    if model.shape != (GRID,) * 3:
        raise ValueError(f"grid {model.shape}; it should have {GRID} nodes along each axis")
    return scene


def rollout(world: World, twists: torch.Tensor) -> None:
    """Steps with `twists` (T, N, 1, 6), and their gradient if they require one."""
    state = world.initial_state()
    closed = torch.zeros_like(state.emitted, dtype=torch.bool)
    for twist in twists:
        state = world.step(state, Control(twist, closed))
    if bool(state.status.any()):
        raise RuntimeError(f"status {state.status.tolist()}")
    if twists.requires_grad:
        state.x.square().mean((1, 2)).sum().backward()
        if twists.grad is None or not torch.isfinite(twists.grad).all():
            raise RuntimeError("the gradient is missing or not finite")


class Server:
    """One batch of worlds for each number of them."""

    def setup(self, request: dict) -> dict:
        """Take the device; answer with versions."""
        self.device = resolve_device(request.get("device", "cpu"))
        wp.config.log_level = wp.LOG_ERROR
        torch.set_num_threads(1)  # torch only moves states
        self.batches: dict[tuple[int, int], World] = {}
        return {"simenv": simenv.__version__, "warp": wp.__version__, "torch": torch.__version__}

    def run(self, request: dict) -> dict:
        """Env-steps per second of ``worlds`` worlds for ``steps`` steps with ``threads`` threads; ``waiting`` particles
        of each are still in a closed spout.
        """
        count, steps, waiting = request["worlds"], request["steps"], request.get("waiting", 0)
        simenv.set_num_threads(request["threads"])
        if (count, waiting) not in self.batches:
            self.batches[count, waiting] = World(small_scene(waiting), count, device=self.device)
        world = self.batches[count, waiting]
        generator = torch.Generator().manual_seed(0)
        twists = torch.zeros(steps, count, len(world.body_names), 6, device=self.device)
        twists[..., :1, :3] = (0.4 * torch.rand(steps, count, 1, 3, generator=generator) - 0.2).to(self.device)
        twists.requires_grad_(request["gradient"])
        start = time.perf_counter()
        rollout(world, twists)
        synchronize(self.device)
        return {"rate": count * steps / (time.perf_counter() - start)}


if __name__ == "__main__":
    serve(Server(), ANSWERS)
