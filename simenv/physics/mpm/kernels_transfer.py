# SPDX-License-Identifier: Apache-2.0
"""Forward particle-grid transfers of MLS-MPM: bounds, clear, P2G and G2P kernels.

Particles of one launch are stored world after world, ``(S P)``, grids as well, ``(S nx ny nz)`` with z fastest. On the
CPU a launch holds one world and may be cut into lanes, ranges of particles that scatter into private grids on different
threads; on CUDA a launch holds all worlds and scatters with atomics (``batched``).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.columns import DENSITY, LAME_LAMBDA, LAME_MU, VISCOSITY, YIELD_STRESS
from simenv.physics.mpm.constitutive import constitutive_functions
from simenv.physics.mpm.contact import AT_PARTICLES, contact_functions
from simenv.physics.mpm.grid import grid_struct, node_access
from simenv.physics.mpm.packing import growth_functions, packing_functions
from simenv.physics.mpm.path import path_functions
from simenv.physics.mpm.placing import placing_functions
from simenv.physics.mpm.stencil import stencil_functions
from simenv.physics.mpm.yielding import HERSCHEL_BULKLEY, yielding_functions
from simenv.physics.status import INVERTED, LEFT_GRID, NONFINITE, TOO_FAST

LIQUID = -1  # material kind; the others are those of `constitutive.py` (solids) and, from there on, of `yielding.py`
FIRST_YIELDING = HERSCHEL_BULKLEY


# Whether a particle is beyond the margin room[3] of a grid that is room[0..2] cells wide, crosses a cell in a substep,
# or is not a number, for which every comparison is false. Vectorised, as it is asked of every particle.
_NO_ROOM = """
#if defined(__CUDACC__)
    for (int a = 0; a < 3; ++a) {{
        {scalar} g = (x[a] - origin[a]) * inv_dx, reach = speed * v[a];
        if (!(g > room[3] && g < room[a] - room[3] && reach < 1 && reach > -1)) return 1;
    }}
    return 0;
#else
    typedef {scalar} v4 __attribute__((ext_vector_type(4)));
    const v4 g = (v4{{x[0], x[1], x[2], 0}} - v4{{origin[0], origin[1], origin[2], 0}}) * inv_dx;
    const v4 reach = v4{{v[0], v[1], v[2], 0}} * speed;
    const auto in = (g > room[3]) & (g < v4{{room[0], room[1], room[2], 0}} - room[3]) & (reach < 1) & (reach > -1);
    return (in[0] & in[1] & in[2]) == 0;
