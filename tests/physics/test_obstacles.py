# SPDX-License-Identifier: Apache-2.0
"""Obstacles on a staggered grid: open shares of faces against areas, velocities of solids, work, and derivatives."""

import math

import numpy as np
import pytest
import torch
import warp as wp

from simenv import _warp
from simenv.geometry.shapes import Box, Capsule, Cup, Cylinder, Plane, Sphere
from simenv.physics.flow.kernels_cut import LEAST
from simenv.physics.flow.obstacles import Obstacle, Obstacles
from simenv.physics.frames import Frames
from simenv.physics.launch.slots import Memory
from simenv.physics.pressure.levels import Grid

REAL = {torch.float32: wp.float32, torch.float64: wp.float64}
CELLS, DX = (6, 8, 4), 0.125
UPRIGHT = (0.0, 0.0, 0.0, 1.0)


class Cutting:
    """Obstacles in a box of cells, one cut, and what gathers forces."""

    def __init__(self, obstacles, cells=CELLS, dx=DX, periodic=(False,) * 3, ahead=0.0, frames=1):
        _warp.start()
        self.memory = Memory(1, torch.float64, torch.device("cpu"))
        self.frames = Frames(self.memory, frames, [], 1) if frames else None
        self.obstacles = Obstacles(obstacles, Grid(cells, periodic), (0.0, 0.0, 0.0), dx, self.memory, self.frames)
        self.cut, self.felt = self.obstacles.cut(0), self.obstacles.felt(0)
        self.pose = self.frames.pose(0) if frames else []
        self.density, self.viscosity = (self.memory.slot(wp.float64) for _ in range(2))
        self.gained = [self.memory.slot(wp.float64, *self.obstacles.grid.faces(axis)) for axis in range(3)]
        self.launches = [
            self.obstacles.clear(self.felt), *self.obstacles.place(self.pose, self.cut, ahead),
            *self.obstacles.gather(self.cut, 0.5, self.density, self.viscosity, self.gained, self.felt),
        ]  # fmt: skip
        self.memory.allocate(True)
        self.density.tensor.fill_(2.0)

    def run(self, pose=()):
        """Tensors of open shares, velocities, distances, force and torque."""
        for slot, value in zip(self.pose, pose, strict=False):
            slot.tensor.copy_(value)
        for launch in self.launches:
            launch.forward(self.memory.wp_device)
        return [slot.tensor.clone() for slot in self.told()]

    def told(self):
        return [*self.cut.open, *self.cut.solid, *self.cut.distance, *self.cut.clear, *self.cut.drift, *self.felt]

    def sweep(self, bars):
        """Adjoints of the pose, from those of what `run` gives."""
        self.memory.clear_adjoints()
        for slot, bar in zip(self.told(), bars, strict=True):
            slot.adjoint.copy_(bar)
        for launch in reversed(self.launches):
            launch.backward(self.memory.wp_device)
        return [slot.adjoint.clone() for slot in self.pose]


def open_area(a, b, c):
    """Share of the unit square where a x + b y + c > 0, by clipping it."""
    corners, kept = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)], []
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        first, second = a * x0 + b * y0 + c, a * x1 + b * y1 + c
        if first > 0:
            kept.append((x0, y0))
        if (first > 0) != (second > 0):
            t = first / (first - second)
            kept.append((x0 + t * (x1 - x0), y0 + t * (y1 - y0)))
    if len(kept) < 3:
        return 0.0
    x, y = np.array(kept).T
    return 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


@pytest.mark.parametrize("seed", range(5))
def test_open_shares_of_a_plane_are_exact(seed):
    """What is linear has the area of a polygon; shares that nearly close are closed, the larger ones as they are."""
    generator = np.random.default_rng(seed)
    normal = generator.normal(size=3)
    normal /= np.linalg.norm(normal)
    place = generator.uniform(0.2, 0.4, 3)
    found = Cutting([Obstacle("floor", Plane(tuple(normal)), position=tuple(place))], frames=0).run()
    count = 0
    for axis in range(3):
        u, v = (each for each in range(3) if each != axis)
        for index in np.ndindex(*found[axis].shape[1:]):
            corner = DX * np.array(index)
            area = open_area(DX * normal[u], DX * normal[v], normal @ (corner - place))
            share = found[axis][(0, *index)].item()
            if area > LEAST[1] or area < LEAST[0]:
                assert share == pytest.approx(area if area > LEAST[1] else 0.0, abs=1e-12)
                count += 0.0 < area < 1.0
            else:
                assert 0.0 <= share <= area
    assert count > 50


