"""The pixels that the network was trained on, of any picture file: needs numpy and Pillow, and nothing else.

A model folder holds a copy of this file as pixels.py. It gives the pixels of `datasets.pictures.decoding`.
"""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps

SPACES = {"L": "L", "LA": "L", "La": "L"}
STEPS = np.arange(216)[None]  # 6 × 6 × 6 colours


def open_rgb(path: Any) -> Any:
    """Upright 8-bit sRGB; white where transparent; deep greyscale scaled by its white."""
    opened = Image.open(path)
    image = ImageOps.exif_transpose(opened)
    if image.mode[0] in "IF":
        values = np.asarray(image).astype("float32")
        low, high = float(values.min()), float(values.max())
        whites = whites_of(opened, low, high)
        low, high = (0, whites[0]) if whites else (low, high)
        scaled = ((values - low) * (255 / (high - low or 1)) + 0.5).clip(0, 255)
        shown = np.where(values == image.info.get("transparency"), 255, scaled)
        image = Image.fromarray(shown.astype("uint8"))
    if "icc_profile" in image.info and image.mode != "LAB":
        image = in_srgb(image)
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")


def whites_of(opened: Any, low: float, high: float) -> list[int]:
    """What may stand for white: what the file says, else the first usual value; none, where its own range must do."""
    if opened.mode == "F":  # fractions overshoot their range where they were resampled
        over = [t for t in (1, 255) if -t / 2 <= low and high <= t * 1.5 and high >= (t > 1) * t / 2]
        return sorted([*over, *(t for t in (1, 255) if low >= 0 and high <= t)])
    tags = getattr(opened, "tag_v2", {})
    words = [*np.ravel(tags.get(281, 0)), *(2**b - 1 for b in np.ravel(tags.get(258, 16)) if b < 16)]
    said = [int(word) for word in words if word in [2**bits - 1 for bits in range(8, 17)]]
    return [t for t in (*said, 255, 4095, 65535) if low >= 0 and high <= t]


def in_srgb(image: Any) -> Any:
    """Colours as the file's profile means them, unless it is unfit, or means no more than sRGB does."""
    mode = SPACES.get(image.mode) or ("RGBA" if image.has_transparency_data else image.mode)
    own, srgb = io.BytesIO(image.info["icc_profile"]), ImageCms.createProfile("sRGB")
    mode = mode.replace("P", "RGB")
    try:
        change = ImageCms.buildTransform(own, srgb, mode, mode if mode == "RGBA" else "RGB")
        colours = np.stack([STEPS // 36, STEPS // 6 % 6, STEPS % 6], 2).astype("uint8") * 51
        cube = Image.fromarray(colours).convert(mode)
        grey = image.convert("LA")
        shown = change.apply(grey.getchannel("L") if mode == "L" else image.convert(mode))
        if mode == "L":
            shown.putalpha(grey.getchannel("A"))
        moved = np.abs(np.int16(change.apply(cube).convert("RGB")) - cube.convert("RGB")).max()
    except (OSError, ImageCms.PyCMSError):
        return image
    return shown if moved > 2 else image
