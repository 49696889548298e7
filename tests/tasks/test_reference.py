# SPDX-License-Identifier: Apache-2.0
"""The reference tasks: their robots against Gymnasium's files in MuJoCo; what they observe, reward and end by against
numbers worked out by hand.
"""

import math
from pathlib import Path

import gymnasium as gym
import mujoco
import numpy as np
import pytest
import torch

import simenv  # noqa: F401  registers the tasks
from simenv.geometry import Capsule
from simenv.physics.bodies.table import table
from simenv.robots import Robot
from simenv.robots.poses import Pose, matrix
from simenv.tasks.reference import models

FILES = Path(gym.__file__).parent / "envs" / "mujoco" / "assets"
OFF = ("mjDSBL_CONTACT", "mjDSBL_LIMIT")
MODELS = {"hopper": models.hopper, "ant": models.ant}


def oracle(name):
    """Gymnasium's model without contact, limits and viscous friction, and its data."""
    model = mujoco.MjModel.from_xml_path(str(FILES / f"{name}.xml"))
    for each in OFF:
        model.opt.disableflags |= int(getattr(mujoco.mjtDisableBit, each))
    model.dof_damping[:] = 0.0
    return model, mujoco.MjData(model)


def row(values):
    return torch.as_tensor(np.asarray(values, dtype=np.float64))[None]


def off(found, wanted):
    """Largest difference over the largest number."""
    return float(np.abs(np.asarray(found) - wanted).max() / np.abs(wanted).max())


def make(task, worlds=1, **options):
    options = {"dtype": "float64", "autoreset_mode": "disabled", **options}
    env = gym.make_vec(f"SimEnv/{task}-v0", num_envs=worlds, output="torch", device="cpu", **options).unwrapped
    env.reset(seed=0)
    return env


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seed", range(3))
def test_robots_move_as_those_of_gymnasium_s_files(name, seed):
    """Inertia, gravity and Coriolis' torques, accelerations, and places of all shapes."""
    (model, data), tree, rng = oracle(name), MODELS[name](), np.random.default_rng(seed)
    robot = Robot(tree, 1, dtype=torch.float64)
    q, v, tau = 0.5 * rng.normal(size=model.nq), rng.normal(size=model.nv), rng.normal(size=model.nv)
    turn, ours = np.eye(model.nv), q
    if name == "ant":  # MuJoCo has the quaternion's w first, and turns the torso about its own axes
        q[3:7] /= np.linalg.norm(q[3:7])
        ours = np.concatenate([q[:3], q[[4, 5, 6, 3]], q[7:]])
        turn[3:6, 3:6] = matrix(ours[3:7])
    data.qpos[:], data.qvel[:], data.qfrc_applied[:] = q, v, tau
    mujoco.mj_forward(model, data)
    inertia = np.zeros((model.nv, model.nv))
    for column, unit in zip(inertia, np.eye(model.nv), strict=True):
        mujoco.mj_mulM(model, data, column, unit)
    assert off(robot.mass_matrix(row(ours))[0], turn @ inertia @ turn.T) < 1e-12
    assert off(robot.bias(row(ours), row(turn @ v))[0], turn @ data.qfrc_bias) < 1e-12
    assert off(robot.forward_dynamics(row(ours), row(turn @ v), row(turn @ tau))[0], turn @ data.qacc) < 1e-12
    assert off(float(robot.inertial[0, :, 0].sum()), model.body_mass.sum()) < 1e-12
    geoms = [i for i in range(model.ngeom) if model.geom_type[i] != mujoco.mjtGeom.mjGEOM_PLANE]
    shapes = [(link.name, each) for link in tree.links for each in link.collisions]
    assert len(geoms) == len(shapes)
    for i, (link, fitted) in zip(geoms, shapes, strict=True):
        pose = robot.pose(row(ours), link)[0].numpy()
        place = Pose.of(pose[:3], pose[3:]) @ Pose.of(fitted.position, fitted.quaternion)
        assert np.abs(place.point((0.0, 0.0, 0.0)) - data.geom_xpos[i]).max() < 1e-12
        sizes = [fitted.shape.radius]
        if isinstance(fitted.shape, Capsule):
            sizes.append(fitted.shape.half_height)
            along = place.point((0.0, 0.0, 1.0)) - place.point((0.0, 0.0, 0.0))
            assert abs(abs(along @ data.geom_xmat[i].reshape(3, 3)[:, 2]) - 1.0) < 1e-12
        assert off(sizes, model.geom_size[i, : len(sizes)]) < 1e-12


