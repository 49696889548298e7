# SPDX-License-Identifier: Apache-2.0
"""Limits of the substep on parameters that are set while a world runs: as at building, and where they really are."""

import re

import gymnasium as gym
import numpy as np
import pytest
import torch

import simenv.physics.limits as limits
from simenv.geometry.shapes import Box, Plane, Sphere
from simenv.physics import status
from simenv.physics.bodies.model import Gripper
from simenv.physics.mpm.materials import Bingham, Elastic, ElastoPlastic, HerschelBulkley, Liquid, Sand, Snow
from simenv.sensors.tactile import ElasticLayerGel, WinklerGel, flat_grid
from simenv.world import ContactLaw, Control, Scene, World
from tests.gradients.scenes import block

DX, DT, BAD = 0.02, 4.0e-4, 1
SOUND = 0.5 * DX / DT  # [m/s] at which it crosses half a cell in a substep
DOUBLE = torch.float64


def lame(young, nu):
    return young * (1 - nu) / ((1 + nu) * (1 - 2 * nu))  # P-wave modulus [Pa]


# material, parameter, its limit in closed form: modulus = density c^2 at c = `SOUND`, viscosity = density dx^2 / (6 dt)
RHO = 1000.0
CASES = {
    "bulk modulus": (Liquid(RHO, 2e4), "bulk_modulus", RHO * SOUND**2),
    "viscosity": (Liquid(RHO, 2e4, 1.0), "viscosity", RHO * DX**2 / (6 * DT)),
    "density": (Liquid(RHO, 2e4), "density", 2e4 / SOUND**2),
    "density of a viscous liquid": (Liquid(RHO, 1.0, 2.0), "density", 2.0 * 6 * DT / DX**2),
    "young": (Elastic(RHO, 4e4, 0.3), "youngs_modulus", RHO * SOUND**2 / lame(1.0, 0.3)),
    "neo-hookean": (Elastic(RHO, 4e4, 0.2, "neo_hookean"), "youngs_modulus", RHO * SOUND**2 / lame(1.0, 0.2)),
    "young of a plastic": (ElastoPlastic(RHO, 4e4, 0.3, 1e3), "youngs_modulus", RHO * SOUND**2 / lame(1.0, 0.3)),
    "shear modulus": (HerschelBulkley(RHO, 4e4, 30.0, 0.4, 50.0), "shear_modulus", 0.75 * (RHO * SOUND**2 - 4e4)),
    "bulk modulus of a bingham": (Bingham(RHO, 4e4, 2.0, 9.0, 3e4), "bulk_modulus", RHO * SOUND**2 - 4e4),
    "sand": (Sand(RHO, 4e4, 0.3, 0.5), "youngs_modulus", RHO * SOUND**2 / lame(1.0, 0.3)),
    "hardening": (Snow(RHO, 1e4, 0.2, hardening_limit=2.0), "hardening_limit", RHO * SOUND**2 / lame(1e4, 0.2)),
}  # fmt: skip


def scene(material, most=None):
    made = Scene((0.16, 0.16, 0.16), DX, DT, 4, max_substeps=most)
    made.add_material("m", material)
    made.add_particles("p", "m", block((0.04, 0.04, 0.02), (3, 3, 3)), (DX / 2) ** 3)
    return made


# with 16 substeps instead of 4 sound may be four times as fast, and viscosity four times as large
CHOICES = [(case, None) for case in CASES] + [(case, 16) for case in ("bulk modulus", "viscosity", "density", "sand")]


@pytest.mark.parametrize(("case", "most"), CHOICES)
def test_a_number_is_refused_beyond_the_limit_and_taken_before_it(case, most):
    material, field, limit = CASES[case]
    if most:
        limit *= {"density": 1 / 16, "viscosity": 4}.get(field, 16)
    world, name = World(scene(material, most), 2), f"m.{field}"
    inside, outside = (1.002, 0.998) if field == "density" else (0.998, 1.002)
    world.parameters[name] = inside * limit
    before = world.parameters[name]
    for value in (outside * limit, np.float32(outside * limit), [inside * limit, outside * limit]):
        with pytest.raises(ValueError, match=re.escape(f"parameter {name!r} = ")) as error:
            world.parameters[name] = value
        assert world.parameters[name] is before
        told = float(re.search(r"bears at (?:most|least) ([0-9.e+-]+),", str(error.value)).group(1))
        assert told == pytest.approx(limit, rel=1e-3)
        assert "shorten the substep" in str(error.value) and "dx" in str(error.value)


