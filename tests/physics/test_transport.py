# SPDX-License-Identifier: Apache-2.0
"""How gas carries its velocity: fluxes against NumPy's in a periodic box, and the adjoint against differences."""

import numpy as np
import pytest
import torch
import warp as wp

from simenv import _warp
from simenv.physics.gas.model import SIDES, GasModel, Inlet, Outlet, Periodic, Slip, Wall
from simenv.physics.gas.transport import Transport
from simenv.physics.launch.slots import Memory

DX, DT = 0.1, 0.02
AROUND = {side: Periodic() for side in SIDES}
WALLS = {
    "x-": Inlet((1.0, 0.2, 0.1)),
    "x+": Outlet(),
    "y-": Wall(),
    "y+": Slip(),
    "z-": Wall((0.3, 0.2, 0.0)),
    "z+": Wall(),
}
LAYER = {"x-": Wall(), "x+": Wall(), "y-": Slip(), "y+": Slip(), "z-": Slip(), "z+": Slip()}


class Carried:
    """Velocities of two worlds, with faces in slipping sides at rest, and what becomes of them in a step."""

    def __init__(self, shape, sides):
        _warp.start()
        self.model, self.memory = GasModel(shape, DX, sides, {}), Memory(2, torch.float64, torch.device("cpu"))
        slot, vec3 = self.memory.slot, wp.types.vector(length=3, dtype=wp.float64)
        self.q, self.out = ([slot(wp.float64, *self.model.grid.faces(axis)) for axis in range(3)] for _ in range(2))
        self.viscosity, self.speed = slot(wp.float64), slot(vec3, 6)
        profile = wp.array(self.model.profile, dtype=wp.float64, device="cpu")
        self.stage = Transport(self.model, DT, self.memory, profile).stage(self.q, self.out, self.viscosity, self.speed)
        self.memory.allocate(True)
        self.inputs = [*self.q, self.viscosity, self.speed]
        generator = torch.Generator().manual_seed(1)
        for each in self.inputs:
            each.tensor.copy_(torch.randn(each.tensor.shape, generator=generator, dtype=torch.float64))
        self.viscosity.tensor.abs_()
        for axis, count in enumerate(shape):
            if count == 1:
                self.q[axis].tensor.zero_()

    def step(self):
        self.stage.forward(self.memory.wp_device)
        return [each.tensor.clone() for each in self.out]


def rolled(q, axis, by):
    return np.roll(q, -by, axis)


def upstream(q, other, speed):
    """Value between each velocity and the one below it along an axis."""
    below, before, above = (rolled(q, other, by) for by in (-1, -2, 1))
    up, down = (3.0 * q + 6.0 * below - before) / 8.0, (3.0 * below + 6.0 * q - above) / 8.0
    return np.where(speed > 0.0, up, down)


def test_a_periodic_box_has_the_fluxes_of_quick():
    gas = Carried((6, 4, 10), AROUND)
    found = gas.step()
    for world in range(2):
        q, nu = [each.tensor[world].numpy() for each in gas.q], gas.viscosity.tensor[world].item()
        for axis in range(3):
            own, expected = q[axis], q[axis].copy()
            for other in range(3):
                speed = 0.5 * (q[other] + rolled(q[other], axis, -1))  # on the edge below
                flux = speed * upstream(own, other, speed) - nu / DX * (own - rolled(own, other, -1))
                expected += DT / DX * (flux - rolled(flux, other, 1))
            np.testing.assert_allclose(found[axis][world].numpy(), expected, atol=1e-13)


@pytest.mark.parametrize(
    ("shape", "sides"), [((6, 5, 7), WALLS), ((6, 4, 2), AROUND), ((9, 7, 1), LAYER), ((7, 1, 9), LAYER)]
)
def test_the_adjoint_is_that_of_differences(shape, sides):
    gas = Carried(shape, sides)
    generator = torch.Generator().manual_seed(2)
    bars = [torch.randn(each.tensor.shape, generator=generator, dtype=torch.float64) for each in gas.out]
    gas.step()
    for _twice in range(2):  # nothing of a sweep before is left
        gas.memory.clear_adjoints()
        for each, bar in zip(gas.out, bars, strict=True):
            each.adjoint.copy_(bar)
        gas.stage.backward(gas.memory.wp_device)
    for each in gas.inputs:
        start = each.tensor.clone()
        for _ in range(3):
            way = torch.randn(start.shape, generator=generator, dtype=torch.float64)
            if each in gas.q and shape[gas.q.index(each)] == 1:
                way.zero_()  # what slips past a layer does not cross it
            h, ends = 1e-6, []
            for sign in (1.0, -1.0):
                each.tensor.copy_(start + sign * h * way)
                ends.append(sum(float((out * bar).sum()) for out, bar in zip(gas.step(), bars, strict=True)))
            each.tensor.copy_(start)
            slope, told = (ends[0] - ends[1]) / (2.0 * h), float((each.adjoint * way).sum())
            # quadratic but where a speed changes its sign between the two: rounding of sums of some hundreds
            assert told == pytest.approx(slope, rel=1e-6, abs=1e-7)
