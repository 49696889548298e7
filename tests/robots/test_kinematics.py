# SPDX-License-Identifier: Apache-2.0
"""The chain of the Panda: kinematics and inertia against published numbers, closed forms, central differences and
Newton; what a chain is of any robot.
"""

import xml.etree.ElementTree as ET

import newton
import numpy as np
import pytest
import torch
import warp as wp

from simenv.assets import path
from simenv.errors import AssetError
from simenv.physics.rotation import quaternion_from_rotation_vector, quaternion_multiply, quaternion_to_matrix
from simenv.robots import Robot, chain, load, load_tool
from simenv.world import Scene
from tests.robots.panda import LOWER, UPPER, closed_chain, joints, tool

DOWN = torch.tensor([1.0, 0.0, 0.0, 0.0])
DOUBLE = torch.float64


def matrices(poses):
    """(N, 4, 4) of poses (N, 7), whose quaternions have length one within rounding."""
    poses, out = poses.double(), torch.eye(4, dtype=DOUBLE).repeat(len(poses), 1, 1)
    turn = poses[:, 3:] / poses[:, 3:].norm(dim=1, keepdim=True)
    out[:, :3, :3], out[:, :3, 3] = quaternion_to_matrix(turn), poses[:, :3]
    return out.numpy()


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-6), (DOUBLE, 1e-10)])
def test_forward_kinematics_are_those_of_denavit_and_hartenberg(dtype, limit):
    """In m, and entries of the matrix. The file has its right angles to 5e-12."""
    q = joints(16)
    poses = Robot(closed_chain(), 16, dtype=dtype).pose(torch.as_tensor(q, dtype=dtype), "tool")
    assert np.abs(matrices(poses) - np.stack([tool(row) for row in q])).max() < limit


def test_masses_are_those_identified():
    """Gaz et al. 2019, table of the links' masses; with link 7 the hand of 0.73 kg and two fingers of 0.1 kg."""
    masses = [4.970684, 0.646926, 3.228604, 3.587895, 1.225946, 1.666555, 0.735522 + 0.73 + 2 * 0.1]
    assert Robot(closed_chain(), dtype=DOUBLE).inertial[0, :, 0].tolist() == pytest.approx(masses, rel=1e-14)


def test_limits_and_motors_are_franka_s():
    table = Robot(closed_chain()).table
    assert np.array_equal(table.lower, LOWER) and np.array_equal(table.upper, UPPER)
    assert table.effort.tolist() == [87.0] * 4 + [12.0] * 3


def test_jacobian_against_central_differences():
    """Step 1e-6 in float64: the error of the formula is 1e-12, that of rounding 1e-10."""
    q, h = torch.as_tensor(joints(5, seed=1)), 1e-6
    arm = Robot(closed_chain(), 5, dtype=DOUBLE)
    jacobian = arm.jacobian(q, "tool")
    for i in range(7):
        step = h * torch.eye(7, dtype=DOUBLE)[i]
        ahead, back = arm.pose(q + step, "tool"), arm.pose(q - step, "tool")
        assert (jacobian[:, :3, i] - (ahead - back)[:, :3] / (2 * h)).abs().max() < 1e-9
        conjugate = back[:, 3:] * torch.tensor([-1.0, -1.0, -1.0, 1.0])
        turned = 2 * quaternion_multiply(ahead[:, 3:], conjugate)
        turned = turned[:, :3] * turned[:, 3:].sign()
        assert (jacobian[:, 3:, i] - turned / (2 * h)).abs().max() < 1e-9


