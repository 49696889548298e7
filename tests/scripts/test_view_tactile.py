# SPDX-License-Identifier: Apache-2.0
"""`simenv view-tactile`: a simulated touch and a recorded one, as video and picture."""

import json
import re

import gymnasium as gym
import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

import simenv
from simenv import _registry
from simenv.geometry import Sphere
from simenv.render.touch import TouchFigure, TouchSeries
from simenv.rollouts import Episode, Recorder, write_episode
from simenv.scripts import cli
from simenv.scripts.touch_series import DrawnLayer, Layer, press
from simenv.scripts.view_tactile import ViewTactile
from simenv.sensors.tactile import ElasticLayerGel, MarkerField, WinklerGel
from simenv.sensors.tactile.sensors import SENSORS


def run(capsys, *arguments):
    """(exit status, stdout, stderr)."""
    status = cli.main(["view-tactile", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def largest_force(out):
    return float(re.search(r"largest force ([\d.e-]+) N", out)[1])


def width(path):
    with Image.open(path) as picture:
        return picture.width


def record(path, **observations):
    steps = len(next(iter(observations.values()))) - 1
    zero = np.zeros(steps)
    ends = zero.astype(bool)
    episode = Episode(
        {"id": "Real/Robot", "control_dt": 0.05}, {"length": steps}, zero[:, None], zero, ends, ends, observations
    )
    write_episode(path, episode)


def test_video_of_a_simulated_touch(capsys, tmp_path):
    path = tmp_path / "touch.mp4"
    still, fine = ("--slide", 0, "--turn", 0), ("--taxels", 60, 75, "--pitch", 4e-3)
    status, out, err = run(capsys, "--out", path, "--steps", 9, *still, *fine)
    assert status == 0, err
    assert imageio_ffmpeg.count_frames_and_secs(str(path))[0] == 9
    # springs under a sphere: k times the volume of its cap, pi d^2 (R - d / 3); 60 x 75 taxels give it to 1 %
    assert largest_force(out) == pytest.approx(4e7 * np.pi * 5e-4**2 * (8e-3 - 5e-4 / 3), rel=0.01)


def test_picture_of_a_recording(capsys, tmp_path):
    rng = np.random.default_rng(0)
    field = np.zeros((4, 2, 8, 10, 3), np.float32)
    field[2, 1, 3:5, 4:6] = (0.3, 0.0, 0.4)  # four taxels of the second finger: 1.2 N and 1.6 N, 2 N together
    image = rng.integers(0, 255, (4, 30, 40, 3), dtype=np.uint8)
    record(tmp_path / "a.h5", force_field=field, camera=image, state=np.zeros((4, 5)))
    status, out, err = run(capsys, tmp_path / "a.h5", "--finger", 1, "--out", tmp_path / "a.png")
    assert status == 0, err
    assert largest_force(out) == pytest.approx(2.0, rel=1e-3) and "at 0.1 s" in out
    record(tmp_path / "b.h5", force_field=field)
    status, _, err = run(capsys, tmp_path / "b.h5", "--pitch", 0, "--out", tmp_path / "b.png")
    assert status == 0, err
    assert width(tmp_path / "b.png") < 0.8 * width(tmp_path / "a.png")  # a panel less


def test_a_task_that_runs_and_its_recording(capsys, tmp_path):
    task, steps = "SimEnv/BallRoll-v0", 3
    arguments = ("--seed", 3, "--steps", steps)
    status, out, err = run(capsys, task, *arguments, "--out", tmp_path / "live.png", "--pitch", 6e-3)
    assert status == 0, err
    # the first world of the same seed under the same actions; the recording keeps neither field nor image
    env = gym.make_vec(task, num_envs=1, device="cpu", max_episode_steps=steps)
    with Recorder(tmp_path / "run", env) as recorder:
        recorder.reset(seed=3)
        forces = [env.unwrapped.state.gel_wrench[0, 0, :3].norm()]
        for action in env.unwrapped.task.nominal_actions(steps):
            recorder.step(action[None].astype(np.float32))
            forces.append(env.unwrapped.state.gel_wrench[0, 0, :3].norm())
    env.close()
    assert largest_force(out) == pytest.approx(float(max(forces)), rel=1e-3) and f"{steps + 1} readings" in out
    live, _ = ViewTactile(task, seed=3, steps=steps, pitch=6e-3)._series()
    repeated, _ = ViewTactile(str(tmp_path / "run"), pitch=6e-3)._series()
    for name in ("time", "field", "wrench", "moved", "image"):
        assert np.array_equal(getattr(live, name), getattr(repeated, name)), name
    status, _, err = run(capsys, task, *arguments, "--out", tmp_path / "a.png", "--gel", "left")
    assert status == 2 and "--gel left is not one of the task's gels: gel" in err
    status, out, err = run(capsys, tmp_path / "run", "--sensor", "digit", "--scene", "--out", tmp_path / "wide.png")
    assert status == 0, err
    assert largest_force(out) == pytest.approx(float(max(forces)), rel=1e-3)
    assert width(tmp_path / "wide.png") > 1.3 * width(tmp_path / "live.png")  # a panel more
    status, _, err = run(capsys, "SimEnv/BallRol-v0", "--out", tmp_path / "a.png")
    assert status == 2 and "did you mean SimEnv/BallRoll-v0" in err


def gel_tasks():
    """Tasks that take a choice of gels."""
    tasks = {name: _registry.load_task(name) for name in simenv.list_tasks()}
    return [name for name, task in tasks.items() if "gel" in task.declared_arguments()]


def test_elastic_gels_of_all_tasks(capsys, tmp_path):
    assert len(gel_tasks()) >= 4
    for task in gel_tasks():
        arguments = ("--env-args", '{"gel": "elastic"}', "--steps", 1, "--pitch", 8e-3, "--out", tmp_path / "a.png")
        status, out, err = run(capsys, task, *arguments)
        assert status == 0, err
        assert "2 readings" in out


def test_markers_are_those_of_the_elastic_gel_of_the_world():
    """Modulus as the episode drew it, and the gel's own thickness and nu, unless they are given."""
    options = json.dumps({"gel": "elastic", "randomize": True})
    series, _ = ViewTactile("SimEnv/BallRoll-v0", seed=3, steps=2, pitch=6e-3, env_args=options)._series()
    env = gym.make_vec("SimEnv/BallRoll-v0", num_envs=1, device="cpu", gel="elastic", randomize=True)
    env.reset(seed=3)
    world = env.unwrapped.world
    gel, modulus = world.scene.gels["gel"].gel, float(world.parameters["gel.modulus"][0])
    assert modulus != gel.modulus
    for given in ({}, {"poisson": 0.3, "thickness": 2e-3, "modulus": 3e4}):
        truth = {"modulus": modulus, "poisson": gel.poisson, "thickness": gel.thickness} | given
        if given:
            series, _ = ViewTactile(
                "SimEnv/BallRoll-v0", seed=3, steps=2, pitch=6e-3, env_args=options, **given
            )._series()
        wanted = MarkerField(world.sensors["gel"].grid, series.markers, dtype=torch.float64, **truth)
        push = (wanted.influence @ torch.as_tensor(series.field).flatten(1).T).T / truth["modulus"]
        moved = push.unflatten(1, (-1, 2)).numpy()
        assert np.abs(moved).max() > 1e-6
        np.testing.assert_allclose(series.moved - series.markers, moved, rtol=1e-9, atol=1e-15)
    env.close()


def test_a_layer_as_stiff_in_shear_stands_for_springs():
    layer = Layer(poisson=0.4, thickness=3e-3).of(WinklerGel(4e7, 2e7, 0.8))
    assert layer.modulus / (2 * 1.4 * 3e-3) == pytest.approx(2e7)  # shear modulus over thickness
    assert Layer(modulus=5.0).of(ElasticLayerGel(1e5, thickness=None)) == DrawnLayer(None, 5.0, 0.48, 2e-3)


def test_images_have_their_sensor_s_background_and_its_markers():
    gel, layer = WinklerGel(4e7, 2e7, 0.8), Layer(None, None, 0.48, 2e-3)
    for name, sensor in SENSORS.items():
        series = press(Sphere(8e-3), name, gel, layer, (10, 10), 8, 20.0, (5e-4, 0.0, 0.0))
        calibration = sensor()
        shape = (calibration.rows, calibration.columns)
        assert series.image.shape == (8, *shape, 3)  # as the sensor is sold
        assert np.ptp(series.places, axis=0) * 10 / 9 / calibration.pixel == pytest.approx(shape[::-1])
        clear = (series.image[0] == calibration.background).all(-1)
        dots = MarkerField.pixels(torch.as_tensor(series.markers), calibration.pixel, shape).round().int().numpy()
        covered = ~clear[dots[:, 1], dots[:, 0]]
        assert covered.all() and 0.02 < 1.0 - clear.mean() < 0.15
        assert (series.image[0] != series.image[4]).any() and np.array_equal(series.image[0], series.image[-1])


def test_panels_show_what_they_are_given():
    places = np.stack(np.meshgrid(np.arange(5.0), np.arange(4.0)), -1).reshape(-1, 2) * 1e-3
    field = np.zeros((2, 20, 3))
    field[1, 0] = (0.1, 0.0, 0.5)
    image = np.zeros((2, 4, 5, 3), np.uint8)
    image[1, 0] = (255, 0, 0)  # the row of smallest y, which is drawn at the bottom as in the field's axes
    figure = TouchFigure(TouchSeries(np.arange(2.0), places, field, np.zeros((2, 6)), image=image))
    before, after = figure.draw(0), figure.draw(1)
    assert before.shape == after.shape and before.dtype == np.uint8
    red = np.argwhere((after == (255, 0, 0)).all(-1))
    black = np.argwhere((after[:, : after.shape[1] // 3] == 0).all(-1))
    assert red[:, 0].mean() > black[:, 0].mean() + 20
    assert np.array_equal(figure.draw(0), before)  # nothing of the later time is left
    with pytest.raises(ValueError, match=r"field is \(2, 20, 3\)"):
        TouchSeries(np.arange(3.0), places, field, np.zeros((3, 6)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "a.gif"), "must end in .mp4 (video) or .png"),
        (("--depth", 3e-3), "more than the gel's thickness"),
        (("--shape", "cone"), "neither one of sphere, box"),
        (("--steps", 3), "at least 8"),
        (("nowhere.h5",), "no such file"),
        (("SimEnv/Pouring-v0",), "has no gels; choose a task of touch"),
    ],
)
def test_wrong_arguments_are_one_line(capsys, arguments, message):
    status, _, err = run(capsys, *arguments)
    assert status == 2 and message in err and err.count("\n") == 1


def test_unclear_recordings_are_named(capsys, tmp_path):
    field = np.zeros((3, 4, 4, 3))
    record(tmp_path / "none.h5", state=np.zeros((3, 5)))
    record(tmp_path / "two.h5", left=field, right=field)
    for name, extra, message in (
        ("none", (), "none can be it (recorded: state (3, 5))"),
        ("two", (), "it may be left, right: name one with --field"),
        ("two", ("--field", "up"), "--field up cannot be it"),
        ("two", ("--field", "left", "--episode", 4), "has the episodes 0 to 0"),
    ):
        status, _, err = run(capsys, tmp_path / f"{name}.h5", *extra)
        assert status == 2 and message in err and err.count("\n") == 1, err
