"""The Models and Backbones pages: search, table, figure, measuring, and training a backbone."""

import json

import pytest

from tests.pages import fakes
from tests.pages.conftest import Open, is_fine, shown
from tlcore.errors import DeviceError
from tlcore.service import background, models, sources
from tlcore.service.catalogue import CatalogueEntry, PublishedTag, Speed
from tlcore.service.datasets import DatasetInfo
from tlcore.service.sources import SourceRun
from tlcore.settings import get_settings

ENTRIES = [
    CatalogueEntry(model="resnet18", library="timm", weight_tags=("a1_in1k",), num_parameters=11_689_512, gmacs=1.814,
                   input_size=224, weights=(PublishedTag(tag="a1_in1k", license="apache-2.0"),), note="small and fast"),
    CatalogueEntry(model="torchvision:resnet18", library="torchvision", num_parameters=11_689_512, gmacs=1.814,
                   input_size=224, usable_now=True,
                   weights=(PublishedTag(tag="V1", accuracy=0.6976, file_mb=44.7, plain=True, local=True),)),
    CatalogueEntry(model="crossvit_9_240", library="timm", problem="it has two classifiers"),
]  # fmt: skip
SPEED = Speed(model="resnet18", device="cpu", dtype="float32", image_size=224, num_threads=2,
              measured_on="2026-11-20 20:00", forward={1: 11.0, 32: 45.0}, step={1: 4.0, 32: 13.0})  # fmt: skip
BACKBONE = SourceRun(run_id="c" * 32, name="moths · From scratch · test 80.0 %", model="resnet18",
                     strategy="from_scratch", dataset_name="moths", test_accuracy=0.8)  # fmt: skip


@pytest.fixture
def known(empty: fakes.Store, monkeypatch: pytest.MonkeyPatch) -> dict[str, Speed]:
    """A catalogue of three models, and the speeds that were measured."""
    measured: dict[str, Speed] = {}
    monkeypatch.setattr(models, "catalogue", lambda: list(ENTRIES))
    monkeypatch.setattr(models, "speeds", lambda: dict(measured))
    monkeypatch.setattr(models, "source_runs", lambda: [])
    return measured


def test_the_table_says_what_is_known_with_units(open_page: Open, known: dict[str, Speed]) -> None:
    known["resnet18"] = SPEED
    app = open_page("models")
    assert is_fine(app)
    rows = app.dataframe[0].value.set_index("Model")
    assert rows.loc["torchvision:resnet18", "ImageNet top-1 (%)"] == 69.8
    assert rows.loc["torchvision:resnet18", "File (MB)"] == 44.7
    assert rows.loc["resnet18", "Parameters (millions)"] == 11.69
    assert rows.loc["resnet18", "Work (GMACs per image)"] == 1.814
    assert rows.loc["resnet18", "Images/s, batch 32"] == 45.0
    assert rows.loc["crossvit_9_240", "Remark"] == "cannot be used: it has two classifiers"
    for line in ("Small: mobilenetv2_100", "Balanced: torchvision:resnet50", "Accurate: convnext_tiny"):
        assert line in shown(app).replace("**", "").replace("`", "")


def test_what_is_measured_stands_before_remarks_and_can_be_sorted(open_page: Open, known: dict[str, Speed]) -> None:
    known["torchvision:resnet18"] = SPEED.model_copy(update={"model": "torchvision:resnet18"})
    app = open_page("models")
    columns = list(app.dataframe[0].value)
    assert max(columns.index(f"Images/s, batch {n}") for n in (1, 32)) < columns.index("Remark")
    app.selectbox(key="model_order").set_value("fastest here, where measured").run()
    assert is_fine(app)
    assert app.dataframe[0].value["Model"].iloc[0] == "torchvision:resnet18"
    titles = [json.loads(figure.proto.spec)["layout"]["title"]["text"] for figure in app.get("plotly_chart")]
    assert any("against speed here" in title for title in titles)


def test_search_and_filters_narrow_it(open_page: Open, known: dict[str, Speed]) -> None:
    app = open_page("models")
    app.text_input(key="model_text").set_value("resnet").run()
    assert list(app.dataframe[0].value["Model"]) == ["resnet18", "torchvision:resnet18"]
    app.checkbox(key="model_usable").set_value(True).run()
    assert list(app.dataframe[0].value["Model"]) == ["torchvision:resnet18"]
    app.selectbox(key="model_library").set_value("timm").run()
    assert is_fine(app)
    assert "0 models" in shown(app)
    get_settings().weights.mkdir(parents=True)
    (get_settings().weights / "resnet18.timm.safetensors").write_bytes(b"weights")
    app.run()
    assert list(app.dataframe[0].value["Usable now"]) == [True], "as Launch has it, from the home's own weights"


def test_measuring_never_blocks_the_page(
    open_page: Open, known: dict[str, Speed], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(models, "submit_speed", lambda model: asked.append(model) or "job1")
    monkeypatch.setattr(models, "finished_speed", lambda job, model: known.get(model))
    app = open_page("models")
    app.button(key="measure_speed").click().run()
    assert is_fine(app)
    assert asked == ["resnet18"]
    assert "Measuring resnet18" in shown(app)
    known["resnet18"] = SPEED
    app.run()
    assert is_fine(app)
    assert "Measuring" not in shown(app)
    assert app.dataframe[0].value.set_index("Model").loc["resnet18", "Images/s, batch 1"] == 11.0


def test_a_choice_made_on_compare_presses_no_button_here(
    open_page: Open, known: dict[str, Speed], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(models, "submit_speed", lambda model: asked.append(model) or pytest.fail("measured"))
    app = open_page("compare", comparison="recorded-demo")
    for name in ("home", "models"):
        app.query_params.clear()  # a link within the app has none
        app.switch_page(f"pages/{name}.py").run()
    assert is_fine(app)
    assert not asked


def test_a_failed_measurement_is_told_once(
    open_page: Open, known: dict[str, Speed], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(job: str, model: str) -> None:
        raise DeviceError("too little memory: ask for a smaller batch")

    monkeypatch.setattr(models, "submit_speed", lambda model: "job1")
    monkeypatch.setattr(models, "finished_speed", fail)
    app = open_page("models")
    app.button(key="measure_speed").click().run()
    assert is_fine(app)
    assert "too little memory" in shown(app)
    app.run()
    assert "too little memory" not in shown(app)


def test_backbones_are_listed_with_the_weights_to_use(
    open_page: Open, known: dict[str, Speed], insects: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "source_runs", lambda: [BACKBONE])
    app = open_page("sources")
    assert is_fine(app)
    assert app.dataframe[0].value.to_dict("records")[0]["Weights to use"] == BACKBONE.weights


def test_a_backbone_is_launched(
    open_page: Open,
    known: dict[str, Speed],
    woken: list[str],
    insects: DatasetInfo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submitted = []
    monkeypatch.setattr(sources, "submit", lambda plan: submitted.append(plan) or fakes.RUNNING)
    app = open_page("sources")
    background.await_all()
    assert woken == ["auto"]
    assert is_fine(app)
    assert "none yet" in shown(app)
    assert "crossvit_9_240" not in app.selectbox(key="source_model").options
    app.number_input(key="source_epochs").set_value(7)
    app.button(key="source_launch").click().run()
    (plan,) = submitted
    assert plan.spec.title.startswith("Backbone from ")
    assert (plan.spec.models, plan.spec.strategies) == (("resnet18",), ("from_scratch",))
    assert plan.spec.budget.epochs == 7
