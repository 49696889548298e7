# SPDX-License-Identifier: Apache-2.0
"""``simenv doctor``"""

import contextlib
import dataclasses
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

Status = Literal["ok", "note", "fail"]
Row = tuple[Status, str, str]


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Check the installation: versions, processors, GPUs, caches, video, and a tiny simulation.

    Exit status 1 when something that simenv needs does not work. Paste the output into bug reports.
    """

    no_simulation: bool = False
    """Skip compiling a kernel and stepping an environment."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Run every check; one that fails does not stop the others."""
        checks: list[Callable[[], list[Row]]] = [_versions, _processor, _gpus, _kernel_cache, _writable, _video]
        checks += [] if self.no_simulation else [_kernel, _simulation]
        rows: list[Row] = []
        for check in checks:
            try:
                rows += check()
            except Exception as error:  # a doctor reports whatever is wrong, with the name of the check
                rows.append(
                    ("fail", check.__name__.strip("_"), f"{type(error).__name__}: {' '.join(str(error).split())}")
                )
        if self.json:
            print(json.dumps([dict(zip(("status", "check", "result"), row, strict=True)) for row in rows], indent=1))
        else:
            _show(rows)
        return int(any(status == "fail" for status, _, _ in rows))


def _show(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "check", "result", box=None, pad_edge=False)
    color = {"ok": "green", "note": "yellow", "fail": "red"}
    for status, name, result in rows:
        table.add_row(f"[{color[status]}]{status}[/]", name, escape(result))
    console = Console()
    console.print(table)
    failed = [name for status, name, _ in rows if status == "fail"]
    console.print(f"[red]not working: {', '.join(failed)}[/]" if failed else "everything simenv needs works")


def _versions() -> list[Row]:
    from simenv._extras import DISTRIBUTION, rival
    from simenv.rollouts.manifest import versions

    rows: list[Row] = [
        ("fail" if version == "not installed" else "ok", name, version) for name, version in versions().items()
    ]
    if (other := rival()) is not None:
        text = f"{DISTRIBUTION} and simenv {other} are both installed and both bring `simenv`; pip uninstall the latter"
        rows.append(("fail", "distribution", text))
    return rows


def _processor() -> list[Row]:
    import torch

    import simenv

    threads = f"simenv uses {simenv.get_num_threads()} threads, torch {torch.get_num_threads()}"
    text = f"{platform.machine()}, {os.cpu_count()} cores, {threads}"
    return [("ok", "CPU", text)]


def _gpus() -> list[Row]:
    import torch
    import warp as wp

    from simenv import _warp

    _warp.start()
    devices = wp.get_cuda_devices()
    if not devices:
        return [("note", "CUDA", "no CUDA device: simulation runs on the CPU")]
    rows: list[Row] = []
    for device in devices:
        memory = f"{device.total_memory / 2**30:.1f} GiB"
        seen = torch.cuda.is_available()
        text = f"{device.name}, {memory}, sm_{device.arch}"
        remedy = "; Warp sees it and torch does not: install a torch build with CUDA"
        rows.append(("ok" if seen else "fail", str(device), text + ("" if seen else remedy)))
    return rows


def _kernel_cache() -> list[Row]:
    import warp as wp

    from simenv import _warp

    _warp.start()
    path = Path(wp.config.kernel_cache_dir)
    text = f"{path} ({_size(path) / 2**20:.1f} MiB)"
    if not os.access(path, os.W_OK):
        return [("fail", "kernel cache", f"{text} is not writable; set WARP_CACHE_PATH to a directory that is")]
    return [("ok", "kernel cache", text)]


def _size(path: Path) -> int:
    """Bytes of the files under a directory in which others may be compiling: Warp moves what it has compiled."""
    size = 0
    for folder, _, names in os.walk(path):  # passes over folders that have gone since they were listed
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += os.stat(os.path.join(folder, name)).st_size
    return size


def _writable() -> list[Row]:
    rows: list[Row] = []
    for name, path in (("working directory", Path.cwd()), ("temporary directory", Path(tempfile.gettempdir()))):
        try:
            with tempfile.TemporaryFile(dir=path):
                rows.append(("ok", name, f"{path} is writable"))
        except OSError as error:
            rows.append(("note", name, f"{path} is not writable ({error.strerror}); give commands an --out elsewhere"))
    return rows


def _video() -> list[Row]:
    import imageio_ffmpeg

    return [("ok", "ffmpeg", f"{imageio_ffmpeg.get_ffmpeg_version()} at {imageio_ffmpeg.get_ffmpeg_exe()}")]


def _kernel() -> list[Row]:
    """Compile (or load) one kernel and compare its result with NumPy."""
    import numpy as np
    import warp as wp

    from simenv.scripts.doctor_kernel import square

    started = time.perf_counter()
    values = np.arange(100, dtype=np.float32)
    for device in wp.get_devices():
        source = wp.array(values, dtype=wp.float32, device=device)
        target = wp.zeros_like(source)
        wp.launch(square, dim=100, inputs=[source], outputs=[target], device=device)
        if not np.array_equal(target.numpy(), values * values):
            return [("fail", "kernel", f"a compiled kernel computes wrong numbers on {device}; clear the kernel cache")]
    return [("ok", "kernel", f"compiled and ran in {time.perf_counter() - started:.2f} s")]


def _simulation() -> list[Row]:
    """Step the first registered environment and look at its numbers."""
    import gymnasium as gym
    import numpy as np

    import simenv

    task = next((name for name in simenv.list_tasks() if name.startswith("SimEnv/Pouring")), simenv.list_tasks()[0])
    started = time.perf_counter()
    env = gym.make_vec(task, num_envs=1, device="cpu", output="numpy")
    try:
        env.reset(seed=0)
        built = time.perf_counter()
        observation, reward, _, _, info = env.step(np.zeros(env.action_space.shape, env.action_space.dtype))
        stepped = time.perf_counter()
    finally:
        env.close()
    leaves = observation.values() if isinstance(observation, dict) else [observation]
    sound = (
        all(np.isfinite(leaf).all() for leaf in leaves) and np.isfinite(reward).all() and not info["sim_status"].any()
    )
    text = f"{task}: built in {built - started:.1f} s, first step in {stepped - built:.1f} s (compiles on first use)"
    return [
        (
            "ok" if sound else "fail",
            "simulation",
            text if sound else f"{text}; status {info['sim_status']}, see simenv.physics.status",
        )
    ]
