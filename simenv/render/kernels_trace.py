# SPDX-License-Identifier: Apache-2.0
"""Warp functions that follow a ray through glass and liquid (nested dielectrics), and light the table and backdrop.

Newton's camera finds what is opaque; a ray that meets something clear is followed here, refracted by Snell's law and
weighted by Fresnel's equations at every interface. Where glass and liquid overlap the glass wins, as in a real vessel
(the idea of priorities is from Schmidt and Budge 2002).
"""

import warp as wp

wp.set_module_options({"enable_backward": False})

OPAQUE = wp.constant(0)
GLASS = wp.constant(1)
LIQUID = wp.constant(2)

GLASS_INDEX = wp.constant(1.45)
LIQUID_INDEX = wp.constant(1.33)
MAX_EVENTS = wp.constant(10)
# Step past a surface before the next cast [m]; far below a glass wall, far above float32 resolution at 1 m.
NUDGE = wp.constant(1.0e-5)
FAR = wp.constant(1.0e6)


@wp.struct
class Geometry:
    """The triangle meshes of one picture; arrays have one row per mesh, ``normal`` and ``tint`` one per vertex."""

    count: int
    mesh: wp.array(dtype=wp.uint64)
    pose: wp.array(dtype=wp.transform)
    sphere: wp.array(dtype=wp.vec4)  # world bounding sphere
    kind: wp.array(dtype=int)
    color: wp.array(dtype=wp.vec4)  # linear rgb, a
    start: wp.array(dtype=int)  # first row in `normal` and `tint`
    cast: wp.array(dtype=int)  # 0 where Newton's camera has drawn it already
    normal: wp.array(dtype=wp.vec3)
    tint: wp.array(dtype=wp.vec4)


@wp.struct
class Light:
    """Studio lighting, and the map of the light that reaches the table."""

    sun: wp.vec3  # unit, towards the light
    sun_color: wp.vec3
    sky: wp.vec3
    bounce: wp.vec3
    ground: float
    has_ground: int
    tile: float
    center: wp.vec2
    radius: float
    camera_right: wp.vec3
    camera_up: wp.vec3
    camera_back: wp.vec3
    map_lower: wp.vec2
    map_size: wp.vec2
    reference: float
    refraction: int


@wp.struct
class Hit:
    """Where a ray meets a mesh: distance [m], mesh, unit normals of the face and of its shading, and colour."""

    t: float
    mesh: int
    geometric: wp.vec3
    normal: wp.vec3
    tint: wp.vec4


@wp.func
def closest_hit(g: Geometry, origin: wp.vec3, direction: wp.vec3, limit: float, only_cast: int) -> Hit:
    """Nearest triangle along a ray of unit direction before ``limit`` [m]; ``mesh`` is -1 if there is none."""
    hit = Hit()
    hit.t = limit
    hit.mesh = -1
    for m in range(g.count):
        if only_cast == 1 and g.cast[m] == 0:
            continue
        s = g.sphere[m]
        to = wp.vec3(s[0], s[1], s[2]) - origin
        along = wp.dot(to, direction)
        if wp.dot(to, to) - along * along > s[3] * s[3] or along < -s[3]:
            continue
        inverse = wp.transform_inverse(g.pose[m])
        o = wp.transform_point(inverse, origin)
        d = wp.transform_vector(inverse, direction)
        query = wp.mesh_query_ray(g.mesh[m], o, d, hit.t)
        if query.result and query.t < hit.t:
            i0 = g.start[m] + wp.mesh_get_index(g.mesh[m], query.face * 3)
            i1 = g.start[m] + wp.mesh_get_index(g.mesh[m], query.face * 3 + 1)
            i2 = g.start[m] + wp.mesh_get_index(g.mesh[m], query.face * 3 + 2)
            w = 1.0 - query.u - query.v
            hit.t = query.t
            hit.mesh = m
            hit.geometric = wp.transform_vector(g.pose[m], query.normal)
            smooth = query.u * g.normal[i0] + query.v * g.normal[i1] + w * g.normal[i2]
            hit.normal = wp.normalize(wp.transform_vector(g.pose[m], smooth))
            hit.tint = query.u * g.tint[i0] + query.v * g.tint[i1] + w * g.tint[i2]
    return hit


