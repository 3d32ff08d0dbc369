"""BatchNorms folded into convolutions: the same features, nothing changed, and only where it is right."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from tests.training_support import Bench, tiny_dataset
from tlcore.recipes import NetworkRecipe
from tlcore.training.device import Device
from tlcore.training.loop.checkpoints import fresh_state
from tlcore.training.loop.steps import make_ready, train_step
from tlcore.training.networks import folding
from tlcore.training.networks.folding import Folded, fold_all, fold_for_training, pairs
from tlcore.training.networks.forward import features
from tlcore.training.networks.freezing import apply_trainable, evaluating
from tlcore.training.networks.models import Network, build_network

HIGH = Device(torch.device("cpu"), "a test", torch.float32)
EXACT = Device(torch.device("cpu"), "a test", torch.float64)
LOW = Device(torch.device("cpu"), "a test", torch.bfloat16)
UNFOLDED = Folded()
MANY = 10_000  # images in a batch, so that feature maps outweigh weights
# model: BatchNorms that follow a convolution; all others have what their own code puts before them
PAIRS = {
    "test_resnet": 15, "resnet18": 20, "mobilenetv2_100": 52, "torchvision:shufflenet_v2_x0_5": 56,
    "tf_mobilenetv3_small_minimal_100": 34, "densenet121": 59, "resnetv2_50": 32, "repvgg_a0": 44,
    "convnext_atto": 0, "vit_tiny_patch16_224": 0,
}  # fmt: skip


def network_of(model: str, size: int | None = None) -> Network:
    """A network whose BatchNorms have statistics and weights of their own."""
    torch.manual_seed(0)
    return moved(build_network(model, 3, size))


def moved(network: Network) -> Network:
    """The same network after its BatchNorms have got statistics and weights of their own."""
    for layer in network.module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(layer.running_mean, -0.3, 0.3)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            if layer.affine:
                nn.init.uniform_(layer.bias, -0.3, 0.3)
                nn.init.uniform_(layer.weight, 0.5, 2)
    return network


def of(network: Network, device: Device = HIGH, folded: bool = False) -> torch.Tensor:
    """Features of two images."""
    images = torch.rand(2, 3, network.image_size, network.image_size, generator=torch.Generator().manual_seed(1))
    with evaluating(network), torch.inference_mode():
        if not folded:
            return features(network, device, images)
        with fold_all(network, device).applied():
            return features(network, device, images)


def distance(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize("model", PAIRS)
def test_features_are_the_same_and_every_pair_is_found(model):
    network = network_of(model)
    assert len(pairs(network)) == PAIRS[model]
    exact = of(network)
    assert distance(of(network, folded=True), exact) < 1e-4
    low = distance(of(network, LOW), exact)
    assert distance(of(network, LOW, folded=True), exact) < max(2 * low, 1e-2)


def test_the_network_is_as_it_was_after_it_also_after_an_error():
    network = network_of("test_resnet")
    before = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    names = [name for name, _ in network.module.named_parameters()]
    with pytest.raises(ZeroDivisionError), fold_all(network, HIGH).applied():
        raise ZeroDivisionError
    after = network.module.state_dict()
    assert list(after) == list(before)
    assert [name for name, _ in network.module.named_parameters()] == names
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any("forward" in vars(layer) for layer in network.module.modules())


def test_the_search_draws_nothing_and_moves_no_statistics():
    network = network_of("test_resnet")
    network.module.train()
    before = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    torch.manual_seed(3)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert pairs(network)
    assert torch.equal(torch.rand(1), drawn)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.module.state_dict().items())
    assert all(layer.training for layer in network.module.modules())


def test_weights_are_those_of_the_moment():
    network = network_of("test_resnet")
    of(network, folded=True)
    with torch.no_grad():
        for tensor in (*network.module.parameters(), *network.module.buffers()):
            if tensor.is_floating_point():
                tensor.mul_(1.5)
    assert distance(of(network, folded=True), of(network)) < 1e-5


def test_what_is_folded_while_it_trains_follows_from_what_trains_and_which_statistics_move():
    network = network_of("test_resnet")
    everything = {pair.norm for pair in pairs(network)}
    names = {layer: name for name, layer in network.module.named_modules()}
    last = {name.rpartition(".")[0] for name in network.groups[-1]}
    inside = {norm for norm in everything if names[norm] in last}
    assert set() < inside < everything
    for trainable, normalization, fixed, trained in (
        ("head", "eval", everything, set()),
        ("last:1", "eval", everything - inside, inside),
        ("last:1", "train", everything - inside, set()),
        ("all", "eval", set(), everything),
        ("all", "train", set(), set()),
    ):
        apply_trainable(network, trainable, normalization)
        folded = fold_for_training(network, HIGH, MANY)
        assert {pair.norm for pair, *_ in folded.fixed} == fixed
        assert {pair.norm for pair, _ in folded.trained} == trained


def test_what_trains_is_folded_where_feature_maps_outweigh_weights():
    """ResNet-18 at 64 px: its last four layers have 2.4 million weights each and maps of 2×2 pixels."""
    network = network_of("resnet18", 64)
    apply_trainable(network, "all", "eval")
    of_batch = {batch: {p.convolution for p, _ in fold_for_training(network, HIGH, batch).trained} for batch in (8, 32)}
    assert 0 < len(of_batch[8]) < len(of_batch[32]) < PAIRS["resnet18"]
    assert of_batch[8] < of_batch[32]
    assert network.module.conv1 in of_batch[8]
    assert network.module.layer4[1].conv2 not in of_batch[32]
    apply_trainable(network, "head", "eval")
    assert len(fold_for_training(network, HIGH, 1).fixed) == PAIRS["resnet18"]


def test_a_gpu_is_not_sent_the_kernels_of_folding_what_trains(monkeypatch):
    network = network_of("test_resnet")
    apply_trainable(network, "last:1", "eval")
    monkeypatch.setattr(Device, "accelerated", True)
    folded = fold_for_training(network, HIGH, MANY)
    assert folded.fixed
    assert not folded.trained


def test_weights_that_stay_are_kept_in_the_number_format_without_a_graph():
    for _, weight, bias in fold_all(network_of("test_resnet"), LOW).fixed:
        assert (weight.dtype, bias.dtype) == (torch.bfloat16, torch.bfloat16)
        assert not weight.requires_grad
        assert not bias.requires_grad


class Odd(nn.Module):
    """A pair, then a convolution and a BatchNorm with something in between, or beside, that folding would lose."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.pair = nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3))
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 3)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = self.pair(images)
        found = self.conv(images)
        if self.kind == "in place":
            found = self.relu(found)
        if self.kind == "dropout":
            found = self.drop(found)
        normed = self.norm(found)
        if self.kind == "beside":
            normed = normed + found
        if self.kind == "twice":
            normed = self.norm(self.conv(images * 2)) + normed
        return self.head(normed.mean((2, 3)))


