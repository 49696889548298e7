# SPDX-License-Identifier: Apache-2.0
"""Skins: taxels on colliders that feel the material of the world."""

import math

import numpy as np
import pytest
import torch
import warp as wp

from simenv.geometry.shapes import Box, Plane, Sphere
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.physics.mpm.skin import skin_functions
from simenv.world import Control, Scene, World
from tests.gradients.scenes import block
from tests.verification.worlds import lattice

GRAVITY = 9.81
DX = 0.02


def ball_scene():
    """A soft block falls on a floor, and a turned ball is pressed into it; the whole ball is covered."""
    scene = Scene((0.2, 0.2, 0.2), DX, 4.0e-4, 5)
    scene.add_material("a", Elastic(1000.0, 4.0e4, 0.3))
    scene.add_particles("p", "a", block((0.07, 0.07, 0.03), (6, 6, 6)), (0.5 * DX) ** 3)
    scene.add_body("hand", position=(0.1, 0.1, 0.12), quaternion=(0.1, 0.2, 0.3, 0.9))
    scene.add_collider("ball", Sphere(0.03), "hand", friction=0.5, width=0.02)
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.03), friction=0.5, width=0.02)
    scene.add_skin("ball", 7, 5, 0.2, 0.2, quaternion=(0.1, -0.3, 0.2, 0.9))
    return scene


def test_pressure_under_a_column_of_liquid():
    # rho g h on every taxel inside the rim; measured 0.1 to 1 %
    cells, depth, dx = 12, 0.12, 0.01
    scene = Scene((0.16, 0.12, depth + 0.06), dx, 2.5e-4, 40, boundary=("slip", "slip", "separate"))
    sound = 10 * math.sqrt(GRAVITY * depth)
    scene.add_material("water", Liquid(1000.0, 1000.0 * sound**2))
    points = lattice((0, 0, 0.03), (0.16, 0.12, 0.03 + depth), dx / 2)
    scene.add_particles("pool", "water", points, (dx / 2) ** 3)
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.03))
    scene.add_skin("floor", 4, 6, 0.12, 0.08, (0.08, 0.06, 0.0))
    world = World(scene, 1)
    state = world.initial_state()
    head = torch.as_tensor(0.03 + depth - points[:, 2])
    state = state.replace(J=(1 / (1 + 1000.0 * GRAVITY * head / (1000.0 * sound**2))).float()[None])
    mean = torch.zeros(4, 6, 3)
    for step in range(100):
        state = world.step(state, world.zero_control())
        mean += world.skin(state, "floor")[0] / 50 if step >= 50 else 0.0
    assert int(state.status) == 0
    pressure = -mean[1:-1, 1:-1, 2] / (0.02 * 0.02)  # the liquid is pushed up, so the skin is pushed down
    error = pressure / (1000.0 * GRAVITY * depth) - 1
    print(f"\nmeasured pressure on taxels: {float(error.min()):+.4f} to {float(error.max()):+.4f}")
    assert cells * dx == depth and error.abs().max() <= 0.02
    assert mean[1:-1, 1:-1, :2].abs().max() <= 0.02 * mean[1:-1, 1:-1, 2].abs().mean()  # at rest there is no shear


def test_taxels_add_up_to_the_wrench():
    world = World(ball_scene(), 3, dtype=torch.float64)
    state = world.initial_state()
    twist = torch.tensor([[[0.1, -0.1, -0.7, 1.0, 2.0, -1.0]]], dtype=torch.float64) * torch.ones(3, 1, 1)
    twist[1] *= 0.5
    largest = 0.0
    for _ in range(30):
        state = world.step(state, Control(twist))
        assert (state.status == 0).all()
        # the axes turn during the control step, by up to |omega| dt = 2.4 * 2e-3, and the wrench is in the world's
        felt = state.skin_field.sum(1).norm(dim=-1)
        force = state.wrench[:, 0, :3].norm(dim=-1)
        largest = max(largest, float(force.max()))
        torch.testing.assert_close(felt, force, rtol=5e-3, atol=1e-12)
    assert largest > 0.1


