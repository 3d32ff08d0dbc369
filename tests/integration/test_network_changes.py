"""Networks that are cut, tapped at several layers, given another head or one channel, against the libraries' own."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from tlcore.errors import ModelError
from tlcore.recipes import NetworkRecipe
from tlcore.training.images.augmentation import normalize
from tlcore.training.networks.freezing import apply_trainable, frozen_fingerprint
from tlcore.training.networks.models import build_network, features, logits, model_facts, outline
from tlcore.training.weights.loading import load_backbone

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def changed(name, size=64, seed=0, **changes):
    torch.manual_seed(seed)
    network = build_network(name, 3, size, NetworkRecipe(**changes))
    network.module.eval()
    return network


def whole(network, name, size=64):
    """The library's own network with the same numbers, as far as the changed one has them."""
    if name.startswith("torchvision:"):
        module = torchvision.models.get_model(name.removeprefix("torchvision:"), weights=None)
    else:
        module = timm.create_model(name, **({"img_size": size} if "vit" in name or "swin" in name else {}))
    kept = {n: t for n, t in network.module.state_dict().items() if not n.startswith(f"{network.head_name}.")}
    missing, unexpected = module.load_state_dict(kept, strict=False)
    assert not unexpected
    return module.eval(), missing


def nodes_of(module, wanted, images):
    """torchvision's own feature extractor: the outputs of these nodes, averaged over space."""
    with torch.no_grad():
        found = create_feature_extractor(module, wanted)(images)
    return torch.cat([found[node].mean((2, 3)) if found[node].dim() == 4 else found[node] for node in wanted], 1)


CUTS = [
    ("torchvision:resnet18", 1, ["maxpool"]),
    ("torchvision:resnet18", 3, ["layer2"]),
    ("torchvision:resnet18", 5, ["flatten"]),
    ("resnet18", 4, ["layer3"]),
    ("torchvision:mobilenet_v2", 5, ["features.4"]),
    ("torchvision:alexnet", 5, ["avgpool"]),
    ("torchvision:alexnet", 6, ["classifier.3"]),
    ("torchvision:squeezenet1_1", 4, ["features.6"]),
    ("torchvision:densenet121", 3, ["features.transition1"]),
    ("mobilenetv2_100", 4, ["blocks.2"]),
]


@pytest.mark.parametrize(("name", "groups", "nodes"), CUTS)
def test_a_cut_network_gives_what_the_library_has_there(name, groups, nodes):
    network = changed(name, cut_at=groups)
    module, missing = whole(network, name)
    with torch.no_grad():
        found, scores = features(network, IMAGES), logits(network, IMAGES)
        torch.testing.assert_close(found, nodes_of(module, nodes, IMAGES))
        torch.testing.assert_close(scores, network.head(found))
        torch.testing.assert_close(network.module(IMAGES), scores)
    assert network.groups == outline(name).groups[:groups]
    assert {n for n in missing if n.endswith("weight")}, "what lies above is gone"
    assert scores.shape == (2, 3)


def test_what_is_dropped_is_not_computed():
    network = changed("torchvision:resnet18", cut_at=2)
    seen = []
    for path, child in network.module.named_modules():
        child.register_forward_pre_hook(lambda _, inputs, path=path: seen.append(path))
    network.module(IMAGES)
    assert "layer1" in seen
    assert not any(path.startswith(("layer3", "layer4", "avgpool")) for path in seen)
    assert not any(n.startswith(("layer2", "layer3", "layer4", "fc")) for n in network.module.state_dict())


def test_several_layers_stand_side_by_side_in_the_order_asked():
    network = changed("torchvision:resnet18", layers="4+2+5")
    module, _ = whole(network, "torchvision:resnet18")
    with torch.no_grad():
        expected = nodes_of(module, ["layer3", "layer1", "layer4"], IMAGES)
        torch.testing.assert_close(features(network, IMAGES), expected)
    assert network.head.in_features == 256 + 64 + 512


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_vit3", "swin_tiny_patch4_window7_224"])
def test_tokens_are_pooled_as_the_model_pools_them(name):
    """test_vit by its class token, test_vit2 by the average of its patches, Swin over space (channels last)."""
    size = 64 if "swin" not in name else 224
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(2))
    network = changed(name, size, cut_at=3)
    module, _ = whole(network, name, size)
    with torch.no_grad():
        if "swin" in name:
            expected = module.forward_intermediates(images, intermediates_only=True)[1].mean((2, 3))
        else:
            patches, prefix = module.forward_intermediates(
                images, indices=[1], intermediates_only=True, output_fmt="NLC", return_prefix_tokens=True
            )[0]
            expected = prefix[:, 0] if module.global_pool == "token" else patches.mean(1)
        torch.testing.assert_close(features(network, images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["test_resnet", "mobilenetv3_small_100", "vgg11", "test_convnext"])
def test_last_conv_is_the_pooled_feature_map_of_timm(name):
    size = 64 if name != "vgg11" else 224
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(2))
    network = changed(name, size, layers="last_conv")
    module, _ = whole(network, name)
    with torch.no_grad():
        own = module.features(images) if name == "vgg11" else module.forward_features(images)
        torch.testing.assert_close(features(network, images), own.mean((2, 3)))


def test_all_groups_are_the_whole_backbone():
    cut = changed("mobilenetv2_100", cut_at=model_facts("mobilenetv2_100").num_groups)
    module, missing = whole(cut, "mobilenetv2_100")
    assert set(missing) == {"classifier.weight", "classifier.bias"}
    with torch.no_grad():
        own = module.forward_head(module.forward_features(IMAGES), pre_logits=True)
        torch.testing.assert_close(features(cut, IMAGES), own)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "torchvision:alexnet", "torchvision:squeezenet1_1"])
def test_a_hidden_layer_and_dropout_make_the_head(name):
    network = changed(name, hidden_units=7, head_dropout=0.5)
    plain = outline(name)
    head = network.module.get_submodule(network.head_name)
    assert [type(layer) for layer in head] == [nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert head[1].in_features == plain.head.in_features
    assert network.head is head[4]
    assert network.head_name == plain.head_name
    assert network.groups == plain.groups
    with torch.no_grad():
        before = []
        handle = head.register_forward_pre_hook(lambda _, inputs: before.append(inputs[0]))
        scores = logits(network, IMAGES)
        handle.remove()
        torch.testing.assert_close(scores, head[4](head[1](before[0]).relu()))
    apply_trainable(network, "head", "eval")
    assert {n for n, p in network.module.named_parameters() if p.requires_grad} == {
        f"{network.head_name}.{i}.{kind}" for i in (1, 4) for kind in ("weight", "bias")
    }
    assert head[0].training
    assert head[3].training


def test_dropout_alone_stands_before_the_linear_layer():
    network = changed("test_resnet", head_dropout=0.25)
    head = network.module.get_submodule(network.head_name)
    assert [type(layer) for layer in head] == [nn.Dropout, nn.Linear]
    assert head[0].p == 0.25


def test_unchanged_networks_keep_their_numbers():
    """The same seed gives the same network whether or not changes could have been asked for."""
    torch.manual_seed(4)
    own = timm.create_model("test_resnet", num_classes=3).state_dict()
    network = changed("test_resnet", seed=4)
    assert not network.rewiring
    assert all(torch.equal(own[n], t) for n, t in network.module.state_dict().items() if not n.startswith("fc."))


@pytest.fixture
def weights(tmp_path):
    def save(name):
        torch.manual_seed(9)
        file = tmp_path / f"{name.replace(':', '_')}.safetensors"
        save_file(build_network(name, 1000).module.state_dict(), file)
        return file

    return save


@pytest.mark.parametrize("name", ["torchvision:resnet18", "test_vit", "torchvision:squeezenet1_1"])
def test_whole_weights_load_into_what_is_left(weights, name):
    file = weights(name)
    size = None if name == "test_vit" else 64
    network = changed(name, size, cut_at=3, hidden_units=5)
    before = {n: t.clone() for n, t in network.module.state_dict().items() if n.startswith("new_head")}
    report = load_backbone(network, f"file:{file}")
    assert report.match.unknown == report.match.missing == 0
    assert report.num_tensors == len(network.module.state_dict()) - len(before)
    state = network.module.state_dict()
    assert all(torch.equal(state[n], t) for n, t in before.items())
    original = build_network(name, 1000)
    load_backbone(original, f"file:{file}")
    theirs = original.module.state_dict()
    assert all(torch.equal(t, theirs[n]) for n, t in state.items() if n not in before)


def test_a_cut_transformer_takes_weights_of_another_image_size(weights):
    network = changed("test_vit", 96, cut_at=3)
    report = load_backbone(network, f"file:{weights('test_vit')}")
    assert report.match.unknown == report.match.missing == report.match.other_shape == 0


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "resnet18"])
def test_grayscale_adapts_the_first_layer_as_timm_does(weights, name):
    file = weights(name)
    network = changed(name, None, grayscale=True)
    load_backbone(network, f"file:{file}")
    overlay = {"file": str(file), "num_classes": 1000}
    theirs = timm.create_model(
        name.partition(".")[0], pretrained=True, in_chans=1, pretrained_cfg_overlay=overlay
    ).state_dict()
    own = {n: t for n, t in network.module.state_dict().items() if not n.startswith(f"{network.head_name}.")}
    assert all(torch.equal(t, theirs[n]) for n, t in own.items())


@pytest.mark.parametrize("name", ["test_resnet", "resnet18"])  # one deviation for all channels, and one for each
def test_grayscale_sees_the_luma_of_the_picture(name):
    network = changed(name, grayscale=True)
    preprocessing = network.facts.preprocessing
    rgb = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    seen = []
    network.module.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.module(normalize(torch.from_numpy(rgb).permute(0, 3, 1, 2) / 255, preprocessing))
    luma = (rgb @ np.array([0.299, 0.587, 0.114])) / 255
    expected = (luma - np.mean(preprocessing.mean)) / np.mean(preprocessing.std)
    assert seen[0].shape == (1, 1, 64, 64)
    np.testing.assert_allclose(seen[0][:, 0].numpy(), expected, atol=1e-5)


def test_grayscale_of_a_cut_network():
    network = changed("test_resnet", grayscale=True, layers="2+3")
    assert logits(network, IMAGES).shape == (2, 3)
    assert network.module.conv1[0].weight.shape[1] == 1


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("torchvision:resnet18", {"grayscale": True}, "colour images only"),
        ("test_resnet", {"cut_at": 6}, "layer group 6 does not exist: test_resnet has 5"),
        ("test_resnet", {"layers": "1+9"}, "layer group 9 does not exist"),
    ],
)
def test_impossible_changes_say_why(name, changes, why):
    with pytest.raises(ModelError, match=why):
        changed(name, **changes)


@pytest.mark.parametrize("trainable", ["head", "last:1", "all"])
def test_a_cut_network_freezes_and_trains_like_any_other(trainable):
    network = changed("test_resnet", cut_at=3)
    apply_trainable(network, trainable, "eval")
    before = frozen_fingerprint(network, trainable, "eval")
    trained = [p for p in network.module.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    loss = nn.functional.cross_entropy(logits(network, IMAGES), torch.tensor([0, 1]))
    loss.backward()
    assert all(p.grad is not None for p in trained)
    optimizer.step()
    assert frozen_fingerprint(network, trainable, "eval") == before


# What people who know these networks count from the head down.
TOP = {
    "torchvision:resnet18": ("layer3", "layer4"),
    "resnet18": ("layer3", "layer4"),
    "torchvision:mobilenet_v2": ("features.17", "features.18"),
    "mobilenetv2_100": ("blocks.5", "blocks.6"),
    "torchvision:vit_b_16": ("encoder.layers.encoder_layer_10", "encoder.layers.encoder_layer_11"),
    "vit_tiny_patch16_224": ("blocks.10", "blocks.11"),
    "torchvision:vgg16": ("classifier.0", "classifier.3"),
    "convnext_tiny": ("stages.2", "stages.3"),
    "torchvision:inception_v3": ("Mixed_7b", "Mixed_7c"),
}
BOTTOM = {
    "torchvision:resnet18": ("conv1", "layer1"),
    "resnet18": ("conv1", "layer1"),
    "torchvision:mobilenet_v2": ("features.0", "features.1"),
    "mobilenetv2_100": ("conv_stem", "blocks.0"),
    "torchvision:vit_b_16": ("conv_proj", "encoder.layers.encoder_layer_0"),
    "vit_tiny_patch16_224": ("patch_embed", "blocks.0"),
    "torchvision:vgg16": ("features.0", "features.2"),
    "convnext_tiny": ("stem", "stages.0"),
    "torchvision:inception_v3": ("Conv2d_1a_3x3", "Conv2d_2a_3x3"),
}


@pytest.mark.parametrize("name", TOP)
def test_layer_groups_are_those_that_people_count(name):
    facts = model_facts(name)
    assert facts.group_names[-2:] == TOP[name]
    assert facts.group_names[:2] == BOTTOM[name]
    assert len(facts.group_names) == len(set(facts.group_names)) == facts.num_groups
    network = outline(name)
    for called, group in zip(network.group_names, network.groups, strict=True):
        inside = {n for n, _ in network.module.named_parameters() if n.startswith(f"{called}.")}
        assert inside <= set(group)
        assert inside


def test_the_share_of_linear_layers_tells_transformers_from_cnns():
    shares = {n: model_facts(n).linear_share for n in ("test_vit", "test_convnext", "resnet18", "torchvision:vgg16")}
    assert shares["test_vit"] > 0.5
    assert shares["test_convnext"] > 0.5
    assert shares["resnet18"] == shares["torchvision:vgg16"] == 0, "a classifier's layers are no blocks"
