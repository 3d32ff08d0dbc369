"""Any mode and colour profile that Pillow reads -> 8-bit sRGB."""

import io
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageCms

_WHITE = (255, 255, 255, 255)
# Depths that cameras, microscopes and scanners store inside 16- and 32-bit files.
_BIT_DEPTHS = (8, 10, 12, 14, 16, 32)
_UNPREMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}
_SAME = 2  # of 255: sRGB profiles of different makers round differently
# What the colour profile of a picture of this mode says of itself (ICC.1:2022, table 19).
_COLOUR_SPACES = {"RGB": "RGB", "RGBA": "RGB", "L": "GRAY", "CMYK": "CMYK"}


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as sRGB, 8 bits per channel; what is transparent becomes white.

    Deep greyscale is scaled to 0…255, see `scale_deep`. Colours follow the file's ICC profile, see `in_srgb`; CMYK
    without one goes as Pillow converts it.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_to_rgb(image)
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, _lab_to_srgb()) or image
    if "icc_profile" in image.info:
        image = in_srgb(image)
    if image.has_transparency_data:
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def in_srgb(image: Image.Image) -> Image.Image:
    """Colours as the file's ICC profile means them; unchanged where it is sRGB's own, damaged, or for another mode.

    Whatever a profile calls itself, it is sRGB's where no colour of a sample changes by more than `_SAME`.
    """
    grey = image.mode in ("L", "LA", "La")
    clear = image.has_transparency_data
    mode = "L" if grey else "RGBA" if clear else "RGB" if image.mode == "P" else image.mode
    change = _to_srgb(image.info["icc_profile"], mode)
    if change is None:
        return image
    pixels = image.convert("LA") if grey else image.convert(mode)
    try:
        changed = change.apply(pixels.getchannel("L") if grey else pixels)
    except (OSError, ImageCms.PyCMSError):
        return image  # such a profile says nothing about the pixels, which are whole
    if grey and clear:
        changed.putalpha(pixels.getchannel("A"))
    return changed


def scale_deep(values: np.ndarray) -> np.ndarray:
    """Greyscale values of any depth H×W -> uint8 H×W.

    Whole numbers from 0 keep black at 0 and take the smallest usual bit depth that holds the brightest pixel as
    white, so a 12-bit picture in a 16-bit file is not black. Fractions in 0…1 or 0…255 are taken as such; all
    else is stretched from its minimum to its maximum. What is not finite becomes the nearest end, NaN black.
    """
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if finite.size == 0:
        return np.zeros(values.shape, np.uint8)
    low, high = float(np.min(finite)), float(np.max(finite))
    if low >= 0:
        limits = [1.0, 255.0] if values.dtype.kind == "f" else [2.0**bits - 1 for bits in _BIT_DEPTHS]
        fitting = [limit for limit in limits if high <= limit]
        if fitting:
            low, high = 0.0, fitting[0]
    scaled = np.nan_to_num(values.astype(np.float32), nan=low, posinf=high, neginf=low)
    scaled -= low
    scaled *= 255.0 / (high - low) if high > low else 0.0
    return (scaled + 0.5).clip(0, 255).astype(np.uint8)


def _deep_to_rgb(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    grey = scale_deep(values)
    invisible = image.info.get("transparency")
    if isinstance(invisible, int):
        grey[values == invisible] = 255
    return Image.fromarray(grey).convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    opaque = _UNPREMULTIPLIED.get(image.mode)
    rgba = (image.convert(opaque) if opaque else image).convert("RGBA")
    paper = Image.new("RGBA", rgba.size, _WHITE)
    return Image.alpha_composite(paper, rgba).convert("RGB")


@lru_cache(maxsize=32)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What changes pixels of this mode; None where there is nothing to change, or the profile cannot be used."""
    try:
        own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        if own.profile.xcolor_space.strip() != _COLOUR_SPACES.get(mode):
            return None
        change = ImageCms.buildTransform(own, srgb, mode, "RGBA" if mode == "RGBA" else "RGB")
        sample = _sample().convert(mode)
        shown = change.apply(sample).convert("RGB")
    except (OSError, ImageCms.PyCMSError):
        return None
    moved = ImageChops.difference(shown, sample.convert("RGB")).getextrema()
    return change if max(high for _, high in moved) > _SAME else None


@cache
def _sample() -> Image.Image:
    """The colours whose red, green and blue are each one of 0, 51 … 255."""
    steps = range(0, 256, 51)
    return Image.frombytes("RGB", (36, 6), bytes(v for r in steps for g in steps for b in steps for v in (r, g, b)))


@cache
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
