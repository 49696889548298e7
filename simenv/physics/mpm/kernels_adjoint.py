# SPDX-License-Identifier: Apache-2.0
"""Hand-written adjoints of the particle-grid transfers of MLS-MPM.

Both use the same structure as the forward kernels. G2P is linear in the grid with affine weights, so that its adjoint
is a scatter of an affine field (as P2G is), and the adjoint of P2G is a gather (as G2P is); the derivative with respect
to a particle's position needs one more sweep over the stencil with the slopes of the weights. With node values g, local
offsets d = o - f (cells) and L = sum_i w_i g_i . (q + c_x d_x + c_y d_y + c_z d_z):

    dL/dg_i = w_i (q + c d_i),      dL/df_a = sum_i (dw_i/df_a) g_i . (q + c d_i) - c_a . sum_i w_i g_i
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.columns import DENSITY, LAME_LAMBDA, LAME_MU, VISCOSITY, YIELD_STRESS
from simenv.physics.mpm.constitutive import constitutive_functions
from simenv.physics.mpm.contact import AT_PARTICLES, contact_functions
from simenv.physics.mpm.grid import grid_struct, node_access
from simenv.physics.mpm.kernels_transfer import FIRST_YIELDING
from simenv.physics.mpm.packing import growth_functions, packing_functions
from simenv.physics.mpm.path import path_functions
from simenv.physics.mpm.placing import placing_functions
from simenv.physics.mpm.stencil import stencil_functions
from simenv.physics.mpm.yielding import yielding_functions


@built_once
def adjoint_kernels(
    real,
    batched: bool,
    solids: bool,
    liquids: bool,
    secured: bool,
    yielding: bool,
    sparse: bool = False,
    pathed: bool = False,
    walled: bool = False,
    packs: bool = False,
) -> SimpleNamespace:
    """Build the adjoint kernels.

    The arguments are those of `transfer_kernels`.
    """
    st = stencil_functions(real)
    vec3, vec4, vec8, mat33 = st.vec3, st.vec4, st.vec8, st.mat33
    access = node_access(real, sparse)
    locate, scatter, gather, sweep = access.locate, access.scatter, access.gather, access.sweep
    wide = node_access(real, sparse, 4)  # of the fourth component the slope counts too
    scatter_wide, sweep_wide, mat43 = wide.scatter, wide.sweep, wp.types.matrix((4, 3), real)
    place_adjoint = placing_functions(real).place_adjoint
    pack_adjoint, grows = packing_functions(real).pack_adjoint, growth_functions(real, packs)
    growth, growth_slope = grows.growth, grows.growth_slope
    gs = grid_struct(real)
    Grid, stencil_at, is_inert = gs.Grid, gs.stencil_at, gs.is_inert
    cf = contact_functions(real)
    Colliders, ColliderAdjoints = cf.Colliders, cf.ColliderAdjoints
    collide_particle_adjoint, pushed = cf.collide_particle_adjoint, cf.pushed
    path = path_functions(real)
    stop_particle_adjoint, may_have_met = path.stop_particle_adjoint, path.may_have_met
    law = constitutive_functions(real)
    elastic_update, elastic_update_adjoint = law.elastic_update, law.elastic_update_adjoint
    liquid_stress, liquid_stress_adjoint = law.liquid_stress, law.liquid_stress_adjoint
    flow = yielding_functions(real)
    yielding_update, yielding_update_adjoint = flow.yielding_update, flow.yielding_update_adjoint
    variant = f"{real.__name__}_{'batched' if batched else 'single'}"
    variant += f"_{'s' * solids}{'l' * liquids}{'y' * yielding}"
    variant += f"{'c' * secured}{'b' * sparse}{'w' * pathed}{'t' * walled}{'d' * packs}"
    options = {"module": f"simenv_mpm_adjoint_{variant}", "enable_backward": False}

    @wp.kernel(**options)
    def g2p_adjoint(
        # parameters
        grid: Grid, colliders: Colliders, material: wp.array(dtype=wp.int32), parameters: wp.array(dtype=vec8),
        volume: wp.array(dtype=real), active: wp.array(dtype=wp.int32), start: int, particles: int, materials: int,
        lane: int,
        substep: int,
        # inputs
        x_in: wp.array(dtype=vec3), C_in: wp.array(dtype=mat33), J_in: wp.array(dtype=real),
        v_leaving_in: wp.array(dtype=vec3), velocity_in: wp.array(dtype=vec4),
        adj_x_in: wp.array(dtype=vec3), adj_v_in: wp.array(dtype=vec3),
        adj_C_in: wp.array(dtype=mat33), adjoints: ColliderAdjoints,
        # outputs
        adj_x_out: wp.array(dtype=vec3), adj_velocity_out: wp.array(dtype=vec4), adj_J_inout: wp.array(dtype=real),
        adj_parameters_inout: wp.array(dtype=vec8),
    ):  # fmt: skip
        """Adjoint of `g2p`: scatters the adjoint of the grid velocity, and starts the adjoint of the position.

        `C_in` and `J_in` are of the start of the substep; `v_leaving_in` is what it left, which was gathered unless a
        collider or a rigid body had a say.
        """
        t = wp.tid()
        s = int(0)
        p = t + start
        if wp.static(batched):
            s = t // particles
        adj_x = adj_x_in[p]
        if is_inert(grid, active[p], x_in[p]):
            adj_x_out[p] = adj_x
            return
        x = x_in[p]
        bi, bj, bk, f = stencil_at(grid, x)
        place = locate(grid, s, bi, bj, bk)
        v = v_leaving_in[p]
        adj_slope = vec3()
        if wp.static(packs):
            g = gather(velocity_in, grid, s, place, f)
            slope = vec3(g[7], g[11], g[15])
            adj_moved, adj_gathered = place_adjoint(grid, colliders, s, substep, x, x + grid.dt * v, slope, adj_x)
            adj_x = adj_moved
            adj_slope = adj_gathered
        adj_v = adj_v_in[p] + grid.dt * adj_x
        stops = bool(wp.static(pathed))
        if wp.static(walled and not pathed):
            stops = may_have_met(colliders, s, substep, x, v, grid.dt)
        E = real(0.0)
        if wp.static(packs):
            v = vec3(g[0], g[1], g[2])
            E = g[3]
        elif wp.static(secured or pathed or walled):  # else what was gathered is what the substep left
            if wp.static(secured) or stops:
                g = gather(velocity_in, grid, s, place, f)
                v = vec3(g[0], g[1], g[2])
        if wp.static(pathed or walled):
            if stops:
                near = v
                if wp.static(secured):
                    near = pushed(colliders, s, substep, x, v, AT_PARTICLES, colliders.count)
                met_mass = parameters[s * materials + material[p - s * particles]][DENSITY] * volume[p]
                adj_stop, adj_near, adj_met = stop_particle_adjoint(
                    colliders, s, substep, x, near, met_mass, grid.dt, adj_v, adjoints
                )
                adj_x = adj_x + adj_stop
                adj_v = adj_near
                adj_row = adj_parameters_inout[p]
                adj_row[DENSITY] = adj_row[DENSITY] + adj_met * volume[p]
                adj_parameters_inout[p] = adj_row
        if wp.static(secured):
            par = parameters[s * materials + material[p - s * particles]]
            mass = par[DENSITY] * volume[p]
            adj_contact, adj_v_before, adj_mass = collide_particle_adjoint(
                colliders, s, substep, x, v, mass, grid.dt, AT_PARTICLES, adj_v, adjoints
            )
            adj_x = adj_x + adj_contact
            adj_v = adj_v_before
            adj_par = adj_parameters_inout[p]
            adj_par[DENSITY] = adj_par[DENSITY] + adj_mass * volume[p]
            adj_parameters_inout[p] = adj_par
        B = (real(4.0) * grid.inv_dx) * adj_C_in[p]
        adj_E = real(0.0)
        if wp.static(packs):
            J = J_in[p] * growth(grid.dt * C_in[p])
            adj_J, adj_E = pack_adjoint(J, E, adj_J_inout[p])
            adj_J_inout[p] = adj_J
        q = vec4(adj_v[0], adj_v[1], adj_v[2], adj_E)
        total = vec4(v[0], v[1], v[2], E)
        adj_f = vec3()
        if wp.static(packs):
            B4 = mat43()
            for row in range(3):
                B4[row] = B[row]
            B4[3] = adj_slope
            scatter_wide(adj_velocity_out, grid, lane + s, place, f, q, B4)
            adj_f = sweep_wide(velocity_in, grid, s, place, f, q, B4, total)
        else:
            scatter(adj_velocity_out, grid, lane + s, place, f, q, B)
            adj_f = sweep(velocity_in, grid, s, place, f, q, B, total)
        adj_x_out[p] = adj_x + grid.inv_dx * adj_f

    @wp.kernel(**options)
    def p2g_adjoint(
        # parameters
        grid: Grid, material: wp.array(dtype=wp.int32), kind: wp.array(dtype=wp.int32),
        parameters: wp.array(dtype=vec8),
        volume: wp.array(dtype=real), active: wp.array(dtype=wp.int32), start: int, particles: int, materials: int,
        # inputs
        x_in: wp.array(dtype=vec3), v_in: wp.array(dtype=vec3), C_in: wp.array(dtype=mat33),
        F_in: wp.array(dtype=mat33),
        J_in: wp.array(dtype=real), adj_momentum_in: wp.array(dtype=vec4),
        # outputs
        adj_x_inout: wp.array(dtype=vec3), adj_v_inout: wp.array(dtype=vec3), adj_C_inout: wp.array(dtype=mat33),
        adj_F_inout: wp.array(dtype=mat33), adj_J_inout: wp.array(dtype=real),
        adj_parameters_inout: wp.array(dtype=vec8),
    ):  # fmt: skip
        """Adjoint of `p2g`: replaces the adjoints of the leaving v, C, F and J by those of the entering ones.

        `adj_x_inout` holds what `g2p_adjoint` left. A particle that is not active passes its adjoints on unchanged.
        """
        t = wp.tid()
        s = int(0)
        p = t + start
        if wp.static(batched):
            s = t // particles
        if is_inert(grid, active[p], x_in[p]):
            return
        m = material[p - s * particles]
        par = parameters[s * materials + m]
        C = C_in[p]
        F_trial = mat33()
        J = real(1.0)
        tau = mat33()
        liquid = kind[m] < 0
        solid = kind[m] >= 0 and kind[m] < FIRST_YIELDING
        yields = kind[m] >= FIRST_YIELDING
        bi, bj, bk, f = stencil_at(grid, x_in[p])
        if wp.static(solids):
            if solid:
                F_trial = F_in[p] + grid.dt * (C * F_in[p])
                _F_new, stress = elastic_update(kind[m], F_trial, par[LAME_MU], par[LAME_LAMBDA], par[YIELD_STRESS])
                tau = stress
        if wp.static(yielding):
            if yields:
                _F_new, _J_new, stress, _valid = yielding_update(kind[m], F_in[p], J_in[p], C, par, grid.dt)
                tau = stress
        if wp.static(liquids):
            if liquid:
                J = J_in[p] * growth(grid.dt * C)
                tau = liquid_stress(J, C, par[LAME_LAMBDA], par[VISCOSITY])
        mass = par[DENSITY] * volume[p]
        stress_scale = -real(4.0) * grid.dt * volume[p] * grid.inv_dx
        A = (mass * grid.dx) * C + stress_scale * tau
        v = v_in[p]
        place = locate(grid, s, bi, bj, bk)
        g = gather(adj_momentum_in, grid, s, place, f)
        adj_A = mat33(g[4], g[8], g[12], g[5], g[9], g[13], g[6], g[10], g[14])
        q = vec4(mass * v[0], mass * v[1], mass * v[2], mass)
        adj_f = sweep(adj_momentum_in, grid, s, place, f, q, A, vec4(g[0], g[1], g[2], g[3]))
        adj_x_inout[p] = adj_x_inout[p] + grid.inv_dx * adj_f
        adj_p = vec3(g[0], g[1], g[2])
        adj_v_inout[p] = mass * adj_p
        adj_mass = wp.dot(v, adj_p) + g[3] + grid.dx * wp.ddot(adj_A, C)
        adj_C = (mass * grid.dx) * adj_A
        adj_tau = stress_scale * adj_A
        adj_par = adj_parameters_inout[p]
        adj_par[DENSITY] = adj_par[DENSITY] + adj_mass * volume[p]
        if wp.static(solids):
            if solid:
                adj_trial, adj_mu, adj_lam, adj_yield = elastic_update_adjoint(
                    kind[m], F_trial, par[LAME_MU], par[LAME_LAMBDA], par[YIELD_STRESS], adj_F_inout[p], adj_tau
                )
                adj_C = adj_C + grid.dt * (adj_trial * wp.transpose(F_in[p]))
                adj_F_inout[p] = adj_trial + grid.dt * (wp.transpose(C) * adj_trial)
                adj_par[LAME_MU] = adj_par[LAME_MU] + adj_mu
                adj_par[LAME_LAMBDA] = adj_par[LAME_LAMBDA] + adj_lam
                adj_par[YIELD_STRESS] = adj_par[YIELD_STRESS] + adj_yield
        if wp.static(yielding):
            if yields:
                adj_F, adj_volume, adj_gradient, adj_flow = yielding_update_adjoint(
                    kind[m], F_in[p], J_in[p], C, par, grid.dt, adj_F_inout[p], adj_J_inout[p], adj_tau
                )
                adj_F_inout[p] = adj_F
                adj_J_inout[p] = adj_volume
                adj_C = adj_C + adj_gradient
                adj_par = adj_par + adj_flow
        if wp.static(liquids):
            if liquid:
                adj_J, adj_rate, adj_bulk, adj_viscosity = liquid_stress_adjoint(
                    J, C, par[LAME_LAMBDA], par[VISCOSITY], adj_tau
                )
                adj_J = adj_J + adj_J_inout[p]
                adj_C = adj_C + adj_rate + (grid.dt * J_in[p] * adj_J) * growth_slope(grid.dt * C)
                adj_J_inout[p] = adj_J * growth(grid.dt * C)
                adj_par[LAME_LAMBDA] = adj_par[LAME_LAMBDA] + adj_bulk
                adj_par[VISCOSITY] = adj_par[VISCOSITY] + adj_viscosity
        adj_parameters_inout[p] = adj_par
        adj_C_inout[p] = adj_C

    return SimpleNamespace(g2p_adjoint=g2p_adjoint, p2g_adjoint=p2g_adjoint)
