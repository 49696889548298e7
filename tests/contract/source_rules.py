# SPDX-License-Identifier: Apache-2.0
"""Rules about imports and unsafe calls, checked by syntax tree. ``test_imports.py`` applies them to every file.

Folders outside ``simenv/`` are known by the name they are installed under: ``tasks/fluids/pouring.py`` is
``simenv.tasks.fluids.pouring``.
"""

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUTER_FOLDERS = ("tasks", "agents", "assets", "scripts")

# What each layer may import, besides itself and LIGHT. The table of the architecture document, spelled out.
_PHYSICS = {"geometry", "physics"}
_WORLD = _PHYSICS | {"sensors", "robots", "world"}
_ENVS = _WORLD | {"render", "envs"}
ALLOWED: dict[str, set[str]] = {
    "geometry": set(),
    "physics": {"geometry"},
    "sensors": _PHYSICS | {"assets"},  # calibrations are data
    "robots": _PHYSICS | {"assets"},  # the robots that come with simenv
    "world": _PHYSICS | {"sensors", "robots"},
    "render": _WORLD,
    "envs": _WORLD | {"render"},  # for render_mode; rendering itself knows nothing of environments
    "rollouts": _ENVS,
    "tasks": _ENVS | {"assets"},
    "agents": _ENVS | {"rollouts"},
    "assets": {"geometry"},  # for the scripts that make meshes
    "scripts": _ENVS | {"rollouts", "tasks", "agents", "assets"},
}
# Modules directly in simenv/, which every layer may import; the second set is for environments and above.
LIGHT = {"errors", "_debug", "_exclusive", "_extras", "_files", "_recording", "_search", "_threads", "_warp"}
REGISTRY = {"_registry"}
ABOVE_WORLD = {"envs", "rollouts", "render", "tasks", "agents", "scripts"}

# Third-party packages a layer is limited to.
ONLY_PACKAGES = {"geometry": {"warp", "numpy", "trimesh"}}

_TASK_NAME = re.compile(r"\bSimEnv/[A-Z]\w*-v\d+|\bsimenv\.tasks\b")
_PICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


def module_name(path: Path) -> str:
    """Dotted name a file of the repository is imported by."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[0] in OUTER_FOLDERS:
        parts.insert(0, "simenv")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def shipped_files() -> list[Path]:
    """Every Python file that is installed."""
    return sorted(f for folder in ("simenv", *OUTER_FOLDERS) for f in (ROOT / folder).rglob("*.py"))


def imported_modules(tree: ast.Module, module: str, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """All imports of a file, at any depth, as (line, dotted name); ``from a import b`` gives ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")
                keep = len(package) - node.level + (1 if is_package else 0)
                base = ".".join([*package[:keep], *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def import_violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """Imports of ``module`` that its layer forbids.

    Args:
        source: Python source.
        module: Its dotted name, such as ``"simenv.world.world"``.
        is_package: Whether the file is an ``__init__.py``.

    Returns:
        One message per violation.
    """
    parts = module.split(".")
    layer = parts[1] if len(parts) > 1 and parts[1] in ALLOWED else None
    found = []
    for line, name in imported_modules(ast.parse(source), module, is_package):
        package, _, rest = name.partition(".")
        target = rest.split(".")[0]
        where = f"{module}:{line} imports {name}"
        if package in OUTER_FOLDERS:
            found.append(f"{where}: say simenv.{name}, the name it is installed under")
        elif package == "tests":
            found.append(f"{where}: installed code cannot import tests")
        elif package == "simenv" and layer is None:
            if target in ALLOWED and not _only_for_types(source, line):
                found.append(f"{where}: the top of simenv stays light; import it when it is used")
        elif package == "simenv" and target in ALLOWED:
            if target != layer and target not in ALLOWED[layer]:
                found.append(f"{where}: {layer} may import {', '.join(sorted(ALLOWED[layer])) or 'no other layer'}")
        elif package == "simenv" and target and target not in LIGHT:
            if layer not in ABOVE_WORLD:
                found.append(f"{where}: below environments only {', '.join(sorted(LIGHT))} may be imported from simenv")
        elif (
            package != "simenv"
            and package not in sys.stdlib_module_names
            and package not in ONLY_PACKAGES.get(layer, {package})
        ):
            found.append(f"{where}: {layer} is limited to {', '.join(sorted(ONLY_PACKAGES[layer]))}")
    return found


def _only_for_types(source: str, line: int) -> bool:
    """Whether the line stands under ``if TYPE_CHECKING:``."""
    return any(first < line <= last for first, last in _typed_lines(source))


@functools.cache
def _typed_lines(source: str) -> list[tuple[int, int]]:
    return [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    ]


def import_circles(sources: dict[str, tuple[str, bool]]) -> list[list[str]]:
    """Modules that import each other, at any depth: an import inside a function hides a circle, it does not open it.

    Args:
        sources: Module -> its source, and whether it is an ``__init__.py``. Imports of other modules count for nothing,
            nor do those under ``if TYPE_CHECKING:``.

    Returns:
        Each circle once, as the modules along it.
    """

    def target(name: str) -> str:
        while name and name not in sources:
            name = name.rpartition(".")[0]
        return name

    edges = {
        module: {
            target(name)
            for line, name in imported_modules(ast.parse(source), module, is_package)
            if not _only_for_types(source, line)
        }
        - {"", module}
        for module, (source, is_package) in sources.items()
    }
    circles, done = [], set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            circles.append(path[path.index(module) :])
        elif module not in done:
            for each in sorted(edges[module]):
                visit(each, [*path, module])
            done.add(module)

    for module in sorted(edges):
        visit(module, [])
    return circles


def third_party(source: str) -> set[str]:
    """Top-level names of the packages a file imports that are neither simenv nor of the standard library."""
    names = {name.partition(".")[0] for _, name in imported_modules(ast.parse(source), "simenv.x")}
    return names - {"simenv", "tests", *OUTER_FOLDERS} - set(sys.stdlib_module_names)


def named_tasks(source: str) -> list[str]:
    """Task ids and task modules named in a file's strings, docstrings apart."""
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        f"line {node.lineno}: {node.value!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
        and _TASK_NAME.search(node.value)
    ]


def unsafe_calls(source: str) -> list[str]:
    """Whatever can run code that a file contains: unpickling, ``eval``, ``exec``, unsafe YAML, a shell."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"line {node.lineno}: import {n}" for n in names if n.partition(".")[0] in _PICKLERS]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
            unsafe = called in {"eval", "exec", "torch.load", "os.system", "yaml.load", "yaml.unsafe_load"}
            unsafe |= called.endswith("load") and keywords.get("allow_pickle", "False") != "False"
            unsafe |= called.startswith("subprocess.") and keywords.get("shell", "False") != "False"
            if unsafe:
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found
