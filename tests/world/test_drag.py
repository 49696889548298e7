# SPDX-License-Identifier: Apache-2.0
"""Gas and particles that drag each other along: momentum, fall of spheres, dust in a wind, derivatives, errors."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Sphere
from simenv.physics.gas.model import SIDES, Periodic, Scalar
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.world import Control, Scene
from tests.world.test_gas_obstacles import momentum_of

BOX, DX = (0.4, 0.4, 0.4), 0.05
GRAIN, AIR, THICK = 2500.0, 1.2, 1.8e-5


def scene_of(diameter, positions, gravity=(0.0, 0.0, 0.0), volume=1e-12, velocity=(0.0, 0.0, 0.0), tick=2e-3, ticks=10):
    """Parcels of grains in a periodic box of air, too soft to push each other."""
    scene = Scene(size=BOX, dx=DX, substep_dt=tick, substeps=ticks, gravity=gravity, boundary="periodic")
    scene.add_material("dust", Elastic(density=GRAIN, youngs_modulus=1e-9, poisson_ratio=0.0))
    scene.add_particles("cloud", "dust", np.asarray(positions), volume=volume, velocity=velocity)
    scene.add_gas("air", AIR, THICK, {side: Periodic() for side in SIDES}, tolerance=1e-12)
    scene.add_drag("dust", diameter)
    return scene


def spread(count, seed=0):
    return np.random.default_rng(seed).uniform(0.06, 0.34, (count, 3))


def momentum(world, state):
    """Of the gas and of the particles (3,) [kg m/s]."""
    cells = AIR * DX**3
    gas = torch.stack([state[f"gas_{name}"].sum() for name in "uvw"]) * cells
    return gas, (GRAIN * world.volume[..., None] * state.v).sum((0, 1))


def fall(diameter, time, steps=20000):
    """Speed of a sphere that falls from rest in air for a time, by its equation of motion."""
    speed, dt = 0.0, time / steps
    for _ in range(steps):
        reynolds = AIR * abs(speed) * diameter / THICK
        rate = 18.0 * THICK / (GRAIN * diameter**2) * (1.0 + 0.15 * reynolds**0.687)
        speed += dt * (9.81 - rate * speed)
    return speed


@pytest.mark.parametrize(("diameter", "reynolds"), [(3e-5, 0.13), (2e-4, 20.0)])
def test_spheres_fall_as_schiller_and_naumann_say(diameter, reynolds):
    """Few of them, so that air stays still: after 0.1 s, and for the smaller ones at their terminal speed."""
    world = scene_of(diameter, [(0.2, 0.2, 0.2)], gravity=(0.0, 0.0, -9.81)).make_world(1, dtype=torch.float64)
    state = world.initial_state()
    for _ in range(5):
        state = world.step(state, world.zero_control())
    expected = fall(diameter, 0.1)
    assert expected * AIR * diameter / THICK == pytest.approx(reynolds, rel=0.5)
    assert -state.v[0, 0, 2].item() == pytest.approx(expected, rel=0.01)


def test_what_particles_lose_gas_gains():
    """A cloud that is a tenth as heavy as the air, thrown into it: both together keep their momentum, to rounding."""
    mass = 0.1 * AIR * math.prod(BOX) / 50
    scene = scene_of(2e-4, spread(50), volume=mass / GRAIN, velocity=(0.6, -0.2, 0.1))
    world = scene.make_world(1, dtype=torch.float64)
    state = world.initial_state()
    start = sum(momentum(world, state))
    for _ in range(10):
        state = world.step(state, world.zero_control())
    assert int(state.status) == 0
    gas, particles = momentum(world, state)
    assert (gas + particles - start).abs().max() <= 1e-12 * start.abs().max()
    assert gas[0] > 0.05 * start[0]  # and much has changed hands


def test_what_particles_lose_gas_and_a_body_gain():
    """The same around a ball that moves as told, near which the cloud begins."""
    mass, places = 0.1 * AIR * math.prod(BOX) / 50, spread(200)
    away = np.linalg.norm(places - 0.2, axis=1)
    scene = scene_of(2e-4, places[(away > 0.09) & (away < 0.14)], volume=mass / GRAIN, velocity=(0.6, -0.2, 0.1))
    scene.add_body("ball", Sphere(0.08), position=(0.2, 0.2, 0.2))
    world = scene.make_world(1, dtype=torch.float64)
    state = world.initial_state()
    told = torch.tensor([[[0.2, 0.1, 0.0, 1.0, 0.0, 2.0]]], dtype=torch.float64)
    state = state.replace(body_twist=told)
    moved = 0.0
    for _ in range(3):
        before, lacking = momentum_of(world, state, (8, 8, 8), DX)
        start = before + momentum(world, state)[1]
        state = world.step(state, Control(twist=told))
        assert int(state.status) == 0
        after, lacks = momentum_of(world, state, (8, 8, 8), DX)
        felt = (world.gas.wrench(state, "ball") + state.wrench[:, 0])[0, :3] * world.dt  # of the gas and of the cloud
        change = after + momentum(world, state)[1] - start + (lacks - lacking) * told[0, 0, :3]
        assert (change + felt).abs().max() <= 1e-12 * start.abs().max()
        moved = max(moved, felt.abs().max().item())
    assert moved > 1e-3 * start.abs().max()


def test_dust_that_is_heavier_than_air_and_held_tightly_moves_with_it():
    """A thousand times the air's mass and grains of a micrometre: no step is unstable, and both meet at their mean."""
    mass = 1000.0 * AIR * DX**3
    grid = (np.stack(np.meshgrid(*[np.arange(16)] * 3, indexing="ij"), -1).reshape(-1, 3) + 0.5) * (DX / 2)
    scene = scene_of(1e-6, grid, volume=mass / 8 / GRAIN, velocity=(0.5, 0.0, 0.0), ticks=5)
    world = scene.make_world(1, dtype=torch.float64)
    state = world.step(world.initial_state(), world.zero_control())
    common = 0.5 * 1000.0 / 1001.0
    assert (state.v[..., 0] - common).abs().max() < 1e-6
    assert (state.gas_u - common).abs().max() < 1e-6


