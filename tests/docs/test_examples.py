# SPDX-License-Identifier: Apache-2.0
"""What the pages show runs when pasted: every Python block in an empty namespace and folder, every command's options.

A comment above a block, which the site does not show, says what the block needs: ``<!-- slow -->`` moves it to the slow
tests, ``<!-- needs PACKAGE -->`` skips it where an extra is not installed.
"""

import re
import shlex

import pytest

from simenv.scripts import cli
from tests.docs import pages

PAGES = pages.pages()
PYTHON = [block for page, text in PAGES.items() for block in pages.blocks(page, text) if block.language == "python"]
COMMANDS = {f"{place} {line}": line for page, text in PAGES.items() for place, line in pages.commands(page, text)}


def test_blocks_and_their_comments_are_found() -> None:
    text = "a `simenv info\nID`\n\n<!-- slow, needs x -->\n```python\nb = 1\n```\n\n```sh\nsimenv list # c\n```\n"
    python, shell = pages.blocks("page.md", text)
    assert (python.name, python.text, python.notes) == ("page.md:5", "b = 1\n", ("slow", "needs x"))
    assert (shell.language, shell.notes) == ("sh", ())
    assert pages.commands("page.md", text) == [("page.md:10", "simenv list"), ("page.md:1", "simenv info\nID")]
    assert len(PYTHON) > 30 and len(COMMANDS) > 40


def test_files_that_pages_name_are_there() -> None:
    named = re.compile(r"`((?:simenv|tasks|agents|assets|scripts|benchmarks|tests|docs)/[\w./*<>-]+)`")
    missing = []
    for page, text in PAGES.items():
        for path in named.findall(text):
            if "<" not in path and not any(pages.ROOT.glob(path.split("::")[0].rstrip("/"))):
                missing.append(f"{page}: {path}")
    assert not missing


def _parameter(block: pages.Block):
    return pytest.param(block, id=block.name, marks=[pytest.mark.slow] if "slow" in block.notes else [])


# those of the README run in tests/test_readme.py, which also looks at what they find
@pytest.mark.parametrize("block", [_parameter(block) for block in PYTHON if block.page != "README.md"])
def test_a_block_runs_as_pasted(block: pages.Block, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    for note in block.notes:
        if note.startswith("needs "):
            pytest.importorskip(note.removeprefix("needs "))
        else:
            assert note == "slow", f"{block.name}: <!-- {note} --> means nothing"
    monkeypatch.chdir(tmp_path)
    exec(compile(block.text, block.name, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.name)
def test_a_block_registers_the_tasks_that_it_makes(block: pages.Block) -> None:
    """In a test they are registered already; where the block is pasted they are not."""
    if "SimEnv/" in block.text:
        assert re.search(r"^\s*(import|from) .*\bsimenv\b", block.text, re.M), f"{block.name} lacks `import simenv`"


@pytest.mark.parametrize("line", COMMANDS.values(), ids=COMMANDS)
def test_a_command_has_the_options_that_a_page_names(line: str, monkeypatch, capsys) -> None:
    words = shlex.split(line)[1:]
    words = words[: words.index(">")] if ">" in words else words
    if words[0] in cli.COMMANDS and len(words) < 3 and "-" not in words[-1][:1]:
        return  # `simenv identify FILE` names a command, and is not one
    words = ["list" if word == "COMMAND" else word for word in words]
    for module, name, _ in cli.COMMANDS.values():
        monkeypatch.setattr(cli._load(name, module, name), "run", lambda self: 0)
    assert cli.main(words) == 0, capsys.readouterr().err
