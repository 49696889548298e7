# SPDX-License-Identifier: Apache-2.0
"""N copies of a scene that step together, with their own state, control and physical parameters."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from simenv.physics import exact
from simenv.physics.device import on_cuda, resolve_device
from simenv.physics.launch.memory import require_memory
from simenv.physics.mpm.buffers import STATE_FIELDS, state_shapes
from simenv.physics.mpm.model import PAD
from simenv.physics.mpm.projected import RIGID_FIELDS
from simenv.physics.rotation import quaternion_from_rotation_vector, quaternion_multiply, quaternion_to_matrix, rotate
from simenv.physics.status import NONFINITE
from simenv.world import checks
from simenv.world.engine import RESULT_FIELDS, Engine, StepFunction
from simenv.world.pace import Pace
from simenv.world.parameters import Parameters
from simenv.world.projected import RigidMotion
from simenv.world.rebuilt import Rebuilt
from simenv.world.scene import Scene
from simenv.world.state import Control, State, check_tensor


class World(Rebuilt):
    """A batch of worlds.

    Args:
        scene: what each world looks like at the start.
        num_worlds: N.
        device: torch device; dtype: ``torch.float32``, or ``torch.float64`` for verification.

    Attributes:
        parameters: named physical parameters, tensors (N, ...).
        dt: duration of a control step [s]; substeps: their number, or the least if ``scene.max_substeps`` is given.
        pace: chooses the number of substeps.
        particle_groups: slice of the particle axis of every group.
        volume: initial volume of every particle [m^3], (N, P).
        rigid_names: the rigid bodies, in the order of ``State.rigid_q``; rigid: their `RigidMotion`, or None.
    """

    def __init__(
        self, scene: Scene, num_worlds: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ):
        self.device = resolve_device(device)
        checks.whole("World", num_worlds=num_worlds)
        checks.precision("World", dtype)
        self.scene, self.num_worlds = scene, num_worlds
        self.dtype = dtype
        self.model = scene.mpm_model()
        floats = sum(map(math.prod, state_shapes(self.model).values()))
        what = "the state before and after a control step"
        require_memory(what, num_worlds, 3 * num_worlds * floats * dtype.itemsize, self.device, ["fewer particles"])
        self.pace = Pace(scene, self.device, dtype)
        self.engine = Engine(self.model, num_worlds, self.device, dtype, self.pace.counts)
        self.parameters = Parameters(scene, num_worlds, self.device, dtype)
        self.dt = scene.control_dt
        self.substeps = scene.substeps
        self.particle_count = scene.particle_count
        self.body_names = tuple(scene.bodies)
        self.collider_names = tuple(scene.colliders)
        self.rigid_names = tuple(scene.rigids)
        self.particle_groups = {name: group.span for name, group in scene.particles.items()}
        rigids = [(body, self.particle_groups[name]) for name, body in scene.rigids.items()]
        self.rigid = RigidMotion(rigids, self.device, dtype) if rigids else None
        groups = scene.particles.values()
        self.volume = self._each(np.concatenate([np.full(len(group.positions), group.volume) for group in groups]))
        self._collider_body = [self.body_names.index(c.body) if c.body else -1 for c in scene.colliders.values()]
        local = [(*c.position, *c.quaternion) for c in scene.colliders.values()]
        self._collider_local = self._tensor(np.reshape(local, (-1, 7)))
        emitters, collectors = scene.emitters, scene.collectors.values()
        self._offsets = {name: self._tensor(emitter.offsets) for name, emitter in emitters.items()}
        self._jets = {name: self._tensor(np.asarray(emitter.velocity)) for name, emitter in emitters.items()}
        self._windows = {name: torch.arange(int(e.count), device=self.device) for name, e in emitters.items()}
        self._traps = [(self._tensor(np.asarray(c.lower)), self._tensor(np.asarray(c.upper))) for c in collectors]
        self._whole = self._rigid_particles() if rigids else None
        self._no_rigids = torch.zeros((num_worlds, 0, 3), dtype=dtype, device=self.device)
        self._open = self._open_walls()
        self._skins = self._make_skins()
        self._initial = self._build_state()

    def close(self) -> None:
        """Release threads and buffers."""
        self.engine.close()

    def _tensor(self, value: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(value), dtype=self.dtype, device=self.device)

    def _each(self, value: np.ndarray) -> torch.Tensor:
        tensor = self._tensor(value)
        return tensor.expand(self.num_worlds, *tensor.shape).clone()

    def initial_state(self) -> State:
        """The scene as built, in every world."""
        return self._initial.clone()

    def _open_walls(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Lower and upper corner (3,) [m] beyond which particles are gone, infinite along axes that are not open."""
        if "outflow" not in self.model.boundary:
            return None
        limits = []
        for corner, infinity in zip(self.domain(), (-np.inf, np.inf), strict=True):
            limits.append(self._tensor(np.where([b == "outflow" for b in self.model.boundary], corner, infinity)))
        return limits[0], limits[1]

    def _build_state(self) -> State:
        N, P, groups = self.num_worlds, self.particle_count, self.scene.particles.values()
        identity = torch.eye(3, dtype=self.dtype, device=self.device)
        deformed, swollen = P if self.model.keeps_F else 0, P if self.model.keeps_J else 0
        active = np.concatenate([np.full(len(group.positions), group.active) for group in groups])
        bodies = np.reshape([(*b.position, *b.quaternion) for b in self.scene.bodies.values()], (-1, 7))
        state = State(
            x=self._each(np.concatenate([group.positions for group in groups])),
            v=self._each(np.concatenate([group.velocity for group in groups])),
            C=torch.zeros((N, P, 3, 3), dtype=self.dtype, device=self.device),
            F=identity.expand(N, deformed, 3, 3).clone(),
            J=torch.ones((N, swollen), dtype=self.dtype, device=self.device),
            active=torch.as_tensor(active, device=self.device).expand(N, P).clone(),
            body_q=self._each(bodies),
            body_twist=torch.zeros((N, len(bodies), 6), dtype=self.dtype, device=self.device),
            wrench=torch.zeros((N, len(self.collider_names), 6), dtype=self.dtype, device=self.device),
            time=torch.zeros((N,), dtype=self.dtype, device=self.device),
            emitted=torch.zeros((N, len(self.scene.emitters)), dtype=torch.int64, device=self.device),
            status=torch.zeros((N,), dtype=torch.int32, device=self.device),
        )
        if len(self.pace.counts) > 1:
            state = state.replace(substeps=torch.zeros_like(state.status))
        if self._skins:
            state = state.replace(
                touch=torch.zeros((N, self.model.taxel_count, 3), dtype=self.dtype, device=self.device)
            )
        if self.rigid is None:
            return state
        pose, twist = (start.expand(N, -1, -1).clone() for start in (self.rigid.start_q, self.rigid.start_twist))
        return self.place_rigids(state.replace(rigid_q=pose, rigid_twist=twist))

    def _rigid_particles(self) -> torch.Tensor:
        mask = torch.zeros(self.particle_count, dtype=torch.bool, device=self.device)
        for name in self.rigid_names:
            mask[self.particle_groups[name]] = True
        return mask

    def place_rigids(self, state: State) -> State:
        """The state with the rigid bodies' particles where ``rigid_q`` and ``rigid_twist`` place them.

        A step does so by itself; this is for looking at a state whose poses were changed.
        """
        if self.rigid is None:
            return state
        x, v, C = self.rigid.placed(state.rigid_q, state.rigid_twist, state.x, state.v, state.C)
        return state.replace(x=x, v=v, C=C)

    def zero_control(self) -> Control:
        """No motion, emitters open."""
        shape = (self.num_worlds, len(self.body_names), 6)
        return Control(torch.zeros(shape, dtype=self.dtype, device=self.device))

    def step(self, state: State, control: Control) -> State:
        """Advance all worlds by one control step.

        Differentiable with respect to the state, the twist and the parameters if gradients are on and any of them
        requires one. A world that fails keeps the state it entered with, and its ``status`` says why; it stays so until
        its state is replaced.

        Args:
            state: entering state; not modified.
            control: twist of the bodies and gates of the emitters.

        Returns:
            The leaving state, in new tensors.

        Raises:
            ValueError: a tensor has a shape, dtype or device that does not fit this world.
        """
        inputs = dict(self.parameters.kernel_inputs())
        self._check(state, control)
        start, control, stopped = self._stopped(state, control, inputs.pop("status"))
        start = self._emit(start, control)
        choice, taken = self._choose(start, control)
        motion, end_q = self._collider_motion(start.body_q, control.twist, choice)
        inputs = {**inputs, **motion, "volume": self.volume}
        scale = inputs.pop("scale")
        inputs |= self._rigid_fields(start)
        values = [inputs[name] if name in inputs else getattr(start, name) for name in StepFunction.NAMES]
        active = start.active.to(torch.int32)
        if torch.is_grad_enabled() and any(value.requires_grad for value in values):
            results = StepFunction.apply(self.engine, active, scale.detach(), choice, *values)
            out = dict(zip(RESULT_FIELDS, results, strict=True))
        else:
            tensors = dict(zip(StepFunction.NAMES, values, strict=True))
            out = self.engine.forward(active, {**tensors, "scale": scale}, choice)
        after = state.replace(
            **{name: out[name] for name in STATE_FIELDS}, active=self._collect(start.active, out["x"]), body_q=end_q,
            body_twist=control.twist, wrench=torch.cat([out["force"], out["torque"]], -1), time=state.time + self.dt,
            emitted=start.emitted, **taken, **(self.rigid.state_fields(out) if self.rigid else {}),
            **({"touch": out["touch"]} if self._skins else {}),
        )  # fmt: skip
        status = state.status | torch.where(stopped != 0, stopped, out["status"])
        # what a failed world keeps is a constant: its numbers never reach the gradient of the batch
        return self._kept(after, status == 0, state.detach()).replace(status=status)

    def _surely(self, flags: torch.Tensor) -> bool:
        """Whether all flags are set, as far as the host knows without waiting: of CUDA's it does not."""
        return not on_cuda(self.device) and bool(flags.all())

    def _kept(self, after: State, good: torch.Tensor, before: State) -> State:
        """The state after a step in the worlds that are good (N,), and before it in the others."""
        if not self._surely(good):
            return after.where(good, before)
        # the solver's results are tensors of their own already: no copy of what may be many particles
        mine = {name: getattr(after, name) for name in STATE_FIELDS}
        rest = after.replace(**{name: value[:, :0] for name, value in mine.items()})
        return rest.where(good, before.replace(**{name: value[:, :0] for name, value in mine.items()})).replace(**mine)

    def _check(self, state: State, control: Control) -> None:
        """Raise ValueError if tensors of a state or a control do not fit this world."""
        state.check(self._initial)
        bodies, emitters = self._initial.body_twist, self._initial.emitted
        check_tensor("control.twist", control.twist, bodies)
        if control.emit is not None and control.emit.shape != emitters.shape:
            raise ValueError(
                f"control.emit is {tuple(control.emit.shape)}; it must be {tuple(emitters.shape)}, one for each emitter"
            )

    def _stopped(self, state: State, control: Control, status: torch.Tensor) -> tuple[State, Control, torch.Tensor]:
        """State and control with harmless bodies where these have numbers that are not finite, and the status of worlds
        that must not step: that of their parameters, or `NONFINITE` of those.
        """
        if not self.body_names:
            return state, control, status
        twist = control.twist.detach()
        finite = torch.isfinite(torch.cat([twist, state.body_q.detach()], -1)).flatten(1).all(1)
        stopped = status | torch.where(finite, 0, NONFINITE).to(torch.int32)
        rows = finite.view(-1, 1, 1)
        state = state.replace(body_q=torch.where(rows, state.body_q, self._initial.body_q))
        return state, replace(control, twist=torch.where(rows, control.twist, 0.0)), stopped

    def _choose(self, start: State, control: Control):
        """What `Pace.choose` says: index of the substep count or None, and the state's new fields."""
        if len(self.pace.counts) == 1:
            return None, {}
        choice, count = self.pace.choose(self.parameters, start.v, start.active, control.twist)
        return choice, {"substeps": count}

    def _rigid_fields(self, state: State) -> dict[str, torch.Tensor]:
        if self.rigid is not None:
            return self.rigid.solver_fields(state.rigid_q, state.rigid_twist)
        return dict.fromkeys(RIGID_FIELDS, self._no_rigids)

    def _make_skins(self) -> dict[str, tuple[slice, tuple[int, int], torch.Tensor]]:
        """Of every collider with a skin: its taxels, rows and columns, and the skin's axes in the collider's frame."""
        skins, start = {}, 0
        for name, collider in self.scene.colliders.items():
            skin = collider.spec.skin
            if skin is None:
                continue
            x, y = skin.along / np.linalg.norm(skin.along, axis=1, keepdims=True)
            axes = self._tensor(np.stack([x, y, np.cross(x, y)], 1))
            skins[name] = slice(start, start + skin.count), (skin.rows, skin.columns), axes
            start += skin.count
        return skins

    def skin(self, state: State, collider: str) -> torch.Tensor:
        """Force on each taxel of a collider's skin, mean over the last control step [N], (N, rows, columns, 3).

        In the skin's axes: x along the columns, y along the rows, z out of the surface, so that pressing is negative z.

        Raises:
            KeyError: the collider has no skin.
        """
        if collider not in self._skins:
            raise KeyError(f"collider {collider!r} has no skin; those with one: {', '.join(self._skins) or 'none'}")
        span, shape, axes = self._skins[collider]
        assert state.touch is not None
        return exact.matmul(state.touch[:, span], axes).unflatten(1, shape)

    def collider_poses(self, state: State) -> torch.Tensor:
        """World poses of all colliders [m, quaternion xyzw], (N, Cl, 7)."""
        poses = []
        for index, body in enumerate(self._collider_body):
            local = self._collider_local[index].expand(self.num_worlds, 7)
            if body < 0:
                poses.append(local)
                continue
            q = state.body_q[:, body]
            position = q[:, :3] + rotate(q[:, 3:], local[:, :3])
            poses.append(torch.cat([position, quaternion_multiply(q[:, 3:], local[:, 3:])], -1))
        return torch.stack(poses, 1) if poses else state.x.new_zeros((self.num_worlds, 0, 7))

    def _collider_motion(
        self, body_q: torch.Tensor, twist: torch.Tensor, choice: torch.Tensor | None = None
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Pose and velocity of the colliders at every substep, and the bodies' poses at the end of the control step."""
        N, K = self.num_worlds, self.pace.counts[-1]
        times = (self.pace.times if choice is None else self.pace.times[choice]).view(-1, K, 1, 1)
        linear, angular = twist[..., :3], twist[..., 3:]
        turn = quaternion_from_rotation_vector(angular.unsqueeze(1) * times)  # (N, K, B, 4)
        body_q = torch.cat([body_q[..., :3], body_q[..., 3:] / exact.norm(body_q[..., 3:], keepdim=True)], -1)
        q = quaternion_multiply(turn, body_q[:, None, :, 3:])
        p = body_q[:, None, :, :3] + linear.unsqueeze(1) * times
        last = quaternion_multiply(quaternion_from_rotation_vector(angular * self.dt), body_q[..., 3:])
        last = last / exact.norm(last, keepdim=True)
        end_q = torch.cat([body_q[..., :3] + linear * self.dt, last], -1)
        position, rotation, velocity, omega = [], [], [], []
        for index, body in enumerate(self._collider_body):
            local_p, local_q = self._collider_local[index, :3], self._collider_local[index, 3:]
            if body < 0:
                position.append(local_p.expand(N, K, 3))
                rotation.append(quaternion_to_matrix(local_q).expand(N, K, 3, 3))
                velocity.append(torch.zeros_like(position[-1]))
                omega.append(torch.zeros_like(position[-1]))
                continue
            arm = rotate(q[:, :, body], local_p)
            w = angular[:, None, body].expand(N, K, 3)
            position.append(p[:, :, body] + arm)
            rotation.append(quaternion_to_matrix(quaternion_multiply(q[:, :, body], local_q)))
            velocity.append(linear[:, None, body] + torch.linalg.cross(w, arm))
            omega.append(w)
        motion = {"position": position, "rotation": rotation, "velocity": velocity, "omega": omega}
        if not position:
            none = twist.new_zeros((N, K, 0, 3))
            return {name: none if name != "rotation" else none.unsqueeze(-1) for name in motion}, end_q
        return {name: torch.stack(values, 2) for name, values in motion.items()}, end_q

    def _emit(self, state: State, control: Control) -> State:
        """Let particles out of the emitters at the start of a control step."""
        for index, (name, emitter) in enumerate(self.scene.emitters.items()):
            span, offsets = self.particle_groups[name], self._offsets[name]
            body, capacity = self.body_names.index(emitter.body), len(offsets)
            count = torch.full((self.num_worlds,), emitter.count, dtype=torch.int64, device=self.device)
            if control.emit is not None:
                count = count * control.emit[:, index]
            first = state.emitted[:, index]
            last = (first + count).clamp(max=capacity)
            # the particles that may come out now, and as many others at the end as keep them a window of one length
            window = first.clamp(max=capacity - len(self._windows[name]))[:, None] + self._windows[name]
            new = (window >= first[:, None]) & (window < last[:, None])
            pose, twist = state.body_q[:, body], control.twist[:, body]
            if self._surely(~new) and not (pose.requires_grad or twist.requires_grad):
                continue  # closed or empty: no copy of what may be many particles; a gradient of zero is kept
            arm = rotate(pose[:, None, 3:], offsets[window])
            jet = rotate(pose[:, 3:], self._jets[name].expand(self.num_worlds, 3))
            velocity = jet[:, None] + twist[:, None, :3] + torch.linalg.cross(twist[:, None, 3:].expand_as(arm), arm)
            place, mask = span.start + window, new[..., None]
            rows = place[..., None].expand_as(arm)
            x = torch.where(mask, pose[:, None, :3] + arm, state.x.gather(1, rows))
            v = torch.where(mask, velocity, state.v.gather(1, rows))
            emitted = state.emitted.clone()
            emitted[:, index] = last
            state = state.replace(
                x=state.x.scatter(1, rows, x), v=state.v.scatter(1, rows, v), emitted=emitted,
                active=state.active.scatter(1, place, new | state.active.gather(1, place)),
            )  # fmt: skip
        return state

    def _collect(self, active: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Which particles stay active after the collectors have taken theirs, and the open walls."""
        if self._open:
            active = active & ((x >= self._open[0]) & (x <= self._open[1])).all(-1)
        for lower, upper in self._traps:
            active = active & ~((x > lower) & (x < upper)).all(-1)
        return active if self._whole is None else active | self._whole  # no part of a rigid body goes alone

    def domain(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of the region that particles can reach [m]."""
        lower = np.asarray(self.scene.origin, dtype=np.float64)
        return lower, lower + self.scene.dx * (np.asarray(self.model.shape) - 1 - 2 * PAD)
