# SPDX-License-Identifier: Apache-2.0
"""Numbers of a run over time: ``metrics.csv`` always, TensorBoard where it is installed."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simenv._files import append_text, telling, write_text


class RunLog:
    """One row per iteration.

    The CSV file is rewritten as a whole when a new column appears and appended to otherwise, so that it is a table at
    any moment. Files appear with the first row: a run that wrong input ends before leaves none.

    Args:
        directory: Where ``metrics.csv`` and the TensorBoard events go.
        step: Name of the column that counts, the first one.
        resume_at: When resuming, the last step of the checkpoint: later rows, of iterations that are done again, are
            dropped. None starts a new file.
    """

    def __init__(self, directory: str | Path, step: str, resume_at: int | None = None) -> None:
        self.file, self.step = Path(directory) / "metrics.csv", step
        self.rows: list[dict[str, Any]] = []
        self.columns: list[str] = []
        if resume_at is not None and self.file.exists():
            with open(self.file, newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if _number(row.get(step)) <= resume_at]
            self.columns = list(self.rows[0]) if self.rows else [step]
            self._rewrite()
        self._resume_at, self._begun, self.tensorboard = resume_at, False, None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a row; a value that is not finite is an empty cell.

        Args:
            step: Value of the counting column.
            values: Name -> number; names with a slash group curves in TensorBoard.
        """
        if not self._begun:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._begun, self.tensorboard = True, _tensorboard(self.file.parent, self._resume_at)
        row = {self.step: step, **{k: (repr(float(v)) if math.isfinite(v) else "") for k, v in values.items()}}
        self.rows.append(row)
        new = [name for name in row if name not in self.columns]
        if new:
            self.columns += new
            self._rewrite()
        else:
            append_text(self.file, self._csv([row]))
        if self.tensorboard is not None:
            with telling(self.file.parent / "events.out.tfevents"):
                for name, value in values.items():
                    if math.isfinite(value):
                        self.tensorboard.add_scalar(name, float(value), step)

    def close(self) -> None:
        """Flushes TensorBoard."""
        if self.tensorboard is not None:
            with telling(self.file.parent / "events.out.tfevents"):
                self.tensorboard.close()

    def _rewrite(self) -> None:
        write_text(self.file, self._csv([{name: name for name in self.columns}, *self.rows]))

    def _csv(self, rows: list[dict[str, Any]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self.columns).writerows(rows)
        return text.getvalue()


def _number(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        return math.inf  # the last line of a killed process may be cut


def _tensorboard(directory: Path, resume_at: int | None) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None  # the extra `rl`; metrics.csv holds the same numbers
    return SummaryWriter(str(directory), purge_step=None if resume_at is None else resume_at + 1)
