# SPDX-License-Identifier: Apache-2.0
"""Gradients with respect to inclusions, over a press of many control steps; float64."""

import functools

import pytest

from tests.gradients.scenes import STEPS, Problem, central_differences, direction, plateau, press_scene

TOLERANCE = 1e-6
NUMBERS = ("x", "y", "z", "radius", "stiffness")


def problem(worlds: int = 1) -> Problem:
    """Two inclusions that overlap in a block between a floor and a ball."""
    scene = press_scene("corotated")
    scene.add_inclusion("hard", "p", (0.095, 0.105, 0.07), 0.022, 3.0)
    scene.add_inclusion("soft", "p", (0.112, 0.09, 0.085), 0.016, 0.4, edge=0.016)
    return Problem(scene, worlds)


@functools.cache
def adjoints():
    return problem().gradients()


@functools.cache
def slopes():
    names = tuple(f"p.{inclusion}.{number}" for inclusion in ("hard", "soft") for number in NUMBERS)
    return central_differences(problem, names, 1)


@pytest.mark.parametrize("inclusion", ["hard", "soft"])
@pytest.mark.parametrize("number", NUMBERS)
def test_gradient_over_a_press_agrees_with_central_differences(inclusion, number):
    assert STEPS >= 20
    name = f"p.{inclusion}.{number}"
    found = plateau(slopes()[name])
    exact = float((adjoints()[name][0] * direction(name, problem().leaves[name][0], 1)).sum())
    assert exact == pytest.approx(found, rel=TOLERANCE)
