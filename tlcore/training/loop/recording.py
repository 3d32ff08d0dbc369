"""The passes of a phase's batches as CUDA graphs: recorded once, then sent to the GPU in one go.

Sending the kernels of a small network one by one takes the CPU longer than the GPU needs for them. A recording runs the
same kernels on the same tensors: a batch is copied to where it reads, and gradients lie where it leaves them. What is
random in it follows from torch's seed as before.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tlcore.settings import get_settings
from tlcore.training.loop.memory import remembered
from tlcore.training.stopwatch import Stopwatch

RECORD_AFTER = 5  # steps of a phase sent kernel by kernel, as recording costs about as much as they do
TOLERANCE = 1e-2  # relative difference of scores or gradients above which a recording is not of the same passes
Forward = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # images and labels to scores [N, K] and the mean loss
RECOVERS = "2.13"  # the first torch whose allocator goes on after a recording that broke off (pytorch #180395)
_OLD = (
    f"torch {torch.__version__} may not go on where a recording of them breaks off; torch {RECOVERS} does, and "
    "TLCORE_RECORD_STEPS=1 in the environment has this one record them too"
)
_OWN_THREAD = "thread_local"  # what a recording does not allow, other threads may do meanwhile
_log = logging.getLogger("tlcore.recording")


@dataclass(frozen=True)
class Recording:
    """Where the passes read a batch, and where they leave scores [N, K] and gradients.

    read: what they read beside it, which must stay where it is: see `Reads`.
    """

    images: Tensor
    labels: Tensor
    scores: Tensor
    gradients: tuple[tuple[nn.Parameter, Tensor], ...]
    read: tuple[torch.UntypedStorage, ...]
    forward: torch.cuda.CUDAGraph
    backward: torch.cuda.CUDAGraph

    def replay(self, images: Tensor, labels: Tensor, watch: Stopwatch) -> Tensor:
        """Leave the gradients of the mean loss in the parameters; the scores, which the next replay overwrites."""
        self.images.copy_(images)
        self.labels.copy_(labels)
        for parameter, gradient in self.gradients:
            parameter.grad = gradient
        with watch.measure("forward"):
            self.forward.replay()  # type: ignore[no-untyped-call]
        with watch.measure("backward"):
            self.backward.replay()  # type: ignore[no-untyped-call]
        return self.scores


def is_wanted() -> bool:
    """Whether steps are to be recorded on a GPU: as the settings say, else where torch recovers; or the log says it."""
    asked, recovers = get_settings().record_steps, torch.__version__ >= RECOVERS
    if asked is None and not recovers:
        _log.warning("steps are sent to the GPU kernel by kernel: %s", _OLD)
    return recovers if asked is None else asked


class Reads(TorchDispatchMode):
    """Keeps the memory that operations inside it read and did not make, by address.

    A network may keep something for itself and drop it, as TinyViT in eval mode does with its attention biases: from
    the next evaluation on, a replay would read there what others have written. What a backward pass alone reads, beside
    what autograd saved for it, is not found.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: dict[int, torch.UntypedStorage] = {}
        self._made: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found |= {at: memory for at, memory in _memory(args, kwargs).items() if at not in self._made}
        made = func(*args, **(kwargs or {}))
        self._made |= _memory(made).keys() - self.found.keys()
        return made


