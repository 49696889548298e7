# SPDX-License-Identifier: Apache-2.0
"""What parts of a scene have in common: names that are unique and known, and a grid where there are particles."""

from __future__ import annotations

from collections.abc import Mapping


class Named:
    """Checks of names."""

    size: tuple[float, float, float]
    origin: tuple[float, float, float]
    dx: float
    substep_dt: float

    @property
    def control_dt(self) -> float:
        """Duration of a control step [s]."""
        raise NotImplementedError

    @property
    def shortest_substep(self) -> float:
        """The shortest substep of the particles that a control step can have [s]."""
        raise NotImplementedError

    def _name(self, kind: Mapping, name: str, what: str) -> None:
        if name in kind:
            raise ValueError(f"{what} {name!r} exists already; give each {what} its own name")

    def _known(self, kind: Mapping, name: str, what: str) -> None:
        if name not in kind:
            raise ValueError(f"there is no {what} {name!r}; the scene has: {', '.join(kind) or 'none'}")

    @property
    def has_grid(self) -> bool:
        """Whether the scene has room for particles."""
        return self.dx is not None

    def need_grid(self, what: str, name: str) -> None:
        """Raise ValueError in a scene without a grid."""
        if not self.has_grid:
            raise ValueError(f"{what} {name!r} needs a grid; give the scene its size and dx: Scene(size=..., dx=...)")
