# SPDX-License-Identifier: Apache-2.0
"""The elastic gel's friction against Coulomb, Cattaneo, Mindlin and Lubkin; what it remembers and forgets."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry import Box
from tests.sensors.contact_theory import mindlin_loss, twist
from tests.sensors.gels import MU, ORIGIN, STAR, E, R, make, press
from tests.sensors.scenes import DOUBLE, pose, turned

DEPTH = 2e-4
A = math.sqrt(R * DEPTH)  # radius of contact
SHEAR_MODULUS = E / 3  # of an incompressible gel
LOAD = 16 / 9 * E * math.sqrt(R) * DEPTH**1.5
FULL = 3 * MU * LOAD * 1.5 / (16 * SHEAR_MODULUS * A)  # displacement at which all of it slips (Johnson 1985, 7.42)


def sticking(reading, mu=MU):
    """Taxels that stick, and the radius of a disc of their area."""
    stuck = (reading.pressure > 0) & (reading.traction.norm(dim=-1) < mu * reading.pressure * (1 - 1e-6))
    return stuck, math.sqrt(float(stuck.sum()) * float(reading.normal.sum() / reading.pressure.sum()) / math.pi)


def test_contact_conditions_hold_everywhere():
    """p >= 0, gap >= 0, p gap = 0; |q| <= mu p; sticking taxels follow the object; slip points along the traction."""
    field = make(24, Box((0.001, 0.0008, 0.003)), accuracy=None)
    tilt, move = turned((1, 2, 0), 0.03), 1.2e-4  # some taxels slip, others stick
    _, state = press(field, DEPTH, quaternion=tilt, bottom=0.003)
    before = state.stick
    reading, state = press(field, DEPTH, x=move, state=state, quaternion=tilt, bottom=0.003)
    p, q = reading.pressure / E, reading.traction / E
    gap = field.prepared.own[0](p[..., None])[..., 0] - reading.depth
    assert p.min() >= 0 and gap.min() > -1e-10 * DEPTH and (gap * (p > 0)).abs().max() < 1e-10 * DEPTH
    size = q.norm(dim=-1)
    assert (size <= MU * p * (1 + 1e-12)).all()
    slip = before + torch.tensor([move, 0.0], dtype=DOUBLE) - state.stick
    stuck = (p > 0) & (size < MU * p * (1 - 1e-6))
    slipping = (p > 0) & ~stuck
    assert stuck.sum() > 10 and slipping.sum() > 10
    assert slip[stuck].abs().max() < 1e-9 * move
    aligned = (slip * q).sum(-1)[slipping] / (slip.norm(dim=-1) * size)[slipping].clamp(min=1e-30)
    moving = slip.norm(dim=-1)[slipping] > 1e-9 * move
    assert aligned[moving].min() > 1 - 1e-6


def test_cattaneo_mindlin():
    """Stick radius c = a (1 - Q / mu P)^(1/3) at the displacement of Q (Johnson 1985, equations 7.39 and 7.42)."""
    field = make(48, nu=0.5)
    _, start = press(field, DEPTH)
    for share in (0.3, 0.6, 0.9):
        reading, _ = press(field, DEPTH, FULL * (1 - (1 - share) ** (2 / 3)), start)
        force = float(reading.wrench[0, 0]) / (MU * float(reading.normal.sum()))
        radius, expected = sticking(reading)[1] / A, (1 - share) ** (1 / 3)
        print(f"\nmeasured Q / mu P {force:.4f} for {share}, stick radius {radius:.4f} a for {expected:.4f} a")
        assert force == pytest.approx(share, abs=0.02)
        assert radius == pytest.approx(expected, abs=0.03)


def test_slip_starts_when_the_force_reaches_the_limit():
    field = make(32, nu=0.5)
    _, state = press(field, DEPTH)
    force, stuck, positions = [], [], np.linspace(0, 1.3, 27)[1:] * FULL
    for x in positions:
        reading, state = press(field, DEPTH, x, state)
        force.append(float(reading.wrench[0, 0]) / (MU * float(reading.normal.sum())))
        stuck.append(bool(sticking(reading)[0].any()))
    force, onset = np.array(force), stuck.index(False)
    print(f"\nmeasured Q / mu P at the onset {force[onset]:.4f}, at {positions[onset] / FULL:.3f} of full slip, "
          f"and sliding {force[-1]:.4f}")  # fmt: skip
    assert force[onset] == pytest.approx(1.0, rel=0.02) and force[-1] == pytest.approx(1.0, rel=0.02)
    assert positions[onset] == pytest.approx(FULL, rel=0.06)  # one step of the ramp
    assert (np.diff(force) > -1e-4).all()
    assert not any(stuck[onset:]) and all(stuck[:onset])


@pytest.mark.parametrize("thickness", [None, 0.002])
def test_object_pulled_by_a_force_is_held_at_rest(thickness):
    """An object without inertia in a viscous medium, pulled with Q < mu P, comes to rest and stays."""
    field = make(24, nu=0.48, thickness=thickness)
    reading, state = press(field, DEPTH)
    pull = 0.6 * MU * float(reading.normal.sum())
    stiffness = 8 * A * E / 3  # larger than that of the contact: the creep is monotone
    x = 0.0
    for step in range(30):
        reading, state = press(field, DEPTH, x, state)
        force = float(reading.wrench[0, 0])
        speed = 0.5 * (pull - force) / stiffness
        x += speed if step < 29 else 0.0
        before = state.stick
    reading, state = press(field, DEPTH, x, state)
    slipped = float((state.stick - before).norm(dim=-1)[reading.pressure > 0].max())
    print(f"\nmeasured shear / Q {force / pull:.5f}, last move {speed / x:.1e} of all, slip when still {slipped:.1e} m")
    assert float(reading.wrench[0, 0]) == pytest.approx(pull, rel=0.01) and force == pytest.approx(pull, rel=0.01)
    assert abs(speed) < 1e-3 * x and slipped < 1e-6 * x
    assert sticking(reading)[0].any()


def test_hysteresis_of_a_tangential_cycle():
    """The loop of the second cycle: Mindlin's neglects tractions across the motion, which need one to settle."""
    field = make(24, nu=0.5)
    _, state = press(field, DEPTH)
    top = 0.7 * FULL
    way = top * np.concatenate([[1.0], np.cos(np.linspace(0, 4 * np.pi, 33))])
    force = []
    for x in way:
        reading, state = press(field, DEPTH, x, state)
        force.append(float(reading.wrench[0, 0]))
    lost = np.trapezoid(force[17:], way[17:])
    print(f"\nmeasured work lost {lost:.4e} J, Mindlin and Deresiewicz {mindlin_loss(top, FULL, MU * LOAD):.4e} J")
    # trapezoids of sixteen chords, force and limit of this grid
    assert lost == pytest.approx(mindlin_loss(top, FULL, MU * LOAD), rel=0.06)
    assert force[17] == pytest.approx(force[1], rel=5e-3)  # nearly closed by the first cycle
    assert force[33] == pytest.approx(force[17], rel=1e-3)


