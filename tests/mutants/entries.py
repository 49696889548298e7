# SPDX-License-Identifier: Apache-2.0
"""The list of mutants: small, plausible changes of the code, each with the tests that must fail when it is made.

One TOML file an area of the code, one table a mutant::

    [[mutant]]
    name = "emitter-half-spacing"
    file = "simenv/world/scene.py"
    old = "code as it stands, exactly once in the file"
    new = "the change"
    tests = ["tests/verification/test_emitters.py::test_that_sees_it"]

`make mutants` tries them all (`tests/mutants/run.py`); `tests/contract/test_mutants.py` keeps the list true of the
code.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Mutant:
    """A change of one file.

    Attributes:
        area: name of the TOML file that lists it.
        name: unique.
        file: path from the project's root.
        old: text as it stands, once in the file.
        new: what replaces it.
        tests: pytest ids, each of which must fail; an id without parameters fails if one of its cases does.
    """

    area: str
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """The file's text with the change.

        Raises:
            ValueError: the old text is not there exactly once, or the new one is the same.
        """
        count = text.count(self.old)
        if count != 1 or self.old == self.new:
            raise ValueError(
                f"mutant {self.name!r} of {self.area}.toml: its old text stands {count} times in {self.file} and must "
                "stand there once, and differ from the new; bring the entry up to date with the code"
            )
        return text.replace(self.old, self.new)


def mutants(folder: Path = FOLDER) -> list[Mutant]:
    """All mutants, sorted by area and in the order of their files."""
    found = []
    for path in sorted(folder.glob("*.toml")):
        for table in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]:
            found.append(Mutant(area=path.stem, **{**table, "tests": tuple(table["tests"])}))
    return found
