# SPDX-License-Identifier: Apache-2.0
"""Incompressible gas against exact solutions of Navier and Stokes, and published ones of cavities and convection.

Sources: Taylor and Green 1937; Kovasznay 1948; Ghia, Ghia, Shin 1982, JCP 48:387 (cavity; the values here are
converged ones that these tables differ from by up to 1 % of the lid's speed); de Vahl Davis 1983, IJNMF 3:249
(convection).
"""

import math

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

from simenv.geometry.shapes import Box
from simenv.physics.gas.model import SIDES, Inlet, Periodic, Scalar, Slip, Wall
from simenv.world import Control, Scene

PERIODIC = {side: Periodic() for side in SIDES}
K = 2.0 * math.pi


def world_of(size, dx, dt, viscosity, sides, steps=1, dtype=torch.float64, source=None, **gas):
    """A world of gas of density 1; a step of the world is `steps` of the gas."""
    scene = Scene(substep_dt=dt, substeps=steps, gravity=gas.pop("gravity", (0.0, 0.0, 0.0)))
    scene.add_gas("gas", 1.0, viscosity, sides, size=size, dx=dx, **{"tolerance": 1e-9, "iterations": 20, **gas})
    if source is not None:
        scene.add_source("all", source, width=1e-6)
    return scene.make_world(1, dtype=dtype)


def faces(world, axis, value):
    """Values (x, y, z) -> number on the faces across an axis, (1, ...)."""
    gas = world.scene.gas
    counts = world.fields[f"gas_{'uvw'[axis]}"].shape
    axes = [
        gas.origin[a] + gas.dx * (torch.arange(n, dtype=torch.float64) + (0.0 if a == axis else 0.5))
        for a, n in enumerate(counts)
    ]
    return torch.broadcast_to(value(*torch.meshgrid(*axes, indexing="ij")), counts)[None]


def set_flow(world, u, v, w):
    parts = {f"gas_{'uvw'[axis]}": faces(world, axis, each).to(world.dtype) for axis, each in enumerate((u, v, w))}
    return world.initial_state().replace(**{key: value.contiguous() for key, value in parts.items()})


def run(world, state, steps, control=None):
    for _ in range(steps):
        state = world.step(state, control or Control())
        assert int(state.status) == 0
    return state


def zero(x, y, z):
    return 0.0 * x


def taylor_green(n, plane):
    """Largest error after a quarter of the decay time, of the largest velocity then; the plane is (x, z) or (y, z)."""
    dx, viscosity = 1.0 / n, 0.01
    steps = n
    world = world_of((1.0, 2 * dx, 1.0) if plane == 0 else (2 * dx, 1.0, 1.0), dx, 0.4 * dx, viscosity, PERIODIC, steps)
    a = (lambda x, y, z: x) if plane == 0 else (lambda x, y, z: y)
    one = lambda x, y, z: torch.cos(K * a(x, y, z)) * torch.sin(K * z)  # noqa: E731
    two = lambda x, y, z: -torch.sin(K * a(x, y, z)) * torch.cos(K * z)  # noqa: E731
    start = (one, zero, two) if plane == 0 else (zero, one, two)
    state = run(world, set_flow(world, *start), 1)
    decay = math.exp(-2.0 * viscosity * K * K * 0.4)
    assert state.gas_divergence.item() * dx < 1e-8
    key = "gas_u" if plane == 0 else "gas_v"
    exact = decay * faces(world, plane, one)
    return ((state[key] - exact).abs().max() / exact.abs().max()).item()


@pytest.mark.parametrize("plane", [0, 1])
def test_taylor_green_vortices_decay(plane):
    """Of second order: halving cells and steps divides the error by four; at 32 cells it is below 1 %."""
    coarse, fine = taylor_green(16, plane), taylor_green(32, plane)
    assert fine < 0.01 and 3.0 < coarse / fine


def beltrami(n):
    dx, viscosity = 1.0 / n, 0.02
    world = world_of((1.0, 1.0, 1.0), dx, 0.2 * dx, viscosity, PERIODIC, n)
    flow = [
        lambda x, y, z: torch.sin(K * z) + torch.cos(K * y),
        lambda x, y, z: torch.sin(K * x) + torch.cos(K * z),
        lambda x, y, z: torch.sin(K * y) + torch.cos(K * x),
    ]
    state = run(world, set_flow(world, *flow), 1)
    decay, error = math.exp(-viscosity * K * K * 0.2), 0.0
    for axis, each in enumerate(flow):
        exact = decay * faces(world, axis, each)
        error = max(error, ((state[f"gas_{'uvw'[axis]}"] - exact).abs().max() / exact.abs().max()).item())
    return error


def test_a_beltrami_flow_decays_in_three_dimensions():
    """Arnold, Beltrami and Childress: curl u = k u, so that it decays without changing."""
    coarse, fine = beltrami(8), beltrami(16)
    assert fine < 0.02 and 3.0 < coarse / fine


def kovasznay(n):
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
    return (state.gas_u - faces(world, 0, u)).abs().max().item()


def test_kovasznay_flow_stays():
    """Behind a grid, at Reynolds number 40: an exact solution with inflow and outflow, to 1 % of the mean flow."""
    coarse, fine = kovasznay(16), kovasznay(32)
    assert fine < 0.01 and 3.0 < coarse / fine


