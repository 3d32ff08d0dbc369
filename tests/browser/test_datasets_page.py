"""The Datasets page as a browser lays it out, on a phone and on a desk."""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Complaints
from tests.browser.test_journey import MINUTES, settled
from tests.helpers import make_image_folder
from tlcore.service import datasets
from tlcore.service.datasets import DatasetInfo

pytestmark = [pytest.mark.browser, pytest.mark.slow]
VIEWS = ("Health", "Pictures", "Label errors", "Versions", "Card and download")
PHONE, DESK = {"width": 420, "height": 2600}, {"width": 1400, "height": 1600}


@pytest.fixture
def insects(tmp_path: Path) -> DatasetInfo:
    """Wide pictures of ants, tall ones of bees, with names too long for a card."""
    wide = make_image_folder(tmp_path / "wide", ("ants",), per_class=8, size=(64, 40))
    make_image_folder(tmp_path / "tall", ("bees",), per_class=8, size=(40, 64))
    (tmp_path / "tall" / "images" / "bees").rename(wide / "bees")
    for path in list(wide.rglob("*.png")):
        path.rename(path.with_name(f"{path.stem}_a_name_that_no_card_can_hold.png"))
    return datasets.add_dataset(wide, "insects")


def shape(page: Page, selector: str) -> list[tuple[int, int, int]]:
    """Top, width and height of each in whole pixels."""
    boxes = "all => all.map(e => e.getBoundingClientRect()).map(b => [b.top, b.width, b.height].map(Math.round))"
    return [tuple(box) for box in page.locator(selector).evaluate_all(boxes)]


def open_pictures(browser: Browser, address: str, viewport: dict[str, int], complaints: Complaints) -> Page:
    """The gallery of all classes."""
    page = complaints.watch(browser.new_page(viewport=viewport))  # type: ignore[arg-type]
    page.goto(f"{address}/datasets?dataset_view=Pictures")
    expect(page.get_by_role("checkbox").first).to_be_visible(timeout=2 * MINUTES)
    page.get_by_role("combobox", name="Class").first.fill("All classes")
    page.keyboard.press("Enter")
    expect(page.get_by_text("16 pictures")).to_be_visible(timeout=MINUTES)
    settled(page)
    return page


def test_the_gallery_is_even_and_a_phone_shows_all_views_in_one_row(
    browser: Browser, dashboard: str, insects: DatasetInfo
) -> None:
    complaints = Complaints()
    for viewport, columns in ((PHONE, 3), (DESK, 8)):
        page = open_pictures(browser, dashboard, viewport, complaints)
        tops = {shape(page, f"[role=radio]:has-text('{view}')")[0][0] for view in VIEWS}
        assert len(tops) == 1
        images = shape(page, "[class*=st-key-pick_] img")
        assert len(images) == 16
        assert all(abs(width - height) <= 1 for _, width, height in images)
        rows = [top for top, _, _ in images]
        assert all(len(set(rows[start : start + columns])) == 1 for start in range(0, 16, columns))
        assert len(set(rows)) == -(-16 // columns)
        assert page.evaluate("(m => m.scrollWidth <= m.clientWidth)(document.querySelector('[data-testid=stMain]'))")
    assert not complaints.seen


def test_images_that_arrive_stay_in_view(
    browser: Browser, dashboard: str, insects: DatasetInfo, tmp_path: Path
) -> None:
    """Where another dataset was in view before: the address must follow, or the next click leads back to it."""
    folder = make_image_folder(tmp_path / "more", ("cats", "dogs"), per_class=8)
    made = datasets.add_dataset(folder, "pets")  # the same again is soon there, before the page has looked twice
    complaints = Complaints(leaves_early=True)
    page = complaints.watch(browser.new_page(viewport=DESK))  # type: ignore[arg-type]
    page.goto(f"{dashboard}/datasets?dataset={insects.id}")
    page.get_by_text("Add images", exact=True).click(timeout=2 * MINUTES)
    page.get_by_role("radio", name="Path on the server").click()
    settled(page)
    page.get_by_label("Folder, archive or CSV").fill(str(folder))
    page.get_by_label("Folder, archive or CSV").press("Enter")
    settled(page)
    page.get_by_role("button", name="Add these images").click(timeout=MINUTES)
    expect(page.get_by_text("The images are here.")).to_be_visible(timeout=2 * MINUTES)
    settled(page)
    page.get_by_role("radio", name="Versions").click()
    expect(page.get_by_text(f"{made.name} · shown here")).to_be_visible(timeout=MINUTES)
    assert not complaints.seen


# Clicks `Versions` the moment that the page says the images are here, before it has drawn itself anew.
AT_ONCE = """() => new MutationObserver((_, observer) => {
    if (!document.body.innerText.includes('The images are here.')) return
    observer.disconnect()
    const views = [...document.querySelectorAll('[role=radio]')]
    views.find(view => view.innerText.includes('Versions')).click()
}).observe(document.body, {subtree: true, childList: true, characterData: true})"""


@pytest.mark.parametrize("hasty", [False, True])
def test_an_upload_stays_in_view(
    browser: Browser, dashboard: str, insects: DatasetInfo, tmp_path: Path, hasty: bool
) -> None:
    """Every click stays with what arrived, also one that comes before the page is drawn."""
    folder = make_image_folder(tmp_path / "more", ("cats", "dogs"), per_class=8)
    archive = shutil.make_archive(str(tmp_path / "pets"), "zip", folder)
    complaints = Complaints(leaves_early=True)
    page = complaints.watch(browser.new_page(viewport=DESK))  # type: ignore[arg-type]
    page.goto(f"{dashboard}/datasets?dataset={insects.id}")
    page.get_by_text("Add images", exact=True).click(timeout=2 * MINUTES)
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(archive)
    if hasty:
        page.evaluate(AT_ONCE)
    page.get_by_role("button", name="Add these images").click(timeout=MINUTES)
    expect(page.get_by_text("The images are here.")).to_be_visible(timeout=2 * MINUTES)
    made = next(info for info in datasets.list_datasets() if info.name == "pets")
    for view, words in (("Pictures", "pictures"), ("Versions", f"{made.name} · shown here")):
        page.get_by_role("radio", name=view).click()
        expect(page.get_by_text(words).first).to_be_visible(timeout=MINUTES)
        settled(page)
        expect(page.get_by_role("combobox", name="Dataset")).to_have_value(re.compile("pets"), timeout=MINUTES)
    assert not complaints.seen
