"""What a recipe is made of: preprocessing, facts of a model, and the settings of a network and of a phase."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from tlcore.spec import Frozen, in_words
from tlcore.strategies import Classifier

Family = Literal["cnn", "transformer"]
Augmentation = Literal["crop_flip", "trivial_augment", "flip", "none"]
ClassBalance = Literal["none", "loss_weights", "balanced_sampling"]


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
    """What only torch can tell of an architecture; asked as a question. crop_pct: size ÷ resize at evaluation.

    group_names: the layer groups of the backbone from input to head, in the library's words. linear_share: the part
    of the backbone's parameters that linear layers hold. supports_grayscale: whether the library can adapt the first
    layer to one channel. frozen_only: the backbone cannot train (a network read from ONNX). parameter_names: of each
    layer group, then of the head.
    """

    model: str
    library: Literal["timm", "torchvision", "onnx"]
    family: Family
    preprocessing: Preprocessing
    crop_pct: float
    fixed_input_size: bool
    num_parameters: int
    num_features: int
    num_groups: int
    has_batch_norm: bool
    weight_tags: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()
    linear_share: float = 0.0
    supports_grayscale: bool = False
    frozen_only: bool = False
    parameter_names: tuple[tuple[str, ...], ...] = ()


class _Adjustable(Frozen):
    """What holds settings. true and false are no numbers, though Python and pydantic count them as 1 and 0."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("it is no switch: give a value other than true and false")
        return value


class NetworkRecipe(_Adjustable):
    """How the network differs from the library's own with a new linear head.

    cut_at: keep the first `cut_at` layer groups and drop what lies above; their pooled output goes to the head.
    layers: what the head, or the classifier on stored features, sees: `penultimate`, `last_conv` (the last feature
    map, pooled), or layer groups such as `3+4+5`, each pooled, side by side. hidden_units: of one hidden layer in the
    head; 0 for a linear head. head_dropout: before the head's layers, in [0, 1). grayscale: one input channel.
    """

    cut_at: int | None = Field(default=None, ge=1, le=500)
    layers: str = Field(default="penultimate", pattern=r"^(penultimate|last_conv|\d+(\+\d+)*)$")
    hidden_units: int = Field(default=0, ge=0, le=65_536)
    head_dropout: float = Field(default=0.0, ge=0, lt=1)
    grayscale: bool = False

    @field_validator("layers")
    @classmethod
    def _once(cls, value: str) -> str:
        groups = [int(part) for part in value.split("+") if part.isdecimal()]
        if len(groups) > len(set(groups)):
            raise ValueError("it names a layer group twice, whose features would be there twice: name each once")
        return value


class FitRecipe(_Adjustable):
    """A classifier on stored features. C of the classifier is swept on validation between 10**c_low and 10**c_high.

    views: augmented copies of each training image whose features are stored beside the plain ones.
    """

    classifier: Classifier = "logistic_regression"
    c_low: float = Field(default=-6, ge=-12, le=12)
    c_high: float = Field(default=5, ge=-12, le=12)
    neighbors: int = Field(default=20, ge=1, le=10_000)
    views: int = Field(default=0, ge=0, le=50)

    @model_validator(mode="after")
    def _grows(self) -> "FitRecipe":
        if self.c_low > self.c_high:
            raise ValueError(
                f"c_low={self.c_low:g} is above c_high={self.c_high:g}: C is looked for from 10**c_low to 10**c_high"
            )
        return self


class TrainRecipe(_Adjustable):
    """Gradient steps. Learning rates are those really used (already scaled to the batch).

    learning_rate: of the head; backbone_learning_rate: of everything else that trains. layer_decay: what the backbone's
    rate is multiplied with at each layer group further from the head. warmup: part of the phase in [0, 1).
    schedule `step`: a tenth at each third. normalization: `train` updates BatchNorm statistics of trained modules,
    `eval` keeps them. decay_norms: whether weight decay also covers norms, biases, tokens and positions. noise:
    standard deviation of Gaussian noise on pixels of 0…1. gradient_clip: largest gradient norm; 0 for none. patience:
    evaluations of the phase without a better one after which it ends, so that later phases share what is left; 0 for
    never. lora_rank, lora_alpha: of the adapters where `lora` trains.
    """

    trainable: str
    share: float
    optimizer: Literal["sgd", "adamw", "adam"] = "sgd"
    learning_rate: float = Field(default=1e-2, gt=0, le=100)
    backbone_learning_rate: float = Field(default=1e-3, ge=0, le=100)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(default=5e-4, ge=0, le=10)
    decay_norms: bool = False
    schedule: Literal["cosine", "linear", "step", "constant"] = "cosine"
    warmup: float = Field(default=0.0, ge=0, lt=1)
    augmentation: Augmentation = "crop_flip"
    noise: float = Field(default=0.0, ge=0, le=1)
    normalization: Literal["train", "eval"] = "eval"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_balance: ClassBalance = "none"
    gradient_clip: float = Field(default=0.0, ge=0, le=1e6)
    patience: int = Field(default=0, ge=0, le=1_000)
    lora_rank: int = Field(default=8, ge=1, le=1_024)
    lora_alpha: float = Field(default=16.0, gt=0, le=10_000)


class Recipe(Frozen):
    """Everything that a strategy needs to run: one recipe per phase.

    auto_batch: batch_size was left to the machine: the largest that its memory holds, at most AUTO_BATCH_LIMIT.
    """

    strategy: str
    batch_size: int
    preprocessing: Preprocessing
    phases: tuple[FitRecipe | TrainRecipe, ...]
    network: NetworkRecipe = NetworkRecipe()
    auto_batch: bool = False


@dataclass(frozen=True)
class DataFacts:
    """What the recipe depends on. num_train: images of the full training part. short_side: median, in pixels."""

    num_train: int
    short_side: int


def complaint(error: ValidationError) -> str:
    """The first thing that is wrong with settings, in one line: `learning_rate=-1 cannot be used: …`."""
    first = error.errors()[0]
    words = in_words(first)
    said = f"it {words}" if words else str(first["msg"]).removeprefix("Value error, ")
    if not first["loc"]:
        return said
    return f"{first['loc'][0]}={first['input']!r} cannot be used: {said}"
