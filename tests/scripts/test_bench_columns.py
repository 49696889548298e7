# SPDX-License-Identifier: Apache-2.0
"""The benchmark of a column of water: its tables say what was measured, its program runs."""

import numpy as np
import pytest

from benchmarks import columns, robots

MACHINE = {"model": "CPU", "cores": 2, "system": "Linux"}
MOMENT = {"date": "today", "commit": "abc", "load_before": 0.5, "load_after": 1.5}


def test_volumes_are_those_of_a_filled_box():
    """The column's water lies 5 cm deep in the box."""
    axes = [np.arange(columns.SPACING / 2, side, columns.SPACING) for side in (0.12, 0.06, 0.05)]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    assert columns.volumes(x) == pytest.approx([1.0, 1.0, 1.0], abs=0.01)


def test_a_ratio_of_columns_counts_where_volumes_are_kept():
    """And is by the quickest of the peer's that keeps its own."""
    times = {name: [5.0, 4.0, 5.0] if "SPlisHSPlasH" in name else [0.4] * 3 for name in columns.JOBS}
    times["SPlisHSPlasH, walls of particles"] = [8.0] * 3
    volumes = {name: [1.01, 0.99, 1.04] for name in columns.JOBS}
    volumes["simenv, weakly compressible, substeps of 0.4 ms"] = [0.88, 0.93, 0.93]
    volumes["SPlisHSPlasH, volume maps"] = [0.95, 0.99, 0.99]
    part = {**MOMENT, "volumes": volumes, "rows": columns.rows(times, volumes), "versions": {}}
    text = columns.markdown({"machine": MACHINE, "parts": {"columns": part}})
    peer = "SPlisHSPlasH, walls of particles"
    assert f"| simenv, incompressible, ticks of 5 ms / {peer} | 0.050 x | 0.050 - 0.050 |  | ≤ 0.1 x | pass |" in text
    assert f"substeps of 0.4 ms / {peer} | 0.050 x | 0.050 - 0.050 |  | ≤ 0.1 x | invalid |" in text
    assert "| SPlisHSPlasH, volume maps | 5.000 s | 4.500 - 5.000 | 0.950, 0.990, 0.990 |  | - |" in text


@pytest.mark.slow
def test_water_is_seen_when_it_is_asked_for():
    (program,) = robots.started({"columns": columns.SCRIPTS["simenv"]}).values()
    try:
        water = {"box": columns.BOX, "water": columns.WATER, "spacing": columns.SPACING, "dx": columns.DX}
        program.ask("setup", **water, seconds=0.2, seen=0.1, every=0.1)
        answer = program.ask("run", liquid="incompressible", dt=5e-3)
        assert np.shape(answer["x"]) == (2, 2880, 3) and answer["us"] > 0
    finally:
        program.close()
