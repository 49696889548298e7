# SPDX-License-Identifier: Apache-2.0
"""The manifest, the reader and the directory lock."""

import json

import numpy as np
import pytest

from simenv.rollouts import Manifest, Recording, RolloutError, write_episode
from simenv.rollouts.lock import lock_directory
from simenv.rollouts.manifest import finite


@pytest.fixture
def recording(tmp_path, episode_factory):
    """A directory of three episodes."""
    manifest = Manifest(episode_factory().environment, seed=7)
    for index in range(3):
        episode = episode_factory(seed=index)
        name = f"rollout-{index:06d}.h5"
        digest = write_episode(tmp_path / name, episode)
        manifest.episodes.append({"file": name, "sha256": digest, **episode.summary})
    manifest.save(tmp_path)
    return tmp_path


def test_manifest_round_trip(recording):
    manifest = Manifest.load(recording)
    assert manifest.seed == 7
    assert [row["file"] for row in manifest.episodes] == [f"rollout-00000{i}.h5" for i in range(3)]
    assert manifest.environment["versions"]["h5py"]


def attempt(directory):
    """(error message, None) or ("", manifest)."""
    try:
        return "", Manifest.load(directory)
    except RolloutError as error:
        return str(error), None


def test_any_change_of_the_manifest_is_detected(recording):
    path = recording / "manifest.json"
    content = path.read_bytes()
    intact = Manifest.load(recording)
    random = np.random.default_rng(0)
    for place in random.integers(0, len(content), 300):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        message, manifest = attempt(recording)
        if manifest is None:
            assert "manifest.json" in message and ("delete it" in message or "update simenv" in message)
        else:  # a flip between kinds of white space says the same
            assert manifest == intact
    for length in random.integers(0, len(content) - 2, 50):
        path.write_bytes(content[:length])
        with pytest.raises(RolloutError, match=r"manifest\.json"):
            Manifest.load(recording)


def test_damaged_episode_does_not_hide_the_others(recording):
    path = recording / "rollout-000001.h5"
    path.write_bytes(path.read_bytes()[:-1])
    reader = Recording(recording)
    assert len(reader) == 3
    assert list(reader.check()) == ["rollout-000001.h5"]
    assert reader[0].summary["seed"] == 0 and reader[2].summary["seed"] == 2
    with pytest.raises(RolloutError, match=r"rollout-000001\.h5: truncated"):
        reader[1]


def test_missing_episode_is_named(recording):
    (recording / "rollout-000002.h5").unlink()
    assert "no such recording" in Recording(recording).check()["rollout-000002.h5"]


def test_unlisted_intact_episode_is_read(recording, episode_factory):
    write_episode(recording / "rollout-000003.h5", episode_factory(seed=3))
    assert len(Recording(recording)) == 4 and Recording(recording)[3].summary["seed"] == 3


def test_rebuild_makes_the_same_rows_from_the_episodes(recording):
    before = Manifest.load(recording)
    (recording / "manifest.json").unlink()
    assert len(Recording(recording)) == 3
    after, errors = Manifest.rebuild(recording)
    assert after.episodes == before.episodes and after.environment == before.environment and not errors


def test_rebuild_leaves_out_the_damaged(recording):
    (recording / "rollout-000000.h5").write_bytes(b"nonsense")
    manifest, errors = Manifest.rebuild(recording)
    assert len(manifest.episodes) == 2 and "rollout-000000.h5" in str(errors[0])


def test_single_file_needs_no_manifest(recording):
    (recording / "manifest.json").unlink()
    assert Recording(recording / "rollout-000002.h5")[0].summary["seed"] == 2


@pytest.mark.parametrize("content", ["[]", "{}", '{"format": "x"}', "null", "[" * 100_000])
def test_foreign_json_is_refused(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(RolloutError, match=r"manifest\.json"):
        Manifest.load(tmp_path)


def test_arguments_that_are_not_json_are_refused(tmp_path):
    with pytest.raises(RolloutError, match="not JSON"):
        Manifest({"kwargs": {"f": object()}}).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_manifest_is_plain_json(recording):
    content = json.loads((recording / "manifest.json").read_text())
    assert content["schema"] == 1 and content["environment"]["id"] == "Test/Nothing-v0"


def test_finite_numbers_only():
    assert finite(np.float32(1.5)) == 1.5 and finite(np.nan) is None and finite(-np.inf) is None


def test_one_writer_per_directory(tmp_path):
    first = lock_directory(tmp_path)
    with pytest.raises(RolloutError, match="another Recorder"):
        lock_directory(tmp_path)
    first.release()
    first.release()
    lock_directory(tmp_path).release()
