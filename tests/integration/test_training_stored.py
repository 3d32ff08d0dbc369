"""Stored features: the same as live ones, never taken for others, and with augmented views beside them."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training_support import FLOAT32, Bench, Recorder, tiny_dataset
from tlcore.datasets.dataset import Dataset
from tlcore.datasets.splits import make_split
from tlcore.errors import RunCancelledError, TrainingError
from tlcore.recipes import NetworkRecipe
from tlcore.results import EvaluationPoint, PartMetrics, RunOutcome
from tlcore.spec import content_fingerprint
from tlcore.training import prepare as prepare_module
from tlcore.training import run as run_module
from tlcore.training.features import fitting
from tlcore.training.features import store as features_module
from tlcore.training.features.store import ingredients, stored_features, stored_view
from tlcore.training.images.batches import evaluation_batch
from tlcore.training.images.stream import view_seed
from tlcore.training.images.views import view_images
from tlcore.training.loop import phase as phase_module
from tlcore.training.loop import phases
from tlcore.training.networks import forward
from tlcore.training.networks.forward import predictions
from tlcore.training.outcome import evaluation
from tlcore.training.prepare import Ground, prepare, recipe_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def dataset(folder) -> Dataset:
    return tiny_dataset(folder, classes=2, per_class=12, size=40)


@pytest.fixture
def bench(folder, dataset):
    return Bench(folder, dataset)


def prepared(bench: Bench, cache=None, **changes):
    """A run at its start, in float32."""
    spec = bench.spec("feature_extraction", **changes)
    path = cache or bench.folder / "cache"
    ground = Ground(spec, bench.dataset, bench.split(spec), bench.folder / "w", path, Recorder(), None, FLOAT32, 0.0)
    return prepare(ground, recipe_of(ground), bench.folder / "w" / "checkpoint", ground.reporter)


NETWORKS = [
    ("test_resnet", {}),
    ("test_vit", {"image_size": 160}),
    ("test_resnet", {"overrides": {"layers": "2+3+4"}}),
    ("test_resnet", {"overrides": {"layers": "last_conv"}}),
    ("test_efficientnet", {"overrides": {"cut_at": 2}}),
]


@pytest.mark.parametrize(("model", "changes"), NETWORKS, ids=["cnn", "vit", "concatenated", "last_conv", "cut"])
def test_stored_features_are_what_the_head_receives_live(bench, tmp_path, model, changes):
    """The oracle: the library's own module in eval mode, with a hook on its last linear layer."""
    bench.model = model
    begun = prepared(bench, cache=tmp_path, **changes)
    network, source = begun.task.network, begun.task.source
    seen = []
    network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.module.eval()
    rows = np.arange(len(bench.dataset.images))
    with torch.no_grad():
        network.module(evaluation_batch(source, rows))
    stored = begun.stored.plain().features
    assert stored.shape == (len(rows), network.head.in_features)
    np.testing.assert_allclose(stored, seen[0].numpy(), atol=1e-5)
    assert stored.std(0).max() > 1e-3, "they differ between images"


def test_a_concatenated_layer_is_wider_than_each_of_its_own(bench, tmp_path):
    widths = {}
    for layers in ("3", "4", "3+4"):
        begun = prepared(bench, cache=tmp_path, overrides={"layers": layers})
        widths[layers] = begun.stored.plain().features.shape[1]
    assert widths["3+4"] == widths["3"] + widths["4"]
    assert len(list((tmp_path / "features").glob("*/meta.json"))) == 3, "one place each"


