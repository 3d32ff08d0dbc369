"""What the settings of a recipe are called on screen, what they do, and where they stand: one row of data each."""

from typing import Any, NamedTuple


class SettingWords(NamedTuple):
    """label: with its unit. help: what the setting does. counts: whole numbers that belong on an even axis."""

    label: str
    help: str = ""
    counts: bool = False


# What values are called, other than numbers.
VALUES: dict[Any, str] = {
    True: "yes",
    False: "no",
    "crop_flip": "random crop and flip",
    "trivial_augment": "TrivialAugment",
    "flip": "flip only",
    "none": "none",
    "loss_weights": "rare classes count more in the loss",
    "balanced_sampling": "rare classes are drawn more often",
    "train": "updated from your images",
    "eval": "kept as pretrained",
    "sgd": "SGD with momentum",
    "adamw": "AdamW",
    "adam": "Adam",
    "step": "a tenth at each third",
    "logistic_regression": "logistic regression",
    "linear_svm": "linear SVM",
    "knn": "nearest neighbours",
    "penultimate": "the network's own features",
    "last_conv": "the last feature map, pooled",
}
NETWORK = "Network"
_W = SettingWords
_SWEEP = "C is the inverse strength of regularisation; the best on validation is taken."
# Groups in the order shown, with their settings. Those of the network hold for all phases.
GROUPS: dict[str, dict[str, SettingWords]] = {
    "Learning": {
        "learning_rate": _W("Learning rate of the head", "How far each step moves the new classifier."),
        "backbone_learning_rate": _W("Learning rate of the backbone", "How far each step moves the other layers."),
        "layer_decay": _W("Layer decay (factor)",
                          "The backbone's rate is multiplied with this at each layer group further down."),
        "optimizer": _W("Optimiser", "The rule that turns gradients into steps."),
        "momentum": _W("Momentum", "How much of the last step's direction is kept."),
        "nesterov": _W("Nesterov momentum", "A variant of momentum that looks ahead."),
        "schedule": _W("Learning rate schedule", "cosine and linear fall to zero; constant stays."),
        "warmup": _W("Warm-up (part of the phase)", "The rate rises from zero over this part, such as 0.05."),
        "gradient_clip": _W("Gradient clipping (norm)", "The largest length of a step's gradient; 0 for no limit."),
        "patience": _W("Early stopping (evaluations)",
                       "The phase ends after so many without a better one; 0 for never.", counts=True),
    },
    "Regularisation": {
        "weight_decay": _W("Weight decay", "Pulls weights towards zero, against overfitting."),
        "decay_norms": _W("Weight decay on norms and biases", "Whether they, tokens and positions are pulled too."),
        "label_smoothing": _W("Label smoothing", "Softens the target, against overconfidence."),
        "normalization": _W("Normalisation statistics",
                            "Mean and spread inside the network: follow your images, or stay as pretrained."),
    },
    "Augmentation and balance": {
        "augmentation": _W("Augmentation", "Random changes of the training images."),
        "noise": _W("Gaussian noise (standard deviation)",
                    "Added to pixels between 0 and 1, such as 0.05; 0 for none."),
        "class_balance": _W("Class balance", "For classes with very different numbers of images."),
    },
    "Adapters": {
        "lora_rank": _W("Rank of the adapters (LoRA)", "More can learn more, and takes more memory."),
        "lora_alpha": _W("Scale of the adapters (LoRA alpha)", "Their effect is multiplied with alpha ÷ rank."),
    },
    "Classifier on stored features": {
        "classifier": _W("Classifier", "Logistic regression, linear SVM, or nearest neighbours."),
        "c_low": _W("Smallest C tried (power of ten)", _SWEEP),
        "c_high": _W("Largest C tried (power of ten)", _SWEEP),
        "neighbors": _W("Neighbours (images)", "How many training images vote.", counts=True),
        "views": _W("Augmented views (per image)", "Changed copies of each training image whose features are stored "
                    "too; each costs one more pass.", counts=True),
    },
    NETWORK: {
        "cut_at": _W("Layer groups kept of the network, counted from the input",
                     "What lies above is dropped; the head sees the last one kept.", counts=True),
        "layers": _W("Features that the head sees",
                     "You may type several layer groups: 3+4+5 puts them side by side."),
        "hidden_units": _W("Hidden layer in the head (units)", "0 for a linear head.", counts=True),
        "head_dropout": _W("Dropout in the head (part)",
                           "This part of the head's inputs is left out at each step."),
        "grayscale": _W("Grayscale", "One input channel instead of three colours."),
    },
}  # fmt: skip
# Settings that stand in no group: they have a place of their own in a form.
_OTHERS = {"last_groups": _W("Layer groups that train, counted from the head", counts=True)}
SETTINGS = {name: words for group in GROUPS.values() for name, words in group.items()} | _OTHERS


def words_of(key: str) -> SettingWords:
    """The words for a setting; `N.KEY`, which is for one phase alone, says the phase."""
    phase, dot, name = key.rpartition(".")
    known = SETTINGS.get(name, SettingWords(name.replace("_", " ").capitalize()))
    return known._replace(label=f"{known.label}, phase {phase}") if dot else known