def test_flow_between_plates_starts_up():
    """Against the series of its modes, which decay with nu (n pi / H)^2."""
    n, viscosity, pull = 16, 0.05, 1.0
    dx = 1.0 / n
    sides = PERIODIC | {"z-": Wall(), "z+": Wall()}
    dt = 0.15 * dx * dx / viscosity
    world = world_of((2 * dx, 2 * dx, 1.0), dx, dt, viscosity, sides, 25, source=Box((2.0, 2.0, 2.0)))
    drive = Control(gas_drive=torch.tensor([[[pull, 0.0, 0.0]]], dtype=torch.float64))
    state = world.initial_state()
    z = (np.arange(n) + 0.5) * dx
    largest = pull / (8.0 * viscosity)
    for _ in range(4):
        state = run(world, state, 5, drive)
        t = state.time.item()
        exact = pull * z * (1.0 - z) / (2.0 * viscosity)
        for mode in range(1, 60, 2):
            size = 4.0 * pull / (viscosity * (mode * math.pi) ** 3)
            exact -= size * np.sin(mode * math.pi * z) * math.exp(-viscosity * (mode * math.pi) ** 2 * t)
        assert np.abs(state.gas_u[0, 0, 0].numpy() - exact).max() < 0.005 * largest


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


def cavity(reynolds, n, time):
    """Largest difference from the converged solution, of the lid's speed."""
    dx, viscosity = 1.0 / n, 1.0 / reynolds
    sides = {"y-": Slip(), "y+": Slip(), "z+": Wall((1.0, 0.0, 0.0))}
    dt = min(0.4 * dx, 0.2 * dx * dx / viscosity)
    world = world_of((1.0, dx, 1.0), dx, dt, viscosity, sides, 50, tolerance=1e-7)
    state = run(world, world.initial_state(), math.ceil(time / (50 * dt)))
    z, u, x, w = CAVITY[reynolds]
    at = np.concatenate([[0.0], (np.arange(n) + 0.5) * dx, [1.0]])
    along = np.concatenate([[0.0], state.gas_u[0, n // 2, 0].numpy(), [1.0]])
    across = np.concatenate([[0.0], state.gas_w[0, :, 0, n // 2].numpy(), [0.0]])
    return max(np.abs(CubicSpline(at, along)(z) - u).max(), np.abs(CubicSpline(at, across)(x) - w).max())


def test_the_lid_driven_cavity_at_100():
    """Within 1 % of the lid's speed at 32 cells, and the error falls with the square of the cells."""
    coarse, fine = cavity(100, 16, 12.0), cavity(100, 32, 15.0)
    assert fine < 0.01 and 2.8 < coarse / fine


@pytest.mark.slow
def test_the_lid_driven_cavity_at_400():
    coarse, fine = cavity(400, 32, 40.0), cavity(400, 64, 40.0)
    assert fine < 0.01 and 2.8 < coarse / fine


# of Ra: mean Nusselt number, largest u on x = 1/2 and w on z = 1/2, in units of the diffusivity over the side
CONVECTION = {1e4: (2.243, 16.178, 19.617), 1e5: (4.519, 34.73, 68.59)}


def convection(rayleigh, n, time):
    """Mean Nusselt number and largest velocities of a square, warm at the left; Prandtl number 0.71."""
    prandtl, dx = 0.71, 1.0 / n
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
    return flux.mean(), state.gas_u[0, n // 2].max().item(), state.gas_w[0, :, 0, n // 2].max().item()


@pytest.mark.parametrize(
    ("rayleigh", "n", "time"),
    [(1e4, 32, 0.35), pytest.param(1e5, 64, 0.25, marks=pytest.mark.slow)],
)
def test_natural_convection_in_a_square(rayleigh, n, time):
    """Mean Nusselt number within 2 %, the largest velocities too."""
    found, expected = convection(rayleigh, n, time), CONVECTION[rayleigh]
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_dye_is_kept_over_a_thousand_steps():
    """In single precision, stirred in a closed box by a fan; no new extremes appear."""
    scene = Scene(substep_dt=0.02, substeps=50)
    scene.add_gas("air", 1.2, 1.8e-5, scalars={"dye": Scalar()}, size=(1.0, 1.0, 1.0), dx=0.125)
    scene.add_source("fan", Box((0.2, 0.2, 0.2)), (0.5, 0.5, 0.3))
    world = scene.make_world(1)
    state = world.initial_state()
    state = state.replace(gas_scalar=torch.rand(state.gas_scalar.shape, generator=torch.Generator().manual_seed(0)))
    before = state.gas_scalar.double()
    drive = Control(gas_drive=torch.tensor([[[0.3, 0.2, 0.5]]]))
    after = run(world, state, 20, drive)
    stirred = after.gas_scalar.double()
    assert after.gas_u.abs().max() > 0.1
    assert abs(stirred.sum() / before.sum() - 1.0) < 1e-6
    assert stirred.min() > before.min() - 1e-5 and stirred.max() < before.max() + 1e-5
    assert stirred.var() < 0.5 * before.var()


def test_momentum_is_kept_where_there_are_no_walls():
    world = world_of((1.0, 1.0, 1.0), 0.125, 0.02, 1e-3, PERIODIC, 20, tolerance=1e-12, iterations=40)
    generator = torch.Generator().manual_seed(1)
    state = world.initial_state()
    start = {
        key: torch.randn(state[key].shape, generator=generator, dtype=torch.float64)
        for key in ("gas_u", "gas_v", "gas_w")
    }
    end = run(world, state.replace(**start), 1)
    for key, value in start.items():
        assert abs(end[key].sum() - value.sum()) < 1e-12 * value.abs().sum()
