"""Batches of images on the device, from the decoded cache."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tlcore.datasets.dataset import Dataset
from tlcore.recipes import Augmentation, Preprocessing
from tlcore.training.device import Device, sent
from tlcore.training.images.augmentation import (
    add_noise,
    crop,
    normalize,
    random_flip,
    random_resized_crop_flip,
    trivial_augment,
)
from tlcore.training.images.cache import ImageCache

Rows = npt.NDArray[np.int64]
Reader = Callable[[Rows], Tensor]
Images = Callable[["ImageSource", Rows], Tensor]  # rows to normalised images, as of `evaluation_batch`
RESIDENT_SHARE = 0.25  # of the free GPU memory: what the images of one cache may take
UPLOAD = 256  # images at once, to bound the host's memory


@dataclass(frozen=True)
class ImageSource:
    """The images of a dataset by row number. Readers: rows [N] to uint8 [N, H, W, 3] on the device.

    aspect: [images of the dataset] float32 on the CPU, width ÷ height. labels: [images of the dataset] int64.
    """

    read_eval: Reader
    read_train: Reader
    aspect: Tensor
    labels: Tensor
    preprocessing: Preprocessing
    device: Device


def open_source(cache: ImageCache, dataset: Dataset, preprocessing: Preprocessing, device: Device) -> ImageSource:
    """The decoded images of a dataset for a device, and their labels."""
    labels = dataset.images["label"].to_numpy(dtype=np.int64)
    return ImageSource(
        read_eval=_reader(cache.eval_pixels, device.device),
        read_train=_reader(cache.train_pixels, device.device),
        aspect=torch.from_numpy(np.array(cache.aspect, dtype=np.float32)),
        labels=torch.from_numpy(labels.copy()).to(device.device),
        preprocessing=preprocessing,
        device=device,
    )


def row_index(rows: Rows, device: torch.device) -> Tensor:
    """Row numbers on a device."""
    return sent(torch.from_numpy(rows), device)


def evaluation_batch(source: ImageSource, rows: Rows) -> Tensor:
    """The model's own evaluation pixels, normalised: float32 [N, 3, size, size], channels last."""
    return normalize(_evaluation_pixels(source, rows), source.preprocessing)


def training_batch(
    source: ImageSource, rows: Rows, augmentation: Augmentation, seed: int, noise: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Images as of `evaluation_batch`, augmented by parameters of their own, and labels [N].

    seed: of this step. noise: standard deviation, on pixels of 0…1.
    """
    labels = source.labels[row_index(rows, source.labels.device)]
    generator = torch.Generator().manual_seed(seed)
    images = _augmented(source, rows, augmentation, seed, generator)
    if noise:
        own = int(torch.randint(2**62, (), generator=generator))
        images = add_noise(images, noise, torch.Generator(images.device).manual_seed(own))
    return normalize(images, source.preprocessing), labels


def view_batch(source: ImageSource, rows: Rows, boxes: Tensor, flip: Tensor) -> Tensor:
    """Images as of `evaluation_batch`, each cut to a box of its own. boxes, flip: as of `augmentation.crop`."""
    cut = crop(source.read_train(rows), boxes, flip, source.preprocessing.size)
    return normalize(cut, source.preprocessing)


def _augmented(
    source: ImageSource, rows: Rows, augmentation: Augmentation, seed: int, generator: torch.Generator
) -> Tensor:
    """Images in 0…1. `flip` and `none` see what evaluation sees; `trivial_augment` comes after `crop_flip`."""
    if augmentation == "none":
        return _evaluation_pixels(source, rows)
    if augmentation == "flip":
        return random_flip(_evaluation_pixels(source, rows), generator)
    aspect = source.aspect[torch.from_numpy(rows)]
    cropped = random_resized_crop_flip(source.read_train(rows), aspect, source.preprocessing.size, generator)
    return trivial_augment(cropped, seed) if augmentation == "trivial_augment" else cropped


def _evaluation_pixels(source: ImageSource, rows: Rows) -> Tensor:
    return source.read_eval(rows).permute(0, 3, 1, 2).float().div_(255)


def _reader(pixels: npt.NDArray[np.uint8], device: torch.device) -> Reader:
    """From the memory-mapped file on a CPU; a GPU keeps the images where they fit, else gets each batch."""
    if device.type == "cpu":
        return lambda rows: torch.from_numpy(pixels[rows])
    if pixels.nbytes <= RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
        resident = torch.empty(pixels.shape, dtype=torch.uint8, device=device)
        for start in range(0, len(pixels), UPLOAD):
            resident[start : start + UPLOAD] = torch.from_numpy(np.array(pixels[start : start + UPLOAD]))
        return lambda rows: resident[row_index(rows, device)]
    return lambda rows: sent(torch.from_numpy(pixels[rows]), device)