@pytest.mark.parametrize("case", ["bulk modulus", "viscosity", "young"])
def test_a_tensor_stops_its_world_alone(case):
    material, field, limit = CASES[case]
    world = World(scene(material), 3)
    world.parameters[f"m.{field}"] = limit * torch.tensor([0.5, 1.002, 0.998])
    start = world.initial_state()
    state = world.step(start, world.zero_control())
    bit = status.TOO_VISCOUS if field == "viscosity" else status.TOO_STIFF
    assert state.status.tolist() == [0, bit, 0]
    assert torch.equal(state.x[BAD], start.x[BAD]) and not torch.equal(state.x[0], start.x[0])
    said = world.parameters.explain(bit, BAD)
    assert said.startswith(status.describe(bit))
    assert f"parameter 'm.{field}' = {1.002 * limit:.4g}"[:24] in said and f"{limit:.4g}" in said
    assert f"m.{field}" not in world.parameters.explain(bit, 0)


def test_an_explanation_names_a_parameter_out_of_range():
    world = World(scene(Liquid(RHO, 2e4)), 2)
    world.parameters["m.density"] = torch.tensor([1000.0, -3.0])
    state = world.step(world.initial_state(), world.zero_control())
    assert "parameter 'm.density' = -3.0 must lie between 0.0 and inf" in world.parameters.explain(
        int(state.status[1]), 1
    )


def test_the_courant_number_is_half():
    """5 % below is taken, 10 % above it is not, so that 0.6 would be seen as well as 0.4."""
    assert limits.COURANT == 0.5 and limits.DIFFUSION == pytest.approx(1 / 6)
    for factor, good in ((0.95, True), (1.1, False)):
        made = Scene((0.16, 0.16, 0.16), DX, DT, 4)
        modulus = RHO * (factor * SOUND) ** 2
        if good:
            made.add_material("m", Liquid(RHO, modulus))
        else:
            with pytest.raises(ValueError, match=r"sound travels 0\.55 cells"):
                made.add_material("m", Liquid(RHO, modulus))


# ------------------------------------------------------------------------------------------------ edits in place


def numpy_edit(tensor):
    tensor.numpy()[:] *= 2.0


def data_edit(tensor):
    tensor.data[:] *= 2.0


def dlpack_edit(tensor):
    torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(tensor))[:] *= 2.0


def whole_data_edit(tensor):
    tensor.data = 2.0 * tensor.data


EDITS = {"numpy": numpy_edit, "data": data_edit, "dlpack": dlpack_edit, "all data": whole_data_edit}


@pytest.mark.parametrize("edit", EDITS)
def test_edits_of_a_parameter_are_seen_however_they_are_made(edit):
    def falls(change):
        world = World(scene(Liquid(RHO, 2e4)), 1, dtype=DOUBLE)
        start = world.step(world.initial_state(), world.zero_control())  # what is kept between steps is kept now
        change(world)
        return world.step(start, world.zero_control())

    expected = falls(lambda world: world.parameters.update(gravity=torch.tensor([0.0, 0.0, -2 * 9.81], dtype=DOUBLE)))
    plain = falls(lambda world: None)
    seen = falls(lambda world: EDITS[edit](world.parameters["gravity"]))
    assert torch.equal(seen.v, expected.v) and not torch.equal(seen.v, plain.v)


def test_edits_of_a_state_are_seen():
    world = World(scene(Liquid(RHO, 2e4)), 1, dtype=DOUBLE)
    start = world.step(world.initial_state(), world.zero_control())
    moved = world.step(start.replace(v=start.v + 0.5), world.zero_control())
    start.v.numpy()[:] += 0.5
    assert torch.equal(world.step(start, world.zero_control()).x, moved.x)


# --------------------------------------------------------------------------------------------------- bodies in touch

MASS, INERTIA, SUBSTEP = 2.0, 0.02, 1e-3


def hand_scene(gains=(600.0, 50.0, 50.0, 1.41)):
    made = Scene(substep_dt=SUBSTEP, substeps=4)
    made.add_body("hand", position=(0.0, 0.0, 0.1), motion="hand", mass=MASS, inertia=INERTIA, gains=gains)
    return made


# k dt^2 / m + 2 c dt / m = 4
HANDS = {
    "stiffness": (4 * MASS - 2 * 50.0 * SUBSTEP) / SUBSTEP**2,
    "turning_stiffness": (4 * INERTIA - 2 * 1.41 * SUBSTEP) / SUBSTEP**2,
    "damping": (4 * MASS / SUBSTEP - 600.0 * SUBSTEP) / 2,
    "turning_damping": (4 * INERTIA / SUBSTEP - 50.0 * SUBSTEP) / 2,
    "mass": 50.0 * SUBSTEP**2 * MASS / (4 * INERTIA) + 2 * 1.41 * SUBSTEP * MASS / (4 * INERTIA),
}


