# SPDX-License-Identifier: Apache-2.0
"""How light a body may be that carries colliders to which it does not answer (answers.py).

A tick gives the material beside a collider the collider's velocity, and the body the opposite momentum in the next: the
body's velocity relative to the material is multiplied by about -m_contact / m_body, which dies out only while the
material beside it is lighter than the body. That mass is at most that of all particles, and about that of a layer over
the collider's surface, half a cell outside: `LAYER` of a cell thick, or `STICKING` where the collider holds all
components of the velocity. A body that turns easily gives way more: the layer has a mass matrix of six by six beside
the body's, and the greatest of their ratios counts.

By experiment (bodies in water and in a soft solid at rest or passing at 0.5 m/s, limits lifted, sound crosses 0.1 or
0.4 cells in a tick), in masses of one cell over the surface, the least stable mass is

* of colliders that hold all components: 0.20 to 0.30 for balls of 1 to 4 cells' radius, 0.9 for a cube of 4 cells whose
  faces lie just outside of nodes (0.16 to 0.20 between them), 0.64 for a plate and 0.9 for a needle 0.3 cells thick
  that hold nodes, 0.15 for a cup that acts half a cell off its walls;
* of others, rough or not: 0.05 to 0.15 for balls, 0.1 to 0.3 for that cube, 0.15 to 0.25 for that plate, and less than
  0.02 for a cup that acts a fifth of a cell off its walls;

and the same at dx = 5, 10 and 20 mm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from simenv.geometry.shapes import Plane
from simenv.physics.limits import Limit
from simenv.physics.mpm.particles import ParticleParts
from simenv.physics.mpm.parts import Collider
from simenv.physics.parts import Body
from simenv.physics.rotation import quaternion_to_matrix
from simenv.physics.status import LIGHT_BODY

__all__ = ["exchange_limits"]

LAYER = 0.3  # thickness of the material that a collider moves at once, in cells
STICKING = 0.6  # the same of one that holds all components of the velocity
HEAVY = 1e6  # a mass that is enough [kg]


def exchange_limits(parts: ParticleParts, eases: Mapping[str, np.ndarray]) -> list[Limit]:
    """The limits on the masses of bodies that feel what their colliders receive.

    Args:
        parts: of the scene.
        eases: inverse inertia (6, 6) of links of robots and rigid bodies about their frames, in their axes, by body.
    """
    limits, answers = [], parts.model.answers or (False,) * len(parts.colliders)
    direct = [c for c, answer in zip(parts.colliders.values(), answers, strict=True) if not answer]
    for name, body in parts.bodies.items():
        colliders = [c for c in direct if c.body == name]
        if body.motion in ("free", "hand") and colliders:
            mass = (np.concatenate([np.ones(3), body.inertia]) ** -1.0)[:, None] * np.eye(6)
            limits.append(_limit(parts, name, True, *_layer(body, colliders, parts.model.dx, mass)))
        if name in eases and colliders:
            weighs = name in parts.rigid
            ease = eases[name] * (body.mass if weighs else 1.0)
            limits.append(_limit(parts, name, weighs, *_layer(body, colliders, parts.model.dx, ease)))
    return limits


def _layer(body: Body, colliders: Sequence[Collider], dx: float, ease: np.ndarray) -> tuple[float, float]:
    """Volume of the layer [m^3], and its greatest mass ratio to the body over that of their masses."""
    volume, matrix = 0.0, np.zeros((6, 6))
    for collider in colliders:
        if any(isinstance(shape, Plane) for shape in collider.spec.shapes):
            return np.inf, 1.0
        thick = dx * (STICKING if collider.spec.sticky else LAYER)
        area, inertia = _surface(body, collider, dx)
        volume, matrix = volume + thick * area, matrix + thick * inertia
    root = np.linalg.cholesky(matrix)
    most = np.linalg.eigvalsh(root.T @ ease @ root).max()
    return volume, float(most) / volume


def _surface(body: Body, collider: Collider, dx: float) -> tuple[float, np.ndarray]:
    """Area of a collider's surface, half a cell outside [m^2], and its mass matrix about the body's centre of mass, in
    the body's axes, at 1 kg/m^2.
    """
    meshes, scale = [shape.to_mesh() for shape in collider.spec.shapes], collider.scale
    mesh = max(meshes, key=lambda each: each.area)  # of those that worlds may hold
    # Steiner's formula for convex bodies, whose mean width is at most the mean extent of a box about them
    own, extents = mesh.area * scale**2, mesh.extents.sum() * scale
    area = own + np.pi * extents * dx + np.pi * dx**2
    turn = quaternion_to_matrix(torch.tensor(collider.quaternion, dtype=torch.float64)).numpy()
    place = np.asarray(collider.position) - body.centre
    # what it moves lies up to a cell inside, if it is that thick
    inside = 0.5 * min(dx, scale * mesh.extents.min())
    corners = scale * mesh.triangles - inside * mesh.face_normals[:, None]
    corners = corners @ turn.T + place
    share = mesh.area_faces * scale**2 * (area / own)
    centres = corners.mean(1)
    first = share @ centres
    # exact over triangles: a / 12 (9 c c^T + the sum over the corners of v v^T)
    second = np.einsum("f,fi,fj->ij", 0.75 * share, centres, centres)
    second = second + np.einsum("f,fki,fkj->ij", share / 12, corners, corners)
    cross = np.array([[0, -first[2], first[1]], [first[2], 0, -first[0]], [-first[1], first[0], 0]])
    inertia = np.trace(second) * np.eye(3) - second
    return area, np.block([[area * np.eye(3), -cross], [cross, inertia]])


def _limit(parts: ParticleParts, name: str, weighs: bool, layer: float, more: float) -> Limit:
    volumes: dict[str, float] = {}
    for group in parts.groups.values():
        volumes[group.material] = volumes.get(group.material, 0.0) + group.volume * len(group.positions)
    densities = tuple(f"{material}.density" for material in volumes)
    names = (f"{name}.mass", *densities) if weighs else densities

    def load(values: Mapping[str, Any]) -> Any:
        # of each material at most what there is of it, and in all at most a layer of the heaviest
        most = sum(values[f"{material}.density"] * min(volume, layer) for material, volume in volumes.items())
        return more * most / values[f"{name}.mass"] if weighs else more * most

    step = f"body {name!r} at dx = {parts.model.dx:g} m"
    why = "what its colliders move at once must be lighter than it"
    remedy = (
        "make it heavier, use a finer grid, or coupling='rigid' with a solid shape, as many particle_substeps as "
        "substeps, grid='dense' and no drag of gas, which bears any mass"
    )
    if not weighs:
        remedy = "make the link heavier, give its joints armature, or use a finer grid or a lighter material"
    return Limit(LIGHT_BODY, names, load, step, why, remedy, good=HEAVY if weighs else 0.0)
