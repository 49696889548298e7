# SPDX-License-Identifier: Apache-2.0
"""Gradients where a liquid follows the density of the grid: packed too densely, held off a wall, too loose and beyond a
wall.
"""

import functools

import numpy as np
import pytest
import torch

from simenv.physics.mpm.materials import Liquid
from simenv.physics.mpm.packing import packing_functions
from simenv.world import Control, Scene
from tests.gradients.scenes import DX, Problem, block, central_differences, direction, plateau


class Packed(Problem):
    """The last volume ratios count too, as it is these that the density changes."""

    def given(self, leaves, step):
        return Control()

    def returns(self, leaves):
        total = super().returns(leaves)
        weight = torch.cos(torch.arange(self.last.J.shape[1], dtype=self.last.J.dtype))
        return total + 10.0 * (self.last.J * weight).sum(1)


def make(closeness, lift, restore, worlds=1, dtype=torch.float64):
    """Liquid that falls onto the floor of its box from `lift` [m], its particles closer than their volume says by the
    factor `closeness`; `restore` of what transfers take is given back.
    """
    scene = Scene((0.12, 0.12, 0.16), DX, 4.0e-4, 5)
    scene.add_material("a", Liquid(1000.0, 4.0e4, 0.5, restore=restore, keep_volume=True))
    points = block((0.01, 0.01, lift), (9, 9, 5), spacing=closeness * 0.5 * DX, jitter=0.2)
    random = np.random.default_rng(2)
    velocity = 0.05 * random.normal(size=points.shape) + np.array([0.02, -0.03, -0.3])
    scene.add_particles("p", "a", points, (0.5 * DX) ** 3, velocity)
    return Packed(scene, worlds, dtype, steps=4)


@pytest.mark.parametrize(("closeness", "lift", "restore"), [(0.95, 0.0, 0.0), (1.0, 0.006, 0.0), (1.05, -0.0015, 0.95)])
def test_gradient_where_the_density_counts(closeness, lift, restore):
    problem = make(closeness, lift, restore)
    grads = problem.gradients()
    names = ("x", "v", "C", "J", "a.density", "a.bulk_modulus", "a.viscosity")
    errors = {}
    slopes = central_differences(functools.partial(make, closeness, lift, restore), names, 11)
    for leaf in names:
        analytic = float((grads[leaf][0] * direction(leaf, problem.leaves[leaf][0], 11)).sum())
        errors[leaf] = abs(analytic / plateau(slopes[leaf]) - 1)
    print("\nmeasured " + ", ".join(f"{leaf} {error:.1e}" for leaf, error in errors.items()))
    assert max(errors.values()) <= 1e-5, errors


def test_volume_ratio_follows_the_density_on_both_sides():
    import warp as wp

    functions = packing_functions(wp.float64)

    @wp.kernel(enable_backward=False)
    def pack(J: wp.array(dtype=wp.float64), E: wp.array(dtype=wp.float64), out: wp.array(dtype=wp.float64)):
        i = wp.tid()
        out[i] = functions.pack(J[i], E[i])

    # denser than J says by 0.1; as dense; pressed, with room; at rest, with room; not pressed, with room
    J, E = [1.0, 0.9, 0.95, 1.0, 1.02], [0.1, 1 / 0.9 - 1, -0.2, -0.2, -0.2]
    arrays = [wp.array(values, dtype=wp.float64, device="cpu") for values in (J, E, J)]
    wp.launch(pack, dim=len(J), inputs=arrays, device="cpu")
    soft = 0.1 * 0.1 / 0.2
    fill = 0.5 * (0.19**2 / 0.2) * (0.0025 / 0.06)
    np.testing.assert_allclose(arrays[2].numpy(), [1 - 0.025 * soft, 0.9, 0.95 + fill, 1.0, 1.02], rtol=1e-12)
