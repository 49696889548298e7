# SPDX-License-Identifier: Apache-2.0
"""Warp kernels that turn particles into a surface: splat, filter, normals, and contact with walls.

They run on the CPU only, where a launch is one serial loop: the splats may therefore add without atomics, and give the
same bits every time.
"""

import warp as wp

wp.set_module_options({"enable_backward": False})


@wp.kernel
def splat(
    positions: wp.array(dtype=wp.vec3),
    real: int,
    lower: wp.vec3,
    spacing: float,
    radius: float,
    sums_out: wp.array3d(dtype=wp.vec4),
    images_out: wp.array3d(dtype=float),
    near_out: wp.array3d(dtype=float),
):
    """Adds each particle's weight and weighted offset from the node to all nodes within ``radius`` [m].

    ``near_out`` becomes the distance [m] to the nearest particle, and ``images_out`` holds the part of the weight that
    is due to mirror images: the particles from row ``real`` on.
    """
    tid = wp.tid()
    p = positions[tid]
    lo = (p - lower - wp.vec3(radius)) / spacing
    hi = (p - lower + wp.vec3(radius)) / spacing
    for i in range(wp.max(int(wp.ceil(lo[0])), 0), wp.min(int(wp.floor(hi[0])) + 1, sums_out.shape[0])):
        for j in range(wp.max(int(wp.ceil(lo[1])), 0), wp.min(int(wp.floor(hi[1])) + 1, sums_out.shape[1])):
            for k in range(wp.max(int(wp.ceil(lo[2])), 0), wp.min(int(wp.floor(hi[2])) + 1, sums_out.shape[2])):
                offset = p - lower - spacing * wp.vec3(float(i), float(j), float(k))
                q = 1.0 - wp.dot(offset, offset) / (radius * radius)
                if q > 0.0:
                    w = q * q * q
                    sums_out[i, j, k] = sums_out[i, j, k] + wp.vec4(w, w * offset[0], w * offset[1], w * offset[2])
                    near_out[i, j, k] = wp.min(near_out[i, j, k], wp.length(offset))
                    if tid >= real:
                        images_out[i, j, k] = images_out[i, j, k] + w


@wp.kernel
def splat_color(
    positions: wp.array(dtype=wp.vec3),
    colors: wp.array(dtype=wp.vec4),
    lower: wp.vec3,
    spacing: float,
    radius: float,
    colors_out: wp.array3d(dtype=wp.vec4),
):
    """Adds each particle's weighted colour to the nodes around it; dividing by the summed weight mixes liquids."""
    tid = wp.tid()
    p = positions[tid]
    lo = (p - lower - wp.vec3(radius)) / spacing
    hi = (p - lower + wp.vec3(radius)) / spacing
    for i in range(wp.max(int(wp.ceil(lo[0])), 0), wp.min(int(wp.floor(hi[0])) + 1, colors_out.shape[0])):
        for j in range(wp.max(int(wp.ceil(lo[1])), 0), wp.min(int(wp.floor(hi[1])) + 1, colors_out.shape[1])):
            for k in range(wp.max(int(wp.ceil(lo[2])), 0), wp.min(int(wp.floor(hi[2])) + 1, colors_out.shape[2])):
                offset = p - lower - spacing * wp.vec3(float(i), float(j), float(k))
                q = 1.0 - wp.dot(offset, offset) / (radius * radius)
                if q > 0.0:
                    colors_out[i, j, k] = colors_out[i, j, k] + q * q * q * colors[tid]


@wp.kernel
def wall_images(
    mesh: wp.uint64,
    pose: wp.transform,
    reach: float,
    positions: wp.array(dtype=wp.vec3),
    count_inout: wp.array(dtype=int),
    source_out: wp.array(dtype=int),
    images_out: wp.array(dtype=wp.vec3),
):
    """Mirrors the particles within ``reach`` [m] of a wall in it, and counts them in ``count_inout[0]``.

    With its images a liquid meets the wall at its own level; without them its surface would curl in before the wall.
    """
    tid = wp.tid()
    local = wp.transform_point(wp.transform_inverse(pose), positions[tid])
    query = wp.mesh_query_point_sign_normal(mesh, local, reach)
    if query.result and query.sign > 0.0:
        n = count_inout[0]
        wall = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
        images_out[n] = wp.transform_point(pose, 2.0 * wall - local)
        source_out[n] = tid
        count_inout[0] = n + 1


@wp.kernel
def level_set(
    nodes: wp.array(dtype=wp.vec3i),
    sums: wp.array3d(dtype=wp.vec4),
    near: wp.array3d(dtype=float),
    particle_radius: float,
    ball_radius: float,
    clamp: float,
    phi_out: wp.array3d(dtype=float),
    balls_out: wp.array3d(dtype=float),
):
    """Distance to the weighted mean of nearby particles less their radius (Zhu and Bridson 2005, eq. 2) [m].

    It is even over a body of liquid but shrinks where particles are few; ``balls_out``, the distance to the union of
    balls around the particles, does not. Both are clamped to a narrow band, so that filters move a surface equally in
    and out.
    """
    n = nodes[wp.tid()]
    s = sums[n[0], n[1], n[2]]
    phi = wp.length(wp.vec3(s[1], s[2], s[3])) / s[0] - particle_radius
    phi_out[n[0], n[1], n[2]] = wp.clamp(phi, -clamp, clamp)
    balls_out[n[0], n[1], n[2]] = wp.clamp(near[n[0], n[1], n[2]] - ball_radius, -clamp, clamp)


