# SPDX-License-Identifier: Apache-2.0
"""Parameters are recovered from synthetic rollouts, whose truth is known."""

import numpy as np
import pytest
import torch

from simenv.rollouts import IdentifyConfig, Observed, RolloutError, identify, record_world
from simenv.rollouts.gauss_newton import FLAT, GaussNewton, damped_step
from simenv.rollouts.identify import Code
from simenv.rollouts.residuals import Comparison, as_drive, density
from simenv.rollouts.sought import ranges
from simenv.world import World
from tests.rollouts import identification as cases


def solve(function, jacobian, start, radius=0.3, limit=60):
    """Point and evaluations of `GaussNewton` on residuals in closed form."""
    search = GaussNewton(np.asarray(start, float), radius, 1e-9)
    for count in range(limit):
        point = search.ask()
        if search.done:
            return search, count
        r = function(point)
        if search.tell(r, False):
            search.sweep(jacobian(point).T @ r)
    return search, limit


TIMES = np.linspace(0.0, 4.0, 60)


def decay(p):
    """Two exponentials of different rates and amplitudes (a classic with a curved valley)."""
    return p[2] * np.exp(-5 * p[0] * TIMES) + (1 - p[2]) * np.exp(-p[1] * TIMES)


def decay_jacobian(p):
    fast, slow = np.exp(-5 * p[0] * TIMES), np.exp(-p[1] * TIMES)
    return np.stack([-5 * TIMES * p[2] * fast, -TIMES * (1 - p[2]) * slow, fast - slow], 1)


@pytest.mark.parametrize("start", [(0.2, 0.2, 0.5), (0.9, 0.8, 0.9)])
def test_gauss_newton_finds_an_exact_solution(start):
    truth = np.array([0.6, 0.4, 0.3])
    search, count = solve(lambda p: decay(p) - decay(truth), decay_jacobian, start)
    print(f"\nmeasured {count} evaluations, off by {np.abs(search.point - truth).max():.1e}")
    assert search.point == pytest.approx(truth, abs=1e-6)


def test_gauss_newton_finds_the_least_squares_of_noise():
    # the minimum of a problem whose residuals do not vanish, against scipy's exact Jacobian
    from scipy.optimize import least_squares

    data = decay(np.array([0.6, 0.4, 0.3])) + 0.02 * np.random.default_rng(0).standard_normal(len(TIMES))
    exact = least_squares(lambda p: decay(p) - data, (0.5, 0.5, 0.5), decay_jacobian, xtol=1e-14, gtol=1e-14).x
    search, _ = solve(lambda p: decay(p) - data, decay_jacobian, (0.3, 0.3, 0.4), limit=200)
    # it stops where a step would lower the loss by less than a share FLAT: |J (p - exact)|^2 < FLAT |r|^2
    stiffness = np.linalg.eigvalsh(decay_jacobian(exact).T @ decay_jacobian(exact))[0]
    bound = (FLAT * search.loss / stiffness) ** 0.5
    print(f"\nmeasured {np.linalg.norm(search.point - exact):.1e}, bound {bound:.1e}")
    assert search.done == "converged"
    assert np.linalg.norm(search.point - exact) <= 2 * bound


def test_gauss_newton_stays_in_the_box():
    # the minimum without limits is at x = 1.5; on the face x = 1 that over y is at 0.2 + 0.5 * (1.5 - 1)
    A = np.array([[1.0, 0.0], [0.5, 1.0]])
    target = A @ np.array([1.5, 0.2])
    search, _ = solve(lambda p: A @ p - target, lambda p: A, (0.4, 0.9))
    assert search.point == pytest.approx([1.0, 0.45], abs=1e-7)


def test_damped_step_ends_on_the_trust_region():
    A = np.random.default_rng(1).standard_normal((7, 3))
    gradient = np.array([3.0, -2.0, 1.0])
    inside = damped_step(A, gradient, 1e3)
    assert inside == pytest.approx(-np.linalg.solve(A.T @ A, gradient), rel=1e-5)
    step = damped_step(A, gradient, 0.1)
    assert np.linalg.norm(step) == pytest.approx(0.1, rel=1e-6)
    damping = -(gradient + A.T @ A @ step) / step  # the same for all coordinates, and positive
    assert np.ptp(damping) < 1e-5 * damping.mean()


