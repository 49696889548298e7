# SPDX-License-Identifier: Apache-2.0
"""The benchmark harness: its arithmetic, its report, and its workload on a tiny scene. No test looks at a speed."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import simenv
from benchmarks import against, roofline
from benchmarks.harness import environment, plot, solver
from benchmarks.harness import report as reports
from benchmarks.harness import run as harness
from benchmarks.protocol import Program
from simenv.physics.mpm.kernels_transfer import LIQUID
from simenv.physics.mpm.model import MPMModel
from simenv.physics.mpm.solver import MPMStepper
from simenv.scripts import bench, cli

ROOT = Path(__file__).resolve().parents[2]


def test_cuda_needs_a_gpu(capsys, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert cli.main(["bench", "--device", "cuda", "--out", str(tmp_path)]) == 2
    assert "no CUDA device" in capsys.readouterr().err


def test_needs_a_checkout(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    assert cli.main(["bench", "--out", str(tmp_path)]) == 2
    assert "runs from a checkout" in capsys.readouterr().err


def test_an_unknown_task_is_refused(capsys, tmp_path):
    assert cli.main(["bench", "--only", "environment", "--tasks", "SimEnv/Powring-v0", "--out", str(tmp_path)]) == 2
    assert "did you mean SimEnv/Pouring-v0" in capsys.readouterr().err


def test_every_registered_task_has_its_rows(monkeypatch, tmp_path):
    asked = []

    def measure(device, job, task, *arguments, **variables):
        asked.append((job, task))
        return {"rates": {"4x1": [1.0], "4x2": [2.0]}, "seconds": 1.0, "peak_mb": 2.0, "before_mb": 1.0}

    monkeypatch.setattr(environment, "measure", measure)
    assert set(environment.check_tasks(())) >= set(simenv._BUILTIN_TASKS)
    part = {"rows": []}
    environment.environment_rows(part, tmp_path, False, "cpu", environment.check_tasks(()))
    rows = {(row["name"], row["threads"]) for row in part["rows"]}
    for task in simenv.list_tasks():
        assert {(f"{task}: {job}, N = 4", threads) for job in ("forward", "gradient") for threads in (1, 2)} <= rows
        assert {("throughput", task), ("gradient", task)} <= set(asked)
    assert ("memory: ten times the steps", None) in rows
    asked.clear()
    environment.environment_rows({"rows": []}, tmp_path, False, "cpu", ("SimEnv/BallRoll-v0",))
    assert set(asked) == {("throughput", "SimEnv/BallRoll-v0"), ("gradient", "SimEnv/BallRoll-v0")}


def test_summary_keeps_the_rounds():
    out = reports.summary([2.0, 1.0, 4.0])
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
    row = solver.ratio_row("cpu", case, "simenv", [2.0, 3.0], theirs, valid)
    assert row["rounds"] == [theirs[0] / 2.0, theirs[1] / 3.0] and row["verdict"] == verdict


def test_backward_is_what_the_gradient_adds():
    row = solver.backward_row("cpu", [6.0, 10.0], [2.0, 2.0])
    assert row["rounds"] == [2.0, 4.0] and row["verdict"] == "miss"
    row = solver.backward_row("cuda", [6.0, 10.0], [2.0, 2.0])
    assert row["verdict"] == "pass" and row["threads"] is None


def test_agreement():
    ours = {"mean_x": [0.4, 0.4, 0.4], "mean_v": [0.0, 1.0, 0.0], "J": [1.0, 0.9, 1.1]}
    assert solver.agrees(solver.difference(ours, ours))
    assert not solver.agrees(solver.difference({**ours, "J": [1.0, 0.9, 1.2]}, ours))
    assert not solver.agrees(solver.difference({**ours, "mean_v": [float("nan")] * 3}, ours))


def test_a_peer_with_another_liquid_is_given_more_room():
    assert solver.agrees({"J": 5e-4}, "genesis") and not solver.agrees({"J": 5e-4}, "taichi")


def report(*rows):
    part = {**reports.describe_moment(), "load_after": 0.0, "versions": {"a": {"warp": "1"}}, "rows": list(rows)}
    return {"machine": reports.describe_machine(), "quick": True, "parts": {"forward": part}}


def test_report_says_what_was_not_measured():
    row = reports.value_row("x", "s", [1.0, 2.0], 2)
    text = reports.markdown(report(row, reports.missing_row("genesis", "no Python\nhas it", 2)))
    assert "| x | 2 | 1.5 s | 1 - 2 |" in text and "CUDA: not measured" in text
    assert "| genesis | 2 |  |  |  | not measured (no Python has it) |" in text


def test_a_part_is_replaced_and_the_others_are_kept(tmp_path):
    path = tmp_path / "a.json"
    harness.write(report(reports.value_row("forward: simenv", "ms/substep", [1.0, 2.0], 2)), path)
    assert list(reports.read(path, True)["parts"]) == ["forward"]
    assert path.with_suffix(".md").exists() and path.with_suffix(".png").stat().st_size > 1000


def test_chart_needs_rows_that_agree(tmp_path):
    row = {**reports.value_row("forward: taichi", "ms/substep", [1.0], 2), "verdict": "invalid"}
    assert not plot.plot(report(row), tmp_path / "a.png")


def test_bytes_are_those_of_the_solver():
    model = MPMModel((0.5,) * 3, 0.1, 1e-4, 1, np.zeros(7, dtype=np.int32), (LIQUID,))
    mpm = MPMStepper(model, 1, torch.device("cpu"), torch.float32)
    mpm._state(0)
    mpm._allocate_adjoint()
    tensors = {name.removesuffix("@0"): tensor for name, tensor in mpm.tensors.items()}
    for name, size in roofline.SIZES.items():
        key = {"grid": "grid_velocity", "parameters": "adj_parameters"}.get(name, name)
        items = model.cells if name == "grid" else 7
        assert tensors[key].numel() * tensors[key].element_size() == size * items, name
    assert roofline.particle_bytes(("g2p",)) == 4 + 12 + 12 + 12 + 36


def test_bound_is_the_larger_of_both_limits():
    counted = {"bytes": 2e6, "operations": 3e6}
    assert roofline.bound_ms(counted, 1e9, 1e9) == 3.0 and roofline.bound_ms(counted, 1e8, 1e9) == 20.0


@pytest.mark.slow
def test_workload_in_its_own_process(tmp_path):
    # few substeps: a change of all velocities also shifts the particles over the grid, which is not a symmetry of it
    config, particles = {**solver.scene(quick=True), "substeps": 10}, tmp_path / "particles.npz"
    solver.write_particles(particles, config)
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
    assert solver.agrees(solver.difference(checks[1], checks[2]))
    assert solver.agrees(solver.difference(checks["tape"], checks[2]))
    # L = mean |v|^2 / 2, no wall near: momentum is conserved, so that the sum of dL/dv0 is the final mean velocity
    np.testing.assert_allclose(checks[1]["gradient_v0"][:3], checks[1]["mean_v"], rtol=1e-4, atol=1e-5)


def arrays(folder, name, **tensors):
    path = folder / f"{name}.npz"
    every = dict.fromkeys(against.REQUIRED, np.ones(3)) | tensors
    np.savez(path, **every)
    return path


@pytest.mark.parametrize(
    ("other", "exact", "said", "wrong"),
    [
        ({}, True, "equal", False),
        ({"x": np.array([1.0, 1.0, 1.0 + 1e-12])}, True, "1.0e-12 (x)", True),
        ({"x": np.array([1.0, 1.0, 1.0 + 1e-12])}, False, "1.0e-12 (x)", False),
        ({"x": np.array([1.0, 1.0, 1.0 + 1e-6])}, False, "1.0e-06 (x)", True),
        ({"x": np.array([1.0, 1.0, np.nan])}, False, "inf (x)", True),
        ({"x": np.ones(2)}, False, "inf (x)", True),
        ({"x": np.ones(3, dtype=np.float32)}, True, "inf (x)", True),
        ({"adjoint of a.density": np.ones(1)}, True, "equal, adjoint of a.density in one only", True),
        ({"emitted": np.ones(1)}, True, "equal, emitted in one only", False),
    ],
)
def test_two_checkouts_are_told_apart(tmp_path, other, exact, said, wrong):
    paths = {"base": arrays(tmp_path, "base"), "this": arrays(tmp_path, "this", **other)}
    answers = {side: {"forward": side, "gradient": side} for side in paths}
    text, bad = against.differences(answers, paths, "float64", exact)
    assert (text, bad) == (said, wrong)
    zeros = {"base": arrays(tmp_path, "base", v=np.zeros(1)), "this": arrays(tmp_path, "this", v=-np.zeros(1))}
    assert against.differences(answers, zeros, "float64", True)[1]  # signs of zeros are bits, too


def test_launches_are_counted_by_kernel():
    base, this = [{"p2g": 5, "g2p": 5}, {"p2g": 5}], [{"p2g": 5, "g2p": 5}, {"p2g": 4, "clear": 2}]
    assert against.launches(base, base) == ("10 + 5, equal", False)
    said = "10 + 5 became 10 + 6: clear 0 to 2, p2g 10 to 9"
    assert against.launches(base, this) == (said, True)


@pytest.mark.slow
def test_a_checkout_is_equal_to_itself(monkeypatch, capsys):
    options = ["against", "--base", str(ROOT), "--python", sys.executable, "--only", "emitter, collector", "--no-time"]
    monkeypatch.setattr(sys, "argv", [*options, "--pythonpath", os.environ.get("PYTHONPATH", "")])
    assert against.main() == 0
    row = capsys.readouterr().out.splitlines()[-3].split(" | ")
    assert row[0] == "| emitter, collector" and row[1].startswith("equal") and row[2].startswith("equal")
    assert row[3:5] == ["25, equal", "25 + 25, equal"]  # 5 substeps of 5 launches


def test_a_checkout_without_its_python_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="name the Python that has"):
        against.start("base", tmp_path, tmp_path / "python")
