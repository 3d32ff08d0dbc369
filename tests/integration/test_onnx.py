"""Networks from ONNX: the same features as the network they were exported from, through both strategies and home."""

import importlib
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image

from tests.training_support import FLOAT32, Bench, Recorder, tiny_dataset
from tlcore.errors import ModelError, SpecError, WeightsError
from tlcore.spec import content_fingerprint
from tlcore.tracking.pyfunc import save_pyfunc
from tlcore.training.features.store import ingredients
from tlcore.training.networks import onnx_module, onnx_network
from tlcore.training.networks.models import build_network, features, model_facts
from tlcore.training.networks.onnx_sidecar import IMAGENET_MEAN, IMAGENET_STD
from tlcore.training.outcome.predict import predict
from tlcore.training.prepare import Ground, prepare, recipe_of
from tlcore.training.weights.loading import check_weights, load_backbone

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

SIZE = 64


@pytest.fixture(scope="module")
def library():
    """The network that is exported: its feature map and its pooled features are known."""
    torch.manual_seed(11)
    return timm.create_model("test_resnet", num_classes=0).eval()


def _export(module, path, names, size=SIZE, batch=2, dynamic=True):
    free = {name: {0: "batch"} for name in ("images", *names)} if dynamic else None
    torch.onnx.export(module, (torch.zeros(batch, 3, size, size),), str(path), input_names=["images"],
                      output_names=list(names), dynamic_axes=free, dynamo=False)  # fmt: skip


