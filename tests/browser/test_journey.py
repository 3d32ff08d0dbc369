"""The whole job as a newcomer does it in a browser: upload, launch, watch, compare, try, take home."""

import re
import shutil
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect

from tests.browser.conftest import Complaints
from tests.helpers import draw, make_image_folder
from tlcore.demo.cells import MODEL, WEIGHTS_PATH
from tlcore.settings import Settings
from tlcore.strategies import CORE, STRATEGIES

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MINUTES = 60_000


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A zip of two classes and a file that is no picture."""
    folder = make_image_folder(tmp_path, ("ants", "bees"), per_class=20, size=32)
    (folder / "bees" / "notes.txt").write_text("bees")
    return Path(shutil.make_archive(str(tmp_path / "insects"), "zip", folder))


@pytest.fixture
def weights(settings: Settings) -> None:
    """The project's own small backbone, offered in the home's folder of weights."""
    settings.weights.mkdir(parents=True)
    shutil.copy(WEIGHTS_PATH, settings.weights / f"{MODEL}.safetensors")


def settled(page: Page) -> None:
    """The page has nothing left to draw, and shows no error of the program's."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=2 * MINUTES)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    assert "Traceback" not in page.content()


def follow(page: Page, link: str, url: str) -> None:
    """Click a link; once more, as a person would, where the page was drawn anew under the click."""
    page.get_by_role("link", name=link).click()
    try:
        page.wait_for_url(re.compile(url), timeout=MINUTES / 2)
    except TimeoutError:
        page.get_by_role("link", name=link).click()
        page.wait_for_url(re.compile(url), timeout=MINUTES)


def upload(page: Page, archive: Path) -> None:
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(archive)
    page.get_by_role("button", name="Add these images").click()
    expect(page.get_by_text("Training 24 · validation 8 · test 8 images")).to_be_visible(timeout=2 * MINUTES)
    settled(page)


def launch(page: Page) -> None:
    expect(page.get_by_text(f"{MODEL} · ImageNet weights on this machine").first).to_be_visible(timeout=2 * MINUTES)
    fill(page, "Epochs", "2")
    fill(page, "Seeds per strategy", "1")
    fill(page, "Image size (pixels)", "32")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("Ready: 5 runs on cpu")).to_be_visible(timeout=2 * MINUTES)
    expect(page.get_by_text("in all", exact=False).first).to_be_visible(timeout=2 * MINUTES)
    settled(page)
    page.get_by_role("button", name="Launch", exact=False).last.click()


def fill(page: Page, label: str, value: str) -> None:
    box = page.get_by_label(label, exact=True).first
    box.fill(value)
    box.press("Tab")
    settled(page)


def test_from_upload_to_download(
    browser: Browser, dashboard: str, archive: Path, weights: None, tmp_path: Path
) -> None:
    complaints = Complaints()
    page = complaints.watch(browser.new_page(viewport={"width": 1300, "height": 2400}))
    page.goto(f"{dashboard}/datasets")
    settled(page)
    upload(page, archive)
    expect(page.get_by_text("1 file was not taken into the dataset.")).to_be_visible()

    page.get_by_role("link", name="Launch a comparison on it").click()
    launch(page)

    expect(page.get_by_text("5 of 5 runs finished")).to_be_visible(timeout=5 * MINUTES)
    page.wait_for_url(re.compile("/runs.*comparison="))
    settled(page)

    follow(page, "Compare the results", "/compare.*comparison=")
    for entry in [STRATEGIES[name] for name in CORE]:
        expect(page.get_by_role("cell", name=entry.label)).to_be_visible(timeout=MINUTES)
    page.get_by_role("radio", name="Confusion matrices").click()
    page.wait_for_url(re.compile("show=Confusion"))
    settled(page)

    colleague = complaints.watch(
        browser.new_context(color_scheme="dark", viewport={"width": 420, "height": 900}).new_page()
    )
    colleague.goto(page.url)
    expect(colleague.get_by_role("radio", name="Confusion matrices")).to_be_checked(timeout=MINUTES)
    settled(colleague)
    assert colleague.evaluate("(m => m.scrollWidth <= m.clientWidth)(document.querySelector('[data-testid=stMain]'))")

    photo = tmp_path / "ant.png"
    draw(0, 2, 99, 64).save(photo)
    page.get_by_role("link", name="Try it on photos").click()
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(photo)
    expect(page.get_by_text(re.compile(r"^\d+\.\d\s%$")).first).to_be_visible(timeout=2 * MINUTES)
    settled(page)
    for entry in [STRATEGIES[name] for name in CORE]:
        expect(page.get_by_role("main").get_by_text(entry.short_label, exact=True).first).to_be_visible()

    page.get_by_role("link", name="Download").first.click()
    with page.expect_download(timeout=MINUTES) as given:
        page.get_by_role("button", name="Download").first.click()
    names = {Path(name).name for name in zipfile.ZipFile(given.value.path()).namelist()}
    assert {"weights.safetensors", "labels.txt", "preprocessing.json", "predict.py"} <= names
    settled(page)
    assert not complaints.seen


WATCH_FOR_FILE_NAMES = """
window.fileNames = false;
new MutationObserver(() => {
    window.fileNames ||= document.querySelector('[data-testid="stSidebarNav"]') !== null;
}).observe(document, {childList: true, subtree: true});
"""


@pytest.mark.parametrize("path", ["", "compare", "tryout"])
def test_an_empty_dashboard_opens_at_any_address(browser: Browser, dashboard: str, path: str) -> None:
    """Also as the first address asked of a fresh server, with the menu of the whole app and never one of file names."""
    complaints = Complaints()
    page = complaints.watch(browser.new_page(viewport={"width": 1300, "height": 1200}))
    page.add_init_script(WATCH_FOR_FILE_NAMES)
    page.goto(f"{dashboard}/{path}")
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=MINUTES)
    settled(page)
    expect(page.get_by_role("link", name="Download").first).to_be_visible()
    expect(page.get_by_text("page that you have requested does not seem to exist")).to_have_count(0)
    assert not page.evaluate("window.fileNames")
    assert not complaints.seen
