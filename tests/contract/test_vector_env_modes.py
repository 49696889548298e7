# SPDX-License-Identifier: Apache-2.0
"""Rules of Gymnasium's vector interface in the three autoreset modes, in NumPy and torch, on the real world."""

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv

from simenv.envs import vector_env
from tests.envs.splash_task import Splash

WORLDS = 3
Make = Callable[..., VectorEnv]


@pytest.fixture
def make() -> Iterator[Make]:
    made = []

    def make(**kwargs: Any) -> VectorEnv:
        env = gym.make_vec(Splash.task_id, **{"num_envs": WORLDS, "device": "cpu", **kwargs})
        made.append(env)
        return env

    yield make
    for env in made:
        env.close()


def action(env: VectorEnv, value: float = 0.5) -> Any:
    array = np.full((env.num_envs, 2), value, dtype=np.float32)
    return array if env.unwrapped.output == "numpy" else torch.from_numpy(array)


def array(data: Any) -> np.ndarray:
    return data.detach().numpy().copy() if isinstance(data, torch.Tensor) else np.array(data)


def staggered(make: Make, **kwargs: Any) -> VectorEnv:
    """An environment whose first world has done one step more than the others, so that it ends alone."""
    env = make(max_episode_steps=3, **kwargs)
    env.reset(seed=5)
    env.step(action(env))
    mask = np.array([False, True, True])
    env.reset(options={"reset_mask": mask})
    return env


both_outputs = pytest.mark.parametrize("output", ["numpy", "torch"])
all_modes = pytest.mark.parametrize("mode", ["next_step", "same_step", "disabled"])


@both_outputs
def test_next_step_returns_the_last_observation_then_resets(make: Make, output: str) -> None:
    env = staggered(make, output=output)
    env.step(action(env))
    last, _, terminated, truncated, info = env.step(action(env))
    assert array(truncated).tolist() == [True, False, False]
    assert not array(terminated).any()
    assert array(info["elapsed_steps"]).tolist() == [3, 2, 2]
    # The reference: an environment without a limit shows what the last observation of that episode is.
    free = make(output=output, max_episode_steps=99)
    free.reset(seed=5)
    for _ in range(3):
        reference = free.step(action(free))[0]
    assert np.array_equal(array(last)[0], array(reference)[0])

    first, reward, terminated, truncated, info = env.step(action(env, 1.0))
    fresh = make(output=output)
    fresh.reset(seed=5)
    expected, _ = fresh.reset()
    assert np.array_equal(array(first)[0], array(expected)[0])
    assert float(reward[0]) == 0.0
    assert all(float(term[0]) == 0.0 for name, term in info["reward_terms"].items() if not name.startswith("_"))
    assert array(truncated).tolist() == [False, True, True]
    assert not array(terminated).any()
    assert array(info["elapsed_steps"]).tolist() == [0, 3, 3]


@both_outputs
def test_next_step_ignores_the_action_of_a_resetting_world(make: Make, output: str) -> None:
    results = []
    for value in (0.0, 1.0, float("nan")):
        env = staggered(make, output=output)
        env.step(action(env))
        env.step(action(env))
        actions = action(env)
        actions[0] = value
        results.append([array(env.step(actions)[0]), array(env.step(action(env))[0])])
    for other in results[1:]:
        assert np.array_equal(results[0][0], other[0])
        assert np.array_equal(results[0][1], other[1])


@both_outputs
def test_same_step_gives_the_next_observation_and_the_final_one(make: Make, output: str) -> None:
    env = staggered(make, output=output, autoreset_mode="same_step")
    _, _, _, _, info = env.step(action(env))
    if output == "numpy":
        assert "final_obs" not in info
    else:
        assert not info["_final_obs"].any()
    observation, reward, _, truncated, info = env.step(action(env))
    assert array(truncated).tolist() == [True, False, False]
    assert array(info["_final_obs"]).tolist() == [True, False, False]
    assert array(info["_final_info"]).tolist() == [True, False, False]
    assert array(info["final_info"]["_success"]).tolist() == [True, False, False]
    assert int(info["final_info"]["elapsed_steps"][0]) == 3
    assert float(reward[0]) == pytest.approx(
        sum(float(value[0]) for name, value in info["reward_terms"].items() if not name.startswith("_"))
    )
    reference = make(output=output, max_episode_steps=99)
    reference.reset(seed=5)
    for _ in range(3):
        last = reference.step(action(reference))[0]
    assert np.array_equal(array(info["final_obs"])[0], array(last)[0])
    reference.reset(seed=5)
    assert np.array_equal(array(observation)[0], array(reference.reset()[0])[0])
    assert np.array_equal(array(observation)[1:], array(info["final_obs"])[1:])


