"""Training steps and forward passes against what bounds them: `python -m tests.benchmarks.bench_steps [--device cuda]`.

1. number format: the product's step and forward pass against float32 in torch's own layout, and against plain autocast,
   each in a process of its own, and against float32 in the environment that workers have (`format_arm.py`).
2. real images: a step of the loop, its images read and augmented, against the same on one batch that is on the device.
3. frozen head: a step with augmentation against a forward pass without autograd.
4. partial fine-tuning: a step against forward + 2 × the part of the forward pass that lies in what trains.
5. on a GPU, steps that are recorded against the same sent kernel by kernel (`recording.py`).
6. feature extraction, once images are decoded: the run against one bare forward pass; the same run once more.

A bare forward pass is torch's own, in the product's number format and layout; `folded` is the product's (`folding.py`).

Photos of ants and bees where TLCORE_TEST_DATA has them, or of --photos, else drawn pictures; random weights. Arms take
turns.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path

import torch
from torch import nn

from tests.benchmarks import format_arm
from tests.benchmarks.format_arm import forward_only
from tests.benchmarks.timing import as_a_worker, device_of, interleaved, line
from tests.training_support import Bench, Recorder, dataset_of, tiny_dataset
from tlcore.settings import get_settings
from tlcore.spec import Budget, RunSpec
from tlcore.training.device import Device, device_name, set_threads
from tlcore.training.images.batches import evaluation_batch, training_batch
from tlcore.training.loop.ahead import Batches
from tlcore.training.loop.checkpoints import fresh_state
from tlcore.training.loop.optimizers import synchronize
from tlcore.training.loop.recording import PassRecorder
from tlcore.training.loop.steps import make_ready, train_step
from tlcore.training.loop.task import Task
from tlcore.training.networks.folding import fold_all
from tlcore.training.networks.freezing import trained_names
from tlcore.training.prepare import Ground, prepare, recipe_of

MODEL = "mobilenetv2_100"
IN_A_ROW = {"cuda": 10, "cpu": 1}  # steps, as in a run: a GPU's queue is not waited for at every one
OF_FLOAT32 = {"float32": "a person's float32", "quiet": "float32 in a worker's environment"}
TARGETS = {"resnet18": (3.5, 4.0), MODEL: (1.6, 2.5)}  # of float32's time by that of the product: training, forward


def main() -> None:
    as_a_worker()
    options = read_options()
    set_threads(options.threads)
    device = device_of(options.device)
    print(
        f"{device.reason}; {device_name(device.device)}; {torch.get_num_threads()} threads; torch {torch.__version__}"
    )
    print(f"batches of {options.batch} images of {options.size} px, medians of {options.repeats}\n")
    line("what", "found", "target")
    for model in options.models:
        number_formats(model, device, options)
    with tempfile.TemporaryDirectory(prefix="bench_steps_") as folder:
        bench = make_bench(Path(folder), options)
        steps_on_images(bench, device, options)
        features(bench, device, options)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--models", nargs="*", default=["resnet18", MODEL, "efficientnet_b0"], help="of number formats")
    parser.add_argument("--model", default=MODEL, help="of all that is measured on images")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--photos", type=Path, help="a folder of class folders, instead of the ants and bees")
    return parser.parse_args()


def make_bench(folder: Path, options: argparse.Namespace) -> Bench:
    data = get_settings().test_data
    photos = options.photos or (data / "hymenoptera_data" if data is not None else None)
    given = photos is not None and photos.exists()
    dataset = dataset_of(photos.resolve()) if photos is not None and given else tiny_dataset(folder, 2, 200, 256)
    return Bench(folder, dataset, model=options.model, budget=Budget(epochs=1), batch_size=options.batch)


def number_formats(model: str, device: Device, options: argparse.Namespace) -> None:
    """The product against plain autocast and float32 as a person's script has them, and float32 as a worker would."""
    for what, target in zip(("training", "forward"), TARGETS.get(model, (None, None)), strict=True):
        asked = (what, model, options.batch, options.size, device.id, torch.get_num_threads())
        with format_arm.arms(*asked) as arms:
            ratio(what, model, interleaved(arms, options.repeats), target, options.batch)


def ratio(what: str, model: str, found: dict[str, float], target: float | None, batch: int) -> None:
    """How many times as fast the product is as each other arm."""
    pace = batch / found["product"]
    for other, seconds in found.items():
        if other != "product":
            times, wanted = seconds / found["product"], f"{target}×" if target and other in OF_FLOAT32 else ""
            line(
                f"1. {model}, {what}: product against {OF_FLOAT32.get(other, other)}",
                f"{times:.2f}× ({pace:,.0f} images/s)",
                wanted,
            )


def ground_of(bench: Bench, spec: RunSpec, device: Device) -> Ground:
    return Ground(
        spec, bench.dataset, bench.split(spec), bench.work("steps"), bench.folder / "cache", Recorder(), None, device,
        time.perf_counter(),
    )  # fmt: skip


def steps_on_images(bench: Bench, device: Device, options: argparse.Namespace) -> None:
    """Steps of the loop on real images, and what bounds them."""
    for strategy in ("fine_tuning", "transfer_learning", "partial_fine_tuning:last_groups=2"):
        spec = asked(bench, strategy, device, options)
        ground = ground_of(bench, spec, device)
        task = prepare(ground, recipe_of(ground), bench.work("steps"), Recorder()).task
        show_steps(strategy, task, device, options)


