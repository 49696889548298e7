# SPDX-License-Identifier: Apache-2.0
"""The push of shells on particles before they scatter (``AT_WALL`` of contact.py), and its adjoint.

They are kernels of their own, so that the transfers, which run in every scene, stay small.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.columns import DENSITY
from simenv.physics.mpm.contact import AT_WALL, contact_functions
from simenv.physics.mpm.stencil import stencil_functions


@built_once
def contact_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type (``wp.float32`` or ``wp.float64``)."""
    st = stencil_functions(real)
    vec3, vec8 = st.vec3, st.vec8
    cf = contact_functions(real)
    Colliders, ColliderAdjoints = cf.Colliders, cf.ColliderAdjoints
    collide_particle, collide_particle_adjoint = cf.collide_particle, cf.collide_particle_adjoint
    options = {"module": f"simenv_mpm_contact_{real.__name__}", "enable_backward": False}

    @wp.kernel(**options)
    def push(
        # parameters
        colliders: Colliders, dt: real, material: wp.array(dtype=wp.int32), parameters: wp.array(dtype=vec8),
        volume: wp.array(dtype=real), active: wp.array(dtype=wp.int32), start: int, particles: int, materials: int,
        substep: int,
        # inputs
        x_in: wp.array(dtype=vec3), v_in: wp.array(dtype=vec3),
        # outputs
        v_out: wp.array(dtype=vec3), force_out: wp.array(dtype=vec3), torque_out: wp.array(dtype=vec3),
    ):  # fmt: skip
        """Velocities after the response to all shells, and the shells' wrenches."""
        p = wp.tid() + start
        s = p // particles
        v = v_in[p]
        if active[p] != 0:
            mass = parameters[s * materials + material[p - s * particles]][DENSITY] * volume[p]
            v = collide_particle(colliders, s, substep, x_in[p], v, mass, dt, AT_WALL, force_out, torque_out)
        v_out[p] = v

    @wp.kernel(**options)
    def push_adjoint(
        # parameters
        colliders: Colliders, dt: real, material: wp.array(dtype=wp.int32), parameters: wp.array(dtype=vec8),
        volume: wp.array(dtype=real), active: wp.array(dtype=wp.int32), start: int, particles: int, materials: int,
        substep: int,
        # inputs
        x_in: wp.array(dtype=vec3), v_in: wp.array(dtype=vec3), adjoints: ColliderAdjoints,
        # outputs
        adj_x_inout: wp.array(dtype=vec3), adj_v_inout: wp.array(dtype=vec3),
        adj_parameters_inout: wp.array(dtype=vec8),
    ):  # fmt: skip
        """Adjoint of `push`: replaces the adjoint of the velocity, and adds to those of position and density."""
        p = wp.tid() + start
        s = p // particles
        if active[p] == 0:
            return
        mass = parameters[s * materials + material[p - s * particles]][DENSITY] * volume[p]
        adj_x, adj_v, adj_mass = collide_particle_adjoint(
            colliders, s, substep, x_in[p], v_in[p], mass, dt, AT_WALL, adj_v_inout[p], adjoints
        )
        adj_x_inout[p] = adj_x_inout[p] + adj_x
        adj_v_inout[p] = adj_v
        adj_par = adj_parameters_inout[p]
        adj_par[DENSITY] = adj_par[DENSITY] + adj_mass * volume[p]
        adj_parameters_inout[p] = adj_par

    return SimpleNamespace(push=push, push_adjoint=push_adjoint)
