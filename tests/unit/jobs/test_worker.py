"""What a worker does with a run before it trains, and tells of an import."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.helpers import make_image_folder
from tests.helpers_mlflow import make_spec
from tlcore import worker
from tlcore.jobs import serving
from tlcore.jobs.queue import Job
from tlcore.settings import Settings


@pytest.mark.parametrize(
    ("asked", "slot", "expected"),
    [
        ("auto", "cpu:0", "auto:cpu"),
        ("auto", "cuda:0", "auto:cuda:0"),
        ("auto", "cuda:1", "auto:cuda:1"),
        ("cuda", "cuda:0", "cuda:0"),
        ("cuda", "cuda:1", "cuda:1"),
        ("cuda", "cpu:0", "cuda"),
        ("cpu", "cpu:0", "cpu"),
        ("cuda:2", "cuda:2", "cuda:2"),
    ],
)
def test_a_run_stays_on_the_device_of_its_slot(asked: str, slot: str, expected: str) -> None:
    spec = make_spec(device=asked).runs()[0]
    assert worker.on_slot(spec, slot).device == expected


def test_an_import_of_known_content_says_what_it_left_out(settings: Settings, tmp_path: Path) -> None:
    """What reaches the viewer: the id alone the first time; then that it was there, and this import's own files."""
    root = make_image_folder(tmp_path, ("ants", "bees"), 6, 16)

    def imported() -> list[str]:
        job = SimpleNamespace(payload={"path": str(root), "name": "insects"})
        given = SimpleNamespace(settings=settings, job=job, progress=lambda *_: None, should_stop=lambda: False)
        return worker.do_import(given).splitlines()  # type: ignore[arg-type]

    (first,) = imported()
    for number in range(worker.MAX_NAMED + 1):
        (root / "ants" / f"{number:02d}.txt").write_text("hello")
    again, note, *out, more = imported()
    assert again == first
    assert note == f"This is the content of {first}, added before: its name and id are kept."
    assert len(out) == worker.MAX_NAMED
    assert out[0].startswith("Left out this time: ants/00.txt: ")
    assert more == "1 more files were left out."


def test_each_stage_of_a_job_is_told_at_once_and_its_steps_are_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else "opening the dataset" stands there for as long as a first step takes, which may be many seconds."""
    told: list[str] = []
    monkeypatch.setattr(serving.queue, "report", lambda settings, job, done, message: told.append(message))
    assignment = serving.Assignment(settings, cast(Job, SimpleNamespace()), threading.Event())
    for message in ("opening the dataset", "preparing", "training: step 1 of 6", "training: step 2 of 6", "scoring"):
        assignment.progress(0.0, message)
    assert told == ["opening the dataset", "preparing", "training: step 1 of 6", "scoring"]
