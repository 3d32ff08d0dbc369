"""Convolutions that do the work of the BatchNorm after them, where its statistics stay.

In eval mode BatchNorm multiplies each channel by s = γ / √(σ² + ε) and adds β − μ·s (Ioffe & Szegedy 2015). The
convolution before it does the same with the weights W·s and the bias β + (b − μ)·s, so that no feature map is read and
written again: the folding of Jacob et al. 2018, "Quantization and Training of Neural Networks", section 3.2. Where
W, γ or β train, W·s and the bias are computed in every pass, and their gradients lead to those of W, γ and β: on a CPU,
and where feature maps are larger than weights.
Network, parameters and state_dict stay as they are; only what happens inside `Folded.applied` goes another way.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers import BatchNormAct2d, Conv2dSame
from torch import Tensor, nn

from tlcore.training.device import Device
from tlcore.training.networks import models
from tlcore.training.networks.freezing import evaluating
from tlcore.training.networks.models import Network

# Relative difference of features in float32 above which what was found is no folding. A GPU's TF32 has 10 bits of
# mantissa, so that deep networks differ by some 1e-3; a lost branch or activation differs by far more.
TOLERANCE = 1e-2
_CONVOLUTIONS = (nn.Conv2d.forward, Conv2dSame.forward)
_NORMS = (nn.BatchNorm2d.forward, BatchNormAct2d.forward)
# A trained pair is folded where a batch's feature map holds more than so many times the numbers of its weights.
# Folding reads and writes the weights some five times in a step, and spares as many passes over the map. ResNets and
# MobileNetV2 at 64 to 224 px, in batches of 8 to 32 and both number formats, were then as fast as without, or faster.
_LEAST_MAP = 2
# By how much at most the search for pairs changes a BatchNorm's tensors: it adds so much, and multiplies by 1 and so
# much. Enough that a lost branch shows, little enough that activations keep their size.
_CHANGES = {"running_mean": (0.3, 0.0), "running_var": (0.0, 0.3), "weight": (0.2, 0.3), "bias": (0.3, 0.0)}


@dataclass(frozen=True)
class Pair:
    """A convolution whose output this BatchNorm receives, and nothing else does.

    values: how many numbers that output holds for each image.
    """

    convolution: nn.Conv2d
    norm: nn.BatchNorm2d
    values: int

    @property
    def trains(self) -> bool:
        """Whether weights of one or both train."""
        return any(p.requires_grad for part in (self.convolution, self.norm) for p in part.parameters())


@dataclass(frozen=True)
class Folded:
    """Pairs whose convolutions do the work of both.

    fixed: with weights [out, in, h, w] and biases [out] as they were at its making. trained: with 1 / √(σ² + ε) [out]
    as it was then; weights and biases are made of it wherever it is applied.
    """

    fixed: tuple[tuple[Pair, Tensor, Tensor], ...] = ()
    trained: tuple[tuple[Pair, Tensor], ...] = ()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside it, forward passes use these weights and leave the BatchNorms out. It is not entered within itself.

        Where some train, it is entered anew for each pass: a second backward pass would find the first one's graph
        freed, and what an optimiser changed would not be seen.
        """
        with ExitStack() as undo:
            computed = ((pair, *_weights(pair, inverse)) for pair, inverse in self.trained)
            for pair, weight, bias in (*self.fixed, *computed):
                own: dict[str, Any] = pair.convolution._parameters
                undo.callback(own.update, dict(own))
                own.update(weight=weight, bias=bias)
                undo.callback(delattr, pair.norm, "forward")
                pair.norm.forward = _activation(pair.norm)  # type: ignore[method-assign]
            yield


def fold_all(network: Network, device: Device) -> Folded:
    """Of all pairs, for passes in eval mode without autograd, with the weights as they are now."""
    return _fixed(pairs(network), device)


def fold_for_training(network: Network, device: Device, batch_size: int) -> Folded:
    """Of the pairs whose statistics stay as training is set now; of those that train, where it makes steps faster.

    A GPU would be sent twice as many kernels for the latter.
    """
    if all(norm.training for norm in network.module.modules() if type(norm).forward in _NORMS):
        return Folded()  # without the search
    still = [pair for pair in pairs(network) if not pair.norm.training]
    fixed = _fixed((pair for pair in still if not pair.trains), device).fixed
    trained = [p for p in still if p.trains and batch_size * p.values > _LEAST_MAP * p.convolution.weight.numel()]
    return Folded(fixed, () if device.accelerated else tuple((p, _inverse_deviation(p.norm)) for p in trained))


def pairs(network: Network) -> tuple[Pair, ...]:
    """Every pair of a network, found by what passes through it; none where they do not give the same features.

    Looked for once in each process: networks of one name, one input size, the same changes and the same layers are
    wired alike, whatever their weights.
    """
    layers = dict(network.module.named_modules())
    kinds = tuple((name, type(layer)) for name, layer in layers.items())
    wiring = (network.facts.model, network.image_size, network.changes, kinds)
    if wiring not in _found:
        found, names = _find(network), {layer: name for name, layer in layers.items()}
        if found is None:
            return ()
        _found[wiring] = tuple((names[pair.convolution], names[pair.norm], pair.values) for pair in found)
    return tuple(Pair(layers[conv], layers[norm], values) for conv, norm, values in _found[wiring])  # type: ignore[arg-type]


_found: dict[Hashable, tuple[tuple[str, str, int], ...]] = {}  # by wiring, each pair with its layers' names


