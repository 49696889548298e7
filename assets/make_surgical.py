# SPDX-License-Identifier: Apache-2.0
"""Write robots/psm.urdf and robots/ecm.urdf: `python assets/make_surgical.py`, from the top of the repository.

The base is the remote centre, with the arm towards -y and the tool hanging along -z, as in the parameters of the da
Vinci Research Kit (dVRK); what a joint is called there, it is called here. All links' frames are along the base's
where every joint is at zero. The looks are capsules, boxes and cylinders of our own; no mesh is used.

PSM: patient side manipulator of a first da Vinci with a Large Needle Driver (400006). Modified Denavit and Hartenberg
parameters, limits, and the instrument's largest torques: share/kinematic and share/tool of sawIntuitiveResearchKit
(Johns Hopkins, 2026); the arm's largest torques are largest current times gear and motor constant, from there too.
From the wrist's yaw to the tip 10.2 mm: dVRK user guide. Lengths of the parallelograms, the counterweight that rises
as the tool goes in, masses, centres of mass, viscous and dry friction: Wang, Gondokaryono, Munawar and Fischer
(2019), RA-L 4(4), 3657-3664, identified on a robot, whose torques they predict to 16 %; numbers of the files
published with it. Only sums of them show in torques: the masses of back and front link (10 and 0.5 kg) are the
largest that the authors allowed, that of the end link (0.1 kg) the smallest. Their inertia of the back link is kept;
those of the others are none that a body has, or cannot be felt, as 90 kg m^2 across a bar that turns about its length
alone: there the mass is spread over our shapes. Masses of the instrument's parts are guesses.

ECM: the dVRK's arm of the endoscope. Parameters, limits and torques as above; masses, centres of mass and lengths of
the parallelograms: the description by WPI (dvrk_env), from drawings, to 0.1 mm; inertia from our shapes.
"""

from __future__ import annotations

from math import pi

from simenv.assets.urdf_text import DARK, GREY, HALF_PI, Urdf, ball, box, capsule, cylinder, write

NAME = "make_surgical.py"
Pair = tuple[float, float]

# ---- PSM [m, rad, kg, N m] ----------------------------------------------------------------------------------------
RCC, TOOL, TO_YAW, TO_TIP = 0.4318, 0.4162, 0.0091, 0.0102
BAR, PIVOTS, BACK, UP, BETWEEN = 0.516, 0.096, 0.04009, 0.14454, 0.03808
PSM_LIMITS = {
    "yaw": (-1.588, 1.588), "pitch": (-0.925025, 0.925025), "insertion": (0.0, 0.24), "roll": (-4.53786, 4.53786),
    "wrist_pitch": (-1.39626, 1.39626), "wrist_yaw": (-1.39626, 1.39626), "jaw": (-0.698132, 1.39626),
}  # fmt: skip
# of the arm's motors, largest current times gear and motor constant: 1.34 A, 56.5, 0.0438 N m/A; 0.67 A, 336.6 /m
PSM_EFFORT = {
    "yaw": 3.316101, "pitch": 3.316101, "insertion": 9.877926, "roll": 0.33, "wrist_pitch": 0.25, "wrist_yaw": 0.20,
    "jaw": 0.16,
}  # fmt: skip
# viscous and dry; of the wrist's yaw and of the jaw from those of the two jaws, which are their mean and difference
JAWS_VISCOUS, JAWS_DRY, BETWEEN_JAWS = 0.0020153 + 0.0022465, 0.0007803 + 0.0021698, (0.0034451, 0.0001049)
PSM_FRICTION = {
    "yaw": (0.0905326, 0.050003), "pitch": (0.2180617, 0.0668202), "insertion": (1.2035645, 0.4475953),
    "roll": (0.0011114, 0.002465), "wrist_pitch": (0.012171, 0.0069935), "wrist_yaw": (JAWS_VISCOUS, JAWS_DRY),
    "jaw": (JAWS_VISCOUS / 4 + BETWEEN_JAWS[0], JAWS_DRY / 2 + BETWEEN_JAWS[1]),
}  # fmt: skip
# mass and centre, from the joint's place; of end and front link from their pin in the lower bar
PSM_MASSES = {
    "yaw": (6.0667823, (0.0006075, 0.0, 0.0121153)), "back": (10.0001371, (0.0110856, 0.0195141, -0.0721861)),
    "bottom": (2.956747, (-0.0173905, 0.1752131, -0.0199989)), "top": (0.4796773, (-0.0299994, 0.2978392, 0.030008)),
    "end": (0.1000014, (0.0293552, -7e-07, -0.0500018)), "front": (0.5000069, (-0.02, 0.0455733, -0.1400001)),
    "insertion": (0.3630268, (-0.0199936, -0.0199883, 0.0995037)),
    "counterweight": (0.3499395, (-0.018457, -0.0260167, -0.0994826)),
}  # fmt: skip
BACK_INERTIA = (0.0044209, 0.0235898, 0.0265699, 0.0090817, -0.0040484, 0.0015899)
SHAFT_MASS, CLEVIS_MASS, PULLEY_MASS, JAW_MASS = 0.05, 2e-3, 1e-3, 5e-4  # guesses
BACKWARD, LEFT, DOWN = (0.0, -1.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.0, -1.0)


