# SPDX-License-Identifier: Apache-2.0
"""Gels of independent springs: TacSL's law, and an area-weighted one in SI units whose friction has memory.

References: Akinola et al. 2025 (TacSL), section III-C; Johnson 1985, Contact Mechanics, section 4.3 (Winkler's
foundation); Hunt and Crossley 1975 (damping in proportion to the depth).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from simenv.physics.gels.contact import Contact, Motion, TactileReading
from simenv.physics.gels.indentation import ball_on_layer

__all__ = ["TacSLGel", "WinklerGel", "check_parameters", "line_contact_depth"]


def check_parameters(gel: object, names: tuple[str, ...], positive: tuple[str, ...] = ()) -> None:
    """Raise ValueError unless the numbers of a gel are finite and not negative (or positive)."""
    for name in names:
        value = getattr(gel, name)
        low = name in positive
        if not math.isfinite(value) or value < 0.0 or (low and value == 0.0):
            least = "positive" if low else "zero or more"
            raise ValueError(f"{type(gel).__name__}.{name} = {value!r} must be finite and {least}")


@dataclass(frozen=True)
class TacSLGel:
    """TacSL's penalty law per taxel, for comparison. Its forces have no unit and no memory.

    With depth d = max(-phi, 0) and n the gradient of the object's distance,
    F_n = (k_n + damping d') d n and F_t = -v_t / |v_t| min(k_t |v_t|, mu F_n), where v_t is the velocity of the gel's
    point relative to the object. A negative F_n (fast retreat with damping) is cut to zero.

    Attributes:
        k_n: 1/m times the unit of force; k_t: s/m times it; mu: friction; damping: s/m^2 times it. The paper has the
        damping term, the released code doesn't (0).
    """

    k_n: float = 1.0
    k_t: float = 0.1
    mu: float = 2.0
    damping: float = 0.0
    parameters = ("k_n", "k_t", "mu", "damping")
    structural = ()

    def __post_init__(self) -> None:
        check_parameters(self, self.parameters)

    def prepare(self, contact: Contact) -> None:
        """Nothing to compute in advance."""

    def respond(
        self, contact: Contact, motion: Motion, stick: torch.Tensor, values: Mapping[str, torch.Tensor], prepared: None
    ) -> tuple[TactileReading, torch.Tensor]:
        """Reading and stick displacement, which this law leaves at zero."""
        force, depth = contact.tacsl(motion, values["k_n"], values["k_t"], values["mu"], values["damping"])
        total = contact.wrench(force, depth)
        status = torch.zeros_like(depth[:, 0], dtype=torch.int32)
        return TactileReading(force[..., 2], force[..., :2], depth, total, None, None, status), torch.zeros_like(stick)


@dataclass(frozen=True)
class WinklerGel:
    """Springs along the taxels' normals, with stiffness per area: the force does not depend on the grid.

    With depth d along the normal and the stick displacement e that friction holds (grown by the object's slide),
    p = k_n d (1 + damping d') and q = k_t e, returned to |q| <= mu p; then e = q / k_t. So the shear of an object at
    rest stays, a load cycle leaves hysteresis, and each taxel slips on its own (incipient slip, torsion).

    Attributes:
        k_n, k_t: stiffness [Pa/m]; mu: friction; damping: of Hunt and Crossley [s/m].
    """

    k_n: float
    k_t: float
    mu: float = 1.0
    damping: float = 0.0
    parameters = ("k_n", "k_t", "mu", "damping")
    structural = ()

    def __post_init__(self) -> None:
        check_parameters(self, self.parameters, ("k_n", "k_t"))

    @classmethod
    def from_layer(
        cls,
        modulus: float,
        poisson: float,
        thickness: float,
        mu: float = 1.0,
        damping: float = 0.0,
        radius: float | None = None,
        depth: float | None = None,
    ) -> WinklerGel:
        """Stiffness of a bonded elastic layer, under a ball or under a wide flat load.

        With `radius` and `depth` the springs push back on that ball in that depth as the layer does, and resist its
        sliding as the layer does without slip (`simenv.physics.gels.indentation`): k_n = F / (pi d^2 (R - d / 3)),
        the force over the volume of the ball's cap, and k_t = K / (pi d (2 R - d)), over its area. Springs spread
        otherwise than a layer, F ~ d^2 instead of about d^1.5 to d^2, so choose the depth of the grasp.

        Without them, for a flat load much wider than the layer is thick (Johnson 1985, section 5.8),
        k_n = E (1 - nu) / ((1 + nu) (1 - 2 nu) h) and k_t = E / (2 (1 + nu) h). Near nu = 1/2 that is far too stiff for
        smaller contacts, since the gel may then flow aside: for a ball of 15 mm on 4 mm at nu = 0.48 the force is 3.2
        to 3.9 times too large in depths of 0.1 to 1 mm; at nu = 0.3 it is 0.65 to 0.98 of the layer's.

        Args:
            modulus: Young's modulus E [Pa].
            poisson: nu; without a ball below 0.5, where the layer would be rigid.
            thickness: h [m].
            mu: friction.
            damping: of Hunt and Crossley [s/m].
            radius: R of the ball, or of the curvature where the object touches [m].
            depth: d of the ball's lowest point below the gel's surface at rest [m].

        Raises:
            ValueError: a number is out of range, or only one of `radius` and `depth` is given.
        """
        if not (modulus > 0.0 and thickness > 0.0):
            raise ValueError(f"modulus = {modulus!r} Pa and thickness = {thickness!r} m must be positive")
        if (radius is None) != (depth is None):
            raise ValueError(
                f"radius = {radius!r} and depth = {depth!r}: give both, for a ball, or neither, for a wide flat load"
            )
        if radius is not None and depth is not None:
            ball = ball_on_layer(modulus, poisson, thickness, radius, depth)
            k_n = ball.force / (math.pi * depth**2 * (radius - depth / 3.0))
            return cls(k_n, ball.sideways / (math.pi * depth * (2.0 * radius - depth)), mu, damping)
        if not -1.0 < poisson < 0.5:
            raise ValueError(
                f"poisson = {poisson!r} must lie in (-1, 0.5): an incompressible bonded layer under a wide load does "
                "not yield; use a value such as 0.48, or give the radius and the depth of a ball"
            )
        k_n = modulus * (1.0 - poisson) / ((1.0 + poisson) * (1.0 - 2.0 * poisson) * thickness)
        return cls(k_n, modulus / (2.0 * (1.0 + poisson) * thickness), mu, damping)

    def prepare(self, contact: Contact) -> None:
        """Nothing to compute in advance."""

    def respond(
        self, contact: Contact, motion: Motion, stick: torch.Tensor, values: Mapping[str, torch.Tensor], prepared: None
    ) -> tuple[TactileReading, torch.Tensor]:
        """Reading and the new stick displacement (N, P, 2) [m]."""
        depth, slide, rate = contact.columns(motion)
        k = [values[name] for name in self.parameters]
        force, kept = contact.springs(depth, rate, slide, stick, *k)
        total = contact.wrench(force, depth)
        normal, shear = force[..., 2], force[..., :2]
        area = contact.area
        reading = TactileReading(
            normal, shear, depth, total, normal / area, shear / area[:, None], contact.saturated(depth)
        )
        return reading, kept


def line_contact_depth(force: float, stiffness: float, radius: float, length: float) -> float:
    """Depth [m] at which a cylinder of a radius [m] presses over a length [m] with a force [N] into springs of a
    stiffness [Pa/m]: F = 4/3 k L d sqrt(2 R d) (Winkler's foundation, Johnson 1985, section 4.3).
    """
    return (0.75 * force / (stiffness * length * math.sqrt(2.0 * radius))) ** (2.0 / 3.0)
