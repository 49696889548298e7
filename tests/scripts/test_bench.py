# SPDX-License-Identifier: Apache-2.0
"""The benchmark harness: its arithmetic, its report, and its workload on a tiny scene. No test looks at a speed."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from simenv.physics.mpm.kernels_transfer import LIQUID
from simenv.physics.mpm.model import MPMModel
from simenv.physics.mpm.solver import MPMSolver
from simenv.scripts import bench_plot, bench_report, bench_solver, cli
from simenv.scripts.bench_programs import load

ROOT = Path(__file__).resolve().parents[2]


def test_cuda_needs_a_gpu(capsys, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert cli.main(["bench", "--device", "cuda", "--out", str(tmp_path)]) == 2
    assert "no CUDA device" in capsys.readouterr().err


def test_needs_a_checkout(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_report, "BENCHMARKS", tmp_path / "nowhere")
    assert cli.main(["bench", "--out", str(tmp_path)]) == 2
    assert "runs from a checkout" in capsys.readouterr().err


def test_summary_keeps_the_rounds():
    out = bench_report.summary([2.0, 1.0, 4.0])
    assert out["median"] == 2.0 and out["spread"] == 0.75 and out["rounds"] == [2.0, 1.0, 4.0]


@pytest.mark.parametrize(
    ("case", "theirs", "valid", "verdict"),
    [
        (("taichi", "forward", "unsorted"), [14.0, 21.0], True, "pass"),
        (("taichi", "forward", "unsorted"), [3.0, 9.0], True, "miss"),
        (("taichi", "forward", "unsorted"), [14.0, 21.0], False, "invalid"),
        (("Warp tape", "forward", "unsorted"), [3.0, 3.0], True, "-"),
    ],
)
def test_ratio_is_paired_by_round_and_needs_agreement(case, theirs, valid, verdict):
    row = bench_solver.ratio_row("cpu", case, "simenv", [2.0, 3.0], theirs, valid)
    assert row["rounds"] == [theirs[0] / 2.0, theirs[1] / 3.0] and row["verdict"] == verdict


def test_backward_is_what_the_gradient_adds():
    row = bench_solver.backward_row("cpu", [6.0, 10.0], [2.0, 2.0])
    assert row["rounds"] == [2.0, 4.0] and row["verdict"] == "miss"
    row = bench_solver.backward_row("cuda", [6.0, 10.0], [2.0, 2.0])
    assert row["verdict"] == "pass" and row["threads"] is None


def test_agreement():
    ours = {"mean_x": [0.4, 0.4, 0.4], "mean_v": [0.0, 1.0, 0.0], "J": [1.0, 0.9, 1.1]}
    assert bench_solver.agrees(bench_solver.difference(ours, ours))
    assert not bench_solver.agrees(bench_solver.difference({**ours, "J": [1.0, 0.9, 1.2]}, ours))
    assert not bench_solver.agrees(bench_solver.difference({**ours, "mean_v": [float("nan")] * 3}, ours))


def test_a_peer_with_another_liquid_is_given_more_room():
    assert bench_solver.agrees({"J": 5e-4}, "genesis") and not bench_solver.agrees({"J": 5e-4}, "taichi")


def report(*rows):
    part = {**bench_report.describe_moment(), "load_after": 0.0, "versions": {"a": {"warp": "1"}}, "rows": list(rows)}
    return {"machine": bench_report.describe_machine(), "quick": True, "parts": {"forward": part}}


def test_report_says_what_was_not_measured():
    row = bench_report.value_row("x", "s", [1.0, 2.0], 2)
    text = bench_report.markdown(report(row, bench_report.missing_row("genesis", "no Python\nhas it", 2)))
    assert "| x | 2 | 1.5 s | 1 - 2 |" in text and "CUDA: not measured" in text
    assert "| genesis | 2 |  |  |  | not measured (no Python has it) |" in text


def test_a_part_is_replaced_and_the_others_are_kept(tmp_path):
    from simenv.scripts.bench import write

    path = tmp_path / "a.json"
    write(report(bench_report.value_row("forward: simenv", "ms/substep", [1.0, 2.0], 2)), path)
    assert list(bench_report.read(path, True)["parts"]) == ["forward"]
    assert path.with_suffix(".md").exists() and path.with_suffix(".png").stat().st_size > 1000


def test_chart_needs_rows_that_agree(tmp_path):
    row = {**bench_report.value_row("forward: taichi", "ms/substep", [1.0], 2), "verdict": "invalid"}
    assert not bench_plot.plot(report(row), tmp_path / "a.png")


def test_bytes_are_those_of_the_solver():
    roofline = load("roofline")
    model = MPMModel((0.5,) * 3, 0.1, 1e-4, 1, np.zeros(7, dtype=np.int32), (LIQUID,))
    solver = MPMSolver(model, 1, torch.device("cpu"), torch.float32)
    solver._state(0)
    solver._allocate_adjoint()
    tensors = {name.removesuffix("@0"): tensor for name, tensor in solver.tensors.items()}
    for name, size in roofline.SIZES.items():
        key = {"grid": "grid_velocity", "parameters": "adj_parameters"}.get(name, name)
        items = model.cells if name == "grid" else 7
        assert tensors[key].numel() * tensors[key].element_size() == size * items, name
    assert roofline.particle_bytes(("g2p",)) == 4 + 12 + 12 + 12 + 36


def test_bound_is_the_larger_of_both_limits():
    roofline = load("roofline")
    counted = {"bytes": 2e6, "operations": 3e6}
    assert roofline.bound_ms(counted, 1e9, 1e9) == 3.0 and roofline.bound_ms(counted, 1e8, 1e9) == 20.0


@pytest.mark.slow
def test_workload_in_its_own_process(tmp_path):
    Program = load("protocol").Program
    # few substeps: a change of all velocities also shifts the particles over the grid, which is not a symmetry of it
    config, particles = {**bench_solver.scene(quick=True), "substeps": 10}, tmp_path / "particles.npz"
    bench_solver.write_particles(particles, config)
    checks = {}
    scripts = {1: "simenv_mpm.py", 2: "simenv_mpm.py", "tape": "peers/warp_tape.py"}
    for threads, script in scripts.items():
        program = Program(sys.executable, str(ROOT / "benchmarks" / script), dict(os.environ))
        try:
            assert "warp" in program.ask("setup", config=config, threads=threads)
            request = {"program": "gradient", "order": "unsorted", "particles": str(particles)}
            program.ask("build", **request)
            assert len(program.ask("run", **request, repeats=2)["ms"]) == 2
            checks[threads] = program.ask("check", **request)
        finally:
            program.close()
    assert bench_solver.agrees(bench_solver.difference(checks[1], checks[2]))
    assert bench_solver.agrees(bench_solver.difference(checks["tape"], checks[2]))
    # L = mean |v|^2 / 2, no wall near: momentum is conserved, so that the sum of dL/dv0 is the final mean velocity
    np.testing.assert_allclose(checks[1]["gradient_v0"][:3], checks[1]["mean_v"], rtol=1e-4, atol=1e-5)