# by kind of `Odd`, how many of its two pairs are found
ODD = {"plain": 2, "in place": 1, "twice": 1, "beside": 1, "dropout": 1, "parametrised": 1}


@pytest.mark.parametrize(("kind", "number"), ODD.items())
def test_nothing_is_folded_where_it_would_change_the_features(kind, number):
    torch.manual_seed(0)
    module = type(kind, (Odd,), {})(kind)
    if kind == "parametrised":
        weight_norm(module.conv)
    network = replace(build_network("test_resnet", 3, 32), module=module, head=module.head)
    assert len(pairs(network)) == number
    nn.init.uniform_(module.norm.running_mean, -1, 1)
    assert distance(of(network, folded=True), of(network)) < 1e-5


@pytest.mark.parametrize("model", ["test_coatnet", "torchvision:maxvit_t"])
def test_pairs_of_an_untrained_network_are_right_when_its_statistics_have_moved(model):
    """The first convolutions of CoAtNet and MaxViT also feed the shortcut beside their BatchNorm."""
    torch.manual_seed(0)
    network = build_network(model, 3)
    assert pairs(network)
    moved(network)
    assert distance(of(network, folded=True), of(network)) < 1e-4


def test_what_is_put_around_a_convolution_later_is_seen():
    network = network_of("test_resnet")
    pair = pairs(network)[0]
    parent = next(m for m in network.module.modules() if pair.convolution in m.children())
    name = next(n for n, child in parent.named_children() if child is pair.convolution)
    setattr(parent, name, nn.Sequential(pair.convolution, nn.Tanh()))
    assert pair not in pairs(network)
    assert distance(of(network, folded=True), of(network)) < 1e-5


