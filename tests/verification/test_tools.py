# SPDX-License-Identifier: Apache-2.0
"""Impedances of links, weight that motors carry, late, integrating and obeyed commands: closed forms.

At rest an impedance K of a link under a force F is away from its goal by K^-1 F, whatever the posture: what pulls to
that is in the null space of the link's motion. A slide of mass m under K and D, both implicit, solves
(m + dt D + dt^2 K) v' = m v + dt (K (g - x - dt v) - D v) + (dt D + dt^2 K) v, backward Euler's rule with x midway.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from simenv.geometry import Box
from simenv.robots import Fitted, Inertial, Joint, JointDrive, Link, Robot, ToolDrive, Tree, load
from simenv.world import Scene, State, World
from tests.verification.test_robots import COMPACT, DOUBLE, G, slide, unbound

FINGERS = ([0.0] * 7 + [2000.0] * 2, [0.0] * 7 + [20.0] * 2)  # gains that hold the Panda's fingers alone
TOOL = "arm/tool"


def panda(
    drive: ToolDrive, dt: float = 1e-3, tree: Tree | None = None, gravity: bool = True, payload: float = 0.0,
    worlds: int = 1, dtype: torch.dtype = DOUBLE,
) -> World:  # fmt: skip
    """A Panda whose tool an impedance pulls, and whose motors carry its weight."""
    scene = Scene(substep_dt=dt, substeps=10)
    joints = JointDrive(*FINGERS, gravity_compensation=gravity)
    scene.add_robot("arm", tree or load("panda"), drive=joints, tools={"tool": drive})
    return scene.make_world(worlds, dtype=dtype)


def settled(world: World, state: State, steps: int) -> State:
    """After control steps with the goal where the tool is in `state`."""
    goal = world.bodies[TOOL].pose(state)
    for _ in range(steps):
        state = world.step(state, world.control(goal={TOOL: goal}))
    assert (state.status == 0).all()
    return state


def test_deflection_under_a_load_is_force_over_stiffness():
    """6 gains along and about the goal's axes, which point down here; the load is more mass of the hand than its motors
    know of, as a wrench of the joints: J^T F. To 1e-9 of it, in world axes.
    """
    stiffness = np.array([400.0, 600.0, 900.0, 30.0, 50.0, 20.0])
    world = panda(ToolDrive(tuple(stiffness), (150.0, 8.0), posture_stiffness=20.0, posture_damping=8.0))
    state, arm, tool = world.initial_state(), world.robots["arm"], world.bodies[TOOL]
    goal = tool.pose(state)
    force = torch.tensor([[3.0, -2.0, -6.0]], dtype=DOUBLE)
    turned = arm.model.pose(arm.positions(state), "tool")
    for _ in range(900):  # J^T F where the tool is, as a motor torque beside the drives
        jacobian = arm.model.jacobian(arm.positions(state), "tool")
        push = (jacobian[:, :3].transpose(1, 2) @ force[..., None])[..., 0]
        state = world.step(state, replace(world.control(goal={TOOL: goal}), joint_torque=push))
    away = (tool.pose(state) - goal)[0]
    axes = _matrix(turned[0, 3:])
    expected = axes @ ((axes.T @ force[0]) / torch.as_tensor(stiffness[:3]))
    assert state.joint_qd.abs().max() < 1e-9
    assert (away[:3] - expected).abs().max() < 1e-9 * 0.01
    assert away[3:].abs().max() < 1e-9


def test_motors_that_carry_the_weight_leave_a_robot_where_it_is():
    """Their torques are those of inverse dynamics at rest."""
    tree = unbound(load("panda"))
    scene = Scene(substep_dt=1e-3, substeps=10)
    scene.add_robot("arm", tree, drive=JointDrive(gravity_compensation=True), posture={"joint2": 0.5})
    world = scene.make_world(1, dtype=DOUBLE)
    start = state = world.initial_state()
    for _ in range(50):
        state = world.step(state, world.zero_control())
    assert (state.joint_q - start.joint_q).abs().max() < 1e-12
    # heavier by a kilogram and with a motor's torque against that, it stays as well
    model, mass = world.robots["arm"].model, world.parameters["arm.mass"].clone()
    assert Robot(tree, 1, dtype=DOUBLE).bias(model.posture, torch.zeros_like(start.joint_qd)).abs().max() > 10.0
    world.parameters["arm.mass"] = mass * 1.5
    for _ in range(50):
        state = world.step(state, world.zero_control())
    assert (state.joint_q - start.joint_q).abs().max() < 1e-12


@pytest.mark.parametrize("stiffness", [1e3, 1e6, 1e10])
def test_a_slide_follows_backward_eulers_rule_at_any_gain(stiffness: float):
    """v' of a mass on an impedance with the place midway: exact to rounding, and at rest at the goal."""
    dt, mass, damping = 1e-3, 1.5, 30.0
    scene = Scene(substep_dt=dt, substeps=1, gravity=(0.0, 0.0, 0.0))
    gains = ToolDrive((stiffness, 0.0), (damping, 0.0))
    scene.add_robot("robot", slide(mass=mass), drive=JointDrive(), tools={"block": gains})
    world = scene.make_world(1, dtype=DOUBLE)
    state = world.initial_state()
    goal = world.bodies["robot/block"].pose(state)
    goal[:, 2] += 0.01
    x, v = 0.0, 0.0
    for _ in range(200):
        state = world.step(state, world.control(goal={"robot/block": goal}))
        middle = x + 0.5 * dt * v
        rise = (stiffness * (0.01 - middle - dt * v) - damping * v) / (mass + dt * damping + dt**2 * stiffness)
        v += dt * rise
        x = middle + 0.5 * dt * v
        assert float(state.joint_q) == pytest.approx(x, abs=1e-12)
        assert abs(x) < 0.021
    if stiffness > 1e5:
        assert x == pytest.approx(0.01, abs=1e-5)


