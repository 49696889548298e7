# SPDX-License-Identifier: Apache-2.0
"""A fault in any solver stops its world alone, wholly, and without a gradient."""

import math

import pytest
import torch

from simenv.physics import status
from simenv.physics.mpm.materials import Material, Sand
from simenv.world import State, World
from tests.zoo.play import Leaves, gradients, leaves_of, moved, same, weights, world
from tests.zoo.scenes import each

NAN = math.nan
OF_PARTICLES = ("x", "v", "C", "F", "J")


def remembers_volume(material: Material) -> bool:
    """Whether a material has a volume ratio of its own (J) rather than a shape only (F)."""
    return material.is_liquid or isinstance(material, Sand)


def place(world: World, start: State, name: str) -> tuple[int, ...]:
    """Where a number of a leaf of a world matters: in what moves, or is touched."""
    kind, _, rest = name.partition(".")
    if rest in ("body_q", "body_twist"):
        return ((moved(world) or [0])[0], 2)
    if rest in OF_PARTICLES:
        for group in world.scene.particles.values():
            material, present = world.scene.materials[group.material], start.active[0, group.span].nonzero()
            counts = {"F": not material.is_liquid, "J": remembers_volume(material)}.get(rest, True)
            if counts and len(present):
                return (group.span.start + int(present[0]), *(0,) * (start[rest].dim() - 2))
    if rest == "stick":
        return (int(start.depth[0].argmax()), 0)
    if rest == "held":
        return (int(start.held[0].norm(dim=-1).argmax()), 0)
    return (0,) * (start[rest].dim() - 1) if kind == "state" else ()


def faults(world: World, start: State, leaves: Leaves) -> list[tuple[str, float, tuple[int, ...], int]]:
    """Leaf, bad value, place in a world's row, and a bit of the status that it must give (-1: any)."""
    found: list[tuple[str, float, tuple[int, ...], int]] = []
    for name in leaves:
        kind = name.partition(".")[0]
        if kind == "parameter":
            where = (0,) * (leaves[name].dim() - 1)
            found.append((name, NAN, where, status.BAD_PARAMETER))
            if not where and world.parameters.declared[name[10:]].lower > -1e9:
                found.append((name, -1e9, where, status.BAD_PARAMETER))
        elif kind == "control":
            found.append((name, NAN, (0,) * (leaves[name].dim() - 1), status.NONFINITE))
        else:
            found.append((name, NAN, place(world, start, name), -1))
    for row in moved(world):
        found.append(("state.body_twist", 1e9, (row, 1), status.TOO_FAST))
    if "state.v" in leaves:
        found.append(("state.v", 1e9, place(world, start, "state.v"), -1))
    return found


@pytest.mark.parametrize("name", each())
def test_a_fault_stops_its_world_alone_wholly_and_without_gradient(name: str) -> None:
    """Every fault has a world of its own, between two good ones."""
    one = world(name, 1)
    start, leaves = leaves_of(one, [0])
    known = faults(one, start, leaves)
    N = 2 * len(known) + 1
    many = world(name, N)
    start, leaves = (
        State({key: value.expand(N, *value.shape[1:]).clone() for key, value in start.items()}),
        {key: value.expand(N, *value.shape[1:]).clone() for key, value in leaves.items()},
    )
    spoilt = {key: value.clone() for key, value in leaves.items()}
    for i, (leaf, value, where, _) in enumerate(known):
        spoilt[leaf][(2 * i + 1, *where)] = value
    states, slopes = gradients(many, start, spoilt, weights(name))
    usual, expected = gradients(many, start, leaves, weights(name))
    good = torch.arange(0, N, 2)
    last, entered = states[-1], start.replace(**{k[6:]: v for k, v in spoilt.items() if k.startswith("state.")})
    assert (usual[-1].status == 0).all() and (last.status[good] == 0).all()
    for t, (state, other) in enumerate(zip(states, usual, strict=True)):
        wrong = [field for field, value in state.items() if not same(value[good], other[field][good])]
        assert wrong == [], f"neighbours of faults after step {t}"
    assert [leaf for leaf, value in slopes.items() if not same(value[good], expected[leaf][good])] == []
    for i, (leaf, value, _, bit) in enumerate(known):
        row, what = 2 * i + 1, f"{leaf} = {value}"
        assert int(last.status[row]) & bit, f"{what}: status {int(last.status[row])}"
        changed = [k for k, v in last.items() if k != "status" and not same(v[row], entered[k][row])]
        assert changed == [], what
        assert [k for k, slope in slopes.items() if float(slope[row].abs().max()) != 0.0] == [], what
