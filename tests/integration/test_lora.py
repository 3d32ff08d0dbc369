"""LoRA: starts as the pretrained network, trains adapters and head alone, and ends as one ordinary network."""

import hashlib
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.integration.test_training_oracle import start_by_hand
from tests.training_support import FLOAT32, Bench, Crash, Recorder, pretrained, tiny_dataset
from tlcore.errors import ModelError, RunCancelledError, SpecError
from tlcore.recipes import DataFacts, TrainRecipe, resolve
from tlcore.recipes.applicable import LINEAR_MODELS
from tlcore.spec import Budget
from tlcore.strategies import STRATEGIES, Fit, Strategy, Train
from tlcore.training import prepare as prepare_module
from tlcore.training import run as run_module
from tlcore.training.images.stream import batch_positions, start_seed
from tlcore.training.loop.optimizers import parameter_groups
from tlcore.training.networks import adapters
from tlcore.training.networks.adapters import (
    adaptable,
    attach_adapters,
    has_adapters,
    merge_adapters,
    network_tensors,
    plain_name,
)
from tlcore.training.networks.checking import idle_settings
from tlcore.training.networks.freezing import apply_trainable, frozen_fingerprint
from tlcore.training.networks.models import build_network, logits, model_facts
from tlcore.training.weights.loading import load_backbone

RECIPE = TrainRecipe(trainable="lora", share=1.0, lora_rank=4, lora_alpha=8.0)
MODELS = ["test_vit", "test_convnext", "torchvision:vit_b_32"]


def fresh(name="test_vit", size=None):
    torch.manual_seed(3)
    network = build_network(name, 3, size)
    network.module.eval()
    return network


def images(network, count=4):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(count, 3, network.image_size, network.image_size, generator=generator)


