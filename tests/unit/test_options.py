"""Options of `compare` that the other commands that train take too, and what they hand on."""

import pytest
import typer
from typer.testing import CliRunner

from tlcore.cli import app, lr_finder, sources
from tlcore.service import lr_finder as finding
from tlcore.service import sources as backbones

COMMON = ["--dataset", ".", "--model", "m", "--strategy", "fine_tuning", "--batch-size", "auto",
          "--allow-partial-weights", "--set", "fine_tuning.weight_decay=0"]  # fmt: skip
HANDED = {"batch_size": "auto", "allow_partial_weights": True, "overrides": {"fine_tuning": {"weight_decay": 0}}}


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What a command hands on before it ends."""
    found: dict[str, object] = {}

    def stop(*_: object, **given: object) -> None:
        found.update(given)
        raise typer.Exit(0)

    for module in (sources, lr_finder):
        monkeypatch.setattr(module, "add_with_progress", lambda dataset: dataset)
    monkeypatch.setattr(backbones, "plan_source", stop)
    monkeypatch.setattr(finding, "submit", stop)
    return found


@pytest.mark.parametrize(
    ("command", "more", "also"), [("train-source", ["--tune", "3"], {"tune": 3}), ("lr-find", [], {})]
)
def test_what_trains_takes_the_options_of_compare(
    handed: dict[str, object], command: str, more: list[str], also: dict[str, object]
) -> None:
    done = CliRunner().invoke(app.app, [command, *COMMON, *more])
    assert done.exit_code == 0, done.output
    assert {key: handed[key] for key in (*HANDED, *also)} == {**HANDED, **also}
