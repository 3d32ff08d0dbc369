"""What trains and what stays as it is, parameters and buffers both.

A frozen module runs in eval mode, so that its BatchNorm statistics stay and its dropout is off; `requires_grad=False`
alone would let the statistics drift.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

from tlcore.errors import SpecError
from tlcore.training.networks.models import Network

Normalization = Literal["train", "eval"]
_BATCH_NORM = nn.modules.batchnorm._BatchNorm


def trained_names(network: Network, trainable: str) -> frozenset[str]:
    """Names of the parameters that `trainable` lets train.

    trainable: `head`, `all`, `last:K` (the K layer groups nearest the head, and the head), `lora` (the adapters, where
    `adapters` has put them, and the head), or a regular expression searched in parameter names, which trains what it
    matches and nothing else. Raises: SpecError.
    """
    everything = [name for name, _ in network.module.named_parameters()]
    head = {name for name in everything if name.startswith(f"{network.head_name}.")}
    if trainable == "all":
        return frozenset(everything)
    if trainable == "head":
        return frozenset(head)
    if trainable == "lora":
        return frozenset(head | {name for name in everything if ".lora_" in name})
    if trainable.startswith("last:"):
        return frozenset(head.union(*_last_groups(network, trainable)))
    try:
        pattern = re.compile(trainable)
    except re.error as error:
        raise SpecError(f"trainable {trainable!r} is no valid regular expression: {error}") from error
    found = frozenset(name for name in everything if pattern.search(name))
    if not found:
        first = ", ".join(everything[:3])
        raise SpecError(f"trainable {trainable!r} matches no parameter of {network.facts.model}: names are {first}, …")
    return found


def has_linear_head(network: Network) -> bool:
    """Whether `head` trains the last linear layer alone, and no hidden layer before it."""
    return len(trained_names(network, "head")) == len(list(network.head.parameters()))


def apply_trainable(network: Network, trainable: str, normalization: Normalization) -> None:
    """Set which parameters get gradients, and every module's mode (see `set_modes`). Raises: SpecError."""
    chosen = trained_names(network, trainable)
    for name, parameter in network.module.named_parameters():
        parameter.requires_grad_(name in chosen)
        if name not in chosen:
            parameter.grad = None
    set_modes(network, normalization)


def set_modes(network: Network, normalization: Normalization) -> None:
    """Put what trains into train mode and all else into eval mode.

    normalization: `eval` keeps the statistics of every BatchNorm, also where its weights train. It goes by
    `requires_grad`, as `apply_trainable` left it.
    """
    flags = {parameter: parameter.requires_grad for parameter in network.module.parameters()}
    for module, trains in _modes(network.module, flags, normalization).items():
        module.training = trains


@contextmanager
def evaluating(network: Network) -> Iterator[None]:
    """Eval mode for all modules inside, and each one's own mode again after it."""
    modes = [(module, module.training) for module in network.module.modules()]
    network.module.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def learns_statistics(network: Network, chosen: frozenset[str]) -> bool:
    """Whether some BatchNorm would update its statistics where these parameters train and nothing keeps them."""
    flags = {parameter: name in chosen for name, parameter in network.module.named_parameters()}
    modes = _modes(network.module, flags, "train")
    return any(trains for module, trains in modes.items() if isinstance(module, _BATCH_NORM))


def frozen_fingerprint(network: Network, trainable: str, normalization: Normalization) -> tuple[int, str]:
    """Number and SHA-256 of the tensors that this phase must leave as they are; (0, hash of nothing) for `all`.

    A phase freezes when some parameter does not train. Then the hash covers those parameters and the buffers
    (statistics and their counters) of every module in eval mode, so also statistics that `normalization="eval"` keeps
    inside trained groups. `all` freezes no layer, whatever happens to the statistics.
    """
    chosen = trained_names(network, trainable)
    frozen: dict[str, torch.Tensor] = {n: p for n, p in network.module.named_parameters() if n not in chosen}
    if frozen:
        frozen |= _kept_buffers(network, chosen, normalization)
    digest = hashlib.sha256()
    for name in sorted(frozen):
        update_digest(digest, name, frozen[name])
    return len(frozen), digest.hexdigest()


def update_digest(digest: "hashlib._Hash", name: str, tensor: torch.Tensor) -> None:
    """Add one tensor to a fingerprint: its name, dtype, shape and exact bytes."""
    plain = tensor.detach().cpu().contiguous()
    digest.update(f"{name}|{plain.dtype}|{tuple(plain.shape)}|".encode())
    digest.update(plain.reshape(-1).view(torch.uint8).numpy().data if plain.numel() else b"")


def _last_groups(network: Network, trainable: str) -> list[set[str]]:
    """The K groups nearest the head; all that are left where the last feature map leaves some of the model's out."""
    count, kept = trainable.removeprefix("last:"), len(network.groups)
    limit = network.facts.num_groups if network.changes.layers == "last_conv" else kept
    if not count.isdigit() or not 1 <= int(count) <= limit:
        raise SpecError(
            f"trainable {trainable!r} cannot be used: {network.facts.model} has {kept} layer groups, "
            f"so K of last:K is 1 to {kept}"
        )
    return [set(group) for group in network.groups[-int(count) :]]


def _kept_buffers(network: Network, chosen: frozenset[str], normalization: Normalization) -> dict[str, torch.Tensor]:
    """Buffers of the modules that run in eval mode when the parameters `chosen` train."""
    flags = {parameter: name in chosen for name, parameter in network.module.named_parameters()}
    modes = _modes(network.module, flags, normalization)
    return {
        f"{path}.{name}".lstrip("."): buffer
        for path, module in network.module.named_modules()
        for name, buffer in module.named_buffers(recurse=False)
        if not modes[module]
    }


def _modes(root: nn.Module, flags: dict[nn.Parameter, bool], normalization: Normalization) -> dict[nn.Module, bool]:
    """True for every module that runs in train mode. flags: whether a parameter trains."""
    modes = {root: any(flags.values())}
    for parent in root.modules():
        children = list(parent.children())
        for place, child in enumerate(children):
            modes[child] = _mode(parent, child, children[place + 1 :] + children[:place][::-1], flags, modes[parent])
    if normalization == "eval":
        modes |= {module: False for module in modes if isinstance(module, _BATCH_NORM)}
    return modes


def _mode(
    parent: nn.Module, child: nn.Module, beside: list[nn.Module], flags: dict[nn.Parameter, bool], parent_mode: bool
) -> bool:
    """Whether a module trains: if something in it does. BatchNorm and other keepers of statistics need all of it.

    One without parameters goes with its parent if that has all of one kind, else with the next module beside it,
    as dropout stands before the layer that it regularises.
    """
    own = [flags[p] for p in child.parameters()]
    if own:
        return all(own) if isinstance(child, _BATCH_NORM) else any(own)
    if any(True for _ in child.buffers()):
        return all(flags[p] for p in parent.parameters()) and parent_mode
    for neighbour in beside:
        near = [flags[p] for p in neighbour.parameters()]
        if near:
            return any(near)
    return parent_mode