ONE_OTHER = {
    "dataset": lambda j: replace(j, dataset=replace(j.dataset, info=j.dataset.info.model_copy(
        update={"fingerprint": "0" * 64}))),
    "files": lambda j: replace(j, dataset=replace(j.dataset, images=j.dataset.images.assign(
        sha256=list(reversed(j.dataset.images["sha256"]))))),
    "weights": lambda j: replace(j, weights="other"),
    "architecture": lambda j: replace(j, network=replace(j.network, architecture="test_resnet2")),
    "library": lambda j: replace(j, network=replace(j.network, facts=j.network.facts.model_copy(
        update={"library": "torchvision"}))),
    "arguments": lambda j: replace(j, network=replace(j.network, build_arguments={"img_size": 64})),
    "rewiring": lambda j: replace(j, network=replace(j.network, rewiring={"channel_order": "BGR"})),
    "layers": lambda j: replace(j, changes=NetworkRecipe(layers="3+4")),
    "cut": lambda j: replace(j, changes=NetworkRecipe(cut_at=2)),
    "grayscale": lambda j: replace(j, changes=NetworkRecipe(grayscale=True)),
    "size": lambda j: replace(j, source=replace(j.source, preprocessing=j.source.preprocessing.model_copy(
        update={"size": 48}))),
    "mean": lambda j: replace(j, source=replace(j.source, preprocessing=j.source.preprocessing.model_copy(
        update={"mean": (0.4, 0.5, 0.5)}))),
    "dtype": lambda j: replace(j, source=replace(j.source, device=replace(j.source.device, dtype=torch.bfloat16))),
    "device": lambda j: replace(j, source=replace(j.source, device=replace(
        j.source.device, device=torch.device("cuda")))),
}  # fmt: skip


def test_a_network_that_has_left_its_start_stores_nothing(bench, tmp_path):
    begun = prepared(bench, cache=tmp_path)
    with torch.no_grad():
        next(begun.task.network.module.buffers()).add_(1e-3)
    with pytest.raises(TrainingError, match="features of test_resnet cannot be stored: its backbone has changed"):
        begun.stored.plain()
    with pytest.raises(TrainingError, match="features of view 1 of"):
        begun.stored.view(begun.task.train, 0, 1)
    assert not list(tmp_path.glob("features/*/*.npy"))


def place(job) -> str:
    return content_fingerprint(ingredients(job))


@pytest.mark.parametrize("ingredient", ONE_OTHER)
def test_whatever_differs_in_one_ingredient_has_a_place_of_its_own(bench, ingredient):
    job = prepared(bench).stored.job
    assert place(ONE_OTHER[ingredient](job)) != place(job)


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (features_module, "EXTRACTION_VERSION", 99),
        (features_module, "PIXELS_VERSION", "99.9"),
        (torch, "__version__", "0.0"),
    ],
)
def test_another_version_of_the_code_has_a_place_of_its_own(bench, monkeypatch, module, name, value):
    job = prepared(bench).stored.job
    before = place(job)
    monkeypatch.setattr(module, name, value)
    assert place(job) != before


def test_what_features_do_not_depend_on_shares_them(bench):
    """Another seed, budget or classifier, and another way to write the same model."""
    job = prepared(bench).stored.job
    others = [prepared(bench, seed=3), prepared(bench, overrides={"classifier": "knn"}), prepared(bench, fraction=0.5)]
    assert {place(other.stored.job) for other in others} == {place(job)}
    weights = bench.spec("feature_extraction").weights
    tagged = prepared(bench, model="test_resnet.r160_in1k", weights=weights)
    assert place(tagged.stored.job) == place(job)


def test_the_same_is_read_and_not_made_again(bench, tmp_path, monkeypatch):
    first = prepared(bench, cache=tmp_path).stored.plain().features
    monkeypatch.setattr(features_module, "feature_batches", None)
    np.testing.assert_array_equal(prepared(bench, cache=tmp_path, seed=4).stored.plain().features, first)
    monkeypatch.undo()
    made = []
    monkeypatch.setattr(features_module, "_make", lambda *given: made.append(given) or (_ for _ in ()).throw(KeyError))
    with pytest.raises(KeyError):
        prepared(bench, cache=tmp_path, image_size=48).stored.plain()
    assert len(made) == 1


def view_folders(cache) -> set[str]:
    return {meta.parent.name for meta in (cache / "features").glob("*/meta.json")}


