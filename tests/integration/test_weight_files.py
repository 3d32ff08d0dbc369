"""Files of weights as people bring them: wrapped, prefixed, partly fitting, half downloaded, or no weights at all."""

import argparse
import hashlib
import json
import pickle

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.training_support import Bench, Recorder, tiny_dataset
from tlcore.errors import WeightsError
from tlcore.recipes import NetworkRecipe
from tlcore.training.networks.models import build_network
from tlcore.training.weights import loading as weights
from tlcore.training.weights import published
from tlcore.training.weights.files import PREFIXES, WRAPPERS, read_tensors
from tlcore.training.weights.loading import check_weights, load_backbone

MODEL = "test_resnet"


@pytest.fixture(scope="module")
def source():
    """The tensors of a network of ten classes, from the library alone."""
    torch.manual_seed(7)
    return timm.create_model(MODEL, num_classes=10).state_dict()


def _network(seed=0, model=MODEL, **more):
    torch.manual_seed(seed)
    return build_network(model, 3, **more)


def _holds(network, tensors):
    state = network.module.state_dict()
    return all(torch.equal(state[n], t) for n, t in tensors.items() if not n.startswith("fc."))


@pytest.mark.parametrize("key", WRAPPERS)
def test_every_wrapper_is_opened(source, tmp_path, key):
    torch.save({key: dict(source), "epoch": 3, "args": argparse.Namespace(lr=0.1)}, tmp_path / "w.pth")
    network = _network()
    load_backbone(network, f"file:{tmp_path / 'w.pth'}")
    assert _holds(network, source)


@pytest.mark.parametrize("prefix", [*PREFIXES, "module._orig_mod.", "model.backbone."])
def test_every_prefix_is_taken_off(source, tmp_path, prefix):
    tensors = {prefix + name: tensor for name, tensor in source.items()}
    save_file({**tensors, "projector.weight": torch.ones(2)}, tmp_path / "w.safetensors")
    network = _network()
    report = load_backbone(network, f"file:{tmp_path / 'w.safetensors'}")
    assert _holds(network, source)
    assert report.match.unknown == 0


def test_a_prefix_that_is_the_networks_own_stays(tmp_path):
    """The names of torchvision's ViT begin with `encoder.` themselves."""
    torch.manual_seed(3)
    network = build_network("torchvision:vit_b_32", 2)
    save_file(dict(network.module.state_dict()), tmp_path / "vit.safetensors")
    assert check_weights("torchvision:vit_b_32", f"file:{tmp_path / 'vit.safetensors'}").usable


def test_checkpoints_with_numpy_numbers_are_read(source, tmp_path):
    torch.save({"state_dict": dict(source), "best": np.float64(0.9)}, tmp_path / "w.pth")
    assert len(read_tensors(tmp_path / "w.pth")) == len(source)


def test_the_content_decides_not_the_name(source, tmp_path):
    save_file(dict(source), tmp_path / "w.pth")
    torch.save(dict(source), tmp_path / "w.bin")
    assert read_tensors(tmp_path / "w.pth").keys() == read_tensors(tmp_path / "w.bin").keys() == source.keys()


def _cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _evil(path):
    path.write_bytes(pickle.dumps({"state_dict": _Evil()}, protocol=2))


class _Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('this code ran')",)


