# SPDX-License-Identifier: Apache-2.0
"""A parameter of every task is found from a recording of it, whose truth is known."""

import gymnasium as gym
import numpy as np
import pytest
import torch

import simenv
from simenv.physics.solver import Field
from simenv.rollouts import IdentifyConfig, Recorder, Recording, RolloutError, identify_episode
from simenv.rollouts.identify import Code
from simenv.rollouts.identify_episode import observed_of
from simenv.rollouts.residuals import Comparison
from simenv.rollouts.sought import Range, numbers
from tests.rollouts.conftest import record_with_states

# task -> (parameter, control steps, of which each so many-th is kept, motion, upper limit over the truth); `strongest`
# chooses the parameter of a task that is not here
CASES = {
    "SimEnv/Pouring-v0": ("liquid.viscosity", 2, 1, "nominal", 8.0),
    "SimEnv/LatteArt-v0": ("coffee.viscosity", 2, 1, "random", 8.0),
    "SimEnv/SoftGrasp-v0": ("foam.youngs_modulus", 3, 1, "nominal", 3.0),
    "SimEnv/Palpate-v0": ("block.lump.stiffness", 3, 1, "nominal", 1.5),
    "SimEnv/SurfaceFollow-v0": ("tip.k_n", 4, 1, "nominal", 8.0),
    "SimEnv/TactilePour-v0": ("bottle.mass", 2, 1, "nominal", 3.0),
    "SimEnv/BallRoll-v0": ("contact.stiffness", 4, 1, "nominal", 8.0),
    "SimEnv/PegInsertion-v0": ("peg.mass", 3, 1, "random", 8.0),
    "SimEnv/PegPlacement-v0": ("hand.stiffness", 3, 1, "random", 8.0),
    "SimEnv/BoltOnNut-v0": ("hand.stiffness", 3, 1, "random", 8.0),
    "SimEnv/CartPole-v0": ("cart_pole.mass[0]", 4, 1, "random", 8.0),
    "SimEnv/Hopper-v0": ("hopper.armature[5]", 4, 1, "random", 8.0),
}
LIGHTEST = {"SimEnv/TactilePour-v0": 0.75}  # of the truth: the bottle must be heavier than the liquid at its thin walls
# What is compared, where not everything is. The rims of a held cylinder lie within the gels: when one passes a taxel's
# normal the force of that taxel jumps, and with the mass 1 % off some do in the second control step. Forces and grip
# have many local minima then, at each of which the gradient is right (see the test of it); poses have one.
OBSERVE = dict.fromkeys(("SimEnv/PegPlacement-v0", "SimEnv/BoltOnNut-v0"), ("body_q",))


def record(folder, task_id, steps, stride=1, motion="nominal", dtype="float64", **options):
    env = gym.make_vec(task_id, num_envs=1, device="cpu", dtype=dtype, max_episode_steps=steps, **options)
    moves = env.unwrapped.task.nominal_actions(steps) if motion == "nominal" else None
    env.action_space.seed(1)
    with Recorder(folder, env, stride=stride) as recorder:
        recorder.reset(seed=1)
        for step in range(steps):
            action = env.action_space.sample() if moves is None else moves[step][None]
            recorder.step(action.astype(env.action_space.dtype))
    env.close()
    return Recording(folder)[0]


def strongest(task_id, steps=3):
    """The number among parameters whose relative change moves the leaving state most, of those with a derivative; and
    factors on it between which it is sought, with which the world can still step.
    """
    env = gym.make_vec(
        task_id, num_envs=1, device="cpu", dtype="float64", output="torch", differentiable=True,
        autoreset_mode="disabled",
    ).unwrapped  # fmt: skip
    env.reset(seed=1)
    random = torch.Generator().manual_seed(1)
    actions = 2 * torch.rand(steps, *env.action_space.shape, generator=random, dtype=torch.float64) - 1
    leaves = {}
    for name, value in env.parameters.items():
        differentiable = env.parameters.declared[name].differentiable
        if value.dim() <= 2 and differentiable:
            leaves[name] = env.parameters[name] = value.detach().clone().requires_grad_()
    moved = env.rollout(actions, keep_states=True, observe=False).states[-1]
    compared = [moved[name] for name, field in env.world.fields.items() if field.compared and moved[name].requires_grad]
    slopes = torch.autograd.grad(sum(each.sum() for each in compared), leaves.values(), allow_unused=True)
    pairs = zip(leaves.items(), slopes, strict=True)
    changes = {name: (leaf * slope).detach()[0] for (name, leaf), slope in pairs if slope is not None}
    positive = numbers({name: env.parameters[name][0].detach() > 0 for name in changes})
    sizes = {name: abs(change) for name, change in numbers(changes).items() if positive[name]}
    name = max(sizes, key=lambda each: sizes[each])
    limits = next(pair for pair in ((0.5, 3.0), (0.5, 1.1), (0.9, 3.0)) if bears(env.parameters, name, pair))
    env.close()
    return name, limits


