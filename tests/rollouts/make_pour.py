# SPDX-License-Identifier: Apache-2.0
"""Makes ``assets/motions/pour.csv``: in 2 s a glass is moved and tilted, then held, as a tracker reports it at 60 Hz.

The path is a minimum-jerk profile (T. Flash and N. Hogan, 1985), which resembles the speed of a human reach. Run
``python -m tests.rollouts.make_pour FILE``.
"""

import sys

import numpy as np

from simenv.rollouts import Motion, save_motion

DURATION = 2.0  # [s] of the tilt
HOLD = 0.5  # [s] until the glass has drained
RATE = 60.0  # [Hz]
START = np.array([0.0, 0.0, 0.10])  # [m]
SHIFT = np.array([0.12, 0.0, 0.03])  # [m]
TILT = np.deg2rad(145.0)  # [rad] about +y, so that the glass pours towards +x


def pour_motion() -> Motion:
    """The motion: (K, 3) [m] and (K, 4) xyzw at 60 Hz."""
    times = np.arange(round((DURATION + HOLD) * RATE) + 1) / RATE
    s = np.minimum(times / DURATION, 1.0)
    progress = 10 * s**3 - 15 * s**4 + 6 * s**5
    half = 0.5 * TILT * progress
    zero = np.zeros_like(half)
    return Motion(times, START + progress[:, None] * SHIFT, np.stack([zero, np.sin(half), zero, np.cos(half)], axis=1))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.rollouts.make_pour FILE")
    save_motion(sys.argv[1], pour_motion())