BAD = {
    "half.safetensors": (lambda p, t: (save_file(t, p), _cut_short(p)), r"half\.safetensors.*damaged.*fetch it again"),
    "half.pth": (lambda p, t: (torch.save(t, p), _cut_short(p)), r"half\.pth.*damaged.*fetch it again"),
    "page.pth": (lambda p, t: p.write_text("<!DOCTYPE html><html>404</html>"), r"page\.pth.*web page.*fetch it again"),
    "empty.pth": (lambda p, t: p.touch(), r"empty\.pth.*is empty"),
    "pointer.pth": (lambda p, t: p.write_text("version https://git-lfs.github.com/spec/v1"), "LFS.*git lfs pull"),
    "keras.h5": (lambda p, t: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64)), "Keras.*ONNX"),
    "evil.pth": (lambda p, t: _evil(p), r"evil\.pth.*could run code.*state_dict"),
    "module.pth": (lambda p, t: torch.save(torch.nn.Linear(2, 2), p), r"module\.pth.*could run code"),
    "gone.pth": (lambda p, t: p.symlink_to(p.parent / "nowhere"), r"gone\.pth does not exist.*link to .*nowhere"),
    "folder.pth": (lambda p, t: p.mkdir(), r"folder\.pth does not exist.*it is a folder"),
    "no/such.pth": (lambda p, t: None, r"such\.pth does not exist, nor does the folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_are_no_weights_are_named_with_the_remedy(source, tmp_path, name):
    make, says = BAD[name]
    make(tmp_path / name, dict(source))
    with pytest.raises(WeightsError, match=says):
        read_tensors(tmp_path / name)
    check = check_weights(MODEL, f"file:{tmp_path / name}")
    assert not check.usable
    assert str(tmp_path / name) in check.message


GARBAGE = (
    *(
        b"hello\n",
        b".",
        b"(",
        b"0",
        b"R",
        b"]K",
        b"\x80",
        b"\x80\x02abc",
        b"\x80\x04.",
        b"\x80\x02K\x01.",
        b"PK\x03\x04abc",
    ),
    *(b"\x80\x02h\x05.", b"\x80\x02}q\x00X\xff\xff\xff\xff", b"PK\x05\x06" + bytes(18), b"12345678{", bytes(8) + b"{}"),
)


@given(st.one_of(st.sampled_from(GARBAGE), st.binary(max_size=80), st.binary(max_size=80).map(b"\x80\x02".__add__)))
@settings(max_examples=300, deadline=None)
def test_no_garbage_gets_past_the_reader(tmp_path_factory, garbage):
    for name in ("x.pth", "x.safetensors"):
        file = tmp_path_factory.getbasetemp() / name
        file.write_bytes(garbage)
        with pytest.raises(WeightsError, match=rf"{name}.*(again|give|save|use|convert|pull)"):
            read_tensors(file)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(source, tmp_path, value):
    tensors = {**source, "layer2.0.conv1.weight": source["layer2.0.conv1.weight"].clone()}
    tensors["layer2.0.conv1.weight"][0, 0, 0, 0] = value
    save_file(tensors, tmp_path / "w.safetensors")
    says = r"w\.safetensors.*1 of the [\d,]+ values of its tensor layer2\.0\.conv1\.weight.*earlier epoch"
    with pytest.raises(WeightsError, match=says):
        load_backbone(_network(), f"file:{tmp_path / 'w.safetensors'}")
    check = check_weights(MODEL, f"file:{tmp_path / 'w.safetensors'}")
    assert not check.usable
    assert "layer2.0.conv1.weight" in check.message


def test_an_old_head_may_hold_anything(source, tmp_path):
    """It is never loaded."""
    save_file({**source, "fc.bias": torch.full((10,), float("nan"))}, tmp_path / "w.safetensors")
    assert check_weights(MODEL, f"file:{tmp_path / 'w.safetensors'}").usable


@pytest.mark.parametrize("keys", [["model_state"], ["learner", "best"], ["a", "b", "c"]])
def test_a_state_dict_is_found_under_any_key(source, tmp_path, keys):
    wrapped = {"module." + name: tensor for name, tensor in source.items()}
    for key in reversed(keys):
        wrapped = {"epoch": 3, key: wrapped, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}}
    torch.save(wrapped, tmp_path / "w.pth")
    network = _network()
    load_backbone(network, f"file:{tmp_path / 'w.pth'}")
    assert _holds(network, source)


def test_of_two_networks_in_a_file_one_must_be_named(source, tmp_path):
    other = {name: tensor * 2 for name, tensor in source.items()}
    file = tmp_path / "w.pth"
    torch.save({"net": other, "run": {"model_ema": dict(source)}, "epoch": 3}, file)
    with pytest.raises(WeightsError, match=r"w\.pth holds 2 networks .* as net, run\.model_ema: .* file:.*w\.pth#net"):
        load_backbone(_network(), f"file:{file}")
    assert not check_weights(MODEL, f"file:{file}").usable
    for entry, tensors in (("net", other), ("run.model_ema", source)):
        load_backbone(network := _network(), f"file:{file}#{entry}")
        assert _holds(network, tensors)
    with pytest.raises(WeightsError, match=r"w\.pth holds no tensors under 'ema': name one of net, run\.model_ema"):
        load_backbone(_network(), f"file:{file}#ema")
    torch.save({"net": dict(source), "model_ema": dict(source)}, tmp_path / "w#1.pth")
    load_backbone(network := _network(), f"file:{tmp_path / 'w#1.pth'}")
    assert _holds(network, source), "the same twice"


