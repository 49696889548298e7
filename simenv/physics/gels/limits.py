# SPDX-License-Identifier: Apache-2.0
"""What a substep of bodies in touch bears: limits on gels, impedances and contact beside the masses that they move.

A spring k with a damper c, both explicit, move a mass m by v' = v - (k x + c v) dt / m and x' = x + v' dt. The
eigenvalues of that step stay in the unit circle while k dt^2 / m + 2 c dt / m < 4 (Jury's criterion). Two bodies feel
1 / m = 1 / m_a + 1 / m_b, and along the surface a contact at a distance r from the centre of mass turns them too, by
r^2 over the moment of inertia.

A gel is as stiff as the area that it touches with. When a scene is built or a parameter is set that is not known, and
one taxel of each gel is counted; in each step it is the area of the taxels that touch. So what is refused is certainly
unstable, and what is not may still become so when it is pressed deeper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from simenv.physics.bodies.parts import BodyParts
from simenv.physics.gels.elastic import ElasticLayerGel
from simenv.physics.gels.parts import Gel
from simenv.physics.gels.solver import area_name
from simenv.physics.limits import Limit
from simenv.physics.status import STIFF_SPRING

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Pressed:
    """What presses on what in a scene.

    Attributes:
        parts: the bodies; gels: by name; lead: how far ahead these see [s]; dt: of a tick [s].
        links: inverse mass of links of robots [1/kg], in the direction in which they yield most, by body.
    """

    parts: BodyParts
    gels: Mapping[str, Gel]
    lead: float
    dt: float
    links: Mapping[str, float] = field(default_factory=dict)

    @property
    def pressing(self) -> dict[str, Gel]:
        """The gels that touch a body."""
        return {name: gel for name, gel in self.gels.items() if gel.touches is not None}


def least_areas(gels: Mapping[str, Gel]) -> dict[str, float]:
    """The area of one taxel of each gel [m^2], by `area_name`."""
    return {area_name(name): float(np.max(gel.grid.areas)) for name, gel in gels.items()}


def touch_limits(pressed: Pressed) -> list[Limit]:
    """The limits of bodies and gels."""
    make = _Maker(pressed)
    return [*make.impedances(), *make.gels(), *make.gripper(), *make.points()]


class _Maker:
    """Makes the limits of a scene."""

    def __init__(self, pressed: Pressed):
        self._bodies, self._gels, self._lead = pressed.parts.bodies, pressed.pressing, pressed.lead
        self._points, self._gripper = pressed.parts.points, pressed.parts.gripper
        self._links, self._dt = pressed.links, pressed.dt
        self._step = f"a substep of {pressed.dt:.3g} s"

    def _limit(self, names: tuple[str, ...], load: Callable[[Values], Any], what: str) -> Limit:
        why = f"{what} must keep stiffness dt^2 / m + 2 damping dt / m below 4"
        remedy = "shorten the substep, lower the stiffness, damping or lead, or raise the mass"
        return Limit(STIFF_SPRING, names, load, self._step, why, remedy)

    def _load(self, stiffness: Any, damping: Any, ease: Any) -> Any:
        return 0.25 * self._dt * (self._dt * stiffness + 2.0 * damping) * ease

    def impedances(self) -> list[Limit]:
        """Of hands."""
        limits = []
        for name, body in self._bodies.items():
            if not body.is_driven:
                continue
            for turn, inertia in (("", 1.0), ("turning_", float(np.min(body.inertia)))):
                names = (f"{name}.{turn}stiffness", f"{name}.{turn}damping", f"{name}.mass")

                def load(values: Values, names=names, inertia=inertia) -> Any:
                    stiffness, damping, mass = (values[each] for each in names)
                    return self._load(stiffness, damping, 1.0 / (inertia * mass))

                limits.append(self._limit(names, load, f"the {'turning ' if turn else ''}impedance of {name!r}"))
        return limits

    def gels(self) -> list[Limit]:
        """Of each pair of bodies that gels press together, along their normals and along the surface."""
        pairs: dict[tuple[str, str], list[str]] = {}
        for name, gel in self._gels.items():
            pairs.setdefault((gel.on, gel.touches or ""), []).append(name)
        limits = []
        for pair, gels in pairs.items():
            free = tuple(f"{name}.mass" for name in pair if self._bodies[name].motion in ("free", "hand"))
            for along in (False, True):
                names = tuple(gel_names(name, self._gels[name], along) for name in gels)

                def load(values: Values, pair=pair, gels=gels, along=along) -> Any:
                    stiffness = sum(_stiffness(name, self._gels[name], values, along) for name in gels)
                    ease = sum(self._ease(name, values, along) for name in pair)
                    return self._load(stiffness, stiffness * self._lead, ease)

                what = f"{' and '.join(repr(name) for name in gels)} between {pair[0]!r} and {pair[1]!r}"
                limits.append(self._limit((*names, *free), load, what))
        return limits

    def gripper(self) -> list[Limit]:
        """Of the fingers that gels slide with: two of mass m share one coordinate, and their damping d is implicit, so
        that Jury's criterion has 1 / (2 m + d dt) for 1 / m.
        """
        slides = {name: float(np.dot(gel.slide, gel.slide)) for name, gel in self._gels.items()}
        sliding = {name: self._gels[name] for name, slide in slides.items() if slide}
        names = tuple(gel_names(name, gel, False) for name, gel in sliding.items())
        ease = 1.0 / (2.0 * self._gripper.mass + self._gripper.damping * self._dt)

        def load(values: Values) -> Any:
            stiffness = sum(slides[name] * _stiffness(name, gel, values, False) for name, gel in sliding.items())
            return self._load(stiffness, stiffness * self._lead, ease)

        return [self._limit(names, load, "the fingers of the gripper")] if names else []

    def _ease(self, name: str, values: Values, along: bool) -> Any:
        """Inverse mass of a body where a gel presses, the least that it can be [1/kg]."""
        body = self._bodies[name]
        if body.motion not in ("free", "hand"):
            return self._links.get(name, 0.0)
        arm = self._inner_radius(name) if along and body.motion == "free" else 0.0
        return (1.0 + arm**2 / float(np.max(body.inertia))) / values[f"{name}.mass"]

    def _inner_radius(self, name: str) -> float:
        """Radius of the ball about a body's centre of mass that its surface does not enter [m]; 0 if gels see another
        shape of it.
        """
        body = self._bodies[name]
        if any(gel.touches != name or gel.shape is not body.shape for gel in self._gels.values()):
            return 0.0
        return max(0.0, -float(body.shape.signed_distance(body.centre[None])[0]))

    def points(self) -> list[Limit]:
        """Of stiff contact, which is implicit in a share of the body's mass: one point is stable down to 3/4 of it."""
        limits = []
        for each in self._points:
            names = ("contact.stiffness", "contact.damping", f"{each.body}.mass")

            def load(values: Values, names=names, share=each.share) -> Any:
                stiffness, damping, mass = (values[name] for name in names)
                soft = 1.0 + share * self._dt * (self._dt * stiffness + damping) / mass
                return self._load(stiffness / soft, (damping + self._dt * stiffness) / soft, 1.0 / mass)

            limits.append(self._limit(names, load, f"the points of {each.body!r} on {each.against!r}"))
        return limits


def gel_names(name: str, gel: Gel, along: bool) -> str:
    """The parameter that says how stiff a gel is, along its normals or along the surface."""
    if isinstance(gel.gel, ElasticLayerGel):
        return f"{name}.modulus"
    return f"{name}.k_t" if along else f"{name}.k_n"


def _stiffness(name: str, gel: Gel, values: Values, along: bool) -> Any:
    """Stiffness of a gel [N/m] with the area that it touches with.

    Of an elastic one it is that of a flat round punch on a half space, which a layer exceeds (Johnson 1985, section
    3.3 and 7.2): 2 E* a, and 2 (1 - nu) / (2 - nu) of it along the surface.
    """
    area, parameter = values[area_name(name)], values[gel_names(name, gel, along)]
    if not isinstance(gel.gel, ElasticLayerGel):
        return parameter * area
    poisson = gel.gel.poisson
    share = 2.0 * (1.0 - poisson) / (2.0 - poisson) if along else 1.0
    radius = (area / math.pi).sqrt() if isinstance(area, torch.Tensor) else math.sqrt(area / math.pi)
    return share * 2.0 / (1.0 - poisson**2) * parameter * radius
