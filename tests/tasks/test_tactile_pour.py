# SPDX-License-Identifier: Apache-2.0
"""TactilePour: observations, rewards and success by hand from the docstring; what the gels say of the weight; what the
expert pours; gradients through all of it.
"""

import gymnasium as gym
import numpy as np
import pytest
import torch

import simenv  # noqa: F401  registers the tasks
from simenv.tasks.tactile.pour_expert import brim, lean, standing_tilt
from simenv.tasks.tactile.tactile_pour import BOTTLE
from tests.tasks.by_hand import judged, make, observed, rewarded, row, sigmoid

G, DT = 9.81, 0.025
FINGERS = ("left", "right")


@pytest.fixture(scope="module")
def pour():
    env = make("SimEnv/TactilePour-v0")
    yield env
    env.close()


def filled(env, bottle, jar, beside, seed=0):
    """A state with so many active particles well inside the bottle, in the jar and beside both, and others inactive."""
    random, state = np.random.default_rng(seed), env.state
    x, active = state.x.clone(), torch.zeros_like(state.active)
    places = (env.world.bodies[name].pose(state)[0, :3].numpy() for name in ("bottle", "jar"))
    middles = [place + [0.0, 0.0, 0.025] for place in places] + [np.array([0.46, 0.02, 0.15])]
    start = 0
    for count, middle in zip((bottle, jar, beside), middles, strict=True):
        x[0, start : start + count] = torch.as_tensor(middle + random.uniform(-0.004, 0.004, (count, 3)))
        active[0, start : start + count] = True
        start += count
    return state.replace(x=x, active=active)


def grain(env):
    """Mass of a particle [kg]: a cell of 4 mm."""
    return 0.004**3 * float(env.world.parameters["liquid.density"][0])


def signed(points, place, radius, height):
    """Signed distance of an upright cylinder, its foot at a place."""
    away = points - place
    qr, qz = np.linalg.norm(away[:, :2], axis=1) - radius, np.abs(away[:, 2] - height / 2) - height / 2
    outside = np.hypot(np.maximum(qr, 0.0), np.maximum(qz, 0.0))
    return outside + np.minimum(np.maximum(qr, qz), 0.0)


# ------------------------------------------------------------------------------------------------ the expert's tilt


def test_what_stands_at_the_lip_of_a_cylinder():
    """While the surface meets the wall all around, the volume is pi r^2 (h - r tan a); where it passes through the far
    edge of the floor it is half of the cylinder; lying, nothing.
    """
    radius, height = BOTTLE.inner_radius, BOTTLE.height - BOTTLE.base
    volumes, tilts = map(np.array, brim(BOTTLE, 41))
    assert (np.diff(volumes) > 0.0).all() and volumes[0] < 2e-9
    whole = np.tan(tilts) < 0.5 * height / radius
    assert whole.sum() > 10
    np.testing.assert_allclose(
        volumes[whole], np.pi * radius**2 * (height - radius * np.tan(tilts[whole])), rtol=2e-4, atol=0
    )
    half = np.interp(np.arctan(0.5 * height / radius), tilts[::-1], volumes[::-1])
    assert half == pytest.approx(0.5 * np.pi * radius**2 * height, rel=2e-3)


def test_between_its_pairs_the_tilt_is_linear_and_the_expert_leans():
    knots = ((1e-5, 3e-5, 7e-5), (1.5, 1.3, 0.9))
    volume = torch.tensor([0.0, 1e-5, 2e-5, 5e-5, 9e-5]).double()
    assert standing_tilt(volume, knots).tolist() == pytest.approx([1.5, 1.5, 1.4, 1.1, 0.9])
    missing = torch.tensor([1.0, 0.0045, 0.0005, -0.0035, -1.0]).double()
    leant = lean(torch.full_like(missing, 2e-5), missing, knots)
    assert leant.tolist() == pytest.approx([1.8, 1.6, 1.4, 1.2, 1.0])


# --------------------------------------------------------------------------------------------------------- by hand


def test_masses_and_success_by_hand(pour):
    """Counts of particles: 3 g is 0.003 / grain of them."""
    asked, one = float(pour.episode["asked"][0]), grain(pour)
    right, slack = asked / one, 0.003 / one
    cases = [(right + slack - 2, 0, True), (right + slack + 2, 0, False), (right - slack - 2, 0, False),
             (right, 0.002 / one - 2, True), (right, 0.002 / one + 2, False)]  # fmt: skip
    for jar, beside, success in cases:
        jar, beside = round(jar), round(beside)
        measures = judged(pour, filled(pour, 200, jar, beside))
        assert measures["success"] is success, (jar, beside)
        assert measures["error"] == pytest.approx(jar * one - asked, abs=1e-12)
        assert measures["spilled"] == pytest.approx(beside * one, abs=1e-12)


