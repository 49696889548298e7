# SPDX-License-Identifier: Apache-2.0
"""The disk fills while something is recorded, replayed, searched or trained: one sentence, and nothing half-written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tests.envs.splash_task  # noqa: F401  (registers the task)
from simenv.rollouts import Manifest, Recording
from simenv.scripts import cli
from tests.agents import goal_task  # noqa: F401  (registers TestEnv/Goal-v0)
from tests.full_disk import largest_file

ID = "TestEnv/Splash-v0"
ROOT = Path(__file__).resolve().parents[2]
LIMIT = 16384

# In a process of its own: what is tested is that it lives. The first episode of each world fits, the second ones of
# world 0 and 1 do not, and those that are then in progress are kept by `close`, once there is room.
FULL = f"""
import sys, numpy as np, gymnasium as gym
import tests.envs.splash_task
from simenv.rollouts import Recorder, Recording, RolloutError
from tests.full_disk import largest_file
env = gym.make_vec("{ID}", num_envs=2, max_episode_steps=3, device="cpu")
zero = np.zeros(env.action_space.shape, np.float32)
recorder = Recorder(sys.argv[1], env)
recorder.reset(seed=0)
for _ in range(6):  # three steps, a reset, two steps
    recorder.step(zero)
before = recorder.episode_count
with largest_file({LIMIT}):
    for attempt in range(2):
        try:
            recorder.step(zero) if not attempt else recorder._finish({{0: None}}, complete=False)
        except RolloutError as error:
            print("told:", error)
for _ in range(2):
    recorder.step(zero)
recorder.close()
print("counts", before, len(Recording(sys.argv[1])), recorder.env.unwrapped.num_envs)
"""


def test_a_full_disk_while_recording(tmp_path):
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    told = re.findall(
        r"told: cannot write (.*?): File too large; it needs (\d+) bytes, (\d+) bytes are free", done.stdout
    )
    assert [Path(path).name for path, _, _ in told] == ["rollout-000002.h5"] and int(told[0][1]) > LIMIT
    assert "counts 2 4 2" in done.stdout
    recording = Recording(tmp_path)
    assert recording.check() == {} and [len(episode) for episode in recording] == [3, 3, 1, 1]
    rows = Manifest.load(tmp_path).episodes
    assert [(row["world"], row["complete"]) for row in rows] == [(0, True), (1, True), (0, False), (1, False)]
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    assert cli.main(["record", ID, "--steps", "4", "--device", "cpu", "--out", str(folder)]) == 0
    # what is compiled and imported when it is first used is there before the disk is full
    assert (
        cli.main(["replay", str(folder), "--video", str(folder / "warm.mp4"), "--width", "64", "--height", "64"]) == 0
    )
    (folder / "warm.mp4").unlink()
    return folder


COMMANDS = {
    "record": (["record", ID, "--steps", "4", "--device", "cpu", "--out", "OUT"], r"rollout-000000\.h5"),
    "replay": (["replay", "RECORDED", "--video", "OUT/v.mp4", "--width", "64", "--height", "64"], r"v\.mp4"),
    "optimize": (
        [
            "optimize",
            ID,
            "--method",
            "random",
            "--iterations",
            "1",
            "--starts",
            "2",
            "--horizon",
            "3",
            "--device",
            "cpu",
        ]
        + ["--out", "OUT"],
        r"rollout-000000\.h5",
    ),
    "train": (
        [
            "train",
            "TestEnv/Goal-v0",
            "--timesteps",
            "32",
            "--num-envs",
            "4",
            "--rollout-steps",
            "8",
            "--batch-size",
            "16",
        ]
        + ["--net-arch", "64", "--actor-mode", "privileged", "--device", "cpu", "--out", "OUT"],
        r"state\.safetensors",
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_sentence_and_a_status(name, recorded, tmp_path, capsys):
    words, file = COMMANDS[name]
    words = [word.replace("OUT", str(tmp_path)).replace("RECORDED", str(recorded)) for word in words]
    with largest_file(2048 if name == "replay" else 4096):  # less than each command's first large file
        status = cli.main(words)
    out, err = capsys.readouterr()
    last = err.splitlines()[-1]
    assert status == 2 and "video:" not in out
    assert re.match(rf"simenv: error: cannot write .*{file}.* bytes are free in .*free some space", last), err
    assert "Traceback" not in err
    litter = [path.name for path in tmp_path.rglob("*") if path.name.startswith(".") and path.name != ".lock"]
    assert litter == [] and not list(tmp_path.rglob("*.h5")) and not list(tmp_path.rglob("*.mp4"))
