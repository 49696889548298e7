# SPDX-License-Identifier: Apache-2.0
"""Tasks and agents name bodies, gels, hands, colliders and emitters; none counts which row of a state is whose."""

import ast
from pathlib import Path

import pytest

from tests.contract.source_rules import ROOT
from tests.zoo.scenes import ZOO

FILES = sorted(file for folder in ("tasks", "agents") for file in (ROOT / folder).rglob("*.py"))
# Fields of a state with an axis of bodies, gels, taxels, contact points, colliders or emitters, and what reads them.
BY_NAME = {
    **dict.fromkeys(("body_q", "body_twist", "body_wrench", "push", "drive"), "world.bodies[name]"),
    **dict.fromkeys(
        ("stick", "gel_rotation", "gel_offset", "field", "depth", "gel_wrench"), "world.gels[name]"
    ), "held": "world.bodies[name].push(state)", "wrench": "world.colliders[name].wrench(state)",
    "owed": "world.bodies[name].wrench(state)", "link_wrench": "world.bodies[name].wrench(state)",
    **dict.fromkeys(("anchor", "closing", "contact_impulse"), "world.bodies[name].contact_force(state)"),
    "skin_field": "world.skin(state, name)", "tool_past": "world.control(goal={name: ...})",
    **dict.fromkeys(("gas_u", "gas_v", "gas_w"), "world.gas.velocity(state)"),
    "gas_scalar": "world.gas.scalar(state, name)",
    "emitted": "world.emitters[name].emitted(state)",
}  # fmt: skip
# Fields of a world, of its particles (`world.particle_groups` are slices of these), or of its one robot or gripper.
WHOLE = {"x", "v", "C", "F", "J", "active", "time", "status", "substeps", "grip", "joint_q", "joint_qd"}
WHOLE |= {"gas_pressure", "gas_divergence", "gas_wrench", "gas_owed"}
VIEWS = {"bodies", "gels", "colliders", "emitters", "sensors", "hands"}
NAMES = {"body_names", "given_names", "hand_names", "collider_names", "gel_names"}
LISTS = {"list", "tuple", "sorted", "reversed", "iter", "enumerate", "dict"}
CONTROLS = {"twist", "goal", "emit"}


def _counted(node: ast.AST) -> bool:
    """Whether an expression lists what has names: ``list(world.bodies)``, ``world.gels.values()``, ``body_names``."""
    if isinstance(node, ast.Attribute):
        return node.attr in VIEWS | NAMES
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("values", "keys", "items"):
        return _counted(node.func.value)
    return isinstance(node.func, ast.Name) and node.func.id in LISTS and any(map(_counted, node.args))


def _is_state(node: ast.AST) -> bool:
    """Whether an expression is a state, by what it is called."""
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in ("before", "after") or name.endswith("state")


def by_number(source: str) -> list[tuple[int, str]]:
    """(line, fault) of whatever reads, writes or finds rows by their number."""
    found, tree = [], ast.parse(source)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        fault = None
        if isinstance(node, ast.Attribute) and id(node) not in called and node.attr in BY_NAME:
            fault = f".{node.attr}: use {BY_NAME[node.attr]}"
        elif isinstance(node, ast.Attribute) and node.attr == "index":
            fault = ".index finds a number; use the name"
        elif isinstance(node, ast.Constant) and str(node.value).removeprefix("state.") in BY_NAME:
            if str(node.value).startswith("state."):
                fault = f"{node.value!r}: use {BY_NAME[node.value.removeprefix('state.')]}"
        elif isinstance(node, ast.Subscript):
            fault = _subscript(node)
        elif isinstance(node, ast.Call):
            fault = _call(node)
        if fault:
            found.append((node.lineno, fault))
    return found


