# SPDX-License-Identifier: Apache-2.0
"""The status word of a world: what can go wrong, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

NONFINITE, TOO_FAST, LEFT_GRID, INVERTED = 1, 2, 4, 8
BAD_ACTION, TOO_STIFF, BLOCKS_FULL = 16, 32, 64
UNCONVERGED, BAD_PARAMETER = 128, 256
TOO_VISCOUS, STIFF_SPRING, LIGHT_BODY = 512, 1024, 2048
TOO_MANY_CONTACTS, TOO_TENSE = 4096, 8192


class Status(NamedTuple):
    """Name, cause and remedy of one bit."""

    name: str
    cause: str
    remedy: str


STATUS: dict[int, Status] = {
    NONFINITE: Status(
        "nonfinite", "a particle's velocity became NaN or infinite",
        "shorten the substep or lower the stiffness (bulk or Young's modulus)",
    ),
    TOO_FAST: Status(
        "too_fast", "a particle or gas moved more than one grid cell in one substep, an incompressible liquid two, or "
        "a body or link 100 m/s or 1000 rad/s",
        "shorten the substep, or limit the tool's speed, or that of inlets and sources",
    ),
    LEFT_GRID: Status(
        "left_grid", "a particle left the domain by more than 1.5 cells",
        "enlarge the domain, or set its boundary to 'slip' or 'stick'",
    ),
    INVERTED: Status(
        "inverted", "a particle's volume became zero or negative",
        "shorten the substep, raise the stiffness, or limit the tool's speed",
    ),
    BAD_ACTION: Status(
        "bad_action", "the action of this world was NaN, infinite or out of range",
        "check the policy's output; on_bad_action='clip' clips finite values; the world was not stepped with it",
    ),
    TOO_STIFF: Status(
        "too_stiff", "sound in a material of this world (its moduli over its density) crosses more than half a cell in "
        "the shortest substep",
        "shorten the substep or raise max_substeps, lower this world's bulk, shear or Young's modulus or raise its "
        "density, or use a coarser dx",
    ),
    BLOCKS_FULL: Status(
        "blocks_full", "the material touches more blocks of the sparse grid than there is room for",
        "raise the scene's blocks, or use a coarser dx",
    ),
    UNCONVERGED: Status(
        "unconverged", "the contact solve of an elastic gel, or of robots and rigid bodies, or the pressure of gas "
        "or of a liquid, ended at its last iteration",
        "shorten the substep; of a gel or of gas, raise the iterations or the tolerance of its accuracy; of rigid "
        "bodies, lower their friction, stiffness or ratios of mass",
    ),
    BAD_PARAMETER: Status(
        "bad_parameter", "a physical parameter of this world is NaN, infinite or out of range",
        "check what draws or fits it: densities, masses and scales must be positive, Poisson's ratio below 0.5",
    ),
    TOO_VISCOUS: Status(
        "too_viscous", "the viscosity of a material or gas of this world over its density, or a diffusivity, is more "
        "than dx^2 / 6 in the shortest substep",
        "shorten the substep or raise max_substeps, lower this world's viscosity or raise its density, or use a "
        "coarser dx",
    ),
    LIGHT_BODY: Status(
        "light_body", "a body of this world that carries colliders, or stands in gas, is lighter than what it moves at "
        "once",
        "make it heavier, use a finer grid, or coupling='rigid' with a solid shape",
    ),
    TOO_MANY_CONTACTS: Status(
        "too_many_contacts", "more points of rigid bodies were about to touch than there is room for",
        "raise the scene's max_contacts, let bodies pass that need not touch, or give them simpler shapes",
    ),
    TOO_TENSE: Status(
        "too_tense", "the surface tension of a liquid of this world over its density is more than dx^3 / (4 pi) over "
        "the square of the substep",
        "shorten the substep, lower this world's surface tension or raise its density, or use a coarser dx",
    ),
    STIFF_SPRING: Status(
        "stiff_spring", "a gel, impedance or contact of this world is too stiff or too damped for the mass it moves: "
        "stiffness dt^2 / m + 2 damping dt / m is above 4",
        "shorten the substep, lower the stiffness, damping or lead, or raise the mass",
    ),
}  # fmt: skip


def declare(bits: Mapping[int, Status]) -> None:
    """Add what bits of a solver's own mean.

    Raises:
        ValueError: a bit is no single one, or taken by something else.
    """
    for bit, meaning in bits.items():
        if bit <= 0 or bit & (bit - 1) or bit >= 2**31:
            raise ValueError(f"status bit {bit} of {meaning.name!r}; use one bit of 31, a power of two")
        if STATUS.setdefault(bit, meaning) != meaning:
            free = next(1 << n for n in range(31) if 1 << n not in STATUS)
            raise ValueError(f"status bit {bit} of {meaning.name!r} is that of {STATUS[bit].name!r}; {free} is free")


def describe(status: int) -> str:
    """One sentence for each bit that is set; the empty string if none is."""
    known = [f"{s.name}: {s.cause}; remedy: {s.remedy}." for bit, s in STATUS.items() if status & bit]
    rest = int(status) & ~sum(STATUS)
    return " ".join(known + ([f"unknown status bits {rest:#x}"] if rest else []))
