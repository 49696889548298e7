# SPDX-License-Identifier: Apache-2.0
"""``simenv bench``"""

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import Literal, get_args

Part = Literal[
    "forward", "gradient", "environment", "worlds", "idle", "memory", "bound", "tactile-fields", "tactile-images"
]  # fmt: skip
PARTS: tuple[Part, ...] = get_args(Part)
ON_CUDA: tuple[Part, ...] = ("forward", "gradient", "environment", "worlds", "tactile-fields", "tactile-images")
ROOT = Path(__file__).resolve().parents[1]  # of the checkout


@dataclasses.dataclass(frozen=True)
class Bench:
    """Measure simulation speed and memory: against other simulators on the same liquid, against the hardware's bound,
    and the environments on their own.

    Needs a checkout. The first run makes .venv-bench for Taichi and waits for its compiler. Genesis and rewarped are
    measured if SIMENV_BENCH_GENESIS_PYTHON and SIMENV_BENCH_REWARPED_PYTHON name a Python that has them.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    """Device; on cuda all parts but memory and bound, which are about the CPU."""
    quick: bool = False
    """A small scene, one round and no peers: whether the harness works, not how fast anything is."""
    only: tuple[Part, ...] = ()
    """Parts to measure; the others stay in the report as they were measured before. All of the device by default."""
    tasks: tuple[str, ...] = ()
    """Environments that the part environment measures; all that are registered by default."""
    out: Path = Path("benchmarks/results")
    """Folder for the report: a JSON file, Markdown tables and a chart."""

    def run(self) -> int:
        """Measure, write the report, print its tables.

        Returns:
            1 if a target is missed or programs disagree, else 0; with ``quick`` only the latter.
        """
        folder = ROOT / "benchmarks"
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is missing: `simenv bench` runs from a checkout of the repository")
        parts = self.only or (PARTS if self.device == "cpu" else ON_CUDA)
        if self.device == "cuda" and set(parts) - set(ON_CUDA):
            raise ValueError(f"--only {' '.join(parts)}: on cuda there are {', '.join(ON_CUDA)}")
        if str(ROOT) not in sys.path:
            sys.path.insert(0, str(ROOT))  # it lies beside simenv and is not installed, so that no import can name it
        return importlib.import_module("benchmarks.harness.run").run(self, parts)
