# SPDX-License-Identifier: Apache-2.0
"""A state: an immutable mapping with attributes, whose fields the solvers declare and whose errors tell the remedy."""

import copy
import functools
import pickle
from collections.abc import Mapping

import pytest
import torch

from simenv.world import Control, Scene, State, World
from simenv.world import state as state_module
from tests.world.zoo import SCENES

ALWAYS = {"body_q", "body_twist", "time", "status"}


@functools.cache
def world(name: str, worlds: int = 2) -> World:
    """A world of the zoo, made once: these tests do not change its parameters."""
    return World(SCENES[name](), worlds, dtype=torch.float64)


def small() -> State:
    return State({"x": torch.arange(6.0).view(2, 3), "time": torch.zeros(2)}, status=torch.tensor([0, 4]))


# -------------------------------------------------------------------------------------------------------- a mapping


def test_it_is_a_mapping_with_attributes():
    tensors = {"x": torch.ones(2, 3), "time": torch.zeros(2)}
    state = State(tensors)
    assert isinstance(state, Mapping) and len(state) == 2 and list(state) == ["x", "time"]
    assert state.x is state["x"] is tensors["x"] is state.get("x") is dict(state)["x"]
    assert "x" in state and "F" not in state and state.get("F") is None
    tensors["F"] = torch.zeros(2)  # what it was made from is not its memory
    assert "F" not in state and len(state) == 2
    assert dict(State(dict(state))) == dict(state)  # the same tensors
    assert repr(small()) == "State(x (2, 3), time (2,), status (2,))"


def test_it_does_not_change():
    state = small()
    with pytest.raises(AttributeError, match=r"a state does not change; use state.replace\(x=...\)"):
        state.x = torch.zeros(2, 3)
    with pytest.raises(AttributeError, match=r"state.replace\(fresh=...\)"):
        state.fresh = torch.zeros(2)
    with pytest.raises(TypeError, match="does not support item assignment"):
        state["x"] = torch.zeros(2, 3)
    with pytest.raises(TypeError, match="does not support item deletion"):
        del state["x"]
    with pytest.raises(AttributeError):
        del state.x
    assert list(state) == ["x", "time", "status"] and torch.equal(state.x, torch.arange(6.0).view(2, 3))


def test_two_states_are_equal_only_if_they_are_one():
    """Tensors have no single truth value: who compares states compares their tensors."""
    state = small()
    other = State(dict(state))
    assert state == state and state != other and hash(state) == hash(state)
    assert {state: 1, other: 2}[state] == 1


def test_replacing_cloning_and_detaching():
    state = small()
    other = state.replace(time=torch.ones(2), memory=torch.zeros(2, 5))
    assert other.x is state.x and other.time.tolist() == [1, 1] and state.time.tolist() == [0, 0]
    assert list(other) == ["x", "time", "status", "memory"] and "memory" not in state
    leaf = state.x.clone().requires_grad_()
    traced = state.replace(x=leaf)
    assert traced.requires_grad and not state.requires_grad and not traced.detach().requires_grad
    assert traced.detach().x.data_ptr() == leaf.data_ptr() != traced.clone().x.data_ptr()
    traced.clone().x.sum().backward()
    assert torch.equal(leaf.grad, torch.ones(2, 3))


def test_rows_are_taken_from_one_or_the_other():
    ones, zeros = (small().replace(x=torch.full((2, 3), value).requires_grad_()) for value in (1.0, 0.0))
    mixed = ones.where(torch.tensor([True, False]), zeros.replace(memory=torch.zeros(2, 1)))
    assert mixed.x.tolist() == [[1.0] * 3, [0.0] * 3] and list(mixed) == list(ones)
    mixed.x.sum().backward()
    assert ones.x.grad.tolist() == [[1.0] * 3, [0.0] * 3] and zeros.x.grad.tolist() == [[0.0] * 3, [1.0] * 3]
    with pytest.raises(KeyError, match="the state of this world has no 'memory'"):
        zeros.replace(memory=torch.zeros(2, 1)).where(torch.tensor([True, False]), ones)


COPIES = {
    "pickle": lambda state: pickle.loads(pickle.dumps(state)), "deepcopy": copy.deepcopy, "copy": copy.copy,
}  # fmt: skip


