# SPDX-License-Identifier: Apache-2.0
"""The elastic gel against Hertz, Boussinesq, Dimitriadis, Cattaneo and Mindlin; its derivatives; its bookkeeping."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry import Box, Cylinder, Sphere
from simenv.sensors.tactile.contact import UNCONVERGED
from simenv.sensors.tactile.elastic import ElasticGel
from simenv.sensors.tactile.field import TactileField
from simenv.sensors.tactile.grid import flat_grid
from simenv.sensors.tactile.solve import Accuracy
from tests.sensors.scenes import DOUBLE, gradient_error, pose, turned

E, MU, NU, R = 1.0e5, 0.5, 0.48, 0.01
STAR = E / (1 - NU**2)
ORIGIN = pose()


def make(n=32, shape=None, side=0.005, mu=MU, nu=NU, thickness=None, dtype=DOUBLE, accuracy=None):
    gel = ElasticGel(E, mu, nu, thickness, accuracy)
    return TactileField(flat_grid(n, n, side, side), gel, shape or Sphere(R), dtype)


def press(field, depth, x=0.0, state=None, quaternion=(0.0, 0.0, 0.0, 1.0), bottom=R):
    return field.measure(pose(x=x, z=bottom - depth, quaternion=quaternion), ORIGIN, state)


def test_hertz_force_and_exponent():
    field = make(48)
    depths = np.geomspace(3e-5, 3e-4, 5)
    force = np.array([float(press(field, d)[0].normal.sum()) for d in depths])
    ratio = force / (4 / 3 * STAR * math.sqrt(R) * depths**1.5)
    slope = np.polyfit(np.log(depths), np.log(force), 1)[0]
    print(f"\nmeasured force / Hertz {ratio.round(4)}, exponent {slope:.4f}")
    assert np.abs(ratio - 1).max() <= 0.03
    assert slope == pytest.approx(1.5, abs=0.03)


def test_hertz_pressure_profile_and_radius():
    field = make(64)
    depth = 2e-4
    reading, _ = press(field, depth)
    a = math.sqrt(R * depth)
    r = torch.as_tensor(np.hypot(field.grid.points[:, 0], field.grid.points[:, 1]))
    peak = 1.5 * 4 / 3 * STAR * math.sqrt(R) * depth**1.5 / (math.pi * a * a)
    expected = peak * (1 - (r / a) ** 2).clamp(min=0).sqrt()
    error = (reading.pressure[0] - expected)[r < 0.9 * a].abs().max() / peak
    area = float((reading.pressure > 0).sum()) * field.grid.areas[0]
    print(f"\nmeasured pressure error {float(error):.4f} of the peak, radius {math.sqrt(area / math.pi) / a:.4f} a")
    assert error <= 0.02
    assert math.sqrt(area / math.pi) == pytest.approx(a, rel=0.03)
    assert not reading.pressure[0][r > 1.1 * a].any()


def test_flat_punch():
    radius, depth = 0.0015, 1e-4
    field = make(64, Cylinder(radius, 0.004))
    reading, _ = press(field, depth, bottom=0.004)
    # a taxel is in or out: the radius is that of the area in contact
    covered = math.sqrt(float((reading.pressure > 0).sum()) * field.grid.areas[0] / math.pi)
    ratio = float(reading.normal.sum()) / (2 * STAR * covered * depth)
    print(f"\nmeasured force / (2 E* a d) {ratio:.4f}, covered radius {covered / radius:.4f} a")
    assert ratio == pytest.approx(1.0, rel=0.03) and covered == pytest.approx(radius, rel=0.02)


def test_refining_the_grid_changes_the_force_by_less_than_two_percent():
    total = [float(press(make(n), 2e-4, x=3e-5)[0].normal.sum()) for n in (16, 32, 64)]
    print(f"\nmeasured change at 2x and 4x {total[1] / total[0] - 1:.4f} {total[2] / total[0] - 1:.4f}")
    assert total[1] == pytest.approx(total[0], rel=0.02) and total[2] == pytest.approx(total[0], rel=0.02)


@pytest.mark.parametrize("thickness", [0.004, 0.002, 0.001])
def test_bonded_incompressible_layer(thickness):
    """Dimitriadis et al. 2002, equation 12: a series in chi = sqrt(R d) / h, good for moderate chi."""
    depth = 1e-4
    chi = math.sqrt(R * depth) / thickness
    factor = 1 + 1.133 * chi + 1.283 * chi**2 + 0.769 * chi**3 + 0.0975 * chi**4
    total = float(press(make(48, nu=0.5, thickness=thickness), depth)[0].normal.sum())
    ratio = total / (16 / 9 * E * math.sqrt(R) * depth**1.5 * factor)
    print(f"\nmeasured chi {chi:.2f}: force / Dimitriadis {ratio:.4f}, stiffening {factor:.2f}")
    assert ratio == pytest.approx(1.0, rel=0.05)


def test_thin_layer_approaches_the_winkler_limit():
    h, depth = 2e-4, 1e-5
    field = make(32, Box((0.002, 0.002, 0.003)), nu=0.3, thickness=h)
    reading, _ = press(field, depth, bottom=0.003)
    middle = reading.pressure.view(32, 32)[12:20, 12:20]
    expected = E * (1 - 0.3) / ((1 + 0.3) * (1 - 0.6)) / h * depth
    torch.testing.assert_close(middle, torch.full_like(middle, expected), rtol=0.01, atol=0)


def test_contact_conditions_hold_everywhere():
    """p >= 0, gap >= 0, p gap = 0; |q| <= mu p; sticking taxels follow the object; slip points along the traction."""
    field = make(32, Box((0.001, 0.0008, 0.003)))
    tilt = turned((1, 2, 0), 0.03)
    _, state = press(field, 2e-4, quaternion=tilt, bottom=0.003)
    before = state.stick
    reading, state = press(field, 2e-4, x=1.5e-5, state=state, quaternion=tilt, bottom=0.003)
    responses = field._prepared
    p, q = reading.pressure / E, reading.traction / E
    gap = responses.normal(p[..., None])[..., 0] - reading.depth
    scale = 2e-4
    assert p.min() >= 0 and gap.min() > -1e-10 * scale and (gap * (p > 0)).abs().max() < 1e-10 * scale
    limit = MU * p
    size = q.norm(dim=-1)
    assert (size <= limit * (1 + 1e-12)).all()
    slip = before + torch.tensor([1.5e-5, 0.0]) - state.stick
    sticking = (p > 0) & (size < limit * (1 - 1e-6))
    slipping = (p > 0) & ~sticking
    assert sticking.sum() > 20 and slipping.sum() > 20
    assert slip[sticking].abs().max() < 1e-9 * 1.5e-5
    aligned = (slip * q).sum(-1)[slipping] / (slip.norm(dim=-1) * size)[slipping].clamp(min=1e-30)
    moving = slip.norm(dim=-1)[slipping] > 1e-10
    assert aligned[moving].min() > 1 - 1e-6


def ramp(field, target, steps, depth=2e-4):
    """Press, then slide along x to `target` in equal steps."""
    _, state = press(field, depth)
    readings = []
    for i in range(1, steps + 1):
        reading, state = press(field, depth, target * i / steps, state)
        readings.append(reading)
    return readings, state


def test_cattaneo_mindlin():
    """Stick radius c = a (1 - Q / mu P)^(1/3) and displacement (Johnson 1985, equations 7.39 and 7.42)."""
    field = make(64, nu=0.5)
    depth = 2e-4
    a = math.sqrt(R * depth)
    shear_modulus = E / 3
    load = 16 / 9 * E * math.sqrt(R) * depth**1.5
    full = 3 * MU * load * 1.5 / (16 * shear_modulus * a)  # displacement at which everything slips
    for share in (0.3, 0.6, 0.9):
        moved = full * (1 - (1 - share) ** (2 / 3))
        readings, _ = ramp(field, moved, 1, depth)
        reading = readings[-1]
        force = float(reading.wrench[0, 0]) / (MU * float(reading.normal.sum()))
        size = reading.traction[0].norm(dim=-1)
        sticks = (reading.pressure[0] > 0) & (size < MU * reading.pressure[0] * (1 - 1e-6))
        radius = math.sqrt(float(sticks.sum()) * field.grid.areas[0] / math.pi)
        print(f"\nmeasured Q / mu P {force:.4f} for {share}, stick radius {radius / a:.4f} a for "
              f"{(1 - share) ** (1 / 3):.4f}")  # fmt: skip
        assert force == pytest.approx(share, abs=0.02)
        assert radius / a == pytest.approx((1 - share) ** (1 / 3), abs=0.03)


def test_static_hold_and_onset_of_slip():
    field = make(32)
    readings, state = ramp(field, 2e-4, 20)
    limit = MU * float(readings[0].normal.sum())
    force = np.array([float(r.wrench[0, 0]) for r in readings])
    assert force[-1] == pytest.approx(limit, rel=0.02) and (np.diff(force) > -1e-9 * limit).all()
    readings, state = ramp(field, 5e-5, 1)
    applied = float(readings[0].wrench[0, 0])
    assert 0.2 * limit < applied < 0.8 * limit
    stick = state.stick
    for _ in range(5):
        reading, state = press(field, 2e-4, 5e-5, state)
    print(f"\nmeasured held shear / applied - 1: {float(reading.wrench[0, 0]) / applied - 1:.2e}")
    assert float(reading.wrench[0, 0]) == pytest.approx(applied, rel=0.01)
    assert (state.stick - stick).abs().max() < 1e-9 * 5e-5  # nothing slips any more


def test_hysteresis_of_a_tangential_cycle():
    field = make(24)
    _, state = press(field, 2e-4)
    way = 6e-5 * np.sin(np.linspace(0, 4 * np.pi, 41))
    force = []
    for x in way:
        reading, state = press(field, 2e-4, x, state)
        force.append(float(reading.wrench[0, 0]))
    area = np.trapezoid(force[20:], way[20:])
    bound = 4 * 6e-5 * MU * float(reading.normal.sum())
    print(f"\nmeasured work lost in a cycle {area:.3e} J, bound {bound:.3e} J")
    assert 0 < area < bound


def test_torsion_and_rolling_signs():
    field = make(32)
    _, state = press(field, 2e-4)
    for sign in (1, -1):
        reading, _ = press(field, 2e-4, state=state, quaternion=turned((0, 0, 1), sign * 0.01))
        assert sign * float(reading.wrench[0, 5]) > 0
        assert float(reading.wrench[0, :2].abs().max()) < 1e-6 * float(reading.normal.sum())
        # turning about y moves the lowest point of the ball along -x for a positive angle
        reading, _ = press(field, 2e-4, state=state, quaternion=turned((0, 1, 0), sign * 0.002))
        assert sign * float(reading.wrench[0, 0]) < 0


def test_the_wrench_is_the_sum_of_the_field():
    field = make(24)
    _, state = press(field, 2e-4)
    reading, _ = press(field, 2e-4, 3e-5, state)
    force = torch.cat([reading.shear[0], -reading.normal[0][:, None]], -1)
    at = torch.as_tensor(field.grid.points).clone()
    at[:, 2] -= reading.depth[0].clamp(min=0)
    torch.testing.assert_close(reading.wrench[0, :3], force.sum(0), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(reading.wrench[0, 3:], torch.linalg.cross(at, force).sum(0), rtol=1e-10, atol=1e-15)


def test_breaking_contact_and_partial_reset():
    field = make(16)
    readings, state = ramp(field, 5e-5, 2)
    assert readings[-1].shear.any()
    reading, gone = press(field, -1e-6, 5e-5, state)
    for channel in (reading.normal, reading.shear, reading.wrench, gone.stick):
        assert not channel.any()
    worlds = 3
    where, sensor = pose(z=R - 2e-4, worlds=worlds), ORIGIN.repeat(worlds, 1)
    _, state = field.measure(where, sensor)
    where[:, 0] += 3e-5
    _, state = field.measure(where, sensor, state)
    fresh, _ = field.measure(where, sensor, state.reset(torch.tensor([False, True, False])))
    kept, _ = field.measure(where, sensor, state)
    assert torch.equal(fresh.shear[[0, 2]], kept.shear[[0, 2]]) and kept.shear[1].any()
    assert not fresh.shear[1].any()


@pytest.mark.parametrize("n", [10, 18])  # summed directly, by Fourier transforms
def test_world_of_many_equals_the_world_alone(n):
    worlds = 64
    rng = np.random.default_rng(0)
    for dtype in (torch.float32, DOUBLE):
        field = make(n, Sphere(0.004), dtype=dtype, thickness=0.003, accuracy=Accuracy(1e-5, 60, 60))
        body = torch.as_tensor(rng.uniform(-5e-4, 5e-4, (worlds, 7)), dtype=dtype)
        body += torch.tensor([0, 0, 0.004, 0, 0, 0, 1])
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
        for i in range(0, worlds, 9):
            for a, b in zip(twice(slice(i, i + 1)), everything, strict=True):
                assert torch.equal(a[0], b[i])


def test_single_precision_agrees():
    read = {}
    for dtype in (torch.float32, DOUBLE):
        field = make(32, dtype=dtype)
        _, state = field.measure(pose(z=R - 2e-4, dtype=dtype), pose(dtype=dtype))
        reading, _ = field.measure(pose(x=4e-5, z=R - 2e-4, dtype=dtype), pose(dtype=dtype), state)
        assert int(reading.status[0]) == 0
        read[dtype] = reading.wrench.double()
    torch.testing.assert_close(read[torch.float32], read[DOUBLE], rtol=2e-3, atol=1e-5)


def test_a_solve_cut_short_says_so():
    reading, _ = press(make(24, accuracy=Accuracy(1e-12, 3, 3)), 2e-4)
    assert int(reading.status[0]) & UNCONVERGED


def test_gradients_over_three_steps():
    rng = np.random.default_rng(2)
    worlds = 2
    field = make(24, Sphere(R), thickness=0.003)
    start = pose(z=R - 2e-4, worlds=worlds) + torch.as_tensor(rng.normal(size=(worlds, 7)) * 3e-5)
    step = rng.normal(size=(worlds, 7)) * (2e-5, 2e-5, 1e-5, 1e-3, 1e-3, 1e-3, 1e-3)
    weight = torch.as_tensor(rng.normal(size=(worlds, 576, 3)))
    leaves = {"body": start, "next": start + torch.as_tensor(step), "sensor": pose(worlds=worlds)}
    leaves["modulus"] = torch.as_tensor(E * rng.uniform(0.9, 1.1, worlds))
    leaves["mu"] = torch.as_tensor(rng.uniform(0.3, 0.6, worlds))

    def value(x):
        numbers = {name: x[name] for name in ("modulus", "mu")}
        _, state = field.measure(x["body"], x["sensor"], None, None, None, numbers)
        first, state = field.measure(x["next"], x["sensor"], state, None, None, numbers)
        second, state = field.measure(0.5 * (x["next"] + x["body"]), x["sensor"], state, None, None, numbers)
        assert not second.status.any()
        return (second.field() * weight).sum() + 1e3 * first.shear.square().sum() + second.wrench.sum()

    steps = {"body": 1e-10, "next": 1e-10, "sensor": 1e-10, "modulus": 1.0, "mu": 1e-6}
    errors = gradient_error(value, leaves, steps)
    print("\nmeasured", {k: f"{v:.1e}" for k, v in errors.items()})
    assert max(errors.values()) <= 1e-5, errors


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="poisson"):
        ElasticGel(E, poisson=0.6)
    with pytest.raises(ValueError, match="modulus"):
        ElasticGel(0.0)
    with pytest.raises(ValueError, match="thickness"):
        ElasticGel(E, thickness=-1.0)
