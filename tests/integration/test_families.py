"""Every strategy on every family of networks, with random weights and small pictures.

What a strategy may change is read from the files, before and after, by name: no hash and no report is believed.
"""

import shutil

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from tests.training_support import FLOAT32, Bench, Recorder, pretrained, tiny_dataset
from tlcore.errors import SpecError
from tlcore.recipes import DataFacts, TrainRecipe, resolve
from tlcore.spec import Budget
from tlcore.strategies import STRATEGIES
from tlcore.training import run as run_module
from tlcore.training.images.batches import evaluation_batch
from tlcore.training.loop import checkpoints
from tlcore.training.loop import phase as loop
from tlcore.training.networks import adapters
from tlcore.training.networks.models import build_network, features, model_facts
from tlcore.training.outcome.predict import load_model
from tlcore.training.weights.loading import load_backbone

CUT = {"cut_at": 3}
MAPS = {"layers": "last_conv"}
# The smallest input that each takes, in pixels, and what is left out of the largest: VGG's classifier has 119 million
# parameters, and torchvision's smallest ViT has 88 million in 12 equal blocks. A few runs take them whole, see WHOLE.
FAMILIES = {
    "torchvision:alexnet": (64, MAPS),
    "torchvision:vgg16": (32, MAPS),
    "torchvision:vgg19": (32, MAPS),
    "torchvision:googlenet": (32, {}),
    "torchvision:inception_v3": (75, {}),
    "inception_v3": (75, {}),
    "torchvision:squeezenet1_1": (32, {}),
    "torchvision:mobilenet_v2": (32, {}),
    "mobilenetv2_100": (32, {}),
    "torchvision:mobilenet_v3_small": (32, {}),
    "mobilenetv3_small_100": (32, {}),
    "torchvision:shufflenet_v2_x0_5": (32, {}),
    "torchvision:resnet18": (32, {}),
    "resnet18": (32, {}),
    "torchvision:resnet50": (32, {}),
    "torchvision:efficientnet_b0": (32, {}),
    "efficientnet_b0": (32, {}),
    "torchvision:vit_b_32": (224, CUT),
    "vit_tiny_patch16_224": (32, {}),
    "torchvision:convnext_tiny": (32, CUT),
    "convnext_atto": (32, {}),
    "test_vit": (32, {}),
    "test_convnext": (32, {}),
    "test_efficientnet": (32, {}),
    "test_byobnet": (32, {}),
    "test_nfnet": (32, {}),
    "test_mambaout": (32, {}),
}
WHOLE = [
    ("torchvision:alexnet", "transfer_learning", 64),
    ("torchvision:vgg16", "feature_extraction", 32),
    ("torchvision:vit_b_32", "lora", 224),
    ("torchvision:inception_v3", "feature_extraction", 299),
]
SLOW = {"torchvision:alexnet", "torchvision:vgg16", "torchvision:vgg19", "torchvision:googlenet", "inception_v3",
        "torchvision:inception_v3", "torchvision:resnet50", "torchvision:vit_b_32", "vgg16"}  # fmt: skip
BLOCKS = {"torchvision:vit_b_32", "vit_tiny_patch16_224", "torchvision:convnext_tiny", "test_vit",
          "test_convnext", "test_mambaout"}  # fmt: skip
TO_THE_BOTTOM = ("fine_tuning", "from_scratch", "staged_fine_tuning", "lp_ft", "gradual_unfreezing")
HEAD_ONLY = ("feature_extraction", "transfer_learning")


def _case(model, strategy, changes, size):
    marks = [pytest.mark.slow] if model in SLOW else []
    return pytest.param(model, strategy, changes, size, marks=marks, id=f"{model}-{strategy}-{size}")


CASES = [_case(m, s, changes, size) for m, (size, changes) in FAMILIES.items() for s in STRATEGIES]
CASES += [_case(model, strategy, {}, size) for model, strategy, size in WHOLE]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("families")
    return Bench(folder, tiny_dataset(folder, classes=2, per_class=5), budget=Budget(steps=1), batch_size=4)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """float32, so that numbers can be compared; and no waiting for a disk to have what nobody will read again."""
    monkeypatch.setattr(run_module, "pick_device", lambda asked: FLOAT32)
    monkeypatch.setattr(checkpoints.os, "fsync", lambda file: None)
    monkeypatch.setattr(loop, "save_last", lambda *given: None)