@pytest.mark.parametrize(("move", "turn", "held"), [(0.005, 0.11, True), (0.007, 0.0, False), (0.0, 0.13, False)])
def test_a_bottle_that_slips_is_not_held(pour, move, turn, held):
    state = filled(pour, 200, round(float(pour.episode["asked"][0]) / grain(pour)), 0)
    index, pose = pour.world.bodies["bottle"].index, state.body_q.clone()
    before = judged(pour, state)
    assert before["slip"] < 1e-9 and before["turn"] < 1e-6
    pose[0, index, 2] += move
    pose[0, index, 3:] = torch.tensor([np.sin(turn / 2), 0.0, 0.0, np.cos(turn / 2)])
    measures = judged(pour, state.replace(body_q=pose))
    assert measures["slip"] == pytest.approx(move, abs=1e-9) and measures["turn"] == pytest.approx(turn, abs=1e-6)
    assert measures["success"] is held


def test_rewards_by_hand(pour):
    def merits(state):
        points, active = row(state.x), row(state.active)
        place = {name: row(pour.world.bodies[name].pose(state)) for name in ("bottle", "jar")}
        mass, width = grain(pour) * active, 0.004
        within = {
            "bottle": sigmoid(-signed(points, place["bottle"][:3], 0.025, 0.090) / width),
            "jar": sigmoid(-signed(points, place["jar"][:3], 0.038, 0.055) / width),
        }
        poured, kept = ((mass * within[name]).sum() for name in ("jar", "bottle"))
        lip = place["bottle"][:3] + [0.0, 0.022, 0.090]
        away = (lip - place["jar"][:3] - [0.0, -0.022, 0.078])[1:]
        return {
            "poured": -2.0 * np.sqrt((asked - poured) ** 2 + 1e-6) / asked,
            "spilled": -(mass.sum() - kept - poured) / asked, "reach": -5.0 * np.sqrt((away**2).sum() + 1e-6),
        }  # fmt: skip

    asked, action = float(pour.episode["asked"][0]), np.array([[0.5, -1.0, 0.25]])
    before, after = filled(pour, 400, 100, 20, 1), filled(pour, 300, 170, 50, 2)
    pose = after.body_q.clone()
    pose[0, pour.world.bodies["bottle"].index, 1] += 0.003
    after = after.replace(body_q=pose)
    old, new = merits(before), merits(after)
    wanted = {name: new[name] - old[name] for name in new}
    wanted |= {"slip": -0.01 * 0.25 / 1.25, "effort": -0.001 * 1.3125}
    assert rewarded(pour, before, action, after) == pytest.approx(wanted, rel=1e-6)


def test_observations_by_hand(pour):
    state, episode = pour.state.replace(memory=torch.arange(10.0).double()[None]), pour.episode
    jar, arm = row(pour.world.bodies["jar"].pose(state)), pour.world.robots["arm"]
    pour.task.observation_mode = "privileged+touch+force_field"
    seen = observed(pour, state)
    wanted = [float(episode["asked"][0]), 0.0, *row(arm.positions(state)), 0.0, 1.0, 2.0]
    np.testing.assert_allclose(seen["state"], [*wanted, *(jar[:2] + row(episode["seen"])), 8.0, 9.0], atol=1e-15)
    np.testing.assert_array_equal(seen["load"], [3.0, 4.0, 5.0, 6.0, 7.0])
    noise = row(episode["noise"])[0].reshape(2, 6, 8, 3)
    field = np.stack([row(pour.world.gels[name].field(state)).reshape(6, 8, 3) for name in FINGERS])
    np.testing.assert_allclose(seen["field"], field + noise, atol=1e-15)
    whole = grain(pour) * row(state.active).sum()
    viscosity, density = (float(pour.world.parameters[f"liquid.{name}"][0]) for name in ("viscosity", "density"))
    np.testing.assert_allclose(seen["truth"], [whole, 0.0, whole, viscosity, density], rtol=1e-12)
    assert 0.8 * 288 < (np.abs(noise) < 0.006).sum() and 0.0025 < noise.std() < 0.0035
    pour.task.observation_mode = "reduced"


def test_memory_by_hand(pour):
    """The command moves by speed times time, after eight steps, within its limits; the load is the force of both gels;
    the tare follows it until then, and what is lost is filtered.
    """
    before = pour.state.replace(
        memory=torch.as_tensor([[0.0, 0.1, 2.19, 9.0, 1.7, 0.1, 0.2, 0.3, 1.0, 0.5]], dtype=torch.float64)
    )
    action = torch.tensor([[1.0, -0.5, 1.0]]).double()
    push = {name: pour.world.bodies[f"arm/{name}_finger"].wrench(pour.state)[0, 2] for name in FINGERS}
    for steps, waits in ((8, True), (9, False)):
        time = torch.full_like(before.time, steps * DT)
        noise = row(pour.episode["noise"])[steps][..., 1].sum()
        load = noise - float(push["left"]) - float(push["right"])
        old = before.replace(time=time - DT)
        seen = row(pour.task.remember(pour.world, old, action, old.replace(time=time), pour.episode).memory)
        tare = 1.7 + 0.5 * (load - 1.7) if waits else 1.7
        less = 0.0 if waits else tare - load
        command = [0.0, 0.1, 2.19] if waits else [0.002, 0.09925, 2.2]
        lost = [old + share * (less - old) for old, share in zip((0.1, 0.2, 0.3), (0.35, 0.1, 0.03), strict=True)]
        tilts = [old + share * (command[2] - old) for old, share in ((1.0, 0.1), (0.5, 0.03))]
        np.testing.assert_allclose(seen, [*command, load, tare, *lost, *tilts], rtol=1e-9)


