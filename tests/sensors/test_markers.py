# SPDX-License-Identifier: Apache-2.0
"""Markers: the layer's response against closed forms and independent integrals; press, shear, twist; gradients."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad, quad
from scipy.special import j0, j1

from simenv.geometry import Sphere
from simenv.physics.gels.compliance import layer_compliance, surface_influence
from simenv.physics.gels.contact import TactileReading
from simenv.physics.gels.grid import flat_grid
from simenv.physics.gels.winkler import TacSLGel, WinklerGel
from simenv.sensors.tactile.field import TactileField
from simenv.sensors.tactile.markers import MarkerField, draw_markers, marker_grid
from tests.sensors.scenes import DOUBLE, gradient_error, pose, turned

E, NU, H, R = 1.0e5, 0.5, 2.0e-3, 0.006
ORIGIN = pose()
GEL = WinklerGel.from_layer(E, 0.48, H, mu=0.8)


def reading_of(grid, shear, normal, dtype=DOUBLE):
    """A reading with given forces per area (P, 2) and (P,) [Pa]."""
    area = torch.as_tensor(grid.areas, dtype=dtype)
    q, p = torch.as_tensor(shear, dtype=dtype)[None], torch.as_tensor(normal, dtype=dtype)[None]
    status = torch.zeros(1, dtype=torch.int32)
    return TactileReading(p * area, q * area[:, None], p, torch.zeros(1, 6), p, q, status)


def solved_compliance(x, nu):
    """The bonded layer once more: its four unknowns by a linear solve, for mu = k = 1 and thickness x.

    u = i (A + B z) e^z + i (C + D z) e^-z along the wave, and what Navier's equations then make of the normal motion.
    """
    kappa = 3 - 4 * nu
    conditions, tops = [], []
    for A, B, C, D in np.eye(4):
        A2, C2 = A - kappa * B, -C - kappa * D
        grow, fade = math.exp(x), math.exp(-x)
        top = ((A + B * x) * grow + (C + D * x) * fade, (A2 + B * x) * grow + (C2 - D * x) * fade)
        slope_u = (B + A + B * x) * grow + (D - C - D * x) * fade
        slope_w = (B + A2 + B * x) * grow + (-D - C2 + D * x) * fade
        volume = 2 * nu * (-2 * B * grow + 2 * D * fade)  # lambda div u, finite at nu = 1/2
        conditions.append((A + C, A2 + C2, slope_u + top[1], volume + 2 * slope_w))
        tops.append(top)
    conditions, tops = np.array(conditions).T, np.array(tops).T
    shear, press = (tops @ np.linalg.solve(conditions, load) for load in ([0, 0, 1, 0], [0, 0, 0, 1]))
    return shear[0], press[0]


@pytest.mark.parametrize("nu", [0.0, 0.3, 0.48, 0.5])
def test_compliance_solves_the_layer(nu):
    for x in (0.05, 0.3, 1.0, 3.0, 8.0):
        along, across, squeezed = layer_compliance(np.array(x), nu)
        shear, press = solved_compliance(x, nu)
        assert along == pytest.approx(shear, rel=1e-9)
        assert squeezed == pytest.approx(press, rel=1e-9, abs=1e-10)
        assert across == pytest.approx(math.tanh(x), rel=1e-12)  # u'' = u, u(0) = 0, mu u'(h) = q


def test_rectangle_on_a_half_space_is_the_integral_of_cerruti_and_boussinesq():
    nu, size = 0.3, (1.0e-3, 0.7e-3)
    at = np.array([[1.1e-3, 0.6e-3], [-0.9e-3, 0.2e-3], [0.8e-3, -2e-3]])
    influence = surface_influence(at, np.zeros((1, 2)), size, nu, thickness=100.0)[:, 0]

    def points(x, y):  # Johnson 1985, eqs. 3.75 and 3.18, times pi E / (1 + nu)
        r = math.hypot(x, y)
        normal = -0.5 * (1 - 2 * nu) / r**2
        return [
            [(1 - nu) / r + nu * x * x / r**3, nu * x * y / r**3, normal * x],
            [nu * x * y / r**3, (1 - nu) / r + nu * y * y / r**3, normal * y],
        ]

    for m, (x, y) in enumerate(at):
        for i in range(2):
            for c in range(3):
                total, _ = dblquad(
                    lambda b, a, i=i, c=c, x=x, y=y: points(x - a, y - b)[i][c],
                    -size[0] / 2, size[0] / 2, -size[1] / 2, size[1] / 2, epsabs=1e-12, epsrel=1e-9,
                )  # fmt: skip
                expected = total / (size[0] * size[1]) * (1 + nu) / math.pi
                # a layer of 100 m differs from a half space by less than 1/(100 m) of 1/mm
                assert influence[m, i, c] == pytest.approx(expected, abs=1e-7 * abs(influence[m]).max() + 0.02)


def disc(n, radius, side):
    """Grid, places, and the share of a disc's area that each taxel holds, by 8 x 8 points."""
    grid = flat_grid(n, n, side, side)
    fine = (np.arange(8 * n) - 0.5 * (8 * n - 1)) * side / (8 * n)
    inside = (fine[:, None] ** 2 + fine[None] ** 2 < radius**2).astype(float)
    return grid, inside.reshape(n, 8, n, 8).mean((1, 3)).ravel()


