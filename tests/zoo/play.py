# SPDX-License-Identifier: Apache-2.0
"""Runs worlds of the zoo: what each starts from and is told depends on its seed alone, never on its neighbours."""

from __future__ import annotations

import functools
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence

import torch

from simenv.errors import UnpairedBodiesWarning
from simenv.physics.mpm.materials import Sand
from simenv.world import Control, Scene, State, World
from tests.zoo.scenes import DX, ZOO

DOUBLE = torch.float64
STEPS = 2  # control steps of a run
WARM = 1  # before it, so that nothing is at rest
Leaves = dict[str, torch.Tensor]

# a large change of a field, by its name or its unit; of a pose 3 of position and 4 of quaternion
BY_NAME = {
    "x": 0.5 * DX, "F": 0.1, "J": 0.1, "grip": (1e-4, 1e-3), "stick": 1e-5, "held": 1e-5, "anchor": 1e-6,
    "gel_offset": 1e-5, "joint_past": 0.01, "gas_scalar": 0.1,
    "owed": (1e-3,) * 3 + (1e-5,) * 3,
}  # fmt: skip
BY_UNIT = {
    "m": 1e-3, "m/s": 0.1, "1/s": 10.0, "1": 1e-3, "m, 1": (1e-4,) * 3 + (1e-3,) * 4,
    "m/s, rad/s": (0.1,) * 3 + (1.0,) * 3, "N": 1.0, "rad or m": 1e-3, "rad/s or m/s": 0.1,
    "N s, N m s": (1e-3,) * 3 + (1e-4,) * 3,
}  # fmt: skip
CONTROLS = {"twist": BY_UNIT["m/s, rad/s"], "goal": (1e-3,) * 3 + (1e-2,) * 4, "effort": 1.0}
CONTROLS |= {"joint_target": 1e-2, "joint_rate": 0.1, "joint_torque": 0.1, "tool_goal": CONTROLS["goal"]}
CONTROLS |= {"gas_drive": 0.5, "gas_feed": 0.5}


def seeded(name: str, seed: int) -> torch.Generator:
    """Random numbers for a name and a world's seed."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()) + seed)


def normal(name: str, seeds: Sequence[int], shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """(N, *shape) normal numbers, a row for each seed."""
    rows = [torch.randn(tuple(shape), generator=seeded(name, seed), dtype=DOUBLE) for seed in seeds]
    return torch.stack(rows).to(like)


def make(scene: Scene, worlds: int, dtype: torch.dtype = DOUBLE) -> World:
    """A world, whatever it says of bodies that nothing pairs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnpairedBodiesWarning)
        return World(scene, worlds, dtype=dtype)


@functools.cache
def world(name: str, worlds: int, dtype: torch.dtype = DOUBLE) -> World:
    """Worlds of the zoo, made once; `run` leaves their parameters as it found them."""
    return make(ZOO[name].scene(), worlds, dtype)


def scale_of(world: World, name: str, tensor: torch.Tensor) -> torch.Tensor | float:
    """What counts as a large change of a leaf, such as ``"state.x"``."""
    kind, _, rest = name.partition(".")
    if kind == "parameter":
        return torch.where(tensor == 0, torch.ones_like(tensor), tensor)
    known = CONTROLS[rest] if kind == "control" else BY_NAME.get(rest) or BY_UNIT[world.fields[rest].unit]
    return tensor.new_tensor(known)


def moved(world: World) -> list[int]:
    """Rows of the bodies that move by themselves, but for links, which follow their joints."""
    free, views = world.scene.touching, world.bodies.items()
    return [v.index for n, v in views if not (v.spec.is_told or (v.spec.motion == "link" and n not in free))]


def entering_fields(world: World) -> list[str]:
    """Fields with numbers that a step starts from."""
    solvers = [world.frames, *(solver for solver in [world.particles, *world.solvers.values()] if solver is not None)]
    declared = {name: field for solver in solvers for name, field in solver.fields.items()}
    known = [name for name in world.fields if name in declared and declared[name].differentiable]
    start = world.initial_state()
    return [name for name in known if start[name].numel()]


