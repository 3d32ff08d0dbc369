"""The queue: what waits, what runs, who does it. No torch.

Every function takes the settings first. api: submit, cancel, look. questions: ask what only torch knows.
"""

from tlcore.jobs.api import (
    cancel,
    get_job,
    is_settled,
    jobs_of,
    log_tail,
    overview,
    recent,
    recover,
    retry,
    slot_of,
    submit_import,
    submit_runs,
)
from tlcore.jobs.questions import ask, ask_several
from tlcore.jobs.supervision import ensure_supervisor

__all__ = [
    "ask",
    "ask_several",
    "cancel",
    "ensure_supervisor",
    "get_job",
    "is_settled",
    "jobs_of",
    "log_tail",
    "overview",
    "recent",
    "recover",
    "retry",
    "slot_of",
    "submit_import",
    "submit_runs",
]
