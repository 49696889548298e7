# SPDX-License-Identifier: Apache-2.0
"""Arguments of tasks: declared once, checked, documented, recorded."""

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import simenv
from simenv.envs import Argument, Task, make_vector_env, register_task
from simenv.envs.arguments import arguments_table
from simenv.envs.registration import task_class
from simenv.rollouts import Recorder, RolloutError
from simenv.rollouts.access import describe, make
from tests.envs.splash_task import Splash

LAWS = {"soft": 1.0, "stiff": 2.0}


def even(name: str, value: Any) -> int:
    if value % 2:
        raise ValueError(f"{name}={value}: give an even number")
    return value // 2


class Declared(Task):
    """A task.

    ## Version History

    * v0: first version.
    """

    action_limits = ((-1.0,), (1.0,))
    action_names = (("push", "N"),)
    width = Argument(0.01, "of the gap", unit="m", above=0.0, most=0.02)
    weight = Argument(1.0, "of a term", least=0.0)
    law = Argument("soft", "of the spring", choices=LAWS)
    count = Argument(8, "of fingers", check=even)
    file = Argument(None, "a mesh; None is a ball")
    loud = Argument(False, "whether it speaks")


class Changed(Declared):
    """Another default, and one that callers cannot choose."""

    width = Argument(0.02, "of the gap", unit="m")
    law = 2.5


def test_values_are_the_callers_or_the_defaults() -> None:
    task = Declared(width=0.02, law="stiff", count=6)
    assert (task.width, task.weight, task.law, task.count, task.file, task.loud) == (0.02, 1.0, 2.0, 3, None, False)
    assert task.arguments == {
        "width": 0.02, "weight": 1.0, "law": "stiff", "count": 6, "file": None, "loud": False,
    }  # fmt: skip
    assert Declared().width == 0.01  # each its own
    twin = pickle.loads(pickle.dumps(task))
    assert vars(twin) == vars(task)
    changed = Changed()
    assert (changed.width, changed.law) == (0.02, 2.5) and "law" not in changed.arguments
    assert Changed(width=1.0).width == 1.0  # its own limits, not those it replaced


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"wide": 1.0},
            TypeError,
            r"Declared: __init__\(\) got an unexpected keyword argument 'wide'\. Did you mean width",
        ),
        ({"width": 0.0}, ValueError, r"width = 0\.0 m must be above 0 m and at most 0\.02 m"),
        ({"width": 0.021}, ValueError, r"width = 0\.021 m must be above 0 m and at most 0\.02 m"),
        ({"width": float("nan")}, ValueError, "argument 'width' of Declared is nan; it must be finite"),
        ({"width": True}, TypeError, "argument 'width' of Declared is True; it must be a number, such as 0.01"),
        ({"width": None}, TypeError, "argument 'width' of Declared is None; it must be a number"),
        ({"weight": -1}, ValueError, r"weight = -1 must be at least 0"),
        ({"law": "sotf"}, ValueError, "law='sotf' is not one of 'soft', 'stiff'. Did you mean soft"),
        ({"law": 1}, TypeError, "argument 'law' of Declared is 1; it must be a text, such as 'soft'"),
        ({"count": 3}, ValueError, "count=3: give an even number"),
        ({"file": b"x"}, TypeError, "'file' of Declared is not JSON-serialisable"),
        ({"loud": "no"}, TypeError, "argument 'loud' of Declared is 'no'; it must be True or False"),
        ({"randomize": True}, TypeError, "unexpected keyword argument 'randomize'"),  # it draws nothing
    ],
)
def test_wrong_values_are_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Declared(**arguments)


def test_limits_themselves() -> None:
    assert Declared(width=0.02, weight=0.0).width == 0.02  # most and least are allowed


class Undeclared(Declared):
    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed


class Deaf(Declared):
    def __init__(self) -> None:
        super().__init__()


class Old(Declared):
    observation_options = ("width",)


