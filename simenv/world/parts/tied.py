# SPDX-License-Identifier: Apache-2.0
"""The part of a scene that is bodies held together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simenv.physics import checks
from simenv.physics.bodies.tree import Loop
from simenv.world.parts.bodies import BodiesPart

__all__ = ["TiedPart"]


class TiedPart(BodiesPart):
    """What a scene says about bodies that are held together."""

    tied: dict[str, Loop]

    def tie(self, name: str, a: str, b: str, point: Sequence[float], weld: bool = False) -> None:
        """Hold two bodies together where they start, at a point as by a ball, or welded; they then do not touch each
        other. Beside `Tree.loops`, which hold links of one robot.

        Args:
            name: of it, for messages.
            a: link of a robot that its joints move, or body with coupling="rigid".
            b: the same, or a body that is fixed or moves as told.
            point: where, in the world [m].
            weld: whether they do not turn against each other either.

        Raises:
            ValueError: a name is taken or unknown, or a body is moved otherwise.
        """
        what = f"tie {name!r}"
        self._name(self.tied, name, "tie")
        for body in (a, b):
            self._known(self.bodies, body, "body")
            moved = body in self.touching or self.bodies[body].motion == "link"
            if not moved and (body == a or self.bodies[body].motion not in ("fixed", "given")):
                raise ValueError(
                    f"{what}: {body!r} is moved otherwise; a must be a link of a robot or a body "
                    "with coupling='rigid', b such a one or a body that is fixed or moves as told"
                )
        if a == b:
            raise ValueError(f"{what}: it ties {a!r} to itself; name two bodies")
        at = np.asarray(checks.vector(f"{what}: point", point))
        from simenv.robots.closing import anchored
        from simenv.robots.poses import Pose

        first, second = (Pose.of(self.bodies[each].position, self.bodies[each].quaternion) for each in (a, b))
        turn = (first.inverse() @ second).quaternion if weld else None
        self.tied[name] = anchored(name, a, b, first.inverse().point(at), second.inverse().point(at), turn)
        self.passing[frozenset((a, b))] = f"{name} holds them together"
