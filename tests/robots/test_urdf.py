# SPDX-License-Identifier: Apache-2.0
"""Robots from URDF: every number as the file has it, and what Newton's importer passes over in silence."""

import re
from pathlib import Path

import newton
import numpy as np
import pytest
import torch

from simenv.assets import path
from simenv.errors import AssetError
from simenv.geometry.shapes import Box
from simenv.physics.bodies.tree import INF, Mimic
from simenv.robots import Robot, load
from simenv.robots.poses import Pose, matrix
from tests.robots.urdf_text import MASS, arm, joint, link, reader

NEWTON_S = Path(newton.__file__).parent / "examples" / "assets"


@pytest.fixture
def read(tmp_path):
    """Write a robot of these lines, and load it."""
    return reader(tmp_path)


# ------------------------------------------------------------------------------------------------------ numbers


def test_every_number_of_the_panda_is_that_of_its_text():
    """Found in the text by other means. Newton's are in single precision."""
    text, tree = path("robots/panda.urdf").read_text(), load("panda")
    for name, body in re.findall(r'<link name="(\w+)">(.*?)</link>', text, re.S):
        inertial = tree.link(name).inertial
        if "<inertial>" not in body:
            assert inertial is None
            continue
        assert inertial.mass == float(re.search(r'mass value="(\S+)"', body)[1])
        assert inertial.centre == tuple(map(float, re.search(r'<origin xyz="(.*?)"', body)[1].split()))
        moment = {key: float(value) for key, value in re.findall(r'(i[xyz]{2})="(\S+?)"', body)}
        rows = [[moment["i" + "".join(sorted(a + b))] for b in "xyz"] for a in "xyz"]
        assert inertial.inertia == tuple(map(tuple, rows))
    joints = {each.name: each for each in (part.joint for part in tree.links)}
    for name, body in re.findall(r'<joint name="(\w+)".*?>(.*?)</joint>', text, re.S):
        assert joints[name].position == tuple(map(float, re.search(r'xyz="(.*?)"', body)[1].split()))
        if "<limit" in body:
            limits = {key: float(value) for key, value in re.findall(r'(\w+)="(\S+?)"', body[body.index("<limit") :])}
            for key, value in limits.items():
                assert getattr(joints[name], key if key != "velocity" else "speed") == value
    assert [part.inertial.mass for part in tree.links if re.fullmatch(r"link\d", part.name)] == [
        4.970684, 0.646926, 3.228604, 3.587895, 1.225946, 1.666555, 0.735522,
    ]  # fmt: skip  # Gaz et al. 2019


def test_the_panda_stands_in_its_usual_posture():
    """What is not named, the fingers, is in the middle of its limits."""
    tree = load("panda")
    assert tree.posture == pytest.approx(dict(zip(
        [f"joint{i}" for i in range(1, 8)], np.array([0, -1, 0, -3, 0, 2, 1]) * np.pi / 4, strict=True
    )))  # fmt: skip
    assert [each.name for each in tree.joints][7:] == ["left_finger_joint", "right_finger_joint"]
    assert load("panda", posture={"joint1": 0.5}).posture["joint1"] == 0.5
    with pytest.raises(AssetError, match=r"joint4 = 0.0 must lie within its limits, -3.0718 to -0.0698"):
        load("panda", posture={"joint4": 0.0})
    with pytest.raises(AssetError, match="has no joint 'elbow' that moves"):
        load("panda", posture={"elbow": 0.0})
    for value in (np.nan, [0.1, 0.2], "up", None):
        with pytest.raises(AssetError, match=r"joint1 = .*; a revolute joint needs 1 finite number"):
            load("panda", posture={"joint1": value})


def test_an_inertia_is_turned_with_its_frame(read):
    """Diagonal about axes turned by angles about x, y and z: R = Rz Ry Rx, I = R D R^T."""
    roll, pitch, yaw = 0.3, -0.7, 1.1
    tilted = MASS.replace("<inertial>", f'<inertial><origin xyz="0.01 0.02 0.03" rpy="{roll} {pitch} {yaw}"/>')
    got = read(*arm(end=tilted)).link("arm").inertial

    def about(axis, angle):
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        out = np.eye(3)
        out[i, i] = out[j, j] = np.cos(angle)
        out[j, i], out[i, j] = np.sin(angle), -np.sin(angle)
        return out

    turn = about(2, yaw) @ about(1, pitch) @ about(0, roll)
    assert np.abs(np.array(got.inertia) - turn @ np.diag([0.1, 0.2, 0.25]) @ turn.T).max() < 1e-16
    assert got.centre == (0.01, 0.02, 0.03)
    assert np.abs(matrix(Pose.rpy((0, 0, 0), (roll, pitch, yaw)).quaternion) - turn).max() < 1e-15


