# SPDX-License-Identifier: Apache-2.0
"""A ball on an elastic layer, and springs that stand for the layer under it."""

import math

import pytest

from simenv.geometry import Sphere
from simenv.physics.gels.indentation import ball_on_layer
from simenv.sensors.tactile import ElasticLayerGel, TactileField, WinklerGel, flat_grid
from tests.sensors.scenes import DOUBLE, pose

E, STILL = 1.0e5, pose()


def felt(gel, radius, depth, count=30):
    """Force [N] on a ball, and its force per sideways displacement [N/m], by the sensor."""
    side = 2.1 * math.sqrt(2.0 * radius * depth)
    field = TactileField(flat_grid(count, count, side, side), gel, Sphere(radius), DOUBLE)
    pressed, state = field.measure(pose(z=radius - depth), STILL)
    moved, _ = field.measure(pose(x=1e-6, z=radius - depth), STILL, state)
    return float(pressed.normal.sum()), float((moved.shear - pressed.shear)[..., 0].sum()) / 1e-6


def test_half_space_is_hertz_and_mindlin():
    """F = 4/3 E* sqrt(R) d^1.5, a = sqrt(R d), K = 8 G a / (2 - nu)."""
    radius, depth = 0.01, 2e-5
    for nu in (0.0, 0.3, 0.5):
        a = math.sqrt(radius * depth)
        ball = ball_on_layer(E, nu, 1000.0 * a, radius, depth)
        assert ball.radius == pytest.approx(a, rel=2e-3)
        assert ball.force == pytest.approx(4 / 3 * E / (1 - nu**2) * math.sqrt(radius) * depth**1.5, rel=2e-3)
        assert ball.sideways == pytest.approx(8 * E / (2 * (1 + nu)) * a / (2 - nu), rel=2e-3)


def test_wide_contacts_approach_thin_layers():
    """A compressible layer is springs, F = pi k R d^2; an incompressible one keeps its volume: a = 2 sqrt(R d)."""
    thickness = 1e-3
    errors, wide = [], []
    for chi in (2.5, 5.0, 10.0):
        radius = (chi * thickness) ** 2 / 1e-4
        ball = ball_on_layer(E, 0.3, thickness, radius, 1e-4)
        errors.append(ball.force / (math.pi * WinklerGel.from_layer(E, 0.3, thickness).k_n * radius * 1e-8) - 1)
        wide.append(ball_on_layer(E, 0.5, thickness, radius, 1e-4).radius / math.sqrt(radius * 1e-4))
    print(f"\nmeasured: force over springs - 1 {errors}, radius over sqrt(R d) {wide}")
    assert abs(errors[2]) < abs(errors[1]) < abs(errors[0]) and abs(errors[2]) < 0.02
    assert math.sqrt(2.0) < wide[0] < wide[1] < wide[2] < 2.0 and wide[2] > 1.85


@pytest.mark.parametrize("poisson", [0.3, 0.48])
def test_springs_of_a_ball_push_as_the_elastic_gel_does(poisson):
    """The force of a 15 mm ball on 4 mm of gel, within the grids' errors; without the ball it is 3 to 4 times that."""
    radius, thickness = 0.015, 4e-3
    for depth in (1e-4, 1e-3):
        force, sideways = felt(ElasticLayerGel(E, 50.0, poisson, thickness), radius, depth)
        springs = WinklerGel.from_layer(E, poisson, thickness, mu=50.0, radius=radius, depth=depth)
        mine, dragged = felt(springs, radius, depth)
        plain, _ = felt(WinklerGel.from_layer(E, poisson, thickness, mu=50.0), radius, depth)
        print(
            f"\nmeasured nu {poisson} depth {depth}: springs over layer {mine / force:.3f}, sideways "
            f"{dragged / sideways:.3f}; of a wide load {plain / force:.2f}"
        )
        assert mine == pytest.approx(force, rel=0.015)
        assert dragged == pytest.approx(sideways, rel=0.06)
        if poisson == 0.48:
            assert 3.0 < plain / force < 4.0


def test_bad_input_is_named():
    layer = (E, 0.48, 4e-3)
    for given, message in (
        ({"radius": 0.01}, r"radius = 0\.01 and depth = None: give both"),
        ({"radius": 0.01, "depth": 5e-3}, r"depth = 0\.005 m between 0 and the radius and thickness = 0\.004"),
        ({"radius": 5.0, "depth": 1e-3}, "more than 10.0 times the thickness"),
        ({"radius": -1.0, "depth": 1e-3}, r"radius = -1\.0"),
    ):
        with pytest.raises(ValueError, match=message):
            WinklerGel.from_layer(*layer, **given)
    with pytest.raises(ValueError, match=r"poisson = 0\.6"):
        WinklerGel.from_layer(E, 0.6, 4e-3, radius=0.01, depth=1e-3)
    assert WinklerGel.from_layer(E, 0.5, 4e-3, radius=0.01, depth=1e-3).k_n > 0.0
    with pytest.raises(ValueError, match="or give the radius and the depth of a ball"):
        WinklerGel.from_layer(E, 0.5, 4e-3)
