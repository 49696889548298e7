# SPDX-License-Identifier: Apache-2.0
"""Launches over worlds: one on CUDA; on the CPU one per thread, each with a share of the worlds.

A world's numbers do not depend on the share it is in, so that results are the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import warp as wp

from simenv._threads import get_num_threads, run_together, shared_pool
from simenv.physics.bridge import as_array
from simenv.physics.device import on_cuda, stream_scope, warp_device
from simenv.physics.launch.capture import launch, load

__all__ = ["launch_worlds"]


def launch_worlds(
    kernel: wp.Kernel,
    items: int,
    constants: Sequence[Any],
    inputs: Sequence[tuple[torch.Tensor, type]],
    outputs: Sequence[tuple[torch.Tensor, type]],
) -> None:
    """Run a kernel over (worlds, items).

    Args:
        kernel: with arguments constants, inputs, outputs.
        items: threads of a world.
        constants: arrays and numbers shared by the worlds.
        inputs: contiguous tensors, worlds first, each with the Warp dtype of its last axes.
        outputs: contiguous tensors to write to, likewise.
    """
    first = outputs[0][0]
    worlds, device = first.shape[0], warp_device(first.device)
    arrays = [as_array(tensor, kind) for tensor, kind in (*inputs, *outputs)]

    def run(rows: slice) -> None:
        share = arrays if rows == slice(None) else [array[rows] for array in arrays]
        size = share[-1].shape[0]
        launch(kernel, (size, items), inputs=[*constants, *share], device=device)

    threads = min(get_num_threads(), worlds) if not on_cuda(first.device) else 1
    if threads <= 1:
        with stream_scope(first.device):
            run(slice(None))
        return
    load((kernel,), device)  # once, before all threads ask for it
    edges = [worlds * k // threads for k in range(threads + 1)]
    run_together(shared_pool("simenv-launch", threads), [partial(run, slice(a, b)) for a, b in pairwise(edges)])
