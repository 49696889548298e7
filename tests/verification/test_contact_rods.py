# SPDX-License-Identifier: Apache-2.0
"""Where balls, capsules and boxes touch, against coal's distances; capsules that lie and cross."""

import math

import numpy as np
import pytest

from simenv.geometry.shapes import Box, Capsule, Cylinder, Plane, Sphere
from tests.verification.contacts import distance_between, met, placed_at
from tests.verification.test_contact import run, world_of
from tests.verification.test_contact_boxes import about, derivatives_agree, free

SHAPES = {
    "ball": Sphere(0.03),
    "capsule": Capsule(0.02, 0.05),
    "rod": Capsule(0.01, 0.12),
    "box": Box((0.03, 0.05, 0.02)),
}
PAIRS = [("ball", "ball"), ("ball", "capsule"), ("ball", "box"), ("capsule", "rod"), ("capsule", "box"), ("rod", "box")]


@pytest.mark.parametrize("depth", [-2e-4, 1e-4, 2e-3])
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_depth_and_normal_are_those_of_the_distance(pair, depth):
    """Of the deepest point, at random places: to 1e-7 m and a normal to 1e-5."""
    pytest.importorskip("coal")
    one, other = (SHAPES[name] for name in pair)
    first, second = placed_at(one, other, depth, 48)
    gap, normal, point = met(one, other, first, second)
    for k in range(len(first)):
        exact, axis, a, b = distance_between(one, other, first[k], second[k])
        c = int(gap[k].argmin())
        assert gap[k, c] == pytest.approx(exact, abs=1e-7)
        assert -float(normal[k, c] @ axis) > 1.0 - 1e-5
        assert np.linalg.norm(point[k, c] - 0.5 * (a + b)) < 1e-4


def test_how_many_points_touch():
    """Of capsules side by side and crossed, on a box, over its rim; counts of gaps below zero."""
    here = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    rod, box = Capsule(0.02, 0.1), Box((0.15, 0.05, 0.02))
    along = about((0, 1, 0), 90.0)
    cases = {
        "crossed": (rod, rod, (0.0, 0.0399, 0.0, *along), here, 1),
        "askew": (rod, rod, (0.0, 0.0399, 0.0, *about((0, 1, 0), 5.0)), here, 1),
        "side by side, moved along": (rod, rod, (0.0, 0.0399, 0.05, 0.0, 0.0, 0.0, 1.0), here, 2),
        "end to end": (rod, rod, (0.0, 0.0, 0.2399, 0.0, 0.0, 0.0, 1.0), here, 2),
        "flat on a box": (rod, box, (0.02, 0.01, 0.0399, *along), here, 2),
        "over one rim": (rod, box, (0.1, 0.01, 0.0399, *along), here, 2),
        "across": (rod, box, (0.1, 0.01, 0.0399, *about((1, 0, 0), 90.0)), here, 2),
        "upright": (rod, box, (0.1, 0.01, 0.1399, 0.0, 0.0, 0.0, 1.0), here, 1),
    }
    for name, (one, other, first, second, count) in cases.items():
        gap, *_ = met(one, other, np.array([first]), second[None])
        found = gap[0][gap[0] < 0.0]
        assert len(found) == count, (name, found)
        assert found == pytest.approx(np.full(count, -1e-4), abs=2e-6), name


@pytest.mark.parametrize("degrees", [0.0, 1.0, 30.0])
def test_a_capsule_lies_on_two_others(degrees):
    """On what is exact it sinks by what points give: it stays within 2 um of its height."""

    def build(scene):
        for name, y in (("one", 0.0), ("other", 0.2)):
            turn = about((0, 1, 0), 90.0)
            scene.add_body(name, Capsule(0.02, 0.3), motion="fixed", position=(0.0, y, 0.2), quaternion=turn)
        angle = math.radians(degrees) / 2
        across = np.array([math.sqrt(0.5) * math.cos(angle), math.sqrt(0.5) * math.sin(angle), 0.0, 0.0])
        quaternion = (across[0], across[1], math.sqrt(0.5) * math.sin(angle), math.sqrt(0.5) * math.cos(angle))
        free(scene, "rod", Capsule(0.02, 0.3), (0.013, 0.1, 0.24), quaternion)

    world = world_of(build)
    state = run(world, 1.0)
    assert float(world.bodies["rod"].pose(state)[0, 2]) == pytest.approx(0.24, abs=2e-6)
    assert float(state.body_twist.abs().max()) < 1e-6


