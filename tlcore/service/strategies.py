"""A person's own strategies: read from YAML, kept in the home, and named in comparisons beside the built-in ones."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace as changed
from pathlib import Path

from tlcore.errors import NotFoundError, SpecError, StorageError, StrategyError
from tlcore.recipes import DataFacts, FitRecipe, ModelFacts, require_fit, require_known, resolve
from tlcore.results import Value
from tlcore.service.whole_files import write_whole
from tlcore.settings import get_settings
from tlcore.strategies import (
    STRATEGIES,
    Fit,
    SettingValue,
    Strategy,
    Train,
    canonical,
    export_strategy,
    find_strategy,
    merged,
    parse_strategy,
    split_reference,
)

MAX_BYTES = 64 * 1024  # a strategy of 20 phases takes about 2 KB
ANY_DATA = DataFacts(num_train=1_000, short_side=224)  # what trains when does not depend on the images
FILE_FORM = re.compile(r"file:(?P<path>.+?)(?::(?P<settings>[a-z0-9_.]+=[^/\\]*))?")


class SavedStrategy(Value):
    """A strategy in the home. problem: why the file cannot be used, where it was changed by hand or is too old."""

    name: str
    strategy: Strategy | None
    problem: str | None = None


def check_text(text: str, source: str) -> Strategy:
    """The strategy of a YAML text, checked as far as it can be without a model. Raises: StrategyError."""
    strategy = parse_strategy(text, source)
    require_known(strategy, source)
    return strategy


def read_file(path: Path) -> Strategy:
    """The strategy in a YAML file. Raises: StrategyError."""
    return check_text(read_text(path), path.name)


def read_text(path: Path) -> str:
    """What a strategy's file holds. Raises: StrategyError."""
    try:
        with path.expanduser().open("rb") as file:
            return decode(file.read(MAX_BYTES + 1), path.name)
    except OSError as error:
        raise StrategyError(
            f"no strategy can be read from {path.expanduser().absolute()}: {error.strerror}; name a YAML file that "
            f"exists"
        ) from error


def decode(content: bytes, source: str) -> str:
    """A file's bytes as text. Raises: StrategyError."""
    if len(content) > MAX_BYTES:
        raise StrategyError(f"{source} is larger than {MAX_BYTES // 1024} KB: it holds no strategy; name another file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StrategyError(f"{source} is no text in UTF-8: save it as such, or name another file") from error


def saved() -> list[SavedStrategy]:
    """Every strategy that was saved in this home, by name; one that cannot be read says why."""
    return [_saved(path) for path in sorted(get_settings().strategies.glob("*.yaml"))]


def own_strategies() -> list[Strategy]:
    """The saved strategies that can be used."""
    return [found.strategy for found in saved() if found.strategy is not None]


def save(text: str, source: str, replace: bool = False) -> Strategy:
    """Check a YAML text and keep it in the home under its name.

    replace: take the place of another strategy of that name. Raises: StrategyError, StorageError.
    """
    strategy = check_text(text, source)
    path = _path(strategy.id)
    if path.exists() and not replace and _saved(path).strategy != strategy:
        raise StrategyError(
            f"another strategy named {strategy.id} is saved already: replace it, or choose another name"
        )
    try:
        write_whole(path, text)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}; free space or mend its permissions") from error
    return strategy


def remove(name: str) -> None:
    """Delete a saved strategy; comparisons that used it keep its definition. Raises: NotFoundError, StrategyError."""
    if name in STRATEGIES:
        raise StrategyError(f"{name} is a built-in strategy: only saved ones can be removed")
    path = _path(name)
    if not path.exists():
        known = ", ".join(found.name for found in saved()) or "none"
        raise NotFoundError(f"no strategy {name!r} is saved here: the saved ones are: {known}")
    path.unlink()


def find(name: str) -> Strategy:
    """A built-in or saved strategy by id or alias. Raises: UnknownStrategyError, StrategyError."""
    return find_strategy(name, _own_of([name]))