@pytest.mark.parametrize("sign", [1, -1])
def test_torsion(sign):
    """Full stick: T = 16/3 G a^3 beta (Reissner and Sagoci 1944); with slip: Lubkin 1951."""
    field = make(48, nu=0.5, mu=50.0)
    _, start = press(field, DEPTH)
    beta = sign * 1e-3
    reading, _ = press(field, DEPTH, 0.0, start, turned((0, 0, 1), beta))
    ratio = float(reading.wrench[0, 5]) / (16 / 3 * SHEAR_MODULUS * A**3 * beta)
    print(f"\nmeasured torque / (16/3 G a^3 beta) {ratio:.4f}")
    assert ratio == pytest.approx(1.0, rel=0.03)
    assert np.abs(reading.wrench[0, :2].numpy()).max() < 1e-6 * float(reading.normal.sum())
    field = make(48, nu=0.5)
    peak = 1.5 * LOAD / (math.pi * A * A)
    for c in (0.8, 0.5):
        beta, torque = twist(c * A, A, peak, MU, SHEAR_MODULUS)
        reading, _ = press(field, DEPTH, 0.0, start, turned((0, 0, 1), sign * beta))
        ratio, radius = float(reading.wrench[0, 5]) / (sign * torque), sticking(reading)[1] / A
        print(f"measured torque / Lubkin {ratio:.4f} at {torque / (3 / 16 * math.pi * MU * LOAD * A):.3f} of all, "
              f"stick radius {radius:.4f} a for {c} a")  # fmt: skip
        assert ratio == pytest.approx(1.0, rel=0.03) and radius == pytest.approx(c, abs=0.03)


