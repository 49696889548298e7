# SPDX-License-Identifier: Apache-2.0
"""Every field of a world's state is kept, shown and compared, whatever the world is made of."""

import dataclasses

import numpy as np
import pytest

import tests.envs.splash_task  # noqa: F401  (registers the task)
from simenv.rollouts import access, replay
from simenv.rollouts.replay import restore, state_at
from tests.robots.panda import tool
from tests.rollouts.conftest import record_with_states

# What recordings before the fields came from the state kept.
OLD = ("x", "active", "body_q", "grip", "wrench", "field", "time")
SCENES = ("particles", "panda")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, panda_episode):
    """name -> (its episode, the states that the environment had)."""
    folder = tmp_path_factory.mktemp("particles")
    made = {"particles": record_with_states(folder, "TestEnv/Splash-v0"), "panda": panda_episode}
    return made.__getitem__


@pytest.mark.parametrize("name", SCENES)
def test_every_field_is_recorded_and_compared(recorded, name):
    episode, states = recorded(name)
    env = access.make(episode.environment)
    fields = env.unwrapped.world.fields
    env.close()
    assert set(fields) <= set(episode.states) == set(states[0])
    for field, values in episode.states.items():
        assert values.dtype == states[0][field].numpy().dtype
        seen = np.concatenate([state[field].numpy() for state in states])
        np.testing.assert_array_equal(values, seen, err_msg=field)
        if field in fields:
            assert values.shape[1:] == fields[field].shape
    report = replay(episode)
    compared = {item.name: item for item in report.deviations}
    assert report.exact and {f"states/{name}" for name in episode.states} <= compared.keys()
    assert {field: compared[f"states/{field}"].unit for field in fields} == {k: f.unit for k, f in fields.items()}
    assert {k: row["unit"] for k, row in episode.environment["state"].items()} == {k: f.unit for k, f in fields.items()}


@pytest.mark.parametrize("name", SCENES)
def test_a_value_that_is_off_by_one_bit_is_seen(recorded, name):
    episode, _ = recorded(name)
    changed = {field: values.copy() for field, values in episode.states.items()}
    sizes = {}
    for index, field in enumerate(changed):
        flat = changed[field].reshape(len(changed[field]), -1)
        if flat.dtype.kind == "f" and flat.size and index % 3:  # the others stay, and are told to be the same
            step = index % 5
            before = float(flat[step, -1])
            flat[step, -1] = np.nextafter(flat[step, -1], np.float32(np.inf))
            sizes[field] = step, float(flat[step, -1]) - before
    assert len(sizes) >= 4
    report = replay(dataclasses.replace(episode, states=changed))
    found = {item.name.removeprefix("states/"): item for item in report.deviations}
    assert not report.exact
    assert {key for key, item in found.items() if item.first_step is not None} == sizes.keys()
    for field, (step, size) in sizes.items():
        item = found[field]
        assert item.first_step == step and item.max == size
        assert item.rms == pytest.approx(size / np.sqrt(changed[field].size), rel=1e-6)


def test_states_of_an_arm_are_shown_where_it_was(recorded):
    """The published kinematics of the joints that are shown give the pose that the hand had, and its links move."""
    episode, states = recorded("panda")
    assert replay(episode, "states").remarks == ()
    env = access.make(episode.environment)
    restore(env, episode)
    world, drawn = env.unwrapped.world, []
    looks = list(world.scene.looks.values())
    links = [i for i, look in enumerate(looks) if look.body is not None and "/" in look.body]
    for index, before in enumerate(states):
        shown = state_at(env, episode, index)
        pose = tool(shown.joint_q[0, :7].double().numpy())
        assert np.abs(pose[:3, 3] - before.body_q[0, world.body_names.index("arm/tool"), :3].numpy()).max() < 1e-5
        poses = world.look_poses(shown)[0].numpy()
        np.testing.assert_array_equal(poses, world.look_poses(before)[0].numpy())
        drawn.append(poses[links])
    assert len(links) >= 7 and (np.abs(drawn[-1] - drawn[0]).max(1) > 1e-5).sum() >= 7
    env.close()


@pytest.mark.parametrize("name", SCENES)
def test_an_old_recording_is_read_and_says_what_it_lacks(recorded, name):
    episode, states = recorded(name)
    old = dataclasses.replace(episode, states={key: episode.states[key] for key in OLD if key in episode.states})
    assert replay(old).exact
    (remark,) = replay(old, "states").remarks
    assert ("joint_q" if name == "panda" else "v, C") in remark and "body_q" not in remark
    env = access.make(old.environment)
    restore(env, old)
    state = state_at(env, old, 3)
    assert state.body_q.equal(states[3].body_q) and state.time.equal(states[3].time)
    env.close()