#endif
"""


@built_once
def transfer_kernels(
    real, batched: bool, solids: bool, liquids: bool, periodic: bool, secured: bool, yielding: bool,
    sparse: bool = False, pathed: bool = False, walled: bool = False, packs: bool = False,
) -> SimpleNamespace:  # fmt: skip
    """Build the forward kernels.

    Args:
        real: ``wp.float32`` or ``wp.float64``.
        batched: whether a launch holds several worlds (CUDA); otherwise it holds one (CPU).
        solids: whether solids of `constitutive.py` occur; code for what does not occur is left out.
        liquids: whether liquids occur.
        periodic: whether a boundary is periodic.
        secured: whether a collider acts on particles as they move (``AT_PARTICLES``).
        yielding: whether materials of `yielding.py` occur.
        sparse: whether the grid is one of blocks.
        pathed: whether a collider acts on particles on their path (``ON_PATH``).
        walled: whether a collider is a thin wall (``AT_WALL``).
        packs: whether volume ratios follow the density of the grid (`packing.py`).
    """
    st = stencil_functions(real)
    vec3, vec4, mat33 = st.vec3, st.vec4, st.mat33
    vec8 = st.vec8
    access = node_access(real, sparse)
    locate, scatter, gather = access.locate, access.scatter, access.gather
    gs = grid_struct(real)
    Grid, first_node, stencil_at, wrap, is_inert = gs.Grid, gs.first_node, gs.stencil_at, gs.wrap, gs.is_inert
    touched_parts = gs.touched_parts
    cf = contact_functions(real)
    Colliders, collide_particle = cf.Colliders, cf.collide_particle
    stop_particle = path_functions(real).stop_particle
    law = constitutive_functions(real)
    elastic_update, liquid_stress = law.elastic_update, law.liquid_stress
    yielding_update = yielding_functions(real).yielding_update
    place = placing_functions(real).place
    pack, growth = packing_functions(real).pack, growth_functions(real, packs).growth
    keeps_F, keeps_J = solids or yielding, liquids or yielding
    variant = f"{real.__name__}_{'batched' if batched else 'single'}"
    variant += f"_{'s' * solids}{'l' * liquids}{'y' * yielding}{'p' * periodic}"
    variant += f"{'c' * secured}{'b' * sparse}{'w' * pathed}{'t' * walled}{'d' * packs}"
    options = {"module": f"simenv_mpm_transfer_{variant}", "enable_backward": False}

    @wp.func
    def extend(bounds: wp.array(dtype=wp.int32), index: int, first: int, last: int):
        wp.atomic_min(bounds, index, first)
        wp.atomic_max(bounds, index + 3, last + 2)

    @wp.kernel(**options)
    def bounds(
        # inputs
        grid: Grid, active: wp.array(dtype=wp.int32), x_in: wp.array(dtype=vec3), start: int, count: int, block: int,
        lane: int,
        # outputs
        bounds_out: wp.array(dtype=wp.int32),
    ):  # fmt: skip
        """Range of nodes that a lane's particles touch: (first, last) along each axis; one world only.

        A thread has `block` particles.
        """
        first = start + wp.tid() * block
        base = lane * 6
        lower = vec3(real(grid.nx), real(grid.ny), real(grid.nz))
        upper = vec3(real(0.0), real(0.0), real(0.0))
        for p in range(first, wp.min(first + block, start + count)):
            if active[p] != 0:
                position = (x_in[p] - grid.origin) * grid.inv_dx
                inside = position[0] > real(0.5) and position[0] < real(grid.nx)
                inside = inside and position[1] > real(0.5) and position[1] < real(grid.ny)
                if inside and position[2] > real(0.5) and position[2] < real(grid.nz):
                    lower = wp.min(lower, position)
                    upper = wp.max(upper, position)
                else:  # also NaN: `first_node` decides
                    extend(bounds_out, base, first_node(position[0], grid.nx), first_node(position[0], grid.nx))
                    extend(bounds_out, base + 1, first_node(position[1], grid.ny), first_node(position[1], grid.ny))
                    extend(bounds_out, base + 2, first_node(position[2], grid.nz), first_node(position[2], grid.nz))
        if lower[0] <= upper[0]:
            extend(bounds_out, base, first_node(lower[0], grid.nx), first_node(upper[0], grid.nx))
            extend(bounds_out, base + 1, first_node(lower[1], grid.ny), first_node(upper[1], grid.ny))
            extend(bounds_out, base + 2, first_node(lower[2], grid.nz), first_node(upper[2], grid.nz))

    @wp.kernel(**options)
    def clear(
        grid: Grid, bounds_in: wp.array(dtype=wp.int32), lane: int, chunk: int, parts: int,
        grid_out: wp.array(dtype=vec4),
    ):  # fmt: skip
        """Set to zero the nodes of a lane's grid inside its bounds; a thread has `parts` times `chunk` of one row."""
        chunks = (grid.nz + chunk - 1) // chunk
        base = lane * 6
        begin, end = touched_parts(grid, bounds_in, lane, lane + 1, wp.tid(), parts)
        for part in range(begin, end):
            row = part // chunks
            s = row // (grid.nx * grid.ny)
            i = (row // grid.ny) % grid.nx
            j = row % grid.ny
            inside = i >= bounds_in[base] and i <= bounds_in[base + 3]
            if inside and j >= bounds_in[base + 1] and j <= bounds_in[base + 4]:
                first = (part - row * chunks) * chunk
                start = (lane + s) * grid.cells + (i * grid.ny + j) * grid.nz
                for k in range(wp.max(first, bounds_in[base + 2]), wp.min(first + chunk, bounds_in[base + 5] + 1)):
                    grid_out[start + k] = vec4()

    @wp.kernel(**options)
    def p2g(
        # parameters
        grid: Grid, material: wp.array(dtype=wp.int32), kind: wp.array(dtype=wp.int32),
        parameters: wp.array(dtype=vec8),
        volume: wp.array(dtype=real), active: wp.array(dtype=wp.int32), start: int, particles: int, materials: int,
        lane: int,
        # inputs
        x_in: wp.array(dtype=vec3), v_in: wp.array(dtype=vec3), C_in: wp.array(dtype=mat33),
        F_in: wp.array(dtype=mat33),
        J_in: wp.array(dtype=real),
        # outputs
        F_out: wp.array(dtype=mat33), J_out: wp.array(dtype=real), grid_out: wp.array(dtype=vec4),
        status_out: wp.array(dtype=wp.int32),
    ):  # fmt: skip
        """Update the deformation with the velocity gradient C, and scatter momentum, mass and stress.

        MLS-MPM (Hu et al. 2018, eq. 16 and 18): node i receives w_i [m v + (m C - dt V 4/dx^2 tau) (x_i - x)], where V
        is the particle's initial volume [m^3] and tau the Kirchhoff stress [Pa] of the updated deformation.
        """
        t = wp.tid()
        s = int(0)
        p = t + start
        if wp.static(batched):
            s = t // particles
        if is_inert(grid, active[p], x_in[p]):
            if wp.static(keeps_F):
                F_out[p] = F_in[p]
            if wp.static(keeps_J):
                J_out[p] = J_in[p]
            return
        m = material[p - s * particles]
        par = parameters[s * materials + m]
        C = C_in[p]
        tau = mat33()
        F = mat33()
        J = real(1.0)
        if wp.static(keeps_F):
            F = F_in[p]
        if wp.static(keeps_J):
            J = J_in[p]
        if wp.static(solids):
            if kind[m] >= 0 and kind[m] < FIRST_YIELDING:
                F_trial = F + grid.dt * (C * F)
                F_new, stress = elastic_update(kind[m], F_trial, par[LAME_MU], par[LAME_LAMBDA], par[YIELD_STRESS])
                F = F_new
                tau = stress
                if wp.determinant(F_trial) <= real(0.0):
                    wp.atomic_or(status_out, s, INVERTED)
        if wp.static(yielding):
            if kind[m] >= FIRST_YIELDING:
                F_new, J_new, stress, valid = yielding_update(kind[m], F, J, C, par, grid.dt)
                if not wp.isfinite(J):  # limits of sand and snow would make a number of it
                    wp.atomic_or(status_out, s, NONFINITE)
                F = F_new
                J = J_new
                tau = stress
                if valid == 0:
                    wp.atomic_or(status_out, s, INVERTED)
        if wp.static(liquids):
            if kind[m] < 0:
                J = J * growth(grid.dt * C)
                tau = liquid_stress(J, C, par[LAME_LAMBDA], par[VISCOSITY])
                if J <= real(0.0):
                    wp.atomic_or(status_out, s, INVERTED)
        if wp.static(keeps_F):
            F_out[p] = F
        if wp.static(keeps_J):
            J_out[p] = J
        mass = par[DENSITY] * volume[p]
        A = (mass * grid.dx) * C - (real(4.0) * grid.dt * volume[p] * grid.inv_dx) * tau
        bi, bj, bk, f = stencil_at(grid, x_in[p])
        v = v_in[p]
        q = vec4(mass * v[0], mass * v[1], mass * v[2], mass)
        scatter(grid_out, grid, lane + s, locate(grid, s, bi, bj, bk), f, q, A)

    @wp.func_native(_NO_ROOM.format(scalar="float" if real is wp.float32 else "double"))
    def no_room(x: vec3, v: vec3, origin: vec3, room: vec4, inv_dx: real, speed: real) -> int: ...

    @wp.func
    def failure(v: vec3, speed: real) -> int:
        # status bit of a particle that has no room
        if not wp.isfinite(v):
            return NONFINITE
        if speed * wp.max(wp.max(wp.abs(v[0]), wp.abs(v[1])), wp.abs(v[2])) >= real(1.0):
            return TOO_FAST
        return LEFT_GRID

    @wp.kernel(**options)
    def g2p(
        # parameters
        grid: Grid, colliders: Colliders, material: wp.array(dtype=wp.int32), parameters: wp.array(dtype=vec8),
        volume: wp.array(dtype=real), active: wp.array(dtype=wp.int32), start: int, particles: int, materials: int,
        substep: int,
        # inputs
        x_in: wp.array(dtype=vec3), v_in: wp.array(dtype=vec3), C_in: wp.array(dtype=mat33),
        velocity_in: wp.array(dtype=vec4),
        # outputs
        x_out: wp.array(dtype=vec3), v_out: wp.array(dtype=vec3), C_out: wp.array(dtype=mat33),
        J_inout: wp.array(dtype=real),
        force_out: wp.array(dtype=vec3), torque_out: wp.array(dtype=vec3), status_out: wp.array(dtype=wp.int32),
    ):  # fmt: skip
        """Gather velocity and its gradient (APIC, Jiang et al. 2015), correct the volume ratio by the density, let
        colliders act on the particle, and move it; where it is put follows the density too.
        """
        t = wp.tid()
        s = int(0)
        p = t + start
        if wp.static(batched):
            s = t // particles
        x = x_in[p]
        if is_inert(grid, active[p], x):
            x_out[p] = x
            v_out[p] = v_in[p]
            C_out[p] = C_in[p]
            return
        bi, bj, bk, f = stencil_at(grid, x)
        g = gather(velocity_in, grid, s, locate(grid, s, bi, bj, bk), f)
        C_out[p] = (real(4.0) * grid.inv_dx) * mat33(g[4], g[8], g[12], g[5], g[9], g[13], g[6], g[10], g[14])
        v = vec3(g[0], g[1], g[2])
        if wp.static(packs):
            J_inout[p] = pack(J_inout[p], g[3])
        if wp.static(secured):
            par = parameters[s * materials + material[p - s * particles]]
            mass = par[DENSITY] * volume[p]
            v = collide_particle(colliders, s, substep, x, v, mass, grid.dt, AT_PARTICLES, force_out, torque_out)
        if wp.static(pathed or walled):
            mass_met = parameters[s * materials + material[p - s * particles]][DENSITY] * volume[p]
            v = stop_particle(colliders, s, substep, x, v, mass_met, grid.dt, force_out, torque_out)
        v_out[p] = v
        x_new = x + grid.dt * v
        if wp.static(packs):
            x_new = place(grid, colliders, s, substep, x, x_new, vec3(g[7], g[11], g[15]))
        room = vec4(real(grid.nx - 1), real(grid.ny - 1), real(grid.nz - 1), real(grid.pad) - real(1.5))
        if wp.static(periodic):
            x_new = wrap(grid, x_new)
        if no_room(x_new, v, grid.origin, room, grid.inv_dx, grid.dt * grid.inv_dx) != 0:
            # the world is stopped, so its particle may stay where it is
            wp.atomic_or(status_out, s, failure(v, grid.dt * grid.inv_dx))
            x_new = x
        x_out[p] = x_new

    return SimpleNamespace(Grid=Grid, bounds=bounds, clear=clear, p2g=p2g, g2p=g2p)
