"""Runs with given validation curves, for tests of what is read off them."""

from tests.records import Example, example
from tlcore.results import EvaluationPoint

NUM_TRAIN = 194


def curve(values, seconds=None, images=NUM_TRAIN, fit=False):
    """Evaluations after 1, 2, … epochs of `images` each; a fit's at step 0. seconds: 10 an epoch where not given."""
    times = seconds or [10.0 * (i + 1) for i in range(len(values))]
    return tuple(
        EvaluationPoint(
            step=0 if fit else i + 1, epoch=0.0 if fit else i + 1.0, images_seen=images if fit else images * (i + 1),
            train_seconds=s, timestamp_ms=0, phase=0, val_accuracy=v,
        )
        for i, (v, s) in enumerate(zip(values, times, strict=True))
    )  # fmt: skip


def with_curves(curves, outcome=None, **more):
    """A comparison whose runs have these histories. curves: by strategy, one for each seed, the same for all fractions.

    outcome: of a strategy's runs, values in place of the example's.
    """
    seeds = range(max(len(histories) for histories in curves.values()))
    built = example(strategies=list(curves), **{"seeds": seeds, **more})
    runs = []
    for run in built.record.runs:
        changed = {"history": curves[run.spec.strategy][run.spec.seed]}
        if run.outcome:
            known = {"did_not_learn": False, **(outcome or {}).get(run.spec.strategy, {})}
            changed["outcome"] = run.outcome.model_copy(update=known)
        runs.append(run.model_copy(update=changed))
    return Example(built.record.model_copy(update={"runs": tuple(runs)}), built.predictions)
