# SPDX-License-Identifier: Apache-2.0
"""Every kernel in the tree keeps the rules of ``kernel_lint``; and each rule is shown to catch what it is for."""

from pathlib import Path

import pytest

from tests.contract.kernel_lint import lint_paths, lint_source

ROOT = Path(__file__).resolve().parents[2]

DECLARED = 'import warp as wp\nwp.set_module_options({"enable_backward": True})\n'
NO_BACKWARD = 'import warp as wp\nwp.set_module_options({"enable_backward": False})\n'

BROKEN = {
    "order: input after output": ("order", NO_BACKWARD, "def k(y_out: A, x_in: A):\n    y_out[0] = x_in[0]"),
    "order: parameter after output": ("order", NO_BACKWARD, "def k(y_out: A, dt: float):\n    y_out[0] = dt"),
    "write to an input": ("write", NO_BACKWARD, "def k(x_in: A):\n    x_in[wp.tid()] = 1.0"),
    "write to a parameter": ("write", NO_BACKWARD, "def k(table: A):\n    table[wp.tid()] = 1.0"),
    "in-place write to an input": ("write", NO_BACKWARD, "def k(x_in: A):\n    x_in[wp.tid()] += 1.0"),
    "atomic write to an input": ("write", NO_BACKWARD, "def k(x_in: A):\n    wp.atomic_add(x_in, 0, 1.0)"),
    "write to a component": ("write", NO_BACKWARD, "def k(x_in: A):\n    x_in[wp.tid()].y = 1.0"),
    "nothing declared": ("backward-undeclared", "import warp as wp\n", "def k(y_out: A):\n    y_out[0] = 1.0"),
    "in-place product": ("inplace-product", DECLARED, "def k(y_out: A):\n    y_out[wp.tid()] *= 2.0"),
    "in-place quotient": ("inplace-product", DECLARED, "def k(y_out: A):\n    y_out[wp.tid()] /= 2.0"),
    "product in a dynamic loop": (
        "loop-product",
        DECLARED,
        "def k(n: int, y_out: A):\n    p = float(1.0)\n    for i in range(n):\n        p *= 2.0\n    y_out[0] = p",
    ),
    "product in a while loop": (
        "loop-product",
        DECLARED,
        "def k(y_out: A):\n    p = float(1.0)\n    while p < 9.0:\n        p = 2.0 * p\n    y_out[0] = p",
    ),
    "svd3": ("svd3", DECLARED, "def k(F_in: A, y_out: A):\n    u, s, v = wp.svd3(F_in[0])\n    y_out[0] = s"),
}

CLEAN = {
    "accumulation": (
        DECLARED,
        "def k(x_in: A, y_out: A):\n    y_out[0] += x_in[0]\n    wp.atomic_add(y_out, 0, x_in[1])",
    ),
    "in and out": (DECLARED, "def k(dt: float, x_in: A, x_inout: A):\n    x_inout[0] = x_in[0] * dt"),
    "product without adjoint": (NO_BACKWARD, "def k(y_out: A):\n    y_out[wp.tid()] *= 2.0"),
    "product in an unrolled loop": (
        DECLARED,
        "def k(y_out: A):\n    p = float(1.0)\n    for i in range(3):\n        p *= 2.0\n    y_out[0] = p",
    ),
    "product in a loop over a constant": (
        DECLARED,
        "def k(y_out: A):\n    p = float(1.0)\n    for i in range(COUNT):\n        p *= 2.0\n    y_out[0] = p",
    ),
    "value made anew in each pass of a dynamic loop": (
        DECLARED,
        "def k(n: int, y_out: A):\n  for i in range(n):\n    p = y_out[0]\n    p = p * p\n    y_out[0] = p",
    ),
    "local vector": (DECLARED, "def k(y_out: A):\n    v = wp.vec3(0.0)\n    v[0] = 1.0\n    y_out[0] = v"),
    "svd3 without adjoint": (
        NO_BACKWARD,
        "def k(F_in: A, y_out: A):\n    u, s, v = wp.svd3(F_in[0])\n    y_out[0] = s",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_each_rule_catches_what_it_is_for(case: str) -> None:
    rule, header, body = BROKEN[case]
    assert [f.rule for f in lint_source(f"{header}@wp.kernel\n{body}\n")] == [rule]


@pytest.mark.parametrize("case", CLEAN)
def test_allowed_patterns_pass(case: str) -> None:
    header, body = CLEAN[case]
    assert lint_source(f"{header}@wp.kernel\n{body}\n") == []


def test_kernels_made_in_factories_are_seen() -> None:
    source = (
        NO_BACKWARD
        + "def make(dtype):\n    @wp.kernel\n    def k(x_in: A):\n        x_in[0] = dtype(1.0)\n    return k\n"
    )
    assert [f.rule for f in lint_source(source)] == ["write"]


def test_a_kernel_with_its_own_module_does_not_inherit_the_option() -> None:
    body = "def k(y_out: A):\n    y_out[0] = 1.0\n"
    assert [f.rule for f in lint_source(f'{NO_BACKWARD}@wp.kernel(module="unique")\n{body}')] == ["backward-undeclared"]
    assert lint_source(f'{NO_BACKWARD}@wp.kernel(module="unique", enable_backward=False)\n{body}') == []
    named = 'options = {"module": "m", "enable_backward": False}\n'
    assert lint_source(f"{named}@wp.kernel(**options)\n{body}") == []
    product = "def k(y_out: A):\n    y_out[0] *= 2.0\n"
    with_adjoint = named.replace("False", "True")
    assert [f.rule for f in lint_source(f"{with_adjoint}@wp.kernel(**options)\n{product}")] == ["inplace-product"]
    options = 'module="unique", module_options={"enable_backward": False}'
    assert lint_source(f"{NO_BACKWARD}@wp.kernel({options})\n{body}") == []


def test_functions_are_held_to_the_adjoint_rules_unless_switched_off() -> None:
    body = "@wp.func\ndef f(F: M):\n    u, s, v = wp.svd3(F)\n    return s\n"
    assert [f.rule for f in lint_source("import warp as wp\n" + body)] == ["svd3"]
    assert lint_source(NO_BACKWARD + body) == []


def test_kernels_in_the_tree() -> None:
    findings = lint_paths([ROOT / folder for folder in ("simenv", "tasks", "agents", "scripts")])
    assert not findings, "\n".join(map(str, findings))
