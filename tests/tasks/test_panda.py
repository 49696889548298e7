# SPDX-License-Identifier: Apache-2.0
"""The peg tasks with a robot arm: what is observed, that the arm is where its hand is, determinism, errors, and that
they can be done.
"""

import shutil

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from simenv.assets import path
from simenv.robots import JointDrive, ToolDrive, chain, load
from simenv.world import Scene
from tests.robots.panda import arm_turn, tool
from tests.tasks.arm_script import scripted_action
from tests.tasks.batches import check_batches, played

INSERTION = "SimEnv/PegInsertion-v0"


def make(worlds, task_id=INSERTION, robot="panda", **options):
    options = {"output": "torch", "device": "cpu", "autoreset_mode": "disabled", **options}
    return gym.make_vec(task_id, num_envs=worlds, robot=robot, **options).unwrapped


def test_observations_have_the_joints():
    """23 numbers, as TacSL's: 7 joints, 2 fingers, pose of the hand, place and quaternion of the socket; the published
    kinematics of the seven give the seven of the hand, before and after motion.
    """
    env = make(2, observation_mode="reduced")
    assert env.single_observation_space["state"].shape == (23,)
    seen, _ = env.reset(seed=0)
    for _ in range(3):
        for row in seen["state"].double().numpy():
            pose = tool(row[:7])
            assert np.abs(row[9:12] - pose[:3, 3]).max() < 1e-5
            x, y, z, w = row[12:16]
            downward = [2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)]
            assert np.abs(downward - pose[:3, 2]).max() < 1e-5
        for _ in range(5):
            seen, *_ = env.step(torch.full((2, 6), 0.5))
    env.close()
    env = make(1)
    assert env.single_observation_space["state"].shape == (48,)  # privileged
    env.close()


def test_gymnasium_check_env():
    env = gym.make(INSERTION, device="cpu", robot="panda", observation_mode="reduced+force_field")
    check_env(env.unwrapped, skip_render_check=True)
    env.close()


def test_a_world_of_many_is_the_world_alone_for_any_number_of_threads(monkeypatch):
    def run(worlds, seed=0):
        return played(make(worlds), seed, 4)

    check_batches(monkeypatch, run, 6, 4)


def test_a_held_peg_hangs_still():
    """As without the arm, hand and peg sink at m g / (c + k dt / 2), since the goal is where the hand is at a step's
    start: the impedance is what it should be, and gels push the fingers, which hang on the arm. In double precision,
    as the rounding of poses is 1 to 3 % of what a step sinks by.
    """
    env = make(4, dtype="float64")
    env.reset(seed=0)
    for _ in range(120):
        env.step(torch.zeros(4, 6, dtype=torch.float64))
    weight = float(env.world.parameters["peg.mass"][0]) * 9.81
    bodies = [env.world.bodies[name] for name in (env.task.hand, "peg")]
    sinking = torch.stack([body.twist(env.state)[:, 2] for body in bodies], 1)
    assert sinking == pytest.approx(
        torch.full((4, 2), -weight / (100.0 + 600.0 / 120.0), dtype=torch.float64), rel=0.015
    )
    env.close()


def test_a_file_of_one_s_own(tmp_path):
    """The same robot from a file, its tool named: the same numbers."""
    shutil.copy(path("robots/panda.urdf"), tmp_path / "mine.urdf")
    env = make(1, robot=f"{tmp_path / 'mine.urdf'}#hand", observation_mode="reduced")
    assert env.reset(seed=0)[0]["state"].shape == (1, 23)
    env.close()
    with pytest.raises(ValueError, match=r"there is no robot 'mine\.urdf'"):
        make(1, robot="mine.urdf")


def test_an_arm_follows_its_goal():
    """In a scene without gels: 30 mm along each axis and 0.2 rad away, after three seconds within 0.01 mm and 0.1
    mrad: the slowest motion dies out with 3.6 /s.
    """
    scene = Scene(substep_dt=1.0 / 960.0, substeps=16)
    start = {"tool": ((0.5, 0.0, 0.2), (1.0, 0.0, 0.0, 0.0))}
    tools = {"tool": ToolDrive((600.0, 50.0), (120.0, 10.0), posture_stiffness=10.0, posture_damping=6.0)}
    drive = JointDrive(gravity_compensation=True)
    scene.add_robot("arm", chain(load("panda")), drive=drive, reach=start, tools=tools)
    world = scene.make_world(2)
    state, tool_body = world.initial_state(), world.bodies["arm/tool"]
    move, turn = torch.tensor([[0.03, -0.03, 0.03]]).repeat(2, 1), torch.tensor([[0.0, 0.0, 0.2]]).repeat(2, 1)
    goal = tool_body.near(state, move, turn)
    for _ in range(180):
        state = world.step(state, world.control(goal={"arm/tool": goal}))
    reached = tool_body.pose(state)
    assert (reached[:, :3] - goal[:, :3]).norm(dim=-1).max() < 1e-5
    assert arm_turn(reached[:, 3:], goal[:, 3:]).norm(dim=-1).max() < 1e-4
    world.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task_id", "successes"), [(INSERTION, 5), ("SimEnv/PegPlacement-v0", 7), ("SimEnv/BoltOnNut-v0", 7)]
)
def test_a_controller_with_the_true_state_succeeds(task_id, successes):
    """From 8 random starts. It knows nothing of the stop of joint 6, and is not the fastest (docs/robots.md)."""
    env = make(8, task_id)
    env.reset(seed=0)
    for _ in range(env.task.max_episode_steps):
        *_, info = env.step(scripted_action(env))
    assert int(info["success"].sum()) >= successes
    assert not info["sim_status"].any()
    env.close()
