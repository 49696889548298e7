# SPDX-License-Identifier: Apache-2.0
"""The benchmark of robots: its programs simulate the same robot, and its tables say what was measured."""

import pytest

from benchmarks import robots

LAUNCHES = {"drift": [0.1, 0.2], "advance": [0.9, 2.3]}


def report() -> dict:
    """What `measure` gives, of made up times: simenv 2 us, its gradient 8, MuJoCo 3, Pinocchio 4."""
    times = {name: [2.0, 2.0, 2.2] for name in robots.JOBS}
    times |= {name: [8.0] * 3 for name in robots.JOBS if "gradient" in name}
    times |= {name: [3.0, 3.0, 3.3] for name in robots.JOBS if "MuJoCo" in name}
    times["Pinocchio computeABADerivatives"] = [4.0] * 3
    part = {
        "rows": robots.rows(times), "versions": {"mujoco": {"mujoco": "4.0.0", "peak_mb": 1.0}}, "date": "today",
        "commit": "abc", "load_before": 0.5, "load_after": 1.5, "disagreement": {"mujoco, float64": 2e-14},
        "launches": {"float32": LAUNCHES, "float64": LAUNCHES},
    }  # fmt: skip
    machine = {"model": "CPU", "cores": 2, "system": "Linux"}
    return {"machine": machine, "worlds": 4, "ticks": 10, "parts": {"robots": part}}


def test_ratios_are_those_of_rounds_and_are_judged():
    found = {row["name"]: row for row in report()["parts"]["robots"]["rows"]}
    assert found["MuJoCo rollout / simenv step, float32"]["rounds"] == pytest.approx([1.5, 1.5, 1.5])
    assert found["MuJoCo rollout / simenv step, float32"]["verdict"] == "pass"
    missed = found["Pinocchio derivatives / simenv step and gradient, float64"]
    assert (missed["median"], missed["verdict"]) == (0.5, "miss")


def test_the_tables_say_what_was_measured():
    text = robots.markdown(report())
    assert "| MuJoCo rollout | 3.00 us | 3.00 - 3.15 |  | - |" in text
    assert "| MuJoCo rollout / simenv step, float32 | 1.50 x | 1.50 - 1.50 | ≥ 1.5 x | pass |" in text
    assert "| `advance` | 0.900 | 2.300 | 0.900 | 2.300 |" in text and "| all | 1.00 | 2.50 | 1.00 | 2.50 |" in text
    assert "of a step's 2.00 us kernels by themselves take 1.00; of 8.00 us" in text and ", 4.50." in text
    assert "mujoco 4.0.0." in text and "peak" not in text


@pytest.mark.slow
def test_the_programs_simulate_the_same_robot():
    pytest.importorskip("mujoco")
    pytest.importorskip("pinocchio")
    part = robots.measure(worlds=3, ticks=2, rounds=1)
    assert set(part["disagreement"]) == {"simenv, float64", "simenv, float32", "mujoco, float64"}
    assert part["disagreement"]["simenv, float64"] < 1e-12
    assert len(part["rows"]) == len(robots.JOBS) + len(robots.RATIOS)
    assert all(row["median"] > 0 for row in part["rows"]) and "drift" in part["launches"]["float64"]
