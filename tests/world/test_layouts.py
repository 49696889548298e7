# SPDX-License-Identifier: Apache-2.0
"""Worlds of a batch that differ in which shapes they hold: each is, bit for bit, the world with that shape alone."""

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, MeshShape, Sphere
from simenv.physics import status
from simenv.physics.mpm.materials import Elastic
from simenv.world import Scene

SHAPES = (Box((0.02, 0.03, 0.015)), Sphere(0.025), None)
DX = 0.01


def scene(*shapes) -> Scene:
    """A soft block that falls on what stands below it."""
    made = Scene(size=(0.12, 0.12, 0.12), dx=DX, substep_dt=2e-4, substeps=10)
    made.add_material("foam", Elastic(1000.0, 2e4, 0.3))
    axis = np.arange(0.04 + DX / 4, 0.08, DX / 2)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    made.add_particles("block", "foam", points, (DX / 2) ** 3, velocity=(0.0, 0.0, -1.0))
    made.add_body("stand", position=(0.06, 0.06, 0.02), motion="fixed")
    for shape in shapes:
        made.add_collider("obstacle", shape, body="stand", friction=0.3, width=0.4 * DX)
    return made


def fall(world, shift: torch.Tensor):
    state = world.initial_state()
    x = (state.x + shift).requires_grad_()
    state = world.bodies["stand"].place(state.replace(x=x), world.bodies["stand"].pose(state))
    for _ in range(4):
        state = world.step(state, world.zero_control())
    weights = torch.linspace(-1.0, 1.0, state.v[0].numel(), dtype=state.v.dtype).view_as(state.v[0])
    (grad,) = torch.autograd.grad((state.v * weights).sum(), x)
    return state, grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_world_of_a_layout_is_the_world_that_holds_its_shape(dtype):
    world = scene(SHAPES).make_world(4, dtype=dtype)
    choice = [2, 0, 1, 0]
    world.parameters["obstacle.variant"] = choice
    state, grad = fall(world, torch.zeros((), dtype=dtype))
    assert not state.status.any()
    for row, number in enumerate(choice):
        alone = scene(*([] if SHAPES[number] is None else [SHAPES[number]])).make_world(1, dtype=dtype)
        one, slope = fall(alone, torch.zeros((), dtype=dtype))
        for name in ("x", "v", "C", "F"):
            assert torch.equal(state[name][row], one[name][0]), (number, name)
        if number == 2:  # nothing touches, and what is left of the gradient is rounding, of other kernels
            assert float(grad[row].abs().max()) < 1e3 * torch.finfo(dtype).eps * float(grad.abs().max())
        else:
            assert torch.equal(grad[row], slope[0])
            assert torch.equal(state.wrench[row], one.wrench[0]) and float(one.wrench[0, 0, 2]) < -0.1
    world.parameters["obstacle.variant"] = [1, 1, 1, 1]  # chosen anew
    again, _ = fall(world, torch.zeros((), dtype=dtype))
    assert torch.equal(again.x[0], state.x[2])


def test_pictures_show_the_shape_that_a_world_holds():
    world = scene(SHAPES).make_world(3)
    world.parameters["obstacle.variant"] = [0, 1, 2]
    meshes = [each for each in world.drawables() if each.kind == "mesh"]
    assert [type(each.shape) for each in meshes] == [Box, Sphere]
    assert world.drawn_scales().tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]


def test_a_number_of_a_shape_that_is_not_there():
    world = scene(SHAPES).make_world(2)
    with pytest.raises(ValueError, match=r"obstacle\.variant' = 3.*between -0\.5 and 2\.5"):
        world.parameters["obstacle.variant"] = 3
    world.parameters["obstacle.variant"] = torch.tensor([7.0, 1.0])
    state = world.step(world.initial_state(), world.zero_control())
    assert state.status.tolist() == [status.BAD_PARAMETER, 0]


def test_vessels_and_solids_in_one_collider_need_levels(tmp_path):
    Sphere(0.02).to_mesh().export(tmp_path / "ball.stl")
    with pytest.raises(ValueError, match="needs its levels"):
        scene((Sphere(0.02), MeshShape(str(tmp_path / "ball.stl"))))
