# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the geometry tests."""

import pytest
import trimesh


@pytest.fixture(autouse=True, scope="session")
def cache_folder(tmp_path_factory):
    """Keep the tests' distance volumes out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMENV_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def sphere_file(tmp_path_factory):
    """A ball of radius 0.1 m as a binary STL file."""
    file = tmp_path_factory.mktemp("meshes") / "sphere.stl"
    trimesh.creation.icosphere(subdivisions=4, radius=0.1).export(file)
    return str(file)
