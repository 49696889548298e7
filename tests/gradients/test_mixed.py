# SPDX-License-Identifier: Apache-2.0
"""Gradients of returns in worlds that mix particles, bodies and gels, against central differences and one long tape."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Plane, Sphere
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.sensors.tactile import ElasticLayerGel, WinklerGel, flat_grid
from simenv.world import Control, Scene
from tests.gradients.scenes import DX, UNITS, Problem, block, central_differences, direction, plateau

TOLERANCE = 1e-5  # float64, relative
STEPS, TICKS, DT = 10, 6, 2.0e-4
TILT = (0.1, 0.2, 0.3, 0.9)
GELS = {"springs": WinklerGel(2e7, 1e7, 0.7), "elastic": ElasticLayerGel(6e4, 0.7, 0.45, 3e-3)}
PULL = ("goal", "hand.mass", "hand.stiffness", "hand.turning_stiffness", "hand.damping", "hand.turning_damping")
READINGS = ("body_wrench", "drive", "gel_wrench", "field")
UNITS |= {"goal": 0.02, "stick": 1e-3, "gel_offset": 1e-3}


def pool(substeps=TICKS, particle_substeps=None, material="liquid", dt=DT):
    """Liquid, or a soft block, that falls on a rough floor."""
    scene = Scene((0.24, 0.22, 0.22), DX, dt, substeps, particle_substeps=particle_substeps)
    scene.add_material("a", Liquid(1000.0, 4.0e4, 2.0) if material == "liquid" else Elastic(1000.0, 4.0e4, 0.3))
    points = block((0.07, 0.06, 0.042), (8, 8, 5))
    velocity = 0.05 * np.random.default_rng(2).normal(size=points.shape) + np.array([0.1, 0.05, -0.4])
    scene.add_particles("p", "a", points, (0.5 * DX) ** 3, velocity)
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.03), friction=0.3, width=0.02)
    return scene


def add_hand(scene, place=(0.105, 0.1, 0.117), **kwargs):
    gains = (600.0, 20.0, 5.0, 0.05)
    scene.add_body("hand", None, None, place, TILT, "hand", mass=0.6, inertia=4e-3, gains=gains, **kwargs)


def hand_in_pool(**kwargs):
    """A hand presses a rough ball, which is not at its centre of mass, into the material."""
    scene = pool(**kwargs)
    add_hand(scene)
    scene.add_collider("ball", Sphere(0.03), "hand", (0.004, -0.003, 0.002), friction=0.4, width=0.02)
    return scene


def body_in_pool(**kwargs):
    """A free body, which turns, falls in by contact; a second collider of it is not at its centre of mass."""
    scene = pool(**kwargs)
    scene.add_body(
        "ball", Sphere(0.03), 8000.0, (0.105, 0.1, 0.118), TILT, "free", coupling="contact",
        velocity=(0.1, 0.05, -0.8), angular_velocity=(2.0, -3.0, 4.0),
    )  # fmt: skip
    scene.colliders["ball"] = soft(scene.colliders["ball"])
    scene.add_collider("knob", Sphere(0.02), "ball", (0.02, 0.01, -0.02), friction=0.4, width=0.02)
    return scene


def soft(collider):
    """A collider whose contact fades in over a cell, as derivatives with respect to its pose want."""
    return replace(collider, friction=0.3, spec=replace(collider.spec, width=DX))


def all_motions(**kwargs):
    """A given paddle, a free ball by contact, and a hand's ball in one pool."""
    scene = body_in_pool(**kwargs)
    add_hand(scene, (0.14, 0.13, 0.112))
    scene.add_collider("fist", Sphere(0.025), "hand", (0.0, 0.004, 0.0), friction=0.4, width=0.02)
    scene.add_body("paddle", position=(0.0713, 0.1021, 0.0709), quaternion=(0.05, 0.1, 0.02, 0.99))
    scene.add_collider("blade", Box((0.01, 0.03, 0.02)), "paddle", friction=0.2, width=0.02)
    return scene


def gel_beside_pool(law="springs", **kwargs):
    """A gel on a hand presses a ball, which floats in the material by contact; the hand has a collider as well."""
    scene = body_in_pool(**kwargs)
    add_hand(scene, (0.105, 0.1, 0.1475))
    scene.add_collider("back", Sphere(0.025), "hand", (-0.05, 0.0, -0.035), friction=0.4, width=0.02)
    x, y, z, w = TILT / np.linalg.norm(TILT)
    scene.add_gel("gel", "hand", "ball", flat_grid(9, 9, 0.02, 0.02), GELS[law], quaternion=back_to_down(x, y, z, w))
    return scene


class Mixed(Problem):
    """A problem with goals of hands as leaves, whose return counts what bodies and gels feel."""

    def __init__(self, scene, worlds=1, steps=STEPS):
        super().__init__(scene, worlds, steps=steps)
        world, random = self.world, torch.Generator().manual_seed(5)

        def normal(*shape):
            return torch.randn(*shape, generator=random, dtype=torch.float64)

        shapes = {name: self.start[name].shape[1:] for name in READINGS if name in self.start}
        self.weights = {name: 0.05 * normal(steps, *shape) for name, shape in shapes.items()}
        self.leaves |= {name: self.start[name].clone() for name in ("stick", "gel_offset") if name in self.start}
        if world.hand_names:
            goal = world.zero_control(self.start).goal[:1, None] + 4e-3 * normal(steps, len(world.hand_names), 7)
            goal[..., 2] -= 0.02
            self.leaves["goal"] = goal.expand(worlds, -1, -1, -1).clone()
        if "twist" in self.leaves:
            self.leaves["twist"] *= 0.4
        if "hand" in world.bodies:  # it comes down as fast as the ball: they stay in touch where a gel is between them
            row = self.free.index(world.bodies["hand"].index)
            self.leaves["free_twist"][:, row] = torch.tensor([0.1, 0.05, -0.8, 0.5, -0.3, 0.4])

    def entering(self, leaves):
        state = super().entering(leaves)
        return state.replace(**{name: leaves[name] for name in ("stick", "gel_offset") if name in leaves})

    def given(self, leaves, step):
        return Control(
            twist=leaves["twist"][:, step] if "twist" in leaves else None,
            goal=leaves["goal"][:, step] if "goal" in leaves else None,
        )

    def readings(self, state):
        step = self.count = self.count + 1
        self.felt.append(state.body_wrench[0, self.free, :3].detach().norm(dim=-1))
        weighted = [state[name] * weight[step] for name, weight in self.weights.items()]
        return sum(each.flatten(1).sum(1) for each in weighted)

    def returns(self, leaves):
        self.count, self.felt = -1, []
        return super().returns(leaves)


