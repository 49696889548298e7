# SPDX-License-Identifier: Apache-2.0
"""How far a batch of worlds, each with its own guess of some physical parameters, is from an observed rollout.

A guess is a point in the unit box: 0 is the lower limit of a parameter and 1 the upper one, on a logarithmic scale
where both are positive, so that a step is a factor. The residuals of a world are

    r = (simulated - observed) / (scale sqrt(count)),

with a scale and a count of numbers for each observed quantity, so that every quantity adds the mean square of its
relative deviation to the loss ``|r|^2``. Numbers that are NaN in the observation were not seen and do not count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from simenv.envs.observations import density_grid
from simenv.rollouts.errors import RolloutError
from simenv.rollouts.sought import Range
from simenv.world import Control, State, World

Drive = Callable[[State, int], Control]
"""The control of a step, from the state before it and its number, from 0."""
Quantity = Callable[[World, State], torch.Tensor]
"""An observable quantity (N, ...) of a state."""
Remember = Callable[[State, int, State], State]
"""The state after a step, with what a task writes into it, from the state before, the step's number and that state."""

NUDGE = 0.05  # of a parameter's range, by which it is moved to see whether it has any effect
DENSITY_SPACING = 4.0  # of the nodes of the quantity "density", in grid spacings


@dataclasses.dataclass(frozen=True)
class Observed:
    """What was seen of a rollout.

    Attributes:
        values: quantity -> (K, ...), NaN where nothing was seen: a field of the world's state with real numbers, such
            as "x" (K, P, 3) [m], "wrench" (K, Cl, 6) [N, N m] or "body_q" [m, 1]; "density" [kg/m^3] of particles; or
            the name of a quantity of your own.
        steps: (K,) control steps after which it was seen, increasing; 1 is the end of the first.
        scale: quantity -> the deviation that counts as one, in the quantity's unit, such as a sensor's standard
            deviation; the default is the root mean square of its change over the rollout.
    """

    values: Mapping[str, np.ndarray]
    steps: np.ndarray
    scale: Mapping[str, float] = dataclasses.field(default_factory=dict)


def density(world: World, state: State) -> torch.Tensor:
    """Mass density (N, nx, ny, nz) [kg/m^3] on nodes four grid spacings apart over the whole domain."""
    low, high = world.domain()
    shape = np.maximum(np.round((high - low) / (DENSITY_SPACING * world.particles.model.dx)).astype(int) + 1, 2)
    each = [
        world.volume[:, world.particle_groups[name]] * world.parameters[f"{group.material}.density"][:, None]
        for name, group in world.scene.particles.items()
    ]
    whole = slice(0, world.particle_count)
    return density_grid(state, whole, torch.cat(each, 1), shape.tolist(), low.tolist(), high.tolist())


def _field(name: str, world: World, state: State) -> torch.Tensor:
    return state[name]


def quantity(name: str, world: World, state: State, own: Mapping[str, Quantity] | None = None) -> Quantity:
    """The quantity of this name: one of the caller's own, the density of particles, or a field of the state.

    Args:
        name: Its name.
        world: The worlds.
        state: Of theirs, whose fields there are.
        own: The caller's own.

    Raises:
        RolloutError: There is none.
    """
    real = [field for field, value in state.items() if value.is_floating_point()]
    known: dict[str, Quantity] = {field: partial(_field, field) for field in real}
    if world.particle_count:
        known["density"] = density
    known |= own or {}
    if name not in known:
        raise RolloutError(
            f"no observable quantity {name!r}; there are {', '.join(known)}; give others by `quantities`"
        )
    return known[name]


