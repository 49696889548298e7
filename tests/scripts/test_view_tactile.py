# SPDX-License-Identifier: Apache-2.0
"""`simenv view-tactile`: a simulated touch and a recorded one, as video and picture."""

import re

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from simenv.render.touch import TouchFigure, TouchSeries
from simenv.rollouts import Episode, write_episode
from simenv.scripts import cli


def run(capsys, *arguments):
    """(exit status, stdout, stderr)."""
    status = cli.main(["view-tactile", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def largest_force(out):
    return float(re.search(r"largest force ([\d.e-]+) N", out)[1])


def record(path, **observations):
    steps = len(next(iter(observations.values()))) - 1
    zero = np.zeros(steps)
    ends = zero.astype(bool)
    episode = Episode({"control_dt": 0.05}, {"length": steps}, zero[:, None], zero, ends, ends, observations)
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
    with_image = Image.open(tmp_path / "a.png")
    record(tmp_path / "b.h5", force_field=field)
    status, _, err = run(capsys, tmp_path / "b.h5", "--pitch", 0, "--out", tmp_path / "b.png")
    assert status == 0, err
    assert Image.open(tmp_path / "b.png").width < 0.8 * with_image.width  # a panel less


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
