# SPDX-License-Identifier: Apache-2.0
"""Gradients of what the block under the ball does not cover: emitters, vessels with thin walls, sticky and moving
colliders one after the other, every boundary of the domain, and particles that are not active; float64.
"""

import functools

import numpy as np
import pytest
import torch

from simenv.assets import path
from simenv.geometry.shapes import Box, Capsule, Cup, Cylinder, MeshShape, Plane, Sphere
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.world import Control, Scene
from tests.gradients.scenes import DX, SUBSTEPS, Problem, block, central_differences, direction, plateau

TOLERANCE = 1e-5
CELL = 0.5 * DX


def emitter_scene():
    scene = Scene((0.2, 0.2, 0.24), DX, 4.0e-4, SUBSTEPS)
    scene.add_material("a", Liquid(1000.0, 4.0e4, 1.0))
    scene.add_body("spout", position=(0.1, 0.1, 0.2), quaternion=(0.1, 0.05, 0.0, 0.99))
    scene.add_emitter("jet", "spout", "a", capacity=200, radius=0.02, speed=1.5, count=8)
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.13), friction=0.3, width=0.02)
    return scene


def cup_scene():
    # a moving cup, its wall much thinner than a cell, and liquid inside that presses on it
    scene = Scene((0.24, 0.24, 0.24), DX, 4.0e-4, SUBSTEPS)
    scene.add_material("a", Liquid(1000.0, 4.0e4, 0.5))
    points = block((0.08, 0.08, 0.075), (8, 8, 6))
    points = points[np.hypot(points[:, 0] - 0.12, points[:, 1] - 0.12) < 0.035]
    scene.add_particles("p", "a", points, CELL**3, (0.2, -0.1, -0.4))
    scene.add_body("hand", position=(0.12, 0.12, 0.068))
    scene.add_collider("cup", Cup(0.045, 0.1, 0.004, 0.004), "hand", friction=0.2, width=0.4 * DX)
    return scene


def colliders_scene():
    # four shapes of two bodies overlap, so that one node meets them one after the other
    scene = Scene((0.2, 0.2, 0.2), DX, 4.0e-4, SUBSTEPS)
    scene.add_material("a", Elastic(1000.0, 4.0e4, 0.3))
    scene.add_particles("p", "a", block((0.07, 0.07, 0.045), (6, 6, 6)), CELL**3, (0.1, 0.0, -0.3))
    scene.add_body("left", position=(0.055, 0.1, 0.08), quaternion=(0.7, 0.1, 0.1, 0.7))
    scene.add_body("right", position=(0.15, 0.105, 0.075))
    scene.add_collider("rod", Capsule(0.02, 0.03), "left", friction=0.5, width=0.02)
    tilt = (0.1, 0.2, 0.0, 0.95)
    scene.add_collider("can", Cylinder(0.015, 0.03), "right", quaternion=tilt, friction=0.2, width=0.02)
    scene.add_collider("pad", Box((0.05, 0.05, 0.01)), "right", (-0.05, 0.0, -0.045), stick=True, width=0.02)
    scene.add_collider("ball", Sphere(0.02), "left", position=(0.03, 0.03, 0.01), friction=0.3, width=0.03)
    return scene


def skin_scene():
    # the ball and the can have skins, whose taxels are smaller than the contact; the pad has one of four
    scene = colliders_scene()
    scene.add_skin("pad", 2, 2, 0.097, 0.093, (0.0, 0.0, 0.01))
    scene.add_skin("ball", 5, 4, 0.04, 0.04, quaternion=(0.2, 0.1, 0.3, 0.9))
    scene.add_skin("can", 3, 4, 0.03, 0.02, (0.0, 0.0, 0.02), (0.0, 0.3, 0.1, 0.9))
    return scene


def boundary_scene(boundary):
    scene = Scene((0.08, 0.08, 0.16), DX, 4.0e-4, SUBSTEPS, boundary=boundary)
    scene.add_material("a", Liquid(1000.0, 4.0e4, 1.0))
    points = block((0.0, 0.0, 0.0), (8, 8, 6))
    rng = np.random.default_rng(5)
    velocity = 0.2 * rng.normal(size=points.shape) + np.array([0.3, -0.2, -0.3])
    scene.add_particles("p", "a", points.clip(0.0011, 0.0789), CELL**3, velocity)
    scene.add_body("hand", position=(0.04, 0.04, 0.075))
    scene.add_collider("ball", Sphere(0.02), "hand", friction=0.3, width=0.02)
    return scene


def parked_scene():
    scene = boundary_scene("slip")
    scene.add_particles("idle", "a", block((0.02, 0.02, 0.08), (3, 3, 3)), CELL**3, (0.0, 0.0, -1.0), active=False)
    return scene