class _Both(torch.nn.Module):
    """Two outputs: the feature map, and its mean."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        found = self.network.forward_features(images)
        return found, found.mean((2, 3))


@pytest.fixture(scope="module")
def folder(library, tmp_path_factory):
    """pooled, both, fixed (batch of 3), nhwc in both places or one, tokens, and beside: tensors in a file beside it."""
    place = tmp_path_factory.mktemp("onnx")
    _export(library, place / "pooled.onnx", ["features"])
    _export(_Both(library).eval(), place / "both.onnx", ["map", "mean"])
    _export(library, place / "fixed.onnx", ["features"], batch=3, dynamic=False)
    _transposed(place / "both.onnx", place / "nhwc.onnx")
    _transposed(place / "both.onnx", place / "last_in.onnx", after=False)
    _transposed(place / "both.onnx", place / "last_out.onnx", before=False)
    _as_tokens(place / "both.onnx", place / "tokens.onnx")
    whole = onnx.load(str(place / "pooled.onnx"))
    onnx.save_model(whole, str(place / "beside.onnx"), save_as_external_data=True, location="beside.data",
                    size_threshold=0)  # fmt: skip
    return place


def _transposed(source, target, before=True, after=True):
    """The same graph for [N,H,W,3], giving a map [N,H,W,C], as TensorFlow would have it; or one of the two."""
    model = onnx.load(str(source))
    graph = model.graph
    if before:
        graph.node.insert(0, helper.make_node("Transpose", ["images_last"], ["images"], perm=[0, 3, 1, 2]))
        del graph.input[:]
        graph.input.append(helper.make_tensor_value_info("images_last", TensorProto.FLOAT, ["batch", SIZE, SIZE, 3]))
    name = "map_last" if after else "map"
    if after:
        graph.node.append(helper.make_node("Transpose", ["map"], [name], perm=[0, 2, 3, 1]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", None, None, None]))
    onnx.save(model, str(target))


def _as_tokens(source, target):
    """The map as [N,L,C]."""
    model = onnx.load(str(source))
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([0, 0, -1], np.int64), "flat"))
    graph.node.append(helper.make_node("Reshape", ["map", "flat"], ["columns"]))
    graph.node.append(helper.make_node("Transpose", ["columns"], ["tokens"], perm=[0, 2, 1]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["batch", None, None]))
    onnx.save(model, str(target))


def _sidecar(path, **values):
    onnx_network.sidecar_path(path).write_text(json.dumps(values))
    return f"onnx:{path}"


def _images(count=5, seed=1):
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("file", ["pooled", "fixed", "nhwc", "last_in", "last_out", "tokens", "beside"])
def test_features_are_those_of_torch(folder, library, file):
    """Pooled by the graph or here, in any layout, also where the graph takes three images at a time."""
    network = build_network(f"onnx:{folder / file}.onnx", 4)
    images = _images()
    with torch.no_grad():
        torch.testing.assert_close(features(network, images), library(images), atol=1e-4, rtol=1e-4)
    assert network.facts.num_features == network.head.in_features == library.num_features


def test_facts(folder, library):
    facts = model_facts(f"onnx:{folder / 'pooled.onnx'}")
    assert (facts.library, facts.frozen_only, facts.num_groups) == ("onnx", True, 0)
    assert (facts.preprocessing.size, facts.fixed_input_size) == (SIZE, True)
    assert facts.preprocessing.mean == IMAGENET_MEAN
    # BatchNorm is folded into the convolutions by the exporter.
    own = sum(p.numel() for p in library.parameters())
    assert 0.9 * own < facts.num_parameters < 1.1 * own


def test_several_outputs_need_a_sidecar(folder, library):
    name = f"onnx:{folder / 'both.onnx'}"
    with pytest.raises(ModelError, match=r"has 2 outputs: name one of map, mean as output in .*both\.onnx\.json"):
        model_facts(name)
    images = _images()
    for output in ("map", "mean"):
        _sidecar(folder / "both.onnx", output=output)
        with torch.no_grad():
            found = features(build_network(name, 2), images)
        torch.testing.assert_close(found, library(images), atol=1e-4, rtol=1e-4)
    _sidecar(folder / "both.onnx", output="middle")
    with pytest.raises(ModelError, match="has no output 'middle'"):
        model_facts(name)
    onnx_network.sidecar_path(folder / "both.onnx").unlink()


KERAS = {  # Keras' preprocess_input modes: what becomes of a pixel 0…255, RGB
    "tf": ({"mean": [0.5] * 3, "std": [0.5] * 3}, lambda x: x / 127.5 - 1),
    "torch": ({}, lambda x: (x / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)),
    "caffe": (
        {"scale": 255, "mean": [103.939, 116.779, 123.68], "std": [1, 1, 1], "channel_order": "BGR"},
        lambda x: x[..., ::-1] - np.array([103.939, 116.779, 123.68]),
    ),
    "raw": ({"scale": 255, "mean": [0, 0, 0], "std": [1, 1, 1]}, lambda x: x),
}


@pytest.mark.parametrize("mode", KERAS)
def test_sidecars_of_keras_modes(tmp_path, mode):
    """A graph that returns its input shows what reaches it."""
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2], keepdims=0)
    graph = helper.make_graph(
        [node], "see",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 16, 16, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
              str(tmp_path / "see.onnx"))  # fmt: skip
    values, oracle = KERAS[mode]
    name = _sidecar(tmp_path / "see.onnx", **values)
    network = build_network(name, 2)
    own = network.facts.preprocessing
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.float64)
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (own.mean, own.std))
    found = features(network, ((scaled - mean) / std).float())
    torch.testing.assert_close(found.double(), torch.from_numpy(oracle(pixels).mean((1, 2))), atol=1e-3, rtol=1e-4)


@pytest.fixture
def bench(tmp_path, folder):
    return Bench(tmp_path, tiny_dataset(tmp_path, per_class=12, size=64), model=f"onnx:{folder / 'pooled.onnx'}")


def _spec(bench, strategy, **more):
    from tlcore.spec import RunSpec

    return RunSpec(
        dataset_id="tiny", dataset_fingerprint=bench.dataset.info.fingerprint, budget=bench.budget, batch_size=8,
        device="cpu", num_threads=1, model=bench.model, weights="imagenet", strategy=strategy, seed=0, **more,
    )  # fmt: skip


@pytest.mark.parametrize("strategy", ["feature_extraction", "transfer_learning"])
def test_both_strategies_train_and_go_home(bench, strategy, tmp_path, folder):
    """The folder works alone, as a script and as a pyfunc, and says what this package says."""
    reporter = Recorder()
    outcome = bench.run(_spec(bench, strategy), strategy, reporter)
    assert outcome.test.num_images > 0
    assert reporter.resolution.weights_fingerprint == check_weights(bench.model, "imagenet").fingerprint
    assert any("ImageNet's usual preprocessing is assumed" in note for note in reporter.resolution.notes)
    facts = model_facts(bench.model)
    assert outcome.num_parameters == facts.num_parameters + 3 * (facts.num_features + 1)
    assert [floor.name for floor in outcome.floors] == ["majority_class", "nearest_class_mean"]
    assert outcome.model_bytes > (folder / "pooled.onnx").stat().st_size
    if strategy == "transfer_learning":
        assert outcome.frozen_state_unchanged
    home = bench.work(strategy) / "model"
    photo = tmp_path / "photo.png"
    Image.open(bench.dataset.root / bench.dataset.images["path"].iloc[0]).save(photo)
    (ours,) = predict({"run": home}, [photo])["run"]
    printed = subprocess.run(
        [sys.executable, str(home / "predict.py"), str(photo)], capture_output=True, text=True, check=True
    )
    theirs = json.loads(printed.stdout)
    assert theirs["predicted"] == ours["predicted"]
    for label, share in ours["probabilities"].items():
        assert theirs["probabilities"][label] == pytest.approx(share, abs=1e-4)
    import mlflow

    loaded = mlflow.pyfunc.load_model(str(save_pyfunc(home, tmp_path / "pyfunc")))
    row = loaded.predict(pd.DataFrame({"path": [str(photo)]})).iloc[0]
    assert row["predicted"] == ours["predicted"]
    assert row[ours["predicted"]] == pytest.approx(ours["probabilities"][ours["predicted"]], abs=1e-4)


def test_the_layout_of_a_map_goes_home(folder, tmp_path, library):
    network = build_network(f"onnx:{folder / 'last_out.onnx'}", 2)
    onnx_network.write_files(tmp_path, network.facts.model, network.facts.preprocessing, dict(network.rewiring))
    written = json.loads(onnx_network.sidecar_path(tmp_path / onnx_network.FILE).read_text())
    assert (written["layout"], written["output_layout"]) == ("NCHW", "NHWC")
    images = _images(2)
    with torch.no_grad():
        found = features(build_network(f"onnx:{tmp_path / onnx_network.FILE}", 2), images)
    torch.testing.assert_close(found, library(images), atol=1e-4, rtol=1e-4)


def _cube(path, channels):
    """A graph whose output is a map of 8 × 8 places with some channels, each filled with its own number."""
    ramp = np.arange(channels, dtype=np.float32).reshape(1, channels, 1, 1) * np.ones((1, 1, 8, 8), np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "zero"], ["none"]),
        helper.make_node("Add", ["none", "ramp"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "cube", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", channels, 8, 8])],
        [numpy_helper.from_array(ramp, "ramp"), numpy_helper.from_array(np.zeros((1, 1, 1, 1), np.float32), "zero")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))


def test_an_unclear_layout_of_a_map_must_be_said(tmp_path, folder):
    path = tmp_path / "cube.onnx"
    _cube(path, 8)
    says = r"output y of .*cube\.onnx is \[1, 8, 8, 8\]: whether that is NCHW or NHWC .* say it as output_layout"
    with pytest.raises(ModelError, match=says):
        model_facts(f"onnx:{path}")
    images = torch.zeros(2, 3, 16, 16)
    for layout, expected in (("NCHW", torch.arange(8.0)), ("NHWC", torch.full((8,), 3.5))):
        found = features(build_network(_sidecar(path, output_layout=layout), 2), images)
        torch.testing.assert_close(found, expected.expand(2, 8))
    vectors = tmp_path / "vectors.onnx"
    vectors.write_bytes((folder / "pooled.onnx").read_bytes())
    with pytest.raises(ModelError, match="no feature map, so output_layout NHWC has no meaning"):
        model_facts(_sidecar(vectors, output_layout="NHWC"))


def test_tensors_beside_the_file_go_home_within_it(folder, tmp_path, library):
    network = build_network(f"onnx:{folder / 'beside.onnx'}", 2)
    onnx_network.write_files(tmp_path, network.facts.model, network.facts.preprocessing, dict(network.rewiring))
    again = build_network(f"onnx:{tmp_path / onnx_network.FILE}", 2)
    images = _images(2)
    with torch.no_grad():
        torch.testing.assert_close(features(again, images), library(images), atol=1e-4, rtol=1e-4)
    assert again.facts.preprocessing == network.facts.preprocessing


def test_the_fingerprint_follows_the_tensors_beside_the_file(folder, tmp_path):
    for name in ("beside.onnx", "beside.data"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    before = onnx_network.fingerprint(tmp_path / "beside.onnx")
    data = bytearray((tmp_path / "beside.data").read_bytes())
    data[100] ^= 1
    (tmp_path / "beside.data").write_bytes(data)
    assert onnx_network.fingerprint(tmp_path / "beside.onnx") != before


SIDECARS = [{"output": "mean"}, {"output": "map"}, {"output": "mean", "channel_order": "BGR"},
            {"output": "mean", "scale": 255, "mean": [0, 0, 0], "std": [1, 1, 1]}]  # fmt: skip


def test_another_sidecar_has_other_features_and_is_not_the_same_weights(bench, folder, tmp_path, monkeypatch):
    """The file is the same, and so may be the preprocessing: what is read from it and given to it is not."""
    for_file = tmp_path / "both.onnx"
    for_file.write_bytes((folder / "both.onnx").read_bytes())
    bench.model = f"onnx:{for_file}"

    def job():
        spec = _spec(bench, "feature_extraction")
        given = (spec, bench.dataset, bench.split(spec), tmp_path / "w", tmp_path / "cache", Recorder(), None)
        ground = Ground(*given, FLOAT32, 0.0)
        return prepare(ground, recipe_of(ground), tmp_path / "w", ground.reporter).stored.job

    keys, weights = set(), set()
    for values in SIDECARS:
        _sidecar(for_file, **values)
        check = check_weights(bench.model, "imagenet")
        assert check.fingerprint == load_backbone(build_network(bench.model, 2), "imagenet").fingerprint
        weights.add(check.fingerprint)
        keys.add(content_fingerprint({**ingredients(job()), "weights": ""}))
    assert len(keys) == len(SIDECARS)
    assert len(weights) == len(SIDECARS) - 1, "the scale is of the preprocessing"
    monkeypatch.setattr(importlib.import_module("onnxruntime"), "__version__", "0.0")
    assert content_fingerprint({**ingredients(job()), "weights": ""}) not in keys, "another onnxruntime"


@pytest.mark.parametrize("strategy", ["fine_tuning", "partial_fine_tuning", "gradual_unfreezing", "from_scratch"])
def test_strategies_that_train_the_backbone_are_refused(bench, strategy):
    with pytest.raises(SpecError, match=r"frozen|comes with its own"):
        bench.run(_spec(bench, strategy), strategy)


def test_weights_are_in_the_file(folder):
    name = f"onnx:{folder / 'pooled.onnx'}"
    check = check_weights(name, "imagenet")
    assert check.usable
    assert check.fingerprint == load_backbone(build_network(name, 2), "imagenet").fingerprint
    assert "ImageNet's usual preprocessing" in check.message
    refused = check_weights(name, "file:/tmp/other.pth")
    assert not refused.usable
    assert "comes with its own weights" in refused.message
    with pytest.raises(WeightsError, match="comes with its own"):
        load_backbone(build_network(name, 2), "file:/tmp/other.pth")


def test_what_cannot_be_used_says_why(folder, tmp_path, monkeypatch):
    with pytest.raises(ModelError, match=r"no ONNX file at .*gone\.onnx"):
        model_facts(f"onnx:{tmp_path / 'gone.onnx'}")
    (tmp_path / "page.onnx").write_text("<html>")
    with pytest.raises(ModelError, match=r"page\.onnx cannot be read as an ONNX network"):
        model_facts(f"onnx:{tmp_path / 'page.onnx'}")
    copy = tmp_path / "copy.onnx"
    copy.write_bytes((folder / "pooled.onnx").read_bytes())
    for values, says in (
        ({"colour": "BGR"}, "colour.*known keys are size"),
        ({"size": 128}, "takes images of 64 px, but .* says 128"),
        ({"layout": "NHWC"}, "not clear"),
    ):
        with pytest.raises(ModelError, match=says):
            model_facts(_sidecar(copy, **values))
    real = importlib.import_module

    def absent(name, *args):
        if name.startswith("onnx"):
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(onnx_network.importlib, "import_module", absent)
    monkeypatch.setattr(onnx_network, "_seen", {})
    with pytest.raises(ModelError, match="pip install onnxruntime"):
        model_facts(f"onnx:{folder / 'pooled.onnx'}")


def test_a_changed_file_is_seen_at_once(folder, tmp_path):
    copy = tmp_path / "copy.onnx"
    copy.write_bytes((folder / "pooled.onnx").read_bytes())
    assert model_facts(f"onnx:{copy}").preprocessing.mean == IMAGENET_MEAN
    assert model_facts(_sidecar(copy, mean=[0.5] * 3, std=[0.5] * 3)).preprocessing.mean == (0.5, 0.5, 0.5)


def test_a_network_is_read_once_until_one_of_its_files_changes(folder, tmp_path, monkeypatch):
    for name in ("beside.onnx", "beside.data"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    read, real, name = [], onnx_network._read, f"onnx:{tmp_path / 'beside.onnx'}"
    monkeypatch.setattr(onnx_network, "_read", lambda *given: read.append(given) or real(*given))
    first = onnx_network.weights_fingerprint(name)
    build_network(name, 2)
    assert len(read) == 1
    _sidecar(tmp_path / "beside.onnx", mean=[0.5] * 3)
    assert model_facts(name).preprocessing.mean == (0.5, 0.5, 0.5)
    tensors = (tmp_path / "beside.data").read_bytes()
    (tmp_path / "beside.data").write_bytes(tensors[:-4] + b"\0\0\0\0" + tensors[:4])
    assert onnx_network.weights_fingerprint(name) != first
    assert len(read) == 3


@pytest.mark.parametrize(
    ("device", "has", "expected"),
    [
        ("cpu", True, {"CPUExecutionProvider": {}}),
        ("cuda:1", True, {"CUDAExecutionProvider": {"device_id": "1"}, "CPUExecutionProvider": {}}),
        ("cuda:1", False, {"CPUExecutionProvider": {}}),
    ],
)
def test_onnxruntime_computes_where_the_run_does(monkeypatch, tmp_path, device, has, expected):
    import onnxruntime

    opened, there = [], ["CPUExecutionProvider", *(["CUDAExecutionProvider"] if has else [])]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, providers: opened.append(dict(providers)))
    onnx_module.open_session(tmp_path, torch.device(device))
    assert opened == [expected]
    assert bool(onnx_network.provider_note(torch.device(device))) == (device != "cpu" and not has)


def test_what_onnxruntime_computes_with_is_among_what_features_depend_on(bench, folder, tmp_path, monkeypatch):
    given = _spec(bench, "feature_extraction")
    ground = Ground(given, bench.dataset, bench.split(given), tmp_path, tmp_path, Recorder(), None, FLOAT32, 0.0)
    job = prepare(ground, recipe_of(ground), tmp_path, ground.reporter).stored.job
    before = ingredients(job)
    monkeypatch.setattr("tlcore.training.features.store.provider", lambda device: "another")
    assert ingredients(job) != before
