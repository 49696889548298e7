# SPDX-License-Identifier: Apache-2.0
"""Plumes in a closed box and vortices in a periodic one, on one thread: steps of gas, and their gradients. See gas.py
for what is measured, protocol.py for how it is asked.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from robots_program import ANSWERS, Server  # which claims stdout before it imports what prints

# isort: split
import math

import simenv

# isort: split
import torch
import warp as wp
from protocol import serve

from simenv.geometry.shapes import Sphere
from simenv.physics.gas.model import SIDES, Periodic, Scalar, Slip
from simenv.world import Control, Scene, State, World

K = 2.0 * math.pi
FLOW = {  # of Arnold, Beltrami and Childress
    "gas_u": lambda x, y, z: torch.sin(K * z) + torch.cos(K * y),
    "gas_v": lambda x, y, z: torch.sin(K * x) + torch.cos(K * z),
    "gas_w": lambda x, y, z: torch.sin(K * y) + torch.cos(K * x),
}


def plume(dim: int, cells: int, dt: float, tolerance: float, ticks: int) -> World:
    """Gas in a closed unit box, or one layer of cells; smoke of 1 accelerates it by 1 m/s^2."""
    dx = 1.0 / cells
    flat = dim == 2
    scene = Scene(substep_dt=dt, substeps=ticks, gravity=(0.0, 0.0, -10.0))
    scene.add_gas(
        "gas", 1.0, 0.0, {"y-": Slip(), "y+": Slip()} if flat else {}, {"smoke": Scalar(lightness=0.1)},
        size=(1.0, dx if flat else 1.0, 1.0), dx=dx, tolerance=tolerance,
    )  # fmt: skip
    scene.add_source("inflow", Sphere(0.1), (0.5, 0.5 * dx if flat else 0.5, 0.2))
    return scene.make_world(1)


def vortices(cells: int, dt: float, viscosity: float, ticks: int) -> tuple[World, State]:
    """Gas in a periodic unit box, and the flow at the start."""
    scene = Scene(substep_dt=dt, substeps=ticks, gravity=(0.0, 0.0, 0.0))
    sides = {side: Periodic() for side in SIDES}
    scene.add_gas("gas", 1.0, viscosity, sides, size=(1.0, 1.0, 1.0), dx=1.0 / cells)
    world = scene.make_world(1)
    at = torch.arange(cells, dtype=torch.float64) / cells
    start = {}
    for axis, (name, value) in enumerate(FLOW.items()):
        axes = [at if a == axis else at + 0.5 / cells for a in range(3)]
        values = torch.broadcast_to(value(*torch.meshgrid(*axes, indexing="ij")), (cells,) * 3)
        start[name] = values[None].float().contiguous()
    return world, world.initial_state().replace(**start)


class Gas(Server):
    """Worlds by the names of cases; control steps are what is measured."""

    def setup(self, request: dict) -> dict:
        """Make the worlds and let plumes rise for a while; answer with versions."""
        simenv.set_num_threads(1)
        wp.config.log_level = wp.LOG_ERROR
        self.ticks, self.rate = request["steps"], request["rate"]
        self.cases: dict[str, World] = {}
        self.starts: dict[str, State] = {}
        for name, given in request["plumes"].items():
            first = plume(**given, tolerance=request["tolerance"], ticks=request["warm"])
            with torch.no_grad():
                self.starts[name] = first.step(first.initial_state(), self._told(name)).detach()
            self._check(self.starts[name])
            self.cases[name] = plume(**given, tolerance=request["tolerance"], ticks=self.ticks)
        for name, given in request["vortices"].items():
            self.cases[name], self.starts[name] = vortices(**given, ticks=self.ticks)
        return {"simenv": simenv.__version__, "warp": wp.__version__, "torch": torch.__version__}

    def _told(self, name: str, leaf: bool = False) -> Control:
        if name in self.starts and "gas_scalar" not in self.starts[name]:
            return Control()
        return Control(gas_feed=torch.tensor([[[self.rate]]], requires_grad=leaf))

    def _differentiated(self, name: str) -> tuple[State, torch.Tensor]:
        """The state at the end, and the derivative of the mean square of smoke by the rate of its inflow, or of the
        kinetic energy by the velocity at the start along it.
        """
        world, state, told = self.cases[name], self.starts[name], self._told(name, leaf=True)
        if told.gas_feed is not None:
            end = world.step(state, told)
            (slope,) = torch.autograd.grad((end.gas_scalar**2).mean(), told.gas_feed)
            return end, slope
        leaves = {key: state[key].detach().requires_grad_() for key in FLOW}
        end = world.step(state.replace(**leaves), told)
        energy = sum(0.5 * (end[key] ** 2).mean() for key in FLOW)
        slopes = torch.autograd.grad(energy, list(leaves.values()))
        return end, sum((a.double() * b.detach()).sum() for a, b in zip(slopes, leaves.values(), strict=True))

    def facts(self, request: dict) -> dict:
        """What a case looks like after the measured steps, and this derivative."""
        name = request["case"]
        end, slope = self._differentiated(name)
        self._check(end)
        start, model = self.starts[name], self.cases[name].scene.gas
        if "gas_scalar" not in start:
            decay = math.exp(-model.viscosity * K * K * self.cases[name].dt)
            off = max(float((end[key].detach() - decay * start[key]).abs().max()) for key in FLOW)
            return {"error": off, "slope": float(slope)}
        thick, speeds = end.gas_scalar.detach()[0, 0].double(), [end[key].detach().double() for key in FLOW]
        volume = 1.0 / thick.numel()  # of the layer's area, or of the box
        height = torch.tensor(model.centres()[0, 0, :, 2])
        fastest = max(float(each.abs().max()) for each in speeds)
        return {
            "smoke": float(thick.sum()) * volume,
            "height": float((thick * height).sum() / thick.sum()),
            "energy": sum(float(0.5 * (each**2).sum()) for each in speeds) * volume,
            "divergence": float(end.gas_divergence) * model.dx / fastest,
            "slope": float(slope),
        }

    def forward(self, request: dict) -> dict:
        """Processor time of a step [us]."""
        name = request["case"]
        world, state, told = self.cases[name], self.starts[name], self._told(name)
        return self._microseconds(world, lambda: self._check(world.step(state, told)))

    def gradient(self, request: dict) -> dict:
        """The same with the derivative."""
        return self._microseconds(self.cases[request["case"]], lambda: self._differentiated(request["case"]))


if __name__ == "__main__":
    serve(Gas(), ANSWERS)
