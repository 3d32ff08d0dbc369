"""What settings are called on screen, one row of data each, with what an axis of them needs."""

from typing import NamedTuple


class SettingWords(NamedTuple):
    """label: with its unit. counts: whole numbers that belong on an even axis, however far apart they are."""

    label: str
    counts: bool = False


# By field name of `recipes.TrainRecipe`, `FitRecipe` and `NetworkRecipe`.
SETTINGS: dict[str, SettingWords] = {
    "classifier": SettingWords("Classifier"),
    "optimizer": SettingWords("Optimiser"),
    "learning_rate": SettingWords("Learning rate of the head"),
    "backbone_learning_rate": SettingWords("Learning rate of the backbone"),
    "layer_decay": SettingWords("Learning rate of each layer group, relative to the one above"),
    "momentum": SettingWords("Momentum"),
    "nesterov": SettingWords("Nesterov momentum"),
    "weight_decay": SettingWords("Weight decay"),
    "decay_norms": SettingWords("Weight decay on norms and biases"),
    "schedule": SettingWords("Learning rate schedule"),
    "warmup": SettingWords("Warm-up (part of the phase)"),
    "augmentation": SettingWords("Augmentation"),
    "noise": SettingWords("Noise on pixels (standard deviation, pixels from 0 to 1)"),
    "normalization": SettingWords("Normalisation statistics"),
    "label_smoothing": SettingWords("Label smoothing"),
    "class_balance": SettingWords("Class balance"),
    "gradient_clip": SettingWords("Largest gradient norm (0: no limit)"),
    "patience": SettingWords("Early stopping (evaluations without a better one; 0: never)", counts=True),
    "last_groups": SettingWords("Layer groups that train, counted from the head", counts=True),
    "lora_rank": SettingWords("Rank of the adapters (LoRA)"),
    "lora_alpha": SettingWords("Scale of the adapters (LoRA alpha)"),
    "c_low": SettingWords("Regularisation sweep, log10 of the lowest C"),
    "c_high": SettingWords("Regularisation sweep, log10 of the highest C"),
    "neighbors": SettingWords("Neighbours"),
    "views": SettingWords("Augmented copies of each training image (stored features)", counts=True),
    "cut_at": SettingWords("Layer groups kept of the network, counted from the input", counts=True),
    "layers": SettingWords("Layers that the head sees"),
    "hidden_units": SettingWords("Hidden units in the head (0: a linear head)", counts=True),
    "head_dropout": SettingWords("Dropout before the head's layers"),
    "grayscale": SettingWords("One grey input channel"),
}
NOT_IN_PHASES = frozenset({"last_groups", "cut_at", "layers", "hidden_units", "head_dropout", "grayscale"})


def words_of(key: str) -> SettingWords:
    """The words for a setting; `N.KEY`, which is for one phase alone, says the phase."""
    phase, dot, name = key.rpartition(".")
    known = SETTINGS.get(name, SettingWords(name.replace("_", " ").capitalize()))
    return known._replace(label=f"{known.label}, phase {phase}") if dot else known
