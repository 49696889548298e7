# SPDX-License-Identifier: Apache-2.0
"""What `Robot` is given and gives: links fixed to others, worlds apart from each other, and errors."""

import numpy as np
import pytest
import torch

from simenv.errors import AssetError
from simenv.physics.bodies.table import table
from simenv.physics.bodies.tree import Inertial, Joint, Link, Mimic, Tree
from simenv.robots import Robot, load
from tests.robots.random_trees import random_state, random_tree, tree_of

BALL = Inertial(1.3, (0.05, -0.02, 0.1), ((0.02, 0.0, 0.0), (0.0, 0.03, 0.0), (0.0, 0.0, 0.025)))
TURNED = (0.0, 0.0, np.sin(0.3), np.cos(0.3))
# an arm on a post, with a tool fixed to it
ARM = Tree("arm", (
    Link("post", None, Joint("stand", position=(0.0, 0.0, 0.4))),
    Link("upper", "post", Joint("shoulder", "revolute", (0.0, 0.0, 0.1), TURNED, (0.0, 1.0, 0.0)), BALL),
    Link("lower", "upper", Joint("elbow", "revolute", (0.3, 0.0, 0.0), axis=(0.0, 1.0, 0.0)), BALL),
    Link("tool", "lower", Joint("mount", "fixed", (0.2, 0.0, 0.05), TURNED), Inertial(0.2)),
))  # fmt: skip


