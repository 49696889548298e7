# SPDX-License-Identifier: Apache-2.0
"""What `against.py` compares in two checkouts: small scenes of particles that use every part of the solver.

Each part of `Scene` and `World` that differs between checkouts has a function of its own at the end.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from simenv.geometry.shapes import Box, Capsule, Cup, Plane, Sphere
from simenv.physics.mpm.materials import (
    Bingham,
    Elastic,
    ElastoPlastic,
    HerschelBulkley,
    Liquid,
    Material,
    Sand,
    Snow,
)
from simenv.world import Scene

DX, DT, SUBSTEPS = 0.02, 4.0e-4, 5  # [m], [s]
WATER = Liquid(1000.0, 4.0e4, 0.5)
JELLY = Elastic(1000.0, 4.0e4, 0.3)


@dataclass(frozen=True)
class Case:
    """A scene, and how it is stepped.

    Attributes:
        make: builds it.
        worlds: N.
        steps: control steps of a rollout.
        threads: of the CPU.
        pressed: factor on F at the start; below 1 for materials without a derivative at F = I.
        stiffness: the elastic modulus of each world over the scene's, where they differ; of the material ``"a"``.
    """

    make: Callable[[], Scene]
    worlds: int = 2
    steps: int = 4
    threads: int = 1
    pressed: float = 1.0
    stiffness: tuple[float, ...] = field(default=())


def block(lower: Any, counts: Any, seed: int = 1) -> np.ndarray:
    """(n, 3) positions on a lattice of half the grid's spacing, shaken a little [m]."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in counts], indexing="ij"), -1).reshape(-1, 3)
    shake = 0.1 * np.random.default_rng(seed).uniform(-1, 1, index.shape)
    return np.asarray(lower) + (index + 0.5 + shake) * 0.5 * DX


def fall(*materials: Material, **options: Any) -> Scene:
    """Blocks side by side, which fall onto a wall or a floor."""
    scene = Scene((0.2, 0.2, 0.2), DX, DT, SUBSTEPS, **options)
    for index, material in enumerate(materials):
        name, deep = "abcdefg"[index], 8 // len(materials)
        scene.add_material(name, material)
        points = block((0.06 + 0.5 * DX * deep * index, 0.07, 0.01), (deep, 6, 6), index)
        scene.add_particles(name, name, points, (0.5 * DX) ** 3, (0.1, 0.05, -0.8))
    return scene


def press(*materials: Material, **options: Any) -> Scene:
    """Blocks between a rough floor and a rough ball, whose hand moves."""
    scene = fall(*(materials or (JELLY,)), **options)
    given(scene, "hand", (0.105, 0.095, 0.1), (0.1, 0.2, 0.3, 0.9))
    scene.add_collider("ball", Sphere(0.03), "hand", (0.004, -0.003, 0.002), friction=0.4, width=0.02)
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.01), friction=0.3, width=0.02)
    scene.add_collider("stop", Box((0.01, 0.04, 0.02)), position=(0.04, 0.1, 0.02), stick=True)
    return scene


def skins() -> Scene:
    """The pressed block, felt by the ball."""
    scene = press()
    scene.add_skin("ball", 7, 5, 0.2, 0.2, quaternion=(0.1, -0.3, 0.2, 0.9))
    return scene


def cup() -> Scene:
    """Liquid in a cup that tilts, beside a capsule at the particles."""
    scene = Scene((0.2, 0.2, 0.2), DX, DT, SUBSTEPS)
    scene.add_material("a", WATER)
    scene.add_particles("a", "a", block((0.07, 0.07, 0.05), (6, 6, 6)), (0.5 * DX) ** 3, (0.3, 0.1, -0.5))
    given(scene, "hand", (0.1, 0.1, 0.03))
    scene.add_collider("cup", Cup(0.045, 0.08, 0.008, 0.008), "hand", friction=0.1, width=0.005)
    scene.add_collider("rod", Capsule(0.012, 0.02), position=(0.1, 0.1, 0.09), friction=0.2, width=0.01)
    return scene


def pour() -> Scene:
    """A spout that moves, a pool, and a drain."""
    scene = fall(WATER)
    given(scene, "spout", (0.12, 0.1, 0.15))
    scene.add_emitter("jet", "spout", "a", capacity=60, radius=0.015, speed=1.0, count=12)
    scene.add_collector("drain", (0.0, 0.0, 0.0), (0.2, 0.2, 0.02))
    return scene


def float_() -> Scene:
    """Two rigid bodies in liquid, one of which meets a collider."""
    scene = Scene((0.2, 0.2, 0.2), DX, DT, SUBSTEPS)
    scene.add_material("a", WATER)
    scene.add_particles("a", "a", block((0.0, 0.0, 0.0), (16, 16, 5)), (0.5 * DX) ** 3)
    rigid(scene, "box", Box((0.03, 0.04, 0.03)), 600.0, (0.06, 0.1, 0.085), (0.1, 0.0, -0.8), (1.0, 2.0, 3.0))
    rigid(scene, "ball", Sphere(0.035), 2000.0, (0.145, 0.1, 0.09), (0.0, 0.1, -0.5), (0.0, 5.0, 0.0))
    given(scene, "hand", (0.145, 0.1, 0.155))
    scene.add_collider("paddle", Box((0.03, 0.03, 0.01)), "hand", friction=0.5, width=0.02)
    return scene


