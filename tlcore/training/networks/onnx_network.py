"""Networks of other frameworks, as ONNX files: `onnx:PATH` is a model whose backbone onnxruntime runs, frozen.

What the graph cannot tell stands in a sidecar, `PATH.json`; without one, ImageNet's usual preprocessing is assumed.
"""

import hashlib
import importlib
import math
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from tlcore.errors import ModelError
from tlcore.recipes import ModelFacts, Preprocessing
from tlcore.spec import content_fingerprint
from tlcore.training.networks import onnx_module
from tlcore.training.networks.names import ONNX
from tlcore.training.networks.onnx_module import OnnxClassifier
from tlcore.training.networks.onnx_sidecar import (
    DEFAULT_CROP,
    Sidecar,
    preprocessing_of,
    read_sidecar,
    sidecar_of,
    sidecar_path,
)

CODE = Path(onnx_module.__file__)  # goes into model folders as network.py
FILE = "backbone.onnx"  # what the network is called there
DEFAULT_SIZE = 224  # px, where neither the graph nor a sidecar says it
_REMEDY = "pip install onnxruntime onnx"
_seen: dict[str, tuple[dict[Path, tuple[int, int] | None], tuple[ModelFacts, dict[str, Any]]]] = {}  # by name


def onnx_facts(name: str) -> ModelFacts:
    """Facts of the network in a file. Raises: ModelError."""
    return _inspect(name)[0]


def onnx_classifier(name: str, num_classes: int) -> tuple[OnnxClassifier, dict[str, Any], ModelFacts]:
    """The network with a new head, its plan (see `onnx_module`) and its facts. Raises: ModelError."""
    facts, plan = _inspect(name)
    return OnnxClassifier(plan, onnx_path(name), num_classes), plan, facts


def weights_fingerprint(name: str) -> str:
    """Of the file, and of what is done with it: another output, layout or order of channels gives other features.

    Raises: ModelError.
    """
    return content_fingerprint(_inspect(name)[1])


def onnx_path(name: str) -> Path:
    return Path(name.removeprefix(ONNX)).expanduser()


def write_files(folder: Path, network_name: str, preprocessing: Preprocessing, plan: dict[str, Any]) -> None:
    """Put the network as one file into a model folder, with a sidecar that says what its preprocessing was."""
    source = onnx_path(network_name)
    onnx = _library("onnx")
    if _external_files(source):
        onnx.save_model(onnx.load(str(source)), str(folder / FILE))
    else:
        shutil.copyfile(source, folder / FILE)
    side = sidecar_of(preprocessing, plan["channel_order"])
    side = side.model_copy(update={key: plan[key] for key in ("layout", "output_layout", "output")})
    sidecar_path(folder / FILE).write_text(side.model_dump_json(indent=1), encoding="utf-8")


def fingerprint(path: Path) -> str:
    """SHA-256 of the file, and of the files that hold its tensors where they lie beside it."""
    digest = hashlib.sha256()
    for file in (path, *_external_files(path)):
        with file.open("rb") as content:
            while part := content.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


def provider_note(device: torch.device) -> tuple[str, ...]:
    """Said of a run on a GPU that onnxruntime cannot use."""
    if device.type != "cuda" or onnx_module.provider(device).startswith("CUDA"):
        return ()
    return (
        "the onnxruntime that is installed cannot use CUDA, so the backbone ran on the CPU: pip install "
        "onnxruntime-gpu",
    )


def _inspect(name: str) -> tuple[ModelFacts, dict[str, Any]]:
    """Facts and plan, read anew where one of the network's files has changed. Raises: ModelError."""
    path = onnx_path(name)
    if not path.is_file():
        raise ModelError(f"there is no ONNX file at {path}: check the path after onnx:")
    stamps, found = _seen.get(name, ({}, None))
    if found is None or stamps != _stamps(stamps):
        found = _read(name, path)
        _seen[name] = _stamps((path, sidecar_path(path), *_external_files(path))), found
    return found[0], dict(found[1])


def _stamps(files: Iterable[Path]) -> dict[Path, tuple[int, int] | None]:
    """Time of change and size of each file; None of one that is not there."""
    stats = {file: file.stat() if file.is_file() else None for file in files}
    return {file: stat and (stat.st_mtime_ns, stat.st_size) for file, stat in stats.items()}


def _read(name: str, path: Path) -> tuple[ModelFacts, dict[str, Any]]:
    side, session = read_sidecar(path), _session(path)
    given, shape, layout = _input(path, session, side)
    size = _size(path, shape, layout, side)
    plan: dict[str, Any] = {
        "input": given.name,
        "output": _output(path, session, side),
        "layout": layout,
        "channel_order": side.channel_order,
        "batch": shape[0] if isinstance(shape[0], int) else None,
        "fingerprint": fingerprint(path),
    }
    found = _features(path, session, plan, size)
    plan["output_layout"] = _output_layout(path, plan["output"], found.shape, side)
    plan["width"] = int(onnx_module.pooled(found, plan["output_layout"]).shape[1])
    fixed = isinstance(shape[2 if layout == "NCHW" else 1], int)
    facts = ModelFacts(
        model=name,
        library="onnx",
        family="cnn",  # only the head trains, and its recipe is the same for all families
        preprocessing=preprocessing_of(side, size),
        crop_pct=size / side.resize if isinstance(side.resize, int) else DEFAULT_CROP,
        fixed_input_size=fixed,
        num_parameters=_count(path),
        num_features=plan["width"],
        num_groups=0,
        has_batch_norm=False,
        frozen_only=True,
    )
    return facts, plan