def test_views_are_of_training_rows_and_differ_by_seed_number_and_rows(bench, tmp_path):
    begun = prepared(bench, cache=tmp_path)
    job, rows = begun.stored.job, begun.task.train
    plain = stored_features(job)
    views = {
        "first": stored_view(job, rows, 0, 1),
        "second": stored_view(job, rows, 0, 2),
        "seed": stored_view(job, rows, 1, 1),
        "rows": stored_view(job, rows[:4], 0, 1),
    }
    assert len(view_folders(tmp_path)) == 5
    assert views["first"].features.shape == (len(rows), plain.features.shape[1])
    assert np.abs(views["first"].features - plain.features[rows]).max() > 1e-3
    assert np.abs(views["first"].features - views["second"].features).max() > 1e-3
    assert np.abs(views["first"].features - views["seed"].features).max() > 1e-3
    np.testing.assert_allclose(views["rows"].features, views["first"].features[:4], atol=1e-5)
    stored_view(job, rows, 0, 1)
    assert len(view_folders(tmp_path)) == 5, "read again, not made again"


def test_a_views_features_are_what_the_head_receives_live(bench, tmp_path):
    """The oracle: the library's own module in eval mode, on each training image's own crop, one at a time."""
    begun = prepared(bench, cache=tmp_path)
    network, source, rows = begun.task.network, begun.task.source, begun.task.train
    stored = begun.stored.view(rows, seed=3, number=2).features
    images = view_images(source, len(bench.dataset.images), view_seed(3, 2))
    seen = []
    network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.module.eval()
    with torch.no_grad():
        for row in rows:
            network.module(images(source, np.array([row])))
    np.testing.assert_allclose(stored, torch.cat(seen).numpy(), atol=1e-5)
    assert stored.std(0).max() > 1e-3, "they differ between images"


def test_views_drawn_by_other_code_have_a_place_of_their_own(bench, tmp_path, monkeypatch):
    begun = prepared(bench, cache=tmp_path)
    job, rows = begun.stored.job, begun.task.train[:4]
    stored_features(job)
    stored_view(job, rows, 0, 1)
    monkeypatch.setattr(features_module, "VIEW_VERSION", 99)
    stored_features(job)
    stored_view(job, rows, 0, 1)
    assert len(view_folders(tmp_path)) == 3, "the plain features, and the view twice"


def test_a_views_crops_are_each_images_own_whatever_the_batch(bench):
    begun = prepared(bench)
    source, number = begun.task.source, len(bench.dataset.images)
    images = view_images(source, number, view_seed(0, 1))
    whole = images(source, np.arange(number))
    one = images(source, np.array([7]))
    torch.testing.assert_close(one[0], whole[7])
    side = source.read_train(np.array([0])).shape[1]
    ramp = torch.arange(side * side).reshape(1, side, side, 1).expand(1, side, side, 3) % 251
    same = replace(source, read_train=lambda rows: ramp.to(torch.uint8).expand(len(rows), side, side, 3))
    looks = {tuple(look.flatten().tolist()) for look in images(same, np.arange(number))}
    assert len(looks) == number, "of one and the same picture, each place in the dataset sees another part"


def test_half_of_the_views_are_mirrored(bench):
    """Of a picture that grows brighter from left to right."""
    source, number = prepared(bench).task.source, len(bench.dataset.images)
    side = source.read_train(np.array([0])).shape[1]
    slope = torch.linspace(0, 255, side).to(torch.uint8).reshape(1, 1, side, 1).expand(1, side, side, 3)
    same = replace(source, read_train=lambda rows: slope.expand(len(rows), side, side, 3))
    views = [view_images(same, number, view_seed(0, view))(same, np.arange(number)) for view in range(1, 21)]
    mirrored = [look[..., 0] > look[..., -1] for look in views]
    assert all(torch.equal(m.flatten(1).all(1), m.flatten(1).any(1)) for m in mirrored)
    assert torch.cat(mirrored).float().mean() == pytest.approx(0.5, abs=0.1)


