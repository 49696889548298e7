# SPDX-License-Identifier: Apache-2.0
"""Settings shared by all tests: one thread per library, no Warp chatter, and GPU tests skipped where there is no
GPU.
"""

import functools
import os
import signal
from collections.abc import Iterator

# Before torch and NumPy load: the suite runs one process per core, and threads inside each would only fight.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")


import pytest


@functools.cache
def _has_gpu() -> bool:
    import warp as wp

    return bool(wp.is_cuda_available())


@pytest.fixture(scope="session", autouse=True)
def _quiet_warp() -> None:
    """Warp otherwise prints its version, its devices and each compiled module."""
    import warp as wp

    wp.config.log_level = wp.LOG_WARNING


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """Python hears SIGINT, which shells let what they run in the background ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked ``cuda`` on a machine without a GPU. Compiling kernels for CUDA needs none, so such tests are
    unmarked.
    """
    if item.get_closest_marker("cuda") and not _has_gpu():
        pytest.skip("needs a CUDA device")
