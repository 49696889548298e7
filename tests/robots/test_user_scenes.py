# SPDX-License-Identifier: Apache-2.0
"""What users build from the documentation: grippers that lift and stack, a hand that holds, dogs that walk and stand, a
camera on a link, a link's mass from a rollout.
"""

import math

import numpy as np
import pytest
import torch
import trimesh

from simenv.geometry import Box, Plane, Sphere
from simenv.render import BodyCamera, Camera
from simenv.robots import JointDrive, load, reach
from simenv.world import Scene

DOUBLE, G = torch.float64, 9.81
MASS = '<inertial><mass value="{}"/><inertia ixx="{i}" iyy="{i}" izz="{i}" ixy="0" ixz="0" iyz="0"/></inertial>'
FINGER = MASS.format(0.05, i=2e-5) + '<collision><geometry><box size="0.01 0.03 0.06"/></geometry></collision>'
LIFT = f"""<robot name="lift"><link name="base"/>
<link name="palm">{MASS.format(0.4, i=1e-3)}<collision><geometry>
  <mesh filename="package://mine/meshes/palm.stl" scale="0.002 0.002 0.001"/></geometry></collision></link>
<joint name="lift" type="prismatic"><parent link="base"/><child link="palm"/><origin xyz="0 0 0.3"/>
  <axis xyz="0 0 1"/><limit lower="-0.3" upper="0.3" effort="200" velocity="2"/></joint>
<link name="left">{FINGER}</link>
<joint name="left" type="prismatic"><parent link="palm"/><child link="left"/><origin xyz="-0.02 0 -0.04"/>
  <axis xyz="-1 0 0"/><limit lower="0" upper="0.05" effort="50" velocity="1"/></joint>
<link name="right">{FINGER}</link>
<joint name="right" type="prismatic"><parent link="palm"/><child link="right"/><origin xyz="0.02 0 -0.04"/>
  <axis xyz="1 0 0"/><limit lower="0" upper="0.05" effort="50" velocity="1"/><mimic joint="left"/></joint></robot>"""


def test_a_gripper_of_my_own_lifts_a_cube(tmp_path):
    """A URDF with a mesh of a package in millimetres and a finger that follows the other, in single precision."""
    (tmp_path / "mine" / "meshes").mkdir(parents=True)
    trimesh.creation.box((10, 20, 30)).export(tmp_path / "mine" / "meshes" / "palm.stl")
    (tmp_path / "mine" / "lift.urdf").write_text(LIFT)
    tree = load(tmp_path / "mine" / "lift.urdf")
    low, high = tree.link("palm").collisions[0].shape.bounds()
    np.testing.assert_allclose(high - low, [0.02, 0.04, 0.03], atol=1e-6)
    scene = Scene(substep_dt=1e-3, substeps=10)
    scene.add_body("floor", Plane(), motion="fixed")
    scene.add_body("cube", Box((0.02,) * 3), 500.0, (0.0, 0.0, 0.02), motion="free", coupling="rigid")
    scene.add_robot("lift", tree, drive=JointDrive([2000.0, 3000.0, 0.0], [80.0, 40.0, 0.0]))
    world = scene.make_world(1)
    state = world.initial_state()
    for height, grip, steps in ((-0.22, 0.03, 100), (-0.22, -0.005, 60), (-0.1, -0.005, 100)):
        target = torch.tensor([[height, grip, grip]])
        for _ in range(steps):
            state = world.step(state, world.control(joints={"lift": target}))
    assert (state.status == 0).all()
    q, cube = world.robots["lift"].positions(state)[0], world.bodies["cube"].pose(state)[0, :3]
    droop = (0.5 + 500.0 * 0.04**3) * G / 2000.0
    assert float(q[0]) == pytest.approx(-0.1 - droop, abs=1e-4)
    assert float(q[1]) == pytest.approx(float(q[2]), abs=1e-4) and float(q[1]) == pytest.approx(0.005, abs=1e-4)
    assert float(cube[2]) == pytest.approx(0.02 + float(q[0]) + 0.2225, abs=5e-4)


