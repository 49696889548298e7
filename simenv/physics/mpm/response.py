# SPDX-License-Identifier: Apache-2.0
"""Contact of a node with a body that answers: the impulse is that of the velocity which the body will have.

At a node of mass m and velocity v, with the notation of `contact.py` and w the velocity relative to the collider as the
tick begins, contact changes the node's velocity by

    v' - v = alpha P (h - w),      P = n n^T + rho (I - n n^T),      h = dU + dOmega x r,

where dU and dOmega are what the tick changes the collider's motion by. The body gets the opposite: the wrench w0 of
h = 0, less Z (dU, dOmega) / dt with the response Z = sum m alpha J^T P J, J = [I, -[r]x], which is symmetric and
positive semidefinite. Bodies solve their motion with Z as inertia, so that contact is inelastic at the velocities of
the end of the tick, whatever the ratio of the masses; node and body get the same number.

Contact acts, and rho is decided, by the motion at the beginning of the tick: where v_n = n . w < 0, and rho is
Coulomb's share of the sliding velocity, min(1, -mu v_n / |v_t|), 0 without friction and 1 of what sticks. So friction
is that of the tick's beginning, but acts against the velocity at its end, and turns nothing round. A node whose body
is pulled away, or comes, in a tick, parts or meets it in the next.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.distance import distance_functions
from simenv.physics.mpm.contact import contact_functions
from simenv.physics.mpm.stencil import stencil_functions

__all__ = ["response_functions"]


@built_once
def response_functions(real) -> SimpleNamespace:
    """Warp functions of the contact of a node with a body that answers, for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        Namespace with the struct ``Meeting``, what contact is at a node, and the functions ``meet``, ``pull`` and
        ``inertia`` with their adjoints.
    """
    st = stencil_functions(real)
    vec3, vec4, mat33 = st.vec3, st.vec4, st.mat33
    mat66 = wp.types.matrix((6, 6), real)
    dist = distance_functions(real)
    distance, distance_adjoint = dist.distance, dist.distance_adjoint
    cf = contact_functions(real)
    Colliders, ColliderAdjoints = cf.Colliders, cf.ColliderAdjoints
    influence, influence_slope = cf.influence, cf.influence_slope
    tiny = wp.constant(real(1.0e-12))

    @wp.struct
    class Meeting:
        alpha: real  # share of contact, 0 if there is none
        ratio: real  # rho
        press: real  # speed at which they close
        phi: real  # distance
        n: vec3
        r: vec3  # from the collider's origin
        w: vec3  # relative velocity as the tick begins

    @wp.func
    def meet(colliders: Colliders, s: int, substep: int, c: int, x: vec3, v: vec3) -> Meeting:
        e = s * colliders.count + c
        pose = (s * colliders.substeps + substep) * colliders.count + c
        here = Meeting()
        here.r = x - colliders.position[pose]
        rotation = colliders.rotation[pose]
        near = distance(colliders.shape[e], colliders.sdf_values, (here.r * rotation) / colliders.scale[e])
        here.phi = near[3] * colliders.scale[e]
        here.n = rotation * vec3(near[0], near[1], near[2])
        alpha = influence(here.phi, colliders.width[c])
        if alpha <= real(0.0):
            return here
        here.w = v - colliders.velocity[pose] - wp.cross(colliders.omega[pose], here.r)
        if colliders.sticky[c] != 0:
            here.alpha = alpha
            here.ratio = real(1.0)
            return here
        w_n = wp.dot(here.n, here.w)
        here.press = -w_n
        if here.press <= real(0.0):
            return here
        here.alpha = alpha
        mu = colliders.friction[e]
        if mu > real(0.0):
            v_t = here.w - w_n * here.n
            here.ratio = wp.min(mu * here.press / wp.max(wp.length(v_t), tiny), real(1.0))
        return here

    @wp.func
    def pull(here: Meeting, towards: vec3) -> vec3:
        # alpha P towards
        return here.alpha * (
            here.ratio * towards + (real(1.0) - here.ratio) * wp.dot(here.n, towards) * here.n
        )  # fmt: skip

    @wp.func
    def spread(here: Meeting) -> mat33:
        # P
        return here.ratio * wp.identity(n=3, dtype=real) + (real(1.0) - here.ratio) * wp.outer(here.n, here.n)

    @wp.func
    def inertia(here: Meeting, mass: real) -> mat66:
        # m alpha J^T P J, linear before angular, about the collider's origin
        A = (mass * here.alpha) * spread(here)
        R = wp.skew(here.r)
        B = -A * R
        D = R * B
        out = mat66()
        for i in range(3):
            for j in range(3):
                out[i, j] = A[i, j]
                out[i, 3 + j] = B[i, j]
                out[3 + j, i] = B[i, j]
                out[3 + i, 3 + j] = D[i, j]
        return out

    @wp.func
    def inertia_adjoint(here: Meeting, mass: real, given: mat66):
        # adjoints of mass, alpha, P and r
        R = wp.skew(here.r)
        LL = mat33()
        LA = mat33()
        AA = mat33()
        for i in range(3):
            for j in range(3):
                LL[i, j] = real(0.5) * (given[i, j] + given[j, i])
                LA[i, j] = real(0.5) * (given[i, 3 + j] + given[3 + j, i])
                AA[i, j] = real(0.5) * (given[3 + i, 3 + j] + given[3 + j, 3 + i])
        right = LA - R * AA  # the right block of J G
        H = LL - R * wp.transpose(LA) + right * R  # J G J^T, with J^T = [I; [r]x]
        P = spread(here)
        along = wp.ddot(H, P)
        K = (real(2.0) * mass * here.alpha) * (P * right)  # of the block -[r]x of J
        adj_r = vec3(K[1, 2] - K[2, 1], K[2, 0] - K[0, 2], K[0, 1] - K[1, 0])
        return here.alpha * along, mass * along, (mass * here.alpha) * H, adj_r

    @wp.func
    def pull_adjoint(here: Meeting, towards: vec3, adj: vec3):
        # adjoints of alpha, P and `towards`
        P = spread(here)
        return wp.dot(adj, P * towards), here.alpha * wp.outer(adj, towards), here.alpha * (P * adj)

    @wp.func
    def place_adjoint(
        colliders: Colliders, s: int, substep: int, c: int, r: vec3, adj_r: vec3, adj_n: vec3, adj_phi: real,
        adjoints: ColliderAdjoints,
    ):  # fmt: skip
        # adds to the adjoints of a collider's pose those of arm, normal and distance at a node
        e = s * colliders.count + c
        pose = (s * colliders.substeps + substep) * colliders.count + c
        scale = colliders.scale[e]
        rotation = colliders.rotation[pose]
        local = (r * rotation) / scale
        near = distance(colliders.shape[e], colliders.sdf_values, local)
        adj_n_local = adj_n * rotation
        adj_near = vec4(adj_n_local[0], adj_n_local[1], adj_n_local[2], adj_phi * scale)
        adj_local = distance_adjoint(colliders.shape[e], colliders.sdf_values, local, adj_near) / scale
        wp.atomic_add(adjoints.position, pose, -(adj_r + rotation * adj_local))
        n_local = vec3(near[0], near[1], near[2])
        wp.atomic_add(adjoints.rotation, pose, wp.outer(adj_n, n_local) + wp.outer(r, adj_local))

    @wp.func
    def meet_adjoint(
        colliders: Colliders, s: int, substep: int, c: int, here: Meeting, adj_alpha: real, adj_P: mat33,
        adj_r: vec3, adj_w: vec3, adjoints: ColliderAdjoints,
    ):  # fmt: skip
        """Adjoint of v, from those of what contact is; it adds those of the collider's motion."""
        e = s * colliders.count + c
        pose = (s * colliders.substeps + substep) * colliders.count + c
        omega = colliders.omega[pose]
        n = here.n
        # P = rho I + (1 - rho) n n^T
        adj_n = (real(1.0) - here.ratio) * ((adj_P + wp.transpose(adj_P)) * n)
        mu = colliders.friction[e]
        if colliders.sticky[c] == 0 and mu > real(0.0) and here.ratio < real(1.0):
            adj_ratio = wp.trace(adj_P) - wp.dot(n, adj_P * n)
            w_n = wp.dot(n, here.w)
            v_t = here.w - w_n * n
            size = wp.max(wp.length(v_t), tiny)
            adj_t = (-adj_ratio * here.ratio / (size * size)) * v_t
            adj_press = adj_ratio * mu / size
            wp.atomic_add(adjoints.friction, e, adj_ratio * here.press / size)
            adj_w = adj_w + adj_t - adj_press * n
            adj_n = adj_n - w_n * adj_t - adj_press * here.w
        adj_r = adj_r - wp.cross(adj_w, omega)
        adj_phi = influence_slope(here.phi, colliders.width[c]) * adj_alpha
        place_adjoint(colliders, s, substep, c, here.r, adj_r, adj_n, adj_phi, adjoints)
        wp.atomic_add(adjoints.velocity, pose, -adj_w)
        wp.atomic_add(adjoints.omega, pose, -wp.cross(here.r, adj_w))
        return adj_w

    return SimpleNamespace(
        Meeting=Meeting, meet=meet, pull=pull, inertia=inertia,
        inertia_adjoint=inertia_adjoint, pull_adjoint=pull_adjoint, meet_adjoint=meet_adjoint,
        place_adjoint=place_adjoint, mat66=mat66,
    )  # fmt: skip
