# SPDX-License-Identifier: Apache-2.0
"""Read a robot arm from a file: Newton parses it, and what lies between its base and a tool becomes a `Chain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import warp as wp

from simenv import _warp
from simenv._exclusive import one_at_a_time
from simenv.assets import path as asset_path
from simenv.errors import AssetError
from simenv.geometry.shapes import Box, Capsule, Cylinder, Shape, Sphere
from simenv.physics.bodies.chain import Chain, LinkLook

if TYPE_CHECKING:
    import newton

__all__ = ["load"]

# where Franka's own examples start: the hand looks down in front of the base
PANDA_POSTURE = (0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4)


def load(robot: str | Path, tool: str = "tool", posture: Any = None) -> Chain:
    """Read an arm.

    Joints off the way from base to tool, such as those of a gripper, stand at zero, and so do their links: their mass
    is that of the link that carries them. Joint friction that does not grow with speed, springs in joints, and
    collision shapes are left out.

    Args:
        robot: ``"panda"``, or a URDF (``.urdf``) or MJCF (``.xml``) file; ``"FILE#LINK"`` names the tool too.
        tool: the link whose frame is the tool's: z out of the gripper, which opens along y.
        posture: joint positions (n,) from which inverse kinematics starts and to which free motion returns; None is
            the middle of the limits, zero for joints without, and for the Panda its usual posture.

    Returns:
        The chain.

    Raises:
        AssetError: there is no such file or link, the file cannot be read, or a joint or a link of it cannot be used.
        ValueError: the posture has the wrong number of joints or leaves their limits.
    """
    name, _, link = str(robot).partition("#")
    if name == "panda":
        chain = _chain(_parse(asset_path("robots/panda.urdf")), name, link or tool)
        return chain.with_posture(np.asarray(PANDA_POSTURE) if posture is None else posture)
    file = Path(name)
    if not file.is_file():
        raise AssetError(f"there is no robot {name!r}; give 'panda', or the path of a URDF or MJCF file")
    chain = _chain(_parse(file), file.name, link or tool)
    return chain if posture is None else chain.with_posture(posture)


@one_at_a_time
def _parse(file: Path) -> newton.ModelBuilder:
    import newton

    _warp.start()
    builder = newton.ModelBuilder()
    readers = {".urdf": builder.add_urdf, ".xml": builder.add_mjcf, ".mjcf": builder.add_mjcf}
    if file.suffix.lower() not in readers:
        raise AssetError(f"robot {file.name!r} ends in {file.suffix!r}; it must be a .urdf, or an .xml of MJCF")
    try:
        readers[file.suffix.lower()](str(file), enable_self_collisions=False)
    except Exception as error:  # whatever a parser finds wrong
        raise AssetError(f"robot {file.name!r} cannot be read: {error}") from error
    return builder


def _transform(values: Any) -> wp.transformd:
    numbers = np.array(values, dtype=np.float64)
    numbers[3:] /= np.linalg.norm(numbers[3:])
    return wp.transformd(*numbers)


def _parts(pose: wp.transformd) -> tuple[np.ndarray, np.ndarray]:
    """Place (3,) and quaternion (4,); the transform's own p and q are in single precision."""
    numbers = np.array(pose, dtype=np.float64)
    return numbers[:3], numbers[3:]


def _name(label: str) -> str:
    """What the file calls it: Newton puts the names of what it is in before it."""
    return label.rsplit("/", 1)[-1]


def _way(builder: newton.ModelBuilder, name: str, tool: str) -> list[int]:
    """Indices of the joints from the base to the tool's link."""
    labels = [_name(label) for label in builder.body_label]
    if labels.count(tool) != 1:
        raise AssetError(
            f"robot {name!r} has {labels.count(tool)} links {tool!r}; name one of {', '.join(labels)} as tool, such as "
            f"'{name}#{labels[-1] if labels else 'LINK'}'"
        )
    above = {child: joint for joint, child in enumerate(builder.joint_child)}
    body, way = labels.index(tool), []
    while body != -1:
        way.append(above[body])
        body = builder.joint_parent[way[-1]]
    return way[::-1]