@pytest.mark.parametrize("name", MODELS)
def test_joints_are_those_of_gymnasium_s_files(name):
    """Limits, viscous friction, motors' inertia."""
    model, made = mujoco.MjModel.from_xml_path(str(FILES / f"{name}.xml")), table(MODELS[name]())
    assert np.abs(made.damping - model.dof_damping).max() == 0.0
    assert np.abs(made.armature - model.dof_armature).max() == 0.0
    for rate, joint in enumerate(model.dof_jntid):
        limits = model.jnt_range[joint] if model.jnt_limited[joint] else (-math.inf, math.inf)
        assert (made.lower[rate], made.upper[rate]) == pytest.approx(tuple(limits), rel=1e-12)


@pytest.mark.parametrize(("task", "name", "first"), [("Hopper", "hopper", 3), ("Ant", "ant", 6)])
def test_actions_are_torques_of_gymnasium_s_motors(task, name, first):
    """In their order, with their gears, of the joints that they turn."""
    model, env = mujoco.MjModel.from_xml_path(str(FILES / f"{name}.xml")), make(task)
    action = torch.linspace(0.1, 0.8, model.nu, dtype=torch.float64)[None]
    torque = env.task.control(env.world, env.state, action, env.episode).joint_torque[0].numpy()
    wanted = np.zeros(model.nv)
    for motor in range(model.nu):
        wanted[model.jnt_dofadr[model.actuator_trnid[motor, 0]]] = action[0, motor] * model.actuator_gear[motor, 0]
    assert (np.flatnonzero(wanted)[0], len(wanted)) == (first, len(torque))
    assert torque == pytest.approx(wanted, rel=1e-12)


def test_the_pole_falls_by_the_textbook_s_equations():
    """Accelerations as Florian (2007), eqs. 23 and 24, has them without friction; and half a second against Runge and
    Kutta's method. The pole falls as exp(k t) with k = 4 /s; a leapfrog of h = 5 ms is off by (k h)^2 / 24 of k, which
    in half a second makes (k h)^2 / 24 k t = 3e-5.
    """
    g, cart, mass, half = 9.8, 1.0, 0.1, 0.5

    def slope(s, force):
        _, v, a, w = s
        pull = (force + mass * half * w**2 * math.sin(a)) / (cart + mass)
        turn = (g * math.sin(a) - math.cos(a) * pull) / (half * (4 / 3 - mass * math.cos(a) ** 2 / (cart + mass)))
        return np.array([v, pull - mass * half * turn * math.cos(a) / (cart + mass), w, turn])

    robot = Robot(models.cart_pole(), 1, dtype=torch.float64, gravity=(0.0, 0.0, -g))
    s, force = np.array([0.3, -0.4, 0.7, 1.1]), 6.0
    found = robot.forward_dynamics(row(s[[0, 2]]), row(s[[1, 3]]), row([force, 0.0]))[0]
    assert found.numpy() == pytest.approx(slope(s, force)[[1, 3]], rel=1e-12)
    env = make("CartPole")
    s, dt = env.task.observe(env.world, env.state, env.episode)[0].numpy(), 1e-3
    for step in range(25):
        push = math.cos(0.7 * step)
        env.step(torch.full((1, 1), push, dtype=torch.float64))
        for _ in range(20):
            k1 = slope(s, 10 * push)
            k2 = slope(s + dt / 2 * k1, 10 * push)
            k3 = slope(s + dt / 2 * k2, 10 * push)
            s = s + dt / 6 * (k1 + 2 * k2 + 2 * k3 + slope(s + dt * k3, 10 * push))
    error = np.abs(env.task.observe(env.world, env.state, env.episode)[0].numpy() - s).max()
    print(f"\nmeasured {error:.1e} of {np.abs(s).max():.2f}")
    assert error < 3e-5 * np.abs(s).max()


