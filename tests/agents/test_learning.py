# SPDX-License-Identifier: Apache-2.0
"""PPO, BC, DAgger and AACD on tasks with known optima (`goal_task`), and their parts against hand-computed numbers."""

import dataclasses

import gymnasium
import numpy as np
import pytest
import torch

from simenv.agents import aacd, bc, dagger, networks, ppo
from simenv.agents.checkpoint import CheckpointError
from simenv.agents.networks import RunningStatistics, spatial_soft_argmax
from simenv.agents.policy import load_policy
from simenv.agents.ppo import PPOConfig, clipped_loss, gae
from simenv.agents.training import evaluate
from tests.agents import goal_task

BEST, BLIND = -0.025, -0.8  # mean returns [m] on Goal: of the best policy, and of the best that cannot know the goal
CONFIG = PPOConfig(
    timesteps=64 * 8 * 40, rollout_steps=8, batch_size=128, learning_rate=1e-3, gamma=0.95, hidden=(64, 32)
)


@pytest.fixture
def make():
    made = []

    def factory(task="Goal", num_envs=64, **modes):
        options = {"output": "torch", "autoreset_mode": "same_step", "device": "cpu"}
        modes = {"observation_mode": modes or {"actor": "privileged"}}
        made.append(gymnasium.make_vec(f"TestEnv/{task}-v0", num_envs=num_envs, **options, **modes))
        return made[-1]

    yield factory
    for env in made:
        env.close()


def expert(view):
    return lambda seen: (seen[f"{view}/state"][:, 1:] / goal_task.REACH).clamp(-1.0, 1.0)


def holder(seen):
    return (seen["expert/state"] * torch.tensor([1.0, 13.0])).sum(-1, keepdim=True).clamp(-1.0, 1.0)


# ------------------------------------------------------------------------------------------------------------- parts


def test_gae_by_hand():
    # World 0 is truncated after step 1 (its next value 4 counts), world 1 terminated there (its next value does not).
    rewards = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    values = torch.tensor([[0.5, 0.5], [1.0, 1.0], [2.0, 2.0]])
    after = torch.tensor([[1.0, 1.0], [4.0, 4.0], [6.0, 6.0]])
    terminated = torch.tensor([[False, False], [False, True], [False, False]])
    done = torch.tensor([[False, False], [True, True], [False, False]])
    # gamma 0.5, lambda 0.5. Deltas: (1, 1), (2 + 2 - 1, 2 - 1) = (3, 1), (3 + 3 - 2) = (4, 4);
    # first: 1 + 0.25 * 3 = 1.75 and 1 + 0.25 * 1 = 1.25.
    expected = torch.tensor([[1.75, 1.25], [3.0, 1.0], [4.0, 4.0]])
    torch.testing.assert_close(gae(rewards, values, after, terminated, done, 0.5, 0.5), expected, rtol=0, atol=1e-7)


def test_clipped_loss_by_hand():
    ratio = torch.tensor([1.5, 0.5, 1.5, 0.5])
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0])
    # minima of (1.5, 1.2), (0.5, 0.8), (-1.5, -1.2), (-0.5, -0.8): 1.2 + 0.5 - 1.5 - 0.8 = -0.6, over 4, negated
    assert clipped_loss(ratio, advantage, 0.2).item() == pytest.approx(0.15, abs=1e-7)


@pytest.mark.parametrize(("weight", "grows"), [(1.0, True), (-1.0, False)])
def test_the_entropy_bonus_widens_the_policy(make, weight, grows):
    """Without advantages the loss is the bonus alone: an update raises the entropy, and with a negative weight lowers
    it.
    """
    learner = ppo.PPO(make(num_envs=8), dataclasses.replace(CONFIG, entropy=weight, epochs=2, grad_norm=1e9))
    rollout, returns = learner.collect()
    flat = dataclasses.replace(rollout.flat(), advantages=torch.zeros(64))
    before = learner.actor(flat.seen).entropy().sum(-1).mean()
    learner.update(flat, returns.flatten())
    gained = learner.actor(flat.seen).entropy().sum(-1).mean() - before
    assert (gained > 1e-3) if grows else (gained < -1e-3)


