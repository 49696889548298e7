# SPDX-License-Identifier: Apache-2.0
"""A column of water let go in a box, on one thread, by either liquid. See columns.py for what is measured, protocol.py
for how it is asked.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from protocol import claim_stdout, serve, spent

ANSWERS = claim_stdout()

import numpy as np  # noqa: E402

import simenv  # noqa: E402  before torch: it sets how torch's threads wait

# isort: split
import torch  # noqa: E402
import warp as wp  # noqa: E402

from simenv.physics.mpm.materials import Liquid  # noqa: E402
from simenv.world import Scene, State, World  # noqa: E402

LIQUIDS = {
    "incompressible": Liquid(1000.0, viscosity=0.001, incompressible=True),
    "compressible": Liquid(1000.0, 4e4, 0.001),
}
STEP = 0.02  # of the world [s]


class Server:
    """A world for each liquid and time step."""

    def setup(self, request: dict) -> dict:
        """Keep what is asked; answer with versions."""
        simenv.set_num_threads(1)
        wp.config.log_level = wp.LOG_ERROR
        self.asked = request
        self.worlds: dict[tuple[str, float], World] = {}
        return {"simenv": simenv.__version__, "warp": wp.__version__, "torch": torch.__version__}

    def _world(self, liquid: str, dt: float) -> World:
        if (liquid, dt) not in self.worlds:
            asked, h = self.asked, self.asked["spacing"]
            scene = Scene(asked["box"], asked["dx"], dt, round(STEP / dt), boundary="slip")
            scene.add_material("water", LIQUIDS[liquid])
            axes = [np.arange(h / 2, side, h) for side in asked["water"]]
            x = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
            scene.add_particles("water", "water", x, h**3)
            world = self.worlds[liquid, dt] = World(scene, 1)
            world.step(world.initial_state(), world.zero_control())  # so that its kernels are there
        return self.worlds[liquid, dt]

    def run(self, request: dict) -> dict:
        """Processor time of a simulated second [us], and where particles are at the times that are asked for."""
        world, seen = self._world(request["liquid"], request["dt"]), []
        control, seconds = world.zero_control(), self.asked["seconds"]
        every, first = round(self.asked["every"] / STEP), round(self.asked["seen"] / STEP)

        def steps() -> State:
            state = world.initial_state()
            with torch.no_grad():
                for step in range(1, round(seconds / STEP) + 1):
                    state = world.step(state, control)
                    if step >= first and (step - first) % every == 0:
                        seen.append(state.x[0])
            if bool(state.status.any()):
                raise RuntimeError(f"status {state.status.tolist()}")
            return state

        found = spent(steps, seconds)
        return {**found, "x": [x.tolist() for x in seen]}


if __name__ == "__main__":
    serve(Server(), ANSWERS)
