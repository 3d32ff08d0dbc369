"""Likely label errors: against the definition written down by hand, and on labels that were made wrong on purpose."""

import math
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records import example
from tlcore.analysis.label_errors import PARTS, Judge, judges, label_errors
from tlcore.errors import ComparisonError
from tlcore.results import ComparisonRecord, DatasetSummary

CLASSES = ("ants", "bees", "flies")


def summary(num_images: int) -> DatasetSummary:
    return DatasetSummary(id="insects-1", name="insects", fingerprint="f", num_images=num_images, num_classes=3,
                          classes=CLASSES, splits={})  # fmt: skip


def frame(rows: list[tuple[str, str, int, list[float]]]) -> pd.DataFrame:
    """Predictions of one run: (split, path, label, probabilities)."""
    table = pd.DataFrame({name: [row[i] for row in rows] for i, name in enumerate(("split", "path", "label"))})
    table["predicted"] = [int(np.argmax(row[3])) for row in rows]
    for k in range(len(CLASSES)):
        table[f"prob_{k}"] = np.array([row[3][k] for row in rows], dtype=np.float32)
    return table


def by_hand(frames: list[tuple[tuple[str, ...], pd.DataFrame]]) -> list[tuple[object, ...]]:
    """The definition with loops and dictionaries: (path, given, suggested, margin, runs, agreeing), the worst first."""
    told: dict[str, list[tuple[dict[int, float], dict[int, float]]]] = defaultdict(list)
    labels: dict[str, int] = {}
    for parts, table in frames:
        rows = [row for row in table.to_dict("records") if row["split"] in parts]
        if any(math.isnan(row["prob_0"]) for row in rows):
            continue
        own: dict[int, list[float]] = defaultdict(list)
        for row in rows:
            own[row["label"]].append(row[f"prob_{row['label']}"])
        thresholds = {k: sum(values) / len(values) for k, values in own.items()}
        for row in rows:
            told[row["path"]].append(({k: row[f"prob_{k}"] for k in range(3)}, thresholds))
            labels[row["path"]] = row["label"]
    found = []
    for path, views in told.items():
        mean = {k: sum(p[k] for p, _ in views) / len(views) for k in range(3)}
        best = max(mean, key=lambda k: mean[k])
        reach = [thresholds[best] for _, thresholds in views if best in thresholds]
        mine = labels[path]
        if mean[best] > mean[mine] and reach and mean[best] >= sum(reach) / len(reach) - 1e-9:
            agreeing = sum(max(p, key=lambda k: p[k]) == best for p, _ in views)
            found.append((path, CLASSES[mine], CLASSES[best], mean[mine] - mean[best], len(views), agreeing))
    return sorted(found, key=lambda row: (row[3], row[0]))


