"""Edits as values: told apart, written down, and said in a sentence."""

import pytest
from pydantic import TypeAdapter, ValidationError

from tlcore.datasets.versions import Edit, LeaveOut, Move, Relabel, RenameClass

EDIT = TypeAdapter(Edit)


def test_edits_are_told_apart_by_their_kind():
    edits = [LeaveOut(paths=("a",)), Move(paths=("a",), part="val"), Relabel(paths=("a",), label="b"),
             RenameClass(old="a", new="b")]  # fmt: skip
    for edit in edits:
        assert EDIT.validate_json(edit.model_dump_json()) == edit
    with pytest.raises(ValidationError):
        EDIT.validate_python({"kind": "burn", "paths": ["a"]})
    with pytest.raises(ValidationError):
        EDIT.validate_python({"kind": "move", "paths": ["a"], "part": "tset"})


def test_sentences_name_three_images_and_count_the_rest():
    assert LeaveOut(paths=("a", "a")).words == "Left out 1 image (a)."
    assert LeaveOut(paths=tuple("abc")).words == "Left out 3 images (a, b, c)."
    many = tuple(f"{i}.png" for i in range(1_003))
    assert Move(paths=many, part="val").words == "Moved to val: 1,003 images (0.png, 1.png, 2.png and 1,000 more)."
