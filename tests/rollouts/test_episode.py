# SPDX-License-Identifier: Apache-2.0
"""Episode files: what is written is read back bit for bit, and what is damaged is refused, never misread."""

import dataclasses
import errno
import os

import h5py
import numpy as np
import pytest

from simenv import _files
from simenv.rollouts import RolloutError, read_episode, write_episode
from simenv.rollouts.episode import USER_BLOCK, verify


def assert_same(a, b):
    """Every field equal, dtypes and bits included."""
    for field in dataclasses.fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if field.name in ("environment", "summary"):
            assert left == right
            continue
        left, right = ({"": v} if isinstance(v, np.ndarray) else v for v in (left, right))
        assert left.keys() == right.keys()
        for key in left:
            assert left[key].dtype == right[key].dtype and left[key].shape == right[key].shape
            assert left[key].tobytes() == right[key].tobytes(), f"{field.name}/{key}"


def test_round_trip_is_bit_exact(tmp_path, episode):
    # Not-a-number with a payload and negative zero must survive: a recording is evidence, not a summary.
    odd = np.array([0x7FC12345, 0x80000000, 0x7F800000, 0x00000001, 0x3F800000], np.uint32).view(np.float32)
    episode = dataclasses.replace(episode, rewards=odd)
    digest = write_episode(tmp_path / "rollout-000000.h5", episode)
    assert_same(episode, read_episode(tmp_path / "rollout-000000.h5", digest))
    assert digest == _files.sha256(tmp_path / "rollout-000000.h5")
    assert os.listdir(tmp_path) == ["rollout-000000.h5"]


def test_parameters_are_those_of_the_initial_state(episode):
    assert episode.parameters.keys() == {"liquid.viscosity"}


def test_other_hdf5_tools_can_read_it_and_every_array_has_a_checksum(tmp_path, episode):
    write_episode(tmp_path / "e.h5", episode)
    with h5py.File(tmp_path / "e.h5", "r") as file:
        assert file.userblock_size == USER_BLOCK
        np.testing.assert_array_equal(file["actions"][()], episode.actions)
        for name in ("actions", "rewards", "observations/observation", "states/x", "initial_state/state.x"):
            assert file[name].fletcher32, name


def test_every_truncation_is_detected(tmp_path, episode):
    path = tmp_path / "e.h5"
    write_episode(path, episode)
    content = path.read_bytes()
    lengths = {0, 1, USER_BLOCK - 1, USER_BLOCK, USER_BLOCK + 1, len(content) - 1}
    lengths |= set(np.random.default_rng(0).integers(0, len(content), 60).tolist())
    for length in sorted(lengths):
        path.write_bytes(content[:length])
        with pytest.raises(RolloutError, match=r"e\.h5.*(truncated|not a simenv recording).*restore it"):
            read_episode(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(RolloutError, match="damaged"):
        read_episode(path)


def test_every_flipped_byte_is_detected_without_the_manifest(tmp_path, episode):
    path = tmp_path / "e.h5"
    write_episode(path, episode)
    content = path.read_bytes()
    random = np.random.default_rng(1)
    # The whole header, byte by byte, and a sample of the HDF5 part, one flipped bit each.
    places = [*range(USER_BLOCK), *random.integers(USER_BLOCK, len(content), 500).tolist()]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(RolloutError, match=r"e\.h5"):
            read_episode(path)
    path.write_bytes(content)
    assert_same(episode, read_episode(path))


def test_random_bytes_never_crash(tmp_path):
    random = np.random.default_rng(2)
    for size in (0, 3, 511, 512, 513, 5000):
        (tmp_path / "e.h5").write_bytes(random.bytes(size))
        with pytest.raises(RolloutError):
            read_episode(tmp_path / "e.h5")


def test_foreign_hdf5_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["actions"] = np.zeros(3)
    with pytest.raises(RolloutError, match="not a simenv recording"):
        read_episode(tmp_path / "other.h5")


def test_swapped_file_is_refused(tmp_path, episode_factory):
    digest = write_episode(tmp_path / "a.h5", episode_factory(seed=0))
    write_episode(tmp_path / "b.h5", episode_factory(seed=1))
    os.replace(tmp_path / "b.h5", tmp_path / "a.h5")
    verify(tmp_path / "a.h5")  # intact in itself ...
    with pytest.raises(RolloutError, match="another recording's file"):  # ... but not the listed one
        verify(tmp_path / "a.h5", digest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rewards": np.zeros(4)}, "rewards has 4 rows, expected 5"),
        ({"observations": {"o": np.zeros((5, 2))}}, "observations/o has 5 rows, expected 6"),
        ({"states": {"x": np.zeros((3, 2))}}, "states/x has 3 rows, expected 2"),
        ({"state_steps": np.array([3, 3])}, "state_steps must increase"),
        ({"initial_state": {"x": np.zeros((2, 2))}}, "initial_state/x has 2 rows"),
        ({"reward_terms": {"o": np.array(["a"] * 5)}}, "cannot be recorded"),
    ],
)
def test_inconsistent_episode_is_not_written(tmp_path, episode, change, message):
    with pytest.raises(RolloutError, match=message):
        write_episode(tmp_path / "e.h5", dataclasses.replace(episode, **change))
    assert os.listdir(tmp_path) == []


def test_full_disk_keeps_the_old_file_and_leaves_no_litter(tmp_path, episode_factory, monkeypatch):
    path = tmp_path / "e.h5"
    write_episode(path, episode_factory(seed=0))
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_files.os, "fsync", full)
    with pytest.raises(RolloutError, match=r"cannot write .*e\.h5: No space left on device"):
        write_episode(path, episode_factory(seed=1))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["e.h5"]
