# SPDX-License-Identifier: Apache-2.0
"""SoftGrasp and the template: observations, rewards and success, computed by hand from the docstrings."""

import numpy as np
import pytest
import torch

from simenv.tasks.template import PushBlock
from tests.tasks.by_hand import judged, keypoints, make, observed, rewarded, row, scattered

MIDDLE = np.array([0.084, 0.052, 0.036])  # of the block at the start: on a table 16 mm high, 40 mm wide [m]


@pytest.fixture(scope="module")
def grasp():
    env = make("SimEnv/SoftGrasp-v0")
    yield env
    env.close()


@pytest.fixture(scope="module")
def push():
    env = make(PushBlock.task_id)
    yield env
    env.close()


def gripped(env, seed: int, rise: float, gaps, time: float = 0.5):
    """A state of a block that has risen [m], with the pads at gaps [m] from its sides as built and 3 mm higher."""
    state = scattered(env, MIDDLE - 0.02, MIDDLE + 0.02, seed)
    x, pose = state.x.clone(), state.body_q.clone()
    x[..., 2] += MIDDLE[2] + rise - float(row(x)[row(state.active), 2].mean())
    pose[0, :, 0] = torch.as_tensor(MIDDLE[0] + np.array([-1.0, 1.0]) * (np.asarray(gaps) + 0.02 + 0.008))
    pose[0, :, 2] = MIDDLE[2] + rise + 0.003
    return state.replace(x=x, body_q=pose, time=torch.full_like(state.time, time))


def strain(state) -> float:
    """Mean Frobenius norm of Green's strain (F^T F - 1) / 2 over the block."""
    return np.mean([np.linalg.norm(0.5 * (F.T @ F - np.eye(3))) for F in row(state.F)])


def test_grasp_observations_by_hand(grasp):
    state, task = gripped(grasp, 0, 0.004, (0.001, 0.002)), grasp.task
    pose, twist = row(state.body_q), row(state.body_twist)
    seen = observed(grasp, state)
    fingers = [[*(pose[k, [0, 2]] - MIDDLE[[0, 2]]), *twist[k, [0, 2]]] for k in (0, 1)]
    np.testing.assert_allclose(seen["fingers"], np.concatenate(fingers), atol=1e-15)
    np.testing.assert_array_equal(seen["force"], row(state.wrench)[1:, :3].ravel())  # the table is the first collider
    assert seen["goal"].tolist() == [float(grasp.episode["height"])] and 0.02 <= seen["goal"][0] <= 0.03
    task.observation_mode = "privileged"
    seen = observed(grasp, state)
    np.testing.assert_array_equal(seen["keypoints"], keypoints(state, 0, state.x.shape[1], 16))
    assert seen["slip"] == pytest.approx(0.003) and seen["strain"] == pytest.approx(strain(state), rel=1e-4)
    task.observation_mode = "reduced"


@pytest.mark.parametrize("time", [0.98, 1.02])  # steps 49 and 51
def test_grasp_rewards_by_hand(grasp, time):
    height = float(grasp.episode["height"])
    before, after = gripped(grasp, 1, 0.010, (0.004, 0.0055)), gripped(grasp, 2, 0.016, (0.001, -0.002), time)
    crush, off = strain(after) / 0.12, ((height - 0.016) / 0.004) ** 2
    wanted = {
        "lift": 3.0 * 0.006 / height,
        "grasp": 0.5 * ((0.004 + 0.0055) / 2 - (0.001 + 0.0) / 2) / 0.006,
        "slip": -0.1 * 0.75**2 / (1.0 + 0.75**2),
        "crush": -0.05 * crush**4,
        "stay": -0.1 * off / (1.0 + off) if time > 1.0 else 0.0,
        "effort": -0.001 * 0.35,
    }
    terms = rewarded(grasp, before, np.array([[0.5, -0.1, 0.3]]), after)
    assert terms == pytest.approx(wanted, rel=1e-3)  # 1e-8 rounds the root of the strain at 0
    assert crush > 0.5
    above = rewarded(grasp, before, np.zeros((1, 3)), gripped(grasp, 2, height + 0.02, (0.0, 0.0)))
    assert above["lift"] == pytest.approx(3.0 * (height - 0.010) / height)  # nothing beyond the height


