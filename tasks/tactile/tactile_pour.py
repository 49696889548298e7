# SPDX-License-Identifier: Apache-2.0
"""Pour an asked mass out of a bottle between two tactile fingers, of a liquid of unknown viscosity and amount."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from simenv.envs import Argument, Range, Task, measures, register_task
from simenv.envs.constants import constant
from simenv.envs.images import camera_image, pixels
from simenv.envs.modes import observe_blocks, with_extras
from simenv.geometry.sampling import fill_cavity
from simenv.geometry.shapes import Box, Cup
from simenv.physics import exact
from simenv.physics.gels.winkler import line_contact_depth
from simenv.physics.mpm.materials import Liquid
from simenv.physics.rotation import quaternion_multiply, rotate
from simenv.render.items import Camera
from simenv.robots import JointDrive, Robot, load, reach
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.tasks.tactile.pour_expert import brim, lean
from simenv.world import Scene

DX = 0.008  # grid spacing [m]; particles at half of it
BOTTLE, GLASS = Cup(0.022, 0.090, 0.003, 0.004), 2500.0  # and its density [kg/m^3]: 115 g
JAR, MIDDLE = Cup(0.034, 0.055, 0.004, 0.005), (0.5, 0.045, 0.0)  # and where it stands, on average [m]
LEVEL = (0.042, 0.060)  # of the liquid above the bottle's foot [m]
ASKED = (0.015, 0.035)  # mass to pour [kg]
GRASP = 0.042  # height of the tool above the bottle's foot [m]
LIP = (-0.010, 0.112)  # y and z at the start of the cavity's edge on the side of the jar [m]
AIM, LOWERED = -0.022, 0.078  # of the lip where the expert pours: y from the jar's middle, and z [m]
LOW, HIGH = (-0.03, 0.075, 0.0), (0.06, 0.13, 2.2)  # of the lip along y and z [m], and of the tilt [rad]
SPEED = (0.08, 0.06, 2.0)  # of an action of 1 [m/s, m/s, rad/s]
WAIT = 8  # control steps in which the arm stands still, at the end of which the load is the tare
FAST, SLOW, LATE = 0.35, 0.1, 0.03  # share of what is new that filtered readings take in each control step
BASE = (0.02, 0.0, -0.66)  # of the robot, on the floor beside the table [m]
POSTURE = {"joint2": -0.48, "joint4": -1.73, "joint6": 2.81, "joint7": 0.785}
ARM = tuple(f"joint{i}" for i in range(1, 8))
FORWARD = (math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0)  # turns the tool's z axis forward and its x axis up
GEL = WinklerGel.from_layer(modulus=1e5, poisson=0.45, thickness=4e-3, mu=1.0)
ROWS, COLUMNS, WIDTH, HEIGHT = 6, 8, 0.020, 0.015  # of a gel: taxels across and along the bottle, and size [m]
GRIP, SQUEEZE = 12.0, 4000.0  # force of each finger [N], and stiffness of its drive [N/m]
NOISE = 0.003  # of each taxel's force, standard deviation [N]: of the load 0.03 N
NEAR, SPILL, SLIP, TURN = 0.003, 0.002, 0.006, 0.12  # success: masses [kg], slip [m], turn in the hand [rad]
KNOTS = brim(BOTTLE)
# the wrist camera in the tool's frame, whose z points along the fingers: above the palm, looking over the bottle
WRIST = Camera((0.10, 0.0, -0.06), (-0.01, -0.05, 0.01), fov_y=1.0, up=(1.0, 0.0, 0.0))


@register_task("SimEnv/TactilePour-v0", max_episode_steps=120)
class TactilePour(Task):
    """## Description

    Pour an asked mass of a liquid out of a bottle between two tactile fingers. A Franka Panda holds an open bottle of
    glass by the friction of the gels on its fingers, beside a jar. Nobody tells how much is in the bottle, nor how
    viscous it is. Arm, fingers, gels, bottle and liquid push each other in every step: what has left the bottle no
    longer pulls at the gels. The arm's drives carry its own weight, as those of a Panda do.

    Differentiable: actions, state and parameters, through inverse kinematics, arm, gels, bottle and liquid. Counts of
    particles, which `success` is made of, have no derivative; the reward counts smoothly.

    It is not: a bottle with a neck (its cavity is a cylinder of 44 mm, 5.5 cells of the grid); a thin liquid (the grid
    damps waves as wide as the bottle as 2.5 Pa s would, shorter ones more, so that of the drawn viscosities only the
    largest show, docs/verification.md); a camera that sees liquid (the wrist camera draws what is opaque); an arm whose
    links and palm touch anything (bottle, jar and table touch each other).

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0 | velocity of the bottle's lip along y, towards the jar | -1 | 1 | 0.08 m/s |
    | 1 | velocity of the lip up | -1 | 1 | 0.06 m/s |
    | 2 | tilt rate about the lip, positive towards the jar | -1 | 1 | 2 rad/s |

    The lip that is meant stays within -0.03 to 0.06 m along y and 0.075 to 0.13 m above the table, the tilt within 0
    and 2.2 rad. Inverse kinematics makes joint targets of it. In the first 8 steps the arm stands still.

    ## Observation Space

    A dict; lengths in metres, masses in kg, forces in newtons, angles in radians. Block `reduced`: `state` (18), asked
    mass, time [s], positions of the 9 joints, lip and tilt as they are meant (3), the jar's x and y with an error of
    1 mm, and the tilt filtered over 0.25 and 0.8 s. Block `touch`: `load` (5), made of the forces of both gels, mean
    over a control step, and of the directions that the joints tell: what the fingers carry now, what they carried
    before the first motion, and how much less it is than that, filtered over 0.06, 0.25 and 0.8 s. Block
    `force_field`: `field` (2, 6, 8, 3), force on each taxel: along the bottle, across it, and into the gel. All taxels
    have noise of 3 mN, so that the load has 0.03 N, the weight of 3 g. Block `wrist_camera`: (64, 64, 3) uint8. Block
    `privileged`: `reduced` and `truth` (5), mass in the bottle, in the jar, and in all, viscosity [Pa s], density
    [kg/m^3]. Modes: any of `reduced` and `privileged` with any of the others, or these alone; `reduced` is the default.

    ## Rewards

    `poured`: 2 for the asked mass in the jar, in proportion, less for what is too much. `spilled`: -1 for as much
    outside of bottle and jar as is asked, in proportion. `reach`: 5 per metre that the lip comes nearer to a place 22
    mm before the jar's middle, 78 mm above the table. `slip`: -0.01 s^2 / (1 + s^2) per step, s the slip of the bottle
    in the hand in units of 6 mm. `effort`: -0.001 |action|^2.

    ## Starting State

    The bottle upright, its lip 10 mm short of the arm's middle plane and 112 mm above the table, the jar up to 6 mm
    from (0.5, 0.045) m along x and y. The liquid stands 42 to 60 mm above the bottle's foot (58 to 85 ml), and 15 to 35
    g are asked. Viscosity (0.03 to 3 Pa s), density and the gels' stiffness are drawn, unless `randomize` is False.

    ## Episode End

    Truncation after 120 steps (3 s). Success: the mass in the jar is within 3 g of the asked one, at most 2 g are
    neither there nor in the bottle, and the bottle is held: moved in the hand by less than 6 mm and turned by less than
    0.12 rad.

    ## Version History

    * v0: first version.
    """

    action_limits = ((-1.0,) * 3, (1.0,) * 3)
    action_names = (("lip along y", "0.08 m/s"), ("lip up", "0.06 m/s"), ("tilt rate", "2 rad/s"))
    observation_modes = with_extras(("reduced", "privileged"), ("touch", "force_field", "wrist_camera"))
    viscosity = Argument(0.3, "of the liquid, the geometric middle of its range", unit="Pa s", above=0.0)
    randomize = Argument(True, "draw viscosity, density and the gels' stiffness for each episode")
    camera_size = Argument((64, 64), "rows and columns of the wrist camera", check=pixels)

    def build(self) -> Scene:
        size, origin = (0.112, 0.168, 0.176), (0.444, -0.076, 0.0)
        scene = Scene(size, DX, 1 / 1200, 30, origin=origin, lead=3e-3)
        scene.view, scene.angles = ((0.36, -0.11, 0.0), (0.56, 0.10, 0.17)), (1.1, 0.35)
        scene.add_material("liquid", Liquid(1000.0, bulk_modulus=1.2e4, viscosity=self.viscosity))
        spacing, foot = DX / 2, np.array([0.5, LIP[0] - BOTTLE.inner_radius, LIP[1] - BOTTLE.height])
        fill = fill_cavity(BOTTLE, LEVEL[1], spacing, jitter=0.1, clearance=0.2 * spacing) + foot
        scene.add_particles("liquid", "liquid", fill, spacing**3, color=(0.42, 0.74, 0.93, 0.04))
        contact: dict[str, Any] = {"friction": 0.2, "width": 0.4 * spacing}
        wood, clay, clear = (0.72, 0.60, 0.45, 1.0), (0.80, 0.52, 0.40, 1.0), (0.93, 0.97, 0.96, 0.2)
        scene.add_body("table", Box((0.13, 0.16, 0.02)), position=(0.5, 0.0, -0.02), motion="fixed", color=wood)
        scene.add_body("jar", JAR, position=MIDDLE, motion="fixed", color=clay, **contact)
        scene.add_body("bottle", BOTTLE, GLASS, tuple(foot), motion="free", coupling="rigid", color=clear, **contact)
        radius = BOTTLE.inner_radius + BOTTLE.wall
        gap = radius - line_contact_depth(GRIP, GEL.k_n, radius, WIDTH)  # of each finger from the middle
        self.closed = gap - GRIP / SQUEEZE  # where the fingers' drives pull to
        posture = self._posture() | dict.fromkeys(("left_finger_joint", "right_finger_joint"), gap)
        drive = JointDrive((2000.0,) * 7 + (SQUEEZE,) * 2, (100.0,) * 7 + (60.0,) * 2)
        scene.add_robot("arm", "panda", BASE, drive=drive, posture=posture)
        grid, half = flat_grid(ROWS, COLUMNS, WIDTH, HEIGHT), math.sqrt(0.5)
        for name, side in (("left", 1.0), ("right", -1.0)):
            finger, turn = f"arm/{name}_finger", (side * half, 0.0, 0.0, half)
            scene.add_gel(name, finger, "bottle", grid, GEL, (0.0, 0.0, 0.1034), turn, particles=False)
            pad = Box((WIDTH / 2, 0.002, HEIGHT / 2))
            scene.add_look(f"{name} pad", pad, finger, (0.0, side * 0.002, 0.1034), color=(0.55, 0.85, 0.95, 0.4))
            for other in ("table", "jar", "arm/left_finger" if name == "right" else "arm/right_finger"):
                scene.let_pass(finger, other, "collisions of the hand are not modelled; the bottle is between them")
        return scene

    @staticmethod
    def _posture() -> dict[str, float]:
        """Joints that hold the bottle where it stands at the start."""
        robot = Robot(load("panda", posture=POSTURE), dtype=torch.float64)
        pose = TactilePour.tool(torch.tensor([[*LIP, 0.0]], dtype=torch.float64))
        pose = pose - torch.tensor([[*BASE, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
        q = reach(robot, robot.posture, "tool", pose, joints=ARM, iterations=40)
        return dict(zip(ARM, q[0, :7].tolist(), strict=True))

    @staticmethod
    def tool(command: torch.Tensor) -> torch.Tensor:
        """Poses (N, 7) of the tool for y and z of the lip [m] and the tilt [rad], (N, 3)."""
        y, z, tilt = command.unbind(-1)
        (sine, cosine), zero = exact.sincos(tilt), torch.zeros_like(tilt)
        across, along = BOTTLE.inner_radius, BOTTLE.height - GRASP
        place = [zero + MIDDLE[0], y - across * cosine - along * sine, z + across * sine - along * cosine]
        sine, cosine = exact.sincos(0.5 * tilt)
        turn = torch.stack([-sine, zero, zero, cosine], -1)
        forward = constant(FORWARD, tilt.dtype, tilt.device).expand_as(turn)
        return torch.cat([torch.stack(place, -1), quaternion_multiply(turn, forward)], -1)

    def sample(self, random):
        steps = (self.max_episode_steps or 120) + 1
        return {
            "asked": random.uniform("asked", *ASKED),
            "level": random.uniform("level", *LEVEL),
            "jar": random.uniform("jar", (-0.006, -0.006, 0.0), (0.006, 0.006, 0.0), (3,)),
            "seen": random.normal("seen", 0.0, 0.001, (2,)),
            "noise": random.normal("noise", 0.0, NOISE, (steps, 2, ROWS * COLUMNS, 3)),
        }

    def randomisation(self):
        stiffness = Range(0.8, 1.2, of=GEL.k_t, unit="Pa/m", stream="gel")
        return {
            "liquid.viscosity": Range(0.1, 10.0, of=self.viscosity, log=True, unit="Pa s", stream="viscosity"),
            "liquid.density": Range(950.0, 1050.0, unit="kg/m^3", stream="density"),
            "left.k_t": stiffness, "right.k_t": stiffness,
        }  # fmt: skip

    def initial_state(self, world, episode):
        state, jar, level = world.initial_state(), world.bodies["jar"], episode["level"]
        depth = state.x[..., 2] - (LIP[1] - BOTTLE.height)
        head = (level[:, None] - depth).clamp(min=0.0)
        ratio = world.parameters["liquid.density"] / world.parameters["liquid.bulk_modulus"]
        state = state.replace(J=1 - 9.81 * ratio[:, None] * head, active=depth < level[:, None])
        place, turn = jar.pose(state).split((3, 4), -1)
        state = world.touch_anew(jar.place(state, torch.cat([place + episode["jar"], turn], -1)))
        zero = torch.zeros_like(level)
        return state.replace(memory=torch.stack([zero + LIP[0], zero + LIP[1], *[zero] * 8], -1))

    # memory: lip and tilt as they are meant (3); load, tare, and what is lost, filtered (3) [N]; filtered tilts (2)

    def _command(self, world, state, action):
        """Lip and tilt (N, 3) as they are meant after an action."""
        moves = (state.time > (WAIT - 0.5) * world.dt).to(action.dtype)[:, None]
        command = state.memory[:, :3] + world.dt * constant(SPEED, action.dtype, action.device) * action * moves
        low, high = (constant(side, action.dtype, action.device) for side in (LOW, HIGH))
        return torch.minimum(torch.maximum(command, low), high)

    def control(self, world, state, action, episode):
        arm = world.robots["arm"]
        pose, q = self.tool(self._command(world, state, action)), arm.positions(state)
        target = reach(arm.model, q, "tool", pose, joints=ARM)
        target = torch.cat([target[:, :7], torch.full_like(target[:, 7:], self.closed)], -1)
        return world.control(joints={"arm": target}, torques={"arm": arm.model.bias(q, torch.zeros_like(q))})

    def _noise(self, world, state, episode):
        """Of the taxels' forces in this control step (N, 2, P, 3) [N]."""
        noise = episode["noise"]
        step = (state.time / world.dt).round().to(torch.int64).clamp(0, noise.shape[1] - 1)
        return noise.gather(1, step[:, None, None, None, None].expand(-1, 1, *noise.shape[2:]))[:, 0]

    def remember(self, world, before, action, after, episode):
        load, tare, *lost, first, second = before.memory[:, 3:].unbind(-1)
        pushes = [world.bodies[f"arm/{name}_finger"].wrench(after)[:, 2] for name in world.gels]
        load = exact.total(exact.total(self._noise(world, after, episode), 2)[..., 1]) - pushes[0] - pushes[1]
        waits, starts = (after.time < (n + 0.5) * world.dt for n in (WAIT, 1))
        tare = torch.where(waits, torch.where(starts, load, tare + 0.5 * (load - tare)), tare)
        less = torch.where(waits, 0.0, tare - load)
        lost = [old + share * (less - old) for old, share in zip(lost, (FAST, SLOW, LATE), strict=True)]
        command = self._command(world, before, action)
        tilts = [old + share * (command[:, 2] - old) for old, share in ((first, SLOW), (second, LATE))]
        return after.replace(memory=torch.cat([command, torch.stack([load, tare, *lost, *tilts], -1)], -1))

    def observe(self, world, state, episode):
        jar, memory = world.bodies["jar"], state.memory

        def reduced():
            now = torch.stack([episode["asked"], state.time], -1)
            seen = jar.pose(state)[:, :2] + episode["seen"]
            joints = world.robots["arm"].positions(state)
            return {"state": torch.cat([now, joints, memory[:, :3], seen, memory[:, 8:]], -1)}

        def privileged():
            density, viscosity = (world.parameters[f"liquid.{name}"] for name in ("density", "viscosity"))
            return reduced() | {"truth": torch.stack([*self.masses(world, state), viscosity, density], -1)}

        def field():
            forces = torch.stack([gel.field(state) for gel in world.gels.values()], 1)
            return {"field": (forces + self._noise(world, state, episode)).unflatten(2, (ROWS, COLUMNS))}

        return observe_blocks(self.observation_mode, {
            "reduced": reduced, "privileged": privileged, "force_field": field,
            "touch": lambda: {"load": memory[:, 3:8]},
            "wrist_camera": lambda: {"wrist_camera": camera_image(world, state, "arm/tool", WRIST, self.camera_size)},
        })  # fmt: skip

    def expert(self, world, state, episode):
        bottle, _, whole = self.masses(world, state)
        y, z, tilt = state.memory[:, :3].unbind(-1)
        over = ((tilt - 0.4) / 0.5).clamp(0.0, 1.0)  # 1 where the lip belongs above the jar
        goal = world.bodies["jar"].pose(state)[:, 1] + AIM
        missing = episode["asked"] - (whole - bottle)
        lack = [
            4.0 * (LIP[0] + over * (goal - LIP[0]) - y), 4.0 * (LIP[1] + over * (LOWERED - LIP[1]) - z),
            5.0 * (lean(bottle / world.parameters["liquid.density"], missing, KNOTS) - tilt),
        ]  # fmt: skip
        return (torch.stack(lack, -1) / constant(SPEED, tilt.dtype, tilt.device)).clamp(-1.0, 1.0)

    def nominal_actions(self, steps):
        """Tip the bottle towards the jar."""
        return np.tile([0.3, -0.3, 0.5], (steps, 1))

    # ------------------------------------------------------------------------------------------------- judgement

    def masses(self, world, state, width=None):
        """Liquid in the bottle, in the jar, and all there is (N,) [kg]: counted, or smoothly over a width [m]."""
        mass = world.parameters["liquid.density"][:, None] * world.volume * state.active.to(state.x.dtype)
        base, found = constant((0.0, 0.0, 0.0), mass.dtype, mass.device), []
        for name, shape in (("bottle", BOTTLE), ("jar", JAR)):
            local = measures.to_frame(state.x, world.bodies[name].pose(state))
            distance = measures.cylinder_distance(local, base, shape.inner_radius + shape.wall, shape.height)
            share = (distance < 0.0).to(mass.dtype) if width is None else exact.sigmoid(-distance / width)
            found.append(exact.total(mass * share))
        return *found, exact.total(mass)

    def slip(self, world, state):
        """How far the bottle has moved (N,) [m] and leant (N,) [rad] in the hand."""
        tool, bottle = world.bodies["arm/tool"].pose(state), world.bodies["bottle"].pose(state)
        away = measures.to_frame(bottle[:, None, :3], tool)[:, 0] + constant((GRASP, 0, 0), tool.dtype, tool.device)
        up, along = (constant(axis, tool.dtype, tool.device) for axis in ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0)))
        up, along = (rotate(q, v.expand(len(q), 3)) for q, v in ((bottle[:, 3:], up), (tool[:, 3:], along)))
        return exact.norm(away), exact.atan2(exact.norm(torch.linalg.cross(up, along)), exact.dot(up, along))

    def _merits(self, world, state, episode):
        """Smooth measures (N,): what the reward counts the changes of."""
        bottle, poured, whole = self.masses(world, state, 0.5 * DX)
        short = ((episode["asked"] - poured) ** 2 + 1e-6).sqrt()  # rounded within 1 g
        pose = world.bodies["bottle"].pose(state)
        edge = constant((0.0, BOTTLE.inner_radius, BOTTLE.height), pose.dtype, pose.device).expand(len(pose), 3)
        lip = pose[:, :3] + rotate(pose[:, 3:], edge)
        aim = world.bodies["jar"].pose(state)[:, :3] + constant((0.0, AIM, LOWERED), pose.dtype, pose.device)
        return {
            "poured": -2.0 * short / episode["asked"],
            "spilled": -(whole - bottle - poured) / episode["asked"],
            "reach": -5.0 * (exact.total((lip - aim)[:, 1:] ** 2) + 1e-6).sqrt(),
        }

    def reward(self, world, before, action, after, episode):
        old, new = self._merits(world, before, episode), self._merits(world, after, episode)
        square = (self.slip(world, after)[0] / SLIP) ** 2
        terms = {name: value - old[name] for name, value in new.items()}
        return terms | {"slip": -0.01 * square / (1.0 + square), "effort": -0.001 * exact.total(action**2)}

    def evaluate(self, world, state, episode):
        bottle, poured, whole = self.masses(world, state)
        (slip, turn), error, spilled = self.slip(world, state), poured - episode["asked"], whole - bottle - poured
        success = (error.abs() < NEAR) & (spilled < SPILL) & (slip < SLIP) & (turn < TURN)
        return {"success": success, "error": error, "spilled": spilled, "slip": slip, "turn": turn}
