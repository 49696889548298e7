# SPDX-License-Identifier: Apache-2.0
"""The scene builder and the batched, differentiable world."""

from typing import NoReturn

from simenv.physics.bodies.contacts import RigidContact
from simenv.physics.bodies.model import Gripper
from simenv.physics.bodies.parts import ContactLaw
from simenv.physics.solver import Field, Parameter
from simenv.world.bodies import BodyView, ColliderView, EmitterView, GelView
from simenv.world.parameters import Parameters
from simenv.world.robots import RobotView
from simenv.world.scene import Scene
from simenv.world.state import Control, State
from simenv.world.world import World

Scene.worlds = World

__all__ = [
    "BodyView", "ColliderView", "ContactLaw", "Control", "EmitterView", "Field", "GelView", "Gripper", "Parameter",
    "Parameters", "RigidContact", "RobotView", "Scene", "State", "World",
]  # fmt: skip

_RENAMED = {
    "TouchScene": "Scene", "TouchWorld": "World", "TouchState": "State", "TouchControl": "Control",
    "TouchParameters": "Parameters",
}  # fmt: skip


def __getattr__(name: str) -> NoReturn:
    if name in _RENAMED:
        raise ImportError(f"simenv.world.{name} is now simenv.world.{_RENAMED[name]}; see the changelog")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
