"""Layer groups of a backbone, from its input to its head: what `last:K` counts."""

import re

from torch import nn

# Containers of torchvision's classifiers whose children are groups of their own (its networks have no group_matcher).
_OPEN = frozenset(
    {"features", "layers", "blocks", "encoder", "encoder.layers", "stages", "trunk_output", "classifier", "heads"}
)


def layer_groups(module: nn.Module, head_name: str) -> tuple[tuple[str, ...], ...]:
    """Parameter names by group, bottom to top, the head excluded; every other parameter is in exactly one group.

    timm's own grouping (stages of a CNN, blocks of a transformer) where it has one, else the network's parts. A group
    of norms and biases only joins the one below it.
    """
    names = [n for n, _ in module.named_parameters() if not n.startswith(f"{head_name}.")]
    key_of = _timm_groups(module) or {n: _part(module, n) for n in names}
    found: dict[int | str, list[str]] = {}
    for name in names:
        found.setdefault(key_of[name], []).append(name)
    ordered = [found[k] for k in sorted(found)] if isinstance(next(iter(found)), int) else list(found.values())
    return _merged(module, ordered)


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
    owner = re.sub(r"\.?[^.]+$", "", name)
    path = ""
    for step in owner.split("."):
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
