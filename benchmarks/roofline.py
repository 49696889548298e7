# SPDX-License-Identifier: Apache-2.0
"""The bound of the hardware: what memory and arithmetic allow for the work of one substep; see protocol.py.

**Measured.** Bandwidth: STREAM's triad ``a = b + s c`` in a compiled kernel, counted as STREAM counts it (three words
for each element, no write-allocate), on arrays as large as the particles' (they may fit in a cache) and on arrays that
no cache holds. Arithmetic: chains of fused multiply-adds on independent 8-wide vectors, two operations each. With two
threads two Python threads launch, each on data of its own.

**Counted**, for a liquid in float32, from what the kernels of ``simenv/physics/mpm`` read and write:

* Bytes: every array that a kernel reads or writes counts once for each kernel, `PARTICLE_TRAFFIC`; of the grid only the
  nodes that the particles touch, `node_bytes`. The 27 nodes that a particle visits are taken to be in a cache: free.
* Operations: additions, multiplications and divisions as the kernels' sources have them, `PARTICLE_OPERATIONS` and
  `NODE_OPERATIONS`; a fused multiply-add is two, index arithmetic and comparisons are none.

The bound is the larger of bytes over bandwidth and operations over the peak: no program that moves these bytes and does
these operations can be faster, and one whose additions and multiplications do not pair, or whose vectors are not full,
cannot reach it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

SIZES = {"x": 12, "v": 12, "C": 36, "J": 4, "volume": 4, "material": 4, "active": 4, "parameters": 32, "grid": 16}

# kernel -> arrays of particles that it reads, and those that it writes (adj_ in front: the adjoint, of the same size)
PARTICLE_TRAFFIC = {
    "bounds": ("active x", ""),
    "p2g": ("active material volume x v C J", "J"),
    "g2p": ("active x", "x v C"),
    "g2p_adjoint": ("active x adj_x adj_v adj_C", "adj_x"),
    "p2g_adjoint": (
        "active material volume x v C J adj_x adj_J adj_parameters",
        "adj_x adj_v adj_C adj_J adj_parameters",
    ),
}
FORWARD, BACKWARD = ("bounds", "p2g", "g2p"), ("g2p_adjoint", "p2g_adjoint")

# the stencil functions of stencil.py, 27 nodes of four components each
WEIGHTS = 27  # nine weights: 1.5 - f, f - 1, f - 0.5 and their polynomials, along three axes
AFFINE = 24  # the affine field at the first node, and along z
SCATTER = WEIGHTS + AFFINE + 12 + 24 + 9 * (1 + 24) + 6 * 12 + 2 * 12  # weights along z; rows; steps along y and x
GATHER = WEIGHTS + 3 * (12 + 3 * 24 + 12 + 24) + 2 * 25 + 92  # three planes of three rows; sums along z
SWEEP = WEIGHTS + AFFINE + 6 + 9 * (12 + 4 * 24 + 12) + 3 * (3 * 24 + 12) + 60
LIQUID = 5 + 50 + 31 + 13  # J; pressure and viscous stress; momentum matrix; position in cells and momentum
PARTICLE_OPERATIONS = {
    "bounds": 6,
    "p2g": LIQUID + SCATTER,
    "g2p": 9 + GATHER + 9 + 12,
    "g2p_adjoint": 9 + GATHER + 6 + 9 + SCATTER + SWEEP + 6,
    "p2g_adjoint": LIQUID + GATHER + SWEEP + 120,
}
NODE_OPERATIONS = {"forward": 18, "backward": 18 + 24}  # the backward pass updates the grid again, then its adjoint


def particle_bytes(kernels: tuple[str, ...]) -> int:
    """Bytes that the kernels move for each particle in a substep."""
    names = [name for kernel in kernels for part in PARTICLE_TRAFFIC[kernel] for name in part.split()]
    return sum(SIZES[name.removeprefix("adj_")] for name in names)


def node_bytes(job: str, lanes: int) -> int:
    """Bytes for each touched node in a substep: clearing, the update, and their counterparts in the reverse sweep."""
    grid = SIZES["grid"]
    summed = grid if lanes > 1 else 0  # the sum over the lanes is written too
    forward = lanes * grid + lanes * grid + summed + grid  # clear; read lanes, write the sum and the velocity
    if job == "forward":
        return forward
    backward = 2 * grid + lanes * grid + (lanes + 1) * grid + grid  # update; clear; read adjoint and momentum, write
    return forward + backward


def count(job: str, particles: int, nodes: int, lanes: int) -> dict:
    """Bytes and operations of one substep of ``job`` ("forward", or "gradient": forward and backward)."""
    kernels = FORWARD if job == "forward" else FORWARD + BACKWARD
    per_node = NODE_OPERATIONS["forward"] + (NODE_OPERATIONS["backward"] if job == "gradient" else 0)
    operations = sum(PARTICLE_OPERATIONS[kernel] for kernel in kernels)
    return {
        "bytes_per_particle": particle_bytes(kernels),
        "operations_per_particle": operations,
        "bytes": particles * particle_bytes(kernels) + nodes * node_bytes(job, lanes),
        "operations": particles * operations + nodes * per_node,
    }


def bound_ms(counted: dict, bandwidth: float, peak: float) -> float:
    """The bound of one substep [ms] from bytes/s and operations/s."""
    return 1e3 * max(counted["bytes"] / bandwidth, counted["operations"] / peak)


def touched_nodes(x: "object", dx: float) -> int:
    """Nodes in the box that the stencils of particles at `x` (P, 3) cover."""
    import numpy as np

    first = np.floor(np.asarray(x) / dx - 0.5).astype(int)
    return int(np.prod(first.max(0) - first.min(0) + 3))


# ---------------------------------------------------------------- measuring


def best_rate(launch: Callable[[int], None], amount: float, threads: int, repeats: int = 7) -> list[float]:
    """Rates of `repeats` runs in which every thread does `amount` of work."""
    rates = []
    with ThreadPoolExecutor(threads) as pool:
        for repeat in range(repeats + 1):
            start = time.perf_counter()
            for future in [pool.submit(launch, thread) for thread in range(threads)]:
                future.result()
            if repeat:
                rates.append(threads * amount / (time.perf_counter() - start))
    return rates


def kernels() -> tuple:
    """The two measured kernels."""
    import warp as wp

    @wp.func_native("""
        const float* pb = b.data; const float* pc = c.data; float* pa = a.data;
        const float s = 3.0f;
        for (int sweep = 0; sweep < sweeps; ++sweep) {
            #pragma clang loop vectorize(enable) interleave(enable)
            for (int i = 0; i < n; ++i) pa[i] = pb[i] + s * pc[i];
            asm volatile("" ::: "memory");
        }
    """)
    def triad_loop(
        a: wp.array(dtype=float), b: wp.array(dtype=float), c: wp.array(dtype=float), n: int, sweeps: int
    ): ...

    @wp.func_native("""
        #pragma clang fp contract(fast)
        typedef float v8 __attribute__((ext_vector_type(8)));
        v8 r[10];
        const v8 m = seed.data[0], b = seed.data[1];
        #pragma clang loop unroll(full)
        for (int j = 0; j < 10; ++j) r[j] = seed.data[2] + j;
        for (int i = 0; i < n; ++i) {
            #pragma clang loop unroll(full)
            for (int j = 0; j < 10; ++j) r[j] = r[j] * m + b;
        }
        v8 sum = 0;
        #pragma clang loop unroll(full)
        for (int j = 0; j < 10; ++j) sum += r[j];
        out.data[0] = sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
    """)
    def fma_loop(seed: wp.array(dtype=float), out: wp.array(dtype=float), n: int): ...

    options = {"module": "simenv_roofline", "enable_backward": False}

    @wp.kernel(**options)
    def triad(a: wp.array(dtype=float), b: wp.array(dtype=float), c: wp.array(dtype=float), n: int, sweeps: int):
        triad_loop(a, b, c, n, sweeps)

    @wp.kernel(**options)
    def multiply_add(seed: wp.array(dtype=float), out: wp.array(dtype=float), n: int):
        fma_loop(seed, out, n)

    return triad, multiply_add


def measure_bandwidth(triad: object, size: int, threads: int) -> list[float]:
    """Bytes/s of the triad on arrays of `size` bytes in all, shared by the threads."""
    import warp as wp

    n = size // threads // 12
    sweeps = max(1, int(1.5e9 / size))
    data = [[wp.full(n, 1.0, dtype=float, device="cpu") for _ in range(3)] for _ in range(threads)]

    def launch(thread: int) -> None:
        wp.launch(triad, 1, [*data[thread], n, sweeps], device="cpu")

    return best_rate(launch, 12.0 * n * sweeps, threads)


def measure_peak(multiply_add: object, threads: int) -> list[float]:
    """Operations/s of the multiply-adds, 10 vectors of 8 at a time."""
    import warp as wp

    n = 5_000_000
    seed = wp.array([0.999, 0.001, 1.0], dtype=float, device="cpu")
    outs = [wp.zeros(1, dtype=float, device="cpu") for _ in range(threads)]

    def launch(thread: int) -> None:
        wp.launch(multiply_add, 1, [seed, outs[thread], n], device="cpu")

    return best_rate(launch, 10.0 * 8 * 2 * n, threads)


class Server:
    """The measurements, for 1 and 2 threads."""

    def setup(self, request: dict) -> dict:
        """Compile."""
        import warp as wp

        wp.config.log_level = wp.LOG_ERROR
        wp.init()
        self.triad, self.multiply_add = kernels()
        return {"warp": wp.__version__}

    def run(self, request: dict) -> dict:
        """Bandwidths [bytes/s] at ``sizes`` and peak [operations/s] with ``threads`` threads."""
        threads = request["threads"]
        bandwidth = [measure_bandwidth(self.triad, size, threads) for size in request["sizes"]]
        return {"bandwidth": bandwidth, "peak": measure_peak(self.multiply_add, threads)}


if __name__ == "__main__":
    from protocol import claim_stdout, serve

    serve(Server(), claim_stdout())
