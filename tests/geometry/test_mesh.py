# SPDX-License-Identifier: Apache-2.0
"""Reading of meshes, the checks of what is no solid, and the cache of distance volumes."""

import subprocess
import sys

import numpy as np
import pytest
import trimesh

from simenv.assets import path
from simenv.errors import AssetError
from simenv.geometry.mesh_check import MAX_FACES, _winding_number, check_mesh, load_mesh
from simenv.geometry.mesh_intersection import self_intersections
from simenv.geometry.mesh_sdf import cache_folder, mesh_sdf, signed_distance


def moved_box(shift, size=(1.0, 1.0, 1.0)):
    box = trimesh.creation.box(size)
    box.apply_translation(shift)
    return box


def pair(shift, size=(1.0, 1.0, 1.0)):
    return trimesh.util.concatenate([trimesh.creation.box((1, 1, 1)), moved_box(shift, size)])


def without_faces(mesh, count):
    return trimesh.Trimesh(mesh.vertices, mesh.faces[count:], process=False)


def with_faces(mesh, faces):
    return trimesh.Trimesh(mesh.vertices, faces, process=False)


def flipped(mesh, count):
    faces = mesh.faces.copy()
    faces[:count] = faces[:count, ::-1]
    return with_faces(mesh, faces)


def not_finite():
    mesh = trimesh.creation.box((1, 1, 1))
    vertices = mesh.vertices.copy()
    vertices[3, 1] = np.nan
    return trimesh.Trimesh(vertices, mesh.faces, process=False)


def inverted_part():
    other = moved_box((2, 0, 0), (0.5, 0.5, 0.5))
    other.invert()
    return trimesh.util.concatenate([trimesh.creation.box((1, 1, 1)), other])


