# SPDX-License-Identifier: Apache-2.0
"""A solver that touches nothing changes no bit of what the others do, forward and in reverse."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from simenv.geometry.shapes import Box, Sphere
from simenv.physics.mpm.materials import Liquid
from simenv.sensors.tactile import flat_grid
from simenv.world import Scene, State, World
from tests.gradients.scenes import block
from tests.zoo.play import Leaves, entering_fields, gradients, leaves_of, make, same, weights, world
from tests.zoo.scenes import DX, SPRINGS, VOLUME, ZOO, each

SEEDS = [4, 2]
FAR = (5.0, 5.0, 5.0)  # [m]


def far_body(scene: Scene) -> None:
    """A free body that falls, spinning, where nothing is."""
    motion = {"velocity": (0.1, 0.2, 0.3), "angular_velocity": (1.0, 2.0, 3.0)}
    scene.add_body("far", Sphere(0.01), 24000.0, FAR, motion="free", coupling="contact", **motion)


def far_gel(scene: Scene) -> None:
    """A gel that is pressed by a ball, where nothing else is."""
    scene.add_body("far plate", Box((0.02, 0.02, 0.01)), position=FAR, motion="fixed")
    scene.add_body("far ball", Sphere(0.01), 24000.0, (5.0, 5.0, 5.0198), motion="free", coupling="contact")
    scene.add_gel("far gel", "far plate", "far ball", flat_grid(2, 3, 0.01, 0.01), SPRINGS, position=(0.0, 0.0, 0.01))


def far_particles(scene: Scene) -> None:
    """A drop that falls, far from everything in cells."""
    scene.add_material("far water", Liquid(1000.0, 4.0e4, 0.5))
    upper = [a + b - 2.0 * DX for a, b in zip(scene.origin, scene.size, strict=True)]
    scene.add_particles("far drop", "far water", block(upper, (2, 2, 2)), VOLUME, (0.0, 0.0, -0.1))


IDLE: dict[str, tuple[Callable[[Scene], None], dict[str, Any]]] = {
    "a body": (far_body, {}), "a gel": (far_gel, {}), "particles": (far_particles, {}),
}  # fmt: skip
GRID = {"size": (0.4, 0.4, 0.4), "dx": DX, "origin": (-0.1, -0.1, -0.1)}  # for scenes without one


def with_idle(name: str, idle: str) -> World:
    add, options = IDLE[idle]
    if idle == "particles" and not ZOO[name].scene().has_grid:
        options = GRID
    scene = ZOO[name].scene(**options)
    add(scene)
    return make(scene, len(SEEDS))


def leading(more: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The rows of a tensor that another has as well."""
    return more[:, : like.shape[1]] if like.dim() > 1 else more


def widened(more: World, start: State, leaves: Leaves) -> tuple[State, Leaves]:
    """A state and leaves of a world, in one that has more."""
    wider = more.initial_state()
    for name, value in start.items():
        leading(wider[name], value).copy_(value)
    found = {f"state.{name}": wider[name].clone() for name in entering_fields(more)}
    found |= {f"parameter.{name}": value for name, value in more.parameters.items()}
    for name, value in leaves.items():
        if name in found:
            leading(found[name], value).copy_(value)
        else:
            found[name] = value
    return wider, found


@pytest.mark.parametrize("idle", IDLE)
@pytest.mark.parametrize("name", each())
def test_an_idle_solver_changes_no_bit_of_the_others(name: str, idle: str) -> None:
    plain, more = world(name, len(SEEDS)), with_idle(name, idle)
    start, leaves = leaves_of(plain, SEEDS)
    wider, many = widened(more, start, leaves)
    states, slopes = gradients(plain, start, leaves, weights(name))
    others, theirs = gradients(more, wider, many, weights(name))
    assert not same(others[-1].body_q, wider.body_q) or idle == "particles"
    for t, (state, other) in enumerate(zip(states, others, strict=True)):
        assert (other.status == 0).all()
        wrong = [field for field, value in state.items() if not same(value, leading(other[field], value))]
        assert wrong == [], f"after step {t}"
    assert [leaf for leaf, value in slopes.items() if not same(value, leading(theirs[leaf], value))] == []
    more.close()
