# SPDX-License-Identifier: Apache-2.0
"""TacSL's force law against a reference in NumPy, for every grid it uses; motions and poses are random."""

import numpy as np
import pytest
import torch

from simenv.geometry import Box, Capsule, Cylinder, Sphere
from simenv.physics.gels.grid import GRIDS, curved_grid, flat_grid
from simenv.physics.gels.winkler import TacSLGel
from simenv.sensors.tactile.field import TactileField
from tests.sensors.scenes import DOUBLE, gradient_error

SHAPES = [Sphere(0.006), Box((0.004, 0.003, 0.005)), Cylinder(0.004, 0.006), Capsule(0.003, 0.004)]


def matrix(q):
    x, y, z, w = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def reference(shape, grid, body, sensor, twist, carrier, k_n=1.0, k_t=0.1, mu=2.0):
    """The law of Akinola et al. 2025, in the world frame; the gradient of the distance by central differences."""
    R, r = matrix(sensor[3:]), sensor[:3]
    Q, o = matrix(body[3:]), body[:3]
    x = grid.points @ R.T + r
    step = 1e-7

    def phi(points):
        return shape.signed_distance((points - o) @ Q)

    depth = np.maximum(-phi(x), 0.0)
    n = np.stack([(phi(x + step * e) - phi(x - step * e)) / (2 * step) for e in np.eye(3)], -1)
    v = carrier[:3] + np.cross(carrier[3:], x - r) - twist[:3] - np.cross(twist[3:], x - o)
    v_t = v - n * np.sum(v * n, -1, keepdims=True)
    speed = np.linalg.norm(v_t, axis=-1)
    f_n = k_n * depth
    f_t = np.minimum(k_t * speed, mu * f_n) / np.maximum(speed, 1e-300)
    force = (f_n[:, None] * n - f_t[:, None] * v_t) @ R
    local = np.einsum("pij,pi->pj", grid.frames, force)
    local[:, 2] *= -1.0
    smooth = np.abs(np.linalg.norm(n, axis=-1) - 1.0) < 1e-5  # not so on the ridges inside a box or a cylinder
    return depth, local, f_t * speed, f_n, smooth


def scene(shape, rng, worlds=2):
    body = np.concatenate([rng.uniform(-1e-3, 1e-3, (worlds, 3)), rng.normal(size=(worlds, 4))], -1)
    sensor = np.concatenate([rng.uniform(-0.3, 0.3, (worlds, 3)), rng.normal(size=(worlds, 4))], -1)
    for q in (body, sensor):
        q[:, 3:] /= np.linalg.norm(q[:, 3:], axis=-1, keepdims=True)
    for w in range(worlds):  # just above the gel, pressed in by 1.5 mm
        R = matrix(sensor[w, 3:])
        points = shape.to_mesh().vertices @ matrix(body[w, 3:]).T @ R
        body[w, :3] = sensor[w, :3] + R @ (body[w, :3] * (1, 1, 0) - (0, 0, points[:, 2].min() + 1.5e-3))
    twists = rng.normal(size=(2, worlds, 6)) * (0.003, 0.003, 0.003, 1.0, 1.0, 1.0)
    return body, sensor, *twists


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: type(s).__name__)
def test_field(shape, grid):
    rng = np.random.default_rng(7)
    grid = flat_grid(*GRIDS[grid], 0.02, 0.024)
    body, sensor, twist, carrier = scene(shape, rng)
    field = TactileField(grid, TacSLGel(), shape, DOUBLE)
    reading, _ = field.measure(*map(torch.as_tensor, (body, sensor)), None, *map(torch.as_tensor, (twist, carrier)))
    for w in range(len(body)):
        depth, force, f_t, f_n, smooth = reference(shape, grid, body[w], sensor[w], twist[w], carrier[w])
        assert smooth.mean() > 0.97
        np.testing.assert_allclose(reading.depth[w], depth, atol=1e-12)
        np.testing.assert_allclose(reading.field()[w][smooth], force[smooth], atol=1e-5 * np.abs(force).max())
        assert (f_t <= 2.0 * f_n * (1 + 1e-12)).all() and (depth > 0).any()
        size = reading.field()[w].norm(dim=-1).numpy()
        assert (size <= np.hypot(1.0, 2.0) * depth * (1 + 1e-9)).all()


def test_curved_gel_and_both_regimes_of_friction():
    rng = np.random.default_rng(3)
    grid = curved_grid(20, 25, 0.02, 0.024, radius_x=0.03, radius_y=0.05)
    shape = Sphere(0.006)
    body, sensor, twist, carrier = scene(shape, rng)
    field = TactileField(grid, TacSLGel(), shape, DOUBLE)
    reading, _ = field.measure(*map(torch.as_tensor, (body, sensor)), None, *map(torch.as_tensor, (twist, carrier)))
    ratios = []
    for w in range(len(body)):
        depth, force, f_t, f_n, _ = reference(shape, grid, body[w], sensor[w], twist[w], carrier[w])
        np.testing.assert_allclose(reading.field()[w], force, atol=1e-5 * np.abs(force).max())
        ratios.append(f_t[depth > 0] / f_n[depth > 0])
    ratios = np.concatenate(ratios)
    assert (ratios < 1.9).any() and (ratios > 1.999999).any()


def test_single_precision_and_no_contact():
    rng = np.random.default_rng(7)
    grid = flat_grid(20, 25, 0.02, 0.024)
    body, sensor, twist, carrier = scene(Sphere(0.006), rng)
    read = {}
    for dtype in (torch.float32, DOUBLE):
        field = TactileField(grid, TacSLGel(), Sphere(0.006), dtype)
        inputs = [torch.as_tensor(a, dtype=dtype) for a in (body, sensor, twist, carrier)]
        read[dtype], _ = field.measure(inputs[0], inputs[1], None, *inputs[2:])
        inputs[0][:, :3] += 0.1
        away, _ = field.measure(inputs[0], inputs[1], None, *inputs[2:])
        assert not away.field().any() and not away.wrench.any() and not away.depth.any()
    scale = read[DOUBLE].field().abs().max()
    torch.testing.assert_close(read[torch.float32].field().double(), read[DOUBLE].field(), rtol=0, atol=1e-3 * scale)


def test_gradients():
    rng = np.random.default_rng(11)
    shape = Sphere(0.006)
    field = TactileField(flat_grid(20, 25, 0.02, 0.024), TacSLGel(), shape, DOUBLE)
    body, sensor, twist, carrier = scene(shape, rng)
    weight = torch.as_tensor(rng.normal(size=(2, 500, 3)))
    leaves = {"body": body, "sensor": sensor, "twist": twist, "carrier": carrier}
    leaves |= {
        "k_n": 1 + rng.random(2),
        "k_t": 0.1 + rng.random(2),
        "mu": 0.5 + rng.random(2),
        "damping": rng.random(2),
    }
    leaves = {name: torch.as_tensor(leaf) for name, leaf in leaves.items()}

    def value(x):
        parameters = {name: x[name] for name in ("k_n", "k_t", "mu", "damping")}
        reading, _ = field.measure(x["body"], x["sensor"], None, x["twist"], x["carrier"], parameters)
        return 1e3 * (reading.field() * weight).sum() + reading.wrench.sum()

    steps = dict.fromkeys(leaves, 1e-6) | {"body": 1e-8, "sensor": 1e-8}
    errors = gradient_error(value, leaves, steps)
    print("\nmeasured", {k: f"{v:.1e}" for k, v in errors.items()})
    assert max(errors.values()) <= 1e-5, errors