def judged(env, before, after, action):
    """What the task says of a step from joints before to joints after, each positions and rates."""
    robot, start = next(iter(env.world.robots.values())), env.world.initial_state()
    old, new = (robot.place(start, row(q), row(v)) for q, v in (before, after))
    seen = env.task.observe(env.world, new, env.episode)[0].numpy()
    terms = env.task.reward(env.world, old, row(action), new, env.episode)
    verdict = env.task.evaluate(env.world, new, env.episode)
    return seen, {name: float(value) for name, value in terms.items()}, bool(verdict["terminated"])


def test_cart_pole_by_hand():
    env, rest = make("CartPole"), (np.zeros(2), np.zeros(2))
    seen, terms, ended = judged(env, rest, ([2.0, 0.1], [3.0, -0.5]), [0.5])
    assert seen == pytest.approx([2.0, 3.0, 0.1, -0.5], rel=1e-14)
    assert terms == pytest.approx({"alive": 1.0, "angle": -0.01 - 0.025, "place": -0.2 - 0.9}, rel=1e-12)
    assert not ended
    for joints, ends in (((2.39, 0.0), 0), ((2.41, 0.0), 1), ((-2.41, 0.0), 1), ((0.0, 0.209), 0), ((0.0, -0.21), 1)):
        assert judged(env, rest, (joints, [0.0, 0.0]), [0.0])[2] == bool(ends)


def test_hopper_by_hand():
    env, rest = make("Hopper"), ([0.0, 1.25, 0.0, 0.0, 0.0, 0.0], np.zeros(6))
    joints, rates = [0.012, 1.1, 0.15, -0.2, -0.4, 0.3], [1.5, -12.0, 0.5, 11.0, -3.0, 2.0]
    seen, terms, ended = judged(env, rest, (joints, rates), [0.5, -1.0, 0.2])
    assert seen == pytest.approx([1.1, 0.15, -0.2, -0.4, 0.3, 1.5, -10.0, 0.5, 10.0, -3.0, 2.0], rel=1e-14)
    wanted = {"forward": 0.012 / 0.008, "alive": 1.0, "control": -1e-3 * (0.25 + 1.0 + 0.04)}
    assert terms == pytest.approx(wanted, rel=1e-12)
    assert not ended
    for index, value, ends in ((1, 0.69, 1), (1, 0.71, 0), (2, 0.21, 1), (2, -0.21, 1), (2, 0.19, 0)):
        changed = np.array(rest[0])
        changed[index] = value
        _, terms, ended = judged(env, rest, (changed, rates), [0.0, 0.0, 0.0])
        assert (ended, terms["alive"]) == (bool(ends), 1.0 - ends)
    wild = np.array(rates)
    wild[4] = -100.5
    assert judged(env, rest, (joints, wild), [0.0, 0.0, 0.0])[2]


