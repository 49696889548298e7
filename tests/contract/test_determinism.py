# SPDX-License-Identifier: Apache-2.0
"""The promises of docs/determinism.md for the CPU, bit for bit: repeated runs, threads, lanes, worlds in a batch."""

import pytest
import torch

import simenv
from simenv import _threads
from simenv.geometry.shapes import Plane, Sphere
from simenv.physics.mpm import particles, solver
from simenv.physics.mpm.materials import Elastic, ElastoPlastic, Liquid
from simenv.world import Control, Scene, World
from tests.gradients.scenes import DX, block

STEPS = 4


@pytest.fixture(autouse=True)
def _threads_are_restored(monkeypatch):
    monkeypatch.setattr(_threads, "_num_threads", _threads._num_threads)


def scene():
    """Three materials in contact with a moving ball; everything that adds numbers up is in use."""
    result = Scene((0.2, 0.2, 0.2), DX, 4.0e-4, 5)
    result.add_material("a", Liquid(1000.0, 4.0e4, 0.5))
    result.add_material("b", Elastic(1000.0, 4.0e4, 0.3))
    result.add_material("c", ElastoPlastic(1000.0, 4.0e4, 0.3, 300.0))
    for index, name in enumerate("abc"):
        lower = (0.05 + 0.03 * index, 0.07, 0.045)
        result.add_particles(name, name, block(lower, (3, 6, 6), seed=index), (0.5 * DX) ** 3, (0.1, 0.0, -0.4))
    result.add_body("hand", position=(0.105, 0.095, 0.13))
    result.add_collider("ball", Sphere(0.03), "hand", friction=0.4, width=0.02)
    result.add_collider("floor", Plane(), position=(0.0, 0.0, 0.03), friction=0.3)
    return result


def inputs(worlds, dtype):
    """Differing actions, velocities and parameters: (twist (T, N, B, 6), velocity offset (N, 1, 3), viscosity (N,))."""
    random = torch.Generator().manual_seed(0)
    twist = 0.3 * torch.randn(STEPS, worlds, 1, 6, generator=random, dtype=torch.float64)
    twist[..., 2] -= 0.7
    velocity = 0.1 * torch.randn(worlds, 1, 3, generator=random, dtype=torch.float64)
    viscosity = 0.5 * torch.rand(worlds, generator=random, dtype=torch.float64)
    return twist.to(dtype), velocity.to(dtype), viscosity.to(dtype)


def run(twist, velocity, viscosity, make=scene, gradient=True):
    """The last state and the gradient with respect to all inputs."""
    world = World(make(), twist.shape[1], dtype=twist.dtype)
    leaves = [value.clone().requires_grad_(gradient) for value in (twist, velocity, viscosity)]
    if gradient:
        world.parameters["a.viscosity"] = leaves[2]
    else:
        world.parameters["a.viscosity"] = viscosity
    state = world.initial_state()
    state = state.replace(v=state.v + leaves[1])
    wrench = 0.0
    for step in range(STEPS):
        state = world.step(state, Control(leaves[0][step]))
        wrench = wrench + state.wrench
    assert (state.status == 0).all()
    result = {name: value.detach() for name, value in state.items()}
    if gradient:
        ((state.x * state.v).sum() + state.F[:, :, 0, 1].sum() + wrench.sum()).backward()
        names = ("twist", "velocity", "viscosity")
        result |= {f"gradient of {name}": leaf.grad for name, leaf in zip(names, leaves, strict=True)}
    world.close()
    return result


def assert_identical(first, second):
    for name, value in first.items():
        difference = (value.double() - second[name].double()).norm()
        assert torch.equal(value, second[name]), f"{name} differs by {difference}"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_number_of_threads(dtype):
    results = []
    for threads in (1, 2, 4):
        simenv.set_num_threads(threads)
        results.append(run(*inputs(6, dtype)))
    assert results[0]["gradient of viscosity"].abs().min() > 0
    assert_identical(results[0], results[1])
    assert_identical(results[0], results[2])


def test_the_same_run_twice():
    assert_identical(run(*inputs(3, torch.float32)), run(*inputs(3, torch.float32)))


