# SPDX-License-Identifier: Apache-2.0
"""What the Python interface prints: nothing, but one line when kernels are really compiled, and whatever is wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import warp as wp

from simenv import _warp
from tests.contract.source_rules import ROOT, shipped_files

ANNOUNCEMENT = "compiling kernels (once, ~30 s)\n"


def run(code: str, **environment: str) -> tuple[str, str]:
    """(stdout, stderr) of a fresh process."""
    variables = {k: v for k, v in os.environ.items() if k != "SIMENV_DEBUG"} | environment
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=variables, cwd=ROOT, check=True
    )
    return done.stdout, done.stderr


STEP = """
import gymnasium as gym, numpy as np, simenv, tests.agents.goal_task
env = gym.make("TestEnv/Goal-v0", device="cpu")
env.reset(seed=0)
env.step(np.zeros(1, np.float32))
"""
MESH = """
import trimesh
from simenv.geometry.mesh_sdf import signed_distance
signed_distance(trimesh.creation.box((1.0, 1.0, 1.0)), [[0.0, 0.0, 0.0]])
"""
ROBOT = """
import torch
from simenv.robots import Robot, load
Robot(load("panda")).pose(torch.zeros(1, 9), "tool")
"""
WARP = "import warp as wp; from simenv import _warp; _warp.start(); wp.zeros(1, dtype=float, device='cpu').fill_(1.0)"


@pytest.mark.parametrize(
    "code",
    [STEP, WARP, pytest.param(MESH, marks=pytest.mark.slow), pytest.param(ROBOT, marks=pytest.mark.slow)],
    ids=["step", "warp", "mesh", "robot"],
)
def test_import_and_first_step_print_nothing(code: str) -> None:
    """What another test of this run has compiled before is not compiled again; else one line says so."""
    out, err = run(code)
    assert out == "" and err in ("", ANNOUNCEMENT)


KERNEL = """
import sys
import warp as wp
from simenv import _warp
_warp.start()
@wp.kernel
def double(values: wp.array(dtype=float)):
    values[wp.tid()] = 2.0 * values[wp.tid()]
values = wp.full(2, 3.0, dtype=float, device="cpu")
print("before", file=sys.stderr)
wp.launch(double, 2, inputs=[values], device="cpu")
print(values.numpy().tolist())
"""


def test_what_is_compiled_is_announced_once_and_what_is_cached_is_not(tmp_path: Path) -> None:
    file = tmp_path / "program.py"  # Warp reads a kernel's source from its file
    file.write_text(KERNEL)
    code = f"import runpy; runpy.run_path({str(file)!r})"
    assert run(code, WARP_CACHE_PATH=str(tmp_path)) == ("[6.0, 6.0]\n", f"before\n{ANNOUNCEMENT}")
    assert run(code, WARP_CACHE_PATH=str(tmp_path)) == ("[6.0, 6.0]\n", "before\n")


@pytest.mark.slow
def test_a_kernel_that_does_not_compile_says_why(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(
        KERNEL.replace(
            "@wp.kernel", '@wp.func_native("return nonsense(x);")\ndef wrong(x: float) -> float: ...\n@wp.kernel'
        )
        .replace("2.0 * values", "wrong(values[wp.tid()]) * values")
        .replace("wp.launch(", "try:\n    wp.launch(")
        .replace("print(values.numpy().tolist())", "except Exception as error:\n    print('caught')")
    )
    out, err = run(f"import runpy; runpy.run_path({str(file)!r})", WARP_CACHE_PATH=str(tmp_path))
    assert out == "caught\n"
    assert "error:" in err and "nonsense" in err


def test_with_debug_everything_is_printed() -> None:
    out, _ = run(WARP, SIMENV_DEBUG="1")
    assert "Warp" in out and "initialized" in out


@pytest.mark.parametrize(("level", "then"), [(wp.LOG_DEBUG, wp.LOG_DEBUG), (wp.LOG_INFO, wp.LOG_WARNING)])
def test_a_log_level_that_the_user_set_stays(monkeypatch: pytest.MonkeyPatch, level: int, then: int) -> None:
    """The default, LOG_INFO, is what is turned down."""
    monkeypatch.delenv("SIMENV_DEBUG", raising=False)
    monkeypatch.setattr(_warp, "_started", False)
    monkeypatch.setattr(_warp, "_watch_compiler", lambda: None)
    monkeypatch.setattr(wp.config, "log_level", level)
    _warp.start()
    assert wp.config.log_level == then


CLANG = """\
In file included from /cache/module.cpp:1:
/warp/native/builtin.h:12:5: warning: loop not unrolled: the optimizer was unable to perform it [-Wpass-failed]
   12 |     for (int i = 0; i < n; ++i)
      |     ^
/warp/native/builtin.h:10:1: note: in instantiation of f requested here
   10 | f<3>(x);
      | ^~~~
warning: unknown argument
a line of somebody else
/cache/module.cpp:40:9: error: use of undeclared identifier 'nonsense'
   40 |         nonsense(x);
      |         ^
/cache/module.cpp:30:9: note: declared here
2 warnings generated.
another line
"""
KEPT = """\
a line of somebody else
/cache/module.cpp:40:9: error: use of undeclared identifier 'nonsense'
   40 |         nonsense(x);
      |         ^
/cache/module.cpp:30:9: note: declared here
another line
"""


def test_warnings_of_the_compiler_go_and_errors_stay() -> None:
    assert _warp.without_compiler_warnings(CLANG) == KEPT
    assert _warp.without_compiler_warnings(KEPT) == KEPT
    assert _warp.without_compiler_warnings("") == ""


def test_what_a_failing_block_wrote_is_kept_whole(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), _warp._stderr_through(_warp.without_compiler_warnings):
        os.write(2, CLANG.encode())
        raise RuntimeError
    with _warp._stderr_through(_warp.without_compiler_warnings):
        os.write(2, CLANG.encode())
    assert capfd.readouterr().err == CLANG + KEPT


def test_nothing_initialises_warp_by_itself() -> None:
    """`simenv._warp.start` does, silently."""
    for path in shipped_files():
        text = path.read_text(encoding="utf-8")
        if path.name != "_warp.py":
            assert not re.search(r"\bwp\.init\(|wp\.config\.(log_level|quiet) *=", text), (
                f"{path.relative_to(ROOT)}: call simenv._warp.start() instead"
            )
