# SPDX-License-Identifier: Apache-2.0
"""Devices: what a caller may ask for, which one Warp means by it, and on which stream kernels run.

Whoever takes a ``device`` calls `resolve_device` first, so that ``"cuda"`` has its index from then on and a device that
is missing is told before anything is built. Only this file talks to Warp about torch's devices and streams.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
import warp as wp

from simenv import _warp
from simenv._exclusive import EXCLUSIVE
from simenv.errors import DeviceError

__all__ = [
    "free_on_gpu",
    "launch_graph",
    "on_cuda",
    "resolve_device",
    "stream_scope",
    "surely",
    "synchronize",
    "warp_device",
]


def resolve_device(device: str | torch.device | None) -> torch.device:
    """The torch device that a caller asked for.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; None takes ``"cuda"`` where there is one.

    Returns:
        The device, with an index for CUDA.

    Raises:
        DeviceError: If this machine, or this build of torch or Warp, does not have it.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        # torch takes a whole number as well, for whatever accelerator there is
        wanted = torch.device(device) if isinstance(device, str | torch.device) else None
    except RuntimeError:
        wanted = None
    if wanted is None:
        raise DeviceError(f"device={device!r} is not a device name; use 'cpu', 'cuda' or 'cuda:<index>'.")
    _warp.start()
    if wanted.type == "cpu":
        return torch.device("cpu")
    if wanted.type != "cuda":
        raise DeviceError(f"device={str(device)!r} is of a kind simenv cannot run on; use 'cpu' or 'cuda'.")
    return _cuda_device(str(device), wanted.index)


def _cuda_device(asked: str, index: int | None) -> torch.device:
    if not torch.cuda.is_available():
        build = "is a CPU-only build" if torch.version.cuda is None else f"was built for CUDA {torch.version.cuda}"
        raise DeviceError(
            f"device={asked!r} was asked for, but torch {torch.__version__} finds no CUDA device (it {build}). "
            "Use device='cpu', or install an NVIDIA driver and a CUDA build of torch."
        )
    index = torch.cuda.current_device() if index is None else index
    if index >= torch.cuda.device_count():
        raise DeviceError(
            f"device={asked!r} was asked for, but there are {torch.cuda.device_count()} CUDA devices (from 0)."
        )
    if index >= len(wp.get_cuda_devices()):
        raise DeviceError(
            f"device={asked!r} was asked for, and torch has it, but Warp {wp.__version__} finds "
            f"{len(wp.get_cuda_devices())} CUDA devices. Use device='cpu', or install a build of Warp for this driver."
        )
    return torch.device("cuda", index)


def on_cuda(device: torch.device) -> bool:
    """Whether to compute as on a GPU: all worlds in one launch, sums by atomics, no question to the device.

    A test that has no GPU makes this true for the CPU, to run the same programs there
    (tests/contract/test_cuda_emulation.py). What only a GPU has, streams and contexts, is decided in this file.
    """
    return device.type == "cuda"


def warp_device(device: torch.device) -> wp.Device:
    """Warp's device of a torch device that `resolve_device` gave, or that a tensor has."""
    _warp.start()  # without which Warp has no devices
    return wp.device_from_torch(device)


@cache
def _stream(device: torch.device, handle: int) -> wp.Stream:
    """One wrapper of a stream: Warp forgets the stream when the first of two wrappers is collected."""
    return wp.Stream(warp_device(device), cuda_stream=handle)


def _current_stream(device: torch.device) -> wp.Stream:
    return _stream(device, torch.cuda.current_stream(device).cuda_stream)


@contextmanager
def _on_current_stream(device: torch.device) -> Iterator[None]:
    # A device has one stream for all threads of the process, so that one at a time may change it. Entering must not
    # make the stream wait for Warp's own: a stream that is being captured may not.
    with EXCLUSIVE, wp.ScopedStream(_current_stream(device), sync_enter=False):
        yield


def stream_scope(device: torch.device) -> AbstractContextManager[Any]:
    """Launch on torch's current stream, so that kernels run in order with torch's, and a capture of it sees them."""
    return _on_current_stream(device) if device.type == "cuda" else nullcontext()


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given; for whoever measures."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def free_on_gpu(device: torch.device) -> int | None:
    """Bytes that the driver has, or that torch keeps without using them; None for the CPU."""
    if device.type != "cuda":
        return None
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


def launch_graph(graph: Any, device: torch.device) -> None:
    """Run a captured graph, on CUDA on torch's current stream and in the context of its device."""
    if device.type != "cuda":
        wp.capture_launch(graph)
        return
    with torch.cuda.device(device):
        wp.capture_launch(graph, stream=_current_stream(device))


def surely(flags: torch.Tensor) -> bool:
    """Whether all flags are set, as far as the host knows without waiting: of CUDA's it does not."""
    return not on_cuda(flags.device) and bool(flags.all())