def test_a_panda_stacks_a_box_on_another():
    """By inverse kinematics and joint targets: within a millimetre, and it stands when the fingers have let go."""
    scene = Scene(substep_dt=2e-3, substeps=10)
    scene.add_body("table", Box((0.3, 0.3, 0.05)), position=(0.5, 0.0, -0.05), motion="fixed")
    for name, (x, y) in {"a": (0.45, 0.1), "b": (0.5, -0.1)}.items():
        scene.add_body(name, Box((0.02,) * 3), 600.0, (x, y, 0.02), motion="free", coupling="rigid")
    gains = [600.0] * 7 + [3000.0, 0.0], [60.0] * 7 + [60.0, 0.0]
    scene.add_robot("arm", "panda_gripper", drive=JointDrive(*gains, gravity_compensation=True))
    world = scene.make_world(1, dtype=DOUBLE)
    state, model = world.initial_state(), world.robots["arm"].model
    q, joints = model.posture.clone(), [f"joint{i}" for i in range(1, 8)]
    down = model.pose(q, "tool")
    ways = [(0.45, 0.1, 0.15, 0.04), (0.45, 0.1, 0.02, 0.04), (0.45, 0.1, 0.02, 0.0), (0.45, 0.1, 0.15, 0.0)]
    ways += [(0.5, -0.1, 0.15, 0.0), (0.5, -0.1, 0.0605, 0.0), (0.5, -0.1, 0.0605, 0.04), (0.5, -0.1, 0.2, 0.04)]
    for *place, grip in ways:
        goal = torch.cat([torch.tensor([place], dtype=DOUBLE), down[:, 3:]], 1)
        before, q = q, reach(model, q, "tool", goal, joints=joints, iterations=30)
        for share in np.minimum(np.arange(1, 61) / 42, 1.0):
            fingers = torch.full((1, 2), grip, dtype=DOUBLE)
            target = torch.cat([(before + share * (q - before))[:, :7], fingers], 1)
            state = world.step(state, world.control(joints={"arm": target}))
    assert (state.status == 0).all()
    a, b = (world.bodies[name].pose(state)[0, :3] for name in ("a", "b"))
    assert (a - torch.tensor([0.5, -0.1, 0.06], dtype=DOUBLE)).abs().max() < 1e-3
    assert (b - torch.tensor([0.5, -0.1, 0.02], dtype=DOUBLE)).abs().max() < 1e-4
    assert float(world.bodies["a"].twist(state).abs().max()) < 1e-6
    assert float(world.bodies["a"].contact_force(state, "b")[0, 2]) == pytest.approx(600.0 * 0.04**3 * G, rel=1e-6)


def test_a_hand_holds_a_ball_when_it_is_turned_over():
    """Fingers close over a ball of 34 g on the palm; then gravity is the other way, and it stays."""
    scene = Scene(substep_dt=1e-3, substeps=10, gravity=(-G, 0.0, 0.0))  # the palm looks up
    scene.add_robot("hand", "hand", drive=JointDrive(3.0, 0.1, gravity_compensation=True))
    scene.add_body("ball", Sphere(0.03), 300.0, (0.042, 0.0, 0.02), motion="free", coupling="rigid")
    world = scene.make_world(1, dtype=DOUBLE)
    state, hand = world.initial_state(), world.robots["hand"]
    closed, upper = hand.positions(state).clone(), torch.tensor([[joint.upper for joint in load("hand").joints]])
    for finger in range(3):
        closed[:, 4 * finger + 1 : 4 * finger + 4] += torch.tensor([1.3, 1.4, 1.0])
    closed[:, 14:] += 0.4
    start = hand.positions(state)
    places = []
    for step in range(240):
        if step == 140:
            world.parameters["gravity"] = -world.parameters["gravity"]
        target = torch.minimum(start + min(step / 60, 1.0) * (closed - start), upper)
        state = world.step(state, world.control(joints={"hand": target}))
        places.append(world.bodies["ball"].pose(state)[0, :3])
    assert (state.status == 0).all()
    assert float((places[-1] - places[139]).norm()) < 1e-3
    assert float(world.bodies["ball"].twist(state).abs().max()) < 1e-6
    assert float(world.bodies["ball"].contact_force(state)[0, 0]) == pytest.approx(
        -300.0 * 4 / 3 * math.pi * 0.03**3 * G, rel=1e-4
    )


