"""The same by fastai, as its documentation does it, with equal epochs. Arguments: PHOTOS WEIGHTS EPOCHS OUT DEVICE.

fastai is an optional dependency: `pip install -e .[fastai]`. The first epoch of `fine_tune` trains the head and all
others the whole network, so that their number is that of the other strategies.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fastai.vision.all import (
    ImageDataLoaders,
    Learner,
    Normalize,
    Resize,
    accuracy,
    aug_transforms,
    default_device,
    imagenet_stats,
    set_seed,
    vision_learner,
)
from safetensors.torch import load_file

MODEL = "mobilenetv2_100"


def learner(photos: Path, weights: Path | None) -> Learner:
    """A network of timm with fastai's own head; its body with the weights."""
    normalize = Normalize.from_stats(*imagenet_stats)
    augment = [*aug_transforms(size=224, min_scale=0.75), normalize]
    data = ImageDataLoaders.from_folder(
        photos, train="train", valid="val", item_tfms=Resize(256), batch_tfms=augment, bs=32, num_workers=2
    )
    learn = vision_learner(data, MODEL, metrics=accuracy, pretrained=False, normalize=False)
    if weights is not None:
        body = learn.model[0].model
        known = {name: value for name, value in load_file(weights).items() if not name.startswith("classifier")}
        body.load_state_dict(known)
    return learn


def frozen(learn: Learner, epochs: int) -> None:
    learn.freeze()
    learn.fit_one_cycle(epochs)


def whole(learn: Learner, epochs: int) -> None:
    learn.unfreeze()
    learn.fit_one_cycle(epochs, 1e-3)


def staged(learn: Learner, epochs: int) -> None:
    learn.fine_tune(epochs - 1, freeze_epochs=1)


STRATEGIES: dict[str, tuple[Callable[[Learner, int], None], bool]] = {
    "transfer_learning": (frozen, True),
    "fine_tuning": (whole, True),
    "staged_fine_tuning": (staged, True),
    "from_scratch": (whole, False),
}


def main() -> None:
    photos, weights, epochs, out = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    default_device(use=sys.argv[5] == "cuda")
    runs = []
    for name, (train, pretrained) in STRATEGIES.items():
        set_seed(0)
        begun = time.perf_counter()
        learn = learner(photos, weights if pretrained else None)
        with learn.no_bar(), learn.no_logging():
            train(learn, epochs)
            reached = float(learn.validate()[1])
        runs.append({"strategy": name, "test": {"accuracy": reached}, "total_seconds": time.perf_counter() - begun})
    out.write_text(json.dumps({"runs": runs}))


if __name__ == "__main__":
    main()
