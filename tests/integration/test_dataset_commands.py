"""`python -m tlcore dataset …` for versions, cards, zips, deletions and label errors, and the functions behind it."""

import io
import shutil
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.fake_trainer import write_files
from tests.helpers import make_image_folder
from tests.helpers_mlflow import make_history, make_outcome, make_spec
from tlcore import jobs, tracking
from tlcore.analysis.label_errors import Judge
from tlcore.cli.app import main
from tlcore.datasets.dataset import DatasetInfo
from tlcore.datasets.intake import add_dataset
from tlcore.datasets.staging import datasets_lock
from tlcore.datasets.store import load_dataset
from tlcore.datasets.versions.card import DataCard, put_card
from tlcore.errors import DatasetError, NotFoundError, StorageError
from tlcore.jobs import queue
from tlcore.results import DatasetSummary, TrainedOn, TrainedStep
from tlcore.service import datasets as service
from tlcore.service import label_errors as label_error_service
from tlcore.service import recorded, versions
from tlcore.service.versions import LeaveOut, Move, Relabel, RenameClass
from tlcore.settings import Settings


@pytest.fixture
def info(tmp_path: Path, settings: Settings) -> DatasetInfo:
    return add_dataset(make_image_folder(tmp_path, ("ants", "bees"), 8), "insects", settings)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """A function that runs the command line in this process: exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tlcore", "dataset", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def test_edit_prints_the_new_id_and_what_changed(info, said):
    code, out, _ = said(
        "edit", "insects", "--leave-out", "ants/ants_0000.png", "--leave-out", "bees/bees_0000.png",
        "--relabel", "ants/ants_0001.png=bees", "--rename-class", "ants=Formicidae",
    )  # fmt: skip
    assert code == 0
    new = service.get_dataset("insects v2")
    assert out.splitlines() == [
        new.id,
        "Left out 2 images (ants/ants_0000.png, bees/bees_0000.png).",
        "Relabelled as 'bees': 1 image (ants/ants_0001.png).",
        "Renamed the class 'ants' to 'Formicidae'.",
        "14 images in 2 classes (were 16 in 2)",
        "  Formicidae: 6 (were 0)",
        "  ants: 0 (were 8)",
    ]
    assert (new.class_counts, new.parent) == ({"Formicidae": 6, "bees": 8}, info.id)
    _, again, _ = said("edit", info.id, "--leave-out", "ants/ants_0000.png")
    assert "Left out 1 image" in again
    _, same, _ = said("edit", info.id, "--leave-out", "ants/ants_0000.png")
    assert f"This is the content of {again.split()[0]}, added before" in same
    _, shown, _ = said("show", new.id)
    assert f"version 2, made from {info.id}: Left out 2 images" in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "no edit of insects"),
        (("--leave-out", "ants/ants_9.png"), "did you mean ants/ants_000"),
        (("--relabel", "ants/ants_0000.png"), "has no `=`"),
        (("--relabel", "ants/x.png=bees"), "no image 'ants/x.png'"),
        (("--move", "ants/ants_0000.png=tset"), "'tset' is no part: use train, val or test"),
        (("--move", "ants/ants_0000.png=validation"), "brings no parts"),
        (("--rename-class", "ant=x"), "no class 'ant' to rename: did you mean ants?"),
    ],
)
def test_edits_that_cannot_be_read_or_done_are_one_line(info, said, options, message):
    code, out, err = said("edit", info.id, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert service.list_datasets() == [info]


def test_texts_are_cut_where_the_left_side_is_known(tmp_path, settings):
    folder = make_image_folder(tmp_path, ("a", "a=b"), 4)
    (folder / "a" / "a_0000.png").rename(folder / "a" / "x=1.png")
    info = add_dataset(folder, "odd", settings)
    edits = versions.parse_edits(
        info.id,
        leave_out=["a/a_0003.png"],
        relabel=["a/x=1.png=c=d", "a=b/a=b_0000.png=c=d", "a/a_0001.png=e"],
        rename_class=["c=d=f"],
    )
    assert edits == [
        LeaveOut(paths=("a/a_0003.png",)),
        Relabel(paths=("a/x=1.png", "a=b/a=b_0000.png"), label="c=d"),
        Relabel(paths=("a/a_0001.png",), label="e"),
        RenameClass(old="c=d", new="f"),
    ]
    with pytest.raises(DatasetError, match="can be read in 2 ways"):
        versions.parse_edits(info.id, rename_class=["a=b=c"])


def test_parts_have_their_other_names_too(tmp_path, settings):
    info = add_dataset(make_image_folder(tmp_path, 2, 4, 32, ("train", "val")), settings=settings)
    path = "train/class_0/class_0_0000.png"
    assert versions.parse_edits(info.id, move=[f"{path}=Validation"]) == [Move(paths=(path,), part="val")]


def test_versions_are_listed_with_what_changed(info, said):
    said("edit", info.id, "--rename-class", "ants=Ants")
    second = service.get_dataset("insects v2")
    third = versions.derive_version(second.id, [RenameClass(old="bees", new="Bees")])
    service.delete_dataset(second.id)
    code, out, _ = said("versions", third.id)
    lines = [" ".join(line.split()) for line in out.splitlines()[1:] if line.strip()]
    assert code == 0
    assert lines == [
        f"1 {info.id} – 16 2 imported",
        f"2 {second.id} {info.id} – – deleted",
        f"3 {third.id} {second.id} 16 2 Renamed the class 'bees' to 'Bees'.",
    ]


def test_a_card_is_typed_field_by_field(info, said):
    assert said("card", info.id)[1].splitlines()[1:] == ["source: not said", "licence: not said", "notes: not said"]
    said("card", info.id, "--source", "our garden", "--licence", "CC0")
    code, out, _ = said("card", "insects", "--licence", "CC BY 4.0")
    assert (code, out.splitlines()[1:]) == (0, ["source: our garden", "licence: CC BY 4.0", "notes: not said"])
    said("card", info.id, "--source", "")
    assert versions.read_card(info.id).source == ""
    assert said("card", info.id, "--notes", "x" * 20_001)[0] == 2


def test_a_damaged_card_can_be_written_anew(info, settings):
    (settings.datasets / info.id / "card.json").write_text("{")
    with pytest.raises(DatasetError, match="damaged"):
        versions.write_card(info.id, licence="CC0")
    assert versions.write_card(info.id, "a", "b", "c").licence == "b"


def test_export_writes_a_new_zip_and_no_other(info, said, tmp_path):
    code, out, _ = said("export", "insects", "--to", tmp_path / "out.zip")
    assert (code, out.strip()) == (0, str(tmp_path / "out.zip"))
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert len(archive.namelist()) == 19
    code, _, err = said("export", "insects", "--to", tmp_path / "out.zip")
    assert (code, "exists already" in err) == (2, True)


def test_one_of_each_group_of_copies_is_kept(said, tracked, tmp_path):
    folder = make_image_folder(tmp_path, ("ants", "bees"), 5, 40)
    for name in ("copy.png", "again.png"):
        shutil.copy(folder / "ants" / "ants_0002.png", folder / "ants" / name)
    said("add", folder, "--name", "copied")
    code, out, _ = said("edit", "copied", "--keep-one")
    assert code == 0
    assert "10 images in 2 classes (were 12 in 2)" in out


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("derive_version", ("edit", "insects", "--rename-class", "ants=wasps")),
        ("export_zip", ("export", "insects", "--to", "a.zip")),
    ],
)
def test_ctrl_c_says_that_nothing_was_kept(info, said, monkeypatch, function, arguments):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(versions, function, interrupted)
    code, _, err = said(*arguments)
    assert (code, err) == (130, "cancelled: nothing was kept\n")


def test_a_browser_gets_the_zip_up_to_its_limit_as_long_as_it_is_there(info, settings, monkeypatch):
    monkeypatch.setattr("tlcore.jobs.api.ensure_supervisor", lambda settings: None)
    job_id = versions.submit_zip(info.id)
    assert [(job.id, job.kind, job.status) for job in versions.open_work(info.id)] == [(job_id, "zip", "QUEUED")]
    assert not versions.zip_is_there(job_id)
    folder = jobs.zip_folder(settings, job_id)
    folder.mkdir(parents=True)
    versions.export_zip(info.id, folder / "made.zip")
    assert versions.zip_is_there(job_id)
    assert zipfile.is_zipfile(io.BytesIO(versions.read_zip(job_id)))
    versions.cancel_work(job_id)
    assert versions.work(job_id).status == "CANCELLED"
    with pytest.raises(NotFoundError, match="no longer there, as it is kept for a day: make it again"):
        versions.read_zip(job_id)
    monkeypatch.setenv("TLCORE_MAX_UPLOAD_MB", "0")
    with pytest.raises(DatasetError, match=f"dataset export {info.id} --to"):
        versions.submit_zip(info.id)


def test_delete_asks_says_what_is_freed_and_what_stays(info, said, settings):
    new = versions.derive_version(info.id, [LeaveOut(paths=("ants/ants_0000.png",))])
    code, out, err = said("delete", info.id)
    assert (code, out.strip()) == (1, ""), "nobody said yes"
    assert f"{info.id}: 16 images; deleting it frees 0.0 MB; {new.id} stays" in err
    assert len(service.list_datasets()) == 2
    code, out, _ = said("delete", info.id, "--yes")
    assert (code, out.strip()) == (0, f"deleted {info.id}, 0.0 MB freed; {new.id} stays")
    assert service.list_datasets() == [new]
    assert not (settings.datasets / info.id).exists()
    assert said("delete", info.id, "--yes")[0] == 2


# Label errors


def summary_of(info: DatasetInfo) -> DatasetSummary:
    return DatasetSummary(
        id=info.id, name=info.name, fingerprint=info.fingerprint, num_images=info.num_images,
        num_classes=len(info.classes), classes=info.classes, splits={"train": 10, "val": 3, "test": 3},
    )  # fmt: skip


def compared(
    settings: Settings,
    info: DatasetInfo,
    folder: Path,
    wrong: str,
    seeds: tuple[int, ...] = (0, 1),
    weights: str = "imagenet",
    **outcome: object,
) -> str:
    """A comparison of one strategy whose runs are sure of every label but one; returns its id."""
    spec = make_spec(summary_of(info), strategies=("fine_tuning",), seeds=seeds, weights={"test_resnet": weights})
    comparison_id = tracking.create_comparison(settings, spec, summary_of(info), "ann")
    images = load_dataset(info.id, settings).images
    for run in spec.runs():
        run_id = tracking.create_run(settings, comparison_id, run, summary_of(info), "ann")
        labels = images["label"].to_numpy()
        sure = np.where(images["path"] == wrong, 0.02, 0.9)
        told = {
            "split": "test",
            "path": images["path"],
            "label": labels,
            "predicted": np.where(sure > 0.5, labels, 1 - labels),
        }
        told |= {f"prob_{k}": np.where(labels == k, sure, 1 - sure).astype(np.float32) for k in (0, 1)}
        work = folder / run_id
        work.mkdir(parents=True)
        (work / "checkpoint.json").write_text("[" + ",".join(p.model_dump_json() for p in make_history()) + "]")
        write_files(work)
        (work / "artifacts/outcome.json").write_text(make_outcome(**outcome).model_dump_json())
        frame = pd.DataFrame(told)
        frame[frame["path"] != images["path"].iloc[0]].to_parquet(work / "artifacts/predictions.parquet")
        tracking.start_run(settings, run_id)
        tracking.upload_artifacts(settings, run_id, work)
        tracking.end_run(settings, run_id, "FINISHED")
    return comparison_id


def test_label_errors_of_a_comparison_and_of_a_version(info, said, tracked, tmp_path):
    first = compared(tracked, info, tmp_path / "work", "bees/bees_0003.png")
    code, out, err = said("label-errors", first)
    assert code == 0
    assert [" ".join(line.split()) for line in out.splitlines()[1:] if line.strip()] == [
        "bees/bees_0003.png bees ants 0.02 0.98 2 of 2",
        f"1 likely label error among 15 judged images of {info.id}",
    ]
    assert "1 of 16 images were for training in every run" in err
    assert f"dataset edit {info.id} --relabel PATH=CLASS" in err
    second = compared(tracked, info, tmp_path / "work", "ants/ants_0005.png", (2, 3))
    assert [e.path for e in label_error_service.label_errors(second).errors] == ["ants/ants_0005.png"]
    both = label_error_service.label_errors(info.id)
    assert both.runs_used == 4
    assert label_error_service.label_errors("insects") == both
    assert both.errors == (), "two against two: on average nobody is sure"
    child = versions.derive_version(info.id, [LeaveOut(paths=("ants/ants_0000.png",))])
    none = label_error_service.label_errors(child.id)
    assert (none.runs_used, none.judged, none.num_images, none.dataset_id) == (0, 0, 15, child.id)
    assert "No run can judge" in none.limits[-1]


def test_runs_that_did_not_learn_are_not_asked(info, tracked, tmp_path):
    blind = compared(tracked, info, tmp_path / "work", "bees/bees_0003.png", did_not_learn=True)
    found = label_error_service.label_errors(blind)
    assert (found.errors, found.runs_used) == ((), 0)
    assert found.limits[0] == "Not asked: 2 runs whose training loss stayed at guessing."


def test_pictures_that_were_trained_on_in_another_part_are_told(tracked, tmp_path):
    folder = make_image_folder(tmp_path, ("ants", "bees"), 6, 40, parts=("train", "test"))
    shutil.copy(folder / "train" / "ants" / "ants_0001.png", folder / "test" / "ants" / "seen.png")
    leaking = service.add_dataset(folder, "leaking")
    compared(tracked, leaking, tmp_path / "work", "test/bees/bees_0006.png")
    limits = label_error_service.label_errors(leaking.id).limits
    assert any(
        text.startswith("1 of the pictures in given validation and test parts were trained on") for text in limits
    )


def test_runs_whose_weights_file_told_what_it_learned_from_judge_the_test_part_alone(
    info, tracked, tmp_path, monkeypatch
):
    """What the file told is among what the run itself learned from; a recording of no run tells nothing."""
    asked = []

    def noted(settings: Settings, run_id: str) -> TrainedOn:
        asked.append(run_id)
        return TrainedOn(steps=tuple(TrainedStep(run_id=name, dataset_name="d", images=()) for name in steps))

    monkeypatch.setattr(tracking, "load_trained_on", noted)
    source = "file:/weights/resnet.safetensors"
    comparison = compared(tracked, info, tmp_path / "work", "bees/bees_0003.png", weights=source)
    record = tracking.load_comparison(tracked, comparison)
    steps = ("own",)
    limit = "2 runs start from a weights file that does not tell which images"
    assert any(text.startswith(limit) for text in label_error_service.label_errors(comparison).limits)
    assert asked == [record.runs[0].run_id], "runs of the same weights are asked once"
    steps = ("own", "earlier")
    judges: list[Judge] = []
    monkeypatch.setattr(label_error_service, "_predictions", lambda found: judges.extend(found) or [])
    found = label_error_service.label_errors(comparison)
    assert not any("does not tell" in text for text in found.limits)
    assert [judge.parts for judge in judges] == [("test",), ("test",)]


def test_a_name_of_two_datasets_is_refused_with_their_ids(info, tracked, tmp_path):
    other = service.add_dataset(make_image_folder(tmp_path / "more", ("ants", "bees"), 9), "insects")
    with pytest.raises(NotFoundError, match="2 datasets are named 'insects': use an id") as error:
        label_error_service.label_errors("insects")
    assert info.id in str(error.value) and other.id in str(error.value)


def test_only_so_many_runs_are_asked(info, tracked, tmp_path, monkeypatch):
    for seeds in ((0, 1), (2, 3)):
        compared(tracked, info, tmp_path / "work", "bees/bees_0003.png", seeds)
    monkeypatch.setattr(label_error_service, "MAX_RUNS", 3)
    found = label_error_service.label_errors(info.id)
    assert found.runs_used == 3
    assert "Of 4 runs the newest 3 were asked." in found.limits
    monkeypatch.setattr(label_error_service, "MAX_COMPARISONS", 1)
    found = label_error_service.label_errors(info.id)
    assert found.runs_used == 2
    assert "The newest 1 comparisons were asked." in found.limits


def test_the_shipped_recording_can_be_asked(tracked):
    found = label_error_service.label_errors(recorded.RECORDED_ID)
    assert found.runs_used > 0
    assert 0 < found.judged <= found.num_images


def test_an_id_of_neither(tracked, said):
    with pytest.raises(NotFoundError, match="neither a comparison nor a dataset version"):
        label_error_service.label_errors("0" * 32)
    assert said("label-errors", "nothing")[0] == 2


def test_a_dataset_that_open_jobs_need_is_not_deleted(info, said, settings, monkeypatch):
    monkeypatch.setattr("tlcore.jobs.api.ensure_supervisor", lambda settings: None)
    job_id = versions.submit_zip(info.id)
    message = rf"{info.id} is still needed by Zip of {info.name} \(zip {job_id}\): wait until that is over, or cancel"
    with pytest.raises(DatasetError, match=message):
        service.delete_dataset(info.id)
    code, out, err = said("delete", info.id, "--yes")
    assert (code, out) == (2, "")
    assert "is still needed by" in err
    assert "deleting it frees" not in err
    versions.cancel_work(job_id)
    service.delete_dataset(info.id)
    assert service.list_datasets() == []


def test_a_dataset_takes_its_zips_along_and_they_count(info, settings, monkeypatch):
    monkeypatch.setattr("tlcore.jobs.api.ensure_supervisor", lambda settings: None)
    before = versions.freed_bytes(info.id)
    job_id = versions.submit_zip(info.id)
    file = jobs.zip_folder(settings, job_id) / "made.zip"
    file.parent.mkdir(parents=True)
    versions.export_zip(info.id, file)
    (job,) = queue.select(settings, "id = ?", (job_id,))
    queue.end(settings, job, "FINISHED", result=str(file))
    assert versions.freed_bytes(info.id) == before + file.stat().st_size
    assert versions.submit_zip(info.id) == job_id
    versions.write_card(info.id, licence="CC0")
    anew = versions.submit_zip(info.id)
    assert anew != job_id, "the card in it is old"
    versions.cancel_work(anew)
    service.delete_dataset(info.id)
    assert not file.parent.exists()


def test_an_upload_whose_import_cannot_be_queued_is_removed(settings, tmp_path, monkeypatch):
    def refuse(*_):
        raise StorageError("the disk is full")

    uploaded, own = service.upload_folder() / "x" / "a.zip", tmp_path / "own.zip"
    for file in (uploaded, own):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"zip")
        with monkeypatch.context() as patch:
            patch.setattr(jobs, "submit_import", refuse)
            with pytest.raises(StorageError, match="the disk is full"):
                service.submit_import(file, None)
    assert not uploaded.parent.exists()
    assert own.exists()


def test_an_id_wins_over_a_folder_of_that_name(info, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_image_folder(tmp_path / "other", ("cats", "dogs"), 4).rename(tmp_path / info.id)
    assert service.resolve_dataset(info.id) == info
    assert service.resolve_dataset(f"./{info.id}").classes == ("cats", "dogs")


def test_fields_of_a_card_that_are_changed_at_the_same_time_both_stay(info, settings):
    """While the lock is held by another change, this one has not read the card yet."""
    with datasets_lock(settings.datasets):
        thread = threading.Thread(target=versions.write_card, args=(info.id,), kwargs={"licence": "CC0"})
        thread.start()
        thread.join(0.5)
        assert thread.is_alive(), "it waits"
        put_card(settings.datasets / info.id, DataCard(notes="of the other"))
    thread.join(30)
    assert versions.read_card(info.id) == DataCard(licence="CC0", notes="of the other")
