# SPDX-License-Identifier: Apache-2.0
"""Steps the scenes of against_cases.py and the registered tasks in the checkout that its Python has; see against.py.

It runs in either checkout, so that it uses only what both have. See protocol.py for how it is asked.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from protocol import claim_stdout, serve

ANSWERS = claim_stdout()

import hashlib  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402
from collections import Counter  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import simenv  # noqa: E402  before torch: it sets how torch's threads wait

# isort: split
import gymnasium as gym  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import warp as wp  # noqa: E402
from against_cases import CASES, DX, state_tensors, task_tensors  # noqa: E402

import simenv.envs  # noqa: E402
from simenv.world import Control, World  # noqa: E402

TASK_WORLDS, TASK_STEPS = 2, 3

Tensors = dict[str, torch.Tensor]


# Fields of tasks that a checkout may lack or define otherwise; what they say is in the observations as well.
TASK_LEFT_OUT = ("memory", "wrench", "gel_wrench", "body_wrench", "push", "drive", "grip", "touch", "skin_field")


class Launches:
    """Counts what is recorded in graphs, and what is launched outside of them, by kernel."""

    def __init__(self) -> None:
        self.graphs: list[Counter[str]] = []
        self.outside: Counter[str] = Counter()
        self._recording = threading.local()  # a graph is recorded on one thread
        self._wrap(wp, "launch", self._launched)
        self._wrap(wp.Launch, "launch", lambda result, command, *_, **__: self._count(command.kernel))
        self._wrap(wp, "capture_begin", lambda *_, **__: setattr(self._recording, "graph", Counter()))
        self._wrap(wp, "capture_end", self._recorded)

    def _wrap(self, owner: Any, name: str, after: Callable[..., None]) -> None:
        original = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            after(result, *args, **kwargs)
            return result

        setattr(owner, name, wrapped)

    def _launched(self, _: Any, kernel: Any, *__: Any, **options: Any) -> None:
        if not options.get("record_cmd"):  # that makes a command, which is launched later
            self._count(kernel)

    def _count(self, kernel: Any) -> None:
        graph = getattr(self._recording, "graph", None)
        (self.outside if graph is None else graph)[kernel.key] += 1

    def _recorded(self, *_: Any, **__: Any) -> None:
        self.graphs.append(self._recording.graph)
        self._recording.graph = None

    def take(self) -> tuple[list[Counter[str]], Counter[str]]:
        """What was counted since the last call."""
        taken = self.graphs, self.outside
        self.graphs, self.outside = [], Counter()
        return taken


class SceneRun:
    """One of `CASES`."""

    def __init__(self, name: str, dtype: torch.dtype):
        self.case, self.dtype = CASES[name], dtype
        simenv.set_num_threads(self.case.threads)
        self.world = World(self.case.make(), self.case.worlds, dtype=dtype)
        self._random = torch.Generator().manual_seed(0)
        state = self.world.initial_state()
        self.steps, shape = self.case.steps, self.world.zero_control().twist.shape
        self.twist = self._normal(self.steps, *shape, scale=0.1)
        self.twist[..., 2] -= 0.3
        emitters = len(self.world.scene.emitters)
        self.emit = [torch.arange(shape[0])[:, None].expand(-1, emitters) != step for step in range(self.steps)]
        self.shift = {"x": self._normal(*state.x.shape, scale=1e-3 * DX), "v": self._normal(*state.v.shape, scale=0.05)}
        if self.case.stiffness:
            factor = torch.tensor(self.case.stiffness, dtype=dtype)
            self.world.parameters["a.youngs_modulus"] = self.world.parameters["a.youngs_modulus"] * factor

    def _normal(self, *shape: int, scale: float = 1.0) -> torch.Tensor:
        return scale * torch.randn(*shape, generator=self._random, dtype=torch.float64).to(self.dtype)

    def _rollout(self, twist: torch.Tensor, shift: Tensors) -> tuple[Any, torch.Tensor]:
        """The last state, and the wrench of all steps added up."""
        state = self.world.initial_state()
        state = state.replace(x=state.x + shift["x"], v=state.v + shift["v"])
        if self.case.pressed != 1.0:
            state = state.replace(F=state.F * self.case.pressed)
        wrench = state.x.new_zeros(())
        for step in range(self.steps):
            state = self.world.step(state, Control(twist=twist[step], emit=self.emit[step]))
            wrench = wrench + state_tensors(self.world, state).get("wrench", 0.0)
        if bool(state.status.any()):
            raise RuntimeError(f"status {state.status.tolist()}")
        return state, wrench

    @torch.no_grad()
    def forward(self) -> Tensors:
        """The state after the rollout."""
        state, wrench = self._rollout(self.twist, self.shift)
        return {**state_tensors(self.world, state), "wrench of all steps": wrench}

    def gradient(self) -> Tensors:
        """Adjoints of motion, start and parameters, of a fixed random function of the end and of the wrenches."""
        leaves = {"twist": self.twist, **self.shift}
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in leaves.items()}
        kept = dict(self.world.parameters.items())
        named = {name: value.detach().clone() for name, value in kept.items() if not name.endswith(".scale")}
        for name, value in named.items():
            self.world.parameters[name] = value.requires_grad_()
        state, wrench = self._rollout(leaves["twist"], leaves)
        weights = torch.Generator().manual_seed(7)
        loss = wrench.new_zeros(())
        ends = {**state_tensors(self.world, state), "wrench": wrench}
        for name, tensor in sorted(ends.items()):  # in one order, whatever a checkout's is
            if tensor.requires_grad and name != "time":
                weight = torch.randn(tensor.shape, generator=weights, dtype=torch.float64).to(self.dtype)
                loss = loss + (weight * tensor).sum()
        loss.backward()
        for name, value in kept.items():
            self.world.parameters[name] = value
        every = {**leaves, **named}
        return {f"adjoint of {name}": leaf.grad for name, leaf in every.items() if leaf.grad is not None}

    def close(self) -> None:
        """Let go of threads and memory."""
        self.world.close()


class TaskRun:
    """A registered task, through Gymnasium: what it shows and what it pays, and the gradient of that."""

    def __init__(self, name: str, dtype: torch.dtype):
        simenv.set_num_threads(1)
        self.env = gym.make_vec(
            name, num_envs=TASK_WORLDS, output="torch", device="cpu", dtype=str(dtype).removeprefix("torch."),
            differentiable=True, autoreset_mode="disabled",
        ).unwrapped  # fmt: skip
        self.steps, size = TASK_STEPS, self.env.single_action_space.shape
        random = torch.Generator().manual_seed(0)
        actions = 0.6 * torch.rand(self.steps, TASK_WORLDS, *size, generator=random, dtype=torch.float64) - 0.4
        self.actions = actions.to(dtype)

    def _rollout(self, actions: torch.Tensor) -> Tensors:
        self.env.reset(seed=0)
        out = self.env.rollout(actions, observe=True)
        seen = out.observations
        seen = seen if isinstance(seen, dict) else {"observations": seen}
        tensors = task_tensors(self.env.world, self.env.state)
        state = {name: value for name, value in tensors.items() if name not in TASK_LEFT_OUT}
        if bool(state["status"].any()):
            raise RuntimeError(f"status {state['status'].tolist()}")
        return {**seen, "rewards": out.rewards, **state}

    @torch.no_grad()
    def forward(self) -> Tensors:
        """Observations, rewards and the last state."""
        return self._rollout(self.actions)

    def gradient(self) -> Tensors:
        """Adjoint of the actions."""
        self.env.detach_state()
        actions = self.actions.clone().requires_grad_()
        self._rollout(actions)["rewards"].sum().backward()
        return {"adjoint of actions": actions.grad}

    def close(self) -> None:
        """Let go of threads and memory."""
        self.env.close()


def digest(tensors: Tensors) -> str:
    """SHA-256 of names, shapes, types and bytes."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().contiguous()
        whole.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        whole.update(value.numpy().tobytes())
    return whole.hexdigest()


