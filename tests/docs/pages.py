# SPDX-License-Identifier: Apache-2.0
"""The code blocks of the documentation, with what comments in the page say about them."""

import ast
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
# A comment before a block, invisible on the page: `<!-- slow -->`, `<!-- needs PACKAGE -->`.
_BLOCK = re.compile(r"^(?:<!-- (?P<notes>[^\n]*) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.S | re.M)
_INLINE = re.compile(r"`(simenv [^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, line and language, its text, and the words of the comment above it."""

    page: str
    line: int
    language: str
    text: str
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Page and line, as editors write them."""
        return f"{self.page}:{self.line}"


def blocks(page: str, text: str) -> list[Block]:
    """All fenced blocks of a page."""
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("language")) + 1
        notes = tuple(note.strip() for note in (match["notes"] or "").split(",") if note.strip())
        found.append(Block(page, line, match["language"], match["text"], notes))
    return found


def generator() -> ModuleType:
    """docs/_gen/generate.py, which makes pages from the code."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "_gen" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages() -> dict[str, str]:
    """Name -> text of every page that is written by hand, and of the generated page of every task."""
    import simenv

    files = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").glob("*.md"))]
    texts = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files}
    make = generator()
    return texts | {f"tasks/{make.slug(task)}.md": make.task_page(task) for task in simenv._BUILTIN_TASKS}


def commands(page: str, text: str) -> list[tuple[str, str]]:
    """(place, command line) of every ``simenv ...`` in blocks that are not Python, and in running text."""
    found = [
        (f"{page}:{block.line + number}", line.split("#")[0].strip())
        for block in blocks(page, text)
        for number, line in enumerate(block.text.splitlines(), 1)
        if block.language in ("", "sh", "bash", "text") and line.startswith("simenv ")
    ]
    prose = _BLOCK.sub(lambda match: "\n" * match[0].count("\n"), text)
    found += [(f"{page}:{prose.count(chr(10), 0, match.start()) + 1}", match[1]) for match in _INLINE.finditer(prose)]
    return found


def public_modules() -> list[str]:
    """The modules of the API page. A function with its module's name has an entry of its own there, `a.name.name`."""
    entries = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.M)
    return [entry for entry in entries if len(entry.split(".")) < 3 or entry.split(".")[-1] != entry.split(".")[-2]]


def public_names(module: str) -> list[str]:
    """``__all__`` of a module, from its source, so that no extra need be installed."""
    parts = module.split(".")[1:]
    file = ROOT / "simenv" / Path(*parts)
    file = file if file.exists() or file.with_suffix(".py").exists() else ROOT / Path(*parts)
    source = (file / "__init__.py" if file.is_dir() else file.with_suffix(".py")).read_text(encoding="utf-8")
    (names,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    return names
