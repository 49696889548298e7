# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of the faces of cells that obstacles cut: open shares, velocities of solids, and what pushes these.

A face's open share is that of the area where the distance, taken as linear on four triangles around the face's middle,
is positive: continuous, with a continuous slope in the distances of the corners.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.flow.kernels_place import place_kernels
from simenv.physics.gas.kernels_walls import of_axis

__all__ = ["cut_kernels"]

LEAST = (0.01, 0.04)  # open shares below the first are closed, those above the second are as they are
SHUT = 0.005  # less than this in between is closed as well: what must pass it would have no bounds


@built_once
def cut_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `cut[axis]`: of faces across an axis the open share, the velocity along the axis of the nearest obstacle, the
          distances of the middle and of the open part, its mean, and the velocity of that obstacle's centre of mass;
        * `gather[axis]`: forces and torques on obstacles' frames of what faces say that solids gain there;
        * `add_up`: forces and torques of obstacles added to those of their frames; `share`: of a square, what is open;
        * what `place_kernels` has.

    References:
        Ng, Min, Gibou 2009, An efficient fluid-solid coupling algorithm for single-phase flows, JCP 228 (shares of
        areas from distances at corners).
    """
    base = place_kernels(real)
    vec3, near = base.vec3, base.near
    options = {"module": f"simenv_flow_cut_{real.__name__}", "enable_backward": True}
    closed, whole, least = (wp.constant(real(each)) for each in (*LEAST, SHUT))

    vec2 = wp.types.vector(length=2, dtype=real)

    @wp.func
    def corner(own: real, one: real, other: real) -> vec2:
        # of a triangle the part near its only corner of a sign, whose value is `own`: its share, and the sum of values
        area = own * own / ((own - one) * (own - other))
        return vec2(area, area * own / real(3.0))

    @wp.func
    def triangle(a: real, b: real, c: real) -> vec2:
        # of a triangle the part where what is linear between its corners is positive
        plus = int(a > real(0.0)) + int(b > real(0.0)) + int(c > real(0.0))
        if plus == 0:
            return vec2(real(0.0), real(0.0))
        whole = vec2(real(1.0), (a + b + c) / real(3.0))
        if plus == 3:
            return whole
        if plus == 1:
            if a > real(0.0):
                return corner(a, b, c)
            if b > real(0.0):
                return corner(b, c, a)
            return corner(c, a, b)
        if a <= real(0.0):
            return whole - corner(a, b, c)
        if b <= real(0.0):
            return whole - corner(b, c, a)
        return whole - corner(c, a, b)

    @wp.func
    def share(a: real, b: real, c: real, d: real) -> vec2:
        # of a square of these corners, one after the other around it: open share, and mean distance of the open part
        middle = real(0.25) * (a + b + c + d)
        if a > real(0.0) and b > real(0.0) and c > real(0.0) and d > real(0.0):
            return vec2(real(1.0), middle)
        sums = triangle(a, b, middle) + triangle(b, c, middle) + triangle(c, d, middle) + triangle(d, a, middle)
        open = real(0.25) * sums[0]
        t = (open - closed) / (whole - closed)
        if t <= real(0.0):
            return vec2(real(0.0), real(0.0))
        mean = sums[1] / sums[0]
        if t >= real(1.0):
            return vec2(open, mean)
        value = open * t * t * (real(3.0) - real(2.0) * t)
        if value < least:
            return vec2(real(0.0), real(0.0))
        return vec2(value, mean)

    def cutting(axis: int):
        others = [each for each in range(3) if each != axis]
        AX, AY, AZ = (int(others[0] == each) for each in range(3))
        BX, BY, BZ = (int(others[1] == each) for each in range(3))
        AT = [int(axis == each) for each in range(3)]
        HX, HY, HZ = (0.0 if axis == each else 0.5 for each in range(3))

        @wp.func
        def innermost(w: int, i: int, j: int, k: int, phi: wp.array4d(dtype=real), owner: wp.array4d(dtype=int)) -> int:
            # the obstacle nearest to the corner that is deepest in one
            least = phi[w, i, j, k]
            found = owner[w, i, j, k]
            one = phi[w, i + wp.static(AX), j + wp.static(AY), k + wp.static(AZ)]
            if one < least:
                least = one
                found = owner[w, i + wp.static(AX), j + wp.static(AY), k + wp.static(AZ)]
            both = phi[w, i + wp.static(AX + BX), j + wp.static(AY + BY), k + wp.static(AZ + BZ)]
            if both < least:
                least = both
                found = owner[w, i + wp.static(AX + BX), j + wp.static(AY + BY), k + wp.static(AZ + BZ)]
            other = phi[w, i + wp.static(BX), j + wp.static(BY), k + wp.static(BZ)]
            if other < least:
                found = owner[w, i + wp.static(BX), j + wp.static(BY), k + wp.static(BZ)]
            return found

        @wp.func
        def middle_of(i: int, j: int, k: int, origin: vec3, dx: real) -> vec3:
            x = real(i) + real(wp.static(HX))
            y = real(j) + real(wp.static(HY))
            z = real(k) + real(wp.static(HZ))
            return origin + dx * vec3(x, y, z)

        @wp.func
        def speed_at(x: vec3, span: vec3, place: vec3, origin: vec3, velocity: vec3, omega: vec3) -> real:
            arm = near(x, place, span) + place - origin
            return velocity[wp.static(axis)] + wp.cross(omega, arm)[wp.static(axis)]

        @wp.kernel(**options)
        @of_axis(axis)
        def cut(
            origin: vec3,
            dx: real,
            span: vec3,
            lanes: wp.vec2i,
            phi_in: wp.array4d(dtype=real),
            owner_in: wp.array4d(dtype=int),
            place_in: wp.array2d(dtype=vec3),
            origin_in: wp.array2d(dtype=vec3),
            velocity_in: wp.array2d(dtype=vec3),
            omega_in: wp.array2d(dtype=vec3),
            open_out: wp.array4d(dtype=real),
            solid_out: wp.array4d(dtype=real),
            distance_out: wp.array4d(dtype=real),
            clear_out: wp.array4d(dtype=real),
            drift_out: wp.array4d(dtype=real),
        ):
            w, i, row, lane = wp.tid()
            for j in range(row, open_out.shape[2], lanes[0]):
                for k in range(lane, open_out.shape[3], lanes[1]):
                    a = phi_in[w, i, j, k]
                    b = phi_in[w, i + wp.static(AX), j + wp.static(AY), k + wp.static(AZ)]
                    c = phi_in[w, i + wp.static(AX + BX), j + wp.static(AY + BY), k + wp.static(AZ + BZ)]
                    d = phi_in[w, i + wp.static(BX), j + wp.static(BY), k + wp.static(BZ)]
                    m = innermost(w, i, j, k, phi_in, owner_in)
                    x = middle_of(i, j, k, origin, dx)
                    found = share(a, b, c, d)
                    open_out[w, i, j, k] = found[0]
                    clear_out[w, i, j, k] = found[1]
                    distance_out[w, i, j, k] = real(0.25) * (a + b + c + d)
                    drift_out[w, i, j, k] = velocity_in[w, m][wp.static(axis)]
                    solid_out[w, i, j, k] = speed_at(
                        x, span, place_in[w, m], origin_in[w, m], velocity_in[w, m], omega_in[w, m]
                    )

        @wp.kernel(**options)
        @of_axis(axis)
        def gather(
            origin: vec3,
            dx: real,
            span: vec3,
            factor: real,
            turns: real,
            lanes: wp.vec2i,
            phi_in: wp.array4d(dtype=real),
            owner_in: wp.array4d(dtype=int),
            distance_in: wp.array4d(dtype=real),
            open_in: wp.array4d(dtype=real),
            place_in: wp.array2d(dtype=vec3),
            origin_in: wp.array2d(dtype=vec3),
            omega_in: wp.array2d(dtype=vec3),
            density_in: wp.array(dtype=real),
            viscosity_in: wp.array(dtype=real),
            gained_in: wp.array4d(dtype=real),
            force_inout: wp.array2d(dtype=vec3),
            torque_inout: wp.array2d(dtype=vec3),
        ):
            """Add what solids gain at faces, `factor` times the density times `gained`, to the forces on obstacles
            and the torques about the origins of their frames. What faces exchange by viscosity is its Laplacian; walls
            that turn also feel the other half of the stress, a torque of -2 mu omega for each volume (`turns` is the
            share of it at a face).
            """
            w, i, row, lane = wp.tid()
            for j in range(row, gained_in.shape[2], lanes[0]):
                for k in range(lane, gained_in.shape[3], lanes[1]):
                    if distance_in[w, i, j, k] < real(3.0) * dx:  # others gain nothing
                        m = innermost(w, i, j, k, phi_in, owner_in)
                        arm = near(middle_of(i, j, k, origin, dx), place_in[w, m], span) + place_in[w, m]
                        size = factor * density_in[w] * gained_in[w, i, j, k]
                        force = vec3(
                            size * real(wp.static(float(axis == 0))), size * real(wp.static(float(axis == 1))),
                            size * real(wp.static(float(axis == 2))),
                        )  # fmt: skip
                        wp.atomic_add(force_inout, w, m, force)
                        part = turns
                        at = wp.static(AT[0]) * i + wp.static(AT[1]) * j + wp.static(AT[2]) * k
                        if span[wp.static(axis)] == real(0.0):
                            if at == 0 or at == gained_in.shape[wp.static(axis + 1)] - 1:
                                part = real(0.5) * turns  # half of the volume about a face in a side is outside
                        rest = part * density_in[w] * viscosity_in[w] * (real(1.0) - open_in[w, i, j, k])
                        wp.atomic_add(
                            torque_inout, w, m, wp.cross(arm - origin_in[w, m], force) - rest * omega_in[w, m]
                        )

        return cut, gather

    pairs = [cutting(axis) for axis in range(3)]

    @wp.kernel(**options)
    def add_up(
        share: real,
        frames: wp.array(dtype=int),
        force_in: wp.array2d(dtype=vec3),
        torque_in: wp.array2d(dtype=vec3),
        force_inout: wp.array2d(dtype=vec3),
        torque_inout: wp.array2d(dtype=vec3),
    ):
        """Add a share of what obstacles feel to what rows of another table do."""
        w = wp.tid()
        for m in range(frames.shape[0]):
            if frames[m] >= 0:
                wp.atomic_add(force_inout, w, frames[m], share * force_in[w, m])
                wp.atomic_add(torque_inout, w, frames[m], share * torque_in[w, m])

    return SimpleNamespace(
        cut=[each[0] for each in pairs], gather=[each[1] for each in pairs], add_up=add_up, share=share, **vars(base)
    )