@pytest.mark.parametrize("task", ["Goal", "Hold"])
def test_a_time_limit_is_bootstrapped_and_an_end_is_not(make, task):
    config = dataclasses.replace(CONFIG, rollout_steps=12, gae_lambda=0.0, gamma=0.9, first_std=2.0)
    learner = ppo.PPO(make(task, num_envs=16), config)
    with torch.no_grad():
        learner.critic.trunk.mlp[-1].weight.zero_()
    learner.critic.returns.mean.fill_(5.0)  # the value of everything is 5
    rewards, ends, step = [], [], learner.env.step

    def spy(action):
        result = step(action)
        rewards.append(result[1].clone())
        ends.append((result[2].clone(), result[3].clone()))
        return result

    learner.env.step = spy
    rollout, _ = learner.collect()
    terminated, truncated = (torch.stack(part) for part in zip(*ends, strict=True))
    assert (terminated if task == "Hold" else truncated).any()
    expected = torch.stack(rewards) + torch.where(terminated, 0.0, 0.9 * 5.0) - 5.0
    torch.testing.assert_close(rollout.advantages, expected, rtol=1e-6, atol=1e-6)


def test_critic_after_a_truncation_sees_the_last_observation_not_the_next_first(make):
    learner = ppo.PPO(make(num_envs=8), dataclasses.replace(CONFIG, rollout_steps=goal_task.STEPS, gae_lambda=0.0))
    read = []
    value = learner.critic.value
    learner.critic.value = lambda view: (read.append(view["state"].clone()), value(view))[1]
    rollout, _ = learner.collect()
    last, moved = read[-1], rollout.state["state"][-1]
    drawn = rollout.drawn[-1].clamp(-1, 1)
    torch.testing.assert_close(last[:, :1], moved[:, :1] + goal_task.REACH * drawn, rtol=0, atol=1e-5)
    now = learner.critic_view(learner.observation)["state"]
    torch.testing.assert_close(now[:, 0], torch.zeros(8), rtol=0, atol=1e-6)  # the next episode starts in the middle


def test_running_statistics_are_those_of_all_samples():
    samples = np.random.default_rng(0).normal(3.0, [0.1, 5.0], (100, 2))
    statistics = RunningStatistics(2)
    for part in np.split(samples, [10, 11, 60]):
        statistics.update(torch.from_numpy(part))
    np.testing.assert_allclose(statistics.mean, samples.mean(0), rtol=1e-12)
    np.testing.assert_allclose(statistics.variance, samples.var(0), rtol=1e-12)


def test_soft_argmax_is_the_mean_of_a_gaussian():
    # The softmax of -r^2 / (2 s^2) is a Gaussian of standard deviation s around its centre.
    x, y = torch.linspace(-1, 1, 41), torch.linspace(-1, 1, 31)
    bump = -((x[None, :] - 0.3) ** 2 + (y[:, None] + 0.2) ** 2) / (2 * 0.1**2)
    torch.testing.assert_close(spatial_soft_argmax(bump[None, None]), torch.tensor([[0.3, -0.2]]), rtol=0, atol=1e-4)


# --------------------------------------------------------------------------------------------------------------- PPO


def test_evaluate_gives_the_closed_form_of_the_best_policy(make):
    env = make()
    returns, success = evaluate(env, expert("actor"), episodes=2, seed=3)
    env.reset(seed=3)
    goals = env.unwrapped.get_state()["episode.goal"]
    assert len(returns) == 128 and success.all()
    best = goal_task.best_return(goals.double() - goal_task.MIDDLE)
    torch.testing.assert_close(returns[:64], best, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "modes",
    [
        pytest.param({"actor": "privileged"}, marks=pytest.mark.slow),
        pytest.param({"actor": "touch"}, marks=pytest.mark.slow),
        {"actor": "touch", "critic": "privileged"},
    ],
)
def test_ppo_comes_near_the_best_return(make, modes):
    env = make(**modes)
    model = ppo.learn(env, CONFIG).model
    returns, success = evaluate(env, model.act, episodes=4)
    # 97 % of the way from the best that does not know the goal to the best that does
    assert float(returns.mean()) > BEST + 0.03 * (BLIND - BEST)
    assert float(success.float().mean()) > 0.95


@pytest.mark.slow
def test_a_privileged_critic_explains_what_a_blind_one_cannot(make):
    # Both actors are blind. Returns differ by the goal, which only the privileged critic knows.
    config = dataclasses.replace(CONFIG, timesteps=64 * 8 * 15)
    explained = []
    for modes in ({"actor": "blind", "critic": "privileged"}, {"actor": "blind"}):
        found = []
        ppo.learn(make(**modes), config, lambda _, m, found=found: found.append(m["train/explained_variance"]) or None)
        explained.append(np.mean(found[-3:]))
    assert explained[0] > 0.7
    assert explained[0] > explained[1] + 0.2


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.actor.parameters()])


