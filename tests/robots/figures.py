# SPDX-License-Identifier: Apache-2.0
"""What is published about the robots at hand, typed in again here, and where their links are by formulas of their own.

Sources are those that the scripts in assets/ name. Positions of links are functions of the positions of joints by name.
"""

from math import inf

import numpy as np

from tests.robots.panda import craig

R2, R3 = np.pi / 2, np.pi / 180  # a right angle, a degree [rad]
# ---- joints: lower, upper [rad or m], largest torque [N m or N], speed [rad/s or m/s], damping, friction ------------
FETCH = {  # fetch_description/robots/fetch.urdf
    "torso_lift_joint": (0.0, 0.38615, 450.0, 0.1, 100.0, 0.0), "head_pan_joint": (-1.57, 1.57, 0.32, 1.57, 0.0, 0.0),
    "head_tilt_joint": (-0.76, 1.45, 0.68, 1.57, 0.0, 0.0),
    "shoulder_pan_joint": (-1.6056, 1.6056, 33.82, 1.256, 1.0, 0.0),
    "shoulder_lift_joint": (-1.221, 1.518, 131.76, 1.454, 1.0, 0.0),
    "upperarm_roll_joint": (-inf, inf, 76.94, 1.571, 5.0, 0.0),
    "elbow_flex_joint": (-2.251, 2.251, 66.18, 1.521, 1.0, 0.0),
    "forearm_roll_joint": (-inf, inf, 29.35, 1.571, 5.0, 0.0), "wrist_flex_joint": (-2.16, 2.16, 25.7, 2.268, 1.0, 0.0),
    "wrist_roll_joint": (-inf, inf, 7.36, 2.268, 5.0, 0.0),
    "l_gripper_finger_joint": (0.0, 0.05, 60.0, 0.05, 100.0, 0.0),
}  # fmt: skip
PSM = {  # share/kinematic/PSM.json, share/tool/LARGE_NEEDLE_DRIVER_400006.json; friction: Wang et al. 2019
    "yaw": (-1.588, 1.588, 3.316101, inf, 0.0905326, 0.050003),
    "pitch": (-0.925025, 0.925025, 3.316101, inf, 0.2180617, 0.0668202),
    "insertion": (0.0, 0.24, 9.877926, inf, 1.2035645, 0.4475953),
    "roll": (-4.53786, 4.53786, 0.33, inf, 0.0011114, 0.002465),
    "wrist_pitch": (-1.39626, 1.39626, 0.25, inf, 0.012171, 0.0069935),
    "wrist_yaw": (-1.39626, 1.39626, 0.20, inf, 0.0042618, 0.0029501),
    "jaw": (-0.698132, 1.39626, 0.16, inf, 0.00451055, 0.00157995),
}  # fmt: skip
ECM = {  # share/kinematic/ECM.json
    "yaw": (-1.5708, 1.5708, 26.93208, inf, 0.0, 0.0), "pitch": (-0.76794, 1.1344, 26.93208, inf, 0.0, 0.0),
    "insertion": (0.0, 0.255, 80.6589483, inf, 0.0, 0.0), "roll": (-1.552, 1.552, 0.87658808, inf, 0.0, 0.0),
}  # fmt: skip
LBR = {  # KUKA, LBR iiwa 14 R820
    f"joint{i}": (-limit * R3, limit * R3, effort, speed * R3, 0.0, 0.0)
    for i, limit, effort, speed in (
        (1, 170, 320.0, 85), (2, 120, 320.0, 85), (3, 170, 176.0, 100), (4, 120, 176.0, 75), (5, 170, 110.0, 130),
        (6, 120, 40.0, 135), (7, 175, 40.0, 135),
    )
}  # fmt: skip
QUADRUPED = {  # mujoco_menagerie/boston_dynamics_spot; Isaac Lab's SPOT_CFG
    f"{leg}_{joint}": (*limits, effort, inf, 0.0, 0.0)
    for leg in ("fl", "fr", "hl", "hr")
    for joint, limits, effort in (
        ("hx", (-0.785398, 0.785398), 45.0), ("hy", (-0.898845, 2.29511), 45.0),
        ("kn", (-2.7929, -0.254402), 113.236015),
    )
}  # fmt: skip
_FINGER = ((-0.47, 0.47), (-0.196, 1.61), (-0.174, 1.709), (-0.227, 1.618))
_THUMB = ((0.263, 1.396), (-0.105, 1.163), (-0.189, 1.644), (-0.162, 1.719))
HAND = {  # allegro_hand_description_right.urdf
    f"{finger}_{i}": (*limits, 0.7, inf, 0.0, 0.0)
    for finger, rows in (("index", _FINGER), ("middle", _FINGER), ("ring", _FINGER), ("thumb", _THUMB))
    for i, limits in enumerate(rows)
}  # fmt: skip
JOINTS = {"fetch": FETCH, "psm": PSM, "ecm": ECM, "lbr": LBR, "quadruped": QUADRUPED, "hand": HAND}
# ---- masses [kg] of links; a total where it is published -------------------------------------------------------------
_PARTS = {"hip": 1.68, "uleg": 2.34, "lleg": 0.35}
_LEGS = {f"{leg}_{part}": mass for leg in ("fl", "fr", "hl", "hr") for part, mass in _PARTS.items()}
_HAND = {f"{f}_link{i}": m for f in ("index", "middle", "ring") for i, m in enumerate((0.0119, 0.065, 0.0355, 0.0096))}
MASSES = {
    "fetch": {
        "base_link": 70.1294, "r_wheel_link": 4.3542, "l_wheel_link": 4.3542, "torso_fixed_link": 13.2775,
        "torso_lift_link": 10.7796, "head_pan_link": 2.2556, "head_tilt_link": 0.9087, "shoulder_pan_link": 2.5587,
        "shoulder_lift_link": 2.6615, "upperarm_roll_link": 2.3311, "elbow_flex_link": 2.1299,
        "forearm_roll_link": 1.6563, "wrist_flex_link": 1.725, "wrist_roll_link": 0.1354,
        "gripper_link": 1.5175, "l_gripper_finger_link": 0.0798, "r_gripper_finger_link": 0.0798,
    },
    "psm": {  # Wang et al. 2019; the instrument, of roll_link and beyond, is a guess
        "yaw_link": 6.0667823, "back_link": 10.0001371, "bottom_bar": 2.956747, "top_bar": 0.4796773,
        "pitch_link": 0.1000014, "front_link": 0.5000069, "insertion_link": 0.3630268,
        "counterweight": 0.3499395, "roll_link": 0.05, "wrist_pitch_link": 0.002, "wrist_yaw_link": 0.001,
        "jaw_right_link": 0.0005, "jaw_left_link": 0.0005,
    },
    "ecm": {  # dvrk_env/dvrk_description/ecm
        "yaw_link": 6.4168, "front_link": 1.6069, "back_link": 0.4214, "bottom_bar": 0.35928, "top_bar": 0.43851,
        "pitch_link": 2.0321, "insertion_link": 0.23108, "roll_link": 1.9074,
    },
    "lbr": {  # mujoco_menagerie/kuka_iiwa_14; the tool is a guess
        "base": 5.0, "link1": 5.76, "link2": 6.35, "link3": 3.5, "link4": 3.5, "link5": 3.5, "link6": 1.8, "link7": 1.2,
        "needle_driver": 0.6,
    },
    "quadruped": {"body": 32.86, **_LEGS},
    "hand": {
        "palm": 0.4154, **_HAND, "thumb_link0": 0.0176, "thumb_link1": 0.0119, "thumb_link2": 0.038,
        "thumb_link3": 0.0388, **{f"tip{i}": 0.0168 for i in (1, 2, 3, 4)},
    },
}  # fmt: skip
TOTAL = {"quadruped": 50.34}  # 50.3 kg


