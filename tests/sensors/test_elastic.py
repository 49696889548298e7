# SPDX-License-Identifier: Apache-2.0
"""The elastic gel's normal contact against Hertz, Boussinesq, Lebedev and Ufliand, and Dimitriadis."""

import math

import numpy as np
import pytest
import torch
import trimesh

from simenv.geometry import Box, Cylinder, MeshShape, Sphere
from simenv.physics.gels.contact import UNCONVERGED
from simenv.physics.gels.elastic import ElasticLayerGel
from simenv.physics.gels.grid import curved_grid
from simenv.physics.gels.solve import Accuracy
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.sensors.tactile.field import TactileField
from tests.sensors.contact_theory import dimitriadis, sphere_on_layer
from tests.sensors.gels import FINE, MU, NU, ORIGIN, STAR, E, R, make, press
from tests.sensors.scenes import DOUBLE, pose, turned


def radii(field):
    return torch.as_tensor(np.hypot(field.grid.points[:, 0], field.grid.points[:, 1]))


def test_hertz_force_and_exponent():
    field = make(48, mu=0.0)
    depths = np.geomspace(3e-5, 3e-4, 5)
    force = np.array([float(press(field, d)[0].normal.sum()) for d in depths])
    ratio = force / (4 / 3 * STAR * math.sqrt(R) * depths**1.5)
    slope = np.polyfit(np.log(depths), np.log(force), 1)[0]
    print(f"\nmeasured force / Hertz {ratio.round(4)}, exponent {slope:.4f}")
    assert np.abs(ratio - 1).max() <= 0.03
    assert slope == pytest.approx(1.5, abs=0.03)


def test_hertz_pressure_profile_and_radius():
    field = make(64, mu=0.0)
    depth = 2e-4
    reading, _ = press(field, depth)
    a = math.sqrt(R * depth)
    r = radii(field)
    peak = 1.5 * 4 / 3 * STAR * math.sqrt(R) * depth**1.5 / (math.pi * a * a)
    expected = peak * (1 - (r / a) ** 2).clamp(min=0).sqrt()
    error = (reading.pressure[0] - expected)[r < 0.9 * a].abs().max() / peak
    area = float((reading.pressure > 0).sum()) * field.grid.areas[0]
    print(f"\nmeasured pressure error {float(error):.4f} of the peak, radius {math.sqrt(area / math.pi) / a:.4f} a")
    assert error <= 0.02
    assert math.sqrt(area / math.pi) == pytest.approx(a, rel=0.03)
    assert not reading.pressure[0][r > 1.1 * a].any()


def test_pressure_moves_the_surface_inwards():
    """Without friction, u_r = -(1 - 2 nu)(1 + nu) a^2 p0 (1 - (1 - r^2/a^2)^1.5) / (3 E r) (Johnson 1985, 3.41b)."""
    nu, depth = 0.3, 2e-4
    field = make(48, mu=0.0, nu=nu)
    _, state = press(field, depth)
    a, r = math.sqrt(R * depth), radii(field)
    peak = 2 * E / (1 - nu**2) * a / (math.pi * R)
    inside = r < 0.95 * a
    share = 1 - (1 - (r[inside] / a) ** 2) ** 1.5
    expected = -(1 - 2 * nu) * (1 + nu) * a * a * peak / (3 * E * r[inside]) * share
    way = torch.as_tensor(field.grid.points[:, :2])[inside] / r[inside, None]
    got = (state.stick[0][inside] * way).sum(-1)
    print(f"\nmeasured error {float((got / expected - 1).abs().max()):.4f}")
    torch.testing.assert_close(got, expected, rtol=0.03, atol=0.0)


