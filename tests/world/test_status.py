# SPDX-License-Identifier: Apache-2.0
"""A world that fails stops alone: last good state, a status that says why, no gradient; others do not notice."""

import math

import pytest
import torch

import simenv
from simenv import _threads
from simenv.physics import status
from simenv.world import Control, World
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
    for field, value in state.items():
        assert torch.equal(value[others], good[field][others]), f"{field} of a neighbour has changed"
        if field != "status":
            torch.testing.assert_close(value[BAD], kept[field][BAD], rtol=0, atol=0, equal_nan=True)
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
    for field, value in state.items():
        if value.is_floating_point():
            assert torch.isfinite(value).all(), field
            assert torch.equal(value[BAD], before[field][BAD]), field
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
    bits += [status.BLOCKS_FULL, status.UNCONVERGED, status.BAD_PARAMETER, status.TOO_VISCOUS, status.STIFF_SPRING]
    bits += [status.LIGHT_BODY, status.TOO_MANY_CONTACTS, status.TOO_TENSE]
    assert sorted(status.STATUS) == sorted(bits)
    text = status.describe(status.NONFINITE | status.INVERTED)
    assert "nonfinite" in text and "inverted" in text and text.count("remedy") == 2
    assert status.describe(0) == ""
    assert "0x100000" in status.describe(1 << 20)


SPOILT = [
    ("a.density", math.nan), ("a.density", -1.0), ("a.youngs_modulus", math.inf), ("a.poisson_ratio", math.nan),
    ("a.poisson_ratio", 0.6), ("ball.friction", math.nan), ("ball.friction", -0.5), ("floor.scale", 0.0),
    ("gravity", math.nan),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), SPOILT)
def test_a_bad_parameter_stops_its_world_alone(name, value):
    def play(spoil):
        world = World(press_scene("corotated"), 3)
        start, leaves = world.initial_state(), {}
        for key, good in world.parameters.items():
            leaf = good.clone()
            if spoil and key == name:
                leaf[BAD] = value
            if not key.endswith(".scale"):
                leaves[key] = leaf.requires_grad_()
            world.parameters[key] = leaf
        leaves["v"] = start.v.clone().requires_grad_()
        leaves["twist"] = (world.zero_control().twist - 0.3).requires_grad_()
        state = start.replace(v=leaves["v"])
        for _ in range(2):
            state = world.step(state, Control(leaves["twist"]))
        loss = state.x.square().sum() + state.v[[0, 2]].square().sum() + state.wrench.square().sum()
        return start, state, dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))

    start, state, grads = play(True)
    _, good, good_grads = play(False)
    assert state.status.tolist() == [0, status.BAD_PARAMETER, 0]
    assert torch.equal(state.x[BAD], start.x[BAD]) and torch.equal(state.wrench[BAD], start.wrench[BAD])
    for key, grad in grads.items():
        assert torch.equal(grad[[0, 2]], good_grads[key][[0, 2]]), f"the gradient of {key} of a neighbour has changed"
        assert grad[BAD].abs().max() == 0, f"a failed world has a gradient for {key}"
    assert torch.equal(state.x[[0, 2]], good.x[[0, 2]])


@pytest.mark.parametrize("spoil", ["twist", "body_q"])
def test_a_motion_that_is_not_a_number_stops_its_world_alone(spoil):
    world = World(press_scene("viscous"), 3)
    start, twist = world.initial_state(), world.zero_control().twist.clone()
    body_q = start.body_q.clone()
    (twist if spoil == "twist" else body_q)[BAD, 0, 4] = math.nan
    leaves = [twist.requires_grad_(), body_q.requires_grad_(), start.v.clone().requires_grad_()]
    state = world.step(start.replace(body_q=leaves[1], v=leaves[2]), Control(leaves[0]))
    grads = torch.autograd.grad(state.x.sum() + state.wrench.square().sum(), leaves)
    assert state.status.tolist() == [0, status.NONFINITE, 0]
    good = world.step(start, world.zero_control())
    assert torch.equal(state.x[[0, 2]], good.x[[0, 2]])
    for grad in grads:
        assert grad[BAD].abs().max() == 0 and torch.isfinite(grad).all()


@pytest.mark.parametrize("ratio", [-0.5, 0.0])
def test_a_liquid_without_volume_stops_its_world_alone(ratio):
    world = World(press_scene("viscous"), 3)
    start = world.initial_state()
    J = start.J.clone()
    J[BAD, 4] = ratio
    state = world.step(start.replace(J=J), world.zero_control())
    assert state.status[[0, 2]].tolist() == [0, 0]
    assert int(state.status[BAD]) & status.INVERTED, status.describe(int(state.status[BAD]))
    assert torch.equal(state.x[BAD], start.x[BAD])


@pytest.mark.parametrize("material", ["sand", "snow", "bingham"])
def test_a_volume_ratio_that_is_not_a_number_stops_its_world_alone(material):
    def spoil(world, state):
        J = state.J.clone()
        J[BAD, 4] = math.nan
        return state.replace(J=J)

    world = World(press_scene(material), 3)
    start = world.initial_state()
    leaf = start.v.clone().requires_grad_()
    state = world.step(spoil(world, start).replace(v=leaf), world.zero_control())
    good = world.step(start, world.zero_control())
    assert state.status[[0, 2]].tolist() == [0, 0] and int(state.status[BAD]) & status.NONFINITE
    assert torch.equal(state.x[[0, 2]], good.x[[0, 2]])
    (grad,) = torch.autograd.grad(state.x.sum() + state.wrench.square().sum(), leaf)
    assert torch.isfinite(grad).all() and grad[[0, 2]].abs().min() > 0
