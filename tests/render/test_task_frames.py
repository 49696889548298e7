# SPDX-License-Identifier: Apache-2.0
"""What a task is about is seen in its default frames: pixels of a thing, against its outline by the pinhole."""

import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

import simenv  # noqa: F401  registers the tasks
from simenv.geometry import Box, Sphere
from simenv.render import Camera, Renderer
from simenv.render.items import MeshItem
from simenv.render.picture import Picture
from simenv.world import Scene

WIDTH, HEIGHT = 160, 120


class Seen:
    """A frame of the first world of a task, and which of its pixels show what."""

    def __init__(self, task: str, seed: int):
        self.env = gym.make_vec(
            f"SimEnv/{task}-v0", num_envs=1, output="torch", device="cpu", render_mode="rgb_array",
            render_size=(WIDTH, HEIGHT),
        ).unwrapped  # fmt: skip
        self.env.reset(seed=seed)
        (self.frame,) = self.env.render()
        renderer = self.env._renderer._renderer
        (self.picture,) = renderer._pictures.values()
        shapes = self.picture._caster.image.shape.numpy()[0]
        names = [item.name for item in self.picture.meshes]
        opaque = [names[i] for i in self.picture._opaque_index]
        self.rows = {name: [i for i, other in enumerate(opaque) if other == name] for name in set(opaque)}
        self.items = [self.picture.meshes[i] for i in self.picture._opaque_index]
        self.poses = [self.picture._parts[i].pose for i in self.picture._opaque_index]
        self.shapes = shapes
        self.samples = shapes.size

    def project(self, points: np.ndarray) -> np.ndarray:
        """Column and row (n, 2) of points, in samples, by the pinhole."""
        camera, rows = self.picture.camera, self.shapes.shape[0]
        right, up, back = camera.axes().T
        away = points - np.asarray(camera.position)
        focal = 0.5 * rows / math.tan(0.5 * camera.fov_y) / (away @ -back)
        return np.stack([0.5 * self.shapes.shape[1] + focal * (away @ right), 0.5 * rows - focal * (away @ up)], -1)

    def outline(self, row: int) -> np.ndarray:
        """Corners of what a mesh covers, seen from the camera (n, 2), if nothing is before it and it is convex."""
        q, vertices = self.poses[row].astype(float), np.asarray(self.items[row].vertices)
        twice = 2.0 * np.cross(q[3:6], vertices)
        return self.project(vertices + q[6] * twice + np.cross(q[3:6], twice) + q[:3])

    def share(self, name: str) -> tuple[float, float]:
        """Which part of a thing's outline shows it, and how much of the frame the outline is."""
        (row,) = self.rows[name]
        area = ConvexHull(self.outline(row)).volume
        return float((self.shapes == row).sum()) / area, area / self.samples

    def inside(self, name: str) -> bool:
        corners = np.concatenate([self.outline(row) for row in self.rows[name]])
        return bool((corners >= 0).all() and (corners <= np.array(self.shapes.shape[::-1])).all())


@pytest.mark.parametrize("task", ["PegInsertion", "PegPlacement", "BoltOnNut"])
@pytest.mark.parametrize("seed", [1, 2])
def test_peg_and_socket_are_seen(task: str, seed: int) -> None:
    seen = Seen(task, seed)
    assert seen.inside("peg") and seen.inside("socket")
    peg, peg_size = seen.share("peg")
    socket, socket_size = seen.share("socket")
    assert peg > 0.3 and socket > 0.6  # the fingers hide some of the peg
    assert peg_size > 0.002 and socket_size > 0.002  # of the frame, whose box is up to ten times as long as the peg
    if task == "PegPlacement":
        assert seen.share("goal")[0] > 0.5
    pads = [item for item in seen.picture.meshes if item.name.endswith(" pad")]
    assert len(pads) == 2 and all(item.transparent for item in pads)


def test_the_goal_of_the_ball_is_seen_where_it_is() -> None:
    seen = Seen("BallRoll", 1)
    ball, size = seen.share("ball")
    disc, _ = seen.share("goal")
    assert ball > 0.8 and size > 0.02
    # under the ball lies at most its own outline's share of the disc, of 15 / 19 of its radius
    assert disc > 1 - (15 / 19) ** 2 - 0.1 and seen.inside("goal")
    (row,) = seen.rows["goal"]
    goal = seen.env.episode["goal"][0].numpy()
    assert np.allclose(seen.poses[row][:2], goal)
    assert seen.share("stem")[0] > 0.8


