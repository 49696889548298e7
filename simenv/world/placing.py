# SPDX-License-Identifier: Apache-2.0
"""States of a world whose bodies are placed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from simenv.world.bodies import BodyView, ByName, GelView
    from simenv.world.parameters import Parameters
    from simenv.world.scene import Scene
    from simenv.world.state import State


class Placed:
    """What a world knows about placing its bodies."""

    scene: Scene
    bodies: ByName[BodyView]
    gels: ByName[GelView]
    parameters: Parameters

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
