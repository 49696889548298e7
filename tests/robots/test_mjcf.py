# SPDX-License-Identifier: Apache-2.0
"""Robots from MJCF, which Newton parses: numbers of the text in double precision, and what a tree cannot hold."""

import importlib.util
from pathlib import Path
from xml.etree import ElementTree as ET

import newton
import numpy as np
import pytest
import torch
import trimesh

from simenv.errors import AssetError
from simenv.geometry.shapes import Box, Capsule, MeshShape, Sphere
from simenv.physics.bodies.tree import INF, Mimic
from simenv.robots import Robot, load
from simenv.robots.snap import Snap

NEWTON_S = Path(newton.__file__).parent / "examples" / "assets"
MASS = '<inertial pos="0.01 0.02 0.03" mass="0.1" diaginertia="0.0011 0.0012 0.0013"/>'


@pytest.fixture
def read(tmp_path):
    """Write a robot with these bodies, from line 2 on, and load it."""

    def read(bodies, more="", **options):
        file = tmp_path / "robot.xml"
        file.write_text(f"<mujoco model='r'><worldbody>\n{bodies}\n</worldbody>\n{more}</mujoco>")
        return load(file, **options)

    return read


def body(name, joints="", inside="", where=""):
    return f'<body name="{name}" {where}>{joints}{MASS}{inside}</body>'


def pair(first="", second=""):
    """A body that turns, and one on it."""
    return body(
        "a", f'<joint name="ja" {first}/>', body("b", f'<joint name="jb" {second}/>', where='pos="0.1 0.2 0.3"')
    )


# ------------------------------------------------------------------------------------------------------ numbers


def test_numbers_are_those_of_the_text(read):
    """None of these is a number of single precision. The bodies stand far off, turned, so that Newton's places of
    joints are sums of rounded products.
    """
    where = 'pos="0.7 -1.3 2.9" quat="0.36 0.48 0.64 0.48"'
    more = '<joint name="j" axis="0.1 0.2 0.3" range="-40.1 33.3" limited="true" damping="0.013" armature="0.0017" '
    more += 'frictionloss="0.19"/>'
    inside = body("arm", more, where='pos="0.1 0.2 0.3" quat="0.1 0.2 0.3 0.4"')
    tree = read(body("base", "", inside, where))
    base, arm = tree.links
    quaternion = np.array([0.48, 0.64, 0.48, 0.36])
    assert (base.name, base.joint.kind, base.joint.position) == ("base", "fixed", (0.7, -1.3, 2.9))
    assert base.joint.quaternion == pytest.approx(tuple(quaternion / np.linalg.norm(quaternion)), abs=2e-16)
    joint = arm.joint
    assert joint.position == (0.1, 0.2, 0.3)
    assert joint.quaternion == pytest.approx(tuple(np.array([0.2, 0.3, 0.4, 0.1]) / np.sqrt(0.3)), abs=2e-16)
    assert joint.axis == pytest.approx(tuple(np.array([0.1, 0.2, 0.3]) / np.sqrt(0.14)), abs=2e-16)
    assert (joint.lower, joint.upper) == (np.deg2rad(-40.1), np.deg2rad(33.3))
    assert (joint.damping, joint.armature, joint.friction) == (0.013, 0.0017, 0.19)
    assert (joint.effort, joint.speed) == (INF, INF)
    assert (arm.inertial.mass, arm.inertial.centre) == (0.1, (0.01, 0.02, 0.03))
    assert np.array_equal(arm.inertial.inertia, np.diag([0.0011, 0.0012, 0.0013]))


