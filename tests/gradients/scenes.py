# SPDX-License-Identifier: Apache-2.0
"""Small worlds in contact, and central differences of a return over many control steps."""

import itertools
from collections.abc import Callable

import numpy as np
import torch

from simenv.geometry.shapes import Plane, Sphere
from simenv.physics.mpm.materials import Bingham, Elastic, ElastoPlastic, HerschelBulkley, Liquid, Sand, Snow
from simenv.world import Control, Scene, State, World

MATERIALS = {
    "liquid": (Liquid(1000.0, 4.0e4),),
    "viscous": (Liquid(1000.0, 4.0e4, 2.0),),
    "corotated": (Elastic(1000.0, 4.0e4, 0.3),),
    "neo_hookean": (Elastic(1000.0, 4.0e4, 0.3, "neo_hookean"),),
    "von_mises_elastic": (ElastoPlastic(1000.0, 4.0e4, 0.3, 1.0e6),),
    "von_mises_flowing": (ElastoPlastic(1000.0, 4.0e4, 0.3, 200.0),),
    "bingham": (Bingham(1000.0, 4.0e4, 20.0, 100.0),),
    "thinning": (HerschelBulkley(1000.0, 4.0e4, 30.0, 0.4, 50.0, 5.0e4),),
    "thickening": (HerschelBulkley(1000.0, 4.0e4, 5.0, 1.6, 50.0, 5.0e4),),
    "sand": (Sand(1000.0, 4.0e4, 0.3, 0.5, dilation_limit=0.002),),
    "cohesive_sand": (Sand(1000.0, 4.0e4, 0.3, 0.6, 60.0, 0.001),),
    "snow": (Snow(1000.0, 4.0e4, 0.2, 0.02, 0.006, 8.0, 8.0),),
    "every_family": (Liquid(1000.0, 4.0e4, 0.5), Elastic(800.0, 3.0e4, 0.35), Snow(400.0, 1.0e4, 0.2, 0.03)),
    "two_materials": (Liquid(1000.0, 4.0e4, 0.5), Elastic(800.0, 3.0e4, 0.35)),
}
FIELDS = ("x", "v", "C", "F", "J")
FRAMES = ("body_q", "free_q", "free_twist")  # poses of bodies that move as told, poses and twists of the others
STEPS, SUBSTEPS = 20, 5
DX, SIDE = 0.02, 6  # grid spacing [m]; particles along an edge of the block, at half the grid spacing


def block(lower, counts, spacing: float = 0.5 * DX, jitter: float = 0.1, seed: int = 1) -> np.ndarray:
    """(n, 3) positions on a lattice that is shaken a little, as a symmetric one sits on kinks [m]."""
    rng = np.random.default_rng(seed)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in counts], indexing="ij"), -1).reshape(-1, 3)
    return np.asarray(lower) + (index + 0.5 + jitter * rng.uniform(-1, 1, index.shape)) * spacing


def press_scene(name: str, substeps: int = SUBSTEPS) -> Scene:
    """A block falls onto a rough floor while a rough ball, moved by `Control.twist`, is pressed into it from above."""
    scene = Scene((0.2, 0.2, 0.2), DX, 4.0e-4, substeps)
    for index, material in enumerate(MATERIALS[name]):
        scene.add_material("abc"[index], material)
    points = block((0.07, 0.07, 0.045), (SIDE,) * 3)
    rng = np.random.default_rng(2)
    velocity = 0.05 * rng.normal(size=points.shape) + np.array([0.1, 0.05, -0.4])
    count = len(MATERIALS[name])
    for index in range(count):
        part = slice(index * len(points) // count, (index + 1) * len(points) // count)
        scene.add_particles("pqr"[index], "abc"[index], points[part], (0.5 * DX) ** 3, velocity[part])
    scene.add_body("hand", position=(0.105, 0.095, 0.13), quaternion=(0.1, 0.2, 0.3, 0.9))
    scene.add_collider("ball", Sphere(0.03), "hand", position=(0.004, -0.003, 0.002), friction=0.4, width=0.02)
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.03), friction=0.3, width=0.02)
    return scene