def test_a_dog_trots_beside_one_that_stands():
    """Open loop, diagonal legs in turn at 1.5 Hz: half a metre and more in 4 s; the other stays where it stands."""
    scene = Scene(substep_dt=2e-3, substeps=10)
    scene.add_body("floor", Plane(), motion="fixed")
    for i, name in enumerate(("walks", "stands")):
        scene.add_robot(name, "quadruped", (0.0, 2.0 * i, 0.0), drive=JointDrive([0.0] * 6 + [500.0] * 12, 15.0))
    world = scene.make_world(1)
    state, walks = world.initial_state(), world.robots["walks"]
    home = torch.zeros_like(walks.rates(state))
    home[:, 6:] = walks.positions(state)[:, 7:]
    starts = []
    for step in range(250):
        time, legs = 0.02 * step - 1.0, home.clone()
        if time == 0.0:
            starts = [world.bodies[f"{name}/body"].pose(state)[0, :3] for name in ("walks", "stands")]
        for leg, phase in enumerate((0.0, math.pi, math.pi, 0.0) if time >= 0.0 else ()):
            turn = 2 * math.pi * 1.5 * time + phase
            legs[:, 7 + 3 * leg] += 0.15 * math.cos(turn) + 0.25 * max(0.0, math.sin(turn))
            legs[:, 8 + 3 * leg] -= 0.5 * max(0.0, math.sin(turn))
        state = world.step(state, world.control(joints={"walks": legs, "stands": home}))
    assert (state.status == 0).all()
    walked, stood = (
        world.bodies[f"{name}/body"].pose(state)[0, :3] - start
        for name, start in zip(("walks", "stands"), starts, strict=True)
    )
    assert float(walked[0]) > 0.5 and float(world.bodies["walks/body"].pose(state)[0, 2]) > 0.3
    assert float(stood.norm()) < 0.02


def test_a_camera_on_a_link_sees_what_lies_below_the_tool():
    """A red box under the gripper of a Panda, and none when the arm has turned away."""
    scene = Scene(substep_dt=2e-3, substeps=10)
    scene.add_body(
        "table", Box((0.6, 0.6, 0.05)), position=(0.3, 0.0, -0.05), motion="fixed", color=(0.9, 0.9, 0.9, 1.0)
    )
    scene.add_body("box", Box((0.03,) * 3), position=(0.307, 0.0, 0.03), motion="fixed", color=(0.9, 0.05, 0.05, 1.0))
    scene.add_robot("arm", "panda_gripper", drive=JointDrive(500.0, 50.0, gravity_compensation=True))
    world = scene.make_world(1)
    camera = BodyCamera(world, "arm/tool", Camera((0.0, 0.0, 0.02), (0.0, 0.0, 1.0), up=(1.0, 0.0, 0.0)), 24, 24)
    state, arm = world.initial_state(), world.robots["arm"]
    turned = arm.positions(state).clone()
    turned[:, 0] += 0.8
    for each, sees in ((state, True), (arm.place(state, turned[:, :8]), False)):
        red, green, blue = camera(world, each)[0, 12, 12].float().tolist()
        assert (red > 2.0 * max(green, blue)) == sees, (red, green, blue)


def test_a_goal_of_another_precision_is_refused():
    scene = Scene(substep_dt=1e-3, substeps=1)
    scene.add_robot("arm", "panda", drive=JointDrive())
    world = scene.make_world(1, dtype=DOUBLE)
    with pytest.raises(
        ValueError, match=r"near: move is torch.float32 \(1, 3\) on cpu; this world needs torch.float64"
    ):
        world.bodies["arm/tool"].near(world.initial_state(), torch.zeros(1, 3), torch.zeros(1, 3))


def test_a_link_s_mass_is_found_from_a_rollout():
    """Link 4 of a Panda that falls against soft drives for 0.2 s: from 4.5 kg to the 3 kg of the recording, by
    Newton's method with slopes of the loss.
    """
    scene = Scene(substep_dt=1e-3, substeps=20)
    scene.add_robot("arm", "panda", drive=JointDrive(50.0, 5.0))
    world = scene.make_world(1, dtype=DOUBLE)
    start, nominal = world.initial_state(), world.parameters["arm.mass"].clone()

    def rolled(mass: torch.Tensor) -> torch.Tensor:
        world.parameters["arm.mass"] = torch.cat([nominal[:, :3], mass.reshape(1, 1), nominal[:, 4:]], 1)
        state, seen = start, []
        for _ in range(10):
            state = world.step(state, world.zero_control())
            seen.append(state.joint_q)
        return torch.stack(seen)

    recorded = rolled(torch.tensor(3.0, dtype=DOUBLE)).detach()

    def slope(mass: float) -> float:
        leaf = torch.tensor(mass, dtype=DOUBLE, requires_grad=True)
        loss = ((rolled(leaf) - recorded) ** 2).sum()
        return float(torch.autograd.grad(loss, leaf)[0])

    guesses, slopes = [4.5, 4.0], [slope(4.5), slope(4.0)]
    for _ in range(6):
        step = slopes[-1] * (guesses[-1] - guesses[-2]) / (slopes[-1] - slopes[-2])
        if abs(step) < 1e-9:
            break
        guesses.append(guesses[-1] - step)
        slopes.append(slope(guesses[-1]))
    assert guesses[-1] == pytest.approx(3.0, abs=1e-6)
