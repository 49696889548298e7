# SPDX-License-Identifier: Apache-2.0
"""Particles that take no part, such as those that wait in an emitter, change nothing and are not launched."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import simenv
from simenv import _threads
from simenv.geometry.shapes import Box
from simenv.physics.mpm.materials import Liquid
from simenv.world import Control, Scene, World
from tests.gradients.scenes import block

DX, COUNT, FEW = 0.02, 10, 40


def scene(capacity, first=True, grid="dense", rigid=False):
    """A falling pool beside a spout; the emitter's particles come before the pool's in memory, or after."""
    made = Scene((0.24, 0.24, 0.24), DX, 4.0e-4, 5, grid=grid, blocks=200 if grid == "sparse" else None)
    made.add_material("liquid", Liquid(1000.0, 4.0e4, 0.5))
    made.add_body("spout", position=(0.17, 0.17, 0.2))

    def emitter():
        made.add_emitter("jet", "spout", "liquid", capacity=capacity, radius=0.02, speed=1.0, count=COUNT)

    if first:
        emitter()
    made.add_particles("pool", "liquid", block((0.03, 0.03, 0.03), (6, 6, 6)), (DX / 2) ** 3, (0.1, 0.0, -0.3))
    if rigid:
        made.add_body("float", Box((0.04, 0.04, 0.04)), 500.0, (0.08, 0.16, 0.08), motion="free")
    if not first:
        emitter()
    jet = made.emitters["jet"]
    if capacity > FEW:  # whose first places are those of a small one, drawn from as many
        small = scene(FEW, first, grid, rigid).emitters["jet"]
        made.emitters["jet"] = replace(jet, offsets=np.concatenate([small.offsets, jet.offsets[FEW:]]))
    return made


def play(capacity, rows=(0, 1), dtype=torch.float64, steps=4, **kind):
    """The last state of two worlds, or of one of them, the gradients of its entering motion, and the world."""
    world = World(scene(capacity, **kind), len(rows), dtype=dtype)
    gates = torch.ones((steps, 2, 1), dtype=torch.bool)
    gates[2:, 1:] = False  # so that worlds hold different numbers
    gates = gates[:, list(rows)]
    leaves = {"v": world.initial_state().v.requires_grad_(), "twist": world.zero_control().twist.requires_grad_()}
    state = world.initial_state().replace(v=leaves["v"])
    for gate in gates:
        state = world.step(state, Control(leaves["twist"], gate))
    assert (state.status == 0).all()
    spans = world.particle_groups
    moved = [state.x[:, spans["pool"]], state.x[:, spans["jet"]][:, : COUNT * steps]]
    loss = sum(x.square().sum() for x in moved) + 1e-3 * state.v[:, spans["pool"]].square().sum()
    return state, dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True)), world


KINDS = {
    "before the pool": {}, "after the pool": {"first": False}, "single precision": {"dtype": torch.float32},
    "rigid": {"first": False, "rigid": True}, "sparse": {"grid": "sparse", "dtype": torch.float32},
}  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_how_many_wait(monkeypatch, kind, threads):
    monkeypatch.setattr(_threads, "_num_threads", None)
    simenv.set_num_threads(threads)
    results = [play(capacity, **KINDS[kind]) for capacity in (FEW, 3000)]
    (few, few_grads, few_world), (many, many_grads, many_world) = results
    for name in ("pool", "jet"):
        a, b = few_world.particle_groups[name], many_world.particle_groups[name]
        b = slice(b.start, b.start + a.stop - a.start)  # of the jet: those that come out
        for field in ("x", "v", "C", "J", "active"):
            assert torch.equal(getattr(few, field)[:, a], getattr(many, field)[:, b]), (name, field)
        assert torch.equal(few_grads["v"][:, a], many_grads["v"][:, b]), name
    assert torch.equal(few_grads["twist"], many_grads["twist"])
    assert many.emitted.tolist() == [[40], [20]]
    waiting = ~many.active
    start = many_world.initial_state()
    for field in ("x", "v", "C", "J"):
        assert torch.equal(getattr(many, field)[waiting], getattr(start, field)[waiting]), field


def test_nothing_is_left_of_a_world_that_holds_more(monkeypatch):
    """The same solver steps both, and launches as many particles for one as for the other."""
    monkeypatch.setattr(_threads, "_num_threads", None)
    simenv.set_num_threads(1)
    together, grads, world = play(3000)
    assert len(world.engine._programs) == 1
    for row in (0, 1):
        alone, own, _ = play(3000, rows=(row,))
        for field in ("x", "v", "C", "J", "active"):
            assert torch.equal(getattr(alone, field)[0], getattr(together, field)[row]), (row, field)
        assert torch.equal(own["v"][0], grads["v"][row]) and torch.equal(own["twist"][0], grads["twist"][row])


def test_what_waits_is_not_launched():
    """The measure of cost that does not depend on the machine; `simenv bench --only idle` has times."""
    _, _, world = play(30_000, rows=(0,), steps=3)
    held = 216 + 3 * COUNT
    assert held <= world.engine.program().steppers["particles"]._count < 0.1 * 30_000
    _, _, world = play(FEW, rows=(0,), steps=4)
    assert world.engine.program().steppers["particles"]._count == world.particle_count  # all take part


def test_the_gradient_of_what_waits_passes_through():
    """x and v of a particle that waits leave as they came, so that the adjoint does as well."""
    world = World(scene(100), 1, dtype=torch.float64)
    start = world.initial_state()
    leaves = [start.x.requires_grad_(), start.v.requires_grad_(), start.J.requires_grad_()]
    state = world.step(start.replace(x=leaves[0], v=leaves[1], J=leaves[2]), world.zero_control())
    random = torch.Generator().manual_seed(0)
    weights = [torch.randn(leaf.shape, generator=random, dtype=torch.float64) for leaf in leaves]
    loss = (state.x * weights[0]).sum() + (state.v * weights[1]).sum() + (state.J * weights[2]).sum()
    waiting = ~state.active
    assert int(waiting.sum()) == 100 - COUNT
    for grad, weight in zip(torch.autograd.grad(loss, leaves), weights, strict=True):
        assert torch.equal(grad[waiting], weight[waiting])


def test_a_world_where_nothing_takes_part_keeps_time():
    made = Scene((0.2, 0.2, 0.2), DX, 4.0e-4, 5)
    made.add_material("liquid", Liquid(1000.0, 4.0e4, 0.5))
    made.add_particles("pool", "liquid", block((0.03, 0.03, 0.03), (3, 3, 3)), 1e-6, active=False)
    world = World(made, 1, dtype=torch.float64)
    state = world.step(world.initial_state(), world.zero_control())
    assert state.status.tolist() == [0] and float(state.time) == world.dt
    assert torch.equal(state.x, world.initial_state().x)
