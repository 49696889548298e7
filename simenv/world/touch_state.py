# SPDX-License-Identifier: Apache-2.0
"""State, control and parameters of worlds of rigid bodies in touch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from simenv.physics.bodies.model import CARRIED, DRIVEN, FREE
from simenv.physics.gels.launches import gel_parameters
from simenv.world.parameters import NamedTensors
from simenv.world.state import Batched, about
from simenv.world.touch_limits import least_areas, touch_limits
from simenv.world.touch_scene import GAINS, TouchScene

CONTACT = ("stiffness", "damping", "shear_stiffness", "friction")


@dataclass(frozen=True)
class TouchState(Batched):
    """Everything that changes while a world is stepped. B bodies, G gels with P taxels in all, C stiff contact pairs.

    Attributes:
        body_q: poses of the bodies' centres of mass [m, quaternion xyzw], (N, B, 7).
        body_twist: their velocities [m/s] and angular velocities [rad/s], world axes, (N, B, 6).
        grip: half of the gripper's opening [m] and its rate [m/s], (N, 2).
        stick: tangential displacement of the gels that friction holds [m], (N, P, 2).
        gel_rotation, gel_offset: pose of the touched shape in each gel's frame at the last reading, (N, G, 3, 3) and
            (N, G, 3) [m].
        held: displacement along the surface that friction holds at each stiff contact [m], world axes, (N, C, 3).
        field: force on each taxel at the end of the last control step [N]: shear along x and y, normal, (N, P, 3).
        depth: depth of the object below each taxel [m], negative where they do not meet, (N, P).
        wrench: force [N] on each gel and its moment about the gel's origin [N m], in the gel's frame, (N, G, 6).
        push: force [N] and torque [N m] of stiff contact on each body, world axes, mean over the step, (N, B, 6).
        time: simulated time [s], (N,).
        status: bits of `simenv.physics.status`, (N,) int32.
        memory: numbers that the task keeps through an episode, (N, M), or None (`Task.remember`).
        joint_q, joint_qd: positions [rad or m] and rates of an arm's joints, (N, n), or None in a scene without. They
            place the arm's hand: changing its pose alone has no effect; use `TouchWorld.place_hand`.
    """

    body_q: torch.Tensor = dataclasses.field(metadata=about("m, 1", compared=True))
    body_twist: torch.Tensor = dataclasses.field(metadata=about("m/s, rad/s"))
    grip: torch.Tensor = dataclasses.field(metadata=about("m, m/s", compared=True))
    stick: torch.Tensor = dataclasses.field(metadata=about("m"))
    gel_rotation: torch.Tensor = dataclasses.field(metadata=about("1"))
    gel_offset: torch.Tensor = dataclasses.field(metadata=about("m"))
    held: torch.Tensor = dataclasses.field(metadata=about("m"))
    field: torch.Tensor = dataclasses.field(metadata=about("N"))
    depth: torch.Tensor = dataclasses.field(metadata=about("m"))
    wrench: torch.Tensor = dataclasses.field(metadata=about("N, N m", compared=True))
    push: torch.Tensor = dataclasses.field(metadata=about("N, N m"))
    time: torch.Tensor = dataclasses.field(metadata=about("s"))
    status: torch.Tensor = dataclasses.field(metadata=about("1"))
    memory: torch.Tensor | None = dataclasses.field(default=None, metadata=about(""))
    joint_q: torch.Tensor | None = dataclasses.field(default=None, metadata=about("rad or m", compared=True))
    joint_qd: torch.Tensor | None = dataclasses.field(default=None, metadata=about("rad/s or m/s"))


@dataclass(frozen=True)
class TouchControl:
    """Inputs of one control step, held constant over it.

    Attributes:
        goal: pose that each hand's impedance pulls to [m, quaternion xyzw], in the order of the hands, (N, H, 7).
        effort: force that opens each finger (N,) [N], negative to close; None is zero.
    """

    goal: torch.Tensor
    effort: torch.Tensor | None = None


class TouchParameters(NamedTensors):
    """Physical parameters of a `TouchWorld`, (N,) each and ``"gravity"`` (N, 3)."""

    def __init__(
        self, scene: TouchScene, worlds: int, device: torch.device, dtype: torch.dtype,
        arm: tuple[float, float] = (0.0, 0.0),
    ):  # fmt: skip
        super().__init__(worlds, device, dtype)
        self._scene = scene
        for name, body in scene.bodies.items():
            if body.kind in (FREE, DRIVEN):
                self._values[f"{name}.mass"] = self._full(body.mass)
            if body.kind in (DRIVEN, CARRIED):
                self._values |= {f"{name}.{key}": self._full(v) for key, v in zip(GAINS, body.gains, strict=True)}
        for name, gel in scene.gels.items():
            self._values |= {f"{name}.{key}": self._full(getattr(gel.gel, key)) for key in gel_parameters(gel.gel)}
        self._values |= {f"contact.{key}": self._full(getattr(scene, key)) for key in CONTACT}
        self._values["gravity"] = self._vector(scene.gravity)
        self._beside = {name: self._full(area) for name, area in least_areas(scene).items()}
        self._limit(touch_limits(scene, arm))

    def kernel_inputs(self, areas: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The solver's inputs, and the ``status`` (N,) of `checked` with the `areas` of `touched_areas`."""
        values, status = self.checked(areas)
        one, nothing = self._full(1.0), self._full(0.0)
        get = values.get
        masses = [get(f"{name}.mass", one) for name in self._scene.bodies]
        gains = [torch.stack([get(f"{name}.{key}", nothing) for key in GAINS], -1) for name in self._scene.bodies]
        inputs = {"mass": torch.stack(masses, -1), "gains": torch.stack(gains, 1), "gravity": values["gravity"]}
        inputs |= {"contact": torch.stack([values[f"contact.{key}"] for key in CONTACT], -1), "status": status}
        for g, (name, gel) in enumerate(self._scene.gels.items()):
            inputs |= {f"{key}{g}": values[f"{name}.{key}"] for key in gel_parameters(gel.gel)}
        return inputs