def test_views_are_fitted_on_with_their_labels_and_paid_for(bench, monkeypatch):
    seen = {}
    real = fitting.classifiers.fit

    def fit(recipe, train, *others):
        seen["train"] = train
        return real(recipe, train, *others)

    monkeypatch.setattr(fitting.classifiers, "fit", fit)
    plain = bench.run(bench.spec("feature_extraction"), "plain")
    alone = seen["train"]
    recorder = Recorder()
    with_views = bench.run(bench.spec("feature_extraction", overrides={"views": 2}), "views", recorder)
    both, number = seen["train"], len(alone.labels)
    assert both.features.shape == (3 * number, alone.features.shape[1])
    torch.testing.assert_close(both.features[:number], alone.features)
    assert torch.equal(both.labels, alone.labels.repeat(3))
    assert (plain.images_seen, with_views.images_seen) == (number, 3 * number)
    assert isinstance(with_views.test, PartMetrics)


def test_each_view_of_each_image_is_charged(bench, monkeypatch):
    real = prepare_module.Features
    charged = {"plain": 10.0, 1: 100.0, 2: 1000.0}

    class Dear(real):
        def plain(self):
            return replace(super().plain(), seconds_per_image=charged["plain"])

        def view(self, rows, seed, number):
            return replace(super().view(rows, seed, number), seconds_per_image=charged[number])

    monkeypatch.setattr(prepare_module, "Features", Dear)
    spec = bench.spec("feature_extraction", overrides={"views": 2})
    outcome = bench.run(spec, "dear")
    split = make_split(bench.dataset, 0, 1.0)
    train, val = len(split.train), len(split.val)
    assert outcome.train_seconds == pytest.approx(10 * (train + val) + 1100 * train, rel=0.02)


def test_knn_and_a_folded_head_work_with_views(bench):
    for classifier in ("knn", "linear_svm", "logistic_regression"):
        spec = bench.spec("feature_extraction", overrides={"views": 1, "classifier": classifier})
        outcome = bench.run(spec, f"views-{classifier}")
        assert outcome.val.accuracy >= 0.5


def seen_in_evaluations(bench, monkeypatch, spec) -> tuple[int, RunOutcome, tuple[EvaluationPoint, ...]]:
    """How many images the network saw in evaluations and final scores of a run; its outcome; its curve."""
    seen, real = [], forward.feature_batches

    def feature_batches(network, source, rows, *others):
        seen.append(len(rows))
        return real(network, source, rows, *others)

    recorder = Recorder()
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "pick_device", lambda asked: FLOAT32)
        patch.setattr(forward, "feature_batches", feature_batches)
        outcome = bench.run(spec, "seen", recorder)
    shutil.rmtree(bench.work("seen"))
    return sum(seen), outcome, recorder.histories[-1][0]


HIDDEN = {"hidden_units": 4}


@pytest.mark.parametrize(
    ("strategy", "overrides", "live"),
    [("transfer_learning", {}, ()), ("staged_fine_tuning", {}, (1,)), ("transfer_learning", HIDDEN, (0,))],
    ids=["head", "staged", "hidden_layer"],
)
def test_evaluations_take_stored_features_as_long_as_only_what_receives_them_trained(
    bench, monkeypatch, strategy, overrides, live
):
    """The oracle: the same run whose evaluations all go through the network. live: phases that do in any case."""
    spec = bench.spec(strategy, overrides=overrides)
    number, outcome, points = seen_in_evaluations(bench, monkeypatch, spec)
    val = outcome.val.num_images
    scored = val + outcome.train.num_images + outcome.test.num_images if live else 0
    assert number == sum(point.phase in live for point in points) * val + scored

    monkeypatch.setattr(phase_module, "_features_stay", lambda task, state: False)
    number, live, live_points = seen_in_evaluations(bench, monkeypatch, spec)
    assert number == len(points) * val + live.val.num_images + live.train.num_images + live.test.num_images
    for part in ("train", "val", "test"):
        assert getattr(outcome, part).accuracy == getattr(live, part).accuracy
        assert getattr(outcome, part).loss == pytest.approx(getattr(live, part).loss, rel=1e-4)
    for point, other in zip(points, live_points, strict=True):
        assert (point.step, point.val_accuracy, point.train_loss) == (other.step, other.val_accuracy, other.train_loss)
        assert point.val_loss == pytest.approx(other.val_loss, rel=1e-4)