@wp.kernel
def binomial(
    axis: int, nodes: wp.array(dtype=wp.vec3i), field: wp.array3d(dtype=float), field_out: wp.array3d(dtype=float)
):
    """(1, 4, 6, 4, 1) / 16 along one axis at the given nodes, which must be two away from the border."""
    n = nodes[wp.tid()]
    i = n[0]
    j = n[1]
    k = n[2]
    di = wp.where(axis == 0, 1, 0)
    dj = wp.where(axis == 1, 1, 0)
    dk = wp.where(axis == 2, 1, 0)
    near = field[i - di, j - dj, k - dk] + field[i + di, j + dj, k + dk]
    far = field[i - 2 * di, j - 2 * dj, k - 2 * dk] + field[i + 2 * di, j + 2 * dj, k + 2 * dk]
    field_out[i, j, k] = 0.0625 * far + 0.25 * near + 0.375 * field[i, j, k]


@wp.kernel
def unite(
    nodes: wp.array(dtype=wp.vec3i),
    fine: wp.array3d(dtype=float),
    near: wp.array3d(dtype=float),
    sharp: wp.array3d(dtype=float),
    spacing: float,
    phi_inout: wp.array3d(dtype=float),
):
    """Adds to the smooth surface ``phi_inout`` (in place) what the fine one has well beyond it, and lone particles.

    A body of liquid keeps its even surface; a stream or a drop, which the wide filter swallows, stays. ``near`` is the
    distance to the nearest particle, ``spacing`` that between particles [m]. Nowhere does the surface lie more than
    0.15 of it within the unfiltered one, ``sharp``: that holds a stream of about a spacing's radius together. Where the
    nearest particle is more than 1.5 away, ``sharp`` means nothing: half-way between two particles it says liquid.
    """
    n = nodes[wp.tid()]
    a = phi_inout[n[0], n[1], n[2]]
    margin = 0.35 * spacing
    b = fine[n[0], n[1], n[2]] + margin
    # Balls around the particles grow to their full size only where the filters have left nothing.
    lone = wp.smoothstep(0.3, 0.55, a / spacing) * wp.smoothstep(-0.25, 0.1, b / spacing - 0.35)
    ball = near[n[0], n[1], n[2]] - wp.lerp(0.3, 0.7, lone) * spacing
    h = wp.max(margin - wp.abs(a - b), 0.0) / margin
    c = wp.max(sharp[n[0], n[1], n[2]] + 0.15 * spacing, near[n[0], n[1], n[2]] - 1.5 * spacing)
    phi_inout[n[0], n[1], n[2]] = wp.min(wp.min(wp.min(a, b) - 0.25 * h * h * margin, ball), c)


@wp.kernel
def surface_vertices(
    nodes: wp.array(dtype=wp.vec3i),
    phi: wp.array3d(dtype=float),
    lower: wp.vec3,
    spacing: float,
    count_inout: wp.array(dtype=int),
    edge_out: wp.array4d(dtype=int),
    vertices_out: wp.array(dtype=wp.vec3),
):
    """Marching cubes, first half: a vertex on each of a node's three forward edges that the surface cuts."""
    n = nodes[wp.tid()]
    a = phi[n[0], n[1], n[2]]
    for axis in range(3):
        di = wp.where(axis == 0, 1, 0)
        dj = wp.where(axis == 1, 1, 0)
        dk = wp.where(axis == 2, 1, 0)
        b = phi[n[0] + di, n[1] + dj, n[2] + dk]
        if (a < 0.0) != (b < 0.0):
            t = a / (a - b)
            x = wp.vec3(float(n[0]) + t * float(di), float(n[1]) + t * float(dj), float(n[2]) + t * float(dk))
            vertices_out[count_inout[0]] = lower + spacing * x
            edge_out[n[0], n[1], n[2], axis] = count_inout[0]
            count_inout[0] = count_inout[0] + 1


@wp.kernel
def surface_triangles(
    cells: wp.array(dtype=wp.vec3i),
    phi: wp.array3d(dtype=float),
    edge: wp.array4d(dtype=int),
    corner_offset: wp.array(dtype=wp.vec3i),
    edge_start: wp.array(dtype=wp.vec4i),
    case_range: wp.array(dtype=int),
    case_edges: wp.array(dtype=int),
    count_inout: wp.array(dtype=int),
    indices_out: wp.array(dtype=int),
):
    """Marching cubes, second half: the triangles of each cell, wound so that they face out of the liquid."""
    c = cells[wp.tid()]
    code = int(0)
    for corner in range(8):
        o = corner_offset[corner]
        if phi[c[0] + o[0], c[1] + o[1], c[2] + o[2]] >= 0.0:
            code = code | (1 << corner)
    start = count_inout[0]
    n = case_range[code + 1] - case_range[code]
    for m in range(n):
        e = edge_start[case_edges[case_range[code] + m]]
        indices_out[start + m] = edge[c[0] + e[0], c[1] + e[1], c[2] + e[2], e[3]]
    count_inout[0] = start + n