def base(world: World, seeds: Sequence[int]) -> State:
    """The state that a run starts from: a little beside the scene as built, so that no two worlds are alike."""
    state, changes = world.initial_state(), {}
    for name in ("x", "v"):
        if name in state:
            size = {"x": 2e-4, "v": 2e-2}[name]
            changes[name] = state[name] + size * normal(name, seeds, state[name].shape[1:], state[name])
    for name in ("gas_u", "gas_v", "gas_w"):
        if name in state:
            changes[name] = state[name] + 0.3 * normal(name, seeds, state[name].shape[1:], state[name])
    rows = moved(world)
    if rows:
        twist = state.body_twist.clone()
        size = twist.new_tensor([0.01] * 3 + [0.05] * 3)
        twist[:, rows] += size * normal("twist", seeds, (len(rows), 6), twist)
        changes["body_twist"] = twist
    if "grip" in state:
        changes["grip"] = state.grip + state.grip.new_tensor([0.0078, 0.0])
    if "F" in state:
        F = state.F.clone()
        for name, group in world.scene.particles.items():
            if isinstance(world.scene.materials[group.material], Sand):  # at F = I it has no derivative
                F[:, world.particle_groups[name]] *= 0.999
        changes["F"] = F
    return world.touch_anew(state.replace(**changes))


def controls(world: World, seeds: Sequence[int], state: State, steps: int = STEPS) -> Leaves:
    """What the worlds are told in `steps` control steps, (N, steps, ...)."""
    told, like, N = {}, state.time, len(seeds)
    if world.given_names:
        shape = (steps, len(world.given_names), 6)
        push = like.new_tensor([0.1, -0.1, -0.4, 1.0, 2.0, -1.0])
        told["control.twist"] = push + 0.1 * normal("told", seeds, shape, like)
    if world.hand_names:
        here = world.zero_control(state).goal[:, None].expand(N, steps, -1, -1)
        away = like.new_tensor([1e-3] * 3 + [5e-3] * 4)
        pull = like.new_tensor([0.0, 0.0, -1e-3, 0.0, 0.0, 0.0, 0.0])
        told["control.goal"] = here + pull + away * normal("goal", seeds, here.shape[1:], like)
    if world.robots:
        like = state.joint_qd[:, None].expand(N, steps, -1)
        held = world.robot_solver.commands.standing(state)[:, None].expand_as(like)
        for name, at in {"joint_target": held, "joint_rate": 0.0, "joint_torque": 0.0}.items():
            told[f"control.{name}"] = at + CONTROLS[name] * normal(name, seeds, like.shape[1:], like)
    if world.tool_names:
        here = torch.stack([world.bodies[name].pose(state) for name in world.tool_names], 1)[:, None]
        here = here.expand(N, steps, -1, -1)
        away = here.new_tensor([1e-2] * 3 + [5e-2] * 4)
        told["control.tool_goal"] = here + away * normal("tools", seeds, here.shape[1:], here)
    for name in ("gas_drive", "gas_feed"):
        if name in world.controls:
            told[f"control.{name}"] = 0.5 + 0.1 * normal(name, seeds, (steps, *world.controls[name].shape), like)
    if "grip" in state:
        told["control.effort"] = -6.0 + normal("effort", seeds, (steps,), like)
    return told


def parameters(world: World, seeds: Sequence[int]) -> Leaves:
    """Physical parameters, those of each world a little different; none at zero, where friction has a kink."""
    values = {}
    for name, value in world.parameters.items():
        value = torch.where(value == 0, 0.1, value) if value.dim() == 1 else value
        spread = 0.02 * normal(name, seeds, value.shape[1:], value).clamp(-2.0, 2.0)
        values[f"parameter.{name}"] = value * (1.0 + spread if world.parameters.declared[name].differentiable else 1.0)
    return values


