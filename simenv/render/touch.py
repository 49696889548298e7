# SPDX-License-Identifier: Apache-2.0
"""Pictures of a tactile sensor over time: camera image, force field with markers, and wrench, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["TouchFigure", "TouchSeries"]

# Okabe and Ito 2008: distinct for colour-blind readers too.
_AXES = {"x": "#D55E00", "y": "#009E73", "z": "#0072B2"}


@dataclass(frozen=True)
class TouchSeries:
    """What a tactile sensor read at T times.

    Attributes:
        time: (T,) [s].
        places: (P, 2) taxels along the gel's surface [m].
        field: (T, P, 3) shear along x, shear along y, normal [N].
        wrench: (T, 6) force on the gel [N] and its moment about the sensor's origin [N m].
        markers: (M, 2) markers at rest [m], or none.
        moved: (T, M, 2) where they went [m], or none.
        image: (T, H, W, 3) uint8, or none, which leaves the panel out.
        image_title: above that panel.
        views: other pictures by title, (T, H, W, 3) uint8 each, their first row above.
    """

    time: np.ndarray
    places: np.ndarray
    field: np.ndarray
    wrench: np.ndarray
    markers: np.ndarray | None = None
    moved: np.ndarray | None = None
    image: np.ndarray | None = None
    image_title: str = "image"
    views: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        count, taxels = len(self.time), len(self.places)
        wanted = {"field": (count, taxels, 3), "wrench": (count, 6)}
        if self.markers is not None:
            wanted["moved"] = (count, len(self.markers), 2)
        for name, shape in wanted.items():
            value = getattr(self, name)
            if value is None or value.shape != shape:
                raise ValueError(f"{name} is {None if value is None else value.shape}, {count} times need {shape}")
        pictures = {**self.views, **({} if self.image is None else {"image": self.image})}
        for name, value in pictures.items():
            if value.dtype != np.uint8 or value.shape[0] != count or value.ndim != 4:
                raise ValueError(f"{name} is {value.shape} {value.dtype}, not ({count}, H, W, 3) uint8")


class TouchFigure:
    """Draws the times of a series; scales stay the same over the series, so that pictures can be compared.

    Args:
        series: what to draw.
        title: above everything.
        magnify: factor of the markers' motion; `None` lets the largest be as long as the gap between markers.
        wrench: whether to plot it, with a line at the time.
    """

    def __init__(self, series: TouchSeries, title: str = "", magnify: float | None = None, wrench: bool = True):
        # The object interface draws with Agg and leaves pyplot's global state, and the user's backend, alone.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.series = series
        panels = 1 + wrench + (series.image is not None) + len(series.views)
        figure = Figure(figsize=(4.4 * panels, 4.2), dpi=100, layout="constrained")
        self.canvas = FigureCanvasAgg(figure)
        axes = list(figure.subplots(1, panels))
        figure.suptitle(title, fontsize=11)
        self._pictures = [(self._draw_image(axes.pop(0), *view, "upper"), view[1]) for view in series.views.items()]
        if series.image is not None:  # row 0 is the smallest y, so that the picture agrees with the field beside it
            panel = self._draw_image(axes.pop(0), series.image_title, series.image, "lower")
            self._pictures.append((panel, series.image))
        self._draw_field(axes[0], _magnification(series) if magnify is None else magnify)
        self._now = self._draw_wrench(axes[1]) if wrench else None
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, lest the panels move between frames

    def draw(self, index: int) -> np.ndarray:
        """The picture of one time, (H, W, 3) uint8."""
        s = self.series
        for panel, frames in self._pictures:
            panel.set_data(frames[index])
        self._pressure.set_array(s.field[index, :, 2])
        shear = np.where(
            s.field[index, :, :2].any(-1, keepdims=True), s.field[index, :, :2], np.nan
        )  # no dots for zero
        self._arrows.set_UVC(*shear.T)
        if s.markers is not None and s.moved is not None:
            self._dots.set_offsets(1e3 * (s.markers + self._magnify * (s.moved[index] - s.markers)))
        if self._now is not None:
            self._now.set_xdata([s.time[index]] * 2)
        self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()

    def _draw_image(self, axes, title: str, frames: np.ndarray, origin: str):
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
        return axes.imshow(frames[0], origin=origin, vmin=0, vmax=255)

    def _draw_field(self, axes, magnify: float) -> None:
        s, self._magnify = self.series, magnify
        x, y = 1e3 * s.places.T
        low, high = 1e3 * s.places.min(0), 1e3 * s.places.max(0)
        pitch = np.sqrt(np.prod(high - low) / len(s.places))
        largest = max(float(s.field[..., 2].max()), 1e-12)
        size = (230.0 * pitch / max(high - low)) ** 2  # of a square that fills a taxel, in points^2
        self._pressure = axes.scatter(
            x, y, c=np.zeros(len(x)), s=size, marker="s", cmap="Blues", vmin=0.0, vmax=1.6 * largest, linewidths=0.6,
            edgecolors="face",
        )  # fmt: skip
        axes.figure.colorbar(self._pressure, ax=axes, shrink=0.75, label="normal force per taxel [N]")
        shear = max(float(np.linalg.norm(s.field[..., :2], axis=-1).max()), 1e-12)
        self._arrows = axes.quiver(
            x, y, np.zeros(len(x)), np.zeros(len(x)), color=_AXES["x"], angles="xy", scale_units="xy",
            scale=shear / (2.5 * pitch), width=0.005,
        )  # fmt: skip
        key = {"labelpos": "W", "fontproperties": {"size": 8}}
        axes.quiverkey(self._arrows, 0.86, 0.035, shear, f"shear {shear:.2g} N per taxel", **key)
        note = "force field"
        if s.markers is not None:
            axes.scatter(*(1e3 * s.markers.T), s=10, facecolors="none", edgecolors="0.55", linewidths=0.6)
            self._dots = axes.scatter(*(1e3 * s.markers.T), s=8, color="black", zorder=3)
            note += f"; markers, motion x{magnify:.3g}"
        axes.set_title(note, fontsize=10)
        axes.set(aspect="equal", xlabel="x [mm]", ylabel="y [mm]")
        axes.set(xlim=(low[0] - pitch, high[0] + pitch), ylim=(low[1] - 2.0 * pitch, high[1] + pitch))

    def _draw_wrench(self, axes):
        s = self.series
        moments = axes.twinx()
        for i, (name, color) in enumerate(_AXES.items()):
            axes.plot(s.time, s.wrench[:, i], color=color, label=f"$F_{name}$")
            moments.plot(
                s.time, 1e3 * s.wrench[:, 3 + i], color=color, linestyle="--", linewidth=1, label=f"$M_{name}$"
            )
        now = axes.axvline(s.time[0], color="0.4", linewidth=1)
        axes.set_title("wrench on the gel", fontsize=10)
        axes.set(xlabel="time [s]", ylabel="force [N]")
        moments.set_ylabel("moment [N mm] (dashed)")
        handles = axes.get_legend_handles_labels()[0] + moments.get_legend_handles_labels()[0]
        axes.legend(
            handles, [h.get_label() for h in handles], fontsize=8, ncols=6, columnspacing=0.8, handlelength=1.2,
            loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False,
        )  # fmt: skip
        return now


def _magnification(series: TouchSeries) -> float:
    """Factor that makes the largest motion of a marker as long as the distance of neighbours, at least 1."""
    if series.markers is None or len(series.markers) < 2:
        return 1.0
    apart = np.linalg.norm(series.markers[1:] - series.markers[0], axis=-1).min()
    largest = float(np.linalg.norm(series.moved - series.markers, axis=-1).max())
    return max(1.0, float(f"{apart / largest:.1g}")) if largest > 0.0 else 1.0
