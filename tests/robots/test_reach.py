# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics of trees: closed forms, convergence, limits, derivatives, bits."""

import math

import pytest
import torch

from simenv.robots import Inertial, Joint, Link, Robot, Tree, load, reach

DOUBLE = torch.float64
POSTURE = {"joint1": 0.0, "joint2": 0.2, "joint4": -2.2, "joint6": 2.4}
ARM = tuple(f"joint{i}" for i in range(1, 8))
BALL = Inertial(1.0, (0.0, 0.0, 0.0), ((1e-3, 0.0, 0.0), (0.0, 1e-3, 0.0), (0.0, 0.0, 1e-3)))
ABOUT_Y = (0.0, 1.0, 0.0)


def hinge(name, at, lower=-math.pi, upper=math.pi):
    return Joint(name, "revolute", (at, 0.0, 0.0), axis=ABOUT_Y, lower=lower, upper=upper)


def planar_arm(**limits):
    """Three hinges about y, links of 0.4, 0.3 and 0.2 m along x."""
    links = (
        Link("upper", None, hinge("a", 0.0, **limits), BALL),
        Link("lower", "upper", hinge("b", 0.4), BALL),
        Link("wrist", "lower", hinge("c", 0.3), BALL),
        Link("tip", "wrist", Joint("flange", "fixed", (0.2, 0.0, 0.0))),
    )
    return Robot(Tree("planar", links), 1, dtype=DOUBLE)


def planar_solution(x, z, turn):
    """Two links' closed form (Craig 2005, section 4.4) for the wrist; z falls as angles about y grow."""
    wx, wz = x - 0.2 * math.cos(turn), -z - 0.2 * math.sin(turn)
    b = math.acos((wx**2 + wz**2 - 0.4**2 - 0.3**2) / (2 * 0.4 * 0.3))
    a = math.atan2(wz, wx) - math.atan2(0.3 * math.sin(b), 0.4 + 0.3 * math.cos(b))
    return [a, b, turn - a - b]


def panda_goal(worlds, spread=0.3, seed=0):
    """Pandas in their posture, and poses of the tool of others near it."""
    robot, random = Robot(load("panda"), worlds, dtype=DOUBLE), torch.Generator().manual_seed(seed)
    away = spread * torch.randn(worlds, 7, generator=random, dtype=DOUBLE)
    goal = robot.pose(robot.posture + torch.nn.functional.pad(away, (0, 2)), "tool")
    return robot, robot.posture.clone(), goal


def lacking(robot, q, goal):
    """Distance [m] and angle [rad], (N,)."""
    pose = robot.pose(q, "tool")
    cosine = (pose[:, 3:] * goal[:, 3:]).sum(-1).abs().clamp(max=1.0)
    chord = torch.minimum((pose - goal)[:, 3:].norm(dim=-1), (pose + goal)[:, 3:].norm(dim=-1))
    assert torch.allclose(2 * torch.arccos(cosine), 4 * torch.arcsin(0.5 * chord), atol=1e-6)
    return (pose - goal)[:, :3].norm(dim=-1), 4 * torch.arcsin(0.5 * chord)


def test_three_hinges_against_the_closed_form():
    robot = planar_arm()
    x, z, turn = 0.55, -0.2, 0.9
    goal = torch.tensor([[x, 0.0, z, 0.0, math.sin(turn / 2), 0.0, math.cos(turn / 2)]], dtype=DOUBLE)
    start = torch.tensor([[0.1, 0.3, 0.2]], dtype=DOUBLE)
    found = reach(robot, start, "tip", goal, iterations=12)
    assert found[0].tolist() == pytest.approx(planar_solution(x, z, turn), abs=1e-12)


def test_damping_divides_the_error_of_a_slide_by_its_closed_form():
    """One joint along x: J is 1 / 0.3 m, and each iteration leaves 1 / (1 + (J / damping)^2) of the error."""
    slide = Link("cart", None, Joint("slide", "prismatic", axis=(1.0, 0.0, 0.0)), BALL)
    robot, damping = Robot(Tree("cart", (slide,)), 1, dtype=DOUBLE), 2.0
    goal = torch.tensor([[0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]], dtype=DOUBLE)
    found = reach(robot, torch.zeros(1, 1, dtype=DOUBLE), "cart", goal, damping=damping, iterations=3)
    assert float(found) == pytest.approx(0.5 * (1 - (1 + (1 / (0.3 * damping)) ** 2) ** -3), rel=1e-14)


