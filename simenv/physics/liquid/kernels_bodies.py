# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of bodies that a liquid moves: what their motion displaces in a window, and how the pressure answers.

A column is what a unit velocity, or a unit angular velocity about the origin of a frame, makes flow into cells; a sway
is the pressure that solves its equation. Arrays of six have the columns of a frame one after another (N, 6, cells).
Sums lack the density, and factors of the cell's volume and the tick. Hand-written reverses use that sways solve the
equation: what they would need further solves for is made of sways.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.liquid.kernels_measure import measure_kernels
from simenv.physics.liquid.kernels_press import press_kernels
from simenv.physics.liquid.places import cell, corner

__all__ = ["body_kernels"]


@built_once
def body_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`. `mounts` (Cl,) are the frames of colliders, `row` is a
    frame, `rows` (F,) are those that answer, `number` is the place of one in these.

    Returns:
        A namespace with the types `vec6` and `mat66`, and

        * `displace`: the six columns of a frame; `stir`: what its motion displaces;
        * `ask`: of the pressure, and of sways, what they push along columns;
        * `lend`: that as wrenches and responses of frames, with what these are owed;
        * `follow`, `unfollow`: the pressure once frames have changed their motion, and the adjoint of that change;
        * `blame`: adjoints of columns and of what flows, and what multiplies pressures in those of open shares;
        * `go_on`: the motion of colliders then; `trail`: the velocities of what closes faces;
        * `owe`: what frames have yet to get.
    """
    base = measure_kernels(real)
    Box, vec3, fine, place, face_speeds = base.Box, base.vec3, base.fine, base.place, base.face_speeds
    to_wall = press_kernels(real).to_wall
    vec6, mat66 = wp.types.vector(length=6, dtype=real), wp.types.matrix(shape=(6, 6), dtype=real)
    both = {"module": f"simenv_liquid_bodies_{real.__name__}", "enable_backward": True}
    once = {"module": f"simenv_liquid_answers_{real.__name__}", "enable_backward": False}

    @wp.func
    def six(w: int, c: int, of: wp.array3d(dtype=real)) -> vec6:
        return vec6(of[w, 0, c], of[w, 1, c], of[w, 2, c], of[w, 3, c], of[w, 4, c], of[w, 5, c])

    @wp.func
    def joined(a: vec3, b: vec3) -> vec6:
        return vec6(a[0], a[1], a[2], b[0], b[1], b[2])

    @wp.func
    def closed(
        w: int, i: int, j: int, k: int, axis: int, row: int, n: wp.vec3i, mounts: wp.array(dtype=int),
        owner: wp.array2d(dtype=int), open: wp.array2d(dtype=vec3),
    ) -> real:  # fmt: skip
        # the share of a face that what is on a frame closes
        m = owner[w, fine(n, 2 * i, 2 * j, 2 * k)]
        if m < 0:
            return real(0.0)
        if mounts[m] != row:
            return real(0.0)
        return real(1.0) - open[w, corner(n, i, j, k)][axis]

    @wp.kernel(**both)
    def displace(
        whole: Box,
        row: int,
        mounts: wp.array(dtype=int),
        thick: wp.array(dtype=real),
        window_in: wp.array2d(dtype=wp.vec3i),
        phi_in: wp.array2d(dtype=real),
        owner_in: wp.array2d(dtype=int),
        open_in: wp.array2d(dtype=vec3),
        position_in: wp.array2d(dtype=vec3),
        column_out: wp.array3d(dtype=real),
    ):
        """By the area of the surface in each cell, which is that by which closed shares differ, at its place: so a ball
        that turns displaces nothing.
        """
        w, i = wp.tid()
        n = window_in[w, 1]
        if i >= n[0]:
            return
        for j in range(n[1]):
            for k in range(n[2]):
                area = vec3(
                    closed(w, i, j, k, 0, row, n, mounts, owner_in, open_in)
                    - closed(w, i + 1, j, k, 0, row, n, mounts, owner_in, open_in),
                    closed(w, i, j, k, 1, row, n, mounts, owner_in, open_in)
                    - closed(w, i, j + 1, k, 1, row, n, mounts, owner_in, open_in),
                    closed(w, i, j, k, 2, row, n, mounts, owner_in, open_in)
                    - closed(w, i, j, k + 1, 2, row, n, mounts, owner_in, open_in),
                )
                c = cell(n, i, j, k)
                turn = vec3()
                if wp.dot(area, area) > real(0.0):
                    at = wp.vec3i(2 * i + 1, 2 * j + 1, 2 * k + 1)
                    m = wp.max(owner_in[w, fine(n, at[0], at[1], at[2])], 0)
                    way = whole.dx * to_wall(w, n, at, whole.dx, thick[m], phi_in)
                    x = place(whole, window_in[w, 0], at[0], at[1], at[2]) + way
                    turn = wp.cross(x - position_in[w, row], area)
                for d in range(3):
                    column_out[w, d, c] = area[d]
                    column_out[w, d + 3, c] = turn[d]

    @wp.kernel(**both)
    def stir(
        row: int,
        window_in: wp.array2d(dtype=wp.vec3i),
        column_in: wp.array3d(dtype=real),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        b_inout: wp.array2d(dtype=real),
    ):
        """Add to what flows into cells what a frame's motion displaces."""
        w, i = wp.tid()
        n = window_in[w, 1]
        if i < n[0]:
            moved = joined(velocity_in[w, row], omega_in[w, row])
            size = n[1] * n[2]
            for c in range(i * size, i * size + size):
                wp.atomic_add(b_inout, w, c, wp.dot(moved, six(w, c, column_in)))

    @wp.kernel(**once)
    def ask(
        number: int,
        window_in: wp.array2d(dtype=wp.vec3i),
        column_in: wp.array3d(dtype=real),
        sway_in: wp.array3d(dtype=real),
        p_in: wp.array2d(dtype=real),
        pushed_out: wp.array2d(dtype=vec6),
        answer_out: wp.array2d(dtype=mat66),
    ):
        w = wp.tid()
        n = window_in[w, 1]
        pushed = vec6()
        answer = mat66()
        for c in range(n[0] * n[1] * n[2]):
            column = six(w, c, column_in)
            if wp.dot(column, column) > real(0.0):
                pushed = pushed + p_in[w, c] * column
                answer = answer + wp.outer(column, six(w, c, sway_in))
        pushed_out[w, number] = pushed
        answer_out[w, number] = answer

    @wp.func
    def of_pushing(pushed: vec6) -> vec3:
        return vec3(pushed[0], pushed[1], pushed[2])

    @wp.func
    def of_turning(pushed: vec6) -> vec3:
        return vec3(pushed[3], pushed[4], pushed[5])

    @wp.kernel(**both)
    def lend(
        rows: wp.array(dtype=int),
        volume: real,
        dt: real,
        density_in: wp.array(dtype=real),
        pushed_in: wp.array2d(dtype=vec6),
        answer_in: wp.array2d(dtype=mat66),
        owed_in: wp.array2d(dtype=vec6),
        force_inout: wp.array2d(dtype=vec3),
        torque_inout: wp.array2d(dtype=vec3),
        response_inout: wp.array2d(dtype=mat66),
    ):
        w, i = wp.tid()
        b = rows[i]
        mass = density_in[w] * volume
        push = (owed_in[w, b] - mass * pushed_in[w, i]) / dt
        wp.atomic_add(force_inout, w, b, of_pushing(push))
        wp.atomic_add(torque_inout, w, b, of_turning(push))
        wp.atomic_add(response_inout, w, b, mass * answer_in[w, i])

    @wp.kernel(**once)
    def follow(
        row: int,
        window_in: wp.array2d(dtype=wp.vec3i),
        sway_in: wp.array3d(dtype=real),
        change_in: wp.array2d(dtype=vec3),
        spun_in: wp.array2d(dtype=vec3),
        before_in: wp.array2d(dtype=real),
        p_out: wp.array2d(dtype=real),
    ):
        w, i = wp.tid()
        n = window_in[w, 1]
        if i < n[0]:
            moved = joined(change_in[w, row], spun_in[w, row])
            size = n[1] * n[2]
            for c in range(i * size, i * size + size):
                p_out[w, c] = before_in[w, c] + wp.dot(moved, six(w, c, sway_in))

    @wp.kernel(**once)
    def unfollow(
        row: int,
        window_in: wp.array2d(dtype=wp.vec3i),
        sway_in: wp.array3d(dtype=real),
        p_bar_in: wp.array2d(dtype=real),
        change_bar_inout: wp.array2d(dtype=vec3),
        spun_bar_inout: wp.array2d(dtype=vec3),
    ):
        w = wp.tid()
        n = window_in[w, 1]
        total = vec6()
        for c in range(n[0] * n[1] * n[2]):
            total = total + p_bar_in[w, c] * six(w, c, sway_in)
        change_bar_inout[w, row] = change_bar_inout[w, row] + of_pushing(total)
        spun_bar_inout[w, row] = spun_bar_inout[w, row] + of_turning(total)

    @wp.kernel(**once)
    def blame(
        number: int,
        row: int,
        window_in: wp.array2d(dtype=wp.vec3i),
        sway_in: wp.array3d(dtype=real),
        p_in: wp.array2d(dtype=real),
        adjoint_in: wp.array2d(dtype=real),
        change_in: wp.array2d(dtype=vec3),
        spun_in: wp.array2d(dtype=vec3),
        pushed_bar_in: wp.array2d(dtype=vec6),
        answer_bar_in: wp.array2d(dtype=mat66),
        column_bar_out: wp.array3d(dtype=real),
        b_bar_inout: wp.array2d(dtype=real),
        of_p_out: wp.array2d(dtype=real),
        of_sway_out: wp.array3d(dtype=real),
    ):
        """`p` is the pressure before frames changed their motion, `adjoint` the solution for the adjoint of that after
        it. What multiplies `p` in the adjoints of open shares is `of_p`, and what multiplies sways, `of_sway`.
        """
        w, i = wp.tid()
        n = window_in[w, 1]
        if i < n[0]:
            moved = joined(change_in[w, row], spun_in[w, row])
            pushed = pushed_bar_in[w, number]
            answer = answer_bar_in[w, number]
            size = n[1] * n[2]
            for c in range(i * size, i * size + size):
                sway = six(w, c, sway_in)
                under = wp.transpose(answer) * sway
                column = p_in[w, c] * pushed + adjoint_in[w, c] * moved + answer * sway + under
                least = wp.dot(pushed, sway)
                of_p_out[w, c] = least
                b_bar_inout[w, c] = b_bar_inout[w, c] + least
                for d in range(6):
                    column_bar_out[w, d, c] = column[d]
                    of_sway_out[w, d, c] = under[d]

    @wp.kernel(**both)
    def go_on(
        mounts: wp.array(dtype=int),
        ticks: int,
        tick: int,
        position_in: wp.array(dtype=vec3),
        told_velocity_in: wp.array(dtype=vec3),
        told_omega_in: wp.array(dtype=vec3),
        frame_in: wp.array2d(dtype=vec3),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        change_in: wp.array2d(dtype=vec3),
        spun_in: wp.array2d(dtype=vec3),
        velocity_out: wp.array(dtype=vec3),
        omega_out: wp.array(dtype=vec3),
    ):
        """What moves as told does so; the rest moves as its frame does after the tick."""
        w, c = wp.tid()
        pose = (w * ticks + tick) * mounts.shape[0] + c
        b = mounts[c]
        if b >= 0:
            spin = omega_in[w, b] + spun_in[w, b]
            arm = position_in[pose] - frame_in[w, b]
            velocity_out[pose] = velocity_in[w, b] + change_in[w, b] + wp.cross(spin, arm)
            omega_out[pose] = spin
        else:
            velocity_out[pose] = told_velocity_in[pose]
            omega_out[pose] = told_omega_in[pose]

    @wp.kernel(**both)
    def trail(
        whole: Box,
        count: int,
        ticks: int,
        tick: int,
        window_in: wp.array2d(dtype=wp.vec3i),
        owner_in: wp.array2d(dtype=int),
        position_in: wp.array(dtype=vec3),
        velocity_in: wp.array(dtype=vec3),
        omega_in: wp.array(dtype=vec3),
        solid_out: wp.array2d(dtype=vec3),
    ):
        w, i = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        for j in range(n[1] + 1):
            for k in range(n[2] + 1):
                at = corner(n, i, j, k)
                m = owner_in[w, fine(n, 2 * i, 2 * j, 2 * k)]
                solid = vec3()
                if m >= 0:
                    pose = (w * ticks + tick) * count + m
                    first = window_in[w, 0]
                    solid = face_speeds(whole, first, i, j, k, position_in[pose], velocity_in[pose], omega_in[pose])
                solid_out[w, at] = solid

    @wp.kernel(**both)
    def owe(
        rows: wp.array(dtype=int),
        mounts: wp.array(dtype=int),
        ticks: int,
        tick: int,
        volume: real,
        dt: real,
        density_in: wp.array(dtype=real),
        pushed_in: wp.array2d(dtype=vec6),
        answer_in: wp.array2d(dtype=mat66),
        change_in: wp.array2d(dtype=vec3),
        spun_in: wp.array2d(dtype=vec3),
        before_in: wp.array2d(dtype=vec3),
        after_in: wp.array2d(dtype=vec3),
        position_in: wp.array(dtype=vec3),
        felt_in: wp.array2d(dtype=vec3),
        turned_in: wp.array2d(dtype=vec3),
        owed_out: wp.array2d(dtype=vec6),
        force_inout: wp.array2d(dtype=vec3),
        torque_inout: wp.array2d(dtype=vec3),
    ):
        """What colliders felt in the tick, less what frames have got of it, about where these are now; and the sums."""
        w = wp.tid()
        count = mounts.shape[0]
        for b in range(owed_out.shape[1]):
            owed_out[w, b] = vec6()
        for n in range(rows.shape[0]):
            b = rows[n]
            mass = density_in[w] * volume
            both_ways = real(0.5) * (answer_in[w, n] + wp.transpose(answer_in[w, n]))
            lost = mass * (pushed_in[w, n] + both_ways * joined(change_in[w, b], spun_in[w, b]))
            push = of_pushing(lost)
            turn = of_turning(lost) + wp.cross(before_in[w, b] - after_in[w, b], push)
            wp.atomic_add(owed_out, w, b, joined(push, turn))
        for c in range(count):
            f = felt_in[w, c]
            wp.atomic_add(force_inout, w, c, f)
            wp.atomic_add(torque_inout, w, c, turned_in[w, c])
            b = mounts[c]
            if b >= 0:
                arm = position_in[(w * ticks + tick) * count + c] - after_in[w, b]
                t = turned_in[w, c] + wp.cross(arm, f)
                wp.atomic_add(owed_out, w, b, dt * joined(f, t))

    return SimpleNamespace(
        displace=displace, stir=stir, ask=ask, lend=lend, follow=follow, unfollow=unfollow, blame=blame, go_on=go_on,
        trail=trail, owe=owe, vec6=vec6, mat66=mat66,
    )  # fmt: skip