def test_included_files_are_read_too(read, tmp_path):
    """In double precision, with the lines of the file that has them."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "arm.xml").write_text(
        "<mujocoinclude>\n" + pair() + '<include file="more.xml"/></mujocoinclude>'
    )
    (tmp_path / "parts" / "more.xml").write_text("<mujocoinclude>" + body("c") + "</mujocoinclude>")
    include = '<include file="parts/arm.xml"/>'
    tree = read(body("first") + include)
    assert [link.name for link in tree.links] == ["first", "a", "b", "c"]
    assert tree.link("b").joint.position == (0.1, 0.2, 0.3) and tree.link("b").inertial.mass == 0.1
    (tmp_path / "parts" / "arm.xml").write_text("<mujocoinclude>\n" + pair().replace("0.1", "x") + "</mujocoinclude>")
    with pytest.raises(AssetError, match=r"parts/arm.xml, line 2, inertial: .*'x' must be 1 finite"):
        read(include)
    (tmp_path / "parts" / "more.xml").write_text('<a>\n<include file="more.xml"/></a>')
    with pytest.raises(AssetError, match=r"more.xml, line 2, include: .*more.xml includes itself"):
        read('<include file="parts/more.xml"/>')
    with pytest.raises(AssetError, match=r"robot.xml, line 2, include: there is no file .*/nowhere.xml"):
        read('<include file="nowhere.xml"/>')


@pytest.mark.parametrize("named", ["", 'class="main"', 'class="outer"'])
def test_frames_and_classes(read, named):
    """Poses in frames are put together; attributes are those of the nearest class. Newton overlooks what is of the
    outermost class where that has a name, as MuJoCo saves it.
    """
    default = f"""<default {named}><joint armature="0.3" damping="0.1"/>
        <default class="k"><joint type="slide" damping="0.7"/></default></default>"""
    part = body("b", f'<joint name="jb" {named}/>') + body("c", '<joint name="jc" class="k" damping="0.2"/>')
    inside = body("a", '<joint name="ja"/>', f"<frame pos='0 0 0.3'>{part}</frame>", "pos='1 0 0'")
    tree = read(
        f"<frame pos='0.1 0.2 0' euler='0 0 90' childclass='k'>{inside}</frame>{body('d', '<joint/>')}", default
    )
    outer = ("revolute", 0.3, 0.1) if named else ("prismatic", 0.3, 0.7)
    assert {joint.name: (joint.kind, joint.armature, joint.damping) for joint in tree.joints} == {
        "ja": ("prismatic", 0.3, 0.7), "jb": outer, "jc": ("prismatic", 0.3, 0.2), "d_joint_0": ("revolute", 0.3, 0.1),
    }  # fmt: skip
    assert tree.link("a").joint.position == pytest.approx((0.1, 1.2, 0.0), abs=1e-15)
    assert tree.link("b").joint.position == (0.0, 0.0, 0.3)
    with pytest.raises(AssetError, match=r"line 2, joint 'j': class='nope' is none of main"):
        read(body("a", '<joint name="j" class="nope"/>'))


@pytest.mark.parametrize(("compiler", "joint", "wanted"), [
    ("", 'range="-90 30"', (-np.pi / 2, np.deg2rad(30.0))),
    ('angle="radian"', 'range="-1.5 0.1"', (-1.5, 0.1)),
    ('autolimits="true"', 'range="-1 1" limited="false"', (-INF, INF)),
    ('angle="degree"', 'type="slide" range="-0.1 0.2"', (-0.1, 0.2)),
    ("", 'ref="30" range="-90 90"', (np.deg2rad(-120.0), np.deg2rad(60.0))),  # from where the file has the body
])  # fmt: skip
def test_limits(read, compiler, joint, wanted):
    (found,) = read(body("a", f'<joint name="j" {joint}/>'), f"<compiler {compiler}/>").joints
    assert (found.lower, found.upper) == pytest.approx(wanted, abs=1e-6 if "ref" in joint else 0.0)


@pytest.mark.parametrize(("bodies", "more", "why"), [
    ("<replicate count='2'>" + body("a") + "</replicate>", "", "line 2, replicate: copies of parts cannot be read"),
    (pair() + "<attach model='m' body='b' prefix='x'/>", "", "line 2, attach: copies of parts"),
    ("<body name='a'><frame><joint name='j'/></frame></body>", "", "line 2, joint 'j': it stands in a frame"),
    ("<body name='a'><geom size='0.1' shellinertia='true'/></body>", "", "line 2, geom: the mass of a shell"),
    (pair().replace('mass="0.1"', 'mass="-1"'), "", "line 2, body 'a': its mass is -1.0 kg; it must not be negative"),
    (pair().replace('mass="0.1"', 'mass="nan"'), "", "line 2, inertial: mass='nan' must be 1 finite"),
    (pair('pos="nan 0 0"'), "", "line 2, joint 'ja': pos='nan 0 0' must be 3 finite"),
    (pair(), "<equality><joint joint1='jb' joint2='ja' polycoef='0 x'/></equality>", "line 4, joint: polycoef='0 x'"),
    (pair(), "<equality><joint joint1='jb' joint2='nobody'/></equality>", "follows 'nobody', which is no joint"),
    (pair(), "<equality><joint joint1='jb' joint2='ja'/><joint joint1='ja' joint2='jb'/></equality>", "in a circle"),
    (body("a") + body("a"), "", "the name of the link or of its joint comes twice"),
])  # fmt: skip
def test_what_would_be_read_as_something_else_is_refused(read, bodies, more, why):
    """Newton passes over most of these."""
    with pytest.raises(AssetError, match=why):
        read(bodies, more)


def test_snapping_takes_the_number_that_was_written():
    snap = Snap(ET.fromstring('<a b="0.1 40 7" c="0.3" d="1 2 2" e="0 0 0.5" f="word"/>'))
    assert snap.number(np.float32(0.1)) == 0.1 and snap.number(-np.float32(0.3)) == -0.3
    assert snap.number(np.float32(np.deg2rad(40.0))) == np.deg2rad(40.0)
    assert snap.number(0.100001) == 0.100001 and snap.number(0.0) == 0.0
    assert snap.place([1.0000002, 2.0, 1.9999999]).tolist() == [1.0, 2.0, 2.0]
    assert snap.place([0.5, np.float32(0.1), 9.0]).tolist() == [0.5, 0.1, 9.0]
    assert np.array_equal(snap.direction([-0.3333333, -0.6666667, -0.6666667]), [-1 / 3, -2 / 3, -2 / 3])
    assert Snap(None).number(np.float32(0.1)) == float(np.float32(0.1))


# ------------------------------------------------------------------------------------------------------- joints


def test_a_body_keeps_its_frame_where_its_joint_stands_elsewhere(read):
    """One more link before it moves; the body's frame is where the file has it, as at -0.4 along z of the joint."""
    tree = read(body("a", '<joint name="j" axis="0 1 0" pos="0 0 0.4"/>', where='pos="1 0 0"'))
    between, last = tree.links
    assert (between.name, between.joint.name, between.joint.position) == ("a@j", "j", (1.0, 0.0, 0.4))
    assert (last.name, last.parent, last.joint.kind, last.joint.position) == ("a", "a@j", "fixed", (0.0, 0.0, -0.4))
    place = Robot(tree, dtype=torch.float64).pose(torch.tensor([[np.pi / 2]], dtype=torch.float64), "a")[0, :3]
    assert place.tolist() == pytest.approx((0.6, 0.0, 0.4))


