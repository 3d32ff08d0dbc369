"""The queue: what waits, what runs, who does it. No torch.

Every function takes the settings first. api: submit, cancel, look. questions: ask what only torch knows.
"""

from tlcore.jobs.api import (
    cancel,
    get_job,
    is_settled,
    jobs_of,
    log_tail,
    open_imports,
    open_work,
    overview,
    recent,
    recover,
    retry,
    submit_import,
    submit_runs,
    submit_version,
    submit_zip,
    users_of,
    zip_bytes,
)
from tlcore.jobs.processes import code_version
from tlcore.jobs.questions import answer_of, answers, ask, ask_several, submit_question, warm_up
from tlcore.jobs.removing import clear_upload, remove_zips, zip_folder
from tlcore.jobs.roster import slot_of
from tlcore.jobs.supervision import ensure_supervisor

__all__ = [
    "answer_of",
    "answers",
    "ask",
    "ask_several",
    "cancel",
    "clear_upload",
    "code_version",
    "ensure_supervisor",
    "get_job",
    "is_settled",
    "jobs_of",
    "log_tail",
    "open_imports",
    "open_work",
    "overview",
    "recent",
    "recover",
    "remove_zips",
    "retry",
    "slot_of",
    "submit_import",
    "submit_question",
    "submit_runs",
    "submit_version",
    "submit_zip",
    "users_of",
    "warm_up",
    "zip_bytes",
    "zip_folder",
]
