# SPDX-License-Identifier: Apache-2.0
"""The order in which the solver keeps particles."""

import numpy as np
import pytest
import torch

from simenv.physics.mpm.ordering import Ordering

ORIGIN, DX = (0.1, -0.2, 0.3), 0.01


@pytest.mark.parametrize("shape", [(40, 50, 60), (400, 500, 60)], ids=["rows", "bundles of rows"])
def test_rows_are_contiguous_and_ties_keep_their_order(shape):
    random = torch.Generator().manual_seed(0)
    index = torch.rand(5_000, 3, generator=random, dtype=torch.float64) * torch.tensor(shape)
    ordering = Ordering.by_row(torch.tensor(ORIGIN) + DX * index, ORIGIN, DX, shape)
    row = (index[:, 0].floor() * shape[1] + index[:, 1].floor()).long()
    bundle = 1 if shape[0] * shape[1] < 2**16 else 4  # 200 000 rows in 16 bits
    expected = np.lexsort((np.arange(5_000), (row // bundle).numpy()))
    assert np.array_equal(ordering.forward.numpy(), expected)
    assert torch.equal(ordering.forward.sort().values, torch.arange(5_000))


def test_what_is_left_out_keeps_its_place():
    held = Ordering(torch.tensor([6, 1, 3])).then(Ordering(torch.tensor([2, 0, 1])))
    assert held.forward.tolist() == [3, 6, 1]
    value, inside = 10.0 * torch.arange(8.0).view(1, 8, 1), torch.zeros(1, 5, 1)
    held.take(value, inside)
    assert inside.flatten().tolist() == [30.0, 60.0, 10.0, 0.0, 0.0]
    target = -torch.ones(1, 8, 1)
    held.put(inside + 1.0, target)
    assert target.flatten().tolist() == [-1.0, 11.0, -1.0, 31.0, -1.0, -1.0, 61.0, -1.0]


def test_places_outside_the_grid_and_numbers_that_are_none_are_kept():
    x = torch.tensor([[np.nan, 0.0, 0.0], [np.inf, 0.0, 0.0], [-1e9, 0.0, 0.0], [0.2, 0.0, 0.5], [1e9, 1e9, 0.0]])
    ordering = Ordering.by_row(x, ORIGIN, DX, (40, 50, 60))
    assert sorted(ordering.forward.tolist()) == [0, 1, 2, 3, 4]
