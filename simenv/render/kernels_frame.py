# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of a frame: light through glass onto the table, every pixel's colour, and the average of its samples."""

import warp as wp

from simenv.render.kernels_trace import (
    FAR,
    MAX_EVENTS,
    NUDGE,
    OPAQUE,
    Geometry,
    Hit,
    Light,
    Medium,
    backdrop,
    closest_hit,
    cross_surface,
    diffuse,
    fresnel,
    index_of,
    scattering,
    surroundings,
    table,
    transmittance,
)

wp.set_module_options({"enable_backward": False})


@wp.kernel
def photons(g: Geometry, light: Light, rays: int, start: float, photons_out: wp.array2d(dtype=wp.vec3)):
    """Sends one ray of sunlight and adds what arrives to the table's map: shadows and caustics in one.

    The rays start on a regular lattice over the map, so that light that meets nothing arrives evenly. CPU only: the
    serial launch makes the additions safe and repeatable.
    """
    tid = wp.tid()
    u = (float(tid // rays) + 0.5) / float(rays)
    v = (float(tid % rays) + 0.5) / float(rays)
    target = wp.vec3(
        light.map_lower[0] + u * light.map_size[0], light.map_lower[1] + v * light.map_size[1], light.ground
    )
    origin = target + light.sun * start
    direction = -light.sun
    power = wp.vec3(1.0)
    medium = Medium()
    alive = int(1)
    for _event in range(MAX_EVENTS):
        to_ground = FAR
        if direction[2] < -1.0e-4:
            to_ground = (light.ground - origin[2]) / direction[2]
        hit = closest_hit(g, origin, direction, to_ground, 0)
        distance = hit.t
        if hit.mesh < 0 and to_ground >= FAR:
            alive = 0
            break
        power = wp.cw_mul(power, transmittance(medium, distance, light)) * (1.0 - scattering(medium, distance, light))
        if hit.mesh < 0:
            target = origin + direction * distance
            break
        if g.kind[hit.mesh] == OPAQUE:
            alive = 0
            break
        entering = wp.dot(direction, hit.geometric) < 0.0
        after = cross_surface(medium, hit, g, entering)
        ratio = index_of(medium) / index_of(after)
        p = origin + direction * distance
        if ratio != 1.0 and light.refraction == 1:
            n = wp.where(entering, hit.normal, -hit.normal)
            cosine = wp.clamp(-wp.dot(direction, n), 0.0, 1.0)
            reflected = fresnel(cosine, ratio)
            if reflected >= 1.0:
                # Total reflection sends the ray sideways; it lands too far away to matter.
                alive = 0
                break
            power = power * (1.0 - reflected)
            bend = ratio * cosine - wp.sqrt(1.0 - ratio * ratio * (1.0 - cosine * cosine))
            direction = wp.normalize(ratio * direction + bend * n)
        medium = after
        origin = p + direction * NUDGE
    if alive == 1:
        x = (target[0] - light.map_lower[0]) / light.map_size[0] * float(photons_out.shape[0]) - 0.5
        y = (target[1] - light.map_lower[1]) / light.map_size[1] * float(photons_out.shape[1]) - 0.5
        i = int(wp.floor(x))
        j = int(wp.floor(y))
        density = float(photons_out.shape[0] * photons_out.shape[1]) / float(rays * rays)
        for a in range(2):
            for b in range(2):
                if i + a >= 0 and j + b >= 0 and i + a < photons_out.shape[0] and j + b < photons_out.shape[1]:
                    w = wp.abs(1.0 - float(a) - x + float(i)) * wp.abs(1.0 - float(b) - y + float(j))
                    photons_out[i + a, j + b] = photons_out[i + a, j + b] + density * w * power


@wp.func
def follow(
    g: Geometry,
    light: Light,
    photon_map: wp.array2d(dtype=wp.vec3),
    first: Hit,
    start: wp.vec3,
    along: wp.vec3,
    limit: float,
    behind: wp.vec3,
) -> wp.vec3:
    """Colour of a ray whose first surface ``first`` is clear (or a solid made of particles).

    Without refraction the ray stays the camera's, and ends in what Newton has seen: ``behind``, after ``limit`` [m].
    """
    travelled = float(0.0)
    color = wp.vec3(0.0)
    through = wp.vec3(1.0)
    medium = Medium()
    hit = first
    origin = start
    direction = along
    for _event in range(MAX_EVENTS):
        if wp.max(through[0], wp.max(through[1], through[2])) < 0.03:
            break
        distance = hit.t
        scattered = scattering(medium, distance, light)
        if scattered > 0.0:
            c = wp.vec3(medium.tint[0], medium.tint[1], medium.tint[2])
            color += scattered * wp.cw_mul(through, diffuse(c, medium.entry, light))
        through = wp.cw_mul(through, transmittance(medium, distance, light)) * (1.0 - scattered)
        p = origin + direction * distance
        if hit.mesh < 0:
            if light.refraction == 0:
                color += wp.cw_mul(through, behind)
            elif distance < FAR:
                color += wp.cw_mul(through, table(p, direction, light, photon_map))
            else:
                color += wp.cw_mul(through, surroundings(direction, light))
            through = wp.vec3(0.0)
            break
        entering = wp.dot(direction, hit.geometric) < 0.0
        n = wp.where(entering, hit.normal, -hit.normal)
        if wp.dot(direction, n) > 0.0:
            n = wp.where(entering, hit.geometric, -hit.geometric)
        if g.kind[hit.mesh] == OPAQUE:
            albedo = wp.vec3(hit.tint[0], hit.tint[1], hit.tint[2])
            gloss = 0.6 * fresnel(wp.clamp(-wp.dot(direction, n), 0.0, 1.0), 1.0 / 1.4)
            mirrored = surroundings(direction - 2.0 * wp.dot(direction, n) * n, light)
            color += wp.cw_mul(through, diffuse(albedo, n, light) * (1.0 - gloss) + gloss * mirrored)
            through = wp.vec3(0.0)
            break
        after = cross_surface(medium, hit, g, entering)
        ratio = index_of(medium) / index_of(after)
        if ratio != 1.0:
            cosine = wp.clamp(-wp.dot(direction, n), 0.0, 1.0)
            # A ray that goes straight on cannot be totally reflected: both sides then mirror like the outer one.
            reflected = fresnel(cosine, wp.where(light.refraction == 1, ratio, wp.min(ratio, 1.0 / ratio)))
            mirror = direction + 2.0 * cosine * n
            after.entry = n
            if reflected >= 1.0:
                after = medium
                direction = mirror
            else:
                if ratio < 1.0 or index_of(after) > 1.0:
                    # Seen from outside: a mirror image of the studio. Reflections inside the glass are left out.
                    color += reflected * wp.cw_mul(through, surroundings(mirror, light))
                through = through * (1.0 - reflected)
                if light.refraction == 1:
                    bend = ratio * cosine - wp.sqrt(1.0 - ratio * ratio * (1.0 - cosine * cosine))
                    direction = wp.normalize(ratio * direction + bend * n)
        else:
            after.entry = medium.entry
        medium = after
        origin = p + direction * NUDGE
        travelled += distance + NUDGE
        farthest = FAR
        if light.refraction == 0:
            farthest = wp.max(limit - travelled, 0.0)
        elif light.has_ground == 1 and direction[2] < -1.0e-4:
            farthest = wp.max((light.ground - origin[2]) / direction[2], 0.0)
        hit = closest_hit(g, origin, direction, farthest, 1 - light.refraction)
    # A ray still inside after so many reflections carries little light; the backdrop stands in for it.
    return color + 0.5 * wp.cw_mul(through, backdrop(direction))


@wp.func
def sample(
    i: int,
    j: int,
    g: Geometry,
    light: Light,
    photon_map: wp.array2d(dtype=wp.vec3),
    camera: wp.transform,
    rays: wp.array4d(dtype=wp.vec3),
    ground_shape: int,
    opaque_depth: wp.array3d(dtype=float),
    opaque_shape: wp.array3d(dtype=wp.uint32),
    opaque_color: wp.array3d(dtype=wp.vec3),
) -> wp.vec3:
    """Colour of one sample: Newton's opaque hit, or what lies behind clear surfaces in front of it. Linear light."""
    origin = wp.transform_point(camera, rays[i, j, 0, 0])
    direction = wp.normalize(wp.transform_vector(camera, rays[i, j, 0, 1]))
    limit = opaque_depth[0, i, j]
    if limit <= 0.0:
        limit = FAR
    color = opaque_color[0, i, j]
    if limit >= FAR:
        color = backdrop(direction)
    elif int(opaque_shape[0, i, j]) == ground_shape:
        color = table(origin + direction * limit, direction, light, photon_map)
    hit = closest_hit(g, origin, direction, limit, 1)
    if hit.mesh >= 0:
        color = follow(g, light, photon_map, hit, origin, direction, limit, color)
    return develop(color)


@wp.func
def develop(linear: wp.vec3) -> wp.vec3:
    """Linear light to display values in [0, 1]: straight up to 0.7, a soft shoulder above, then the sRGB curve."""
    v = wp.vec3(0.0)
    for k in range(3):
        y = wp.max(linear[k], 0.0)
        if y > 0.7:
            y = 0.7 + 0.3 * (1.0 - wp.exp(-(y - 0.7) / 0.3))
        v[k] = wp.where(y <= 0.0031308, 12.92 * y, 1.055 * wp.pow(y, 1.0 / 2.4) - 0.055)
    return v


@wp.kernel
def shade_first(
    factor: int,
    g: Geometry,
    light: Light,
    photon_map: wp.array2d(dtype=wp.vec3),
    camera: wp.transform,
    rays: wp.array4d(dtype=wp.vec3),
    ground_shape: int,
    opaque_depth: wp.array3d(dtype=float),
    opaque_shape: wp.array3d(dtype=wp.uint32),
    opaque_color: wp.array3d(dtype=wp.vec3),
    first_out: wp.array2d(dtype=wp.vec3),
):
    """One sample per pixel."""
    i, j = wp.tid()
    first_out[i, j] = sample(
        i * factor,
        j * factor,
        g,
        light,
        photon_map,
        camera,
        rays,
        ground_shape,
        opaque_depth,
        opaque_shape,
        opaque_color,
    )


@wp.func
def differs(first: wp.array2d(dtype=wp.vec3), i: int, j: int) -> bool:
    """True where a pixel and one of its neighbours differ enough for the step between them to show."""
    c = first[i, j]
    largest = float(0.0)
    for n in range(4):
        a = wp.clamp(i + wp.where(n == 0, 1, 0) - wp.where(n == 1, 1, 0), 0, first.shape[0] - 1)
        b = wp.clamp(j + wp.where(n == 2, 1, 0) - wp.where(n == 3, 1, 0), 0, first.shape[1] - 1)
        d = first[a, b] - c
        largest = wp.max(largest, wp.max(wp.abs(d[0]), wp.max(wp.abs(d[1]), wp.abs(d[2]))))
    return largest > 0.08


@wp.kernel
def shade_rest(
    factor: int,
    g: Geometry,
    light: Light,
    photon_map: wp.array2d(dtype=wp.vec3),
    camera: wp.transform,
    rays: wp.array4d(dtype=wp.vec3),
    ground_shape: int,
    opaque_depth: wp.array3d(dtype=float),
    opaque_shape: wp.array3d(dtype=wp.uint32),
    opaque_color: wp.array3d(dtype=wp.vec3),
    first: wp.array2d(dtype=wp.vec3),
    image_out: wp.array3d(dtype=wp.uint8),
):
    """Takes a pixel's other samples where the picture has an edge, and writes the average."""
    i, j = wp.tid()
    total = first[i, j]
    count = float(1.0)
    if factor > 1 and differs(first, i, j):
        for n in range(1, factor * factor):
            total += sample(
                i * factor + n // factor,
                j * factor + n % factor,
                g,
                light,
                photon_map,
                camera,
                rays,
                ground_shape,
                opaque_depth,
                opaque_shape,
                opaque_color,
            )
            count += 1.0
    for k in range(3):
        image_out[i, j, k] = wp.uint8(wp.clamp(int(255.0 * total[k] / count + 0.5), 0, 255))


@wp.kernel
def tint_spheres(
    grid: wp.uint64,
    centers: wp.array(dtype=wp.vec3),
    tints: wp.array(dtype=wp.vec3),
    radius: float,
    camera: wp.transform,
    rays: wp.array4d(dtype=wp.vec3),
    particle_shape: wp.uint32,
    depth: wp.array3d(dtype=float),
    shape: wp.array3d(dtype=wp.uint32),
    normal: wp.array3d(dtype=wp.vec3),
    color_inout: wp.array3d(dtype=wp.vec3),
):
    """Multiplies the samples on spheres, which Newton draws white, by the colour of their particle (in place)."""
    i, j = wp.tid()
    if shape[0, i, j] == particle_shape:
        direction = wp.normalize(wp.transform_vector(camera, rays[i, j, 0, 1]))
        hit = wp.transform_point(camera, rays[i, j, 0, 0]) + depth[0, i, j] * direction
        center = hit - radius * normal[0, i, j]
        nearest = int(-1)
        best = radius
        for n in wp.hash_grid_query(grid, center, radius):
            distance = wp.length(centers[n] - center)
            if distance < best:
                best = distance
                nearest = n
        if nearest >= 0:
            color_inout[0, i, j] = wp.cw_mul(color_inout[0, i, j], tints[nearest])
