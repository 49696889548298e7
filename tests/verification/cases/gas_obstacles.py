# SPDX-License-Identifier: Apache-2.0
"""Gas around obstacles: between cylinders of which one turns, and around a cylinder in a channel."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch

from simenv.geometry.shapes import Cup, Cylinder
from simenv.physics.gas.model import Inlet, Outlet, Slip
from simenv.world import Control, Scene
from tests.verification.cases.base import Case, Outcome


@cache
def couette_taylor(n: int) -> tuple[float, float, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Of a cylinder that turns in another that stands the largest error of the speed in the gap, at faces a cell off,
    over that of its surface; that of the torques on both; and the speed along a radius.
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
    curves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for axis, key in enumerate(("gas_u", "gas_v")):
        places = [dx * (torch.arange(m, dtype=torch.float64) + 0.5 * (d != axis)) for d, m in
                  enumerate(state[key].shape[1:])]  # fmt: skip
        px, py, _ = torch.meshgrid(*places, indexing="ij")
        away = torch.hypot(px - x, py - y)
        exact = (a + b / away**2) * (-(py - y) if axis == 0 else px - x)
        within = (away > inner + 0.8 * dx) & (away < outer - 0.8 * dx)
        error = max(error, (state[key][0] - exact)[within].abs().max().item())
        if axis == 1:
            row = int(y / dx)
            chosen = within[:, row, 0] & (px[:, row, 0] > x)
            radius = away[chosen, row, 0].numpy()
            curves = {"u(r)": (radius, state[key][0, chosen, row, 0].numpy())}
    line = np.linspace(inner, outer, 100)
    curves["reference"] = (line, a * line + b / line)
    torque = 4.0 * math.pi * viscosity * b * dx
    felt = [world.gas.wrench(state, name)[0, 5].item() / torque for name in ("rotor", "cup")]
    return error, max(abs(felt[0] + 1.0), abs(felt[1] - 1.0)), curves


def channel(n: int, speed: float, time: float, settle: float) -> np.ndarray:
    """Time and coefficients of drag and lift on a cylinder in a channel, from `settle` on, (T, 3)."""
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


def turning(n: int) -> Outcome:
    """Largest errors of the velocity, of the wall's, and of the torques."""
    error, torque, curves = couette_taylor(n)
    return Outcome({"velocity": error, "torques": torque}, curves)


def steady(n: int) -> Outcome:
    """2D-1."""
    found = channel(n, 0.3, 4.0, 0.5)
    drag = float(found[-1, 1])
    curves = {"drag": (found[:, 0], found[:, 1]), "reference": (found[:, 0], 0.0 * found[:, 0] + 5.57953523)}
    return Outcome({"drag": abs(drag / 5.57953523 - 1.0)}, curves, {"drag": drag, "lift": float(found[-1, 2])})


def shedding(n: int) -> Outcome:
    """2D-2: largest drag and Strouhal number, from the crossings of lift."""
    time, drag, lift = channel(n, 1.5, 7.0, 4.0).T
    up = np.nonzero((lift[:-1] < 0.0) & (lift[1:] >= 0.0))[0]
    at = time[up] - lift[up] * (time[up + 1] - time[up]) / (lift[up + 1] - lift[up])
    strouhal = 0.1 * (len(at) - 1) / (at[-1] - at[0])
    errors = {
        "largest drag": abs(float(drag.max()) / 3.23 - 1.0),
        "Strouhal number": abs(float(strouhal) / 0.300 - 1.0),
    }
    values = {"largest drag": float(drag.max()), "Strouhal number": float(strouhal), "largest lift": float(lift.max())}
    return Outcome(errors, {"drag": (time, drag), "lift": (time, lift)}, values)


_CHANNEL = (
    "A channel of 2.2 x 0.41 m with walls, a cylinder of 0.1 m at (0.2, 0.2) m, a parabolic inflow of at most {} m/s, "
    "viscosity 0.001 Pa s, density 1 kg/m^3; an outlet at pressure zero."
)
_SOURCE = "Schaefer and Turek (1996), Benchmark computations of laminar flow around a cylinder, case {}"

CASES = (
    Case(
        "cylinders",
        "Flow between cylinders of which the inner turns",
        "u = a r + b / r;  torque = 4 pi mu b L",
        "Radii 0.21 and 0.45 m, placed off the cells, viscosity 0.05 Pa s, from rest for 1 s; float64. Errors are of "
        "the speed of the wall, at the faces a cell off, and of the torques on both.",
        "Couette (1890), Taylor (1923)",
        turning,
        (16, 32, 64),
        32,
        "cells over the box",
        {"velocity": 0.01, "torques": 0.03},
        ("r [m]", "u [m/s]"),
    ),
    Case(
        "cylinder_20",
        "Cylinder in a channel at Re 20",
        "C_D = 2 F / (rho U^2 D L) = 5.5795",
        _CHANNEL.format(0.3),
        _SOURCE.format("2D-1"),
        steady,
        (20, 41, 82),
        41,
        "cells over the channel",
        {"drag": 0.03},
        ("t [s]", "C_D"),
        slow=True,
    ),
    Case(
        "cylinder_100",
        "Cylinder in a channel at Re 100",
        "largest C_D = 3.22 to 3.24;  St = f D / U = 0.295 to 0.305",
        _CHANNEL.format(1.5),
        _SOURCE.format("2D-2"),
        shedding,
        (20, 30, 41),
        41,
        "cells over the channel",
        {"largest drag": 0.03, "Strouhal number": 0.03},
        ("t [s]", "C_D, C_L"),
        slow=True,
    ),
)
