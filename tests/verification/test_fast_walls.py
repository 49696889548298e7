# SPDX-License-Identifier: Apache-2.0
"""Walls much thinner than a cell, in fast motion: no particle crosses them."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Cup, Plane
from simenv.physics.mpm.materials import Liquid
from simenv.world import Control, Scene, World
from tests.verification.worlds import lattice

DX, DT = 0.01, 4.0e-4
CUP, PLACE = Cup(0.04, 0.16, 0.004, 0.004), np.array([0.18, 0.1, 0.03])
DEPTH = 0.06  # of the water in it [m]


def vessel(**how) -> World:
    """A tall cup, its wall 0.4 cells thick, with water in it."""
    scene = Scene((0.36, 0.2, 0.3), DX, DT, 5, boundary="slip")
    scene.add_material("water", Liquid(1000.0, 1.0e5))
    low = (PLACE[0] - 0.08, PLACE[1] - 0.08, PLACE[2] + CUP.base)
    points = lattice(low, (PLACE[0] + 0.08, PLACE[1] + 0.08, low[2] + DEPTH), 0.5 * DX)
    inside = np.linalg.norm((points - PLACE)[:, :2], axis=1) < CUP.inner_radius - 0.25 * DX
    scene.add_particles("water", "water", points[inside], (0.5 * DX) ** 3)
    if how:
        scene.add_body("cup", CUP, position=tuple(PLACE), width=0.25 * DX, **how)
        scene.add_body("floor", Plane(), position=(0.0, 0.0, PLACE[2] - 0.01), motion="fixed")
    else:
        scene.add_body("hand", position=tuple(PLACE))
        scene.add_collider("cup", CUP, "hand", width=0.25 * DX)
    return World(scene, 1)


def beyond(state, pose: torch.Tensor, top: torch.Tensor) -> int:
    """How many particles have crossed the middle of the wall, or the base, of those that never were at the rim."""
    local = state.x[0] - pose[0, :3]
    crossed = (local[:, :2].norm(dim=1) > CUP.inner_radius + 0.5 * CUP.wall) | (local[:, 2] < 0.5 * CUP.base)
    return int((crossed & (top < CUP.height - DX)).sum())


@pytest.mark.slow
def test_no_water_crosses_the_wall_of_a_cup_that_is_jerked() -> None:
    """Back and forth at 4 m/s, 10 Hz, for two periods, which is 1.6 mm in a substep: 0.4 of the wall."""
    world = vessel()
    state, top, most = world.initial_state(), torch.full((world.particle_count,), -1.0), 0
    for step in range(100):
        speed = 4.0 * math.cos(2.0 * math.pi * 10.0 * (step + 0.5) * world.dt)
        state = world.step(state, Control(torch.tensor([[[speed, 0.0, 0.0, 0.0, 0.0, 0.0]]])))
        pose = world.bodies["hand"].pose(state)
        top = torch.maximum(top, state.x[0, :, 2] - pose[0, 2])
        most = max(most, beyond(state, pose, top))
    print(f"\nmeasured: {most} of {world.particle_count} particles crossed, status {int(state.status)}")
    assert int(state.status) == 0
    assert most == 0


@pytest.mark.slow
def test_a_free_thin_cup_holds_its_water() -> None:
    """It falls a centimetre onto a floor and stands there for 2 s, heavy enough for what it holds."""
    world = vessel(density=8000.0, motion="free", velocity=(0.0, 0.0, -0.5))
    assert not any(world.scene.mpm_model().answers)
    state, top = world.initial_state(), torch.full((world.particle_count,), -1.0)
    for _ in range(1000):
        state = world.step(state, world.zero_control())
        top = torch.maximum(top, state.x[0, :, 2] - state.body_q[0, 0, 2])
    most = beyond(state, state.body_q[:, 0], top)
    print(
        f"\nmeasured: {most} of {world.particle_count} particles crossed; the cup is at {state.body_q[0, 0, 2]:.4f} m"
    )
    assert int(state.status) == 0
    assert most == 0
