# SPDX-License-Identifier: Apache-2.0
"""Motion files: geometry against closed forms, and refusal of everything that is not a motion."""

from importlib import resources

import numpy as np
import pytest

from simenv.rollouts import Motion, RolloutError, load_motion, save_motion
from simenv.rollouts.motion import HEADER
from tests.rollouts import rotations
from tests.rollouts.make_pour import TILT, pour_motion

ROWS = ["0,0,0,0,0,0,0,1", "0.5,0.1,0,0,0,0,0,1", "1,0.2,0,0,0,0,0,1"]


def write(tmp_path, rows=ROWS, header=HEADER):
    path = tmp_path / "motion.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def matrix(q):
    """Rotation matrix of a unit quaternion xyzw (textbook formula)."""
    x, y, z, w = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_product_is_the_product_of_the_matrices():
    a, b = np.random.default_rng(0).normal(size=(2, 4))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    np.testing.assert_allclose(matrix(rotations.multiply(a, b)), matrix(a) @ matrix(b), atol=1e-14)
    np.testing.assert_allclose(matrix(rotations.inverse(a)), matrix(a).T, atol=1e-14)


@pytest.mark.parametrize("angle", [0.0, 1e-14, 1e-9, 1e-3, 1.0, 3.0, np.pi - 1e-9])
def test_log_inverts_exp(angle):
    vector = angle * np.array([2.0, -1.0, 2.0]) / 3.0
    np.testing.assert_allclose(rotations.log(rotations.exp(vector)), vector, rtol=1e-7, atol=1e-16)
    np.testing.assert_allclose(rotations.log(-rotations.exp(vector)), vector, rtol=1e-7, atol=1e-16)


def test_exp_of_a_quarter_turn():
    half = np.sqrt(0.5)
    np.testing.assert_allclose(rotations.exp(np.array([0, 0, np.pi / 2])), [0, 0, half, half], atol=1e-15)


def test_uniform_screw_has_constant_twist(tmp_path):
    # p = v t, R = exp(w t): the twist of any resampling is (v, w), whatever the start orientation.
    v, w = np.array([0.1, -0.2, 0.05]), np.array([0.4, 1.0, -0.3])
    start = rotations.exp(np.array([0.5, 0.2, -0.7]))
    times = np.array([0.0, 0.11, 0.35, 0.8, 1.0])
    quaternions = rotations.multiply(rotations.exp(w * times[:, None]), start[None])
    save_motion(tmp_path / "m.csv", Motion(times, v * times[:, None], quaternions))
    twists = load_motion(tmp_path / "m.csv").resample(0.02).twists()
    assert twists.shape == (50, 6)
    np.testing.assert_allclose(twists, np.broadcast_to(np.concatenate([v, w]), (50, 6)), atol=1e-6)


def test_integrating_the_twists_gives_the_poses():
    motion = load_motion(resources.files("simenv.assets") / "motions" / "pour.csv").resample(0.01)
    position, quaternion = motion.positions[0], motion.quaternions[0]
    for twist in motion.twists():
        position = position + 0.01 * twist[:3]
        quaternion = rotations.multiply(rotations.exp(0.01 * twist[3:]), quaternion)
    np.testing.assert_allclose(position, motion.positions[-1], atol=1e-12)
    assert rotations.angle(quaternion, motion.quaternions[-1]) < 1e-12


def test_example_is_what_its_generator_makes(tmp_path):
    shipped = resources.files("simenv.assets") / "motions" / "pour.csv"
    save_motion(tmp_path / "again.csv", pour_motion())
    assert (tmp_path / "again.csv").read_text() == shipped.read_text()
    motion = load_motion(shipped)
    assert motion.duration == pytest.approx(2.5)
    assert rotations.angle(motion.quaternions[0], motion.quaternions[-1]) == pytest.approx(TILT)
    # Minimum jerk: the greatest speed is 15/8 of the mean speed, at half time.
    speed = np.linalg.norm(motion.twists()[:, :3], axis=1)
    assert speed.max() == pytest.approx(15 / 8 * np.linalg.norm([0.12, 0, 0.03]) / 2.0, rel=1e-3)


def test_resample_holds_the_last_pose(tmp_path):
    motion = load_motion(write(tmp_path)).resample(0.3)
    np.testing.assert_allclose(motion.times, [0, 0.3, 0.6, 0.9, 1.2])
    np.testing.assert_allclose(motion.positions[:, 0], [0, 0.06, 0.12, 0.18, 0.2])