def _memory(*values: Any) -> dict[int, torch.UntypedStorage]:
    """Of all tensors in these, by address."""
    found = [leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
    return {memory.data_ptr(): memory for memory in found}


class PassRecorder:
    """Makes the recording of a phase's passes. `give_up` lets go of it."""

    def __init__(self, forward: Forward, trained: Sequence[nn.Parameter], moving: Sequence[Tensor], on: bool) -> None:
        """moving: statistics that a forward pass changes. on: whether to record at all, which only a GPU can."""
        self._forward, self._trained, self._moving = forward, tuple(trained), tuple(moving)
        self._left = RECORD_AFTER if on else None  # steps until it is made; None: no more
        self._made: Recording | None = None

    def find(self, images: Tensor, labels: Tensor, seed: int) -> Recording | None:
        """The recording, for a batch like all others of the phase; None while there is none, and where there cannot be.

        seed: torch's, of this step. torch's random state and the parameters' gradients are not kept.
        """
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self._left = None
                self._made = self._record(images, labels, seed)
        made = self._made
        return made if made is not None and made.images.shape == images.shape else None

    def give_up(self) -> bool:
        """Let go of the recording, with the gradients that lie in its memory, and make none: whether there was any."""
        found, self._made, self._left = self._made, None, None
        if found is not None:
            self._clear()
        return found is not None

    def _record(self, images: Tensor, labels: Tensor, seed: int) -> Recording | None:
        """Record, and compare a replay with the passes themselves; None, with the reason in the log, if it fails."""
        undo = remembered(self._moving)
        try:
            with torch.cuda.stream(torch.cuda.current_stream(images.device)):  # which a failed recording may not leave
                _require_room()
                made, plain = self._recorded(images, labels, seed, undo)
                torch.manual_seed(seed)
                scores = made.replay(images, labels, Stopwatch(images.device))
                undo()
                replayed = scores, [gradient for _, gradient in made.gradients]
                differs = [_difference([plain[0]], [replayed[0]]), _difference(plain[1], replayed[1])]
        except (RuntimeError, ValueError) as error:
            why = _reason(error)
        else:
            if all(part <= TOLERANCE for part in differs):
                return made
            why = f"scores of a replay differ by {differs[0]:.2g}, its gradients by {differs[1]:.2g}"
        undo()
        self._clear()
        _log.warning("steps are sent to the GPU kernel by kernel, as they cannot be recorded: %s", why)
        if torch.__version__ < RECOVERS:
            _log.warning("if the run fails now, set TLCORE_RECORD_STEPS=0, as torch may not go on after that")
        return None

    def _recorded(
        self, images: Tensor, labels: Tensor, seed: int, undo: Callable[[], None]
    ) -> tuple[Recording, tuple[Tensor, list[Tensor]]]:
        """A recording, and the scores and gradients of the passes themselves.

        Those go before, in the queue in which is recorded: libraries prepare themselves for it, which a recording does
        not allow. Raises: RuntimeError.
        """
        images, labels = images.clone(), labels.clone()
        queue = _queue(images.device)
        queue.wait_stream(torch.cuda.current_stream())
        self._clear()
        torch.manual_seed(seed)
        try:
            with torch.cuda.stream(queue), _repeatable():
                scores, loss = self._forward(images, labels)
                loss.backward()  # type: ignore[no-untyped-call]
                plain = scores.detach(), [p.grad for p in self._trained if p.grad is not None]
                undo()
        finally:
            torch.cuda.current_stream().wait_stream(queue)  # which may still move statistics and read the batch
        del scores, loss
        self._clear()
        forward, backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        reads = Reads()
        with torch.cuda.graph(forward, None, queue, _OWN_THREAD), reads:
            scores, loss = self._forward(images, labels)
        with torch.cuda.graph(backward, forward.pool(), queue, _OWN_THREAD):
            loss.backward()  # type: ignore[no-untyped-call]
        gradients = tuple((p, p.grad) for p in self._trained if p.grad is not None)
        read = tuple(reads.found.values())
        return Recording(images, labels, scores.detach(), gradients, read, forward, backward), plain

    def _clear(self) -> None:
        for parameter in self._trained:
            parameter.grad = None


def _reason(error: BaseException) -> str:
    """The first line of what went wrong first: where a recording broke off, its end fails too, and tells nothing."""
    while error.__context__ is not None:
        error = error.__context__
    return (str(error).splitlines() or [type(error).__name__])[0]


def _require_room() -> None:
    """Memory for twice what the passes need: a recording keeps as much, and everything else may need as much.

    Raises: torch.OutOfMemoryError.
    """
    held = torch.cuda.memory_allocated()
    passes, unused = torch.cuda.max_memory_allocated() - held, torch.cuda.memory_reserved() - held
    if torch.cuda.mem_get_info()[0] + unused < 2 * passes:
        raise torch.OutOfMemoryError(f"its memory does not hold the {passes / 1e9:.1f} GB of the passes twice")


@lru_cache
def _queue(device: torch.device) -> torch.cuda.Stream:
    """Where everything is recorded: libraries keep memory of their own for each queue that they were used in."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _difference(plain: list[Tensor], replayed: list[Tensor]) -> float:
    """Norm of the difference, relative to that of the first; 0 where both are the same."""
    away = torch.stack([(b.float() - a.float()).norm() for a, b in zip(plain, replayed, strict=True)]).norm()
    return float(away / torch.stack([a.float().norm() for a in plain]).norm()) if away else 0.0


@contextmanager
def _repeatable() -> Iterator[None]:
    """Inside it, what a replay would not do again is an error: to wait for the GPU, and to draw numbers on the CPU.

    Raises: RuntimeError.
    """
    waiting, drawn = torch.cuda.get_sync_debug_mode(), torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Synchronization debug mode")  # that it does not find all
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(waiting)
    if not torch.equal(torch.get_rng_state(), drawn):
        raise RuntimeError("the network draws random numbers on the CPU")
