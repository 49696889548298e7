# SPDX-License-Identifier: Apache-2.0
"""Palpate: observations, rewards and success by hand from the docstring, what the finger feels, and its script."""

import math

import numpy as np
import pytest
import torch

from tests.tasks.by_hand import judged, make, observed, rewarded, row, scattered

TOP = 0.032  # height of the block [m]
MIDDLE = math.sqrt(12.0)  # of the stiffnesses, 2 to 6


@pytest.fixture(scope="module")
def env():
    made = make("SimEnv/Palpate-v0", worlds=2)
    yield made
    made.close()


def numbers(env, world: int = 0) -> dict[str, float]:
    return {name: float(env.parameters[f"block.lump.{name}"][world]) for name in ("x", "y", "z", "stiffness")}


def lump(env, world: int = 0) -> np.ndarray:
    """The truth in the action's units."""
    true = numbers(env, world)
    depth = (TOP - true["z"] - 0.015) / 0.003
    return np.array([true["x"] / 0.014, true["y"] / 0.014, depth, math.log(true["stiffness"] / MIDDLE, 3**0.5)])


def test_what_episodes_draw():
    made = make("SimEnv/Palpate-v0", worlds=200)
    drawn = np.array([lump(made, world) for world in range(200)])
    made.close()
    assert np.abs(drawn).max() <= 1.0 + 1e-12
    # uniform: a mean of 200 numbers from -1 to 1 is off by 0.041 in the root mean square, their variance is 1/3
    assert np.abs(drawn.mean(0)).max() < 0.17 and np.abs((drawn**2).mean(0) - 1 / 3).max() < 0.1


def test_observations_by_hand(env):
    state = scattered(env, (-0.03, -0.03, 0.0), (0.03, 0.03, 0.03))
    state = state.replace(memory=torch.tensor([[0.1, -0.2, 0.3, 0.4]] * 2, dtype=torch.float64))
    pose, twist = row(state.body_q)[0], row(state.body_twist)[0]
    seen = observed(env, state)
    np.testing.assert_allclose(seen["finger"], [*(pose[:3] - [0.0, 0.0, TOP + 0.012]), *twist[:3]], atol=1e-15)
    np.testing.assert_array_equal(seen["force"], row(state.wrench)[0, :3])
    np.testing.assert_array_equal(seen["estimate"], [0.1, -0.2, 0.3, 0.4])
    env.task.observation_mode = "privileged"
    np.testing.assert_allclose(observed(env, state)["lump"], lump(env), rtol=1e-12)
    env.task.observation_mode = "reduced"