def large() -> Scene:
    """A column of 112,000 particles: two lanes."""
    scene = Scene((0.5, 0.5, 0.8), DX, DT, SUBSTEPS)
    scene.add_material("a", WATER)
    scene.add_particles("a", "a", block((0.02, 0.02, 0.02), (40, 40, 70)), (0.5 * DX) ** 3, (0.0, 0.0, -0.5))
    given(scene, "hand", (0.3, 0.2, 0.6), (0.0, 0.0, 0.0, 1.0))
    scene.add_collider("ball", Sphere(0.06), "hand", friction=0.3, width=0.02)
    return scene


CASES = {
    "liquid": Case(lambda: fall(WATER)),
    "elastic": Case(lambda: fall(JELLY, Elastic(1000.0, 3.0e4, 0.35, "neo_hookean"))),
    "bingham": Case(lambda: fall(Bingham(1000.0, 4.0e4, 20.0, 100.0))),
    "sand": Case(lambda: fall(Sand(1000.0, 4.0e4, 0.3, 0.5, dilation_limit=0.002)), pressed=0.999),
    "snow": Case(lambda: fall(Snow(1000.0, 4.0e4, 0.2, 0.02, 0.006, 8.0, 8.0))),
    "materials": Case(
        lambda: press(
            WATER, JELLY, ElastoPlastic(1000.0, 4.0e4, 0.3, 200.0),
            HerschelBulkley(1000.0, 4.0e4, 30.0, 0.4, 50.0, 5.0e4),
        )
    ),
    "colliders": Case(press),
    "cup": Case(cup),
    "emitter, collector": Case(pour),
    "skin": Case(skins),
    "sparse grid": Case(lambda: press(WATER, JELLY, grid="sparse")),
    "periodic": Case(lambda: fall(WATER, JELLY, boundary=("periodic", "stick", "slip"))),
    "outflow": Case(lambda: fall(WATER, JELLY, boundary=("outflow", "slip", "outflow"))),
    "max_substeps": Case(lambda: press(max_substeps=8 * SUBSTEPS), worlds=3, stiffness=(1.0, 20.0, 200.0)),
    "rigid in liquid": Case(float_),
    "two threads": Case(lambda: press(WATER, JELLY), worlds=3, threads=2),
    "two lanes": Case(large, worlds=1, steps=2, threads=2),
}  # fmt: skip


# ------------------------------------------------------------------------------------- what differs between checkouts


def given(scene: Scene, name: str, position: Any, quaternion: Any = (0.0, 0.0, 0.0, 1.0)) -> None:
    """Add a body that moves as it is told."""
    scene.add_body(name, position=position, quaternion=quaternion)


def rigid(scene: Any, name: str, shape: Any, density: float, position: Any, velocity: Any, turning: Any) -> None:
    """Add a body that moves freely and bears any mass."""
    if hasattr(type(scene), "add_rigid"):  # before bodies of all motions were added by one call
        scene.add_rigid(name, shape, density, position, velocity=velocity, angular_velocity=turning)
    else:
        scene.add_body(
            name, shape, density, position, motion="free", velocity=velocity, angular_velocity=turning
        )  # fmt: skip


def task_tensors(world: Any, state: Any) -> dict[str, torch.Tensor]:
    """The state of a task; without particles with poses and twists of centres of mass, as the state had them once."""
    fields = dict(state.as_dict() if hasattr(type(state), "as_dict") else state)
    views = getattr(world, "bodies", None)
    if views and "x" not in fields and hasattr(next(iter(views.values())), "centre_pose"):
        fields["body_q"] = torch.stack([each.centre_pose(state) for each in views.values()], 1)
        fields["body_twist"] = torch.stack([each.centre_twist(state) for each in views.values()], 1)
    return fields


def state_tensors(world: Any, state: Any) -> dict[str, torch.Tensor]:
    """The state by the names of this comparison; bodies by their own names, however rows are ordered."""
    fields = state.as_dict() if hasattr(type(state), "as_dict") else dict(state)
    names = {
        "x": ("x",), "v": ("v",), "C": ("C",), "F": ("F",), "J": ("J",), "active": ("active",), "time": ("time",),
        "status": ("status",), "emitted": ("emitted",), "substeps": ("substeps",),
        "wrench": ("wrench", "collider_wrench"), "touch": ("touch", "skin_field"),
    }  # fmt: skip
    found = {name: next((fields[other] for other in others if other in fields), None) for name, others in names.items()}
    tensors = {name: tensor for name, tensor in found.items() if tensor is not None}
    for index, body in enumerate(world.body_names):
        tensors |= {f"{body}: pose": fields["body_q"][:, index], f"{body}: twist": fields["body_twist"][:, index]}
    for index, body in enumerate(getattr(world, "rigid_names", ())):
        if "rigid_q" in fields:
            tensors |= {f"{body}: pose": fields["rigid_q"][:, index], f"{body}: twist": fields["rigid_twist"][:, index]}
    return tensors
