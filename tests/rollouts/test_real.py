# SPDX-License-Identifier: Apache-2.0
"""Replaying a recorded motion: the simulated tool follows it, and bad requests are refused."""

import gymnasium as gym
import numpy as np
import pytest
from scipy.linalg import expm

import tests.envs.splash_task  # noqa: F401  (registers the task)
from simenv.rollouts import Motion, RolloutError, replay_motion
from tests.envs.splash_task import Splash
from tests.rollouts import rotations


@pytest.fixture
def env():
    env = gym.make_vec("TestEnv/Splash-v0", num_envs=1, device="cpu", output="torch", autoreset_mode="disabled")
    yield env
    env.close()


def screw(duration=0.08, position=(0.0, 0.0, 0.0)):
    """Uniform motion by (0.1, 0, 0.05) m/s and a turn of 2 rad/s about z."""
    times = np.linspace(0.0, duration, 30)
    turn = rotations.exp(times[:, None] * np.array([0.0, 0.0, 2.0]))
    return Motion(times, np.array(position) + times[:, None] * [0.1, 0.0, 0.05], turn)


@pytest.mark.parametrize("frame", ["relative", "world"])
def test_the_body_follows_the_motion(env, frame):
    motion = screw(position=(0.05, 0.08, 0.06) if frame == "world" else (5.0, 6.0, 7.0))
    report = replay_motion(motion, env, frame=frame)
    assert report.steps == 20 and report.duration == pytest.approx(0.08) and report.body == "paddle"
    assert report.drive == "twist" and report.sim_status == 0 and report.limited_steps == 0
    # Constant twists on straight lines and fixed axes are integrated exactly, up to float32.
    assert report.position_error_max < 1e-6 and report.angle_error_max < 1e-5
    assert isinstance(report.evaluation["success"], bool) and report.evaluation["distance"] > 0


def test_a_hand_is_pulled_along_by_its_goal():
    """Far from everything a hand of mass m, stiffness k and damping c follows its goal p: m a = k (p - x) - c v."""
    env = gym.make_vec("SimEnv/BallRoll-v0", num_envs=1, device="cpu", output="torch", dtype="float64")
    world = env.unwrapped.world
    speed, dt, count = 0.05, float(world.dt), 40
    times = np.arange(count + 1) * dt
    up = Motion(times, times[:, None] * [0.0, 0.0, speed], np.eye(4)[[3] * (count + 1)])
    report = replay_motion(up, env)
    assert report.drive == "goal" and report.body == "pad" and report.steps == count and report.sim_status == 0
    # the goal of a step is the pose at its end; the exact solution of the equation with a goal that stays over a step
    # is x = p + exp(A t) (x0 - p, v0), and the gel, which lets go of the ball at once, is the only other force
    mass, stiffness, damping = (float(world.parameters[f"pad.{name}"][0]) for name in ("mass", "stiffness", "damping"))
    advance = expm(np.array([[0.0, 1.0], [-stiffness / mass, -damping / mass]]) * dt)
    y, errors = np.zeros(2), [0.0]
    for goal in up.positions[1:, 2]:
        y = np.array([goal, 0.0]) + advance @ (y - [goal, 0.0])
        errors.append(goal - y[0])
    print(f"\nmeasured {report.position_error_max} m, by the equation {max(errors)} m")
    assert report.position_error_max == pytest.approx(max(errors), rel=0.03)
    with pytest.raises(RolloutError, match="'pad' is pulled by an impedance; use drive='goal'"):
        replay_motion(up, env, drive="twist")
    with pytest.raises(RolloutError, match=r"a body 'ball', but it moves by itself; .* are pad$"):
        replay_motion(up, env, body="ball")
    env.close()


def test_poses_of_another_frame_are_refused(env):
    with pytest.raises(RolloutError, match=r"starts .* m and .* use frame='relative'"):
        replay_motion(screw(), env, frame="world")


def test_motion_through_actions_reports_limits(env, monkeypatch):
    def twist_to_action(self, twist):
        return twist[:, :2] / self.speed

    monkeypatch.setattr(Splash, "twist_to_action", twist_to_action, raising=False)
    slow = Motion(np.array([0.0, 0.04]), np.array([[0, 0, 0], [0.004, 0, 0]], float), np.eye(4)[[3, 3]])
    report = replay_motion(slow, env)
    assert report.drive == "action" and report.limited_steps == 0 and report.position_error_max < 1e-6
    fast = Motion(np.array([0.0, 0.04]), np.array([[0, 0, 0], [0.008, 0, 0]], float), np.eye(4)[[3, 3]])
    report = replay_motion(fast, env)
    # Limited to half the speed, the paddle ends half the way behind.
    assert report.limited_steps == report.steps == 10
    assert report.position_error_max == pytest.approx(0.004, rel=1e-3)


def test_wrong_requests(env):
    with pytest.raises(RolloutError, match=r"no body 'hand'; the bodies that can follow a motion are paddle"):
        replay_motion(screw(), env, body="hand")
    with pytest.raises(RolloutError, match="twist_to_action"):
        replay_motion(screw(), env, drive="action")
    with pytest.raises(RolloutError, match="'paddle' moves as told; use drive='twist'"):
        replay_motion(screw(), env, drive="goal")
    with pytest.raises(RolloutError, match="drive="):
        replay_motion(screw(), env, drive="fly")
    with pytest.raises(RolloutError, match="frame="):
        replay_motion(screw(), env, frame="moon")
    two = gym.make_vec("TestEnv/Splash-v0", num_envs=2, device="cpu", output="torch")
    with pytest.raises(RolloutError, match="2 worlds"):
        replay_motion(screw(), two)
    two.close()
