# SPDX-License-Identifier: Apache-2.0
"""Tactile images against NumPy references written from the formulas, and their gradients."""

import numpy as np
import pytest
import torch

import simenv
from simenv.errors import AssetError
from simenv.geometry import Box, Cylinder, Sphere
from simenv.sensors.tactile.calibration import TactileCalibration
from simenv.sensors.tactile.image import ContactDepth, TableShader, TactileImage
from simenv.sensors.tactile.membrane import Membrane, MembraneFilter, extended_box
from simenv.sensors.tactile.photometry import NormalTable, TaximTable, load_taxim
from simenv.sensors.tactile.sensors import CAMERAS, digit, digit_shader, gelsight_mini, gelsight_r15
from tests.sensors.scenes import DOUBLE, gradient_error, pose, turned

CPU = torch.device("cpu")
SHAPES = {  # and the height of their middles, so that each is some tenths of a millimetre deep
    "sphere": (Sphere(0.003), 0.0026),
    "cylinder": (Cylinder(0.001, 0.004), 0.0006),
    "cube": (Box((0.0015, 0.0015, 0.0015)), 0.0015),
}
SENSORS = {"r15": gelsight_r15, "mini": gelsight_mini, "digit": digit}


def small(rows=30, columns=40, membrane=None, seed=0):
    """A sensor with a random smooth table and a random background."""
    rng = np.random.default_rng(seed)
    first, second, third = rng.normal(size=(3, 3, 6)) * 25

    def response(nx, ny):
        nx, ny = nx[..., None, None], ny[..., None, None]
        return nx * first + ny * second + nx * ny * third + nx**3 * first[::-1]

    background = rng.integers(60, 180, (rows, columns, 3), dtype=np.uint8)
    membrane = membrane or Membrane((0.0, 2e-4), (0.4, 0.6))
    table = NormalTable.sample(response, (1 / columns, 1 / rows))
    return TactileCalibration("small", 1e-4, background, membrane, table, {})


def sphere_surface(rows=60, columns=80, radius=20.0, depth=6.0):
    """Height [pixels] of a sphere pressed in by `depth`."""
    y, x = np.mgrid[:rows, :columns]
    r2 = (x - 0.45 * columns) ** 2 + (y - 0.55 * rows) ** 2
    return np.maximum(np.sqrt(np.maximum(radius**2 - r2, 0.0)) - radius + depth, 0.0)


def taxim_reference(surface, table, background):
    """Taxim's optical simulation (Si, Yuan 2022): angle and direction of the slope, the bin below, a quadratic in the
    pixel's column and row, and the background. Border pixels, where Taxim repeats the inside, are left out.
    """
    z = surface
    along_rows, along_columns = (z[2:, 1:-1] - z[:-2, 1:-1]) / 2, (z[1:-1, 2:] - z[1:-1, :-2]) / 2
    bins = table.shape[1]
    size = np.hypot(along_rows, along_columns)
    direction = np.where(size > 0, np.arctan2(along_rows, along_columns), 0.0)
    a = np.floor(np.arctan(size) / (np.pi / 2 / (bins - 1))).astype(int)
    b = np.floor((direction + np.pi) / (2 * np.pi / (bins - 1))).astype(int)
    y, x = (m[1:-1, 1:-1].astype(float) for m in np.mgrid[: z.shape[0], : z.shape[1]])
    features = np.stack([x * x, y * y, x * y, x, y, np.ones_like(x)], -1)
    change = np.stack([(features * table[c][a, b]).sum(-1) for c in range(3)], -1)
    return np.clip(background[1:-1, 1:-1] + change, 0, 255)


def smooth_taxim_table(bins=125):
    """A table (3, B, B, 6) of a surface lit by three coloured lamps, which changes a little with the position."""
    angle, direction = np.meshgrid(np.linspace(0, np.pi / 2, bins), np.linspace(-np.pi, np.pi, bins), indexing="ij")
    place = np.array([1e-6, -2e-6, 1e-6, 1e-3, -1e-3, 1.0])
    lamps = 2 * np.pi * np.arange(3) / 3
    return np.stack([70 * np.sin(angle) * np.cos(direction - lamp) for lamp in lamps])[..., None] * place


def as_taxim(table):
    return TaximTable(table.transpose(1, 2, 0, 3))


