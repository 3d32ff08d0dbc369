"""A library's network with another head, fewer layers or one input channel, made from plain data.

A model folder holds a copy of this file as network.py, so it needs torch and nothing else. The plan is the `rewiring`
of model.json, with these keys, each of which may be missing or empty:

gray: weights of the three channels, and a bias: the one channel that the first layer gets of normalised RGB.
taps: what goes to the head: module (a path), side (whether what it receives or what it returns), and pool.
dropped: paths of modules that nothing needs any more, which become nn.Identity.
head: name, inputs, hidden_units and dropout.

The names of the library's own tensors stay as they are.
"""

from typing import Any

import torch
from torch import Tensor, nn


class _EnoughError(Exception):
    """All taps have been reached: the rest of the forward pass is not needed."""


class Forward:
    """What replaces the forward pass of a rewired network."""

    def __init__(self, module: nn.Module, plan: dict[str, Any]) -> None:
        self.module, self.gray, self.taps = module, plan.get("gray"), plan.get("taps") or []
        self.head = plan["head"]["name"] if self.taps else ""

    def __call__(self, images: Tensor) -> Tensor:
        """Class scores [N,K] of normalised RGB images [N,3,H,W]."""
        if self.gray:
            weights = torch.tensor(self.gray["weights"], dtype=images.dtype, device=images.device)
            images = (images * weights.view(1, 3, 1, 1)).sum(1, keepdim=True) + self.gray["bias"]
        if not self.taps:
            return self._library(images)
        found = self._tapped(images)
        parts = [pooled(found[place], tap["pool"]) for place, tap in enumerate(self.taps)]
        scores: Tensor = self.module.get_submodule(self.head)(torch.cat(parts, dim=1))
        return scores

    def _library(self, images: Tensor) -> Tensor:
        scores: Tensor = type(self.module).forward(self.module, images)
        return scores

    def _tapped(self, images: Tensor) -> dict[int, Tensor]:
        found: dict[int, Tensor] = {}

        def keep(place: int, tensor: Tensor) -> None:
            found.setdefault(place, tensor)
            if len(found) == len(self.taps):
                raise _EnoughError

        handles = [self._hook(place, tap, keep) for place, tap in enumerate(self.taps)]
        try:
            self._library(images)
        except _EnoughError:
            return found
        finally:
            for handle in handles:
                handle.remove()
        raise RuntimeError(f"the network never reached {self.taps[-1]['module']}")

    def _hook(self, place: int, tap: dict[str, str], keep: Any) -> Any:
        module = self.module.get_submodule(tap["module"])
        if tap["side"] == "input":
            return module.register_forward_pre_hook(lambda _, inputs: keep(place, inputs[0]))
        return module.register_forward_hook(lambda _, inputs, output: keep(place, output))


def pooled(found: Tensor, pool: str) -> Tensor:
    """One vector per image, [N,C].

    pool: `map` of [N,C,H,W] and `map_last` of [N,H,W,C] average over space, `token` takes the first token of [N,L,C],
    `tokens:P` averages those after the first P; `flat` is [N,C] as it is.
    """
    if pool in ("map", "map_last"):
        return found.mean((2, 3) if pool == "map" else (1, 2))
    if pool == "token":
        return found[:, 0]
    return found[:, int(pool.partition(":")[2]) :].mean(1) if pool.startswith("tokens:") else found


def rewire(module: nn.Module, plan: dict[str, Any], num_classes: int) -> nn.Module:
    """Carry out the plan on the library's network, in place; the new head has `num_classes` outputs."""
    for path in plan.get("dropped") or []:
        module.set_submodule(path, nn.Identity())
    head = plan.get("head")
    if head:
        module.set_submodule(head["name"], new_head(head, num_classes))
    if plan.get("taps") or plan.get("gray"):
        module.__dict__["forward"] = Forward(module, plan)
    return module


def new_head(head: dict[str, Any], num_classes: int) -> nn.Module:
    """A linear layer, or dropout, a hidden layer with ReLU, dropout and a linear layer, as far as asked."""
    layers: list[nn.Module] = []
    width = head["inputs"]
    dropout = [nn.Dropout(head["dropout"])] if head["dropout"] else []
    if head["hidden_units"]:
        layers += [*dropout, nn.Linear(width, head["hidden_units"]), nn.ReLU()]
        width = head["hidden_units"]
    layers += [*[nn.Dropout(layer.p) for layer in dropout], nn.Linear(width, num_classes)]
    return nn.Sequential(*layers) if len(layers) > 1 else layers[0]
