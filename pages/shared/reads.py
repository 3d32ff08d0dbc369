"""Reads of the service that several pages or viewers repeat: bounded caches, keyed by the home."""

import streamlit as st

from tlcore.results import DEFAULT_MARGIN, ENDED, ComparisonRecord, ComparisonSummary, JobView
from tlcore.service import background, comparisons, insights, models, views
from tlcore.service.catalogue import CatalogueEntry
from tlcore.settings import get_settings

ACTIVE = frozenset({"QUEUED", "RUNNING"})


def home_key() -> str:
    """What tells one store from another, as part of every cache's key."""
    settings = get_settings()
    return f"{settings.root} {settings.tracking_uri}"


def look_ahead() -> None:
    """Ask for devices and models, which takes seconds, while the page goes on. Whoever needs them waits.

    An error is for the page that needs them: it asks again.
    """
    background.begin(_looked_up, home_key())


def warm_up() -> None:
    """Have a worker start, and the store opened, while a form is filled in: its checks and its runs need both.

    To be called once the form stands, as what it needs would wait for the worker.
    An error is for the check or the launch: they ask again.
    """
    background.begin(_warmed_up, home_key())


def catalogue() -> list[CatalogueEntry]:
    """Every model, recommended ones first."""
    return _catalogue(home_key())


def devices() -> tuple[models.DeviceInfo, ...]:
    """Every device of the machine that trains."""
    return _devices(home_key())


def source_runs() -> dict[str, tuple[str, str]]:
    """Runs that made a backbone here: model and name by what to give as weights."""
    return _source_runs(home_key())


def recent_comparisons(limit: int) -> list[ComparisonSummary]:
    """The newest comparisons, at most a few seconds old."""
    return _recent_comparisons(home_key(), limit)


def is_active(jobs: list[JobView]) -> bool:
    return any(job.status in ACTIVE for job in jobs)


def record(comparison_id: str) -> ComparisonRecord:
    """A comparison's runs and curves: at most two seconds old while it runs, kept when it has ended."""
    if is_active(comparisons.jobs_of(comparison_id)):
        return _running_record(home_key(), comparison_id)
    return comparison_view(comparison_id).record


def comparison_view(comparison_id: str, margin: float = DEFAULT_MARGIN) -> views.ComparisonView:
    """Record, verdict, tables and findings: at most two seconds old while it runs, kept when it has ended.

    margin: accuracy in [0, 1] below which a difference does not matter.
    """
    jobs = comparisons.jobs_of(comparison_id)
    key = " ".join(f"{job.id}={job.status}" for job in jobs)
    if is_active(jobs):
        return _running_view(home_key(), comparison_id, margin)
    try:
        return _ended_view(home_key(), comparison_id, margin, key)
    except _NotEndedError as still:
        return still.view


def data_view(record: ComparisonRecord) -> insights.DataView:
    """Error by training images of a comparison, read again when a run has ended."""
    return _data_view(home_key(), record.comparison_id, " ".join(f"{r.run_id}={r.status}" for r in record.runs), record)


class _NotEndedError(Exception):
    """Carries a view past the cache: errors are not kept."""

    def __init__(self, view: views.ComparisonView) -> None:
        self.view = view


@st.cache_data(ttl=300, max_entries=4, show_spinner=False)  # so that nothing that it calls shows a spinner
def _looked_up(home: str) -> None:
    _devices(home)
    _catalogue(home)


def _warmed_up(home: str) -> None:
    models.warm_up()


@st.cache_data(ttl=300, max_entries=4, show_spinner="Looking up models …")
def _catalogue(home: str) -> list[CatalogueEntry]:
    return models.catalogue()


@st.cache_data(ttl=600, max_entries=4, show_spinner="Looking for devices …")
def _devices(home: str) -> tuple[models.DeviceInfo, ...]:
    return models.devices()


@st.cache_data(ttl=20, max_entries=4, show_spinner=False)
def _source_runs(home: str) -> dict[str, tuple[str, str]]:
    return {run.weights: (run.model, run.name) for run in models.source_runs()}


@st.cache_data(ttl=10, max_entries=4, show_spinner=False)
def _recent_comparisons(home: str, limit: int) -> list[ComparisonSummary]:
    return comparisons.list_comparisons(limit=limit)


@st.cache_data(ttl=2, max_entries=16, show_spinner=False)
def _running_record(home: str, comparison_id: str) -> ComparisonRecord:
    return comparisons.record(comparison_id)


@st.cache_data(ttl=2, max_entries=16, show_spinner=False)
def _running_view(home: str, comparison_id: str, margin: float) -> views.ComparisonView:
    return views.view(comparison_id, margin)


@st.cache_data(ttl=600, max_entries=16, show_spinner="Reading predictions …")
def _data_view(home: str, comparison_id: str, runs: str, _record: ComparisonRecord) -> insights.DataView:
    return insights.data(_record)


@st.cache_data(ttl=600, max_entries=16, show_spinner="Reading results …")
def _ended_view(home: str, comparison_id: str, margin: float, jobs: str) -> views.ComparisonView:
    found = views.view(comparison_id, margin)
    if found.record.status not in ENDED:
        raise _NotEndedError(found)
    return found
