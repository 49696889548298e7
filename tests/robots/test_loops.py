# SPDX-License-Identifier: Apache-2.0
"""Robots whose links are held together in loops: postures, files, refusals, and derivatives. Physics is in
tests/verification/test_loops.py.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from simenv.errors import AssetError
from simenv.geometry.shapes import Plane, Sphere
from simenv.physics.bodies.contacts import RigidContact
from simenv.robots import Fitted, JointDrive, Loop, Robot, Tree, close, load, loop_gaps
from simenv.robots.closing import closed
from simenv.world import Control, Scene
from tests.robots.linkages import SIDES, angles, four_bar

DOUBLE = torch.float64

# ----------------------------------------------------------------------------------------------------------- postures


@pytest.mark.parametrize("crank", np.linspace(-3.0, 3.0, 7))
def test_joints_that_the_posture_does_not_name_close_the_loop(crank):
    """One of the two ways in which the circles about crank and ground meet."""
    posture = closed(four_bar(float(crank))).posture
    assert posture["j2"] == crank
    found = np.array([crank + posture["j3"], posture["j4"]])
    apart = [np.abs(np.angle(np.exp(1j * (found - np.array(angles(crank, branch)))))).max() for branch in (-1.0, 1.0)]
    assert min(apart) < 1e-9


def test_a_posture_that_closes_stays_and_one_that_cannot_is_refused():
    tree = closed(four_bar(0.7))
    assert closed(tree) is tree
    with pytest.raises(AssetError, match=r"robot 'four-bar': loop 'tip' stays open by .* with j2, j3, j4 held; give"):
        closed(tree.with_posture({"j4": 1.0}))
    far = (0.9, *SIDES[1:])  # crank, coupler and rocker are 0.75 m together
    with pytest.raises(AssetError, match=r"loop 'tip' stays open by [1-9]\.\d\de-0[12] m"):
        closed(four_bar(None, far))
    stopped = tuple(
        replace(link, joint=replace(link.joint, lower=1.0, upper=1.5)) if link.name == "rocker" else link
        for link in four_bar(0.7).links
    )
    with pytest.raises(AssetError, match=r"close where j4 is .*, outside of its limits 1\.0000 to 1\.5000"):
        closed(Tree("stopped", stopped, {"j2": 0.7}, four_bar().loops))
    scene = Scene(substep_dt=1e-3, substeps=1)
    with pytest.raises(AssetError, match="stays open"):
        scene.add_robot("far", four_bar(0.7, far), drive=JointDrive())


def test_rates_keep_it_closed_and_place_refuses_what_opens():
    scene = Scene(substep_dt=1e-3, substeps=1)
    scene.add_robot("bar", four_bar(0.7), (0.1, 0.2, 0.3), (0.0, 0.0, 0.6, 0.8), drive=JointDrive())
    world = scene.make_world(3, dtype=DOUBLE)
    state, view = world.initial_state(), world.robots["bar"]
    model = view.model
    assert float(loop_gaps(model, state.joint_q).abs().max()) < 1e-9
    q = state.joint_q.clone()
    q[:, 0] += torch.tensor([0.0, 0.3, -0.4], dtype=DOUBLE)
    with pytest.raises(ValueError, match=r"loop 'tip' of world \d would be open, or open, by .*; take what"):
        view.place(state, q)
    rates = torch.tensor([[2.0, 0.0, 0.0]], dtype=DOUBLE).expand(3, 3)
    there, turning = view.close(q, rates, keep=["j2"])
    assert torch.equal(there[:, 0], q[:, 0]) and float(turning[:, 0].abs().min()) > 0.1
    with pytest.raises(ValueError, match="would be open"):
        view.place(state, there, rates)
    placed = view.place(state, there, turning)
    a, b = (
        world.bodies[name].pose(placed)
        for name in ("bar/coupler", "bar/rocker")
    )  # fmt: skip
    assert float(loop_gaps(model, there).abs().max()) < 1e-9 and a.shape == b.shape
    h = 1e-6
    moved = model.integrate(there, turning, h)
    assert float(loop_gaps(model, moved).abs().max()) < 1e-9  # of second order in h
    with pytest.raises(ValueError, match="close: knee is none of the joints j2, j3, j4"):
        view.close(q, keep=["knee"])


def test_a_robot_alone_has_no_forces_of_loops():
    robot = Robot(four_bar(0.7), 1, dtype=DOUBLE)
    q, _ = close(robot, robot.posture, keep=["j2"])
    zero = torch.zeros_like(q)
    with pytest.raises(ValueError, match="forward_dynamics: robot 'four-bar' has the loops tip, of whose forces"):
        robot.forward_dynamics(q, zero, zero)
    assert robot.bias(q, zero).shape == (1, 3)


@pytest.mark.parametrize(("loop", "why"), [
    (Loop("x", "coupler", "knee"), "loop 'x': it holds 'knee', which is no link; it has crank, coupler, rocker"),
    (Loop("x", "coupler", "coupler"), "loop 'x': it holds a link to itself"),
    (Loop("x", "coupler", None, (float("nan"), 0.0, 0.0)), "loop 'x': places must be finite"),
    (Loop("x", "coupler", None, turn=(1.0, 1.0, 0.0, 0.0)), "the turn a quaternion xyzw of length one"),
])  # fmt: skip
def test_loops_that_cannot_be(loop, why):
    with pytest.raises(AssetError, match=why):
        replace(four_bar(0.7), loops=(loop,))


def test_ties_that_cannot_be():
    scene = Scene(substep_dt=1e-3, substeps=1)
    scene.add_body("floor", Plane(), motion="fixed")
    scene.add_body("ball", Sphere(0.1), 1000.0, (0.0, 0.0, 0.1), motion="free", coupling="rigid")
    for a, b, why in (("floor", "ball", "'floor' is moved otherwise"), ("ball", "ball", "ties 'ball' to itself")):
        with pytest.raises(ValueError, match=f"tie 't': {why}|tie 't': it {why}"):
            scene.tie("t", a, b, (0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="cup"):
        scene.tie("t", "ball", "cup", (0.0, 0.0, 0.0))
    scene.tie("t", "ball", "floor", (0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="'t'"):
        scene.tie("t", "ball", "floor", (0.0, 0.0, 0.0))


# -------------------------------------------------------------------------------------------------------------- files

BODY = '<inertial pos="0 0 0" mass="1" diaginertia="0.01 0.01 0.01"/>'
FILE = """<mujoco model='r'><worldbody>
<body name="a" pos="0 0 1"><joint name="ja" axis="0 1 0"/>{0}<body name="b" pos="0.3 0 0" quat="0.8 0 0.6 0">
<joint name="jb" axis="0 1 0"/>{0}</body></body>
<body name="c" pos="0.5 0 1"><joint name="jc" axis="0 1 0"/>{0}</body>
</worldbody><equality>
{1}</equality></mujoco>"""


def read(tmp_path, equality):
    file = tmp_path / "robot.xml"
    file.write_text(FILE.format(BODY, equality))
    return load(file)


def test_connect_of_a_file(tmp_path):
    """The anchor is in the frame of the first body, and the other end where the file has the second."""
    tree = read(tmp_path, '<connect name="pin" body1="b" body2="c" anchor="0.1 0 0"/>')
    (loop,) = tree.loops
    # b is turned by 2 atan(0.6 / 0.8) about y: its x axis is (0.28, 0, -0.96)
    point = np.array([0.3 + 0.1 * 0.28, 0.0, 1.0 - 0.1 * 0.96])
    assert (loop.name, loop.a, loop.b, loop.turn) == ("pin", "b", "c", None)
    assert loop.position == pytest.approx((0.1, 0.0, 0.0), abs=1e-15)
    assert loop.at == pytest.approx(tuple(point - (0.5, 0.0, 1.0)), abs=1e-15)
    robot = Robot(tree, 1, dtype=DOUBLE)
    assert float(loop_gaps(robot, robot.posture).abs().max()) < 1e-15


def test_weld_of_a_file(tmp_path):
    """To the world where the file has the body; or to another, by ``relpose``, with the anchor in its frame."""
    tree = read(tmp_path, '<weld body1="c"/><weld body1="a" body2="c" anchor="0 0 0.1" relpose="0.4 0 0 0 0 0 1"/>')
    ground, other = tree.loops
    assert (ground.name, ground.a, ground.b, ground.turn) == ("weld 0", "c", None, (0.0, 0.0, 0.0, 1.0))
    assert np.array(ground.at) - (0.5, 0.0, 1.0) == pytest.approx(np.array(ground.position), abs=1e-15)
    assert other.turn == (0.0, 0.0, 1.0, 0.0) and other.at == (0.0, 0.0, 0.1)
    assert other.position == pytest.approx((0.4, 0.0, 0.1), abs=1e-15)
    swapped = read(tmp_path, '<connect body1="world" body2="c" anchor="0.5 0 1.2"/>').loops[0]
    assert (swapped.a, swapped.b, swapped.at) == ("c", None, (0.5, 0.0, 1.2))
    assert swapped.position == pytest.approx((0.0, 0.0, 0.2), abs=1e-15)


@pytest.mark.parametrize(("equality", "why"), [
    ('<connect body1="b" body2="d" anchor="0 0 0"/>', "connect: there is no body 'd'; there are a, b, c"),
    ('<connect site1="s" site2="t"/>', "connect: sites cannot be read; give body1, body2 and an anchor"),
    ('<connect body1="b" body2="c"/>', "connect: it has no anchor="),
    ('<weld body1="world"/>', "weld: it holds the world to itself"),
    ('<tendon tendon1="t"/>', "tendon: tendons and flexes cannot be read"),
])  # fmt: skip
def test_equalities_that_cannot_be_read(tmp_path, equality, why):
    with pytest.raises(AssetError, match=r"robot.xml, line 6, " + why):
        read(tmp_path, equality)


# -------------------------------------------------------------------------------------------------------- derivatives


def driven(scene: Scene) -> None:
    """A four-bar whose drives pull it, with friction and damping."""
    tree = four_bar(0.7, damping=0.02)
    joints = [replace(link, joint=replace(link.joint, friction=0.03, armature=2e-3)) for link in tree.links]
    scene.add_robot("bar", replace(tree, links=tuple(joints)), drive=JointDrive((20.0, 0.0, 1.0), (0.5, 0.01, 0.0)))


def pressing(scene: Scene) -> None:
    """A four-bar presses a ball on its coupler onto a box, which is welded to a ball and tied to another."""
    tree = four_bar(0.7)
    tip = (Fitted(Sphere(0.02), (0.2, 0.0, 0.0)),)
    links = tuple(replace(link, collisions=tip) if link.name == "coupler" else link for link in tree.links)
    scene.add_robot("bar", replace(tree, links=links), drive=JointDrive((20.0, 0.0, 1.0), (0.5, 0.01, 0.0)))
    scene.add_body("floor", Plane(), position=(0.0, 0.0, -0.3), motion="fixed")
    at = 0.0
    for name, radius in (("one", 0.03), ("two", 0.035), ("three", 0.025)):
        at += radius
        scene.add_body(
            name, Sphere(radius), 900.0, (0.9 + at, 0.0, -0.3005 + radius), motion="free", coupling="rigid",
            velocity=(0.3, 0.1, 0.0), angular_velocity=(0.5, 1.0, -2.0),
        )  # fmt: skip
        at += radius
    scene.tie("weld", "one", "two", (0.96, 0.0, -0.27), weld=True)
    scene.tie("ball", "two", "three", (1.03, 0.0, -0.27))


CASES = {"driven": driven, "pressing": pressing}
SCALES = {
    "joint_q": 1e-2, "joint_qd": 0.1, "joint_target": 0.1, "joint_torque": 0.1, "joint_rate": 0.1, "body_q": 1e-3,
    "body_twist": 0.1, "anchor": 1e-6, "closing": 1e-2,
}  # fmt: skip


@pytest.mark.parametrize(("name", "midpoint"), [("driven", False), ("pressing", False), ("driven", True)])
def test_derivatives_agree_with_differences(name, midpoint):
    """By every field, control and parameter, loops that changes open among them: 1e-5 of the size along a random
    direction, at the best of the widths.
    """
    scene = Scene(substep_dt=1e-3, substeps=10, rigid=RigidContact(2e4, 2e-3, 0.5, 0.4), midpoint=midpoint)
    CASES[name](scene)
    world = scene.make_world(1, dtype=DOUBLE)
    start = world.step(world.initial_state(), world.zero_control())
    fields = [n for n in ("joint_q", "joint_qd", "body_q", "body_twist", "anchor", "closing") if n in start]
    leaves = {n: start[n].clone() for n in fields} | {n: v.clone() for n, v in world.parameters.items()}
    at = start.joint_q
    leaves |= {"joint_target": at + 0.1, "joint_rate": 0.1 + 0.0 * at, "joint_torque": 0.1 + 0.0 * at}
    if "rigid.width" in leaves:  # at zero, below which it is cut, differences see both sides
        leaves["rigid.width"] = leaves["rigid.width"] + 1e-4
    rng, weights = np.random.default_rng(3), {}

    def end(values):
        for parameter in world.parameters:
            world.parameters[parameter] = values[parameter]
        state = start.replace(**{n: values[n] for n in fields})
        told = replace(Control(), **{n: values[n] for n in ("joint_target", "joint_rate", "joint_torque")})
        for _ in range(4):
            state = world.step(state, told)
        assert (state.status == 0).all()
        total = 0.0
        for field, value in state.items():
            if value.is_floating_point() and field != "time":
                weights.setdefault(field, torch.as_tensor(rng.normal(size=tuple(value.shape))))
                total = total + (weights[field] * value).sum()
        return total

    with torch.no_grad():
        floor = 1e-8 * max(abs(float(end(leaves))), 1.0)
    grown = {n: v.clone().requires_grad_() for n, v in leaves.items()}
    slopes = dict(zip(grown, torch.autograd.grad(end(grown), list(grown.values()), allow_unused=True), strict=True))
    wrong, moved = {}, set()
    for leaf, value in leaves.items():
        scale = SCALES.get(leaf, float(value.abs().max()) or 1e-4)
        way = scale * torch.as_tensor(rng.normal(size=tuple(value.shape)))
        if leaf == "body_q":
            way[:, :4] = 0.0  # links are where their joints put them, and the floor stands
        slope = torch.zeros_like(value) if slopes[leaf] is None else slopes[leaf]
        exact, size = float((slope * way).sum()), float((slope * way).norm())
        moved |= {leaf} if size > 100.0 * floor else set()
        with torch.no_grad():
            found = []
            for epsilon in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
                ends = [float(end({**leaves, leaf: value + sign * epsilon * way})) for sign in (1.0, -1.0)]
                found.append((ends[0] - ends[1]) / (2.0 * epsilon))
        error = min(abs(each - exact) for each in found)
        if not error <= max(1e-5 * size, floor):
            wrong[leaf] = f"{error / max(size, 1e-30):.1e} of {size:.1e}: {exact} against {found}"
    assert not wrong, "\n".join(f"{leaf}: {text}" for leaf, text in wrong.items())
    assert moved >= {"joint_q", "joint_qd", "bar.inertial", "bar.mass", "bar.stiffness", "joint_torque"}, moved
