# SPDX-License-Identifier: Apache-2.0
"""Recording on a real, small world: what is recorded is what happened, in every way of driving an environment."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch

import tests.envs.splash_task  # noqa: F401  (registers the task)
from simenv.errors import ActionError
from simenv.rollouts import Manifest, Recorder, Recording, RolloutError, replay

ID = "TestEnv/Splash-v0"
ROOT = Path(__file__).resolve().parents[2]


def make_vec(num_envs=2, **options):
    options = {"max_episode_steps": 3, "output": "numpy", "device": "cpu", **options}
    return gym.make_vec(ID, num_envs=num_envs, **options)


def drive(env, recorder, steps, seed=0):
    """Random actions; returns what the environment said, for comparison with the file."""
    log = [recorder.reset(seed=seed)[0]]
    random = np.random.default_rng(seed)
    results = []
    for _ in range(steps):
        action = random.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        results.append((action, *recorder.step(action)))
    return log, results


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Next-step autoreset, 2 worlds, 8 steps of episodes of 3: the 4th and 8th call only reset."""
    directory = tmp_path_factory.mktemp("recorded")
    env = make_vec()
    with Recorder(directory, env, states="all") as recorder:
        log, results = drive(env, recorder, 8)
    env.close()
    return directory, log, results


def test_episodes_are_per_world_and_hold_what_step_returned(recorded):
    directory, log, results = recorded
    recording = Recording(directory)
    assert len(recording) == 4 and recording.check() == {}
    for episode in recording:
        world, number = episode.summary["world"], episode.summary["episode"]
        start = 4 * number
        steps = results[start : start + 3]
        np.testing.assert_array_equal(episode.actions, [r[0][world] for r in steps])
        np.testing.assert_array_equal(episode.rewards, [r[2][world] for r in steps])
        np.testing.assert_array_equal(episode.truncated, [False, False, True])
        first = log[0][world] if number == 0 else results[start - 1][1][world]
        np.testing.assert_array_equal(episode.observations["observation"], [first, *(r[1][world] for r in steps)])
        np.testing.assert_allclose(sum(episode.reward_terms.values()), episode.rewards, rtol=1e-5)
        assert episode.summary["seed"] == world and episode.summary["complete"]
        assert episode.summary["return"] == pytest.approx(float(np.sum(episode.rewards, dtype=np.float64)))
        assert episode.state_steps.tolist() == [0, 1, 2, 3]
        np.testing.assert_allclose(np.diff(episode.states["time"]), 4e-3, rtol=1e-4)


def test_replay_from_actions_is_bit_exact_and_notices_a_changed_action(recorded):
    recording = Recording(recorded[0])
    for episode in recording:
        report = replay(episode, device="cpu")
        assert report.exact and report.max_deviation == 0 and report.steps == 3 and report.remarks == ()
        assert {d.name for d in report.deviations} >= {"rewards", "states/x", "observations/observation"}
    actions = recording[0].actions.copy()
    actions[1] = -actions[1]
    report = replay(dataclasses.replace(recording[0], actions=actions), device="cpu")
    found = {d.name: d for d in report.deviations}
    # The paddle moves at 0.1 m/s times the action for 4 ms: reversing one action displaces it by twice that.
    expected = 2 * 0.1 * 4e-3 * np.abs(actions[1]).max()
    assert not report.exact and found["states/body_q"].first_step == 2
    assert found["states/body_q"].max == pytest.approx(expected, rel=1e-3)


def test_replay_uses_the_recorded_parameters(recorded):
    """The same actions in another liquid give another motion, so parameters must come from the file."""
    episode = Recording(recorded[0])[0]
    assert episode.parameters["liquid.viscosity"][0] > 0
    state = dict(episode.initial_state)
    state["parameter.liquid.density"] = state["parameter.liquid.density"] * 2
    assert not replay(dataclasses.replace(episode, initial_state=state), device="cpu").exact


def test_parameters_assigned_after_the_reset_are_recorded(tmp_path):
    env = make_vec()
    viscosity = torch.tensor([0.5, 2.0])
    with Recorder(tmp_path, env, states="all") as recorder:
        recorder.reset(seed=0)
        env.unwrapped.parameters["liquid.viscosity"] = viscosity
        with pytest.raises(ActionError):
            recorder.step(np.full(env.action_space.shape, np.nan, np.float32))
        for _ in range(3):
            recorder.step(np.zeros(env.action_space.shape, np.float32))
    env.close()
    for episode, value in zip(Recording(tmp_path), viscosity, strict=True):
        assert episode.parameters["liquid.viscosity"] == value
        assert episode.state_steps.tolist() == [0, 1, 2, 3]
        assert replay(episode).exact


