"""Every default of every strategy, from dataset size and model facts: the same for the form and for the worker.

Sources: SimCLR (Chen et al. 2020) B.8; Kornblith et al. 2019; Salman et al. 2020; LP-FT (Kumar et al. 2022);
BiT HyperRule (Kolesnikov et al. 2020); torchvision's training reference. "measured" marks our own trials.
"""

from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from tlcore.errors import SpecError
from tlcore.spec import Budget, Frozen, OverrideValue
from tlcore.strategies import Classifier, Fit, Start, Strategy, Train

R = TypeVar("R", "FitRecipe", "TrainRecipe")
Family = Literal["cnn", "transformer"]

LARGE_SET = 2_000  # training images from which the batch is 64
FEW_IMAGES = 1_000  # below this, BatchNorm statistics of a pretrained network are kept (SimCLR B.8)
SMALL_BATCH = 16  # below this, batch statistics are too noisy to train with
SMALL_SIDE = 96  # BiT HyperRule: smaller images are trained at SMALL_IMAGE_SIZE
SMALL_IMAGE_SIZE = 128
REFERENCE_BATCH = 64  # learning rates are given per batch of 64, and not scaled down below it


class Preprocessing(Frozen):
    """How a model wants its input: resize the short side to `resize`, centre crop `size`, scale to 0…1, normalise.

    resize None squashes the whole image to size × size. size, resize: pixels. mean, std: per RGB channel, of 0…1.
    """

    size: int
    resize: int | None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class ModelFacts(Frozen):
    """What only torch can tell of an architecture; asked as a question. crop_pct: size ÷ resize at evaluation."""

    model: str
    library: Literal["timm", "torchvision"]
    family: Family
    preprocessing: Preprocessing
    crop_pct: float
    fixed_input_size: bool
    num_parameters: int
    num_features: int
    num_groups: int
    has_batch_norm: bool
    weight_tags: tuple[str, ...] = ()


class FitRecipe(Frozen):
    """A classifier on stored features. C of the classifier is swept on validation between 10**c_low and 10**c_high."""

    classifier: Classifier = "logistic_regression"
    c_low: float = Field(default=-6, ge=-12, le=12)
    c_high: float = Field(default=5, ge=-12, le=12)
    neighbors: int = Field(default=20, ge=1, le=10_000)


class TrainRecipe(Frozen):
    """Gradient steps. Learning rates are those really used (already scaled to the batch).

    learning_rate: of the head; backbone_learning_rate: of everything else that trains.
    warmup: part of the phase in [0, 1). normalization: `train` updates BatchNorm statistics of trained modules,
    `eval` keeps them. decay_norms: whether weight decay also covers norms and biases.
    """

    trainable: str
    share: float
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(default=1e-2, gt=0, le=100)
    backbone_learning_rate: float = Field(default=1e-3, ge=0, le=100)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(default=5e-4, ge=0, le=10)
    decay_norms: bool = True
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: float = Field(default=0.0, ge=0, lt=1)
    augmentation: Literal["crop_flip", "none"] = "crop_flip"
    normalization: Literal["train", "eval"] = "eval"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)


class Recipe(Frozen):
    """Everything that a strategy needs to run: one recipe per phase."""

    strategy: str
    batch_size: int
    preprocessing: Preprocessing
    phases: tuple[FitRecipe | TrainRecipe, ...]


@dataclass(frozen=True)
class DataFacts:
    """What the recipe depends on. num_train: images of the full training part. short_side: median, in pixels."""

    num_train: int
    short_side: int


# Where C is looked for, other than FitRecipe's own range: a linear SVM between 1e-4 and 10 (CS231n notes).
_SWEEPS: dict[str, dict[str, OverrideValue]] = {"linear_svm": {"c_low": -4, "c_high": 1}}
_SGD_HEAD: dict[str, OverrideValue] = {"learning_rate": 1e-2, "weight_decay": 5e-4}
# One row per name in strategies.Train.recipe, by model family. Learning rates are per batch of 64.
RECIPES: dict[str, dict[Family, dict[str, OverrideValue]]] = {
    "head": {"cnn": _SGD_HEAD, "transformer": _SGD_HEAD},
    "fine_tuning": {
        "cnn": {"nesterov": True, "learning_rate": 1e-2, "backbone_learning_rate": 1e-3, "warmup": 0.05,
                "normalization": "train"},
        "transformer": {"optimizer": "adamw", "learning_rate": 1e-3, "backbone_learning_rate": 1e-4,
                        "weight_decay": 0.05, "decay_norms": False, "warmup": 0.1},
    },
    "second_stage": {  # LP-FT: rates exactly 10 times below plain fine-tuning, no weight decay
        "cnn": {"learning_rate": 1e-3, "backbone_learning_rate": 1e-4, "weight_decay": 0.0},
        "transformer": {"optimizer": "adamw", "learning_rate": 1e-4, "backbone_learning_rate": 1e-5,
                        "weight_decay": 0.0},
    },
    "from_scratch": {
        "cnn": {"nesterov": True, "learning_rate": 1e-1, "backbone_learning_rate": 1e-1, "weight_decay": 5e-5,
                "decay_norms": False, "warmup": 0.05, "label_smoothing": 0.1, "normalization": "train"},
        "transformer": {"optimizer": "adamw", "learning_rate": 1e-3, "backbone_learning_rate": 1e-3,
                        "weight_decay": 0.05, "decay_norms": False, "warmup": 0.1, "label_smoothing": 0.1,
                        "normalization": "train"},
    },
}  # fmt: skip


