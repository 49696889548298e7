# SPDX-License-Identifier: Apache-2.0
"""Observation helpers on states small enough to work out by hand."""

from types import SimpleNamespace

import pytest
import torch

from simenv.envs import observations

F64 = torch.float64


def state(x: torch.Tensor, active: torch.Tensor | None = None) -> SimpleNamespace:
    active = torch.ones(x.shape[:2], dtype=torch.bool) if active is None else active
    return SimpleNamespace(x=x, v=10.0 * x, active=active)


def test_keypoints_are_evenly_spaced_and_zero_where_inactive() -> None:
    x = torch.arange(7, dtype=F64).reshape(1, 7, 1).expand(2, 7, 3)
    active = torch.ones(2, 7, dtype=torch.bool)
    active[1, 6] = False
    points = observations.keypoints(state(x, active), slice(2, 7), 3)
    assert points.shape == (2, 3, 6)
    assert points[0, :, 0].tolist() == [2.0, 4.0, 6.0]
    assert points[0, :, 5].tolist() == [20.0, 40.0, 60.0]
    assert points[1, :, 0].tolist() == [2.0, 4.0, 0.0]
    assert observations.keypoints(state(x), slice(2, 7), 1)[0, :, 0].tolist() == [2.0]


def test_keypoints_refuses_more_than_there_are() -> None:
    with pytest.raises(ValueError, match="count=6 keypoints of a group of 5 particles"):
        observations.keypoints(state(torch.zeros(1, 7, 3)), slice(2, 7), 6)


def test_density_of_a_particle_on_a_node() -> None:
    # Quadratic B-spline weights at distance 0 and 1 from the node are 3/4 and 1/8.
    grid = observations.density_grid(
        state(torch.full((1, 1, 3), 0.2, dtype=F64)), slice(0, 1), 2.0, (5, 5, 5), (0, 0, 0), (0.4, 0.4, 0.4)
    )
    cell = 0.1**3
    assert float(grid[0, 2, 2, 2]) == pytest.approx(2.0 / cell * 0.75**3)
    assert float(grid[0, 1, 2, 2]) == pytest.approx(2.0 / cell * 0.125 * 0.75**2)
    assert float(grid[0, 3, 3, 1]) == pytest.approx(2.0 / cell * 0.125**3)
    assert float(grid.sum()) * cell == pytest.approx(2.0)


def test_density_preserves_mass_and_drops_what_is_outside_or_inactive() -> None:
    generator = torch.Generator().manual_seed(0)
    x = 0.2 + 0.6 * torch.rand(2, 50, 3, generator=generator, dtype=F64)
    active = torch.ones(2, 50, dtype=torch.bool)
    active[1, :20] = False
    x[1, 20:25] = 7.0
    grid = observations.density_grid(state(x, active), slice(0, 50), 0.3, (9, 11, 6), (0, 0, 0), (1, 1, 1))
    cell = (1 / 8) * (1 / 10) * (1 / 5)
    assert grid.shape == (2, 9, 11, 6)
    assert (grid.sum(dim=(1, 2, 3)) * cell).tolist() == pytest.approx([50 * 0.3, 25 * 0.3])


def test_density_gradient_matches_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    x = (0.2 + 0.6 * torch.rand(1, 4, 3, generator=generator, dtype=F64)).requires_grad_()
    weight = torch.rand(1, 5, 5, 5, generator=generator, dtype=F64)

    def loss(p: torch.Tensor) -> torch.Tensor:
        return (weight * observations.density_grid(state(p), slice(0, 4), 1.0, (5, 5, 5), (0, 0, 0), (1, 1, 1))).sum()

    assert torch.autograd.gradcheck(loss, (x,), eps=1e-6, atol=1e-5)


def test_density_refuses_an_empty_grid() -> None:
    with pytest.raises(ValueError, match="at least 2 nodes per axis and low < high"):
        observations.density_grid(state(torch.zeros(1, 1, 3)), slice(0, 1), 1.0, (5, 1, 5), (0, 0, 0), (1, 1, 1))