def test_of_two_state_dicts_the_one_that_fits_is_taken(source, tmp_path):
    """Also where the other lies under the more usual key."""
    torch.save({"state_dict": {"text.weight": torch.ones(2)}, "vision": dict(source)}, tmp_path / "w.pth")
    network = _network()
    load_backbone(network, f"file:{tmp_path / 'w.pth'}")
    assert _holds(network, source)


def test_a_checkpoint_without_tensors_tells_its_keys(tmp_path):
    torch.save({"epoch": 3, "best": 0.9}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"no tensors by name \(its keys are epoch, best\)"):
        read_tensors(tmp_path / "w.pth")


def test_a_missing_file_tells_of_one_with_a_similar_name_alone(source, tmp_path):
    for name in ("resnet.safetensors", "private.pth"):
        save_file(dict(source), tmp_path / name)
    with pytest.raises(
        WeightsError, match=r"resnt\.safetensors does not exist.*did you mean resnet\.safetensors"
    ) as raised:
        read_tensors(tmp_path / "resnt.safetensors")
    assert "private" not in str(raised.value)
    with pytest.raises(WeightsError) as raised:
        read_tensors(tmp_path / "something_else.pth")
    assert "private" not in str(raised.value)


# Values that are no trained network's.

UNSOUND = {
    "int8": (lambda t: t.to(torch.int8), r"tensor \S+ holds int8, not floating-point numbers.*as float32"),
    "bool": (lambda t: t.bool(), "holds bool"),
    "complex": (lambda t: t.to(torch.complex64), "holds complex64"),
    "zero": (torch.zeros_like, r"its \d+ tensors of weights are 0 throughout.*trained network"),
    "nan": (lambda t: t * torch.nan if t.is_floating_point() else t, "are NaN or infinite.*earlier epoch"),
}


@pytest.mark.parametrize("size", [160, 128])  # of test_vit: at another size its position embeddings are resampled
@pytest.mark.parametrize("kind", UNSOUND)
def test_values_that_no_trained_network_has_are_refused(tmp_path, kind, size):
    change, says = UNSOUND[kind]
    tensors = timm.create_model("test_vit", num_classes=4).state_dict()
    torch.save({name: change(tensor) for name, tensor in tensors.items()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=says):
        load_backbone(_network(model="test_vit", image_size=size), f"file:{tmp_path / 'w.pth'}")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_any_floating_point_numbers_are_taken(source, tmp_path, dtype):
    torch.save({n: t.to(dtype) if t.is_floating_point() else t for n, t in source.items()}, tmp_path / "w.pth")
    assert check_weights(MODEL, f"file:{tmp_path / 'w.pth'}").usable


# What a run left, with `model.json` beside it.


def _left(folder, **about):
    """The weights of a run, and what it says of them."""
    network = build_network(MODEL, 2)
    own = network.facts.preprocessing.model_dump(mode="json")
    said = {"architecture": network.architecture, "model": MODEL, "preprocessing": own, **about}
    save_file(dict(network.module.state_dict()), folder / "weights.safetensors")
    (folder / "model.json").write_text(json.dumps(said))
    return folder / "weights.safetensors"


@pytest.mark.parametrize("source_of", ["run:abc", "file:{}"])
@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"architecture": "test_resnet9", "model": "test_resnet9"}, "is a network test_resnet9.*--model test_resnet9"),
        ({"preprocessing": {"mean": [0, 0, 0], "std": [1, 1, 1]}}, r"normalised by mean \(0, 0, 0\)"),
    ],
)
def test_a_run_of_another_architecture_is_refused_though_every_name_fits(tmp_path, source_of, about, says):
    file = _left(tmp_path, **about)
    source = source_of.format(file)
    with pytest.raises(WeightsError, match=says):
        load_backbone(_network(), source, file, allow_partial=True)
    assert says.split(".*")[0].replace("\\", "") in check_weights(MODEL, source, file).message


def test_a_run_of_the_same_architecture_and_other_descriptions_pass(tmp_path):
    file = _left(tmp_path)
    assert check_weights(MODEL, f"file:{file}").usable
    for text in ("no JSON", "[]", '{"architecture": "other"}'):
        (tmp_path / "model.json").write_text(text)
        assert check_weights(MODEL, f"file:{file}").usable