def test_newton_computes_the_same_frames_and_inertia():
    """Newton's model of the whole file, which knows nothing of our chain. Fingers stand at zero; what is fixed to a
    link belongs to it, so that the block of the seven joints in Newton's matrix is the chain's.
    """
    builder = newton.ModelBuilder()
    builder.add_urdf(str(path("robots/panda.urdf")), enable_self_collisions=False)
    model, q = builder.finalize("cpu"), joints(3, seed=2)
    arm = Robot(closed_chain(), 3, dtype=DOUBLE)
    moving = [arm.links.index(link) for link in arm.table.links]
    links, inertia = arm.link_poses(torch.as_tensor(q))[:, moving], arm.mass_matrix(torch.as_tensor(q))
    names = [label.rsplit("/", 1)[-1] for label in model.joint_label]
    rows = [names.index(name) for name in arm.joints]
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
    arm = Robot(load(tmp_path / "bare.urdf"), dtype=DOUBLE, gravity=(0.0, 0.0, -9.80665))
    q = torch.tensor([[0.3, -0.5, 0.2, -1.9, 0.4, 1.7, 0.6]], dtype=DOUBLE)
    qd = torch.tensor([[0.5, -0.3, 0.7, 0.4, -0.6, 0.2, 0.9]], dtype=DOUBLE)
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
    arm = Robot(load(tmp_path / "cart.xml"), dtype=DOUBLE)
    big, m, length, moment, angle, rate = 2.0, 0.5, 0.4, 0.03, 0.7, 1.3
    q, qd = (torch.tensor([row], dtype=DOUBLE) for row in ((0.2, angle), (0.4, rate)))
    cross = m * length * np.cos(angle)
    assert arm.mass_matrix(q)[0].numpy() == pytest.approx(
        np.array([[big + m, cross], [cross, moment + m * length**2]]), rel=1e-14
    )
    bias = [-m * length * rate**2 * np.sin(angle), -m * 9.81 * length * np.sin(angle)]
    assert arm.bias(q, qd)[0].tolist() == pytest.approx(bias, rel=1e-14)


def test_inverse_kinematics_reach_where_the_tasks_start():
    """256 starts of TacSL's table V, in single precision: within 2 micrometres and 2 microradians, within the limits;
    and each row is what it is alone.
    """
    random = np.random.default_rng(3)
    place = torch.as_tensor(random.uniform((0.4, -0.1, 0.1), (0.6, 0.1, 0.2), (256, 3))).float()
    turn = torch.as_tensor(random.uniform((-0.1, -0.1, -1.0), (0.1, 0.1, 1.0), (256, 3))).float()
    wanted = torch.cat([place, quaternion_multiply(quaternion_from_rotation_vector(turn), DOWN.expand(256, 4))], -1)
    arm = Robot(chain(load("panda")), 256)
    q = arm.reach(wanted, "tool")
    got = arm.pose(q, "tool")
    assert (got - wanted)[:, :3].norm(dim=-1).max() < 2e-6
    conjugate = wanted[:, 3:] * torch.tensor([-1.0, -1.0, -1.0, 1.0])
    assert 2 * quaternion_multiply(got[:, 3:], conjugate)[:, :3].norm(dim=-1).max() < 2e-6
    assert (q.double().numpy() >= LOWER - 1e-6).all() and (q.double().numpy() <= UPPER + 1e-6).all()
    assert torch.equal(Robot(chain(load("panda"))).reach(wanted[100:101], "tool")[0], q[100])


# ----------------------------------------------------------------------------------------------- what a chain is


def test_a_chain_is_the_robot_whose_other_joints_stand():
    """Fingers stand where the posture has them: inertia is the block of the seven joints, and all links are where the
    whole robot has them.
    """
    whole = load("panda", posture={"left_finger_joint": 0.03, "right_finger_joint": 0.01})
    arm, robot = Robot(chain(whole), 4, dtype=DOUBLE), Robot(whole, 4, dtype=DOUBLE)
    q, qd = torch.as_tensor(joints(4)), torch.as_tensor(joints(4, seed=1))
    fingers = robot.posture[:, 7:]
    every, rates = torch.cat([q, fingers], 1), torch.cat([qd, 0 * fingers], 1)
    assert arm.joints == robot.joints[:7] and arm.links == robot.links
    assert (arm.mass_matrix(q) - robot.mass_matrix(every)[:, :7, :7]).abs().max() < 1e-13
    assert (arm.bias(q, qd) - robot.bias(every, rates)[:, :7]).abs().max() < 1e-12
    assert (arm.link_poses(q) - robot.link_poses(every)).abs().max() < 1e-14
    assert arm.posture[0].tolist() == robot.posture[0, :7].tolist()


