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
from simenv.physics.liquid.places import corner
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
        * `within`: whether a place is nearer than that to a box;
        * `fine`, `place`, `at_fine`, `step`: number and place of a point, its distance, and the next one.
    """
    base, contact = window_kernels(real), contact_functions(real)
    Box, Colliders, ColliderAdjoints = base.Box, contact.Colliders, contact.ColliderAdjoints
    dist = distance_functions(real)
    signed_distance, distance_gradient = dist.signed_distance, dist.distance_gradient
    surely_farther = dist.surely_farther
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)
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
    def face_speeds(
        whole: Box, first: wp.vec3i, i: int, j: int, k: int, origin: vec3, velocity: vec3, omega: vec3
    ) -> vec3:  # fmt: skip
        # of a solid, across the faces that have this lower corner, at their middles
        p = 2 * i
        q = 2 * j
        r = 2 * k
        x = velocity[0] + wp.cross(omega, place(whole, first, p, q + 1, r + 1) - origin)[0]
        y = velocity[1] + wp.cross(omega, place(whole, first, p + 1, q, r + 1) - origin)[1]
        z = velocity[2] + wp.cross(omega, place(whole, first, p + 1, q + 1, r) - origin)[2]
        return vec3(x, y, z)

    @wp.func
    def at_fine(w: int, n: wp.vec3i, at: wp.vec3i, phi: wp.array2d(dtype=real)) -> real:
        # beyond the ends of a window lies what is at them
        i = wp.clamp(at[0], 0, 2 * n[0])
        j = wp.clamp(at[1], 0, 2 * n[1])
        k = wp.clamp(at[2], 0, 2 * n[2])
        return phi[w, fine(n, i, j, k)]

    @wp.func
    def within(x: vec3, lower: vec3, upper: vec3, reach: real) -> bool:
        low = x[0] > lower[0] - reach and x[1] > lower[1] - reach and x[2] > lower[2] - reach
        return low and x[0] < upper[0] + reach and x[1] < upper[1] + reach and x[2] < upper[2] + reach

    @wp.func
    def spot(n: wp.vec3i, stride: int, i: int, j: int, k: int) -> int:
        # where the distance of a point is kept: corners of cells lie by themselves, where they are all there is
        if stride == 2:
            return corner(n, i // 2, j // 2, k // 2)
        return fine(n, i, j, k)

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
        first = window_in[w, 0]
        i = a * stride
        if i > 2 * n[0]:
            return
        for j in range(row * stride, 2 * n[1] + 1, lanes[0] * stride):
            for k in range(lane * stride, 2 * n[2] + 1, lanes[1] * stride):
                phi_out[w, spot(n, stride, i, j, k)] = far * whole.dx
                owner_out[w, spot(n, stride, i, j, k)] = -1
        for c in range(colliders.count):
            e = w * colliders.count + c
            pose = (w * colliders.substeps + tick) * colliders.count + c
            scale = colliders.scale[e]
            shape = colliders.shape[e]
            lower = colliders.lower[e]
            upper = colliders.upper[e]
            position = colliders.position[pose]
            turn = colliders.rotation[pose]
            for j in range(row * stride, 2 * n[1] + 1, lanes[0] * stride):
                for k in range(lane * stride, 2 * n[2] + 1, lanes[1] * stride):
                    at = spot(n, stride, i, j, k)
                    local = ((place(whole, first, i, j, k) - position) * turn) / scale
                    reach = (phi_out[w, at] + thick[c]) / scale
                    if within(local, lower, upper, reach):
                        if not surely_farther(shape, colliders.sdf_values, local, reach):
                            phi = scale * signed_distance(shape, colliders.sdf_values, local) - thick[c]
                            if phi < phi_out[w, at]:
                                phi_out[w, at] = phi
                                owner_out[w, at] = c

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
        for c in range(colliders.count):
            e = w * colliders.count + c
            pose = (w * colliders.substeps + tick) * colliders.count + c
            shape = colliders.shape[e]
            position = colliders.position[pose]
            turn = colliders.rotation[pose]
            moved = vec3()
            turned = mat33()
            for j in range(row * stride, 2 * n[1] + 1, lanes[0] * stride):
                for k in range(lane * stride, 2 * n[2] + 1, lanes[1] * stride):
                    at = spot(n, stride, i, j, k)
                    bar = phi_bar_in[w, at]
                    if owner_in[w, at] == c and bar != real(0.0):
                        d = place(whole, window_in[w, 0], i, j, k) - position
                        slope = distance_gradient(shape, colliders.sdf_values, (d * turn) / colliders.scale[e])
                        moved = moved - bar * (turn * slope)
                        turned = turned + bar * wp.outer(d, slope)
            wp.atomic_add(bars_inout.position, pose, moved)
            wp.atomic_add(bars_inout.rotation, pose, turned)

    @wp.kernel(**both)
    def between(
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        phi_in: wp.array2d(dtype=real),
        owner_in: wp.array2d(dtype=int),
        phi_out: wp.array2d(dtype=real),
        owner_out: wp.array2d(dtype=int),
    ):
        """Of corners of cells and points halfway between those, the mean of the corners nearest to each, and the last
        of their owners.
        """
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        u = wp.min(i + 1, n[0])
        half = real(0.5)
        for j in range(row, n[1] + 1, lanes[0]):
            v = wp.min(j + 1, n[1])
            for k in range(lane, n[2] + 1, lanes[1]):
                t = wp.min(k + 1, n[2])
                a = corner(n, i, j, k)
                b = corner(n, i, j, t)
                c = corner(n, i, v, k)
                d = corner(n, i, v, t)
                e = corner(n, u, j, k)
                f = corner(n, u, j, t)
                g = corner(n, u, v, k)
                h = corner(n, u, v, t)
                # along z, then y, then x; beyond the ends of a window is what is at them
                p00 = phi_in[w, a]
                p01 = half * (p00 + phi_in[w, b])
                p10 = half * (p00 + phi_in[w, c])
                p11 = half * (p01 + half * (phi_in[w, c] + phi_in[w, d]))
                q00 = half * (p00 + phi_in[w, e])
                q01 = half * (p01 + half * (phi_in[w, e] + phi_in[w, f]))
                q10 = half * (p10 + half * (phi_in[w, e] + phi_in[w, g]))
                q11 = half * (p11 + half * half * (phi_in[w, e] + phi_in[w, f] + phi_in[w, g] + phi_in[w, h]))
                o00 = owner_in[w, a]
                o01 = wp.max(o00, owner_in[w, b])
                o10 = wp.max(o00, owner_in[w, c])
                o11 = wp.max(wp.max(o01, o10), owner_in[w, d])
                r00 = owner_in[w, e]
                r01 = wp.max(r00, owner_in[w, f])
                r10 = wp.max(r00, owner_in[w, g])
                r11 = wp.max(wp.max(r01, r10), owner_in[w, h])
                at = fine(n, 2 * i, 2 * j, 2 * k)
                phi_out[w, at] = p00
                owner_out[w, at] = o00
                if k < n[2]:
                    phi_out[w, at + 1] = p01
                    owner_out[w, at + 1] = o01
                if j < n[1]:
                    at_y = fine(n, 2 * i, 2 * j + 1, 2 * k)
                    phi_out[w, at_y] = p10
                    owner_out[w, at_y] = o10
                    if k < n[2]:
                        phi_out[w, at_y + 1] = p11
                        owner_out[w, at_y + 1] = o11
                if i < n[0]:
                    at_x = fine(n, 2 * i + 1, 2 * j, 2 * k)
                    phi_out[w, at_x] = q00
                    owner_out[w, at_x] = wp.max(o00, r00)
                    if k < n[2]:
                        phi_out[w, at_x + 1] = q01
                        owner_out[w, at_x + 1] = wp.max(o01, r01)
                    if j < n[1]:
                        at_xy = fine(n, 2 * i + 1, 2 * j + 1, 2 * k)
                        phi_out[w, at_xy] = q10
                        owner_out[w, at_xy] = wp.max(o10, r10)
                        if k < n[2]:
                            phi_out[w, at_xy + 1] = q11
                            owner_out[w, at_xy + 1] = wp.max(o11, r11)

    return SimpleNamespace(
        between=between, measure=measure, unmeasure=unmeasure, within=within, fine=fine,
        place=place, at_fine=at_fine, face_speeds=face_speeds, Box=Box, vec3=vec3, Colliders=Colliders,
        ColliderAdjoints=ColliderAdjoints,
    )  # fmt: skip