def test_the_panda_finds_poses_and_its_fingers_stay():
    """Ten iterations from joints 0.3 rad (standard deviation) away; what is left then is rounding."""
    robot, q, goal = panda_goal(32)
    found = reach(robot, q, "tool", goal, joints=ARM, iterations=10)
    distance, angle = lacking(robot, found, goal)
    print(f"\nmeasured: {float(distance.max()):.1e} m, {float(angle.max()):.1e} rad")
    assert float(distance.max()) < 1e-9 and float(angle.max()) < 1e-9
    assert torch.equal(found[:, 7:], q[:, 7:])


def test_one_iteration_a_step_follows_a_tool():
    """A tool that goes 0.1 m and turns 1 rad in 40 steps is behind by less than the square of a step of 0.025 rad."""
    robot, q, _ = panda_goal(1)
    first, worst = robot.pose(q, "tool"), 0.0
    for step in range(1, 41):
        part = step / 40
        angle = torch.tensor(0.5 * part, dtype=DOUBLE)
        turn = torch.stack([angle.sin(), angle.cos()])  # about the world's x, on the tool's quaternion (1, 0, 0, 0)
        goal = first.clone()
        goal[0, 1] += 0.1 * part
        x, y, z, w = first[0, 3:]
        goal[0, 3:] = torch.stack([turn[1] * x + turn[0] * w, turn[1] * y - turn[0] * z,
                                   turn[1] * z + turn[0] * y, turn[1] * w - turn[0] * x])  # fmt: skip
        q = reach(robot, q, "tool", goal, joints=ARM)
        worst = max(worst, *(float(each.max()) for each in lacking(robot, q, goal)))
    print(f"\nmeasured: {worst:.1e}")
    assert worst < 0.025**2


def test_the_short_way_round_is_taken():
    """A quaternion and its negative are one pose."""
    robot, q, goal = panda_goal(4)
    other = torch.cat([goal[:, :3], -goal[:, 3:]], -1)
    found = [reach(robot, q, "tool", each, joints=ARM, iterations=10) for each in (goal, other)]
    assert torch.equal(*found)


def test_limits_are_kept():
    robot = planar_arm(lower=-0.1, upper=0.1)
    goal = torch.tensor([[0.3, 0.0, -0.6, 0.0, math.sin(0.6), 0.0, math.cos(0.6)]], dtype=DOUBLE)
    assert planar_solution(0.3, -0.6, 1.2)[0] > 0.3
    found = reach(robot, torch.zeros(1, 3, dtype=DOUBLE), "tip", goal, iterations=30)
    assert float(found[0, 0]) == 0.1


@pytest.mark.parametrize("iterations", [1, 6])
def test_gradients_against_central_differences(iterations):
    """By start and pose, in random directions; step 1e-6: 1e-12 of the formula and 1e-10 of rounding."""
    robot, q, goal = panda_goal(3, seed=1)
    random = torch.Generator().manual_seed(2)
    q = q + 0.1 * torch.randn(q.shape, generator=random, dtype=DOUBLE) * torch.tensor([1.0] * 7 + [0.0] * 2)
    weight = torch.randn(q.shape, generator=random, dtype=DOUBLE)

    def loss(q, goal):
        return (weight * reach(robot, q, "tool", goal, joints=ARM, iterations=iterations)).sum()

    leaves = [q.clone().requires_grad_(), goal.clone().requires_grad_()]
    grads = torch.autograd.grad(loss(*leaves), leaves)
    for which in range(2):
        for _ in range(3):
            way = torch.randn(leaves[which].shape, generator=random, dtype=DOUBLE)
            ends = [[q, goal], [q, goal]]
            for sign, end in zip((1e-6, -1e-6), ends, strict=True):
                end[which] = end[which] + sign * way
            expected = float(loss(*ends[0]) - loss(*ends[1])) / 2e-6
            assert float((grads[which] * way).sum()) == pytest.approx(expected, rel=1e-7)


def test_bits_do_not_depend_on_the_others():
    _, q, goal = panda_goal(5)
    single = Robot(load("panda"), 1)
    together = reach(Robot(load("panda"), 5), q.float(), "tool", goal.float(), joints=ARM, iterations=3)
    for i in range(5):
        alone = reach(single, q[i : i + 1].float(), "tool", goal[i : i + 1].float(), joints=ARM, iterations=3)
        assert torch.equal(alone[0], together[i])


