# SPDX-License-Identifier: Apache-2.0
"""Functions of `simenv.physics.exact`: values against arbitrary precision, derivatives, and bits at every place."""

import math
import secrets

import mpmath
import numpy as np
import pytest
import torch

from simenv.physics import exact

F32, F64 = torch.float32, torch.float64
FUNCTIONS = {
    "exp": (exact.exp, mpmath.exp, (-80.0, 80.0)),
    "log": (exact.log, mpmath.log, (1e-3, 50.0)),
    "sine": (lambda x: exact.sincos(x)[0], mpmath.sin, (-20.0, 20.0)),
    "cosine": (lambda x: exact.sincos(x)[1], mpmath.cos, (-20.0, 20.0)),
    "sigmoid": (exact.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), (-80.0, 80.0)),
}


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_within_a_unit_in_the_last_place(name: str, dtype: torch.dtype) -> None:
    """In single precision correctly rounded, as they are computed in double: half a unit."""
    function, reference, (low, high) = FUNCTIONS[name]
    x = low + (high - low) * torch.rand(300, dtype=dtype, generator=torch.Generator().manual_seed(0))
    got = function(x)
    with mpmath.workdps(40):
        for argument, value in zip(x.tolist(), got.tolist(), strict=True):
            true = reference(mpmath.mpf(argument))
            unit = np.spacing(np.float32(abs(float(true))) if dtype == F32 else np.float64(abs(float(true))))
            assert abs(mpmath.mpf(value) - true) <= (0.501 if dtype == F32 else 1.5) * mpmath.mpf(float(unit)), argument


def test_angles_in_all_quadrants_and_powers() -> None:
    y, x = (torch.tensor(side, dtype=F64) for side in ([1.0, 1.0, -2.0, -2.0, 0.0], [1.0, -3.0, -0.5, 4.0, -1.0]))
    assert exact.atan2(y, x).tolist() == pytest.approx(
        [math.atan2(*each) for each in zip(y, x, strict=True)], rel=1e-15
    )
    assert exact.power(torch.tensor([8.0, 0.125], dtype=F64), 2 / 3).tolist() == pytest.approx([4.0, 0.25], rel=1e-14)


def test_far_arguments_saturate_and_nothing_hides_a_number_that_is_not_one() -> None:
    far = torch.tensor([-1e4, 1e4, math.inf, -math.inf])
    assert exact.sigmoid(far).tolist() == [0.0, 1.0, 1.0, 0.0]
    nan = torch.tensor([math.nan])
    for function in (
        exact.exp,
        exact.log,
        exact.sigmoid,
        exact.root,
        exact.norm,
        exact.total,
        lambda x: exact.sincos(x)[0],
    ):
        assert function(nan).isnan().all()
    assert exact.norm(torch.full((2, 7), math.nan)).isnan().all()


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5, 64, 1001])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_total_is_the_sum_along_any_axis(count: int, dim: int) -> None:
    shape = [2, 3, 2]
    shape[dim] = count
    x = torch.randn(shape, dtype=F32, generator=torch.Generator().manual_seed(1))
    wanted = np.apply_along_axis(lambda row: math.fsum(row.tolist()), dim, x.double().numpy()) if count else 0.0
    got = exact.total(x, dim)
    assert got.shape == torch.Size(size for axis, size in enumerate(shape) if axis != dim % 3)
    # from five terms on the only rounding is that of the result; up to three before
    np.testing.assert_allclose(got.double().numpy(), wanted, rtol=0.0, atol=1e-6 if count <= 4 else 2e-6 * count**0.5)
    assert exact.total(x, dim, keepdim=True).shape[dim] == 1
    if count > 4:
        assert np.array_equal(got.numpy(), np.asarray(wanted).astype(np.float32))


def test_total_carries_what_rounding_loses() -> None:
    x = torch.tensor([1.0, *[1e-17] * 10_000], dtype=F64)
    assert float(exact.total(x)) == pytest.approx(1.0 + 1e-13, abs=3e-16)


def test_products_norms_and_means_by_hand() -> None:
    a = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=F64)
    b = torch.tensor([[1.0, 0.0, 2.0], [-1.0, 3.0, 0.5]], dtype=F64)
    assert exact.matmul(a, b).tolist() == [[-1.0, 6.0, 3.0], [-1.0, 12.0, 8.0], [-1.0, 18.0, 13.0]]
    assert exact.dot(a, a).tolist() == [5.0, 25.0, 61.0]
    assert exact.norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=F64)).tolist() == [5.0, 0.0]
    assert exact.mean(a, 0).tolist() == [3.0, 4.0]


DIFFERENTIABLE = {
    "exp": exact.exp,
    "log": lambda x: exact.log(x * x + 1.0),
    "sincos": exact.sincos,
    "sigmoid": exact.sigmoid,
    "atan2": lambda x: exact.atan2(x, x.flip(0) + 3.0),
    "power": lambda x: exact.power(x * x + 1.0, 2 / 3),
    "total": lambda x: exact.total(x, 1) ** 2,
    "norm": lambda x: exact.norm(x, 0),
    "matmul": lambda x: exact.matmul(x, x.T),
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_first_and_second_derivatives(name: str) -> None:
    x = torch.randn(3, 6, dtype=F64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    assert torch.autograd.gradcheck(DIFFERENTIABLE[name], (x,))
    assert torch.autograd.gradgradcheck(DIFFERENTIABLE[name], (x,))


def test_gradients_at_zero_are_finite() -> None:
    x = torch.zeros(3, 2, dtype=F64, requires_grad=True)
    (exact.norm(x).sum() + exact.sigmoid(x).sum()).backward()
    assert x.grad.tolist() == [[0.25, 0.25]] * 3


@pytest.mark.parametrize("dtype", [F32, F64])
def test_bits_do_not_depend_on_place_strides_or_threads(dtype: torch.dtype) -> None:
    seed = secrets.randbelow(2**31)
    row = torch.randn(37, dtype=dtype, generator=torch.Generator().manual_seed(seed))
    functions = [
        exact.exp, lambda x: exact.log(x.abs()), lambda x: exact.sincos(x)[0], lambda x: exact.sincos(x)[1],
        exact.sigmoid, lambda x: exact.atan2(x, x.flip(-1)), exact.total, exact.norm,
    ]  # fmt: skip
    threads = torch.get_num_threads()
    for function in functions:
        alone = function(row)
        for count in (1, 2, 3, 8, 2000):
            torch.set_num_threads(1 + count % 2)
            many = row.expand(count, -1)
            shifted = torch.cat([row[:5], many.flatten()])[5:].view(count, 37)
        for x in (many, many.contiguous(), many.T.contiguous().T, shifted):
            assert all(torch.equal(each, alone) for each in function(x)), (seed, count)
    torch.set_num_threads(threads)


def test_other_types_and_shapes_are_refused() -> None:
    with pytest.raises(TypeError, match=r"torch\.float32 or torch\.float64, not torch\.int64; convert"):
        exact.exp(torch.arange(3))
    with pytest.raises(TypeError, match=r"not torch\.float16"):
        exact.total(torch.zeros(9, dtype=torch.float16))
