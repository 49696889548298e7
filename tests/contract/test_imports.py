# SPDX-License-Identifier: Apache-2.0
"""The structure of the code: who imports whom, how light ``import simenv`` is, what is packaged, and nothing that
unpickles.

Each rule is first shown to catch a bad snippet, then applied to every file.
"""

import ast
import json
import re
import statistics
import subprocess
import sys
import tomllib

import pytest

import simenv
from tests.contract import source_rules as rules

PROJECT = tomllib.loads((rules.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FILES = rules.shipped_files()

# Distribution names that differ from what is imported.
IMPORT_NAMES = {"warp-lang": "warp", "pillow": "PIL", "stable-baselines3": "stable_baselines3", "rsl-rl-lib": "rsl_rl"}
IMPORT_NAMES |= {"imageio-ffmpeg": "imageio_ffmpeg"}

NO_CIRCLES = (
    "simenv", "simenv/geometry", "simenv/physics", "simenv/sensors", "simenv/robots", "simenv/world", "simenv/render",
    "simenv/envs", "simenv/rollouts", "agents", "scripts", "tasks",
)  # fmt: skip


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("simenv.geometry.shapes", "import torch"),
        ("simenv.geometry.shapes", "from simenv.physics import mpm"),
        ("simenv.physics.mpm.solver", "import simenv.world"),
        ("simenv.physics.mpm.solver", "from simenv._registry import TASKS"),
        ("simenv.world.world", "def f():\n    from simenv.envs.task import Task"),
        ("simenv.world.world", "from ..envs import task"),
        ("simenv.envs.task", "from simenv.tasks.fluids import pouring"),
        ("simenv.envs.task", "from simenv import rollouts"),
        ("simenv.envs.task", "import agents.ppo"),
        ("simenv.render.frames", "from simenv.envs import Task"),
        ("simenv.tasks.fluids.pouring", "from simenv.agents import ppo"),
        ("simenv.agents.ppo", "from simenv.scripts.cli import main"),
        ("simenv.assets", "import simenv.world"),
        ("simenv.scripts.cli", "import tests.contract"),
        ("simenv._registry", "from simenv.envs.task import Task"),
    ],
)
def test_a_forbidden_import_is_seen(module: str, source: str) -> None:
    assert len(rules.import_violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "simenv.geometry.shapes",
            "import math\nimport numpy as np\nimport warp as wp\nfrom simenv.errors import AssetError",
        ),
        (
            "simenv.physics.mpm.solver",
            "from simenv.geometry.svd import polar\nfrom simenv.physics.mpm import kernels_p2g",
        ),
        ("simenv.world.world", "from simenv._threads import get_num_threads\nfrom . import state"),
        ("simenv.envs.registration", "from simenv import _registry\nfrom simenv.world import World"),
        ("simenv.scripts.cli", "from simenv.agents import ppo\nimport simenv"),
        (
            "simenv._registry",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from simenv.envs.task import Task",
        ),
    ],
)
def test_allowed_imports_pass(module: str, source: str) -> None:
    assert rules.import_violations(source, module) == []


def test_imports_point_down() -> None:
    found = [
        message
        for path in FILES
        for message in rules.import_violations(
            path.read_text(encoding="utf-8"), rules.module_name(path), path.name == "__init__.py"
        )
    ]
    assert not found, "\n".join(found)


def test_a_circle_is_seen() -> None:
    ahead = "from simenv.envs import b"
    hidden = "def f():\n    from simenv.envs.a import g"
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from simenv.envs.a import g"

    def circles(a: str, b: str) -> list[list[str]]:
        return rules.import_circles(
            {"simenv.envs.a": (a, False), "simenv.envs.b": (b, False), "simenv.envs": ("", True)}
        )

    assert circles(ahead, hidden) == [["simenv.envs.a", "simenv.envs.b"]]
    assert circles(ahead, "import simenv.envs.a") == [["simenv.envs.a", "simenv.envs.b"]]
    assert circles(ahead, typed) == [] and circles(ahead, "import torch") == []


@pytest.mark.parametrize("folder", NO_CIRCLES)
def test_no_module_imports_itself_by_way_of_others(folder: str) -> None:
    files = [file for file in FILES if (rules.ROOT / folder) in file.parents]
    sources = {rules.module_name(f): (f.read_text(encoding="utf-8"), f.name == "__init__.py") for f in files}
    assert len(sources) > 3 and rules.import_circles(sources) == []


def test_third_party_imports_are_declared() -> None:
    assert rules.third_party("import os, torch\nfrom warp.types import array\nimport simenv.world") == {"torch", "warp"}
    project = PROJECT["project"]
    requirements = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    distributions = {re.split(r"[<>=!~\[ ]", r)[0] for r in requirements}
    declared = {IMPORT_NAMES.get(d, d) for d in distributions}
    for path in FILES:
        undeclared = rules.third_party(path.read_text(encoding="utf-8")) - declared
        assert not undeclared, (
            f"{path.relative_to(rules.ROOT)} imports {sorted(undeclared)}; declare them in pyproject.toml"
        )