def shaded(table, background, surface, dtype=DOUBLE):
    """Colours of a surface in pixels."""
    return TableShader(table, background, 1.0, dtype, CPU)(torch.tensor(surface[None], dtype=dtype))[0].numpy()


def test_floor_lookup_is_taxims():
    rng = np.random.default_rng(1)
    table, background = rng.normal(size=(3, 125, 125, 6)) * 1e-3, rng.integers(80, 160, (60, 80, 3))
    surface = sphere_surface() + 0.3 * rng.random((60, 80))
    error = np.abs(
        shaded(as_taxim(table), background, surface)[1:-1, 1:-1] - taxim_reference(surface, table, background)
    )
    assert error.max() < 1e-9


def test_normal_table_is_within_a_grey_level_of_taxims():
    # Half a bin of Taxim's floor is 0.0063 rad in angle and 0.025 rad in direction, which with 70 grey levels per
    # radian is 0.44 + 1.8 sin(angle) levels; against the interpolated table only the grid's curvature is left.
    table, background = smooth_taxim_table(), np.full((60, 80, 3), 120)
    surface, taxim = sphere_surface(), as_taxim(table)
    ours = shaded(taxim.to_normals(), background, surface)[1:-1, 1:-1]
    z = surface
    along_rows, along_columns = (z[2:, 1:-1] - z[:-2, 1:-1]) / 2, (z[1:-1, 2:] - z[1:-1, :-2]) / 2
    values = taxim.interpolate(np.arctan(np.hypot(along_rows, along_columns)), np.arctan2(along_rows, along_columns))
    y, x = (m[1:-1, 1:-1].astype(float) for m in np.mgrid[:60, :80])
    features = np.stack([x * x, y * y, x * y, x, y, np.ones_like(x)], -1)
    reference = np.clip(background[1:-1, 1:-1] + (values * features[..., None, :]).sum(-1), 0, 255)
    assert np.ptp(reference) > 60.0
    assert np.abs(ours - reference).max() < 0.1
    fine = smooth_taxim_table(2001)
    assert np.abs(ours - taxim_reference(surface, fine, background)).max() < 1.0


def test_interpolation_is_periodic_in_the_direction():
    table = as_taxim(smooth_taxim_table(33))
    angle = np.full(3, 0.7)
    across = table.interpolate(angle, np.array([np.pi, -np.pi, -np.pi + 2e-9]))
    np.testing.assert_allclose(across[0], across[1], atol=1e-12)
    np.testing.assert_allclose(across[0], across[2], atol=1e-5)
    turned_on = table.interpolate(angle[:1] * 0 + 0.4, np.array([1.0 + 2 * np.pi]))
    np.testing.assert_allclose(turned_on, table.interpolate(np.array([0.4]), np.array([1.0])), atol=1e-12)


def test_lookup_equals_its_formula():
    calibration = small()
    table, rng = calibration.table, np.random.default_rng(2)
    surface = np.cumsum(rng.normal(size=(30, 40)), 1) * 2e-5
    gy, gx = np.gradient(surface, 1e-4)
    n = np.stack([gx, gy], -1) / np.sqrt(1 + gx**2 + gy**2)[..., None]
    at = (n + 1) / 2 * (table.bins - 1)
    low = np.floor(at).astype(int)
    s, t = np.moveaxis((at - low)[..., None, None], 2, 0)
    (c, r), v = np.moveaxis(low, -1, 0), table.values
    rows, columns = np.mgrid[:30, :40]
    x, y = columns / 40, rows / 30
    values = (1 - t) * ((1 - s) * v[r, c] + s * v[r, c + 1]) + t * ((1 - s) * v[r + 1, c] + s * v[r + 1, c + 1])
    features = np.stack([x * x, y * y, x * y, x, y, np.ones_like(x)], -1)
    reference = np.clip(calibration.background + (values * features[..., None, :]).sum(-1), 0, 255)
    shade = TableShader(table, calibration.background, 1e-4, DOUBLE, CPU)
    np.testing.assert_allclose(shade(torch.tensor(surface[None]))[0].numpy(), reference, atol=1e-9)