@pytest.mark.parametrize(("model", "strategy", "changes", "size"), CASES)
def test_a_strategy_changes_what_its_name_says(bench, model, strategy, changes, size, monkeypatch):
    bench.model = model
    if "inception" in model:
        calibrated(bench.folder / "weights", model)
    name = f"{model}-{strategy}-{size}-{len(changes)}".replace(":", "-")
    spec = bench.spec(strategy, image_size=size, overrides=changes)
    if strategy == "lora" and model not in BLOCKS:
        with pytest.raises(SpecError, match="linear layers"):
            bench.run(spec, name)
        return
    needed = resolve(spec.entry, DataFacts(6, 32), model_facts(model), image_size=size, overrides=changes).phases
    steps = sum(isinstance(phase, TrainRecipe) for phase in needed)
    spec = spec.model_copy(update={"budget": Budget(steps=max(1, steps))})  # a step for each phase
    outcome, moved = followed(bench, spec, name, monkeypatch)
    assert outcome.frozen_state_unchanged in (None, True)
    assert (outcome.frozen_state_unchanged is not None) == STRATEGIES[strategy].freezes

    folder = bench.work(name) / "model"
    network = load_model(folder).network
    after = load_file(folder / "weights.safetensors")
    assert after.keys() == network.module.state_dict().keys(), "an ordinary network, whatever the strategy"
    assert all(tensor.isfinite().all() for tensor in after.values())
    if strategy != "from_scratch":
        start = build_network(model, 2, size, network.changes)
        load_backbone(start, spec.weights)
        before, head = start.module.state_dict(), f"{network.head_name}."
        changed = {n for n, t in after.items() if not n.startswith(head) and not torch.equal(t, before[n])}
        check_changes(network, strategy, changed)
    check_moves(network, strategy, moved)
    shutil.rmtree(bench.work(name))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_runs_on_one_channel(bench, strategy):
    """And a network whose first layer has one channel goes home."""
    bench.model = "test_vit" if strategy == "lora" else "test_resnet"
    spec = bench.spec(strategy, overrides={"grayscale": True}, budget=Budget(steps=6))
    outcome = bench.run(spec, f"gray-{strategy}")
    assert outcome.frozen_state_unchanged in (None, True)
    network = load_model(bench.work(f"gray-{strategy}") / "model").network
    first = next(layer for layer in network.module.modules() if isinstance(layer, torch.nn.Conv2d))
    assert first.in_channels == 1
    shutil.rmtree(bench.work(f"gray-{strategy}"))


def followed(bench, spec, name, monkeypatch):
    """The outcome, and the tensors that differ between the start and the end of training, whichever was the best."""
    real, moved = run_module.train, set()

    def train(task, state, stored):
        before = {n: t.detach().clone() for n, t in task.network.module.state_dict().items()}
        real(task, state, stored)
        after = task.network.module.state_dict()
        moved.update(n for n, t in after.items() if not torch.equal(t, before[n]))

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "train", train)
        return bench.run(spec, name), moved


def calibrated(folder, model):
    """Random weights whose BatchNorm statistics are those of real activations: else Inception's deep ones explode."""
    if not (folder / f"{model.replace(':', '_')}.safetensors").exists():
        path = pretrained(folder, model)
        network = build_network(model, 1000)
        network.module.load_state_dict(load_file(path))
        for layer in network.module.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0
        with torch.no_grad():
            network.module.train()(torch.randn(4, 3, 107, 107, generator=torch.Generator().manual_seed(0)))
        save_file({n: t.contiguous() for n, t in network.module.state_dict().items()}, path)


