# SPDX-License-Identifier: Apache-2.0
"""``simenv list``"""

import ast
import dataclasses
import importlib.util
import json


@dataclasses.dataclass(frozen=True)
class ListTasks:
    """List the environments with their episode length, and what each asks of an agent.

    `simenv info ID` tells more about one.
    """

    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        """Print the table."""
        rows = rows_of_tasks()
        if self.json:
            print(json.dumps(rows, indent=1))
            return 0
        from rich.console import Console
        from rich.table import Table

        table = Table("environment", "steps", "description", box=None, pad_edge=False)
        for row in rows:
            table.add_row(row["id"], str(row["max_episode_steps"]), row["description"])
        Console(soft_wrap=False).print(table)
        return 0


def rows_of_tasks() -> list[dict]:
    """id, max_episode_steps, entry_point and description of every registered task; imports none of them."""
    import simenv
    from simenv import _registry

    rows = []
    for task_id in simenv.list_tasks():
        entry = _registry.TASKS[task_id]
        summary = _summary(entry.entry_point)
        rows.append(
            {
                "id": task_id,
                "max_episode_steps": entry.max_episode_steps,
                "entry_point": entry.entry_point,
                "description": summary,
            }
        )
    return rows


def _summary(entry_point: str) -> str:
    """What is asked: the first sentence of the class docstring, headings apart. Read from the source, so that Warp and
    torch stay out.
    """
    module, _, name = entry_point.partition(":")
    try:
        spec = importlib.util.find_spec(module)
        if spec is None or not spec.origin:
            return "(module not found)"
        with open(spec.origin, encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except (ImportError, OSError, SyntaxError) as error:
        return f"({type(error).__name__}: {error})"
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            lines = (line.strip() for line in (ast.get_docstring(node) or "").splitlines())
            text = " ".join(line for line in lines if line and not line.startswith("#"))
            return text.split(". ")[0].rstrip(".")
    return ""
