# SPDX-License-Identifier: Apache-2.0
"""States of a world whose bodies are placed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from simenv.physics.mpm.particles import ParticleSolver
    from simenv.world.bodies import BodyView, ByName, GelView
    from simenv.world.parameters import Parameters
    from simenv.world.scene import Scene
    from simenv.world.state import State


class Placed:
    """What a world knows about placing its bodies."""

    scene: Scene
    bodies: ByName[BodyView]
    gels: ByName[GelView]
    body_names: tuple[str, ...]
    parameters: Parameters
    particles: ParticleSolver | None

    def _reached(self, state: State) -> State:
        """The state with the robot's tool where the scene has it.

        Raises:
            ValueError: the robot does not reach.
        """
        tool = self.bodies[self.body_names[self.scene.arm.hand]]
        wanted = tool.pose(state)
        state = tool.place(state, wanted)
        pose = tool.pose(state)[0]
        away, turn = float((pose - wanted[0])[:3].norm()), float((pose[3:] * wanted[0, 3:]).sum().abs())
        if away > 1e-3 or turn < 0.999:
            raise ValueError(
                f"the arm's tool comes within {1e3 * away:.1f} mm and {2 * np.degrees(np.arccos(min(turn, 1.0))):.1f} "
                f"degrees of where it should start, {wanted[0].tolist()}, not within 1 mm and 5 degrees; give its "
                "chain another posture, or place it nearer"
            )
        return state

    def touch_anew(self, state: State) -> State:
        """The state with gels that remember nothing but where their objects are, and with their present readings.

        Call it after placing bodies or gripper by hand.
        """
        if not self.gels:
            return state
        read = []
        for name, gel in self.gels.items():
            if gel.sensor is None:
                read.append(gel.nothing(state))
                continue
            keys = [key for key in gel.spec.gel.parameters if f"{name}.{key}" in self.parameters]
            values = {key: self.parameters[f"{name}.{key}"] for key in keys}
            reading, memory = gel.sensor.measure(gel.object_pose(state), gel.pose(state), parameters=values)
            place = (memory.stick, memory.rotation, memory.position)
            read.append((*place, reading.field(), reading.depth, reading.wrench))
        if "held" in state:
            state = state.replace(held=torch.zeros_like(state.held))
        stick, rotation, offset, field, depth, wrench = zip(*read, strict=True)
        return state.replace(
            stick=torch.cat(stick, 1), gel_rotation=torch.stack(rotation, 1), gel_offset=torch.stack(offset, 1),
            field=torch.cat(field, 1), depth=torch.cat(depth, 1), gel_wrench=torch.stack(wrench, 1),
        )  # fmt: skip

    def place_projected(self, state: State) -> State:
        """The state with the particles of the bodies that the grid moves where these are.

        A step does so by itself; this is for looking at a state whose poses were changed.
        """
        return state if self.particles is None else self.particles.placed(state)
