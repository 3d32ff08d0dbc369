"""What runs did to their networks: phases in words, and layer groups with how much of each trained and moved."""

from collections.abc import Sequence
from dataclasses import dataclass

from tlcore.results import ComparisonRecord, FrozenState, LayerGroup, PhaseReport, RunRecord
from tlcore.strategies import CLASSIFIERS, Strategy

HEAD = "head"
NOT_RECORDED = "not recorded by this version"
PARTS = {
    "head": "the new head",
    "all": "every layer",
    "lora": "small adapters (LoRA) in the linear layers, and the head",
}
CLASSIFIER_WORDS = {"knn": "k-NN", "linear_svm": "linear SVM"}
STATISTICS = {"train": "updated", "eval": "kept", None: "none in this network"}
GROUP_HELP = (
    "A layer group is a block of layers as the model's library divides it; groups are numbered from the input. "
    "The head is the new classifier at the end."
)
MOVED_HELP = (
    "Moved: how far a group's weights ended from where they started, in per cent of their size at the start "
    "(length of the change ÷ length of the weights)."
)


@dataclass(frozen=True)
class Subject:
    """A run to be looked into, and the strategy it followed, in its colour among the comparison's."""

    run: RunRecord
    entry: Strategy

    @property
    def phases(self) -> tuple[PhaseReport, ...]:
        return self.run.outcome.phases if self.run.outcome else ()

    @property
    def groups(self) -> tuple[LayerGroup, ...]:
        """Layer groups from input to head."""
        return self.run.outcome.layer_groups if self.run.outcome else ()


def subjects_of(record: ComparisonRecord, runs: Sequence[RunRecord]) -> list[Subject]:
    """These runs, each with its strategy's entry."""
    return [Subject(run, record.spec.entry(run.spec.strategy)) for run in runs]


def recorded(subjects: Sequence[Subject]) -> list[Subject]:
    """Those of which it is known what they did; runs of earlier versions did not record it."""
    return [subject for subject in subjects if subject.phases and subject.groups]


def not_recorded(subjects: Sequence[Subject]) -> str | None:
    """One line that names the runs of which nothing is known, or None where there is none."""
    known = {subject.run.run_id for subject in recorded(subjects)}
    names = dict.fromkeys(s.entry.short_label for s in subjects if s.run.run_id not in known)
    return f"What {', '.join(names)} did to each layer group: {NOT_RECORDED}." if names else None


def phase_rows(subjects: Sequence[Subject]) -> list[dict[str, object]]:
    """One row per run and phase, as people read it."""
    return [_phase_row(subject, phase) for subject in subjects for phase in subject.phases]


def kept_lines(subjects: Sequence[Subject]) -> list[str]:
    """One sentence for each run: which of its networks is kept, and so described; and which phases left nothing."""
    return [f"{subject.entry.short_label}: {said}" for subject in subjects if (said := _kept(subject))]


def kept_phase(subject: Subject) -> int | None:
    """The phase, by its place, that the kept network comes from; None where phases are not recorded."""
    outcome = subject.run.outcome
    if outcome is None or not outcome.phases:
        return None
    return next((p.phase for p in outcome.phases if outcome.best_step <= p.last_step), outcome.phases[-1].phase)


def _kept(subject: Subject) -> str | None:
    """`the network that is kept is that of step 0 (best on validation), phase 1; phase 2 trained, but …`."""
    outcome, kept = subject.run.outcome, kept_phase(subject)
    if outcome is None or kept is None:
        return None
    said = f"the network that is kept is that of step {outcome.best_step:,} (best on validation), phase {kept + 1}"
    later = [phase.phase + 1 for phase in outcome.phases if phase.phase > kept]
    if not later:
        return f"{said}."
    phases, it = (f"phase {later[0]}", "it") if len(later) == 1 else (f"phases {later[0]} to {later[-1]}", "them")
    return f"{said}; {phases} trained, but no later network was better on validation, so nothing of {it} is kept."


def part_words(trainable: str) -> str:
    """What a phase trains, in words: `last:2` is the last 2 layer groups and the head."""
    kind, _, number = trainable.partition(":")
    if kind in CLASSIFIERS:
        return f"{CLASSIFIER_WORDS.get(kind, kind.replace('_', ' '))} on stored features"
    if kind == "last" and number.isdigit():
        groups = "layer group" if number == "1" else f"{number} layer groups"
        return f"the last {groups} and the head"
    return PARTS.get(trainable, f"parameters whose name matches {trainable}")


def numbered(groups: Sequence[str]) -> dict[str, str]:
    """Layer groups by name, as they are shown: `3 blocks.2`, counted from the input; the head has no number."""
    return {name: name if name == HEAD else f"{number} {name}" for number, name in enumerate(groups, 1)}


def group_names(subjects: Sequence[Subject]) -> list[str]:
    """Every layer group of these runs of one model, from input to head; a cut network lacks the last ones."""
    longest = max((subject.groups for subject in subjects), key=len, default=())
    names = dict.fromkeys(group.name for group in longest if group.name != HEAD)
    names |= dict.fromkeys(g.name for subject in subjects for g in subject.groups if g.name != HEAD)
    return [*names, *([HEAD] if longest else [])]


def trained_share(group: LayerGroup, phase: int) -> float | None:
    """The part of a group's parameters that trained in a phase (by place); None where it is not known."""
    if phase >= len(group.num_trainable):
        return None
    return group.num_trainable[phase] / group.num_parameters if group.num_parameters else 0.0


def is_unchanged(group: LayerGroup) -> bool:
    """Whether the run ended with exactly the weights and statistics that it started from."""
    return group.moved == 0 and not group.statistics_moved


def moved_words(share: float) -> str:
    """`12 %`, `0.3 %`, `0.004 %`, `0 %`: two figures that count."""
    value = 100 * share
    if value >= 10:
        return f"{value:,.0f} %"
    if value >= 1:
        return f"{value:.1f} %"
    if value == 0:
        return "0 %"
    return f"{value:.1g} %" if value >= 1e-4 else f"{value:.0e} %"


def amount(number: int) -> str:
    """`840`, `12 k`, `2.2 M`."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if number >= 0.9995 * size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def _phase_row(subject: Subject, phase: PhaseReport) -> dict[str, object]:
    first, last = phase.first_step + 1, phase.last_step
    return {
        "Strategy": subject.entry.short_label,
        "Phase": phase.phase + 1,
        "Steps": "one pass" if last < first else f"{first:,} to {last:,}" if last > first else f"{last:,}",
        "What trains": part_words(phase.trainable),
        "Kept network": _kept_here(subject, phase),
        "Parameters that train": phase.num_trainable,
        "Parameters frozen": phase.num_frozen,
        "Normalisation statistics": STATISTICS[phase.normalization],
        "Frozen part": _proof([f for f in _frozen(subject) if f.phase == phase.phase]),
    }


def _kept_here(subject: Subject, phase: PhaseReport) -> str:
    kept = kept_phase(subject)
    if subject.run.outcome is None or kept is None or phase.phase < kept:
        return "trained on"
    return f"step {subject.run.outcome.best_step:,}" if phase.phase == kept else "nothing of this phase"


def _frozen(subject: Subject) -> tuple[FrozenState, ...]:
    return subject.run.outcome.frozen_states if subject.run.outcome else ()


def _proof(states: Sequence[FrozenState]) -> str:
    if not states:
        return "–"
    tensors = sum(state.num_tensors for state in states)
    said = "unchanged" if all(state.unchanged for state in states) else "CHANGED"
    return f"{said} ({tensors:,} tensor{'' if tensors == 1 else 's'})"
