# SPDX-License-Identifier: Apache-2.0
"""The number of substeps as each world's own choice: what is chosen, what a step then computes, and what it cannot."""

import numpy as np
import pytest
import torch

import simenv
from simenv import _threads
from simenv.geometry.shapes import Box
from simenv.physics import status
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.world import Scene, World
from tests.gradients.scenes import Problem, central_differences, direction, plateau, press_scene
from tests.verification.worlds import lattice

DX, DT, SUBSTEPS, MOST = 0.02, 4.0e-4, 8, 64
DENSITY, YOUNG, G = 1000.0, 3.3e5, 9.81  # sound travels at 20 m/s, 0.4 cells in a substep


def bar_scene(substeps=SUBSTEPS, dt=DT, most=MOST, gravity=0.0, material=None):
    """A free elastic bar of 0.16 m in a wide box, which swings along its length."""
    scene = Scene((0.4, 0.16, 0.4), DX, dt, substeps, gravity=(0.0, 0.0, -gravity), max_substeps=most)
    scene.add_material("m", material or Elastic(DENSITY, YOUNG, 0.25))
    points = lattice((0.12, 0.06, 0.3), (0.28, 0.10, 0.34), DX / 2)
    speed = np.zeros_like(points)
    speed[:, 0] = 0.3 * np.cos(np.pi * (points[:, 0] - 0.12) / 0.16)
    scene.add_particles("p", "m", points, (DX / 2) ** 3, 0.0 * speed if gravity else speed)
    return scene


def run(world, steps, state=None):
    state = state or world.initial_state()
    history = [state]
    with torch.no_grad():
        for _ in range(steps):
            history.append(world.step(history[-1], world.zero_control()))
    return history


def courant_count(young, speed):
    """The rule of Pace's docstring, in NumPy."""
    c = np.sqrt(young * 0.75 / (1.25 * 0.5) / DENSITY)  # (1 - nu) / ((1 + nu) (1 - 2 nu)) at nu = 1/4
    need = (c + speed) * DT * SUBSTEPS / (0.5 * DX)
    return int(SUBSTEPS * 2 ** max(0, np.ceil(np.log2(need / SUBSTEPS))))


def test_free_fall_ends_at_the_same_time_whatever_the_stiffness():
    world = World(bar_scene(gravity=G), 4, dtype=torch.float64)
    young = YOUNG * torch.tensor([1.0, 5.0, 14.0, 50.0], dtype=torch.float64)
    world.parameters["m.youngs_modulus"] = young
    history = run(world, 30)
    T, expected, v = world.dt, np.zeros(4), 0.0
    for index, state in enumerate(history[1:]):
        counts = [courant_count(E, v + G * T) for E in young.tolist()]
        assert state.substeps.tolist() == counts, index
        # symplectic Euler with n substeps falls by v T + g T^2 (1 + 1 / n) / 2 in a control step
        expected += v * T + 0.5 * G * T**2 * (1 + 1 / np.array(counts))
        v += G * T
    assert len(set(history[-1].substeps.tolist())) == 4
    end = history[-1]
    assert (end.status == 0).all()
    assert torch.equal(end.time, torch.full_like(end.time, sum([T] * 30)))
    fall = (history[0].x - end.x)[..., 2].numpy()
    assert np.abs(fall - expected[:, None]).max() < 1e-10
    assert np.abs(end.v[..., 2].numpy() + v).max() < 1e-10


def test_a_stiff_bar_swings_as_a_soft_one_in_shorter_time():
    # With E 4^k times as large and speeds 2^k as large everything happens 2^k times as fast, in substeps that are 2^k
    # times as short: powers of two, so that every product is exact and the bars are equal bit for bit.
    world = World(bar_scene(), 4)
    factor = torch.tensor([1.0, 2.0, 4.0, 8.0])
    world.parameters["m.youngs_modulus"] = YOUNG * factor**2
    start = world.initial_state()
    history = run(world, 16, start.replace(v=start.v * factor[:, None, None]))
    for step in (1, 2):
        for index, times in enumerate((1, 2, 4, 8)):
            assert history[step].substeps[index] == SUBSTEPS * times
            same = history[step * times]
            assert torch.equal(history[step].x[index], same.x[0]), (step, times)
            assert torch.equal(history[step].F[index], same.F[0]), (step, times)
    stretch = torch.stack([state.F[0, :, 0, 0].amax() - 1 for state in history[1:]])
    assert stretch.max() > 0.01  # of about u / c = 0.015: it is no rigid motion
    assert (history[-1].status == 0).all()


