"""Any image file becomes upright 8-bit RGB, or an ImageError that names it."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from tests.helpers import draw, grey_profile, linear_profile, swapped_profile
from tlcore.datasets.content import describe, looks_like_image
from tlcore.datasets.pictures.decoding import MAX_PIXELS, open_rgb, probe
from tlcore.datasets.pictures.pixels import scale_deep
from tlcore.errors import ImageError


def pixels(path: Path) -> np.ndarray:
    image = open_rgb(path)
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_orientation_is_applied_as_pillow_applies_it(tmp_path, orientation, suffix):
    picture = draw(0, 2, 0, (24, 16))
    exif = Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"a.{suffix}"
    picture.save(path, exif=exif, lossless=True)
    picture.getexif()[0x112] = orientation
    expected = ImageOps.exif_transpose(picture)
    np.testing.assert_array_equal(pixels(path), np.asarray(expected))
    assert (probe(path).width, probe(path).height) == expected.size


def test_transparent_pixels_become_white(tmp_path):
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, :4] = (255, 0, 0, 255)
    rgba[:, 4:] = (0, 255, 0, 0)
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30, 200, 0, 0])
    palette.putpixel((0, 0), 1)
    palette.save(tmp_path / "p.png", transparency=0)
    Image.new("L", (2, 2), 7).save(tmp_path / "l.png", transparency=7)
    assert pixels(tmp_path / "rgba.png")[0, 0].tolist() == [255, 0, 0]
    assert pixels(tmp_path / "rgba.png")[0, 7].tolist() == [255, 255, 255]
    assert pixels(tmp_path / "p.png")[0, 0].tolist() == [200, 0, 0]
    assert pixels(tmp_path / "p.png")[1, 1].tolist() == [255, 255, 255]
    assert (pixels(tmp_path / "l.png") == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "YCbCr"])
def test_other_modes_look_like_pillows_conversion(tmp_path, mode):
    picture = draw(1, 3, 0).convert(mode)
    suffix = "jpg" if mode == "CMYK" else "tiff" if mode == "YCbCr" else "png"
    picture.save(tmp_path / f"a.{suffix}")
    with Image.open(tmp_path / f"a.{suffix}") as stored:
        expected = np.asarray(stored.convert("RGB"))
    np.testing.assert_array_equal(pixels(tmp_path / f"a.{suffix}"), expected)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_follow_the_profile_of_the_file(tmp_path, mode):
    """The oracle is made: a profile in which red and blue have changed places."""
    picture = draw(1, 3, 0, (24, 16)).convert("RGB")
    stored = picture.quantize(32) if mode == "P" else picture.convert(mode)
    stored.save(tmp_path / "a.png", icc_profile=swapped_profile())
    expected = np.asarray(stored.convert("RGB"))[..., ::-1].astype(int)
    assert np.abs(pixels(tmp_path / "a.png") - expected).max() <= 1


def test_a_profile_of_linear_light_is_not_srgb_whatever_it_is_called(tmp_path):
    """Light of (55 / 255) is sRGB's 128."""
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(linear_profile())))
    Image.new("RGB", (2, 2), (55, 55, 55)).save(tmp_path / "a.png", icc_profile=linear_profile())
    assert np.abs(pixels(tmp_path / "a.png").astype(int) - 128).max() <= 1


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_follows_its_profile_with_and_without_transparency(tmp_path, mode):
    picture = Image.new("LA", (2, 2), (55, 255))
    picture.putpixel((1, 1), (55, 0))
    picture.convert(mode).save(tmp_path / "a.png", icc_profile=grey_profile())
    shown = pixels(tmp_path / "a.png").astype(int)
    assert np.abs(shown[0, 0] - 128).max() <= 1
    assert np.abs(shown[1, 1] - (255 if mode == "LA" else 128)).max() <= 1


def test_transparency_outlives_a_profile(tmp_path):
    rgba = np.full((4, 4, 4), 0, np.uint8)
    rgba[:2] = (250, 0, 0, 255)
    Image.fromarray(rgba).save(tmp_path / "a.png", icc_profile=swapped_profile())
    shown = pixels(tmp_path / "a.png").astype(int)
    assert np.abs(shown[0, 0] - (0, 0, 250)).max() <= 1
    assert shown[3, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("mode", "profile"), [("RGB", swapped_profile()[:200]), ("L", swapped_profile()), ("RGB", b"none")]
)
def test_a_profile_that_says_nothing_changes_nothing(tmp_path, mode, profile):
    picture = draw(1, 3, 0).convert(mode)
    picture.save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), np.asarray(picture.convert("RGB")))