def test_uniform_disc_on_a_half_space():
    # a taxel of a/20: the smoothed edge moves points away from it by O(1/20^2), and the area is right to 1e-3
    radius, nu, load = 1e-3, 0.3, 1e3
    grid, share = disc(44, radius, 2.2e-3)
    assert share.mean() * 2.2e-3**2 == pytest.approx(math.pi * radius**2, rel=1e-3)
    points = np.array([[0.0, 0.0], [0.5e-3, 0.0], [0.0, -0.6e-3], [2e-3, 0.0]])
    field = MarkerField(grid, points, E, nu, 100.0, DOUBLE)
    zero = np.zeros((grid.count, 2))
    pressed = field.displacement(reading_of(grid, zero, load * share))[0].numpy()
    # Johnson 1985, eq. 3.29: u_r = -(1 - 2 nu)(1 + nu) p r / (2 E) inside, a^2 / r in place of r outside
    slope = -(1 - 2 * nu) * (1 + nu) * load / (2 * E)
    expected = slope * np.array([[0, 0], [0.5e-3, 0], [0, -0.6e-3], [radius**2 / 2e-3, 0]])
    np.testing.assert_allclose(pressed, expected, atol=5e-3 * abs(slope) * radius)
    shear = zero + (load, 0.0)
    dragged = field.displacement(reading_of(grid, shear * share[:, None], np.zeros(grid.count)))[0].numpy()
    # the middle: integral of Cerruti's solution over the disc, q a (2 - nu) / (2 mu)
    assert dragged[0] == pytest.approx([load * radius * (2 - nu) * (1 + nu) / E, 0], rel=3e-3, abs=1e-12)


@pytest.mark.parametrize("nu", [0.3, 0.48, 0.5])
def test_uniform_disc_on_a_bonded_layer(nu):
    radius, load = 1.5e-3, 1e3
    grid, share = disc(44, radius, 3.3e-3)
    ways = np.array([0.4e-3, 1e-3, 2.5e-3, 4e-3])
    points = np.concatenate([[(0.0, 0.0)], np.stack([ways * math.cos(0.7), ways * math.sin(0.7)], -1)])
    field = MarkerField(grid, points, E, nu, H, DOUBLE)
    zero = np.zeros((grid.count, 2))
    pressed = field.displacement(reading_of(grid, zero, load * share))[0].numpy()
    mu = E / (2 * (1 + nu))
    far = -0.5 * (1 - 2 * nu)  # limit of the compliance at short waves, whose transform is known (as above)

    def radial(r):
        def part(k):
            return (solved_compliance(k * H, nu)[1] - far) * j1(k * radius) * j1(k * r) / k

        smooth = quad(part, 1e-3, 20 / H, limit=2000, epsrel=1e-8)[0]
        return load * radius / mu * (smooth + far * 0.5 * min(r / radius, radius / r))

    expected = np.array([radial(r) for r in ways])
    np.testing.assert_allclose(pressed[1:], expected[:, None] * points[1:] / ways[:, None], atol=5e-3 * expected.max())
    assert abs(pressed[0]).max() < 1e-12 * abs(pressed).max()
    dragged = field.displacement(reading_of(grid, (zero + (load, 0.0)) * share[:, None], np.zeros(grid.count)))[0]

    def middle(k):
        along = solved_compliance(k * H, nu)[0] - (1 - nu)
        return 0.5 * (along + math.tanh(k * H) - 1) * j1(k * radius) * j0(0.0) / k

    value = quad(middle, 1e-3, 20 / H, limit=2000, epsrel=1e-8)[0] + 0.5 * (2 - nu)
    assert float(dragged[0, 0]) == pytest.approx(load * radius / mu * value, rel=3e-3)


