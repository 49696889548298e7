# SPDX-License-Identifier: Apache-2.0
"""Videos and plots are complete, or absent."""

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from simenv.render.plots import learning_curve
from simenv.render.video import VideoError, VideoWriter


def frames(count, height=48, width=64):
    for index in range(count):
        frame = np.full((height, width, 3), 30, dtype=np.uint8)
        frame[:, : width // 2] = 20 * index
        yield frame


def decode(path):
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    width, height = meta["size"]
    return meta, [np.frombuffer(data, dtype=np.uint8).reshape(height, width, 3) for data in reader]


def test_a_video_decodes_to_the_frames_that_were_written(tmp_path):
    path = tmp_path / "new" / "film.mp4"
    with VideoWriter(path, fps=20, quality=9) as video:
        for frame in frames(9):
            video.add(frame)
        assert not path.exists()
    meta, read = decode(path)
    assert len(read) == video.frames == 9
    assert meta["size"] == (64, 48)
    assert meta["fps"] == pytest.approx(20.0)
    assert "yuv420p" in meta["pix_fmt"]
    for frame, original in zip(read, frames(9), strict=True):
        assert abs(frame[24, 16].astype(int) - original[24, 16]).max() < 12
    assert [p.name for p in path.parent.iterdir()] == ["film.mp4"]


def test_odd_sizes_are_padded_to_even_ones(tmp_path):
    with VideoWriter(tmp_path / "odd.mp4") as video:
        for frame in frames(3, 33, 45):
            video.add(frame)
    assert decode(tmp_path / "odd.mp4")[0]["size"] == (46, 34)


def test_an_exception_leaves_the_older_file_and_nothing_else(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")

    def film():
        with VideoWriter(path) as video:
            video.add(next(frames(1)))
            raise KeyError("stop")

    with pytest.raises(KeyError):
        film()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_wrong_frames_are_refused(tmp_path):
    with VideoWriter(tmp_path / "film.mp4") as video:
        video.add(np.zeros((32, 32, 3), np.uint8))
        with pytest.raises(ValueError, match="keep one size"):
            video.add(np.zeros((32, 34, 3), np.uint8))
        with pytest.raises(ValueError, match="uint8"):
            video.add(np.zeros((32, 32, 3), np.float32))
    with pytest.raises(ValueError, match="mp4"):
        VideoWriter(tmp_path / "film.avi")
    with pytest.raises(ValueError, match="quality"):
        VideoWriter(tmp_path / "film.mp4", quality=11)


def test_a_missing_ffmpeg_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "no-ffmpeg"))
    with pytest.raises(VideoError, match="IMAGEIO_FFMPEG_EXE"), VideoWriter(tmp_path / "film.mp4") as video:
        for frame in frames(3):
            video.add(frame)
    assert list(tmp_path.iterdir()) == []


def test_a_learning_curve_has_its_lines_and_bands(tmp_path):
    x = np.arange(50.0)
    path = learning_curve(
        tmp_path / "curve.png", {"a": (x, np.sqrt(x), 0.5 + 0 * x), "b": (x, 0.1 * x)}, "steps", "return"
    )
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    for color in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (np.abs(pixels - color).sum(-1) < 30).sum() > 300
    band = 255 + 0.18 * (np.array([0x00, 0x72, 0xB2]) - 255)
    assert (np.abs(pixels - band).sum(-1) < 12).sum() > 2000
    assert [p.name for p in tmp_path.iterdir()] == ["curve.png"]


def test_curves_that_do_not_match_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'a'"):
        learning_curve(tmp_path / "curve.png", {"a": (np.arange(3), np.arange(4))})
    with pytest.raises(ValueError, match="no curve"):
        learning_curve(tmp_path / "curve.png", {})