@wp.func
def panel(direction: wp.vec3, facing: wp.vec3, width: float, height: float) -> float:
    """1 inside a soft-edged rectangular light seen in ``facing`` (unit), 0 outside; sizes are half-tangents."""
    depth = wp.dot(direction, facing)
    if depth <= 0.05:
        return 0.0
    right = wp.normalize(wp.cross(facing, wp.vec3(0.0, 0.0, 1.0)))
    x = wp.abs(wp.dot(direction, right)) / depth
    y = wp.abs(wp.dot(direction, wp.cross(right, facing))) / depth
    return (1.0 - wp.smoothstep(0.8 * width, width, x)) * (1.0 - wp.smoothstep(0.8 * height, height, y))


@wp.func
def backdrop(direction: wp.vec3) -> wp.vec3:
    """The studio wall: light at the horizon, deeper above."""
    up = wp.smoothstep(-0.05, 0.75, direction[2])
    return wp.vec3(0.74, 0.78, 0.82) * (1.0 - up) + wp.vec3(0.30, 0.40, 0.52) * up


@wp.func
def surroundings(direction: wp.vec3, light: Light) -> wp.vec3:
    """What a mirror in the scene would show: the backdrop, two soft boxes and, below, the table's mean colour."""
    c = backdrop(direction)
    if direction[2] < 0.0 and light.has_ground == 1:
        c = wp.lerp(wp.vec3(0.60, 0.60, 0.59), c, wp.smoothstep(-0.3, 0.0, direction[2]))
    left = wp.normalize(0.75 * light.camera_back - 0.9 * light.camera_right + wp.vec3(0.0, 0.0, 0.75))
    right = wp.normalize(wp.vec3(0.0, 0.0, 0.35) + 1.0 * light.camera_right - 0.15 * light.camera_back)
    c += wp.vec3(3.6, 3.6, 3.5) * panel(direction, left, 0.24, 0.42)
    c += wp.vec3(1.5, 1.55, 1.7) * panel(direction, right, 0.16, 0.7)
    return c


@wp.func
def light_on_table(p: wp.vec3, light: Light, photons: wp.array2d(dtype=wp.vec3)) -> wp.vec3:
    """Fraction of the sun that reaches a point of the table, per channel; 1 outside the map."""
    x = (p[0] - light.map_lower[0]) / light.map_size[0] * float(photons.shape[0]) - 0.5
    y = (p[1] - light.map_lower[1]) / light.map_size[1] * float(photons.shape[1]) - 0.5
    if x <= 0.0 or y <= 0.0 or x >= float(photons.shape[0] - 1) or y >= float(photons.shape[1] - 1):
        return wp.vec3(1.0)
    i = int(x)
    j = int(y)
    u = x - float(i)
    v = y - float(j)
    return (1.0 - u) * ((1.0 - v) * photons[i, j] + v * photons[i, j + 1]) + u * (
        (1.0 - v) * photons[i + 1, j] + v * photons[i + 1, j + 1]
    )


@wp.func
def table(p: wp.vec3, direction: wp.vec3, light: Light, photons: wp.array2d(dtype=wp.vec3)) -> wp.vec3:
    """Radiance of the table top at ``p``, fading into the backdrop with distance."""
    albedo = wp.vec3(0.66, 0.655, 0.64)
    if light.tile > 0.0:
        x = p[0] / light.tile
        y = p[1] / light.tile
        if (int(wp.floor(x)) + int(wp.floor(y))) % 2 != 0:
            albedo = wp.vec3(0.585, 0.59, 0.595)
    reach = light_on_table(p, light, photons)
    # The sky is partly hidden where the sun is: half of the map's darkening stands in for that occlusion.
    dim = 0.5 + 0.5 * wp.min(reach[1], 1.0)
    lit = wp.cw_mul(albedo, dim * light.sky + wp.cw_mul(light.sun_color, reach) * light.sun[2])
    away = wp.length(wp.vec2(p[0], p[1]) - light.center)
    fade = wp.smoothstep(0.45, 2.6, away / light.radius)
    return wp.lerp(lit, backdrop(wp.vec3(direction[0], direction[1], 0.0)), fade)


