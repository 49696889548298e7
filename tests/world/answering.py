# SPDX-License-Identifier: Apache-2.0
"""A pusher that answers: something without extent that moves with a twist u beside each of some bodies, and that a
response K holds to it.

With V the body's twist, what acts on the body is g + K (u - V') / dt, with V' at the end of the tick: so w0 is
g + K (u - V) / dt, and Z is K. What the body gets, the other loses, whose momentum is M u. One that does not `hold` has
w0 = g: what acts is g - K (V' - V) / dt, as a mass K does that is carried along.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import warp as wp

from simenv.physics.direct import warp_real
from simenv.physics.launch.slots import Launch, Slot
from simenv.physics.solver import Desk, Field, Parameter, Solver, Step, Stepper, Tensors


@cache
def pusher_kernels(real: type) -> SimpleNamespace:
    vec3 = wp.types.vector(length=3, dtype=real)
    vec6 = wp.types.vector(length=6, dtype=real)
    mat66 = wp.types.matrix(shape=(6, 6), dtype=real)
    options = {"module": f"tests_answering_{real.__name__}", "enable_backward": True}

    @wp.func
    def wrench(dt: real, hold: real, response: mat66, told: vec6, u: vec6, v: vec3, o: vec3) -> vec6:
        twist = vec6(v[0], v[1], v[2], o[0], o[1], o[2])
        return told + real(0.5) * hold * (response + wp.transpose(response)) * (u - twist) / dt

    @wp.kernel(**options)
    def push(
        rows: wp.array(dtype=int),
        dt: real,
        hold: real,
        response_in: wp.array2d(dtype=mat66),
        told_in: wp.array2d(dtype=vec6),
        u_in: wp.array2d(dtype=vec6),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        force_inout: wp.array2d(dtype=vec3),
        torque_inout: wp.array2d(dtype=vec3),
        answer_inout: wp.array2d(dtype=mat66),
    ):
        w, i = wp.tid()
        b = rows[i]
        p = wrench(dt, hold, response_in[w, i], told_in[w, i], u_in[w, i], velocity_in[w, b], omega_in[w, b])
        wp.atomic_add(force_inout, w, b, vec3(p[0], p[1], p[2]))
        wp.atomic_add(torque_inout, w, b, vec3(p[3], p[4], p[5]))
        wp.atomic_add(answer_inout, w, b, response_in[w, i])

    @wp.kernel(**options)
    def feel(
        rows: wp.array(dtype=int),
        dt: real,
        hold: real,
        mass_in: wp.array(dtype=real),
        response_in: wp.array2d(dtype=mat66),
        told_in: wp.array2d(dtype=vec6),
        u_in: wp.array2d(dtype=vec6),
        position_in: wp.array2d(dtype=vec3),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        change_in: wp.array2d(dtype=vec3),
        spun_in: wp.array2d(dtype=vec3),
        gave_in: wp.array2d(dtype=vec6),
        u_out: wp.array2d(dtype=vec6),
        gave_out: wp.array2d(dtype=vec6),
    ):
        w, i = wp.tid()
        b = rows[i]
        v = change_in[w, b]
        o = spun_in[w, b]
        gained = vec6(v[0], v[1], v[2], o[0], o[1], o[2])
        p = dt * wrench(dt, hold, response_in[w, i], told_in[w, i], u_in[w, i], velocity_in[w, b], omega_in[w, b])
        p = p - real(0.5) * (response_in[w, i] + wp.transpose(response_in[w, i])) * gained
        u_out[w, i] = u_in[w, i] - p / mass_in[w]
        f = vec3(p[0], p[1], p[2])
        n = vec3(p[3], p[4], p[5]) + wp.cross(position_in[w, b], f)
        gave_out[w, i] = gave_in[w, i] + vec6(f[0], f[1], f[2], n[0], n[1], n[2])

    return SimpleNamespace(push=push, feel=feel, real=real, vec6=vec6, mat66=mat66)


class PusherStepper(Stepper):
    """Of some worlds."""

    def __init__(self, rows: Sequence[int], hold: bool, answers: bool, desk: Desk):
        self._hold = float(hold)
        self.desk, self.frames, self._count = desk, desk.frames, len(rows)
        if answers:
            self.frames.answer(rows)
        self._kernels = k = pusher_kernels(warp_real(desk.dtype))
        self._rows = wp.array(np.array(rows, dtype=np.int32), dtype=int, device=desk.memory.wp_device)
        slot = desk.memory.slot
        self._inputs = {
            "response": slot(k.mat66, len(rows)), "told": slot(k.vec6, len(rows)), "mass": slot(k.real),
        }  # fmt: skip
        self._moving: list[list[Slot]] = []

    def _own(self, number: int) -> list[Slot]:
        while len(self._moving) <= number:
            self._moving.append([self.desk.memory.slot(self._kernels.vec6, self._count) for _ in range(2)])
        return self._moving[number]

    def _push(self, tick: int, keep: bool) -> list[Launch]:
        frames, before, work = self.frames, self.frames.before(tick, keep), self.frames.scratch(tick, keep)
        given = [self._inputs["response"], self._inputs["told"], self._own(before)[0], *frames.pose(before)[2:]]
        out, dim = [*frames.wrench(work), frames.response(work)], (self.desk.worlds, self._count)
        return [Launch(self._kernels.push, dim, [self._rows, self.desk.dt, self._hold], given, out)]

    def _feel(self, tick: int, keep: bool) -> list[Launch]:
        frames, before, work = self.frames, self.frames.before(tick, keep), self.frames.scratch(tick, keep)
        place, _, *twist = frames.pose(before)
        u, gave = self._own(before)
        given = [self._inputs["mass"], self._inputs["response"], self._inputs["told"], u, place, *twist]
        given += [*frames.change(work), gave]
        out, dim = self._own(frames.after(tick, keep)), (self.desk.worlds, self._count)
        return [Launch(self._kernels.feel, dim, [self._rows, self.desk.dt, self._hold], given, out)]

    def forward(self, tick: int, keep: bool):
        return [self.frames.phase(self._push(tick, keep))]

    def finish(self, tick: int, keep: bool):
        return [self.frames.phase(self._feel(tick, keep))]

    def unfinish(self, tick: int):
        return [self.frames.phase(self._feel(tick, True), reverse=True)]

    def backward(self, tick: int):
        return [self.frames.phase(self._push(tick, True), reverse=True)]

    def kernels(self, backward: bool) -> Iterable[wp.Kernel]:
        return [self._kernels.push, self._kernels.feel]

    def _entries(self) -> dict[str, Slot]:
        return {**self._inputs, **dict(zip(("u", "gave"), self._own(0), strict=True))}

    def load(self, inputs: Mapping[str, torch.Tensor]) -> None:
        for name, slot in self._entries().items():
            slot.tensor.copy_(inputs[name])

    def results(self, keep: bool) -> Tensors:
        own = self._own(self.frames.before(self.desk.ticks, keep))
        return {name: slot.tensor for name, slot in zip(("u", "gave"), own, strict=True)}

    def seed(self, adjoints: Mapping[str, torch.Tensor]) -> None:
        for name, slot in zip(("u", "gave"), self._own(self.desk.ticks), strict=True):
            if name in adjoints:
                slot.adjoint.copy_(adjoints[name])

    def adjoints(self) -> Tensors:
        return {name: slot.adjoint for name, slot in self._entries().items()}


class Pusher(Solver):
    """Of N worlds. Its fields are ``pusher_twist`` u and ``pusher_gave``, the impulse that bodies have got from it and
    the moment of that about the world's origin; its parameters the response K, g and the mass M.

    Args:
        bodies: names of all, in the order of the table of frames; held: of those that it pushes.
        response: K (6, 6), or one of each; told: g (6,), or one of each; mass: M; hold: whether it does;
        answers: whether it asks for what it writes to be read.
    """

    name = "pusher"

    def __init__(
        self,
        bodies: Sequence[str],
        held: Sequence[str],
        response: np.ndarray,
        told=(0.0,) * 6,
        mass=1.0,
        hold=True,
        answers=True,
    ):
        super().__init__()
        self._hold, self._answers = hold, answers
        self._rows, n = [list(bodies).index(name) for name in held], len(held)
        both = {"pusher_twist": "m/s, rad/s", "pusher_gave": "N s, N m s"}
        self.fields = {name: Field((n, 6), unit, "of the pusher", compared=True) for name, unit in both.items()}
        free = {"lower": -np.inf}
        self.parameters = {
            "pusher.response": Parameter(tuple(np.broadcast_to(response, (n, 6, 6)).ravel().tolist()), "kg", **free),
            "pusher.told": Parameter(tuple(np.broadcast_to(told, (n, 6)).ravel().tolist()), "N, N m", **free),
            "pusher.mass": Parameter(mass, "kg"),
        }

    def pack(self, values: Mapping[str, torch.Tensor]) -> Tensors:
        n = len(self._rows)
        response, told = values["pusher.response"], values["pusher.told"]
        return {
            "response": response.unflatten(-1, (n, 6, 6)), "told": told.unflatten(-1, (n, 6)),
            "mass": values["pusher.mass"],
        }  # fmt: skip

    def before(self, step: Step, packed: Tensors) -> Tensors:
        return {**packed, "u": step.state.pusher_twist, "gave": step.state.pusher_gave}

    def results(self):
        return {name: ((len(self._rows), 6), None) for name in ("u", "gave")}

    def after(self, state: Any, inputs: Tensors, out: Tensors) -> Tensors:
        return {"pusher_twist": out["u"], "pusher_gave": out["gave"]}

    def open(self, desk: Desk) -> Stepper:
        return PusherStepper(self._rows, self._hold, self._answers, desk)


def held(scene: Any, names: Sequence[str], response: Any, **given: Any) -> Any:
    """A scene with a pusher of some of its bodies; the response is a number for the diagonal, or (6, 6)."""
    matrix = np.eye(6) * response if np.ndim(response) == 0 else np.asarray(response)
    scene.add_solver(lambda scene, worlds, device, dtype: Pusher(list(scene.bodies), names, matrix, **given))
    return scene
