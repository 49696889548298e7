# SPDX-License-Identifier: Apache-2.0
"""The flagship task, end to end: a real motion pours, recordings are exact with randomised physics, videos are made."""

from importlib import resources

import gymnasium as gym
import imageio_ffmpeg
import numpy as np
import pytest

import simenv  # noqa: F401  (registers the tasks)
from simenv.rollouts import Recorder, Recording, load_motion, replay, replay_motion

ID = "SimEnv/Pouring-v0"
MOTION = resources.files("simenv.assets") / "motions" / "pour.csv"


@pytest.mark.parametrize("drive", ["action", "twist"])
def test_the_shipped_motion_pours_the_glass(drive):
    """The motion lies within the task's action limits, so both ways of driving track it to rounding."""
    env = gym.make_vec(ID, num_envs=1, device="cpu", output="torch", autoreset_mode="disabled")
    report = replay_motion(MOTION, env, drive=drive)
    env.close()
    assert report.body == "hand" and report.steps == 125 and report.limited_steps == 0 and report.sim_status == 0
    assert report.position_error_max < 1e-5 and report.angle_error_max < 1e-4
    assert report.evaluation["success"] and report.evaluation["delivered"] > 0.9


def test_a_motion_that_does_not_tilt_pours_nothing():
    motion = load_motion(MOTION)
    level = type(motion)(motion.times, motion.positions, np.tile([0.0, 0.0, 0.0, 1.0], (len(motion.times), 1)))
    env = gym.make_vec(ID, num_envs=1, device="cpu", output="torch", autoreset_mode="disabled")
    report = replay_motion(level, env)
    env.close()
    assert report.evaluation == {"success": False, "delivered": 0.0, "spilled": 0.0}


def test_randomised_recording_is_exact_and_filmed(tmp_path):
    env = gym.make_vec(ID, num_envs=2, device="cpu", max_episode_steps=6, randomize=True)
    with Recorder(tmp_path, env, states="all") as recorder:
        recorder.reset(seed=3)
        for _ in range(6):
            recorder.step(env.action_space.sample())
    env.close()
    first, second = Recording(tmp_path)
    assert first.environment["kwargs"] == {"randomize": True}
    assert first.parameters["liquid.viscosity"] != second.parameters["liquid.viscosity"]
    assert replay(first, device="cpu").exact and replay(second, device="cpu").exact
    for mode in ("actions", "states"):
        path = tmp_path / f"{mode}.mp4"
        report = replay(first, mode, device="cpu", video=path, width=96, height=64)
        assert report.video == str(path)
        frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
        # One frame per state, at the control rate of 50 Hz.
        assert frames == 7 and seconds == pytest.approx(7 / 50, abs=0.01)
