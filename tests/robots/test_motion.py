# SPDX-License-Identifier: Apache-2.0
"""The Panda's chain in motion: stops of its joints, and limits of its motors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from simenv.physics.rotation import quaternion_multiply
from simenv.robots import JointDrive, ToolDrive, Tree, chain, load
from simenv.world import Scene
from tests.robots.panda import joints

BENT = [[0.1, -0.4, 0.3, -1.5, 0.2, 1.8, 0.5]]


def double(values) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float64)


def panda(**changed: dict[str, float]) -> Tree:
    """Its chain, whose joints nothing stops but what is given by joint."""
    tree, free = chain(load("panda")), {"lower": -np.inf, "upper": np.inf}
    return replace(tree, links=tuple(
        link if link.joint.kind == "fixed" else
        replace(link, joint=replace(link.joint, **free | changed.get(link.joint.name, {})))
        for link in tree.links
    ))  # fmt: skip


def world_of(tree: Tree, dt: float, ticks: int, worlds: int = 1, gravity: float = 0.0, **options):
    """Worlds with this robot."""
    scene = Scene(substep_dt=dt, substeps=ticks, gravity=(0.0, 0.0, gravity))
    scene.add_robot("arm", tree, **options)
    world = scene.make_world(worlds, dtype=torch.float64)
    return world, world.robots["arm"]


def test_stops_hold_and_take_energy():
    """Loose arms fall on their stops in two seconds. In the tick in which a joint reaches its limit it goes no farther
    than its speed takes it, 2.61 rad/s at most; the sum of energies sinks.
    """
    dt, tree = 1.0 / 960.0, chain(load("panda"))
    world, arm = world_of(tree, dt, 16, 8, -9.81)
    q, still = double(joints(8, seed=6)), torch.zeros((8, 7), dtype=torch.float64)
    state, stopped = arm.place(world.initial_state(), q), torch.zeros(8, dtype=torch.bool)
    lower, upper = double(arm.spec.table.lower), double(arm.spec.table.upper)
    start = sum(arm.model.energy(q, still))
    for _ in range(120):
        state = world.step(state, world.zero_control())
        q = arm.positions(state)
        assert torch.maximum(lower - q, q - upper).max() < 2.61 * dt
        stopped |= ((q <= lower) | (q >= upper)).any(-1)
    assert stopped.all() and not state.status.any()
    assert (sum(arm.model.energy(q, arm.rates(state))) < start).all()


@pytest.mark.parametrize("ticks", [1, 2, 8])
def test_a_stop_is_an_impulse_on_its_joint(ticks):
    """M (v' - v) has the stopped joint's row alone, so that it takes (v_i^2 - v'_i^2) / (2 (M^-1)_ii) of the kinetic
    energy; v'_i is at most a third of -v_i, the bounce of a near rigid stop that is reached within a tick.
    """
    world, arm = world_of(panda(joint4={"upper": -1.5}), 1e-6, ticks)
    q, rate = double(BENT), double([[0.3, 0.2, -0.4, 1.0, 0.3, -0.2, 0.5]])
    after = arm.rates(world.step(arm.place(world.initial_state(), q, rate), world.zero_control()))
    inertia = arm.model.mass_matrix(q)[0]
    impulse, there = inertia @ (after - rate)[0], torch.arange(7) == 3
    assert impulse[~there].abs().max() < 1e-5 * ticks * impulse[there].abs()  # Coriolis forces, over microseconds
    assert -1.0 / 3.0 < float(after[0, 3]) <= 0.0
    lost = 0.5 * (rate @ inertia @ rate.T - after @ inertia @ after.T)
    taken = 0.5 * (1.0 - float(after[0, 3]) ** 2) / float(torch.linalg.inv(inertia)[3, 3])
    assert float(lost) == pytest.approx(taken, rel=1e-5 * ticks)


def test_motors_do_not_exceed_their_torque():
    """An arm with weak motors under a stiff impedance moves as one that these torques alone act on."""
    efforts = [5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.2]
    weak = panda(**{f"joint{i}": {"effort": effort} for i, effort in enumerate(efforts, 1)})
    tools = {"tool": ToolDrive((600.0, 50.0), (120.0, 10.0))}
    world, arm = world_of(weak, 1.0 / 960.0, 1, gravity=-9.81, drive=JointDrive(), tools=tools)
    q = double(BENT)
    state = arm.place(world.initial_state(), q)
    goal = arm.model.pose(q, "tool") + double([[-50.0, 30.0, 80.0, 0.0, 0.0, 0.0, 0.0]])
    goal[:, 3:] = quaternion_multiply(double([[0.3, 0.3, 0.3, np.sqrt(0.73)]]), goal[:, 3:])
    rate = arm.rates(world.step(state, world.control(goal={"arm/tool": goal})))
    torque = (arm.model.mass_matrix(q) @ (rate / world.dt)[..., None])[..., 0] + arm.model.bias(q, 0 * q)
    assert torque.abs()[0].tolist() == pytest.approx(efforts, rel=1e-9)
