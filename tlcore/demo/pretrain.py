"""Train the demo's backbone on the source letters and write its weights: `python -m tlcore.demo.pretrain [FILE]`.

Plain training from a random start, with the augmentation that every strategy uses: the same as published ImageNet
weights went through, on a smaller scale. A few minutes on one core; the weights file is part of the repository.
"""

import sys
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional as F

from tlcore.demo import glyphs
from tlcore.demo.cells import IMAGE_SIZE, MODEL, SOURCE_GLYPHS, WEIGHTS_PATH
from tlcore.training.images.augmentation import normalize, random_resized_crop_flip
from tlcore.training.networks.models import Network, build_network, logits

PER_CLASS, VAL_PER_CLASS = 100, 5
STEPS, BATCH = 2_000, 64
LEARNING_RATE, WEIGHT_DECAY, WARMUP = 0.1, 5e-4, 0.05  # He et al. 2016, for a residual network from scratch
SEED = 1


def main(path: Path) -> None:
    """Draw, train, check on pictures kept back, write."""
    torch.manual_seed(SEED)
    network = build_network(MODEL, len(SOURCE_GLYPHS), IMAGE_SIZE)
    network.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    train(network, *pictures(PER_CLASS, first=0))
    accuracy = evaluate(network, *pictures(VAL_PER_CLASS, first=PER_CLASS))
    write_backbone(network, path)
    _say(f"{len(SOURCE_GLYPHS)} letters, accuracy on pictures kept back {accuracy:.3f}; wrote {path}")


def pictures(per_class: int, first: int) -> tuple[Tensor, Tensor]:
    """Pictures number `first`… of every source letter. Returns uint8 [N,S,S,3] and labels [N]."""
    drawn = [
        np.asarray(glyphs.draw(letter, np.random.default_rng([SEED, letter, first + n])))
        for letter in SOURCE_GLYPHS
        for n in range(per_class)
    ]
    labels = torch.arange(len(SOURCE_GLYPHS)).repeat_interleave(per_class)
    return torch.from_numpy(np.stack(drawn)), labels


def train(network: Network, images: Tensor, labels: Tensor) -> None:
    """`STEPS` steps of SGD with warm-up and a cosine to 0, over an endless shuffled stream."""
    generator = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.SGD(
        network.module.parameters(), lr=LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY
    )
    network.module.train()
    order = torch.cat(
        [torch.randperm(len(images), generator=generator) for _ in range(STEPS * BATCH // len(images) + 1)]
    )
    for step, rows in enumerate(torch.split(order, BATCH)[:STEPS]):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * _schedule(step)
        batch = random_resized_crop_flip(images[rows], torch.ones(len(rows)), IMAGE_SIZE, generator)
        loss = F.cross_entropy(logits(network, normalize(batch, network.facts.preprocessing)), labels[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if (step + 1) % 100 == 0:
            _say(f"step {step + 1} of {STEPS}: loss {loss.item():.3f}")


@torch.inference_mode()
def evaluate(network: Network, images: Tensor, labels: Tensor) -> float:
    """Accuracy on whole pictures. images: uint8 [N,S,S,3]."""
    network.module.eval()
    scaled = normalize(images.permute(0, 3, 1, 2) / 255, network.facts.preprocessing)
    guesses = [logits(network, part).argmax(dim=1) for part in torch.split(scaled, 256)]
    return float((torch.cat(guesses) == labels).float().mean())


def write_backbone(network: Network, path: Path) -> None:
    """The network's tensors without its head; 16-bit, which halves the file and changes no answer that matters."""
    head = f"{network.head_name}."
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in network.module.state_dict().items()
        if not name.startswith(head)
    }
    about = {"architecture": MODEL, "made_by": "python -m tlcore.demo.pretrain", "letters": str(len(SOURCE_GLYPHS))}
    safetensors.torch.save_file(tensors, path, metadata=about)


def _schedule(step: int) -> float:
    """The learning rate at a step, as a part of its peak."""
    done = (step + 1) / STEPS
    return done / WARMUP if done < WARMUP else float(0.5 * (1 + np.cos(np.pi * (done - WARMUP) / (1 - WARMUP))))


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS_PATH)