@pytest.mark.parametrize(("equality", "wanted"), [
    ('<joint joint1="jb" joint2="ja" polycoef="0.1 -0.3 0 0 0"/>', Mimic("ja", -0.3, 0.1)),
    ('<joint joint1="ja" joint2="jb"/>', Mimic("jb", 1.0, 0.0)),
    ('<joint joint1="jb" joint2="ja" active="false"/>', None),
])  # fmt: skip
def test_joints_that_follow_others(read, equality, wanted):
    """Newton has them of an MJCF in another list than of a URDF."""
    tree = read(pair(), f"<equality>{equality}</equality>")
    assert next((joint.mimic for joint in tree.joints if joint.mimic), None) == wanted


@pytest.mark.parametrize(("equality", "why"), [
    ('<joint joint1="jb" joint2="ja" polycoef="0 1 2 0 0"/>', r"joint: 'jb' can only follow a joint2 linearly"),
    ('<joint joint1="jb"/>', r"joint: 'jb' can only follow a joint2 linearly"),
])  # fmt: skip
def test_joints_that_follow_otherwise_are_refused(read, equality, why):
    with pytest.raises(AssetError, match=r"robot.xml, line 4, " + why):
        read(pair(), f"<equality>{equality}</equality>")


def test_kinds_of_joints(read):
    tree = read(pair('type="ball" damping="0.3" armature="0.02"', 'type="slide" range="-0.1 0.2" limited="true"'))
    assert [joint.kind for joint in tree.joints] == ["ball", "prismatic"]
    assert (tree.joints[0].damping, tree.joints[0].armature) == (0.3, 0.02)
    assert (tree.joints[1].lower, tree.joints[1].upper) == (-0.1, 0.2)


