# SPDX-License-Identifier: Apache-2.0
"""A control step that chooses its number of ticks is the one that has this number, bit for bit."""

import pytest
import torch

from simenv.world import State
from tests.zoo.play import gradients, leaves_of, make, same, weights
from tests.zoo.scenes import DT, TICKS, ZOO, each

GRAINS = [name for name, case in ZOO.items() if case.scene().has_grid]
STIFFER = torch.tensor([1.0, 20.0, 80.0, 20.0], dtype=torch.float64)  # sound is faster by their roots
MODULI = ("bulk_modulus", "youngs_modulus")


@pytest.mark.parametrize("name", each(GRAINS, {"jet", "hand", "palpation"}))
def test_a_chosen_number_of_ticks_is_a_fixed_one(name: str) -> None:
    """Worlds whose material is stiffer take more ticks, beside others that take fewer."""
    seeds, case = list(range(len(STIFFER))), ZOO[name]
    chooses = make(case.scene(max_substeps=4 * TICKS), len(seeds))
    start, leaves = leaves_of(chooses, seeds)
    usual = case.options.get("particle_substeps", TICKS)
    for leaf in leaves:
        if leaf.endswith(MODULI):
            leaves[leaf] = leaves[leaf] * STIFFER * (usual / TICKS) ** 2
    states, slopes = gradients(chooses, start, leaves, weights(name))
    assert all((state.status == 0).all() for state in states)
    finer = torch.stack([state.substeps for state in states]) // usual
    assert len(finer.unique()) == 3 and (finer == finer[0]).all(), finer
    for factor in finer.unique().tolist():
        changes = {"substep_dt": DT / factor, "substeps": TICKS * factor, "particle_substeps": usual * factor}
        fixed = make(case.scene(**changes), len(seeds))
        begin = State({field: value for field, value in start.items() if field in fixed.fields})
        others, theirs = gradients(fixed, begin, leaves, weights(name))
        rows = finer[0] == factor
        for t, (state, other) in enumerate(zip(states, others, strict=True)):
            assert [f for f, value in other.items() if not same(value[rows], state[f][rows])] == [], f"step {t}"
        assert [leaf for leaf, slope in theirs.items() if not same(slope[rows], slopes[leaf][rows])] == []
        fixed.close()
    chooses.close()
