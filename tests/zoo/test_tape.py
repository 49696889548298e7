# SPDX-License-Identifier: Apache-2.0
"""The reverse sweep of a control step against one tape of all its ticks: torch's chain of steps of one tick each."""

import pytest
import torch

from simenv.world import State, World
from tests.zoo.play import Leaves, gradients, is_differentiable, leaves_of, make, objective, run, weights
from tests.zoo.scenes import TICKS, ZOO

MEANS = ("link_wrench", "wrench", "body_wrench", "push", "drive", "skin_field", "gas_wrench")
STEPS = 1


def by_ticks(name: str) -> tuple[World, int]:
    """A world whose control step is as short as can be, and the number of these in one of the zoo's."""
    particles = ZOO[name].options.get("particle_substeps")
    ticks = 1 if particles is None else max(TICKS // particles, 1)
    parts = TICKS // ticks
    options = {} if particles is None else {"particle_substeps": particles // parts}
    return undrained(name, substeps=ticks, **options), parts


def undrained(name: str, **options: int) -> World:
    """A world without collectors, which take particles out at the end of a control step only."""
    scene = ZOO[name].scene(**options)
    scene.collectors.clear()
    return make(scene, 2)


def whole(world: World, states: list[State], parts: int) -> State:
    """A control step's last state, with the means over it, which is what gels read that feel material only."""
    gels, rows = world.scene.gels.values(), states[-parts:]
    means = MEANS if any(gel.touches for gel in gels) else (*MEANS, "field", "gel_wrench")
    return rows[-1].replace(**{f: torch.stack([s[f] for s in rows]).mean(0) for f in means if f in rows[0]})


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    size = float(b.abs().max())
    return 0.0 if size == 0.0 and not a.any() else float((a - b).abs().max()) / size


def told(world: World, leaves: Leaves) -> Leaves:
    """Leaves with emitters shut: these let out particles once in a control step, however long it is."""
    if not world.scene.emitters:
        return leaves
    shut = torch.zeros((world.num_worlds, STEPS, len(world.scene.emitters)), dtype=torch.bool)
    return {**leaves, "control.emit": shut}


@pytest.mark.parametrize("name", ZOO)
def test_a_control_step_is_the_tape_of_its_ticks(name: str) -> None:
    """Values and gradients to 1e-10 of the largest."""
    one = undrained(name)
    start, leaves = leaves_of(one, [3, 8], STEPS)
    leaves = told(one, leaves)
    names = [leaf for leaf in leaves if leaf != "control.emit" and is_differentiable(one, leaf)]
    states, slopes = gradients(one, start, leaves, weights(name), STEPS, names)
    single, parts = by_ticks(name)
    assert parts > 1
    if one.particles is not None:  # a jet's particles are what leaves the spout in a control step
        single.particles.volume.copy_(one.particles.volume)
    grown = {leaf: value.clone().requires_grad_(leaf in slopes) for leaf, value in leaves.items()}
    taped = run(single, start, grown, STEPS, parts)
    last = whole(one, taped, parts)
    tape = torch.autograd.grad(objective([last], weights(name)).sum(), [grown[leaf] for leaf in names])
    assert (states[-1].status == 0).all() and (last.status == 0).all()
    compared = [f for f, v in states[-1].items() if v.numel() and f != "gas_divergence"]  # which iterations leave
    off = {f: relative(states[-1][f].double(), last[f].detach().double()) for f in compared}
    off |= {f"gradient of {leaf}": relative(slopes[leaf], g) for leaf, g in zip(names, tape, strict=True)}
    print(f"\nmeasured {name}: {max(off.values()):.1e}")
    assert not {key: error for key, error in off.items() if not error <= 1e-10}
    assert sum(float(slope.abs().max()) > 0 for slope in slopes.values()) >= 3
    single.close()
    one.close()
