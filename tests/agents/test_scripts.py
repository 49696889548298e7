# SPDX-License-Identifier: Apache-2.0
"""`simenv optimize` and `simenv train` on the analytic environments: files, resumption, exit status, messages."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from simenv.agents.log import RunLog
from simenv.scripts import cli, common, runs
from simenv.scripts.optimize import Optimize
from simenv.scripts.train import Train

ID = "SimEnv/Pouring-v0"


@pytest.fixture
def analytic(monkeypatch, analytic_env):
    """`make_vec` gives analytic environments; returns those made and the arguments."""
    made = []

    def make(id, num_envs, **options):
        made.append((analytic_env(num_envs), options))
        return made[-1][0]

    monkeypatch.setattr(common, "make_vec", make)
    return made


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_optimize_writes_its_results(analytic, tmp_path, capsys):
    command = Optimize(
        ID,
        out=tmp_path / "run",
        starts=3,
        iterations=5,
        screen=1,
        stop_on_success=False,
        record=False,
        env_args='{"a": 1}',
    )
    assert command.run() == 0
    env, options = analytic[0]
    assert env.num_envs == 3 and env.closed
    assert options["a"] == 1 and options["differentiable"] and options["autoreset_mode"] == "disabled"
    assert np.load(tmp_path / "run/best_actions.npy").shape == (30, 1)
    assert json.loads((tmp_path / "run/result.json").read_text())["code"] == "MAX_ITERATIONS"
    table = rows(tmp_path / "run")
    assert [row["iteration"] for row in table] == list("12345")
    assert [float(row["cost/simulated_steps"]) for row in table] == [90.0 * i for i in range(1, 6)]
    out, err = capsys.readouterr()
    assert "MAX_ITERATIONS" in out and "450 simulated steps" in out and "iteration 5/5" in err


@pytest.mark.parametrize("method", ["gradient", "cma", "random"])
def test_interrupted_optimize_says_how_to_resume_and_resumes(
    analytic, tmp_path, capsys, monkeypatch, analytic_env, method
):
    common_options = {"method": method, "starts": 3, "iterations": 8, "stop_on_success": False, "record": False}
    assert Optimize(ID, out=tmp_path / "whole", **common_options).run() == 0
    capsys.readouterr()
    monkeypatch.setattr(analytic_env, "__init__", _interrupting(analytic_env.__init__, 10 if method == "cma" else 7))
    assert Optimize(ID, out=tmp_path / "part", **common_options).run() == 130
    command = capsys.readouterr().err.strip().split("resume with: ")[1].split()
    assert command[0] == "simenv" and "--resume" in command
    assert 0 < len(rows(tmp_path / "part")) < 8
    monkeypatch.setattr(analytic_env, "__init__", _interrupting(analytic_env.__init__, None))
    assert cli.main(command[1:]) == 0  # the printed command itself
    assert np.array_equal(np.load(tmp_path / "part/best_actions.npy"), np.load(tmp_path / "whole/best_actions.npy"))
    drop = {"cost/seconds"}
    first, second = (
        [{k: v for k, v in r.items() if k not in drop} for r in rows(tmp_path / n)] for n in ("whole", "part")
    )
    assert first == second


def _interrupting(init, call):
    def wrapped(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self.interrupt_at = call

    return wrapped


def test_a_used_folder_is_not_overwritten(analytic, tmp_path, capsys):
    command = Optimize(ID, out=tmp_path, starts=2, iterations=1, record=False)
    command.run()
    with pytest.raises(FileExistsError, match="--resume"):
        command.run()
    assert dataclasses.replace(command, resume=True).run() == 0


def test_wrong_input_leaves_no_run_behind(analytic, tmp_path):
    with pytest.raises(ValueError, match="it must be positive"):
        Train(ID, out=tmp_path / "run", timesteps=-1).run()
    for algorithm in ("ppo", "sb3_ppo"):
        with pytest.raises(ValueError, match="each layer must have at least 1 unit"):
            Train(ID, algorithm=algorithm, out=tmp_path / "run", net_arch=(64, 0)).run()
    with pytest.raises((OSError, ValueError), match=r"missing\.npy"):
        Optimize(ID, out=tmp_path / "run", starts=2, initial_actions=tmp_path / "missing.npy").run()
    assert Optimize(ID, out=tmp_path / "run", starts=2, iterations=1, screen=1, record=False).run() == 0


def test_resume_command_holds_what_differs_from_the_defaults():
    train = Train(ID, algorithm="sb3_sac", net_arch=(32, 16), container=Path("my cup.stl"))
    words = runs.resume_command(train, "train", Path("runs/x"))
    assert words == (
        f"simenv train {ID} --algorithm sb3_sac --net-arch 32 16 --container 'my cup.stl' --out runs/x --resume"
    )
    optimize = Optimize(ID, stop_on_success=False, video=True, out=Path("elsewhere"))
    assert "--no-stop-on-success --video --out runs/x --resume" in runs.resume_command(
        optimize, "optimize", Path("runs/x")
    )


def test_container_is_a_task_argument(tmp_path):
    mesh = tmp_path / "cup.stl"
    with pytest.raises(FileNotFoundError, match=r"cup\.stl: no such file"):
        runs.task_options("", mesh)
    mesh.write_bytes(b"solid")
    assert runs.task_options('{"level": 2}', mesh) == {"level": 2, "container": str(mesh)}
    with pytest.raises(ValueError, match="give one of them"):
        runs.task_options('{"container": "x"}', mesh)


def test_unknown_environment_is_one_line(capsys):
    assert cli.main(["optimize", "SimEnv/Puoring-v0"]) == 2
    assert "did you mean SimEnv/Pouring-v0" in capsys.readouterr().err


def test_train_runs_resumes_and_leaves_a_policy(monkeypatch, tmp_path, capsys):
    pytest.importorskip("stable_baselines3")
    from simenv.agents.policy import load_policy
    from tests.agents.point_env import PointEnv

    monkeypatch.setattr(Train, "_environment", lambda self, options: PointEnv(self.num_envs))
    options = {"algorithm": "sb3_ppo", "num_envs": 4, "rollout_steps": 16, "batch_size": 32, "net_arch": (16,)}
    half = Train(ID, out=tmp_path / "part", timesteps=128, **options)
    assert half.run() == 0
    assert dataclasses.replace(half, timesteps=320, resume=True).run() == 0
    assert Train(ID, out=tmp_path / "whole", timesteps=320, **options).run() == 0
    observation = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    np.testing.assert_array_equal(*(load_policy(tmp_path / name)(observation) for name in ("part", "whole")))
    assert [row["timesteps"] for row in rows(tmp_path / "part")] == ["64", "128", "192", "256", "320"]
    assert "all timesteps were spent" in capsys.readouterr().out


def test_log_grows_columns_and_drops_rows_that_will_be_done_again(tmp_path):
    log = RunLog(tmp_path, "iteration")
    log.write(1, {"a": 1.0})
    log.write(2, {"a": float("nan"), "b/c": 0.1})
    log.write(3, {"a": 3.0, "b/c": 0.3})
    log.close()
    assert [list(row.values()) for row in rows(tmp_path)] == [["1", "1.0", ""], ["2", "", "0.1"], ["3", "3.0", "0.3"]]
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("4,7")  # cut by a kill
    log = RunLog(tmp_path, "iteration", resume_at=2)
    log.write(3, {"a": 5.0})
    log.close()
    assert [row["a"] for row in rows(tmp_path)] == ["1.0", "", "5.0"]


def test_log_writes_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = RunLog(tmp_path, "iteration")
    log.write(1, {"return/best": -2.0})
    log.write(2, {"return/best": -1.0})
    log.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("return/best")] == [(1, -2.0), (2, -1.0)]
