# SPDX-License-Identifier: Apache-2.0
"""Slices and streamlines of gas: where they are drawn, in which colour, and what hides them."""

import matplotlib
import numpy as np
import pytest
import torch

from simenv.geometry import Box
from simenv.physics.gas.model import Scalar, Slip
from simenv.render import Camera, Renderer, Slice, Streamlines
from simenv.render.flow import FlowItem, draw_flow, streamlines
from simenv.world import Scene

CELLS = 24
CAMERA = Camera(position=(0.5, -3.0, 0.5), target=(0.5, 0.5, 0.5), fov_y=0.5)


def grid() -> np.ndarray:
    axis = (np.arange(CELLS) + 0.5) / CELLS
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)


def turning() -> np.ndarray:
    """Velocity of a solid that turns about the middle, in the plane across y."""
    x, _y, z = np.moveaxis(grid() - 0.5, -1, 0)
    return np.stack([-z, np.zeros_like(x), x], -1)


def test_streamlines_of_a_turning_body_are_circles():
    look = Streamlines(count=40, length=2.0)
    points = streamlines(FlowItem(look, turning(), np.zeros(3), 1 / CELLS), look)
    middle = points.shape[1] // 2
    radius = np.hypot(points[..., 0] - 0.5, points[..., 2] - 0.5)
    inner = radius[:, middle] < 0.5 - 1 / CELLS  # of which no point is in the outer halves of cells
    assert inner.sum() > 20
    assert not np.isnan(points[inner]).any()
    # 48 steps of h = dx / 2 each way along a circle of radius r lose r (h / r)^6 / 144 each: 5e-4 r from 3 h outwards
    far = inner & (radius[:, middle] > 1.5 / CELLS)
    assert np.abs(radius[far] / radius[far, middle : middle + 1] - 1.0).max() < 5e-4
    length = np.linalg.norm(np.diff(points[far], axis=1), axis=-1).sum(1)
    assert np.abs(length - 2.0).max() < 0.02


def test_a_slice_has_the_colours_of_what_it_cuts():
    look = Slice("heat", "y", at=0.3, limits=(0.0, 1.0), opacity=1.0)
    item = FlowItem(look, grid()[..., 0], np.zeros(3), 1 / CELLS)
    image, far = draw_flow(np.zeros((81, 81, 3), np.uint8), np.full((81, 81), np.inf), CAMERA, [item])
    # through the middle of the picture x = 0.5 lies; 3.3 m away a pixel is 2 * 3.3 tan(0.25) / 81 wide
    pixel = 2.0 * 3.3 * np.tan(0.25) / 81
    for right in (-15, 0, 11):
        wanted = matplotlib.colormaps["viridis"](0.5 + right * pixel)[:3]
        assert np.abs(image[40, 40 + right] / 255.0 - wanted).max() < 0.012  # a colour is one of 256
    assert far[40, 40] == pytest.approx(3.3)
    beside = int(0.5 / pixel) + 2
    assert not image[40, 40 + beside].any()
    assert np.isinf(far[40, 40 + beside])


def test_what_is_opaque_hides_slices_and_lines():
    black = np.zeros((40, 40, 3), np.uint8)
    items = [FlowItem(Slice("speed", "y", limits=(0.0, 1.0)), np.ones((CELLS,) * 3), np.zeros(3), 1 / CELLS)]
    look = Streamlines(count=60, limits=(0.0, 1.0))
    items.append(FlowItem(look, turning(), np.zeros(3), 1 / CELLS))
    assert draw_flow(black, np.full((40, 40), 6.0), CAMERA, items)[0].any()
    assert not draw_flow(black, np.full((40, 40), 2.9), CAMERA, items)[0].any()


def world_of_gas():
    scene = Scene(substep_dt=0.01, substeps=1)
    sides = {name: Slip() for name in ("x-", "x+", "y-", "y+", "z-", "z+")}
    heat = Scalar(start=grid()[..., 0], unit="K")
    scene.add_gas("air", 1.2, 1.8e-5, size=(1.0, 1.0, 1.0), dx=1 / CELLS, sides=sides, scalars={"heat": heat})
    scene.add_body("wall", Box((0.3, 0.05, 0.8)), position=(0.1, -1.0, 0.5))
    return scene.make_world(1)


def test_pictures_of_a_world_show_slices_behind_what_stands_before_them():
    world = world_of_gas()
    state = world.initial_state()
    without = Renderer(world, 60, 60, CAMERA).render(state)[0].astype(int)
    shown = Renderer(world, 60, 60, CAMERA, flow=[Slice("heat", opacity=1.0, limits=(0.0, 1.0))])
    changed = (shown.render(state)[0].astype(int) != without).any(-1)
    assert changed[30, 33:40].all()
    assert not changed[30, 10:25].any()  # behind the wall


def test_vorticity_of_a_turning_gas():
    world = world_of_gas()
    state = world.initial_state()
    faces = torch.linspace(0.0, 1.0, CELLS + 1) - 0.5
    middles = torch.as_tensor((np.arange(CELLS) + 0.5) / CELLS - 0.5, dtype=torch.float32)
    u = (-middles[None, None, None, :]).expand(1, CELLS + 1, CELLS, CELLS)
    w = middles[None, :, None, None].expand(1, CELLS, CELLS, CELLS + 1)
    assert len(faces) == u.shape[1]
    found = world.gas.vorticity(state.replace(gas_u=u, gas_v=torch.zeros_like(state.gas_v), gas_w=w))
    assert (found - torch.tensor([0.0, -2.0, 0.0])).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda world: Renderer(world, flow=[Slice("smoke")]), "no 'smoke' in the gas; use one of: heat, speed"),
        (lambda world: Slice(axis="w"), "axis='w' is no axis"),
        (lambda world: Slice(opacity=0.0), "opacity=0.0 must be above 0"),
        (lambda world: Slice(colors="vridis"), "colors='vridis' is no colour map"),
        (lambda world: Streamlines(count=0), "count=0"),
        (lambda world: Streamlines(width=0.0), "width=0.0 px"),
    ],
)
def test_wrong_looks_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(world_of_gas())


def test_flow_of_a_scene_without_gas_is_refused():
    scene = Scene(substep_dt=0.01, substeps=1)
    scene.add_body("block", Box((0.3, 0.05, 0.8)), density=500.0, motion="free")
    with pytest.raises(ValueError, match="the scene has none"):
        Renderer(scene.make_world(1), flow=[Streamlines()])
