# SPDX-License-Identifier: Apache-2.0
"""Every field of a world's state is kept, shown and compared, whatever the world is made of."""

import dataclasses

import numpy as np
import pytest

import tests.envs.splash_task  # noqa: F401  (registers the task)
from simenv.rollouts import access, replay
from simenv.rollouts.replay import restore, state_at
from simenv.world.state import State
from simenv.world.touch_state import TouchState
from tests.robots.panda import tool
from tests.rollouts.conftest import record_with_states

# What recordings before the fields came from the state kept.
OLD = ("x", "active", "body_q", "rigid_q", "rigid_twist", "grip", "wrench", "touch", "field", "time")
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
    for field in dataclasses.fields(states[0]):
        values = [getattr(state, field.name) for state in states]
        if values[0] is None:
            assert field.name not in episode.states
            continue
        kept = episode.states[field.name]
        assert kept.dtype == values[0].numpy().dtype
        np.testing.assert_array_equal(kept, np.concatenate([value.numpy() for value in values]), err_msg=field.name)
    report = replay(episode)
    compared = {item.name: item for item in report.deviations}
    assert report.exact and {f"states/{name}" for name in episode.states} <= compared.keys()
    assert compared["states/body_q"].unit == "m, 1" and compared["states/wrench"].unit == "N, N m"


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
    looks = list(world.scene.colliders.values())
    links = [i for i, look in enumerate(looks) if look.body is not None and "/" in look.body]
    for index, before in enumerate(states):
        shown = state_at(env, episode, index)
        pose = tool(shown.joint_q[0].double().numpy())
        assert np.abs(pose[:3, 3] - before.body_q[0, world.body_names.index("hand"), :3].numpy()).max() < 1e-5
        poses = world.collider_poses(shown)[0].numpy()
        np.testing.assert_array_equal(poses, world.collider_poses(before)[0].numpy())
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


@pytest.mark.parametrize("kind", [State, TouchState])
def test_every_field_declares_a_unit(kind):
    assert set(kind.units()) == {field.name for field in dataclasses.fields(kind)}
    assert [name for name, unit in kind.units().items() if not unit] == ["memory"]  # a task's own