def test_what_does_not_fit_is_refused():
    robot, q, goal = panda_goal(2)
    with pytest.raises(KeyError, match="no joint 'elbow'; it has joint1"):
        reach(robot, q, "tool", goal, joints=("elbow",))
    with pytest.raises(KeyError, match="no link 'hook'"):
        reach(robot, q, "hook", goal)
    with pytest.raises(ValueError, match=r"pose is \(1, 7\)"):
        reach(robot, q, "tool", goal[:1])
    for wrong in ({"damping": 0.0}, {"iterations": 0}):
        with pytest.raises(ValueError, match="both must be positive"):
            reach(robot, q, "tool", goal, **wrong)


def test_a_free_base_stays_and_a_foot_gets_there():
    """Half of the joints' way from where the foot was: what floats is no joint that reaches."""
    dog = Robot(load("quadruped"), 1, dtype=DOUBLE)
    foot = dog.links[-1]
    there = dog.posture.clone()
    there[:, -3:] += 0.1
    goal = dog.pose(there, foot)
    found = reach(dog, dog.posture, foot, goal, iterations=12)
    assert torch.equal(found[:, :7], dog.posture[:, :7])
    assert (dog.pose(found, foot) - goal)[:, :3].abs().max() < 1e-9


def poses(count: int, dtype: torch.dtype) -> torch.Tensor:
    """Down, turned about the vertical, in the peg tasks' room."""
    random = torch.rand((count, 4), generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    place = torch.stack([0.4 + 0.2 * random[:, 0], 0.2 * random[:, 1] - 0.1, 0.1 + 0.1 * random[:, 2]], -1)
    half = random[:, 3] - 0.5
    turn = torch.stack([torch.cos(half), torch.sin(half), 0.0 * half, 0.0 * half], -1)
    return torch.cat([place, turn], -1).to(dtype)


@pytest.mark.parametrize(("dtype", "limit"), [(DOUBLE, 1e-12), (torch.float32, 2e-6)])
def test_poses_are_found(dtype: torch.dtype, limit: float):
    robot = Robot(load("panda", posture=POSTURE), num_worlds=64, dtype=dtype)
    wanted = poses(64, dtype)
    q = robot.reach(wanted, "tool")
    found = robot.pose(q, "tool")
    assert (found - wanted)[:, :3].abs().max() < limit
    assert (1.0 - (found[:, 3:] * wanted[:, 3:]).sum(-1).abs()).max() < limit
    assert torch.equal(q[:, 7:], robot.posture[:, 7:])  # fingers do not move the tool
    lower, upper = robot.table.lower[:7], robot.table.upper[:7]
    assert (q[:, :7] >= torch.as_tensor(lower).to(dtype)).all() and (q[:, :7] <= torch.as_tensor(upper).to(dtype)).all()
    alone = Robot(load("panda", posture=POSTURE), num_worlds=1, dtype=dtype)
    assert torch.equal(alone.reach(wanted[5:6], "tool")[0], q[5])


def test_the_derivative_of_the_solution():
    """The tool follows the pose: d pose(reach(p)) / dp is the identity, of places."""
    robot = Robot(load("panda", posture=POSTURE), num_worlds=2, dtype=DOUBLE)
    wanted = poses(2, DOUBLE).requires_grad_()
    found = robot.pose(robot.reach(wanted, "tool"), "tool")
    for axis in range(3):
        (grad,) = torch.autograd.grad(found[:, axis].sum(), wanted, retain_graph=True)
        assert (grad[:, :3] - torch.eye(3, dtype=DOUBLE)[axis]).abs().max() < 1e-6
        assert grad[:, 3:].abs().max() < 1e-6
    direction = torch.tensor([0.3, -0.2, 0.5], dtype=DOUBLE)
    (grad,) = torch.autograd.grad((robot.reach(wanted, "tool")[:, :7] ** 2).sum(), wanted)
    ends = []
    with torch.no_grad():
        for sign in (1.0, -1.0):  # from the solution itself, so that free joints stay as still as the derivative says
            moved = wanted.detach().clone()
            moved[:, :3] += sign * 1e-6 * direction
            start = robot.reach(wanted.detach(), "tool")
            ends.append(float((robot.reach(moved, "tool", start)[:, :7] ** 2).sum()))
    assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(float((grad[:, :3] * direction).sum()), rel=1e-6)
