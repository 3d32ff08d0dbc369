"""Which images a run's network has learned from: written by every run, read where its weights are used again."""

from pathlib import Path

from tlcore.results import TrainedOn
from tlcore.settings import Settings
from tlcore.tracking import tags
from tlcore.tracking.store import connect, translated


def write_trained_on(settings: Settings, work_dir: Path, found: TrainedOn) -> Path:
    """Put the list among the files that `upload_artifacts` sends. Raises: StorageError."""
    path = work_dir / "artifacts" / tags.TRAINED_ON_FILE
    with translated(settings):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found.model_dump_json(), encoding="utf-8")
    return path


def load_trained_on(settings: Settings, run_id: str) -> TrainedOn | None:
    """What a finished run learned from; None where it left no such list. Raises: NotFoundError, StorageError."""
    from mlflow.artifacts import download_artifacts

    store = connect(settings)
    with translated(settings):
        uri = store.client.get_run(run_id).info.artifact_uri
        if all(file.path != tags.TRAINED_ON_FILE for file in store.client.list_artifacts(run_id)):
            return None
        path = download_artifacts(artifact_uri=f"{uri}/{tags.TRAINED_ON_FILE}", tracking_uri=store.uri)
        return TrainedOn.model_validate_json(Path(path).read_text(encoding="utf-8"))
