# SPDX-License-Identifier: Apache-2.0
"""Inclusions: what a scene refuses, parameters and their bounds, and what a substep bears."""

import pytest
import torch

from simenv.physics import status
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.world import Scene
from tests.verification.worlds import lattice

YOUNG, POISSON, DENSITY, DX = 4e4, 0.3, 1000.0, 0.02
PRESSURE = YOUNG * (1 - POISSON) / ((1 + POISSON) * (1 - 2 * POISSON))  # P-wave modulus [Pa]
SUBSTEP = 4e-4
BEARS = (0.5 * DX / SUBSTEP) ** 2 * DENSITY / PRESSURE  # largest stiffness: sound crosses half a cell in a substep


def scene(**options) -> Scene:
    made = Scene((0.2,) * 3, DX, SUBSTEP, 5, **options)
    made.add_material("gel", Elastic(DENSITY, YOUNG, POISSON))
    made.add_material("water", Liquid(1000.0, 4e4))
    made.add_particles("block", "gel", lattice((0.04, 0.04, 0.0), (0.12, 0.12, 0.06), 0.01), 1e-6)
    made.add_particles("pool", "water", lattice((0.14, 0.04, 0.0), (0.18, 0.12, 0.02), 0.01), 1e-6)
    return made


def test_parameters_and_their_bounds():
    made = scene()
    made.add_inclusion("lump", "block", (0.08, 0.07, 0.03), 0.02, 3.0)
    world = made.make_world(2)
    found = {name: value.tolist() for name, value in world.parameters.items() if name.startswith("block.")}
    start = {"x": 0.08, "y": 0.07, "z": 0.03, "radius": 0.02, "stiffness": 3.0}
    assert found == {f"block.lump.{name}": pytest.approx([value] * 2) for name, value in start.items()}
    for name in ("radius", "stiffness"):
        with pytest.raises(ValueError, match=rf"parameter 'block.lump.{name}' = 0.0; it must lie between 0.0"):
            world.parameters[f"block.lump.{name}"] = 0.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"particles": "cube"}, "no particle group 'cube'; the scene has: block, pool"),
        ({"particles": "pool"}, "'pool' is of Liquid; use Elastic or ElastoPlastic"),
        ({"radius": 0.0}, "radius = 0.0; it must be finite and positive"),
        ({"stiffness": -2.0}, "stiffness = -2.0; it must be finite and positive"),
        ({"radius": 0.009}, "edge = 0.02 m; it must be at most the diameter, 0.018 m"),
        ({"centre": (0.08, 0.07, 0.09)}, "none of its particles is within 0.02 m of"),
        ({"centre": (0.08, 0.07)}, "it must be 3 finite numbers"),
    ],
)
def test_what_a_scene_refuses(change, said):
    given = {"particles": "block", "centre": (0.08, 0.07, 0.03), "radius": 0.02, "stiffness": 3.0, **change}
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        scene().add_inclusion("lump", **given)


def test_names_are_unique_in_a_group():
    made = scene()
    made.add_inclusion("lump", "block", (0.08, 0.07, 0.03), 0.02, 3.0)
    with pytest.raises(ValueError, match=r"inclusion 'block.lump' exists already"):
        made.add_inclusion("lump", "block", (0.06, 0.07, 0.03), 0.02, 2.0)


def test_what_a_substep_bears():
    """Where sound crosses half a cell; inclusions can lie on one another, so that their factors multiply."""
    made = scene()
    made.add_inclusion("lump", "block", (0.08, 0.07, 0.03), 0.02, 2.0)
    made.add_inclusion("other", "block", (0.06, 0.07, 0.03), 0.02, 0.5)
    world = made.make_world(3)
    world.parameters["block.lump.stiffness"] = 0.999 * BEARS
    with pytest.raises(ValueError, match=r"'block.lump.stiffness' = .* bears at most 11.6.*a lower stiffness"):
        world.parameters["block.lump.stiffness"] = 1.001 * BEARS
    world.parameters["block.lump.stiffness"] = 0.5 * BEARS
    with pytest.raises(ValueError, match=r"'block.other.stiffness' = .* bears at most 2"):
        world.parameters["block.other.stiffness"] = 2.01
    with pytest.raises(ValueError, match=r"'gel.youngs_modulus' = .* bears at most"):
        world.parameters["gel.youngs_modulus"] = 2.01 * YOUNG
    world.parameters["block.lump.stiffness"] = BEARS * torch.tensor([0.5, 1.001, 0.999])
    state = world.initial_state()
    after = world.step(state, world.zero_control())
    assert after.status.tolist() == [0, status.TOO_STIFF, 0]
    assert "block.lump.stiffness" in world.parameters.explain(status.TOO_STIFF, 1)


def test_a_scene_with_too_stiff_an_inclusion_is_not_built():
    made = scene()
    made.add_inclusion("lump", "block", (0.08, 0.07, 0.03), 0.02, 1.01 * BEARS)
    with pytest.raises(ValueError, match=r"'block.lump.stiffness' = .* bears at most"):
        made.make_world(1)


def test_pace_takes_more_substeps_for_a_hard_inclusion():
    """Sound in the inclusion is sqrt(s) times faster; its world alone takes twice the substeps."""
    made = scene(max_substeps=10)
    made.add_inclusion("lump", "block", (0.08, 0.07, 0.03), 0.02, 2.0)
    world = made.make_world(2)
    world.parameters["block.lump.stiffness"] = [2.0, 1.5 * BEARS]
    state = world.step(world.initial_state(), world.zero_control())
    assert state.substeps.tolist() == [5, 10]