class Comparison:
    """Rolls worlds out with guessed parameters, and compares them with an observation.

    Args:
        world: N worlds; their parameters are left as they were.
        start: The state before the first control step.
        drive: The controls.
        steps: Control steps T.
        observed: What was seen.
        sought: The n parameters that are guessed.
        quantities: Other quantities by name.
        remember: What a task writes into the state after each step.

    Attributes:
        rollouts: Forward simulations of one world so far.
        sweeps: Reverse sweeps of one world so far, each of which simulates forward once more.
        scale: Of each quantity, in its unit.

    Raises:
        RolloutError: The observation does not fit the worlds, or nothing was seen.
    """

    def __init__(
        self, world: World, start: State, drive: Drive, steps: int, observed: Observed, sought: Sequence[Range],
        quantities: Mapping[str, Quantity] | None = None, remember: Remember | None = None,
    ):  # fmt: skip
        self._remember = remember or (lambda before, step, after: after)
        self.world, self.start, self.drive, self.steps, self.sought = world, start.detach(), drive, steps, sought
        self.rollouts = self.sweeps = 0
        self._graph: tuple[torch.Tensor, torch.Tensor] | None = None
        at = np.asarray(observed.steps)
        if not len(at) or at[0] < 1 or at[-1] > steps or np.any(np.diff(at) <= 0):
            raise RolloutError(f"observed steps {at.tolist()} must increase within 1 .. {steps}")
        self._at = {int(step): row for row, step in enumerate(at)}
        self._quantities = {name: quantity(name, world, self.start, quantities) for name in observed.values}
        if not observed.values:
            raise RolloutError("nothing was observed; give at least one quantity")
        self._seen: dict[str, list[torch.Tensor]] = {}
        self._targets: dict[str, list[tuple[torch.Tensor, float]]] = {}
        self.scale: dict[str, float] = {}
        for name, values in observed.values.items():
            self._prepare(name, np.asarray(values, dtype=np.float64), observed)

    def _prepare(self, name: str, values: np.ndarray, observed: Observed) -> None:
        """What was seen of a quantity at each observed step, and its weight."""
        with torch.no_grad():
            shape = tuple(self._quantities[name](self.world, self.start).shape[1:])
        if values.shape != (len(self._at), *shape):
            raise RolloutError(
                f"observed {name!r} has shape {values.shape}, but {len(self._at)} steps of it have "
                f"{(len(self._at), *shape)}; put NaN where nothing was seen"
            )
        seen = np.isfinite(values)
        if not seen.any():
            raise RolloutError(f"observed {name!r} holds no finite number; leave it out")
        scale = observed.scale.get(name)
        if scale is None:
            scale = self._change(name, values, seen)
        if not scale > 0.0:
            raise RolloutError(
                f"the scale {scale} of observed {name!r} is not positive; give the deviation that counts"
            )
        world, weight = self.world, 1.0 / (scale * np.sqrt(seen.sum()))
        self.scale[name] = scale
        self._seen[name] = [torch.as_tensor(row, device=world.device) for row in seen]
        self._targets[name] = [
            (torch.as_tensor(row[mask], device=world.device, dtype=world.dtype), float(weight))
            for row, mask in zip(values, seen, strict=True)
        ]

    def _change(self, name: str, values: np.ndarray, seen: np.ndarray) -> float:
        """Root mean square of what a quantity changes by over the observed steps.

        Raises:
            RolloutError: It was seen too rarely to change, or is constant.
        """
        at = ", ".join(map(str, self._at))
        if seen.sum(0).max() < 2:
            raise RolloutError(
                f"observed {name!r} was seen once only (after control step {at}), so nothing tells by how much it "
                "changes; keep more states (`simenv record --stride` smaller, or `--states all`), or give its scale"
            )
        middle = np.sum(values, 0, where=seen) / np.maximum(seen.sum(0), 1)
        change = float(np.sqrt(np.mean((values - middle)[seen] ** 2)))
        if not change > 0.0:
            raise RolloutError(
                f"observed {name!r} does not change from one observed control step to the next ({at}), so it tells "
                "nothing; compare another quantity (`--observe`), record a motion that changes it, or give its scale"
            )
        return change

    def values(self, points: np.ndarray) -> np.ndarray:
        """Parameter values (N, n) of points (N, n)."""
        columns = [each.value(torch.as_tensor(points[:, i])) for i, each in enumerate(self.sought)]
        return torch.stack(columns, 1).numpy()

    def residuals(self, points: np.ndarray, graph: bool) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (N, m) of points (N, n) in the unit box, and which worlds failed (N,).

        Args:
            points: One guess for each world.
            graph: Whether `gradient` will be asked for.
        """
        world = self.world
        leaf = torch.as_tensor(points, dtype=torch.float64, device=world.device).requires_grad_(graph)
        before = {each.parameter: world.parameters[each.parameter] for each in self.sought}
        try:
            with torch.set_grad_enabled(graph):
                for i, each in enumerate(self.sought):
                    each.put(world.parameters, leaf[:, i])
                r, status = self._roll_out()
        finally:
            for name, value in before.items():
                world.parameters[name] = value
        self.rollouts += world.num_worlds
        failed = (status != 0) | ~torch.isfinite(r.detach()).all(1)
        self._graph = (leaf, torch.where(failed[:, None], 0.0, r)) if graph else None
        return r.detach().to("cpu", torch.float64).numpy(), failed.cpu().numpy()

    def without_effect(self, point: np.ndarray) -> tuple[str, ...]:
        """The parameters whose change leaves every bit of what is compared as it is, at a point (n,). Not counted."""
        moved = point + NUDGE * np.where(point < 0.5, 1.0, -1.0) * np.eye(len(point))
        trials, worlds, kept = np.concatenate([point[None], moved]), self.world.num_worlds, []
        before = self.rollouts
        for begin in range(0, len(trials), worlds):
            chunk = trials[begin : begin + worlds]
            filled = np.concatenate([chunk, np.repeat(chunk[-1:], worlds - len(chunk), 0)])
            r, failed = self.residuals(filled, graph=False)
            kept += [None if bad else row for row, bad in zip(r, failed, strict=True)][: len(chunk)]
        self.rollouts = before
        same = [row is not None and kept[0] is not None and np.array_equal(row, kept[0]) for row in kept[1:]]
        return tuple(each.name for each, equal in zip(self.sought, same, strict=True) if equal)

    def _roll_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        state, parts = self.start, []
        for step in range(self.steps):
            state = self._remember(state, step, self.world.step(state, self.drive(state, step)))
            row = self._at.get(step + 1)
            if row is not None:
                parts += [self._part(name, state, row) for name in self._quantities]
        return torch.cat(parts, 1), state.status

    def _part(self, name: str, state: State, row: int) -> torch.Tensor:
        (target, weight), seen = self._targets[name][row], self._seen[name][row]
        return (self._quantities[name](self.world, state)[:, seen] - target) * weight

    def deviations(self, r: np.ndarray) -> dict[str, float]:
        """Root mean square deviation of each quantity, in its unit, of residuals (m,)."""
        squares, first = dict.fromkeys(self._seen, 0.0), 0
        for row in range(len(self._at)):
            for name, seen in self._seen.items():
                last = first + int(seen[row].sum())
                squares[name] += float((r[first:last] ** 2).sum())
                first = last
        return {name: self.scale[name] * square**0.5 for name, square in squares.items()}

    def gradient(self) -> np.ndarray:
        """Gradient (N, n) of ``|r|^2 / 2`` of every world at the points of the last call of `residuals`."""
        if self._graph is None:
            raise RuntimeError("gradient() needs a call of residuals(..., graph=True) before it, and only one")
        leaf, r = self._graph
        self._graph = None
        (gradient,) = torch.autograd.grad(0.5 * (r.double() ** 2).sum(), leaf)
        self.sweeps += self.world.num_worlds
        return gradient.cpu().numpy()


def record_world(
    world: World, controls: Drive | Sequence[Control], names: Iterable[str], at: Iterable[int],
    start: State | None = None, row: int = 0, quantities: Mapping[str, Quantity] | None = None,
) -> Observed:  # fmt: skip
    """Simulate, and keep what one world shows.

    Args:
        world: The worlds.
        controls: Of the steps.
        names: Quantities to keep.
        at: Control steps after which to keep them, increasing.
        start: The first state; None is the scene as built.
        row: Which world.
        quantities: Other quantities by name.

    Raises:
        RolloutError: The simulation failed.
    """
    drive, steps = as_drive(controls), list(at)
    state, kept = world.initial_state() if start is None else start, {name: [] for name in names}
    observables = {name: quantity(name, world, state, quantities) for name in kept}
    with torch.no_grad():
        for step in range(steps[-1]):
            state = world.step(state, drive(state, step))
            if step + 1 in steps:
                for name, values in kept.items():
                    values.append(observables[name](world, state)[row].double().cpu().numpy())
    if int(state.status[row]):
        raise RolloutError(f"the simulation failed: {world.parameters.explain(int(state.status[row]), row)}")
    return Observed({name: np.stack(values) for name, values in kept.items()}, np.asarray(steps))


def as_drive(controls: Drive | Sequence[Control]) -> Drive:
    """Controls as a function of the state and the step."""
    return controls if callable(controls) else lambda state, step: controls[step]
