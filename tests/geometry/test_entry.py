# SPDX-License-Identifier: Apache-2.0
"""Where rays enter shapes: against sampled distances, beside edges, and derivatives against central differences."""

import numpy as np
import pytest
import warp as wp

from simenv.geometry import Box, Capsule, Cup, Cylinder, Plane, Sphere
from simenv.geometry.distance import pack_shapes
from simenv.geometry.entry import entry_functions
from tests.geometry.test_distance import SCALARS, SHAPES, volume_shape

FIRST, LAST = -1.2, 1.5
KERNELS = {}


def make_kernel(real):
    ns = entry_functions(real)

    @wp.kernel(enable_backward=False, module="unique")
    def find(
        shapes: wp.array(dtype=ns.Shape),
        sdf_values: wp.array(dtype=real),
        first: real,
        last: real,
        x: wp.array(dtype=ns.vec3),
        axis: wp.array(dtype=ns.vec3),
        entry_out: wp.array(dtype=ns.vec4),
    ):
        i = wp.tid()
        entry_out[i] = ns.entry(shapes[0], sdf_values, x[i], axis[i], first, last)

    return find


def entries(packed, x, axis, real=wp.float64, first=FIRST, last=LAST):
    """Gradient (n, 3) and t (n,) of rays."""
    if real not in KERNELS:
        KERNELS[real] = make_kernel(real)
    ns, scalar = entry_functions(real), SCALARS[real]
    structs, values = packed
    found = wp.zeros(len(x), dtype=ns.vec4, device="cpu")
    arrays = [wp.array(np.asarray(a, dtype=scalar), dtype=ns.vec3, device="cpu") for a in (x, axis)]
    shape = wp.array(structs, dtype=ns.Shape, device="cpu")
    inputs = [shape, wp.array(values, dtype=real, device="cpu"), first, last, *arrays]
    wp.launch(KERNELS[real], dim=len(x), inputs=inputs, outputs=[found], device="cpu")
    return found.numpy()[:, :3], found.numpy()[:, 3]


def rays(count, seed=3, extent=0.9):
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=(count, 3))
    flat = rng.random((count, 3)) < 0.15  # some go exactly along an axis or a plane of the shape
    flat[flat.all(1)] = False
    axis[flat] = 0.0
    return rng.uniform(-extent, extent, (count, 3)), axis / np.linalg.norm(axis, axis=1, keepdims=True)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_first_point_from_outside_to_inside(shape):
    x, axis = rays(900)
    g, t = entries(pack_shapes([shape], wp.float64), x, axis)
    samples = np.linspace(FIRST, LAST, 350)
    phi = shape.signed_distance((x[:, None] + samples[:, None] * axis[:, None]).reshape(-1, 3)).reshape(len(x), -1)
    inside = phi[:, 0] < 0
    assert (t[inside] == FIRST).all()
    miss, hit = t == LAST, (t > FIRST) & (t < LAST)
    assert inside.sum() + miss.sum() + hit.sum() == len(x) and hit.sum() > 80 and miss.sum() > 80
    assert (g[~hit] == 0).all() and (phi[miss] > -1e-12).all()
    assert np.abs(shape.signed_distance(x[hit] + t[hit, None] * axis[hit])).max() < 1e-12
    assert (np.where(samples < t[hit, None], phi[hit], 1.0) > -1e-12).all()  # nothing was passed on the way
    # the gradient is that of the face: the distance grows along it on both sides of the surface
    at, e = x[hit] + t[hit, None] * axis[hit], 1e-9
    rise = shape.signed_distance(at + e * g[hit]) - shape.signed_distance(at - e * g[hit])
    assert np.quantile(np.abs(rise / (2 * e) - 1), 0.99) < 1e-5
    assert (np.einsum("ij,ij->i", g, axis)[hit] < 0).all()


@pytest.mark.parametrize("shape", [*SHAPES, None], ids=[*map(repr, SHAPES), "Volume"])
def test_derivatives_equal_central_differences(shape):
    packed = volume_shape()[0] if shape is None else pack_shapes([shape], wp.float64)
    x, axis = rays(3000, 4, 0.9 if shape else 0.6)
    rng = np.random.default_rng(5)
    way, spin = rng.normal(size=(2, *x.shape))
    spin -= axis * np.einsum("ij,ij->i", spin, axis)[:, None]  # the axis stays a unit vector
    e = 1e-6

    def at(s):
        turned = axis + s * spin
        return entries(packed, x + s * way, turned / np.linalg.norm(turned, axis=1, keepdims=True))

    (g, t), (ahead_g, ahead), (behind_g, behind) = at(0.0), at(e), at(-e)
    hit = (t > FIRST) & (t < LAST)
    slope = np.einsum("ij,ij->i", g, axis)
    exact = -(np.einsum("ij,ij->i", g, way) + t * np.einsum("ij,ij->i", g, spin)) / np.where(hit, slope, 1.0)
    difference = (ahead - behind) / (2 * e)
    # a ray near an edge meets another face on one side, and one along a face turns too fast for this step
    same = hit & (np.abs(ahead_g - behind_g).max(1) < 1e-3) & (slope < -0.02)
    assert same.sum() > 0.9 * hit.sum() > 100
    assert (np.abs(difference - exact) / (1 + np.abs(exact)))[same].max() < 1e-5
    if shape is None:
        x0, v = x[hit] + t[hit, None] * axis[hit], volume_phi(packed)
        assert np.abs(v(x0)).max() < 1e-12
        before = v((x[hit, None] + np.linspace(FIRST, t[hit] - 1e-6, 60).T[..., None] * axis[hit, None]).reshape(-1, 3))
        assert before.min() > -1e-3  # a graze shorter than a 256th of the ray may be passed


