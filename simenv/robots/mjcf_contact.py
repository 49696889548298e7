# SPDX-License-Identifier: Apache-2.0
"""Which shapes of a robot touch each other by its MJCF: ``contype``, ``conaffinity`` and ``exclude``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from simenv.robots.document import Document

if TYPE_CHECKING:
    import newton

__all__ = ["excluded", "keep_masks", "masks"]

NAMES = ("contype", "conaffinity")


def keep_masks(builder: newton.ModelBuilder) -> None:
    """Let Newton keep both numbers of every shape that it reads, with what classes of the file say."""
    import newton
    import warp as wp

    for name in NAMES:
        builder.add_custom_attribute(
            newton.ModelBuilder.CustomAttribute(
                name=name, namespace="simenv", frequency=newton.Model.AttributeFrequency.SHAPE, dtype=wp.int32,
                default=1, mjcf_attribute_name=name,
            )
        )  # fmt: skip


def masks(builder: newton.ModelBuilder, shape: int) -> tuple[int, int]:
    """Both numbers of a shape, 1 and 1 unless its file says otherwise."""
    found = [builder.custom_attributes.get(f"simenv:{name}") for name in NAMES]
    one, other = (1 if each is None else int((each.values or {}).get(shape, 1)) for each in found)
    return one, other


def excluded(document: Document, names: Iterable[str]) -> frozenset[frozenset[str]]:
    """Pairs of bodies that never touch; those with the world's are left out, which nobody knows here.

    Raises:
        AssetError: an ``exclude`` names no body; with its line.
    """
    known, pairs = set(names), set()
    for element in document.root.findall("./contact/exclude"):
        pair = [document.attribute(element, name) for name in ("body1", "body2")]
        for name in pair:
            if name not in known and name != "world":
                raise document.refusal(element, f"there is no body {name!r}; there are {', '.join(sorted(known))}")
        if "world" not in pair:
            pairs.add(frozenset(pair))
    return frozenset(pairs)
