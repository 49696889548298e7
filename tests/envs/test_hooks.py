# SPDX-License-Identifier: Apache-2.0
"""What the framework asks of a task is declared in `Task`: nobody looks by name for what might be there."""

import ast
import inspect
from pathlib import Path

import pytest

from simenv.envs import Task

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("simenv", "agents", "scripts", "tasks", "docs/_gen", "benchmarks")
LOOKS = {"getattr", "hasattr", "setattr", "delattr"}


def looked_up(source: str) -> list[str]:
    """Attributes of a task that are looked up by a literal name, or patched: what is called ``task``, or ends in it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in LOOKS and len(node.args) >= 2:
            if is_task(node.args[0]) and isinstance(node.args[1], ast.Constant):
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for each in targets:
                if (
                    isinstance(each, ast.Attribute)
                    and is_task(each.value)
                    and inspect.isroutine(getattr(Task, each.attr, None))
                ):
                    found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def is_task(node: ast.expr) -> bool:
    """Whether an expression is a task by its name: ``task``, ``self._task``, ``env.unwrapped.task``."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.lstrip("_") == "task"


def undeclared(source: str) -> list[str]:
    """Attributes of a task that are used plainly outside tasks, and that `Task` does not declare."""
    declared = {*dir(Task), *Task.__annotations__, *dir(str)}  # some call the id of a task so
    return [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and is_task(node.value) and node.attr not in declared
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_hooks_are_called_plainly(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    found = [f"{file.relative_to(ROOT)} {each}" for file in files for each in looked_up(file.read_text("utf-8"))]
    assert not found, found


@pytest.mark.parametrize("folder", ["simenv", "agents", "scripts", "benchmarks"])
def test_what_is_used_is_declared(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    found = [f"{file.relative_to(ROOT)} {each}" for file in files for each in undeclared(file.read_text("utf-8"))]
    assert not found, found


@pytest.mark.parametrize(
    "source",
    [
        "hasattr(core.task, 'twist_to_action')",
        "names = getattr(task, 'observation_names', None)",
        "x = getattr(self._task, 'view_modes')",
        "setattr(env.unwrapped.task, 'observe', f)",
        "task.observe = views",
        "env.task.sample: object = draw",
    ],
)
def test_the_lint_sees_it(source: str) -> None:
    assert looked_up(source)


@pytest.mark.parametrize(
    "source",
    [
        "getattr(task, name)",  # an argument's own name, from the declaration
        "getattr(env, 'task', None)",
        "task.observation_mode = 'reduced'",
        "task.observe(world, state, episode)",
        "getattr(world, 'arm')",
    ],
)
def test_the_lint_lets_pass_what_is_right(source: str) -> None:
    assert not looked_up(source)


def test_the_other_lint_sees_what_is_not_declared() -> None:
    assert undeclared("core.task.view_modes['actor']") and undeclared("task.twist_to_acton(twist)")
    assert not undeclared("core.task.twist_to_action(twist); task.arguments; task.action_names")
