"""The health report finds what was put in, names exactly those files, and proposes edits that mend it."""

import hashlib
import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlcore.datasets.dataset import Dataset
from tlcore.datasets.health import Health, health_of
from tlcore.datasets.intake import add_dataset
from tlcore.datasets.splits import make_split
from tlcore.datasets.store import load_dataset
from tlcore.errors import SplitError
from tlcore.settings import Settings


def scene(seed: int, side: int = 240) -> Image.Image:
    """A picture of soft shapes that is like no other."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def folder(root: Path, classes: dict[str, int], first: int = 0) -> Path:
    """Class folders of different scenes as PNG: `<class>/<n>.png`."""
    for place, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            scene(first + 1_000 * place + number).save(root / name / f"{number}.png", compress_level=1)
    return root


def imported(source: Path, settings: Settings) -> Dataset:
    return load_dataset(add_dataset(source, settings=settings).id, settings)


def judged(source: Path, settings: Settings) -> Health:
    return health_of(imported(source, settings))


def test_a_clean_dataset_has_no_findings(tmp_path, settings):
    health = judged(folder(tmp_path / "clean", {"ants": 6, "bees": 6}), settings)
    assert health.findings == ()
    assert (health.modes, health.formats, health.sizes) == ({"RGB": 12}, {"PNG": 12}, ((240, 240, 12),))


def test_copies_within_a_class(tmp_path, settings):
    root = folder(tmp_path / "copies", {"ants": 6, "bees": 6})
    for number in (7, 8):
        (root / "ants" / f"{number}.png").write_bytes((root / "ants" / "0.png").read_bytes())
    health = judged(root, settings)
    (found,) = health.findings
    assert (found.kind, found.groups) == ("exact_duplicates", (("ants/0.png", "ants/7.png", "ants/8.png"),))
    assert found.words.startswith("2 files are exact copies of others, in 1 group")
    ((edit,),) = [suggestion.edits for suggestion in found.suggestions]
    assert edit.paths == ("ants/7.png", "ants/8.png")


def test_a_picture_saved_anew_within_a_class(tmp_path, settings):
    root = folder(tmp_path / "anew", {"ants": 6, "bees": 6})
    scene(1_003).resize((100, 100), Image.Resampling.BILINEAR).save(root / "bees" / "small.jpg", quality=60)
    (found,) = judged(root, settings).findings
    assert (found.kind, found.groups) == ("near_duplicates", (("bees/3.png", "bees/small.jpg"),))


def test_one_file_under_two_classes(tmp_path, settings):
    root = folder(tmp_path / "torn", {"ants": 6, "bees": 6})
    (root / "bees" / "same.png").write_bytes((root / "ants" / "2.png").read_bytes())
    (found,) = judged(root, settings).findings
    assert (found.kind, found.severity) == ("two_labels", "error")
    assert found.groups == (("ants/2.png", "bees/same.png"),)
    by_label = {suggestion.label: suggestion.edits[0] for suggestion in found.suggestions}
    assert by_label["Leave them all out"].paths == found.groups[0]
    assert (by_label["All are ants"].label, by_label["All are ants"].paths) == ("ants", ("bees/same.png",))
    assert (by_label["All are bees"].label, by_label["All are bees"].paths) == ("bees", ("ants/2.png",))


def test_nearly_one_picture_under_two_classes(tmp_path, settings):
    root = folder(tmp_path / "nearly", {"ants": 6, "bees": 6})
    scene(4).save(root / "bees" / "again.jpg", quality=70)
    (found,) = judged(root, settings).findings
    assert (found.kind, found.groups) == ("near_two_labels", (("ants/4.png", "bees/again.jpg"),))


def chained(root: Path, ends: dict[str, str]) -> dict[str, Path]:
    """Three pictures in these folders of `root`, the second like both others, which are too far apart; others beside.

    Their files are changed, not their pixels, so that any of them has the smallest hash.
    """
    made = {}
    for name, gain in zip(("one", "middle", "two"), (0.0, 0.1, 0.2), strict=True):
        values = np.asarray(scene(77).convert("L"), dtype=float) * (1 - gain) + gain * np.asarray(
            scene(78).convert("L")
        )
        made[name] = root / ends[name] / f"{name}.png"
        Image.fromarray(values.astype(np.uint8)).convert("RGB").save(made[name])
    return made


@pytest.mark.parametrize("smallest", ["one", "middle", "two"])
def test_a_leak_is_found_whatever_the_hashes(tmp_path, settings, smallest):
    """Of a chain of three, the pair in two parts is listed, and the third, which is like none in the other, is not."""
    root = tmp_path / "chain"
    folder(root / "train", {"ants": 4, "bees": 4})
    folder(root / "test", {"ants": 4, "bees": 4}, first=500)
    made = chained(root, {"one": "train/ants", "middle": "train/ants", "two": "test/ants"})
    _make_smallest(made, smallest)
    health = judged(root, settings)
    assert health.of("near_leak").groups == (("train/ants/middle.png", "test/ants/two.png"),)


@pytest.mark.parametrize("smallest", ["one", "middle", "two"])
def test_two_classes_for_nearly_one_picture_are_found_whatever_the_hashes(tmp_path, settings, smallest):
    """The whole chain stays in one part of a drawn split; listed is the pair whose classes differ."""
    root = folder(tmp_path / "torn", {"ants": 4, "bees": 4})
    made = chained(root, {"one": "ants", "middle": "ants", "two": "bees"})
    _make_smallest(made, smallest)
    assert judged(root, settings).of("near_two_labels").groups == (("ants/middle.png", "bees/two.png"),)


def _make_smallest(made: dict[str, Path], smallest: str) -> None:
    """Bytes after the end of one file until its hash is the smallest of all."""
    others = min(hashlib.sha256(path.read_bytes()).digest() for name, path in made.items() if name != smallest)
    content = made[smallest].read_bytes()
    tails = (str(number).encode() for number in itertools.count())
    made[smallest].write_bytes(
        next(content + tail for tail in tails if hashlib.sha256(content + tail).digest() < others)
    )


def test_a_picture_in_two_given_parts(tmp_path, settings):
    root = tmp_path / "parts"
    folder(root / "train", {"ants": 6, "bees": 6})
    folder(root / "test", {"ants": 3, "bees": 3}, first=500)
    (root / "test" / "bees" / "same.png").write_bytes((root / "train" / "bees" / "1.png").read_bytes())
    scene(2).save(root / "test" / "ants" / "again.jpg", quality=70)
    health = judged(root, settings)
    leak, near = health.of("leak"), health.of("near_leak")
    assert {finding.kind for finding in health.findings} == {"leak", "near_leak", "near_duplicates", "exact_duplicates"}
    assert leak is not None and near is not None
    assert set(leak.groups[0]) == {"train/bees/1.png", "test/bees/same.png"}
    assert set(near.groups[0]) == {"train/ants/2.png", "test/ants/again.jpg"}
    without, moved = (suggestion.edits[0] for suggestion in leak.suggestions)
    assert without.paths == ("train/bees/1.png",)
    assert (moved.paths, moved.part) == (("test/bees/same.png",), "train")


def test_a_picture_in_all_three_parts_stays_in_the_test_part_alone(tmp_path, settings):
    root = tmp_path / "three"
    for place, part in enumerate(("train", "val", "test")):
        folder(root / part, {"ants": 4, "bees": 4}, first=200 * place)
    for part in ("val", "test"):
        (root / part / "ants" / "same.png").write_bytes((root / "train" / "ants" / "1.png").read_bytes())
    (root / "test" / "bees" / "more.png").write_bytes((root / "val" / "bees" / "2.png").read_bytes())
    leak = judged(root, settings).of("leak")
    without, moved = (suggestion.edits[0] for suggestion in leak.suggestions)
    assert set(without.paths) == {"train/ants/1.png", "val/ants/same.png", "val/bees/2.png"}
    assert set(moved.paths) == {"val/ants/same.png", "test/ants/same.png", "val/bees/2.png", "test/bees/more.png"}


def test_images_that_show_nothing(tmp_path, settings):
    root = folder(tmp_path / "nothing", {"ants": 6, "bees": 6})
    Image.new("RGB", (80, 80), (200, 190, 10)).save(root / "ants" / "even.jpg", quality=50)
    night = (np.asarray(scene(77)).astype(float) * 0.06).astype(np.uint8)
    Image.fromarray(night).save(root / "bees" / "night.png")
    scene(78).resize((31, 64)).save(root / "bees" / "stamp.png")
    health = judged(root, settings)
    found = {finding.kind: finding.groups for finding in health.findings}
    assert found == {
        "blank": (("ants/even.jpg",),),
        "dark": (("bees/night.png",),),
        "tiny": (("bees/stamp.png",),),
    }


def test_a_fine_pattern_is_not_one_even_tone(tmp_path, settings):
    """Though a small version of it is; what is measured is every pixel."""
    root = folder(tmp_path / "fine", {"ants": 6, "bees": 6})
    fine = (np.indices((640, 640)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(fine).save(root / "ants" / "fine.png")
    dataset = imported(root, settings)
    (row,) = dataset.images[dataset.images["path"] == "ants/fine.png"].itertuples()
    assert (row.brightness, row.contrast) == (127.5, 127.5)
    assert health_of(dataset).of("blank") is None


def test_a_file_whose_ending_says_another_format(tmp_path, settings):
    root = folder(tmp_path / "endings", {"ants": 6, "bees": 6})
    png = io.BytesIO()
    scene(50).save(png, "PNG")
    (root / "ants" / "photo.JPG").write_bytes(png.getvalue())
    scene(51).save(root / "ants" / "right.JPEG", "JPEG")
    (found,) = judged(root, settings).findings
    assert (found.kind, found.groups) == ("wrong_ending", (("ants/photo.JPG",),))


@pytest.mark.parametrize(("small", "severity"), [(4, "warning"), (10, "note"), (20, None)])
def test_classes_of_different_size(tmp_path, settings, small, severity):
    found = judged(folder(tmp_path / "sizes", {"many": 40, "few": small}), settings).of("imbalance")
    assert (found.severity if found else None) == severity
    if small == 4:
        assert "many has 10 times as many images as few (40 and 4)" in found.words
        assert [{path.split("/")[0] for path in group} for group in found.groups] == [{"few"}, {"many"}]


def test_a_class_that_is_too_small_is_imported_and_found(tmp_path, settings):
    """Nothing is refused that leaving out a class would mend."""
    root = folder(tmp_path / "small", {"ants": 6, "bees": 6, "crabs": 2})
    dataset = imported(root, settings)
    found = health_of(dataset).findings[0]
    assert (found.kind, found.severity, found.groups) == ("too_small", "error", (("crabs/0.png",), ("crabs/1.png",)))
    assert "class 'crabs' has 2 different images" in found.words.lower()
    assert [s.label for s in found.suggestions] == ["Leave out crabs"]
    with pytest.raises(SplitError, match="crabs"):
        make_split(dataset, 0)


def test_a_class_of_one_picture_many_times_is_the_one_that_is_too_small(tmp_path, settings):
    """Counted by different pictures, not by files."""
    root = folder(tmp_path / "burst", {"ants": 8, "bees": 8, "burst": 1})
    for number in range(1, 30):
        (root / "burst" / f"{number}.png").write_bytes((root / "burst" / "0.png").read_bytes())
    found = judged(root, settings).findings[0]
    assert (found.kind, found.num_images) == ("too_small", 30)
    ((edit,),) = [suggestion.edits for suggestion in found.suggestions]
    assert all(path.startswith("burst/") for path in edit.paths)


def test_no_click_takes_away_a_class_or_half_of_the_images(tmp_path, settings):
    root = folder(tmp_path / "stamps", {"ants": 6, "bees": 6})
    for path in root.rglob("*.png"):
        Image.open(path).resize((20, 20)).save(path)
    found = judged(root, settings).of("tiny")
    assert (found.num_images, found.suggestions) == (12, ())


def test_classes_that_differ_by_case_alone_can_be_merged(tmp_path, settings):
    root = folder(tmp_path / "case", {"Ants": 6, "ants ": 0, "bees": 6})
    folder(root, {"ants": 4}, first=300)
    found = judged(root, settings).of("similar_names_Ants")
    ((edit,),) = [suggestion.edits for suggestion in found.suggestions]
    assert (edit.old, edit.new, found.num_images) == ("ants", "Ants", 4)


def test_what_is_said_of_torn_pictures_is_true_where_the_split_is_given(tmp_path, settings):
    root = tmp_path / "given"
    folder(root / "train", {"ants": 6, "bees": 6})
    folder(root / "test", {"ants": 3, "bees": 3}, first=500)
    (root / "test" / "bees" / "same.png").write_bytes((root / "train" / "ants" / "1.png").read_bytes())
    assert "for training only" not in judged(root, settings).of("two_labels").words


def test_files_that_were_left_out_are_listed(tmp_path, settings):
    root = folder(tmp_path / "left", {"ants": 6, "bees": 6})
    (root / "ants" / "torn.png").write_bytes((root / "ants" / "0.png").read_bytes()[:500])
    (root / "notes.txt").write_text("taken in May")
    (found,) = judged(root, settings).findings
    assert found.kind == "left_out"
    assert dict(found.files)["ants/torn.png"].startswith("damaged")
    assert dict(found.files)["notes.txt"] == "not an image but text"


def test_an_older_import_says_what_was_not_looked_for(tmp_path, settings):
    dataset = imported(folder(tmp_path / "old", {"ants": 6, "bees": 6}), settings)
    kept = ["path", "label", "part", "sha256", "width", "height", "mode"]
    health = health_of(Dataset(dataset.info, dataset.images[kept], dataset.root))
    assert [finding.kind for finding in health.findings] == ["old_import"]
