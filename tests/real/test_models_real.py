"""Real ImageNet weights in networks of both libraries."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file
from torchvision.models import get_model_weights

from tlcore.datasets.pictures.decoding import open_rgb
from tlcore.datasets.pictures.geometry import evaluation_pixels
from tlcore.training.images.augmentation import normalize
from tlcore.training.networks.freezing import apply_trainable, frozen_fingerprint
from tlcore.training.networks.models import build_network, features, logits, model_facts
from tlcore.training.weights.loading import check_weights, load_backbone

pytestmark = pytest.mark.real

TIMM = ("mobilenetv2_100", "mobilenetv2_100.timm.safetensors")
TORCHVISION = ("torchvision:mobilenet_v2", "mobilenet_v2.torchvision.pth")
SQUEEZENET = ("torchvision:squeezenet1_1", "squeezenet1_1.torchvision.safetensors")


def _loaded(folder, model, file, classes=2):
    network = build_network(model, classes)
    load_backbone(network, f"file:{folder / file}")
    network.module.eval()
    return network


def _photographs(folder, model):
    paths = sorted((folder / "hymenoptera_data/val/bees").iterdir())[:4]
    own = model_facts(model).preprocessing
    pixels = np.stack([evaluation_pixels(open_rgb(path), own) for path in paths])
    return normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255, own)


def test_both_libraries_compute_the_same_features(real_weights, real_data):
    images = _photographs(real_data, TIMM[0])
    with torch.inference_mode():
        one, other = (features(_loaded(real_weights, *which), images) for which in (TIMM, TORCHVISION))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    assert one.shape == (4, 1280)
    assert one.std() > 0.1


def test_squeezenet_with_a_linear_head_computes_what_torchvision_computes(real_weights, real_data):
    """Its old convolution, put into our linear head, gives the old scores: the bees come out as bees."""
    tensors = load_file(real_weights / SQUEEZENET[1])
    original = torchvision.models.squeezenet1_1(weights=None)
    original.load_state_dict(tensors)
    network = _loaded(real_weights, *SQUEEZENET, classes=1000)
    with torch.no_grad():
        network.head.weight.copy_(tensors["classifier.1.weight"].flatten(1))
        network.head.bias.copy_(tensors["classifier.1.bias"])
        images = _photographs(real_data, SQUEEZENET[0])
        pooled = torch.nn.functional.adaptive_avg_pool2d(original.features(images), 1).flatten(1)
        torch.testing.assert_close(features(network, images), pooled, atol=1e-5, rtol=1e-5)
        scores = logits(network, images)
    names = get_model_weights("squeezenet1_1")["IMAGENET1K_V1"].meta["categories"]
    assert "bee" in {names[i] for i in scores.argmax(1)}


@pytest.mark.parametrize("which", [TIMM, TORCHVISION, SQUEEZENET])
def test_checks_agree_with_loading(real_weights, which):
    model, file = which
    check = check_weights(model, f"file:{real_weights / file}")
    assert check.usable
    network = build_network(model, 7)
    assert load_backbone(network, f"file:{real_weights / file}").fingerprint == check.fingerprint


@pytest.mark.parametrize(
    ("model", "file"), [(TIMM[0], TORCHVISION[1]), (TORCHVISION[0], TIMM[1]), ("resnet18", TIMM[1])]
)
def test_weights_of_another_architecture_are_told(real_weights, model, file):
    check = check_weights(model, f"file:{real_weights / file}")
    assert not check.usable
    assert "0 of" in check.message
    assert "looks like" in check.message


def test_photographs_get_the_pixels_of_the_library(real_data):
    transform = get_model_weights("mobilenet_v2")["IMAGENET1K_V1"].transforms()
    own = model_facts(TORCHVISION[0]).preprocessing
    for path in sorted((real_data / "hymenoptera_data/train/ants").glob("*.jpg"))[:12]:
        image = Image.open(path).convert("RGB")
        pixels = torch.from_numpy(evaluation_pixels(image, own).copy()).permute(2, 0, 1)[None]
        assert torch.equal(normalize(pixels.float().div(255), own)[0], transform(image))


def test_frozen_mobilenet_keeps_its_bits_in_bf16_training(real_weights):
    network = _loaded(real_weights, *TIMM)
    apply_trainable(network, "last:1", "train")
    before = frozen_fingerprint(network, "last:1", "train")
    optimizer = torch.optim.SGD([p for p in network.module.parameters() if p.requires_grad], lr=0.1)
    torch.manual_seed(0)
    for _ in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(
                logits(network, torch.randn(4, 3, 96, 96)), torch.tensor([0, 1, 0, 1])
            )
        loss.backward()
        optimizer.step()
    assert before[0] > 200
    assert frozen_fingerprint(network, "last:1", "train") == before


def test_answer_in_a_process_of_its_own(real_weights):
    request = {"question": "check_weights", "model": TIMM[0], "source": f"file:{real_weights / TIMM[1]}"}
    done = subprocess.run(
        [sys.executable, "-m", "tlcore.training.answer"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert json.loads(done.stdout)["answer"]["usable"]
