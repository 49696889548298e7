# SPDX-License-Identifier: Apache-2.0
"""The Python examples of the README run as they stand, and its links and tables fit the repository."""

import re
from pathlib import Path

import pytest

import simenv
from tests.docs import pages

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = {section.partition("\n")[0]: section for section in README.split("\n## ")[1:]}
EXAMPLES = {
    title: block for title, text in SECTIONS.items() for block in re.findall(r"```python\n(.*?)```", text, re.S)
}


def test_there_is_an_example_for_each_use() -> None:
    assert list(EXAMPLES) == ["Reinforcement learning", "Differentiable rollouts", "Recording and replay"]


@pytest.mark.parametrize("title", EXAMPLES)
def test_example_runs(title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # one of them writes into runs/
    names: dict = {}
    exec(compile(EXAMPLES[title], f"README.md, {title}", "exec"), names)
    if title == "Differentiable rollouts":
        assert names["actions"].grad.abs().max() > 0
        assert names["viscosity"].grad.isfinite().all()
    elif title == "Reinforcement learning":
        assert names["rewards"].shape == (4,)
        assert not names["info"]["sim_status"].any()
    else:
        assert len(names["episode"]) == 5


def test_links_lead_to_files() -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", README)
    assert len(targets) > 10
    assert [target for target in targets if "://" not in target and not (ROOT / target).is_file()] == []


def test_table_of_tasks_is_that_of_the_registry() -> None:
    assert sorted(re.findall(r"^\| `(SimEnv/\S+)` \|", README, re.M)) == sorted(simenv._BUILTIN_TASKS)
    assert pages.generator().with_tasks(README) == README, "run `make docs`, which writes it"


def test_actions_are_told_in_few_words() -> None:
    words = pages.generator().action_words
    assert words(("goal x", "goal y", "turn about x", "turn about z", "up", "down")) == (
        "goal x, y; turn about x, z; up; down"
    )
