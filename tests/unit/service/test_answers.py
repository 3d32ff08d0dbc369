"""Answers kept on disk: given again only by what gave them."""

import importlib.metadata

import pytest

from tlcore import jobs
from tlcore.service import models
from tlcore.settings import Settings


@pytest.fixture
def asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What was asked for real; each answer says how many there were before."""
    found: list[dict[str, str]] = []
    monkeypatch.setattr(models, "ask", lambda request, timeout=0: found.append(request) or len(found))
    return found


def test_the_same_question_is_asked_once(asked: list[dict[str, str]]) -> None:
    assert [models.ask_once({"question": q}) for q in ("a", "b", "a")] == [1, 2, 1]


@pytest.mark.parametrize(("module", "name"), [(jobs, "code_version"), (importlib.metadata, "version")])
def test_an_answer_of_other_code_or_libraries_is_asked_again(
    asked: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    models.ask_once({"question": "a"})
    monkeypatch.setattr(module, name, lambda *_: "another")
    assert models.ask_once({"question": "a"}) == 2
