# SPDX-License-Identifier: Apache-2.0
"""Surface compliance against closed forms, point loads and quadrature; convolution against its definition."""

import math

import numpy as np
import pytest
import torch
import warp as wp

from simenv.physics.gels.compliance import half_space, influence_tables, layer_compliance, layer_indentation
from simenv.physics.gels.convolution import Convolution
from simenv.physics.gels.elastic import interpolation_weights
from tests.sensors.contact_theory import layer_transfer


@pytest.mark.parametrize("nu", [0.0, 0.3, 0.48, 0.5])
def test_layer_compliance_solves_the_equations(nu):
    """Closed forms against a numerical solution of Navier's equations for each wave."""
    a = np.array([0.01, 0.3, 1.0, 3.0, 10.0, 40.0])
    t = layer_transfer(a, nu)
    along, across, squeezed = layer_compliance(a, nu)
    np.testing.assert_allclose((1 + nu) * layer_indentation(a, nu), t["zz"], rtol=1e-8)
    np.testing.assert_allclose((1 + nu) * along, t["ll"], rtol=1e-8)
    np.testing.assert_allclose((1 + nu) * across, t["ss"], rtol=1e-12)
    np.testing.assert_allclose((1 + nu) * -squeezed, t["lz"], rtol=1e-8, atol=1e-11)
    # a half space from above, an incompressible thin layer squeezed outwards from below
    assert t["lz"][-1] == pytest.approx(0.5 * (1 - 2 * nu) * (1 + nu), abs=1e-12)
    if nu == 0.5:
        assert (t["lz"][:-1] < 0).all()


def test_rectangles_add_up_and_look_like_points_from_afar():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 50)) * 2.0
    sides, nu = (1.0, 0.6), 0.3
    whole = half_space(x, y, sides, nu)
    for name in whole:
        parts = sum(half_space(x - i * 0.25, y - j * 0.15, (0.5, 0.3), nu)[name] for i in (-1, 1) for j in (-1, 1))
        np.testing.assert_allclose(whole[name], parts, atol=1e-13)
    x, y, r = 30.0, 40.0, 50.0
    far = half_space(np.array(x), np.array(y), sides, nu)
    shear = 1 / (2 * (1 + nu))
    load = 0.6
    expected = {
        "zz": (1 - nu**2) / (math.pi * r),
        "xx": ((1 - nu) / r + nu * x * x / r**3) / (2 * math.pi * shear),
        "yy": ((1 - nu) / r + nu * y * y / r**3) / (2 * math.pi * shear),
        "xy": nu * x * y / r**3 / (2 * math.pi * shear),
        "xz": -(1 - 2 * nu) / (4 * math.pi * shear) * x / r**2,
        "yz": -(1 - 2 * nu) / (4 * math.pi * shear) * y / r**2,
    }
    for name, value in expected.items():
        assert float(far[name]) == pytest.approx(load * value, rel=1e-3), name


def test_layer_tables_against_direct_quadrature_of_the_waves():
    """A wave of pressure along x on a large grid deflects the layer by its transfer function."""
    nu, h, n = 0.45, 1.0, 96
    spacing = 0.125
    table = {name: t[0] for name, t in influence_tables(n, n, (spacing, spacing), [nu], h).items()}
    x = (np.arange(n) - n / 2 + 0.5) * spacing
    k = 2 * math.pi / 2.0
    wave = np.cos(k * x)
    mid = n // 2
    columns = mid - np.arange(n) + n - 1
    t = {name: float(v[0]) for name, v in layer_transfer(np.array([k * h]), nu).items()}
    patch = np.sinc(k * spacing / 2 / math.pi)
    for name, key, phase in (("zz", "zz", wave), ("xx", "ll", wave), ("yy", "ss", wave)):
        rows = table[name][:, columns].sum(0)  # infinitely long ridges, but for the decayed ends
        got = float(rows @ phase)
        assert got == pytest.approx(2 * t[key] / k * patch * wave[mid], rel=2e-3), name
    got = float(table["xz"][:, columns].sum(0) @ np.cos(k * x))
    assert got == pytest.approx(-2 * t["lz"] / k * patch * np.sin(k * x[mid]), abs=2e-3 * 2 / k)


def test_tables_are_symmetric_and_positive_definite():
    t = {name: t[0] for name, t in influence_tables(8, 9, (1e-3, 1.2e-3), [0.5], 2e-3).items()}
    index = np.arange(72)
    dr = index[:, None] // 9 - index // 9 + 7
    dc = index[:, None] % 9 - index % 9 + 8
    normal = t["zz"][dr, dc]
    sideways = np.block([[t["xx"][dr, dc], t["xy"][dr, dc]], [t["xy"][dr, dc], t["yy"][dr, dc]]])
    for matrix in (normal, sideways):
        np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=1e-12 * matrix.max())
        assert np.linalg.eigvalsh(matrix).min() > 0


@pytest.mark.parametrize("direct", [True, False])
def test_convolution_is_its_definition(direct):
    wp.init()
    rng = np.random.default_rng(1)
    rows, columns, worlds = 5, 7, 4
    tables = rng.normal(size=(3, 2, 3, 2 * rows - 1, 2 * columns - 1))
    x = torch.as_tensor(rng.normal(size=(worlds, rows * columns, 3))).requires_grad_()
    weights = torch.as_tensor(rng.normal(size=(worlds, 3))).requires_grad_()
    index = np.arange(rows * columns)
    dr = index[:, None] // columns - index // columns + rows - 1
    dc = index[:, None] % columns - index % columns + columns - 1
    dense = torch.einsum("nm,mabpq->nabpq", weights, torch.as_tensor(tables[..., dr, dc]))
    expected = torch.einsum("nabpq,nqb->npa", dense, x)
    out = Convolution(tables, torch.float64, direct=direct).at(weights)(x)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    weight = torch.as_tensor(rng.normal(size=out.shape))
    got = torch.autograd.grad((out * weight).sum(), (x, weights))
    for one, other in zip(got, torch.autograd.grad((expected * weight).sum(), (x, weights)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-11)


def test_interpolation_in_poisson_ratio_is_exact_enough():
    for thickness, count, tolerance in ((None, 3, 1e-12), (1.5e-3, 12, 1e-6)):
        nodes = 0.25 * (1 - np.cos((np.arange(count) + 0.5) * np.pi / count))
        tables = influence_tables(6, 6, (1e-3, 1e-3), nodes, thickness)
        for nu in (0.0, 0.17, 0.49, 0.5):
            exact = influence_tables(6, 6, (1e-3, 1e-3), [nu], thickness)
            weights = interpolation_weights(nodes, torch.tensor([nu], dtype=torch.float64))[0].numpy()
            for name, table in exact.items():
                got = np.tensordot(weights, tables[name], 1)
                np.testing.assert_allclose(got, table[0], rtol=0, atol=tolerance * np.abs(exact["zz"]).max())
