"""Parameter groups: rates, decay, and nothing left out."""

import pytest
import torch

from tlcore.recipes import TrainRecipe
from tlcore.training.loop.optimizers import learning_rates, make_optimizer, parameter_groups, set_learning_rates
from tlcore.training.networks.construction import without_memory
from tlcore.training.networks.freezing import apply_trainable
from tlcore.training.networks.models import build_network


def values(**changes) -> TrainRecipe:
    return TrainRecipe(
        **{"trainable": "all", "share": 1.0, "learning_rate": 0.1, "backbone_learning_rate": 0.01, **changes}
    )


@pytest.mark.parametrize("trainable", ["head", "all", "last:1"])
@pytest.mark.parametrize("decay_norms", [True, False])
def test_every_trained_tensor_is_in_one_group_with_its_rate_and_decay(trainable, decay_norms):
    network = build_network("test_resnet", 3, 32)
    recipe = values(trainable=trainable, decay_norms=decay_norms, weight_decay=0.3)
    apply_trainable(network, trainable, "eval")
    placed = {}
    for group in parameter_groups(network, recipe):
        for parameter in group["params"]:
            assert id(parameter) not in placed
            placed[id(parameter)] = (group["lr"], group["weight_decay"])
    for name, parameter in network.module.named_parameters():
        if not parameter.requires_grad:
            assert id(parameter) not in placed
            continue
        rate = 0.1 if name.startswith(network.head_name) else 0.01
        decays = decay_norms or parameter.dim() > 1
        assert placed[id(parameter)] == (rate, 0.3 if decays else 0.0), name


def test_rates_follow_the_schedule_by_group():
    network = build_network("test_resnet", 3, 32)
    apply_trainable(network, "all", "eval")
    recipe = values()
    optimizer = make_optimizer(network, recipe)
    set_learning_rates(optimizer, recipe, 0.5)
    assert learning_rates(optimizer) == pytest.approx({"backbone": 0.005, "head": 0.05})


@pytest.mark.parametrize(
    ("model", "trainable"), [("test_resnet", "all"), ("test_resnet", "last:2"), ("test_vit", "all")]
)
def test_each_lower_layer_group_has_a_part_of_the_rate_above(model, trainable):
    """Groups made by hand: 0.01 for the last one, half of it for the one below, and so on."""
    network = build_network(model, 3, 32)
    apply_trainable(network, trainable, "eval")
    recipe = values(trainable=trainable, layer_decay=0.5, decay_norms=False, weight_decay=0.3)
    expected = {name: (0.1, "head") for name, _ in network.head.named_parameters(prefix=network.head_name)}
    for number, group in enumerate(network.groups, 1):
        rate = 0.01 * 0.5 ** (len(network.groups) - number)
        expected |= dict.fromkeys(group, (rate, f"{number:02d} {network.group_names[number - 1]}"))
    found = {id(p): group for group in parameter_groups(network, recipe) for p in group["params"]}
    trained = [(name, p) for name, p in network.module.named_parameters() if p.requires_grad]
    assert len(found) == len(trained)
    for name, parameter in trained:
        group = found[id(parameter)]
        assert (group["lr"], group["name"]) == (pytest.approx(expected[name][0]), expected[name][1]), name
        kernel = parameter.dim() > 1 and name not in ("cls_token", "pos_embed")
        assert group["weight_decay"] == (0.3 if kernel else 0.0), name
    names = list(learning_rates(make_optimizer(network, recipe)))
    assert names == [*sorted(names[:-1]), "head"]
    assert len(names) == (len(network.groups) if trainable == "all" else 2) + 1


SPARED = {
    "test_vit": {"cls_token", "pos_embed"},
    "swin_tiny_patch4_window7_224": {f"layers.{i}.blocks.{j}.attn.relative_position_bias_table"
                                     for i, depth in enumerate((2, 2, 6, 2)) for j in range(depth)},
    "torchvision:vit_b_32": {"class_token", "encoder.pos_embedding"},
    "torchvision:swin_t": {f"features.{2 * i + 1}.{j}.attn.relative_position_bias_table"
                           for i, depth in enumerate((2, 2, 6, 2)) for j in range(depth)},
    "torchvision:convnext_tiny": {f"features.{2 * i + 1}.{j}.layer_scale"
                                  for i, depth in enumerate((3, 3, 9, 3)) for j in range(depth)},
    "xcit_nano_12_p16_224": {"cls_token", "pos_embed.token_projection.weight"},
}  # fmt: skip


@pytest.mark.parametrize("model", SPARED)
def test_weight_decay_covers_kernels_alone(model):
    """Of all tensors of several dimensions, those written out above are spared."""
    with without_memory(model):
        network = build_network(model, 3)
    found = {
        id(p) for g in parameter_groups(network, values(weight_decay=0.3)) if g["weight_decay"] for p in g["params"]
    }
    wide = {name for name, p in network.module.named_parameters() if p.dim() > 1}
    assert {name for name, p in network.module.named_parameters() if id(p) in found} == wide - SPARED[model]
    assert SPARED[model] <= wide


@pytest.mark.parametrize(
    ("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)]
)
def test_the_recipe_names_the_optimiser(name, kind):
    network = build_network("test_resnet", 3, 32)
    apply_trainable(network, "head", "eval")
    assert isinstance(make_optimizer(network, values(optimizer=name)), kind)