@st.composite
def runs(draw) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    """Runs over 12 images, each out of sample in some of them; some runs tell no probabilities."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.integers(0, 3, 12)
    made = []
    for _ in range(draw(st.integers(0, 5))):
        inside = rng.random(12) < draw(st.sampled_from([0.3, 0.7, 1.0]))
        sharp = rng.dirichlet([0.5, 0.5, 0.5], 12)
        splits = rng.choice(["val", "test", "train"], 12)
        rows = [(splits[i], f"{i}.png", int(labels[i]), list(sharp[i])) for i in rng.permutation(12) if inside[i]]
        table = frame(rows)
        if rng.random() < 0.15:
            table[[f"prob_{k}" for k in range(3)]] = np.float32("nan")
        made.append((("test",) if rng.random() < 0.2 else PARTS, table))
    return made


@settings(max_examples=80, deadline=None)
@given(made=runs())
def test_the_list_is_the_one_of_the_definition(made):
    found = label_errors(summary(12), [(Judge(str(i), parts), table) for i, (parts, table) in enumerate(made)])
    expected = by_hand(made)
    assert [(e.path, e.given, e.suggested, e.runs, e.agreeing) for e in found.errors] == [
        (path, mine, other, views, agreeing) for path, mine, other, _, views, agreeing in expected
    ]
    assert [e.margin for e in found.errors] == pytest.approx([row[3] for row in expected])
    for error in found.errors:
        assert error.margin == pytest.approx(error.given_probability - error.suggested_probability)
        assert -1 <= error.margin < 0


def test_a_case_that_can_be_counted_in_the_head():
    sure = [("val", f"ant{i}", 0, [0.9, 0.1, 0.0]) for i in range(3)]
    bees = [("test", f"bee{i}", 1, [0.2, 0.8, 0.0]) for i in range(3)]
    wrong = [("test", "odd", 0, [0.1, 0.9, 0.0])]
    unsure = [("test", "dim", 0, [0.35, 0.65, 0.0])]  # a bee by vote, but less surely than bees are
    one = label_errors(summary(20), [(Judge("a", PARTS), frame(sure + bees + wrong + unsure))])
    (error,) = one.errors
    assert (error.path, error.given, error.suggested, error.runs, error.agreeing) == ("odd", "ants", "bees", 1, 1)
    assert (round(error.given_probability, 6), round(error.suggested_probability, 6)) == (0.1, 0.9)
    assert one.thresholds == {"ants": pytest.approx((2.7 + 0.1 + 0.35) / 5), "bees": pytest.approx(0.8), "flies": None}
    assert (one.judged, one.num_images, one.runs_used) == (8, 20, 1)
    assert one.limits[0].startswith("12 of 20 images were for training in every run")
    other = frame([*sure, *bees, ("val", "odd", 0, [0.6, 0.4, 0.0])])
    both = label_errors(summary(20), [(Judge("a", PARTS), frame(sure + bees + wrong)), (Judge("b", PARTS), other)])
    assert both.errors == (), "on average 0.35 to 0.65: less than the 0.8 of bees"


def test_runs_that_know_nothing_are_not_asked():
    whole = example(strategies=("from_scratch", "fine_tuning", "transfer_learning"), seeds=(0, 1),
                    status={("transfer_learning", 1): "FAILED"})  # fmt: skip
    found, reasons = judges(whole.record)
    by_id = {run.run_id: run.spec for run in whole.record.runs}
    assert sorted((by_id[j.run_id].strategy, by_id[j.run_id].seed) for j in found) == [
        ("fine_tuning", 0), ("fine_tuning", 1), ("transfer_learning", 0)
    ]  # fmt: skip
    untold, *others = sorted(reasons)
    assert others == [
        "Not asked: 1 run without a result.", "Not asked: 2 runs whose training loss stayed at guessing."
    ]  # fmt: skip
    assert untold.startswith("3 runs start from a weights file that does not tell")
    assert {j.parts for j in found} == {("val", "test")}


def test_of_weights_from_another_run_only_the_test_images_are_out_of_sample():
    whole = example(strategies=("fine_tuning",), seeds=(0,)).record
    runs = tuple(r.model_copy(update={"spec": r.spec.model_copy(update={"weights": "run:abc"})}) for r in whole.runs)
    found, _ = judges(whole.model_copy(update={"runs": runs}))
    assert [j.parts for j in found] == [("test",)]


def from_file(*, public: bool) -> ComparisonRecord:
    """Two runs that start from one file; with public, a third has the same weights from `imagenet`."""
    whole = example(strategies=("fine_tuning",), seeds=(0, 1, 2)).record
    sources = ("file:/w.safetensors", "file:/w.safetensors", "imagenet")
    runs = [
        run.model_copy(update={"spec": run.spec.model_copy(update={"weights": weights})})
        for run, weights in zip(whole.runs, sources, strict=True)
    ]
    return whole.model_copy(update={"runs": tuple(runs if public else runs[:2])})


def test_of_a_file_that_tells_what_it_learned_from_only_the_test_images_are_out_of_sample():
    record = from_file(public=False)
    found, said = judges(record, lambda run: run == record.runs[0])
    assert [j.parts for j in found] == [("test",), PARTS]
    assert [text for text in said if text.startswith("1 run starts from a weights file that does not tell")]
    assert judges(record, lambda run: True)[1] == []


@pytest.mark.parametrize("told", [None, False])
def test_a_file_that_tells_nothing_may_judge_with_a_limit(told):
    found, (said,) = judges(from_file(public=False), lambda run: told)
    assert [j.parts for j in found] == [PARTS, PARTS]
    assert said.startswith("2 runs start from a weights file that does not tell which images it learned from")


def test_a_file_with_the_weights_of_a_public_source_needs_no_limit():
    record = from_file(public=True)
    assert {run.resolved.weights_fingerprint for run in record.runs} != {None}
    found, said = judges(record)
    assert ([j.parts for j in found], said) == ([PARTS] * 3, [])
    other = record.runs[0].resolved.model_copy(update={"weights_fingerprint": "another"})
    runs = (record.runs[0].model_copy(update={"resolved": other}), *record.runs[1:])
    assert judges(record.model_copy(update={"runs": runs}))[1][0].startswith("1 run starts from a weights file")


def test_nothing_to_judge_with_says_so():
    found = label_errors(summary(5), [], ["Not asked: 1 run without a result."])
    assert (found.errors, found.judged, found.runs_used) == ((), 0, 0)
    assert found.limits[0] == "Not asked: 1 run without a result."
    assert found.limits[1].startswith("No run can judge")
    mute = frame([("val", "a", 0, [math.nan] * 3)])
    assert "1 run without probabilities" in label_errors(summary(5), [(Judge("a", PARTS), mute)]).limits[0]


def test_runs_of_two_dataset_versions_are_refused():
    one, other = (frame([("val", "a.png", label, [0.2, 0.3, 0.5])]) for label in (0, 1))
    with pytest.raises(ComparisonError, match=r"two runs give a\.png different labels"):
        label_errors(summary(1), [(Judge("a", PARTS), one), (Judge("b", PARTS), other)])


def test_wrong_labels_are_found_among_right_ones():
    """600 images, 5 % of the labels wrong; five runs that are right nine times in ten, each sees half of them."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 600)
    labels = truth.copy()
    wrong = rng.choice(600, 30, replace=False)
    labels[wrong] = (labels[wrong] + rng.integers(1, 3, 30)) % 3
    frames = []
    for run in range(5):
        logits = rng.normal(0, 1, (600, 3)) + 3.0 * np.eye(3)[truth]
        likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        seen = rng.choice(600, 300, replace=False)
        rows = [("val", f"{i:03d}", int(labels[i]), list(likely[i])) for i in seen]
        frames.append((Judge(str(run), PARTS), frame(rows)))
    found = label_errors(summary(600), frames)
    judged = set().union(*(set(table["path"]) for _, table in frames))
    flipped = {f"{i:03d}" for i in wrong} & judged
    listed = {error.path for error in found.errors}
    assert len(listed & flipped) / len(listed) > 0.8
    assert len(listed & flipped) / len(flipped) > 0.6
    right = [error.suggested == CLASSES[truth[int(error.path)]] for error in found.errors if error.path in flipped]
    assert np.mean(right) > 0.95
