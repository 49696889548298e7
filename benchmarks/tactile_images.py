# SPDX-License-Identifier: Apache-2.0
"""Tactile images per second, in a process of its own; prints JSON.

python tactile_images.py simenv|taxim DEVICE THREADS N...

simenv renders depth maps of 240 x 320 pixels (a ball at a random place in each) by the GelSight Mini's calibration:
membrane and table. The package taxim (torch, without shadow) renders the same maps at 480 x 640, its calibration's
size. Both are given depth maps in memory and leave an image in memory. taxim imports torch_scatter, which only its
shadows use, and torchvision, of which it uses `resize` once for its background; where these do not load, an empty
module and torch's own interpolation stand in for them.
"""

import json
import sys
import time
import types

import simenv

# isort: split
import numpy as np
import torch

from simenv.physics.device import resolve_device, synchronize

ROUNDS = 3


def depths(worlds: int, rows: int, columns: int, pixel: float) -> torch.Tensor:
    """Balls of 4 mm diameter, 0.6 mm deep [m]."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    maps = np.empty((worlds, rows, columns), np.float32)
    for one in maps:
        column, row = rng.uniform(0.3, 0.7, 2) * (columns, rows)
        r2 = ((x - column) ** 2 + (y - row) ** 2) * pixel**2
        one[:] = 0.6e-3 - 2.0e-3 + np.sqrt(np.maximum(4.0e-6 - r2, 0.0))
    return torch.from_numpy(maps)


def rate(work, count: int, device: torch.device) -> list[float]:
    """Images per second of each round; a round lasts a while, and the device has finished at its end."""
    work()
    synchronize(device)
    rates = []
    for _ in range(ROUNDS):
        done, started = 0, time.perf_counter()
        while done == 0 or time.perf_counter() - started < 0.5:
            work()
            synchronize(device)
            done += count
        rates.append(done / (time.perf_counter() - started))
    return rates


def ours(worlds: int, threads: int, device: torch.device) -> list[float]:
    """simenv, forward."""
    from simenv.sensors.tactile.image import TactileImage
    from simenv.sensors.tactile.sensors import gelsight_mini

    simenv.set_num_threads(threads)
    sensor = TactileImage(gelsight_mini(), device=device)
    depth = depths(worlds, sensor.rows, sensor.columns, sensor.pixel).to(device)
    with torch.no_grad():
        return rate(lambda: sensor.render(depth), worlds, device)


def stand_in() -> None:
    """Modules in place of those that taxim imports and that don't load here."""
    try:
        import torch_scatter  # noqa: F401
    except (ImportError, OSError):
        sys.modules["torch_scatter"] = types.ModuleType("torch_scatter")
    try:
        import torchvision.transforms  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        vision, transforms = types.ModuleType("torchvision"), types.ModuleType("torchvision.transforms")
        vars(transforms)["InterpolationMode"] = types.SimpleNamespace(BILINEAR="bilinear")
        functional = types.ModuleType("torchvision.transforms.functional")

        def resize(image, size, interpolation):
            return torch.nn.functional.interpolate(image[None], size, mode=interpolation, antialias=True)[0]

        vars(functional)["resize"] = resize
        for module in (vision, transforms, functional):
            sys.modules[module.__name__] = module


def theirs(worlds: int, threads: int, device: torch.device) -> list[float]:
    """The package taxim."""
    stand_in()
    from taxim.calibration import CALIB_GELSIGHT_MINI
    from taxim.taxim_torch import TaximTorch

    torch.set_num_threads(threads)
    taxim = TaximTorch(CALIB_GELSIGHT_MINI, device=device)
    height = -1e3 * depths(worlds, taxim.height, taxim.width, 0.0325e-3).to(device)  # [mm], negative in contact
    return rate(lambda: taxim.render(height, with_shadow=False), worlds, device)


if __name__ == "__main__":
    import warp as wp

    wp.config.log_level = wp.LOG_ERROR
    program, device, threads = sys.argv[1], resolve_device(sys.argv[2]), int(sys.argv[3])
    measured = {}
    for text in sys.argv[4:]:
        measured[text] = (ours if program == "simenv" else theirs)(int(text), threads, device)
    print(json.dumps({"rates": measured}))
