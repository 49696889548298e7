# SPDX-License-Identifier: Apache-2.0
"""State and control of a batch of worlds, as torch tensors with the world first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

# Which part of a scene gives a state a field, for who asks for one that is not there.
_GIVEN_BY = {
    **dict.fromkeys(("x", "v", "C", "F", "J", "active", "wrench", "emitted"), "add_particles"),
    **dict.fromkeys(("body_wrench", "push", "drive"), "add_body(..., motion='free' or 'hand')"),
    **dict.fromkeys(("stick", "gel_rotation", "gel_offset", "field", "depth", "gel_wrench"), "add_gel"),
    "held": "add_points", "grip": "add_gel(..., slide=...)", "joint_q": "add_robot", "joint_qd": "add_robot",
    **dict.fromkeys(("gas_u", "gas_v", "gas_w", "gas_scalar", "gas_pressure", "gas_divergence"), "add_gas"),
    "gas_wrench": "add_gas(...) around something solid",
    "link_wrench": "add_robot",
    **dict.fromkeys(("anchor", "closing", "contact_impulse"), "add_body(..., coupling='rigid')"),
    "owed": "add_body(..., coupling='rigid') among particles", "gas_owed": "add_body(..., motion='free') in gas",
    "skin_field": "add_skin",
    "substeps": "Scene(max_substeps=...)", "memory": "Task.initial_state",
}  # fmt: skip
_RENAMED = {
    "rigid_q": "body_q (the shape's frame), or world.bodies[name].pose(state) and .centre(state)",
    "rigid_twist": "body_twist, or world.bodies[name].twist(state)",
    "touch": "skin_field, or world.skin(state, collider)",
    "as_dict": "dict(state)",
}


def check_tensor(name: str, tensor: torch.Tensor, like: torch.Tensor) -> None:
    """Raise ValueError unless a tensor has the shape, dtype and kind of device of another."""
    if not isinstance(tensor, torch.Tensor):
        raise ValueError(f"{name} is a {type(tensor).__name__}; it must be a torch tensor {tuple(like.shape)}")
    if tensor.shape != like.shape or tensor.dtype != like.dtype or tensor.device != like.device:
        raise ValueError(
            f"{name} is {tensor.dtype} {tuple(tensor.shape)} on {tensor.device.type}; this world needs {like.dtype} "
            f"{tuple(like.shape)} on {like.device.type}"
        )


class State(Mapping[str, torch.Tensor]):
    """Everything that changes while a world is stepped: an immutable mapping of names to tensors (N, ...), which are
    attributes as well: ``state.x``.

    Which fields there are follows from the scene; `World.fields` tells shapes, units and meaning. All have

    * ``body_q`` (N, B, 7): poses of the frames of the bodies' shapes [m, quaternion xyzw], in the order in which the
      scene was given them;
    * ``body_twist`` (N, B, 6): velocities of these frames' origins [m/s] and angular velocities [rad/s], world axes;
    * ``time`` (N,) [s] and ``status`` (N,) int32, bits of `simenv.physics.status`: not zero means that the world has
      stopped at its last good state.

    A task may add rows of its own, such as ``memory`` (`Task.remember`), which steps pass on.
    """

    __slots__ = ("_tensors",)

    def __init__(self, tensors: Mapping[str, torch.Tensor] | None = None, /, **named: torch.Tensor):
        object.__setattr__(self, "_tensors", {**(tensors or {}), **named})

    def __getattr__(self, name: str) -> torch.Tensor:
        if name.startswith("_"):  # such as what copying and pickling look for
            raise AttributeError(name)
        try:
            return self._tensors[name]
        except KeyError:
            raise AttributeError(self._missing(name)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a state does not change; use state.replace({name}=...)")

    def __getitem__(self, name: str) -> torch.Tensor:
        try:
            return self._tensors[name]
        except KeyError:
            raise KeyError(self._missing(name)) from None

    def _missing(self, name: str) -> str:
        if name in _RENAMED:
            return f"the state has no {name!r} any more; use {_RENAMED[name]}"
        remedy = f"; Scene.{_GIVEN_BY[name]} gives it" if name in _GIVEN_BY else ""
        if _GIVEN_BY.get(name, "").startswith(("Scene", "Task")):
            remedy = f"; {_GIVEN_BY[name]} gives it"
        return f"the state of this world has no {name!r}{remedy}. It has {', '.join(self._tensors)}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __getstate__(self) -> dict[str, torch.Tensor]:
        return dict(self._tensors)

    def __setstate__(self, tensors: dict[str, torch.Tensor]) -> None:
        object.__setattr__(self, "_tensors", dict(tensors))

    def __repr__(self) -> str:
        return f"State({', '.join(f'{name} {tuple(tensor.shape)}' for name, tensor in self._tensors.items())})"

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def check(self, like: State) -> None:
        """Raise ValueError unless the tensors fit those of a state of the same world, `like`."""
        for name, tensor in like._tensors.items():
            if name not in self._tensors:
                raise ValueError(f"the state has no {name}, which this world needs; start from initial_state()")
            check_tensor(f"state.{name}", self._tensors[name], tensor)

    @property
    def requires_grad(self) -> bool:
        """Whether any of the tensors is on a graph."""
        return any(tensor.requires_grad for tensor in self._tensors.values())

    def replace(self, **changes: torch.Tensor) -> State:
        """A copy with some fields replaced."""
        return State({**self._tensors, **changes})

    def clone(self) -> State:
        """A copy with memory of its own; gradients flow to this state."""
        return State({name: tensor.clone() for name, tensor in self._tensors.items()})

    def detach(self) -> State:
        """The same tensors, cut from the graph."""
        return State({name: tensor.detach() for name, tensor in self._tensors.items()})

    def where(self, mask: torch.Tensor, other: State) -> State:
        """Rows of this state where `mask` (N,) is true and of `other` elsewhere; gradients follow the rows, none
        crosses.
        """
        return State({
            name: torch.where(mask.view(-1, *[1] * (tensor.dim() - 1)), tensor, other[name])
            for name, tensor in self._tensors.items()
        })  # fmt: skip


@dataclass(frozen=True)
class Control:
    """Inputs of one control step, held constant over it. What is not given is none of it.

    Attributes:
        twist: velocity of the origin of each given body [m/s] and its angular velocity [rad/s], world axes, in the
            order of the given bodies, (N, G, 6).
        emit: which emitters are open, (N, E) bool; None opens all.
        goal: pose that each hand's impedance pulls to [m, quaternion xyzw], in the order of the hands, (N, H, 7); None
            is where they are when the step begins.
        effort: force that opens each finger (N,) [N], negative to close.
        joint_target: positions that the drives of robots' joints pull to, (N, nv) [rad or m], see `World.robots`; None
            is where they are when the step begins.
        joint_rate: rates that they pull to, (N, nv); joint_torque: of their motors beside that (N, nv) [N m or N].
        tool_goal: pose that the impedance of each link pulls to [m, quaternion xyzw], in the order of
            `World.tool_names`, (N, T, 7); None is where they are when the step begins.
        gas_drive: acceleration of the gas by each source (N, R, 3) [m/s^2]; gas_feed: what each gives of what is mixed
            in, (N, R, S) per second; None is none.
    """

    twist: torch.Tensor | None = None
    emit: torch.Tensor | None = None
    goal: torch.Tensor | None = None
    effort: torch.Tensor | None = None
    joint_target: torch.Tensor | None = None
    joint_rate: torch.Tensor | None = None
    joint_torque: torch.Tensor | None = None
    tool_goal: torch.Tensor | None = None
    gas_drive: torch.Tensor | None = None
    gas_feed: torch.Tensor | None = None


def by_name(
    what: str, names: Iterable[str], values: Mapping[str, torch.Tensor], missing: torch.Tensor | None = None,
    axis: int | None = None,
) -> torch.Tensor:  # fmt: skip
    """Tensors (N, ...) by name, in the order of `names`, (N, names, ...); `missing` for those that are not given.
    With an `axis` they follow each other along it.

    Raises:
        KeyError: a name is unknown, or one without a value for missing ones lacks.
    """
    names = list(names)
    unknown, lacking = [name for name in values if name not in names], [name for name in names if name not in values]
    if unknown or (lacking and missing is None):
        fault = f"no {what} {unknown[0]!r}" if unknown else f"no value for the {what} {lacking[0]!r}"
        raise KeyError(f"{fault}; there are: {', '.join(names) or 'none'}")
    rows = [values.get(name, missing) for name in names]
    if not rows:
        return torch.zeros(0) if missing is None else missing[:, None][:, :0]
    return torch.stack(rows, 1) if axis is None else torch.cat(rows, axis)


def goals_by_name(
    hands: Sequence[str], tools: Sequence[str], goals: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Poses (N, 7) by name, as those of hands and of links that impedances pull; None where there are none.

    Raises:
        KeyError: a name is none of either, or some of a kind lack.
    """
    found = []
    for kind, names in (("tool", tools), ("hand", hands)):
        mine = {name: pose for name, pose in goals.items() if (name in tools) == (kind == "tool")}
        found.append(by_name(kind, names, mine) if mine else None)
    return found[1], found[0]
