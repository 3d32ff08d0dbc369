"""Real photographs and odd files, with the facts that are known of them."""

import zipfile

import numpy as np
import pytest

from tlcore.datasets.health import health_of
from tlcore.datasets.intake import add_dataset
from tlcore.datasets.pictures.decoding import open_rgb, probe
from tlcore.datasets.splits import make_split, split_note
from tlcore.datasets.store import find_rows, gallery, load_dataset

pytestmark = pytest.mark.real


def test_hymenoptera(real_data, settings):
    """244 + 153 photographs; the stand-in among the ants is no photograph, whatever its bytes say."""
    info = add_dataset(real_data / "hymenoptera_data", settings=settings)
    assert (info.classes, info.given) == (("ants", "bees"), "train_val")
    assert info.part_counts == {"train": 244, "val": 153}
    assert [x.path for x in info.left_out] == ["train/ants/imageNotFound.gif"]
    dataset = load_dataset(info.id, settings)
    assert (dataset.images["width"] * dataset.images["height"]).max() == 2592 * 1944
    split = make_split(dataset, 0)
    assert (len(split.train), len(split.val), len(split.test)) == (195, 49, 153)
    assert set(dataset.images["part"].iloc[list(split.test)]) == {"val"}
    assert "val is used as the test part" in split_note(info)


def test_brain_tumor_mri(real_data, settings):
    """Modes RGB, L, RGBA and P, wrong extensions, and 25 exact copies that stay together."""
    info = add_dataset(real_data / "brain_tumor_mri", settings=settings)
    assert (info.num_images, info.given, info.left_out) == (253, "none", ())
    assert info.notes == (
        "25 files are exact copies of others; where the split is drawn here, copies stay together.",
        "24 more look nearly the same as others; where the split is drawn here, they stay together too.",
    )
    dataset = load_dataset(info.id, settings)
    assert {"RGB", "L"} <= set(dataset.images["mode"])
    health = health_of(dataset)
    copies, endings = health.of("exact_duplicates"), health.of("wrong_ending")
    assert (len(copies.groups), copies.num_images - len(copies.groups)) == (22, 25)
    assert len(endings.groups) == 6
    assert {"two_labels", "near_two_labels", "blank", "dark", "tiny"}.isdisjoint(f.kind for f in health.findings)
    for seed in range(5):
        split = make_split(dataset, seed)
        hashes = [set(dataset.images["sha256"].iloc[list(rows)]) for rows in (split.train, split.val, split.test)]
        assert sum(map(len, hashes)) == dataset.images["sha256"].nunique() == 228


def test_eurosat(real_data, settings):
    info = add_dataset(real_data / "eurosat_rgb_2000", settings=settings)
    assert (info.num_images, len(info.classes), info.short_side, info.left_out) == (2000, 10, 64, ())
    dataset = load_dataset(info.id, settings)
    assert health_of(dataset).findings == (), "calm sea is neither blank nor a duplicate of other sea"
    split = make_split(dataset, 0)
    assert (len(split.train), len(split.val), len(split.test)) == (1200, 400, 400)


def test_odd_images(real_data, settings, tmp_path):
    """Every readable file loads, every unreadable one is refused by name, from a zip of both."""
    files = sorted((real_data / "odd_images").rglob("*.*"))
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        for number, path in enumerate(files):
            archive.write(path, f"class {number % 2}/{path.parent.name}-{path.name}")
    info = add_dataset(tmp_path / "odd.zip", settings=settings)
    readable = [path.name for path in files if path.parent.name == "readable"]
    unreadable = [path.name for path in files if path.parent.name == "unreadable"]
    assert (len(readable), len(unreadable), info.num_images) == (26, 14, 26)
    assert sorted(x.path.partition("unreadable-")[2] for x in info.left_out) == unreadable
    assert all(x.reason for x in info.left_out)
    dataset = load_dataset(info.id, settings)
    assert all(row.thumbnail.is_file() for row in gallery(dataset, find_rows(dataset)))
    for image in dataset.images.itertuples():
        rgb = open_rgb(dataset.root / image.path)
        assert (rgb.mode, rgb.size) == ("RGB", (image.width, image.height))


@pytest.mark.parametrize("orientation", range(2, 9))
def test_eight_orientations_show_one_picture(real_data, orientation):
    folder = real_data / "odd_images" / "readable"
    upright = np.asarray(open_rgb(folder / "hopper.bmp"), float)
    turned = np.asarray(open_rgb(folder / f"hopper_orientation_{orientation}.jpg"), float)
    assert np.abs(turned - upright).mean() < 12  # JPEG's loss; a wrong turn differs by about 60


def test_odd_colours(real_data):
    folder = real_data / "odd_images" / "readable"

    def at(name: str, x: int, y: int) -> tuple[int, int, int]:
        return open_rgb(folder / name).getpixel((x, y))

    red, green, blue = at("lab-green.tif", 5, 5)
    assert green > 2 * red
    assert green > blue
    red, green, blue = at("pil_sample_cmyk.jpg", 2, 2)
    assert red > 3 * max(green, blue)
    assert at("multipage.tiff", 0, 0) == (0, 128, 0)
    assert 20 < np.asarray(open_rgb(folder / "16bit.r.tif")).mean() < 235
    assert np.asarray(open_rgb(folder / "10ct_32bit_128.tiff")).std() > 20
    assert probe(folder / "iss634.webp").mode == "RGBA"
