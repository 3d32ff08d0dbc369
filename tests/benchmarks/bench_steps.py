"""Training steps and forward passes against what bounds them: `python -m tests.benchmarks.bench_steps [--device cuda]`.

1. number format: the product's step and forward pass against float32 in torch's own layout, and against plain autocast.
2. real images: a step of the loop, its images read and augmented, against the same on one batch that is on the device.
3. frozen head: a step with augmentation against a forward pass without autograd.
4. partial fine-tuning: a step against forward + 2 × the part of the forward pass that lies in what trains.
5. feature extraction, once images are decoded: the run against one bare forward pass; the same run once more.

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
from torch.nn.functional import cross_entropy

from tests.benchmarks.timing import interleaved, line
from tests.training_support import Bench, Recorder, dataset_of, tiny_dataset
from tlcore.settings import get_settings
from tlcore.spec import Budget, RunSpec
from tlcore.training.device import Device, device_name, pick_device, set_threads
from tlcore.training.images.batches import evaluation_batch, training_batch
from tlcore.training.loop.ahead import Batches
from tlcore.training.loop.checkpoints import fresh_state
from tlcore.training.loop.optimizers import synchronize
from tlcore.training.loop.steps import make_ready, train_step
from tlcore.training.loop.task import Task
from tlcore.training.networks.folding import Folded, fold_all
from tlcore.training.networks.forward import logits
from tlcore.training.networks.freezing import evaluating, trained_names
from tlcore.training.networks.models import Network, build_network
from tlcore.training.prepare import Ground, prepare, recipe_of

MODEL = "mobilenetv2_100"
UNFOLDED = Folded(())
IN_A_ROW = {"cuda": 10, "cpu": 1}  # steps, as in a run: a GPU's queue is not waited for at every one
TARGETS = {"resnet18": (3.5, 4.0), MODEL: (1.6, 2.5)}  # of float32's time by that of the product: training, forward


def main() -> None:
    options = read_options()
    set_threads(options.threads)
    device = pick_device(options.device)
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
    parser.add_argument("--models", nargs="*", default=["resnet18", MODEL, "efficientnet_b0"])
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
    return Bench(folder, dataset, model=MODEL, budget=Budget(epochs=1), batch_size=options.batch)


def number_formats(model: str, device: Device, options: argparse.Namespace) -> None:
    """The product's format and layout, plain autocast in that layout, and float32 in torch's own layout."""
    images = torch.rand(options.batch, 3, options.size, options.size, device=device.device)
    labels = torch.arange(options.batch, device=device.device) % 10
    last = images.contiguous(memory_format=torch.channels_last)
    plain = build_network(model, 10, options.size)
    plain.module.to(device.device)
    fast = build_network(model, 10, options.size)
    fast.module.to(device.device).to(memory_format=torch.channels_last)
    low = torch.autocast(device.device.type, dtype=torch.bfloat16, enabled=device.dtype is torch.bfloat16)
    high = replace(device, dtype=torch.float32)

    slow_optimizer, fast_optimizer = (torch.optim.SGD(n.module.parameters(), lr=1e-4) for n in (plain, fast))

    def learn(scores: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
        cross_entropy(scores, labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    def autocast() -> None:
        with low:
            scores = fast.module(last)
        learn(scores.float(), fast_optimizer)

    training = {
        "float32": lambda: learn(logits(plain, high, images), slow_optimizer),
        "autocast": autocast,
        "product": lambda: learn(logits(fast, device, last), fast_optimizer),
    }
    for network in (plain, fast):
        network.module.train()
    found = interleaved(training, options.repeats, device.device)
    wanted = TARGETS.get(model, (None, None))
    ratio("training", model, found, wanted[0], options.batch)
    folded = fold_all(fast, device)
    forward = {
        "float32": lambda: forward_only(plain, high, images),
        "autocast": lambda: forward_only(fast, device, last),
        "product": lambda: forward_only(fast, device, last, folded),
    }
    ratio("forward", model, interleaved(forward, options.repeats, device.device), wanted[1], options.batch)


def ratio(what: str, model: str, found: dict[str, float], target: float | None, batch: int) -> None:
    """How many times as fast the product is as each other arm."""
    pace = batch / found["product"]
    for other, seconds in found.items():
        if other != "product":
            times, wanted = seconds / found["product"], f"{target}×" if target and other == "float32" else ""
            line(f"1. {model}, {what}: product against {other}", f"{times:.2f}× ({pace:,.0f} images/s)", wanted)


def forward_only(network: Network, device: Device, images: torch.Tensor, folded: Folded = UNFOLDED) -> torch.Tensor:
    with evaluating(network), folded.applied(), torch.inference_mode():
        return logits(network, device, images)


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

    def step() -> None:
        for _ in range(number):
            train_step(task, state, lesson)

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
    found = interleaved(arms, options.repeats, device.device)
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

    found = interleaved({"bare": bare, "first": first, "again": again}, max(1, options.repeats // 2), device.device)
    line(
        f"5. feature extraction of {len(rows):,} images against a bare pass",
        f"{found['first'] / found['bare']:.2f}×",
        "1.15×",
    )
    line("5. the same run once more", f"{found['again']:.2f} s", "1 s (4,000 images)")


if __name__ == "__main__":
    main()
