# SPDX-License-Identifier: Apache-2.0
"""Bodies, colliders, gels and emitters of a world by name: where they are, how they move, what they feel or let out."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from simenv.physics.constants import constant
from simenv.physics.rotation import quaternion_from_rotation_vector, quaternion_multiply, rotate
from simenv.sensors.tactile import TactileField
from simenv.world.state import check_tensor

if TYPE_CHECKING:
    from simenv.physics.gels.parts import Gel
    from simenv.physics.mpm.parts import Collider, Emitter
    from simenv.physics.parts import Body
    from simenv.world.state import State
    from simenv.world.world import World

__all__ = ["BodyView", "ByName", "ColliderView", "EmitterView", "GelView", "on_pose"]

V = TypeVar("V")


def on_pose(pose: torch.Tensor, position: Any, quaternion: Any) -> torch.Tensor:
    """World poses (N, 7) of a frame with a place [m] and quaternion, or (N, 3) and (N, 4) of them, on poses (N, 7)."""
    local = constant(position, pose.dtype, pose.device).expand(len(pose), 3)
    turn = constant(quaternion, pose.dtype, pose.device).expand(len(pose), 4)
    return torch.cat([pose[:, :3] + rotate(pose[:, 3:], local), quaternion_multiply(pose[:, 3:], turn)], -1)


class ByName(Mapping[str, V]):
    """Things of a world by name; one that is not there is told with the names that are."""

    def __init__(self, what: str, items: Mapping[str, V]):
        self._what, self._items = what, dict(items)

    def __getitem__(self, name: str) -> V:
        if name in self._items:
            return self._items[name]
        close = difflib.get_close_matches(str(name), self._items, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise KeyError(f"no {self._what} {name!r}; {hint}there are: {', '.join(self._items) or 'none'}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


class BodyView:
    """One body in all worlds.

    Attributes:
        index: its row of ``State.body_q``; spec: what the scene says about it.
    """

    def __init__(self, world: World, index: int, spec: Body):
        self._world, self.index, self.spec = world, index, spec

    def pose(self, state: State) -> torch.Tensor:
        """Pose of its shape's frame [m, quaternion xyzw], (N, 7)."""
        return state.body_q[:, self.index]

    def twist(self, state: State) -> torch.Tensor:
        """Velocity of the frame's origin [m/s] and angular velocity [rad/s], world axes, (N, 6)."""
        return state.body_twist[:, self.index]

    def centre(self, state: State) -> torch.Tensor:
        """Its centre of mass [m], (N, 3); of a robot's link the origin of its frame."""
        return self.centre_pose(state)[:, :3]

    def centre_pose(self, state: State) -> torch.Tensor:
        """Pose (N, 7) of its centre of mass, with the axes of its shape's frame."""
        return self._moved(self.pose(state), 1.0)

    def centre_twist(self, state: State) -> torch.Tensor:
        """Velocity of its centre of mass [m/s] and angular velocity [rad/s], world axes, (N, 6)."""
        twist = self.twist(state)
        if not self.arm.any():
            return twist
        arm = self.centre(state) - self.pose(state)[:, :3]
        return torch.cat([twist[:, :3] + torch.linalg.cross(twist[:, 3:], arm), twist[:, 3:]], -1)

    def _moved(self, pose: torch.Tensor, sign: float) -> torch.Tensor:
        """A pose moved by the place of the centre of mass, forth or back."""
        return on_pose(pose, sign * self.arm, (0.0, 0.0, 0.0, 1.0)) if self.arm.any() else pose

    @cached_property
    def arm(self) -> np.ndarray:
        """Its centre of mass in its frame (3,) [m]; zero of a link of a robot."""
        rigid = self._world.scene.touching.get(self.spec.name)
        return self.spec.centre if rigid is None else np.asarray(rigid.tree.links[0].inertial.centre)

    def wrench(self, state: State) -> torch.Tensor:
        """Force [N] and torque about its centre of mass [N m] of all contact, mean over the last control step, world
        axes, (N, 6): of gels, contact points and particles on its colliders, not rigid contact. The torque on a
        robot's link is about the origin of its frame.
        """
        if self.spec.motion == "link":
            return state.link_wrench[:, self._world.robot_solver.row(self.index)]
        total = torch.zeros_like(state.body_twist[:, self.index])
        if "body_wrench" in state:
            total = total + state.body_wrench[:, self.index]
        if not self.spec.is_told or "wrench" not in state:
            return total
        centre, poses = self.centre(state), self._world.collider_poses(state)
        for c, collider in enumerate(self._world.scene.colliders.values()):
            if collider.body == self.spec.name:
                force, torque = state.wrench[:, c, :3], state.wrench[:, c, 3:]
                arm = poses[:, c, :3] - centre
                total = total + torch.cat([force, torque + torch.linalg.cross(arm, force)], -1)
        return total

    def contact_force(self, state: State, other: str | None = None) -> torch.Tensor:
        """Force on it of rigid contact in the last tick of a step, (N, 3) [N], world axes.

        Args:
            state: after the step.
            other: the body that it touches; None for all.

        Raises:
            KeyError: there is no such body.
        """
        world = self._world
        if other is not None:
            other = world.bodies[other].spec.name
        if world.robot_solver is None:
            return torch.zeros_like(state.body_q[:, 0, :3])
        return world.robot_solver.touch(state, self.spec.name, other)

    def push(self, state: State) -> torch.Tensor:
        """The part of its wrench that is contact of points, (N, 6)."""
        return state.push[:, self.index]

    def drive(self, state: State) -> torch.Tensor:
        """Force [N] and torque [N m] of a hand's impedance on it, mean over the last control step, (N, 6)."""
        return state.drive[:, self.index]

    def place(self, state: State, pose: torch.Tensor, twist: torch.Tensor | None = None) -> State:
        """The state with the body at a pose (N, 7) [m, xyzw], at rest or with a twist (N, 6).

        The joints of a robot go, at rest, to where inverse kinematics finds its link there, or as near as it gets, from
        where they are; those that do not move the link stay. What gels remember stays; see `World.touch_anew`.

        Raises:
            ValueError: a twist is given to a robot's link.
        """
        world, touching = self._world, self.spec.name in self._world.scene.touching
        if self.spec.motion == "link" and not touching:
            robot = world.robots[world.scene.robot_of(self.spec.name)]
            if twist is not None:
                raise ValueError(
                    f"body {self.spec.name!r} is a robot's link, whose twist follows from its joints; use "
                    f"world.robots[{robot.spec.name!r}].place(state, positions, rates)"
                )
            return robot.place(state, robot.reach(state, self.spec.name.removeprefix(f"{robot.spec.name}/"), pose))
        poses, twists = state.body_q.clone(), state.body_twist.clone()
        poses[:, self.index], twists[:, self.index] = pose, 0.0 if twist is None else twist
        state = state.replace(body_q=poses, body_twist=twists)
        return world.robot_solver.let_go(state, self.spec.name) if touching else state

    def place_centre(self, state: State, pose: torch.Tensor) -> State:
        """As `place`, at rest, by the pose (N, 7) of its centre of mass."""
        return self.place(state, self._moved(pose, -1.0))

    def near(self, state: State, move: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        """A pose (N, 7) beside its present one: moved (N, 3) [m] and turned by a rotation vector (N, 3) [rad], world
        axes.

        Raises:
            ValueError: a tensor has another dtype or device.
        """
        pose = self.pose(state)
        for name, given in (("move", move), ("turn", turn)):
            check_tensor(f"near: {name}", given, pose.new_empty(given.shape))
        turned = quaternion_multiply(quaternion_from_rotation_vector(turn), pose[:, 3:])
        return torch.cat([pose[:, :3] + move, turned], -1)


class GelView:
    """One gel in all worlds.

    Attributes:
        spec: what the scene says about it; sensor: it as a `TactileField`, for readings of its object beside the
            dynamics, or None for a gel that feels particles only.
        taxels: its slice of the taxel axis of the state.
    """

    def __init__(self, world: World, index: int, spec: Gel, sensor: TactileField | None, taxels: slice):
        self._world, self._index, self.spec, self.sensor, self.taxels = world, index, spec, sensor, taxels

    def pose(self, state: State) -> torch.Tensor:
        """World pose (N, 7) of its frame."""
        spec = self.spec
        place = constant(spec.position, state.body_q.dtype, state.body_q.device)
        if "grip" in state:
            place = place + state.grip[:, :1] * constant(spec.slide, place.dtype, place.device)
        return on_pose(self._world.bodies[spec.on].pose(state), place, spec.quaternion)

    def object_pose(self, state: State) -> torch.Tensor:
        """World pose (N, 7) of the shape that it touches."""
        if self.spec.touches is None:
            raise ValueError("the gel touches no body; it feels particles only")
        body = self._world.bodies[self.spec.touches].pose(state)
        return on_pose(body, self.spec.shape_position, (0.0, 0.0, 0.0, 1.0))

    def nothing(self, state: State) -> tuple[torch.Tensor, ...]:
        """Its rows of ``stick``, ``gel_rotation``, ``gel_offset``, ``field``, ``depth`` and ``gel_wrench`` when nothing
        touches it.
        """
        zero = torch.zeros_like
        spans = (state.stick[:, self.taxels], state.field[:, self.taxels], state.depth[:, self.taxels])
        stick, field, depth = map(zero, spans)
        rows = state.gel_rotation[:, self._index], zero(state.gel_offset[:, self._index])
        return stick, *rows, field, depth, zero(state.gel_wrench[:, self._index])

    def field(self, state: State) -> torch.Tensor:
        """Force on each taxel [N]: shear along x and y, normal, (N, P, 3). Of its object at the end of the last control
        step, of particles the mean over it.
        """
        return state.field[:, self.taxels]

    def depth(self, state: State) -> torch.Tensor:
        """Depth of the object below each taxel [m], (N, P)."""
        return state.depth[:, self.taxels]

    def wrench(self, state: State) -> torch.Tensor:
        """Force [N] on it and moment about its origin [N m], in its frame, (N, 6)."""
        return state.gel_wrench[:, self._index]

    def force(self, state: State) -> torch.Tensor:
        """Force on it in world axes [N], (N, 3); the object feels the opposite."""
        return rotate(self.pose(state)[:, 3:], self.wrench(state)[:, :3])


class ColliderView:
    """One collider in all worlds.

    Attributes:
        spec: what the scene says about it.
    """

    def __init__(self, world: World, index: int, spec: Collider):
        self._world, self._index, self.spec = world, index, spec

    def pose(self, state: State) -> torch.Tensor:
        """Pose of its shape's frame [m, quaternion xyzw], (N, 7)."""
        return self._world.collider_poses(state)[:, self._index]

    def wrench(self, state: State) -> torch.Tensor:
        """Force [N] of particles on it and torque about its origin [N m], mean over the last control step, world axes,
        (N, 6).
        """
        return state.wrench[:, self._index]

    def skin(self, state: State) -> torch.Tensor:
        """Force on each taxel of its skin, as `World.skin`."""
        return self._world.skin(state, self.spec.name)


class EmitterView:
    """One emitter in all worlds.

    Attributes:
        spec: what the scene says about it.
    """

    def __init__(self, index: int, spec: Emitter):
        self._index, self.spec = index, spec

    def emitted(self, state: State) -> torch.Tensor:
        """Number of particles that it has let out, (N,) int64."""
        return state.emitted[:, self._index]


def emitters_of(emitters: Mapping[str, Emitter]) -> ByName[EmitterView]:
    """The emitters of a world."""
    return ByName("emitter", {name: EmitterView(i, spec) for i, (name, spec) in enumerate(emitters.items())})


def colliders_of(world: World, colliders: Mapping[str, Collider]) -> ByName[ColliderView]:
    """The colliders of a world."""
    return ByName("collider", {name: ColliderView(world, i, spec) for i, (name, spec) in enumerate(colliders.items())})


def bodies_of(world: World, bodies: Mapping[str, Body]) -> ByName[BodyView]:
    """The bodies of a world."""
    return ByName("body", {name: BodyView(world, i, spec) for i, (name, spec) in enumerate(bodies.items())})


def gels_of(
    world: World, gels: Mapping[str, Gel], sensors: Mapping[str, TactileField], taxels: Mapping[str, slice]
) -> ByName[GelView]:
    """The gels of a world."""
    views = {n: GelView(world, i, spec, sensors.get(n), taxels[n]) for i, (n, spec) in enumerate(gels.items())}
    return ByName("gel", views)


def names_of(bodies: Mapping[str, Body], motions: Sequence[str]) -> tuple[str, ...]:
    """Names of the bodies with one of these motions."""
    return tuple(name for name, body in bodies.items() if body.motion in motions)
