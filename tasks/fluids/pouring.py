# SPDX-License-Identifier: Apache-2.0
"""Pour a glass of liquid into a container without spilling."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from simenv.assets import path
from simenv.envs import Argument, Range, Task, measures, observations, regions, register_task
from simenv.envs.constants import constant
from simenv.geometry.sampling import fill_cavity
from simenv.geometry.shapes import Box, MeshShape, Plane
from simenv.physics import exact
from simenv.physics.mpm.materials import Liquid
from simenv.tasks.fluids.glass_arm import GlassArm
from simenv.tasks.tool_arm import NAME
from simenv.world import Scene

GRIP, HALF = 0.055, 0.0393  # height of the hand above the glass' base, and the glass' radius there [m]
DENSITY = 2500.0  # of the glass [kg/m^3]: half a kilogram
HAND = (0.13, 0.12, 0.165)  # where the hand starts [m]
WORKSPACE = ((0.06, 0.06, 0.150), (0.38, 0.18, 0.215))  # the hand stays in this box [m], above any container
TILT = (-0.3, 2.6)  # range of the tilt about the y axis [rad]
SPEED = (0.2, 0.1, 0.1, 2.5)  # of an action of 1 [m/s, m/s, m/s, rad/s]
LEVEL = (0.060, 0.070)  # of the liquid above the glass' base [m]
LIP = (0.0445, 0.051)  # of the glass from the hand, along x and z [m]
# the expert: lip behind the container's middle and above its rim [m], tilt rate [rad/s], tilts before the lip is near
# and at the end [rad], and the speed over what is missing of a goal [1/s]
BEHIND, OVER, RATE, WAIT, EMPTY, PULL = 0.015, 0.05, 2.0, 0.85, 2.4, 8.0
WIDTH = 0.005  # over which a particle passes from outside to inside in the smooth measures [m]


def place(name: str, value: Sequence[float]) -> tuple[float, float, float]:
    """Three finite numbers; ValueError otherwise."""
    good = isinstance(value, Sequence) and len(value) == 3 and not isinstance(value, str)
    if not good or not all(isinstance(each, (int, float)) and np.isfinite(each) for each in value):
        raise ValueError(f"{name}={value!r}: give three numbers, x, y and z [m]")
    return float(value[0]), float(value[1]), float(value[2])


@register_task("SimEnv/Pouring-v0", max_episode_steps=80)
class Pouring(Task):
    """## Description

    Pour a glass of liquid into a container, by default a bowl, or your own mesh, without spilling. A kinematic hand
    holds the glass beside the container. Both are triangle meshes in metres; the liquid is a weakly compressible
    Newtonian fluid, or with `incompressible` one that keeps its volume.

    With `robot`, a robot's gripper holds the glass, half a kilogram, which is fixed between the fingers as a link of
    its own. An impedance pulls it to where the actions say (2 kN/m, 100 N m/rad, 150 N s/m, 4 N m s), by the motors,
    which carry the weight of robot and glass. The liquid pushes the glass and so the arm: it hangs 1 mm lower with it.
    The hand lags by 75 ms. Arm and fingers touch neither liquid nor container. All of it is differentiable, but for
    the shares of liquid that are counted.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0 | velocity of the hand along x, towards the container | -1 | 1 | 0.2 m/s |
    | 1 | velocity along y | -1 | 1 | 0.1 m/s |
    | 2 | velocity along z, up | -1 | 1 | 0.1 m/s |
    | 3 | tilt rate about y, positive towards the container | -1 | 1 | 2.5 rad/s |

    The hand stops at the faces of its workspace, 0.06-0.38 x 0.06-0.18 x 0.150-0.215 m, and at tilts of -0.3 and
    2.6 rad. With `robot`, velocity and rate are those of the impedance's goal, which stops there.

    ## Observation Space

    A dict: `hand` (13): position [m], quaternion xyzw, velocity [m/s] and angular velocity [rad/s] of the hand;
    `wrench` (6): force [N] and torque [N m] of the liquid on the glass; `container` (3): where it stands [m];
    `keypoints` (384): position [m] and velocity [m/s] of every n-th particle; `density` (672): volume fraction of
    liquid at 12 x 7 x 8 nodes 4 cm apart; `amount` (3): shares of the liquid that are in the container, spilled, and
    still over the rim's height. With `robot`, `hand` is that of the glass where the fingers hold it, and there are
    `joints`, positions of all joints of the robot but the fingers [rad or m], and `goal` (4): x, y, z [m] and tilt
    [rad] that the hand is pulled to.

    ## Rewards

    Sum over the episode of the changes of three measures, so that the return is what they gained:
    `delivered` (+2 x smooth fraction of the liquid in the container), `approach` (+1 x how much of the mean distance
    from the liquid to the container has been covered), `spilled` (-0.5 x smooth fraction spilled), and `effort`
    (-0.001 x |action|^2 per step).

    ## Starting State

    The hand is at (0.13, 0.12, 0.165) m +- 5 mm, upright. The container stands at x in 0.27-0.31 m, y in 0.105-0.135 m.
    The glass holds 185 to 225 ml, at rest. With `randomize`, viscosity, density and friction of the glass are
    drawn, too.

    ## Episode End

    Truncation after 80 steps (1.6 s). Termination only if the simulation of a world fails. Success: at least 90 % of
    the liquid is in the container and at most 5 % is spilled.

    ## Version History

    * v0: first version.
    """

    action_limits = ((-1.0,) * 4, (1.0,) * 4)
    action_names = (
        ("velocity x", "0.2 m/s"),
        ("velocity y", "0.1 m/s"),
        ("velocity z", "0.1 m/s"),
        ("tilt rate", "2.5 rad/s"),
    )

    container = Argument(None, "a watertight mesh file of your own vessel, upright, z up; None is the bowl")
    container_scale = Argument(1.0, "its unit in metres: 0.001 for millimetres", above=0.0)
    viscosity = Argument(
        0.01, "of the liquid; the grid adds about 0.6 Pa s (docs/verification.md)", unit="Pa s", least=0.0
    )
    incompressible = Argument(False, "whether the liquid is, and so keeps its volume (docs/liquid.md)")
    dx = Argument(0.01, "grid spacing", unit="m", above=0.0, most=0.02)
    robot = Argument(None, '"panda", or a URDF or MJCF file "FILE#TOOL": what holds the glass, with two fingers')
    base = Argument((0.18, -0.35, -0.5), "where the robot's base stands, which faces y", unit="m", check=place)

    @cached_property
    def arm(self) -> GlassArm | None:
        """The robot that holds the glass."""
        if self.robot is None:
            return None
        glass = MeshShape(str(path("glass.stl")))
        return GlassArm(self.robot, self.base, glass, DENSITY, GRIP, HALF, HAND, TILT)

    @property
    def hand(self) -> str:
        """Name of the body that the glass is fixed to."""
        return "hand" if self.arm is None else self.arm.hand

    def build(self) -> Scene:
        file = path("bowl.stl") if self.container is None else Path(self.container)
        container = MeshShape(str(file), self.container_scale)
        # what is poured falls at 2.2 m/s, and an incompressible liquid may cross two cells a substep, at 3 m/s here
        substeps = round((0.03 if self.incompressible else 0.25) / self.dx)
        scene = Scene(size=(0.44, 0.24, 0.30), dx=self.dx, substep_dt=0.02 / substeps, substeps=substeps)
        stiff = {"incompressible": True} if self.incompressible else {"bulk_modulus": 2.5e4}
        scene.add_material("liquid", Liquid(density=1000.0, viscosity=self.viscosity, **stiff))
        glass = MeshShape(str(path("glass.stl")))
        spacing = self.dx / 2
        positions = fill_cavity(glass, LEVEL[1], spacing, jitter=0.1, clearance=0.2 * spacing)
        scene.add_particles(
            "liquid", "liquid", positions + np.array(HAND) - (0, 0, GRIP), spacing**3, color=(0.42, 0.74, 0.93, 0.04)
        )
        if self.arm is None:
            scene.add_body("hand", position=HAND)
        else:
            self.arm.add(scene, self.arm.posture)
            scene.add_body("table", position=(0.22, 0.12, 0.0), motion="fixed")
            wood = (0.72, 0.60, 0.45, 1.0)
            scene.add_look("table top", Box((0.22, 0.12, 0.01)), "table", (0.0, 0.0, -0.011), color=wood)
            scene.add_look("floor", Plane(), "table", (0.0, 0.0, min(self.base[2], -0.1)))
            scene.view, scene.angles = ((-0.15, -0.5, -0.5), (0.5, 0.3, 0.45)), (0.5, 0.25)
        scene.add_body("container", position=(0.29, 0.12, 0.0))
        scene.add_collider(
            "glass", glass, self.hand, (0, 0, -GRIP), friction=0.2, width=0.2 * self.dx, color=(0.93, 0.97, 0.96, 0.2)
        )
        scene.add_collider(
            "container", container, "container", friction=0.2, width=0.2 * self.dx, color=(0.93, 0.97, 0.96, 0.2)
        )
        self.planes = regions.hull_planes(container)
        self.rim = float(container.bounds()[1][2])
        return scene

    def sample(self, random):
        return {
            "container": random.uniform("container", (0.27, 0.105, 0.0), (0.31, 0.135, 0.0), (3,)),
            "hand": random.uniform("hand", -0.005, 0.005, (3,)),
            "level": random.uniform("level", *LEVEL),
        }

    def randomisation(self):
        return {
            "liquid.viscosity": Range(1 / 3, 3.0, of=self.viscosity, log=True, unit="Pa s", stream="viscosity"),
            "liquid.density": Range(900.0, 1100.0, unit="kg/m^3", stream="density"),
            "glass.friction": Range(0.0, 0.3, stream="friction"),
        }

    def initial_state(self, world, episode):
        state = world.initial_state()
        depth = state.x[..., 2] - (HAND[2] - GRIP)
        active = depth < episode["level"][:, None]
        hydrostatic = state.J
        if not self.incompressible:
            density, bulk = world.parameters["liquid.density"], world.parameters["liquid.bulk_modulus"]
            head = (episode["level"][:, None] - depth).clamp(min=0.0)
            hydrostatic = 1 - (density / bulk)[:, None] * 9.81 * head
        hand, container = world.bodies[self.hand], world.bodies["container"]
        place, turn = hand.pose(state).split((3, 4), -1)
        start = torch.cat([place + episode["hand"], turn], -1)
        if self.arm is None:
            state = hand.place(state, start)
        else:
            state = self.arm.placed(world, state, self.arm.reached(world, start))
            state = state.replace(memory=torch.cat([start[:, :3], torch.zeros_like(start[:, :1])], -1))
        state = container.place(state, torch.cat([episode["container"], container.pose(state)[:, 3:]], -1))
        return state.replace(x=state.x + episode["hand"][:, None], J=hydrostatic, active=active)

    def _meant(self, world, state):
        """Place and tilt (N, 4) of the hand; where a robot has it, those that it was last told to go to."""
        if self.arm is not None:
            return state.memory
        pose = world.bodies[self.hand].pose(state)
        return torch.cat([pose[:, :3], 2 * exact.atan2(pose[:, 4:5], pose[:, 6:7])], -1)

    def _speed(self, world, state, action):
        """What an action makes of place and tilt (N, 4) [m/s, rad/s]."""
        meant = self._meant(world, state)
        low, high = (constant((*WORKSPACE[i], TILT[i]), meant.dtype, meant.device) for i in (0, 1))
        speed = action * constant(SPEED, action.dtype, action.device)
        return torch.maximum(torch.minimum(speed, (high - meant) / world.dt), (low - meant) / world.dt)

    def control(self, world, state, action, episode):
        speed = self._speed(world, state, action)
        zero = torch.zeros_like(speed[:, 0])
        if self.arm is None:
            twist = torch.stack([speed[:, 0], speed[:, 1], speed[:, 2], zero, speed[:, 3], zero], -1)
            return world.control(twist={"hand": twist})
        told = state.memory + world.dt * speed
        sine, cosine = exact.sincos(0.5 * told[:, 3])
        turn = torch.stack([zero, sine, zero, cosine], -1)
        return world.control(goal={self.hand: torch.cat([told[:, :3], turn], -1)})

    def remember(self, world, before, action, after, episode):
        if self.arm is None:
            return after
        return after.replace(memory=before.memory + world.dt * self._speed(world, before, action))

    def nominal_actions(self, steps):
        """Tip the glass to the horizontal while moving it slowly towards the container: part of it is poured, and
        gradients see what more would do.
        """
        return np.tile([0.1, 0.0, 0.0, 0.4], (steps, 1))

    def expert(self, world, state, episode):
        """Bring the lip above the container, tilting meanwhile as far as spills nothing, then tip the glass over it."""
        x, y, z, tilt = self._meant(world, state).unbind(-1)
        goal, (sine, cosine) = episode["container"], exact.sincos(tilt)
        across, along = exact.sincos(tilt.clamp(min=0.9))[::-1]  # of a glass that leans already
        ahead = goal[:, 0] - BEHIND - LIP[0] * across - LIP[1] * along - x
        over = self.rim + OVER + LIP[0] * sine - LIP[1] * cosine
        up = torch.where(tilt < 0.9, over.clamp(min=HAND[2]), over) - z
        until = torch.where(ahead < 0.02, EMPTY, WAIT)
        speed = [PULL * ahead, PULL * (goal[:, 1] - y), PULL * up, (PULL * (until - tilt)).clamp(max=RATE)]
        return (torch.stack(speed, -1) / constant(SPEED, tilt.dtype, tilt.device)).clamp(-1.0, 1.0)

    def twist_to_action(self, twist):
        """The action (N, 4) that moves the hand with a twist (N, 6) [m/s, rad/s]; other rotations than the tilt are
        left out.
        """
        return twist[:, [0, 1, 2, 4]] / constant(SPEED, twist.dtype, twist.device)

    def observe(self, world, state, episode):
        hand = world.bodies[self.hand]
        low, high = world.domain()
        liquid = world.particle_groups["liquid"]
        shares = self._shares(state, episode)
        pose = hand.pose(state)
        robot = {} if self.arm is None else {"joints": world.robots[NAME].positions(state), "goal": state.memory}
        side = torch.where(pose[:, 6:] < 0.0, -1.0, 1.0)  # of a quaternion, which a robot's may be on either
        return {
            "hand": torch.cat([pose[:, :3], side * pose[:, 3:], hand.twist(state)], -1),
            "wrench": world.colliders["glass"].wrench(state),
            "container": episode["container"],
            "keypoints": observations.keypoints(state, liquid, 64).flatten(1),
            "density": observations.density_grid(state, liquid, world.volume[:, liquid], (12, 7, 8), low, high).flatten(
                1
            ),
            "amount": torch.stack(
                [shares["delivered"], shares["spilled"], 1 - shares["delivered"] - shares["spilled"]], -1
            ),
            **robot,
        }

    def _distances(self, state, episode):
        """Distance of every particle to the container's hull, and to the space above its rim [m]."""
        local = state.x - episode["container"][:, None]
        return regions.hull_distance(local, self.planes), self.rim - local[..., 2]

    def _shares(self, state, episode):
        inside, above = self._distances(state, episode)
        return {
            "delivered": measures.fraction_inside(inside, state.active, WIDTH),
            "spilled": measures.spilled_fraction([inside, above], state.active, WIDTH),
            "distance": measures.active_mean(inside.clamp(min=0.0), state.active),
        }

    def reward(self, world, before, action, after, episode):
        old, new = self._shares(before, episode), self._shares(after, episode)
        start = exact.norm(episode["container"] - constant(HAND, after.x.dtype, after.x.device))
        return {
            "delivered": 2.0 * (new["delivered"] - old["delivered"]),
            "approach": 1.0 * (old["distance"] - new["distance"]) / start,
            "spilled": -0.5 * (new["spilled"] - old["spilled"]),
            "effort": -0.001 * exact.total(action**2),
        }

    def evaluate(self, world, state, episode):
        inside, above = self._distances(state, episode)
        delivered = measures.count_inside(inside, state.active)
        spilled = measures.count_inside(-torch.minimum(inside, above), state.active)
        return {"success": (delivered >= 0.9) & (spilled <= 0.05), "delivered": delivered, "spilled": spilled}
