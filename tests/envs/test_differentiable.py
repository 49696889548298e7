# SPDX-License-Identifier: Apache-2.0
"""Gradients through the environment: against finite differences, cut at resets and failures, windows, memory of the
graph."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from tests.envs.splash_task import Splash

F64 = torch.float64


def make(worlds: int = 2, **kwargs: Any) -> Any:
    options = {
        "output": "torch",
        "dtype": "float64",
        "differentiable": True,
        "autoreset_mode": "disabled",
        "device": "cpu",
    }
    env = gym.make_vec(Splash.task_id, num_envs=worlds, **{**options, **kwargs})
    env.reset(seed=0)
    return env


def directional(function: Any, x: torch.Tensor, direction: torch.Tensor, step: float) -> float:
    """Central finite difference."""
    with torch.no_grad():
        return float((function(x + step * direction) - function(x - step * direction)) / (2 * step))


def test_rollout_gradient_matches_finite_differences() -> None:
    env = make()
    start = env.get_state()
    generator = torch.Generator().manual_seed(0)
    actions = 0.5 * torch.rand(8, 2, 2, generator=generator, dtype=F64)
    direction = torch.randn(8, 2, 2, generator=generator, dtype=F64)

    def objective(x: torch.Tensor) -> torch.Tensor:
        env.set_state(start)
        return env.rollout(x).returns.sum()

    leaf = actions.clone().requires_grad_()
    objective(leaf).backward()
    exact = float((leaf.grad * direction).sum())
    assert exact == pytest.approx(directional(objective, actions, direction, 1e-6), rel=1e-4)


def test_checkpointing_changes_memory_and_nothing_else() -> None:
    """Seven steps, which are no whole number of segments; a parameter and the actions require gradients."""
    env = make(3)
    start = env.get_state()
    actions = 0.5 * torch.rand(7, 3, 2, generator=torch.Generator().manual_seed(1), dtype=F64)
    grads, results, kept = [], [], []
    for checkpoint in (False, True):
        env.set_state(start)
        leaf, viscosity = actions.clone().requires_grad_(), env.parameters["liquid.viscosity"].clone().requires_grad_()
        env.parameters["liquid.viscosity"] = viscosity
        sizes: dict[int, int] = {}

        def pack(tensor: torch.Tensor, sizes: dict[int, int] = sizes) -> torch.Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = env.rollout(leaf, keep_states=True, checkpoint=checkpoint)
        after = env.get_state()
        out.returns.sum().backward()
        grads.append((leaf.grad, viscosity.grad))
        results.append((out.rewards.detach(), out.states[-1].x.detach(), *env.get_state().values()))
        for name, value in env.get_state().items():  # the backward pass leaves the worlds where the rollout left them
            assert torch.equal(value, after[name]), name
        kept.append(sum(sizes.values()))
        env.detach_state()
    for plain, checkpointed in zip(*grads, strict=True):
        assert plain.abs().max() > 0
        torch.testing.assert_close(checkpointed, plain, rtol=1e-12, atol=0)
    for plain, checkpointed in zip(*results, strict=True):
        assert torch.equal(plain, checkpointed)
    assert kept[1] < 0.7 * kept[0]


def test_gradient_of_a_parameter_matches_finite_differences() -> None:
    env = make()
    start = env.get_state()
    viscosity = env.parameters["liquid.viscosity"].clone()

    def objective(value: torch.Tensor) -> torch.Tensor:
        env.set_state(start)
        env.parameters["liquid.viscosity"] = value
        return env.rollout(torch.full((8, 2, 2), 0.8, dtype=F64)).observations[-1, :, :24].sum()

    leaf = viscosity.clone().requires_grad_()
    objective(leaf).backward()
    assert torch.all(leaf.grad != 0)
    direction = torch.tensor([1.0, -0.5], dtype=F64)
    exact = float((leaf.grad * direction).sum())
    assert exact == pytest.approx(directional(objective, viscosity, direction, 1e-4), rel=1e-3)


def test_steps_equal_the_rollout_and_the_forward_does_not_depend_on_gradients() -> None:
    env, plain = make(), make(differentiable=False)
    generator = torch.Generator().manual_seed(1)
    actions = torch.rand(4, 2, 2, generator=generator, dtype=F64)
    out = env.rollout(actions.clone().requires_grad_())
    assert out.rewards.requires_grad
    assert out.observations.shape == (4, 2, *env.single_observation_space.shape)
    for t in range(4):
        observation, reward, *_ = plain.step(actions[t])
        assert not reward.requires_grad
        assert torch.equal(out.observations[t], observation)
        assert torch.equal(out.rewards[t], reward)
    assert torch.equal(out.returns, out.rewards.sum(0))


def test_rollout_of_a_finished_world_earns_nothing_more() -> None:
    env = make(max_episode_steps=3)
    actions = torch.full((5, 2, 2), 0.5, dtype=F64, requires_grad=True)
    out = env.rollout(actions, keep_states=True)
    assert out.truncated[:, 0].tolist() == [False, False, True, True, True]
    assert (out.rewards[:3] != 0).all()
    assert (out.rewards[3:] == 0).all()
    assert torch.equal(out.states[4].x, out.states[2].x)
    out.returns.sum().backward()
    assert (actions.grad[3:] == 0).all()
    assert (actions.grad[:3] != 0).any()


@pytest.mark.parametrize("mode", ["next_step", "same_step"])
def test_rollout_must_not_cross_a_reset(mode: str) -> None:
    with pytest.raises(ValueError, match="autoreset_mode='disabled'"):
        make(autoreset_mode=mode).rollout(torch.zeros(2, 2, 2, dtype=F64))


def test_rollout_refuses_wrong_shapes() -> None:
    env = make()
    with pytest.raises(ValueError, match=r"expected \(4, 2, 2\) = \(steps, worlds, components\)"):
        env.rollout(torch.zeros(4, 2, 3))
    with pytest.raises(ValueError, match="at least one step"):
        env.rollout(torch.zeros(0, 2, 2))


def test_no_gradient_crosses_a_reset() -> None:
    env = make(autoreset_mode="same_step", max_episode_steps=2)
    env.reset(options={"reset_mask": np.array([True, False])})
    first = torch.full((2, 2), 0.5, dtype=F64, requires_grad=True)
    env.step(first)
    env.step(torch.full((2, 2), 0.5, dtype=F64))  # both worlds reach the limit and restart
    observation = env.step(torch.full((2, 2), 0.5, dtype=F64))[0]
    assert not observation.requires_grad or (torch.autograd.grad(observation.sum(), first)[0] == 0).all()


def test_an_episode_after_another_has_a_gradient_of_its_own() -> None:
    # as in any training loop: reset, roll out, backward, and again; also by a parameter that the episode draws
    env, gradients = make(), []
    for _ in range(2):
        env.reset(seed=3)
        leaf = env.parameters["liquid.viscosity"].clone().requires_grad_()
        env.parameters["liquid.viscosity"] = leaf
        actions = torch.full((2, 2, 2), 0.5, dtype=F64, requires_grad=True)
        env.rollout(actions).returns.sum().backward()
        gradients.append((actions.grad, leaf.grad))
    assert all(torch.equal(a, b) and (a != 0).any() for a, b in zip(*gradients, strict=True))


def test_a_reset_row_keeps_the_gradient_of_the_others() -> None:
    env = make()
    action = torch.full((2, 2), 0.5, dtype=F64, requires_grad=True)
    env.step(action)
    observation, _ = env.reset(options={"reset_mask": np.array([True, False])})
    (gradient,) = torch.autograd.grad(observation.sum(), action)
    assert (gradient[0] == 0).all()
    assert (gradient[1] != 0).any()


def test_final_observation_stays_on_the_graph() -> None:
    env = make(autoreset_mode="same_step", max_episode_steps=1)
    action = torch.full((2, 2), 0.5, dtype=F64, requires_grad=True)
    *_, info = env.step(action)
    (gradient,) = torch.autograd.grad(info["final_obs"].sum(), action)
    assert (gradient != 0).any()


def test_a_parameter_keeps_its_gradient_where_no_episode_begins() -> None:
    env = make(autoreset_mode="next_step", max_episode_steps=4)
    env.reset(options={"reset_mask": np.array([False, True])})
    leaf = env.parameters["liquid.viscosity"].clone().requires_grad_()
    env.parameters["liquid.viscosity"] = leaf
    env.set_state({**env.get_state(), "elapsed_steps": torch.tensor([3, 0]), "parameter.liquid.viscosity": leaf})
    for _ in range(4):  # world 0 ends in the first step, and the second begins an episode with a viscosity of its own
        observation = env.step(torch.full((2, 2), 0.8, dtype=F64))[0]
    first = torch.autograd.grad(observation[0, :24].sum(), leaf, retain_graph=True)[0]
    second = torch.autograd.grad(observation[1, :24].sum(), leaf)[0]
    assert (first == 0).all()
    assert second[0] == 0
    assert second[1] != 0


def test_detach_state_starts_a_new_window() -> None:
    env = make()
    first = torch.full((2, 2), 0.5, dtype=F64, requires_grad=True)
    second = torch.full((2, 2), 0.5, dtype=F64, requires_grad=True)
    env.step(first)
    env.detach_state()
    reward = env.step(second)[1].sum()
    one, two = torch.autograd.grad(reward, (first, second), allow_unused=True)
    assert one is None
    assert (two != 0).any()


def test_a_failed_world_contributes_no_gradient_from_its_failure_on() -> None:
    env, reference = make(explode_above=0.9), make(explode_above=0.9)
    actions = torch.full((6, 2, 2), 0.5, dtype=F64)
    actions[2:, 1] = 1.0
    leaf, calm = actions.clone().requires_grad_(), torch.full((6, 2, 2), 0.5, dtype=F64).requires_grad_()
    out = env.rollout(leaf)
    assert out.sim_status[0] == 0
    assert out.sim_status[1] != 0
    failed_at = int(out.terminated[:, 1].to(torch.int64).argmax())
    out.returns.sum().backward()
    reference.rollout(calm).returns.sum().backward()
    assert torch.isfinite(leaf.grad).all()
    assert (leaf.grad[failed_at:, 1] == 0).all()
    assert torch.equal(leaf.grad[:, 0], calm.grad[:, 0])


def test_a_bad_action_contributes_no_gradient() -> None:
    env = make()
    leaf = torch.full((2, 2), 0.5, dtype=F64, requires_grad=True)
    scale = torch.tensor([[1.0], [float("nan")]], dtype=F64)
    reward = env.step(leaf * scale)[1]
    (gradient,) = torch.autograd.grad(reward.sum(), leaf)
    assert (gradient[0] != 0).any()
    # d(leaf * nan)/d leaf is NaN times the environment's own zero; what the environment returns is what counts.
    bad = torch.full((2, 2), float("nan"), dtype=F64)
    bad[0] = 0.5
    bad.requires_grad_()
    env.reset(seed=0)
    (gradient,) = torch.autograd.grad(env.step(bad)[1].sum(), bad)
    assert (gradient[1] == 0).all()


def test_a_broken_adjoint_stays_in_its_world_and_is_counted() -> None:
    env = make()
    leaf = torch.full((2, 2), 0.5, dtype=F64, requires_grad=True)
    reward = env.step(leaf)[1]
    reward.backward(torch.tensor([1.0, float("nan")], dtype=F64))
    assert (leaf.grad[0] != 0).any()
    assert (leaf.grad[1] == 0).all()
    assert env.step(torch.zeros(2, 2, dtype=F64))[4]["grad_nonfinite"].tolist() == [0, 1]


def test_gradient_with_respect_to_the_initial_state() -> None:
    env = make()
    start = env.get_state()
    velocity = start["state.v"].clone().requires_grad_()
    env.set_state({**start, "state.v": velocity})
    out = env.rollout(torch.zeros(2, 2, 2, dtype=F64))
    (gradient,) = torch.autograd.grad(out.returns.sum(), velocity)
    assert (gradient != 0).any()
    assert torch.isfinite(gradient).all()


def test_differentiable_needs_torch() -> None:
    with pytest.raises(ValueError, match="needs output='torch'"):
        make(output="numpy")