def _plus(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(x + y, 9) for x, y in zip(a, b, strict=True))


def _swapped(pair: Pair) -> Pair:
    return -pair[1], -pair[0]


def psm() -> Urdf:
    """The manipulator with its instrument."""
    robot = Urdf("psm")
    pivot_back, pivot_front = (0.0, -BAR, 0.0), (0.0, round(PIVOTS - BAR, 9), 0.0)
    low, high = (0.0, -BACK, UP), (0.0, -BACK, round(UP + BETWEEN, 9))  # pins of the bars, from a pivot, or the centre

    def joint(
        name: str, kind: str, parent: str, child: str, place: tuple[float, ...], axis: tuple[float, ...]
    ) -> None:  # fmt: skip
        damping, friction = PSM_FRICTION[name]
        robot.joint(
            name, kind, parent, child, place, axis=axis, limits=PSM_LIMITS[name], effort=PSM_EFFORT[name],
            damping=damping, friction=friction,
        )  # fmt: skip

    mount = [box((0.16, 0.06, 0.20), (0, -0.66, 0), GREY), cylinder((0, -0.64, 0), (0, -0.60, 0), 0.06, GREY)]
    robot.link("base", mount)
    mass, centre = PSM_MASSES["yaw"]
    robot.link("yaw_link", [cylinder((0, -0.595, 0), (0, -0.40, 0), 0.055)], mass, _plus(centre, pivot_back))
    joint("yaw", "revolute", "base", "yaw_link", (0, 0, 0), BACKWARD)

    # the end link, which turns about the remote centre and carries the instrument; the cannula is part of it
    mass, centre = PSM_MASSES["end"]
    rail = [
        box((0.05, 0.03, 0.40), (0, -0.075, 0.27)), capsule((0, -0.075, 0.09), (0, 0, 0.075), 0.012),
        cylinder((0, 0, -0.03), (0, 0, 0.075), 0.0055, GREY),
    ]  # fmt: skip
    robot.link("pitch_link", rail, mass, _plus(centre, low))
    joint("pitch", "revolute", "yaw_link", "pitch_link", (0, 0, 0), LEFT)

    # the parallelograms: links turn as the end link does, bars not at all
    turns, stays, limits = ("pitch", 1.0), ("pitch", -1.0), PSM_LIMITS["pitch"]
    mass, centre = PSM_MASSES["back"]
    robot.link("back_link", [capsule((0, 0, -0.07), high, 0.035)], mass, centre, BACK_INERTIA)
    robot.joint("pitch_back", "revolute", "yaw_link", "back_link", pivot_back, axis=LEFT, limits=limits, follows=turns)
    mass, centre = PSM_MASSES["front"]
    robot.link("front_link", [capsule((0, 0, 0), low, 0.014)], mass, _plus(centre, low))
    robot.joint(
        "pitch_front", "revolute", "yaw_link", "front_link", pivot_front, axis=LEFT, limits=limits, follows=turns
    )  # fmt: skip
    for name, pin, radius in (("bottom", low, 0.014), ("top", high, 0.011)):
        mass, centre = PSM_MASSES[name]
        robot.link(f"{name}_bar", [capsule((0, 0, 0), (0, BAR, 0), radius, GREY)], mass, centre)
        robot.joint(
            f"pitch_{name}", "revolute", "back_link", f"{name}_bar", pin, axis=LEFT, limits=_swapped(limits),
            follows=stays,
        )  # fmt: skip
    mass, centre = PSM_MASSES["counterweight"]
    robot.link("counterweight", [box((0.04, 0.03, 0.05), centre, DARK)], mass, centre)
    robot.joint(
        "counterweight_slide", "prismatic", "back_link", "counterweight", (0, -BACK, 0), axis=(0, 0, 1),
        limits=PSM_LIMITS["insertion"], follows=("insertion", 1.0),
    )  # fmt: skip

    # the instrument on its carriage
    mass, centre = PSM_MASSES["insertion"]
    carriage = [box((0.06, 0.075, 0.05), (0, -0.022, 0.02)), box((0.05, 0.04, 0.06), (0, 0, 0.075), DARK)]
    robot.link("insertion_link", carriage, mass, centre)
    joint("insertion", "prismatic", "pitch_link", "insertion_link", (0, 0, RCC), DOWN)
    robot.link("roll_link", [cylinder((0, 0, 0.005), (0, 0, TOOL), 0.0042, DARK)], SHAFT_MASS)
    joint("roll", "revolute", "insertion_link", "roll_link", (0, 0, -TOOL), DOWN)
    robot.link("wrist_pitch_link", [capsule((0, 0, 0), (0, 0, -0.006), 0.0038, GREY)], CLEVIS_MASS)
    joint("wrist_pitch", "revolute", "roll_link", "wrist_pitch_link", (0, 0, 0), LEFT)
    robot.link("wrist_yaw_link", [ball(0.003, (0, 0, 0), GREY)], PULLEY_MASS)
    joint("wrist_yaw", "revolute", "wrist_pitch_link", "wrist_yaw_link", (0, 0, -TO_YAW), BACKWARD)
    # the joint "jaw" is the angle between the jaws; half of it turns the right one out, so that the left one mirrors it
    low_jaw, high_jaw = PSM_LIMITS["jaw"]
    for side, sign in (("right", -1), ("left", 1)):
        inner, tip = (sign * 0.0012, 0.0, -0.001), (sign * 0.0012, 0.0, 0.0012 - TO_TIP)
        robot.link(f"jaw_{side}_link", [capsule(inner, tip, 0.0012, GREY)], JAW_MASS)
    robot.joint(
        "jaw_right", "revolute", "wrist_yaw_link", "jaw_right_link", axis=BACKWARD,
        limits=(-high_jaw / 2, -low_jaw / 2), follows=("jaw", -0.5),
    )  # fmt: skip
    joint("jaw", "revolute", "jaw_right_link", "jaw_left_link", (0, 0, 0), BACKWARD)
    robot.link("tool")
    # the dVRK's tip: z out of the jaws, which open along y
    robot.joint("tool_joint", "fixed", "wrist_yaw_link", "tool", (0, 0, -TO_TIP), (pi, 0, HALF_PI))
    return robot