def test_the_usual_profile_leaves_every_pixel_as_it_is(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = draw(1, 3, 0).convert("RGB")
    picture.save(tmp_path / "a.png", icc_profile=srgb)
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), np.asarray(picture))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 4095]], np.uint16), [[0, 255]]),  # 12 bits in a 16-bit file are not black
        (np.array([[0, 255]], np.uint16), [[0, 255]]),
        (np.array([[0, 65535]], np.uint16), [[0, 255]]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [[0, 128, 255]]),
        (np.array([[0.0, 100.0, 255.0]], np.float32), [[0, 100, 255]]),
        (np.array([[-1.0, 0.0, 1.0]], np.float32), [[0, 128, 255]]),
        (np.array([[np.nan, -2.0, np.inf, 2.0]], np.float32), [[0, 0, 255, 255]]),
        (np.array([[np.nan]], np.float32), [[0]]),
        (np.array([[-7, -7]], np.int32), [[0, 0]]),
        # What overshoots its range, as resampling does, is clipped to it …
        (np.array([[0.0, 0.5, 1.001]], np.float32), [[0, 128, 255]]),
        (np.array([[-0.2, 0.5, 1.3]], np.float32), [[0, 128, 255]]),
        (np.array([[-9.0, 100.0, 260.0]], np.float32), [[0, 100, 255]]),
        (np.array([[-9.0, 100.0, 200.0]], np.float32), [[0, 100, 200]]),
        # … but not what has a range of its own.
        (np.array([[-2.0, 0.0, 2.0]], np.float32), [[0, 128, 255]]),
        (np.array([[0.0, 500.0, 1000.0]], np.float32), [[0, 128, 255]]),
        # One brighter pixel does not change the others of a 12-bit camera's frame.
        (np.array([[0, 128, 256]], np.uint16), [[0, 8, 16]]),
        (np.array([[0, 1024]], np.uint16), [[0, 64]]),
        (np.array([[0, 1023]], np.uint16), [[0, 64]]),
        (np.array([[0, 4096]], np.uint16), [[0, 16]]),
        (np.array([[0, 35000, 70000]], np.int32), [[0, 128, 255]]),
    ],
)
def test_deep_greyscale_uses_the_range_it_has(values, expected):
    assert scale_deep(values).tolist() == expected


@pytest.mark.parametrize(("said", "expected"), [(1023, 249), (65535, 4), (1000, 62), (None, 62)])
def test_a_tiff_says_itself_what_is_white(tmp_path, said, expected):
    """A depth counts; a number that is none was counted from the pixels, and would differ between frames."""
    info = {281: said} if said else {}
    Image.fromarray(np.full((2, 2), 1000, np.uint16)).save(tmp_path / "a.tif", tiffinfo=info)
    assert pixels(tmp_path / "a.tif")[0, 0].tolist() == [expected] * 3


def test_sixteen_bit_file(tmp_path):
    Image.fromarray(np.array([[0, 65535], [257, 514]], np.uint16)).save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png")[..., 0].tolist() == [[0, 255], [1, 2]]
    assert probe(tmp_path / "a.png").mode == "I;16"


def test_animation_gives_its_first_frame(tmp_path):
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    red.save(tmp_path / "a.gif", save_all=True, append_images=[blue])
    assert pixels(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]


def test_extension_plays_no_part(tmp_path):
    draw(0, 2, 0).save(tmp_path / "a.jpg", "PNG")
    assert probe(tmp_path / "a.jpg").format == "PNG"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_file_that_ends_too_early_is_refused_by_name(tmp_path, kind):
    path = tmp_path / "half"
    draw(0, 2, 0, 64).save(path, kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(ImageError, match=r"^half: "):
        open_rgb(path)


def test_too_many_pixels_are_refused_before_decoding(tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (MAX_PIXELS // 1000 + 1, 1000)).save(path)
    with pytest.raises(ImageError, match=r"^bomb\.png: .*limit of 134,217,728"):
        open_rgb(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"hello, world\n", "text"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\0\0\1\0\1\0\x10\x10", "an icon"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"\0\0\0\x18ftypheic", "an HEIC photo"),
        (b"\x80\x04\x95pickle", "a Python pickle"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript document"),  # Pillow would run Ghostscript on it
    ],
)
def test_what_is_no_image_is_named_for_what_it_is(tmp_path, content, words):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert not looks_like_image(content)
    assert describe(content).startswith(words)
    with pytest.raises(ImageError, match=rf"^a\.jpg: not an image but {words}"):
        open_rgb(path)


def test_a_missing_file_is_an_image_error(tmp_path):
    with pytest.raises(ImageError, match=r"^gone\.png: cannot be opened: No such file"):
        probe(tmp_path / "gone.png")
