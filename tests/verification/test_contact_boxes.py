# SPDX-License-Identifier: Apache-2.0
"""Where boxes touch boxes: against coal's distances and MuJoCo's contacts, polygons clipped in another way, and scenes
of edges, rims and turned boxes.
"""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Plane
from simenv.physics.bodies.contacts import RigidContact
from simenv.world import Control
from tests.verification.contacts import distance_between, met, placed_at
from tests.verification.test_contact import run, world_of

ONE, OTHER = Box((0.03, 0.05, 0.02)), Box((0.04, 0.025, 0.06))


def free(scene, name, shape, position, quaternion=(0.0, 0.0, 0.0, 1.0), density=1000.0, **motion):
    scene.add_body(name, shape, density, position, quaternion, "free", coupling="rigid", **motion)


def about(axis, degrees):
    half = math.radians(degrees) / 2
    return tuple(math.sin(half) * np.array(axis, dtype=float) / np.linalg.norm(axis)) + (math.cos(half),)


# ------------------------------------------------------------------------------------------------------------- geometry


@pytest.mark.parametrize("depth", [-1e-4, 1e-4, 1e-3])
def test_depth_and_normal_are_those_of_the_distance(depth):
    """Of the deepest point, at random places, beside coal's: the same where boxes overlap, but where another axis is as
    good, within 0.002 of the least half width or the cosine of what counts as tilted; where they are apart a corner
    beside an edge has the face's normal, or has not been met.
    """
    pytest.importorskip("coal")
    first, second = placed_at(ONE, OTHER, depth, 64)
    gap, normal, point = met(ONE, OTHER, first, second)
    differs, near = 0, 0.002 * 0.02
    for k in range(len(first)):
        exact, axis, one, two = distance_between(ONE, OTHER, first[k], second[k])
        c = int(gap[k].argmin())
        aligned = -float(normal[k, c] @ axis)
        if aligned > 1.0 - 1e-6:
            assert gap[k, c] == pytest.approx(exact, abs=1e-7)
            assert np.linalg.norm(point[k, c] - 0.5 * (one + two)) < 1e-5 or (gap[k] < 0.5 * exact).sum() > 1
            continue
        differs += 1
        if depth > 0.0:
            assert exact / 0.85 - near < gap[k, c] < exact + 1e-9
        else:
            assert gap[k, c] > 0.5 * exact
    print(f"\nmeasured: {differs} of 64 by another axis")
    assert differs <= (8 if depth > 0.0 else 16)


