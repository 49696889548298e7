# SPDX-License-Identifier: Apache-2.0
"""The identifications that README and docs show in the shell run as they are written, and find what was recorded."""

import re
import shlex
from pathlib import Path

import pytest

from simenv.rollouts import Recording
from simenv.scripts import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/identification.md", "docs/cli.md")


def examples():
    """(page, the command that records, the command that identifies), in order."""
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        lines = [line for block in re.findall(r"^```\w*\n(.*?)^```", text, re.S | re.M) for line in block.splitlines()]
        recordings = {shlex.split(line)[-1]: line for line in lines if line.startswith("simenv record ")}
        for line in lines:
            if line.startswith("simenv identify "):
                found.append((page, recordings[shlex.split(line)[2]], line))
    return found


def test_each_page_has_one():
    assert {page for page, *_ in examples()} == set(PAGES)


@pytest.mark.parametrize(
    ("page", "record", "identify"),
    [pytest.param(*each, marks=[] if each[0] == "README.md" else pytest.mark.slow) for each in examples()],
)
def test_it_finds_what_was_recorded(page, record, identify, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(shlex.split(record)[1:]) == 0
    words = shlex.split(identify)[1:]
    status = cli.main(words)
    out = capsys.readouterr().out
    assert status == 0 and "CONVERGED" in out, out
    name = words[words.index("--parameter") + 1].partition("=")[0]
    (row,) = re.findall(rf"^{re.escape(name)} +(\S+) +(\S+) ", out, re.M)
    truth = float(Recording(words[1])[0].parameters[name].reshape(-1)[0])
    assert float(row[1]) == pytest.approx(truth, rel=1e-5)
    assert float(row[0]) == pytest.approx(truth, rel=0.02)
