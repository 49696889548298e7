# SPDX-License-Identifier: Apache-2.0
"""How worlds are pickled and copied."""

from __future__ import annotations

from typing import Any

import torch


class Rebuilt:
    """Pickled and copied by what it was made from, and its parameters; buffers, threads and recorded graphs are made
    anew. A world has no state of its own, and steps alike with new buffers.
    """

    scene: Any
    num_worlds: int
    device: torch.device
    dtype: torch.dtype
    parameters: Any

    def __getstate__(self) -> dict[str, Any]:
        values = {
            name: value.detach().clone().requires_grad_(value.requires_grad) for name, value in self.parameters.items()
        }
        return {"made from": (self.scene, self.num_worlds, self.device, self.dtype), "parameters": values}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(*state["made from"])  # type: ignore[misc]  # subclasses take these
        for name, value in state["parameters"].items():
            self.parameters[name] = value
