# SPDX-License-Identifier: Apache-2.0
"""N copies of a scene of rigid bodies in touch, and the differentiable control step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from simenv._threads import Workers, get_num_threads, run_together
from simenv.errors import SimulationError
from simenv.physics import status as bits
from simenv.physics.bodies.model import CARRIED, DRIVEN
from simenv.physics.constants import constant
from simenv.physics.device import on_cuda, resolve_device, stream_scope
from simenv.physics.gels.launches import gel_parameters
from simenv.physics.rotation import quaternion_from_rotation_vector, quaternion_multiply, rotate
from simenv.robots.arm import Arm
from simenv.sensors.tactile import ElasticLayerGel
from simenv.world import checks
from simenv.world.pairing import warn_of_unpaired
from simenv.world.rebuilt import Rebuilt
from simenv.world.state import check_tensor
from simenv.world.touch_limits import arm_ease, touched_areas
from simenv.world.touch_scene import TouchScene
from simenv.world.touch_solver import TouchSolver
from simenv.world.touch_state import TouchControl, TouchParameters, TouchState

FASTEST = 100.0  # [m/s]; nothing that touches moves faster and is still simulated


class _Step(torch.autograd.Function):
    """One control step; saves what enters, and simulates again in the reverse sweep. A world with numbers that are not
    finite passes no gradient.
    """

    @staticmethod
    def forward(ctx: Any, world: TouchWorld, names: tuple[str, ...], *values: torch.Tensor):
        out = world._forward(dict(zip(names, values, strict=True)))
        ctx.world, ctx.names, ctx.keys = world, names, tuple(out)
        ctx.save_for_backward(_fault(out) == 0, *values)
        ctx.set_materialize_grads(False)
        return tuple(out.values())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor | None):
        good, *values = ctx.saved_tensors
        inputs = dict(zip(ctx.names, values, strict=True))
        adjoints = {key: _rows(good, grad) for key, grad in zip(ctx.keys, grads, strict=True) if grad is not None}
        out = ctx.world._backward(inputs, adjoints)
        return None, None, *(_rows(good, out[name]) for name in ctx.names)


def _rows(mask: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """The rows of a tensor (N, ...) where a mask (N,) is true, and zeros."""
    return torch.where(mask.view(-1, *[1] * (tensor.dim() - 1)), tensor, 0.0)


def _fault(out: dict[str, torch.Tensor]) -> torch.Tensor:
    """Status (N,) of a step, from what its bodies and gels do at the end."""
    motion = torch.cat([out["velocity"], out["omega"]], -1).detach()
    place = torch.cat([out["position"], out["quaternion"]], -1).detach()
    finite = torch.isfinite(motion).flatten(1).all(1) & torch.isfinite(place).flatten(1).all(1)
    status = torch.where(motion.abs().amax((1, 2)) < FASTEST, 0, bits.TOO_FAST)
    for name, count in out.items():
        if name.startswith("failed"):  # solves of an elastic gel
            status = status | torch.where(count > 0.0, bits.UNCONVERGED, 0)
    return torch.where(finite, status, bits.NONFINITE).to(torch.int32)


class TouchWorld(Rebuilt):
    """A batch of worlds of rigid bodies in touch, with the same face as `World`.

    Args:
        scene: what each world looks like at the start.
        num_worlds: N.
        device: torch device; dtype: ``torch.float32``, or ``torch.float64`` for verification.

    Attributes:
        parameters: named physical parameters, tensors (N, ...).
        arm: the robot arm as an `Arm`, or None.
        dt: duration of a control step [s].
        body_names, hand_names, gel_names: in the order of the state's axes.
        taxels: slice of the taxel axis of every gel.
        sensors: the gels as `TactileField`, for readings beside the dynamics.
    """

    def __init__(
        self, scene: TouchScene, num_worlds: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ):
        self.device = resolve_device(device)
        checks.whole("TouchWorld", num_worlds=num_worlds)
        checks.precision("TouchWorld", dtype)
        self.scene, self.num_worlds = scene, num_worlds
        self.dtype = dtype
        self.model = scene.rigid_model()
        warn_of_unpaired(scene)
        self.arm = None if scene.arm is None else Arm(scene.arm.chain, num_worlds, self.device, dtype)
        ease = arm_ease(self.arm, scene.substep_dt)
        self.parameters = TouchParameters(scene, num_worlds, self.device, dtype, ease)
        self.dt, self.substeps = scene.control_dt, scene.substeps
        self.body_names, self.gel_names = tuple(scene.bodies), tuple(scene.gels)
        self.hand_names = tuple(name for name, body in scene.bodies.items() if body.kind in (DRIVEN, CARRIED))
        hands = [self.body_names.index(name) for name in self.hand_names]
        self._hands = constant(hands, torch.int64, self.device)
        # a world of touch has no particles, which those who describe worlds ask for
        self.collider_names, self.rigid_names = tuple(scene.colliders), ()
        self.particle_count, self.particle_groups = 0, {}
        self.sensors = scene.sensors(dtype, self.device)
        self._elastic = [isinstance(sensor.gel, ElasticLayerGel) for sensor in self.sensors.values()]
        self.taxels: dict[str, slice] = {}
        for name, sensor in self.sensors.items():
            start = self.taxel_count
            self.taxels[name] = slice(start, start + sensor.grid.count)
        self._solvers: list[tuple[slice, TouchSolver]] = []
        self._workers = Workers()
        self._initial = self._build_state()

    @property
    def taxel_count(self) -> int:
        """Number of taxels of one world."""
        return max((span.stop for span in self.taxels.values()), default=0)

    def close(self) -> None:
        """Release threads and buffers."""
        self._workers.close()
        self._solvers.clear()

    def _build_state(self) -> TouchState:
        new = {"dtype": self.dtype, "device": self.device}
        bodies, gels, taxels = len(self.body_names), len(self.gel_names), self.taxel_count
        poses = torch.tensor([(*b.position, *b.quaternion) for b in self.scene.bodies.values()], **new)
        n = self.num_worlds
        state = TouchState(
            body_q=poses.expand(n, -1, -1).clone(), body_twist=torch.zeros((n, bodies, 6), **new),
            grip=torch.zeros((n, 2), **new), stick=torch.zeros((n, taxels, 2), **new),
            gel_rotation=torch.eye(3, **new).expand(n, gels, 3, 3).clone(), gel_offset=torch.zeros((n, gels, 3), **new),
            held=torch.zeros((n, len(self.model.pairs), 3), **new), field=torch.zeros((n, taxels, 3), **new),
            depth=torch.zeros((n, taxels), **new), wrench=torch.zeros((n, gels, 6), **new),
            push=torch.zeros((n, bodies, 6), **new), time=torch.zeros(n, **new),
            status=torch.zeros(n, dtype=torch.int32, device=self.device),
        )  # fmt: skip
        if self.arm is not None:
            state = self._placed(state)
        return self.touch_anew(state)

    def _placed(self, state: TouchState) -> TouchState:
        """The state with the arm's hand where the scene has it.

        Raises:
            ValueError: the arm does not reach.
        """
        wanted = state.body_q[:, self.scene.arm.hand]
        state = self.place_hand(state, self.body_names[self.scene.arm.hand], wanted)
        pose = state.body_q[0, self.scene.arm.hand]
        away, turn = float((pose - wanted[0])[:3].norm()), float((pose[3:] * wanted[0, 3:]).sum().abs())
        if away > 1e-3 or turn < 0.999:
            raise ValueError(
                f"the arm's tool comes within {1e3 * away:.1f} mm and {2 * np.degrees(np.arccos(min(turn, 1.0))):.1f} "
                f"degrees of where it should start, {wanted[0].tolist()}, not within 1 mm and 5 degrees; give its "
                "chain another posture, or place it nearer"
            )
        return state

    def initial_state(self) -> TouchState:
        """The scene as built, in every world."""
        return self._initial.clone()

    def touch_anew(self, state: TouchState) -> TouchState:
        """The state with gels that remember nothing but where their objects are, and with their present readings.

        Call it after placing bodies or gripper by hand.
        """
        sticks, rotations, offsets, fields, depths, wrenches = [], [], [], [], [], []
        for name in self.gel_names:
            keys = gel_parameters(self.sensors[name].gel)
            values = {key: self.parameters[f"{name}.{key}"] for key in keys}
            poses = self.object_pose(state, name), self.gel_pose(state, name)
            reading, memory = self.sensors[name].measure(*poses, parameters=values)
            sticks.append(memory.stick)
            rotations.append(memory.rotation)
            offsets.append(memory.position)
            fields.append(reading.field())
            depths.append(reading.depth)
            wrenches.append(reading.wrench)
        if not rotations:
            return state
        return state.replace(
            stick=torch.cat(sticks, 1), held=torch.zeros_like(state.held),
            gel_rotation=torch.stack(rotations, 1), gel_offset=torch.stack(offsets, 1), field=torch.cat(fields, 1),
            depth=torch.cat(depths, 1), wrench=torch.stack(wrenches, 1),
        )  # fmt: skip

    def place_hand(self, state: TouchState, hand: str, pose: torch.Tensor) -> TouchState:
        """The state with a hand at rest at a pose (N, 7) [m, xyzw]; an arm goes where inverse kinematics finds, which
        is within some micrometres if it can reach.
        """
        index, poses, twists = self.body_names.index(hand), state.body_q.clone(), state.body_twist.clone()
        twists[:, index] = 0.0
        if self.arm is None or index != self.scene.arm.hand:
            poses[:, index] = pose
            return state.replace(body_q=poses, body_twist=twists)
        joints = self.arm.reach(pose)
        poses[:, index] = self.arm.tool_pose(joints)
        return state.replace(body_q=poses, body_twist=twists, joint_q=joints, joint_qd=torch.zeros_like(joints))

    def mounted(self, state: TouchState, body: int, position: Any, quaternion: Any) -> torch.Tensor:
        """World pose (N, 7) of a frame on a body."""
        return self._on(state.body_q[:, body], position, quaternion)

    def _on(self, q: torch.Tensor, position: Any, quaternion: Any) -> torch.Tensor:
        local = self._constant(position).expand(self.num_worlds, 3)
        turn = self._constant(quaternion).expand(self.num_worlds, 4)
        return torch.cat([q[:, :3] + rotate(q[:, 3:], local), quaternion_multiply(q[:, 3:], turn)], -1)

    def _constant(self, values: Any) -> torch.Tensor:
        return constant(values, self.dtype, self.device)

    def gel_pose(self, state: TouchState, name: str) -> torch.Tensor:
        """World pose (N, 7) of a gel."""
        mount = self.model.mounts[self.gel_names.index(name)]
        place = self._constant(mount.position) + state.grip[:, :1] * self._constant(mount.slide)
        return self.mounted(state, mount.sensor, place, mount.quaternion)

    def object_pose(self, state: TouchState, name: str) -> torch.Tensor:
        """World pose (N, 7) of the shape that a gel touches."""
        mount = self.model.mounts[self.gel_names.index(name)]
        return self.mounted(state, mount.item, mount.local, mount.local_turn)

    def near(self, state: TouchState, hand: str, move: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        """A goal beside a hand's present pose: moved (N, 3) [m] and turned by a rotation vector (N, 3) [rad], world
        axes; (N, 7).
        """
        pose = state.body_q[:, self.body_names.index(hand)]
        turned = quaternion_multiply(quaternion_from_rotation_vector(turn), pose[:, 3:])
        return torch.cat([pose[:, :3] + move, turned], -1)

    def zero_control(self, state: TouchState) -> TouchControl:
        """Hands stay where they are."""
        return TouchControl(state.body_q.index_select(1, self._hands))

    def step(self, state: TouchState, control: TouchControl) -> TouchState:
        """Advance all worlds by one control step; differentiable in the state, the control and the parameters.

        A world whose numbers are no longer finite, or with a spring too stiff for the substep, keeps the state that it
        entered with, and its ``status`` says so.

        Raises:
            ValueError: a tensor has a shape, dtype or device that does not fit this world.
            SimulationError: a gradient is asked for in a scene with an arm.
        """
        self._check(state, control)
        inputs = self.parameters.kernel_inputs(touched_areas(state.depth, self.taxels, self.sensors))
        effort = torch.zeros_like(state.time) if control.effort is None else control.effort
        wanted = torch.cat([control.goal.detach().flatten(1), effort.detach()[:, None]], 1)
        finite = torch.isfinite(wanted).all(1)
        stopped = inputs.pop("status") | torch.where(finite, 0, bits.NONFINITE).to(torch.int32)
        goal, effort = state.body_q.clone(), torch.where(finite, effort, 0.0)
        wanted = torch.where(finite.view(-1, 1, 1), control.goal, goal.index_select(1, self._hands))
        goal.index_copy_(1, self._hands, wanted)
        inputs |= {
            "goal": goal[..., :3], "goal_turn": goal[..., 3:], "effort": effort,
            "position": state.body_q[..., :3], "quaternion": state.body_q[..., 3:],
            "velocity": state.body_twist[..., :3], "omega": state.body_twist[..., 3:],
            "grip": state.grip, "held": state.held,
        }  # fmt: skip
        if self.arm is not None:
            inputs |= {"joint_q": state.joint_q, "joint_qd": state.joint_qd}
        for g, span in enumerate(self.taxels.values()):
            inputs |= {f"stick{g}": state.stick[:, span], f"rotation{g}": state.gel_rotation[:, g]}
            inputs[f"offset{g}"] = state.gel_offset[:, g]
            if self._elastic[g]:  # where its solves start, which changes nothing that they find
                inputs[f"before{g}"] = state.field[:, span].detach()
        if torch.is_grad_enabled() and any(value.requires_grad for value in inputs.values()):
            if self.arm is not None:
                raise SimulationError(
                    "a step with a robot arm has no gradient, but an action, state or parameter requires one; use "
                    "the scene without the arm (robot=None), or torch.no_grad()"
                )
            names = tuple(inputs)
            results = _Step.apply(self, names, *inputs.values())
            out = dict(zip(self._result_names(), results, strict=True))
        else:
            out = self._forward(inputs)
        return self._leave(state, out, stopped)

    def _check(self, state: TouchState, control: TouchControl) -> None:
        """Raise ValueError if tensors of a state or a control do not fit this world."""
        state.check(self._initial)
        check_tensor("control.goal", control.goal, self._initial.body_q.index_select(1, self._hands))
        if control.effort is not None:
            check_tensor("control.effort", control.effort, self._initial.time)

    def _leave(self, state: TouchState, out: dict[str, torch.Tensor], stopped: torch.Tensor) -> TouchState:
        """The state after a step, from the solver's results and the status of worlds that must not step."""
        gels = range(len(self.gel_names))

        def joined(name: str, like: torch.Tensor, dim: int = 1) -> torch.Tensor:
            parts = [out[f"{name}{g}"] for g in gels]
            if not parts:
                return like
            return torch.cat(parts, 1) if dim == 1 else torch.stack(parts, 1)

        wrench = joined("total", state.wrench.unflatten(-1, (2, 3)), 2).flatten(-2)
        after = state.replace(
            body_q=torch.cat([out["position"], out["quaternion"]], -1),
            body_twist=torch.cat([out["velocity"], out["omega"]], -1), grip=out["grip"], held=out["held"],
            stick=joined("stick", state.stick), gel_rotation=joined("rotation", state.gel_rotation, 2),
            gel_offset=joined("offset", state.gel_offset, 2), field=joined("field", state.field),
            depth=joined("depth", state.depth), wrench=wrench,
            push=torch.cat([out["push"], out["twist"]], -1), time=state.time + self.dt,
            joint_q=out.get("joint_q"), joint_qd=out.get("joint_qd"),
        )  # fmt: skip
        status = state.status | torch.where(stopped != 0, stopped, _fault(out))
        return after.where(status == 0, state.detach()).replace(status=status)

    # ------------------------------------------------------------------------------------------------ the solvers

    def _result_names(self) -> tuple[str, ...]:
        return (*self._shards()[0][1].results(), "push", "twist")

    def _shards(self) -> list[tuple[slice, TouchSolver]]:
        """Rows of worlds and their solver, one for each thread."""
        count = min(get_num_threads(), self.num_worlds) if not on_cuda(self.device) else 1
        if len(self._solvers) != count:
            sensors = list(self.sensors.values())
            edges = np.linspace(0, self.num_worlds, count + 1).astype(int)
            with stream_scope(self.device):
                self._solvers = [
                    (slice(int(a), int(b)), TouchSolver(self.model, sensors, int(b - a), self.dtype, self.device))
                    for a, b in pairwise(edges)
                ]
        return self._solvers

    def _each(self, gradient: bool, work: Callable[[slice, TouchSolver], dict[str, torch.Tensor]]):
        shards = self._shards()
        pool = self._workers.pool(len(shards))
        try:
            if pool is None:
                return work(*shards[0])
            for _, solver in shards:
                solver.record(gradient)  # compile and record on this thread
            parts = run_together(pool, [partial(work, *shard) for shard in shards])
        except BaseException:
            self._solvers.clear()  # one of them may be half made
            raise
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        @torch.no_grad()  # a setting of each thread
        def work(rows: slice, solver: TouchSolver) -> dict[str, torch.Tensor]:
            out = solver.forward({name: value[rows] for name, value in inputs.items()})
            return {name: value.clone() for name, value in out.items()}

        return self._each(False, work)

    def _backward(self, inputs: dict[str, torch.Tensor], adjoints: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        @torch.no_grad()
        def work(rows: slice, solver: TouchSolver) -> dict[str, torch.Tensor]:
            solver.forward({name: value[rows] for name, value in inputs.items()})
            out = solver.backward({name: value[rows] for name, value in adjoints.items()})
            return {name: out[name].clone() for name in inputs}

        return self._each(True, work)

    # ----------------------------------------------------------------------------------------------- for pictures

    def collider_poses(self, state: TouchState) -> torch.Tensor:
        """World poses of all drawn shapes [m, quaternion xyzw], (N, shapes, 7)."""
        poses = []
        links = None if self.arm is None else self.arm.link_poses(state.joint_q)
        for name, look in self.scene.colliders.items():
            place = self._constant(look.position) + state.grip[:, :1] * self._constant(self.scene.slides[name])
            if look.body is None:
                turn = self._constant(look.quaternion).expand(len(place), 4)
                poses.append(torch.cat([place, turn], -1))
            elif look.body in self.body_names:
                poses.append(self.mounted(state, self.body_names.index(look.body), place, look.quaternion))
            elif links is not None:  # "hand/3"
                link = links[:, int(look.body.rpartition("/")[2])]
                poses.append(self._on(link, place, look.quaternion))
        return torch.stack(poses, 1)

    def domain(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of a box about the drawn shapes as built [m], planes apart."""
        poses = self.collider_poses(self._initial)[0].double().cpu()
        corners = [poses[:, :3].numpy()]
        for pose, look in zip(poses, self.scene.colliders.values(), strict=True):
            bounds = np.stack(look.spec.shape.bounds())
            if np.isfinite(bounds).all():
                box = np.stack(np.meshgrid(*bounds.T, indexing="ij"), -1).reshape(-1, 3)
                corners.append((pose[:3] + rotate(pose[3:], torch.as_tensor(box))).numpy())
        points = np.concatenate(corners)
        return points.min(0), points.max(0)
