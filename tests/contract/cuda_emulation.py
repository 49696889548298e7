# SPDX-License-Identifier: Apache-2.0
"""Runs cases of `cuda_cases` on the CPU as CUDA would, in a process of its own:
``python -m tests.contract.cuda_emulation OUT CASE...`` writes ``OUT/CASE.npz``.

All worlds are in one launch, sums are atomic and native code is that between ``#if defined(__CUDACC__)`` and ``#else``;
and every launch runs its threads from the last to the first, so that what depends on their order shows.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import warp as wp
from warp._src import codegen

from simenv.physics import device as devices

CUDA_ONLY = "defined(__CUDACC__)"
FORTH = "for (size_t task_index = 0; task_index < dim->size; ++task_index)"
BACK = "for (size_t task_index = dim->size; task_index-- > 0;)"
TEMPLATES = ("cpu_module_template_forward", "cpu_module_template_backward")


def emulate_cuda() -> None:
    """Change Warp and simenv; before simenv's kernels are imported."""
    devices.on_cuda = lambda device: True
    native = wp.func_native
    wp.func_native = lambda text, *more: native(text.replace(CUDA_ONLY, "1"), *more)
    for name in TEMPLATES:
        text = getattr(codegen, name)
        if text.count(FORTH) != 1:
            raise RuntimeError(f"Warp {wp.__version__} no longer has the loop over threads in {name}: {text}")
        setattr(codegen, name, text.replace(FORTH, BACK))
    # Warp names a compiled module by its source, which does not contain what was changed above
    key = hashlib.sha256(" ".join((CUDA_ONLY, FORTH, BACK, *TEMPLATES)).encode()).hexdigest()[:8]
    wp.config.log_level = wp.LOG_WARNING
    wp.init()
    wp.config.kernel_cache_dir = str(Path(wp.config.kernel_cache_dir) / f"emulated-cuda-{key}")
    Path(wp.config.kernel_cache_dir).mkdir(parents=True, exist_ok=True)


def main(out: str, *names: str) -> None:
    """Run cases and write their results."""
    from tests.contract.cuda_cases import run

    for name in names:
        np.savez(Path(out) / f"{name}.npz", **run(name))


if __name__ == "__main__":
    emulate_cuda()
    main(*sys.argv[1:])
