# SPDX-License-Identifier: Apache-2.0
"""Bodies that land on each other in gas, which must leave gaps that cells do not resolve."""

import pytest
import torch

from simenv.geometry.shapes import Box, Sphere
from simenv.world import Control, Scene


def box_of(dt, cells=16, ball=True):
    """A box of air with a floor that is no side of it, and a ball that falls on it."""
    scene = Scene(substep_dt=dt, substeps=1)
    scene.add_gas("air", size=(1.0, 1.0, 1.0), dx=1.0 / cells)
    place = (0.5, 0.5, 0.093)
    scene.add_body("floor", Box((0.6, 0.6, 0.1)), position=place, motion="fixed", coupling="rigid")
    if ball:
        scene.add_body("ball", Sphere(0.15), 20.0, (0.51, 0.49, 0.55), motion="free", coupling="rigid")
    return scene


def fastest_of(state):
    return max(state[f"gas_{key}"].abs().max().item() for key in "uvw")


@pytest.mark.parametrize("dt", [0.005, 0.003, pytest.param(0.00125, marks=pytest.mark.slow)])
def test_a_ball_lands_and_rests_in_gas(dt):
    """At 2 m/s, 100 times heavier than what is in its way: it stops at the floor, and gas is never much faster."""
    world = box_of(dt).make_world(1)
    state, fastest, most = world.initial_state(), 0.0, 0.0
    while state.time.item() < 0.8:
        state = world.step(state, world.zero_control())
        assert int(state.status) == 0
        fastest = max(fastest, fastest_of(state))
        most = max(most, world.bodies["ball"].twist(state)[0, :3].norm().item())
    assert 1.8 < most < 2.0 and fastest < 2.0 * most
    assert abs(state.body_q[0, 1, 2].item() - 0.343) < 0.002
    assert world.bodies["ball"].twist(state)[0].abs().max() < 0.02
    assert fastest_of(state) < 0.7 * most


@pytest.mark.parametrize("dt", [0.0025, pytest.param(0.005, marks=pytest.mark.slow)])
def test_two_balls_meet_and_fall(dt):
    scene = box_of(dt)
    place, down = (0.53, 0.49, 0.85), (0.0, 0.0, -1.0)
    scene.add_body("other", Sphere(0.12), 20.0, place, motion="free", coupling="rigid", velocity=down)
    world = scene.make_world(1)
    state, fastest, most = world.initial_state(), 0.0, 0.0
    while state.time.item() < 0.8:
        state = world.step(state, world.zero_control())
        assert int(state.status) == 0
        fastest, most = max(fastest, fastest_of(state)), max(most, state.body_twist[..., :3].norm(dim=-1).max().item())
    assert most < 2.2 and fastest < 2.0 * most


@pytest.mark.parametrize(("cells", "dt"), [(16, 0.005), pytest.param(32, 0.0025, marks=pytest.mark.slow)])
def test_a_plate_closes_flat_on_another_one(cells, dt):
    """Over 13 or 26 cells each way, in single precision, between walls all around: what rounding leaves of a pocket's
    mean must not make its pressure, nor the gap's last cell hold the plate up.
    """
    scene = box_of(dt, cells, ball=False)
    scene.add_body("plate", Box((0.4, 0.4, 0.08)), 20.0, (0.5, 0.49, 0.3), motion="free", coupling="rigid")
    world = scene.make_world(1)
    state = world.initial_state()
    while state.time.item() < 0.15:
        state = world.step(state, world.zero_control())
        assert int(state.status) == 0
        assert fastest_of(state) < 1.0
    assert abs(state.body_q[0, 1, 2].item() - 0.273) < 1e-3


def test_derivatives_where_a_body_closes_on_another():
    """To the pose and the motion of a ball whose gap to a floor is a third of a cell."""
    scene = Scene(substep_dt=0.01, substeps=2, gravity=(0.0, 0.0, 0.0))
    scene.add_gas("air", 1.2, 1e-3, size=(1.0, 1.0, 1.0), dx=0.125, tolerance=1e-12, iterations=40)
    scene.add_body("floor", Box((0.6, 0.6, 0.1)), position=(0.5, 0.5, 0.093), motion="fixed")
    scene.add_body("ball", Sphere(0.23), position=(0.51, 0.48, 0.465))
    world = scene.make_world(1, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    first = world.initial_state()
    told = {"body_q": first.body_q, "twist": 0.3 * torch.randn(1, 1, 6, generator=generator, dtype=torch.float64)}
    told["twist"][0, 0, 2] = -0.5
    for name in ("gas_u", "gas_v", "gas_w"):  # as fluxes of zero have no derivative
        random = torch.randn(*first[name].shape, generator=generator, dtype=torch.float64)
        first = first.replace(**{name: first[name] + 0.1 * random})
    names = ("gas_u", "gas_v", "gas_w", "gas_wrench")
    weights = {n: torch.randn(*first[n].shape, generator=generator, dtype=torch.float64) for n in names}
    weights["gas_wrench"] *= 100.0

    def loss(given):
        state = world.step(first.replace(body_q=given["body_q"]), Control(twist=given["twist"]))
        assert int(state.status) == 0
        return sum((weight * state[name]).sum() for name, weight in weights.items())

    asked = {name: value.clone().requires_grad_() for name, value in told.items()}
    loss(asked).backward()
    for name, value in told.items():
        along = torch.randn(*value.shape, generator=generator, dtype=torch.float64)
        along[:, :-1] = 0.0  # the floor stays
        along /= along.norm()
        with torch.no_grad():
            ends = [loss(told | {name: value + sign * 1e-6 * along}) for sign in (1.0, -1.0)]
        expected, found = (ends[0] - ends[1]) / 2e-6, (asked[name].grad * along).sum()
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