def mesh_scene():
    # the bowl of the pouring task, which is a sampled distance field, moved through a falling block
    scene = Scene((0.24, 0.24, 0.24), DX, 4.0e-4, SUBSTEPS)
    scene.add_material("a", Liquid(1000.0, 4.0e4, 0.5))
    scene.add_particles("p", "a", block((0.09, 0.09, 0.07), (6, 6, 6)), CELL**3, (0.1, -0.1, -0.5))
    scene.add_body("hand", position=(0.12, 0.12, 0.05), quaternion=(0.05, 0.02, 0.1, 0.99))
    scene.add_collider("bowl", MeshShape(str(path("bowl.stl"))), "hand", friction=0.2, width=0.4 * DX)
    return scene


BASIC = ("twist", "body_q", "gravity", "a.density")
SCENES = {
    "emitter": (emitter_scene, (*BASIC, "a.viscosity")),
    "cup": (cup_scene, (*BASIC, "x", "v", "cup.friction")),
    "colliders": (colliders_scene, (*BASIC, "x", "v", "rod.friction")),
    "skin": (skin_scene, (*BASIC, "x", "v", "rod.friction")),
    "mesh": (mesh_scene, (*BASIC, "x", "v", "bowl.friction")),
    "parked": (parked_scene, (*BASIC, "x", "v")),
}
for kind in ("slip", "separate", "stick", ("periodic", "periodic", "slip"), ("outflow", "slip", "slip")):
    key = kind if isinstance(kind, str) else kind[0]
    SCENES[key] = (functools.partial(boundary_scene, kind), (*BASIC, "x", "v", "a.viscosity"))


@pytest.mark.parametrize("name", SCENES)
def test_gradient(name):
    scene, names = SCENES[name]

    def make(worlds=1):
        problem = Problem(scene(), worlds)
        if problem.world.scene.emitters:
            problem.leaves["twist"] *= 0.2
        return problem

    problem = make()
    grads = problem.gradients()
    assert max(float(force.norm()) for force in problem.forces) > 0.05, "the contact must be real"
    slopes = central_differences(make, names, seed=21)
    errors = {}
    for leaf in names:
        analytic = float((grads[leaf][0] * direction(leaf, problem.leaves[leaf][0], 21)).sum())
        numeric = plateau(slopes[leaf])
        assert abs(numeric) > 1e-9, f"{leaf} has no influence on the return, which tests nothing"
        errors[leaf] = abs(analytic - numeric) / abs(numeric)
    print(f"\nmeasured {name}: " + ", ".join(f"{leaf} {error:.1e}" for leaf, error in errors.items()))
    wrong = {leaf: error for leaf, error in errors.items() if error > TOLERANCE}
    assert not wrong, f"relative errors above {TOLERANCE}: {wrong}"


def test_particles_that_are_not_active_pass_their_gradient_on():
    problem = Problem(parked_scene())
    idle = problem.world.particle_groups["idle"]
    grads = problem.gradients()
    torch.testing.assert_close(grads["x"][0, idle], problem.weight_x[idle], rtol=0, atol=0)
    torch.testing.assert_close(grads["v"][0, idle], problem.weight_v[idle], rtol=0, atol=0)


def test_closed_emitter_has_no_gradient():
    scene = emitter_scene()
    scene.add_particles("p", "a", block((0.08, 0.08, 0.12), (3, 3, 3)), CELL**3)
    closed = torch.zeros(1, 1, dtype=torch.bool)
    problem = Problem(scene, control=lambda twist: Control(twist, closed))
    grads = problem.gradients()
    assert problem.last.emitted.sum() == 0
    assert grads["twist"].abs().max() == 0  # nothing else depends on the spout
    assert grads["a.viscosity"].abs().max() > 0


@pytest.mark.parametrize(("make", "limit"), [(colliders_scene, 0.02), (cup_scene, 0.02), (mesh_scene, 0.02)])
def test_the_gradient_adds_up_to_the_change_of_the_return(make, limit):
    # What matters to an optimiser is what the derivative says over a finite change of the action: jumps of the return,
    # which no derivative sees, would show up here.
    count = 81
    problem = Problem(make(), count)
    amount = torch.linspace(-0.02, 0.02, count, dtype=torch.float64)
    way = torch.tensor([0.0, 0.0, 1.0, 0.0, 2.0, 0.0], dtype=torch.float64)  # [m/s, rad/s]
    leaves = {name: value.clone() for name, value in problem.leaves.items()}
    leaves["twist"] = (leaves["twist"] + amount[:, None, None, None] * way).requires_grad_()
    value = problem.returns(leaves)
    (grad,) = torch.autograd.grad(value.sum(), leaves["twist"])
    predicted = torch.trapezoid((grad * way).sum((1, 2, 3)), amount)
    change = (value[-1] - value[0]).detach()
    print(f"\nmeasured change {float(change):.5f}, integral of the gradient {float(predicted):.5f}")
    assert abs(float(predicted / change) - 1) <= limit
