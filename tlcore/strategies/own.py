"""A person's own strategy as YAML: read with clear errors, and written so that it can be shared.

name: head_then_top
label: "Head first, then the top"
start: pretrained            # or random
phases:
  - fit: logistic_regression          # or linear_svm, knn; only as the first phase
  - train: head                       # head, all, last:K, lora, or a regular expression on parameter names
    share: 0.25                       # of the budget; the shares of all phases sum to 1
    recipe: head                      # whose defaults; by default that of the built-in strategy that does the same
    settings: {learning_rate: 0.01}
  - unfreeze: true                    # the head first, then one more layer group per stage
    share: 0.75
"""

import colorsys
import re
from collections.abc import Hashable
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import yaml

from tlcore.errors import StrategyError
from tlcore.strategies.entries import AMBIGUOUS, STRATEGIES
from tlcore.strategies.references import literal
from tlcore.strategies.values import CLASSIFIERS, Fit, Phase, SettingValue, Strategy, Train, Unfreeze

COLORS = ("#4E9A8F", "#C0504D", "#7A6FAC", "#B8860B", "#5B7FA6", "#A65B85")  # of own strategies; further ones get a hue
_GOLDEN = 0.618034  # steps of this part of the circle keep many hues apart
MAX_PHASES = 20
_ID = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LAST = re.compile(r"last(:[1-9]\d{0,2})?")
_PARTS = ("head", "all", "last", "lora")  # what `train` may name; anything else is a regular expression
_WORD = re.compile(r"[\w :-]+")  # no dot, and nothing that means something in a regular expression
_KEYS = {"name", "label", "description", "start", "phases"}
_GRADIENTS = {"share", "recipe", "settings"}
_PHASE_KEYS = {"fit": {"settings"}, "train": _GRADIENTS, "unfreeze": _GRADIENTS}
_RECIPE_OF = {"head": "head", "lora": "lora"}  # by what trains; else fine_tuning, or from_scratch with a random start
_SHARE_ERROR = 0.015  # how far the shares may be from 1, as three times 0.33 is
_LONGEST = {"label": 80, "description": 300}  # letters that fit into a legend, and below a card
_DEEPEST = 20  # lists and mappings in one another: a strategy has 4
_SHOWN = 200  # letters of a wrong value in a message
_NO_NAME = "is no short name: it begins with a letter and holds only a-z, 0-9 and _, at most 40 of them"


def parse_strategy(text: str, source: str) -> Strategy:
    """The strategy that a YAML document describes. source: its name, for messages. Raises: StrategyError."""
    found = _document(text, source)
    _only(found, _KEYS, source)
    name = str(found.get("name", ""))
    taken = {*STRATEGIES, *AMBIGUOUS, *(alias for entry in STRATEGIES.values() for alias in entry.aliases)}
    if not _ID.fullmatch(name) or name in taken:
        why = "is the name of a built-in strategy" if name in taken else _NO_NAME
        raise StrategyError(f"{source}: name {_shown(name)} {why}: choose another")
    start = found.get("start", "pretrained")
    if start not in ("pretrained", "random"):
        raise StrategyError(f"{source}: start {_shown(start)} is unknown: use pretrained or random")
    label = _line(found, "label", name.replace("_", " ").capitalize(), source)
    short = label.partition(":")[0].strip() or label
    if any(said in (entry.label, entry.short_label) for entry in STRATEGIES.values() for said in (label, short)):
        raise StrategyError(f"{source}: label {label!r} is that of a built-in strategy: choose one that differs")
    return Strategy(
        id=name,
        label=label,
        short_label=short,
        description=_line(found, "description", "A strategy of your own.", source),
        start=start,
        phases=_phases(found.get("phases"), start, source),
        color=own_color(sum(name.encode()) % len(COLORS)),
    )


