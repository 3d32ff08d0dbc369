"""Evaluation pixels are those of the libraries' own transforms, bit for bit."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torchvision.models import get_model_weights

from tlcore.datasets.pictures.geometry import evaluation_pixels, train_side, whole_pixels
from tlcore.recipes import Preprocessing
from tlcore.training.images.augmentation import normalize
from tlcore.training.networks.models import model_facts

ODD_SIZES = [(375, 501), (777, 333), (1023, 97), (256, 256), (37, 29), (255, 257)]
MODELS = ("mobilenetv2_100", "vit_small_patch16_224", "resnet18.tv_in1k")


def _picture(size):
    generator = np.random.default_rng(size[0] * size[1])
    coarse = Image.fromarray(generator.integers(0, 256, (9, 11, 3), dtype=np.uint8)).resize(size, 3)
    noise = generator.integers(-20, 20, (size[1], size[0], 3))
    return Image.fromarray((np.asarray(coarse, dtype=int) + noise).clip(0, 255).astype(np.uint8))


def _ours(picture, preprocessing):
    pixels = torch.from_numpy(evaluation_pixels(picture, preprocessing).copy()).permute(2, 0, 1)
    return normalize(pixels[None].float().div(255), preprocessing)[0]


@pytest.mark.parametrize("size", ODD_SIZES)
@pytest.mark.parametrize("name", MODELS)
def test_pixels_of_timm(name, size):
    config = timm.data.resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    expected = timm.data.create_transform(**config, is_training=False)(_picture(size))
    assert torch.equal(_ours(_picture(size), model_facts(name).preprocessing), expected)


@pytest.mark.parametrize("size", ODD_SIZES)
@pytest.mark.parametrize("name", ["mobilenet_v2", "convnext_tiny"])
def test_pixels_of_torchvision(name, size):
    expected = get_model_weights(name)["IMAGENET1K_V1"].transforms()(_picture(size))
    assert torch.equal(_ours(_picture(size), model_facts(f"torchvision:{name}").preprocessing), expected)


@pytest.mark.parametrize("size", ODD_SIZES)
def test_squashed_pixels_of_timm(size):
    config = {"input_size": (3, 96, 96), "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "squash"}
    expected = timm.data.create_transform(**config, mean=(0, 0, 0), std=(1, 1, 1), is_training=False)(_picture(size))
    own = Preprocessing(size=96, resize=None, interpolation="bicubic", mean=(0, 0, 0), std=(1, 1, 1))
    assert torch.equal(_ours(_picture(size), own), expected)


def test_a_crop_larger_than_the_picture_is_padded_as_torchvision_pads():
    from torchvision.transforms import functional as TF

    own = Preprocessing(size=96, resize=49, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1))
    for size in ODD_SIZES:
        expected = TF.center_crop(TF.resize(_picture(size), 49), [96, 96])
        assert np.array_equal(evaluation_pixels(_picture(size), own), np.asarray(expected))


def test_whole_pixels_hold_the_whole_picture():
    own = Preprocessing(size=64, resize=64, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1))
    picture = Image.new("RGB", (300, 100))
    picture.paste((255, 0, 0), (0, 0, 30, 100))
    picture.paste((0, 0, 255), (270, 0, 300, 100))
    pixels = whole_pixels(picture, own)
    assert pixels.shape == (train_side(own),) * 2 + (3,)
    assert pixels[:, 0].tolist() == [[255, 0, 0]] * train_side(own)
    assert pixels[:, -1].tolist() == [[0, 0, 255]] * train_side(own)