def comparison(names, steps, worlds=1, dtype=torch.float32, every=2):
    world = World(cases.scene(names), worlds, dtype=dtype)
    sought = ranges(world, {name: cases.RANGES[name] for name in cases.sought(names)})
    observed = cases.experiment(names, steps, every=every)
    drive = as_drive(cases.controls(world, steps))
    return Comparison(world, world.initial_state(), drive, steps, observed, sought)


@pytest.mark.parametrize(("name", "limit"), [("gel", 1e-6), ("oil", 1e-6)])
def test_gradient_equals_central_differences(name, limit):
    # one batch: the point, and a step to either side for several step lengths (contact has kinks at larger ones)
    lengths = (1e-4, 1e-5, 1e-6)
    compared = comparison((name,), 10, 1 + 2 * len(lengths), torch.float64)
    points = np.full((1 + 2 * len(lengths), 1), 0.4)
    for index, length in enumerate(lengths):
        points[1 + 2 * index] += length
        points[2 + 2 * index] -= length
    r, failed = compared.residuals(points, graph=True)
    assert not failed.any()
    gradient = compared.gradient()[0, 0]
    losses = 0.5 * (r**2).sum(1)
    slopes = [(losses[1 + 2 * i] - losses[2 + 2 * i]) / (2 * length) for i, length in enumerate(lengths)]
    error = min(abs(slope / gradient - 1) for slope in slopes)
    print(f"\nmeasured {error:.1e}")
    assert error <= limit


@pytest.mark.parametrize(("name", "seed"), [("gel", 0), ("gel", 3), ("oil", 0), ("oil", 3)])
def test_one_material(name, seed):
    result, history = cases.find((name,), 20, seed)
    spent = cases.cost(history)
    print(f"\nmeasured 2 % after {spent[0]} iterations, {spent[1]} rollouts; {result.values}")
    assert result.code is Code.CONVERGED
    assert spent[0] <= 10 and cases.close(result.values, 0.002)
    assert result.rollouts == history[-1].rollouts <= 3 * len(history)


def test_starts_in_one_batch_equal_starts_alone():
    names, steps, wanted = ("gel",), 10, "gel.youngs_modulus"
    observed = cases.experiment(names, steps)
    guesses, found = [4.0e3, 3.5e4], []
    for initial in (guesses, guesses[:1], guesses[1:]):
        world = World(cases.scene(names), len(initial))
        before = world.parameters[wanted].clone()
        found.append(
            identify(
                world, cases.controls(world, steps), observed, {wanted: cases.RANGES[wanted]},
                initial={wanted: initial}, config=IdentifyConfig(iterations=3),
            )
        )  # fmt: skip
        assert torch.equal(world.parameters[wanted], before)
    both, low, high = found
    assert both.starts[wanted].tolist() == [low.starts[wanted][0], high.starts[wanted][0]]
    assert both.code is Code.MAX_ITERATIONS and both.loss == min(low.loss, high.loss)
    assert both.rollouts == low.rollouts + high.rollouts


def test_cma_finds_the_same_by_the_same_interface():
    result, history = cases.find(("gel",), 10, 0, "cma")
    assert cases.cost(history) is not None
    assert result.rollouts == 4 * len(history)  # 4 + 3 ln(1) candidates, and no sweeps


def test_limits_that_exclude_the_truth_are_reported():
    names, wanted = ("oil",), "oil.viscosity"
    observed, world = cases.experiment(names, 10), World(cases.scene(names), 1)
    result = identify(world, cases.controls(world, 10), observed, {wanted: (8.0, 30.0)})
    assert result.code is Code.AT_LIMIT and result.at_limit == (wanted,)
    assert result.values[wanted] == pytest.approx(8.0)


def test_a_first_guess_that_cannot_be_simulated_is_reported():
    names, wanted = ("gel",), "gel.youngs_modulus"
    world = World(cases.scene(names), 1)
    observed = cases.experiment(names, 4)
    start = world.initial_state()
    start.v[:] = 1e4  # more than a cell a substep
    result = identify(world, cases.controls(world, 4), observed, {wanted: cases.RANGES[wanted]}, start=start)
    assert result.code is Code.DIVERGED and not np.isfinite(result.loss)


def test_density_holds_the_mass():
    world = World(cases.scene(("gel",)), 1)
    low, high = world.domain()
    state = world.initial_state()
    # off the floor: what splines spread beyond the outermost nodes is dropped
    seen = density(world, state.replace(x=state.x + state.x.new_tensor([0.0, 0.0, 0.06])))[0].double().numpy()
    cell = np.prod((high - low) / (np.array(seen.shape) - 1))
    mass = cases.MATERIALS["gel"].density * cases.SIDE**2 * cases.HEIGHT["gel"]
    assert seen.sum() * cell == pytest.approx(mass, rel=1e-5)