def test_only_the_top_of_simenv_names_tasks() -> None:
    assert rules.named_tasks('"""SimEnv/Pouring-v0"""\nx = 1') == []
    assert len(rules.named_tasks('x = "SimEnv/Pouring-v0"\nimport_module("simenv.tasks.fluids")')) == 2
    top = rules.ROOT / "simenv" / "__init__.py"
    for path in (rules.ROOT / "simenv").rglob("*.py"):
        if path != top:
            found = rules.named_tasks(path.read_text(encoding="utf-8"))
            assert not found, f"{path.relative_to(rules.ROOT)} names tasks: {found}"


def _decorated_tasks() -> dict[str, tuple[str, int]]:
    """``register_task`` decorators under tasks/, templates apart: id -> (entry point, control steps per episode)."""
    found = {}
    for path in (rules.ROOT / "tasks").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for decorator in node.decorator_list if isinstance(node, ast.ClassDef) else ():
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("register_task"):
                    arguments = [ast.literal_eval(a) for a in decorator.args]
                    keywords = {k.arg: ast.literal_eval(k.value) for k in decorator.keywords}
                    task_id, steps = (
                        [*arguments, *keywords.values()][:2]
                        if arguments
                        else (
                            keywords["task_id"],
                            keywords["max_episode_steps"],
                        )
                    )
                    if task_id.startswith("SimEnv/") and path.name != "template.py":
                        found[task_id] = (f"{rules.module_name(path)}:{node.name}", steps)
    return found


def test_the_task_table_matches_the_decorators() -> None:
    """Both ways: no task file is forgotten in the table, no row lacks its file, and the time limits agree."""
    assert _decorated_tasks() == simenv._BUILTIN_TASKS
    assert set(simenv.list_tasks()) >= set(simenv._BUILTIN_TASKS)


HEAVY = ("torch", "warp", "newton", "scipy", "matplotlib", "trimesh", "h5py", "rich", "tyro", "stable_baselines3")
_MEASURE = """
import json, sys, time
start = time.process_time()
import simenv
seconds = time.process_time() - start
print(json.dumps({"cpu_seconds": seconds, "modules": sorted({m.partition(".")[0] for m in sys.modules})}))
"""


def _import_in_fresh_process(code: str) -> dict:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=rules.ROOT)
    return json.loads(done.stdout)


def test_import_is_light() -> None:
    """``import simenv`` loads nothing heavy and needs less than 0.5 s of processor time (not of wall clock, which
    others share).
    """
    runs = [_import_in_fresh_process(_MEASURE) for _ in range(3)]
    assert set(HEAVY).isdisjoint(runs[0]["modules"])
    assert statistics.median(r["cpu_seconds"] for r in runs) < 0.5


def test_a_heavy_import_would_be_seen() -> None:
    modules = _import_in_fresh_process(_MEASURE.replace("import simenv", "import simenv, trimesh"))["modules"]
    assert not set(HEAVY).isdisjoint(modules)


def test_the_outer_folders_are_not_installed_under_bare_names() -> None:
    code = "import importlib.util as u, json; print(json.dumps([n for n in {names} if u.find_spec(n)]))"
    code = code.format(names=list(rules.OUTER_FOLDERS))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert json.loads(done.stdout) == []
    for folder in rules.OUTER_FOLDERS:
        assert f"simenv.{folder}" in PROJECT["tool"]["setuptools"]["packages"]


def test_every_package_is_listed_for_installation() -> None:
    on_disk = {rules.module_name(p) for p in FILES if p.name == "__init__.py"}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == on_disk
    folders = {p.parent for p in FILES}
    assert not [f for f in folders if not (f / "__init__.py").exists()], "a folder with modules needs an __init__.py"


def test_version_is_the_same_everywhere() -> None:
    assert simenv.__version__ == PROJECT["project"]["version"]
    assert f"[{simenv.__version__}]" in (rules.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from cloudpickle import loads",
        "import torch\ntorch.load('x.pt')",
        "eval('1')",
        "exec('x = 1')",
        "import numpy as np\nnp.load('x.npy', allow_pickle=True)",
        "import yaml\nyaml.load(text)",
        "import subprocess\nsubprocess.run('ls', shell=True)",
    ],
)
def test_an_unsafe_call_is_seen(source: str) -> None:
    assert len(rules.unsafe_calls(source)) == 1


def test_safe_calls_pass() -> None:
    assert (
        rules.unsafe_calls("model.eval()\nnp.load('x.npy')\nnp.load('x.npy', allow_pickle=False)\njson.load(f)") == []
    )


def test_nothing_in_the_tree_unpickles_or_evaluates() -> None:
    for path in FILES:
        found = rules.unsafe_calls(path.read_text(encoding="utf-8"))
        assert not found, f"{path.relative_to(rules.ROOT)}: {found}"


def test_every_file_names_its_licence() -> None:
    for path in [*FILES, *(rules.ROOT / "tests").rglob("*.py")]:
        first = path.read_text(encoding="utf-8").split("\n", 2)[:2]
        assert any(line.startswith("# SPDX-License-Identifier: Apache-2.0") for line in first), path.relative_to(
            rules.ROOT
        )