@pytest.mark.parametrize("way", COPIES)
def test_it_is_pickled_and_copied(way):
    state = world("particles").initial_state()
    other = COPIES[way](state)
    assert isinstance(other, State) and list(other) == list(state)
    for name, tensor in state.items():
        assert torch.equal(tensor, other[name]) and tensor.dtype == other[name].dtype, name
        assert (other[name] is tensor) == (way == "copy"), name  # of which only a shallow one shares memory
    with pytest.raises(AttributeError, match=r"use state.replace\(x=...\)"):
        other.x = state.x
    after = [world("particles").step(each, world("particles").zero_control()) for each in (state, other)]
    assert all(torch.equal(tensor, after[1][name]) for name, tensor in after[0].items())
    empty = COPIES[way](State())
    assert len(empty) == 0 and not hasattr(empty, "x")


# ------------------------------------------------------------------------------------------------ what a world holds


@pytest.mark.parametrize("name", SCENES)
def test_the_declarations_are_those_of_the_state(name):
    """Names, shapes and dtypes of the state as built, and of what a step makes of it."""
    made = world(name)
    start = made.initial_state()
    after = made.step(start, made.zero_control(start))
    assert after.status.tolist() == [0, 0]
    assert ALWAYS <= set(start) == set(after) == set(made.fields)
    for key, field in made.fields.items():
        for state in (start, after):
            assert state[key].shape == (2, *field.shape), key
            assert state[key].dtype == (field.dtype or made.dtype), key
        assert field.about and field.unit, key
        assert field.differentiable <= start[key].is_floating_point(), key
        assert not hasattr(State, key), f"a state's attribute hides its field {key}"


def test_the_scenes_have_every_field_that_there_is():
    """So that these tests, and the remedies below, leave none out."""
    declared = set().union(*(world(name).fields for name in SCENES))
    assert declared == ALWAYS | (state_module._GIVEN_BY.keys() - {"memory"})


@pytest.mark.parametrize("field", sorted(state_module._GIVEN_BY))
def test_a_missing_field_names_what_would_give_it(field):
    lacking = next(world(name).initial_state() for name in SCENES if field not in world(name).fields)
    with pytest.raises(AttributeError) as as_attribute:
        getattr(lacking, field)
    with pytest.raises(KeyError) as as_key:
        lacking[field]
    for error in (as_attribute, as_key):
        text = str(error.value)
        assert f"the state of this world has no {field!r}" in text
        assert "It has " in text and "body_q" in text
        if field == "memory":
            assert "Task.initial_state gives it" in text
            continue
        if field == "substeps":
            assert "; Scene(max_substeps=...) gives it" in text and "max_substeps" in Scene.__dataclass_fields__
            continue
        method = text.partition("; Scene.")[2].partition("(")[0].partition(" ")[0]
        assert method.startswith("add_") and callable(getattr(Scene, method, None)), text


def test_a_field_that_nothing_gives():
    state = world("robot").initial_state()
    with pytest.raises(AttributeError, match=r"has no 'colour'\. It has body_q, body_twist, time, status"):
        state.colour  # noqa: B018
    assert not hasattr(state, "colour") and not hasattr(state, "_private")


# ------------------------------------------------------------------------------------------- what a world takes


def step(state: State) -> State:
    return world("particles").step(state, world("particles").zero_control())


def test_a_state_that_lacks_a_field_is_refused():
    state = world("particles").initial_state()
    for name in state:
        rest = State({key: tensor for key, tensor in state.items() if key != name})
        with pytest.raises(ValueError, match=rf"the state has no {name}, which this world needs; start from initial"):
            step(rest)
        with pytest.raises(ValueError, match=rf"state\.{name} is a list; it must be a torch tensor"):
            step(state.replace(**{name: [0.0]}))
        with pytest.raises(ValueError, match=rf"state\.{name} is .* this world needs .* on cpu"):
            step(state.replace(**{name: state[name][:1]}))


def test_rows_of_a_task_pass_through_and_stay_where_a_world_fails():
    state = world("particles").initial_state()
    memory = torch.arange(8.0).view(2, 4)
    after = step(state.replace(memory=memory))
    assert after.memory.equal(memory) and set(after) == {*state, "memory"}
    plain = step(state)
    assert all(torch.equal(tensor, after[name]) for name, tensor in plain.items())
    v = state.v.clone()
    v[1, 3] = torch.nan
    failed = step(state.replace(v=v, memory=memory))
    assert failed.status[0] == 0 != failed.status[1] and failed.memory.equal(memory)


def test_steps_of_worlds_with_other_solvers_refuse_each_others_states():
    state = world("touch").initial_state()
    with pytest.raises(ValueError, match="the state has no x, which this world needs"):
        world("mixed").step(state, Control())
