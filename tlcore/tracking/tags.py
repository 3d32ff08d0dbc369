"""The names under which things are kept in MLflow."""

KIND = "tlcore.kind"
OWNER = "tlcore.owner"
HOME = "tlcore.home"
SPEC = "tlcore.spec"
TITLE = "tlcore.title"
PURPOSE = "tlcore.purpose"
DATASET_ID = "tlcore.dataset_id"
DATASET_NAME = "tlcore.dataset_name"
MODELS = "tlcore.models"
STRATEGIES = "tlcore.strategies"
COUNTS = "tlcore.counts"
STARTED_MS = "tlcore.started_ms"
ERROR = "tlcore.error"
TRIAL = "tlcore.trial"
CHOSEN = "tlcore.chosen"
RESOLVED = "tlcore.resolved."

PARENT = "mlflow.parentRunId"
RUN_NAME = "mlflow.runName"
USER = "mlflow.user"

COMPARISON_FILE = "comparison.json"
HISTORY_FILE = "history.json"
RESOLVED_FILE = "resolved.json"
TRAINED_ON_FILE = "trained_on.json"

MAX_TAG = 8_000  # characters; MLflow cuts longer ones
MAX_PARAM = 6_000  # characters; MLflow cuts or refuses longer ones
MAX_ERROR = 4_000  # characters of an error message that are kept