class Problem:
    """A return of `STEPS` control steps as a function of named leaves, each (N, ...).

    The return mixes the wrench and the touch of every step with the last positions and velocities, with fixed random
    weights.

    Args:
        scene: of the world; worlds: N; dtype: of everything.
        control: makes the `Control` from a step's twist (N, B, 6); steps: control steps; device: of the world.
    """

    def __init__(
        self, scene: Scene, worlds: int = 1, dtype: torch.dtype = torch.float64, steps: int = STEPS,
        control: Callable[[torch.Tensor], Control] = Control, device: str = "cpu",
    ):  # fmt: skip
        self.world, self.control = World(scene, worlds, device, dtype), control
        self.start = self.world.initial_state()
        for name, group in scene.particles.items():
            if isinstance(scene.materials[group.material], Sand):  # at F = I it has no derivative: press it a little
                self.start.F[:, self.world.particle_groups[name]] *= 0.999
        world, random = self.world, torch.Generator().manual_seed(3)
        motions = [body.spec.is_told for body in world.bodies.values()]
        self.told = [row for row, told in enumerate(motions) if told]
        self.free = [row for row, told in enumerate(motions) if not told]

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=random, dtype=torch.float64).to(world.device, dtype)

        particles, bodies, colliders = world.particle_count, len(world.given_names), len(world.collider_names)
        self.weight_x, self.weight_v = normal(particles, 3), 0.1 * normal(particles, 3)
        self.weight_wrench = 0.05 * normal(steps, colliders, 6)
        self.weight_touch = 0.5 * normal(world.particles.model.taxel_count, 3)
        twist = 0.1 * normal(steps, bodies, 6)
        twist = twist + twist.new_tensor([0.1, -0.1, -0.75, 1.0, 2.0, -1.0])
        self.steps = steps
        self.leaves = {"twist": twist.unsqueeze(0).expand(worlds, -1, -1, -1).clone()} if bodies else {}
        self.weight_free = normal(len(self.free), 13)
        for field in FIELDS:
            if field in self.start and self.start[field].numel():
                self.leaves[field] = self.start[field].clone()
        frames = (self.start.body_q[:, self.told], self.start.body_q[:, self.free], self.start.body_twist[:, self.free])
        self.leaves |= {name: value.clone() for name, value in zip(FRAMES, frames, strict=True) if value.numel()}
        for name, value in world.parameters.items():
            if not name.endswith(".scale"):
                self.leaves[name] = value.clone()

    def entering(self, leaves: dict[str, torch.Tensor]) -> State:
        """The state that the leaves give."""
        pose, twist = self.start.body_q.clone(), self.start.body_twist.clone()
        for rows, name in ((self.told, "body_q"), (self.free, "free_q")):
            if name in leaves:
                pose[:, rows] = leaves[name]
        if "free_twist" in leaves:
            twist[:, self.free] = leaves["free_twist"]
        fields = {name: leaves[name] for name in FIELDS if name in leaves}
        return self.start.replace(body_q=pose, body_twist=twist, **fields)

    def readings(self, state: State) -> torch.Tensor | float:
        """What else of a step's state the return counts, (N,)."""
        return 0.0

    def given(self, leaves: dict[str, torch.Tensor], step: int) -> Control:
        """The control of a step that the leaves give."""
        return self.control(leaves["twist"][:, step])

    def returns(self, leaves: dict[str, torch.Tensor]) -> torch.Tensor:
        """(N,) returns; every world has to end with status 0."""
        for name in self.world.parameters:
            if name in leaves:
                self.world.parameters[name] = leaves[name]
        state, total = self.entering(leaves), 0.0
        self.forces = []
        for step in range(self.steps):
            state = self.world.step(state, self.given(leaves, step))
            total = total + (state.wrench * self.weight_wrench[step]).sum((1, 2))
            if "skin_field" in state:
                total = total + (state.skin_field * self.weight_touch).sum((1, 2))
            self.forces.append(state.wrench[0, :, :3].detach())
            total = total + self.readings(state)
        assert (state.status == 0).all(), state.status
        self.last = state
        if self.free:
            moved = torch.cat([state.body_q, 0.1 * state.body_twist], -1)[:, self.free]
            total = total + (moved * self.weight_free).sum((1, 2))
        return total + (state.x * self.weight_x).sum((1, 2)) + (state.v * self.weight_v).sum((1, 2))

    def gradients(self) -> dict[str, torch.Tensor]:
        """Gradient of the sum of the returns with respect to every leaf, from the reverse sweep."""
        leaves = {name: value.clone().requires_grad_() for name, value in self.leaves.items()}
        grads = torch.autograd.grad(self.returns(leaves).sum(), list(leaves.values()))
        return dict(zip(leaves, grads, strict=True))


EPSILONS = (1e-4, 1e-5, 1e-6, 3e-7, 1e-7)
# what counts as a large change of a leaf
UNITS = {"x": 0.5 * DX, "body_q": 0.02, "free_q": 0.02, "C": 100.0, "F": 0.1, "J": 0.1}


def direction(name: str, leaf: torch.Tensor, seed: int) -> torch.Tensor:
    """A random direction for one world's leaf, in `UNITS`; relative for physical parameters."""
    random = torch.Generator().manual_seed(seed)
    d = torch.randn(leaf.shape, generator=random, dtype=leaf.dtype)
    if "." in name:
        return torch.ones_like(leaf) * torch.where(leaf == 0, torch.ones_like(leaf), leaf)
    return UNITS.get(name, 1.0) * d


def central_differences(make: Callable[[int], Problem], names: tuple[str, ...], seed: int) -> dict[str, list[float]]:
    """Directional derivatives for every epsilon; all perturbed copies are worlds of one batch.

    Args:
        make: builds the problem with a number of worlds.
        names: of the leaves to perturb; seed: of the directions.
    """
    problem = make(2 * len(names) * len(EPSILONS))
    leaves = {name: value.clone() for name, value in problem.leaves.items()}
    row = 0
    for name in names:
        d = direction(name, leaves[name][0], seed)
        for epsilon in EPSILONS:
            leaves[name][row] += epsilon * d
            leaves[name][row + 1] -= epsilon * d
            row += 2
    with torch.no_grad():
        values = problem.returns(leaves).reshape(len(names), len(EPSILONS), 2)
    steps = torch.tensor(EPSILONS, dtype=values.dtype)
    slopes = (values[..., 0] - values[..., 1]) / (2 * steps)
    return {name: slopes[index].tolist() for index, name in enumerate(names)}


def plateau(slopes: list[float]) -> float:
    """The central difference where two neighbouring epsilons agree best.

    A larger epsilon crosses kinks of the contact, a smaller one drowns in rounding.
    """
    gaps = [abs(a - b) for a, b in itertools.pairwise(slopes)]
    best = int(np.argmin(gaps))
    return 0.5 * (slopes[best] + slopes[best + 1])