def test_ppo_repeats_with_a_seed_and_resumes_with_the_same_numbers(make, tmp_path):
    modes = {"actor": "image", "critic": "privileged"}
    config = dataclasses.replace(CONFIG, timesteps=4 * 6 * 4, rollout_steps=6, augment=ppo.AugmentConfig(), epochs=1)
    whole, again = (ppo.learn(make(num_envs=4, **modes), config) for _ in range(2))
    assert torch.equal(weights(whole.model), weights(again.model))
    other = ppo.learn(make(num_envs=4, **modes), dataclasses.replace(config, seed=1))
    assert not torch.equal(weights(whole.model), weights(other.model))
    part = dataclasses.replace(config, timesteps=4 * 6 * 2, checkpoint_dir=str(tmp_path))
    ppo.learn(make(num_envs=4, **modes), part)
    part = dataclasses.replace(part, timesteps=config.timesteps, resume=True)
    env = make(num_envs=4, **modes)
    resumed = ppo.learn(env, part)
    assert torch.equal(weights(whole.model), weights(resumed.model))
    assert resumed.episode_return == whole.episode_return
    seen, policy = env.unwrapped.observe(), load_policy(tmp_path)
    assert torch.equal(policy.act(seen), resumed.model.act(seen)) and policy.mode == "image"
    with pytest.raises(CheckpointError, match=r"gamma: 0\.95 there, 0\.5 now"):
        ppo.learn(env, dataclasses.replace(part, gamma=0.5))


def test_other_environments_are_refused():
    env = gymnasium.make_vec("TestEnv/Goal-v0", num_envs=2, device="cpu")
    with pytest.raises(ValueError, match="autoreset_mode='same_step'"):
        ppo.PPO(env, CONFIG)
    env.close()


def test_observation_keys_can_be_named(make):
    env = make(a="touch", b="privileged")
    learner = ppo.PPO(env, dataclasses.replace(CONFIG, actor_keys=("a/field",), critic_keys=("b/state", "a/field")))
    assert set(learner.actor.trunk.shapes) == {"a/field"}
    assert set(learner.critic.trunk.shapes) == {"b/state", "a/field"}
    with pytest.raises(KeyError, match=r"lack a/x"):
        ppo.PPO(env, dataclasses.replace(CONFIG, actor_keys=("a/x",)))


# --------------------------------------------------------------------------------------------------------- imitation

CLONE = {"timesteps": 64 * 8 * 3, "rollout_steps": 8, "learning_rate": 1e-3, "gradient_steps": 150, "hidden": (64, 32)}


def test_a_clone_reaches_its_expert(make):
    env = make(actor="touch", expert="privileged")
    losses = []
    config = bc.BCConfig(**CLONE | {"timesteps": 64 * 8 * 6})
    model = bc.learn(env, expert("expert"), config, lambda _, m: losses.append(m["train/imitation_loss"]) or None).model
    returns, _ = evaluate(env, model.act, episodes=2, seed=3)
    best, _ = evaluate(env, expert("expert"), episodes=2, seed=3)
    assert losses[-1] < 1e-3 and losses[-1] < losses[0] / 10
    assert float((best - returns).mean()) < 0.02 * (BEST - BLIND)


def test_dagger_holds_where_cloning_falls(make):
    rates, options = {}, CLONE | {"timesteps": 64 * 8 * 10}
    for module, config in ((bc, bc.BCConfig(**options)), (dagger, dagger.DAggerConfig(**options))):
        env = make("Hold", actor="privileged", expert="privileged")
        model = module.learn(env, holder, config).model
        _, success = evaluate(env, model.act, episodes=1)
        rates[module.__name__.rsplit(".", 1)[-1]] = float(success.float().mean())
        _, perfect = evaluate(env, holder, episodes=1)
        assert perfect.all()
    assert rates["bc"] < 0.1 and rates["dagger"] > 0.95


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_the_expert_leads_all_worlds_in_dagger_s_first_iteration(make, decay):
    """decay^0 = 1, also for 0; then it leads a share of decay^i, none for 0."""
    env, spoken = make(num_envs=64, actor="blind", expert="privileged"), []
    step = env.step
    env.step = lambda action: (spoken.append(action.clone()), step(action))[1]

    def teacher(seen):
        return torch.full_like(seen["expert/state"][:, :1], 0.75)  # which an actor that has not learnt does not say

    config = dagger.DAggerConfig(rollout_steps=8, hidden=(8,), gradient_steps=1, batch_size=16, decay=decay)
    learner = dagger.DAgger(env, config, teacher)
    learner.iterate()
    assert all(torch.equal(action, torch.full_like(action, 0.75)) for action in spoken)
    spoken.clear()
    learner.iterate()
    led = float(torch.stack([(action == 0.75).all(-1).double().mean() for action in spoken]).mean())
    assert led == pytest.approx(decay, abs=4 * (0.25 / 512) ** 0.5 if decay else 0.0)  # 4 sigma of 512 draws


