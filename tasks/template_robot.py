# SPDX-License-Identifier: Apache-2.0
"""A complete small task of a robot to copy: an arm presses the gel on its tool onto a bump with an asked force.

Copy this file, rename the class and the id, and change one method at a time. ``template.py`` is the same for particles,
``template_touch.py`` for touch without a robot. Importing the file registers the task; in your own package that is all,
inside this repository the table in ``simenv/__init__.py`` gets a row too.
"""

from __future__ import annotations

from functools import cached_property

import torch

from simenv.envs import Argument, EpisodeRandom, Range, Task, register_task
from simenv.geometry import Plane, Sphere
from simenv.physics import exact
from simenv.robots import JointDrive, ToolDrive, chain, load_tool
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.world import Control, Scene, State, World

# Plain numbers with units at the top, so that a reader sees the size of everything.
BUMP = 0.02  # radius of the bump, half of which is above the table [m]
ABOVE = 0.012  # of the gel above the bump in the scene as built [m]
PAD = 0.02  # width of the gel [m]
TAXELS = 12  # along each side of it
STIFFNESS = (600.0, 600.0, 600.0, 50.0, 50.0, 50.0)  # of the tool along x, y, z [N/m] and about them [N m/rad]
DAMPING = (100.0,) * 3 + (5.0,) * 3  # the same [N s/m], [N m s/rad]
MOVE = 0.010  # of the goal from the tool at an action of 1 [m]; at 600 N/m that pulls with 6 N
FORCE = (1.0, 3.0)  # range of the asked force [N]
ASIDE = 0.003  # success: the tool is this close to the bump's axis [m]
WITHIN = 0.1  # and the force this close to the asked one, in parts of it
DOWN = (1.0, 0.0, 0.0, 0.0)  # quaternion xyzw that turns the z axis of the tool downwards


