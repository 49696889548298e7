# SPDX-License-Identifier: Apache-2.0
"""The benchmark's MLS-MPM liquid in Taichi 1.7, from scratch, in Taichi's usual style (fields, ti.Matrix, autodiff).

Runs in its own environment, without simenv; see ../protocol.py for how it is asked. Its kernels are cached there.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from protocol import claim_stdout, serve, timed

ANSWERS = claim_stdout()

import time  # noqa: E402

import numpy as np  # noqa: E402
import taichi as ti  # noqa: E402


@ti.data_oriented
class TaichiMPM:
    """Weakly compressible liquid, p = E (J - 1), quadratic B-splines, APIC.

    With `gradient` every substep has its own grid and particle state.
    """

    def __init__(self, x: np.ndarray, v: np.ndarray, config: dict, gradient: bool):
        self.count = len(x)
        self.n, self.dx, self.dt = config["grid"], 1.0 / config["grid"], config["dt"]
        self.volume = config["volume"]
        self.mass = config["density"] * self.volume
        self.bulk, self.gravity = config["bulk_modulus"], config["gravity"]
        self.substeps = config["substeps"]
        self.walls = 3
        self.gradient = gradient
        states, grids = (self.substeps + 1, self.substeps) if gradient else (1, 1)
        real = {"dtype": ti.f32, "needs_grad": gradient}
        self.x = ti.Vector.field(3, shape=(states, self.count), **real)
        self.v = ti.Vector.field(3, shape=(states, self.count), **real)
        self.C = ti.Matrix.field(3, 3, shape=(states, self.count), **real)
        self.J = ti.field(shape=(states, self.count), **real)
        cells = (grids, self.n, self.n, self.n)
        self.momentum = ti.Vector.field(3, shape=cells, **real)
        self.node_mass = ti.field(shape=cells, **real)
        self.velocity = ti.Vector.field(3, shape=cells, **real) if gradient else self.momentum
        self.loss = ti.field(ti.f32, shape=(), needs_grad=gradient)
        self.start = x, v
        self.reset()

    def reset(self) -> None:
        self.fill(*self.start)

    @ti.kernel
    def fill(self, x: ti.types.ndarray(), v: ti.types.ndarray()):
        for p in range(self.count):
            for a in ti.static(range(3)):
                self.x[0, p][a] = x[p, a]
                self.v[0, p][a] = v[p, a]
            self.C[0, p] = ti.Matrix.zero(ti.f32, 3, 3)
            self.J[0, p] = 1.0

    @ti.kernel
    def clear(self, g: ti.i32):
        for i, j, k in ti.ndrange(self.n, self.n, self.n):
            self.momentum[g, i, j, k] = ti.Vector.zero(ti.f32, 3)
            self.node_mass[g, i, j, k] = 0.0

    @ti.kernel
    def p2g(self, s: ti.i32, t: ti.i32, g: ti.i32):
        for p in range(self.count):
            Xp = self.x[s, p] / self.dx
            base = ti.cast(Xp - 0.5, ti.i32)
            fx = Xp - ti.cast(base, ti.f32)
            w = [0.5 * (1.5 - fx) ** 2, 0.75 - (fx - 1.0) ** 2, 0.5 * (fx - 0.5) ** 2]
            J = self.J[s, p] * (1.0 + self.dt * self.C[s, p].trace())
            self.J[t, p] = J
            stress = -self.dt * 4.0 * self.volume * self.bulk * (J - 1.0) / self.dx**2
            affine = stress * ti.Matrix.identity(ti.f32, 3) + self.mass * self.C[s, p]
            for i, j, k in ti.static(ti.ndrange(3, 3, 3)):
                offset = ti.Vector([i, j, k])
                dpos = (ti.cast(offset, ti.f32) - fx) * self.dx
                weight = w[i][0] * w[j][1] * w[k][2]
                self.momentum[g, base[0] + i, base[1] + j, base[2] + k] += weight * (
                    self.mass * self.v[s, p] + affine @ dpos
                )
                self.node_mass[g, base[0] + i, base[1] + j, base[2] + k] += weight * self.mass

    @ti.kernel
    def grid_update(self, g: ti.i32):
        for i, j, k in ti.ndrange(self.n, self.n, self.n):
            m = self.node_mass[g, i, j, k]
            if m > 1e-15:  # kg; the derivative divides by the square, which must not underflow
                v = self.momentum[g, i, j, k] / m
                v[2] -= self.dt * self.gravity
                if i <= self.walls and v[0] < 0.0:
                    v[0] = 0.0
                if i >= self.n - 1 - self.walls and v[0] > 0.0:
                    v[0] = 0.0
                if j <= self.walls and v[1] < 0.0:
                    v[1] = 0.0
                if j >= self.n - 1 - self.walls and v[1] > 0.0:
                    v[1] = 0.0
                if k <= self.walls and v[2] < 0.0:
                    v[2] = 0.0
                if k >= self.n - 1 - self.walls and v[2] > 0.0:
                    v[2] = 0.0
                self.velocity[g, i, j, k] = v

    @ti.kernel
    def g2p(self, s: ti.i32, t: ti.i32, g: ti.i32):
        for p in range(self.count):
            Xp = self.x[s, p] / self.dx
            base = ti.cast(Xp - 0.5, ti.i32)
            fx = Xp - ti.cast(base, ti.f32)
            w = [0.5 * (1.5 - fx) ** 2, 0.75 - (fx - 1.0) ** 2, 0.5 * (fx - 0.5) ** 2]
            new_v = ti.Vector.zero(ti.f32, 3)
            new_C = ti.Matrix.zero(ti.f32, 3, 3)
            for i, j, k in ti.static(ti.ndrange(3, 3, 3)):
                dpos = ti.cast(ti.Vector([i, j, k]), ti.f32) - fx
                weight = w[i][0] * w[j][1] * w[k][2]
                g_v = self.velocity[g, base[0] + i, base[1] + j, base[2] + k]
                new_v += weight * g_v
                new_C += (4.0 / self.dx) * weight * g_v.outer_product(dpos)
            self.v[t, p] = new_v
            self.C[t, p] = new_C
            self.x[t, p] = self.x[s, p] + self.dt * new_v

    @ti.kernel
    def kinetic_energy(self, s: ti.i32):
        for p in range(self.count):
            self.loss[None] += 0.5 * self.v[s, p].dot(self.v[s, p]) / self.count

    def forward(self) -> None:
        for k in range(self.substeps):
            s, t, g = (k, k + 1, k) if self.gradient else (0, 0, 0)
            self.clear(g)
            self.p2g(s, t, g)
            self.grid_update(g)
            self.g2p(s, t, g)

    def clear_gradients(self) -> None:
        for field in (self.x, self.v, self.C, self.J, self.momentum, self.node_mass, self.velocity):
            field.grad.fill(0.0)

    def backward(self) -> None:
        self.clear_gradients()
        self.loss[None] = 0.0
        self.kinetic_energy(self.substeps)
        self.loss.grad[None] = 1.0
        self.kinetic_energy.grad(self.substeps)
        for k in reversed(range(self.substeps)):
            self.g2p.grad(k, k + 1, k)
            self.grid_update.grad(k)
            self.p2g.grad(k, k + 1, k)

    def run(self) -> None:
        """One rollout, with its gradient if there is one, to the end."""
        self.forward()
        if self.gradient:
            self.backward()
        ti.sync()


class Server:
    """One program for each kind (forward, gradient) and order of the particles."""

    def setup(self, request: dict) -> dict:
        """Take the scene and the number of threads; answer with versions."""
        self.config = request["config"]
        self.programs: dict[tuple[str, str], TaichiMPM] = {}
        cache = os.path.join(sys.prefix, "taichi-cache")
        options = {"offline_cache": True, "offline_cache_file_path": cache, "log_level": ti.ERROR}
        arch = {"cpu": ti.cpu, "cuda": ti.cuda}[request.get("device", "cpu")]
        ti.init(arch=arch, cpu_max_num_threads=request["threads"], default_fp=ti.f32, **options)
        return {"taichi": ".".join(map(str, ti.__version__)), "numpy": np.__version__, "python": sys.version.split()[0]}

    def build(self, request: dict) -> dict:
        """Compile ``program`` ("forward" or "gradient") for the particles of ``order``."""
        data, order = np.load(request["particles"]), request["order"]
        program = TaichiMPM(data[f"x_{order}"], data[f"v_{order}"], self.config, request["program"] == "gradient")
        self.programs[request["program"], order] = program
        start = time.perf_counter()
        program.run()
        return {"first_s": time.perf_counter() - start}

    def run(self, request: dict) -> dict:
        """Times of ``repeats`` rollouts."""
        program = self.programs[request["program"], request["order"]]

        def before() -> None:
            program.reset()
            ti.sync()

        return timed(program.run, before, request["repeats"], program.substeps)

    def check(self, request: dict) -> dict:
        """Moments of the state after the last rollout, and of the gradient."""
        program = self.programs[request["program"], request["order"]]
        last = program.substeps if program.gradient else 0
        x, v, J = (field.to_numpy()[last].astype(np.float64) for field in (program.x, program.v, program.J))
        out = {"mean_x": x.mean(0).tolist(), "mean_v": v.mean(0).tolist(), "J": [J.mean(), J.min(), J.max()]}
        if program.gradient:
            g = program.v.grad.to_numpy()[0].astype(np.float64)
            out["gradient_v0"] = [*g.sum(0).tolist(), float(np.linalg.norm(g))]
        return out


if __name__ == "__main__":
    serve(Server(), ANSWERS)
