# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/tactile_pour.png: `python -m docs._gen.pour_pictures`, from the top of the repository.

The expert pours out of a bottle between two tactile fingers; what has left it, and what touch says has.
"""

import gymnasium as gym
import torch

import simenv  # noqa: F401  registers the tasks
from docs._gen.one_world_pictures import GREY, RUST, TEAL, draw_field, save, sheet
from simenv.render import Renderer

MOMENTS, SEED, SIZE = (0, 41, 66, 119), 3, (330, 300)


def main() -> None:
    """Draw the picture."""
    env = gym.make_vec(
        "SimEnv/TactilePour-v0", num_envs=1, output="torch", device="cpu", autoreset_mode="disabled"
    ).unwrapped
    env.reset(seed=SEED)
    task, world, states, left = env.task, env.world, [], []
    for _ in range(120):
        env.step(task.expert(world, env.state, env.episode))
        bottle, _, whole = task.masses(world, env.state)
        states.append(env.state)
        left.append(1e3 * float(whole - bottle))
    renderer = Renderer(world, *SIZE)
    pictures = [renderer.render(states[k])[0] for k in MOMENTS]
    axes = sheet("TactilePour-v0", pictures, [f"{world.dt * (k + 1):.1f} s" for k in MOMENTS], 2)
    draw_field(axes[0], world.gels["left"], states[MOMENTS[1]], f"left gel at {world.dt * (MOMENTS[1] + 1):.1f} s")
    times, memory = [float(each.time) for each in states], torch.stack([each.memory[0] for each in states]).numpy()
    axes[1].plot(times, left, color=TEAL, label="has left the bottle")
    axes[1].plot(times, 1e3 / 9.81 * memory[:, 6], color=RUST, label="by touch, over 0.25 s", linewidth=0.9)
    axes[1].axhline(1e3 * float(env.episode["asked"]), color=GREY, linestyle="--", linewidth=0.8, label="asked")
    axes[1].set(xlabel="s", ylabel="g")
    axes[1].legend(fontsize=7, frameon=False)
    if int(env.state.status) != 0:
        raise RuntimeError(f"the world stopped with status {int(env.state.status)}")
    save("tactile_pour")


if __name__ == "__main__":
    main()
