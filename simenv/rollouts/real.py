# SPDX-License-Identifier: Apache-2.0
"""Move a simulated tool as a real one was moved, and report what the simulation makes of it."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch

from simenv.rollouts.access import host
from simenv.rollouts.errors import RolloutError
from simenv.rollouts.motion import Motion, load_motion, rotation
from simenv.rollouts.replay import filming

START_POSITION_TOLERANCE = 5e-3  # [m] frame="world": how far the first recorded pose may be from the simulated one
START_ANGLE_TOLERANCE = 0.05  # [rad]


@dataclasses.dataclass(frozen=True)
class MotionReport:
    """What a recorded motion did in the simulator.

    Attributes:
        steps: Control steps simulated.
        duration: Simulated time [s].
        drive: "twist", "goal" or "action", how the body was moved.
        body: The body that was moved.
        position_error_max: Largest distance between the wanted and the simulated position [m].
        position_error_rms: Its root mean square [m].
        angle_error_max: Largest angle between wanted and simulated orientation [rad].
        angle_error_rms: Its root mean square [rad].
        limited_steps: Steps in which the action had to be clipped to the task's limits.
        evaluation: The task's own measures of the last state (``Task.evaluate``).
        sim_status: 0, or the bitmask that says why the simulation stopped.
        sim_status_message: The same in words.
        video: Path of the video, if one was written.
    """

    steps: int
    duration: float
    drive: str
    body: str
    position_error_max: float
    position_error_rms: float
    angle_error_max: float
    angle_error_rms: float
    limited_steps: int
    evaluation: dict[str, float | bool]
    sim_status: int
    sim_status_message: str
    video: str | None = None


def replay_motion(
    motion: Motion | str | os.PathLike,
    env: Any,
    *,
    seed: int = 0,
    body: str | None = None,
    drive: Literal["auto", "action", "twist", "goal"] = "auto",
    frame: Literal["relative", "world"] = "relative",
    video: str | os.PathLike | None = None,
    width: int = 480,
    height: int = 360,
) -> MotionReport:
    """Replay a recorded motion through the simulator, from a fresh episode to the end of the motion.

    The motion is resampled to the control step and turned into constant twists; a task's success or time limit does
    not end it, a failed simulation does.

    Args:
        motion: The motion or its CSV file.
        env: Batched environment of one world, from ``gym.make_vec(..., num_envs=1)``.
        seed: Of the episode.
        body: Which body moves; None is the scene's first one that moves as told, which tasks make their tool, or else
            its first hand.
        drive: "action" goes through the task's actions and their limits (the task must define
            ``twist_to_action(twist)``), "twist" moves a given body exactly, "goal" lets a hand's impedance pull it
            along, so that it lags as a real arm does; "auto" is "action" where the task can, else what the body is made
            for.
        frame: "relative" starts the motion at the body's initial pose (world axes); "world" says that the poses are
            in the simulation's frame already, and refuses them when the first one is elsewhere.
        video: Write an MP4 there.
        width: Of the video [pixel].
        height: Of the video [pixel].

    Returns:
        Tracking errors, the task's result and the simulation's status.

    Raises:
        RolloutError: A bad motion file, an unknown body or option, one that does not fit the body, more than one world,
            or poses of another frame.
    """
    motion = motion if isinstance(motion, Motion) else load_motion(motion)
    core = env.unwrapped
    if int(core.num_envs) != 1:
        raise RolloutError(f"the environment has {core.num_envs} worlds; make one with num_envs=1")
    body = _body(core.world, body)
    core.reset(seed=seed)
    target = _place(motion.resample(float(core.world.dt)), host(core.world.bodies[body].pose(core.state))[0], frame)
    command, driven_by = _command(core, drive, body)
    if video is None:
        poses, limited, state = _run(core, target, body, command, lambda state: None)
    else:
        with filming(core, video, 1.0 / float(core.world.dt), width, height) as film:
            poses, limited, state = _run(core, target, body, command, film)
    position = np.linalg.norm(poses[:, :3] - target.positions[: len(poses)], axis=1)
    angle = (rotation(poses[:, 3:]) * rotation(target.quaternions[: len(poses)]).inv()).magnitude()
    status = int(host(state.status)[0])
    return MotionReport(
        steps=len(poses) - 1,
        duration=(len(poses) - 1) * float(core.world.dt),
        drive=driven_by,
        body=body,
        position_error_max=float(position.max()),
        position_error_rms=float(np.sqrt(np.mean(position**2))),
        angle_error_max=float(angle.max()),
        angle_error_rms=float(np.sqrt(np.mean(angle**2))),
        limited_steps=limited,
        evaluation=_evaluation(core, state),
        sim_status=status,
        sim_status_message=_describe(core.world, status),
        video=None if video is None else str(video),
    )


def _body(world: Any, body: str | None) -> str:
    """The body that moves."""
    names = [*world.given_names, *world.hand_names]
    if body is None and names:
        return names[0]
    if body is None or body not in names:
        wanted = "no body that could move" if body is None else f"no body {body!r}"
        if body in world.body_names:
            wanted = f"a body {body!r}, but it moves by itself"
        raise RolloutError(f"there is {wanted}; the bodies that can follow a motion are {', '.join(names) or '(none)'}")
    return body


def _place(motion: Motion, pose: np.ndarray, frame: str) -> Motion:
    """The motion in the simulation's frame, for a body that starts at ``pose`` (7,)."""
    position, quaternion = pose[:3].astype(float), pose[3:].astype(float)
    if frame == "relative":
        return motion.starting_at(position, quaternion)
    if frame != "world":
        raise RolloutError(f"frame={frame!r}; use 'relative' or 'world'")
    distance = float(np.linalg.norm(motion.positions[0] - position))
    angle = float((rotation(motion.quaternions[0]) * rotation(quaternion).inv()).magnitude())
    if distance > START_POSITION_TOLERANCE or angle > START_ANGLE_TOLERANCE:
        raise RolloutError(
            f"the motion starts {distance:.4g} m and {angle:.3g} rad from the simulated body "
            f"(limits {START_POSITION_TOLERANCE} m, {START_ANGLE_TOLERANCE} rad); "
            "use frame='relative', or express the poses in the simulation's world frame"
        )
    return motion