def test_a_stiff_tool_of_a_whole_arm_is_stable():
    """1e8 N/m and 1e6 N m/rad without damping at 1 ms: 10 mm away within 2 um after ten ticks, in both precisions."""
    for dtype, limit in ((DOUBLE, 2e-6), (torch.float32, 5e-6)):
        gains = ToolDrive((1e8, 1e6), (0.0, 0.0), posture_stiffness=10.0, posture_damping=5.0)
        world = panda(gains, tree=unbound(load("panda")), dtype=dtype)
        state = world.initial_state()
        goal = world.bodies[TOOL].near(state, torch.tensor([[0.01, 0, 0]]).to(dtype), torch.zeros(1, 3).to(dtype))
        for step in range(60):
            state = world.step(state, world.control(goal={TOOL: goal}))
            away = (world.bodies[TOOL].pose(state) - goal)[0, :3].abs().max()
            assert away < (2e-4 if step == 0 else limit), step


def test_a_posture_is_not_felt_by_the_tool():
    """A Panda whose posture pulls its elbow: joints move, the tool at its goal does not, at rest to 1e-9 m."""
    world = panda(ToolDrive((600.0, 50.0), (100.0, 5.0), posture_stiffness=10.0, posture_damping=4.0))
    start = world.initial_state()
    posture = world.parameters["arm/tool.posture"].clone()
    posture[:, 0] += 0.4
    world.parameters["arm/tool.posture"] = posture
    state = settled(world, start, 800)
    assert (state.joint_q - start.joint_q)[:, :7].abs().max() > 0.05
    away = world.bodies[TOOL].pose(state) - world.bodies[TOOL].pose(start)
    assert away.abs().max() < 1e-8


def test_motors_give_no_more_than_they_can():
    """A slide with a motor of 20 N that is pulled 1 m away: from rest v = 20 N t / m, exactly."""
    tree = slide(mass=2.0)
    link = replace(tree.links[0], joint=replace(tree.links[0].joint, effort=20.0))
    scene = Scene(substep_dt=1e-3, substeps=10, gravity=(0.0, 0.0, 0.0))
    scene.add_robot(
        "robot", replace(tree, links=(link,)), drive=JointDrive(), tools={"block": ToolDrive((1e5, 0.0), (0.0, 0.0))}
    )
    world = scene.make_world(1, dtype=DOUBLE)
    state = world.initial_state()
    goal = world.bodies["robot/block"].pose(state)
    goal[:, 2] += 1.0
    for _ in range(10):
        state = world.step(state, world.control(goal={"robot/block": goal}))
    assert float(state.joint_qd) == pytest.approx(20.0 * 0.1 / 2.0, abs=1e-12)