# Part of a backbone.


@pytest.fixture
def part(source, tmp_path):
    """A file without the last stage, with one tensor of another shape and one that nobody knows."""
    tensors = {n: t for n, t in source.items() if not n.startswith("layer4.")}
    tensors["bn1.weight"] = torch.ones(5)
    tensors["extra.weight"] = torch.ones(5)
    save_file(tensors, tmp_path / "part.safetensors")
    return tmp_path / "part.safetensors"


def test_a_part_is_an_error_that_says_what_matched(part):
    with pytest.raises(WeightsError, match=r"\d+ of \d+ tensors of the backbone match.*allow-partial-weights"):
        load_backbone(_network(), f"file:{part}")


def test_an_allowed_part_is_loaded_and_the_rest_stays_random(part, source):
    network, fresh = _network(), _network()
    report = load_backbone(network, f"file:{part}", allow_partial=True)
    state, before = network.module.state_dict(), fresh.module.state_dict()
    top = [n for n in source if n.startswith("layer4.") and not n.endswith("num_batches_tracked")]
    random = {*top, "bn1.weight", "fc.weight", "fc.bias"}
    for name in state:
        expected = before[name] if name in random else source[name]
        assert torch.equal(state[name], expected) or name.endswith("num_batches_tracked"), name
    found = report.match
    assert (found.missing, found.other_shape, found.unknown) == (len(top), 1, 1)
    assert {"bn1.weight", "extra.weight"} & set(found.examples) or found.missing > 9
    assert "PARTIAL WEIGHTS" in report.notes[0]
    assert check_weights(MODEL, f"file:{part}", allow_partial=True).usable


def test_the_fingerprint_of_a_part_depends_on_what_stayed_random(part):
    """Otherwise features of one seed would be taken for those of another."""
    one, same, other = (load_backbone(_network(s), f"file:{part}", allow_partial=True).fingerprint for s in (1, 1, 2))
    assert one == same != other


