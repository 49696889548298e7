# SPDX-License-Identifier: Apache-2.0
"""Links of one robot that touch each other: which, where they stop, and derivatives."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Capsule, Sphere
from simenv.physics.bodies.contacts import RigidContact
from simenv.physics.bodies.tree import Fitted, Inertial, Joint, Link, Tree
from simenv.physics.status import TOO_MANY_CONTACTS
from simenv.robots import JointDrive, load
from simenv.world import Scene
from tests.robots.differences import slopes

MOMENT = ((2e-4, 0.0, 0.0), (0.0, 2.5e-4, 0.0), (0.0, 0.0, 1e-4))
TURNED = (0.0, math.sqrt(0.5), 0.0, math.sqrt(0.5))
RADIUS, HALF = 0.02, 0.05

BODY = """<mujoco><default><default class="ghost"><geom contype="0" conaffinity="0"/></default></default><worldbody>
<body name="hip" pos="0 0 1"><freejoint/><geom type="box" size=".15 .05 .05" mass="1"/>
<body name="left" pos="-.1 0 0"><joint name="l" axis="0 1 0"/>
<geom type="capsule" fromto="0 0 -.1 0 0 -.4" size=".03" mass=".5" {left}/></body>
<body name="right" pos=".1 0 0"><joint name="r" axis="0 1 0"/>
<geom type="capsule" fromto="0 0 -.1 0 0 -.4" size=".03" mass=".5" {right}/></body>
</body></worldbody>{contact}</mujoco>"""


def legs(folder, left="", right="", contact=""):
    """A hip with two legs, of an MJCF."""
    (folder / "legs.xml").write_text(BODY.format(left=left, right=right, contact=contact))
    return load(folder / "legs.xml")


def folding_arm():
    """Three links on a block; the last one has a ball at its end, which can come down on the block."""
    links, posture = [Link("base", None, Joint("stand"), None, (), (Fitted(Box((HALF,) * 3)),))], {}
    for i, start in enumerate((-0.5, 1.2, 1.0)):
        at = (0.0, 0.0, HALF + 0.03) if i == 0 else (0.15, 0.0, 0.0)
        joint = Joint(f"joint{i}", "revolute", at, axis=(0.0, 1.0, 0.0), damping=0.01, armature=1e-3)
        shapes = [Fitted(Capsule(RADIUS, 0.03), (0.075, 0.0, 0.0), TURNED)]
        if i == 2:
            shapes.append(Fitted(Sphere(RADIUS), (0.13, 0.0, 0.0)))
        parent = f"link{i - 1}" if i else "base"
        links.append(Link(f"link{i}", parent, joint, Inertial(0.3, (0.075, 0.0, 0.0), MOMENT), (), tuple(shapes)))
        posture[joint.name] = start
    return Tree("arm", tuple(links), posture)


def pairs_of(world):
    slots = world.robot_solver.touching.slots
    return {frozenset((a.split("/")[1], b.split("/")[1])) for a, b in slots.pairs}


def made(tree, law=None, **options):
    scene = Scene(substep_dt=1e-3, substeps=10, gravity=(0.0, 0.0, 0.0), rigid=law or RigidContact())
    scene.add_robot("robot", tree, drive=JointDrive(0.0, 0.05), **options)
    return scene.make_world(1, dtype=torch.float64)


def told(world, torques):
    return replace(world.zero_control(), joint_torque=torch.tensor([torques], dtype=torch.float64))


def test_legs_that_cross_stop_at_each_other(tmp_path):
    """Their ends, 0.4 m below the hinges, are two radii apart: sin a = (0.1 - 0.03) / 0.4. The file is an MJCF, whose
    links touch as in MuJoCo.
    """
    world = made(legs(tmp_path))
    assert pairs_of(world) == {frozenset(("left", "right"))}  # neighbours do not
    state = world.initial_state()
    for _ in range(100):
        state = world.step(state, told(world, [0.0] * 6 + [-1.0, 1.0]))
    assert (state.status == 0).all()
    assert state.joint_q[0, 7:].abs().tolist() == pytest.approx([math.asin(0.07 / 0.4)] * 2, abs=1e-6)
    assert float(state.body_twist.abs().max()) < 1e-5
    for _ in range(100):
        state = world.step(state, told(world, [0.0] * 6 + [1.0, -1.0]))
    assert float(state.joint_q[0, 7]) > 1.0, "and they part"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"self_contact": False}, {}),
        ({}, {"contact": '<contact><exclude body1="left" body2="right"/></contact>'}),
        ({}, {"left": 'contype="2" conaffinity="2"'}),
        ({}, {"left": 'contype="2" conaffinity="0"', "right": 'contype="0" conaffinity="4"'}),
        ({}, {"right": 'class="ghost"'}),
    ],
)
def test_what_the_file_or_the_scene_excludes_passes(tmp_path, options, text):
    world = made(legs(tmp_path, **text), **options)
    assert not pairs_of(world)
    state = world.initial_state()
    for _ in range(30):
        state = world.step(state, told(world, [0.0] * 6 + [-1.0, 1.0]))
    assert float(state.joint_q[0, 7].abs()) > 0.3


def test_one_side_is_enough(tmp_path):
    """contype of one among the bits of conaffinity of the other."""
    world = made(legs(tmp_path, 'contype="2" conaffinity="0"', 'contype="0" conaffinity="6"'))
    assert pairs_of(world) == {frozenset(("left", "right"))}


def test_a_wrong_exclude_is_named(tmp_path):
    from simenv.errors import AssetError

    with pytest.raises(AssetError, match="there is no body 'arm'"):
        legs(tmp_path, contact='<contact><exclude body1="left" body2="arm"/></contact>')


def test_an_arm_folded_onto_its_base_stops_there():
    """Driven down, its last ball lies on the block, where it pushes; without contact it would go on through."""
    tree = folding_arm()
    assert not pairs_of(made(tree)), "of no MJCF: only when asked"
    heights = {}
    for self_contact in (True, False):
        world = made(tree, self_contact=self_contact)
        state = world.initial_state()
        for _ in range(200):
            state = world.step(state, told(world, [0.0, 0.2, 0.4]))
        assert (state.status == 0).all()
        q = state.joint_q[0].cumsum(0)
        ends = 0.15 * torch.stack([q.cos(), -q.sin()], -1)
        ends[2] *= 0.13 / 0.15
        x, z = (ends.sum(0) + torch.tensor([0.0, HALF + 0.03])).tolist()
        heights[self_contact] = x, z
        if self_contact:
            assert pairs_of(world) == {frozenset(p) for p in (("base", "link1"), ("base", "link2"), ("link0", "link2"))}
            outside = np.hypot(max(abs(x) - HALF, 0.0), max(abs(z) - HALF, 0.0))
            lower = state.contact_impulse[0].norm(dim=-1)
            assert float(lower.max()) > 0.0 and outside > RADIUS - 2e-6, heights
    print(f"\nmeasured: the ball at {heights[True]} and without contact {heights[False]}")
    x, z = heights[False]
    assert np.hypot(heights[True][0] - x, heights[True][1] - z) > 0.02


def test_links_that_overlap_at_the_start_are_named_and_pass():
    tree = folding_arm()
    tree = tree.with_posture({"joint0": 0.0, "joint1": math.pi - 0.1, "joint2": 0.0})
    with pytest.warns(UserWarning, match=r"base and link2 by .* mm"):
        world = made(tree, self_contact=True)
    assert frozenset(("base", "link2")) not in pairs_of(world)


def test_too_many_contacts_of_links_have_a_status():
    links = [Link("root", None, Joint("free", "free"), Inertial(1.0, (0.0, 0.0, 0.0), MOMENT))]
    for i in range(2):
        joint = Joint(f"slide{i}", "prismatic", axis=(0.0, 0.0, 1.0), armature=0.01)
        shape = Fitted(Box((0.05, 0.05, 0.02)), (0.0, 0.0, 0.041 * i))
        links.append(Link(f"plate{i}", "root", joint, Inertial(0.2, (0.0, 0.0, 0.0), MOMENT), (), (shape,)))
    scene = Scene(substep_dt=1e-3, substeps=20, gravity=(0.0, 0.0, 0.0), max_contacts=3)
    scene.add_robot("robot", Tree("plates", tuple(links)), drive=JointDrive(0.0, 0.0), self_contact=True)
    world = scene.make_world(1, dtype=torch.float64)
    state = world.initial_state()
    for _ in range(5):
        state = world.step(state, told(world, [0.0] * 6 + [2.0, -2.0]))
    assert int(state.status) & TOO_MANY_CONTACTS


@pytest.mark.parametrize("name", ["legs", "arm"])
def test_derivatives_agree_with_differences(name, tmp_path):
    """Of an arm that presses on its base and of crossed legs, by all states, torques and parameters; 1e-6."""
    tree = legs(tmp_path) if name == "legs" else folding_arm()
    world = made(tree, RigidContact(2e4, 2e-3, 0.5, 0.4), self_contact=True)
    torques = [0.3, -0.2, 0.1, 0.05, 0.02, 0.01, -1.0, 1.1] if name == "legs" else [0.0, 0.2, 0.4]
    state, control = world.initial_state(), told(world, torques)
    touched = 0
    while touched < 3:  # it may bounce at first
        state = world.step(state, control)
        touched = touched + 1 if float(state.contact_impulse.norm()) > 0.0 else 0
        assert float(state.time) < 3.0
    leaves = {n: state[n].clone() for n in ("joint_q", "joint_qd", "anchor")}
    leaves |= {"torque": torch.tensor([torques], dtype=torch.float64)}
    leaves |= {n: v.clone() for n, v in world.parameters.items() if n.endswith(("mass", "friction", "stiffness"))}
    leaves = {n: v for n, v in leaves.items() if v.abs().max() > 0.0}
    kept = dict(world.parameters)

    def end(values):
        for parameter in kept:
            world.parameters[parameter] = values.get(parameter, kept[parameter])
        at = state.replace(**{n: values[n] for n in ("joint_q", "joint_qd", "anchor") if n in values})
        for _ in range(2):
            at = world.step(at, replace(control, joint_torque=values["torque"]))
        return torch.cat([at.joint_q.ravel(), at.joint_qd.ravel(), at.anchor.ravel()])

    for leaf, exact, differences, size in slopes(leaves, end, 2e-6):
        assert exact == pytest.approx(differences, abs=1e-6 * size + 1e-7), leaf