def test_dagger_resumes_with_the_same_numbers(make, tmp_path):
    modes = {"actor": "touch", "expert": "privileged"}
    config = dagger.DAggerConfig(
        timesteps=4 * 6 * 4, rollout_steps=6, hidden=(8,), gradient_steps=5, batch_size=16, decay=0.5, capacity=60
    )
    whole = dagger.learn(make(num_envs=4, **modes), expert("expert"), config)
    part = dataclasses.replace(config, timesteps=4 * 6 * 3, checkpoint_dir=str(tmp_path))
    dagger.learn(make(num_envs=4, **modes), expert("expert"), part)
    part = dataclasses.replace(part, timesteps=config.timesteps, resume=True)
    resumed = dagger.learn(make(num_envs=4, **modes), expert("expert"), part)
    assert torch.equal(weights(whole.model), weights(resumed.model))


# -------------------------------------------------------------------------------------------------------------- AACD


@pytest.mark.slow
def test_a_learnt_critic_teaches_a_new_actor(make, tmp_path):
    stage1 = dataclasses.replace(CONFIG, checkpoint_dir=str(tmp_path))
    teacher = ppo.learn(make(), stage1).model
    best, _ = evaluate(make(), teacher.act, episodes=2)
    values = {field.name: getattr(CONFIG, field.name) for field in dataclasses.fields(CONFIG)}
    for freeze in (True, False):
        config = aacd.AACDConfig(**values | {"timesteps": 64 * 8 * 30}, critic=str(tmp_path), freeze_critic=freeze)
        env = make(actor="touch", critic="privileged")
        learner = aacd.AACD(env, config)
        for name, value in teacher.critic.state_dict().items():
            assert torch.equal(learner.critic.state_dict()[name], value)
        model = aacd.learn(env, config).model
        same = [torch.equal(model.critic.state_dict()[k], v) for k, v in teacher.critic.state_dict().items()]
        assert all(same) if freeze else not any(same)
        returns, _ = evaluate(env, model.act, episodes=2)
        gained = (float(returns.mean()) - BLIND) / (float(best.mean()) - BLIND)
        assert gained > 0.95
    with pytest.raises(CheckpointError, match="does not fit"):
        aacd.AACD(make(actor="touch"), config)


@pytest.mark.parametrize("freeze", [True, False])
def test_a_frozen_critic_keeps_every_number_and_another_learns(make, tmp_path, freeze):
    config = dataclasses.replace(CONFIG, timesteps=4 * 8 * 2, batch_size=16, epochs=1, hidden=(8,))
    teacher = ppo.learn(make(num_envs=4), dataclasses.replace(config, checkpoint_dir=str(tmp_path))).model
    before = {name: value.clone() for name, value in teacher.critic.state_dict().items()}
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    stage2 = aacd.AACDConfig(**values, critic=str(tmp_path), freeze_critic=freeze)
    after = aacd.learn(make(num_envs=4, actor="touch", critic="privileged"), stage2).model.critic.state_dict()
    same = {name: torch.equal(after[name], value) for name, value in before.items()}
    assert before.keys() == after.keys() and (all(same.values()) if freeze else not any(same.values())), same


def test_images_are_what_is_uint8_and_large_enough_whatever_the_shape_of_a_force_field():
    seen = {
        "camera": torch.zeros(2, 18, 20, 3, dtype=torch.uint8), "thumbnail": torch.zeros(2, 9, 9, 3, dtype=torch.uint8),
        "field": torch.zeros(2, 24, 24, 3), "state": torch.zeros(2, 5),
    }  # fmt: skip
    shapes = networks.shapes_of(seen)
    assert shapes == {"camera": (18, 20, 3), "thumbnail": (243,), "field": (1728,), "state": (5,)}
    trunk = networks.Trunk(shapes, (16,), 4, 1.0)
    seen["field"] += 0.05 * torch.randn(2, 24, 24, 3, generator=torch.Generator().manual_seed(0))  # newtons are small
    flat = trunk(seen)
    trunk.update(seen)  # scaled by what was seen, they count
    assert (trunk(seen)[0] - trunk(seen)[1]).abs().max() > 3 * (flat[0] - flat[1]).abs().max()
