# SPDX-License-Identifier: Apache-2.0
"""How long files are: at most 400 lines, and not by lines that are squeezed against the formatter."""

import subprocess
import sys

import pytest

from tests.contract import source_rules as rules

LONGEST = 400
SQUEEZES = ("  # fmt: skip", "  # fmt: off", "# fmt: off")


def length(source: str) -> int:
    """Lines of a file as the formatter would write them."""
    if not any(mark in source for mark in SQUEEZES):
        return source.count("\n")
    for mark in SQUEEZES:
        source = source.replace(mark, "")
    command = [sys.executable, "-m", "ruff", "format", "--config", str(rules.ROOT / "pyproject.toml"), "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=True)
    return done.stdout.count("\n")


def test_squeezed_lines_are_counted_as_they_would_be() -> None:
    squeezed = "x = [\n    1, 2, 3,\n]  # fmt: skip\n"
    assert length(squeezed) == 5 and length("x = [1, 2, 3]\n") == 1


@pytest.mark.parametrize("file", rules.shipped_files(), ids=lambda file: file.relative_to(rules.ROOT).as_posix())
def test_no_file_is_too_long(file) -> None:
    lines = length(file.read_text(encoding="utf-8"))
    assert lines <= LONGEST, f"{lines} lines as the formatter writes them; divide the file"
