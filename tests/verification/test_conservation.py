# SPDX-License-Identifier: Apache-2.0
"""Mass, momentum and angular momentum of free bodies, and free fall."""

import pytest
import torch

from simenv.physics.mpm.materials import Bingham, Elastic, ElastoPlastic, Liquid, Sand, Snow
from simenv.world import Scene, World
from tests.verification.worlds import angular_momentum, lattice, masses, momentum

MATERIALS = {
    "liquid": Liquid(1000.0, 4.0e4, 0.2),
    "elastic": Elastic(1000.0, 4.0e4, 0.3),
    "plastic": ElastoPlastic(1000.0, 4.0e4, 0.3, 100.0),
    "bingham": Bingham(1000.0, 4.0e4, 5.0, 20.0),
    "cohesive_sand": Sand(1000.0, 4.0e4, 0.3, 0.5, 50.0),
    "snow": Snow(1000.0, 4.0e4),
}
DX, DT = 0.02, 4.0e-4


def blob(material, dtype, substeps, gravity=(0.0, 0.0, 0.0), size=0.5, dt=DT):
    scene = Scene((size,) * 3, DX, dt, substeps, gravity=gravity)
    scene.add_material("m", MATERIALS[material])
    centre = size / 2
    scene.add_particles("p", "m", lattice((centre - 0.04,) * 3, (centre + 0.04,) * 3, 0.01) + 0.0013, 1.0e-6)
    return World(scene, 1, dtype=dtype)


def spinning(world, drift=(0.2, -0.1, 0.15), spin=2.0):
    """The blob drifts, turns about z and is sheared, so that stress and affine velocities matter."""
    state = world.initial_state()
    arm = state.x - state.x.mean(1, keepdim=True)
    v = torch.stack([-spin * arm[..., 1] + arm[..., 2], spin * arm[..., 0], -0.5 * arm[..., 2]], -1)
    return state.replace(v=v + torch.tensor(drift, dtype=world.dtype))


ROUNDING = [(torch.float32, 1e-6), (torch.float64, 1e-14)]


@pytest.mark.parametrize(("dtype", "limit"), ROUNDING, ids=["float32", "float64"])
@pytest.mark.parametrize("material", MATERIALS)
def test_mass_on_the_grid_is_that_of_the_particles(material, dtype, limit):
    world = blob(material, dtype, substeps=1)
    volume = world.volume.clone()
    state = spinning(world)
    worst = 0.0
    for _ in range(20):
        state = world.step(state, world.zero_control())
        solver = world.engine.program().steppers["particles"]
        lower, upper = solver.tensors["bounds"][0, 0].view(2, 3).tolist()  # nodes that no particle touches hold nothing
        touched = tuple(slice(first, last + 1) for first, last in zip(lower, upper, strict=True))
        grid = solver._momentum[0].view(*world.particles.model.shape, 4)[touched][..., 3].double()
        expected = masses(world, world.parameters["m.density"]).sum()
        worst = max(worst, abs(float(grid.sum() / expected - 1)))
    print(f"\nmeasured {material}: {worst:.1e}")
    assert torch.equal(world.volume, volume)
    assert worst <= limit  # each of the 27 weights is rounded, their sum is one


@pytest.mark.parametrize("material", MATERIALS)
def test_momentum_over_1000_substeps_in_float32(material):
    world = blob(material, torch.float32, substeps=100)
    mass = masses(world, world.parameters["m.density"])
    state = spinning(world)
    linear, angular = momentum(state, mass), angular_momentum(state, mass, DX)
    drift = turn = 0.0
    for _ in range(10):
        state = world.step(state, world.zero_control())
        assert (state.status == 0).all()
        drift = max(drift, float((momentum(state, mass) - linear).norm() / linear.norm()))
        turn = max(turn, float((angular_momentum(state, mass, DX) - angular).norm() / angular.norm()))
    print(f"\nmeasured {material}: momentum {drift:.1e}, angular momentum {turn:.1e}")
    assert drift <= 1e-5
    assert turn <= 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_free_fall(dtype):
    # symplectic Euler: v_n = g n dt and z_n = z_0 + sum v_k dt, so that z_0 - z_n = g t (t + dt) / 2
    gravity = 9.81
    world = blob("elastic", dtype, substeps=25, gravity=(0.0, 0.0, -gravity))
    state = world.initial_state()
    start, worst = state.x[..., 2].double().mean(), 0.0
    for step in range(1, 17):
        state = world.step(state, world.zero_control())
        t = step * world.dt
        fallen = float(start - state.x[..., 2].double().mean())
        worst = max(worst, abs(fallen - 0.5 * gravity * t * (t + DT)) / (gravity * t * t))
    print(f"\nmeasured {dtype}: {worst:.1e}")
    assert (state.status == 0).all()
    assert worst <= 1e-5


def test_free_fall_converges_with_first_order():
    gravity, duration, errors = 9.81, 0.16, []
    for halvings in range(3):
        dt = DT / 2**halvings
        steps = round(duration / dt)
        world = blob("elastic", torch.float64, substeps=steps, gravity=(0.0, 0.0, -gravity), dt=dt)
        state = world.initial_state()
        after = world.step(state, world.zero_control())
        assert (after.status == 0).all()
        errors.append(float((state.x - after.x)[..., 2].mean()) - 0.5 * gravity * duration**2)
    print(f"\nmeasured errors {errors}")
    assert errors[0] == pytest.approx(0.5 * gravity * duration * DT, rel=1e-6)
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=1e-4)
    assert errors[1] / errors[2] == pytest.approx(2.0, rel=1e-4)
