# SPDX-License-Identifier: Apache-2.0
"""Fill build/docs: the pages in docs/, and pages made from the code, so that they cannot disagree with it.

From the registry: one page per task, and README's table of them, which is written into README. From the command line:
its help texts. From ``simenv.physics.status``: the status bits. From the top of the repository: README, CONTRIBUTING,
SECURITY and CHANGELOG, with their links adjusted.
"""

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium

import simenv
from simenv import _registry
from simenv.envs.randomisation import randomisation_table
from simenv.scripts.cli import COMMANDS
from simenv.scripts.list_tasks import rows_of_tasks

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "docs"
PACKAGE = ROOT / "build" / "docs_package"  # simenv as it is installed, with the folders that lie beside it

TOP_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
RESULTS_MARK = "<!-- results -->"
_TASKS = re.compile(r"<!-- tasks -->\n(.*?)<!-- /tasks -->", re.S)
_LINK = re.compile(r"(?P<bang>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def adjust_links(text: str) -> str:
    """Rewrite the links of a page that moves from the top of the repository into the site.

    Links to pages of the site follow them; links to other files of the repository, which the site lacks, become their
    text.

    Args:
        text: Markdown.

    Returns:
        The same page for the site.
    """

    def rewrite(match: re.Match[str]) -> str:
        target, anchor = (match["target"].split("#", 1) + [""])[:2]
        anchor = f"#{anchor}" if anchor else ""
        if "://" in target or target.startswith("mailto:") or not target:
            return match[0]
        if target in TOP_PAGES:
            return f"[{match['text']}]({TOP_PAGES[target]}{anchor})"
        inside = target.removeprefix("docs/")
        if inside != target and (ROOT / target).is_file():
            return f"{match['bang']}[{match['text']}]({inside}{anchor})"
        return match["text"]

    return _LINK.sub(rewrite, text)


def slug(task_id: str) -> str:
    """File name of a task's page: ``SimEnv/LatteArt-v0`` becomes ``latte_art_v0``."""
    name = task_id.rpartition("/")[2].replace("-", "_")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def picture(name: str) -> list[str]:
    """Markdown lines that show a task, from ``docs/images/<its_name>.png``; none if there is no such file."""
    file = f"{slug(name)}.png"
    if not (ROOT / "docs" / "images" / file).is_file():
        return []
    return [f"![{name}, moments of an episode](../images/{file})", ""]


def action_words(names: tuple[str, ...]) -> str:
    """Names of actions in few words: ``goal x``, ``goal y``, ``tilt`` become ``goal x, y; tilt``."""
    groups: list[list[str]] = []
    for name in names:
        stem, _, last = name.rpartition(" ")
        if stem and groups and groups[-1][0].rpartition(" ")[0] == stem:
            groups[-1].append(last)
        else:
            groups.append([name])
    return "; ".join(", ".join(group) for group in groups)


def table_of_tasks() -> str:
    """README's table of the built-in tasks, in the order of ``simenv/__init__.py``."""
    told = {row["id"]: row["description"] for row in rows_of_tasks()}
    lines = ["| id | what | actions | steps |", "|---|---|---|---|"]
    for task_id, (_, steps) in simenv._BUILTIN_TASKS.items():
        actions = action_words(tuple(name for name, _ in _registry.load_task(task_id).action_names))
        text = told[task_id]
        lines.append(f"| `{task_id}` | {text[0].lower()}{text[1:]} | {actions} | {steps} |")
    return "\n".join(lines)


def with_tasks(readme: str) -> str:
    """README with the present table of tasks.

    Raises:
        ValueError: It lacks the marks between which the table lies.
    """
    parts = _TASKS.split(readme)
    if len(parts) != 3:
        raise ValueError("README.md needs one line <!-- tasks --> above its table of tasks and <!-- /tasks --> below.")
    return f"{parts[0]}<!-- tasks -->\n\n{table_of_tasks()}\n\n<!-- /tasks -->{parts[2]}"


def task_page(task_id: str) -> str:
    """The page of one task: its docstring, and what the class declares.

    Raises:
        ValueError: If the class has no docstring.
    """
    entry, cls = _registry.TASKS[task_id], _registry.load_task(task_id)
    if not cls.__doc__:
        raise ValueError(f"{entry.entry_point} has no docstring; write one with Gymnasium's headings.")
    example = ["import gymnasium as gym", "import simenv", "", f'env = gym.make("{task_id}")']
    example.append("observation, info = env.reset(seed=0)")
    lines = [f"# {cls.__name__}", "", *picture(cls.__name__), "```python", *example, "```", ""]
    lines += ["| | |", "|---|---|", f"| id | `{task_id}` |", f"| class | `{entry.entry_point}` |"]
    lines += [f"| control steps per episode | {entry.max_episode_steps} |"]
    blocks = [mode for mode in cls.observation_modes if "+" not in mode]
    joined = " and many of these joined by `+`" if len(blocks) < len(cls.observation_modes) else ""
    lines += [f"| observation modes | {', '.join(f'`{mode}`' for mode in blocks)}{joined} |", ""]
    lines += ["| action | minimum | maximum | unit |", "|---|---|---|---|"]
    for (name, unit), low, high in zip(cls.action_names, *cls.action_limits, strict=True):
        lines.append(f"| {name} | {low:g} | {high:g} | {unit} |")
    if ranges := cls().randomisation():
        lines += ["", "With `randomize=True` each episode draws", "", *randomisation_table(ranges)]
    return "\n".join([*lines, "", inspect.cleandoc(cls.__doc__), ""])


def write_tasks() -> None:
    """One page per registered task, and their index."""
    folder = OUT / "tasks"
    folder.mkdir(parents=True, exist_ok=True)
    index = ["# Tasks", "", "| task | id | control steps |", "|---|---|---|"]
    for task_id in simenv.list_tasks():
        (folder / f"{slug(task_id)}.md").write_text(task_page(task_id), encoding="utf-8")
        name = _registry.load_task(task_id).__name__
        steps = gymnasium.spec(task_id).max_episode_steps
        index.append(f"| [{name}]({slug(task_id)}.md) | `{task_id}` | {steps} |")
    for task_id in simenv.list_tasks():
        index += ["", *picture(_registry.load_task(task_id).__name__)]
    (folder / "index.md").write_text("\n".join(index) + "\n", encoding="utf-8")


def write_command_line() -> None:
    """The help texts of ``simenv`` and of its subcommands."""
    environment = {**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100"}
    page = ["# Options of each command", ""]
    for command in ((), *((name,) for name in COMMANDS)):
        arguments = [sys.executable, "-m", "simenv.scripts.cli", *command, "--help"]
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=True)
        if not done.stdout.strip():
            raise ValueError(f"{' '.join(arguments)} printed nothing; the page would be empty.")
        page += [f"## simenv {' '.join(command)}".rstrip(), "", "```text", done.stdout.rstrip(), "```", ""]
    (OUT / "cli_options.md").write_text("\n".join(page), encoding="utf-8")


def write_status() -> None:
    """The table of status bits."""
    from simenv.physics.status import STATUS

    page = [
        "# Status bits",
        "",
        'After each control step every world has a bitmask, `info["sim_status"]`. Zero means that the step is sound. '
        "A world whose bitmask is not zero keeps its last good state and is terminated alone; the others are left as "
        "they are.",
        "",
        "| bit | name | cause | remedy |",
        "|---|---|---|---|",
    ]
    page += [f"| {int(bit)} | `{name}` | {cause} | {remedy} |" for bit, (name, cause, remedy) in STATUS.items()]
    (OUT / "status.md").write_text("\n".join(page) + "\n", encoding="utf-8")


def write_performance() -> None:
    """The newest measurements of speed in benchmarks/results, in the place that the page has for them."""
    page = OUT / "performance.md"
    text = page.read_text(encoding="utf-8")
    if text.count(RESULTS_MARK) != 1:
        raise ValueError(f"docs/performance.md has {text.count(RESULTS_MARK)} lines {RESULTS_MARK}; it needs one.")
    results = []
    tables = (ROOT / "benchmarks" / "results").glob("*.md")
    for table in sorted(table for table in tables if not table.name.startswith("touch_")):  # those are in learning.md
        chart = table.with_suffix(".png")
        if chart.is_file():
            shutil.copy(chart, OUT / "images" / chart.name)
            results += [f"![time of a substep, by program](images/{chart.name})", ""]
        results += [table.read_text(encoding="utf-8").strip(), ""]
    text = text.replace(RESULTS_MARK, "\n".join(results) or "No results are committed.")
    page.write_text(text, encoding="utf-8")


def link_package() -> None:
    """Lay out simenv as pyproject.toml maps it, for the API page: that is read from files, not imported."""
    shutil.rmtree(PACKAGE, ignore_errors=True)
    (PACKAGE / "simenv").mkdir(parents=True)
    beside = (ROOT / name for name in ("agents", "assets", "scripts", "tasks"))
    for source in (*(ROOT / "simenv").iterdir(), *beside):
        if source.name != "__pycache__":
            (PACKAGE / "simenv" / source.name).symlink_to(source)


def main() -> None:
    """Bring README's table of tasks up to date; fill build/docs from scratch."""
    readme = ROOT / "README.md"
    readme.write_text(with_tasks(readme.read_text(encoding="utf-8")), encoding="utf-8")
    link_package()
    shutil.rmtree(OUT, ignore_errors=True)
    shutil.copytree(ROOT / "docs", OUT, ignore=shutil.ignore_patterns("_gen", "__pycache__"))
    for source, page in TOP_PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        (OUT / page).write_text(adjust_links(text), encoding="utf-8")
    write_tasks()
    write_command_line()
    write_status()
    write_performance()


if __name__ == "__main__":
    main()
