"""The catalogue: what it says of models, held against the libraries; what is here now; choosing and measuring."""

import json
import re
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import timm
import torchvision
from torchvision.models import get_model_weights
from typer.testing import CliRunner

from tlcore import jobs
from tlcore.cli import app as cli
from tlcore.errors import NotFoundError, SpecError
from tlcore.service import catalogue as choosing
from tlcore.service import model_words
from tlcore.service import models as service
from tlcore.service.whole_files import write_whole
from tlcore.training.catalogue import listing as tables
from tlcore.training.catalogue import table
from tlcore.training.catalogue.table import Row, measure, read_table, write_table
from tlcore.training.networks.models import model_facts
from tlcore.training.networks.names import known_models

NOWHERE = {"hub": "/nowhere/hub", "torch": "/nowhere/torch"}


@pytest.fixture(scope="module")
def raw():
    return tables.catalogue()


@pytest.fixture(scope="module")
def entries(raw):
    return choosing.complete(raw, NOWHERE)


def test_it_has_every_model_once_the_short_list_first(raw, entries):
    assert [row["model"] for row in raw[: len(tables.SHORT_LIST)]] == list(tables.SHORT_LIST)
    assert [entry.model for entry in entries[: len(tables.SHORT_LIST)]] == list(tables.SHORT_LIST)
    names = [row["model"] for row in raw]
    assert sorted(names) == sorted(known_models())
    assert set(names) == read_table().keys()
    json.dumps(raw)


def test_the_short_list_agrees_with_the_facts(entries):
    for entry in entries[: len(tables.SHORT_LIST)]:
        facts = model_facts(entry.model)
        assert entry.num_parameters == facts.num_parameters
        assert entry.input_size == facts.preprocessing.size
        assert entry.weight_tags == facts.weight_tags


def test_work_agrees_with_what_torchvision_publishes(entries):
    """Within 1 %, and what torchvision rounds: it counts in the same way."""
    checked = 0
    for entry in entries:
        if entry.library == "torchvision" and entry.gmacs and entry.weights:
            meta = get_model_weights(entry.model.removeprefix("torchvision:"))[entry.default.tag].meta
            if meta["_ops"] and "quantized" not in entry.model:
                assert entry.gmacs == pytest.approx(meta["_ops"], rel=0.01, abs=0.002), entry.model
                checked += 1
    assert checked > 60


def test_accuracy_licence_and_file_size_come_from_the_libraries(entries):
    ours = choosing.find(entries, "torchvision:resnet50")
    meta = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.meta
    assert ours.accuracy == pytest.approx(meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100)
    assert ours.file_mb == meta["_file_size"]
    assert ours.default.plain
    timms = choosing.find(entries, "resnet50")
    assert timms.default.license == timm.get_pretrained_cfg("resnet50").license == "apache-2.0"
    assert timms.accuracy is None
    assert timms.file_mb == pytest.approx(102.2, abs=0.1)


def test_models_that_cannot_be_used_say_why_and_come_last(entries):
    twins = choosing.find(entries, "crossvit_15_240")
    assert "classifier" in twins.problem
    assert not twins.usable_now
    first = next(i for i, entry in enumerate(entries) if entry.problem)
    assert all(entry.problem for entry in entries[first:])


def test_files_are_looked_for_anew(raw, tmp_path):
    """A download makes a model usable at once; half a download does not."""
    caches = {"hub": str(tmp_path / "hub"), "torch": str(tmp_path / "torch")}
    snapshot = tmp_path / "hub/models--timm--test_resnet.r160_in1k/snapshots/abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "torch").mkdir()

    def here():
        return {e.model for e in choosing.complete(raw, caches) if e.usable_now}

    assert here() == set()
    (snapshot / "model.safetensors").symlink_to(tmp_path / "gone")
    (tmp_path / "torch/squeezenet1_1-b8a52dc0.pth.1234.partial").touch()
    assert here() == set()
    (tmp_path / "gone").touch()
    (tmp_path / "torch/squeezenet1_1-b8a52dc0.pth").touch()
    assert here() == {"test_resnet", "torchvision:squeezenet1_1"}


def test_the_kept_catalogue_does_not_freeze_what_is_here(monkeypatch, raw, settings, tmp_path):
    caches = {"hub": str(tmp_path / "hub"), "torch": str(tmp_path)}
    answers = {"catalogue": raw, "caches": caches}
    asked = []

    def ask_several(settings, requests):
        asked.extend(request["question"] for request in requests)
        return [answers[request["question"]] for request in requests]

    monkeypatch.setattr(jobs, "ask_several", ask_several)
    assert not any(entry.usable_now for entry in service.catalogue())
    (tmp_path / "resnet18-f37072fd.pth").touch()
    assert {entry.model for entry in service.catalogue() if entry.usable_now} == {"torchvision:resnet18"}
    assert sorted(asked) == ["caches", "catalogue"]  # once each, then kept


