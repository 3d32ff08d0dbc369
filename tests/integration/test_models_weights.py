"""Pretrained weights: the whole backbone or a clear error, and never the old head."""

import pickle
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from tlcore.errors import WeightsError
from tlcore.training.networks.models import build_network, outline
from tlcore.training.weights import loading as weights
from tlcore.training.weights import published
from tlcore.training.weights.files import read_tensors
from tlcore.training.weights.loading import check_weights, fingerprint_of, load_backbone
from tlcore.training.weights.matching import backbone_shapes, match_tensors

MODEL = "test_resnet"


@pytest.fixture(scope="module")
def source():
    """A network of ten classes that plays the pretrained one; its statistics are not the fresh ones."""
    torch.manual_seed(42)
    network = build_network(MODEL, 10)
    for name, tensor in network.module.state_dict().items():
        if "running" in name:
            tensor.add_(0.25)
        if "num_batches" in name:
            tensor.add_(7)
    return network


@pytest.fixture
def tensors(source):
    return {name: tensor.clone() for name, tensor in source.module.state_dict().items()}


@pytest.fixture
def file(tensors, tmp_path):
    save_file(tensors, tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def _fresh(classes=10):
    torch.manual_seed(0)
    return build_network(MODEL, classes)


@pytest.mark.parametrize("classes", [3, 10])
def test_the_backbone_comes_and_the_head_stays(file, tensors, classes):
    """Also where the file's head would fit."""
    network = _fresh(classes)
    head = network.head.weight.clone(), network.head.bias.clone()
    report = load_backbone(network, f"file:{file}")
    state = network.module.state_dict()
    backbone = [n for n in tensors if not n.startswith("fc.")]
    assert len(backbone) == len(tensors) - 2 == report.num_tensors
    assert all(torch.equal(state[n], tensors[n]) for n in backbone)
    assert torch.equal(network.head.weight, head[0])
    assert torch.equal(network.head.bias, head[1])


@pytest.mark.parametrize("form", ["plain", "state_dict", "model", "parallel", "half_wrapped"])
def test_forms_of_files_give_the_same_network(file, tensors, tmp_path, form):
    parallel = {f"module.{name}": tensor for name, tensor in tensors.items()}
    content = {
        "plain": tensors,
        "state_dict": {"state_dict": tensors, "epoch": 3},
        "model": {"model": tensors, "optimizer": {}},
        "parallel": parallel,
        "half_wrapped": {"state_dict": parallel, "best": torch.tensor(1.0)},
    }[form]
    torch.save(content, tmp_path / "weights.pth")
    expected = load_backbone(_fresh(), f"file:{file}").fingerprint
    assert load_backbone(_fresh(), f"file:{tmp_path / 'weights.pth'}").fingerprint == expected
    assert load_backbone(_fresh(), "run:abc", file).fingerprint == expected
    assert check_weights(MODEL, f"file:{tmp_path / 'weights.pth'}").fingerprint == expected


def test_files_without_batch_counters_load(tensors, tmp_path):
    """torchvision's older files have none."""
    old = {n: t for n, t in tensors.items() if not n.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    assert load_backbone(_fresh(), f"file:{tmp_path / 'old.pth'}").fingerprint == fingerprint_of(
        {n: t for n, t in tensors.items() if not n.startswith("fc.")}
    )


def test_fingerprint_sees_the_backbone_only(source, tensors, tmp_path):
    def of(changed):
        save_file({**tensors, **changed}, tmp_path / "changed.safetensors")
        return load_backbone(_fresh(), f"file:{tmp_path / 'changed.safetensors'}").fingerprint

    same = of({})
    assert of({"fc.weight": torch.zeros(99, 7)}) == same
    assert of({"conv1.0.weight": tensors["conv1.0.weight"].nextafter(torch.tensor(9.0))}) != same
    assert of({"bn1.running_mean": tensors["bn1.running_mean"] + 1}) != same


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.pop("bn1.weight"), "1 are missing (such as bn1.weight)"),
        (lambda t: t.update({"bn1.weight": torch.ones(5)}), "such as bn1.weight: [5] instead of"),
        (lambda t: t.update({"layer9.weight": torch.ones(5)}), "1 are unknown to it (such as layer9.weight)"),
    ],
)
def test_what_does_not_fit_is_told(tensors, tmp_path, change, says):
    change(tensors)
    save_file(tensors, tmp_path / "bad.safetensors")
    network = _fresh()
    before = {n: t.clone() for n, t in network.module.state_dict().items()}
    with pytest.raises(WeightsError) as error:
        load_backbone(network, f"file:{tmp_path / 'bad.safetensors'}")
    assert says in str(error.value)
    assert f"of {len([n for n in before if 'fc.' not in n and 'num_batches' not in n])} tensors" in str(error.value)
    assert all(torch.equal(t, before[n]) for n, t in network.module.state_dict().items())
    assert not check_weights(MODEL, f"file:{tmp_path / 'bad.safetensors'}").usable


