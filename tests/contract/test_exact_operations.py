# SPDX-License-Identifier: Apache-2.0
"""Nothing that an environment returns is computed by an operation of torch whose bits depend on place, N or threads.

By construction: while every task resets, steps and observes, each operation of torch on floating numbers is looked at.
"""

import traceback
from pathlib import Path

import gymnasium as gym
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import simenv
from simenv.envs.registration import task_class
from simenv.tasks import template, template_robot, template_touch  # noqa: F401
from tests.contract.source_rules import ROOT

# IEEE 754 says what these give, element by element. `reciprocal` is one division; `pow` is looked at below.
ROUNDED = "add sub rsub mul div neg abs sqrt reciprocal round floor ceil sign"
# these choose one of their operands, or say something about it
CHOOSE = "equal where clamp clamp_min clamp_max minimum maximum amin amax min max lt le gt ge eq ne isfinite isnan"
# these move numbers, make them, or change their type
MOVE = """
    _to_copy alias as_strided cat clone copy detach diagonal empty empty_like expand eye fill flip full
    full_like gather index index_copy index_put index_select lift_fresh new_empty new_empty_strided new_full new_ones
    new_zeros ones ones_like permute reshape roll scalar_tensor scatter select slice split split_with_sizes squeeze
    stack t transpose unbind unfold unsqueeze view _unsafe_view _reshape_alias zero zeros zeros_like
"""
# A loop over vectors of the same few instructions, never several vectors at once: `test_cross_products_...` below.
ALIKE = "linalg_cross"
ALLOWED = set(f"{ROUNDED} {CHOOSE} {MOVE} {ALIKE}".split())
# with the templates, which importing them registers; without what other tests register
TASKS = [task for task in simenv.list_tasks() if task.startswith(("SimEnv/", "Example/"))]


def _is_ours(path: Path) -> bool:
    """Whether a file is the tree's and not of what is installed in an environment inside it."""
    return path.is_relative_to(ROOT) and "site-packages" not in path.parts


class Watch(TorchDispatchMode):
    """Notes each operation on floating numbers that is not allowed, with the line of the tree that asked for it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        if any(each.is_floating_point() for each in tensors) and not self._allowed(function, args, kwargs):
            stack = [f for f in traceback.extract_stack()[:-1] if _is_ours(Path(f.filename))]
            self.found.add(f"{function.overloadpacket.__name__} at {stack[-1].filename}:{stack[-1].lineno}")
        return function(*args, **kwargs)

    @staticmethod
    def _allowed(function, args, kwargs) -> bool:
        name = function.overloadpacket.__name__.removesuffix("_")
        if name == "pow":
            return not isinstance(args[1], torch.Tensor) and args[1] == 2  # one product
        if name in ("add", "sub", "rsub") and kwargs.get("alpha", 1) != 1:
            return False  # product and sum in one
        return name in ALLOWED


def watched(task_id: str, **options) -> set[str]:
    """What is found in two episodes of a task, in all its modes."""
    env = gym.make_vec(
        task_id, num_envs=2, output="torch", device="cpu", autoreset_mode="same_step", max_episode_steps=2, **options
    ).unwrapped
    task = env.task
    with Watch() as watch:
        env.reset(seed=0)
        for _ in range(3):
            env.step(torch.full((2, *env.single_action_space.shape), 0.1))
        task.expert(env.world, env.state, env.episode)
        for mode in task.observation_modes:
            task.observation_mode = mode
            env.observe()
    env.close()
    return watch.found


def rounds_otherwise(task_id: str, **wanted) -> dict:
    """Those of the wanted arguments that a task has."""
    known = task_class(task_id).declared_arguments()
    return {name: value for name, value in wanted.items() if name in known}


@pytest.mark.parametrize("task_id", TASKS)
def test_tasks_use_operations_that_round_alike_everywhere(task_id: str) -> None:
    assert watched(task_id) == set()


@pytest.mark.slow
@pytest.mark.parametrize("task_id", TASKS)
def test_so_do_their_variants(task_id: str) -> None:
    options = rounds_otherwise(task_id, randomize=True, gel="elastic", contact_penalty=0.1, stage="near")
    assert watched(task_id, **options) == set()
    arm = rounds_otherwise(task_id, robot="panda")
    assert not arm or watched(task_id, **arm) == set()


def test_watch_sees_what_rounds_otherwise() -> None:
    x = torch.rand(7)
    seen = {
        "exp": lambda: x.exp(), "sum": lambda: x.sum(), "mean": lambda: x.mean(), "pow": lambda: x**3,
        "linalg_vector_norm": lambda: x.norm(), "mm": lambda: x[None] @ x[:, None], "addcmul": lambda: x.addcmul(x, x),
        "add": lambda: x.add(x, alpha=0.3), "sin_": lambda: x.clone().sin_(),
    }  # fmt: skip
    for name, operation in seen.items():
        with Watch() as watch:
            operation()
        assert [each.split()[0] for each in watch.found] == [name]
    with Watch() as watch:
        _ = (x + 1.0 - x * x / 2.0).sqrt().clamp(0.0, 1.0).amax() + (x**2).round()[:3].to(torch.float64)[0]
        _ = torch.arange(5).sum()  # whole numbers are exact
    assert watch.found == set()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cross_products_are_alike_at_every_place(dtype: torch.dtype) -> None:
    seed = int(torch.randint(2**31, ()))
    a, b = torch.randn(2, 3, dtype=dtype, generator=torch.Generator().manual_seed(seed))
    alone = torch.linalg.cross(a, b)
    for count in (1, 2, 3, 7, 16, 33, 40_000):
        for first in (0, 1, 5):
            many = torch.randn(2, count + first, 3, dtype=dtype)
            many[0, first:], many[1, first:] = a, b
            for u, v in ((many[0], many[1]), (many[0].T.contiguous().T, many[1].T.contiguous().T)):
                result = torch.linalg.cross(u[first:], v[first:])
                assert torch.equal(result, alone.expand(count, 3)), (seed, count, first)