# ---- where links are -------------------------------------------------------------------------------------------------
def about(axis, angle):
    """Rodrigues' formula, (3, 3)."""
    x, y, z = axis = np.asarray(axis, float)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) * np.cos(angle) + np.sin(angle) * k + (1 - np.cos(angle)) * np.outer(axis, axis)


def pose(turn, place):
    """A matrix (4, 4)."""
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = turn, place
    return out


def denavit(rows):
    """Frames after each row alpha [rad], a [m], d [m], theta [rad] of modified parameters."""
    frames = [np.eye(4)]
    for alpha, a, d, theta in rows:
        frames.append(frames[-1] @ craig(a, d, alpha, theta))
    return frames[1:]


def _psm_rows(q):
    return (
        (R2, 0, 0, q["yaw"] + R2), (-R2, 0, 0, q["pitch"] - R2), (R2, 0, q["insertion"] - 0.4318, 0),
        (0, 0, 0.4162, q["roll"]), (-R2, 0, 0, q["wrist_pitch"] - R2), (-R2, 0.0091, 0, q["wrist_yaw"] - R2),
    )  # fmt: skip


def _ecm_rows(q):
    return (
        (R2, 0, 0, q["yaw"] + R2), (-R2, 0, 0, q["pitch"] - R2), (R2, 0, q["insertion"] - 0.3822, 0),
        (0, 0, 0.3829, q["roll"]),
    )  # fmt: skip


