"""MLflow: where params, curves, artifacts and states of runs are kept. The only importer of mlflow.

Every function takes the settings first. creating: new comparisons and runs. writing: the life of a run.
trials: of a tuned run. listing: what there is, and its states. reading: records back, from `files`. kept: what was
read of finished runs. relocate: after a moved home. sqlite: how a database comes into being.
"""

from tlcore.tracking.creating import create_comparison, create_run, extend_comparison, require_storable
from tlcore.tracking.listing import list_comparisons, open_comparisons, run_status, run_statuses
from tlcore.tracking.provenance import load_trained_on, trained_on_of_file, write_trained_on
from tlcore.tracking.reading import (
    download_model,
    load_all_predictions,
    load_comparison,
    load_predictions,
    load_run,
    page_of,
)
from tlcore.tracking.relocate import relocate
from tlcore.tracking.store import connect, disk_full, growing_lock, is_connected
from tlcore.tracking.system_metrics import system_metrics
from tlcore.tracking.trials import forget_trials, log_trials
from tlcore.tracking.writing import (
    close_comparison,
    end_run,
    forget_curve,
    log_outcome,
    log_points,
    log_resolved,
    reschedule_run,
    start_run,
    upload_artifacts,
)

__all__ = [
    "close_comparison",
    "connect",
    "create_comparison",
    "create_run",
    "disk_full",
    "download_model",
    "end_run",
    "extend_comparison",
    "forget_curve",
    "forget_trials",
    "growing_lock",
    "is_connected",
    "list_comparisons",
    "load_all_predictions",
    "load_comparison",
    "load_predictions",
    "load_run",
    "load_trained_on",
    "log_outcome",
    "log_points",
    "log_resolved",
    "log_trials",
    "open_comparisons",
    "page_of",
    "relocate",
    "require_storable",
    "reschedule_run",
    "run_status",
    "run_statuses",
    "start_run",
    "system_metrics",
    "trained_on_of_file",
    "upload_artifacts",
    "write_trained_on",
]
