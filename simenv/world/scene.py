# SPDX-License-Identifier: Apache-2.0
"""The scene builder: materials, particles, bodies, rigid bodies, colliders, emitters and collectors of one world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from simenv.geometry.shapes import Shape
from simenv.physics.mpm.blocks import default_capacity
from simenv.physics.mpm.materials import Material
from simenv.physics.mpm.materials import Rigid as RigidMaterial
from simenv.physics.mpm.model import PAD, ColliderSpec, MPMModel
from simenv.physics.mpm.skin import SkinSpec
from simenv.physics.rotation import quaternion_to_matrix
from simenv.world import checks
from simenv.world.drawn import Drawn
from simenv.world.limits import check_material
from simenv.world.parts import Body, Collector, Collider, Emitter, Particles
from simenv.world.projected import Rigid, make_rigid

if TYPE_CHECKING:
    from simenv.world.world import World


@dataclass
class Scene(Drawn):
    """Describes one world; `World` makes N copies of it, each with its own state and physical parameters.

    Args:
        size: extent of the domain [m]; its walls act as `boundary` says.
        dx: grid spacing [m].
        substep_dt: time step of the solver [s].
        substeps: substeps of one control step.
        gravity: [m/s^2].
        origin: lower corner of the domain [m].
        boundary: ``"separate"`` (frictionless, material may leave the wall), ``"slip"`` (it may not), ``"stick"``,
            ``"periodic"`` or ``"outflow"`` (what crosses the wall is gone); one, or one for each axis. Close one end
            of an open axis with a plane collider.
        max_substeps: None for a fixed substep. Else each control step of each world takes ``substeps``, twice as many,
            ... up to this, as its materials and its speed need (`simenv.world.pace.Pace`).
        grid: ``"dense"``, or ``"sparse"``: memory for the nodes near material only, in blocks of 4 x 4 x 4.
        blocks: capacity of a sparse grid, for each world; None is four times what the particles touch at the start.

    Raises:
        ValueError: ``max_substeps`` is not ``substeps`` times a power of two; an unknown grid, or blocks without one;
            size, gravity or origin are not three finite numbers.
    """

    size: tuple[float, float, float]
    dx: float
    substep_dt: float
    substeps: int
    gravity: tuple[float, float, float] = (0.0, 0.0, -9.81)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    boundary: str | tuple[str, str, str] = "separate"
    max_substeps: int | None = None
    grid: str = "dense"
    blocks: int | None = None
    materials: dict[str, Material] = field(default_factory=dict, init=False)
    particles: dict[str, Particles] = field(default_factory=dict, init=False)
    bodies: dict[str, Body] = field(default_factory=dict, init=False)
    rigids: dict[str, Rigid] = field(default_factory=dict, init=False)
    colliders: dict[str, Collider] = field(default_factory=dict, init=False)
    emitters: dict[str, Emitter] = field(default_factory=dict, init=False)
    collectors: dict[str, Collector] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.substep_counts()
        for name in ("size", "gravity", "origin"):
            setattr(self, name, checks.vector(name, getattr(self, name)))
        if self.grid not in ("dense", "sparse"):
            raise ValueError(f"grid = {self.grid!r}; use 'dense' or 'sparse'")
        if self.blocks is not None and (self.grid == "dense" or self.blocks < 1):
            raise ValueError(
                f"blocks = {self.blocks} with grid = {self.grid!r}; it is the capacity of a sparse grid, at least 1"
            )

    def substep_counts(self) -> list[int]:
        """Numbers of substeps that a control step can have."""
        counts, last = [self.substeps], self.substeps if self.max_substeps is None else self.max_substeps
        while 0 < counts[-1] < last:
            counts.append(2 * counts[-1])
        if counts[-1] != last:
            raise ValueError(
                f"max_substeps = {last} is not substeps = {self.substeps} times a power of two; use one of "
                f"{', '.join(str(self.substeps * 2**power) for power in range(1, 6))}, or None for a fixed substep"
            )
        return counts

    @property
    def control_dt(self) -> float:
        """Duration of a control step [s]."""
        return self.substep_dt * self.substeps

    @property
    def particle_count(self) -> int:
        """Number of particles of one world, those still in the emitters included."""
        return sum(len(group.positions) for group in self.particles.values())

    def _name(self, kind: dict, name: str, what: str) -> None:
        if name in kind:
            raise ValueError(f"{what} {name!r} exists already; give each {what} its own name")

    def _known(self, kind: dict, name: str, what: str) -> None:
        if name not in kind:
            raise ValueError(f"there is no {what} {name!r}; the scene has: {', '.join(kind) or 'none'}")

    def add_material(self, name: str, material: Material) -> None:
        """Add a material; its numeric fields become the world parameters ``"<name>.<field>"``.

        Raises:
            ValueError: the substep is too long for the material's speed of sound, or for its viscosity.
        """
        self._name(self.materials, name, "material")
        check_material(name, material, self.shortest_substep, self.dx)
        self.materials[name] = material

    @property
    def shortest_substep(self) -> float:
        """The shortest substep that a control step can have [s]."""
        return self.substep_dt / 2 ** (len(self.substep_counts()) - 1)

    def check_parameter(self, name: str, value: float) -> None:
        """Raise ValueError if the world parameter of this name could not have this value, say by a search: the material
        or the collider refuses it, or the substep is too long for it.
        """
        owner, _, parameter = name.rpartition(".")
        if owner in self.materials:
            changed = replace(self.materials[owner], **{parameter: value})
            check_material(owner, changed, self.shortest_substep, self.dx)
        elif owner in self.colliders and not value >= 0:
            raise ValueError(f"{name} = {value}; it must not be negative")

    def add_particles(
        self, name: str, material: str, positions: np.ndarray, volume: float,
        velocity: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0),
        active: bool = True, color: tuple[float, float, float, float] | None = None,
    ) -> slice:  # fmt: skip
        """Add particles at `positions` (n, 3) [m], each of initial `volume` [m^3]; returns their slice of the particle
        axis.
        """
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

    def add_body(
        self, name: str, position: Sequence[float], quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0)
    ) -> None:
        """Add a kinematic body at a pose [m, quaternion xyzw]; `Control.twist` moves it."""
        self._name(self.bodies, name, "body")
        unit = checks.unit_quaternion(f"body {name!r}: quaternion", quaternion)
        self.bodies[name] = Body(name, checks.vector(f"body {name!r}: position", position), unit)  # type: ignore[arg-type]

    def add_rigid(
        self, name: str, shape: Shape, density: float, position: Sequence[float],
        quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0), velocity: Sequence[float] = (0.0, 0.0, 0.0),
        angular_velocity: Sequence[float] = (0.0, 0.0, 0.0), spacing: float | None = None,
        color: tuple[float, float, float, float] | None = None,
    ) -> slice:  # fmt: skip
        """Add a rigid body that moves freely, and exchanges momentum with all it touches through the grid.

        Args:
            name: its name, that of its particle group, and of its material: ``"<name>.density"`` is a world parameter.
            shape: its solid, with exact mass properties; a `MeshShape` for a mesh. At least about three cells wide.
            density: [kg/m^3].
            position: of the shape's frame at the start [m]; the state has the centre of mass.
            quaternion: of the shape's frame, xyzw.
            velocity: of the centre of mass [m/s].
            angular_velocity: [rad/s], world axes.
            spacing: of its particles [m]; None is half the grid's.
            color: for rendering, RGBA; None leaves it to the renderer.

        Returns:
            Slice of its particles.

        Raises:
            ValueError: a name is taken, or the body is too small for the grid or outside the domain.
        """
        self._name(self.materials, name, "material")
        spacing = 0.5 * self.dx if spacing is None else spacing
        body = make_rigid(name, shape, position, quaternion, velocity, angular_velocity, spacing, self.dx)
        self.add_material(name, RigidMaterial(density))
        points = body.points()
        arm = points - body.position
        speed = np.asarray(body.velocity) + np.cross(body.angular_velocity, arm)
        self.rigids[name] = body
        return self.add_particles(name, name, points, body.properties.volume / len(points), speed, color=color)

    def add_collider(
        self, name: str, shape: Shape, body: str | None = None, position: Sequence[float] = (0.0, 0.0, 0.0),
        quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0), friction: float = 0.0, width: float = 0.0,
        stick: bool = False,
        scale: float = 1.0, color: tuple[float, float, float, float] = (0.7, 0.7, 0.72, 1.0), levels: int | None = None,
    ) -> None:  # fmt: skip
        """Add a collision shape.

        Args:
            name: its name; ``"<name>.friction"`` and ``"<name>.scale"`` become world parameters.
            shape: a shape of `simenv.geometry.shapes`.
            body: the body that carries it; None fixes it to the world.
            position: of its frame relative to the body [m].
            quaternion: of its frame relative to the body, xyzw.
            friction: Coulomb's coefficient.
            width: distance over which contact fades in [m]; 0 is a hard contact, and gradients with respect to pose
                want > 0. About a cell for solid shapes; for vessels and meshes, which hold particles off by part of
                it, about half the spacing of the particles.
            stick: whether what touches it moves with it.
            scale: factor on the shape's lengths.
            color: for rendering, RGBA; alpha below 1 is glass.
            levels: where it acts, see `ColliderSpec`.
        """
        self._name(self.colliders, name, "collider")
        if body is not None:
            self._known(self.bodies, body, "body")
        what = f"collider {name!r}"
        checks.numbers(what, friction=friction, width=width)
        checks.numbers(what, positive=True, scale=scale)
        spec = ColliderSpec(checks.solid(what, shape), width, stick, levels)
        place = checks.vector(f"{what}: position", position)
        unit = checks.unit_quaternion(f"{what}: quaternion", quaternion)
        self.colliders[name] = Collider(name, spec, body, place, unit, friction, scale, color)  # type: ignore[arg-type]

    def add_skin(
        self, collider: str, rows: int, columns: int, width: float, height: float,
        position: Sequence[float] = (0.0, 0.0, 0.0), quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
    ) -> None:  # fmt: skip
        """Cover a part of a collider with taxels that feel material: liquids, soft bodies, grains.

        The frame of the skin has x along the columns, y along the rows and z out of the surface. The skin is the
        rectangle around its origin; what touches the collider above or below it is read (`World.skin`). Contact acts at
        grid nodes or particles, so that taxels much smaller than a cell show no more.

        Args:
            collider: a collider of the scene without a skin.
            rows: of taxels, at least 2.
            columns: at least 2.
            width: extent along x [m].
            height: extent along y [m].
            position: of the skin's frame in that of the collider's shape (it scales with it) [m].
            quaternion: of that frame, xyzw.

        Raises:
            ValueError: no such collider, it has a skin already, or a number is out of range.
        """
        self._known(self.colliders, collider, "collider")
        owner = self.colliders[collider]
        if owner.spec.skin is not None:
            raise ValueError(f"collider {collider!r} has a skin already; a collider has one, split it for more")
        checks.whole(f"skin of {collider!r}", rows=rows, columns=columns)
        if rows < 2 or columns < 2 or not 0 < width < np.inf or not 0 < height < np.inf:
            raise ValueError(
                f"skin of {collider!r}: {rows} x {columns} taxels on {height} x {width} m; it needs at least 2 x 2 "
                "on a positive area"
            )
        unit = checks.unit_quaternion(f"skin of {collider!r}: quaternion", quaternion)
        place = np.array(checks.vector(f"skin of {collider!r}: position", position))
        axes = quaternion_to_matrix(torch.tensor(unit, dtype=torch.float64)).numpy()
        along = np.stack([axes[:, 0] * width / columns, axes[:, 1] * height / rows])
        skin = SkinSpec(rows, columns, place, along)
        self.colliders[collider] = replace(owner, spec=replace(owner.spec, skin=skin))

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

    def make_world(
        self, num_worlds: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> World:
        """N copies of the scene."""
        from simenv.world.world import World

        return World(self, num_worlds, device, dtype)

    def mpm_model(self) -> MPMModel:
        """The scene as the solver sees it."""
        if not self.particles:
            raise ValueError("the scene has no particles; add some with add_particles")
        names = list(self.materials)
        material = np.concatenate([
            np.full(len(group.positions), names.index(group.material), dtype=np.int32)
            for group in self.particles.values()
        ])  # fmt: skip
        boundary = (self.boundary,) * 3 if isinstance(self.boundary, str) else tuple(self.boundary)
        return MPMModel(
            size=tuple(self.size),  # type: ignore[arg-type]
            dx=self.dx, dt=self.substep_dt, substeps=self.substeps, material=material,
            kinds=tuple(material.kind for material in self.materials.values()),
            origin=tuple(self.origin), boundary=boundary,  # type: ignore[arg-type]
            colliders=tuple(collider.spec for collider in self.colliders.values()), blocks=self._capacity(),
            rigids=tuple(body.spec(self.particles[name].span.start) for name, body in self.rigids.items()),
        )  # fmt: skip

    def _capacity(self) -> int:
        """Blocks of a sparse grid; 0 for a dense one."""
        if self.grid == "dense" or self.blocks is not None:
            return self.blocks or 0
        groups = self.particles.values()
        points = np.concatenate([group.positions for group in groups if group.active] or [np.zeros((0, 3))])
        later = sum(group.volume * len(group.positions) for group in groups if not group.active)
        return default_capacity(points, later, np.asarray(self.origin) - PAD * self.dx, self.dx)
