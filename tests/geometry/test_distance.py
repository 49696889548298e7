# SPDX-License-Identifier: Apache-2.0
"""The Warp distance functions against the NumPy references, central differences and generated adjoints."""

import numpy as np
import pytest
import warp as wp

from simenv.geometry import Box, Capsule, Cup, Cylinder, MeshShape, Plane, Sphere
from simenv.geometry.distance import KIND_SDF, distance_functions, pack_shapes

SHAPES = [
    Plane((0.3, -0.5, 2.0)),
    Box((0.5, 0.3, 0.2)),
    Sphere(0.5),
    Cylinder(0.5, 0.2),
    Cylinder(0.15, 0.6),
    Capsule(0.3, 0.4),
    Capsule(0.4, 0.0),
    Cup(0.35, 0.9, 0.06, 0.1),  # deep
    Cup(0.7, 0.4, 0.1, 0.12),  # shallow: the floor is nearer than the rim above much of the cavity
]
SCALARS = {wp.float32: np.float32, wp.float64: np.float64}
STEP = 1e-6


def make_kernel(real):
    ns = distance_functions(real)

    @wp.kernel(enable_backward=False, module="unique")
    def evaluate(
        shapes: wp.array(dtype=ns.Shape),
        sdf_values: wp.array(dtype=real),
        x: wp.array(dtype=ns.vec3),
        a: wp.array(dtype=ns.vec3),
        reach: wp.array(dtype=real),
        n_out: wp.array(dtype=ns.vec4),
        g_out: wp.array(dtype=ns.vec3),
        h_out: wp.array(dtype=ns.vec3),
        t_out: wp.array(dtype=ns.vec3),
        adj_out: wp.array(dtype=ns.vec3),
        far_out: wp.array(dtype=wp.int32),
    ):
        i = wp.tid()
        n_out[i] = ns.distance(shapes[0], sdf_values, x[i])
        g_out[i] = ns.distance_gradient(shapes[0], sdf_values, x[i])
        h_out[i] = ns.distance_hessian_product(shapes[0], sdf_values, x[i], a[i])
        t_out[i] = ns.distance_hessian_transpose_product(shapes[0], sdf_values, x[i], a[i])
        adj = ns.vec4(a[i][0], a[i][1], a[i][2], a[i][0])
        adj_out[i] = ns.distance_adjoint(shapes[0], sdf_values, x[i], adj)
        far_out[i] = int(ns.surely_farther(shapes[0], sdf_values, x[i], reach[i]))

    return evaluate


KERNELS = {}


class Evaluated:
    """n (n,3), phi (n,), g (n,3), h = (dn/dx) a, t = (dn/dx)^T a, adj = adjoint with adj_n = a and adj_phi = a_x, and
    far: whether phi is surely more than `reach`.
    """

    def __init__(self, packed, real, x, a, reach=None):
        if real not in KERNELS:
            KERNELS[real] = make_kernel(real)
        ns, scalar = distance_functions(real), SCALARS[real]
        structs, values = packed
        n4 = wp.zeros(len(x), dtype=ns.vec4, device="cpu")
        outs = [wp.zeros(len(x), dtype=ns.vec3, device="cpu") for _ in range(4)]
        inputs = [
            wp.array(structs, dtype=ns.Shape, device="cpu"),
            wp.array(values, dtype=real, device="cpu"),
            wp.array(x.astype(scalar), dtype=ns.vec3, device="cpu"),
            wp.array(a.astype(scalar), dtype=ns.vec3, device="cpu"),
            wp.array(np.zeros(len(x), scalar) if reach is None else reach.astype(scalar), dtype=real, device="cpu"),
        ]
        far = wp.zeros(len(x), dtype=wp.int32, device="cpu")
        wp.launch(KERNELS[real], dim=len(x), inputs=inputs, outputs=[n4, *outs, far], device="cpu")
        self.far = far.numpy()
        self.n, self.phi = n4.numpy()[:, :3], n4.numpy()[:, 3]
        self.g, self.h, self.t, self.adj = (out.numpy() for out in outs)


def volume_shape(real=wp.float64, seed=0):
    """A ball's distance volume with noise, the second of two in the flat array, so that its offset matters."""
    ns = distance_functions(real)
    rng = np.random.default_rng(seed)
    origin, spacing = np.array([-0.5, -0.4, -0.6]), 0.2
    nodes = np.stack(np.meshgrid(*(np.arange(n) for n in (5, 6, 7)), indexing="ij"), axis=-1) * spacing + origin
    values = np.linalg.norm(nodes - (0.1, -0.05, 0.0), axis=-1) - 0.3 + rng.normal(scale=0.02, size=(5, 6, 7))
    shape = ns.Shape()
    shape.kind = KIND_SDF
    shape.sdf_origin = ns.vec3(*origin)
    shape.sdf_spacing = spacing
    shape.sdf_nx, shape.sdf_ny, shape.sdf_nz = values.shape
    shape.sdf_start = 11
    flat = np.concatenate([np.full(11, 1e9), values.ravel(), np.full(3, 1e9)])
    return ([shape], flat.astype(SCALARS[real])), values, origin, spacing


