"""Questions that only torch can answer: models, weights, devices, speed."""

import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlcore import jobs
from tlcore.errors import WeightsError
from tlcore.recipes import ModelFacts
from tlcore.results import Value
from tlcore.settings import get_settings
from tlcore.spec import content_fingerprint

_LIBRARIES = ("torch", "torchvision", "timm")


class DeviceInfo(Value):
    """A device that runs can use. dtype: the number format used for speed, with its reason."""

    id: str
    name: str
    dtype: str
    reason: str


def ask(request: dict[str, Any], timeout: float = 120.0) -> Any:
    """The answer to one question. Raises: the TlcoreError that the answering process met."""
    return jobs.ask(get_settings(), request, timeout)


def ask_once(request: dict[str, Any], timeout: float = 120.0) -> Any:
    """As `ask`, with the answer kept on disk as long as the same library versions are installed."""
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    path = get_settings().cache / "answers" / f"{content_fingerprint({'request': request, 'versions': versions})}.json"
    if path.exists():
        return json.loads(path.read_text())
    answer = ask(request, timeout)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_whole(path, json.dumps(answer))
    return answer


def model_facts(model: str) -> ModelFacts:
    """Input size, parameters, features of a model. Raises: ModelError."""
    return ModelFacts.model_validate(ask_once({"question": "model_facts", "model": model}))


def devices() -> tuple[DeviceInfo, ...]:
    """Every device of this machine, the CPU first."""
    return tuple(DeviceInfo.model_validate(d) for d in ask({"question": "devices"})["devices"])


def check_device(asked: str) -> tuple[str, str]:
    """The device that runs will use (`cpu` or `cuda:INDEX`) and why. Raises: DeviceError."""
    answer = ask({"question": "pick_device", "device": asked})
    return answer["id"], answer["reason"]


class WeightsCheck(Value):
    """Whether weights would do. usable: here and fitting. needs_download: not here, but to be had."""

    model: str
    source: str
    usable: bool
    needs_download: bool
    message: str
    fingerprint: str | None = None


def check_weights(model: str, source: str) -> WeightsCheck:
    """Whether these weights can be used now. Raises: WeightsError where the source is malformed."""
    answer = ask(_weights_question(model, source))
    return WeightsCheck.model_validate({"model": model, "source": source, **answer})


def require_weights(sources: Mapping[str, str]) -> None:
    """All of these can be used now, or can be downloaded. Raises: WeightsError for the first that cannot."""
    _require(sources, jobs.ask_several(get_settings(), [_weights_question(*item) for item in sources.items()]))


def preflight(device: str, sources: Mapping[str, str]) -> tuple[str, str]:
    """As `check_device` and `require_weights` together, in one question. Raises: DeviceError, WeightsError."""
    questions = [{"question": "pick_device", "device": device}, *(_weights_question(*item) for item in sources.items())]
    picked, *checks = jobs.ask_several(get_settings(), questions)
    _require(sources, checks)
    return picked["id"], picked["reason"]


def _weights_question(model: str, source: str) -> dict[str, Any]:
    path = tracked_weights(source)
    return {"question": "check_weights", "model": model, "source": source, "path": path and str(path)}


def _require(sources: Mapping[str, str], answers: list[Any]) -> None:
    for (model, source), answer in zip(sources.items(), answers, strict=True):
        check = WeightsCheck.model_validate({"model": model, "source": source, **answer})
        if not (check.usable or check.needs_download):
            raise WeightsError(check.message)


class CatalogueEntry(Value):
    """A model that can be chosen. usable_now: its default weights need no download. note: why it is recommended."""

    model: str
    library: str
    weight_tags: tuple[str, ...] = ()
    usable_now: bool = False
    note: str | None = None
    input_size: int | None = None
    num_parameters: int | None = None


def catalogue() -> list[CatalogueEntry]:
    """Every model of timm and torchvision: recommended ones first, then those whose weights are here."""
    entries = [CatalogueEntry.model_validate(e) for e in ask_once({"question": "catalogue"})]
    return sorted(entries, key=lambda e: (not e.note, not e.usable_now))


def weight_files() -> list[Path]:
    """Weight files in the home's `weights/` folder, to be offered as `file:PATH`."""
    folder = get_settings().weights
    return sorted(p for p in folder.glob("*") if p.suffix in {".safetensors", ".pth", ".pt"}) if folder.is_dir() else []


def tracked_weights(source: str) -> Path | None:
    """The file behind `run:RUN_ID`, fetched from the store; None for other sources. Raises: NotFoundError."""
    kind, _, run_id = source.partition(":")
    if kind != "run":
        return None
    from tlcore.service.take_home import model_folder

    (file,) = model_folder(run_id).rglob("weights.safetensors")
    return file


def _write_whole(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)
