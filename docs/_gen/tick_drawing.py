# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/tick.png, a control step of a world: `python docs/_gen/tick_drawing.py`."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

FILE = Path(__file__).resolve().parents[1] / "images" / "tick.png"
INK, TEAL, RUST, PALE, GREY = "#1f2a30", "#00796b", "#b2560d", "#eef3f2", "#5f6b73"
# lower left corner, width and height, title, text, colour
BOXES = (
    ((0.1, 3.0), (2.5, 1.8), "before (torch)", "state, control and\nparameters: inputs\nof every solver", GREY),
    ((13.4, 3.0), (2.5, 1.8), "after (torch)", "results of every\nsolver: new state\nand status", GREY),
    ((3.3, 2.9), (2.5, 2.0), "1  frames", "given ones move on,\nwrenches are zero:\nposes, twists of tick k", TEAL),
    ((6.8, 4.3), (2.5, 1.45), "2  gels", "depth, stick and slip,\nforce on each taxel", RUST),
    ((6.8, 2.0), (2.5, 1.45), "3  particles", "substeps on the grid,\ncolliders on frames", RUST),
    ((10.2, 2.9), (2.5, 2.0), "4  bodies", "wrenches, gravity,\ndrives, point contact:\nposes of tick k + 1", TEAL),
)
ARROWS = (
    ((2.6, 3.9), (3.3, 3.9), GREY), ((12.7, 3.9), (13.4, 3.9), GREY),
    ((5.8, 3.9), (6.8, 5.0), TEAL), ((5.8, 3.9), (6.8, 2.75), TEAL),
    ((9.3, 5.0), (10.2, 3.9), RUST), ((9.3, 2.75), (10.2, 3.9), RUST),
    ((4.55, 1.35), (4.55, 2.9), TEAL),
)  # fmt: skip


def draw() -> None:
    """The drawing."""
    figure, axis = plt.subplots(figsize=(11.0, 4.5))
    axis.set(xlim=(0, 16), ylim=(0.1, 6.5))
    axis.set_axis_off()
    axis.add_patch(Rectangle((3.0, 0.95), 10.0, 5.4, facecolor=PALE, edgecolor=GREY, lw=1.0))
    axis.text(3.2, 6.1, "one program in Warp: T ticks", va="top", fontsize=9.5, color=GREY, weight="bold")
    for place, size, title, text, color in BOXES:
        style = "round,pad=0,rounding_size=0.12"
        axis.add_patch(FancyBboxPatch(place, *size, style, facecolor="white", edgecolor=color, lw=1.4))
        middle, top = place[0] + size[0] / 2, place[1] + size[1]
        axis.text(middle, top - 0.14, title, ha="center", va="top", fontsize=9.5, color=color, weight="bold")
        axis.text(middle, top - 0.5, text, ha="center", va="top", fontsize=7.6, color=INK, linespacing=1.4)
    for start, end, color in ARROWS:
        arrow = {"arrowstyle": "-|>", "mutation_scale": 11, "lw": 1.3, "shrinkA": 0, "shrinkB": 0}
        axis.add_patch(FancyArrowPatch(start, end, color=color, **arrow))
    axis.plot([11.45, 11.45, 4.55], [2.9, 1.35, 1.35], color=TEAL, lw=1.3)
    words = ((6.0, 5.15, "poses,\ntwists", TEAL), (10.1, 5.3, "wrenches\nadd up", RUST), (8.0, 1.5, "next tick", TEAL))
    for x, y, text, color in words:
        axis.text(x, y, text, ha="center", va="center", fontsize=7.6, color=color)
    axis.add_patch(
        FancyArrowPatch((15.4, 0.35), (0.6, 0.35), arrowstyle="-|>", mutation_scale=12, color=INK, lw=1.2, ls="--")
    )
    told = "reverse sweep: the same in the opposite order, 4 3 2 1, tick by tick, from what each tick kept"
    axis.text(8.0, 0.5, told, ha="center", fontsize=8.2, color=INK)
    figure.savefig(FILE, dpi=110, bbox_inches="tight", pad_inches=0.05)
    print("docs/images/tick.png")


if __name__ == "__main__":
    draw()
