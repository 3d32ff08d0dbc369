"""What one run produces: curve points, metrics, reports of what was done, and its outcome."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from tlcore.strategies import SettingValue

CROWDED = "other programs used the processor while this run went on"  # how the note on such a run begins


class Value(BaseModel):
    """A frozen record; fields may be added later, so unknown ones are ignored when old files are read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


Status = Literal["SCHEDULED", "RUNNING", "FINISHED", "FAILED", "KILLED"]
FloorName = Literal["majority_class", "nearest_class_mean"]
TimePart = Literal[
    "network", "decode", "features", "fit", "augment", "forward", "backward", "optimizer",
    "evaluation", "checkpoint", "logging", "scoring",
]  # fmt: skip
# MLflow's and the queue's states, as people read them.
STATE_WORDS = {
    "SCHEDULED": "waiting", "QUEUED": "waiting", "RUNNING": "running", "FINISHED": "finished", "FAILED": "failed",
    "KILLED": "cancelled", "CANCELLED": "cancelled",
}  # fmt: skip
ENDED: frozenset[str] = frozenset({"FINISHED", "FAILED", "KILLED"})


class EvaluationPoint(Value):
    """One point of a learning curve.

    step: optimiser steps done. epoch: passes over the training part that `images_seen` amounts to.
    train_*: running averages over the augmented batches since the last point. timestamp_ms: Unix time.
    learning_rates: from input to head, of what trains: `backbone`, or `NN name` per layer group (`03 blocks.2`, counted
    from the input) where a layer decay sets them apart, and `head`. phase: index into the strategy's phases.
    """

    step: int
    epoch: float
    images_seen: int
    train_seconds: float
    timestamp_ms: int
    phase: int
    train_loss: float | None = None
    train_accuracy: float | None = None
    val_loss: float | None = None
    val_accuracy: float | None = None
    learning_rates: dict[str, float] = {}


class PartMetrics(Value):
    """Metrics of one part (train, val or test). loss: mean cross-entropy in nats. ece: 15 bins, top label."""

    num_images: int
    accuracy: float
    balanced_accuracy: float
    loss: float | None = None
    ece: float | None = None


class ConfusionMatrix(Value):
    """counts[i][j]: images of true class i predicted as class j."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class ClassMetrics(Value):
    """One class in one part. None where it is undefined (nothing predicted, or no image)."""

    name: str
    num_images: int
    precision: float | None
    recall: float | None
    f1: float | None


class FrozenState(Value):
    """SHA-256 of the frozen parameters and buffers before and after a phase that freezes some."""

    phase: int
    num_tensors: int
    before: str
    after: str

    @property
    def unchanged(self) -> bool:
        return self.before == self.after


class PhaseReport(Value):
    """What one phase really did. first_step, last_step: optimiser steps done when it began and ended.

    trainable: as of `recipes.TrainRecipe`, or the classifier that was fitted. normalization: what became of the
    BatchNorm statistics, None for a network without. num_trainable, num_frozen: parameters.
    """

    phase: int
    trainable: str
    first_step: int
    last_step: int
    normalization: Literal["train", "eval"] | None
    num_trainable: int
    num_frozen: int


class LayerGroup(Value):
    """One layer group of the network, from input to head, and what the run did to it.

    name: in the library's words; the last one is `head`. num_trainable: of its parameters, per phase. moved: distance
    of its parameters from where they started, ‖now − start‖₂ / ‖start‖₂; None for a group that started as nothing.
    statistics_moved: the same of BatchNorm means and variances, None without.
    """

    name: str
    num_parameters: int
    num_trainable: tuple[int, ...]
    moved: float | None
    statistics_moved: float | None = None


class Trial(Value):
    """One trial of `tune`: the values tried, what they gave on validation, and what they cost."""

    number: int
    settings: dict[str, SettingValue]
    val_accuracy: float | None
    val_loss: float | None
    train_seconds: float
    error: str | None = None
    chosen: bool = False


class RateFinding(Value):
    """What a learning-rate finder saw in the first gradient phase of a strategy.

    rates: of the head; all others stand to it as in the recipe. losses: mean over each batch. smoothed: their running
    mean. steepest, valley: what the two rules suggest, None where the loss fell nowhere; suggestion: the valley's, else
    the steepest's. settings: what to set for it. recipe_rate: the strategy's own. diverged: it ended before the
    highest rate. phase: index into the phases. seconds: of training. notes: for people, such as a batch done in parts.
    caution: why the suggestion is not to be trusted, else "".
    """

    strategy: str
    model: str
    phase: int
    trainable: str
    batch_size: int
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    steepest: float | None
    valley: float | None
    suggestion: float | None
    settings: dict[str, float]
    recipe_rate: float
    diverged: bool
    seconds: float
    notes: tuple[str, ...] = ()
    caution: str = ""


class WeightsMatch(Value):
    """What a weights file had of the backbone. Counts of tensors; examples: some names that did not match."""

    source: str
    matched: int
    missing: int
    other_shape: int
    unknown: int
    examples: tuple[str, ...] = ()


TRAINED_ON_KEY = "tlcore.trained_on"  # of the metadata of a run's weights file, which holds its `TrainedOn` as JSON


class TrainedStep(Value):
    """The images that one run trained and chose its best network on. images: SHA-256 of their files, sorted."""

    run_id: str
    dataset_name: str
    images: tuple[str, ...]


class TrainedOn(Value):
    """All images that a run's network has learned from: its own first, then those of the runs that it came from."""

    steps: tuple[TrainedStep, ...]


