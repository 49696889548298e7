# SPDX-License-Identifier: Apache-2.0
"""Videos of episodes of a single environment, by the ffmpeg that simenv brings along.

Gymnasium's wrapper of the same name needs moviepy, which simenv does not install.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.utils import RecordConstructorArgs

from simenv.render.video import VideoWriter

__all__ = ["RecordVideo"]


class RecordVideo(gymnasium.Wrapper, RecordConstructorArgs):
    """Writes ``FOLDER/PREFIX-episode-K.mp4`` of the episodes that a trigger chooses.

    A file appears when its episode has ended, or with `close`; one of the same name is replaced.

    Args:
        env: A single environment made with ``render_mode="rgb_array"``.
        video_folder: Where the videos go; made if needed.
        episode_trigger: Episode number, from 0, -> whether to film it; None films all.
        name_prefix: Begins the names of the files.
        fps: Frames per second; None for those of the environment, so that the video runs in real time.

    Raises:
        ValueError: If the environment gives no pictures.
        VideoError: If ffmpeg cannot write.

    Example:
        env = RecordVideo(gym.make("SimEnv/Pouring-v0", render_mode="rgb_array"), "videos")
    """

    def __init__(
        self,
        env: gymnasium.Env,
        video_folder: str | Path,
        episode_trigger: Callable[[int], bool] | None = None,
        name_prefix: str = "simenv",
        fps: float | None = None,
    ) -> None:
        RecordConstructorArgs.__init__(
            self, video_folder=video_folder, episode_trigger=episode_trigger, name_prefix=name_prefix, fps=fps
        )
        super().__init__(env)
        if env.render_mode != "rgb_array":
            raise ValueError(
                f"RecordVideo films what render() draws, and render_mode is {env.render_mode!r}; make the environment "
                "with render_mode='rgb_array'."
            )
        self.folder, self.prefix = Path(video_folder), name_prefix
        self.trigger = episode_trigger or (lambda episode: True)
        self.fps = float(env.metadata["render_fps"]) if fps is None else fps
        self.episode = -1
        self._video: VideoWriter | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Finish the video of an episode that was left, and begin the next one's."""
        self._finish()
        result = self.env.reset(seed=seed, options=options)
        self.episode += 1
        if self.trigger(self.episode):
            self._video = VideoWriter(self.folder / f"{self.prefix}-episode-{self.episode}.mp4", self.fps)
            self._video.add(self.env.render())
        return result

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step, film, and finish the video when the episode ends."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self._video is not None:
            self._video.add(self.env.render())
            if terminated or truncated:
                self._finish()
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        """Finish the video, and release the environment."""
        self._finish()
        self.env.close()

    def _finish(self) -> None:
        video, self._video = self._video, None
        if video is not None:
            video.close()