def test_a_wide_shear_moves_the_surface_as_simple_shear_and_a_wide_press_nowhere():
    # 24 thicknesses wide: the slowest decay of an incompressible layer is exp(-y r / h) with cos y = y (the zero
    # of 2 cosh^2 x + 2 x^2 at x = i y), so the edges are felt in the middle as exp(-0.739 x 12) = 1.4e-4
    side = 24 * H
    grid = flat_grid(24, 24, side, side)
    field = MarkerField(grid, np.zeros((1, 2)), E, NU, H, DOUBLE)
    load = np.zeros((grid.count, 2)) + (1e3, -5e2)
    dragged = field.displacement(reading_of(grid, load, np.zeros(grid.count)))[0, 0]
    mu = E / 3
    np.testing.assert_allclose(dragged, [1e3 * H / mu, -5e2 * H / mu], rtol=2.8e-4)
    # and that is the stick displacement of the springs of the same layer
    spring = WinklerGel.from_layer(E, 0.48, H)
    assert float(dragged[0]) == pytest.approx(1e3 / spring.k_t, rel=0.02)  # nu 0.48 for 0.5
    pressed = field.displacement(reading_of(grid, 0 * load, np.full(grid.count, 1e3)))[0, 0]
    assert float(pressed.abs().max()) < 1e-9 * float(dragged[0])


def scene(motion=None, quaternion=(0.0, 0.0, 0.0, 1.0), n=32, nu=NU):
    """Places and displacements of markers after a press, then a motion (x, y) or a turn."""
    grid = flat_grid(n, n, 0.016, 0.016)
    sensor = TactileField(grid, GEL, Sphere(R), DOUBLE)
    points = marker_grid(9, 9, 1.6e-3)
    markers = MarkerField(grid, points, E, nu, H, DOUBLE)
    reading, state = sensor.measure(pose(z=R - 4e-4), ORIGIN)
    if motion is not None:
        reading, state = sensor.measure(pose(*motion, R - 4e-4, quaternion), ORIGIN, state)
    return points, markers.displacement(reading)[0].numpy(), (sensor, markers, reading, state)


@pytest.mark.parametrize("nu", [0.48, 0.5])
def test_press_moves_outwards_with_zero_mean(nu):
    points, motion, _ = scene(nu=nu)
    r = np.linalg.norm(points, axis=-1)
    largest = np.linalg.norm(motion, axis=-1).max()
    assert largest > 1e-6
    assert abs(motion.mean(0)).max() < 1e-12 * largest
    away = r > 0
    outwards = np.sum(motion * points, -1)[away] / r[away]
    across = (motion[:, 1] * points[:, 0] - motion[:, 0] * points[:, 1])[away] / r[away]
    # at nu = 1/2 everywhere; a compressible gel may fall inwards under the load, not around it
    around = r[away] > (0.0 if nu == 0.5 else 2e-3)
    assert (outwards[around & (r[away] < 5 * H)] > 0).all()
    assert abs(across).max() < 0.02 * largest  # the square taxels at the footprint's edge


def test_shear_is_along_the_motion_and_decays():
    def sheared(x, y):  # less a press at the same place, which leaves what the slide did
        points, motion, (sensor, markers, _, _) = scene((x, y))
        pressed, _ = sensor.measure(pose(x, y, R - 4e-4), ORIGIN)
        return points, motion - markers.displacement(pressed)[0].numpy()

    points, change = sheared(3e-5, 0.0)
    along, across = change[:, 0], change[:, 1]
    assert along.argmax() == 40 and along[40] > 1e-6  # the middle one
    assert abs(across).max() < 0.15 * along[40]  # a quadrupole, whose sum vanishes
    assert abs(across.sum()) < 1e-9 * along.sum()
    line = along[(points[:, 1] == 0) & (points[:, 0] >= 0)]
    assert (np.diff(line) < 0).all() and 0 < line[-1] < 0.1 * line[0]
    beside = along[(points[:, 0] == 0) & (points[:, 1] >= 0)]
    assert (np.diff(beside) < 0).all() and abs(beside[-1]) < 0.02 * beside[0]
    # the layer's response is alike along both axes
    other = sheared(0.0, 3e-5)[1]
    np.testing.assert_allclose(other[:, 1].reshape(9, 9), along.reshape(9, 9).T, atol=1e-9 * along[40])


