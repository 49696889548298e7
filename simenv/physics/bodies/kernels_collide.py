# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of where rigid bodies touch: points of one in the signed distance of another, and what they then feel.

Contacts are fixed slots, (N, C): a point, or a ball about it, on the body `a`, and a shape on the body `b`. Everything
is taken in the middle of a tick. All adjoints are generated; the normal's derivative is that of the distance's Hessian.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.distance import distance_functions
from simenv.physics.bodies.kernels_boxes import box_functions
from simenv.physics.bodies.kernels_law import law_functions
from simenv.physics.bodies.kernels_rods import rod_functions
from simenv.physics.bodies.kernels_tree import tree_functions
from simenv.physics.kernels_rotation import rotation_functions

__all__ = ["FAR", "collide_kernels"]

FAR = 1.0e3  # [m], the gap of what is not near


@built_once
def collide_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the struct `Contacts` (of slots: bodies `a` and `b`, the point's `offset` on a and the `radius`
        of the ball about it, the `shape` on b, its `place` and `turn` there, the `law`, and the `stiffest` that a
        contact is taken; of pairs: `first` slot, and after the last their number, bodies, law, centres and radii of
        balls about their shapes, how far from a's origin points on it reach, and whether it meets the same as the pair
        before `again`; of shapes boxes about them, and normals of those that are `flat`), and the kernels `midway`,
        `see_near`, `collide` and `feel`.
    """
    dist, law = distance_functions(real), law_functions(real)
    Shape, vec3, distance = dist.Shape, dist.vec3, dist.distance
    quat, vec10 = wp.types.quaternion(dtype=real), law.vec10
    vec2 = law.vec2
    turned, matrix_of = rotation_functions(real).turned, tree_functions(real).matrix_of
    normal_impulse, drag, resistance, prepared = law.normal_impulse, law.drag, law.resistance, law.prepared
    closing_speed, closing_after = law.closing_speed, law.closing_after
    boxes = box_functions(real)
    match_boxes, box_point = boxes.match_boxes, boxes.box_point
    match_rods, rod_point = rod_functions(real).match_rods, rod_functions(real).rod_point
    both = {"module": f"simenv_bodies_collide_{real.__name__}", "enable_backward": True}
    felt = {"module": f"simenv_bodies_feel_{real.__name__}", "enable_backward": True}
    once = {"module": f"simenv_bodies_pairs_{real.__name__}", "enable_backward": False}
    far, flat = wp.constant(real(FAR)), wp.constant(real(1.0e-8))

    @wp.struct
    class Contacts:
        a: wp.array(dtype=int)
        b: wp.array(dtype=int)
        offset: wp.array(dtype=vec3)
        radius: wp.array(dtype=real)
        shape: wp.array(dtype=int)
        place: wp.array(dtype=vec3)
        turn: wp.array(dtype=quat)
        law: wp.array(dtype=int)
        stiffest: wp.array(dtype=real)
        rim: wp.array(dtype=real)
        axis: wp.array(dtype=vec3)
        own: wp.array(dtype=int)
        own_turn: wp.array(dtype=quat)
        first: wp.array(dtype=int)
        box_centre: wp.array(dtype=vec3)
        box_half: wp.array(dtype=vec3)
        flat: wp.array(dtype=vec3)
        rod: wp.array(dtype=vec2)
        pair_a: wp.array(dtype=int)
        pair_b: wp.array(dtype=int)
        pair_law: wp.array(dtype=int)
        centre_a: wp.array(dtype=vec3)
        centre_b: wp.array(dtype=vec3)
        extent: wp.array(dtype=real)
        arm: wp.array(dtype=real)
        again: wp.array(dtype=int)

    @wp.kernel(**both)
    def midway(
        half: real,
        rows: wp.array(dtype=int),
        moves: wp.array(dtype=int),
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        position_out: wp.array2d(dtype=vec3),
        quaternion_out: wp.array2d(dtype=quat),
        velocity_out: wp.array2d(dtype=vec3),
        omega_out: wp.array2d(dtype=vec3),
    ):
        # frames that others move go on as they do, fixed ones stay
        w, r = wp.tid()
        b = rows[r]
        if moves[r] == 1:
            position_out[w, b] = position_in[w, b] + half * velocity_in[w, b]
            quaternion_out[w, b] = turned(quaternion_in[w, b], half * omega_in[w, b])
            velocity_out[w, b] = velocity_in[w, b]
            omega_out[w, b] = omega_in[w, b]
        else:
            position_out[w, b] = position_in[w, b]
            quaternion_out[w, b] = quaternion_in[w, b]
            velocity_out[w, b] = vec3(real(0.0), real(0.0), real(0.0))
            omega_out[w, b] = vec3(real(0.0), real(0.0), real(0.0))

    @wp.kernel(**once)
    def see_near(
        contacts: Contacts,
        dt: real,
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        law_in: wp.array2d(dtype=vec10),
        near_out: wp.array2d(dtype=int),
    ):
        # Of the slots of pairs whose balls are near those that are near the box about the shape, or the plane, twice as
        # far as any contact that could act in this tick: `gather` asks for a gap of `wide + dt (2 |speed| + 1)`.
        w = wp.tid()
        up = vec3(real(0.0), real(0.0), real(0.0))
        level = real(0.0)
        spin_plane = real(0.0)
        for p in range(contacts.pair_a.shape[0]):
            a = contacts.pair_a[p]
            b = contacts.pair_b[p]
            wide = law_in[w, contacts.pair_law[p]][9]
            first = contacts.first[p]
            plane = contacts.flat[contacts.shape[first]]
            if plane[0] != real(0.0) or plane[1] != real(0.0) or plane[2] != real(0.0):
                if contacts.again[p] == 0:
                    up = wp.quat_rotate(quaternion_in[w, b] * contacts.turn[first], plane)
                    origin = position_in[w, b] + wp.quat_rotate(quaternion_in[w, b], contacts.place[first])
                    level = wp.dot(up, origin)
                    spin_plane = wp.length(omega_in[w, b])
                height = wp.dot(up, position_in[w, a]) - level
                local = wp.quat_rotate_inv(quaternion_in[w, a], up)
                arm = contacts.arm[p]
                spin_a = wp.length(omega_in[w, a])
                speed = wp.length(velocity_in[w, a] - velocity_in[w, b]) + spin_a * arm
                if spin_plane > real(0.0):
                    speed = speed + spin_plane * (wp.length(position_in[w, a] - position_in[w, b]) + arm)
                reach = real(2.0) * (wide + dt * (real(2.0) * speed + real(1.0)))
                if dt * (spin_a + spin_plane) > real(0.5):
                    reach = far
                for c in range(first, contacts.first[p + 1]):
                    least = height + wp.dot(local, contacts.offset[c]) - contacts.radius[c] - contacts.rim[c]
                    near_out[w, c] = wp.where(least > reach, 0, 1)
                continue
            away = position_in[w, a] + wp.quat_rotate(quaternion_in[w, a], contacts.centre_a[p])
            away = away - position_in[w, b] - wp.quat_rotate(quaternion_in[w, b], contacts.centre_b[p])
            slow = wp.length(velocity_in[w, a] - velocity_in[w, b])
            near = wp.length(away) <= contacts.extent[p] + real(2.0) * dt * slow + wide
            if near:
                back = wp.transpose(matrix_of(quaternion_in[w, b] * contacts.turn[first]))
                origin = position_in[w, b] + wp.quat_rotate(quaternion_in[w, b], contacts.place[first])
                turn = back * matrix_of(quaternion_in[w, a])
                start = back * (position_in[w, a] - origin) - contacts.box_centre[contacts.shape[first]]
                half = contacts.box_half[contacts.shape[first]]
                spin_a = wp.length(omega_in[w, a])
                spin_b = wp.length(omega_in[w, b])
                apart = wp.length(position_in[w, a] - position_in[w, b])
                quick = dt * (spin_a + spin_b) > real(0.5)
                if contacts.own[first] >= 0:
                    arm = wp.length(contacts.offset[first]) + wp.length(contacts.box_half[contacts.own[first]])
                    speed = slow + spin_a * arm + spin_b * (apart + arm)
                    reach = real(2.0) * (wide + dt * (real(2.0) * speed + real(1.0)))
                    own = matrix_of(quaternion_in[w, a] * contacts.own_turn[first])
                    away = origin - position_in[w, a] - wp.quat_rotate(quaternion_in[w, a], contacts.offset[first])
                    there = wp.transpose(back * own)
                    away = wp.transpose(own) * away
                    rod = contacts.rod[contacts.own[first]]
                    half_a = contacts.box_half[contacts.own[first]]
                    if rod[0] < real(0.0):
                        match_boxes(w, first, reach, there, away, half_a, half, near_out)
                    else:
                        rod_b = contacts.rod[contacts.shape[first]]
                        match_rods(w, first, reach, there, away, rod, rod_b, half, near_out)
                    continue
                for c in range(first, contacts.first[p + 1]):
                    round = contacts.radius[c] + contacts.rim[c]
                    arm = wp.length(contacts.offset[c]) + round
                    speed = slow + spin_a * arm + spin_b * (apart + arm)
                    reach = round + real(2.0) * (wide + dt * (real(2.0) * speed + real(1.0)))
                    x = turn * contacts.offset[c] + start
                    beyond = wp.max(wp.max(wp.abs(x[0]) - half[0], wp.abs(x[1]) - half[1]), wp.abs(x[2]) - half[2])
                    near_out[w, c] = wp.where(beyond > reach and not quick, 0, 1)
            else:
                for c in range(first, contacts.first[p + 1]):
                    near_out[w, c] = 0

    @wp.kernel(**both)
    def collide(
        contacts: Contacts,
        shapes: wp.array(dtype=Shape),
        sdf_values: wp.array(dtype=real),
        near_in: wp.array2d(dtype=int),
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        gap_out: wp.array2d(dtype=real),
        normal_out: wp.array2d(dtype=vec3),
        point_out: wp.array2d(dtype=vec3),
    ):
        w = wp.tid()
        for c in range(contacts.a.shape[0]):
            a = contacts.a[c]
            b = contacts.b[c]
            if near_in[w, c] == 0:
                gap_out[w, c] = far
                normal_out[w, c] = vec3(real(0.0), real(0.0), real(1.0))
                point_out[w, c] = vec3(real(0.0), real(0.0), real(0.0))
            else:
                turn = quaternion_in[w, b] * contacts.turn[c]
                origin = position_in[w, b] + wp.quat_rotate(quaternion_in[w, b], contacts.place[c])
                x = position_in[w, a] + wp.quat_rotate(quaternion_in[w, a], contacts.offset[c])
                if contacts.rim[c] > real(0.0):
                    # the lowest point of a circle over a plane; of one that lies flat its centre, and others count
                    size = shapes[contacts.shape[c]].size
                    up = wp.quat_rotate(turn, vec3(size[0], size[1], size[2]))
                    axis = wp.quat_rotate(quaternion_in[w, a], contacts.axis[c])
                    down = wp.dot(up, axis) * axis - up
                    x = x + (contacts.rim[c] / wp.sqrt(wp.dot(down, down) + flat)) * down
                if contacts.own[c] >= 0:
                    turn_a = quaternion_in[w, a] * contacts.own_turn[c]
                    half_b = contacts.box_half[contacts.shape[c]]
                    if contacts.rod[contacts.own[c]][0] < real(0.0):
                        found = box_point(
                            near_in[w, c], x, turn_a, contacts.box_half[contacts.own[c]], origin, turn, half_b
                        )
                        gap_out[w, c] = found[0]
                        normal_out[w, c] = vec3(found[1], found[2], found[3])
                        point_out[w, c] = vec3(found[4], found[5], found[6])
                    else:
                        crossed = rod_point(
                            near_in[w, c], x, turn_a, contacts.rod[contacts.own[c]], origin, turn,
                            contacts.rod[contacts.shape[c]], half_b,
                        )  # fmt: skip
                        gap_out[w, c] = crossed[0]
                        normal_out[w, c] = vec3(crossed[1], crossed[2], crossed[3])
                        point_out[w, c] = vec3(crossed[4], crossed[5], crossed[6])
                else:
                    near = distance(shapes[contacts.shape[c]], sdf_values, wp.quat_rotate_inv(turn, x - origin))
                    n = wp.quat_rotate(turn, vec3(near[0], near[1], near[2]))
                    gap = near[3] - contacts.radius[c]
                    gap_out[w, c] = gap
                    normal_out[w, c] = n
                    # in the middle of what overlaps
                    point_out[w, c] = x - (contacts.radius[c] + real(0.5) * gap) * n

    @wp.kernel(**felt)
    def feel(
        contacts: Contacts,
        dt: real,
        position_in: wp.array2d(dtype=vec3),
        before_velocity_in: wp.array2d(dtype=vec3),
        before_omega_in: wp.array2d(dtype=vec3),
        after_velocity_in: wp.array2d(dtype=vec3),
        after_omega_in: wp.array2d(dtype=vec3),
        gap_in: wp.array2d(dtype=real),
        normal_in: wp.array2d(dtype=vec3),
        point_in: wp.array2d(dtype=vec3),
        held_in: wp.array2d(dtype=vec3),
        closing_in: wp.array2d(dtype=real),
        law_in: wp.array2d(dtype=vec10),
        impulse_out: wp.array2d(dtype=vec3),
        moment_out: wp.array2d(dtype=vec3),
        held_out: wp.array2d(dtype=vec3),
        closing_out: wp.array2d(dtype=real),
    ):
        # impulse on a [N s] and moment of it [N m s], the displacement that friction holds after the tick, and the
        # speed at which the contact has been closing
        w = wp.tid()
        for c in range(contacts.a.shape[0]):
            gap = gap_in[w, c]
            impulse = vec3(real(0.0), real(0.0), real(0.0))
            moment = vec3(real(0.0), real(0.0), real(0.0))
            kept = vec3(real(0.0), real(0.0), real(0.0))
            closing = real(0.0)
            if gap < far:
                a = contacts.a[c]
                b = contacts.b[c]
                n = normal_in[w, c]
                to_a = point_in[w, c] - position_in[w, a]
                to_b = point_in[w, c] - position_in[w, b]
                was = before_velocity_in[w, a] + wp.cross(before_omega_in[w, a], to_a)
                was = was - before_velocity_in[w, b] - wp.cross(before_omega_in[w, b], to_b)
                now = after_velocity_in[w, a] + wp.cross(after_omega_in[w, a], to_a)
                now = now - after_velocity_in[w, b] - wp.cross(after_omega_in[w, b], to_b)
                before = wp.dot(n, was)
                rate = wp.dot(n, now)
                sped = closing_speed(dt, closing_in[w, c], before)
                x = prepared(dt, law_in[w, contacts.law[c]], contacts.stiffest[c], sped)
                push = normal_impulse(dt, gap, before, rate, x[0], x[1], x[2], x[5], x[6], x[10])
                if push[0] > real(0.0):
                    held = held_in[w, c] - wp.dot(n, held_in[w, c]) * n
                    slip = now - rate * n
                    limit = x[3] * push[0]
                    along = drag(dt, limit, x[4], x[9], held, slip)
                    impulse = push[0] * n + along
                    moment = resistance(push[0], x[7], x[8], n, after_omega_in[w, a] - after_omega_in[w, b])
                    wanted = (dt * x[4] * x[9]) * (held + (real(2.0) * dt) * slip)
                    if wp.dot(wanted, wanted) > limit * limit:
                        kept = -along / (dt * x[4])
                    else:  # the point has moved, and crept by what sigma lets it
                        kept = held + dt * slip + ((real(1.0) / x[9] - real(1.0)) / (real(2.0) * dt * x[4])) * along
                    closing = closing_after(sped, before, rate)
            impulse_out[w, c] = impulse
            moment_out[w, c] = moment
            held_out[w, c] = kept
            closing_out[w, c] = closing

    return SimpleNamespace(
        Contacts=Contacts, midway=midway, see_near=see_near, collide=collide, feel=feel, Shape=Shape, vec3=vec3,
        vec10=vec10, quat=quat, real=real, law=law, far=far,
    )  # fmt: skip
