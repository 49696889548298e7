# SPDX-License-Identifier: Apache-2.0
"""The robots at hand: their figures against published tables, their kinematics against formulas of their own, and their
dynamics against themselves and against Pinocchio's reading of the same files.
"""

import functools
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch

from simenv.assets import make_fetch, make_hand, make_lbr, make_panda, make_quadruped, make_surgical, path
from simenv.errors import AssetError
from simenv.physics.rotation import quaternion_to_matrix
from simenv.robots import Robot, chain, load
from tests.robots import figures

NAMES = ("panda", "panda_gripper", "fetch", "psm", "ecm", "lbr", "quadruped", "hand")
COLLIDE, OURS = NAMES[1:], NAMES[2:]
WORLDS = 8


@functools.cache
def robot(name: str) -> Robot:
    """Eight of them, in float64."""
    return Robot(load(name), WORLDS, dtype=torch.float64)


def positions(name: str, seed: int = 0) -> np.ndarray:
    """Random positions within 90 % of the limits, up to three radians without; a free base anywhere (WORLDS, ny)."""
    rng, rows = np.random.default_rng(seed), []
    for joint in load(name).joints:
        if joint.kind == "free":
            turn = rng.normal(size=(WORLDS, 4))
            rows += [rng.normal(size=(WORLDS, 3)), turn / np.linalg.norm(turn, axis=1, keepdims=True)]
        elif joint.mimic is None:
            low, high = max(joint.lower, -3.0), min(joint.upper, 3.0)
            rows.append((low + high) / 2 + 0.45 * (high - low) * rng.uniform(-1.0, 1.0, (WORLDS, 1)))
    return np.concatenate(rows, 1)


def tensor(values: np.ndarray) -> torch.Tensor:
    """In float64."""
    return torch.as_tensor(values, dtype=torch.float64)


def by_name(name: str, row: np.ndarray) -> dict[str, float]:
    """Positions of joints that turn or slide, without a free base."""
    joints = [joint.name for joint in load(name).joints if joint.mimic is None and joint.kind != "free"]
    return dict(zip(joints, row[-len(joints) :], strict=True))


def matrices(poses: torch.Tensor) -> np.ndarray:
    """(..., 4, 4) of poses (..., 7)."""
    out = np.zeros((*poses.shape[:-1], 4, 4))
    out[..., :3, :3], out[..., :3, 3], out[..., 3, 3] = quaternion_to_matrix(poses[..., 3:]), poses[..., :3], 1.0
    return out


def links(name: str, q: np.ndarray) -> dict[str, np.ndarray]:
    """Frames of all links at positions (WORLDS, ny), (WORLDS, 4, 4) each."""
    frames = matrices(robot(name).link_poses(tensor(q)))
    return dict(zip(robot(name).links, frames.swapaxes(0, 1), strict=True))


# -------------------------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize("name", OURS)
def test_limits_and_motors_are_those_published(name):
    for joint, wanted in figures.JOINTS[name].items():
        (got,) = (each for each in load(name).joints if each.name == joint)
        found = (got.lower, got.upper, got.effort, got.speed, got.damping, got.friction)
        assert found == pytest.approx(wanted, rel=2e-7, abs=0.0), joint
    others = [each for each in load(name).joints if each.name not in figures.JOINTS[name]]
    assert all(each.mimic is not None or each.kind == "free" for each in others)