def test_a_fixed_substep_fails_where_the_choice_does_not(monkeypatch):
    stiff, results = torch.full((1,), 50 * YOUNG), []
    for name, most in (("unheeded", None), ("fixed", None), ("chosen", MOST)):
        world = World(bar_scene(most=most), 1)
        world.parameters["m.youngs_modulus"] = stiff
        with monkeypatch.context() as patch:
            if name == "unheeded":  # what a step without the limit would do
                patch.setattr(world.parameters, "_limits", ())
            results.append(run(world, 100)[-1])
    unheeded, fixed, chosen = results
    assert unheeded.status[0] & (status.TOO_FAST | status.INVERTED | status.NONFINITE)
    assert fixed.status[0] == status.TOO_STIFF
    assert chosen.status[0] == 0 and chosen.substeps[0] == 64
    assert "substeps" not in fixed
    assert 0.003 < float(chosen.v.abs().max()) < 0.3  # after 140 periods the swing goes on, and has not grown


def test_speed_and_viscosity_count_too():
    world = World(bar_scene(material=Liquid(DENSITY, 2.0e4, 0.1)), 3)
    world.parameters["m.viscosity"] = torch.tensor([0.1, 0.1, 800.0])
    start = world.initial_state()
    v = start.v.clone()
    v[1] += torch.tensor([0.0, 0.0, -30.0])
    state = run(world, 1, start.replace(v=v))[-1]
    c, T = np.sqrt(20.0), world.dt
    speed = float(v[1].norm(dim=-1).max())
    expected = [(c + 0.3) * T / (0.5 * DX), (c + speed) * T / (0.5 * DX), 0.8 * T * 6 / DX**2]
    counts = [SUBSTEPS * 2 ** max(0, int(np.ceil(np.log2(need / SUBSTEPS)))) for need in expected]
    assert state.substeps.tolist() == counts == [8, 16, 64]
    assert (state.status == 0).all()


def test_a_turning_tool_counts_with_its_arm():
    """A box at a distance from its body's origin: |v| + |omega| (|offset| + |corner|), times the scale, bounds it."""
    half, offset = (0.003, 0.004, 0.012), (0.03, 0.04, 0.12)  # corner at 13 mm, offset of 130 mm
    scene = bar_scene()
    scene.add_body("hand", position=(0.1, 0.08, 0.1))
    scene.add_collider("tool", Box(half), "hand", position=offset)
    scene.add_collider("foot", Box(half), position=(0.3, 0.1, 0.05))  # stands still
    world = World(scene, 5)
    c, T = np.sqrt(YOUNG * 0.75 / (1.25 * 0.5) / DENSITY), world.dt
    wanted = np.array([9, 15, 17, 31, 33])  # least number of substeps, on both sides of a choice
    speed = wanted * 0.5 * DX / T - c
    twist = torch.zeros(5, 1, 6)
    omega = (speed - 2.0) / (0.130 + 2.0 * 0.013)
    twist[:, 0, :3] = torch.tensor([0.0, 1.2, 1.6])
    twist[:, 0, 3:] = torch.as_tensor(omega)[:, None] * torch.tensor([2.0, -1.0, 2.0]) / 3.0
    world.parameters["tool.scale"] = torch.full((5,), 2.0)
    start = world.initial_state()
    choice, count = world.particles.pace.choose(world.parameters, 0.0 * start.v, start.active, twist)
    assert count.tolist() == [16, 16, 32, 32, 64]
    assert choice.tolist() == [1, 1, 2, 2, 3]
    for factor in (0.98, 1.02):  # a hair less and more is another choice, so that no term can be missing
        _, other = world.particles.pace.choose(world.parameters, 0.0 * start.v, start.active, factor * twist)
        need = (c + factor * speed) * T / (0.5 * DX)
        assert other.tolist() == [SUBSTEPS * 2 ** max(0, int(np.ceil(np.log2(n / SUBSTEPS)))) for n in need]


