"""Layer groups of a backbone, from its input to its head: what `last:K`, `cut_at` and `layers` count.

A group is what the library's authors would call one part of the network. With timm it is what its `group_matcher`
says: the stem, then the stages of a CNN (`layer1` … `layer4` of a ResNet, `blocks.0` … `blocks.6` of a MobileNetV2,
each convolution of a VGG) or the blocks of a transformer. torchvision has no such rule: there it is each named part
(`layer1` … `layer4` of a ResNet), and where these parts are lists of layers (`features`, `encoder.layers`,
`classifier`, …), each layer of the list (the inverted residuals of a MobileNetV2, the convolutions of a VGG, the
blocks of a ViT). What has no part of its own (class token, position embedding) belongs to the first group, and a part
of norms and biases only to the group below it. The head is in no group. "The last k" are the k groups nearest the head.
"""

from collections import Counter

from torch import nn

# Containers of torchvision's classifiers whose children are groups of their own (its networks have no group_matcher).
_OPEN = frozenset(
    {"features", "layers", "blocks", "encoder", "encoder.layers", "stages", "trunk_output", "classifier", "heads"}
)


def layer_groups(module: nn.Module, head_name: str) -> tuple[tuple[str, ...], ...]:
    """Parameter names by group, bottom to top, the head excluded; every other parameter is in exactly one group."""
    names = [n for n, _ in module.named_parameters() if not n.startswith(f"{head_name}.")]
    key_of = _timm_groups(module) or {n: _part(module, n) for n in names}
    found: dict[int | str, list[str]] = {}
    for name in names:
        found.setdefault(key_of[name], []).append(name)
    ordered = [found[k] for k in sorted(found)] if isinstance(next(iter(found)), int) else list(found.values())
    return _merged(module, ordered)


def group_name(module: nn.Module, group: tuple[str, ...]) -> str:
    """What the library calls a group: its largest module that has no parameter of another group (`layer3`, `stem`)."""
    sizes = {name: parameter.numel() for name, parameter in module.named_parameters()}
    inside = list(group)
    path = ""
    while True:
        weight: Counter[str] = Counter()
        for name in inside:
            weight[".".join(name.split(".")[: path.count(".") + 2 if path else 1])] += sizes[name]
        path = weight.most_common(1)[0][0]
        inside = [name for name in group if name == path or name.startswith(f"{path}.")]
        if path in sizes or len(inside) == sum(name.startswith(f"{path}.") for name in sizes):
            return path


def linear_layers(module: nn.Module, head_name: str) -> dict[str, nn.Linear]:
    """The linear layers of the backbone's blocks, by path: not the head, nor what stands beside it in a classifier."""
    classifier = f"{head_name.rpartition('.')[0]}." if "." in head_name else f"{head_name}."
    found = {path: layer for path, layer in module.named_modules() if isinstance(layer, nn.Linear)}
    return {path: layer for path, layer in found.items() if not f"{path}.".startswith((classifier, f"{head_name}."))}


def linear_share(module: nn.Module, head_name: str) -> float:
    """The part of the backbone's parameters that linear layers and attention hold, 0…1."""
    total = sum(p.numel() for n, p in module.named_parameters() if not n.startswith(f"{head_name}."))
    linear = sum(p.numel() for layer in linear_layers(module, head_name).values() for p in layer.parameters())
    attention = [child for child in module.modules() if isinstance(child, nn.MultiheadAttention)]
    inside = sum(p.numel() for child in attention for p in (child.in_proj_weight, child.in_proj_bias) if p is not None)
    return (linear + inside) / total


def _timm_groups(module: nn.Module) -> dict[str, int | str] | None:
    matcher = getattr(module, "group_matcher", None)
    if matcher is None:
        return None
    from timm.models import group_parameters

    try:
        return dict(group_parameters(module, matcher(coarse=True), reverse=True))
    except AssertionError:  # a few families have only the fine grouping, and assert so
        return dict(group_parameters(module, matcher(coarse=False), reverse=True))


def _part(module: nn.Module, name: str) -> str:
    """The part of a torchvision network that a parameter belongs to; loose tensors belong to the bottom."""
    owner = name.rpartition(".")[0]
    path = ""
    for step in owner.split(".") if owner else ():
        path = f"{path}.{step}".lstrip(".")
        if path not in _OPEN:
            return path
    return next(n for n, child in module.named_children() if any(True for _ in child.parameters()))


def _merged(module: nn.Module, groups: list[list[str]]) -> tuple[tuple[str, ...], ...]:
    shapes = {name: parameter.dim() for name, parameter in module.named_parameters()}
    merged: list[list[str]] = []
    for group in groups:
        if merged and all(shapes[name] < 2 for name in group):
            merged[-1].extend(group)
        else:
            merged.append(list(group))
    return tuple(tuple(group) for group in merged)