def bears(parameters, name, factors):
    """Whether the substep is short enough for a parameter times each of the factors."""
    one = Range(name, 0.0, 1.0).parameter
    present = numbers({one: parameters[one][0].detach()})[name]
    try:
        for factor in factors:
            parameters.check(one, factor * present)
    except ValueError:
        return False
    return True


# the README's example is of the first one, and quick; tests/rollouts/test_identify.py is of particles, too
SLOW = ("SimEnv/Pouring-v0", "SimEnv/LatteArt-v0", "SimEnv/SoftGrasp-v0")


@pytest.mark.parametrize(
    ("task_id", "case"),
    [
        *(
            pytest.param(id, CASES.get(id), marks=pytest.mark.slow if id in SLOW else (), id=id)
            for id in simenv._BUILTIN_TASKS
        ),
        pytest.param("SimEnv/BallRoll-v0", None, id="a task that is not in the list"),
    ],
)
def test_the_truth_is_recovered(tmp_path, task_id, case):
    if case is None:
        name, (lower, upper) = strongest(task_id)
        steps, stride, motion = 3, 1, "random"
    else:
        name, steps, stride, motion, upper = case
        lower = LIGHTEST.get(task_id, 0.5)
    episode = record(tmp_path, task_id, steps, stride, motion)
    truth = numbers(episode.parameters)[name]
    # the search starts in the geometric middle, which is 2 (1.2) times the truth
    result = identify_episode(episode, {name: (truth * lower, truth * upper)}, observe=OBSERVE.get(task_id))
    print(f"\nmeasured {result.values[name] / truth - 1:.1e}, {len(result.history)} iterations, {result.shares}")
    assert result.code is Code.CONVERGED and result.without_effect == ()
    assert result.values[name] == pytest.approx(truth, rel=2e-3)
    assert max(result.shares.values()) < 5e-3


def test_gradients_of_a_loss_with_jumps(tmp_path, monkeypatch):
    """Where forces make local minima, the slope that the search gets is that of the loss, though it leads astray."""
    episode = record(tmp_path, "SimEnv/PegPlacement-v0", 3, motion="random")
    truth = float(episode.parameters["left.k_n"][0])
    slopes, residuals, gradient = [], Comparison.residuals, Comparison.gradient

    def losses(comparison, points):
        return [float(r @ r) for r in (residuals(comparison, np.array([[p]]), False)[0][0] for p in points)]

    def asked(comparison, points, graph):
        comparison.asked = float(points[0, 0])
        return residuals(comparison, points, graph)

    def checked(comparison):
        exact, point, width = gradient(comparison), comparison.asked, 1e-7
        after, before = losses(comparison, (point + width, point - width))
        slopes.append((float(exact[0, 0]), 0.5 * (after - before) / (2 * width)))
        return exact

    monkeypatch.setattr(Comparison, "residuals", asked)
    monkeypatch.setattr(Comparison, "gradient", checked)
    config = IdentifyConfig(iterations=6)
    result = identify_episode(episode, {"left.k_n": (truth / 2, truth * 8)}, config=config)
    print(f"\nmeasured {slopes}, found {result.values['left.k_n'] / truth}")
    assert len(slopes) >= 2 and slopes[0][0] < 0.0  # away from the truth, which lies below
    for exact, difference in slopes:
        assert exact == pytest.approx(difference, rel=1e-5)


@pytest.mark.slow
def test_an_elastic_gel(tmp_path):
    episode = record(tmp_path, "SimEnv/BallRoll-v0", 2, gel="elastic")
    truth = float(episode.parameters["gel.modulus"][0])
    result = identify_episode(episode, {"gel.modulus": (truth / 2, truth * 4)}, observe=("gel_wrench",))
    assert result.values["gel.modulus"] == pytest.approx(truth, rel=2e-3)


def test_what_has_no_derivative_is_refused_with_what_works(tmp_path):
    episode, _ = record_with_states(tmp_path, "SimEnv/SoftGrasp-v0")
    message = r"no gradient here \(parameter 'left_pad.scale' has no derivative .*--method cma"
    with pytest.raises(RolloutError, match=message) as error:
        identify_episode(episode, {"left_pad.scale": (0.9, 1.2)})
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_gradients_find_a_parameter_of_an_arm(panda_episode):
    """How stiffly its tool is pulled along z, from four steps of random motion."""
    panda, name = panda_episode[0], "arm/tool.stiffness[2]"
    truth = float(panda.parameters["arm/tool.stiffness"].reshape(-1)[2])
    result = identify_episode(panda, {name: (truth / 2, truth * 4)}, observe=("joint_q", "body_q"))
    print(f"\nmeasured {result.values[name] / truth - 1:.1e}, {result.rollouts} rollouts")
    assert result.values[name] == pytest.approx(truth, rel=2e-3)