@wp.func
def _cell(position: wp.vec3, nx: int, ny: int, nz: int) -> wp.vec3i:
    return wp.vec3i(
        wp.clamp(int(position[0]), 0, nx - 2),
        wp.clamp(int(position[1]), 0, ny - 2),
        wp.clamp(int(position[2]), 0, nz - 2),
    )


@wp.func
def _node_gradient(field: wp.array3d(dtype=float), i: int, j: int, k: int) -> wp.vec3:
    x = field[wp.min(i + 1, field.shape[0] - 1), j, k] - field[wp.max(i - 1, 0), j, k]
    y = field[i, wp.min(j + 1, field.shape[1] - 1), k] - field[i, wp.max(j - 1, 0), k]
    z = field[i, j, wp.min(k + 1, field.shape[2] - 1)] - field[i, j, wp.max(k - 1, 0)]
    return wp.vec3(x, y, z)


@wp.kernel
def vertex_attributes(
    vertices: wp.array(dtype=wp.vec3),
    phi: wp.array3d(dtype=float),
    sums: wp.array3d(dtype=wp.vec4),
    color_sums: wp.array3d(dtype=wp.vec4),
    color: wp.vec4,
    lower: wp.vec3,
    spacing: float,
    normals_out: wp.array(dtype=wp.vec3),
    colors_out: wp.array(dtype=wp.vec4),
):
    """Interpolates the level set's gradient, and the mixed colour, at the surface's vertices."""
    tid = wp.tid()
    x = (vertices[tid] - lower) / spacing
    c = _cell(x, phi.shape[0], phi.shape[1], phi.shape[2])
    f = x - wp.vec3(float(c[0]), float(c[1]), float(c[2]))
    gradient = wp.vec3(0.0)
    mixed = wp.vec4(0.0)
    weight = float(0.0)
    for corner in range(8):
        di = corner & 1
        dj = (corner >> 1) & 1
        dk = (corner >> 2) & 1
        w = (
            wp.where(di == 1, f[0], 1.0 - f[0])
            * wp.where(dj == 1, f[1], 1.0 - f[1])
            * wp.where(dk == 1, f[2], 1.0 - f[2])
        )
        gradient += w * _node_gradient(phi, c[0] + di, c[1] + dj, c[2] + dk)
        if color_sums:
            mixed += w * color_sums[c[0] + di, c[1] + dj, c[2] + dk]
            weight += w * sums[c[0] + di, c[1] + dj, c[2] + dk][0]
    normals_out[tid] = wp.normalize(gradient)
    colors_out[tid] = wp.where(weight > 1.0e-6, mixed / wp.max(weight, 1.0e-6), color)


@wp.kernel
def wet_walls(
    mesh: wp.uint64,
    pose: wp.transform,
    reach: float,
    depth: float,
    sums: wp.array3d(dtype=wp.vec4),
    images: wp.array3d(dtype=float),
    lower: wp.vec3,
    spacing: float,
    vertices_inout: wp.array(dtype=wp.vec3),
):
    """Moves the liquid's vertices at a wall a little into it (in place).

    Particles stay about half a cell away from a wall; drawn as it is, that gap would be a film of air, which mirrors.
    Vertices closer than ``reach`` [m], and those that mirror images have put behind the wall however far, end at least
    ``depth`` [m] inside the wall, where the glass hides them.
    """
    tid = wp.tid()
    x = (vertices_inout[tid] - lower) / spacing + wp.vec3(0.5)
    i = wp.clamp(int(x[0]), 0, images.shape[0] - 1)
    j = wp.clamp(int(x[1]), 0, images.shape[1] - 1)
    k = wp.clamp(int(x[2]), 0, images.shape[2] - 1)
    behind = images[i, j, k] > 0.55 * sums[i, j, k][0]
    local = wp.transform_point(wp.transform_inverse(pose), vertices_inout[tid])
    query = wp.mesh_query_point_sign_normal(mesh, local, wp.where(behind, 5.0 * reach, reach))
    if query.result:
        closest = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
        distance = query.sign * wp.length(local - closest)
        outward = wp.mesh_eval_face_normal(mesh, query.face)
        if wp.abs(distance) > 1.0e-3 * reach:
            outward = (local - closest) / distance
        moved = distance
        if distance > 0.5 * reach and not behind:
            # Half of the band closes the gap and the other half is stretched, so that the surface stays in one piece.
            moved = reach - (reach - distance) * 2.0 * (1.0 + depth / reach)
        elif distance > -depth:
            moved = -depth
        vertices_inout[tid] = wp.transform_point(pose, closest + outward * moved)
