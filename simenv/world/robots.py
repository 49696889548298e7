# SPDX-License-Identifier: Apache-2.0
"""Robots of a world by name: where their joints are, and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from simenv.physics import exact
from simenv.physics.constants import constant
from simenv.world.bodies import ByName

if TYPE_CHECKING:
    from simenv.physics.bodies.forest import RobotMount
    from simenv.robots.robot import Robot
    from simenv.world.state import State
    from simenv.world.world import World

__all__ = ["RobotView", "robots_of"]

OPEN = 1e-4  # [m, rad, m/s, rad/s], what a loop may be open by where it is placed


class RobotView:
    """One robot in all worlds.

    Attributes:
        spec: what the scene says about it; joints: names of its rates, in order; links: names of its links, which are
            the bodies ``"<name>/<link>"``.
        span: where its rates are in the controls and in ``joint_qd``; span_q: its positions in ``joint_q``.
    """

    def __init__(self, world: World, spec: RobotMount):
        self._world, self.spec = world, spec
        self.joints, self.links = spec.table.rates, tuple(spec.table.frames)
        self.span_q, self.span = world.robot_solver.spans[spec.name]

    @cached_property
    def model(self) -> Robot:
        """It by itself, for kinematics and dynamics as torch functions, with parameters and gravity of the scene."""
        from simenv.robots.robot import Robot

        world = self._world
        return Robot(self.spec.tree, world.num_worlds, world.device, world.dtype, world.scene.gravity)

    def positions(self, state: State) -> torch.Tensor:
        """Of its joints, (N, nq) [rad or m]."""
        return state.joint_q[:, self.span_q]

    def rates(self, state: State) -> torch.Tensor:
        """Of its joints, (N, nv) [rad/s or m/s]."""
        return state.joint_qd[:, self.span]

    def reach(self, state: State, link: str, pose: torch.Tensor) -> torch.Tensor:
        """Positions (N, ny) of its joints, of those that follow no other, that bring a link to poses (N, 7) [m, xyzw],
        or as near as inverse kinematics finds from where they are in a state; joints that do not move the link stay.
        Differentiable in the poses (`simenv.robots.Robot.reach`).
        """
        lead = constant(tuple(self.spec.table.lead_positions.tolist()), torch.int64, state.joint_q.device)
        return self.model.reach(pose, link, self.positions(state).index_select(1, lead))

    def close(
        self, positions: torch.Tensor, rates: torch.Tensor | None = None, keep: Sequence[str] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Positions (N, nq) that close the loops of its links, found from where they are while the joints `keep` stay,
        and the nearest rates (N, nv) that keep them closed, zero without.

        Raises:
            ValueError: a name is unknown, or loops of a world stay open.
        """
        from simenv.robots.closing import close

        return close(self.model, positions, rates, keep)

    def _check_loops(self, positions: torch.Tensor, rates: torch.Tensor | None) -> None:
        from simenv.robots.closing import loop_gaps, loop_jacobian

        names, positions = [loop.name for loop in self.spec.tree.loops], positions.detach()
        if not names:
            return
        open_by = loop_gaps(self.model, positions).abs().amax(-1)
        if rates is not None:
            moved = exact.matmul(loop_jacobian(self.model, positions).flatten(1, 2), rates.detach().unsqueeze(-1))
            open_by = torch.maximum(open_by, moved[..., 0].unflatten(1, (-1, 6)).abs().amax(-1))
        world, loop = divmod(int(open_by.argmax()), len(names))
        if not float(open_by[world, loop]) <= OPEN:
            raise ValueError(
                f"robot {self.spec.name!r}: loop {names[loop]!r} of world {world} would be open, or open, by "
                f"{float(open_by[world, loop]):.2e} m or m/s, more than {OPEN:.0e}; take what "
                f"world.robots[{self.spec.name!r}].close(positions, rates) returns"
            )

    def place(self, state: State, positions: torch.Tensor, rates: torch.Tensor | None = None) -> State:
        """The state with its joints, of those that follow no other, at positions (N, ny), at rest or with rates (N,
        nu), and its links where these put them.

        Raises:
            ValueError: a tensor has the wrong shape or dtype, or loops are open.
        """
        self._check_loops(positions, rates)
        model, poses, twists = self.model, state.body_q.clone(), state.body_twist.clone()
        placed = model.link_poses(positions)  # which also checks what is given
        joint_q, joint_qd = state.joint_q.clone(), state.joint_qd.clone()
        for i, link in enumerate(self.links):
            body = self._world.bodies[f"{self.spec.name}/{link}"]
            if body.spec.motion == "link":
                poses[:, body.index] = placed[:, i]
                twists[:, body.index] = 0.0 if rates is None else model.twist(positions, rates, link)
        joint_q[:, self.span_q] = model.all_positions(positions)
        joint_qd[:, self.span] = 0.0 if rates is None else model.all_rates(rates)
        state = state.replace(joint_q=joint_q, joint_qd=joint_qd, body_q=poses, body_twist=twists)
        state = self._world.robot_solver.commands.placed(state, self.span, self.spec.name)
        for link in self.links:
            state = self._world.robot_solver.let_go(state, f"{self.spec.name}/{link}")
        return state


def robots_of(world: World) -> ByName[RobotView]:
    """The robots of a world."""
    return ByName("robot", {name: RobotView(world, spec) for name, spec in world.scene.robots.items()})
