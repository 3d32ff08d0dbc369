"""What a strategy is: how a run starts, and a list of phases that say what trains when."""

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

Start = Literal["random", "pretrained"]
Classifier = Literal["logistic_regression", "linear_svm", "knn"]
CLASSIFIERS: tuple[Classifier, ...] = ("logistic_regression", "linear_svm", "knn")
SettingValue = bool | int | float | str
Settings = Mapping[str, SettingValue]

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class Fit:
    """One pass through the frozen backbone, then a classifier fitted on the stored features.

    settings: values on top of the recipe's, by field name of `recipes.FitRecipe`.
    """

    classifier: Classifier = "logistic_regression"
    settings: dict[str, SettingValue] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, config=_STRICT)
class Train:
    """Gradient steps on part of the network.

    trainable: `head`, `all`, `last` (the layer groups nearest the head, as many as the setting `last_groups` says,
        and the head), `last:K`, `lora` (low-rank adapters in the linear layers, and the head), or a regular
        expression searched in parameter names.
    share: this phase's part of the budget; shares of a strategy sum to 1.
    recipe: the row of `recipes.RECIPES` that gives the phase's defaults.
    settings: values on top of that row, by field name of `recipes.TrainRecipe`.
    """

    trainable: str
    share: float
    recipe: str
    settings: dict[str, SettingValue] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, config=_STRICT)
class Unfreeze:
    """The head first, then one more layer group per stage from the top: as many phases as the model has groups.

    share: of all stages together, split evenly. recipe, settings: as of `Train`, for every stage.
    """

    share: float
    recipe: str
    settings: dict[str, SettingValue] = field(default_factory=dict, hash=False)


Phase = Fit | Train | Unfreeze


@dataclass(frozen=True, config=_STRICT)
class Strategy:
    """One way to start and to train; `label` says both, `also_called` lists other names in use.

    core: part of a comparison for which no strategy is named. chosen_for: why one would take it.
    """

    id: str
    label: str
    short_label: str
    description: str
    start: Start
    phases: tuple[Phase, ...]
    color: str
    aliases: tuple[str, ...] = ()
    also_called: tuple[str, ...] = ()
    core: bool = False
    chosen_for: str = ""

    @property
    def needs_weights(self) -> bool:
        return self.start == "pretrained"

    @property
    def freezes(self) -> bool:
        """Whether any phase leaves part of the network as it is."""
        return any(not isinstance(p, Train) or p.trainable != "all" for p in self.phases)
