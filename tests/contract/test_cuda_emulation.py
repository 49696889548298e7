# SPDX-License-Identifier: Apache-2.0
"""The programs that CUDA runs, run on the CPU (`cuda_emulation`), against those that the CPU runs: states, returns and
all gradients of worlds that differ, in float64.

Forced are all branches that `on_cuda` decides: one solver for all worlds, ``batched`` kernels, dense and sparse grids
without bounds, adaptive substeps by masks, one shard of a touch world. Threads run backwards. Not covered, as only a
GPU has it: real atomics and races, streams, capture and replay, single-precision contraction, running out of memory.
Not covered either, as it takes minutes: the elastic gel, whose solves run to their last iteration on CUDA.
"""

import subprocess
import sys

import numpy as np
import pytest

from tests.contract import cuda_cases
from tests.contract.source_rules import ROOT

TOLERANCE = 1e-12  # float64: sums in another order
LONG = "BallRoll-elastic"
LARGER = {  # what is left of terms a thousand times larger
    "cup": 1e-10,  # its return hardly depends on the density
    "rigid": 1e-10,  # nor on the masses of bodies, whose equations of motion are solved for (states agree to 4e-15)
}


def emulated(names, folder):
    command = [sys.executable, "-m", "tests.contract.cuda_emulation", str(folder), *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: dict(np.load(folder / f"{name}.npz")) for name in names}


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """One process for all quick cases."""
    return emulated(cuda_cases.QUICK, tmp_path_factory.mktemp("emulated"))


def check(name, found):
    expected = cuda_cases.run(name)
    assert all(np.abs(expected[key]).max() > 0 for key in expected if key.startswith("gradient of x"))
    assert len(np.unique(expected["returns"])) == cuda_cases.WORLDS  # else a world could pass for another
    if "substeps" in expected:
        assert len(np.unique(expected["substeps"])) > 1  # else only one solver ran
    apart = cuda_cases.difference(expected, found)
    allowed = LARGER.get(name, TOLERANCE)
    assert max(apart.values()) < allowed, {key: value for key, value in apart.items() if value >= allowed}


@pytest.mark.parametrize("name", cuda_cases.QUICK)
def test_what_cuda_runs_equals_what_the_cpu_runs(name, quick):
    check(name, quick[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*cuda_cases.PARTICLES, *cuda_cases.TOUCH} - {*cuda_cases.QUICK, LONG}))
def test_what_cuda_runs_equals_what_the_cpu_runs_in_more_scenes(name, tmp_path):
    check(name, emulated([name], tmp_path)[name])
