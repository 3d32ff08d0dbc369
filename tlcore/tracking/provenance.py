"""Which images a run's network has learned from: written by every run, read where its weights are used again."""

import json
from pathlib import Path

from tlcore.results import TRAINED_ON_KEY, TrainedOn
from tlcore.settings import Settings
from tlcore.tracking import tags
from tlcore.tracking.store import connect, translated

_LONGEST_HEADER = 100_000_000  # bytes: what safetensors itself allows


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


def trained_on_of_file(path: Path) -> TrainedOn | None:
    """What a run told of itself in its weights file, which may have been copied anywhere; None for other files."""
    try:
        with path.open("rb") as file:  # safetensors: the header's length, then the header as JSON
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= _LONGEST_HEADER else {}
        return TrainedOn.model_validate_json(header["__metadata__"][TRAINED_ON_KEY])
    except (OSError, ValueError, LookupError, TypeError):
        return None
