# SPDX-License-Identifier: Apache-2.0
"""Dynamics against MuJoCo: of random trees and of the Panda, and of the same trees read from MuJoCo's own text."""

import re
from pathlib import Path

import gymnasium
import mujoco
import newton
import numpy as np
import pytest
import torch

from simenv.robots import Robot, load
from simenv.robots.poses import matrix
from tests.robots.mujoco_trees import MuJoCo, mjcf, words
from tests.robots.random_trees import random_state, random_tree

GRAVITY = (0.3, -0.7, -9.81)
CASES = [(seed, floating) for seed in range(4) for floating in (False, True)]


def relative(found, wanted) -> float:
    """Largest difference over the largest number."""
    return float(np.abs(np.asarray(found) - wanted).max() / np.abs(wanted).max())


def row(values) -> torch.Tensor:
    """Numbers of one world."""
    return torch.as_tensor(np.asarray(values))[None]


def check(robot: Robot, tree, s, positions=slice(None), rates=slice(None)) -> None:
    """The robot's numbers at a state of the tree, whose positions and rates are in this order in the robot."""
    oracle = MuJoCo(tree, GRAVITY)
    wanted = oracle.at(s)
    wrench = {link: row(each) for link, each in zip(oracle.table.links, s.wrench, strict=True)}
    q, qd, tau = row(s.q[positions]), row(s.v[rates]), row(s.tau[rates])
    assert relative(robot.mass_matrix(q)[0], wanted.inertia[rates][:, rates]) < 1e-12
    assert relative(robot.bias(q, qd)[0], wanted.bias[rates]) < 1e-12
    assert relative(robot.forward_dynamics(q, qd, tau, wrench)[0], wanted.acceleration[rates]) < 1e-12
    accelerations = row(wanted.acceleration[rates])
    assert relative(robot.inverse_dynamics(q, qd, accelerations, wrench)[0], s.tau[rates]) < 1e-11
    places = [robot.pose(q, link)[0, :3].numpy() for link in oracle.table.links]
    assert relative(places, wanted.places) < 1e-12


@pytest.mark.parametrize(("seed", "floating"), CASES)
def test_random_trees(seed, floating):
    tree = random_tree(seed, 9, floating)
    robot = Robot(tree, 1, dtype=torch.float64, gravity=GRAVITY)
    check(robot, tree, random_state(robot.table, np.random.default_rng(seed)))


def test_the_panda():
    tree = load("panda")
    robot = Robot(tree, 1, dtype=torch.float64, gravity=GRAVITY)
    for seed in range(5):
        check(robot, tree, random_state(robot.table, np.random.default_rng(seed)))


@pytest.mark.parametrize(("seed", "floating"), CASES)
def test_random_trees_as_mujoco_s_text_has_them(seed, floating, tmp_path):
    """Read again from MJCF, where numbers pass through single precision, and branches are in another order."""
    tree = random_tree(seed, 9, floating)
    file = tmp_path / "tree.xml"
    file.write_text(mjcf(tree))
    robot = Robot(load(file), 1, dtype=torch.float64, gravity=GRAVITY)
    t = Robot(tree, 1, dtype=torch.float64).table
    where = {}  # numbers of positions and rates by the joint's name in the text
    for name, kind, a, k in zip(t.joints, t.kind, t.q_start, t.v_start, strict=False):
        if kind == 2:
            where |= {f"{name}{end}": ([a + n], [k + n]) for n, end in enumerate(("x", "y", ""))}
        else:
            count, rates = {3: (4, 3), 4: (7, 6)}.get(kind, (1, 1))
            where[name] = (list(range(a, a + count)), list(range(k, k + rates)))
    positions, rates = (np.concatenate([where[name][part] for name in robot.table.joints]) for part in (0, 1))
    check(robot, tree, random_state(t, np.random.default_rng(seed)), positions, rates)


@pytest.mark.parametrize("floating", [False, True])
def test_energy(floating):
    tree = random_tree(7, 6, floating)
    robot, oracle = Robot(tree, 1, dtype=torch.float64, gravity=GRAVITY), MuJoCo(tree, GRAVITY)
    s = random_state(robot.table, np.random.default_rng(7))
    oracle.model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_ENERGY
    oracle.at(s)
    potential, kinetic = oracle.data.energy
    assert [float(each) for each in robot.energy(row(s.q), row(s.v))] == pytest.approx([kinetic, potential], rel=1e-12)