def test_joints_have_what_the_file_gives_them(read):
    full = (
        '<origin xyz="0.01 0 0" rpy="0 0 0"/><axis xyz="0 0 -2"/>'
        '<limit lower="-0.1" upper="0.3" effort="7" velocity="5"/><dynamics damping="0.01" friction="0.2"/>'
    )
    got = read(*arm(full)).link("arm").joint
    assert (got.position, got.axis, got.kind) == ((0.01, 0.0, 0.0), (0.0, 0.0, -1.0), "revolute")
    assert (got.lower, got.upper, got.effort, got.speed) == (-0.1, 0.3, 7.0, 5.0)
    assert (got.damping, got.friction, got.armature) == (0.01, 0.2, 0.0)


@pytest.mark.parametrize(("kind", "content", "wanted"), [
    ("continuous", '<limit lower="-1" upper="1" effort="0" velocity="0"/>', ("revolute", -INF, INF)),
    ("revolute", "", ("revolute", -INF, INF)),
    ("revolute", '<limit effort="0" velocity="0"/>', ("revolute", -INF, INF)),
    ("prismatic", '<limit upper="0.5" effort="0" velocity="0"/>', ("prismatic", 0.0, 0.5)),
    ("planar", '<axis xyz="0 1 0"/>', ("planar", -INF, INF)),
])  # fmt: skip
def test_limits_that_are_not_given(read, kind, content, wanted):
    got = read(*arm(content, kind)).link("arm").joint
    assert (got.kind, got.lower, got.upper) == wanted
    assert (got.effort, got.speed) == (INF, INF)
    assert got.axis == ((0.0, 1.0, 0.0) if kind == "planar" else (1.0, 0.0, 0.0))


def test_an_empty_part_may_be_fixed_to_a_robot(read):
    """A tool frame, or a link whose inertial has zeros."""
    zeros = re.sub(r'="[\d.]+"', '="0"', MASS)
    for content in ("", zeros):
        tree = read(*arm(), link("tool", content), joint("t", "arm", "tool", "fixed"))
        assert [part.name for part in tree.links] == ["base", "arm", "tool"]


def test_joints_that_follow_others(read):
    """The second follows the first, 2 q + 0.1, and the third the second, -0.5 (2 q + 0.1) + 0.3."""
    chain = [link("a")]
    for name, before, mimic in (
        ("b", "a", ""), ("c", "b", '<mimic joint="jb" multiplier="2" offset="0.1"/>'),
        ("d", "c", '<mimic joint="jc" multiplier="-0.5" offset="0.3"/>'), ("e", "d", '<mimic joint="jb"/>'),
    ):  # fmt: skip
        chain += [link(name), joint(f"j{name}", before, name, "continuous", mimic)]
    tree = read(*chain)
    got = {each.name: each.mimic for each in tree.joints}
    assert got == {"jb": None, "jc": Mimic("jb", 2.0, 0.1), "jd": Mimic("jb", -1.0, 0.25), "je": Mimic("jb", 1.0, 0.0)}
    with pytest.raises(AssetError, match="joints jb > jc > jb follow each other in a circle"):
        read(*(part.replace('<child link="b"/>', '<child link="b"/><mimic joint="jc"/>') for part in chain))
    with pytest.raises(AssetError, match="posture: jc follows jb; give that one's position"):
        tree.with_posture({"jc": 0.3})
    with pytest.raises(AssetError, match=r"line 3, link 'arm'.*it is revolute and follows 'nobody', which is no joint"):
        read(*arm('<mimic joint="nobody"/>'))


# -------------------------------------------------------------------------------------------------------- mass


