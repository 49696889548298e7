# SPDX-License-Identifier: Apache-2.0
"""Sound in a liquid that fills its box: it pulls as well as it pushes."""

import numpy as np
import pytest
import torch

from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene, World
from tests.verification.worlds import lattice

LENGTH, DX, RHO, K = 0.32, 0.01, 1000.0, 1.0e4


def test_a_standing_wave_has_the_period_of_sound():
    """u = U sin(pi x / L) between walls at 0 and L is a standing wave of period 2 L / c with c = sqrt(K / rho); the
    pressure in its middle is zero at the start, then negative in one half of the box and positive in the other, so that
    a liquid without tension would break. The grid blurs a wall over half a cell, so that the box seems up to dx / 2
    longer: 1.6 % of the period; smoothing by the kernels, (k dx)^2 / 4, adds 0.2 %.
    """
    scene = Scene((LENGTH, 0.04, 0.04), DX, 1.0e-3, 2, gravity=(0.0, 0.0, 0.0), boundary="slip")
    scene.add_material("m", Liquid(RHO, K))
    points = lattice((0.0, 0.0, 0.0), (LENGTH, 0.04, 0.04), DX / 2)
    mode, speed = np.sin(np.pi * points[:, 0] / LENGTH), np.zeros_like(points)
    speed[:, 0] = 0.01 * mode
    scene.add_particles("p", "m", points, (DX / 2) ** 3, speed)
    world = World(scene, 1, dtype=torch.float64)
    state, amplitude, strain = world.initial_state(), [0.01], []
    with torch.no_grad():
        for _ in range(220):
            state = world.step(state, world.zero_control())
            amplitude.append(2 * float((state.v[0, :, 0].numpy() * mode).mean()))
            strain.append(2 * float(((state.J[0].numpy() - 1.0) * np.cos(np.pi * points[:, 0] / LENGTH)).mean()))
    assert (state.status == 0).all()
    a, t = np.array(amplitude), world.dt * np.arange(221)
    at = np.flatnonzero(a[:-1] * a[1:] < 0)
    crossings = t[at] + world.dt * a[at] / (a[at] - a[at + 1])
    period = 2 * float(np.diff(crossings).mean())
    expected = 2 * LENGTH / np.sqrt(K / RHO)
    print(f"\nmeasured a period of {1e3 * period:.3f} ms, 2 L / c = {1e3 * expected:.3f} ms")
    assert len(crossings) == 4
    assert -0.002 < period / expected - 1 < 0.5 * DX / LENGTH + 0.002
    # the first after a quarter, and half a substep, by which velocities are ahead of places
    assert abs(crossings[0] / (expected / 4) - 1) < 0.5 * DX / LENGTH + 2.0e-3 / expected
    # a strain of U / c, as much tension as pressure
    expected = 0.01 / np.sqrt(K / RHO)
    assert max(strain) == pytest.approx(expected, rel=0.05) and min(strain) == pytest.approx(-expected, rel=0.05)
