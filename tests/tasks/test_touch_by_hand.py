# SPDX-License-Identifier: Apache-2.0
"""BallRoll, SurfaceFollow and pegs: observations, rewards and success, computed by hand from the docstrings."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.tasks.by_hand import judged, make, observed, rewarded, row


def moved(env, seed: int, **fields):
    """The state with bodies, forces and readings changed at random, and fields of one world as given."""
    random, state = np.random.default_rng(seed), env.state

    def noise(like: torch.Tensor, size: float = 1.0) -> torch.Tensor:
        return torch.as_tensor(size * random.normal(size=tuple(like.shape)))

    pose = state.body_q + 0.005 * noise(state.body_q)
    pose[..., 3:] /= pose[..., 3:].norm(dim=-1, keepdim=True)
    changed = {
        "body_q": pose, "body_twist": noise(state.body_twist, 0.1), "gel_wrench": noise(state.gel_wrench),
        "push": noise(state.push), "field": noise(state.field, 0.01).abs(),
    }  # fmt: skip
    if "grip" in state:
        changed["grip"] = state.grip + noise(state.grip, 0.001)
    state = state.replace(**changed)
    return state.replace(**{name: torch.as_tensor(value, dtype=torch.float64)[None] for name, value in fields.items()})


# --------------------------------------------------------------------------------------------------------- BallRoll


@pytest.fixture(scope="module")
def ball():
    env = make("SimEnv/BallRoll-v0")
    yield env
    env.close()


def test_ball_observations_by_hand(ball):
    state, task = moved(ball, 0), ball.task
    pose, twist, goal = row(state.body_q), row(state.body_twist), row(ball.episode["goal"])
    pad = np.concatenate([pose[1, :3] - [0.0, 0.0, 0.030], twist[1, :3]])
    seen = observed(ball, state)
    np.testing.assert_allclose(seen["pad"], pad, atol=1e-15)
    np.testing.assert_array_equal(seen["goal"], goal)
    np.testing.assert_array_equal(seen["wrench"], row(state.gel_wrench)[0])
    task.observation_mode = "privileged"
    np.testing.assert_array_equal(observed(ball, state)["ball"], np.concatenate([pose[2], twist[2]]))
    task.observation_mode = "force_field"
    np.testing.assert_array_equal(observed(ball, state)["field"], row(state.field).reshape(24, 24, 3))
    task.observation_mode = "reduced"
    assert 0.006 <= np.linalg.norm(goal) <= 0.014


@pytest.mark.parametrize("step", [55, 56, 60])
def test_ball_rewards_by_hand(ball, step):
    before, after = moved(ball, 1), moved(ball, 2, time=step * 0.016)
    goal, action = row(ball.episode["goal"]), np.array([[0.5, -0.1, 0.3]])
    old, new = (np.linalg.norm(row(state.body_q)[2, :2] - goal) for state in (before, after))
    square, speed = (new / 0.005) ** 2, np.linalg.norm(row(after.body_twist)[2, :3])
    wanted = {
        "nearer": 2.0 * (old - new) / np.linalg.norm(goal),
        "stay": -0.2 * square / (1.0 + square),
        "calm": -0.1 * (speed / 0.1) ** 2 if step >= 56 else 0.0,
        "effort": -0.001 * 0.35,
    }
    assert rewarded(ball, before, action, after) == pytest.approx(wanted, rel=1e-5)
    assert abs(old - new) > 1e-4


@pytest.mark.parametrize(
    ("distance", "speed", "touches", "success"),
    [
        (0.0009, 0.009, True, True), (0.0011, 0.009, True, False), (0.0009, 0.011, True, False),
        (0.0009, 0.009, False, False),
    ],
)  # fmt: skip
def test_ball_success_is_near_slow_and_in_touch(ball, distance, speed, touches, success):
    pose, twist = ball.state.body_q.clone(), torch.zeros_like(ball.state.body_twist)
    pose[0, 2, :2] = ball.episode["goal"][0] + distance * torch.tensor([0.6, -0.8]).double()
    twist[0, 2, :3] = speed * torch.tensor([0.36, 0.48, 0.8]).double()
    field = torch.zeros_like(ball.state.field)
    field[0, 7, 2] = 0.5 * touches
    measures = judged(ball, ball.state.replace(body_q=pose, body_twist=twist, field=field))
    wanted = {"success": success, "distance": distance, "speed": speed, "force": 0.5 * touches}
    assert measures == pytest.approx(wanted, rel=1e-3)


def test_pad_is_pulled_ten_millimetres_away(ball):
    control = ball.task.control(ball.world, ball.state, torch.tensor([[1.0, -0.5, 0.2]]).double(), ball.episode)
    goal = row(ball.state.body_q)[1] + [0.010, -0.005, 0.002, 0.0, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(row(control.goal)[0], goal, atol=1e-15)


# ---------------------------------------------------------------------------------------------------- SurfaceFollow


@pytest.fixture(scope="module")
def finger():
    env = make("SimEnv/SurfaceFollow-v0")
    yield env
    env.close()


def test_finger_observations_by_hand(finger):
    state = moved(finger, 0)
    seen, pose = observed(finger, state), row(state.body_q)[1]
    np.testing.assert_allclose(seen["pose"], pose + [0.03, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], atol=1e-15)
    np.testing.assert_array_equal(seen["twist"], row(state.body_twist)[1])
    np.testing.assert_array_equal(seen["wrench"], row(state.gel_wrench)[0])
    assert seen["target"].tolist() == [float(finger.episode["target"])] and 0.8 <= seen["target"][0] <= 1.6


def test_finger_rewards_by_hand(finger):
    before, after = moved(finger, 1), moved(finger, 2)
    action, force = np.array([[0.5, -0.1, 0.3, 1.0]]), row(after.field)[:, 2]
    error = force.sum() / float(finger.episode["target"]) - 1.0
    points = finger.world.sensors["tip"].grid.points[:, :2]
    centre = (force[:, None] * points).sum(0) / (force.sum() + 0.05)
    old, new = (row(state.body_q)[1, :2] + [0.03, 0.0] for state in (before, after))
    wanted = {
        "progress": 2.0 * (new[0] - old[0]) / 0.06,
        "force": -0.1 * error**2 / (1.0 + error**2 / 4.0),
        "centre": -0.02 * (centre**2).sum() / 0.004**2,
        "sideways": -0.02 * (new[1] / 0.005) ** 2,
        "effort": -0.001 * 1.35,
    }
    assert rewarded(finger, before, action, after) == pytest.approx(wanted, rel=1e-9)
    far = after.body_q.clone()
    far[0, 1, 0] = 0.5  # beyond the end nothing is gained
    terms = rewarded(finger, before, action, after.replace(body_q=far))
    assert terms["progress"] == pytest.approx(2.0 * (0.06 - old[0]) / 0.06)


def test_finger_remembers_errors_and_touch_from_016_s_on(finger):
    target, state = float(finger.episode["target"]), finger.state
    field, memory = torch.zeros_like(state.field), np.array([0.5, 3.0, 4.0])
    for force, touch in ((0.09, 0.0), (0.11, 1.0), (1.5, 1.0)):
        field[0, 5, 2] = force * target
        for time, counts in ((0.160, 0.0), (0.176, 1.0)):
            after = moved(finger, 0, memory=memory, time=time).replace(field=field)
            kept = row(finger.task.remember(finger.world, state, None, after, finger.episode).memory)
            np.testing.assert_allclose(kept, memory + counts * np.array([(force - 1.0) ** 2, touch, 1.0]), rtol=1e-12)


@pytest.mark.parametrize(
    ("done", "rms", "touched", "success"),
    [(0.96, 0.24, 0.99, True), (0.94, 0.24, 0.99, False), (0.96, 0.26, 0.99, False), (0.96, 0.24, 0.97, False)],
)
def test_finger_success_is_the_way_the_force_and_the_touch(finger, done, rms, touched, success):
    pose = finger.state.body_q.clone()
    pose[0, 1, 0] = 0.06 * done - 0.03
    memory = torch.tensor([[200.0 * rms**2, 200.0 * touched, 200.0]]).double()
    measures = judged(finger, finger.state.replace(body_q=pose, memory=memory))
    assert measures == pytest.approx({"success": success, "progress": done, "force_error": rms, "touched": touched})


# ------------------------------------------------------------------------------------------------------------- pegs


@pytest.fixture(scope="module")
def peg():
    env = make("SimEnv/PegInsertion-v0", observation_mode="privileged")
    yield env
    env.close()


def test_peg_observations_by_hand(peg):
    """The socket is seen with its error, which only `privileged` adds the truth to."""
    state, episode = moved(peg, 0), peg.episode
    pose, twist, socket = row(state.body_q), row(state.body_twist), row(episode["socket"])
    noise, half = row(episode["noise"]), np.sqrt(0.5)
    assert np.abs(noise).max() > 1e-3
    reduced = [[state.grip[0, 0]] * 2, pose[2], socket + noise, pose[1, 3:]]
    forces = []
    for side, sign in enumerate((1.0, -1.0)):  # gels face each other along the hand's y axis
        turn = Rotation.from_quat(pose[2, 3:]) * Rotation.from_quat([sign * half, 0.0, 0.0, half])
        forces.append(-turn.apply(row(state.gel_wrench)[side, :3]))
    wanted = [*reduced, twist[2], pose[3], socket, row(state.push)[3, :3], *forces]
    np.testing.assert_allclose(observed(peg, state)["state"], np.concatenate(wanted), atol=1e-12)
    peg.task.observation_mode = "reduced"
    np.testing.assert_allclose(observed(peg, state)["state"], np.concatenate(reduced), atol=1e-15)
    peg.task.observation_mode = "force_field"
    fields = observed(peg, state)
    for name, part in (("left_field", row(state.field)[:140]), ("right_field", row(state.field)[140:])):
        np.testing.assert_array_equal(fields[name], part.reshape(14, 10, 3))
    peg.task.observation_mode = "privileged"


def placed(env, offset, lean: float, time: float):
    """The held thing's centre at an offset from where it should be [m], leaning [rad] about y, at a time [s]."""
    place = row(env.episode["socket"]) + [0.0, 0.0, env.task.seat()] + np.asarray(offset)
    pose = torch.as_tensor([*place, 0.0, np.sin(lean / 2), 0.0, np.cos(lean / 2)])[None]
    state = env.world.bodies["peg"].place_centre(env.state, pose)
    return state.replace(time=torch.full_like(state.time, time))


@pytest.mark.parametrize(("away", "success"), [(0.0044, True), (0.0046, False)])
def test_peg_success_is_within_half_the_depth(peg, away, success):
    measures = judged(peg, placed(peg, [0.6 * away, 0.0, 0.8 * away], 0.0, 4.0))
    assert measures == pytest.approx({"success": success, "keypoint_distance": away}, rel=1e-5)


@pytest.mark.parametrize("beside", [0.002, 0.012])
def test_peg_below_the_mouth_and_beside_it_costs_ten_times_as_much(peg, beside):
    state = placed(peg, [beside, 0.0, 0.001], 0.0, 1.0)
    distance = np.hypot(beside, 0.001)
    terms = rewarded(peg, state, np.zeros((1, 6)), state)
    assert terms["keypoints"] == pytest.approx(-(1.0 if beside > 0.008 else 0.1) * distance, rel=1e-4)
    high = placed(peg, [beside, 0.0, 0.010], 0.0, 1.0)  # the socket is 9 mm deep
    assert rewarded(peg, high, np.zeros((1, 6)), high)["keypoints"] == pytest.approx(
        -0.1 * np.hypot(beside, 0.01), rel=1e-4
    )


UPRIGHT_TASKS = {  # seconds at the end; height [m] within which it counts
    "SimEnv/PegPlacement-v0": (288 / 60, 0.005),
    "SimEnv/BoltOnNut-v0": (324 / 60, 0.013),
}


@pytest.mark.parametrize("task_id", UPRIGHT_TASKS)
def test_success_is_upright_in_place_and_at_the_end(task_id):
    """Leaning at most 15 degrees, at most 9.6 mm aside, which is 0.6 diameters of 16 mm."""
    env = make(task_id)
    end, height = UPRIGHT_TASKS[task_id]
    good, lean = [0.0095 * 0.6, 0.0095 * 0.8, 0.9 * height], np.radians(14.5)
    cases = {
        (tuple(good), lean, end): True,
        (tuple(good), lean, end - 1 / 60): False,
        (tuple(good), np.radians(15.5), end): False,
        ((0.0097 * 0.6, 0.0097 * 0.8, 0.0), 0.0, end): False,
        ((0.0, 0.0, 1.1 * height), 0.0, end): False,
        ((0.0, 0.0, -1.1 * height), 0.0, end): False,
    }
    for (offset, angle, time), success in cases.items():
        measures = judged(env, placed(env, offset, angle, time))
        assert measures["success"] == success, (offset, angle, time)
        assert measures["upright"] == pytest.approx(np.cos(angle))
        assert measures["aside"] == pytest.approx(np.hypot(*offset[:2]), abs=1e-12)
    env.close()
