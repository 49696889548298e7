# SPDX-License-Identifier: Apache-2.0
"""Plots, drawn without a display."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from simenv._files import replacing

# Okabe and Ito 2008: distinct for colour-blind readers too.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def learning_curve(
    path: str | os.PathLike[str],
    curves: Mapping[str, Sequence[ArrayLike]],
    xlabel: str = "steps",
    ylabel: str = "return",
    title: str = "",
) -> Path:
    """Draws curves with an optional band around each and writes them to a file.

    Args:
        path: File to write; its ending gives the format (png, pdf, svg). It is replaced only when complete.
        curves: Name -> (x, y) or (x, y, spread), arrays (n,); the band is y - spread to y + spread.
        xlabel: What x is, with its unit.
        ylabel: What y is, with its unit.
        title: Above the plot.

    Returns:
        The path.

    Raises:
        ValueError: No curve, or arrays of a curve that do not match.
        FileWriteError: The file system refused the file.
    """
    data = {name: [np.asarray(a, dtype=np.float64) for a in curve] for name, curve in curves.items()}
    if not data:
        raise ValueError("no curve to draw; give at least one name -> (x, y)")
    for name, arrays in data.items():
        shapes = [a.shape for a in arrays]
        if len(arrays) not in (2, 3) or any(a.ndim != 1 or a.shape != shapes[0] for a in arrays) or not len(arrays[0]):
            raise ValueError(f"curve {name!r} has shapes {shapes}; give (x, y) or (x, y, spread), each (n,) with n > 0")

    # The object interface draws with Agg and leaves pyplot's global state, and the user's backend, alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for index, (name, (x, y, *spread)) in enumerate(data.items()):
        color = _COLORS[index % len(_COLORS)]
        axes.plot(x, y, color=color, linewidth=1.8, label=name)
        if spread:
            axes.fill_between(x, y - spread[0], y + spread[0], color=color, alpha=0.18, linewidth=0.0)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title)
    axes.grid(color="0.88", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)
    if len(data) > 1:
        axes.legend(frameon=False)

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, path.suffix or ".png") as temporary:
        figure.savefig(temporary)
    return path