# ---- ECM ----------------------------------------------------------------------------------------------------------
ECM_RCC, SCOPE = 0.3822, 0.3829
ECM_BAR, ECM_BACK, ECM_UP = 0.3404, 0.103, 0.2868
ECM_BETWEEN = (0.0, -0.0055, 0.0375)  # from the lower bar's pin to the upper bar's
ECM_PIVOTS = (0.0, -0.0366, -0.0098)  # from the front link's pivot to the back link's
ECM_LIMITS = {"yaw": (-1.5708, 1.5708), "pitch": (-0.76794, 1.1344), "insertion": (0.0, 0.255), "roll": (-1.552, 1.552)}
ECM_EFFORT = {"yaw": 26.93208, "pitch": 26.93208, "insertion": 80.6589483, "roll": 0.87658808}
# mass and centre, from the joint's place; of the yaw link and the carriage from the remote centre
ECM_MASSES = {
    "yaw": (6.4168, (0.0, -0.4327, -0.029)), "front": (1.6069, (0.0, -0.030619, 0.13578)),
    "back": (0.4214, (0.0080613, -0.032853, 0.14997)), "bottom": (0.35928, (0.0, 0.14594, 0.026715)),
    "top": (0.43851, (0.0, 0.1702, 0.0)), "end": (2.0321, (-0.00078916, 0.018122, 0.027143)),
    "insertion": (0.23108, (-0.00079249, -0.0524, 0.4209)), "scope": (1.9074, (-0.0007925, 0.0, 0.481)),
}  # fmt: skip