def _find(network: Network) -> tuple[Pair, ...] | None:
    """Look for pairs in one pass of random images in float32, and try them in another; None if they tell nothing.

    Both with statistics drawn at random: those of an untrained network change nothing, so that nothing lost would show.
    """
    if not any(type(layer).forward in _NORMS for layer in network.module.modules()):
        return ()
    device = next(network.module.parameters()).device
    generator = torch.Generator().manual_seed(0)
    with evaluating(network), torch.inference_mode(False), _disturbed(network.module, generator):
        images = torch.randn(2, 3, network.image_size, network.image_size, generator=generator).to(device)
        with torch.enable_grad(), _watched(network.module) as (outputs, seen):
            plain = models.features(network, images.requires_grad_().clone())
        if not plain.isfinite().all():
            return None
        found = _exclusive(plain, outputs, seen)
        with torch.no_grad(), _fixed(found, Device(device, "", torch.float32)).applied():
            folded = models.features(network, images)
    same = (folded - plain.detach()).norm() <= TOLERANCE * plain.detach().norm()
    return found if same else ()


@contextmanager
def _disturbed(module: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """Inside it, every BatchNorm has somewhat other statistics and weights than its own."""

    def drawn(tensor: Tensor, added: float, multiplied: float) -> Tensor:
        plus, times = (2 * torch.rand(2, *tensor.shape, generator=generator) - 1).to(tensor.device).unbind()
        return tensor.detach().mul(1 + multiplied * times).add(added * plus)

    with ExitStack() as undo:
        for norm in module.modules():
            if type(norm).forward in _NORMS:
                for own in (norm._buffers, norm._parameters):
                    tensors: dict[str, Any] = own  # type: ignore[assignment]
                    undo.callback(tensors.update, dict(tensors))
                    known = {name: tensors[name] for name in _CHANGES if tensors.get(name) is not None}
                    tensors.update({name: drawn(tensor, *_CHANGES[name]) for name, tensor in known.items()})
        yield


def _exclusive(plain: Tensor, outputs: Mapping[nn.Module, Tensor], seen: Iterable[Pair]) -> tuple[Pair, ...]:
    """The pairs whose convolution gives its output to one operation alone, as the graph of the features tells.

    outputs: of each convolution, with the graph that led to it.
    """
    readers: Counter[Any] = Counter()
    waiting, known = [plain.grad_fn], {plain.grad_fn}
    while waiting:
        for reader, _ in getattr(waiting.pop(), "next_functions", ()):
            readers[reader] += 1
            if reader is not None and reader not in known:
                known.add(reader)
                waiting.append(reader)
    return tuple(pair for pair in seen if readers[outputs[pair.convolution].grad_fn] == 1)


@contextmanager
def _watched(module: nn.Module) -> Iterator[tuple[dict[nn.Module, Tensor], list[Pair]]]:
    """The outputs of all convolutions, and a list that holds, when it ends, the pairs whose two parts were each used
    once, one right after the other."""
    outputs: dict[int, tuple[nn.Conv2d, Tensor, int]] = {}  # by the output's id, its own as long as it is held
    of_layer: dict[nn.Module, Tensor] = {}
    calls: Counter[nn.Module] = Counter()
    found: list[Pair] = []

    def after(layer: nn.Module, _: Any, output: Tensor) -> None:
        calls[layer] += 1
        outputs[id(output)] = (layer, output, output._version)  # type: ignore[assignment]
        of_layer[layer] = output

    def before(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls[layer] += 1
        convolution, output, version = outputs.get(id(inputs[0]), (None, inputs[0], -1))
        if convolution is not None and output._version == version:  # else something in place came in between
            found.append(Pair(convolution, layer, output[0].numel()))  # type: ignore[arg-type]

    def between(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        for value in inputs:  # as dropout gives in eval mode what it got, and in train mode something else
            outputs.pop(id(value), None)

    with ExitStack() as hooks:
        for layer in module.modules():
            if type(layer).forward in _CONVOLUTIONS and "weight" in layer._parameters:  # not made of other parameters
                hooks.callback(layer.register_forward_hook(after).remove)
            elif type(layer).forward in _NORMS and getattr(layer, "running_var", None) is not None:
                hooks.callback(layer.register_forward_pre_hook(before).remove)
            elif not list(layer.children()) and type(layer) is not nn.Identity:
                hooks.callback(layer.register_forward_pre_hook(between).remove)
        yield of_layer, found
    receivers = Counter(pair.convolution for pair in found)
    found[:] = [p for p in found if calls[p.convolution] == calls[p.norm] == receivers[p.convolution] == 1]


@torch.no_grad()
def _fixed(chosen: Iterable[Pair], device: Device) -> Folded:
    """In the number format that the device computes in."""
    made = ((pair, *_weights(pair, _inverse_deviation(pair.norm))) for pair in chosen)
    return Folded(tuple((pair, weight.to(device.dtype), bias.to(device.dtype)) for pair, weight, bias in made))


def _inverse_deviation(norm: nn.BatchNorm2d) -> Tensor:
    """1 / √(σ² + ε) of each channel [out]."""
    assert norm.running_var is not None
    return (norm.running_var + norm.eps).rsqrt()


def _weights(pair: Pair, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """What the convolution computes with instead of its own: weights [out, in, h, w] and biases [out]."""
    convolution, norm = pair.convolution, pair.norm
    assert norm.running_mean is not None
    scale = inverse if norm.weight is None else inverse * norm.weight
    offset = norm.running_mean if convolution.bias is None else norm.running_mean - convolution.bias
    bias = -offset * scale if norm.bias is None else torch.addcmul(norm.bias, offset, scale, value=-1)
    return convolution.weight * scale[:, None, None, None], bias


def _activation(norm: nn.BatchNorm2d) -> Any:
    """What is left of a folded BatchNorm: timm's has the activation inside."""
    if isinstance(norm, BatchNormAct2d):
        return lambda images: norm.act(norm.drop(images))
    return lambda images: images
