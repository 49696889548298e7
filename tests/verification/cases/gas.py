# SPDX-License-Identifier: Apache-2.0
"""Incompressible gas against exact solutions of Navier and Stokes, and published ones of cavities and convection.

All in double precision, of density 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from simenv.geometry.shapes import Box
from simenv.physics.gas.model import SIDES, Inlet, Periodic, Scalar, Slip, Wall
from simenv.world import Control, Scene, State, World
from tests.verification.cases.base import Case, Outcome

PERIODIC = {side: Periodic() for side in SIDES}
K = 2.0 * math.pi
Values = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def world_of(size, dx, dt, viscosity, sides, steps=1, dtype=torch.float64, source=None, **gas) -> World:
    """A world of gas of density 1; a step of the world is `steps` of the gas."""
    scene = Scene(substep_dt=dt, substeps=steps, gravity=gas.pop("gravity", (0.0, 0.0, 0.0)))
    scene.add_gas("gas", 1.0, viscosity, sides, size=size, dx=dx, **{"tolerance": 1e-9, "iterations": 20, **gas})
    if source is not None:
        scene.add_source("all", source, width=1e-6)
    return scene.make_world(1, dtype=dtype)


def faces(world: World, axis: int, value: Values) -> torch.Tensor:
    """Values (x, y, z) -> number on the faces across an axis, (1, ...)."""
    gas = world.scene.gas
    counts = world.fields[f"gas_{'uvw'[axis]}"].shape
    axes = [
        gas.origin[a] + gas.dx * (torch.arange(n, dtype=torch.float64) + (0.0 if a == axis else 0.5))
        for a, n in enumerate(counts)
    ]
    return torch.broadcast_to(value(*torch.meshgrid(*axes, indexing="ij")), counts)[None]


def set_flow(world: World, u: Values, v: Values, w: Values) -> State:
    """The state at the start with velocities."""
    parts = {f"gas_{'uvw'[axis]}": faces(world, axis, each).to(world.dtype) for axis, each in enumerate((u, v, w))}
    return world.initial_state().replace(**{key: value.contiguous() for key, value in parts.items()})


def run(world: World, state: State, steps: int, control: Control | None = None) -> State:
    """Some steps on, none of which fails."""
    for _ in range(steps):
        state = world.step(state, control or Control())
        assert int(state.status) == 0
    return state


def zero(x, y, z):
    """Nothing."""
    return 0.0 * x


def taylor_green(n: int, plane: int = 0) -> Outcome:
    """Vortices of a plane, (x, z) or (y, z), for two fifths of the time in which they cross the box."""
    dx, viscosity = 1.0 / n, 0.01
    size = (1.0, 2 * dx, 1.0) if plane == 0 else (2 * dx, 1.0, 1.0)
    world = world_of(size, dx, 0.2 * dx, viscosity, PERIODIC, 2 * n)
    a = (lambda x, y, z: x) if plane == 0 else (lambda x, y, z: y)
    one = lambda x, y, z: torch.cos(K * a(x, y, z)) * torch.sin(K * z)  # noqa: E731
    two = lambda x, y, z: -torch.sin(K * a(x, y, z)) * torch.cos(K * z)  # noqa: E731
    state = run(world, set_flow(world, *((one, zero, two) if plane == 0 else (zero, one, two))), 1)
    assert state.gas_divergence.item() * dx < 1e-8
    key = "gas_u" if plane == 0 else "gas_v"
    exact = math.exp(-2.0 * viscosity * K * K * 0.4) * faces(world, plane, one)
    at = (np.arange(n) + 0.5) * dx
    curves = {"u, x = 0": (at, state[key][0, 0, 0].numpy()), "reference": (at, exact[0, 0, 0].numpy())}
    return Outcome({"velocity": ((state[key] - exact).abs().max() / exact.abs().max()).item()}, curves)


def beltrami(n: int) -> Outcome:
    """Arnold, Beltrami and Childress: curl u = k u, so that it decays without changing."""
    dx, viscosity = 1.0 / n, 0.02
    world = world_of((1.0, 1.0, 1.0), dx, 0.2 * dx, viscosity, PERIODIC, n)
    flow = [
        lambda x, y, z: torch.sin(K * z) + torch.cos(K * y),
        lambda x, y, z: torch.sin(K * x) + torch.cos(K * z),
        lambda x, y, z: torch.sin(K * y) + torch.cos(K * x),
    ]
    state = run(world, set_flow(world, *flow), 1)
    decay, errors = math.exp(-viscosity * K * K * 0.2), []
    for axis, each in enumerate(flow):
        exact = decay * faces(world, axis, each)
        errors.append(((state[f"gas_{'uvw'[axis]}"] - exact).abs().max() / exact.abs().max()).item())
    at, exact = (np.arange(n) + 0.5) * dx, decay * faces(world, 0, flow[0])
    curves = {"u, x = 0, y = dx / 2": (at, state.gas_u[0, 0, 0].numpy()), "reference": (at, exact[0, 0, 0].numpy())}
    return Outcome({"velocity": max(errors)}, curves)


def kovasznay(n: int) -> Outcome:
    """Flow behind a grid at Reynolds number 40, from the exact solution on, for a time in which it crosses twice."""
    reynolds = 40.0
    rate = reynolds / 2 - math.sqrt(reynolds**2 / 4 + K**2)
    dx = 1.0 / n
    z = (np.arange(n) + 0.5) * dx

    def side(x):
        ends = np.zeros((2, n, 3))
        ends[..., 0] = 1.0 - np.exp(rate * x) * np.cos(K * z)
        ends[..., 2] = rate / K * np.exp(rate * x) * np.sin(K * z)
        return Inlet((1.0, 0.0, 1.0), ends)

    sides = PERIODIC | {"x-": side(-0.5), "x+": side(0.5)}
    dt = min(0.15 * dx, 0.15 * dx * dx * reynolds)
    world = world_of((1.0, 2 * dx, 1.0), dx, dt, 1.0 / reynolds, sides, 20, origin=(-0.5, 0.0, 0.0))
    u = lambda x, y, z: 1.0 - torch.exp(rate * x) * torch.cos(K * z)  # noqa: E731
    w = lambda x, y, z: rate / K * torch.exp(rate * x) * torch.sin(K * z)  # noqa: E731
    state = run(world, set_flow(world, u, zero, w), math.ceil(2.0 / (20 * dt)))
    exact = faces(world, 0, u)
    curves = {"u, x = 0": (z, state.gas_u[0, n // 2, 0].numpy()), "reference": (z, exact[0, n // 2, 0].numpy())}
    return Outcome({"velocity": (state.gas_u - exact).abs().max().item()}, curves)


def plates(n: int) -> Outcome:
    """Flow between plates under a force that is switched on: the largest error at four times."""
    viscosity, pull = 0.05, 1.0
    dx = 1.0 / n
    sides = PERIODIC | {"z-": Wall(), "z+": Wall()}
    steps = math.ceil(0.8 * n * n)
    world = world_of((2 * dx, 2 * dx, 1.0), dx, 2.5 / steps, viscosity, sides, steps // 4, source=Box((2.0, 2.0, 2.0)))
    drive = Control(gas_drive=torch.tensor([[[pull, 0.0, 0.0]]], dtype=torch.float64))
    state, errors, curves = world.initial_state(), [], {}
    z = (np.arange(n) + 0.5) * dx
    for _ in range(4):
        state = run(world, state, 1, drive)
        t = state.time.item()
        exact = pull * z * (1.0 - z) / (2.0 * viscosity)
        for mode in range(1, 60, 2):
            size = 4.0 * pull / (viscosity * (mode * math.pi) ** 3)
            exact -= size * np.sin(mode * math.pi * z) * math.exp(-viscosity * (mode * math.pi) ** 2 * t)
        errors.append(float(np.abs(state.gas_u[0, 0, 0].numpy() - exact).max()) * 8.0 * viscosity / pull)
        curves[f"t = {t:.3g}"] = (z, state.gas_u[0, 0, 0].numpy())
        curves[f"reference {t:.3g}"] = (z, exact)
    return Outcome({"velocity": max(errors)}, curves)


# of Re: y and u on x = 1/2, x and v on y = 1/2, converged (streamfunction and vorticity, extrapolated)
CAVITY = {
    100: (
        [0.0547, 0.1016, 0.1719, 0.2813, 0.4531, 0.5, 0.6172, 0.7344, 0.8516, 0.9531, 0.9766],
        [-0.03723, -0.06443, -0.10174, -0.15767, -0.21398, -0.20916, -0.13881, 0.00418, 0.23656, 0.69105, 0.84374],
        [0.0625, 0.0938, 0.1563, 0.2266, 0.5, 0.8047, 0.8594, 0.9063, 0.9453, 0.9688],
        [0.09481, 0.12643, 0.16483, 0.17936, 0.05754, -0.25354, -0.23369, -0.17708, -0.10854, -0.06159],
    ),
    400: (
        [0.0547, 0.1016, 0.1719, 0.2813, 0.4531, 0.5, 0.6172, 0.7344, 0.8516, 0.9531, 0.9766],
        [-0.08181, -0.14618, -0.24379, -0.32878, -0.17149, -0.11505, 0.02103, 0.16257, 0.29205, 0.56165, 0.76074],
        [0.0625, 0.0938, 0.1563, 0.2266, 0.5, 0.8047, 0.8594, 0.9063, 0.9453, 0.9688],
        [0.18515, 0.23174, 0.28357, 0.30386, 0.05205, -0.38570, -0.45389, -0.38972, -0.23474, -0.12515],
    ),
}  # fmt: skip


def cavity(reynolds: int, n: int, time: float | None = None) -> Outcome:
    """Profiles through the middle of a square under a lid that moves, at rest at the start."""
    dx, viscosity = 1.0 / n, 1.0 / reynolds
    time = {100: 15.0, 400: 40.0}[reynolds] if time is None else time
    sides = {"y-": Slip(), "y+": Slip(), "z+": Wall((1.0, 0.0, 0.0))}
    dt = min(0.4 * dx, 0.15 * dx * dx / viscosity)
    world = world_of((1.0, dx, 1.0), dx, dt, viscosity, sides, 50, tolerance=1e-7)
    state = run(world, world.initial_state(), math.ceil(time / (50 * dt)))
    z, u, x, w = CAVITY[reynolds]
    at = np.concatenate([[0.0], (np.arange(n) + 0.5) * dx, [1.0]])
    along = np.concatenate([[0.0], state.gas_u[0, n // 2, 0].numpy(), [1.0]])
    across = np.concatenate([[0.0], state.gas_w[0, :, 0, n // 2].numpy(), [0.0]])
    off = {
        "u on x = 1/2": float(np.abs(CubicSpline(at, along)(z) - u).max()),
        "w on z = 1/2": float(np.abs(CubicSpline(at, across)(x) - w).max()),
    }
    curves = {"u(z)": (at, along), "w(x)": (at, across)}
    curves |= {"reference": (np.array(z), np.array(u)), "reference w": (np.array(x), np.array(w))}
    return Outcome(off, curves)


ONSET = 1707.8  # of rolls as wide as high; 1707.76 for those that begin first
# of Ra: mean Nusselt number, largest u on x = 1/2 and w on z = 1/2, in units of the diffusivity over the side
CONVECTION = {1e4: (2.243, 16.178, 19.617), 1e5: (4.519, 34.73, 68.59)}


def convection(rayleigh: float, n: int) -> Outcome:
    """A square, warm at the left, cold at the right, Prandtl number 0.71, until nothing changes."""
    prandtl, dx, time = 0.71, 1.0 / n, {1e4: 0.35, 1e5: 0.25}[rayleigh]
    heat = Scalar(diffusivity=1.0, lightness=1e-3, unit="K")
    gravity = rayleigh * prandtl / 1e-3
    sides = {"x-": Wall(heat=0.5), "x+": Wall(heat=-0.5), "y-": Slip(), "y+": Slip()}
    dt = min(0.15 * dx * dx, 0.3 * dx / (0.25 * math.sqrt(rayleigh) * 1.2))
    world = world_of(
        (1.0, dx, 1.0), dx, dt, prandtl, sides, 50, scalars={"heat": heat}, gravity=(0.0, 0.0, -gravity),
        tolerance=1e-6, limited=False,
    )  # fmt: skip
    state = run(world, world.initial_state(), math.ceil(time / (50 * dt)))
    warm = state.gas_scalar[0, 0, :, 0].numpy()
    flux = state.gas_u[0, 1:-1, 0].numpy() * 0.5 * (warm[1:] + warm[:-1]) - (warm[1:] - warm[:-1]) / dx
    found = (flux.mean(), state.gas_u[0, n // 2].max().item(), state.gas_w[0, :, 0, n // 2].max().item())
    names = ("mean Nusselt number", "largest u on x = 1/2", "largest w on z = 1/2")
    expected = CONVECTION[rayleigh]
    at = (np.arange(n) + 0.5) * dx
    curves = {
        "w on z = 1/2": (at, state.gas_w[0, :, 0, n // 2].numpy()),
        "u on x = 1/2": (at, state.gas_u[0, n // 2, 0]),
    }
    return Outcome(
        {name: abs(a / b - 1.0) for name, a, b in zip(names, found, expected, strict=True)},
        curves,
        dict(zip(names, found, strict=True)),
    )


@cache
def growth(rayleigh: float, n: int) -> float:
    """Rate at which rolls as wide as high grow in a layer that is heated from below, in units of diffusivity over the
    square of its height.
    """
    dx = 1.0 / n
    height = (np.arange(n) + 0.5) * dx
    along = np.cos(math.pi * (np.arange(2 * n) + 0.5) * dx)
    start = np.broadcast_to(0.5 - height, (2 * n, 1, n)) + 1e-4 * along[:, None, None] * np.sin(math.pi * height)
    heat = Scalar(diffusivity=1.0, lightness=1e-3, start=start, unit="K")
    sides = {
        "x-": Periodic(),
        "x+": Periodic(),
        "y-": Slip(),
        "y+": Slip(),
        "z-": Wall(heat=0.5),
        "z+": Wall(heat=-0.5),
    }
    world = world_of(
        (2.0, dx, 1.0), dx, 0.16 * dx * dx, 1.0, sides, n * n, scalars={"heat": heat},
        gravity=(0.0, 0.0, -1e3 * rayleigh), limited=False,
    )  # fmt: skip
    state = run(world, world.initial_state(), 2)
    later = run(world, state, 2)
    return math.log(later.gas_w.norm() / state.gas_w.norm()) / (2 * world.dt)


def onset(n: int) -> Outcome:
    """Rayleigh number at which rolls as wide as high neither grow nor decay, between those of two that do."""
    numbers = (1650.0, 1760.0)
    below, above = (growth(number, n) for number in numbers)
    found = numbers[0] - below * (numbers[1] - numbers[0]) / (above - below)
    curves = {
        "rate of growth": (np.array(numbers), np.array([below, above])),
        "reference": (np.array([ONSET]), np.array([0.0])),
    }
    return Outcome({"Rayleigh number": abs(found / ONSET - 1.0)}, curves, {"Rayleigh number": found})


def of_cavity(reynolds: int, quick: int) -> Case:
    """The case of a cavity; quick: cells a side of the test."""
    return Case(
        f"gas_cavity_{reynolds}",
        f"Gas: lid-driven cavity at Re {reynolds}",
        "profiles through the middle of a square under a lid that moves",
        "From rest, until nothing changes; the largest difference from the profiles, in units of the lid's speed. They "
        "are of streamfunction and vorticity on two grids, extrapolated; the tables of Ghia et al. differ from them by "
        "up to 1 %.",
        "Ghia, Ghia, Shin (1982), converged",
        partial(cavity, reynolds),
        (16, 32, 64),
        quick,
        "cells a side",
        {"u on x = 1/2": 0.01, "w on z = 1/2": 0.01},
        ("z, x [m]", "u, w [m/s]"),
        slow=True,
    )


def of_convection(rayleigh: str, resolutions: tuple[int, int, int], quick: int) -> Case:
    """The case of a square that is warm at the left; quick: cells a side of the test."""
    return Case(
        f"gas_convection_{rayleigh}",
        f"Gas: natural convection at Ra {rayleigh}",
        "mean Nusselt number, largest velocities",
        "A square, warm at the left and cold at the right, Pr 0.71, until nothing changes; velocities in units of the "
        "diffusivity over the side.",
        "de Vahl Davis (1983)",
        partial(convection, float(rayleigh)),
        resolutions,
        quick,
        "cells a side",
        dict.fromkeys(("mean Nusselt number", "largest u on x = 1/2", "largest w on z = 1/2"), 0.02),
        ("x, z [m]", "w, u"),
        slow=True,
    )


CASES = (
    Case(
        "gas_taylor_green",
        "Gas: Taylor and Green's vortices",
        "u = cos(k x) sin(k z) exp(-2 nu k^2 t)",
        "Gas in a periodic plane of 1 m, nu = 0.01 m^2/s, steps of 0.2 dx s, for 0.4 s; the largest error of the "
        "velocity, over its largest value then. Double precision, as all cases of gas.",
        "Taylor and Green (1937)",
        taylor_green,
        (16, 32, 64),
        32,
        "cells a side",
        {"velocity": 0.01},
        ("z [m]", "u [m/s]"),
        slow=True,
    ),
    Case(
        "gas_beltrami",
        "Gas: a flow of Beltrami",
        "u = (sin k z + cos k y, sin k x + cos k z, sin k y + cos k x) exp(-nu k^2 t)",
        "Three-dimensional and periodic, nu = 0.02 m^2/s, for 0.2 s.",
        "Arnold, Beltrami, Childress",
        beltrami,
        (8, 16, 32),
        32,
        "cells a side",
        {"velocity": 0.01},
        ("z [m]", "u [m/s]"),
        slow=True,
    ),
    Case(
        "gas_kovasznay",
        "Gas: Kovasznay's flow",
        "u = 1 - exp(l x) cos(2 pi z), l = Re / 2 - sqrt(Re^2 / 4 + 4 pi^2)",
        "Behind a grid at Re 40, in a box 1 m long that it enters and leaves with the exact velocity; from the exact "
        "solution on for 2 s; of the mean flow.",
        "Kovasznay (1948)",
        kovasznay,
        (16, 32, 64),
        32,
        "cells a side",
        {"velocity": 0.01},
        ("z [m]", "u [m/s]"),
        slow=True,
    ),
    Case(
        "gas_plates",
        "Gas: start-up between plates",
        "u = G z (H - z) / (2 nu) and modes that decay with nu (n pi / H)^2",
        "nu = 0.05 m^2/s, 1 m/s^2, plates 1 m apart, the largest error at four times up to 2.5 s over the largest "
        "velocity at the end.",
        "Batchelor (1967), section 4.3",
        plates,
        (8, 16, 32),
        16,
        "cells a side",
        {"velocity": 0.01},
        ("z [m]", "u [m/s]"),
        slow=True,
    ),
    of_cavity(100, 32),
    of_cavity(400, 64),
    of_convection("1e4", (16, 32, 64), 32),
    of_convection("1e5", (32, 48, 64), 64),
    Case(
        "gas_onset",
        "Gas: onset of convection between plates",
        "Ra = 1707.8 for rolls as wide as high",
        "A layer between rigid plates, heated from below, with a roll of 1e-4 of the difference of temperatures; the "
        "Rayleigh number at which it would neither grow nor decay, from its rates at 1650, where it decays, and 1760, "
        "where it grows.",
        "Chandrasekhar (1961), chapter II",
        onset,
        (8, 16, 24),
        16,
        "cells a side",
        {"Rayleigh number": 0.03},
        ("Ra", "rate of growth [diffusivity / height^2]"),
        slow=True,
    ),
)
