# SPDX-License-Identifier: Apache-2.0
"""`simenv train` with the torch agents, and the touch benchmark, on `goal_task`."""

import csv
import dataclasses
import json
import re
from pathlib import Path

import pytest
import torch

from benchmarks import touch
from simenv.agents.policy import load_policy
from simenv.rollouts import Recording
from simenv.scripts.record import Record
from simenv.scripts.train import Train
from tests.agents import goal_task

ROOT = Path(__file__).resolve().parents[2]
ID = "TestEnv/Goal-v0"
OPTIONS = {"num_envs": 4, "rollout_steps": 8, "batch_size": 16, "net_arch": (8,), "device": "cpu"}


def weights(folder):
    return torch.cat([p.flatten() for p in load_policy(folder).actor.parameters()])


def test_train_all_algorithms_and_resume(tmp_path, capsys):
    expert = Train(ID, out=tmp_path / "expert", timesteps=96, actor_mode="privileged", **OPTIONS)
    assert expert.run() == 0
    assert load_policy(tmp_path / "expert").mode == "privileged"
    for algorithm in ("ppo", "bc", "dagger", "aacd"):
        options = {"algorithm": algorithm, "actor_mode": "touch", "critic_mode": "privileged", **OPTIONS}
        options |= {} if algorithm == "ppo" else {"expert": tmp_path / "expert"}
        part = Train(ID, out=tmp_path / algorithm / "part", timesteps=64, **options)
        assert part.run() == 0
        if algorithm == "aacd":  # the others resume in test_learning.py
            assert dataclasses.replace(part, timesteps=160, resume=True).run() == 0
            assert Train(ID, out=tmp_path / algorithm / "whole", timesteps=160, **options).run() == 0
            assert torch.equal(*(weights(tmp_path / algorithm / name) for name in ("part", "whole")))
            with open(tmp_path / algorithm / "part" / "metrics.csv", newline="") as file:
                assert [row["timesteps"] for row in csv.DictReader(file)] == ["32", "64", "96", "128", "160"]
    assert "all timesteps were spent" in capsys.readouterr().out


