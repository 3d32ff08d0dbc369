"""Any sequence of edits: rows are images, the old version is untouched, and steps equal the whole."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from tlcore.datasets.dataset import Dataset, DatasetInfo
from tlcore.datasets.fingerprints import dataset_fingerprint
from tlcore.datasets.health import health_of
from tlcore.datasets.pictures.inspector import thumbnail_path
from tlcore.datasets.splits import make_split
from tlcore.datasets.store import delete_dataset, load_dataset
from tlcore.datasets.versions import Edit, LeaveOut, Move, Relabel, RenameClass, derive
from tlcore.datasets.versions.applying import edited
from tlcore.errors import DatasetError
from tlcore.settings import Settings

PARTS = ("train", "val")


@dataclass(frozen=True)
class Image:
    """One image as the model of this test knows it. path: in the version at hand. name: in the first version."""

    name: str
    path: str
    sha256: str
    label: str
    part: str

    @property
    def content(self) -> tuple[str, str, str]:
        return self.label, self.sha256, self.part


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make(home: Path, parts: tuple[str, ...]) -> tuple[Settings, DatasetInfo]:
    """A stored version as an import would leave it; the bytes are no pictures, which no edit looks at.

    Three classes of 7; in each one file is there twice, and the classes share file names.
    """
    rows = []
    for part in parts or ("",):
        for label in ("a", "b", "c"):
            for i in range(7):
                path = "/".join(filter(None, [part, label, f"{i}.png"]))
                rows.append((path, label, part, f"{part} {label} {max(i, 1)}".encode()))
    folder = home / "datasets" / "first-00000000"
    table = pd.DataFrame(
        {
            "path": [row[0] for row in rows],
            "label": ["abc".index(row[1]) for row in rows],
            "part": [row[2] for row in rows],
            "sha256": [sha(row[3]) for row in rows],
            "width": 30,
            "height": 20,
            "mode": "RGB",
        }
    )
    table["group"] = table.groupby(table.index // 2)["sha256"].transform("min")
    for path, _, _, data in rows:
        file, thumbnail = folder / "files" / path, thumbnail_path(folder / "thumbnails", sha(data))
        for target in (file, thumbnail):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    info = DatasetInfo(
        id=folder.name, name="first",
        fingerprint=dataset_fingerprint((label, sha(data)) for _, label, _, data in rows),
        classes=("a", "b", "c"), num_images=len(rows), class_counts=dict(Counter(row[1] for row in rows)),
        part_counts=dict(Counter(row[2] for row in rows)), given="train_val" if parts else "none", short_side=20,
        total_bytes=sum(len(row[3]) for row in rows), created_ms=1, source="nowhere",
    )  # fmt: skip
    (folder / "dataset.json").write_text(info.model_dump_json())
    table.sort_values(["label", "sha256", "path"], ignore_index=True).to_parquet(folder / "images.parquet", index=False)
    return Settings(home=home), info


@pytest.fixture(scope="module")
def homes(tmp_path_factory) -> dict[bool, tuple[Settings, DatasetInfo]]:
    """A home with a dataset that brings parts, and one whose parts are drawn."""
    made = {True: PARTS, False: ()}
    return {parted: make(tmp_path_factory.mktemp("home"), parts) for parted, parts in made.items()}


def images_of(dataset: Dataset) -> list[Image]:
    columns = (dataset.images[name] for name in ("path", "sha256", "label", "part"))
    return [
        Image(path, path, s, dataset.info.classes[label], part) for path, s, label, part in zip(*columns, strict=True)
    ]


def expected(images: list[Image], edit: Edit) -> list[Image]:
    """What an edit means, written down again. Paths are those of the first version."""
    match edit:
        case LeaveOut():
            return [image for image in images if image.name not in edit.paths]
        case Move():
            return [replace(i, part=edit.part) if i.name in edit.paths else i for i in images]
        case Relabel():
            return [replace(i, label=edit.label) if i.name in edit.paths else i for i in images]
        case RenameClass():
            return [replace(i, label=edit.new) if i.label == edit.old else i for i in images]


def located(images: list[Image], dataset: Dataset) -> list[Image]:
    """The same images with their paths in another version; equal ones in any order."""
    there: dict[tuple[str, str, str], list[str]] = {}
    for image in images_of(dataset):
        there.setdefault(image.content, []).append(image.path)
    return [replace(image, path=there[image.content].pop()) for image in images]


def in_paths_of(edit: Edit, images: list[Image]) -> Edit:
    """An edit in the words of another version."""
    if isinstance(edit, RenameClass):
        return edit
    paths = {image.name: image.path for image in images}
    return edit.model_copy(update={"paths": tuple(paths[name] for name in edit.paths if name in paths)})


LABELS = st.sampled_from(["a", "b", "c", "d", "A", "a:b", "__MACOSX", "é ü"])


def one_edit(images: list[Image], parted: bool) -> st.SearchStrategy[Edit]:
    """An edit of images and classes that are there."""
    some = st.lists(st.sampled_from(sorted(i.name for i in images)), min_size=1, max_size=12)
    kinds = [
        st.builds(LeaveOut, paths=some),
        st.builds(Relabel, paths=some, label=LABELS),
        st.builds(RenameClass, old=st.sampled_from(sorted({i.label for i in images})), new=LABELS),
    ]
    return st.one_of(*kinds, *([st.builds(Move, paths=some, part=st.sampled_from(PARTS))] if parted else []))


@st.composite
def sequences(draw, parted: bool, first: list[Image]) -> list[Edit]:
    """Edits that can be done one after the other: each names images and classes that are there by then."""
    images, edits = first, []
    for _ in range(draw(st.integers(1, 4))):
        edit = draw(one_edit(images, parted))
        images = expected(images, edit)
        edits.append(edit)
        if not images:
            break
    return edits


def done(dataset_id: str, edits: list[Edit], settings: Settings) -> DatasetInfo | None:
    """The new version, the old one where nothing would change, None where the edits cannot be done."""
    try:
        return derive(dataset_id, edits, settings)
    except DatasetError as error:
        return load_dataset(dataset_id, settings).info if "change nothing" in str(error) else None


def snapshot(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Bytes, time of change and place on the disk of every file."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(f): (f.read_bytes(), f.stat().st_mtime_ns, f.stat().st_ino) for f in files}


def clear(settings: Settings, first: DatasetInfo) -> None:
    for folder in settings.datasets.glob("*/dataset.json"):
        if folder.parent.name != first.id:
            delete_dataset(folder.parent.name, settings)


slow = limits(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@slow
@given(data=st.data(), parted=st.booleans())
def test_any_edits_keep_what_a_version_promises(homes, data, parted):
    settings, first = homes[parted]
    images = images_of(load_dataset(first.id, settings))
    edits = data.draw(sequences(parted, images))
    before = snapshot(settings.datasets / first.id)
    made = done(first.id, edits, settings)
    try:
        assert snapshot(settings.datasets / first.id) == before
        left = {path.name for path in settings.datasets.iterdir()} - {".lock"}
        assert left == {first.id, made.id} if made else left == {first.id}
        assume(made is not None and made.id != first.id)
        for edit in edits:
            images = expected(images, edit)
        dataset = load_dataset(made.id, settings)
        check_content(dataset, images)
        check_files(dataset, settings.datasets / first.id)
    finally:
        clear(settings, first)


def check_content(dataset: Dataset, images: list[Image]) -> None:
    """The rows are the images that the edits mean, and every number about them can be counted again."""
    info, table = dataset.info, dataset.images
    if info.given == "none":
        images = [replace(image, part="") for image in images]
    assert Counter(i.content for i in images_of(dataset)) == Counter(i.content for i in images)
    pairs = sorted([i.label, i.sha256] for i in images)
    assert info.fingerprint == sha(json.dumps(pairs, separators=(",", ":")).encode())
    assert info.classes == tuple(sorted({i.label for i in images}))
    assert info.class_counts == Counter(i.label for i in images)
    assert info.part_counts == Counter(i.part for i in images)
    assert info.num_images == len(images)
    assert table.equals(table.sort_values(["label", "sha256", "path"], ignore_index=True))
    assert (table["group"] == table.groupby("group")["sha256"].transform("min")).all()
    assert health_of(dataset).of("too_small") or make_split(dataset, 0).train


def check_files(dataset: Dataset, first: Path) -> None:
    """Every row has its own file with its bytes, shared with the first version; no file is without a row."""
    originals = {sha(p.read_bytes()): p for p in (first / "files").rglob("*") if p.is_file()}
    inodes = {p.stat().st_ino for p in first.rglob("*") if p.is_file()}
    files = {p.relative_to(dataset.root).as_posix(): p for p in dataset.root.rglob("*") if p.is_file()}
    assert sorted(files) == sorted(dataset.images["path"])
    assert len({path.casefold() for path in files}) == len(files)
    for path, sha256 in zip(dataset.images["path"], dataset.images["sha256"], strict=True):
        assert sha(files[path].read_bytes()) == sha256
        assert files[path].stat().st_ino in inodes
        assert files[path].suffix == originals[sha256].suffix
        assert thumbnail_path(dataset.root.parent / "thumbnails", sha256).stat().st_ino in inodes
    assert len({p.stat().st_ino for p in files.values()}) == len(files), "copies stay files of their own"


@slow
@given(data=st.data(), parted=st.booleans())
def test_a_chain_of_edits_equals_the_combined_edit(homes, data, parted):
    settings, first = homes[parted]
    images = images_of(load_dataset(first.id, settings))
    edits = data.draw(sequences(parted, images))
    whole = done(first.id, edits, settings)
    step: DatasetInfo | None = first
    try:
        for edit in edits:
            step = step and done(step.id, [in_paths_of(edit, images)], settings)
            assume(step is not None and step.given == first.given)  # a step may leave too little for a version
            images = located(expected(images, edit), load_dataset(step.id, settings))
        assert step and whole
        one, other = (load_dataset(info.id, settings) for info in (step, whole))
        assert one.info.fingerprint == other.info.fingerprint
        assert Counter(i.content for i in images_of(one)) == Counter(i.content for i in images_of(other))
    finally:
        clear(settings, first)


def test_images_that_change_nothing_keep_their_paths(homes):
    settings, first = homes[False]
    dataset = load_dataset(first.id, settings)
    found = edited(dataset, [Relabel(paths=("a/1.png", "a/2.png"), label="b"), LeaveOut(paths=("b/2.png",))])
    moved = found.images[found.images["path"] != found.images["old_path"]]
    assert dict(zip(moved["old_path"], moved["path"], strict=True)) == {"a/1.png": "b/1~2.png", "a/2.png": "b/2.png"}