@pytest.mark.parametrize("field", HANDS)
def test_an_impedance_is_refused_beyond_its_limit(field):
    world, limit = hand_scene().make_world(2, dtype=DOUBLE), HANDS[field]
    inside, outside = (1.001, 0.999) if field == "mass" else (0.999, 1.001)
    world.parameters[f"hand.{field}"] = inside * limit
    with pytest.raises(
        ValueError, match=rf"parameter 'hand.{field}' = .*bears at .*impedance of 'hand'.*raise the mass"
    ):
        world.parameters[f"hand.{field}"] = outside * limit
    world.parameters[f"hand.{field}"] = torch.tensor([inside * limit, outside * limit], dtype=DOUBLE)
    state = world.initial_state()
    after = world.step(state, world.zero_control(state))
    assert after.status.tolist() == [0, status.STIFF_SPRING]
    assert f"hand.{field}" in world.parameters.explain(status.STIFF_SPRING, 1)


def test_a_scene_with_too_stiff_an_impedance_is_not_built():
    for index, field in enumerate(("stiffness", "turning_stiffness", "damping", "turning_damping")):
        gains = [600.0, 50.0, 50.0, 1.41]
        gains[index] = 1.001 * HANDS[field]
        with pytest.raises(ValueError, match="impedance of 'hand'"):
            hand_scene(tuple(gains)).make_world(1)


@pytest.mark.parametrize(("factor", "grows"), [(0.99, False), (1.01, True)])
def test_the_limit_is_where_motion_grows(monkeypatch, factor, grows):
    """Half a percent about the limit decides whether 1 mm grows or fades in 400 substeps."""
    world = hand_scene().make_world(1, dtype=DOUBLE)
    monkeypatch.setattr(world.parameters, "_limits", ())
    world.parameters["hand.stiffness"] = factor * HANDS["stiffness"]
    state = world.initial_state()
    goal = world.zero_control(state).goal.clone()
    goal[..., 0] += 1e-6
    for _ in range(100):
        state = world.step(state, Control(goal=goal))
    away = abs(float(state.body_q[0, 0, 0] - goal[0, 0, 0]))
    assert away > 1e-3 if grows else away < 1e-7


BALL, DENSITY = 0.015, 2500.0


def pressed(gel, depth=1e-4, substep=SUBSTEP, lead=1e-3, n=16):
    made = Scene(substep_dt=substep, substeps=3, lead=lead)
    made.add_body("table", Plane(), motion="fixed")
    made.add_body("ball", Sphere(BALL), DENSITY, (0.0, 0.0, BALL), motion="free")
    made.add_points("ball", "table", np.zeros((1, 3)), BALL)
    place = (0.0, 0.0, 2 * BALL - depth)
    made.add_body("pad", position=place, quaternion=(1.0, 0.0, 0.0, 0.0), motion="hand", mass=1.0)
    made.let_pass("pad", "table", "the ball is between them")
    made.add_gel("gel", "pad", "ball", flat_grid(n, n, 0.016, 0.016), gel)
    return made


def test_a_gel_is_refused_whose_single_taxel_is_too_stiff():
    """k = k_n a of one taxel and c = k lead, between the pad of 1 kg and the ball; 4 m / (a dt (dt + 2 lead))."""
    mass = DENSITY * 4 / 3 * np.pi * BALL**3
    ease = 1.0 / mass + 1.0
    limit = 4.0 / (1e-6 * SUBSTEP * (SUBSTEP + 2e-3) * ease)
    world = pressed(WinklerGel(1e8, 5e6, 0.8)).make_world(1)
    world.parameters["gel.k_n"] = 0.999 * limit
    with pytest.raises(ValueError, match=r"'gel.k_n' = .*bears at most.*'gel' between 'pad' and 'ball'"):
        world.parameters["gel.k_n"] = 1.001 * limit
    with pytest.raises(ValueError, match=r"'gel.k_n'"):
        pressed(WinklerGel(1.001 * limit, 5e6, 0.8)).make_world(1)
    # along the surface a ball turns too: r^2 / I = 2.5 / m
    side = 4.0 / (1e-6 * SUBSTEP * (SUBSTEP + 2e-3) * (ease + 2.5 / mass))
    world.parameters["gel.k_t"] = 0.999 * side
    with pytest.raises(ValueError, match=r"'gel.k_t' = .*bears at most"):
        world.parameters["gel.k_t"] = 1.001 * side


def test_a_gel_that_is_too_stiff_where_it_touches_stops_its_world_alone():
    """A ball 0.1 mm deep touches taxels within sqrt(2 R d) = 1.73 mm: of a grid of 1 mm the 12 about its middle."""
    mass = DENSITY * 4 / 3 * np.pi * BALL**3
    limit = 4.0 / (12e-6 * SUBSTEP * (SUBSTEP + 2e-3) * (1.0 / mass + 1.0))
    world = pressed(WinklerGel(1e8, 5e6, 0.8)).make_world(3, dtype=DOUBLE)
    state = world.initial_state()
    assert (state.depth > 0).sum(1).tolist() == [12, 12, 12]
    world.parameters["gel.k_n"] = limit * torch.tensor([0.5, 1.001, 0.999], dtype=DOUBLE)
    state = world.touch_anew(state)
    after = world.step(state, world.zero_control(state))
    assert after.status.tolist() == [0, status.STIFF_SPRING, 0]
    assert torch.equal(after.body_q[BAD], state.body_q[BAD])


