# SPDX-License-Identifier: Apache-2.0
"""The list of mutants fits the code: whoever changes a line that a mutant changes brings the entry up to date.

That the tests see the mutants is tried by hand, with `make mutants`.
"""

import ast
from collections import Counter

import pytest

from tests.mutants.entries import ROOT, Mutant, mutants
from tests.mutants.run import judged, outcomes

ALL = mutants()


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: f"{mutant.area}/{mutant.name}")
def test_change_can_be_made(mutant: Mutant) -> None:
    changed = mutant.applied((ROOT / mutant.file).read_text(encoding="utf-8"))
    if mutant.file.endswith(".py"):
        ast.parse(changed)  # a change that is no Python would be seen by anything


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: f"{mutant.area}/{mutant.name}")
def test_named_tests_exist(mutant: Mutant) -> None:
    assert mutant.tests
    for test in mutant.tests:
        path, _, name = test.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name.partition("[")[0].rpartition("::")[2] in functions, f"{path} has no {name}"


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(mutant.name for mutant in ALL).items() if count > 1] == []


def test_outcomes_are_read_from_the_report(tmp_path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="tests.a.test_b" name="test_c[1]"><failure/></testcase>'
        '<testcase classname="tests.a.test_b" name="test_c[2]"/><testcase classname="tests.a.test_b" name="test_d"/>'
        '<testcase classname="" name="tests.a.test_e"><skipped/></testcase></testsuite></testsuites>',
        encoding="utf-8",
    )
    cases = outcomes(report)
    assert judged("tests/a/test_b.py::test_c", cases) == judged("tests/a/test_b.py::test_c[1]", cases) == "failed"
    assert judged("tests/a/test_b.py::test_d", cases) == judged("tests/a/test_b.py::test_c[2]", cases) == "passed"
    assert judged("tests/a/test_e.py::test_f", cases) == "skipped"
    assert judged("tests/a/test_b.py::test", cases) == "missing"
