# SPDX-License-Identifier: Apache-2.0
"""The examples of the page on one world do what the page says."""

import importlib.util
import re
from types import ModuleType

import pytest
import torch

from tests.docs import pages

EXAMPLES = pages.ROOT / "docs" / "examples"


def load(name: str) -> ModuleType:
    """A script of docs/examples."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numbers_of_page(name: str) -> list[float]:
    """The numbers of the output that the page shows of a script."""
    text = (pages.ROOT / "docs" / "one_world.md").read_text(encoding="utf-8")
    (shown,) = [
        block.text for block in pages.blocks("one_world.md", text) if f"$ python docs/examples/{name}.py" in block.text
    ]
    return [float(each) for each in re.findall(r"[-+]?\d+\.\d+", shown)]


def test_a_hand_carries_the_weight_of_what_is_left() -> None:
    pour = load("pour_by_hand")
    means = pour.means(pour.run()[0])
    for force, weight in means.values():
        assert abs(force - weight) < 0.01 * weight
    assert means["poured"][1] < 0.5 * means["full"][1]
    told = [value for pair in means.values() for value in pair]
    assert numbers_of_page("pour_by_hand") == pytest.approx(told, rel=0.02)  # another machine may pour a drop more


def test_gels_feel_the_jet_and_the_block() -> None:
    feels = load("gel_feels")
    world = feels.scene().make_world(1)
    found = feels.means(world, feels.run(world))
    assert abs(found["palm"] - found["jet and water"]) < 0.05 * found["jet and water"]
    assert abs(found["finger"] - found["hand"]) < 0.005 * found["hand"]  # it rests
    assert found["palm centre"] > 2e-3 and -8e-3 < found["finger centre"] < -1e-3
    told = [1e3 * value if "centre" in name else value for name, value in found.items()]
    assert numbers_of_page("gel_feels") == pytest.approx(told, rel=0.02, abs=0.2)


def test_one_gradient_goes_through_hand_gel_ball_and_block() -> None:
    jelly = load("press_into_jelly")
    world = jelly.scene().make_world(1, dtype=torch.float64)
    state, slopes = jelly.slopes(world)
    for name, slope in slopes.items():
        assert abs(slope - jelly.difference(world, name)) < 1e-5 * abs(slope), name
    told = [1e3 * float(jelly.sinks(world, state)), float(world.gels["gel"].force(state)[0, 2])]
    told += [1e3 * slope for slope in slopes.values() for _ in range(2)]
    assert numbers_of_page("press_into_jelly") == pytest.approx(told, rel=1e-3)