def strong_slide(damping: float, stiffness: float = 1e8) -> World:
    """2 kg on a motor of 20 N."""
    tree = slide(mass=2.0)
    link = replace(tree.links[0], joint=replace(tree.links[0].joint, effort=20.0))
    scene = Scene(substep_dt=1e-3, substeps=20, gravity=(0.0, 0.0, 0.0))
    scene.add_robot(
        "robot",
        replace(tree, links=(link,)),
        drive=JointDrive(),
        tools={"block": ToolDrive((stiffness, 1.0), (damping, 0.0))},
    )
    return scene.make_world(1, dtype=DOUBLE)


@pytest.mark.parametrize(("share", "swings"), [(0.0, True), (0.5, True), (1.1, False)])
def test_a_motor_at_its_limit_passes_its_goal_unless_it_is_damped_in_time(share, swings):
    """A goal that jumps by x with a motor of at most F: it pushes with F until k e = d v and brakes with F, of which it
    needs v^2 m / (2 F). With d / k >= sqrt(x m / F) / 2 it is not too late, whatever k is; with less it passes, and
    swings ever less.
    """
    away, force, mass = 0.1, 20.0, 2.0
    world = strong_slide(share * 1e8 * 0.5 * math.sqrt(away * mass / force))
    state = world.initial_state()
    goal = world.bodies["robot/block"].pose(state)
    goal[:, 2] += away
    places = []
    for _ in range(400):
        state = world.step(state, world.control(goal={"robot/block": goal}))
        places.append(float(state.joint_q) - away)
    beyond, left = max(places), max(map(abs, places[-30:]))
    print(f"\nmeasured: passes the goal by {beyond:.2e} m, {left:.1e} m away after 8 s")
    assert (beyond > 0.1 * away) == swings
    assert left < (0.5 * beyond if share == 0.0 else 1e-6)  # without any the tick alone damps it, by 2 dt v a pass


def test_an_arm_whose_motors_are_at_their_limits_gets_to_its_goal():
    """1e8 N/m, 0.1 m away: with a damping of 10 ms times the stiffness, a Panda is there within a second, and stays."""
    world = panda(ToolDrive((1e8, 1e7), (1e6, 1e5), posture_stiffness=10.0, posture_damping=5.0))
    state = world.initial_state()
    goal = world.bodies[TOOL].near(
        state, torch.tensor([[0.1, 0.0, 0.0]], dtype=DOUBLE), torch.zeros((1, 3), dtype=DOUBLE)
    )
    for step in range(200):
        state = world.step(state, world.control(goal={TOOL: goal}))
        away = float((world.bodies[TOOL].pose(state) - goal)[0, :3].norm())
        assert away < (0.11 if step < 100 else 1e-5), step


def test_what_an_impedance_presses_with_is_its_force():
    """A slide pressed on a floor by K e - m g = 40 N: contact bears what the impedance gives, to 1e-9."""
    scene = Scene(substep_dt=1e-3, substeps=10)
    scene.add_body("floor", Box((0.5, 0.5, 0.05)), position=(0.0, 0.0, -0.05), motion="fixed", coupling="rigid")
    tree = slide(mass=1.5)
    link = replace(tree.links[0], collisions=(Fitted(Box((0.02, 0.02, 0.02))),))
    tools = {"block": ToolDrive((2000.0, 0.0), (50.0, 0.0))}
    scene.add_robot("robot", replace(tree, links=(link,)), (0.0, 0.0, 0.0201), drive=JointDrive(), tools=tools)
    world = scene.make_world(1, dtype=DOUBLE)
    state = world.initial_state()
    goal = world.bodies["robot/block"].pose(state)
    goal[:, 2] -= 0.02
    for _ in range(200):
        state = world.step(state, world.control(goal={"robot/block": goal}))
    z = float(world.bodies["robot/block"].pose(state)[0, 2] - goal[0, 2])
    force = float(world.bodies["robot/block"].contact_force(state, "floor")[0, 2])
    assert force == pytest.approx(1.5 * G + 2000.0 * z, rel=1e-9)
    assert force > 50.0