def resolve(
    strategy: Strategy,
    data: DataFacts,
    model: ModelFacts,
    *,
    image_size: int | None = None,
    batch_size: int | None = None,
    overrides: dict[str, OverrideValue] | None = None,
) -> Recipe:
    """The recipe of a run: the rows of its phases, scaled to the batch, with the person's own values on top.

    Raises: SpecError for an override that no phase has, or that is out of range.
    """
    batch = batch_size or (32 if data.num_train < LARGE_SET else 64)
    left = dict(overrides or {})
    phases = tuple(
        _phase(phase, strategy.start, model.family, batch, data.num_train < FEW_IMAGES, left)
        for phase in strategy.phases
    )
    known = {name for phase in phases for name in type(phase).model_fields} - {"trainable", "share"}
    stray = sorted(set(left) - known)
    if stray:
        raise SpecError(f"{strategy.id} has no setting {', '.join(stray)}: it has {', '.join(sorted(known))}")
    size = image_size or default_image_size(data, model)
    return Recipe(strategy=strategy.id, batch_size=batch, preprocessing=sized(model, size), phases=phases)


def default_image_size(data: DataFacts, model: ModelFacts) -> int:
    """The model's own input size, or a smaller one for small images (BiT HyperRule), in pixels."""
    native = model.preprocessing.size
    return min(native, SMALL_IMAGE_SIZE) if data.short_side < SMALL_SIDE and not model.fixed_input_size else native


def sized(model: ModelFacts, size: int) -> Preprocessing:
    """The model's preprocessing at another input size, with its own crop percentage (timm's rule: floor)."""
    own = model.preprocessing
    if size == own.size:
        return own
    if model.fixed_input_size:
        raise SpecError(f"{model.model} takes images of {own.size} px only, not {size}: leave the image size out")
    resize = None if own.resize is None else int(size / model.crop_pct)
    return own.model_copy(update={"size": size, "resize": resize})


def default_budget(num_train: int, accelerated: bool) -> Budget:
    """BiT HyperRule's 500 steps (10,000 from 20,000 images) on a GPU; on a CPU 5 epochs, a matter of minutes."""
    if not accelerated:
        return Budget(epochs=5)
    return Budget(steps=500 if num_train < 20_000 else 10_000)


def _phase(
    phase: Fit | Train,
    start: Start,
    family: Family,
    batch: int,
    few_images: bool,
    overrides: dict[str, OverrideValue],
) -> FitRecipe | TrainRecipe:
    if isinstance(phase, Fit):
        classifier = overrides.get("classifier", phase.classifier)
        return _build(FitRecipe, {"classifier": classifier, **_SWEEPS.get(str(classifier), {})}, overrides)
    row = dict(RECIPES[phase.recipe][family])
    scale = max(1.0, batch / REFERENCE_BATCH)
    for rate in ("learning_rate", "backbone_learning_rate"):
        if rate in row:
            row[rate] = float(row[rate]) * scale
    if start == "pretrained" and (few_images or batch < SMALL_BATCH):
        row["normalization"] = "eval"
    return _build(TrainRecipe, {"trainable": phase.trainable, "share": phase.share, **row}, overrides)


def _build(kind: type[R], row: dict[str, OverrideValue], own: dict[str, OverrideValue]) -> R:
    mine = {k: v for k, v in own.items() if k in kind.model_fields and k not in {"trainable", "share"}}
    try:
        return kind.model_validate({**row, **mine})
    except ValidationError as error:
        first = error.errors()[0]
        raise SpecError(f"{first['loc'][0]}={first['input']!r} cannot be used: {first['msg']}") from error
