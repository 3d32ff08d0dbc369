"""Shades of a strategy's colour for its variants, each to be seen on white and on dark pages."""

MIN_CONTRAST = 3.0  # of a drawn thing against the page (WCAG 2.1, 1.4.11)
PAGES = (1.0, 0.0081)  # relative luminance of the pages: white, and #171614, the paler of the dark ones
STEPS = 30  # halvings in the search for a factor: far finer than a colour's 8 bits


def luminance(color: str) -> float:
    """Relative luminance of `#RRGGBB`, from 0, black, to 1, white (WCAG 2.1)."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def shades(color: str, number: int) -> list[str]:
    """So many shades of a colour, from dark to light in even steps of contrast.

    All stand out from both pages by `MIN_CONTRAST`; one that is too pale for the white page brings its own limit.
    """
    white, dark = PAGES
    low = (dark + 0.05) * MIN_CONTRAST
    high = max((white + 0.05) / MIN_CONTRAST, luminance(color) + 0.05)
    return [
        _of_luminance(color, low * (high / low) ** (0.02 + 0.96 * place / max(1, number - 1)) - 0.05)
        for place in range(number)
    ]


def _of_luminance(color: str, wanted: float) -> str:
    """The colour, mixed with black or white until it is as bright as wanted."""
    low, high = 0.0, 2.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if luminance(_mixed(color, middle)) < wanted else (low, middle)
    return _mixed(color, high)


def _mixed(color: str, factor: float) -> str:
    """factor: 0 black, 1 the colour itself, 2 white."""
    channels = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    mixed = [c * factor if factor <= 1 else c + (255 - c) * (factor - 1) for c in channels]
    return "#" + "".join(f"{round(min(255, c)):02X}" for c in mixed)
