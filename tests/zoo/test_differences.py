# SPDX-License-Identifier: Apache-2.0
"""What is declared differentiable is: central differences of every field, parameter and control of every world, by
enumeration. What is not is refused, or has no derivative.
"""

import itertools

import pytest
import torch

from simenv.world import State, World
from tests.zoo.play import (
    Leaves,
    gradients,
    is_differentiable,
    leaves_of,
    normal,
    objective,
    run,
    scale_of,
    weights,
    world,
)  # fmt: skip
from tests.zoo.scenes import ZOO, each

EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)  # wide ones cross kinks of contact, narrow ones drown in rounding
WIDE = {"wind": (1e-2,)}  # beside those: its slope by diffusivities, 1e-5 of others, drowns in what solves leave
DIRECTIONS = (1, 2)
LIMIT = 1e-5
# what nothing in the scene depends on: sand that is pressed does not dilate, a ball that rolls does not slip, and no
# tissue reaches the gel above the plate, nor water that of the robot and its ball; balls and free joints are no springs
IDLE = {
    ("solids", "parameter.sand.dilation_limit"),
    *((name, "parameter.contact.friction") for name in ("elastic", "arm")),
}
IDLE |= {(name, "parameter.pad.friction") for name in ZOO if name.startswith(("palpation", "robots"))}
IDLE |= {("robots", "parameter.buoy.stiffness"), ("robots", "parameter.ball.friction")}
IDLE |= {("rigid", f"parameter.{name}.friction") for name in ("ground", "box")}  # which water does not reach
IDLE |= {("rigid", "parameter.rigid.sigma")}  # all slides


def way(made: World, name: str, leaf: torch.Tensor, seed: int) -> torch.Tensor:
    """A random direction (1, ...) of a leaf, as long as a large change of it."""
    numbers = normal(f"way of {name}", [seed], leaf.shape[1:], leaf)
    numbers = numbers if numbers.dim() > 1 else numbers.sign()
    return numbers * scale_of(made, name, leaf[:1])


def tiled(start: State, leaves: Leaves, worlds: int) -> tuple[State, Leaves]:
    """The same world again and again."""
    grown = {name: value.repeat(worlds, *[1] * (value.dim() - 1)) for name, value in leaves.items()}
    return State({name: value.repeat(worlds, *[1] * (value.dim() - 1)) for name, value in start.items()}), grown


@pytest.mark.parametrize("name", each())
def test_what_is_declared_differentiable_agrees_with_central_differences(name: str) -> None:
    """To 1e-5 of the size of the derivative along a random direction; all changed copies are worlds of one batch."""
    one = world(name, 1)
    start, leaves = leaves_of(one, [0])
    _, slopes = gradients(one, start, leaves, weights(name))
    names = [leaf for leaf in leaves if is_differentiable(one, leaf)]
    assert slopes.keys() == set(names) and all(torch.isfinite(slope).all() for slope in slopes.values())
    cases = list(itertools.product(names, DIRECTIONS))
    epsilons = EPSILONS + WIDE.get(name, ())
    changes = list(itertools.product(epsilons, (1.0, -1.0)))
    many = world(name, len(cases) * len(changes))
    begin, changed = tiled(start, leaves, many.num_worlds)
    for row, ((leaf, seed), (epsilon, sign)) in enumerate(itertools.product(cases, changes)):
        changed[leaf][row] += sign * epsilon * way(one, leaf, leaves[leaf], seed)[0]
    with torch.no_grad():
        states = run(many, begin, changed)
        assert (states[-1].status == 0).all()
        values = objective(states, weights(name)).view(len(cases), len(epsilons), 2)
    found = (values[..., 0] - values[..., 1]) / (2.0 * torch.tensor(epsilons, dtype=values.dtype))
    wrong = {}
    for (leaf, seed), differences in zip(cases, found, strict=True):
        parts = slopes[leaf] * way(one, leaf, leaves[leaf], seed)
        exact, size = float(parts.sum()), float(parts.norm())
        assert (size == 0.0) == ((name, leaf) in IDLE), f"{leaf}: a derivative of size {size}"
        error = float((differences - exact).abs().min())
        if not error <= LIMIT * size:
            wrong[leaf, seed] = f"{error / size:.1e} of {size:.1e}: {exact} against {differences.tolist()}"
    assert not wrong, "\n".join(f"{leaf}: {text}" for leaf, text in wrong.items())


def not_differentiable(made: World) -> list[str]:
    """Fields of numbers that are declared to have no derivative."""
    start = made.initial_state()
    return [
        name for name, field in made.fields.items()
        if not field.differentiable and start[name].is_floating_point() and start[name].numel()
    ]  # fmt: skip


@pytest.mark.parametrize("name", each())
def test_what_is_not_is_refused_or_has_no_derivative(name: str) -> None:
    made = world(name, 1)
    start, leaves = leaves_of(made, [0])
    for leaf, parameter in made.parameters.declared.items():
        if not parameter.differentiable:
            with pytest.raises(ValueError, match=f"parameter '{leaf}' has no derivative in this world"):
                made.parameters[leaf] = made.parameters[leaf].clone().requires_grad_()
    for leaf in (f"state.{field}" for field in not_differentiable(made)):
        grown = leaves.get(leaf, start.get(leaf[6:])).clone().requires_grad_()
        total = objective(run(made, start, {**leaves, leaf: grown}), weights(name)).sum()
        (slope,) = torch.autograd.grad(total, grown, allow_unused=True) if total.requires_grad else (None,)
        assert slope is None or float(slope.abs().max()) == 0.0, leaf