def press(most, dt=4.0e-4, substeps=5):
    scene = press_scene("corotated", substeps)
    scene.substep_dt, scene.max_substeps = dt, most
    return scene


@pytest.mark.parametrize("power", [0, 1, 2])
def test_equals_a_fixed_substep_of_the_same_length_bit_for_bit(power):
    young = {0: 4.0e4, 1: 9.0e5, 2: 3.6e6}[power]
    fixed = Problem(press(None, 4.0e-4 / 2**power, 5 * 2**power), dtype=torch.float32, steps=4)
    chosen = Problem(press(20), dtype=torch.float32, steps=4)
    results = []
    for problem in (fixed, chosen):
        problem.leaves["a.youngs_modulus"].fill_(young)
        grads = problem.gradients()
        results.append((problem.last, grads))
    assert results[1][0].substeps.tolist() == [5 * 2**power]
    for name, value in results[0][0].items():
        assert torch.equal(value, results[1][0][name]), name
    for name, value in results[0][1].items():
        if name in (
            "twist",
            "body_q",
        ):  # torch sums them over the substeps, in an order that depends on how many there can be
            torch.testing.assert_close(value, results[1][1][name], rtol=1e-5, atol=1e-6 * float(value.abs().max()))
        else:
            assert torch.equal(value, results[1][1][name]), f"gradient of {name}"


def test_gradients_are_exact_for_the_choice():
    def problem(worlds):
        made = Problem(press(20), worlds, steps=6)
        made.leaves["a.youngs_modulus"].fill_(9.0e5)
        return made

    names = ("twist", "v", "a.youngs_modulus", "a.density")
    one = problem(1)
    grads = one.gradients()
    assert one.last.substeps.tolist() == [10]
    slopes = central_differences(problem, names, seed=5)
    for name in names:
        exact = float((grads[name][0] * direction(name, one.leaves[name][0], 5)).sum())
        assert exact == pytest.approx(plateau(slopes[name]), rel=1e-5), name


@pytest.mark.parametrize("threads", [1, 2])
def test_a_world_chooses_as_if_it_were_alone(monkeypatch, threads):
    monkeypatch.setattr(_threads, "_num_threads", None)
    simenv.set_num_threads(threads)
    young = YOUNG * torch.tensor([1.0, 50.0, 5.0, 60.0, 14.0])
    world = World(bar_scene(), 5)
    world.parameters["m.youngs_modulus"] = young
    together = run(world, 5)[-1]
    assert len(set(together.substeps.tolist())) == 4
    for index in range(5):
        one = World(bar_scene(), 1)
        one.parameters["m.youngs_modulus"] = young[index : index + 1]
        for name, value in run(one, 5)[-1].items():
            assert torch.equal(value[0], together[name][index]), name


def test_a_world_that_is_too_stiff_stops_with_a_remedy():
    world = World(bar_scene(), 2)
    world.parameters["m.youngs_modulus"] = torch.tensor([YOUNG, 1e4 * YOUNG])
    state = run(world, 2)[-1]
    assert state.status.tolist() == [0, status.TOO_STIFF]
    assert torch.equal(state.x[1], world.initial_state().x[1])
    assert "raise max_substeps" in status.describe(int(state.status[1]))


def test_a_wrong_maximum_is_named():
    with pytest.raises(ValueError, match=r"max_substeps = 24 is not substeps = 8 times a power of two; use one of 16"):
        bar_scene(most=24)
    with pytest.raises(ValueError, match=r"max_substeps = 4 is not substeps = 8"):
        bar_scene(most=4)
