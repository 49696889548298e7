# SPDX-License-Identifier: Apache-2.0
"""The part of a scene that is made of particles: materials, groups, emitters and collectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simenv.physics import checks
from simenv.physics.limits import check_material
from simenv.physics.mpm.inclusions import HOLDS
from simenv.physics.mpm.materials import Material
from simenv.physics.mpm.parts import Collector, Emitter, Inclusion, Particles
from simenv.world.parts.named import Named

if TYPE_CHECKING:
    from simenv.physics.parts import Body


class ParticlesPart(Named):
    """What a scene says about particles.

    Attributes:
        materials, particles, emitters, collectors, inclusions: by name.
    """

    materials: dict[str, Material]
    particles: dict[str, Particles]
    emitters: dict[str, Emitter]
    collectors: dict[str, Collector]
    inclusions: dict[str, Inclusion]
    bodies: dict[str, Body]
    colors: dict

    @property
    def particle_count(self) -> int:
        """Number of particles of one world, those still in the emitters included."""
        return sum(len(group.positions) for group in self.particles.values())

    def add_material(self, name: str, material: Material) -> None:
        """Add a material; its numeric fields become the world parameters ``"<name>.<field>"``.

        Raises:
            ValueError: the substep is too long for the material's speed of sound, or for its viscosity.
        """
        self.need_grid("material", name)
        self._name(self.materials, name, "material")
        check_material(name, material, self.shortest_substep, self.dx)
        self.materials[name] = material

    def add_particles(
        self, name: str, material: str, positions: np.ndarray, volume: float,
        velocity: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0),
        active: bool = True, color: tuple[float, float, float, float] | None = None,
    ) -> slice:  # fmt: skip
        """Add particles at `positions` (n, 3) [m], each of initial `volume` [m^3]; returns their slice of the particle
        axis.
        """
        self.need_grid("particle group", name)
        self._name(self.particles, name, "particle group")
        self._known(self.materials, material, "material")
        positions = np.atleast_2d(np.asarray(positions, dtype=np.float64))
        if positions.ndim != 2 or positions.shape[1] != 3:
            raise ValueError(f"particle group {name!r}: positions are {positions.shape}; they must be (n, 3)")
        if len(positions) == 0:
            raise ValueError(f"particle group {name!r} is empty; check the region that was filled and its spacing")
        lower, upper = np.asarray(self.origin), np.asarray(self.origin) + np.asarray(self.size)
        outside = ~((positions >= lower) & (positions <= upper)).all(1)
        if outside.any():
            worst = positions[outside][0]
            raise ValueError(
                f"{outside.sum()} of {len(positions)} particles of {name!r} lie outside the domain "
                f"{lower} to {upper} m (e.g. {worst}); "
                "move them or enlarge the domain"
            )
        checks.numbers(f"particle group {name!r} [m^3]", positive=True, volume=volume)
        start = self.particle_count
        span = slice(start, start + len(positions))
        velocity = np.broadcast_to(np.asarray(velocity, dtype=np.float64), positions.shape)
        if not np.isfinite(velocity).all():
            raise ValueError(f"particle group {name!r}: a velocity is NaN or infinite; all must be finite")
        self.particles[name] = Particles(name, material, positions, velocity, float(volume), active, span)
        if color is not None:
            self.colors[name] = color
        return span

    def add_inclusion(
        self, name: str, particles: str, centre: Sequence[float], radius: float, stiffness: float,
        edge: float | None = None,
    ) -> None:  # fmt: skip
        """Make a ball inside a group of solid particles stiffer, or softer, than what is around it.

        See `simenv.physics.mpm.inclusions` for the profile of its modulus. It belongs to the material: it moves and
        deforms with the particles that are in it where the scene puts them.

        Args:
            name: its name; ``"<particles>.<name>.x"``, ``".y"``, ``".z"``, ``".radius"`` [m] and ``".stiffness"``
                become world parameters.
            particles: a group of `Elastic` or `ElastoPlastic` material.
            centre: of the ball, at rest [m].
            radius: of the ball [m].
            stiffness: Young's modulus inside over that around it.
            edge: thickness of the shell about the radius in which it goes from one to the other [m], at most the
                diameter; None is `dx`, two particles in the usual lattice, below which centre and radius have no
                useful derivative.

        Raises:
            ValueError: no such group, one that cannot have inclusions, one whose inclusion has this name, no particle
                of it in the ball, or a number is out of range.
        """
        what, full = f"inclusion {name!r} of {particles!r}", f"{particles}.{name}"
        self._known(self.particles, particles, "particle group")
        self._name(self.inclusions, full, "inclusion")
        group = self.particles[particles]
        material = self.materials[group.material]
        if not isinstance(material, HOLDS) or not group.active:
            raise ValueError(
                f"{what}: it needs a solid that is there from the start, but {particles!r} is of "
                f"{type(material).__name__}{'' if group.active else ', let out later'}; use Elastic or ElastoPlastic"
            )
        edge = self.dx if edge is None else edge
        checks.numbers(what, positive=True, radius=radius, stiffness=stiffness, edge=edge)
        if edge > 2.0 * radius:
            raise ValueError(
                f"{what}: edge = {edge} m; it must be at most the diameter, {2.0 * radius} m, for its middle to have "
                "its stiffness; use a larger radius or a finer dx"
            )
        place = checks.vector(f"{what}: centre", centre)
        if not (np.linalg.norm(group.positions - place, axis=1) < radius).any():
            raise ValueError(f"{what}: none of its particles is within {radius} m of {place}; move it, or enlarge it")
        self.inclusions[full] = Inclusion(particles, place, radius, stiffness, edge)  # type: ignore[arg-type]

    def add_emitter(
        self, name: str, body: str, material: str, capacity: int, radius: float, speed: float, count: int,
        seed: int = 0,
        color: tuple[float, float, float, float] | None = None,
    ) -> slice:  # fmt: skip
        """Add a round spout that points along the body's -z axis and lets a jet of a material out.

        Every control step it lets out `count` particles, which fill the cylinder of liquid that leaves the spout in
        that time, so that the flow rate is pi radius^2 speed [m^3/s], until its `capacity` is used up.

        Args:
            name: its name, and that of its particle group.
            body: the body it is fixed to; the jet adds to the body's velocity.
            material: of the jet.
            capacity: number of particles in all.
            radius: of the spout [m].
            speed: of the jet [m/s].
            count: particles per control step.
            seed: of the particles' places in the jet.
            color: for rendering, RGBA; None leaves it to the renderer.

        Returns:
            Slice of the particles.
        """
        self._known(self.bodies, body, "body")
        checks.whole(f"emitter {name!r}", capacity=capacity, count=count)
        if not (0 < radius < np.inf and 0 < speed < np.inf and count <= capacity):
            raise ValueError(
                f"emitter {name!r}: radius {radius} m, speed {speed} m/s, count {count} of {capacity} must be positive"
            )
        rng = np.random.default_rng(seed)
        block = np.arange(capacity) % count
        r = radius * np.sqrt((block + rng.random(capacity)) / count)
        angle = 2 * np.pi * (block * 0.6180339887498949 + rng.random(capacity))
        turns = np.tile(np.arange(count), -(-capacity // count)).reshape(-1, count)
        z = -speed * self.control_dt * (rng.permuted(turns, axis=1)
            .reshape(-1)[:capacity] + 0.5) / count  # fmt: skip
        offsets = np.stack([r * np.cos(angle), r * np.sin(angle), z], 1)
        start = self.particle_count
        parked = np.broadcast_to(np.asarray(self.origin) + 0.5 * np.asarray(self.size), (capacity, 3))
        volume = np.pi * radius**2 * speed * self.control_dt / count
        self.add_particles(name, material, parked, volume, active=False, color=color)
        self.emitters[name] = Emitter(name, body, name, count, (0.0, 0.0, -speed), offsets)
        return slice(start, start + capacity)

    def add_collector(self, name: str, lower: Sequence[float], upper: Sequence[float]) -> None:
        """Add a box [m] which takes out particles that are inside it at the end of a control step."""
        self._name(self.collectors, name, "collector")
        low = checks.vector(f"collector {name!r}: lower", lower)
        high = checks.vector(f"collector {name!r}: upper", upper)
        if not all(a < b for a, b in zip(low, high, strict=True)):
            raise ValueError(f"collector {name!r}: lower {low} m must be below upper {high} m along each axis")
        self.collectors[name] = Collector(name, low, high)  # type: ignore[arg-type]
