# SPDX-License-Identifier: Apache-2.0
"""Bodies, colliders and gels by name, against closed forms: frames, centres of mass, twists, wrenches, and placing."""

import numpy as np
import pytest
import torch
import trimesh

from simenv.geometry.shapes import Box, Cup, MeshShape, Plane, Sphere
from simenv.physics.mpm.materials import Elastic
from simenv.physics.rotation import quaternion_from_rotation_vector, quaternion_to_matrix
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.world import Scene, World
from tests.gradients.scenes import DX, block
from tests.world.zoo import SCENES, touch

DOUBLE = torch.float64
PLACE, TURN = (0.1, 0.09, 0.12), (0.1, -0.2, 0.3, 0.9)
HALF, OFF = (0.03, 0.04, 0.035), (0.02, 0.01, -0.03)  # a box whose middle is not its frame's origin [m]


def matrix(q) -> np.ndarray:
    """(3, 3) of a quaternion of any length."""
    q = torch.as_tensor(q, dtype=DOUBLE)
    return quaternion_to_matrix(q / q.norm()).numpy()


def turned(vector) -> np.ndarray:
    """(3, 3) of a rotation vector, by Rodrigues."""
    angle = np.linalg.norm(vector)
    x, y, z = np.asarray(vector) / angle
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K @ K


def rows(*values) -> torch.Tensor:
    return torch.tensor([values], dtype=DOUBLE)


@pytest.fixture(scope="module")
def solids(tmp_path_factory):
    """Solids off their frames' origins, with their centres of mass and volumes in closed form."""
    file = tmp_path_factory.mktemp("mesh") / "off.stl"
    trimesh.creation.box(2 * np.array(HALF), trimesh.transformations.translation_matrix(OFF)).export(file)
    r, h, wall, base = 0.03, 0.08, 0.015, 0.03
    outer, cavity = (r + wall) ** 2 * h, r**2 * (h - base)
    height = (outer * h / 2 - cavity * (h + base) / 2) / (outer - cavity)
    return {
        "mesh": (MeshShape(str(file)), np.array(OFF), 8 * np.prod(HALF)),
        "cup": (Cup(r, h, wall, base), np.array([0.0, 0.0, height]), np.pi * (outer - cavity)),
    }


# ------------------------------------------------------------------------------------------------------------- names


def test_bodies_are_found_by_name_in_the_order_of_the_scene():
    for name in SCENES:
        world = World(SCENES[name](), 1)
        assert tuple(world.bodies) == world.body_names == tuple(world.scene.bodies)
        assert [view.index for view in world.bodies.values()] == list(range(len(world.bodies)))
        assert all(view.spec is world.scene.bodies[key] for key, view in world.bodies.items())
        assert tuple(world.colliders) == world.collider_names and tuple(world.gels) == tuple(world.scene.gels)
        world.close()


def test_an_unknown_name_is_told_with_those_there_are():
    world = World(touch(), 1)
    with pytest.raises(KeyError, match=r"no body 'blocks'; did you mean 'block'\? there are: table, block, hand"):
        world.bodies["blocks"]
    with pytest.raises(KeyError, match=r"no gel 'thumb'; there are: left, right"):
        world.gels["thumb"]
    with pytest.raises(KeyError, match=r"no collider 'block'; there are: none"):
        world.colliders["block"]
    assert "blocks" not in world.bodies and world.bodies.get("blocks") is None and 1 not in world.bodies


# ------------------------------------------------------------------------- frames, and centres of mass beside them


def flying(solid, coupling, velocity, spin):
    """The solid in free flight."""
    scene = Scene(substep_dt=4e-4, substeps=10, gravity=(0.0, 0.0, 0.0))
    scene.add_body(
        "solid", solid, 800.0, PLACE, TURN, "free", coupling=coupling, velocity=velocity, angular_velocity=spin,
    )  # fmt: skip
    return World(scene, 1, dtype=DOUBLE)


