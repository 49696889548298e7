# SPDX-License-Identifier: Apache-2.0
"""What looks at states from outside follows from what solvers declare: pictures, recordings, replays, identification.

No file there names a field of the state, and nobody asks of which type a world is, so that a new solver needs no edit
outside itself. Each rule is first shown to catch a bad snippet, then applied to every file.
"""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache

import pytest

from simenv.world import World
from tests.contract import source_rules as rules
from tests.world.zoo import SCENES

OUTSIDE = [path for folder in ("render", "rollouts") for path in sorted((rules.ROOT / "simenv" / folder).rglob("*.py"))]
# Words that are also names of fields, and mean something else there.
OTHER_MEANINGS = {
    "rollouts/access.py": {"substeps"},  # what a manifest says of the time steps
    "rollouts/motion.py": {"x"},  # a column of a CSV file
    "render/touch.py": {"x", "field", "wrench"},  # an axis, and what a series of readings holds
}
_STATE = re.compile(r"(^|_)(state|before|after|start|first|shown)$")


@lru_cache
def declared() -> frozenset[str]:
    """Every field that a solver of the small scenes declares; what all worlds have, `time` and `status`, is none."""
    names: set[str] = set()
    for build in SCENES.values():
        world = World(build(), 1)
        names |= {name for solver in world.solvers.values() for name in solver.fields}
        world.close()
    return frozenset(names)


def _docstrings(tree: ast.Module) -> set[int]:
    bodies = [getattr(node, "body", None) for node in ast.walk(tree)]
    texts = [stop.value for body in bodies if isinstance(body, list) for stop in body if isinstance(stop, ast.Expr)]
    return {id(text) for text in texts if isinstance(text, ast.Constant)}


def _is_state(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return bool(_STATE.search(name))


def field_literals(source: str, names: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Lines that name a field of the state: an attribute or changed field of a state, or a string of that name."""
    tree = ast.parse(source)
    docstrings = _docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in names and _is_state(node.value):
            yield node.lineno, node.attr
        elif isinstance(node, ast.Constant) and node.value in names and id(node) not in docstrings:
            yield node.lineno, node.value
        elif isinstance(node, ast.Call):
            called = node.func
            changes = isinstance(called, ast.Attribute) and called.attr == "replace" and _is_state(called.value)
            if changes or (isinstance(called, ast.Name) and called.id == "State"):
                yield from ((node.lineno, key.arg) for key in node.keywords if key.arg in names)


def asks_for_the_type(source: str) -> Iterator[tuple[int, str]]:
    """Lines that ask what kind of world a world is."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
            continue
        asked = node.args[0]
        name = asked.id if isinstance(asked, ast.Name) else asked.attr if isinstance(asked, ast.Attribute) else ""
        if name.lstrip("_") == "world" and node.func.id in ("isinstance", "getattr", "hasattr", "type"):
            yield node.lineno, ast.unparse(node)


def test_the_scenes_have_what_solvers_declare() -> None:
    names = declared()
    assert {"x", "active", "body_q", "grip", "stick", "gel_wrench", "joint_q", "held", "skin_field", "emitted"} <= names
    assert not names & {"time", "status"}


@pytest.mark.parametrize(
    "line",
    [
        "points = state.x[:, span]",
        "poses = env.state.body_q",
        "moved = self._state.body_q",
        "a, b = before.v, 1",
        "fields = ('time', 'joint_q')",
        "value = getattr(state, 'grip')",
        "mask = episode.states['active']",
        "if 'skin_field' in state: pass",
        "now = state.replace(grip=0)",
        "fresh = State(held=1)",
        "def f():\n    'A docstring.'\n    return 'depth'",
    ],
)
def test_a_named_field_is_seen(line: str) -> None:
    assert len(list(field_literals(line, declared()))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "poses = world.drawn_poses(state)",
        "stopped = state.status != 0",
        "kept = dict(state)",
        "'x'",  # a docstring
        "shape = grid.x, vector.v",
        "found = text.replace('a', 'b')",
        "series = TouchSeries(field=field)",
    ],
)
def test_what_names_none_is_let_pass(line: str) -> None:
    assert not list(field_literals(line, declared()))


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_looks_from_outside_names_no_field(path) -> None:
    key = f"{path.parent.name}/{path.name}"
    found = list(field_literals(path.read_text(encoding="utf-8"), declared()))
    allowed = OTHER_MEANINGS.get(key, set())
    wrong = [f"line {line}: {name!r}" for line, name in found if name not in allowed]
    assert not wrong, f"{key} names fields of the state; ask world.fields, drawables() or bodies: {wrong}"
    assert allowed <= {name for _, name in found}, "an exception that nothing needs any more"


@pytest.mark.parametrize(
    "line",
    [
        "if isinstance(world, World): pass",
        "assert not isinstance(core.world, (World, Other))",
        "names = getattr(env.unwrapped.world, 'gel_names', ())",
        "can = hasattr(self._world, 'skin')",
        "kind = type(world).__name__",
    ],
)
def test_a_question_for_the_type_is_seen(line: str) -> None:
    assert len(list(asks_for_the_type(line))) == 1


@pytest.mark.parametrize("line", ["isinstance(env, Env)", "world.gels", "getattr(world.scene, name)", "len(world)"])
def test_other_questions_are_let_pass(line: str) -> None:
    assert not list(asks_for_the_type(line))


def test_nobody_asks_of_which_type_a_world_is() -> None:
    found = {
        f"{rules.module_name(path)}:{line} {said}"
        for path in rules.shipped_files()
        for line, said in asks_for_the_type(path.read_text(encoding="utf-8"))
    }
    assert not found, "a world says what it has: world.gels, world.hand_names, world.fields"
