# SPDX-License-Identifier: Apache-2.0
"""Pour a glass of liquid into a container without spilling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from simenv.assets import path
from simenv.envs import Argument, Range, Task, measures, observations, regions, register_task
from simenv.envs.constants import constant
from simenv.geometry.sampling import fill_cavity
from simenv.geometry.shapes import MeshShape
from simenv.physics import exact
from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene

GRIP = 0.055  # height of the hand above the glass' base [m]
HAND = (0.13, 0.12, 0.165)  # where the hand starts [m]
WORKSPACE = ((0.06, 0.06, 0.150), (0.38, 0.18, 0.215))  # the hand stays in this box [m], above any container
TILT = (-0.3, 2.6)  # range of the tilt about the y axis [rad]
SPEED = (0.2, 0.1, 0.1, 2.5)  # of an action of 1 [m/s, m/s, m/s, rad/s]
LEVEL = (0.060, 0.070)  # of the liquid above the glass' base [m]
WIDTH = 0.005  # over which a particle passes from outside to inside in the smooth measures [m]


@register_task("SimEnv/Pouring-v0", max_episode_steps=80)
class Pouring(Task):
    """## Description

    Pour a glass of liquid into a container, by default a bowl, or your own mesh, without spilling. A kinematic hand
    holds the glass beside the container. Both are triangle meshes in metres; the liquid is a weakly compressible
    Newtonian fluid.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0 | velocity of the hand along x, towards the container | -1 | 1 | 0.2 m/s |
    | 1 | velocity along y | -1 | 1 | 0.1 m/s |
    | 2 | velocity along z, up | -1 | 1 | 0.1 m/s |
    | 3 | tilt rate about y, positive towards the container | -1 | 1 | 2.5 rad/s |

    The hand stops at the faces of its workspace, 0.06-0.38 x 0.06-0.18 x 0.150-0.215 m, and at tilts of -0.3 and
    2.6 rad.

    ## Observation Space

    A dict: `hand` (13): position [m], quaternion xyzw, velocity [m/s] and angular velocity [rad/s] of the hand;
    `wrench` (6): force [N] and torque [N m] of the liquid on the glass; `container` (3): where it stands [m];
    `keypoints` (384): position [m] and velocity [m/s] of every n-th particle; `density` (672): volume fraction of
    liquid at 12 x 7 x 8 nodes 4 cm apart; `amount` (3): shares of the liquid that are in the container, spilled, and
    still over the rim's height.

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
    dx = Argument(0.01, "grid spacing", unit="m", above=0.0, most=0.02)

    def build(self) -> Scene:
        file = path("bowl.stl") if self.container is None else Path(self.container)
        container = MeshShape(str(file), self.container_scale)
        substeps = round(0.25 / self.dx)
        scene = Scene(size=(0.44, 0.24, 0.30), dx=self.dx, substep_dt=0.02 / substeps, substeps=substeps)
        scene.add_material("liquid", Liquid(density=1000.0, bulk_modulus=2.5e4, viscosity=self.viscosity))
        glass = MeshShape(str(path("glass.stl")))
        spacing = self.dx / 2
        positions = fill_cavity(glass, LEVEL[1], spacing, jitter=0.1, clearance=0.2 * spacing)
        scene.add_particles(
            "liquid", "liquid", positions + np.array(HAND) - (0, 0, GRIP), spacing**3, color=(0.42, 0.74, 0.93, 0.04)
        )
        scene.add_body("hand", position=HAND)
        scene.add_body("container", position=(0.29, 0.12, 0.0))
        scene.add_collider(
            "glass", glass, "hand", (0, 0, -GRIP), friction=0.2, width=0.2 * self.dx, color=(0.93, 0.97, 0.96, 0.2)
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
        density, bulk = world.parameters["liquid.density"], world.parameters["liquid.bulk_modulus"]
        head = (episode["level"][:, None] - depth).clamp(min=0.0)
        hydrostatic = 1 - (density / bulk)[:, None] * 9.81 * head
        hand, container = world.bodies["hand"], world.bodies["container"]
        place, turn = hand.pose(state).split((3, 4), -1)
        state = hand.place(state, torch.cat([place + episode["hand"], turn], -1))
        state = container.place(state, torch.cat([episode["container"], container.pose(state)[:, 3:]], -1))
        return state.replace(x=state.x + episode["hand"][:, None], J=hydrostatic, active=active)

    def control(self, world, state, action, episode):
        hand = world.bodies["hand"].pose(state)
        tilt = 2 * exact.atan2(hand[:, 4], hand[:, 6])
        place = torch.cat([hand[:, :3], tilt[:, None]], -1)
        low, high = (constant((*WORKSPACE[i], TILT[i]), place.dtype, place.device) for i in (0, 1))
        speed = action * constant(SPEED, action.dtype, action.device)
        speed = torch.maximum(torch.minimum(speed, (high - place) / world.dt), (low - place) / world.dt)
        zero = torch.zeros_like(tilt)
        twist = torch.stack([speed[:, 0], speed[:, 1], speed[:, 2], zero, speed[:, 3], zero], -1)
        return world.control(twist={"hand": twist})

    def nominal_actions(self, steps):
        """Tip the glass to the horizontal while moving it slowly towards the container: part of it is poured, and
        gradients see what more would do.
        """
        return np.tile([0.1, 0.0, 0.0, 0.4], (steps, 1))

    def twist_to_action(self, twist):
        """The action (N, 4) that moves the hand with a twist (N, 6) [m/s, rad/s]; other rotations than the tilt are
        left out.
        """
        return twist[:, [0, 1, 2, 4]] / constant(SPEED, twist.dtype, twist.device)

    def observe(self, world, state, episode):
        hand = world.bodies["hand"]
        low, high = world.domain()
        liquid = world.particle_groups["liquid"]
        shares = self._shares(state, episode)
        return {
            "hand": torch.cat([hand.pose(state), hand.twist(state)], -1),
            "wrench": world.colliders["glass"].wrench(state),
            "container": episode["container"],
            "keypoints": observations.keypoints(state, liquid, 64).flatten(1),
            "density": observations.density_grid(state, liquid, world.volume[:, liquid], (12, 7, 8), low, high).flatten(
                1
            ),
            "amount": torch.stack(
                [shares["delivered"], shares["spilled"], 1 - shares["delivered"] - shares["spilled"]], -1
            ),
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