@pytest.mark.parametrize("coupling", ["contact", "rigid"])
@pytest.mark.parametrize("name", ["mesh", "cup"])
def test_a_free_solid_flies_about_its_centre_of_mass(solids, name, coupling):
    """c + v t, and about a principal axis exp(omega t) q, however far the frame is from the centre."""
    shape, centre, volume = solids[name]
    R, v = matrix(TURN), np.array([0.3, -0.1, 0.2])
    omega = 4.0 * R[:, 2]
    world = flying(shape, coupling, tuple(v), tuple(omega))
    view, state = world.bodies["solid"], world.initial_state()
    arm = R @ centre
    assert view.spec.mass == pytest.approx(800.0 * volume, rel=1e-3)  # a cup's is that of its mesh
    np.testing.assert_allclose(view.pose(state)[0], [*PLACE, *np.array(TURN) / np.linalg.norm(TURN)], atol=1e-14)
    np.testing.assert_allclose(view.centre(state)[0], PLACE + arm, atol=1e-8)
    np.testing.assert_allclose(view.twist(state)[0], [*(v - np.cross(omega, arm)), *omega], atol=1e-7)
    np.testing.assert_allclose(view.centre_twist(state)[0], [*v, *omega], atol=1e-12)
    for _ in range(5):
        state = world.step(state, world.zero_control())
    assert int(state.status) == 0
    t = 5 * world.dt
    np.testing.assert_allclose(view.centre(state)[0], PLACE + arm + t * v, atol=1e-8)
    np.testing.assert_allclose(view.centre_twist(state)[0, :3], v, atol=1e-10)
    turn = matrix(view.pose(state)[0, 3:])
    np.testing.assert_allclose(turn, turned(omega * t) @ R, atol=1e-10)
    np.testing.assert_allclose(view.pose(state)[0, :3], view.centre(state)[0].numpy() - turn @ arm_of(view), atol=1e-14)
    twist = view.twist(state)[0].numpy()
    np.testing.assert_allclose(twist[:3], v - np.cross(twist[3:], turn @ arm_of(view)), atol=1e-10)


def arm_of(view) -> np.ndarray:
    """The centre of mass that the scene found, which the test above compares with its closed form."""
    return view.arm


def test_without_a_body_apart_the_centre_is_the_frame():
    world = World(touch(), 2, dtype=DOUBLE)
    state = world.initial_state()
    for view in world.bodies.values():
        assert torch.equal(view.centre(state), view.pose(state)[:, :3])
        assert torch.equal(view.centre_pose(state), view.pose(state))
        assert torch.equal(view.centre_twist(state), view.twist(state))


# ----------------------------------------------------------------------------------------------------------- placing


def test_near_is_moved_and_turned_about_the_world_s_axes():
    world = World(touch(), 2, dtype=DOUBLE)
    view = world.bodies["block"]
    state = view.place(world.initial_state(), rows(*PLACE, *(np.array(TURN) / np.linalg.norm(TURN))).expand(2, 7))
    move = torch.tensor([[0.01, 0.02, -0.03], [0.0, 0.0, 0.0]], dtype=DOUBLE)
    turn = torch.tensor([[0.3, -0.2, 0.5], [0.0, 0.0, -1.2]], dtype=DOUBLE)
    pose = view.near(state, move, turn)
    for row in range(2):
        np.testing.assert_allclose(pose[row, :3], PLACE + move[row].numpy(), atol=1e-15)
        np.testing.assert_allclose(matrix(pose[row, 3:]), turned(turn[row].numpy()) @ matrix(TURN), atol=1e-14)
    still = view.near(state, torch.zeros_like(move), torch.zeros_like(turn))
    assert torch.equal(still, view.pose(state))


MOTIONS = [("touch", "table"), ("touch", "block"), ("touch", "hand"), ("particles", "hand"), ("mixed", "stand")]


