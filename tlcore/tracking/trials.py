"""The trials of a tuned run in MLflow: a small run each, under their run, which no list of comparisons shows."""

from typing import Any

from tlcore.results import Trial
from tlcore.settings import Settings
from tlcore.tracking import tags
from tlcore.tracking.creating import now_ms
from tlcore.tracking.store import Store, connect, translated


def log_trials(settings: Settings, run_id: str, trials: tuple[Trial, ...]) -> None:
    """Keep trials that are over; those that are there already only learn whether they are the chosen one.

    Their params are the values that were tried, their metrics what these gave on validation, and the cost.
    Raises: NotFoundError, StorageError.
    """
    store = connect(settings)
    with translated(settings):
        run = store.client.get_run(run_id)
        known = _trials_of(store, run_id)
        for trial in trials:
            found = known.get(trial.number) or _create(store, run, trial)
            if found.data.tags.get(tags.CHOSEN) != _said(trial):
                store.client.set_tag(found.info.run_id, tags.CHOSEN, _said(trial))
            if found.info.status == "RUNNING":  # new, or refused half way the last time
                _fill(store, found, trial)


def forget_trials(settings: Settings, run_id: str) -> None:
    """Put the trials of a run that begins anew out of sight. Raises: StorageError."""
    store = connect(settings)
    with translated(settings):
        for trial in _trials_of(store, run_id).values():
            store.client.delete_run(trial.info.run_id)


def _trials_of(store: Store, run_id: str) -> dict[int, Any]:
    """The MLflow runs of a run's trials, by number. A run has 100 at most."""
    query = f"tags.`{tags.PARENT}` = '{run_id}' and tags.`{tags.KIND}` = 'trial'"
    found = store.client.search_runs([store.experiment_id], query, max_results=1_000)
    return {int(trial.data.tags[tags.TRIAL]): trial for trial in found}


def _create(store: Store, run: Any, trial: Trial) -> Any:
    owner = run.data.tags.get(tags.OWNER, "")
    own = {
        tags.KIND: "trial",
        tags.TRIAL: str(trial.number),
        tags.CHOSEN: _said(trial),
        tags.OWNER: owner,
        tags.USER: owner,
        tags.HOME: store.home_id,
        tags.PARENT: run.info.run_id,
        **({tags.ERROR: trial.error[: tags.MAX_ERROR]} if trial.error else {}),
    }
    return store.client.create_run(store.experiment_id, tags=own, run_name=f"trial {trial.number}")


def _fill(store: Store, found: Any, trial: Trial) -> None:
    """What a trial gave, and its end. Metrics bear the time of its start, so that sending them again adds nothing."""
    from mlflow.entities import Metric, Param

    run_id, begun = found.info.run_id, found.info.start_time
    values = {
        "val/accuracy": trial.val_accuracy,
        "val/loss": trial.val_loss,
        "cost/train_seconds": trial.train_seconds,
    }
    metrics = [Metric(name, value, begun, 0) for name, value in values.items() if value is not None]
    params = [Param(name, str(value)) for name, value in trial.settings.items()]
    store.client.log_batch(run_id, metrics=metrics, params=params)
    store.client.set_terminated(run_id, status="FAILED" if trial.error else "FINISHED", end_time=now_ms())


def _said(trial: Trial) -> str:
    return str(trial.chosen).lower()