def test_same_step_final_observation_of_a_dict(make: Make) -> None:
    env = make(output="numpy", autoreset_mode="same_step", max_episode_steps=1, observe_dict=True)
    env.reset(seed=0)
    observation, *_, info = env.step(action(env))
    assert info["final_obs"] in env.observation_space
    assert not np.array_equal(info["final_obs"]["points"], observation["points"])


def test_disabled_numpy_refuses_to_step_a_done_world(make: Make) -> None:
    env = staggered(make, output="numpy", autoreset_mode="disabled")
    env.step(action(env))
    env.step(action(env))
    before = env.get_state()
    with pytest.raises(ResetNeeded, match=r"Worlds \[0\] are done and autoreset is disabled; call reset\(options="):
        env.step(action(env))
    assert all(torch.equal(before[name], value) for name, value in env.get_state().items())
    env.reset(options={"reset_mask": np.array([True, False, False])})
    env.step(action(env))


def test_disabled_torch_freezes_a_done_world(make: Make) -> None:
    env = staggered(make, output="torch", autoreset_mode="disabled")
    env.step(action(env))
    last, *_ = env.step(action(env))
    for _ in range(2):
        observation, reward, terminated, truncated, info = env.step(action(env))
        assert torch.equal(observation[0], last[0])
        assert float(reward[0]) == 0.0
        assert bool(truncated[0])
        assert not bool(terminated[0])
        assert int(info["elapsed_steps"][0]) == 3


@both_outputs
@all_modes
def test_the_mode_is_in_the_metadata_of_the_instance_only(make: Make, output: str, mode: str) -> None:
    env = make(output=output, autoreset_mode=mode)
    assert (
        env.metadata["autoreset_mode"]
        is {
            "next_step": AutoresetMode.NEXT_STEP,
            "same_step": AutoresetMode.SAME_STEP,
            "disabled": AutoresetMode.DISABLED,
        }[mode]
    )
    assert "autoreset_mode" not in type(env).metadata
    assert env.metadata["render_fps"] == 250  # the control step of Splash is 4 ms
    assert env.spec.id == Splash.task_id
    env.spec = env.spec  # make_vec assigns it


def test_mode_may_be_an_enum_or_its_value(make: Make) -> None:
    assert make(autoreset_mode=AutoresetMode.SAME_STEP).metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert make(autoreset_mode="SameStep").metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


@both_outputs
@all_modes
def test_reset_mask_resets_only_its_worlds_and_is_left_in_the_options(make: Make, output: str, mode: str) -> None:
    env = make(output=output, autoreset_mode=mode)
    env.reset(seed=1)
    before, *_ = env.step(action(env))
    before = array(before)
    mask = np.array([False, True, False])
    options = {"reset_mask": mask if output == "numpy" else torch.from_numpy(mask)}
    after, info = env.reset(options=options)
    assert list(options) == ["reset_mask"]
    assert np.array_equal(array(after)[~mask], before[~mask])
    assert not np.array_equal(array(after)[1], before[1])
    assert array(info["_success"]).tolist() == mask.tolist()
    assert array(env.step(action(env))[4]["elapsed_steps"]).tolist() == [2, 1, 2]


def test_reset_mask_with_a_seed_reseeds_only_its_worlds(make: Make) -> None:
    env = make()
    first, _ = env.reset(seed=1)
    env.reset()
    again, _ = env.reset(seed=1, options={"reset_mask": np.array([False, True, False])})
    assert np.array_equal(again[1], first[1])
    assert not np.array_equal(again[0], first[0])


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        ([True, False, False], TypeError, "boolean NumPy array or torch tensor, got list"),
        (np.array([1, 0, 0]), TypeError, "got int64"),
        (np.array([True]), ValueError, r"must have shape \(3,\), got \(1,\)"),
        (np.zeros(3, dtype=bool), ValueError, "True for at least one world"),
    ],
)
def test_wrong_reset_masks_are_refused(make: Make, mask: Any, error: type[Exception], message: str) -> None:
    env = make()
    env.reset(seed=0)
    with pytest.raises(error, match=message):
        env.reset(options={"reset_mask": mask})


def test_unknown_reset_options_are_refused(make: Make) -> None:
    with pytest.raises(TypeError, match=r"Unknown reset options \['rest_mask'\]"):
        make().reset(options={"rest_mask": None})


def test_seed_of_world_i_is_seed_plus_i(make: Make) -> None:
    env = make()
    at_10, _ = env.reset(seed=10)
    at_11, _ = env.reset(seed=11)
    listed, _ = env.reset(seed=[12, None, 10])
    assert np.array_equal(at_10[1:], at_11[:2])
    assert not np.array_equal(at_10[0], at_10[1])
    assert np.array_equal(listed[0], at_11[1])
    assert np.array_equal(listed[2], at_10[0])


def test_unseeded_environments_differ(make: Make) -> None:
    assert not np.array_equal(make().reset()[0], make().reset()[0])