def arm(worlds: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Robot, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The arm, and positions, rates and torques of it."""
    rng = torch.Generator().manual_seed(4)
    return Robot(ARM, worlds, dtype=dtype), *torch.randn(3, worlds, 2, dtype=dtype, generator=rng)


def test_a_fixed_link_moves_with_what_carries_it():
    """Its place by hand; its Jacobian by central differences; a force on it does the work of one on what carries it."""
    robot, q, qd, tau = arm()
    assert (robot.joints, robot.links) == (("shoulder", "elbow"), ("post", "upper", "lower", "tool"))
    assert robot.table.links == ("upper", "lower")
    at = robot.pose(q, "tool")
    radius = 0.3 * q[:, 0].cos() + 0.2 * (q[:, 0] + q[:, 1]).cos() + 0.05 * (q[:, 0] + q[:, 1]).sin()
    height = 0.5 - 0.3 * q[:, 0].sin() - 0.2 * (q[:, 0] + q[:, 1]).sin() + 0.05 * (q[:, 0] + q[:, 1]).cos()
    place = torch.stack([radius * np.cos(0.6), radius * np.sin(0.6), height], -1)
    assert torch.allclose(at[:, :3], place, atol=1e-14, rtol=0.0)
    poses = robot.link_poses(q)
    assert torch.equal(poses[:, 3], at)
    assert poses[:, 0].tolist() == [[0.0, 0.0, 0.4, 0.0, 0.0, 0.0, 1.0]] * 3
    jacobian = robot.jacobian(q, "tool")
    for index, column in enumerate(jacobian.unbind(-1)):
        step = 1e-6 * torch.eye(2, dtype=torch.float64)[index]
        slope = (robot.pose(q + step, "tool") - robot.pose(q - step, "tool"))[:, :3] / 2e-6
        assert torch.allclose(column[:, :3], slope, atol=1e-9)
    assert torch.allclose(robot.twist(q, qd, "tool"), (jacobian @ qd[..., None])[..., 0], atol=1e-14)
    push = torch.tensor([[1.0, -2.0, 3.0, 0.4, 0.5, -0.6]], dtype=torch.float64).expand(3, 6)
    work = (jacobian.mT @ push[..., None])[..., 0]
    assert torch.allclose(robot.bias(q, qd) - robot.bias(q, qd, {"tool": push}), work, atol=1e-13)
    both = robot.forward_dynamics(q, qd, tau, {"tool": push, "lower": push, "post": push})
    lower = (robot.jacobian(q, "lower").mT @ push[..., None])[..., 0]
    assert torch.allclose(both, robot.forward_dynamics(q, qd, tau + work + lower), atol=1e-11)


def test_what_is_fixed_to_the_world_stands_still():
    robot, q, qd, _ = arm()
    assert not robot.jacobian(q, "post").any() and not robot.twist(q, qd, "post").any()
    assert robot.jacobian(q, "post").shape == (3, 6, 2)


@pytest.mark.parametrize("mimic", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_worlds_do_not_feel_each_other(dtype, mimic):
    """Bit for bit alone and among others, of which one is not finite and one has no mass."""
    tree = random_tree(62 if mimic else 3, 8, True, mimic)
    many, one = Robot(tree, 5, dtype=dtype), Robot(tree, 1, dtype=dtype)
    rng = np.random.default_rng(0)
    states = [random_state(many.table, rng) for _ in range(5)]
    size = len(many.joints)
    assert (size < len(many.table.rates)) == mimic
    q = torch.as_tensor(np.array([s.q[many.table.lead_positions] for s in states]), dtype=dtype)
    qd, tau = (torch.as_tensor(np.array([getattr(s, n)[:size] for s in states]), dtype=dtype) for n in ("v", "tau"))
    q[1, 0], qd[1, 1] = torch.nan, torch.inf
    many.inertial[3] = 0.0
    for robot in (many, one):
        robot.armature = torch.zeros_like(robot.armature)

    def values(robot: Robot, rows: slice) -> list[torch.Tensor]:
        given = [each[rows].clone().requires_grad_() for each in (q, qd, tau)]
        out = robot.forward_dynamics(*given)
        return [out.detach(), robot.mass_matrix(q[rows]), *torch.autograd.grad(out.sum(), given)]

    whole = values(many, slice(None))
    for world in (0, 2, 4):
        alone = values(one, slice(world, world + 1))
        assert all(torch.isfinite(each).all() for each in alone)
        for a, b in zip(whole, alone, strict=True):
            assert torch.equal(a[world], b[0])
    for world in (1, 3):
        assert not torch.isfinite(whole[0][world]).all()


@pytest.mark.parametrize("kinds", [("free", "revolute", "ball"), ("planar", "prismatic", "revolute")], ids="-".join)
def test_what_is_not_finite_is_never_lost(kinds):
    """One number a world that is not, and quaternions of zeros, which are no turn: what needs it is not finite."""
    t = table(tree_of(*kinds))
    nq, nv = t.positions, len(t.rates)
    robot = Robot(tree_of(*kinds), nq + 2 * nv, dtype=torch.float64)
    s = random_state(t, np.random.default_rng(0))
    q, qd, tau = (torch.as_tensor(each).repeat(nq + 2 * nv, 1) for each in (s.q, s.v, s.tau))
    given = torch.cat([q, qd, tau], 1)
    given[torch.arange(nq + 2 * nv), torch.arange(nq + 2 * nv)] = torch.nan
    q, qd, tau = given.split([nq, nv, nv], 1)
    finite = torch.isfinite(robot.forward_dynamics(q, qd, tau)).all(1)
    moves_all = 3 if kinds[0] == "free" else 2  # its place, and slides of a plane in the world, change no acceleration
    assert not finite[moves_all:nq].any() and not finite[nq:].any()
    if kinds[0] == "free":
        for empty in ((3, 7), (8, 12)):
            q = torch.as_tensor(s.q).repeat(nq + 2 * nv, 1)
            q[:, slice(*empty)] = 0.0
            still = torch.zeros_like(qd)
            for value in (robot.mass_matrix(q), robot.forward_dynamics(q, still, still), robot.pose(q, "link2")):
                assert not torch.isfinite(value).flatten(1).all(1).any()


def test_easing_is_damping_taken_implicitly():
    """(M + dt D) a = tau - h, also where a joint follows another."""
    for follows in (None, Mimic("shoulder", -0.5, 0.1)):
        joint = Joint("elbow", "revolute", (0.3, 0.0, 0.0), axis=(0.0, 1.0, 0.0), mimic=follows)
        tree = Tree("arm", (*ARM.links[:2], Link("lower", "upper", joint, BALL)))
        robot = Robot(tree, 3, dtype=torch.float64)
        size = len(robot.joints)
        q, qd, tau = torch.randn(3, 3, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        easing = torch.rand(3, size, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        found = robot.forward_dynamics(q, qd, tau, easing=easing)
        matrix = robot.mass_matrix(q) + torch.diag_embed(easing)
        wanted = torch.linalg.solve(matrix, tau - robot.bias(q, qd))
        assert torch.allclose(found, wanted, atol=1e-12)


def test_a_robot_starts_in_its_posture():
    robot = Robot(load("panda", posture={"joint1": 0.3}), 2)
    assert robot.posture.shape == (2, 9) and robot.posture.dtype == torch.float32
    assert robot.posture[1].tolist() == pytest.approx(
        [0.3, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4, 0.02, 0.02], abs=1e-6
    )


def test_integration_is_exact_at_a_constant_rate():
    """Two half turns of a ball about an axis of its own, and of a free body about one of the world."""
    inertial = Inertial(1.0, inertia=((0.1, 0.0, 0.0), (0.0, 0.1, 0.0), (0.0, 0.0, 0.1)))
    for kind, rate, place in (("ball", [0.0, 0.0, np.pi], []), ("free", [1.0, 2.0, 3.0, 0.0, 0.0, np.pi], [0.0] * 3)):
        robot = Robot(Tree("one", (Link("a", None, Joint("j", kind), inertial),)), 1, dtype=torch.float64)
        start = torch.tensor([[*place, 1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)  # half a turn about x
        end = robot.integrate(start, torch.tensor([rate], dtype=torch.float64), 1.0)[0].tolist()
        # x then z in the body is half a turn about -y, z then x in the world about y
        wanted = [0.0, -1.0, 0.0, 0.0] if kind == "ball" else [1.0, 2.0, 3.0, 0.0, 1.0, 0.0, 0.0]
        assert end == pytest.approx(wanted, abs=1e-15)


@pytest.mark.cuda
@pytest.mark.parametrize("mimic", [False, True])
def test_a_gpu_computes_the_same(mimic):
    """Values and gradients of a tree of all kinds of joints, in double precision."""
    tree = random_tree(62 if mimic else 3, 8, True, mimic)
    results = []
    for device in ("cpu", "cuda"):
        robot = Robot(tree, 3, device, torch.float64)
        t, rng = robot.table, np.random.default_rng(0)
        states = [random_state(t, rng) for _ in range(3)]
        q = [s.q[t.lead_positions] for s in states]
        qd, tau = ([getattr(s, name)[: len(robot.joints)] for s in states] for name in ("v", "tau"))
        given = [torch.tensor(np.array(each), device=device, requires_grad=True) for each in (q, qd, tau)]
        out = robot.forward_dynamics(*given)
        results.append([out, robot.mass_matrix(given[0]), *torch.autograd.grad(out.sum(), given)])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other.cpu(), rtol=1e-9, atol=1e-9 * float(one.abs().max()))


# ------------------------------------------------------------------------------------------------------- errors


def test_errors_say_what_is_wanted():
    robot, q, qd, tau = arm()
    for wrong, why in (
        (q[:2], r"q is \(2, 2\); 3 robots 'arm' with the joints shoulder, elbow need a tensor \(3, 2\)"),
        (q.float(), r"q is torch.float32 on cpu, the robot torch.float64 on cpu; convert it"),
        ([[0.0, 0.0]], r"q is a list"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=why):
            robot.mass_matrix(wrong)
    for name in ("qd", "tau", "easing"):
        given = {"qd": qd, "tau": tau, name: qd[:, :1]}
        with pytest.raises(ValueError, match=rf"{name} is \(3, 1\)"):
            robot.forward_dynamics(q, **given)
    with pytest.raises(ValueError, match=r"wrench\['tool'\] is \(3, 3\)"):
        robot.bias(q, qd, {"tool": torch.zeros(3, 3, dtype=torch.float64)})
    with pytest.raises(KeyError, match="robot 'arm' has no link 'hand'; it has post, upper, lower, tool"):
        robot.pose(q, "hand")
    for name, shape in (("inertial", (2, 10)), ("armature", (3, 1)), ("gravity", (3,))):
        robot, *_ = arm()
        setattr(robot, name, torch.zeros(shape, dtype=torch.float64))
        with pytest.raises(ValueError, match=rf"{name} is .*need a tensor \(3, "):
            robot.forward_dynamics(q, qd, tau)
    with pytest.raises(ValueError, match="num_worlds = 0"):
        Robot(ARM, 0)
    with pytest.raises(ValueError, match=r"dtype = torch.float16"):
        Robot(ARM, dtype=torch.float16)
    with pytest.raises(ValueError, match=r"Robot: gravity = \(0.0, 9.81\)"):
        Robot(ARM, gravity=(0.0, 9.81))
    with pytest.raises(AssetError, match="robot 'still' has no joint that moves"):
        Robot(Tree("still", (Link("a", None, Joint("j")),)))