@register_task("Example/PressBump-v0", max_episode_steps=120)
class PressBump(Task):
    """## Description

    Reach a bump with the arm's tool and press the gel on it with an asked force. The motors of a robot pull its tool as
    a task-space impedance says; the bump is half a ball that stands on the table. The arm touches the bump by its gel
    alone, and its links pass through the table.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0 | goal of the tool along x, from where it is | -1 | 1 | 10 mm, which pulls with 6 N |
    | 1 | goal along y | -1 | 1 | 10 mm |
    | 2 | goal along z, up | -1 | 1 | 10 mm |

    ## Observation Space

    A vector (17 + 2 n): asked `force` (1) [N], top of the bump (3) [m], the joints between base and tool (n, of the
    Panda 7) [rad or m] and their rates (n), pose of the tool (7) [m, quaternion], force (3) [N] and moment (3) [N m] on
    the gel in its frame.

    ## Rewards

    `reach`: 10 per metre that the tool comes nearer to the top of the bump. `force`: -0.02 e^2 / (1 + e^2) per step,
    e = F / F_asked - 1 and F the normal force on the gel. `effort`: -0.001 |action|^2.

    ## Starting State

    The bump is drawn within 5 cm of (0.5, 0) along x and y, the asked force from 1 to 3 N. The tool looks down at rest,
    6 to 12 mm above the top, 8 mm aside. With `randomize`, stiffness of gel and tool and the friction are drawn, too.

    ## Episode End

    Truncation after 120 steps (1.92 s). Termination only if the simulation fails. Success: the tool is within 3 mm of
    the bump's axis, and the force within 10 % of the asked one.

    ## Version History

    * v0: first version.
    """

    # Actions lie in [-1, 1]: learning libraries expect it. `control` scales them to SI units.
    action_limits = ((-1.0,) * 3, (1.0,) * 3)
    action_names = (("goal x", "10 mm"), ("goal y", "10 mm"), ("goal z", "10 mm"))

    # What a caller may choose: gym.make(id, robot=...). Checked, documented above, and kept by recordings.
    robot = Argument("panda", "name, or URDF, MJCF or USD file, whose tool is the link `tool`, or FILE#LINK")

    @cached_property
    def tool(self) -> str:
        """The body that is the robot's tool: every link of a robot is one, such as "arm/link7"."""
        return f"arm/{load_tool(self.robot)[1]}"

    def build(self) -> Scene:
        """One world, described once; the environment makes N of it."""
        # Bodies and gels need no grid: neither size nor dx. 16 substeps of 1 ms make a control step of 16 ms.
        scene = Scene(substep_dt=1e-3, substeps=16, lead=2e-3)
        scene.add_body("table", Plane(), motion="fixed")
        scene.add_body("bump", Sphere(BUMP), position=(0.5, 0.0, 0.0), motion="fixed")
        # `chain` holds the joints beside the way to the tool, such as those of a gripper. The impedance pulls the tool
        # to its goal, and to a posture what that leaves free; `reach` starts the tool where it should be.
        (tree, tool), start = load_tool(self.robot), ((0.5, 0.0, BUMP + ABOVE), DOWN)
        tools = {tool: ToolDrive(STIFFNESS, DAMPING, posture_stiffness=10.0, posture_damping=6.0)}
        drive = JointDrive(gravity_compensation=True)
        scene.add_robot("arm", chain(tree, tool), drive=drive, reach={tool: start}, tools=tools)
        gel = WinklerGel.from_layer(modulus=1e5, poisson=0.45, thickness=3e-3, mu=0.5)
        scene.add_gel("gel", self.tool, "bump", flat_grid(TAXELS, TAXELS, PAD, PAD), gel)
        scene.let_pass("arm", "bump", "the gel is between them")  # links that have collision shapes would touch it
        scene.let_pass("arm", "table", "the base stands on it and the bump is higher")
        return scene

    def sample(self, random: EpisodeRandom) -> dict[str, torch.Tensor]:
        """What every episode draws, for all worlds at once."""
        aside = random.uniform("aside", -0.008, 0.008, (2,))
        return {
            "bump": random.uniform("bump", (0.45, -0.05), (0.55, 0.05), (2,)),
            "start": torch.cat([aside, random.uniform("height", 0.006, ABOVE)[:, None]], -1),
            "force": random.uniform("force", *FORCE),
        }

    def randomisation(self) -> dict[str, Range]:
        """The physical parameters that gym.make(id, randomize=True) draws for each episode, and from where."""
        return {
            "gel.k_n": Range(9e7, 1.5e8, unit="Pa/m", stream="gel"),
            "gel.mu": Range(0.3, 0.7, stream="friction"),
            f"{self.tool}.stiffness": Range(0.75, 1.25, of=STIFFNESS, unit="N/m, N m/rad", stream="stiffness"),
        }

    def initial_state(self, world: World, episode: dict[str, torch.Tensor]) -> State:
        """The scene as built, with bump and arm moved. Who moves what touches lets the gels look anew."""
        state, bump, tool = world.initial_state(), world.bodies["bump"], world.bodies[self.tool]
        state = bump.place(state, torch.cat([episode["bump"], bump.pose(state)[:, 2:]], -1))
        place = self._top(world, state) + episode["start"]
        state = tool.place(state, torch.cat([place, tool.pose(state)[:, 3:]], -1))  # by inverse kinematics
        return world.touch_anew(state)

    def control(self, world: World, state: State, action: torch.Tensor, episode: dict[str, torch.Tensor]) -> Control:
        """Actions become goals (N, 7) of the tool, as of a hand: beside where it is, so that an action is a force."""
        goal = world.bodies[self.tool].near(state, MOVE * action, torch.zeros_like(action))
        return world.control(goal={self.tool: goal})

    def observe(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> torch.Tensor:
        """One tensor (N, ...) or a flat dict of them; the space follows from what is returned."""
        arm = world.robots["arm"]
        return torch.cat(
            [
                episode["force"][:, None],
                self._top(world, state),
                arm.positions(state),
                arm.rates(state),
                world.bodies[self.tool].pose(state),
                world.gels["gel"].wrench(state),
            ],
            dim=-1,
        )

    def reward(
        self, world: World, before: State, action: torch.Tensor, after: State, episode: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Named terms; their sum is the reward. Smooth ones give gradients. No `if` on a value: use torch.where."""
        old, new = exact.norm(self._to_top(world, before)), exact.norm(self._to_top(world, after))
        square = self._error(world, after, episode) ** 2
        return {
            "reach": 10.0 * (old - new),
            "force": -0.02 * square / (1.0 + square),  # bends over to 0.02 far away
            "effort": -0.001 * exact.total(action**2),
        }

    def evaluate(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Hard judgements: "success" always; "terminated" and measures of your own if you like."""
        aside, error = exact.norm(self._to_top(world, state)[:, :2]), self._error(world, state, episode)
        return {"success": (aside < ASIDE) & (error.abs() < WITHIN), "aside": aside, "force_error": error}

    def expert(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> torch.Tensor:
        """A controller to imitate, which may know the true state: `simenv record --policy expert`."""
        x, y, height = self._to_top(world, state).unbind(-1)
        felt, asked = -world.gels["gel"].wrench(state)[:, 2], episode["force"]
        down = torch.where(height > 0.002, -0.4, -0.15)  # above the bump and down
        pull = -asked / 6.0 - 0.1 * (asked - felt)  # where the gel feels it: the asked force, and what is missing
        return torch.stack([-60.0 * x, -60.0 * y, torch.where(felt > 0.05, pull, down)], -1).clamp(-1.0, 1.0)

    def _top(self, world: World, state: State) -> torch.Tensor:
        """(N, 3) top of the bump [m]."""
        x, y, z = world.bodies["bump"].pose(state)[:, :3].unbind(-1)
        return torch.stack([x, y, z + BUMP], -1)

    def _to_top(self, world: World, state: State) -> torch.Tensor:
        """(N, 3) the tool from the top of the bump [m]."""
        return world.bodies[self.tool].pose(state)[:, :3] - self._top(world, state)

    def _error(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> torch.Tensor:
        """(N,) relative error of the normal force on the gel, whose z points out of it: a press is negative."""
        return -world.gels["gel"].wrench(state)[:, 2] / episode["force"] - 1.0