def ecm() -> Urdf:
    """The endoscope's manipulator."""
    robot = Urdf("ecm")
    front = (0.0, -ECM_BAR, 0.0)
    low = (0.0, -ECM_BACK, ECM_UP)
    high = _plus(low, ECM_BETWEEN)

    def joint(
        name: str, kind: str, parent: str, child: str, place: tuple[float, ...], axis: tuple[float, ...]
    ) -> None:  # fmt: skip
        robot.joint(name, kind, parent, child, place, axis=axis, limits=ECM_LIMITS[name], effort=ECM_EFFORT[name])

    robot.link("base", [box((0.18, 0.08, 0.22), (0, -0.60, 0), GREY)])
    shoulder = [cylinder((0, -0.55, 0), (0, -0.32, 0), 0.06), capsule((0, -0.44, -0.03), (0, -0.36, -0.03), 0.05)]
    robot.link("yaw_link", shoulder, *ECM_MASSES["yaw"])
    joint("yaw", "revolute", "base", "yaw_link", (0, 0, 0), BACKWARD)
    mass, centre = ECM_MASSES["end"]
    rail = [
        box((0.06, 0.03, 0.40), (0, -0.08, 0.27)), capsule((0, -0.08, 0.09), (0, 0, 0.075), 0.014),
        cylinder((0, 0, -0.03), (0, 0, 0.075), 0.0075, GREY),
    ]  # fmt: skip
    robot.link("pitch_link", rail, mass, _plus(centre, low))
    joint("pitch", "revolute", "yaw_link", "pitch_link", (0, 0, 0), LEFT)

    turns, stays, limits = ("pitch", 1.0), ("pitch", -1.0), ECM_LIMITS["pitch"]
    robot.link("front_link", [capsule((0, 0, 0), high, 0.03)], *ECM_MASSES["front"])
    robot.joint("pitch_front", "revolute", "yaw_link", "front_link", front, axis=LEFT, limits=limits, follows=turns)
    robot.link("back_link", [capsule((0, 0, 0), low, 0.016)], *ECM_MASSES["back"])
    robot.joint(
        "pitch_back", "revolute", "yaw_link", "back_link", _plus(front, ECM_PIVOTS), axis=LEFT, limits=limits,
        follows=turns,
    )  # fmt: skip
    for name, pin, start in (("bottom", low, ECM_PIVOTS), ("top", high, (0.0, 0.0, 0.0))):
        bar = [capsule(start, (0, 0, 0), 0.013, GREY)] if any(start) else []
        robot.link(f"{name}_bar", [*bar, capsule((0, 0, 0), (0, ECM_BAR, 0), 0.013, GREY)], *ECM_MASSES[name])
        robot.joint(
            f"pitch_{name}", "revolute", "front_link", f"{name}_bar", pin, axis=LEFT, limits=_swapped(limits),
            follows=stays,
        )  # fmt: skip

    mass, centre = ECM_MASSES["insertion"]
    carriage = [box((0.06, 0.07, 0.05), (0, -0.032, 0.02), DARK)]
    robot.link("insertion_link", carriage, mass, _plus(centre, (0, 0, -ECM_RCC)))
    joint("insertion", "prismatic", "pitch_link", "insertion_link", (0, 0, ECM_RCC), DOWN)
    scope = [cylinder((0, 0, 0), (0, 0, 0.40), 0.006, DARK), cylinder((0, 0, 0.40), (0, 0, 0.56), 0.028, GREY)]
    robot.link("roll_link", scope, *ECM_MASSES["scope"])
    joint("roll", "revolute", "insertion_link", "roll_link", (0, 0, -SCOPE), DOWN)
    robot.link("camera")
    # the frame of the last row of the parameters: z where the endoscope looks
    robot.joint("camera_joint", "fixed", "roll_link", "camera", rpy=(pi, 0, -HALF_PI))
    return robot


def files() -> dict[str, str]:
    """What the script writes."""
    return {"psm": psm().text(NAME), "ecm": ecm().text(NAME)}


if __name__ == "__main__":
    write(files())
