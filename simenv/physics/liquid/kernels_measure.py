# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of distances from solids in a liquid's window, at points half a cell apart.

Shells may be thinner than a cell. Distances are less what shells are thickened by, so that they close at least one
layer of faces.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.distance import distance_functions
from simenv.physics.liquid.kernels_window import window_kernels
from simenv.physics.mpm.contact import contact_functions

__all__ = ["measure_kernels"]

FAR = 2.0  # cells from a solid beyond which nothing is known of it


@built_once
def measure_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `measure`, `unmeasure`: the distance of points, or of every other along each axis, from the nearest collider,
          less what it is thickened by, and its number, -1 where all are far; and the adjoint;
        * `between`: the same of points between those;
        * `fine`, `place`, `at_fine`, `step`: number and place of a point, its distance, and the next one.
    """
    base, contact = window_kernels(real), contact_functions(real)
    Box, Colliders, ColliderAdjoints = base.Box, contact.Colliders, contact.ColliderAdjoints
    dist = distance_functions(real)
    distance, distance_gradient, is_near = dist.distance, dist.distance_gradient, contact.is_near
    vec3 = wp.types.vector(length=3, dtype=real)
    far = wp.constant(real(FAR))
    both = {"module": f"simenv_liquid_between_{real.__name__}", "enable_backward": True}
    once = {"module": f"simenv_liquid_measure_{real.__name__}", "enable_backward": False}

    @wp.func
    def fine(n: wp.vec3i, i: int, j: int, k: int) -> int:
        # of points half a cell apart, of which corners of cells have even numbers
        return (i * (2 * n[1] + 1) + j) * (2 * n[2] + 1) + k

    @wp.func
    def place(whole: Box, first: wp.vec3i, i: int, j: int, k: int) -> vec3:
        # of such a point
        h = real(0.5) * whole.dx
        return whole.origin + h * vec3(real(2 * first[0] + i), real(2 * first[1] + j), real(2 * first[2] + k))

    @wp.func
    def step(axis: int) -> wp.vec3i:
        return wp.vec3i(int(axis == 0), int(axis == 1), int(axis == 2))

    @wp.func
    def at_fine(w: int, n: wp.vec3i, at: wp.vec3i, phi: wp.array2d(dtype=real)) -> real:
        # beyond the ends of a window lies what is at them
        i = wp.clamp(at[0], 0, 2 * n[0])
        j = wp.clamp(at[1], 0, 2 * n[1])
        k = wp.clamp(at[2], 0, 2 * n[2])
        return phi[w, fine(n, i, j, k)]

    @wp.kernel(**once)
    def measure(
        whole: Box,
        tick: int,
        stride: int,
        thick: wp.array(dtype=real),
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        colliders: Colliders,
        phi_out: wp.array2d(dtype=real),
        owner_out: wp.array2d(dtype=int),
    ):
        w, a, row, lane = wp.tid()
        n = window_in[w, 1]
        i = a * stride
        if i > 2 * n[0]:
            return
        for j in range(row * stride, 2 * n[1] + 1, lanes[0] * stride):
            for k in range(lane * stride, 2 * n[2] + 1, lanes[1] * stride):
                x = place(whole, window_in[w, 0], i, j, k)
                least = far * whole.dx
                owner = int(-1)
                for c in range(colliders.count):
                    e = w * colliders.count + c
                    pose = (w * colliders.substeps + tick) * colliders.count + c
                    scale = colliders.scale[e]
                    local = ((x - colliders.position[pose]) * colliders.rotation[pose]) / scale
                    if is_near(colliders, e, local, (least + thick[c]) / scale):
                        found = distance(colliders.shape[e], colliders.sdf_values, local)
                        phi = scale * found[3] - thick[c]
                        if phi < least:
                            least = phi
                            owner = c
                phi_out[w, fine(n, i, j, k)] = least
                owner_out[w, fine(n, i, j, k)] = owner

    @wp.kernel(**once)
    def unmeasure(
        whole: Box,
        tick: int,
        stride: int,
        thick: wp.array(dtype=real),
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        colliders: Colliders,
        phi_in: wp.array2d(dtype=real),
        owner_in: wp.array2d(dtype=int),
        phi_bar_in: wp.array2d(dtype=real),
        none: wp.array2d(dtype=int),
        window_bar_inout: wp.array2d(dtype=wp.vec3i),
        bars_inout: ColliderAdjoints,
    ):
        w, a, row, lane = wp.tid()
        n = window_in[w, 1]
        i = a * stride
        if i > 2 * n[0]:
            return
        for j in range(row * stride, 2 * n[1] + 1, lanes[0] * stride):
            for k in range(lane * stride, 2 * n[2] + 1, lanes[1] * stride):
                at = fine(n, i, j, k)
                bar = phi_bar_in[w, at]
                c = owner_in[w, at]
                if c >= 0 and bar != real(0.0):
                    e = w * colliders.count + c
                    pose = (w * colliders.substeps + tick) * colliders.count + c
                    d = place(whole, window_in[w, 0], i, j, k) - colliders.position[pose]
                    turn = colliders.rotation[pose]
                    slope = distance_gradient(colliders.shape[e], colliders.sdf_values, (d * turn) / colliders.scale[e])
                    wp.atomic_add(bars_inout.position, pose, -bar * (turn * slope))
                    wp.atomic_add(bars_inout.rotation, pose, bar * wp.outer(d, slope))

    @wp.kernel(**both)
    def between(
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        phi_in: wp.array2d(dtype=real),
        owner_in: wp.array2d(dtype=int),
        phi_out: wp.array2d(dtype=real),
        owner_out: wp.array2d(dtype=int),
    ):
        """The mean of what is known at the corners of cells, of those nearest to each point, and the first's owner."""
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > 2 * n[0]:
            return
        for j in range(row, 2 * n[1] + 1, lanes[0]):
            for k in range(lane, 2 * n[2] + 1, lanes[1]):
                total = real(0.0)
                owner = int(-1)
                for a in range(2):
                    for b in range(2):
                        for c in range(2):
                            at = fine(
                                n, i + (i % 2) * (2 * a - 1), j + (j % 2) * (2 * b - 1), k + (k % 2) * (2 * c - 1)
                            )
                            total = total + real(0.125) * phi_in[w, at]
                            owner = wp.max(owner, owner_in[w, at])
                phi_out[w, fine(n, i, j, k)] = total
                owner_out[w, fine(n, i, j, k)] = owner

    return SimpleNamespace(
        between=between, measure=measure, unmeasure=unmeasure, fine=fine, place=place, at_fine=at_fine, step=step,
        Box=Box, vec3=vec3, Colliders=Colliders, ColliderAdjoints=ColliderAdjoints,
    )  # fmt: skip
