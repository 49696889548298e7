# SPDX-License-Identifier: Apache-2.0
"""Headless frames, video, figures of touch, plots, and cameras on bodies. Names are imported when first used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simenv.render.body_camera import BodyCamera
    from simenv.render.flow import Slice, Streamlines
    from simenv.render.frames import Renderer
    from simenv.render.items import Camera, Studio
    from simenv.render.plots import learning_curve
    from simenv.render.touch import TouchFigure, TouchSeries
    from simenv.render.video import VideoError, VideoWriter

__all__ = [
    "BodyCamera",
    "Camera",
    "Renderer",
    "Slice",
    "Streamlines",
    "Studio",
    "TouchFigure",
    "TouchSeries",
    "VideoError",
    "VideoWriter",
    "learning_curve",
]

_MODULES = {
    "body_camera": ("BodyCamera",),
    "flow": ("Slice", "Streamlines"),
    "frames": ("Renderer",),
    "items": ("Camera", "Studio"),
    "plots": ("learning_curve",),
    "touch": ("TouchFigure", "TouchSeries"),
    "video": ("VideoError", "VideoWriter"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