@pytest.mark.parametrize("seed", [1, 3])
def test_the_pattern_is_seen_on_the_coffee(seed: int) -> None:
    seen = Seen("LatteArt", seed)
    dots, curve = seen.rows["target"], seen.env.episode["curve"][0].numpy()
    shown = [int((seen.shapes == row).sum()) for row in dots]
    assert len(dots) == 24 and sum(count > 0 for count in shown) > 16  # the spout and its shadow hide a few
    for row, place in zip(dots, curve[::2], strict=True):
        assert np.allclose(seen.poses[row][:3], [0.076 + place[0], 0.076 + place[1], 0.032], atol=1e-6)
    # from steeply above: the cup's far rim hides none of the surface, 6400 mm^2 wide and 28 mm high
    camera = seen.picture.camera
    view = np.asarray(camera.target) - np.asarray(camera.position)
    assert math.asin(-view[2] / np.linalg.norm(view)) > 0.8
    assert seen.inside("nozzle")
    # no liquid is drawn into contact with a mark: the rest of the picture is as without marks
    (plain,) = seen.env._renderer._renderer.render(seen.env.state)
    changed = int((plain != seen.frame).any(-1).sum())
    shown_pixels = sum(shown) / 4  # of four samples each
    assert shown_pixels < changed < 5 * shown_pixels, (shown_pixels, changed)


def test_the_height_to_lift_to_is_seen() -> None:
    seen = Seen("SoftGrasp", 1)
    (row,) = seen.rows["goal"]
    height = float(seen.env.episode["height"][0])
    assert seen.poses[row][2] == pytest.approx(0.016 + 0.040 + height, abs=1e-6)
    assert seen.share("goal")[0] > 0.7 and seen.inside("goal")


def test_looking_from_elsewhere_is_a_picture_from_there() -> None:
    mesh = Box((0.1, 0.1, 0.1)).to_mesh()
    item = MeshItem(np.asarray(mesh.vertices), np.asarray(mesh.faces), (0.8, 0.3, 0.2, 1.0))
    first, second = Camera((1.0, -1.0, 0.6), (0, 0, 0)), Camera((-0.7, -1.2, 0.9), (0.02, 0, 0))
    picture, other = (Picture([item], camera, width=40, height=30) for camera in (first, second))
    before = picture.draw()
    picture.look(second)
    assert np.array_equal(picture.draw(), other.draw()) and not np.array_equal(before, other.draw())
    with pytest.raises(ValueError, match=r"fov_y = 0\.3 rad"):
        picture.look(Camera((1, 1, 1), (0, 0, 0), fov_y=0.3))


def test_marks_are_drawn_where_they_are_said_to_be_and_only_then() -> None:
    scene = Scene(substep_dt=1e-3, substeps=1)
    scene.add_body("ball", Sphere(0.02), 1000.0, (0.0, 0.0, 0.02), motion="free")
    scene.add_mark("goal", Sphere(0.01), (0.0, 0.0, 1.0, 1.0), count=2)
    world = scene.make_world(2)
    renderer, state = Renderer(world, 64, 48, Camera((0, -0.4, 0.1), (0, 0, 0.02))), world.initial_state()
    blue = lambda frame: (frame[..., 2] > 1.5 * frame[..., 0].astype(float)).nonzero()  # noqa: E731
    places = torch.tensor([[[-0.06, 0, 0.03], [-0.06, 0, 0.03]], [[0.06, 0, 0.03], [0.06, 0, 0.06]]])
    left, right = renderer.render(state, marks={"goal": places})
    assert 0 < len(blue(left)[0]) < len(blue(right)[0])
    assert blue(left)[1].max() < 32 < blue(right)[1].min()
    assert not any(len(blue(frame)[0]) for frame in renderer.render(state))
    with pytest.raises(ValueError, match=r"\(2, 1, 3\); they must be \(2, 2, 3\)"):
        renderer.render(state, marks={"goal": places[:, :1]})
    with pytest.raises(ValueError, match="no mark 'gaol'; the scene has: goal"):
        renderer.render(state, marks={"gaol": places})
    with pytest.raises(ValueError, match="exists already"):
        scene.add_mark("goal", Sphere(0.01), (0.0, 0.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="alpha"):
        scene.add_mark("glass", Sphere(0.01), (0.0, 0.0, 1.0, 0.5))