def test_nothing_in_common_is_an_error_even_where_a_part_is_allowed(tmp_path):
    save_file({"a.weight": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="0 of"):
        load_backbone(_network(), f"file:{tmp_path / 'other.safetensors'}", allow_partial=True)


def test_a_run_records_what_matched(part, tmp_path):
    bench = Bench(tmp_path, tiny_dataset(tmp_path))
    reporter = Recorder()
    spec = bench.spec("feature_extraction", weights=f"file:{part}", allow_partial_weights=True)
    bench.run(spec, "partial", reporter)
    assert reporter.resolution.weights.missing > 0
    assert "PARTIAL" in reporter.resolution.notes[0]
    whole = Recorder()
    bench.run(bench.spec("feature_extraction"), "whole", whole)
    found = whole.resolution.weights
    assert (found.missing, found.other_shape, found.unknown) == (0, 0, 0)
    assert found.matched > 10
    assert whole.resolution.notes == ()


# Other forms of the network.


def test_a_cut_network_takes_what_it_needs(source, tmp_path):
    save_file(dict(source), tmp_path / "w.safetensors")
    network = _network(changes=NetworkRecipe(cut_at=2))
    report = load_backbone(network, f"file:{tmp_path / 'w.safetensors'}")
    assert report.match.unknown == report.match.missing == 0
    state = network.module.state_dict()
    kept = [n for n in state if n in source]
    assert 0 < len(kept) < len(source)
    assert all(torch.equal(state[n], source[n]) for n in kept)


def test_grayscale_sums_the_first_kernel_as_timm_does(source, tmp_path):
    save_file(dict(source), tmp_path / "w.safetensors")
    network = _network(changes=NetworkRecipe(grayscale=True))
    load_backbone(network, f"file:{tmp_path / 'w.safetensors'}")
    oracle = timm.create_model(MODEL, in_chans=1, pretrained=True, pretrained_cfg_overlay={
        "file": str(tmp_path / "w.safetensors"), "num_classes": 10}, num_classes=10).state_dict()  # fmt: skip
    state = network.module.state_dict()
    assert all(torch.equal(state[n], oracle[n]) for n in oracle if not n.startswith("fc."))


def test_weights_trained_at_another_image_size_are_resampled(tmp_path):
    torch.manual_seed(5)
    small = timm.create_model("test_vit", num_classes=4, img_size=96)
    save_file(dict(small.state_dict()), tmp_path / "small.safetensors")
    network = _network(model="test_vit", image_size=128)
    load_backbone(network, f"file:{tmp_path / 'small.safetensors'}")
    small.set_input_size(img_size=(128, 128))
    torch.testing.assert_close(network.module.pos_embed, small.pos_embed)
    assert check_weights("test_vit", f"file:{tmp_path / 'small.safetensors'}").usable


# Published weights without a network.


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No server answers; both libraries' caches are empty folders. Returns the folder of the hub's cache."""
    for module in (weights, published):
        monkeypatch.setattr(module, "is_reachable", lambda *args: False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    looked = published.try_to_load_from_cache
    monkeypatch.setattr(
        published, "try_to_load_from_cache", lambda *a, **k: looked(*a, cache_dir=tmp_path / "hub", **k)
    )
    return tmp_path / "hub"


def test_nothing_there_names_the_file_the_place_and_the_remedy(offline):
    message = check_weights(MODEL, "imagenet").message
    for part in ("model.safetensors", str(offline), "does not answer", "file:PATH"):
        assert part in message


@pytest.mark.parametrize("left", ["incomplete", "dangling"])
def test_a_half_downloaded_cache_is_told(offline, left):
    place = offline / "models--timm--test_resnet.r160_in1k"
    (place / "blobs").mkdir(parents=True)
    (place / "snapshots/abc").mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs/main").write_text("abc")
    if left == "incomplete":
        (place / "blobs/123.incomplete").write_bytes(b"half")
    else:
        (place / "snapshots/abc/model.safetensors").symlink_to("../../blobs/456")
    check = check_weights(MODEL, "imagenet")
    assert not check.usable
    for part in ("was not finished", place.name, "file:PATH"):
        assert part in check.message
    with pytest.raises(WeightsError, match="was not finished"):
        load_backbone(_network(), "imagenet")


def test_a_truncated_file_in_the_cache_is_named(offline, source):
    place = offline / "models--timm--test_resnet.r160_in1k"
    (place / "snapshots/abc").mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs/main").write_text("abc")
    save_file(dict(source), place / "snapshots/abc/model.safetensors")
    _cut_short(place / "snapshots/abc/model.safetensors")
    message = check_weights(MODEL, "imagenet").message
    assert str(place / "snapshots/abc/model.safetensors") in message
    assert f"delete the folder {place} and ask again: it comes from https://" in message


def test_a_truncated_file_of_torchvision_is_named(offline, tmp_path):
    folder = tmp_path / "torch/checkpoints"
    folder.mkdir(parents=True)
    (folder / "squeezenet1_1-b8a52dc0.pth.abc.partial").write_bytes(b"half")
    assert "was not finished" in check_weights("torchvision:squeezenet1_1", "imagenet").message
    (folder / "squeezenet1_1-b8a52dc0.pth").write_bytes(b"PK\x03\x04" + bytes(100))
    message = check_weights("torchvision:squeezenet1_1", "imagenet").message
    assert str(folder / "squeezenet1_1-b8a52dc0.pth") in message
    assert "damaged" in message


@pytest.mark.parametrize("damaged", [False, True])
def test_a_download_is_held_against_the_hash_in_its_name(tmp_path, source, damaged):
    """torchvision's files are called after the beginning of their SHA-256; a page or a half file is not kept."""
    torch.save(dict(source), tmp_path / "net.pth")
    content = (tmp_path / "net.pth").read_bytes()
    served = tmp_path / "server" / f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    served.parent.mkdir()
    served.write_bytes(content[:-1] if damaged else content)
    wanted = published.PublishedWeights("torchvision:net", "V1", served.as_uri(), None, None, tmp_path / "checkpoints")
    if damaged:
        with pytest.raises(WeightsError, match=r"could not be downloaded.*hash"):
            published.fetch(wanted)
        assert not list((tmp_path / "checkpoints").iterdir())
    else:
        assert published.fetch(wanted).read_bytes() == content


def test_onnx_as_weights_says_to_use_it_as_a_model():
    message = check_weights(MODEL, "onnx:/tmp/net.onnx").message
    assert "--model onnx:/tmp/net.onnx" in message
