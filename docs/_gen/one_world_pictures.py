# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/pour_by_hand.png, gel_feels.png and press_into_jelly.png, of the scripts in docs/examples:
`python -m docs._gen.one_world_pictures [pour_by_hand] [gel_feels] [press_into_jelly]`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from docs.examples import gel_feels, pour_by_hand, press_into_jelly
from simenv.render import Renderer
from simenv.world import GelView, State, World

mpl.use("Agg")
import matplotlib.pyplot as plt

IMAGES = Path(__file__).resolve().parents[1] / "images"
TEAL, RUST, BLUE, GREY = "#00796b", "#b2560d", "#1f6fb2", "#5f6b73"


def frames(world: World, states: Sequence[State]) -> list[np.ndarray]:
    """Pictures of states."""
    renderer = Renderer(world, 360, 330)
    return [renderer.render(state)[0] for state in states]


def sheet(name: str, pictures: Sequence[np.ndarray], titles: Sequence[str], plots: int = 1) -> list[plt.Axes]:
    """A figure that shows pictures side by side; axes for plots beside them."""
    count = len(pictures)
    widths = [1.0] * count + [1.25] * plots
    figure, axes = plt.subplots(
        1, count + plots, figsize=(2.5 * sum(widths), 2.7), width_ratios=widths, layout="constrained"
    )
    for axis, picture, title in zip(axes, pictures, titles, strict=False):
        axis.imshow(picture)
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    figure.suptitle(name, x=0.01, ha="left", fontsize=9, color=GREY)
    return list(axes[count:])


def save(name: str) -> None:
    """Write the figure."""
    plt.savefig(IMAGES / f"{name}.png", dpi=110)
    plt.close()
    print(f"docs/images/{name}.png")


def draw_pour() -> None:
    """The cup before, while and after it pours, and what the hand carries."""
    rows, states = pour_by_hand.run()
    moments = (79, 122, len(states) - 1)
    world = pour_by_hand.scene().make_world(1)
    pictures = frames(world, [states[k] for k in moments])
    (axis,) = sheet("docs/examples/pour_by_hand.py", pictures, [f"{0.01 * k:.2f} s" for k in moments])
    axis.plot(rows[:, 0], rows[:, 1], color=TEAL, label="force of the hand, upwards")
    axis.plot(rows[:, 0], rows[:, 2], "--", color=RUST, label="weight of the water in the cup")
    axis.set(xlabel="s", ylabel="N", ylim=(0.0, 1.7))
    axis.legend(fontsize=7, frameon=False)


def draw_field(axis: plt.Axes, gel: GelView, state: State, title: str) -> None:
    """Pressure on a gel."""
    grid = gel.spec.grid
    pressure = 1e-3 * gel.field(state)[0, :, 2].numpy() / grid.areas
    width, height = (500 * each for each in grid.size)
    extent = (-width, width, -height, height)
    shown = axis.imshow(pressure.reshape(grid.rows, grid.columns), origin="lower", extent=extent, vmin=0.0)
    axis.set(xlabel="mm")
    axis.set_title(f"{title} [kPa]", fontsize=9)
    plt.colorbar(shown, ax=axis)


def draw_gels() -> None:
    """The jet and the press, what the gels feel over time, and where."""
    world = gel_feels.scene().make_world(1)
    states = gel_feels.run(world)
    axes = sheet("docs/examples/gel_feels.py", frames(world, [states[-1]]), ["0.56 s"], 3)
    palm, finger = world.gels["palm"], world.gels["finger"]
    times = [float(state.time[0]) for state in states]
    axes[0].plot(times, [float(finger.force(state)[0, 2]) for state in states], color=TEAL, label="finger")
    drive = [-float(world.bodies["hand"].drive(state)[0, 2]) for state in states[1:]]
    axes[0].plot(times[1:], drive, "--", color=RUST, label="the hand's pull")
    axes[0].plot(times, [-float(palm.force(state)[0, 2]) for state in states], color=BLUE, label="palm")
    late = states[gel_feels.OPENS + 6 :]
    right = [gel_feels.thrust_and_weight(world, state) for state in late]
    axes[0].plot([float(state.time[0]) for state in late], right, "--", color=GREY, label="thrust, water")
    axes[0].set(xlabel="s", ylabel="N")
    axes[0].legend(fontsize=7, frameon=False)
    draw_field(axes[1], palm, states[-1], "palm")
    draw_field(axes[2], finger, states[-1], "finger")


def draw_press() -> None:
    """The press, the field of the gel, and the gradient."""
    world = press_into_jelly.scene().make_world(1, dtype=torch.float64)
    state, slopes = press_into_jelly.slopes(world)
    pictures = frames(world, [world.initial_state(), state])
    axes = sheet("docs/examples/press_into_jelly.py", pictures, ["before", "pressed"], 2)
    draw_field(axes[0], world.gels["gel"], state, "pressure on the gel")
    axes[1].barh(list(slopes), [1e3 * each for each in slopes.values()], color=TEAL)
    axes[1].axvline(0.0, color=GREY, linewidth=0.8)
    axes[1].tick_params(axis="y", labelsize=7)
    axes[1].set(xlabel="mm per relative change", title="how much more the ball sinks")
    axes[1].title.set_fontsize(9)


DRAWN = {"pour_by_hand": draw_pour, "gel_feels": draw_gels, "press_into_jelly": draw_press}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or DRAWN:
        DRAWN[wanted]()
        save(wanted)