@pytest.mark.parametrize(
    ("off", "slip", "stretch", "success"),
    [
        (0.0039, 0.0039, 0.115, True), (-0.0039, -0.0039, 0.115, True), (0.0041, 0.0, 0.0, False),
        (-0.0041, 0.0, 0.0, False), (0.0, 0.0041, 0.0, False), (0.0, -0.0041, 0.0, False), (0.0, 0.0, 0.125, False),
    ],
)  # fmt: skip
def test_grasp_success_is_height_slip_and_strain(grasp, off, slip, stretch, success):
    """A block stretched along x by a strain e has F = diag(sqrt(1 + 2 e), 1, 1)."""
    rise = float(grasp.episode["height"]) + off
    state = gripped(grasp, 0, rise, (0.0, 0.0))
    pose, F = state.body_q.clone(), torch.eye(3).double().expand_as(state.F).clone()
    pose[0, :, 2] += slip - 0.003
    F[..., 0, 0] = np.sqrt(1.0 + 2.0 * stretch)
    measures = judged(grasp, state.replace(body_q=pose, F=F))
    assert measures == pytest.approx(
        {"success": success, "risen": rise, "slip": slip, "strain": stretch}, rel=1e-3, abs=2e-4
    )


def test_fingers_close_inwards_and_rise_together(grasp):
    control = grasp.task.control(grasp.world, grasp.state, torch.tensor([[1.0, 0.5, -0.25]]).double(), grasp.episode)
    wanted = [[0.08, 0.0, -0.02, 0.0, 0.0, 0.0], [-0.04, 0.0, -0.02, 0.0, 0.0, 0.0]]
    np.testing.assert_allclose(row(control.twist), wanted, atol=1e-15)


def test_push_by_hand(push):
    """All of the template: what is seen, rewarded, and judged."""
    low, high = np.array([0.08, 0.08, 0.01]), np.array([0.16, 0.16, 0.05])
    before, after = scattered(push, low, high), scattered(push, low + 0.01, high, 1)
    goal, action = row(push.episode["goal"]), np.array([[0.5, -0.3]])

    def centre(state, field="x"):
        return row(getattr(state, field))[row(state.active)].mean(0)

    def to_goal(state):
        return np.sqrt(((centre(state)[:2] - goal) ** 2).sum() + 1e-8)

    def to_block(state):
        return np.sqrt(((centre(state)[:2] - row(state.body_q)[0, :2]) ** 2).sum() + 1e-8)

    seen = row(push.task.observe(push.world, before, push.episode))
    wanted = [
        goal, row(before.body_q)[0, :3], row(before.wrench)[1, :3], centre(before), centre(before, "v"),
        keypoints(before, 0, before.x.shape[1], 8), [to_goal(before)],
    ]  # fmt: skip
    np.testing.assert_allclose(seen, np.concatenate(wanted), rtol=1e-12, atol=1e-15)
    assert rewarded(push, before, action, after) == pytest.approx({
        "progress": 10.0 * (to_goal(before) - to_goal(after)), "reach": to_block(before) - to_block(after),
        "effort": -0.001 * 0.34,
    })  # fmt: skip
    control = push.task.control(push.world, before, torch.as_tensor(action), push.episode)
    np.testing.assert_allclose(row(control.twist), [[0.075, -0.045, 0.0, 0.0, 0.0, 0.0]], atol=1e-15)


@pytest.mark.parametrize(("away", "ball", "success", "outside"), [
    (0.009, (0.12, 0.12), True, False), (0.011, (0.12, 0.12), False, False), (0.009, (0.013, 0.12), True, True),
    (0.009, (0.12, 0.227), True, True), (0.009, (0.12, 0.225), True, False),
])  # fmt: skip
def test_push_success_and_end_by_hand(push, away, ball, success, outside):
    x, pose = push.state.x.clone(), push.state.body_q.clone()
    x[..., :2] += push.episode["goal"] + away * torch.tensor([0.8, -0.6]).double() - x[..., :2].mean(1)
    pose[0, 0, :2] = torch.tensor(ball).double()
    measures = judged(push, push.state.replace(x=x, body_q=pose))
    assert measures == pytest.approx({"success": success, "terminated": outside, "distance": away}, rel=1e-4)