def test_flat_punch():
    radius, depth = 0.0015, 1e-4
    field = make(64, Cylinder(radius, 0.004), mu=0.0)
    reading, _ = press(field, depth, bottom=0.004)
    # a taxel is in or out: the radius is that of the area in contact
    covered = math.sqrt(float((reading.pressure > 0).sum()) * field.grid.areas[0] / math.pi)
    ratio = float(reading.normal.sum()) / (2 * STAR * covered * depth)
    print(f"\nmeasured force / (2 E* a d) {ratio:.4f}, covered radius {covered / radius:.4f} a")
    assert ratio == pytest.approx(1.0, rel=0.03) and covered == pytest.approx(radius, rel=0.02)


def test_refining_the_grid_changes_the_force_by_less_than_two_percent():
    for gel in (ElasticLayerGel(E, MU, NU, None, FINE), ElasticLayerGel(E, MU, NU, 0.002, FINE)):
        total = []
        for n in (16, 32, 64):
            field = TactileField(flat_grid(n, n, 0.005, 0.005), gel, Sphere(R), DOUBLE)
            _, state = press(field, 2e-4)
            total.append(press(field, 2e-4, 3e-5, state)[0].wrench[0].numpy())
        total = np.array(total)
        change = np.abs(total[1:, [2, 0]] / total[0, [2, 0]] - 1)
        print(f"\nmeasured change of normal and shear force at 2x {change[0]}, at 4x {change[1]}")
        assert change.max() < 0.02


@pytest.mark.parametrize("nu", [0.0, 0.3, 0.48, 0.5])
def test_bonded_layer_against_its_integral_equation(nu):
    """Exact forces from deep to thin layers; and published series.

    The series of Dimitriadis et al. 2002 loses its way as chi grows: its second coefficient is 6/7 of what the
    equations give. That of Garcia and Garcia 2018 (Biophysical Journal 114, nu = 1/2) has the right one.
    """
    radius, a = 0.05, 0.002
    for thickness in (0.02, 0.004, 0.002, 0.001):
        depth, force = sphere_on_layer(a, radius, thickness, E, nu)
        gel = ElasticLayerGel(E, 0.0, nu, thickness, FINE)
        field = TactileField(flat_grid(40, 40, 0.005, 0.005), gel, Sphere(radius), DOUBLE)
        reading, _ = press(field, depth, bottom=radius)
        chi = math.sqrt(radius * depth) / thickness
        hertz = 4 / 3 * E / (1 - nu**2) * math.sqrt(radius) * depth**1.5
        ratio, series = float(reading.normal.sum()) / force, force / hertz / dimitriadis(chi, nu)
        area = float((reading.pressure > 0).sum()) * field.grid.areas[0]
        print(f"\nmeasured nu {nu} chi {chi:.2f} stiffening {force / hertz:.3f}: force / exact {ratio:.4f}, radius "
              f"{math.sqrt(area / math.pi) / a:.3f}; exact / Dimitriadis {series:.4f}")  # fmt: skip
        assert ratio == pytest.approx(1.0, rel=0.01)
        assert math.sqrt(area / math.pi) == pytest.approx(a, rel=0.03)
        if chi < 0.2:
            assert series == pytest.approx(1.0, rel=0.01)
        if chi < 0.5 and nu == 0.5:
            garcia = 1 + 1.133 * chi + 1.497 * chi**2 + 1.469 * chi**3 + 0.755 * chi**4
            assert force / hertz == pytest.approx(garcia, rel=0.01)


def test_series_of_an_incompressible_layer():
    """The coefficients that Dimitriadis et al. 2002 print in equation 12, to third order."""
    chi = np.linspace(0, 1, 5)
    printed = 1 + 1.133 * chi + 1.283 * chi**2 + 0.769 * chi**3
    np.testing.assert_allclose(dimitriadis(chi, 0.5), printed, rtol=1e-3)


def test_thin_layer_approaches_the_winkler_limit():
    h, depth = 2e-4, 1e-5
    field = make(32, Box((0.002, 0.002, 0.003)), mu=0.0, nu=0.3, thickness=h)
    reading, _ = press(field, depth, bottom=0.003)
    middle = reading.pressure.view(32, 32)[12:20, 12:20]
    expected = WinklerGel.from_layer(E, 0.3, h).k_n * depth
    torch.testing.assert_close(middle, torch.full_like(middle, expected), rtol=0.01, atol=0)


