# SPDX-License-Identifier: Apache-2.0
"""Bodies of a scene that nothing pairs pass through each other: not without a word."""

import warnings

import numpy as np
import pytest

import simenv
from simenv.envs.registration import task_class
from simenv.errors import UnpairedBodiesWarning
from simenv.geometry.shapes import Box, Plane, Sphere
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.world import Scene
from simenv.world.pairing import unpaired


def scene():
    """A table and two balls above each other; only the lower one touches the table."""
    made = Scene(substep_dt=1e-3, substeps=3)
    made.add_body("table", Plane(), motion="fixed")
    made.add_body("lower", Sphere(0.01), 2500.0, (0.0, 0.0, 0.01), motion="free")
    made.add_body("upper", Sphere(0.01), 2500.0, (0.0, 0.0, 0.05), motion="free")
    made.add_points("lower", "table", np.zeros((1, 3)), 0.01)
    return made


def with_gel(**hand):
    made = scene()
    made.add_body("pad", position=(0.0, 0.0, 0.08), quaternion=(1.0, 0.0, 0.0, 0.0), motion="hand")
    if hand.get("gel", True):
        made.add_gel("gel", "pad", "upper", flat_grid(4, 4, 0.01, 0.01), WinklerGel(1e7, 5e6, 0.8))
    return made


def test_a_world_warns_of_bodies_that_pass_through_each_other():
    with pytest.warns(UnpairedBodiesWarning) as told:
        scene().make_world(1)
    assert len(told) == 1
    text = str(told[0].message)
    for part in ("'lower' and 'upper'", "'table' and 'upper'", "add_points", "add_gel", "let_pass("):
        assert part in text
    assert "'table' and 'lower'" not in text
    assert told[0].filename == __file__  # it points at who made the world


def test_pairs_are_those_without_gel_or_points():
    assert unpaired(scene()) == [("table", "upper"), ("lower", "upper")]
    # a hand has an extent if it carries a gel
    assert unpaired(with_gel(gel=False)) == unpaired(scene())
    assert unpaired(with_gel()) == [("table", "upper"), ("table", "pad"), ("lower", "upper"), ("lower", "pad")]
    # two that stand still never meet
    made = Scene(substep_dt=1e-3, substeps=3)
    made.add_body("table", Plane(), motion="fixed")
    made.add_body("box", Box((0.1, 0.1, 0.1)), motion="fixed")
    assert unpaired(made) == []


def test_what_is_said_to_pass_is_not_told():
    made = scene()
    made.let_pass("upper", "lower", "they are in different boxes")
    assert unpaired(made) == [("table", "upper")]
    made.let_pass("table", "upper", "it hangs")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.make_world(1)
    with pytest.raises(ValueError, match="no body 'ball'"):
        made.let_pass("upper", "ball", "there is none")
    with pytest.raises(ValueError, match="say why"):
        made.let_pass("upper", "lower", " ")


def test_what_is_said_of_a_robot_holds_for_its_links():
    made = Scene(substep_dt=1e-3, substeps=3)
    made.add_body("table", Plane(), motion="fixed")
    made.add_body("ball", Sphere(0.01), 2500.0, (0.5, 0.0, 0.01), motion="free", coupling="rigid")
    made.add_robot("arm", "panda")
    made.add_gel("gel", "arm/tool", "ball", flat_grid(4, 4, 0.01, 0.01), WinklerGel(1e7, 5e6, 0.8))
    assert unpaired(made) == [("table", "arm/tool")]
    made.let_pass("arm", "table", "it stays above")
    assert unpaired(made) == []


@pytest.mark.parametrize("task_id", [task for task in simenv.list_tasks() if task.startswith("SimEnv/")])
def test_no_task_has_bodies_of_which_nobody_said_anything(task_id):
    assert unpaired(task_class(task_id)().build()) == []
