"""Public sets of torchvision, without a network: files as torchvision wants them, or a server on this machine."""

import csv
import hashlib
import inspect
import io
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torchvision
from PIL import Image

from tests.helpers import draw
from tests.web import send, web_server
from tlcore.datasets.files import never
from tlcore.datasets.intake import add_dataset, asking, find_source
from tlcore.datasets.intake.asking import ask_torch
from tlcore.datasets.intake.public_sets import SETS, find_set, is_public
from tlcore.datasets.store import load_dataset
from tlcore.errors import DatasetError, NotFoundError, RunCancelledError, StorageError
from tlcore.service import datasets as service
from tlcore.settings import Settings
from tlcore.training.answer import Patient, answer
from tlcore.training.public_sets import write_public_set

FILES = {"train-images": "train-images-idx3-ubyte", "train-labels": "train-labels-idx1-ubyte"}


def grey(label: int, index: int, side: int = 28) -> np.ndarray:
    return np.asarray(draw(label, 10, index, side).convert("L"))


def idx(array: np.ndarray) -> bytes:
    """Bytes in the format of MNIST."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_idx(raw: Path, prefixes: dict[str, int], labels: list[int]) -> None:
    """prefixes: names before `-images-idx3-ubyte`, with the number of the first picture."""
    raw.mkdir(parents=True)
    for prefix, first in prefixes.items():
        pictures = np.stack([grey(label, first + i) for i, label in enumerate(labels)])
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx(pictures))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.array(labels)))


def jpeg(label: int, index: int) -> bytes:
    out = io.BytesIO()
    draw(label, 5, index).save(out, "JPEG")
    return out.getvalue()


def written(target: Path) -> list[tuple[str, str, str]]:
    """(label, part, sha256) of each image of a written folder, sorted."""
    with (target / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["file_name"].casefold() for row in rows}) == len(rows)
    hashed = [hashlib.sha256((target / row["file_name"]).read_bytes()).hexdigest() for row in rows]
    return sorted((row["label"], row.get("split") or "", sha) for row, sha in zip(rows, hashed, strict=True))


def leftovers(settings: Settings) -> list[str]:
    return (
        sorted(p.name for p in settings.datasets.iterdir() if p.name != ".lock") if settings.datasets.exists() else []
    )


def write(name: str, tmp_path: Path, listener: object = None, max_bytes: int = 10**9) -> Path:
    target = tmp_path / f"target of {name}"
    write_public_set(name, target, tmp_path / "root", tmp_path / "given", max_bytes, listener or Patient())
    return target


def test_a_set_whose_files_are_given_becomes_a_dataset(settings):
    labels = [0, 1, 7, 1, 0, 7, 7, 0, 1]
    write_idx(settings.public_sets / "MNIST" / "raw", {"train": 0, "t10k": 100}, labels)
    told = []
    info = add_dataset("torchvision:mnist", None, settings, lambda *news: told.append(news))
    assert (info.name, info.source, info.classes) == ("MNIST", "torchvision:MNIST", ("0", "1", "7"))
    assert (info.given, info.part_counts) == ("train_test", {"test": 9, "train": 9})
    assert info.notes == (f"MNIST as torchvision {torchvision.__version__} brings it. Licence: CC BY-SA 3.0.",)
    assert info.left_out == ()
    dataset = load_dataset(info.id, settings)
    kept = {Image.open(dataset.root / path).tobytes() for path in dataset.images["path"]}
    assert kept == {grey(label, first + i).tobytes() for first in (0, 100) for i, label in enumerate(labels)}
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    assert leftovers(settings) == [info.id]
    assert len(list(settings.public_sets.rglob("*ubyte"))) == 4
    again = service.resolve_dataset("TorchVision:MNIST")
    assert (again.id, again.notes) == (info.id, info.notes)
    named = service.resolve_dataset("torchvision:MNIST", "digits")
    assert (named.id, named.name) == (info.id, "MNIST")
    kept = f"torchvision:MNIST was added before, as {info.id}: its name and id are kept, and 'digits' was not taken."
    assert named.notes[-1] == kept


def test_without_a_network_the_remedy_is_told_and_nothing_is_left(settings, monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(DatasetError, match=r"torchvision could not bring CIFAR10: .*cannot be reached") as caught:
        add_dataset("torchvision:CIFAR10", None, settings)
    assert f"Without a network, put the files that torchvision would download into {settings.public_sets}" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)
    assert leftovers(settings) == []


@pytest.mark.parametrize("entry", SETS, ids=lambda entry: entry.name)
def test_every_set_is_one_of_torchvision_with_arguments_that_it_takes(entry, tmp_path):
    kind = getattr(torchvision.datasets, entry.kind or entry.name)
    options = {} if entry.by_hand else {"download": False}
    for part, arguments in entry.parts:
        assert part in {"", "train", "val", "test"}
        inspect.signature(kind).bind(tmp_path, **arguments, **options)
        with pytest.raises((RuntimeError, OSError), match=r"(?i)not found|no such file|h5py"):
            kind(tmp_path, **arguments, **options)
    assert not entry.classes or len(entry.classes) == entry.num_classes


def test_names_are_found_in_any_case_and_near_ones_suggested(settings):
    assert len({entry.name.casefold() for entry in SETS}) == len(SETS) >= 25
    assert is_public("TorchVision:x")
    assert find_set("torchvision:imagenette_320").name == "Imagenette-320"
    assert find_set(" eurosat ").source == "torchvision:EuroSAT"
    with pytest.raises(NotFoundError, match=r"no set 'FashonMNIST' .*: did you mean torchvision:FashionMNIST"):
        find_source("torchvision:FashonMNIST", settings)
    with pytest.raises(NotFoundError, match="no set '' that is known here: `python -m tlcore dataset sources` lists"):
        find_source("torchvision:", settings)


def test_a_set_beyond_the_limits_is_refused_before_the_download(home, settings, monkeypatch):
    with pytest.raises(DatasetError, match=r"CIFAR10 has 60,000 images, more than 100: .*TLCORE_MAX_DATASET_FILES"):
        add_dataset("torchvision:CIFAR10", None, Settings(home=home, max_dataset_files=100))
    with pytest.raises(DatasetError, match=r"SUN397 has 39 GB, more than 1: .*TLCORE_MAX_DATASET_GB"):
        add_dataset("torchvision:SUN397", None, Settings(home=home, max_dataset_gb=1))
    monkeypatch.setattr("shutil.disk_usage", lambda place: __import__("shutil")._ntuple_diskusage(10, 9, 10**8))
    with pytest.raises(StorageError, match=r"0\.38 GB are needed"):
        add_dataset("torchvision:CIFAR10", None, settings)
    assert leftovers(settings) == []


def test_class_names_with_a_slash_stay_whole(tmp_path):
    write_idx(tmp_path / "given" / "FashionMNIST" / "raw", {"train": 0, "t10k": 9}, [0, 9])
    labels = {(label, part) for label, part, _ in written(write("FashionMNIST", tmp_path))}
    assert labels == {(name, part) for name in ("T-shirt/top", "Ankle boot") for part in ("train", "test")}


def test_emnist_is_turned_upright(tmp_path):
    """Its pixels are stored column by column."""
    prefixes = {"emnist-letters-train": 0, "emnist-letters-test": 9}
    write_idx(tmp_path / "given" / "EMNIST" / "raw", prefixes, [1, 26])
    target = write("EMNIST-letters", tmp_path)
    assert {label for label, _, _ in written(target)} == {"a", "z"}
    found = np.asarray(Image.open(target / "train" / "001" / "000000.png"))
    assert (found == grey(1, 0).T).all()


def test_a_set_of_image_files_keeps_their_bytes(tmp_path):
    """OxfordIIITPet converts its pictures, GTSRB has a table for its test part, Caltech101 opens them lazily."""
    given = tmp_path / "given"
    pets = given / "oxford-iiit-pet"
    for folder in ("images", "annotations"):
        (pets / folder).mkdir(parents=True)
    for part, first in (("trainval", 0), ("test", 5)):
        names = [("beagle", 2), ("Abyssinian", 1)]
        for name, label in names:
            (pets / "images" / f"{name}_{first}.jpg").write_bytes(jpeg(label, first))
        lines = [f"{name}_{first} {label} 1 1" for name, label in names]
        (pets / "annotations" / f"{part}.txt").write_text("\n".join(lines))
    sums = {(label, first): hashlib.sha256(jpeg(label, first)).hexdigest() for label in (1, 2) for first in (0, 5)}
    assert written(write("OxfordIIITPet", tmp_path)) == sorted(
        [
            ("Abyssinian", "train", sums[1, 0]),
            ("Abyssinian", "test", sums[1, 5]),
            ("Beagle", "train", sums[2, 0]),
            ("Beagle", "test", sums[2, 5]),
        ]
    )
    caltech = given / "caltech101" / "101_ObjectCategories"
    for name, label in (("crab", 1), ("ant", 2), ("BACKGROUND_Google", 3)):
        (caltech / name).mkdir(parents=True)
        (caltech / name / "image_0001.jpg").write_bytes(jpeg(label, 0))
    target = write("Caltech101", tmp_path)
    assert written(target) == [("ant", "", sums[2, 0]), ("crab", "", sums[1, 0])]
    assert (target / "metadata.csv").read_text().startswith("file_name,label\n")
    signs = given / "gtsrb"
    (signs / "GTSRB" / "Training" / "00042").mkdir(parents=True)
    (signs / "GTSRB" / "Training" / "00000").mkdir(parents=True)
    (signs / "GTSRB" / "Final_Test" / "Images").mkdir(parents=True)
    for path in ("Training/00042/1.ppm", "Training/00000/1.ppm", "Final_Test/Images/2.ppm"):
        (signs / "GTSRB" / path).write_bytes(jpeg(1, 0))
    (signs / "GT-final_test.csv").write_text("Filename;ClassId\n2.ppm;7\n")
    assert [(label, part) for label, part, _ in written(write("GTSRB", tmp_path))] == [
        ("00", "train"),
        ("01", "train"),
        ("07", "test"),
    ]
    assert len(list(given.rglob("*.*"))) == 13, "given files stay"


def test_cifar_is_read_from_its_own_format(tmp_path, monkeypatch):
    """It is pickled: torchvision unpickles a file only if its checksum is that of the published one."""
    folder = tmp_path / "given" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    pixels = np.stack([np.asarray(draw(label, 10, label)) for label in range(10)])
    batch = {"data": pixels.transpose(0, 3, 1, 2).reshape(10, -1), "labels": list(range(10))}
    names = {"label_names": [f"thing {label}" for label in range(10)]}
    sums = {}
    for name, content in (("data_batch_1", batch), ("test_batch", batch), ("batches.meta", names)):
        (folder / name).write_bytes(pickle.dumps(content))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    kind = torchvision.datasets.CIFAR10
    with pytest.raises(DatasetError, match="torchvision could not bring CIFAR10"):
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        write("CIFAR10", tmp_path)
    monkeypatch.setattr(kind, "train_list", [["data_batch_1", sums["data_batch_1"]]])
    monkeypatch.setattr(kind, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": sums["batches.meta"]})
    target = tmp_path / "second"
    write_public_set("cifar10", target, tmp_path / "root", tmp_path / "given", 10**9, Patient())
    assert len(written(target)) == 20
    assert (np.asarray(Image.open(target / "train" / "003" / "000003.png")) == pixels[3]).all()


def test_what_torchvision_cannot_download_says_where_to_get_it(tmp_path):
    with pytest.raises(DatasetError, match=r"cannot download FER2013: get its files from https://www\.kaggle\.com"):
        write("FER2013", tmp_path)
    (tmp_path / "given").mkdir()
    found = answer(
        {"question": "public_set", "name": "StanfordCars", "target": str(tmp_path / "t"), "root": str(tmp_path / "r"),
         "given": str(tmp_path / "given"), "max_bytes": 10}
    )  # fmt: skip
    assert (found["ok"], found["kind"]) == (False, "DatasetError")
    assert "what is in" in found["error"]
    assert "cannot be used: Dataset not found" in found["error"]


def dtd(members: dict[str, bytes]) -> bytes:
    """The archive of the textures: two classes and three parts, and these members too."""
    made = io.BytesIO()
    parts = {
        part: [f"{label}/{label}_{part}.jpg" for label in ("dotted", "veined")] for part in ("train", "val", "test")
    }
    files = {f"dtd/labels/{part}1.txt": "\n".join(paths).encode() for part, paths in parts.items()}
    for part, paths in parts.items():
        files |= {f"dtd/images/{path}": jpeg(number, len(part)) for number, path in enumerate(paths)}
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in (files | members).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Puts an archive where torchvision's textures are downloaded from."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("TLCORE_ALLOW_LOCAL_ADDRESSES", "1")
    routes = {}
    with web_server(routes) as root:

        def published(data: bytes) -> None:
            routes["/dtd.tar.gz"] = send(data)
            monkeypatch.setattr(torchvision.datasets.DTD, "_URL", f"{root}/dtd.tar.gz")
            monkeypatch.setattr(torchvision.datasets.DTD, "_MD5", hashlib.md5(data).hexdigest())

        yield published


class Heard:
    """A listener. Implements `answer.Listener`."""

    def __init__(self, stop_at: str = "never") -> None:
        self.news: list[tuple[float, str]] = []
        self.stop_at = stop_at

    def progress(self, done: float, message: str) -> None:
        self.news.append((done, message))

    def should_stop(self) -> bool:
        return any(self.stop_at in words for _, words in self.news)


def test_a_download_is_told_moved_and_parted(tmp_path, serve):
    serve(dtd({}))
    heard = Heard()
    found = written(write("DTD", tmp_path, heard))
    assert [(label, part) for label, part, _ in found] == [
        (label, part) for label in ("dotted", "veined") for part in ("test", "train", "val")
    ]
    assert heard.news[0][1].startswith("DTD: Downloaded")
    assert heard.news[-1][1] == "Wrote 6 images of DTD"
    assert [share for share, _ in heard.news] == sorted(share for share, _ in heard.news)


@pytest.mark.parametrize("moment", ["Downloaded", "Wrote 2 images"])
def test_it_can_be_stopped(tmp_path, serve, moment):
    serve(dtd({"dtd/more": os.urandom(3_000_000)}))
    with pytest.raises(RunCancelledError):
        write("DTD", tmp_path, Heard(moment))


def test_a_download_is_bounded_whole_and_stays_in_its_folder(tmp_path, serve, monkeypatch):
    serve(dtd({"dtd/more": os.urandom(300_000)}))
    with pytest.raises(DatasetError, match=r"could not bring DTD: .*has more than 0\.0001 GB"):
        write("DTD", tmp_path, max_bytes=100_000)
    serve(dtd({"../../evil": b"x"}))
    with pytest.raises(DatasetError, match=r"could not bring DTD: .*evil.* outside the destination"):
        write_public_set("DTD", tmp_path / "2", tmp_path / "root2", tmp_path / "given", 10**9, Patient())
    assert not list(tmp_path.rglob("evil"))
    serve(dtd({}))
    monkeypatch.setattr(torchvision.datasets.DTD, "_MD5", "0" * 32)
    with pytest.raises(DatasetError, match="could not bring DTD: File not found or corrupted"):
        write_public_set("DTD", tmp_path / "3", tmp_path / "root3", tmp_path / "given", 10**9, Patient())
    assert torchvision.datasets.utils._urlretrieve.__module__ == "torchvision.datasets.utils", "all is put back"


def test_the_next_mirror_is_tried(tmp_path, monkeypatch):
    raw = tmp_path / "made"
    write_idx(raw, {"train": 0, "t10k": 9}, [3, 4])
    import gzip

    routes = {f"/good/{path.name}.gz": send(gzip.compress(path.read_bytes())) for path in raw.iterdir()}
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("TLCORE_ALLOW_LOCAL_ADDRESSES", "1")
    with web_server(routes) as root:
        kind = torchvision.datasets.MNIST
        monkeypatch.setattr(kind, "mirrors", [f"{root}/bad/", f"{root}/good/"])
        monkeypatch.setattr(kind, "resources", [(f"{path.name}.gz", None) for path in sorted(raw.iterdir())])
        assert {label for label, _, _ in written(write("MNIST", tmp_path))} == {"3", "4"}


ASKED = {"question": "several", "requests": [{"question": "pick_device", "device": "cpu"}] * 2_000_000}


def test_the_asked_process_tells_how_far_it_is_and_ends_with_its_asker(tmp_path):
    """Killed without a word, as `kill -9` does: the child sees its stdin close."""
    child = subprocess.Popen(asking.COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment())
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps(ASKED).encode() + b"\n")
        child.stdin.flush()
        news = json.loads(child.stdout.readline())
        assert news["message"].startswith("question 1 of")
        child.stdin.close()
        assert child.wait(10) == 1
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def test_a_cancel_ends_the_asked_process(tmp_path):
    told = []
    with pytest.raises(RunCancelledError):
        ask_torch(ASKED, tmp_path / "log", lambda *news: told.append(news), lambda: bool(told))
    assert told
    mine = [p.info for p in psutil.process_iter(["ppid", "cmdline"]) if p.info["ppid"] == os.getpid()]
    assert not [
        info for info in mine if "tlcore.training.watched" in (info["cmdline"] or ())
    ]  # None: a zombie of others


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.stdin.readline(); sys.exit('one\\nlast words')", "last words"),
        ("import os; os.kill(os.getpid(), 9)", "it said nothing"),
        ('import sys; sys.stdout.write(\'{"progress": 0.5, "mess\')', "it said nothing"),
    ],
)
def test_a_process_that_dies_is_told_with_its_last_words(tmp_path, code, words):
    with pytest.raises(DatasetError, match=f"ended without an answer .*{words}"):
        ask_torch({}, tmp_path / "log", lambda *news: None, never, (sys.executable, "-c", code))


def test_a_process_that_dies_before_it_is_asked_is_told_with_its_last_words(tmp_path, monkeypatch):
    def slow_dumps(request: object) -> str:
        time.sleep(1)
        return "{}"

    monkeypatch.setattr(asking.json, "dumps", slow_dumps)
    with pytest.raises(DatasetError, match=r"ended without an answer .no torch here"):
        ask_torch({}, tmp_path / "log", lambda *news: None, never, (sys.executable, "-c", "exit('no torch here')"))


def test_errors_of_the_asked_process_keep_their_kind(tmp_path):
    request = {"question": "public_set", "name": "nothing", "target": "a", "root": "b", "given": "c"}
    with pytest.raises(NotFoundError, match="brings no set 'nothing'"):
        ask_torch(request, tmp_path / "log", lambda *news: None, never)


def test_a_killed_import_takes_its_child_along_and_the_next_clears_up(tmp_path, settings):
    """The process of the import is killed while its child asks torchvision."""
    script = (
        "import sys; from tlcore.datasets.intake import asking, sources\n"
        f"asking.COMMAND = {asking.COMMAND!r}\n"
        "from tlcore.datasets.intake import add_dataset\n"
        f"real = sources.ask_torch; request = {{'question': 'several', 'requests': [{{'question': 'x'}}] * 2000000}}\n"
        "sources.ask_torch = lambda r, log, tell, stop: real(request, log, lambda *n: print(*n, flush=True), stop)\n"
        "add_dataset('torchvision:MNIST')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=_environment())
    assert process.stdout is not None
    try:
        process.stdout.readline()
        (child,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGKILL)
        process.wait()
        until = time.monotonic() + 10
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
            time.sleep(0.05)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
        assert leftovers(settings)
        subprocess.run([sys.executable, "-m", "tlcore.datasets.sweep"], check=True, env=_environment())
        assert leftovers(settings) == []
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
