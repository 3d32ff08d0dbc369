"""The classifier of a network: where it is, and how one that is not a linear layer becomes one."""

from dataclasses import dataclass

from torch import nn

from tlcore.errors import ModelError


@dataclass(frozen=True)
class Surgery:
    """How an architecture gets a linear head.

    statement: Python for an export script, with `model`, `torch` and `{num_classes}`; the same change as `apply`.
    head_name: the new linear layer. replaced: the module whose tensors in published weights belong to no backbone.
    new_bias: whether the published classifier has no bias.
    """

    statement: str
    head_name: str
    replaced: str
    new_bias: bool = False


def linear_head(module: nn.Module, name: str) -> tuple[nn.Linear, str]:
    """The linear layer that makes the logits, and its name. name: of the classifier module that holds it.

    Raises: ModelError where there is none, or more than one.
    """
    classifier = module.get_submodule(name)
    linear = [(path, layer) for path, layer in classifier.named_modules() if isinstance(layer, nn.Linear)]
    if isinstance(classifier, nn.ModuleList) or not linear:
        raise ModelError("its classifier is not one linear layer: choose another model")
    path, head = linear[-1]
    twins = [layer for _, layer in linear if layer.out_features == head.out_features]
    if len(twins) > 1 and len(linear) == len(twins):
        raise ModelError(f"it has {len(twins)} classifiers side by side: choose a model with one")
    return head, f"{name}.{path}".rstrip(".")


def find_surgery(module: nn.Module, classifier: str, library: str) -> Surgery | None:
    """The change that this network needs before it has a linear head, or None."""
    if library == "torchvision" and type(module).__name__ == "SqueezeNet":
        parts = "AdaptiveAvgPool2d(1)", "Flatten()", "Dropout(0.5)", "Linear(512, {num_classes})"
        layers = ", ".join(f"torch.nn.{part}" for part in parts)
        return Surgery(f"model.classifier = torch.nn.Sequential({layers})", "classifier.3", "classifier")
    layer = module.get_submodule(classifier)
    if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1):
        layers = f"torch.nn.Flatten(), torch.nn.Linear({layer.in_channels}, {{num_classes}})"
        return Surgery(f"model.{classifier} = torch.nn.Sequential({layers})", f"{classifier}.1", classifier)
    if isinstance(layer, nn.Linear) and layer.bias is None:  # a head here has one
        new = f"torch.nn.Linear({layer.in_features}, {{num_classes}})"
        return Surgery(f"model.set_submodule({classifier!r}, {new})", classifier, classifier, new_bias=True)
    return None


def apply_surgery(module: nn.Module, surgery: Surgery, num_classes: int) -> None:
    """Carry out `surgery.statement`: pool and flatten where the old classifier did it itself, then a linear layer."""
    old = module.get_submodule(surgery.replaced)
    new: nn.Module
    if isinstance(old, nn.Linear):
        new = nn.Linear(old.in_features, num_classes)
    elif isinstance(old, nn.Conv2d):
        new = nn.Sequential(nn.Flatten(), nn.Linear(old.in_channels, num_classes))
    else:
        new = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(512, num_classes))
    module.set_submodule(surgery.replaced, new)
