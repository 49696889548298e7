# SPDX-License-Identifier: Apache-2.0
"""The solver that CONTRIBUTING explains: it is one class and one call, and everything else follows from it."""

import importlib.util
import math
from types import ModuleType

import gymnasium as gym
import numpy as np
import pytest
import torch

import simenv  # noqa: F401  registers the tasks
from simenv.geometry import Box, Sphere, fill
from simenv.physics.mpm.materials import Liquid
from simenv.physics.solver import Solver
from simenv.rollouts import Recorder, Recording, replay
from simenv.world import Scene, World
from tests.docs import pages

DT, TICKS, SPEED, DRAG = 1e-3, 8, (2.0, -1.0, 0.5), 0.3


def _wind() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wind", pages.ROOT / "docs" / "examples" / "wind.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wind = _wind()


def blow(made: Scene, *_: object) -> Solver:
    """The wind on all free bodies."""
    free = [row for row, body in enumerate(made.bodies.values()) if body.motion == "free"]
    return wind.Wind(free, SPEED, DRAG)


def windy(made: Scene, *of: object, **named: object) -> World:
    """Worlds in which it blows."""
    made.add_solver(blow)
    return World(made, *of, **named)


def scene() -> Scene:
    """A ball in the air, and another one over some liquid, with a body that stands among them in the table."""
    made = Scene((0.2, 0.2, 0.2), 0.02, DT / 2, TICKS)
    made.add_material("water", Liquid(1000.0, 2.0e4))
    made.add_particles("pool", "water", fill(Box((0.04, 0.04, 0.03)), 0.01) + (0.1, 0.1, 0.05), volume=1e-6)
    made.add_body("ball", Sphere(0.02), 4000.0, (0.1, 0.1, 0.098), motion="free", coupling="contact")
    made.add_body("post", position=(0.03, 0.03, 0.1), motion="fixed")
    made.add_body("light", Sphere(0.02), 4000.0, (0.1, 0.1, 0.17), motion="free", coupling="contact")
    for name in ("ball", "post"):
        made.let_pass(name, "light" if name == "ball" else "ball", "they never meet")
    made.let_pass("post", "light", "it has no shape")
    return made


def test_a_body_moves_as_told_by_its_equation() -> None:
    """The explicit steps of v' = drag (u - v) / m and u' = (U - u) / lag, written again."""
    made = Scene(substep_dt=DT, substeps=TICKS, gravity=(0.0, 0.0, 0.0))
    made.add_body("ball", Sphere(0.02), 2000.0, motion="free", velocity=(0.0, 3.0, 0.0))
    world = windy(made, 2, dtype=torch.float64)
    world.parameters["wind.drag"] = torch.tensor([0.3, 0.0], dtype=torch.float64)
    state, mass = world.initial_state(), 2000.0 * 4.0 / 3.0 * math.pi * 0.02**3
    u, v = np.zeros(3), np.array([0.0, 3.0, 0.0])
    for _ in range(3):
        state = world.step(state, world.zero_control())
        for _ in range(TICKS):
            v, u = v + DT * DRAG * (u - v) / mass, u + DT / wind.LAG * (np.array(SPEED) - u)
    assert np.abs(state.wind_velocity[0].numpy() - u).max() < 1e-14
    assert np.abs(world.bodies["ball"].twist(state)[0, :3].numpy() - v).max() < 1e-13
    assert world.bodies["ball"].twist(state)[1].tolist() == [0.0, 3.0, 0.0, 0.0, 0.0, 0.0]


def test_the_world_has_what_the_solver_declares() -> None:
    world = windy(scene(), 3)
    assert world.fields["wind_velocity"].unit == "m/s"
    assert world.initial_state().wind_velocity.shape == (3, 3)
    assert world.parameters["wind.speed"].tolist() == [list(SPEED)] * 3
    with pytest.raises(ValueError, match=r"'wind\.drag' = -1"):
        world.parameters["wind.drag"] = -1.0
    with pytest.raises(ValueError, match="the state has no wind_velocity, which this world needs"):
        lacking = {name: value for name, value in world.initial_state().items() if name != "wind_velocity"}
        world.step(type(world.initial_state())(lacking), world.zero_control())
    world.parameters["wind.drag"] = torch.tensor([0.3, math.nan, 0.3])
    state = world.step(world.initial_state(), world.zero_control())
    assert [bool(each) for each in state.status] == [False, True, False]  # that world stops alone
    blown = world.initial_state().wind_velocity.clone()
    blown[0] = math.nan
    world.parameters["wind.drag"] = DRAG
    state = world.step(world.initial_state().replace(wind_velocity=blown), world.zero_control())
    assert [bool(each) for each in state.status] == [True, False, False]


