"""Models to choose from: what is known of each, which can be used now, how to pick among them, and their speed here."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from tlcore.analysis.charts.models import ModelPoint
from tlcore.errors import NotFoundError, SpecError
from tlcore.results import Value
from tlcore.service.whole_files import write_whole
from tlcore.settings import Settings

Sort = Literal["accuracy", "parameters", "gmacs", "speed", "name"]
SORTS: tuple[Sort, ...] = ("accuracy", "parameters", "gmacs", "speed", "name")
SPEED_BATCHES = (1, 32)
BYTES_PER_PARAMETER = 4  # float32, as weights are published


class PublishedTag(Value):
    """One file of published weights. accuracy: ImageNet-1k top-1 (0…1). file_mb: 10⁶ bytes. None: nobody says it.

    plain: whether it was trained by a plain recipe, which suits fixed features best.
    """

    tag: str
    plain: bool | None = None
    license: str | None = None
    accuracy: float | None = None
    file_mb: float | None = None
    local: bool = False


class CatalogueEntry(Value):
    """A model that can be chosen. usable_now: its default weights need no download. note: why it is recommended.

    gmacs: 10⁹ multiply-adds for one image of input_size px. problem: why it cannot be used, else "".
    """

    model: str
    library: str
    weight_tags: tuple[str, ...] = ()
    usable_now: bool = False
    note: str | None = None
    input_size: int | None = None
    num_parameters: int | None = None
    gmacs: float | None = None
    problem: str = ""
    weights: tuple[PublishedTag, ...] = ()

    @property
    def default(self) -> PublishedTag | None:
        """The weights that `imagenet` stands for."""
        return self.weights[0] if self.weights else None

    @property
    def accuracy(self) -> float | None:
        return self.default.accuracy if self.default else None

    @property
    def file_mb(self) -> float | None:
        """Size of the weights file in 10⁶ bytes: as published, else what its float32 parameters take."""
        if self.default is not None and self.default.file_mb is not None:
            return self.default.file_mb
        return None if self.num_parameters is None else self.num_parameters * BYTES_PER_PARAMETER / 1e6


class Advice(Value):
    """A first choice for beginners: one word for it, the model, and why."""

    word: str
    model: str
    why: str


BEGINNERS = (
    Advice(word="small", model="mobilenetv2_100",
           why="3.5 million parameters, a 14 MB file; trains on a laptop, and its frozen features are good"),
    Advice(word="balanced", model="torchvision:resnet50",
           why="the network most papers compare with; its weights come from a plain recipe, good when frozen"),
    Advice(word="accurate", model="convnext_tiny",
           why="about 6 points better than a plain ResNet-50 on ImageNet for nearly the same work; best on a GPU"),
)  # fmt: skip


class Speed(Value):
    """Images per second of one model on this machine. measured_on: UTC. forward, step: by batch size."""

    model: str
    device: str
    dtype: str
    image_size: int
    num_threads: int
    measured_on: str
    forward: dict[int, float]
    step: dict[int, float]


def complete(raw: Iterable[Mapping[str, Any]], caches: Mapping[str, str]) -> list[CatalogueEntry]:
    """Entries with what is on this machine now: recommended ones first, then usable ones, then unusable ones last.

    raw: the tables' part. caches: folders of the libraries, which are looked at anew.
    """
    present = {name: _names(Path(folder)) for name, folder in caches.items()}
    entries = [_entry(row, caches, present) for row in raw]
    return sorted(entries, key=lambda e: (bool(e.problem), not e.note, not e.usable_now))


def select(
    entries: Iterable[CatalogueEntry],
    text: str = "",
    library: str | None = None,
    max_parameters: float | None = None,
    usable: bool = False,
    sort: str | None = None,
    speeds: "Mapping[str, Speed] | None" = None,
    files: Sequence[Path] = (),
) -> list[CatalogueEntry]:
    """The entries that meet every condition. text: part of a name, with a tag or not, or a pattern with `*`.

    max_parameters: in millions. usable: weights on this machine. sort: one of SORTS; unknown values come last.
    speeds: as measured here, by model. files: weights in the home, see `fitting`. Raises: SpecError.
    """
    if sort is not None and sort not in SORTS:
        raise SpecError(f"unknown order {sort!r}: sort by {', '.join(SORTS)}")
    if library not in (None, "timm", "torchvision"):
        raise SpecError(f"unknown library {library!r}: choose timm or torchvision")
    pattern = f"*{text.strip().lower()}*"
    found = [
        entry
        for entry in entries
        if any(fnmatch(name.lower(), pattern) for name in _names_of(entry, "." in text))
        and library in (None, entry.library)
        and (max_parameters is None or (entry.num_parameters or float("inf")) <= max_parameters * 1e6)
        and (not usable or is_here(entry, files))
    ]
    return sorted(found, key=lambda entry: _order(entry, sort, speeds or {})) if sort else found


def fitting(entry: CatalogueEntry, files: Iterable[Path]) -> list[Path]:
    """Files named after the model, such as `resnet18.timm.safetensors`; whether they do fit is checked at a launch."""
    name = entry.model.removeprefix("torchvision:")
    return [file for file in files if file.name.split(".")[0] == name and not entry.problem]


def is_here(entry: CatalogueEntry, files: Iterable[Path]) -> bool:
    """Whether weights of the model are on this machine: its default ones, or a file named after it."""
    return entry.usable_now or bool(fitting(entry, files))


def find(entries: Iterable[CatalogueEntry], model: str) -> CatalogueEntry:
    """One entry by its exact name, also with a tag. Raises: NotFoundError."""
    found = next((entry for entry in entries if model in _names_of(entry, "." in model)), None)
    if found is None:
        raise NotFoundError(f"there is no model {model!r} in the catalogue: search with python -m tlcore models TEXT")
    return found


def as_row(entry: CatalogueEntry, speed: Speed | None = None, files: Sequence[Path] = ()) -> dict[str, Any]:
    """An entry as a flat row, for tables and JSON: units are in the names. files: as of `select`."""
    default = entry.default
    return {
        "model": entry.model,
        "library": entry.library,
        "parameters_millions": None if entry.num_parameters is None else round(entry.num_parameters / 1e6, 2),
        "gmacs": entry.gmacs,
        "input_px": entry.input_size,
        "file_mb": None if entry.file_mb is None else round(entry.file_mb, 1),
        "imagenet_top1": entry.accuracy,
        "weights": default.tag if default else None,
        "license": default.license if default else None,
        "plain_recipe": default.plain if default else None,
        "usable_now": is_here(entry, files),
        "weight_files": [str(file) for file in fitting(entry, files)],
        "other_weights": list(entry.weight_tags[1:]),
        "forward_images_per_second": speed.forward if speed else None,
        "training_images_per_second": speed.step if speed else None,
        "note": entry.note,
        "problem": entry.problem or None,
    }


def points(
    entries: Iterable[CatalogueEntry], speeds: Mapping[str, Speed], files: Sequence[Path] = ()
) -> list[ModelPoint]:
    """The models for a figure: those whose accuracy and work are known. speeds, files: as of `select`."""
    return [
        ModelPoint(e.model, e.gmacs, e.accuracy, e.num_parameters, is_here(e, files), _fast(speeds.get(e.model)))
        for e in entries
        if e.gmacs is not None and e.accuracy is not None and e.num_parameters is not None
    ]


def speed_requests(model: str, device: str) -> list[dict[str, Any]]:
    """The questions whose answers `keep_speed` takes."""
    return [{"question": "speed", "model": model, "batch_size": size, "device": device} for size in SPEED_BATCHES]


def keep_speed(settings: Settings, model: str, answers: list[dict[str, Any]]) -> Speed:
    """Remember what was measured, in place of an earlier measurement of the same model."""
    first = answers[0]
    speed = Speed(
        model=model,
        measured_on=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        forward={int(a["batch_size"]): round(a["forward"], 2) for a in answers},
        step={int(a["batch_size"]): round(a["step"], 2) for a in answers},
        **{name: first[name] for name in ("device", "dtype", "image_size", "num_threads")},
    )
    path = _speed_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # else of two that measure at once, one would be lost
        known = {**known_speeds(settings), model: speed}
        write_whole(path, json.dumps({name: s.model_dump(mode="json") for name, s in known.items()}))
    return speed


def known_speeds(settings: Settings) -> dict[str, Speed]:
    """Every speed measured on this machine, by model."""
    path = _speed_file(settings)
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {name: Speed.model_validate(value) for name, value in kept.items()}


def _speed_file(settings: Settings) -> Path:
    return settings.cache / "speeds.json"


def _entry(row: Mapping[str, Any], caches: Mapping[str, str], present: Mapping[str, set[str]]) -> CatalogueEntry:
    weights = tuple(PublishedTag.model_validate({**w, "local": _is_here(w, caches, present)}) for w in row["weights"])
    usable = bool(weights) and weights[0].local and not row["problem"]
    return CatalogueEntry.model_validate({**row, "weights": weights, "usable_now": usable})


def _is_here(weights: Mapping[str, Any], caches: Mapping[str, str], present: Mapping[str, set[str]]) -> bool:
    """Whether the file is whole: an unfinished download leaves no file under its last name, or a link to nothing."""
    cache = weights["cache"]
    return any(
        place.partition("/")[0] in present[cache] and any(p.is_file() for p in Path(caches[cache]).glob(place))
        for place in weights["files"]
    )


def _names_of(entry: CatalogueEntry, tagged: bool) -> list[str]:
    """How a model may be called. tagged: also with one of its tags, as timm writes it."""
    return [entry.model, *(f"{entry.model}.{tag}" for tag in entry.weight_tags if tagged)]


def _names(folder: Path) -> set[str]:
    return {child.name for child in folder.iterdir()} if folder.is_dir() else set()


def _fast(speed: Speed | None) -> float | None:
    """Images per second through the network, in the largest batch that was measured."""
    return speed.forward[max(speed.forward)] if speed and speed.forward else None


def _order(entry: CatalogueEntry, sort: str, speeds: Mapping[str, Speed]) -> tuple[bool, float, str]:
    """Best accuracy or fastest first, else smallest first; what is unknown comes last."""
    fast = _fast(speeds.get(entry.model))
    values = {"parameters": entry.num_parameters, "gmacs": entry.gmacs, "speed": fast and -fast, "name": 0}
    value = values.get(sort, entry.accuracy and -entry.accuracy)
    return value is None, value or 0.0, entry.model