@pytest.mark.parametrize(("name", "body"), MOTIONS)
def test_a_body_is_placed_alone(name, body):
    world = World(SCENES[name](), 2, dtype=DOUBLE)
    view, start = world.bodies[body], world.initial_state()
    before = start.clone()
    pose = view.near(start, rows(0.01, 0.0, 0.02).expand(2, 3), rows(0.2, 0.1, 0.0).expand(2, 3))
    twist = torch.arange(12, dtype=DOUBLE).view(2, 6)
    others = [row for row in range(len(world.bodies)) if row != view.index]
    for state, moves in ((view.place(start, pose), torch.zeros_like(twist)), (view.place(start, pose, twist), twist)):
        assert torch.equal(view.pose(state), pose) and torch.equal(view.twist(state), moves)
        assert torch.equal(state.body_q[:, others], start.body_q[:, others])
        assert torch.equal(state.body_twist[:, others], start.body_twist[:, others])
        assert all(torch.equal(state[key], start[key]) for key in start if not key.startswith("body_"))
    assert all(torch.equal(start[key], before[key]) for key in start), "the state that it was given has changed"
    leaf = pose.clone().requires_grad_()
    view.pose(view.place(start, leaf)).sum().backward()
    assert torch.equal(leaf.grad, torch.ones_like(leaf))


@pytest.mark.parametrize("coupling", ["contact", "rigid"])
def test_a_body_is_placed_by_its_centre_of_mass_too(solids, coupling):
    shape, centre, _ = solids["mesh"]
    world = flying(shape, coupling, (0.0,) * 3, (0.0,) * 3)
    view, start = world.bodies["solid"], world.initial_state()
    turn = quaternion_from_rotation_vector(rows(0.4, -0.7, 0.2))
    goal = torch.cat([rows(0.15, 0.14, 0.16), turn], -1)
    state = view.place_centre(start, goal)
    torch.testing.assert_close(view.centre_pose(state), goal, rtol=0, atol=1e-14)
    np.testing.assert_allclose(view.pose(state)[0, :3], [0.15, 0.14, 0.16] - matrix(turn[0]) @ centre, atol=1e-7)
    assert float(view.twist(state).abs().max()) == 0.0