def test_a_cup_is_no_distance_from_its_own_floor_and_wall():
    """Where the planes of floor and wall are met exactly, as by nodes of a grid that a cup stands on."""
    cup = Cup(0.25, 1.0, 0.125, 0.125)
    x = np.array([[0.0, 0.0, 0.125], [0.125, 0.0, 0.125], [0.25, 0.0, 0.5], [0.0, 0.0, 0.0], [0.375, 0.0, 0.5]])
    structs, values = pack_shapes([cup], wp.float64)
    np.testing.assert_array_equal(Evaluated((structs, values), wp.float64, x, x).phi, 0.0)
    np.testing.assert_array_equal(cup.signed_distance(x), 0.0)


def test_what_is_surely_farther_is_farther():
    """The culling of contact: true only where phi > reach, also for a volume whose nearest value lies beyond it."""
    packed, _, origin, spacing = volume_shape()
    x = origin + spacing * np.array([4, 5, 6]) * np.random.default_rng(3).random((4000, 3))
    phi = Evaluated(packed, wp.float64, x, x).phi

    def share(below):
        return Evaluated(packed, wp.float64, x, x, phi - below).far.mean()

    assert share(-1e-9) == 0.0  # phi is below the reach
    assert share(1.5 * spacing) > 0.5 and share(4.0 * spacing) == 1.0  # and it is not blind


def cases():
    return [(type(s).__name__ + str(i), pack_shapes([s], wp.float64)) for i, s in enumerate(SHAPES)] + [
        ("Volume", volume_shape()[0])
    ]


def samples(count=2000, seed=1, extent=1.0):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(count, 3))
    return rng.uniform(-extent, extent, (count, 3)), a / np.linalg.norm(a, axis=1, keepdims=True)


