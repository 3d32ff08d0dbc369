"""The part of the Launch form on whose images the runs are tested, and with which seeds."""

import streamlit as st

from pages.shared.words import numbers, plain
from tlcore.service import datasets
from tlcore.service.datasets import DatasetInfo
from tlcore.spec import FIXED, MAX_FOLDS, REPEATED, SplitPlan, split_plan

FOLDS = "kfold"
PLANS = {
    FIXED: "the same for every seed",
    REPEATED: "drawn anew by each seed (repeated splits)",
    FOLDS: "one fold of the images after the other (k-fold)",
}
PLAN_HELP = (
    "The same test images for every seed are the usual choice. With few images, let each seed draw its own, or test "
    "one fold after the other: the result then depends less on which images happen to be tested. Near duplicates "
    "always stay on one side, and pictures under several classes in training."
)
GIVEN_HELP = "This dataset brings its own test images. To draw others, add it again without its train and test folders."


def choose_split(info: DatasetInfo) -> SplitPlan:
    """The plan, and a sentence on what it does to this dataset. Raises: SplitError where a class is too small."""
    given = info.given != "none"
    left, right = st.columns([3, 1], gap="medium")
    kind = left.selectbox(
        "Test images", [FIXED] if given else list(PLANS), format_func=PLANS.__getitem__, disabled=given,
        key="split_given" if given else "split", help=GIVEN_HELP if given else PLAN_HELP, persist_state="session",
    )  # fmt: skip
    folds = 0
    if kind == FOLDS:
        folds = right.number_input("Folds", 2, MAX_FOLDS, 5, step=1, key="folds", persist_state="session")
    plan = split_plan(f"{FOLDS}:{int(folds)}" if folds else kind)
    st.caption(plain(datasets.split_note(info, str(plan))))
    datasets.split_sizes(info.id, plan=str(plan))
    return plan


def choose_seeds(plan: SplitPlan) -> tuple[int, ...]:
    """`0 … n−1`, or the ones that were typed; of k-fold, whole rounds of its folds. Raises: SpecError."""
    if plan.folds:
        rounds = st.number_input(
            f"Rounds of all {plan.folds} folds", 1, 50, 1, key="num_rounds", persist_state="session",
            help=f"A round is {plan.folds} seeds: each trains without one fold and is tested on it, so that every "
            "image is tested once, pictures under several classes aside. Further rounds deal the images anew and "
            "make the comparison surer.",
        )  # fmt: skip
        number = plan.folds * int(rounds)
    else:
        parts = "train/validation split" if plan.is_fixed else "test, validation and training images"
        number = st.number_input(
            "Seeds per strategy", 1, 50, 3, key="num_seeds", persist_state="session",
            help=f"Each seed repeats every run with another random start, order and {parts}. More seeds make the "
            "comparison surer.",
        )  # fmt: skip
    typed = st.text_input(
        "Or exactly these seeds", key="seed_list", placeholder="0, 1, 2", persist_state="session",
        help=f"Seed s tests fold s mod {plan.folds}, counted from 0." if plan.folds else None,
    )  # fmt: skip
    return tuple(numbers(typed, int, "seeds")) if typed.strip() else tuple(range(int(number)))