def test_a_deeper_network_of_the_same_kind_does_not_pass():
    """Every tensor of ResNet-18 is in ResNet-34 with the same shape."""
    shallow, deep = outline("resnet18"), outline("resnet34")
    offered = {n: t for n, t in deep.module.state_dict().items() if not n.startswith("fc.")}
    match = match_tensors(backbone_shapes(shallow), offered)
    assert not match.complete
    assert "unknown to it" in match.in_words()
    assert "missing" not in match.in_words()


def test_another_architecture_is_named(tmp_path):
    tensors = timm.create_model("mobilenetv2_100").state_dict()
    save_file(tensors, tmp_path / "other.safetensors")
    check = check_weights(MODEL, f"file:{tmp_path / 'other.safetensors'}")
    assert not check.usable
    assert "it looks like mobilenetv2_100" in check.message


def test_unreadable_files(tmp_path):
    missing = tmp_path / "missing.pth"
    with pytest.raises(WeightsError, match="does not exist"):
        read_tensors(missing)
    for name in ("broken.safetensors", "broken.pth"):
        (tmp_path / name).write_bytes(b"nothing of the kind" * 10)
        with pytest.raises(WeightsError, match="cannot be read as weights"):
            read_tensors(tmp_path / name)
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match="no tensors"):
        read_tensors(tmp_path / "empty.pth")


class _Evil:
    def __reduce__(self):
        return Path.touch, (Path("evil_was_here"),)


def test_code_in_a_pickle_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": _Evil()}, tmp_path / "evil.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(_Evil(), protocol=2))
    for name in ("evil.pth", "raw.pth"):
        with pytest.raises(WeightsError, match="cannot be read"):
            read_tensors(tmp_path / name)
    assert not (tmp_path / "evil_was_here").exists()


def test_none_leaves_the_network_random():
    network = _fresh()
    before = {n: t.clone() for n, t in network.module.state_dict().items()}
    assert load_backbone(network, "none").fingerprint is None
    assert all(torch.equal(t, before[n]) for n, t in network.module.state_dict().items())
    assert check_weights(MODEL, "none").usable


def test_a_run_without_its_file_is_an_error():
    with pytest.raises(WeightsError, match="run abc"):
        load_backbone(_fresh(), "run:abc")


@pytest.mark.parametrize("model", [MODEL, "torchvision:squeezenet1_1"])
def test_published_weights_absent_and_no_network(monkeypatch, tmp_path, model):
    monkeypatch.setattr(published, "try_to_load_from_cache", lambda *args, **more: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(weights, "is_reachable", lambda *args: False)
    monkeypatch.setattr(published, "is_reachable", lambda *args: False)
    with pytest.raises(WeightsError, match=r"are not in .*file:PATH"):
        load_backbone(build_network(model, 2), "imagenet")
    check = check_weights(model, "imagenet")
    assert (check.usable, check.needs_download) == (False, False)
    monkeypatch.setattr(weights, "is_reachable", lambda *args: True)
    check = check_weights(model, "imagenet")
    assert (check.usable, check.needs_download) == (False, True)


def test_published_weights_of_timm_from_its_cache(monkeypatch, tmp_path):
    torch.manual_seed(1)
    tensors = timm.create_model(MODEL).state_dict()
    save_file(tensors, tmp_path / "model.safetensors")
    monkeypatch.setattr(published, "try_to_load_from_cache", lambda *args, **more: str(tmp_path / "model.safetensors"))
    network = _fresh(3)
    report = load_backbone(network, "imagenet")
    assert torch.equal(network.module.conv1[0].weight, tensors["conv1.0.weight"])
    assert report.fingerprint == load_backbone(_fresh(), f"file:{tmp_path / 'model.safetensors'}").fingerprint


def test_published_weights_of_torchvision_from_its_cache(monkeypatch, tmp_path):
    import torchvision

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    tensors = torchvision.models.squeezenet1_1(weights=None).state_dict()
    url = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url
    (tmp_path / "checkpoints").mkdir()
    torch.save(tensors, tmp_path / "checkpoints" / url.rpartition("/")[2])
    network = build_network("torchvision:squeezenet1_1", 2)
    load_backbone(network, "IMAGENET1K_V1")
    assert torch.equal(network.module.features[0].weight, tensors["features.0.weight"])


def test_unknown_tags_and_tags_with_other_preprocessing():
    assert "its tags are" in check_weights(MODEL, "no_such_tag").message
    other = check_weights("vit_small_patch16_224", "dino")  # normalised by ImageNet's mean, the default by 0.5
    assert not other.usable
    assert "vit_small_patch16_224.dino" in other.message


def test_position_embeddings_are_resampled_to_another_image_size(tmp_path):
    torch.manual_seed(2)
    original = build_network("test_vit", 5)
    save_file(original.module.state_dict(), tmp_path / "vit.safetensors")
    network = build_network("test_vit", 3, 96)
    report = load_backbone(network, f"file:{tmp_path / 'vit.safetensors'}")
    original.module.set_input_size(img_size=(96, 96))
    torch.testing.assert_close(network.module.pos_embed, original.module.pos_embed)
    assert report.fingerprint == check_weights("test_vit", f"file:{tmp_path / 'vit.safetensors'}").fingerprint
