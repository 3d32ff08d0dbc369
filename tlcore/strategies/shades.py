"""Shades of a strategy's colour for its variants, each to be seen on white and on dark pages and told from the rest."""

from collections.abc import Iterator
from functools import cache
from math import atan2, cos, dist, hypot, pi, sin

MIN_CONTRAST = 3.0  # of a drawn thing against the page (WCAG 2.1, 1.4.11)
PAGES = (1.0, 0.0081)  # relative luminance of the pages: white, and #171614, the paler of the dark ones
LIGHTNESS = [0.40 + 0.02 * step for step in range(21)]  # of the shades to choose from, in Oklab
TURNS = [pi / 24 * step for step in range(-6, 7)]  # of the hue: up to 45° either way
STRENGTHS = (0.4, 0.7, 1.0, 1.3)  # of the colour, against the strategy's own
Lab = tuple[float, float, float]


def luminance(color: str) -> float:
    """Relative luminance of `#RRGGBB`, from 0, black, to 1, white (WCAG 2.1)."""
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), _linear(color), strict=True))


@cache
def shades(color: str, number: int, others: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A colour and shades of it, so many in all, from dark to light.

    Each shade is the one that looks most unlike those before it and the others, which are colours of other strategies;
    all stand out from both pages by `MIN_CONTRAST`.
    """
    pool = {shade: _oklab(shade) for shade in _around(color)}
    chosen, taken = [color], [_oklab(one) for one in (color, *others)]
    while len(chosen) < number:
        chosen.append(max(pool, key=lambda shade: min(dist(pool[shade], one) for one in taken)))
        taken.append(pool[chosen[-1]])
    return tuple(sorted(chosen, key=luminance))


def _around(color: str) -> Iterator[str]:
    """Colours of a like hue that can be shown and seen on both pages."""
    _, a, b = _oklab(color)
    for light in LIGHTNESS:
        for turn in TURNS:
            for strength in STRENGTHS:
                hue, chroma = atan2(b, a) + turn, strength * hypot(a, b)
                channels = _channels((light, chroma * cos(hue), chroma * sin(hue)))
                if all(0 <= channel <= 1 for channel in channels):
                    shade = "#" + "".join(f"{round(255 * channel):02X}" for channel in channels)
                    if all(_contrast(luminance(shade), page) >= MIN_CONTRAST for page in PAGES):
                        yield shade


def _contrast(first: float, second: float) -> float:
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)


def _linear(color: str) -> list[float]:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def _oklab(color: str) -> Lab:
    """Lightness, green to red, blue to yellow: distances are as large as they look (Ottosson 2020, Oklab)."""
    r, g, b = _linear(color)
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    medium = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _channels(color: Lab) -> list[float]:
    """Red, green and blue as a screen has them; outside [0, 1] where it cannot show the colour."""
    light, a, b = color
    long = (light + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (light - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (light - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return [12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in linear]
