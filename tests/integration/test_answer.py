"""Questions in, JSON out; errors a person can act on are answers too."""

import json

import pytest

from tlcore.recipes import DataFacts, resolve
from tlcore.strategies import Strategy, Train, entry_of
from tlcore.training import answer as module
from tlcore.training.answer import answer
from tlcore.training.networks.models import model_facts

PATTERN = Strategy("x", "X: y", "X", "", "pretrained", (Train("no_such_layer", 1.0, "fine_tuning"),), "#000000")


def test_model_facts():
    found = answer({"question": "model_facts", "model": "test_resnet"})
    assert found["ok"]
    assert found["answer"] == model_facts("test_resnet").model_dump(mode="json")
    json.dumps(found)


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        ({"question": "model_facts", "model": "no_such"}, "ModelError"),
        ({"question": "model_facts"}, "SpecError"),
        ({"question": "nonsense"}, "SpecError"),
        ({}, "SpecError"),
        ({"question": "speed", "model": "test_resnet", "device": "cuda:99"}, "DeviceError"),
        ({"question": "predict", "models": {}, "images": []}, "SpecError"),
    ],
)
def test_errors_have_a_kind(request_, kind):
    found = answer(request_)
    assert (found["ok"], found["kind"]) == (False, kind)
    assert found["error"]


def test_check_weights_says_what_is_missing(tmp_path):
    found = answer({"question": "check_weights", "model": "test_resnet", "source": f"file:{tmp_path / 'x.pth'}"})
    assert found["ok"]
    assert not found["answer"]["usable"]
    assert "x.pth does not exist" in found["answer"]["message"]


@pytest.mark.parametrize(
    ("strategy", "overrides", "problem"),
    [
        ("fine_tuning", {"layers": "2+3", "hidden_units": 4}, None),
        (PATTERN, {}, "matches no parameter"),
        ("fine_tuning", {"grayscale": True}, None),
    ],
)
def test_a_recipe_that_cannot_be_carried_out_is_found_without_a_run(strategy, overrides, problem):
    entry = entry_of(strategy) if isinstance(strategy, str) else strategy
    recipe = resolve(entry, DataFacts(100, 200), model_facts("test_resnet"), overrides=overrides)
    found = answer({"question": "check_recipe", "model": "test_resnet", "recipe": recipe.model_dump(mode="json")})
    assert found["ok"] == (problem is None)
    assert problem is None or problem in found["error"]


def test_devices():
    found = answer({"question": "devices"})["answer"]
    assert found["devices"][0]["id"] == "cpu"
    assert found["auto"] in {d["id"] for d in found["devices"]}
    assert "automatically" in found["auto_reason"]


def test_several_questions_in_one():
    parts = [{"question": "pick_device", "device": "cpu"}, {"question": "model_facts", "model": "no_such"}]
    replies = answer({"question": "several", "requests": parts})["answer"]
    assert replies == [answer(part) for part in parts]
    assert (replies[0]["answer"]["id"], replies[1]["kind"]) == ("cpu", "ModelError")


def test_speed_is_measured(monkeypatch):
    monkeypatch.setattr("tlcore.training.catalogue.speed._SECONDS", 0.01)
    request = {"question": "speed", "model": "test_resnet", "image_size": 32, "batch_size": 2, "device": "cpu"}
    found = answer(request)["answer"]
    assert found["forward"] > 0
    assert found["step"] > 0
    assert (found["image_size"], found["batch_size"], found["device"]) == (32, 2, "cpu")


def test_main_reads_stdin(monkeypatch, capsys):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO('{"question": "model_facts", "model": "no_such"}'))
    assert module.main() == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "ModelError"
    for bad in ("no json", "[1]"):
        monkeypatch.setattr("sys.stdin", io.StringIO(bad))
        assert module.main() == 2
        assert "request" in capsys.readouterr().err
