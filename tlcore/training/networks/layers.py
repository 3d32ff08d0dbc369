"""Which layers of an architecture a changed network keeps, found in an empty one at its own image size."""

from functools import lru_cache
from typing import Any

from torch import nn

from tlcore.errors import ModelError
from tlcore.recipes import ModelFacts, NetworkRecipe
from tlcore.training.networks.construction import construct, own_arguments, without_memory
from tlcore.training.networks.grayscale import gray_plan
from tlcore.training.networks.groups import layer_groups
from tlcore.training.networks.taps import Event, Tap, group_tap, last_map_tap, trace, unneeded

NEW_HEAD = "new_head"  # the head of a network whose own classifier is not reached


def plan_changes(facts: ModelFacts, changes: NetworkRecipe, head_name: str) -> dict[str, Any]:
    """The changes to a network as `rewiring` wants them, {} for none. Raises: ModelError.

    head_name: of the library's own head.
    """
    plan: dict[str, Any] = {"gray": gray_plan(facts.preprocessing)} if changes.grayscale else {}
    head = {"hidden_units": changes.hidden_units, "dropout": changes.head_dropout}
    layers = changes.layers if changes.cut_at is None else str(changes.cut_at)
    if layers != "penultimate":
        taps, dropped = _taps(facts.model, facts.preprocessing.size, layers)
        width = sum(tap.width for tap in taps)
        taps_as_data = [tap.as_dict() for tap in taps]
        plan |= {"taps": taps_as_data, "dropped": dropped, "head": {"name": NEW_HEAD, "inputs": width, **head}}
    elif any(head.values()):
        plan["head"] = {"name": head_name, "inputs": facts.num_features, **head}
    return plan


@lru_cache(maxsize=64)
def _taps(name: str, size: int, layers: str) -> tuple[tuple[Tap, ...], tuple[str, ...]]:
    """What goes to the head, in the order asked, and what nothing needs then."""
    module, head_name, events = _traced(name, size)
    groups = layer_groups(module, head_name)
    if layers == "last_conv":
        taps = [last_map_tap(module, events)]
    else:
        numbers = [int(part) for part in layers.split("+")]
        wrong = [number for number in numbers if not 1 <= number <= len(groups)]
        if wrong:
            raise ModelError(f"layer group {wrong[0]} does not exist: {name} has {len(groups)}")
        taps = [group_tap(module, events, groups, number, head_name) for number in numbers]
    return tuple(taps), tuple(unneeded(module, events, taps))


@lru_cache(maxsize=16)
def _traced(name: str, size: int) -> tuple[nn.Module, str, tuple[Event, ...]]:
    """An empty network at its own image size, its head's name, and what an image passes through."""
    with without_memory(name):
        module, _, head_name, _ = construct(name, 2, own_arguments(name))
        return module, head_name, trace(module, size)


def passed_modules(facts: ModelFacts) -> frozenset[str]:
    """Paths of the modules that the architecture calls when an image passes through it. Raises: ModelError."""
    return frozenset(event.path for event in _traced(facts.model, facts.preprocessing.size)[2])
