# SPDX-License-Identifier: Apache-2.0
"""A world that fails stops alone: last good state, a status that says why, no gradient; others do not notice."""

import math

import pytest
import torch

import simenv
from simenv import _threads
from simenv.world import Control, World, status
from tests.gradients.scenes import press_scene

BAD = 1  # the world that is spoilt
STEPS = 4


def spoil_nan(world, state):
    v = state.v.clone()
    v[BAD, 7, 1] = math.nan
    return state.replace(v=v)


def spoil_infinite(world, state):
    v = state.v.clone()
    v[BAD, 3, 0] = math.inf
    return state.replace(v=v)


def spoil_speed(world, state):
    v = state.v.clone()
    v[BAD] += 120.0  # [m/s]: more than a cell of 0.02 m in a substep of 0.4 ms
    return state.replace(v=v)


def spoil_position(world, state):
    x = state.x.clone()
    x[BAD, :, 0] -= 0.11  # beyond the wall by more than 1.5 cells
    return state.replace(x=x)


def spoil_nan_position(world, state):
    x = state.x.clone()
    x[BAD, 5, 2] = math.nan
    return state.replace(x=x)


def spoil_deformation(world, state):
    F = state.F.clone()
    F[BAD, 4, 0, 0] = -1.0
    return state.replace(F=F)


CASES = {
    "nan velocity": (spoil_nan, status.NONFINITE),
    "infinite velocity": (spoil_infinite, status.NONFINITE | status.TOO_FAST),
    "too fast": (spoil_speed, status.TOO_FAST | status.INVERTED),  # as it is torn on the grid
    "outside": (spoil_position, status.LEFT_GRID),
    "nan position": (spoil_nan_position, status.NONFINITE | status.LEFT_GRID),
    "inverted": (spoil_deformation, status.INVERTED),
}


def run(spoil, worlds=3, material="corotated", dtype=torch.float32, steps=STEPS):
    """The last state, the gradients, and the state in which the spoilt world ought to have stopped."""
    world = World(press_scene(material), worlds, dtype=dtype)
    random = torch.Generator().manual_seed(0)
    twist = 0.1 * torch.randn(steps, worlds, 1, 6, generator=random, dtype=torch.float64).to(dtype)
    twist[..., 2] -= 0.7
    leaves = {"twist": twist.requires_grad_()}
    for name in ("a.density", "a.youngs_modulus", "ball.friction"):
        leaves[name] = world.parameters[name].clone().requires_grad_()
        world.parameters[name] = leaves[name]
    start = world.initial_state()
    leaves["x"], leaves["v"] = start.x.clone().requires_grad_(), start.v.clone().requires_grad_()
    state = start.replace(x=leaves["x"], v=leaves["v"])
    kept = None
    for step in range(steps):
        if step == 1 and spoil:
            state = kept = spoil(world, state)
        state = world.step(state, Control(leaves["twist"][step]))
    loss = state.x.square().sum((1, 2)) + state.v.square().sum((1, 2)) + state.wrench.square().sum((1, 2))
    return state, dict(zip(leaves, torch.autograd.grad(loss.sum(), list(leaves.values())), strict=True)), kept, world


@pytest.mark.parametrize("name", CASES)
def test_a_bad_world_stops_alone(name):
    spoil, bits = CASES[name]
    first = bits & -bits  # the lowest has to be set, the others may
    state, grads, kept, _world = run(spoil)
    good, good_grads, _, _ = run(None)
    others = [0, 2]
    assert state.status[others].tolist() == [0, 0]
    assert int(state.status[BAD]) & first, status.describe(int(state.status[BAD]))
    assert int(state.status[BAD]) & ~bits == 0, status.describe(int(state.status[BAD]))
    for field, value in state.as_dict().items():
        assert torch.equal(value[others], good.as_dict()[field][others]), f"{field} of a neighbour has changed"
        if field != "status":
            torch.testing.assert_close(value[BAD], kept.as_dict()[field][BAD], rtol=0, atol=0, equal_nan=True)
    for leaf, grad in grads.items():
        mine, others_grad = (grad[:, BAD], grad[:, others]) if leaf == "twist" else (grad[BAD], grad[others])
        theirs = good_grads[leaf][:, others] if leaf == "twist" else good_grads[leaf][others]
        assert torch.equal(others_grad, theirs), f"the gradient of {leaf} of a neighbour has changed"
        assert torch.isfinite(mine).all(), leaf
        assert mine.abs().max() == 0, f"a failed world has a gradient for {leaf}"


def test_a_world_that_fails_by_itself_keeps_finite_numbers():
    # far too high a speed of the tool, not of the particles
    world = World(press_scene("corotated"), 2)
    state = world.initial_state()
    before = state
    twist = torch.zeros(2, 1, 6)
    twist[BAD, 0, 2] = -60.0
    for _ in range(3):
        last = state
        state = world.step(state, Control(twist))
        if state.status[BAD] == 0:
            before = state
    assert state.status[0] == 0 and state.status[BAD] != 0
    for field, value in state.as_dict().items():
        if value.is_floating_point():
            assert torch.isfinite(value).all(), field
            assert torch.equal(value[BAD], before.as_dict()[field][BAD]), field
    assert not torch.equal(state.x[0], last.x[0])  # the other goes on


@pytest.mark.parametrize("threads", [1, 2])
def test_isolation_does_not_depend_on_threads(monkeypatch, threads):
    monkeypatch.setattr(_threads, "_num_threads", None)
    simenv.set_num_threads(threads)
    state, grads, _, _ = run(spoil_nan, worlds=4)
    good, good_grads, _, _ = run(None, worlds=4)
    for index in (0, 2, 3):
        assert torch.equal(state.x[index], good.x[index])
        assert torch.equal(grads["x"][index], good_grads["x"][index])


def test_status_stays_until_the_state_is_replaced():
    state, _, _, world = run(spoil_nan)
    again = world.step(state.detach(), world.zero_control())
    assert again.status[BAD] == state.status[BAD]
    assert again.time[BAD] == state.time[BAD] < again.time[0]
    fresh = world.initial_state().where(torch.tensor([False, True, False]), again)
    after = world.step(fresh, world.zero_control())
    assert after.status.tolist() == [0, 0, 0]
    assert after.time[BAD] == pytest.approx(world.dt)


def test_every_bit_has_a_cause_and_a_remedy():
    bits = [status.NONFINITE, status.TOO_FAST, status.LEFT_GRID, status.INVERTED, status.BAD_ACTION, status.TOO_STIFF]
    bits.append(status.BLOCKS_FULL)
    assert sorted(status.STATUS) == sorted(bits)
    text = status.describe(status.NONFINITE | status.INVERTED)
    assert "nonfinite" in text and "inverted" in text and text.count("remedy") == 2
    assert status.describe(0) == ""
    assert "0x400" in status.describe(1024)