class Server:
    """One case at a time."""

    def setup(self, request: dict) -> dict:
        """Answer with the checkout, the scenes and its tasks."""
        wp.config.log_level = wp.LOG_ERROR
        torch.set_num_threads(1)  # torch only moves states
        self.launches = Launches()
        self.case: SceneRun | TaskRun | None = None
        root = Path(simenv.__file__).resolve().parents[1]
        return {"root": str(root), "scenes": list(CASES), "tasks": simenv.list_tasks()}

    def values(self, request: dict) -> dict:
        """Run ``case`` in ``dtype``, write its tensors to ``path`` (npz), answer with digests and launches; or with the
        error, so that one case that fails in a checkout does not hide the others.
        """
        try:
            return self._values(request["case"], getattr(torch, request["dtype"]), request["path"])
        except Exception as error:
            traceback.print_exc()  # SIMENV_DEBUG=1 shows it
            return {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}

    def _values(self, name: str, dtype: torch.dtype, path: str) -> dict:
        if self.case is not None:
            self.case.close()
        self.case = None
        case = self.case = (SceneRun if name in CASES else TaskRun)(name, dtype)
        self.launches.take()
        forward = case.forward()
        recorded, _ = self.launches.take()
        again = case.forward()
        _, outside = self.launches.take()
        gradient = case.gradient()
        reverse, _ = self.launches.take()
        if any(not torch.isfinite(value).all() for value in gradient.values()) or digest(again) != digest(forward):
            raise RuntimeError(f"{name}: a gradient that is not finite, or a second rollout that differs")
        np.savez(path, **{key: value.detach().numpy() for key, value in {**forward, **gradient}.items()})
        return {
            "forward": digest(forward), "gradient": digest(gradient), "in forward": recorded, "in gradient": reverse,
            "outside": outside,
        }  # fmt: skip

    def time(self, request: dict) -> dict:
        """Milliseconds per control step of ``repeats`` rollouts of the last case, which have ``steps`` each."""
        case = self.case
        assert case is not None
        run = case.gradient if request["gradient"] else case.forward
        start = time.perf_counter()
        for _ in range(request["repeats"]):
            run()
        return {"ms": 1e3 * (time.perf_counter() - start) / (request["repeats"] * case.steps), "steps": case.steps}


if __name__ == "__main__":
    serve(Server(), ANSWERS)
