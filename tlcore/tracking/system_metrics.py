"""CPU, memory, disk, network and GPU use of a run, logged by MLflow's own monitor to a run id."""

from collections.abc import Iterator
from contextlib import contextmanager

from tlcore.settings import Settings
from tlcore.tracking.store import connect, translated

SAMPLE_SECONDS = 10


@contextmanager
def system_metrics(settings: Settings, run_id: str) -> Iterator[None]:
    """Sample every ten seconds while the block runs, and once at its end, so that short runs have a sample too.

    The run must be RUNNING. A resumed run goes on where its samples ended.
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
        with translated(settings):
            monitor.collect_metrics()
            monitor.publish_metrics(monitor.aggregate_metrics())
            monitor.mlflow_logger.flush()
