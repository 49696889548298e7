# SPDX-License-Identifier: Apache-2.0
"""The templates of touch and robots: what is seen, done, rewarded and judged, by hand from their docstrings."""

import numpy as np
import pytest
import torch

from simenv.tasks.template_robot import PressBump
from simenv.tasks.template_touch import SlideTile
from tests.tasks.by_hand import judged, make, rewarded, row
from tests.tasks.test_touch_by_hand import moved


@pytest.fixture(scope="module")
def slide():
    env = make(SlideTile.task_id)
    yield env
    env.close()


@pytest.fixture(scope="module")
def press():
    env = make(PressBump.task_id)
    yield env
    env.close()


def bent(value: float, weight: float) -> float:
    """A square that bends over to its weight."""
    return -weight * value**2 / (1.0 + value**2)


def test_slide_starts_as_said(slide):
    """Bodies are table, tile and pad; the gel is 0.1 mm deep in the tile, 3 mm in front of the pad's middle."""
    pose = row(slide.state.body_q)
    np.testing.assert_allclose(pose[1], [0.0, 0.0, 0.008, 0.0, 0.0, 0.0, 1.0], atol=1e-15)
    np.testing.assert_allclose(pose[2], [*row(slide.episode["offset"]), 0.016 + 0.003 - 1e-4, 1, 0, 0, 0], atol=1e-15)
    np.testing.assert_allclose(row(slide.state.depth), 1e-4, atol=1e-9)
    stiffness = 5e4 * 0.55 / (1.45 * 0.10) / 3e-3  # of a bonded layer [Pa/m]
    force = [0.0, 0.0, -stiffness * 0.02**2 * 1e-4]
    np.testing.assert_allclose(row(slide.state.gel_wrench)[0, :3], force, rtol=1e-5, atol=1e-9)


def test_slide_by_hand(slide):
    before, after, action = moved(slide, 0), moved(slide, 1), np.array([[0.5, -0.3, 0.2]])
    goal = row(slide.episode["goal"])

    def to_goal(state):
        return np.sqrt(((row(state.body_q)[1, :2] - goal) ** 2).sum() + 1e-10)

    pose, twist = row(before.body_q), row(before.body_twist)
    wanted = [goal, pose[2, :3], twist[2, :3], row(before.gel_wrench)[0], pose[1, :2], twist[1, :2]]
    seen = row(slide.task.observe(slide.world, before, slide.episode))
    np.testing.assert_allclose(seen, np.concatenate(wanted), rtol=1e-12, atol=1e-15)
    assert rewarded(slide, before, action, after) == pytest.approx({
        "progress": (to_goal(before) - to_goal(after)) / np.linalg.norm(goal),
        "touch": bent(-row(after.gel_wrench)[0, 2] - 3.0, 0.01), "effort": -0.001 * 0.38,
    })  # fmt: skip
    control = slide.task.control(slide.world, before, torch.as_tensor(action), slide.episode)
    np.testing.assert_allclose(row(control.goal), [[*pose[2, :3] + [0.005, -0.003, 0.002], *pose[2, 3:]]], atol=1e-14)


@pytest.mark.parametrize(("away", "speed", "pad", "success", "outside"), [
    (0.0019, 0.009, 0.049, True, False), (0.0021, 0.009, 0.049, False, False), (0.0019, 0.011, 0.049, False, False),
    (0.0019, 0.009, 0.051, True, True),
])  # fmt: skip
def test_slide_success_and_end_by_hand(slide, away, speed, pad, success, outside):
    pose, twist = slide.state.body_q.clone(), slide.state.body_twist.clone()
    pose[0, 1, :2] = slide.episode["goal"][0] + away * torch.tensor([0.8, -0.6]).double()
    pose[0, 2, :2] = pad * torch.tensor([0.6, 0.8]).double()
    twist[0, 1, :3] = speed * torch.tensor([0.6, 0.0, 0.8]).double()
    measures = judged(slide, slide.state.replace(body_q=pose, body_twist=twist))
    assert measures == pytest.approx({"success": success, "terminated": outside, "distance": away}, rel=1e-4)


def rows(press):
    """Of bump and tool in the table of bodies."""
    return press.world.bodies["bump"].index, press.world.bodies["arm/tool"].index


def test_press_starts_as_said(press):
    """Inverse kinematics reaches to rounding; nothing moves, and the gel touches nothing."""
    bump, tool = rows(press)
    pose, top = row(press.state.body_q), np.array([*row(press.episode["bump"]), 0.02])
    np.testing.assert_allclose(pose[bump], [*top[:2], 0.0, 0.0, 0.0, 0.0, 1.0], atol=1e-15)
    np.testing.assert_allclose(pose[tool, :3], top + row(press.episode["start"]), atol=1e-9)
    assert np.abs(pose[tool, 3:] @ [1.0, 0.0, 0.0, 0.0]) == pytest.approx(1.0, abs=1e-15)
    assert not row(press.state.gel_wrench).any() and not row(press.state.joint_qd).any()


def test_press_by_hand(press):
    before, after, action = moved(press, 0), moved(press, 1), np.array([[0.5, -0.3, 0.2]])
    asked, (bump, tool) = float(press.episode["force"][0]), rows(press)

    def to_top(state):
        return row(state.body_q)[tool, :3] - row(state.body_q)[bump, :3] - [0.0, 0.0, 0.02]

    pose = row(before.body_q)
    wanted = [
        [asked], pose[bump, :3] + [0.0, 0.0, 0.02], row(before.joint_q), row(before.joint_qd), pose[tool],
        row(before.gel_wrench)[0],
    ]  # fmt: skip
    seen = row(press.task.observe(press.world, before, press.episode))
    np.testing.assert_allclose(seen, np.concatenate(wanted), rtol=1e-12, atol=1e-15)
    assert rewarded(press, before, action, after) == pytest.approx({
        "reach": 10.0 * (np.linalg.norm(to_top(before)) - np.linalg.norm(to_top(after))),
        "force": bent(-row(after.gel_wrench)[0, 2] / asked - 1.0, 0.02), "effort": -0.001 * 0.38,
    })  # fmt: skip
    control = press.task.control(press.world, before, torch.as_tensor(action), press.episode)
    wanted = [[*pose[tool, :3] + [0.005, -0.003, 0.002], *pose[tool, 3:]]]
    np.testing.assert_allclose(row(control.tool_goal), wanted, atol=1e-14)


@pytest.mark.parametrize(("aside", "share", "success"), [
    (0.0029, 1.09, True), (0.0031, 1.09, False), (0.0029, 1.11, False), (0.0029, 0.91, True), (0.0029, 0.89, False),
])  # fmt: skip
def test_press_success_by_hand(press, aside, share, success):
    pose, wrench, (bump, tool) = press.state.body_q.clone(), press.state.gel_wrench.clone(), rows(press)
    pose[0, tool, :2] = pose[0, bump, :2] + aside * torch.tensor([0.8, -0.6]).double()
    wrench[0, 0, 2] = -share * press.episode["force"][0]
    measures = judged(press, press.state.replace(body_q=pose, gel_wrench=wrench))
    assert measures == pytest.approx({"success": success, "aside": aside, "force_error": share - 1.0})
