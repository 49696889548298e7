# SPDX-License-Identifier: Apache-2.0
"""A hard ball is found by touch and gradients, with noise: one case of `python -m benchmarks.palpation`."""

import numpy as np
import pytest

from benchmarks import palpation


def test_touch_says_about_where_the_ball_is():
    """The middle of the places where forces are larger, weighted by the squares of by how much."""
    places = np.array([[0.0, 0.0], [0.01, 0.0], [0.01, 0.02]])
    plain = np.zeros((3, 2, 3))
    plain[..., 2] = 0.5
    touch = plain.copy()
    touch[0, :, 2] -= 0.3  # softer there, which says nothing
    touch[1, 0, 2] += 0.2
    touch[2, 1, 2] += 0.4
    np.testing.assert_allclose(palpation.above(touch, plain, places), [0.01, 0.016], atol=1e-12)


def test_the_table_counts_what_was_found():
    truth = {"block.lump.x": 0.001, "block.lump.y": -0.002, "block.lump.z": 0.016, "block.lump.stiffness": 3.0}
    row = {"noise": 0.001, "truth": truth, "code": "CONVERGED", "deviations": [0.001], "rollouts": 30, "seconds": 50.0}
    rows = [
        {**row, "seed": 1, "place_error": 1e-4, "stiffness_error": -0.02, "success": True},
        {**row, "seed": 2, "place_error": 3e-3, "stiffness_error": 0.04, "success": False, "deviations": [0.2, 0.1]},
    ]
    lines = palpation.table(rows).splitlines()
    assert "| 1 mN | 1 of 2 | 1.6 mm, 3 mm | 3 %, 4 % | 3 | 30 |" in lines
    assert "| 1 | 1 mN | 1.0, -2.0, 16.0 | 3.00 | 0.1 mm | -2 % | CONVERGED | 50 |" in lines


@pytest.mark.slow
def test_a_ball_is_found_through_noise():
    found = palpation.measure(seed=7, noise=0.001, starts=2, iterations=30)
    print(f"\nmeasured {found}")
    assert found["success"] and found["code"] == "CONVERGED"
    # what is found explains what was read: the root mean square of 64 x 16 x 3 residuals is the noise, within 5 sigma
    assert min(found["deviations"]) == pytest.approx(0.001, rel=5 / np.sqrt(2 * 64 * 16 * 3))
