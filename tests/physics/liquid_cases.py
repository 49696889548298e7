# SPDX-License-Identifier: Apache-2.0
"""Derivatives of an incompressible liquid's motion against central differences."""

from collections.abc import Mapping

import torch

from simenv.world import State, World


def assert_gradients(world: World, start: State, factors: Mapping[str, float], steps: Mapping[str, float]) -> None:
    """Two control steps on, a random sum of fields of the state has the slopes that differences find, to 1e-5.

    Args:
        world: in float64; start: where it is.
        factors: of fields in the sum, by name, which are also what it is differentiated by.
        steps: of differences, by name of a field or parameter.

    Raises:
        AssertionError: a slope is another, or a fault was found.
    """
    random = torch.Generator().manual_seed(1)

    def noise(like):
        return torch.randn(like.shape, generator=random, dtype=torch.float64)

    weights = {name: noise(start[name]) for name in factors}

    def value(leaves):
        state = start.replace(**{name: leaves[name] for name in weights})
        for name in steps:
            if name not in weights:
                world.parameters[name] = leaves[name]
        for _ in range(2):
            state = world.step(state, world.zero_control())
        assert int(state.status) == 0
        return sum(factors[name] * (state[name] * weight).sum() for name, weight in weights.items())

    base = {name: (start[name] if name in weights else world.parameters[name]).clone() for name in steps}
    leaves = {name: each.clone().requires_grad_() for name, each in base.items()}
    grads = dict(zip(leaves, torch.autograd.grad(value(leaves), list(leaves.values())), strict=True))
    for name, epsilon in steps.items():
        way = noise(base[name])
        way = way / way.norm()
        ends = [value({**base, name: base[name] + sign * epsilon * way}) for sign in (1.0, -1.0)]
        slope = float(ends[0] - ends[1]) / (2 * epsilon)
        found = float((grads[name] * way).sum())
        assert abs(found - slope) < 1e-5 * abs(slope), (name, found, slope)