def check_changes(network, strategy, changed):
    """What of the backbone may differ from the pretrained weights, and what must."""
    groups = [set(group) for group in network.groups]
    parameters = set().union(*groups)
    if strategy in HEAD_ONLY:
        assert not changed, "parameters and statistics alike"
    elif strategy == "partial_fine_tuning":
        assert changed & parameters <= groups[-1] | groups[-2]
        assert all(changed & group for group in groups[-2:])
        statistics = {n.rpartition(".")[0] for n in changed - parameters}
        assert all(any(p.startswith(f"{owner}.") for p in groups[-1] | groups[-2]) for owner in statistics)
    elif strategy == "fine_tuning":
        assert all(changed & group for group in groups)
    elif strategy == "lora":
        assert changed == {f"{path}.weight" for path in adapters.adaptable(network)}


def check_moves(network, strategy, moved):
    """The head moved in any strategy, and every layer group in those that end by training all of them."""
    assert any(n.startswith(f"{network.head_name}.") for n in moved)
    if strategy in TO_THE_BOTTOM:
        assert [number for number, group in enumerate(network.groups) if not moved & set(group)] == []


@pytest.mark.parametrize(
    "model", ["torchvision:resnet18", "mobilenetv2_100", "test_vit", "test_convnext", "test_byobnet"]
)
@pytest.mark.parametrize("changes", [{}, {"cut_at": 2}, {"layers": "2+4"}], ids=["whole", "cut", "layers"])
def test_cached_features_equal_live_ones(bench, model, changes, monkeypatch):
    bench.model = model
    kept = []
    score = run_module.feature_predictions
    monkeypatch.setattr(run_module, "feature_predictions", lambda *given: kept.append(given) or score(*given))
    spec = bench.spec("feature_extraction", overrides=changes, seed=1)
    for name in ("first", "again"):  # the second time they come from the cache
        bench.run(spec, f"cached-{model}-{len(kept)}-{name}-{changes}".replace(":", "-"))
    task, _, stored, _, rows = kept[-1]
    task.network.module.eval()
    with torch.no_grad():
        live = features(task.network, evaluation_batch(task.source, rows))
    cached = torch.from_numpy(stored.plain().features[rows])
    assert cached.shape == (len(rows), task.network.head.in_features)
    torch.testing.assert_close(cached, live, rtol=1e-5, atol=1e-5 * float(live.abs().max()))


AUXILIARY = {"torchvision:googlenet": ("aux1.", "aux2."), "torchvision:inception_v3": ("AuxLogits.",)}


@pytest.mark.slow
@pytest.mark.parametrize("model", AUXILIARY)
def test_second_heads_of_published_weights_are_ignored(model, tmp_path):
    """They serve only while the whole network trains from scratch: neither built, nor missed, nor called strangers."""
    maker = torchvision.models.get_model_builder(model.removeprefix("torchvision:"))
    published = maker(weights=None, aux_logits=True, init_weights=False).state_dict()
    assert any(name.startswith(AUXILIARY[model]) for name in published)
    save_file(published, tmp_path / "published.safetensors")
    network = build_network(model, 3, 80)
    report = load_backbone(network, f"file:{tmp_path / 'published.safetensors'}")
    assert (report.match.missing, report.match.unknown, report.match.other_shape) == (0, 0, 0)
    state = network.module.state_dict()
    assert not any(name.startswith(AUXILIARY[model]) for name in state)
    shared = [n for n in state if not n.startswith(f"{network.head_name}.")]
    assert all(torch.equal(state[n], published[n]) for n in shared)


@pytest.mark.parametrize("model", AUXILIARY)
def test_networks_for_fixed_preprocessing_say_their_size(model):
    size = model_facts(model).preprocessing.size
    assert size == {"torchvision:googlenet": 224, "torchvision:inception_v3": 299}[model]


def test_a_run_says_that_second_heads_are_left_out_where_their_loss_would_have_mattered(tmp_path):
    bench = Bench(tmp_path, tiny_dataset(tmp_path, classes=2), "torchvision:googlenet", budget=Budget(steps=1))
    said = {}
    for strategy in ("from_scratch", "transfer_learning"):
        recorder = Recorder()
        bench.run(bench.spec(strategy), strategy, recorder)
        said[strategy] = [note for note in recorder.resolution.notes if "second heads" in note]
    assert [len(notes) for notes in said.values()] == [1, 0]
    assert "torchvision:googlenet is trained by the loss of its one head" in said["from_scratch"][0]
