# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of particles of a liquid that meet a collider: they end outside it, also where they would have gone
through a thin wall, lose as much of their approach as that takes, and slide with friction.

The pressure alone keeps liquid from approaching; what is left are splashes. Where a collider sticks, particles in a
layer beside it follow as far as viscosity reaches in a tick: a boundary layer that cells do not see hardly holds them.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.distance import distance_functions
from simenv.physics.kernels_rotation import rotation_functions
from simenv.physics.liquid.kernels_measure import measure_kernels
from simenv.physics.liquid.kernels_particles import particle_kernels

__all__ = ["meet_kernels"]

STEPS = 24  # along a particle's way, that look for a wall and whether it is gone through


@built_once
def meet_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `look`: which particles meet a collider (1) and how far from it they end, and which would go through a wall of
          it (2) and the plane that stops them, all in its frame; distances of a coarse volume spare most of them a look
          at the fine one;
        * `meet`: places and velocities after one collider, which feels what it changes.
    """
    dist, base = distance_functions(real), particle_kernels(real)
    Box, kept = base.Box, base.kept
    Shape, vec3, vec4 = dist.Shape, dist.vec3, dist.vec4
    distance, signed_distance, at_least = dist.distance, dist.signed_distance, dist.at_least
    distance_adjoint = dist.distance_adjoint
    within = measure_kernels(real).within
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)
    turned = rotation_functions(real).turned
    tiny, stride = wp.constant(real(1.0e-12)), wp.constant(real(1.0 / STEPS))
    options = {"module": f"simenv_liquid_meet_{real.__name__}", "enable_backward": True}
    once = {"module": f"simenv_liquid_look_{real.__name__}", "enable_backward": False}

    @wp.func
    def swung(turned_by: vec3, arm: vec3) -> vec3:
        # by the rotation that a frame has made: to first order what turns fast would grow
        return wp.quat_rotate(turned(wp.quat_identity(dtype=real), turned_by), arm)

    @wp.func
    def carried(x: vec3, dt: real, position: vec3, velocity: vec3, omega: vec3) -> vec3:
        # where a place at the end of a tick is in the frame as it was at its beginning
        return position + swung(-dt * omega, x - position - dt * velocity)

    @wp.kernel(**once)
    def look(
        collider: int,
        count: int,
        ticks: int,
        tick: int,
        dt: real,
        margin: real,
        reach: real,
        shape: wp.array(dtype=Shape),
        values: wp.array(dtype=real),
        lower: wp.array(dtype=vec3),
        upper: wp.array(dtype=vec3),
        coarse: wp.array(dtype=Shape),
        coarse_values: wp.array(dtype=real),
        active_in: wp.array2d(dtype=int),
        x_before_in: wp.array2d(dtype=vec3),
        x_in: wp.array2d(dtype=vec3),
        position_in: wp.array(dtype=vec3),
        rotation_in: wp.array(dtype=mat33),
        velocity_in: wp.array(dtype=vec3),
        omega_in: wp.array(dtype=vec3),
        scale_in: wp.array2d(dtype=real),
        plane_out: wp.array2d(dtype=vec4),
        near_out: wp.array2d(dtype=vec4),
        touches_out: wp.array2d(dtype=int),
    ):
        """`reach` is how near to the collider particles are held, which sticks; zero if it does not."""
        w, p = wp.tid()
        plane_out[w, p] = vec4()
        touches_out[w, p] = 0
        if active_in[w, p] == 0:
            return
        e = w * count + collider
        pose = (w * ticks + tick) * count + collider
        inverse = real(1.0) / scale_in[w, collider]
        turn = rotation_in[pose]
        ends = carried(x_in[w, p], dt, position_in[pose], velocity_in[pose], omega_in[pose])
        here = inverse * ((x_before_in[w, p] - position_in[pose]) * turn)
        there = inverse * ((ends - position_in[pose]) * turn)
        way = there - here
        length = wp.length(way)
        close = inverse * margin
        if not within(here, lower[e], upper[e], length + wp.max(close, inverse * reach)):
            return
        before = at_least(coarse[e], coarse_values, here)
        end = at_least(coarse[e], coarse_values, there)
        touches = reach > real(0.0) and before <= inverse * reach
        last = vec4(real(0.0), real(0.0), real(0.0), end)
        if end <= close:
            last = distance(shape[e], values, there)
            touches = touches or last[3] < close
            end = last[3]
        if touches:
            touches_out[w, p] = 1
            near_out[w, p] = last
        if before > length or before + end > length + close:  # nothing is in balls around both ends
            return
        far = signed_distance(shape[e], values, here)
        if far <= real(0.0) or far > length:
            return
        if last[0] == real(0.0) and last[1] == real(0.0) and last[2] == real(0.0):
            last = distance(shape[e], values, there)
            end = last[3]
        if far + end > length + close:
            return
        s = real(0.0)
        phi = far
        hit = real(2.0)
        n = vec3()
        z = real(0.0)
        deepest = real(1.0)
        for step in range(int(STEPS)):
            if s <= real(1.0):
                if step > 0:
                    phi = signed_distance(shape[e], values, here + s * way)
                if hit <= real(1.0):
                    deepest = wp.min(deepest, phi)
                    s = s + stride
                else:
                    if phi < real(0.5) * close:
                        near = distance(shape[e], values, here + s * way)
                        if near[0] * way[0] + near[1] * way[1] + near[2] * way[2] < real(0.0):
                            hit = s
                            n = vec3(near[0], near[1], near[2])
                            z = wp.dot(n, here + s * way) - near[3] + close
                    if hit <= real(1.0):
                        s = s + stride
                    else:
                        s = s + wp.max(phi, real(0.03) * length) / length
        if hit <= real(1.0):
            same = n[0] * last[0] + n[1] * last[1] + n[2] * last[2]
            if same < real(0.0) and wp.min(deepest, end) < real(0.0):  # out would be on the other side
                plane_out[w, p] = vec4(n[0], n[1], n[2], z)
                touches_out[w, p] = 2

    @wp.func
    def known(shape: Shape, values: wp.array(dtype=real), x: vec3, found: vec4) -> vec4:
        return found  # as `distance` has it

    @wp.func_grad(known)
    def adj_known(shape: Shape, values: wp.array(dtype=real), x: vec3, found: vec4, adj_ret: vec4):
        wp.adjoint[x] += distance_adjoint(shape, values, x, adj_ret)

    @wp.func
    def lifted(depth: real, margin: real) -> real:
        # by how much what is too near is moved away: smooth, and always to more than half the margin
        if depth <= real(0.0):
            return real(0.0)
        if depth < margin:
            return real(0.5) * depth * depth / margin
        return depth - real(0.5) * margin

    @wp.func
    def stopped(v_rel: vec3, out: vec3, friction: real) -> vec3:
        # What a particle's velocity relative to a solid loses, which is moved out of it with a velocity: of its
        # approach as much as that, and by Coulomb's law of the rest.
        push = wp.length(out)
        if push <= real(0.0):
            return vec3()
        n = out / push
        v_n = wp.dot(n, v_rel)
        if v_n >= real(0.0):
            return vec3()
        less = wp.min(push, -v_n)
        ratio = real(0.0)
        if friction > real(0.0):
            v_t = v_rel - v_n * n
            ratio = wp.min(friction * less / wp.max(wp.length(v_t), tiny), real(1.0))
        return less * n - ratio * (v_rel - v_n * n)

    @wp.func
    def held(phi: real, width: real, spread: real) -> real:
        # how far what sticks takes a particle along that is near, as viscosity spreads over the square root of `spread`
        t = wp.clamp(phi / width, real(0.0), real(1.0))
        alpha = real(1.0) - t * t * (real(3.0) - real(2.0) * t)
        return alpha * (real(1.0) - wp.exp(real(-4.0) * spread / (width * width)))

    @wp.kernel(**options)
    def meet(
        collider: int,
        count: int,
        ticks: int,
        tick: int,
        dt: real,
        margin: real,
        width: real,
        sticky: int,
        shape: wp.array(dtype=Shape),
        values: wp.array(dtype=real),
        whole: Box,
        plane_in: wp.array2d(dtype=vec4),
        near_in: wp.array2d(dtype=vec4),
        touches_in: wp.array2d(dtype=int),
        volume_in: wp.array2d(dtype=real),
        density_in: wp.array(dtype=real),
        viscosity_in: wp.array(dtype=real),
        x_before_in: wp.array2d(dtype=vec3),
        x_in: wp.array2d(dtype=vec3),
        v_in: wp.array2d(dtype=vec3),
        position_in: wp.array(dtype=vec3),
        rotation_in: wp.array(dtype=mat33),
        velocity_in: wp.array(dtype=vec3),
        omega_in: wp.array(dtype=vec3),
        friction_in: wp.array2d(dtype=real),
        scale_in: wp.array2d(dtype=real),
        x_out: wp.array2d(dtype=vec3),
        v_out: wp.array2d(dtype=vec3),
        force_out: wp.array2d(dtype=vec3),
        torque_out: wp.array2d(dtype=vec3),
    ):
        w, p = wp.tid()
        x = x_in[w, p]
        v = v_in[w, p]
        x_new = x
        v_new = v
        if touches_in[w, p] != 0:
            e = w * count + collider
            pose = (w * ticks + tick) * count + collider
            scale = scale_in[w, collider]
            turn = rotation_in[pose]
            arm = x_before_in[w, p] - position_in[pose]
            ends = carried(x, dt, position_in[pose], velocity_in[pose], omega_in[pose])
            there = ((ends - position_in[pose]) * turn) / scale
            near_wall = margin / scale
            lift = vec3()
            last = vec4()
            if touches_in[w, p] == 2:
                plane = plane_in[w, p]
                side = vec3(plane[0], plane[1], plane[2])
                lift = lifted(plane[3] - wp.dot(side, there), near_wall) * side
                last = distance(shape[e], values, there + lift)
            else:
                last = known(shape[e], values, there, near_in[w, p])
            lift = lift + lifted(near_wall - last[3], near_wall) * vec3(last[0], last[1], last[2])
            out = scale * swung(dt * omega_in[pose], turn * lift)
            x_new = x + out
            v_rel = v - velocity_in[pose] - wp.cross(omega_in[pose], arm)
            change = stopped(v_rel, out / dt, friction_in[w, collider])
            if sticky != 0:
                near = distance(shape[e], values, (arm * turn) / scale)
                change = change - held(scale * near[3], width, dt * viscosity_in[w]) * (v_rel + change)
            v_new = v + change
            f = (-density_in[w] * volume_in[w, p] / dt) * change
            wp.atomic_add(force_out, w, collider, f)
            touched = scale * (turn * (there + lift))  # a wall without friction turns nothing about its normal
            wp.atomic_add(torque_out, w, collider, wp.cross(touched, f))
        x_out[w, p] = vec3(kept(whole, 0, x_new[0]), kept(whole, 1, x_new[1]), kept(whole, 2, x_new[2]))
        v_out[w, p] = v_new

    return SimpleNamespace(look=look, meet=meet)
