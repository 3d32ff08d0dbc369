"""The image classification sets that torchvision can bring, as a table of data. No torch here.

Numbers and licences are what the authors of the sets say, as far as known; the licence is theirs to tell.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlcore.errors import NotFoundError

PREFIX = "torchvision:"
_UNSTATED = "not stated"
_DIGITS = tuple("0123456789")
_ALL: tuple[tuple[str, Mapping[str, Any]], ...] = (("", {}),)
_TRAIN_TEST: tuple[tuple[str, Mapping[str, Any]], ...] = (("train", {"train": True}), ("test", {"train": False}))


def _named(**parts: str) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """`split` arguments by the part that they bring."""
    return tuple((part, {"split": value}) for part, value in parts.items())


@dataclass(frozen=True)
class PublicSet:
    """A set that torchvision can bring.

    pixels: the pictures' usual size. download_mb: 10⁶ bytes. parts: which part each call of the class brings (`train`,
    `val`, `test`, or `""` where the set has none), with its arguments. kind: the class in torchvision.datasets, if it
    is called otherwise. classes: their names, where torchvision says none, or unhandy ones. transposed: whether the
    pixels are stored column by column. by_hand: where the files come from, if torchvision cannot download them.
    """

    name: str
    shows: str
    num_classes: int
    num_images: int
    pixels: str
    download_mb: int
    licence: str
    parts: tuple[tuple[str, Mapping[str, Any]], ...] = _ALL
    kind: str = ""
    classes: tuple[str, ...] = ()
    transposed: bool = False
    by_hand: str = ""

    @property
    def source(self) -> str:
        """How it is named where a dataset is added."""
        return PREFIX + self.name


_TRAIN_VAL_TEST = _named(train="train", val="val", test="test")
_SPLITS = _named(train="train", test="test")
_FACES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_KAGGLE = "https://www.kaggle.com"


def _emnist(split: str) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    return tuple((part, {"split": split, **arguments}) for part, arguments in _TRAIN_TEST)


def _imagenette(size: str) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    return tuple((part, {"split": part, "size": size}) for part in ("train", "val"))


def _aircraft(level: str) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    return tuple((part, {"split": part, "annotation_level": level}) for part in ("train", "val", "test"))


SETS = (
    PublicSet("CIFAR10", "animals and vehicles", 10, 60_000, "32×32", 171, _UNSTATED, _TRAIN_TEST),
    PublicSet("CIFAR100", "animals, plants, things", 100, 60_000, "32×32", 169, _UNSTATED, _TRAIN_TEST),
    PublicSet("MNIST", "handwritten digits", 10, 70_000, "28×28", 12, "CC BY-SA 3.0", _TRAIN_TEST, classes=_DIGITS),
    PublicSet("FashionMNIST", "clothes", 10, 70_000, "28×28", 31, "MIT", _TRAIN_TEST),
    PublicSet("KMNIST", "cursive Japanese characters", 10, 70_000, "28×28", 21, "CC BY-SA 4.0", _TRAIN_TEST),
    PublicSet("EMNIST", "handwritten letters and digits, balanced", 47, 131_600, "28×28", 562, _UNSTATED,
              _emnist("balanced"), transposed=True),
    PublicSet("EMNIST-letters", "handwritten letters", 26, 145_600, "28×28", 562, _UNSTATED,
              _emnist("letters"), "EMNIST", transposed=True),
    PublicSet("EMNIST-digits", "handwritten digits", 10, 280_000, "28×28", 562, _UNSTATED,
              _emnist("digits"), "EMNIST", transposed=True),
    PublicSet("QMNIST", "handwritten digits, MNIST made anew", 10, 120_000, "28×28", 20, "BSD 3-Clause", _TRAIN_TEST,
              classes=_DIGITS),
    PublicSet("SVHN", "digits of house numbers", 10, 99_289, "32×32", 246, "non-commercial use", _SPLITS,
              classes=_DIGITS),
    PublicSet("STL10", "animals and vehicles", 10, 13_000, "96×96", 2_640, _UNSTATED, _SPLITS),
    PublicSet("EuroSAT", "satellite tiles by land use", 10, 27_000, "64×64", 94, "MIT"),
    PublicSet("Flowers102", "flowers", 102, 8_189, "about 500", 345, _UNSTATED, _TRAIN_VAL_TEST),
    PublicSet("OxfordIIITPet", "breeds of cats and dogs", 37, 7_349, "about 400", 811, "CC BY-SA 4.0",
              _named(train="trainval", test="test")),
    PublicSet("Food101", "dishes", 101, 101_000, "up to 512", 5_000, "photographers' rights", _SPLITS),
    PublicSet("DTD", "textures", 47, 5_640, "about 500", 625, "research use", _TRAIN_VAL_TEST),
    PublicSet("Caltech101", "things and animals", 101, 8_677, "about 300×200", 137, "CC BY 4.0"),
    PublicSet("Caltech256", "things and animals, with clutter", 257, 30_607, "about 350", 1_180, "CC BY 4.0"),
    PublicSet("FGVCAircraft", "variants of aircraft", 100, 10_000, "about 1,000", 2_750, "non-commercial research",
              _aircraft("variant")),
    PublicSet("FGVCAircraft-family", "families of aircraft", 70, 10_000, "about 1,000", 2_750,
              "non-commercial research", _aircraft("family"), "FGVCAircraft"),
    PublicSet("FGVCAircraft-manufacturer", "makers of aircraft", 30, 10_000, "about 1,000", 2_750,
              "non-commercial research", _aircraft("manufacturer"), "FGVCAircraft"),
    PublicSet("StanfordCars", "models of cars", 196, 16_185, "about 600", 1_950, _UNSTATED, _SPLITS,
              by_hand=f"{_KAGGLE} (search for Stanford Cars)"),
    PublicSet("GTSRB", "German traffic signs", 43, 39_270, "15 to 250", 276, _UNSTATED, _SPLITS),
    PublicSet("PCAM", "tissue with and without tumour", 2, 327_680, "96×96", 7_700, "CC0", _TRAIN_VAL_TEST,
              classes=("no tumour", "tumour")),
    PublicSet("SUN397", "scenes", 397, 108_754, "about 1,000", 39_000, _UNSTATED),
    PublicSet("Country211", "photographs by country", 211, 63_300, "about 500", 11_000, "Creative Commons, by photo",
              _named(train="train", val="valid", test="test")),
    PublicSet("Imagenette", "ten easy classes of ImageNet", 10, 13_394, "about 500", 1_560, "ImageNet's terms",
              _imagenette("full")),
    PublicSet("Imagenette-320", "ten easy classes of ImageNet", 10, 13_394, "320 short side", 342,
              "ImageNet's terms", _imagenette("320px"), "Imagenette"),
    PublicSet("Imagenette-160", "ten easy classes of ImageNet", 10, 13_394, "160 short side", 99,
              "ImageNet's terms", _imagenette("160px"), "Imagenette"),
    PublicSet("USPS", "handwritten digits of letters' codes", 10, 9_298, "16×16", 9, _UNSTATED, _TRAIN_TEST,
              classes=_DIGITS),
    PublicSet("SEMEION", "handwritten digits", 10, 1_593, "16×16", 3, "CC BY 4.0", classes=_DIGITS),
    PublicSet("RenderedSST2", "film reviews as pictures of text", 2, 9_613, "448×448", 132, _UNSTATED,
              _TRAIN_VAL_TEST),
    PublicSet("FER2013", "faces by expression", 7, 35_887, "48×48", 300, _UNSTATED, _SPLITS, classes=_FACES,
              by_hand=f"{_KAGGLE}/c/challenges-in-representation-learning-facial-expression-recognition-challenge"),
)  # fmt: skip


def is_public(source: str) -> bool:
    """Whether this names a public set rather than a path."""
    return source.casefold().startswith(PREFIX)


def find_set(source: str) -> PublicSet:
    """The set of this name, `torchvision:NAME` in any case. Raises: NotFoundError naming the nearest."""
    name = source.strip()[len(PREFIX) :] if is_public(source.strip()) else source.strip()
    known = {_plain(entry.name): entry for entry in SETS}
    if _plain(name) in known:
        return known[_plain(name)]
    near = difflib.get_close_matches(_plain(name), known, n=3, cutoff=0.5)
    meant = f"did you mean {' or '.join(known[key].source for key in near)}? " if near else ""
    raise NotFoundError(
        f"torchvision brings no set {name!r} that is known here: {meant}`python -m tlcore dataset sources` lists them"
    )


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())
