"""The table of recipes: one row per name in a strategy's phases, by kind of network.

Sources: SimCLR (Chen et al. 2020) B.8; Kornblith et al. 2019; Salman et al. 2020; LP-FT (Kumar et al. 2022);
ULMFiT (Howard & Ruder 2018); LoRA (Hu et al. 2022); torchvision's training reference.
"""

from tlcore.recipes.values import Family
from tlcore.strategies import SettingValue

Row = dict[str, SettingValue]

# Where C is looked for, other than FitRecipe's own range: a linear SVM between 1e-4 and 10 (CS231n notes).
SWEEPS: dict[str, Row] = {"linear_svm": {"c_low": -4, "c_high": 1}}
LAYER_DECAY = 1 / 2.6  # ULMFiT's rate of each lower group, relative to the one above
DECAYED_GROUPS = 4  # ULMFiT's network had as many: a deeper one spreads the same fall over its groups
# The largest gradient norm of a convolutional network that trains at full rates: 5 to 20 are usual, but 25 to 90 come
# in the first steps, in which a new head does not fit yet, and can undo what was transferred. A second stage has rates
# ten times lower and a head that fits. Measured: README.
LONGEST_GRADIENT = 10.0
_SGD_HEAD: Row = {"learning_rate": 1e-2, "weight_decay": 5e-4}
_FINE_TUNING: dict[Family, Row] = {
    "cnn": {"nesterov": True, "learning_rate": 1e-2, "backbone_learning_rate": 1e-3, "warmup": 0.05,
            "normalization": "train", "gradient_clip": LONGEST_GRADIENT},
    "transformer": {"optimizer": "adamw", "learning_rate": 1e-3, "backbone_learning_rate": 1e-4,
                    "weight_decay": 0.05, "warmup": 0.1},
}  # fmt: skip
_LORA: Row = {"optimizer": "adamw", "learning_rate": 1e-3, "backbone_learning_rate": 1e-3, "weight_decay": 0.0,
              "warmup": 0.1, "augmentation": "none"}  # fmt: skip
# One row per name in strategies.Train.recipe, by model family. Learning rates are per batch of 64.
RECIPES: dict[str, dict[Family, Row]] = {
    "head": {"cnn": _SGD_HEAD, "transformer": _SGD_HEAD},
    "fine_tuning": _FINE_TUNING,
    "gradual": {family: {**row, "layer_decay": LAYER_DECAY} for family, row in _FINE_TUNING.items()},
    "second_stage": {  # LP-FT: rates exactly 10 times below plain fine-tuning, no weight decay
        "cnn": {"learning_rate": 1e-3, "backbone_learning_rate": 1e-4, "weight_decay": 0.0},
        "transformer": {"optimizer": "adamw", "learning_rate": 1e-4, "backbone_learning_rate": 1e-5,
                        "weight_decay": 0.0},
    },
    "lora": {"cnn": _LORA, "transformer": _LORA},
    "from_scratch": {
        "cnn": {"nesterov": True, "learning_rate": 1e-1, "backbone_learning_rate": 1e-1, "weight_decay": 5e-5,
                "warmup": 0.05, "label_smoothing": 0.1, "normalization": "train", "gradient_clip": LONGEST_GRADIENT},
        "transformer": {"optimizer": "adamw", "learning_rate": 1e-3, "backbone_learning_rate": 1e-3,
                        "weight_decay": 0.05, "warmup": 0.1, "label_smoothing": 0.1, "normalization": "train"},
    },
}  # fmt: skip
# What differs for convolutional networks without BatchNorm: at 1e-1 SqueezeNet stays at guessing. Measured: README.
WITHOUT_BATCH_NORM: dict[str, Row] = {"from_scratch": {"learning_rate": 1e-2, "backbone_learning_rate": 1e-2}}
