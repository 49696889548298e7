# SPDX-License-Identifier: Apache-2.0
"""A zoo of small worlds: every solver alone, and every pair that can push each other, all in contact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from simenv.geometry.shapes import Box, Cup, Cylinder, Plane, Sphere
from simenv.physics.bodies.contacts import RigidContact
from simenv.physics.bodies.forest import JointDrive
from simenv.physics.bodies.tools import ToolDrive
from simenv.physics.bodies.tree import Fitted, Inertial, Joint, Link, Tree
from simenv.physics.gas.model import Inlet, Outlet, Scalar, Slip, Wall
from simenv.physics.mpm.materials import Elastic, Liquid, Sand
from simenv.robots import chain, load
from simenv.sensors.tactile import ElasticLayerGel, WinklerGel, flat_grid
from simenv.world import ContactLaw, Scene
from tests.gradients.scenes import block

DX, DT, TICKS = 0.02, 4.0e-4, 4  # grid spacing [m], tick [s], ticks of a control step
VOLUME = (0.5 * DX) ** 3  # of a particle [m^3]
SIZE = (0.26, 0.26, 0.26)
DOWN = (1.0, 0.0, 0.0, 0.0)  # turns z downwards
SPRINGS = WinklerGel(1e7, 5e6, 0.02)


@dataclass(frozen=True)
class Case:
    """One world of the zoo.

    Attributes:
        build: makes the scene; options are the `Scene`'s.
        options: of the scene that are usual for it.
    """

    build: Callable[..., Scene]
    options: dict[str, Any] = field(default_factory=dict)

    def scene(self, **changes: Any) -> Scene:
        """The scene, with some options changed."""
        return self.build(**{"substep_dt": DT, "substeps": TICKS, **self.options, **changes})


def grid(**options: Any) -> Scene:
    """An empty scene with room for particles."""
    return Scene(SIZE, DX, **options)


def pool(scene: Scene, counts: tuple[int, int, int] = (6, 6, 3)) -> None:
    """Viscous water on a rough floor."""
    scene.add_material("water", Liquid(1000.0, 4.0e4, 0.5))
    speed = np.random.default_rng(5).normal(0.0, 0.05, (int(np.prod(counts)), 3))
    scene.add_particles("pool", "water", block((0.065, 0.065, 0.03), counts), VOLUME, speed)
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.03), friction=0.3, width=0.02)


def liquid(**options: Any) -> Scene:
    """A ball, moved as told, in water."""
    scene = grid(**options)
    pool(scene)
    scene.add_body("tool", position=(0.1, 0.095, 0.08), quaternion=(0.1, 0.2, 0.3, 0.9))
    scene.add_collider("ball", Sphere(0.02), "tool", position=(0.004, -0.003, 0.002), friction=0.4, width=0.02)
    return scene


def solids(**options: Any) -> Scene:
    """A soft block and sand, pressed by a ball that moves as told."""
    scene = grid(**options)
    scene.add_material("rubber", Elastic(1000.0, 4.0e4, 0.3))
    scene.add_material("sand", Sand(1000.0, 4.0e4, 0.3, 0.5, dilation_limit=0.002))
    for name, material, x in (("cube", "rubber", 0.06), ("heap", "sand", 0.1)):
        scene.add_particles(name, material, block((x, 0.07, 0.033), (4, 4, 4)), VOLUME, (0.1, 0.05, -0.4))
    scene.add_body("tool", position=(0.1, 0.09, 0.1))
    scene.add_collider("ball", Sphere(0.03), "tool", friction=0.4, width=0.02)
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.03), friction=0.3, width=0.02)
    return scene


def vessel(**options: Any) -> Scene:
    """A light cup, a cell thick, that answers to water."""
    scene = grid(**options)
    pool(scene, (6, 4, 3))
    scene.add_body(
        "cup", Cup(0.03, 0.06, 0.02, 0.02), 600.0, (0.1, 0.1, 0.065), (0.1, 0.0, 0.05, 0.99), motion="free",
        velocity=(0.05, 0.0, -0.2), angular_velocity=(0.5, -0.3, 0.8), width=DX, friction=0.2,
    )  # fmt: skip
    return scene


def jet(**options: Any) -> Scene:
    """A spout that moves, a skin that feels its jet, and a drain."""
    scene = grid(**options)
    pool(scene, (6, 6, 1))
    scene.add_skin("floor", 3, 3, 0.1, 0.1, position=(0.1, 0.1, 0.0))
    scene.add_body("spout", position=(0.1, 0.1, 0.06), look=Sphere(0.008))
    scene.add_emitter("jet", "spout", "water", 24, 0.01, 1.0, 4)
    scene.add_collector("drain", (0.0, 0.0, 0.0), (0.08, 0.2, 0.2))
    return scene


def peg(**options: Any) -> Scene:
    """A peg between two fingers, its foot in a fixed socket."""
    scene = Scene(contact=ContactLaw(stiffness=1e3, shear_stiffness=1e3, friction=0.02, damping=2.0), **options)
    scene.add_body("socket", Cup(0.009, 0.02, 0.01, 0.005), position=(0.0, 0.0, -0.0052), motion="fixed")
    scene.add_body("hand", position=(0.0, 0.0, 0.03), motion="hand")
    scene.add_body(
        "peg", Cylinder(0.008, 0.02), 4000.0, (0.0, 0.0, 0.0197), motion="free", coupling="contact",
        velocity=(0.05, 0.02, -0.1), angular_velocity=(0.2, -0.1, 0.3),
    )  # fmt: skip
    angle = np.linspace(0.0, 2 * np.pi, 6, endpoint=False)
    rim = np.stack([0.008 * np.cos(angle), 0.008 * np.sin(angle), np.full(6, -0.02)], -1)
    scene.add_points("peg", "socket", rim, share=2.0)
    half = np.sqrt(0.5)
    for name, side, turn in (("left", 1.0, half), ("right", -1.0, -half)):
        scene.add_gel(
            name, "hand", "peg", flat_grid(3, 3, 0.016, 0.02), WinklerGel(8e7, 4e7, 0.01),
            quaternion=(turn, 0.0, 0.0, half), slide=(0.0, side, 0.0),
        )  # fmt: skip
        scene.add_look(
            f"{name} finger", Box((0.008, 0.002, 0.01)), "hand", (0.0, 0.002 * side, 0.0), slide=(0.0, side, 0.0)
        )  # fmt: skip
    scene.let_pass("hand", "socket", "it stays above")
    return scene


def elastic(**options: Any) -> Scene:
    """An elastic gel on a hand presses a ball onto a table."""
    scene = Scene(**options)
    scene.add_body("table", Plane(), motion="fixed")
    scene.add_body("ball", Sphere(0.015), 2500.0, (0.0, 0.0, 0.015), motion="free", coupling="contact")
    scene.add_points("ball", "table", np.zeros((1, 3)), 0.015)
    scene.add_body("hand", position=(0.0, 0.0, 0.0294), quaternion=DOWN, motion="hand")
    scene.add_gel("pad", "hand", "ball", flat_grid(4, 4, 0.012, 0.012), ElasticLayerGel(6e4, 0.05, 0.45, 3e-3))
    scene.let_pass("hand", "table", "it stays above")
    return scene


def hand(**options: Any) -> Scene:
    """A hand that stirs water with a ball, under a stand."""
    scene = grid(**options)
    pool(scene)
    scene.add_body("hand", position=(0.1, 0.1, 0.075), motion="hand", mass=2.0)
    scene.add_collider("ball", Sphere(0.02), "hand", position=(0.003, 0.0, -0.004), friction=0.2, width=0.02)
    scene.add_body("stand", position=(0.15, 0.15, 0.15), motion="fixed")
    return scene


def float_(**options: Any) -> Scene:
    """A heavy ball that moves freely, falls into water."""
    scene = grid(**options)
    pool(scene)
    scene.add_body(
        "ball", Sphere(0.02), 4000.0, (0.1, 0.097, 0.075), motion="free", coupling="contact",
        velocity=(0.05, 0.02, -0.3), angular_velocity=(1.0, -2.0, 3.0),
    )  # fmt: skip
    return scene


def palpation(**options: Any) -> Scene:
    """A hand presses a plate onto a soft block, and feels it through a gel."""
    scene = grid(**options)
    scene.add_material("tissue", Elastic(900.0, 3.0e4, 0.3))
    scene.add_particles("block", "tissue", block((0.07, 0.07, 0.03), (6, 6, 4)), VOLUME)
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.03), friction=0.3, width=0.02)
    scene.add_body(
        "plate", Box((0.03, 0.03, 0.02)), 2500.0, (0.1, 0.1, 0.088), motion="free", coupling="contact",
        velocity=(0.02, 0.01, -0.1), angular_velocity=(0.2, -0.1, 0.3),
    )  # fmt: skip
    scene.add_body("hand", position=(0.1, 0.1, 0.1068), quaternion=DOWN, motion="hand")
    scene.add_gel("pad", "hand", "plate", flat_grid(3, 3, 0.018, 0.018), SPRINGS)
    return scene


def finger(**options: Any) -> Scene:
    """A soft block with a hard inclusion is thrown against a gel on a hand, which feels nothing else."""
    scene = grid(**options)
    scene.add_material("tissue", Elastic(900.0, 3.0e4, 0.3))
    scene.add_particles("block", "tissue", block((0.07, 0.07, 0.03), (6, 6, 4)), VOLUME, (0.05, 0.02, 0.2))
    scene.add_inclusion("lump", "block", (0.103, 0.096, 0.052), 0.015, 2.5)
    scene.add_body("hand", position=(0.1, 0.1, 0.066), quaternion=DOWN, motion="hand")
    scene.add_gel("pad", "hand", None, flat_grid(3, 3, 0.036, 0.036), SPRINGS)
    return scene


def arm(**options: Any) -> Scene:
    """A Panda whose gel presses a ball onto a table."""
    scene = Scene(**options)
    scene.add_body("table", Plane(), motion="fixed")
    scene.add_body("ball", Sphere(0.015), 2500.0, (0.45, 0.0, 0.015), motion="free", coupling="contact")
    scene.add_points("ball", "table", np.zeros((1, 3)), 0.015)
    tools = {"tool": ToolDrive((600.0, 50.0), (100.0, 5.0), posture_stiffness=10.0, posture_damping=6.0)}
    start, drive = {"tool": ((0.45, 0.0, 0.0295), DOWN)}, JointDrive(5.0, 0.5, gravity_compensation=True)
    scene.add_robot("arm", chain(load("panda")), drive=drive, reach=start, tools=tools)
    scene.add_gel("pad", "arm/tool", "ball", flat_grid(4, 4, 0.012, 0.012), SPRINGS)
    scene.let_pass("arm", "table", "it stays above")
    return scene


def ball_link(name: str, parent: str | None, joint: Joint, mass: float, at: tuple[float, ...]) -> Link:
    """A link with the inertia of a ball of radius 0.04 m, nearly."""
    moment = 0.4 * mass * 0.04**2
    inertia = ((moment, 0.0, 0.0), (0.0, 1.1 * moment, 0.0), (0.0, 0.0, 1.05 * moment))
    return Link(name, parent, joint, Inertial(mass, at, inertia))  # type: ignore[arg-type]


def robots(**options: Any) -> Scene:
    """A jointed arm stirs water with its tip and presses a gel on a ball above it; a jointed buoy floats."""
    scene = grid(**options)
    pool(scene)
    swing = Joint("swing", "revolute", axis=(0.0, 1.0, 0.0), damping=0.01, armature=1e-4)
    slide = Joint("slide", "prismatic", position=(0.05, 0.0, 0.0), damping=0.5, armature=0.01)
    upper = ball_link("upper", None, swing, 0.4, (0.02, 0.0, 0.0))
    arm = Tree("arm", (upper, ball_link("tip", "upper", slide, 0.3, (0.0, 0.0, -0.01))), {"slide": -0.03})
    scene.add_robot("arm", arm, (0.05, 0.1, 0.138), drive=JointDrive((20.0, 500.0), (0.5, 5.0)))
    scene.add_collider("toe", Sphere(0.012), "arm/tip", (-0.02, 0.01, -0.055), friction=0.3, width=0.02)
    scene.add_body(
        "ball", Sphere(0.015), 5000.0, (0.1, 0.1, 0.0812), motion="free", coupling="contact",
        velocity=(0.02, 0.01, 0.05), angular_velocity=(0.5, -0.2, 0.3),
    )  # fmt: skip
    scene.add_gel("pad", "arm/tip", "ball", flat_grid(3, 3, 0.01, 0.01), SPRINGS, (0.0, 0.0, -0.012), DOWN)
    hull = ball_link("hull", None, Joint("buoy", "free", armature=1e-5), 0.2, (0.001, 0.0, 0.002))
    hinge = Joint("hinge", "ball", position=(0.0, 0.0, 0.025), damping=0.002, armature=1e-5)
    buoy = Tree("buoy", (hull, ball_link("mast", "hull", hinge, 0.1, (0.005, 0.0, 0.03))))
    scene.add_robot("buoy", buoy, (0.15, 0.14, 0.075), (0.1, -0.1, 0.2, 0.96), drive=JointDrive(0.0, 0.001))
    scene.add_collider("bottom", Sphere(0.02), "buoy/hull", friction=0.2, width=0.02)
    return scene


def rigid(**options: Any) -> Scene:
    """An arm with dry friction presses its tip onto a box on a block; a ball falls along it into water."""
    scene = Scene(SIZE, DX, rigid=RigidContact(5e3, 1e-3, 0.3, 0.3, 1.0, 0.4, 1e-3, 5e-4, 0.2, 2e-4), **options)
    pool(scene, (6, 8, 3))
    shoulder = Joint("shoulder", "revolute", axis=(0.0, 1.0, 0.0), damping=0.02, friction=0.02, armature=2e-3)
    elbow = Joint("elbow", "revolute", (0.06, 0.0, 0.0), axis=(0.0, 1.0, 0.0), upper=0.6, armature=2e-3, friction=0.01)
    tip = Fitted(Sphere(0.012), (0.04, 0.0, 0.0))
    lower = replace(ball_link("lower", "upper", elbow, 0.3, (0.02, 0.002, 0.0)), collisions=(tip,))
    tree = Tree("arm", (ball_link("upper", None, shoulder, 0.4, (0.03, 0.0, 0.004)), lower), {"elbow": 0.6001})
    scene.add_robot("arm", tree, (0.03, 0.2, 0.0927), drive=JointDrive((5.0, 0.2), (0.2, 0.01)))
    scene.add_body("ground", Box((0.125, 0.04, 0.0125)), position=(0.13, 0.215, 0.0125), motion="fixed")
    scene.add_body(
        "box", Box((0.03, 0.025, 0.01)), 3000.0, (0.12, 0.2, 0.0349), motion="free", coupling="rigid",
        velocity=(0.05, 0.1, 0.0), angular_velocity=(0.0, 0.0, 0.5),
    )  # fmt: skip
    scene.add_body(
        "ball", Sphere(0.02), 5000.0, (0.11, 0.1555, 0.0449), motion="free", coupling="rigid", velocity=(0.1, 0.2, -0.1)
    )
    return scene


def tools(**options: Any) -> Scene:
    """An impedance presses the gel at the tip of an arm onto a ball, motors carry its weight, and a posture pulls."""
    scene = Scene(**options)
    scene.add_body("ball", Sphere(0.015), 5000.0, (0.1, 0.1, 0.03), motion="free", coupling="contact")
    scene.add_body("table", Plane(), position=(0.0, 0.0, 0.015), motion="fixed")
    scene.add_points("ball", "table", np.zeros((1, 3)), 0.015)
    swing = Joint("swing", "revolute", axis=(0.0, 1.0, 0.0), damping=0.01, armature=1e-4)
    bend = Joint("bend", "revolute", (0.05, 0.0, 0.0), axis=(0.0, 1.0, 0.0), damping=0.01, armature=1e-4)
    slide = Joint("slide", "prismatic", position=(0.03, 0.0, 0.0), damping=0.5, armature=0.01)
    links = (
        ball_link("upper", None, swing, 0.4, (0.02, 0.0, 0.0)),
        ball_link("lower", "upper", bend, 0.3, (0.01, 0.0, 0.0)),
        ball_link("tip", "lower", slide, 0.3, (0.0, 0.0, -0.01)),
    )  # fmt: skip
    arm = Tree("arm", links, {"slide": -0.03})
    gains = ToolDrive((300.0, 2.0), (8.0, 0.05), posture_stiffness=0.5, posture_damping=0.02, delay=DT)
    drive = JointDrive((0.3, 0.2, 20.0), (0.02, 0.02, 0.2), gravity_compensation=True)
    scene.add_robot("arm", arm, (0.02, 0.1, 0.0868), drive=drive, tools={"tip": gains})
    scene.add_gel("pad", "arm/tip", "ball", flat_grid(3, 3, 0.01, 0.01), SPRINGS, (0.0, 0.0, -0.012), DOWN)
    scene.let_pass("arm/tip", "table", "it stays above")
    return scene


def gas(around: Sequence[str] = (), **options: Any) -> Scene:
    """Warm smoke from an inlet, below a lid that moves, with a fan; around what it is told to go."""
    scene = Scene(**options)
    inlet = Inlet((0.3, 0.02, -0.03), smoke=0.5, heat=25.0)
    sides = {"x-": inlet, "x+": Outlet(heat=19.0), "y-": Slip(), "z+": Wall((0.2, 0.1, 0.0), heat=22.0)}
    scalars = {"heat": Scalar(1e-3, 0.01, 19.0, 20.0, "K"), "smoke": Scalar(2e-3, -0.1, start=0.1, extinction=4.0)}
    box = {"size": (1.0, 0.75, 0.875), "dx": 0.125, "origin": (0.0, 0.0, 0.0)}
    scene.add_gas(
        "air", 1.2, 0.002, sides, scalars, tolerance=1e-13, iterations=40, limited=False, obstacles=around,
        confinement=0.8, **box,
    )  # fmt: skip
    scene.add_source("fan", Sphere(0.25), (0.5, 0.4, 0.4))
    return scene


def dust(**options: Any) -> Scene:
    """Soft grains that fall on a floor in the wind."""
    scene = Scene(SIZE, DX, **options)
    scene.add_material("grains", Elastic(density=1000.0, youngs_modulus=4e4, poisson_ratio=0.3))
    scene.add_particles(
        "cloud", "grains", block((0.1, 0.1, 0.035), (3, 2, 2)), volume=VOLUME, velocity=(0.1, 0.2, -0.6)
    )
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.03), friction=0.3, width=0.02)
    sides = {"x-": Inlet((0.5, 0.0, 0.1)), "x+": Outlet()}
    scene.add_gas("air", 1.2, 1e-3, sides, size=SIZE, dx=0.065, tolerance=1e-13, iterations=40, obstacles=("floor",))
    scene.add_drag("grains", 3e-4)
    return scene


def wind(**options: Any) -> Scene:
    """The same around a box that moves as told, a free ball as light as the gas, and a post."""
    scene = gas(("box", "ball", "post"), **options)
    scene.add_body("box", Box((0.15, 0.1, 0.12)), position=(0.3, 0.3, 0.5), quaternion=(0.1, 0.2, 0.3, 0.9))
    scene.add_body(
        "ball", Sphere(0.13), 1.2, (0.7, 0.45, 0.3), motion="free", coupling="rigid", velocity=(0.1, 0.2, 0.0)
    )
    # its end is beside the plane of corners of cells in which shares of faces have a kink
    scene.add_body("post", Cylinder(0.08, 0.3), position=(0.55, 0.15, 0.31), motion="fixed")
    scene.let_pass("box", "ball", "they are apart")
    scene.let_pass("ball", "post", "they are apart")
    return scene


ZOO = {
    "liquid": Case(liquid),
    "solids": Case(solids),
    "vessel": Case(vessel),
    "jet": Case(jet),
    "peg": Case(peg),
    "elastic": Case(elastic),
    "hand": Case(hand),
    "float": Case(float_),
    "palpation": Case(palpation),
    "palpation, twice the substeps": Case(palpation, {"particle_substeps": 2 * TICKS}),
    "palpation, half the substeps": Case(palpation, {"particle_substeps": TICKS // 2}),
    "finger": Case(finger),
    "arm": Case(arm),
    "robots": Case(robots),
    "rigid": Case(rigid),
    "tools": Case(tools),
    "dust": Case(dust),
    "gas": Case(gas),
    "wind": Case(wind),
}


def each(names: Iterable[str] = ZOO, quick: Iterable[str] | None = None) -> list[Any]:
    """Worlds by name as parameters of a test; those that are not quick are marked slow: by default other rates."""
    fast = {name for name, case in ZOO.items() if "particle_substeps" not in case.options} if quick is None else quick
    return [pytest.param(name, marks=[] if name in fast else [pytest.mark.slow]) for name in names]