@pytest.mark.parametrize("n", [16, 32])
def test_open_shares_of_a_ball_leave_its_volume(n):
    """Of second order: distances taken as linear in a cell are off by at most h^2 / 8 R, 3 h^2 / 8 R^2 of the volume,
    and areas of planes a cell apart sum to it but for at most h^2 / 4 R^2.
    """
    radius = 0.3
    found = Cutting([Obstacle("ball", Sphere(radius), position=(0.51, 0.47, 0.53))], (n, n, n), 1.0 / n, frames=0).run()
    volume = 4.0 / 3.0 * math.pi * radius**3
    for axis in range(3):
        assert abs((1.0 - found[axis]).sum().item() / n**3 / volume - 1.0) < 0.625 / (n * radius) ** 2


SHAPES = [
    Box((0.2, 0.1, 0.15)), Sphere(0.2), Cylinder(0.12, 0.2), Capsule(0.1, 0.1), Cup(0.15, 0.3, 0.1, 0.1),
]  # fmt: skip


def pose_of(seed):
    generator = torch.Generator().manual_seed(seed)
    turn = torch.randn(1, 1, 4, generator=generator, dtype=torch.float64)
    place = torch.tensor([[[0.37, 0.52, 0.27]]], dtype=torch.float64)
    rates = [torch.randn(1, 1, 3, generator=generator, dtype=torch.float64) for _ in range(2)]
    return [place, turn / turn.norm(), *rates]


def test_faces_move_with_what_closes_them_and_its_forces_do_work_on_that():
    """Force and torque are such that their power is that of what acts on faces: the work of pressure is exact."""
    where = {"position": (0.05, 0.0, -0.02), "quaternion": (0.5, 0.5, 0.5, 0.5)}
    cutting = Cutting([Obstacle("box", SHAPES[0], 0, True, **where)], ahead=0.1)
    generator = torch.Generator().manual_seed(3)
    pose = pose_of(1)
    cutting.run(pose)
    near = [each.tensor < 2 * DX for each in cutting.cut.distance]
    for slot, each in zip(cutting.gained, near, strict=True):
        slot.tensor.copy_(torch.randn(each.shape, generator=generator, dtype=torch.float64) * each)
    found = cutting.run(pose)
    for each in found[-2:]:
        assert each.abs().max() > 0.1
    power = sum((slot.tensor * speed).sum() for slot, speed in zip(cutting.gained, found[3:6], strict=True))
    done = (found[-2] * pose[2]).sum() + (found[-1] * pose[3]).sum()
    torch.testing.assert_close(0.5 * 2.0 * power, done, rtol=1e-12, atol=0.0)
    # the velocity of a point at rest in the frame, by moving the frame there and a little farther
    center = pose[0] + 0.1 * pose[2]
    y = DX * (torch.arange(8, dtype=torch.float64) + 0.5) - center[0, 0, 1]
    z = DX * (torch.arange(4, dtype=torch.float64) + 0.5) - center[0, 0, 2]
    omega = pose[3][0, 0]
    expected = pose[2][0, 0, 0] + omega[1] * z[None, :] - omega[2] * y[:, None]
    torch.testing.assert_close(found[3][0, 2], expected, rtol=1e-12, atol=1e-12)


def test_an_obstacle_across_a_periodic_side_is_whole():
    around = Grid((8, 8, 4), (True, True, False))
    middle, across = (
        Cutting([Obstacle("ball", Sphere(0.2), position=place)], around.shape, DX, around.periodic, frames=0).run()
        for place in ((0.5, 0.5, 0.25), (0.0, 0.5, 0.25))
    )
    for axis in range(3):
        torch.testing.assert_close(middle[axis].roll(-4, 1), across[axis], rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_derivatives_to_pose_and_twist(shape):
    """Of all that a cut has, along a random direction, against central differences."""
    parts = [Obstacle("one", shape, 0, True, position=(0.03, 0.0, 0.01)), Obstacle("post", Box((0.06, 0.06, 1.0)))]
    cutting = Cutting(parts, ahead=0.05)
    generator = torch.Generator().manual_seed(7)
    pose = pose_of(2)
    for slot in cutting.gained:
        slot.tensor.copy_(torch.randn(slot.tensor.shape, generator=generator, dtype=torch.float64))
    bars = [torch.randn(each.shape, generator=generator, dtype=torch.float64) for each in cutting.run(pose)]
    found = cutting.sweep(bars)
    for index in range(4):
        along = torch.randn(pose[index].shape, generator=generator, dtype=torch.float64)
        ends = []
        for sign in (1.0, -1.0):
            moved = [each + sign * 1e-6 * along if row == index else each for row, each in enumerate(pose)]
            ends.append(sum((bar * each).sum() for bar, each in zip(bars, cutting.run(moved), strict=True)))
        expected = (ends[0] - ends[1]) / 2e-6
        torch.testing.assert_close((found[index] * along).sum(), expected, rtol=1e-6, atol=1e-6)
