"""What a command line says, as a spec, and back."""

import shlex

import pytest
import typer
from typer.testing import CliRunner

from tests.helpers import make_image_folder
from tlcore.analysis.caveats import command_of
from tlcore.cli import app as cli
from tlcore.errors import SpecError
from tlcore.service import datasets, plans
from tlcore.spec import ComparisonSpec
from tlcore.strategies import export_strategy


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
