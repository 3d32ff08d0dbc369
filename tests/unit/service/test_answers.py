"""Answers kept on disk: given again only by what gave them."""

import importlib.metadata

import pytest

from tlcore import jobs
from tlcore.service import models
from tlcore.settings import Settings


@pytest.fixture
def asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was asked for real, and of what together; the answer to `a` is `a1` when it was asked first."""
    found: list[list[str]] = []

    def ask_several(settings: Settings, requests: list[dict[str, str]]) -> list[str]:
        names = [request["question"] for request in requests]
        found.extend([names] if names else [])
        return [f"{name}{len(found)}" for name in names]

    monkeypatch.setattr(jobs, "ask_several", ask_several)
    return found


def test_the_same_question_is_asked_once(asked: list[list[str]]) -> None:
    assert [models.ask_once({"question": q}) for q in ("a", "b", "a")] == [["a1"], ["b2"], ["a1"]]
    assert asked == [["a"], ["b"]]


def test_questions_that_were_not_asked_before_are_asked_together(asked: list[list[str]]) -> None:
    models.ask_once({"question": "b"})
    assert models.ask_once(*({"question": q} for q in "abc")) == ["a2", "b1", "c2"]
    assert models.ask_once(*({"question": q} for q in "cba")) == ["c2", "b1", "a2"]
    assert asked == [["b"], ["a", "c"]]


@pytest.mark.parametrize(("module", "name"), [(jobs, "code_version"), (importlib.metadata, "version")])
def test_an_answer_of_other_code_or_libraries_is_asked_again(
    asked: list[list[str]], monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    models.ask_once({"question": "a"})
    monkeypatch.setattr(module, name, lambda *_: "another")
    assert models.ask_once({"question": "a"}) == ["a2"]