def leaves_of(world: World, seeds: Sequence[int], steps: int = STEPS) -> tuple[State, Leaves]:
    """A state in the middle of a motion, and all that a run depends on, by name."""
    assert len(seeds) == world.num_worlds
    start = base(world, seeds)
    leaves = {**parameters(world, seeds), **controls(world, seeds, start, WARM)}
    with torch.no_grad():
        states = run(world, start, leaves, WARM)
    assert (states[-1].status == 0).all(), [world.parameters.explain(int(s)) for s in states[-1].status]
    start = states[-1]
    leaves |= controls(world, seeds, start, steps)
    leaves |= {f"state.{name}": start[name].clone() for name in entering_fields(world)}
    return start, leaves


def run(
    world: World, start: State, leaves: Leaves, steps: int = STEPS, parts: int = 1,
    advance: Callable[[State, Control], State] | None = None,
) -> list[State]:  # fmt: skip
    """States after each of `steps` control steps, each taken as `parts` steps of the world."""
    kept = dict(world.parameters.items())
    states = [start.replace(**{name[6:]: value for name, value in leaves.items() if name.startswith("state.")})]
    try:
        for name, value in leaves.items():
            if name.startswith("parameter."):
                world.parameters[name[10:]] = value
        for step in range(steps):
            told = {name[8:]: value[:, step] for name, value in leaves.items() if name.startswith("control.")}
            for _ in range(parts):
                states.append((advance or world.step)(states[-1], Control(**told)))
    finally:
        for name, value in kept.items():
            world.parameters[name] = value
    return states[1:]


Weights = Mapping[str, torch.Tensor]


@functools.cache
def weights(name: str) -> Weights:
    """Fixed weights (*shape) of every number that a run ends with, which make each field count alike."""
    made = world(name, 1)
    start, leaves = leaves_of(made, [0])
    with torch.no_grad():
        last = run(made, start, leaves)[-1]
    found = {}
    for key, value in last.items():
        if value.is_floating_point() and key not in ("time", "gas_divergence") and value.numel():
            size = float(value.abs().max()) or 1.0
            found[key] = normal(f"weight {key}", [0], value.shape[1:], value)[0] / (size * value[0].numel() ** 0.5)
    return found


def objective(states: Sequence[State], weights: Weights) -> torch.Tensor:
    """(N,) a smooth function of every number of all states; rows beyond those of the weights do not count."""
    total = torch.zeros_like(states[0].time)
    for state in states:
        for name, weight in weights.items():
            value = state[name][:, : len(weight)] if weight.dim() else state[name]
            total = total + (value * weight).flatten(1).sum(1)
    return total


def gradients(
    world: World, start: State, leaves: Leaves, weights: Weights, steps: int = STEPS, names: Sequence[str] | None = None
) -> tuple[list[State], Leaves]:
    """States of a run, and the gradients of its objective, summed over the worlds, with respect to the leaves."""
    wanted = {name for name in leaves if is_differentiable(world, name)} if names is None else set(names)
    grown = {name: value.clone().requires_grad_(name in wanted) for name, value in leaves.items()}
    states = run(world, start, grown, steps)
    total = objective(states, weights).sum()
    wrt = [value for value in grown.values() if value.requires_grad]
    found = torch.autograd.grad(total, wrt, allow_unused=True) if wrt else []
    named = dict(zip([name for name, value in grown.items() if value.requires_grad], found, strict=True))
    detached = [state.detach() for state in states]
    return detached, {name: torch.zeros_like(leaves[name]) if g is None else g for name, g in named.items()}


def is_differentiable(world: World, name: str) -> bool:
    """Whether a leaf is declared so; controls are wherever anything is."""
    kind, _, rest = name.partition(".")
    if kind == "parameter":
        return world.parameters.declared[rest].differentiable
    return kind == "control" or world.fields[rest].differentiable


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two tensors are equal, bit for bit."""
    return (
        a.shape == b.shape
        and a.dtype == b.dtype
        and a.contiguous().numpy().tobytes() == b.contiguous().numpy().tobytes()
    )
