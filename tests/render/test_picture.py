# SPDX-License-Identifier: Apache-2.0
"""Pictures against projective geometry, and against what a person would expect of glass and liquid."""

import math

import numpy as np
import pytest
import trimesh

from simenv.geometry.shapes import Cup
from simenv.render.items import Camera, MeshItem, ParticleItem, Studio
from simenv.render.meshes import corner_mesh
from simenv.render.picture import Picture
from simenv.render.surface import enclosed_volume, extract_surface

CAMERA = Camera((0.0, -0.4, 0.1), (0.0, 0.0, 0.05), math.radians(30.0))
NOTHING = Studio(ground=None)
TABLE = Studio(ground=0.0, radius=0.4)


def ball(radius, center=(0.0, 0.0, 0.0), color=(0.8, 0.3, 0.2, 1.0)):
    mesh = trimesh.creation.icosphere(subdivisions=5, radius=radius)
    return MeshItem(np.asarray(mesh.vertices) + center, np.asarray(mesh.faces), color)


def cup(color):
    mesh = Cup(inner_radius=0.03, height=0.09, wall=0.004, base=0.006).to_mesh()
    return MeshItem(np.asarray(mesh.vertices), np.asarray(mesh.faces), color)


def block(lower, upper, spacing=0.004):
    axes = [np.arange(lo + 0.5 * spacing, hi, spacing) for lo, hi in zip(lower, upper, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def water_in_cup(level=0.06):
    points = block((-0.03, -0.03, 0.006), (0.03, 0.03, level))
    return points[np.hypot(points[:, 0], points[:, 1]) < 0.028]


def rays(camera, width, height):
    """Unit directions of the pixel centres of a pinhole camera, (height, width, 3), written out independently."""
    focal = 0.5 * height / math.tan(0.5 * camera.fov_y)
    x = (np.arange(width) + 0.5 - 0.5 * width) / focal
    y = -(np.arange(height) + 0.5 - 0.5 * height) / focal
    local = np.stack([*np.meshgrid(x, y), -np.ones((height, width))], -1)
    return (local / np.linalg.norm(local, axis=-1, keepdims=True)) @ camera.axes().T


def test_silhouette_of_a_ball_has_the_area_of_its_projection():
    radius, distance, height = 0.05, 0.5, 240
    camera = Camera((0.0, -distance, 0.0), (0.0, 0.0, 0.0), math.radians(30.0))
    picture = Picture([ball(radius)], camera, NOTHING, 320, height, supersample=1)
    picture.draw()
    focal = 0.5 * height / math.tan(0.5 * camera.fov_y)
    expected = math.pi * (focal * radius) ** 2 / (distance**2 - radius**2)
    assert (picture.depth() > 0.0).sum() == pytest.approx(expected, rel=0.01)


def test_depth_of_ball_and_table_is_exact():
    radius, center = 0.04, np.array([0.01, 0.02, 0.06])
    picture = Picture([ball(radius, center)], CAMERA, TABLE, 160, 120, supersample=1)
    picture.draw()
    direction, origin = rays(CAMERA, 160, 120), np.array(CAMERA.position)
    to = center - origin
    along = direction @ to
    inside = radius**2 - (to @ to - along**2)
    on_ball = np.where(inside > 0, along - np.sqrt(np.maximum(inside, 0)), np.inf)
    on_table = np.where(direction[..., 2] < 0, -origin[2] / np.minimum(direction[..., 2], -1e-9), np.inf)
    expected = np.minimum(on_ball, on_table)
    # At grazing incidence the facets of the ball stand back from the sphere, so its very edge is left out.
    compare = (expected < 2.0) & ((inside <= 0) | (inside > 2e-4))
    assert compare.mean() > 0.5
    assert np.abs(picture.depth() - expected)[compare].max() < 1e-3


def test_shadow_of_a_ball_under_a_vertical_sun_has_its_cross_section():
    studio = Studio(ground=0.0, sun=(0.0, 0.0, 1.0))
    picture = Picture([ball(0.03, (0.0, 0.0, 0.05))], CAMERA, studio, 32, 24, supersample=1)
    geometry = picture._geometry(picture._parts)
    light_map = picture._light_map(geometry, picture._parts).numpy()
    cell = np.prod(np.array(picture._light.map_size)) / light_map[..., 0].size
    assert (1.0 - light_map[..., 0]).sum() * cell == pytest.approx(math.pi * 0.03**2, rel=0.03)


def test_surface_is_closed_and_encloses_the_volume_of_the_particles():
    points = block((-0.04, -0.04, -0.04), (0.04, 0.04, 0.04))
    points = points[np.linalg.norm(points, axis=1) < 0.036]
    surface = extract_surface([ParticleItem(points, spacing=0.004)])
    mesh = trimesh.Trimesh(surface.vertices.numpy(), surface.indices.numpy().reshape(-1, 3), process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert enclosed_volume(surface) == pytest.approx(len(points) * 0.004**3, rel=0.06)
    outward = surface.vertices.numpy() / np.linalg.norm(surface.vertices.numpy(), axis=1, keepdims=True)
    assert (np.einsum("ij,ij->i", outward, surface.normals.numpy()) > 0.95).all()


def test_a_thin_stream_is_not_lost():
    z = np.linspace(0.0, 0.1, 60)
    stream = np.stack([0.001 * np.sin(900 * z), 0.001 * np.cos(900 * z), z], 1)
    vertices = extract_surface([ParticleItem(stream, spacing=0.004)]).vertices.numpy()
    heights, _ = np.histogram(vertices[:, 2], bins=20, range=(0.0, 0.1))
    assert (heights > 0).all()


def test_any_cloud_of_particles_has_a_closed_surface():
    seed = int(np.random.default_rng().integers(2**31))  # drawn anew in each run
    random, spacing = np.random.default_rng(seed), 0.004
    for trial in range(60):
        count = int(random.integers(1, 60))
        clouds = (  # scattered, a thread, a sheet of drops, on a lattice
            lambda n: random.uniform(0.0, 0.05, (n, 3)),
            lambda n: np.cumsum(random.normal(0.0, 1.2 * spacing, (n, 3)), 0),
            lambda n: random.normal(0.0, 1.0, (n, 3)) * (0.05, 0.002, 0.002),
            lambda n: random.integers(0, 8, (n, 3)) * spacing * random.choice([0.9, 1.0, 1.5, 2.0, 3.0]),
        )
        surface = extract_surface([ParticleItem(clouds[trial % 4](count), spacing=spacing)])
        corners = surface.indices.numpy().reshape(-1, 3)
        assert corners.min() >= 0 and corners.max() < len(surface.vertices), (seed, trial)
        edges = np.sort(np.concatenate([corners[:, :2], corners[:, 1:], corners[:, ::2]]), 1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] % 2 == 0).all(), (seed, trial)


@pytest.mark.parametrize("axis", range(3))
def test_two_drops_that_share_only_a_node_are_closed_surfaces(axis: int):
    """A node half-way between them is nearest to their mean, which is no liquid, and its neighbours see neither."""
    spacing = 0.004
    points = np.zeros((2, 3))
    points[:, axis] = np.array([-1.0, 1.0]) * 0.994 * 2.2 * spacing  # 2.2: as far as a particle is seen by nodes
    for smoothing, bodies in ((4, 2), (0, 3)):  # without filters the node is a drop of its own, closed all the same
        surface = extract_surface([ParticleItem(points, spacing=spacing)], smoothing=smoothing)
        vertices, faces = surface.vertices.numpy(), surface.indices.numpy().reshape(-1, 3)
        assert faces.min() == 0 and faces.max() == len(vertices) - 1
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        assert mesh.is_watertight and mesh.is_winding_consistent and mesh.body_count == bodies
        if bodies == 2:
            assert np.linalg.norm(vertices[:, None] - points, axis=2).min(1).max() < spacing


@pytest.mark.parametrize(("radius", "least"), [(1.2, 0.5), (1.6, 0.5), (2.4, 0.65)])  # [spacings]
def test_a_jet_stays_in_one_piece(radius: float, least: float):
    """As an emitter lets it out: particles anywhere in a cylinder, as many as fill its volume."""
    spacing, length, random = 0.004, 0.08, np.random.default_rng(3)
    count = round(math.pi * radius**2 * length / spacing)
    along, turn = length * (np.arange(count) + 0.5) / count, 2 * math.pi * random.random(count)
    away = radius * spacing * np.sqrt(random.random(count))
    jet = np.stack([away * np.cos(turn), away * np.sin(turn), along], 1)
    surface = extract_surface([ParticleItem(jet, spacing=spacing)])
    mesh = trimesh.Trimesh(surface.vertices.numpy(), surface.indices.numpy().reshape(-1, 3))
    assert mesh.body_count == 1
    assert least < enclosed_volume(surface) / (count * spacing**3) < 1.1


def test_no_particle_gives_no_surface_and_a_lost_one_is_reported():
    assert extract_surface([ParticleItem(np.zeros((0, 3)))]) is None
    with pytest.raises(ValueError, match="1 of 2 particles"):
        extract_surface([ParticleItem(np.array([[0.0, 0.0, 0.0], [np.nan, 0.0, 0.0]]))])


def test_normals_are_smooth_on_a_wall_and_sharp_at_a_rim():
    mesh = trimesh.creation.cylinder(radius=1.0, height=2.0, sections=64)
    points, normals = corner_mesh(mesh.vertices, mesh.faces)
    side = np.abs(normals[:, 2]) < 0.5
    radial = points[side][:, :2] / np.linalg.norm(points[side][:, :2], axis=1, keepdims=True)
    assert (np.einsum("ij,ij->i", radial, normals[side][:, :2]) > 0.9999).all()
    assert np.allclose(np.abs(normals[~side][:, 2]), 1.0, atol=1e-6)


def test_liquid_is_drawn_where_its_particles_are():
    picture = Picture([], CAMERA, TABLE, 160, 120)
    empty = picture.draw().astype(int)
    columns = []
    for x in (-0.06, 0.06):
        particles = block((x - 0.02, -0.02, 0.0), (x + 0.02, 0.02, 0.04))
        frame = picture.draw(None, [ParticleItem(particles, (0.1, 0.2, 0.9, 0.99))]).astype(int)
        blue = (frame[..., 2] - frame[..., 0] > 60) & (np.abs(frame - empty).sum(-1) > 60)
        assert blue.sum() > 200
        columns.append(np.nonzero(blue)[1].mean())
    focal = 60.0 / math.tan(0.5 * CAMERA.fov_y)
    expected = 0.12 * focal / np.linalg.norm(np.subtract(CAMERA.position, CAMERA.target))
    assert columns[1] - columns[0] == pytest.approx(expected, rel=0.15)


def test_glass_shows_the_liquid_and_a_solid_cup_hides_it():
    liquid = [ParticleItem(water_in_cup(), (0.9, 0.1, 0.1, 0.9))]
    middle = slice(55, 80), slice(70, 90)
    views = {}
    for name, alpha in (("glass", 0.2), ("solid", 1.0)):
        picture = Picture([cup((0.95, 0.98, 0.97, alpha))], CAMERA, TABLE, 160, 120)
        views[name] = picture.draw().astype(int)[middle], picture.draw(None, liquid).astype(int)[middle]
    before, after = views["glass"]
    assert (after[..., 0] - after[..., 1]).mean() > 60
    assert np.abs(after - before).mean() > 30
    before, after = views["solid"]
    assert np.abs(after - before).max() <= 2


def test_glass_bends_light_only_with_refraction():
    frames = [
        Picture([cup((1.0, 1.0, 1.0, 0.1))], CAMERA, Studio(ground=0.0, refraction=bend), 96, 72).draw()
        for bend in (0, 1)
    ]
    assert np.abs(frames[0].astype(int) - frames[1]).max() > 20


def test_the_same_scene_gives_the_same_bits():
    liquid = [ParticleItem(water_in_cup())]
    item = cup((0.9, 0.97, 0.95, 0.2))
    first = Picture([item], CAMERA, TABLE, 96, 72)
    frame = first.draw(None, liquid)
    first.draw(None, [])
    assert np.array_equal(frame, first.draw(None, liquid))
    assert np.array_equal(frame, Picture([item], CAMERA, TABLE, 96, 72).draw(None, liquid))


def test_two_liquids_keep_their_colours_and_mix_between():
    coffee = ParticleItem(block((-0.04, -0.02, 0.0), (0.0, 0.02, 0.04)), (0.2, 0.1, 0.05, 0.99))
    milk = ParticleItem(block((0.0, -0.02, 0.0), (0.04, 0.02, 0.04)), (0.97, 0.95, 0.9, 0.99))
    surface = extract_surface([coffee, milk])
    x, red = surface.vertices.numpy()[:, 0], surface.colors.numpy()[:, 0]
    assert red[x < -0.02].max() < 0.05
    assert red[x > 0.02].min() > 0.9
    between = red[np.abs(x) < 0.002]
    assert 0.2 < between.mean() < 0.8


def test_spheres_have_their_group_colour():
    red = ParticleItem(np.array([[-0.05, 0.0, 0.05]]), (0.9, 0.05, 0.05, 1.0))
    green = ParticleItem(np.array([[0.05, 0.0, 0.05]]), (0.05, 0.9, 0.05, 1.0))
    picture = Picture([], CAMERA, NOTHING, 160, 120, 1, "spheres", capacity=4, sphere_radius=0.02)
    frame = picture.draw(None, [red, green]).astype(int)
    hit = picture.depth() > 0
    left, right = frame[:, :80][hit[:, :80]], frame[:, 80:][hit[:, 80:]]
    assert len(left) > 100
    assert (left[:, 0] > left[:, 1] + 40).all()
    assert (right[:, 1] > right[:, 0] + 40).all()
    with pytest.raises(ValueError, match="room for 4"):
        picture.draw(None, [ParticleItem(np.zeros((5, 3)))])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"width": 0}, "at least 1"), ({"liquid": "fog"}, "surface"), ({"camera": Camera((0, 0, 1), (0, 0, 0))}, "up")],
)
def test_impossible_pictures_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Picture([], **{"camera": CAMERA, **arguments})