@pytest.mark.parametrize("real", [wp.float64, wp.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_distance_equals_numpy_reference(shape, real):
    x, a = samples()
    found = Evaluated(pack_shapes([shape], real), real, x, a)
    tolerance = 1e-12 if real is wp.float64 else 1e-6
    assert np.abs(found.phi - shape.signed_distance(x)).max() < tolerance
    assert np.abs(np.linalg.norm(found.n, axis=1) - 1.0).max() < tolerance
    assert np.array_equal(found.n, found.g)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_float32_derivatives_follow_float64(shape):
    x, a = samples()
    x = x.astype(np.float32).astype(np.float64)
    single = Evaluated(pack_shapes([shape], wp.float32), wp.float32, x, a)
    double = Evaluated(pack_shapes([shape], wp.float64), wp.float64, x, a)
    scale = 1.0 + np.linalg.norm(double.h, axis=1, keepdims=True)
    same = np.abs(single.n - double.n).max(axis=1) < 1e-4  # a ridge may fall to either side
    assert same.mean() > 0.998
    assert np.abs((single.h - double.h) / scale**2)[same].max() < 1e-4


@pytest.mark.parametrize(("name", "packed"), cases(), ids=[c[0] for c in cases()])
def test_derivatives_equal_central_differences(name, packed):
    x, a = samples()
    at = Evaluated(packed, wp.float64, x, a)
    ahead, behind = (Evaluated(packed, wp.float64, x + s * STEP * a, a) for s in (1.0, -1.0))
    # differences mean nothing across a kink of phi or of n, of which fewer than one point in a hundred may be near
    jump = np.abs(ahead.h - behind.h).max(axis=1) + np.abs(ahead.n - behind.n).max(axis=1)
    smooth = jump < 1e-3
    assert smooth.mean() > 0.98
    slope = (ahead.phi - behind.phi) / (2 * STEP)
    assert np.abs(slope - np.einsum("ij,ij->i", at.g, a))[smooth].max() < 1e-6
    turn = (ahead.n - behind.n) / (2 * STEP)
    error = np.abs(turn - at.h).max(axis=1) / (1.0 + np.abs(at.h).max(axis=1))
    assert error[smooth].max() < 1e-5


@pytest.mark.parametrize(("name", "packed"), cases(), ids=[c[0] for c in cases()])
def test_transpose_and_adjoint_agree_with_the_product(name, packed):
    x, a = samples()
    _, b = samples(seed=2)
    forward, backward = Evaluated(packed, wp.float64, x, a), Evaluated(packed, wp.float64, x, b)
    left = np.einsum("ij,ij->i", b, forward.h)
    right = np.einsum("ij,ij->i", backward.t, a)
    assert np.abs((left - right) / (1.0 + np.abs(left))).max() < 1e-10
    np.testing.assert_allclose(backward.adj, backward.t + backward.g * b[:, :1], rtol=1e-12, atol=1e-12)


def test_generated_backward_uses_the_exact_adjoint():
    ns = distance_functions(wp.float64)

    @wp.kernel(module="unique")
    def weigh(
        shapes: wp.array(dtype=ns.Shape),
        sdf_values: wp.array(dtype=wp.float64),
        x: wp.array(dtype=ns.vec3),
        a: wp.array(dtype=ns.vec3),
        loss_out: wp.array(dtype=wp.float64),
    ):
        i = wp.tid()
        d = ns.distance(shapes[0], sdf_values, x[i])
        wp.atomic_add(loss_out, 0, d[0] * a[i][0] + d[1] * a[i][1] + d[2] * a[i][2] + d[3] * a[i][0])

    (structs, values), *_ = volume_shape()
    x, a = samples(50)
    expected = Evaluated((structs, values), wp.float64, x, a).adj
    with wp.ScopedDevice("cpu"):
        points = wp.array(x, dtype=ns.vec3, requires_grad=True)
        loss = wp.zeros(1, dtype=wp.float64, requires_grad=True)
        with wp.Tape() as tape:
            inputs = [wp.array(structs, dtype=ns.Shape), wp.array(values, dtype=wp.float64), points]
            wp.launch(weigh, dim=50, inputs=[*inputs, wp.array(a, dtype=ns.vec3)], outputs=[loss])
        tape.backward(loss)
        np.testing.assert_allclose(points.grad.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_volume_is_the_quadratic_spline_of_its_values():
    packed, values, origin, spacing = volume_shape()
    x, a = samples(500, extent=0.19)
    u = (x - origin) / spacing
    expected = np.zeros(len(x))
    for index in np.ndindex(values.shape):
        t = np.abs(u - np.array(index))
        basis = np.where(t < 0.5, 0.75 - t**2, np.where(t < 1.5, 0.5 * (1.5 - t) ** 2, 0.0))
        expected += values[index] * basis.prod(axis=1)
    assert np.abs(Evaluated(packed, wp.float64, x, a).phi - expected).max() < 1e-12


def test_volume_is_continuous_at_its_box_and_grows_beyond():
    packed, values, origin, spacing = volume_shape()
    high = origin + spacing * (np.array(values.shape) - 1.5)
    x = np.array([[high[0], 0.0, 0.0], [0.0, high[1], 0.1], [0.1, 0.0, high[2]], high])
    away = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [3**-0.5] * 3])
    on = Evaluated(packed, wp.float64, x, away).phi
    assert np.abs(Evaluated(packed, wp.float64, x + 1e-9 * away, away).phi - on).max() < 1e-7
    assert np.abs(Evaluated(packed, wp.float64, x - 1e-9 * away, away).phi - on).max() < 1e-7
    assert np.abs(Evaluated(packed, wp.float64, x + 2.5 * away, away).phi - on - 2.5).max() < 1e-12


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_degenerate_points_are_finite(shape):
    corner = np.array([c if np.isfinite(c) else 0.0 for c in shape.bounds()[1]])
    x = np.concatenate([np.zeros((1, 3)), corner[None], corner * np.eye(3), [[0.0, 0.0, 0.3], [0.0, 0.0, -2.0]]])
    for real in SCALARS:
        found = Evaluated(pack_shapes([shape], real), real, x, np.ones_like(x))
        assert np.isfinite(found.phi).all() and np.isfinite(found.h).all()
        assert np.abs(np.linalg.norm(found.n, axis=1) - 1.0).max() < 1e-6


def test_pack_shapes_shares_one_volume_of_equal_meshes(sphere_file):
    mesh = MeshShape(sphere_file)
    structs, values = pack_shapes([Sphere(0.1), mesh, MeshShape(sphere_file, 2.0), mesh], spacing=0.008)
    assert structs[1].sdf_start == structs[3].sdf_start == 0
    assert structs[2].sdf_start == mesh.sdf(0.008).values.size
    assert values.dtype == np.float32
    x, a = samples(300, extent=0.12)
    found = Evaluated(([structs[2]], values), wp.float32, x, a)
    radius = np.linalg.norm(x, axis=1)
    assert np.abs(found.phi - (radius - 0.2)).max() < structs[2].sdf_spacing
    far = radius > 0.03
    assert np.abs(found.n - x / radius[:, None])[far].max() < 0.05


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match="float16"):
        distance_functions(wp.float16)
    with pytest.raises(TypeError, match="Cylinder"):
        pack_shapes(["ball"])
