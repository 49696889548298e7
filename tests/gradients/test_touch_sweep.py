# SPDX-License-Identifier: Apache-2.0
"""Gradients of BoltOnNut over seeds and horizons: taxels beside the rim of the bolt's head, kinks told apart."""

import numpy as np
import pytest

from tests.gradients.touch_sweep import HORIZONS, summary, sweep

LIMIT = 1e-5


def check(cases):
    """Every case in which no taxel switches is right."""
    print(f"\nmeasured {summary(cases)}")
    wrong = [case for case in cases if np.isfinite(case.regular) and case.regular > LIMIT]
    assert not wrong, wrong
    assert all(case.exact != 0.0 for case in cases)


def test_rays_beside_the_rim():
    """At these horizons a taxel's normal passes the rim by less than 1e-7 m."""
    cases = sweep("SimEnv/BoltOnNut-v0", (4,), (1, 5, 8))
    check(cases)
    assert all(np.isfinite(case.smooth) for case in cases)  # so that none is left out


@pytest.mark.slow
def test_twenty_seeds():
    cases = sweep("SimEnv/BoltOnNut-v0", range(20), HORIZONS)
    check(cases)
    assert np.mean([np.isfinite(case.regular) for case in cases]) > 0.8
