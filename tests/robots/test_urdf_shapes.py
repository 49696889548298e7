# SPDX-License-Identifier: Apache-2.0
"""Shapes, colours and meshes of a URDF."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from simenv.errors import AssetError
from simenv.geometry.shapes import Box, Capsule, Cylinder, MeshShape, Sphere
from tests.robots.urdf_text import MASS, arm, reader


@pytest.fixture
def read(tmp_path):
    """Write a robot of these lines, and load it."""
    return reader(tmp_path)


def test_shapes_and_colours(read):
    def visual(shape, material=""):
        return f'<visual><origin xyz="0 0 0.5" rpy="0 0 0"/><geometry>{shape}</geometry>{material}</visual>'

    shapes = (
        visual('<box size="0.2 0.4 0.6"/>', '<material name="m"><color rgba="1 0 0 0.5"/></material>')
        + visual('<sphere radius="0.1"/>', '<material name="blue"/>')
        + visual('<cylinder radius="0.1" length="0.3"/>')
        + visual('<capsule radius="0.1" height="0.3"/>')
    )
    blue = '<material name="blue"><color rgba="0 0 1 1"/></material>'
    looks = read(blue, *arm(end=MASS + shapes)).link("arm").looks
    assert [look.shape for look in looks] == [
        Box((0.1, 0.2, 0.3)), Sphere(0.1), Cylinder(0.1, 0.15), Capsule(0.1, 0.15),
    ]  # fmt: skip
    assert [look.color for look in looks] == [(1, 0, 0, 0.5), (0, 0, 1, 1), (0.7, 0.7, 0.72, 1), (0.7, 0.7, 0.72, 1)]
    assert looks[0].position == (0.0, 0.0, 0.5)
    for bad, why in (
        ("", "it holds 0 shapes"), ("<cone/>", "a shape is box"), ('<sphere radius="-1"/>', "radius"),
        ('<box size="1 1"/>', r"size='1 1' must be 3 finite number"),
    ):  # fmt: skip
        with pytest.raises(AssetError, match=rf"line 3, \w+: .*{why}"):
            read(*arm(end=MASS + visual(bad)))


def mesh(name, scale=""):
    return f'{MASS}<collision><geometry><mesh filename="{name}" {scale}/></geometry></collision>'


def test_meshes_of_packages(read, tmp_path):
    """``package://NAME`` is a folder above the file, or the one that is given; nothing is dropped in silence."""
    cube = tmp_path / "meshes" / "cube.stl"
    cube.parent.mkdir()
    trimesh.creation.box((1, 2, 3)).export(cube)
    for name in (f"package://{tmp_path.name}/meshes/cube.stl", "package://meshes/cube.stl", "meshes/cube.stl",
                 f"file://{cube}", str(cube)):  # fmt: skip
        shape = read(*arm(end=mesh(name))).link("arm").collisions[0].shape
        assert Path(shape.file) == cube and shape.scale == 1.0
    named = read(*arm(end=mesh("package://else/cube.stl")), packages={"else": cube.parent})
    assert Path(named.link("arm").collisions[0].shape.file) == cube
    with pytest.raises(
        AssetError, match=r"line 3, mesh: there is no mesh 'package://else/cube.stl'.*packages=\{'else'"
    ):
        read(*arm(end=mesh("package://else/cube.stl")))
    with pytest.raises(AssetError, match=r"line 3, mesh: there is no mesh 'cube.stl'; looked for .*/cube.stl; put it"):
        read(*arm(end=mesh("cube.stl")))
    with pytest.raises(AssetError, match="is not a file of this machine"):
        read(*arm(end=mesh("http://example.org/cube.stl")))


@pytest.mark.parametrize(("scale", "size"), [
    ((0.001, 0.001, 0.001), (0.001, 0.002, 0.003)), ((0.5, 1.0, 2.0), (0.5, 2.0, 6.0)),
    ((-1.0, 1.0, 1.0), (1.0, 2.0, 3.0)),
])  # fmt: skip
def test_meshes_are_scaled(read, tmp_path, monkeypatch, scale, size):
    """Also by direction, and mirrored, which turns a solid inside out unless its faces are turned too."""
    monkeypatch.setenv("SIMENV_CACHE", str(tmp_path / "cache"))
    trimesh.creation.box((1, 2, 3)).export(tmp_path / "cube.stl")
    shape = read(*arm(end=mesh("cube.stl", f'scale="{" ".join(map(str, scale))}"'))).link("arm").collisions[0].shape
    assert isinstance(shape, MeshShape)
    assert np.ptp(shape.bounds(), axis=0).tolist() == pytest.approx(size, rel=1e-6)
    assert shape.volume() == pytest.approx(np.prod(size), rel=1e-6)
