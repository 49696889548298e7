# SPDX-License-Identifier: Apache-2.0
"""Vorticity confinement of gas against its formula, and what it does to a vortex on coarse cells.

Source: Fedkiw, Stam, Jensen 2001, Visual simulation of smoke, eq. 11: strength dx (n x vorticity).
"""

import numpy as np
import torch
from scipy.special import exp1

from simenv.physics.gas.model import SIDES, Slip
from simenv.world import Control, Scene

SIZE = 0.12  # of the vortex [m]: its stream function is exp(-r^2 / (2 SIZE^2)) / 2 SIZE^2, its vorticity at most 1/s
STRENGTH = 2.0


def _round(x, z):
    """Stream function of a vortex whose vorticity is exp(-r^2 / (2 SIZE^2)), of one sign, on edges."""
    half = (0.5 * (x * x + z * z) / SIZE**2).clamp_min(1e-12).numpy()
    return torch.from_numpy(0.5 * SIZE**2 * (np.log(half) + exp1(half)))


def vortex(n, strength, dt, steps=1, viscosity=0.0, shielded=True):
    """World of a layer of cells (x, z) in a box of 1 m, and a state with a vortex in its middle."""
    dx = 1.0 / n
    scene = Scene(substep_dt=dt, substeps=steps, gravity=(0.0, 0.0, 0.0))
    sides = {side: Slip() for side in SIDES}
    scene.add_gas(
        "gas", 1.0, viscosity, sides, size=(1.0, dx, 1.0), dx=dx, tolerance=1e-10, iterations=30, confinement=strength
    )
    world = scene.make_world(1, dtype=torch.float64)
    nodes = torch.arange(n + 1, dtype=torch.float64) * dx - 0.5
    x, z = torch.meshgrid(nodes, nodes, indexing="ij")
    # on edges, so that none is made in cells
    stream = 0.5 * SIZE**2 * torch.exp(-0.5 * (x * x + z * z) / SIZE**2) if shielded else _round(x, z)
    u, w = (stream[:, 1:] - stream[:, :-1]) / dx, -(stream[1:] - stream[:-1]) / dx
    state = world.initial_state().replace(gas_u=u[None, :, None].contiguous(), gas_w=w[None, :, None].contiguous())
    return world, state


def spun(n):
    """Difference of what confinement adds to u in a tick from the formula, of the largest that it adds: the largest in
    a ring about the middle, where the force is not defined, and the root of the mean square.
    """
    dt, dx = 1e-3, 1.0 / n
    ends = []
    for strength in (0.0, STRENGTH):
        world, state = vortex(n, strength, dt, shielded=False)
        ends.append(world.step(state, Control()).gas_u[0, :, 0])
    x = torch.arange(n + 1, dtype=torch.float64)[:, None] * dx - 0.5
    z = (torch.arange(n, dtype=torch.float64)[None] + 0.5) * dx - 0.5
    r = (x * x + z * z).sqrt()
    turn = torch.exp(-0.5 * r * r / SIZE**2)  # about y
    expected = dt * STRENGTH * dx * turn * z / r  # n leads to the middle
    ring = (r > 0.5 * SIZE) & (r < 1.5 * SIZE)
    off = (ends[1] - ends[0] - expected)[ring] / (dt * STRENGTH * dx)
    return off.abs().max().item(), off.square().mean().sqrt().item()


def test_the_force_is_that_of_the_formula():
    """Of second order: halving cells divides the error by four."""
    (_, coarse), (largest, fine) = spun(32), spun(64)
    assert largest < 0.02 and 3.0 < coarse / fine


def test_a_confined_vortex_keeps_turning():
    """In coarse cells and a viscous gas: without, three fifths of its largest vorticity are lost in two seconds."""
    n, dx, left = 24, 1.0 / 24, []
    for strength in (0.0, 1.0):
        world, state = vortex(n, strength, 0.02, 50, 2e-3)
        for _ in range(2):
            state = world.step(state, Control())
            assert int(state.status) == 0
        u, w = state.gas_u[0, :, 0], state.gas_w[0, :, 0]
        turn = (u[1:-1, 1:] - u[1:-1, :-1] - w[1:, 1:-1] + w[:-1, 1:-1]) / dx
        left.append(turn.abs().max().item())
    # Lamb and Oseen: the middle of a shielded vortex loses the square of 1 + 2 nu t / SIZE^2
    alone = (1.0 + 2.0 * 2e-3 * 2.0 / SIZE**2) ** -2
    assert abs(left[0] - alone) < 0.05
    assert left[1] > 1.3 * left[0]
