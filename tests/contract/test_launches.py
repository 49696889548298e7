# SPDX-License-Identifier: Apache-2.0
"""How much a control step launches: in its graphs, for particles as many as before there was one world for everything;
and outside them, where nothing grows with the number of ticks.
"""

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import gymnasium as gym
import pytest
import torch
import warp as wp
from torch.utils._python_dispatch import TorchDispatchMode

import simenv  # noqa: F401  registers the tasks
from simenv import _threads
from simenv.envs.registration import task_class
from simenv.physics.mpm import particles
from simenv.world import Scene, World
from tests.contract import test_determinism
from tests.gradients import test_contact_variants as variants
from tests.gradients.scenes import press_scene
from tests.world import zoo

ZEROING = {"zero_", "fill_"}
ALLOCATING = {"empty", "zeros", "ones", "empty_like", "zeros_like", "new_empty", "new_zeros", "clone"}


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """So that all that is counted happens on this one; restored."""
    monkeypatch.setattr(_threads, "_num_threads", 1)


# --------------------------------------------------------------------------------------------------- in the graphs


def sparse_scene() -> Scene:
    scene = press_scene("liquid")
    scene.grid = "sparse"
    return scene


# name: builder, particles of a lane (None for the default); launches of "forward", "keep" and "backward" at 4bd21c4,
# the last commit whose particles had an engine of their own, of control steps of 5 substeps
BEFORE = {
    "liquid": (partial(press_scene, "liquid"), None, 25, 25, 25),
    "every_family": (partial(press_scene, "every_family"), None, 25, 25, 25),
    "snow": (partial(press_scene, "snow"), None, 25, 25, 25),
    "sparse": (sparse_scene, None, 40, 40, 45),
    "emitter": (variants.emitter_scene, None, 25, 25, 25),
    "cup": (variants.cup_scene, None, 30, 30, 35),
    "skin": (variants.skin_scene, None, 25, 25, 25),
    "mesh": (variants.mesh_scene, None, 30, 30, 35),
    "parked": (variants.parked_scene, None, 25, 25, 25),
    "periodic": (partial(variants.boundary_scene, ("periodic", "periodic", "slip")), None, 30, 30, 40),
    "lanes": (test_determinism.scene, 100, 75, 75, 75),  # 3 of them
}


QUICK = {"liquid", "sparse", "cup", "periodic", "lanes"}  # one of each kind of program


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in BEFORE]
)
def test_particles_launch_as_much_as_before(name, monkeypatch) -> None:
    build, lane, *before = BEFORE[name]
    if lane is not None:
        monkeypatch.setattr(particles, "PARTICLES_PER_LANE", lane)
    world = World(build(), 1, dtype=torch.float64)
    for program, count in zip(("forward", "keep", "backward"), before, strict=True):
        phases = world.engine.program().phases(program)
        commands = [command for phase in phases for lane_of in phase for command in lane_of]
        # a command is one recorded launch, and nothing else, such as a copy or a function that may launch several
        assert all(isinstance(getattr(command, "__self__", None), wp.Launch) for command in commands)
        assert len(commands) == count, program
    world.close()


# ----------------------------------------------------------------------------------------------- outside the graphs


class Work(TorchDispatchMode):
    """Counts what is asked of torch, by the name of the operation, and of Warp outside graphs, as "warp ...".

    Attributes:
        calls: by name.
    """

    def __init__(self):
        super().__init__()
        self.calls: Counter[str] = Counter()
        self._patch = pytest.MonkeyPatch()

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Count a call of torch, then make it."""
        self.calls[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))

    def total(self, names: set[str]) -> int:
        """Calls of some operations."""
        return sum(self.calls[name] for name in names)

    def _watch(self, owner: Any, name: str) -> None:
        made = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls[f"warp {name}"] += 1
            return made(*args, **kwargs)

        self._patch.setattr(owner, name, counted)

    def __enter__(self) -> "Work":
        """Watch Warp, too."""
        for owner, names in (
            (wp, ("launch", "copy", "empty", "zeros", "from_torch", "capture_launch")),
            (wp.Launch, ("launch",)),
            (wp.array, ("__init__", "zero_", "fill_")),
        ):
            for name in names:
                self._watch(owner, name)
        return super().__enter__()

    def __exit__(self, *stop: Any) -> None:
        """Stop watching."""
        super().__exit__(*stop)
        self._patch.undo()


def test_work_is_seen() -> None:
    wp.init()
    with Work() as work:
        torch.zeros(3).zero_().fill_(1.0)
        torch.ones(3).new_zeros(2)
        wp.zeros(3, dtype=float, device="cpu").zero_()
    assert work.total(ZEROING) == 2 and work.total(ALLOCATING) >= 3
    assert work.calls["warp zeros"] == 1 and work.calls["warp zero_"] >= 1 and work.calls["warp __init__"] >= 1


def peg_scene() -> Scene:
    return task_class("SimEnv/PegInsertion-v0")().build()


def work_of_a_step(build, times: int, gradient: bool) -> tuple[Work, int]:
    """What a control step of two worlds asks for when it has so many times the scene's ticks, and the bytes of its
    program's slots, without the motion of given bodies, an input of every tick: 16 numbers of a body at most.
    """
    scene = build()
    scene.substep_dt, scene.substeps = scene.substep_dt / times, scene.substeps * times
    world = World(scene, 2)
    state = world.initial_state()
    control = world.zero_control(state)
    told = "tool_goal" if world.tool_names else "goal"

    def step() -> None:
        goal = getattr(control, told).clone().requires_grad_(gradient)
        after = world.step(state, replace(control, **{told: goal}))
        assert not after.status.any()
        if gradient:
            after.body_q.sum().backward()
            assert goal.grad.abs().sum() > 0

    for _ in range(2):  # the first compiles, records and allocates
        step()
    with Work() as work:
        step()
    held = world.engine.program().desk.memory.bytes - 16 * 4 * scene.substeps * len(world.given_names)
    world.close()
    return work, held


SCENES = {"peg": peg_scene, "gripper": zoo.touch, "hand in liquid": zoo.mixed, "robot": zoo.robot}


@pytest.mark.parametrize("gradient", [False, True], ids=["step", "gradient"])
@pytest.mark.parametrize("name", SCENES)
def test_no_work_outside_the_graphs_grows_with_the_ticks(name, gradient) -> None:
    few, many = (work_of_a_step(SCENES[name], times, gradient) for times in (1, 3))
    assert few[0].calls["warp capture_launch"] >= 1
    assert few[0].calls == many[0].calls
    if name != "hand in liquid":  # particles zero each of their adjoints, for every world, as they always have
        assert few[0].total(ZEROING) <= 20
    if not gradient:
        assert few[1] >= many[1]  # nothing is kept of a tick that no reverse sweep will read


def test_a_step_of_the_peg_task_zeroes_little() -> None:
    env = gym.make_vec("SimEnv/PegInsertion-v0", num_envs=2, output="torch", device="cpu").unwrapped
    env.reset(seed=0)
    for _ in range(2):
        env.step(torch.zeros(2, 6))
    with Work() as work:
        env.step(torch.zeros(2, 6))
    assert work.calls["warp capture_launch"] == 1
    assert work.total(ZEROING) <= 20
    env.close()