Command = Callable[[Any, np.ndarray, np.ndarray], tuple[Any, bool]]
"""Of the state, a twist (6,) and the pose (7,) to which it leads: the control, and whether it had to be limited."""


def _command(core: Any, drive: str, body: str) -> tuple[Command, str]:
    """How the body is moved, and what that is called."""
    world = core.world
    options = {"device": world.device, "dtype": world.dtype}
    can = core.task.twist_to_action(torch.zeros((1, 6), **options)) is not None
    own = "twist" if body in world.given_names else "goal"
    if drive not in ("auto", "action", "twist", "goal"):
        raise RolloutError(f"drive={drive!r}; use 'auto', 'action', 'twist' or 'goal'")
    if drive == "action" and not can:
        raise RolloutError(f"{type(core.task).__name__} has no twist_to_action(twist); use drive={own!r}")
    if drive in ("twist", "goal") and drive != own:
        how = {"twist": "moves as told", "goal": "is pulled by an impedance"}[own]
        raise RolloutError(f"drive={drive!r}: {body!r} {how}; use drive={own!r}")

    def by_twist(state: Any, twist: np.ndarray, pose: np.ndarray) -> tuple[Any, bool]:
        control = world.zero_control()
        control.twist[0, world.given_names.index(body)] = torch.as_tensor(twist, **options)
        return control, False

    def by_goal(state: Any, twist: np.ndarray, pose: np.ndarray) -> tuple[Any, bool]:
        control = world.zero_control(state)  # the other hands stay where they are
        control.goal[0, world.hand_names.index(body)] = torch.as_tensor(pose, **options)
        return control, False

    def by_action(state: Any, twist: np.ndarray, pose: np.ndarray) -> tuple[Any, bool]:
        action = core.task.twist_to_action(torch.as_tensor(twist, **options)[None])
        low, high = (
            torch.as_tensor(side, **options) for side in (core.single_action_space.low, core.single_action_space.high)
        )
        limited = torch.clamp(action, low, high)
        clipped = bool((torch.abs(limited - action) > 1e-6).any())
        return core.task.control(world, state, limited, core.episode), clipped

    if drive == "action" or (drive == "auto" and can):
        return by_action, "action"
    return {"twist": by_twist, "goal": by_goal}[own], own


def _run(core: Any, target: Motion, body: str, command: Command, film: Any) -> tuple[np.ndarray, int, Any]:
    """Follow a motion; returns the poses (K, 7) from the first on, the count of limited steps, the last state."""
    world, state = core.world, core.state
    moved = world.bodies[body]
    poses, limited = [host(moved.pose(state))[0]], 0
    goals = np.concatenate([target.positions, target.quaternions], 1)[1:]
    film(state)
    with torch.no_grad():
        for twist, goal in zip(target.twists(), goals, strict=True):
            control, clipped = command(state, twist, goal)
            state = world.step(state, control)
            limited += clipped
            poses.append(host(moved.pose(state))[0])
            film(state)
            if int(host(state.status)[0]):
                break
    return np.stack(poses).astype(float), limited, state


def _evaluation(core: Any, state: Any) -> dict[str, float | bool]:
    measures = core.task.evaluate(core.world, state, core.episode)
    rows = {name: host(value)[0] for name, value in measures.items()}
    return {name: bool(row) if row.dtype.kind == "b" else float(row) for name, row in rows.items() if row.ndim == 0}


def _describe(world: Any, status: int) -> str:
    return world.parameters.explain(status) if status else "ok"