def volume_phi(packed):
    from tests.geometry.test_distance import Evaluated

    return lambda x: Evaluated(packed, wp.float64, x, x).phi


EDGES = [  # shape, a point of its edge, the way into the shape, the ray's axis, and the normal of the face that is met
    (Cylinder(0.5, 0.2), (0.5, 0, 0.2), (0, 0, -1), (-1, 0, 0), (1, 0, 0)),
    (Cylinder(0.5, 0.2), (0.3, 0.4, -0.2), (0, 0, 1), (-1, 0, 0), (0.6, 0.8, 0)),
    (Cylinder(0.5, 0.2), (0, 0.5, 0.2), (0, -1, 0), (0, 0, -1), (0, 0, 1)),
    (Box((0.5, 0.3, 0.2)), (0.1, 0.3, -0.2), (0, -1, 0), (0, 0, 1), (0, 0, -1)),
    (Box((0.5, 0.3, 0.2)), (0.5, 0.3, 0.2), (0, -0.6, -0.8), (-1, 0, 0), (1, 0, 0)),
    (Cup(0.35, 0.9, 0.06, 0.1), (0.41, 0, 0.9), (0, 0, -1), (-1, 0, 0), (1, 0, 0)),
    (Cup(0.35, 0.9, 0.06, 0.1), (0.35, 0, 0.9), (1, 0, 0), (0, 0, -1), (0, 0, 1)),
    (Cup(0.35, 0.9, 0.06, 0.1), (-0.35, 0, 0.9), (0, 0, -1), (-1, 0, 0), (1, 0, 0)),
]


@pytest.mark.parametrize("real", [wp.float64, wp.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("case", EDGES, ids=lambda case: f"{case[0]!r} {case[1]}")
def test_a_ray_touches_only_on_the_inner_side_of_an_edge(case, real):
    """However near it passes: what a search within a tolerance of the surface gets wrong."""
    shape, edge, into, axis, normal = (case[0], *(np.asarray(part, dtype=float) for part in case[1:]))
    near = np.array([1e-3, 1e-6, 1e-7, 3e-8, 1e-9, 1e-12])
    near = near[near >= (1e-12 if real is wp.float64 else 1e-6)]
    lean = 0.002 * into  # the ray leans a little, away from the face beside the edge
    along = (axis + lean) / np.linalg.norm(axis + lean)
    start = -1e-3 if isinstance(shape, Cup) else FIRST  # a cup has another wall before
    for side, touches in ((1.0, True), (-1.0, False)):
        at = edge + side * near[:, None] * into
        x = at - 0.01 * along  # 0.01 before the plane of the face that carries the edge
        g, t = entries(pack_shapes([shape], real), x, np.tile(along, (len(x), 1)), real, max(start, FIRST), 0.0101)
        if touches:
            np.testing.assert_allclose(t, 0.01, atol=1e-12 if real is wp.float64 else 3e-6)
            np.testing.assert_allclose(g, np.tile(normal, (len(x), 1)), atol=1e-2)
        else:  # it meets the face beside, so much later as it leans
            expected = 0.01 + near * np.linalg.norm(axis + lean) / 0.002
            expected = np.where(expected < 0.0101, expected, 0.0101)
            np.testing.assert_allclose(t, expected, atol=1e-9 if real is wp.float64 else 3e-4)


def test_float32_follows_float64():
    x, axis = rays(2000)
    x, axis = (a.astype(np.float32).astype(np.float64) for a in (x, axis))
    for shape in (*SHAPES, Plane(), Sphere(0.2), Capsule(0.1, 0.2)):
        g, t = entries(pack_shapes([shape], wp.float64), x, axis)
        _, t32 = entries(pack_shapes([shape], wp.float32), x, axis, wp.float32)
        steep = np.einsum("ij,ij->i", g, axis) < -0.1
        assert np.quantile(np.abs(t32 - t)[steep], 0.995) < 1e-5
