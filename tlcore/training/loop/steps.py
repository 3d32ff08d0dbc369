"""One optimiser step: its images, the mean gradient of its batch, also in parts where memory is short."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from tlcore.errors import NonFiniteLossError
from tlcore.recipes import TrainRecipe
from tlcore.training.device import Device
from tlcore.training.images import stream
from tlcore.training.images.batches import Rows, training_batch
from tlcore.training.loop.ahead import Batch, Batches
from tlcore.training.loop.checkpoints import State
from tlcore.training.loop.memory import in_parts, letting_go, remembered
from tlcore.training.loop.optimizers import make_optimizer, set_learning_rates
from tlcore.training.loop.position import phase_progress, plan_now
from tlcore.training.loop.recording import PassRecorder, is_wanted
from tlcore.training.loop.task import Task
from tlcore.training.networks.adapters import attach_adapters
from tlcore.training.networks.folding import Folded, fold_for_training
from tlcore.training.networks.forward import logits
from tlcore.training.networks.freezing import apply_trainable
from tlcore.training.networks.models import Network

CHECK_EVERY = 50  # steps between looks at the loss on a GPU, as each look waits for it; a CPU looks at every step
_BATCH_NORM = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class Loss:
    """What the steps of a phase make small: cross-entropy over a batch, a mean as PyTorch's.

    folded: the pairs of the network whose statistics stay. class_weights: [K], or None.
    """

    network: Network
    device: Device
    folded: Folded
    class_weights: Tensor | None
    label_smoothing: float

    def total(self, labels: Tensor) -> Tensor | int:
        """By what the batch's sum is divided: with class weights the sum of the images' weights, else their number."""
        return len(labels) if self.class_weights is None else self.class_weights[labels].sum()

    def part(self, images: Tensor, labels: Tensor, total: Tensor | int) -> tuple[Tensor, Tensor]:
        """Scores [N, K] of some of a batch's images, and their part of its loss."""
        with self.folded.applied():
            scores = logits(self.network, self.device, images)
            loss = cross_entropy(
                scores, labels, self.class_weights, label_smoothing=self.label_smoothing, reduction="sum"
            )
        return scores, loss / total

    def whole(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [N, K] of a batch, and its loss."""
        return self.part(images, labels, self.total(labels))


@dataclass(frozen=True)
class Lesson:
    """What all steps of a phase share. recorder: of the passes of a whole batch.

    moving: statistics that a forward pass changes, as those of BatchNorm in train mode.
    """

    recipe: TrainRecipe
    optimizer: Optimizer
    batches: Batches
    recorder: PassRecorder
    loss: Loss
    moving: tuple[Tensor, ...]

    @property
    def least(self) -> int:
        """The fewest images at once: BatchNorm in train mode has no statistics of a single one."""
        return 2 if self.moving else 1

    def let_go(self) -> bool:
        """Give up what is held for speed alone, for as long as the phase lasts: whether there was any."""
        return self.batches.stop_ahead() | self.recorder.give_up()


def make_ready(task: Task, recipe: TrainRecipe) -> Lesson:
    """Set the network to train this phase's part; what its steps share."""
    if recipe.trainable == "lora":
        attach_adapters(task.network, recipe, stream.start_seed(task.seed))
    apply_trainable(task.network, recipe.trainable, recipe.normalization)
    labels = task.source.labels.cpu()[torch.from_numpy(task.train)]
    weights = class_weights(labels, task.num_classes) if recipe.class_balance == "loss_weights" else None
    weights = None if weights is None else weights.to(task.source.labels.device)
    device, moving = task.source.device, moving_statistics(task.network)
    optimizer, on_gpu = make_optimizer(task.network, recipe), device.accelerated
    folded = fold_for_training(task.network, device, task.recipe.batch_size)
    loss = Loss(task.network, device, folded, weights, recipe.label_smoothing)
    return Lesson(
        recipe=recipe,
        optimizer=optimizer,
        batches=Batches(_maker(task, recipe, _draw(task, recipe, labels)), ahead=on_gpu),
        recorder=PassRecorder(loss.whole, _trained(optimizer), moving, on=on_gpu and is_wanted()),
        loss=loss,
        moving=moving,
    )


def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Inverse class frequencies [K], with a mean of 1 over the images; 0 for a class that has none."""
    counts = torch.bincount(labels, minlength=num_classes).float()
    present = counts > 0
    weights = len(labels) / (counts * present.sum())
    return torch.where(present, weights, 0.0)


def moving_statistics(network: Network) -> tuple[Tensor, ...]:
    """The buffers of every BatchNorm in train mode."""
    norms = [m for m in network.module.modules() if isinstance(m, _BATCH_NORM) and m.training]
    return tuple(buffer for norm in norms for buffer in norm.buffers(recurse=False))


def train_step(task: Task, state: State, lesson: Lesson) -> None:
    """One optimiser step. Everything random in it follows from (seed, step).

    Raises: NonFiniteLossError; torch.OutOfMemoryError where no smaller part of the batch is left to try.
    """
    recipe = lesson.recipe
    with task.watch.measure("augment"):
        images, labels = letting_go(partial(lesson.batches.take, state.step), lesson.let_go)
    asked = state.micro_batch or len(labels)
    restore = remembered(lesson.moving)

    def let_go() -> bool:
        found = lesson.let_go()
        restore()
        return found

    def work(size: int) -> Tensor:
        return letting_go(partial(_accumulate, task, lesson, images, labels, state.step, size), let_go)

    scores, size = in_parts(work, asked, f"optimiser step {state.step + 1}", lesson.least, restore)
    if size < asked:
        _note_parts(task, state, lesson, size)
    with task.watch.measure("optimizer"):
        if recipe.gradient_clip:
            nn.utils.clip_grad_norm_(_trained(lesson.optimizer), recipe.gradient_clip)
        set_learning_rates(lesson.optimizer, recipe, phase_progress(plan_now(task.plan, state), state))
        lesson.optimizer.step()

    state.loss_sum += cross_entropy(scores, labels, reduction="sum").double()
    state.hits += (scores.argmax(1) == labels).sum()
    state.seen += len(labels)
    state.step += 1
    if scores.device.type == "cpu" or state.step % CHECK_EVERY == 0:
        require_finite(task, state, float(state.loss_sum), "training")


def require_finite(task: Task, state: State, loss: float, which: str) -> None:
    """Raises: NonFiniteLossError for a loss that is no number, with the remedy."""
    if math.isfinite(loss):
        return
    recipe = task.recipe.phases[state.phase]
    rate = recipe.learning_rate if isinstance(recipe, TrainRecipe) else 0.0
    raise NonFiniteLossError(
        f"the {which} loss is {loss} at optimiser step {state.step} (learning rate {rate:g}): launch it with a "
        f"lower one, such as {rate / 10:g} in its settings (--set {task.recipe.strategy}.learning_rate={rate / 10:g})"
    )


def _trained(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _accumulate(task: Task, lesson: Lesson, images: Tensor, labels: Tensor, step: int, size: int) -> Tensor:
    """Leave the gradient of the whole batch's mean loss, at most `size` images at once; the scores of all [N, K]."""
    seed = stream.step_seed(task.seed, step)
    parts = min(math.ceil(len(labels) / size), max(1, len(labels) // lesson.least))
    with task.watch.measure("forward"):
        recording = lesson.recorder.find(images, labels, seed) if parts == 1 else None
    torch.manual_seed(seed)
    if recording is not None:
        scores = recording.replay(images, labels, task.watch)
        lesson.batches.prepare(step + 1)
        return scores
    lesson.optimizer.zero_grad(set_to_none=True)
    total, found = lesson.loss.total(labels), []
    for some, truth in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        with task.watch.measure("forward"):
            scores, loss = lesson.loss.part(some, truth, total)
        if parts == 1:  # else memory is short
            lesson.batches.prepare(step + 1)
        with task.watch.measure("backward"):
            loss.backward()  # type: ignore[no-untyped-call]
        found.append(scores.detach())
    return torch.cat(found)


def _note_parts(task: Task, state: State, lesson: Lesson, size: int) -> None:
    state.micro_batch = size
    batch = task.recipe.batch_size
    note = (
        f"memory ran out at optimiser step {state.step + 1}: from there on, each batch of {batch} went through the "
        f"network {size} images at a time and their gradients were added up, which gives the whole batch's mean"
    )
    if lesson.moving:
        note += "; BatchNorm in train mode saw these smaller batches"
    state.notes = (*state.notes, note)


def _maker(task: Task, recipe: TrainRecipe, draw: Callable[[int], Rows]) -> Callable[[int], Batch]:
    """How a step's number becomes its images and labels."""

    def make(step: int) -> Batch:
        seed = stream.step_seed(task.seed, step)
        return training_batch(task.source, task.train[draw(step)], recipe.augmentation, seed, recipe.noise)

    return make


def _draw(task: Task, recipe: TrainRecipe, labels: Tensor) -> Callable[[int], Rows]:
    """The positions among the training images of a step."""
    batch, seed = task.recipe.batch_size, task.seed
    if recipe.class_balance != "balanced_sampling":
        return lambda step: stream.batch_positions(seed, step, batch, len(labels))
    of_class = [(labels == number).nonzero()[:, 0].numpy() for number in range(task.num_classes)]
    members = tuple(positions for positions in of_class if len(positions))
    return lambda step: stream.balanced_positions(seed, step, batch, members)
