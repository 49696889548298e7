# SPDX-License-Identifier: Apache-2.0
"""The camera on a body, against the pinhole's closed form."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Plane, Sphere
from simenv.render.body_camera import BodyCamera
from simenv.render.items import Camera
from simenv.robots import JointDrive
from simenv.world import Scene

RADIUS, AWAY, FOV, SIDE = 0.03, 0.30, 0.8, 96
BALLS = ((0.0, 0.0, 0.20), (0.04, 0.03, 0.20), (-0.05, -0.02, 0.15))  # places of the ball, one for each world


def worlds(places=BALLS):
    """A hand at height AWAY over the middle of the ball's first place, whose camera looks down; x is right, y is up."""
    scene = Scene(substep_dt=1e-3, substeps=1)
    scene.add_body("table", Plane(), motion="fixed")
    scene.add_body("hand", position=(0.0, 0.0, 0.20 + AWAY), motion="hand")
    scene.add_body("ball", Sphere(RADIUS), 1000.0, (0.0, 0.0, 0.2), motion="free", color=(0.9, 0.1, 0.1, 1.0))
    scene.let_pass("ball", "table", "they never meet")
    world = scene.make_world(len(places))
    ball, state = world.bodies["ball"], world.initial_state()
    places = torch.cat([torch.tensor(places), ball.pose(state)[:, 3:]], 1)
    camera = BodyCamera(world, "hand", Camera((0, 0, 0), (0, 0, -1), FOV, up=(0, 1, 0)), SIDE, SIDE)
    return world, ball.place(state, places), camera


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


def test_a_camera_sits_on_a_link_of_a_robot():
    """What it shows is what a camera on a body shows that is put where the link is, bit for bit, and the arm's own
    fingers; after a motion of the joints as well.
    """
    scene = Scene(substep_dt=1e-3, substeps=10)
    scene.add_body("table", Plane(), motion="fixed")
    scene.add_body("eye")
    scene.add_body("ball", Sphere(RADIUS), position=(0.32, 0.02, 0.25), color=(0.9, 0.1, 0.1, 1.0))
    scene.add_robot("arm", "panda", drive=JointDrive(2000.0, 100.0))
    world = scene.make_world(1)
    view = Camera((0.06, 0.0, -0.06), (0.0, 0.0, 0.2), FOV, up=(1.0, 0.0, 0.0))
    on_link, on_body = (BodyCamera(world, name, view, SIDE, SIDE) for name in ("arm/tool", "eye"))
    arm, state, seen = world.robots["arm"], world.initial_state(), []
    for _ in range(2):
        state = world.bodies["eye"].place(state, world.bodies["arm/tool"].pose(state))
        seen.append(on_link(world, state))
        assert torch.equal(seen[-1], on_body(world, state))
        target = arm.positions(state) + torch.tensor([[0.3] + [0.0] * 8])
        for _ in range(10):
            state = world.step(state, world.control(joints={"arm": target}))
    ball, fingers = red(seen[0][0]), (seen[0][0].int() - torch.tensor([64, 69, 77])).abs().amax(-1) < 40
    assert 20 < ball.sum() and 100 < int(fingers.sum())
    assert not torch.equal(*seen)


def test_a_world_does_not_see_its_neighbours():
    world, state, camera = worlds()
    together = camera(world, state)
    for index, place in enumerate(BALLS):
        alone = worlds((place,))
        assert torch.equal(alone[2](alone[0], alone[1])[0], together[index])


def test_what_the_grid_moves_and_what_a_collider_looks_like_are_seen():
    """A red ball of the grid and a green collider, side by side, from a camera on a body above them."""
    scene = Scene((0.4, 0.4, 0.4), 0.02, 4e-4, 2, origin=(-0.2, -0.2, 0.0))
    scene.add_body("hand", position=(0.0, 0.0, 0.35))
    scene.add_body("ball", Sphere(RADIUS), 1000.0, (-0.06, 0.0, 0.1), motion="free", color=(0.9, 0.1, 0.1, 1.0))
    scene.add_body("post", Sphere(RADIUS), position=(0.06, 0.0, 0.1), motion="fixed", color=(0.1, 0.9, 0.1, 1.0))
    world = scene.make_world(1)
    ball, state = world.bodies["ball"], world.initial_state()
    camera = BodyCamera(world, "hand", Camera((0, 0, 0), (0, 0, -1), FOV, up=(0, 1, 0)), SIDE, SIDE)
    green = lambda picture: red(picture[..., [1, 0, 2]])  # noqa: E731
    picture = camera(world, state)[0]
    assert 100 < red(picture).sum() and 100 < green(picture).sum()
    assert red(picture).nonzero()[1].max() < SIDE / 2 < green(picture).nonzero()[1].min()
    gone = ball.place(state, torch.tensor([[0.0, 0.06, 0.1, 0.0, 0.0, 0.0, 1.0]]))
    picture = camera(world, gone)[0]
    assert red(picture).nonzero()[0].max() < SIDE / 2 and 100 < green(picture).sum()
    world.close()


def test_an_unknown_body_is_named():
    world, _, _ = worlds()
    with pytest.raises(ValueError, match="no body 'wrist' for a camera; there are table, hand, ball"):
        BodyCamera(world, "wrist", Camera((0, 0, 0), (1, 0, 0)), 8, 8)