def test_a_solver_that_pushes_nothing_changes_no_bit_of_the_others() -> None:
    plain, calm = World(scene(), 2), windy(scene(), 2)
    calm.parameters["wind.drag"] = 0.0
    states = [world.initial_state() for world in (plain, calm)]
    for _ in range(3):
        states = [world.step(state, world.zero_control()) for world, state in zip((plain, calm), states, strict=True)]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    calm.parameters["wind.drag"] = DRAG
    blown = calm.step(states[1], calm.zero_control())
    assert not torch.equal(blown.body_twist, plain.step(states[0], plain.zero_control()).body_twist)


def test_gradients_by_what_it_declares_and_what_it_pushes() -> None:
    """Each agrees with central differences, through liquid and bodies."""
    world = windy(scene(), 1, dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    start = world.step(world.initial_state(), world.zero_control()).detach()
    fields = [name for name, each in world.fields.items() if each.differentiable and start[name].is_floating_point()]
    names = [name for name, each in world.parameters.declared.items() if each.differentiable]
    declared = [*world.solvers["wind"].fields, *world.solvers["wind"].parameters]
    assert len(declared) == 3 and set(declared) <= {*fields, *names}
    numbers = world.parameters.clone()
    weights = {name: torch.randn(start[name].shape, generator=generator, dtype=torch.float64) for name in fields}

    def total(state_of: dict, parameter_of: dict) -> torch.Tensor:
        for name, value in parameter_of.items():
            world.parameters[name] = value
        state = start.replace(**state_of)
        for _ in range(2):
            state = world.step(state, world.zero_control())
        assert not state.status.any()
        return sum((weights[name] * state[name]).sum() for name in fields)

    chosen = [*declared, "body_twist", "ball.mass", "gravity"]
    values = {name: start[name] if name in fields else numbers[name] for name in chosen}

    def result(values: dict) -> torch.Tensor:
        return total(
            {name: value for name, value in values.items() if name in fields},
            {name: value for name, value in values.items() if name in names},
        )

    leaves = {name: value.clone().requires_grad_() for name, value in values.items()}
    result(leaves).backward()
    for name, value in values.items():
        way = torch.randn(value.shape, generator=generator, dtype=torch.float64) * value.abs().clamp(min=1e-2)
        if name == "body_twist":
            way = way * torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)[None, :, None]  # the post stands
        slope, off = float((leaves[name].grad * way).sum()), []
        for width in (1e-4, 1e-5, 1e-6):  # the widest may step over kinks of contact, the narrowest drowns in rounding
            ends = [float(result({**values, name: value + side * way})) for side in (width, -width)]
            off.append(abs(slope - (ends[0] - ends[1]) / (2.0 * width)))
        assert abs(slope) > 1e-6 and min(off) < 1e-5 * abs(slope), (name, slope, off)


def test_recordings_and_replays_have_its_field(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scene, "make_world", windy)
    env = gym.make_vec("SimEnv/BallRoll-v0", num_envs=2, device="cpu", max_episode_steps=3)
    assert "wind" in env.unwrapped.world.solvers
    with Recorder(tmp_path, env) as recorder:
        recorder.reset(seed=0)
        for _ in range(3):
            recorder.step(np.zeros(env.action_space.shape, dtype=np.float32))
    episode = Recording(tmp_path)[0]
    assert episode.states["wind_velocity"].shape[1:] == (3,)
    assert np.abs(episode.states["wind_velocity"][-1]).max() > 0.1
    report = replay(episode)
    assert report.exact
    env.close()


def test_contributing_shows_this_solver() -> None:
    source = (pages.ROOT / "docs" / "examples" / "wind.py").read_text(encoding="utf-8")
    text = (pages.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (shown,) = [block.text for block in pages.blocks("CONTRIBUTING.md", text) if "class Wind(Solver)" in block.text]
    assert shown[shown.index("class Wind(Solver)") :] == source[source.index("class Wind(Solver)") :]