def _lbr_rows(q):
    turns, lengths = (0, -R2, R2, R2, -R2, -R2, R2), (0.36, 0, 0.42, 0, 0.40, 0, 0.126)
    return tuple((a, 0, d, q[f"joint{i}"]) for i, (a, d) in enumerate(zip(turns, lengths, strict=True), start=1))


def _chain(rows, q, names):
    """Links along the base's axes at zero, at the origins of the rows' frames."""
    still = denavit(rows(dict.fromkeys(q, 0.0)))
    moved = denavit(rows(q))
    return {n: pose(m[:3, :3] @ s[:3, :3].T, m[:3, 3]) for n, m, s in zip(names, moved, still, strict=True)}


def _parallelograms(q, bar, back, up, between, second):
    """Of PSM and ECM: links that turn with the pitch, and bars along the axis of the yaw. `second` is where the second
    link's pivot is behind the first's, which is the back link of the PSM, the front link of the ECM.
    """
    yaw, turned = about((0, -1, 0), q["yaw"]), about((0, -1, 0), q["yaw"]) @ about((-1, 0, 0), q["pitch"])
    first = yaw @ np.array([0.0, -bar, 0.0])
    low, high = np.array([0.0, -back, up]), np.array([0.0, -back, up]) + between
    return {
        "first": pose(turned, first), "second": pose(turned, first + yaw @ second),
        "bottom_bar": pose(yaw, first + turned @ low), "top_bar": pose(yaw, first + turned @ high),
    }  # fmt: skip


def psm(q):
    """Links of the PSM."""
    names = ("yaw_link", "pitch_link", "insertion_link", "roll_link", "wrist_pitch_link", "wrist_yaw_link")
    out = _chain(_psm_rows, q, names)
    tip = pose(np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0]]), np.zeros(3)) @ pose(np.eye(3), (0, 0, 0.0102))
    out["tool"] = denavit(_psm_rows(q))[-1] @ tip  # tooltip_offset of the instrument's file, and beyond to the tip
    for side, sign in (("left", 1), ("right", -1)):
        out[f"jaw_{side}_link"] = out["wrist_yaw_link"] @ pose(about((0, -1, 0), sign * q["jaw"] / 2), np.zeros(3))
    bars = _parallelograms(q, 0.516, 0.04009, 0.14454, (0, 0, 0.03808), (0, 0.096, 0))
    out |= {"back_link": bars.pop("first"), "front_link": bars.pop("second"), **bars}
    out["counterweight"] = out["back_link"] @ pose(np.eye(3), (0, -0.04009, q["insertion"]))
    return out


def ecm(q):
    """Links of the ECM."""
    out = _chain(_ecm_rows, q, ("yaw_link", "pitch_link", "insertion_link", "roll_link"))
    out["camera"] = denavit(_ecm_rows(q))[-1]
    bars = _parallelograms(q, 0.3404, 0.103, 0.2868, (0, -0.0055, 0.0375), (0, -0.0366, -0.0098))
    return out | {"front_link": bars.pop("first"), "back_link": bars.pop("second"), **bars}


def lbr(q):
    """Links of the LBR."""
    out = _chain(_lbr_rows, q, [f"link{i}" for i in range(1, 8)])
    return out | {"tool": denavit(_lbr_rows(q))[-1] @ pose(np.eye(3), (0, 0, 0.335))}


