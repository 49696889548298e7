# SPDX-License-Identifier: Apache-2.0
"""The Panda's kinematics and inertia against published numbers, closed forms, central differences and Newton."""

import re
import xml.etree.ElementTree as ET

import newton
import numpy as np
import pytest
import torch
import warp as wp

from simenv.assets import path
from simenv.errors import AssetError
from simenv.physics.rotation import quaternion_from_rotation_vector, quaternion_multiply, quaternion_to_matrix
from simenv.robots import Arm, chain, load
from simenv.robots.chains import named_chain
from simenv.robots.inverse import newton_model
from tests.robots.panda import LOWER, UPPER, arm_chain, joints, tool

DOWN = torch.tensor([1.0, 0.0, 0.0, 0.0])


def matrices(poses):
    """(N, 4, 4) of poses (N, 7)."""
    out = torch.eye(4, dtype=poses.dtype).repeat(len(poses), 1, 1)
    out[:, :3, :3], out[:, :3, 3] = quaternion_to_matrix(poses[:, 3:]), poses[:, :3]
    return out.double().numpy()


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-6), (torch.float64, 1e-10)])
def test_forward_kinematics_are_those_of_denavit_and_hartenberg(dtype, limit):
    """In m, and entries of the matrix. The file has its right angles to 5e-12."""
    q = joints(16)
    poses = Arm(load("panda"), 16, dtype=dtype).tool_pose(torch.as_tensor(q, dtype=dtype))
    assert np.abs(matrices(poses) - np.stack([tool(row) for row in q])).max() < limit


def test_float64_is_double_precision():
    """The product of the chain's own transforms in NumPy, to rounding."""
    chain, q = arm_chain(), joints(4)

    def turn(x, y, z, w):
        return quaternion_to_matrix(torch.tensor([x, y, z, w], dtype=torch.float64)).numpy()

    for row, pose in zip(q, matrices(Arm(chain, 4, dtype=torch.float64).tool_pose(torch.as_tensor(q))), strict=True):
        place, frame = np.zeros(3), np.eye(3)
        for i, angle in enumerate(row):
            place = place + frame @ chain.places[i]
            frame = frame @ turn(*chain.turns[i]) @ turn(*(np.sin(angle / 2) * chain.axes[i]), np.cos(angle / 2))
        assert np.abs(place + frame @ chain.tool_place - pose[:3, 3]).max() < 1e-13
        assert np.abs(frame @ turn(*chain.tool_turn) - pose[:3, :3]).max() < 1e-13


def test_masses_are_those_identified():
    """Gaz et al. 2019, table of the links' masses; with link 7 the hand of 0.73 kg and two fingers of 0.1 kg."""
    masses = [4.970684, 0.646926, 3.228604, 3.587895, 1.225946, 1.666555, 0.735522 + 0.73 + 2 * 0.1]
    assert arm_chain().mass.tolist() == pytest.approx(masses, rel=1e-14)


def test_limits_and_motors_are_franka_s():
    chain = arm_chain()
    assert np.array_equal(chain.lower, LOWER) and np.array_equal(chain.upper, UPPER)
    assert chain.effort.tolist() == [87.0] * 4 + [12.0] * 3


def test_jacobian_against_central_differences():
    """Step 1e-6 in float64: the error of the formula is 1e-12, that of rounding 1e-10."""
    q, h = torch.as_tensor(joints(5, seed=1)), 1e-6
    arm = Arm(load("panda"), 5, dtype=torch.float64)
    jacobian = arm.jacobian(q)
    for i in range(7):
        step = h * torch.eye(7, dtype=torch.float64)[i]
        ahead, back = arm.tool_pose(q + step), arm.tool_pose(q - step)
        assert (jacobian[:, :3, i] - (ahead - back)[:, :3] / (2 * h)).abs().max() < 1e-9
        conjugate = back[:, 3:] * torch.tensor([-1.0, -1.0, -1.0, 1.0])
        turned = 2 * quaternion_multiply(ahead[:, 3:], conjugate)
        turned = turned[:, :3] * turned[:, 3:].sign()
        assert (jacobian[:, 3:, i] - turned / (2 * h)).abs().max() < 1e-9


def newton_s_own_reading():
    """Newton's model of the whole file, hand, fingers and fixed joints included, which knows nothing of our `Chain`."""
    builder = newton.ModelBuilder()
    builder.add_urdf(str(path("robots/panda.urdf")), enable_self_collisions=False)
    return builder.finalize("cpu")


def newton_s_chain():
    """What inverse kinematics works with."""
    return newton_model(arm_chain(), torch.device("cpu"))