@wp.func
def diffuse(albedo: wp.vec3, normal: wp.vec3, light: Light) -> wp.vec3:
    """Radiance of a matt surface under sun and sky."""
    up = 0.5 * (normal[2] + 1.0)
    hemisphere = up * light.sky + (1.0 - up) * light.bounce
    return wp.cw_mul(albedo, hemisphere + wp.max(wp.dot(normal, light.sun), 0.0) * light.sun_color)


@wp.func
def fresnel(cosine: float, ratio: float) -> float:
    """Unpolarised reflectance of a dielectric interface; ``ratio`` is index before / index after."""
    s2 = ratio * ratio * (1.0 - cosine * cosine)
    if s2 >= 1.0:
        return 1.0
    t = wp.sqrt(1.0 - s2)
    a = (ratio * cosine - t) / (ratio * cosine + t)
    b = (cosine - ratio * t) / (cosine + ratio * t)
    return 0.5 * (a * a + b * b)


@wp.func
def extinction(color: wp.vec3, depth: float) -> wp.vec3:
    """Absorption [1/m] that leaves ``color`` of white light after ``depth`` [m]."""
    return (
        wp.vec3(
            -wp.log(wp.clamp(color[0], 0.01, 1.0)),
            -wp.log(wp.clamp(color[1], 0.01, 1.0)),
            -wp.log(wp.clamp(color[2], 0.01, 1.0)),
        )
        / depth
    )


@wp.func
def exp3(v: wp.vec3) -> wp.vec3:
    """Exponential of each component."""
    return wp.vec3(wp.exp(v[0]), wp.exp(v[1]), wp.exp(v[2]))


@wp.struct
class Medium:
    """What a ray is inside of: how many glass walls, how many liquid surfaces, and the liquid's colour."""

    glass: int
    liquid: int
    glass_color: wp.vec3
    tint: wp.vec4
    entry: wp.vec3


@wp.func
def index_of(m: Medium) -> float:
    """Refractive index of what the ray is in."""
    if m.glass > 0:
        return GLASS_INDEX
    if m.liquid > 0:
        return LIQUID_INDEX
    return 1.0


@wp.func
def cross_surface(m: Medium, hit: Hit, g: Geometry, entering: bool) -> Medium:
    """What the ray is in after it has crossed the surface it hit."""
    step = wp.where(entering, 1, -1)
    if g.kind[hit.mesh] == GLASS:
        m.glass = wp.max(m.glass + step, 0)
        c = g.color[hit.mesh]
        m.glass_color = wp.vec3(c[0], c[1], c[2])
    else:
        m.liquid = wp.max(m.liquid + step, 0)
        m.tint = hit.tint
    return m


@wp.func
def transmittance(m: Medium, distance: float, light: Light) -> wp.vec3:
    """Beer-Lambert absorption over ``distance`` [m] of the medium the ray is in."""
    if m.glass > 0:
        return exp3(-distance * extinction(m.glass_color, 0.4 * light.reference))
    if m.liquid > 0:
        c = wp.vec3(m.tint[0], m.tint[1], m.tint[2])
        return exp3(-distance * extinction(c, light.reference))
    return wp.vec3(1.0)


@wp.func
def scattering(m: Medium, distance: float, light: Light) -> float:
    """Fraction of light that a turbid liquid scatters out of the ray over ``distance`` [m]."""
    if m.glass > 0 or m.liquid == 0:
        return 0.0
    clear = wp.max(1.0 - m.tint[3], 1.0e-3)
    return 1.0 - wp.exp(wp.log(clear) * distance / (0.2 * light.reference))