def test_capsules_and_cylinders_lie_on_planes_and_boxes():
    for ground in (Plane(), Box((0.5, 0.5, 0.1))):

        def build(scene, ground=ground):
            scene.add_body("ground", ground, motion="fixed")
            top = 0.1 if isinstance(ground, Box) else 0.0
            free(scene, "flat", Capsule(0.02, 0.1), (0.0, 0.0, top + 0.02), about((0, 1, 0), 90.0))
            free(scene, "can", Cylinder(0.03, 0.05), (0.2, 0.0, top + 0.05))
            if isinstance(ground, Box):
                free(scene, "over", Capsule(0.02, 0.1), (0.45, 0.2, top + 0.02), about((0, 1, 0), 90.0))

        world = world_of(build)
        state = run(world, 1.0)
        off = (state.body_q - world.initial_state().body_q)[0, :, :3]
        assert float(off.abs().max()) < 5e-6


POSES = {
    "crossed": ("rod", "rod", (0.01, 0.0199, 0.02, *about((0.1, 1, 0.05), 70.0))),
    "end on side": ("capsule", "rod", (0.0, 0.0, 0.0, *about((1, 0, 0), 60.0))),
    "rod on an edge": ("rod", "box", (0.035, 0.0, 0.02, *about((0.2, 1.0, 0.1), 40.0))),
    "corner in a rod": ("rod", "box", (0.03, 0.05, 0.02, *about((1.0, -0.6, 0.1), 80.0))),
}


@pytest.mark.parametrize("name", POSES)
def test_derivatives_agree_with_differences(name):
    """States after three ticks by poses, velocities and parameters; 1e-6."""
    one, other, pose = POSES[name]
    first, second = np.array(pose), np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    one, other = SHAPES[one], SHAPES[other]
    for _ in range(6):
        exact, axis, *_ = distance_between(one, other, first, second)
        first[:3] += axis * (exact + 2e-4)
    derivatives_agree(one, other, first, second, axis)


@pytest.mark.parametrize("name", ["ball", "capsule", "box", "can"])
def test_depths_over_a_plane_are_those_of_mujoco(name):
    """At random attitudes: the deepest point, and for a ball, a capsule and a box as many below the plane."""
    mujoco = pytest.importorskip("mujoco")
    shape = {**SHAPES, "can": Cylinder(0.03, 0.05)}[name]
    kind, size = {
        "ball": ("sphere", "0.03"), "capsule": ("capsule", "0.02 0.05"), "box": ("box", "0.03 0.05 0.02"),
        "can": ("cylinder", "0.03 0.05"),
    }[name]  # fmt: skip
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><geom type="plane" size="1 1 1"/><body><freejoint/>'
        f'<geom type="{kind}" size="{size}"/></body></worldbody></mujoco>'
    )
    data, rng, count = mujoco.MjData(model), np.random.default_rng(3), 40
    poses = np.concatenate([rng.uniform(-0.1, 0.1, (count, 3)), rng.normal(size=(count, 4))], 1)
    poses[:, 2] = rng.uniform(0.0, 0.03, count)
    poses[:, 3:] /= np.linalg.norm(poses[:, 3:], axis=1)[:, None]
    gap, normal, _ = met(shape, Plane(), poses, np.tile([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0], (count, 1)))
    touched = 0
    for k, pose in enumerate(poses):
        data.qpos[:] = np.r_[pose[:3], pose[6], pose[3:6]]
        mujoco.mj_forward(model, data)
        theirs = np.array([each.dist for each in data.contact[: data.ncon] if each.dist < 0.0])
        ours = gap[k][gap[k] < 0.0]
        assert (len(ours) > 0) == (len(theirs) > 0)
        if not len(ours):
            continue
        touched += 1
        assert ours.min() == pytest.approx(theirs.min(), abs=1e-6)
        assert normal[k, gap[k].argmin()] == pytest.approx([0.0, 0.0, 1.0], abs=1e-12)
        if name in ("ball", "capsule") or (name == "box" and len(theirs) < 4):
            assert sorted(ours) == pytest.approx(sorted(theirs), abs=1e-9)
    assert touched > 10
