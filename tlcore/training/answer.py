"""Answers to questions that only torch can answer, as JSON: `python -m tlcore.training.answer` reads one from stdin.

A request is `{"question": NAME, ...}`; the answer `{"ok": true, "answer": ...}`, or `{"ok": false, "error": MESSAGE,
"kind": NAME_OF_THE_ERROR}`. What is imported depends on the question, as torch and timm take seconds to load.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from tlcore.errors import RunCancelledError, SpecError, TlcoreError

Request = dict[str, Any]


class Listener(Protocol):
    """Who hears how far a long question is, and may end it."""

    def progress(self, done: float, message: str) -> None:
        """Called often. done: 0…1. message: what is going on, for people."""

    def should_stop(self) -> bool:
        """Asked often; True ends the question with `RunCancelledError`."""


class Patient:
    """A listener that waits to the end. Implements `Listener`."""

    def progress(self, done: float, message: str) -> None:
        """Nobody looks."""

    def should_stop(self) -> bool:
        """Never."""
        return False


def answer(request: Request, listener: Listener | None = None) -> dict[str, Any]:
    """The answer to one request; an error that a person can act on becomes part of the answer.

    listener: of a question that takes long. Raises: RunCancelledError when the listener asked for the end.
    """
    try:
        question = str(request.get("question"))
        if question in _LONG_QUESTIONS:
            return {"ok": True, "answer": _LONG_QUESTIONS[question](request, listener or Patient())}
        if question not in _QUESTIONS:
            known = ", ".join([*_QUESTIONS, *_LONG_QUESTIONS])
            raise SpecError(f"unknown question {request.get('question')!r}: ask one of {known}")
        return {"ok": True, "answer": _QUESTIONS[question](request)}
    except RunCancelledError:
        raise
    except TlcoreError as error:
        return {"ok": False, "error": str(error), "kind": type(error).__name__}


def _model_facts(request: Request) -> Any:
    from tlcore.training.networks.models import model_facts

    return model_facts(_text(request, "model")).model_dump(mode="json")


def _check_weights(request: Request) -> Any:
    from tlcore.training.weights.loading import check_weights

    path = request.get("path")
    partial = bool(request.get("allow_partial"))
    check = check_weights(_text(request, "model"), _text(request, "source"), Path(path) if path else None, partial)
    return {**asdict(check), "match": check.match and check.match.model_dump(mode="json")}


def _check_recipe(request: Request) -> Any:
    from tlcore.recipes import Recipe
    from tlcore.training.networks.checking import check_recipe

    check_recipe(_text(request, "model"), Recipe.model_validate(request.get("recipe")), request.get("asked"))
    return True


def _catalogue(request: Request) -> Any:
    from tlcore.training.catalogue.listing import catalogue

    return catalogue()


def _caches(request: Request) -> Any:
    from tlcore.training.catalogue.listing import caches

    return caches()


def _devices(request: Request) -> Any:
    from tlcore.training.device import all_devices, device_name, pick_device

    automatic = pick_device("auto")
    return {
        "devices": [
            {
                "id": d.id,
                "name": device_name(d.device),
                "dtype": str(d.dtype).removeprefix("torch."),
                "reason": d.reason,
            }
            for d in all_devices()
        ],
        "auto": automatic.id,
        "auto_reason": automatic.reason,
    }


def _pick_device(request: Request) -> Any:
    from tlcore.training.device import pick_device

    picked = pick_device(_text(request, "device"))
    return {"id": picked.id, "reason": picked.reason}


def _several(request: Request, listener: Listener) -> Any:
    """Replies to a list of requests, in order: one process, and one import of torch, for all of them."""
    replies: list[dict[str, Any]] = []
    parts = request.get("requests") or []
    for number, part in enumerate(parts):
        if listener.should_stop():
            raise RunCancelledError("the questions were cancelled")
        listener.progress(number / len(parts), f"question {number + 1} of {len(parts)}")
        replies.append(answer(dict(part)))
    return replies


def _speed(request: Request) -> Any:
    from tlcore.training.catalogue.speed import measure_speed

    size = request.get("image_size")
    return measure_speed(
        _text(request, "model"),
        None if size is None else int(size),
        int(request.get("batch_size") or 32),
        str(request.get("device") or "auto"),
    )


def _predict(request: Request) -> Any:
    from tlcore.training.outcome.predict import predict

    models = {str(run): Path(folder) for run, folder in dict(request.get("models") or {}).items()}
    images = [Path(image) for image in request.get("images") or []]
    if not models or not images:
        raise SpecError("a prediction needs at least one model and one image")
    return predict(models, images)


def _lr_find(request: Request, listener: Listener) -> Any:
    from tlcore.training.lr_finder import answer_question

    return answer_question(request, listener)


def _public_set(request: Request, listener: Listener) -> Any:
    from tlcore.training.public_sets import write_public_set

    target, root, given = (Path(_text(request, key)) for key in ("target", "root", "given"))
    return write_public_set(_text(request, "name"), target, root, given, int(request.get("max_bytes") or 0), listener)


_QUESTIONS: dict[str, Callable[[Request], Any]] = {
    "model_facts": _model_facts,
    "check_weights": _check_weights,
    "check_recipe": _check_recipe,
    "catalogue": _catalogue,
    "caches": _caches,
    "devices": _devices,
    "pick_device": _pick_device,
    "speed": _speed,
    "predict": _predict,
}
# Those that may take minutes: they tell a listener how far they are, and end when it asks for that.
_LONG_QUESTIONS: dict[str, Callable[[Request, Listener], Any]] = {
    "lr_find": _lr_find,
    "several": _several,
    "public_set": _public_set,
}


def _text(request: Request, key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str) or not value:
        raise SpecError(f"the question {request['question']!r} needs {key!r}, a text (got {value!r})")
    return value


def main() -> int:
    """Answer one request from stdin on stdout; exit code 2 when it is no JSON object."""
    try:
        request = json.loads(sys.stdin.read())
    except ValueError as error:
        sys.stderr.write(f"the request is no JSON: {error}\n")
        return 2
    if not isinstance(request, dict):
        sys.stderr.write("the request is no JSON object\n")
        return 2
    sys.stdout.write(json.dumps(answer(request)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
