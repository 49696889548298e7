# SPDX-License-Identifier: Apache-2.0
"""Record, replay and export rollouts; compare them with a real robot."""

from simenv.rollouts.episode import Episode, read_episode, write_episode
from simenv.rollouts.errors import RolloutError
from simenv.rollouts.identify import Identification, IdentifyConfig, identify
from simenv.rollouts.identify_episode import identify_episode
from simenv.rollouts.manifest import Manifest
from simenv.rollouts.motion import Motion, load_motion, save_motion
from simenv.rollouts.reader import Recording
from simenv.rollouts.real import MotionReport, replay_motion
from simenv.rollouts.recorder import Recorder
from simenv.rollouts.replay import Deviation, ReplayReport, replay
from simenv.rollouts.residuals import Observed, record_world

__all__ = [
    "Deviation",
    "Episode",
    "Identification",
    "IdentifyConfig",
    "Manifest",
    "Motion",
    "MotionReport",
    "Observed",
    "Recorder",
    "Recording",
    "ReplayReport",
    "RolloutError",
    "identify",
    "identify_episode",
    "load_motion",
    "read_episode",
    "record_world",
    "replay",
    "replay_motion",
    "save_motion",
    "write_episode",
]