def test_world_alone_and_in_a_batch_of_64():
    twist, velocity, viscosity = inputs(64, torch.float32)
    batch = run(twist, velocity, viscosity)
    for index in (0, 17, 63):
        rows = slice(index, index + 1)
        alone = run(twist[:, rows], velocity[rows], viscosity[rows])
        mine = {name: value[:, rows] if name == "gradient of twist" else value[rows] for name, value in batch.items()}
        assert_identical(mine, alone)


def test_neighbours_do_not_matter():
    twist, velocity, viscosity = inputs(3, torch.float32)
    before = run(twist, velocity, viscosity)
    twist[:, 1] *= -0.5
    velocity[2] += 0.2
    viscosity[2] *= 2.0
    after = run(twist, velocity, viscosity)
    assert not torch.equal(before["x"][1], after["x"][1])
    for name, value in before.items():
        first = (slice(None), 0) if name == "gradient of twist" else (0,)
        assert torch.equal(value[first], after[name][first]), name


@pytest.mark.parametrize("gradient", [False, True], ids=["forward", "gradient"])
@pytest.mark.parametrize("ordered", [False, True], ids=["as given", "ordered"])
def test_lanes_of_one_large_world_on_any_number_of_threads(monkeypatch, gradient, ordered):
    monkeypatch.setattr(solver, "SORT_FROM", 1 if ordered else 1_000)
    monkeypatch.setattr(particles, "PARTICLES_PER_LANE", 100)  # a world of 324 particles then has 3 lanes
    results = []
    for threads in (1, 2, 4):
        simenv.set_num_threads(threads)
        results.append(run(*inputs(1, torch.float32), gradient=gradient))
    assert_identical(results[0], results[1])
    assert_identical(results[0], results[2])
    batch = inputs(3, torch.float32)
    in_batch = run(*batch, gradient=gradient)  # several worlds with lanes: the worlds are shared out, not the lanes
    alone = run(batch[0][:, 1:2], batch[1][1:2], batch[2][1:2], gradient=gradient)
    for name in ("x", "v", "C", "F", "J", "wrench"):
        assert torch.equal(in_batch[name][1:2], alone[name]), name


def test_lanes_change_rounding_only(monkeypatch):
    whole = run(*inputs(1, torch.float64))
    monkeypatch.setattr(particles, "PARTICLES_PER_LANE", 100)
    cut = run(*inputs(1, torch.float64))
    assert not torch.equal(whole["x"], cut["x"])  # otherwise the lanes are not used
    for name, value in whole.items():
        if value.is_floating_point():
            torch.testing.assert_close(cut[name], value, rtol=1e-8, atol=1e-8 * float(value.abs().max()), msg=name)


@pytest.mark.parametrize("particles_per_lane", [100, 1_000], ids=["lanes", "one lane"])
def test_the_order_of_particles_changes_rounding_only(monkeypatch, particles_per_lane):
    monkeypatch.setattr(particles, "PARTICLES_PER_LANE", particles_per_lane)
    given = run(*inputs(2, torch.float64))
    monkeypatch.setattr(solver, "SORT_FROM", 1)
    ordered = run(*inputs(2, torch.float64))
    assert not torch.equal(given["x"], ordered["x"])  # otherwise they were not ordered
    for name, value in given.items():
        if value.is_floating_point():
            torch.testing.assert_close(ordered[name], value, rtol=1e-8, atol=1e-8 * float(value.abs().max()), msg=name)


def test_a_world_large_enough_for_lanes():
    def big():
        result = Scene((0.6, 0.6, 0.6), 0.01, 2.0e-4, 2)
        result.add_material("a", Liquid(1000.0, 4.0e4, 0.5))
        result.add_particles("a", "a", block((0.1, 0.1, 0.1), (47, 47, 47), spacing=0.005), 0.005**3, (0.0, 0.0, -0.5))
        result.add_collider("floor", Plane(), position=(0.0, 0.0, 0.1), friction=0.2)
        return result

    states = []
    for threads in (1, 2, 4):
        simenv.set_num_threads(threads)
        world = World(big(), 1)
        assert world.engine.lanes == 2
        state = world.initial_state()
        for _ in range(3):
            state = world.step(state, world.zero_control())
        states.append(state)
        world.close()
    assert_identical(states[0], states[1])
    assert_identical(states[0], states[2])
