"""What a person asks for: a comparison, and the runs that it expands to. Frozen, and unknown keys are refused."""

from tlcore.spec.complaints import checked, in_words
from tlcore.spec.grid import MAX_RUNS, WEIGHTS_FORMS, ComparisonSpec
from tlcore.spec.runs import MAX_SEED, MAX_TRIALS, Budget, Frozen, RunSpec, SharedSpec, content_fingerprint
from tlcore.spec.splitting import FIXED, MAX_FOLDS, REPEATED, SPLIT_FORMS, SplitPlan, split_plan

__all__ = [
    "FIXED",
    "MAX_FOLDS",
    "MAX_RUNS",
    "MAX_SEED",
    "MAX_TRIALS",
    "REPEATED",
    "SPLIT_FORMS",
    "WEIGHTS_FORMS",
    "Budget",
    "ComparisonSpec",
    "Frozen",
    "RunSpec",
    "SharedSpec",
    "SplitPlan",
    "checked",
    "content_fingerprint",
    "in_words",
    "split_plan",
]
