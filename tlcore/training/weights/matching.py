"""Which tensors of a source are a network's backbone, in counts and in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from tlcore.results import WeightsMatch
from tlcore.training.catalogue.listing import SHORT_LIST
from tlcore.training.networks.models import Network, outline
from tlcore.training.weights.files import named_like

# Buffers that follow from the architecture: some versions of the libraries store them, others do not.
DERIVED = ("num_batches_tracked", "relative_position_index", "relative_coords_table", "attn_mask")
_EXAMPLES = 10
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Match:
    """What a source has of a backbone: names in order. fitting: what can be loaded. shapes: of `other_shape`."""

    fitting: dict[str, Tensor]
    num_expected: int
    matched: int
    missing: tuple[str, ...]
    other_shape: tuple[str, ...]
    unknown: tuple[str, ...]
    shapes: dict[str, tuple[list[int], list[int]]]

    @property
    def complete(self) -> bool:
        return not (self.missing or self.other_shape or self.unknown)

    def in_words(self) -> str:
        """Counts, with an example of each kind of misfit."""
        parts = [f"{self.matched} of {self.num_expected} tensors of the backbone match"]
        if self.missing:
            parts.append(f"{len(self.missing)} are missing (such as {self.missing[0]})")
        if self.other_shape:
            given, wanted = self.shapes[self.other_shape[0]]
            example = f"{self.other_shape[0]}: {given} instead of {wanted}"
            parts.append(f"{len(self.other_shape)} have another shape (such as {example})")
        if self.unknown:
            parts.append(f"{len(self.unknown)} are unknown to it (such as {self.unknown[0]})")
        return ", ".join(parts)

    def summary(self, source: str) -> WeightsMatch:
        """The counts as the run records them."""
        return WeightsMatch(
            source=source,
            matched=self.matched,
            missing=len(self.missing),
            other_shape=len(self.other_shape),
            unknown=len(self.unknown),
            examples=(*self.missing, *self.other_shape, *self.unknown)[:_EXAMPLES],
        )


def match_tensors(expected: Shapes, tensors: Mapping[str, Tensor], known: Shapes | None = None) -> Match:
    """Hold tensors against the shapes of a backbone. known: names that are no strangers though not expected."""
    familiar = expected if known is None else {**known, **expected}
    required = {name for name in expected if not name.endswith(DERIVED)}
    there = required & set(tensors)
    other = sorted(name for name in there if tuple(tensors[name].shape) != tuple(expected[name]))
    return Match(
        fitting={n: t for n, t in tensors.items() if n in expected and tuple(t.shape) == tuple(expected[n])},
        num_expected=len(required),
        matched=len(there) - len(other),
        missing=tuple(sorted(required - there)),
        other_shape=tuple(other),
        unknown=tuple(sorted(n for n in set(tensors) - set(familiar) if not n.endswith(DERIVED))),
        shapes={n: (list(tensors[n].shape), list(expected[n])) for n in other},
    )


def backbone_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Shapes of everything but the head, by name."""
    state = network.module.state_dict()
    return {n: tuple(t.shape) for n, t in state.items() if not n.startswith(f"{network.head_name}.")}


def without_head(network: Network, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A source's tensors named as the network names them, without the old head and second heads."""
    named = named_like(tensors, backbone_shapes(network))
    return {name: tensor for name, tensor in named.items() if not name.startswith(network.replaced)}


def looks_like(tensors: Mapping[str, Tensor], asked: str) -> str | None:
    """A common architecture whose backbone these tensors are."""
    for name in SHORT_LIST:
        candidate = outline(name) if name != asked else None
        if candidate and match_tensors(backbone_shapes(candidate), without_head(candidate, tensors)).complete:
            return name
    return None
