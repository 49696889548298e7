# SPDX-License-Identifier: Apache-2.0
"""Pictures as observations of the tasks of touch."""

import gc
import weakref

import gymnasium as gym
import numpy as np
import pytest
import torch

import simenv  # noqa: F401  registers the tasks
from simenv.rollouts import Recorder, Recording, replay
from simenv.sensors.tactile.sensors import SENSORS

PEG, EVERYTHING = "SimEnv/PegInsertion-v0", "reduced+tactile_image+force_field+wrist_camera"


def make(task=PEG, worlds=2, mode=EVERYTHING, **options):
    options = {"output": "torch", "device": "cpu", **options}
    return gym.make_vec(task, num_envs=worlds, observation_mode=mode, **options).unwrapped


def test_shapes_and_sizes():
    env = make(mode="tactile_image+wrist_camera")
    shapes = {name: tuple(value.shape) for name, value in env.reset(seed=0)[0].items()}
    image = (2, 80, 60, 3)  # as TacSL's policies see
    assert shapes == {"left_image": image, "right_image": image, "wrist_camera": (2, 64, 64, 3)}
    env.close()
    env = make(mode="tactile_image+wrist_camera", image_size=[40, 30], camera_size=(36, 48))
    shapes = {name: tuple(value.shape) for name, value in env.reset(seed=0)[0].items()}
    assert shapes == {"left_image": (2, 40, 30, 3), "right_image": (2, 40, 30, 3), "wrist_camera": (2, 36, 48, 3)}
    env.close()
    for options, message in (
        ({"image_size": (64, 64)}, "such as 64 x 48"),
        ({"tactile_sensor": "gelsight"}, "tactile_sensor='gelsight' is not one of 'gelsight_r15', 'gelsight_mini'"),
        ({"image_size": 80}, "image_size=80: give rows and columns"),
        ({"camera_size": (64, 2)}, r"camera_size=\(64, 2\): give rows and columns, two whole numbers of at least 8"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**options)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'image_sise'\. Did you mean image_size"):
        make(image_sise=(80, 60))


@pytest.mark.parametrize(("task", "size"), [(PEG, (80, 60)), ("SimEnv/BallRoll-v0", (64, 64)),
                                            ("SimEnv/SurfaceFollow-v0", (64, 64))])  # fmt: skip
def test_without_contact_the_image_is_the_background_exactly(task, size):
    env = make(task, mode="tactile_image")
    pressed = env.reset(seed=0)[0]
    background = torch.as_tensor(SENSORS[env.task.tactile_sensor]().resized(*size).background)
    apart = env.state.body_q.clone()
    hand = env.world.body_names.index(env.world.hand_names[0])
    apart[0, hand, 2] += 0.05  # the first world's sensors go away
    env._batch.state = env.state.replace(body_q=apart)
    after = env.observe()
    for name, image in after.items():
        assert (pressed[name][0].int() - background.int()).abs().max() > 10
        assert torch.equal(image[0], background)
        assert torch.equal(image[1], pressed[name][1])
    env.close()


def test_world_i_of_n_sees_what_it_sees_alone():
    together, alone = make(worlds=3), make(worlds=1)
    seen, single = together.reset(seed=4)[0], alone.reset(seed=6)[0]
    for step in range(3):
        for name in seen:
            assert torch.equal(seen[name][2], single[name][0]), (step, name)
        action = torch.full((3, 6), 0.3)
        seen, single = together.step(action)[0], alone.step(action[:1])[0]
    together.close()
    alone.close()


def test_the_wrist_camera_shows_peg_and_socket():
    """By what changes when one of them is taken away."""
    env = make(mode="wrist_camera", worlds=1)
    env.reset(seed=0)
    q = env.state.body_q.clone()
    q[:, 1, :3] = torch.tensor([0.5, 0.0, 0.0])
    q[:, 2] = torch.tensor([0.5, 0.0, 0.08, 1.0, 0.0, 0.0, 0.0])
    q[:, 3] = torch.tensor([0.5, 0.0, 0.06, 0.0, 0.0, 0.0, 1.0])
    pictures = []
    for body in (None, 1, 3):
        moved = q.clone()
        if body is not None:
            moved[:, body, 1] += 10.0
        env._batch.state = env.state.replace(body_q=moved)
        pictures.append(env.observe()["wrist_camera"][0].int())
    whole, without_socket, without_peg = pictures
    for other, least in ((without_socket, 150), (without_peg, 150)):
        rows, columns = torch.nonzero((whole - other).abs().amax(-1) > 20, as_tuple=True)
        assert len(rows) > least  # of 4096 pixels
        assert 20 < columns.float().mean() < 44  # in the middle
    env.close()


def test_pictures_never_ask_the_device(monkeypatch):
    env = make()
    env.reset(seed=0)
    env.observe()

    def refuse(self, *args, **kwargs):
        raise AssertionError("a picture asked for the value of a tensor")

    for name in ("item", "tolist", "numpy", "cpu", "nonzero", "__bool__", "__float__", "__int__", "__index__"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    env.observe()
    monkeypatch.undo()
    env.close()


def test_worlds_that_were_seen_are_let_go():
    env = make(worlds=1)
    env.reset(seed=0)
    there = weakref.ref(env.world)
    env.close()
    del env
    gc.collect()
    assert there() is None


def test_float64_and_gradients_go_past_the_pictures():
    env = make(dtype="float64", differentiable=True, autoreset_mode="disabled")
    env.reset(seed=0)
    action = torch.full((2, 6), 0.1, dtype=torch.float64, requires_grad=True)
    seen, reward, *_ = env.step(action)
    assert not seen["left_image"].requires_grad and seen["left_field"].requires_grad
    reward.sum().backward()
    assert action.grad.abs().sum() > 0
    env.close()


def test_pictures_are_recorded_and_replayed_bit_for_bit(tmp_path):
    env = gym.make_vec(
        PEG, num_envs=2, device="cpu", observation_mode=EVERYTHING, image_size=(40, 30), max_episode_steps=3
    )
    with Recorder(tmp_path, env, states="all") as recorder:
        first, _ = recorder.reset(seed=0)
        env.action_space.seed(0)
        for _ in range(3):
            last, *_ = recorder.step(env.action_space.sample())
    env.close()
    episode = Recording(tmp_path)[1]
    image = episode.observations["right_image"]
    assert image.shape == (4, 40, 30, 3) and image.dtype == np.uint8
    for name, value in episode.observations.items():
        assert np.array_equal(value[0], first[name][1]) and np.array_equal(value[-1], last[name][1])
    assert episode.states["grip"].shape == (4, 2) and episode.states["field"].shape == (4, 280, 3)
    assert replay(episode).exact
    film = tmp_path / "states.mp4"
    assert replay(episode, "states", video=film, width=64, height=48).steps == 4 and film.stat().st_size > 0
