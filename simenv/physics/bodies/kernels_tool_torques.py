# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of the torques of motors that pull links to goals and joints to a posture, with their adjoint by hand.

With J the motion of a link per rate of its motors, F the force that pulls it and C how much less that is per
acceleration (kernels_tools), motors give J^T F and are that much harder to accelerate: J^T C J is added to the
joint-space inertia, and symmetric. Towards the posture they give N (kp N (p - q - dt v) - kd N v) with
N = 1 - J^T (J J^T)^-1 J: joints that the goal leaves free, and none of it reaches the link when all is at rest.

Arrays have the world N first, then motors M, or entries of the trees' blocks of inertia.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_tools import tool_kernels

__all__ = ["tool_torque_kernels"]

LEAST = 1.0e-9  # added to J J^T, which has no inverse where a robot cannot move a link in all directions


@built_once
def tool_torque_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the struct `Nulled` (work space: of all motors of an impedance `null` is N, `inverse` is
        (J J^T)^-1 J with six rows, `slope` and `wide` adjoints of matrices; `gram` is J J^T and its factor; others have
        one number for each motor) and the kernels `torques` and `torques_adjoint`.
    """
    tool = tool_kernels(real)
    Trees, Tools, vec3, mat33 = tool.Trees, tool.Tools, tool.vec3, tool.mat33
    once = {"module": f"simenv_bodies_tool_torques_{real.__name__}", "enable_backward": False}
    least = wp.constant(real(LEAST))

    @wp.struct
    class Nulled:
        null: wp.array2d(dtype=real)
        inverse: wp.array2d(dtype=real)
        slope: wp.array2d(dtype=real)
        wide: wp.array2d(dtype=real)
        gram: wp.array2d(dtype=real)
        missing: wp.array2d(dtype=real)
        moving: wp.array2d(dtype=real)
        pull: wp.array2d(dtype=real)
        back: wp.array2d(dtype=real)

    @wp.func
    def row_of(spin: vec3, speed: vec3, axis: int) -> real:
        out = speed[wp.min(axis, 2)]
        if axis >= 3:
            out = spin[axis - 3]
        return out

    @wp.func
    def project(w: int, first: int, count: int, spin: wp.array2d(dtype=vec3), speed: wp.array2d(dtype=vec3), s: Nulled):
        # N, and (J J^T)^-1 J by Cholesky's factor
        for i in range(6):
            for j in range(i + 1):
                total = real(0.0)
                for m in range(first, first + count):
                    total = total + row_of(spin[w, m], speed[w, m], i) * row_of(spin[w, m], speed[w, m], j)
                if i == j:
                    total = total + least
                for k in range(j):
                    total = total - s.gram[w, 6 * i + k] * s.gram[w, 6 * j + k]
                if i == j:
                    s.gram[w, 6 * i + i] = wp.sqrt(wp.max(total, least))
                else:
                    s.gram[w, 6 * i + j] = total / s.gram[w, 6 * j + j]
        for m in range(count):
            for i in range(6):
                total = row_of(spin[w, first + m], speed[w, first + m], i)
                for k in range(i):
                    total = total - s.gram[w, 6 * i + k] * s.inverse[w, 6 * m + k]
                s.inverse[w, 6 * m + i] = total / s.gram[w, 6 * i + i]
            for back in range(6):
                i = 5 - back
                total = s.inverse[w, 6 * m + i]
                for k in range(i + 1, 6):
                    total = total - s.gram[w, 6 * k + i] * s.inverse[w, 6 * m + k]
                s.inverse[w, 6 * m + i] = total / s.gram[w, 6 * i + i]
        for a in range(count):
            for b in range(a + 1):
                total = real(0.0)
                for i in range(6):
                    total = total + row_of(spin[w, first + a], speed[w, first + a], i) * s.inverse[w, 6 * b + i]
                    total = total + row_of(spin[w, first + b], speed[w, first + b], i) * s.inverse[w, 6 * a + i]
                total = real(-0.5) * total
                if a == b:
                    total = total + real(1.0)
                s.null[w, a * count + b] = total
                s.null[w, b * count + a] = total

    @wp.func
    def times(w: int, count: int, matrix: wp.array2d(dtype=real), x: wp.array2d(dtype=real), a: int) -> real:
        # a row of a matrix times a vector
        total = real(0.0)
        for b in range(count):
            total = total + matrix[w, a * count + b] * x[w, b]
        return total

    @wp.func
    def miss(
        w: int,
        tools: Tools,
        first: int,
        count: int,
        dt: real,
        position: wp.array(dtype=int),
        q: wp.array2d(dtype=real),
        v: wp.array2d(dtype=real),
        posture: wp.array2d(dtype=real),
        s: Nulled,
    ):
        # N x and N v of x = posture - q - dt v, in `missing` and `moving`; `pull` and `back` have x and v
        for a in range(count):
            k = tools.motor[first + a]
            s.pull[w, a] = posture[w, first + a] - q[w, position[k]] - dt * v[w, k]
            s.back[w, a] = v[w, k]
        for a in range(count):
            s.missing[w, a] = times(w, count, s.null, s.pull, a)
            s.moving[w, a] = times(w, count, s.null, s.back, a)

    @wp.func
    def entry(trees: Trees, tools: Tools, n: int, a: int, b: int) -> int:
        # where the block of an impedance's tree has the pair of two of its motors
        first = trees.first[tools.tree[n]]
        start = trees.v_start[first]
        size = trees.v_start[trees.first[tools.tree[n] + 1]] - start
        i = tools.motor[tools.first[n] + a] - start
        j = tools.motor[tools.first[n] + b] - start
        return tools.block[tools.tree[n]] + i * size + j

    @wp.kernel(**once)
    def torques(
        trees: Trees,
        tools: Tools,
        dt: real,
        position: wp.array(dtype=int),
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        weight_in: wp.array2d(dtype=real),
        spin_in: wp.array2d(dtype=vec3),
        speed_in: wp.array2d(dtype=vec3),
        force_in: wp.array2d(dtype=vec3),
        torque_in: wp.array2d(dtype=vec3),
        yield_in: wp.array2d(dtype=mat33),
        yield_turn_in: wp.array2d(dtype=mat33),
        posture_in: wp.array2d(dtype=real),
        posture_stiffness_in: wp.array2d(dtype=real),
        posture_damping_in: wp.array2d(dtype=real),
        tau_out: wp.array2d(dtype=real),
        soft_out: wp.array2d(dtype=real),
        nulled_out: Nulled,
    ):
        w = wp.tid()
        for k in range(tau_out.shape[1]):
            tau_out[w, k] = weight_in[w, k]
        for cell in range(soft_out.shape[1]):
            soft_out[w, cell] = real(0.0)
        for n in range(tools.link.shape[0]):
            first = tools.first[n]
            count = tools.first[n + 1] - first
            for a in range(count):
                k = tools.motor[first + a]
                tau_out[w, k] = (
                    tau_out[w, k]
                    + wp.dot(spin_in[w, first + a], torque_in[w, n])
                    + wp.dot(speed_in[w, first + a], force_in[w, n])
                )
                by_spin = yield_turn_in[w, n] * spin_in[w, first + a]
                by_speed = yield_in[w, n] * speed_in[w, first + a]
                for b in range(a + 1):
                    both = wp.dot(spin_in[w, first + b], by_spin) + wp.dot(speed_in[w, first + b], by_speed)
                    at = entry(trees, tools, n, a, b)
                    soft_out[w, at] = soft_out[w, at] + both
                    if b < a:
                        at = entry(trees, tools, n, b, a)
                        soft_out[w, at] = soft_out[w, at] + both
            if tools.nulled[n] == 1:
                project(w, first, count, spin_in, speed_in, nulled_out)
                miss(w, tools, first, count, dt, position, q_in, v_in, posture_in, nulled_out)
                for a in range(count):
                    kp = posture_stiffness_in[w, first + a]
                    kd = posture_damping_in[w, first + a]
                    nulled_out.pull[w, a] = kp * nulled_out.missing[w, a] - kd * nulled_out.moving[w, a]
                    nulled_out.back[w, a] = dt * dt * kp + dt * kd
                for a in range(count):
                    k = tools.motor[first + a]
                    tau_out[w, k] = tau_out[w, k] + times(w, count, nulled_out.null, nulled_out.pull, a)
                    for b in range(count):
                        total = real(0.0)
                        for c in range(count):
                            total = total + (
                                nulled_out.null[w, a * count + c]
                                * nulled_out.back[w, c]
                                * nulled_out.null[w, b * count + c]
                            )
                        at = entry(trees, tools, n, a, b)
                        soft_out[w, at] = soft_out[w, at] + total

    @wp.func
    def undo_posture(
        trees: Trees,
        tools: Tools,
        w: int,
        n: int,
        dt: real,
        position: wp.array(dtype=int),
        q: wp.array2d(dtype=real),
        v: wp.array2d(dtype=real),
        spin: wp.array2d(dtype=vec3),
        speed: wp.array2d(dtype=vec3),
        posture: wp.array2d(dtype=real),
        stiffness: wp.array2d(dtype=real),
        damping: wp.array2d(dtype=real),
        adj_tau: wp.array2d(dtype=real),
        adj_soft: wp.array2d(dtype=real),
        adj_q: wp.array2d(dtype=real),
        adj_v: wp.array2d(dtype=real),
        adj_spin: wp.array2d(dtype=vec3),
        adj_speed: wp.array2d(dtype=vec3),
        adj_posture: wp.array2d(dtype=real),
        adj_stiffness: wp.array2d(dtype=real),
        adj_damping: wp.array2d(dtype=real),
        s: Nulled,
    ):
        # tau = N y with y = kp N x - kd N v; S = N c N with c = dt^2 kp + dt kd. `slope` gathers the adjoint of N.
        first = tools.first[n]
        count = tools.first[n + 1] - first
        project(w, first, count, spin, speed, s)
        miss(w, tools, first, count, dt, position, q, v, posture, s)
        for a in range(count):  # wide = B N, with B the adjoint of S
            for b in range(count):
                total = real(0.0)
                for c in range(count):
                    total = total + adj_soft[w, entry(trees, tools, n, a, c)] * s.null[w, c * count + b]
                s.wide[w, a * count + b] = total
        for a in range(count):
            seen = real(0.0)  # N adj_tau, the adjoint of y
            felt = real(0.0)  # N B N on the diagonal, the adjoint of c
            for b in range(count):
                seen = seen + s.null[w, a * count + b] * adj_tau[w, tools.motor[first + b]]
                felt = felt + s.null[w, a * count + b] * s.wide[w, b * count + a]
            adj_stiffness[w, first + a] = adj_stiffness[w, first + a] + seen * s.missing[w, a] + dt * dt * felt
            adj_damping[w, first + a] = adj_damping[w, first + a] - seen * s.moving[w, a] + dt * felt
            for b in range(count):
                kp = stiffness[w, first + b]
                kd = damping[w, first + b]
                y = kp * s.missing[w, b] - kd * s.moving[w, b]
                hard = dt * dt * kp + dt * kd
                turned = real(0.0)  # B^T N
                for c in range(count):
                    turned = turned + adj_soft[w, entry(trees, tools, n, c, a)] * s.null[w, c * count + b]
                s.slope[w, a * count + b] = adj_tau[w, tools.motor[first + a]] * y + hard * (
                    s.wide[w, a * count + b] + turned
                )
        # and by x and v, whose adjoints are N kp (N adj_tau) and - N kd (N adj_tau)
        for a in range(count):
            seen = real(0.0)
            for b in range(count):
                seen = seen + s.null[w, a * count + b] * adj_tau[w, tools.motor[first + b]]
            kp_seen = stiffness[w, first + a] * seen
            kd_seen = damping[w, first + a] * seen
            for b in range(count):
                k = tools.motor[first + b]
                s.slope[w, a * count + b] = s.slope[w, a * count + b] + kp_seen * s.pull[w, b] - kd_seen * s.back[w, b]
                by = s.null[w, b * count + a]
                adj_posture[w, first + b] = adj_posture[w, first + b] + by * kp_seen
                adj_q[w, position[k]] = adj_q[w, position[k]] - by * kp_seen
                adj_v[w, k] = adj_v[w, k] - by * (dt * kp_seen + kd_seen)
        # N = 1 - J^T P, P = (J J^T)^-1 J: the adjoint of J is - P (slope + slope^T) N
        for a in range(count):
            for b in range(count):
                total = real(0.0)
                for c in range(count):
                    total = total + (s.slope[w, a * count + c] + s.slope[w, c * count + a]) * s.null[w, c * count + b]
                s.wide[w, a * count + b] = total
        for b in range(count):
            along = vec3(real(0.0), real(0.0), real(0.0))
            about = vec3(real(0.0), real(0.0), real(0.0))
            for a in range(count):
                share = s.wide[w, a * count + b]
                m = 6 * a
                along = along - share * vec3(s.inverse[w, m], s.inverse[w, m + 1], s.inverse[w, m + 2])
                about = about - share * vec3(s.inverse[w, m + 3], s.inverse[w, m + 4], s.inverse[w, m + 5])
            adj_speed[w, first + b] = adj_speed[w, first + b] + along
            adj_spin[w, first + b] = adj_spin[w, first + b] + about

    @wp.kernel(**once)
    def torques_adjoint(
        trees: Trees,
        tools: Tools,
        dt: real,
        position: wp.array(dtype=int),
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        weight_in: wp.array2d(dtype=real),
        spin_in: wp.array2d(dtype=vec3),
        speed_in: wp.array2d(dtype=vec3),
        force_in: wp.array2d(dtype=vec3),
        torque_in: wp.array2d(dtype=vec3),
        yield_in: wp.array2d(dtype=mat33),
        yield_turn_in: wp.array2d(dtype=mat33),
        posture_in: wp.array2d(dtype=real),
        posture_stiffness_in: wp.array2d(dtype=real),
        posture_damping_in: wp.array2d(dtype=real),
        tau_in: wp.array2d(dtype=real),
        soft_in: wp.array2d(dtype=real),
        adj_tau_in: wp.array2d(dtype=real),
        adj_soft_in: wp.array2d(dtype=real),
        adj_q_inout: wp.array2d(dtype=real),
        adj_v_inout: wp.array2d(dtype=real),
        adj_weight_inout: wp.array2d(dtype=real),
        adj_spin_inout: wp.array2d(dtype=vec3),
        adj_speed_inout: wp.array2d(dtype=vec3),
        adj_force_inout: wp.array2d(dtype=vec3),
        adj_torque_inout: wp.array2d(dtype=vec3),
        adj_yield_inout: wp.array2d(dtype=mat33),
        adj_yield_turn_inout: wp.array2d(dtype=mat33),
        adj_posture_inout: wp.array2d(dtype=real),
        adj_posture_stiffness_inout: wp.array2d(dtype=real),
        adj_posture_damping_inout: wp.array2d(dtype=real),
        nulled_out: Nulled,
    ):
        w = wp.tid()
        for k in range(tau_in.shape[1]):
            adj_weight_inout[w, k] = adj_weight_inout[w, k] + adj_tau_in[w, k]
        for n in range(tools.link.shape[0]):
            first = tools.first[n]
            count = tools.first[n + 1] - first
            for a in range(count):
                told = adj_tau_in[w, tools.motor[first + a]]
                spin = spin_in[w, first + a]
                speed = speed_in[w, first + a]
                adj_force_inout[w, n] = adj_force_inout[w, n] + told * speed
                adj_torque_inout[w, n] = adj_torque_inout[w, n] + told * spin
                about = told * torque_in[w, n]
                along = told * force_in[w, n]
                for b in range(count):
                    there = adj_soft_in[w, entry(trees, tools, n, a, b)]
                    back = adj_soft_in[w, entry(trees, tools, n, b, a)]
                    about = about + (there + back) * (yield_turn_in[w, n] * spin_in[w, first + b])
                    along = along + (there + back) * (yield_in[w, n] * speed_in[w, first + b])
                    adj_yield_inout[w, n] = adj_yield_inout[w, n] + there * wp.outer(speed, speed_in[w, first + b])
                    adj_yield_turn_inout[w, n] = adj_yield_turn_inout[w, n] + there * wp.outer(
                        spin, spin_in[w, first + b]
                    )
                adj_spin_inout[w, first + a] = adj_spin_inout[w, first + a] + about
                adj_speed_inout[w, first + a] = adj_speed_inout[w, first + a] + along
            if tools.nulled[n] == 1:
                undo_posture(
                    trees, tools, w, n, dt, position, q_in, v_in, spin_in, speed_in, posture_in, posture_stiffness_in,
                    posture_damping_in, adj_tau_in, adj_soft_in, adj_q_inout, adj_v_inout, adj_spin_inout,
                    adj_speed_inout, adj_posture_inout, adj_posture_stiffness_inout, adj_posture_damping_inout,
                    nulled_out,
                )  # fmt: skip

    return SimpleNamespace(Nulled=Nulled, torques=torques, torques_adjoint=torques_adjoint)