@pytest.mark.parametrize("algorithm", ["ppo", "sb3_ppo", "sb3_sac"])
def test_the_table_holds_speed_lengths_and_reward_terms(tmp_path, capsys, algorithm):
    """The terms add up to the return, and every episode of `goal_task` has the same length."""
    if algorithm != "ppo":
        pytest.importorskip("stable_baselines3")
    options = OPTIONS | {"num_envs": 2, "rollout_steps": goal_task.STEPS, "steps": goal_task.STEPS}
    command = Train(ID, algorithm=algorithm, out=tmp_path / "run", timesteps=4 * goal_task.STEPS, **options)
    assert command.run() == 0
    out, err = capsys.readouterr()
    with open(tmp_path / "run" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    last = {name: float(value) for name, value in rows[-1].items() if value}
    assert last["time/fps"] > 0.0
    assert last["rollout/ep_len_mean"] <= goal_task.STEPS
    terms = {name: value for name, value in last.items() if name.startswith("reward/")}
    assert terms and sum(terms.values()) == pytest.approx(last["rollout/ep_rew_mean"], rel=1e-5)
    assert f"return {last['rollout/ep_rew_mean']:.4g}" in err and "nan" not in out + err
    assert re.search(r"over the last [2-5] episodes", out), "not of the last 100"


def test_before_an_episode_has_ended_no_return_is_told(tmp_path, capsys):
    options = OPTIONS | {"num_envs": 2, "rollout_steps": 2, "batch_size": 4}
    command = Train(ID, algorithm="sb3_ppo", out=tmp_path, timesteps=5, **options)
    assert command.run() == 0
    out, err = capsys.readouterr()
    assert "no episode has ended; 8 steps" in out and "no episode has ended yet" in err and "nan" not in out + err
    assert "--timesteps 5 becomes 8: sb3_ppo trains in units of 4 (2 worlds x 2 steps)" in err


@pytest.mark.parametrize(("timesteps", "spent"), [(40, 40), (41, 42)])
def test_sac_runs_the_steps_that_were_asked_for(tmp_path, capsys, timesteps, spent):
    pytest.importorskip("stable_baselines3")
    command = Train(ID, algorithm="sb3_sac", out=tmp_path, timesteps=timesteps, **OPTIONS | {"num_envs": 2})
    assert command.run() == 0
    out, err = capsys.readouterr()
    assert f"{spent} steps, " in out and f"step {spent}/{spent}" in err
    assert ("becomes" in err) == (spent != timesteps)


def test_an_expert_is_asked_for(tmp_path):
    with pytest.raises(ValueError, match="dagger needs --expert"):
        Train("TestEnv/Hold-v0", algorithm="dagger", out=tmp_path, actor_mode="privileged", **OPTIONS).run()


def test_wilson_interval():
    # By hand for 8 of 10, z = 1.96: centre (0.8 + 0.19208) / 1.38416, half width 1.96 sqrt(0.0256041) / 1.38416
    assert touch.wilson(8, 10) == pytest.approx((0.4901, 0.9433), abs=1e-4)
    assert touch.wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    with pytest.raises(ValueError, match="11 successes in 10 trials"):
        touch.wilson(11, 10)


VALUES = {"rollout_steps": 8, "batch_size": 16, "hidden": (8,), "gradient_steps": 5}


def test_benchmark_stops_goes_on_and_writes_its_table(tmp_path, capsys):
    sizes = touch.Preset(4, 64, 32, 8, 2, "ppo", ("blind", "touch"), ("bc", "aacd"), {}, VALUES)
    bench = touch.BenchmarkTouch(ID, out=tmp_path, device="cpu")
    assert dataclasses.replace(bench, limit=0.0).run(sizes) == 130
    assert not (tmp_path / "table.json").exists()
    assert dataclasses.replace(bench, picture=tmp_path / "curves.png").run(sizes) == 0
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    document = json.loads((tmp_path / "table.json").read_text())
    assert [(row["mode"], row["method"]) for row in document["rows"]] == [
        ("privileged", "PPO (expert)"),
        *((mode, method) for mode in ("blind", "touch") for method in ("BC", "AACD")),
    ]
    for row in document["rows"]:
        assert row["trials"] == 16 and len(row["runs"]) == 2
        wins = sum(run["successes"] for run in row["runs"])
        assert (row["success"], row["low"], row["high"]) == (wins / 16, *touch.wilson(wins, 16))
        assert all(run["train_steps"] in (32, 64) for run in row["runs"])
    text = (tmp_path / "table.md").read_text()
    assert text in capsys.readouterr().out and len(text.splitlines()) == 7


def test_benchmark_imitates_the_controller(tmp_path):
    """A clone of `goal_task`'s controller, which always succeeds, and a blind one; evaluations are kept."""
    values = VALUES | {"batch_size": 128, "gradient_steps": 150, "hidden": (64, 32), "learning_rate": 1e-3}
    sizes = touch.Preset(16, 0, 16 * 8 * 4, 64, 1, "controller", ("touch", "blind"), ("dagger",), {}, values)
    bench = touch.BenchmarkTouch(ID, out=tmp_path, device="cpu")
    assert bench.run(sizes) == 0
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    rates = {(row["mode"], row["method"]): row["success"] for row in rows}
    assert rates["privileged", "controller"] == 1.0
    # goals are uniform in +-0.2 m, success is within 0.03 m: who cannot know the goal meets at most 15 %, +- 9 % of 64
    assert rates["touch", "DAgger"] > 0.9 and rates["blind", "DAgger"] < 0.35
    with pytest.raises(ValueError, match=r"evaluation\.json is of other settings"):
        bench.run(dataclasses.replace(sizes, starts=128))
    with pytest.raises(ValueError, match="aacd starts from a critic"):
        dataclasses.replace(bench, methods=("aacd",)).run(sizes)


def test_the_docs_show_the_committed_results():
    table = ROOT / "benchmarks" / "results" / "touch_cpu"
    assert table.with_suffix(".md").read_text() in (ROOT / "docs" / "learning.md").read_text()
    rows = {row["mode"]: row for row in json.loads(table.with_suffix(".json").read_text())["rows"]}
    assert rows["reduced+force_field"]["success"] >= 0.9
    assert rows["reduced+force_field"]["low"] > rows["reduced"]["high"]


def test_the_docs_show_what_touch_is_worth_in_pouring():
    table = ROOT / "benchmarks" / "results" / "touch_pour"
    assert table.with_suffix(".md").read_text() in (ROOT / "docs" / "touch_tasks.md").read_text()
    rows = {row["mode"]: row for row in json.loads(table.with_suffix(".json").read_text())["rows"]}
    seen, blind = rows["reduced+touch"], rows["reduced"]
    assert rows["privileged"]["success"] >= 0.95 and seen["success"] >= 0.8
    assert seen["low"] > blind["high"]
    assert seen["error"] + seen["error_interval"] < blind["error"] - blind["error_interval"]
    errors = [each for run in seen["runs"] for each in run["errors"]]
    assert (seen["error"], seen["error_interval"]) == pytest.approx(touch.mean_error(errors))


def test_mean_error():
    # of 1, 2, 6: deviations -2, -1, 3 about 3, variance 14 / 2, standard error sqrt(7 / 3)
    assert touch.mean_error([1.0, 2.0, 6.0]) == pytest.approx((3.0, 1.959964 * (7 / 3) ** 0.5))
    with pytest.raises(ValueError, match="1 errors have no interval"):
        touch.mean_error([1.0])


def test_record_plays_a_policy_on_its_own_observations(tmp_path):
    folder, options = tmp_path / "run", {"episodes": 2, "num_envs": 2, "device": "cpu"}
    Train(ID, out=folder, timesteps=32, actor_mode="touch", **OPTIONS).run()
    assert Record(ID, out=tmp_path / "rec", policy=str(folder), **options).run() == 0
    assert len(Recording(tmp_path / "rec")) == 2
    blind = '{"observation_mode": "blind"}'
    with pytest.raises(ValueError, match="trained for observations"):
        Record(ID, out=tmp_path / "other", policy=str(folder), env_args=blind, **options).run()
