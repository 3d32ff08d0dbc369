"""What a command line says, as a spec, and back."""

import shlex

import pytest
import typer
from typer.testing import CliRunner

from tests.helpers import make_image_folder
from tests.records import FACTS, example
from tlcore.analysis.caveats import command_of
from tlcore.cli import app as cli
from tlcore.errors import DeviceError, SpecError
from tlcore.service import checks, comparisons, datasets, models, plans
from tlcore.service.datasets import DatasetInfo
from tlcore.spec import ComparisonSpec
from tlcore.strategies import Strategy, Train, export_strategy


@pytest.mark.parametrize(
    ("item", "read"),
    [
        ("fine_tuning.weight_decay=0", ("fine_tuning", "weight_decay", 0)),
        ("staged.2.learning_rate=1e-3", ("staged", "2.learning_rate", 1e-3)),
        ("fine_tuning.layers=2+3", ("fine_tuning", "layers", "2+3")),
        ("partial:last_groups=2.nesterov=true", ("partial:last_groups=2", "nesterov", True)),
        ("lora:layer_decay=0.5.momentum=0", ("lora:layer_decay=0.5", "momentum", 0)),
        ("file:../a.b/my.yaml.1.noise=0.1", ("file:../a.b/my.yaml", "1.noise", 0.1)),
    ],
)
def test_a_setting_names_its_strategy_phase_and_value(item: str, read: tuple[str, str, object]) -> None:
    strategy, key, value = read
    asked = ["lora:layer_decay=0.5", "file:../a.b/my.yaml"]
    assert plans.parse_overrides([item], asked) == {strategy: {key: value}}


@pytest.mark.parametrize("item", ["nonsense", "fine_tuning=3", "fine_tuning.=3", ".key=3", "a.key=", "a.x.key=1=2"])
def test_a_malformed_setting_is_refused_with_the_form(item: str) -> None:
    with pytest.raises(SpecError, match=r"STRATEGY\.KEY=VALUE"):
        plans.parse_overrides([item])


def test_the_command_of_a_comparison_makes_the_same_comparison(tmp_path, home, monkeypatch: pytest.MonkeyPatch) -> None:
    info = datasets.add_dataset(make_image_folder(tmp_path, per_class=10), "insects")
    source = tmp_path / "mine.yaml"
    source.write_text("name: mine\nphases: [{train: head, share: .5}, {train: all, share: .5}]")
    strategies = [f"file:{source}", f"file:{source}:momentum=0.5", "partial:last_groups=2", "from_scratch"]
    spec = plans.make_spec(
        info, models=["a b", "m2"], weights=["imagenet"], strategies=strategies, epochs=2, batch_size="auto", tune=3,
        device="cpu", scratch_model="small", allow_partial_weights=True, seeds=(0, 1),
        overrides={f"file:{source}": {"2.learning_rate": 1e-4}, "partial:last_groups=2": {"layer_decay": 0.5}},
    )  # fmt: skip
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (elsewhere / "mine.yaml").write_text(export_strategy(spec.own_strategies[0]))
    words = shlex.split(command_of(spec, plans.summarise(info, {})))
    assert words[:3] == ["python", "-m", "tlcore"]
    made: list[ComparisonSpec] = []

    def stop(found: ComparisonSpec) -> None:
        made.append(found)
        raise typer.Exit(0)

    monkeypatch.setattr(plans, "make_plan", stop)
    done = CliRunner().invoke(cli.app, words[3:])
    assert done.exit_code == 0, done.output
    assert made == [spec]


@pytest.fixture
def info(tmp_path, home, monkeypatch: pytest.MonkeyPatch) -> DatasetInfo:
    """Twenty images, on a machine where every model and weight is at hand."""
    monkeypatch.setattr(models, "model_facts", lambda model: FACTS)
    monkeypatch.setattr(models, "preflight", lambda *given: ("cpu", "made up"))
    monkeypatch.setattr(models, "require_recipe", lambda *given: None)
    monkeypatch.setattr(models, "require_weights", lambda *given: None)
    return datasets.add_dataset(make_image_folder(tmp_path, per_class=10), "insects")