@pytest.mark.parametrize("content", ["", '<collision><geometry><sphere radius="0.1"/></geometry></collision>'])
def test_a_link_that_moves_must_weigh_something(read, content):
    """Newton gives it no mass, or water's with a collision shape."""
    with pytest.raises(AssetError, match=r"robot.urdf, line 3, link 'arm'; .*line 4, joint 'j': .*without mass"):
        read(*arm(end=content))
    assert read(*arm(kind="fixed", end=content)).link("arm").inertial is None


POINT = (
    '<inertial><origin xyz="{}"/><mass value="2"/><inertia ixx="0" iyy="0" izz="0" ixy="0" ixz="0" iyz="0"/></inertial>'
)


def test_a_link_that_moves_must_resist_its_motion(read):
    """A point in the axis of the last joint: torque over inertia is torque over nothing."""
    about_z = '<axis xyz="0 0 1"/>'
    for kind in ("revolute", "continuous", "planar"):
        with pytest.raises(
            AssetError, match=r"line 3, link 'arm'; .*line 4, joint 'j': .*2 kg without inertia against"
        ):
            read(*arm(about_z, kind, POINT.format("0 0 0.3")))
    assert read(*arm(about_z, "prismatic", POINT.format("0 0 0.3"))).joints
    assert read(*arm(about_z, "revolute", POINT.format("0.1 0 0.3"))).joints
    with pytest.raises(AssetError, match="2 kg without inertia"):
        read(*arm(about_z, "planar", POINT.format("0.1 0 0.3")))
    with pytest.raises(AssetError, match=r"line 2, link 'base': .*2 kg without inertia"):
        read(link("base", POINT.format("0.1 0 0.3")), base="free")
    # what hangs on it resists, and what is fixed to it
    tip = link("tip"), joint("k", "arm", "tip", "revolute"), link("end"), joint("f", "arm", "end", "fixed")
    for more in (tip[:2], tip[2:]):
        assert read(*arm(about_z, "revolute", POINT.format("0 0 0.3")), *more).joints


def test_an_inertial_wins_over_shapes(read):
    shape = '<collision><geometry><box size="1 2 3"/></geometry></collision>'
    got = read(*arm(end=shape + MASS)).link("arm")
    assert got.inertial.mass == 2.0 and got.collisions[0].shape == Box((0.5, 1.0, 1.5))


@pytest.mark.parametrize(("moments", "wanted"), [
    ((0.1, 0.2, 0.4), (0.15, 0.25, 0.4)),  # the spread along the last axis is -0.05 and becomes zero
    ((2e-3, 0.0, 0.0), (2e-3, 1e-3, 1e-3)),  # rows of zeros, as a gripper of Fetch has
    ((-0.1, 0.3, 0.3), (0.0, 0.35, 0.35)),
])  # fmt: skip
def test_an_impossible_inertia_is_refused_or_repaired(read, moments, wanted):
    xx, yy, zz = moments
    bad = MASS.replace("0.25", str(zz)).replace("0.2", str(yy)).replace('ixx="0.1"', f'ixx="{xx}"')
    with pytest.raises(AssetError, match=r"line 3, link 'arm'; .*no body has principal moments.*repair=True"):
        read(*arm(kind="fixed", end=bad))
    with pytest.warns(UserWarning, match="line 3, link 'arm': principal moments"):
        tree = read(*arm(kind="fixed", end=bad), repair=True)
    assert np.abs(np.array(tree.link("arm").inertial.inertia) - np.diag(wanted)).max() < 1e-16


def test_repair_leaves_the_possible_alone(read, recwarn):
    assert read(*arm(), repair=True) == read(*arm())
    assert not recwarn.list


def test_parts_of_an_inertial_must_be_there(read):
    for tag in ("mass", "inertia"):
        with pytest.raises(AssetError, match=rf"line 3, inertial: link 'arm': it has no <{tag}>"):
            read(*arm(end=re.sub(rf"<{tag} .*?/>", "", MASS)))


# -------------------------------------------------------------------------------------------------------- base


def test_what_holds_the_root(read):
    for base, kind in (("fixed", "fixed"), ("free", "free"), ("planar", "planar")):
        first = read(*arm(), base=base).links[0]
        assert (first.name, first.parent, first.joint.name, first.joint.kind) == ("base", None, "base_base", kind)
        assert first.joint.axis == (0.0, 0.0, 1.0)
    assert read(*arm(), base="free", posture={"base_base": [1, 2, 3, 0, 0, 0, 1]}).posture["base_base"][2] == 3
    with pytest.raises(AssetError, match=r"base_base = .* must end in a quaternion xyzw of length one"):
        read(*arm(), base="free", posture={"base_base": [0.0] * 7})
    with pytest.raises(AssetError, match="base='loose' must be one of 'fixed', 'free', 'planar'"):
        read(*arm(), base="loose")


