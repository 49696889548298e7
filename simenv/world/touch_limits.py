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
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from simenv.physics import exact
from simenv.physics.bodies.model import CARRIED, DRIVEN, FREE
from simenv.physics.status import STIFF_SPRING
from simenv.robots.arm import Arm
from simenv.sensors.tactile import ElasticLayerGel, TactileField
from simenv.world.limits import Limit

if TYPE_CHECKING:
    from simenv.world.touch_scene import TouchGel, TouchScene

Values = Mapping[str, Any]
Ease = Callable[[Values], Any]  # inverse of the mass that a force moves [1/kg]


def area_name(gel: str) -> str:
    """Name under which `touch_limits` finds the area with which a gel touches [m^2]; it is no parameter."""
    return f"{gel}.area"


def least_areas(scene: TouchScene) -> dict[str, float]:
    """The area of one taxel of each gel [m^2], by `area_name`."""
    return {area_name(name): float(np.max(gel.grid.areas)) for name, gel in scene.gels.items()}


def touch_limits(scene: TouchScene, arm: tuple[float, float] = (0.0, 0.0)) -> list[Limit]:
    """The limits of a scene.

    Args:
        scene: the bodies.
        arm: inverse mass [1/kg] and inverse inertia [1/(kg m^2)] of an arm's tool in the direction in which it yields
            most, at the chain's posture; zero leaves the arm out.
    """
    make = _Maker(scene, arm)
    return [*make.impedances(), *make.gels(), *make.gripper(), *make.points()]


class _Maker:
    """Makes the limits of a scene."""

    def __init__(self, scene: TouchScene, arm: tuple[float, float]):
        self._scene, self._arm, self._dt = scene, arm, scene.substep_dt
        self._step = f"a substep of {scene.substep_dt:.3g} s"

    def _limit(self, names: tuple[str, ...], load: Callable[[Values], Any], what: str) -> Limit:
        why = f"{what} must keep stiffness dt^2 / m + 2 damping dt / m below 4"
        remedy = "shorten the substep, lower the stiffness, damping or lead, or raise the mass"
        return Limit(STIFF_SPRING, names, load, self._step, why, remedy)

    def _load(self, stiffness: Any, damping: Any, ease: Any) -> Any:
        return 0.25 * self._dt * (self._dt * stiffness + 2.0 * damping) * ease

    def impedances(self) -> list[Limit]:
        """Of hands, and of an arm's tool."""
        limits = []
        for name, body in self._scene.bodies.items():
            if body.kind not in (DRIVEN, CARRIED):
                continue
            for turn, inertia in (("", 1.0), ("turning_", float(np.min(body.inertia)))):
                ease, mass = self._hand_ease(name, bool(turn), inertia)
                names = (f"{name}.{turn}stiffness", f"{name}.{turn}damping", *mass)

                def load(values: Values, names=names, ease=ease) -> Any:
                    return self._load(values[names[0]], values[names[1]], ease(values))

                limits.append(self._limit(names, load, f"the {'turning ' if turn else ''}impedance of {name!r}"))
        return limits

    def _hand_ease(self, name: str, turns: bool, inertia: float) -> tuple[Ease, tuple[str, ...]]:
        """Inverse mass or inertia of a hand, `inertia` per mass, and the parameter that it depends on."""
        if self._scene.bodies[name].kind == CARRIED:
            return lambda values: self._arm[turns], ()
        return lambda values: 1.0 / (inertia * values[f"{name}.mass"]), (f"{name}.mass",)

    def gels(self) -> list[Limit]:
        """Of each pair of bodies that gels press together, along their normals and along the surface."""
        pairs: dict[tuple[str, str], list[str]] = {}
        bodies = list(self._scene.bodies)
        for name, gel in self._scene.gels.items():
            pairs.setdefault((bodies[gel.mount.sensor], bodies[gel.mount.item]), []).append(name)
        limits = []
        for pair, gels in pairs.items():
            free = tuple(f"{name}.mass" for name in pair if self._scene.bodies[name].kind in (FREE, DRIVEN))
            for along in (False, True):
                names = tuple(gel_names(name, self._scene.gels[name], along) for name in gels)

                def load(values: Values, pair=pair, gels=gels, along=along) -> Any:
                    stiffness = sum(_stiffness(name, self._scene.gels[name], values, along) for name in gels)
                    ease = sum(self._ease(name, values, along) for name in pair)
                    return self._load(stiffness, stiffness * self._scene.lead, ease)

                what = f"{' and '.join(repr(name) for name in gels)} between {pair[0]!r} and {pair[1]!r}"
                limits.append(self._limit((*names, *free), load, what))
        return limits

    def gripper(self) -> list[Limit]:
        """Of the fingers that gels slide with: two of mass m share one coordinate, and their damping d is implicit, so
        that Jury's criterion has 1 / (2 m + d dt) for 1 / m.
        """
        slides = {name: float(np.dot(gel.mount.slide, gel.mount.slide)) for name, gel in self._scene.gels.items()}
        sliding = {name: self._scene.gels[name] for name, slide in slides.items() if slide}
        names = tuple(gel_names(name, gel, False) for name, gel in sliding.items())
        ease = 1.0 / (2.0 * self._scene.gripper.mass + self._scene.gripper.damping * self._dt)

        def load(values: Values) -> Any:
            stiffness = sum(slides[name] * _stiffness(name, gel, values, False) for name, gel in sliding.items())
            return self._load(stiffness, stiffness * self._scene.lead, ease)

        return [self._limit(names, load, "the fingers of the gripper")] if names else []

    def _ease(self, name: str, values: Values, along: bool) -> Any:
        """Inverse mass of a body where a gel presses, the least that it can be [1/kg]."""
        body = self._scene.bodies[name]
        if body.kind == CARRIED:
            return self._arm[0]
        if body.kind not in (FREE, DRIVEN):
            return 0.0
        arm = _inner_radius(self._scene, name) if along and body.kind == FREE else 0.0
        return (1.0 + arm**2 / float(np.max(body.inertia))) / values[f"{name}.mass"]

    def points(self) -> list[Limit]:
        """Of stiff contact, which is implicit in a share of the body's mass: one point is stable down to 3/4 of it."""
        limits = []
        for each in self._scene.points:
            names = ("contact.stiffness", "contact.damping", f"{each.body}.mass")

            def load(values: Values, names=names, share=each.share) -> Any:
                stiffness, damping, mass = (values[name] for name in names)
                soft = 1.0 + share * self._dt * (self._dt * stiffness + damping) / mass
                return self._load(stiffness / soft, (damping + self._dt * stiffness) / soft, 1.0 / mass)

            limits.append(self._limit(names, load, f"the points of {each.body!r} on {each.against!r}"))
        return limits