@pytest.mark.parametrize("name", SENSORS)
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_no_contact_is_the_background(name, dtype):
    sensor = TactileImage(SENSORS[name](), dtype)
    depth = torch.full((2, sensor.rows, sensor.columns), -1e-4, dtype=dtype)
    assert torch.equal(sensor.render(depth), sensor.background.expand(2, -1, -1, -1))
    assert np.array_equal(sensor.render(depth, as_uint8=True)[1].numpy(), sensor.calibration.background)


def test_lamps_without_contact_give_the_background():
    sensor = TactileImage(digit(), shader=digit_shader())
    depth = torch.zeros((1, sensor.rows, sensor.columns))
    assert torch.equal(sensor.render(depth)[0], sensor.background)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_of_the_image_by_the_depth(shape):
    sensor = TactileImage(small(), DOUBLE)
    quaternion = turned((0, 1, 0), np.pi / 2) if shape == "cylinder" else turned((1, 2, 3), 0.5)
    depth = ContactDepth(sensor, SHAPES[shape][0])(pose(2e-4, -1e-4, SHAPES[shape][1], quaternion), pose())
    assert 50 < int((depth > 0).sum()) < 1100
    weights = torch.as_tensor(np.random.default_rng(3).normal(size=(1, 30, 40, 3)))
    for seed in range(3):
        errors = gradient_error(
            lambda leaves: (sensor.render(leaves["depth"]) * weights).sum(), {"depth": depth}, {"depth": 1e-9}, seed
        )
        assert errors["depth"] < 1e-5


def test_gradient_at_zero_slope():
    # a flat press and no press at all: every slope is zero, where a lookup by angle and direction has no derivative
    sensor = TactileImage(small(membrane=Membrane((0.0,), (1.0,))), DOUBLE)
    depth = torch.full((1, 30, 40), 5e-4, dtype=DOUBLE)
    weights = torch.as_tensor(np.random.default_rng(4).normal(size=(1, 30, 40, 3)))
    errors = gradient_error(
        lambda leaves: (sensor.render(leaves["depth"]) * weights).sum(), {"depth": depth}, {"depth": 1e-8}
    )
    assert errors["depth"] < 1e-5
    zero = torch.zeros((1, 30, 40), dtype=DOUBLE, requires_grad=True)
    (gradient,) = torch.autograd.grad(sensor.render(zero).sum(), zero)
    assert torch.isfinite(gradient).all()


def test_gradient_by_the_pose():
    sensor = TactileImage(small(membrane=Membrane((2e-4,), (1.0,))), DOUBLE)
    contact = ContactDepth(sensor, Sphere(0.003))
    weights = torch.as_tensor(np.random.default_rng(5).normal(size=(1, 30, 40, 3)))
    step = torch.zeros((1, 7), dtype=DOUBLE)
    # smooth in the pose as long as no pixel meets or leaves the ball, or the border of a cell of the table, in between
    errors = gradient_error(
        lambda leaves: (sensor.render(contact(pose(1e-5, 2e-5, 0.0027) + leaves["step"], pose())) * weights).sum(),
        {"step": step},
        {"step": 1e-10},
    )
    assert errors["step"] < 1e-4


def test_gradient_through_lamps():
    calibration = digit().resized(40, 30, 5e-4)
    from simenv.sensors.tactile.leds import LedShader
    from simenv.sensors.tactile.sensors import DIGIT

    shader = LedShader(DIGIT, calibration.background, calibration.pixel, DOUBLE)
    sensor = TactileImage(calibration, DOUBLE, shader=shader)
    depth = ContactDepth(sensor, Sphere(0.006))(pose(3e-4, -2e-4, 0.0051), pose())
    weights = torch.as_tensor(np.random.default_rng(6).normal(size=(1, 40, 30, 3)))
    errors = gradient_error(
        lambda leaves: (sensor.render(leaves["depth"]) * weights).sum(), {"depth": depth}, {"depth": 1e-10}
    )
    assert errors["depth"] < 1e-5


