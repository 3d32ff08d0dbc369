"""Random changes of images, every image of a batch with its own, on the device that holds the images.

What is drawn for crops and flips is few numbers, drawn on the CPU: the same on every device, and without the many small
kernels that a GPU would be sent for them.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from tlcore.recipes import Preprocessing
from tlcore.training.device import sent

# torchvision's RandomResizedCrop: part of the area, width ÷ height, and tries before it gives up (Szegedy et al. 2015).
AREA = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
_TRIES = 10
FLIP_PROBABILITY = 0.5
CACHED = 2**17  # pixels that a CPU cuts at once: what lies between two of its operations stays in its caches


def random_resized_crop_flip(images: Tensor, aspect: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Crops as torchvision's RandomResizedCrop draws them, flipped with probability one half.

    images: uint8 [N,T,T,3], each a whole picture squashed to a square. aspect: [N] true width ÷ height, so that a
    crop has the shape on the real picture that torchvision would give it; on the CPU, as the generator. Returns
    float32 [N,3,size,size] in 0…1, channels last. The same generator state gives the same crops. Interpolation is
    bilinear.
    """
    boxes = random_boxes(aspect, generator)
    return crop(images, boxes, random_sides(len(images), generator), size)


def random_sides(count: int, generator: torch.Generator) -> Tensor:
    """Which of so many images are mirrored: bool [count], each true with probability one half."""
    return torch.rand(count, generator=generator) < FLIP_PROBABILITY


def random_boxes(aspect: Tensor, generator: torch.Generator) -> Tensor:
    """Crop boxes [N,4] as left, top, width, height in parts of the picture. aspect: [N] width ÷ height.

    A picture of area 1 is sqrt(aspect) wide. The first of ten tries that fits is taken; if none fits, the largest
    centred box whose ratio is allowed.
    """
    count = len(aspect)
    width, height = aspect.double().sqrt(), aspect.double().rsqrt()
    draws = torch.rand(2, count, _TRIES, generator=generator, dtype=torch.float64)
    area = AREA[0] + (AREA[1] - AREA[0]) * draws[0]
    ratio = torch.exp(math.log(RATIO[0]) + math.log(RATIO[1] / RATIO[0]) * draws[1])
    wide, high = (area * ratio).sqrt(), (area / ratio).sqrt()
    fits = (wide <= width[:, None]) & (high <= height[:, None])
    first = fits.to(torch.uint8).argmax(dim=1, keepdim=True)
    place = torch.rand(2, count, generator=generator, dtype=torch.float64)
    none = ~fits.any(dim=1)
    w = torch.where(none, torch.minimum(width, height * RATIO[1]), wide.gather(1, first)[:, 0])
    h = torch.where(none, torch.minimum(height, width / RATIO[0]), high.gather(1, first)[:, 0])
    place = torch.where(none, 0.5, place)
    return torch.stack([(width - w) * place[0] / width, (height - h) * place[1] / height, w / width, h / height], dim=1)


def crop(images: Tensor, boxes: Tensor, flip: Tensor, size: int) -> Tensor:
    """Cut one box out of each image and scale it. images: uint8 [N,H,W,3] on any device.

    boxes: as `random_boxes`. flip: bool [N]. Both on the CPU. Returns float32 [N,3,size,size] in 0…1, channels last.
    """
    left, top, wide, high = boxes.to(torch.float32).unbind(dim=1)
    middles = (torch.arange(size) + 0.5) / size
    across = torch.where(flip[:, None], 1 - middles, middles) * wide[:, None] + left[:, None]
    down = middles * high[:, None] + top[:, None]
    across, down = sent(torch.stack([across, down]) * 2 - 1, images.device)
    out = torch.empty(len(images), size, size, 3, device=images.device).permute(0, 3, 1, 2)
    pieces = math.ceil(len(images) * size**2 / CACHED) if images.device.type == "cpu" else 1
    for part, *given in zip(*(whole.chunk(max(pieces, 1)) for whole in (out, images, across, down)), strict=True):
        part.copy_(_sampled(*given))
    return out


def _sampled(images: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Pixels in 0…1 at the crossings of columns and rows. images: as of `crop`. across, down: [N,size], -1…1."""
    shape = (*down.shape, across.shape[1])
    grid = torch.stack([across[:, None, :].expand(shape), down[:, :, None].expand(shape)], dim=3)
    pictures = images.permute(0, 3, 1, 2).float()
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False).div_(255)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image mirrored with probability one half. images: [N,3,H,W]. generator: of the CPU."""
    flip = sent(random_sides(len(images), generator), images.device)
    return torch.where(flip[:, None, None, None], images.flip(3), images)


def trivial_augment(images: Tensor, seed: int) -> Tensor:
    """torchvision's TrivialAugmentWide (Müller & Hutter 2021), each image with a draw of its own that `seed` gives.

    images: float [N,3,H,W] in 0…1, which become 256 levels on the way, as the operations know no other. Returns the
    same kind. The generators of torch are left as they were.
    """
    levels = images.mul(255).round_().to(torch.uint8)
    transform = v2.TrivialAugmentWide()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        changed = torch.stack([transform(image) for image in levels])  # of a whole batch, it would change all alike
    return changed.to(images.dtype).div_(255)


def add_noise(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise of this standard deviation on images in 0…1, which stay in 0…1. generator: of their device."""
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return images.add(noise, alpha=deviation).clamp_(0, 1)


def normalize(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Subtract the model's mean and divide by its standard deviation, per channel.

    images: float [N,3,H,W] in 0…1. Returns the same, channels last.
    """
    rows = images.permute(0, 2, 3, 1).contiguous().flatten(2)  # [N, H, 3·W]: a channel's number alone for each value
    given = preprocessing.mean, preprocessing.std
    mean, std = (_in_a_row(values, images.shape[3], images.dtype, images.device) for values in given)
    return (rows - mean).div_(std).view(len(images), *images.shape[2:], 3).permute(0, 3, 1, 2)


@lru_cache(maxsize=64)
def _in_a_row(values: tuple[float, ...], width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """One number for each channel, again and again for so many pixels: [3·width].

    A CPU computes with it in a fifth of the time that three numbers alone would take. Kept on the device: a copy at
    every step would wait for the GPU.
    """
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device).repeat(width)