def test_reset_accepts_numpy_integers_and_refuses_wrong_seeds(make: Make) -> None:
    env = make()
    assert np.array_equal(env.reset(seed=np.int64(4))[0], env.reset(seed=4)[0])
    assert np.array_equal(env.reset(seed=np.array([7, 8, 9]))[0], env.reset(seed=7)[0])
    with pytest.raises(ValueError, match="2 seeds were given for 3 worlds"):
        env.reset(seed=[1, 2])
    for wrong in (1.5, "123", True, [1, 2.5, 3], ["1", "2", "3"], [True, False, True]):
        with pytest.raises(TypeError, match=r"Seed .* give one integer"):
            env.reset(seed=wrong)


def test_worlds_without_a_seed_in_the_first_reset_draw_their_own(make: Make) -> None:
    first, again = (make().reset(seed=[None, 5, None])[0] for _ in range(2))
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], first[2])


def test_nothing_happens_before_the_first_reset_nor_after_close(make: Make) -> None:
    env = make()
    with pytest.raises(ResetNeeded, match=r"Call reset\(\)"):
        env.step(action(env))
    with pytest.raises(ResetNeeded, match="must reset all worlds"):
        env.reset(options={"reset_mask": np.array([True, False, False])})
    env.reset(seed=0)
    env.close()
    env.close()
    assert env.closed
    with pytest.raises(ClosedEnvironmentError, match="closed"):
        env.step(np.zeros((3, 2), dtype=np.float32))


@pytest.mark.parametrize("output", ["numpy", "torch"])
def test_returned_arrays_are_not_reused(make: Make, output: str) -> None:
    env = make(output=output, copy=True, observe_dict=True)
    held = [env.reset(seed=0)[0]]
    for _ in range(3):
        held.append(env.step(action(env))[0])
    copies = [{name: array(value) for name, value in each.items()} for each in held]
    for each in held:
        for value in each.values():
            value[:] = 7.0  # a caller may scribble on what was returned
    env.step(action(env))
    fresh = make(output=output, observe_dict=True)
    again = [fresh.reset(seed=0)[0], *(fresh.step(action(fresh))[0] for _ in range(3))]
    for one, two in zip(copies, again, strict=True):
        assert all(np.array_equal(one[name], array(two[name])) for name in one)


def test_stagger_spreads_the_first_time_limits(make: Make) -> None:
    env = make(num_envs=64, max_episode_steps=4, stagger=True, output="torch")
    env.reset(seed=0)
    ends = torch.zeros(64, dtype=torch.int64)
    for step in range(1, 5):
        truncated = env.step(torch.zeros(64, 2))[3]
        ends = torch.where((ends == 0) & truncated, step, ends)
    counts = torch.bincount(ends, minlength=5)
    assert counts[0] == 0
    assert (counts[1:] >= 6).all()  # 16 expected in each; less than 6 has probability < 0.1 % with a fair spread


def test_gymnasium_wrappers_work(make: Make) -> None:
    from gymnasium.wrappers.vector import DictInfoToList, NormalizeObservation, NormalizeReward, RecordEpisodeStatistics

    env = NormalizeReward(NormalizeObservation(RecordEpisodeStatistics(make(max_episode_steps=3))))
    env.reset(seed=0)
    infos = [env.step(action(env))[4] for _ in range(3)]
    assert infos[-1]["episode"]["l"].tolist() == [3, 3, 3]
    env = DictInfoToList(
        RecordEpisodeStatistics(make(max_episode_steps=2, autoreset_mode="same_step", observe_dict=True))
    )
    env.reset(seed=0)
    env.step(action(env))
    listed = env.step(action(env))[4]
    assert len(listed) == WORLDS
    assert {"success", "final_obs", "final_info", "episode", "reward_terms"} <= set(listed[0])
    assert listed[0]["final_obs"]["points"].shape == (4, 6)


def test_torch_output_never_asks_the_device(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU each of these waits for the device; here they would raise."""
    names = ("item", "tolist", "numpy", "cpu", "nonzero", "__bool__", "__float__", "__int__", "__index__")
    originals = {name: getattr(torch.Tensor, name) for name in names}
    for mode in ("next_step", "same_step", "disabled"):
        env = make(output="torch", autoreset_mode=mode, max_episode_steps=2)
        env.reset(seed=0)
        actions = action(env)
        world_step = env.world.step

        def unguarded(*args: Any, step: Any = world_step) -> Any:  # the solver has its own test on a GPU
            with pytest.MonkeyPatch.context() as patch:
                for name in names:
                    patch.setattr(torch.Tensor, name, originals[name])
                return step(*args)

        env.world.step = unguarded

        def refuse(self: torch.Tensor, *args: Any, **kwargs: Any) -> None:
            raise AssertionError("a step asked for the value of a tensor")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(vector_env, "surely", lambda flags: False)  # as for flags on a GPU
            for name in names:
                patch.setattr(torch.Tensor, name, refuse)
            for _ in range(4):
                env.step(actions)
