# SPDX-License-Identifier: Apache-2.0
"""Rigid bodies of a scene and of a world: how one is sampled, and its motion between `State` and the solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from simenv.geometry.mass import MassProperties, mass_properties
from simenv.geometry.sampling import fill
from simenv.geometry.shapes import Shape
from simenv.physics import checks, exact
from simenv.physics.centres import Centres
from simenv.physics.mpm.model import ProjectedSpec
from simenv.physics.rotation import quaternion_multiply, quaternion_to_matrix, rotate

Quaternion = tuple[float, float, float, float]

_GRID_INERTIA = 1.8  # largest ratio of the inertia on the grid to a body's own; at 2 a body at rest would oscillate


@dataclass(frozen=True)
class Projected:
    """A rigid body of a scene.

    Attributes:
        name: its name, and that of its material and its particle group.
        shape: its solid, in its own frame.
        properties: mass properties per unit density.
        rest: its particles, from the centre of mass in the body's axes [m], (n, 3).
        origin: of its shape's frame at the start [m]; position: of the centre of mass; quaternion: of its axes, xyzw.
        velocity: of the centre of mass [m/s]; angular_velocity: [rad/s], world axes.
    """

    name: str
    shape: Shape
    properties: MassProperties
    rest: np.ndarray
    origin: np.ndarray
    position: np.ndarray
    quaternion: Quaternion
    velocity: tuple[float, float, float]
    angular_velocity: tuple[float, float, float]

    def points(self) -> np.ndarray:
        """Its particles at the start, in the world [m], (n, 3)."""
        return self.position + _turn(self.quaternion, self.rest)

    def spec(self, start: int) -> ProjectedSpec:
        """The body as the solver sees it; `start` is its first particle."""
        p = self.properties
        return ProjectedSpec(start, self.rest, p.volume, p.moments, p.axes)


def _turn(quaternion: Sequence[float], points: np.ndarray) -> np.ndarray:
    return rotate(torch.as_tensor(quaternion, dtype=torch.float64), torch.as_tensor(points)).numpy()


def make_projected(
    name: str, shape: Shape, position: Sequence[float], quaternion: Sequence[float], velocity: Sequence[float],
    angular_velocity: Sequence[float], spacing: float, dx: float,
) -> Projected:  # fmt: skip
    """Sample a body, and check that the grid resolves it; the arguments are those of `Scene.add_body`.

    Raises:
        ValueError: the body is too small for the grid, or a number is not finite.
        TypeError: the shape is none.
    """
    what = f"rigid body {name!r}"
    unit = checks.unit_quaternion(f"{what}: quaternion", quaternion)
    place, speed = checks.vector(f"{what}: position", position), checks.vector(f"{what}: velocity", velocity)
    spin = checks.vector(f"{what}: angular_velocity", angular_velocity)
    properties = mass_properties(checks.solid(what, shape))
    points = fill(shape, spacing, jitter=0.0)
    if len(points) < 8:
        raise ValueError(f"rigid body {name!r} has {len(points)} particles at spacing {spacing} m; use a finer one")
    rest = points - points.mean(0)  # gravity has no moment about the centre of mass
    local = rest @ properties.axes
    square = (local * local).mean(0)
    on_grid = properties.volume * (square.sum() - square + 0.5 * dx * dx)  # with the affine part of APIC
    ratio = float((on_grid / properties.moments).max())
    if ratio > _GRID_INERTIA:
        raise ValueError(
            f"rigid body {name!r} has {ratio:.2f} times its own inertia on the grid, the limit is {_GRID_INERTIA}; "
            f"it is too thin or too small for dx = {dx} m: make it at least three cells wide, or use a finer grid"
        )
    centre = np.asarray(place) + _turn(unit, properties.centre)
    return Projected(name, shape, properties, rest, np.asarray(place), centre, unit, speed, spin)  # type: ignore[arg-type]


class ProjectedMotion:
    """Converts the rigid bodies' part of a `State` to the solver's fields and back; differentiable.

    Args:
        bodies: of the scene, with their slices of the particle axis; device, dtype: of the tensors.
    """

    def __init__(self, bodies: Sequence[tuple[Projected, slice]], device: torch.device, dtype: torch.dtype):
        def tensor(rows: list) -> torch.Tensor:
            return torch.as_tensor(np.stack(rows), dtype=dtype, device=device)

        self._spans = [span for _, span in bodies]
        self._rest = [tensor([body.rest])[0] for body, _ in bodies]
        self._volumes = tensor([[body.properties.volume] for body, _ in bodies])
        self._moments = tensor([body.properties.moments for body, _ in bodies])
        self._axes = tensor([_quaternion_of(body.properties.axes) for body, _ in bodies])
        self._centres = Centres([body.properties.centre for body, _ in bodies], device, dtype)

    def _principal(self, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Quaternions (N, R, 4) from the principal axes to the world, and back."""
        to_world = quaternion_multiply(q, self._axes)
        return to_world, torch.cat([-to_world[..., :3], to_world[..., 3:]], -1)

    def solver_fields(self, pose: torch.Tensor, twist: torch.Tensor) -> dict[str, torch.Tensor]:
        """The solver's fields from the poses (N, R, 7) and twists (N, R, 6) of the shapes' frames; a quaternion counts
        by its direction.
        """
        q = _unit(pose[..., 3:])
        forth, back = self._principal(q)
        spin = rotate(forth, self._moments * rotate(back, twist[..., 3:]))
        position, velocity = self._centres.of_frames(pose[..., :3], q, twist[..., :3], twist[..., 3:])
        fields = {"position": position, "quaternion": q, "velocity": velocity, "spin": spin}
        return {f"projected_{name}": value for name, value in fields.items()}

    def state_fields(self, fields: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Poses and twists of the shapes' frames from the solver's fields."""
        q = _unit(fields["projected_quaternion"])
        forth, back = self._principal(q)
        omega = rotate(forth, rotate(back, fields["projected_spin"]) / self._moments)
        position, velocity = self._centres.frames_of(
            fields["projected_position"], q, fields["projected_velocity"], omega
        )  # fmt: skip
        return torch.cat([position, q], -1), torch.cat([velocity, omega], -1)

    def gain(self, before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], dt: float) -> torch.Tensor:
        """Mean rates of change of the bodies' momentum [m^4/s^2] and angular momentum [m^5/s^2] per unit density,
        (N, R, 6), between the solver's fields before and after a time dt [s].
        """
        faster = after["projected_velocity"] - before["projected_velocity"]
        spun = after["projected_spin"] - before["projected_spin"]
        return torch.cat([self._volumes * faster, spun], -1) / dt

    def placed(
        self, pose: torch.Tensor, twist: torch.Tensor, x: torch.Tensor, v: torch.Tensor, C: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """x, v and C of all particles with those of the bodies where these place them; new tensors."""
        x, v, C = x.clone(), v.clone(), C.clone()
        place, speed = self._centres.of_frames(pose[..., :3], pose[..., 3:], twist[..., :3], twist[..., 3:])
        for index, span in enumerate(self._spans):
            arm = rotate(pose[:, index, None, 3:], self._rest[index])
            omega = twist[:, index, None, 3:].expand_as(arm)
            x[:, span] = place[:, index, None] + arm
            v[:, span] = speed[:, index, None] + torch.linalg.cross(omega, arm)
            zero, (a, b, c) = torch.zeros_like(omega[..., 0]), omega.unbind(-1)
            C[:, span] = torch.stack([zero, -c, b, c, zero, -a, -b, a, zero], -1).unflatten(-1, (3, 3))
        return x, v, C

    def inertia(self, pose: torch.Tensor) -> torch.Tensor:
        """Inertia tensors per unit density in the world [m^5], (N, R, 3, 3)."""
        q, _ = self._principal(pose[..., 3:])
        turn = quaternion_to_matrix(q)
        return exact.matmul(turn * self._moments.unsqueeze(-2), turn.transpose(-1, -2))


def _unit(q: torch.Tensor) -> torch.Tensor:
    return q / exact.norm(q, keepdim=True)


def _quaternion_of(matrix: np.ndarray) -> np.ndarray:
    from trimesh.transformations import quaternion_from_matrix

    pose = np.eye(4)
    pose[:3, :3] = matrix
    w, x, y, z = quaternion_from_matrix(pose)
    return np.array([x, y, z, w])