def fetch(q):
    """Links of the Fetch by a product of exponentials: screws where all joints are at zero, from the base outwards."""
    screws = (
        ("torso_lift", (-0.086875, 0, 0.37743), "slide"), ("shoulder_pan", (0.03265, 0, 0.72601), (0, 0, 1)),
        ("shoulder_lift", (0.14965, 0, 0.78601), (0, 1, 0)), ("upperarm_roll", (0.36865, 0, 0.78601), (1, 0, 0)),
        ("elbow_flex", (0.50165, 0, 0.78601), (0, 1, 0)), ("forearm_roll", (0.69865, 0, 0.78601), (1, 0, 0)),
        ("wrist_flex", (0.82315, 0, 0.78601), (0, 1, 0)), ("wrist_roll", (0.96165, 0, 0.78601), (1, 0, 0)),
    )  # fmt: skip
    out, moved = {}, np.eye(4)
    for name, point, axis in screws:
        angle, point = q[f"{name}_joint"], np.array(point)
        if axis == "slide":
            moved = moved @ pose(np.eye(3), (0, 0, angle))
        else:
            turn = about(axis, angle)
            moved = moved @ pose(turn, point - turn @ point)
        out[f"{name}_link"] = moved @ pose(np.eye(3), point)
    middle = np.array([1.1281, 0, 0.78601])
    out["tool"] = moved @ pose(np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]]), middle)
    for side, sign in (("l", -1), ("r", 1)):
        aside = np.array([0, sign * (0.015425 + q["l_gripper_finger_joint"]), 0])
        out[f"{side}_gripper_finger_link"] = moved @ pose(np.eye(3), middle + aside)
    return out


def quadruped(q):
    """Feet and knees of the Spot, from the body."""
    out = {}
    for leg, fore, side in (("fl", 1, 1), ("fr", 1, -1), ("hl", -1, 1), ("hr", -1, -1)):
        hip = about((1, 0, 0), q[f"{leg}_hx"])
        upper = hip @ about((0, 1, 0), q[f"{leg}_hy"])
        lower = upper @ about((0, 1, 0), q[f"{leg}_kn"])
        place = np.array([fore * 0.29785, side * 0.055, 0.0]) + hip @ np.array([0, side * 0.1108, 0])
        knee = place + upper @ np.array([0.025, 0, -0.32])
        out |= {f"{leg}_uleg": pose(upper, place), f"{leg}_lleg": pose(lower, knee)}
        out[f"{leg}_foot"] = pose(lower, knee + lower @ np.array([0, 0, -0.3365]))
    return out


def hand(q):
    """Tips of the hand: each finger lies in a plane that its first joint turns."""
    out = {}
    fingers = (("index", 5, 0.0435, -0.001542), ("middle", 0, 0.0, 0.0007), ("ring", -5, -0.0435, -0.001542))
    for number, (name, tilt, y, z) in enumerate(fingers, start=1):
        bends = np.cumsum([q[f"{name}_{i}"] for i in (1, 2, 3)])
        reach = np.array([0.054, 0.0384, 0.0267])
        tip = np.array([reach @ np.sin(bends), 0.0, 0.0164 + reach @ np.cos(bends)])
        plane = about((1, 0, 0), -tilt * R3) @ about((0, 0, 1), q[f"{name}_0"])
        out[f"tip{number}"] = pose(plane @ about((0, 1, 0), bends[2]), np.array([0, y, z]) + plane @ tip)
    bends, reach = np.cumsum([q["thumb_2"], q["thumb_3"]]), np.array([0.0514, 0.0423])
    tip = np.array([reach @ np.sin(bends), 0.0, 0.0177 + reach @ np.cos(bends)])
    base = about((0, 0, 1), -R2) @ about((0, 1, 0), -95 * R3) @ about((-1, 0, 0), q["thumb_0"])
    plane = base @ about((0, 0, 1), q["thumb_1"])
    place = np.array([-0.0182, 0.019333, -0.045987]) + base @ np.array([-0.027, 0.005, 0.0399]) + plane @ tip
    return out | {"tip4": pose(plane @ about((0, 1, 0), bends[1]), place)}


LINKS = {"fetch": fetch, "psm": psm, "ecm": ecm, "lbr": lbr, "quadruped": quadruped, "hand": hand}
