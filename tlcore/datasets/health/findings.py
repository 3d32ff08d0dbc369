"""What a health report says: plain values."""

from typing import Literal

from tlcore.datasets.versions.edits import Edit
from tlcore.results import Value

Severity = Literal["error", "warning", "note"]
Group = tuple[str, ...]  # paths of images that belong together, such as copies of one picture


class Suggestion(Value):
    """Something that could be done about a finding. edits: what makes a new version of the dataset without it."""

    label: str
    edits: tuple[Edit, ...]


class Finding(Value):
    """Something that a person should know of the dataset.

    severity: `error` makes results wrong, `warning` may, `note` is good to know. words: why it matters. groups: the
    images that it is about, those that belong together in one group; empty where it is about none. files: names of
    what is not in the dataset, with the reason. suggestions: applied by choice, never by themselves.
    """

    kind: str
    severity: Severity
    title: str
    words: str
    groups: tuple[Group, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    suggestions: tuple[Suggestion, ...] = ()

    @property
    def num_images(self) -> int:
        return sum(len(group) for group in self.groups)


class Health(Value):
    """A dataset's health. findings: the worst first. modes, formats: images by pixel mode and by file format.

    sizes: images by (width, height) in pixels.
    """

    findings: tuple[Finding, ...]
    modes: dict[str, int]
    formats: dict[str, int]
    sizes: tuple[tuple[int, int, int], ...]

    def of(self, kind: str) -> Finding | None:
        """The finding of a kind, where there is one."""
        return next((finding for finding in self.findings if finding.kind == kind), None)