def test_a_second_network_of_the_kind_is_not_searched_and_another_one_is(monkeypatch):
    monkeypatch.setattr(folding, "_found", {})
    first, second = network_of("test_resnet"), moved(build_network("test_resnet", 7))
    expected = [pair.norm for pair in pairs(first)]
    monkeypatch.setattr(folding, "_find", lambda network: pytest.fail("it was searched"))
    found = [pair.norm for pair in pairs(second)]
    paths = [{layer: name for name, layer in n.module.named_modules()} for n in (first, second)]
    assert [paths[1][norm] for norm in found] == [paths[0][norm] for norm in expected]
    assert distance(of(second, folded=True), of(second)) < 1e-4
    others = [build_network("test_resnet", 3, 48), build_network("test_resnet", 3, None, NetworkRecipe(grayscale=True))]
    monkeypatch.setattr(folding, "_find", lambda network: ())
    assert [pairs(other) for other in others] == [(), ()]


def test_a_network_whose_numbers_overflow_tells_nothing_of_others(monkeypatch):
    monkeypatch.setattr(folding, "_found", {})
    broken = network_of("test_resnet")
    with torch.no_grad():
        for parameter in broken.module.parameters():
            parameter.mul_(1e9)
    assert pairs(broken) == ()
    assert len(pairs(network_of("test_resnet"))) == PAIRS["test_resnet"]


# what trains of test_resnet: layers below folded ones; all; one group above them; of each pair one part alone
@pytest.mark.parametrize("trainable", ["conv1|stem", "all", "last:1", r"conv\d*\.weight", r"bn\d*\."])
def test_gradients_of_a_folded_network_are_those_of_the_network(trainable):
    network = network_of("test_resnet")
    apply_trainable(network, trainable, "eval")
    folded, distances = folded_gradients(network)
    assert len(folded.fixed) + len(folded.trained) == PAIRS["test_resnet"]
    assert max(distances) < 1e-5


@pytest.mark.parametrize("model", [model for model, number in PAIRS.items() if number])
def test_gradients_of_every_kind_of_network_are_the_same(model):
    network = network_of(model)
    apply_trainable(network, "all", "eval")
    folded, distances = folded_gradients(network)
    assert len(folded.trained) == PAIRS[model]
    assert max(distances) < 1e-5


@pytest.mark.parametrize("affine", [True, False])
def test_gradients_of_a_convolution_with_biases_are_the_same(affine):
    module = type(f"biased {affine}", (Odd,), {})("plain")
    module.norm = nn.BatchNorm2d(8, affine=affine)
    network = moved(replace(build_network("test_resnet", 3, 32), module=module, head=module.head))
    apply_trainable(network, "all", "eval")
    assert all(pair.convolution.bias is not None for pair in pairs(network))
    folded, distances = folded_gradients(network)
    assert len(folded.trained) == ODD["plain"]
    assert max(distances) < 1e-5


