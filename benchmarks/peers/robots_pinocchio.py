# SPDX-License-Identifier: Apache-2.0
"""Pinocchio on the same Panda, one thread: forward dynamics, and its analytical derivatives by positions, rates and
torques, one call from Python for each world. It shares no code with simenv; see ../protocol.py for how it is asked.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from protocol import claim_stdout, serve

ANSWERS = claim_stdout()

import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import pinocchio  # noqa: E402


class Server:
    """One model."""

    def setup(self, request: dict) -> dict:
        """Read the robot; answer with versions."""
        self.model = pinocchio.buildModelFromUrdf(request["file"])
        self.data = self.model.createData()
        return {"pinocchio": pinocchio.__version__, "numpy": np.__version__}

    def _start(self, request: dict) -> list[Any]:
        return [np.array(request[name]) for name in ("q", "v", "tau")]

    def accelerations(self, request: dict) -> dict:
        """Of the joints, (N, 9)."""
        rows = zip(*self._start(request), strict=True)
        return {"float64": [pinocchio.aba(self.model, self.data, *row).tolist() for row in rows]}

    def _microseconds(self, request: dict, work: Callable[..., Any]) -> dict:
        rows = list(zip(*self._start(request), strict=True))
        model, data = self.model, self.data
        start, cpu = time.perf_counter(), time.process_time()
        for row in rows:
            work(model, data, *row)
        cpu, seconds = time.process_time() - cpu, time.perf_counter() - start
        return {"us": 1e6 * cpu / len(rows), "cpu_per_wall": cpu / seconds}

    def aba(self, request: dict) -> dict:
        """Processor time of forward dynamics of a world [us]."""
        return self._microseconds(request, pinocchio.aba)

    def derivatives(self, request: dict) -> dict:
        """The same of forward dynamics with its derivatives."""
        return self._microseconds(request, pinocchio.computeABADerivatives)


if __name__ == "__main__":
    serve(Server(), ANSWERS)
