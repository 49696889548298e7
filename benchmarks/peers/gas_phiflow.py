# SPDX-License-Identifier: Apache-2.0
"""PhiFlow's smoke on torch, one thread: a plume in a closed box, in its demonstrations' way. It shares no code with
simenv and runs in its own environment; see ../gas.py for what is measured, ../protocol.py for how it is asked.

A step carries smoke by MacCormack's scheme and velocities by the semi-Lagrangian one, adds buoyancy, and projects by
conjugate gradients, which start from the last pressure.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from protocol import claim_stdout, serve, spent

ANSWERS = claim_stdout()

from importlib.metadata import version  # noqa: E402
from typing import Any  # noqa: E402

try:
    import numpy as np
    import torch
    from phi.torch import flow
except ImportError as error:
    raise SystemExit(
        f"{error}: PhiFlow runs in its own environment; `pip install torch==2.13.0 phiflow==3.4.*` there and name its "
        "Python with --phiflow"
    ) from error

AXES = {2: "x,y", 3: "x,y,z"}
State = tuple[Any, Any, Any]


class Plume:
    """A plume in a unit box, the last axis of which is up."""

    def __init__(self, dim: int, cells: int, dt: float, tolerance: float):
        self.dim, self.names, self.count = dim, AXES[dim].split(","), cells
        self.dt, self.up = dt, (0.0,) * (dim - 1) + (1.0,)
        self.tolerance = tolerance
        self.box = flow.Box(**dict.fromkeys(self.names, 1.0))
        self.cells = dict.fromkeys(self.names, cells)
        at = np.stack(np.meshgrid(*[(np.arange(cells) + 0.5) / cells] * dim, indexing="ij"), -1)
        distance = np.linalg.norm(at - np.array([0.5] * (dim - 1) + [0.2]), axis=-1) - 0.1
        share = np.clip(0.5 - 0.5 * distance * cells, 0.0, 1.0)
        share = (share * share * (3.0 - 2.0 * share)).astype(np.float32)
        self.inflow = self._smoke(flow.tensor(share, flow.spatial(AXES[dim])))

    def _smoke(self, values: Any) -> Any:
        return flow.CenteredGrid(values, flow.ZERO_GRADIENT, self.box, **self.cells)

    def start(self) -> State:
        """Nothing moves: velocity, smoke, pressure."""
        return flow.StaggeredGrid(0.0, 0, self.box, **self.cells), self._smoke(0.0), None

    def run(self, state: State, rate: Any, steps: int) -> State:
        """Some steps on."""
        v, smoke, p = state
        for _ in range(steps):
            smoke = flow.advect.mac_cormack(smoke, v, self.dt) + self.dt * rate * self.inflow
            v = flow.advect.semi_lagrangian(v, v, self.dt) + self.dt * flow.resample(smoke * self.up, to=v)
            solve = flow.Solve("CG", self.tolerance, x0=p, rank_deficiency=0)
            v, p = flow.fluid.make_incompressible(v, (), solve)
        return v, smoke, p

    def facts(self, state: State) -> dict:
        """Smoke in the box, its mean height, kinetic energy, and the largest divergence, times dx over speed."""
        v, smoke, _ = state
        thick = smoke.values.native(AXES[self.dim]).detach().double()
        height = (torch.arange(self.count, dtype=torch.float64) + 0.5) / self.count
        faces = [v.vector[name].values.native(AXES[self.dim]).detach().double() for name in self.names]
        fastest = max(float(each.abs().max()) for each in faces)
        spilled = flow.field.divergence(v).values.native(AXES[self.dim]).detach().abs().max()
        volume = self.count**-self.dim
        return {
            "smoke": float(thick.sum()) * volume,
            "height": float((thick * height).sum() / thick.sum()),
            "energy": sum(float(0.5 * (each**2).sum()) for each in faces) * volume,
            "divergence": float(spilled) / self.count / fastest,
        }


class Server:
    """Plumes, by their names."""

    def setup(self, request: dict) -> dict:
        """Make the plumes and let them rise for a while; answer with versions."""
        torch.set_num_threads(1)
        self.rate, self.steps = request["rate"], request["steps"]
        self.plumes, self.warm = {}, {}
        for name, given in request["plumes"].items():
            plume = self.plumes[name] = Plume(given["dim"], given["cells"], given["dt"], request["tolerance"])
            with torch.no_grad():
                self.warm[name] = plume.run(plume.start(), self.rate, request["warm"])
        return {"phiflow": version("phiflow"), "phiml": version("phiml"), "PhiFlow's torch": torch.__version__}

    def _differentiated(self, name: str) -> tuple[State, float]:
        rate = torch.tensor(self.rate, requires_grad=True)
        end = self.plumes[name].run(self.warm[name], flow.wrap(rate), self.steps)
        loss = flow.math.mean(end[1].values ** 2).native()
        (slope,) = torch.autograd.grad(loss, rate)
        return end, float(slope)

    def facts(self, request: dict) -> dict:
        """Of a plume after the measured steps, with the derivative of the mean square of smoke by the inflow's rate."""
        end, slope = self._differentiated(request["case"])
        return {**self.plumes[request["case"]].facts(end), "slope": slope}

    def forward(self, request: dict) -> dict:
        """Processor time of a step [us]."""
        plume, state = self.plumes[request["case"]], self.warm[request["case"]]
        with torch.no_grad():
            return spent(lambda: plume.run(state, self.rate, self.steps), self.steps)

    def gradient(self, request: dict) -> dict:
        """The same with this derivative."""
        return spent(lambda: self._differentiated(request["case"]), self.steps)


if __name__ == "__main__":
    serve(Server(), ANSWERS)
