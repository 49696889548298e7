# SPDX-License-Identifier: Apache-2.0
"""Finds what makes the host wait for a GPU, on a machine without one: while it is on, it records every torch call that
would ask the device for a value, or hand it numbers that the host has made.

On a GPU ``torch.cuda.set_sync_debug_mode("error")`` finds the same by running (tests/contract/test_cuda.py).
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import warp as wp
from torch.overrides import TorchFunctionMode, resolve_name

ROOT = Path(__file__).resolve().parents[2]
# Calls that give the host a value of a tensor, or (new_tensor) make one of numbers that the host has.
ASKING = {
    "item", "tolist", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__", "__array__", "__contains__",
    "nonzero", "masked_select", "unique", "is_nonzero", "equal", "allclose", "argwhere", "new_tensor",
}  # fmt: skip
# Calls that make a tensor of numbers that the host has.
HANDING = {"tensor", "as_tensor", "asarray"}
INDEXING = {"__getitem__", "__setitem__"}


def _index_waits(index: Any) -> bool:
    """Whether an index has lists, arrays or masks, which become tensors on the way, or whose size must be known."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(
        isinstance(part, list | range | np.ndarray) or (isinstance(part, torch.Tensor) and part.dtype == torch.bool)
        for part in parts
    )


def _place() -> str:
    """The innermost line of simenv's own code, "file:line function"."""
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename).resolve()
        if path.is_relative_to(ROOT) and path.parts[len(ROOT.parts)] in ("simenv", "tasks", "agents"):
            return f"{path.relative_to(ROOT)}:{frame.lineno} {frame.name}"
    return "outside"


class Waiting(TorchFunctionMode):
    """Records, as a set of "place: call", what would wait.

    Args:
        but: places, "file function", that run on the CPU only and may.
    """

    def __init__(self, but: Iterable[str] = ()):
        super().__init__()
        self.found: set[str] = set()
        self._but = set(but)

    def _note(self, call: str) -> None:
        place = _place()
        file, function = place.partition(":")[0], place.rpartition(" ")[2]
        if f"{file} {function}" not in self._but:
            self.found.add(f"{place}: {call}")

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Look at a call of torch, then make it."""
        name = (resolve_name(function) or getattr(function, "__name__", "")).rpartition(".")[2]
        handed = name in HANDING and not any(isinstance(value, torch.Tensor) for value in args)
        if handed or name in ASKING or (name in INDEXING and _index_waits(args[1])):
            self._note(name)
        return function(*args, **(kwargs or {}))

    def __enter__(self) -> Waiting:
        """Watch torch, and what makes an array of the host's numbers without torch's knowing."""
        self._made, self._from_numpy = wp.array.__init__, torch.from_numpy

        def make(array: wp.array, data: Any = None, *args: Any, **kwargs: Any) -> None:
            if data is not None:
                self._note("wp.array")
            self._made(array, data, *args, **kwargs)

        def from_numpy(array: np.ndarray) -> torch.Tensor:
            self._note("from_numpy")
            return self._from_numpy(array)

        wp.array.__init__, torch.from_numpy = make, from_numpy
        return super().__enter__()

    def __exit__(self, *stop: Any) -> None:
        """Stop watching."""
        wp.array.__init__, torch.from_numpy = self._made, self._from_numpy
        super().__exit__(*stop)