def test_points_carry_a_body_about_its_centre_of_mass(solids):
    """Its weight, without a moment about the centre of mass, which is off the frame's origin and above its corners."""
    shape, centre, volume = solids["mesh"]
    scene = Scene(substep_dt=1e-3, substeps=10)
    scene.add_body("table", Plane(), motion="fixed")
    scene.add_body("solid", shape, 500.0, (0.0, 0.0, HALF[2] - OFF[2]), motion="free")
    corners = [centre + (x * HALF[0], y * HALF[1], -HALF[2]) for x in (-1, 1) for y in (-1, 1)]
    scene.add_points("solid", "table", np.array(corners), share=4.0)
    world = World(scene, 1, dtype=DOUBLE)
    view, state = world.bodies["solid"], world.initial_state()
    for _ in range(60):
        state = world.step(state, world.zero_control())
    weight = 500.0 * volume * 9.81
    expected = [0.0, 0.0, weight, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(view.wrench(state)[0], expected, atol=1e-4 * weight)
    assert torch.equal(view.push(state), view.wrench(state)) and float(view.drive(state).abs().max()) == 0.0
    under = np.cross(centre * (1, 1, 0), (0.0, 0.0, -weight))  # of the table, about its own origin
    np.testing.assert_allclose(world.bodies["table"].wrench(state)[0], [0, 0, -weight, *under], atol=1e-4 * weight)


def test_a_hand_pulls_with_its_impedance():
    """K (goal - x) and 2 K_r sin(angle / 2) of the tick's start, without contact and at rest."""
    scene = Scene(substep_dt=1e-3, substeps=1)
    scene.add_body("hand", position=PLACE, motion="hand", gains=(600.0, 50.0, 5.0, 1.0))
    world = World(scene, 1, dtype=DOUBLE)
    view, state = world.bodies["hand"], world.initial_state()
    turn = np.array([0.0, 0.3, 0.4])
    goal = view.near(state, rows(0.01, 0.0, -0.02), rows(*turn))
    after = world.step(state, world.control(goal={"hand": goal}))
    expected = [6.0, 0.0, -12.0, *(50.0 * 2.0 * np.sin(0.25) * turn / 0.5)]
    np.testing.assert_allclose(view.drive(after)[0], expected, atol=1e-12)
    assert float(view.wrench(after).abs().max()) == 0.0
    np.testing.assert_allclose(view.twist(after)[0, :3], 1e-3 * np.array([6.0, 0.0, -12.0]), atol=1e-15)


def test_what_particles_do_to_a_given_body_is_what_they_lose():
    """Two colliders on one body at rest: force and torque about its origin are the rates of the particles' momentum and
    angular momentum, with that of APIC's affine motion, m dx^2 / 4 of the antisymmetric part of C (Jiang et al. 2015).
    """
    scene = Scene((0.24,) * 3, DX, 4.0e-4, 10, gravity=(0.0, 0.0, 0.0))
    scene.add_material("rubber", Elastic(1000.0, 4.0e4, 0.3))
    points = block((0.09, 0.08, 0.11), (6, 6, 6))
    scene.add_particles("p", "rubber", points, (DX / 2) ** 3, (0.4, 0.1, -1.0))
    scene.add_body("tool", position=(0.1, 0.12, 0.05), quaternion=TURN)
    local = [(matrix(TURN).T @ np.array(offset)).tolist() for offset in ((0.0, -0.02, 0.02), (0.05, 0.0, 0.02))]
    for name, place, friction in zip("ab", local, (0.0, 0.4), strict=True):
        scene.add_collider(name, Sphere(0.03), "tool", position=place, friction=friction, width=0.01)
    world = World(scene, 1, dtype=DOUBLE)
    view, origin = world.bodies["tool"], torch.tensor((0.1, 0.12, 0.05), dtype=DOUBLE)
    mass = 1000.0 * (DX / 2) ** 3

    def momenta(state):
        x, v, C = state.x[0] - origin, state.v[0], state.C[0]
        twice = torch.stack([C[:, 2, 1] - C[:, 1, 2], C[:, 0, 2] - C[:, 2, 0], C[:, 1, 0] - C[:, 0, 1]], -1)
        return mass * torch.cat([v.sum(0), (torch.linalg.cross(x, v) + DX**2 / 4 * twice).sum(0)])

    state, largest, both = world.initial_state(), 0.0, False
    for _ in range(12):
        after = world.step(state, world.zero_control())
        wrench = view.wrench(after)[0]
        torch.testing.assert_close(wrench, (momenta(state) - momenta(after)) / world.dt, rtol=1e-9, atol=1e-10)
        largest = max(largest, float(wrench[3:].norm()))
        forces = torch.stack([each.wrench(after)[0, :3] for each in world.colliders.values()])
        torch.testing.assert_close(forces.sum(0), wrench[:3], rtol=1e-12, atol=1e-12)
        both |= bool((forces.norm(dim=-1) > 0.1).all())
        state = after
    assert both and largest > 0.01
    np.testing.assert_allclose(world.colliders["b"].pose(state)[0, :3], [0.15, 0.12, 0.07], atol=1e-14)


# -------------------------------------------------------------------------------------------------------------- gels


def gripping(lead=1e-3):
    """A turned hand with two gels on a Cup, one on its side and one below it; one tick in a control step."""
    scene = Scene(substep_dt=2e-4, substeps=1, gravity=(0.0, 0.0, 0.0), lead=lead)
    scene.add_body("cup", Cup(0.02, 0.06, 0.01, 0.02), 1500.0, PLACE, TURN, motion="free")
    scene.add_body("hand", position=PLACE, quaternion=TURN, motion="hand", mass=2.0, inertia=0.02)
    gel, half = WinklerGel(2e7, 1e7, 0.8), np.sqrt(0.5)
    scene.add_gel(
        "side", "hand", "cup", flat_grid(5, 4, 0.012, 0.012), gel, position=(0.0298, 0.0, 0.03),
        quaternion=(0.0, -half, 0.0, half),
    )  # fmt: skip
    scene.add_gel(
        "below", "hand", "cup", flat_grid(6, 7, 0.01, 0.01), gel, position=(0.003, 0.002, 0.0001),
        shape=Box((0.02, 0.02, 0.01)), shape_position=(0.0, 0.0, 0.0101),
    )  # fmt: skip
    return World(scene, 1, dtype=DOUBLE)


def test_gels_sit_on_the_frames_of_shapes():
    world = gripping()
    state, R = world.initial_state(), matrix(TURN)
    assert world.gels["side"].taxels == slice(0, 20) and world.gels["below"].taxels == slice(20, 62)
    for name, local, z in (("side", (0.0298, 0.0, 0.03), (-1, 0, 0)), ("below", (0.003, 0.002, 0.0001), (0, 0, 1))):
        view = world.gels[name]
        pose = view.pose(state)[0]
        np.testing.assert_allclose(pose[:3], PLACE + R @ local, atol=1e-14)
        np.testing.assert_allclose(matrix(pose[3:])[:, 2], R @ z, atol=1e-14)
        assert torch.equal(view.field(state), state.field[:, view.taxels])
        assert torch.equal(view.depth(state), state.depth[:, view.taxels])
        assert view.sensor is world.sensors[name] and float(view.depth(state).max()) > 0.0
    # in the frame of the shape, not at the centre of mass of the cup
    np.testing.assert_allclose(world.gels["side"].object_pose(state)[0, :3], PLACE, atol=1e-15)
    np.testing.assert_allclose(world.gels["below"].object_pose(state)[0, :3], PLACE + R @ (0, 0, 0.0101), atol=1e-15)


def test_fingers_slide_with_the_gripper():
    world = World(touch(), 1, dtype=DOUBLE)
    state = world.initial_state()
    wide = state.replace(grip=state.grip + torch.tensor([0.004, 0.0], dtype=DOUBLE))
    for name, side in (("left", -1.0), ("right", 1.0)):
        moved = world.gels[name].pose(wide) - world.gels[name].pose(state)
        np.testing.assert_allclose(moved[0], [0.004 * side, 0, 0, 0, 0, 0, 0], atol=1e-15)


def test_what_a_gel_does_in_the_first_tick_is_what_its_sensor_reads():
    """At rest the dynamics see the same depths and forces as the sensor, which knows the frames of shapes only."""
    world = gripping()
    state = world.initial_state()
    after = world.step(state, world.zero_control(state))
    assert (state.depth > 0).any(0).sum() > 10 and float(state.field.abs().max()) > 1e-3
    for name in ("depth", "field", "gel_wrench", "stick"):
        torch.testing.assert_close(after[name], state[name], rtol=1e-9, atol=1e-12, msg=name)


def test_gel_and_object_feel_opposite_wrenches():
    """Each at its own place: about the cup's centre of mass, which is not its frame's origin, and the hand's. A gel
    sees and pushes from where its `lead` will have brought it.
    """
    world = gripping()
    state = world.initial_state()
    state = state.replace(body_twist=state.body_twist + rows(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.01, 0.02, -0.01, 0.1, 0, 0)
                          .view(1, 2, 6))  # fmt: skip
    state = world.touch_anew(state)
    shear = 0.0
    for _ in range(5):
        after = world.step(state, world.zero_control(state))
        cup, hand = (world.bodies[name].wrench(after)[0].numpy() for name in ("cup", "hand"))
        felt = {"cup": np.zeros(6), "hand": np.zeros(6)}
        carrier = world.bodies["hand"]
        speed = 1e-3 * carrier.twist(state)
        ahead = carrier.place(state, carrier.near(state, speed[:, :3], speed[:, 3:]))
        for view in world.gels.values():
            pose, read = view.pose(ahead)[0].numpy(), view.wrench(after)[0].numpy()
            R = matrix(pose[3:])
            force, moment = R @ read[:3], R @ read[3:]
            for name, sign in (("cup", -1.0), ("hand", 1.0)):
                arm = pose[:3] - world.bodies[name].centre(state)[0].numpy()
                felt[name] += sign * np.concatenate([force, moment + np.cross(arm, force)])
            normal = -float(view.field(after)[0, :, 2].sum())
            np.testing.assert_allclose(read[2], normal, rtol=1e-12)  # what presses a gel pushes it along its -z
            shear = max(shear, float(view.field(after)[0, :, :2].abs().max()))
            R = matrix(view.pose(after)[0, 3:])
            np.testing.assert_allclose(view.force(after)[0], R @ read[:3], atol=1e-14)
        np.testing.assert_allclose(cup, felt["cup"], rtol=0, atol=1e-10)
        np.testing.assert_allclose(hand, felt["hand"], rtol=0, atol=1e-10)
        state = after
    assert int(state.status) == 0 and np.linalg.norm(cup[:3]) > 0.01 and shear > 1e-5