def test_in_bf16_gradients_are_as_exact_as_those_of_the_network():
    network = network_of("test_resnet")
    apply_trainable(network, "all", "eval")
    exact = gradients(network, HIGH)
    plain, folded = (
        [distance(found, wanted) for found, wanted in zip(gradients(network, LOW, given), exact, strict=True)]
        for given in (UNFOLDED, fold_for_training(network, LOW, MANY))
    )
    assert median(folded) < 1.5 * median(plain)


def test_trained_weights_are_those_of_the_moment_and_a_frozen_one_does_not_move():
    """Three steps of gradient descent, folded and not, lead to the same network."""
    found = []
    for is_folded in (False, True):
        network = network_of("test_resnet")
        apply_trainable(network, "last:1", "eval")
        folded = fold_for_training(network, HIGH, MANY) if is_folded else UNFOLDED
        for _ in range(3):
            for parameter, gradient in zip(trained(network), gradients(network, HIGH, folded), strict=True):
                with torch.no_grad():
                    parameter.sub_(gradient, alpha=1e-3)
        found.append(network.module.state_dict())
    start = network_of("test_resnet").module.state_dict()
    moved_ones = [name for name in start if not torch.equal(found[1][name], start[name])]
    assert moved_ones
    assert moved_ones == [name for name in start if not torch.equal(found[0][name], start[name])]
    for name in moved_ones:
        assert distance(found[1][name] - start[name], found[0][name] - start[name]) < 1e-3, name


def test_a_training_step_leaves_out_what_is_folded(tmp_path):
    """Fine-tuning keeps statistics, and computes no BatchNorm of its pairs."""
    bench = Bench(tmp_path, tiny_dataset(tmp_path, classes=3, per_class=20))
    task = bench.task(bench.spec("fine_tuning"))
    lesson, state = make_ready(task, task.recipe.phases[-1]), fresh_state(task.source.device.device)
    folded = {pair.norm.running_mean.data_ptr() for pair, _ in lesson.loss.folded.trained}
    assert folded
    with computed_norms() as seen:
        train_step(task, state, lesson)
    assert seen == norms_of(task.network) - folded


@contextmanager
def computed_norms() -> Iterator[set[int]]:
    """The BatchNorms that are computed inside, by where their means lie."""
    seen, real = set(), nn.functional.batch_norm

    def watched(images: torch.Tensor, mean: torch.Tensor, *given, **named) -> torch.Tensor:
        seen.add(mean.data_ptr())
        return real(images, mean, *given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.functional, "batch_norm", watched)
        yield seen


def norms_of(network: Network) -> set[int]:
    """All BatchNorms, likewise."""
    layers = [layer for layer in network.module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    return {layer.running_mean.data_ptr() for layer in layers}


def trained(network: Network) -> list[nn.Parameter]:
    """What trains below the head."""
    head = set(network.head.parameters())
    return [p for p in network.module.parameters() if p.requires_grad and p not in head]


def gradients(network: Network, device: Device, folded: Folded = UNFOLDED) -> list[torch.Tensor]:
    """Of a loss of features of two images, by what trains below the head. Whatever is folded is not computed."""
    images = torch.rand(2, 3, network.image_size, network.image_size, generator=torch.Generator().manual_seed(1))
    with folded.applied(), computed_norms() as seen:
        loss = features(network, device, images.to(next(network.module.parameters()).dtype)).square().mean()
    assert len(seen) == len(norms_of(network)) - len(folded.fixed) - len(folded.trained)
    return list(torch.autograd.grad(loss, trained(network)))


def folded_gradients(network: Network) -> tuple[Folded, list[float]]:
    """What is folded, and how far each gradient then is from that of the network as it is, which becomes float64.

    In float32 both are as far from it as from each other where networks are random.
    """
    pairs(network)  # looked for in float32
    network.module.double()
    folded = fold_for_training(network, EXACT, MANY)
    found = zip(gradients(network, EXACT), gradients(network, EXACT, folded), strict=True)
    return folded, [distance(fast, plain) for plain, fast in found]
