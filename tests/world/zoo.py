# SPDX-License-Identifier: Apache-2.0
"""Small scenes that have between them every field of a state."""

import numpy as np

from simenv.geometry.shapes import Box, Capsule, Cup, Plane, Sphere
from simenv.physics.bodies.forest import JointDrive
from simenv.physics.bodies.tools import ToolDrive
from simenv.physics.bodies.tree import Fitted, Inertial, Joint, Link, Tree
from simenv.physics.gas.model import Scalar
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.world import Scene
from tests.gradients.scenes import block

DX = 0.02


def particles() -> Scene:
    """Liquid and a soft block, a jet, a skin, a moving ball and a vessel that answers; a chosen substep."""
    scene = Scene((0.24, 0.2, 0.24), DX, 4.0e-4, 5, max_substeps=10)
    scene.add_material("water", Liquid(1000.0, 4.0e4, 0.5))
    scene.add_material("rubber", Elastic(900.0, 3.0e4, 0.3))
    scene.add_particles("pool", "water", block((0.05, 0.05, 0.03), (5, 5, 3)), 1.0e-6)
    scene.add_particles("cube", "rubber", block((0.13, 0.05, 0.04), (3, 3, 3)), 1.0e-6, velocity=(0.0, 0.0, -0.2))
    scene.add_body("hand", position=(0.07, 0.07, 0.15), quaternion=(0.1, 0.2, 0.3, 0.9))
    scene.add_emitter("jet", "hand", "water", 20, 0.01, 1.0, 4)
    scene.add_body("vessel", Cup(0.03, 0.08, 0.02, 0.02), 500.0, (0.14, 0.12, 0.08), motion="free")
    scene.add_collider("ball", Sphere(0.02), "hand", position=(0.004, -0.003, -0.05), width=0.01)
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.03), friction=0.3)
    scene.add_skin("floor", 3, 3, 0.1, 0.1, position=(0.08, 0.08, 0.0))
    return scene


def touch() -> Scene:
    """A block on a table, gripped from both sides by fingers with gels on a hand."""
    scene = Scene(substep_dt=5e-4, substeps=4)
    scene.add_body("table", Plane(), motion="fixed")
    scene.add_body("block", Box((0.01, 0.02, 0.015)), 1000.0, (0.0, 0.0, 0.015), motion="free")
    corners = [(x, y, -0.015) for x in (-0.01, 0.01) for y in (-0.02, 0.02)]
    scene.add_points("block", "table", np.array(corners), share=4.0)
    scene.add_body("hand", position=(0.0, 0.0, 0.015), motion="hand")
    for name, side in (("left", -1.0), ("right", 1.0)):
        turn = (0.0, -side * np.sqrt(0.5), 0.0, np.sqrt(0.5))  # z of the gel points to the block
        scene.add_gel(
            name, "hand", "block", flat_grid(4, 5, 0.01, 0.01), WinklerGel(1e7, 5e6, 0.8),
            position=(side * 0.0098, 0.0, 0.0), quaternion=turn, slide=(side, 0.0, 0.0),
        )  # fmt: skip
    scene.add_look("finger", Box((0.002, 0.005, 0.01)), "hand", position=(0.011, 0.0, 0.0), slide=(1.0, 0.0, 0.0))
    scene.let_pass("hand", "table", "it stays above")
    return scene


def robot() -> Scene:
    """A Panda with nothing about it, whose tool an impedance pulls."""
    scene = Scene(substep_dt=1 / 960, substeps=4)
    fingers = {"stiffness": [0.0] * 7 + [2000.0] * 2, "damping": [0.0] * 7 + [50.0] * 2}
    tools = {"tool": ToolDrive((600.0, 50.0), (100.0, 5.0), posture_stiffness=10.0, posture_damping=6.0)}
    scene.add_robot("arm", "panda", drive=JointDrive(**fingers, gravity_compensation=True), tools=tools)
    return scene


def mixed() -> Scene:
    """A hand that holds a ball in liquid, a paddle that moves as told, and a body that only stands there."""
    scene = Scene((0.2, 0.2, 0.2), DX, 4.0e-4, 5)
    scene.add_material("water", Liquid(1000.0, 4.0e4, 0.5))
    scene.add_particles("pool", "water", block((0.05, 0.05, 0.03), (8, 8, 4)), 1.0e-6)
    scene.add_body("hand", position=(0.09, 0.09, 0.1), motion="hand", mass=2.0)
    scene.add_collider("ball", Sphere(0.02), "hand", width=0.01)
    scene.add_body("stand", position=(0.15, 0.15, 0.15), motion="fixed")
    scene.add_body("paddle", Box((0.01, 0.03, 0.02)), position=(0.03, 0.09, 0.05))
    return scene


def jointed() -> Scene:
    """A pendulum of two links that is driven, and a ball on a floor."""
    scene = Scene(substep_dt=1e-3, substeps=4)
    links = []
    for name, parent, height in (("upper", None, 0.0), ("lower", "upper", -0.1)):
        joint = Joint(f"{name} joint", "revolute", (0.0, 0.0, height), axis=(0.0, 1.0, 0.0), damping=0.01)
        bar = Fitted(Capsule(0.01, 0.04), (0.0, 0.0, -0.05), color=(0.5, 0.5, 0.6, 1.0))
        inertial = Inertial(0.1, (0.0, 0.0, -0.05), ((1e-4, 0.0, 0.0), (0.0, 1e-4, 0.0), (0.0, 0.0, 1e-5)))
        links.append(Link(name, parent, joint, inertial, (bar,), (Fitted(bar.shape, bar.position),)))
    scene.add_robot("pendulum", Tree("pendulum", tuple(links)), (0.0, 0.0, 0.3), drive=JointDrive(1.0, 0.1))
    scene.add_body("floor", Plane(), motion="fixed")
    scene.add_body("ball", Sphere(0.02), 1000.0, (0.1, 0.0, 0.019), motion="free", coupling="rigid")
    return scene


def gas() -> Scene:
    """A box of gas with heat and smoke, a fan in it, a paddle that moves as told, a post, and a light ball."""
    scene = Scene(substep_dt=0.01, substeps=4)
    scalars = {"heat": Scalar(1e-4, 3e-3, 20.0, 20.0, "K"), "smoke": Scalar()}
    scene.add_gas("air", scalars=scalars, size=(0.5, 0.5, 0.5), dx=0.125)
    scene.add_source("fan", Sphere(0.15), (0.25, 0.25, 0.25))
    scene.add_body("paddle", Box((0.07, 0.05, 0.1)), position=(0.3, 0.27, 0.2))
    scene.add_body("post", Box((0.07, 0.07, 0.2)), position=(0.1, 0.1, 0.2), motion="fixed")
    scene.add_body("balloon", Sphere(0.09), 0.5, (0.15, 0.37, 0.35), motion="free", coupling="rigid")
    return scene


SCENES = {"particles": particles, "touch": touch, "robot": robot, "mixed": mixed, "jointed": jointed, "gas": gas}
