# SPDX-License-Identifier: Apache-2.0
"""What README, pages and the task templates use is public: on the API page, and in the ``__all__`` of its module."""

import ast
import importlib
import re

import pytest

from tests.docs import pages

MODULES = pages.public_modules()
EXAMPLES = [
    (block.name, block.text)
    for page, text in pages.pages().items()
    for block in pages.blocks(page, text)
    if block.language == "python"
]
for _file in sorted((pages.ROOT / "tasks").glob("template*.py")):
    EXAMPLES.append((f"tasks/{_file.name}", _file.read_text(encoding="utf-8")))


def _uses(source: str) -> list[tuple[str, str]]:
    """(module, name) of everything of simenv that is imported, or reached as ``simenv.name``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "simenv":
            found += [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names if alias.name.startswith("simenv.")]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "simenv":
            found.append(("simenv", node.attr))
    return found


def _is_public(module: str, name: str) -> bool:
    if f"{module}.{name}" in MODULES:  # a module of a package
        return True
    return module in MODULES and (not name or name in pages.public_names(module))


def test_a_private_name_would_be_seen() -> None:
    source = "import simenv\nfrom simenv.world import Scene, checks\nfrom simenv.envs import observations\nsimenv._x"
    assert [_is_public(*use) for use in _uses(source)] == [True, False, True, False]


@pytest.mark.parametrize(("place", "source"), EXAMPLES, ids=[place for place, _ in EXAMPLES])
def test_examples_use_public_names(place: str, source: str) -> None:
    private = [".".join(use) for use in _uses(source) if not _is_public(*use)]
    assert not private, f"{place} uses {private}; import them from where docs/api.md has them, or publish them there"


@pytest.mark.parametrize("module", MODULES)
def test_public_names_exist(module: str) -> None:
    extra = {"simenv.envs.sb3": "stable_baselines3", "simenv.envs.rsl_rl": "rsl_rl"}.get(module)
    if extra is not None:
        pytest.importorskip(extra)
    loaded = importlib.import_module(module)
    assert loaded.__all__ and loaded.__doc__
    assert sorted(set(loaded.__all__)) == sorted(loaded.__all__)
    for name in loaded.__all__:
        assert name == "__version__" or getattr(loaded, name).__doc__, f"{module}.{name} has no docstring"


def test_names_in_running_text_are_public() -> None:
    """``simenv.a.b`` in code type names a module, or what is in one, of the API page."""
    elsewhere = ("simenv.tasks", "simenv.scripts")  # told on their own pages
    private = []
    for page, text in pages.pages().items():
        for name in re.findall(r"`(simenv(?:\.\w+)+)(?:\(.*?\))?`", text):
            if not name.startswith(elsewhere) and name not in MODULES and not _is_public(*name.rsplit(".", 1)):
                private.append(f"{page}: {name}")
    assert not private
