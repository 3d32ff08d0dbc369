"""The scripts behind the demo's numbers: pretraining and measuring."""

import safetensors.torch
import timm

from tlcore.demo import measure, pretrain
from tlcore.demo.cells import CELLS, MODEL, WEIGHTS_PATH
from tlcore.strategies import CORE


def test_pretraining_writes_a_backbone_of_the_shipped_kind(tmp_path, monkeypatch):
    for name, value in {"STEPS": 2, "BATCH": 8, "PER_CLASS": 1, "VAL_PER_CLASS": 1}.items():
        monkeypatch.setattr(pretrain, name, value)
    pretrain.main(tmp_path / "backbone.safetensors")
    written = safetensors.torch.load_file(tmp_path / "backbone.safetensors")
    timm.create_model(MODEL, num_classes=0).load_state_dict(written, strict=True)
    shipped = safetensors.torch.load_file(WEIGHTS_PATH)
    assert {n: (t.shape, t.dtype) for n, t in written.items()} == {n: (t.shape, t.dtype) for n, t in shipped.items()}


def test_pictures_kept_back_are_not_those_trained_on():
    trained, _ = pretrain.pictures(1, first=0)
    kept_back, labels = pretrain.pictures(1, first=1)
    assert trained.shape == kept_back.shape
    assert (trained != kept_back).flatten(1).any(dim=1).all()
    assert labels.tolist() == list(range(len(trained)))


def test_the_floor_is_measured_on_the_test_part(tmp_path):
    """Swatches of two dyes: pixels alone are better than chance (0.1) and far from perfect."""
    dataset = measure.make_dataset(CELLS["different-small"], tmp_path)
    split = measure.splits.make_split(dataset, 0)
    assert 0.12 < measure.raw_pixel_accuracy(dataset, split) < 0.5


def test_the_table_gives_mean_and_spread_and_marks_the_best_strategy():
    scores = {name: [0.2, 0.4] for name in CORE} | {"fine_tuning": [0.5, 0.7], measure.RAW: [0.9, 0.9]}
    row = measure.table({"similar-small": scores}).splitlines()[-1]
    assert row.startswith("| similar-small | 2 |")
    assert row.count("**") == 2
    assert "**0.600 ± 0.141**" in row
    assert row.endswith("| 0.900 ± 0.000 |")