def export(name: str) -> str:
    """The YAML of a strategy: as it was saved, or made from a built-in one. Raises: UnknownStrategyError."""
    strategy = find(name)
    return export_strategy(strategy) if strategy.id in STRATEGIES else read_text(_path(strategy.id))


def why_unfit(strategy: Strategy, facts: Iterable[ModelFacts]) -> str | None:
    """Why a strategy makes no sense for one of these models, or None where it suits all."""
    for model in facts:
        try:
            require_fit(strategy, model)
        except SpecError as error:
            return str(error)
    return None


def on_model(strategy: Strategy, model: ModelFacts) -> Strategy:
    """The strategy with the phases of a run on this model: each stage of unfreezing, and the number behind `last`.

    Raises: SpecError where it does not suit the model.
    """
    recipe = resolve(strategy, ANY_DATA, model)
    phases = (
        Fit(phase.classifier) if isinstance(phase, FitRecipe) else Train(phase.trainable, phase.share, "")
        for phase in recipe.phases
    )
    return changed(strategy, phases=tuple(phases))


def resolve_names(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[Strategy, ...]]:
    """Canonical references for what a person wrote, and the definitions of their own strategies among them.

    names: references, names of saved strategies, or `file:PATH`, each with settings of its own after a colon.
    Raises: UnknownStrategyError, AmbiguousStrategyError, StrategyError.
    """
    wanted = list(names)
    read = {name: _from_file(name) for name in wanted if name.startswith("file:")}
    own: dict[str, Strategy] = {}
    for strategy in [*(found for found, _ in read.values()), *_own_of(set(wanted) - set(read))]:
        if own.setdefault(strategy.id, strategy) != strategy:
            raise StrategyError(f"two different strategies are named {strategy.id}: rename one of them")
    plain = [_reference(*read[name]) if name in read else name for name in wanted]
    return tuple(canonical(name, own.values()) for name in plain), tuple(own.values())


def resolve_keys(
    overrides: Mapping[str, Mapping[str, SettingValue]], own: Iterable[Strategy]
) -> dict[str, dict[str, SettingValue]]:
    """Overrides by canonical reference, also where one is named by its file.

    Raises: UnknownStrategyError; SpecError where one setting has two values under two names of a strategy.
    """
    named = ((_reference(*_from_file(k)) if k.startswith("file:") else k, values) for k, values in overrides.items())
    return merged(named, own)


def _own_of(names: Iterable[str]) -> list[Strategy]:
    """The saved strategies among these references. Raises: StrategyError for one whose file was spoilt."""
    wanted = {split_reference(name)[0].strip().lower().replace("-", "_").replace(" ", "_") for name in names}
    found = [saved_one for saved_one in saved() if saved_one.name in wanted]
    for one in found:
        if one.strategy is None:
            raise StrategyError(f"the saved strategy {one.name} cannot be used: {one.problem}")
    return [one.strategy for one in found if one.strategy is not None]


def _from_file(name: str) -> tuple[Strategy, str]:
    """The strategy behind `file:PATH` or `file:PATH:KEY=VALUE,…`, and what follows the path."""
    parts = FILE_FORM.fullmatch(name)
    if parts is None:
        raise StrategyError(f"strategy {name!r} names no file: write file:my.yaml")
    return read_file(Path(parts["path"])), parts["settings"] or ""


def _reference(strategy: Strategy, settings: str) -> str:
    return f"{strategy.id}:{settings}" if settings else strategy.id


def _saved(path: Path) -> SavedStrategy:
    try:
        strategy = read_file(path)
    except StrategyError as error:
        return SavedStrategy(name=path.stem, strategy=None, problem=str(error))
    if strategy.id != path.stem:
        return SavedStrategy(name=path.stem, strategy=None, problem=f"{path.name} holds a strategy named {strategy.id}")
    return SavedStrategy(name=path.stem, strategy=strategy)


def _path(name: str) -> Path:
    return get_settings().strategies / f"{Path(name).name}.yaml"
