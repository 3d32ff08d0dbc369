"""Pictures for tests: small, deterministic, and learnable by their colour and texture."""

import colorsys
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms


def make_image_folder(
    folder: Path,
    classes: Sequence[str] | int = ("ants", "bees"),
    per_class: int = 10,
    size: int | tuple[int, int] = 32,
    parts: Sequence[str] = (),
) -> Path:
    """Write `<folder>/images/[<part>/]<class>/<class>_<n>.png` and return `<folder>/images`.

    classes: names, or how many. per_class: images per class (and part). size: side, or (width, height).
    parts: folder names such as `train` and `val` above the class folders; no picture occurs twice.
    """
    names = [f"class_{i}" for i in range(classes)] if isinstance(classes, int) else list(classes)
    root = folder / "images"
    for p, part in enumerate(parts or ("",)):
        for label, name in enumerate(names):
            target = root / part / name
            target.mkdir(parents=True, exist_ok=True)
            for i in range(per_class):
                picture = draw(label, len(names), p * per_class + i, size)
                picture.save(target / f"{name}_{p * per_class + i:04d}.png", compress_level=1)
    return root


def draw(label: int, num_classes: int, index: int, size: int | tuple[int, int] = 32) -> Image.Image:
    """One RGB picture: stripes in the colour and direction of its class, with jitter and noise of its own."""
    width, height = (size, size) if isinstance(size, int) else size
    rng = np.random.default_rng(zlib.crc32(f"{label}/{num_classes}/{index}".encode()))
    hue = (label + rng.uniform(-0.2, 0.2)) / num_classes
    colour = np.array(colorsys.hsv_to_rgb(hue % 1.0, 0.8, 0.9))
    angle = np.pi * label / num_classes + rng.uniform(-0.1, 0.1)
    y, x = np.mgrid[:height, :width] / max(width, height)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (3 * (x * np.cos(angle) + y * np.sin(angle)) + rng.uniform()))
    pixels = colour * (0.4 + 0.6 * wave[..., None]) + rng.normal(0, 0.05, (height, width, 3))
    return Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8))


def odd_pictures(folder: Path) -> list[Path]:
    """Files whose pixels are easily read wrongly: transparent, deeper than 8 bits, turned by EXIF; all 70×50."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = draw(0, 2, 99, (70, 50))
    grey = np.asarray(plain.convert("L")).astype(np.uint16)
    see_through = plain.copy()
    see_through.putalpha(Image.fromarray((grey * 2 % 256).astype(np.uint8)))
    colours = plain.quantize(16)
    made = {f"grey_{bits}.png": (Image.fromarray(grey * (2**bits // 256) + bits), {}) for bits in (10, 12, 14)}
    made |= {
        "grey_16.png": (Image.fromarray(grey * 257), {}),
        "grey_16_key.png": (Image.fromarray(grey * 257), {"transparency": int(grey[25, 35]) * 257}),
        "grey_10_said.tif": (Image.fromarray(grey * 4), {"tiffinfo": {281: 1023}}),
        "fractions.tif": (Image.fromarray((grey / 240 - 0.02).astype(np.float32)), {}),
        "range_of_its_own.tif": (Image.fromarray((grey / 20 - 6).astype(np.float32)), {}),
        "rgba.png": (see_through, {}),
        "la.png": (see_through.convert("LA"), {}),
        "palette_key.png": (colours, {"transparency": 0}),
        "palette_alpha.png": (colours, {"transparency": bytes(range(0, 256, 16))}),
        "turned.png": (see_through, {"exif": _turned(6)}),
        "turned.jpg": (plain, {"exif": _turned(8)}),
        "swapped.jpg": (plain, {"icc_profile": swapped_profile()}),
        "swapped_rgba.png": (see_through, {"icc_profile": swapped_profile()}),
        "swapped_palette.png": (colours, {"icc_profile": swapped_profile(), "transparency": 0}),
        "linear.png": (plain, {"icc_profile": linear_profile()}),
        "grey_profile.png": (plain.convert("L"), {"icc_profile": grey_profile()}),
        "grey_alpha_profile.png": (see_through.convert("LA"), {"icc_profile": grey_profile()}),
        "grey_transparent_profile.png": (plain.convert("L"), {"icc_profile": grey_profile(), "transparency": 7}),
        "profile_of_another_kind.png": (plain.convert("L"), {"icc_profile": swapped_profile()}),
        "profile_damaged.png": (plain, {"icc_profile": swapped_profile()[:200]}),
    }
    for name, (picture, options) in made.items():
        picture.save(folder / name, **options)
    return [folder / name for name in made]


def swapped_profile() -> bytes:
    """An ICC profile like sRGB's but with the colours of red and blue exchanged: (r, g, b) means sRGB's (b, g, r)."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = data.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    return data.replace("sRGB".encode("utf-16-be"), "Swap".encode("utf-16-be"))


def linear_profile() -> bytes:
    """An ICC profile with sRGB's primaries, and values that are amounts of light: it calls itself sRGB too."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    curve, ones = data.index(b"para"), struct.pack(">5i", 1 << 16, 1 << 16, 0, 1 << 16, 0)  # (1·x + 0)^1
    return data.replace(data[curve + 12 : curve + 32], ones)


def grey_profile() -> bytes:
    """The same for a picture in grey, with a curve of its own and no primaries."""
    tags = [(b"wtpt", b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)),
            (b"kTRC", b"curv\0\0\0\0\0\0\0\0"), (b"desc", b"desc" + bytes(6) + b"\0\5Grey\0" + bytes(79))]  # fmt: skip
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags:
        padded = content + bytes(-len(content) % 4)
        table += name + struct.pack(">2I", place + len(body), len(content))
        body += padded
    head = bytearray(128)
    head[0:4] = struct.pack(">I", place + len(body))
    head[8:24] = b"\2\x10\0\0mntrGRAYXYZ "
    head[36:40] = b"acsp"
    head[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    return bytes(head) + struct.pack(">I", len(tags)) + table + body


def _turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif
