"""Networks of both libraries as one kind, held against the libraries' own functions."""

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from tlcore.errors import ModelError
from tlcore.training.networks import models
from tlcore.training.networks.heads import linear_head
from tlcore.training.networks.models import build_network, features, logits, model_facts, outline
from tlcore.training.networks.names import known_models, weight_tags
from tlcore.training.weights.loading import load_backbone

# One of each kind of head: linear, inside a head module, 1×1 convolution, GoogLeNet's second heads, SqueezeNet, linear
# without a bias.
SMALL = ("test_resnet", "test_vit", "test_convnext", "test_efficientnet", "dla46x_c", "torchvision:squeezenet1_1",
         "torchvision:maxvit_t")  # fmt: skip


def _images(network, count=2):
    return torch.randn(count, 3, network.image_size, network.image_size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", SMALL)
def test_head_of_features_is_logits(name):
    network = build_network(name, 3, 64 if not model_facts(name).fixed_input_size else None)
    network.module.eval()
    images = _images(network)
    with torch.no_grad():
        found, scores = features(network, images), logits(network, images)
        torch.testing.assert_close(network.head(found), network.module(images))
    assert found.shape == (2, network.facts.num_features) == (2, network.head.in_features)
    assert scores.shape == (2, 3)
    assert network.module.get_submodule(network.head_name) is network.head


def test_a_classifier_without_a_bias_is_replaced_by_one_with(tmp_path):
    """Its published weights fit all the same, its features are torchvision's, and its script makes the same network."""
    name, oracle = "torchvision:maxvit_t", torchvision.models.maxvit_t().eval()
    save_file(oracle.state_dict(), tmp_path / "w.safetensors")
    network = build_network(name, 3)
    assert load_backbone(network, f"file:{tmp_path / 'w.safetensors'}").match.missing == 0
    network.module.eval()
    images = _images(network)
    oracle.classifier[5] = torch.nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(features(network, images), oracle(images))
    published = torchvision.models.maxvit_t()
    assert model_facts(name).num_parameters == sum(p.numel() for p in published.parameters())
    exec(network.head_surgery.format(num_classes=3), {"model": published, "torch": torch})
    published.load_state_dict(network.module.state_dict())


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "test_convnext"])
def test_features_are_those_of_timm(name):
    network = build_network(name, 3, 64)
    network.module.eval()
    images = _images(network)
    with torch.no_grad():
        own = network.module.forward_head(network.module.forward_features(images), pre_logits=True)
        torch.testing.assert_close(features(network, images), own)


def test_same_seed_same_network_whatever_was_asked_before():
    def build():
        torch.manual_seed(5)
        return build_network("test_resnet", 3).module.state_dict()

    first = build()
    models._library_facts.cache_clear()
    second = build()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    torch.manual_seed(6)
    other = build_network("test_resnet", 3).module.state_dict()
    assert not torch.equal(first["conv1.0.weight"], other["conv1.0.weight"])


def test_facts_of_a_known_model():
    facts = model_facts("mobilenetv2_100")
    assert (facts.library, facts.family, facts.num_features) == ("timm", "cnn", 1280)
    assert facts.num_parameters == sum(p.numel() for p in timm.create_model("mobilenetv2_100").parameters())
    config = timm.data.resolve_model_data_config(timm.create_model("mobilenetv2_100"))
    assert facts.preprocessing.mean == config["mean"]
    assert (facts.preprocessing.size, facts.preprocessing.resize) == (224, 256)
    assert facts.has_batch_norm
    assert "blocks.0.0.conv_dw.weight" in facts.parameter_names[1]
    assert facts.parameter_names[-1] == ("classifier.weight", "classifier.bias")
    assert len(facts.parameter_names) == facts.num_groups + 1
    assert facts.weight_tags == ("ra_in1k",)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("test_resnet", "cnn"),
        ("test_vit", "transformer"),
        ("test_convnext", "transformer"),
        ("swin_tiny_patch4_window7_224", "transformer"),
        ("torchvision:squeezenet1_1", "cnn"),
        ("torchvision:vit_b_16", "transformer"),
    ],
)
def test_family(name, family):
    assert model_facts(name).family == family


def test_squeezenet_keeps_its_backbone_and_its_statement_makes_the_same_network():
    network = build_network("torchvision:squeezenet1_1", 4, 64)
    script = {"model": torchvision.models.get_model("squeezenet1_1", weights=None), "torch": torch}
    exec(network.head_surgery.format(num_classes=4), script)
    ours, theirs = network.module.state_dict(), script["model"].state_dict()
    assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in theirs.items()}
    assert isinstance(network.head, nn.Linear)
    script["model"].load_state_dict(ours)
    images = _images(network)
    with torch.no_grad():
        torch.testing.assert_close(script["model"].eval()(images), network.module.eval()(images))


def test_convolution_head_statement_makes_the_same_network():
    network = build_network("dla46x_c", 4, 64)
    script = {"model": timm.create_model("dla46x_c", num_classes=4), "torch": torch}
    exec(network.head_surgery.format(num_classes=4), script)
    loaded = script["model"].load_state_dict(network.module.state_dict())
    assert (loaded.missing_keys, loaded.unexpected_keys) == ([], [])


def test_build_arguments_rebuild_a_network_of_another_size():
    network = build_network("test_vit", 3, 96)
    again = timm.create_model(network.architecture, num_classes=3, **network.build_arguments)
    again.load_state_dict(network.module.state_dict())
    assert logits(network, torch.zeros(1, 3, 96, 96)).shape == (1, 3)


def test_fixed_size_is_an_error():
    assert model_facts("torchvision:vit_b_32").fixed_input_size
    with pytest.raises(ModelError, match="224 px only, not 160"):
        build_network("torchvision:vit_b_32", 2, 160)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet19", "resnet18"),
        ("mobilenet_v2", "torchvision:mobilenet_v2"),
        ("torchvision:resnet19", "torchvision:resnet18"),
        ("resnet18.no_such_tag", "tv_in1k"),
        ("hf-hub:somebody/something", "unknown model"),
        ("torchvision:fasterrcnn_resnet50_fpn", "unknown model"),
        ("crossvit_15_240", "classifier"),
        ("vit_base_patch16_sapiens2", "square"),
    ],
)
def test_unusable_models_say_why(name, hint):
    with pytest.raises(ModelError, match=hint):
        model_facts(name)


def test_two_heads_are_refused():
    twins = nn.ModuleDict({"head": nn.ModuleDict({"a": nn.Linear(4, 7), "b": nn.Linear(4, 7)})})
    with pytest.raises(ModelError, match="side by side"):
        linear_head(twins, "head")


def test_known_models_are_classifiers_of_both_libraries():
    names = known_models()
    assert "resnet18" in names
    assert "torchvision:resnet18" in names
    assert not any("detection" in n or "rcnn" in n or "segmentation" in n for n in names)


def test_default_weights_come_first():
    assert weight_tags("torchvision:resnet50")[0] == "IMAGENET1K_V1"
    assert weight_tags("resnet50.tv_in1k")[0] == "tv_in1k"
    assert weight_tags("resnet50")[0] == timm.get_pretrained_cfg("resnet50").tag


def test_outline_has_shapes_and_leaves_the_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    network = outline("resnet18")
    assert torch.equal(torch.rand(1), expected)
    assert network.head.weight.device.type == "meta"
    assert network.module.conv1.weight.shape == (64, 3, 7, 7)


@pytest.mark.parametrize("name", [*SMALL, "mobilenetv2_100", "torchvision:resnet18", "torchvision:vgg11_bn"])
def test_groups_hold_every_backbone_parameter_once_from_bottom_to_top(name):
    network = outline(name)
    grouped = [parameter for group in network.groups for parameter in group]
    backbone = [n for n, _ in network.module.named_parameters() if not n.startswith(f"{network.head_name}.")]
    assert sorted(grouped) == sorted(backbone)
    assert len(network.groups) == network.facts.num_groups >= 4


def test_groups_of_a_resnet_are_its_stages_in_both_libraries():
    stages = ["conv1", "layer1", "layer2", "layer3", "layer4"]
    for name in ("resnet18", "torchvision:resnet18"):
        assert [group[0].split(".")[0] for group in outline(name).groups] == stages
