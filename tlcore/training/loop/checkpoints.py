"""Where a run stands, on disk: the last state to go on from, and the best weights so far.

Both files are written beside their place, flushed and renamed, so that a crash leaves the old or the new, whole.
No generator state is stored: generators are set from (seed, step) before each step.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file
from torch import Tensor

from tlcore.errors import StorageError
from tlcore.results import EvaluationPoint, FrozenState, PartMetrics, PhaseReport, TimePart, Value

FORMAT = 2
LAST = "last.pt"


class Best(Value):
    """The evaluation that is best so far. `weights` is a file beside the checkpoint.

    has_probabilities: whether softmax of the network's scores means anything: not where its head is a linear SVM's.
    """

    step: int
    epoch: float
    val: PartMetrics
    weights: str
    has_probabilities: bool = True


@dataclass
class State:
    """Where a run stands; changed in place by the loop.

    phase: the phase under way. begun, begun_step: what of the budget was spent when it began, None before that, and
    how many steps. train_seconds, step_seconds, total_seconds: of steps and validation, of steps alone, of the wall.
    fit_seconds: the part of train_seconds that a `Fit` took, which a budget does not count.
    loss_sum, hits: float64 and int64 scalars on the device, over the `seen` images since the last evaluation.
    frozen_before: hash of the frozen tensors when the phase began. optimizer: state of this phase's optimiser.
    stopped: phases that ended early, each with what was spent by then. phases: of those that are over; trained: how
    many parameters of each layer group trained in them, the head's last. micro_batch, evaluation_batch: images at once
    in training and in evaluation since memory ran out; 0 for as many as the recipe says. seconds_by_part: of the wall.
    """

    loss_sum: Tensor
    hits: Tensor
    step: int = 0
    seen: int = 0
    phase: int = 0
    begun: float | None = None
    begun_step: int = 0
    train_seconds: float = 0.0
    step_seconds: float = 0.0
    fit_seconds: float = 0.0
    total_seconds: float = 0.0
    history: tuple[EvaluationPoint, ...] = ()
    best: Best | None = None
    last_val: PartMetrics | None = None
    frozen_before: str | None = None
    frozen_states: tuple[FrozenState, ...] = ()
    notes: tuple[str, ...] = ()
    stopped: tuple[tuple[int, float], ...] = ()
    phases: tuple[PhaseReport, ...] = ()
    trained: tuple[tuple[int, ...], ...] = ()
    micro_batch: int = 0
    evaluation_batch: int = 0
    seconds_by_part: dict[TimePart, float] = field(default_factory=dict)
    optimizer: dict[str, Any] | None = field(default=None, repr=False)


_PLAIN = (
    *("step", "seen", "phase", "begun", "begun_step", "frozen_before", "notes"),
    *("train_seconds", "step_seconds", "fit_seconds", "total_seconds"),
    *("stopped", "trained", "micro_batch", "evaluation_batch", "seconds_by_part"),
)
_HISTORY = TypeAdapter(tuple[EvaluationPoint, ...])
_FROZEN = TypeAdapter(tuple[FrozenState, ...])
_PHASES = TypeAdapter(tuple[PhaseReport, ...])


def fresh_state(device: torch.device) -> State:
    """A run that has not begun."""
    return State(
        loss_sum=torch.zeros((), dtype=torch.float64, device=device),
        hits=torch.zeros((), dtype=torch.int64, device=device),
    )


def save_last(folder: Path, spec: str, state: State, tensors: dict[str, Tensor]) -> None:
    """Write the state and all of the network's tensors. spec: fingerprint of the run, checked on loading.

    Raises: StorageError when the disk refuses.
    """
    content = {
        "format": FORMAT,
        "spec": spec,
        "plain": {name: getattr(state, name) for name in _PLAIN},
        "history": _HISTORY.dump_json(state.history).decode(),
        "frozen_states": _FROZEN.dump_json(state.frozen_states).decode(),
        "phases": _PHASES.dump_json(state.phases).decode(),
        "best": None if state.best is None else state.best.model_dump_json(),
        "last_val": None if state.last_val is None else state.last_val.model_dump_json(),
        "loss_sum": state.loss_sum,
        "hits": state.hits,
        "optimizer": state.optimizer,
        "network": tensors,
    }
    write_atomically(folder / LAST, lambda path: torch.save(content, path))
    for old in folder.glob("best-*.safetensors"):
        if state.best is None or old.name != state.best.weights:
            old.unlink()


def load_last(folder: Path, spec: str, device: torch.device) -> tuple[State, dict[str, Tensor]] | None:
    """The state and tensors to go on from, or None where this run left none.

    Raises: StorageError for a checkpoint of another run or format.
    """
    path = folder / LAST
    if not path.exists():
        return None
    content = torch.load(path, map_location=device, weights_only=True)
    if content["format"] != FORMAT or content["spec"] != spec:
        raise StorageError(f"{path} belongs to another run or version: remove {folder} to begin anew")
    best, last_val = content["best"], content["last_val"]
    state = State(
        **content["plain"],
        loss_sum=content["loss_sum"],
        hits=content["hits"],
        history=_HISTORY.validate_json(content["history"]),
        frozen_states=_FROZEN.validate_json(content["frozen_states"]),
        phases=_PHASES.validate_json(content["phases"]),
        best=None if best is None else Best.model_validate_json(best),
        last_val=None if last_val is None else PartMetrics.model_validate_json(last_val),
        optimizer=content["optimizer"],
    )
    return state, content["network"]


def save_best(folder: Path, step: int, tensors: dict[str, Tensor]) -> str:
    """Write the weights of a new best; the name of the file. Raises: StorageError when the disk refuses."""
    name = f"best-{step}.safetensors"
    save_tensors(folder / name, tensors)
    return name


def load_best(folder: Path, best: Best) -> dict[str, Tensor]:
    """All tensors of the network at its best, on the CPU."""
    tensors: dict[str, Tensor] = load_file(folder / best.weights)
    return tensors


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file. metadata: of its header. Raises: StorageError when the disk refuses."""
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_atomically(path, lambda place: save_file(own, place, metadata))


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all. Raises: StorageError when the disk refuses."""

    def write(place: Path) -> None:
        place.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file beside `path`, flush it to the disk, and put it in place.

    Raises: StorageError when the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(beside)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise StorageError(f"cannot write {path}: {error}; free some space, then retry the run") from error
    finally:
        beside.unlink(missing_ok=True)
