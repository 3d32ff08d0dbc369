"""Whether other programs took the processor from a run, so that its seconds say too much."""

from dataclasses import dataclass
from pathlib import Path

from tlcore.cores import usable_cores
from tlcore.results import CROWDED

THREADS = Path("/proc/self/task")
LEAST_SHARE = 0.2  # of the time that threads could have computed; alone on a machine, a run waits less than one percent
LEAST = 2.0  # seconds of waiting, of all threads, below which it does not matter


@dataclass(frozen=True)
class CoreTime:
    """Seconds that this process's threads had a core, and that they waited for one although they had work."""

    ran: float
    waited: float


def core_time() -> CoreTime | None:
    """From Linux (Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat); None elsewhere."""
    if not THREADS.is_dir():
        return None
    found = []
    for thread in THREADS.iterdir():
        try:
            found.append([int(word) for word in (thread / "schedstat").read_text().split()])
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended, or Linux keeps no such statistics
            continue
    if not found:
        return None
    return CoreTime(*(sum(times) / 1e9 for times in list(zip(*found, strict=True))[:2]))


def crowding_notes(before: CoreTime | None, after: CoreTime | None, threads: int) -> tuple[str, ...]:
    """What should be known of the seconds between two looks. threads: that compute at once.

    Nothing where there are more of them than cores: then they wait for each other.
    """
    if before is None or after is None or threads > usable_cores():
        return ()
    ran, waited = after.ran - before.ran, after.waited - before.waited
    if waited < LEAST or ran <= 0 or waited / (ran + waited) < LEAST_SHARE:
        return ()
    return (
        f"{CROWDED}: its threads waited for a core "
        f"{100 * waited / (ran + waited):.0f} % of the time, so its seconds are more than it needs",
    )
