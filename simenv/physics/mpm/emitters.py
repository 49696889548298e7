# SPDX-License-Identifier: Apache-2.0
"""Spouts that let particles out at the start of a control step, in torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from simenv.physics.device import surely
from simenv.physics.mpm.parts import Emitter
from simenv.physics.parts import Body
from simenv.physics.rotation import rotate

__all__ = ["Emitters"]


class Emitters:
    """The emitters of N worlds.

    Args:
        emitters, bodies: of the scene; groups: slice of the particle axis of every group.
        num_worlds: N; device, dtype: of the tensors.
    """

    def __init__(
        self, emitters: Mapping[str, Emitter], bodies: Mapping[str, Body], groups: Mapping[str, slice],
        num_worlds: int, device: torch.device, dtype: torch.dtype,
    ):  # fmt: skip
        def tensor(value: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(np.ascontiguousarray(value), dtype=dtype, device=device)

        self._emitters, self._spans, self._worlds, self._device = emitters, groups, num_worlds, device
        names, given = list(bodies), [name for name, body in bodies.items() if body.motion == "given"]
        self._rows = {name: names.index(each.body) for name, each in emitters.items()}
        self._given = {name: given.index(each.body) for name, each in emitters.items() if each.body in given}
        self._offsets = {name: tensor(each.offsets) for name, each in emitters.items()}
        self._jets = {name: tensor(np.asarray(each.velocity)) for name, each in emitters.items()}
        self._windows = {name: torch.arange(int(each.count), device=device) for name, each in emitters.items()}

    def let_out(self, state: Any, control: Any) -> Any:
        """The state with what comes out at the start of a control step."""
        for index, (name, emitter) in enumerate(self._emitters.items()):
            span, offsets = self._spans[name], self._offsets[name]
            capacity = len(offsets)
            count = torch.full((self._worlds,), emitter.count, dtype=torch.int64, device=self._device)
            if control.emit is not None:
                count = count * control.emit[:, index]
            first = state.emitted[:, index]
            last = (first + count).clamp(max=capacity)
            # the particles that may come out now, and as many others at the end as keep them a window of one length
            window = first.clamp(max=capacity - len(self._windows[name]))[:, None] + self._windows[name]
            new = (window >= first[:, None]) & (window < last[:, None])
            pose = state.body_q[:, self._rows[name]]
            told = name in self._given
            twist = control.twist[:, self._given[name]] if told else state.body_twist[:, self._rows[name]]
            if surely(~new) and not (pose.requires_grad or twist.requires_grad):
                continue  # closed or empty: no copy of what may be many particles; a gradient of zero is kept
            arm = rotate(pose[:, None, 3:], offsets[window])
            jet = rotate(pose[:, 3:], self._jets[name].expand(self._worlds, 3))
            velocity = jet[:, None] + twist[:, None, :3] + torch.linalg.cross(twist[:, None, 3:].expand_as(arm), arm)
            place, mask = span.start + window, new[..., None]
            rows = place[..., None].expand_as(arm)
            x = torch.where(mask, pose[:, None, :3] + arm, state.x.gather(1, rows))
            v = torch.where(mask, velocity, state.v.gather(1, rows))
            emitted = state.emitted.clone()
            emitted[:, index] = last
            state = state.replace(
                x=state.x.scatter(1, rows, x), v=state.v.scatter(1, rows, v), emitted=emitted,
                active=state.active.scatter(1, place, new | state.active.gather(1, place)),
            )  # fmt: skip
        return state
