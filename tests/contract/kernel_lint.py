# SPDX-License-Identifier: Apache-2.0
"""A linter for Warp kernels, by syntax tree: it imports and compiles nothing.

Run it with ``python tests/contract/kernel_lint.py [FILE or FOLDER ...]``. Its rules, which keep out what Warp accepts
without a word and then differentiates wrongly or overwrites:

* ``order``: outputs (``_out``, ``_inout``) come last, after parameters and inputs (``_in``).
* ``write``: a kernel writes only to arguments named ``_out`` or ``_inout``.
* ``backward-undeclared``: whether a kernel has a generated adjoint is said, never left to Warp's default (yes). A
  module says it with ``wp.set_module_options({"enable_backward": ...})``. A kernel with ``module="unique"`` does not
  inherit that option, so it says it in its decorator.
* ``inplace-product``: where there is a generated adjoint, no ``*=``, ``/=`` ... on elements of an array argument.
* ``loop-product``: where there is a generated adjoint, no running product in a loop whose length is known only at run
  time.
* ``svd3``: no ``svd3`` where there is a generated adjoint; it is wrong at repeated singular values.
"""

import ast
import dataclasses
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_WRITING_CALLS = {"store", "tile_store", "tile_atomic_add"}
_PRODUCTS = (ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One broken rule: where, which, and what to do."""

    file: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: [{self.rule}] {self.message}"


def _call_name(node: ast.AST) -> str:
    """``"atomic_add"`` for ``wp.atomic_add`` or ``atomic_add``; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _root_name(node: ast.AST) -> str | None:
    """The variable at the bottom of ``x[i].y[j]``."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _decorator(function: ast.FunctionDef, kind: str) -> ast.expr | None:
    """The ``@wp.kernel`` or ``@wp.func`` decorator (``kind``) of a function, called or not."""
    for decorator in function.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(target, ast.Attribute) and target.attr == kind and _root_name(target) in ("wp", "warp"):
            return decorator
    return None


def _constant(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def _option(mapping: ast.expr, key: str) -> ast.expr | None:
    """Value of ``key`` in a dict display."""
    if isinstance(mapping, ast.Dict):
        for name, value in zip(mapping.keys, mapping.values, strict=True):
            if _constant(name) == key:
                return value
    return None


def _module_backward(tree: ast.Module) -> bool | None:
    """What the file's ``wp.set_module_options`` says about generated adjoints; None if it says nothing."""
    answer = None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _call_name(node.func) == "set_module_options" and node.args:
            value = _option(node.args[0], "enable_backward")
            if value is not None:
                # A value computed at run time may be true: hold the file to the stricter rules.
                answer = bool(value.value) if isinstance(value, ast.Constant) else True
    return answer


def _kernel_backward(decorator: ast.expr, tree: ast.Module, module_backward: bool | None) -> bool | None:
    """Whether the kernel has a generated adjoint; None if nothing says so."""
    if not isinstance(decorator, ast.Call):
        return module_backward
    keywords = {keyword.arg: keyword.value for keyword in decorator.keywords if keyword.arg}
    for spread in (keyword.value for keyword in decorator.keywords if keyword.arg is None):
        keywords.update(_named_options(spread, tree))
    value = keywords.get("enable_backward")
    if value is None and "module_options" in keywords:
        value = _option(keywords["module_options"], "enable_backward")
    if value is not None:
        return bool(value.value) if isinstance(value, ast.Constant) else True
    return None if "module" in keywords else module_backward


def _named_options(spread: ast.expr, tree: ast.Module) -> dict[str, ast.expr]:
    """Entries of the dict that ``**options`` spreads, if the file assigns it as a display."""
    entries: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            if any(ast.unparse(target) == ast.unparse(spread) for target in node.targets):
                for name, value in zip(node.value.keys, node.value.values, strict=True):
                    entries[str(_constant(name))] = value
    return entries


def _check_order(file: str, function: ast.FunctionDef) -> Iterator[Finding]:
    output = ""
    for argument in function.args.posonlyargs + function.args.args:
        if argument.arg.endswith(("_out", "_inout")):
            output = argument.arg
        elif output:
            yield Finding(
                file,
                argument.lineno,
                "order",
                f"kernel {function.name}: {argument.arg} follows the output {output}; put outputs last.",
            )


def _targets(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.Assign):
        return [e for t in statement.targets for e in (t.elts if isinstance(t, ast.Tuple | ast.List) else [t])]
    if isinstance(statement, ast.AugAssign | ast.AnnAssign):
        return [statement.target]
    return []


def _check_writes(file: str, function: ast.FunctionDef) -> Iterator[Finding]:
    arguments = {a.arg for a in function.args.posonlyargs + function.args.args}
    for node in ast.walk(function):
        written: list[ast.expr] = []
        if isinstance(node, ast.stmt):
            written = [t for t in _targets(node) if isinstance(t, ast.Subscript | ast.Attribute)]
        elif isinstance(node, ast.Call) and node.args:
            name = _call_name(node.func)
            if name.startswith("atomic_") or name in _WRITING_CALLS:
                written = [node.args[0]]
        for target in written:
            root = _root_name(target)
            if root in arguments and not root.endswith(("_out", "_inout")):
                yield Finding(
                    file,
                    node.lineno,
                    "write",
                    f"kernel {function.name} writes to {root}, whose name does not end in _out or _inout; "
                    "rename the argument, or write elsewhere.",
                )


def _is_static_range(loop: ast.For, local_names: set[str]) -> bool:
    """True if the loop's bounds are literals, ``wp.static`` or names from outside the kernel, which Warp can unroll."""
    if not (isinstance(loop.iter, ast.Call) and _call_name(loop.iter.func) == "range"):
        return False
    for bound in loop.iter.args:
        if isinstance(bound, ast.Call) and _call_name(bound.func) == "static":
            continue
        if any(
            isinstance(n, ast.Call | ast.Subscript) or (isinstance(n, ast.Name) and n.id in local_names)
            for n in ast.walk(bound)
        ):
            return False
    return True


def _running_products(loop: ast.For | ast.While) -> Iterator[tuple[int, str]]:
    """``x *= ...`` and ``x = ... * x`` of values that one pass of a loop hands to the next (line, name)."""
    fresh: dict[str, int] = {}  # variables given a new value in each pass, and where first
    for node in ast.walk(loop):
        if isinstance(node, ast.Assign):
            read = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
            for target in _targets(node):
                if isinstance(target, ast.Name) and target.id not in read:
                    fresh[target.id] = min(node.lineno, fresh.get(target.id, node.lineno))
    for node in ast.walk(loop):
        name = None
        if isinstance(node, ast.AugAssign) and isinstance(node.op, _PRODUCTS) and isinstance(node.target, ast.Name):
            name = node.target.id
        elif (
            isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, _PRODUCTS)
        ):
            sides = {side.id for side in (node.value.left, node.value.right) if isinstance(side, ast.Name)}
            name = next((t.id for t in _targets(node) if isinstance(t, ast.Name) and t.id in sides), None)
        if name and fresh.get(name, node.lineno) >= node.lineno:
            yield node.lineno, name


