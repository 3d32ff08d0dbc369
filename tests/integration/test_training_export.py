"""The model folder, taken elsewhere: its script in a process that cannot see this package."""

import json
import runpy
import shutil
import subprocess
import sys
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.helpers import odd_pictures
from tests.training_support import Bench, tiny_dataset
from tlcore.datasets.pictures.decoding import open_rgb
from tlcore.errors import ImageError, NotFoundError
from tlcore.spec import Budget
from tlcore.tracking.pyfunc import MODEL_CODE, save_pyfunc
from tlcore.training.outcome.predict import predict

CASES = {
    "frozen head": ("transfer_learning", "test_resnet", {}),
    "transformer": ("feature_extraction", "test_vit", {}),
    "svm": ("feature_extraction", "test_resnet", {"classifier": "linear_svm"}),
    "knn": ("feature_extraction", "test_resnet", {"classifier": "knn"}),
    "torchvision": ("transfer_learning", "torchvision:squeezenet1_1", {}),
}
# Networks that differ from the library's own bring the code of their changes along.
CHANGED = {
    "cut": ("transfer_learning", "test_resnet", {"cut_at": 3}),
    "layers": ("feature_extraction", "test_efficientnet", {"layers": "4+2+6"}),
    "hidden": ("fine_tuning", "test_vit", {"hidden_units": 6, "head_dropout": 0.3}),
    "grayscale": ("transfer_learning", "test_resnet", {"grayscale": True, "layers": "last_conv"}),
    "cut knn": ("feature_extraction", "test_vit", {"classifier": "knn", "cut_at": 4}),
    "cut torchvision": ("staged_fine_tuning", "torchvision:squeezenet1_1", {"cut_at": 4}),
}
CASES |= CHANGED | {"lora": ("lora", "test_vit", {})}
# Runs each script as `python -I predict.py PHOTO...` would, in one process, as importing torch takes seconds.
ELSEWHERE = """
import json, runpy, sys
scripts, photos = map(json.loads, sys.argv[1:])
for script in scripts:
    sys.argv = [script, *photos]
    runpy.run_path(script, run_name="__main__")
assert not any(name.split(".")[0] == "tlcore" for name in sys.modules)
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return Bench(folder, tiny_dataset(folder, classes=2, per_class=8, size=(70, 50)), budget=Budget(steps=2))


@pytest.fixture(scope="module")
def photos(bench, tmp_path_factory):
    plain = [bench.dataset.root / path for path in bench.dataset.images["path"].iloc[::5]]
    return plain + odd_pictures(tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="module")
def homes(bench, tmp_path_factory):
    """The model folder of each case, copied to another place."""
    found = {}
    for name, (strategy, model, overrides) in CASES.items():
        bench.model = model
        size = 64 if model.startswith("torchvision") else None
        bench.run(bench.spec(strategy, overrides=overrides, image_size=size), name)
        found[name] = tmp_path_factory.mktemp("taken home") / name
        shutil.copytree(bench.work(name) / "model", found[name])
    return found


@pytest.fixture(scope="module")
def printed(homes, photos):
    """What each script prints for the photos."""
    arguments = [json.dumps([str(home / "predict.py") for home in homes.values()]), json.dumps(list(map(str, photos)))]
    ended = subprocess.run(
        [sys.executable, "-I", "-c", ELSEWHERE, *arguments], cwd="/", capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(lines) == len(homes) * len(photos)
    return {name: lines[i * len(photos) : (i + 1) * len(photos)] for i, name in enumerate(homes)}


@pytest.mark.parametrize("case", CASES)
def test_the_script_says_what_this_package_says(bench, photos, homes, printed, case):
    answers, classes = predict({"r": homes[case]}, photos)["r"], list(bench.dataset.info.classes)
    assert [line["predicted"] for line in printed[case]] == [answer["predicted"] for answer in answers]
    for line, answer in zip(printed[case], answers, strict=True):
        assert line["path"] == answer["path"]
        assert ("probabilities" in line) == (answer["probabilities"] is not None) == (case != "svm")
        if case != "svm":
            assert list(line["probabilities"]) == list(answer["probabilities"]) == classes
            found, expected = (list(p["probabilities"].values()) for p in (line, answer))
            np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("case", [*CHANGED, "lora", "frozen head"])
def test_the_logged_model_says_so_too(photos, homes, printed, case, tmp_path):
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(str(save_pyfunc(homes[case], tmp_path / "pyfunc")))
    table = model.predict([str(photo) for photo in photos])
    assert list(table["predicted"]) == [line["predicted"] for line in printed[case]]
    found = table.drop(columns="predicted").to_numpy()
    np.testing.assert_allclose(found, [list(line["probabilities"].values()) for line in printed[case]], atol=1e-5)


@pytest.mark.parametrize("case", [*CHANGED, "lora"])
def test_it_says_what_the_run_recorded(bench, homes, case):
    """The predictions that the run stored, in the device's own number format."""
    table = pd.read_parquet(bench.work(case) / "artifacts" / "predictions.parquet")
    answers = predict({"r": homes[case]}, [bench.dataset.root / path for path in table["path"]])["r"]
    found = [list(answer["probabilities"].values()) for answer in answers]
    np.testing.assert_allclose(found, table[["prob_0", "prob_1"]], atol=0.02)


