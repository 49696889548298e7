# SPDX-License-Identifier: Apache-2.0
"""Checkpoints survive crashes and damage, and a resumed run repeats the uninterrupted one to the last bit."""

import dataclasses
import os

import numpy as np
import pytest
import torch

from simenv.agents import cma_es, random_search, trajectory
from simenv.agents.checkpoint import CheckpointError, has_checkpoint, load_checkpoint, save_checkpoint
from simenv.agents.cma_es import CmaConfig
from simenv.agents.random_search import RandomConfig
from simenv.agents.result import Code
from simenv.agents.trajectory import GradientConfig

GRADIENT = GradientConfig(
    seed=1,
    iterations=25,
    screen=2,
    horizon_start=10,
    growth_limit=5,
    train_window=20,
    stop_on_success=False,
    checkpoint_every=4,
)
RUNS = {
    "gradient": (trajectory.optimize, GRADIENT),
    "cma": (cma_es.optimize, CmaConfig(seed=1, iterations=25, stop_on_success=False, checkpoint_every=4)),
    "random": (random_search.optimize, RandomConfig(seed=1, iterations=25, stop_on_success=False, checkpoint_every=4)),
}


def same(first, second):
    """Bitwise equality of two results in everything but wall time."""
    assert np.array_equal(first.actions, second.actions)
    assert first.best_return == second.best_return and first.code is second.code
    assert first.simulated_steps == second.simulated_steps and first.gradient_steps == second.gradient_steps
    assert np.array_equal(first.nonfinite, second.nonfinite)
    rows = [np.array([r.row()[:-1] for r in result.history]) for result in (first, second)]
    assert np.array_equal(*rows, equal_nan=True)


@pytest.mark.parametrize("method", RUNS)
@pytest.mark.parametrize("call", [2, 11, 20])
def test_resume_after_ctrl_c_equals_an_uninterrupted_run(analytic_env, tmp_path, method, call):
    optimize, config = RUNS[method]
    whole = optimize(analytic_env(4), config)
    config = dataclasses.replace(config, checkpoint_dir=str(tmp_path / "run"), resume=True)
    env = analytic_env(4)
    env.interrupt_at = call  # Ctrl-C in the middle of a rollout
    half = optimize(env, config)
    assert half.code is Code.INTERRUPTED and len(half.history) < 25
    same(optimize(analytic_env(4), config), whole)


@pytest.mark.parametrize("method", RUNS)
def test_resume_after_a_kill_repeats_from_the_last_checkpoint(analytic_env, tmp_path, method):
    optimize, config = RUNS[method]
    whole = optimize(analytic_env(4), config)
    config = dataclasses.replace(config, checkpoint_dir=str(tmp_path), resume=True)

    def die(record, metrics):
        if record.iteration == 11:  # the last checkpoint is that of iteration 8
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        optimize(analytic_env(4), config, die)
    assert load_checkpoint(tmp_path)[2] == 8
    same(optimize(analytic_env(4), config), whole)


def test_resuming_a_finished_run_simulates_nothing(analytic_env, tmp_path):
    optimize, config = RUNS["random"]
    config = dataclasses.replace(config, checkpoint_dir=str(tmp_path), resume=True)
    first = optimize(analytic_env(4), config)
    env = analytic_env(4)
    same(first, optimize(env, config))
    assert env.calls == 0


def test_more_iterations_continue_a_finished_run(analytic_env, tmp_path):
    optimize, config = RUNS["cma"]
    long = optimize(analytic_env(4), dataclasses.replace(config, iterations=30))
    config = dataclasses.replace(config, checkpoint_dir=str(tmp_path), resume=True)
    optimize(analytic_env(4), config)
    same(optimize(analytic_env(4), dataclasses.replace(config, iterations=30)), long)


def test_resuming_with_other_options_is_refused(analytic_env, tmp_path):
    optimize, config = RUNS["gradient"]
    config = dataclasses.replace(config, checkpoint_dir=str(tmp_path), resume=True, iterations=3)
    optimize(analytic_env(4), config)
    with pytest.raises(CheckpointError, match=r"learning_rate: 0.1 there, 0.2 now"):
        optimize(analytic_env(4), dataclasses.replace(config, learning_rate=0.2))
    with pytest.raises(CheckpointError, match="worlds: 4 there, 5 now"):
        optimize(analytic_env(5), config)
    with pytest.raises(CheckpointError, match="method: 'gradient' there, 'random' now"):
        random_search.optimize(analytic_env(4), RandomConfig(checkpoint_dir=str(tmp_path), resume=True))


