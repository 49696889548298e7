# SPDX-License-Identifier: Apache-2.0
"""What PegInsertion, PegPlacement and BoltOnNut share: a gripper with two tactile gels holds a thing above another.

After Akinola et al. 2025 (TacSL), section VI-B and appendix C: randomisation, observations, actions, rewards. The arm
is modelled by what its task-space impedance makes of the hand: 600 N/m, 50 N s/m, 50 N m/rad, 1.41 N m s on 1 kg and
0.01 kg m^2; or, with `robot`, the robot's joints, whose motors pull its tool with the same stiffness and close its two
fingers (docs/robots.md). The arm's own collisions are not modelled; gels touch the held thing only. With
`coupling="rigid"` bare fingers of the robot hold it by friction, and rigid contact is all that touches.
"""

from __future__ import annotations

import dataclasses
import itertools
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

from simenv.envs import Argument, Range, Task
from simenv.envs.constants import constant
from simenv.envs.images import camera_image, gel_images, pixels
from simenv.envs.modes import observe_blocks, with_extras
from simenv.geometry.shapes import Box, Plane, Shape
from simenv.physics import exact
from simenv.physics.gels.winkler import line_contact_depth
from simenv.physics.rotation import quaternion_from_rotation_vector, quaternion_multiply, rotate
from simenv.render.items import Camera
from simenv.sensors.tactile import WinklerGel, flat_grid, layer_gels
from simenv.sensors.tactile.sensors import SENSORS
from simenv.tasks.tactile.peg_arm import PegArm
from simenv.tasks.tactile.peg_expert import lower_into_place
from simenv.tasks.tactile.peg_stages import STAGES
from simenv.world import ContactLaw, Scene

LAYER = {"modulus": 1e5, "poisson": 0.45, "thickness": 4e-3, "mu": 1.0}
GELS, SPRINGS = layer_gels(**LAYER), WinklerGel.from_layer(**LAYER).k_n  # [Pa/m]
ROWS, COLUMNS, WIDTH, HEIGHT = 14, 10, 0.024, 0.032  # of a gel: taxels, and size [m], about that of a GelSight R1.5
GRIP = 10.0  # force of each finger [N]
COUPLINGS = ("gels", "rigid")
SMOOTH = 0.3  # friction of the peg on all but fingers
# of an arm: TacSL's stiffness [N/m], [N m/rad], and damping [N s/m], [N m s] that is half of critical with the Panda's
# inertia, where TacSL's 50 and 1.41 are a quarter
ARM_GAINS = (600.0, 50.0, 100.0, 5.0)
MOVE, TURN = 0.010, 0.05  # of the goal from the hand at an action of 1 [m], [rad]
POLICY_STEPS = 256  # control steps of a sixtieth of a second that the agent acts in
KEYPOINTS = (-0.25, -0.25 / 3, 0.25 / 3, 0.25)  # along the axis of the held thing [m]
DOWN = (1.0, 0.0, 0.0, 0.0)
# the wrist camera in the hand's frame, whose z points along the fingers: beside the palm, looking between the fingers
WRIST = Camera((0.10, 0.0, -0.05), (0.0, 0.0, 0.045), fov_y=0.9, up=(0.0, 0.0, -1.0))
LOW = 0.018  # the hand's goal stays this far above the table [m]


def rings(radius: float, heights: np.ndarray, count: int = 12) -> np.ndarray:
    """Contact points (n, 3) on circles about the axis at some heights [m]."""
    angle = 2 * np.pi * np.arange(count) / count
    circle = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    return np.concatenate([np.concatenate([circle, np.full((count, 1), z)], 1) for z in heights])