def test_time_starts_at_zero_and_signs_of_quaternions_do_not_matter(tmp_path):
    rows = ["5,0,0,0,0,0,0,1", "5.1,0,0,0,0,0,0,-1", "5.2,0,0,0,0,0,0,-1", "5.3,0,0,0,0,0,0,1"]
    motion = load_motion(write(tmp_path, rows))
    np.testing.assert_allclose(motion.times, [0, 0.1, 0.2, 0.3], atol=1e-12)
    np.testing.assert_array_equal(motion.twists(), np.zeros((3, 6)))


def test_starting_at_keeps_displacements(tmp_path):
    motion = load_motion(write(tmp_path))
    moved = motion.starting_at(np.array([1.0, 2.0, 3.0]), rotations.exp(np.array([0.0, 0.3, 0.0])))
    np.testing.assert_allclose(moved.positions[-1] - moved.positions[0], [0.2, 0, 0])
    np.testing.assert_allclose(moved.twists(), motion.twists(), atol=1e-12)


@pytest.mark.parametrize("header", [HEADER, "time [s],x [m],y [m],z [m],qx,qy,qz,qw", "﻿" + HEADER])
def test_accepted_headers(tmp_path, header):
    assert load_motion(write(tmp_path, header=header)).duration == 1.0


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (ROWS, "t,x,y,z,qx,qy,qz,qw", "header"),
        (ROWS, "time [s],x,y,z [m],qw,qx,qy,qz", "header"),
        (ROWS, "time [ms],x,y,z [m],qx,qy,qz,qw", r"\[ms\], it must be in \[s\]"),
        (ROWS, "time [s],x [mm],y [mm],z [mm],qx,qy,qz,qw", r"\[mm\], it must be in \[m\]"),
        (ROWS, "time,x,y,z,qx,qy,qz,qw", "no units"),
        (ROWS[:1], HEADER, "at least 2"),
        ([ROWS[0], "0.5,1,2"], HEADER, "line 3: 3 columns"),
        ([ROWS[0], "0.5,a,0,0,0,0,0,1"], HEADER, "line 3: x is 'a'"),
        ([ROWS[0], "0.5,nan,0,0,0,0,0,1"], HEADER, "line 3: x is not finite"),
        ([ROWS[0], "0.5,0,0,0,0,0,inf,1"], HEADER, "line 3: qz is not finite"),
        ([ROWS[0], "0,0.1,0,0,0,0,0,1"], HEADER, "line 3: time 0 s does not follow 0 s"),
        (ROWS[::-1], HEADER, "does not follow"),
        ([ROWS[0], "0.5,0,0,0,0,0,0,0.9"], HEADER, "length 0.9"),
        ([ROWS[0], "0.5,0,0,0,0,0,0,0"], HEADER, "length 0"),
        ([ROWS[0], "0.5,100,0,0,0,0,0,1"], HEADER, r"200 m/s exceeds 20 m/s; are positions in metres"),
        ([ROWS[0], "0.01,0,0,0,1,0,0,0"], HEADER, "314 rad/s exceeds"),
        ([], "", "empty|header"),
    ],
)
def test_refused_files(tmp_path, rows, header, message):
    with pytest.raises(RolloutError, match=message) as error:
        load_motion(write(tmp_path, rows, header))
    assert "motion.csv" in str(error.value)


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(RolloutError, match="no such file"):
        load_motion(tmp_path / "nowhere.csv")
    (tmp_path / "b.csv").write_bytes(bytes(range(256)))
    with pytest.raises(RolloutError, match=r"b\.csv"):
        load_motion(tmp_path / "b.csv")
    with pytest.raises(RolloutError):
        load_motion(tmp_path)


def attempt(path):
    """(error message, None) or ("", motion)."""
    try:
        return "", load_motion(path)
    except RolloutError as error:
        return str(error), None


def test_fuzzed_files_give_a_motion_or_one_error(tmp_path):
    content = write(tmp_path).read_bytes()
    random = np.random.default_rng(3)
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 3):
            damaged[place] = int(random.integers(256))
        (tmp_path / "f.csv").write_bytes(damaged)
        message, motion = attempt(tmp_path / "f.csv")
        assert "f.csv" in message or np.isfinite(motion.resample(0.1).twists()).all()
