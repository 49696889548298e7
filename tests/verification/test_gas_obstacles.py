# SPDX-License-Identifier: Apache-2.0
"""Gas around obstacles against an exact solution of Navier and Stokes, and published ones of a cylinder in a channel.

Sources: Couette 1890, Taylor 1923 (between cylinders that turn); Schaefer and Turek 1996, Benchmark computations of
laminar flow around a cylinder (2D-1 and 2D-2; converged values of featflow.de).
"""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Cup, Cylinder
from simenv.physics.gas.model import Inlet, Outlet, Slip
from simenv.world import Control, Scene


def couette_taylor(n):
    """Largest error in the gap of the speed of a cylinder that turns in another that stands, of its surface's, at
    faces a cell off; and of the torques on both.
    """
    dx, viscosity, inner, outer = 1.0 / n, 0.05, 0.21, 0.45
    dt = min(0.15 * dx * dx / viscosity, 0.3 * dx)
    scene = Scene(substep_dt=dt, substeps=10, gravity=(0.0, 0.0, 0.0))
    size = (1.0, 1.0, dx)
    scene.add_gas("gas", 1.0, viscosity, {"z-": Slip(), "z+": Slip()}, size=size, dx=dx, tolerance=1e-8, iterations=20)
    x, y = 0.513, 0.507
    scene.add_body("rotor", Cylinder(inner, 1.0), position=(x, y, 0.0))
    scene.add_body("cup", Cup(outer, 2.0, 0.2, 0.1), position=(x, y, -1.0), motion="fixed")
    world = scene.make_world(1, dtype=torch.float64)
    omega = 1.0 / inner
    told = torch.tensor([[[0.0, 0.0, 0.0, 0.0, 0.0, omega]]], dtype=torch.float64)
    state = world.initial_state()
    for _ in range(math.ceil(1.0 / (10 * dt))):
        state = world.step(state, Control(twist=told))
        assert int(state.status) == 0
    b = omega * (inner * outer) ** 2 / (outer**2 - inner**2)
    a, error = -b / outer**2, 0.0
    for axis, key in enumerate(("gas_u", "gas_v")):
        places = [dx * (torch.arange(m, dtype=torch.float64) + 0.5 * (d != axis)) for d, m in
                  enumerate(state[key].shape[1:])]  # fmt: skip
        px, py, _ = torch.meshgrid(*places, indexing="ij")
        away = torch.hypot(px - x, py - y)
        exact = (a + b / away**2) * (-(py - y) if axis == 0 else px - x)
        within = (away > inner + 0.8 * dx) & (away < outer - 0.8 * dx)
        error = max(error, (state[key][0] - exact)[within].abs().max().item())
    torque = 4.0 * math.pi * viscosity * b * dx
    felt = [world.gas.wrench(state, name)[0, 5].item() / torque for name in ("rotor", "cup")]
    return error, max(abs(felt[0] + 1.0), abs(felt[1] - 1.0))


def test_flow_between_turning_cylinders():
    """Velocities to 1 % at 32 cells, of second order; torques within 3 %, of first order."""
    (coarse, _), (fine, torque) = couette_taylor(16), couette_taylor(32)
    assert fine < 0.01 and 3.0 < coarse / fine
    assert torque < 0.03


def channel(n, speed, time, settle):
    """Coefficients of drag and lift on a cylinder in a channel, over time from `settle` on, (T, 3)."""
    height, viscosity, diameter = 0.41, 1e-3, 0.1
    dx = height / n
    dt = min(0.5 * dx / (1.6 * speed), 0.15 * dx * dx / viscosity)
    y = (np.arange(n) + 0.5) * dx
    profile = np.zeros((n, 1, 3))
    profile[:, 0, 0] = 4.0 * y * (height - y) / height**2
    sides = {"x-": Inlet((speed, 0.0, 0.0), profile), "x+": Outlet(), "z-": Slip(), "z+": Slip()}
    steps = max(1, round(0.01 / dt))
    scene = Scene(substep_dt=dt, substeps=steps, gravity=(0.0, 0.0, 0.0))
    size = (round(2.2 / dx) * dx, height, dx)
    scene.add_gas("gas", 1.0, viscosity, sides, size=size, dx=dx)
    scene.add_body("post", Cylinder(0.5 * diameter, 1.0), position=(0.2, 0.2, 0.0), motion="fixed")
    world = scene.make_world(1)
    state = world.initial_state()
    start = torch.tensor(speed * profile[:, 0, 0], dtype=torch.float32)
    state = state.replace(gas_u=state.gas_u + start[:, None])
    per, told = 2.0 / ((2.0 / 3.0 * speed) ** 2 * diameter * dx), []
    while state.time.item() < time:
        state = world.step(state, Control())
        assert int(state.status) == 0
        if state.time.item() > settle:
            told.append([state.time.item(), *(per * state.gas_wrench[0, 0, :2]).tolist()])
    return np.array(told)


@pytest.mark.slow
def test_a_cylinder_in_a_channel_at_20():
    """2D-1: steady; 10 cells a diameter."""
    found = channel(41, 0.3, 4.0, 3.9)
    assert found[-1, 1] == pytest.approx(5.5795, rel=0.03)


@pytest.mark.slow
def test_a_cylinder_in_a_channel_at_100():
    """2D-2: vortices; largest drag and Strouhal number, from the crossings of lift; 10 cells a diameter."""
    found = channel(41, 1.5, 7.0, 4.0)
    time, drag, lift = found.T
    up = np.nonzero((lift[:-1] < 0.0) & (lift[1:] >= 0.0))[0]
    at = time[up] - lift[up] * (time[up + 1] - time[up]) / (lift[up + 1] - lift[up])
    strouhal = 0.1 / 1.0 * (len(at) - 1) / (at[-1] - at[0])
    assert drag.max() == pytest.approx(3.22, rel=0.03)
    assert strouhal == pytest.approx(0.300, rel=0.03)