def steps(network, number=3):
    apply_trainable(network, "lora", "eval")
    trained = [p for p in network.module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    for _ in range(number):
        loss = torch.nn.functional.cross_entropy(logits(network, images(network)), torch.tensor([0, 1, 2, 0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.module.eval()
    return trained


def num_adapted(network, rank):
    """Parameters of A [rank, inputs] and B [outputs, rank] beside each layer [outputs, inputs], and of the head."""
    layers = [network.module.get_submodule(path) for path in adaptable(network)]
    return sum(rank * sum(layer.weight.shape) for layer in layers) + sum(p.numel() for p in network.head.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_adapters_start_as_nothing_train_alone_and_are_merged(name):
    network = fresh(name)
    batch, names = images(network, 4 if "vit_b" not in name else 2), list(network.module.state_dict())
    start = {n: t.clone() for n, t in network.module.state_dict().items()}
    with torch.no_grad():
        plain = logits(network, batch)
    expected = num_adapted(network, RECIPE.lora_rank)
    attach_adapters(network, RECIPE, seed=1)
    with torch.no_grad():
        assert torch.equal(logits(network, batch), plain), "B is zero, so nothing has changed"

    fingerprint = frozen_fingerprint(network, "lora", "eval")
    trained = steps(network) if "vit_b" not in name else steps(network, 1)
    assert sum(p.numel() for p in trained) == expected
    assert all(p.grad is not None for p in trained), "every adapter is part of the forward pass"
    assert frozen_fingerprint(network, "lora", "eval") == fingerprint
    assert fingerprint[0] == len(names) - 2, "all base tensors but the head's two"

    with torch.no_grad():
        unmerged = logits(network, batch)
    tensors = {n: t.clone() for n, t in network_tensors(network).items()}
    assert sorted(tensors) == sorted(names)
    merge_adapters(network)
    assert not has_adapters(network)
    state = network.module.state_dict()
    assert list(state) == names
    assert all(torch.equal(state[n], tensors[n]) for n in names)
    with torch.no_grad():
        torch.testing.assert_close(logits(network, batch), unmerged, rtol=1e-5, atol=1e-5)
    changed = {n for n in names if not torch.equal(state[n], start[n])}
    assert changed == {f"{path}.weight" for path in adaptable(fresh(name))} | {
        f"{network.head_name}.{kind}" for kind in ("weight", "bias")
    }


def test_the_merged_weight_is_the_formula_of_the_paper():
    network = fresh()
    before = network.module.blocks[0].attn.qkv.weight.detach().clone()
    attach_adapters(network, RECIPE, seed=1)
    steps(network)
    layer = network.module.blocks[0].attn.qkv
    a, b = layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight.detach()
    assert a.shape == (4, 64)
    merge_adapters(network)
    torch.testing.assert_close(network.module.blocks[0].attn.qkv.weight.detach(), before + (8.0 / 4) * b @ a)


def test_adapters_go_into_the_blocks_and_not_into_the_head():
    blocks = adaptable(fresh())
    assert blocks == [
        f"blocks.{i}.{layer}" for i in range(6) for layer in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    ]
    with_hidden = build_network("test_vit", 3, None, fresh().changes.model_copy(update={"hidden_units": 5}))
    assert adaptable(with_hidden) == blocks
    cut = build_network("test_vit", 3, None, fresh().changes.model_copy(update={"cut_at": 3}))
    assert adaptable(cut) == [path for path in blocks if path.startswith(("blocks.0.", "blocks.1."))]


def test_layers_that_the_library_does_not_call_get_none():
    """torch's attention reads its projections' weights itself, so an adapter beside them would never be used."""
    found = adaptable(fresh("torchvision:vit_b_32"))
    assert found
    assert not any("out_proj" in path for path in found)


def test_their_start_follows_from_the_seed_alone():
    found = []
    for noise, seed in ((0, 1), (7, 1), (0, 2)):
        network = fresh()
        torch.manual_seed(noise)
        attach_adapters(network, RECIPE, seed)
        found.append(network.module.blocks[0].attn.qkv.lora_A["default"].weight.detach().clone())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_names_inside_are_those_of_the_library():
    assert plain_name("blocks.0.attn.qkv.lora_A.default.weight") == "blocks.0.attn.qkv.weight"
    assert plain_name("blocks.0.attn.qkv.base_layer.bias") == "blocks.0.attn.qkv.bias"
    assert plain_name("head.weight") == "head.weight"


def test_without_peft_the_remedy_is_said(monkeypatch):
    monkeypatch.setattr(adapters.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install peft"):
        attach_adapters(fresh(), RECIPE, 0)


def test_a_cnn_has_no_place_for_them():
    with pytest.raises(ModelError, match="no linear layer"):
        attach_adapters(build_network("test_resnet", 2), RECIPE, 0)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora")
    data = tiny_dataset(folder, classes=2, per_class=10)
    return Bench(folder, data, model="test_vit", budget=Budget(steps=4), batch_size=4)


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Runs in float32, so that what is recorded can be compared closely."""
    for module in (run_module, prepare_module):
        if hasattr(module, "pick_device"):
            monkeypatch.setattr(module, "pick_device", lambda asked: FLOAT32)


def digest(bench, name):
    return hashlib.sha256((bench.work(name) / "model" / "weights.safetensors").read_bytes()).hexdigest()


def curve(bench, name):
    points = json.loads((bench.work(name) / "artifacts" / "history.json").read_text())
    return [{k: v for k, v in p.items() if k not in ("train_seconds", "timestamp_ms")} for p in points]


def in_pieces(bench, spec, name, patience):
    """Stop the run again and again, each time a little later; how often it was stopped."""
    for stops in range(60):
        try:
            bench.run(spec, name, Recorder(stop_after=patience + stops))
            return stops
        except RunCancelledError:
            continue
    raise AssertionError("it never ended")


def test_a_run_ends_as_one_ordinary_network(bench):
    outcome = bench.run(bench.spec("lora", overrides={"lora_rank": 2}), "plain")
    assert outcome.frozen_state_unchanged
    tensors = load_file(bench.work("plain") / "model" / "weights.safetensors")
    network = build_network("test_vit", 2, 32)
    network.module.load_state_dict(tensors)
    recipe = RECIPE.model_copy(update={"lora_rank": 2})
    assert outcome.num_trainable_parameters == num_adapted(network, recipe.lora_rank)
    assert outcome.num_parameters == sum(p.numel() for p in network.module.parameters())
    start = build_network("test_vit", 2, 32)
    load_backbone(start, f"file:{pretrained(bench.folder / 'weights', 'test_vit')}")
    moved = {n for n, t in start.module.state_dict().items() if not torch.equal(t, tensors[n])}
    assert moved <= {f"{path}.weight" for path in adaptable(start)} | {"head.weight", "head.bias"}
    assert len(moved) > 2
    again = load_backbone(build_network("test_vit", 5, 32), "run:x", bench.work("plain") / "model/weights.safetensors")
    assert again.num_tensors == len(tensors) - 2, "other runs can start from it"


def test_with_a_layer_decay_adapters_nearer_the_input_train_at_lower_rates():
    """Six blocks: 0.01 for the last one's, half of it for those below, and so on; the stem has none."""
    network = fresh()
    attach_adapters(network, RECIPE, seed=1)
    apply_trainable(network, "lora", "eval")
    asked = {"layer_decay": 0.5, "learning_rate": 0.1, "backbone_learning_rate": 0.01}
    found = {id(p): g["lr"] for g in parameter_groups(network, RECIPE.model_copy(update=asked)) for p in g["params"]}
    trained = {name: found.pop(id(p)) for name, p in network.module.named_parameters() if p.requires_grad}
    assert not found
    for name, rate in trained.items():
        expected = 0.1 if name.startswith("head.") else 0.01 * 0.5 ** (5 - int(name.split(".")[1]))
        assert rate == pytest.approx(expected), name


@pytest.mark.parametrize("attached", [False, True])
def test_settings_that_do_nothing_for_adapters_are_known_with_and_without_them(attached):
    """Of a network that is cut at 2, the stem has no adapters, so that a single layer group is left to decay."""
    found = {}
    for cut in (2, 3):
        network = build_network("test_vit", 3, None, fresh().changes.model_copy(update={"cut_at": cut}))
        if attached:
            attach_adapters(network, RECIPE, seed=1)
        found[cut] = idle_settings(network, RECIPE)
    assert "layer_decay" in found[2]
    assert not {"layer_decay", "learning_rate", "backbone_learning_rate"} & found[3].keys()


class Beside(nn.Module):
    """A frozen linear layer with a low-rank product beside it, as the paper writes it: W x + (alpha ÷ rank) B A x."""

    def __init__(self, layer, first, scale):
        super().__init__()
        self.layer, self.scale = layer, scale
        self.a = nn.Parameter(first.clone())
        self.b = nn.Parameter(torch.zeros(layer.out_features, len(first)))

    def forward(self, given):
        return self.layer(given) + self.scale * given @ self.a.T @ self.b.T


def test_a_run_equals_a_plain_loop_without_peft(bench):
    spec = bench.spec("lora", budget=Budget(steps=6), overrides={"lora_rank": 4, "lora_alpha": 8.0})
    recorder = Recorder()
    bench.run(spec, "oracle", recorder)
    found = torch.load(bench.work("oracle") / "checkpoint" / "last.pt", weights_only=True)["network"]
    (recipe,) = recorder.resolution.recipe["phases"]
    network, images, labels = start_by_hand(bench, spec, recorder.resolution.recipe["preprocessing"])
    twin, _, _ = start_by_hand(bench, spec, recorder.resolution.recipe["preprocessing"])
    attach_adapters(twin, RECIPE, start_seed(spec.seed))
    model, beside = network.module.eval().requires_grad_(False), {}
    for path in adaptable(build_network("test_vit", 2, 32)):
        first = twin.module.get_submodule(path).lora_A["default"].weight.detach()
        beside[path] = Beside(model.get_submodule(path), first, 8.0 / 4)
        model.set_submodule(path, beside[path])
    network.head.requires_grad_(True)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, weight_decay=0.0)
    rows = np.array(bench.split(spec).train)
    for step in range(6):
        batch = torch.from_numpy(rows[batch_positions(spec.seed, step, bench.batch_size, len(rows))])
        progress, warmup = (step + 0.5) / 6, recipe["warmup"]
        falling = 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
        optimizer.param_groups[0]["lr"] = 1e-3 * (progress / warmup if progress < warmup else falling)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    assert (recipe["learning_rate"], recipe["backbone_learning_rate"]) == (1e-3, 1e-3)
    close = {"rtol": 1e-2, "atol": 2e-4}
    torch.testing.assert_close(found["head.weight"], network.head.weight.detach(), **close)
    for path, own in beside.items():
        torch.testing.assert_close(found[f"{path}.lora_A.default.weight"], own.a.detach(), **close)
        torch.testing.assert_close(found[f"{path}.lora_B.default.weight"], own.b.detach(), **close)
        assert float(own.b.detach().abs().max()) > 1e-3, "it has learned something"


@pytest.mark.parametrize("patience", [1, 3, 5])
def test_stopped_and_resumed_it_gives_the_same_bits(bench, patience):
    bench.run(bench.spec("lora"), "whole")
    name = f"pieces-{patience}"
    assert in_pieces(bench, bench.spec("lora"), name, patience) > 1
    assert digest(bench, name) == digest(bench, "whole")
    assert curve(bench, name) == curve(bench, "whole")


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_crash_loses_nothing(bench, at):
    bench.run(bench.spec("lora"), "whole")
    with pytest.raises(Crash):
        bench.run(bench.spec("lora"), f"crash-{at}", Recorder(crash_at=at))
    bench.run(bench.spec("lora"), f"crash-{at}")
    assert digest(bench, f"crash-{at}") == digest(bench, "whole")
    assert curve(bench, f"crash-{at}") == curve(bench, "whole")


def test_other_phases_may_follow_and_go_before(bench):
    """Adapters become part of the network when their phase ends, across stops too."""
    phases = (Fit(), Train("lora", 0.5, "lora"), Train("all", 0.5, "second_stage"))
    own = Strategy("mine", "Mine", "Mine", "", "pretrained", phases, "#4E9A8F")
    spec = bench.spec("lora").model_copy(update={"strategy": "mine", "own_strategy": own})
    whole = bench.run(spec, "mine-whole")
    assert in_pieces(bench, spec, "mine-pieces", 2) > 1
    assert digest(bench, "mine-pieces") == digest(bench, "mine-whole")
    assert whole.frozen_state_unchanged
    assert {p["phase"] for p in curve(bench, "mine-whole")} == {0, 1, 2}


@pytest.mark.parametrize(("model", "fits"), [("convnext_atto", False), *((name, True) for name in LINEAR_MODELS)])
def test_the_models_that_a_refusal_names_are_not_refused(model, fits):
    facts, data = model_facts(model), DataFacts(num_train=100, short_side=200)
    if fits:
        assert resolve(STRATEGIES["lora"], data, facts).phases
        return
    with pytest.raises(SpecError) as refused:
        resolve(STRATEGIES["lora"], data, facts)
    assert all(name in str(refused.value) for name in LINEAR_MODELS)
    assert "or ConvNeXt" not in str(refused.value)


def test_it_is_refused_where_it_makes_no_sense(bench):
    bench.model = "test_resnet"
    with pytest.raises(SpecError, match="choose a model whose blocks have linear layers, such as vit"):
        bench.run(bench.spec("lora"), "refused")
    bench.model = "test_vit"
