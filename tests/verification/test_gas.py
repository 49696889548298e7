# SPDX-License-Identifier: Apache-2.0
"""Incompressible gas: the order of its errors against exact and published flows, and what it keeps.

The flows and their sources are in `cases/gas.py`; all their resolutions are on the verification page.
"""

import pytest
import torch

from simenv.geometry.shapes import Box
from simenv.physics.gas.model import Scalar
from simenv.world import Control, Scene
from tests.verification.cases import gas
from tests.verification.cases.gas import PERIODIC, run, world_of


def largest(outcome):
    return max(outcome.errors.values())


@pytest.mark.parametrize("plane", [0, 1])
def test_taylor_green_vortices_decay(plane):
    """Of second order: halving cells and steps divides the error by four; at 32 cells it is below 1 %."""
    coarse, fine = largest(gas.taylor_green(16, plane)), largest(gas.taylor_green(32, plane))
    assert fine < 0.01 and 3.0 < coarse / fine


def test_a_beltrami_flow_decays_in_three_dimensions():
    """Arnold, Beltrami and Childress: curl u = k u, so that it decays without changing."""
    coarse, fine = largest(gas.beltrami(8)), largest(gas.beltrami(16))
    assert fine < 0.02 and 3.0 < coarse / fine


def test_kovasznay_flow_stays():
    """Behind a grid, at Reynolds number 40: an exact solution with inflow and outflow, to 1 % of the mean flow."""
    coarse, fine = largest(gas.kovasznay(16)), largest(gas.kovasznay(32))
    assert fine < 0.01 and 3.0 < coarse / fine


def test_flow_between_plates_starts_up():
    """Against the series of its modes, which decay with nu (n pi / H)^2."""
    assert largest(gas.plates(16)) < 0.005


def test_the_lid_driven_cavity_at_100():
    """Within 1 % of the lid's speed at 32 cells, and the error falls with the square of the cells."""
    coarse, fine = largest(gas.cavity(100, 16, 12.0)), largest(gas.cavity(100, 32))
    assert fine < 0.01 and 2.8 < coarse / fine


@pytest.mark.slow
def test_the_lid_driven_cavity_at_400():
    coarse, fine = largest(gas.cavity(400, 32)), largest(gas.cavity(400, 64))
    assert fine < 0.01 and 2.8 < coarse / fine


def test_natural_convection_in_a_square():
    """Mean Nusselt number within 2 %, the largest velocities too; at Ra 1e5 it is a slow case of the page."""
    assert largest(gas.convection(1e4, 32)) < 0.02


def test_the_onset_of_convection_between_plates():
    """Of the layer of Rayleigh and Benard between rigid plates, for rolls as wide as high, whose rates of growth are
    linear in Ra nearby.
    """
    below, above = gas.growth(1650.0, 16), gas.growth(1760.0, 16)
    assert below < 0.0 < above
    assert 1650.0 < gas.onset(16).values["Rayleigh number"] < 1760.0


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
