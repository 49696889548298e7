# SPDX-License-Identifier: Apache-2.0
"""Contact of a particle on the way that it goes in a substep (``ON_PATH`` and ``AT_WALL`` of contact.py), its adjoint.

Nodes hold the velocity field off a solid, but particles, which move with a mean of it, would seep in by a little in
every substep. So a particle at the signed distance phi outside of a solid, of normal n there, approaches it by at most
that distance,

    n . v_rel' >= b,      b = -phi / dt,

relative to the motion that the collider ends the substep with, and one that is inside comes out at the rate of
``AT_PARTICLES``. What is convex cannot be entered. Friction acts as in contact.py, with the impulse that this takes.
The particle moves along its velocity, so that angular momentum is kept as well.

Walls of vessels and meshes (``AT_WALL``) push particles before these scatter, which the grid then shares with all that
is near: a fast one would run through them, half its thickness in a few substeps. There

    b = -(max(phi + d, 0) + g) / dt,      d = 0.05 dx,  g = 0.01 dx,

where the wall itself moves by more than g in a substep; g fades to 0 at phi = -(d + 4 g). So a particle sinks in by
little more than d, while the push moves it out again. Walls that are slower are left as they are.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.distance import distance_functions
from simenv.physics.mpm.contact import AT_PARTICLES, AT_WALL, ON_PATH, contact_functions
from simenv.physics.mpm.stencil import stencil_functions

__all__ = ["path_functions"]


@built_once
def path_functions(real) -> SimpleNamespace:
    """Warp functions for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        Namespace with ``stop_particle`` and its adjoint: the response of a particle to all colliders on its path; and
        ``may_have_met``, whether walls may have stopped it.
    """
    st = stencil_functions(real)
    vec3, vec4 = st.vec3, st.vec4
    dist = distance_functions(real)
    distance, distance_adjoint = dist.distance, dist.distance_adjoint
    cf = contact_functions(real)
    Colliders, ColliderAdjoints, add_wrench = cf.Colliders, cf.ColliderAdjoints, cf.add_wrench
    separation, is_near = cf.separation, cf.is_near
    relative_change, relative_change_adjoint = cf.relative_change, cf.relative_change_adjoint

    @wp.func
    def relative_velocity(colliders: Colliders, pose: int, x: vec3, v: vec3) -> vec3:
        return v - colliders.velocity[pose] - wp.cross(colliders.omega[pose], x - colliders.position[pose])

    @wp.func
    def moves(colliders: Colliders, pose: int, x: vec3, dt: real) -> bool:
        # whether a wall moves by more than g in a substep
        speed = wp.length(colliders.velocity[pose] + wp.cross(colliders.omega[pose], x - colliders.position[pose]))
        return dt * speed > colliders.slack

    @wp.func
    def allowed(colliders: Colliders, c: int, phi: real, dt: real):
        # b and its slope over phi
        if (colliders.levels[c] & ON_PATH) == 0:
            depth = phi + colliders.sink
            if depth > real(0.0):
                return -(depth + colliders.slack) / dt, real(-1.0) / dt
            left = colliders.slack + real(0.25) * depth
            if left <= real(0.0):
                return real(0.0), real(0.0)
            return -left / dt, real(-0.25) / dt
        b = -phi / dt
        slope = real(-1.0) / dt
        if phi < real(0.0):
            b, slope = separation(phi, real(0.0), colliders, AT_PARTICLES)
        return b, slope

    @wp.func
    def may_meet(colliders: Colliders, s: int, substep: int, c: int, x: vec3, v: vec3, dt: real) -> bool:
        level = colliders.levels[c]
        if (level & (ON_PATH | AT_WALL)) == 0:
            return False
        e = s * colliders.count + c
        pose = (s * colliders.substeps + substep) * colliders.count + c
        reach = dt * wp.length(relative_velocity(colliders, pose, x, v))
        if (level & ON_PATH) == 0:
            if not moves(colliders, pose, x, dt):
                return False
        scale = colliders.scale[e]
        local = ((x - colliders.position[pose]) * colliders.rotation[pose]) / scale
        return is_near(colliders, e, local, reach / scale)

    @wp.func
    def may_have_met(colliders: Colliders, s: int, substep: int, x: vec3, v: vec3, dt: real) -> bool:
        for c in range(colliders.count):
            if (colliders.levels[c] & AT_WALL) != 0:
                pose = (s * colliders.substeps + substep) * colliders.count + c
                if moves(colliders, pose, x, dt):
                    return True
        return False

    @wp.func
    def slip(colliders: Colliders, e: int, c: int) -> real:
        # Coulomb's coefficient: what sticks is held by any force
        if colliders.sticky[c] != 0:
            return real(1.0e6)
        return colliders.friction[e]

    @wp.func
    def stop(colliders: Colliders, s: int, substep: int, c: int, x: vec3, v: vec3, dt: real) -> vec3:
        # v' - v
        e = s * colliders.count + c
        pose = (s * colliders.substeps + substep) * colliders.count + c
        scale = colliders.scale[e]
        rotation = colliders.rotation[pose]
        near = distance(colliders.shape[e], colliders.sdf_values, ((x - colliders.position[pose]) * rotation) / scale)
        n = rotation * vec3(near[0], near[1], near[2])
        b, _slope = allowed(colliders, c, near[3] * scale, dt)
        return relative_change(relative_velocity(colliders, pose, x, v), n, slip(colliders, e, c), 0, b)

    @wp.func
    def stop_particle(
        colliders: Colliders, s: int, substep: int, x: vec3, v: vec3, mass: real, dt: real, force: wp.array(dtype=vec3),
        torque: wp.array(dtype=vec3),
    ) -> vec3:  # fmt: skip
        for c in range(colliders.count):
            if may_meet(colliders, s, substep, c, x, v, dt):
                dv = stop(colliders, s, substep, c, x, v, dt)
                v = v + dv
                add_wrench(colliders, s, substep, c, x, mass * dv, dt, force, torque)
        return v

    @wp.func
    def stopped(colliders: Colliders, s: int, substep: int, x: vec3, v: vec3, dt: real, last: int) -> vec3:
        for c in range(last):
            if may_meet(colliders, s, substep, c, x, v, dt):
                v = v + stop(colliders, s, substep, c, x, v, dt)
        return v

    @wp.func
    def stop_adjoint(
        colliders: Colliders, s: int, substep: int, c: int, x: vec3, v: vec3, mass: real, dt: real, adj_v_out: vec3,
        adjoints: ColliderAdjoints,
    ):  # fmt: skip
        """Adjoint of v' = v + `stop` and of its wrench: (adj_x, adj_v, adj_mass)."""
        e = s * colliders.count + c
        pose = (s * colliders.substeps + substep) * colliders.count + c
        scale = colliders.scale[e]
        rotation = colliders.rotation[pose]
        omega = colliders.omega[pose]
        r = x - colliders.position[pose]
        local = (r * rotation) / scale
        near = distance(colliders.shape[e], colliders.sdf_values, local)
        n_local = vec3(near[0], near[1], near[2])
        n = rotation * n_local
        b, slope = allowed(colliders, c, near[3] * scale, dt)
        v_rel = relative_velocity(colliders, pose, x, v)
        mu = slip(colliders, e, c)
        change = relative_change(v_rel, n, mu, 0, b)
        f = (-mass / dt) * change
        adj_f = adjoints.force[e] + wp.cross(adjoints.torque[e], r)
        adj_change = adj_v_out - (mass / dt) * adj_f
        d_rel, adj_n, adj_mu, adj_b = relative_change_adjoint(v_rel, n, mu, 0, b, adj_change)
        adj_v_rel = d_rel - adj_change
        adj_r = wp.cross(f, adjoints.torque[e]) - wp.cross(adj_v_rel, omega)
        adj_n_local = adj_n * rotation
        adj_near = vec4(adj_n_local[0], adj_n_local[1], adj_n_local[2], slope * adj_b * scale)
        adj_local = distance_adjoint(colliders.shape[e], colliders.sdf_values, local, adj_near) / scale
        adj_x = adj_r + rotation * adj_local
        wp.atomic_add(adjoints.position, pose, -adj_x)
        wp.atomic_add(adjoints.rotation, pose, wp.outer(adj_n, n_local) + wp.outer(r, adj_local))
        wp.atomic_add(adjoints.velocity, pose, -adj_v_rel)
        wp.atomic_add(adjoints.omega, pose, -wp.cross(r, adj_v_rel))
        if colliders.sticky[c] == 0:
            wp.atomic_add(adjoints.friction, e, adj_mu)
        return adj_x, adj_v_out + adj_v_rel, -wp.dot(change, adj_f) / dt

    @wp.func
    def stop_particle_adjoint(
        colliders: Colliders, s: int, substep: int, x: vec3, v: vec3, mass: real, dt: real, adj_v: vec3,
        adjoints: ColliderAdjoints,
    ):  # fmt: skip
        adj_x = vec3(real(0.0), real(0.0), real(0.0))
        adj_mass = real(0.0)
        for index in range(colliders.count):
            c = colliders.count - 1 - index
            met = stopped(colliders, s, substep, x, v, dt, c)
            if may_meet(colliders, s, substep, c, x, met, dt):
                d_x, d_v, d_mass = stop_adjoint(colliders, s, substep, c, x, met, mass, dt, adj_v, adjoints)
                adj_x = adj_x + d_x
                adj_v = d_v
                adj_mass = adj_mass + d_mass
        return adj_x, adj_v, adj_mass

    return SimpleNamespace(
        stop_particle=stop_particle, stop_particle_adjoint=stop_particle_adjoint, may_have_met=may_have_met
    )  # fmt: skip
