"""Any mode and colour profile that Pillow reads -> 8-bit sRGB."""

import io
from functools import cache

import numpy as np
from PIL import Image, ImageCms

_WHITE = (255, 255, 255, 255)
# Depths that cameras, microscopes and scanners store inside 16- and 32-bit files.
_BIT_DEPTHS = (8, 10, 12, 14, 16, 32)
_UNPREMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}
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
    """Colours as the file's ICC profile means them; unchanged where it is sRGB's own, damaged, or for another mode."""
    mode = "RGBA" if image.has_transparency_data else "RGB" if image.mode == "P" else image.mode
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        fits = own.profile.xcolor_space.strip() == _COLOUR_SPACES.get(mode)
        if fits and "sRGB" not in ImageCms.getProfileDescription(own):
            srgb, out = ImageCms.createProfile("sRGB"), "RGBA" if mode == "RGBA" else "RGB"
            return ImageCms.profileToProfile(image.convert(mode), own, srgb, outputMode=out) or image
    except (OSError, ImageCms.PyCMSError):
        return image  # such a profile says nothing about the pixels, which are whole
    return image


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


@cache
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
