# SPDX-License-Identifier: Apache-2.0
"""The NumPy reference shapes against their meshes and closed forms, and the sampling of solids and cavities."""

import math

import numpy as np
import pytest
import trimesh

from simenv.assets import path
from simenv.errors import AssetError
from simenv.geometry import (
    Box,
    Capsule,
    Cup,
    Cylinder,
    MeshShape,
    Plane,
    Sphere,
    cavity_volume,
    fill,
    fill_cavity,
)
from simenv.geometry.mesh_check import check_mesh
from simenv.geometry.mesh_sdf import signed_distance

SOLIDS = [
    Box((0.1, 0.05, 0.03)),
    Sphere(0.1),
    Cylinder(0.1, 0.05),
    Capsule(0.06, 0.08),
    Capsule(0.1, 0.0),
    Cup(0.04, 0.1, 0.006, 0.01),
    Cup(0.09, 0.06, 0.01, 0.015),
]
VESSELS = {"glass.stl": 0.09, "bowl.stl": 0.06, "cup.stl": 0.045}  # level [m]


@pytest.mark.parametrize("shape", SOLIDS, ids=repr)
def test_mesh_agrees_with_the_shape(shape):
    mesh = check_mesh(shape.to_mesh())
    assert mesh.volume == pytest.approx(shape.volume(), rel=4e-3)
    np.testing.assert_allclose(mesh.bounds, shape.bounds(), atol=1e-3 * np.ptp(mesh.bounds))
    x = np.random.default_rng(0).uniform(-0.15, 0.15, (2000, 3))
    # an independent route to the distance: triangles and winding numbers; facets lie within the round shape
    assert np.abs(signed_distance(mesh, x) - shape.signed_distance(x)).max() < 4e-4


def test_plane():
    plane = Plane((0.0, 0.0, 5.0))
    np.testing.assert_allclose(plane.signed_distance([[1.0, 2.0, 0.3], [0.0, 0.0, -2.0]]), [0.3, -2.0])
    assert plane.bounds()[1][2] == 0.0
    assert math.isinf(plane.volume())
    top = Plane((1.0, 1.0, 0.0)).to_mesh()
    assert Plane((1.0, 1.0, 0.0)).signed_distance(top.vertices).max() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Sphere(0.0), "radius"),
        (lambda: Sphere(float("nan")), "radius"),
        (lambda: Box((0.1, 0.1)), "half_extents"),
        (lambda: Box((0.1, -0.1, 0.1)), "half_extents"),
        (lambda: Plane((0, 0, 0)), "normal"),
        (lambda: Cup(0.04, 0.1, 0.006, 0.1), "cavity"),
        (lambda: MeshShape("a.stl", scale=0.0), "scale"),
        (lambda: Sphere(0.1).signed_distance(np.zeros(3)), "points"),
    ],
)
def test_bad_numbers_are_named(make, word):
    with pytest.raises(ValueError, match=word):
        make()


@pytest.mark.parametrize("shape", SOLIDS, ids=repr)
def test_fill_holds_the_volume(shape):
    spacing = 0.0025
    points = fill(shape, spacing)
    assert shape.signed_distance(points).max() <= 0.0
    assert len(points) * spacing**3 == pytest.approx(shape.volume(), rel=0.02)
    # no two lattice points may share a cell, and jitter moves by half a spacing at most
    assert len(np.unique(points, axis=0)) == len(points)