def test_breaking_contact_clears_every_channel_at_the_next_step():
    field = make(14, thickness=0.002)
    _, state = press(field, DEPTH)
    reading, state = press(field, DEPTH, 3e-5, state)
    assert reading.shear.any() and state.stick.any()
    reading, state = field.measure(pose(x=3e-5, z=R + 1e-6), ORIGIN, state)
    for channel in (reading.normal, reading.shear, reading.wrench, reading.pressure, reading.traction, state.stick):
        assert not channel.any()


def test_partial_reset_touches_only_its_rows():
    field, worlds = make(14), 3
    where, sensor = pose(z=R - DEPTH, worlds=worlds), ORIGIN.repeat(worlds, 1)
    _, state = field.measure(where, sensor)
    where[:, 0] += 3e-5
    _, state = field.measure(where, sensor, state)
    fresh, after = field.measure(where, sensor, state.reset(torch.tensor([False, True, False])))
    kept, same = field.measure(where, sensor, state)
    assert torch.equal(fresh.shear[[0, 2]], kept.shear[[0, 2]]) and torch.equal(fresh.normal, kept.normal)
    assert torch.equal(after.stick[[0, 2]], same.stick[[0, 2]])
    first, _ = field.measure(where[1:2], ORIGIN)  # as if it had never touched
    assert torch.equal(fresh.shear[1], first.shear[0]) and not torch.equal(fresh.shear[1], kept.shear[1])
    assert kept.wrench[1, 0] > 100 * fresh.wrench[1, 0].abs()


@pytest.mark.parametrize(  # summed directly, by Fourier transforms
    ("n", "dtype"),
    [(10, torch.float32), (10, DOUBLE), (25, torch.float32), pytest.param(25, DOUBLE, marks=pytest.mark.slow)],
)
def test_world_of_many_equals_the_world_alone(n, dtype):
    from simenv import set_num_threads
    from simenv.geometry import Sphere
    from simenv.physics.gels.solve import Accuracy

    worlds = 64
    rng = np.random.default_rng(0)
    field = make(n, Sphere(0.004), dtype=dtype, thickness=0.003, accuracy=Accuracy(1e-5, 25, 25))
    body = torch.as_tensor(rng.uniform(-5e-4, 5e-4, (worlds, 7)), dtype=dtype)
    body += torch.tensor([0, 0, 0.004, 0, 0, 0, 1])
    sensor = pose(worlds=worlds, dtype=dtype)
    step = torch.as_tensor(rng.normal(size=(worlds, 7)) * 1e-5, dtype=dtype)
    poisson = torch.as_tensor(rng.uniform(0.3, 0.5, worlds), dtype=dtype)

    def twice(rows):
        start, nu = body[rows].clone().requires_grad_(), poisson[rows].clone().requires_grad_()
        _, state = field.measure(start, sensor[rows], None, None, None, {"poisson": nu})
        reading, state = field.measure(start + step[rows], sensor[rows], state, None, None, {"poisson": nu})
        grads = torch.autograd.grad(reading.wrench.square().sum() + reading.shear.sum(), (start, nu))
        return reading.field().detach(), reading.wrench.detach(), state.stick.detach(), *grads

    set_num_threads(1)
    everything = twice(slice(None))
    set_num_threads(3)
    for a, b in zip(twice(slice(None)), everything, strict=True):
        assert torch.equal(a, b)
    assert everything[0].any() and everything[4].any()
    for i in range(0, worlds, 13):
        for a, b in zip(twice(slice(i, i + 1)), everything, strict=True):
            assert torch.equal(a[0], b[i])


@pytest.mark.slow
def test_a_thousand_resets_leave_the_memory_flat():
    import resource

    field = make(18, accuracy=None, dtype=torch.float32)
    where, sensor = pose(z=R - DEPTH, worlds=4, dtype=torch.float32), pose(worlds=4, dtype=torch.float32)
    state, peaks = field.initial_state(4), []
    for i in range(1000):
        if i in (100, 999):
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # [kB]
        moving = where.clone().requires_grad_()
        reading, state = field.measure(moving, sensor, state.detach())
        reading.wrench.sum().backward()
        state = state.reset(torch.arange(4) == i % 4)
    print(f"\nmeasured growth over 900 resets: {peaks[1] - peaks[0]} kB of {peaks[0]} kB")
    assert peaks[1] - peaks[0] < 4096
    assert float(reading.normal[0].sum()) == pytest.approx(4 / 3 * STAR * math.sqrt(R) * DEPTH**1.5, rel=0.05)