def test_a_parameter_without_effect_is_named(tmp_path):
    # the peg is still above its socket, so that the stiffness of contact points does nothing
    episode = record(tmp_path, "SimEnv/PegInsertion-v0", 3, motion="random")
    truth = float(episode.parameters["peg.mass"][0])
    limits = {"contact.stiffness": (1e3, 1e6), "peg.mass": (truth / 2, truth * 8)}
    result = identify_episode(episode, limits)
    assert result.code is Code.NO_EFFECT and result.without_effect == ("contact.stiffness",)
    assert result.values["peg.mass"] == pytest.approx(truth, rel=2e-3)


def test_what_hides_a_parameter_is_named(tmp_path):
    episode = record(tmp_path, "SimEnv/SurfaceFollow-v0", 4, stride=4)
    limits = {"tip.k_n": (2e8, 4e9)}

    def refused(match, **options):
        with pytest.raises(RolloutError, match=match):
            identify_episode(episode, limits, **options)

    refused(r"was seen once only \(after control step 4\).*--stride.*--states all")
    refused(r"'depth' was seen once only", observe=("depth",))
    refused(r"'skin' was not recorded; compare what was \(body_q, body_twist, .*--states", observe=("skin",))
    refused(r"no observable quantity 'status'; there are body_q", observe=("status",))
    refused(r"'observations/target' does not change.*--observe", observe=("observations/target",))
    with pytest.raises(RolloutError, match=r"the limit -1 can't be simulated.*must lie between"):
        identify_episode(episode, {"tip.k_n": (-1.0, 4e9)})


def test_observations_are_compared_as_they_were_recorded(tmp_path):
    """A constant is added to what the environment observed: the deviation is that constant, at the true parameter."""
    episode = record(tmp_path, "SimEnv/SurfaceFollow-v0", 3)
    truth, offset = float(episode.parameters["tip.k_n"][0]), 0.125
    episode.observations["wrench"][1:] += offset
    config = IdentifyConfig(iterations=1)  # one rollout, at the middle of the limits, which is the truth
    for observe in ("observations/wrench", "gel_wrench"):
        result = identify_episode(
            episode, {"tip.k_n": (truth / 2, truth * 2)}, observe=(observe,), config=config
        )  # fmt: skip
        expected = offset if observe.startswith("observations") else 0.0
        assert result.deviations[observe] == pytest.approx(expected, rel=1e-6, abs=1e-9)
        change = episode.states["gel_wrench"][1:, 0] - episode.states["gel_wrench"][1:, 0].mean(0)
        scale = np.sqrt(np.mean(change**2))
        assert result.shares[observe] == pytest.approx(expected / scale, rel=1e-6, abs=1e-7)


def test_what_is_compared_is_what_solvers_declare(tmp_path):
    episode = record(tmp_path, "SimEnv/BallRoll-v0", 3)
    truth = float(episode.parameters["pad.stiffness"][0])
    result = identify_episode(episode, {"pad.stiffness": (truth / 2, truth * 2)}, config=IdentifyConfig(iterations=1))
    assert set(result.deviations) == {"body_q", "gel_wrench"}  # ball and pad, and what the gel feels


def test_rows_that_take_no_part_were_not_seen(episode):
    """As the field declares: particles that are not active, and no others."""
    episode.states["active"][1, 2] = episode.states["active"][0, 4] = False
    for mask, hidden in (("active", [2]), (None, [])):
        fields = {"x": Field((7, 3), "m", "positions", mask=mask)}
        seen = observed_of(episode, ("x",), 5, fields)
        assert seen.steps.tolist() == [5]
        assert np.flatnonzero(np.isnan(seen.values["x"][0]).any(1)).tolist() == hidden
        np.testing.assert_array_equal(
            np.delete(seen.values["x"][0], hidden, 0), np.delete(episode.states["x"][1], hidden, 0)
        )


def test_what_a_task_remembers_is_remembered(tmp_path):
    """The pegs keep the last action, which changes from step to step."""
    episode = record(tmp_path, "SimEnv/PegInsertion-v0", 3, motion="random")
    assert np.ptp(episode.states["memory"][1:], axis=0).max() > 0.1
    truth = float(episode.parameters["peg.mass"][0])
    config = IdentifyConfig(iterations=1)
    result = identify_episode(
        episode, {"peg.mass": (truth / 2, truth * 4)}, observe=("memory", "gel_wrench"), config=config
    )  # fmt: skip
    assert result.deviations["memory"] == 0.0 and result.deviations["gel_wrench"] > 0.0