def _subscript(node: ast.Subscript) -> str | None:
    key, named = node.slice, isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
    if named and _is_state(node.value) and key.value in BY_NAME and key.value != "held":  # a word of optimisers, too
        return f"[{key.value!r}]: use {BY_NAME[key.value]}"
    if not named and not isinstance(key, (ast.Name, ast.JoinedStr, ast.Attribute)) and _counted(node.value):
        return "a number chooses among what has names"
    if isinstance(node.value, ast.Attribute) and node.value.attr in CONTROLS:
        return f".{node.value.attr}[...]: use world.control({node.value.attr}={{name: ...}})"
    return None


def _call(node: ast.Call) -> str | None:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name == "Control" and (node.args or node.keywords):
        return "Control(...) is in the order of rows: use world.control(...)"
    if name == "replace":
        rows = [each.arg for each in node.keywords if each.arg in BY_NAME]
        return f"replace({rows[0]}=...): use {BY_NAME[rows[0]]}, such as .place(state, pose)" if rows else None
    if name in ("next", "enumerate", "zip") and any(map(_counted, node.args)):
        return f"{name}(...) counts what has names"
    if name == "getattr" and len(node.args) > 1 and getattr(node.args[1], "value", None) in BY_NAME:
        return f"getattr(..., {node.args[1].value!r}): use {BY_NAME[node.args[1].value]}"
    return None


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_row_is_found_by_its_number(file: Path) -> None:
    faults = by_number(file.read_text(encoding="utf-8"))
    assert not faults, "\n".join(f"{file.relative_to(ROOT)}:{line}: {fault}" for line, fault in faults)


@pytest.mark.parametrize("source", [
    "peg = state.body_q[:, 2]",
    "q = state.body_q\npeg = q[:, 2]",
    "height = env.unwrapped.state.body_q[:, 0, 2]",
    "x = after['body_q'][:, 1]",
    "x = getattr(state, 'body_twist')[:, 1]",
    "x = env.get_state()['state.body_q'][:, 1]",
    "hand, peg = state.body_twist.unbind(1)",
    "force = state.wrench[:, 0]",
    "force = before.gel_wrench[:, left]",
    "left, right = state.field.split(140, 1)",
    "out = state.emitted[:, 0]",
    "state = state.replace(x=x, body_q=poses)",
    "row = world.bodies['peg'].index",
    "row = world.body_names.index('peg')",
    "name = world.body_names[2]",
    "peg = list(world.bodies.values())[2]",
    "gel = tuple(world.gels)[0]",
    "gel = next(iter(world.gels.values()))",
    "rows = {name: row for row, name in enumerate(world.bodies)}",
    "control = Control(goal=goals)",
    "control.goal[:, 0] = pose",
])  # fmt: skip
def test_the_lint_sees_numbers(source: str) -> None:
    assert by_number(source)


@pytest.mark.parametrize("source", [
    "peg = world.bodies['peg'].pose(state)[:, :3]",
    "force = world.colliders[name].wrench(state)[:, :3]",
    "field = world.gels[f'{side}'].field(state)[..., 2]",
    "tool = world.bodies[self.tool].pose(state)",
    "out = world.emitters['milk'].emitted(state)",
    "x = state.x[:, world.particle_groups['milk'], 2]",
    "joints = state.joint_q[:, :4]",
    "seen = {'wrench': world.gels['gel'].wrench(state), 'field': 1}",
    "w = observation['wrench']",
    "fields = torch.cat([gel.field(state) for gel in world.gels.values()], 1)",
    "def control(self, world, state, action, episode) -> Control: ...",
    "state = state.replace(memory=action)",
    "for k, row in enumerate(rows): ...",
])  # fmt: skip
def test_the_lint_lets_names_pass(source: str) -> None:
    assert by_number(source) == []


@pytest.mark.parametrize("name", ZOO)
def test_every_declared_field_is_known_to_the_lint(name: str) -> None:
    """A field of a new solver is put into one of the two, which decides whether a task may read it as it is."""
    world = ZOO[name].scene().make_world(1)
    fields = set(world.fields)
    world.close()
    assert not BY_NAME.keys() & WHOLE
    assert fields <= BY_NAME.keys() | WHOLE, f"unknown: {fields - BY_NAME.keys() - WHOLE}"
