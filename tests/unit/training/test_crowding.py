"""Whether a run that had to share the processor says so."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training_support import Bench, tiny_dataset
from tlcore.spec import Budget
from tlcore.training import crowding
from tlcore.training import run as run_module
from tlcore.training.crowding import CoreTime, core_time, crowding_notes
from tlcore.training.features import store

START = CoreTime(ran=100.0, waited=50.0)


@pytest.mark.parametrize(
    ("ran", "waited", "said"),
    [(60.0, 40.0, "40 %"), (3.0, 3.0, "50 %"), (95.0, 5.0, None), (1.5, 1.5, None), (-3.0, 10.0, None)],
)
def test_a_note_says_how_long_threads_waited(ran, waited, said):
    """Not where it is little of the time, or little time, or threads have ended since."""
    notes = crowding_notes(START, CoreTime(START.ran + ran, START.waited + waited), threads=1)
    assert len(notes) == (said is not None)
    assert said is None or f"waited for a core {said} of the time" in notes[0]


def test_nothing_is_said_where_threads_wait_for_each_other(monkeypatch):
    monkeypatch.setattr(crowding, "usable_cores", lambda: 2)
    said = [bool(crowding_notes(START, CoreTime(160.0, 90.0), threads)) for threads in (1, 2, 3)]
    assert said == [True, True, False]


def test_nothing_is_said_where_the_system_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(crowding, "THREADS", tmp_path / "none")
    assert core_time() is None
    monkeypatch.setattr(crowding, "THREADS", tmp_path)
    (tmp_path / "17").mkdir()
    assert core_time() is None
    assert crowding_notes(None, START, 1) == crowding_notes(START, None, 1) == ()


@pytest.mark.parametrize("ended", [FileNotFoundError, ProcessLookupError])
def test_a_thread_that_ends_meanwhile_is_left_out(tmp_path, monkeypatch, ended):
    """Linux has either error, as the thread ended before its file was opened or after."""
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "schedstat").write_text("3000000000 2000000000 7\n")
    real = Path.read_text

    def read_text(path):
        if path.parent.name == "2":
            raise ended
        return real(path)

    monkeypatch.setattr(crowding, "THREADS", tmp_path)
    monkeypatch.setattr(Path, "read_text", read_text)
    assert core_time() == CoreTime(ran=3.0, waited=2.0)


@pytest.mark.skipif(core_time() is None, reason="this system keeps no such statistics")
def test_processes_that_share_a_core_make_each_other_wait():
    work = "import time\nwhile time.process_time() < 1: pass"
    free = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(free)})
    try:
        with subprocess.Popen([sys.executable, "-c", work]):
            before, begun = core_time(), time.process_time()
            while time.process_time() - begun < 0.5:
                pass
            after = core_time()
    finally:
        os.sched_setaffinity(0, free)
    assert after.ran - before.ran >= 0.4
    assert after.waited - before.waited >= 0.2


def test_a_crowded_run_has_the_note(tmp_path, monkeypatch):
    """Also where another program took the processor while features were made, which is charged."""
    looks, order = iter([START, CoreTime(160.0, 90.0)]), []
    real = store.feature_batches

    def look():
        order.append("look")
        return next(looks)

    def feature_batches(*given):
        order.append("features")
        return real(*given)

    monkeypatch.setattr(run_module, "core_time", look)
    monkeypatch.setattr(store, "feature_batches", feature_batches)
    bench = Bench(tmp_path, tiny_dataset(tmp_path, classes=2, per_class=12), budget=Budget(steps=2))
    outcome = bench.run(bench.spec("feature_extraction"), "crowded")
    assert order == ["look", "features", "look"]
    assert any("other programs used the processor" in note for note in outcome.notes)