def test_fill_repeats_and_follows_its_seed():
    first, again, other = (fill(Sphere(0.1), 0.02, rng=seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[: len(other)], other[: len(first)])
    lattice = fill(Box((0.1, 0.1, 0.1)), 0.02, jitter=0.0)
    assert len(lattice) == 1000
    np.testing.assert_allclose(np.unique(lattice[:, 0].round(9)), np.arange(-0.09, 0.1, 0.02), atol=1e-9)


def test_fill_keeps_clear_of_the_surface():
    points = fill(Sphere(0.1), 0.01, clearance=0.02)
    assert np.linalg.norm(points, axis=1).max() <= 0.08 + 1e-12
    assert len(points) * 0.01**3 == pytest.approx(Sphere(0.08).volume(), rel=0.05)


def test_fill_takes_a_predicate():
    bounds = (np.full(3, -0.1), np.full(3, 0.1))
    points = fill(lambda x: x[:, 2] < 0.0, 0.01, bounds=bounds)
    assert len(points) == pytest.approx(4000, rel=0.02)
    for problem, word in (({}, "bounds"), ({"bounds": bounds, "clearance": 0.1}, "clearance")):
        with pytest.raises(ValueError, match=word):
            fill(lambda x: x[:, 2] < 0.0, 0.01, **problem)


@pytest.mark.parametrize(
    ("keywords", "word"),
    [({"spacing": 0.0}, "spacing"), ({"spacing": 0.01, "jitter": 0.7}, "jitter"), ({"spacing": 1e-5}, "limit")],
)
def test_fill_limits(keywords, word):
    with pytest.raises(ValueError, match=word):
        fill(Sphere(0.1), **keywords)


def test_cup_cavity():
    cup, level, spacing = Cup(0.04, 0.1, 0.006, 0.01), 0.083, 0.0025
    points = fill_cavity(cup, level, spacing)
    expected = math.pi * 0.04**2 * 0.073
    assert cavity_volume(cup, level) == pytest.approx(expected, rel=1e-12)
    assert len(points) * spacing**3 == pytest.approx(expected, rel=0.025)
    assert points[:, 2].max() <= level
    clear = fill_cavity(cup, level, spacing, clearance=0.003)
    assert cup.signed_distance(clear).min() >= 0.003
    for bad in (0.11, 0.01):
        with pytest.raises(ValueError, match="level"):
            fill_cavity(cup, bad, spacing)
    with pytest.raises(ValueError, match="no cavity"):
        fill_cavity(Sphere(0.1), 0.0, spacing)


def profile_volume(mesh, level):
    """Volume of the cavity from slices: the disc inside the inner circle of each horizontal section [m^3]."""
    heights = np.linspace(0.0, level, 201)
    heights = 0.5 * (heights[1:] + heights[:-1])
    total = 0.0
    for z in heights:
        section = mesh.section((0.0, 0.0, 1.0), (0.0, 0.0, z))
        loops = sorted(np.linalg.norm(loop[:, :2], axis=1).mean() for loop in section.discrete)
        if len(loops) == 2:
            total += math.pi * loops[0] ** 2 * level / 200
    return total


@pytest.mark.parametrize(("name", "level"), VESSELS.items())
def test_vessel_cavity(name, level):
    shape, spacing = MeshShape(str(path(name))), 0.0025
    expected = profile_volume(shape.to_mesh(), level)
    points = fill_cavity(shape, level, spacing)
    assert len(points) * spacing**3 == pytest.approx(expected, rel=0.03)
    assert cavity_volume(shape, level) == pytest.approx(expected, rel=0.02)
    assert shape.signed_distance(points).min() >= 0.0
    assert shape.signed_distance(fill_cavity(shape, level, spacing, clearance=0.002)).min() >= 0.002
    with pytest.raises(ValueError, match="runs over"):
        fill_cavity(shape, shape.bounds()[1][2] + 0.002, spacing)


@pytest.mark.parametrize("name", VESSELS)
def test_vessels_are_sound(name):
    mesh = MeshShape(str(path(name))).to_mesh()
    assert mesh.is_watertight
    assert path(name).stat().st_size < 500_000
    assert mesh.bounds[0][2] == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(mesh.bounds[0][:2], -mesh.bounds[1][:2], atol=1e-6)


def test_handles_and_voids_are_no_cavity(tmp_path):
    ring = trimesh.creation.torus(0.05, 0.012)
    ring.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (1, 0, 0)))
    ring.export(tmp_path / "handle.stl")
    hollow = trimesh.creation.icosphere(3, radius=0.05)
    void = trimesh.creation.icosphere(3, radius=0.03)
    void.invert()
    trimesh.util.concatenate([hollow, void]).export(tmp_path / "hollow.stl")
    for name in ("handle.stl", "hollow.stl"):
        with pytest.raises(ValueError, match="no liquid"):
            fill_cavity(MeshShape(str(tmp_path / name)), 0.0, 0.004)
    # a ring lying flat is open below, and doesn't hold liquid either
    trimesh.creation.torus(0.05, 0.012).export(tmp_path / "ring.stl")
    with pytest.raises(ValueError, match="no liquid"):
        fill_cavity(MeshShape(str(tmp_path / "ring.stl")), 0.0, 0.004)


def test_unknown_asset_is_named():
    with pytest.raises(AssetError, match=r"teapot.*glass\.stl"):
        path("teapot.stl")
