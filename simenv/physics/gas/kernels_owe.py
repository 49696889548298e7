# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of what bodies take along of the gas around them: a response to how they move, and what it owes."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["owe_kernels"]


@built_once
def owe_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`. `rows` (F,) are frames, `carried` (F,) their responses
    in their own axes, over the density.

    Returns:
        A namespace with the type `vec6` and

        * `lend`, which adds the responses, and what was owed, to what pushes frames in a tick;
        * `owe`, which says what the responses have taken off that in the tick, force before torque, times dt, and adds
          what comes late, of obstacles that `carriers` (M,) carry.
    """
    vec3, quat = wp.types.vector(length=3, dtype=real), wp.types.quaternion(dtype=real)
    vec6, mat66 = wp.types.vector(length=6, dtype=real), wp.types.matrix(shape=(6, 6), dtype=real)
    options = {"module": f"simenv_gas_owe_{real.__name__}", "enable_backward": True}

    @wp.func
    def turned(density: real, q: quat, m: mat66) -> mat66:
        r = wp.quat_to_matrix(q)
        o = real(0.0)
        turn = mat66(
            r[0, 0], r[0, 1], r[0, 2], o, o, o,
            r[1, 0], r[1, 1], r[1, 2], o, o, o,
            r[2, 0], r[2, 1], r[2, 2], o, o, o,
            o, o, o, r[0, 0], r[0, 1], r[0, 2],
            o, o, o, r[1, 0], r[1, 1], r[1, 2],
            o, o, o, r[2, 0], r[2, 1], r[2, 2],
        )  # fmt: skip
        return density * (turn * m * wp.transpose(turn))

    @wp.kernel(**options)
    def lend(
        rows: wp.array(dtype=int),
        carried: wp.array(dtype=mat66),
        rate: real,
        density_in: wp.array(dtype=real),
        quaternion_in: wp.array2d(dtype=quat),
        owed_in: wp.array2d(dtype=vec6),
        force_inout: wp.array2d(dtype=vec3),
        torque_inout: wp.array2d(dtype=vec3),
        response_inout: wp.array2d(dtype=mat66),
    ):
        w, i = wp.tid()
        b = rows[i]
        p = rate * owed_in[w, i]
        wp.atomic_add(force_inout, w, b, vec3(p[0], p[1], p[2]))
        wp.atomic_add(torque_inout, w, b, vec3(p[3], p[4], p[5]))
        wp.atomic_add(response_inout, w, b, turned(density_in[w], quaternion_in[w, b], carried[i]))

    @wp.kernel(**options)
    def owe(
        rows: wp.array(dtype=int),
        carried: wp.array(dtype=mat66),
        dt: real,
        carriers: wp.array(dtype=int),
        density_in: wp.array(dtype=real),
        quaternion_in: wp.array2d(dtype=quat),
        change_in: wp.array2d(dtype=vec3),
        spun_in: wp.array2d(dtype=vec3),
        force_in: wp.array2d(dtype=vec3),
        torque_in: wp.array2d(dtype=vec3),
        owed_out: wp.array2d(dtype=vec6),
    ):
        w, i = wp.tid()
        b = rows[i]
        v = change_in[w, b]
        o = spun_in[w, b]
        moved = vec6(v[0], v[1], v[2], o[0], o[1], o[2])
        total = turned(density_in[w], quaternion_in[w, b], carried[i]) * moved
        for m in range(carriers.shape[0]):
            if carriers[m] == b:
                f = force_in[w, m]
                t = torque_in[w, m]
                total = total + dt * vec6(f[0], f[1], f[2], t[0], t[1], t[2])
        owed_out[w, i] = total

    return SimpleNamespace(lend=lend, owe=owe, vec6=vec6, mat66=mat66)
