# SPDX-License-Identifier: Apache-2.0
"""Draws docs/images/gas.png, warm smoke that rises in a room, and a fan that blows it aside, and gas_flow.png, a slice
of the heat and streamlines of the same.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from simenv.geometry import Sphere
from simenv.physics.gas.model import Scalar
from simenv.render import Renderer, Slice, Streamlines
from simenv.world import Scene

OUT = Path(__file__).parents[1] / "images" / "gas.png"
TIMES = (10, 22, 36)  # control steps


def main() -> None:
    """Step a room and keep three pictures."""
    scene = Scene(substep_dt=0.008, substeps=10)
    heat = Scalar(diffusivity=2.2e-5, lightness=3.4e-3, unit="K")
    smoke = Scalar(extinction=30.0, color=(0.30, 0.31, 0.34))
    scalars = {"heat": heat, "smoke": smoke}
    scene.add_gas("air", 1.2, 1.8e-5, scalars=scalars, size=(1.0, 0.75, 1.0), dx=1 / 32, tolerance=1e-5)
    scene.add_source("fire", Sphere(0.08), (0.4, 0.375, 0.12))
    scene.add_source("fan", Sphere(0.12), (0.15, 0.375, 0.6))
    scene.view, scene.angles = ((0.1, 0.1, 0.0), (0.9, 0.65, 0.9)), (0.25, 0.12)
    world = scene.make_world(1)
    renderer = Renderer(world, 400, 400)
    state, pictures = world.initial_state(), []
    one = torch.ones(1)
    for step in range(1, TIMES[-1] + 1):
        blows = torch.tensor([[4.0 if step > TIMES[0] else 0.0, 0.0, 0.0]])
        told = world.control(drive={"fan": blows}, feed={"fire": {"heat": 150.0 * one, "smoke": 3.0 * one}})
        state = world.step(state, told)
        assert int(state.status) == 0
        if step in TIMES:
            pictures.append(renderer.render(state)[0])
    Image.fromarray(np.concatenate(pictures, 1)).save(OUT)
    clear = state.replace(gas_scalar=state.gas_scalar * torch.tensor([1.0, 0.0])[:, None, None, None])
    looks = Slice("heat", "y", limits=(0.0, 30.0), colors="magma"), Streamlines(limits=(0.0, 1.0))
    shown = [Renderer(world, 400, 400, flow=[look]).render(clear)[0] for look in looks]
    Image.fromarray(np.concatenate(shown, 1)).save(OUT.with_name("gas_flow.png"))


if __name__ == "__main__":
    main()