def test_a_free_body_starts_where_the_file_has_it(read):
    tree = read(body("a", '<freejoint name="root"/>', body("b", '<joint name="jb"/>'), 'pos="0.1 0.2 0.7"'))
    assert [link.joint.kind for link in tree.links] == ["free", "revolute"]
    assert tree.posture["root"] == (0.1, 0.2, 0.7, 0.0, 0.0, 0.0, 1.0)
    assert tree.links[0].joint.position == (0.0, 0.0, 0.0)
    with pytest.raises(AssetError, match=r"line 3, body 'b'.* a robot has one free body"):
        read(f"{body('a', '<freejoint/>')}\n{body('b', '<freejoint/>')}")


def test_numbers_of_a_free_joint(read):
    """Those of its class, which a freejoint has not; Newton drops them."""
    default = '<default><joint armature="0.3" damping="0.2"/></default>'
    leg = body("b", '<joint name="jb" armature="0.01"/>')
    free, bare = (read(body("a", kind, leg), default).joints for kind in ('<joint type="free"/>', "<freejoint/>"))
    assert [(joint.armature, joint.damping) for joint in free] == [(0.3, 0.2), (0.01, 0.2)]
    assert [(joint.armature, joint.damping) for joint in bare] == [(0.0, 0.0), (0.01, 0.2)]


SLIDES = '<joint name="x" type="slide" axis="1 0 0" damping="0.5"/><joint name="y" type="slide" axis="0 1 0"/>'


def test_joints_that_share_a_body(read):
    """A link without mass for each but the last, in the file's order; Newton puts slides first, all at one place."""
    hinge = '<joint name="t" axis="0 0 1" pos="0.1 0.2 0" range="-90 90"/>'
    tree = read(body("a", SLIDES + hinge, where='pos="0.3 0 0"'))
    assert [(link.name, link.parent, link.joint.name, link.joint.kind, link.hollow) for link in tree.links] == [
        ("a@x", None, "x", "prismatic", True), ("a@y", "a@x", "y", "prismatic", True),
        ("a@t", "a@y", "t", "revolute", False), ("a", "a@t", "a@t", "fixed", False),
    ]  # fmt: skip
    assert [link.joint.position for link in tree.links] == [
        (0.3, 0.0, 0.0), (0.0, 0.0, 0.0), (0.1, 0.2, 0.0), (-0.1, -0.2, 0.0),
    ]  # fmt: skip
    assert [joint.damping for joint in tree.joints] == [0.5, 0.0, 0.0]
    assert (tree.joints[2].lower, tree.joints[2].upper) == (-np.pi / 2, np.pi / 2)
    mixed = read(body("a", hinge + SLIDES), '<equality><joint joint1="y" joint2="t"/></equality>')
    assert [(joint.name, joint.kind) for joint in mixed.joints] == [
        ("t", "revolute"), ("x", "prismatic"), ("y", "prismatic"),
    ]  # fmt: skip
    assert mixed.joints[2].mimic == Mimic("t")


def test_combinations_that_a_tree_cannot_hold_are_refused(read):
    for kind in ("ball", "free"):
        with pytest.raises(
            AssetError, match=rf"line 2, body 'a': it has joints hinge, {kind}; .* must be the only one"
        ):
            read(body("a", f'<joint name="h"/><joint name="b" type="{kind}"/>'))


def test_torques_of_motors(read):
    """Gear times the largest control of a motor; the limit of an actuator's force; that of the joint, if less."""
    motors = (
        '<actuator><motor joint="ja" gear="15" ctrllimited="true" ctrlrange="-0.4 0.3"/>'
        '<position joint="jb" kp="10" gear="2" forcelimited="true" forcerange="-3 3" ctrllimited="true" '
        'ctrlrange="-1 1"/></actuator>'
    )
    assert [joint.effort for joint in read(pair(), motors).joints] == pytest.approx([6.0, 6.0], rel=1e-6)
    limited = 'actuatorfrcrange="-2.1 2.1" actuatorfrclimited="true"'
    assert read(pair(limited), motors).joints[0].effort == 2.1
    assert read(pair(), motors.replace('forcelimited="true" forcerange="-3 3"', "")).joints[1].effort == INF


