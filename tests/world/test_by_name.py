# SPDX-License-Identifier: Apache-2.0
"""Bodies, colliders and gels by name: their rows of the state, and what is told of a name that is none."""

import pytest
import torch

from simenv.geometry.shapes import Box, Sphere
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.world import Scene


def world_of_three():
    """A given cup, a fixed wall with a gel, and a free ball that touches it."""
    scene = Scene(substep_dt=1e-3, substeps=2)
    scene.add_body("cup", position=(0.1, 0.2, 0.3))
    scene.add_body("wall", Box((0.05, 0.05, 0.05)), motion="fixed")
    scene.add_body("ball", Sphere(0.02), 1000.0, (0.0, 0.0, 0.2), motion="free")
    gel = WinklerGel(1e8, 5e7, mu=0.8)
    scene.add_gel("pad", on="wall", touches="ball", gel=gel, grid=flat_grid(2, 2, 0.01, 0.01), position=(0, 0, 0.05))
    scene.let_pass("cup", "ball", "the cup is a place")
    return scene.make_world(2)


def test_each_has_its_row_of_the_state() -> None:
    world = world_of_three()
    state = world.initial_state()
    q = torch.arange(42.0).reshape(2, 3, 7)
    state = state.replace(body_q=q, body_twist=q[..., :6], gel_wrench=7.0 + torch.arange(12.0).reshape(2, 1, 6))
    for row, name in enumerate(("cup", "wall", "ball")):
        assert world.bodies[name].index == row and world.bodies[name].spec.name == name
        assert torch.equal(world.bodies[name].pose(state), q[:, row])
        assert torch.equal(world.bodies[name].twist(state), q[:, row, :6])
    assert torch.equal(world.gels["pad"].wrench(state), state.gel_wrench[:, 0])
    assert list(world.bodies) == ["cup", "wall", "ball"] and list(world.gels) == ["pad"] and not world.colliders
    world.close()


def test_a_name_that_is_none_is_told_with_those_that_are() -> None:
    world = world_of_three()
    with pytest.raises(KeyError, match=r"no body 'bal'; did you mean 'ball'\? there are: cup, wall, ball"):
        world.bodies["bal"]
    with pytest.raises(KeyError, match=r"no gel 'spoon'; there are: pad"):
        world.gels["spoon"]
    with pytest.raises(KeyError, match=r"no collider 'floor'; there are: none"):
        world.colliders["floor"]
    with pytest.raises(KeyError, match=r"no given body 'ball'; there are: cup"):
        world.control(twist={"ball": torch.zeros(2, 6)})
    world.close()