@pytest.mark.parametrize("make", [newton_s_own_reading, newton_s_chain])
def test_newton_computes_the_same_frames_and_inertia(make):
    """Fingers stand at zero. What is fixed to a link belongs to it, so that the block of the seven joints in Newton's
    matrix is the arm's.
    """
    chain, q, model = arm_chain(), joints(3, seed=2), make()
    arm = Arm(chain, 3, dtype=torch.float64)
    links, inertia = arm.link_poses(torch.as_tensor(q)), arm.mass_matrix(torch.as_tensor(q))
    names = [label.rsplit("/", 1)[-1] for label in model.joint_label]
    rows = [names.index(name) for name in chain.joints]
    start, rate, child = (getattr(model, f"joint_{name}").numpy()[rows] for name in ("q_start", "qd_start", "child"))
    for i in range(3):
        state, position = model.state(), np.zeros(model.joint_coord_count)
        position[start] = q[i]
        newton.eval_fk(model, wp.array(position, dtype=float), model.joint_qd, state)
        theirs = state.body_q.numpy()[child]
        theirs[:, 3:] *= np.sign((theirs[:, 3:] * links[i, :, 3:].numpy()).sum(-1, keepdims=True))
        assert np.abs(theirs - links[i].numpy()).max() < 1e-5
        matrix = newton.eval_mass_matrix(model, state).numpy()[0][np.ix_(rate, rate)]
        assert np.abs(matrix - inertia[i].numpy()).max() < 1e-5


def test_inertia_is_that_of_the_identified_robot(tmp_path):
    """Gaz et al. 2019 publish both a model of identified coefficients (their code, evaluated here at one state, without
    hand and payload) and the feasible parameters of links that approximate it, which the file holds. They differ by up
    to 0.1 N m and 0.04 kg m^2, of 17 N m and 2 kg m^2.
    """
    robot = ET.parse(path("robots/panda.urdf")).getroot()
    for part in list(robot):
        if any(word in part.attrib["name"] for word in ("hand", "finger", "tool")):
            robot.remove(part)
    ET.ElementTree(robot).write(tmp_path / "bare.urdf")
    arm = Arm(chain(load(tmp_path / "bare.urdf"), "link7"), dtype=torch.float64, gravity=(0.0, 0.0, -9.80665))
    q = torch.tensor([[0.3, -0.5, 0.2, -1.9, 0.4, 1.7, 0.6]], dtype=torch.float64)
    qd = torch.tensor([[0.5, -0.3, 0.7, 0.4, -0.6, 0.2, 0.9]], dtype=torch.float64)
    weight = [0.0, -8.1722968, -2.9497193, 17.5080896, 0.7844375, 1.7190202, -0.0242475]
    coriolis = [0.0232532, -1.4254119, -0.3725936, 0.1040455, -0.0107257, -0.0395752, 0.0064847]
    inertia = [
        [0.5427871, -0.2586235, 0.6784357, 0.0932128, 0.0153759, -0.0238421, -0.0025993],
        [-0.2586235, 2.0100836, -0.1789018, -0.888185, -0.0222451, -0.0610103, 0.0002871],
        [0.6784357, -0.1789018, 1.1651688, -0.0053117, 0.0091635, -0.0421706, -0.0044275],
        [0.0932128, -0.888185, -0.0053117, 0.7987175, 0.0268094, 0.0838995, -0.000822],
        [0.0153759, -0.0222451, 0.0091635, 0.0268094, 0.0084863, -0.0007176, 0.0019991],
        [-0.0238421, -0.0610103, -0.0421706, 0.0838995, -0.0007176, 0.0265482, 0.0005004],
        [-0.0025993, 0.0002871, -0.0044275, -0.000822, 0.0019991, 0.0005004, 0.0012722],
    ]
    ours = arm.bias(q, 0 * q)
    assert np.abs(ours.numpy()[0] - weight).max() < 0.1
    assert np.abs((arm.bias(q, qd) - ours).numpy()[0] - coriolis).max() < 0.04
    assert np.abs(arm.mass_matrix(q).numpy()[0] - inertia).max() < 0.04


CART = """<mujoco><worldbody><body name="cart">
<joint name="rail" type="slide" axis="1 0 0" range="-1 1" limited="true"/>
<inertial pos="0 0 0" mass="2" diaginertia="0.1 0.1 0.1"/><body name="pole" pos="0 0 0">
<joint name="hinge" type="hinge" axis="0 1 0" range="-3 3" limited="true"/>
<inertial pos="0 0 0.4" mass="0.5" diaginertia="0.01 0.03 0.02"/></body></body></worldbody></mujoco>"""


def test_a_cart_with_a_pole_has_its_textbook_equations(tmp_path):
    """[[M + m, m l cos q], [m l cos q, I + m l^2]], -m l q'^2 sin q, -m g l sin q; a joint that slides, from MJCF."""
    (tmp_path / "cart.xml").write_text(CART)
    arm = Arm(chain(load(tmp_path / "cart.xml"), "pole"), dtype=torch.float64)
    big, m, length, moment, angle, rate = 2.0, 0.5, 0.4, 0.03, 0.7, 1.3
    q, qd = (torch.tensor([row], dtype=torch.float64) for row in ((0.2, angle), (0.4, rate)))
    cross = m * length * np.cos(angle)
    assert arm.mass_matrix(q)[0].numpy() == pytest.approx(
        np.array([[big + m, cross], [cross, moment + m * length**2]]), rel=1e-14
    )
    bias = [-m * length * rate**2 * np.sin(angle), -m * 9.81 * length * np.sin(angle)]
    assert arm.bias(q, qd)[0].tolist() == pytest.approx(bias, rel=1e-14)