def test_a_root_without_mass_moves_with_what_is_fixed_to_it(read):
    hollow = link("base_link", ""), link("body"), joint("fix", "base_link", "body", "fixed")
    assert read(*hollow, base="free").links[0].joint.kind == "free"
    with pytest.raises(AssetError, match=r"line 2, link 'base'.*moves a link without mass"):
        read(link("base", ""), *arm()[1:], base="free")


def test_a_robot_that_floats(read):
    """The empty root is left out, and the joint's origin is where the robot starts."""
    origin = '<origin xyz="0 0 0.75" rpy="0 0 3.141592653589793"/>'
    robot = (
        link("world", ""), link("body"), link("leg"), joint("root", "world", "body", "floating", origin),
        joint("hip", "body", "leg"),
    )  # fmt: skip
    for base in ("fixed", "free"):
        tree = read(*robot, base=base)
        assert [(part.name, part.parent, part.joint.kind) for part in tree.links] == [
            ("body", None, "free"), ("leg", "body", "revolute"),
        ]  # fmt: skip
        assert tree.links[0].joint.position == (0.0, 0.0, 0.0)
        assert tree.posture["root"] == pytest.approx((0, 0, 0.75, 0, 0, 1, 0), abs=1e-15)
    table = read(*robot, link("table", ""), joint("legs", "world", "table", "fixed"))
    assert [part.name for part in table.links] == ["body", "leg", "world", "table"]
    with pytest.raises(AssetError, match=r"line 5, joint 'root': base='planar', but the file lets the robot float"):
        read(*robot, base="planar")
    with pytest.raises(AssetError, match=r"line 6, joint 'hip': a floating joint must be the only one"):
        read(*robot[:-1], joint("hip", "body", "leg", "floating"))


# ------------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(("parts", "why"), [
    (arm(kind="spherical"), r"line 4, joint 'j': a joint is fixed, revolute.*not 'spherical'"),
    (arm('<axis xyz="0 0 0"/>'), r"line 4, axis: xyz is zero"),
    (arm('<limit lower="a" upper="1"/>'), r"line 4, limit: lower='a' must be 1 finite number"),
    (arm('<limit lower="1" upper="-1"/>'), r"line 4, joint 'j': .*lower limit 1.0 lies above the upper -1.0"),
    (arm('<dynamics damping="-1"/>'), r"line 4, joint 'j': .*damping is -1.0"),
    (arm('<origin xyz="nan 0 0"/>'), r"line 4, origin: xyz='nan 0 0' must be 3 finite"),
    ((*arm(), link("arm")), r"line 5, link 'arm': line 3 has a link of that name"),
    ((*arm(), link("lost")), r"line 1, robot 'r': one link must hang on no other; these do: 'base', 'lost'"),
    ((*arm(), joint("k", "arm", "hand")), r"line 5, joint 'k': its child is 'hand', which is no link"),
    ((*arm(), joint("k", "base", "arm")), r"line 5, joint 'k': it carries 'arm', as 'j' does; loops"),
    ((*arm(), joint("k", "arm", "base")), r"line 1, robot 'r': .*these do: none"),
    ((*arm(), link("b"), link("c"), joint("k", "b", "c"), joint("l", "c", "b")), r".*'b', 'c' hang on each other"),
    (('<link name="a">\n<xacro:box/></link>',), r"line 3, xacro:box: this is a template"),
    (("<link/>",), r"line 2, link: it has no name"),
    ((*arm(), joint("k", "arm", "arm")), r"line 5, joint 'k': it carries 'arm', as 'j' does"),
    (arm(end=MASS.replace('value="2"', 'value="nan"')), r"line 3, mass: value='nan' must be 1 finite"),
    (arm(end=MASS.replace('value="2"', 'value="-2"')), r"line 3, link 'arm'; .*the mass is -2.0 kg; it must not"),
    (arm(end=MASS.replace('value="2"', 'value="0"')), r"line 3, link 'arm'; .*moves a link without mass"),
    (arm('<limit lower="-1" upper="1" effort="-1" velocity="1"/>'), r"line 4, joint 'j': .*effort is -1.0"),
    (arm('<origin xyz="0,0,1"/>'), r"line 4, origin: xyz='0,0,1' must be 3 finite"),
    (arm('<mimic/>'), r"line 4, mimic: it has no joint"),
    (arm('<mimic joint="j"/>'), r"joints j > j follow each other in a circle"),
    ((*arm(), link("end"), joint("k", "arm", "end", "fixed", '<mimic joint="j"/>')),
     r"line 6, joint 'k': .*it is fixed and follows 'j', which is revolute; both must turn or slide"),
    ((), r"line 1, robot 'r': one link must hang on no other; these do: none"),
    ((link("a"), '<joint name="j" type="fixed"><parent link="a"/></joint>'), r"line 3, joint 'j': it has no <child>"),
])  # fmt: skip
def test_errors_name_the_line(read, parts, why):
    with pytest.raises(AssetError, match=r"robot.urdf(, |: )" + why):
        read(*parts)


