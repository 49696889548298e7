# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of the drag between gas on a staggered grid and particles: what one loses the other gains.

A particle stands for grains, or drops, of one diameter. Each exchanges with the faces around it, by trilinear shares,
and each face with all particles near it at once, implicitly: velocities after are means of those before, however strong
the drag. Particles' arrays are flat, world by world; those of the gas have the world first.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_walls import PERIODIC, of_axis, wall_functions

__all__ = ["drag_kernels"]


@built_once
def drag_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `yields`: of each particle the share of its velocity relative to gas at rest that a step takes;
        * `gather[axis]`: what particles bring to faces across an axis: mass that yields, and its momentum;
        * `meet[axis]`: the velocity of gas there after the exchange;
        * `pull`: the velocity of particles after it;
        * `keep` and `keep_vectors`, copies, and `wipe`.

    References:
        Schiller, Naumann 1933 (drag of spheres up to a Reynolds number of 1000).
    """
    base = wall_functions(real)
    vec3, Kinds = base.vec3, base.Kinds
    PERIODIC_ = wp.constant(PERIODIC)
    options = {"module": f"simenv_drag_{real.__name__}", "enable_backward": True}
    plain = {"module": f"simenv_drag_copies_{real.__name__}", "enable_backward": False}
    Flat, Faces = wp.array(dtype=real), wp.array4d(dtype=real)

    @wp.func
    def inside(g: vec3, cells: wp.vec3i, kinds: Kinds) -> bool:
        for axis in range(3):
            if kinds[2 * axis] != PERIODIC_ and (g[axis] < real(0.0) or g[axis] > real(cells[axis])):
                return False
        return True

    @wp.func
    def start_of(at: real, n: int, kind: int) -> int:
        # of the two numbers between which a place lies; on a periodic axis the second may be the first one
        low = int(wp.floor(at))
        if kind == PERIODIC_:
            return low
        return wp.max(wp.min(low, n - 2), 0)

    @wp.func
    def share_of(at: real, low: int, n: int, kind: int, upper: int) -> real:
        share = at - real(low)
        if kind != PERIODIC_:
            share = wp.min(wp.max(share, real(0.0)), real(1.0))
            if n == 1:
                share = real(0.0)
        if upper == 1:
            return share
        return real(1.0) - share

    @wp.func
    def around(at: int, n: int, kind: int) -> int:
        if kind == PERIODIC_:
            return ((at % n) + n) % n
        return wp.min(at, n - 1)

    def reading(axis: int):
        OX, OY, OZ = (0.0 if axis == each else 0.5 for each in range(3))

        @wp.func
        def read(w: int, g: vec3, kinds: Kinds, q: Faces) -> real:
            x = g[0] - real(wp.static(OX))
            y = g[1] - real(wp.static(OY))
            z = g[2] - real(wp.static(OZ))
            i = start_of(x, q.shape[1], kinds[0])
            j = start_of(y, q.shape[2], kinds[2])
            k = start_of(z, q.shape[3], kinds[4])
            total = real(0.0)
            for corner in range(8):
                a = corner & 1
                b = (corner >> 1) & 1
                c = (corner >> 2) & 1
                flat = share_of(x, i, q.shape[1], kinds[0], a) * share_of(y, j, q.shape[2], kinds[2], b)
                total = total + flat * share_of(z, k, q.shape[3], kinds[4], c) * q[
                    w, around(i + a, q.shape[1], kinds[0]), around(j + b, q.shape[2], kinds[2]),
                    around(k + c, q.shape[3], kinds[4]),
                ]  # fmt: skip
            return total

        @wp.kernel(**options)
        @of_axis(axis)
        def gather(
            kinds: Kinds,
            cells: wp.vec3i,
            per_dx: real,
            origin: vec3,
            particles: int,
            x_in: wp.array(dtype=vec3),
            v_in: wp.array(dtype=vec3),
            weight_in: Flat,
            mass_inout: Faces,
            momentum_inout: Faces,
        ):
            w, each = wp.tid()
            p = w * particles + each
            weight = weight_in[p]
            if weight > real(0.0):
                nx = mass_inout.shape[1]
                ny = mass_inout.shape[2]
                nz = mass_inout.shape[3]
                g = (x_in[p] - origin) * per_dx
                x = g[0] - real(wp.static(OX))
                y = g[1] - real(wp.static(OY))
                z = g[2] - real(wp.static(OZ))
                i = start_of(x, nx, kinds[0])
                j = start_of(y, ny, kinds[2])
                k = start_of(z, nz, kinds[4])
                for corner in range(8):
                    a = corner & 1
                    b = (corner >> 1) & 1
                    c = (corner >> 2) & 1
                    flat = share_of(x, i, nx, kinds[0], a) * share_of(y, j, ny, kinds[2], b)
                    share = flat * share_of(z, k, nz, kinds[4], c) * weight
                    ii = around(i + a, nx, kinds[0])
                    jj = around(j + b, ny, kinds[2])
                    kk = around(k + c, nz, kinds[4])
                    wp.atomic_add(mass_inout, w, ii, jj, kk, share)
                    wp.atomic_add(momentum_inout, w, ii, jj, kk, share * v_in[p][wp.static(axis)])

        side_of_face = base.side_of_face[axis]

        @wp.kernel(**options)
        @of_axis(axis)
        def meet(
            kinds: Kinds,
            lanes: wp.vec2i,
            volume: real,
            density_in: wp.array(dtype=real),
            mass_in: Faces,
            momentum_in: Faces,
            q_in: Faces,
            q_out: Faces,
        ):
            # a face in a side keeps its velocity: what it would gain is the side's
            w, i, row, lane = wp.tid()
            own = density_in[w] * volume
            for j in range(row, q_out.shape[2], lanes[0]):
                for k in range(lane, q_out.shape[3], lanes[1]):
                    value = q_in[w, i, j, k]
                    if side_of_face(i, j, k, q_out.shape[wp.static(axis + 1)], kinds) < 0:
                        value = (own * value + momentum_in[w, i, j, k]) / (own + mass_in[w, i, j, k])
                    q_out[w, i, j, k] = value

        return read, gather, meet

    made = [reading(axis) for axis in range(3)]
    read_x, read_y, read_z = (each[0] for each in made)

    @wp.func
    def gas_at(w: int, g: vec3, kinds: Kinds, u: Faces, v: Faces, t: Faces) -> vec3:
        return vec3(read_x(w, g, kinds, u), read_y(w, g, kinds, v), read_z(w, g, kinds, t))

    @wp.kernel(**options)
    def yields(
        kinds: Kinds,
        cells: wp.vec3i,
        per_dx: real,
        origin: vec3,
        dt: real,
        particles: int,
        material: wp.array(dtype=int),
        active: wp.array(dtype=int),
        diameter_in: wp.array2d(dtype=real),
        grain_in: wp.array2d(dtype=real),
        density_in: wp.array(dtype=real),
        viscosity_in: wp.array(dtype=real),
        volume_in: Flat,
        x_in: wp.array(dtype=vec3),
        v_in: wp.array(dtype=vec3),
        gas_x_in: Faces,
        gas_y_in: Faces,
        gas_z_in: Faces,
        share_out: Flat,
        weight_out: Flat,
    ):
        w, each = wp.tid()
        p = w * particles + each
        m = material[each]
        d = diameter_in[w, m]
        g = (x_in[p] - origin) * per_dx
        share = real(0.0)
        weight = real(0.0)
        nu = viscosity_in[w]
        if d > real(0.0) and nu > real(0.0) and active[p] != 0 and inside(g, cells, kinds):
            grain = grain_in[w, m]
            slip = gas_at(w, g, kinds, gas_x_in, gas_y_in, gas_z_in) - v_in[p]
            # rounded where nothing slips, where the power has no derivative: at a Reynolds number of 1e-6
            still = real(1.0e-6) * nu / d
            reynolds = wp.sqrt(wp.dot(slip, slip) + still * still) * d / nu
            creeping = real(18.0) * nu * density_in[w] / (grain * d * d)
            rate = creeping * (real(1.0) + real(0.15) * wp.pow(reynolds, real(0.687)))
            share = dt * rate / (real(1.0) + dt * rate)
            weight = grain * volume_in[p] * share
        share_out[p] = share
        weight_out[p] = weight

    @wp.kernel(**options)
    def pull(
        kinds: Kinds,
        per_dx: real,
        origin: vec3,
        particles: int,
        share_in: Flat,
        x_in: wp.array(dtype=vec3),
        v_in: wp.array(dtype=vec3),
        gas_x_in: Faces,
        gas_y_in: Faces,
        gas_z_in: Faces,
        v_out: wp.array(dtype=vec3),
    ):
        w, each = wp.tid()
        p = w * particles + each
        share = share_in[p]
        own = v_in[p]
        if share > real(0.0):
            g = (x_in[p] - origin) * per_dx
            own = own + share * (gas_at(w, g, kinds, gas_x_in, gas_y_in, gas_z_in) - own)
        v_out[p] = own

    def copying(kind, name: str):
        def copy(a_in: wp.array(dtype=kind), b_out: wp.array(dtype=kind)):
            e = wp.tid()
            b_out[e] = a_in[e]

        copy.__qualname__ += name
        return wp.kernel(copy, **plain)

    @wp.kernel(**plain)
    def wipe(b_out: wp.array(dtype=real)):
        b_out[wp.tid()] = real(0.0)

    return SimpleNamespace(
        yields=yields, gather=[each[1] for each in made], meet=[each[2] for each in made], pull=pull,
        keep=copying(real, "_numbers"), keep_vectors=copying(vec3, "_vectors"), wipe=wipe, vec3=vec3, Kinds=Kinds,
    )  # fmt: skip