def test_lamps_equal_their_formula_without_shadow():
    from dataclasses import replace

    from simenv.sensors.tactile.leds import LedShader
    from simenv.sensors.tactile.sensors import DIGIT

    # a plane of slope (0.2, 0), away from the border; no ray meets it again
    rows, columns, pixel = 20, 24, 1e-4
    elastomer = replace(DIGIT, penumbra=1e-6)
    background = elastomer.background(rows, columns, pixel)
    shader = LedShader(elastomer, background, pixel, DOUBLE)
    x = (np.arange(columns) - 0.5 * (columns - 1)) * pixel
    surface = torch.tensor(np.tile(0.02 * x, (1, rows, 1)))
    image = shader(surface)[0].numpy()
    total = np.zeros((rows, columns, 3))
    y = (np.arange(rows) - 0.5 * (rows - 1)) * pixel
    for slope, sign in ((0.02, 1.0), (0.0, -1.0)):
        at = np.stack(np.broadcast_arrays(x, y[:, None], slope * x), -1)
        normal = np.array([-slope, 0.0, 1.0]) / np.hypot(slope, 1.0)
        for lamp, colour in zip(elastomer.lamps, elastomer.colours, strict=True):
            away = np.array(lamp) - at
            far = np.linalg.norm(away, axis=-1)
            towards = away / far[..., None]
            cosine = towards @ normal
            mirror = 2 * cosine * normal[2] - towards[..., 2]
            strength = np.maximum(cosine, 0) + elastomer.specular * np.maximum(mirror, 0) ** elastomer.shininess
            total += sign * (strength * (lamp[2] / far) ** 2)[..., None] * np.array(colour)
    np.testing.assert_allclose(image, np.clip(background + total, 0, 255), atol=1e-8)
    assert np.abs(total).max() > 1.0


def test_a_wall_shades_what_is_behind_it():
    from simenv.sensors.tactile.leds import Elastomer, LedShader

    elastomer = Elastomer(((9e-3, 0.0, 3e-3),), ((2000.0, 2000.0, 2000.0),), (0.0, 0.0, 0.0), penumbra=0.05)
    background = elastomer.background(21, 61, 1e-4)
    surface = torch.zeros((1, 21, 61), dtype=DOUBLE)
    surface[:, :, 35:38] = 4e-4  # the lamp is on the side of large columns, three times as far as high
    image = LedShader(elastomer, background, 1e-4, DOUBLE)(surface)[0].numpy()
    assert image[10, 32, 0] < 0.5  # 3 pixels behind a wall of 4; the background is rounded
    assert background[10, 32, 0] > 10
    np.testing.assert_array_equal(image[10, 45], background[10, 45])
    np.testing.assert_array_equal(image[10, 10], background[10, 10])  # 25 pixels behind: the light passes above


@pytest.mark.parametrize("sigma", [0.6, 1.5, 4.3, 11.0])
def test_membrane_has_the_moments_of_a_gaussian(sigma):
    rows = columns = 2 * int(8 * sigma + 6) + 1
    smooth = MembraneFilter(Membrane((sigma,), (1.0,)), rows, columns, 1.0, DOUBLE, CPU)
    spot = torch.zeros((1, rows, columns), dtype=DOUBLE)
    spot[0, rows // 2, columns // 2] = 1.0
    spread = smooth(spot)[0].numpy()
    offset = np.arange(columns) - columns // 2
    assert spread.sum() == pytest.approx(1.0, abs=1e-12)
    assert (spread.sum(0) * offset**2).sum() == pytest.approx(sigma**2, rel=1e-9)
    assert (spread.sum(1) * offset**2).sum() == pytest.approx(sigma**2, rel=1e-9)
    # excess kurtosis adds up over independent parts: that of three boxes is a third of one's
    radius, inner, outer = extended_box(sigma)
    line = np.array([outer, *[inner] * (2 * radius + 1), outer])
    at = np.arange(len(line)) - radius - 1
    one = (line * at**4).sum() / (line * at**2).sum() ** 2 - 3.0
    assert (spread.sum(0) * offset**4).sum() / sigma**4 == pytest.approx(3.0 + one / 3.0, rel=1e-6)
    assert sigma < 1.0 or abs(one / 3.0) < 0.45  # a Gaussian has none
    assert (2 * radius + 1) * inner + 2 * outer == pytest.approx(1.0)
    assert 0.0 <= outer <= inner


def test_membrane_keeps_a_constant_depth():
    smooth = MembraneFilter(Membrane((0.0, 3.0, 20.0), (0.2, 0.3, 0.5)), 33, 47, 1.0, DOUBLE, CPU)
    depth = torch.full((1, 33, 47), 0.7, dtype=DOUBLE)
    np.testing.assert_allclose(smooth(depth).numpy(), 0.7, rtol=1e-12)


def test_worlds_are_independent_of_each_other_and_of_threads():
    sensor = TactileImage(small())
    contact = ContactDepth(sensor, Sphere(0.003))
    poses = torch.cat([pose(1e-4 * k, -5e-5 * k, 0.0027, dtype=torch.float32) for k in range(5)])
    rest = pose(worlds=5, dtype=torch.float32)
    before = simenv.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            simenv.set_num_threads(threads)
            depth = contact(poses, rest).detach().requires_grad_()
            image = sensor.render(depth)
            (gradient,) = torch.autograd.grad((image**2).sum(), depth)
            results.append((image.detach(), gradient))
    finally:
        simenv.set_num_threads(before)
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])
    for k in range(5):
        alone = sensor.render(contact(poses[k : k + 1], rest[:1]))
        assert torch.equal(alone[0], results[0][0][k])


