"""CPU, memory, disk, network and GPU use of a run, logged by MLflow's own monitor to a run id."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tlcore.errors import StorageError
from tlcore.settings import Settings
from tlcore.tracking.store import connect, translated

SAMPLE_SECONDS = 10
_log = logging.getLogger("tlcore.tracking")


@contextmanager
def system_metrics(settings: Settings, run_id: str) -> Iterator[None]:
    """Sample every ten seconds while the block runs, and once at its end, so that short runs have a sample too.

    The run must be RUNNING. A resumed run goes on where its samples ended. The last sample is no reason to lose a run:
    when the store refuses it, the log says so.
    """
    store = connect(settings)
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    with translated(settings):
        monitor = SystemMetricsMonitor(run_id, SAMPLE_SECONDS, resume_logging=True, tracking_uri=store.uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
        try:
            with translated(settings):
                monitor.collect_metrics()
                monitor.publish_metrics(monitor.aggregate_metrics())
                monitor.mlflow_logger.flush()
        except StorageError as problem:
            _log.warning("the last sample of system metrics is lost: %s", problem)
