# SPDX-License-Identifier: Apache-2.0
"""Validation of actions, which Gymnasium does not do.

NumPy callers get an exception that leaves the environment unchanged. Torch callers must not wait for the device, so a
world whose action is unusable is marked instead: it does not step, and ends alone with the BAD_ACTION status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from simenv.errors import ActionError

TOLERANCE = 1e-6  # float32 rounding of a value scaled to a limit; relative to the limit where that exceeds 1


@dataclass(frozen=True)
class ActionChecker:
    """Checks and converts batches of actions.

    Attributes:
        low: (A,) lower limits.
        high: (A,) upper limits.
        names: ``(name, unit)`` of each component, for messages.
        num_worlds: N.
        mode: What happens to values out of range: ``"raise"`` or ``"clip"``.
    """

    low: torch.Tensor
    high: torch.Tensor
    names: tuple[tuple[str, str], ...]
    num_worlds: int
    mode: str

    def to_tensor(self, actions: Any, leading: tuple[int, ...] = ()) -> torch.Tensor:
        """Actions as a tensor of the world's dtype and device; a tensor keeps its graph.

        Args:
            actions: (*leading, N, A) numbers.
            leading: Axes before the world axis.

        Returns:
            (*leading, N, A) tensor.

        Raises:
            ActionError: If the shape is wrong or the values are not real numbers.
        """
        if not isinstance(actions, torch.Tensor):
            try:
                array = np.asarray(actions)
            except ValueError as error:
                raise ActionError(f"Actions must be a rectangular array of numbers: {error}.") from error
            if array.dtype.kind not in "fiu":
                raise ActionError(
                    f"Actions have dtype {array.dtype}; pass real numbers (floating point or integer), not booleans "
                    "or objects."
                )
            actions = torch.from_numpy(np.ascontiguousarray(array))
        if actions.is_complex() or actions.dtype == torch.bool:
            raise ActionError(f"Actions have dtype {actions.dtype}; pass real numbers (floating point or integer).")
        expected = (*leading, self.num_worlds, self.low.numel())
        if tuple(actions.shape) != expected:
            order = "(steps, worlds, components)" if leading else "(worlds, components)"
            raise ActionError(
                f"Actions have shape {tuple(actions.shape)}, expected {expected} = {order}; "
                f"the components are {', '.join(f'{name} [{unit}]' for name, unit in self.names)}."
            )
        return actions.to(self.low.device, self.low.dtype)

    def usable(self, action: torch.Tensor) -> torch.Tensor:
        """Which worlds have an action that can be executed.

        Args:
            action: (N, A).

        Returns:
            (N,) bool: finite, and within the limits unless out-of-range values are clipped.
        """
        action = action.detach()
        fine = torch.isfinite(action)
        if self.mode == "raise":
            slack_low, slack_high = self._slack()
            fine = fine & (action >= slack_low) & (action <= slack_high)
        return fine.all(dim=-1)

    def execute(self, action: torch.Tensor, ignore: torch.Tensor) -> torch.Tensor:
        """Clamp to the limits, and put a neutral action where the given one is not to be executed.

        Args:
            action: (N, A).
            ignore: (N,) bool, worlds whose action is replaced; no gradient reaches it.

        Returns:
            (N, A) finite and within the limits.
        """
        neutral = torch.zeros_like(self.low).clamp(self.low, self.high).expand_as(action)
        return torch.where(ignore.unsqueeze(-1), neutral, action).clamp(self.low, self.high)

    def require_usable(self, action: torch.Tensor, ignore: torch.Tensor) -> None:
        """Raise for the first unusable value. Reads the values on the host.

        Args:
            action: (N, A).
            ignore: (N,) bool, worlds whose action does not matter.

        Raises:
            ActionError: Naming world, component, value, limit and remedy.
        """
        bad = ~self.usable(action) & ~ignore
        if not bool(bad.any()):
            return
        world = int(bad.nonzero()[0, 0])
        row = action.detach()[world].double().cpu()
        slack_low, slack_high = (side.double().cpu() for side in self._slack())
        wrong = ~torch.isfinite(row)
        if self.mode == "raise":
            wrong |= (row < slack_low) | (row > slack_high)
        component = int(wrong.nonzero()[0, 0])
        name, unit = self.names[component]
        value = float(row[component])
        finite = np.isfinite(value)
        remedy = (
            "Clip the action to action_space, or make the environment with on_bad_action='clip'."
            if finite
            else "Check the policy or optimiser that produced it. The environment has not been stepped."
        )
        raise ActionError(
            f"Action component {component} ({name} [{unit}]) of world {world} is {value}; it must be "
            f"{'between' if finite else 'finite and between'} {float(self.low[component]):g} and "
            f"{float(self.high[component]):g}. {remedy}"
        )

    def _slack(self) -> tuple[torch.Tensor, torch.Tensor]:
        return (
            self.low - TOLERANCE * self.low.abs().clamp(min=1.0),
            self.high + TOLERANCE * self.high.abs().clamp(min=1.0),
        )


class _IsolateRows(torch.autograd.Function):
    """Identity whose backward zeroes the rows of the worlds with a non-finite adjoint, and counts them."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        ctx.count = count
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        broken = ~torch.isfinite(grad).flatten(1).all(dim=1)
        ctx.count += broken
        return torch.where(broken.unsqueeze(-1), torch.zeros_like(grad), grad), None


def isolate_rows(action: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Keep one world's broken gradient out of the batch's: a policy's weights are shared by all worlds.

    Args:
        action: (N, A).
        count: (N,) int64, incremented in backward for each world whose adjoint was not finite.

    Returns:
        The same values.
    """
    return _IsolateRows.apply(action, count)
