"""Datasets: what was found, what was left out, adding and deleting."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block, Widget

from pages.shared.imports import by_name
from tests.helpers import make_image_folder
from tests.pages import fakes
from tests.pages.conftest import Open, errors, is_fine, shown, unescaped
from tlcore import jobs
from tlcore.errors import DatasetError
from tlcore.results import JobView
from tlcore.service import datasets, label_errors, pictures, versions
from tlcore.service.datasets import DatasetInfo
from tlcore.service.label_errors import LabelError, LabelErrors


def job(status: str, **more: object) -> JobView:
    known = {"id": "j1", "kind": "import", "title": "pictures", "progress": 0.5, "message": "checking images"}
    return JobView.model_validate({**known, "status": status, **more})


Submitted = tuple[Path | str, str | None]  # source, name


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[Submitted]:
    """What was handed to the import job, which then seems to run for ever."""
    taken: list[Submitted] = []
    monkeypatch.setattr(jobs, "submit_import", lambda _, source, name, owner: taken.append((source, name)) or "j1")
    monkeypatch.setattr(datasets, "import_job", lambda job_id: job("RUNNING"))
    return taken


def test_without_a_dataset_it_says_what_to_do_and_what_fits(open_page: Open, empty: fakes.Store) -> None:
    app = open_page("datasets")
    assert is_fine(app)
    assert "no dataset yet" in shown(app)
    assert "at most 500 MB" in shown(app)
    assert app.file_uploader[0].proto.max_upload_size_mb == 500
    assert "One folder per class" in shown(app)


def test_a_dataset_is_shown_with_its_split_and_left_out_files(
    open_page: Open, full: fakes.Store, insects: DatasetInfo
) -> None:
    app = open_page("datasets")
    assert is_fine(app)
    assert {metric.label: metric.value for metric in app.metric}["Images"] == "90"
    assert "Training 54 · validation 18 · test 18 images" in shown(app)
    assert app.dataframe[0].value.to_dict("records")[0]["File"] == "ants/broken.png"
    assert "Files that were left out" in shown(app)


def look_at(app: AppTest, view: str) -> AppTest:
    """Another view of the dataset."""
    return app.segmented_control(key="dataset_view").set_value(view).run()


def boxes(app: AppTest) -> list[str]:
    """Names of the pictures that can be ticked."""
    return [unescaped(box.label) for box in app.checkbox]


def test_the_gallery_shows_one_class_pages_and_searches(
    open_page: Open, full: fakes.Store, insects: DatasetInfo
) -> None:
    app = look_at(open_page("datasets"), "Pictures")
    app.selectbox(key=f"class_{insects.id}").set_value("wasps").run()
    assert {image.proto.imgs[0].alt.split("/")[0] for image in app.image} == {"wasps"}
    assert len(app.image) == 24
    app.pagination[0].set_value(2).run()
    assert is_fine(app)
    assert len(app.image) == 30 - 24
    app.selectbox(key=f"class_{insects.id}").set_value("All classes").run()
    app.text_input(key=f"search_{insects.id}").set_value("S_0007").run()
    assert [image.proto.imgs[0].alt for image in app.image] == [f"{c}/{c}_0007.png" for c in ("ants", "bees", "wasps")]
    app.text_input(key=f"search_{insects.id}").set_value("nothing like it").run()
    assert is_fine(app)
    assert "No picture has such a name" in shown(app)


def test_ticked_pictures_are_left_out_in_a_new_version(
    open_page: Open, full: fakes.Store, insects: DatasetInfo
) -> None:
    app = look_at(open_page("datasets"), "Pictures")
    bar = [button.key for button in app.button if button.key and button.key.endswith("_leave_out")]
    assert app.button(key=bar[0]).disabled
    app.checkbox[0].check().run()
    app.checkbox[3].check().run()
    assert "2 pictures ticked" in shown(app)
    app.button(key=bar[0]).click().run()
    assert is_fine(app)
    (made,) = [info for info in datasets.list_datasets() if info.parent == insects.id]
    assert (made.num_images, made.version) == (88, 2)
    assert made.id in app.query_params["dataset"]
    assert "This is the new version: Left out 2 images (ants/ants_0000.png, ants/ants_0003.png)." in shown(app)
    old = set(boxes(look_at(open_page("datasets", dataset=insects.id), "Pictures")))
    assert "ants_0000.png" in old, "the old version has them all"


def test_ticked_pictures_are_relabelled(open_page: Open, full: fakes.Store, insects: DatasetInfo) -> None:
    app = look_at(open_page("datasets"), "Pictures")
    app.checkbox[1].check().run()
    key = next(button.key for button in app.button if button.key and button.key.endswith("_relabel"))
    assert app.button(key=key).disabled, "no class is chosen yet"
    app.selectbox(key=key.replace("_relabel", "_class")).set_value("wasps").run()
    app.button(key=key).click().run()
    assert is_fine(app)
    (made,) = [info for info in datasets.list_datasets() if info.parent == insects.id]
    assert made.class_counts == {"ants": 29, "bees": 30, "wasps": 31}


def test_ticked_pictures_are_moved_to_a_part_that_there_is(open_page: Open, full: fakes.Store, tmp_path: Path) -> None:
    folder = make_image_folder(tmp_path, ("ants", "bees"), per_class=12, size=40, parts=("train", "val"))
    info = datasets.add_dataset(folder, "two parts")
    app = look_at(open_page("datasets"), "Pictures")
    app.checkbox[0].check().run()
    box = next(box for box in app.selectbox if box.key.endswith("_part") and box.key.startswith("gallery"))
    assert box.options == ["Training", "Validation"], "the data brings no test part"
    box.set_value("val")
    app.button(key=box.key.replace("_part", "_move")).click().run()
    assert is_fine(app)
    (made,) = [d for d in datasets.list_datasets() if d.parent == info.id]
    assert made.part_counts == {"train": 23, "val": 25}


def blocks(block: Block) -> Iterator[Block]:
    """All containers of a page."""
    yield block
    for child in block.children.values():
        if isinstance(child, Block):
            yield from blocks(child)


def test_an_edit_that_cannot_be_made_is_told_below_its_bar(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise DatasetError("this cannot be done")

    monkeypatch.setattr(versions, "derive_version", refuse)
    app = look_at(open_page("datasets"), "Pictures")
    app.checkbox[0].check().run()
    key = next(button.key for button in app.button if button.key and button.key.endswith("_leave_out"))
    app.button(key=key).click().run()
    assert errors(app) == ["this cannot be done"]
    (bar,) = [block for block in blocks(app.main) if app.button(key=key) in block.children.values()]
    assert app.error[0] not in bar.children.values()


def test_a_finding_shows_its_pictures_and_is_mended_by_a_click(
    open_page: Open, full: fakes.Store, tmp_path: Path
) -> None:
    folder = make_image_folder(tmp_path, ("ants", "bees"), per_class=8, size=40)
    shutil.copy(folder / "ants" / "ants_0002.png", folder / "ants" / "copy.png")
    info = datasets.add_dataset(folder, "with copies")
    app = open_page("datasets", dataset=info.id)
    assert "The same file more than once" in shown(app)
    assert not app.image, "pictures are drawn when they are asked for"
    app.toggle(key=f"show_{info.id}_exact_duplicates").set_value(True).run()
    assert [image.proto.imgs[0].alt for image in app.image] == ["ants/ants_0002.png", "ants/copy.png"]
    app.button(key=f"do_{info.id}_exact_duplicates_0").click().run()
    assert is_fine(app)
    assert "Nothing stands out" in shown(app)
    (made,) = [d for d in datasets.list_datasets() if d.parent == info.id]
    assert made.num_images == 16


def part_of(app: AppTest, widget: Widget) -> str | None:
    """What is run anew when this widget is used: a fragment of the page, or, for None, all of it."""
    state = app.session_state._state._state._new_widget_state  # no public way tells it
    return state.widget_metadata[widget.proto.id].fragment_id


def test_a_ticked_box_redraws_its_finding_alone(open_page: Open, full: fakes.Store, insects: DatasetInfo) -> None:
    app = open_page("datasets")
    toggle = app.toggle(key=f"show_{insects.id}_tiny").set_value(True)
    app.run()
    assert part_of(app, app.segmented_control(key="dataset_view")) is None
    assert part_of(app, toggle) is not None
    assert {part_of(app, box) for box in app.checkbox} == {part_of(app, toggle)}


@pytest.mark.parametrize("view", ["Pictures", "Label errors"])
def test_a_ticked_box_redraws_its_pictures_alone(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    monkeypatch.setattr(label_errors, "label_errors", lambda dataset_id: found_errors(insects))
    app = look_at(open_page("datasets"), view)
    assert len({part_of(app, box) for box in app.checkbox} - {None}) == 1
    assert part_of(app, app.checkbox[0]) is not None


def test_a_gallery_reads_no_more_of_the_table_than_it_shows(
    insects: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[str] | None] = []
    whole = pd.read_parquet
    monkeypatch.setattr(
        pd, "read_parquet", lambda path, columns=None: read.append(columns) or whole(path, columns=columns)
    )
    (first,) = pictures.find_pictures(insects.id, "bees", limit=1).pictures
    assert pictures.pictures_of(insects.id, [first.path]) == (first,)
    assert [columns is not None and "look" not in columns for columns in read] == [True, True]


def test_a_class_is_renamed_or_merged(open_page: Open, full: fakes.Store, insects: DatasetInfo) -> None:
    app = open_page("datasets")
    app.text_input(key=f"rename_to_{insects.id}_ants").set_value("wasps").run()
    assert "the two become one" in shown(app)
    app.button(key=f"rename_do_{insects.id}").click().run()
    assert is_fine(app)
    (made,) = [info for info in datasets.list_datasets() if info.parent == insects.id]
    assert made.classes == ("bees", "wasps")


def test_versions_are_listed_with_what_was_changed(open_page: Open, full: fakes.Store, insects: DatasetInfo) -> None:
    made = versions.derive_version(insects.id, [versions.RenameClass(old="ants", new="Ants")])
    app = look_at(open_page("datasets", dataset=made.id), "Versions")
    assert is_fine(app)
    assert "Renamed the class 'ants' to 'Ants'." in shown(app)
    assert f"Version 2 · {made.name} · shown here" in shown(app).replace("**", "")
    datasets.delete_dataset(insects.id)
    app = look_at(open_page("datasets", dataset=made.id), "Versions")
    assert is_fine(app)
    assert "Version 1 was deleted" in shown(app).replace("**", "")


def test_the_card_is_kept_and_a_large_version_is_not_for_the_browser(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = look_at(open_page("datasets"), "Card and download")
    licence = next(box for box in app.text_input if box.label == "Licence")
    licence.set_value("CC0")
    next(button for button in app.button if button.label == "Keep the card").click().run()
    assert is_fine(app)
    assert versions.read_card(insects.id).licence == "CC0"
    monkeypatch.setattr("pages.shared.dataset_versions.MEGABYTE", 1)
    app = look_at(open_page("datasets"), "Card and download")
    assert f"dataset export {insects.id}" in app.code[0].value


def found_errors(info: DatasetInfo) -> LabelErrors:
    """One ant that looks like a bee to three runs."""
    wrong = LabelError(path="ants/ants_0004.png", given="ants", suggested="bees", margin=-0.8, given_probability=0.1,
                       suggested_probability=0.9, runs=3, agreeing=3)  # fmt: skip
    return LabelErrors(dataset_id=info.id, errors=(wrong,), judged=36, num_images=90, runs_used=3, thresholds={},
                       limits=("54 of 90 images were for training in every run.",))  # fmt: skip


def test_a_change_under_way_shows_how_far_it_is_and_can_be_cancelled(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled: list[str] = []

    def now() -> JobView:
        known = {"kind": "version", "title": "New version of insects", "dataset_id": insects.id}
        return job("CANCELLED" if cancelled else "RUNNING", message="Placed 3 of 90 images", **known)

    monkeypatch.setattr(versions, "submit_version", lambda dataset_id, edits: "j1")
    monkeypatch.setattr(versions, "work", lambda job_id: now())
    monkeypatch.setattr(versions, "open_work", lambda dataset_id: [] if cancelled else [now()])
    monkeypatch.setattr(versions, "cancel_work", cancelled.append)
    app = open_page("datasets")
    app.text_input(key=f"rename_to_{insects.id}_ants").set_value("flies").run()
    app.button(key=f"rename_do_{insects.id}").click().run()
    assert is_fine(app)
    assert "New version of insects: Placed 3 of 90 images" in unescaped(shown_progress(app))
    app.button(key="cancel_j1").click().run()
    assert is_fine(app)
    assert cancelled == ["j1"]
    assert "The new version was cancelled; nothing of it was kept" in shown(app)
    assert not app.get("progress")


def test_a_change_that_cannot_be_made_says_why(open_page: Open, full: fakes.Store, insects: DatasetInfo) -> None:
    app = open_page("datasets")
    app.text_input(key=f"rename_to_{insects.id}_ants").set_value("a/b").run()
    app.button(key=f"rename_do_{insects.id}").click().run()
    assert is_fine(app)
    assert "'a/b' is no name for a class" in errors(app)[0]


def test_a_zip_is_made_first_and_then_fetched(open_page: Open, full: fakes.Store, insects: DatasetInfo) -> None:
    app = look_at(open_page("datasets"), "Card and download")
    assert not app.get("download_button")
    app.button(key=f"make_zip_{insects.id}").click().run()
    assert is_fine(app)
    assert "Download the zip" in app.get("download_button")[0].proto.label
    licence = next(box for box in app.text_input if box.label == "Licence")
    licence.set_value("CC0")
    next(button for button in app.button if button.label == "Keep the card").click().run()
    assert not app.get("download_button"), "that zip has the old card"


def test_likely_label_errors_are_shown_and_corrected(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_errors, "label_errors", lambda dataset_id: found_errors(insects))
    app = look_at(open_page("datasets"), "Label errors")
    assert is_fine(app)
    assert "1 likely label error among 36 images that 3 runs judged" in shown(app).replace("**", "")
    assert "bees (90.0 %)" in shown(app).replace("**", "")
    app.checkbox[0].check().run()
    app.button(key=f"labels_{insects.id}_suggested").click().run()
    assert is_fine(app)
    (made,) = [info for info in datasets.list_datasets() if info.parent == insects.id]
    assert made.class_counts == {"ants": 29, "bees": 31, "wasps": 30}


def test_without_runs_there_are_no_label_errors_to_show(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, tracked: object
) -> None:
    app = look_at(open_page("datasets"), "Label errors")
    assert is_fine(app)
    assert "No run has judged these images yet" in shown(app)


def test_an_upload_is_stored_in_the_home_and_imported_by_a_job(
    open_page: Open, empty: fakes.Store, submitted: list[Submitted]
) -> None:
    app = open_page("datasets")
    app.file_uploader[0].set_value(("../../pic tures.zip", b"PK content", "application/zip")).run()
    app.button(key="add_upload").click().run()
    assert is_fine(app)
    ((path, name),) = submitted
    assert isinstance(path, Path)
    assert path.name == "pic tures.zip"
    assert path.parent.parent == datasets.upload_folder()
    assert path.read_bytes() == b"PK content"
    assert name is None, "the zip may bring a name of its own; else it is the file's"
    assert app.get("progress")


def test_a_path_that_is_not_there_is_one_clear_line(open_page: Open, empty: fakes.Store) -> None:
    app = open_page("datasets")
    app.segmented_control(key="source").set_value("Path on the server").run()
    app.text_input(key="server_path").set_value("/nowhere/pictures").run()
    app.button(key="add_path").click().run()
    assert is_fine(app)
    assert "there is nothing at /nowhere/pictures" in errors(app)[0]


def test_an_address_is_imported_by_a_job_and_anything_else_refused(
    open_page: Open, empty: fakes.Store, submitted: list[Submitted]
) -> None:
    app = open_page("datasets")
    app.segmented_control(key="source").set_value("Web address").run()
    assert "at most 50 GB" in shown(app)
    for text, problem in (
        ("example.org/a.zip", "is no web address: write it as https://host/path"),
        ("ftp://example.org/a.zip", "only those of http and https"),
        ("torchvision:CIFAR1O", "did you mean torchvision:CIFAR10"),
    ):
        app.text_input(key="address").set_value(text).run()
        app.button(key="add_address").click().run()
        assert is_fine(app)
        assert problem in errors(app)[0]
    assert submitted == []
    app.text_input(key="address").set_value(" https://example.org/a.zip?x=1 ").run()
    app.button(key="add_address").click().run()
    assert is_fine(app)
    assert submitted == [("https://example.org/a.zip?x=1", None)]


def test_public_sets_are_offered_with_their_size_and_licence(
    open_page: Open, empty: fakes.Store, submitted: list[Submitted]
) -> None:
    app = open_page("datasets")
    app.segmented_control(key="source").set_value("Public set").run()
    assert len(app.selectbox(key="public_set").options) == len(datasets.public_sets())
    app.selectbox(key="public_set").set_value("torchvision:FER2013").run()
    assert "get the files from https://www.kaggle.com" in shown(app)
    app.selectbox(key="public_set").set_value("torchvision:EuroSAT").run()
    assert "10 classes, 27,000 images of 64×64 px, 94.0 MB to download. Licence: MIT" in shown(app)
    app.button(key="add_public").click().run()
    assert is_fine(app)
    assert submitted == [("torchvision:EuroSAT", None)]


def test_imports_under_way_are_shown_to_all_and_can_be_cancelled(
    open_page: Open, empty: fakes.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled: list[str] = []
    monkeypatch.setattr(datasets, "open_imports", lambda: [] if cancelled else [job("RUNNING", title="Import birds")])
    monkeypatch.setattr(datasets, "import_job", lambda job_id: job("CANCELLED" if cancelled else "RUNNING"))
    monkeypatch.setattr(datasets, "cancel_import", cancelled.append)
    app = open_page("datasets")
    assert "Import birds" in shown_progress(app) or "checking images" in shown_progress(app)
    app.button(key="cancel_j1").click().run()
    assert is_fine(app)
    assert cancelled == ["j1"]
    assert not app.get("progress")


def shown_progress(app: AppTest) -> str:
    return " ".join(bar.proto.text for bar in app.get("progress"))


@pytest.mark.parametrize("ending", ["FAILED", "FINISHED", "CANCELLED"])
def test_how_an_import_ends_is_told(
    open_page: Open, empty: fakes.Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: str
) -> None:
    folder = make_image_folder(tmp_path, 2, per_class=6, size=16)
    monkeypatch.setattr(datasets, "submit_import", lambda path, name: "j1")
    result = datasets.add_dataset(folder, "pictures").id if ending == "FINISHED" else None
    monkeypatch.setattr(datasets, "import_job", lambda job_id: job(ending, error="not a zip", result=result))
    app = open_page("datasets")
    app.segmented_control(key="source").set_value("Path on the server").run()
    app.text_input(key="server_path").set_value(str(folder)).run()
    app.button(key="add_path").click().run()
    assert is_fine(app)
    told = {"FAILED": "not a zip", "FINISHED": "images are here", "CANCELLED": "was cancelled"}[ending]
    assert told in shown(app)


def test_notes_of_an_import_are_shown(open_page: Open, empty: fakes.Store, tmp_path: Path) -> None:
    root = make_image_folder(tmp_path, ("ants", "bees"), 6, parts=("train", "test"))
    shutil.rmtree(root / "test" / "bees")
    info = datasets.add_dataset(root, "gappy")
    app = open_page("datasets")
    assert is_fine(app)
    assert "The given test part has no image of bees." in info.notes
    assert "The given test part has no image of bees." in unescaped(shown(app))


def test_what_an_import_of_known_images_told_is_shown_and_forgotten_at_the_next_error(
    open_page: Open, empty: fakes.Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = make_image_folder(tmp_path, 2, per_class=6, size=16)
    known = datasets.add_dataset(folder, "pictures")
    news = "This is the content of it, added before.\nLeft out this time: a.txt: no image"
    monkeypatch.setattr(datasets, "submit_import", lambda path, name: "j1")
    monkeypatch.setattr(datasets, "import_job", lambda job_id: job("FINISHED", result=known.id, message=news))
    app = open_page("datasets")
    app.segmented_control(key="source").set_value("Path on the server").run()
    app.text_input(key="server_path").set_value(str(folder)).run()
    app.button(key="add_path").click().run()
    (told,) = (unescaped(box.value) for box in app.success)
    assert told.splitlines() == ["The images are here.", *(f"- {line}" for line in news.splitlines())]
    app.text_input(key="server_path").set_value(str(tmp_path / "none")).run()
    app.button(key="add_path").click().run()
    assert "there is nothing at" in errors(app)[0]
    assert not app.success


@pytest.mark.parametrize(("used", "words"), [(0, "No comparison was made on it."), (2, "belong to 2 comparisons.")])
def test_delete_tells_of_results_that_there_are(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, monkeypatch: pytest.MonkeyPatch, used: int, words: str
) -> None:
    monkeypatch.setattr(versions, "num_comparisons", lambda dataset_id: used)
    app = look_at(open_page("datasets"), "Versions")
    app.toggle(key=f"delete_{insects.id}").set_value(True).run()
    assert words in shown(app)
    assert ("Results of its runs stay" in shown(app)) == bool(used)


def test_delete_says_what_it_does_and_does_it(open_page: Open, full: fakes.Store, insects: DatasetInfo) -> None:
    app = look_at(open_page("datasets"), "Versions")
    app.toggle(key=f"delete_{insects.id}").set_value(True).run()
    assert "files that other versions share stay" in shown(app)
    app.button(key="delete_yes").click().run()
    assert is_fine(app)
    assert not datasets.list_datasets()
    assert "no dataset yet" in shown(app)


def test_delete_tells_which_jobs_still_need_the_version(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "users_of", lambda settings, dataset_id: [job("RUNNING")])
    app = look_at(open_page("datasets"), "Versions")
    app.toggle(key=f"delete_{insects.id}").set_value(True).run()
    app.button(key="delete_yes").click().run()
    assert f"{insects.id} is still needed by pictures (import j1): wait until that is over" in shown(app)
    assert [info.id for info in datasets.list_datasets()] == [insects.id]


def test_an_unknown_dataset_in_the_address_is_one_clear_line(
    open_page: Open, full: fakes.Store, insects: DatasetInfo
) -> None:
    app = open_page("datasets", dataset="gone-12345678")
    assert is_fine(app)
    assert "gone-12345678" in errors(app)[0]


def test_an_upload_is_called_by_the_name_it_came_with(open_page: Open, empty: fakes.Store, tmp_path: Path) -> None:
    made = shutil.make_archive(str(tmp_path / "made"), "zip", make_image_folder(tmp_path, ("ants", "bees")))
    target = datasets.upload_folder() / "0123456789abcdef" / "my pictures.zip"
    target.parent.mkdir()
    shutil.move(made, target)
    info = datasets.add_dataset(target, None)
    assert "From `my pictures.zip`" in shown(open_page("datasets", dataset=info.id))
    assert by_name(f"{target} has one class only") == "my pictures.zip has one class only"


def test_ways_to_add_images_wrap_on_a_narrow_screen(open_page: Open, empty: fakes.Store) -> None:
    """In a column, Streamlit would have them scroll sideways."""
    assert open_page("datasets").segmented_control(key="source").proto.wrap


def test_an_address_that_comes_late_does_not_lead_back(
    open_page: Open, full: fakes.Store, insects: DatasetInfo, tmp_path: Path
) -> None:
    """A browser that has not heard of the new address asks for the old one, which counts again later."""
    other = datasets.add_dataset(make_image_folder(tmp_path / "more", ("cats", "dogs"), per_class=4), "pets")
    app = open_page("datasets", dataset=insects.id)
    app.session_state["next_dataset"] = other.id
    for _ in range(3):
        app.query_params["dataset"] = insects.id
        app.run()
        assert is_fine(app)
        assert other.id in app.query_params["dataset"]
    app.run()
    app.query_params["dataset"] = insects.id
    app.run()
    assert insects.id in app.query_params["dataset"]


def test_the_address_of_a_deleted_version_is_told_in_words_of_the_page(
    open_page: Open, full: fakes.Store, insects: DatasetInfo
) -> None:
    for page in ("datasets", "launch"):
        app = open_page(page, dataset="gone-12345678")
        assert [unescaped(error) for error in errors(app)] == [
            "There is no dataset gone-12345678 here; it may have been deleted. Choose another one above."
        ]


def test_why_a_class_is_too_small_is_said_once(open_page: Open, full: fakes.Store, tmp_path: Path) -> None:
    folder = make_image_folder(tmp_path / "few", ("ants", "bees"), per_class=6)
    for path in sorted((folder / "ants").iterdir())[1:]:
        path.unlink()
    app = open_page("datasets", dataset=datasets.add_dataset(folder, "few").id)
    assert shown(app).count("needs at least") == 1
    assert "cannot be split as it is" in shown(app)
