# SPDX-License-Identifier: Apache-2.0
"""Surface tension of incompressible liquids: derivatives, worlds of a batch, limits, and what a scene may not ask."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Sphere
from simenv.physics.mpm.materials import Liquid
from simenv.physics.status import TOO_TENSE
from simenv.world import Scene, State
from tests.physics.liquid_cases import assert_gradients

DX, SIGMA = 1e-3, 0.072
TICK = 0.9 * math.sqrt(1000.0 * DX**3 / (4 * math.pi * SIGMA))


def drop(radius, centre, stretch=1.0, jitter=0.3):
    """Particles (n, 3) of a drop that is longer along z."""
    h = DX / 2
    a = (np.arange(-2 * radius / h, 2 * radius / h) + 0.5) * h
    x = np.stack(np.meshgrid(a, a, a, indexing="ij"), -1).reshape(-1, 3)
    x = x[np.linalg.norm(x, axis=1) < radius]
    x = x + jitter * h * (np.random.default_rng(0).random(x.shape) - 0.5)
    return x * np.array([stretch**-0.5, stretch**-0.5, stretch]) + centre


def scene_of(x, ticks=2, tension=SIGMA, dt=TICK, gravity=(0.0, 0.0, 0.0), **scene):
    made = Scene(size=(12 * DX, 10 * DX, 12 * DX), dx=DX, substep_dt=dt, substeps=ticks, gravity=gravity, **scene)
    water = Liquid(1000.0, viscosity=0.001, incompressible=True, surface_tension=tension)
    made.add_material("water", water)
    made.add_particles("water", "water", x, (DX / 2) ** 3)
    return made


@pytest.mark.parametrize("height", [5.2, 1.9])
def test_gradients_agree_with_central_differences(height):
    """Of a drop that swings in the air or lies on the floor, by state, tension, density and gravity: to 1e-5."""
    x = drop(2.7 * DX, np.array([6.1, 4.9, height]) * DX, 1.2)
    lies = height < 2.7
    world = scene_of(x[x[:, 2] > 0.0], gravity=(0.0, 0.0, -9.81 if lies else 0.0)).make_world(1, dtype=torch.float64)
    start, control = world.initial_state(), world.zero_control()
    for _ in range(4):
        start = world.step(start, control)
    factors = {"x": 1.0, "v": 0.01, "C": 1e-5}
    steps = {"x": 1e-8, "v": 1e-6, "C": 1e-3, "water.surface_tension": 1e-6, "water.density": 1e-2, "gravity": 1e-4}
    assert_gradients(world, start, factors, steps)


def test_worlds_of_a_batch_are_what_each_is_alone():
    """To the last bit, with their gradients, though alone a world has a window around its drop."""
    x = drop(2.2 * DX, np.array([6.2, 4.9, 5.1]) * DX, 1.2)
    batch, alone = scene_of(x).make_world(2), scene_of(x).make_world(1)
    batch.parameters["water.surface_tension"] = torch.tensor([SIGMA, 0.5 * SIGMA])

    def stepped(world, state):
        x = state.x.clone().requires_grad_()
        tension = world.parameters["water.surface_tension"].detach().clone().requires_grad_()
        world.parameters["water.surface_tension"] = tension
        after = world.step(state.replace(x=x), world.zero_control())
        after = world.step(after, world.zero_control())
        assert not after.status.any()
        return after, torch.autograd.grad(after.x.square().sum() + after.v[..., 2].sum(), (x, tension))

    state = batch.initial_state()
    every, slopes = stepped(batch, state)
    assert not torch.equal(every.x[0], every.x[1])
    for row in range(2):
        alone.parameters["water.surface_tension"] = batch.parameters["water.surface_tension"].detach()[row : row + 1]
        one, own = stepped(alone, State({name: each[row : row + 1] for name, each in state.items()}))
        for name in ("x", "v", "C"):
            assert torch.equal(every[name][row], one[name][0]), name
        for a, b in zip(slopes, own, strict=True):
            assert torch.equal(a[row], b[0])


def test_a_tick_must_be_shorter_than_the_shortest_waves():
    """dt^2 < rho dx^3 / (4 pi sigma), at once or world by world."""
    x = drop(2 * DX, np.array([6, 5, 6]) * DX)
    with pytest.raises(ValueError, match=r"'water': surface tension 0.1 N/m .* dx = 0.001 m"):
        scene_of(x, tension=0.1)
    world = scene_of(x).make_world(2)
    limit = SIGMA / 0.81
    with pytest.raises(ValueError, match=r"'water.surface_tension' = 0.1; .* at most 0.0888.*shorten the substep"):
        world.parameters["water.surface_tension"] = 0.1
    world.parameters["water.surface_tension"] = limit * torch.tensor([0.99, 1.01])
    state = world.step(world.initial_state(), world.zero_control())
    assert state.status.tolist() == [0, TOO_TENSE]
    assert "parameter 'water.surface_tension' = 0.0897" in world.parameters.explain(TOO_TENSE, 1)


def test_what_has_no_surface_tension():
    """No parameter, and the bits of a liquid to which nobody gave it."""
    assert "surface_tension" not in Liquid(1000.0, incompressible=True, surface_tension=0.0).parameter_names()
    with pytest.raises(ValueError, match=r"surface_tension = 0.072 .* incompressible=True"):
        Liquid(1000.0, bulk_modulus=1e4, surface_tension=SIGMA)
    for wrong in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="surface_tension"):
            Liquid(1000.0, incompressible=True, surface_tension=wrong)


@pytest.mark.parametrize("motion", ["fixed", "given", "free"])
def test_colliders_and_bodies_are_refused(motion):
    """In cells that they cut waves would grow."""
    scene = scene_of(drop(2 * DX, np.array([6, 5, 6]) * DX))
    if motion == "fixed":
        scene.add_collider("other", Box((5 * DX, 4 * DX, DX)), position=(6 * DX, 5 * DX, DX))
    else:
        scene.add_body(
            "other", Sphere(1.6 * DX), 500.0 if motion == "free" else None, (6 * DX, 5 * DX, 2 * DX), motion=motion
        )
    with pytest.raises(ValueError, match=r"'water': .* surface_tension goes without colliders and bodies \(other\)"):
        scene.make_world(1)
