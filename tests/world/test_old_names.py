# SPDX-License-Identifier: Apache-2.0
"""Names from when touch had scenes and worlds of its own: each is refused with what to write now, and that exists."""

import copy
import importlib
import pickle
import re

import pytest
import torch

import simenv.robots
import simenv.world
from simenv.geometry.shapes import Sphere
from simenv.world import Control, Scene, World
from simenv.world import renamed as world_names
from simenv.world import scene as scene_module
from simenv.world import state as state_module
from tests.world.zoo import SCENES, touch

MODULE = {"TouchScene": "Scene", "TouchWorld": "World", "TouchState": "State", "TouchControl": "Control",
          "TouchParameters": "Parameters"}  # fmt: skip


@pytest.mark.parametrize("old", MODULE)
def test_what_was_imported(old):
    new = MODULE[old]
    with pytest.raises(ImportError, match=rf"simenv\.world\.{old} is now simenv\.world\.{new}; see the changelog"):
        getattr(simenv.world, old)
    with pytest.raises(ImportError, match=rf"{old} is now simenv\.world\.{new}"):
        exec(f"from simenv.world import {old}")
    assert new in simenv.world.__all__ and hasattr(simenv.world, new)


def test_other_names_are_missing_as_anywhere():
    with pytest.raises(AttributeError, match=r"module 'simenv\.world' has no attribute 'Sene'"):
        simenv.world.Sene  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Sene'"):
        exec("from simenv.world import Sene")
    assert importlib.import_module("simenv.world.scene").Scene is Scene  # submodules are found all the same


@pytest.mark.parametrize("old", simenv.robots._GONE)
def test_what_robots_were(old):
    with pytest.raises(ImportError, match=rf"simenv\.robots\.{old} is gone; use .* \(see the changelog\)") as error:
        exec(f"from simenv.robots import {old}")
    new = str(error.value).partition("; use ")[2].removesuffix(" (see the changelog)")
    assert all(hasattr(simenv.robots, name) for name in re.findall(r"\b(\w+)\(", new))
    with pytest.raises(AttributeError, match=r"module 'simenv\.robots' has no attribute 'Robt'"):
        simenv.robots.Robt  # noqa: B018


METHODS = {"add_rigid": ("add_body", "free"), "add_hand": ("add_body", "hand"), "add_fixed": ("add_body", "fixed"),
           "add_arm": ("add_robot", None)}  # fmt: skip


@pytest.mark.parametrize("old", METHODS)
def test_what_scenes_were_told(old):
    scene, (new, motion) = Scene(substep_dt=1e-3, substeps=1), METHODS[old]
    with pytest.raises(AttributeError, match=rf"Scene\.{old} is now Scene\.{new}.*; see the changelog") as error:
        getattr(scene, old)("name", (0.0, 0.0, 0.1))
    assert callable(getattr(scene, new))
    if motion:
        assert f"motion={motion!r}" in str(error.value)
        scene.add_body("b", Sphere(0.01), 1000.0 if motion == "free" else None, motion=motion)
        assert scene.bodies["b"].motion == motion


def test_what_scenes_held():
    scene = touch()
    for old, new in scene_module._RENAMED.items():
        if old not in METHODS:
            with pytest.raises(AttributeError, match=rf"Scene\.{old} is now Scene\."):
                getattr(scene, old)
            eval(f"scene.{new}", {"scene": scene, "name": "block"})
    with pytest.raises(AttributeError, match="Scene has no 'add_bodies'"):
        scene.add_bodies()


def test_a_body_s_place_is_no_longer_its_second_argument():
    scene = Scene(substep_dt=1e-3, substeps=1)
    with pytest.raises(TypeError, match=r"body 'hand': shape = \(0.1, 0.2, 0.3\) is no shape; use .*position=\.\.\."):
        scene.add_body("hand", (0.1, 0.2, 0.3))
    with pytest.raises(TypeError, match="substep_dt"):
        Scene(1e-3, 4)  # as a scene of touch was made


def test_a_goal_is_no_longer_the_first_argument_of_a_control():
    world = World(touch(), 1)
    state = world.initial_state()
    goal = world.zero_control(state).goal
    with pytest.raises(ValueError, match=r"control\.twist is given, but this world has no such control; it has: goal"):
        world.step(state, Control(goal))
    assert int(world.step(state, Control(goal=goal)).status) == 0


@pytest.mark.parametrize("old", state_module._RENAMED)
def test_what_states_held(old):
    world = World(SCENES["particles"](), 1)
    state = world.initial_state()
    with pytest.raises(AttributeError, match=rf"the state has no '{old}' any more; use ") as error:
        getattr(state, old)
    with pytest.raises(KeyError, match=f"no '{old}' any more"):
        state[old]
    assert not hasattr(state, old) and old not in state
    new = str(error.value).partition("; use ")[2]
    first = new.partition(" ")[0].rstrip(",")
    assert first in state or eval(first, {"state": state, "dict": dict})


PARTICLES = {"rigid_names", "rigid", "model", "pace"}


@pytest.mark.parametrize("old", world_names.NAMES)
def test_what_worlds_had(old):
    world = World(SCENES["particles" if old in PARTICLES else "robot" if old == "arm" else "touch"](), 1)
    with pytest.raises(AttributeError, match=rf"World\.{old} is gone; use .* \(see the changelog\)") as error:
        getattr(world, old)
    assert not hasattr(world, old)
    new = str(error.value).partition("; use ")[2].removesuffix(" (see the changelog)")
    state = world.initial_state()
    name = "arm" if "robots" in new else "block" if "bodies" in new else "left"
    none = torch.zeros(1, 3)
    known = {"world": world, "state": state, "name": name, "pose": torch.zeros(1, 7), "move": none, "turn": none,
             "tuple": tuple, "len": len}  # fmt: skip
    assert eval(new, known) is not None


def test_worlds_are_copied_and_miss_other_names_as_anything():
    world = World(touch(), 1)
    with pytest.raises(AttributeError, match="'World' object has no attribute 'gell'"):
        world.gell  # noqa: B018
    for other in (copy.deepcopy(world), pickle.loads(pickle.dumps(world))):
        assert other.body_names == world.body_names and other is not world
