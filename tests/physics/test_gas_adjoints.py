# SPDX-License-Identifier: Apache-2.0
"""Adjoints of the launches of gas that are written by hand, each by itself against central differences."""

import numpy as np
import pytest
import torch
import warp as wp

from simenv import _warp
from simenv.physics.gas.launches import GasLaunches
from simenv.physics.gas.model import SIDES, GasModel, Inlet, Outlet, Periodic, Scalar, Slip, Wall
from simenv.physics.gas.projection import Projection
from simenv.physics.launch.slots import Launch, Memory

DX, DT, SPEED = 0.1, 0.02, 5.0
AROUND = {side: Periodic() for side in SIDES}
WALLS = {
    "x-": Inlet((1.0, 0.2, 0.1), dye=1.0, heat=2.0), "x+": Outlet(dye=0.5), "y-": Wall(heat=1.0), "y+": Slip(),
    "z-": Wall((0.3, 0.2, 0.0), dye=1.0), "z+": Outlet(),
}  # fmt: skip
TUBE = {**WALLS, "z-": Periodic(), "z+": Periodic()}
LAYER = {"x-": Wall(), "x+": Wall(dye=2.0), "y-": Slip(), "y+": Slip(), "z-": Slip(), "z+": Slip()}
BOXES = [
    ((6, 5, 7), WALLS), ((6, 4, 2), AROUND), ((2, 6, 8), AROUND), ((5, 3, 6), TUBE), ((5, 4, 2), WALLS),
    ((9, 7, 1), LAYER), ((1, 5, 9), LAYER), ((5, 1, 3), LAYER),
]  # fmt: skip


def memory():
    _warp.start()
    return Memory(2, torch.float64, torch.device("cpu"))


def by_hand(launches):
    """Launches with an adjoint of their own, each kernel once."""
    return list({each.kernel.key: each for each in launches if isinstance(each, Launch) and each.reverse}.values())


def check(launch, random):
    """Adds the adjoints of all inputs to what was there, along random ways."""
    device, inputs = wp.get_device("cpu"), [each for each in launch.inputs if hasattr(each, "adjoint")]

    def drawn(like):
        return torch.randn(like.shape, generator=random, dtype=torch.float64)

    def ends():
        launch.forward(device)
        return sum(float((each.tensor * bar).sum()) for each, bar in zip(launch.outputs, bars, strict=True))

    bars = [drawn(each.tensor) for each in launch.outputs]
    before = [drawn(each.tensor) for each in inputs]
    launch.forward(device)
    for slots, values in ((launch.outputs, bars), (inputs, before)):
        for slot, value in zip(slots, values, strict=True):
            slot.adjoint.copy_(value)
    launch.backward(device)
    for each, given in zip(inputs, before, strict=True):
        start, way, h, found = each.tensor.clone(), drawn(each.tensor) * (each.tensor != 0.0), 1e-6, []
        for sign in (1.0, -1.0):
            each.tensor.copy_(start + sign * h * way)
            found.append(ends())
        each.tensor.copy_(start)
        slope, told = (found[0] - found[1]) / (2.0 * h), float(((each.adjoint - given) * way).sum())
        # rounding of sums of some hundreds, over h
        assert told == pytest.approx(slope, rel=1e-6, abs=1e-6), (launch.kernel.key, inputs.index(each))


@pytest.mark.parametrize("together", [True, False], ids=["a thread a slab", "a thread a cell"])
@pytest.mark.parametrize("limited", [True, False], ids=["limited", "smooth"])
@pytest.mark.parametrize(("shape", "sides"), BOXES, ids=lambda each: str(each) if isinstance(each, tuple) else "")
def test_of_a_step(shape, sides, limited, together):
    places = [np.random.default_rng(each).random(shape) for each in range(2)]
    model = GasModel(shape, DX, sides, {"dye": Scalar(), "heat": Scalar()}, places, limited=limited)
    space = memory()
    gas = GasLaunches(model, DT, space)
    if not together:
        gas.projection.lanes = (shape[1] + 1, shape[2] + 1)
    launches = by_hand(gas.step(gas.state(0), gas.work(0), gas.state(1)))
    space.allocate(True)
    gas.projection.reset()
    random = torch.Generator().manual_seed(1)
    for launch in launches:
        for each in launch.inputs:
            if hasattr(each, "adjoint"):
                each.tensor.copy_(torch.randn(each.tensor.shape, generator=random, dtype=torch.float64))
        check(launch, random)
    assert len(launches) == 10  # lift, push along three axes, carry_scalar, feed, diverge, average


@pytest.mark.parametrize("together", [True, False], ids=["a thread a slab", "a thread a cell"])
@pytest.mark.parametrize(("shape", "sides"), BOXES[:5], ids=lambda each: str(each) if isinstance(each, tuple) else "")
def test_of_a_projection_around_what_stands_in_the_box(shape, sides, together):
    model, space = GasModel(shape, DX, sides, {"dye": Scalar(), "heat": Scalar()}), memory()
    projection = Projection(model.grid, model.kinds, model.accuracy, SPEED, space, True)
    if not together:
        projection.lanes = (shape[1] + 1, shape[2] + 1)
    before, after = ([space.slot(wp.float64, *model.grid.faces(axis)) for axis in range(3)] for _ in range(2))
    b, phi = space.slot(wp.float64, *shape), space.slot(wp.float64, *shape)
    launches = by_hand(projection.project(before, after, b, phi))
    space.allocate(True)
    random = torch.Generator().manual_seed(2)
    for each in (*before, *projection.solid, phi):
        each.tensor.copy_(torch.randn(each.tensor.shape, generator=random, dtype=torch.float64))
    for each in projection.open:  # a third is closed, and stays so
        share = torch.rand(each.tensor.shape, generator=random, dtype=torch.float64)
        each.tensor.copy_(torch.where(share < 1.0 / 3.0, 0.0, share))
    for launch in launches:
        check(launch, random)
    assert len(launches) == 4
