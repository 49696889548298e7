# SPDX-License-Identifier: Apache-2.0
"""The benchmark's MLS-MPM liquid in Taichi 1.7, written from scratch in Taichi's usual style (fields, ti.Matrix, autodiff).

Runs in its own environment, without simenv:  python taichi_mpm.py SERVE

It reads one JSON request per line from stdin and answers with one JSON line on stdout, so that the harness can alternate programs
round by round while each stays warm. Requests: {"job": "setup", ...}, {"job": "forward", "repeats": n}, {"job": "gradient", ...},
{"job": "check"}, {"job": "quit"}.
"""

import json
import os
import resource
import sys
import time

import numpy as np
import taichi as ti


def cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


@ti.data_oriented
class TaichiMPM:
    """Weakly compressible liquid, p = E (J - 1), quadratic B-splines, APIC; a grid and a particle state for each substep if `gradient`."""

    def __init__(self, positions: np.ndarray, config: dict, gradient: bool):
        self.count = len(positions)
        self.n, self.dx, self.dt = config["grid"], 1.0 / config["grid"], config["dt"]
        self.volume = config["volume"]
        self.mass = config["density"] * self.volume
        self.bulk, self.gravity = config["bulk_modulus"], config["gravity"]
        self.substeps = config["substeps"]
        self.walls = 3
        self.gradient = gradient
        states, grids = (self.substeps + 1, self.substeps) if gradient else (1, 1)
        real = dict(dtype=ti.f32, needs_grad=gradient)
        self.x = ti.Vector.field(3, shape=(states, self.count), **real)
        self.v = ti.Vector.field(3, shape=(states, self.count), **real)
        self.C = ti.Matrix.field(3, 3, shape=(states, self.count), **real)
        self.J = ti.field(shape=(states, self.count), **real)
        cells = (grids, self.n, self.n, self.n)
        self.momentum = ti.Vector.field(3, shape=cells, **real)
        self.node_mass = ti.field(shape=cells, **real)
        self.velocity = ti.Vector.field(3, shape=cells, **real) if gradient else self.momentum
        self.loss = ti.field(ti.f32, shape=(), needs_grad=gradient)
        self.start = positions.astype(np.float32)
        self.reset()

    def reset(self) -> None:
        self.fill(self.start)

    @ti.kernel
    def fill(self, start: ti.types.ndarray()):
        for p in range(self.count):
            for a in ti.static(range(3)):
                self.x[0, p][a] = start[p, a]
            self.v[0, p] = ti.Vector.zero(ti.f32, 3)
            self.C[0, p] = ti.Matrix.zero(ti.f32, 3, 3)
            self.J[0, p] = 1.0

    @ti.kernel
    def clear(self, g: ti.i32):
        for i, j, k in ti.ndrange(self.n, self.n, self.n):
            self.momentum[g, i, j, k] = ti.Vector.zero(ti.f32, 3)
            self.node_mass[g, i, j, k] = 0.0

    @ti.kernel
    def p2g(self, s: ti.i32, g: ti.i32):
        for p in range(self.count):
            Xp = self.x[s, p] / self.dx
            base = ti.cast(Xp - 0.5, ti.i32)
            fx = Xp - ti.cast(base, ti.f32)
            w = [0.5 * (1.5 - fx) ** 2, 0.75 - (fx - 1.0) ** 2, 0.5 * (fx - 0.5) ** 2]
            stress = -self.dt * 4.0 * self.volume * self.bulk * (self.J[s, p] - 1.0) / self.dx**2
            affine = stress * ti.Matrix.identity(ti.f32, 3) + self.mass * self.C[s, p]
            for i, j, k in ti.static(ti.ndrange(3, 3, 3)):
                offset = ti.Vector([i, j, k])
                dpos = (ti.cast(offset, ti.f32) - fx) * self.dx
                weight = w[i][0] * w[j][1] * w[k][2]
                self.momentum[g, base[0] + i, base[1] + j, base[2] + k] += weight * (self.mass * self.v[s, p] + affine @ dpos)
                self.node_mass[g, base[0] + i, base[1] + j, base[2] + k] += weight * self.mass

    @ti.kernel
    def grid_update(self, g: ti.i32):
        for i, j, k in ti.ndrange(self.n, self.n, self.n):
            m = self.node_mass[g, i, j, k]
            if m > 0.0:
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
            self.J[t, p] = self.J[s, p] * (1.0 + self.dt * new_C.trace())

    @ti.kernel
    def mean_velocity(self, s: ti.i32):
        for p in range(self.count):
            self.loss[None] += (self.v[s, p][0] + self.v[s, p][1] + self.v[s, p][2]) / self.count

    def forward(self) -> None:
        for k in range(self.substeps):
            s, t, g = (k, k + 1, k) if self.gradient else (0, 0, 0)
            self.clear(g)
            self.p2g(s, g)
            self.grid_update(g)
            self.g2p(s, t, g)

    def clear_gradients(self) -> None:
        for field in (self.x, self.v, self.C, self.J, self.momentum, self.node_mass, self.velocity):
            field.grad.fill(0.0)

    def backward(self) -> None:
        self.clear_gradients()
        self.loss[None] = 0.0
        self.mean_velocity(self.substeps)
        self.loss.grad[None] = 1.0
        self.mean_velocity.grad(self.substeps)
        for k in reversed(range(self.substeps)):
            self.g2p.grad(k, k + 1, k)
            self.grid_update.grad(k)
            self.p2g.grad(k, k)

    def moments(self) -> dict:
        last = self.substeps if self.gradient else 0
        x, v, J = (field.to_numpy()[last].astype(np.float64) for field in (self.x, self.v, self.J))
        return {"mean_x": x.mean(0).tolist(), "mean_v": v.mean(0).tolist(), "J": [J.mean(), J.min(), J.max()]}


class Server:
    def __init__(self) -> None:
        self.programs: dict[str, TaichiMPM] = {}

    def setup(self, request: dict) -> dict:
        ti.init(arch=ti.cpu, cpu_max_num_threads=request["threads"], default_fp=ti.f32, log_level=ti.ERROR, offline_cache=True)
        positions = np.load(request["positions"])
        self.positions = {"unsorted": positions}
        cell = np.floor(positions * request["config"]["grid"]).astype(np.int64)
        order = np.lexsort((cell[:, 2], cell[:, 1], cell[:, 0]))
        self.positions["sorted"] = positions[order]
        self.config = request["config"]
        return {"taichi": ".".join(map(str, ti.__version__)), "numpy": np.__version__, "python": sys.version.split()[0]}

    def build(self, request: dict) -> dict:
        gradient = request["program"] == "gradient"
        program = TaichiMPM(self.positions[request["order"]], self.config, gradient)
        self.programs[request["program"] + request["order"]] = program
        start = time.perf_counter()
        program.forward()
        if gradient:
            program.backward()
        ti.sync()
        return {"first_s": time.perf_counter() - start}

    def run(self, request: dict) -> dict:
        program = self.programs[request["program"] + request["order"]]
        milliseconds, cpu = [], []
        for _ in range(request["repeats"]):
            program.reset()
            ti.sync()
            start, cpu_start = time.perf_counter(), cpu_seconds()
            program.forward()
            if program.gradient:
                program.backward()
            ti.sync()
            milliseconds.append(1e3 * (time.perf_counter() - start) / program.substeps)
            cpu.append(cpu_seconds() - cpu_start)
        return {"ms": milliseconds, "cpu_s": sum(cpu)}

    def check(self, request: dict) -> dict:
        program = self.programs[request["program"] + request["order"]]
        out = program.moments()
        if program.gradient:
            out["gradient_v0"] = program.v.grad.to_numpy()[0].astype(np.float64).sum(0).tolist()
        return out


def main() -> None:
    server = Server()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever Taichi prints goes to stderr
    for line in sys.stdin:
        request = json.loads(line)
        if request["job"] == "quit":
            break
        answer = getattr(server, request["job"])(request)
        answer["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
