# SPDX-License-Identifier: Apache-2.0
"""The part of a scene that is gas: a box of it, and sources within."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from simenv.geometry.shapes import Shape
from simenv.physics import checks
from simenv.physics.gas.kernels_walls import OPEN
from simenv.physics.gas.model import SIDES, Periodic, Scalar, Side, Wall
from simenv.physics.gas.parts import Gas
from simenv.physics.mpm.materials import Material
from simenv.physics.pressure.solve import Accuracy

Vector = Sequence[float]

TOLERANCE = 1e-6  # largest divergence times dx, of the largest speed
SMOOTH = 1.0  # width over which a source ends, in cells


class GasPart:
    """What a scene says about gas.

    Attributes:
        gas: its box, or None.
        drags: diameters of the grains or drops that it exchanges momentum with, by material [m].
    """

    gas: Gas | None
    drags: dict[str, float]
    materials: dict[str, Material]
    size: tuple[float, float, float] | None
    dx: float | None
    origin: tuple[float, float, float]

    def add_gas(
        self, name: str = "gas", density: float = 1.2, viscosity: float = 1.8e-5,
        sides: Mapping[str, Side] | None = None, scalars: Mapping[str, Scalar] | None = None,
        size: Vector | None = None, dx: float | None = None, origin: Vector | None = None,
        tolerance: float = TOLERANCE, iterations: int = 100, limited: bool = True,
        obstacles: Sequence[str] | None = None, confinement: float = 0.0,
    ) -> None:  # fmt: skip
        """Add a box of incompressible gas.

        Its velocity is on the faces of cells (``state.gas_u``, ``gas_v``, ``gas_w``), what is mixed into it in cells
        (``state.gas_scalar``). Fluxes carry both, with Leonard's interpolation upstream, in two stages of a step, which
        is of second order; a step must take gas less than a cell far, and viscosity less than dx^2 / 6 (of the
        velocity that the largest of these spreads).

        Args:
            name: of it; ``"<name>.density"``, ``".viscosity"``, and what scalars and sides have, become world
                parameters.
            density: of the gas [kg/m^3].
            viscosity: of the gas [Pa s].
            sides: of the box, by name, ``"x-"`` to ``"z+"``: `Wall`, `Slip`, `Inlet`, `Outlet` or `Periodic` of
                `simenv.physics.gas.model`; those that are not named are walls. What comes in must find a way out:
                beside inlets there must be an outlet, or as much must leave through others.
            scalars: what is mixed in, by name: heat, smoke, dye.
            size: of the box [m]; the scene's if not given.
            dx: size of its cells [m]; the scene's if not given.
            origin: lower corner of the box [m]; the scene's if not given.
            tolerance: largest divergence times dx, of the largest speed; 1e-6 by default.
            iterations: at most, of each solve, which ends when it is found: after 4 to 6 mostly, after 20 or 30 where
                thin gaps join cells; a world that needs more stops, with a status.
            limited: whether scalars make no new extremes; without, they are smooth in all they depend on.
            obstacles: names of the bodies, robots, links and colliders that gas goes around and pushes. None: every
                body with a shape, every link that collides, and every collider.
            confinement: strength of vorticity confinement [1/s], a world parameter ``"<name>.confinement"``; a force
                that spins up eddies which the grid has smoothed away. It is a look, not physics, and grows
                with dx; 0, the default, leaves it out.
            confinement: strength of vorticity confinement [1/s], which spins up eddies that the grid has smoothed
                away: a look, no physics, and weaker in finer cells. 0 leaves it out; else it is a world parameter,
                ``"<name>.confinement"``.

        Raises:
            ValueError: an unknown side or scalar, a number out of range, one periodic side without the other, or an
                inlet that gas cannot leave from.
        """
        if self.gas is not None:
            raise ValueError(f"the scene has gas already, {self.gas.name!r}; a scene has one box of gas")
        what = f"gas {name!r}"
        size, dx = self.size if size is None else size, self.dx if dx is None else dx
        if size is None or dx is None:
            raise ValueError(f"{what}: give size and dx, which the scene does not have")
        checks.numbers(what, positive=True, density=density, dx=dx, tolerance=tolerance)
        checks.numbers(what, viscosity=viscosity, confinement=confinement)
        checks.whole(what, iterations=iterations)
        box = checks.vector("size", size)
        for axis, length in zip("xyz", box, strict=True):
            cells = length / dx
            if cells < 0.5 or abs(cells - round(cells)) > 1e-6 * max(cells, 1.0):
                raise ValueError(f"{what}: its size along {axis}, {length:g} m, is {cells:g} cells of {dx:g} m; "
                                 "give a whole number of them")  # fmt: skip
        scalars = dict(scalars or {})
        made = self._sides(what, dict(sides or {}), scalars)
        start = checks.vector("origin", self.origin if origin is None else origin)
        gas = Gas(
            name, start, box, float(dx), float(density), float(viscosity), made, scalars,
            Accuracy(float(tolerance), int(iterations)), limited,
            None if obstacles is None else tuple(obstacles), float(confinement),
        )  # fmt: skip
        _check_flow(what, gas)
        self.gas = gas

    def _sides(self, what: str, sides: dict[str, Side], scalars: Mapping[str, Scalar]) -> dict[str, Side]:
        for name, side in sides.items():
            if name not in SIDES:
                raise ValueError(f"{what} has no side {name!r}; sides are {', '.join(SIDES)}")
            for key in side.values:
                if key not in scalars:
                    known = ", ".join(scalars) or "none"
                    raise ValueError(
                        f"{what}: its side {name} holds {key!r}, which is not mixed in; there are: {known}"
                    )
        made = {name: sides.get(name, Wall()) for name in SIDES}
        for low, high in zip(SIDES[::2], SIDES[1::2], strict=True):
            if (made[low] == Periodic()) != (made[high] == Periodic()):
                raise ValueError(f"{what}: of its sides {low} and {high} one is periodic; make both so, or neither")
        return made

    def add_source(
        self, name: str, shape: Shape, position: Vector = (0.0, 0.0, 0.0), width: float | None = None
    ) -> None:
        """Add a place in the gas where `Control.gas_drive` accelerates it and `Control.gas_feed` gives what is mixed
        in, both in the order of the sources.

        Args:
            name: of it.
            shape: where it acts.
            position: of the shape [m].
            width: over which it ends, on both sides of the shape's surface [m]; a cell if not given.

        Raises:
            ValueError: there is no gas, the name is taken, or no cell lies in the shape.
        """
        if self.gas is None:
            raise ValueError(f"source {name!r}: the scene has no gas; add it first, with add_gas")
        if name in self.gas.sources:
            raise ValueError(f"the scene has a source {name!r} already; give this one another name")
        gas = self.gas
        width = SMOOTH * gas.dx if width is None else width
        checks.numbers(f"source {name!r}", positive=True, width=width)
        points = gas.centres() - np.asarray(checks.vector("position", position))
        distance = shape.signed_distance(points.reshape(-1, 3)).reshape(gas.shape)
        share = np.clip(0.5 - 0.5 * distance / width, 0.0, 1.0)
        share = share * share * (3.0 - 2.0 * share)
        if not share.any():
            raise ValueError(f"source {name!r} at {tuple(position)} m holds no cell of the gas; move or enlarge it")
        gas.sources[name] = share

    def add_drag(self, material: str, diameter: float) -> None:
        """Let gas and the particles of a material drag each other along, as spheres of a diameter would.

        Each particle stands for as many grains, or drops, as make its volume. They are few beside the gas: that they
        take room in it is left out. Gas must be viscous; its cells should be much larger than the spheres, as the gas
        that a sphere meets is that around it with what the sphere itself has set in motion.

        Args:
            material: of the particles; ``"<material>.diameter"`` becomes a world parameter.
            diameter: of the spheres [m].

        Raises:
            ValueError: there is no gas, no such material or one that has a drag already, or a number out of range.

        References:
            Schiller, Naumann 1933: 24 / Re (1 + 0.15 Re^0.687), up to a Reynolds number of 1000.
        """
        if self.gas is None:
            raise ValueError(f"drag on {material!r}: the scene has no gas; add it first, with add_gas")
        if material not in self.materials:
            known = ", ".join(self.materials) or "none"
            raise ValueError(f"drag on {material!r}: there is no such material; there are: {known}")
        if material in self.drags:
            raise ValueError(f"material {material!r} has a drag already, of spheres of {self.drags[material]:g} m")
        checks.numbers(f"drag on {material!r}", positive=True, diameter=diameter)
        if self.gas.viscosity == 0.0:
            raise ValueError(f"drag on {material!r}: the gas has no viscosity, without which spheres have no drag; "
                             "give add_gas one")  # fmt: skip
        self.drags[material] = float(diameter)


def _check_flow(what: str, gas: Gas) -> None:
    """Raise ValueError if walls let in more than leaves."""
    profile, inward, open_sides = gas.model().profile, 0.0, False
    nx, ny, nz = gas.shape
    spans = [(ny, nz)] * 2 + [(nx, nz)] * 2 + [(nx, ny)] * 2
    largest = 0.0
    for number, name in enumerate(SIDES):
        side, (a, b) = gas.sides[name], spans[number]
        open_sides |= side.kind == OPEN
        through = side.velocity[number // 2] * float(profile[number, :a, :b, number // 2].sum())
        inward += through if number % 2 == 0 else -through
        largest += abs(through)
    if not open_sides and abs(inward) > 1e-9 * largest:
        net = inward * gas.dx**2
        raise ValueError(
            f"{what}: its inlets bring {net:g} m^3/s more than leave, and gas does not become denser; make a side an "
            "Outlet, or let as much out through another"
        )
