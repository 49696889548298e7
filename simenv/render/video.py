# SPDX-License-Identifier: Apache-2.0
"""Video files, written frame by frame through the ffmpeg that imageio-ffmpeg brings along."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from types import TracebackType

import numpy as np

from simenv._files import put_in_place, room, telling, temporary_name
from simenv.errors import FileWriteError, SimEnvError


class VideoError(SimEnvError, RuntimeError):
    """The video could not be written; the message says why."""


class VideoWriter:
    """Streams frames into an MP4 file (H.264, yuv420p) that plays everywhere.

    The file appears under its name only when it is complete: frames go to a temporary file beside it, which replaces it
    in `close`. When the ``with`` block ends in an exception nothing is left, and an older file of that name stays.

    Args:
        path: File to write; its folder is made if needed.
        fps: Frames per second.
        quality: 0 (smallest) to 10 (best).

    Raises:
        ValueError: ``path`` is not an .mp4 file, or ``fps`` or ``quality`` is out of range.

    Example:
        with VideoWriter("episode.mp4", fps=30) as video:
            video.add(frame)
    """

    def __init__(self, path: str | os.PathLike[str], fps: float = 30.0, quality: float = 7.0) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".mp4":
            raise ValueError(f"video {str(self.path)!r} must end in .mp4")
        if not 0.0 < fps <= 1000.0 or not 0.0 <= quality <= 10.0:
            raise ValueError(f"fps={fps} must be in (0, 1000] and quality={quality} in [0, 10]")
        self.fps, self.quality = float(fps), float(quality)
        self.frames = 0
        self._size: tuple[int, int] | None = None
        self._writer: Generator[None, np.ndarray, None] | None = None
        self._temporary: Path | None = None

    def add(self, frame: np.ndarray) -> None:
        """Appends a frame.

        Args:
            frame: (H, W, 3) uint8; all of one size. An odd last row or column is repeated: H.264 wants even sizes.

        Raises:
            ValueError: The frame has another type or size than the first.
            VideoError: ffmpeg cannot be run or stopped.
        """
        frame = np.asarray(frame)
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            raise ValueError(f"frame {frame.shape} {frame.dtype} must be (H, W, 3) uint8")
        if self._size is None:
            self._open(frame.shape[0], frame.shape[1])
        elif frame.shape[:2] != self._size:
            raise ValueError(f"frame of (H, W) = {frame.shape[:2]} px after frames of {self._size} px; keep one size")
        height, width = frame.shape[:2]
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        try:
            self._writer.send(np.ascontiguousarray(even))
        except (OSError, StopIteration) as error:
            stopped = self._stopped(f"ffmpeg stopped after {self.frames} frames", self._temporary)
            self._discard()
            raise stopped from error
        self.frames += 1

    def close(self) -> None:
        """Finishes the file and puts it in place. Does nothing the second time, or if no frame was added."""
        if self._writer is None:
            return
        writer, temporary = self._writer, self._temporary
        self._writer, self._temporary = None, None
        try:
            writer.close()
            self._require_whole(temporary)
            assert temporary is not None
            with telling(self.path, temporary):
                put_in_place(temporary, self.path)
        except FileWriteError as error:
            raise VideoError(str(error)) from error
        finally:
            temporary.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()

    def _open(self, height: int, width: int) -> None:
        import imageio_ffmpeg  # only those who write videos need it

        try:
            imageio_ffmpeg.get_ffmpeg_exe()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # ffmpeg chooses the format by the ending, so the temporary file has it too.
            self._temporary = temporary_name(self.path, ".mp4")
            self._writer = imageio_ffmpeg.write_frames(
                str(self._temporary),
                (width + width % 2, height + height % 2),
                fps=self.fps,
                quality=self.quality,
                codec="libx264",
                pix_fmt_out="yuv420p",
                macro_block_size=2,
                ffmpeg_log_level="error",
            )
            self._writer.send(None)  # type: ignore[arg-type]
        except (RuntimeError, OSError) as error:
            self._discard()
            raise VideoError(
                f"cannot write {self.path}: {error}. ffmpeg comes with imageio-ffmpeg; reinstall that, or point "
                "IMAGEIO_FFMPEG_EXE to an ffmpeg that runs, and check that the folder can be written"
            ) from error
        self._size = (height, width)

    def _require_whole(self, temporary: Path | None) -> None:
        """Raise VideoError unless every frame can be read again: ffmpeg's exit status is not known here, and on a full
        disk it leaves a part of a file.
        """
        import imageio_ffmpeg

        try:
            count = imageio_ffmpeg.count_frames_and_secs(str(temporary))[0]
        except RuntimeError:
            count = 0
        if count != self.frames:
            raise self._stopped(f"ffmpeg left {count} of {self.frames} frames", temporary)

    def _stopped(self, what: str, temporary: Path | None) -> VideoError:
        """What to say of an unfinished file, of which ffmpeg does not say why."""
        size = temporary.stat().st_size if temporary is not None and temporary.exists() else 0
        return VideoError(f"cannot write {self.path}: {what} in {size} bytes{room(self.path)}")

    def _discard(self) -> None:
        """Stops ffmpeg and removes the unfinished file."""
        writer, temporary = self._writer, self._temporary
        self._writer, self._temporary = None, None
        try:
            if writer is not None:
                writer.close()
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