def test_turned_sensor_sees_the_same_turned():
    calibration = small()
    other = calibration.turned()
    depth = ContactDepth(TactileImage(calibration, DOUBLE), Sphere(0.003))(pose(4e-4, 3e-4, 0.0026), pose())
    first = TactileImage(calibration, DOUBLE).render(depth)[0]
    second = TactileImage(other, DOUBLE).render(torch.rot90(depth, -1, (1, 2)).contiguous())[0]
    assert float((first - TactileImage(calibration, DOUBLE).background).abs().max()) > 5.0
    np.testing.assert_allclose(second.numpy(), torch.rot90(first, -1, (0, 1)).numpy(), atol=1e-7)


def test_saved_calibration_gives_the_same_image(tmp_path):
    calibration = small()
    loaded = TactileCalibration.load(calibration.save(tmp_path))
    depth = torch.tensor(sphere_surface(30, 40, 10.0, 3.0)[None] * 1e-4, dtype=torch.float32)
    first, second = (TactileImage(c).render(depth) for c in (calibration, loaded))
    assert float((first - second).abs().max()) < 1e-3
    with pytest.raises(AssetError, match="missing"):
        TactileCalibration.load(tmp_path / "other.json")


def write_npz(path, bins, stated):
    table = np.zeros((bins, bins, 6))
    np.savez(path, bins=stated, grad_r=table, grad_g=table + 1, grad_b=table + 2)


def test_taxim_files_are_validated(tmp_path):
    write_npz(tmp_path / "good.npz", 125, 125)
    table = load_taxim(tmp_path / "good.npz", 0.0877e-3, 240)
    assert table.values[0, 0, :, 0].tolist() == [2.0, 1.0, 0.0]  # red is in grad_b
    with pytest.raises(AssetError, match="125 bins, not 120"):
        load_taxim(tmp_path / "good.npz", 0.0877e-3, 240, bins=120)
    write_npz(tmp_path / "bad.npz", 125, 120)
    with pytest.raises(AssetError, match="says 120 bins"):
        load_taxim(tmp_path / "bad.npz", 0.0877e-3, 240)


@pytest.mark.parametrize(
    ("sensor", "pixel", "columns"), [("gelsight_r15", 0.0877e-3, 240), ("gelsight_mini", 0.065e-3, 320)]
)
def test_pitch_is_checked_against_the_camera(sensor, pixel, columns):
    # TacSL's tables and cameras disagree by 14 % (R1.5) and 21 % (Mini)
    camera = CAMERAS[sensor]
    with pytest.raises(AssetError, match="apart"):
        camera.check(pixel, columns)
    camera.check(camera.pitch(columns) * 1.019, columns)
    assert gelsight_r15().pixel == pytest.approx(CAMERAS["gelsight_r15"].pitch(240))


def test_wrong_depth_is_refused():
    sensor = TactileImage(small())
    with pytest.raises(ValueError, match="depth must be"):
        sensor.render(torch.zeros((1, 40, 30)))
    with pytest.raises(TypeError, match="no derivative"):
        shade = TableShader(as_taxim(smooth_taxim_table()), np.zeros((4, 4, 3)), 1.0, DOUBLE, CPU)
        shade(torch.zeros((1, 4, 4), dtype=DOUBLE, requires_grad=True))