def test_density_identifies_too():
    names, steps = ("oil",), 20
    truth = World(cases.scene(names), 1)
    observed = record_world(truth, cases.controls(truth, steps), ("density",), (10, 20))
    result = identify(truth, cases.controls(truth, steps), observed, {"oil.viscosity": (0.6, 40.0)},
                      initial={"oil.viscosity": 2.4})  # fmt: skip
    assert cases.close(result.values)


def test_errors_name_the_remedy():
    names = ("oil",)
    world = World(cases.scene(names), 1)
    observed, controls = cases.experiment(names, 4), cases.controls(world, 4)
    limits = {"oil.viscosity": (0.6, 40.0)}

    def refused(match, controls=controls, observed=observed, limits=limits, **options):
        with pytest.raises(RolloutError, match=match):
            identify(world, controls, observed, limits, **options)

    refused("did you mean 'oil.viscosity'", limits={"oil.viscosty": (1, 2)})
    refused("0.02 m bears at most 83.33", limits={"oil.viscosity": (1.0, 1000.0)})
    refused("must be finite, and increase", limits={"oil.viscosity": (2.0, 1.0)})
    refused(r"'gravity' has 3 numbers; name one, 'gravity\[0\]' to 'gravity\[2\]'", limits={"gravity": (1.0, 2.0)})
    refused(r"'gravity\[3\]': there are 'gravity\[0\]' to 'gravity\[2\]'", limits={"gravity[3]": (1.0, 2.0)})
    refused(r"'oil.viscosity' is one number; leave out \[0\]", limits={"oil.viscosity[0]": (1.0, 2.0)})
    refused("at least one", limits={})
    refused("within its limits 0.6 .. 40", initial={"oil.viscosity": 50.0})
    refused("which is not sought", initial={"oil.density": 900.0})
    refused("2 guesses", initial={"oil.viscosity": [1.0, 2.0]})
    refused("3 controls", controls=controls[:3])
    refused("must increase within", observed=Observed(observed.values, np.array([4, 2])))
    refused("no observable quantity 'colour'", observed=Observed({"colour": np.zeros((2, 1))}, observed.steps))
    refused("put NaN where nothing was seen", observed=Observed({"x": np.zeros((2, 5, 3))}, observed.steps))
    hidden = np.full_like(observed.values["x"], np.nan)
    refused("no finite number", observed=Observed({"x": hidden}, observed.steps))
    with pytest.raises(RolloutError, match="use 'gradient' or 'cma'"):
        IdentifyConfig(method="newton")
    with pytest.raises(RolloutError, match="iterations = 0"):
        IdentifyConfig(iterations=0)


NAMES = ("gel", "oil", "paste", "sand")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_all_four_at_once(seed):
    # E, eta, tau_y and friction angle of four materials in one rollout, each off by a factor of 2 to 3
    result, history = cases.find(NAMES, 25, seed)
    spent = cases.cost(history)
    print(f"\nmeasured 2 % after {spent[0]} iterations, {spent[1]} rollouts; {result.values}")
    assert result.code is Code.CONVERGED
    assert spent[0] <= 100 and cases.close(result.values)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paste", "sand"])
@pytest.mark.parametrize("seed", [0, 1])
def test_one_plastic_material(name, seed):
    result, history = cases.find((name,), 25, seed)
    assert cases.cost(history)[0] <= 100 and cases.close(result.values)


@pytest.mark.slow
def test_all_four_at_once_from_noisy_observations():
    # 1 mm on a fifth of the particles, 0.2 N on the force
    result, _history = cases.find(NAMES, 25, 0, noise=100)
    print(f"\nmeasured {result.values}, {result.deviations}")
    assert cases.close(result.values)
    assert result.deviations["x"] == pytest.approx(cases.NOISE["x"], rel=0.05)


@pytest.mark.slow
def test_ten_times_fewer_rollouts_than_cma():
    ours, theirs = (cases.cost(cases.find(NAMES, 25, 0, method)[1]) for method in ("gradient", "cma"))
    print(f"\nmeasured {ours[1]} rollouts, CMA-ES {theirs[1]}")
    assert theirs[1] >= 10 * ours[1]