# -------------------------------------------------------------------------------------------------- late and obeyed


def pushed(delay: float, ticks: int, dtype: torch.dtype = DOUBLE) -> World:
    """A slide of 1.5 kg whose motor's force is late."""
    scene = Scene(substep_dt=1e-3, substeps=ticks, gravity=(0.0, 0.0, 0.0))
    scene.add_robot("robot", slide(), drive=JointDrive(delay=delay))
    return scene.make_world(1, dtype=dtype)


@pytest.mark.parametrize("late", [0, 1, 3, 4, 7, 8, 17])
def test_a_delay_is_exact_to_the_tick(late: int):
    """After n ticks a force of one step of 4 ticks has been given for min(max(n - late, 0), 4) of them."""
    world = pushed(late * 1e-3, 4)
    state = world.initial_state()
    for step in range(8):
        force = torch.full((1, 1), 3.0 if step == 1 else 0.0, dtype=DOUBLE)
        state = world.step(state, replace(world.zero_control(), joint_torque=force))
        given = min(max(4 * (step + 1) - 4 - late, 0), 4)
        assert float(state.joint_qd) == pytest.approx(3.0 * given * 1e-3 / 1.5, abs=1e-15)
    again = world.robots["robot"].place(state, world.robots["robot"].positions(state))
    moved = world.step(again, world.zero_control())
    assert float(moved.joint_qd) == 0.0  # a robot that is placed has been told nothing


