# SPDX-License-Identifier: Apache-2.0
"""Record, replay and export rollouts; compare them with a real robot."""

from simenv.rollouts.episode import Episode, read_episode, write_episode
from simenv.rollouts.errors import RolloutError
from simenv.rollouts.manifest import Manifest
from simenv.rollouts.motion import Motion, load_motion, save_motion
from simenv.rollouts.reader import Recording
from simenv.rollouts.real import MotionReport, replay_motion
from simenv.rollouts.recorder import Recorder
from simenv.rollouts.replay import Deviation, ReplayReport, replay

__all__ = [
    "Deviation",
    "Episode",
    "Manifest",
    "Motion",
    "MotionReport",
    "Recorder",
    "Recording",
    "ReplayReport",
    "RolloutError",
    "load_motion",
    "read_episode",
    "replay",
    "replay_motion",
    "save_motion",
    "write_episode",
]
