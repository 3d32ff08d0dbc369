"""What the README says of strategies is true: its example works, its settings exist, its commands can be read."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tlcore.cli.app import app
from tlcore.recipes import FitRecipe, NetworkRecipe, TrainRecipe
from tlcore.service import plans, strategies
from tlcore.strategies import canonical

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.partition("#")[0]
    for _, block in re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("python -m tlcore")
]


def test_the_example_of_an_own_strategy_works() -> None:
    (text,) = [block for kind, block in re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL) if kind == "yaml"]
    found = strategies.check_text(text, "README.md")
    assert [phase.trainable for phase in found.phases] == ["head", "last:2"]


def test_the_table_of_settings_holds_every_setting_and_no_other() -> None:
    table = README[README.index("| settings | for |") : README.index("### A strategy of your own")]
    first = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = {name for cell in first for name in re.findall(r"`(\w+)`", cell)}
    fields = {name for kind in (TrainRecipe, FitRecipe, NetworkRecipe) for name in kind.model_fields}
    assert told == fields - {"trainable", "share"} | {"last_groups"}


def test_strategies_and_settings_in_commands_can_be_read() -> None:
    for command in COMMANDS:
        words = shlex.split(command)
        named = [value for option, value in pairwise(words) if option == "--strategy"]
        set_ = [value for option, value in pairwise(words) if option == "--set"]
        assert all(canonical(name) for name in named if not name.startswith("file:"))
        assert set(plans.parse_overrides(set_)) <= {canonical(name).partition(":")[0] for name in named}


def test_the_commands_on_own_strategies_work(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = [shlex.split(command)[3:] for command in COMMANDS if "tlcore strategies" in command]
    assert {words[1] if len(words) > 1 else "" for words in mine} >= {"", "export", "save", "show", "remove"}
    for words in mine:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (words, done.output, done.exception)
    assert strategies.saved() == []