def test_twist_is_antisymmetric():
    pressed = scene(n=64)[1]
    turns = [scene((0.0, 0.0), turned((0, 0, 1), sign * 0.02), n=64)[1] - pressed for sign in (1, -1)]
    points, largest = marker_grid(9, 9, 1.6e-3), np.linalg.norm(turns[0], axis=-1).max()
    swirl = points[:, 0] * turns[0][:, 1] - points[:, 1] * turns[0][:, 0]
    near = np.linalg.norm(points, axis=-1)
    assert (swirl[(near > 0) & (near < 4e-3)] > 0).all() and largest > 1e-6  # the gel is dragged along
    np.testing.assert_allclose(turns[0], -turns[0][::-1], atol=1e-9 * largest)  # u(-x) = -u(x)
    mirrored = turns[0].reshape(9, 9, 2)[::-1] * (1, -1)  # the other turn is the picture in a mirror along x
    np.testing.assert_allclose(mirrored.reshape(-1, 2), turns[1], atol=1e-9 * largest)
    radial = np.sum(points * turns[0], -1)
    assert abs(radial).max() < 0.01 * abs(swirl).max()  # the slide is the chord of the turn, 0.01 rad off its tangent


def test_breaking_contact_returns_the_markers_exactly():
    _, motion, (sensor, markers, _, state) = scene((3e-5, 1e-5))
    assert abs(motion).max() > 1e-6
    reading, _ = sensor.measure(pose(x=3e-5, z=R + 1e-6), ORIGIN, state)
    assert not markers.displacement(reading).any()
    assert torch.equal(markers.positions(reading)[0], markers.points)


def test_world_of_many_equals_the_world_alone():
    rng = np.random.default_rng(1)
    for dtype in (torch.float32, DOUBLE):
        grid = flat_grid(20, 25, 0.02, 0.016)
        markers = MarkerField(grid, marker_grid(7, 9, 2e-3), E, NU, H, dtype)
        forces = torch.as_tensor(rng.normal(size=(64, grid.count, 3)), dtype=dtype)

        def apply(field, markers=markers):
            field = field.clone().requires_grad_()
            normal = field[..., 2]
            status = torch.zeros(len(field), dtype=torch.int32)
            reading = TactileReading(normal, field[..., :2], normal, normal[:, :6], normal, field[..., :2], status)
            moved = markers.positions(reading)
            mask = draw_markers(markers.pixels(moved, 2e-4, (80, 100)), (80, 100), 3.0)
            (grad,) = torch.autograd.grad(mask.square().sum() + moved.square().sum(), field)
            return moved.detach(), mask.detach(), grad

        everything = apply(forces)
        assert everything[1].any() and everything[2].any()
        for i in range(64):
            for one, many in zip(apply(forces[i : i + 1]), everything, strict=True):
                assert torch.equal(one[0], many[i])


def test_gradients_of_motion_and_mask():
    rng = np.random.default_rng(3)
    worlds, grid, shape = 2, flat_grid(24, 24, 0.012, 0.012), (40, 40)
    sensor = TactileField(grid, WinklerGel(1e8, 5e7), Sphere(R), DOUBLE)
    markers = MarkerField(grid, marker_grid(5, 5, 2e-3), E, 0.48, H, DOUBLE)
    start = pose(z=R - 3e-4, worlds=worlds) + torch.as_tensor(rng.normal(size=(worlds, 7)) * 5e-5)
    step = torch.as_tensor(rng.normal(size=(worlds, 7)) * (2e-5, 2e-5, 1e-5, 1e-3, 1e-3, 1e-3, 1e-3))
    weight = torch.as_tensor(rng.normal(size=(worlds, 25, 2)))
    picture = torch.as_tensor(rng.normal(size=(worlds, *shape)))
    leaves = {"body": start, "next": start + step, "k_n": torch.as_tensor(1e6 * rng.uniform(0.9, 1.1, worlds))}
    leaves["k_t"] = torch.as_tensor(5e5 * rng.uniform(0.9, 1.1, worlds))
    leaves["mu"] = torch.as_tensor(rng.uniform(0.2, 0.4, worlds))
    leaves["modulus"] = torch.as_tensor(E * rng.uniform(0.9, 1.1, worlds))
    sensor_pose = pose(worlds=worlds)

    def moved(x):
        numbers = {name: x[name] for name in ("k_n", "k_t", "mu")}
        _, state = sensor.measure(x["body"], sensor_pose, None, None, None, numbers)
        reading, _ = sensor.measure(x["next"], sensor_pose, state, None, None, numbers)
        return markers.displacement(reading, x["modulus"])

    def motion(x):
        return (moved(x) * weight).sum()

    def image(x):
        pixels = markers.pixels(markers.points + moved(x), 3e-4, shape)
        return (draw_markers(pixels, shape, 2.2, 1.5) * picture).sum()

    steps = {"body": 1e-9, "next": 1e-9, "k_n": 30.0, "k_t": 30.0, "mu": 1e-5, "modulus": 10.0}
    for name, function in (("motion", motion), ("mask", image)):
        errors = gradient_error(function, leaves, steps)
        print(f"\nmeasured {name}", {k: f"{v:.1e}" for k, v in errors.items()})
        assert max(errors.values()) <= 1e-5, (name, errors)


