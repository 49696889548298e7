# SPDX-License-Identifier: Apache-2.0
"""B-spline action tables against scipy and their defining properties."""

import numpy as np
import pytest
import torch

from simenv.agents.parameters import ActionTable, initial_points, spline_basis


@pytest.mark.parametrize(("steps", "knots"), [(1, 1), (5, 2), (7, 3), (20, 4), (50, 11), (100, 99)])
def test_basis_is_a_partition_of_unity_with_clamped_ends(steps, knots):
    basis = spline_basis(steps, knots)
    assert basis.shape == (steps, knots)
    assert (basis >= 0).all()
    np.testing.assert_allclose(basis.sum(1), 1.0, rtol=0, atol=1e-14)
    assert basis[0, 0] == pytest.approx(1.0, abs=1e-14)
    assert basis[-1, -1] == pytest.approx(1.0, abs=1e-14)


def test_basis_equals_scipys():
    interpolate = pytest.importorskip("scipy.interpolate")
    grid = np.concatenate([np.zeros(3), np.linspace(0, 1, 9), np.ones(3)])
    expected = interpolate.BSpline.design_matrix(np.linspace(0, 1, 40), grid, 3).toarray()
    np.testing.assert_allclose(spline_basis(40, 11), expected, atol=1e-14)


def test_basis_reproduces_cubics():
    """Cubic splines contain cubic polynomials: the least-squares fit of one has no residual."""
    time = np.linspace(0, 1, 30)
    cubic = 1 - 2 * time + 3 * time**2 - 4 * time**3
    basis = spline_basis(30, 8)
    fit = basis @ np.linalg.lstsq(basis, cubic, rcond=None)[0]
    np.testing.assert_allclose(fit, cubic, atol=1e-12)


@pytest.mark.parametrize(("steps", "knots"), [(0, 1), (5, 0), (5, 6)])
def test_basis_refuses_impossible_numbers(steps, knots):
    with pytest.raises(ValueError, match="must lie between"):
        spline_basis(steps, knots)


def test_actions_stay_inside_the_limits_and_keep_their_gradient_there():
    low, high = np.array([-0.3, 0.1]), np.array([0.7, 0.4])
    table = ActionTable(low, high, 50, 10)
    points = torch.from_numpy(np.random.default_rng(0).choice([-1.0, 1.0], (6, 10, 2))).requires_grad_()
    actions = table.actions(points)
    assert actions.shape == (50, 6, 2)
    assert (actions >= torch.from_numpy(low)).all() and (actions <= torch.from_numpy(high)).all()
    actions.sum().backward()
    # d(sum over t)/d(point k) = half range * sum_t B[t, k], also for points on their limits
    expected = table.basis.sum(0)[:, None] * table.half
    torch.testing.assert_close(points.grad, expected.expand(6, -1, -1))


def test_points_inverts_actions():
    table = ActionTable(np.array([-2.0]), np.array([1.0]), 40, 8)
    points = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (3, 8, 1)))
    torch.testing.assert_close(table.points(table.actions(points).transpose(0, 1)), points)


def test_unbounded_action_spaces_are_refused():
    with pytest.raises(ValueError, match="finite"):
        ActionTable(np.array([-np.inf]), np.array([1.0]), 10, 4)


def test_free_points_are_those_that_act_only_inside_the_window():
    table = ActionTable(np.array([-1.0]), np.array([1.0]), 30, 10)
    free = table.free(12, 20)
    for k in range(10):
        acts = (table.basis[:, k] > 0).numpy()
        assert bool(free[k]) == (not acts[:12].any() and acts[12:20].any())
    assert 0 < free.sum() < 10


def test_initial_points_do_not_depend_on_their_number_and_start_at_zero_action():
    table = ActionTable(np.array([0.5, -1.0]), np.array([1.0, 1.0]), 20, 5)
    few, many = initial_points(table, 3, 7, 0.5), initial_points(table, 8, 7, 0.5)
    assert torch.equal(few, many[:3])
    # zero is below the first action's range, so the nearest action 0.5 is taken
    torch.testing.assert_close(table.actions(many[:1])[:, 0], torch.tensor([0.5, 0.0]).double().expand(20, 2))
    assert torch.equal(many[1], many[1, :1].expand(5, 2))  # constant motion
    assert not torch.equal(many[2], many[2, :1].expand(5, 2))
    assert not torch.equal(initial_points(table, 3, 8, 0.5), few)