def asked(bench: Bench, strategy: str, device: Device, options: argparse.Namespace) -> RunSpec:
    spec = bench.spec(
        strategy.partition(":")[0], image_size=options.size, device=device.id, num_threads=options.threads
    )
    return spec.model_copy(update={"strategy": strategy})


def show_steps(strategy: str, task: Task, device: Device, options: argparse.Namespace) -> None:
    recipe, state = task.recipe.phases[-1], fresh_state(device.device)
    lesson = make_ready(task, recipe)
    fixed = training_batch(task.source, task.train[: options.batch], recipe.augmentation, 0)
    number = IN_A_ROW[device.device.type]
    there = replace(lesson, batches=Batches(lambda _: fixed, ahead=False))
    by_kernel = replace(
        make_ready(task, recipe), optimizer=lesson.optimizer, recorder=PassRecorder(None, (), (), on=False)
    )

    def step() -> None:
        for _ in range(number):
            train_step(task, state, lesson)

    def sent() -> None:
        for _ in range(number):
            train_step(task, state, by_kernel)

    def same_batch() -> None:
        for _ in range(number):
            train_step(task, state, there)

    def forward() -> None:
        for _ in range(number):
            forward_only(task.network, device, fixed[0])

    def folded() -> None:
        for _ in range(number):
            forward_only(task.network, device, fixed[0], folds)

    folds = fold_all(task.network, device)
    arms = {"step": step, "same": same_batch, "forward": forward, "folded": folded}
    if device.accelerated:
        arms["sent"] = sent
    found = interleaved(arms, options.repeats, device.device)
    if "sent" in found:
        pace = number * options.batch / found["step"]
        words = f"{found['sent'] / found['step']:.2f}× as fast ({pace:,.0f} images/s)"
        line(f"5. {strategy}: recorded steps against those sent kernel by kernel", words, "")
    if strategy == "fine_tuning":
        line(
            "2. real images against one batch on the device", f"{found['same'] / found['step']:.1%} of its rate", "97 %"
        )
    elif strategy == "transfer_learning":
        for name in ("forward", "folded"):
            words = "a bare pass" if name == "forward" else "a folded pass"
            line(f"3. frozen head with augmentation against {words}", f"{found['step'] / found[name]:.2f}×", "1.3×")
    else:
        for name, work in (("bare", forward), ("folded", folded)):
            share = trained_share(task, recipe.trainable, work, device.device)
            whole, computed = (
                found[arm] / found["forward" if name == "bare" else "folded"] for arm in ("step", "same")
            )
            wanted = f"{1 + 2 * share:.2f}× (trains {share:.0%} of it)"
            words = f"{whole:.2f}×, on one batch that is there {computed:.2f}×"
            line(f"4. {strategy}: step against a {name} pass", words, wanted)


def trained_share(task: Task, trainable: str, forward: Callable[[], None], device: torch.device) -> float:
    """The part of the forward pass, by time, in the layers that train."""
    names, seconds, begun = trained_names(task.network, trainable), defaultdict(float), {}

    def before(module: nn.Module, _: object) -> None:
        synchronize(device)
        begun[module] = time.perf_counter()

    def after(module: nn.Module, *_: object) -> None:
        synchronize(device)
        seconds[own[module]] += time.perf_counter() - begun[module]

    layers = {m: n for n, m in task.network.module.named_modules() if list(m.parameters(recurse=False))}
    own = {m: any(f"{n}.{p}" in names for p, _ in m.named_parameters(recurse=False)) for m, n in layers.items()}
    with ExitStack() as hooks:
        for layer in layers:
            hooks.callback(layer.register_forward_pre_hook(before).remove)
            hooks.callback(layer.register_forward_hook(after).remove)
        for _ in range(5):
            forward()
    return seconds[True] / sum(seconds.values())


def features(bench: Bench, device: Device, options: argparse.Namespace) -> None:
    """A run of feature extraction against a bare forward pass over all images, and once more with its features."""
    spec = asked(bench, "feature_extraction", device, options)
    ground = ground_of(bench, spec, device)
    task = prepare(ground, recipe_of(ground), bench.work("bare"), Recorder()).task
    rows = range(len(bench.dataset.images))
    batches = [torch.tensor(rows[i : i + 64]).numpy() for i in range(0, len(rows), 64)]
    ready = [evaluation_batch(task.source, batch) for batch in batches]
    number = count()

    def bare() -> None:
        for images in ready:
            forward_only(task.network, device, images)

    def first() -> None:
        for folder in (bench.folder / "cache" / "features").glob("*"):
            folder.rename(bench.folder / f"old-{next(number)}")
        again()

    def again() -> None:
        bench.run(spec, f"features-{next(number)}")

    found = interleaved({"bare": bare, "first": first, "again": again}, options.repeats, device.device)
    line(
        f"6. feature extraction of {len(rows):,} images against a bare pass",
        f"{found['first'] / found['bare']:.2f}×",
        "1.15×",
    )
    line("6. the same run once more", f"{found['again']:.2f} s", "1 s (4,000 images)")


if __name__ == "__main__":
    main()
