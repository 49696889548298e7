# SPDX-License-Identifier: Apache-2.0
"""Shapes whose points are not where others touch them: what rolls, and what crosses."""

import math

import pytest
import trimesh

from simenv.geometry.shapes import Box, Capsule, Cylinder, MeshShape, Plane
from tests.verification.test_contact import run, world_of

HALF = math.sqrt(0.5)


def free(scene, name, shape, position, quaternion=(0.0, 0.0, 0.0, 1.0), **motion):
    scene.add_body(name, shape, 1000.0, position, quaternion, "free", coupling="rigid", **motion)


def height(world, state, name):
    return float(world.bodies[name].pose(state)[0, 2])


def test_a_cylinder_rolls_on():
    """On its lowest points, not on those of a prism: it keeps its speed but for 1 % in two seconds."""

    def build(scene):
        scene.add_body("floor", Plane(), motion="fixed")
        motion = {"velocity": (1.0, 0.0, 0.0), "angular_velocity": (0.0, 20.0, 0.0)}
        free(scene, "wheel", Cylinder(0.05, 0.05), (0.0, 0.0, 0.05), (HALF, 0.0, 0.0, HALF), **motion)

    world = world_of(build)
    state = run(world, 2.0)
    assert float(state.body_twist[0, 1, 0]) == pytest.approx(1.0, rel=1e-2)
    assert height(world, state, "wheel") == pytest.approx(0.05, abs=5e-6)


def test_cans_of_one_radius_stand_on_each_other():
    def build(scene):
        scene.add_body("floor", Plane(), motion="fixed")
        for i in range(3):
            free(scene, f"can{i}", Cylinder(0.03, 0.05), (0.0, 0.0, 0.05 + 0.1 * i))

    world = world_of(build)
    state = run(world, 2.0)
    assert [height(world, state, f"can{i}") for i in range(3)] == pytest.approx([0.05, 0.15, 0.25], abs=1e-5)


@pytest.mark.parametrize("degrees", [0.0, 30.0, 45.0])
def test_a_beam_lies_on_two_that_it_crosses(degrees):
    """Where neither has a corner."""

    def build(scene):
        for name, y in (("one", -0.07), ("other", 0.13)):
            scene.add_body(name, Box((0.3, 0.02, 0.02)), motion="fixed", position=(0.0, y, 0.1))
        turn = math.radians(degrees) / 2
        free(scene, "beam", Box((0.02, 0.3, 0.02)), (0.05, 0.0, 0.14), (0.0, 0.0, math.sin(turn), math.cos(turn)))

    world = world_of(build)
    assert height(world, run(world, 1.0), "beam") == pytest.approx(0.14, abs=1e-5)


def test_a_capsule_lies_on_two_that_it_crosses():
    """Between two of its balls: it sinks by at most 3 % of its radius."""

    def build(scene):
        for name, y in (("one", 0.0), ("other", 0.2)):
            scene.add_body(
                name, Capsule(0.02, 0.3), motion="fixed", position=(0.0, y, 0.2), quaternion=(0.0, HALF, 0.0, HALF)
            )
        free(scene, "rod", Capsule(0.02, 0.3), (0.013, 0.1, 0.24), (HALF, 0.0, 0.0, HALF))

    world = world_of(build)
    assert height(world, run(world, 1.0), "rod") == pytest.approx(0.24, abs=1.3e-3)


def test_cubes_of_meshes_stand_on_each_other(tmp_path):
    """As those that are boxes do, within a millimetre of 0.1 m: distances of meshes are interpolated."""
    file = tmp_path / "cube.stl"
    trimesh.creation.box((0.1, 0.1, 0.1)).export(file)

    def build(scene):
        scene.add_body("floor", Plane(), motion="fixed")
        free(scene, "low", MeshShape(str(file)), (0.0, 0.0, 0.05))
        free(scene, "high", MeshShape(str(file)), (0.01, 0.02, 0.151))

    world = world_of(build)
    state = run(world, 1.0)
    assert [height(world, state, name) for name in ("low", "high")] == pytest.approx([0.05, 0.15], abs=1e-3)