# -------------------------------------------------------------------------------------------------------- rest


def test_a_body_that_moves_must_weigh_something(read):
    with pytest.raises(AssetError, match=r"robot.xml, line 2, body 'a'; .*joint 'ja': .*a link without mass"):
        read('<body name="a"><joint name="ja"/></body>')


def test_the_total_mass_may_be_given(read):
    """Masses and inertia are scaled."""
    links = read(pair(), "<compiler settotalmass='3'/><compiler settotalmass='7'/>").links
    assert [link.inertial.mass for link in links] == pytest.approx([3.5, 3.5], rel=1e-15)
    assert np.array(links[0].inertial.inertia) == pytest.approx(35 * np.diag([0.0011, 0.0012, 0.0013]), rel=1e-15)


def test_meshes_are_found_beside_each_file(read, tmp_path, monkeypatch):
    """Beside the outermost file, as MuJoCo does, or beside the one that names them."""
    monkeypatch.setenv("SIMENV_CACHE", str(tmp_path / "cache"))
    for folder, size in (("parts", 1.0), ("meshes", 2.0)):
        (tmp_path / folder).mkdir()
        trimesh.creation.box((size, 1, 1)).export(tmp_path / folder / "cube.stl")
    part = '<mujocoinclude><asset><mesh name="cube" file="cube.stl"/></asset></mujocoinclude>'
    (tmp_path / "parts" / "part.xml").write_text(part)
    cube = body("a", '<joint name="ja"/>', '<geom type="mesh" mesh="cube"/>')
    for compiler, size in (("", 1.0), ('<compiler meshdir="meshes"/>', 2.0)):
        shape = read(cube, compiler + '<include file="parts/part.xml"/>').links[0].collisions[0].shape
        assert shape.volume() == pytest.approx(size, rel=1e-5)


def test_an_impossible_inertia_is_refused_or_repaired(read):
    bad = body("a", '<joint name="ja"/>').replace("0.0011 0.0012 0.0013", "0.001 0.002 0.004")
    with pytest.raises(AssetError, match=r"line 2, body 'a': no body has principal moments.*repair=True"):
        read(bad)
    for text in (bad, bad.replace('diaginertia="0.001 0.002 0.004"', 'fullinertia="0.001 0.002 0.004 0 0 0"')):
        with pytest.warns(UserWarning, match="line 2, body 'a': principal moments"):
            got = read(text, repair=True).link("a").inertial.inertia
        assert np.abs(np.array(got) - np.diag([0.0015, 0.0025, 0.004])).max() < 1e-17


def test_what_holds_the_root(read):
    for base, kind in (("fixed", "fixed"), ("free", "free"), ("planar", "planar")):
        tree = read(body("a", "", body("b", '<joint name="jb"/>'), 'pos="0.1 0 0.3"'), base=base)
        assert (tree.links[0].joint.name, tree.links[0].joint.kind) == ("a_base", kind)
        assert (tree.posture == {"a_base": (0.1, 0.0, 0.3, 0, 0, 0, 1)}) == (base == "free")
    floats = body("a", '<freejoint name="root"/>')
    assert read(floats, base="free") == read(floats)
    with pytest.raises(AssetError, match=r"base='free', but this revolute joint holds the robot"):
        read(pair(), base="free")


def test_names_are_those_of_the_file(read):
    """Newton writes _ for -."""
    tree = read(body("left-arm", '<joint name="left-elbow"/>'))
    assert (tree.links[0].name, tree.joints[0].name) == ("left-arm", "left-elbow")


