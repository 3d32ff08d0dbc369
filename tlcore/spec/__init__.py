"""What a person asks for: a comparison, and the runs that it expands to. Frozen, and unknown keys are refused."""

from tlcore.spec.complaints import checked
from tlcore.spec.grid import MAX_RUNS, WEIGHTS_FORMS, ComparisonSpec
from tlcore.spec.runs import MAX_SEED, MAX_TRIALS, Budget, Frozen, RunSpec, SharedSpec, content_fingerprint

__all__ = [
    "MAX_RUNS",
    "MAX_SEED",
    "MAX_TRIALS",
    "WEIGHTS_FORMS",
    "Budget",
    "ComparisonSpec",
    "Frozen",
    "RunSpec",
    "SharedSpec",
    "checked",
    "content_fingerprint",
]
