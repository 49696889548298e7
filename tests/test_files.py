# SPDX-License-Identifier: Apache-2.0
"""Every file is replaced whole or not at all, also where the file system takes only a part."""

import os
import re

import numpy as np
import pytest

from simenv import _files
from simenv.agents.checkpoint import load_checkpoint, save_checkpoint
from simenv.agents.log import RunLog
from simenv.errors import FileWriteError
from simenv.render.plots import learning_curve
from simenv.render.video import VideoError, VideoWriter
from tests.full_disk import largest_file

LIMIT = 2048


def names(folder):
    return sorted(os.listdir(folder))


def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.bin"
    _files.write_bytes(path, b"old")
    with largest_file(LIMIT), pytest.raises(FileWriteError) as caught:
        _files.write_bytes(path, bytes(LIMIT + 1))
    free = re.search(rf"(\d+) bytes are free in {re.escape(str(tmp_path))}", str(caught.value))
    assert free and int(free[1]) > LIMIT
    for part in (str(path), "File too large", f"it needs {LIMIT + 1} bytes", f"may have {LIMIT} bytes", "free some"):
        assert part in str(caught.value)
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a.bin"]
    with largest_file(LIMIT):
        _files.write_bytes(path, b"n" * LIMIT)  # fits to the byte
    assert path.read_bytes() == b"n" * LIMIT


def test_an_exception_in_the_block_leaves_the_old_file(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), _files.replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and names(tmp_path) == ["f"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileWriteError, match=r"cannot write .*nowhere/f: No such file.*choose a folder that exists"):
        _files.write_text(tmp_path / "nowhere" / "f", "x")


def test_what_is_appended_fits_whole_or_not_at_all(tmp_path):
    path = tmp_path / "table.csv"
    _files.write_text(path, "x" * (LIMIT - 5))
    with largest_file(LIMIT):
        with pytest.raises(FileWriteError, match=r"table\.csv.*it needs 9 bytes"):
            _files.append_text(path, "too long\n")
        assert path.stat().st_size == LIMIT - 5
        _files.append_text(path, "fits\n")
    assert path.read_text().endswith("xfits\n") and path.stat().st_size == LIMIT


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(tmp_path):
    save_checkpoint(tmp_path, 1, {"a": np.arange(4.0)}, {"n": 1})
    with largest_file(LIMIT), pytest.raises(FileWriteError, match=r"000002/state\.safetensors.*free some space"):
        save_checkpoint(tmp_path, 2, {"a": np.zeros(LIMIT)}, {"n": 2})
    arrays, meta, step = load_checkpoint(tmp_path)
    assert (arrays["a"].tolist(), meta, step) == ([0.0, 1.0, 2.0, 3.0], {"n": 1}, 1)
    assert names(tmp_path) == ["000001", "last"]


def test_a_row_of_metrics_that_does_not_fit_leaves_a_table(tmp_path):
    log = RunLog(tmp_path, "step")
    with largest_file(LIMIT), pytest.raises(FileWriteError, match=r"metrics\.csv"):
        for step in range(LIMIT):
            log.write(step, {"loss": 1.0 / 3.0})
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0] == "step,loss" and len(lines) > 10
    assert [line.split(",") for line in lines[1:]] == [[str(i), repr(1.0 / 3.0)] for i in range(len(lines) - 1)]


def test_a_plot_that_does_not_fit_leaves_nothing(tmp_path):
    with largest_file(LIMIT), pytest.raises(FileWriteError, match=r"curve\.png"):
        learning_curve(tmp_path / "curve.png", {"a": ([0, 1], [2, 3])})
    assert names(tmp_path) == []


@pytest.mark.parametrize("frames", [3, 60])
def test_a_video_that_does_not_fit_leaves_the_old_one(tmp_path, frames):
    path, random = tmp_path / "v.mp4", np.random.default_rng(0)
    path.write_bytes(b"old")
    told = pytest.raises(VideoError, match=r"cannot write .*v\.mp4: ffmpeg .* bytes are free")
    with largest_file(LIMIT), told as e, VideoWriter(path) as video:
        for _ in range(frames):
            video.add(random.integers(0, 256, (96, 128, 3), np.uint8))
    assert "\n" not in str(e.value) and "free some space" in str(e.value)
    assert path.read_bytes() == b"old" and names(tmp_path) == ["v.mp4"]