def folded():
    """A tetrahedron whose base has a fourth corner, pulled across the opposite edge so that the base folds over."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.3, 0.3, 1.0], [0.5, -0.4, 0.0]], dtype=float)
    faces = [[1, 0, 4], [2, 1, 4], [0, 2, 4], [0, 1, 3], [1, 2, 3], [2, 0, 3]]
    return trimesh.Trimesh(points, faces, process=False)


SOUND = {
    "box": trimesh.creation.box((1, 1, 1)),
    "two boxes": pair((1.5, 0, 0)),
    "ball": trimesh.creation.icosphere(4),
    "ring": trimesh.creation.torus(1.0, 0.3),
    "tube": trimesh.creation.annulus(0.5, 1.0, 1.0),
    "fan of slivers": trimesh.creation.cylinder(1.0, 0.1, sections=720),
    "capsule": trimesh.creation.capsule(1.0, 0.3),
}
BROKEN = {
    "hole": (lambda: without_faces(trimesh.creation.icosphere(2), 3), "open edges"),
    "open cylinder": (lambda: without_faces(trimesh.creation.box((1, 1, 1)), 2), "close the holes"),
    "wound differently": (lambda: flipped(trimesh.creation.icosphere(2), 1), "wound inconsistently"),
    "inside out": (lambda: flipped(trimesh.creation.icosphere(2), None), "inside out"),
    "a part inside out": (inverted_part, "inside out"),
    "doubled": (lambda: pair((0, 0, 0)), "more than two faces"),
    "touching": (lambda: pair((1, 0, 0)), "more than two faces"),
    "touching in part": (lambda: pair((1, 0.2, 0.1)), "passes through itself"),
    "corner in corner": (lambda: pair((0.5, 0.5, 0.5)), "itself|another part"),
    "crossing bars": (lambda: pair((0, 0, 0), (3.0, 0.2, 0.3)), "passes through itself"),
    "spindle torus": (lambda: trimesh.creation.torus(0.2, 0.3), "passes through itself"),
    "nested": (lambda: pair((0, 0, 0), (0.5, 0.5, 0.5)), "another part"),
    "folded": (folded, "passes through itself"),
    "not finite": (not_finite, "finite"),
    "index": (lambda: trimesh.Trimesh(np.eye(3), [[0, 1, 7]], process=False, validate=False), "indices"),
    "large": (lambda: trimesh.creation.box((110, 90, 90)), r"scale=0\.001"),
    "tiny": (lambda: trimesh.creation.box((1e-5, 1e-5, 1e-5)), "larger scale"),
    "far away": (lambda: moved_box((5e5, 0, 0)), "origin"),
    "no faces": (lambda: trimesh.Trimesh(np.eye(3), np.zeros((0, 3), dtype=int), process=False), "no triangles"),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_meshes_pass(name):
    mesh = SOUND[name]
    checked = check_mesh(mesh)
    assert checked.volume == pytest.approx(mesh.volume, rel=1e-9)
    turn = trimesh.transformations.euler_matrix(0.3, 0.7, 1.1)  # the same in general position
    assert check_mesh(mesh.copy().apply_transform(turn)).volume == pytest.approx(mesh.volume, rel=1e-9)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_meshes_are_named(name):
    make, message = BROKEN[name]
    with pytest.raises(AssetError, match=message):
        check_mesh(make())


def test_hole_is_counted_and_placed():
    mesh = trimesh.creation.box((1, 1, 1))
    top = np.flatnonzero(mesh.face_normals[:, 2] > 0.9)
    with pytest.raises(AssetError, match=r"4 open edges between \(-0\.5, -0\.5, 0\.5\) m and \(0\.5, 0\.5, 0\.5\) m"):
        check_mesh(with_faces(mesh, np.delete(mesh.faces, top, axis=0)))


@pytest.mark.parametrize("shift", [(0.5, 0.5, 0.5), (0.31, 0.17, 0.93), (0.999, 0.3, 0.2)])
def test_interpenetrating_boxes_intersect(shift):
    mesh = pair(shift)
    assert self_intersections(np.asarray(mesh.vertices), np.asarray(mesh.faces))[0] > 0
    apart = pair(np.array(shift) + (1.0, 0.0, 0.0))
    assert self_intersections(np.asarray(apart.vertices), np.asarray(apart.faces))[0] == 0


def test_wall_pushed_through_its_opposite_wall():
    mesh = trimesh.creation.icosphere(4)
    vertices = mesh.vertices.copy()
    dent = vertices[:, 2] > 0.9
    vertices[dent, 2] -= 2.2  # the top now lies below the bottom
    with pytest.raises(AssetError, match="passes through itself"):
        check_mesh(trimesh.Trimesh(vertices, mesh.faces, process=False))


def test_too_many_faces_are_refused():
    faces = np.zeros((MAX_FACES + 1, 3), dtype=np.int64)
    with pytest.raises(AssetError, match=str(MAX_FACES)):
        check_mesh(trimesh.Trimesh(np.eye(3), faces, process=False, validate=False))


def test_files_of_all_formats(tmp_path):
    ball = trimesh.creation.icosphere(2, radius=50.0)
    for name in ("ball.stl", "ball.obj", "ball.ply", "ball.off", "text.STL"):
        kind = "stl_ascii" if name == "text.STL" else None
        ball.export(tmp_path / name, file_type=kind)
        mesh = load_mesh(tmp_path / name, scale=0.001)
        assert mesh.volume == pytest.approx(ball.volume * 1e-9, rel=1e-5)
    with pytest.raises(AssetError, match="larger scale"):
        load_mesh(tmp_path / "ball.stl", scale=1e-9)
    with pytest.raises(AssetError, match="scale"):
        load_mesh(tmp_path / "ball.stl", scale=float("nan"))


def test_bad_files_are_named(tmp_path):
    with pytest.raises(AssetError, match="does not exist"):
        load_mesh(tmp_path / "none.stl")
    (tmp_path / "ball.step").write_bytes(b"x")
    with pytest.raises(AssetError, match=r"\.step.*\.stl"):
        load_mesh(tmp_path / "ball.step")
    for kind in ("stl", "obj", "ply", "off"):
        for number, content in enumerate((b"", b"\0" * 200, b"solid\n", b"garbage " * 50, bytes(range(256)) * 8)):
            file = tmp_path / f"{number}.{kind}"
            file.write_bytes(content)
            with pytest.raises(AssetError):
                load_mesh(file)
    lie = b"ply\nformat binary_little_endian 1.0\nelement vertex 99999999999\nproperty float x\nend_header\n"
    (tmp_path / "lie.ply").write_bytes(lie)
    with pytest.raises(AssetError, match="promises"):
        load_mesh(tmp_path / "lie.ply")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("six.stl", b"\0" * 6, r"has 6 bytes, and the header of an STL file alone has 84; it is truncated"),
        ("header.stl", b"\0" * 83, r"has 83 bytes, and the header"),
        ("none.stl", b"\0" * 84, r"holds no triangles"),
        (
            "one.stl",
            b"\0" * 80 + b"\1\0\0\0" + b"\0" * 49,
            r"has 133 bytes, but its header promises 1 faces \(134 bytes\)",
        ),
        ("text.stl", b"solid ball\n facet normal 0 0 1\n  outer loop\n", "holds no triangles.*it is truncated"),
        ("six.ply", b"ply\nfo", r"has 6 bytes, and no PLY header from 'ply' to 'end_header'"),
        ("other.ply", b"solid\nend_header\n", "no PLY file"),
        ("six.obj", b"v 0 1 ", "it is truncated or damaged"),
        ("six.off", b"OFF\n8 ", "can't be read as OFF.*truncated or damaged"),
        ("six.glb", b"glTF\0\0", r"unknown extension '\.glb'; convert it to one of \.stl"),
        ("empty.obj", b"", "is empty"),
    ],
)
def test_files_cut_short_say_so_in_numbers_that_are_true(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AssetError, match=message) as error:
        load_mesh(tmp_path / name)
    assert "-" not in str(error.value).replace(str(tmp_path), ""), "no counts below zero"
    with pytest.raises(AssetError, match="is a folder; name the file in it"):
        load_mesh(tmp_path)


@pytest.mark.parametrize("kind", ["stl", "stl_ascii", "obj", "ply", "ply_ascii", "off"])
def test_truncated_and_damaged_files(tmp_path, kind):
    ball = trimesh.creation.icosphere(2, radius=0.1)
    options = {"encoding": "ascii"} if kind == "ply_ascii" else {}
    data = ball.export(file_type=kind.replace("ply_ascii", "ply"), **options)
    data = data.encode() if isinstance(data, str) else data
    rng = np.random.default_rng(len(kind))
    file = tmp_path / f"ball.{kind.split('_')[0]}"
    refused = 0
    for trial in range(60):
        damaged = bytearray(data[: rng.integers(0, len(data))] if trial % 2 else data)
        for place in rng.integers(0, len(damaged), 3) if trial % 2 == 0 else ():
            damaged[place] = rng.integers(0, 256)
        file.write_bytes(damaged)
        try:
            mesh = load_mesh(file)
        except AssetError:
            refused += 1
        else:
            assert mesh.is_watertight
            assert mesh.volume > 0.0
    assert refused >= 25  # nearly every truncation loses faces


def test_sphere_volume_is_accurate():
    mesh = trimesh.creation.icosphere(5, radius=0.1)
    grid = mesh_sdf(mesh, spacing=0.005)
    assert grid.values.dtype == np.float32
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.values.shape), indexing="ij"), axis=-1)
    exact = np.linalg.norm(index * grid.spacing + grid.origin, axis=-1) - 0.1
    assert np.abs(grid.values - exact).max() < 0.1 * grid.spacing
    with pytest.raises(ValueError, match="read-only"):
        grid.values[0, 0, 0] = 0.0
    default = mesh_sdf(trimesh.creation.box((0.1, 0.02, 0.01)))
    assert default.spacing == pytest.approx(0.1 / 96, rel=1e-12)


def test_signs_of_a_vessel_are_right():
    """The signs of the volume are carried along lines of values; here they meet the known profile."""
    mesh = load_mesh(path("glass.stl"))
    grid = mesh_sdf(path("glass.stl"), spacing=0.004)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.values.shape), indexing="ij"), axis=-1)
    points = (index * grid.spacing + grid.origin).reshape(-1, 3)
    values = grid.values.ravel()
    inner = np.hypot(points[:, 0], points[:, 1]) < 0.030
    cavity = inner & (points[:, 2] > 0.012)
    base = inner & (points[:, 2] > 0.001) & (points[:, 2] < 0.009)
    assert (values[cavity] > 0.0).all()
    assert (values[base] < 0.0).all()
    assert (values < 0.0).mean() * values.size * grid.spacing**3 == pytest.approx(mesh.volume, rel=0.05)
    np.testing.assert_allclose(signed_distance(mesh, points), values, atol=1e-6)


def test_spacing_limits():
    ball = trimesh.creation.icosphere(2, radius=0.1)
    for spacing, message in ((1e-4, "limit"), (0.0, "positive"), (float("nan"), "positive")):
        with pytest.raises(AssetError, match=message):
            mesh_sdf(ball, spacing=spacing)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMENV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_cache_is_read_and_damage_is_a_miss(own_cache):
    ball = trimesh.creation.icosphere(2, radius=0.1)
    first = mesh_sdf(ball, spacing=0.02)
    (file,) = cache_folder().iterdir()
    assert cache_folder() == own_cache
    good = file.read_bytes()
    rng = np.random.default_rng(0)
    damages = [b"", b"PK", good[: len(good) // 2], good[:-1], b"x" * len(good)]
    for _ in range(40):
        flip = bytearray(good)
        for place in rng.integers(0, len(good), 4):
            flip[place] ^= 1 << rng.integers(0, 8)
        damages.append(bytes(flip))
    for damage in damages:
        file.write_bytes(damage)
        assert np.array_equal(mesh_sdf(ball, spacing=0.02).values, first.values)
    # content with a true archive but false values: the header's digest catches it
    with np.load(file) as content:
        header = content["header"]
    np.savez(file, header=header, values=np.zeros_like(first.values))
    assert np.array_equal(mesh_sdf(ball, spacing=0.02).values, first.values)
    before = file.stat().st_mtime_ns
    mesh_sdf(ball, spacing=0.02)
    assert file.stat().st_mtime_ns == before  # read, not written
    mesh_sdf(ball, spacing=0.021)
    mesh_sdf(ball, scale=1.001, spacing=0.02)
    assert len(list(cache_folder().iterdir())) == 3


def test_unwritable_cache_warns(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SIMENV_CACHE", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="SIMENV_CACHE"):
        mesh_sdf(trimesh.creation.icosphere(1, radius=0.1), spacing=0.05)


def test_processes_share_the_cache(own_cache):
    code = (
        "import trimesh, warp as wp\nwp.config.log_level = wp.LOG_WARNING\n"
        "from simenv.geometry.mesh_sdf import mesh_sdf\n"
        "ball = trimesh.creation.icosphere(2, radius=0.1)\n"
        "print(repr([float(mesh_sdf(ball, spacing=0.01 + 1e-3 * (i % 3)).values.sum()) for i in range(9)]))"
    )
    jobs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    results = [job.communicate(timeout=120)[0].strip().splitlines()[-1] for job in jobs]
    assert all(job.returncode == 0 for job in jobs)
    assert len(set(results)) == 1
    names = [file.name for file in own_cache.iterdir()]
    assert len(names) == 3
    assert all(name.endswith(".npz") for name in names)


def test_signs_equal_winding_numbers():
    """Ray parity against the solid angle of all faces, which shares no code with it."""
    hollow = trimesh.creation.icosphere(2, radius=0.05)
    void = trimesh.creation.icosphere(2, radius=0.03)
    void.invert()
    meshes = [trimesh.util.concatenate([hollow, void]), trimesh.creation.torus(0.05, 0.02), pair((1.5, 0, 0))]
    for mesh in meshes:
        mesh = check_mesh(mesh)
        rng = np.random.default_rng(0)
        points = rng.uniform(*mesh.bounds, (2000, 3))
        points[:200] = np.round(points[:200] / mesh.scale * 8) / 8 * mesh.scale  # lines of symmetry, edges, corners
        values = signed_distance(mesh, points)
        clear = np.abs(values) > 1e-5 * mesh.scale
        winding = np.array([_winding_number(mesh.triangles, p) for p in points[clear]])
        assert np.array_equal(values[clear] < 0.0, winding > 0.5)


def _to_triangles(mesh, points):
    """Distances [m] in double precision: to the plane where a point lies above a triangle, else to its sides."""
    a, b, c = (mesh.triangles[:, i] for i in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    nearest = []
    for p in points:
        height = ((p - a) * normal).sum(-1)
        foot = p - height[:, None] * normal
        above, sides = np.ones(len(a), dtype=bool), np.full(len(a), np.inf)
        for start, end in ((a, b), (b, c), (c, a)):
            side = end - start
            above &= (np.cross(side, foot - start) * normal).sum(-1) >= 0.0
            along = np.clip(((p - start) * side).sum(-1) / (side * side).sum(-1), 0.0, 1.0)
            sides = np.minimum(sides, np.linalg.norm(p - start - along[:, None] * side, axis=-1))
        nearest.append(np.where(above, np.abs(height), sides).min())
    return np.array(nearest)


@pytest.mark.parametrize(
    ("mesh", "limit"),
    [
        (trimesh.creation.icosphere(5, radius=0.05), 2.0e-7),
        (load_mesh(path("bolt.stl")), 2.0e-7),
        (load_mesh(path("glass.stl")), 2.0e-5),  # triangles 38 mm long and 2 mm wide
    ],
    ids=["ball of 20480 faces", "bolt", "glass"],
)
def test_distances_are_single_precise(mesh, limit):
    """Limits relative to the longest side, three roundings of single precision where triangles are well shaped."""
    size = np.ptp(mesh.bounds, axis=0).max()
    grid = mesh_sdf(mesh, spacing=size / 30)
    rng = np.random.default_rng(0)
    near = np.argwhere(np.abs(grid.values) < 2 * grid.spacing)
    index = np.concatenate([near[rng.integers(0, len(near), 60)], rng.integers(0, grid.values.shape, (20, 3))])
    points = grid.origin + grid.spacing * index
    truth = _to_triangles(mesh, points)
    assert np.abs(np.abs(grid.values[tuple(index.T)]) - truth).max() < limit * size
    assert np.abs(np.abs(signed_distance(mesh, points)) - truth).max() < limit * size
