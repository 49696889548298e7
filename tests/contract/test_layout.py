# SPDX-License-Identifier: Apache-2.0
"""How long files are: at most 400 lines, and not by lines that are squeezed against the formatter."""

import subprocess
import sys
from pathlib import Path

from tests.contract import source_rules as rules

LONGEST = 400
SQUEEZES = ("  # fmt: skip", "  # fmt: off", "# fmt: off")


def lengths(sources: dict[str, str], folder: Path) -> dict[str, int]:
    """Lines of files as the formatter would write them."""
    found = {name: source.count("\n") for name, source in sources.items()}
    squeezed = {name: source for name, source in sources.items() if any(mark in source for mark in SQUEEZES)}
    for number, source in enumerate(squeezed.values()):
        for mark in SQUEEZES:
            source = source.replace(mark, "")
        (folder / f"{number}.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "format", "--quiet", "--config", str(rules.ROOT / "pyproject.toml")]
    subprocess.run([*command, str(folder)], check=True)  # all at once, as each start takes its time
    for number, name in enumerate(squeezed):
        found[name] = (folder / f"{number}.py").read_text(encoding="utf-8").count("\n")
    return found


def test_squeezed_lines_are_counted_as_they_would_be(tmp_path) -> None:
    sources = {"squeezed": "x = [\n    1, 2, 3,\n]  # fmt: skip\n", "plain": "x = [1, 2, 3]\n"}
    assert lengths(sources, tmp_path) == {"squeezed": 5, "plain": 1}


def test_no_file_is_too_long(tmp_path) -> None:
    files = {
        file.relative_to(rules.ROOT).as_posix(): file.read_text(encoding="utf-8") for file in rules.shipped_files()
    }
    found = {name: lines for name, lines in lengths(files, tmp_path).items() if lines > LONGEST}
    assert not found, f"divide these, which the formatter writes in more than {LONGEST} lines: {found}"
