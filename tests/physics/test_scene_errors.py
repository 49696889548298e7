# SPDX-License-Identifier: Apache-2.0
"""Errors of the scene, the materials and the parameters: each names the value, the limit and the remedy."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, MeshShape, Sphere
from simenv.physics.mpm.materials import Elastic, ElastoPlastic, Liquid
from simenv.physics.mpm.solver import MPMStepper
from simenv.world import Scene, World

POINTS = np.array([[0.1, 0.1, 0.1], [0.11, 0.1, 0.1]])


def scene(**changes):
    values = {"size": (0.2, 0.2, 0.2), "dx": 0.02, "substep_dt": 2.0e-4, "substeps": 4} | changes
    result = Scene(**values)
    if "substep_dt" not in changes:
        result.add_material("water", Liquid(1000.0, 4.0e4))
    return result


def fails(*patterns):
    """The message has all of the patterns, in order."""
    return pytest.raises(ValueError, match=".*".join(patterns))


def test_substep_too_long_for_sound():
    with fails("material 'steel'", r"\d+\.\d+ cells", "limit is 0.5", "substep of at most", "coarser dx"):
        scene().add_material("steel", Elastic(7800.0, 2.0e11, 0.3))


def test_the_suggested_substep_is_accepted():
    with pytest.raises(ValueError) as error:
        scene().add_material("stiff", Elastic(1000.0, 1.0e9, 0.3))
    suggestion = float(re.search(r"at most ([0-9.e+-]+) s", str(error.value)).group(1))
    scene(substep_dt=0.99 * suggestion).add_material("stiff", Elastic(1000.0, 1.0e9, 0.3))


def test_substep_too_long_for_viscosity():
    with fails("material 'honey'", "viscosity 800", "substep of at most", "dx = 0.02 m", "shorten it"):
        scene().add_material("honey", Liquid(1000.0, 4.0e4, 800.0))


@pytest.mark.parametrize(
    ("make", "patterns"),
    [
        (lambda: Liquid(0.0, 1.0e4), ("density = 0.0", "positive")),
        (lambda: Liquid(1000.0, -1.0), ("bulk_modulus = -1.0", "positive")),
        (lambda: Liquid(1000.0, 1.0, float("nan")), ("viscosity = nan",)),
        (lambda: Elastic(1000.0, 1.0e4, 0.5), ("poisson_ratio = 0.5", "below 0.5")),
        (lambda: Elastic(1000.0, 1.0e4, 0.3, "rubber"), ("model = 'rubber'", "corotated", "neo_hookean")),
        (lambda: ElastoPlastic(1000.0, 1.0e4, 0.3, -5.0), ("yield_stress = -5.0",)),
        (lambda: ElastoPlastic(1000.0, 1.0e4, 0.6, 5.0), ("poisson_ratio = 0.6", "below 0.5")),
    ],
)
def test_material_values(make, patterns):
    with fails(*patterns):
        make()


def test_unknown_names_list_what_there_is():
    with fails("no material 'wter'", "water"):
        scene().add_particles("p", "wter", POINTS, 1e-6)
    with fails("no body 'hand'", "none"):
        scene().add_collider("c", Sphere(0.1), "hand")
    with fails("no body 'hand'"):
        scene().add_emitter("e", "hand", "water", 10, 0.01, 1.0, 2)


def test_names_are_used_once():
    world = scene()
    with fails("material 'water' exists", "own name"):
        world.add_material("water", Liquid(1000.0, 4.0e4))
    world.add_body("hand")
    with fails("body 'hand' exists"):
        world.add_body("hand")
    world.add_collider("c", Sphere(0.01))
    with fails("collider 'c' exists"):
        world.add_collider("c", Sphere(0.01))
    world.add_particles("p", "water", POINTS, 1e-6)
    with fails("particle group 'p' exists"):
        world.add_particles("p", "water", POINTS, 1e-6)


def test_particles():
    with fails("'p' is empty", "spacing"):
        scene().add_particles("p", "water", np.zeros((0, 3)), 1e-6)
    with fails("1 of 2 particles of 'p' lie outside", r"0\.5", "enlarge"):
        scene().add_particles("p", "water", np.array([[0.1, 0.1, 0.1], [0.5, 0.1, 0.1]]), 1e-6)
    with fails("outside"):
        scene().add_particles("p", "water", np.array([[0.1, np.nan, 0.1]]), 1e-6)
    with fails("volume = 0.0", "positive"):
        scene().add_particles("p", "water", POINTS, 0.0)


def test_colliders_and_emitters():
    with fails("collider 'c'", "friction = -0.1"):
        scene().add_collider("c", Box((0.1, 0.1, 0.1)), friction=-0.1)
    with fails("collider 'c'", "width = -1"):
        scene().add_collider("c", Box((0.1, 0.1, 0.1)), width=-1.0)
    with fails("collider 'c'", "scale = 0"):
        scene().add_collider("c", Box((0.1, 0.1, 0.1)), scale=0.0)
    world = scene()
    world.add_body("spout", position=(0.1, 0.1, 0.1))
    with fails("emitter 'e'", "radius 0", "positive"):
        world.add_emitter("e", "spout", "water", 10, 0.0, 1.0, 2)
    with fails("emitter 'e'", "count 20 of 10"):
        world.add_emitter("e", "spout", "water", 10, 0.01, 1.0, 20)


@pytest.mark.parametrize(
    ("changes", "patterns"),
    [
        ({"boundary": "open"}, ("boundary = 'open'", "separate", "periodic")),
        ({"size": (0.02, 0.2, 0.2)}, ("0.02 m wide", "dx = 0.02", "at least 2 cells")),
        (
            {"boundary": "periodic", "size": (0.21, 0.2, 0.2)},
            ("periodic domain of 0.21 m", "whole number of cells", "change size or dx"),
        ),
        ({"substeps": 0}, ("substeps = 0", "positive")),
    ],
)
def test_grid(changes, patterns):
    world = scene(**changes)
    world.add_particles("p", "water", np.array([[0.01, 0.1, 0.1]]), 1e-6)
    with fails(*patterns):
        World(world, 1)


def test_a_scene_needs_particles():
    with fails("no particles", "add_particles"):
        World(scene(), 1)


def ready():
    result = scene()
    result.add_particles("p", "water", POINTS, 1e-6)
    result.add_collider("floor", Box((0.1, 0.1, 0.01)))
    return result


def test_solver_refuses_what_it_cannot_hold():
    model = ready().mpm_model()
    cpu = torch.device("cpu")
    with fails("CPU solver holds one world, not 2"):
        MPMStepper(model, 2, cpu, torch.float32)
    periodic = scene(boundary="periodic")
    periodic.add_particles("p", "water", POINTS, 1e-6)
    with fails("lanes = 2", "lanes=1"):
        MPMStepper(periodic.mpm_model(), 1, cpu, torch.float32, lanes=2)


def test_parameters_check_names_and_shapes():
    world = World(ready(), 3)
    with pytest.raises(KeyError, match=r"'water.viscosty'.*did you mean 'water.viscosity'"):
        world.parameters["water.viscosty"]
    with pytest.raises(KeyError, match="no world parameter"):
        world.parameters["wind"] = 1.0
    with fails(r"'water.viscosity' has shape \(3,\), not \(2,\)"):
        world.parameters["water.viscosity"] = torch.ones(2)
    with pytest.raises(TypeError, match="can't be deleted"):
        del world.parameters["gravity"]


NAN, INF = float("nan"), float("inf")


def with_body():
    result = ready()
    result.add_body("hand", position=(0.1, 0.1, 0.1))
    return result


def collider(**changes):
    scene().add_collider("c", **({"shape": Sphere(0.01)} | changes))


def rigid(**changes):
    box = {"shape": Box((0.03, 0.03, 0.03)), "density": 500.0, "position": (0.1, 0.1, 0.1)}
    scene().add_body("r", **(box | changes), motion="free")


REFUSED = {
    "gravity": lambda: scene(gravity=(0.0, 0.0)),
    "gravity nan": lambda: scene(gravity=(NAN, 0.0, 0.0)),
    "size": lambda: scene(size=(INF, 0.2, 0.2)),
    "density": lambda: Liquid(INF, 1e4),
    "friction": lambda: collider(friction=NAN),
    "width": lambda: collider(width=INF),
    "scale": lambda: collider(scale=INF),
    "levels": lambda: collider(levels=99),
    "place": lambda: collider(position=(NAN, 0.0, 0.0)),
    "turn": lambda: collider(quaternion=(0.0, 0.0, 0.0, 0.0)),
    "turn of three": lambda: collider(quaternion=(0.0, 0.0, 1.0)),
    "body": lambda: scene().add_body("b", position=(0.1, 0.1)),
    "turn of a body": lambda: scene().add_body("b", quaternion=(0.0, 0.0, 0.0, NAN)),
    "positions": lambda: scene().add_particles("p", "water", np.full((3, 2), 0.1), 1e-6),
    "velocity": lambda: scene().add_particles("p", "water", POINTS, 1e-6, (NAN, 0.0, 0.0)),
    "volume": lambda: scene().add_particles("p", "water", POINTS, INF),
    "jet": lambda: with_body().add_emitter("e", "hand", "water", 10, 0.01, INF, 2),
    "count": lambda: with_body().add_emitter("e", "hand", "water", 10, 0.01, 1.0, 2.5),
    "collector": lambda: scene().add_collector("t", (0.1, 0.1, 0.1), (0.0, 0.2, 0.2)),
    "collector nan": lambda: scene().add_collector("t", (NAN, 0.1, 0.1), (0.2, 0.2, 0.2)),
    "rigid velocity": lambda: rigid(velocity=(NAN, 0.0, 0.0)),
    "rigid spin": lambda: rigid(angular_velocity=(0.0, 0.0)),
    "rigid turn": lambda: rigid(quaternion=(0.0, 0.0, 0.0, 0.0)),
    "skin": lambda: ready().add_skin("floor", 2, 2, 0.1, 0.1, quaternion=(0.0, 0.0, 0.0, 0.0)),
    "taxels": lambda: ready().add_skin("floor", 2.5, 2, 0.1, 0.1),
    "worlds": lambda: World(ready(), 0),
    "worlds nan": lambda: World(ready(), NAN),
    "precision": lambda: World(ready(), 1, dtype=torch.float16),
}


@pytest.mark.parametrize("name", REFUSED)
def test_numbers_out_of_range(name):
    with fails("must be|no rotation|use torch.float32|use None"):
        REFUSED[name]()


def test_a_shape_must_be_one():
    with pytest.raises(TypeError, match="'ball' is no shape"):
        collider(shape="ball")


def test_a_mesh_is_checked_when_it_is_added(tmp_path):
    mesh = Box((0.02, 0.02, 0.02)).to_mesh()
    mesh.update_faces(np.arange(len(mesh.faces)) > 0)
    mesh.export(tmp_path / "open.stl")
    with fails("not watertight"):
        collider(shape=MeshShape(str(tmp_path / "open.stl")))


def test_a_step_refuses_tensors_that_do_not_fit():
    world = World(with_body(), 3)
    state, control = world.initial_state(), world.zero_control()
    for twist in (control.twist.double(), control.twist[:1], control.twist[:, 0], control.twist.repeat(1, 2, 1), 0.0):
        with fails("control.twist"):
            world.step(state, replace(control, twist=twist))
    with fails("control.emit"):
        world.step(state, replace(control, emit=torch.ones(3, 2, dtype=torch.bool)))
    for name, value in (("x", state.x.double()), ("v", state.v[:1]), ("active", state.active.float())):
        with fails(rf"state\.{name}"):
            world.step(state.replace(**{name: value}), control)
    with fails("gravity"):
        world.parameters["gravity"] = -9.81
