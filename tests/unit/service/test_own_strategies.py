"""Own strategies in the home, and what a comparison makes of their names."""

from pathlib import Path

import pytest

from tlcore.errors import NotFoundError, StrategyError, UnknownStrategyError
from tlcore.service import strategies
from tlcore.strategies import STRATEGIES, Train, parse_strategy

MINE = "# kept as written\nname: mine\nphases: [{train: head}]\n"
OTHER = "name: mine\nphases: [{train: all}]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a: b.yaml"
    path.write_text(MINE, encoding="utf-8-sig")
    return path


def test_a_saved_strategy_is_listed_found_exported_and_removed(home: Path) -> None:
    made = strategies.save(MINE, "my.yaml")
    assert [found.strategy for found in strategies.saved()] == [made]
    assert strategies.find("MINE") == made
    assert strategies.export("mine") == MINE
    strategies.remove("mine")
    assert strategies.saved() == []
    with pytest.raises(NotFoundError, match="the saved ones are: none"):
        strategies.remove("mine")
    with pytest.raises(UnknownStrategyError, match="unknown strategy 'mine'"):
        strategies.find("mine")


def test_another_strategy_of_the_name_is_replaced_only_on_demand(home: Path) -> None:
    strategies.save(MINE, "my.yaml")
    strategies.save(MINE + "# again\n", "my.yaml")
    with pytest.raises(StrategyError, match="another strategy named mine is saved already"):
        strategies.save(OTHER, "my.yaml")
    assert strategies.save(OTHER, "my.yaml", replace=True).phases == (Train("all", 1.0, "fine_tuning"),)
    assert len(strategies.saved()) == 1


def test_a_spoilt_file_is_told_of_and_cannot_be_named(home: Path) -> None:
    (home / "strategies").mkdir(parents=True)
    (home / "strategies" / "mine.yaml").write_text("name: yours\nphases: [{train: head}]")
    (home / "strategies" / "odd.yaml").write_bytes(b"\xff\xfe\x00")
    assert [(found.name, found.strategy) for found in strategies.saved()] == [("mine", None), ("odd", None)]
    with pytest.raises(StrategyError, match=r"mine cannot be used: mine\.yaml holds a strategy named yours"):
        strategies.resolve_names(["mine"])
    assert strategies.resolve_names(["fine_tuning"]) == (("fine_tuning",), ())
    strategies.remove("mine")


def test_names_cannot_lead_out_of_the_folder(home: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.yaml").write_text(MINE)
    with pytest.raises(NotFoundError):
        strategies.remove("../../precious")
    assert (tmp_path / "precious.yaml").exists()


def test_files_saved_names_and_aliases_become_canonical_references(home: Path, file: Path) -> None:
    strategies.save(OTHER.replace("mine", "saved_one"), "my.yaml")
    names = [f"file:{file}", "saved-one:momentum=0.5", "ulmfit", f"file:{file}:weight_decay=0,momentum=0.5"]
    references, own = strategies.resolve_names(names)
    assert references == ("mine", "saved_one:momentum=0.5", "gradual_unfreezing", "mine:momentum=0.5,weight_decay=0")
    assert {entry.id for entry in own} == {"mine", "saved_one"}
    keys = strategies.resolve_keys({f"file:{file}": {"2.momentum": 0}, "ulmfit": {}}, own)
    assert set(keys) == {"mine", "gradual_unfreezing"}


def test_two_strategies_of_one_name_cannot_be_told_apart(home: Path, file: Path) -> None:
    strategies.save(OTHER, "my.yaml")
    with pytest.raises(StrategyError, match="two different strategies are named mine"):
        strategies.resolve_names([f"file:{file}", "mine"])


@pytest.mark.parametrize(
    ("name", "told"),
    [("file:/no/such.yaml", "/no/such.yaml: No such file"), ("file:", "names no file"), ("file:/", "directory")],
)
def test_a_file_that_is_not_there_is_named(home: Path, name: str, told: str) -> None:
    with pytest.raises(StrategyError, match=told):
        strategies.resolve_names([name])


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * (strategies.MAX_BYTES + 1))
    with pytest.raises(StrategyError, match=r"big\.yaml is larger than 64 KB"):
        strategies.read_file(path)


def test_every_built_in_strategy_is_exported_as_a_start_for_an_own_one(home: Path) -> None:
    for name, entry in STRATEGIES.items():
        assert parse_strategy(strategies.export(name), "copy.yaml").phases == entry.phases