def _chain(builder: newton.ModelBuilder, name: str, tool: str) -> Chain:
    from newton import JointType

    way = _way(builder, name, tool)
    moving = [joint for joint in way if builder.joint_type[joint] != JointType.FIXED]
    for joint in moving:
        if builder.joint_type[joint] not in (JointType.REVOLUTE, JointType.PRISMATIC):
            kind = JointType(builder.joint_type[joint]).name.lower()
            raise AssetError(f"robot {name!r}: {_name(builder.joint_label[joint])} is {kind}; it must turn or slide")
    if not moving:
        raise AssetError(f"robot {name!r}: no joint moves {tool!r}; name a link beyond the arm's last joint")
    frames = _frames(builder, moving)
    first = [builder.joint_qd_start[joint] for joint in moving]
    lower, upper = (
        np.array([float(limit[i]) for i in first]) for limit in (builder.joint_limit_lower, builder.joint_limit_upper)
    )
    bounded = (upper - lower) < 1e3
    lower, upper = np.where(bounded, lower, -np.inf), np.where(bounded, upper, np.inf)
    posture = np.where(bounded, 0.5 * (np.where(bounded, lower, 0.0) + np.where(bounded, upper, 0.0)), 0.0)
    effort = np.array([float(builder.joint_effort_limit[i]) for i in first])
    tool_pose = frames[builder.joint_child[way[-1]]][1]
    axes = np.array([np.array(builder.joint_axis[i], dtype=np.float64) for i in first])
    mass, centres, inertia = _masses(builder, frames, name, moving)
    places = [_before(builder, frames, joint) for joint in moving]
    return Chain(
        tuple(_name(builder.joint_label[joint]) for joint in moving),
        np.array([_parts(p)[0] for p in places]), np.array([_parts(p)[1] for p in places]),
        axes / np.linalg.norm(axes, axis=1, keepdims=True),
        np.array([builder.joint_type[joint] == JointType.PRISMATIC for joint in moving]), lower, upper,
        np.where(effort > 0.0, effort, np.inf), np.array([float(builder.joint_damping[i]) for i in first]),
        np.array([float(builder.joint_armature[i]) for i in first]), mass, centres, inertia,
        *_parts(tool_pose), posture, tuple(_looks(builder, frames, moving)),
    )  # fmt: skip


def _before(builder: newton.ModelBuilder, frames: dict, joint: int) -> wp.transformd:
    """A joint's frame in that of the link before it."""
    anchor = _transform(builder.joint_X_p[joint])
    return frames[builder.joint_parent[joint]][1] * anchor


def _frames(builder: newton.ModelBuilder, moving: list[int]) -> dict[int, tuple[int, wp.transformd]]:
    """Of each body: the link of the chain that it is part of (-1: the base), and its pose in that link's frame."""
    frames = {-1: (-1, _transform((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)))}
    left = list(range(len(builder.joint_child)))
    while left:
        for joint in [j for j in left if builder.joint_parent[j] in frames]:
            back = wp.transform_inverse(_transform(builder.joint_X_c[joint]))
            link = frames[builder.joint_parent[joint]][0]
            here = (moving.index(joint), back) if joint in moving else (link, _before(builder, frames, joint) * back)
            frames[builder.joint_child[joint]] = here
            left.remove(joint)
    return frames


def _masses(builder: newton.ModelBuilder, frames: dict, name: str, moving: list[int]):
    """Masses (n,), centres (n, 3) and inertia about them (n, 3, 3) of the links, with all that they carry."""
    count = len(moving)
    mass, first, second = np.zeros(count), np.zeros((count, 3)), np.zeros((count, 3, 3))
    for body, (link, pose) in frames.items():
        if link < 0 or body < 0:
            continue
        m, (place, quaternion) = float(builder.body_mass[body]), _parts(pose)
        turn = np.array(wp.quat_to_matrix(wp.quatd(*quaternion)), dtype=np.float64).reshape(3, 3)
        centre = place + turn @ np.array(builder.body_com[body], dtype=np.float64)
        own = np.array(builder.body_inertia[body], dtype=np.float64).reshape(3, 3)
        mass[link] += m
        first[link] += m * centre
        second[link] += turn @ own @ turn.T + m * (centre @ centre * np.eye(3) - np.outer(centre, centre))
    for link, m in enumerate(mass):
        if not m > 0.0:
            label = _name(builder.joint_label[moving[link]])
            raise AssetError(f"robot {name!r}: what {label} moves has no mass; give its links an inertial")
    centres = first / mass[:, None]
    shift = np.einsum("ni,ni->n", centres, centres)[:, None, None] * np.eye(3) - centres[:, :, None] * centres[:, None]
    return mass, centres, second - mass[:, None, None] * shift


def _looks(builder: newton.ModelBuilder, frames: dict, moving: list[int]):
    """Boxes, balls, cylinders and capsules that the file wants drawn; not meshes, nor what other joints move, such as
    fingers, which a scene draws where its gripper has them.
    """
    from newton import JointType, ShapeFlags

    others = {
        child
        for joint, child in enumerate(builder.joint_child)
        if builder.joint_type[joint] != JointType.FIXED and joint not in moving
    }
    for i, body in enumerate(builder.shape_body):
        shape = _shape(builder.shape_type[i], [float(v) for v in builder.shape_scale[i]])
        if shape is not None and body not in others and builder.shape_flags[i] & ShapeFlags.VISIBLE:
            link, frame = frames[body]
            place, quaternion = _parts(frame * _transform(builder.shape_transform[i]))
            red, green, blue = (float(c) for c in builder.shape_color[i])
            yield LinkLook(link, shape, tuple(place), tuple(quaternion), (red, green, blue, 1.0))


def _shape(kind: int, scale: list[float]) -> Shape | None:
    from newton import GeoType

    if kind == GeoType.BOX:
        return Box((scale[0], scale[1], scale[2]))
    if kind == GeoType.SPHERE:
        return Sphere(scale[0])
    if kind in (GeoType.CAPSULE, GeoType.CYLINDER):
        return (Capsule if kind == GeoType.CAPSULE else Cylinder)(scale[0], scale[1])
    return None