def write(directory, step, value):
    return save_checkpoint(directory, step, {"a": torch.full((3,), value)}, {"note": value})


def test_round_trip_keeps_every_bit(tmp_path):
    generator = torch.Generator().manual_seed(3)
    arrays = {
        "rng": generator.get_state(),
        "f64": torch.randn(4, 5, dtype=torch.float64),
        "np": np.arange(4, dtype=np.int64),
    }
    arrays["view"] = torch.arange(12.0).reshape(3, 4).T  # not contiguous
    random = np.random.default_rng(5)
    save_checkpoint(tmp_path, 7, arrays, {"numpy": random.bit_generator.state, "x": 0.1 + 0.2})
    loaded, meta, step = load_checkpoint(tmp_path)
    assert step == 7 and meta["x"] == 0.1 + 0.2
    for name, value in arrays.items():
        expected = torch.as_tensor(value)
        assert loaded[name].dtype == expected.dtype and torch.equal(loaded[name], expected)
    other = np.random.default_rng()
    other.bit_generator.state = meta["numpy"]
    assert other.random() == random.random()


def test_loaded_arrays_are_aligned(tmp_path):
    """Vectorised sums round differently in unaligned memory, so that a resumed run would drift from the original."""
    save_checkpoint(tmp_path, 1, {f"a{n}": torch.arange(n, dtype=torch.float32) for n in range(1, 20, 2)}, {})
    assert all(value.data_ptr() % 64 == 0 for value in load_checkpoint(tmp_path)[0].values())


def test_last_points_at_the_newest_and_old_ones_go(tmp_path):
    for step in range(1, 7):
        write(tmp_path, step, float(step))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000004", "000005", "000006", "last"]
    assert load_checkpoint(tmp_path)[1] == {"note": 6.0}
    assert load_checkpoint(tmp_path / "000004")[2] == 4


def test_writing_the_same_step_again_replaces_it(tmp_path):
    write(tmp_path, 1, 1.0)
    write(tmp_path, 1, 2.0)
    assert load_checkpoint(tmp_path)[1] == {"note": 2.0}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000001", "last"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_crash_while_writing_leaves_the_previous_checkpoint(tmp_path, monkeypatch, failing):
    write(tmp_path, 1, 1.0)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, full)
        with pytest.raises(OSError, match="No space"):
            write(tmp_path, 2, 2.0)
    assert load_checkpoint(tmp_path)[1] == {"note": 1.0}
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".tmp-")]


def test_temporaries_of_a_killed_process_are_swept(tmp_path):
    (tmp_path / ".tmp-dead").mkdir()
    write(tmp_path, 1, 1.0)
    assert not (tmp_path / ".tmp-dead").exists()


def damage_flip(folder):
    content = bytearray((folder / "state.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "state.safetensors").write_bytes(content)


def damage_cut(folder):
    content = (folder / "state.safetensors").read_bytes()
    (folder / "state.safetensors").write_bytes(content[:-5])


def damage_json(folder):
    (folder / "state.json").write_text("{")


def damage_format(folder):
    (folder / "state.json").write_text("[]")


def damage_missing(folder):
    (folder / "state.safetensors").unlink()


@pytest.mark.parametrize("damage", [damage_flip, damage_cut, damage_json, damage_format, damage_missing])
def test_damage_is_named_and_nothing_older_is_used_silently(tmp_path, damage):
    write(tmp_path, 1, 1.0)
    damage(write(tmp_path, 2, 2.0))
    with pytest.raises(CheckpointError, match=r"another folder .*000001"):
        load_checkpoint(tmp_path)
    assert load_checkpoint(tmp_path / "000001")[2] == 1


def test_a_pointer_cannot_lead_elsewhere(tmp_path):
    write(tmp_path, 1, 1.0)
    (tmp_path / "last").write_text("../../etc")
    with pytest.raises(CheckpointError, match="not a checkpoint's number"):
        load_checkpoint(tmp_path)


def test_no_checkpoint(tmp_path):
    assert not has_checkpoint(tmp_path) and not has_checkpoint(None)
    with pytest.raises(CheckpointError, match="start without resume"):
        load_checkpoint(tmp_path)


def test_infinity_is_refused_in_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        save_checkpoint(tmp_path, 1, {}, {"x": float("inf")})
