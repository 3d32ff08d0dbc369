"""Questions in, JSON out; errors a person can act on are answers too."""

import json
from dataclasses import dataclass, field

import pytest

from tlcore.errors import RunCancelledError
from tlcore.recipes import DataFacts, asked_of, resolve
from tlcore.strategies import Strategy, Train, entry_of
from tlcore.training import answer as module
from tlcore.training.answer import answer
from tlcore.training.networks.models import model_facts


def _own(*patterns, **settings):
    """A strategy of a phase for each pattern. settings: of the last one."""
    phases = tuple(Train(pattern, 1 / len(patterns), "fine_tuning") for pattern in patterns[:-1])
    phases = (*phases, Train(patterns[-1], 1 / len(patterns), "fine_tuning", settings))
    return Strategy("x", "X: y", "X", "", "pretrained", phases, "#000000")


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
        (_own("no_such_layer"), {}, "matches no parameter"),
        (_own("ayer4*"), {}, "no phase trains fc.weight of test_resnet, so its new head would stay random"),
        (_own("ayer4*"), {}, "'ayer4*' trains 36 of 47 "),
        (_own("ayer4*"), {}, "parameters, in the layer groups layer1, layer2, layer3, layer4."),
        (_own("layer3", "fc.bias"), {}, "no phase trains fc.weight"),
        (_own("layer4"), {"hidden_units": 4}, "would stay random"),
        (_own("layer4|fc"), {}, None),
        (_own("layer4|fc"), {"hidden_units": 4}, None),
        (_own("layer3", "head"), {}, None),
        ("fine_tuning", {"grayscale": True}, None),
        (_own("^fc"), {"backbone_learning_rate": 0.1}, "x: backbone_learning_rate would do nothing, as only the head"),
        (_own("^fc"), {"layer_decay": 0.5}, "no layer group below the last one trains"),
        (_own("^fc", normalization="train"), {}, "1.normalization would do nothing, as no whole BatchNorm trains"),
        (_own("fc|layer4"), {"layer_decay": 0.5}, "no layer group below the last one trains"),
        (_own("fc|layer4"), {"backbone_learning_rate": 0.1, "normalization": "train"}, None),
        (_own("fc|layer1"), {"layer_decay": 0.5}, None),
        (_own("fc|layer4.*conv"), {"normalization": "train"}, "no whole BatchNorm trains"),
        (
            _own("head", "^layer4", learning_rate=0.1),
            {},
            "2.learning_rate would do nothing, as the head does",
        ),
        (_own("head", "^layer4"), {"learning_rate": 0.1, "backbone_learning_rate": 0.1}, None),
        (_own("head", "all"), {"cut_at": 2, "layer_decay": 0.5}, None),
    ],
)
def test_a_recipe_that_cannot_be_carried_out_is_found_without_a_run(strategy, overrides, problem):
    entry = entry_of(strategy) if isinstance(strategy, str) else strategy
    recipe = resolve(entry, DataFacts(100, 200), model_facts("test_resnet"), overrides=overrides)
    request = {"question": "check_recipe", "model": "test_resnet", "recipe": recipe.model_dump(mode="json")}
    found = answer({**request, "asked": asked_of(entry, recipe, overrides)})
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


@dataclass
class _Impatient:
    """Asks for the end after one part. Implements `answer.Listener`."""

    heard: list[float] = field(default_factory=list)

    def progress(self, done: float, message: str) -> None:
        self.heard.append(done)

    def should_stop(self) -> bool:
        return bool(self.heard)


def test_several_questions_end_between_two_of_them(monkeypatch):
    asked = []
    monkeypatch.setitem(module._QUESTIONS, "pick_device", lambda request: asked.append(request["device"]))
    parts = [{"question": "pick_device", "device": name} for name in ("first", "second")]
    with pytest.raises(RunCancelledError):
        answer({"question": "several", "requests": parts}, _Impatient())
    assert asked == ["first"]


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
