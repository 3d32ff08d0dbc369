"""The strategies, as data: how a run starts, and what trains when.

A new strategy is a new entry of `STRATEGIES`; forms, command line, docs table and family tests pick it up.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from tlcore.errors import AmbiguousStrategyError, UnknownStrategyError

Start = Literal["random", "pretrained"]
Classifier = Literal["logistic_regression", "linear_svm", "knn"]
CLASSIFIERS: tuple[Classifier, ...] = ("logistic_regression", "linear_svm", "knn")


@dataclass(frozen=True)
class Fit:
    """One pass through the frozen backbone, then a classifier fitted on the stored features."""

    classifier: Classifier = "logistic_regression"


@dataclass(frozen=True)
class Train:
    """Gradient steps on part of the network.

    trainable: `head`, `all`, `last:K` (the K layer groups nearest the head, and the head), or a regular
        expression searched in parameter names.
    share: this phase's part of the budget; shares of a strategy sum to 1.
    recipe: the row of `recipes.RECIPES` that gives the phase's defaults.
    """

    trainable: str
    share: float
    recipe: str


Phase = Fit | Train


@dataclass(frozen=True)
class Strategy:
    """One way to start and to train; `label` says both, `also_called` lists other names in use."""

    id: str
    label: str
    short_label: str
    description: str
    start: Start
    phases: tuple[Phase, ...]
    color: str
    aliases: tuple[str, ...] = ()
    also_called: tuple[str, ...] = ()

    @property
    def needs_weights(self) -> bool:
        return self.start == "pretrained"

    @property
    def freezes(self) -> bool:
        """Whether any phase leaves part of the network as it is."""
        return any(isinstance(p, Fit) or p.trainable != "all" for p in self.phases)


# Colours: Okabe & Ito (2008), told apart by colour-blind eyes, on white and on dark alike.
_ENTRIES = (
    Strategy(
        id="from_scratch",
        label="From scratch: random start, train all",
        short_label="From scratch",
        description="Random weights; every layer learns from your images alone.",
        start="random",
        phases=(Train("all", 1.0, "from_scratch"),),
        color="#D55E00",
        aliases=("scratch", "random_init"),
    ),
    Strategy(
        id="feature_extraction",
        label="Feature extraction: stored features + classifier",
        short_label="Feature extraction",
        description="One pass through the pretrained network; a classifier is fitted on the stored features.",
        start="pretrained",
        phases=(Fit(),),
        color="#0072B2",
        aliases=("features", "cnn_feature_extractor", "workflow_2"),
        also_called=("CNN feature extractor", "workflow 2"),
    ),
    Strategy(
        id="transfer_learning",
        label="Transfer learning: frozen backbone, new head",
        short_label="Transfer learning",
        description="The pretrained network stays as it is, normalisation statistics too; only a new head trains.",
        start="pretrained",
        phases=(Train("head", 1.0, "head"),),
        color="#009E73",
        aliases=("frozen", "fixed_feature_extractor", "freeze_layers", "last_layer_only", "workflow_1"),
        also_called=("fixed feature extractor", "freeze layers", "last layer only", "workflow 1"),
    ),
    Strategy(
        id="fine_tuning",
        label="Fine-tuning: pretrained start, train all",
        short_label="Fine-tuning",
        description="Pretrained weights; every layer trains from the first step, the backbone at a lower rate.",
        start="pretrained",
        phases=(Train("all", 1.0, "fine_tuning"),),
        color="#CC79A7",
        aliases=("full_fine_tuning",),
        also_called=("full fine-tuning", '"pre-training" in some courses'),
    ),
    Strategy(
        id="staged_fine_tuning",
        label="Staged fine-tuning: head first, then all",
        short_label="Staged fine-tuning",
        description="First only the new head trains, then every layer at a lower rate.",
        start="pretrained",
        phases=(Train("head", 1 / 3, "head"), Train("all", 2 / 3, "second_stage")),
        color="#E69F00",
        aliases=("staged", "lp_ft"),
        also_called=('"fine-tuning" in courses that transfer first',),
    ),
)
STRATEGIES: dict[str, Strategy] = {entry.id: entry for entry in _ENTRIES}

# Names that courses and papers use for different strategies.
_AMBIGUOUS: dict[str, tuple[str, ...]] = {
    "transfer": ("transfer_learning", "feature_extraction"),
    "finetune": ("fine_tuning", "staged_fine_tuning"),
    "fine_tune": ("fine_tuning", "staged_fine_tuning"),
    "feature_extractor": ("feature_extraction", "transfer_learning"),
    "linear_probe": ("feature_extraction", "transfer_learning"),
    "pre_training": ("fine_tuning", "from_scratch"),
    "pretraining": ("fine_tuning", "from_scratch"),
}


def find_strategy(name: str) -> Strategy:
    """The strategy of this id or unambiguous alias, whatever its case, spaces and hyphens.

    Raises: UnknownStrategyError, AmbiguousStrategyError.
    """
    key = name.strip().lower().replace("-", "_").replace(" ", "_")
    if key in STRATEGIES:
        return STRATEGIES[key]
    if key in _AMBIGUOUS:
        both = " or ".join(f"{i} ({STRATEGIES[i].label})" for i in _AMBIGUOUS[key])
        raise AmbiguousStrategyError(f"strategy {name!r} means different things to different people: say {both}")
    for entry in STRATEGIES.values():
        if key in entry.aliases:
            return entry
    near = get_close_matches(key, STRATEGIES, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UnknownStrategyError(f"unknown strategy {name!r}: {hint}choose from {', '.join(STRATEGIES)}")


Block = Literal["frozen", "training"]


@dataclass(frozen=True)
class PhaseBlocks:
    """What one phase does to the network's parts, for drawing: a state for each backbone block, and the head's."""

    title: str
    share: float
    backbone: tuple[Block, ...]
    backbone_from: Start
    head: Literal["training", "fitted"]


def phase_blocks(strategy: Strategy, num_blocks: int = 4) -> list[PhaseBlocks]:
    """The strip of blocks of each phase, generated from the entry: `num_blocks` backbone blocks, then the head."""
    return [_blocks_of(phase, strategy.start, num_blocks) for phase in strategy.phases]


def _blocks_of(phase: Phase, start: Start, num_blocks: int) -> PhaseBlocks:
    if isinstance(phase, Fit):
        title = f"fit {phase.classifier.replace('_', ' ')}"
        return PhaseBlocks(title, 1.0, _states(0, num_blocks), start, "fitted")
    trained = {"head": 0, "all": num_blocks}.get(phase.trainable)
    if trained is None:
        count = phase.trainable.removeprefix("last:")
        trained = min(int(count), num_blocks) if count.isdigit() else num_blocks
    title = {"head": "train head", "all": "train all"}.get(phase.trainable, f"train {phase.trainable}")
    return PhaseBlocks(title, phase.share, _states(trained, num_blocks), start, "training")


def _states(trained: int, num_blocks: int) -> tuple[Block, ...]:
    """The blocks nearest the head train."""
    return tuple("training" if index >= num_blocks - trained else "frozen" for index in range(num_blocks))