def test_ant_by_hand():
    """The torso is turned by 90 degrees about z: what turns it about the world's x turns it about its own -y."""
    env, half = make("Ant"), math.sqrt(0.5)
    legs, rates = [0.1, 0.9, -0.2, -1.0, 0.3, -0.8, 0.0, 1.1], np.arange(1.0, 9.0)
    before = ([1.0, 2.0, 0.5, 0.0, 0.0, 0.0, 1.0, *legs], np.zeros(14))
    after = ([1.1, 2.5, 0.6, 0.0, 0.0, half, half, *legs], [0.4, 0.5, 0.6, 3.0, 2.0, 1.0, *rates])
    seen, terms, ended = judged(env, before, after, [0.5] * 8)
    wanted = [0.6, half, 0.0, 0.0, half, *legs, 0.4, 0.5, 0.6, 2.0, -3.0, 1.0, *rates]
    assert seen == pytest.approx(wanted, rel=1e-12, abs=1e-14)
    assert terms == pytest.approx({"forward": 0.1 / 0.05, "alive": 1.0, "control": -1.0}, rel=1e-12)
    assert not ended
    for height, ends in ((0.19, 1), (0.21, 0), (0.99, 0), (1.01, 1)):
        after[0][2] = height
        _, terms, ended = judged(env, before, after, [0.0] * 8)
        assert (ended, terms["alive"]) == (bool(ends), 1.0 - ends)


def test_starts_are_as_the_tasks_say():
    """Within their ranges and the joints' limits, and nothing in the floor: where it would be, a foot touches it."""
    hopper, ant = make("Hopper", 512), make("Ant", 512)
    q = hopper.state.joint_q - torch.tensor([0.0, 1.25, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    assert 4.9e-3 < float(q.abs().max()) < 5e-3 and float(q[:, 3:5].max()) <= 0.0
    assert 4.9e-3 < float(hopper.state.joint_qd.abs().max()) < 5e-3
    q, v = ant.state.joint_q, ant.state.joint_qd
    made = table(models.ant())
    assert bool(((q[:, 7:] > torch.tensor(made.lower[6:])) & (q[:, 7:] < torch.tensor(made.upper[6:]))).all())
    assert float(v.std()) == pytest.approx(0.1, rel=5.0 / math.sqrt(2.0 * v.numel()))  # of normal numbers, 5 sigma
    assert (q[:, 3:7] ** 2).sum(1).numpy() == pytest.approx(1.0, rel=1e-12)
    robot, lowest = Robot(models.ant(), 512, dtype=torch.float64), []
    for leg, x, y in zip(models.LEGS, *models.SIDES, strict=True):
        pose = robot.pose(q, f"{leg}_foot").numpy()
        lowest.append([(Pose.of(p[:3], p[3:]).point((0.4 * x, 0.4 * y, 0.0)))[2] - 0.08 for p in pose])
    gap = np.min(lowest, 0)
    raised = q[:, 2].numpy() > 0.75 + ant.episode["positions"][:, 2].numpy() + 1e-9
    assert gap[raised] == pytest.approx(0.0, abs=1e-12) and gap[~raised].min() >= 0.0
    assert q[~torch.tensor(raised), 2].numpy() == pytest.approx(0.75, abs=0.1)


def test_the_ant_stands_on_its_weight():
    """At rest, on four feet, each of which the law of contact lets sink by a quarter of it over the stiffness."""
    env = make("Ant")
    state = env.world.initial_state()
    for _ in range(100):
        state = env.world.step(state, env.world.zero_control())
    feet = [env.world.bodies[f"ant/{leg}_foot"].contact_force(state, "ground")[0, 2] for leg in models.LEGS]
    weight = 9.81 * float(env.world.parameters["ant.mass"][0].sum())
    assert float(sum(feet)) == pytest.approx(weight, rel=1e-5)
    assert np.array(feet) == pytest.approx(weight / 4, rel=1e-5)
    assert float(state.joint_qd.abs().max()) < 1e-4
    robot, leg = env.world.robots["ant"], 0.4 * math.sqrt(2.0)  # of a foot, which its ankle has turned down
    height = float(robot.positions(state)[0, 2])
    down = [leg * math.sin(abs(float(robot.positions(state)[0, i]))) for i in (8, 10, 12, 14)]
    assert np.array(down) == pytest.approx(height - 0.08 + weight / 4 / 5e3, abs=1e-6)
