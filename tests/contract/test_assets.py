# SPDX-License-Identifier: Apache-2.0
"""Every asset has its source, licence and notice, and the notice travels with it."""

import tomllib
from collections import Counter

import pytest

from tests.contract.source_rules import ROOT

FOLDER = ROOT / "assets"
TABLE = tomllib.loads((FOLDER / "sources.toml").read_text(encoding="utf-8"))["asset"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# a sentence of each licence's text
TEXT = {"Apache-2.0": "Apache License", "MIT": "Permission is hereby granted, free of charge"}


def assets() -> list[str]:
    """Every file below assets/, apart from what Python leaves there."""
    files = (file.relative_to(FOLDER) for file in FOLDER.rglob("*") if file.is_file())
    return sorted(str(file) for file in files if "__pycache__" not in file.parts)


def rows_of(file: str) -> list[dict]:
    """The rows of the table for a file; `*` does not reach into folders."""
    from fnmatch import fnmatchcase

    def fits(pattern: str) -> bool:
        return fnmatchcase(file, pattern) and file.count("/") == pattern.count("/")

    return [row for row in TABLE if any(fits(pattern) for pattern in row["files"])]


def test_every_asset_has_one_row_and_every_row_its_files() -> None:
    found = {file: len(rows_of(file)) for file in assets()}
    assert set(found.values()) == {1}, {file: count for file, count in found.items() if count != 1}
    patterns = [pattern for row in TABLE for pattern in row["files"]]
    assert max(Counter(patterns).values()) == 1
    assert not [p for p in patterns if not list(FOLDER.glob(p))], "a row names a file that is not there"
    assert not rows_of("meshes/foreign.stl") and not rows_of("meshes/other.py")  # the test can fail


@pytest.mark.parametrize("row", TABLE, ids=[row["files"][0] for row in TABLE])
def test_a_row_says_source_licence_and_a_notice_with_the_licence_s_text(row: dict) -> None:
    assert row.keys() == {"files", "source", "licence", "notice"} and all(row.values())
    assert row["licence"] in PROJECT["license"].split(" AND ")
    assert TEXT[row["licence"]] in (ROOT / row["notice"]).read_text(encoding="utf-8")
    assert row["notice"] in PROJECT["license-files"]


def test_what_is_fitted_to_the_images_of_others_carries_their_notice() -> None:
    for file in (file for file in assets() if file.endswith(".safetensors")):
        (row,) = rows_of(file)
        text = (ROOT / row["notice"]).read_text(encoding="utf-8")
        assert row["licence"] == "MIT" and "Copyright (c) 2021 CMURoboTouch" in text
        assert (ROOT / row["notice"]).parent == (FOLDER / file).parent, "the notice lies beside the data"
        assert "2021 CMURoboTouch" in (FOLDER / file).with_suffix(".json").read_text(encoding="utf-8")
    assert "Copyright (c) 2021 CMURoboTouch" in (ROOT / "NOTICE").read_text(encoding="utf-8")
