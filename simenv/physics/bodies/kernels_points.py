# SPDX-License-Identifier: Apache-2.0
"""Warp kernel of compliant contact between points or balls on bodies and shapes that stand still.

The normal force is a one-sided spring and damper, f = max(-k eps - c eps', 0) with the gap eps (Akinola et al. 2025,
section III-A), taken implicitly: lambda = -(dt k eps + a eps') / (1 + a / m), a = dt (dt k + c), where eps' is the
gap's rate without the contact and m the body's effective mass there. A stiff contact is therefore stable at any step.
Friction is a spring and damper along the surface that Coulomb's law cuts (Cundall and Strack 1979): it remembers. It is
softened by 1 + a / m too, and takes the velocity with the contact, so that what it holds at rest stays at rest.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.distance import distance_functions

__all__ = ["point_kernels"]


@built_once
def point_kernels(real) -> SimpleNamespace:
    """Build the kernel for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernels `see_near` over worlds and pairs of a body and a shape, and `point_impulses` over
        worlds and pairs of a point and a shape, and the type `Shape`.
    """
    dist = distance_functions(real)
    Shape, vec3, vec4, distance = dist.Shape, dist.vec3, dist.vec4, dist.distance
    quat = wp.types.quaternion(dtype=real)
    options = {"module": f"simenv_bodies_points_{real.__name__}", "enable_backward": True}

    @wp.kernel(module=f"simenv_bodies_near_{real.__name__}", enable_backward=False)
    def see_near(
        dt: real,
        shapes: wp.array(dtype=Shape),
        sdf_values: wp.array(dtype=real),
        pairs: wp.array2d(dtype=int),
        extents: wp.array(dtype=real),
        contact_in: wp.array(dtype=vec4),
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        free_velocity_in: wp.array2d(dtype=vec3),
        free_omega_in: wp.array2d(dtype=vec3),
        near_out: wp.array2d(dtype=int),
    ):
        # Whether any point of a body, which lie within its extent, may touch a shape in this tick: they do once their
        # gap is below the way that they approach in dt + c / k.
        w, g = wp.tid()
        b = pairs[g, 0]
        fixed = pairs[g, 2]
        away = wp.quat_rotate_inv(quaternion_in[w, fixed], position_in[w, b] - position_in[w, fixed])
        phi = distance(shapes[pairs[g, 1]], sdf_values, away)
        speed = wp.length(free_velocity_in[w, b]) + wp.length(free_omega_in[w, b]) * extents[g]
        ahead = (dt + contact_in[w][1] / contact_in[w][0]) * speed
        near_out[w, g] = wp.where(phi[3] > real(1.001) * (extents[g] + ahead), 0, 1)

    @wp.kernel(**options)
    def point_impulses(
        dt: real,
        shapes: wp.array(dtype=Shape),
        sdf_values: wp.array(dtype=real),
        pairs: wp.array2d(dtype=int),
        offsets: wp.array(dtype=vec3),
        radii: wp.array(dtype=real),
        shares: wp.array(dtype=real),
        groups: wp.array(dtype=int),
        inertia: wp.array(dtype=vec3),
        mass_in: wp.array2d(dtype=real),
        contact_in: wp.array(dtype=vec4),
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        free_velocity_in: wp.array2d(dtype=vec3),
        free_omega_in: wp.array2d(dtype=vec3),
        near_in: wp.array2d(dtype=int),
        stick_in: wp.array2d(dtype=vec3),
        impulse_inout: wp.array2d(dtype=vec3),
        turning_inout: wp.array2d(dtype=vec3),
        stick_out: wp.array2d(dtype=vec3),
    ):
        # pairs: body, shape, body of the shape. contact: k [N/m], c [N s/m], stiffness along the surface [N/m], mu
        w, i = wp.tid()
        if near_in[w, groups[i]] == 0:
            stick_out[w, i] = vec3(real(0.0), real(0.0), real(0.0))
            return
        b = pairs[i, 0]
        fixed = pairs[i, 2]
        q = quaternion_in[w, b]
        reach = wp.quat_rotate(q, offsets[i])
        standing = quaternion_in[w, fixed]
        local = wp.quat_rotate_inv(standing, position_in[w, b] + reach - position_in[w, fixed])
        near = distance(shapes[pairs[i, 1]], sdf_values, local)
        n = wp.quat_rotate(standing, vec3(near[0], near[1], near[2]))
        gap = near[3] - radii[i]
        arm = reach - radii[i] * n
        v = free_velocity_in[w, b] + wp.cross(free_omega_in[w, b], arm)
        rate = wp.dot(n, v)
        k = contact_in[w][0]
        a = dt * (dt * k + contact_in[w][1])
        push = -(dt * k * gap + a * rate)
        kept = vec3(real(0.0), real(0.0), real(0.0))
        if push > real(0.0):
            lever = wp.quat_rotate_inv(q, wp.cross(arm, n))
            mass = mass_in[w, b]
            ease = (real(1.0) + wp.dot(lever, wp.cw_div(lever, inertia[b]))) / mass
            normal = push / (real(1.0) + shares[i] * a * ease)
            now = velocity_in[w, b] + wp.cross(omega_in[w, b], arm)
            held = stick_in[w, i] + dt * now  # it has moved since
            held = held - wp.dot(n, held) * n
            slip = now - wp.dot(n, now) * n
            k_t = contact_in[w][2]
            a_t = dt * (dt * k_t + contact_in[w][1])
            # the most yielding direction bounds the inverse mass along the surface
            small = wp.min(inertia[b][0], wp.min(inertia[b][1], inertia[b][2]))
            ease_t = (real(1.0) + wp.dot(arm, arm) / small) / mass
            soft = real(1.0) + shares[i] * a_t * ease_t
            drag = -(dt * k_t * held + a_t * slip) / soft
            size2 = wp.dot(drag, drag)
            limit = contact_in[w][3] * normal
            if size2 <= limit * limit:
                kept = held
            else:
                drag = (limit / wp.sqrt(size2)) * drag
                kept = -(soft / (dt * k_t)) * drag  # at rest this spring alone would give the limit
            total = normal * n + drag
            wp.atomic_add(impulse_inout, w, b, total)
            wp.atomic_add(turning_inout, w, b, wp.cross(arm, total))
            wp.atomic_add(impulse_inout, w, fixed, -total)  # which does not move, but whose reaction is read
            lever_fixed = position_in[w, b] + arm - position_in[w, fixed]
            wp.atomic_add(turning_inout, w, fixed, -wp.cross(lever_fixed, total))
        stick_out[w, i] = kept

    return SimpleNamespace(see_near=see_near, point_impulses=point_impulses, Shape=Shape)
