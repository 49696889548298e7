# SPDX-License-Identifier: Apache-2.0
"""Names that worlds had when there were two kinds of them, and what to write now."""

from typing import TYPE_CHECKING, NoReturn

__all__ = ["NAMES", "Renamed"]

NAMES = {
    "rigid_names": "tuple(world.scene.touching)",
    "model": "world.particles.model", "pace": "world.particles.pace", "gel_names": "tuple(world.gels)",
    "taxels": "world.gels[name].taxels", "gel_pose": "world.gels[name].pose(state)",
    "object_pose": "world.gels[name].object_pose(state)", "near": "world.bodies[name].near(state, move, turn)",
    "place_hand": "world.bodies[name].place(state, pose)", "place_rigids": "world.bodies[name].place(state, pose)",
    "place_projected": "world.bodies[name].place(state, pose)",
    "mounted": "world.gels[name].pose(state)", "taxel_count": "len(state.depth[0])", "arm": "world.robots[name].model",
}  # fmt: skip


class Renamed:
    """Tells who asks for an old name the new one."""

    if not TYPE_CHECKING:  # a checker of types shall see that they are gone

        def __getattr__(self, name: str) -> NoReturn:
            kind = type(self).__name__
            if name in NAMES:
                raise AttributeError(f"{kind}.{name} is gone; use {NAMES[name]} (see the changelog)")
            raise AttributeError(f"{kind!r} object has no attribute {name!r}")
