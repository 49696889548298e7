# SPDX-License-Identifier: Apache-2.0
"""State and control of a batch of worlds, as torch tensors with the world first."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import torch


def check_tensor(name: str, tensor: torch.Tensor, like: torch.Tensor) -> None:
    """Raise ValueError unless a tensor has the shape, dtype and kind of device of another."""
    if not isinstance(tensor, torch.Tensor):
        raise ValueError(f"{name} is a {type(tensor).__name__}; it must be a torch tensor {tuple(like.shape)}")
    if tensor.shape != like.shape or tensor.dtype != like.dtype or tensor.device != like.device:
        raise ValueError(
            f"{name} is {tensor.dtype} {tuple(tensor.shape)} on {tensor.device.type}; this world needs {like.dtype} "
            f"{tuple(like.shape)} on {like.device.type}"
        )


def about(unit: str, compared: bool = False) -> dict[str, Any]:
    """What a field of a state declares.

    Args:
        unit: of its numbers; empty where a task decides.
        compared: whether identification compares it with a recording unless it is told what to compare.
    """
    return {"unit": unit, "compared": compared}


class Batched:
    """What states have in common: they are dataclasses of tensors (N, ...), of which some may be None. Recordings,
    replays and comparisons take names and units from the fields, which declare them by `about`.
    """

    @classmethod
    def units(cls) -> dict[str, str]:
        """Unit of every field by name."""
        return {each.name: each.metadata["unit"] for each in fields(cls)}  # type: ignore[arg-type]

    @classmethod
    def compared(cls) -> tuple[str, ...]:
        """Fields that tell how the world moves, and what its sensors read."""
        return tuple(each.name for each in fields(cls) if each.metadata["compared"])  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, torch.Tensor]:
        """The tensors by name, not copied; those that the scene has."""
        every = {each.name: getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]
        return {name: tensor for name, tensor in every.items() if tensor is not None}

    @classmethod
    def from_dict(cls, tensors: dict[str, torch.Tensor]) -> Self:
        """A state of the tensors of `as_dict`; other entries are ignored."""
        optional = {each.name for each in fields(cls) if each.default is None} - tensors.keys()  # type: ignore[arg-type]
        return cls(**{f.name: tensors[f.name] for f in fields(cls) if f.name not in optional})  # type: ignore[arg-type]

    def check(self, like: Self) -> None:
        """Raise ValueError unless the tensors fit those of a state of the same world, `like`."""
        mine = self.as_dict()
        for name, tensor in like.as_dict().items():
            if name not in mine:
                raise ValueError(f"the state has no {name}, which this world needs; start from initial_state()")
            check_tensor(f"state.{name}", mine[name], tensor)

    @property
    def requires_grad(self) -> bool:
        """Whether any of the tensors is on a graph."""
        return any(tensor.requires_grad for tensor in self.as_dict().values())

    def replace(self, **changes: torch.Tensor) -> Self:
        """A copy with some fields replaced."""
        return replace(self, **changes)  # type: ignore[type-var]

    def clone(self) -> Self:
        """A copy with memory of its own; gradients flow to this state."""
        return self.from_dict({name: tensor.clone() for name, tensor in self.as_dict().items()})

    def detach(self) -> Self:
        """The same tensors, cut from the graph."""
        return self.from_dict({name: tensor.detach() for name, tensor in self.as_dict().items()})

    def where(self, mask: torch.Tensor, other: Self) -> Self:
        """Rows of this state where `mask` (N,) is true and of `other` elsewhere; gradients follow the rows, none
        crosses.
        """
        theirs = other.as_dict()
        return self.from_dict({
            name: torch.where(mask.view(-1, *[1] * (tensor.dim() - 1)), tensor, theirs[name])
            for name, tensor in self.as_dict().items()
        })  # fmt: skip


@dataclass(frozen=True)
class State(Batched):
    """Everything that changes while a world is stepped. P particles, B bodies, R rigid bodies, Cl colliders,
    E emitters.

    Attributes:
        x: particle positions [m], (N, P, 3).
        v: particle velocities [m/s], (N, P, 3).
        C: velocity gradients (APIC) [1/s], (N, P, 3, 3).
        F: elastic deformation gradients, (N, P, 3, 3); (N, 0, 3, 3) if the scene has Newtonian liquids only.
        J: volume ratios of liquids and plastic volume ratios of sand and snow, (N, P); (N, 0) if the scene has none of
            them.
        active: which particles take part, (N, P) bool.
        body_q: poses of the kinematic bodies [m, quaternion xyzw], (N, B, 7).
        body_twist: the twist commanded last [m/s, rad/s], world axes, at the body's origin, (N, B, 6).
        wrench: force [N] and torque about the collider's origin [N m] that each collider received, mean over the last
            control step, world axes, (N, Cl, 6).
        time: simulated time [s], (N,).
        emitted: particles that each emitter has let out, (N, E) int64.
        status: bits of `simenv.physics.status`, (N,) int32; not zero means that the world has stopped at its last good
            state.
        rigid_q: poses of the rigid bodies' centres of mass [m, quaternion xyzw], (N, R, 7); None in a scene without.
            They place their particles: changing ``x``, ``v`` or ``C`` of those has no effect.
        rigid_twist: velocities of the centres [m/s] and angular velocities [rad/s], world axes, (N, R, 6), or None.
        substeps: how many the last control step took, (N,) int32; None in a scene without ``max_substeps``.
        touch: force that material exerted on each taxel of the skins [N], mean over the last control step, in the axes
            of the taxel's collider, (N, T, 3); None in a scene without skins. `World.skin` has one skin's.
        memory: numbers that the task keeps through an episode, (N, M), or None (`Task.remember`).
    """

    x: torch.Tensor = field(metadata=about("m", compared=True))
    v: torch.Tensor = field(metadata=about("m/s"))
    C: torch.Tensor = field(metadata=about("1/s"))
    F: torch.Tensor = field(metadata=about("1"))
    J: torch.Tensor = field(metadata=about("1"))
    active: torch.Tensor = field(metadata=about("1"))
    body_q: torch.Tensor = field(metadata=about("m, 1"))
    body_twist: torch.Tensor = field(metadata=about("m/s, rad/s"))
    wrench: torch.Tensor = field(metadata=about("N, N m"))
    time: torch.Tensor = field(metadata=about("s"))
    emitted: torch.Tensor = field(metadata=about("1"))
    status: torch.Tensor = field(metadata=about("1"))
    rigid_q: torch.Tensor | None = field(default=None, metadata=about("m, 1", compared=True))
    rigid_twist: torch.Tensor | None = field(default=None, metadata=about("m/s, rad/s"))
    substeps: torch.Tensor | None = field(default=None, metadata=about("1"))
    touch: torch.Tensor | None = field(default=None, metadata=about("N"))
    memory: torch.Tensor | None = field(default=None, metadata=about(""))


@dataclass(frozen=True)
class Control:
    """Inputs of one control step, held constant over it.

    Attributes:
        twist: linear velocity of each body's origin [m/s] and angular velocity [rad/s], world axes, (N, B, 6).
        emit: which emitters are open, (N, E) bool; None opens all.
    """

    twist: torch.Tensor
    emit: torch.Tensor | None = None
