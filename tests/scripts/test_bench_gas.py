# SPDX-License-Identifier: Apache-2.0
"""The benchmark of gas: its tables say what was measured, its program runs."""

import numpy as np
import pytest

from benchmarks import gas, robots

MACHINE = {"model": "CPU", "cores": 2, "system": "Linux"}
MOMENT = {"date": "today", "commit": "abc", "load_before": 0.5, "load_after": 1.5}


def test_the_tables_of_gas_say_what_was_measured():
    times = {name: [50.0] * 3 if "PhiFlow" in name else [2.0, 2.0, 2.5] for name in gas.JOBS}
    facts = {"smoke": 1.0, "height": 0.2, "energy": 0.1, "slope": 3.0, "divergence": 1e-6}
    turning = {"error": 1e-6, "slope": 2.0}
    found = {case: {"simenv": facts, "phiflow": facts} for case in gas.PLUMES}
    found[gas.VORTICES] = dict.fromkeys(("simenv", "jax-cfd by Heun", "jax-cfd by Euler"), turning)
    part = {
        **MOMENT, "rows": robots.rows(times, gas.RATIOS, "ms"), "found": found,
        "versions": {"phiflow": {"phiflow": "3.4.0", "peak_mb": 1.0}},
    }  # fmt: skip
    text = gas.markdown({"machine": MACHINE, "parts": {"gas": part}})
    assert "| PhiFlow / simenv, 3-D 32^3, step | 25.00 x | 22.50 - 25.00 | ≥ 20 x | pass |" in text
    assert "| jax-cfd by Euler / simenv, periodic 64^3, step | 1.00 x | 1.00 - 1.00 |  | - |" in text
    assert "| 2-D 128^2: derivative | 3 | 3 |" in text and "phiflow 3.4.0." in text and "peak" not in text


@pytest.mark.slow
def test_gas_turns_as_it_should_and_smoke_is_what_its_inflow_gave():
    (program,) = robots.started({"gas": gas.SCRIPTS["simenv"]}).values()
    try:
        asked = {"rate": gas.RATE, "warm": gas.WARM, "steps": gas.STEPS, "tolerance": gas.TOLERANCE}
        plume = {"dim": 2, "cells": 32, "dt": 0.05}
        vortices = {"cells": 16, "dt": 0.01, "viscosity": 0.002}
        program.ask("setup", plumes={"plume": plume}, vortices={"vortices": vortices}, **asked)
        assert program.ask("facts", case="plume")["smoke"] == pytest.approx(6 * 0.05 * np.pi * 0.1**2, rel=0.02)
        assert program.ask("facts", case="vortices")["error"] < 1e-3
        forward, gradient = (program.ask(job, case="vortices")["us"] for job in ("forward", "gradient"))
        assert 0 < forward < gradient
    finally:
        program.close()