def own_color(index: int) -> str:
    """The colour of the own strategy at this place among those of a comparison, counted from 0: each has another."""
    if index < len(COLORS):
        return COLORS[index]
    channels = colorsys.hls_to_rgb(index * _GOLDEN % 1, 0.5, 0.45)
    return "#" + "".join(f"{round(255 * channel):02X}" for channel in channels)


def export_strategy(entry: Strategy) -> str:
    """The YAML of a strategy, which `parse_strategy` reads; a built-in one is renamed, as its name is taken."""
    built_in = entry.id in STRATEGIES
    content = {
        "name": f"my_{entry.id}" if built_in else entry.id,
        "label": f"My {entry.label}" if built_in else entry.label,
        "description": entry.description,
        "start": entry.start,
        "phases": [_plain(phase) for phase in entry.phases],
    }
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110))


def _plain(phase: Phase) -> dict[str, Any]:
    settings = {"settings": dict(phase.settings)} if phase.settings else {}
    if isinstance(phase, Fit):
        return {"fit": phase.classifier, **settings}
    kind = {"train": phase.trainable} if isinstance(phase, Train) else {"unfreeze": True}
    return {**kind, "share": phase.share, "recipe": phase.recipe, **settings}


def _document(text: str, source: str) -> dict[Any, Any]:
    """The document's keys and values; a key that is given twice is refused, of which YAML would take the last."""
    try:
        _refuse_growth(text, source)
        _refuse_twice(yaml.compose(text, Loader=yaml.SafeLoader), source)
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-13-45
        raise StrategyError(f"{source} is no valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise StrategyError(f"{source} holds no strategy: it needs the keys name, label and phases")
    return found


def _refuse_growth(text: str, source: str) -> None:
    """Raises: StrategyError for what a few letters can make huge: aliases, which repeat a part, and deep nesting."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise StrategyError(f"{source} uses the alias *{event.anchor}: write out what it stands for")
        if depth > _DEEPEST:
            raise StrategyError(
                f"{source} has more than {_DEEPEST} lists or mappings in one another: it needs 4 at most"
            )


def _refuse_twice(node: Any, source: str) -> None:
    """Raises: StrategyError for a key that a mapping has twice."""
    parts = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        keys = [str(key.value) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise StrategyError(f"{source} gives {twice} twice in one place: keep one of them")
        parts = [part for pair in node.value for part in pair]
    for part in parts:
        _refuse_twice(part, source)


def _line(found: dict[Any, Any], key: str, default: str, source: str) -> str:
    """A text of the document, as one line."""
    value = found.get(key)
    text = " ".join(str(value).split()) if isinstance(value, str | int | float) else ""
    if value is not None and not 0 < len(text) <= _LONGEST[key]:
        raise StrategyError(f"{source}: {key} {_shown(value)} must be a text of at most {_LONGEST[key]} letters")
    return text or default


def _phases(found: Any, start: str, source: str) -> tuple[Phase, ...]:
    if not isinstance(found, list) or not found:
        raise StrategyError(f"{source}: phases must be a list with at least one phase, such as - train: head")
    if len(found) > MAX_PHASES:
        raise StrategyError(f"{source} has {len(found)} phases: keep to {MAX_PHASES}")
    phases = tuple(_phase(item, start, f"{source}, phase {number}") for number, item in enumerate(found, 1))
    if any(isinstance(phase, Fit) for phase in phases[1:]):
        raise StrategyError(f"{source}: fit must be the first phase: stored features are those of the starting weights")
    if start == "random" and isinstance(phases[0], Fit):
        raise StrategyError(f"{source}: fit needs pretrained weights: leave start: random out")
    if isinstance(phases[0], Fit) and phases[0].classifier == "knn" and len(phases) > 1:
        raise StrategyError(f"{source}: knn leaves no head to go on training: fit logistic_regression or linear_svm")
    total = sum(phase.share for phase in phases if not isinstance(phase, Fit))
    if total and abs(total - 1) > _SHARE_ERROR:
        raise StrategyError(f"{source}: the shares of its phases sum to {total:g}, not to 1: change them")
    return tuple(p if isinstance(p, Fit) else replace(p, share=p.share / total) for p in phases)


def _phase(item: Any, start: str, where: str) -> Phase:
    kinds = [kind for kind in _PHASE_KEYS if isinstance(item, dict) and kind in item]
    if len(kinds) != 1:
        raise StrategyError(f"{where} must be one of fit, train or unfreeze, not {_shown(item)}")
    (kind,) = kinds
    _only(item, {kind, *_PHASE_KEYS[kind]}, where)
    settings = _settings(item.get("settings"), where)
    if kind == "fit":
        if not isinstance(item["fit"], Hashable) or item["fit"] not in CLASSIFIERS:
            raise StrategyError(f"{where}: unknown classifier {_shown(item['fit'])}: use {', '.join(CLASSIFIERS)}")
        return Fit(item["fit"], settings)
    share = item.get("share", 1.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise StrategyError(f"{where}: share {_shown(share)} must be a number above 0, at most 1")
    default = "from_scratch" if start == "random" else "gradual" if kind == "unfreeze" else "fine_tuning"
    if kind == "unfreeze":
        if item["unfreeze"] is not True:
            raise StrategyError(f"{where}: unfreeze {_shown(item['unfreeze'])} must be true: it has no other value")
        return Unfreeze(float(share), str(item.get("recipe", default)), settings)
    part = _trainable(item["train"], start, where)
    return Train(part, float(share), str(item.get("recipe", _RECIPE_OF.get(part, default))), settings)


def _trainable(found: Any, start: str, where: str) -> str:
    """What a phase trains. Raises: StrategyError."""
    if not isinstance(found, str) or not found:
        raise StrategyError(
            f"{where}: train {_shown(found)} must be head, all, last:K, lora or a regular expression on parameter names"
        )
    if start == "random" and found == "lora":
        raise StrategyError(f"{where}: adapters need pretrained weights beside them: leave start: random out")
    if found.partition(":")[0] == "last" and not _LAST.fullmatch(found):
        raise StrategyError(f"{where}: train {_shown(found)} must be last:K with K of 1 or more, such as last:2")
    _require_no_slip(found, where)
    try:
        re.compile(found)
    except re.error as error:
        raise StrategyError(f"{where}: train {_shown(found)} is no regular expression: {error}") from error
    return found


def _require_no_slip(found: str, where: str) -> None:
    """Refuse a slip such as Head or last2, which would be searched for in parameter names. Raises: StrategyError."""
    said = found.partition(":")[0]
    near = get_close_matches(said.lower(), _PARTS, n=1, cutoff=0.75)
    if said in _PARTS or not near or not _WORD.fullmatch(found):
        return
    number = re.search(r"\d+", found)
    meant = f"last:{number[0]}" if near[0] == "last" and number else near[0]
    raise StrategyError(
        f"{where}: train {_shown(found)} is no part of the network: say {meant}, or write ^{found} to mean parameters "
        f"whose names begin so"
    )


def _settings(found: Any, where: str) -> dict[str, SettingValue]:
    """A phase's settings. Numbers such as 1e-3, which YAML reads as text, become numbers."""
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise StrategyError(f"{where}: settings {_shown(found)} must be names with values: {{learning_rate: 0.01}}")
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, bool | int | float | str):
            raise StrategyError(f"{where}: setting {key}: {_shown(value)} must be one number, text, true or false")
    return {key: literal(value) if isinstance(value, str) else value for key, value in found.items()}


def _shown(value: Any) -> str:
    """A wrong value as a message shows it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _only(found: dict[Any, Any], known: set[str], where: str) -> None:
    stray = sorted(str(key) for key in set(found) - known)
    if stray:
        raise StrategyError(f"{where} has the unknown key {', '.join(stray)}: it may have {', '.join(sorted(known))}")
