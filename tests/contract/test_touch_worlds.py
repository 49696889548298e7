# SPDX-License-Identifier: Apache-2.0
"""What docs/determinism.md promises, for worlds of bodies and gels: repeated runs, threads, and worlds in a batch; and
that resets neither reach other worlds, nor leave anything behind, nor take memory.
"""

import gc
import os
from pathlib import Path

import gymnasium as gym
import pytest
import torch

import simenv
from simenv import _threads

CASES = {
    "SurfaceFollow": ("SimEnv/SurfaceFollow-v0", {}),
    "BallRoll": ("SimEnv/BallRoll-v0", {}),
    "BallRoll-elastic": ("SimEnv/BallRoll-v0", {"gel": "elastic"}),
    "PegInsertion": ("SimEnv/PegInsertion-v0", {}),
}
tasks = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@pytest.fixture(autouse=True)
def _threads_are_restored(monkeypatch):
    monkeypatch.setattr(_threads, "_num_threads", _threads._num_threads)


def run(case, worlds, seed=0, steps=3, gradient=True):
    """The last state and the gradient of a function of the path; actions depend on the seed of each world."""
    task_id, arguments = case
    env = gym.make_vec(
        task_id, num_envs=worlds, output="torch", device="cpu", differentiable=True, autoreset_mode="disabled",
        **arguments,
    ).unwrapped  # fmt: skip
    env.reset(seed=seed)
    size = env.single_action_space.shape[0]
    rows = [torch.rand(steps, size, generator=torch.Generator().manual_seed(seed + i)) for i in range(worlds)]
    actions = (0.6 * torch.stack(rows, 1) - 0.4).requires_grad_(gradient)
    out = env.rollout(actions, observe=False)
    result = {name: value.detach().clone() for name, value in env.state.items()}
    result["returns"] = out.returns.detach()
    if gradient:
        (out.returns.sum() + env.state.field.sum()).backward()
        result["gradient"] = actions.grad.transpose(0, 1)
    env.close()
    return result


@tasks
def test_a_world_of_64_is_the_world_alone(case):
    batch = run(case, 64)
    assert float(batch["field"].abs().max()) > 0
    for index in (0, 17, 63):
        alone = run(case, 1, seed=index)
        for name, value in batch.items():
            assert torch.equal(value[index], alone[name][0]), name


@tasks
def test_the_number_of_threads_does_not_matter(case):
    results = []
    for threads in (1, 2, 4):
        simenv.set_num_threads(threads)
        results.append(run(case, 5, steps=1 if case[1] else 3))  # an elastic gel takes longer
    for other in results[1:]:
        for name, value in results[0].items():
            assert torch.equal(value, other[name]), name


@tasks
def test_a_reset_touches_its_rows_only_and_forgets_everything(case):
    task_id, arguments = case
    env = gym.make_vec(
        task_id, num_envs=3, output="torch", device="cpu", autoreset_mode="disabled", **arguments
    ).unwrapped
    env.reset(seed=5)
    fresh = env.get_state()
    for _ in range(3):
        env.step(torch.full((3, env.single_action_space.shape[0]), -0.2))
    before = env.get_state()
    env.reset(seed=[5, 6, 7], options={"reset_mask": torch.tensor([False, True, False])})
    after = env.get_state()
    for name, value in after.items():
        assert torch.equal(value[[0, 2]], before[name][[0, 2]]), name
        assert torch.equal(value[1], fresh[name][1]), name
    env.close()


def test_breaking_contact_zeroes_all_channels_at_the_next_step():
    env = gym.make_vec(
        "SimEnv/BallRoll-v0", num_envs=2, output="torch", device="cpu", autoreset_mode="disabled",
        observation_mode="reduced+force_field",
    )  # fmt: skip
    env.reset(seed=0)
    seen, *_ = env.step(torch.tensor([[0.3, 0.0, -0.2]] * 2))
    assert (seen["field"][..., 2].sum((1, 2)) > 0).all() and (seen["field"][..., 0].abs().sum((1, 2)) > 0).all()
    state = env.unwrapped.get_state()
    state["state.body_q"][0, 1, 2] += 0.01  # the first pad is taken away
    env.unwrapped.set_state(state)
    seen, *_ = env.step(torch.zeros(2, 3))
    assert float(seen["field"][0].abs().max()) == 0.0 and float(seen["wrench"][0].abs().max()) == 0.0
    assert float(env.unwrapped.get_state()["state.stick"][0].abs().max()) == 0.0
    assert (seen["field"][1, ..., 2].sum() > 0).all()
    env.close()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_a_thousand_resets_take_no_memory():
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    env = gym.make_vec("SimEnv/PegInsertion-v0", num_envs=2, output="torch", device="cpu", max_episode_steps=1)
    env.reset(seed=0)

    def cycle(count):
        for _ in range(count):
            env.step(torch.zeros(2, 6))
        gc.collect()

    cycle(200)
    before = resident()
    cycle(2000)  # every other step resets
    assert resident() - before < 8e6
    env.close()