def test_states_are_played_without_simulation(recorded):
    report = replay(Recording(recorded[0])[0], "states", device="cpu")
    assert report.mode == "states" and report.steps == 4 and report.exact is None


def test_manifest_rebuilds_the_environment(recorded):
    manifest = Manifest.load(recorded[0])
    environment = manifest.environment
    assert environment["id"] == ID and manifest.seed == 0 and environment["max_episode_steps"] == 3
    assert environment["control_dt"] == pytest.approx(4e-3) and environment["substeps"] == 4
    assert environment["action"][0] == {"name": "paddle velocity x", "unit": "speed", "low": -1.0, "high": 1.0}
    assert environment["dtype"] == "float32" and environment["device"] == "cpu"


@pytest.mark.parametrize("mode", ["same_step", "disabled"])
def test_other_autoreset_modes_give_the_same_episodes(recorded, tmp_path, mode):
    """An episode depends on its seed, number and actions only, not on how the batch resets."""
    reference = Recording(recorded[0])
    env = make_vec(autoreset_mode=mode)
    with Recorder(tmp_path, env) as recorder:
        recorder.reset(seed=0)
        for number in range(2):
            pair = [e for e in reference if e.summary["episode"] == number]
            for step in range(3):
                recorder.step(np.stack([episode.actions[step] for episode in pair]))
            if mode == "disabled" and number == 0:
                recorder.reset(options={"reset_mask": np.array([True, True])})
    env.close()
    assert len(Recording(tmp_path)) == 4
    for a, b in zip(reference, Recording(tmp_path), strict=True):
        assert a.summary["world"] == b.summary["world"] and a.summary["episode"] == b.summary["episode"]
        for name in ("actions", "rewards", "terminated", "truncated"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        np.testing.assert_array_equal(a.observations["observation"], b.observations["observation"])
        for name in a.initial_state:
            np.testing.assert_array_equal(a.initial_state[name], b.initial_state[name], err_msg=name)


def test_partial_reset_keeps_the_other_world_running(tmp_path):
    env = make_vec(autoreset_mode="disabled")
    zero = np.zeros(env.action_space.shape, np.float32)
    with Recorder(tmp_path, env) as recorder:
        recorder.reset(seed=0)
        recorder.step(zero)
        recorder.reset(options={"reset_mask": np.array([False, True])})
        recorder.step(zero)
    env.close()
    rows = Manifest.load(tmp_path).episodes
    assert [(r["world"], r["episode"], r["length"], r["complete"]) for r in rows] == [
        (1, 0, 1, False),
        (0, 0, 2, False),
        (1, 1, 1, False),
    ]
    assert all(replay(episode, device="cpu").exact for episode in Recording(tmp_path))


def test_single_environment(tmp_path):
    env = gym.make(ID, max_episode_steps=3, device="cpu")
    with Recorder(tmp_path, env, states="none") as recorder:
        recorder.reset(seed=5)
        for _ in range(3):
            result = recorder.step(np.array([0.5, -0.25], np.float32))
        assert result[3] and isinstance(result[1], float)
        with pytest.raises(RolloutError, match="reset"):
            recorder.step(np.zeros(2, np.float32))
    env.close()
    (episode,) = Recording(tmp_path)
    assert len(episode) == 3 and episode.summary["seed"] == 5 and episode.states == {}
    assert replay(episode, device="cpu").exact


def test_torch_float64_dict_observations_and_failed_worlds(tmp_path):
    """A world whose simulation fails ends alone; its record says why and reproduces it."""
    env = make_vec(output="torch", dtype="float64", explode_above=0.5, observe_dict=True, max_episode_steps=4)
    with Recorder(tmp_path, env, stride=2) as recorder:
        recorder.reset(seed=1)
        for _ in range(4):
            recorder.step(torch.tensor([[0.1, 0.0], [0.9, 0.0]], dtype=torch.float64))
    env.close()
    failed = next(e for e in Recording(tmp_path) if e.summary["world"] == 1)
    sound = next(e for e in Recording(tmp_path) if e.summary["world"] == 0)
    assert failed.summary["outcome"]["sim_status"] != 0 and failed.summary["terminated"]
    assert sound.summary["outcome"]["sim_status"] == 0 and sound.state_steps.tolist() == [0, 2, 4]
    assert sound.observations.keys() == {"points", "paddle", "goal"} and sound.actions.dtype == np.float64
    assert replay(failed, device="cpu").exact and replay(sound, device="cpu").exact


def test_directory_is_continued_by_the_same_environment_only(tmp_path):
    for seed in (0, 1):
        env = make_vec(num_envs=1)
        with Recorder(tmp_path, env) as recorder:
            drive(env, recorder, 3, seed)
            with pytest.raises(RolloutError, match="another Recorder"):
                Recorder(tmp_path, env)
        env.close()
    assert [r["seed"] for r in Manifest.load(tmp_path).episodes] == [0, 1]
    # A process killed between a file and its row: the next recorder lists the file.
    manifest = Manifest.load(tmp_path)
    manifest.episodes.pop()
    manifest.save(tmp_path)
    env = make_vec(num_envs=1)
    with Recorder(tmp_path, env) as recorder:
        assert recorder.episode_count == 2
    env.close()
    env = make_vec(num_envs=1, speed=0.2)
    with pytest.raises(RolloutError, match=r"another environment \(different: arguments, kwargs\)"):
        Recorder(tmp_path, env)
    env.close()


def test_wrappers_that_change_actions_are_refused(tmp_path):
    env = gym.wrappers.RescaleAction(gym.make(ID, device="cpu"), -2.0, 2.0)
    with pytest.raises(RolloutError, match="RescaleAction"):
        Recorder(tmp_path, env)
    env.close()
    with pytest.raises(RolloutError, match="not a simenv environment"):
        Recorder(tmp_path, gym.make("CartPole-v1"))


def test_wrong_options(tmp_path):
    env = make_vec(num_envs=1)
    with pytest.raises(RolloutError, match="states='some'"):
        Recorder(tmp_path, env, states="some")
    (tmp_path / "file").touch()
    with pytest.raises(RolloutError, match="no directory to record into"):
        Recorder(tmp_path / "file", env)
    with pytest.raises(RolloutError, match="stride=0"):
        Recorder(tmp_path, env, stride=0)
    env.close()


KILLED = """
import sys, numpy as np, gymnasium as gym
import tests.envs.splash_task
from simenv.rollouts import Recorder
env = gym.make_vec("TestEnv/Splash-v0", num_envs=2, max_episode_steps=2, device="cpu")
with Recorder(sys.argv[1], env) as recorder:
    recorder.reset(seed=0)
    while True:
        recorder.step(np.zeros(env.action_space.shape, np.float32))
"""


def test_sigkill_loses_the_episodes_in_progress_only(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 300
        while len(list(tmp_path.glob("rollout-*.h5"))) < 20 and time.monotonic() < deadline:
            assert process.poll() is None, "the recording process ended by itself"
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    recording = Recording(tmp_path)
    assert len(recording) >= 20 and recording.check() == {}
    # Every finished episode is there, without a gap; at most the last file has no row yet.
    assert [p.name for p in recording.files] == [f"rollout-{i:06d}.h5" for i in range(len(recording))]
    assert len(Manifest.load(tmp_path).episodes) >= len(recording) - 1
    assert replay(recording[len(recording) - 1], device="cpu").exact
    # The lock died with the process, and a new recorder sweeps up what it left.
    env = gym.make_vec(ID, num_envs=2, max_episode_steps=2, device="cpu")
    with Recorder(tmp_path, env) as recorder:
        assert recorder.episode_count == len(recording)
    env.close()
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


def test_a_number_of_episodes_is_shared_by_the_worlds(tmp_path):
    """Of 3 episodes in 2 worlds, world 0 records two, whichever end first."""
    env = make_vec()
    with Recorder(tmp_path, env, episodes=3, keep_partial=False) as recorder:
        recorder.reset(seed=0)
        recorder.reset(seed=0)  # what an early reset drops is recorded later
        calls = 0
        while not recorder.done:
            recorder.step(np.zeros(env.action_space.shape, np.float32))
            calls += 1
    env.close()
    assert calls == 7  # 3 steps, 1 reset, 3 steps
    assert [(r["world"], r["episode"]) for r in Manifest.load(tmp_path).episodes] == [(0, 0), (1, 0), (0, 1)]
