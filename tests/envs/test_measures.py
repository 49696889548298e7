# SPDX-License-Identifier: Apache-2.0
"""Measures: values computed by hand, and gradients against finite differences."""

import math

import pytest
import torch

from simenv.envs import measures

F64 = torch.float64


def points(*rows: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor([rows], dtype=F64)


def scattered(seed: int, count: int = 6, worlds: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(worlds, count, 3, generator=generator, dtype=F64).requires_grad_()


def test_box_distance_inside_face_edge_and_corner() -> None:
    p = points((0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (2.0, 0.0, 0.0), (4.0, 6.0, 0.0), (2.0, 3.0, 5.0))
    distance = measures.box_distance(p, (-1.0, -2.0, -3.0), (1.0, 2.0, 3.0))
    expected = [-1.0, -0.5, 1.0, 5.0, math.sqrt(1 + 1 + 4)]
    assert distance[0].tolist() == pytest.approx(expected)


def test_cylinder_distance_axis_wall_lid_and_rim() -> None:
    p = points((1.0, 1.0, 2.5), (1.0, 1.5, 2.5), (1.0, 4.0, 2.5), (1.0, 1.0, 6.0), (5.0, 1.0, 7.0))
    distance = measures.cylinder_distance(p, torch.tensor([1.0, 1.0, 0.0]), radius=1.0, height=5.0)
    expected = [-1.0, -0.5, 2.0, 1.0, math.sqrt(9 + 4)]
    assert distance[0].tolist() == pytest.approx(expected)


def test_to_frame_undoes_a_known_pose() -> None:
    # The frame sits at (1, 2, 3) and is turned by 90 degrees about z: its x axis is the world's y axis.
    half = math.sqrt(0.5)
    pose = torch.tensor([[1.0, 2.0, 3.0, 0.0, 0.0, half, half]], dtype=F64)
    local = measures.to_frame(points((1.0, 4.0, 3.0), (0.0, 2.0, 7.0)), pose)
    torch.testing.assert_close(local, points((2.0, 0.0, 0.0), (0.0, 1.0, 4.0)))


def test_fraction_inside_is_a_mean_of_sigmoids_over_active_particles() -> None:
    distance = torch.tensor([[0.0, -0.1 * math.log(3.0), 5.0]], dtype=F64)
    active = torch.tensor([[True, True, False]])
    assert measures.fraction_inside(distance, active, width=0.1).tolist() == pytest.approx([(0.5 + 0.75) / 2])
    assert measures.count_inside(distance, active).tolist() == [0.5]
    assert measures.fraction_inside(distance, ~active & False, width=0.1).tolist() == [0.0]


def test_fraction_inside_refuses_a_width_of_zero() -> None:
    with pytest.raises(ValueError, match=r"width=0\.0 m must be positive"):
        measures.fraction_inside(torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool), 0.0)


def test_spilled_fraction_counts_what_is_in_no_region() -> None:
    # Distances [m] to two vessels, width 1 mm: the particles are in the first, in the second, in neither.
    first = torch.tensor([[-1.0, 2.0, 3.0, 3.0]], dtype=F64)
    second = torch.tensor([[2.0, -1.0, 1.0, 1.0]], dtype=F64)
    active = torch.ones(1, 4, dtype=torch.bool)
    assert measures.spilled_fraction([first, second], active, width=1e-3).tolist() == pytest.approx([0.5])


def test_centre_of_mass_weighs_and_ignores() -> None:
    p = points((0.0, 0.0, 0.0), (3.0, 0.0, 6.0))
    assert measures.centre_of_mass(p, torch.tensor([[2.0, 1.0]]))[0].tolist() == pytest.approx([1.0, 0.0, 2.0])
    assert measures.centre_of_mass(p, torch.tensor([[False, True]]))[0].tolist() == [3.0, 0.0, 6.0]
    assert measures.centre_of_mass(p, torch.tensor([[False, False]]))[0].tolist() == [0.0, 0.0, 0.0]


def test_chamfer_of_two_small_sets() -> None:
    a = points((0.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    b = points((0.0, 0.0, 3.0))
    # From a: 3 and sqrt(10); from b: 3.
    assert measures.chamfer(a, b).tolist() == pytest.approx([0.5 * ((3 + math.sqrt(10)) / 2 + 3)])
    assert measures.chamfer(a, a).tolist() == [0.0]


def test_density_measures() -> None:
    density = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]], dtype=F64)
    target = torch.tensor([2.0, 1.0, 1.0], dtype=F64)
    assert measures.density_l1(density, target).tolist() == pytest.approx([1.0, 4 / 3])
    assert measures.density_iou(density, target).tolist() == pytest.approx([2 / 5, 0.0])
    assert measures.density_iou(density * 0, target * 0).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "measure",
    [
        lambda p: measures.box_distance(p, (0.2, 0.2, 0.2), (0.7, 0.6, 0.5)),
        lambda p: measures.cylinder_distance(p, torch.tensor([0.5, 0.5, 0.1]), 0.3, 0.5),
        lambda p: measures.fraction_inside(p[..., 0] - 0.5, torch.ones(2, 6, dtype=torch.bool), 0.1),
        lambda p: measures.spilled_fraction(
            [p[..., 0] - 0.5, p[..., 1] - 0.5], torch.ones(2, 6, dtype=torch.bool), 0.1
        ),
        lambda p: measures.centre_of_mass(p, torch.arange(1.0, 7.0).repeat(2, 1)),
        lambda p: measures.chamfer(p, torch.linspace(0.0, 1.0, 24, dtype=F64).reshape(2, 4, 3)),
        lambda p: measures.density_l1(p, torch.full((6, 3), 0.45, dtype=F64)),
        lambda p: measures.density_iou(p, torch.full((6, 3), 0.45, dtype=F64)),
        lambda p: measures.to_frame(p, torch.tensor([[0.1, 0.2, 0.3, 0.0, 0.6, 0.0, 0.8]], dtype=F64).repeat(2, 1)),
    ],
    ids=["box", "cylinder", "inside", "spilled", "centre", "chamfer", "l1", "iou", "frame"],
)
def test_gradient_matches_finite_differences(measure) -> None:
    assert torch.autograd.gradcheck(measure, (scattered(0),), eps=1e-7, atol=1e-6)


def test_gradient_is_finite_where_distances_vanish() -> None:
    # On the axis of a cylinder, and with every point on its nearest neighbour, square roots have no derivative.
    p = points((0.5, 0.5, 0.2), (0.1, 0.1, 0.1)).requires_grad_()
    loss = (
        measures.cylinder_distance(p, torch.tensor([0.5, 0.5, 0.0]), 0.3, 0.5).sum()
        + measures.chamfer(p, p.detach()).sum()
    )
    loss.backward()
    assert torch.isfinite(p.grad).all()


def test_shares_are_the_same_bits_at_every_place() -> None:
    """torch's own sigmoid rounds about one in a hundred otherwise where it computes several numbers at once."""
    distance = 0.01 * torch.randn(2000, 1, generator=torch.Generator().manual_seed(0))
    active = torch.ones(2000, 1, dtype=torch.bool)
    together = measures.fraction_inside(distance, active, 0.005)
    alone = [measures.fraction_inside(distance[k : k + 1], active[:1], 0.005) for k in range(2000)]
    assert torch.equal(together, torch.cat(alone))
