"""What a worker does with a run before it trains, and tells of an import."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.helpers import make_image_folder
from tests.helpers_mlflow import make_spec
from tlcore import worker
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
