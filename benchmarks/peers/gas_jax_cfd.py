# SPDX-License-Identifier: Apache-2.0
"""jax-cfd on one thread: flow in a periodic box, by its own explicit scheme with van Leer's limiter and its pressure by
Fourier transform, compiled. It shares no code with simenv and runs in its own environment; see ../gas.py for what is
measured, ../protocol.py for how it is asked.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from protocol import claim_stdout, serve, spent

ANSWERS = claim_stdout()
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # XLA has as many threads as there are processors for it

from importlib.metadata import version  # noqa: E402

try:
    import jax
    import jax.numpy as jnp
    from jax_cfd.base import boundaries, equations, funcutils, grids, time_stepping
except ImportError as error:
    raise SystemExit(
        f'{error}: jax-cfd runs in its own environment; `pip install "jax[cpu]" jax-cfd` there and name its Python '
        "with --jax-cfd"
    ) from error

K = 2.0 * jnp.pi
SCHEMES = {"Euler": time_stepping.forward_euler, "Heun": time_stepping.heun_rk2}
FLOW = (  # of Arnold, Beltrami and Childress
    lambda x, y, z: jnp.sin(K * z) + jnp.cos(K * y),
    lambda x, y, z: jnp.sin(K * x) + jnp.cos(K * z),
    lambda x, y, z: jnp.sin(K * y) + jnp.cos(K * x),
)


class Server:
    """One flow, with functions of steps and of their gradients by both schemes."""

    def setup(self, request: dict) -> dict:
        """Make the flow; answer with versions."""
        n, self.steps, dt = request["cells"], request["steps"], request["dt"]
        viscosity, self.volume = request["viscosity"], n**-3
        grid = grids.Grid((n,) * 3, domain=((0.0, 1.0),) * 3)
        self.walls = boundaries.periodic_boundary_conditions(3)
        self.offsets = grid.cell_faces
        at = [grid.mesh(offset) for offset in self.offsets]
        self.start = tuple(jnp.asarray(each(*x), jnp.float32) for each, x in zip(FLOW, at, strict=True))
        self.decay = float(jnp.exp(-viscosity * K * K * dt * self.steps))
        self.runs, self.slopes = {}, {}
        for name, scheme in SCHEMES.items():
            step = equations.semi_implicit_navier_stokes(1.0, viscosity, dt, grid, time_stepper=scheme)
            repeated = funcutils.repeated(step, self.steps)

            def run(start, repeated=repeated):
                flow = tuple(
                    grids.GridVariable(grids.GridArray(each, offset, grid), self.walls)
                    for each, offset in zip(start, self.offsets, strict=True)
                )
                return tuple(each.data for each in repeated(flow))

            def energy(start, run=run):
                return 0.5 * self.volume * sum(jnp.sum(each**2) for each in run(start))

            self.runs[name], self.slopes[name] = jax.jit(run), jax.jit(jax.value_and_grad(energy))
        return {"jax-cfd": version("jax-cfd"), "jax": jax.__version__}

    def facts(self, request: dict) -> dict:
        """Largest difference from the exact flow after the measured steps, and the derivative of the energy then by
        the velocity at the start, along it.
        """
        end, (_, slopes) = self.runs[request["scheme"]](self.start), self.slopes[request["scheme"]](self.start)
        off = max(float(jnp.abs(a - self.decay * b).max()) for a, b in zip(end, self.start, strict=True))
        return {"error": off, "slope": sum(float((a * b).sum()) for a, b in zip(slopes, self.start, strict=True))}

    def forward(self, request: dict) -> dict:
        """Processor time of a step [us]."""
        run = self.runs[request["scheme"]]
        return spent(lambda: jax.block_until_ready(run(self.start)), self.steps)

    def gradient(self, request: dict) -> dict:
        """The same with the gradient of the energy by the velocity at the start."""
        slope = self.slopes[request["scheme"]]
        return spent(lambda: jax.block_until_ready(slope(self.start)), self.steps)


if __name__ == "__main__":
    serve(Server(), ANSWERS)
