# SPDX-License-Identifier: Apache-2.0
"""Gels that hold a vessel of liquid: they feel the vessel alone, and through it what the liquid weighs."""

import math

import pytest
import torch

from simenv.geometry.sampling import fill_cavity
from simenv.geometry.shapes import Box, Cup
from simenv.physics.mpm.materials import Liquid
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.world import Scene

DOUBLE, G, DX = torch.float64, 9.81, 0.008
CUP, PLACE = Cup(0.022, 0.070, 0.003, 0.004), (0.06, 0.06, 0.03)
GEL = WinklerGel.from_layer(modulus=1e5, poisson=0.45, thickness=4e-3, mu=1.0)
DEPTH = 8e-4  # of the cup in each gel [m]
TICK, TICKS = 1 / 1200, 30


def held(liquid=True, gels=True, grid=True, **options):
    """A cup between two pads that stand still, with or without liquid in it."""
    space = {"size": (0.12, 0.12, 0.12), "dx": DX} if grid else {}
    scene = Scene(substep_dt=TICK, substeps=TICKS, lead=4e-3, **space)
    if grid:
        scene.add_material("liquid", Liquid(1000.0, bulk_modulus=1.2e4, viscosity=0.5))
        points = fill_cavity(CUP, 0.045, DX / 2, jitter=0.1, clearance=0.1 * DX) + PLACE
        if not liquid:  # something must be in the grid: a drop far away
            points = torch.tensor([[0.02, 0.02, 0.02]]).numpy()
        scene.add_particles("liquid", "liquid", points, (DX / 2) ** 3)
    scene.add_body("cup", CUP, 2500.0, PLACE, motion="free", coupling="rigid", width=0.2 * DX)
    if gels:
        half, reach = math.sqrt(0.5), CUP.inner_radius + CUP.wall - DEPTH
        for name, side in (("left", 1.0), ("right", -1.0)):
            scene.add_body(f"{name} pad", position=(0.06, 0.06 + side * reach, 0.065))
            turn = (side * half, 0.0, 0.0, half)  # z towards the cup
            scene.add_gel(name, f"{name} pad", "cup", flat_grid(6, 8, 0.02, 0.015), GEL, quaternion=turn, **options)
        scene.let_pass("left pad", "right pad", "the cup is between them")
    return scene.make_world(1, dtype=DOUBLE)


def played(world, steps):
    state = world.touch_anew(world.initial_state()) if len(world.gels) else world.initial_state()
    for _ in range(steps):
        state = world.step(state, world.zero_control())
    assert (state.status == 0).all()
    return state


def test_a_gel_that_particles_pass_has_no_collider():
    world = held(particles=False)
    assert "left" not in world.colliders and "left" in world.gels
    assert "left" in held().colliders


def test_it_feels_its_body_as_if_there_were_no_particles():
    """The same force field, bit for bit, as in a scene without a grid; nothing of the drop far away."""
    alone, beside = (played(held(False, grid=grid, particles=False), 8) for grid in (False, True))
    assert torch.equal(alone.field, beside.field) and torch.equal(alone.body_q[:, 0], beside.body_q[:, 0])
    assert float(beside.field.abs().max()) > 0.1


def test_gels_carry_the_weight_of_a_vessel_and_what_is_in_it():
    """At rest after 0.8 s, mean over the next 0.25 s. Sideways a thousandth is left of the 12 N of each pad."""
    world = held(particles=False)
    state, forces, water = played(world, 32), [], []
    for _ in range(10):
        state = world.step(state, world.zero_control())
        forces.append(sum(world.bodies[f"{name} pad"].wrench(state)[0, :3] for name in ("left", "right")))
        water.append(world.colliders["cup"].wrench(state)[0, :3])
    force, water = torch.stack(forces).mean(0), torch.stack(water).mean(0)
    inside = G * 1000.0 * float(world.volume.sum())
    weight = G * float(world.parameters["cup.mass"][0]) + inside
    print(f"\nmeasured: gels {-float(force[2]):.4f} N of {weight:.4f}, the cup {-float(water[2]):.4f} of {inside:.4f}")
    assert -float(force[2]) == pytest.approx(weight, rel=5e-3)
    assert -float(water[2]) == pytest.approx(inside, rel=5e-3)
    assert float(force[:2].abs().max()) < 12e-3
    away = (state.x[0] - state.body_q[0, 0, :3])[:, :2].norm(dim=-1)
    assert float(away.max()) < CUP.inner_radius + CUP.wall


def test_gradient_of_what_gels_carry():
    """By stiffness and friction of a gel, the cup's mass, and the liquid's density and viscosity: central differences,
    float64. Values of 6 N are right to 1e-12 of them, as contact is solved so, of which a step of 1e-5 makes 3e-7.
    """
    world = held(particles=False)
    names = ("left.k_t", "left.k_n", "right.mu", "cup.mass", "liquid.density", "liquid.viscosity")
    given = {name: world.parameters[name].clone() for name in names}

    def loss(values):
        for name, value in values.items():
            world.parameters[name] = value
        state = world.touch_anew(world.initial_state())
        total = 0.0
        for _ in range(4):
            state = world.step(state, world.zero_control())
            force = sum(world.gels[name].force(state)[0] for name in ("left", "right"))
            total = total + (force * torch.tensor([0.3, -0.2, 1.0], dtype=DOUBLE)).sum()
        return total + 10.0 * state.body_q[0, 0, 2] + state.x[0, :, 2].mean()

    leaves = {name: value.clone().requires_grad_() for name, value in given.items()}
    grads = torch.autograd.grad(loss(leaves), list(leaves.values()))
    for name, grad in zip(names, grads, strict=True):
        step = 1e-5 * given[name]
        ends = [float(loss(given | {name: given[name] + sign * step})) for sign in (1.0, -1.0)]
        slope, expected = float((grad * given[name]).sum()), (ends[0] - ends[1]) / 2e-5
        print(f"{name}: {slope:+.6e} by the gradient, {expected:+.6e} by differences")
        assert slope == pytest.approx(expected, rel=1e-5, abs=3e-7)


def test_what_does_not_fit_is_refused():
    scene = Scene((0.12, 0.12, 0.12), DX, TICK, TICKS)
    scene.add_body("pad")
    scene.add_body("cup", CUP, motion="fixed")
    grid = flat_grid(4, 4, 0.02, 0.02)
    with pytest.raises(ValueError, match="particles=True to feel those"):
        scene.add_gel("gel", "pad", None, grid, GEL, particles=False)
    with pytest.raises(ValueError, match=r"thickness = 0.01 m is of the collider that particles meet"):
        scene.add_gel("gel", "pad", "cup", grid, GEL, thickness=0.01, particles=False)
    scene.add_body("block", Box((0.01, 0.01, 0.01)))
    scene.add_gel("gel", "pad", "block", grid, GEL, thickness=0.01)
    assert "gel" in scene.colliders