def nut(across=0.024, hole=0.016, height=0.0148, around=10):
    """An M16 nut (ISO 4032: 24 mm across flats, 14.8 mm high), its hole a smooth cylinder."""
    angle = np.arange(6 * around) * (2 * math.pi / (6 * around))
    edge = 0.5 * across / np.cos((angle + math.pi / 6) % (math.pi / 3) - math.pi / 6)
    ring = np.stack([np.cos(angle), np.sin(angle)], -1)
    loops = [(edge[:, None] * ring, -1), (edge[:, None] * ring, 1), (0.5 * hole * ring, 1), (0.5 * hole * ring, -1)]
    points = np.concatenate([np.column_stack([xy, np.full(len(xy), s * 0.5 * height)]) for xy, s in loops])
    n, faces = len(angle), []
    for loop in range(4):
        for i in range(n):
            j = (i + 1) % n
            a, b = loop * n + i, loop * n + j
            c, d = ((loop + 1) % 4) * n + i, ((loop + 1) % 4) * n + j
            faces += [[a, b, d], [a, d, c]]
    return trimesh.Trimesh(points, faces)


@pytest.mark.parametrize("name", ["sphere", "cube", "nut"])
def test_force_grows_with_depth(name, tmp_path):
    mesh = nut()
    mesh.export(tmp_path / "nut.stl")
    assert mesh.is_watertight and mesh.volume == pytest.approx(
        0.0148 * (math.sqrt(3) / 2 * 0.024**2 - math.pi * 0.008**2), rel=0.01
    )
    shape, bottom, side = {
        "sphere": (Sphere(R), R, 0.01),
        "cube": (Box((0.004, 0.004, 0.004)), 0.004, 0.012),
        "nut": (MeshShape(tmp_path / "nut.stl"), 0.0074, 0.03),
    }[name]
    for gel in (ElasticLayerGel(E, 0.0, NU, 0.004, FINE), WinklerGel(1e8, 5e7)):
        field = TactileField(flat_grid(24, 24, side, side), gel, shape, DOUBLE, spacing=5e-4)
        force = [
            float(press(field, d, quaternion=turned((1, 0.3, 0), 0.03), bottom=bottom)[0].normal.sum())
            for d in np.linspace(1e-4, 1.2e-3, 12)
        ]
        assert force[0] >= 0 and force[-1] > 0.05 and (np.diff(force) > 0).all(), force


def test_single_precision_agrees():
    read = {}
    for dtype in (torch.float32, DOUBLE):
        field = make(32, dtype=dtype, accuracy=None)
        _, state = field.measure(pose(z=R - 2e-4, dtype=dtype), pose(dtype=dtype))
        reading, _ = field.measure(pose(x=4e-5, z=R - 2e-4, dtype=dtype), pose(dtype=dtype), state)
        assert int(reading.status[0]) == 0
        read[dtype] = reading.wrench.double()
    torch.testing.assert_close(read[torch.float32], read[DOUBLE], rtol=2e-3, atol=1e-5)


def test_a_solve_cut_short_says_so():
    reading, _ = press(make(24, accuracy=Accuracy(1e-12, 3, 3)), 2e-4)
    assert int(reading.status[0]) & UNCONVERGED


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="poisson"):
        ElasticLayerGel(E, poisson=0.6)
    with pytest.raises(ValueError, match="modulus"):
        ElasticLayerGel(0.0)
    with pytest.raises(ValueError, match="thickness"):
        ElasticLayerGel(E, thickness=-1.0)
    with pytest.raises(ValueError, match="flat grid"):
        TactileField(curved_grid(5, 5, 0.01, 0.01, 0.02), ElasticLayerGel(E), Sphere(R))
    with pytest.raises(ValueError, match="no parameter"):
        make(8).measure(pose(), ORIGIN, parameters={"k_n": torch.ones(1, dtype=DOUBLE)})