@pytest.mark.parametrize("name", OURS)
def test_masses_are_those_published(name):
    found = {link.name: link.inertial.mass for link in load(name).links if link.inertial}
    assert found == figures.MASSES[name]
    assert sum(found.values()) == pytest.approx(figures.TOTAL.get(name, sum(figures.MASSES[name].values())), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_every_inertia_can_be(name):
    """Principal moments positive, none larger than the sum of the others, with a gyration no larger than the robot."""
    for link in load(name).links:
        if link.inertial is not None:
            moments = np.linalg.eigvalsh(link.inertial.inertia)
            assert moments[0] > 0.0 and moments[0] + moments[1] >= moments[2], link.name
            assert np.sqrt(moments[2] / link.inertial.mass) < 0.4, link.name


SPREAD = {
    "fetch": ("l_gripper_finger_link",), "lbr": ("needle_driver",),
    "hand": ("palm", "index_link1", "thumb_link0", "thumb_link3", "tip4"),
    "psm": ("yaw_link", "bottom_bar", "roll_link", "wrist_pitch_link", "wrist_yaw_link", "jaw_left_link"),
    "ecm": ("yaw_link", "front_link", "top_bar", "pitch_link", "roll_link"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPREAD)
def test_mass_without_figures_is_spread_over_the_shapes(name):
    """Against meshes of the shapes, whose facets lack up to 2 % of round ones. Centres of masses may be published."""
    tree = load(name)
    for link in map(tree.link, SPREAD[name]):
        volume, first, second = 0.0, np.zeros(3), np.zeros((3, 3))
        for part in link.collisions:
            mesh, at = part.shape.to_mesh(), np.eye(4)
            at[:3, :3] = quaternion_to_matrix(torch.tensor(part.quaternion, dtype=torch.float64))
            at[:3, 3] = part.position
            mesh.apply_transform(at)
            centre = mesh.center_mass
            volume, first = volume + mesh.volume, first + mesh.volume * centre
            second += mesh.moment_inertia + mesh.volume * (centre @ centre * np.eye(3) - np.outer(centre, centre))
        centre = first / volume
        wanted = second / volume - (centre @ centre * np.eye(3) - np.outer(centre, centre))
        found = np.array(link.inertial.inertia) / link.inertial.mass
        assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max(), link.name
        if name not in ("psm", "ecm"):
            assert np.abs(np.array(link.inertial.centre) - centre).max() < 2e-4


def test_the_spot_s_body_is_as_heavy_to_turn_as_a_box_between_its_hips():
    inertia = np.array(load("quadruped").link("body").inertial.inertia)
    x, y, z = np.array([0.5957, 0.24, 0.18]) ** 2
    assert np.abs(inertia - 32.86 / 12 * np.diag([y + z, x + z, x + y])).max() < 1e-6


@pytest.mark.parametrize("name", COLLIDE)
def test_what_is_drawn_collides(name):
    for link in load(name).links:
        both = (link.looks, link.collisions)
        drawn, touching = ([(e.shape, e.position, e.quaternion) for e in each] for each in both)
        assert drawn == touching
        assert drawn or link.inertial is None, link.name


def test_files_are_what_the_scripts_write():
    written = {}
    for script in (make_panda, make_fetch, make_surgical, make_lbr, make_quadruped, make_hand):
        written |= script.files()
    assert set(written) == set(NAMES)
    for name, text in written.items():
        assert path(f"robots/{name}.urdf").read_text(encoding="utf-8") == text, f"run assets/make_...py for {name}"


# ---------------------------------------------------------------------------------------------------------- names


def test_robots_have_a_name_and_a_posture():
    with pytest.raises(AssetError, match=r"no robot 'unknown'; give " + ", ".join(map(repr, NAMES)) + ", or the path"):
        load("unknown")
    for name in NAMES:
        tree = load(name)
        free = {joint.name for joint in tree.joints if joint.mimic is None}
        assert free - set(tree.posture) == ({"left_finger_joint", "right_finger_joint"} if name == "panda" else set())
        assert robot(name).posture.isfinite().all()
    assert load("psm", posture={"jaw": 0.1}).posture["jaw"] == 0.1
    tool = links("fetch", robot("fetch").posture.numpy())["tool"][0]
    assert tool[:3, 2] == pytest.approx([0, 0, -1], abs=0.05)  # the hand looks down, as that of the LBR
    assert links("lbr", robot("lbr").posture.numpy())["tool"][0, :3, 2] == pytest.approx([0, 0, -1], abs=1e-12)


def test_the_panda_with_its_gripper_is_the_panda_but_for_its_fingers():
    """Two of 15 g whose tips are 112 mm from the hand, the right one as far out as the left."""
    plain, tactile = load("panda_gripper"), load("panda")
    for one, other in zip(plain.links, tactile.links, strict=True):
        if "finger" not in one.name:
            assert (one.joint, one.inertial, one.looks) == (other.joint, other.inertial, other.looks)
    fingers = [plain.link(f"{side}_finger") for side in ("left", "right")]
    assert [finger.inertial.mass for finger in fingers] == [0.015, 0.015]
    each = Robot(plain, 1, dtype=torch.float64)
    assert each.joints[-1] == "left_finger_joint" and len(each.joints) == 8
    q = each.posture.clone()
    assert float(q[0, 7]) == 0.04
    q[0, 7] = 0.013
    places = [each.pose(q, link)[0, :3] for link in ("left_finger", "right_finger")]
    assert float((places[0] - places[1]).norm()) == pytest.approx(0.026, abs=1e-15)
    (pad,) = fingers[0].collisions
    assert pad.position[2] + pad.shape.half_extents[2] == pytest.approx(0.112)


def test_bases():
    cart = load("fetch", base="planar")
    assert cart.links[0].joint.kind == "planar"
    assert Robot(cart).joints[:4] == (*(f"base_link_base.{i}" for i in range(3)), "torso_lift_joint")
    spot = load("quadruped")
    assert (spot.links[0].name, spot.links[0].joint.kind) == ("body", "free")
    assert spot.posture["base"] == (0.0, 0.0, 0.46, 0.0, 0.0, 0.0, 1.0)
    # a foot is a ball of 36 mm, which the published posture and height put 3.5 mm into the floor
    feet = [links("quadruped", robot("quadruped").posture.numpy())[f"{leg}_foot"][0, 2, 3] for leg in ("fl", "hr")]
    assert np.array(feet) - 0.036 == pytest.approx(-0.0035, abs=1e-4)


@pytest.mark.parametrize(("name", "tool"), [("fetch", "tool"), ("psm", "tool"), ("ecm", "camera"), ("lbr", "tool")])
def test_chains_move_the_tool_as_the_robot(name, tool):
    """Other joints do not."""
    arm = Robot(chain(load(name), tool), WORLDS, dtype=torch.float64)
    q = positions(name)
    columns = [robot(name).joints.index(joint) for joint in arm.joints]
    found = matrices(arm.pose(tensor(q[:, columns]), tool))
    assert np.abs(found - links(name, q)[tool]).max() < 1e-12


# ----------------------------------------------------------------------------------------------------- kinematics


@pytest.mark.parametrize("name", OURS)
def test_links_are_where_the_formulas_have_them(name):
    q = positions(name, seed=1)
    found = links(name, q)
    for world, row in enumerate(q):
        base = found["body"][world] if name == "quadruped" else np.eye(4)
        for link, wanted in figures.LINKS[name](by_name(name, row)).items():
            assert np.abs(found[link][world] - base @ wanted).max() < 1e-12, link
    if name == "quadruped":
        assert np.abs(matrices(tensor(q[:, :7])) - found["body"]).max() < 1e-15


@pytest.mark.parametrize("name", ["psm", "ecm"])
def test_the_remote_centre_is_where_the_shaft_passes(name):
    """The base's origin lies on the axis of the shaft, at every position of the joints."""
    found = links(name, positions(name, seed=2))
    for link in ("insertion_link", "roll_link"):
        along, place = found[link][:, :3, 2], found[link][:, :3, 3]
        assert np.abs(np.cross(along, place)).max() < 1e-12
    assert np.abs(found["pitch_link"][:, :3, 3]).max() < 1e-15


@pytest.mark.parametrize(("name", "bar", "second"), [
    ("psm", 0.516, (0, 0.096, 0)), ("ecm", 0.3404, (0, -0.0366, -0.0098)),
])  # fmt: skip
def test_parallelograms_close(name, bar, second):
    """Links and bars that the file does not join meet, and opposite sides stay parallel."""
    found = links(name, positions(name, seed=3))
    yaw, pitch, first = found["yaw_link"], found["pitch_link"], found["back_link" if name == "psm" else "front_link"]
    other = found["front_link" if name == "psm" else "back_link"]

    def at(frame, point):
        return frame[:, :3, :3] @ np.asarray(point, float) + frame[:, :3, 3]

    for link in (first, other):
        assert np.abs(link[:, :3, :3] - pitch[:, :3, :3]).max() < 1e-14
    for each in ("bottom_bar", "top_bar"):
        assert np.abs(found[each][:, :3, :3] - yaw[:, :3, :3]).max() < 1e-14
        pin = np.einsum("nji,nj->ni", first[:, :3, :3], found[each][:, :3, 3] - first[:, :3, 3])
        assert np.abs(np.ptp(pin, axis=0)).max() < 1e-14  # on the first link, where it always is
        # the far end of a bar is the same point of the end link, which turns about the remote centre
        assert np.abs(at(found[each], (0, bar, 0)) - at(pitch, pin[0])).max() < 1e-14
    pin = np.einsum("nji,nj->ni", first[:, :3, :3], found["bottom_bar"][:, :3, 3] - first[:, :3, 3])[0]
    assert np.abs(at(found["bottom_bar"], second) - at(other, pin)).max() < 1e-14


def test_jaws_open_alike_along_y_of_the_tool():
    q = positions("psm")
    q[:, robot("psm").joints.index("jaw")] = np.linspace(-0.6, 1.3, WORLDS)
    found = links("psm", q)
    tool, left, right = (found[each] for each in ("tool", "jaw_left_link", "jaw_right_link"))
    tips = [np.einsum("nji,nj->ni", tool[:, :3, :3], -each[:, :3, 2]) for each in (left, right)]
    wanted = np.stack([np.zeros(WORLDS), np.sin(q[:, -1] / 2), np.cos(q[:, -1] / 2)], -1)
    assert robot("psm").joints[-1] == "jaw"
    assert np.abs(tips[0] - wanted).max() < 1e-14 and np.abs(tips[1] - wanted * [1, -1, 1]).max() < 1e-14


# ------------------------------------------------------------------------------------------------------- dynamics


@pytest.mark.parametrize("name", NAMES)
def test_inertia_is_positive_and_dynamics_go_both_ways(name):
    each, q = robot(name), tensor(positions(name, seed=4))
    rng = np.random.default_rng(5)
    v, a = (tensor(rng.normal(size=(WORLDS, len(each.joints)))) for _ in range(2))
    matrix = each.mass_matrix(q)
    scale = matrix.diagonal(dim1=1, dim2=2).rsqrt()
    unit = scale[:, :, None] * matrix * scale[:, None, :]
    assert (unit - unit.mT).abs().max() < 1e-12
    assert torch.linalg.eigvalsh(unit).min() > 1e-4
    tau = each.inverse_dynamics(q, v, a)
    assert (each.forward_dynamics(q, v, tau) - a).abs().max() < 1e-10


class Pinocchio:
    """Pinocchio's model of a file, as if no joint followed another, and the map from those that lead to all."""

    def __init__(self, name: str):
        self.pin = pytest.importorskip("pinocchio")
        file = str(path(f"robots/{name}.urdf"))
        self.model = self.pin.buildModelFromUrdf(file)
        self.data, self.robot = self.model.createData(), robot(name)
        self.ids = [self.model.getJointId(joint) for joint in self.robot.table.joints]
        self.free = self.model.joints[self.ids[0]].nv == 6
        root = ET.parse(file).getroot()
        rules = {j.get("name"): j.find("mimic") for j in root.findall("joint") if j.find("mimic") is not None}
        leads = list(self.robot.joints)
        self.gear = np.zeros((len(self.robot.table.rates), len(leads)))
        for row, rate in enumerate(self.robot.table.rates):
            rule = rules.get(rate)
            leader = rate if rule is None else rule.get("joint")
            self.gear[row, leads.index(leader)] = 1.0 if rule is None else float(rule.get("multiplier"))

    def positions(self, q: np.ndarray) -> np.ndarray:
        """Pinocchio's positions: of joints without limits cosine and sine."""
        ours = np.r_[q[:7], self.gear[6:, 6:] @ q[7:]] if self.free else self.gear @ q
        out, start = self.pin.neutral(self.model), 0
        for index in self.ids:
            joint = self.model.joints[index]
            count = 7 if joint.nv == 6 else 1
            value, start = ours[start : start + count], start + count
            turns = joint.nq == 2
            out[joint.idx_q : joint.idx_q + joint.nq] = [np.cos(value[0]), np.sin(value[0])] if turns else value
        return out

    def turn(self, q: np.ndarray) -> np.ndarray:
        """Pinocchio's rates from ours, which lead (nv, nu): of a free base along the body's axes."""
        order = np.concatenate([np.arange(j.idx_v, j.idx_v + j.nv) for j in (self.model.joints[i] for i in self.ids)])
        out = np.zeros_like(self.gear)
        out[order] = self.gear
        if self.free:
            frame = matrices(tensor(q[:7]))[:3, :3]
            out[:6, :6] = np.kron(np.eye(2), frame.T)
        return out

    def inertia(self, q: np.ndarray) -> np.ndarray:
        """M (nu, nu)."""
        turn, full = self.turn(q), self.pin.crba(self.model, self.data, self.positions(q))
        return turn.T @ (np.triu(full) + np.triu(full, 1).T) @ turn

    def bias(self, q: np.ndarray, v: np.ndarray) -> np.ndarray:
        """h (nu,): rates that are constant in our axes change in the body's."""
        turn = self.turn(q)
        rates = turn @ v
        change = np.zeros_like(rates)
        if self.free:
            change[:3] = -np.cross(rates[3:6], rates[:3])
        return turn.T @ self.pin.rnea(self.model, self.data, self.positions(q), rates, change)


@pytest.mark.parametrize("name", NAMES)
def test_pinocchio_agrees(name):
    oracle, q = Pinocchio(name), positions(name, seed=6)
    v = np.random.default_rng(7).normal(size=(WORLDS, len(oracle.robot.joints)))
    inertia, bias = oracle.robot.mass_matrix(tensor(q)).numpy(), oracle.robot.bias(tensor(q), tensor(v)).numpy()
    for world in range(WORLDS):
        wanted = oracle.inertia(q[world])
        assert np.abs(inertia[world] - wanted).max() < 1e-12 * np.abs(wanted).max()
        # of every joint by itself too: those of a hand weigh a millionth of the arm's
        scale = np.sqrt(wanted.diagonal())
        assert (np.abs(inertia[world] - wanted) / np.outer(scale, scale)).max() < 1e-11
        wanted = oracle.bias(q[world], v[world])
        assert np.abs(bias[world] - wanted).max() < 1e-12 * np.abs(wanted).max()


@pytest.mark.parametrize("name", OURS)
def test_other_programs_find_the_shapes(name):
    pin = pytest.importorskip("pinocchio")
    file = str(path(f"robots/{name}.urdf"))
    shapes = pin.buildGeomFromUrdf(pin.buildModelFromUrdf(file), file, pin.GeometryType.COLLISION)
    assert shapes.ngeoms == sum(len(link.collisions) for link in load(name).links)