def test_errors_of_files(tmp_path):
    with pytest.raises(AssetError, match=r"there is no robot 'nowhere\.urdf'; give 'panda', .*, or the path"):
        load("nowhere.urdf")
    for nothing in (None, 3):
        with pytest.raises(TypeError, match=f"load: robot is {nothing}; give 'panda', .*, or the path"):
            load(nothing)
    (tmp_path / "folder.urdf").mkdir()
    with pytest.raises(AssetError, match="it is a folder; give the path of a file in it"):
        load(tmp_path / "folder.urdf")
    (tmp_path / "arm.urdf").write_text("<robot name='r'><link name='a'/></robot>")
    with pytest.raises(
        AssetError, match=r"load '.*arm.urdf'; load_tool\('.*arm.urdf#tcp'\) gives it and the name of its tool, 'tcp'"
    ):
        load(f"{tmp_path}/arm.urdf#tcp")
    for name, text, why in (
        ("robot.txt", "robot", r"ends in '\.txt'"), ("robot.xacro", "<robot/>", r"xacro FILE > robot.urdf"),
        ("broken.urdf", "<robot>\n<link></robot>", r"'broken\.urdf' cannot be read: .*line 2"),
        ("cut.urdf", "<robot>\n<link name='a", r"'cut\.urdf' cannot be read: unclosed token: line 2"),
        ("empty.urdf", "", r"'empty\.urdf' cannot be read: no element found"),
        ("robot", "<robot/>", r"ends in '', not in .urdf"),
        ("sdf.urdf", "<sdf/>", r"line 1, sdf: a URDF starts with <robot>"),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
        with pytest.raises(AssetError, match=why):
            load(tmp_path / name)


# ------------------------------------------------------------------------------------------------ against Newton


@pytest.mark.parametrize("file", [
    *(path(f"robots/{name}.urdf") for name in ("panda", "fetch", "psm", "ecm", "lbr", "hand")),
    NEWTON_S / "cartpole.urdf", NEWTON_S / "quadruped.urdf",
])  # fmt: skip
def test_newton_reads_the_same_robot(file):
    """Links, joints that move, masses, and where all links are at zero."""
    tree, builder = load(file), newton.ModelBuilder()
    builder.add_urdf(str(file), enable_self_collisions=False)
    names = [label.rsplit("/", 1)[-1] for label in builder.body_label]
    assert {part.name for part in tree.links} == set(names)
    assert len(tree.joints) == builder.joint_dof_count
    ours = sum(part.inertial.mass for part in tree.links if part.inertial)
    theirs = [mass for name, mass in zip(names, builder.body_mass, strict=True) if tree.link(name).inertial]
    assert ours == pytest.approx(sum(theirs), rel=1e-6)
    model = builder.finalize("cpu")
    state = model.state()
    newton.eval_fk(model, model.joint_q, model.joint_qd, state)
    robot = Robot(tree, dtype=torch.float64)
    poses = dict(zip(robot.links, robot.link_poses(0 * robot.posture)[0].numpy(), strict=True))
    for name, row in zip(names, state.body_q.numpy(), strict=True):
        assert np.abs(poses[name][:3] - row[:3]).max() < 1e-6
        assert abs(abs(poses[name][3:] @ row[3:]) - 1.0) < 1e-6