def test_a_budget_with_fewer_steps_than_a_strategy_has_phases_is_refused_before_the_launch(
    info: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases = FACTS.num_groups + 1
    asked = {"models": ["m"], "strategies": ["gradual_unfreezing", "fine_tuning"], "device": "cpu"}
    told = f"gradual_unfreezing trains in {phases} phases .* {phases - 1} steps is too little: raise .* {phases} steps"
    few = plans.make_spec(info, steps=phases - 1, **asked)
    with pytest.raises(SpecError, match=told):
        plans.make_plan(few)
    plan, problems = checks.check(few)
    assert plan is None and len(problems) == 1 and "leave the strategy out" in problems[0]
    assert plans.make_plan(plans.make_spec(info, steps=phases, **asked)).runs
    with pytest.raises(SpecError, match="a budget of 1 epoch comes to 1 in batches of 32"):
        plans.make_plan(plans.make_spec(info, epochs=1, **asked))

    def no_device(*given: object) -> None:
        raise DeviceError("there is none")

    monkeypatch.setattr(models, "check_device", no_device)
    monkeypatch.setattr(models, "preflight", no_device)
    assert [problem.split()[0] for problem in checks.check(few)[1]] == ["there", "gradual_unfreezing"]


@pytest.mark.parametrize(("letters", "told"), [(3_100, "own strategy .* 6,000 at most"), (8_000, "8,000 at most")])
def test_an_own_strategy_that_mlflow_cannot_hold_is_refused_before_anything_is_made(
    info: DatasetInfo, letters: int, told: str
) -> None:
    phases = (Train("x" * letters, 0.5, "head"), Train("y" * letters, 0.5, "head"))
    own = Strategy("mine", "Mine", "Mine", "", "pretrained", phases, "#123456")
    spec = plans.make_spec(info, models=["m"], strategies=["fine_tuning"], steps=10)
    spec = ComparisonSpec(**{**spec.model_dump(), "own_strategies": (own,), "strategies": ("mine",)})
    with pytest.raises(SpecError, match=told):
        plans.make_plan(spec)


def test_settings_under_an_alias_and_the_name_come_together(info: DatasetInfo) -> None:
    given = {"frozen": {"noise": 0.1}, "transfer_learning": {"warmup": 0.2}}
    spec = plans.make_spec(info, models=["m"], strategies=["frozen"], steps=10, overrides=given)
    assert spec.overrides == {"transfer_learning": {"noise": 0.1, "warmup": 0.2}}
    given["transfer_learning"]["noise"] = 0.3
    with pytest.raises(SpecError, match=r"noise is given twice, as 0\.1 and 0\.3"):
        plans.make_spec(info, models=["m"], strategies=["frozen"], steps=10, overrides=given)


@pytest.mark.parametrize("source", ["file:/x/w.pth", "a1_in1k", "run:abc"])
def test_weights_that_no_run_starts_from_are_refused(info: DatasetInfo, source: str) -> None:
    asked = {"models": ["m", "n"], "steps": 10, "device": "cpu", "weights": [f"m={source}"]}
    with pytest.raises(
        SpecError,
        match=r"nothing in this comparison uses the weights '.*' of m: From scratch starts .*leave --weights out",
    ):
        plans.make_plan(plans.make_spec(info, strategies=["from_scratch"], **asked))


@pytest.mark.parametrize("weights", [[], ["imagenet"], ["none"]])
def test_the_usual_weights_beside_a_random_start_are_no_mistake(info: DatasetInfo, weights: list[str]) -> None:
    asked = {"models": ["m"], "strategies": ["from_scratch"], "steps": 10, "device": "cpu", "weights": weights}
    assert plans.make_plan(plans.make_spec(info, **asked)).runs


def test_the_command_line_tells_what_runs_noted_once(home, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that `auto` measured nothing on a CPU."""
    said = "batch size auto: 32, as only a GPU is measured"
    found = example(strategies=("fine_tuning", "transfer_learning"))
    noted = [run.resolved.model_copy(update={"notes": (said,)}) for run in found.record.runs if run.resolved]
    runs = [run.model_copy(update={"resolved": r}) for run, r in zip(found.record.runs, noted, strict=True)]
    monkeypatch.setattr(comparisons, "record", lambda given: found.record.model_copy(update={"runs": tuple(runs)}))
    monkeypatch.setattr(comparisons, "all_predictions", lambda record: found.predictions)
    done = CliRunner().invoke(cli.app, ["report", "c"])
    assert done.exit_code == 0, done.output
    assert done.output.count(said) == 1
