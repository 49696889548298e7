# SPDX-License-Identifier: Apache-2.0
"""Gas around obstacles is of second order. The cases themselves, and flow around a cylinder in a channel, are among
`tests/verification/cases`.
"""

from tests.verification.cases.gas_obstacles import couette_taylor


def test_flow_between_turning_cylinders():
    """Velocities to 1 % at 32 cells, of second order; torques within 3 %, of first order."""
    (coarse, *_), (fine, torque, _) = couette_taylor(16), couette_taylor(32)
    assert fine < 0.01 and 3.0 < coarse / fine
    assert torque < 0.03