class PegTask(Task):
    """A held thing ("peg") and a standing one ("socket"). Subclasses give shapes, goal and success."""

    action_limits = ((-1.0,) * 6, (1.0,) * 6)
    action_names = (
        *((f"goal {axis}", "10 mm") for axis in "xyz"),
        *((f"turn about {axis}", "0.05 rad") for axis in "xyz"),
    )
    observation_modes = with_extras(("privileged", "reduced"), ("tactile_image", "force_field", "wrist_camera"))
    contact_penalty = Argument(0.0, "weight of the contact force", unit="1/N", least=0.0)
    stage = Argument("full", "a shorter way for a curriculum is near, see `PegInsertion-v0`", choices=STAGES)
    robot = Argument(None, '"panda", or a URDF or MJCF file "FILE#TOOL": what holds the peg, with two fingers')
    coupling = Argument(
        "gels", "what touches: gels and stiff points, or rigid contact of a robot's bare fingers", choices=COUPLINGS
    )
    gel = Argument("springs", "taxels of an elastic layer move each other", choices=GELS)
    tactile_sensor = Argument("gelsight_r15", "whose colours", choices=tuple(SENSORS))
    image_size = Argument((80, 60), "rows and columns of the tactile images, as TacSL's policies see", check=pixels)
    camera_size = Argument((64, 64), "rows and columns of the wrist camera", check=pixels)
    # what a subclass gives: density of the peg [kg/m^3]; radius and length of what the fingers hold [m]; its middle and
    # range in the hand along the peg's axis, from the peg's centre of mass [m]; range of the tilt in the hand [rad]
    density: ClassVar[float] = 7850.0
    held_radius: ClassVar[float]
    held_length: ClassVar[float] = HEIGHT
    grasp: ClassVar[tuple[float, float]]
    tilt: ClassVar[float] = 0.628
    play: float  # distance by which the peg may be beside its place when it goes in [m]

    @cached_property
    def arm(self) -> PegArm | None:
        """The robot that holds the peg."""
        if self.robot is None:
            return None
        return PegArm(self.robot, ARM_GAINS, (WIDTH, HEIGHT) if self.rigid else None)

    @property
    def rigid(self) -> bool:
        """Whether rigid contact holds the peg, and no gels."""
        return self.coupling == "rigid"

    @property
    def hand(self) -> str:
        """Name of the body between the fingers."""
        return "hand" if self.arm is None else self.arm.hand

    # ------------------------------------------------------------------------------------------- for subclasses

    def peg(self) -> tuple[Shape, np.ndarray, dict]:
        """The held thing's shape, its contact points in its frame (n, 3), and arguments for its gels."""
        raise NotImplementedError

    def socket(self) -> Shape:
        """The standing thing's shape, its foot at z = 0."""
        raise NotImplementedError

    def seat(self) -> float:
        """Height of the peg's centre above the socket's foot when it is where it should be [m]."""
        raise NotImplementedError

    def mouth(self) -> tuple[float, float]:
        """Height of the socket's top above its foot, and the peg's centre above the peg's lower end [m]."""
        raise NotImplementedError

    def after_policy(self, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
        """Scripted motion after the policy's steps: turn about z (N,) [rad], lift (N,) [m], whether the fingers open
        (N,) bool; None if there is none.
        """
        return None

    # ------------------------------------------------------------------------------------------------- the scene

    def _check_coupling(self) -> None:
        """Raise for bare fingers of no robot, or whose gels are to be observed."""
        if self.rigid and self.arm is None:
            raise ValueError('coupling="rigid" is of a robot\'s fingers; name one, robot="panda", or take "gels"')
        chosen = self.observation_mode
        modes = [chosen] if isinstance(chosen, str) else chosen.values()
        felt = {"tactile_image", "force_field"} & {block for mode in modes for block in mode.split("+")}
        if self.rigid and felt:
            raise ValueError(
                f'observation_mode {self.observation_mode!r}: bare fingers (coupling="rigid") have no gels'
            )

    def build(self) -> Scene:
        self._check_coupling()
        scene = Scene(substep_dt=1.0 / 960.0, substeps=16, lead=1.5e-3, contact=ContactLaw(1e4, 3.0, 5e3, SMOOTH))
        scene.view, scene.angles = ((0.38, -0.1, 0.0), (0.62, 0.1, 0.22)), (0.7, 0.4)
        shape, points, gels = self.peg()
        scene.add_body("table", Plane(), motion="fixed")
        gray = (0.50, 0.55, 0.62, 1.0)
        scene.add_body("socket", self.socket(), position=(0.5, 0.0, 0.0), motion="fixed", color=gray)
        if self.robot is None:
            scene.add_body("hand", position=(0.5, 0.0, 0.15), quaternion=DOWN, motion="hand")
            scene.add_look("palm", Box((0.02, 0.09, 0.012)), "hand", (0.0, 0.0, -0.065), color=(0.90, 0.90, 0.92, 1.0))
        else:
            self.arm.add(scene)
            scene.view, scene.angles = ((-0.12, -0.35, 0.0), (0.65, 0.35, 0.85)), (0.14, 0.35)
        brass = (0.83, 0.62, 0.30, 1.0)
        free: dict[str, Any] = {"motion": "free", "coupling": "rigid" if self.rigid else "contact"}
        scene.add_body("peg", shape, self.density, (0.5, 0.0, 0.12), color=brass, **free)
        if self.rigid:
            self._bare_fingers(scene)
            return scene
        scene.add_points("peg", "socket", points, share=2.0)
        foot = points[points[:, 2] < points[:, 2].min() + 1e-6]
        scene.add_points("peg", "table", foot, share=2.0)
        carriers = [self.hand] if self.arm is None else [self.hand, *(self.arm.finger(side) for side in (0, 1))]
        if self.arm is not None:
            scene.let_pass(carriers[1], carriers[2], "the peg is between them")
        for carrier, standing in itertools.product(carriers, ("table", "socket")):
            scene.let_pass(carrier, standing, "collisions of the arm are not modelled; its goal stays above")
        self._add_gels(scene, gels)
        return scene

    def _bare_fingers(self, scene):
        """What the robot's fingers look like, and how they hold: as gels do, by a friction of 1."""
        scene.rigid = dataclasses.replace(scene.rigid, friction=SMOOTH)
        for side in (0, 1):
            finger = self.arm.finger(side)
            scene.set_contact(finger, "peg", dataclasses.replace(scene.rigid, friction=LAYER["mu"]))
            for i, ridge in enumerate(self.arm.tree.link(self.arm.fingers.links[side]).collisions):
                color = (0.25, 0.27, 0.30, 1.0)
                scene.add_look(f"{finger} ridge {i}", ridge.shape, finger, ridge.position, ridge.quaternion, color)

    def _add_gels(self, scene, gels):
        grid, half = flat_grid(ROWS, COLUMNS, WIDTH, HEIGHT), np.sqrt(0.5)
        for name, side in (("left", 1.0), ("right", -1.0)):
            turn = (side * half, 0.0, 0.0, half)
            if self.arm is None:
                on, slide = "hand", (0.0, side, 0.0)
                place, turned = (0.0, 0.0, 0.0), turn
            else:
                on, slide = self.arm.finger(0 if side > 0.0 else 1), (0.0, 0.0, 0.0)
                place, turned = self.arm.fingers.on(0 if side > 0.0 else 1, (0.0, 0.0, 0.0), turn)
            scene.add_gel(name, on, "peg", grid, self.gel, place, turned, slide, **gels)
            if self.arm is None:
                finger = Box((WIDTH / 2, 0.006, HEIGHT / 2 + 0.02))
                scene.add_look(f"{name} finger", finger, "hand", (0.0, side * 0.0062, -0.02), slide=slide)
            pad = Box((WIDTH / 2 + 0.0015, 0.002, HEIGHT / 2 + 0.0015))  # clear, so that the wrist camera sees past it
            place, turned = (0.0, side * 0.0012, 0.0), (0.0, 0.0, 0.0, 1.0)
            if self.arm is not None:
                place, turned = self.arm.fingers.on(0 if side > 0.0 else 1, place)
            scene.add_look(f"{name} pad", pad, on, place, turned, color=(0.55, 0.85, 0.95, 0.25), slide=slide)

    def view(self, episode):
        """Hand and socket of the episode, from beside the fingers; or the whole arm."""
        if self.robot is not None:
            return None
        hand, socket = episode["hand"], episode["socket"]
        room = constant((0.03, 0.03, 0.03), hand.dtype, hand.device)
        lower, upper = torch.minimum(hand, socket) - room, torch.maximum(hand, socket) + room
        return torch.cat([lower[:, :2], torch.zeros_like(lower[:, 2:])], -1), upper, episode["turn"][:, 2] + 1.1

    def sample(self, random):
        (low, high), stage = self.grasp, self.stage
        episode = {
            "hand": random.uniform("hand", *stage.hand, (3,)),
            "turn": random.uniform("turn", (-0.1, -0.1, -stage.turn), (0.1, 0.1, stage.turn), (3,)),
            "socket": random.uniform("socket", *stage.socket, (3,)),
            "noise": random.uniform("noise", -stage.noise, stage.noise, (3,)),
            "grasp": random.uniform("grasp", low, high), "tilt": random.uniform("tilt", -self.tilt, self.tilt),
        }  # fmt: skip
        if stage.above:
            mouth = constant((0.0, 0.0, sum(self.mouth()) + high), episode["hand"].dtype, episode["hand"].device)
            episode["hand"] = episode["socket"] + mouth + episode["hand"]
        return episode

    def randomisation(self):
        if self.rigid:
            names = sorted(f"{'|'.join(sorted((self.arm.finger(side), 'peg')))}.friction" for side in (0, 1))
            return dict.fromkeys(names, Range(0.6, 1.4, of=LAYER["mu"], stream="friction"))
        return self._soft_randomisation()

    def _soft_randomisation(self):  # TacSL: stiffness 150 to 350 N/m about 250, and gains
        stiffness = self.gel.parameters[0]
        gel = Range(0.6, 1.4, of=getattr(self.gel, stiffness), stream="gel")
        drawn = {f"left.{stiffness}": gel, f"right.{stiffness}": gel}
        if self.arm is not None:  # whose gains have an axis each
            return drawn
        return {
            **drawn,
            "hand.stiffness": Range(400.0, 800.0, unit="N/m", stream="stiffness"),
            "hand.turning_stiffness": Range(30.0, 60.0, unit="N m/rad", stream="turning"),
        }

    def initial_state(self, world, episode):
        zero, down = torch.zeros_like(episode["tilt"]), constant(DOWN, world.dtype, world.device)
        down = down.expand(world.num_worlds, 4)
        hand = quaternion_multiply(quaternion_from_rotation_vector(episode["turn"]), down)
        state, hand = world.initial_state(), torch.cat([episode["hand"], hand], -1)
        joints = None if self.arm is None else self.arm.reached(world, hand)
        state = self._held(world, state, hand, joints, zero)
        name = self.hand
        place, hand = world.bodies[name].pose(state).split((3, 4), -1)
        lean = quaternion_from_rotation_vector(torch.stack([zero, episode["tilt"], zero], -1))
        peg = quaternion_multiply(
            quaternion_multiply(hand, lean), down * constant((-1, -1, -1, 1), world.dtype, world.device)
        )
        up = rotate(peg, torch.stack([zero, zero, episode["grasp"]], -1))
        state = world.bodies["peg"].place_centre(state, torch.cat([place - up, peg], -1))
        socket = world.bodies["socket"]
        state = socket.place(state, torch.cat([episode["socket"], socket.pose(state)[:, 3:]], -1))
        if self.rigid:
            state = world.touch_anew(self._held(world, state, None, joints, self.held_radius + zero))
            return state.replace(memory=torch.zeros_like(world.bodies[name].twist(state)))
        depth = line_contact_depth(GRIP, SPRINGS, self.held_radius, self.held_length)
        for _ in range(3):  # until the gels press with the fingers' force, which grows with depth^1.5
            state = world.touch_anew(self._held(world, state, None, joints, self.held_radius - depth + zero))
            pressed = torch.cat([gel.field(state)[..., 2] for gel in world.gels.values()], 1)
            depth = depth * exact.power(2.0 * GRIP / (exact.total(pressed) + 1e-3), 2.0 / 3.0)
        return state.replace(memory=torch.zeros_like(world.bodies[name].twist(state)))  # the last action

    def _held(self, world, state, hand, joints, half):
        """The state with the hand at poses (N, 7) unless it is there, and fingers half open by (N,) [m]."""
        if self.arm is not None:
            return self.arm.with_fingers(world, state, joints, half)
        state = state if hand is None else world.bodies["hand"].place(state, hand)
        return state.replace(grip=torch.stack([half, torch.zeros_like(half)], -1))

    def control(self, world, state, action, episode):
        move, turn = MOVE * action[:, :3], TURN * action[:, 3:]
        effort = torch.full_like(state.time, -GRIP)
        script = self.after_policy(state.time - (POLICY_STEPS - 0.5) * world.dt)
        if script is not None:
            spin, lift, opens = script
            zero, over = torch.zeros_like(spin), (state.time > (POLICY_STEPS - 0.5) * world.dt)[:, None]
            move = torch.where(over, torch.stack([zero, zero, lift], -1), move)
            turn = torch.where(over, torch.stack([zero, zero, spin], -1), turn)
            effort = torch.where(opens, 0.5 * GRIP, effort)
        name = self.hand
        goal = world.bodies[name].near(state, move, turn)
        goal = torch.cat([goal[:, :2], goal[:, 2:3].clamp(min=LOW), goal[:, 3:]], -1)
        return self.arm.control(world, goal, effort) if self.arm else world.control({}, {"hand": goal}, effort=effort)

    def expert(self, world, state, episode):
        move, turn = lower_into_place(self, world, state, episode)
        return torch.cat([move / MOVE, turn / TURN], -1).clamp(-1.0, 1.0)

    def remember(self, world, before, action, after, episode):
        return after.replace(memory=action)

    def observe(self, world, state, episode):
        hand, peg, socket = (world.bodies[name] for name in (self.hand, "peg", "socket"))

        def reduced():
            seen, joints = episode["socket"] + episode["noise"], []
            if self.arm is None:
                fingers = state.grip[:, :1].expand(-1, 2)
            else:
                both = self.arm.fingers.arm, self.arm.fingers.joints
                *joints, fingers = (self.arm.positions(world, state, each) for each in both)
            return {"state": torch.cat([*joints, fingers, hand.pose(state), seen, socket.pose(state)[:, 3:]], -1)}

        def privileged():
            grip = self._gripped(world, state)
            extra = [hand.twist(state), peg.centre_pose(state), episode["socket"], self._pushed(world, state), *grip]
            return {"state": torch.cat([reduced()["state"], *extra], -1)}

        def field():
            return {f"{n}_field": gel.field(state).unflatten(1, (ROWS, COLUMNS)) for n, gel in world.gels.items()}

        return observe_blocks(self.observation_mode, {
            "reduced": reduced, "privileged": privileged, "force_field": field,
            "tactile_image": lambda: gel_images(world, state, self.image_size, self.tactile_sensor),
            "wrist_camera": lambda: {"wrist_camera": camera_image(world, state, self.hand, WRIST, self.camera_size)},
        })  # fmt: skip

    def _gripped(self, world, state):
        """Forces (N, 3) of the fingers, the one along y first, on the peg [N]."""
        if self.rigid:
            return [world.bodies["peg"].contact_force(state, self.arm.finger(side)) for side in (0, 1)]
        return [-world.gels[name].force(state) for name in ("left", "right")]

    def _pushed(self, world, state):
        """Force (N, 3) of socket and table on the peg [N]."""
        peg = world.bodies["peg"]
        if self.rigid:
            return peg.contact_force(state, "socket") + peg.contact_force(state, "table")
        return peg.push(state)[:, :3]

    # -------------------------------------------------------------------------------------------------- judgement

    def axis(self, world, state):
        """The peg's axis, up where it should be (N, 3)."""
        turn = world.bodies["peg"].pose(state)[:, 3:]
        return rotate(turn, constant((0.0, 0.0, 1.0), world.dtype, world.device).expand(len(turn), 3))

    def offset(self, world, state, episode):
        """The peg's centre of mass from where it should be (N, 3) [m]."""
        seat = constant((0.0, 0.0, self.seat()), world.dtype, world.device)
        return world.bodies["peg"].centre(state) - episode["socket"] - seat

    def keypoint_distance(self, world, state, episode):
        """Mean distance of the keypoints on the peg's axis to theirs on the goal's (N,) [m]."""
        along = constant(KEYPOINTS, world.dtype, world.device)[:, None]
        tip = self.axis(world, state) - constant((0.0, 0.0, 1.0), world.dtype, world.device)
        away = self.offset(world, state, episode)[:, None] + along * tip[:, None]
        return exact.mean((exact.total(away**2) + 1e-10).sqrt())

    def reward(self, world, before, action, after, episode):
        distance = self.keypoint_distance(world, after, episode)
        top, half = self.mouth()
        side = (exact.total(self.offset(world, after, episode)[:, :2] ** 2) + 1e-10).sqrt()
        peg = world.bodies["peg"]
        low = peg.centre(after)[:, 2] - half * self.axis(world, after)[:, 2] < episode["socket"][:, 2] + top
        beside = low & (side > self.held_radius)
        swell = exact.exp(50.0 * distance.clamp(max=1.0))
        push = (exact.total(self._pushed(world, after) ** 2) + 1e-10).sqrt()
        weight = torch.where(side < self.held_radius, 0.01 * self.contact_penalty, self.contact_penalty)
        return {
            "keypoints": -0.1 * distance * torch.where(beside, 10.0, 1.0),
            "close": 0.1 / (swell + 1e-4 + 1.0 / swell),
            "smooth": -0.001 * exact.total((action - before.memory) ** 2 + 1e-8).sqrt(),
            "contact": -weight * push,
        }