def test_what_follows_a_chain_s_joint_moves_with_it():
    """Bars of the PSM's parallelograms follow its pitch; its jaws stand. A finger moves with its leader."""
    psm = chain(load("psm"))
    assert {joint.name for joint in psm.joints} == {
        "yaw", "pitch", "pitch_back", "pitch_front", "pitch_bottom", "pitch_top", "insertion", "counterweight_slide",
        "roll", "wrist_pitch", "wrist_yaw",
    }  # fmt: skip
    fetch = chain(load("fetch"), "r_gripper_finger_link")
    assert {"l_gripper_finger_joint", "r_gripper_finger_joint"} < {joint.name for joint in fetch.joints}
    assert "head_pan_joint" not in {joint.name for joint in fetch.joints}


def test_errors_name_what_is_wrong():
    panda = load("panda")
    with pytest.raises(AssetError, match=r"has no link 'finger_tip'; it has base, link1"):
        chain(panda, tool="finger_tip")
    with pytest.raises(AssetError, match="no joint moves 'base'; name a link beyond a joint"):
        chain(panda, "base")
    with pytest.raises(AssetError, match=r"has no link 'tcp' to be its tool; name one of base, .*, as in 'FILE#"):
        load_tool("panda#tcp")


def test_a_tool_is_what_its_name_its_file_and_its_tree_say():
    file, tree = str(path("robots/panda.urdf")), load("panda", posture={"joint1": 0.25})
    assert load_tool("panda") == (load("panda"), "tool") == load_tool("panda#tool")
    assert load_tool(f"{file}#link5") == (load(file), "link5")
    assert load_tool(tree) == (tree, "tool") and load_tool(path("robots/panda.urdf")) == (load(file), "tool")
    assert len(Robot(chain(*load_tool(f"{file}#link5"))).joints) == 5


# ------------------------------------------------------------------------------------------------ where robots start


def test_links_start_where_they_are_asked_to():
    """On a base that is turned, from the posture, in which the other joints stay."""
    scene = Scene(substep_dt=1e-3, substeps=4)
    turn = (0.0, 0.0, np.sin(0.2), np.cos(0.2))
    start = (0.5, 0.1, 0.3), (np.cos(0.1), np.sin(0.1), 0.0, 0.0)
    posture = {"left_finger_joint": 0.03}
    scene.add_robot("arm", "panda", (0.1, 0.0, 0.05), turn, posture=posture, reach={"tool": start})
    world = scene.make_world(2, dtype=DOUBLE)
    state = world.initial_state()
    wanted = torch.tensor([*start[0], *start[1]], dtype=DOUBLE)
    pose = world.bodies["arm/tool"].pose(state)
    assert (pose[:, :3] - wanted[:3]).abs().max() < 1e-9 and (pose[:, 3:] @ wanted[3:]).abs().min() > 1.0 - 1e-15
    assert world.robots["arm"].positions(state)[0, 7] == 0.03


def test_what_cannot_be_reached_is_told():
    scene = Scene(substep_dt=1e-3, substeps=4)
    with pytest.raises(ValueError, match=r"link 'tool' comes within [\d.]+ mm and [\d.]+ degrees of where it should"):
        scene.add_robot("arm", "panda", reach={"tool": ((1.5, 0.0, 0.2), (1.0, 0.0, 0.0, 0.0))})
    with pytest.raises(AssetError, match="has no link 'tip'"):
        scene.add_robot("arm", "panda", reach={"tip": ((0.5, 0.0, 0.2), (1.0, 0.0, 0.0, 0.0))})