def test_choosing(entries):
    small = choosing.select(entries, "mobilenet", library="timm", max_parameters=4, sort="gmacs")
    assert small
    assert all(e.library == "timm" and e.num_parameters <= 4e6 and "mobilenet" in e.model for e in small)
    work = [e.gmacs for e in small if e.gmacs is not None]
    assert work == sorted(work)
    best = choosing.select(entries, sort="accuracy")
    assert best[0].accuracy == max(e.accuracy for e in entries if e.accuracy is not None)
    assert best[-1].accuracy is None
    assert {e.model for e in choosing.select(entries, "n:resnet1*")} == {
        f"torchvision:resnet{n}" for n in (18, 101, 152)
    }
    assert choosing.select(entries, usable=True) == []
    for wrong in ({"sort": "beauty"}, {"library": "keras"}):
        with pytest.raises(SpecError, match=next(iter(wrong.values()))):
            choosing.select(entries, **wrong)
    with pytest.raises(NotFoundError, match="no model 'resnet19'"):
        choosing.find(entries, "resnet19")


def _speed(model, forward):
    return choosing.Speed(model=model, device="cpu", dtype="float32", image_size=64, num_threads=1,
                          measured_on="2026-11-20 20:00", forward=forward, step=forward)  # fmt: skip


def test_the_fastest_come_first_where_it_was_measured(entries):
    measured = {"resnet50": 13.0, "torchvision:resnet18": 53.0, "torchvision:resnet50": 12.0}
    speeds = {name: _speed(name, {1: 99.0, 32: rate}) for name, rate in measured.items()}
    found = [entry.model for entry in choosing.select(entries, "resnet", sort="speed", speeds=speeds)]
    assert found[:3] == ["torchvision:resnet18", "resnet50", "torchvision:resnet50"]
    rates = {point.model: point.images_per_second for point in choosing.points(entries, speeds)}
    assert rates["torchvision:resnet18"] == 53.0
    assert rates["torchvision:resnet101"] is None


def test_several_models_are_measured_and_shown(monkeypatch, entries, settings):
    measured = []

    def measure_speed(model, device):
        measured.append(model)
        return _speed(model, {1: 1.0, 32: float(len(measured))})

    monkeypatch.setattr(service, "catalogue", lambda: entries)
    monkeypatch.setattr(service, "measure_speed", measure_speed)
    monkeypatch.setattr(service, "speeds", lambda: {n: _speed(n, {1: 1.0, 32: i}) for i, n in enumerate(measured)})
    asked = ["--speed", "resnet18", "--speed", "mobilenetv2_100", "--sort", "speed"]
    done = CliRunner().invoke(cli.app, ["models", *asked])
    assert measured == ["resnet18", "mobilenetv2_100"]
    assert re.findall(r"^(resnet\w+|mobilenet\w+) +(?:here|download)", done.stdout, re.M) == measured[::-1]


def test_a_name_with_a_tag_finds_the_model(entries):
    assert [e.model for e in choosing.select(entries, "mobilenetv2_100.ra_in1k")] == ["mobilenetv2_100"]
    assert choosing.find(entries, "mobilenetv2_100.ra_in1k").model == "mobilenetv2_100"
    assert "resnet50" in {e.model for e in choosing.select(entries, "resnet50.a1*")}


def test_plain_recipes_are_told_only_where_they_are_known(entries):
    """A tag that nobody describes is unknown, not another recipe."""
    flags = {tag.tag: tag.plain for tag in choosing.find(entries, "resnet50").weights}
    assert (flags["tv_in1k"], flags["a1_in1k"], flags["ra_in1k"]) == (True, False, None)
    assert choosing.as_row(choosing.find(entries, "mobilenetv2_100"))["plain_recipe"] is None
    words = [model_words.plain_in_words(choosing.find(entries, name)) for name in ("mobilenetv2_100", "resnet50")]
    assert words == ["unknown", "no"]


def test_the_balanced_choice_has_weights_of_a_plain_recipe(entries):
    """As the advice for frozen features asks."""
    balanced = next(advice for advice in choosing.BEGINNERS if advice.word == "balanced")
    assert choosing.find(entries, balanced.model).default.plain


def test_reasons_are_in_words(entries):
    internals = re.compile(r"object has no|ModuleList|Error|Traceback|'\w+Encoder'")
    assert not [entry.problem for entry in entries if internals.search(entry.problem)]
    encoder = next(name for name, row in read_table().items() if "encoder without" in row.problem)
    assert measure(encoder) == read_table()[encoder]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["no_such_network"], "'no_such_network'.*shorter part"), (["--usable"], "weights on this machine.*file:PATH")],
)
def test_an_empty_list_says_why(monkeypatch, entries, settings, arguments, told):
    monkeypatch.setattr(service, "catalogue", lambda: entries)
    done = CliRunner().invoke(cli.app, ["models", *arguments])
    assert done.exit_code == 0
    assert re.search(told, done.output, re.DOTALL)
    assert "images/s" not in done.output