class Resolved(Value):
    """What a run really used, decided when it started: `resolved.json`."""

    device: str
    device_reason: str
    dtype: str
    num_threads: int
    image_size: int
    batch_size: int
    total_steps: int | None
    num_train: int
    num_val: int
    num_test: int
    split_fingerprint: str
    test_fingerprint: str
    weights_fingerprint: str | None
    recipe: dict[str, object]
    weights: WeightsMatch | None = None
    notes: tuple[str, ...] = ()
    library_versions: dict[str, str] = {}


class Floor(Value):
    """What an answer without any training gets on the images of a run: it is what training has to beat.

    `majority_class`: the most frequent class of the training part. `nearest_class_mean`: the class whose mean of the
    pretrained network's features, over the training part, is nearest.
    """

    name: FloorName
    val: PartMetrics
    test: PartMetrics


class RunOutcome(Value):
    """How a finished run ended. Best = highest validation accuracy, then lower loss, then earlier.

    tuning_seconds: the part of train_seconds that other trials than the chosen one took. model_bytes: of the weights
    files in `model/`. latency_ms: median milliseconds of the network's forward pass of one image, on the run's device
    and in its number format. seconds_by_part: what total_seconds went into, as far as it was measured; of a tuned run,
    with all trials. images_per_second: of training steps, or of making features where there are none.
    """

    train: PartMetrics
    val: PartMetrics
    test: PartMetrics
    last_val: PartMetrics
    best_step: int
    best_epoch: float
    epochs: float
    images_seen: int
    train_seconds: float
    total_seconds: float
    tuning_seconds: float = 0.0
    peak_memory_bytes: int | None
    num_parameters: int
    num_trainable_parameters: int
    frozen_states: tuple[FrozenState, ...] = ()
    did_not_learn: bool = False
    images_per_second: float | None = None
    notes: tuple[str, ...] = ()
    phases: tuple[PhaseReport, ...] = ()
    layer_groups: tuple[LayerGroup, ...] = ()
    trials: tuple[Trial, ...] = ()
    floors: tuple[Floor, ...] = ()
    model_bytes: int | None = None
    latency_ms: float | None = None
    seconds_by_part: dict[TimePart, float] = {}

    @property
    def frozen_state_unchanged(self) -> bool | None:
        """True when every frozen phase left its tensors as they were; None where no phase freezes."""
        return all(f.unchanged for f in self.frozen_states) if self.frozen_states else None
