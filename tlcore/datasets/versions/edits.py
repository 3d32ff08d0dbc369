"""What people change in a dataset: plain values that make a new version, each with a sentence that says what it did.

Images are named by their path in the version that is edited. Edits are done one after the other.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from tlcore.results import Value

NAMED = 3  # paths that a sentence names; the rest are counted
Part = Literal["train", "val", "test"]
Group = Sequence[str]  # paths of images that belong together, such as copies of one picture


class LeaveOut(Value):
    """These images are not in the new version."""

    kind: Literal["leave_out"] = "leave_out"
    paths: tuple[str, ...]

    @property
    def words(self) -> str:
        return f"Left out {_images(self.paths)}."


class Move(Value):
    """These images belong to another of the parts that the dataset brought."""

    kind: Literal["move"] = "move"
    paths: tuple[str, ...]
    part: Part

    @property
    def words(self) -> str:
        return f"Moved to {self.part}: {_images(self.paths)}."


class Relabel(Value):
    """These images belong to another class, which may be new."""

    kind: Literal["relabel"] = "relabel"
    paths: tuple[str, ...]
    label: str

    @property
    def words(self) -> str:
        return f"Relabelled as {self.label!r}: {_images(self.paths)}."


class RenameClass(Value):
    """A class has another name; where there is a class of that name, the two become one."""

    kind: Literal["rename_class"] = "rename_class"
    old: str
    new: str

    @property
    def words(self) -> str:
        return f"Renamed the class {self.old!r} to {self.new!r}."

    @property
    def merging_words(self) -> str:
        """The sentence for where there was a class of the new name."""
        return f"Merged the class {self.old!r} into {self.new!r}."


Edit = Annotated[LeaveOut | Move | Relabel | RenameClass, Field(discriminator="kind")]
EDITS: TypeAdapter[list[Edit]] = TypeAdapter(list[Edit])  # reads them from plain values, as a job brings them


def keep_one(groups: Iterable[Group]) -> LeaveOut:
    """Of each group only its first image stays."""
    return LeaveOut(paths=tuple(path for group in groups for path in group[1:]))


def leave_out_all(groups: Iterable[Group]) -> LeaveOut:
    """No image of any group stays."""
    return LeaveOut(paths=tuple(path for group in groups for path in group))


def _images(paths: Sequence[str]) -> str:
    """`2 images (a.png, b.png)`, `5 images (a.png, b.png, c.png and 2 more)`."""
    paths = list(dict.fromkeys(paths))
    more = f" and {len(paths) - NAMED:,} more" if len(paths) > NAMED else ""
    named = f" ({', '.join(paths[:NAMED])}{more})" if paths else ""
    return f"{len(paths):,} image{'s' * (len(paths) != 1)}{named}"
