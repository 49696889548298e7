# SPDX-License-Identifier: Apache-2.0
"""Contact of material with kinematic colliders: the response of one velocity, and its exact adjoint.

With the signed distance ``phi`` [m] and unit normal ``n`` of the collider at a point moving with velocity ``v``, and
the collider's velocity there ``v_c = u + omega x r``,

    v_rel = v - v_c,      v_n = n . v_rel,      v_t = v_rel - v_n n
    v_rel' = b n + max(0, 1 - mu (b - v_n) / |v_t|) v_t      if v_n < b  (otherwise v_rel' = v_rel)
    v' = v + alpha(phi) (v_rel' - v_rel)

``mu`` is Coulomb's coefficient; a sticky collider has ``v_rel' = 0``. ``alpha`` is 1 inside the solid and falls to 0 as
a cubic smoothstep over the collider's ``width`` [m], so that a soft contact is differentiable in the distance. ``b >=
0`` is the speed at which material is moved out again. The collider receives the force ``-m (v' - v) / dt``. The
derivative is exact away from the kinks v_n = b and stick-slip. A skin (skin.py) shares that force among its taxels.

The same response acts in one of three ways:

* Solids wider than the grid's cells act on grid nodes (``AT_NODES``, b = 0), which keeps the whole velocity field from
  entering, and on particles that have sunk in all the same (``AT_PARTICLES``), before they move.
* Shells (``AT_WALL``), which may be thinner than a cell and have material on both sides of one node, act on particles
  only, before they scatter. A particle knows on which side it is; the grid spreads the push over its neighbours and
  everything moves with the grid's velocity, so that pressure, strain and wall are in balance at rest. The wall is as
  stiff as the substep allows: b = (width - phi) / (4 dt). Particles that come fast are stopped on their way (path.py).
* Solids on bodies that answer act on nodes (response.py), and on particles as they move (``ON_PATH``, path.py).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.distance import distance_functions
from simenv.physics.mpm.skin import skin_functions
from simenv.physics.mpm.stencil import stencil_functions

AT_NODES = 1
AT_PARTICLES = 2
AT_WALL = 4
ON_PATH = 8
PARTICLE_WIDTH = 0.25  # AT_PARTICLES fades in over this share of the width: nodes make the contact, particles secure it
RECOVERY = 0.05  # share of its penetration that AT_PARTICLES undoes in a substep
SINK, SLACK = 0.05, 0.01  # cells: d and g of path.py, how deep AT_WALL lets fast particles come
PRESS = 0.25  # the same for AT_WALL, where penetration starts at the contact's width
_SPEED_LIMIT = 0.5  # [m/s]: a deeply sunk particle is moved out gently, not shot out


@built_once
def contact_functions(real) -> SimpleNamespace:
    """Warp structs and functions of contact for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        Namespace with

        * ``Colliders``: everything the colliders of one launch have: arrays over colliders (``width, sticky, levels``),
          over (world, collider) (``shape, lower, upper, scale, friction``), over (world, substep, collider)
          (``position, rotation, velocity, omega``) and the values of all shapes' volumes (``sdf_values``), with the
          sizes ``count`` and ``substeps``, and ``skins``;
        * ``ColliderAdjoints``: the adjoints of the time-varying ones, of friction, and those of wrench and touch;
        * ``velocity_change`` and its adjoint: the response of one velocity to one collider; ``add_wrench``;
        * ``collide_particle`` and its adjoint: the response of a particle to all colliders that act at one level;
          ``is_near``, a quick test.
    """
    st = stencil_functions(real)
    vec3, vec4, mat33 = st.vec3, st.vec4, st.mat33
    dist = distance_functions(real)
    Shape = dist.Shape
    skin = skin_functions(real)
    Skins, on_skin, add_touch, add_touch_adjoint = skin.Skins, skin.on_skin, skin.add_touch, skin.add_touch_adjoint
    distance, distance_adjoint, surely_farther = dist.distance, dist.distance_adjoint, dist.surely_farther
    speed_limit = wp.constant(real(_SPEED_LIMIT))
    tiny = wp.constant(real(1.0e-12))

    @wp.struct
    class Colliders:
        count: wp.int32
        substeps: wp.int32
        recovery_rate: real
        press_rate: real
        sink: real
        slack: real
        shape: wp.array(dtype=Shape)
        sdf_values: wp.array(dtype=real)
        lower: wp.array(dtype=vec3)
        upper: wp.array(dtype=vec3)
        width: wp.array(dtype=real)
        sticky: wp.array(dtype=wp.int32)
        levels: wp.array(dtype=wp.int32)
        skins: Skins
        scale: wp.array(dtype=real)
        friction: wp.array(dtype=real)
        position: wp.array(dtype=vec3)
        rotation: wp.array(dtype=mat33)
        velocity: wp.array(dtype=vec3)
        omega: wp.array(dtype=vec3)

    @wp.struct
    class ColliderAdjoints:
        position: wp.array(dtype=vec3)
        rotation: wp.array(dtype=mat33)
        velocity: wp.array(dtype=vec3)
        omega: wp.array(dtype=vec3)
        friction: wp.array(dtype=real)
        force: wp.array(dtype=vec3)
        torque: wp.array(dtype=vec3)
        touch: wp.array(dtype=vec3)

    # a face that lies on nodes touches them, whatever rounding makes of their distance
    rounding = wp.constant(real(1.0e-6 if real is wp.float32 else 1.0e-14))

    @wp.func
    def influence(phi: real, width: real) -> real:
        if phi <= rounding:
            return real(1.0)
        if phi >= width:
            return real(0.0)
        t = phi / width
        return real(1.0) - t * t * (real(3.0) - real(2.0) * t)

    @wp.func
    def influence_slope(phi: real, width: real) -> real:
        if phi <= rounding or phi >= width:
            return real(0.0)
        t = phi / width
        return real(-6.0) * t * (real(1.0) - t) / width

    @wp.func
    def separation(phi: real, width: real, colliders: Colliders, level: int):
        # the speed b at which the contact moves material out, and its slope over phi
        depth = -phi
        rate = real(0.0)
        limit = speed_limit
        if level == AT_PARTICLES:
            rate = colliders.recovery_rate
        if level == AT_WALL:
            depth = width - phi
            rate = colliders.press_rate
            limit = limit + real(2.0) * width * rate
        if depth * rate <= real(0.0):
            return real(0.0), real(0.0)
        if depth * rate >= limit:
            return limit, real(0.0)
        return depth * rate, -rate

    @wp.func
    def is_near(colliders: Colliders, e: int, local: vec3, reach: real) -> bool:
        # e: world and collider; false only where the distance is certainly above `reach`, in unscaled lengths
        reach = reach + rounding
        lower = colliders.lower[e]
        upper = colliders.upper[e]
        if local[0] < lower[0] - reach or local[0] > upper[0] + reach:
            return False
        if local[1] < lower[1] - reach or local[1] > upper[1] + reach:
            return False
        if local[2] < lower[2] - reach or local[2] > upper[2] + reach:
            return False
        return not surely_farther(colliders.shape[e], colliders.sdf_values, local, reach)

    @wp.func
    def contact_width(colliders: Colliders, c: int, level: int) -> real:
        if level == AT_PARTICLES:
            return real(PARTICLE_WIDTH) * colliders.width[c]
        return colliders.width[c]

    @wp.func
    def friction_ratio(limit: real, v_t: vec3) -> real:
        # the share of the sliding velocity that friction takes; without friction it is 0, also at rest
        if limit <= real(0.0):
            return real(0.0)
        return wp.min(limit / wp.max(wp.length(v_t), tiny), real(1.0))

    @wp.func
    def relative_change(v_rel: vec3, n: vec3, mu: real, sticky: int, b: real) -> vec3:
        # v_rel' - v_rel
        if sticky != 0:
            return -v_rel
        v_n = wp.dot(n, v_rel)
        if v_n >= b:
            return vec3(real(0.0), real(0.0), real(0.0))
        v_t = v_rel - v_n * n
        return (b - v_n) * n - friction_ratio(mu * (b - v_n), v_t) * v_t

    @wp.func
    def velocity_change(colliders: Colliders, world: int, substep: int, c: int, x: vec3, v: vec3, level: int) -> vec3:
        # v' - v
        e = world * colliders.count + c
        pose = (world * colliders.substeps + substep) * colliders.count + c
        position = colliders.position[pose]
        rotation = colliders.rotation[pose]
        near = distance(colliders.shape[e], colliders.sdf_values, ((x - position) * rotation) / colliders.scale[e])
        phi = near[3] * colliders.scale[e]
        width = contact_width(colliders, c, level)
        alpha = influence(phi, width)
        if alpha <= real(0.0):
            return vec3(real(0.0), real(0.0), real(0.0))
        n = rotation * vec3(near[0], near[1], near[2])
        v_rel = v - colliders.velocity[pose] - wp.cross(colliders.omega[pose], x - position)
        b, _slope = separation(phi, width, colliders, level)
        return alpha * relative_change(v_rel, n, colliders.friction[e], colliders.sticky[c], b)

    @wp.func
    def add_wrench(
        colliders: Colliders, world: int, substep: int, c: int, x: vec3, impulse: vec3, dt: real,
        force: wp.array(dtype=vec3),
        torque: wp.array(dtype=vec3),
    ):  # fmt: skip
        # the collider receives the opposite of the material's `impulse` [N s], as a mean force over the substep
        if wp.dot(impulse, impulse) > real(0.0):
            e = world * colliders.count + c
            f = impulse / (-dt)
            wp.atomic_add(force, e, f)
            pose = (world * colliders.substeps + substep) * colliders.count + c
            r = x - colliders.position[pose]
            wp.atomic_add(torque, e, wp.cross(r, f))
            if colliders.skins.taxels > 0:
                local = (r * colliders.rotation[pose]) / colliders.scale[e]
                if on_skin(colliders.skins, c, local):
                    add_touch(colliders.skins, world, c, local, f * colliders.rotation[pose])

    @wp.func
    def particle_touches(colliders: Colliders, world: int, substep: int, c: int, x: vec3, level: int) -> bool:
        if (colliders.levels[c] & level) == 0:
            return False
        e = world * colliders.count + c
        scale = colliders.scale[e]
        pose = (world * colliders.substeps + substep) * colliders.count + c
        local = ((x - colliders.position[pose]) * colliders.rotation[pose]) / scale
        return is_near(colliders, e, local, contact_width(colliders, c, level) / scale)

    @wp.func
    def pushed(colliders: Colliders, world: int, substep: int, x: vec3, v: vec3, level: int, last: int) -> vec3:
        # velocity after the response to the colliders before `last`
        for c in range(last):
            if particle_touches(colliders, world, substep, c, x, level):
                v = v + velocity_change(colliders, world, substep, c, x, v, level)
        return v

    @wp.func
    def collide_particle(
        colliders: Colliders, world: int, substep: int, x: vec3, v: vec3, mass: real, dt: real, level: int,
        force: wp.array(dtype=vec3),
        torque: wp.array(dtype=vec3),
    ) -> vec3:  # fmt: skip
        for c in range(colliders.count):
            if particle_touches(colliders, world, substep, c, x, level):
                dv = velocity_change(colliders, world, substep, c, x, v, level)
                v = v + dv
                add_wrench(colliders, world, substep, c, x, mass * dv, dt, force, torque)
        return v

    @wp.func
    def relative_change_adjoint(v_rel: vec3, n: vec3, mu: real, sticky: int, b: real, a: vec3):
        # adjoint of v_rel' (a = adj of v_rel'): adj_v_rel, adj_n, adj_mu, adj_b
        zero = vec3(real(0.0), real(0.0), real(0.0))
        if sticky != 0:
            return zero, zero, real(0.0), real(0.0)
        v_n = wp.dot(n, v_rel)
        if v_n >= b:
            return a, zero, real(0.0), real(0.0)
        v_t = v_rel - v_n * n
        ratio = friction_ratio(mu * (b - v_n), v_t)
        adj_b = wp.dot(a, n)
        adj_n = b * a
        adj_v_t = zero
        adj_v_n = real(0.0)
        adj_mu = real(0.0)
        if ratio < real(1.0):
            direction = v_t / wp.max(wp.length(v_t), tiny)
            along = wp.dot(a, direction)
            adj_mu = -(b - v_n) * along
            adj_b = adj_b - mu * along
            adj_v_t = a - ratio * (a - along * direction)
            adj_v_n = mu * along - wp.dot(n, adj_v_t)
        adj_v_rel = adj_v_t + adj_v_n * n
        adj_n = adj_n - v_n * adj_v_t + adj_v_n * v_rel
        return adj_v_rel, adj_n, adj_mu, adj_b

    @wp.func
    def velocity_change_adjoint(
        colliders: Colliders, world: int, substep: int, c: int, x: vec3, v: vec3, mass: real, dt: real, level: int,
        adj_v_out: vec3, adjoints: ColliderAdjoints,
    ):  # fmt: skip
        """Adjoint of v' = v + `velocity_change` and of its wrench: (adj_x, adj_v, adj_mass)."""
        e = world * colliders.count + c
        pose = (world * colliders.substeps + substep) * colliders.count + c
        scale = colliders.scale[e]
        r = x - colliders.position[pose]
        rotation = colliders.rotation[pose]
        local = (r * rotation) / scale
        near = distance(colliders.shape[e], colliders.sdf_values, local)
        phi = near[3] * scale
        width = contact_width(colliders, c, level)
        alpha = influence(phi, width)
        if alpha <= real(0.0):
            return vec3(real(0.0), real(0.0), real(0.0)), adj_v_out, real(0.0)
        n_local = vec3(near[0], near[1], near[2])
        n = rotation * n_local
        omega = colliders.omega[pose]
        v_rel = v - colliders.velocity[pose] - wp.cross(omega, r)
        b, slope = separation(phi, width, colliders, level)
        change = relative_change(v_rel, n, colliders.friction[e], colliders.sticky[c], b)
        # wrench: f = -m alpha change / dt, torque = r x f
        f = (-mass / dt) * alpha * change
        adj_f = adjoints.force[e] + wp.cross(adjoints.torque[e], r)
        adj_r = wp.cross(f, adjoints.torque[e])
        adj_rotation = mat33()
        if colliders.skins.taxels > 0 and on_skin(colliders.skins, c, local):
            adj_place, adj_f_local = add_touch_adjoint(colliders.skins, world, c, local, f * rotation, adjoints.touch)
            adj_f = adj_f + rotation * adj_f_local
            adj_r = adj_r + rotation * adj_place / scale
            adj_rotation = wp.outer(f, adj_f_local) + wp.outer(r, adj_place) / scale
        adj_mass = -alpha * wp.dot(change, adj_f) / dt
        adj_change = adj_v_out - (mass / dt) * adj_f
        adj_phi = influence_slope(phi, width) * wp.dot(change, adj_change)
        adj_change = alpha * adj_change
        d_rel, adj_n, adj_mu, adj_b = relative_change_adjoint(
            v_rel, n, colliders.friction[e], colliders.sticky[c], b, adj_change
        )
        adj_v_rel = d_rel - adj_change
        adj_phi = adj_phi + slope * adj_b
        adj_r = adj_r - wp.cross(adj_v_rel, omega)
        # distance and normal: both functions of local = R^T r / scale, n = R n_local
        adj_n_local = adj_n * rotation
        adj_near = vec4(adj_n_local[0], adj_n_local[1], adj_n_local[2], adj_phi * scale)
        adj_local = distance_adjoint(colliders.shape[e], colliders.sdf_values, local, adj_near) / scale
        adj_total = adj_r + rotation * adj_local
        wp.atomic_add(adjoints.position, pose, -adj_total)
        wp.atomic_add(adjoints.rotation, pose, adj_rotation + wp.outer(adj_n, n_local) + wp.outer(r, adj_local))
        wp.atomic_add(adjoints.velocity, pose, -adj_v_rel)
        wp.atomic_add(adjoints.omega, pose, -wp.cross(r, adj_v_rel))
        wp.atomic_add(adjoints.friction, e, adj_mu)
        return adj_total, adj_v_out + adj_v_rel, adj_mass

    @wp.func
    def collide_particle_adjoint(
        colliders: Colliders, world: int, substep: int, x: vec3, v: vec3, mass: real, dt: real, level: int, adj_v: vec3,
        adjoints: ColliderAdjoints
    ):  # fmt: skip
        adj_x = vec3(real(0.0), real(0.0), real(0.0))
        adj_mass = real(0.0)
        for index in range(colliders.count):
            c = colliders.count - 1 - index
            if particle_touches(colliders, world, substep, c, x, level):
                met = pushed(colliders, world, substep, x, v, level, c)
                d_x, d_v, d_mass = velocity_change_adjoint(
                    colliders, world, substep, c, x, met, mass, dt, level, adj_v, adjoints
                )
                adj_x = adj_x + d_x
                adj_v = d_v
                adj_mass = adj_mass + d_mass
        return adj_x, adj_v, adj_mass

    return SimpleNamespace(
        Colliders=Colliders, ColliderAdjoints=ColliderAdjoints, is_near=is_near, velocity_change=velocity_change,
        velocity_change_adjoint=velocity_change_adjoint, add_wrench=add_wrench, collide_particle=collide_particle,
        collide_particle_adjoint=collide_particle_adjoint, pushed=pushed, influence=influence,
        influence_slope=influence_slope, separation=separation, relative_change=relative_change,
        relative_change_adjoint=relative_change_adjoint,
    )  # fmt: skip
