"""The forward pass in the device's number format, and whole parts through it."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tlcore.training.device import Device
from tlcore.training.images.batches import Images, ImageSource, Rows, evaluation_batch, row_index
from tlcore.training.networks import models
from tlcore.training.networks.depthwise import fast_gradients
from tlcore.training.networks.folding import fold_all
from tlcore.training.networks.freezing import evaluating
from tlcore.training.networks.models import Network
from tlcore.training.outcome import evaluation
from tlcore.training.outcome.evaluation import Predictions


def features(network: Network, device: Device, images: Tensor) -> Tensor:
    """What the head receives, float32 [N, D]; computed in bf16 where the device has it."""
    low = torch.autocast(device.device.type, dtype=torch.bfloat16, enabled=device.dtype is torch.bfloat16)
    with low, fast_gradients(device):
        return models.features(network, images).float()


def logits(network: Network, device: Device, images: Tensor) -> Tensor:
    """Class scores, float32 [N, K].

    The head computes in float32: a folded head has large weights that cancel, which bf16 would not survive.
    """
    return network.head(features(network, device, images))  # type: ignore[no-any-return]


def feature_batches(
    network: Network,
    source: ImageSource,
    rows: Rows,
    batch_size: int,
    check: Callable[[], None],
    images: Images = evaluation_batch,
) -> Iterator[Tensor]:
    """Features of the rows in eval mode, batch by batch, without autograd. check: called before each; may raise.

    images: what is seen of the rows.
    """
    folded = fold_all(network, source.device)
    for chunk in _chunks(rows, batch_size):
        check()
        with evaluating(network), folded.applied(), torch.inference_mode():
            found = features(network, source.device, images(source, chunk))
        yield found


def predictions(
    network: Network,
    source: ImageSource,
    rows: Rows,
    batch_size: int,
    check: Callable[[], None],
    stored: npt.NDArray[np.float32] | None = None,
) -> Iterator[Predictions]:
    """What the network says of the rows in eval mode, batch by batch. check: called before each; may raise.

    stored: [images, D], what the head receives of every image of the dataset; None to compute it of the rows.
    """
    if stored is None:
        seen = feature_batches(network, source, rows, batch_size, check)
    else:
        seen = _stored_batches(stored, source.device, rows, batch_size, check)
    for chunk, batch in zip(_chunks(rows, batch_size), seen, strict=True):
        with evaluating(network), torch.inference_mode():
            scores = network.head(batch)
        yield evaluation.from_logits(scores, source.labels[row_index(chunk, source.labels.device)])


def _stored_batches(
    stored: npt.NDArray[np.float32], device: Device, rows: Rows, batch_size: int, check: Callable[[], None]
) -> Iterator[Tensor]:
    for chunk in _chunks(rows, batch_size):
        check()
        yield torch.from_numpy(np.asarray(stored[chunk])).to(device.device)


def _chunks(rows: Rows, batch_size: int) -> list[Rows]:
    return [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