def clipped(half_a, half_b, angle, x, y):
    """Corners (n, 2) of what two rectangles have in common, by cutting one at each side of the other."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    polygon = [turn @ (np.array(s) * half_b) + (x, y) for s in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
    for axis in (0, 1):
        for sign in (1.0, -1.0):
            over, cut = [sign * p[axis] - half_a[axis] for p in polygon], []
            for i, p in enumerate(polygon):
                j = (i + 1) % len(polygon)
                if over[i] <= 0.0:
                    cut.append(p)
                if over[i] * over[j] < 0.0:
                    cut.append(p + (polygon[j] - p) * over[i] / (over[i] - over[j]))
            polygon = cut
    return np.array(polygon).reshape(-1, 2)


def test_points_of_faces_are_the_corners_of_what_they_have_in_common():
    rng, worlds = np.random.default_rng(5), 200
    first = np.tile([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0], (worlds, 1))
    second, expected, limits, rim = first.copy(), [], [], 0.002 * 0.02
    for k in range(worlds):
        angle, (x, y) = rng.uniform(0.0, 2.0 * math.pi), rng.uniform(-0.08, 0.08, 2)
        second[k] = (x, y, 0.0799, *about((0, 0, 1), math.degrees(angle)))
        limits.append(2.0 * rim / min(abs(math.sin(angle)), abs(math.cos(angle))))
        expected.append(clipped(np.array(ONE.half_extents[:2]), np.array(OTHER.half_extents[:2]), angle, x, y))
    gap, normal, point = met(ONE, OTHER, first, second)
    touches = gap < 0.0
    assert gap[touches] == pytest.approx(-1e-4, abs=1e-12)
    assert np.abs(normal[touches] - (0.0, 0.0, -1.0)).max() < 1e-12
    assert np.abs(point[touches][:, 2] - 0.01995).max() < 1e-12
    for k, (corners, limit) in enumerate(zip(expected, limits, strict=True)):
        found = point[k, touches[k], :2]
        if not len(corners):
            assert not len(found)
            continue
        away = np.linalg.norm(found[:, None] - corners[None], axis=-1)
        # what is beyond the rim by 0.002 of the least half width counts as on it
        assert away.min(0).max() < limit and away.min(1).max() < limit
    counts = touches.sum(1)
    assert np.unique(counts).tolist() == [0, 3, 4, 5, 6, 7]


def test_counts_and_depths_are_those_of_mujoco():
    """Boxes that lie on each other, turned and askew by up to half a degree: as many points, but for such as are in
    another's place, and the same deepest.
    """
    mujoco = pytest.importorskip("mujoco")
    rng, worlds = np.random.default_rng(6), 60
    first = np.tile([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0], (worlds, 1))
    second = first.copy()
    for k in range(worlds):
        turn = np.array(about((0, 0, 1), rng.uniform(0, 360)))
        lean = np.array(about((*rng.normal(size=2), 0.0), rng.uniform(0, 0.5)))
        second[k, :3] = (*rng.uniform(-0.03, 0.03, 2), 0.0795)
        x, y, z, w = turn
        left = np.array([[w, -z, y, x], [z, w, -x, y], [-y, x, w, z], [-x, -y, -z, w]])
        second[k, 3:] = left @ lean
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody>" + "".join(
            f'<body><freejoint/><geom type="box" size="{" ".join(map(str, shape.half_extents))}"/></body>'
            for shape in (ONE, OTHER)
        ) + "</worldbody></mujoco>"
    )  # fmt: skip
    data = mujoco.MjData(model)
    gap, normal, _ = met(ONE, OTHER, first, second)
    same = 0
    for k in range(worlds):
        data.qpos[:] = np.concatenate([np.r_[p[:3], p[6], p[3:6]] for p in (first[k], second[k])])
        mujoco.mj_forward(model, data)
        theirs = [each for each in data.contact[: data.ncon] if each.dist < 0.0]
        same += len(theirs) == (gap[k] < 0.0).sum()
        assert gap[k].min() == pytest.approx(min(each.dist for each in theirs), abs=2e-5)
        assert -normal[k, gap[k].argmin()] @ theirs[0].frame[:3] > 0.999
    print(f"\nmeasured: as many points in {same} of {worlds}")
    assert same > 0.8 * worlds


# --------------------------------------------------------------------------------------------------------------- scenes


@pytest.mark.parametrize("degrees", [0.0, 10.0, 44.0, 45.0])
def test_turned_cubes_stand_still(degrees):
    """Each turned against that under it: nothing moves aside or turns, and no point is lost."""

    def build(scene):
        scene.add_body("floor", Plane(), motion="fixed")
        for i in range(4):
            free(scene, f"cube{i}", Box((0.05,) * 3), (0.0, 0.0, 0.05 + 0.1 * i), about((0, 0, 1), degrees * i))

    world = world_of(build, 5e-3, 20)
    state = run(world, 10.0)
    off = (state.body_q - world.initial_state().body_q)[0, 1:]
    print(f"\nmeasured: {1e6 * float(off[:, 2].abs().max()):.2f} um down, {float(off[:, :2].abs().max()):.1e} m aside")
    assert float(off[:, 2].abs().max()) < 2e-4
    assert float(off[:, :2].abs().max()) < 1e-9 and float(off[:, 3:].abs().max()) < 1e-8


@pytest.mark.parametrize(
    ("law", "out"), [(RigidContact(friction=0.6), 0.049), (RigidContact(2e4, friction=0.6), 0.045)]
)
def test_a_box_pushed_over_an_edge_tips_at_its_middle(law, out):
    """It stands with its middle within the rim, by 1 mm where it is near rigid, and falls with it 1 mm beyond. By the
    law what is so lightly loaded rocks there, by 0.05 um in three ticks, as it does on a plane.
    """

    def build(reach):
        def scene_of(scene):
            scene.add_body("table", Box((0.1, 0.1, 0.05)), motion="fixed")
            free(scene, "box", Box((0.05, 0.04, 0.03)), (0.05 + reach, 0.0, 0.08))

        return scene_of

    world = world_of(build(out), rigid=law)
    state = run(world, 3.0)
    assert float((state.body_q - world.initial_state().body_q)[0, 1, :3].abs().max()) < (1e-5 if out > 0.048 else 1e-3)
    assert float(state.body_twist[..., :3].abs().max()) < 1e-4
    world = world_of(build(0.051), rigid=law)
    assert float(run(world, 1.0).body_q[0, 1, 2]) < 0.04


def test_crossed_edges_bear_a_load():
    """A beam on its edge across two others on theirs: points of neither are near; it stays while it is held upright by
    friction of a lid that lies on it... its lowest edge is where the edges are.
    """
    half, turn = 0.02, about((1, 0, 0), 45.0)
    high = half * math.sqrt(2.0)

    def build(scene):
        for name, y in (("one", -0.1), ("other", 0.1)):
            scene.add_body(name, Box((0.3, half, half)), motion="fixed", position=(0.0, y, 0.0), quaternion=turn)
        free(scene, "beam", Box((half, 0.3, half)), (0.013, 0.0, 2.0 * high), about((0, 1, 0), 45.0))

    world = world_of(build, ticks=1)
    heights = []
    run(world, 0.02, each=lambda s: heights.append(float(s.body_q[0, 2, 2])))
    assert 2.0 * high - min(heights) < 2e-6
    impulse = run(world, 0.02).contact_impulse[0].sum(0)
    assert float(impulse.abs().max()) == pytest.approx(1000.0 * 8 * half**2 * 0.3 * 9.81 * 1e-3, rel=1e-3)


def test_a_box_leans_on_a_rim():
    """A ladder between a floor and the rim of a block, which friction holds."""

    def build(scene):
        scene.add_body("floor", Box((0.5, 0.5, 0.05)), position=(0.0, 0.0, -0.05), motion="fixed")
        scene.add_body("block", Box((0.05, 0.2, 0.05)), position=(0.0, 0.0, 0.05), motion="fixed")
        angle = math.atan2(0.1, 0.15)
        along, over = (
            np.array([math.cos(angle), 0.0, math.sin(angle)]),
            np.array([-math.sin(angle), 0.0, math.cos(angle)]),
        )
        at = np.array([-0.2, 0.0, 0.0]) + 0.12 * along + 0.01 * over
        free(scene, "plank", Box((0.12, 0.03, 0.01)), tuple(at), about((0, -1, 0), math.degrees(angle)))

    world = world_of(build, 2e-3, 10, rigid=RigidContact(friction=1.0))
    state = run(world, 3.0)
    assert float((state.body_q - world.initial_state().body_q)[0, 2, :3].abs().max()) < 2e-5
    assert float(state.body_twist.abs().max()) < 1e-9


# ---------------------------------------------------------------------------------------------------------- derivatives


def derivatives_agree(one, other, first, second, axis):
    """Of two free bodies that close at 0.4 m/s along an axis: states after three ticks by all that there is."""

    def build(scene):
        free(scene, "one", one, tuple(first[:3]), tuple(first[3:]), velocity=(0.02, 0.01, 0.0))
        free(scene, "two", other, tuple(second[:3]), tuple(second[3:]), velocity=tuple((0.05, 0.02, 0.0) - 0.4 * axis))

    world = world_of(build, 1e-3, 1, gravity=(0.0, 0.0, 0.0), rigid=RigidContact(2e4, 2e-3, 0.5, 0.4))
    start, rng = world.initial_state(), np.random.default_rng(8)
    start = world.step(start, Control())
    weights: dict[str, torch.Tensor] = {}

    def end(values):
        for parameter in world.parameters:
            world.parameters[parameter] = values.get(parameter, world.parameters[parameter])
        state = start.replace(body_q=values["body_q"], body_twist=values["body_twist"], anchor=values["anchor"])
        pushed = 0.0
        for _ in range(3):
            state = world.step(state, Control())
            pushed = max(pushed, float(state.contact_impulse.detach().abs().max()))
        assert pushed > 0.0
        for field in ("body_q", "body_twist", "anchor"):
            weights.setdefault(field, torch.as_tensor(rng.normal(size=tuple(state[field].shape))))
        return sum((weights[field] * state[field]).sum() for field in ("body_q", "body_twist", "anchor"))

    leaves = {n: start[n].clone() for n in ("body_q", "body_twist", "anchor")}
    leaves |= {n: v.clone() for n, v in world.parameters.items() if "mass" in n or "friction" in n or "stiffness" in n}
    grown = {n: v.clone().requires_grad_() for n, v in leaves.items()}
    slopes = dict(zip(grown, torch.autograd.grad(end(grown), list(grown.values())), strict=True))
    scales = {"body_q": 1e-2, "body_twist": 0.1, "anchor": 1e-5}
    with torch.no_grad():
        for leaf, value in leaves.items():
            way = scales.get(leaf, float(value.abs().max())) * torch.as_tensor(rng.normal(size=tuple(value.shape)))
            exact, size = float((slopes[leaf] * way).sum()), float((slopes[leaf] * way).norm())
            errors = []
            for h in (1e-4, 1e-5, 1e-6):
                ends = [float(end({**leaves, leaf: value + share * h * way})) for share in (2.0, 1.0, -1.0, -2.0)]
                errors.append(abs((8.0 * (ends[1] - ends[2]) - ends[0] + ends[3]) / (12.0 * h) - exact))
            assert min(errors) <= 1e-6 * size + 1e-9, (leaf, errors, exact, size)


POSES = {
    "face on face": (0.013, 0.021, 0.0798, *about((0.1, -0.07, 3.0), 27.0)),
    "corner on face": (0.003, 0.007, 0.0, *about((0.5, 0.6, 0.2), 40.0)),
    "face on corner": (0.02, 0.06, 0.0, *about((0.1, 0.05, 1.0), 40.0)),
    "crossed edges": (0.0, 0.05, 0.0, *about((1.0, 0.3, 0.2), 45.0)),
}


@pytest.mark.parametrize("name", POSES)
def test_derivatives_of_boxes_agree_with_differences(name):
    """Both free, one pressed into the other: states after three ticks by poses, velocities and parameters; 1e-6."""
    pose = np.array(POSES[name])
    first = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    if name == "crossed edges":
        first[3:] = about((0.0, 1.0, 0.0), 45.0)
    exact, axis, *_ = distance_between(ONE, OTHER, first, pose)
    if name != "face on face":
        for _ in range(4):
            pose[:3] -= axis * (exact + 2e-4)
            exact, axis, *_ = distance_between(ONE, OTHER, first, pose)

    derivatives_agree(ONE, OTHER, first, pose, axis)
