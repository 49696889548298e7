# SPDX-License-Identifier: Apache-2.0
"""Single precision beside the kinks of sand.

Grains pass the apex of their cone, where they come apart or meet again, in thousands of substeps, and some pass it by
less than single precision resolves: J is 1 + 1.5e-7 in double precision, one rounding above 1. Any rounding, such as
that of a parameter, then decides on which side a grain is, and with it the derivative of that substep. Such a gradient
is exact, of another branch: the press of test_finite_differences has less than 1e-3 or 2.5e-2 between the precisions,
from one rounding of the modulus to the next. So worlds are compared that are a rounding apart, and only those whose
grains are on the sides of double precision in every substep. What single precision itself costs is seen in them.
"""

import pytest
import torch

from tests.gradients.scenes import Problem, press_scene

TOLERANCE = 2e-3  # relative, of single precision
WORLDS, STEPS = 16, 100
ROUNDING = 2.0**-23


class Watched(Problem):
    """Steps of one substep each, after which is seen which grains are apart: `sides` (steps, N, P)."""

    def __init__(self, name, worlds, dtype):
        super().__init__(press_scene(name, substeps=1), worlds, dtype, steps=STEPS)
        step, noted = self.world.step, []

        def noting(*given):
            state = step(*given)
            noted.append(state.J.detach() > 1.0)
            return state

        self.world.step, self._noted = noting, noted

    @property
    def sides(self):
        return torch.stack(self._noted[:STEPS])


@pytest.mark.parametrize("name", ["sand", pytest.param("cohesive_sand", marks=pytest.mark.slow)])
def test_float32_gradient_where_grains_are_on_the_same_sides(name):
    double, single = Watched(name, 1, torch.float64), Watched(name, WORLDS, torch.float32)
    single.leaves["a.youngs_modulus"] *= 1.0 + ROUNDING * (torch.arange(WORLDS) - WORLDS // 2)
    exact, rounded = double.gradients(), single.gradients()
    assert double.sides.sum() > 1000, "grains must come apart, or nothing is tested"
    assert exact["a.dilation_limit"].norm() > 0.0
    same = (single.sides == double.sides).all(2).all(0)
    assert same.any(), "no world has its grains where double precision has them: take more worlds"
    worst = {}
    for leaf, slope in exact.items():
        if slope.norm() > 0.0:
            errors = (rounded[leaf].double() - slope)[same].reshape(int(same.sum()), -1).norm(dim=1)
            worst[leaf] = float((errors / slope.norm()).max())
    print(f"\nmeasured {name}: {int(same.sum())} of {WORLDS} on the same sides, worst {max(worst.values()):.1e}")
    assert max(worst.values()) <= TOLERANCE, worst