def test_the_tool_turns_about_the_lip(pour):
    """Whatever the tilt, the lip of a bottle that is held 42 mm above its foot is where it is meant."""
    command = torch.tensor([[0.01, 0.1, angle] for angle in (0.0, 0.7, 1.6)]).double()
    for (y, z, tilt), pose in zip(command.tolist(), pour.task.tool(command).numpy(), strict=True):
        up, across = np.array([0.0, np.sin(tilt), np.cos(tilt)]), np.array([0.0, np.cos(tilt), -np.sin(tilt)])
        np.testing.assert_allclose(pose[:3] + 0.048 * up + 0.022 * across, [0.5, y, z], atol=1e-12)


# ----------------------------------------------------------------------------------------------------- the worlds


def played(worlds, steps, act=None, seed=0, **options):
    """Worlds after so many steps of the expert or of given actions, and the measures of the last."""
    env = gym.make_vec(
        "SimEnv/TactilePour-v0", num_envs=worlds, output="torch", device="cpu", autoreset_mode="disabled", **options
    ).unwrapped
    env.reset(seed=seed)
    for step in range(steps):
        action = env.task.expert(env.world, env.state, env.episode) if act is None else act[step].expand(worlds, 3)
        *_, info = env.step(action.to(env.state.x.dtype))
    assert not info["sim_status"].any()
    return env, info


def test_what_the_fingers_carry_is_the_weight():
    """After the arm has stood still: bottle of 115 g and liquid, to a standard deviation of 0.03 N of one reading, of
    which the tare keeps a third as variance (a filter of one half).
    """
    env, info = played(8, 8)
    weight = G * (env.world.parameters["bottle.mass"] + env.task.masses(env.world, env.state)[2])
    error = env.state.memory[:, 4] - weight
    print(f"\nmeasured: tare off by {[round(float(e), 3) for e in error]} N of {float(weight[0]):.2f} N")
    assert float(error.abs().max()) < 0.06 and float(info["slip"].max()) < 1e-3
    env.close()


@pytest.mark.slow
def test_the_expert_pours_what_is_asked():
    """24 episodes: all of them, and what is lost by touch is what has left the bottle, to 4 g in the mean of 0.8 s."""
    env, info = played(24, 120, seed=100)
    errors = 1e3 * info["error"].abs()
    print(f"\nmeasured: error {float(errors.mean()):.2f} g, most {float(errors.max()):.1f} g")
    assert info["success"].sum() >= 23
    bottle, _, whole = env.task.masses(env.world, env.state)
    lost = env.state.memory[:, 6] / G
    assert float((lost - (whole - bottle)).abs().mean()) < 2e-3
    env.close()


def test_gradients_against_central_differences():
    """Of the return and of what touch says is lost, by actions of four steps in which the bottle tilts, in random
    directions, and by parameters of every solver; float64.
    """
    env = gym.make_vec(
        "SimEnv/TactilePour-v0", num_envs=1, output="torch", device="cpu", dtype="float64", differentiable=True,
        autoreset_mode="disabled", observation_mode="reduced+touch",
    ).unwrapped  # fmt: skip
    env.reset(seed=3)
    still = torch.zeros(1, 3).double()
    for _ in range(10):
        env.step(still)
    env.detach_state()
    start, random = env.get_state(), torch.Generator().manual_seed(0)
    names = ("left.k_t", "bottle.mass", "liquid.density", "liquid.viscosity", "arm.stiffness")
    given = {name: env.parameters[name].detach().clone() for name in names}
    motion = 0.5 * torch.rand(4, 1, 3, generator=random, dtype=torch.float64) - 0.1

    def value(actions, parameters):
        env.set_state(start)
        for name, each in parameters.items():
            env.parameters[name] = each
        total = 0.0
        for action in actions:
            observation, reward, *_ = env.step(action)
            total = total + reward.sum() + 0.1 * observation["load"].sum()
        return total

    leaves = [motion.clone().requires_grad_(), *(each.clone().requires_grad_() for each in given.values())]
    grads = torch.autograd.grad(value(leaves[0], dict(zip(names, leaves[1:], strict=True))), leaves)
    for _ in range(2):
        way = torch.randn(motion.shape, generator=random, dtype=torch.float64)
        ends = [float(value(motion + h * way, given)) for h in (1e-5, -1e-5)]
        assert float((grads[0] * way).sum()) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)
    for name, grad in zip(names, grads[1:], strict=True):
        ends = [float(value(motion, given | {name: given[name] * (1 + h)})) for h in (1e-5, -1e-5)]
        slope = float((grad * given[name]).sum())
        print(f"{name}: {slope:+.6e} by the gradient, {(ends[0] - ends[1]) / 2e-5:+.6e} by differences")
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-7)
    env.close()