def back_to_down(x, y, z, w):
    """Quaternion xyzw of a frame whose z points down in the world, on a body with quaternion x, y, z, w."""
    # conj(q) * (1, 0, 0, 0), a half turn about x
    return (w, -z, y, x)


MOTION = ("x", "v", "free_q", "free_twist", "gravity", "a.density", "a.viscosity", "floor.friction")
GEL = (*MOTION, *PULL, "ball.mass", "ball.friction", "stick", "gel_offset", "gel.mu")
SCENES = {
    "hand": (hand_in_pool, (*MOTION, *PULL, "ball.friction")),
    "body": (body_in_pool, (*MOTION, "ball.mass", "ball.friction", "knob.friction")),
    "all motions": (all_motions, (*MOTION, *PULL, "twist", "body_q", "ball.mass", "fist.friction", "blade.friction")),
    "gel": (gel_beside_pool, (*GEL, "gel.k_n", "gel.k_t")),
    "elastic gel": (functools.partial(gel_beside_pool, "elastic"), (*GEL, "gel.modulus")),
}
RATES = {"fine particles": 4 * TICKS, "coarse particles": TICKS // 3}
for rate, count in RATES.items():
    for name in ("hand", "body", "gel"):
        SCENES[f"{name}, {rate}"] = (functools.partial(SCENES[name][0], particle_substeps=count), SCENES[name][1])


QUICK = [pytest.param(name, marks=pytest.mark.slow) if name == "gel, fine particles" else name for name in SCENES]


@pytest.mark.parametrize("name", QUICK)
def test_gradient(name):
    scene, names = SCENES[name]
    problem = Mixed(scene())
    grads = problem.gradients()
    assert float(torch.stack(problem.felt).mean(0).min()) > 0.1, "every body must feel [N]"
    slopes = central_differences(lambda worlds: Mixed(scene(), worlds), names, seed=31)
    errors = {}
    for leaf in names:
        analytic = float((grads[leaf][0] * direction(leaf, problem.leaves[leaf][0], 31)).sum())
        numeric = plateau(slopes[leaf])
        assert abs(numeric) > 1e-9, f"{leaf} has no influence on the return, which tests nothing"
        errors[leaf] = abs(analytic - numeric) / abs(numeric)
    print(f"\nmeasured {name}: " + ", ".join(f"{leaf} {error:.1e}" for leaf, error in errors.items()))
    wrong = {leaf: error for leaf, error in errors.items() if error > TOLERANCE}
    assert not wrong, f"relative errors above {TOLERANCE}: {wrong}"


def chained(scene, steps):
    """Value and gradient of a return of the last state, after `steps` control steps at one twist and goal."""
    problem = Mixed(scene, steps=1)
    leaves = {name: value.clone().requires_grad_() for name, value in problem.leaves.items()}
    for name in problem.world.parameters:
        if name in leaves:
            problem.world.parameters[name] = leaves[name]
    state = problem.entering(leaves)
    for _ in range(steps):
        state = problem.world.step(state, problem.given(leaves, 0))
    assert (state.status == 0).all()
    moved = torch.cat([state.body_q, 0.1 * state.body_twist], -1)[:, problem.free] * problem.weight_free
    value = moved.sum() + (state.x * problem.weight_x).sum() + (state.v * problem.weight_v).sum()
    grads = torch.autograd.grad(value, list(leaves.values()))
    grads = dict(zip(leaves, grads, strict=True))
    if "body_q" in grads:  # given poses are normalised after every step: a quaternion's length counts differently
        unit = leaves["body_q"].detach()[..., 3:] / leaves["body_q"].detach()[..., 3:].norm(dim=-1, keepdim=True)
        grads["body_q"][..., 3:] -= (grads["body_q"][..., 3:] * unit).sum(-1, keepdim=True) * unit
    return float(value), grads


@pytest.mark.parametrize("name", ["hand", "body", "all motions", "gel"])
@pytest.mark.parametrize("inner", [1, 2])
def test_control_steps_simulated_again_have_the_gradient_of_one_tape(name, inner):
    make = SCENES[name][0]
    value, short = chained(make(substeps=4, particle_substeps=4 * inner), 5)
    whole, long = chained(make(substeps=20, particle_substeps=20 * inner), 1)
    assert value == pytest.approx(whole, rel=1e-10)
    sizes = {leaf: float(grad.norm()) for leaf, grad in long.items() if grad.norm() > 0}
    errors = {leaf: float((short[leaf] - long[leaf]).norm()) / size for leaf, size in sizes.items()}
    print(f"\nmeasured {name}: {max(errors.values()):.1e} ({max(errors, key=errors.get)})")
    assert len(errors) >= 8
    assert max(errors.values()) <= 1e-10, errors
