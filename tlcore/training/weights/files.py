"""Files of weights: from a path to tensors by name, whatever a training script wrapped them in; no code is ever run."""

import argparse
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from tlcore.errors import WeightsError

# Keys under which training scripts keep the tensors; the first that a file has is taken.
WRAPPERS = (
    *("state_dict", "model_state_dict", "model", "net", "network", "backbone", "module", "weights", "params"),
    *("ema", "model_ema", "ema_state_dict", "state_dict_ema", "ema_model", "teacher", "student"),
)
# What parallel training, torch.compile and enclosing modules put before all names of a network.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.", "teacher.", "student.")
# Plain values beside the tensors of a checkpoint that torch refuses unless they are named: they run no code.
_HARMLESS: list[Any] = [argparse.Namespace, np.dtype, np._core.multiarray.scalar, np.dtypes.Float64DType,  # type: ignore[attr-defined]
                        np.dtypes.Float32DType, np.dtypes.Int64DType]  # fmt: skip
_NESTED = 3  # prefixes, one after the other
_REFETCH = "fetch it again"


class _Start(NamedTuple):
    """The first bytes of a kind of file that holds no tensors for torch, what it is, and the remedy."""

    begins: bytes
    is_: str
    remedy: str


_FOREIGN = (
    _Start(b"<", "is a web page, not weights: the download did not give the file", _REFETCH),
    _Start(b"version https://git-lfs", "is a Git LFS pointer, not the weights themselves", "run git lfs pull"),
    _Start(b"\x89HDF", "is an HDF5 file, as Keras writes them", "convert it to ONNX: --model onnx:PATH"),
    _Start(b"\x08", "looks like an ONNX network", "use it as a model: --model onnx:PATH"),
)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name: safetensors, or a state dict of torch, also wrapped in a checkpoint.

    The content decides which, not the name. Nothing but tensors and plain values is ever unpickled.
    Raises: WeightsError.
    """
    _require_file(path)
    with path.open("rb") as file:
        start = file.read(64)
    tensors_only = start[8:9] == b"{"  # safetensors: its first eight bytes are a length, so they may be anything
    foreign = None if tensors_only else next((kind for kind in _FOREIGN if start.startswith(kind.begins)), None)
    if not start or foreign:
        said, remedy = (foreign.is_, foreign.remedy) if foreign else ("is empty", _REFETCH)
        raise WeightsError(f"{path} cannot be read as weights: it {said}; {remedy}")
    content = _safetensors(path) if tensors_only or path.suffix == ".safetensors" else _unpickled(path, start)
    while isinstance(content, Mapping):
        key = next((key for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if key is None:
            break
        content = content[key]
    named = content.items() if isinstance(content, Mapping) else []
    tensors = {name: value for name, value in named if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path} holds no tensors by name: save the network's state_dict()")
    return tensors


def named_like(tensors: Mapping[str, Tensor], expected: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors without prefixes, where more of the expected names are met so.

    Where a prefix is taken off, names without it are left out: they belong to what encloses the network.
    """
    return max(_unwrapped(tensors, _NESTED), key=lambda names: len(names.keys() & expected.keys()))


def _unwrapped(tensors: Mapping[str, Tensor], depth: int) -> Iterator[dict[str, Tensor]]:
    """The tensors as they are, then without each prefix that some have, and so on."""
    yield dict(tensors)
    for prefix in PREFIXES if depth else ():
        inner = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        if inner:
            yield from _unwrapped(inner, depth - 1)


def _require_file(path: Path) -> None:
    if path.is_file():
        return
    if path.is_symlink():
        raise WeightsError(f"the weights file {path} does not exist: it is a link to {path.readlink()}, which is gone")
    if path.is_dir():
        raise WeightsError(f"the weights file {path} does not exist: it is a folder; name the file in it")
    if not path.parent.is_dir():
        raise WeightsError(
            f"the weights file {path} does not exist, nor does the folder {path.parent}: check the path after file:"
        )
    beside = sorted(p.name for p in path.parent.iterdir() if p.suffix in {".safetensors", ".pth", ".pt", ".bin"})
    there = f" (the folder has {', '.join(beside[:5])})" if beside else ""
    raise WeightsError(f"the weights file {path} does not exist: check the path after file:{there}")


def _safetensors(path: Path) -> Any:
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} ({path.stat().st_size:,} bytes) cannot be read as weights: it is incomplete or damaged "
            f"({_first_line(error)}); {_REFETCH}"
        ) from error


def _unpickled(path: Path, start: bytes) -> Any:
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if start.startswith((b"PK", b"\x80")):
            raise WeightsError(
                f"{path} cannot be read as weights: it holds objects other than tensors, and loading those could run "
                f"code, so it is refused ({_blocked(error)}); save the network's state_dict() instead"
            ) from error
        raise _unreadable(path, error) from error
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        if start.startswith(b"PK"):
            raise WeightsError(
                f"{path} ({path.stat().st_size:,} bytes) cannot be read as weights: it is incomplete or damaged "
                f"({_first_line(error)}); {_REFETCH}"
            ) from error
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path} cannot be read as weights: {_first_line(error)}; give a .safetensors file, or a state dict saved by "
        f"torch.save that holds tensors only"
    )


def _blocked(error: Exception) -> str:
    """The part of torch's advice that names what it refused; the rest says how to run it all the same."""
    lines = [line.strip() for line in str(error).splitlines() if "GLOBAL" in line or "WeightsUnpickler" in line]
    return (lines or [_first_line(error)])[0].partition(" was not an allowed global")[0]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