def gel_names(name: str, gel: TouchGel, along: bool) -> str:
    """The parameter that says how stiff a gel is, along its normals or along the surface."""
    if isinstance(gel.gel, ElasticLayerGel):
        return f"{name}.modulus"
    return f"{name}.k_t" if along else f"{name}.k_n"


def _stiffness(name: str, gel: TouchGel, values: Values, along: bool) -> Any:
    """Stiffness of a gel [N/m] with the area that it touches with.

    Of an elastic one it is that of a flat round punch on a half space, which a layer exceeds (Johnson 1985, section
    3.3 and 7.2): 2 E* a, and 2 (1 - nu) / (2 - nu) of it along the surface.
    """
    area, parameter = values[area_name(name)], values[gel_names(name, gel, along)]
    if not isinstance(gel.gel, ElasticLayerGel):
        return parameter * area
    poisson = gel.gel.poisson
    share = 2.0 * (1.0 - poisson) / (2.0 - poisson) if along else 1.0
    return share * 2.0 / (1.0 - poisson**2) * parameter * (area / math.pi) ** 0.5


def _inner_radius(scene: TouchScene, name: str) -> float:
    """Radius of the ball about a body's centre of mass that its surface does not enter [m]; 0 if gels see another shape
    of it.
    """
    item = list(scene.bodies).index(name)
    if any(gel.mount.item != item or gel.shape is not scene.shapes[name] for gel in scene.gels.values()):
        return 0.0
    return max(0.0, -float(scene.shapes[name].signed_distance(scene.centres[name][None])[0]))


def arm_ease(arm: Arm | None, dt: float) -> tuple[float, float]:
    """Inverse mass and inverse inertia of an arm's tool in the direction in which it yields most, at the posture.

    Raises:
        ValueError: a substep [s] is too long for the damping of the joints.
    """
    if arm is None:
        return 0.0, 0.0
    posture = torch.as_tensor(arm.chain.posture, dtype=arm.dtype, device=arm.device).expand(arm.num_worlds, -1)
    inverse = torch.linalg.inv(arm.mass_matrix(posture)[0].double())
    jacobian = arm.jacobian(posture)[0].double()
    root = torch.as_tensor(arm.chain.damping, dtype=torch.float64, device=arm.device).sqrt()
    load = 0.5 * dt * float(torch.linalg.eigvalsh(root[:, None] * inverse * root).max())
    if load > 1.0:
        raise ValueError(
            f"the damping of the arm's joints, {arm.chain.damping.tolist()} N m s, needs a substep of at most "
            f"{dt / load:.2e} s beside its inertia, not {dt:.2e} s; shorten it or lower the damping"
        )
    task = jacobian @ inverse @ jacobian.T
    return tuple(float(torch.linalg.eigvalsh(block).max()) for block in (task[:3, :3], task[3:, 3:]))  # type: ignore[return-value]


@torch.no_grad()
def touched_areas(
    depth: torch.Tensor, taxels: Mapping[str, slice], sensors: Mapping[str, TactileField]
) -> dict[str, torch.Tensor]:
    """The area with which each gel touches, at least a taxel's, (N,) [m^2], by `area_name`, from the depths (N, P)."""
    areas = {}
    for name, span in taxels.items():
        each = sensors[name].contact.area
        areas[area_name(name)] = exact.total(torch.where(depth[:, span] > 0.0, each, 0.0)).clamp(min=each.max())
    return areas
