"""Questions that only torch can answer: models, weights, devices, speed."""

import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlcore import jobs, tracking
from tlcore.errors import WeightsError
from tlcore.recipes import ModelFacts, NetworkRecipe, Recipe, TrainRecipe, asked_of
from tlcore.results import Value, WeightsMatch
from tlcore.service.catalogue import CatalogueEntry, Speed, complete, keep_speed, known_speeds, speed_requests
from tlcore.service.whole_files import write_whole
from tlcore.settings import get_settings
from tlcore.spec import RunSpec, content_fingerprint

if TYPE_CHECKING:
    from tlcore.service.sources import SourceRun

_SPEED_TIMEOUT = 600.0  # seconds: the largest networks take minutes for a batch of 32 on a CPU
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


def ask_once(*requests: dict[str, Any]) -> list[Any]:
    """The answers to some questions, each kept on disk as long as the code and the libraries that gave it are the same.

    Those that are not there are asked together. Raises: the TlcoreError that the answering process met.
    """
    paths = [_answer_path(request) for request in requests]
    asked = [(request, path) for request, path in zip(requests, paths, strict=True) if not path.exists()]
    answers = jobs.ask_several(get_settings(), [request for request, _ in asked])
    for (_, path), answer in zip(asked, answers, strict=True):
        write_whole(path, json.dumps(answer))
    return [json.loads(path.read_text()) for path in paths]


def _answer_path(request: dict[str, Any]) -> Path:
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    key = {"request": request, "versions": versions, "code": jobs.code_version()}
    return get_settings().cache / "answers" / f"{content_fingerprint(key)}.json"


def warm_up(device: str = "auto") -> None:
    """Let a device's worker start while a dataset is read: it answers the questions of a launch, and does its runs.

    This process opens the store meanwhile, which a launch needs and takes as long. Raises: StorageError.
    """
    jobs.warm_up(get_settings(), device)
    tracking.connect(get_settings())


def model_facts(model: str) -> ModelFacts:
    """Input size, parameters, features of a model. Raises: ModelError."""
    question = {"question": "model_facts", "model": model}
    answer = ask(question) if model.startswith("onnx:") else ask_once(question)[0]  # a file may change
    return ModelFacts.model_validate(answer)


def known_facts(model: str) -> ModelFacts | None:
    """The facts of a model that was looked at before; None where they would have to be asked for."""
    path = _answer_path({"question": "model_facts", "model": model})
    return ModelFacts.model_validate_json(path.read_text()) if path.exists() else None


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
    match: WeightsMatch | None = None


def check_weights(model: str, source: str, allow_partial: bool = False) -> WeightsCheck:
    """Whether these weights can be used now. allow_partial: also where only a part fits.

    Raises: WeightsError where the source is malformed.
    """
    answer = ask(_weights_question(model, source, allow_partial))
    return WeightsCheck.model_validate({"model": model, "source": source, **answer})


def require_weights(sources: Mapping[str, str], allow_partial: bool = False) -> None:
    """All of these can be used now, or can be downloaded. Raises: WeightsError for the first that cannot."""
    questions = [_weights_question(*item, allow_partial) for item in sources.items()]
    _require(sources, jobs.ask_several(get_settings(), questions))


def preflight(
    device: str, sources: Mapping[str, str], allow_partial: bool, asked: Iterable[tuple[RunSpec, Recipe]]
) -> tuple[str, str]:
    """As `check_device` and `require_weights` together, in one question, and whether the recipes can be carried out.

    asked: runs with their recipes. Raises: DeviceError, WeightsError, ModelError, SpecError.
    """
    questions: list[dict[str, Any]] = [{"question": "pick_device", "device": device}]
    questions += [_weights_question(*item, allow_partial) for item in sources.items()]
    questions += [_recipe_question(run, recipe) for run, recipe in asked if _is_unusual(recipe)]
    picked, *checks = jobs.ask_several(get_settings(), questions)
    _require(sources, checks[: len(sources)])
    return picked["id"], picked["reason"]


def require_recipe(run: RunSpec, recipe: Recipe) -> None:
    """The network can be changed and trained as the recipe says. Raises: ModelError, SpecError."""
    if _is_unusual(recipe):
        ask(_recipe_question(run, recipe))


def _is_unusual(recipe: Recipe) -> bool:
    """Whether only the network itself can tell if the recipe can be carried out."""
    parts = [phase.trainable for phase in recipe.phases if isinstance(phase, TrainRecipe)]
    plain = all(part in ("head", "all") or part.startswith("last:") for part in parts)
    return recipe.network != NetworkRecipe() or not plain


def _recipe_question(run: RunSpec, recipe: Recipe) -> dict[str, Any]:
    asked = asked_of(run.entry, recipe, run.settings)
    return {"question": "check_recipe", "model": run.model, "recipe": recipe.model_dump(mode="json"), "asked": asked}


def _weights_question(model: str, source: str, allow_partial: bool) -> dict[str, Any]:
    path = tracked_weights(source)
    question = {"question": "check_weights", "model": model, "source": source, "path": path and str(path)}
    return {**question, "allow_partial": allow_partial}


def _require(sources: Mapping[str, str], answers: list[Any]) -> None:
    for (model, source), answer in zip(sources.items(), answers, strict=True):
        check = WeightsCheck.model_validate({"model": model, "source": source, **answer})
        if not (check.usable or check.needs_download):
            raise WeightsError(check.message)


def catalogue() -> list[CatalogueEntry]:
    """Every model of timm and torchvision: recommended ones first, then those whose weights are here now."""
    return complete(*ask_once({"question": "catalogue"}, {"question": "caches"}))


def measure_speed(model: str, device: str = "auto") -> Speed:
    """Images per second of a model on this machine, at batch 1 and 32; kept. Raises: ModelError, DeviceError."""
    settings = get_settings()
    answers = jobs.ask_several(settings, speed_requests(model, device), timeout=_SPEED_TIMEOUT)
    return keep_speed(settings, model, answers)


def submit_speed(model: str, device: str = "auto") -> str:
    """As `measure_speed`, by a worker; returns the job's id at once. Raises: DeviceError, StorageError."""
    picked, _ = check_device(device)
    request = {"question": "several", "requests": speed_requests(model, picked)}
    return jobs.submit_question(get_settings(), request, f"Speed of {model}", picked)


def finished_speed(job_id: str, model: str) -> Speed | None:
    """What a submitted measurement found, which is kept; None while it goes on. Raises: the TlcoreError it met."""
    replies = jobs.answer_of(get_settings(), job_id)
    return None if replies is None else keep_speed(get_settings(), model, jobs.answers(replies))


def speeds() -> dict[str, Speed]:
    """What `measure_speed` found before, by model."""
    return known_speeds(get_settings())


def source_runs() -> "list[SourceRun]":
    """Finished source runs, newest first: weights to be offered by name for the same model. Raises: StorageError."""
    from tlcore.service import sources

    return sources.source_runs()


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
