# SPDX-License-Identifier: Apache-2.0
"""What is said about installing: the distribution's own name, commands that are true where they are read, extras that
code uses.
"""

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from simenv import _extras
from simenv.scripts import cli
from tests.contract import source_rules as rules

PROJECT = tomllib.loads((rules.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


class Installed:
    """A distribution as `importlib.metadata` gives it, with the record of where it was installed from (PEP 610)."""

    def __init__(self, source: dict | None) -> None:
        self.source = source

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self.source is None else json.dumps(self.source)


def install(monkeypatch: pytest.MonkeyPatch, source: dict | None) -> None:
    monkeypatch.setattr(metadata, "distribution", lambda name: {_extras.DISTRIBUTION: Installed(source)}[name])


def test_the_name_is_that_of_the_project_and_not_that_of_another() -> None:
    assert PROJECT["name"] == _extras.DISTRIBUTION != "simenv"


def test_a_wheel_is_told_the_distribution_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, None)
    monkeypatch.setattr(_extras, "__file__", "/site-packages/simenv/_extras.py")
    error = _extras.missing("cma", "search", "CMA-ES")
    assert str(error) == ("CMA-ES needs the package cma, which is not installed: pip install 'simenv-physics[search]'")
    install(monkeypatch, {"url": "file:///tmp/simenv.whl", "archive_info": {}})
    assert _extras.install_command("rl") == "pip install 'simenv-physics[rl]'"


def test_an_editable_clone_is_told_to_install_from_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clone = tmp_path / "my clone"
    clone.mkdir()
    (clone / "pyproject.toml").touch()
    install(monkeypatch, {"url": clone.as_uri(), "dir_info": {"editable": True}})
    assert _extras.install_command("rl") == f"cd '{clone}' && pip install -c constraints.txt -e '.[rl]'"
    install(monkeypatch, {"url": (tmp_path / "gone").as_uri(), "dir_info": {"editable": True}})
    assert _extras.install_command("rl") == "pip install 'simenv-physics[rl]'"


def test_a_second_distribution_of_the_package_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def put(name: str, record: bool) -> None:
        folder = tmp_path / f"{name}-1.5.dist-info"
        folder.mkdir(exist_ok=True)
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: 1.5\n")
        if record:
            (folder / "RECORD").touch()

    found = metadata.distributions
    monkeypatch.setattr(metadata, "distributions", lambda name: found(name=name, path=[str(tmp_path)]))
    put("simenv_physics", record=True)
    assert _extras.rival() is None
    put("simenv", record=False)  # left in a source tree
    assert _extras.rival() is None
    put("simenv", record=True)
    assert _extras.rival() == "1.5"


def test_sources_that_were_not_installed_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    assert _extras.install_command("rl").startswith(f"cd {rules.ROOT} && pip install -c constraints.txt -e")


def test_the_command_line_names_the_extra_that_brings_a_package(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f'{each}; extra == "{extra}"' for extra, listed in EXTRAS.items() for each in listed]
    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy>=1.26", *lines])
    assert _extras.extra_of("cma") == "search" and _extras.extra_of("stable_baselines3") == "rl"
    assert _extras.extra_of("numpy") is None and _extras.extra_of("nowhere") is None

    def dispatch(arguments: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'cma'", name=arguments[0])

    monkeypatch.setattr(cli, "_dispatch", dispatch)
    assert cli.main(["cma"]) == 2 and "[search]'" in capsys.readouterr().err
    assert cli.main(["nowhere"]) == 2 and "pip install nowhere" in capsys.readouterr().err


# module -> (package, extra, code that needs it); one process tries them all
OPTIONAL = (
    ("stable_baselines3", "stable-baselines3", "rl", "import simenv.envs.sb3"),
    ("rsl_rl", "rsl-rl-lib", "rl", "import simenv.envs.rsl_rl"),
    (
        "stable_baselines3", "stable-baselines3", "rl",
        "from simenv.agents.sb3 import *; make_model(None, PPOConfig())",
    ),
    ("cma", "cma", "search", "from simenv._search import cma_strategy; cma_strategy([0.0], 1.0, 0.0, 1.0, 0)"),
    ("minari", "minari", "data", "from simenv.rollouts.export import export_minari; export_minari([], 'a/b-v0')"),
)  # fmt: skip
BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
for code in {codes!r}:
    try:
        exec(code)
    except ImportError as error:
        print(error)
"""


def test_each_optional_package_is_asked_for_in_the_same_words() -> None:
    blocked, packages, extras, codes = zip(*OPTIONAL, strict=True)
    program = BLOCKED.format(blocked=blocked, codes=codes)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    for line, package, extra in zip(lines, packages, extras, strict=True):
        assert f"needs the package {package}, which is not installed: " in line and line.endswith(f"[{extra}]'")
        assert package in {re.split("[<>=]", requirement)[0] for requirement in EXTRAS[extra]}


def test_no_page_and_no_message_names_the_other_project() -> None:
    """`simenv[extra]` or `pip install simenv` anywhere would bring it."""
    wrong = re.compile(r"simenv\[|pip install (-\S+ )*'?simenv\b(?!-physics)")
    assert wrong.search("pip install 'simenv[rl]'") and wrong.search("pip install simenv")
    pages = [*rules.ROOT.glob("*.md"), *(rules.ROOT / "docs").rglob("*.md")]
    for path in [*rules.shipped_files(), *(page for page in pages if page.name != "CHANGELOG.md")]:
        text = path.read_text(encoding="utf-8")
        found = [line for line in text.splitlines() if wrong.search(line) and path.name != "_extras.py"]
        assert not found, f"{path.relative_to(rules.ROOT)}: {found}"


# These are used as programs, by other packages, or by tests and documentation only.
NOT_IMPORTED = {"tensorboard", "taxim", "pillow"}


def test_every_extra_is_used_by_code() -> None:
    """An extra that no code imports does not exist (`dev` is tools)."""
    imported = {name for path in rules.shipped_files() for name in rules.third_party(path.read_text(encoding="utf-8"))}
    names = {"stable-baselines3": "stable_baselines3", "rsl-rl-lib": "rsl_rl", "warp-lang": "warp", "pillow": "PIL"}
    listed = [*PROJECT["dependencies"], *(each for extra, all_ in EXTRAS.items() if extra != "dev" for each in all_)]
    for requirement in listed:
        name = re.split("[<>=]", requirement)[0]
        module = names.get(name, name.replace("-", "_"))
        assert module in imported or name in NOT_IMPORTED, f"{name} is required and no file imports it"
