# SPDX-License-Identifier: Apache-2.0
"""Verification cases: comparisons with closed forms and experiments, each at any resolution.

`test_cases.py` runs them; `report.py` runs them at three resolutions and writes docs/verification_cases.md.
"""

from tests.verification.cases import beams, bores, buoyancy, channels, drops, free_surface, gas, gas_obstacles, pools
from tests.verification.cases.base import Case, Outcome

MODULES = (pools, buoyancy, channels, free_surface, bores, drops, beams, gas, gas_obstacles)
CASES: dict[str, Case] = {case.key: case for module in MODULES for case in module.CASES}

__all__ = ["CASES", "Case", "Outcome"]