class WrongDefault(Declared):
    width = Argument(-1.0, "of the gap", unit="m", least=0.0)


@pytest.mark.parametrize(
    ("cls", "error", "message"),
    [
        (Undeclared, TypeError, r"Undeclared.__init__ takes speed; declare .* speed = Argument\(\.\.\."),
        (Deaf, TypeError, r"Deaf.__init__ takes no arguments; declare .*__init__\(self, \*\*arguments\)"),
        (Old, TypeError, r"Old\.observation_options is no more: declare each .*image_size = Argument"),
        (WrongDefault, ValueError, r"width = -1\.0 m must be at least 0 m"),
    ],
)
def test_other_ways_to_take_arguments_are_refused_at_import(cls: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        register_task("TestEnv/Refused-v0", 10)(cls)
    assert "TestEnv/Refused-v0" not in simenv.list_tasks()


def test_a_task_that_does_not_hand_them_on_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Splash, "__init__", lambda self, **arguments: None)
    with pytest.raises(TypeError, match=r"Splash.__init__ must call super\(\).__init__\(\*\*arguments\)"):
        make_vector_env(Splash.task_id, 1, device="cpu")


def test_the_table_is_in_the_docstring_before_the_history() -> None:
    table = arguments_table(Declared.declared_arguments())
    assert "| `width` | 0.01 | of the gap [m]; above 0 m and at most 0.02 m |" in table
    assert '| `law` | "soft" | of the spring; `"soft"` or `"stiff"` |' in table
    assert len(table) == 2 + 6
    for task_id in simenv.list_tasks():
        cls = task_class(task_id)
        doc = cls.__doc__ or ""
        assert doc.count("## Arguments") == (1 if doc else 0)
        head, _, tail = doc.partition("## Arguments")
        assert "## Version History" not in head
        for name in cls.declared_arguments():
            assert f"| `{name}` |" in tail.partition("## Version History")[0], (task_id, name)


def test_recordings_keep_all_arguments_and_are_rebuilt_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    env = gym.make("SimEnv/BallRoll-v0", device="cpu", gel="elastic", image_size=(40, 40))
    recorded = describe(env)
    env.close()
    assert recorded["kwargs"] == {"gel": "elastic", "image_size": [40, 40]}
    assert recorded["arguments"] == {
        "randomize": False, "gel": "elastic", "tactile_sensor": "gelsight_mini", "image_size": [40, 40],
    }  # fmt: skip
    cls = task_class("SimEnv/BallRoll-v0")
    changed = Argument("digit", "another default of a later version", choices=("gelsight_mini", "digit"))
    changed.__set_name__(cls, "tactile_sensor")
    monkeypatch.setattr(cls, "tactile_sensor", changed)
    again = make(recorded)
    assert again.unwrapped.task.tactile_sensor == "gelsight_mini" and list(again.unwrapped.task.image_size) == [40, 40]
    again.close()
    older = {name: value for name, value in recorded.items() if name != "arguments"}  # recorded before they were kept
    again = make(older)
    assert again.unwrapped.task.tactile_sensor == "digit" and again.unwrapped.task.arguments["gel"] == "elastic"
    again.close()


def test_names_of_a_vectors_components_are_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    env = gym.make_vec(Splash.task_id, num_envs=1, device="cpu")
    size = env.single_observation_space.shape[0]
    assert "names" not in describe(env)["observation"]["observation"]
    names = tuple(f"quantity {i}" for i in range(size))
    monkeypatch.setattr(Splash, "observation_names", names)
    assert describe(env)["observation"]["observation"]["names"] == list(names)
    monkeypatch.setattr(Splash, "observation_names", names[1:])
    with pytest.raises(RolloutError, match=rf"has {size - 1} names for an observation of shape \({size},\)"):
        describe(env)
    monkeypatch.setattr(Splash, "observation_names", names)
    with Recorder(tmp_path, env) as recorder:
        recorder.reset(seed=0)
        recorder.step(np.zeros((1, 2), np.float32))
