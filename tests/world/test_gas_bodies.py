# SPDX-License-Identifier: Apache-2.0
"""Bodies that are lighter than the gas around them, and what moves gas: balloons, a fan, a jet."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Sphere
from simenv.physics.bodies.forest import JointDrive
from simenv.physics.bodies.tree import Fitted, Inertial, Joint, Link, Tree
from simenv.physics.flow.obstacles import Obstacle
from simenv.physics.gas.carried import carried_along
from simenv.physics.gas.model import SIDES, GasModel, Inlet, Outlet, Periodic, Scalar, Slip, Wall
from simenv.physics.rotation import quaternion_multiply
from simenv.world import Control, Scene

AIR = 1.2


def test_a_ball_carries_half_of_its_volume_and_a_long_post_all_of_it_across():
    """Added masses in unbounded gas: half of the gas in the place of a ball, and all of that in the place of a cylinder
    in a flow in two dimensions; none to turn, as gas slips. Of the cells' first order.
    """
    model = GasModel((32, 32, 32), 0.02, dict.fromkeys(SIDES, Wall()), {})
    found = carried_along(model, [Obstacle("ball", Sphere(0.1))], 1e-3, 0.0, torch.float64, torch.device("cpu"))
    volume = 4.0 / 3.0 * math.pi * 0.1**3
    assert np.diag(found)[:3] == pytest.approx(np.full(3, 0.5 * volume), rel=0.1)
    assert np.abs(found[3:, 3:]).max() < 0.01 * volume * 0.1**2
    flat = {**dict.fromkeys(SIDES[:4], Wall()), "z-": Slip(), "z+": Slip()}
    model = GasModel((32, 32, 1), 0.02, flat, {})
    found = carried_along(
        model, [Obstacle("post", Box((0.1, 0.1, 1.0)))], 1e-3, 0.0, torch.float64, torch.device("cpu")
    )
    # Newman 1977, Marine Hydrodynamics, table 4.3: 4.754 a^2 of a square of half side a
    assert np.diag(found)[:2] == pytest.approx(np.full(2, 4.754 * 0.1**2 * 0.02), rel=0.12)


def box_of(density, ticks=4, cells=12, radius=0.1, sides=None, **gas):
    dx = radius / 3
    scene = Scene(substep_dt=0.005, substeps=ticks, gravity=gas.pop("gravity", (0.0, 0.0, -9.81)))
    sides = dict.fromkeys(SIDES, Outlet()) if sides is None else sides
    scene.add_gas("air", AIR, 1e-5, sides, size=(8 * radius, 8 * radius, cells * radius), dx=dx, **gas)
    place = (4.03 * radius, 3.98 * radius, 3.0 * radius)
    scene.add_body("ball", Sphere(radius), density, place, motion="free", coupling="rigid")
    return scene


@pytest.mark.parametrize("density", [1e-3, 0.2])
def test_a_balloon_rises_as_its_added_mass_lets_it(density):
    """From rest, at first without a wake: (rho - rho_b) g = (rho_b + rho / 2) a, but for the error of the added mass,
    some 5 % at three cells a radius. Later it is about as fast as it gets, and is not thrown about: drag is weight at
    2 to 3 m/s.
    """
    world = box_of(density).make_world(1)
    state, ball = world.initial_state(), world.bodies["ball"]
    expected = (AIR - density) / (density + 0.5 * AIR) * 9.81
    for step in range(12):
        before = ball.twist(state)[0]
        state = world.step(state, world.zero_control())
        assert int(state.status) == 0
        twist = ball.twist(state)[0]
        if step == 1:
            assert twist[2].item() == pytest.approx(expected * state.time.item(), rel=0.07)
        assert (twist - before)[:3].norm() < 1.2 * expected * world.dt
        assert twist[:2].norm() < 0.1 * twist[2] and twist[3:].norm() * 0.1 < 0.5 * twist[2]
    assert 1.5 < twist[2] < 3.5


def test_what_a_balloon_gains_gas_loses_but_for_what_is_on_its_way():
    sides = {side: Periodic() for side in SIDES}
    scene = box_of(0.05, cells=8, sides=sides, gravity=(0.0, 0.0, 0.0), tolerance=1e-12, iterations=40)
    world = scene.make_world(1, dtype=torch.float64)
    state = world.initial_state()
    state = state.replace(gas_u=state.gas_u + 0.3)
    mass = 0.05 * 4.0 / 3.0 * math.pi * 0.1**3
    for _ in range(4):
        was, owed = world.bodies["ball"].twist(state)[0, :3], state.gas_owed[0, 0, :3]
        state = world.step(state, world.zero_control())
        assert int(state.status) == 0
        now = world.bodies["ball"].twist(state)[0, :3]
        gained = mass * (now - was) + state.gas_owed[0, 0, :3] - owed
        felt = world.gas.wrench(state, "ball")[0, :3] * world.dt
        assert (gained - felt).abs().max() < 1e-12 * AIR * 0.3 * 0.8**3
    assert now[0] > 0.2  # it goes along


def test_a_body_that_cannot_answer_must_be_heavier_than_the_gas_it_carries():
    scene = Scene(substep_dt=0.005, substeps=4)
    scene.add_gas("air", AIR, 1e-5, size=(0.8, 0.8, 0.8), dx=0.05)
    scene.add_body("ball", Sphere(0.1), 0.4, (0.4, 0.4, 0.4), motion="free", coupling="contact")
    with pytest.raises(ValueError, match=r"'ball'.*lighter than it.*coupling='rigid', which bears any mass"):
        scene.make_world(1)


def fan(blades=4, radius=0.13, pitch=0.6):
    """A wheel of blades that turns about x."""
    inertia = tuple(tuple(5e-4 * (a == b) for b in range(3)) for a in range(3))
    shapes = []
    for number in range(blades):
        half = math.pi * number / blades
        turn = torch.tensor([math.sin(half), 0.0, 0.0, math.cos(half)])
        tilt = torch.tensor([0.0, 0.0, math.sin(0.5 * pitch), math.cos(0.5 * pitch)])
        place = (0.0, -math.sin(2.0 * half) * 0.6 * radius, math.cos(2.0 * half) * 0.6 * radius)
        shapes.append(Fitted(Box((0.015, 0.05, 0.4 * radius)), place, tuple(quaternion_multiply(turn, tilt).tolist())))
    joint = Joint("spin", "revolute", axis=(1.0, 0.0, 0.0))
    return Tree("fan", (Link("wheel", None, joint, Inertial(0.1, (0.0, 0.0, 0.0), inertia), (), tuple(shapes)),))


def test_a_fan_drives_smoke_and_is_pushed_back():
    """A turning link in a box open at both ends, from rest; turned the other way, all is the other way around."""
    scene = Scene(substep_dt=0.004, substeps=5, gravity=(0.0, 0.0, 0.0))
    sides = {"x-": Outlet(), "x+": Outlet()}
    start = np.zeros((24, 16, 16))
    start[9:15] = 1.0
    scene.add_gas("air", AIR, 1e-5, sides, {"smoke": Scalar(start=start)}, size=(0.48, 0.32, 0.32), dx=0.02)
    scene.add_robot("fan", fan(), (0.24, 0.16, 0.16), drive=JointDrive(0.0, 10.0))
    world = scene.make_world(2)
    state, rate = world.initial_state(), torch.tensor([[20.0], [-20.0]])
    along = torch.arange(24.0)[:, None, None]
    middle = (state.gas_scalar[:, 0] * along).sum((1, 2, 3)) / state.gas_scalar[:, 0].sum((1, 2, 3))
    for _ in range(20):
        state = world.step(state, Control(joint_rate=rate))
        assert not state.status.any()
    felt = world.gas.wrench(state, "fan/wheel")
    smoke = state.gas_scalar[:, 0]
    went = (smoke * along).sum((1, 2, 3)) / smoke.sum((1, 2, 3)) - middle
    flow = state.gas_u.mean((1, 2, 3))
    assert (felt[:, 3] * rate[:, 0] < 0.0).all()  # gas slows it
    assert (felt[:, 0] * flow < 0.0).all() and (flow * went > 0.0).all()
    assert went.abs().min() > 0.5 and flow[0] * flow[1] < 0.0  # half a cell and more
    assert felt[0, 0].item() == pytest.approx(-felt[1, 0].item(), rel=0.05)


def test_a_balloon_floats_in_a_jet():
    """A ball 50 times as light as air, blown up from below, is carried along and no faster than the jet."""
    scene = box_of(
        0.024, sides=dict.fromkeys(SIDES, Outlet()) | {"z-": Inlet((0.0, 0.0, 0.0))}, gravity=(0.0, 0.0, 0.0)
    )
    scene.add_source("jet", Sphere(0.1), (0.403, 0.398, 0.1))
    world = scene.make_world(1)
    state = world.initial_state()
    push = torch.tensor([[[0.0, 0.0, 20.0]]])
    speeds = []
    for _ in range(30):
        state = world.step(state, Control(gas_drive=push))
        assert int(state.status) == 0
        speeds.append(world.bodies["ball"].twist(state)[0, 2].item())
    assert 0.2 < max(speeds) < state.gas_w.abs().max().item()
    assert np.abs(np.diff(speeds, 2)).max() < 0.2 * max(speeds)  # smoothly
