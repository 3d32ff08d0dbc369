"""The recorded comparison that comes with the project: the demo, run once, with its date and machine."""

import json
from functools import lru_cache
from pathlib import Path

import pandas as pd

from tlcore.errors import NotFoundError
from tlcore.results import ComparisonRecord, RunRecord

RECORDED_ID = "recorded-demo"
ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tlcore" / "demo" / "recorded"


@lru_cache(maxsize=1)
def record() -> ComparisonRecord:
    """The recording as any other comparison, with `recorded_on` set. Raises: NotFoundError."""
    file = FOLDER / "comparison.json"
    if not file.exists():
        raise NotFoundError(f"the recorded sample is not at {file}: fetch the project again, or run the demo here")
    return ComparisonRecord.model_validate_json(file.read_text(encoding="utf-8"))


def runs() -> tuple[RunRecord, ...]:
    """The recorded runs, under the recording's own id; none where there is no recording."""
    if not (FOLDER / "comparison.json").exists():
        return ()
    return tuple(run.model_copy(update={"comparison_id": RECORDED_ID}) for run in record().runs)


def predictions(run_id: str) -> pd.DataFrame | None:
    """A recorded run's predictions; None for a run that is not of the recording."""
    if run_id not in _run_ids():
        return None
    everything = pd.read_parquet(FOLDER / "predictions.parquet")
    return everything[everything["run_id"] == run_id].drop(columns="run_id").reset_index(drop=True)


def all_predictions() -> dict[str, pd.DataFrame]:
    """The predictions of every recorded run, by run id."""
    everything = pd.read_parquet(FOLDER / "predictions.parquet")
    return {
        str(run_id): mine.drop(columns="run_id").reset_index(drop=True) for run_id, mine in everything.groupby("run_id")
    }


def save(whole: ComparisonRecord, tables: dict[str, pd.DataFrame], recorded_on: str) -> None:
    """Replace the recording. recorded_on: date and machine, for people."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    changed = whole.model_copy(update={"comparison_id": RECORDED_ID, "recorded_on": recorded_on})
    text = json.dumps(changed.model_dump(mode="json")).replace(f"{ROOT}/", "")  # no path of the recording machine
    (FOLDER / "comparison.json").write_text(text, encoding="utf-8")
    joined = pd.concat([table.assign(run_id=run_id) for run_id, table in tables.items()], ignore_index=True)
    joined.to_parquet(FOLDER / "predictions.parquet", index=False)


@lru_cache(maxsize=1)
def _run_ids() -> frozenset[str]:
    return frozenset(run.run_id for run in record().runs) if (FOLDER / "comparison.json").exists() else frozenset()
