# SPDX-License-Identifier: Apache-2.0
"""The benchmark of ants: its programs simulate the same robot, and its tables say what was measured."""

import pytest

from benchmarks import ants, robots


def test_the_tables_say_what_was_measured():
    times = {name: [12.0, 12.0, 13.2] if "MuJoCo" in name else [10.0, 10.0, 11.0] for name in ants.JOBS}
    part = {
        "rows": robots.rows(times, ants.RATIOS), "versions": {"mujoco": {"mujoco": "4.0.0", "peak_mb": 1.0}},
        "date": "today", "commit": "abc", "load_before": 0.5, "load_after": 1.5,
        "disagreement": {"simenv, float64": 2e-14}, "contacts": {"simenv": 1.5, "MuJoCo": 2.0},
        "launches": {dtype: {"kick": [4.0, 2.0]} for dtype in ("float32", "float64")},
    }  # fmt: skip
    machine = {"model": "CPU", "cores": 2, "system": "Linux"}
    text = ants.markdown({"machine": machine, "worlds": 4, "ticks": 10, "parts": {"ants": part}})
    assert "| MuJoCo rollout / simenv step, float32 | 1.20 x | 1.20 - 1.20 | ≥ 1.2 x | pass |" in text
    assert "simenv 1.50, MuJoCo 2.00." in text and "mujoco 4.0.0." in text and "peak" not in text


@pytest.mark.slow
def test_the_programs_simulate_the_same_ants():
    """In the air to rounding; on the floor about as many points touch."""
    pytest.importorskip("mujoco")
    part = ants.measure(worlds=32, ticks=2, rounds=1)
    assert part["disagreement"]["simenv, float64"] < 1e-12
    assert part["contacts"]["simenv"] == pytest.approx(part["contacts"]["MuJoCo"], abs=0.5)
    assert len(part["rows"]) == len(ants.JOBS) + len(ants.RATIOS)
    assert all(row["median"] > 0 for row in part["rows"]) and "kick" in part["launches"]["float64"]
