# SPDX-License-Identifier: Apache-2.0
"""The task table, its registration with Gymnasium, and the number of threads."""

import os
from collections.abc import Iterator

import gymnasium
import pytest

import simenv
from simenv import _registry, _threads


class Stand:
    """Stands in for a task class: the registry never looks inside."""


@pytest.fixture(autouse=True)
def _restore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_registry, "TASKS", dict(_registry.TASKS))
    monkeypatch.setattr(_threads, "_num_threads", None)
    monkeypatch.delenv("SIMENV_NUM_THREADS", raising=False)
    specs = dict(gymnasium.registry)
    yield
    gymnasium.registry.clear()
    gymnasium.registry.update(specs)


def test_built_in_tasks_have_both_entry_points_and_a_json_spec() -> None:
    for task_id, (_, steps) in simenv._BUILTIN_TASKS.items():
        spec = gymnasium.spec(task_id)
        assert (spec.max_episode_steps, spec.kwargs, spec.nondeterministic) == (steps, {"task_id": task_id}, False)
        assert spec.vector_entry_point
        assert type(spec).from_json(spec.to_json()) == spec


def test_a_task_from_elsewhere_can_be_registered_and_redefined() -> None:
    _registry.register("Mine/Thing-v0", "mine:Thing", 10, Stand)
    assert "Mine/Thing-v0" in simenv.list_tasks()
    assert _registry.load_task("Mine/Thing-v0") is Stand

    class Again:
        pass

    _registry.register("Mine/Thing-v0", "mine:Thing", 20, Again)
    assert _registry.load_task("Mine/Thing-v0") is Again
    assert gymnasium.spec("Mine/Thing-v0").max_episode_steps == 20


def test_registering_the_table_row_again_from_its_decorator_keeps_the_spec() -> None:
    _registry.register("Mine/Row-v0", "mine:Row", 10)
    spec = gymnasium.spec("Mine/Row-v0")
    _registry.register("Mine/Row-v0", "mine:Row", 10, Stand)
    assert gymnasium.spec("Mine/Row-v0") is spec
    assert _registry.load_task("Mine/Row-v0") is Stand


def test_conflicts_are_refused() -> None:
    _registry.register("Mine/Thing-v0", "mine:Thing", 10)
    with pytest.raises(ValueError, match="belongs to mine:Thing already"):
        _registry.register("Mine/Thing-v0", "other:Thing", 10)
    with pytest.raises(ValueError, match=r"max_episode_steps=11.*says 10"):
        _registry.register("Mine/Thing-v0", "mine:Thing", 11, Stand)
    with pytest.raises(ValueError, match="the minimum is 1"):
        _registry.register("Mine/Other-v0", "mine:Other", 0)


def test_an_unknown_task_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(KeyError, match="SimEnv/Pouring-v0"):
        _registry.load_task("SimEnv/Powring-v0")


def test_threads_come_from_the_call_then_the_environment_then_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert simenv.get_num_threads() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("SIMENV_NUM_THREADS", "7")
    assert simenv.get_num_threads() == 7
    simenv.set_num_threads(3)
    assert simenv.get_num_threads() == 3


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "²"])
def test_a_bad_environment_variable_is_an_error(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMENV_NUM_THREADS", value)
    with pytest.raises(ValueError, match="SIMENV_NUM_THREADS"):
        simenv.get_num_threads()


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-2, ValueError), (1.0, TypeError), (True, TypeError)])
def test_a_bad_number_of_threads_is_an_error(value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="set_num_threads"):
        simenv.set_num_threads(value)


def test_unknown_attributes_are_errors_and_lazy_ones_are_listed() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        simenv.nonsense  # noqa: B018
    assert {"Task", "register_task", "world", "envs"} <= set(dir(simenv))
