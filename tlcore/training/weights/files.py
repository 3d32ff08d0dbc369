"""Files of weights: from a path to tensors by name, whatever a training script wrapped them in; no code is ever run."""

import argparse
import pickle
import struct
import warnings
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from tlcore.errors import WeightsError

# Keys under which training scripts keep the tensors; of equally good ones the first is taken.
WRAPPERS = (
    *("state_dict", "model_state_dict", "model", "net", "network", "backbone", "module", "weights", "params"),
    *("ema", "model_ema", "ema_state_dict", "state_dict_ema", "ema_model", "teacher", "student"),
)
# What parallel training, torch.compile and enclosing modules put before all names of a network.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.", "teacher.", "student.")
# Plain values beside the tensors of a checkpoint that torch refuses unless they are named: they run no code.
_HARMLESS: list[Any] = [argparse.Namespace, np.dtype, np._core.multiarray.scalar, np.dtypes.Float64DType,  # type: ignore[attr-defined]
                        np.dtypes.Float32DType, np.dtypes.Int64DType]  # fmt: skip
_NESTED = 3  # prefixes, one after the other; and dicts, one in the other
_REFETCH = "delete it and fetch it again"
_SHOWN_KEYS = 8  # of a checkpoint, in an error
# What malformed files make their readers raise: the steps of a pickle index, call and allocate as the bytes say.
MALFORMED = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, MemoryError, OSError),
    *(RuntimeError, TypeError, ValueError, pickle.PickleError, struct.error, safetensors.SafetensorError),
)


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


def read_tensors(path: Path, expected: Mapping[str, Any] | None = None) -> dict[str, Tensor]:
    """The tensors of a file by name: safetensors, or a state dict of torch, wherever in a checkpoint it lies.

    path: `FILE#ENTRY` names one of several state dicts. expected: names of the network that they are for; the state
    dict that has most of them is taken. The content decides what the file is, not its name. Nothing but tensors and
    plain values is ever unpickled. Raises: WeightsError, also where two are as good as each other and differ.
    """
    path, entry = _file_and_entry(path)
    content = _content(path)
    found = dict(_state_dicts(content, "", _NESTED))
    if not found:
        keys = [str(key) for key in content][:_SHOWN_KEYS] if isinstance(content, Mapping) else []
        inside = f"its keys are {', '.join(keys)}" if keys else f"it is a {type(content).__name__}"
        raise WeightsError(f"{path} holds no tensors by name ({inside}): save the network's state_dict()")
    if entry is not None and entry not in found:
        raise WeightsError(f"{path} holds no tensors under {entry!r}: name one of {', '.join(filter(None, found))}")
    chosen = max(found, key=lambda key: _worth(key, found[key], expected or {})) if entry is None else entry
    if entry is None and expected:
        _require_one(path, chosen, found, expected)
    return found[chosen]


def _file_and_entry(path: Path) -> tuple[Path, str | None]:
    name, mark, entry = path.name.rpartition("#")
    return (path.with_name(name), entry) if mark and name and not path.exists() else (path, None)


def _require_one(path: Path, chosen: str, found: Mapping[str, dict[str, Tensor]], expected: Mapping[str, Any]) -> None:
    """No other entry has as much of the network with other values. Raises: WeightsError."""
    mine = _met(found[chosen], expected)
    rivals = {key: _met(tensors, expected) for key, tensors in found.items() if key != chosen}
    unlike = [key for key, met in rivals.items() if mine and len(met) == len(mine) and not _equal(mine, met)]
    if unlike:
        raise WeightsError(
            f"{path} holds {1 + len(unlike)} networks whose values differ, as {', '.join((chosen, *unlike))}: say "
            f"which one is meant, as in file:{path}#{chosen}"
        )


def _met(tensors: Mapping[str, Tensor], expected: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors that the network has, by its names."""
    return {name: tensor for name, tensor in named_like(tensors, expected).items() if name in expected}


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        t.dtype == other[n].dtype and torch.equal(t, other[n]) for n, t in one.items()
    )


def _content(path: Path) -> Any:
    """What a file holds. Raises: WeightsError."""
    _require_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}; check who may read it") from error
    tensors_only = start[8:9] == b"{"  # safetensors: its first eight bytes are a length, so they may be anything
    foreign = None if tensors_only else next((kind for kind in _FOREIGN if start.startswith(kind.begins)), None)
    if not start or foreign:
        said, remedy = (foreign.is_, foreign.remedy) if foreign else ("is empty", _REFETCH)
        raise WeightsError(f"{path} cannot be read as weights: it {said}; {remedy}")
    return _safetensors(path) if tensors_only or path.suffix == ".safetensors" else _unpickled(path, start)


def _state_dicts(content: Any, key: str, depth: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every dict of tensors by name in nested dicts, with the keys that it lies under, such as `ckpt.model`."""
    if not isinstance(content, Mapping):
        return
    named = {n: t for n, t in content.items() if isinstance(n, str) and isinstance(t, Tensor) and not t.is_meta}
    if named:
        yield key, named
    for name, value in content.items() if depth else ():
        yield from _state_dicts(value, f"{key}.{name}".lstrip("."), depth - 1)


def _worth(key: str, tensors: Mapping[str, Tensor], expected: Mapping[str, Any]) -> tuple[int, int, int]:
    """How likely these are a network's tensors: by names that are met, then by where they lie, then by number."""
    met, last = len(_met(tensors, expected)) if expected else 0, key.rpartition(".")[2]
    return met, -WRAPPERS.index(last) if last in WRAPPERS else -len(WRAPPERS), len(tensors)


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
    beside = [p.name for p in path.parent.iterdir() if p.suffix in {".safetensors", ".pth", ".pt", ".bin"}]
    similar = get_close_matches(path.name, sorted(beside), n=1)
    meant = f" (did you mean {similar[0]}?)" if similar else ""
    raise WeightsError(f"the weights file {path} does not exist: check the path after file:{meant}")


def _safetensors(path: Path) -> Any:
    try:
        return safetensors.torch.load_file(path)
    except MALFORMED as error:
        raise _damaged(path, error) from error


def _unpickled(path: Path, start: bytes) -> Any:
    try:  # torch's warning, of a protocol that it reads all the same, asks people to write to its authors
        with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except MALFORMED as error:
        by_torch = start.startswith((b"PK", b"\x80"))
        if by_torch and isinstance(error, pickle.UnpicklingError) and "operand" not in str(error):
            raise WeightsError(
                f"{path} cannot be read as weights: it holds objects other than tensors, and loading those could run "
                f"code, so it is refused ({_blocked(error)}); save the network's state_dict() instead"
            ) from error
        if by_torch:
            raise _damaged(path, error) from error
        raise WeightsError(
            f"{path} cannot be read as weights: it is neither a safetensors file nor one that torch.save wrote; give "
            f"a .safetensors file, or a state dict saved by torch.save that holds tensors only"
        ) from error


def _damaged(path: Path, error: BaseException) -> WeightsError:
    said = _first_line(error)
    return WeightsError(
        f"{path} ({path.stat().st_size:,} bytes) cannot be read as weights: it is incomplete or damaged "
        f"({type(error).__name__}{said and f': {said}'}); {_REFETCH}"
    )


def _blocked(error: BaseException) -> str:
    """The part of torch's advice that names what it refused; the rest says how to run it all the same."""
    lines = [line.strip() for line in str(error).splitlines() if "GLOBAL" in line or "WeightsUnpickler" in line]
    return (lines or [_first_line(error)])[0].partition(" was not an allowed global")[0]


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
