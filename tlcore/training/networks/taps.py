"""Where layer groups end in a network's forward pass, and what a network does not need that ends there.

A layer group ends where the next one begins: at what the first module of the next group receives, activation and
downsampling in between included. The last one ends at what the library's own classifier receives.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tlcore.errors import ModelError

Groups = tuple[tuple[str, ...], ...]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Event:
    """A module begins (`input`) or ends (`output`), with the shape of the tensor that it receives or returns."""

    path: str
    side: str
    shape: Shape | None


@dataclass(frozen=True)
class Tap:
    """What of the forward pass goes to the head: see `rewiring`. at: the number of its event. width: features."""

    module: str
    side: str
    pool: str
    width: int
    at: int

    def as_dict(self) -> dict[str, str]:
        """As a plan of `rewiring` holds it."""
        return {"module": self.module, "side": self.side, "pool": self.pool}


def trace(module: nn.Module, size: int) -> tuple[Event, ...]:
    """Every module that one image of size × size passes through, in order; the network stays as it was.

    Raises: ModelError where such an image cannot pass.
    """
    events: list[Event] = []
    device = next(module.parameters()).device
    with _watched(module, events), torch.no_grad():
        try:
            module(torch.zeros(1, 3, size, size, device=device))
        except (RuntimeError, NotImplementedError, TypeError, ValueError, IndexError, AssertionError) as error:
            raise ModelError(
                f"the layers of this {type(module).__name__} cannot be told apart: {error}: leave cut_at and layers out"
            ) from error
    return tuple(events)


def group_tap(module: nn.Module, events: tuple[Event, ...], groups: Groups, number: int, head_name: str) -> Tap:
    """The end of layer group `number`, counted from 1 at the input. Raises: ModelError."""
    if number == len(groups):
        at = next(i for i, e in enumerate(events) if e.path == head_name and e.side == "input")
        return _tap(module, events, at)
    owned = _owned(module, frozenset(groups[number]))
    starts = [i for i, e in enumerate(events) if e.side == "input" and e.path in owned and e.shape is not None]
    if not starts:
        raise ModelError(f"layer group {number} has no one end, so it cannot be cut there: choose another group")
    at = starts[0]
    if len(events[at].shape or ()) == 2:  # perhaps flattened on the way, as VGG's feature map: the map is wanted
        mine = _owned(module, frozenset(groups[number - 1]))
        done = max(i for i, e in enumerate(events[:at]) if e.side == "output" and e.path in mine)
        at = next((i for i in range(at - 1, done - 1, -1) if _is_map(events[i])), at)
    return _tap(module, events, at)


def last_map_tap(module: nn.Module, events: tuple[Event, ...]) -> Tap:
    """The last feature map that a module returns, or a transformer's last tokens. Raises: ModelError."""
    runs = Counter(e.path for e in events if e.side == "output")  # one ReLU may serve many layers
    at = next((i for i in range(len(events) - 1, -1, -1) if _is_map(events[i]) and runs[events[i].path] == 1), None)
    if at is None:
        raise ModelError("this network has no feature map: leave layers out")
    return _tap(module, events, at)


def unneeded(module: nn.Module, events: tuple[Event, ...], taps: list[Tap]) -> list[str]:
    """Paths of the outermost modules with parameters that no tap needs: those not begun when the last is reached."""
    last = max(tap.at for tap in taps)
    before = events[: last + (events[last].side == "output")]
    begun = {e.path for e in before if e.side == "input"}
    ended = {e.path for e in before if e.side == "output"}
    begun |= {".".join(t.module.split(".")[:i]) for t in taps for i in range(1, t.module.count(".") + 1)}
    parents = {".".join(path.split(".")[:i]) for path in begun for i in range(1, path.count(".") + 2)}
    return list(_never_begun(module, "", parents, ended))


def _never_begun(module: nn.Module, path: str, begun: set[str], ended: set[str]) -> Iterator[str]:
    for name, child in module.named_children():
        place = f"{path}.{name}".lstrip(".")
        if place in begun:
            if place not in ended:
                yield from _never_begun(child, place, begun, ended)
        elif any(True for _ in child.parameters()):
            yield place


def _tap(module: nn.Module, events: tuple[Event, ...], at: int) -> Tap:
    shape = events[at].shape or ()
    pool, width = _pooling(module, shape, events[at].path)
    return Tap(events[at].path, events[at].side, pool, width, at)


def _pooling(module: Any, shape: Shape, path: str) -> tuple[str, int]:
    """How this output becomes one vector: over space, or as the network pools its tokens."""
    if len(shape) == 2:
        return "flat", shape[1]
    if len(shape) == 4:
        last = shape[1] == shape[2] != shape[3]
        return ("map_last", shape[3]) if last else ("map", shape[1])
    if len(shape) != 3:
        raise ModelError(f"what {path} gives has the shape {list(shape)}, which cannot be pooled: choose another layer")
    by_token = getattr(module, "global_pool", None) == "token" or hasattr(module, "class_token")
    first = int(getattr(module, "num_prefix_tokens", 1 if by_token else 0))
    if math.isqrt(shape[1]) ** 2 == shape[1]:  # patches only: the class token joins later
        return "tokens:0", shape[2]
    return ("token" if by_token else f"tokens:{first}"), shape[2]


def _is_map(event: Event) -> bool:
    shape = event.shape or ()
    if event.side != "output":
        return False
    if len(shape) == 4:  # H×W of [N,C,H,W] or of [N,H,W,C], which is more than one place
        return min(shape[1:]) > 1
    return len(shape) == 3 and shape[1] > 1


def _owned(module: nn.Module, names: frozenset[str]) -> set[str]:
    """Modules all of whose parameters are among these."""
    found = set()
    for path, child in module.named_modules():
        own = [f"{path}.{name}" for name, _ in child.named_parameters()]
        if path and own and names.issuperset(own):
            found.add(path)
    return found


@contextmanager
def _watched(module: nn.Module, events: list[Event]) -> Iterator[None]:
    """Inside, every module notes its beginning and its end; all run in eval mode."""

    def note(path: str, side: str, tensor: object) -> None:
        events.append(Event(path, side, tuple(tensor.shape) if isinstance(tensor, Tensor) else None))

    def begins(path: str, _: nn.Module, inputs: tuple[object, ...]) -> None:
        note(path, "input", inputs[0] if inputs else None)

    def ends(path: str, _: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        note(path, "output", output)

    modes = [(child, child.training) for child in module.modules()]
    children = [(path, child) for path, child in module.named_modules() if path]
    handles = [child.register_forward_pre_hook(partial(begins, path)) for path, child in children]
    handles += [child.register_forward_hook(partial(ends, path)) for path, child in children]
    module.eval()
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for child, training in modes:
            child.training = training
