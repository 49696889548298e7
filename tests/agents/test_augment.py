# SPDX-License-Identifier: Apache-2.0
"""Image augmentation and views of a task."""

import gymnasium
import pytest
import torch

from simenv.agents.augment import Augmentation, AugmentConfig, crop, jitter
from simenv.envs.views import select_view
from tests.agents import goal_task  # noqa: F401  (registers TestEnv/Goal-v0)

ONE, NONE = torch.ones(4), torch.zeros(4)
STILL = AugmentConfig(0.0, 0.0, 0.0, 0.0, swap=False, crop=(1.0, 1.0), aspect=(1.0, 1.0))


@pytest.fixture
def images():
    return torch.rand(4, 20, 24, 3, generator=torch.Generator().manual_seed(0))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_no_change_is_the_identity(images):
    same = Augmentation(STILL, 4, generator())
    torch.testing.assert_close(same(images), images, rtol=0, atol=2e-5)
    whole = (255 * images).to(torch.uint8)
    assert torch.equal(same(whole), whole)


def test_jitter_is_what_its_names_say(images):
    luma = torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(jitter(images, 0.5 * ONE, ONE, ONE, NONE), 0.5 * images, rtol=0, atol=1e-5)
    grey = jitter(images, ONE, ONE, NONE, NONE)
    torch.testing.assert_close(grey, (images @ luma)[..., None].expand_as(grey), rtol=0, atol=1e-3)
    flat = jitter(images, ONE, NONE, ONE, NONE)
    mean = (images @ luma).mean((1, 2))
    torch.testing.assert_close(flat, mean[:, None, None, None].expand_as(flat), rtol=0, atol=1e-3)
    torch.testing.assert_close(jitter(images, ONE, ONE, ONE, ONE), images, rtol=0, atol=2e-5)  # a whole turn
    pale = 0.5 + 0.1 * (images - 0.5)  # far from the limits, so that nothing is clipped
    turned = jitter(pale, ONE, ONE, ONE, 0.25 * ONE)
    torch.testing.assert_close(turned @ luma, pale @ luma, rtol=0, atol=1e-3)  # a turn of the hue keeps the luma
    assert (turned - pale).abs().max() > 0.02


def test_crop_of_a_ramp():
    # A ramp over [0, 1] across, cropped to a part of width w at place p, is the ramp (1 - w) (1 + p) / 2 + w u.
    centres = (torch.arange(40) + 0.5) / 40
    ramp = centres[None, None, :, None].expand(2, 40, 40, 1)
    area, place = torch.tensor([0.64, 0.25]), torch.tensor([0.0, -1.0])
    wide = area.sqrt()[:, None]
    expected = (1 - wide) * (1 + place[:, None]) / 2 + wide * centres
    found = crop(ramp, area, torch.ones(2), place, torch.zeros(2))
    inside = expected > 0.5 / 40  # at the border the outermost pixel is repeated
    for row in (0, 20, 39):
        torch.testing.assert_close(found[:, row, :, 0][inside], expected[inside], rtol=0, atol=1e-5)


def test_an_episode_keeps_its_change_and_the_next_has_another(images):
    change = Augmentation(AugmentConfig(step=0.0), 4, generator())
    first, second = change(images), change(images)
    assert torch.equal(first, second)
    change.begin(torch.tensor([True, False, False, True]))
    third = change(images)
    assert torch.equal(third[1:3], first[1:3])
    assert not torch.equal(third[0], first[0]) and not torch.equal(third[3], first[3])
    assert first.shape == images.shape and first.min() >= 0 and first.max() <= 1
    steps = Augmentation(AugmentConfig(), 4, generator())
    assert not torch.equal(steps(images), steps(images))


def test_a_swap_permutes_the_channels_alike_in_all_pixels(images):
    many = images[:1].expand(60, -1, -1, -1)
    swapped = Augmentation(AugmentConfig(0, 0, 0, 0, True, (1.0, 1.0), (1.0, 1.0)), 60, generator())(many)
    found = set()
    for image in swapped:
        order = tuple(int((image[..., i, None] - images[0]).abs().sum((0, 1)).argmin()) for i in range(3))
        torch.testing.assert_close(image, images[0][..., list(order)], rtol=0, atol=2e-5)
        found.add(order)
    assert len(found) == 6


def test_wrong_ranges_are_refused():
    with pytest.raises(ValueError, match=r"crop = \(0.0, 1.0\)"):
        AugmentConfig(crop=(0.0, 1.0))


def test_views_are_the_modes_side_by_side():
    options = {"num_envs": 3, "output": "torch", "device": "cpu"}
    both = gymnasium.make_vec("TestEnv/Goal-v0", observation_mode={"a": "blind", "b": "touch"}, **options)
    seen, _ = both.reset(seed=5)
    assert set(seen) == set(both.single_observation_space) == {"a/observation", "b/field"}
    for view, mode in (("a", "blind"), ("b", "touch")):
        one = gymnasium.make_vec("TestEnv/Goal-v0", observation_mode=mode, **options)
        alone, _ = one.reset(seed=5)
        alone = alone if isinstance(alone, dict) else {"observation": alone}
        assert all(torch.equal(value, alone[name]) for name, value in select_view(seen, view).items())
        one.close()
    with pytest.raises(KeyError, match="no view 'actor'"):
        select_view(seen, "actor")
    both.close()
    with pytest.raises(ValueError, match="'bind'"):
        gymnasium.make_vec("TestEnv/Goal-v0", observation_mode={"a": "bind"}, **options)
    with pytest.raises(ValueError, match="without a slash"):
        gymnasium.make_vec("TestEnv/Goal-v0", observation_mode={"a/b": "blind"}, **options)
