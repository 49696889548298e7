# SPDX-License-Identifier: Apache-2.0
"""The elastic gel that its tests press."""

from simenv.geometry import Sphere
from simenv.physics.gels.solve import Accuracy
from simenv.sensors.tactile import ElasticLayerGel, TactileField, flat_grid
from tests.sensors.scenes import DOUBLE, pose

E, MU, NU, R = 1.0e5, 0.5, 0.48, 0.01
STAR = E / (1 - NU**2)
ORIGIN = pose()
FINE = Accuracy(1e-8)  # of the displacement, far below what a grid resolves


def make(n=32, shape=None, side=0.005, mu=MU, nu=NU, thickness=None, dtype=DOUBLE, accuracy=FINE):
    gel = ElasticLayerGel(E, mu, nu, thickness, accuracy)
    return TactileField(flat_grid(n, n, side, side), gel, shape or Sphere(R), dtype)


def press(field, depth, x=0.0, state=None, quaternion=(0.0, 0.0, 0.0, 1.0), bottom=R):
    return field.measure(pose(x=x, z=bottom - depth, quaternion=quaternion), ORIGIN, state)