@pytest.mark.parametrize(("factor", "grows"), [(0.99, False), (1.01, True)])
def test_fingers_lighter_than_their_gel_bears_are_refused(factor, grows):
    """Where their motion grows: half of the gel's force on each finger, whose damping is implicit, in 1000 substeps."""
    lead, mass, damping, area = 1e-3, 0.05, 4.0, 4e-6
    limit = 4.0 * (2 * mass + damping * SUBSTEP) / (area * (SUBSTEP**2 + 2 * lead * SUBSTEP))
    place, speed = 1e-6, 0.0
    for _ in range(1000):
        push = -0.5 * factor * limit * area * (place + lead * speed)
        speed = (speed + SUBSTEP / mass * push) / (1.0 + SUBSTEP * damping / mass)
        place += SUBSTEP * speed
    assert (abs(place) > 1e-4) if grows else (abs(place) < 1e-8)

    made = Scene(substep_dt=SUBSTEP, substeps=3, lead=lead, gripper=Gripper(mass, damping))
    made.add_body("block", Box((0.05, 0.05, 0.02)), motion="fixed")
    pose = {"position": (0.0, 0.0, 0.0205), "quaternion": (1.0, 0.0, 0.0, 0.0)}
    made.add_body("hand", **pose, motion="hand", mass=1e6, inertia=1e4)
    gel = WinklerGel(factor * limit, 1e3, 0.0)
    made.add_gel("gel", "hand", "block", flat_grid(2, 2, 0.004, 0.004), gel, slide=(0.0, 0.0, -1.0))
    if grows:
        with pytest.raises(ValueError, match=r"'gel.k_n' = .*fingers of the gripper"):
            made.make_world(1)
    else:
        made.make_world(1)


def test_an_elastic_gel_has_the_stiffness_of_a_punch_on_a_half_space():
    """2 E / (1 - nu^2) a, a the radius of a disc as large as a taxel, and 2 (1 - nu) / (2 - nu) of it along the
    surface, where a ball turns too, and the limit is therefore lower.
    """
    mass = DENSITY * 4 / 3 * np.pi * BALL**3
    stiffness = 4.0 / (SUBSTEP * (SUBSTEP + 2e-3) * (3.5 / mass + 1.0))
    limit = stiffness * (1 - 0.45**2) / (2 * np.sqrt(4e-6 / np.pi)) * (2 - 0.45) / (2 * (1 - 0.45))
    world = pressed(ElasticLayerGel(1e5, 0.8, 0.45, 3e-3), n=8).make_world(1)
    world.parameters["gel.modulus"] = 0.999 * limit
    with pytest.raises(ValueError, match=r"'gel.modulus' = .*bears at most"):
        world.parameters["gel.modulus"] = 1.001 * limit


def test_contact_points_with_too_small_a_share_are_refused():
    def build(share):
        made = Scene(substep_dt=SUBSTEP, substeps=3, contact=ContactLaw(stiffness=1e9))
        made.add_body("table", Plane(), motion="fixed")
        made.add_body("ball", Sphere(BALL), DENSITY, (0.0, 0.0, BALL), motion="free")
        made.add_points("ball", "table", np.zeros((1, 3)), BALL, share=share)
        return made.make_world(1)

    build(0.76)  # stiff contact is implicit: 3 / share < 4
    with pytest.raises(ValueError, match="points of 'ball' on 'table'"):
        build(0.74)


def test_an_environment_tells_which_parameter_ended_an_episode():
    """However it came there: a tensor assigned, or a state that was restored."""
    env = gym.make("SimEnv/Pouring-v0").unwrapped
    env.reset(seed=0)
    viscosity = env.parameters["liquid.viscosity"]
    before, action = env.get_state(), np.zeros(env.action_space.shape, np.float32)
    env.parameters["liquid.viscosity"] = torch.full_like(viscosity, 1e4)
    spoilt = env.get_state()
    for state in (None, spoilt):
        if state is not None:
            env.set_state(state)
        _, _, terminated, _, info = env.step(action)
        assert terminated and info["sim_status"] == status.TOO_VISCOUS
        for part in ("'liquid.viscosity' = 10000; a substep of", "bears at most", "shorten the substep"):
            assert part in info["sim_status_message"]
        env.set_state(before)
    assert env.step(action)[4]["sim_status"] == 0
    with pytest.raises(ValueError, match=r"'liquid.viscosity' = 10000"):
        env.parameters["liquid.viscosity"] = 1e4
    env.close()
