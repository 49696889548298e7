# SPDX-License-Identifier: Apache-2.0
"""The list of what a task author needs to know is whole, counted right, and no longer than promised."""

import ast
import re

import pytest

from simenv.envs import Task
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("### What a task author needs to know")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|$", SECTION, re.M)
TEMPLATES = {file.name: file.read_text(encoding="utf-8") for file in sorted((ROOT / "tasks").glob("template*.py"))}
SCENE = {"size", "dx"}  # given by place
# what things of simenv are called in the templates
OWNERS = {"scene", "world", "state", "before", "after", "random", "exact", "observations"}
VIEWS = {"bodies", "gels", "colliders", "robots"}


def listed() -> list[str]:
    """All names of the table."""
    return [name for *_, names in ROWS for name in re.findall(r"`(\w+)`", names)]


def used(source: str) -> set[str]:
    """Names of simenv that a task uses: imports, hooks and declarations, and whatever is asked of scene, world, views,
    state and random numbers; what `exact` holds counts as that.
    """
    found, tree = set(), ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("simenv"):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ClassDef):
            members = [each for each in node.body if isinstance(each, (ast.FunctionDef, ast.Assign))]
            names = [each.name if isinstance(each, ast.FunctionDef) else each.targets[0].id for each in members]
            found |= {name for name in names if name in {*dir(Task), *Task.__annotations__}}
        elif isinstance(node, ast.Attribute):
            found |= {node.attr} if _is_simenv(node.value) else set()
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Scene":
            found |= {each.arg for each in node.keywords} | (SCENE if node.args else set())
    return found


def _is_simenv(node: ast.AST) -> bool:
    """Whether an expression is one of the things that have names of simenv's: world, its views, and so on."""
    if isinstance(node, ast.Name):
        return node.id in OWNERS - {"exact"} or node.id in ("tool", "bump", "tile", "pad", "gel", "arm", "WinklerGel")
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr in VIEWS


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_a_template_uses_is_in_the_list(name: str) -> None:
    missing = used(TEMPLATES[name]) - set(listed())
    assert not missing, f"{name} uses {missing}, which docs/environments.md does not list"


def test_what_is_listed_is_used_by_a_template() -> None:
    everything = set().union(*map(used, TEMPLATES.values()))
    assert set(listed()) <= everything, set(listed()) - everything
    assert len(listed()) == len(set(listed()))


def test_the_list_is_counted_right() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, len(ROWS) + 1))
    assert len(ROWS) <= 25
    groups = [len(re.findall(r"^\| \d", part, re.M)) for part in SECTION.split("| **")[1:]]
    counts = "{} for every task, {} of particles, {} of touch, {} of robots".format(*groups)
    assert f"\n{len(ROWS)} things: {counts}." in SECTION
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"is a list of {len(ROWS)}." in guide


def test_a_name_that_is_not_listed_is_found() -> None:
    source = TEMPLATES["template_touch.py"]
    assert "let_pass" in used(source) and {"near", "touch_anew", "gels", "lead"} <= used(source)
    more = source.replace("return scene", 'scene.add_skin("gel", 4, 4, 0.01, 0.01)')
    assert used(more) - set(listed()) == {"add_skin"}
