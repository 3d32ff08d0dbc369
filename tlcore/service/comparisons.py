"""Comparisons: launch, watch, cancel, read."""

import shlex
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping

import pandas as pd

from tlcore import jobs, tracking
from tlcore.analysis.caveats import notes_of
from tlcore.analysis.comparison import leaderboard, result_of
from tlcore.analysis.report import as_data, figure_sections
from tlcore.analysis.statistics.estimates import all_right
from tlcore.analysis.verdict import judged, verdict_of
from tlcore.errors import JobError
from tlcore.results import (
    DEFAULT_MARGIN,
    ENDED,
    GATHERED,
    STOPPED,
    ComparisonRecord,
    ComparisonResult,
    ComparisonSummary,
    JobView,
)
from tlcore.service import recorded
from tlcore.service.estimate import cheapest_first
from tlcore.service.gathering import gather
from tlcore.service.joining import missing, union
from tlcore.service.matching import require_same_tests
from tlcore.service.plans import Plan
from tlcore.settings import get_settings
from tlcore.spec import RunSpec

POLL_SECONDS = 0.3


def submit(
    plan: Plan,
    owner: str | None = None,
    add_to: str | None = None,
    purpose: str = "",
    cells: Collection[tuple[str, str]] | None = None,
) -> str:
    """Create the MLflow runs, queue them, see that the supervisor lives; returns the comparison's id at once.

    add_to: a comparison of the same family, tested on the same images; runs that it already has are not made again.
    purpose: of a new one, as of `tracking.create_comparison`. cells: of what is added, these models and strategies
    alone, on seeds that are new: where somebody has added one of the seeds meanwhile, nothing is; None for all of the
    plan.
    Raises: SpecError, StorageError, NotFoundError.
    """
    settings = get_settings()
    name = settings.owner if owner is None else owner
    if add_to is None:
        comparison_id = tracking.create_comparison(settings, plan.spec, plan.dataset, name, purpose)
        _queue(comparison_id, plan.runs, plan, name)
        return comparison_id
    with tracking.growing_lock(settings):
        existing = record(add_to)
        if cells is None or not set(plan.spec.seeds) & set(existing.spec.seeds):
            wanted = [run for run in missing(plan, existing) if cells is None or (run.model, run.strategy) in cells]
            require_same_tests(existing)
            grown = union(existing.spec, plan.spec)
            looks = existing.looks + (grown.seeds != existing.spec.seeds and not _is_settled(existing))
            tracking.extend_comparison(settings, add_to, grown, plan.dataset, looks)
            _queue(add_to, wanted, plan, name)
    return add_to


def _queue(comparison_id: str, runs: Iterable[RunSpec], plan: Plan, owner: str) -> None:
    settings = get_settings()
    ordered = cheapest_first(plan, runs)
    made = [(tracking.create_run(settings, comparison_id, run, plan.dataset, owner), run) for run in ordered]
    jobs.submit_runs(settings, comparison_id, made, plan.device)


def _is_settled(existing: ComparisonRecord) -> bool:
    """Whether the verdict so far says something: more seeds are then no further chance to say it."""
    verdict = verdict_of(existing, all_right(all_predictions(existing)))
    return existing.status in ENDED and verdict.status in {"winner", "tie"}


def list_comparisons(limit: int = 20, offset: int = 0) -> list[ComparisonSummary]:
    """Recent comparisons, newest first."""
    return tracking.list_comparisons(get_settings(), limit, offset)


def record(comparison_id: str) -> ComparisonRecord:
    """A comparison with its runs, curves and matrices; a shipped recording by its own id.

    `runs:ID,ID…` is what `gathering.gather` makes of these runs. Raises: NotFoundError, SpecError.
    """
    if comparison_id == recorded.RECORDED_ID:
        return recorded.record()
    if comparison_id.startswith(GATHERED):
        return gather(comparison_id)
    return tracking.load_comparison(get_settings(), comparison_id)


