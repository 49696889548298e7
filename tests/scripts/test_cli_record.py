# SPDX-License-Identifier: Apache-2.0
"""`simenv record`, `replay` and `info` on a real, small world."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tests.envs.splash_task  # noqa: F401  (registers the task)
from simenv.rollouts import Recording
from simenv.scripts import cli

ID = "TestEnv/Splash-v0"
ROOT = Path(__file__).resolve().parents[2]
FAST = ("--steps", "4", "--device", "cpu")


def run(capsys, *arguments):
    """(exit status, stdout, stderr)."""
    status = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_record_then_replay(capsys, tmp_path):
    status, out, _ = run(capsys, "record", ID, "--episodes", 3, "--num-envs", 2, "--out", tmp_path, *FAST)
    assert status == 0 and "recorded 3 episodes" in out
    assert [len(episode) for episode in Recording(tmp_path)] == [4, 4, 4]
    status, out, _ = run(capsys, "replay", tmp_path)
    assert status == 0 and out.count("bit for bit") == 3
    status, out, _ = run(capsys, "replay", tmp_path / "rollout-000001.h5", "--json")
    report = json.loads(out)["episodes"]["rollout-000001.h5"]
    assert status == 0 and report["exact"] and report["steps"] == 4
    assert run(capsys, "replay", tmp_path, "--mode", "states", "--episode", 0)[0] == 0
    status, _, err = run(capsys, "replay", tmp_path, "--episode", 7)
    assert status == 2 and "episodes 0 to 2" in err


def test_damage_is_status_2_and_the_others_are_replayed(capsys, tmp_path):
    run(capsys, "record", ID, "--episodes", 2, "--out", tmp_path, *FAST)
    path = tmp_path / "rollout-000000.h5"
    path.write_bytes(path.read_bytes()[:-5])
    status, out, err = run(capsys, "replay", tmp_path)
    assert status == 2 and "rollout-000000.h5: truncated" in err and err.count("\n") == 1
    assert out.count("bit for bit") == 1
    status, _, err = run(capsys, "replay", tmp_path, "--tolerance", -1)
    assert status == 2 and "--tolerance -1.0 must be at least 0" in err


def test_recorded_table_of_actions(capsys, tmp_path):
    table = np.random.default_rng(0).uniform(-1, 1, (3, 2)).astype(np.float32)
    np.save(tmp_path / "table.npy", table)
    policy = ("--policy", tmp_path / "table.npy")
    run(capsys, "record", ID, "--episodes", 4, "--num-envs", 2, "--out", tmp_path / "run", *policy, *FAST)
    for episode in Recording(tmp_path / "run"):
        # Every episode plays the table from its beginning, then holds the last action.
        np.testing.assert_array_equal(episode.actions, table[[0, 1, 2, 2]])
    # The folder of a `simenv optimize` run stands for the actions it found.
    (tmp_path / "table.npy").rename(tmp_path / "best_actions.npy")
    run(capsys, "record", ID, "--out", tmp_path / "best", "--policy", tmp_path, *FAST)
    np.testing.assert_array_equal(Recording(tmp_path / "best")[0].actions, table[[0, 1, 2, 2]])
    run(capsys, "record", ID, "--out", tmp_path / "zero", "--policy", "zero", *FAST)
    assert not Recording(tmp_path / "zero")[0].actions.any()


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("nonsense", "use random, zero"),
        ("wrong.npy", "actions have shape (3, 5)"),
        ("text.npy", "not readable"),
        ("complex.npy", "dtype complex128; save real numbers"),
    ],
)
def test_wrong_policies(capsys, tmp_path, policy, message):
    np.save(tmp_path / "wrong.npy", np.zeros((3, 5)))
    (tmp_path / "text.npy").write_text("hello")
    np.save(tmp_path / "complex.npy", np.zeros((3, 2), complex))
    name = tmp_path / policy if policy.endswith(".npy") else policy
    status, _, err = run(capsys, "record", ID, "--policy", name, "--out", tmp_path / "run", *FAST)
    assert status == 2 and message in err


def test_unknown_task_argument(capsys, tmp_path):
    status, _, err = run(capsys, "record", ID, "--env-args", '{"sped": 1}', "--out", tmp_path, *FAST)
    assert status == 2 and "sped" in err and err.count("\n") == 1


def test_real_motion(capsys):
    motion = ROOT / "assets" / "motions" / "pour.csv"
    status, out, _ = run(capsys, "replay", motion, "--env", ID, "--device", "cpu", "--json")
    report = json.loads(out)
    assert status == 0 and report["steps"] == 625 and report["position_error_max"] < 1e-5
    assert report["angle_error_max"] < 1e-4 and set(report["evaluation"]) == {"success", "terminated", "distance"}


def test_info(capsys):
    status, out, _ = run(capsys, "info", ID, "--json")
    facts = json.loads(out)
    assert status == 0 and facts["particles"] == 64 and facts["bodies"] == ["paddle"]
    assert facts["parameters"]["liquid.density"] == 1000.0 and facts["action"][1]["unit"] == "speed"
    assert facts["state"]["x"] == {"shape": [64, 3], "unit": "m", "about": "positions of the particles"}
    assert facts["colliders"] == ["blade"] and facts["gels"] == []
    status, out, _ = run(capsys, "info", ID)
    assert status == 0 and "Push a falling blob" in out and "paddle velocity x" in out
    assert "colliders: blade" in out and "gels" not in out and "velocities of the particles" in out
    assert "Push a falling blob" in run(capsys, "info", ID, "--docs-only")[1]


INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs in the background
import tests.envs.splash_task
from simenv.scripts import cli
args = ["record", "TestEnv/Splash-v0", "--episodes", "1000000", "--steps", "2", "--device", "cpu", "--out", sys.argv[1]]
sys.exit(cli.main(args))
"""


def test_interrupted_recording_is_status_130_and_keeps_what_was_finished(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 300
        while len(list(tmp_path.glob("rollout-*.h5"))) < 3 and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and "Traceback" not in err
    assert len(Recording(tmp_path)) >= 3 and Recording(tmp_path).check() == {}


def test_the_expert_of_a_task(capsys, tmp_path):
    expert = ("--policy", "expert", "--steps", 3, "--device", "cpu")
    status, _, err = run(capsys, "record", "SimEnv/PegInsertion-v0", "--out", tmp_path / "a", *expert)
    assert status == 0, err
    (episode,) = Recording(tmp_path / "a")
    # it lowers the peg from where it starts, well above the socket
    assert np.ptp(episode.actions) > 0.1 and (episode.actions[:, 2] < 0).all()
    status, _, err = run(capsys, "record", ID, "--out", tmp_path / "b", *expert)
    assert status == 2 and "--policy expert: Splash has none" in err


def test_a_policy_folder_that_holds_none_gets_advice_that_record_can_follow(capsys, tmp_path):
    policy = tmp_path / "policy"
    policy.mkdir()
    arguments = ("record", ID, "--policy", policy, "--out", tmp_path / "out", *FAST)
    status, _, err = run(capsys, *arguments)
    assert status == 2 and "no checkpoint in" in err and "of `simenv train` or `simenv optimize`" in err
    (policy / "last").write_text("000001\n")
    (policy / "000001").mkdir()
    status, _, more = run(capsys, *arguments)
    assert status == 2 and "cannot be read" in more and "train again" in more
    assert "resume" not in err + more
    assert not (tmp_path / "out").exists()
