"""How the settings of a recipe are called on the page, what they do, and where they stand."""

from typing import Any, NamedTuple


class Words(NamedTuple):
    """A field's label, with its unit, and what it does."""

    label: str
    help: str


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
# Groups in the order shown, with their fields. Those of the network hold for all phases.
NETWORK = "Network"
GROUPS: dict[str, dict[str, Words]] = {
    "Learning": {
        "learning_rate": Words("Learning rate of the head", "How far each step moves the new classifier."),
        "backbone_learning_rate": Words("Learning rate of the backbone", "How far each step moves the other layers."),
        "layer_decay": Words(
            "Layer decay (factor)", "The backbone's rate is multiplied with this at each layer group further down."
        ),
        "optimizer": Words("Optimiser", "The rule that turns gradients into steps."),
        "momentum": Words("Momentum", "How much of the last step's direction is kept."),
        "nesterov": Words("Nesterov momentum", "A variant of momentum that looks ahead."),
        "schedule": Words("Learning rate schedule", "cosine and linear fall to zero; constant stays."),
        "warmup": Words("Warm-up (part of the phase)", "The rate rises from zero over this part, such as 0.05."),
        "gradient_clip": Words("Gradient clipping (norm)", "The largest length of a step's gradient; 0 for no limit."),
        "patience": Words(
            "Early stopping (evaluations)", "The phase ends after so many without a better one; 0 for never."
        ),
    },
    "Regularisation": {
        "weight_decay": Words("Weight decay", "Pulls weights towards zero, against overfitting."),
        "decay_norms": Words("Weight decay on norms and biases", "Whether these are pulled too."),
        "label_smoothing": Words("Label smoothing", "Softens the target, against overconfidence."),
        "normalization": Words(
            "Normalisation statistics",
            "Mean and spread inside the network: follow your images, or stay as pretrained.",
        ),
    },
    "Augmentation and balance": {
        "augmentation": Words("Augmentation", "Random changes of the training images."),
        "noise": Words(
            "Gaussian noise (standard deviation)", "Added to pixels between 0 and 1, such as 0.05; 0 for none."
        ),
        "class_balance": Words("Class balance", "For classes with very different numbers of images."),
    },
    "Adapters": {
        "lora_rank": Words("Rank of the adapters", "More can learn more, and takes more memory."),
        "lora_alpha": Words("Scale of the adapters (alpha)", "Their effect is multiplied with alpha ÷ rank."),
    },
    "Classifier on stored features": {
        "classifier": Words("Classifier", "Logistic regression, linear SVM, or nearest neighbours."),
        "c_low": Words("Smallest C tried (power of ten)", "C is the inverse strength of regularisation; the best on "
                       "validation is taken."),
        "c_high": Words("Largest C tried (power of ten)", "C is the inverse strength of regularisation; the best on "
                        "validation is taken."),
        "neighbors": Words("Neighbours (images)", "How many training images vote."),
        "views": Words("Augmented views (per image)", "Changed copies of each training image whose features are "
                       "stored too; each costs one more pass."),
    },
    NETWORK: {
        "cut_at": Words("Cut after layer group", "What lies above is dropped; the head sees this group's output."),
        "layers": Words("Features that the head sees", "You may type several layer groups: 3+4+5 puts them side by "
                        "side."),
        "hidden_units": Words("Hidden layer in the head (units)", "0 for a linear head."),
        "head_dropout": Words("Dropout in the head (part)", "This part of the head's inputs is left out at each step."),
        "grayscale": Words("Grayscale", "One input channel instead of three colours."),
    },
}  # fmt: skip
