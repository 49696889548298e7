# SPDX-License-Identifier: Apache-2.0
"""The scene builder and the batched, differentiable world."""

from simenv.world.scene import Scene
from simenv.world.state import Control, State
from simenv.world.touch import TouchControl, TouchState, TouchWorld
from simenv.world.touch_scene import TouchScene
from simenv.world.world import World

__all__ = ["Control", "Scene", "State", "TouchControl", "TouchScene", "TouchState", "TouchWorld", "World"]