def _check_adjoint(file: str, function: ast.FunctionDef) -> Iterator[Finding]:
    """What Warp's generated adjoints get wrong without a word."""
    arguments = {a.arg for a in function.args.posonlyargs + function.args.args}
    local_names = arguments | {
        n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    for node in ast.walk(function):
        if (
            isinstance(node, ast.AugAssign)
            and isinstance(node.op, _PRODUCTS)
            and isinstance(node.target, ast.Subscript)
        ):
            if _root_name(node.target) in arguments:
                yield Finding(
                    file,
                    node.lineno,
                    "inplace-product",
                    f"{function.name}: in-place product on {ast.unparse(node.target)}, whose generated adjoint is "
                    "wrong; write the result to another array.",
                )
        elif isinstance(node, ast.While) or (isinstance(node, ast.For) and not _is_static_range(node, local_names)):
            for line, name in _running_products(node):
                yield Finding(
                    file,
                    line,
                    "loop-product",
                    f"{function.name}: running product {name} in a loop of run-time length, whose generated "
                    "adjoint is wrong; unroll the loop, sum logarithms, or write the adjoint by hand.",
                )
        elif isinstance(node, ast.Call) and _call_name(node.func).startswith("svd"):
            yield Finding(
                file,
                node.lineno,
                "svd3",
                f"{function.name}: the generated adjoint of {_call_name(node.func)} is wrong at repeated "
                "singular values; use simenv.geometry.svd, or switch enable_backward off.",
            )


def lint_source(source: str, file: str = "<source>") -> list[Finding]:
    """Check the kernels in one file's source.

    Args:
        source: Python source.
        file: Name used in the findings.

    Returns:
        The findings, by line.

    Raises:
        SyntaxError: If the source is not Python.
    """
    tree = ast.parse(source, file)
    module_backward = _module_backward(tree)
    findings: set[Finding] = set()
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        decorator = _decorator(function, "kernel")
        if decorator is not None:
            findings.update(_check_order(file, function))
            findings.update(_check_writes(file, function))
            backward = _kernel_backward(decorator, tree, module_backward)
            if backward is None:
                findings.add(
                    Finding(
                        file,
                        function.lineno,
                        "backward-undeclared",
                        f"kernel {function.name}: nothing says whether it has a generated adjoint; write "
                        'wp.set_module_options({"enable_backward": False}) in the file, or enable_backward= in the '
                        "decorator of a kernel with its own module.",
                    )
                )
            if backward is not False:
                findings.update(_check_adjoint(file, function))
        elif _decorator(function, "func") is not None and module_backward is not False:
            # A function has no module of its own: it is differentiated wherever a kernel with an adjoint calls it.
            findings.update(_check_adjoint(file, function))
    return sorted(findings, key=lambda f: (f.file, f.line, f.rule))


def lint_paths(paths: Iterable[Path]) -> list[Finding]:
    """Check every Python file in the given files and folders."""
    files = sorted({f for p in paths for f in (p.rglob("*.py") if p.is_dir() else [p])})
    return [finding for file in files for finding in lint_source(file.read_text(encoding="utf-8"), str(file))]


if __name__ == "__main__":
    found = lint_paths([Path(a) for a in sys.argv[1:]] or [Path("simenv"), Path("tasks"), Path("agents")])
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)
