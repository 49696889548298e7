# SPDX-License-Identifier: Apache-2.0
"""Incompressible liquids: derivatives, faults, and what a scene may not ask of them."""

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Cup
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.physics.status import LEFT_GRID, TOO_FAST
from simenv.world import Scene, State
from tests.physics.liquid_cases import assert_gradients

DX = 0.01


def scene_of(x, boundary="slip", viscosity=1.0, ticks=2, velocity=(0.0, 0.0, 0.0), size=(0.08, 0.06, 0.10)):
    scene = Scene(size=size, dx=DX, substep_dt=0.005, substeps=ticks, boundary=boundary)
    scene.add_material("water", Liquid(1000.0, viscosity=viscosity, incompressible=True))
    scene.add_particles("water", "water", x, (DX / 2) ** 3, velocity=velocity)
    return scene


def column(jitter=0.3):
    """A column (n, 3) of particles in the box' corner."""
    h = DX / 2
    axes = [np.arange(h / 2, side, h) for side in (0.045, 0.06, 0.05)]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    return x + jitter * h * (np.random.default_rng(0).random(x.shape) - 0.5)


@pytest.mark.parametrize("boundary", ["slip", ("slip", "stick", "stick")])
def test_gradients_agree_with_central_differences(boundary):
    """Of a collapsing column, over two control steps, by the state, gravity, density and viscosity: to 1e-5."""
    world = scene_of(column(), boundary).make_world(1, dtype=torch.float64)
    start, control = world.initial_state(), world.zero_control()
    for _ in range(5):
        start = world.step(start, control)
    factors = {"x": 1.0, "v": 0.1, "C": 0.001}
    steps = {"x": 1e-6, "v": 1e-4, "C": 1e-2, "gravity": 1e-4, "water.viscosity": 1e-4, "water.density": 1e-1}
    assert_gradients(world, start, factors, steps)


def test_worlds_of_a_batch_are_what_each_is_alone():
    """To the last bit, with their gradients, and what is let out later takes no part before."""
    batch, alone = scene_of(column()).make_world(3), scene_of(column()).make_world(1)
    state = batch.initial_state()
    state = state.replace(v=state.v + torch.tensor([0.0, 0.3, -0.2])[:, None, None])
    active = state.active.clone()
    active[2, ::2] = False
    state = state.replace(active=active)

    def stepped(world, state):
        x, v = (state[name].clone().requires_grad_() for name in "xv")
        after = world.step(state.replace(x=x, v=v), world.zero_control())
        after = world.step(after, world.zero_control())
        assert not after.status.any()
        return after, torch.autograd.grad(after.x.square().sum() + after.v[..., 2].sum(), (x, v))

    every, slopes = stepped(batch, state)
    for row in range(3):
        one, own = stepped(alone, State({name: each[row : row + 1] for name, each in state.items()}))
        for name in ("x", "v", "C"):
            assert torch.equal(every[name][row], one[name][0]), name
        for a, b in zip(slopes, own, strict=True):
            assert torch.equal(a[row], b[0])
    assert torch.equal(every.x[2, ::2], state.x[2, ::2])


@pytest.mark.parametrize(("change", "bit"), [("v", TOO_FAST), ("x", LEFT_GRID)])
def test_what_is_too_fast_or_outside_stops_its_world_alone(change, bit):
    world = scene_of(column()).make_world(2)
    state = world.initial_state()
    value = state[change].clone()
    value[1] = 10.0
    after = world.step(state.replace(**{change: value}), world.zero_control())
    assert int(after.status[0]) == 0
    assert int(after.status[1]) & bit


def test_a_scene_refuses_what_these_liquids_cannot_do():
    with pytest.raises(ValueError, match="leave it out"):
        Liquid(1000.0, bulk_modulus=1e4, incompressible=True)
    with pytest.raises(ValueError, match="bulk_modulus"):
        Liquid(1000.0)
    scene = scene_of(column(), boundary="periodic", size=(0.08, 0.06, 0.10))
    with pytest.raises(ValueError, match="boundary"):
        scene.make_world(1)
    scene = scene_of(column())
    scene.add_material("gel", Elastic(1000.0, youngs_modulus=500.0))
    scene.add_particles("gel", "gel", np.array([[0.07, 0.03, 0.05]]), 1e-7)
    with pytest.raises(ValueError, match="only material"):
        scene.make_world(1)
    scene = scene_of(column())
    scene.add_collider("cup", Cup(0.02, 0.05, 0.004, 0.01))
    with pytest.raises(ValueError, match=r"'cup': its wall is 0.004 m thick, .* dx = 0.01 m"):
        scene.make_world(1)
    with pytest.raises(ValueError, match="viscosity"):
        scene_of(column(), viscosity=10.0)