def test_shapes(read, tmp_path, monkeypatch):
    monkeypatch.setenv("SIMENV_CACHE", str(tmp_path / "cache"))
    trimesh.creation.box((1, 2, 3)).export(tmp_path / "cube.stl")
    geoms = (
        '<geom type="box" size="0.1 0.2 0.3" pos="0.4 0 0"/><geom type="sphere" size="0.1"/>'
        '<geom type="capsule" size="0.1 0.3" contype="0" conaffinity="0" rgba="0.1 0.2 0.3 0.4"/>'
        '<geom type="mesh" mesh="cube"/>'
    )
    asset = '<asset><mesh name="cube" file="cube.stl" scale="0.1 0.1 0.1"/></asset>'
    got = read(body("a", '<joint name="ja"/>', geoms), asset).link("a")
    assert [fitted.shape for fitted in got.collisions[:2]] == [Box((0.1, 0.2, 0.3)), Sphere(0.1)]
    assert got.collisions[0].position == (0.4, 0.0, 0.0) and len(got.collisions) == 3
    (look,) = got.looks  # what only collides is not drawn where something else is
    assert (look.shape, look.color) == (Capsule(0.1, 0.3), (0.1, 0.2, 0.3, 0.4))
    mesh = got.collisions[-1].shape
    assert isinstance(mesh, MeshShape) and mesh.volume() == pytest.approx(6e-3, rel=1e-5)


def test_what_is_left_out_is_said(read):
    with pytest.warns(UserWarning, match="springs of joints are left out: ja"):
        read(pair('stiffness="3"'))
    with pytest.warns(UserWarning, match=r"left out are tendons and gravcomp of 'a'"):
        read(body("a", '<joint name="j"/>', where='gravcomp="1"'),
             '<tendon><fixed name="t"><joint joint="j" coef="1"/></fixed></tendon>')  # fmt: skip
    with pytest.warns(UserWarning, match="the shape 'ellipsoid' of body 'a' is left out"):
        read(body("a", '<joint name="ja"/>', '<geom type="ellipsoid" size="0.1 0.2 0.3"/>'))


def test_errors_of_files(tmp_path):
    for name, text, why in (
        ("broken.xml", "<mujoco>\n", r"'broken\.xml' cannot be read"),
        ("other.xml", "<sdf/>", r"line 1, sdf: .*an MJCF with <mujoco>"),
        ("empty.xml", "<mujoco><worldbody/></mujoco>", r"'empty.xml' has no bodies"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(AssetError, match=why):
            load(tmp_path / name)


def test_a_urdf_is_known_by_its_content(tmp_path):
    (tmp_path / "robot.xml").write_text("<robot name='r'><link name='a'/></robot>")
    assert [link.name for link in load(tmp_path / "robot.xml").links] == ["a"]


# ------------------------------------------------------------------------------------------------ against Newton


def test_newton_reads_the_same_ant():
    file, builder = NEWTON_S / "nv_ant.xml", newton.ModelBuilder()
    builder.add_mjcf(str(file), enable_self_collisions=False)
    tree = load(file)
    assert [joint.name for joint in tree.joints] == [label.rsplit("/", 1)[-1] for label in builder.joint_label]
    ours = sum(link.inertial.mass for link in tree.links if link.inertial)
    assert ours == pytest.approx(sum(builder.body_mass), rel=1e-6)
    hip = tree.joints[1]
    assert (hip.lower, hip.upper, hip.armature, hip.damping) == (np.deg2rad(-40), np.deg2rad(40), 0.01, 0.1)
    assert hip.effort == 15.0 and tree.posture["root"] == (0.0, 0.0, 0.75, 0.0, 0.0, 0.0, 1.0)


@pytest.mark.filterwarnings("ignore:.*is left out")
def test_a_table_full_of_things_is_no_robot():
    with pytest.raises(AssetError, match="a robot has one free body"):
        load(NEWTON_S / "tabletop.xml")


@pytest.mark.parametrize("file", ["ant.usda", "cartpole.usda"])
def test_usd(file):
    if any(importlib.util.find_spec(package) is None for package in ("pxr", "newton_usd_schemas")):
        with pytest.raises(AssetError, match=r"`pip install usd-core newton-usd-schemas`"):
            load(NEWTON_S / file)
        return
    builder = newton.ModelBuilder()
    builder.add_usd(str(NEWTON_S / file))
    tree = load(NEWTON_S / file)
    moving = sum(lengths + angles > 0 for lengths, angles in builder.joint_dof_dim)
    assert len(tree.joints) == moving
    ours = sum(link.inertial.mass for link in tree.links if link.inertial)
    assert ours == pytest.approx(sum(builder.body_mass), rel=1e-6)
