# SPDX-License-Identifier: Apache-2.0
"""The camera on a body, against the pinhole's closed form."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Plane, Sphere
from simenv.render.body_camera import BodyCamera
from simenv.render.items import Camera
from simenv.world import TouchScene

RADIUS, AWAY, FOV, SIDE = 0.03, 0.30, 0.8, 96
BALLS = ((0.0, 0.0, 0.20), (0.04, 0.03, 0.20), (-0.05, -0.02, 0.15))  # places of the ball, one for each world


def worlds(places=BALLS):
    """A hand at height AWAY over the middle of the ball's first place, whose camera looks down; x is right, y is up."""
    scene = TouchScene(1e-3, 1)
    scene.add_fixed("table", Plane(), (0.0, 0.0, 0.0))
    scene.add_hand("hand", (0.0, 0.0, 0.20 + AWAY))
    scene.add_body("ball", Sphere(RADIUS), 1000.0, (0.0, 0.0, 0.2), color=(0.9, 0.1, 0.1, 1.0))
    world = scene.make_world(len(places))
    state = world.initial_state()
    pose = state.body_q.clone()
    pose[:, 2, :3] = torch.tensor(places)
    camera = BodyCamera(world, "hand", Camera((0, 0, 0), (0, 0, -1), FOV, up=(0, 1, 0)), SIDE, SIDE)
    return world, state.replace(body_q=pose), camera


def red(picture):
    rgb = picture.numpy().astype(int)
    return (rgb[..., 0] > 1.5 * rgb[..., 1]) & (rgb[..., 0] > 1.5 * rgb[..., 2])


def test_a_ball_is_where_the_pinhole_says_and_as_large():
    world, state, camera = worlds()
    pictures = camera(world, state)
    assert pictures.shape == (3, SIDE, SIDE, 3) and pictures.dtype == torch.uint8
    focal = 0.5 * SIDE / math.tan(0.5 * FOV)  # [px]
    for picture, (x, y, z) in zip(pictures, BALLS, strict=True):
        rows, columns = np.nonzero(red(picture))
        down = 0.20 + AWAY - z
        # A sphere seen under the half angle a about a ray at the angle t from the middle is an ellipse about
        # tan t cos^2 t / (cos^2 t - sin^2 a), of area pi sin^2 a cos a cos t / (cos^2 t - sin^2 a)^1.5, in units of the
        # focal length.
        far = math.sqrt(x * x + y * y + down * down)
        sine2, cosine2 = (RADIUS / far) ** 2, (down / far) ** 2
        factor = focal / down * cosine2 / (cosine2 - sine2)
        middle = np.array([columns.mean() + 0.5 - SIDE / 2, SIDE / 2 - rows.mean() - 0.5])
        assert np.abs(middle - factor * np.array([x, y])).max() < 0.25  # [px]
        area = math.pi * sine2 * math.sqrt((1 - sine2) * cosine2) / (cosine2 - sine2) ** 1.5 * focal**2
        # half a pixel's width of its rim, of which a smooth edge may be called red or not
        assert abs(len(rows) - area) < 0.5 * math.sqrt(4 * math.pi * area)


def test_the_camera_goes_with_its_body():
    world, state, camera = worlds(BALLS[:1] * 2)
    pose = state.body_q.clone()
    pose[1, 1:, 0] += 0.07  # hand and ball together; the table is plain, and the light the same everywhere
    assert torch.equal(*camera(world, state.replace(body_q=pose)))
    pose[1, 1, 3:] = torch.tensor([0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)])  # a quarter turn about the view
    turned = camera(world, state.replace(body_q=pose))
    assert torch.equal(turned[0], camera(world, state)[0])
    # anticlockwise from above, so that the picture turns clockwise; a ray beside the rim of the ball or of its shadow,
    # 75 of 9216 pixels each, may fall on the other side by rounding
    away = (turned[1].int() - turned[0].int().rot90(-1, (0, 1))).abs().amax(-1)
    assert int((away > 4).sum()) < 75
    assert (turned[1].int() - turned[0].int()).abs().max() > 50  # the light did not turn


def test_a_world_does_not_see_its_neighbours():
    world, state, camera = worlds()
    together = camera(world, state)
    for index, place in enumerate(BALLS):
        alone = worlds((place,))
        assert torch.equal(alone[2](alone[0], alone[1])[0], together[index])


def test_an_unknown_body_is_named():
    world, _, _ = worlds()
    with pytest.raises(ValueError, match="no body 'wrist' for a camera; there are table, hand, ball"):
        BodyCamera(world, "wrist", Camera((0, 0, 0), (1, 0, 0)), 8, 8)
