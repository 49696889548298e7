# SPDX-License-Identifier: Apache-2.0
"""Gas in scenes: what is refused, what stops a world, and what names find."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Sphere
from simenv.physics import status
from simenv.physics.gas.model import Inlet, Outlet, Periodic, Scalar, Slip, Wall
from simenv.world import Control, Scene

BOX = {"size": (1.0, 0.5, 0.5), "dx": 0.125}


def scene_of(**gas):
    scene = Scene(substep_dt=0.02, substeps=2)
    scene.add_gas("air", **{**BOX, **gas})
    return scene


@pytest.mark.parametrize(
    ("gas", "said"),
    [
        ({"size": (1.0, 0.5, 0.55)}, r"its size along z, 0.55 m, is 4.4 cells of 0.125 m; give a whole number"),
        ({"sides": {"top": Wall()}}, "no side 'top'; sides are x-, x\\+"),
        ({"sides": {"x-": Periodic()}}, "of its sides x- and x\\+ one is periodic; make both so, or neither"),
        ({"sides": {"x-": Inlet((1.0, 0.0, 0.0))}}, r"bring 0.25 m\^3/s more than leave.*make a side an Outlet"),
        ({"sides": {"x-": Wall(heat=3.0)}}, "holds 'heat', which is not mixed in; there are: none"),
        ({"density": -1.0}, "density"),
        ({"viscosity": math.nan}, "viscosity"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"size": None, "dx": None}, "give size and dx, which the scene does not have"),
    ],
)
def test_what_cannot_be_is_refused(gas, said):
    with pytest.raises(ValueError, match=said):
        scene_of(**gas)


def test_an_odd_periodic_axis_is_refused():
    scene = scene_of(size=(0.875, 0.5, 0.5), sides={"x-": Periodic(), "x+": Periodic()})
    with pytest.raises(ValueError, match="the periodic axis x has 7 cells; give it an even number"):
        scene.make_world(1)


def test_a_viscosity_that_a_tick_does_not_bear_is_refused():
    world = scene_of().make_world(1)
    with pytest.raises(ValueError, match=r"'air.viscosity' = 1; a tick of 0.02 s at dx = 0.125 m bears at most 0.156"):
        world.parameters["air.viscosity"] = 1.0


def test_sources_are_refused_where_there_is_no_gas():
    scene = Scene(substep_dt=0.02, substeps=2)
    with pytest.raises(ValueError, match="the scene has no gas; add it first"):
        scene.add_source("fan", Sphere(0.1))
    scene = scene_of()
    with pytest.raises(ValueError, match="holds no cell of the gas; move or enlarge it"):
        scene.add_source("fan", Sphere(0.1), (5.0, 0.0, 0.0))
    scene.add_source("fan", Sphere(0.1), (0.5, 0.25, 0.25))
    with pytest.raises(ValueError, match="has a source 'fan' already"):
        scene.add_source("fan", Sphere(0.1), (0.5, 0.25, 0.25))
    with pytest.raises(ValueError, match="the scene has gas already, 'air'"):
        scene.add_gas("more", **BOX)


def test_gas_that_is_too_fast_stops_its_world_alone():
    """More than a cell in a tick, 6.25 m/s; the other world goes on as if alone."""
    scene = scene_of()
    scene.add_source("fan", Sphere(0.2), (0.5, 0.25, 0.25))
    pair, one = scene.make_world(2), scene.make_world(1)
    push = torch.tensor([[[0.0, 0.0, 2.0]], [[0.0, 0.0, 2000.0]]])
    states, state = pair.initial_state(), one.initial_state()
    for _ in range(3):
        states, state = pair.step(states, Control(gas_drive=push)), one.step(state, Control(gas_drive=push[:1]))
    assert states.status[0] == 0 and int(states.status[1]) & status.TOO_FAST
    assert torch.equal(states.gas_w[0], state.gas_w[0]) and states.gas_w[0].abs().max() > 0.02
    assert not states.gas_w[1].any()  # as it entered


def test_a_pressure_that_is_not_found_in_time_stops_its_world_alone():
    """One iteration around an obstacle is too few, but of gas at rest; without obstacles nothing iterates."""
    for around in (True, False):
        scene = scene_of(iterations=1)
        if around:
            scene.add_body("ball", Sphere(0.15), position=(0.4, 0.25, 0.25), motion="fixed")
        world = scene.make_world(2)
        state = world.initial_state()
        stirred = 0.5 * torch.rand(state.gas_u.shape, generator=torch.Generator().manual_seed(0))
        stirred[0] = 0.0
        states = world.step(state.replace(gas_u=stirred), Control())
        assert states.status.tolist() == [0, status.UNCONVERGED if around else 0]
        assert torch.equal(states.gas_u[0], state.gas_u[0])


def test_an_inlet_fills_the_box_and_an_outlet_empties_it():
    """Air that comes in warm: plug flow between slipping walls, u as told everywhere; heat comes by its flux."""
    sides = {"x-": Inlet((0.5, 0.0, 0.0), heat=3.0), "x+": Outlet(heat=0.0)}
    sides |= {name: Slip() for name in ("y-", "y+", "z-", "z+")}
    scene = Scene(substep_dt=0.02, substeps=10)
    scene.add_gas("air", 1.2, 0.0, sides, {"heat": Scalar()}, tolerance=1e-12, iterations=30, **BOX)
    world = scene.make_world(1, dtype=torch.float64)
    state = world.initial_state()
    for _ in range(2):  # 0.4 s, a fifth of the box: none is near the outlet yet
        state = world.step(state, world.zero_control())
    torch.testing.assert_close(state.gas_u, torch.full_like(state.gas_u, 0.5), atol=1e-9, rtol=0.0)
    come = world.gas.scalar(state, "heat").sum().item() * 0.125**3
    assert come == pytest.approx(3.0 * 0.5 * 0.25 * 0.4, rel=1e-6)  # value times speed times area times time


def test_names_find_what_states_and_controls_hold():
    scene = scene_of(scalars={"heat": Scalar(start=20.0), "smoke": Scalar(start=np.full((8, 4, 4), 0.25))})
    for name, at in (("fan", 0.3), ("fire", 0.7)):
        scene.add_source(name, Sphere(0.15), (at, 0.25, 0.25))
    world = scene.make_world(2)
    state = world.initial_state()
    assert world.gas.scalar(state, "smoke").unique().tolist() == [0.25]
    with pytest.raises(KeyError, match="nothing 'dust' is mixed into the gas; there are: heat, smoke"):
        world.gas.scalar(state, "dust")
    told = world.control(drive={"fire": torch.ones(2, 3)}, feed={"fire": {"smoke": torch.tensor([2.0, 3.0])}})
    assert told.gas_drive.tolist() == [[[0.0] * 3, [1.0] * 3]] * 2
    assert told.gas_feed.tolist() == [[[0.0, 0.0], [0.0, 2.0]], [[0.0, 0.0], [0.0, 3.0]]]
    with pytest.raises(KeyError, match="no source 'door'; there are: fan, fire"):
        world.control(drive={"door": torch.ones(2, 3)})
    after = world.step(state, told)
    rise = (world.gas.scalar(after, "smoke") - 0.25).sum((1, 2, 3))
    held = torch.tensor(scene.gas.sources["fire"]).sum().item()
    torch.testing.assert_close(rise, torch.tensor([2.0, 3.0]) * held * 0.04, rtol=1e-4, atol=0.0)
    middle = world.gas.velocity(after)
    assert middle.shape == (2, 8, 4, 4, 3)
    assert torch.equal(middle[..., 0], 0.5 * (after.gas_u[:, 1:] + after.gas_u[:, :-1]))


def test_a_pocket_that_a_source_fills_keeps_its_gas():
    """A closed box has no way out: what a fan does there leaves no net flow through any plane."""
    scene = scene_of(tolerance=1e-12, iterations=30)
    scene.add_source("fan", Sphere(0.2), (0.5, 0.25, 0.25))
    world = scene.make_world(1, dtype=torch.float64)
    state = world.initial_state()
    for _ in range(5):
        state = world.step(state, Control(gas_drive=torch.ones(1, 1, 3, dtype=torch.float64)))
    assert state.gas_u.abs().max() > 0.01
    assert state.gas_u.sum((2, 3)).abs().max() < 1e-12 and state.gas_w.sum((1, 2)).abs().max() < 1e-12
