"""What synthetic runs did to their networks: phases, layer groups, rates and trials that agree with the recipe."""

from tests.records_model import GROUP_SIZES, HEAD_SIZE
from tlcore.recipes import FitRecipe, Recipe, TrainRecipe, learning_rate_factor
from tlcore.results import FrozenState, LayerGroup, PhaseReport, RunOutcome, Trial

STEPS_PER_EPOCH = 7
NAMES = tuple(GROUP_SIZES)


def trained_groups(phase: FitRecipe | TrainRecipe) -> tuple[str, ...]:
    """The backbone groups whose own parameters train in a phase, from input to head."""
    kind, _, count = getattr(phase, "trainable", "fit").partition(":")
    number = {"all": len(NAMES), "last": int(count or 0)}.get(kind, 0)
    return NAMES[len(NAMES) - number :]


def borders(recipe: Recipe, epochs: float) -> list[float]:
    """The epoch at which each phase ends, on whole steps."""
    done, ends = 0.0, []
    for phase in recipe.phases:
        done += phase.share if isinstance(phase, TrainRecipe) else 0.0
        ends.append(max(1, round(done * epochs * STEPS_PER_EPOCH)) / STEPS_PER_EPOCH if done else 0.0)
    return ends


def learning_rates(phase: FitRecipe | TrainRecipe, share: float) -> dict[str, float]:
    """Rates of a phase when this share of it is over by group as runs record them."""
    if isinstance(phase, FitRecipe):
        return {}
    factor = learning_rate_factor(phase, min(1.0, share))
    names = trained_groups(phase)
    rates = {"head": phase.learning_rate * factor}
    if phase.trainable == "lora" or (names and phase.layer_decay == 1):
        return {**rates, "backbone": phase.backbone_learning_rate * factor}
    for name in names:
        above = len(NAMES) - 1 - NAMES.index(name)
        rates[f"{NAMES.index(name) + 1:02d} {name}"] = phase.backbone_learning_rate * factor * phase.layer_decay**above
    return rates


def phase_reports(recipe: Recipe, epochs: float) -> tuple[PhaseReport, ...]:
    ends = [round(end * STEPS_PER_EPOCH) for end in borders(recipe, epochs)]
    total = sum(GROUP_SIZES.values()) + HEAD_SIZE
    return tuple(
        PhaseReport(
            phase=index, trainable=getattr(phase, "trainable", None) or phase.classifier, first_step=first,
            last_step=last, normalization=getattr(phase, "normalization", "eval"),
            num_trainable=sum(trainable(phase).values()), num_frozen=total - sum(trainable(phase).values()),
        )
        for index, (phase, first, last) in enumerate(zip(recipe.phases, [0, *ends], ends, strict=False))
    )  # fmt: skip


def trainable(phase: FitRecipe | TrainRecipe) -> dict[str, int]:
    """Parameters that train in a phase, by layer group; adapters are a fiftieth of their group."""
    if getattr(phase, "trainable", "") == "lora":
        return {**{name: size // 50 for name, size in GROUP_SIZES.items()}, "head": HEAD_SIZE}
    return {**{name: GROUP_SIZES[name] for name in trained_groups(phase)}, "head": HEAD_SIZE}


def layer_groups(recipe: Recipe, random_start: bool) -> tuple[LayerGroup, ...]:
    """What moved: only groups that trained, the more the nearer the head; a random start moves everything a lot."""
    found = []
    for place, (name, size) in enumerate({**GROUP_SIZES, "head": HEAD_SIZE}.items()):
        counts = tuple(trainable(phase).get(name, 0) for phase in recipe.phases)
        moved = 0.0 if not any(counts) else 1.2 if random_start else 0.9 if name == "head" else 1e-3 * 1.25**place
        updated = any(
            getattr(p, "normalization", "eval") == "train" and name in trained_groups(p) for p in recipe.phases
        )
        found.append(
            LayerGroup(
                name=name, num_parameters=size, num_trainable=counts, moved=moved,
                statistics_moved=None if name == "head" else 0.05 if updated else 0.0,
            )
        )  # fmt: skip
    return tuple(found)


def frozen_states(recipe: Recipe) -> tuple[FrozenState, ...]:
    """One for each phase in which part of the network does not train."""
    frozen = [i for i, phase in enumerate(recipe.phases) if getattr(phase, "trainable", "fit") != "all"]
    return tuple(FrozenState(phase=i, num_tensors=312, before="ab" * 32, after="ab" * 32) for i in frozen)


def trials(number: int, val_accuracy: float, seconds: float) -> tuple[Trial, ...]:
    """Trials of which the second is chosen and the last one failed."""
    tried = [{"learning_rate": 10.0 ** -(i + 1), "weight_decay": 5e-4} for i in range(number)]
    return tuple(
        Trial(
            number=i + 1, settings=settings, val_accuracy=None if i == number - 1 else val_accuracy - 0.02 * abs(i - 1),
            val_loss=None if i == number - 1 else 0.3, train_seconds=seconds / number, chosen=i == 1,
            error="the loss became nan" if i == number - 1 else None,
        )
        for i, settings in enumerate(tried)
    )  # fmt: skip


def as_recorded_before(outcome: RunOutcome) -> RunOutcome:
    """The outcome of an earlier version, which did not record any of this."""
    without = {"phases": (), "layer_groups": (), "trials": (), "tuning_seconds": 0.0, "floors": ()}
    return outcome.model_copy(update={**without, "model_bytes": None, "latency_ms": None})
