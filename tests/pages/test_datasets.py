"""Datasets: what was found, what was left out, adding and deleting."""

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared.imports import by_name
from tests.helpers import make_image_folder
from tests.pages import fakes
from tests.pages.conftest import Open, errors, is_fine, shown
from tlcore import jobs
from tlcore.results import JobView
from tlcore.service import datasets
from tlcore.service.datasets import DatasetInfo


def job(status: str, **more: object) -> JobView:
    known = {"id": "j1", "kind": "import", "title": "pictures", "progress": 0.5, "message": "checking images"}
    return JobView.model_validate({**known, "status": status, **more})


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
    assert len(app.image) == 24
    assert app.selectbox(key=f"class_{insects.id}").value == "ants"


def test_the_gallery_shows_one_class_and_pages(open_page: Open, full: fakes.Store, insects: DatasetInfo) -> None:
    app = open_page("datasets")
    app.selectbox(key=f"class_{insects.id}").set_value("wasps").run()
    assert {image.proto.imgs[0].alt.split("/")[0] for image in app.image} == {"wasps"}
    app.pagination[0].set_value(2).run()
    assert is_fine(app)
    assert len(app.image) == 30 - 24


def test_an_upload_is_stored_in_the_home_and_imported_by_a_job(
    open_page: Open, empty: fakes.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: list[tuple[Path, str | None]] = []
    monkeypatch.setattr(datasets, "submit_import", lambda path, name: submitted.append((path, name)) or "j1")
    monkeypatch.setattr(datasets, "import_job", lambda job_id: job("RUNNING"))
    app = open_page("datasets")
    app.file_uploader[0].set_value(("../../pic tures.zip", b"PK content", "application/zip")).run()
    app.button(key="add_upload").click().run()
    assert is_fine(app)
    ((path, name),) = submitted
    assert path.name == "pic tures.zip"
    assert path.parent.parent == datasets.upload_folder()
    assert path.read_bytes() == b"PK content"
    assert name == "pic tures"
    assert app.get("progress")


def test_a_path_that_is_not_there_is_one_clear_line(open_page: Open, empty: fakes.Store) -> None:
    app = open_page("datasets")
    app.segmented_control(key="source").set_value("Path on the server").run()
    app.text_input(key="server_path").set_value("/nowhere/pictures").run()
    app.button(key="add_path").click().run()
    assert is_fine(app)
    assert "there is nothing at /nowhere/pictures" in errors(app)[0]


def test_an_address_is_imported_by_a_job_and_anything_else_refused(
    open_page: Open, empty: fakes.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: list[tuple[object, str | None]] = []
    monkeypatch.setattr(jobs, "submit_import", lambda settings, source, name, owner: submitted.append((source, name)))
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
    monkeypatch.setattr(datasets, "import_job", lambda job_id: job("RUNNING"))
    app.text_input(key="address").set_value(" https://example.org/a.zip?x=1 ").run()
    app.button(key="add_address").click().run()
    assert is_fine(app)
    assert submitted == [("https://example.org/a.zip?x=1", None)]


def test_public_sets_are_offered_with_their_size_and_licence(
    open_page: Open, empty: fakes.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: list[tuple[object, str | None]] = []
    monkeypatch.setattr(datasets, "submit_import", lambda source, name: submitted.append((source, name)) or "j1")
    monkeypatch.setattr(datasets, "import_job", lambda job_id: job("RUNNING"))
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


def test_delete_says_what_it_does_and_does_it(open_page: Open, full: fakes.Store, insects: DatasetInfo) -> None:
    app = open_page("datasets")
    assert "Results of its runs stay" in shown(app)
    app.button(key="delete_yes").click().run()
    assert is_fine(app)
    assert not datasets.list_datasets()
    assert "no dataset yet" in shown(app)


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
