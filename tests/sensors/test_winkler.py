# SPDX-License-Identifier: Apache-2.0
"""The area-weighted spring gel against closed forms; friction that remembers, makes, breaks and resets."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry import Box, Cylinder, Sphere
from simenv.physics.gels.contact import INVALID, SATURATED
from simenv.physics.gels.elastic import ElasticLayerGel
from simenv.physics.gels.grid import curved_grid, flat_grid
from simenv.physics.gels.winkler import TacSLGel, WinklerGel
from simenv.sensors.tactile.field import TactileField
from tests.sensors.scenes import DOUBLE, gradient_error, pose, turned

K_N, K_T, MU, R = 1.0e8, 5.0e7, 0.6, 0.01
ORIGIN = pose()


def make(n=50, shape=None, mu=MU, damping=0.0, dtype=DOUBLE, side=0.012):
    gel = WinklerGel(K_N, K_T, mu, damping)
    return TactileField(flat_grid(n, n, side, side), gel, shape or Sphere(R), dtype)


def test_sphere_follows_the_cap_volume_with_exponent_two():
    field = make(100)
    depths = np.geomspace(5e-5, 4e-4, 6)
    force = [float(field.measure(pose(z=R - d), ORIGIN)[0].normal.sum()) for d in depths]
    for d, f in zip(depths, force, strict=True):
        assert f == pytest.approx(K_N * math.pi * R * d * d, rel=0.02)
        assert f == pytest.approx(K_N * math.pi * d * d * (3 * R - d) / 3, rel=0.005)
    slope = np.polyfit(np.log(depths), np.log(force), 1)[0]
    print(f"\nmeasured exponent {slope:.4f}")
    assert slope == pytest.approx(2.0, abs=0.03)


def test_flat_punch():
    radius, depth = 0.003, 2e-4
    reading, _ = make(100, Cylinder(radius, 0.005)).measure(pose(z=0.005 - depth), ORIGIN)
    assert float(reading.normal.sum()) == pytest.approx(math.pi * radius**2 * K_N * depth, rel=0.02)
    inside = reading.normal > 0
    torch.testing.assert_close(reading.pressure[inside], torch.full_like(reading.pressure[inside], K_N * depth))


def test_refining_the_grid_changes_the_force_by_less_than_two_percent():
    total = [float(make(n).measure(pose(z=R - 3e-4, x=1e-4), ORIGIN)[0].normal.sum()) for n in (20, 40, 80)]
    assert total[1] == pytest.approx(total[0], rel=0.02) and total[2] == pytest.approx(total[0], rel=0.02)


def test_curved_gel_has_the_area_and_force_of_its_surface():
    radius = 0.03
    grid = curved_grid(60, 60, 0.02, 0.016, radius_x=radius)
    assert grid.areas.sum() == pytest.approx(0.02 * 0.016, rel=1e-12)
    both = curved_grid(200, 200, 0.02, 0.02, 0.03, 0.03)
    x = np.linalg.norm(both.points - (0, 0, 0), axis=-1)  # area of a graph by independent quadrature
    u = 0.03 * np.sin((np.arange(400) - 199.5) * (0.02 / 400) / 0.03)
    s = -u / np.sqrt(0.03**2 - u**2)
    du = np.gradient(u)
    area = (np.sqrt(1 + s[:, None] ** 2 + s[None] ** 2) * du[:, None] * du[None]).sum()
    assert x.max() < 0.02 and both.areas.sum() == pytest.approx(area, rel=1e-3)
    np.testing.assert_allclose(np.linalg.det(grid.frames), 1.0, rtol=1e-12)
    # a thin coat pressed all around by a wider hollow: each taxel as deep as the other, along its normal
    field = TactileField(grid, WinklerGel(K_N, K_T, MU), Sphere(0.01), DOUBLE)
    reading, _ = field.measure(pose(z=0.01 - 2e-4), ORIGIN)
    effective = 1 / (1 / 0.01 + 1 / radius)
    expected = K_N * math.pi * math.sqrt(0.01 * effective) * 2e-4**2  # elliptic footprint
    assert float(reading.normal.sum()) == pytest.approx(expected, rel=0.03)


def pull(field, steps, amount, depth=3e-4, mu=None):
    """Press, then slide along x by `amount` in steps; returns readings."""
    _, state = field.measure(pose(z=R - depth), ORIGIN)
    readings = []
    for i in range(1, steps + 1):
        reading, state = field.measure(pose(x=amount * i / steps, z=R - depth), ORIGIN, state)
        readings.append(reading)
    return readings, state


def test_static_hold_keeps_the_shear_at_zero_slip():
    field = make()
    readings, state = pull(field, 5, 2e-6)
    contact_area = float((readings[-1].normal > 0).sum()) * 0.012**2 / 50**2
    applied = float(readings[-1].wrench[0, 0])
    # the springs of the rim, where mu p is small, have slipped: the rest of the force is k_t A u
    assert applied == pytest.approx(K_T * contact_area * 2e-6, rel=0.05)
    held = state
    for _ in range(20):
        reading, held = field.measure(pose(x=2e-6, z=R - 3e-4), ORIGIN, held)
    assert float(reading.wrench[0, 0]) == pytest.approx(applied, rel=1e-9)
    torch.testing.assert_close(held.stick, state.stick, rtol=1e-9, atol=1e-20)


def test_slip_starts_when_the_force_reaches_the_limit():
    readings, _ = pull(make(), 40, 4e-4)
    shear = np.array([float(r.wrench[0, 0]) for r in readings])
    press = float(readings[-1].normal.sum())
    assert shear[-1] == pytest.approx(MU * press, rel=0.02)
    assert (np.diff(shear) >= -1e-12).all() and shear[0] < 0.5 * shear[-1]
    ratio = readings[-1].shear.norm(dim=-1) / (MU * readings[-1].normal).clamp(min=1e-30)
    assert float(ratio.max()) <= 1 + 1e-12


def test_a_cycle_leaves_hysteresis():
    field = make()
    _, state = field.measure(pose(z=R - 3e-4), ORIGIN)
    way = 1e-4 * np.sin(np.linspace(0, 4 * np.pi, 121))
    force = []
    for x in way:
        reading, state = field.measure(pose(x=x, z=R - 3e-4), ORIGIN, state)
        force.append(float(reading.wrench[0, 0]))
    area = np.trapezoid(force[60:], way[60:])
    press = float(reading.normal.sum())
    print(f"\nmeasured work lost in a cycle {area:.3e} J of at most {4 * 1e-4 * MU * press:.3e} J")
    assert 0 < area < 4 * 1e-4 * MU * press


@pytest.mark.parametrize("sign", [1, -1])
def test_torsion_has_the_sign_of_the_twist(sign):
    field = make()
    _, state = field.measure(pose(z=R - 3e-4), ORIGIN)
    reading, _ = field.measure(pose(z=R - 3e-4, quaternion=turned((0, 0, 1), sign * 1e-3)), ORIGIN, state)
    assert sign * float(reading.wrench[0, 5]) > 0  # the gel is dragged along
    assert abs(float(reading.wrench[0, 0])) < 1e-9 * abs(float(reading.normal.sum()))


def test_breaking_contact_clears_every_channel_at_the_next_step():
    readings, state = pull(make(), 3, 1e-4)
    assert readings[-1].shear.any()
    reading, state = make().measure(pose(x=1e-4, z=R + 1e-6), ORIGIN, state)
    for channel in (reading.normal, reading.shear, reading.wrench, reading.pressure, reading.traction, state.stick):
        assert not channel.any()


def test_partial_reset_touches_only_its_rows():
    field = make(20)
    worlds = 4
    where = pose(z=R - 3e-4, worlds=worlds)
    _, state = field.measure(where, ORIGIN.repeat(worlds, 1), None)
    moved = where + torch.tensor([5e-6, 0, 0, 0, 0, 0, 0])
    _, state = field.measure(moved, ORIGIN.repeat(worlds, 1), state)
    fresh = state.reset(torch.tensor([False, True, False, True]))
    reading, _ = field.measure(moved, ORIGIN.repeat(worlds, 1), fresh)
    kept, _ = field.measure(moved, ORIGIN.repeat(worlds, 1), state)
    assert torch.equal(reading.shear[[0, 2]], kept.shear[[0, 2]]) and kept.shear[0].any()
    assert not reading.shear[[1, 3]].any()
    assert torch.equal(reading.normal, kept.normal)


def test_world_of_many_equals_the_world_alone():
    worlds = 64
    rng = np.random.default_rng(0)
    for dtype in (torch.float32, DOUBLE):
        field = make(20, Box((0.003, 0.002, 0.004)), dtype=dtype)
        quaternions = rng.normal(size=(worlds, 4)) * 0.1 + (0, 0, 0, 1)
        body = torch.as_tensor(np.concatenate([rng.uniform(-1e-3, 1e-3, (worlds, 3)), quaternions], -1), dtype=dtype)
        body[:, 2] += 0.004
        sensor = pose(worlds=worlds, dtype=dtype)
        step = torch.as_tensor(rng.normal(size=(worlds, 7)) * 1e-5, dtype=dtype)

        def twice(rows, body=body, step=step, sensor=sensor, field=field):
            start = body[rows].clone().requires_grad_()
            _, state = field.measure(start, sensor[rows])
            reading, state = field.measure(start + step[rows], sensor[rows], state)
            (grad,) = torch.autograd.grad(reading.wrench.square().sum() + reading.shear.sum(), start)
            return reading.field().detach(), reading.wrench.detach(), state.stick.detach(), grad

        everything = twice(slice(None))
        assert everything[0].any()
        for i in range(worlds):
            for a, b in zip(twice(slice(i, i + 1)), everything, strict=True):
                assert torch.equal(a[0], b[i])


def test_damping_is_of_hunt_and_crossley():
    field = make(damping=10.0)
    at = pose(z=R - 3e-4)
    rest = field.measure(at, ORIGIN)[0].pressure
    sinking = field.measure(at, ORIGIN, None, torch.tensor([[0, 0, -0.02, 0, 0, 0]], dtype=DOUBLE))[0].pressure
    torch.testing.assert_close(sinking, rest * 1.2)
    rising = field.measure(at, ORIGIN, None, torch.tensor([[0, 0, 0.2, 0, 0, 0]], dtype=DOUBLE))[0].pressure
    assert not rising.any()


def test_force_grows_with_depth_for_every_shape():
    for shape, bottom in ((Sphere(R), R), (Box((0.002, 0.003, 0.004)), 0.004), (Cylinder(0.003, 0.004), 0.004)):
        field = make(40, shape)
        tilt = turned((1, 0.3, 0), 0.05)
        total = [
            float(field.measure(pose(z=bottom - d, quaternion=tilt), ORIGIN)[0].normal.sum())
            for d in np.linspace(0, 1e-3, 15)
        ]
        assert (np.diff(total) > 0).all()


def test_an_object_deeper_than_the_search_is_reported():
    reading, _ = make().measure(pose(z=R - 5e-3), ORIGIN)
    assert int(reading.status[0]) == SATURATED
    assert float(reading.depth.max()) == pytest.approx(4e-3)


@pytest.mark.parametrize("gel", [WinklerGel(K_N, K_T, MU), ElasticLayerGel(1e5, MU), TacSLGel()])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_a_number_is_reported_and_stays_in_its_world(gel, value):
    field = TactileField(flat_grid(8, 8, 0.008, 0.008), gel, Sphere(R), DOUBLE)
    objects = pose(z=R - 2e-4, worlds=3)
    good, _ = field.measure(objects, pose(worlds=3))
    spoilt = objects.clone()
    spoilt[1, 2] = value
    readings = [field.measure(spoilt, pose(worlds=3))[0]]
    for name in gel.parameters:
        numbers = torch.full((3,), getattr(gel, name), dtype=DOUBLE)
        numbers[1] = value
        readings.append(field.measure(objects, pose(worlds=3), parameters={name: numbers})[0])
    for reading in readings:
        assert reading.status[[0, 2]].tolist() == [0, 0] and int(reading.status[1]) & INVALID
        assert torch.equal(reading.field()[[0, 2]], good.field()[[0, 2]])


def test_gradients_over_two_steps():
    rng = np.random.default_rng(5)
    worlds = 3
    field = make(24, Sphere(R), damping=5.0)
    start = pose(z=R - 3e-4, worlds=worlds) + torch.as_tensor(rng.normal(size=(worlds, 7)) * 5e-5)
    step = rng.normal(size=(worlds, 7)) * (1e-5, 1e-5, 1e-5, 1e-3, 1e-3, 1e-3, 1e-3)
    sensor = torch.as_tensor(rng.normal(size=(worlds, 7)) * 1e-5) + pose(worlds=worlds)
    weight = torch.as_tensor(rng.normal(size=(worlds, 576, 3)))
    leaves = {"body": start, "next": start + torch.as_tensor(step), "sensor": sensor}
    leaves["twist"] = torch.as_tensor(rng.normal(size=(worlds, 6)) * 1e-3)
    leaves["k_n"], leaves["k_t"] = (torch.as_tensor(k * rng.uniform(0.9, 1.1, worlds)) for k in (K_N, K_T))
    leaves["mu"] = torch.as_tensor(rng.uniform(0.3, 0.6, worlds))

    def value(x):
        numbers = {name: x[name] for name in ("k_n", "k_t", "mu")}
        _, state = field.measure(x["body"], x["sensor"], None, None, None, numbers)
        first, state = field.measure(x["next"], x["sensor"], state, x["twist"], None, numbers)
        second, state = field.measure(2 * x["next"] - x["body"], x["sensor"], state, x["twist"], None, numbers)
        return (second.field() * weight).sum() + first.shear.square().sum() + second.wrench.sum() + state.stick.sum()

    steps = {"body": 1e-9, "next": 1e-9, "sensor": 1e-9, "twist": 1e-5, "k_n": 1e2, "k_t": 1e2, "mu": 1e-6}
    errors = gradient_error(value, leaves, steps)
    print("\nmeasured", {k: f"{v:.1e}" for k, v in errors.items()})
    assert max(errors.values()) <= 1e-5, errors


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="at least 2 x 2"):
        flat_grid(1, 5, 0.01, 0.01)
    with pytest.raises(ValueError, match="half a circle"):
        curved_grid(5, 5, 0.01, 0.01, 0.001)
    with pytest.raises(ValueError, match=r"k_n = -1\.0 must be finite and positive"):
        WinklerGel(-1.0, 1.0)
    with pytest.raises(ValueError, match="poisson"):
        WinklerGel.from_layer(1e5, 0.5, 1e-3)
    field = make(10)
    with pytest.raises(ValueError, match="no parameter"):
        field.measure(pose(), ORIGIN, parameters={"stiffness": torch.ones(1, dtype=DOUBLE)})
    with pytest.raises(ValueError, match="object_pose"):
        field.measure(pose()[:, :3], ORIGIN)
    with pytest.raises(TypeError, match="float16"):
        make(dtype=torch.float16)