def predictions(run_id: str) -> pd.DataFrame:
    """Per-image predictions of a finished run: columns split, path, label, predicted, prob_0 … prob_K-1."""
    found = recorded.predictions(run_id)
    return tracking.load_predictions(get_settings(), run_id) if found is None else found


def all_predictions(whole: ComparisonRecord) -> dict[str, pd.DataFrame]:
    """The predictions of every finished run, by run id."""
    if whole.comparison_id == recorded.RECORDED_ID:
        return recorded.all_predictions()
    if whole.comparison_id.startswith(GATHERED):
        return {run.run_id: predictions(run.run_id) for run in whole.runs if run.status == "FINISHED"}
    return tracking.load_all_predictions(get_settings(), whole)


def result(comparison_id: str, margin: float = DEFAULT_MARGIN) -> ComparisonResult:
    """The JSON contract's value, closer looks included. margin: accuracy in [0, 1] below which nothing matters."""
    whole = record(comparison_id)
    return whole_result(whole, all_predictions(whole), margin)


def whole_result(
    whole: ComparisonRecord, answers: Mapping[str, pd.DataFrame], margin: float = DEFAULT_MARGIN
) -> ComparisonResult:
    """The same of a comparison that was read already. answers: as of `all_predictions`."""
    decision = judged(whole, all_right(answers), margin).decision
    sections = as_data(figure_sections(whole, leaderboard(whole, answers), answers, decision))
    return result_of(whole, answers, margin).model_copy(update={"sections": sections})


def notes(comparison_id: str) -> list[str]:
    """What runs noted while they ran, such as the batch size that was found, one line each. Raises: NotFoundError."""
    return notes_of(record(comparison_id))


def jobs_of(comparison_id: str) -> list[JobView]:
    """The queue's view of a comparison's runs, in order; open ones are seen to, as after a crash of the supervisor.

    Gathered runs have none here: each is seen to in its own comparison.
    """
    if comparison_id.startswith(GATHERED):
        return []
    jobs.recover(get_settings())
    return jobs.jobs_of(get_settings(), comparison_id)


def all_jobs(limit: int = 200) -> list[JobView]:
    """Queued, running and recently ended jobs, newest first."""
    return jobs.recent(get_settings(), limit)


def watch(comparison_id: str) -> Iterator[list[JobView]]:
    """The jobs of a comparison, again and again until all have ended and MLflow says so too."""
    settings = get_settings()
    while True:
        yield jobs_of(comparison_id)
        if jobs.is_settled(settings, comparison_id):
            return
        time.sleep(POLL_SECONDS)


def cancel(comparison_id: str) -> None:
    """Stop a comparison: waiting runs end at once, the running one at its next batch."""
    jobs.cancel(get_settings(), [job.id for job in jobs_of(comparison_id)])


def cancel_run(run_id: str) -> None:
    """Stop one run."""
    jobs.cancel(get_settings(), [run_id])


def retry_runs(ids: list[str]) -> list[str]:
    """Queue runs again that failed or were cancelled: from their checkpoint where one is kept, else from the start.

    ids: of runs, or of comparisons for all such runs of theirs. Returns those of the runs.
    Raises: JobError, NotFoundError; then none is queued. StorageError.
    """
    settings, wanted = get_settings(), list[str]()
    for given in ids:
        known = jobs.jobs_of(settings, given)
        stopped = [job.id for job in known if job.status in STOPPED]
        if known and not stopped:
            raise JobError(f"comparison {given} has no run that failed or was cancelled")
        wanted += stopped or [given]
    jobs.retry(settings, wanted)
    return wanted


def log_tail(run_id: str, lines: int = 40) -> str:
    """The end of what the run's worker printed."""
    return jobs.log_tail(get_settings(), run_id, lines)


def mlflow_command() -> str:
    """The command that opens MLflow's own pages on this store."""
    return shlex.join([sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", get_settings().tracking_uri])


def mlflow_page(comparison_id: str) -> str:
    """The comparison's address in MLflow's own pages, once `mlflow_command` runs."""
    return tracking.page_of(get_settings(), comparison_id)
