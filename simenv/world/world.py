# SPDX-License-Identifier: Apache-2.0
"""N copies of a scene that step together, with their own state, control and physical parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from simenv.physics import checks
from simenv.physics.bodies.robot_solver import RobotSolver
from simenv.physics.bodies.solver import BodySolver
from simenv.physics.device import resolve_device, surely
from simenv.physics.drag.solver import DragSolver
from simenv.physics.frames import FrameSolver
from simenv.physics.gas.solver import GasSolver
from simenv.physics.gels.limits import Pressed, least_areas, touch_limits
from simenv.physics.gels.solver import GelSolver
from simenv.physics.given import GivenMotion
from simenv.physics.launch.memory import require_memory
from simenv.physics.limits import Limit
from simenv.physics.liquid.solver import LiquidSolver, is_incompressible
from simenv.physics.mpm.buffers import state_shapes
from simenv.physics.mpm.exchange_limits import exchange_limits
from simenv.physics.mpm.particles import ParticleSolver
from simenv.physics.solver import Choice, Field, Parameter, Solver, Step
from simenv.robots.ease import link_eases
from simenv.sensors.tactile import TactileField
from simenv.world.bodies import bodies_of, colliders_of, emitters_of, gels_of, names_of
from simenv.world.checked import Checked
from simenv.world.drawables import Shown
from simenv.world.engine import Engine, Named, StepFunction
from simenv.world.felt import FeltMaterial
from simenv.world.gas import GasView
from simenv.world.obstacles import obstacles_of
from simenv.world.pairing import warn_of_unpaired
from simenv.world.parameters import Parameters
from simenv.world.placing import Placed
from simenv.world.readings import Read
from simenv.world.rebuilt import Rebuilt
from simenv.world.renamed import Renamed
from simenv.world.rigid import touching
from simenv.world.robots import robots_of
from simenv.world.scene import Scene
from simenv.world.state import Control, State, by_name, check_tensor, goals_by_name


class World(Checked, Placed, Read, Shown, Rebuilt, Renamed):
    """A batch of worlds: a table of frames, and solvers that see frames and push them.

    Args:
        scene: what each world looks like at the start.
        num_worlds: N.
        device: torch device; dtype: ``torch.float32``, or ``torch.float64`` for verification.

    Attributes:
        fields, controls: what the state and the control hold, by name: shape, unit, meaning.
        parameters: named physical parameters, tensors (N, ...).
        bodies, colliders, gels, emitters: by name (`simenv.world.bodies`).
        solvers: by name, in the order of their turns in a tick.
        dt: duration of a control step [s]; substeps: ticks of it, or the least if ``scene.max_substeps`` is given.
        particles: the `ParticleSolver`, or None; particle_count: P; particle_groups: slice of the particle axis of
            every group; volume: initial volume of every particle [m^3], (N, P).
        gas: as a `GasView`, or None.
        given_names, hand_names, tool_names, collider_names: in the order of the control's, and the state's, axes.
        robots: by name (`simenv.world.robots`).
    """

    def __init__(
        self, scene: Scene, num_worlds: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ):
        self.device = resolve_device(device)
        checks.whole("World", num_worlds=num_worlds)
        checks.precision("World", dtype)
        self.scene, self.num_worlds, self.dtype = scene, num_worlds, dtype
        self.dt, self.substeps = scene.control_dt, scene.substeps
        if not scene.particles and not scene.has_motion and scene.gas is None:
            raise ValueError(
                "nothing moves in the scene: it has no particles, gas, gels, or bodies with motion='free' or 'hand'; "
                "add some with add_particles, add_gas, add_gel or add_body"
            )
        warn_of_unpaired(scene)
        parts = scene.body_parts()
        self.given_names, self.hand_names = names_of(scene.bodies, ("given",)), names_of(scene.bodies, ("hand",))
        self.tool_names = tuple(tool.name for mount in scene.robots.values() for tool in mount.tools)
        self.body_names, self.collider_names = tuple(scene.bodies), tuple(scene.colliders)
        self.sensors = {
            name: TactileField(gel.grid, gel.gel, gel.shape, dtype, self.device, gel.max_depth, gel.reach)
            for name, gel in scene.gels.items()
            if gel.shape is not None
        }
        self.frames = FrameSolver(scene.bodies, parts.fingers, self.device, dtype)
        self.particles = self._particle_solver() if scene.particles else None
        around = obstacles_of(scene, scene.gas.obstacles) if scene.gas is not None else []
        moves = scene.has_motion or any(each.frame >= 0 for each in around)
        self.body_solver = BodySolver(parts, num_worlds, self.device, dtype) if scene.has_bodies else None
        self.robot_solver = self._robot_solver(bool(around))
        gels = GelSolver(scene.gels, scene.bodies, self.sensors, scene.lead) if scene.gels else None
        pressing = gels if gels is not None and gels.pressing else None
        gas, tick = scene.gas, scene.substep_dt
        self.gas_solver = GasSolver(gas, tick, around, scene.bodies, self.device, dtype) if gas else None
        added = [make(scene, num_worlds, self.device, dtype) for make in scene.solvers]
        drag = (
            DragSolver(scene.drags, list(scene.materials), scene.gas.origin)
            if scene.gas and scene.drags and scene.particles
            else None
        )
        every = [
            self.frames if moves else None,
            pressing,
            self.particles,
            drag,
            self.gas_solver,
            *added,
            self.robot_solver,
            self.body_solver,
        ]
        self.solvers: dict[str, Solver] = {solver.name: solver for solver in every if solver is not None}
        lanes, choices = (self.particles.lanes, len(self.particles.pace.counts)) if self.particles else (1, 1)
        self.engine = Engine(
            self.solvers, num_worlds, self.device, dtype, scene.substeps, self.dt, choices, lanes
        )  # fmt: skip
        self.fields = self._fields(gels)
        self.controls = self._controls()
        self._control_like = {n: f.initial(num_worlds, dtype, self.device) for n, f in self.controls.items()}
        self.parameters = self._parameters(parts)
        self.bodies, self.colliders = bodies_of(self, scene.bodies), colliders_of(self, scene.colliders)
        self.gas = GasView(self) if scene.gas is not None else None
        self.emitters, self.robots = emitters_of(scene.emitters), robots_of(self)
        self.gels = gels_of(self, scene.gels, self.sensors, gels.taxels if gels else {})
        self._felt = None
        if gels is not None and self.particles is not None and any(gel.collider for gel in scene.gels.values()):
            self._felt = FeltMaterial(scene.gels, gels.taxels, self.particles)
        self._still = gels if gels is not None and pressing is None else None  # gels that feel particles alone
        self.particle_count = self.particles.count if self.particles else 0
        self.particle_groups = self.particles.groups if self.particles else {}
        if self.particles is not None:
            self.volume = self.particles.volume
        self._entering = [name for solver in self.solvers.values() for name in solver.starts_from()]
        self._told = self._rows([i for i, body in enumerate(scene.bodies.values()) if body.is_told])
        told = names_of(scene.bodies, ("given", "fixed"))
        given = torch.tensor([told.index(name) for name in self.given_names], dtype=torch.int64, device=self.device)
        self._given_of_told = None if told == self.given_names else given
        self._ticks = self._tick_times()
        self._find_drawables()
        self._initial = self._build_state()

    def close(self) -> None:
        """Release threads and buffers."""
        self.engine.close()

    # ---------------------------------------------------------------------------------------------------- making it

    def _particle_solver(self) -> ParticleSolver:
        parts = self.scene.particle_parts()
        floats = sum(map(math.prod, state_shapes(parts.model).values()))
        what, N = "the state before and after a control step", self.num_worlds
        require_memory(what, N, 3 * N * floats * self.dtype.itemsize, self.device, ["fewer particles"])
        kind = LiquidSolver if is_incompressible(parts) else ParticleSolver
        return kind(parts, N, self.device, self.dtype)

    def _robot_solver(self, stirs: bool) -> RobotSolver | None:
        scene = self.scene
        mounts = [*scene.robots.values(), *scene.touching.values()]
        if not mounts:
            return None
        alone, where = not scene.has_bodies, touching(scene, mounts)
        seen = scene.has_bodies or bool(scene.particles) or bool(scene.solvers) or stirs
        return RobotSolver(
            mounts, scene.bodies, where, scene.substep_dt, scene.substeps, alone, seen, scene.midpoint, self.device,
            self.dtype,
        )  # fmt: skip

    def _rows(self, rows: list[int]) -> torch.Tensor | None:
        """Numbers of bodies on the device; None if these are all."""
        if len(rows) == len(self.scene.bodies):
            return None
        return torch.tensor(rows, dtype=torch.int64, device=self.device)

    def _fields(self, gels: GelSolver | None) -> dict[str, Field]:
        fields = dict(self.particles.fields) if self.particles else {}
        fields |= self.frames.fields
        fields["time"] = Field((), "s", "simulated time", differentiable=False)
        about = "bits of simenv.physics.status; not zero: the world has stopped at its last good state"
        fields["status"] = Field((), "1", about, 0, torch.int32, False)
        fields |= {} if gels is None else gels.fields
        for solver in self.solvers.values():
            fields |= solver.fields
        return fields

    def _controls(self) -> dict[str, Field]:
        owners = (self.frames, *self.solvers.values())  # frames have controls where nothing moves by itself as well
        return {name: each for owner in owners for name, each in owner.controls.items()}

    def _parameters(self, parts: Any) -> Parameters:
        scene, declared = self.scene, {}
        for solver in self.solvers.values():
            declared |= solver.parameters
        declared["gravity"] = Parameter(scene.gravity, "m/s^2", -math.inf)
        limits: list[Limit] = []
        carriers = [each.body for each in scene.colliders.values()] + [gel.on for gel in scene.gels.values()]
        mounts = (*scene.robots.values(), *scene.touching.values())
        eases = link_eases(mounts, [name for name in carriers if name is not None])
        if self.particles is not None:
            limits += self.particles.limits(scene.shortest_substep)
            limits += exchange_limits(self.particles.parts, eases)
        if self.gas_solver is not None:
            limits += self.gas_solver.limits()
        if self.body_solver is not None:
            yields = {name: float(np.linalg.eigvalsh(each[:3, :3]).max()) for name, each in eases.items()}
            limits += touch_limits(Pressed(parts, scene.gels, scene.lead, scene.substep_dt, yields))
        areas = least_areas(scene.gels)
        return Parameters(declared, limits, areas, self.num_worlds, self.device, self.dtype)

    def _tick_times(self) -> torch.Tensor:
        """Start of every tick [s], (choices, most ticks), zero where there is none."""
        counts = self.scene.substep_counts()
        times = np.zeros((len(counts), counts[-1]))
        for row, count in enumerate(counts):
            times[row, :count] = np.arange(count) * (self.dt / count)
        return torch.as_tensor(times, dtype=self.dtype, device=self.device)

    def _build_state(self) -> State:
        fields = self.fields.items()
        state = State({name: each.initial(self.num_worlds, self.dtype, self.device) for name, each in fields})
        return self.touch_anew(state)

    # ----------------------------------------------------------------------------------------------------- stepping

    def initial_state(self) -> State:
        """The scene as built, in every world."""
        return self._initial.clone()

    def zero_control(self, state: State | None = None) -> Control:
        """Given bodies stand, emitters are open, hands and tools stay where they are when the step begins (or in a
        `state`), and fingers have no effort.
        """
        shape = (self.num_worlds, len(self.given_names), 6)
        goals = []
        for names in (self.hand_names, self.tool_names):
            there = [self.bodies[name].pose(state) for name in names] if state is not None else []
            goals.append(torch.stack(there, 1) if there else None)
        told = torch.zeros(shape, dtype=self.dtype, device=self.device)
        return Control(told, goal=goals[0], tool_goal=goals[1])

    def control(
        self, twist: Mapping[str, torch.Tensor] | None = None, goal: Mapping[str, torch.Tensor] | None = None,
        emit: Mapping[str, torch.Tensor] | None = None, effort: torch.Tensor | None = None,
        joints: Mapping[str, torch.Tensor] | None = None, torques: Mapping[str, torch.Tensor] | None = None,
        drive: Mapping[str, torch.Tensor] | None = None,
        feed: Mapping[str, Mapping[str, torch.Tensor]] | None = None,
    ) -> Control:  # fmt: skip
        """A control by names.

        Args:
            twist: (N, 6) [m/s, rad/s] by given body; those that are not named stand.
            goal: (N, 7) [m, xyzw] by hand or link that is pulled; all of a kind, or none, which then stay.
            emit: (N,) bool by emitter; those that are not named are open.
            effort: (N,) [N], as `Control.effort`.
            joints: positions (N, nv) by robot, which the drives of its joints pull to; all, or none, which then stay.
            torques: of motors, beside those of the drives, (N, nv) [N m, N] by robot; all, or none.
            drive: accelerations of gas (N, 3) [m/s^2] by source; those that are not named have none.
            feed: rates (N,) [1/s] by source, and by what is mixed into gas; what is not named is none.

        Raises:
            KeyError: a name is none of theirs.
        """
        like = torch.zeros((self.num_worlds, 6), dtype=self.dtype, device=self.device)
        moves = by_name("given body", self.given_names, twist or {}, like)
        goals, pulled = goals_by_name(self.hand_names, self.tool_names, goal or {})
        open_ = torch.ones(self.num_worlds, dtype=torch.bool, device=self.device)
        gates = by_name("emitter", self.scene.emitters, emit, open_) if emit else None
        targets, feeds = (by_name("robot", self.robots, each, axis=-1) if each else None for each in (joints, torques))
        told = {"joint_torque": feeds, "tool_goal": pulled}
        if self.gas is not None:
            told |= {"gas_drive": self.gas.drive(drive) if drive else None}
            told |= {"gas_feed": self.gas.feed(feed) if feed else None}
        return Control(moves if self.given_names else None, gates, goals, effort, targets, **told)

    def step(self, state: State, control: Control) -> State:
        """Advance all worlds by one control step.

        Differentiable with respect to the state, the control and the parameters if gradients are on and any of them
        requires one. A world that fails keeps the state it entered with, and its ``status`` says why; it stays so until
        its state is replaced.

        Args:
            state: entering state; not modified.
            control: what is done to it.

        Returns:
            The leaving state, in new tensors.

        Raises:
            ValueError: a tensor has a shape, dtype or device that does not fit this world.
        """
        control = self._check(state, control)
        packed, stopped = self.parameters.packed(self._pack)
        beside = {name: value for solver in self.solvers.values() for name, value in solver.beside(state).items()}
        if beside:
            stopped = torch.where(stopped != 0, stopped, self.parameters.overloads(beside).to(torch.int32))
        start, control, stopped = self._stopped(state, control, stopped)
        choice, taken = self._choose(start, control)
        if self.particles is not None:
            start = self.particles.enter(start, control)
        step, end = self._told_motion(start, control, choice)
        inputs = {name: solver.before(step, packed[name]) for name, solver in self.solvers.items()}
        out, status = self._run(inputs, choice, stopped)
        fields = {"time": state.time + self.dt, **taken, **self._frames_after(start, end, out)}
        for name, solver in self.solvers.items():
            fields |= solver.after(start, inputs[name], out[name])
        if self._still is not None:
            fields |= self._still.after(start, {}, {})
        if self._felt is not None:
            fields |= self._felt.added(fields)
        after = state.replace(**fields)
        status = state.status | status
        return self._kept(after, status == 0, state, (start, control)).replace(status=status)

    def _pack(self, values: dict[str, torch.Tensor]) -> Named:
        return {name: solver.pack(values) for name, solver in self.solvers.items()}

    def _run(self, inputs: Named, choice: Choice, stopped: torch.Tensor) -> tuple[Named, torch.Tensor]:
        """Results of the solvers, and the status of the step with that of worlds that had stopped."""
        wanted = torch.is_grad_enabled() and any(v.requires_grad for each in inputs.values() for v in each.values())
        if not wanted:
            out = self.engine.forward(inputs, choice.index)
            return out, torch.where(stopped != 0, stopped, self.engine.faults(out))
        return StepFunction.run(self.engine, choice.index, stopped, inputs)

    def _kept(self, after: State, good: torch.Tensor, before: State, given: tuple[State, Control]) -> State:
        """The state after a step in the worlds that are good (N,), and before it in the others; in new tensors. `given`
        is what the step began with.
        """
        if not surely(good):
            # what a failed world keeps is a constant: its numbers never reach the gradient of the batch
            return after.where(good, before.detach())
        start, control = given
        passed = {id(tensor) for tensor in (*before.values(), *start.values(), control.twist)}  # by the step
        return after.replace(**{name: tensor.clone() for name, tensor in after.items() if id(tensor) in passed})

    def _check(self, state: State, control: Control) -> Control:
        """The control, complete. Raise ValueError if tensors of it or of a state do not fit this world."""
        state.check(self._initial)
        for name, value in vars(control).items():
            nothing = value is None or (isinstance(value, torch.Tensor) and not value.numel())
            if name not in self.controls and not nothing:
                has = ", ".join(self.controls) or "none"
                raise ValueError(f"control.{name} is given, but this world has no such control; it has: {has}")
            if name in self.controls and value is not None:
                check_tensor(f"control.{name}", value, self._control_like[name])
        if control.twist is None:
            control = replace(control, twist=self.zero_control().twist)
        return control

    def _choose(self, start: State, control: Control) -> tuple[Choice, dict[str, torch.Tensor]]:
        if self.particles is None:
            return Choice(None, self._ticks[0], [self.substeps]), {}
        return self.particles.choose(self.parameters, start, control.twist)

    def _told_motion(self, start: State, control: Control, choice: Choice) -> tuple[Step, GivenMotion]:
        """The step with the motion of the bodies that move as told, and where these end."""
        pose = start.body_q if self._told is None else start.body_q.index_select(1, self._told)
        twist = control.twist
        if self._given_of_told is not None:
            still = pose.new_zeros((self.num_worlds, pose.shape[1], 6))
            twist = still.index_copy(1, self._given_of_told, control.twist)
        still = not self.given_names
        moving = GivenMotion(pose, twist, choice.times, self.dt, still)
        ticks = self._ticks[0] if choice.index is None else self._ticks[choice.index]
        same = ticks.shape == choice.times.shape
        return Step(start, control, moving if same else GivenMotion(pose, twist, ticks, self.dt, still), moving), moving

    def _frames_after(self, start: State, told: GivenMotion, out: Named) -> dict[str, torch.Tensor]:
        """The table of frames at the end, from the rows of all owners."""
        if self._told is None:
            return {"body_q": told.end, "body_twist": told.twist}
        poses = start.body_q.index_copy(1, self._told, told.end)
        twists = start.body_twist.index_copy(1, self._told, told.twist)
        for name, solver in self.solvers.items():
            moved = solver.frames_after(out[name])
            if moved is not None:
                poses, twists = poses.index_copy(1, moved[0], moved[1]), twists.index_copy(1, moved[0], moved[2])
        return {"body_q": poses, "body_twist": twists}