@pytest.mark.parametrize("around", [False, True])
def test_a_step_has_the_derivatives_of_differences(around):
    scene = scene_of(2e-4, spread(12, 1), gravity=(0.3, 0.0, -9.81), volume=2e-8, velocity=(0.3, 0.1, -0.2), ticks=4)
    if around:
        scene.add_body("ball", Sphere(0.05), position=(0.23, 0.2, 0.19), motion="fixed")
    world = scene.make_world(1, dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)

    def random(shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    state = world.initial_state()
    state = state.replace(**{f"gas_{name}": 0.3 * random(state[f"gas_{name}"].shape) for name in "uvw"})
    state = world.step(state, world.zero_control())
    names = ("x", "v", "gas_u", "gas_w") if not around else ("x", "v", "gas_u", "gas_w", "body_q")
    parameters = ("dust.diameter", "dust.density", "air.density", "air.viscosity")
    weights = {name: random(state[name].shape) for name in ("x", "v", "gas_u", "gas_v", "gas_w")}
    start = {name: state[name].clone() for name in names} | {
        name: world.parameters[name].clone() for name in parameters
    }

    def told(values):
        for name in parameters:
            world.parameters[name] = values[name]
        after = world.step(state.replace(**{name: values[name] for name in names}), world.zero_control())
        return sum((after[name] * weight).sum() for name, weight in weights.items())

    leaves = {name: value.clone().requires_grad_() for name, value in start.items()}
    told(leaves).backward()
    for name, leaf in leaves.items():
        way = random(leaf.shape) * (start[name].abs().mean() if name in parameters else 1.0)
        h = 1e-6 if name not in parameters else 1e-5
        ends = [told(start | {name: start[name] + sign * h * way}).item() for sign in (1.0, -1.0)]
        slope = (ends[0] - ends[1]) / (2.0 * h)
        assert (leaf.grad * way).sum().item() == pytest.approx(slope, rel=1e-5), name


def test_wrong_drags_are_refused():
    scene = Scene(size=BOX, dx=DX, substep_dt=1e-3, substeps=2)
    scene.add_material("water", Liquid(density=1000.0, bulk_modulus=1e4))
    with pytest.raises(ValueError, match="the scene has no gas"):
        scene.add_drag("water", 1e-3)
    scene.add_gas("air", AIR, 0.0, scalars={"smoke": Scalar()})
    with pytest.raises(ValueError, match="no such material; there are: water"):
        scene.add_drag("sand", 1e-3)
    with pytest.raises(ValueError, match="the gas has no viscosity"):
        scene.add_drag("water", 1e-3)
    scene.gas = None
    scene.add_gas("air", AIR, THICK)
    with pytest.raises(ValueError, match="diameter"):
        scene.add_drag("water", -1e-3)
    scene.add_drag("water", 1e-3)
    with pytest.raises(ValueError, match=r"has a drag already, of spheres of 0\.001 m"):
        scene.add_drag("water", 1e-3)
