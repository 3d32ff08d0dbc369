"""Advanced settings: every field of a strategy's recipe, with the default that it would get."""

from typing import Any, Literal, get_args, get_origin

import streamlit as st
from pydantic.fields import FieldInfo

from tlcore.recipes import Recipe
from tlcore.strategies import STRATEGIES

WORDS: dict[Any, str] = {
    True: "yes",
    False: "no",
    "crop_flip": "random crop and flip",
    "train": "updated from your images",
    "eval": "kept as pretrained",
    "sgd": "SGD with momentum",
    "adamw": "AdamW",
    "logistic_regression": "logistic regression",
    "linear_svm": "linear SVM",
    "knn": "nearest neighbours",
}
NOT_OFFERED = frozenset({"trainable", "share"})
LABELS = {
    "learning_rate": ("Learning rate of the head", "How far each step moves the new classifier."),
    "backbone_learning_rate": ("Learning rate of the backbone", "How far each step moves the rest of the network."),
    "momentum": ("Momentum", "How much of the last step's direction is kept."),
    "nesterov": ("Nesterov momentum", "A variant of momentum that looks ahead."),
    "weight_decay": ("Weight decay", "Pulls weights towards zero, against overfitting."),
    "decay_norms": ("Weight decay on norms and biases", "Whether normalisation layers and biases are pulled too."),
    "schedule": ("Learning rate schedule", "cosine: falls smoothly to zero. constant: stays."),
    "warmup": ("Warm-up (part of the phase)", "The rate rises from zero over this part, such as 0.05."),
    "augmentation": ("Augmentation", "Random crops and flips of the training images."),
    "normalization": (
        "Normalisation statistics",
        "Mean and spread inside the network: follow your images, or stay as pretrained.",
    ),
    "label_smoothing": ("Label smoothing", "Softens the target, against overconfidence."),
    "classifier": ("Classifier on the stored features", "Logistic regression, linear SVM, or nearest neighbours."),
    "c_low": ("Weakest C tried (power of ten)", "C is the inverse strength of regularisation; the best is chosen."),
    "c_high": ("Strongest C tried (power of ten)", "C is the inverse strength of regularisation; the best is chosen."),
    "neighbors": ("Neighbours", "For the nearest-neighbour classifier: how many vote."),
    "optimizer": ("Optimiser", "The rule that turns gradients into steps."),
}


def recipe_fields(recipe: Recipe) -> dict[str, Any]:
    """A widget for each setting of the recipe; only what was changed comes back."""
    entry = STRATEGIES[recipe.strategy]
    fields: dict[str, FieldInfo] = {}
    for phase in recipe.phases:
        fields |= {n: f for n, f in type(phase).model_fields.items() if n not in NOT_OFFERED}
    with st.expander(entry.label), st.grid(3, min_column_width=220, vertical_alignment="bottom"):
        values = {name: _widget(recipe, name, field) for name, field in fields.items()}
    return {name: value for name, value in values.items() if value is not None}


def _widget(recipe: Recipe, name: str, field: FieldInfo) -> Any:
    label, explained = LABELS.get(name, (name.replace("_", " ").capitalize(), None))
    key = f"set_{recipe.strategy}_{name}"
    default = _default(recipe, name)
    kind = field.annotation
    choices = [True, False] if kind is bool else list(get_args(kind)) if get_origin(kind) is Literal else None
    if choices:
        words = {None: f"default: {default}", **WORDS}
        return st.selectbox(
            label,
            [None, *choices],
            format_func=lambda v: words.get(v, str(v)),
            key=key,
            help=explained,
            persist_state="session",
        )
    return st.number_input(
        label, value=None, step=1 if kind is int else None, format="%d" if kind is int else "%g", key=key,
        help=explained, placeholder=f"default: {default}", persist_state="session",
    )  # fmt: skip


def _default(recipe: Recipe, name: str) -> str:
    """The resolved value, or one for each phase where they differ: `0.01, then 0.001`."""
    values = [getattr(phase, name) for phase in recipe.phases if hasattr(phase, name)]
    shown = [
        f"{v:g}" if isinstance(v, int | float) and not isinstance(v, bool) else WORDS.get(v, str(v)) for v in values
    ]
    return ", then ".join(dict.fromkeys(shown))
