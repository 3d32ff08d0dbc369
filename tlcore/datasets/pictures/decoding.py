"""One image file -> RGB pixels, decoded whole, or the reason why not."""

import struct
import warnings
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from tlcore.datasets.content import describe, head_of, looks_like_image
from tlcore.datasets.pictures.pixels import to_rgb
from tlcore.errors import ImageError

DECODING_VERSION = 3  # to be raised whenever the same file gives other pixels: caches are keyed by it
MAX_PIXELS = 128 * 1024 * 1024  # beyond 108-megapixel phones; 0.4 GB as RGB
# What Pillow may try. Left out on purpose: EPS (runs Ghostscript) and formats that are no photographs.
_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "JPEG2000")
# Pillow's readers raise all of these on damaged files.
_DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    MemoryError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ImageFacts:
    """What a whole decoding showed. width, height: after EXIF orientation. mode, format: as the file stores it."""

    width: int
    height: int
    mode: str
    format: str


def open_rgb(path: Path) -> Image.Image:
    """The first frame of an image file as 8-bit RGB, upright as EXIF says.

    For files of a checked dataset; a stranger's file is decoded in a child process, see `inspection`.
    Raises: ImageError naming the file and the reason.
    """
    return _named(path)[0]


def probe(path: Path) -> ImageFacts:
    """Facts of an image file, after decoding all of it. Raises: ImageError naming the file and the reason."""
    return _named(path)[1]


def read_image(path: Path) -> tuple[Image.Image, ImageFacts]:
    """Pixels and facts in one decoding. Raises: ImageError whose message is the reason alone."""
    try:
        head = head_of(path)
        if not looks_like_image(head):
            raise ImageError(f"not an image but {describe(head)}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged EXIF and large pictures: judged below, not printed
            return _decode(path)
    except _DECODER_ERRORS as error:
        raise ImageError(_reason(error)) from error


def _named(path: Path) -> tuple[Image.Image, ImageFacts]:
    try:
        return read_image(path)
    except ImageError as error:
        raise ImageError(f"{path.name}: {error}") from error


def _decode(path: Path) -> tuple[Image.Image, ImageFacts]:
    with Image.open(path, formats=_formats()) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ImageError(f"{width}×{height} pixels are more than the limit of {MAX_PIXELS:,}")
        mode, kind = image.mode, image.format or ""
        image.load()
        rgb = to_rgb(_upright(image))
    return rgb, ImageFacts(rgb.width, rgb.height, mode, kind)


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says; Pillow has already turned TIFFs, and removed the tag."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, ValueError, SyntaxError, LookupError, TypeError, struct.error):
        return image  # EXIF too damaged to be read says nothing about the pixels, which are whole
    if orientation not in _TURNS:
        return image
    turned = image.transpose(_TURNS[orientation])
    turned.info = image.info  # a transparent colour is told there
    return turned


@cache
def _formats() -> tuple[str, ...]:
    """Those of the formats that this build of Pillow has."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _reason(error: BaseException) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"more pixels than the limit of {MAX_PIXELS:,}"
    if isinstance(error, UnidentifiedImageError):
        return "damaged: its header cannot be read"
    if isinstance(error, MemoryError):
        return "needs too much memory"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be opened: {error.strerror}"
    if "truncated" in str(error):
        return "damaged: the file ends too early"
    return f"damaged: {str(error).strip() or type(error).__name__}"