def test_rewards_by_hand(env):
    guess, better = np.array([0.3, -0.2, 0.5, 0.1]), lump(env) + [0.1, -0.1, 0.2, 0.3]
    before, after = scattered(env, 0.0, 0.03, 1), scattered(env, 0.0, 0.03, 2)
    before, after = (
        state.replace(memory=torch.as_tensor(each).expand(2, 4))
        for state, each in ((before, guess), (after, better))
    )  # fmt: skip

    def error(estimate):
        off = estimate - lump(env)
        distance = np.linalg.norm(off[:3] * [0.014, 0.014, 0.003])
        return math.sqrt((distance / 0.01) ** 2 + (off[3] * math.log(3) / 2 / 0.5) ** 2 + 1e-4)

    action = np.array([[0.5, -0.1, 0.3, 1.0, 1.0, 1.0, 1.0]] * 2)
    force = (np.linalg.norm(row(after.wrench)[0, :3]) / 2.0) ** 4
    wanted = {
        "closer": error(guess) - error(better),
        "gentle": -0.01 * force / (1.0 + force),
        "effort": -0.001 * 0.35,
    }
    assert rewarded(env, before, action, after) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    ("off", "factor", "success"),
    [
        ((1.9e-3, 0.0, 0.0), 1.09, True), ((2.1e-3, 0.0, 0.0), 1.0, False), ((0.0, 0.0, 1.9e-3), 0.91, True),
        ((0.0, 1.5e-3, 1.5e-3), 1.0, False), ((0.0, 0.0, 0.0), 1.11, False), ((0.0, 0.0, 0.0), 0.89, False),
    ],
)  # fmt: skip
def test_success_is_near_and_alike(env, off, factor, success):
    estimate = lump(env) + [off[0] / 0.014, off[1] / 0.014, -off[2] / 0.003, math.log(factor, 3**0.5)]
    state = env.state.replace(memory=torch.as_tensor(estimate).expand(2, 4))
    wanted = {"success": success, "distance": np.linalg.norm(off), "stiffness_error": abs(factor - 1.0)}
    assert judged(env, state) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_the_finger_stays_where_it_may_go(env):
    pose = env.state.body_q.clone()
    pose[:, 0, :3] = torch.tensor([0.018, -0.019, TOP + 0.012 - 0.009], dtype=torch.float64)
    action = torch.tensor(
        [[1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0], [-1.0, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64
    )
    control = env.task.control(env.world, env.state.replace(body_q=pose), action, env.episode)
    wanted = [[0.002, -0.001, -0.001], [-0.006, 0.003, 0.006]]  # to 20 mm aside, 10 mm deep; 6 mm a step
    np.testing.assert_allclose(control.twist[:, 0, :3].numpy() * 0.02, wanted, rtol=1e-12)


def play(env, **values):
    """Forces on the finger (T, N, 3) [N], fields of the taxels (T, N, 4, 4, 3), places of the tip (T, N, 3) [m] and
    successes of the script, with some numbers of the ball changed.
    """
    env.reset(seed=5)
    for name, value in values.items():
        env.parameters[f"block.lump.{name}"] = value
    parts, success = [], []
    env.task.observation_mode = "reduced+force_field"
    for _ in range(64):
        env.step(env.task.expert(env.world, env.state, env.episode))
        seen = env.task.observe(env.world, env.state, env.episode)
        parts.append([seen[name].clone() for name in ("force", "field", "finger")])
        success.append(env.task.evaluate(env.world, env.state, env.episode)["success"].tolist())
    env.task.observation_mode = "reduced"
    assert not env.state.status.any()
    force, field, finger = (torch.stack(each).numpy() for each in zip(*parts, strict=True))
    return force, field, finger[..., :3], success


def test_the_ball_is_felt_where_it_is(env):
    """The script presses nine places 8 mm deep. The taxels read most of the force. Only where the ball is near is it
    larger than on a plain block, and the middle of what is more is near the ball.
    """
    force, field, place, success = play(env, x=[0.009, -0.007], y=[-0.008, 0.01], z=0.018, stiffness=5.0)
    assert success == [[True, True]] * 64  # it says the truth
    plain, *_ = play(env, stiffness=1.0)
    deep = np.flatnonzero(place[:, 0, 2] < -0.0079)
    assert len(deep) == 18  # nine presses of two steps
    read = field.sum((2, 3))[deep, :, 2] / force[deep, :, 2]
    print(f"\nmeasured share {read.min():.2f} to {read.max():.2f}")
    assert read.min() > 0.75 and read.max() < 1.0
    for world, at in enumerate(([0.009, -0.008], [-0.007, 0.01])):
        more = force[deep, world, 2] - plain[deep, world, 2]
        distance = np.linalg.norm(place[deep, world, :2] - at, axis=1)
        assert more[distance < 0.008].min() > 5 * np.abs(more[distance > 0.020]).max()
        weight = np.maximum(more, 0.0)[:, None] ** 2
        middle = (weight * place[deep, world, :2]).sum(0) / weight.sum()
        assert np.linalg.norm(middle - at) < 0.004  # a third of the distance of presses


def test_the_script_is_the_experts_motion(env):
    env.reset(seed=5)
    moves = env.task.nominal_actions(64)
    assert moves.shape == (64, 7) and np.abs(moves).max() == 1.0
    for step in (0, 7, 40):
        state = env.state.replace(time=torch.full_like(env.state.time, step * 0.02))
        action = row(env.task.expert(env.world, state, env.episode))
        np.testing.assert_array_equal(action[:3], moves[step, :3])
        np.testing.assert_allclose(action[3:], lump(env), rtol=1e-12)
    np.testing.assert_allclose(moves[:, :2].sum(0) * 0.006, [0.012, -0.012])  # the spiral's last place
    np.testing.assert_array_equal(env.task.nominal_actions(3), moves[:3])


EPSILONS = (1e-3, 1e-4, 1e-5)  # of the range of each number
RANGES = {"x": 0.014, "y": 0.014, "z": 0.003, "stiffness": 2.0}


def felt(env, values: dict[str, torch.Tensor]) -> torch.Tensor:
    """A weighted sum of what the taxels read in the first press and the way to the next one, (N,)."""
    env.reset(seed=5)
    start = {"x": 0.004, "y": -0.003, "z": 0.018, "stiffness": 4.0}
    for name, value in start.items():
        env.parameters[f"block.lump.{name}"] = torch.full((env.num_envs,), value, dtype=torch.float64) + values[name]
    weights = torch.randn(7, 16, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    state, total = env.state, 0.0
    for step, move in enumerate(env.task.nominal_actions(7)):
        action = torch.as_tensor(move).expand(env.num_envs, -1)
        state = env.world.step(state, env.task.control(env.world, state, action, env.episode))
        total = total + (state.skin_field * weights[step]).sum((1, 2))
    assert not state.status.any()
    return total


def test_what_is_felt_has_the_derivative_of_the_ball():
    """By each of its numbers, against central differences, in units of the ranges."""
    one, many = make("SimEnv/Palpate-v0"), make("SimEnv/Palpate-v0", worlds=2 * len(EPSILONS) * len(RANGES))
    leaves = {name: torch.zeros(1, dtype=torch.float64, requires_grad=True) for name in RANGES}
    slopes = torch.autograd.grad(felt(one, leaves), list(leaves.values()))
    ways = {name: torch.zeros(len(RANGES), len(EPSILONS), 2, dtype=torch.float64) for name in RANGES}
    for index, (name, span) in enumerate(RANGES.items()):
        for column, epsilon in enumerate(EPSILONS):
            ways[name][index, column] = epsilon * span * torch.tensor([1.0, -1.0], dtype=torch.float64)
    with torch.no_grad():
        values = felt(many, {name: way.flatten() for name, way in ways.items()}).view(len(RANGES), len(EPSILONS), 2)
    found = (values[..., 0] - values[..., 1]) / (2.0 * torch.tensor(EPSILONS, dtype=torch.float64))
    exact = torch.cat(slopes) * torch.tensor(list(RANGES.values()), dtype=torch.float64)
    errors = (found - exact[:, None]).abs() / exact.norm()
    print(f"\nmeasured {errors.tolist()}")
    assert float(errors[:, 1:].max()) < 1e-7
    one.close(), many.close()


def test_a_gel_feels_the_ball_with_its_derivative():
    """As the round tip does: of what its taxels read in a press the derivative by the ball's numbers is that of central
    differences.
    """
    made = make("SimEnv/Palpate-v0", finger="gel", differentiable=True)
    world, task, names = made.world, made.task, ("x", "y", "z", "stiffness")
    start = made.state.detach()
    values = torch.tensor([0.004, -0.003, 0.017, 3.0]).double().requires_grad_()
    weight = torch.as_tensor(np.random.default_rng(0).normal(size=(16, 3)))

    def felt(values):
        for name, value in zip(names, values, strict=True):
            world.parameters[f"block.lump.{name}"] = value[None]
        state = start
        for step in range(3):
            action = torch.tensor([[0.3, 0.0, -0.9 + 0.1 * step, 0.0, 0.0, 0.0, 0.0]]).double()
            state = world.step(state, task.control(world, state, action, made.episode))
        read = world.skin(state, "tip")[0].reshape(16, 3)
        assert int(state.status) == 0 and float(read.detach().sum(0).norm()) > 0.1
        return (weight * read).sum()

    (grad,) = torch.autograd.grad(felt(values), values)
    for i, size in enumerate((1e-3, 1e-3, 1e-3, 1.0)):
        errors = []
        for step in (1e-2, 1e-3, 1e-4):
            ends = []
            for sign in (1.0, -1.0):
                moved = values.detach().clone()
                moved[i] += sign * step * size
                with torch.no_grad():
                    ends.append(float(felt(moved)))
            errors.append(abs((ends[0] - ends[1]) / (2.0 * step * size) - float(grad[i])))
        assert min(errors) < 1e-5 * abs(float(grad[i])), (names[i], errors, float(grad[i]))
    made.close()
