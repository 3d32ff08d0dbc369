"""Which parameters weight decay pulls towards zero: kernels and matrices alone."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn

# Ends of the names of tensors that add to activations, or scale them, though they have several dimensions: what timm's
# networks list in `no_weight_decay`, also for networks that have no such list, as torchvision's.
_NO_KERNELS = (
    *("cls_token", "class_token", "dist_token", "reg_token", "mask_token"),
    *("pos_embed", "pos_embedding", "relative_position_bias_table", "layer_scale"),
)


def decayed_names(module: nn.Module) -> frozenset[str]:
    """Names of the parameters that weight decay covers: none of one dimension (norms and biases), and none that is a
    token, a position, a bias table or a layer's scale, or that the network itself leaves out.
    """
    listed: Iterable[str] = getattr(module, "no_weight_decay", set)()
    kernels = [name for name, parameter in module.named_parameters() if parameter.dim() > 1]
    return frozenset(
        name
        for name in kernels
        if not name.endswith(_NO_KERNELS) and not any(fnmatchcase(name, pattern) for pattern in listed)
    )