def test_weights_in_the_home_count_as_here_and_it_is_told_how_to_give_them(monkeypatch, entries, settings):
    monkeypatch.setattr(service, "catalogue", lambda: entries)
    settings.weights.mkdir(parents=True)
    file = settings.weights / "resnet18.timm.safetensors"
    file.write_bytes(b"weights")
    unusable = next(entry.model for entry in entries if entry.problem)
    (settings.weights / f"{unusable.removeprefix('torchvision:')}.safetensors").write_bytes(b"of no use")
    points = choosing.points([choosing.find(entries, "torchvision:resnet18")], {}, [file])
    assert [point.usable for point in points] == [True], "in the figure, too"
    shown = CliRunner().invoke(cli.app, ["models", "--usable"]).output
    assert re.search(r"^ *resnet18 +file ", shown, re.MULTILINE)
    assert f"--weights file:{file}" in "".join(shown.split("\n")).replace("  ", " ")
    told = json.loads(CliRunner().invoke(cli.app, ["models", "--usable", "--json", "-"]).stdout)
    assert {row["model"]: row["weight_files"] for row in told} == {
        "resnet18": [str(file)], "torchvision:resnet18": [str(file)],
    }  # fmt: skip


def test_the_table_tells_tags_and_recipes(monkeypatch, entries, settings):
    monkeypatch.setattr(service, "catalogue", lambda: entries)
    shown = CliRunner().invoke(cli.app, ["models", "torchvision:resnet50"]).output
    assert re.search(r"torchvision:resnet50 +download +IMAGENET1K_V1 \+ 1 more +yes", shown)


def test_advice_names_models_of_the_catalogue(entries):
    sizes = [choosing.find(entries, advice.model).num_parameters for advice in choosing.BEGINNERS]
    assert [advice.word for advice in choosing.BEGINNERS] == ["small", "balanced", "accurate"]
    assert sizes == sorted(sizes)
    assert sizes[0] == pytest.approx(3.5e6, rel=0.01)


def test_speed_is_kept(settings):
    answer = {"device": "cpu", "dtype": "float32", "image_size": 224, "num_threads": 2}
    answers = [{**answer, "batch_size": n, "forward": 10.0 * n, "step": 3.0 * n} for n in (1, 32)]
    choosing.keep_speed(settings, "resnet18", answers)
    choosing.keep_speed(settings, "resnet50", answers)
    known = choosing.known_speeds(settings)
    assert known.keys() == {"resnet18", "resnet50"}
    assert known["resnet18"].forward == {1: 10.0, 32: 320.0}


def test_no_speed_is_lost_where_several_measure_at_once(settings):
    answer = {"device": "cpu", "dtype": "float32", "image_size": 224, "num_threads": 2}
    names = [f"model{i}" for i in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda name: choosing.keep_speed(
                    settings, name, [{**answer, "batch_size": 1, "forward": 1.0, "step": 1.0}]
                ),
                names,
            )
        )
    assert choosing.known_speeds(settings).keys() == set(names)
    assert sorted(p.name for p in settings.cache.iterdir()) == ["speeds.json", "speeds.lock"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file.yaml"
    write_whole(path, "zwölf")
    assert path.read_text(encoding="utf-8") == "zwölf"
    beside = []

    def fail(self, target):
        beside.append(self.name)
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    for _ in range(2):
        with pytest.raises(OSError, match="disk full"):
            write_whole(path, "half")
    assert beside[0] != beside[1], "two who write at once must not share a file"
    assert path.read_text(encoding="utf-8") == "zwölf"
    assert [p.name for p in path.parent.iterdir()] == ["file.yaml"]


def test_making_the_table_explains_itself(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["table", "--help"])
    with pytest.raises(SystemExit) as ended:
        table.main()
    assert ended.value.code == 0
    assert "write the table" in capsys.readouterr().out


def test_the_shipped_table_names_the_module_that_makes_it():
    said = table.TABLE.read_text(encoding="utf-8").splitlines()[0].split()
    assert said[said.index("-m") + 1] == table.__name__


def test_the_table_survives_its_file(tmp_path):
    rows = [Row("a", 3, 0.5, 224, ""), Row("b", None, None, None, "no, it has two, side by side")]
    write_table(tmp_path / "t.csv", rows)
    assert list(read_table(tmp_path / "t.csv").values()) == rows
    assert "timm" in (tmp_path / "t.csv").read_text().splitlines()[0]


@pytest.mark.parametrize(
    "name", ["test_resnet", "torchvision:maxvit_t", "torchvision:squeezenet1_1", "crossvit_15_240"]
)
def test_the_table_can_be_made_again(name):
    assert measure(name) == read_table()[name]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_model_of_the_catalogue_builds_with_the_parameters_it_says():
    """Each listed model once, without memory, on all cores; those listed as unusable are refused with that reason."""
    table = read_table()
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        built = list(pool.map(_built, table, chunksize=16))
    wrong = {
        name: (found, table[name]) for name, found in zip(table, built, strict=True) if found != _said(table[name])
    }
    assert not wrong


def _said(row):
    return (row.num_parameters, row.input_size) if not row.problem else row.problem


def _built(model):
    from tlcore.errors import ModelError

    try:
        facts = model_facts(model)
    except ModelError as error:
        return str(error).splitlines()[0].rpartition(" cannot be built: ")[2]
    return facts.num_parameters, facts.preprocessing.size
