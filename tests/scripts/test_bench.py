# SPDX-License-Identifier: Apache-2.0
"""The benchmark harness: its arithmetic, its report, and its workload on a tiny scene. No test looks at a speed."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from simenv.scripts import bench, cli

ROOT = Path(__file__).resolve().parents[2]


def test_only_the_cpu_is_measured(capsys, tmp_path):
    assert cli.main(["bench", "--device", "cuda", "--out", str(tmp_path)]) == 2
    assert "nothing has been measured on CUDA" in capsys.readouterr().err


def test_needs_a_checkout(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "BENCHMARKS", tmp_path / "nowhere")
    assert cli.main(["bench", "--out", str(tmp_path)]) == 2
    assert "runs from a checkout" in capsys.readouterr().err


def test_summary_keeps_the_rounds():
    out = bench.summary([2.0, 1.0, 4.0])
    assert out["median"] == 2.0 and out["spread"] == 0.75 and out["rounds"] == [2.0, 1.0, 4.0]


@pytest.mark.parametrize(
    ("order", "theirs", "valid", "verdict"),
    [
        ("unsorted", [13.0, 20.0], True, "pass"),
        ("unsorted", [8.0, 15.0], True, "miss"),
        ("unsorted", [13.0, 20.0], False, "invalid"),
        ("sorted", [9.0, 12.0], True, "pass"),
    ],
)
def test_ratio_is_paired_by_round_and_needs_agreement(order, theirs, valid, verdict):
    row = bench.ratio_row("forward", order, [2.0, 3.0], theirs, valid)
    assert row["rounds"] == [theirs[0] / 2.0, theirs[1] / 3.0] and row["verdict"] == verdict


def test_agreement():
    ours = {"mean_x": [0.4, 0.4, 0.4], "mean_v": [0.0, 1.0, 0.0], "J": [1.0, 0.9, 1.1]}
    assert bench.agrees(bench.difference(ours, ours))
    assert not bench.agrees(bench.difference({**ours, "J": [1.0, 0.9, 1.2]}, ours))
    assert not bench.agrees(bench.difference({**ours, "mean_v": [float("nan")] * 3}, ours))


def test_report_says_what_was_not_measured():
    row = {"name": "x", "unit": "s", "threads": 2, **bench.summary([1.0, 2.0]), "target": None, "verdict": "-"}
    text = bench.markdown({"machine": bench.describe_machine(), "versions": {"a": {"warp": "1"}}, "rows": [row]})
    assert "| x | 2 | 1.5 s | 1 - 2 |" in text and "CUDA | | not measured" in text


@pytest.mark.slow
def test_workload_in_its_own_process(tmp_path):
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from protocol import Program

    config, particles = bench.scene(quick=True), tmp_path / "particles.npz"
    bench.write_particles(particles, config)
    checks = {}
    for threads in (1, 2):
        program = Program(sys.executable, str(ROOT / "benchmarks" / "simenv_mpm.py"), dict(os.environ))
        try:
            assert "warp" in program.ask("setup", config=config, threads=threads)
            request = {"program": "gradient", "order": "unsorted", "particles": str(particles)}
            program.ask("build", **request)
            assert len(program.ask("run", **request, repeats=2)["ms"]) == 2
            checks[threads] = program.ask("check", **request)
        finally:
            program.close()
    assert bench.agrees(bench.difference(checks[1], checks[2]))
    # L = mean |v|^2 / 2, no wall near: momentum is conserved, so that the sum of dL/dv0 is the final mean velocity
    np.testing.assert_allclose(checks[1]["gradient_v0"][:3], checks[1]["mean_v"], rtol=1e-4, atol=1e-5)
