"""How strategies are named: an id or alias, with settings of its own where a comparison sweeps one.

A reference is `ID` or `ID:KEY=VALUE,…`, such as `partial_fine_tuning:last_groups=2`: the strategy with that setting,
told apart from its siblings in the same comparison.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from math import isfinite

from tlcore.errors import AmbiguousStrategyError, SpecError, UnknownStrategyError
from tlcore.strategies.entries import AMBIGUOUS, STRATEGIES
from tlcore.strategies.shades import shades
from tlcore.strategies.values import SettingValue, Strategy

_PLAIN_BELOW = 1e15  # whole numbers that are written without an exponent


def find_strategy(name: str, own: Iterable[Strategy] = ()) -> Strategy:
    """The strategy of this id or unambiguous alias, whatever its case, spaces and hyphens.

    own: a person's strategies, by id. Raises: UnknownStrategyError, AmbiguousStrategyError.
    """
    known = {**STRATEGIES, **{entry.id: entry for entry in own}}
    key = name.strip().lower().replace("-", "_").replace(" ", "_")
    if key in known:
        return known[key]
    if key in AMBIGUOUS:
        both = " or ".join(f"{i} ({STRATEGIES[i].label})" for i in AMBIGUOUS[key])
        raise AmbiguousStrategyError(f"strategy {name!r} means different things to different people: say {both}")
    for entry in known.values():
        if key in entry.aliases:
            return entry
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UnknownStrategyError(f"unknown strategy {name!r}: {hint}choose from {', '.join(known)}")


def split_reference(reference: str) -> tuple[str, dict[str, SettingValue]]:
    """The name in a reference, and its settings. Raises: UnknownStrategyError for a malformed one, or a key twice."""
    name, colon, rest = reference.partition(":")
    settings: dict[str, SettingValue] = {}
    for item in rest.split(",") if colon else ():
        key, equals, value = item.partition("=")
        if not (key.strip() and equals and value.strip()):
            raise UnknownStrategyError(
                f"strategy {reference!r}: {item!r} is not of the form KEY=VALUE, as in "
                f"partial_fine_tuning:last_groups=2"
            )
        if key.strip() in settings:
            raise UnknownStrategyError(f"strategy {reference!r} sets {key.strip()} twice: keep one of them")
        settings[key.strip()] = literal(value.strip())
    return name, settings


def canonical(reference: str, own: Iterable[Strategy] = ()) -> str:
    """The one spelling of a reference. Raises: UnknownStrategyError, AmbiguousStrategyError."""
    name, settings = split_reference(reference)
    entry = find_strategy(name, own)
    said = ",".join(f"{key}={_spelled(value)}" for key, value in sorted(settings.items()))
    return f"{entry.id}:{said}" if said else entry.id


def merged(
    overrides: Iterable[tuple[str, Mapping[str, SettingValue]]], own: Iterable[Strategy] = ()
) -> dict[str, dict[str, SettingValue]]:
    """Settings by canonical reference; those under several names of one strategy come together.

    Raises: UnknownStrategyError, AmbiguousStrategyError; SpecError where one setting is given two values.
    """
    known = tuple(own)
    found: dict[str, dict[str, SettingValue]] = {}
    for name, values in overrides:
        reference = canonical(name, known)
        mine = found.setdefault(reference, {})
        for key, value in values.items():
            if key in mine and mine[key] != value:
                raise SpecError(f"{reference}.{key} is given twice, as {mine[key]!r} and {value!r}: keep one of them")
            mine[key] = value
    return found


def entry_of(reference: str, own: Iterable[Strategy] = (), siblings: Iterable[str] = ()) -> Strategy:
    """The entry behind a reference; one with settings says them in its labels.

    siblings: all references of the comparison; those of the same strategy share its colour in different shades.
    Raises: UnknownStrategyError, AmbiguousStrategyError.
    """
    name, settings = split_reference(reference)
    entry = find_strategy(name, own)
    if not settings:
        return entry
    said = ", ".join(f"{key.replace('_', ' ')} {_spelled(value)}" for key, value in settings.items())
    kin = [other for other in siblings if split_reference(other)[0] == name]
    family = [other for other in kin if split_reference(other)[1]]
    return replace(
        entry,
        label=f"{entry.label} ({said})",
        short_label=f"{entry.short_label} ({said})",
        color=_shade(entry.color, family.index(reference), family, kin) if reference in family else entry.color,
    )


def literal(text: str) -> SettingValue:
    """A setting's value as written on a command line: true, false, a number, or text."""
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if isfinite(number) else text
    return text


def _spelled(value: SettingValue) -> str:
    """A value as `literal` reads it, to its last digit: equal values, such as 0.0 and 0, are spelled the same."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < _PLAIN_BELOW:
        return str(int(value))
    return str(value)


def _shade(color: str, index: int, family: list[str], kin: list[str]) -> str:
    """A variant's shade of a colour, from dark to light; the colour itself where it is alone.

    family: the variants. kin: these and, where it is compared too, the plain strategy, which keeps the colour.
    """
    if len(kin) < 2:
        return color
    found = list(shades(color, len(kin), tuple(e.color for e in STRATEGIES.values() if e.color != color)))
    if len(kin) > len(family):
        found.remove(color)
    return found[index]