def test_mask_covers_the_area_of_its_discs():
    pixels = torch.tensor(
        [[[20.0, 15.0], [40.3, 22.7], [59.0, 22.0], [500.0, -70.0]]], dtype=DOUBLE, requires_grad=True
    )
    mask = draw_markers(pixels, (44, 60), 6.0, 2.0)
    assert mask.shape == (1, 44, 60) and mask.amin().item() == 0.0 and mask.amax().item() == 1.0
    # the edge is symmetric in the squared distance, so a whole disc has pi r^2 up to the pixels' sampling
    assert mask[0, :, :48].sum().item() == pytest.approx(2 * math.pi * 36, rel=0.005)
    assert mask[0, :, 49:].sum().item() == pytest.approx(math.pi * 36 / 2 + 6, rel=0.02)  # half, and its middle column
    middle = mask[0, 5:40, 30:50].detach().numpy()
    rows, columns = np.mgrid[5:40, 30:50]
    assert (columns * middle).sum() / middle.sum() == pytest.approx(40.3, abs=0.01)
    assert (rows * middle).sum() / middle.sum() == pytest.approx(22.7, abs=0.01)
    assert torch.isfinite(torch.autograd.grad(mask.square().sum(), pixels)[0]).all()
    twice = draw_markers(torch.tensor([[[9.0, 9.0], [10.0, 9.0]]], dtype=DOUBLE), (20, 20))
    assert float(twice.max()) == 1.0


def test_pixels_put_the_middle_in_the_middle():
    place = torch.tensor([[[0.0, 0.0], [1e-3, -2e-3]]], dtype=DOUBLE)
    pixels = MarkerField.pixels(place, 1e-4, (240, 320))
    np.testing.assert_allclose(pixels[0], [[159.5, 119.5], [169.5, 99.5]])


def test_bad_input_is_named():
    grid = flat_grid(4, 4, 0.01, 0.01)
    with pytest.raises(ValueError, match=r"poisson = 0\.6"):
        MarkerField(grid, marker_grid(2, 2, 1e-3), E, 0.6)
    with pytest.raises(ValueError, match="modulus = -1"):
        MarkerField(grid, marker_grid(2, 2, 1e-3), -1.0)
    with pytest.raises(ValueError, match=r"\(M, 2\)"):
        MarkerField(grid, np.zeros((3, 3)), E)
    with pytest.raises(ValueError, match="pitch"):
        marker_grid(2, 2, 0.0)
    markers = MarkerField(grid, marker_grid(2, 2, 1e-3), E, dtype=DOUBLE)
    unitless, _ = TactileField(grid, TacSLGel(), Sphere(R), DOUBLE).measure(pose(z=R), ORIGIN)
    with pytest.raises(ValueError, match="has no unit"):
        markers.displacement(unitless)
    other, _ = TactileField(flat_grid(3, 4, 0.01, 0.01), GEL, Sphere(R), DOUBLE).measure(pose(z=R), ORIGIN)
    with pytest.raises(ValueError, match="12 taxels"):
        markers.displacement(other)
    with pytest.raises(ValueError, match="softness"):
        draw_markers(torch.zeros(1, 1, 2), (4, 4), 1.0, 2.0)