def test_inverse_kinematics_reach_where_the_tasks_start():
    """256 starts of TacSL's table V: within 10 micrometres and 20 microradians, within the limits; and each row is what
    it is alone.
    """
    random = np.random.default_rng(3)
    place = torch.as_tensor(random.uniform((0.4, -0.1, 0.1), (0.6, 0.1, 0.2), (256, 3))).float()
    turn = torch.as_tensor(random.uniform((-0.1, -0.1, -1.0), (0.1, 0.1, 1.0), (256, 3))).float()
    wanted = torch.cat([place, quaternion_multiply(quaternion_from_rotation_vector(turn), DOWN.expand(256, 4))], -1)
    arm = Arm(load("panda"), 256)
    q = arm.reach(wanted)
    got = arm.tool_pose(q)
    assert (got - wanted)[:, :3].norm(dim=-1).max() < 1e-5
    conjugate = wanted[:, 3:] * torch.tensor([-1.0, -1.0, -1.0, 1.0])
    assert 2 * quaternion_multiply(got[:, 3:], conjugate)[:, :3].norm(dim=-1).max() < 2e-5
    assert (q.double().numpy() >= LOWER - 1e-6).all() and (q.double().numpy() <= UPPER + 1e-6).all()
    assert torch.equal(Arm(load("panda"), 1).reach(wanted[100:101])[0], q[100])


def test_errors_name_what_is_wrong(tmp_path):
    panda = load("panda")
    with pytest.raises(AssetError, match=r"0 links 'finger_tip'; name one of base, link1"):
        chain(panda, tool="finger_tip")
    with pytest.raises(AssetError, match="no joint moves 'base'"):
        chain(panda, "base")
    with pytest.raises(ValueError, match=r"posture has shape \(6,\); the arm has 7 joints"):
        chain(panda, posture=np.zeros(6))
    with pytest.raises(ValueError, match=r"joint4 = 0.0 must lie within its limits, -3.0718 to -0.0698"):
        chain(panda, posture=np.zeros(7))
    with pytest.raises(ValueError, match=r"q has shape \(1, 6\).*need \(1, 7\)"):
        Arm(panda).tool_pose(torch.zeros(1, 6))
    (tmp_path / "ball.xml").write_text(
        CART.replace('type="hinge" axis="0 1 0" range="-3 3" limited="true"', 'type="ball"')
    )
    with pytest.raises(AssetError, match="hinge is ball; in an arm it must turn or slide"):
        chain(load(tmp_path / "ball.xml"), tool="pole")
    (tmp_path / "led.urdf").write_text(path("robots/panda.urdf").read_text().replace(
        '<limit lower="-2.8973" upper="2.8973" velocity="2.61" effort="12" />', '<mimic joint="joint1"/>'
    ))  # fmt: skip
    with pytest.raises(AssetError, match="joint5 follows joint1; in an arm each joint has its own motor"):
        chain(load(tmp_path / "led.urdf"))


def test_an_arm_is_what_its_name_its_file_and_its_tree_say():
    file = str(path("robots/panda.urdf"))
    for robot, tool_, count in (("panda", "tool", 7), (file, "tool", 7), (f"{file}#link5", "link5", 5)):
        made, wanted = named_chain(robot), chain(load(robot.partition("#")[0]), tool_)
        assert len(made) == count and np.array_equal(made.inertia, wanted.inertia)
        assert np.array_equal(made.tool_place, wanted.tool_place)
    tree = load("panda", posture={"joint1": 0.25})
    assert named_chain(tree).posture.tolist() == [0.25, *arm_chain().posture[1:].tolist()]
    assert named_chain(made) is made
    assert Arm(tree).chain.joints == arm_chain().joints


def test_the_arm_of_the_file_draws_no_fingers():
    """Nor what hangs on joints beyond the tool."""
    assert len(arm_chain().looks) == 21
    looks = chain(load("panda"), "link5").looks
    assert {look.link for look in looks} == {-1, 0, 1, 2, 3, 4} and len(looks) == 15


def test_looks_without_visuals_are_the_collisions(tmp_path):
    text = path("robots/panda.urdf").read_text()
    (tmp_path / "bare.urdf").write_text(
        re.sub(r"<material.*?</material>", "", text, flags=re.S).replace("visual>", "collision>")
    )
    looks = chain(load(tmp_path / "bare.urdf")).looks
    assert [look.shape for look in looks] == [look.shape for look in arm_chain().looks]