@pytest.mark.parametrize("late", [0, 1, 4, 6, 11])
def test_a_goal_that_is_late_is_the_goal_of_before(late: int):
    """An impedance whose goals come late moves a slide as one whose goals are told that much later, to the tick; beside
    one of another link that is not late. Placed, it has been told to stay.
    """
    ends = []
    for delay in (0.0, late * 1e-3):
        scene = Scene(substep_dt=1e-3, substeps=1 if delay == 0.0 else 4, gravity=(0.0, 0.0, 0.0))
        tools = {"block": ToolDrive((900.0, 1.0), (20.0, 0.0), delay=delay)}
        scene.add_robot("robot", slide(), drive=JointDrive(), tools=tools)
        scene.add_robot("other", slide(), (1.0, 0.0, 0.0), drive=JointDrive(), tools={"block": ToolDrive((300.0, 1.0))})
        world = scene.make_world(1, dtype=DOUBLE)
        state = world.initial_state()
        names = ("robot/block", "other/block")
        start = {name: world.bodies[name].pose(state) for name in names}

        def told(step: int, start: dict = start, names: tuple = names) -> dict:
            rise = torch.tensor([[0.0, 0.0, 0.01 * math.sin(step + 1.0), 0.0, 0.0, 0.0, 0.0]], dtype=DOUBLE)
            return {name: start[name] + (rise if step >= 0 else 0.0) for name in names}

        for tick in range(32):
            goal = told(tick // 4)
            if delay == 0.0:
                goal["robot/block"] = told((tick - late) // 4)["robot/block"]
            elif tick % 4:
                continue
            state = world.step(state, world.control(goal=goal))
        ends.append(state)
        if delay:
            rest = world.robots["robot"].place(state, world.robots["robot"].positions(state) + 0.02)
            still = world.step(rest, world.zero_control())
            assert float(still.joint_q[0, 0] - rest.joint_q[0, 0]) == 0.0
    assert float(ends[0].joint_qd[0, 0].abs()) > 1e-3
    assert (ends[0].joint_q - ends[1].joint_q).abs().max() < 1e-15


def test_delays_of_ticks_are_whole():
    with pytest.raises(ValueError, match=r"a delay of 0.0015 s of a joint's drive is 1.500 ticks of 0.001 s"):
        pushed(1.5e-3, 4)
    scene = Scene(substep_dt=1e-3, substeps=4)
    scene.add_robot("robot", slide(), drive=JointDrive(), tools={"block": ToolDrive(delay=2.5e-3)})
    with pytest.raises(ValueError, match=r"a delay of 0.0025 s of an impedance is 2.500 ticks of 0.001 s"):
        scene.make_world(1)


def test_targets_that_integrate_move_with_their_rate():
    """A drive so stiff that nothing lags: the joint is where the sum of rates times steps says, within its limits."""
    tree = slide()
    link = replace(tree.links[0], joint=replace(tree.links[0].joint, lower=-0.5, upper=0.05))
    scene = Scene(substep_dt=1e-3, substeps=10, gravity=(0.0, 0.0, 0.0))
    scene.add_robot("robot", replace(tree, links=(link,)), drive=JointDrive(1e9, 1e5, integrate=True))
    world = scene.make_world(1, dtype=DOUBLE)
    state, place = world.initial_state(), -0.225  # in the middle of its limits
    for rate in (0.3, -0.1, 0.0, 2.0, 5.0, -1.0):
        told = torch.full((1, 1), rate, dtype=DOUBLE)
        state = world.step(state, replace(world.zero_control(), joint_rate=told))
        place = min(place + 0.01 * rate, 0.05)
        assert float(state.joint_aim) == pytest.approx(place, abs=1e-15)
    for _ in range(3):
        state = world.step(state, world.zero_control())
    assert float(state.joint_q) == pytest.approx(place, abs=1e-9)


def test_a_joint_that_moves_as_told_gets_there_when_the_step_ends():
    """Under its weight, which no motor would bear, in both precisions."""
    for dtype, limit in ((DOUBLE, 1e-9), (torch.float32, 1e-7)):
        scene = Scene(substep_dt=1e-3, substeps=8)
        scene.add_robot("robot", slide(), drive=JointDrive(kinematic=True))
        world = scene.make_world(1, dtype=dtype)
        state, robot = world.initial_state(), world.robots["robot"]
        for target in (0.004, 0.008, 0.006, 0.006, 0.006):
            aim = torch.full((1, 1), target, dtype=dtype)
            state = world.step(state, world.control(joints={"robot": aim}))
            assert float(robot.positions(state)) == pytest.approx(target, abs=limit)


def test_a_joint_that_moves_as_told_needs_two_ticks():
    with pytest.raises(ValueError, match="at least 2 ticks"):
        scene = Scene(substep_dt=1e-3, substeps=1)
        scene.add_robot("robot", slide(), drive=JointDrive(kinematic=True))
        world = scene.make_world(1)
        world.step(world.initial_state(), world.zero_control())


def test_errors_name_what_is_wrong():
    scene, tree = Scene(substep_dt=1e-3, substeps=4), slide()
    with pytest.raises(ValueError, match=r"the robot has no such link; it has block"):
        scene.add_robot("robot", tree, drive=JointDrive(), tools={"tip": ToolDrive()})
    with pytest.raises(ValueError, match="must be two numbers, along and about, or six"):
        scene.add_robot("robot", tree, drive=JointDrive(), tools={"block": ToolDrive((1.0, 2.0, 3.0))})
    with pytest.raises(ValueError, match=r"delay = -1.0 must be one number of seconds, finite and not negative"):
        scene.add_robot("robot", tree, drive=JointDrive(), tools={"block": ToolDrive(delay=-1.0)})
    with pytest.raises(ValueError, match="must be one number or 1, of the motors"):
        scene.add_robot("robot", tree, drive=JointDrive(), tools={"block": ToolDrive(posture_stiffness=-1.0)})
    loose = Tree("loose", (Link("ball", None, Joint("free", "free"), Inertial(1.0, (0.0, 0.0, 0.0), COMPACT)),))
    with pytest.raises(ValueError, match="no motor of a joint moves it"):
        scene.add_robot("robot", loose, drive=JointDrive(), tools={"ball": ToolDrive()})


def _matrix(q: torch.Tensor) -> torch.Tensor:
    x, y, z, w = q
    return torch.stack([
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)]),
        torch.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)]),
        torch.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]),
    ])  # fmt: skip