def test_a_head_pays_once_for_the_features_of_its_validation_images(bench, monkeypatch):
    """However many evaluations there are, whether the features were there before, and after a pause."""
    real = features_module.stored_features
    monkeypatch.setattr(features_module, "stored_features", lambda job: replace(real(job), seconds_per_image=100.0))
    cost = 100.0 * len(bench.split(bench.spec("transfer_learning")).val)
    for name, strategy in (("head", "transfer_learning"), ("staged", "staged_fine_tuning")):
        stopped, recorder = Recorder(stop_at=4), Recorder()
        with pytest.raises(RunCancelledError):
            bench.run(bench.spec(strategy), f"pays-{name}", stopped)
        outcome = bench.run(bench.spec(strategy), f"pays-{name}", recorder)
        points = recorder.histories[-1][0]
        assert len(points) > 1 and points[0].train_seconds >= cost
        assert cost <= outcome.train_seconds < 2 * cost
    free = bench.run(bench.spec("fine_tuning"), "pays-nothing")
    assert free.train_seconds < cost


def test_lp_ft_goes_on_from_the_fitted_head(bench, monkeypatch):
    """Its first point is feature extraction's result, and the live head scores the same before the first step."""
    fitted = bench.run(bench.spec("feature_extraction"), "alone")
    recorder = Recorder()
    live = {}
    real = phases.train_phase

    def train_phase(task, state, recipe, stored):
        batches = predictions(task.network, task.source, task.val, 64, lambda: None)
        live["val"] = evaluation.summarise(batches, task.num_classes)
        live["head"] = task.network.head.weight.detach().clone()
        real(task, state, recipe, stored)
        live["after"] = task.network.head.weight.detach().clone()

    monkeypatch.setattr(phases, "train_phase", train_phase)
    both = bench.run(bench.spec("lp_ft"), "both", recorder)
    history = recorder.histories[-1][0]
    assert (history[0].step, history[0].phase) == (0, 0)
    assert history[0].val_accuracy == fitted.val.accuracy
    assert history[0].val_loss == pytest.approx(fitted.val.loss, rel=1e-4)
    assert live["val"].accuracy == fitted.val.accuracy
    assert live["val"].loss == pytest.approx(fitted.val.loss, abs=5e-3)
    assert [point.phase for point in history[1:]] == [1] * (len(history) - 1) and len(history) > 1
    assert not torch.equal(live["head"], live["after"]), "training goes on from there"
    assert both.val.accuracy >= fitted.val.accuracy, "the fitted head is among the points to choose from"


def test_a_run_without_steps_tells_how_fast_features_were_made(bench, tmp_path):
    own = replace(bench, folder=tmp_path)
    outcome = own.run(own.spec("feature_extraction"), "features")
    meta = json.loads(next((tmp_path / "cache" / "features").glob("*/meta.json")).read_text())
    assert outcome.images_per_second == pytest.approx(1 / meta["seconds_per_image"])


def test_caches_that_are_larger_than_their_limit_are_made_once_for_all_runs(bench, tmp_path, monkeypatch):
    """The images of a run do not go for its features, nor these for the images of the next."""
    monkeypatch.setenv("TLCORE_MAX_CACHE_GB", "0")
    own, found = replace(bench, folder=tmp_path), []
    for name in ("first", "second"):
        own.run(own.spec("feature_extraction"), name)
        found.append({folder.name: folder.stat().st_ino for folder in (tmp_path / "cache").glob("*/*/")})
    assert found[0] == found[1]
    assert len(found[0]) == 2