def test_axes_and_sign():
    """A block slides over a still plate along the plate's own y: the skin is dragged along +y, and pressed along -z."""
    scene = Scene((0.3, 0.2, 0.2), DX, 4.0e-4, 5)
    scene.add_material("a", Elastic(1000.0, 4.0e4, 0.3))
    scene.add_particles("p", "a", lattice((0.05, 0.07, 0.05), (0.11, 0.13, 0.11), DX / 2), (DX / 2) ** 3, (1.0, 0, 0))
    half = math.sqrt(0.5)  # the plate is turned by -90 degrees about z: its y is the world's x
    scene.add_collider(
        "plate", Box((0.1, 0.15, 0.02)), position=(0.15, 0.1, 0.03), quaternion=(0, 0, -half, half), friction=0.3,
    )  # fmt: skip
    scene.add_skin("plate", 12, 8, 0.2, 0.3, (0.0, 0.0, 0.02))
    world = World(scene, 1)
    state = world.initial_state()
    total = torch.zeros(3)
    first = None
    for _ in range(60):
        state = world.step(state, world.zero_control())
        force = world.skin(state, "plate")[0]
        total += force.sum((0, 1))
        if first is None and force[..., 2].sum() < -0.1:
            first = (force[..., 2].sum(1) * torch.arange(12)).sum() / force[..., 2].sum()
    last = (force[..., 2].sum(1) * torch.arange(12)).sum() / force[..., 2].sum()
    assert total[2] < 0 and abs(total[0]) < 0.02 * -total[2]
    assert total[1] / -total[2] == pytest.approx(0.3, rel=0.03)  # Coulomb: it slides all the time
    moved = float(state.x[0, :, 0].mean()) - 0.08
    assert float(last - first) * 0.3 / 12 == pytest.approx(moved, abs=0.3 / 12)  # the print follows the block, a taxel


def test_a_world_without_contact_reads_zero_and_rows_are_independent():
    world = World(ball_scene(), 2)
    twist = torch.zeros(2, 1, 6)
    twist[0, 0, 2] = -0.7
    state = world.initial_state()
    state.body_q[1, 0, 2] += 0.05  # out of reach
    for _ in range(20):
        state = world.step(state, Control(twist))
    assert state.skin_field[0].abs().max() > 0.01
    assert state.skin_field[1].abs().max() == 0
    away = torch.zeros(2, 1, 6)
    away[0, 0, 2] = 40.0
    state = world.step(world.step(state, Control(away)), Control(torch.zeros(2, 1, 6)))
    assert (state.status == 0).all()
    assert state.skin_field.abs().max() == 0  # the contact is broken


def test_a_contact_just_beyond_the_edge_is_not_the_skin_s():
    """The skin ends half a taxel beyond the middles of its outer taxels, on all four sides."""
    rows, columns, middle, pitch, short = 3, 5, np.array([0.1, -0.2, 0.3]), 0.02, 1e-6
    skin = skin_functions(wp.float64)

    @wp.kernel(enable_backward=False, module="unique")
    def felt(skins: skin.Skins, places: wp.array(dtype=wp.vec3d), on_out: wp.array(dtype=wp.int32)):
        i = wp.tid()
        if skin.on_skin(skins, 0, places[i]):
            on_out[i] = 1

    skins = skin.Skins()
    skins.taxels = rows * columns
    for name, value, kind in (
        ("first", [0], wp.int32), ("rows", [rows], wp.int32), ("columns", [columns], wp.int32),
        ("corner", [middle - (pitch * (columns - 1) / 2, pitch * (rows - 1) / 2, 0.0)], wp.vec3d),
        ("u", [(1 / pitch, 0.0, 0.0)], wp.vec3d), ("v", [(0.0, 1 / pitch, 0.0)], wp.vec3d),
    ):  # fmt: skip
        setattr(skins, name, wp.array(np.array(value), dtype=kind, device="cpu"))
    half = np.array([pitch * columns / 2, pitch * rows / 2])
    places, expected = [], []
    for axis in (0, 1):
        for side in (-1.0, 1.0):
            for beyond in (-short, short):
                offset = np.zeros(3)
                offset[axis] = side * (half[axis] + beyond)
                places.append(middle + offset)
                expected.append(int(beyond < 0))
    found = wp.zeros(len(places), dtype=wp.int32, device="cpu")
    there = wp.array(np.array(places), dtype=wp.vec3d, device="cpu")
    wp.launch(felt, dim=len(places), inputs=[skins, there], outputs=[found], device="cpu")
    assert found.numpy().tolist() == expected


def test_errors():
    scene = ball_scene()
    with pytest.raises(ValueError, match="has a skin already"):
        scene.add_skin("ball", 4, 4, 0.1, 0.1)
    with pytest.raises(ValueError, match="1 x 4 taxels"):
        scene.add_skin("floor", 1, 4, 0.1, 0.1)
    with pytest.raises(ValueError, match="nothing"):
        scene.add_skin("nothing", 4, 4, 0.1, 0.1)
    world = World(scene, 1)
    with pytest.raises(KeyError, match="'floor' has no skin; those with one: ball"):
        world.skin(world.initial_state(), "floor")
    assert np.allclose(
        scene.colliders["ball"].spec.skin.corner @ scene.colliders["ball"].spec.skin.covectors.T, [-2, -3]
    )
