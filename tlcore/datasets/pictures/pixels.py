"""Any mode and colour profile that Pillow reads -> 8-bit sRGB."""

import io
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageCms

_WHITE = (255, 255, 255, 255)
_WHOLE_TOPS = (255, 4095, 65535)  # few, so that frames of one camera meet on one of them
_FLOAT_TOPS = (1.0, 255.0)
_MAX_SAMPLE_VALUE, _BITS_PER_SAMPLE = 281, 258  # TIFF's tags
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


def scale_deep(values: np.ndarray, said: int | None = None) -> np.ndarray:
    """Greyscale values of any depth H×W -> uint8 H×W. said: the file's own word for white, see `white_said`.

    Whole numbers from 0 keep black at 0; white is what the file says, else 255, 4095 or 65535, the first that holds
    the brightest pixel. Fractions in 0…1 or 0…255 are taken as such, and clipped where they overshoot by up to half
    of that range on either side, as resampling does; a brightest pixel below 127.5 is no overshoot of 0…255. All
    else is stretched from its minimum to its maximum. What is not finite becomes the nearest end, NaN black.
    """
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if finite.size == 0:
        return np.zeros(values.shape, np.uint8)
    low, high = float(np.min(finite)), float(np.max(finite))
    top = _float_top(low, high) if values.dtype.kind == "f" else _whole_top(low, high, said)
    if top is not None:
        low, high = 0.0, float(top)
    scaled = np.nan_to_num(values.astype(np.float32), nan=low, posinf=high, neginf=low)
    scaled -= low
    scaled *= 255.0 / (high - low) if high > low else 0.0
    return (scaled + 0.5).clip(0, 255).astype(np.uint8)


def white_said(image: Image.Image) -> int | None:
    """White of a depth from 8 to 16 bits that a TIFF names; its usual 16 bits per sample say how it is stored only."""
    tags = getattr(image, "tag_v2", {})
    stored = [2**bits - 1 for bits in np.ravel(tags.get(_BITS_PER_SAMPLE, 16)) if bits < 16]
    usual = [2**bits - 1 for bits in range(8, 17)]
    return next((int(word) for word in [*np.ravel(tags.get(_MAX_SAMPLE_VALUE, 0)), *stored] if word in usual), None)


def _whole_top(low: float, high: float, said: int | None) -> int | None:
    if low < 0:
        return None
    return next((top for top in (said, *_WHOLE_TOPS) if top is not None and high <= top), None)


def _float_top(low: float, high: float) -> float | None:
    for top in _FLOAT_TOPS:
        overshoots = -top / 2 <= low and high <= top * 1.5 and (top == 1 or high >= top / 2)
        if overshoots or (low >= 0 and high <= top):
            return top
    return None


def _deep_to_rgb(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    grey = scale_deep(values, white_said(image))
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
