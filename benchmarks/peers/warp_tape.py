# SPDX-License-Identifier: Apache-2.0
"""The naive baseline: the benchmark's MLS-MPM liquid as plain Warp kernels, differentiated by ``wp.Tape``.

What one writes in an afternoon: three kernels, arrays of vec3 and mat33, atomics, generated adjoints. A tape needs what
each launch read, so that a differentiated rollout holds a particle state and a grid for every substep. A CPU launch of
Warp is serial: one thread. It shares no code with simenv; see ../protocol.py for how it is asked.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from protocol import claim_stdout, serve, timed

ANSWERS = claim_stdout()

import time  # noqa: E402

import numpy as np  # noqa: E402
import warp as wp  # noqa: E402

WALLS = 3  # nodes from the edge of the grid at which its walls stand


@wp.func
def weights(fx: wp.vec3) -> wp.mat33:
    """Quadratic B-splines: rows are the three nodes, columns the axes."""
    one = wp.vec3(1.0, 1.0, 1.0)
    a, b, c = 1.5 * one - fx, fx - one, fx - 0.5 * one
    return wp.matrix_from_rows(0.5 * wp.cw_mul(a, a), 0.75 * one - wp.cw_mul(b, b), 0.5 * wp.cw_mul(c, c))


@wp.kernel
def p2g(
    n: int, dx: float, dt: float, volume: float, density: float, bulk_modulus: float,
    x: wp.array(dtype=wp.vec3), v: wp.array(dtype=wp.vec3), C: wp.array(dtype=wp.mat33), J: wp.array(dtype=float),
    J_out: wp.array(dtype=float), momentum: wp.array3d(dtype=wp.vec3), mass: wp.array3d(dtype=float),
):  # fmt: skip
    """Momentum, mass and stress of the particles, to the grid."""
    p = wp.tid()
    position = x[p] / dx
    bi, bj, bk = int(position[0] - 0.5), int(position[1] - 0.5), int(position[2] - 0.5)
    fx = position - wp.vec3(float(bi), float(bj), float(bk))
    spline = weights(fx)
    J_new = J[p] * (1.0 + dt * wp.trace(C[p]))
    J_out[p] = J_new
    m = density * volume
    stress = -4.0 * dt * volume * bulk_modulus * (J_new - 1.0) / (dx * dx)
    affine = wp.diag(wp.vec3(stress, stress, stress)) + m * C[p]
    for i in range(3):
        for j in range(3):
            for k in range(3):
                w = spline[i, 0] * spline[j, 1] * spline[k, 2]
                offset = (wp.vec3(float(i), float(j), float(k)) - fx) * dx
                wp.atomic_add(momentum, bi + i, bj + j, bk + k, w * (m * v[p] + affine * offset))
                wp.atomic_add(mass, bi + i, bj + j, bk + k, w * m)


@wp.kernel
def grid_update(
    n: int, dt: float, gravity: float, momentum: wp.array3d(dtype=wp.vec3), mass: wp.array3d(dtype=float),
    velocity: wp.array3d(dtype=wp.vec3),
):  # fmt: skip
    """Velocity of the nodes, under gravity, kept inside the walls."""
    i, j, k = wp.tid()
    m = mass[i, j, k]
    if m > 0.0:
        v = momentum[i, j, k] / m + wp.vec3(0.0, 0.0, -dt * gravity)
        vx, vy, vz = v[0], v[1], v[2]
        if (i <= WALLS and vx < 0.0) or (i >= n - 1 - WALLS and vx > 0.0):
            vx = 0.0
        if (j <= WALLS and vy < 0.0) or (j >= n - 1 - WALLS and vy > 0.0):
            vy = 0.0
        if (k <= WALLS and vz < 0.0) or (k >= n - 1 - WALLS and vz > 0.0):
            vz = 0.0
        velocity[i, j, k] = wp.vec3(vx, vy, vz)


@wp.kernel
def g2p(
    dx: float, dt: float, x: wp.array(dtype=wp.vec3), velocity: wp.array3d(dtype=wp.vec3),
    x_out: wp.array(dtype=wp.vec3), v_out: wp.array(dtype=wp.vec3), C_out: wp.array(dtype=wp.mat33),
):  # fmt: skip
    """Velocity and its gradient, from the grid; the particles move."""
    p = wp.tid()
    position = x[p] / dx
    bi, bj, bk = int(position[0] - 0.5), int(position[1] - 0.5), int(position[2] - 0.5)
    fx = position - wp.vec3(float(bi), float(bj), float(bk))
    spline = weights(fx)
    new_v = wp.vec3()
    new_C = wp.mat33()
    for i in range(3):
        for j in range(3):
            for k in range(3):
                w = spline[i, 0] * spline[j, 1] * spline[k, 2]
                u = velocity[bi + i, bj + j, bk + k]
                new_v += w * u
                new_C += (4.0 / dx * w) * wp.outer(u, wp.vec3(float(i), float(j), float(k)) - fx)
    v_out[p] = new_v
    C_out[p] = new_C
    x_out[p] = x[p] + dt * new_v


@wp.kernel
def kinetic_energy(count: int, v: wp.array(dtype=wp.vec3), loss: wp.array(dtype=float)):
    """Mean of |v|^2 / 2."""
    p = wp.tid()
    wp.atomic_add(loss, 0, 0.5 * wp.dot(v[p], v[p]) / float(count))


class Rollout:
    """The arrays of one rollout: of every substep with `gradient`, else of one."""

    def __init__(self, x: np.ndarray, v: np.ndarray, config: dict, gradient: bool):
        self.config, self.gradient, self.count = config, gradient, len(x)
        n, substeps = config["grid"], config["substeps"]
        states, grids = (substeps + 1, substeps) if gradient else (1, 1)
        types = {"x": wp.vec3, "v": wp.vec3, "C": wp.mat33, "J": float}
        self.states = [
            {name: wp.zeros(self.count, dtype=dtype, requires_grad=gradient) for name, dtype in types.items()}
            for _ in range(states)
        ]
        types = {"momentum": wp.vec3, "mass": float, "velocity": wp.vec3}
        self.grids = [
            {name: wp.zeros((n, n, n), dtype=dtype, requires_grad=gradient) for name, dtype in types.items()}
            for _ in range(grids)
        ]
        self.loss = wp.zeros(1, dtype=float, requires_grad=gradient)
        self.start = wp.array(x, dtype=wp.vec3), wp.array(v, dtype=wp.vec3)
        self.reset()

    def reset(self) -> None:
        """The initial state."""
        state = self.states[0]
        wp.copy(state["x"], self.start[0])
        wp.copy(state["v"], self.start[1])
        state["C"].zero_()
        state["J"].fill_(1.0)

    def substep(self, k: int) -> None:
        """Substep `k`."""
        c, (s, t, g) = self.config, (k, k + 1, k) if self.gradient else (0, 0, 0)
        n, dx, dt = c["grid"], 1.0 / c["grid"], c["dt"]
        before, after, grid = self.states[s], self.states[t], self.grids[g]
        grid["momentum"].zero_()
        grid["mass"].zero_()
        grid["velocity"].zero_()
        scene = [n, dx, dt, c["volume"], c["density"], c["bulk_modulus"]]
        wp.launch(
            p2g, self.count, [*scene, *(before[name] for name in "xvCJ")], [after["J"], grid["momentum"], grid["mass"]]
        )
        wp.launch(grid_update, (n, n, n), [n, dt, c["gravity"], grid["momentum"], grid["mass"]], [grid["velocity"]])
        wp.launch(g2p, self.count, [dx, dt, before["x"], grid["velocity"]], [after[name] for name in "xvC"])

    def run(self) -> None:
        """One rollout, with its gradient if there is one."""
        if not self.gradient:
            for k in range(self.config["substeps"]):
                self.substep(k)
            wp.synchronize()
            return
        self.loss.zero_()
        tape = wp.Tape()
        with tape:
            for k in range(self.config["substeps"]):
                self.substep(k)
            wp.launch(kinetic_energy, self.count, [self.count, self.states[-1]["v"]], [self.loss])
        # the reverse sweep takes the gradients of what a launch wrote, but not of what it added to
        for array in (*self.states[0].values(), *(grid[name] for grid in self.grids for name in ("momentum", "mass"))):
            array.grad.zero_()
        tape.backward(self.loss)
        wp.synchronize()


class Server:
    """One rollout for each kind (forward, gradient) and order of the particles."""

    def setup(self, request: dict) -> dict:
        """Take the scene; answer with versions."""
        self.config = request["config"]
        self.rollouts: dict[tuple[str, str], Rollout] = {}
        wp.config.log_level = wp.LOG_ERROR
        wp.init()
        wp.set_device(request.get("device", "cpu"))
        return {"warp": wp.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}

    def build(self, request: dict) -> dict:
        """Compile ``program`` ("forward" or "gradient") for the particles of ``order``."""
        data, order = np.load(request["particles"]), request["order"]
        start = time.perf_counter()
        rollout = Rollout(data[f"x_{order}"], data[f"v_{order}"], self.config, request["program"] == "gradient")
        self.rollouts[request["program"], order] = rollout
        rollout.run()
        return {"first_s": time.perf_counter() - start}

    def run(self, request: dict) -> dict:
        """Times of ``repeats`` rollouts."""
        rollout = self.rollouts[request["program"], request["order"]]
        return timed(rollout.run, rollout.reset, request["repeats"], self.config["substeps"])

    def check(self, request: dict) -> dict:
        """Moments of the state after the last rollout, and of the gradient."""
        rollout = self.rollouts[request["program"], request["order"]]
        x, v, J = (rollout.states[-1][name].numpy().astype(np.float64) for name in "xvJ")
        out = {"mean_x": x.mean(0).tolist(), "mean_v": v.mean(0).tolist(), "J": [J.mean(), J.min(), J.max()]}
        if rollout.gradient:
            g = rollout.states[0]["v"].grad.numpy().astype(np.float64)
            out["gradient_v0"] = [*g.sum(0).tolist(), float(np.linalg.norm(g))]
        return out


if __name__ == "__main__":
    serve(Server(), ANSWERS)