@pytest.mark.parametrize("case", CASES)
def test_only_changed_networks_bring_code_along(homes, case):
    assert (homes[case] / "network.py").exists() == (case in CHANGED)


@pytest.fixture(scope="module")
def readers(homes):
    """`open_rgb` of the script, and of the code beside a model in MLflow."""
    script = homes["frozen head"] / "predict.py"
    with patch.object(sys, "argv", [str(script)]):
        return [runpy.run_path(str(path))["open_rgb"] for path in (script, MODEL_CODE)]


def check_pixels(readers, paths):
    for path in paths:
        for reader in readers:
            np.testing.assert_array_equal(np.asarray(reader(path)), np.asarray(open_rgb(path)), err_msg=path.name)


def test_they_see_the_pixels_that_training_saw(readers, photos):
    check_pixels(readers, photos)


@pytest.mark.parametrize(
    "values", [np.arange(65536).reshape(256, 256) * 32768, np.array([[0.1, 0.7]]), np.array([[-3.0, 900.0]])]
)
def test_they_see_deep_greyscale_as_training_saw_it(readers, tmp_path, values):
    Image.fromarray(values.astype("int32" if values.dtype.kind == "i" else "float32")).save(tmp_path / "deep.tif")
    check_pixels(readers, [tmp_path / "deep.tif"])


def test_every_sixteen_bit_value_looks_as_in_training(readers, tmp_path):
    Image.fromarray(np.arange(65536, dtype=np.uint16).reshape(256, 256)).save(tmp_path / "all.png")
    check_pixels(readers, [tmp_path / "all.png"])


@pytest.mark.real
def test_they_see_real_odd_files_as_training_saw_them(readers, real_data):
    check_pixels(readers, sorted((real_data / "odd_images" / "readable").iterdir()))


@pytest.mark.parametrize("case", CASES)
def test_the_folder_tells_people_what_they_need(bench, homes, case):
    about = json.loads((homes[case] / "model.json").read_text())
    assert json.loads((homes[case] / "preprocessing.json").read_text()) == about["preprocessing"]
    assert about["preprocessing"]["size"] == about["image_size"]
    assert (homes[case] / "labels.txt").read_text().splitlines() == list(bench.dataset.info.classes)
    assert (homes[case] / "knn.safetensors").exists() == case.endswith("knn")
    assert len((homes[case] / "predict.py").read_text().splitlines()) <= (26 if case.endswith("knn") else 23) + (
        case in CHANGED
    )


def test_a_photo_that_cannot_be_read_is_named(homes, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        predict({"r": homes["frozen head"]}, [broken])


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match=r"model\.json"):
        predict({"r": tmp_path}, [])
