"""Answers to questions that only torch can answer, as JSON: `python -m tlcore.training.answer` reads one from stdin.

A request is `{"question": NAME, ...}`; the answer `{"ok": true, "answer": ...}`, or `{"ok": false, "error": MESSAGE,
"kind": NAME_OF_THE_ERROR}`. What is imported depends on the question, as torch and timm take seconds to load.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tlcore.errors import SpecError, TlcoreError

Request = dict[str, Any]


def answer(request: Request) -> dict[str, Any]:
    """The answer to one request; an error that a person can act on becomes part of the answer."""
    try:
        question = request.get("question")
        handler = _QUESTIONS.get(str(question))
        if handler is None:
            raise SpecError(f"unknown question {question!r}: ask one of {', '.join(_QUESTIONS)}")
        return {"ok": True, "answer": handler(request)}
    except TlcoreError as error:
        return {"ok": False, "error": str(error), "kind": type(error).__name__}


def _model_facts(request: Request) -> Any:
    from tlcore.training.models import model_facts

    return model_facts(_text(request, "model")).model_dump(mode="json")


def _check_weights(request: Request) -> Any:
    from tlcore.training.weights import check_weights

    path = request.get("path")
    check = check_weights(_text(request, "model"), _text(request, "source"), Path(path) if path else None)
    return asdict(check)


def _catalogue(request: Request) -> Any:
    from tlcore.training.catalogue import catalogue

    return catalogue()


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


def _several(request: Request) -> Any:
    """Replies to a list of requests, in order: one process, and one import of torch, for all of them."""
    return [answer(dict(part)) for part in request.get("requests") or []]


def _speed(request: Request) -> Any:
    from tlcore.training.speed import measure_speed

    size = request.get("image_size")
    return measure_speed(
        _text(request, "model"),
        None if size is None else int(size),
        int(request.get("batch_size") or 32),
        str(request.get("device") or "auto"),
    )


def _predict(request: Request) -> Any:
    from tlcore.training.predict import predict

    models = {str(run): Path(folder) for run, folder in dict(request.get("models") or {}).items()}
    images = [Path(image) for image in request.get("images") or []]
    if not models or not images:
        raise SpecError("a prediction needs at least one model and one image")
    return predict(models, images)


_QUESTIONS: dict[str, Callable[[Request], Any]] = {
    "model_facts": _model_facts,
    "check_weights": _check_weights,
    "catalogue": _catalogue,
    "devices": _devices,
    "pick_device": _pick_device,
    "several": _several,
    "speed": _speed,
    "predict": _predict,
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