def _library(name: str) -> ModuleType:
    """onnx or onnxruntime. Raises: ModelError with the remedy."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ModelError(f"networks from ONNX need {name}, which is not installed: {_REMEDY}") from error


def _session(path: Path) -> Any:
    runtime = _library("onnxruntime")
    native = vars(runtime.capi.onnxruntime_pybind11_state).values()  # its errors have no class in common
    own = [kind for kind in native if isinstance(kind, type) and issubclass(kind, Exception)]
    failures: tuple[type[Exception], ...] = (RuntimeError, ValueError, *own)
    try:
        return onnx_module.open_session(path, torch.device("cpu"))
    except failures as error:
        said = str(error).strip().partition("\n")[0]
        raise ModelError(f"{path} cannot be read as an ONNX network: {said}; export it again") from error


def _input(path: Path, session: Any, side: Sidecar) -> tuple[Any, list[Any], str]:
    """The one input, its shape (names for what is free), and its layout."""
    inputs = session.get_inputs()
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    if len(shape) != 4 or inputs[0].type != "tensor(float)":
        found = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        raise ModelError(f"{path} must have one input of float32 images, [N,3,H,W] or [N,H,W,3]; it has {found}")
    fits = [layout for layout, place in (("NCHW", 1), ("NHWC", 3)) if shape[place] == 3]
    layout = side.layout or (fits[0] if len(fits) == 1 else None)
    if layout is None or (fits and layout not in fits):
        raise ModelError(
            f"{path} takes {shape}: whether that is NCHW or NHWC with 3 channels is not clear; say it as layout in "
            f"{sidecar_path(path)}"
        )
    return inputs[0], shape, layout


def _size(path: Path, shape: list[Any], layout: str, side: Sidecar) -> int:
    height, width = shape[2:] if layout == "NCHW" else shape[1:3]
    fixed = {value for value in (height, width) if isinstance(value, int)}
    if len(fixed) > 1:
        raise ModelError(f"{path} takes images of {height}×{width} px: only square ones are supported")
    size: int = next(iter(fixed), side.size or DEFAULT_SIZE)
    if side.size not in (None, size):
        raise ModelError(f"{path} takes images of {size} px, but {sidecar_path(path)} says {side.size}: correct it")
    return size


def _output(path: Path, session: Any, side: Sidecar) -> str:
    names = [str(output.name) for output in session.get_outputs()]
    if side.output is None and len(names) == 1:
        return names[0]
    if side.output is None or side.output not in names:
        said = f"has no output {side.output!r}" if side.output else f"has {len(names)} outputs"
        raise ModelError(f"{path} {said}: name one of {', '.join(names)} as output in {sidecar_path(path)}")
    return side.output


def _features(path: Path, session: Any, plan: dict[str, Any], size: int) -> np.ndarray:
    """What the output is for one image."""
    shape = (1, 3, size, size) if plan["layout"] == "NCHW" else (1, size, size, 3)
    found = onnx_module.run(session, plan, np.zeros(shape, np.float32))
    if found.ndim not in (2, 3, 4) or found.dtype.kind != "f":
        raise ModelError(
            f"the output {plan['output']} of {path} has the shape {list(found.shape)} and type {found.dtype}: features "
            f"are [N,D], [N,L,D] or a map; name another as output in {sidecar_path(path)}"
        )
    return found


def _output_layout(path: Path, output: str, shape: tuple[int, ...], side: Sidecar) -> str | None:
    """Of a feature map: images are square, so of its three sizes the odd one out is that of the channels.

    Raises: ModelError where it is not clear, or where the sidecar names one for what is no map.
    """
    if len(shape) == 4:
        _, first, middle, last = shape
        if side.output_layout is not None:
            return side.output_layout
        if middle == last != first:
            return "NCHW"
        if first == middle != last:
            return "NHWC"
        says = "whether that is NCHW or NHWC is not clear; say it as output_layout"
    elif side.output_layout is None:
        return None
    else:
        says = f"that is no feature map, so output_layout {side.output_layout} has no meaning; leave it out"
    raise ModelError(f"the output {output} of {path} is {list(shape)}: {says} in {sidecar_path(path)}")


def _graph(path: Path) -> Any:
    return _library("onnx").load(str(path), load_external_data=False).graph


def _count(path: Path) -> int:
    """Parameters: the float tensors that the file holds, of two dimensions or more or as vectors."""
    floats = {1, 10, 11, 16}  # TensorProto's float, float16, double and bfloat16
    return sum(math.prod(t.dims) for t in _graph(path).initializer if t.data_type in floats)


def _external_files(path: Path) -> list[Path]:
    """Files beside it in which an ONNX file keeps its tensors."""
    named = {e.value for t in _graph(path).initializer for e in t.external_data if e.key == "location"}
    return [path.with_name(name) for name in sorted(named)]