@pytest.mark.parametrize(("angle", "sequence"), [("degree", "xyz"), ("radian", "ZYX"), ("degree", "xYz")])
@pytest.mark.parametrize("attribute", ["quat", "axisangle", "euler", "xyaxes", "zaxis"])
def test_turns_are_read_in_double_precision(attribute, angle, sequence, tmp_path):
    """Of bodies and inertials, by each of MuJoCo's attributes, metres away; joints stand off their bodies."""
    rng = np.random.default_rng(8)
    unit = np.pi if angle == "radian" else 180.0

    def turn() -> str:
        values = rng.normal(size={"quat": 4, "axisangle": 4, "euler": 3, "xyaxes": 6, "zaxis": 3}[attribute])
        if attribute in ("euler", "axisangle"):
            values[-1 if attribute == "axisangle" else slice(None)] *= unit / 3
        return f'{attribute}="{words(values)}"'

    text = f'<mujoco><compiler angle="{angle}" eulerseq="{sequence}" inertiafromgeom="false"/><worldbody>'
    for index in range(3):
        text += f'<body name="b{index}" pos="{words(2 * rng.normal(size=3))}" {turn()}>'
        text += f'<joint name="j{index}" axis="{words(rng.normal(size=3))}" pos="{words(index * rng.normal(size=3))}"/>'
        text += f'<inertial pos="{words(0.1 * rng.normal(size=3))}" mass="{words([rng.uniform(0.5, 2)])}" {turn()} '
        text += f'diaginertia="{words(rng.uniform(0.01, 0.015, 3))}"/>'
    text += "</body>" * 3 + "</worldbody></mujoco>"
    (tmp_path / "robot.xml").write_text(text)
    robot = Robot(load(tmp_path / "robot.xml"), 1, dtype=torch.float64)
    model = mujoco.MjModel.from_xml_string(text)
    data = mujoco.MjData(model)
    q, qd, tau = data.qpos[:], data.qvel[:], data.qfrc_applied[:] = rng.normal(size=(3, 3))
    mujoco.mj_forward(model, data)
    assert relative(robot.bias(row(q), row(qd))[0], data.qfrc_bias) < 1e-12
    assert relative(robot.forward_dynamics(row(q), row(qd), row(tau))[0], data.qacc) < 1e-12
    for index in range(3):
        assert relative(robot.pose(row(q), f"b{index}")[0, :3], data.body(f"b{index}").xpos) < 1e-13


GYMNASIUM_S = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
NEWTON_S = Path(newton.__file__).parent / "examples" / "assets"
FOUND = [*sorted(GYMNASIUM_S.glob("*.xml")), NEWTON_S / "nv_ant.xml", NEWTON_S / "nv_humanoid.xml"]


@pytest.mark.parametrize("saved", [False, True], ids=["", "saved"])
@pytest.mark.parametrize("file", FOUND, ids=lambda file: file.name)
@pytest.mark.filterwarnings("ignore:.* left out")
def test_robots_of_others(file, saved, tmp_path, monkeypatch):
    """As they are, and as MuJoCo saves them: joints that share bodies, classes, angles in degrees, positions that count
    from elsewhere. Masses are those of shapes, which Newton computes in single precision.
    """
    monkeypatch.chdir(tmp_path)  # where MuJoCo writes what it warns of
    text = re.sub("<sensor>.*</sensor>", "", file.read_text(), flags=re.DOTALL)  # some of a body that is not there
    model = mujoco.MjModel.from_xml_string(text)
    if saved:
        file = tmp_path / file.name
        mujoco.mj_saveLastXML(str(file), model)
        model = mujoco.MjModel.from_xml_path(str(file))  # of the digits that it has written
    robot, data = Robot(load(file), 1, dtype=torch.float64), mujoco.MjData(model)
    t, rng = robot.table, np.random.default_rng(1)
    assert sorted(t.joints) == sorted(model.joint(j).name for j in range(model.njnt))
    robot.gravity = row(model.opt.gravity)
    q, qd = model.qpos0 + rng.normal(size=model.nq), rng.normal(size=model.nv)
    own, turn = np.zeros(model.nq), np.zeros((model.nv, model.nv))
    for j in range(model.njnt):
        index = t.joints.index(model.joint(j).name)
        a, k, at, to = model.jnt_qposadr[j], model.jnt_dofadr[j], t.q_start[index], t.v_start[index]
        if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_FREE:
            q[a + 3 : a + 7] /= np.linalg.norm(q[a + 3 : a + 7])
            own[at : at + 7] = [*q[a : a + 3], *np.roll(q[a + 3 : a + 7], -1)]
            turn[to : to + 3, k : k + 3], turn[to + 3 : to + 6, k + 3 : k + 6] = np.eye(3), matrix(own[at + 3 : at + 7])
            continue
        own[at], turn[to, k] = q[a] - model.qpos0[a], 1.0
        limits = model.jnt_range[j] - model.qpos0[a] if model.jnt_limited[j] else (-np.inf, np.inf)
        assert (t.lower[to], t.upper[to]) == pytest.approx(tuple(limits), abs=1e-6)
        assert (t.damping[to], t.armature[to]) == pytest.approx((model.dof_damping.ravel()[k], model.dof_armature[k]))
    data.qpos, data.qvel = q, qd
    mujoco.mj_forward(model, data)
    full = np.zeros((model.nv, model.nv))
    for column, unit in zip(full, np.eye(model.nv), strict=True):
        mujoco.mj_mulM(model, data, column, unit)
    assert relative(robot.mass_matrix(row(own))[0], turn @ full @ turn.T) < 1e-6
    assert relative(robot.bias(row(own), row(turn @ qd))[0], turn @ data.qfrc_bias) < 1e-6
