"""A decoder that crashes, hangs or fills the disk: the children are played by a script that does so on purpose."""

import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

from tests.helpers import draw
from tlcore.datasets.pictures import inspection
from tlcore.datasets.pictures.inspection import inspect_files, inspector_command
from tlcore.datasets.pictures.inspector import MEMORY_BYTES
from tlcore.errors import DatasetError, RunCancelledError, StorageError

CHILD = """
import json, os, signal, sys, time
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    name = json.loads(line)["path"]
    if "crash" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in name:
        time.sleep(1000)
    if "full" in name:
        print(json.dumps({"storage": "No space left on device"}), flush=True)
    print(json.dumps({"sha256": name}), flush=True)
"""
FAKE = [sys.executable, "-c", CHILD]


def verdicts(names: list[str], **options) -> dict[str, str | None]:
    """name -> why it was refused; every file has exactly one verdict, and its own."""
    answers = list(inspect_files(map(Path, names), FAKE, **options))
    assert sorted(index for index, _ in answers) == list(range(len(names)))
    assert all(v.refused or v.sha256 == names[index] for index, v in answers)
    return {names[index]: verdict.refused for index, verdict in answers}


def test_a_crash_costs_only_its_file():
    names = [f"crash{i}" if i in (0, 3, 4, 29) else f"good{i}" for i in range(30)]
    refused = {name: why for name, why in verdicts(names).items() if why}
    assert refused == dict.fromkeys(["crash0", "crash3", "crash4", "crash29"], "decoding crashed (exit code -11)")


def test_a_hang_costs_only_its_file():
    refused = verdicts([*(f"good{i}" for i in range(12)), "hang", "good13"], seconds=1.0)
    assert {name for name, why in refused.items() if why} == {"hang"}
    assert refused["hang"] == "decoding took longer than 1 seconds"


def test_a_full_disk_ends_the_import():
    with pytest.raises(StorageError, match=r"thumbnail of full \(No space left on device\)"):
        verdicts(["good", "full"])


def test_children_that_cannot_start_are_no_fault_of_the_images():
    with pytest.raises(DatasetError, match=r"a child process did not start \(exit code 3\)"):
        list(inspect_files([Path("a")], [sys.executable, "-c", "raise SystemExit(3)"]))


def test_it_can_be_stopped():
    with pytest.raises(RunCancelledError):
        verdicts(["hang"], should_stop=lambda: True)


def test_nothing_to_do():
    assert verdicts([]) == {}


def test_the_real_child(tmp_path):
    draw(0, 2, 0, (400, 200)).save(tmp_path / "ok.png")
    (tmp_path / "odd \n\udcff.png").write_bytes(b"\x89PNG nothing")
    paths = [tmp_path / "ok.png", tmp_path / "odd \n\udcff.png", tmp_path / "gone.png"]
    answers = dict(inspect_files(paths, inspector_command(tmp_path / "thumbnails")))
    assert (answers[0].refused, answers[0].width, answers[0].height, answers[0].mode) == (None, 400, 200, "RGB")
    assert answers[0].num_bytes == paths[0].stat().st_size
    assert answers[1].refused == "damaged: its header cannot be read"
    assert answers[2].refused == "cannot be opened: No such file or directory"
    assert len(list((tmp_path / "thumbnails").rglob("*.jpg"))) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the memory of a process so")
def test_the_real_child_has_bounded_memory_and_leaves_no_core_file(tmp_path):
    import resource

    command = inspector_command(tmp_path / "thumbnails")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert json.loads(child.stdout.readline()) == {"ready": True}
            assert resource.prlimit(child.pid, resource.RLIMIT_AS) == (MEMORY_BYTES, MEMORY_BYTES)
            assert resource.prlimit(child.pid, resource.RLIMIT_CORE) == (0, 0)
        finally:
            child.stdin.close()


@pytest.mark.parametrize(("gigabytes", "children"), [(64, 8), (17, 4), (4, 2)])
def test_children_fit_the_memory_of_the_machine_at_once(monkeypatch, gigabytes, children):
    """Each may take 4 GB before it is stopped."""
    monkeypatch.setattr(inspection, "usable_cores", lambda: 16)
    monkeypatch.setattr(inspection.psutil, "virtual_memory", lambda: types.SimpleNamespace(total=gigabytes * 1024**3))
    assert inspection.num_inspectors() == children
