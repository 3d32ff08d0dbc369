"""Batched crops against torchvision's RandomResizedCrop, and every image with its own."""

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import RandomResizedCrop, v2
from torchvision.transforms import functional as TF

from tlcore.recipes import Preprocessing
from tlcore.training.images.augmentation import (
    AREA,
    CACHED,
    RATIO,
    add_noise,
    crop,
    normalize,
    random_boxes,
    random_flip,
    random_resized_crop_flip,
    trivial_augment,
)

COUNT = 4000


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("width", "height"), [(1000, 1000), (1600, 900), (600, 1000), (3000, 1000)])
def test_boxes_are_drawn_as_torchvision_draws_them(width, height):
    """Kolmogorov–Smirnov on area, ratio and place; the 3:1 picture also reaches the fallback."""
    boxes = random_boxes(torch.full((COUNT,), width / height), _generator()).numpy()
    torch.manual_seed(1)
    picture = torch.empty(3, height, width, device="meta")
    draws = [RandomResizedCrop.get_params(picture, list(AREA), list(RATIO)) for _ in range(COUNT)]
    top, left, high, wide = np.array(draws, dtype=float).T
    ours = {
        "area": boxes[:, 2] * boxes[:, 3],
        "ratio": boxes[:, 2] * width / (boxes[:, 3] * height),
        "left": boxes[:, 0],
        "top": boxes[:, 1],
    }
    theirs = {"area": wide * high / (width * height), "ratio": wide / high, "left": left / width, "top": top / height}
    for name, own in ours.items():  # rounded to 3 digits: torchvision's boxes are whole pixels, ours are not
        found = stats.ks_2samp(own.round(3), theirs[name].round(3))
        assert found.statistic < 0.045, (name, found)


def test_boxes_stay_inside_and_within_limits():
    aspect = torch.rand(COUNT, generator=_generator(2)) * 3 + 0.2
    left, top, wide, high = random_boxes(aspect, _generator()).T
    assert min(left.min(), top.min()) >= 0
    assert max((left + wide).max(), (top + high).max()) <= 1 + 1e-9
    ratio = wide * aspect / high
    assert RATIO[0] - 1e-6 <= ratio.min()
    assert ratio.max() <= RATIO[1] + 1e-6


def test_two_equal_images_in_a_batch_get_different_crops():
    one = torch.randint(0, 256, (1, 40, 40, 3), dtype=torch.uint8, generator=_generator())
    crops = random_resized_crop_flip(one.expand(8, -1, -1, -1), torch.ones(8), 24, _generator())
    distances = torch.cdist(crops.flatten(1), crops.flatten(1)) + torch.eye(8) * 1e9
    assert distances.min() > 1


def test_same_seed_same_bits_and_shape_and_range():
    images = torch.randint(0, 256, (5, 40, 40, 3), dtype=torch.uint8, generator=_generator())
    first, again = (random_resized_crop_flip(images, torch.ones(5), 24, _generator(7)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, random_resized_crop_flip(images, torch.ones(5), 24, _generator(8)))
    assert (first.shape, first.dtype) == ((5, 3, 24, 24), torch.float32)
    assert 0 <= first.min() <= first.max() <= 1
    assert first.is_contiguous(memory_format=torch.channels_last)


def test_crop_is_the_named_part_of_the_picture():
    """Against torchvision's resized_crop of the same box, scaled up so that neither antialiases."""
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=_generator())
    boxes = torch.tensor([[0.25, 0.5, 0.5, 0.375], [0.0, 0.0, 1.0, 1.0]])
    found = crop(images, boxes, torch.tensor([False, True]), 48)
    first = TF.resized_crop(images[0].permute(2, 0, 1).float() / 255, 16, 8, 12, 16, [48, 48], antialias=False)
    inner = slice(3, -3)  # at its border, ours still sees the neighbouring pixels of the picture
    torch.testing.assert_close(found[0][:, inner, inner], first[:, inner, inner], atol=1e-5, rtol=0)
    whole = TF.resize(images[1].permute(2, 0, 1).float() / 255, [48, 48], antialias=False)
    torch.testing.assert_close(found[1], whole.flip(-1), atol=1e-5, rtol=0)


def test_a_batch_that_is_cut_in_pieces_holds_what_its_images_hold_alone():
    images = torch.randint(0, 256, (7, 40, 30, 3), dtype=torch.uint8, generator=_generator())
    boxes, flip = random_boxes(torch.ones(7), _generator(1)), torch.arange(7) % 2 == 1
    size = 256
    assert 7 * size**2 > 2 * CACHED, "one piece would show nothing"
    whole = crop(images, boxes, flip, size)
    alone = [crop(images[i : i + 1], boxes[i : i + 1], flip[i : i + 1], size) for i in range(7)]
    assert torch.equal(whole, torch.cat(alone))


def test_half_of_the_images_are_flipped():
    """A ramp from left to right tells the direction."""
    ramp = torch.linspace(0, 255, 32).to(torch.uint8).view(1, 1, 32, 1).expand(1000, 32, 32, 3)
    crops = random_resized_crop_flip(ramp, torch.ones(1000), 8, _generator())
    flipped = (crops[:, 0, 0, 0] > crops[:, 0, 0, -1]).sum()
    assert 430 < flipped < 570


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_normalize_has_the_bits_of_torchvision(layout):
    preprocessing = Preprocessing(
        size=8, resize=8, interpolation="bicubic", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )
    images = torch.rand(2, 3, 6, 8, generator=_generator()).contiguous(memory_format=layout)
    before = images.clone()
    found = normalize(images, preprocessing)
    assert torch.equal(found, TF.normalize(before, list(preprocessing.mean), list(preprocessing.std)))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)


def test_trivial_augment_draws_for_each_image_and_follows_from_the_seed():
    one = torch.rand(1, 3, 24, 24, generator=_generator()).expand(16, -1, -1, -1)
    state = torch.get_rng_state()
    first, again, other = (trivial_augment(one, seed) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    kinds = {tuple(image.flatten().tolist()) for image in first}
    assert len(kinds) > 8
    assert 0 <= first.min() <= first.max() <= 1


def test_trivial_augment_is_torchvisions_own_image_by_image():
    images = torch.randint(0, 256, (6, 3, 24, 24), dtype=torch.uint8, generator=_generator())
    torch.manual_seed(5)
    expected = torch.stack([v2.TrivialAugmentWide()(image) for image in images])
    found = trivial_augment(images.float() / 255, 5)
    assert torch.equal((found * 255).round().to(torch.uint8), expected)


def test_flips_are_drawn_for_each_image():
    images = torch.rand(400, 3, 4, 4, generator=_generator())
    found = random_flip(images, _generator(1))
    same = (found == images).flatten(1).all(1)
    mirrored = (found == images.flip(3)).flatten(1).all(1)
    assert torch.equal(same, ~mirrored)
    assert 150 < same.sum() < 250


def test_noise_has_its_deviation_and_stays_in_range():
    grey = torch.full((4, 3, 64, 64), 0.5)
    noisy = add_noise(grey, 0.05, _generator(1))
    assert float((noisy - grey).std()) == pytest.approx(0.05, rel=0.03)
    assert float((noisy - grey).mean()) == pytest.approx(0, abs=0.001)
    bright = add_noise(torch.ones(4, 3, 8, 8), 0.5, _generator(1))
    assert (bright.min() >= 0, bright.max() <= 1) == (True, True)
    assert torch.equal(noisy, add_noise(grey, 0.05, _generator(1)))
